//! Whether the root has cloud-init.
use super::systemd::units::{Systemd, Unit};
use super::{Fact, Root, initd};

/// What starts cloud-init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudInit {
    /// A systemd unit.
    Unit,
    /// A runlevel script.
    Script,
}

impl CloudInit {
    /// Looks for the units and scripts of all its versions; `None`: it is not there.
    pub fn find(root: &Root, systemd: Fact<Systemd>) -> Fact<Self> {
        const UNIT: &[u8] = b"cloud-init-local.service";
        Ok(match systemd? {
            Some(systemd) => match systemd.unit(root, UNIT)? {
                Unit::Present { .. } => Some(Self::Unit),
                Unit::Missing | Unit::Masked => None,
            },
            None => initd::enabled(root, b"cloud-init-local")?.map(|_| Self::Script),
        })
    }
}
