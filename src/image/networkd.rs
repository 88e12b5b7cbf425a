//! systemd-networkd in a root that does not enable it.
use core::ffi::CStr;

use super::systemd::units::{Systemd, Unit};
use super::{Fact, Root};

/// Its usual name.
pub const NAME: &CStr = c"systemd-networkd";

/// Its unit.
pub const UNIT: &CStr = c"systemd-networkd.service";

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
