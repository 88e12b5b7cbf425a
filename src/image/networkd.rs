//! systemd-networkd in a root that does not enable it.
use core::ffi::CStr;

use super::systemd::units::{Systemd, Unit};
use super::{Fact, Root};
use crate::base::memory;

/// Its usual name.
pub const NAME: &CStr = c"systemd-networkd";

/// Its unit.
pub const UNIT: &CStr = c"systemd-networkd.service";

/// Where its files are in an image, below systemd/network.
pub const TOPS: [&[u8]; 3] = [b"/etc", b"/usr/local/lib", b"/usr/lib"];

/// The first of the image's files for a network by name, whatever its directory; of all
/// that match a NIC networkd takes the first (systemd.network(5)). It ignores hidden
/// files.
pub fn first_file(root: &Root) -> Fact<&'static [u8]> {
    let mut first: Option<&[u8]> = None;
    for top in TOPS {
        for name in root.names(memory::concat(&[top, b"/systemd/network"]))? {
            let is_read = name.ends_with(b".network") && !name.starts_with(b".");
            if is_read && first.is_none_or(|first| *name < first) {
                first = Some(*name);
            }
        }
    }
    Ok(first)
}

/// Whether it can be enabled for one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Networkd {
    /// Its unit is there, at this path, and its program.
    Installed(&'static [u8]),
    /// Its unit is masked: it is switched off on purpose.
    Masked,
}

impl Networkd {
    /// Reads the facts of a root; `None`: it is not there, or systemd is not init.
    pub fn find(root: &Root, systemd: Fact<Systemd>) -> Fact<Self> {
        const PROGRAMS: [&[u8]; 2] = [
            b"/usr/lib/systemd/systemd-networkd",
            b"/lib/systemd/systemd-networkd",
        ];
        let Some(systemd) = systemd? else {
            return Ok(None);
        };
        Ok(match systemd.unit(root, UNIT.to_bytes())? {
            Unit::Present { path, .. } if root.first(&PROGRAMS)?.is_some() => {
                Some(Self::Installed(path))
            }
            Unit::Masked => Some(Self::Masked),
            Unit::Present { .. } | Unit::Missing => None,
        })
    }
}
