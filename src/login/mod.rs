//! Who may log in: SSH keys, written where the root's sshd looks, and the SSH
//! server itself.
mod authorized_keys;
mod key_file;
pub mod sshd;
mod sshd_config;
mod tmpfiles;

use ufmt::uwrite;

use crate::base::arena::Vector;
use crate::base::error::Error;
use crate::base::text::Escaped;
use crate::changeset::{Access, Action, Change, Changes, File, Folder, Label, RootAccess};
use crate::image::passwd::{User, Users};
use crate::image::systemd::units;
use crate::image::{ResolvedPath, Root, if_there, later_mounts};
use crate::plan::Plan;
use key_file::{Existing, Home, KeyFile, NO_HOME, SHARED_HOME};

/// Applied by systemd-tmpfiles-setup.service, before systemd's own
/// provision.conf: of two lines for one path the first counts.
const TMPFILES: &[u8] = b"/run/tmpfiles.d/50-onecontext.conf";
/// Where sshd looks for keys of a root that never can be written, by the
/// user's name; and how its configuration says so (sshd_config(5), TOKENS).
const KEYS_IN_RUN: &[u8] = b"/run/onecontext/keys/";
const KEY_FILE_IN_RUN: &[u8] = b"/run/onecontext/keys/%u";
/// How a failure to give a user its keys is reported.
const STEP: &str = "keys for user";

/// What is to be written for the logins of `plan`, and what stands in the way
/// of them. Writes nothing.
pub fn decide<'a>(plan: &Plan, root: &Root<'a>, access: RootAccess, changes: &mut Changes<'a>) {
    let users = match Users::read(root) {
        Ok(users) => users,
        Err(reason) => {
            changes.problem("read users", b"/etc/passwd", reason);
            return;
        }
    };
    if let Some(reason) = later_mounts(root).problem {
        changes.problem("look for later mounts in", b"/etc/fstab", reason);
    }
    let sshd = match plan.keys.is_empty() {
        true => None,
        false => sshd::inspect(root)
            .map_err(|reason| changes.problem("SSH server", b"sshd", reason))
            .ok(),
    };
    let mut logins = Logins {
        root,
        access,
        takes_keys_from_run: sshd.is_some_and(sshd::Facts::is_openssh),
        lines: Tmpfiles(root.arena().vector()),
        decided: root.arena().vector(),
        homes_of_root: homes_of_root(root, &users),
        keys_in_run: false,
    };
    logins.grant(plan, &users, changes);
    logins.revoke(plan, &users, changes);
    let keys_in_run = logins.keys_in_run;
    if let Err(reason) = logins.lines.finish(root, changes) {
        changes.problem("write", TMPFILES, reason);
    }
    if let Some(facts) = sshd {
        if let Err(reason) = sshd::decide(root, facts, access, keys_in_run, changes) {
            changes.problem("SSH server", b"sshd", reason);
        }
        check_config(plan, root, &users, facts, keys_in_run, changes);
    }
}

/// The homes of the users with the number 0.
fn homes_of_root<'a>(root: &Root<'a>, users: &Users<'a>) -> &'a [ResolvedPath<'a>] {
    let mut homes = root.arena().vector();
    for user in users.iter().filter(|user| user.uid == 0) {
        // Where that home cannot be found, nobody shares it.
        if let Ok(home) = root.resolve(user.home) {
            homes.push(home);
        }
    }
    homes.finish()
}

/// How the keys of a user reach sshd.
#[derive(Clone, Copy)]
enum Way {
    /// The file is replaced.
    Replace,
    /// A copy in /run is mounted over the file.
    BindOver,
    /// A file in /run, where sshd is told to look as well.
    Run,
    /// systemd-tmpfiles writes the file in the booted system.
    Tmpfiles,
    /// None, for this reason.
    Impossible(Error),
}

/// The decisions on the files of all users.
struct Logins<'d, 'a> {
    root: &'d Root<'a>,
    access: RootAccess,
    /// The server can be told to look for keys in /run.
    takes_keys_from_run: bool,
    lines: Tmpfiles<'a>,
    /// Files that a user of this context has.
    decided: Vector<'a, ResolvedPath<'a>>,
    homes_of_root: &'a [ResolvedPath<'a>],
    /// Some keys are in /run alone.
    keys_in_run: bool,
}

