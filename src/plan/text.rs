//! The values of a plan in its text form. Other programs parse it, so it changes only by
//! addition.
use ufmt::{Formatter, uDisplay, uWrite};

use super::{Dialect, LinkName, Method, Password, Prefix, Route};
use crate::base::text::Ip;

impl Dialect {
    /// Its word in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenNebula => "opennebula",
            Self::StratusLab => "stratuslab",
        }
    }
}

impl Method {
    /// Its word in the text form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dhcp => "dhcp",
            Self::Skip => "skip",
            Self::Auto => "auto",
            Self::Disable => "disable",
        }
    }
}

impl Password {
    /// Its word in the text form, which shows nothing of the password.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Crypted(_) => "crypted",
            Self::Plain(_) => "plain",
            Self::Locked => "locked",
        }
    }
}

impl uDisplay for LinkName {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let (kind, number) = match self {
            Self::Eth(number) => ("ETH", number),
            Self::Pci(number) => ("PCI", number),
        };
        f.write_str(kind)?;
        number.fmt(f)
    }
}

impl uDisplay for Prefix {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        Ip(self.address).fmt(f)?;
        f.write_char('/')?;
        self.length.fmt(f)
    }
}

/// Where a route goes: `default`, or a prefix.
pub(super) struct Endpoint(pub Prefix);

impl uDisplay for Endpoint {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        if self.0.is_default() {
            f.write_str("default")
        } else {
            self.0.fmt(f)
        }
    }
}

impl uDisplay for Route {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        Endpoint(self.destination).fmt(f)?;
        if let Some(gateway) = self.gateway {
            f.write_str(" via ")?;
            Ip(gateway).fmt(f)?;
        }
        if self.onlink {
            f.write_str(" onlink")?;
        }
        if self.metric != self.destination.family().default_metric() {
            f.write_str(" metric ")?;
            self.metric.fmt(f)?;
        }
        Ok(())
    }
}
