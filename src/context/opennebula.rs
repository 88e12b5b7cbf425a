//! OpenNebula's network variables (OpenNebula/one: src/vm/VirtualMachineContext.cc), and
//! those of its first sample scripts.
use crate::base::memory;
use core::net::IpAddr;

use super::assignments::{Assigned, Assignments, Group, Nic};
use super::network::Network;
use super::state::Context;
use super::values::{destination, is_no, is_yes, length, lowered, netmask, subnet, usable};
use super::variables::Variable::{self, *};
use crate::base::set::Set;
use crate::base::text::{Mac, as_str, ip, number, same, split, split_once, words};
use crate::plan::{Link, LinkName, Method, Prefix};

/// The variables that make a NIC exist if it has no MAC.
const SIGNS: &[Variable] = &[IP, IP6, IPV6, METHOD, IP6_METHOD];
/// The variables that give a NIC IPv6.
const ANY_IP6: &[Variable] = &[IP6, IPV6, IP6_ULA];

/// With a smaller MTU the kernel takes IPv6 off a link (RFC 8200 5; net/ipv6/addrconf.c).
const LEAST_FOR_IPV6: u32 = 1280;

const NOT_A_NUMBER: &str = "not a number";

/// Reads every NIC and the resolvers of the machine.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn network(context: &mut Context, network: &mut Network) {
    let machine = context.assignments.machine();
    network.servers(context, machine.get(DNS));
    network.domains(context, machine.get(SEARCH_DOMAIN));
    let nics = context.assignments.nics();
    let any_mac = nics.filter(is_eth).any(|nic| nic.own.named(MAC).is_some());
    let mut reader = NicReader {
        gateways: gateway_link(context),
        endpoint: endpoint(machine.get(ONEGATE_ENDPOINT)),
        any_mac,
        macs: Set::new(),
        context,
        network,
    };
    for nic in reader.context.assignments.nics() {
        reader.nic(&nic);
    }
    let NicReader {
        context, network, ..
    } = reader;
    if !context.assignments.nics().any(|nic| is_eth(&nic)) {
        first_sample(context, network);
    }
}

fn is_eth(nic: &Nic) -> bool {
    matches!(nic.name, LinkName::Eth(_))
}

/// Whether the context has a NIC `ETHn`.
pub fn has_nics(assignments: &Assignments) -> bool {
    let exists = |nic: &Nic| nic.own.named(MAC).is_some() || nic.own.first(SIGNS).is_some();
    assignments.nics().any(|nic| is_eth(&nic) && exists(&nic))
}

/// OpenNebula 1.4's sample: one address, for the first NIC
/// (share/scripts/*/context/init.sh).
fn first_sample(context: &mut Context, network: &mut Network) {
    let machine = context.assignments.machine();
    let Some(variable) = machine.get(IP_PUBLIC) else {
        return;
    };
    network.link(LinkName::Eth(0)).ipv4.method = Some(Method::Static);
    if let Some(prefix) = ipv4_prefix(context, variable, machine.get(NETMASK)) {
        network.address(context, variable, prefix);
    }
}

/// The link that GATEWAY_IFACE limits default routes to.
fn gateway_link(context: &mut Context) -> Option<LinkName> {
    let variable = context.assignments.machine().get(GATEWAY_IFACE)?;
    let digits = match variable.value.split_at_checked(3) {
        Some((kind, digits)) if same(kind, b"ETH") => digits,
        _ => variable.value,
    };
    let name = number(digits).map(LinkName::Eth);
    let known = name.filter(|name| context.assignments.nics().any(|nic| nic.name == *name));
    if known.is_none() {
        context.warn_showing(
            variable,
            "no such NIC in the context, every NIC may have its default route",
        );
    }
    known
}

/// The link-local address in the URL of ONEGATE_ENDPOINT.
fn endpoint(variable: Option<Assigned>) -> Option<IpAddr> {
    let parts = split(variable?.value, |byte| !matches!(byte, b'0'..=b'9' | b'.'));
    parts
        .filter_map(ip)
        .find(IpAddr::is_ipv4)
        .filter(|address| matches!(address, IpAddr::V4(v4) if v4.is_link_local()))
}