impl<'a> Logins<'_, 'a> {
    /// Gives the users of the plan their keys.
    fn grant(&mut self, plan: &Plan, users: &Users<'a>, changes: &mut Changes<'a>) {
        for name in plan.users() {
            let Some(user) = users.find(name) else {
                changes.problem(
                    STEP,
                    name,
                    &"no such user in /etc/passwd: make it in the image, or name another in USERNAME",
                );
                continue;
            };
            let mut keys = self.root.arena().vector();
            for key in plan.keys.iter().filter(|key| key.user == name) {
                keys.push(key.line);
            }
            if let Err(reason) = self.grant_one(&user, &keys, users, changes) {
                changes.problem(STEP, name, reason);
            }
            if !user.has_shell() {
                changes.problem("login of user", name, &"its shell lets nobody in");
            }
        }
    }

    fn grant_one(
        &mut self,
        user: &User<'a>,
        keys: &[&[u8]],
        users: &Users<'a>,
        changes: &mut Changes<'a>,
    ) -> Result<(), Error> {
        let file = KeyFile::find(self.root, user, self.homes_of_root)?;
        // Nobody owns a home that is not there: it is that of its first user.
        let has_this_home = |other: &User| other.home == user.home;
        if file.home != Home::Present
            && let Some(first) = users.iter().find(has_this_home)
            && first.uid != user.uid
        {
            return Err(SHARED_HOME);
        }
        // Such as toor beside root: the keys of the one would go with those of
        // the other.
        if self.decided.contains(&file.resolved) {
            return Err(Error::new(
                &"its home is that of another user of this context",
            ));
        }
        self.decided.push(file.resolved);
        let existing = file.existing(self.root)?;
        if existing.in_directory_of_root(user) {
            changes.problem(
                "login of user",
                user.name,
                &"its .ssh belongs to root, who must have left it there: it is left so, and sshd \
                 takes it, but chown it to the user in the image",
            );
        }
        self.bring(&file, &existing, keys, changes)
    }

    /// Who had keys of an earlier context loses them with it.
    fn revoke(&mut self, plan: &Plan, users: &Users<'a>, changes: &mut Changes<'a>) {
        let has_keys = |user: &User| plan.users().any(|name| name == user.name);
        for user in users.iter().filter(User::has_shell) {
            if has_keys(&user) {
                continue;
            }
            match self.revoke_one(&user, changes) {
                Ok(()) => {}
                // Nothing of ours is there, or it is the owner's turn.
                Err(error) if error == NO_HOME || error == SHARED_HOME => {}
                Err(reason) => changes.problem("remove keys of user", user.name, reason),
            }
        }
    }

    fn revoke_one(&mut self, user: &User<'a>, changes: &mut Changes<'a>) -> Result<(), Error> {
        let file = KeyFile::find(self.root, user, self.homes_of_root)?;
        if file.home != Home::Present || self.decided.contains(&file.resolved) {
            return Ok(());
        }
        match self.root.read_resolved(file.resolved) {
            Ok(found) if authorized_keys::is_marked(found.content) => {
                let existing = file.existing(self.root)?;
                self.bring(&file, &existing, &[], changes)
            }
            // No file, or one that we never made.
            Ok(_) => self.sweep(file.resolved, changes),
            Err(error) if error.errno().is_none() => self.sweep(file.resolved, changes),
            Err(error) => {
                if_there(Err(error)).and_then(|_: Option<()>| self.sweep(file.resolved, changes))
            }
        }
    }

    fn sweep(&self, resolved: ResolvedPath<'a>, changes: &mut Changes<'a>) -> Result<(), Error> {
        match self.access {
            RootAccess::Writable => changes.sweep(resolved),
            _ => Ok(()),
        }
    }

    /// Brings the block of one file up to date.
    fn bring(
        &mut self,
        file: &KeyFile<'_, 'a>,
        existing: &Existing<'a>,
        keys: &[&[u8]],
        changes: &mut Changes<'a>,
    ) -> Result<(), Error> {
        let arena = self.root.arena();
        let KeyFile {
            user,
            resolved,
            home,
        } = *file;
        let old = existing.file.map_or(&b""[..], |found| found.content);
        let merged = authorized_keys::merge(arena, old, keys);
        if merged.broken {
            changes.problem(
                "onecontext's block in",
                resolved.path(),
                &"a marker was missing, so lines that may be old keys of ours were kept",
            );
        }
        let new = new_file(file, existing, merged.content);
        let done = said(self.root, user, keys.len(), resolved.path());
        if is_done(existing, &new) {
            if !keys.is_empty() {
                changes.note(&[done]);
            }
            return self.sweep(resolved, changes);
        }
        match self.way(file, existing)? {
            Way::Replace => changes.push(Change {
                path: resolved,
                action: Action::File(new),
                done,
            }),
            Way::BindOver => changes.push(Change {
                path: resolved,
                action: Action::BindOver(new),
                done,
            }),
            Way::Run => {
                let path = arena.concat(&[KEYS_IN_RUN, user.name]);
                let done = said(self.root, user, keys.len(), path);
                let folder = Folder::Made(Access::FOLDER);
                changes.push(Change {
                    path: ResolvedPath::new(arena, path)?,
                    action: Action::File(File { folder, ..new }),
                    done,
                });
                self.keys_in_run = true;
            }
            Way::Tmpfiles => {
                if existing.is_root_s(user) {
                    return Err(Error::new(
                        &"its .ssh belongs to root: chown it to the user in the image",
                    ));
                }
                match home {
                    Home::MountedLater => {
                        self.lines
                            .keys_elsewhere(self.root, file, merged.content, changes)?;
                    }
                    _ => self.lines.keys(file, "f+", b"", merged.content)?,
                }
                changes.note(&[done, b", by systemd-tmpfiles"]);
            }
            Way::Impossible(why) => return Err(why),
        }
        Ok(())
    }

    fn way(&self, file: &KeyFile, existing: &Existing) -> Result<Way, Error> {
        let is_present = file.home == Home::Present;
        let may_be_written_later = self.access != RootAccess::ReadOnly;
        let way = if file.resolved.in_run() || self.access == RootAccess::Writable && is_present {
            Way::Replace
        } else if may_be_written_later && units::is_init(self.root)? {
            // A mount over the file would make later renames over it fail.
            Way::Tmpfiles
        } else if existing.file.is_some() {
            Way::BindOver
        } else if may_be_written_later {
            Way::Impossible(Error::new(match file.home {
                Home::Present => {
                    &"the root is not to be written now, and its init takes nothing from /run"
                }
                _ => &"its home is not there yet, and this init takes nothing from /run",
            }))
        } else if self.takes_keys_from_run {
            Way::Run
        } else {
            Way::Impossible(Error::new(
                &"the root is read-only, without an authorized_keys to mount over: \
                  make an empty one in the image",
            ))
        };
        Ok(way)
    }
}

