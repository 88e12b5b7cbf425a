//! Whether the root can be written, and making it so for the moment.
use rustix::fs::{self, AtFlags, StatVfsMountFlags, accessat, fstatvfs};
use rustix::io::{self, Errno};
use rustix::mount::{MountFlags, mount_remount};
use ufmt::uwrite;

use super::{Root, Spot, if_there};
use crate::report::{Level, Report};
use crate::text::{Error, Shown, lines, words};

/// `onecontext.root=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The root is written where it can be.
    Auto,
    /// The root is never written.
    ReadOnly,
}

/// How something reaches the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// It is written there.
    Written,
    /// It must not be written now, but the booted system may do so.
    Deferred,
    /// It cannot be written, and perhaps never can.
    Sealed,
}

/// The one who writes: remounts the root at the first write that needs it,
/// and puts it back, at the latest when dropped.
pub struct Writer<'r, 'a> {
    pub(super) root: &'r Root<'a>,
    policy: Policy,
    state: State,
}

enum State {
    /// Nobody needed to know yet.
    Unknown,
    /// It can be written as it is mounted.
    Writable,
    /// It was read-only, with these flags.
    Remounted(MountFlags),
    /// It cannot be written.
    Sealed,
}

impl<'r, 'a> Writer<'r, 'a> {
    /// For one root. Nothing is touched yet.
    pub fn new(root: &'r Root<'a>, policy: Policy) -> Self {
        Self {
            root,
            policy,
            state: State::Unknown,
        }
    }

    /// What may be hoped for, as far as it is known.
    pub fn column(&self) -> Column {
        match (self.policy, &self.state) {
            (Policy::ReadOnly, _) if self.root.is_never_written() => Column::Sealed,
            (Policy::ReadOnly, _) => Column::Deferred,
            (_, State::Sealed) => Column::Sealed,
            _ => Column::Written,
        }
    }

    /// Makes the root writable, or says that it cannot be.
    pub(super) fn acquire(&mut self, report: &mut Report) -> bool {
        if let State::Unknown = self.state {
            self.state = match self.try_acquire() {
                Ok(None) => State::Writable,
                Ok(Some(flags)) => State::Remounted(flags),
                Err(errno) => {
                    // No problem yet: an image on squashfs is made so.
                    let path = Shown(self.root.path.to_bytes());
                    let mut line = report.line();
                    uwrite!(line, "remount read-write: {}: {}", path, Error::from(errno));
                    report.say(Level::Note, line);
                    State::Sealed
                }
            };
        }
        !matches!(self.state, State::Sealed)
    }

    /// The flags to go back to, or `None` if nothing had to be done.
    fn try_acquire(&self) -> io::Result<Option<MountFlags>> {
        match self.access() {
            Err(Errno::ROFS) => {}
            answer => return answer.map(|()| None),
        }
        let flags = self.flags()?;
        mount_remount(self.root.path, flags, c"")?;
        // squashfs and erofs accept the remount and stay read-only, and a
        // read-only btrfs subvolume is on a file system that is not.
        match self.access() {
            Ok(()) => Ok(Some(flags)),
            Err(errno) => {
                let _ = mount_remount(self.root.path, flags | MountFlags::RDONLY, c"");
                Err(errno)
            }
        }
    }

    fn access(&self) -> io::Result<()> {
        let root = &self.root.root;
        accessat(root, c".", fs::Access::WRITE_OK, AtFlags::empty())
    }

    /// What a remount must repeat (mount(2): flags that are not given are
    /// cleared). The times of access are kept when none of their flags is
    /// given.
    fn flags(&self) -> io::Result<MountFlags> {
        let now = fstatvfs(&self.root.root)?.f_flag;
        let pairs = [
            (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
            (StatVfsMountFlags::NODEV, MountFlags::NODEV),
            (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
            (StatVfsMountFlags::SYNCHRONOUS, MountFlags::SYNCHRONOUS),
            (
                StatVfsMountFlags::MANDLOCK,
                MountFlags::PERMIT_MANDATORY_FILE_LOCKING,
            ),
        ];
        let mut flags = MountFlags::empty();
        for (found, flag) in pairs {
            if now.contains(found) {
                flags |= flag;
            }
        }
        Ok(flags)
    }

    /// Puts the root back as it was mounted.
    pub fn finish(mut self, report: &mut Report) {
        if let Err(errno) = self.put_back() {
            report.problem("remount read-only", self.root.path.to_bytes(), errno);
        }
    }

    fn put_back(&mut self) -> io::Result<()> {
        match core::mem::replace(&mut self.state, State::Unknown) {
            State::Remounted(flags) => {
                mount_remount(self.root.path, flags | MountFlags::RDONLY, c"")
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Writer<'_, '_> {
    fn drop(&mut self) {
        // The last resort of an early return; `finish` reports.
        let _ = self.put_back();
    }
}

impl Root<'_> {
    /// Whether its file system is of a kind that is made once and then only
    /// read (linux/magic.h).
    fn is_never_written(&self) -> bool {
        const SQUASHFS: u32 = 0x7371_7368;
        const EROFS: u32 = 0xe0f5_e1e2;
        const ISOFS: u32 = 0x9660;
        // Where the kernel does not say, a later write is tried.
        fs::fstatfs(&self.root)
            .is_ok_and(|stat| matches!(stat.f_type as u32, SQUASHFS | EROFS | ISOFS))
    }
}

/// What the root's fstab(5) mounts and is not mounted yet.
#[derive(Clone, Copy)]
pub struct Later<'a> {
    /// Where.
    points: &'a [Spot<'a>],
    /// Why that may not be all.
    pub problem: Option<Error>,
}

/// Reads `/etc/fstab`, once. What cannot be found out counts as not mounted
/// later: that costs nobody a key, and `problem` says so.
pub fn later_mounts<'a>(root: &Root<'a>) -> Later<'a> {
    if let Some(later) = root.later.get() {
        return later;
    }
    let mut points = root.arena.table();
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
    let points: &[Spot] = points.finish();
    let later = Later { points, problem };
    root.later.set(Some(later));
    later
}

/// Where a mount point leads if nothing is mounted there yet.
fn mounts_later<'a>(root: &Root<'a>, point: &[u8]) -> Result<Option<Spot<'a>>, Error> {
    // What cannot be there cannot be mounted over.
    let Some(point) = if_there(root.locate(point))? else {
        return Ok(None);
    };
    if point.path() == b"/" {
        return Ok(None);
    }
    // The same device: nothing is mounted there. A bind mount of the root
    // itself looks the same, and is treated as if it were missing.
    let later = match root.stat(point) {
        Ok(there) => there.st_dev == fs::fstat(&root.root)?.st_dev,
        Err(Errno::NOENT | Errno::NOTDIR) => true,
        Err(errno) => return Err(errno.into()),
    };
    Ok(later.then_some(point))
}

/// Whether the root's fstab(5) mounts something at or above `spot` that is
/// not mounted yet: what we would write there is hidden later.
pub fn mounted_later(root: &Root, spot: Spot) -> bool {
    let mut points = later_mounts(root).points.iter();
    points.any(|point| spot.is_below(point.path()))
}
