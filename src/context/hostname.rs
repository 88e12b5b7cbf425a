//! The host name of SET_HOSTNAME or HOSTNAME.
use super::state::Context;
use super::variables::Variable::{HOSTNAME, SET_HOSTNAME};
use crate::base::memory::Vector;
use crate::base::text::split;

/// The longest name that the kernel accepts (`__NEW_UTS_LEN` of linux/utsname.h).
const LONGEST: usize = 64;

/// The host name, made valid: bad characters become `-`, labels lose the
/// dashes around them, empty labels vanish. What was changed is reported.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn read(context: &mut Context) -> Option<&'static [u8]> {
    let machine = context.assignments.machine();
    let variable = machine.first(&[SET_HOSTNAME, HOSTNAME])?;
    let mut name = Vector::new();
    for label in split(variable.printable(), |byte| byte == b'.') {
        let valid = |byte: &u8| byte.is_ascii_alphanumeric();
        // Any other byte becomes a dash, and dashes are trimmed.
        let Some(first) = label.iter().position(valid) else {
            continue;
        };
        let last = label.iter().rposition(valid).unwrap_or(first);
        if !name.is_empty() {
            name.push(b'.');
        }
        for byte in label.get(first..=last).unwrap_or_default() {
            name.push(if valid(byte) { *byte } else { b'-' });
        }
    }
    let whole = name.len();
    name.truncate(LONGEST);
    while name.last().is_some_and(|byte| matches!(byte, b'-' | b'.')) {
        let shorter = name.len() - 1;
        name.truncate(shorter);
    }
    let name = &*name.finish();
    if name.is_empty() {
        context.warn_showing(
            variable,
            "has no letter or digit, the host name stays as it is",
        );
        return None;
    }
    let what = if whole > LONGEST {
        "longer than 64 bytes, cut off to"
    } else if name != variable.value {
        "not a host name, bad characters are replaced or dropped, it becomes"
    } else {
        return Some(name);
    };
    context.warn_showing_part(variable, what, name);
    Some(name)
}

#[cfg(test)]
mod tests {
    use crate::context::tests::plan;

    #[test]
    fn names_are_made_valid() {
        for (value, expected) in [
            ("web1.example.org", "web1.example.org"),
            ("web_1", "web-1"),
            ("-web-.-x-", "web.x"),
            ("a..b.", "a.b"),
            ("b\u{fc}ro", "b--ro"),
            (" web ", "web"),
            ("Web", "Web"),
        ] {
            let text = plan(&format!("SET_HOSTNAME='{value}'\nHOSTNAME='other'"));
            assert!(
                text.contains(&format!("\nhostname {expected}\n")),
                "{value}: {text}"
            );
            assert_eq!(
                text.contains("warning context.sh:1 SET_HOSTNAME"),
                value.trim() != expected,
                "{text}"
            );
        }
        assert!(plan("SET_HOSTNAME=''\nHOSTNAME=old").contains("\nhostname old\n"));
        assert!(!plan("SET_HOSTNAME=---").contains("\nhostname"));
    }

    #[test]
    fn long_names_are_cut() {
        let text = plan(&format!("HOSTNAME={}.{}", "a".repeat(63), "b".repeat(40)));
        assert!(
            text.contains(&format!("\nhostname {}\n", "a".repeat(63))),
            "{text}"
        );
        assert!(text.contains("longer than 64 bytes"));
        let text = plan(&format!("HOSTNAME={}.{}", "a".repeat(60), "b".repeat(40)));
        assert!(
            text.contains(&format!("\nhostname {}.bbb\n", "a".repeat(60))),
            "{text}"
        );
    }
}
