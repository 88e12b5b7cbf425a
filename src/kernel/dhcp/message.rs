//! DHCP messages in IPv4 packets (RFC 2131, RFC 2132): those that are sent,
//! and what a reply says. Every length is checked against what is there.
use core::net::{IpAddr, Ipv4Addr};

use crate::base::arena::Arena;
use crate::base::text::{Mac, Text, is_domain, words};
use crate::plan::bound::Lease;
use crate::plan::{Prefix, Route};

/// Bytes of an IPv4 header without options and of a UDP header behind it.
const IP: usize = 20;
const HEADERS: usize = IP + 8;
/// Bytes of a message before its options, with the cookie that announces them.
const FIXED: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Relays drop what is shorter (RFC 1542 2.1).
const LEAST: usize = 300;
const SERVER: u16 = 67;
const CLIENT: u16 = 68;
const UDP: u8 = 17;
/// `ARPHRD_ETHER`, which RFC 2131 calls htype 1.
const ETHERNET: u8 = 1;

/// Options (RFC 2132; 119: RFC 3397; 121: RFC 3442).
mod option {
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DOMAIN_NAME_SERVER: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN_NAME: u8 = 15;
    pub const INTERFACE_MTU: u8 = 26;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER_IDENTIFIER: u8 = 54;
    pub const PARAMETER_REQUEST_LIST: u8 = 55;
    pub const MAXIMUM_MESSAGE_SIZE: u8 = 57;
    pub const RENEWAL_TIME: u8 = 58;
    pub const REBINDING_TIME: u8 = 59;
    pub const CLIENT_IDENTIFIER: u8 = 61;
    pub const DOMAIN_SEARCH: u8 = 119;
    pub const CLASSLESS_STATIC_ROUTE: u8 = 121;
}

/// Kinds of messages (RFC 2132 9.6).
pub mod kind {
    /// The client looks for servers.
    pub const DISCOVER: u8 = 1;
    /// A server offers an address.
    pub const OFFER: u8 = 2;
    /// The client wants what was offered.
    pub const REQUEST: u8 = 3;
    /// It is the client's.
    pub const ACK: u8 = 5;
    /// It is not.
    pub const NAK: u8 = 6;
}

/// What a client sends: a search for servers, or that it takes an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Tells the answers to it.
    pub xid: u32,
    /// Since the client began.
    pub seconds: u16,
    /// The offer that it takes.
    pub offer: Option<Offer>,
}

/// An address, and the server that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The address.
    pub address: Ipv4Addr,
    /// Its server's identifier.
    pub server: Ipv4Addr,
}

impl Request {
    /// The whole IPv4 packet, from no address to everybody on the link.
    pub fn write(&self, mac: Mac, hostname: &[u8], out: &mut Text) {
        out.clear();
        out.extend(&[0; HEADERS]);
        // BOOTREQUEST, of Ethernet, over no relay.
        out.extend(&[1, ETHERNET, mac.0.len() as u8, 0]);
        out.extend(&self.xid.to_be_bytes());
        out.extend(&self.seconds.to_be_bytes());
        // The broadcast flag: the answer reaches also a link that drops what is
        // for an address that it has not yet.
        out.extend(&[0x80, 0]);
        out.extend(&[0; 16]);
        out.extend(&mac.0);
        out.extend(&[0; 10 + 64 + 128]);
        out.extend(&COOKIE);
        let kind = match self.offer {
            None => kind::DISCOVER,
            Some(_) => kind::REQUEST,
        };
        option(out, option::MESSAGE_TYPE, &[kind]);
        // That of systemd-networkd's ClientIdentifier=mac.
        out.extend(&[option::CLIENT_IDENTIFIER, 7, ETHERNET]);
        out.extend(&mac.0);
        if let Some(Offer { address, server }) = self.offer {
            option(out, option::REQUESTED_ADDRESS, &address.octets());
            option(out, option::SERVER_IDENTIFIER, &server.octets());
        }
        option(out, option::MAXIMUM_MESSAGE_SIZE, &1500u16.to_be_bytes());
        if !hostname.is_empty() {
            option(out, option::HOST_NAME, hostname);
        }
        // Classless routes before routers, as RFC 3442 wants it.
        const WANTED: [u8; 11] = [
            option::SUBNET_MASK,
            option::CLASSLESS_STATIC_ROUTE,
            option::ROUTER,
            option::DOMAIN_NAME_SERVER,
            option::DOMAIN_NAME,
            option::DOMAIN_SEARCH,
            option::INTERFACE_MTU,
            option::LEASE_TIME,
            option::SERVER_IDENTIFIER,
            option::RENEWAL_TIME,
            option::REBINDING_TIME,
        ];
        option(out, option::PARAMETER_REQUEST_LIST, &WANTED);
        out.push(END);
        while out.len() < HEADERS + LEAST {
            out.push(PAD);
        }
        write_headers(out);
    }
}

