//! The account of USERNAME: created if the root lacks it, with sudo(8). Also passwords.
//!
//! The root's own tools do the work: a script in /run calls them, once the root can be
//! written and before the SSH server listens. It is a script and not a list of
//! `ExecStart=`, since it continues where a tool fails, and sysvinit can run it as
//! well.
use super::authorized_keys::merge;
use super::keys::in_later_home;
use super::ownership::Existing;
use crate::base::description::operand;
use crate::base::error::Error;
use crate::base::log::Level;
use crate::base::memory::{self, Vector};
use crate::base::text::{Text, command, format, lines, split};
use crate::changeset::tmpfiles::Tmpfiles;
use crate::changeset::{Access, Change, Changes, Done, File, Mount, Reason, What};
use crate::image::ResolvedPath;
use crate::image::account::{AccountFacts, Init, NewUser, Sudo, UserMaker};
use crate::image::config_file::ConfigFile;
use crate::image::key_file::{Home, SHARED_HOME};
use crate::image::sshd::Sshd;
use crate::plan::{Password, Plan, SudoRule};

const SCRIPT: &[u8] = b"/run/onecontext/users";
/// For systemd-tmpfiles. Not in /run/tmpfiles.d, since they apply after the user was
/// created.
const KEY_LINES: &[u8] = b"/run/onecontext/users.conf";
/// The new user's authorized_keys, if there is no systemd.
const KEYS: &[u8] = b"/run/onecontext/users.keys";
const SUDOERS: &[u8] = b"/run/onecontext/sudoers";
/// A line for chpasswd(8); removed after use.
const PASSWORDS: &[u8] = b"/run/onecontext/passwords";

/// The first line of a file of rules that is ours.
const MARK: &[u8] = b"# Made by onecontext: USERNAME_SUDO of the context.\n";

/// The script, up to the calls of its functions. Its comments are here, since every
/// initramfs has its text:
/// - `complete_user`: useradd(8) was killed between two of its files.
/// - `make_user_by_useradd`: another tool such as cloud-init may have made the user. `*` is
///   no hash, and neither is `!`; but with `*` sshd accepts the user's keys also without PAM
///   (openssh:configure.ac, LOCKED_PASSWD_PREFIX).
/// - `give_keys_by_install`: the home is new, so it contains no link of a user.
/// - `place_sudo_rule`: sudo(8) does not read files with a dot in their names.
/// - `set_password_hash`: through a pipe, since SELinux may deny chpasswd the files in /run.
/// - `set_password`: unix_chkpwd(8) tells whether the user has this password already: a new
///   hash at each boot would differ. It reads a text that ends with a NUL.
const FUNCTIONS: &[u8] = include_bytes!("users.sh");

/// The reason if the root cannot be written.
const NOT_WRITTEN: Error =
    Error::new(c"the root cannot be written, or is not to be: do it in the image");
/// The reason if nothing can start the script.
const NO_INIT: Error = Error::new(
    c"this image's init takes nothing from /run: do it in the image, or add systemd to it",
);

/// Decides what is to be done for the account of `plan`, and reports what prevents it.
/// `systemd`: whether systemd is init. `sshd`: the SSH server, if it is known.
pub fn decide(
    plan: &Plan,
    account: &AccountFacts,
    systemd: bool,
    sshd: Option<&Sshd>,
    changes: &mut Changes,
) -> Result<(), Error> {
    let mut task = Task {
        account,
        systemd,
        can_run: match systemd || account.init.is_some() {
            true => Ok(()),
            false => Err(NO_INIT),
        },
        script: Vector::new(),
    };
    match &account.new {
        None => {
            // It may lack its line in shadow(5), without which PAM refuses it. pwconv(8)
            // adds the line, with the password of passwd(5), "x".
            if account.is_unfinished {
                changes.if_written(|_| command(&mut task.script, b"complete_user", &[]));
            }
            task.account(plan, true, changes);
        }
        Some(new) => {
            let problem = |reason, changes: &mut Changes| {
                changes.problem(c"make user", &new.user.name, reason);
            };
            changes.if_not_written(|changes| problem(NOT_WRITTEN, changes));
            changes.if_written(|changes| {
                let made = task.make_user(plan, sshd, new, changes);
                if let Err(reason) = made {
                    problem(reason, changes);
                }
                task.account(plan, made.is_ok(), changes);
            });
        }
    }
    task.finish(changes)
}

