//! Whether the root has cloud-init.
use super::Root;
use crate::base::error::Error;

/// What starts cloud-init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudInit {
    /// Not installed.
    Missing,
    /// A systemd unit.
    Unit,
    /// A runlevel script.
    Script,
}

impl CloudInit {
    /// Looks for the units and scripts of all its versions.
    pub fn find(root: &Root) -> Result<Self, Error> {
        use super::systemd::units::{Unit, find, is_init};
        let is_there = match is_init(root)? {
            true => matches!(
                find(root, b"cloud-init-local.service")?,
                Unit::Present { .. }
            ),
            false => super::initd::enabled(root, b"cloud-init-local")?.is_some(),
        };
        Ok(match (is_there, is_init(root)?) {
            (false, _) => Self::Missing,
            (true, true) => Self::Unit,
            (true, false) => Self::Script,
        })
    }
}
