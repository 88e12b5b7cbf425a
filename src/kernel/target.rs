//! What something is set on.
use ufmt::{Formatter, uDisplay, uWrite};

use crate::plan::Link;
use crate::plan::device::Device;

/// A device and the link of the plan for which it is set up, shown as `ETH0 (ens3)`.
#[derive(Clone, Copy)]
pub struct Target {
    /// The link.
    pub link: &'static Link,
    /// Its device, or the VLAN device on that.
    pub device: &'static Device,
}

impl uDisplay for Target {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        self.link.name.fmt(f)?;
        f.write_str(" (")?;
        self.device.name.fmt(f)?;
        f.write_str(")")
    }
}
