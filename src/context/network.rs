//! Collects what a dialect says about NICs, and decides what depends on all of it:
//! metrics, next hops that no address covers, repeated resolvers.
use core::mem::take;
use core::net::IpAddr;

use super::assignments::Assigned;
use super::state::Context;
use crate::base::memory::Vector;
use crate::base::set::Set;
use crate::base::sort::sort;
use crate::base::text::{Ip, format, ip, is_domain, list, split_once};
use crate::plan::{Family, Link, LinkName, Prefix, Route};

/// The network part of a plan under construction.
#[derive(Default)]
pub struct Network {
    /// The links before the open one.
    links: Vector<DraftLink>,
    /// The open link; `None` before the first one.
    link: Option<Link>,
    /// What the open link has of IPv4.
    pub ipv4: OpenHalf,
    /// What it has of IPv6.
    pub ipv6: OpenHalf,
    /// The resolvers of the open link; before the first one, those of the machine.
    dns: Vector<IpAddr>,
    search: Vector<&'static [u8]>,
    /// The resolvers of the machine, when the first link has begun.
    machine: Finished,
    /// The addresses of each link, as its number and the address as text.
    known_addresses: Set,
    known_servers: Set,
    known_domains: Set,
}

/// What the open link has of one family.
#[derive(Default)]
pub struct OpenHalf {
    /// Its addresses so far.
    pub addresses: Vector<Prefix>,
    routes: Vector<DraftRoute>,
}

/// A link that is finished, but for its routes.
#[derive(Clone, Copy)]
struct DraftLink {
    link: Link,
    ipv4: &'static [DraftRoute],
    ipv6: &'static [DraftRoute],
}

/// A route whose next hop and metric are decided at the end.
#[derive(Clone, Copy)]
struct DraftRoute {
    destination: Prefix,
    gateway: Option<IpAddr>,
    /// `None`: a default route gets the next one that is free.
    metric: Option<u32>,
}

/// The finished network part. The default leaves the network alone.
#[derive(Clone, Copy, Default)]
pub struct Finished {
    pub links: &'static [Link],
    pub dns: &'static [IpAddr],
    pub search: &'static [&'static [u8]],
}

impl Network {
    /// Begins a link: what is added from now on belongs to it. What was added before
    /// the first link belongs to the machine.
    pub fn link(&mut self, name: LinkName) -> &mut Link {
        self.close();
        self.link.insert(Link::new(name))
    }

    /// Ends the open link, or the machine's own part.
    fn close(&mut self) {
        let (ipv4, ipv6) = (take(&mut self.ipv4), take(&mut self.ipv6));
        let dns = take(&mut self.dns).finish();
        let search = take(&mut self.search).finish();
        let Some(mut link) = self.link.take() else {
            (self.machine.dns, self.machine.search) = (dns, search);
            return;
        };
        (link.dns, link.search) = (dns, search);
        link.ipv4.addresses = ipv4.addresses.finish();
        link.ipv6.addresses = ipv6.addresses.finish();
        self.links.push(DraftLink {
            link,
            ipv4: ipv4.routes.finish(),
            ipv6: ipv6.routes.finish(),
        });
    }

    /// What the open link has of the family of an address.
    fn half(&mut self, like: IpAddr) -> &mut OpenHalf {
        match like {
            IpAddr::V4(_) => &mut self.ipv4,
            IpAddr::V6(_) => &mut self.ipv6,
        }
    }

    /// Whether the open link has this address.
    pub fn has_address(&mut self, address: IpAddr) -> bool {
        let mut addresses = self.half(address).addresses.iter();
        addresses.any(|prefix| prefix.address == address)
    }

    /// Adds an address to the open link.
    pub fn address(&mut self, context: &mut Context, variable: Assigned, prefix: Prefix) {
        let link = self.links.len() as u32;
        let address = format(&Ip(prefix.address));
        if self.known_addresses.insert(link, address) {
            self.half(prefix.address).addresses.push(prefix);
        } else {
            context.warn_showing(variable, "this NIC has that address already")
        }
    }

