//! Parsers of single values: masks, prefixes, switches, user names.
use core::net::IpAddr;

use crate::base::text::{ip, number, split_once};
use crate::plan::Prefix;

/// Length of the network part from `255.255.254.0`, `23` or `/23`.
pub fn netmask(text: &[u8]) -> Option<u8> {
    if let Some(IpAddr::V4(mask)) = ip(text) {
        let bits = u32::from(mask);
        let length = bits.leading_ones();
        // `checked_shl` refuses a shift by 32; a mask of 32 ones is fine.
        return (bits.checked_shl(length).unwrap_or(0) == 0).then_some(length as u8);
    }
    length(text, 32)
}

/// Length of a network part, as `24` or `/24`: at most `longest` bits.
pub fn length(text: &[u8], longest: u8) -> Option<u8> {
    let bits = number(text.strip_prefix(b"/").unwrap_or(text))?;
    u8::try_from(bits).ok().filter(|bits| *bits <= longest)
}

/// `10.0.0.0/8`; a lone address is a host, `default` is everything in the
/// family of `like`.
pub fn destination(text: &[u8], like: IpAddr) -> Option<Prefix> {
    if text == b"default" {
        return Some(Prefix::everything(like));
    }
    match split_once(text, b'/') {
        Some((address, bits)) => subnet(address, bits),
        None => ip(text).map(Prefix::host),
    }
}

/// The network of an address. `bits` is its prefix length or, in IPv4, its netmask.
pub fn subnet(address: &[u8], bits: &[u8]) -> Option<Prefix> {
    let address = ip(address)?;
    let length = match address {
        IpAddr::V4(_) => netmask(bits),
        IpAddr::V6(_) => length(bits, 128),
    }?;
    Some(Prefix { address, length }.network())
}

/// Whether a machine can have this address.
pub fn usable(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast)
}

/// A keyword in lower case, for a `match` that ignores the case of letters;
/// empty if it is longer than every keyword.
pub fn lowered<'b>(word: &[u8], buffer: &'b mut [u8; 8]) -> &'b [u8] {
    let lowered = buffer.get_mut(..word.len()).unwrap_or_default();
    for (to, from) in lowered.iter_mut().zip(word) {
        *to = from.to_ascii_lowercase();
    }
    lowered
}

/// `1`, `true`, `yes`, `y`, `on` in any letter case.
pub fn is_yes(text: &[u8]) -> bool {
    matches!(
        lowered(text, &mut [0; 8]),
        b"1" | b"true" | b"yes" | b"y" | b"on"
    )
}

/// `0`, `false`, `no`, `n`, `off` in any letter case.
pub fn is_no(text: &[u8]) -> bool {
    matches!(
        lowered(text, &mut [0; 8]),
        b"0" | b"false" | b"no" | b"n" | b"off"
    )
}

/// Whether this can be a login name: what useradd(8) accepts, capitals and dots
/// included.
pub fn is_user(text: &[u8]) -> bool {
    text.len() <= 256
        && text
            .first()
            .is_some_and(|first| first.is_ascii_alphanumeric() || *first == b'_')
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-@$".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netmasks() {
        for (text, expected) in [
            ("255.255.255.0", Some(24)),
            ("255.255.254.0", Some(23)),
            ("0.0.0.0", Some(0)),
            ("255.255.255.255", Some(32)),
            ("24", Some(24)),
            ("/24", Some(24)),
            ("0", Some(0)),
            ("33", None),
            ("255.0.255.0", None),
            ("255.255.253.0", None),
            ("255.255.255", None),
            ("//24", None),
            ("-1", None),
            ("ffff::", None),
        ] {
            assert_eq!(netmask(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn switches_in_any_letter_case() {
        for yes in ["1", "true", "YES", "y", "On"] {
            assert!(is_yes(yes.as_bytes()) && !is_no(yes.as_bytes()), "{yes}");
        }
        for no in ["0", "False", "NO", "n", "off"] {
            assert!(is_no(no.as_bytes()) && !is_yes(no.as_bytes()), "{no}");
        }
        for neither in ["", "2", "ye", "yes ", "falsefalse", "yesyesyes"] {
            let text = neither.as_bytes();
            assert!(!is_yes(text) && !is_no(text), "{neither}");
        }
    }

    #[test]
    fn destinations() {
        let v4: IpAddr = "10.0.0.1".parse().unwrap();
        let prefix = |address: &str, length| {
            Some(Prefix {
                address: address.parse().unwrap(),
                length,
            })
        };
        assert_eq!(destination(b"10.1.2.3/8", v4), prefix("10.0.0.0", 8));
        assert_eq!(
            destination(b"10.1.2.3/255.255.0.0", v4),
            prefix("10.1.0.0", 16)
        );
        assert_eq!(destination(b"10.1.2.3", v4), prefix("10.1.2.3", 32));
        assert_eq!(destination(b"2001:db8::5/32", v4), prefix("2001:db8::", 32));
        assert_eq!(destination(b"default", v4), Some(Prefix::DEFAULT_V4));
        assert_eq!(
            destination(b"default", "::1".parse().unwrap()),
            Some(Prefix::DEFAULT_V6)
        );
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "/8",
            "10.0.0.0/",
            "::/129",
            "::/255.0.0.0",
            "::///64",
        ] {
            assert_eq!(destination(bad.as_bytes(), v4), None, "{bad}");
        }
    }

    #[test]
    fn users() {
        assert!(is_user(b"alice") && is_user(b"_apt") && is_user(b"First.Last"));
        for bad in ["", "a b", "../root", "a:b", "-x", ".x", "a\nb"] {
            assert!(!is_user(bad.as_bytes()), "{bad}");
        }
    }
}
