//! `/etc/hostname` (hostname(5)). The kernel has the name already; a root
//! whose own file says otherwise would take it back (systemd:
//! src/shared/hostname-setup.c, Debian: /etc/init.d/hostname.sh).
use rustix::io::Errno;

use super::replace;
use crate::base::error::Error;
use crate::base::text::lines;
use crate::changeset::{Changes, RootAccess};
use crate::image::Root;
use crate::plan::Plan;

/// The file, as the booted system names it.
pub const PATH: &[u8] = b"/etc/hostname";

/// Without a file in the root, or with one that names nothing, nothing is
/// written: the kernel's name then stands.
pub fn decide<'a>(
    plan: &Plan,
    root: &Root<'a>,
    access: RootAccess,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    let Some(hostname) = plan.hostname else {
        return Ok(());
    };
    let resolved = root.resolve(PATH)?;
    let old = match root.read_resolved(resolved) {
        Ok(old) => old,
        Err(error) if error == Errno::NOENT => return Ok(()),
        Err(reason) => return Err(reason),
    };
    match name(old.content) {
        None => return Ok(()),
        Some(name) if name == hostname => return Ok(()),
        Some(_) => {}
    }
    let content = root.arena().concat(&[hostname, b"\n"]);
    replace(resolved, Some(old), content, access, changes)
}

/// The first line that is no comment.
fn name(text: &[u8]) -> Option<&[u8]> {
    lines(text)
        .map(<[u8]>::trim_ascii)
        .find(|line| !line.is_empty() && !line.starts_with(b"#"))
}