    /// Adds a route to the open link; a default route without a metric gets one at the
    /// end.
    pub fn route(&mut self, destination: Prefix, gateway: Option<IpAddr>, metric: Option<u32>) {
        let usual = destination.family().default_metric();
        // IPv6 has no metric 0: the kernel reads it as 1024 (net/ipv6/route.c,
        // IP6_RT_PRIO_USER).
        let metric = match metric {
            None if destination.is_default() => None,
            None | Some(0) => Some(usual),
            metric => metric,
        };
        self.half(destination.address).routes.push(DraftRoute {
            destination,
            gateway,
            metric,
        });
    }

    /// Adds name servers to the current link, or to the machine.
    pub fn servers(&mut self, context: &mut Context, variable: Option<Assigned>) {
        let Some(variable) = variable else {
            return;
        };
        for word in list(context.list(variable)) {
            match name_server(word) {
                Some(server) => self.server(server),
                None => context.warn_showing_part(variable, "not an IP address", word),
            }
        }
    }

    /// Adds one name server.
    pub fn server(&mut self, server: IpAddr) {
        if self.known_servers.insert(0, format(&Ip(server))) {
            self.dns.push(server);
        }
    }

    /// Adds search domains to the current link, or to the machine.
    pub fn domains(&mut self, context: &mut Context, variable: Option<Assigned>) {
        let Some(variable) = variable else {
            return;
        };
        for word in list(context.list(variable)) {
            if !is_domain(word) {
                context.warn_showing_part(variable, "not a domain name", word);
            } else if self.known_domains.insert(0, word) {
                self.search.push(word);
            }
        }
    }

    /// Decides metrics and next hops.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    pub fn finish(mut self, context: &mut Context) -> Finished {
        self.close();
        let mut ipv4 = Metrics {
            taken: Set::new(),
            next: Family::V4.default_metric(),
            repeated: "another default route has the same metric, which of them is used is up to the kernel",
        };
        let mut ipv6 = Metrics {
            taken: Set::new(),
            next: Family::V6.default_metric(),
            repeated: "another IPv6 default route has the same metric, both are used",
        };
        for draft in self.links.iter() {
            ipv4.reserve(draft.link.name, draft.ipv4, context);
            ipv6.reserve(draft.link.name, draft.ipv6, context);
        }
        let mut links = Vector::new();
        for draft in self.links.iter() {
            let mut link = draft.link;
            link.ipv4.routes = ipv4.settle(link.ipv4.addresses, draft.ipv4);
            link.ipv6.routes = ipv6.settle(link.ipv6.addresses, draft.ipv6);
            links.push(link);
        }
        Finished {
            links: links.finish(),
            ..self.machine
        }
    }
}

/// The address of a name server. A link-local one may have a zone, such as `%eth0`
/// (RFC 4007 11): the name that the NIC has somewhere, so it is not kept.
fn name_server(word: &[u8]) -> Option<IpAddr> {
    match split_once(word, b'%') {
        Some((address, _)) => ip(address).filter(is_link_local),
        None => ip(word),
    }
}

/// Whether this is a link-local IPv6 address (RFC 4291 2.5.6).
pub fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The metrics of the default routes of one family, of all links.
struct Metrics {
    taken: Set,
    /// No metric between the usual one and this one is free.
    next: u32,
    /// The warning about a metric that another route has.
    repeated: &'static str,
}

impl Metrics {
    /// Takes the metrics that default routes of a link have.
    fn reserve(&mut self, name: LinkName, routes: &[DraftRoute], context: &mut Context) {
        for route in routes.iter().filter(|route| route.destination.is_default()) {
            if let Some(metric) = route.metric
                && !self.taken.insert(metric, b"")
            {
                (context.warnings).general(Some(format(&name)), self.repeated, None);
            }
        }
    }

