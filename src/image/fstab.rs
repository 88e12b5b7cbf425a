//! What fstab(5) mounts in the booted system.
use crate::base::memory::Vector;
use rustix::fs;
use rustix::io::Errno;

use super::{Fact, ResolvedPath, Root, if_there};
use crate::base::error::Error;
use crate::base::text::{lines, words};

/// What the root's fstab(5) mounts and is not mounted yet.
#[derive(Clone, Copy)]
pub struct Fstab {
    /// The mount points.
    points: &'static [ResolvedPath],
    /// Why the list may be incomplete.
    pub problem: Option<Error>,
}

impl Fstab {
    /// Reads `/etc/fstab`. A mount point that cannot be examined counts as not mounted
    /// later, so that no user loses keys for it; `problem` has the reason.
    pub fn read(root: &Root) -> Self {
        let mut points = Vector::new();
        let mut problem = None;
        let text = root.read_if_there(b"/etc/fstab").unwrap_or_else(|reason| {
            problem = Some(reason);
            None
        });
        for line in lines(text.map_or(b"", |found| found.content)) {
            let mut fields = words(line);
            let device = fields.next().unwrap_or(b"#");
            let point = fields.next().unwrap_or(b"");
            if device.starts_with(b"#") || !point.starts_with(b"/") {
                continue;
            }
            match mounts_later(root, point) {
                Ok(Some(point)) => points.push(point),
                Ok(None) => {}
                Err(reason) => problem = problem.or(Some(reason)),
            }
        }
        Self {
            points: points.finish(),
            problem,
        }
    }

    /// Whether something at or above `path` is mounted later: what we would write there
    /// is hidden then.
    pub fn hides(&self, path: ResolvedPath) -> bool {
        self.points.iter().any(|point| path.is_below(point.path()))
    }
}

/// Where a mount point leads if nothing is mounted there yet.
fn mounts_later(root: &Root, point: &[u8]) -> Fact<ResolvedPath> {
    // Nothing can be mounted where no directory can be.
    let Some(point) = if_there(root.resolve(point))? else {
        return Ok(None);
    };
    if point.path() == b"/" {
        return Ok(None);
    }
    // The same device as the root: nothing is mounted there. A bind mount of the root
    // itself looks the same, and counts as not mounted.
    let later = match root.stat(point) {
        Ok(there) => there.st_dev == fs::fstat(root.directory())?.st_dev,
        Err(Errno::NOENT | Errno::NOTDIR) => true,
        Err(errno) => return Err(errno.into()),
    };
    Ok(later.then_some(point))
}
