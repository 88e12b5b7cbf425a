//! rtnetlink messages: building requests and parsing replies (netlink(7),
//! rtnetlink(7)). All numbers are in host byte order; every length is checked against
//! the bytes that are there.
use core::mem::offset_of;
use core::net::{IpAddr, Ipv6Addr};

use heapless::Vec;
use linux_raw_sys::netlink as nl;
use rustix::io::Errno;
use static_assertions::{const_assert, const_assert_eq};

use crate::base::text::Mac;
use crate::plan::bound::Lease;
use crate::plan::device::{Device, DeviceName};
use crate::plan::{Prefix, Route};

const HEADER: usize = size_of::<nl::nlmsghdr>();
const_assert_eq!(HEADER, 16);
const_assert_eq!(size_of::<nl::ifinfomsg>(), 16);
const_assert_eq!(size_of::<nl::ifaddrmsg>(), 8);
const_assert_eq!(size_of::<nl::rtmsg>(), 12);
const_assert_eq!(size_of::<nl::rtattr>(), 4);

/// `IFNAMSIZ` of linux/if.h: a name of this length ends with a NUL.
const IFNAMSIZ: usize = 16;
/// `ARPHRD_ETHER` of linux/if_arp.h.
const ETHERNET: u16 = 1;
/// `IFF_UP`, `IFF_LOOPBACK` of linux/if.h.
const UP: u32 = 1;
const LOOPBACK: u32 = 8;
/// `AF_INET`, `AF_INET6` of linux/socket.h.
const INET: u8 = 2;
const INET6: u8 = 10;
/// `RTEXT_FILTER_SKIP_STATS` of linux/rtnetlink.h: leave the counters out.
const SKIP_STATS: u32 = 1 << 3;

/// What a request does to an object.
#[derive(Clone, Copy)]
pub enum Operation {
    /// Lists all objects.
    Dump,
    /// Reads one object.
    Get,
    /// Changes or removes an existing object.
    Change,
    /// Creates an object; an error if it exists.
    Create,
    /// Creates an object, or replaces the equal one.
    Replace,
    /// Creates a route behind others of the same destination and metric.
    Append,
}

/// Bytes of the largest request: an IPv6 route with destination, gateway, source,
/// interface index and metric.
pub const LARGEST: usize = HEADER
    + size_of::<nl::rtmsg>()
    + 3 * attribute_size(size_of::<Ipv6Addr>())
    + 2 * attribute_size(size_of::<u32>());
/// Bytes of the request for a VLAN device: the longest name that the kernel accepts,
/// the parent, and the kind and the VLAN ID in two nested attributes.
const VLAN_DEVICE: usize = HEADER
    + size_of::<nl::ifinfomsg>()
    + attribute_size(IFNAMSIZ - 1)
    + attribute_size(size_of::<u32>())
    + 2 * attribute_size(0)
    + attribute_size(b"vlan".len())
    + attribute_size(size_of::<u16>());
const_assert!(VLAN_DEVICE <= LARGEST);

/// Bytes of an attribute and of the padding behind it.
const fn attribute_size(payload: usize) -> usize {
    size_of::<nl::rtattr>() + payload.next_multiple_of(4)
}

/// The buffer of one request; the methods that ask for something fill it anew. Of all
/// fields only a device name has no fixed length. A name that does not fit into
/// [`LARGEST`] is longer than that of any device, so it is an error.
#[derive(Default)]
pub struct Message {
    bytes: Vec<u8, LARGEST>,
    /// Something did not fit into `bytes`.
    overflow: bool,
}

