//! Where the root's systemd finds its units and presets.
use crate::base::error::Error;
use crate::base::memory::Vector;
use crate::image::Root;

/// The directories of units, highest precedence first (systemd.unit(5)).
const DIRECTORIES: [&[u8]; 5] = [
    b"/etc/systemd/system",
    b"/run/systemd/system",
    b"/usr/local/lib/systemd/system",
    b"/usr/lib/systemd/system",
    b"/lib/systemd/system",
];

/// Those that the root has. `/lib` is a link to `/usr/lib` today, and was a
/// directory of its own before Debian 12.
pub(super) fn directories(root: &Root) -> Result<&'static [&'static [u8]], Error> {
    if let Some(directories) = root.unit_directories.get() {
        return Ok(directories);
    }
    let [first @ .., _] = &DIRECTORIES;
    let is_merged = root.resolve(b"/lib")?.path() == b"/usr/lib";
    let mut directories = Vector::<&[u8]>::new();
    directories.extend(if is_merged { first } else { &DIRECTORIES });
    let directories: &[&[u8]] = directories.finish();
    root.unit_directories.set(Some(directories));
    Ok(directories)
}
