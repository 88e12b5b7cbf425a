//! systemd-networkd: a file for each link in `/run/systemd/network`
//! (systemd.network(5)). Of all files that match a NIC the first by name counts,
//! whatever its directory; `00-` comes before the files of distributions, netplan and
//! cloud-init. Another prefix comes before an image's own file that is earlier.

use core::net::IpAddr;

use super::names::name_of;
use crate::base::error::Error;
use crate::base::memory;
use crate::base::set::Set;
use crate::base::text::template::fill;
use crate::base::text::{Ip, Text, format};
use crate::changeset::{Changes, Done, HEAD};
use crate::plan::bound::{BoundLink, BoundPlan};
use crate::plan::{Family, Link, Method, Prefix, Route};

/// What our names begin with: the first of these that the image's files come after, else
/// a byte that no file begins with. A file of that very name, such as a link to
/// /dev/null, is one that comes before.
const PREFIXES: [&[u8]; 2] = [b"00-", b"!"];
/// The link that enables it for one boot.
const ENABLED_FOR_THIS_BOOT: &[u8] =
    b"/run/systemd/system/multi-user.target.wants/systemd-networkd.service";

/// Adds a file for each link, with the same as `kernel` sets on it, so that networkd
/// finds everything done (tried with 252): its routes have the protocol "static" and,
/// without Metric=, the default metric of the plan.
pub fn render(bound: &BoundPlan, first: Option<&[u8]>, changes: &mut Changes) -> Result<(), Error> {
    let prefix = prefix(first);
    let is_shared = is_shared(bound);
    for bound_link in bound.managed() {
        let link = bound_link.link;
        // What the kernel has already is kept, without a gap.
        let mut text = begin(bound_link, b"static", is_shared);
        if link.ipv4.uses_dhcp() {
            dhcp_section(&mut text, link);
        }
        end(text, link, prefix, changes)?;
        if let Some(port) = bound_link.port {
            let name = memory::concat(&[name_of(link.name), b"-port"]);
            leave_alone(&port.name, prefix, name, changes)?;
        }
    }
    Ok(())
}

/// The start of the paths of our files.
fn prefix(first: Option<&[u8]>) -> &'static [u8] {
    // After the last of our names.
    let is_first = |prefix: &&[u8]| {
        let ours = memory::concat(&[prefix, b"onecontext-v"]);
        first.is_none_or(|first| &*ours < first)
    };
    let prefix = PREFIXES.into_iter().find(is_first);
    memory::concat(&[b"/run/systemd/network/", prefix.unwrap_or(b"\x01")])
}

/// Has networkd leave the devices of this name alone.
fn leave_alone(
    device: &[u8],
    prefix: &[u8],
    name: &[u8],
    changes: &mut Changes,
) -> Result<(), Error> {
    let mut text = Text::new();
    fill!(&mut text, HEAD);
    fill!(
        &mut text,
        "[Match]\nName=@\n\n[Link]\nUnmanaged=yes\n",
        device
    );
    let path = memory::concat(&[prefix, name, b".network"]);
    changes.run_file(path, text.finish())
}

/// The same if networkd is enabled by this program, for this boot and only for DHCP:
/// links `unit`, adds a file for each link that uses DHCP, and one that leaves all
/// others alone. The links have a lease already, and networkd should get the same one:
/// nothing is dropped before the server has confirmed it.
pub fn render_for_dhcp(
    bound: &BoundPlan,
    first: Option<&[u8]>,
    unit: &'static [u8],
    changes: &mut Changes,
) -> Result<(), Error> {
    let prefix = prefix(first);
    let done = Done::There(b"systemd-networkd is not enabled in this image: enabled for this boot");
    changes.run_symlink(ENABLED_FOR_THIS_BOOT, unit, done)?;
    for bound_link in bound.managed().filter(|one| one.link.uses_dhcp()) {
        let link = bound_link.link;
        // What came by DHCP is kept too.
        let mut text = begin(bound_link, b"yes", false);
        dhcp_section(&mut text, link);
        fill!(&mut text, "ClientIdentifier=mac\nUseDomains=yes\n");
        end(text, link, prefix, changes)?;
    }
    // Sorted after all of ours, and before any other file.
    leave_alone(b"*", prefix, b"onecontext-unmanaged", changes)
}

/// A file up to its routes, with a value of KeepConfiguration=.
fn begin(bound_link: &BoundLink, kept: &[u8], is_shared: bool) -> Text {
    let link = bound_link.link;
    let mut text = Text::new();
    match_section(&mut text, bound_link);
    link_section(&mut text, link);
    network_section(&mut text, link, kept);
    for route in link.routes() {
        route_section(&mut text, route, is_shared);
    }
    text
}

/// Ends a file and adds it. Everybody may read it: networkd does not run as root.
fn end(mut text: Text, link: &Link, prefix: &[u8], changes: &mut Changes) -> Result<(), Error> {
    if !link.ignores_router_advertisements() {
        accept_ra_section(&mut text, link);
    }
    let path = memory::concat(&[prefix, name_of(link.name), b".network"]);
    changes.run_file(path, text.finish())
}

