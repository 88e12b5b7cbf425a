//! Lines for systemd-tmpfiles (tmpfiles.d(5)). The booted system applies them once its
//! file systems are mounted: systemd-tmpfiles sets SELinux labels and follows the
//! root's own layout.
use crate::base::error::Error;
use crate::base::text::{Text, base_name, hex_digit};
use crate::changeset::{Access, File, Octal};
use crate::image::sshd::Sshd;
use ufmt::uwrite;

/// The longest line that systemd reads, in bytes (LONG_LINE_MAX,
/// systemd:src/basic/def.h).
const LONGEST_LINE: usize = 1 << 20;

/// `TYPE PATH MODE UID GID - ARGUMENT`; the path is given in parts, and `owner` is the
/// user and the group, by number or name. Without a mode a new file gets systemd's
/// default, and an old one keeps its own.
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

/// Writes the lines of an authorized_keys file, whose path is given in two parts, and
/// of its directory; with `makes_home` of the home too.
///
/// # Errors
/// systemd-tmpfiles cannot write this content.
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
            c"authorized_keys holds a NUL byte, which systemd-tmpfiles refuses",
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
            c"more keys than a line for systemd-tmpfiles holds, 1 MiB",
        ));
    }
    Ok(())
}

/// The type of the line for keys in a home that is mounted later, and the suffix of
/// their file's name. An authorized_keys in that home cannot be read now, and must not
/// be lost. So the keys go to sshd's own second file, authorized_keys2, which nobody
/// else uses; or else to authorized_keys, but only if there is none.
pub fn in_later_home(sshd: Option<&Sshd>) -> (&'static str, &'static [u8]) {
    match sshd {
        Some(sshd) if sshd.config.looks_at(b"authorized_keys2") => ("f+", b"2"),
        _ => ("f", b""),
    }
}

/// A file of such lines. Only root may read it: it has the content of a user's private
/// file.
pub fn file(lines: &'static [u8]) -> File {
    File {
        access: Access::ours(0o600),
        ..File::public(lines)
    }
}

/// Writes C escapes, and doubles `%`, since specifiers are expanded. Everything is
/// escaped that could end a field, be trimmed or be unquoted.
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

    fn lines(kind: &str, path: &str, argument: Option<&[u8]>) -> String {
        let mut out = Text::new();
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
