//! NetworkManager: a keyfile for each link in `/run/NetworkManager/system-connections`
//! (nm-settings-keyfile(5)), which 1.20 and later read. For a NIC with a matching
//! profile NetworkManager makes no "Wired connection" with DHCP of its own.
use core::net::IpAddr;

use super::names::name_of;
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::template::fill;
use crate::base::text::{Ip, Mac, Text, format};
use crate::changeset::{Access, Changes, File, HEAD};
use crate::image::ResolvedPath;
use crate::plan::bound::{BoundLink, BoundPlan};
use crate::plan::{self, Family, Link, LinkName, Plan};

const PREFIX: &[u8] = b"/run/NetworkManager/system-connections/";

/// Its configuration for this boot. It is read after /usr/lib and before /etc, which
/// wins if it sets the same; of several in /run the last by name wins
/// (NetworkManager.conf(5)).
const SETTINGS: &[u8] = b"/run/NetworkManager/conf.d/zz-onecontext.conf";

/// If the image configures a connectivity check, NetworkManager adds 20,000 to the
/// metric of the default route of a NIC that has not passed it yet.
const TO_KEEP_METRICS: &str = "[connectivity]\nenabled=false\n";

/// The state of each device that NetworkManager keeps for its own next start, named by
/// interface index (NetworkManager: src/core/nm-config.c).
const STATES: &[u8] = b"/run/NetworkManager/devices/";

/// Adds a keyfile for each link, and a state file for each whose device is known.
///
/// If no other manager is enabled (`is_alone`), it is told to manage the NICs whatever its
/// own settings say: the state file outweighs `managed=` of `[device]` sections and udev's
/// rules, and an exception outweighs what `unmanaged-devices=` names. Only
/// `unmanaged-devices=` in /etc, which is read later, outweighs that.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn render(bound: &BoundPlan, is_alone: bool, changes: &mut Changes) -> Result<(), Error> {
    let mut settings = Text::new();
    let has_default_route =
        |link: &Link| link.ipv4.has_default_route() || link.ipv6.has_default_route();
    if (bound.managed()).any(|bound_link| has_default_route(bound_link.link)) {
        fill!(&mut settings, TO_KEEP_METRICS);
    }
    let mut exceptions = Text::new();
    for bound_link in bound.managed() {
        let link = bound_link.link;
        let Some(matched_by) = matched_by(*bound_link) else {
            changes.note(&[
                b"NetworkManager: no profile for ",
                format(&link.name),
                b": it has no MAC and no device, or is a port",
            ]);
            continue;
        };
        add_profile(bound.plan, link, matched_by, changes)?;
        if let Some(device) = bound_link.device
            && bound.is_applied
        {
            fill!(&mut exceptions, "except:interface-name:=@;", &device.name);
            add_state(link, device.index, is_alone, changes)?;
        }
    }
    if is_alone && !exceptions.is_empty() {
        // A list of exceptions alone would stand for all other devices, so it has a name
        // that none has.
        fill!(
            &mut settings,
            "[keyfile]\nunmanaged-devices+=interface-name:=-;@\n",
            &exceptions
        );
    }
    if !settings.is_empty() {
        changes.run_file(SETTINGS, memory::concat(&[HEAD.as_bytes(), &settings]))?;
    }
    Ok(())
}

/// NetworkManager refuses keyfiles that others may read.
fn add_profile(
    plan: &Plan,
    link: &Link,
    matched_by: MatchedBy,
    changes: &mut Changes,
) -> Result<(), Error> {
    let path = memory::concat(&[PREFIX, name_of(link.name), b".nmconnection"]);
    let mut text = Text::new();
    write(&mut text, plan, link, matched_by);
    let file = File {
        access: Access::ours(0o600),
        ..File::public(text.finish())
    };
    changes.file(ResolvedPath::new(path)?, file);
    Ok(())
}

/// For a NIC that is set up NetworkManager makes a connection from what it finds there,
/// unless a profile has the same values, the order of addresses included
/// (src/core/nm-manager.c, get_existing_connection). Activating the profile anew would
/// remove the addresses for a moment. But a profile that the state file names as active
/// before a restart is taken as it is.
fn add_state(link: &Link, index: u32, is_alone: bool, changes: &mut Changes) -> Result<(), Error> {
    let path = memory::concat(&[STATES, format(&index)]);
    let mut text = Text::new();
    fill!(&mut text, HEAD);
    fill!(&mut text, "[device]\n");
    if is_alone {
        fill!(&mut text, "managed=true\n");
    }
    fill!(&mut text, "connection-uuid=@\n", uuid(link));
    changes.run_file(path, text.finish())
}

