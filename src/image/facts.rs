//! Facts about a root for its network, names and cloud-init. Each file is read once, and only if it is
//! wanted and an enabled manager reads it. A file that could not be read is an error
//! here, never a missing file.
use super::cloud_init::CloudInit;
use super::files::ConfigFile;
use super::managers::Managers;
use super::networkd::Networkd;
use super::resolver::{Hosts, ResolvConf};
use super::systemd::units;
use super::{PathError, Root};
use crate::base::error::Error;
use crate::base::memory;

/// Which facts are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The host name of the root.
    pub hostname: bool,
    /// Its resolv.conf.
    pub resolv_conf: bool,
    /// The files of the enabled network managers.
    pub network: bool,
    /// Whether systemd-networkd could do DHCP although it is not enabled.
    pub dhcp: bool,
}

/// The facts.
#[derive(Clone, Copy)]
pub struct Facts {
    /// `/etc/hostname`; `None` if it is not wanted.
    pub hostname: Result<Option<&'static ConfigFile>, Error>,
    /// `/etc/hosts`; `None` if the host name is not wanted.
    pub hosts: Result<Option<Hosts>, PathError>,
    /// Whether cloud-init is there.
    pub cloud_init: Result<CloudInit, Error>,
    /// Whether systemd is init.
    pub systemd: Result<bool, Error>,
    /// `None` if the network is not wanted.
    pub network: Option<&'static NetworkFacts>,
}

/// The network configuration of the root.
#[derive(Clone, Copy)]
pub struct NetworkFacts {
    /// The enabled network managers.
    pub managers: Managers,
    /// Whether systemd-networkd is installed and may be enabled.
    pub networkd: Result<Networkd, Error>,
    /// `/etc/resolv.conf`; `None` if it is not wanted.
    pub resolv_conf: Result<Option<ResolvConf>, Error>,
}

impl Facts {
    /// Reads the wanted facts.
    pub fn read(root: &Root, wanted: Wanted) -> Self {
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

impl NetworkFacts {
    fn read(root: &Root, wanted: Wanted) -> &'static Self {
        memory::place(Self {
            managers: Managers::of(root),
            networkd: match wanted.dhcp {
                true => Networkd::find(root),
                false => Ok(Networkd::Missing),
            },
            resolv_conf: match wanted.resolv_conf {
                true => ResolvConf::read(root).map(Some),
                false => Ok(None),
            },
        })
    }
}
