//! Lines for systemd-tmpfiles (tmpfiles.d(5)), which the booted system applies
//! once its own file systems are mounted: it labels for SELinux and follows
//! the root's own layout.
use crate::base::error::Error;
use crate::base::text::{Text, base_name, hex_digit};
use crate::changeset::{Access, File, Octal};
use crate::image::sshd::Sshd;
use ufmt::uwrite;

/// The longest line that systemd reads, in bytes (LONG_LINE_MAX,
/// systemd:src/basic/def.h).
const LONGEST_LINE: usize = 1 << 20;

/// `TYPE PATH MODE UID GID - ARGUMENT`; the path is given in parts, and `owner`
/// is the user and the group, by number or name. Without a mode, that of
/// something new is systemd's and that of something old stays.
pub fn line(
    out: &mut Text,
    kind: &str,
    path: &[&[u8]],
    mode: Option<u32>,
    owner: &[u8],
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
    out.push(b' ');
    out.extend(owner);
    out.extend(b" -");
    if let Some(argument) = argument {
        out.push(b' ');
        escape(out, argument);
    }
    out.push(b'\n')
}

/// The lines of an authorized_keys file, whose path is given in two parts, and of
/// its directory; with `makes_home` of the home, too.
///
/// # Errors
/// systemd does not read what the file holds.
pub fn keys(
    out: &mut Text,
    owner: &[u8],
    makes_home: bool,
    kind: &str,
    path: &[&[u8]; 2],
    content: &[u8],
) -> Result<(), Error> {
    if content.contains(&0) {
        return Err(Error::new(
            &"authorized_keys holds a NUL byte, which systemd-tmpfiles refuses",
        ));
    }
    let [file, _] = path;
    let directory = base_name(file).0;
    if let Some(home) = directory.strip_suffix(b"/.ssh") {
        if makes_home {
            line(out, "d", &[home], None, owner, None);
        }
        line(out, "d", &[directory], Some(0o700), owner, None);
    }
    let start = out.len();
    line(out, kind, path, Some(0o600), owner, Some(content));
    if out.len().saturating_sub(start) > LONGEST_LINE {
        out.truncate(start);
        return Err(Error::new(
            &"more keys than a line for systemd-tmpfiles holds, 1 MiB",
        ));
    }
    Ok(())
}

/// The type of the line for the keys in a home that is mounted later, and what the
/// name of their file ends with. What an authorized_keys holds there cannot be read
/// now, and must not be lost: the keys go to sshd's own second file, which nobody else
/// uses, or else into an authorized_keys only where there is none.
pub fn in_later_home(sshd: Option<&Sshd>) -> (&'static str, &'static [u8]) {
    match sshd {
        Some(sshd) if sshd.config.looks_at(b"authorized_keys2") => ("f+", b"2"),
        _ => ("f", b""),
    }
}

/// A file of such lines. Not public: it holds what a private file of a user holds.
pub fn file(lines: &[u8]) -> File<'_> {
    File {
        access: Access::ours(0o600),
        ..File::public(lines)
    }
}

/// C escapes, and `%` doubled, since specifiers are expanded. What could end
/// a field, be trimmed or be unquoted is escaped.
fn escape(out: &mut Text, text: &[u8]) {
    for byte in text {
        match byte {
            b'%' => out.extend(b"%%"),
            b'+' | b'-'..=b'9' | b'=' | b'@'..=b'Z' | b'_' | b'a'..=b'z' => out.push(*byte),
            _ => {
                out.extend(b"\\x");
                out.push(hex_digit(byte >> 4) as u8);
                out.push(hex_digit(*byte) as u8);
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
            b"7 8",
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
