//! The known network managers, and which of them a root enables.
use super::systemd::units::{self, Unit};
use super::{Root, initd, netplan, networkd};
use crate::base::error::Error;
use crate::base::memory::Vector;

/// A program of the root that configures its NICs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// systemd-networkd.service(8)
    Networkd,
    /// NetworkManager(8)
    NetworkManager,
    /// ifup(8), as Debian and Alpine have it.
    Ifupdown,
    /// dhcpcd(8)
    Dhcpcd,
    /// connman(8)
    Connman,
    /// The script `network` of initscripts, on RHEL; systemd generates its unit.
    NetworkScripts,
    /// wicked(8), on SUSE.
    Wicked,
}

impl Manager {
    /// All that are known. Several may be enabled.
    pub const ALL: [Self; 7] = [
        Self::Networkd,
        Self::NetworkManager,
        Self::Ifupdown,
        Self::Dhcpcd,
        Self::Connman,
        Self::NetworkScripts,
        Self::Wicked,
    ];

    /// Its usual name.
    pub fn name(self) -> &'static [u8] {
        match self {
            Self::Networkd => b"systemd-networkd",
            Self::NetworkManager => b"NetworkManager",
            Self::Ifupdown => b"ifupdown",
            Self::Dhcpcd => b"dhcpcd",
            Self::Connman => b"ConnMan",
            Self::NetworkScripts => b"network-scripts",
            Self::Wicked => b"wicked",
        }
    }

    /// The unit that starts it if systemd is init.
    fn unit(self) -> &'static [u8] {
        match self {
            Self::Networkd => networkd::UNIT,
            Self::NetworkManager => b"NetworkManager.service",
            Self::Ifupdown => b"networking.service",
            Self::Dhcpcd => b"dhcpcd.service",
            Self::Connman => b"connman.service",
            Self::NetworkScripts => b"network.service",
            Self::Wicked => b"wicked.service",
        }
    }

    /// The script in /etc/init.d that starts it under another init, or if systemd has
    /// no such unit.
    fn script(self) -> Option<&'static [u8]> {
        match self {
            Self::Networkd | Self::Wicked => None,
            Self::NetworkManager => Some(b"network-manager"),
            Self::Ifupdown => Some(b"networking"),
            Self::Dhcpcd => Some(b"dhcpcd"),
            Self::Connman => Some(b"connman"),
            Self::NetworkScripts => Some(b"network"),
        }
    }

    /// Whether it handles router advertisements itself. Otherwise the kernel does, also
    /// on NICs that dhcpcd and ConnMan are told to ignore.
    pub fn handles_router_advertisements(self) -> bool {
        matches!(self, Self::Networkd | Self::NetworkManager)
    }

    /// What makes the booted system start it: a link, preset or generator that enables
    /// its unit, or a runlevel that starts its script. `None`: it is not started.
    fn enabled(self, root: &Root) -> Result<Option<&'static [u8]>, Error> {
        if units::is_init(root)? {
            match units::find(root, self.unit())? {
                Unit::Missing => {}
                Unit::Masked => return Ok(None),
                Unit::Present { text, .. } => {
                    let by = units::will_be_enabled(root, self.unit(), text)?
                        // Our own link of an earlier run does not count.
                        .filter(|by| *by != networkd::ENABLED_FOR_THIS_BOOT);
                    return match self {
                        Self::Networkd if by.is_none() => netplan::enables_networkd(root),
                        _ => Ok(by),
                    };
                }
            }
        }
        match self.script() {
            Some(script) => initd::enabled(root, script),
            None => Ok(None),
        }
    }
}

/// A manager that the root enables.
#[derive(Clone, Copy)]
pub struct Enabled {
    /// Which one.
    pub manager: Manager,
    /// What enables it: a link, a preset, a file of netplan, a runlevel.
    pub by: &'static [u8],
}

/// The managers that a root enables.
#[derive(Clone, Copy)]
pub struct Managers {
    /// In the order of [`Manager::ALL`].
    pub enabled: &'static [Enabled],
    /// Managers of which it could not be found out whether they are enabled, and why.
    pub unknown: &'static [(Manager, Error)],
}

impl Managers {
    /// Reads which managers a root enables.
    pub fn of(root: &Root) -> Self {
        let mut enabled = Vector::new();
        let mut unknown = Vector::new();
        for manager in Manager::ALL {
            match manager.enabled(root) {
                Ok(Some(by)) => enabled.push(Enabled { manager, by }),
                Ok(None) => {}
                Err(error) => unknown.push((manager, error)),
            }
        }
        Self {
            enabled: enabled.finish(),
            unknown: unknown.finish(),
        }
    }

    /// Whether this one is enabled.
    pub fn has(&self, manager: Manager) -> bool {
        self.enabled.iter().any(|one| one.manager == manager)
    }

    /// [`Self::has`], or why that could not be found out.
    pub fn find(&self, manager: Manager) -> Result<bool, Error> {
        match self.unknown.iter().find(|(one, _)| *one == manager) {
            Some((_, error)) => Err(*error),
            None => Ok(self.has(manager)),
        }
    }

    /// Whether they do DHCP, so that nobody else needs to.
    pub fn do_dhcp(&self) -> bool {
        !self.enabled.is_empty()
    }

    /// Whether one of them handles router advertisements.
    pub fn handle_router_advertisements(&self) -> bool {
        self.enabled
            .iter()
            .any(|one| one.manager.handles_router_advertisements())
    }
}
