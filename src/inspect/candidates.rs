//! The users who are to log in, and what the image says of them, for `check --root`.
use core::net::IpAddr;

use ufmt::uwrite;

use super::admission::{self, Account, Files};
use super::listening;
use super::selection::{Connection, Selection};
use super::sudo;
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::{Escaped, Text, format, lines, same, split, words};
use crate::image::facts::LoginFacts;
use crate::image::passwd::User;
use crate::image::shadow::{self, Group, Shadow};
use crate::image::sshd_settings::{Place, Settings};
use crate::image::{PathError, ResolvedPath, Root, if_there};
use crate::login::restrictions;
use crate::plan::Plan;

/// Adds a line for each thing that keeps a user of the context out.
pub fn check(root: &Root, plan: &Plan, facts: &LoginFacts, out: &mut Text) {
    let checked = check_sshd(root, plan, facts, out).and_then(|()| {
        passwd(root, out)?;
        sudo::check(root, plan, facts, out)
    });
    if let Err((path, error)) = checked {
        uwrite!(out, "look at: {}: {}\n", Escaped(path), error);
    }
}

fn check_sshd(
    root: &Root,
    plan: &Plan,
    facts: &LoginFacts,
    out: &mut Text,
) -> Result<(), PathError> {
    if !matches!(facts.sshd, Ok(Some(sshd)) if sshd.is_openssh()) {
        return Ok(());
    }
    let settings = Settings::read(root);
    let addresses = addresses(plan);
    listening::check(&settings, addresses, out);
    for name in plan.users() {
        let Some(mut account) = account(root, plan, facts, name, addresses)? else {
            continue;
        };
        let found = facts.logins.ok().and_then(|logins| logins.find(name));
        let file = found.and_then(|found| Some((found, found.key_file.ok()?)));
        if let Some((found, file)) = file {
            account.without_ours = without_ours(root, found.user, file.path, &settings);
        }
        admission::check(&account, &settings, out);
        if let Some((found, file)) = file {
            if let Ok(Some(directory)) = file.directory
                && directory.uid == 0
                && found.user.uid != 0
            {
                uwrite!(
                    out,
                    "login of user: {}: its .ssh belongs to root",
                    Escaped(name)
                );
                uwrite!(
                    out,
                    ", who must have left it there: it is left so, and sshd takes "
                );
                uwrite!(out, "it, but chown it to the user in the image\n");
            }
            let selection = Selection::new(&settings, &account.connection);
            key_files(root, found.user, file.path, account.keys, &selection, out)?;
        }
    }
    Ok(())
}

/// The addresses of the plan; `None`: there are others, or none.
fn addresses(plan: &Plan) -> Option<&'static [IpAddr]> {
    let mut all = Vector::new();
    for link in plan.links {
        if link.uses_dhcp() || link.uses_router_advertisements() {
            return None;
        }
        for half in [&link.ipv4, &link.ipv6] {
            for prefix in half.addresses {
                all.push(prefix.address);
            }
        }
    }
    (!all.is_empty()).then(|| &*all.finish())
}

/// What is known of a user; `None`: nothing, which is said elsewhere.
fn account(
    root: &Root,
    plan: &Plan,
    facts: &LoginFacts,
    name: &'static [u8],
    addresses: Option<&'static [IpAddr]>,
) -> Result<Option<Account>, PathError> {
    let Ok(logins) = facts.logins else {
        return Ok(None);
    };
    let existing = logins.users.find(name);
    let (groups, shadow, mut files) = match existing {
        Some(user) => {
            let groups = shadow::groups(root, name, user.gid)?;
            let shadow = match is_missing(root, b"/etc/passwd")? {
                // The booted system makes both.
                true => Some(Shadow::default()),
                false => Shadow::of(root, name)?,
            };
            (groups, shadow, files(root, user, groups)?)
        }
        None => new_user(name),
    };
    files.nologin = nologin(root)?;
    Ok(Some(Account {
        connection: Connection {
            user: name,
            groups,
            addresses,
        },
        uid: existing.map_or(u32::MAX, |user| user.uid),
        passwd: shadow::field_in_passwd(root, name)?.unwrap_or(b"x"),
        shadow,
        password: plan
            .login
            .password
            .filter(|(user, _)| *user == name)
            .map(|(_, new)| new),
        keys: plan.keys_of(name),
        without_ours: &[],
        files,
    }))
}

