//! NetworkManager: a keyfile for each link in `/run/NetworkManager/system-connections`
//! (nm-settings-keyfile(5)), which 1.20 and later read. For a NIC with a matching
//! profile NetworkManager makes no "Wired connection" with DHCP of its own.
use core::net::IpAddr;

use super::render::{HEAD, Id, fill, is_handed_over, links};
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::{Ip, Mac, Text, format};
use crate::changeset::{Access, Changes, File};
use crate::image::ResolvedPath;
use crate::plan::bound::{BoundLink, BoundPlan};
use crate::plan::{Family, Half, Link, LinkName, Method, Plan, Prefix};

const PREFIX: &[u8] = b"/run/NetworkManager/system-connections/";

/// Its configuration for this boot. It is read after /usr/lib and before /etc, which
/// wins if it sets "enabled" (NetworkManager.conf(5)).
const SETTINGS: &[u8] = b"/run/NetworkManager/conf.d/onecontext.conf";

/// If the image configures a connectivity check, NetworkManager adds 20,000 to the
/// metric of the default route of a NIC that has not passed it yet.
const TO_KEEP_METRICS: &[u8] = b"# Made by onecontext: default routes keep their metrics.\n\
    [connectivity]\nenabled=false\n";

/// The state of each device that NetworkManager keeps for its own next start, named by
/// interface index (NetworkManager: src/core/nm-config.c).
const STATES: &[u8] = b"/run/NetworkManager/devices/";

/// Adds a keyfile for each link. NetworkManager refuses keyfiles that others may read.
pub fn render(bound: &BoundPlan, changes: &mut Changes) -> Result<(), Error> {
    let plan = bound.plan;
    let has_default_route =
        |link: &Link| link.ipv4.has_default_route() || link.ipv6.has_default_route();
    if links(bound).any(|bound_link| has_default_route(bound_link.link)) {
        changes.run_file(SETTINGS, TO_KEEP_METRICS)?;
    }
    for bound_link in links(bound) {
        let link = bound_link.link;
        let Some(matched_by) = matched_by(*bound_link) else {
            changes.note(&[
                b"NetworkManager: no profile for ",
                format(&link.name),
                b": it has no MAC, and no device was found for it",
            ]);
            continue;
        };
        let id = format(&Id(link.name));
        let path = memory::concat(&[PREFIX, id, b".nmconnection"]);
        let uuid = uuid(link);
        let mut text = Text::new();
        write(&mut text, plan, link, matched_by, uuid);
        let file = File {
            access: Access::ours(0o600),
            ..File::public(text.finish())
        };
        changes.file(ResolvedPath::new(path)?, file);
        let Some(index) = bound_link.index.filter(|_| link.has_address()) else {
            continue;
        };
        // For a NIC that is set up NetworkManager makes a connection from what it finds
        // there, unless a profile has the same values, the order of addresses included
        // (src/core/nm-manager.c, get_existing_connection). Activating the profile anew
        // would remove the addresses for a moment. But a profile that the state file
        // names as active before a restart is taken as it is.
        let path = memory::concat(&[STATES, format(&index)]);
        let mut text = Text::new();
        fill!(
            &mut text,
            "[device]\nmanaged=true\nconnection-uuid=@\n",
            uuid
        );
        changes.run_file(path, text.finish())?;
    }
    Ok(())
}

/// NetworkManager's method by which a link gets addresses of one family.
fn method(link: &Link, family: Family) -> &'static str {
    let half = link.half(family);
    match (family, half.method) {
        (_, Some(Method::Dhcp | Method::Auto)) => "auto",
        _ if !half.addresses.is_empty() => "manual",
        (Family::V4, _) | (_, Some(Method::Disable)) => "disabled",
        (_, Some(Method::Static)) => "link-local",
        // With "ignore" NetworkManager leaves IPv6 to the kernel.
        _ => "ignore",
    }
}

/// Whether a profile may have settings besides the method.
fn is_set_up(link: &Link, family: Family) -> bool {
    matches!(method(link, family), "auto" | "manual")
}

/// A UUID that is the same at every boot: version 8 of RFC 9562 (vendor-specific), made
/// of the letters "onecontext" and the MAC or, without one, the number.
fn uuid(link: &Link) -> &'static [u8] {
    let node = link.mac.unwrap_or_else(|| number(link.name));
    let mut uuid = Vector::new();
    uuid.extend(b"6f6e6563-6f6e-8465-b874-");
    for byte in format(&node).split(|byte| *byte == b':') {
        uuid.extend(byte);
    }
    uuid.finish()
}