/// The script under construction.
struct Task<'d> {
    account: &'d AccountFacts,
    systemd: bool,
    /// Whether a script can be started.
    can_run: Result<(), Error>,
    script: Text,
}

impl Task<'_> {
    /// Sudo and the password. `is_there`: the user of the plan is there then.
    fn account(&mut self, plan: &Plan, is_there: bool, changes: &mut Changes) {
        let is_wanted = is_there && plan.login.sudo != SudoRule::None;
        let [file, before] = self.account.sudoers;
        match plan.user.filter(|_| is_wanted) {
            Some(user) => {
                if let Err(reason) = self.add_rule(plan, user, changes) {
                    no_sudo(plan, user, reason, changes);
                }
            }
            None => remove_rule(file, changes),
        }
        remove_rule(before, changes);
        if let Some((user, password)) = plan.login.password
            && (is_there || plan.user != Some(user))
            && let Err(reason) = self.password(user, password, changes)
        {
            changes.problem(c"password of user", user, reason);
        }
    }

    fn make_user(
        &mut self,
        plan: &Plan,
        sshd: Option<&Sshd>,
        new: &NewUser,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let user = &new.user;
        self.can_run?;
        if !is_new_name(&user.name) {
            return Err(Error::new(
                c"useradd(8) takes no such name: letters, digits, _, - and ., \
                  32 at most, the first no digit",
            ));
        }
        let maker = new.maker.ok_or(Error::new(
            c"there is no useradd in this image: add it, or the user itself",
        ))?;
        let give_keys = self.new_keys(plan, sshd, new, changes)?;
        if let Some(reason) = new.shell_problem {
            changes.problem(c"shell", plan.login.shell.unwrap_or_default(), reason);
        }
        let mut arguments = Vector::<&[u8]>::new();
        arguments.extend(&[&user.name, &user.home, &user.shell]);
        let (make_user, of_group): (&[u8], &[u8]) = match maker {
            UserMaker::Useradd => (b"make_user_by_useradd", b"--gid"),
            UserMaker::Adduser => (b"make_user_by_adduser", b"-G"),
        };
        if new.has_group {
            arguments.extend(&[of_group, &user.name]);
        } else if maker == UserMaker::Useradd {
            arguments.push(b"--user-group");
        }
        if new.keeps_uid && maker == UserMaker::Useradd {
            arguments.extend(&[b"--uid", format(&user.uid)]);
        }
        command(&mut self.script, make_user, &arguments);
        self.script.extend(&give_keys);
        if maker == UserMaker::Adduser && plan.login.password.is_none() {
            self.password(user.name.bytes(), Password::Locked, changes)?;
        }
        let (name, shell) = (user.name.bytes(), user.shell.bytes());
        let fields = [operand("user", name), operand("shell", shell)];
        changes.directive("create-user", &fields);
        let said = b": made in the booted system, its shell is ";
        changes.note(&[&user.name, said, &user.shell]);
        Ok(())
    }

    /// The call that gives a new user its keys.
    fn new_keys(
        &self,
        plan: &Plan,
        sshd: Option<&Sshd>,
        new: &NewUser,
        changes: &mut Changes,
    ) -> Result<Text, Error> {
        let user = &new.user;
        let mut call = Text::new();
        let keys = plan.keys_of(&user.name);
        let file = new.key_file?;
        if file.home.is_present() && !new.keeps_uid {
            return Err(SHARED_HOME);
        }
        if keys.is_empty() {
            return Ok(call);
        }
        let (old, kind, suffix): (&[u8], _, &[u8]) = match file.home {
            Home::Missing => (new.skeleton.map_or(b"", |found| found.content), "f+", b""),
            _ if !self.systemd => {
                return Err(Error::new(
                    c"its home is there already, or mounted later: make it in the image",
                ));
            }
            Home::Present => {
                let existing = Existing::trusted(user, file)?;
                if existing.is_owned_by_root(user) {
                    return Err(SHARED_HOME);
                }
                (existing.file.map_or(b"", |found| found.content), "f+", b"")
            }
            Home::MountedLater => {
                let (kind, suffix) = in_later_home(sshd);
                (b"", kind, suffix)
            }
        };
        let content = merge(old, keys).content;
        if !self.systemd {
            self.private(KEYS, content, 0o600, changes)?;
            command(
                &mut call,
                b"give_keys_by_install",
                &[&user.name, &user.home],
            );
            return Ok(call);
        }
        let tmpfiles = Tmpfiles {
            kind,
            suffix,
            owner: memory::concat(&[&user.name, b" ", &user.name]),
            makes_home: false,
        };
        let lines = tmpfiles.lines(file.path, content)?;
        self.private(KEY_LINES, lines, 0o600, changes)?;
        command(&mut call, b"give_keys_by_tmpfiles", &[]);
        Ok(call)
    }

    /// Adds a file for the script, which only root can read.
    fn private(
        &self,
        path: &[u8],
        content: &'static [u8],
        mode: u32,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let file = File {
            access: Access::ours(mode),
            ..File::public(content)
        };
        changes.file(ResolvedPath::new(path)?, file);
        Ok(())
    }

    /// Has the script add a rule, unless it is there already.
    fn add_rule(&mut self, plan: &Plan, user: &[u8], changes: &mut Changes) -> Result<(), Error> {
        match self.account.sudo {
            Some(Sudo::Usable) => {}
            // It may be only the default, so this is no problem.
            Some(Sudo::Missing) | None => {
                changes.note(&[user, b": no sudo in this image"]);
                return Ok(());
            }
            Some(Sudo::NoVisudo) => {
                return Err(Error::new(c"no visudo in this image to check the rule"));
            }
            Some(Sudo::NoDirectory) => {
                return Err(Error::new(
                    c"/etc/sudoers does not include /etc/sudoers.d: have it do so in the image",
                ));
            }
        }
        let rule = rule(user);
        if self.has_rule(rule)? {
            changes.note(&[user, b": may use sudo"]);
            return Ok(());
        }
        changes.if_not_written(|changes| no_sudo(plan, user, NOT_WRITTEN, changes));
        changes.if_written(|changes| {
            self.can_run?;
            self.private(SUDOERS, rule, 0o440, changes)?;
            command(&mut self.script, b"place_sudo_rule", &[]);
            changes.note(&[user, b": may use sudo, once visudo has checked the rule"]);
            Ok(())
        })
    }

    /// Whether our file of rules holds this one, and sudo accepts its owner and mode.
    /// A file that somebody else wrote is an error.
    fn has_rule(&self, rule: &[u8]) -> Result<bool, Error> {
        let [file, _] = self.account.sudoers;
        let Some(file) = file.content else {
            return Ok(false);
        };
        if !file.content.starts_with(MARK) {
            return Err(Error::new(
                c"/etc/sudoers.d/zz-onecontext is not of onecontext's making: left as it is",
            ));
        }
        let access = Access {
            owner: Some((0, 0)),
            ..Access::ours(0o440)
        };
        Ok(file.content == rule && access.is(file.mode, file.uid, file.gid))
    }

    fn password(
        &mut self,
        user: &'static [u8],
        password: Password,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let old = self.account.password;
        let (text, said): (&[u8], &[u8]) = match password {
            Password::Crypted(hash) => (hash, b": its password is that of the context"),
            Password::Plain(text) => (text, b": its password becomes that of the context"),
            // No password has this hash, and sshd accepts the user's keys.
            Password::Locked => (b"*", b": it has no password"),
        };
        let is_done = match password {
            Password::Crypted(hash) => old == Some(hash),
            Password::Plain(_) => false,
            Password::Locked => old.is_some_and(|old| matches!(old.first(), Some(b'*' | b'!'))),
        };
        if is_done {
            changes.note(&[user, said]);
            return Ok(());
        }
        changes.if_not_written(|changes| {
            changes.problem(c"password of user", user, NOT_WRITTEN);
        });
        changes.if_written(|changes| {
            self.can_run?;
            if !self.account.chpasswd {
                return Err(Error::new(c"no chpasswd in this image: add it"));
            }
            let line = memory::concat(&[user, b":", text, b"\n"]);
            self.private(PASSWORDS, line, 0o600, changes)?;
            match password {
                Password::Plain(_) => command(&mut self.script, b"set_password", &[user]),
                _ => command(&mut self.script, b"set_password_hash", &[]),
            }
            changes.note(&[user, said]);
            Ok(())
        })
    }

    /// Adds the script, and what starts it.
    fn finish(mut self, changes: &mut Changes) -> Result<(), Error> {
        if self.script.is_empty() {
            return Ok(());
        }
        command(&mut self.script, b"finish", &[]);
        let script = memory::concat(&[FUNCTIONS, &self.script]);
        changes.written_later(|changes| {
            changes.run_file(SCRIPT, script)?;
            match self.account.init {
                Some(init) => start_by_init(&init, changes),
                None => start_by_systemd(changes),
            }
        })
    }
}