/// A user that `users.sh` makes, with a group of its own.
fn new_user(name: &'static [u8]) -> (&'static [Group], Option<Shadow>, Files) {
    let gid = u32::MAX;
    let group: &Group = memory::place(Group { name, gid });
    let shadow = Shadow {
        password: b"*",
        ..Shadow::default()
    };
    (core::slice::from_ref(group), Some(shadow), Files::default())
}

fn is_missing(root: &Root, path: &'static [u8]) -> Result<bool, PathError> {
    root.exists(path)
        .map(|is| !is)
        .map_err(|error| (path, error))
}

/// What sshd looks at before it lets a user in.
fn files(root: &Root, user: &'static User, groups: &[Group]) -> Result<Files, PathError> {
    let home = user.home.bytes();
    let mut files = Files::default();
    let shell: &'static [u8] = match user.shell.is_empty() {
        true => b"/bin/sh",
        false => user.shell.bytes(),
    };
    // Where passwd(5) is made later, /bin may be, too.
    files.shell = match root.file_mode(shell).map_err(|error| (shell, error))? {
        _ if is_missing(root, b"/etc/passwd")? => None,
        _ if !user.has_shell() => Some("its shell lets nobody in"),
        None => Some("its shell in /etc/passwd is no file of this image, so sshd refuses it"),
        Some(mode) if mode & 0o111 == 0 => {
            Some("its shell in /etc/passwd cannot be executed, so sshd refuses it: chmod +x")
        }
        Some(_) => None,
    };
    let is_debian = !is_missing(root, b"/etc/debian_version")?;
    let mut path = Vector::<u8>::new();
    for name in split(home, |byte| byte == b'/').filter(|name| !name.is_empty()) {
        path.push(b'/');
        path.extend(name);
        let Ok((_, Ok(stat))) = root.resolve_and_stat(&path) else {
            return Ok(files);
        };
        let is_in_group = groups.iter().any(|group| group.gid == stat.st_gid);
        let bit = match (
            stat.st_uid == user.uid,
            is_in_group || stat.st_gid == user.gid,
        ) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        if user.uid != 0 && stat.st_mode & bit == 0 {
            files.home = Some("it cannot enter its home, so sshd finds no keys there: chmod +x");
        }
        // Debian's sshd lets the user's own group write (user-group-modes.patch).
        let is_own = is_debian && stat.st_mode & 0o002 == 0 && stat.st_gid == user.gid;
        files.lax_home = stat.st_mode & 0o022 != 0 && !is_own;
    }
    Ok(files)
}

/// Whether /etc/nologin is there, and PAM's configuration of sshd asks for it.
fn nologin(root: &Root) -> Result<Option<bool>, PathError> {
    const PAM: &[u8] = b"/etc/pam.d/sshd";
    if is_missing(root, b"/etc/nologin")? {
        return Ok(None);
    }
    let pam = root.read_if_there(PAM).map_err(|error| (PAM, error))?;
    let mut lines = lines(pam.map_or(b"", |pam| pam.content));
    let asks = |line: &[u8]| {
        !line.trim_ascii_start().starts_with(b"#")
            && words(line).any(|word| word.ends_with(b"pam_nologin.so"))
    };
    Ok(Some(lines.any(asks)))
}

