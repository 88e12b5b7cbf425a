//! The root's SSH server: which one it is, whether it starts at boot, whether it
//! has host keys, and how it is configured.
use super::sshd_config::Config;
use super::systemd::units::{Systemd, Unit};
use super::{ResolvedPath, Root};
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::position;

/// The SSH server of a root.
#[derive(Clone, Copy)]
pub struct Sshd {
    /// Which one is installed.
    pub server: Option<Server>,
    /// Whether it starts at boot.
    pub start: Start,
    /// Its host keys.
    pub host_keys: HostKeys,
    /// How OpenSSH is configured.
    pub config: Config,
    /// The units that run OpenSSH's server.
    pub services: &'static [Service],
    /// The path of `/etc/ssh`, links followed.
    pub directory: Result<ResolvedPath, Error>,
}

impl Sshd {
    /// Whether OpenSSH's server is installed.
    pub fn is_openssh(&self) -> bool {
        self.server == Some(Server::OpenSsh)
    }
}

/// A unit that runs the server.
#[derive(Clone, Copy)]
pub struct Service {
    /// Such as `ssh.service`.
    pub name: &'static [u8],
    /// The unit's text.
    pub text: &'static [u8],
}

/// The kinds of SSH servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// OpenSSH's sshd.
    OpenSsh,
    /// Dropbear.
    Dropbear,
}

/// Whether the server starts at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It starts.
    Enabled,
    /// It does not start, but this unit would start it.
    Disabled {
        /// `ssh.service`.
        name: &'static [u8],
        /// The unit file as systemd sees it.
        path: &'static [u8],
    },
    /// It is switched off on purpose, by this: a masked unit, or Debian's file
    /// `sshd_not_to_be_run`.
    Off(&'static [u8]),
    /// No unit would start it.
    NoUnit,
}

/// The host keys of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKeys {
    /// In the root.
    Present,
    /// Made by the server's own unit or program when it starts.
    Made,
    /// Missing, and this program of the root makes them.
    Missing(&'static [u8]),
    /// Missing, and nothing in the root makes them.
    Impossible,
}

/// OpenSSH's units: `ssh` on Debian, `sshd` elsewhere. The services that start the
/// server come before the sockets, which wait for the first connection. Last are the
/// templates that run once for each connection, which nothing enables.
const OPENSSH_UNITS: [&[u8]; 6] = [
    b"ssh.service",
    b"sshd.service",
    b"ssh.socket",
    b"sshd.socket",
    b"ssh@.service",
    b"sshd@.service",
];
const DROPBEAR_UNITS: [&[u8]; 2] = [b"dropbear.service", b"dropbear.socket"];
/// OpenSSH's scripts without systemd. Those of RHEL 6 and Alpine make host keys.
const OPENSSH_SCRIPTS: [&[u8]; 2] = [b"/etc/init.d/ssh", b"/etc/init.d/sshd"];

/// The host keys that sshd tries without a HostKey line (sshd_config(5)).
const HOST_KEYS: [&[u8]; 3] = [
    b"/etc/ssh/ssh_host_ed25519_key",
    b"/etc/ssh/ssh_host_ecdsa_key",
    b"/etc/ssh/ssh_host_rsa_key",
];

/// Parts of the names of what makes host keys in the units of distributions: Fedora
/// `Wants=sshd-keygen.target`, Arch `Wants=sshdgenkeys.service`, openSUSE
/// `ExecStartPre=/usr/sbin/sshd-gen-keys-start`, others `ssh-keygen -A`.
const MAKERS: [&[u8]; 3] = [b"keygen", b"genkeys", b"gen-keys"];

impl Sshd {
    /// Reads the facts of a root. `systemd`: its init, unless that is another.
    // Not inlined: a large stack frame makes every access to it longer.
    #[inline(never)]
    pub fn read(root: &Root, systemd: Option<Systemd>) -> Result<&'static Self, Error> {
        let server = match root.program(b"sshd")? {
            Some(_) => Some(Server::OpenSsh),
            None => root.program(b"dropbear")?.map(|_| Server::Dropbear),
        };
        let names: &[&[u8]] = match server {
            Some(Server::Dropbear) => &DROPBEAR_UNITS,
            _ => &OPENSSH_UNITS,
        };
        let mut units = Vector::new();
        if let Some(systemd) = systemd {
            for name in names {
                units.push((*name, systemd.unit(root, name)?));
            }
        }
        let services = services(&units);
        let config = Config::read(root);
        Ok(memory::place(Self {
            server,
            start: match systemd {
                Some(systemd) => start(root, systemd, &units)?,
                // Under another init nothing can be enabled through /run, so there is
                // nothing to do.
                None => Start::Enabled,
            },
            host_keys: match server {
                Some(Server::OpenSsh) => host_keys(root, &config, services)?,
                // Dropbear makes them itself, or its package has made them.
                _ => HostKeys::Made,
            },
            config,
            services,
            directory: root.resolve(b"/etc/ssh"),
        }))
    }
}

/// The name of a unit, and its state.
type NamedUnit = (&'static [u8], Unit);

fn services(units: &[NamedUnit]) -> &'static [Service] {
    let mut services = Vector::new();
    for (name, unit) in units {
        if let Unit::Present { text, .. } = unit
            && name.ends_with(b".service")
        {
            services.push(Service { name, text });
        }
    }
    services.finish()
}

fn start(root: &Root, systemd: Systemd, units: &[NamedUnit]) -> Result<Start, Error> {
    const NOT_TO_BE_RUN: &[u8] = b"/etc/ssh/sshd_not_to_be_run";
    if root.exists(NOT_TO_BE_RUN)? {
        return Ok(Start::Off(NOT_TO_BE_RUN));
    }
    let mut candidate = None;
    let mut masked = None;
    for (name, unit) in units.iter().filter(|(name, _)| !name.contains(&b'@')) {
        match unit {
            Unit::Present { path, .. } => {
                if systemd.enabled(root, name)?.is_some() {
                    return Ok(Start::Enabled);
                }
                candidate = candidate.or(Some(Start::Disabled { name, path }));
            }
            Unit::Masked => masked = masked.or(Some(Start::Off(name))),
            Unit::Missing => {}
        }
    }
    // A mask is deliberate, so it counts more than a unit that is only not enabled.
    Ok(masked.or(candidate).unwrap_or(Start::NoUnit))
}

fn host_keys(root: &Root, config: &Config, services: &[Service]) -> Result<HostKeys, Error> {
    if root
        .first(config.host_keys)?
        .or(root.first(&HOST_KEYS)?)
        .is_some()
    {
        return Ok(HostKeys::Present);
    }
    if services
        .iter()
        .any(|service| mentions_a_maker(service.text))
    {
        return Ok(HostKeys::Made);
    }
    for script in OPENSSH_SCRIPTS {
        if root
            .read_if_there(script)?
            .is_some_and(|found| mentions_a_maker(found.content))
        {
            return Ok(HostKeys::Made);
        }
    }
    let keygen = root.program(b"ssh-keygen")?;
    Ok(keygen.map_or(HostKeys::Impossible, HostKeys::Missing))
}

fn mentions_a_maker(unit: &[u8]) -> bool {
    MAKERS.iter().any(|maker| position(unit, maker).is_some())
}
