//! Lines for systemd-tmpfiles (tmpfiles.d(5)), which the booted system applies
//! once its own file systems are mounted: it labels for SELinux and follows
//! the root's own layout.
use crate::base::text::Text;
use crate::changeset::Octal;
use ufmt::uwrite;

/// The longest line that systemd reads, in bytes (LONG_LINE_MAX,
/// systemd:src/basic/def.h).
pub const LONGEST_LINE: usize = 1 << 20;

/// `TYPE PATH MODE UID GID - ARGUMENT`; the path is given in parts. Without a mode, that of something new
/// is systemd's and that of something old stays.
pub fn line(
    out: &mut Text,
    kind: &str,
    path: &[&[u8]],
    mode: Option<u32>,
    owner: (u32, u32),
    argument: Option<&[u8]>,
) {
    uwrite!(out, "{} ", kind);
    for part in path {
        escape(out, part);
    }
    match mode {
        Some(mode) => {
            uwrite!(out, " {}", Octal(mode));
        }
        None => out.extend(b" -"),
    }
    uwrite!(out, " {} {} -", owner.0, owner.1);
    if let Some(argument) = argument {
        out.push(b' ');
        escape(out, argument);
    }
    out.push(b'\n')
}

/// C escapes, and `%` doubled, since specifiers are expanded. What could end
/// a field, be trimmed or be unquoted is escaped.
fn escape(out: &mut Text, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in text {
        match byte {
            b'%' => out.extend(b"%%"),
            b'+' | b'-'..=b'9' | b'=' | b'@'..=b'Z' | b'_' | b'a'..=b'z' => out.push(*byte),
            _ => {
                out.extend(b"\\x");
                for digit in [byte >> 4, byte & 15] {
                    out.push(HEX.get(usize::from(digit)).copied().unwrap_or(b'0'));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::arena::Arena;

    fn lines(kind: &str, path: &str, argument: Option<&[u8]>) -> String {
        let arena = Arena::new();
        let mut out = arena.vector();
        line(
            &mut out,
            kind,
            &[path.as_bytes()],
            Some(0o600),
            (7, 8),
            argument,
        );
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn escapes() {
        assert_eq!(
            lines("f+", "/root/x y", Some(b" a\\b%c\n\"'\xff~")),
            "f+ /root/x\\x20y 0600 7 8 - \\x20a\\x5cb%%c\\x0a\\x22\\x27\\xff\\x7e\n"
        );
        assert_eq!(lines("d", "/a", None), "d /a 0600 7 8 -\n");
    }
}
