//! All that is known of a mounted root, as plain data in two trees. Each is read once,
//! before anything is decided. What a plan does not ask for is `None` and not read. A
//! file that could not be read is an error here, never a missing file.
use super::account::AccountFacts;
use super::cloud_init::CloudInit;
use super::config_file::ConfigFile;
use super::later_mounts::LaterMounts;
use super::logins::Logins;
use super::managers::Managers;
use super::networkd::Networkd;
use super::resolver::{Hosts, ResolvConf};
use super::sshd::Sshd;
use super::systemd::units::Systemd;
use super::{Fact, PathError, Root};
use crate::base::error::Error;

/// What the machine is.
#[derive(Clone, Copy)]
pub struct Facts {
    /// systemd, if it is init.
    pub systemd: Fact<Systemd>,
    /// The files with the machine's own name.
    pub names: Option<Names>,
    /// What starts cloud-init.
    pub cloud_init: Fact<CloudInit>,
    /// The network configuration.
    pub network: Option<&'static NetworkFacts>,
}

/// Who may log in. These facts are read once the network is set up: a home may be on a
/// server that never answers.
#[derive(Clone, Copy)]
pub struct LoginFacts {
    /// Whether systemd is init.
    pub has_systemd: Result<bool, Error>,
    /// What is mounted later.
    pub later_mounts: LaterMounts,
    /// The users who may log in.
    pub logins: Result<&'static Logins, Error>,
    /// The SSH server.
    pub sshd: Fact<&'static Sshd>,
    /// What makes and changes an account; `None` if the users are not known.
    pub account: Result<Option<&'static AccountFacts>, PathError>,
}

/// The files with the machine's own name.
#[derive(Clone, Copy)]
pub struct Names {
    /// `/etc/hostname`
    pub hostname: Result<&'static ConfigFile, Error>,
    /// `/etc/hosts`
    pub hosts: Result<Hosts, PathError>,
}

/// The network configuration of the root.
#[derive(Clone, Copy)]
pub struct NetworkFacts {
    /// The enabled network managers.
    pub managers: Managers,
    /// Whether systemd-networkd could do DHCP although it is not enabled.
    pub networkd: Fact<Networkd>,
    /// The first of networkd's files by name, if networkd may run.
    pub networkd_file: Fact<&'static [u8]>,
    /// `/etc/resolv.conf`
    pub resolv_conf: Fact<ResolvConf>,
}

impl Facts {
    /// Whether systemd is init.
    pub fn has_systemd(&self) -> Result<bool, Error> {
        Ok(self.systemd?.is_some())
    }
}

impl Names {
    /// Reads the files.
    pub fn read(root: &Root) -> Self {
        Self {
            hostname: ConfigFile::read(root, b"/etc/hostname"),
            hosts: Hosts::read(root),
        }
    }
}
