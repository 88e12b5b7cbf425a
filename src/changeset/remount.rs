//! The writer: finds out whether the root can be written, and remounts it for the
//! moment. `write.rs` makes the changes.
use core::ffi::CStr;

use rustix::fd::AsRawFd;
use rustix::fs::{self, AtFlags, accessat};
use rustix::io::{self, Errno};
use rustix::mount::{MountFlags, mount_remount};
use ufmt::uwrite;

use crate::base::error::Error;
use crate::base::log::{Level, Report};
use crate::base::memory::Vector;
use crate::base::proc;
use crate::base::text::{Escaped, as_str, c_str, lines, split, words};
use crate::image::Root;

/// `onecontext.root=`.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The root is written where it can be.
    #[default]
    Auto,
    /// The root is never written.
    ReadOnly,
}

/// The step that puts a root back.
const PUT_BACK: &CStr = c"remount read-only";

/// A root, and how it is mounted. It is remounted read-write at the first write that
/// needs it, and put back, at the latest when dropped.
pub struct Remount<'r> {
    pub(super) root: &'r Root,
    state: MountState,
}

enum MountState {
    /// Not needed yet.
    Unknown,
    /// It can be written as it is mounted.
    Writable,
    /// It was read-only, with these flags.
    Remounted(MountFlags),
    /// It cannot or must not be written.
    Sealed,
}

impl<'r> Remount<'r> {
    /// A root that is still mounted as it was.
    pub fn new(root: &'r Root, policy: Policy) -> Self {
        Self {
            root,
            state: match policy {
                Policy::Auto => MountState::Unknown,
                Policy::ReadOnly => MountState::Sealed,
            },
        }
    }

    /// Whether the root cannot or must not be written.
    pub fn is_sealed(&self) -> bool {
        matches!(self.state, MountState::Sealed)
    }

    /// Makes the root writable, or says that it cannot be.
    pub fn acquire(&mut self, report: &mut Report) -> bool {
        if let MountState::Unknown = self.state {
            report.begin(c"remount read-write", self.root.mount_point().to_bytes());
            self.state = match self.try_acquire(report) {
                Ok(None) => MountState::Writable,
                Ok(Some(flags)) => MountState::Remounted(flags),
                Err(error) => {
                    to_put_back(report, MountFlags::empty());
                    // No problem by itself: squashfs is read-only by design, and a
                    // directory of another mount cannot be remounted.
                    let sealed = [Errno::ROFS, Errno::ACCESS, Errno::PERM, Errno::INVAL];
                    let level = match error.is(&sealed) {
                        true => Level::Note,
                        false => Level::Problem,
                    };
                    let path = Escaped(self.root.mount_point().to_bytes());
                    let mut line = report.line();
                    uwrite!(line, "remount read-write: {}: {}", path, error);
                    report.say(level, line);
                    MountState::Sealed
                }
            };
        }
        !self.is_sealed()
    }

    /// Remounts the root read-write if necessary. Returns the flags to go back to, or
    /// `None` if it was writable.
    fn try_acquire(&self, report: &Report) -> Result<Option<MountFlags>, Error> {
        match self.check_writable() {
            Err(Errno::ROFS) => {}
            answer => return Ok(answer.map(|()| None)?),
        }
        let flags = self.flags()?;
        // First: this process can be killed at any time.
        to_put_back(report, flags | MountFlags::RDONLY);
        mount_remount(self.root.mount_point(), flags, c"")?;
        // squashfs and erofs accept the remount and stay read-only, and a
        // read-only btrfs subvolume is on a file system that is not.
        match self.check_writable() {
            Ok(()) => Ok(Some(flags)),
            Err(errno) => {
                let _ = mount_remount(self.root.mount_point(), flags | MountFlags::RDONLY, c"");
                Err(errno.into())
            }
        }
    }

    pub fn check_writable(&self) -> io::Result<()> {
        let root = self.root.directory();
        accessat(root, c".", fs::Access::WRITE_OK, AtFlags::empty())
    }

    /// The flags that a remount must repeat: mount(2) clears flags that are not given.
    /// It keeps the flags about access times if none of them is given.
    fn flags(&self) -> Result<MountFlags, Error> {
        let file = self.root.directory().as_raw_fd();
        let mut path = Vector::new();
        uwrite!(path, "/proc/thread-self/fdinfo/{}", file);
        let description = proc::read(c_str(&[&path])?)?;
        let mounts = proc::read(c"/proc/thread-self/mountinfo")?;
        flags_of_mount(description, mounts).ok_or(Error::new(
            c"its mount options are not in mountinfo (proc(5))",
        ))
    }

