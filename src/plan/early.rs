//! What the early stage gave the kernel, so that the later stage can take back
//! what is not its own: a text in /run, a line for each device, its name and then
//! its addresses, separated by one space.
use ufmt::uwrite;

use super::Prefix;
use super::bound::BoundPlan;
use crate::base::arena::Arena;
use crate::base::text::{Text, cut, ip, lines, number, words};

/// Where it is, in the initramfs and in the booted system.
pub const PATH: &[u8] = b"/run/onecontext/early";

/// A device that the early stage has set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlyDevice<'a> {
    /// The kernel's name of it.
    pub name: &'a [u8],
    /// What the early stage gave it.
    pub addresses: &'a [Prefix],
}

/// Writes what `bound` has brought. The addresses of a VLAN are not those of the
/// device, and left out.
pub fn write(bound: &BoundPlan, text: &mut Text) {
    for on in bound.links.iter().filter(|on| on.is_set_up()) {
        let Some(name) = on.device else { continue };
        text.extend(name);
        if on.link.vlan.is_none() {
            let leased = on.lease.iter().map(|lease| &lease.address);
            for prefix in on.link.addresses.iter().chain(leased) {
                uwrite!(text, " {}", *prefix);
            }
        }
        text.push(b'\n');
    }
}

/// Reads the text. An address that cannot be read is left out.
pub fn read<'a>(arena: &'a Arena, text: &'a [u8]) -> &'a [EarlyDevice<'a>] {
    let mut devices = arena.vector();
    for line in lines(text) {
        let mut words = words(line);
        let Some(name) = words.next() else { continue };
        let mut addresses = arena.vector();
        for word in words {
            if let Some(prefix) = prefix(word) {
                addresses.push(prefix);
            }
        }
        devices.push(EarlyDevice {
            name,
            addresses: addresses.finish(),
        });
    }
    devices.finish()
}

fn prefix(word: &[u8]) -> Option<Prefix> {
    let (address, length) = cut(word, b'/')?;
    let (address, length) = (ip(address)?, number(length)?.try_into().ok()?);
    (length <= Prefix::host(address).length).then_some(Prefix { address, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_left_out() {
        let arena = Arena::new();
        let text = b"ens3 10.18.1.1/24 2001:db8:1::a/64\nens4\n\nens5 x 10.0.0.1/33 10.0.0.1/8\n";
        let devices = read(&arena, text);
        let shown: Vec<_> = devices
            .iter()
            .map(|device| {
                let name = String::from_utf8_lossy(device.name).into_owned();
                let addresses = device.addresses.iter().map(|prefix| {
                    let mut text = arena.vector();
                    uwrite!(text, "{}", *prefix);
                    String::from_utf8_lossy(&text).into_owned()
                });
                (name, addresses.collect::<Vec<_>>().join(" "))
            })
            .collect();
        let expected = [
            ("ens3", "10.18.1.1/24 2001:db8:1::a/64"),
            ("ens4", ""),
            ("ens5", "10.0.0.1/8"),
        ];
        assert_eq!(
            shown,
            expected.map(|(name, addresses)| (name.to_owned(), addresses.to_owned()))
        );
    }
}