/// The settings of `AuthorizedKeysFile` that do not lead to our file.
fn without_ours(
    root: &Root,
    user: &User,
    ours: ResolvedPath,
    settings: &Settings,
) -> &'static [Place] {
    let mut places = Vector::new();
    for setting in settings.list {
        let is_ours = |pattern: &&[u8]| root.resolve(expanded(pattern, user)) == Ok(ours);
        if same(setting.keyword, b"AuthorizedKeysFile") && !setting.arguments.iter().any(is_ours) {
            places.push(setting.place);
        }
    }
    places.finish()
}

/// Says where sshd may look before it comes to our lines.
fn key_files(
    root: &Root,
    user: &User,
    ours: ResolvedPath,
    keys: &[&'static [u8]],
    settings: &Selection,
    out: &mut Text,
) -> Result<(), PathError> {
    let name = Escaped(user.name.bytes());
    let setting = settings.first(b"AuthorizedKeysFile");
    let default: &[&[u8]] = &[b".ssh/authorized_keys", b".ssh/authorized_keys2"];
    for pattern in setting.map_or(default, |setting| setting.arguments) {
        let path = expanded(pattern, user);
        let Ok(resolved) = root.resolve(path) else {
            continue;
        };
        if resolved == ours {
            break;
        }
        let found = if_there(root.read_resolved(resolved)).map_err(|error| (path, error))?;
        let text = found.map_or(&b""[..], |found| found.content);
        for options in restrictions(text, keys) {
            let (file, options) = (Escaped(path), Escaped(&options));
            uwrite!(out, "login of user: {}: {} comes before its ", name, file);
            uwrite!(
                out,
                "authorized_keys, and restricts a key of the context: {}\n",
                options
            );
        }
    }
    if let Some(setting) = settings.first(b"AuthorizedKeysCommand")
        && setting.arguments.first() != Some(&&b"none"[..])
    {
        let (file, line) = (Escaped(setting.place.file), setting.place.line);
        uwrite!(out, "SSH keys: {}:{}: ", file, line);
        uwrite!(
            out,
            "AuthorizedKeysCommand may know other keys of {}, and restrict ",
            name
        );
        uwrite!(out, "those of the context\n");
    }
    Ok(())
}

/// The path that a pattern means for a user (sshd_config(5), TOKENS).
fn expanded(pattern: &[u8], user: &User) -> &'static [u8] {
    let mut path = Vector::new();
    if !pattern.starts_with(b"/") && !pattern.starts_with(b"%h") {
        path.extend(&user.home);
        path.push(b'/');
    }
    let mut rest = pattern.iter();
    while let Some(byte) = rest.next() {
        match (*byte, rest.as_slice().first()) {
            (b'%', Some(token)) => {
                rest.next();
                match token {
                    b'h' => path.extend(&user.home),
                    b'u' => path.extend(&user.name),
                    b'U' => path.extend(format(&user.uid)),
                    other => path.push(*other),
                }
            }
            (byte, _) => path.push(byte),
        }
    }
    path.finish()
}

/// Says that nothing makes passwd(5).
fn passwd(root: &Root, out: &mut Text) -> Result<(), PathError> {
    const DIRECTORY: &[u8] = b"/sysusers.d";
    if !is_missing(root, b"/etc/passwd")? {
        return Ok(());
    }
    let files = root.merged(&[b"/etc", b"/usr/lib"], DIRECTORY, b".conf");
    for path in files.map_err(|error| (DIRECTORY, error))? {
        let file = root.read_if_there(path).map_err(|error| (*path, error))?;
        let makes_root = |line: &[u8]| {
            let mut words = words(line);
            matches!(words.next(), Some(b"u" | b"u!")) && words.next() == Some(b"root")
        };
        if file.is_some_and(|file| lines(file.content).any(makes_root)) {
            return Ok(());
        }
    }
    let error = Error::from(rustix::io::Errno::NOENT);
    uwrite!(out, "read users: /etc/passwd: {}", error);
    uwrite!(out, ", and no file of sysusers.d makes root\n");
    Ok(())
}
