//! Domain names.
use super::parts::split;

/// Whether this is valid in a `search` list: labels of letters, digits, `-` and `_`
/// (RFC 1035 2.3.1, plus the underscore, which is in use).
pub fn is_domain(text: &[u8]) -> bool {
    let text = text.strip_suffix(b".").unwrap_or(text);
    let label = |label: &[u8]| {
        (1..=63).contains(&label.len())
            && label
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with(b"-")
            && !label.ends_with(b"-")
    };
    text.len() <= 253 && split(text, |byte| byte == b'.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        for good in [
            "example.org",
            "a",
            "example.org.",
            "_tcp.example.org",
            "EXAMPLE.org",
        ] {
            assert!(is_domain(good.as_bytes()), "{good}");
        }
        for bad in ["", ".", "a..b", "-a", "a-.b", "ü.org", "a b", "a\nb"] {
            assert!(!is_domain(bad.as_bytes()), "{bad}");
        }
    }
}
