//! Base64 (RFC 4648 4).
use crate::base::memory;

/// The value of a base64 character (RFC 4648 4).
pub fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// The bytes of a base64 text without padding; blanks and newlines in it are left
/// out.
pub struct Decoder<'a> {
    digits: &'a [u8],
    /// The `count` lowest bits were read and are not returned yet.
    bits: u32,
    count: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder of these digits.
    pub fn new(digits: &'a [u8]) -> Self {
        Self {
            digits,
            bits: 0,
            count: 0,
        }
    }

    /// A big-endian length, as SSH writes before a string (RFC 4251 5).
    pub fn length(&mut self) -> Option<usize> {
        let mut length = 0u32;
        for _ in 0..4 {
            length = length << 8 | u32::from(self.next()?);
        }
        usize::try_from(length).ok()
    }

    /// Whether the bytes are only SSH strings (RFC 4251 5), at least two.
    pub fn only_strings(mut self) -> bool {
        let mut strings = 0;
        while self.digits.len() * 6 + self.count >= 8 {
            let Some(length) = self.length() else {
                return false;
            };
            for _ in 0..length {
                if self.next().is_none() {
                    return false;
                }
            }
            strings += 1;
        }
        strings >= 2
    }
}

impl Iterator for Decoder<'_> {
    type Item = u8;
    fn next(&mut self) -> Option<u8> {
        while self.count < 8 {
            let (first, rest) = self.digits.split_first()?;
            if !first.is_ascii_whitespace() {
                self.bits = self.bits << 6 | u32::from(digit(*first)?);
                self.count += 6;
            }
            self.digits = rest;
        }
        self.count -= 8;
        Some((self.bits >> self.count) as u8)
    }
}

/// Decodes a whole text, padded or not. Blanks and newlines are ignored. `None`: it is
/// no base64.
pub fn decode(text: &[u8]) -> Option<&'static [u8]> {
    let is_padding = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'=';
    let last = text.iter().rposition(|byte| !is_padding(byte));
    let digits = text.get(..last.map_or(0, |last| last + 1))?;
    // Not much more than needed: a script may be long.
    let buffer = memory::bytes(digits.len() / 4 * 3 + 3);
    let mut decoder = Decoder::new(digits);
    let mut length = 0;
    for (place, byte) in buffer.iter_mut().zip(&mut decoder) {
        *place = byte;
        length += 1;
    }
    // A single last character is less than a byte.
    let is_whole = decoder.digits.is_empty() && decoder.count < 6;
    is_whole.then_some(buffer.get(..length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded() {
        for (text, expected) in [
            ("", Some("")),
            ("YQ==", Some("a")),
            ("YQ", Some("a")),
            ("YWI=", Some("ab")),
            ("YWJj", Some("abc")),
            (" YW\nJj\r\n", Some("abc")),
            ("YWJjZA==", Some("abcd")),
            ("Y", None),
            ("YWJj!", None),
            ("Y=Q=", None),
            ("YWJjZ", None),
        ] {
            let decoded = decode(text.as_bytes());
            assert_eq!(decoded, expected.map(str::as_bytes), "{text:?}");
        }
    }
}
