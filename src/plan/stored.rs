//! The plan as it was applied, read from its text form: what the booted system is
//! compared with. The text form only grows, so an unknown directive is skipped.
use core::iter::Peekable;
use core::net::IpAddr;

use super::{Key, Prefix, Route};
use crate::base::memory::{self, Vector};
use crate::base::text::{Split, ip, lines, number, split, split_once};

/// Its path in the booted system.
pub const PATH: &[u8] = b"/run/onecontext/plan";

/// The plan.
#[derive(Clone, Copy)]
pub struct StoredPlan {
    /// The host name.
    pub hostname: Option<&'static [u8]>,
    /// The links, in their order.
    pub links: &'static [StoredLink],
    /// All name servers.
    pub dns: &'static [IpAddr],
    /// Who may log in with which key.
    pub keys: &'static [Key],
}

/// A link of the plan.
#[derive(Clone, Copy)]
pub struct StoredLink {
    /// The context's name, such as `ETH0`.
    pub name: &'static [u8],
    /// The device that carries its addresses; `None`: there was none.
    pub device: Option<&'static [u8]>,
    /// In bytes.
    pub mtu: Option<u32>,
    /// Its addresses.
    pub addresses: &'static [Prefix],
    /// Its routes.
    pub routes: &'static [Route],
}

impl StoredPlan {
    /// Reads the text form.
    pub fn read(text: &'static [u8]) -> Self {
        let mut plan = Self {
            hostname: None,
            links: &[],
            dns: &[],
            keys: &[],
        };
        let (mut links, mut dns, mut keys) = (Vector::new(), Vector::new(), Vector::new());
        let mut rest = lines(text).peekable();
        while let Some(line) = rest.next() {
            let (directive, operands) = split_once(line, b' ').unwrap_or((line, b""));
            match directive {
                b"hostname" => plan.hostname = Some(operands),
                b"link" => links.push(link(operands, &mut rest)),
                b"dns" => {
                    let (_, server) = split_once(operands, b' ').unwrap_or_default();
                    dns.extend(ip(server).as_slice());
                }
                b"key" => {
                    let (user, line) = split_once(operands, b' ').unwrap_or_default();
                    keys.push(Key { user, line });
                }
                _ => {}
            }
        }
        plan.links = links.finish();
        plan.dns = dns.finish();
        plan.keys = keys.finish();
        plan
    }

    /// Whether an address of a link is this one.
    pub fn has(&self, address: Prefix) -> bool {
        let mut all = self.links.iter().flat_map(|link| link.addresses);
        all.any(|own| *own == address)
    }

    /// The users that have keys, each once, in order.
    pub fn users(&self) -> &'static [&'static [u8]] {
        let mut users = Vector::new();
        for key in self.keys {
            if !users.contains(&key.user) {
                users.push(key.user);
            }
        }
        users.finish()
    }

    /// The keys of a user, as lines of authorized_keys.
    pub fn keys_of(&self, user: &[u8]) -> &'static [&'static [u8]] {
        let mut lines = Vector::new();
        for key in self.keys.iter().filter(|key| key.user == user) {
            lines.push(key.line);
        }
        lines.finish()
    }
}

/// A link; the lines about its addresses and routes come next.
fn link(line: &'static [u8], rest: &mut Peekable<Split<'static>>) -> StoredLink {
    let mut words = split(line, |byte| byte == b' ');
    let name = words.next().unwrap_or_default();
    let (mut device, mut mtu, mut vlan) = (None, None, None);
    while let (Some(option), Some(value)) = (words.next(), words.next()) {
        match option {
            b"device" => device = Some(value),
            b"mtu" => mtu = number(value),
            b"vlan" => vlan = Some(value),
            _ => {}
        }
    }
    let (mut addresses, mut routes) = (Vector::new(), Vector::new());
    while let Some(line) = rest.peek().copied() {
        let of_link = |directive: &[u8]| {
            let rest = line.strip_prefix(directive)?.strip_prefix(name)?;
            rest.strip_prefix(b" ")
        };
        if let Some(text) = of_link(b"address ") {
            addresses.extend(prefix(text).as_slice());
        } else if let Some(text) = of_link(b"route ") {
            routes.extend(route(text).as_slice());
        } else {
            break;
        }
        rest.next();
    }
    StoredLink {
        name,
        device: match (device, vlan) {
            (Some(device), Some(vlan)) => Some(memory::concat(&[device, b".", vlan])),
            (device, _) => device,
        },
        mtu,
        addresses: addresses.finish(),
        routes: routes.finish(),
    }
}

