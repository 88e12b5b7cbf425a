//! Who may log in: SSH keys, written where the root's sshd looks, and the SSH
//! server itself.
mod authorized_keys;
pub mod sshd;
mod sshd_config;
mod tmpfiles;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use ufmt::uwrite;

use crate::memory::Table;
use crate::plan::Plan;
use crate::report::Report;
use crate::root::users::{User, Users};
use crate::root::{
    Access, Change, Changes, Column, File, Folder, Found, Label, Root, Spot, What, Writer,
    later_mounts, mounted_later, units,
};
use crate::text::{Reason, Shown};

/// Applied by systemd-tmpfiles-setup.service, before systemd's own
/// provision.conf: of two lines for one path the first counts.
const TMPFILES: &[u8] = b"/run/tmpfiles.d/50-onecontext.conf";
/// How a failure to give a user its keys is reported.
const STEP: &str = "keys for user";

/// Writes the keys of the plan, and sees to it that the SSH server starts.
/// Each user stands alone: what fails for one is reported and costs no other.
pub fn apply<'a>(
    plan: &Plan,
    root: &Root<'a>,
    writer: &mut Writer<'_, 'a>,
    report: &mut Report<'a>,
) {
    writer.apply(report, |column, changes| {
        decide(plan, root, column, changes)
    });
}

/// What is to be written for the logins of `plan`, and what stands in the way
/// of them. Writes nothing.
pub fn decide<'a>(plan: &Plan, root: &Root<'a>, column: Column, changes: &mut Changes<'a>) {
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
    if let Err(reason) = keys(plan, root, &users, column, changes) {
        changes.problem(STEP, b"authorized_keys", reason);
    }
    if plan.keys.is_empty() {
        return;
    }
    let facts = sshd::inspect(root);
    let decided = facts.and_then(|facts| {
        sshd::decide(root, &facts, column, changes)?;
        check_config(plan, root, &users, &facts, changes);
        Ok(())
    });
    if let Err(reason) = decided {
        changes.problem("SSH server", b"sshd", reason);
    }
}

/// A user's file.
#[derive(Clone, Copy)]
struct Login<'a> {
    user: User<'a>,
    /// Where the file is, or would be, links followed as far as they may be.
    spot: Spot<'a>,
    /// The home is there now, and nothing is mounted over it later.
    visible: bool,
}

fn keys<'a>(
    plan: &Plan,
    root: &Root<'a>,
    users: &Users<'a>,
    column: Column,
    changes: &mut Changes<'a>,
) -> Result<(), Reason> {
    let arena = root.arena();
    let mut lines = Tmpfiles(arena.table());
    let mut written = arena.table();
    for name in plan.users() {
        let Some(user) = users.find(name) else {
            changes.problem(
                STEP,
                name,
                "no such user in /etc/passwd: make it in the image, or name another in USERNAME",
            );
            continue;
        };
        let mut keys = arena.table();
        for key in plan.keys.iter().filter(|key| key.user == name) {
            keys.push(key.line);
        }
        let done = login(root, user).and_then(|login| {
            // Such as toor beside root: the keys of the one would go with
            // those of the other.
            if written.contains(&login.spot) {
                return Err("its home is that of another user of this context".into());
            }
            written.push(login.spot);
            one_file(root, &login, &keys, column, &mut lines, changes)
        });
        if let Err(reason) = done {
            changes.problem(STEP, name, reason);
        }
        if !user.has_shell() {
            changes.problem("login of user", name, "its shell lets nobody in");
        }
    }
    // Who had keys of an earlier context loses them with it.
    let has_keys = |user: &User| plan.users().any(|name| name == user.name);
    for user in users.iter().filter(User::has_shell) {
        if has_keys(&user) {
            continue;
        }
        // Where nobody can look there are no keys of ours.
        if let Ok(login) = login(root, user)
            && login.visible
            && !written.contains(&login.spot)
            && let Ok(found) = root.read_spot(login.spot)
            && authorized_keys::is_marked(found.content)
            && let Err(reason) = one_file(root, &login, &[], column, &mut lines, changes)
        {
            changes.problem("remove keys of user", user.name, reason);
        }
    }
    lines.finish(root, changes)
}