const PAD: u8 = 0;
const END: u8 = 255;

/// Values here are shorter than 256 bytes: a host name has 64 at most.
fn option(out: &mut Text, code: u8, value: &[u8]) {
    out.push(code);
    out.push(value.len() as u8);
    out.extend(value);
}

/// The headers of the packet, in the place that was left for them (RFC 791,
/// RFC 768). No checksum of UDP is a valid one in IPv4.
fn write_headers(out: &mut [u8]) {
    let length = out.len() as u16;
    let mut ip = [
        0x4500,
        length,
        0,
        0,
        // The TTL 64.
        64 << 8 | u16::from(UDP),
        0,
        // From 0.0.0.0 to 255.255.255.255.
        0,
        0,
        0xffff,
        0xffff,
        SERVER_PORTS[0],
        SERVER_PORTS[1],
        length.wrapping_sub(IP as u16),
        0,
    ];
    let mut sum = 0u32;
    for word in ip.iter().take(IP / 2) {
        sum = sum.wrapping_add(u32::from(*word));
    }
    let sum = (sum & 0xffff).wrapping_add(sum >> 16);
    if let Some(checksum) = ip.get_mut(5) {
        *checksum = !(sum.wrapping_add(sum >> 16) as u16);
    }
    for (place, word) in out.as_chunks_mut().0.iter_mut().zip(ip) {
        *place = word.to_be_bytes();
    }
}

/// From the client to a server.
const SERVER_PORTS: [u16; 2] = [CLIENT, SERVER];

/// What a server sent.
#[derive(Clone, Copy)]
pub struct Reply<'b> {
    /// The message, from its first byte; it has more than `FIXED`.
    message: &'b [u8],
}

impl<'b> Reply<'b> {
    /// The reply in an IPv4 packet. `None`: something else, or one that is cut
    /// short somewhere. Its checksums are not looked at: the link has its own,
    /// and a virtual one leaves those to hardware that it has not.
    pub fn of(packet: &'b [u8]) -> Option<Self> {
        let length = usize::from(u16_at(packet, 2)?);
        let packet = packet.get(..length)?;
        let first = *packet.first()?;
        let header = usize::from(first & 15) * 4;
        // Of several fragments none is a message.
        let is_fragment = u16_at(packet, 6)? & 0x3fff != 0;
        if first >> 4 != 4 || header < IP || is_fragment || *packet.get(9)? != UDP {
            return None;
        }
        let udp = packet.get(header..)?;
        if u16_at(udp, 0)? != SERVER || u16_at(udp, 2)? != CLIENT {
            return None;
        }
        let message = udp.get(8..usize::from(u16_at(udp, 4)?))?;
        // BOOTREPLY.
        if message.get(..3)? != [2, ETHERNET, 6] || message.get(236..FIXED)? != COOKIE {
            return None;
        }
        let reply = Self { message };
        let mut options = reply.options();
        while options.next().is_some() {}
        (!options.is_cut).then_some(reply)
    }

