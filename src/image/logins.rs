//! The facts of a root that matter for logins.
use super::account::{AccountFacts, WantedAccount};
use super::key_file::KeyFile;
use super::passwd::{User, Users};
use super::sshd::Sshd;
use super::systemd::units;
use super::{PathError, ResolvedPath, Root, at, later_mounts};
use crate::base::error::Error;
use crate::base::memory::{self, Vector};

/// The facts.
#[derive(Clone, Copy)]
pub struct LoginFacts {
    /// The users that passwd(5) lists.
    pub users: Users,
    /// The users with a login shell, and those who were asked for.
    pub accounts: &'static [Account],
    /// Why it is not known what fstab(5) mounts later.
    pub unknown_mounts: Option<Error>,
    /// Whether systemd is init.
    pub systemd: Result<bool, Error>,
    /// The SSH server; `None` if it is not wanted.
    pub sshd: Result<Option<&'static Sshd>, Error>,
    /// The facts for the account of USERNAME.
    pub account: Result<&'static AccountFacts, PathError>,
}

/// A user and its authorized_keys.
#[derive(Clone, Copy)]
pub struct Account {
    /// The user.
    pub user: &'static User,
    /// The file, or why it cannot be found.
    pub key_file: Result<&'static KeyFile, Error>,
}

impl LoginFacts {
    /// Reads the facts of a root. `wanted` are the names of users to include. `sshd`:
    /// whether to read the SSH server. `account`: what the context wants for an
    /// account.
    ///
    /// # Errors
    /// passwd(5) cannot be read.
    pub fn read(
        root: &Root,
        wanted: &[&[u8]],
        sshd: bool,
        account: &WantedAccount,
    ) -> Result<&'static Self, Error> {
        let users = Users::read(root)?;
        let homes_of_root = homes_of_root(root, &users);
        let mut accounts = Vector::new();
        for user in users.iter() {
            if user.has_shell() || wanted.contains(&user.name.bytes()) {
                accounts.push(Account {
                    user,
                    key_file: KeyFile::read(root, user, homes_of_root),
                });
            }
        }
        let systemd = units::is_init(root);
        let account = at(b"/sbin/init", systemd).and_then(|systemd| {
            AccountFacts::read(root, &users, homes_of_root, systemd, account)
                .map(|facts| &*memory::place(facts))
        });
        Ok(&*memory::place(Self {
            users,
            accounts: accounts.finish(),
            unknown_mounts: later_mounts(root).problem,
            systemd,
            account,
            sshd: match sshd {
                true => systemd.and_then(|systemd| Sshd::read(root, systemd).map(Some)),
                false => Ok(None),
            },
        }))
    }

    /// The account of the first user of that name, as getpwnam(3).
    pub fn find(&self, name: &[u8]) -> Option<&'static Account> {
        self.accounts
            .iter()
            .find(|account| account.user.name == name)
    }
}

/// The homes of the users with the user ID 0.
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