/// `alice: 2 keys in /home/alice/.ssh/authorized_keys`
fn said<'a>(root: &Root<'a>, user: &User, count: usize, path: &[u8]) -> &'a [u8] {
    let mut line = root.arena().vector();
    let unit = if count == 1 { "key" } else { "keys" };
    uwrite!(
        line,
        "{}: {} {} in {}",
        Escaped(user.name),
        count,
        unit,
        Escaped(path)
    );
    line.finish()
}

/// The file as it should be. What is root's stays root's.
fn new_file<'a>(file: &KeyFile<'_, 'a>, existing: &Existing<'a>, content: &'a [u8]) -> File<'a> {
    let user = file.user;
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
    // A link of root's own leads to some other directory.
    let is_usual = file.resolved.path().ends_with(b"/.ssh/authorized_keys");
    let folder = match is_usual && !existing.in_directory_of_root(user) {
        true => Folder::Kept(access(0o700)),
        false => Folder::Made(access(0o700)),
    };
    File {
        content,
        access: own,
        folder,
    }
}

/// Whether there is nothing to do for a file and its directory.
fn is_done(existing: &Existing, new: &File) -> bool {
    let Existing {
        file: Some(found),
        directory: Some((mode, uid, gid)),
    } = existing
    else {
        return false;
    };
    found.content == new.content
        && new.access.is(found.mode, found.uid, found.gid)
        && match new.folder {
            Folder::Made(_) => true,
            Folder::Kept(access) => access.is(*mode, *uid, *gid),
        }
}

/// The lines for systemd-tmpfiles so far.
struct Tmpfiles<'a>(Vector<'a, u8>);

