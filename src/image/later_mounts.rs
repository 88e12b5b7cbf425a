//! What the booted system mounts: by fstab(5), by units, and by what generators read.
use crate::base::memory::{self, Vector};
use rustix::fs;
use rustix::io::Errno;

use super::systemd::units::{Systemd, Unit};
use super::{Fact, ResolvedPath, Root, if_there};
use crate::base::error::Error;
use crate::base::text::{Text, digits, lines, words};

/// What the booted system mounts and is not mounted yet.
#[derive(Clone, Copy)]
pub struct LaterMounts {
    /// The mount points.
    points: &'static [ResolvedPath],
    /// What could not be looked at, and why: the list may be incomplete.
    pub problem: Option<(&'static [u8], Error)>,
}

const FSTAB: &[u8] = b"/etc/fstab";
/// The folder of ZFS's lists of datasets.
const CACHE: &[u8] = b"/etc/zfs/zfs-list.cache";

impl LaterMounts {
    /// Reads `/etc/fstab`, the names of mount units, and the cache of ZFS. `more` is text
    /// in the form of fstab. A mount point that cannot be examined counts as not mounted
    /// later, so that no user loses keys for it; `problem` has the reason.
    pub fn read(root: &Root, systemd: Fact<Systemd>, more: &[u8]) -> Self {
        let systemd = systemd.unwrap_or(None);
        let mut text = Text::new();
        text.extend(more);
        let mut problem = None;
        let mut failed = |at, error| {
            problem.get_or_insert((at, error));
        };
        if let Err(error) = add_file(root, FSTAB, &mut text) {
            failed(FSTAB, error);
        }
        if let Some(systemd) = systemd {
            for directory in systemd.directories() {
                if let Err(error) = add_units(root, systemd, directory, &mut text) {
                    failed(directory, error);
                }
            }
            if let Err(error) = add_cache(root, &mut text) {
                failed(CACHE, error);
            }
        }
        let mut points = Vector::new();
        for line in lines(text.finish()) {
            let mut fields = words(line);
            let device = fields.next().unwrap_or(b"#");
            let point = fields.next().unwrap_or(b"");
            // The third field is the type, or in the cache of ZFS canmount.
            let is_left = matches!(fields.next(), Some(b"off" | b"noauto"));
            if is_left || device.starts_with(b"#") || !point.starts_with(b"/") {
                continue;
            }
            match mounts_later(root, point) {
                Ok(Some(point)) => points.push(point),
                Ok(None) => {}
                Err(error) => failed(point, error),
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

fn add_file(root: &Root, path: &[u8], text: &mut Text) -> Result<(), Error> {
    if let Some(file) = root.read_if_there(path)? {
        text.extend(file.content);
        text.push(b'\n');
    }
    Ok(())
}

/// Adds what ZFS mounts. The first fields of a line are the dataset, its mount point and
/// canmount (zfs-mount-generator(8)).
fn add_cache(root: &Root, text: &mut Text) -> Result<(), Error> {
    for name in root.names(CACHE)? {
        add_file(root, memory::concat(&[CACHE, b"/", name]), text)?;
    }
    Ok(())
}

/// Adds what mount units in a directory mount, whether something wants them or not: every
/// unit that needs the path does (systemd.unit(5), RequiresMountsFor=).
fn add_units(
    root: &Root,
    systemd: Systemd,
    directory: &[u8],
    text: &mut Text,
) -> Result<(), Error> {
    for name in root.names(directory)? {
        let stem = name.strip_suffix(b".mount");
        if let Some(stem) = stem.or(name.strip_suffix(b".automount")) {
            let point = unescape(stem);
            let path = ResolvedPath::new(point)?;
            if !path.is_hidden()
                && !path.in_run()
                && let Unit::Present { .. } = systemd.unit(root, name)?
            {
                text.extend(b"- ");
                text.extend(point);
                text.push(b'\n');
            }
        }
    }
    Ok(())
}

/// The mount point that a unit is named after (systemd-escape(1)).
fn unescape(name: &[u8]) -> &'static [u8] {
    let mut path = Vector::new();
    path.push(b'/');
    let mut rest = name;
    while let [byte, after @ ..] = rest {
        rest = after;
        path.push(match (byte, after) {
            (b'-', _) => b'/',
            (b'\\', [b'x', high, low, after @ ..]) => {
                rest = after;
                digits(&[*high, *low], 16).unwrap_or_default() as u8
            }
            _ => *byte,
        });
    }
    path.finish()
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
