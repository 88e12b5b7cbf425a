//! The users of a root who may log in.
use super::key_file::KeyFile;
use super::later_mounts::LaterMounts;
use super::passwd::{User, Users};
use super::{ResolvedPath, Root};
use crate::base::error::Error;
use crate::base::memory::Vector;

/// The users of a root.
#[derive(Clone, Copy)]
pub struct Logins {
    /// The users that passwd(5) lists.
    pub users: Users,
    /// The users with a login shell, and those who were asked for.
    pub accounts: &'static [Account],
    /// The homes of the users with the user ID 0.
    pub homes_of_root: &'static [ResolvedPath],
}

/// A user and its authorized_keys.
#[derive(Clone, Copy)]
pub struct Account {
    /// The user.
    pub user: &'static User,
    /// The file, or why it cannot be found.
    pub key_file: Result<&'static KeyFile, Error>,
}

impl Logins {
    /// Reads the users of a root, and the key files of those with a login shell and of
    /// those with a name in `asked`.
    ///
    /// # Errors
    /// passwd(5) cannot be read.
    pub fn read(root: &Root, later_mounts: &LaterMounts, asked: &[&[u8]]) -> Result<Self, Error> {
        let users = Users::read(root)?;
        let homes_of_root = homes_of_root(root, &users);
        let mut accounts = Vector::new();
        for user in users.iter() {
            if user.has_shell() || asked.contains(&user.name.bytes()) {
                accounts.push(Account {
                    user,
                    key_file: KeyFile::read(root, later_mounts, user, homes_of_root),
                });
            }
        }
        Ok(Self {
            users,
            accounts: accounts.finish(),
            homes_of_root,
        })
    }

    /// The account of the first user of that name, as getpwnam(3).
    pub fn find(&self, name: &[u8]) -> Option<&'static Account> {
        self.accounts
            .iter()
            .find(|account| account.user.name == name)
    }
}

fn homes_of_root(root: &Root, users: &Users) -> &'static [ResolvedPath] {
    let mut homes = Vector::new();
    for user in users.iter().filter(|user| user.uid == 0) {
        // A home that cannot be found is shared by nobody.
        if let Ok(home) = root.resolve(&user.home) {
            homes.push(home);
        }
    }
    homes.finish()
}
