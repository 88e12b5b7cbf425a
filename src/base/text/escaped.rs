//! Text from outside, for a terminal.
use ufmt::{Formatter, uDisplay, uWrite};

use super::hex::hex2;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text::to_string;

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
