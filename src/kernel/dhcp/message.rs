//! DHCP messages in IPv4 packets (RFC 2131, RFC 2132): writing requests and reading
//! replies. Every length is checked against the bytes that are there.
use core::net::{IpAddr, Ipv4Addr};
use core::ops::Range;

use static_assertions::const_assert_eq;

use crate::base::memory::{self, Vector};
use crate::base::text::{Mac, Text, is_domain, words};
use crate::plan::bound::Lease;
use crate::plan::{Prefix, Route};

/// Offsets in an IPv4 header (RFC 791 3.1), and its size without options.
mod ipv4 {
    pub const VERSION_AND_SIZE: usize = 0;
    pub const TOTAL_LENGTH: usize = 2;
    pub const FLAGS_AND_FRAGMENT: usize = 6;
    pub const TTL: usize = 8;
    pub const PROTOCOL: usize = 9;
    pub const CHECKSUM: usize = 10;
    pub const DESTINATION: usize = 16;
    pub const SIZE: usize = 20;
}

/// Offsets in a UDP header (RFC 768), and its size.
mod udp {
    pub const SOURCE_PORT: usize = 0;
    pub const DESTINATION_PORT: usize = 2;
    pub const LENGTH: usize = 4;
    pub const SIZE: usize = 8;
}

/// Offsets in a message (RFC 2131 2, figure 1).
mod field {
    /// `op`, `htype`, `hlen`, a byte each.
    pub const OP: usize = 0;
    pub const XID: usize = 4;
    pub const SECS: usize = 8;
    pub const FLAGS: usize = 10;
    pub const YIADDR: usize = 16;
    pub const CHADDR: usize = 28;
    pub const SNAME: usize = 44;
    pub const FILE: usize = 108;
    /// The magic cookie (RFC 2131 3), then the options.
    pub const COOKIE: usize = 236;
    pub const OPTIONS: usize = 240;
}
// The sizes of `chaddr`, `sname` and `file`.
const_assert_eq!(field::SNAME - field::CHADDR, 16);
const_assert_eq!(field::FILE - field::SNAME, 64);
const_assert_eq!(field::COOKIE - field::FILE, 128);
const_assert_eq!(field::OPTIONS - field::COOKIE, COOKIE.len());

/// Bytes before a message: its IPv4 header without options, and its UDP header.
const HEADERS: usize = ipv4::SIZE + udp::SIZE;
/// Values of `op`.
const BOOTREQUEST: u8 = 1;
const BOOTREPLY: u8 = 2;
/// `ARPHRD_ETHER`, which RFC 2131 calls htype 1; and the size of its addresses.
const ETHERNET: u8 = 1;
const MAC_SIZE: u8 = size_of::<Mac>() as u8;
/// The broadcast flag (RFC 2131 2, figure 2).
const BROADCAST: u16 = 0x8000;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Relays drop what is shorter (RFC 1542 2.1).
const LEAST: usize = 300;
const SERVER: u16 = 67;
const CLIENT: u16 = 68;
/// The protocol number of UDP (RFC 768).
const UDP: u8 = 17;

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

/// Message types (RFC 2132 9.6).
pub mod kind {
    /// The client looks for servers.
    pub const DISCOVER: u8 = 1;
    /// A server offers an address.
    pub const OFFER: u8 = 2;
    /// The client wants what was offered.
    pub const REQUEST: u8 = 3;
    /// The server confirms the lease.
    pub const ACK: u8 = 5;
    /// The server refuses the request.
    pub const NAK: u8 = 6;
}

/// A message of a client: DHCPREQUEST for an offer, or DHCPDISCOVER without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The transaction ID: the replies repeat it.
    pub xid: u32,
    /// Seconds since the client began.
    pub seconds: u16,
    /// The offer that the client accepts.
    pub offer: Option<Offer>,
}

/// An offered address, and the server that offers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The address.
    pub address: Ipv4Addr,
    /// The server identifier.
    pub server: Ipv4Addr,
}