    /// The number of the request that it answers.
    pub fn xid(&self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.message.get(4..)?.first_chunk()?))
    }

    /// Whether it is for this client: a server that sends the client identifier
    /// back sends that of the request (RFC 6842).
    pub fn is_for(&self, mac: Mac) -> bool {
        let is_ours = |id: &[u8]| matches!(id, [ETHERNET, rest @ ..] if *rest == mac.0);
        self.message.get(28..34) == Some(&mac.0)
            && self.value(option::CLIENT_IDENTIFIER).is_none_or(is_ours)
    }

    /// What it is, one of [`kind`].
    pub fn kind(&self) -> Option<u8> {
        match self.value(option::MESSAGE_TYPE)? {
            [kind] => Some(*kind),
            _ => None,
        }
    }

    /// Who sent it.
    pub fn server(&self) -> Option<Ipv4Addr> {
        address(self.value(option::SERVER_IDENTIFIER)?)
    }

    /// The address that it offers or confirms, with what nothing goes without:
    /// the length of its network's prefix, and for how many seconds.
    pub fn offer(&self) -> Option<(Offer, u8, u32)> {
        let address = address(self.message.get(16..20)?)?;
        let length = match self.value(option::SUBNET_MASK) {
            Some(mask) => mask_length(mask)?,
            None => class_length(address)?,
        };
        let seconds = u32::from_be_bytes(self.value(option::LEASE_TIME)?.try_into().ok()?);
        let is_one = !address.is_loopback()
            && !address.is_multicast()
            && !address.is_broadcast()
            && address.octets()[0] != 0;
        let server = self.server()?;
        (is_one && seconds > 0).then_some((Offer { address, server }, length, seconds))
    }

    /// All that it brings; its routes get this metric.
    pub fn lease<'a>(&self, arena: &'a Arena, metric: u32) -> Option<Lease<'a>> {
        let (offer, length, seconds) = self.offer()?;
        let prefix = Prefix {
            address: offer.address.into(),
            length,
        };
        let mtu = self.value(option::INTERFACE_MTU).and_then(|mtu| match mtu {
            [high, low] => Some(u32::from(u16::from_be_bytes([*high, *low]))),
            _ => None,
        });
        let mut dns = arena.vector();
        for server in self
            .whole(arena, option::DOMAIN_NAME_SERVER)
            .chunks_exact(4)
        {
            dns.extend(address(server).map(IpAddr::from).as_slice());
        }
        Some(Lease {
            address: prefix,
            server: offer.server,
            seconds,
            metric,
            routes: self.routes(arena, prefix, metric),
            dns: dns.finish(),
            search: self.search(arena),
            // Smaller ones come from servers that say the least of RFC 791, and
            // the links of today carry more (so dracut's dhclient-script).
            mtu: mtu.filter(|mtu| *mtu > 576),
        })
    }

    /// Classless routes instead of routers where there are any (RFC 3442). The
    /// way to a router that is on no known network is one of them, as
    /// systemd-networkd has it.
    fn routes<'a>(&self, arena: &'a Arena, prefix: Prefix, metric: u32) -> &'a [Route] {
        let mut routes = arena.vector();
        let mut add = |destination: Prefix, gateway: Option<Ipv4Addr>| {
            let gateway = gateway.map(IpAddr::from);
            if destination.network() == prefix.network() {
                // The address brings it along.
                return;
            }
            let route = Route {
                destination: destination.network(),
                gateway,
                onlink: false,
                metric,
            };
            if let Some(gateway) = gateway.filter(|gateway| !prefix.covers(*gateway)) {
                let way = Route {
                    destination: Prefix::host(gateway),
                    gateway: None,
                    ..route
                };
                if !routes.contains(&way) {
                    routes.push(way);
                }
            }
            if !routes.contains(&route) {
                routes.push(route);
            }
        };
        let classless = self.whole(arena, option::CLASSLESS_STATIC_ROUTE);
        if !classless.is_empty() && is_routes(classless) {
            let mut rest = classless;
            while let Some((destination, gateway, after)) = classless_route(rest) {
                add(destination, gateway);
                rest = after;
            }
        } else {
            let router = self.value(option::ROUTER).and_then(|all| all.get(..4));
            if let Some(router) = router.and_then(address) {
                add(Prefix::DEFAULT_V4, Some(router));
            }
        }
        routes.finish()
    }

    /// The search list (RFC 3397), or else the domain.
    fn search<'a>(&self, arena: &'a Arena) -> &'a [&'a [u8]] {
        let mut domains = arena.vector::<&[u8]>();
        let list = self.whole(arena, option::DOMAIN_SEARCH);
        let mut at = 0;
        while let Some((domain, after)) = domain_at(arena, list, at) {
            if is_domain(domain) && !domains.contains(&domain) {
                domains.push(domain);
            }
            at = after;
        }
        if domains.is_empty() {
            let domain = self.value(option::DOMAIN_NAME).unwrap_or_default();
            // Some end it with a NUL, some write several.
            let domain = domain.strip_suffix(b"\0").unwrap_or(domain);
            for domain in words(domain).filter(|domain| is_domain(domain)) {
                domains.push(&*arena.copy(domain));
            }
        }
        domains.finish()
    }

    /// The first part of an option, which is all of a short one.
    fn value(&self, code: u8) -> Option<&'b [u8]> {
        let mut options = self.options();
        options.find(|option| option.0 == code).map(|found| found.1)
    }

    /// An option whose parts are put together (RFC 3396).
    fn whole<'a>(&self, arena: &'a Arena, code: u8) -> &'a [u8] {
        let mut whole = arena.vector();
        for (_, value) in self.options().filter(|option| option.0 == code) {
            whole.extend(value);
        }
        whole.finish()
    }

    /// Those of the options' own field, then those of the fields that it says
    /// hold some, too: `file` and `sname` (RFC 2132 9.3, RFC 3396 5).
    fn options(&self) -> Options<'b> {
        let own = Options {
            rest: self.message.get(FIXED..).unwrap_or_default(),
            later: [b"", b""],
            is_cut: false,
        };
        let overload = (Options { ..own }).find(|option| option.0 == option::OVERLOAD);
        let overload = overload.and_then(|(_, value)| value.first()).unwrap_or(&0);
        let field = |bit: u8, start: usize, end: usize| match overload & bit {
            0 => &b""[..],
            _ => self.message.get(start..end).unwrap_or_default(),
        };
        Options {
            later: [field(1, 108, 236), field(2, 44, 108)],
            ..own
        }
    }
}

