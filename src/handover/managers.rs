//! The network managers that can be told, and which of them a root enables.
use ufmt::{Formatter, uDisplay, uWrite};

use super::{Decide, deny, ifupdown, netplan, network_manager, networkd, sysconfig};
use crate::base::error::Error;
use crate::base::text::format;
use crate::changeset::Changes;
use crate::image::systemd::units;
use crate::image::{Root, initd};
use crate::plan::{Ipv4Method, Ipv6Method, Link, LinkName, Plan, Prefix};

/// Says what of a root enables something, if anything does.
type Asks = for<'a> fn(&Root<'a>) -> Result<Option<&'a [u8]>, Error>;

/// A program of the root that configures its NICs.
pub struct Manager {
    /// As people know it.
    pub name: &'static [u8],
    /// What starts it where systemd is init.
    unit: &'static [u8],
    /// What starts it elsewhere, and where there is no such unit.
    script: Option<&'static [u8]>,
    /// Whether what routers advertise is its own work; if not, the kernel's.
    handles_router_advertisements: bool,
    /// What else than a link may enable that.
    enabled_by: Option<Asks>,
    /// What it is told.
    pub decide: Decide,
}

/// All that are known. Several may be enabled; each then gets its own files.
pub const ALL: [&Manager; 7] = [
    &NETWORKD,
    &NETWORK_MANAGER,
    &IFUPDOWN,
    &DHCPCD,
    &CONNMAN,
    &NETWORK_SCRIPTS,
    &WICKED,
];

/// systemd-networkd.service(8)
pub const NETWORKD: Manager = Manager {
    name: b"systemd-networkd",
    unit: b"systemd-networkd.service",
    script: None,
    handles_router_advertisements: true,
    enabled_by: Some(netplan::enables_networkd),
    decide: networkd::decide,
};

/// NetworkManager(8)
pub const NETWORK_MANAGER: Manager = Manager {
    name: b"NetworkManager",
    unit: b"NetworkManager.service",
    script: Some(b"network-manager"),
    handles_router_advertisements: true,
    enabled_by: None,
    decide: network_manager::decide,
};

/// ifup(8), as Debian and Alpine have it.
pub const IFUPDOWN: Manager = Manager {
    name: b"ifupdown",
    unit: b"networking.service",
    script: Some(b"networking"),
    handles_router_advertisements: false,
    enabled_by: None,
    decide: ifupdown::decide,
};

/// dhcpcd(8). On the NICs that it is denied the kernel hears the routers.
pub const DHCPCD: Manager = Manager {
    name: b"dhcpcd",
    unit: b"dhcpcd.service",
    script: Some(b"dhcpcd"),
    handles_router_advertisements: false,
    enabled_by: None,
    decide: deny::dhcpcd,
};

/// connman(8), like dhcpcd.
pub const CONNMAN: Manager = Manager {
    name: b"ConnMan",
    unit: b"connman.service",
    script: Some(b"connman"),
    handles_router_advertisements: false,
    enabled_by: None,
    decide: deny::connman,
};

/// The script `network` of initscripts, on RHEL; systemd makes its unit.
pub const NETWORK_SCRIPTS: Manager = Manager {
    name: b"network-scripts",
    unit: b"network.service",
    script: Some(b"network"),
    handles_router_advertisements: false,
    enabled_by: None,
    decide: sysconfig::network_scripts,
};

/// wicked(8), on SUSE.
pub const WICKED: Manager = Manager {
    name: b"wicked",
    unit: b"wicked.service",
    script: None,
    handles_router_advertisements: false,
    enabled_by: None,
    decide: sysconfig::wicked,
};

impl Manager {
    /// What will make the booted system start it: its unit is there, not
    /// masked, and it is enabled one way or the other; or its script is, and a
    /// runlevel starts it.
    fn enabled<'a>(&self, root: &Root<'a>, systemd: bool) -> Result<Option<&'a [u8]>, Error> {
        if systemd {
            match units::find(root, self.unit)? {
                units::Unit::Missing => {}
                units::Unit::Masked => return Ok(None),
                units::Unit::FileContent { text, .. } => {
                    let by = units::will_be_enabled(root, self.unit, text)?;
                    return match self.enabled_by {
                        Some(ask) if by.is_none() => ask(root),
                        _ => Ok(by),
                    };
                }
            }
        }
        match self.script {
            Some(script) => initd::enabled(root, script),
            None => Ok(None),
        }
    }
}

