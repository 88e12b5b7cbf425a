//! The `authorized_keys` file of a user: where it is, and what is there. `login`
//! decides whether that may be trusted.
use crate::base::memory;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::later_mounts::LaterMounts;
use super::passwd::User;
use super::{Fact, FileContent, ResolvedPath, Root};
use crate::base::error::Error;

/// passwd(5) names no home directory.
pub const NO_HOME: Error = Error::new(c"no home directory in /etc/passwd");
/// The home belongs to another user.
pub const SHARED_HOME: Error =
    Error::new(c"its home belongs to another user: give it one of its own in the image");

const CLOSED_HOME: Error =
    Error::new(c"its home belongs to root, and the user cannot enter it: chmod go+x");

const ROOT: u32 = 0;

/// The largest authorized_keys that is read or written, in bytes. A user could make it
/// larger, and so take the memory that later steps need. 10,000 RSA keys of 4096 bits
/// are 7 MiB.
pub const LARGEST: u64 = 8 << 20;
/// The error for a larger one.
pub const TOO_LARGE: Error = Error::new(c"more than 8 MiB: remove keys from it");

/// The authorized_keys of a user.
#[derive(Clone, Copy)]
pub struct KeyFile {
    /// The path of the file, whether it is there or not. Links are followed as far as
    /// they may be.
    pub path: ResolvedPath,
    /// The state of the home.
    pub home: Home,
    /// The directory of the file; `None` if it is not there.
    pub directory: Fact<Directory>,
    /// The file; `None` if it is not there. A link is the error ELOOP, since none is
    /// followed below the home of a user.
    pub content: Fact<&'static FileContent>,
}

/// The state of a home directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// It is there.
    Present,
    /// It does not exist yet.
    Missing,
    /// Something is mounted later over it, or over what its `.ssh` leads to.
    MountedLater,
}

/// Mode and owner of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Permission bits.
    pub mode: u32,
    /// The user ID of the owner.
    pub uid: u32,
    /// The group ID of the owner.
    pub gid: u32,
}

impl Home {
    /// Whether it is there.
    pub fn is_present(self) -> bool {
        self == Self::Present
    }
}

impl KeyFile {
    /// Reads the file of one user. `homes_of_root` are those of the users with the user
    /// ID 0.
    ///
    /// # Errors
    /// [`NO_HOME`], [`SHARED_HOME`], or why the home cannot be found or is
    /// reached through links that others could have made.
    pub fn read(
        root: &Root,
        later_mounts: &LaterMounts,
        user: &User,
        homes_of_root: &[ResolvedPath],
    ) -> Result<&'static Self, Error> {
        if !user.home.starts_with(b"/") {
            return Err(NO_HOME);
        }
        let (home_path, stat) = root.resolve_trusted(&user.home)?;
        let stat = match stat {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(errno.into()),
        };
        let path = home_path.join(b".ssh/authorized_keys")?;
        let path = match user.uid {
            ROOT => root.resolve_trusted(path.path())?.0,
            // The user controls what is below the home: no link is followed there.
            _ => path,
        };
        let home = match stat {
            _ if later_mounts.hides(path) => Home::MountedLater,
            None => Home::Missing,
            Some(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => {
                return Err(Error::new(c"its home is not a directory"));
            }
            // For example, operator often has root's home.
            Some(stat) if stat.st_uid == ROOT && user.uid != ROOT => {
                if homes_of_root.contains(&home_path) {
                    return Err(SHARED_HOME);
                }
                // sshd reads the file as the user, who may be in the home's group.
                if stat.st_mode & 0o011 == 0 {
                    return Err(CLOSED_HOME);
                }
                Home::Present
            }
            Some(stat) if stat.st_uid != user.uid => return Err(SHARED_HOME),
            Some(_) => Home::Present,
        };
        let mut file = Self {
            path,
            home,
            directory: Ok(None),
            content: Ok(None),
        };
        // A home that is not there yet cannot be examined.
        if home.is_present() {
            file.directory = directory(root, path);
            if file.directory != Ok(None) {
                file.content = match root.read_resolved_at_most(path, LARGEST) {
                    Ok(content) => Ok(Some(content)),
                    Err(error) if error == Errno::NOENT => Ok(None),
                    Err(error) if error == Errno::FBIG => Err(TOO_LARGE),
                    Err(error) => Err(error),
                };
            }
        }
        Ok(memory::place(file))
    }
}

fn directory(root: &Root, path: ResolvedPath) -> Fact<Directory> {
    match root.stat(path.parent()?) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => {
            Err(Errno::NOTDIR.into())
        }
        Ok(stat) => Ok(Some(Directory {
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
        })),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
