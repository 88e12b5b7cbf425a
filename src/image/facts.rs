//! What the handover has to know of a root. Each file is read once, and only
//! those that are wanted and that an enabled manager reads. What could not be
//! read is an error here, and never a missing file.
use super::config::{CloudInit, ConfigDirectory, ConfigFile, Hosts, Interfaces, ResolvConf};
use super::managers::{Manager, Managers};
use super::networkd::Networkd;
use super::systemd::units;
use super::{PathError, Root};
use crate::base::error::Error;

/// What somebody wants to know.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The host name of the root.
    pub hostname: bool,
    /// Its resolv.conf.
    pub resolv_conf: bool,
    /// The files of the enabled network managers.
    pub network: bool,
    /// Who else could do DHCP.
    pub dhcp: bool,
}

/// The facts.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// `/etc/hostname`; `None` if it is not wanted.
    pub hostname: Result<Option<&'a ConfigFile<'a>>, Error>,
    /// `/etc/hosts`; `None` if the host name is not wanted.
    pub hosts: Result<Option<Hosts<'a>>, PathError<'a>>,
    /// Whether cloud-init is there.
    pub cloud_init: Result<CloudInit, Error>,
    /// Whether systemd is init.
    pub systemd: Result<bool, Error>,
    /// `None` if the network is not wanted.
    pub network: Option<&'a NetworkFacts<'a>>,
}

/// What the root has for its network.
#[derive(Clone, Copy)]
pub struct NetworkFacts<'a> {
    /// Who configures it.
    pub managers: Managers<'a>,
    /// Whether it has a manager that may be enabled.
    pub networkd: Result<Networkd<'a>, Error>,
    /// `None` if it is not wanted.
    pub resolv_conf: Result<Option<ResolvConf<'a>>, Error>,
    /// `None`, here and below, if the manager is not enabled.
    pub interfaces: Result<Option<&'a Interfaces<'a>>, PathError<'a>>,
    /// dhcpcd.conf(5)
    pub dhcpcd: Result<Option<&'a ConfigFile<'a>>, Error>,
    /// connman.conf(5)
    pub connman: Result<Option<&'a ConfigFile<'a>>, Error>,
    /// `/etc/sysconfig/network-scripts`
    pub network_scripts: Result<Option<&'a ConfigDirectory<'a>>, Error>,
    /// `/etc/sysconfig/network`
    pub wicked: Result<Option<&'a ConfigDirectory<'a>>, Error>,
}

impl<'a> Facts<'a> {
    /// Reads what is wanted.
    pub fn read(root: &Root<'a>, wanted: Wanted) -> Self {
        let hostname = match wanted.hostname {
            true => ConfigFile::read(root, b"/etc/hostname").map(Some),
            false => Ok(None),
        };
        Self {
            hostname,
            hosts: match wanted.hostname {
                true => Hosts::read(root).map(Some),
                false => Ok(None),
            },
            cloud_init: CloudInit::find(root),
            systemd: units::is_init(root),
            network: wanted.network.then(|| NetworkFacts::read(root, wanted)),
        }
    }
}

impl<'a> NetworkFacts<'a> {
    fn read(root: &Root<'a>, wanted: Wanted) -> &'a Self {
        let managers = Managers::of(root);
        let config = |manager, path| match managers.has(manager) {
            true => ConfigFile::read(root, path).map(Some),
            false => Ok(None),
        };
        let directory = |manager, path, prefixes: &[&[u8]]| match managers.has(manager) {
            true => ConfigDirectory::read(root, path, prefixes),
            false => Ok(None),
        };
        root.arena().place(Self {
            managers,
            networkd: match wanted.dhcp {
                true => Networkd::find(root),
                false => Ok(Networkd::Missing),
            },
            resolv_conf: match wanted.resolv_conf {
                true => ResolvConf::read(root).map(Some),
                false => Ok(None),
            },
            interfaces: match managers.has(Manager::Ifupdown) {
                true => Interfaces::read(root).map(Some),
                false => Ok(None),
            },
            dhcpcd: config(Manager::Dhcpcd, b"/etc/dhcpcd.conf"),
            connman: config(Manager::Connman, b"/etc/connman/main.conf"),
            network_scripts: directory(
                Manager::NetworkScripts,
                b"/etc/sysconfig/network-scripts",
                &[b"ifcfg-", b"route-", b"route6-"],
            ),
            wicked: directory(
                Manager::Wicked,
                b"/etc/sysconfig/network",
                &[b"ifcfg-", b"ifsysctl-", b"ifroute-"],
            ),
        })
    }
}
