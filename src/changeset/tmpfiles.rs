//! Lines for systemd-tmpfiles (tmpfiles.d(5)). The booted system applies them once its
//! file systems are mounted: systemd-tmpfiles sets SELinux labels and follows the
//! root's own layout.
use super::file::{Access, File, Octal};
use crate::base::error::Error;
use crate::base::memory;
use crate::base::text::{Text, hex_digit};
use crate::image::ResolvedPath;
use ufmt::uwrite;

/// Applied by systemd-tmpfiles-setup.service. The name sorts before systemd's own
/// provision.conf: of two lines for one path the first counts (tmpfiles.d(5)).
pub const PATH: &[u8] = b"/run/tmpfiles.d/50-onecontext.conf";
/// The longest line that systemd reads, in bytes (LONG_LINE_MAX,
/// systemd:src/basic/def.h).
const LONGEST_LINE: usize = 1 << 20;

/// `TYPE PATH MODE UID GID - ARGUMENT`; the path is given in parts, and `owner` is the
/// user and the group, by number or name. Without a mode a new file gets systemd's
/// default, and an old one keeps its own.
fn line(
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

/// How systemd-tmpfiles writes a file of a user.
#[derive(Clone, Copy)]
pub struct Tmpfiles {
    /// The type of the line (tmpfiles.d(5)): "f" leaves a file that is there, "f+"
    /// replaces its content.
    pub kind: &'static str,
    /// What is added to the file's name.
    pub suffix: &'static [u8],
    /// The user and the group, by number or name.
    pub owner: &'static [u8],
    /// Whether the home is made as well: else it would be made for `.ssh`, and belong
    /// to root.
    pub makes_home: bool,
}

impl Tmpfiles {
    /// The lines for a file, and for its directory if that is `.ssh`.
    ///
    /// # Errors
    /// systemd-tmpfiles cannot write this content.
    pub fn lines(&self, path: ResolvedPath, content: &[u8]) -> Result<&'static [u8], Error> {
        if content.contains(&0) {
            return Err(Error::new(
                c"authorized_keys holds a NUL byte, which systemd-tmpfiles refuses",
            ));
        }
        let mut out = Text::new();
        let directory = path.split_file_name().0;
        if let Some(home) = directory.strip_suffix(b"/.ssh") {
            if self.makes_home {
                line(&mut out, "d", &[home], None, self.owner, None);
            }
            line(&mut out, "d", &[directory], Some(0o700), self.owner, None);
        }
        let start = out.len();
        let path = [path.path(), self.suffix];
        line(
            &mut out,
            self.kind,
            &path,
            Some(0o600),
            self.owner,
            Some(content),
        );
        if out.len().saturating_sub(start) > LONGEST_LINE {
            return Err(Error::new(
                c"more keys than a line for systemd-tmpfiles holds, 1 MiB",
            ));
        }
        Ok(out.finish())
    }
}

/// A file of such lines. Only root may read it: it has the content of a user's private
/// file.
pub fn file(lines: &[u8]) -> File {
    File {
        access: Access::ours(0o600),
        ..File::public(memory::concat(&[b"# Made by onecontext.\n", lines]))
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
