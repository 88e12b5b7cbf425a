//! What earlier runs of this program have left in this boot: files in the run directory,
//! and copies mounted over files of the root.
//!
//! Two runs with one plan do what one does. So the mounts are taken off before the root is
//! read ([`uncover`]); each run lists its files ([`LIST`]), and the next one removes those
//! that it has no use for.
use core::ffi::CStr;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use ufmt::uwrite;

use crate::base::error::Error;
use crate::base::log::Report;
use crate::base::memory::Vector;
use crate::base::text::c_str;
use crate::image::{ResolvedPath, Root};

/// The directory for files that only this program and its scripts read.
const OURS: &[u8] = b"/run/onecontext";
/// The directory for copies of what cannot be written, each below its path in the root.
pub const COPIES: &[u8] = b"/run/onecontext/copies";
/// The paths of the files and links that a run has made in the run directory, or found
/// there as it wants them. A NUL follows each.
pub const LIST: &[u8] = b"/run/onecontext/files";
/// How each file that is not in [`OURS`] begins.
const MARK: &[u8] = b"# Made by onecontext";

/// Takes off what earlier runs have mounted over the root, which is then seen as the image
/// has it.
pub fn uncover(root: &Root, report: &mut Report) {
    let uncovered = ResolvedPath::new(COPIES)
        .map_err(Error::from)
        .and_then(|copies| uncover_below(root, copies));
    if let Err(error) = uncovered {
        report.problem(c"unmount what is in", COPIES, error);
    }
}

fn uncover_below(root: &Root, copies: ResolvedPath) -> Result<(), Error> {
    for name in root.names(copies.path())? {
        let copy = copies.join(name)?;
        let point = ResolvedPath::new(copy.path().strip_prefix(COPIES).unwrap_or_default())?;
        let (Ok(of_copy), Ok(seen)) = (root.stat(copy), root.stat(point)) else {
            continue;
        };
        if (seen.st_dev, seen.st_ino) == (of_copy.st_dev, of_copy.st_ino) {
            let (_point, path) = open_to_mount(root, point)?;
            unmount(path, UnmountFlags::DETACH)?;
        } else if FileType::from_raw_mode(of_copy.st_mode) == FileType::Directory {
            uncover_below(root, copy)?;
        }
    }
    Ok(())
}

/// Opens a file, and gives the path of the open file for mount(2), which takes paths:
/// whatever links there are, it leads to that file (proc(5)).
pub fn open_to_mount(root: &Root, path: ResolvedPath) -> Result<(OwnedFd, &'static CStr), Error> {
    let file = root.open_resolved(path, OFlags::PATH)?;
    let mut text = Vector::new();
    uwrite!(text, "/proc/self/fd/{}", file.as_raw_fd());
    let path = c_str(&[&text])?;
    Ok((file, path))
}

/// Whether a file of the run directory that was ours still is.
pub fn is_ours(root: &Root, path: ResolvedPath) -> bool {
    match root.read_resolved(path) {
        Ok(found) => path.is_below(OURS) || found.content.starts_with(MARK),
        // Our links lead to units. What cannot be read otherwise is not ours.
        Err(error) => error == Errno::LOOP,
    }
}