/// Removes a file of rules if it is ours.
fn remove_rule(found: &ConfigFile, changes: &mut Changes) {
    if !(found.content).is_some_and(|file| file.content.starts_with(MARK)) {
        return;
    }
    let not_written: &Reason = memory::place(Reason {
        level: Level::Problem,
        step: c"sudo".into(),
        operand: found.path.path(),
        error: Error::new(
            c"of an earlier context, and the root cannot be written: remove it in the image",
        ),
    });
    changes.push(Change {
        mount: Mount::Instead(not_written),
        old: Some(found.content),
        done: Done::Made(b"sudo: the rule of an earlier context is removed"),
        ..Change::new(found.path, What::Nothing)
    });
}

/// Reports why a user gets no rule.
fn no_sudo(plan: &Plan, user: &[u8], reason: Error, changes: &mut Changes) {
    match plan.login.sudo {
        // It is only the default: no problem.
        SudoRule::ByDefault => {
            changes.note(&[b"no sudo for user ", user, b": ", format(&reason)]);
        }
        SudoRule::Asked | SudoRule::None => changes.problem(c"sudo for user", user, reason),
    }
}

/// A rule of sudoers(5) by which the user may do everything without a password.
fn rule(user: &[u8]) -> &'static [u8] {
    // In quotes a name in capitals is neither ALL nor an alias. sudo-rs knows no quotes.
    let quote: &[u8] = match user.iter().any(u8::is_ascii_lowercase) {
        true => b"",
        false => b"\"",
    };
    memory::concat(&[MARK, quote, user, quote, b" ALL=(ALL:ALL) NOPASSWD: ALL\n"])
}

