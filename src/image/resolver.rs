//! How the root's programs resolve names: hosts(5), nsswitch.conf(5), resolv.conf(5).
use super::config_file::ConfigFile;
use super::systemd::units::{Systemd, Unit};
use super::{Fact, PathError, Root, at};
use crate::base::error::Error;
use crate::base::memory;
use crate::base::text::{ip, lines, split_once, words};

/// `/etc/hosts` (hosts(5)), and whether nss-myhostname answers too.
#[derive(Clone, Copy)]
pub struct Hosts {
    /// The file.
    pub file: &'static ConfigFile,
    /// Whether the C library asks nss-myhostname(8) (nsswitch.conf(5)), which knows the
    /// machine's own name.
    pub by_myhostname: bool,
}

impl Hosts {
    /// Reads the file and nsswitch.conf.
    pub fn read(root: &Root) -> Result<Self, PathError> {
        const SWITCH: &[u8] = b"/etc/nsswitch.conf";
        const PATH: &[u8] = b"/etc/hosts";
        let switch = at(SWITCH, ConfigFile::read(root, SWITCH))?;
        let text = switch.content.map_or(&b""[..], |file| file.content);
        let asks_it = |line: &[u8]| {
            let sources = line.trim_ascii_start().strip_prefix(b"hosts:");
            sources.is_some_and(|sources| words(sources).any(|word| word == b"myhostname"))
        };
        Ok(Self {
            file: at(PATH, ConfigFile::read(root, PATH))?,
            by_myhostname: lines(text).any(asks_it),
        })
    }
}

/// `/etc/resolv.conf` (resolv.conf(5)), and whether systemd-resolved owns it.
#[derive(Clone, Copy)]
pub struct ResolvConf {
    /// The file.
    pub file: &'static ConfigFile,
    /// Whether systemd-resolved makes it and will be started.
    pub is_of_resolved: bool,
}

impl ResolvConf {
    /// Reads the file.
    pub fn read(root: &Root, systemd: Fact<Systemd>) -> Result<Self, Error> {
        let file = ConfigFile::read(root, b"/etc/resolv.conf")?;
        let is_of_resolved =
            file.path.is_below(b"/run/systemd/resolve") && is_resolved_enabled(root, systemd)?;
        Ok(Self {
            file,
            is_of_resolved,
        })
    }
}

fn is_resolved_enabled(root: &Root, systemd: Fact<Systemd>) -> Result<bool, Error> {
    const NAME: &[u8] = b"systemd-resolved.service";
    let Some(systemd) = systemd? else {
        return Ok(false);
    };
    match systemd.unit(root, NAME)? {
        Unit::Present { text, .. } => Ok(systemd.will_be_enabled(root, NAME, text)?.is_some()),
        Unit::Missing | Unit::Masked => Ok(false),
    }
}

/// Our line of /etc/hosts, with its newline.
pub fn own_line(address: &[u8], name: &[u8]) -> &'static [u8] {
    let short = split_once(name, b'.').map_or(&b""[..], |(short, _)| short);
    let gap = if short.is_empty() { &b""[..] } else { b" " };
    memory::concat(&[address, b" ", name, gap, short, b" # onecontext\n"])
}

/// Whether a line, with its newline, has exactly the form of ours.
pub fn is_own_line(line: &[u8]) -> bool {
    let mut fields = words(line);
    match (fields.next(), fields.next()) {
        (Some(address), Some(name)) => ip(address).is_some() && line == own_line(address, name),
        _ => false,
    }
}
