//! Text in and out: small parsers over bytes, and writers for `ufmt`.
//!
//! All output is built in a `Vector<u8>`. Bytes from a disk are written through
//! [`Escaped`], so that no control character of a context reaches a terminal.
mod address;
mod domain;
mod hex;
mod moment;
mod parts;
mod string;

use core::convert::Infallible;

use ufmt::{Formatter, uDisplay, uWrite, uwrite};

use core::ffi::CStr;

use rustix::io::Errno;

use crate::base::memory::Vector;
pub use address::{Ip, Mac, ip};
pub use domain::is_domain;
pub use hex::hex_digit;
use hex::hex2;
pub use moment::Moment;
pub use parts::{
    Split, Words, base_name, find, lines, list, number, position, same, span, split, split_once,
    unquoted, words,
};
pub use string::Str;

/// A growing text.
pub type Text = Vector<u8>;

impl uWrite for Vector<u8> {
    type Error = Infallible;
    // Called in a thousand places: inlining would enlarge the binary.
    #[inline(never)]
    fn write_str(&mut self, text: &str) -> Result<(), Infallible> {
        self.extend(text.as_bytes());
        Ok(())
    }
}

/// The object-safe form of `uDisplay`, for `&dyn Format`.
pub trait Format {
    /// Appends the value to `text`.
    fn append_to(&self, text: &mut Text);
}

impl<T: uDisplay> Format for T {
    fn append_to(&self, text: &mut Text) {
        uwrite!(text, "{}", *self);
    }
}

/// Bytes from outside, made safe for one line of a terminal: control
/// characters and broken UTF-8 are escaped, and what is longer than
/// [`Escaped::LONGEST`] bytes ends in `…`.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl Escaped<'_> {
    /// Bytes of the input that are shown.
    pub const LONGEST: usize = 160;
}

impl uDisplay for Escaped<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let head = self.0.get(..Self::LONGEST).unwrap_or(self.0);
        for chunk in head.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    // C0, DEL and C1, and what reorders or hides text.
                    '\0'..='\x1f' | '\x7f'..='\u{9f}' => escape(f, character as u8)?,
                    '\u{200b}'..='\u{200f}'
                    | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}'
                    | '\u{feff}' => {
                        let mut bytes = [0; 4];
                        for byte in character.encode_utf8(&mut bytes).bytes() {
                            escape(f, byte)?;
                        }
                    }
                    _ => f.write_char(character)?,
                }
            }
            for byte in chunk.invalid() {
                escape(f, *byte)?;
            }
        }
        if head.len() < self.0.len() {
            f.write_str("…")
        } else {
            Ok(())
        }
    }
}

fn escape<W: uWrite + ?Sized>(f: &mut Formatter<'_, W>, byte: u8) -> Result<(), W::Error> {
    f.write_str("\\x")?;
    hex2(f, byte)
}

/// `text` as a `str`, for `match`; empty if it is not UTF-8. Byte patterns compile to
/// one comparison per byte, ten bytes of code each; `str` patterns do not.
#[inline(never)]
pub fn as_str(text: &[u8]) -> &str {
    match text.utf8_chunks().next() {
        Some(chunk) if chunk.invalid().is_empty() => chunk.valid(),
        _ => "",
    }
}

/// `value`, as bytes.
pub fn format(value: &impl uDisplay) -> &'static [u8] {
    let mut text = Text::new();
    uwrite!(text, "{}", *value);
    text.finish()
}

/// `value` as a `String`, for tests.
#[cfg(test)]
pub(crate) fn to_string(value: &impl uDisplay) -> String {
    String::from_utf8(format(value).to_vec()).unwrap()
}

/// [`Str::concat`], for a system call.
///
/// # Errors
/// `EINVAL`: there is a NUL in `parts`.
pub fn c_str(parts: &[&[u8]]) -> Result<&'static CStr, Errno> {
    Ok(Str::concat(parts)?.c_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_reaches_a_terminal_raw() {
        assert_eq!(
            to_string(&Escaped("é\x1b[2J\n\u{9b}\u{202e}".as_bytes())),
            "é\\x1b[2J\\n\\x9b\\xe2\\x80\\xae"
        );
        assert_eq!(to_string(&Escaped(b"a\xffb")), "a\\xffb");
        assert_eq!(to_string(&Escaped(&[b'x'; 161])), "x".repeat(160) + "…");
    }
}
