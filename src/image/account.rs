//! The tools and files of the root that make a user, allow sudo and set a password.
use crate::base::memory;
use rustix::fs::FileType;

use super::config_file::ConfigFile;
use super::key_file::{Home, KeyFile};
use super::later_mounts::LaterMounts;
use super::logins::Logins;
use super::passwd::{User, Users, is_login_shell};
use super::{FileContent, PathError, Root, at};
use crate::base::error::Error;
use crate::base::text::{Str, as_str, lines, split, split_path, words};

/// The facts.
#[derive(Clone, Copy)]
pub struct AccountFacts {
    /// The user of the context, if it does not exist.
    pub new: Option<NewUser>,
    /// Whether an earlier boot ended while it made the user.
    pub is_unfinished: bool,
    /// Whether the root has sudo(8); `None`: it is not asked for.
    pub sudo: Option<Sudo>,
    /// Our file of rules for it, under its name and under the one that it had before.
    pub sudoers: [&'static ConfigFile; 2],
    /// Whether the root has chpasswd(8), if anything is asked for.
    pub chpasswd: bool,
    /// The password field in shadow(5) of the user whose password is to change.
    pub password: Option<&'static [u8]>,
    /// The init, if it is not systemd and reads inittab(5).
    pub init: Option<Init>,
}

/// Whether a rule in `/etc/sudoers.d` lets anybody become root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sudo {
    /// There is no sudo(8).
    Missing,
    /// There is no visudo(8) to check a rule.
    NoVisudo,
    /// Its sudoers(5) does not read that directory.
    NoDirectory,
    /// It does read it.
    Usable,
}

/// An init that reads inittab(5).
#[derive(Clone, Copy)]
pub struct Init {
    /// Whether it is BusyBox's, whose fields have other meanings than sysvinit's.
    pub is_busybox: bool,
    /// `/etc/inittab`
    pub inittab: &'static ConfigFile,
}

/// The tool that creates users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserMaker {
    /// useradd(8) of shadow-utils.
    Useradd,
    /// BusyBox's adduser.
    Adduser,
}

/// A user to be created, and what it will have.
#[derive(Clone, Copy)]
pub struct NewUser {
    /// Its user ID is that of its home's owner, if the home is there and no other user
    /// has that ID; else `NO_UID`.
    pub user: User,
    /// Whether that user ID is to be used.
    pub keeps_uid: bool,
    /// The tool that can create it.
    pub maker: Option<UserMaker>,
    /// Whether a group has that name.
    pub has_group: bool,
    /// Why it gets another shell than the wanted one.
    pub shell_problem: Option<Error>,
    /// The file with its keys, or why it cannot be found.
    pub key_file: Result<&'static KeyFile, Error>,
    /// The authorized_keys that useradd(8) puts into a new home.
    pub skeleton: Option<&'static FileContent>,
}

/// The user ID that no user has (systemd.io: UIDS-GIDS, nobody and `(uid_t) -1`).
const NO_UID: u32 = u32::MAX;

impl Sudo {
    /// Looks whether the root has sudo(8) and takes a rule.
    pub fn read(root: &Root) -> Result<Self, PathError> {
        if program(root, b"sudo")?.is_none() {
            return Ok(Self::Missing);
        }
        if program(root, b"visudo")?.is_none() {
            return Ok(Self::NoVisudo);
        }
        // openSUSE has a default in /usr/etc, for images without the file in /etc.
        let mut found = None;
        for path in [&b"/etc/sudoers"[..], b"/usr/etc/sudoers"] {
            if found.is_none() {
                found = at(path, root.read_if_there(path))?;
            }
        }
        let reads_directory =
            found.is_some_and(|found| lines(found.content).any(includes_directory));
        Ok(match reads_directory {
            true => Self::Usable,
            false => Self::NoDirectory,
        })
    }
}