fn login<'a>(root: &Root<'a>, user: User<'a>) -> Result<Login<'a>, Reason> {
    let arena = root.arena();
    if !user.home.starts_with(b"/") {
        return Err("no home directory in /etc/passwd".into());
    }
    let (home, stat) = root.look(user.home)?;
    let visible = match stat {
        Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
        Err(Errno::NOENT) => false,
        Err(errno) => return Err(errno.into()),
    } && !mounted_later(root, home);
    let spot = if user.uid == 0 {
        root.locate(home.join(arena, b".ssh/authorized_keys")?.path())?
    } else {
        // The user made what is below the home: no link is followed there.
        home.join(arena, b".ssh/authorized_keys")?
    };
    Ok(Login {
        user,
        spot,
        visible,
    })
}

/// Brings the block of one file up to date.
fn one_file<'a>(
    root: &Root<'a>,
    login: &Login<'a>,
    keys: &[&[u8]],
    column: Column,
    lines: &mut Tmpfiles<'a>,
    changes: &mut Changes<'a>,
) -> Result<(), Reason> {
    let arena = root.arena();
    let Login {
        user,
        spot,
        visible,
    } = *login;
    let old = match root.read_spot(spot) {
        // Such as a link to /etc/shadow: its text would become the user's.
        Ok(found) if found.is_shared && user.uid != 0 => {
            return Err("authorized_keys has other names, hard links: not trusted".into());
        }
        Ok(found) => Some(found),
        Err(Reason::Os(Errno::NOENT)) => None,
        Err(Reason::Os(Errno::LOOP)) => {
            return Err("a symbolic link below the home, which is not followed".into());
        }
        Err(reason) => return Err(reason),
    };
    let merged = authorized_keys::merge(arena, old.map_or(b"", |found| found.content), keys);
    if merged.broken {
        changes.problem(
            "onecontext's block in",
            spot.path(),
            "a marker was missing, so lines that may be old keys of ours were kept",
        );
    }
    let owner = (user.uid, user.gid);
    let access = |mode| Access {
        mode,
        owner: Some(owner),
        label: Label::SshHome,
    };
    let folder = if spot.path().ends_with(b"/.ssh/authorized_keys") {
        Folder::Kept(access(0o700))
    } else {
        // A link of root's own leads to some other directory.
        Folder::Made(access(0o700))
    };
    let file = File {
        content: merged.content,
        access: access(0o600),
        folder,
    };
    // `alice: 2 keys in /home/alice/.ssh/authorized_keys`
    let mut done = arena.table();
    let unit = if keys.len() == 1 { "key" } else { "keys" };
    let (name, path) = (Shown(user.name), Shown(spot.path()));
    uwrite!(done, "{}: {} {} in {}", name, keys.len(), unit, path);
    let done = done.finish();
    if old.is_some_and(|found| is_done(root, &found, &file, spot)) {
        if !keys.is_empty() {
            changes.note(&[done]);
        }
        return Ok(());
    }
    if spot.in_run() || column == Column::Written && visible {
        changes.push(Change {
            spot,
            what: What::File(file),
            done,
        });
        return Ok(());
    }
    let systemd = units::is_init(root)?;
    if systemd {
        if visible {
            lines.keys(&user, spot, "f+", b"", merged.content)?;
        } else {
            elsewhere(root, login, merged.content, lines, changes)?;
        }
    }
    // What a file that cannot be written should be is mounted over it; where
    // systemd-tmpfiles can still write it, that is better, since a mount makes
    // later renames over the file fail.
    let mounts = !(systemd && column == Column::Deferred) && visible && old.is_some();
    if mounts {
        changes.cover(root, spot, file, done)?;
    } else if column == Column::Sealed && visible {
        return Err(
            "the root is read-only, without an authorized_keys to mount over: \
             make an empty one in the image"
                .into(),
        );
    } else if !systemd {
        return Err(
            "the root is not to be written now, and its init takes nothing from /run".into(),
        );
    } else {
        changes.note(&[done, b", by systemd-tmpfiles"]);
    }
    Ok(())
}

/// Whether there is nothing to do for a file and its directory.
fn is_done<'a>(root: &Root<'a>, found: &Found, file: &File, spot: Spot<'a>) -> bool {
    let folder_is_kept = || match file.folder {
        Folder::Made(_) => true,
        Folder::Kept(access) => spot
            .parent(root.arena())
            .and_then(|above| Ok(root.stat(above)?))
            .is_ok_and(|stat| access.is(stat.st_mode, stat.st_uid, stat.st_gid)),
    };
    found.content == file.content
        && file.access.is(found.mode, found.uid, found.gid)
        && folder_is_kept()
}

