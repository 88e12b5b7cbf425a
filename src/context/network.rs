//! Gathers what a dialect says about NICs, and settles what only the whole
//! can tell: metrics, next hops that no address covers, repeated resolvers.
use core::net::IpAddr;

use super::state::Context;
use super::values::is_domain;
use super::variables::Variable;
use crate::base::arena::{Arena, Set, Vector, sort};
use crate::base::text::{Ip, format, ip, list};
use crate::plan::{Link, LinkName, Prefix, Route};

/// The network part of a plan in the making. Lists of all links stand behind
/// each other in one table, so that many links cost no more than few.
pub struct Network<'a> {
    arena: &'a Arena,
    links: Vector<'a, Draft<'a>>,
    addresses: Vector<'a, Prefix>,
    routes: Vector<'a, Route>,
    /// Positions in `routes` whose metric nobody named.
    automatic: Vector<'a, usize>,
    dns: Vector<'a, IpAddr>,
    search: Vector<'a, &'a [u8]>,
    /// How many of `dns` and `search` are the machine's own.
    machine: (usize, usize),
    /// Each link's number with its addresses as text.
    known_addresses: Set<'a>,
    known_servers: Set<'a>,
    known_domains: Set<'a>,
}

/// A link, and where its lists begin in the tables.
#[derive(Clone, Copy)]
struct Draft<'a> {
    link: Link<'a>,
    addresses: usize,
    routes: usize,
    dns: usize,
    search: usize,
}

/// The finished network part.
pub struct Finished<'a> {
    pub links: &'a [Link<'a>],
    pub dns: &'a [IpAddr],
    pub search: &'a [&'a [u8]],
}

impl<'a> Network<'a> {
    pub fn new(arena: &'a Arena) -> Self {
        Self {
            arena,
            links: arena.vector(),
            addresses: arena.vector(),
            routes: arena.vector(),
            automatic: arena.vector(),
            dns: arena.vector(),
            search: arena.vector(),
            machine: (0, 0),
            known_addresses: Set::new(arena),
            known_servers: Set::new(arena),
            known_domains: Set::new(arena),
        }
    }

    /// Begins a link, of which nothing is known yet: what is added from now on
    /// is its own. What was added before the first link is the machine's.
    pub fn link(&mut self, name: LinkName) -> &mut Link<'a> {
        if self.links.is_empty() {
            self.machine = (self.dns.len(), self.search.len());
        }
        let draft = self.links.put(Draft {
            link: Link::new(name),
            addresses: self.addresses.len(),
            routes: self.routes.len(),
            dns: self.dns.len(),
            search: self.search.len(),
        });
        &mut draft.link
    }

    /// The addresses of the current link.
    pub fn addresses(&self) -> &[Prefix] {
        let start = self.links.last().map_or(0, |draft| draft.addresses);
        self.addresses.get(start..).unwrap_or_default()
    }

    /// Adds an address to the current link.
    pub fn address(&mut self, context: &mut Context<'a>, variable: &Variable<'a>, prefix: Prefix) {
        let link = self.links.len() as u32;
        let address = format(self.arena, &Ip(prefix.address));
        if self.known_addresses.insert(link, address) {
            self.addresses.push(prefix);
        } else {
            context.complain(variable, "this NIC has that address already")
        }
    }

    /// Adds a route to the current link; a default route without a metric
    /// gets one at the end.
    pub fn route(&mut self, destination: Prefix, gateway: Option<IpAddr>, metric: Option<u32>) {
        if destination.is_default() && metric.is_none() {
            self.automatic.push(self.routes.len());
        }
        let usual = Route::default_metric(destination.address.is_ipv4());
        // IPv6 has no metric 0: the kernel reads it as 1024 (net/ipv6/route.c,
        // IP6_RT_PRIO_USER).
        let metric = metric.filter(|metric| *metric != 0).unwrap_or(usual);
        self.routes.push(Route {
            destination,
            gateway,
            onlink: false,
            metric,
        })
    }

    /// Adds name servers to the current link, or to the machine.
    pub fn servers(&mut self, context: &mut Context<'a>, variable: Option<&Variable<'a>>) {
        let Some(variable) = variable else {
            return;
        };
        for word in list(context.list(variable)) {
            match ip(word) {
                Some(server) => self.server(server),
                None => {
                    context
                        .warnings
                        .at(variable.place, variable.name, "not an IP address", word)
                }
            }
        }
    }

    /// Adds one name server.
    pub fn server(&mut self, server: IpAddr) {
        if self
            .known_servers
            .insert(0, format(self.arena, &Ip(server)))
        {
            self.dns.push(server);
        }
    }

    /// Adds search domains to the current link, or to the machine.
    pub fn domains(&mut self, context: &mut Context<'a>, variable: Option<&Variable<'a>>) {
        let Some(variable) = variable else {
            return;
        };
        for word in list(context.list(variable)) {
            if !is_domain(word) {
                context
                    .warnings
                    .at(variable.place, variable.name, "not a domain name", word);
            } else if self.known_domains.insert(0, word) {
                self.search.push(word);
            }
        }
    }

    /// Settles metrics and next hops, and gives each link its lists.
    pub fn finish(mut self, context: &mut Context<'a>) -> Finished<'a> {
        if self.links.is_empty() {
            self.machine = (self.dns.len(), self.search.len());
        }
        self.settle_metrics(context);
        let mut links = self.arena.vector();
        let mut tails = Tails {
            addresses: self.addresses.finish(),
            routes: self.routes.finish(),
            dns: self.dns.finish(),
            search: self.search.finish(),
        };
        let (dns, search) = (
            tails.dns.first_part(self.machine.0),
            tails.search.first_part(self.machine.1),
        );
        let mut drafts = self.links.iter().peekable();
        while let Some(draft) = drafts.next() {
            let count =
                |start: usize, end: Option<usize>| end.map_or(usize::MAX, |end| end - start);
            let next = drafts.peek();
            let mut link = draft.link;
            link.addresses = tails
                .addresses
                .first_part(count(draft.addresses, next.map(|next| next.addresses)));
            let routes = tails
                .routes
                .first_part(count(draft.routes, next.map(|next| next.routes)));
            settle_next_hops(self.arena, link.addresses, routes);
            link.routes = routes;
            link.dns = tails
                .dns
                .first_part(count(draft.dns, next.map(|next| next.dns)));
            link.search = tails
                .search
                .first_part(count(draft.search, next.map(|next| next.search)));
            links.push(link);
        }
        Finished {
            links: links.finish(),
            dns,
            search,
        }
    }

    /// Default routes get metrics in their order from the usual one on,
    /// stepping over those that somebody named.
    fn settle_metrics(&mut self, context: &mut Context<'a>) {
        let mut taken = Set::new(self.arena);
        let mut automatic = self.automatic.iter().peekable();
        let mut drafts = self.links.iter().peekable();
        let mut name = None;
        for (position, route) in self.routes.iter().enumerate() {
            while let Some(draft) = drafts.next_if(|draft| draft.routes <= position) {
                name = Some(draft.link.name);
            }
            if !route.destination.is_default()
                || automatic.next_if(|other| **other == position).is_some()
            {
                continue;
            }
            if !taken.insert(route.metric, family(route.destination))
                && let Some(name) = name
            {
                let what = match route.destination.address {
                    IpAddr::V4(_) => {
                        "another default route has the same metric, which of them is used is up to the kernel"
                    }
                    IpAddr::V6(_) => {
                        "another IPv6 default route has the same metric, both are used"
                    }
                };
                context
                    .warnings
                    .general(format(self.arena, &name), what, b"");
            }
        }
        let mut next = [Route::default_metric(false), Route::default_metric(true)];
        for position in self.automatic.iter() {
            let Some(route) = self.routes.get_mut(*position) else {
                continue;
            };
            let [v6_next, v4_next] = &mut next;
            let next = match route.destination.address.is_ipv4() {
                true => v4_next,
                false => v6_next,
            };
            while !taken.insert(*next, family(route.destination)) {
                *next = next.saturating_add(1);
            }
            route.metric = *next;
        }
    }
}

