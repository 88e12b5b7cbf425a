//! Whether the root's sshd lets a user in with a key of the context, decided as a login
//! would be: by sshd_config(5), the account and its files. For OpenSSH 7.0 to 10; the
//! sources are named by its files.
use ufmt::uwrite;

use super::key_types;
use super::obstacle::Obstacle;
use super::selection::{Connection, Selection};
use crate::base::memory::Vector;
use crate::base::syscall::{Clock, clock};
use crate::base::text::{Escaped, Text, same};
use crate::image::glob::fnmatch;
use crate::image::shadow::{Group, Shadow};
use crate::image::sshd_settings::{Block, Place, Setting, Settings};
use crate::plan::Password;

/// What is known of a user who is to log in.
pub struct Account {
    /// The user, its groups, the addresses of the machine.
    pub connection: Connection,
    /// The user ID.
    pub uid: u32,
    /// The password field of passwd(5).
    pub passwd: &'static [u8],
    /// Its line of shadow(5).
    pub shadow: Option<Shadow>,
    /// The password that the context sets.
    pub password: Option<Password>,
    /// Its keys, as lines of authorized_keys.
    pub keys: &'static [&'static [u8]],
    /// The settings of `AuthorizedKeysFile` that do not name the file with these keys.
    pub without_ours: &'static [Place],
    /// The files of the image that matter.
    pub files: Files,
}

/// Facts of files of the image.
#[derive(Clone, Copy, Default)]
pub struct Files {
    /// What is wrong with its shell.
    pub shell: Option<&'static str>,
    /// What is wrong with its home.
    pub home: Option<&'static str>,
    /// Its home can be written by others.
    pub lax_home: bool,
    /// /etc/nologin is there, and `true` if PAM's configuration for sshd asks for it.
    pub nologin: Option<bool>,
}

/// Adds the lines that say what keeps a user out.
pub fn check(account: &Account, settings: &Settings, out: &mut Text) {
    let surely = Selection::new(settings, &account.connection);
    let obstacles = obstacles(account, &surely);
    let unknown = surely.unknown();
    for obstacle in obstacles.iter() {
        uwrite!(out, "login of user: {}: ", Escaped(account.connection.user));
        if obstacle.is_unknown {
            uwrite!(out, "cannot be known: ");
        }
        obstacle.write(out);
        // A block that may hold could still let it in.
        let helps = |block: &'_ &'static Block| {
            let assumed = [*block];
            let with = self::obstacles(account, &surely.assuming(&assumed));
            with.iter().all(|other| other.what != obstacle.what)
        };
        if let Some(block) = unknown.iter().find(|block| helps(block)) {
            let file = Escaped(block.place.file);
            uwrite!(out, ", unless Match in {}:{} holds", file, block.place.line);
        }
        out.push(b'\n');
    }
    for block in unknown.iter() {
        let assumed = [*block];
        let with = self::obstacles(account, &surely.assuming(&assumed));
        let is_new =
            |one: &&Obstacle| !one.is_unknown && obstacles.iter().all(|two| two.what != one.what);
        if let Some(obstacle) = with.iter().find(is_new) {
            let (user, file) = (account.connection.user, Escaped(block.place.file));
            uwrite!(
                out,
                "login of user: {}: cannot be known: if ",
                Escaped(user)
            );
            uwrite!(out, "Match in {}:{} holds: ", file, block.place.line);
            obstacle.write(out);
            out.push(b'\n');
        }
    }
}

/// What keeps a user out, in the order in which sshd looks.
fn obstacles(account: &Account, settings: &Selection) -> Vector<Obstacle> {
    let mut found = Vector::new();
    let uses_pam = settings.is(b"UsePAM", &[b"yes"]).is_some();
    of_account(account, uses_pam, settings, &mut found);
    of_lists(account, settings, &mut found);
    of_methods(account, settings, &mut found);
    of_session(settings, &mut found);
    found
}

/// openssh:auth.c, `allowed_user`, without the lists; pam_unix(8), pam_nologin(8).
fn of_account(
    account: &Account,
    uses_pam: bool,
    settings: &Selection,
    found: &mut Vector<Obstacle>,
) {
    let mut add = |what| found.push(Obstacle::new(what));
    let seconds = clock(Clock::Real).map_or(0, |(seconds, _)| seconds);
    let today = (seconds / (24 * 60 * 60)) as u32;
    let is_changed = account.password.is_some_and(|password| match password {
        Password::Crypted(hash) => !hash.starts_with(b"!"),
        Password::Plain(_) => true,
        Password::Locked => false,
    });
    match account.shadow {
        // PAM_AUTHINFO_UNAVAIL
        None if uses_pam && account.passwd == b"x" => {
            add("it has no line in /etc/shadow, so PAM refuses it: run pwconv in the image");
        }
        Some(shadow) if shadow.ends.is_some_and(|end| end < today) => {
            add("/etc/shadow: the account has expired: chage -E -1");
        }
        Some(shadow) if uses_pam && !is_changed => {
            let is_old = match (shadow.changed, shadow.most_days) {
                (Some(0), _) => true,
                (Some(changed), Some(most)) => today.saturating_sub(changed) > most,
                _ => false,
            };
            if is_old {
                add(
                    "/etc/shadow: its password has expired, and PAM has it changed before \
                     anything else: chage -d or chage -M -1",
                );
            }
        }
        _ => {}
    }
    let password = account
        .shadow
        .map_or(account.passwd, |shadow| shadow.password);
    if !uses_pam && !is_changed && password.starts_with(b"!") {
        add("its password is locked (! in /etc/shadow), and without UsePAM yes sshd refuses it");
    }
    if account.uid != 0 && account.files.nologin.is_some_and(|pam| pam || !uses_pam) {
        add("/etc/nologin is in the image: nobody but root may log in (nologin(5))");
    }
    if let Some(shell) = account.files.shell {
        add(shell);
    }
    if let Some(home) = account.files.home {
        add(home);
    }
    if account.files.lax_home && settings.is(b"StrictModes", &[b"no"]).is_none() {
        add("its home can be written by others, so sshd ignores its keys: chmod go-w");
    }
}