impl<'a> Tmpfiles<'a> {
    /// Keys for a home that is not there yet: what its authorized_keys holds
    /// cannot be read, and must not be lost.
    fn keys_elsewhere(
        &mut self,
        root: &Root<'a>,
        file: &KeyFile<'_, 'a>,
        content: &[u8],
        changes: &mut Changes<'a>,
    ) -> Result<(), Error> {
        if sshd_config::Config::read(root).looks_at(b"authorized_keys2") {
            // sshd's own second file, which nobody else uses.
            return self.keys(file, "f+", b"2", content);
        }
        changes.problem(
            STEP,
            file.user.name,
            &"its home is mounted later: an authorized_keys that is there then is left as it is",
        );
        self.keys(file, "f", b"", content)
    }

    /// The user's file, its name ended by `suffix`, and its directory.
    fn keys(
        &mut self,
        file: &KeyFile<'_, 'a>,
        kind: &str,
        suffix: &[u8],
        content: &[u8],
    ) -> Result<(), Error> {
        let KeyFile {
            user,
            resolved,
            home: state,
        } = *file;
        if content.contains(&0) {
            return Err(Error::new(
                &"authorized_keys holds a NUL byte, which systemd-tmpfiles refuses",
            ));
        }
        let owner = (user.uid, user.gid);
        let folder = resolved.cut().0;
        if let Some(home) = folder.strip_suffix(b"/.ssh") {
            // Made by the next line alone, it would be root's.
            if user.uid != 0 && state != Home::Present {
                tmpfiles::line(&mut self.0, "d", &[home], None, owner, None);
            }
            tmpfiles::line(&mut self.0, "d", &[folder], Some(0o700), owner, None);
        }
        let start = self.0.len();
        let path = [resolved.path(), suffix];
        tmpfiles::line(&mut self.0, kind, &path, Some(0o600), owner, Some(content));
        if self.0.len().saturating_sub(start) > tmpfiles::LONGEST_LINE {
            self.0.truncate(start);
            return Err(Error::new(
                &"more keys than a line for systemd-tmpfiles holds, 1 MiB",
            ));
        }
        Ok(())
    }

    fn finish(self, root: &Root<'a>, changes: &mut Changes<'a>) -> Result<(), Error> {
        let text = self.0.finish();
        if text.is_empty() {
            return Ok(());
        }
        // Not public: it holds what a private file of a user holds.
        let file = File {
            content: text,
            access: Access::ours(0o600),
            folder: Folder::Made(Access::FOLDER),
        };
        changes.file(ResolvedPath::new(root.arena(), TMPFILES)?, file);
        Ok(())
    }
}

/// What in the configuration of sshd keeps the keys from working.
fn check_config<'a>(
    plan: &Plan,
    root: &Root<'a>,
    users: &Users<'a>,
    facts: &sshd::Facts<'a>,
    keys_in_run: bool,
    changes: &mut Changes<'a>,
) {
    if !facts.is_openssh() {
        return;
    }
    let config = &facts.config;
    if let Some((path, reason)) = config.problem {
        changes.problem("sshd configuration", path, reason);
    }
    if config.takes_no_key() {
        changes.problem(
            "SSH keys",
            b"sshd_config",
            &"PubkeyAuthentication no: sshd takes no key at all",
        );
    }
    if !keys_in_run && !config.looks_at(b"authorized_keys") {
        changes.problem(
            "SSH keys",
            b"sshd_config",
            &"AuthorizedKeysFile does not name .ssh/authorized_keys: sshd looks elsewhere",
        );
    }
    for user in plan.users().filter_map(|name| users.find(name)) {
        let mut problem =
            |what: &'static &'static str| changes.problem("login of user", user.name, what);
        if user.uid == 0 && config.permits_root(b"no") {
            problem(&"sshd_config says PermitRootLogin no: say prohibit-password, or set USERNAME");
        }
        if user.uid == 0 && config.permits_root(b"forced-commands-only") {
            problem(&"sshd_config says PermitRootLogin forced-commands-only: no shell for root");
        }
        // sshd refuses keys that others could have put there (sshd(8), FILES).
        if config.is_lax() {
            continue;
        }
        let home = root
            .resolve_and_stat(user.home)
            .and_then(|(_, stat)| Ok(stat?));
        match if_there(home) {
            Ok(Some(stat)) if stat.st_mode & 0o022 != 0 => {
                problem(&"its home can be written by others, so sshd ignores its keys: chmod go-w");
            }
            Ok(_) => {}
            Err(reason) => changes.problem("look at the home of user", user.name, reason),
        }
    }
}

#[cfg(test)]
mod tests;