impl Request {
    /// Writes the whole IPv4 packet, from 0.0.0.0 to 255.255.255.255.
    pub fn write(&self, mac: Mac, hostname: &[u8], out: &mut Text) {
        out.clear();
        out.extend(&[0; HEADERS + field::OPTIONS]);
        let mut set = |at: usize, bytes: &[u8]| overwrite(out, HEADERS + at, bytes);
        set(field::OP, &[BOOTREQUEST, ETHERNET, MAC_SIZE]);
        set(field::XID, &self.xid.to_be_bytes());
        set(field::SECS, &self.seconds.to_be_bytes());
        // A link may drop a unicast reply to an address that it does not have yet (RFC
        // 2131 4.1).
        set(field::FLAGS, &BROADCAST.to_be_bytes());
        set(field::CHADDR, &mac.0);
        set(field::COOKIE, &COOKIE);
        let kind = match self.offer {
            None => kind::DISCOVER,
            Some(_) => kind::REQUEST,
        };
        option(out, option::MESSAGE_TYPE, &[kind]);
        // The identifier that systemd-networkd sends with ClientIdentifier=mac.
        out.extend(&[option::CLIENT_IDENTIFIER, 1 + MAC_SIZE, ETHERNET]);
        out.extend(&mac.0);
        if let Some(Offer { address, server }) = self.offer {
            option(out, option::REQUESTED_ADDRESS, &address.octets());
            option(out, option::SERVER_IDENTIFIER, &server.octets());
        }
        option(out, option::MAXIMUM_MESSAGE_SIZE, &1500u16.to_be_bytes());
        if !hostname.is_empty() {
            option(out, option::HOST_NAME, hostname);
        }
        // Classless routes before routers, as RFC 3442 requires.
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

/// Appends an option. Values here are shorter than 256 bytes: a host name has at most
/// 64.
fn option(out: &mut Text, code: u8, value: &[u8]) {
    out.push(code);
    out.push(value.len() as u8);
    out.extend(value);
}

/// Writes the IPv4 and UDP headers into the space left for them. The UDP checksum is 0,
/// which means none in IPv4.
fn write_headers(out: &mut [u8]) {
    let length = out.len() as u16;
    let udp_length = length.wrapping_sub(ipv4::SIZE as u16);
    // Version 4, and a header of five words of 32 bits.
    overwrite(out, ipv4::VERSION_AND_SIZE, &[0x45]);
    overwrite(out, ipv4::TOTAL_LENGTH, &length.to_be_bytes());
    overwrite(out, ipv4::TTL, &[64]);
    overwrite(out, ipv4::PROTOCOL, &[UDP]);
    overwrite(out, ipv4::DESTINATION, &Ipv4Addr::BROADCAST.octets());
    let checksum = checksum(out.get(..ipv4::SIZE).unwrap_or_default());
    overwrite(out, ipv4::CHECKSUM, &checksum.to_be_bytes());
    for (offset, value) in [
        (udp::SOURCE_PORT, CLIENT),
        (udp::DESTINATION_PORT, SERVER),
        (udp::LENGTH, udp_length),
    ] {
        overwrite(out, ipv4::SIZE + offset, &value.to_be_bytes());
    }
}

fn overwrite(out: &mut [u8], start: usize, bytes: &[u8]) {
    for (to, from) in out.iter_mut().skip(start).zip(bytes) {
        *to = *from;
    }
}

/// The checksum of an IPv4 header whose checksum is 0 (RFC 1071).
fn checksum(header: &[u8]) -> u16 {
    let mut sum = 0u32;
    for word in header.as_chunks().0 {
        sum = sum.wrapping_add(u16::from_be_bytes(*word).into());
    }
    let sum = (sum & 0xffff).wrapping_add(sum >> 16);
    !(sum.wrapping_add(sum >> 16) as u16)
}

/// A message of a server.
#[derive(Clone, Copy)]
pub struct DhcpReply<'b> {
    /// The DHCP message, with all fields before the options.
    message: &'b [u8],
}

impl<'b> DhcpReply<'b> {
    /// The reply in an IPv4 packet. `None`: it is no DHCP reply, or truncated. The IPv4
    /// and UDP checksums are not verified: the link has its own, and on a virtual link
    /// the sender leaves them to offload hardware that does not exist.
    pub fn of(packet: &'b [u8]) -> Option<Self> {
        let length = usize::from(u16_at(packet, ipv4::TOTAL_LENGTH)?);
        let packet = packet.get(..length)?;
        let first = *packet.get(ipv4::VERSION_AND_SIZE)?;
        let (version, header) = (first >> 4, usize::from(first & 15) * 4);
        // A fragment, with the flag "more fragments" or an offset, is no whole message.
        let is_fragment = u16_at(packet, ipv4::FLAGS_AND_FRAGMENT)? & 0x3fff != 0;
        let is_udp = *packet.get(ipv4::PROTOCOL)? == UDP;
        if version != 4 || header < ipv4::SIZE || is_fragment || !is_udp {
            return None;
        }
        let datagram = packet.get(header..)?;
        let port = |at| u16_at(datagram, at);
        if port(udp::SOURCE_PORT)? != SERVER || port(udp::DESTINATION_PORT)? != CLIENT {
            return None;
        }
        let length = usize::from(u16_at(datagram, udp::LENGTH)?);
        let message = datagram.get(udp::SIZE..length)?;
        let is_reply = message.starts_with(&[BOOTREPLY, ETHERNET, MAC_SIZE]);
        if !is_reply || message.get(field::COOKIE..field::OPTIONS)? != COOKIE {
            return None;
        }
        let reply = Self { message };
        let mut options = reply.options();
        while options.next().is_some() {}
        (!options.is_cut).then_some(reply)
    }