/// Such as `10.18.1.1/24`.
fn prefix(text: &[u8]) -> Option<Prefix> {
    let (address, length) = split_once(text, b'/')?;
    Some(Prefix {
        address: ip(address)?,
        length: u8::try_from(number(length)?).ok()?,
    })
}

/// Such as `default via 10.18.1.254 onlink metric 7`.
fn route(text: &[u8]) -> Option<Route> {
    let mut words = split(text, |byte| byte == b' ');
    let destination = words.next()?;
    let (mut gateway, mut onlink, mut metric) = (None, false, None);
    while let Some(word) = words.next() {
        match word {
            b"via" => gateway = Some(ip(words.next()?)?),
            b"onlink" => onlink = true,
            b"metric" => metric = Some(number(words.next()?)?),
            _ => return None,
        }
    }
    let destination = match (destination, gateway) {
        (b"default", gateway) => Prefix::everything(gateway?),
        (destination, _) => prefix(destination)?,
    };
    Some(Route {
        destination,
        gateway,
        onlink,
        metric: metric.unwrap_or(destination.family().default_metric()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::bound::{BoundLink, BoundPlan, DhcpClient};
    use super::super::device::named;
    use super::super::{Half, Link, LinkName};
    use super::*;
    use crate::base::text::Text;
    use crate::image::testing::EMPTY;

    const TEXT: &[u8] = b"context opennebula /dev/sr0\nhostname web1\n\
        link ETH0 mac 02:00:0a:12:01:01 device ens3 mtu 1400\naddress ETH0 10.18.1.1/24\n\
        address ETH0 2001:db8::a/64\nroute ETH0 default via 10.18.9.254 onlink metric 7\n\
        route ETH0 10.0.0.0/8 via 10.18.1.253\nroute ETH0 default via fe80::1\n\
        link ETH01 mac 02:00:0a:12:01:02\naddress ETH01 10.18.2.1/24\n\
        link PCI0 device ens5 vlan 7\ndns - 9.9.9.9\ndns ETH0 2001:db8::53\nsearch - a.b\n\
        key root ssh-ed25519 AAAA a b\nkey alice ssh-ed25519 BBBB\nkey root ssh-rsa CCCC\n\
        future directive\nwarning route ETH0 1.2.3.4/8\n";

    #[test]
    fn the_text_form_is_read() {
        let plan = StoredPlan::read(TEXT);
        assert_eq!(plan.hostname, Some(&b"web1"[..]));
        let [eth0, eth1, pci0] = plan.links else {
            panic!("three links");
        };
        assert_eq!((eth0.device, eth0.mtu), (Some(&b"ens3"[..]), Some(1400)));
        assert_eq!((eth1.device, eth1.addresses.len()), (None, 1));
        assert_eq!(pci0.device, Some(&b"ens5.7"[..]));
        assert_eq!((eth0.addresses.len(), eth0.routes.len()), (2, 3));
        assert!(plan.has(eth1.addresses[0]));
        assert_eq!(plan.dns.len(), 2);
        assert_eq!(plan.users(), [&b"root"[..], b"alice"]);
        let keys = [&b"ssh-ed25519 AAAA a b"[..], b"ssh-rsa CCCC"];
        assert_eq!(plan.keys_of(b"root"), keys);
    }

    #[test]
    fn what_was_written_is_read_as_it_was() {
        let plan = StoredPlan::read(TEXT);
        let half = |wanted: bool| Half {
            addresses: memory::list(
                &plan.links[0]
                    .addresses
                    .iter()
                    .copied()
                    .filter(|one| one.address.is_ipv4() == wanted)
                    .collect::<Vec<_>>(),
            ),
            routes: memory::list(
                &plan.links[0]
                    .routes
                    .iter()
                    .copied()
                    .filter(|one| one.destination.address.is_ipv4() == wanted)
                    .collect::<Vec<_>>(),
            ),
            ..Half::NONE
        };
        let link = memory::place(Link {
            ipv4: half(true),
            ipv6: half(false),
            ..Link::new(LinkName::Eth(0))
        });
        let bound = BoundPlan {
            plan: memory::place(EMPTY),
            links: memory::list(&[BoundLink {
                device: Some(named("ens3", 2)),
                ..BoundLink::unbound(link)
            }]),
            dhcp: DhcpClient::Alone,
            is_applied: false,
        };
        let mut text = Text::new();
        bound.write(None, &mut text);
        let again = StoredPlan::read(text.finish());
        assert_eq!(again.links[0].addresses, plan.links[0].addresses);
        assert_eq!(again.links[0].routes, plan.links[0].routes);
    }
}