    /// The routes of a link with these addresses. Those without a metric get the first
    /// that are free.
    fn settle(&mut self, addresses: &[Prefix], drafts: &[DraftRoute]) -> &'static [Route] {
        let mut routes = Vector::new();
        for draft in drafts {
            routes.push(Route {
                destination: draft.destination,
                gateway: draft.gateway,
                onlink: false,
                metric: draft.metric.unwrap_or_else(|| self.take()),
            });
        }
        settle_next_hops(addresses, &mut routes);
        routes.finish()
    }

    /// Takes the next one that is free.
    fn take(&mut self) -> u32 {
        while !self.taken.insert(self.next, b"") {
            self.next = self.next.saturating_add(1);
        }
        self.next
    }
}

/// Marks next hops that no address and no on-link route covers as on-link. Link-local
/// ones (RFC 4291 2.5.6) never need that.
fn settle_next_hops(addresses: &[Prefix], routes: &mut [Route]) {
    if routes.is_empty() {
        return;
    }
    let networks = outermost_networks(addresses, routes);
    for route in routes {
        let Some(gateway) = route.gateway else {
            continue;
        };
        route.onlink = !is_link_local(&gateway) && !is_covered(networks, gateway);
    }
}

/// The networks that a link reaches without a next hop, as [`outermost`] returns them:
/// those of its addresses and of its routes.
fn outermost_networks(addresses: &[Prefix], routes: &[Route]) -> &'static [Prefix] {
    let mut networks = Vector::new();
    for address in addresses {
        networks.push(address.network());
    }
    for route in routes.iter().filter(|route| route.gateway.is_none()) {
        networks.push(route.destination);
    }
    outermost(networks)
}

/// Sorts networks by their addresses, and leaves out each that a larger one contains. No
/// two of the others overlap. Their host bits must be zero.
pub fn outermost(mut networks: Vector<Prefix>) -> &'static [Prefix] {
    sort(&mut networks, |one, other| {
        (order(one.address), one.length) < (order(other.address), other.length)
    });
    let mut outermost = Vector::<Prefix>::new();
    for network in networks.iter() {
        if !is_covered(&outermost, network.address) {
            outermost.push(*network);
        }
    }
    outermost.finish()
}

/// Whether one of these networks, as [`outermost`] returns them, contains the address.
pub fn is_covered(networks: &[Prefix], address: IpAddr) -> bool {
    let behind = networks.partition_point(|network| order(network.address) <= order(address));
    let before = networks.get(..behind).and_then(<[Prefix]>::last);
    before.is_some_and(|network| network.covers(address))
}

/// The sort key of an address: IPv4 comes before IPv6.
fn order(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (false, address.to_bits().into()),
        IpAddr::V6(address) => (true, address.to_bits()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (address, length) = text.split_once('/').unwrap();
        Prefix {
            address: address.parse().unwrap(),
            length: length.parse().unwrap(),
        }
    }

    #[test]
    fn next_hops_are_on_the_link_that_no_network_of_it_covers() {
        let addresses = [
            "10.0.1.1/24",
            "10.0.0.1/16",
            "10.0.2.9/32",
            "2001:db8::5/64",
        ];
        let addresses = addresses.map(prefix);
        let on_link = ["192.168.7.0/24", "2001:db8:1::/48"].map(prefix);
        for (gateway, expected) in [
            ("9.255.255.255", true),
            ("10.0.0.0", false),
            ("10.0.1.7", false),
            // Behind a smaller network that lies in a larger one.
            ("10.0.2.10", false),
            ("10.0.255.255", false),
            ("10.1.0.0", true),
            ("192.168.7.255", false),
            ("192.168.8.0", true),
            ("::10.0.1.7", true),
            ("2001:db8::ffff", false),
            ("2001:db8:0:1::", true),
            ("2001:db8:1:ffff::1", false),
            ("fe80::1", false),
        ] {
            let gateway: IpAddr = gateway.parse().unwrap();
            let route = |destination, gateway| Route {
                destination,
                gateway,
                onlink: false,
                metric: 0,
            };
            let mut routes = vec![route(Prefix::everything(gateway), Some(gateway))];
            routes.extend(on_link.map(|network| route(network, None)));
            settle_next_hops(&addresses, &mut routes);
            assert_eq!(routes[0].onlink, expected, "{gateway}");
            assert!(routes[1..].iter().all(|route| !route.onlink));
        }
    }
}