    /// The transaction ID of the request that it answers.
    pub fn xid(&self) -> Option<u32> {
        Some(u32::from_be_bytes(
            *self.message.get(field::XID..)?.first_chunk()?,
        ))
    }

    /// Whether it is for this client. A server may also return the client identifier of
    /// the request (RFC 6842).
    pub fn is_for(&self, mac: Mac) -> bool {
        let is_ours = |id: &[u8]| matches!(id, [ETHERNET, rest @ ..] if *rest == mac.0);
        let hardware = self.message.get(field::CHADDR..).unwrap_or_default();
        hardware.starts_with(&mac.0) && self.value(option::CLIENT_IDENTIFIER).is_none_or(is_ours)
    }

    /// The message type, one of [`kind`].
    pub fn kind(&self) -> Option<u8> {
        match self.value(option::MESSAGE_TYPE)? {
            [kind] => Some(*kind),
            _ => None,
        }
    }

    /// The server identifier.
    pub fn server(&self) -> Option<Ipv4Addr> {
        address(self.value(option::SERVER_IDENTIFIER)?)
    }

    /// The offered or confirmed address, its prefix length, and the lease time in
    /// seconds. `None` if the reply lacks one of them or it is invalid.
    pub fn offer(&self) -> Option<(Offer, u8, u32)> {
        let yours: [u8; 4] = *self.message.get(field::YIADDR..)?.first_chunk()?;
        let address = address(&yours)?;
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

    /// The lease. Its routes get this metric.
    pub fn lease(&self, metric: u32) -> Option<Lease> {
        let (offer, length, seconds) = self.offer()?;
        let prefix = Prefix {
            address: offer.address.into(),
            length,
        };
        let mtu = self.value(option::INTERFACE_MTU).and_then(|mtu| match mtu {
            [high, low] => Some(u32::from(u16::from_be_bytes([*high, *low]))),
            _ => None,
        });
        let mut dns = Vector::new();
        for server in self.whole(option::DOMAIN_NAME_SERVER).chunks_exact(4) {
            dns.extend(address(server).map(IpAddr::from).as_slice());
        }
        Some(Lease {
            address: prefix,
            server: offer.server,
            seconds,
            metric,
            routes: self.routes(prefix, metric),
            dns: dns.finish(),
            search: self.search(),
            // 576 and less is ignored, as in dracut's dhclient-script: some servers
            // send the minimum of RFC 791, but the links of today carry more.
            mtu: mtu.filter(|mtu| *mtu > 576),
        })
    }

    /// The classless routes if there are any, else the default route by the first
    /// router (RFC 3442). A router outside the lease's network gets a host route of its
    /// own, as systemd-networkd does it.
    fn routes(&self, prefix: Prefix, metric: u32) -> &'static [Route] {
        let mut routes = Vector::new();
        let mut add = |destination: Prefix, gateway: Option<Ipv4Addr>| {
            let gateway = gateway.map(IpAddr::from);
            if destination.network() == prefix.network() {
                // The kernel adds it with the address.
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
        let classless = self.whole(option::CLASSLESS_STATIC_ROUTE);
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

    /// The search list (RFC 3397), else the domain name.
    fn search(&self) -> &'static [&'static [u8]] {
        let mut domains = Vector::<&[u8]>::new();
        let list = self.whole(option::DOMAIN_SEARCH);
        let mut at = 0;
        while let Some((domain, after)) = domain_at(list, at) {
            if is_domain(domain) && !domains.contains(&domain) {
                domains.push(domain);
            }
            at = after;
        }
        if domains.is_empty() {
            let domain = self.value(option::DOMAIN_NAME).unwrap_or_default();
            // Some servers end it with a NUL, some send several domains.
            let domain = domain.strip_suffix(b"\0").unwrap_or(domain);
            for domain in words(domain).filter(|domain| is_domain(domain)) {
                domains.push(&*memory::copy(domain));
            }
        }
        domains.finish()
    }

    /// The first instance of an option, which is the whole of a short one.
    fn value(&self, code: u8) -> Option<&'b [u8]> {
        let mut options = self.options();
        options.find(|option| option.0 == code).map(|found| found.1)
    }

    /// The concatenation of all instances of an option (RFC 3396).
    fn whole(&self, code: u8) -> &'static [u8] {
        let mut whole = Vector::new();
        for (_, value) in self.options().filter(|option| option.0 == code) {
            whole.extend(value);
        }
        whole.finish()
    }