/// Whether two links have an address in one IPv6 network. networkd 257 (not 252 and not
/// 262) then has the route to that network on one of the links only. On the other it
/// waits forever until a gateway there can be reached, unless the gateway is marked as
/// on-link; systemd-networkd-wait-online waits with it. The routes in the kernel stay
/// as they are.
fn is_shared(bound: &BoundPlan) -> bool {
    let mut seen = Set::new();
    let mut is_of_another = |number: u32, address: &Prefix| {
        let network = format(&address.network());
        // A network counts once for each link.
        seen.insert(number, network) && !seen.insert(0, network)
    };
    bound.managed().zip(1u32..).any(|(bound_link, number)| {
        let mut addresses = bound_link.link.ipv6.addresses.iter();
        addresses.any(|address| is_of_another(number, address))
    })
}

fn match_section(text: &mut Text, bound_link: &BoundLink) {
    fill!(text, HEAD);
    let mac = bound_link.link.mac.filter(|_| bound_link.port.is_none());
    match (mac, bound_link.device_name()) {
        // VLANs and bridges have the MAC of a NIC below them. Only NICs have no kind
        // (systemd: network/80-ethernet.network.example).
        (Some(mac), _) => fill!(
            text,
            "[Match]\nMACAddress=@\nType=ether\nKind=!*\n",
            format(&mac)
        ),
        // "!*" matches nothing.
        (None, device) => fill!(text, "[Match]\nName=@\n", device.unwrap_or(b"!*")),
    }
}

fn link_section(text: &mut Text, link: &Link) {
    fill!(text, "\n[Link]\n");
    if let Some(mtu) = link.mtu {
        fill!(text, "MTUBytes=@\n", format(&mtu));
    }
    let waits = link.ipv4.uses_dhcp() || link.uses_router_advertisements();
    if !waits && !link.has_address() {
        // Otherwise systemd-networkd-wait-online.service(8) would wait two minutes.
        fill!(text, "RequiredForOnline=no\n");
    }
}

fn network_section(text: &mut Text, link: &Link, kept: &[u8]) {
    let by_dhcp: &[u8] = match (link.ipv4.uses_dhcp(), link.ipv6.uses_dhcp()) {
        (true, true) => b"yes",
        (true, false) => b"ipv4",
        (false, true) => b"ipv6",
        (false, false) => b"no",
    };
    let by_router: &[u8] = match link.ipv6.method {
        Some(Method::Static) => b"IPv6AcceptRA=no\n",
        Some(Method::Disable) => b"IPv6AcceptRA=no\nLinkLocalAddressing=no\n",
        Some(Method::Auto | Method::Dhcp) => b"IPv6AcceptRA=yes\n",
        None | Some(Method::Skip) => b"",
    };
    fill!(
        text,
        "\n[Network]\nKeepConfiguration=@\nDHCP=@\n@",
        kept,
        by_dhcp,
        by_router
    );
    for address in link.addresses() {
        fill!(text, "Address=@\n", format(address));
    }
    for server in link.dns {
        fill!(text, "DNS=@\n", format(&Ip(*server)));
    }
    for domain in link.search {
        fill!(text, "Domains=@\n", domain);
    }
}

fn route_section(text: &mut Text, route: &Route, is_shared: bool) {
    let family = route.destination.family();
    let to = format(&route.destination);
    fill!(text, "\n[Route]\nDestination=@\n", to);
    match route.gateway {
        Some(gateway) => fill!(text, "Gateway=@\n", format(&Ip(gateway))),
        None if family == Family::V4 => fill!(text, "Scope=link\n"),
        None => {}
    }
    let onlink = match route.gateway {
        Some(IpAddr::V6(gateway)) if is_shared => !gateway.is_unicast_link_local(),
        _ => route.onlink,
    };
    if onlink {
        fill!(text, "GatewayOnLink=yes\n");
    }
    if route.metric != family.default_metric() {
        fill!(text, "Metric=@\n", format(&route.metric));
    }
}

fn dhcp_section(text: &mut Text, link: &Link) {
    fill!(text, "\n[DHCPv4]\n");
    default_route(text, link, link.dhcp_metric());
}

fn accept_ra_section(text: &mut Text, link: &Link) {
    fill!(text, "\n[IPv6AcceptRA]\n");
    default_route(text, link, link.router_metric());
    if link.ipv6.uses_dhcp() {
        // Also if the router does not ask for it.
        fill!(text, "DHCPv6Client=always\n");
    }
}

/// The default route that comes by DHCP or from a router.
fn default_route(text: &mut Text, link: &Link, metric: u32) {
    fill!(text, "RouteMetric=@\n", format(&metric));
    if link.no_default_route {
        fill!(text, "UseGateway=no\n");
    }
}
