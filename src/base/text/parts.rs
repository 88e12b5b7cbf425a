//! Splitting text. The standard library's functions are compiled again for each
//! closure. Here the predicate is a function pointer, so the binary contains each
//! function once.

/// A predicate on bytes.
pub type Kind = fn(u8) -> bool;

/// The parts of a text between the bytes of one kind.
pub struct Split<'t> {
    rest: Option<&'t [u8]>,
    separator: Kind,
}

/// Splits `text` at each separator. There is at least one part; parts may be empty.
pub fn split(text: &[u8], separator: Kind) -> Split<'_> {
    Split {
        rest: Some(text),
        separator,
    }
}

impl<'t> Iterator for Split<'t> {
    type Item = &'t [u8];
    #[inline(never)]
    fn next(&mut self) -> Option<&'t [u8]> {
        let rest = self.rest.take()?;
        let end = find(rest, self.separator);
        self.rest = end.and_then(|end| rest.get(end + 1..));
        rest.get(..end.unwrap_or(rest.len()))
    }
}

/// The lines of a text, without their newlines.
pub fn lines(text: &[u8]) -> Split<'_> {
    split(text, |byte| byte == b'\n')
}

/// Parts that are not empty.
pub struct Words<'t>(Split<'t>);

impl<'t> Iterator for Words<'t> {
    type Item = &'t [u8];
    #[inline(never)]
    fn next(&mut self) -> Option<&'t [u8]> {
        self.0.find(|word| !word.is_empty())
    }
}

/// The words between blanks or newlines.
pub fn words(text: &[u8]) -> Words<'_> {
    Words(split(text, |byte| byte.is_ascii_whitespace()))
}

/// The words between blanks and quotes of any kind.
pub fn unquoted(text: &[u8]) -> Words<'_> {
    Words(split(text, |byte| {
        byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'')
    }))
}

/// The words of a list separated by blanks or newlines; servers and users
/// also write commas and semicolons.
pub fn list(text: &[u8]) -> Words<'_> {
    Words(split(text, |byte| {
        byte.is_ascii_whitespace() || matches!(byte, b',' | b';')
    }))
}

/// The position of the first byte of a kind.
#[inline(never)]
pub fn find(text: &[u8], kind: Kind) -> Option<usize> {
    text.iter().position(|byte| kind(*byte))
}

/// The position of the first `part` in a text.
#[inline(never)]
pub fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    let last = text.len().checked_sub(part.len())?;
    (0..=last).find(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(part)))
}

/// Splits at the first byte `at`, which is left out.
pub fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..position)?, text.get(position + 1..)?))
}

/// Splits a path at its last slash: the directory and the name. Without a slash the
/// directory is empty.
pub fn split_path(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (
            path.get(..slash).unwrap_or_default(),
            path.get(slash + 1..).unwrap_or_default(),
        ),
        None => (b"", path),
    }
}

/// Splits off the leading bytes of one kind.
#[inline(never)]
pub fn span(text: &[u8], kind: Kind) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !kind(*byte));
    text.split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or_default()
}

/// Whether two texts are equal, ignoring the case of ASCII letters.
#[inline(never)]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| one.eq_ignore_ascii_case(other))
}

/// A decimal number without sign or blank.
pub fn number(text: &[u8]) -> Option<u32> {
    digits(text, 10)
}

/// A number without sign or blank, with digits of this radix.
#[inline(never)]
pub fn digits(text: &[u8], radix: u32) -> Option<u32> {
    let mut number = 0u32;
    for byte in text {
        let digit = char::from(*byte).to_digit(radix)?;
        number = number.checked_mul(radix)?.checked_add(digit)?;
    }
    (!text.is_empty()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain_decimals() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"4294967295"), Some(u32::MAX));
        for bad in ["", "4294967296", "-1", "+1", " 1", "0x1", "1 "] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn parts_are_those_of_the_standard_library() {
        for text in ["", ",", "a", "a,b", ",a,,b,", "a,b,"] {
            let text = text.as_bytes();
            assert!(split(text, |byte| byte == b',').eq(text.split(|byte| *byte == b',')));
        }
        assert!(list(b" a, b;\n\tc,").eq([b"a", b"b", b"c"]));
        assert_eq!(split_once(b"a=b=c", b'='), Some((&b"a"[..], &b"b=c"[..])));
        assert_eq!(split_once(b"a", b'='), None);
        assert_eq!(split_path(b"/a/b"), (&b"/a"[..], &b"b"[..]));
        assert_eq!(split_path(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!(
            span(b"12a3", |byte| byte.is_ascii_digit()),
            (&b"12"[..], &b"a3"[..])
        );
    }
}