/// The IPv4 address in a variable, with its mask. What is wrong with them is reported.
pub fn ipv4_prefix(
    context: &mut Context,
    variable: Assigned,
    mask: Option<Assigned>,
) -> Option<Prefix> {
    const USUAL: u8 = 24;
    let (blamed, what) = match (ipv4(variable), mask) {
        (Err(what), _) => (variable, what),
        (Ok(address), None) => {
            let length = USUAL;
            return Some(Prefix { address, length });
        }
        (Ok(address), Some(mask)) => match netmask(mask.value) {
            // With /0 every address would be on this link.
            Some(length) if length > 0 => return Some(Prefix { address, length }),
            _ => (mask, "not a netmask"),
        },
    };
    context.warn_showing(blamed, what);
    None
}

/// The IPv4 address in a variable, or what is wrong with it.
fn ipv4(variable: Assigned) -> Result<IpAddr, &'static str> {
    address(variable, IpAddr::is_ipv4, "not an IPv4 address")
}

/// The IPv6 address in a variable, or what is wrong with it.
fn ipv6(variable: Assigned) -> Result<IpAddr, &'static str> {
    address(variable, IpAddr::is_ipv6, "not an IPv6 address")
}

/// The address in a variable, or what is wrong with it: `not_one`, if it has no address
/// of this family.
fn address(
    variable: Assigned,
    is_of_family: fn(&IpAddr) -> bool,
    not_one: &'static str,
) -> Result<IpAddr, &'static str> {
    match ip(variable.value).filter(is_of_family) {
        Some(address) if usable(address) => return Ok(address),
        Some(_) => return Err("not an address that a machine can have"),
        None => {}
    }
    let start = split_once(variable.value, b'/').and_then(|(start, _)| ip(start));
    Err(match variable.id {
        IP if start.is_some() => "not an IPv4 address, what follows the / belongs in ETHn_MASK",
        IP6 | IPV6 if start.is_some() => {
            "not an IPv6 address, what follows the / belongs in ETHn_IP6_PREFIX_LENGTH"
        }
        _ => not_one,
    })
}

struct NicReader<'c, 'd> {
    context: &'c mut Context<'d>,
    network: &'c mut Network,
    /// The only link that may have default routes, if one was named.
    gateways: Option<LinkName>,
    /// The address that the first static NIC gets a route to.
    endpoint: Option<IpAddr>,
    /// Whether any `ETHn` has a MAC.
    any_mac: bool,
    /// The MACs of the NICs so far.
    macs: Set,
}

/// Which device a NIC of the context is.
enum Identity {
    Known(Option<Mac>, Option<&'static [u8]>),
    /// The context does not have this NIC, or its device cannot be known.
    Absent,
}

impl NicReader<'_, '_> {
    /// Reads a NIC.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    fn nic(&mut self, nic: &Nic) {
        let own = nic.own;
        let identity = match nic.name {
            LinkName::Eth(_) => self.eth(own),
            LinkName::Pci(_) => self.pci(own),
        };
        let Identity::Known(mac, pci) = identity else {
            return self.complain_of_aliases(nic);
        };
        if let (Some(mac), Some(variable)) = (mac, own.get(MAC))
            && !self.macs.insert(0, memory::copy(&mac.0))
        {
            self.context
                .warn_showing(variable, "another NIC of the context has this MAC, too");
        }
        let v4 = self.ipv4_method(nic);
        let mut v6 = self.ipv6_method(nic);
        if let Some(variable) = own.get(METHOD)
            && v4 == Some(Method::Static)
            && !addressed(nic, &[IP])
            && !addressed(nic, ANY_IP6)
        {
            self.context
                .warn_showing(variable, "there is no address for it");
        }
        let metric = self.number(own.get(METRIC), 0..=u32::MAX, NOT_A_NUMBER);
        let may_have_default_route = self.may_have_default_route(nic);
        // A NIC that is skipped in both families is not touched at all.
        let is_skipped = (v4, v6) == (Some(Method::Skip), Some(Method::Skip));
        let mtu = self.mtu(own).filter(|_| !is_skipped);
        if let Some(variable) = own.get(MTU)
            && mtu.is_some_and(|mtu| mtu < LEAST_FOR_IPV6)
        {
            if !matches!(v6, None | Some(Method::Skip | Method::Disable)) {
                let what = "an MTU below 1280 takes IPv6 off this link";
                self.context.warn_showing(variable, what);
            }
            v6 = Some(Method::Disable);
        }
        let link = self.begin_link(nic, mtu, v4, v6);
        (link.mac, link.pci) = (mac, pci);
        let is_automatic = v4 == Some(Method::Dhcp) || link.uses_router_advertisements();
        link.no_default_route = is_automatic && !may_have_default_route;
        link.metric = metric.filter(|_| v4 == Some(Method::Dhcp));
        self.ipv4_half(nic, v4, metric);
        self.ipv6_half(nic, v6, metric);
        if let Some(variable) = own.get(ROUTES) {
            self.routes(variable, v4, v6);
        }
        self.network.servers(self.context, own.get(DNS));
        self.network.domains(self.context, own.get(SEARCH_DOMAIN))
    }

