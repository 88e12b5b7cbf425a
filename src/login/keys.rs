//! The authorized_keys of users: the keys of the context in a block of their own.
use core::ffi::CStr;

use ufmt::uwrite;

use super::authorized_keys;
use super::ownership::Existing;
use super::sshd::{self, KEYS_IN_RUN};
use crate::base::error::Error;
use crate::base::log::Level;
use crate::base::memory::{self, Vector};
use crate::base::text::{Escaped, Text};
use crate::changeset::tmpfiles::Tmpfiles;
use crate::changeset::{
    Access, Change, Changes, DirectoryPolicy, Done, Elsewhere, File, InRun, Label, Later, Mount,
    Reason, What,
};
use crate::image::key_file::{Home, KeyFile, LARGEST, NO_HOME, SHARED_HOME, TOO_LARGE};
use crate::image::logins::{Account, Logins};
use crate::image::passwd::User;
use crate::image::sshd::Sshd;
use crate::image::{ResolvedPath, if_there};
use crate::plan::Plan;

/// How a failure to give a user its keys is reported.
const STEP: &CStr = c"keys for user";
/// How a failure to take away the keys of an earlier context is reported.
const REVOKE: &CStr = c"remove keys of user";
/// How many lines of one file are named that restrict keys.
const MOST_RESTRICTIONS: usize = 4;
/// The user is not there.
pub const NO_USER: Error = Error::new(c"no such user in /etc/passwd: make it in the image");

/// The decisions on the files of all users.
pub struct Keys<'d> {
    logins: &'d Logins,
    /// Whether systemd is init.
    systemd: Result<bool, Error>,
    sshd: Option<&'d Sshd>,
    /// The configuration of OpenSSH's server that names keys in the run directory.
    configuration: Result<Option<&'static Change>, Error>,
    /// Key files that are decided for the users of this context.
    decided: Vector<ResolvedPath>,
}

impl<'d> Keys<'d> {
    /// No decisions yet. `systemd`: whether systemd is init. `sshd`: the SSH server, if
    /// it is known.
    pub fn new(logins: &'d Logins, systemd: Result<bool, Error>, sshd: Option<&'d Sshd>) -> Self {
        Self {
            logins,
            systemd,
            sshd,
            configuration: match sshd.filter(|sshd| sshd.is_openssh()) {
                Some(sshd) => sshd::copy_of_config(sshd).map(Some),
                None => Ok(None),
            },
            decided: Vector::new(),
        }
    }

    /// Gives the users of the plan their keys.
    pub fn grant(&mut self, plan: &Plan, changes: &mut Changes) {
        for name in plan.users() {
            let Some(account) = self.logins.find(name) else {
                // `users` creates that one.
                if plan.user == Some(name) {
                    continue;
                }
                changes.problem(STEP, name, NO_USER);
                continue;
            };
            let keys = plan.keys_of(name);
            if let Err(reason) = self.grant_one(account, keys, changes) {
                changes.problem(STEP, name, reason);
            }
        }
    }

    /// Gives a user these keys.
    pub fn grant_one(
        &mut self,
        account: &Account,
        keys: &[&'static [u8]],
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let user = &account.user;
        let file = account.key_file?;
        // A home that is not there has no owner: it belongs to the first user in
        // passwd(5) that has it.
        let has_this_home = |other: &&User| other.home == user.home;
        if !file.home.is_present()
            && let Some(first) = self.logins.users.iter().find(has_this_home)
            && first.uid != user.uid
        {
            return Err(SHARED_HOME);
        }
        // For example toor beside root: the keys of one would replace those of the
        // other.
        if self.decided.contains(&file.path) {
            return Err(Error::new(
                c"its home is that of another user of this context",
            ));
        }
        self.decided.push(file.path);
        let existing = Existing::trusted(user, file)?;
        self.update_block(STEP, user, file, &existing, keys, changes)
    }

    /// Removes the keys of an earlier context from users that have none in this one.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    pub fn revoke(&mut self, plan: &Plan, changes: &mut Changes) {
        // Collected once, since every account is compared.
        let mut names = Vector::new();
        for name in plan.users() {
            names.push(name);
        }
        let has_keys = |user: &User| names.contains(&user.name.bytes());
        for account in self.logins.accounts {
            if !account.user.has_shell() || has_keys(account.user) {
                continue;
            }
            match self.revoke_one(account, changes) {
                Ok(()) => {}
                // There is nothing of ours, or the home is handled with its owner.
                Err(error) if error == NO_HOME || error == SHARED_HOME => {}
                Err(error) => changes.problem(REVOKE, &account.user.name, error),
            }
        }
    }