fn write(text: &mut Text, plan: &Plan, link: &Link, matched_by: MatchedBy, uuid: &[u8]) {
    // The priority is higher than that of other profiles for this NIC, usually 0.
    fill!(text, HEAD);
    fill!(
        text,
        "[connection]\nid=@\nuuid=@\n\
         type=ethernet\nautoconnect-priority=900\n",
        format(&Id(link.name)),
        uuid
    );
    match matched_by {
        MatchedBy::Mac(mac) => fill!(text, "\n[ethernet]\nmac-address=@\n", format(&mac)),
        MatchedBy::Device(device) => fill!(text, "interface-name=@\n\n[ethernet]\n", device),
    }
    if let Some(mtu) = link.mtu {
        fill!(text, "mtu=@\n", format(&mtu));
    }
    settings(text, plan, link, Family::V4);
    settings(text, plan, link, Family::V6);
    fill!(
        text,
        "\n[user]\norg.freedesktop.NetworkManager.origin=onecontext\n"
    );
}

/// `[ipv4]` or `[ipv6]`
fn settings(text: &mut Text, plan: &Plan, link: &Link, family: Family) {
    // The link-local address must be the one that the kernel makes, or there would be
    // two.
    match family {
        Family::V4 => fill!(text, "\n[ipv4]\n"),
        Family::V6 => fill!(text, "\n[ipv6]\naddr-gen-mode=eui64\n"),
    }
    let method = method(link, family);
    fill!(text, "method=@\n", method.as_bytes());
    if !is_set_up(link, family) {
        return;
    }
    let metric = match (family, method == "manual") {
        // The kernel's own metric for the network of an address.
        (Family::V4, true) => Some(0),
        (Family::V6, true) => Some(256),
        (Family::V4, false) => link.metric,
        (Family::V6, false) => Some(link.router_metric()),
    };
    if let Some(metric) = metric {
        fill!(text, "route-metric=@\n", format(&metric));
    }
    let Half {
        addresses, routes, ..
    } = link.half(family);
    let mut number = 0u32;
    let mut add = |address: &Prefix| {
        number += 1;
        let (number, address) = (format(&number), format(address));
        fill!(text, "address@=@\n", number, address);
    };
    // In IPv6 the kernel prefers the address that came last. If the order differs from
    // the kernel's, NetworkManager removes the addresses and adds them again.
    match family {
        Family::V4 => addresses.iter().for_each(&mut add),
        Family::V6 => addresses.iter().rev().for_each(&mut add),
    }
    for (route, number) in routes.iter().zip(1u32..) {
        let number = format(&number);
        let to = format(&route.destination);
        let gateway = match (route.gateway, family) {
            (Some(gateway), _) => format(&Ip(gateway)),
            (None, Family::V4) => b"0.0.0.0",
            (None, Family::V6) => b"::",
        };
        let metric = format(&route.metric);
        fill!(text, "route@=@,@,@\n", number, to, gateway, metric);
        if route.onlink {
            fill!(text, "route@_options=onlink=true\n", number);
        }
    }
    servers(text, plan, link, family);
}

/// The name servers and search domains of a link. The first link also gets those of the
/// machine, and of the links that cannot have any.
fn servers(text: &mut Text, plan: &Plan, link: &Link, family: Family) {
    let is_set_up = |link: &Link, family| is_handed_over(link) && is_set_up(link, family);
    let first = plan.links.iter().find(|link| is_set_up(link, family));
    let is_first = first.is_some_and(|first| first.name == link.name);
    let mut list = Vector::<u8>::new();
    let mut add = |servers: &[IpAddr]| {
        for server in servers
            .iter()
            .filter(|server| Family::of(**server) == family)
        {
            fill!(&mut list, "@;", format(&Ip(*server)));
        }
    };
    if is_first {
        add(plan.dns);
        for other in plan.links.iter().filter(|other| !is_set_up(other, family)) {
            add(other.dns);
        }
    }
    add(link.dns);
    if !list.is_empty() {
        fill!(text, "dns=@\n", &list);
    }
    // Domains have no family: they go to the first family that the link has.
    if family == Family::V6 && is_set_up(link, Family::V4) {
        return;
    }
    list.clear();
    let common = if is_first { plan.search } else { &[] };
    for domain in common.iter().chain(link.search) {
        fill!(&mut list, "@;", domain);
    }
    if !list.is_empty() {
        fill!(text, "dns-search=@\n", &list);
    }
}

/// How a profile names its NIC.
enum MatchedBy {
    Mac(Mac),
    Device(&'static [u8]),
}

/// NetworkManager compares permanent MACs, but a PCI link may have been given another
/// one. `None`: neither MAC nor device is known, and a profile without either matches
/// every NIC.
fn matched_by(bound_link: BoundLink) -> Option<MatchedBy> {
    let BoundLink { link, device, .. } = bound_link;
    let is_pci = matches!(link.name, LinkName::Pci(_));
    match (link.mac, device) {
        (Some(mac), None) => Some(MatchedBy::Mac(mac)),
        (Some(mac), _) if !is_pci => Some(MatchedBy::Mac(mac)),
        (_, device) => device.map(MatchedBy::Device),
    }
}

/// The replacement for the MAC of a link that has none.
fn number(name: LinkName) -> Mac {
    let (kind, number) = match name {
        LinkName::Eth(number) => (0, number),
        LinkName::Pci(number) => (1, number),
    };
    let [a, b, c, d] = number.to_be_bytes();
    Mac([kind, 0, a, b, c, d])
}