/// openssh:auth.c, `allowed_user`: the lists of users and groups.
fn of_lists(account: &Account, settings: &Selection, found: &mut Vector<Obstacle>) {
    let connection = &account.connection;
    let user = |pattern: &[u8]| match pattern.iter().rposition(|byte| *byte == b'@') {
        Some(at) => {
            let (name, host) = pattern.split_at_checked(at).unwrap_or_default();
            let is_user = fnmatch(name, connection.user);
            (is_user, is_user && host == b"@*")
        }
        None => {
            let is_user = fnmatch(pattern, connection.user);
            (is_user, is_user)
        }
    };
    let group = |pattern: &[u8]| {
        let is_in = |group: &Group| fnmatch(pattern, group.name);
        let is_in = connection.groups.iter().any(is_in);
        (is_in, is_in)
    };
    let lists: [(&[u8], Matches, bool); 4] = [
        (b"DenyUsers", &user, false),
        (b"AllowUsers", &user, true),
        (b"DenyGroups", &group, false),
        (b"AllowGroups", &group, true),
    ];
    for (keyword, matches, allows) in lists {
        found.extend(of_list(&settings.all(keyword), matches, allows).as_slice());
    }
}

/// Whether a pattern is for the user, and whether that is so for every host.
type Matches<'m> = &'m dyn Fn(&[u8]) -> (bool, bool);

fn of_list(all: &[&'static Setting], matches: Matches, allows: bool) -> Option<Obstacle> {
    const OUT: &str = "keeps it out";
    let what = match allows {
        true => "lets it in from some hosts only",
        false => "keeps it out from some hosts",
    };
    let (mut may, mut does) = (None, None);
    for setting in all {
        for pattern in setting.arguments {
            let (perhaps, surely) = matches(pattern);
            may = may.or(perhaps.then_some(*setting));
            does = does.or(surely.then_some(*setting));
        }
    }
    match (allows, all.first()?, may, does) {
        (false, _, _, Some(setting)) => Some(Obstacle::of(OUT, setting)),
        (true, first, None, _) => Some(Obstacle::of(OUT, first)),
        (_, _, Some(setting), None) => Some(Obstacle {
            is_unknown: true,
            ..Obstacle::of(what, setting)
        }),
        _ => None,
    }
}

/// openssh:auth2.c, auth2-pubkey.c: how a user may prove who it is.
fn of_methods(account: &Account, settings: &Selection, found: &mut Vector<Obstacle>) {
    if let Some(setting) = settings.is(b"PubkeyAuthentication", &[b"no"]) {
        found.push(Obstacle::of("sshd takes no key at all", setting));
    }
    if account.uid == 0 {
        if let Some(setting) = settings.is(b"PermitRootLogin", &[b"no"]) {
            let what = "says no to root: say prohibit-password, or set USERNAME";
            found.push(Obstacle::of(what, setting));
        }
        if let Some(setting) = settings.is(b"PermitRootLogin", &[b"forced-commands-only"]) {
            let what = "gives root no shell, only the command of a key";
            found.push(Obstacle::of(what, setting));
        }
    }
    if let Some(setting) = settings.first(b"AuthenticationMethods") {
        let is_enough = |methods: &&[u8]| matches!(*methods, b"publickey" | b"any");
        if !setting.arguments.iter().any(is_enough) {
            found.push(Obstacle::of("a key alone is not enough", setting));
        }
    }
    if let Some(setting) = settings.first(b"AuthorizedKeysFile")
        && account.without_ours.contains(&setting.place)
    {
        let what = "does not name .ssh/authorized_keys: sshd looks elsewhere for keys";
        found.push(Obstacle::of(what, setting));
    }
    key_types::check(account.keys, settings, found);
}

/// openssh:session.c: what a session is allowed to do.
fn of_session(settings: &Selection, found: &mut Vector<Obstacle>) {
    let is_set = |keyword| {
        let setting: &'static Setting = settings.first(keyword)?;
        let value = setting.arguments.first()?;
        (!same(value, b"none")).then_some((setting, *value))
    };
    if let Some((setting, _)) = is_set(b"ForceCommand") {
        found.push(Obstacle::of(
            "another program runs in place of a shell",
            setting,
        ));
    }
    if let Some((setting, directory)) = is_set(b"ChrootDirectory")
        && directory != b"/"
    {
        let what = "the user sees that directory alone, which needs a shell of its own";
        found.push(Obstacle::of(what, setting));
    }
    if let Some((setting, b"0")) = is_set(b"MaxSessions") {
        found.push(Obstacle::of("no session can be opened", setting));
    }
    if let Some(setting) = settings.is(b"RefuseConnection", &[b"yes"]) {
        found.push(Obstacle::of("the connection is ended", setting));
    }
}
