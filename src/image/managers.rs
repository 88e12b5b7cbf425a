//! The known network managers, which of them a root enables, and what their own files
//! say.
use core::ffi::CStr;

use super::config_file::ConfigFile;
use super::ifupdown::Interfaces;
use super::systemd::units::{Systemd, Unit};
use super::{Fact, PathError, Root, initd, netplan, networkd};
use crate::base::error::Error;
use crate::base::memory::Vector;
use crate::base::text::Str;

/// NetworkManager's usual name.
pub const NETWORK_MANAGER: &CStr = c"NetworkManager";

/// What stands for an instance of a template unit, such as dhcpcd@ens3.service.
pub const INSTANCE: &CStr = c"@";

/// The templates whose instances configure the NIC that they are named for: dhcpcd(8),
/// dhclient(8), ifup(8) and, on Arch, netctl(1).
const TEMPLATES: [&[u8]; 4] = [b"dhcpcd@", b"dhclient@", b"ifup@", b"netctl@"];

/// A manager for which this program writes files, with those of its own files that
/// matter.
#[derive(Clone, Copy)]
pub enum Supported {
    /// systemd-networkd.service(8)
    Networkd,
    /// NetworkManager(8)
    NetworkManager,
    /// ifup(8), as Debian and Alpine have it.
    Ifupdown(Result<&'static Interfaces, PathError>),
    /// dhcpcd(8) with dhcpcd.conf(5).
    Dhcpcd(Result<&'static ConfigFile, Error>),
}

/// What makes the booted system start a manager, if anything does.
type StartedBy = Fact<&'static [u8]>;

/// A program of the root that configures its NICs.
pub struct Manager {
    /// Its usual name. No other manager has it.
    pub name: Str,
    /// The unit that starts it if systemd is init.
    unit: Str,
    /// The script in /etc/init.d that starts it under another init, or if systemd has
    /// no such unit.
    script: Option<Str>,
    /// Finds what else enables its unit.
    generator: Option<fn(&Root, Systemd) -> StartedBy>,
    /// Reads its own files. `None`: it is not supported and goes by them alone.
    read: Option<fn(&Root) -> Supported>,
    /// Whether it handles router advertisements itself. Otherwise the kernel does.
    handles_router_advertisements: bool,
    /// Whether it identifies NICs only by the kernel names of their devices.
    pub goes_by_names: bool,
    /// Why it cannot do DHCP in one family alone, if so.
    pub no_dhcp_in_one_family: Option<Error>,
}

impl Manager {
    /// All that are known, the supported ones first. Several may be enabled.
    pub const ALL: &[Self] = &[
        Self {
            generator: Some(netplan::enables_networkd),
            read: Some(|_| Supported::Networkd),
            handles_router_advertisements: true,
            ..Self::new(networkd::NAME, networkd::UNIT, None)
        },
        Self {
            read: Some(|_| Supported::NetworkManager),
            handles_router_advertisements: true,
            ..Self::new(
                NETWORK_MANAGER,
                c"NetworkManager.service",
                Some(c"network-manager"),
            )
        },
        Self {
            read: Some(|root| Supported::Ifupdown(Interfaces::read(root))),
            goes_by_names: true,
            ..Self::new(c"ifupdown", c"networking.service", Some(c"networking"))
        },
        // The kernel handles router advertisements also on NICs that dhcpcd is told to
        // ignore.
        Self {
            read: Some(|root| Supported::Dhcpcd(ConfigFile::read(root, b"/etc/dhcpcd.conf"))),
            goes_by_names: true,
            no_dhcp_in_one_family: Some(Error::new(
                c"dhcpcd does it in both or in none: use another network manager",
            )),
            ..Self::new(c"dhcpcd", c"dhcpcd.service", Some(c"dhcpcd"))
        },
        // connman(8)
        Self::new(c"ConnMan", c"connman.service", Some(c"connman")),
        // The script of initscripts, on RHEL; systemd generates its unit.
        Self::new(c"network-scripts", c"network.service", Some(c"network")),
        // wicked(8), on SUSE, where network.service is an alias of its unit or of
        // NetworkManager's.
        Self::new(c"wicked", c"wicked.service", None),
        Self::new(INSTANCE, INSTANCE, None),
    ];

    /// One that is not supported.
    const fn new(name: &'static CStr, unit: &'static CStr, script: Option<&'static CStr>) -> Self {
        Self {
            name: Str::new(name),
            unit: Str::new(unit),
            script: match script {
                Some(script) => Some(Str::new(script)),
                None => None,
            },
            generator: None,
            read: None,
            handles_router_advertisements: false,
            goes_by_names: false,
            no_dhcp_in_one_family: None,
        }
    }

    /// What makes the booted system start it: a link, preset or generator that enables
    /// its unit, or a runlevel that starts its script. `None`: it is not started.
    fn enabled(&self, root: &Root, systemd: Fact<Systemd>) -> StartedBy {
        if let Some(systemd) = systemd? {
            if self.unit == INSTANCE.to_bytes() {
                let is_it = |name: &[u8]| TEMPLATES.iter().any(|start| name.starts_with(start));
                return systemd.wanted(root, &is_it);
            }
            match systemd.unit(root, &self.unit)? {
                Unit::Missing => {}
                Unit::Masked => return Ok(None),
                Unit::Present { text, .. } => {
                    let by = systemd.will_be_enabled(root, &self.unit, text)?;
                    return match self.generator {
                        Some(generator) if by.is_none() => generator(root, systemd),
                        _ => Ok(by),
                    };
                }
            }
        }
        match self.script {
            Some(script) => initd::enabled(root, &script),
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
    /// `None`: it is not supported.
    pub supported: Option<Supported>,
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
    /// Reads which managers a root enables, and their files.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    pub fn of(root: &Root, systemd: Fact<Systemd>) -> Self {
        let mut enabled = Vector::new();
        let mut unknown = Vector::new();
        for manager in Manager::ALL {
            match manager.enabled(root, systemd) {
                Ok(Some(by)) => enabled.push(Enabled {
                    manager,
                    by,
                    supported: manager.read.map(|read| read(root)),
                }),
                Ok(None) => {}
                Err(error) => unknown.push((manager, error)),
            }
        }
        Self {
            enabled: enabled.finish(),
            unknown: unknown.finish(),
        }
    }

    /// Whether the one with this name is enabled.
    pub fn has(&self, name: &CStr) -> bool {
        self.enabled
            .iter()
            .any(|one| one.manager.name == name.to_bytes())
    }

    /// [`Self::has`], or why that could not be found out.
    pub fn find(&self, name: &CStr) -> Result<bool, Error> {
        let mut unknown = self.unknown.iter();
        match unknown.find(|(one, _)| one.name == name.to_bytes()) {
            Some((_, error)) => Err(*error),
            None => Ok(self.has(name)),
        }
    }

    /// The one that does DHCP, so that nobody else needs to: the first supported one.
    pub fn for_dhcp(&self) -> Option<&'static Manager> {
        let mut enabled = self.enabled.iter();
        Some(enabled.find(|one| one.supported.is_some())?.manager)
    }

    /// Whether one of them handles router advertisements.
    pub fn handle_router_advertisements(&self) -> bool {
        let mut enabled = self.enabled.iter();
        enabled.any(|one| one.manager.handles_router_advertisements)
    }
}