    fn revoke_one(&mut self, account: &Account, changes: &mut Changes) -> Result<(), Error> {
        let file = account.key_file?;
        if !file.home.is_present() || self.decided.contains(&file.path) {
            return Ok(());
        }
        // We made no link, and nothing that is neither file nor directory.
        let directory = if_there(file.directory)?.flatten();
        let content = match file.content {
            // It is unknown whether keys of ours are in it.
            Err(error) if error == TOO_LARGE => return Err(error),
            Err(error) if error.errno().is_none() => None,
            content => if_there(content)?.flatten(),
        };
        match content {
            Some(content) if authorized_keys::is_marked(content.content) => {
                let existing = Existing::trusted(account.user, file)?;
                self.update_block(REVOKE, account.user, file, &existing, &[], changes)
            }
            _ if directory.is_some() => changes.remove_leftover(file.path),
            _ => Ok(()),
        }
    }

    /// Updates our block in one file. A failure is reported as `step`.
    fn update_block(
        &mut self,
        step: &'static CStr,
        user: &User,
        file: &KeyFile,
        existing: &Existing,
        keys: &[&'static [u8]],
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let path = file.path;
        let old = existing.file.map_or(&b""[..], |found| found.content);
        let merged = authorized_keys::merge(old, keys);
        if merged.broken {
            changes.problem(
                c"onecontext's block in",
                path.path(),
                c"a marker was missing, so lines that may be old keys of ours were kept",
            );
        }
        for options in authorized_keys::restrictions(merged.outside, keys).take(MOST_RESTRICTIONS) {
            let what = b": no longer restricts a key that the context has, too: ";
            changes.note(&[path.path(), what, &options]);
        }
        if merged.content.len() as u64 > LARGEST {
            return Err(TOO_LARGE);
        }
        let new = new_file(user, file, existing, merged.content);
        let in_run = self.in_run(user, new, keys.len());
        let reason = memory::place(Reason {
            level: Level::Problem,
            step: step.into(),
            operand: user.name.bytes(),
            error: in_run.err().unwrap_or(nowhere(file.home)),
        });
        let elsewhere = Elsewhere {
            later: self.later(user, file, changes),
            in_run: in_run.unwrap_or(None),
        };
        changes.push(Change {
            mount: Mount::Instead(reason),
            old: Some(existing.file),
            elsewhere: Some(memory::place(elsewhere)),
            done: done(user, keys.len(), path.path()),
            ..Change::new(path, What::File(memory::place(new)))
        });
        Ok(())
    }

    /// How systemd-tmpfiles writes the keys, if the home is not there yet.
    fn later(&self, user: &User, file: &KeyFile, changes: &mut Changes) -> Option<&'static Later> {
        let (is_mounted, (kind, suffix)) = match file.home {
            Home::Present => return None,
            Home::Missing => (false, ("f+", &b""[..])),
            Home::MountedLater => (true, in_later_home(self.sshd)),
        };
        if kind == "f" {
            // This type leaves a file that is there as it is.
            changes.if_written(|changes| {
                changes.problem(
                    STEP,
                    &user.name,
                    c"its home is mounted later: an authorized_keys that is there then is \
                      left as it is",
                );
            });
        }
        let mut owner = Text::new();
        uwrite!(owner, "{} {}", user.uid, user.gid);
        let tmpfiles = match self.systemd {
            Ok(true) => Ok(Tmpfiles {
                kind,
                suffix,
                owner: owner.finish(),
                makes_home: user.uid != 0,
            }),
            Ok(false) => Err(Error::new(
                c"its home is not there yet, and this init takes nothing from /run",
            )),
            Err(error) => Err(error),
        };
        Some(memory::place(Later {
            is_mounted,
            tmpfiles,
        }))
    }

