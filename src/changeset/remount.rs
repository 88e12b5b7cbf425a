//! Whether the root can be written, and making it so for the moment.
use rustix::fs::{self, AtFlags, StatVfsMountFlags, accessat, fstatvfs};
use rustix::io::{self, Errno};
use rustix::mount::{MountFlags, mount_remount};
use ufmt::uwrite;

use crate::base::error::Error;
use crate::base::log::{Level, Report};
use crate::base::text::Escaped;
use crate::image::Root;

/// `onecontext.root=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The root is written where it can be.
    Auto,
    /// The root is never written.
    ReadOnly,
}

/// Whether the root can be written, now or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootAccess {
    /// It is written now.
    Writable,
    /// It must not be written now, but the booted system may do so.
    WritableLater,
    /// It cannot be written, and perhaps never can.
    ReadOnly,
}

/// The one who writes: remounts the root at the first write that needs it,
/// and puts it back, at the latest when dropped.
pub struct Writer<'r, 'a> {
    pub(super) root: &'r Root<'a>,
    policy: Policy,
    state: RootState,
}

enum RootState {
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
            state: RootState::Unknown,
        }
    }

    /// What may be hoped for, as far as it is known.
    pub fn access(&self) -> RootAccess {
        match (self.policy, &self.state) {
            (Policy::ReadOnly, _) if self.root.is_never_written() => RootAccess::ReadOnly,
            (Policy::ReadOnly, _) => RootAccess::WritableLater,
            (_, RootState::Sealed) => RootAccess::ReadOnly,
            _ => RootAccess::Writable,
        }
    }

    /// Makes the root writable, or says that it cannot be.
    pub(super) fn acquire(&mut self, report: &mut Report) -> bool {
        if let RootState::Unknown = self.state {
            self.state = match self.try_acquire() {
                Ok(None) => RootState::Writable,
                Ok(Some(flags)) => RootState::Remounted(flags),
                Err(errno) => {
                    // No problem yet: an image on squashfs is made so.
                    let path = Escaped(self.root.mount_point().to_bytes());
                    let mut line = report.line();
                    uwrite!(line, "remount read-write: {}: {}", path, Error::from(errno));
                    report.say(Level::Note, line);
                    RootState::Sealed
                }
            };
        }
        !matches!(self.state, RootState::Sealed)
    }

    /// The flags to go back to, or `None` if nothing had to be done.
    fn try_acquire(&self) -> io::Result<Option<MountFlags>> {
        match self.check_writable() {
            Err(Errno::ROFS) => {}
            answer => return answer.map(|()| None),
        }
        let flags = self.flags()?;
        mount_remount(self.root.mount_point(), flags, c"")?;
        // squashfs and erofs accept the remount and stay read-only, and a
        // read-only btrfs subvolume is on a file system that is not.
        match self.check_writable() {
            Ok(()) => Ok(Some(flags)),
            Err(errno) => {
                let _ = mount_remount(self.root.mount_point(), flags | MountFlags::RDONLY, c"");
                Err(errno)
            }
        }
    }

    fn check_writable(&self) -> io::Result<()> {
        let root = self.root.directory();
        accessat(root, c".", fs::Access::WRITE_OK, AtFlags::empty())
    }

    /// What a remount must repeat (mount(2): flags that are not given are
    /// cleared). The times of access are kept when none of their flags is
    /// given.
    fn flags(&self) -> io::Result<MountFlags> {
        let now = fstatvfs(self.root.directory())?.f_flag;
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
            report.problem(
                "remount read-only",
                self.root.mount_point().to_bytes(),
                errno,
            );
        }
    }

    fn put_back(&mut self) -> io::Result<()> {
        match core::mem::replace(&mut self.state, RootState::Unknown) {
            RootState::Remounted(flags) => {
                mount_remount(self.root.mount_point(), flags | MountFlags::RDONLY, c"")
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
        fs::fstatfs(self.directory())
            .is_ok_and(|stat| matches!(stat.f_type as u32, SQUASHFS | EROFS | ISOFS))
    }
}
