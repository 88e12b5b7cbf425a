//! Text in and out: small parsers over bytes, and writers for `ufmt`.
//!
//! Everything that is written goes into a `Table<u8>`; what came from a disk
//! is written through [`Shown`], so that no control character of a context
//! reaches a terminal.
use core::convert::Infallible;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;
use ufmt::{Formatter, uDisplay, uWrite, uwrite};

use crate::memory::Table;

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

/// Why a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// What the kernel answered.
    Os(Errno),
    /// What we found.
    Found(&'static str),
}

impl From<Errno> for Reason {
    fn from(errno: Errno) -> Self {
        Self::Os(errno)
    }
}

impl From<&'static str> for Reason {
    fn from(found: &'static str) -> Self {
        Self::Found(found)
    }
}

impl uDisplay for Reason {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        match self {
            Self::Found(found) => f.write_str(found),
            Self::Os(errno) => match describe(*errno) {
                Some(text) => f.write_str(text),
                None => {
                    f.write_str("error ")?;
                    errno.raw_os_error().fmt(f)
                }
            },
        }
    }
}

/// The words of errno(3) for the errors that early boot meets.
fn describe(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::PERM => "Operation not permitted",
        Errno::NOENT => "No such file or directory",
        Errno::INTR => "Interrupted system call",
        Errno::IO => "Input/output error",
        Errno::NXIO => "No such device or address",
        Errno::BADF => "Bad file descriptor",
        Errno::AGAIN => "Resource temporarily unavailable",
        Errno::NOMEM => "Cannot allocate memory",
        Errno::ACCESS => "Permission denied",
        Errno::BUSY => "Device or resource busy",
        Errno::EXIST => "File exists",
        Errno::XDEV => "Invalid cross-device link",
        Errno::NODEV => "No such device",
        Errno::NOTDIR => "Not a directory",
        Errno::ISDIR => "Is a directory",
        Errno::INVAL => "Invalid argument",
        Errno::MFILE => "Too many open files",
        Errno::FBIG => "File too large",
        Errno::NOSPC => "No space left on device",
        Errno::ROFS => "Read-only file system",
        Errno::RANGE => "Numerical result out of range",
        Errno::NAMETOOLONG => "File name too long",
        Errno::NOSYS => "Function not implemented",
        Errno::LOOP => "Too many levels of symbolic links",
        Errno::OPNOTSUPP => "Operation not supported",
        Errno::AFNOSUPPORT => "Address family not supported by protocol",
        Errno::ADDRNOTAVAIL => "Cannot assign requested address",
        Errno::NETDOWN => "Network is down",
        Errno::NETUNREACH => "Network is unreachable",
        Errno::NOBUFS => "No buffer space available",
        Errno::TIMEDOUT => "Connection timed out",
        Errno::NOMEDIUM => "No medium found",
        Errno::DQUOT => "Disk quota exceeded",
        _ => return None,
    })
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

fn hex2<W: uWrite + ?Sized>(f: &mut Formatter<'_, W>, byte: u8) -> Result<(), W::Error> {
    f.write_char(hex_digit(byte >> 4))?;
    f.write_char(hex_digit(byte))
}

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
        for digit in group
            .to_be_bytes()
            .into_iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
        {
            started |= digit != 0;
            if started {
                f.write_char(hex_digit(digit))?;
            }
        }
        if !started {
            f.write_char('0')?;
        }
    }
    Ok(())
}

/// A 48-bit link-layer address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Reads `02:00:0a:12:01:01`, in any letter case; `-` serves as well.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut octets = [0; 6];
        let mut parts = text.split(|byte| matches!(byte, b':' | b'-'));
        for octet in &mut octets {
            let part = parts.next()?;
            if part.is_empty() || part.len() > 2 {
                return None;
            }
            for byte in part {
                *octet = *octet << 4 | char::from(*byte).to_digit(16)? as u8;
            }
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

/// Without the blanks, tabs and carriage returns around it.
pub fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// A decimal number without sign or blank.
pub fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |number, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The words of a list separated by blanks or newlines; servers and users
/// also write commas.
pub fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| byte.is_ascii_whitespace() || *byte == b',')
        .filter(|word| !word.is_empty())
}

/// An IPv4 or IPv6 address.
pub fn ip(text: &[u8]) -> Option<IpAddr> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Arena;

    fn shown(value: &impl uDisplay) -> String {
        let arena = Arena::new();
        let mut text = arena.table();
        ufmt::uwrite!(text, "{}", value);
        String::from_utf8(text.to_vec()).unwrap()
    }

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
            assert_eq!(shown(&Ip(address)), address.to_string());
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
            assert_eq!(shown(&Ip(address.into())), address.to_string());
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
        assert_eq!(shown(&Mac([2, 0, 10, 18, 1, 254])), "02:00:0a:12:01:fe");
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

    #[test]
    fn numbers_are_plain_decimals() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"4294967295"), Some(u32::MAX));
        for bad in ["", "4294967296", "-1", "+1", " 1", "0x1", "1 "] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
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

    #[test]
    fn errors_have_words() {
        assert_eq!(
            shown(&Reason::from(Errno::NOENT)),
            "No such file or directory"
        );
        assert_eq!(
            shown(&Reason::from(Errno::from_raw_os_error(133))),
            "error 133"
        );
        for number in 1..133 {
            let errno = Errno::from_raw_os_error(number);
            if let Some(words) = describe(errno) {
                let theirs = std::io::Error::from_raw_os_error(number).to_string();
                assert_eq!(format!("{words} (os error {number})"), theirs);
            }
        }
    }
}
