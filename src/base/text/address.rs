//! Network addresses, read and written.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ufmt::{Formatter, uDisplay, uWrite};

use super::hex::{hex_digit, hex2};
use super::parts::{digits, number, split};

/// An IP address in its canonical form (RFC 5952 for IPv6).
#[derive(Clone, Copy)]
pub struct Ip(pub IpAddr);

impl uDisplay for Ip {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        match self.0 {
            IpAddr::V4(address) => write_v4(f, address),
            IpAddr::V6(address) => write_v6(f, address),
        }
    }
}

fn write_v4<W: uWrite + ?Sized>(
    f: &mut Formatter<'_, W>,
    address: Ipv4Addr,
) -> Result<(), W::Error> {
    for (position, octet) in address.octets().into_iter().enumerate() {
        if position > 0 {
            f.write_char('.')?;
        }
        octet.fmt(f)?;
    }
    Ok(())
}

fn write_v6<W: uWrite + ?Sized>(
    f: &mut Formatter<'_, W>,
    address: Ipv6Addr,
) -> Result<(), W::Error> {
    if let Some(v4) = address.to_ipv4_mapped() {
        f.write_str("::ffff:")?;
        return write_v4(f, v4);
    }
    let groups = address.segments();
    // The first longest run of two or more zero groups becomes "::".
    let (mut best, mut longest, mut run) = (0, 1, 0);
    for (position, group) in groups.into_iter().enumerate() {
        run = if group == 0 { run + 1 } else { 0 };
        if run > longest {
            (longest, best) = (run, position + 1 - run);
        }
    }
    let gap = if longest > 1 {
        best..best + longest
    } else {
        8..8
    };
    for (position, group) in groups.into_iter().enumerate() {
        if gap.contains(&position) {
            if position == gap.start {
                f.write_str("::")?;
            }
            continue;
        }
        if position > 0 && position != gap.end {
            f.write_char(':')?;
        }
        let mut started = false;
        for shift in [12, 8, 4, 0] {
            let digit = (group >> shift) as u8 & 15;
            started |= digit != 0 || shift == 0;
            if started {
                f.write_char(hex_digit(digit))?;
            }
        }
    }
    Ok(())
}

/// Parses an IPv4 or IPv6 address, in the forms that the standard library accepts. The
/// parser of the standard library is four times as large and can panic.
pub fn ip(text: &[u8]) -> Option<IpAddr> {
    match v4(text) {
        Some(address) => Some(Ipv4Addr::from(address).into()),
        None => Some(Ipv6Addr::from(v6(text)?).into()),
    }
}

/// Four decimal numbers without leading zeros.
fn v4(text: &[u8]) -> Option<u32> {
    let mut address = 0;
    let mut parts = split(text, |byte| byte == b'.');
    for _ in 0..4 {
        let part = parts.next()?;
        let octet = number(part).filter(|octet| *octet <= 255)?;
        if part.len() > 1 && part.starts_with(b"0") {
            return None;
        }
        address = address << 8 | octet;
    }
    parts.next().is_none().then_some(address)
}

/// Eight groups of up to four digits (RFC 4291 2.2); `::` stands for one or more zero
/// groups; the last two groups may be an IPv4 address.
fn v6(text: &[u8]) -> Option<u128> {
    /// Bits of an address.
    const ALL: u32 = 128;
    let double = text.windows(2).position(|pair| pair == b"::");
    let Some(double) = double else {
        return groups(text, true)
            .filter(|(_, bits)| *bits == ALL)
            .map(|(address, _)| address);
    };
    let (head, head_bits) = groups(text.get(..double)?, false)?;
    let (tail, tail_bits) = groups(text.get(double + 2..)?, true)?;
    if head_bits + tail_bits >= ALL {
        return None;
    }
    // An empty head would be shifted by all 128 bits.
    Some(head.checked_shl(ALL - head_bits).unwrap_or(0) | tail)
}

/// The value of colon-separated groups, and its length in bits. `ends`: the last group
/// may be an IPv4 address.
fn groups(text: &[u8], ends: bool) -> Option<(u128, u32)> {
    let (mut value, mut bits) = (0u128, 0);
    if text.is_empty() {
        return Some((value, bits));
    }
    let mut parts = split(text, |byte| byte == b':').peekable();
    while let Some(part) = parts.next() {
        let (group, length) = match v4(part) {
            Some(address) if ends && parts.peek().is_none() => (address, 32),
            _ if part.len() <= 4 => (digits(part, 16)?, 16),
            _ => return None,
        };
        bits += length;
        value = value << length | u128::from(group);
    }
    (bits <= 128).then_some((value, bits))
}