/// Keys for a home that is not there yet: what its authorized_keys holds
/// cannot be read, and must not be lost.
fn elsewhere<'a>(
    root: &Root<'a>,
    login: &Login<'a>,
    content: &'a [u8],
    lines: &mut Tmpfiles<'a>,
    changes: &mut Changes<'a>,
) -> Result<(), Reason> {
    let Login { user, spot, .. } = *login;
    if sshd_config::Config::read(root).looks_at(b"authorized_keys2") {
        // sshd's own second file, which nobody else uses.
        return lines.keys(&user, spot, "f+", b"2", content);
    }
    changes.problem(
        STEP,
        user.name,
        "its home is mounted later: an authorized_keys that is there then is left as it is",
    );
    lines.keys(&user, spot, "f", b"", content)
}

/// The lines for systemd-tmpfiles so far.
struct Tmpfiles<'a>(Table<'a, u8>);

impl<'a> Tmpfiles<'a> {
    /// The file at `spot`, its name ended by `suffix`, and its directory.
    fn keys(
        &mut self,
        user: &User,
        spot: Spot<'a>,
        kind: &str,
        suffix: &[u8],
        content: &[u8],
    ) -> Result<(), Reason> {
        if content.contains(&0) {
            return Err("authorized_keys holds a NUL byte, which systemd-tmpfiles refuses".into());
        }
        let owner = (user.uid, user.gid);
        let folder = spot.cut().0;
        if let Some(home) = folder.strip_suffix(b"/.ssh") {
            // Without a mode and on an existing home this changes nothing but
            // the owner; made by the next line, it would be root's.
            if user.uid != 0 && !home.is_empty() {
                tmpfiles::line(&mut self.0, "d", &[home], None, owner, None);
            }
            tmpfiles::line(&mut self.0, "d", &[folder], Some(0o700), owner, None);
        }
        let start = self.0.len();
        let path = [spot.path(), suffix];
        tmpfiles::line(&mut self.0, kind, &path, Some(0o600), owner, Some(content));
        if self.0.len().saturating_sub(start) > tmpfiles::LONGEST_LINE {
            self.0.truncate(start);
            return Err("more keys than a line for systemd-tmpfiles holds, 1 MiB".into());
        }
        Ok(())
    }

    fn finish(self, root: &Root<'a>, changes: &mut Changes<'a>) -> Result<(), Reason> {
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
        changes.file(root, root.locate(TMPFILES)?, file, b"")?;
        Ok(())
    }
}

/// What in the configuration of sshd keeps the keys from working.
fn check_config<'a>(
    plan: &Plan,
    root: &Root<'a>,
    users: &Users<'a>,
    facts: &sshd::Facts<'a>,
    changes: &mut Changes<'a>,
) {
    if facts.server != Some(sshd::Server::OpenSsh) {
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
            "PubkeyAuthentication no: sshd takes no key at all",
        );
    }
    if !config.looks_at(b"authorized_keys") {
        changes.problem(
            "SSH keys",
            b"sshd_config",
            "AuthorizedKeysFile does not name .ssh/authorized_keys: sshd looks elsewhere",
        );
    }
    for user in plan.users().filter_map(|name| users.find(name)) {
        let mut problem = |what: &'static str| changes.problem("login of user", user.name, what);
        if user.uid == 0 && config.permits_root(b"no") {
            problem("sshd_config says PermitRootLogin no: say prohibit-password, or set USERNAME");
        }
        if user.uid == 0 && config.permits_root(b"forced-commands-only") {
            problem("sshd_config says PermitRootLogin forced-commands-only: no shell for root");
        }
        // sshd refuses keys that others could have put there (sshd(8), FILES).
        let is_open = |stat: Stat| stat.st_mode & 0o022 != 0;
        let home = || root.look(user.home).and_then(|(_, stat)| Ok(stat?));
        if !config.is_lax() && home().is_ok_and(is_open) {
            problem("its home can be written by others, so sshd ignores its keys: chmod go-w");
        }
    }
}

#[cfg(test)]
mod tests;
