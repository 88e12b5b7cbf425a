//! Hexadecimal digits, in lower case.
use ufmt::{Formatter, uWrite};

/// One hexadecimal digit, the lower four bits of `value`.
pub fn hex_digit(value: u8) -> char {
    let value = value & 15;
    char::from(if value < 10 {
        b'0' + value
    } else {
        b'a' - 10 + value
    })
}

/// Two hexadecimal digits.
pub fn hex2<W: uWrite + ?Sized>(f: &mut Formatter<'_, W>, byte: u8) -> Result<(), W::Error> {
    f.write_char(hex_digit(byte >> 4))?;
    f.write_char(hex_digit(byte))
}