/// A 48-bit link-layer address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Reads `02:00:0a:12:01:01`, in any letter case; `-` is accepted as separator too.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut octets = [0; 6];
        let mut parts = split(text, |byte| matches!(byte, b':' | b'-'));
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() <= 2)?;
            *octet = digits(part, 16)? as u8;
        }
        parts.next().is_none().then_some(Self(octets))
    }
}

impl uDisplay for Mac {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        for (position, octet) in self.0.into_iter().enumerate() {
            if position > 0 {
                f.write_char(':')?;
            }
            hex2(f, octet)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text::to_string;

    #[test]
    fn addresses_are_written_as_the_standard_library_writes_them() {
        for text in [
            "0.0.0.0",
            "255.255.255.255",
            "10.18.1.1",
            "::",
            "::1",
            "1::",
            "2001:db8:1::a",
            "fe80::1:0:0:1",
            "1:0:0:2:0:0:0:3",
            "1:0:2:3:4:5:6:7",
            "::ffff:1.2.3.4",
            "0:1::",
            "abcd:ef01:2345:6789:abcd:ef01:2345:6789",
            "2001:db8::1:0:0:1",
            "0:0:1::",
            "1:2:3:4:5:6:7::",
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(to_string(&Ip(address)), address.to_string());
            assert_eq!(ip(text.as_bytes()), Some(address));
        }
        let mut seed = 1u128;
        for _ in 0..2000 {
            seed = seed
                .wrapping_mul(0x2360ED051FC65DA44385DF649FCCF645)
                .wrapping_add(0x5851F42D4C957F2D14057B7EF767814F);
            // Many zero groups, so that all shapes of "::" occur.
            let mask = (0..8).fold(0u128, |mask, n| {
                mask << 16 | if seed >> (90 + n) & 1 == 1 { 0xffff } else { 0 }
            });
            let address = Ipv6Addr::from((seed ^ seed << 64) & mask);
            assert_eq!(to_string(&Ip(address.into())), address.to_string());
        }
    }

    #[test]
    fn addresses_are_read_as_the_standard_library_reads_them() {
        // Short texts of what addresses are made of, good and bad ones.
        const PARTS: [&str; 12] = [
            ":", "::", "0", "1", "ffff", "12345", "1.2.3.4", "255", "256", "01", ".", "g",
        ];
        let mut seed = 1u64;
        let mut good = 0;
        for round in 0..400_000 {
            let mut text = String::new();
            for _ in 0..round % 17 {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let part = (seed >> 33) as usize % (PARTS.len() * 4);
                // Mostly groups and colons, so that many are good.
                text += PARTS.get(part).unwrap_or(&[":", "1"][text.len() & 1]);
            }
            let theirs = text.parse().ok();
            good += u32::from(theirs.is_some());
            assert_eq!(ip(text.as_bytes()), theirs, "{text}");
        }
        assert!(good > 1000, "{good}");
        for text in [
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "1::3:4:5:6:7:8",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7::8",
            "1:2:3:4:5:6:1.2.3.4",
            "::1.2.3.4",
            "1:2:3:4:5::1.2.3.4",
            "1:2:3:4:5:6::1.2.3.4",
            "1.2.3.4::",
            "1.2.3.4:1::",
            "1:2:3:4:5:6:7:1.2.3.4",
            ":::",
            "::1::",
            ":1::",
            "1:::2",
            "1::2:",
            "fe80::1%1",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.",
            "00.2.3.4",
            "0.0.0.0",
            "1.2.3.4 ",
            "1.2.3.1000",
        ] {
            assert_eq!(ip(text.as_bytes()), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn macs() {
        assert_eq!(
            Mac::parse(b"02:00:0A:12:01:fe"),
            Some(Mac([2, 0, 10, 18, 1, 254]))
        );
        assert_eq!(
            Mac::parse(b"02-00-0A-12-01-fe"),
            Some(Mac([2, 0, 10, 18, 1, 254]))
        );
        assert_eq!(to_string(&Mac([2, 0, 10, 18, 1, 254])), "02:00:0a:12:01:fe");
        for bad in [
            "",
            "02:00:0a:12:01",
            "02:00:0a:12:01:fe:00",
            "02:00:0a:12:01:fg",
            "02:00:0a:12:01:",
            "002:0:a:12:1:fe",
        ] {
            assert_eq!(Mac::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
