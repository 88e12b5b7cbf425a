//! Collects what a dialect says about NICs, and decides what depends on all of it:
//! metrics, next hops that no address covers, repeated resolvers.
use core::net::IpAddr;

use super::assignments::Assigned;
use super::state::Context;
use crate::base::memory::Vector;
use crate::base::set::Set;
use crate::base::sort::sort;
use crate::base::text::{Ip, format, ip, is_domain, list};
use crate::plan::{Link, LinkName, Prefix, Route};

/// The network part of a plan under construction. The lists of all links are one after
/// another in one table for each kind, so that cost grows linearly with the links.
pub struct Network {
    links: Vector<Link>,
    /// Where the lists of each link begin.
    starts: Vector<Starts>,
    addresses: Vector<Prefix>,
    routes: Vector<Route>,
    /// Positions in `routes` of the default routes without a metric of their own.
    automatic: Vector<usize>,
    dns: Vector<IpAddr>,
    search: Vector<&'static [u8]>,
    /// The addresses of each link, as its number and the address as text.
    known_addresses: Set,
    known_servers: Set,
    known_domains: Set,
}

/// Where lists begin in the tables.
#[derive(Clone, Copy)]
struct Starts {
    addresses: usize,
    routes: usize,
    dns: usize,
    search: usize,
}

/// The finished network part.
pub struct Finished {
    pub links: &'static [Link],
    pub dns: &'static [IpAddr],
    pub search: &'static [&'static [u8]],
}

impl Finished {
    /// A network that is left alone.
    pub const NONE: Self = Self {
        links: &[],
        dns: &[],
        search: &[],
    };
}

impl Network {
    pub fn new() -> Self {
        Self {
            links: Vector::new(),
            starts: Vector::new(),
            addresses: Vector::new(),
            routes: Vector::new(),
            automatic: Vector::new(),
            dns: Vector::new(),
            search: Vector::new(),
            known_addresses: Set::new(),
            known_servers: Set::new(),
            known_domains: Set::new(),
        }
    }

    /// Begins a link: what is added from now on belongs to it. What was added before
    /// the first link belongs to the machine.
    pub fn link(&mut self, name: LinkName) -> &mut Link {
        self.starts.push(Starts {
            addresses: self.addresses.len(),
            routes: self.routes.len(),
            dns: self.dns.len(),
            search: self.search.len(),
        });
        self.links.put(Link::new(name))
    }

    /// The addresses of the current link.
    pub fn addresses(&self) -> &[Prefix] {
        let start = self.starts.last().map_or(0, |starts| starts.addresses);
        self.addresses.get(start..).unwrap_or_default()
    }

    /// Adds an address to the current link.
    pub fn address(&mut self, context: &mut Context, variable: Assigned, prefix: Prefix) {
        let link = self.links.len() as u32;
        let address = format(&Ip(prefix.address));
        if self.known_addresses.insert(link, address) {
            self.addresses.push(prefix);
        } else {
            context.warn_showing(variable, "this NIC has that address already")
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
    pub fn servers(&mut self, context: &mut Context, variable: Option<Assigned>) {
        let Some(variable) = variable else {
            return;
        };
        for word in list(context.list(variable)) {
            match ip(word) {
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

    /// Decides metrics and next hops, and gives each link its lists.
    pub fn finish(mut self, context: &mut Context) -> Finished {
        self.settle_metrics(context);
        let links = self.links.finish();
        let (mut addresses, mut dns) = (&*self.addresses.finish(), &*self.dns.finish());
        let (mut routes, mut search) = (self.routes.finish(), &*self.search.finish());
        // From the last link to the first: the lists of the last one are at the end of
        // the tables.
        for (link, starts) in links.iter_mut().zip(self.starts.iter()).rev() {
            (addresses, link.addresses) = cut_at(addresses, starts.addresses);
            (dns, link.dns) = cut_at(dns, starts.dns);
            (search, link.search) = cut_at(search, starts.search);
            let (before, own) = routes
                .split_at_mut_checked(starts.routes)
                .unwrap_or_default();
            routes = before;
            settle_next_hops(link.addresses, own);
            link.routes = own;
        }
        Finished { links, dns, search }
    }

    /// Gives default routes without a metric those from the default one on, in their
    /// order. Skips metrics that other default routes have.
    fn settle_metrics(&mut self, context: &mut Context) {
        let mut taken = Set::new();
        let mut automatic = self.automatic.iter().peekable();
        let mut links = self.links.iter().zip(self.starts.iter()).peekable();
        let mut name = None;
        for (position, route) in self.routes.iter().enumerate() {
            while let Some((link, _)) = links.next_if(|(_, starts)| starts.routes <= position) {
                name = Some(link.name);
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
                context.warnings.general(format(&name), what, b"");
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
        let local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
        route.onlink = !local && !is_covered(networks, gateway);
    }
}

/// The networks on a link, sorted by address, without those that lie in another one. No
/// two of them overlap.
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

/// The same for any list of networks whose host bits are zero.
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

/// Splits a table at `start`.
fn cut_at<T>(table: &[T], start: usize) -> (&[T], &[T]) {
    table.split_at_checked(start).unwrap_or_default()
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
