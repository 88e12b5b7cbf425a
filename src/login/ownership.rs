//! Whether the files in a home may be trusted.
//!
//! Ownership is never changed. Users can move files of root into their own home, and
//! make links on the way to the home of somebody else. So a file that belongs neither
//! to the user nor, as far as sshd accepts that, to root is left alone, and its content
//! is copied nowhere.
use rustix::io::Errno;

use crate::base::error::Error;
use crate::image::FileContent;
use crate::image::key_file::{Directory, KeyFile};
use crate::image::passwd::User;

const ROOT: u32 = 0;

/// What is at the path of a file that may be written.
#[derive(Clone, Copy)]
pub struct Existing {
    /// The file.
    pub file: Option<&'static FileContent>,
    /// Its directory.
    pub directory: Option<Directory>,
}

impl Existing {
    /// Returns what is there, if it may be trusted.
    ///
    /// # Errors
    /// It is not the user's, or could not be read.
    pub fn trusted(user: &User, file: &KeyFile) -> Result<Self, Error> {
        let directory = file.directory.map_err(below_home)?;
        if let Some(directory) = &directory {
            check_directory(user, directory)?;
        }
        let file = file.content.map_err(below_home)?;
        if let Some(file) = file {
            check_file(user, file)?;
        }
        Ok(Self { file, directory })
    }

    /// Whether root owns the directory, in the home of a user.
    pub fn in_directory_of_root(&self, user: &User) -> bool {
        self.directory
            .is_some_and(|directory| directory.uid != user.uid)
    }

    /// Whether root owns the directory or the file, in the home of a user.
    pub fn is_owned_by_root(&self, user: &User) -> bool {
        let owner = self.file.map(|file| file.uid);
        self.in_directory_of_root(user) || owner.is_some_and(|owner| owner != user.uid)
    }
}

fn check_directory(user: &User, directory: &Directory) -> Result<(), Error> {
    match directory.uid {
        owner if owner == user.uid => Ok(()),
        // sshd reads the file as the user (openssh: auth2-pubkey.c).
        ROOT if directory.mode & 0o023 == 0o001 => Ok(()),
        ROOT => Err(Error::new(
            c"its .ssh belongs to root, and the user cannot use it: \
              chown it to the user in the image",
        )),
        _ => Err(Error::new(
            c"its .ssh belongs to another user: chown it to the user in the image",
        )),
    }
}

fn check_file(user: &User, file: &FileContent) -> Result<(), Error> {
    // It may be a hard link to /etc/shadow, whose text would become the user's.
    if file.is_shared && user.uid != ROOT {
        return Err(Error::new(
            c"authorized_keys has other names, hard links: not trusted",
        ));
    }
    let is_readable = file.mode & 0o004 != 0 || file.gid == user.gid && file.mode & 0o040 != 0;
    match file.uid {
        owner if owner == user.uid => Ok(()),
        ROOT if is_readable && file.mode & 0o022 == 0 => Ok(()),
        ROOT => Err(Error::new(
            c"its authorized_keys belongs to root, and sshd would not take it: \
              chown it to the user in the image",
        )),
        _ => Err(Error::new(
            c"its authorized_keys belongs to another user: \
              chown it to the user in the image",
        )),
    }
}

/// Explains ELOOP: no link is followed below a home.
fn below_home(error: Error) -> Error {
    match error == Errno::LOOP {
        true => Error::new(c"a symbolic link below the home, which is not followed"),
        false => error,
    }
}
