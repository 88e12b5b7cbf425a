//! Files, with their modes, owners and labels.
use ufmt::{uDisplay, uWrite};

use crate::image::FileContent;

/// The first line of our files.
pub const HEAD: &str = "# Made by onecontext from the context of this machine.\n";

/// A regular file.
#[derive(Clone, Copy)]
pub struct File {
    /// All of it.
    pub content: &'static [u8],
    /// Mode, owner and label.
    pub access: Access,
    /// How its directory should be.
    pub directory: DirectoryPolicy,
}

impl File {
    /// Whether this is what was read.
    pub fn is(&self, found: &FileContent) -> bool {
        found.content == self.content && self.access.is(found.mode, found.uid, found.gid)
    }

    /// A file that everybody may read.
    pub const fn public(content: &'static [u8]) -> Self {
        Self {
            content,
            access: Access::PUBLIC,
            directory: DirectoryPolicy::CreateOnly(Access::DIRECTORY),
        }
    }
}

/// Mode, owner and label of something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits, at most 0o7777.
    pub mode: u32,
    /// User and group number; `None` leaves the creator's.
    pub owner: Option<(u32, u32)>,
    /// The SELinux label.
    pub label: Label,
}

impl Access {
    /// For configuration that everybody may read.
    pub const PUBLIC: Self = Self::ours(0o644);
    /// For a directory that everybody may read.
    pub const DIRECTORY: Self = Self::ours(0o755);

    /// Owned by whoever makes it: root, in an initramfs.
    pub const fn ours(mode: u32) -> Self {
        Self {
            mode,
            owner: None,
            label: Label::Neighbour,
        }
    }

    /// Mode and owner of an existing file.
    pub const fn of(found: &FileContent) -> Self {
        Self {
            mode: found.mode,
            owner: Some((found.uid, found.gid)),
            label: Label::Neighbour,
        }
    }

    /// Whether something has this mode and this owner.
    pub fn is(&self, mode: u32, uid: u32, gid: u32) -> bool {
        self.mode == mode & 0o7777 && self.owner.is_none_or(|owner| owner == (uid, gid))
    }
}

/// The SELinux label of something new. A replaced file keeps its label. In a directory
/// without a label nothing gets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// That of the directory.
    Neighbour,
    /// That of the directory with the type `ssh_home_t`, which the policies
    /// give to `~/.ssh` and all in it (selinux-policy, ssh.fc).
    SshHome,
    /// That of the directory with the type `net_conf_t`, which the policies
    /// give to `/etc/resolv.conf` (selinux-policy, sysnetwork.fc).
    NetConf,
}

/// How a directory should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryPolicy {
    /// Created with this access if it is missing, else left as it is.
    CreateOnly(Access),
    /// Created with this access, or changed to it.
    Enforce(Access),
}

/// Permission bits as four octal digits.
pub struct Octal(pub u32);

impl uDisplay for Octal {
    fn fmt<W: uWrite + ?Sized>(
        &self,
        f: &mut ufmt::Formatter<'_, W>,
    ) -> Result<(), <W as uWrite>::Error> {
        for shift in [9, 6, 3, 0] {
            f.write_char(char::from(b'0' + (self.0 >> shift & 7) as u8))?;
        }
        Ok(())
    }
}