/// The managers that a root enables.
pub struct Managers<'a> {
    list: &'a [Enabled<'a>],
    /// Of which that could not be found out, and the first reason.
    pub unknown: Option<(&'a [u8], Error)>,
}

/// One of them, and by what.
type Enabled<'a> = (&'static Manager, &'a [u8]);

impl<'a> Managers<'a> {
    /// Those of this root.
    pub fn of(root: &Root<'a>) -> Self {
        let mut list = root.arena().vector();
        let mut unknown = root.arena().vector::<u8>();
        let mut first = None;
        for manager in ALL {
            let by = units::is_init(root).and_then(|systemd| manager.enabled(root, systemd));
            match by {
                Ok(Some(by)) => list.push((manager, by)),
                Ok(None) => {}
                Err(reason) => {
                    if !unknown.is_empty() {
                        unknown.extend(b", ");
                    }
                    unknown.extend(manager.name);
                    first = first.or(Some(reason));
                }
            }
        }
        Self {
            list: list.finish(),
            unknown: first.map(|reason| (&*unknown.finish(), reason)),
        }
    }

    /// All, in the order of the table.
    pub fn list(&self) -> &'a [Enabled<'a>] {
        self.list
    }

    fn are(&self, is: fn(&Manager) -> bool) -> bool {
        self.list.iter().any(|(manager, _)| is(manager))
    }

    /// Whether this one is among them.
    pub fn has(&self, wanted: &Manager) -> bool {
        let mut list = self.list.iter();
        list.any(|(manager, _)| manager.name == wanted.name)
    }

    /// Whether they do DHCP, so that we need not.
    pub fn do_dhcp(&self) -> bool {
        self.are(|_| true)
    }

    /// Whether they hear what routers advertise, so that we need not.
    pub fn handle_router_advertisements(&self) -> bool {
        self.are(|manager| manager.handles_router_advertisements)
    }
}

/// The links that managers are told of, in the plan's order.
pub fn links<'a>(plan: &Plan<'a>) -> impl Iterator<Item = &'a Link<'a>> {
    plan.links.iter().filter(|link| is_told(link))
}

/// Where the context says to skip a NIC, it stays with the root's own
/// configuration. A NIC that it names without saying more is told of, so that
/// nobody waits for DHCP on it. The addresses of a VLAN are not its parent's.
pub fn is_told(link: &Link) -> bool {
    let is_skipped = link.ipv4 == Some(Ipv4Method::Skip) || link.ipv6 == Some(Ipv6Method::Skip);
    let is_said = matches!(link.ipv4, Some(Ipv4Method::Static | Ipv4Method::Dhcp))
        || !matches!(link.ipv6, None | Some(Ipv6Method::Skip));
    link.vlan.is_none() && (is_said || !is_skipped)
}

/// The kernel's name of a link's device, for what knows NICs by nothing else.
pub fn device<'p>(
    link: &Link<'p>,
    manager: &[u8],
    root: &Root,
    changes: &mut Changes,
) -> Option<&'p [u8]> {
    if link.device.is_none() {
        changes.note(&[
            manager,
            b" goes by names, and no device was found for ",
            format(root.arena(), &link.name),
        ]);
    }
    link.device
}

/// Whether a prefix is of IPv4.
pub fn is_v4(prefix: &Prefix) -> bool {
    prefix.address.is_ipv4()
}

/// What our files of a link are called: `onecontext-eth0`.
pub struct Id(pub LinkName);

impl uDisplay for Id {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let (kind, number) = match self.0 {
            LinkName::Eth(number) => ("onecontext-eth", number),
            LinkName::Pci(number) => ("onecontext-pci", number),
        };
        f.write_str(kind)?;
        number.fmt(f)
    }
}
