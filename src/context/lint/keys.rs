//! Keys that sshd refuses because of their options.
use crate::base::text::{same, split_once, words};
use crate::context::keys::options_of;
use crate::context::state::Context;
use crate::plan::Key;

/// The options of sshd(8), AUTHORIZED_KEYS FILE FORMAT. Most of the flags also exist with
/// `no-`.
const FLAGS: &[u8] = b"agent-forwarding cert-authority port-forwarding pty restrict \
    touch-required user-rc verify-required x11-forwarding";
const WITH_VALUE: &[u8] = b"command environment expiry-time from permitlisten permitopen \
    principals tunnel";

/// Warns of the first unknown option of each key.
pub fn check(context: &mut Context, keys: &[Key]) {
    for key in keys {
        let mut quoted = false;
        let mut escaped = false;
        let mut options = options_of(key.line).split(|byte| {
            quoted ^= *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            *byte == b',' && !quoted
        });
        if let Some(option) = options.find(|option| !option.is_empty() && !is_known(option)) {
            let name = split_once(option, b'=').map_or(option, |(name, _)| name);
            let found = (!name.is_empty()).then_some(name);
            let what = "a key has an option that sshd does not read so, and is not taken";
            context.warnings.general(Some(key.user), what, found);
        }
    }
}

fn is_known(option: &[u8]) -> bool {
    let is_in = |known, name| words(known).any(|one| same(one, name));
    match split_once(option, b'=') {
        Some((name, [b'"', .., b'"'])) => is_in(WITH_VALUE, name),
        Some(_) => false,
        None => match option.split_at_checked(3) {
            Some((no, flag)) if same(no, b"no-") => is_in(FLAGS, flag),
            _ => is_in(FLAGS, option),
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::context::lint::tests::said;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    /// As sshd 9.2 takes them, or says "bad key options".
    #[test]
    fn options_are_those_of_sshd() {
        for good in [
            "",
            "no-pty,No-X11-Forwarding ",
            "restrict,command=\"echo \\\"a,b\\\" c\",from=\"10.0.0.1,!10.0.0.2\" ",
            "cert-authority,principals=\"a\" ",
        ] {
            let text = format!("SSH_PUBLIC_KEY='{good}{KEY} key1 comment'\n");
            assert_eq!(said(&text), [""; 0], "{good}");
        }
        for (bad, name) in [
            ("- ", "-"),
            ("key1 ", "key1"),
            ("from=10.0.0.1 ", "from"),
            ("no-pty,bogus=\"x\" ", "bogus"),
            ("pty=\"x\" ", "pty"),
            ("command ", "command"),
        ] {
            let text = format!("SSH_PUBLIC_KEY='{bad}{KEY}'\n");
            let what = "a key has an option that sshd does not read so, and is not taken";
            assert_eq!(said(&text), [format!("- root: {what}: {name}")]);
        }
    }
}
