//! The text form of a plan: one directive a line, fields separated by one
//! space. Other programs parse it, so it changes only by addition.

use ufmt::{Formatter, uDisplay, uWrite, uwrite};

use super::bound::{BoundLink, BoundPlan};
use super::{Dialect, Link, LinkName, Method, Password, Prefix, Route, SudoRule};
use crate::base::text::{Escaped, Format, Ip, Text};

impl BoundPlan {
    /// Appends the whole plan. `files` are the lines about files and directives, which
    /// come before the warnings.
    #[expect(
        clippy::too_many_lines,
        reason = "the lines of the plan, in their order"
    )]
    pub fn write(&self, out: &mut Text, files: &[u8]) {
        let plan = self.plan;
        uwrite!(out, "context {} ", plan.dialect.name());
        field(out, plan.source);
        out.push(b'\n');
        if let Some(hostname) = plan.hostname {
            line(out, "hostname", None, &Plain(hostname));
        }
        for bound_link in self.links {
            let link = bound_link.link;
            uwrite!(out, "{}", LinkLine(bound_link));
            for address in link.addresses() {
                line(out, "address", Some(link), address);
            }
            for route in link.routes() {
                line(out, "route", Some(link), route);
            }
        }
        for server in plan.dns {
            line(out, "dns -", None, &Ip(*server));
        }
        for link in plan.links {
            for server in link.dns {
                line(out, "dns", Some(link), &Ip(*server));
            }
        }
        for domain in plan.search {
            line(out, "search -", None, &Plain(domain));
        }
        for link in plan.links {
            for domain in link.search {
                line(out, "search", Some(link), &Plain(domain));
            }
        }
        if let Some(user) = plan.user {
            line(out, "user", None, &Plain(user));
            if let Some(shell) = plan.login.shell {
                line(out, "shell", None, &Pair(user, shell));
            }
            if plan.login.sudo != SudoRule::None {
                line(out, "sudo", None, &Plain(user));
            }
        }
        if let Some((user, password)) = plan.login.password {
            let kind = password.kind().as_bytes();
            line(out, "password", None, &Pair(user, kind));
        }
        for key in plan.keys {
            line(out, "key", None, &Pair(key.user, key.line));
        }
        for script in plan.scripts.list {
            out.extend(b"script ");
            field(out, script.name);
            out.push(b'\n');
        }
        out.extend(files);
        for warning in plan.warnings() {
            line(out, "warning", None, warning);
        }
    }
}

/// Writes one directive, of a link or of the machine. No value holds a newline.
fn line(out: &mut Text, directive: &str, link: Option<&Link>, value: &dyn Format) {
    uwrite!(out, "{} ", directive);
    if let Some(link) = link {
        uwrite!(out, "{} ", link.name);
    }
    value.append_to(out);
    out.push(b'\n');
}

/// Bytes of the context, as they are.
struct Plain<'t>(&'t [u8]);

impl Format for Plain<'_> {
    fn append_to(&self, text: &mut Text) {
        text.extend(self.0);
    }
}

/// Two such fields, the first a user.
struct Pair<'t>(&'t [u8], &'t [u8]);

impl Format for Pair<'_> {
    fn append_to(&self, text: &mut Text) {
        text.extend(self.0);
        text.push(b' ');
        text.extend(self.1);
    }
}

/// Appends a path. Control characters become `?`, so that it stays on one line.
fn field(out: &mut Text, text: &[u8]) {
    for byte in text {
        if byte.is_ascii_control() {
            out.push(b'?');
        } else {
            out.push(*byte);
        }
    }
}

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

struct LinkLine<'l>(&'l BoundLink);

impl uDisplay for LinkLine<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let BoundLink { link, device, .. } = self.0;
        f.write_str("link ")?;
        link.name.fmt(f)?;
        if let Some(mac) = link.mac {
            f.write_str(" mac ")?;
            mac.fmt(f)?;
        }
        if let Some(device) = device {
            f.write_str(" device ")?;
            Escaped(device).fmt(f)?;
        }
        if let Some(mtu) = link.mtu {
            f.write_str(" mtu ")?;
            mtu.fmt(f)?;
        }
        if let Some(vlan) = link.vlan {
            f.write_str(" vlan ")?;
            vlan.fmt(f)?;
        }
        if let Some(metric) = link.metric {
            f.write_str(" metric ")?;
            metric.fmt(f)?;
        }
        if let Some(method) = link.ipv4.method {
            f.write_str(" ipv4 ")?;
            f.write_str(method.name())?;
        }
        if let Some(method) = link.ipv6.method {
            f.write_str(" ipv6 ")?;
            f.write_str(method.name())?;
        }
        f.write_char('\n')
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