    /// A file in the run directory with the keys of a user, if the server can be told of
    /// it.
    fn in_run(
        &self,
        user: &User,
        new: File,
        count: usize,
    ) -> Result<Option<&'static InRun>, Error> {
        let Some(sshd) = self.sshd.filter(|sshd| sshd.is_openssh()) else {
            return Ok(None);
        };
        let path = memory::concat(&[KEYS_IN_RUN, &user.name]);
        let directory = DirectoryPolicy::CreateOnly(Access::DIRECTORY);
        let what = What::File(memory::place(File { directory, ..new }));
        Ok(Some(memory::place(InRun {
            file: memory::place(Change {
                done: done(user, count, path),
                ..Change::new(ResolvedPath::new(path)?, what)
            }),
            configuration: self.configuration?,
            is_better: !sshd.config.looks_at(b"authorized_keys"),
        })))
    }
}

/// The type of the line of systemd-tmpfiles for keys in a home that is mounted later,
/// and the suffix of their file's name. An authorized_keys in that home cannot be read
/// now, and must not be lost. So the keys go to OpenSSH's second file, authorized_keys2,
/// which nobody else uses; where there is no such file, as with Dropbear, to
/// authorized_keys, but only if there is none.
pub fn in_later_home(sshd: Option<&Sshd>) -> (&'static str, &'static [u8]) {
    match sshd {
        Some(sshd) if sshd.is_openssh() && sshd.config.looks_at(b"authorized_keys2") => {
            ("f+", b"2")
        }
        _ => ("f", b""),
    }
}

/// Why keys have no place.
fn nowhere(home: Home) -> Error {
    Error::new(match home {
        Home::MountedLater => {
            c"its home is mounted later, this root is not written, and only OpenSSH's \
              server finds keys elsewhere: install openssh-server in the image"
        }
        Home::Present | Home::Missing => {
            c"it cannot be written, and there is no authorized_keys to mount over: \
              make an empty one in the image"
        }
    })
}

/// The line for the report. Keys that were there are reported, too.
fn done(user: &User, count: usize, path: &[u8]) -> Done {
    let line = done_line(user, count, path);
    match count {
        0 => Done::Made(line),
        _ => Done::There(line),
    }
}

/// `alice: 2 keys in /home/alice/.ssh/authorized_keys`
fn done_line(user: &User, count: usize, path: &[u8]) -> &'static [u8] {
    let mut line = Text::new();
    let unit = if count == 1 { "key" } else { "keys" };
    uwrite!(
        line,
        "{}: {} {} in {}",
        user.name,
        count,
        unit,
        Escaped(path)
    );
    line.finish()
}

/// The new file. What belongs to root stays root's.
fn new_file(user: &User, file: &KeyFile, existing: &Existing, content: &'static [u8]) -> File {
    let access = |mode| Access {
        mode,
        owner: Some((user.uid, user.gid)),
        label: Label::SshHome,
    };
    let own = match existing.file {
        Some(found) if found.uid != user.uid => Access {
            label: Label::SshHome,
            ..Access::of(found)
        },
        _ => access(0o600),
    };
    // A link of root may lead to another directory.
    let is_usual = file.path.path().ends_with(b"/.ssh/authorized_keys");
    let directory = match is_usual && !existing.in_directory_of_root(user) {
        true => DirectoryPolicy::Enforce(access(0o700)),
        false => DirectoryPolicy::CreateOnly(access(0o700)),
    };
    File {
        content,
        access: own,
        directory,
    }
}
