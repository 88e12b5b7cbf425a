//! The known network managers, and which of them a root enables.
use super::systemd::units::{self, Unit};
use super::{Root, initd, netplan, networkd};
use crate::base::error::Error;
use crate::base::memory::Vector;

/// The managers for which this program writes files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supported {
    /// systemd-networkd.service(8)
    Networkd,
    /// NetworkManager(8)
    NetworkManager,
    /// ifup(8), as Debian and Alpine have it.
    Ifupdown,
    /// dhcpcd(8)
    Dhcpcd,
}

/// A program of the root that configures its NICs.
pub struct Manager {
    /// Its usual name.
    pub name: &'static [u8],
    /// Which of the supported ones it is. `None`: it goes by its own files alone.
    pub supported: Option<Supported>,
    /// The unit that starts it if systemd is init.
    unit: &'static [u8],
    /// The script in /etc/init.d that starts it under another init, or if systemd has
    /// no such unit.
    script: Option<&'static [u8]>,
}

impl Manager {
    /// All that are known, the supported ones first. Several may be enabled.
    pub const ALL: &[Self] = &[
        Self {
            name: networkd::NAME,
            supported: Some(Supported::Networkd),
            unit: networkd::UNIT,
            script: None,
        },
        Self {
            name: b"NetworkManager",
            supported: Some(Supported::NetworkManager),
            unit: b"NetworkManager.service",
            script: Some(b"network-manager"),
        },
        Self {
            name: b"ifupdown",
            supported: Some(Supported::Ifupdown),
            unit: b"networking.service",
            script: Some(b"networking"),
        },
        Self {
            name: b"dhcpcd",
            supported: Some(Supported::Dhcpcd),
            unit: b"dhcpcd.service",
            script: Some(b"dhcpcd"),
        },
        // connman(8)
        Self {
            name: b"ConnMan",
            supported: None,
            unit: b"connman.service",
            script: Some(b"connman"),
        },
        // The script of initscripts, on RHEL; systemd generates its unit.
        Self {
            name: b"network-scripts",
            supported: None,
            unit: b"network.service",
            script: Some(b"network"),
        },
        // wicked(8), on SUSE, where network.service is an alias of its unit or of
        // NetworkManager's.
        Self {
            name: b"wicked",
            supported: None,
            unit: b"wicked.service",
            script: None,
        },
    ];

    /// Whether it handles router advertisements itself. Otherwise the kernel does, also
    /// on NICs that dhcpcd is told to ignore.
    fn handles_router_advertisements(&self) -> bool {
        matches!(
            self.supported,
            Some(Supported::Networkd | Supported::NetworkManager)
        )
    }

    /// What makes the booted system start it: a link, preset or generator that enables
    /// its unit, or a runlevel that starts its script. `None`: it is not started.
    fn enabled(&self, root: &Root) -> Result<Option<&'static [u8]>, Error> {
        if units::is_init(root)? {
            match units::find(root, self.unit)? {
                Unit::Missing => {}
                Unit::Masked => return Ok(None),
                Unit::Present { text, .. } => {
                    let by = units::will_be_enabled(root, self.unit, text)?
                        // Our own link of an earlier run does not count.
                        .filter(|by| *by != networkd::ENABLED_FOR_THIS_BOOT);
                    return match self.supported {
                        Some(Supported::Networkd) if by.is_none() => {
                            netplan::enables_networkd(root)
                        }
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

/// A manager that the root enables.
#[derive(Clone, Copy)]
pub struct Enabled {
    /// Which one.
    pub manager: &'static Manager,
    /// What enables it: a link, a preset, a file of netplan, a runlevel.
    pub by: &'static [u8],
}

/// The managers that a root enables.
#[derive(Clone, Copy)]
pub struct Managers {
    /// In the order of [`Manager::ALL`].
    pub enabled: &'static [Enabled],
    /// Managers of which it could not be found out whether they are enabled, and why.
    pub unknown: &'static [(&'static Manager, Error)],
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
    pub fn has(&self, supported: Supported) -> bool {
        let mut enabled = self.enabled.iter();
        enabled.any(|one| one.manager.supported == Some(supported))
    }

    /// [`Self::has`], or why that could not be found out.
    pub fn find(&self, supported: Supported) -> Result<bool, Error> {
        let mut unknown = self.unknown.iter();
        match unknown.find(|(one, _)| one.supported == Some(supported)) {
            Some((_, error)) => Err(*error),
            None => Ok(self.has(supported)),
        }
    }

    /// The one that does DHCP, so that nobody else needs to: the first supported one.
    pub fn for_dhcp(&self) -> Option<&'static Manager> {
        let mut enabled = self.enabled.iter().map(|one| one.manager);
        enabled.find(|manager| manager.supported.is_some())
    }

    /// Whether one of them handles router advertisements.
    pub fn handle_router_advertisements(&self) -> bool {
        self.enabled
            .iter()
            .any(|one| one.manager.handles_router_advertisements())
    }
}
