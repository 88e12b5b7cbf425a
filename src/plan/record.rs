//! A record of what this program sets on the network devices: a text in /run, which each
//! stage writes ahead of its changes. The context may change between two stages; the
//! later one then takes back what the context no longer contains, also where the earlier
//! one was killed.
//!
//! For each device the text has a line with its name. Lines with a tab follow:
//! - `early`: the early stage has set it up.
//! - `was NAME NUMBER`: its state before: `exists 0` of a VLAN device that was made;
//!   otherwise `up`, `mtu`, and parameters of `net/ipv6/conf`.
//! - What is set on it: `mtu`, the method of IPv6, addresses and routes in the text form
//!   of a plan, `dhcp` if this program asks for its IPv4 address, `auto` if the kernel
//!   accepts router advertisements.
use ufmt::uwrite;

use super::Link;
use crate::base::memory::Vector;
use crate::base::text::{Text, lines, number};

/// Its path, in the initramfs and in the booted system.
pub const PATH: &[u8] = b"/run/onecontext/record";

/// The line of a device that the early stage has set up.
pub const EARLY: &[u8] = b"early";
/// The line of a link whose IPv4 address comes by our own DHCP client. Which one it is
/// need not be known ahead: no other program gives the device an IPv4 address.
pub const DHCP: &[u8] = b"dhcp";
/// The line of a link whose router advertisements the kernel handles.
pub const AUTO: &[u8] = b"auto";

/// The line of a link whose IPv6 is left alone.
pub const SKIPPED: &[u8] = b"ipv6 skip";

/// A device in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedDevice {
    /// Its kernel name.
    pub name: &'static [u8],
    /// Its lines, without the tabs.
    pub lines: &'static [&'static [u8]],
}

impl RecordedDevice {
    /// Whether it has this line.
    pub fn has(&self, line: &[u8]) -> bool {
        self.lines.contains(&line)
    }

    /// The lines of what is set on it.
    pub fn set(&self) -> impl Iterator<Item = &'static [u8]> {
        let lines = self.lines.iter().copied();
        lines.filter(|line| *line != EARLY && !line.starts_with(b"was "))
    }

    /// A number of its state before.
    pub fn before(&self, name: &str) -> Option<u32> {
        self.lines.iter().find_map(|line| {
            let value = line.strip_prefix(b"was ")?.strip_prefix(name.as_bytes())?;
            number(value.strip_prefix(b" ")?)
        })
    }

    /// Whether `now`, a text of [`describe`], sets something else. A lease of the early
    /// stage is always something else: the DHCP client of the booted system asks again.
    pub fn differs(&self, now: &[u8]) -> bool {
        let now = lines(now).filter_map(|line| line.strip_prefix(b"\t"));
        self.has(EARLY) && self.has(DHCP) || !self.set().eq(now)
    }
}

/// Writes what a link sets on a device: on the one that carries its addresses or, if
/// that is a VLAN device, on the one below.
pub fn describe(link: &Link, is_carrier: bool, asks: bool, accepts_ra: bool, text: &mut Text) {
    if let Some(mtu) = link.mtu {
        uwrite!(text, "\tmtu {}\n", mtu);
    }
    if let Some(method) = link.ipv6.method {
        uwrite!(text, "\tipv6 {}\n", method.name());
    }
    if is_carrier {
        for prefix in link.addresses() {
            uwrite!(text, "\taddress {}\n", *prefix);
        }
        for route in link.routes() {
            uwrite!(text, "\troute {}\n", *route);
        }
    }
    for (is_set, line) in [(is_carrier && asks, DHCP), (accepts_ra, AUTO)] {
        if is_set {
            text.push(b'\t');
            text.extend(line);
            text.push(b'\n');
        }
    }
}

/// Parses the text.
pub fn read(text: &'static [u8]) -> &'static [RecordedDevice] {
    let mut devices = Vector::new();
    let mut rest = lines(text).peekable();
    while let Some(name) = rest.next() {
        let mut lines = Vector::new();
        while let Some(line) = rest.peek().and_then(|line| line.strip_prefix(b"\t")) {
            lines.push(line);
            rest.next();
        }
        if !name.is_empty() {
            devices.push(RecordedDevice {
                name,
                lines: lines.finish(),
            });
        }
    }
    devices.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_what_was_there_before() {
        let text = b"ens3\n\tearly\n\twas up 0\n\twas mtu 1500\n\taddress 10.18.1.1/24\n\
                     \troute default via 10.18.1.254\nens4\n\tdhcp\n";
        let early = read(b"ens4\n\tearly\n\tdhcp\n");
        let [ens3, ens4] = read(text) else {
            panic!("two devices");
        };
        assert_eq!((ens3.name, ens4.name), (&b"ens3"[..], &b"ens4"[..]));
        assert!(ens3.has(EARLY) && !ens4.has(EARLY));
        assert_eq!(
            (ens3.before("up"), ens3.before("mtu")),
            (Some(0), Some(1500))
        );
        assert_eq!((ens3.before("mt"), ens4.before("up")), (None, None));
        let now = b"\taddress 10.18.1.1/24\n\troute default via 10.18.1.254\n";
        assert!(!ens3.differs(now));
        assert!(ens3.differs(b""));
        assert!(ens3.differs(&now[..23]));
        assert!(ens3.differs(&[&now[..], b"\tauto\n"].concat()));
        assert!(!ens4.differs(b"\tdhcp\n"));
        assert!(early[0].differs(b"\tdhcp\n"));
    }
}