    fn complain_of_aliases(&mut self, nic: &Nic) {
        for alias in nic.aliases() {
            if let Some(variable) = alias.first(&[IP, IP6, IPV6, IP6_ULA]) {
                self.context
                    .warn_showing(variable, "alias of a NIC that the context does not have");
            }
        }
    }

    /// Begins the link of a NIC.
    fn begin_link(
        &mut self,
        nic: &Nic,
        mtu: Option<u32>,
        v4: Option<Method>,
        v6: Option<Method>,
    ) -> &mut Link {
        let vlan = match nic.name {
            LinkName::Eth(_) => None,
            LinkName::Pci(_) => self.number(
                nic.own.get(VLAN_ID),
                1..=4094,
                "not a VLAN id between 1 and 4094",
            ),
        };
        let link = self.network.link(nic.name);
        (link.ipv4.method, link.ipv6.method) = (v4, v6);
        link.mtu = mtu;
        if (v4, v6) != (Some(Method::Skip), Some(Method::Skip)) {
            link.vlan = vlan.map(|vlan| vlan as u16);
        }
        link
    }

    fn mtu(&mut self, own: Group) -> Option<u32> {
        self.number(own.get(MTU), 68..=65_535, "not an MTU between 68 and 65535")
    }

    /// Whether a NIC may have default routes.
    fn may_have_default_route(&self, nic: &Nic) -> bool {
        self.gateways.is_none_or(|only| only == nic.name)
    }

    /// Reads the IPv4 addresses of a NIC and its default route.
    fn ipv4_half(&mut self, nic: &Nic, method: Option<Method>, metric: Option<u32>) {
        self.ipv4_addresses(nic, method);
        if method != Some(Method::Static) || self.network.ipv4.addresses.is_empty() {
            return;
        }
        if self.may_have_default_route(nic)
            && let Some(variable) = nic.own.get(GATEWAY)
        {
            self.gateway(variable, ipv4(variable), metric);
        }
        if let Some(endpoint) = self.endpoint.take() {
            self.network.route(Prefix::host(endpoint), None, None);
        }
    }

    /// Reads the IPv6 addresses of a NIC and its default route.
    fn ipv6_half(&mut self, nic: &Nic, method: Option<Method>, metric: Option<u32>) {
        self.ipv6_addresses(nic, method);
        let own_metric = nic.own.first(&[IP6_METRIC, METRIC6]);
        if let Some(variable) = own_metric
            && matches!(method, Some(Method::Auto | Method::Dhcp))
        {
            let what =
                "not applied, the routes that routers advertise have the metric 2048 and more";
            self.context.warn_showing(variable, what);
        }
        if method != Some(Method::Static)
            || !self.may_have_default_route(nic)
            || self.network.ipv6.addresses.is_empty()
        {
            return;
        }
        let own_metric = self.number(own_metric, 0..=u32::MAX, NOT_A_NUMBER);
        if let Some(variable) = nic.own.first(&[IP6_GATEWAY, GATEWAY6]) {
            self.gateway(variable, ipv6(variable), own_metric.or(metric));
        }
    }

