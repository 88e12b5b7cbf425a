//! What the root's systemd has installed, enabled or masked (systemd.unit(5)).
use super::{Root, concat};
use crate::text::Reason;

/// Where units are found, the strongest first. `/lib` is a link to `/usr/lib`
/// today, and was a directory of its own before Debian 12.
const FOLDERS: [&[u8]; 5] = [
    b"/etc/systemd/system",
    b"/run/systemd/system",
    b"/usr/local/lib/systemd/system",
    b"/usr/lib/systemd/system",
    b"/lib/systemd/system",
];

/// What is known of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// Not there.
    Missing,
    /// Switched off on purpose: linked to /dev/null, or empty.
    Masked,
    /// There, at this path, with this text.
    Found {
        /// The path of the file as systemd sees it.
        path: &'a [u8],
        /// The unit's text.
        text: &'a [u8],
    },
}

/// Whether systemd is the root's init.
pub fn is_init(root: &Root) -> bool {
    match root.link(b"/sbin/init") {
        Some(target) => target.ends_with(b"/systemd"),
        // An image may have both, or rely on the kernel's list of inits.
        None => !root.is_entry(b"/sbin/init") && root.exists(b"/usr/lib/systemd/systemd"),
    }
}

/// Looks a unit up.
pub fn find<'a>(root: &Root<'a>, name: &[u8]) -> Result<Unit<'a>, Reason> {
    for folder in FOLDERS {
        let path = path(root, folder, name)?;
        if root.link(path) == Some(b"/dev/null") {
            return Ok(Unit::Masked);
        }
        if let Ok(found) = root.read(path) {
            return Ok(if found.content.is_empty() {
                Unit::Masked
            } else {
                Unit::Found {
                    path,
                    text: found.content,
                }
            });
        }
    }
    Ok(Unit::Missing)
}

/// Whether a target or another unit wants `name`: a link in any `.wants` or
/// `.requires` directory. First-boot presets (systemd.preset(5)) may enable
/// more later; they never undo a link in /run.
pub fn is_enabled(root: &Root, name: &[u8]) -> Result<bool, Reason> {
    // What nearly every image has, before all directories are read.
    let usual = path(root, b"/etc/systemd/system/multi-user.target.wants", name)?;
    if root.is_entry(usual) {
        return Ok(root.link(usual) != Some(b"/dev/null"));
    }
    for folder in FOLDERS {
        for directory in root.list(folder)? {
            if !(directory.ends_with(b".wants") || directory.ends_with(b".requires")) {
                continue;
            }
            let entry = path(root, path(root, folder, directory)?, name)?;
            match root.link(entry) {
                Some(b"/dev/null") => {}
                Some(_) => return Ok(true),
                None => {}
            }
        }
    }
    Ok(false)
}

/// Calls `each` with the text of every drop-in of a unit.
pub fn drop_ins<'a>(
    root: &Root<'a>,
    name: &[u8],
    each: &mut dyn FnMut(&'a [u8]),
) -> Result<(), Reason> {
    for folder in FOLDERS {
        let directory = concat(root.arena(), &[folder, b"/", name, b".d"])?;
        for file in root.list(directory)? {
            if file.ends_with(b".conf")
                && let Ok(found) = root.read(path(root, directory, file)?)
            {
                each(found.content);
            }
        }
    }
    Ok(())
}

fn path<'a>(root: &Root<'a>, folder: &[u8], name: &[u8]) -> Result<&'a [u8], Reason> {
    concat(root.arena(), &[folder, b"/", name])
}
