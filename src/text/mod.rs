//! Text in and out: small parsers over bytes, and writers for `ufmt`.
//!
//! Everything that is written goes into a `Table<u8>`; what came from a disk
//! is written through [`Shown`], so that no control character of a context
//! reaches a terminal.
mod address;
mod error;
mod parts;

use core::convert::Infallible;

use ufmt::{Formatter, uDisplay, uWrite, uwrite};

use crate::memory::Table;
pub use address::{Ip, Mac, ip};
pub use error::Error;
pub use parts::{
    Split, Words, base_name, choice, cut, equal, find, lines, list, number, same, span, split,
    trim, unquoted, words,
};

/// A growing text.
pub type Text<'a> = Table<'a, u8>;

impl uWrite for Table<'_, u8> {
    type Error = Infallible;
    // Called in a thousand places.
    #[inline(never)]
    fn write_str(&mut self, text: &str) -> Result<(), Infallible> {
        self.extend(text.as_bytes());
        Ok(())
    }
}

/// What can be written, behind a pointer that does not say what it is.
pub trait Show {
    /// Appends it.
    fn show(&self, text: &mut Text);
}

impl<T: uDisplay> Show for T {
    fn show(&self, text: &mut Text) {
        uwrite!(text, "{}", *self);
    }
}

/// Bytes from outside, made safe for one line of a terminal: control
/// characters and broken UTF-8 are escaped, and what is longer than
/// [`Shown::LONGEST`] bytes ends in `…`. For people only: what a program
/// reads on is written whole.
#[derive(Clone, Copy)]
pub struct Shown<'a>(pub &'a [u8]);

impl Shown<'_> {
    /// Bytes of the input that are shown.
    pub const LONGEST: usize = 160;
}

impl uDisplay for Shown<'_> {
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

fn hex_digit(value: u8) -> char {
    let value = value & 15;
    char::from(if value < 10 {
        b'0' + value
    } else {
        b'a' - 10 + value
    })
}

/// Two hexadecimal digits.
fn hex2<W: uWrite + ?Sized>(f: &mut Formatter<'_, W>, byte: u8) -> Result<(), W::Error> {
    f.write_char(hex_digit(byte >> 4))?;
    f.write_char(hex_digit(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Arena;

    fn shown(value: &impl uDisplay) -> String {
        let arena = Arena::new();
        String::from_utf8(crate::report::shown(&arena, value).to_vec()).unwrap()
    }

    #[test]
    fn nothing_from_outside_reaches_a_terminal_raw() {
        assert_eq!(
            shown(&Shown("é\x1b[2J\n\u{9b}\u{202e}".as_bytes())),
            "é\\x1b[2J\\n\\x9b\\xe2\\x80\\xae"
        );
        assert_eq!(shown(&Shown(b"a\xffb")), "a\\xffb");
        assert_eq!(shown(&Shown(&[b'x'; 161])), "x".repeat(160) + "…");
    }
}