    /// The options of the `options` field, then those in `file` and `sname` if the
    /// overload option says that they hold options (RFC 2132 9.3, RFC 3396 5).
    fn options(&self) -> Options<'b> {
        let own = Options {
            rest: self.message.get(field::OPTIONS..).unwrap_or_default(),
            later: [b"", b""],
            is_cut: false,
        };
        let overload = (Options { ..own }).find(|option| option.0 == option::OVERLOAD);
        let overload = overload.and_then(|(_, value)| value.first()).unwrap_or(&0);
        let field = |bit: u8, place: Range<usize>| match overload & bit {
            0 => &b""[..],
            _ => self.message.get(place).unwrap_or_default(),
        };
        Options {
            later: [
                field(1, field::FILE..field::COOKIE),
                field(2, field::SNAME..field::FILE),
            ],
            ..own
        }
    }
}

/// An iterator over options, each a code and a value.
struct Options<'b> {
    rest: &'b [u8],
    /// The fields to read after `rest`.
    later: [&'b [u8]; 2],
    /// An option is longer than its field.
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

/// An address other than 0.0.0.0.
fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.try_into().ok()?;
    Some(Ipv4Addr::from(octets)).filter(|address| !address.is_unspecified())
}

/// The prefix length of a contiguous netmask other than 0.0.0.0.
fn mask_length(mask: &[u8]) -> Option<u8> {
    let mask = u32::from_be_bytes(mask.try_into().ok()?);
    let length = mask.leading_ones();
    (length > 0 && length == mask.count_ones()).then_some(length as u8)
}

/// The prefix length of the address's class (RFC 791 3.2): old servers send no netmask.
fn class_length(address: Ipv4Addr) -> Option<u8> {
    match address.octets()[0] {
        0..=127 => Some(8),
        128..=191 => Some(16),
        192..=223 => Some(24),
        224.. => None,
    }
}

/// Splits off a classless route (RFC 3442): the prefix length, the significant octets
/// of the destination, and the router.
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

/// Whether all bytes are well-formed classless routes.
fn is_routes(mut bytes: &[u8]) -> bool {
    while let Some((_, _, rest)) = classless_route(bytes) {
        bytes = rest;
    }
    bytes.is_empty()
}

/// The domain at `start`, and where the next one begins (RFC 1035 4.1.4). A compression
/// pointer must point backwards, so the loop ends.
fn domain_at(list: &[u8], start: usize) -> Option<(&'static [u8], usize)> {
    /// The longest domain, in bytes (RFC 1035 2.3.4).
    const LONGEST: usize = 253;
    let mut domain = Vector::new();
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