/// NetworkManager's method by which a link gets addresses of one family.
#[derive(Clone, Copy)]
enum Method {
    /// By DHCP or router advertisements.
    Auto,
    /// By the addresses of the plan.
    Manual,
    /// Not at all, in this way. A profile may have no other settings then.
    Without(&'static str),
}

impl Method {
    fn of(link: &Link, family: Family) -> Self {
        let half = link.half(family);
        match (family, half.method) {
            (_, Some(plan::Method::Dhcp | plan::Method::Auto)) => Self::Auto,
            _ if !half.addresses.is_empty() => Self::Manual,
            (Family::V4, _) | (_, Some(plan::Method::Disable)) => Self::Without("disabled"),
            (_, Some(plan::Method::Static)) => Self::Without("link-local"),
            // NetworkManager leaves IPv6 to the kernel.
            _ => Self::Without("ignore"),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Manual => "manual",
            Self::Without(name) => name,
        }
    }

    /// Whether a profile has settings of this family.
    fn is_set_up(link: &Link, family: Family) -> bool {
        !matches!(Self::of(link, family), Self::Without(_))
    }
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

fn write(text: &mut Text, plan: &Plan, link: &Link, matched_by: MatchedBy) {
    // The highest priority there is (nm-settings-nmcli(5)). Of profiles with the same one
    // NetworkManager takes the one that was used last.
    fill!(text, HEAD);
    fill!(
        text,
        "[connection]\nid=@\nuuid=@\n\
         type=ethernet\nautoconnect-priority=999\n",
        name_of(link.name),
        uuid(link)
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
    let method = Method::of(link, family);
    fill!(text, "method=@\n", method.name().as_bytes());
    let metric = match (method, family) {
        // The kernel's own metric for the network of an address.
        (Method::Manual, Family::V4) => 0,
        (Method::Manual, Family::V6) => 256,
        (Method::Auto, Family::V4) => link.dhcp_metric(),
        (Method::Auto, Family::V6) => link.router_metric(),
        (Method::Without(_), _) => return,
    };
    fill!(text, "route-metric=@\n", format(&metric));
    if link.no_default_route {
        fill!(text, "never-default=true\n");
    }
    addresses(text, link, family);
    routes(text, link, family);
    servers(text, plan, link, family);
}

/// In IPv6 the kernel prefers the address that came last. If the order differs from the
/// kernel's, NetworkManager removes the addresses and adds them again.
fn addresses(text: &mut Text, link: &Link, family: Family) {
    let mut addresses = link.half(family).addresses.iter();
    for number in 1u32.. {
        let next = match family {
            Family::V4 => addresses.next(),
            Family::V6 => addresses.next_back(),
        };
        let Some(address) = next else {
            return;
        };
        fill!(text, "address@=@\n", format(&number), format(address));
    }
}

fn routes(text: &mut Text, link: &Link, family: Family) {
    for (route, number) in link.half(family).routes.iter().zip(1u32..) {
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
}

/// The name servers and search domains of a link. The first link also gets those of the
/// machine, and of the links that cannot have any.
fn servers(text: &mut Text, plan: &Plan, link: &Link, family: Family) {
    let can_have_some = |link: &&Link| link.is_managed() && Method::is_set_up(link, family);
    let first = plan.links.iter().find(can_have_some);
    let is_first = first.is_some_and(|first| first.name == link.name);
    let mut list = Vector::<u8>::new();
    let mut add = |servers: &[IpAddr]| {
        let servers = servers.iter();
        for server in servers.filter(|server| Family::of(**server) == family) {
            fill!(&mut list, "@;", format(&Ip(*server)));
        }
    };
    if is_first {
        add(plan.dns);
        for other in plan.links.iter().filter(|other| !can_have_some(other)) {
            add(other.dns);
        }
    }
    add(link.dns);
    if !list.is_empty() {
        fill!(text, "dns=@\n", &list);
    }
    // Domains have no family: they go to the first family that the link has.
    if family == Family::V6 && Method::is_set_up(link, Family::V4) {
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
    let (link, device) = (bound_link.link, bound_link.device_name());
    if bound_link.port.is_some() {
        return None;
    }
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