/// Our file of rules for sudo(8). Of several rules the last one counts (sudoers(5)).
pub const SUDOERS: &[u8] = b"/etc/sudoers.d/zz-onecontext";

/// Reads [`SUDOERS`], and the file that had another name in earlier versions.
pub fn sudoers(root: &Root) -> Result<[&'static ConfigFile; 2], PathError> {
    const BEFORE: &[u8] = b"/etc/sudoers.d/onecontext";
    let read = |path| at(path, ConfigFile::read(root, path));
    Ok([read(SUDOERS)?, read(BEFORE)?])
}

/// Whether `users.sh` ended while it made a user, and so left its mark.
pub fn is_unfinished(root: &Root) -> Result<bool, PathError> {
    const MARK: &[u8] = b"/etc/.onecontext-user";
    at(MARK, root.exists(MARK))
}

/// Whether the root has chpasswd(8).
pub fn has_chpasswd(root: &Root) -> Result<bool, PathError> {
    Ok(program(root, b"chpasswd")?.is_some())
}

/// The path of a program.
fn program(root: &Root, name: &'static [u8]) -> Result<Option<&'static [u8]>, PathError> {
    at(name, root.program(name))
}

/// Whether this line of sudoers(5) includes `/etc/sudoers.d`: by `@includedir` or, as it
/// was before 1.9.1, `#includedir`.
fn includes_directory(line: &[u8]) -> bool {
    const PATHS: [&[u8]; 2] = [b"/etc/sudoers.d", b"sudoers.d"];
    let mut words = words(line);
    words
        .next()
        .is_some_and(|word| word.ends_with(b"includedir"))
        && words.next().is_some_and(|path| PATHS.contains(&path))
}

/// The password field in shadow(5) of a user.
pub fn password(root: &Root, name: &[u8]) -> Result<Option<&'static [u8]>, PathError> {
    const PATH: &[u8] = b"/etc/shadow";
    let found = at(PATH, root.read_if_there(PATH))?;
    for line in lines(found.map_or(b"", |found| found.content)) {
        let mut fields = split(line, |byte| byte == b':');
        if fields.next() == Some(name) {
            return Ok(fields.next());
        }
    }
    Ok(None)
}

impl Init {
    /// Reads which init the root has, if it is not systemd; `None`: it does not read
    /// inittab(5).
    pub fn read(root: &Root) -> Result<Option<Self>, PathError> {
        const INITTAB: &[u8] = b"/etc/inittab";
        const INIT: &[u8] = b"/sbin/init";
        let inittab = at(INITTAB, ConfigFile::read(root, INITTAB))?;
        // An init other than sysvinit is installed as the target of a link.
        let name = at(INIT, root.read_link(INIT))?;
        let name = name.map_or(&b"init"[..], |target| split_path(target).1);
        let reads = inittab.content.is_some() && matches!(as_str(name), "init" | "busybox");
        Ok(reads.then_some(Self {
            is_busybox: name == b"busybox",
            inittab,
        }))
    }
}

impl NewUser {
    /// Reads what creating the user `name` needs. `wanted`: the shell it should have.
    pub fn read(
        root: &Root,
        later_mounts: &LaterMounts,
        logins: &Logins,
        name: &[u8],
        wanted: Option<&[u8]>,
    ) -> Result<Self, PathError> {
        let name = memory::copy(name);
        let defaults = Defaults::read(root)?;
        let home = memory::concat(&[defaults.home, b"/", name]);
        let (shell, shell_problem) = shell(root, wanted);
        let uid = free_owner(root, &logins.users, home);
        let copy = |text| at(b"/etc/passwd", Str::copy(text).map_err(Error::from));
        let user = User {
            name: copy(name)?,
            uid: uid.unwrap_or(NO_UID),
            gid: NO_UID,
            home: copy(home)?,
            shell: copy(shell)?,
        };
        let key_file = KeyFile::read(root, later_mounts, &user, logins.homes_of_root);
        let skeleton = match key_file {
            Ok(file) if file.home == Home::Missing => {
                let path = memory::concat(&[defaults.skeleton, b"/.ssh/authorized_keys"]);
                at(path, root.read_if_there(path))?
            }
            _ => None,
        };
        Ok(Self {
            user,
            keeps_uid: uid.is_some(),
            has_group: has_group(root, name)?,
            maker: user_maker(root)?,
            shell_problem,
            key_file,
            skeleton,
        })
    }
}

