//! A network device of the kernel.
use core::fmt;
use core::ops::Deref;

use ufmt::{Formatter, uDisplay, uWrite};

use crate::base::text::{Escaped, Mac};

/// A device, in its state when it was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its interface index.
    pub index: u32,
    /// Its name.
    pub name: DeviceName,
    /// Its link-layer address, if that is a MAC.
    pub mac: Option<Mac>,
    /// Its MTU, in bytes.
    pub mtu: u32,
    /// Whether it is set up.
    pub up: bool,
    /// Whether it is a network card and not something on top of one.
    pub physical: bool,
    /// Its kind, such as `bridge` (IFLA_INFO_KIND); a network card has none.
    pub kind: Option<DeviceName>,
    /// The index of the device that it is a port of (IFLA_MASTER).
    pub master: Option<u32>,
}

/// Bytes of a name, a NUL at the end included (`IFNAMSIZ` of linux/if.h).
const SIZE: usize = 16;

/// The name of a device. NULs follow it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceName([u8; SIZE]);

impl DeviceName {
    /// The longest name, in bytes.
    pub const LONGEST: usize = SIZE - 1;

    /// A name; `None`: no device can have it.
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; SIZE];
        if name.is_empty() || name.len() > Self::LONGEST || name.contains(&0) {
            return None;
        }
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self(bytes))
    }
}

impl Deref for DeviceName {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0);
        self.0.get(..end.unwrap_or(SIZE)).unwrap_or_default()
    }
}

impl fmt::Debug for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Made safe for a terminal, as by [`Escaped`].
impl uDisplay for DeviceName {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        Escaped(self).fmt(f)
    }
}

/// A device with this name and index, for tests.
#[cfg(test)]
pub(crate) fn named(name: &str, index: u32) -> &'static Device {
    crate::base::memory::place(Device {
        index,
        name: DeviceName::new(name.as_bytes()).unwrap(),
        mac: None,
        mtu: 1500,
        up: false,
        physical: true,
        kind: None,
        master: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_kernel_allows() {
        for name in ["a", "ens3", "enp123s45f6np78"] {
            let made = DeviceName::new(name.as_bytes()).unwrap();
            assert_eq!(*made, *name.as_bytes());
        }
        for name in ["", "enp123s45f6np789", "a\0b"] {
            assert_eq!(DeviceName::new(name.as_bytes()), None, "{name:?}");
        }
        let [one, other] = ["ens3", "ens30"].map(|name| DeviceName::new(name.as_bytes()));
        assert!(one < other);
    }
}