/// Options, each a code and a value.
struct Options<'b> {
    rest: &'b [u8],
    /// Further fields.
    later: [&'b [u8]; 2],
    /// One is longer than its field.
    is_cut: bool,
}

impl<'b> Iterator for Options<'b> {
    type Item = (u8, &'b [u8]);
    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest = match self.rest {
                [PAD, rest @ ..] => rest,
                [] | [END, ..] => {
                    let [first, second] = self.later;
                    if first.is_empty() && second.is_empty() {
                        return None;
                    }
                    self.later = [second, b""];
                    first
                }
                [code, length, rest @ ..] => match rest.split_at_checked((*length).into()) {
                    Some((value, rest)) => {
                        self.rest = rest;
                        return Some((*code, value));
                    }
                    None => self.truncated(),
                },
                [_] => self.truncated(),
            };
        }
    }
}

impl<'b> Options<'b> {
    fn truncated(&mut self) -> &'b [u8] {
        self.is_cut = true;
        b""
    }
}

/// One that somebody may have.
fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.try_into().ok()?;
    Some(Ipv4Addr::from(octets)).filter(|address| !address.is_unspecified())
}

/// Of a mask whose ones are all in front.
fn mask_length(mask: &[u8]) -> Option<u8> {
    let mask = u32::from_be_bytes(mask.try_into().ok()?);
    let length = mask.leading_ones();
    (length > 0 && length == mask.count_ones()).then_some(length as u8)
}

/// That of the address's class (RFC 791 3.2), which servers of old rely on.
fn class_length(address: Ipv4Addr) -> Option<u8> {
    match address.octets()[0] {
        0..=127 => Some(8),
        128..=191 => Some(16),
        192..=223 => Some(24),
        224.. => None,
    }
}

/// A classless route, and what stands behind it: the length of the prefix, as
/// many of its octets as that needs, the router.
fn classless_route(bytes: &[u8]) -> Option<(Prefix, Option<Ipv4Addr>, &[u8])> {
    let (length, rest) = bytes.split_first().filter(|(length, _)| **length <= 32)?;
    let (significant, rest) = rest.split_at_checked(usize::from(*length).div_ceil(8))?;
    let (router, rest) = rest.split_at_checked(4)?;
    let mut octets = [0; 4];
    for (octet, byte) in octets.iter_mut().zip(significant) {
        *octet = *byte;
    }
    let destination = Prefix {
        address: Ipv4Addr::from(octets).into(),
        length: *length,
    };
    Some((destination, address(router), rest))
}

/// Whether all of it is routes.
fn is_routes(mut bytes: &[u8]) -> bool {
    while let Some((_, _, rest)) = classless_route(bytes) {
        bytes = rest;
    }
    bytes.is_empty()
}

/// The domain that begins there, and where the next one does (RFC 1035 4.1.4).
/// A pointer leads back only, so there is an end.
fn domain_at<'a>(arena: &'a Arena, list: &[u8], start: usize) -> Option<(&'a [u8], usize)> {
    /// Of a domain, in bytes (RFC 1035 2.3.4).
    const LONGEST: usize = 253;
    let mut domain = arena.vector();
    let (mut at, mut after, mut earliest) = (start, None, start);
    loop {
        let length = *list.get(at)?;
        match length {
            0 => {
                return Some((domain.finish(), after.unwrap_or(at + 1)));
            }
            1..=63 => {
                let end = at + 1 + usize::from(length);
                if !domain.is_empty() {
                    domain.push(b'.');
                }
                domain.extend(list.get(at + 1..end)?);
                if domain.len() > LONGEST {
                    return None;
                }
                at = end;
            }
            192.. => {
                let to = usize::from(u16_at(list, at)? & 0x3fff);
                after = after.or(Some(at + 2));
                if to >= earliest {
                    return None;
                }
                (at, earliest) = (to, to);
            }
            64..=191 => return None,
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
#[path = "message_tests.rs"]
pub(super) mod tests;