/// The defaults of useradd(8): directories without a slash at the end.
struct Defaults {
    /// Where it makes homes.
    home: &'static [u8],
    /// What it copies to a new home.
    skeleton: &'static [u8],
}

impl Defaults {
    fn read(root: &Root) -> Result<Self, PathError> {
        const PATH: &[u8] = b"/etc/default/useradd";
        let found = at(PATH, root.read_if_there(PATH))?;
        let text = found.map_or(&b""[..], |found| found.content);
        Ok(Self {
            home: value(text, b"HOME=").unwrap_or(b"/home"),
            skeleton: value(text, b"SKEL=").unwrap_or(b"/etc/skel"),
        })
    }
}

/// The owner of a home that is there, if no user has that ID.
fn free_owner(root: &Root, users: &Users, home: &[u8]) -> Option<u32> {
    let uid = match root.resolve_trusted(home) {
        Ok((_, Ok(stat))) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            stat.st_uid
        }
        // `KeyFile::read` reports anything else.
        _ => return None,
    };
    users.iter().all(|user| user.uid != uid).then_some(uid)
}

/// Whether group(5) has a group of this name.
fn has_group(root: &Root, name: &[u8]) -> Result<bool, PathError> {
    const PATH: &[u8] = b"/etc/group";
    let found = at(PATH, root.read_if_there(PATH))?;
    let mut lines = lines(found.map_or(b"", |found| found.content));
    Ok(lines.any(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(b":"))
    }))
}

/// The tool of the root that creates users.
fn user_maker(root: &Root) -> Result<Option<UserMaker>, PathError> {
    if program(root, b"useradd")?.is_some() {
        return Ok(Some(UserMaker::Useradd));
    }
    // Debian's adduser is another program, and needs useradd(8).
    let Some(path) = program(root, b"adduser")? else {
        return Ok(None);
    };
    let link = at(path, root.read_link(path))?;
    let is_busybox = link.is_some_and(|link| link.ends_with(b"busybox"));
    Ok(is_busybox.then_some(UserMaker::Adduser))
}

/// The value of a line `NAME=value`. Only an absolute path without a quote counts: it
/// becomes a word of a shell script.
fn value<'t>(text: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let value = lines(text).find_map(|line| line.trim_ascii().strip_prefix(name))?;
    let value = value.strip_suffix(b"/").unwrap_or(value);
    (value.starts_with(b"/") && !value.contains(&b'\'')).then_some(value)
}

/// The wanted shell if it lets people in, else another, and why.
fn shell(root: &Root, wanted: Option<&[u8]>) -> (&'static [u8], Option<Error>) {
    const NO_SHELL: Error =
        Error::new(c"no shell of this image that lets people in, the user gets another");
    const BASH: &[u8] = b"/bin/bash";
    let is_shell = |path: &[u8]| match root.file_mode(path) {
        Ok(Some(mode)) if mode & 0o111 != 0 && is_login_shell(path) => Ok(()),
        Ok(_) => Err(NO_SHELL),
        Err(error) => Err(error),
    };
    let problem = match wanted.map(|wanted| (wanted, is_shell(wanted))) {
        Some((wanted, Ok(()))) => return (memory::copy(wanted), None),
        Some((_, Err(error))) => Some(error),
        None => None,
    };
    match is_shell(BASH) {
        Ok(()) => (BASH, problem),
        Err(_) => (b"/bin/sh", problem),
    }
}