impl Message {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            overflow: false,
        }
    }

    #[inline(never)]
    fn put(&mut self, bytes: &[u8]) {
        self.overflow |= self.bytes.extend_from_slice(bytes).is_err();
    }

    fn begin(&mut self, kind: u32, operation: Operation) {
        let flags = match operation {
            Operation::Dump => nl::NLM_F_DUMP,
            Operation::Get | Operation::Change => nl::NLM_F_ACK,
            Operation::Create => nl::NLM_F_ACK | nl::NLM_F_CREATE | nl::NLM_F_EXCL,
            Operation::Replace => nl::NLM_F_ACK | nl::NLM_F_CREATE | nl::NLM_F_REPLACE,
            Operation::Append => nl::NLM_F_ACK | nl::NLM_F_CREATE | nl::NLM_F_APPEND,
        };
        self.bytes.clear();
        self.overflow = false;
        self.number(0); // length, see `bytes`
        self.pair(kind, nl::NLM_F_REQUEST | flags);
        self.number(0); // sequence number, see `bytes`
        self.number(0); // port
    }

    /// The finished request with its sequence number.
    ///
    /// # Errors
    /// `EMSGSIZE`: the name in it is longer than any device's.
    pub fn bytes(&mut self, sequence: u32) -> Result<&[u8], Errno> {
        if self.overflow {
            return Err(Errno::MSGSIZE);
        }
        let length = self.bytes.len() as u32;
        self.overwrite(offset_of!(nl::nlmsghdr, nlmsg_len), &length.to_ne_bytes());
        self.overwrite(offset_of!(nl::nlmsghdr, nlmsg_seq), &sequence.to_ne_bytes());
        Ok(&self.bytes)
    }

    fn overwrite(&mut self, start: usize, bytes: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(start).zip(bytes) {
            *to = *from;
        }
    }

    fn number(&mut self, number: u32) {
        self.put(&number.to_ne_bytes());
    }

    /// Two numbers of 16 bits.
    fn pair(&mut self, first: u32, second: u32) {
        const { assert!(cfg!(target_endian = "little")) }
        self.number(first & 0xffff | second << 16);
    }

    fn attribute(&mut self, kind: u32, payload: &[u8]) {
        self.pair((size_of::<nl::rtattr>() + payload.len()) as u32, kind);
        self.put(payload);
        while self.bytes.len() & 3 != 0 {
            self.put(&[0]);
        }
    }

    fn attribute_number(&mut self, kind: u32, number: u32) {
        self.attribute(kind, &number.to_ne_bytes());
    }

    /// An attribute that holds attributes.
    fn nest(&mut self, kind: u32, inside: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.attribute(kind, &[]);
        inside(self);
        let length = (self.bytes.len() - start) as u16;
        self.overwrite(start, &length.to_ne_bytes());
    }

    fn ip(&mut self, kind: u32, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.attribute(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attribute(kind, &v6.octets()),
        }
    }

    /// Begins a message with a `struct ifinfomsg`. `index`: the link; `None` if an
    /// attribute names it, or for all links. `up`: the wanted state; `None` leaves it
    /// as it is.
    fn interface(&mut self, kind: u32, operation: Operation, index: Option<u32>, up: Option<bool>) {
        self.begin(kind, operation);
        self.number(0); // family, padding, type
        self.number(index.unwrap_or(0));
        self.number(if up == Some(true) { UP } else { 0 });
        // `ifi_change`: which flags to change.
        self.number(if up.is_some() { UP } else { 0 });
    }

    /// Begins a change of the link with this index.
    fn change(&mut self, index: u32, up: Option<bool>) {
        self.interface(nl::RTM_NEWLINK as u32, Operation::Change, Some(index), up);
    }

    /// Asks for all links.
    pub fn links(&mut self) {
        self.interface(nl::RTM_GETLINK as u32, Operation::Dump, None, None);
        self.attribute_number(nl::IFLA_EXT_MASK as u32, SKIP_STATS);
    }

    /// Asks for the link of this name.
    pub fn link_named(&mut self, name: &[u8]) {
        self.interface(nl::RTM_GETLINK as u32, Operation::Get, None, None);
        self.attribute(nl::IFLA_IFNAME as u32, name);
        self.attribute_number(nl::IFLA_EXT_MASK as u32, SKIP_STATS);
    }

    /// Asks for the link with this index.
    pub fn link_at(&mut self, index: u32) {
        self.interface(nl::RTM_GETLINK as u32, Operation::Get, Some(index), None);
        self.attribute_number(nl::IFLA_EXT_MASK as u32, SKIP_STATS);
    }

    /// Asks for all addresses.
    pub fn addresses(&mut self) {
        self.begin(nl::RTM_GETADDR as u32, Operation::Dump);
        self.put(&[0; size_of::<nl::ifaddrmsg>()]);
    }

    /// Asks for all routes.
    pub fn routes(&mut self) {
        self.begin(nl::RTM_GETROUTE as u32, Operation::Dump);
        self.put(&[0; size_of::<nl::rtmsg>()]);
    }

    /// Sets a link up.
    pub fn set_up(&mut self, index: u32) {
        self.change(index, Some(true));
    }

    /// Sets a link down: the kernel forgets its routes, and its IPv6 addresses.
    pub fn set_down(&mut self, index: u32) {
        self.change(index, Some(false));
    }

    /// Gives a link its MTU.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) {
        self.change(index, None);
        self.attribute_number(nl::IFLA_MTU as u32, mtu);
    }

    /// Gives a link its MAC.
    pub fn set_mac(&mut self, index: u32, mac: Mac) {
        self.change(index, None);
        self.attribute(nl::IFLA_ADDRESS as u32, &mac.0);
    }

    /// Creates an 802.1Q device on the link `parent`.
    pub fn new_vlan(&mut self, parent: u32, name: &[u8], id: u16) {
        self.interface(nl::RTM_NEWLINK as u32, Operation::Create, None, Some(true));
        self.attribute(nl::IFLA_IFNAME as u32, name);
        self.attribute_number(nl::IFLA_LINK as u32, parent);
        self.nest(nl::IFLA_LINKINFO as u32, |message| {
            message.attribute(nl::IFLA_INFO_KIND as u32, b"vlan");
            message.nest(nl::IFLA_INFO_DATA as u32, |message| {
                message.attribute(nl::IFLA_VLAN_ID as u32, &id.to_ne_bytes());
            });
        });
    }

    /// Removes a link.
    pub fn delete_link(&mut self, index: u32) {
        self.interface(nl::RTM_DELLINK as u32, Operation::Change, Some(index), None);
    }

    /// Removes an address from a link.
    pub fn delete_address(&mut self, index: u32, prefix: Prefix) {
        self.begin(nl::RTM_DELADDR as u32, Operation::Change);
        self.put(&[family(prefix.address), prefix.length, 0, 0]);
        self.number(index);
        self.ip(nl::IFA_LOCAL as u32, prefix.address);
    }

    /// Adds an address to a link. With a lease, the address has its lifetime, and the
    /// kernel's route to the network has its metric.
    pub fn new_address(&mut self, index: u32, prefix: Prefix, lease: Option<&Lease>) {
        self.begin(nl::RTM_NEWADDR as u32, Operation::Replace);
        let family = family(prefix.address);
        self.put(&[family, prefix.length, 0, 0]);
        self.number(index);
        self.ip(nl::IFA_LOCAL as u32, prefix.address);
        self.ip(nl::IFA_ADDRESS as u32, prefix.address);
        if let Some((address, hosts)) = prefix.ipv4_and_host_bits()
            && prefix.length <= 30
        {
            let broadcast = address | hosts;
            self.attribute(nl::IFA_BROADCAST as u32, &broadcast.to_be_bytes());
        }
        if let Some(lease) = lease {
            self.attribute_number(nl::IFA_RT_PRIORITY as u32, lease.metric);
            self.nest(nl::IFA_CACHEINFO as u32, |message| {
                message.number(lease.seconds); // preferred
                message.number(lease.seconds); // valid
                message.number(0); // created
                message.number(0); // changed
            });
        }
    }

    /// Adds a route of a link to the main table. With a lease, the route has the leased
    /// address as source, and the protocol DHCP.
    pub fn new_route(&mut self, index: u32, route: &Route, lease: Option<&Lease>) {
        let protocol = match lease {
            Some(_) => nl::RTPROT_DHCP,
            None => nl::RTPROT_STATIC,
        };
        // NLM_F_APPEND keeps another route of the same metric: before this one or, in
        // IPv6, as another next hop.
        self.begin(nl::RTM_NEWROUTE as u32, Operation::Append);
        self.route(index, route, protocol);
        if let Some(lease) = lease {
            self.ip(nl::rtattr_type_t::RTA_PREFSRC as u32, lease.address.address);
        }
    }

    /// Removes a route of a link from the main table, whoever has set it; of an IPv6 route
    /// with several next hops only this one.
    pub fn delete_route(&mut self, index: u32, route: &Route) {
        self.begin(nl::RTM_DELROUTE as u32, Operation::Change);
        self.route(index, route, nl::RTPROT_UNSPEC);
    }

    /// A `struct rtmsg` and the attributes of a route.
    fn route(&mut self, index: u32, route: &Route, protocol: u32) {
        let scope = match route.gateway {
            None if route.destination.address.is_ipv4() => nl::rt_scope_t::RT_SCOPE_LINK,
            _ => nl::rt_scope_t::RT_SCOPE_UNIVERSE,
        };
        let flags = if route.onlink { nl::RTNH_F_ONLINK } else { 0 };
        self.put(&[
            family(route.destination.address),
            route.destination.length,
            0,
            0,
            nl::rt_class_t::RT_TABLE_MAIN as u8,
            protocol as u8,
            scope as u8,
            nl::RTN_UNICAST as u8,
        ]);
        self.number(flags);
        if !route.destination.is_default() {
            self.ip(nl::rtattr_type_t::RTA_DST as u32, route.destination.address);
        }
        if let Some(gateway) = route.gateway {
            self.ip(nl::rtattr_type_t::RTA_GATEWAY as u32, gateway);
        }
        self.attribute_number(nl::rtattr_type_t::RTA_OIF as u32, index);
        self.attribute_number(nl::rtattr_type_t::RTA_PRIORITY as u32, route.metric);
    }
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { INET } else { INET6 }
}

