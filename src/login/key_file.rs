//! The `authorized_keys` file of a user: where it is, and whether what is there
//! is the user's own.
//!
//! Ownership is never taken and never given. Users can move what is root's into
//! their homes, and make links on the way to the home of somebody else: what
//! belongs to neither the user nor, as far as sshd accepts that, root is left
//! alone, and its content reaches nobody.
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::base::error::Error;
use crate::image::passwd::User;
use crate::image::{FileContent, ResolvedPath, Root, mounted_later};

/// passwd(5) names no place for the user's files.
pub const NO_HOME: Error = Error::new(&"no home directory in /etc/passwd");
/// The files in that home are the business of its owner.
pub const SHARED_HOME: Error =
    Error::new(&"its home belongs to another user: give it one of its own in the image");

const ROOT: u32 = 0;

/// A user's file.
#[derive(Clone, Copy)]
pub struct KeyFile<'u, 'a> {
    pub user: &'u User<'a>,
    /// Where the file is, or would be, links followed as far as they may be.
    pub resolved: ResolvedPath<'a>,
    pub home: Home,
}

/// Whether the home directory can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// It is there.
    Present,
    /// Nobody has made it yet.
    Missing,
    /// fstab(5) mounts something over it.
    MountedLater,
}

/// What is in the place of a file that may be written.
#[derive(Clone, Copy)]
pub struct Existing<'a> {
    /// The file.
    pub file: Option<&'a FileContent<'a>>,
    /// Mode, user and group of its directory.
    pub directory: Option<(u32, u32, u32)>,
}

impl Existing<'_> {
    /// Whether root owns the directory, in the home of a user.
    pub fn in_directory_of_root(&self, user: &User) -> bool {
        self.directory
            .is_some_and(|(_, owner, _)| owner != user.uid)
    }

    /// Whether root owns the directory or the file, in the home of a user.
    pub fn is_root_s(&self, user: &User) -> bool {
        let owner = self.file.map(|found| found.uid);
        self.in_directory_of_root(user) || owner.is_some_and(|owner| owner != user.uid)
    }
}

impl<'u, 'a> KeyFile<'u, 'a> {
    /// The file of one user. `homes_of_root` are those of the users with the
    /// number 0.
    ///
    /// # Errors
    /// [`NO_HOME`], [`SHARED_HOME`], or why the home cannot be trusted.
    pub fn find(
        root: &Root<'a>,
        user: &'u User<'a>,
        homes_of_root: &[ResolvedPath<'a>],
    ) -> Result<Self, Error> {
        if !user.home.starts_with(b"/") {
            return Err(NO_HOME);
        }
        let (directory, stat) = root.resolve_trusted(user.home)?;
        let stat = match stat {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(errno.into()),
        };
        let home = match stat {
            _ if mounted_later(root, directory) => Home::MountedLater,
            None => Home::Missing,
            Some(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => {
                return Err(Error::new(&"its home is not a directory"));
            }
            // Such as operator's, which is often root's.
            Some(stat) if stat.st_uid == ROOT && user.uid != ROOT => {
                if homes_of_root.contains(&directory) {
                    return Err(SHARED_HOME);
                }
                Home::Present
            }
            Some(stat) if stat.st_uid != user.uid => return Err(SHARED_HOME),
            Some(_) => Home::Present,
        };
        let resolved = directory.join(root.arena(), b".ssh/authorized_keys")?;
        let resolved = match user.uid {
            ROOT => root.resolve_trusted(resolved.path())?.0,
            // The user made what is below the home: no link is followed there.
            _ => resolved,
        };
        Ok(Self {
            user,
            resolved,
            home,
        })
    }

    /// What is there. Nothing of a home that is not there yet.
    ///
    /// # Errors
    /// It is not the user's, or cannot be read.
    pub fn existing(&self, root: &Root<'a>) -> Result<Existing<'a>, Error> {
        let mut existing = Existing {
            file: None,
            directory: None,
        };
        if self.home != Home::Present {
            return Ok(existing);
        }
        let stat = match root.stat(self.resolved.parent(root.arena())?) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(existing),
            Err(errno) => return Err(below_home(errno.into())),
        };
        self.check_directory(&stat)?;
        existing.directory = Some((stat.st_mode, stat.st_uid, stat.st_gid));
        existing.file = match root.read_resolved(self.resolved) {
            Ok(found) => {
                self.check_file(found)?;
                Some(found)
            }
            Err(error) if error == Errno::NOENT => None,
            Err(reason) => return Err(below_home(reason)),
        };
        Ok(existing)
    }

    fn check_directory(&self, stat: &Stat) -> Result<(), Error> {
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        match stat.st_uid {
            owner if owner == self.user.uid => Ok(()),
            // sshd reads the file as the user (openssh: auth2-pubkey.c).
            ROOT if stat.st_mode & 0o023 == 0o001 => Ok(()),
            ROOT => Err(Error::new(
                &"its .ssh belongs to root, and the user cannot use it: \
                         chown it to the user in the image",
            )),
            _ => Err(Error::new(
                &"its .ssh belongs to another user: chown it to the user in the image",
            )),
        }
    }

    fn check_file(&self, found: &FileContent) -> Result<(), Error> {
        let user = self.user;
        // Such as a link to /etc/shadow: its text would become the user's.
        if found.is_shared && user.uid != ROOT {
            return Err(Error::new(
                &"authorized_keys has other names, hard links: not trusted",
            ));
        }
        let is_readable =
            found.mode & 0o004 != 0 || found.gid == user.gid && found.mode & 0o040 != 0;
        match found.uid {
            owner if owner == user.uid => Ok(()),
            ROOT if is_readable && found.mode & 0o022 == 0 => Ok(()),
            ROOT => Err(Error::new(
                &"its authorized_keys belongs to root, and sshd would not take it: \
                         chown it to the user in the image",
            )),
            _ => Err(Error::new(
                &"its authorized_keys belongs to another user: \
                      chown it to the user in the image",
            )),
        }
    }
}

/// A link is met as ELOOP, since none is followed.
fn below_home(error: Error) -> Error {
    match error == Errno::LOOP {
        true => Error::new(&"a symbolic link below the home, which is not followed"),
        false => error,
    }
}
