//! Which rules of sudoers(5) come after ours: of several that match, the last one counts.
use ufmt::uwrite;

use crate::base::memory::{self, Vector};
use crate::base::text::{Escaped, Text, lines, position, split, split_once, split_path, words};
use crate::image::account::{SUDOERS, Sudo};
use crate::image::facts::LoginFacts;
use crate::image::shadow::{self, Group};
use crate::image::{PathError, Root};
use crate::plan::{Plan, SudoRule};

/// Adds a line for each rule that counts more than that of the context.
pub fn check(
    root: &Root,
    plan: &Plan,
    facts: &LoginFacts,
    out: &mut Text,
) -> Result<(), PathError> {
    let Some(user) = plan.user.filter(|_| plan.login.sudo != SudoRule::None) else {
        return Ok(());
    };
    if !matches!(facts.account, Ok(Some(account)) if account.sudo == Some(Sudo::Usable)) {
        return Ok(());
    }
    let groups = match facts.logins {
        Ok(logins) => match logins.users.find(user) {
            Some(found) => shadow::groups(root, user, found.gid)?,
            None => &[],
        },
        Err(_) => return Ok(()),
    };
    let mut is_later = false;
    for path in [&b"/etc/sudoers"[..], b"/usr/etc/sudoers"] {
        if let Some(file) = root.read_if_there(path).map_err(|error| (path, error))? {
            for line in logical_lines(file.content).iter() {
                if is_later && overrules(line, user, groups) {
                    say(out, user, path, line);
                }
                is_later |= words(line)
                    .next()
                    .is_some_and(|word| word.ends_with(b"includedir"));
            }
            break;
        }
    }
    let (directory, ours) = split_path(SUDOERS);
    for name in root.list(directory).map_err(|error| (directory, error))? {
        // sudo leaves out names with a dot or a tilde at the end (sudoers(5)).
        if *name <= ours || name.contains(&b'.') || name.ends_with(b"~") {
            continue;
        }
        let path = memory::concat(&[directory, b"/", name]);
        let file = root.read_if_there(path).map_err(|error| (path, error))?;
        for line in logical_lines(file.map_or(b"", |file| file.content)).iter() {
            if overrules(line, user, groups) {
                say(out, user, path, line);
            }
        }
    }
    Ok(())
}

fn say(out: &mut Text, user: &[u8], path: &[u8], line: &[u8]) {
    uwrite!(
        out,
        "sudo for user: {}: {} comes ",
        Escaped(user),
        Escaped(path)
    );
    uwrite!(
        out,
        "after {}, and its rule counts: {}\n",
        Escaped(SUDOERS),
        Escaped(line)
    );
}

/// The lines; one that ends with a backslash goes on in the next.
fn logical_lines(text: &[u8]) -> Vector<&'static [u8]> {
    let mut all = Vector::<&'static [u8]>::new();
    let mut line = Vector::<u8>::new();
    for part in lines(text) {
        match part.strip_suffix(b"\\") {
            Some(part) => {
                line.extend(part);
                line.push(b' ');
            }
            None => {
                line.extend(part);
                all.push(core::mem::take(&mut line).finish().trim_ascii());
            }
        }
    }
    all
}

/// Whether a line is a rule for the user that asks for a password or forbids something.
/// Aliases of users are not resolved: such a rule may be for anybody.
fn overrules(line: &[u8], user: &[u8], groups: &[Group]) -> bool {
    let Some((users, rule)) = split_once(line, b'=') else {
        return false;
    };
    let first = words(line).next().unwrap_or_default();
    if first.starts_with(b"#")
        || first.starts_with(b"@")
        || first.starts_with(b"Defaults")
        || first.ends_with(b"_Alias")
    {
        return false;
    }
    // Users, then hosts.
    let is_it = |name: &[u8]| match name {
        b"ALL" => true,
        [b'%', group @ ..] => groups.iter().any(|one| one.name == group),
        name => name == user,
    };
    let mut names = Vector::new();
    for word in words(users) {
        names.extend(word);
        if !word.ends_with(b",") {
            break;
        }
    }
    let is_for_user = split(&names, |byte| byte == b',').any(is_it);
    is_for_user && (position(rule, b"NOPASSWD:").is_none() || rule.contains(&b'!'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_a_user() {
        let groups = [Group {
            name: b"sudo",
            gid: 27,
        }];
        for (line, wanted) in [
            ("alice ALL=(ALL) ALL", true),
            ("bob, alice ALL=(ALL) ALL", true),
            ("%sudo\tALL=(ALL:ALL) ALL", true),
            ("%wheel ALL=(ALL:ALL) ALL", false),
            ("ALL ALL=(ALL) !/bin/su, NOPASSWD: /bin/ls", true),
            ("alice ALL=(ALL) NOPASSWD: ALL", false),
            ("bob ALL=(ALL) ALL", false),
            ("root ALL=(ALL:ALL) ALL", false),
            ("Defaults:alice timestamp_timeout=0", false),
            ("User_Alias ADMINS = alice", false),
            ("# alice ALL=(ALL) ALL", false),
            ("@includedir /etc/sudoers.d", false),
        ] {
            assert_eq!(
                overrules(line.as_bytes(), b"alice", &groups),
                wanted,
                "{line}"
            );
        }
    }
}