    /// Puts the root back as it was mounted.
    pub fn finish(&mut self, report: &mut Report) {
        let root = self.root.mount_point();
        if matches!(self.state, MountState::Remounted(_)) {
            report.begin(PUT_BACK, root.to_bytes());
        }
        if let Err(errno) = self.put_back() {
            cannot_put_back(root, errno, report);
        }
    }

    fn put_back(&mut self) -> io::Result<()> {
        match core::mem::replace(&mut self.state, MountState::Unknown) {
            MountState::Remounted(flags) => {
                mount_remount(self.root.mount_point(), flags | MountFlags::RDONLY, c"")
            }
            _ => Ok(()),
        }
    }
}

/// Tells the process that waits for this one how to put the root back.
fn to_put_back(report: &Report, flags: MountFlags) {
    if let Some(progress) = report.progress {
        progress.set_remount(flags.bits());
    }
}

/// Puts the root back for a process that was killed, with the flags that it told of.
pub fn put_back(root: &CStr, flags: u32, report: &mut Report) {
    if let Err(errno) = mount_remount(root, MountFlags::from_bits_retain(flags), c"") {
        cannot_put_back(root, errno, report);
    }
}

/// Reports that the root stays writable.
pub fn cannot_put_back(root: &CStr, errno: Errno, report: &mut Report) {
    report.problem(PUT_BACK, root.to_bytes(), errno);
}

/// The flags of the mount that a file is on. `description` is the fdinfo of the file,
/// which has the number of the mount; `mounts` is the mountinfo (proc(5)).
fn flags_of_mount(description: &[u8], mounts: &[u8]) -> Option<MountFlags> {
    let number = lines(description)
        .find_map(|line| line.strip_prefix(b"mnt_id:"))?
        .trim_ascii();
    let line = lines(mounts).find(|line| words(line).next() == Some(number))?;
    // NUMBER PARENT DEVICE ROOT POINT OPTIONS [FIELD]... - TYPE SOURCE OPTIONS
    let of_mount = words(line).nth(5)?;
    // The source may be empty.
    let of_file_system = words(line).last()?;
    let mut flags = match of_file_system.starts_with(b"ro") {
        true => MountFlags::empty(),
        // Only this mount is read-only. Other mounts of the file system are not, and
        // must not become so when this one is put back.
        false => MountFlags::BIND,
    };
    for options in [of_mount, of_file_system] {
        for option in split(options, |byte| byte == b',') {
            flags |= match as_str(option) {
                "nosuid" => MountFlags::NOSUID,
                "nodev" => MountFlags::NODEV,
                "noexec" => MountFlags::NOEXEC,
                "nosymfollow" => MountFlags::NOSYMFOLLOW,
                "sync" => MountFlags::SYNCHRONOUS,
                "dirsync" => MountFlags::DIRSYNC,
                "mand" => MountFlags::PERMIT_MANDATORY_FILE_LOCKING,
                "lazytime" => MountFlags::LAZYTIME,
                _ => MountFlags::empty(),
            };
        }
    }
    Some(flags)
}

impl Drop for Remount<'_> {
    fn drop(&mut self) {
        // For an early return; only `finish` reports an error.
        let _ = self.put_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remount_repeats_all_flags() {
        let mounts = b"\
            29 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n\
            291 29 8:2 / /sysroot ro,nosuid,nodev,noexec,nosymfollow,noatime master:3 shared:2 \
            - ext4 /dev/sda2 ro,sync,dirsync,mand,lazytime,seclabel\n\
            30 29 8:3 /a\\040b /x ro - xfs - rw,lazytime\n\
            31 29 0:9 / /y ro,nodev - tmpfs  ro\n";
        let flags = |number: &str| {
            let description = format!("pos:\t0\nflags:\t012200000\nmnt_id:\t{number}\nino:\t2\n");
            flags_of_mount(description.as_bytes(), mounts)
        };
        assert_eq!(flags("29"), Some(MountFlags::BIND));
        assert_eq!(
            flags("291"),
            Some(
                MountFlags::NOSUID
                    | MountFlags::NODEV
                    | MountFlags::NOEXEC
                    | MountFlags::NOSYMFOLLOW
                    | MountFlags::SYNCHRONOUS
                    | MountFlags::DIRSYNC
                    | MountFlags::PERMIT_MANDATORY_FILE_LOCKING
                    | MountFlags::LAZYTIME
            )
        );
        assert_eq!(flags("30"), Some(MountFlags::BIND | MountFlags::LAZYTIME));
        assert_eq!(flags("31"), Some(MountFlags::NODEV));
        assert_eq!(flags("2"), None);
        assert_eq!(flags_of_mount(b"pos:\t0\n", mounts), None);
        assert_eq!(flags_of_mount(b"mnt_id:\t9\n", b"9 1 8:1 / /\n"), None);
    }
}