fn family(destination: Prefix) -> &'static [u8] {
    if destination.address.is_ipv4() {
        b"IPv4"
    } else {
        b"IPv6"
    }
}

/// A next hop that no address and no route on the link covers is on the link
/// all the same; one that is link-local (RFC 4291 2.5.6) needs no word.
fn settle_next_hops(arena: &Arena, addresses: &[Prefix], routes: &mut [Route]) {
    if routes.is_empty() {
        return;
    }
    let networks = outermost_networks(arena, addresses, routes);
    for route in routes {
        let Some(gateway) = route.gateway else {
            continue;
        };
        let local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
        route.onlink = !local && !is_covered(networks, gateway);
    }
}

/// The networks on a link in the order of their addresses, without those that
/// lie in another one. No two of them overlap.
fn outermost_networks<'a>(
    arena: &'a Arena,
    addresses: &[Prefix],
    routes: &[Route],
) -> &'a [Prefix] {
    let mut networks = arena.vector();
    for address in addresses {
        networks.push(address.network());
    }
    for route in routes.iter().filter(|route| route.gateway.is_none()) {
        networks.push(route.destination);
    }
    outermost(arena, networks)
}

/// The same of any networks, host bits zero.
pub fn outermost<'a>(arena: &'a Arena, mut networks: Vector<'a, Prefix>) -> &'a [Prefix] {
    sort(&mut networks, |one, other| {
        (one.address, one.length) < (other.address, other.length)
    });
    let mut outermost = arena.vector::<Prefix>();
    for network in networks.iter() {
        if !is_covered(&outermost, network.address) {
            outermost.push(*network);
        }
    }
    outermost.finish()
}

/// Whether one of these networks, as [`outermost`] gives them, has the address.
pub fn is_covered(networks: &[Prefix], address: IpAddr) -> bool {
    let behind = networks.partition_point(|network| network.address <= address);
    let before = networks.get(..behind).and_then(<[Prefix]>::last);
    before.is_some_and(|network| network.covers(address))
}

struct Tails<'a> {
    addresses: &'a mut [Prefix],
    routes: &'a mut [Route],
    dns: &'a mut [IpAddr],
    search: &'a mut [&'a [u8]],
}

trait FirstPart {
    /// Splits the first `count` items off, or all there are.
    fn first_part(&mut self, count: usize) -> Self;
}

impl<T> FirstPart for &mut [T] {
    fn first_part(&mut self, count: usize) -> Self {
        let all = core::mem::take(self);
        let count = count.min(all.len());
        let (first, rest) = all.split_at_mut_checked(count).unwrap_or_default();
        *self = rest;
        first
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
            let arena = Arena::new();
            let gateway: IpAddr = gateway.parse().unwrap();
            let route = |destination, gateway| Route {
                destination,
                gateway,
                onlink: false,
                metric: 0,
            };
            let mut routes = vec![route(Prefix::everything(gateway), Some(gateway))];
            routes.extend(on_link.map(|network| route(network, None)));
            settle_next_hops(&arena, &addresses, &mut routes);
            assert_eq!(routes[0].onlink, expected, "{gateway}");
            assert!(routes[1..].iter().all(|route| !route.onlink));
        }
    }
}
