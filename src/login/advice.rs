//! What keeps the keys from working, as far as sshd's configuration says so.
use core::ffi::CStr;

use crate::changeset::Changes;
use crate::image::key_file::Home;
use crate::image::logins::Logins;
use crate::image::sshd::Sshd;
use crate::plan::Plan;

/// Reports settings of sshd that keep the keys from working.
pub fn advise(plan: &Plan, logins: &Logins, sshd: &Sshd, changes: &mut Changes) {
    if !sshd.is_openssh() {
        return;
    }
    let config = &sshd.config;
    if let Some((path, reason)) = config.problem {
        changes.problem(c"sshd configuration", path, reason);
    }
    if config.takes_no_key() {
        changes.problem(
            c"SSH keys",
            b"sshd_config",
            c"PubkeyAuthentication no: sshd takes no key at all",
        );
    }
    if !config.looks_at(b"authorized_keys") {
        // Else they are in the run directory, and its configuration is ours.
        changes.if_written(|changes| {
            changes.problem(
                c"SSH keys",
                b"sshd_config",
                c"AuthorizedKeysFile does not name .ssh/authorized_keys: sshd looks elsewhere",
            );
        });
    }
    for name in plan.users() {
        if !config.admits(name) {
            let what = c"AllowUsers or DenyUsers in sshd_config keeps it out";
            changes.problem(c"login of user", name, what);
        }
    }
    for account in plan.users().filter_map(|name| logins.find(name)) {
        let user = &account.user;
        let mut problem = |what: &'static CStr| changes.problem(c"login of user", &user.name, what);
        if user.uid == 0 && config.permits_root(b"no") {
            problem(c"sshd_config says PermitRootLogin no: say prohibit-password, or set USERNAME");
        }
        if user.uid == 0 && config.permits_root(b"forced-commands-only") {
            problem(c"sshd_config says PermitRootLogin forced-commands-only: no shell for root");
        }
        // sshd ignores keys that others could have put there (sshd(8), FILES).
        if let Ok(file) = account.key_file
            && let Home::Present(mode) = file.home
            && mode & 0o022 != 0
            && !config.is_lax()
        {
            problem(c"its home can be written by others, so sshd ignores its keys: chmod go-w");
        }
    }
}
