//! What an image's builder left that stops the tools of the root, and homes that a service
//! mounts.
use ufmt::uwrite;

use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::{Escaped, Text, digits, lines, position, words};
use crate::image::logins::Logins;
use crate::image::{ResolvedPath, Root};
use crate::plan::Plan;

/// Writes what is wrong.
pub fn write(root: &Root, plan: &Plan, logins: &Logins, out: &mut Text) -> Result<(), Error> {
    let is_new = |name: &&[u8]| logins.users.find(name).is_none();
    if plan.user.filter(is_new).is_some() || plan.login.password.is_some() {
        locks(root, out)?;
    }
    homes(root, plan, logins, out)
}

/// Lock files that useradd(8) and chpasswd(8) take for those of a running program: it removes
/// one only if it has the number of a process that is not there (shadow: lib/commonio.c).
fn locks(root: &Root, out: &mut Text) -> Result<(), Error> {
    const LOCKS: [&[u8]; 6] = [
        b"/etc/passwd.lock",
        b"/etc/shadow.lock",
        b"/etc/group.lock",
        b"/etc/gshadow.lock",
        b"/etc/subuid.lock",
        b"/etc/subgid.lock",
    ];
    for path in LOCKS {
        let Some(lock) = root.read_if_there(path)? else {
            continue;
        };
        let text = lock
            .content
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        let is_removed = digits(text.trim_ascii(), 10).is_some_and(|number| number > 300);
        if !is_removed && !is_cleared(root, path)? {
            uwrite!(
                out,
                "account: {}: an image's builder left this lock, so useradd and chpasswd fail: \
                 remove it\n",
                Escaped(path)
            );
        }
    }
    Ok(())
}

/// Whether systemd-tmpfiles removes it at boot, as the package passwd of Debian has it.
fn is_cleared(root: &Root, path: &[u8]) -> Result<bool, Error> {
    const TOPS: [&[u8]; 3] = [b"/etc", b"/usr/local/lib", b"/usr/lib"];
    for file in root.merged(&TOPS, b"/tmpfiles.d", b".conf")? {
        if let Some(found) = root.read_if_there(file)? {
            let removes = |line: &[u8]| {
                let mut fields = words(line);
                let kind = fields.next().unwrap_or_default();
                kind.starts_with(b"r") && fields.next() == Some(path)
            };
            if lines(found.content).any(removes) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Homes over which the automounter mounts something (auto.master(5)), or that a link leads
/// to nowhere: something must mount it.
fn homes(root: &Root, plan: &Plan, logins: &Logins, out: &mut Text) -> Result<(), Error> {
    let mut maps = Vector::<&[u8]>::new();
    maps.push(b"/etc/auto.master");
    for name in root.list(b"/etc/auto.master.d")? {
        if name.ends_with(b".autofs") {
            maps.push(memory::concat(&[b"/etc/auto.master.d/", name]));
        }
    }
    for name in plan.users() {
        let Some(account) = logins.find(name) else {
            continue;
        };
        let home: &[u8] = &account.user.home;
        for map in maps.iter() {
            let Some(found) = root.read_if_there(map)? else {
                continue;
            };
            for line in lines(found.content) {
                let point = words(line).next().unwrap_or(b"#");
                if point.len() > 1
                    && point.starts_with(b"/")
                    && point != b"/-"
                    && ResolvedPath::new(home)?.is_below(point)
                {
                    uwrite!(
                        out,
                        "keys for user: {}: {}: autofs mounts {} in the booted system, which \
                         hides what is written to its home\n",
                        Escaped(name),
                        Escaped(map),
                        Escaped(point)
                    );
                }
            }
        }
        let leads = root.resolve(home)?;
        if home != leads.path() && !root.exists(home)? && position(home, b"//").is_none() {
            uwrite!(
                out,
                "keys for user: {}: {}: its home is a link to {}, where nothing is: if a service \
                 mounts it, what is written there is hidden\n",
                Escaped(name),
                Escaped(home),
                Escaped(leads.path())
            );
        }
    }
    Ok(())
}