    /// Which device an `ETHn` is, and whether it exists.
    fn eth(&mut self, own: Group) -> Identity {
        if let Some(variable) = own.get(MAC) {
            return match Mac::parse(variable.value) {
                Some(mac) => Identity::Known(Some(mac), None),
                None => {
                    self.context
                        .warn_showing(variable, "not a MAC address, this NIC is left alone");
                    Identity::Absent
                }
            };
        }
        let Some(sign) = own.first(SIGNS) else {
            return Identity::Absent;
        };
        if self.any_mac && own.named(MAC).is_none() {
            let what = "of a NIC without MAC beside others that have one, it is found by its name or position";
            self.context.warn_showing(sign, what);
        }
        Identity::Known(None, None)
    }

    /// Which device a `PCIn` is, and whether it exists.
    fn pci(&mut self, own: Group) -> Identity {
        // The server writes ADDRESS for every PCI device, but MAC only for NICs.
        let Some(variable) = own.get(MAC) else {
            if let Some(sign) = own.first(SIGNS) {
                self.context
                    .warn_showing(sign, "of a PCI device without MAC, it is left alone");
            }
            return Identity::Absent;
        };
        let mac = Mac::parse(variable.value);
        if mac.is_none() {
            self.context.warn_showing(variable, "not a MAC address");
        }
        let in_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        let pci = match own.get(ADDRESS) {
            Some(variable) if variable.value.iter().all(in_address) => Some(variable.value),
            Some(variable) => {
                self.context
                    .warn_showing(variable, "not a PCI address such as 01:01.0");
                None
            }
            None => None,
        };
        if mac.is_none() && pci.is_none() {
            return Identity::Absent;
        }
        Identity::Known(mac, pci)
    }

    fn ipv4_method(&mut self, nic: &Nic) -> Option<Method> {
        let addressed = addressed(nic, &[IP]);
        let by_address = if addressed {
            Method::Static
        } else {
            Method::Skip
        };
        let Some(variable) = nic.own.get(METHOD) else {
            return addressed.then_some(by_address);
        };
        Some(match as_str(lowered(variable.value, &mut [0; 8])) {
            "static" => Method::Static,
            "dhcp" => Method::Dhcp,
            "skip" => Method::Skip,
            _ => {
                let what = match by_address {
                    Method::Static => "not an IPv4 method (static, dhcp, skip), read as static",
                    _ => "not an IPv4 method (static, dhcp, skip), read as skip",
                };
                self.context.warn_showing(variable, what);
                by_address
            }
        })
    }

    fn ipv6_method(&mut self, nic: &Nic) -> Option<Method> {
        let addressed = addressed(nic, ANY_IP6);
        let by_address = if addressed {
            Method::Static
        } else {
            Method::Skip
        };
        let Some(variable) = nic.own.get(IP6_METHOD) else {
            // METHOD also counts for IPv6 if it is an IPv6 method.
            let inherited = nic
                .own
                .get(METHOD)
                .and_then(|variable| v6_word(variable.value));
            let inherited = inherited.filter(|method| *method != Method::Static);
            return inherited.or(addressed.then_some(by_address));
        };
        if let Some(method) = v6_word(variable.value) {
            return Some(method);
        }
        let what = match by_address {
            Method::Static => {
                "not an IPv6 method (static, auto, dhcp, disable, skip), read as static"
            }
            _ => "not an IPv6 method (static, auto, dhcp, disable, skip), read as skip",
        };
        self.context.warn_showing(variable, what);
        Some(by_address)
    }