/// Whether useradd(8) accepts this name.
fn is_new_name(name: &[u8]) -> bool {
    name.len() <= 32
        && name.first().is_some_and(|first| !first.is_ascii_digit())
        && (name.iter()).all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte))
}

/// Starts the script by a unit of sysinit.target, so that it runs whether a service or
/// a socket starts the server.
fn start_by_systemd(changes: &mut Changes) -> Result<(), Error> {
    const UNIT: &[u8] = b"/run/systemd/system/onecontext-users.service";
    const WANTS: &[u8] = b"/run/systemd/system/sysinit.target.wants/onecontext-users.service";
    // Sockets start before basic.target, hence no default dependencies. No order after
    // cloud-init, which on some images starts after sockets. systemd-tmpfiles removes
    // lock files of passwd(5) that a power cut has left (Debian's tmpfiles.d/passwd.conf).
    const TEXT: &[u8] = include_bytes!("onecontext-users.service");
    changes.run_file(UNIT, TEXT)?;
    changes.run_symlink(WANTS, UNIT, Done::Path)
}

/// Adds a line to a copy of inittab(5), mounted over it, before the first `wait` line,
/// which enters the runlevel: init runs the lines that it waits for in their order.
fn start_by_init(init: &Init, changes: &mut Changes) -> Result<(), Error> {
    let Some(found) = init.inittab.content else {
        return Err(NO_INIT);
    };
    let mut before = 0;
    let is_wait = |line: &[u8]| {
        !line.starts_with(b"#") && split(line, |byte| byte == b':').nth(2) == Some(b"wait")
    };
    for line in lines(found.content) {
        if is_wait(line) {
            break;
        }
        before += line.len() + 1;
    }
    let Some((head, rest)) = found.content.split_at_checked(before) else {
        return Err(NO_INIT);
    };
    // To BusyBox the first field is a terminal.
    let start: &[u8] = match init.is_busybox {
        true => b"::wait:/bin/sh ",
        false => b"oc:2345:wait:/bin/sh ",
    };
    let text = memory::concat(&[head, start, SCRIPT, b"\n", rest]);
    changes.cover(init.inittab, found, text);
    Ok(())
}
