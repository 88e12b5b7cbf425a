//! A record of what the early stage set in the kernel: a text in /run. The context may
//! change in between; the later stage then undoes what the context no longer contains.
//!
//! For each device the text has a line with its name. Lines with a tab follow, one for
//! each thing set on it: addresses and routes in the text form of a plan, and `auto` if
//! the kernel accepts router advertisements.
use ufmt::uwrite;

use super::bound::{BoundPlan, Lease};
use super::{Link, Prefix};
use crate::base::memory::Vector;
use crate::base::text::{Text, ip, lines, number, split_once};

/// Its path, in the initramfs and in the booted system.
pub const PATH: &[u8] = b"/run/onecontext/early";

/// A device that the early stage has set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlyDevice {
    /// Its kernel name.
    pub name: &'static [u8],
    /// What the early stage set on it: the lines of [`describe`], without the tabs.
    pub lines: &'static [&'static [u8]],
}

impl EarlyDevice {
    /// The lines that are not in `now`, a text of [`describe`].
    pub fn stale(&self, now: &[u8]) -> &'static [&'static [u8]] {
        let mut stale = Vector::new();
        for line in self.lines {
            if lines(now).all(|other| other.strip_prefix(b"\t") != Some(*line)) {
                stale.push(*line);
            }
        }
        stale.finish()
    }
}

/// Writes the record of a plan that was applied.
pub fn write(bound: &BoundPlan, text: &mut Text) {
    for bound_link in bound.links.iter().filter(|one| one.is_set_up()) {
        if let Some(name) = bound_link.device {
            text.extend(name);
            text.push(b'\n');
            describe(
                bound_link.link,
                bound_link.lease,
                bound_link.link.uses_router_advertisements(),
                text,
            );
        }
    }
}

/// Writes what a link sets on its device. Of a lease only the address is written:
/// undoing it removes the routes too. The addresses of a VLAN link are not on the
/// device itself.
pub fn describe(link: &Link, lease: Option<&Lease>, accepts_ra: bool, text: &mut Text) {
    if link.vlan.is_none() {
        let leased = lease.iter().map(|lease| &lease.address);
        for prefix in link.addresses().iter().chain(leased) {
            uwrite!(text, "\taddress {}\n", *prefix);
        }
        for route in link.routes() {
            uwrite!(text, "\troute {}\n", *route);
        }
    }
    if accepts_ra {
        uwrite!(text, "\tauto\n");
    }
}

/// Parses the text.
pub fn read(text: &'static [u8]) -> &'static [EarlyDevice] {
    let mut devices = Vector::new();
    let mut rest = lines(text).peekable();
    while let Some(name) = rest.next() {
        let mut lines = Vector::new();
        while let Some(line) = rest.peek().and_then(|line| line.strip_prefix(b"\t")) {
            lines.push(line);
            rest.next();
        }
        if !name.is_empty() {
            devices.push(EarlyDevice {
                name,
                lines: lines.finish(),
            });
        }
    }
    devices.finish()
}

/// The address in a line of [`describe`], if it has one.
pub fn address(line: &[u8]) -> Option<Prefix> {
    let (address, length) = split_once(line.strip_prefix(b"address ")?, b'/')?;
    let (address, length) = (ip(address)?, number(length)?.try_into().ok()?);
    (length <= Prefix::host(address).length).then_some(Prefix { address, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_said_is_stale() {
        let text = b"ens3\n\taddress 10.18.1.1/24\n\troute default via 10.18.1.254\n\tauto\nens4\n";
        let [ens3, ens4] = read(text) else {
            panic!("two devices");
        };
        assert_eq!((ens3.name, ens4.name), (&b"ens3"[..], &b"ens4"[..]));
        assert!(ens4.lines.is_empty());
        assert_eq!(ens3.stale(&text[5..]), [b""; 0]);
        let now = b"\taddress 10.18.1.1/24\n\troute default via 10.18.1.253\n";
        let stale = [&b"route default via 10.18.1.254"[..], b"auto"];
        assert_eq!(ens3.stale(now), stale);
        assert_eq!(ens3.stale(b"").len(), 3);
    }

    #[test]
    fn addresses_are_read() {
        for (line, length) in [
            (&b"address 10.0.0.1/8"[..], Some(8)),
            (b"address 2001:db8::1/64", Some(64)),
            (b"address 10.0.0.1/33", None),
            (b"address 10.0.0.1", None),
            (b"route 10.0.0.0/8", None),
            (b"auto", None),
        ] {
            assert_eq!(address(line).map(|prefix| prefix.length), length);
        }
    }
}
