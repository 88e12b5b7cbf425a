//! Who may log in: SSH keys, written where the root's sshd looks, the account of the
//! context's user, and the SSH server itself.
mod account;
mod authorized_keys;
mod keys;
mod ownership;
mod sshd;

use crate::base::error::Error;
use crate::base::memory::Vector;
use crate::base::set::Set;
use crate::changeset::Changes;
use crate::image::facts::LoginFacts;
use crate::image::logins::Logins;
use crate::plan::Plan;
pub use authorized_keys::restrictions;
use keys::{Keys, NO_USER};

/// Decides the changes for the logins of `plan`, and reports what prevents logins. A
/// failure for one user does not affect others.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn decide(plan: &Plan, facts: &LoginFacts, changes: &mut Changes) {
    let logins = match facts.logins {
        Ok(logins) => logins,
        Err(error) => return changes.problem(c"read users", b"/etc/passwd", error),
    };
    if let Some((at, error)) = facts.later_mounts.problem {
        changes.problem(c"look for later mounts in", at, error);
    }
    let sshd = facts.sshd.unwrap_or_else(|error| {
        changes.problem(c"SSH server", b"sshd", error);
        None
    });
    let systemd = facts.has_systemd;
    let mut keys = Keys::new(logins, systemd, sshd);
    keys.grant(plan, changes);
    keys.revoke(plan, changes);
    match facts.account {
        Ok(None) => {}
        Ok(Some(account)) => {
            let decided =
                systemd.and_then(|systemd| account::decide(plan, account, systemd, sshd, changes));
            if let Err(error) = decided {
                let user = plan.user.unwrap_or(b"root");
                changes.problem(c"account of user", user, error);
            }
        }
        Err((path, error)) => changes.problem(c"read for the user's account", path, error),
    }
    if let Some(sshd) = sshd {
        let decided = systemd.and_then(|systemd| sshd::decide(sshd, systemd, changes));
        if let Err(error) = decided {
            changes.problem(c"SSH server", b"sshd", error);
        }
        if let Some((path, reason)) = sshd.config.problem {
            changes.problem(c"sshd configuration", path, reason);
        }
    }
}

/// The same for the initramfs itself, in the early stage. All keys of the plan are for
/// root, its only user.
pub fn decide_early(plan: &Plan, logins: Result<Logins, Error>, changes: &mut Changes) {
    const ROOT: &[u8] = b"root";
    const NO_HOME: Error = Error::new(c"its home is not in the initramfs");
    let logins = match logins {
        Ok(logins) => logins,
        Err(error) => return changes.problem(c"read users", b"/etc/passwd", error),
    };
    let account = logins.find(ROOT).ok_or(NO_USER);
    let granted = account.and_then(|account| {
        if !account.key_file?.home.is_present() {
            return Err(NO_HOME);
        }
        let mut seen = Set::new();
        let mut lines = Vector::new();
        for key in plan.keys {
            if seen.insert(0, key.line) {
                lines.push(key.line);
            }
        }
        // Nothing in it is mounted later.
        Keys::new(&logins, Ok(false), None).grant_one(account, &lines, changes)
    });
    if let Err(error) = granted {
        changes.problem(c"keys for the initramfs's user", ROOT, error);
    }
}

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod tests;