/// One message of a reply.
#[derive(Clone, Copy)]
pub struct Reply<'b> {
    kind: u32,
    flags: u32,
    /// The sequence number of its request.
    pub sequence: u32,
    body: &'b [u8],
}

/// Splits the bytes of one recv(2) into messages. Stops at a malformed one.
pub fn answers(mut bytes: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    core::iter::from_fn(move || {
        let length = u32_at(bytes, offset_of!(nl::nlmsghdr, nlmsg_len))? as usize;
        let (message, rest) = split_aligned(bytes, length)?;
        let kind = u16_at(message, offset_of!(nl::nlmsghdr, nlmsg_type))?.into();
        let flags = u16_at(message, offset_of!(nl::nlmsghdr, nlmsg_flags))?.into();
        let sequence = u32_at(message, offset_of!(nl::nlmsghdr, nlmsg_seq))?;
        let body = message.get(HEADER..)?;
        bytes = rest;
        Some(Reply {
            kind,
            flags,
            sequence,
            body,
        })
    })
}

/// How a request ends.
pub enum End<'b> {
    /// The request was carried out, or the list is complete.
    Done,
    /// The kernel refused the request: errno, and the kernel's message, if there is one.
    Refused(i32, Option<&'b [u8]>),
}

impl<'b> Reply<'b> {
    /// How the request ends with this message; `None` if it goes on.
    pub fn end(&self) -> Option<End<'b>> {
        match self.kind {
            nl::NLMSG_DONE => match u32_at(self.body, 0).map(u32::cast_signed) {
                Some(error) if error < 0 => Some(End::Refused(error.wrapping_neg(), None)),
                _ => Some(End::Done),
            },
            nl::NLMSG_ERROR => {
                let error = u32_at(self.body, offset_of!(nl::nlmsgerr, error))?.cast_signed();
                Some(if error == 0 {
                    End::Done
                } else {
                    End::Refused(error.wrapping_neg(), self.words())
                })
            }
            _ => None,
        }
    }

    /// The kernel's error message (Documentation/userspace-api/netlink/intro.rst,
    /// Extended ACK).
    fn words(&self) -> Option<&'b [u8]> {
        if self.flags & nl::NLM_F_ACK_TLVS == 0 {
            return None;
        }
        // The kernel returns the whole request, or only its header if NLM_F_CAPPED is
        // set.
        let request = self.body.get(offset_of!(nl::nlmsgerr, msg)..)?;
        let length = match self.flags & nl::NLM_F_CAPPED {
            0 => u32_at(request, offset_of!(nl::nlmsghdr, nlmsg_len))? as usize,
            _ => HEADER,
        };
        let (_, attributes) = split_aligned(request, length)?;
        let words = attribute(attributes, nl::nlmsgerr_attrs::NLMSGERR_ATTR_MSG as u32)?;
        Some(words.strip_suffix(b"\0").unwrap_or(words))
    }

    /// The link in a reply to [`Message::links`].
    pub fn link(&self) -> Option<Device> {
        if self.kind != nl::RTM_NEWLINK as u32 {
            return None;
        }
        let kind = u16_at(self.body, offset_of!(nl::ifinfomsg, ifi_type))?;
        let index = u32_at(self.body, offset_of!(nl::ifinfomsg, ifi_index))?;
        let flags = u32_at(self.body, offset_of!(nl::ifinfomsg, ifi_flags))?;
        let attributes = self.body.get(size_of::<nl::ifinfomsg>()..)?;
        let name = attribute(attributes, nl::IFLA_IFNAME as u32)?;
        let name = name.strip_suffix(b"\0").unwrap_or(name);
        let mac =
            attribute(attributes, nl::IFLA_ADDRESS as u32).and_then(|mac| mac.try_into().ok());
        let mtu = attribute(attributes, nl::IFLA_MTU as u32).and_then(|mtu| u32_at(mtu, 0));
        let info = attribute(attributes, nl::IFLA_LINKINFO as u32).unwrap_or_default();
        let driver = attribute(info, nl::IFLA_INFO_KIND as u32).unwrap_or_default();
        let driver = driver.strip_suffix(b"\0").unwrap_or(driver);
        let physical = kind == ETHERNET && flags & LOOPBACK == 0 && !VIRTUAL.contains(&driver);
        Some(Device {
            index,
            name: DeviceName::new(name)?,
            mac: mac.map(Mac),
            mtu: mtu.unwrap_or(0),
            up: flags & UP != 0,
            physical,
            kind: DeviceName::new(driver),
            master: attribute(attributes, nl::IFLA_MASTER as u32)
                .and_then(|index| u32_at(index, 0)),
        })
    }

    /// The address in a reply to [`Message::addresses`], with the index of its link.
    pub fn address(&self) -> Option<(u32, Prefix)> {
        if self.kind != nl::RTM_NEWADDR as u32 {
            return None;
        }
        let index = u32_at(self.body, offset_of!(nl::ifaddrmsg, ifa_index))?;
        let length = *self.body.get(offset_of!(nl::ifaddrmsg, ifa_prefixlen))?;
        let attributes = self.body.get(size_of::<nl::ifaddrmsg>()..)?;
        // On a point-to-point link IFA_ADDRESS is the address of the peer.
        let local = attribute(attributes, nl::IFA_LOCAL as u32);
        let address = ip_of(local.or_else(|| attribute(attributes, nl::IFA_ADDRESS as u32))?)?;
        Some((index, Prefix { address, length }))
    }

    /// Passes the routes of the main table in a reply to [`Message::routes`] to `each`,
    /// with the index of their link, but not those that the kernel makes with an address.
    /// The kernel lists a route with several next hops as one message (RTA_MULTIPATH).
    pub fn routes(&self, each: &mut dyn FnMut(u32, Route)) {
        let Some((route, attributes)) = self.route() else {
            return;
        };
        if let Some(index) = attribute_number(attributes, nl::rtattr_type_t::RTA_OIF) {
            each(index, route);
        }
        let hops = attribute(attributes, nl::rtattr_type_t::RTA_MULTIPATH as u32);
        let mut hops = hops.unwrap_or_default();
        while let Some((index, gateway, rest)) = split_next_hop(hops) {
            each(index, Route { gateway, ..route });
            hops = rest;
        }
    }

    /// A route of the main table, and all attributes of the message.
    fn route(&self) -> Option<(Route, &'b [u8])> {
        const MAIN: u32 = nl::rt_class_t::RT_TABLE_MAIN as u32;
        if self.kind != nl::RTM_NEWROUTE as u32 {
            return None;
        }
        let byte = |offset: usize| self.body.get(offset).copied();
        let attributes = self.body.get(size_of::<nl::rtmsg>()..)?;
        // RTA_TABLE holds a table number that does not fit into one byte.
        let table = u32::from(byte(offset_of!(nl::rtmsg, rtm_table))?);
        let table = attribute_number(attributes, nl::rtattr_type_t::RTA_TABLE).unwrap_or(table);
        let protocol = byte(offset_of!(nl::rtmsg, rtm_protocol))?;
        if table != MAIN || u32::from(protocol) == nl::RTPROT_KERNEL {
            return None;
        }
        let everything = match byte(offset_of!(nl::rtmsg, rtm_family))? {
            INET => Prefix::DEFAULT_V4,
            INET6 => Prefix::DEFAULT_V6,
            _ => return None,
        };
        let destination = match attribute(attributes, nl::rtattr_type_t::RTA_DST as u32) {
            Some(address) => Prefix {
                address: ip_of(address)?,
                length: byte(offset_of!(nl::rtmsg, rtm_dst_len))?,
            },
            None => everything,
        };
        let flags = u32_at(self.body, offset_of!(nl::rtmsg, rtm_flags))?;
        let route = Route {
            destination,
            gateway: gateway(attributes),
            onlink: flags & nl::RTNH_F_ONLINK != 0,
            metric: attribute_number(attributes, nl::rtattr_type_t::RTA_PRIORITY).unwrap_or(0),
        };
        Some((route, attributes))
    }
}