    /// Reads the IPv4 addresses of a NIC and its aliases.
    fn ipv4_addresses(&mut self, nic: &Nic, method: Option<Method>) {
        let (own, aliases) = match method {
            Some(Method::Dhcp) => (Some("not applied, the method is dhcp"), None),
            Some(Method::Skip) => (
                Some("not applied, the method is skip"),
                Some("not applied, the method of its NIC is skip"),
            ),
            _ => (None, None),
        };
        self.ipv4_address(nic.own, own);
        for alias in active(nic) {
            self.ipv4_address(alias, aliases);
        }
    }

    /// Adds the IPv4 address of a NIC or an alias. `not_applied`: why it is left out.
    fn ipv4_address(&mut self, group: Group, not_applied: Option<&'static str>) {
        let Some(variable) = group.get(IP) else {
            return;
        };
        if let Some(what) = not_applied {
            self.context.note_showing(variable, what);
        } else if let Some(prefix) = ipv4_prefix(self.context, variable, group.get(MASK)) {
            self.network.address(self.context, variable, prefix);
        }
    }

    /// Reads the IPv6 addresses of a NIC and its aliases.
    fn ipv6_addresses(&mut self, nic: &Nic, method: Option<Method>) {
        let not_applied = match method {
            Some(Method::Auto) => Some("not applied, the IPv6 method is auto"),
            Some(Method::Dhcp) => Some("not applied, the IPv6 method is dhcp"),
            Some(Method::Disable) => Some("not applied, the IPv6 method is disable"),
            Some(Method::Skip) => Some("not applied, the IPv6 method is skip"),
            Some(Method::Static) | None => None,
        };
        self.ipv6_pair(nic.own, not_applied);
        let covers_aliases = matches!(method, Some(Method::Disable | Method::Skip));
        for alias in active(nic) {
            self.ipv6_pair(alias, not_applied.filter(|_| covers_aliases));
        }
    }

    /// Adds the IPv6 address of a NIC or an alias, and its unique local one (RFC 4193).
    /// `not_applied`: why they are left out.
    fn ipv6_pair(&mut self, group: Group, not_applied: Option<&'static str>) {
        const USUAL: u8 = 64;
        if let Some(variable) = group.first(&[IP6, IPV6]) {
            match (not_applied, group.get(IP6_PREFIX_LENGTH)) {
                (Some(what), _) => self.context.note_showing(variable, what),
                (None, None) => self.ipv6_address(variable, USUAL),
                (None, Some(bits)) => match length(bits.value, 128) {
                    Some(length) if length > 0 => self.ipv6_address(variable, length),
                    _ => (self.context).warn_showing(bits, "not a prefix length between 1 and 128"),
                },
            }
        }
        if let Some(variable) = group.get(IP6_ULA) {
            match not_applied {
                Some(what) => self.context.note_showing(variable, what),
                None => self.ipv6_address(variable, USUAL),
            }
        }
    }

    fn ipv6_address(&mut self, variable: Assigned, length: u8) {
        match ipv6(variable) {
            Ok(address) => {
                let prefix = Prefix { address, length };
                self.network.address(self.context, variable, prefix);
            }
            Err(what) => self.context.warn_showing(variable, what),
        }
    }

    /// Adds a default route via `gateway`, the address in `variable`.
    fn gateway(
        &mut self,
        variable: Assigned,
        gateway: Result<IpAddr, &'static str>,
        metric: Option<u32>,
    ) {
        let what = match gateway {
            Ok(gateway) if self.network.has_address(gateway) => {
                "is this machine's own address, no default route"
            }
            Ok(gateway) => {
                let everything = Prefix::everything(gateway);
                return self.network.route(everything, Some(gateway), metric);
            }
            Err(what) => what,
        };
        self.context.warn_showing(variable, what);
    }

    /// Adds the entries of ROUTES.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    fn routes(&mut self, variable: Assigned, v4: Option<Method>, v6: Option<Method>) {
        let no_address =
            [&self.network.ipv4, &self.network.ipv6].map(|half| half.addresses.is_empty());
        // Why no route of the family of an address is applied.
        let not_applied = |address: IpAddr| {
            let (method, no_address) = match address {
                IpAddr::V4(_) => (v4, no_address[0]),
                IpAddr::V6(_) => (v6, no_address[1]),
            };
            match method {
                Some(Method::Dhcp | Method::Auto) => None,
                Some(Method::Skip | Method::Disable) => {
                    Some("not applied, the method of its NIC leaves this family alone")
                }
                // Packets would leave with an address of another NIC.
                _ => no_address.then_some("not applied, its NIC has no address of this family"),
            }
        };
        let separates = |byte| matches!(byte, b',' | b';' | b'\n');
        for entry in split(self.context.list(variable), separates).map(<[u8]>::trim_ascii) {
            if entry.is_empty() {
                continue;
            }
            let what = match parse_route(entry) {
                None => "not a route (NET/PREFIX via GATEWAY, or NET MASK GATEWAY)",
                Some(route) => match not_applied(route.gateway) {
                    Some(what) => what,
                    None => {
                        let (to, via) = (route.destination, Some(route.gateway));
                        self.network.route(to, via, route.metric);
                        if !route.has_more {
                            continue;
                        }
                        "applied without its src, mtu, proto and scope"
                    }
                },
            };
            self.context.warn_showing_part(variable, what, entry);
        }
    }

    /// The number in a variable.
    fn number(
        &mut self,
        variable: Option<Assigned>,
        range: core::ops::RangeInclusive<u32>,
        what: &'static str,
    ) -> Option<u32> {
        let variable = variable?;
        let number = number(variable.value).filter(|number| range.contains(number));
        if number.is_none() {
            self.context.warn_showing(variable, what);
        }
        number
    }
}

/// Whether a NIC or an alias of it has one of these addresses.
fn addressed(nic: &Nic, variables: &[Variable]) -> bool {
    nic.own.first(variables).is_some() || active(nic).any(|alias| alias.first(variables).is_some())
}

/// The aliases that the guest has to set up.
fn active(nic: &Nic) -> impl Iterator<Item = Group> + use<> {
    nic.aliases().filter(|alias| {
        let external = alias
            .get(EXTERNAL)
            .is_some_and(|variable| is_yes(variable.value));
        let detached = alias
            .get(DETACH)
            .is_some_and(|variable| !is_no(variable.value));
        !external && !detached
    })
}

fn v6_word(word: &[u8]) -> Option<Method> {
    match as_str(lowered(word, &mut [0; 8])) {
        "static" => Some(Method::Static),
        "auto" => Some(Method::Auto),
        "dhcp" => Some(Method::Dhcp),
        "disable" => Some(Method::Disable),
        "skip" => Some(Method::Skip),
        _ => None,
    }
}

/// An entry of ROUTES.
struct ParsedRoute {
    destination: Prefix,
    gateway: IpAddr,
    metric: Option<u32>,
    /// It has words of ip-route(8) that are not applied.
    has_more: bool,
}

/// `NET/PREFIX via GW [dev X] [metric N] [onlink]`, `NET/PREFIX via GW N`, or
/// `NET MASK GW [METRIC]`.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
fn parse_route(entry: &[u8]) -> Option<ParsedRoute> {
    let mut words = words(entry);
    let (net, second, third) = (words.next()?, words.next()?, words.next()?);
    let gateway = ip(third).filter(|gateway| usable(*gateway))?;
    let mut metric = None;
    let mut has_more = false;
    let destination = if same(second, b"via") {
        while let Some(word) = words.next() {
            match as_str(word) {
                "onlink" => {}
                // The route belongs to its NIC, whatever name that has.
                "dev" => drop(words.next()?),
                "metric" => metric = Some(number(words.next()?)?),
                "src" | "mtu" | "proto" | "scope" => {
                    words.next()?;
                    has_more = true;
                }
                _ => metric = Some(number(word).filter(|_| metric.is_none())?),
            }
        }
        destination(net, gateway)?
    } else {
        if let Some(word) = words.next() {
            metric = Some(number(word)?);
        }
        subnet(net, second)?
    };
    let same_family = destination.address.is_ipv4() == gateway.is_ipv4();
    (same_family && words.next().is_none()).then_some(ParsedRoute {
        destination,
        gateway,
        metric,
        has_more,
    })
}