/// Splits off a next hop (`struct rtnexthop`, linux/rtnetlink.h): the index of its link,
/// and its gateway.
fn split_next_hop(hops: &[u8]) -> Option<(u32, Option<IpAddr>, &[u8])> {
    let length = u16_at(hops, offset_of!(nl::rtnexthop, rtnh_len))?;
    let (hop, rest) = split_aligned(hops, length.into())?;
    let index = u32_at(hop, offset_of!(nl::rtnexthop, rtnh_ifindex))?;
    let attributes = hop.get(size_of::<nl::rtnexthop>()..)?;
    Some((index, gateway(attributes), rest))
}

/// The gateway in the attributes of a route or next hop.
fn gateway(attributes: &[u8]) -> Option<IpAddr> {
    attribute(attributes, nl::rtattr_type_t::RTA_GATEWAY as u32).and_then(ip_of)
}

/// Link kinds that share the MAC of another device or make one up (the `kind` of each
/// driver's rtnl_link_ops). `veth` is not in the list: it is the network card of a
/// container, and of the tests.
#[rustfmt::skip]
const VIRTUAL: [&[u8]; 22] = [
    b"bridge", b"bond", b"team", b"vlan", b"macvlan", b"macvtap", b"ipvlan", b"ipvtap", b"vxlan",
    b"geneve", b"gretap", b"ip6gretap", b"erspan", b"dummy", b"ifb", b"tun", b"vrf", b"macsec",
    b"hsr", b"batadv", b"nlmon", b"openvswitch",
];

/// Splits at `length`, and skips the padding to a multiple of four.
fn split_aligned(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let first = bytes.get(..length)?;
    let aligned = length.checked_add(3)? & !3;
    Some((first, bytes.get(aligned..).unwrap_or_default()))
}

/// The payload of the first attribute of this kind.
fn attribute(mut bytes: &[u8], kind: u32) -> Option<&[u8]> {
    loop {
        let length = u16_at(bytes, offset_of!(nl::rtattr, rta_len))?;
        let found = u16_at(bytes, offset_of!(nl::rtattr, rta_type))?;
        let found = u32::from(found) & nl::NLA_TYPE_MASK as u32;
        let (attribute, rest) = split_aligned(bytes, length.into())?;
        let payload = attribute.get(size_of::<nl::rtattr>()..)?;
        if found == kind {
            return Some(payload);
        }
        bytes = rest;
    }
}

/// The number in the first attribute of this kind.
fn attribute_number(bytes: &[u8], kind: nl::rtattr_type_t) -> Option<u32> {
    attribute(bytes, kind as u32).and_then(|value| u32_at(value, 0))
}

fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
