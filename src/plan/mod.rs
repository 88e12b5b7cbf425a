//! What a machine should become: links, addresses, routes, resolvers, host
//! name, logins, and what was wrong with the input. Plain data that borrows
//! from the context's own text; it knows neither where it came from nor how
//! it is applied.
pub mod bound;
mod description;
pub mod device;
pub mod record;
mod text;
mod warning;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use warning::{SourceLocation, Warning, Warnings};

use crate::base::memory::Vector;
use crate::base::text::Mac;

/// The whole plan.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Who wrote the context.
    pub dialect: Dialect,
    /// Where the context was read: the path as it was given or found.
    pub source: &'static [u8],
    /// At most 64 bytes of letters, digits, `-` and `.`.
    pub hostname: Option<&'static [u8]>,
    /// In the order of their numbers, `ETHn` before `PCIn`.
    pub links: &'static [Link],
    /// Name servers for the whole machine; those of a NIC are in its link.
    pub dns: &'static [IpAddr],
    /// Search domains for the whole machine.
    pub search: &'static [&'static [u8]],
    /// The login of USERNAME, if it was set.
    pub user: Option<&'static [u8]>,
    /// Shell, sudo and password.
    pub login: Login,
    /// Who may log in with which key.
    pub keys: &'static [Key],
    /// The scripts that the context wants to run in the booted system.
    pub scripts: Scripts,
    /// Warnings about user data, for roots where nothing reads it.
    pub user_data: &'static [Warning],
    /// What was wrong, or is ignored.
    pub warnings: &'static [Warning],
}

impl Plan {
    /// The users that have keys, each once, in order.
    pub fn users(&self) -> KeyUsers {
        KeyUsers {
            keys: self.keys,
            seen: 0,
        }
    }

    /// The keys of a user, as lines of authorized_keys.
    pub fn keys_of<'l>(&self, user: &[u8]) -> &'l [&'static [u8]] {
        let mut keys = Vector::new();
        for key in self.keys.iter().filter(|key| key.user == user) {
            keys.push(key.line);
        }
        keys.finish()
    }

    /// Every warning.
    pub fn warnings(&self) -> impl Iterator<Item = &'static Warning> {
        self.warnings.iter().chain(self.user_data)
    }

    /// Every name server, the machine's own first, each once.
    pub fn name_servers(&self) -> impl Iterator<Item = IpAddr> {
        let per_link = self.links.iter().flat_map(|link| link.dns.iter());
        self.dns.iter().chain(per_link).copied()
    }

    /// Whether there is any name server.
    pub fn has_name_servers(&self) -> bool {
        !self.dns.is_empty() || self.links.iter().any(|link| !link.dns.is_empty())
    }

    /// Every search domain, the machine's own first, each once.
    pub fn search_domains(&self) -> impl Iterator<Item = &'static [u8]> {
        let per_link = self.links.iter().flat_map(|link| link.search.iter());
        self.search.iter().chain(per_link).copied()
    }
}

/// An iterator over the users that have keys, each once.
pub struct KeyUsers {
    keys: &'static [Key],
    /// How many keys were examined.
    seen: usize,
}

impl Iterator for KeyUsers {
    type Item = &'static [u8];
    #[inline(never)]
    fn next(&mut self) -> Option<&'static [u8]> {
        loop {
            let (seen, rest) = self.keys.split_at_checked(self.seen)?;
            let user = rest.first()?.user;
            self.seen += 1;
            if !seen.iter().rev().any(|key| key.user == user) {
                return Some(user);
            }
        }
    }
}

/// The writer of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenNebula 1.4 and later.
    OpenNebula,
    /// StratusLab's own scripts.
    StratusLab,
}

/// The context's name of a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkName {
    /// `ETHn`.
    Eth(u32),
    /// `PCIn`, a device passed through.
    Pci(u32),
}

/// A NIC of the context and all that belongs to it.
#[derive(Clone, Copy)]
pub struct Link {
    /// The context's name.
    pub name: LinkName,
    /// Its link-layer address; without one it is matched by name or position.
    pub mac: Option<Mac>,
    /// Its address on the PCI bus, such as `01:01.0`.
    pub pci: Option<&'static [u8]>,
    /// In bytes.
    pub mtu: Option<u32>,
    /// The 802.1Q tag of a PCI link; its addresses belong to the VLAN device.
    pub vlan: Option<u16>,
    /// The metric of the routes that DHCPv4 brings, if the context names one.
    pub metric: Option<u32>,
    /// DHCP and routers must not give it default routes: they are another NIC's
    /// (GATEWAY_IFACE).
    pub no_default_route: bool,
    /// What it has of IPv4.
    pub ipv4: Half,
    /// What it has of IPv6.
    pub ipv6: Half,
    /// Name servers that no earlier list has.
    pub dns: &'static [IpAddr],
    /// Search domains that no earlier list has.
    pub search: &'static [&'static [u8]],
}

impl Link {
    /// A link of which only the name is known.
    pub const fn new(name: LinkName) -> Self {
        Link {
            name,
            mac: None,
            pci: None,
            mtu: None,
            vlan: None,
            metric: None,
            no_default_route: false,
            ipv4: Half::NONE,
            ipv6: Half::NONE,
            dns: &[],
            search: &[],
        }
    }

    /// The metric of the default routes from router advertisements on this link. It
    /// comes after those of the context's own default routes, 1024, 1025 and so on.
    /// With an equal metric the kernel would combine the routes to one with several
    /// next hops, and half of the machine's answers would leave by the wrong link.
    pub const fn router_metric(&self) -> u32 {
        let (LinkName::Eth(number) | LinkName::Pci(number)) = self.name;
        2048u32.saturating_add(number)
    }

    /// The metric of the routes that DHCPv4 brings: the one of the context, else
    /// 1024, the default of systemd-networkd, plus the number of the link.
    pub const fn dhcp_metric(&self) -> u32 {
        match self.metric {
            Some(metric) => metric,
            None => self.router_metric() - 1024,
        }
    }

    /// A list of its addresses, those of IPv4 first.
    pub fn addresses(&self) -> &'static [Prefix] {
        let mut all = Vector::new();
        all.extend(self.ipv4.addresses);
        all.extend(self.ipv6.addresses);
        all.finish()
    }

    /// Whether it has an address.
    pub const fn has_address(&self) -> bool {
        !self.ipv4.addresses.is_empty() || !self.ipv6.addresses.is_empty()
    }

    /// A list of its routes, those of IPv4 first.
    pub fn routes(&self) -> &'static [Route] {
        let mut all = Vector::new();
        all.extend(self.ipv4.routes);
        all.extend(self.ipv6.routes);
        all.finish()
    }

    /// What it has of a family.
    pub const fn half(&self, family: Family) -> &Half {
        match family {
            Family::V4 => &self.ipv4,
            Family::V6 => &self.ipv6,
        }
    }

    /// Whether the network managers get a configuration for it. A NIC that the context
    /// says to skip stays with the root's own configuration. A NIC of which the context
    /// has only the name gets one, so that nobody waits for DHCP on it. A link with a VLAN
    /// does not: its addresses are not those of its device.
    pub fn is_managed(&self) -> bool {
        let is_managed = self.ipv4.is_managed() || self.ipv6.is_managed();
        let is_skipped = |half: &Half| half.method == Some(Method::Skip);
        self.vlan.is_none() && (is_managed || !is_skipped(&self.ipv4) && !is_skipped(&self.ipv6))
    }

    /// Whether it uses DHCP in one family, and something else in the other.
    pub fn uses_dhcp_in_one_family_alone(&self) -> bool {
        match self.ipv4.uses_dhcp() {
            true => self.ignores_router_advertisements(),
            false => self.ipv6.uses_dhcp(),
        }
    }

    /// Whether it uses DHCP.
    pub fn uses_dhcp(&self) -> bool {
        self.ipv4.uses_dhcp() || self.ipv6.uses_dhcp()
    }

    /// Whether its IPv6 configuration comes from router advertisements.
    pub fn uses_router_advertisements(&self) -> bool {
        matches!(self.ipv6.method, Some(Method::Auto | Method::Dhcp))
    }

    /// Whether the context has all addresses of a family: one that is there besides is
    /// not the machine's.
    pub fn has_all(&self, family: Family) -> bool {
        match family {
            Family::V4 => {
                self.has_address() && !matches!(self.ipv4.method, Some(Method::Dhcp | Method::Skip))
            }
            Family::V6 => self.ignores_router_advertisements(),
        }
    }

    /// Whether the context turns router advertisements off.
    pub fn ignores_router_advertisements(&self) -> bool {
        matches!(self.ipv6.method, Some(Method::Static | Method::Disable))
    }

    /// What the method of IPv6 means for the kernel: its parameters of the device
    /// (ip-sysctl, net/ipv6/conf) and their values. The others are left alone.
    /// `by_kernel`: whether the kernel, and not a network manager, handles router
    /// advertisements.
    pub const fn ipv6_sysctls(&self, by_kernel: bool) -> &'static [(&'static str, u32)] {
        match self.ipv6.method {
            Some(Method::Auto | Method::Dhcp) if by_kernel => {
                &[("disable_ipv6", 0), ("accept_ra", 1), ("autoconf", 1)]
            }
            Some(Method::Static | Method::Auto | Method::Dhcp) => {
                &[("disable_ipv6", 0), ("accept_ra", 0), ("autoconf", 0)]
            }
            Some(Method::Disable) => &[("disable_ipv6", 1)],
            Some(Method::Skip) | None => &[],
        }
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The metric that a route has when nobody names one.
    pub const fn default_metric(self) -> u32 {
        match self {
            Self::V4 => 0,
            Self::V6 => 1024,
        }
    }
}

/// What a link has of one address family.
#[derive(Clone, Copy)]
pub struct Half {
    /// How it is configured; `None` where the context says nothing.
    pub method: Option<Method>,
    /// Its own address, its unique local one (IPv6), those of its aliases.
    pub addresses: &'static [Prefix],
    /// Default routes first.
    pub routes: &'static [Route],
}

impl Half {
    /// Nothing.
    pub const NONE: Self = Self {
        method: None,
        addresses: &[],
        routes: &[],
    };

    /// Whether the address comes by DHCP.
    pub fn uses_dhcp(&self) -> bool {
        self.method == Some(Method::Dhcp)
    }

    /// Whether the context sets up this family, or turns it off.
    pub const fn is_managed(&self) -> bool {
        !matches!(self.method, None | Some(Method::Skip))
    }

    /// Whether a default route is among its routes.
    pub fn has_default_route(&self) -> bool {
        self.routes
            .iter()
            .any(|route| route.destination.is_default())
    }
}

/// How a link gets its configuration of one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By the addresses of the plan; router advertisements are ignored.
    Static,
    /// By DHCP; in IPv6 with router advertisements.
    Dhcp,
    /// Left alone.
    Skip,
    /// By router advertisements (SLAAC). Only in IPv6.
    Auto,
    /// Turned off. Only in IPv6.
    Disable,
}

/// An address, or a destination, with the length of its network part in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The address, host part included.
    pub address: IpAddr,
    /// 0 to 32 or to 128.
    pub length: u8,
}

impl Prefix {
    /// `0.0.0.0/0`.
    pub const DEFAULT_V4: Self = Self {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        length: 0,
    };
    /// `::/0`.
    pub const DEFAULT_V6: Self = Self {
        address: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        length: 0,
    };

    /// The destination of a default route, in the family of `like`.
    pub const fn everything(like: IpAddr) -> Self {
        match like {
            IpAddr::V4(_) => Self::DEFAULT_V4,
            IpAddr::V6(_) => Self::DEFAULT_V6,
        }
    }

    /// A single host.
    pub const fn host(address: IpAddr) -> Self {
        Self {
            address,
            length: if address.is_ipv4() { 32 } else { 128 },
        }
    }

    /// The network: host bits masked off.
    pub fn network(self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX
                    .checked_shl(32u32.saturating_sub(self.length.into()))
                    .unwrap_or(0);
                Ipv4Addr::from(u32::from(address) & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX
                    .checked_shl(128u32.saturating_sub(self.length.into()))
                    .unwrap_or(0);
                Ipv6Addr::from(u128::from(address) & mask).into()
            }
        };
        Self {
            address,
            length: self.length,
        }
    }

    /// An IPv4 address as a number, and the mask of its host bits; `None` for IPv6.
    pub fn ipv4_and_host_bits(self) -> Option<(u32, u32)> {
        match self.address {
            // A /32 has no host bits, and `checked_shr` refuses the shift by 32.
            IpAddr::V4(address) => Some((
                address.into(),
                u32::MAX.checked_shr(self.length.into()).unwrap_or(0),
            )),
            IpAddr::V6(_) => None,
        }
    }

    /// Whether `address` is in this network.
    pub fn covers(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && Self {
                address,
                length: self.length,
            }
            .network()
                == self.network()
    }

    /// The family of the address.
    pub const fn family(self) -> Family {
        Family::of(self.address)
    }

    /// Whether this is the destination of a default route.
    pub fn is_default(self) -> bool {
        self.length == 0
    }
}

/// One route of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to, host bits zero.
    pub destination: Prefix,
    /// The next hop; without one the destination is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The next hop is on the link although no address covers it.
    pub onlink: bool,
    /// The kernel's priority; 0 in IPv4 and 1024 in IPv6 are the usual ones.
    pub metric: u32,
}

/// What the context says of logins besides keys.
#[derive(Clone, Copy)]
pub struct Login {
    /// The shell of USERNAME, where that user is made.
    pub shell: Option<&'static [u8]>,
    /// Whether USERNAME may become any user by sudo(8), without a password.
    pub sudo: SudoRule,
    /// A user, and its new password.
    pub password: Option<(&'static [u8], Password)>,
}

impl Login {
    /// Nothing.
    pub const NONE: Self = Login {
        shell: None,
        sudo: SudoRule::None,
        password: None,
    };
}

/// Whether a rule for sudo(8) is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SudoRule {
    /// No.
    None,
    /// The context does not say; OpenNebula's own package then makes one.
    ByDefault,
    /// The context says so.
    Asked,
}

/// A new password. Never shown.
#[derive(Clone, Copy)]
pub enum Password {
    /// A hash of crypt(5).
    Crypted(&'static [u8]),
    /// The password itself, for the root's own hash method.
    Plain(&'static [u8]),
    /// A hash that no password has.
    Locked,
}

/// One line of an authorized_keys file.
#[derive(Clone, Copy)]
pub struct Key {
    /// The login name.
    pub user: &'static [u8],
    /// Options, type, blob, comment; trimmed, no newline.
    pub line: &'static [u8],
}

/// The scripts of a context. If they are not to be run, only their names are known:
/// `beside` and `variables` are empty, and no script has its content.
#[derive(Clone, Copy)]
pub struct Scripts {
    /// In the order in which they are run.
    pub list: &'static [Script],
    /// The files of the context, which scripts expect beside them: names and contents.
    pub beside: &'static [(&'static [u8], &'static [u8])],
    /// Every assignment of the context, byte for byte; the last one of a name counts.
    pub variables: &'static [(&'static [u8], &'static [u8])],
}

impl Scripts {
    /// Nothing is to be run.
    pub const NONE: Self = Self {
        list: &[],
        beside: &[],
        variables: &[],
    };
}

/// One script.
#[derive(Clone, Copy)]
pub struct Script {
    /// The variable that holds it, or the name of its file.
    pub name: &'static [u8],
    /// Whether it is a file of the disk. The name of a file has no slash.
    pub on_disk: bool,
    /// `None` if it was not read: it is not to be run, or an earlier one of the list is
    /// the same file.
    pub content: Option<&'static [u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(address: &str, length: u8) -> Prefix {
        Prefix {
            address: address.parse().unwrap(),
            length,
        }
    }

    #[test]
    fn networks() {
        assert_eq!(prefix("10.18.1.7", 24).network(), prefix("10.18.1.0", 24));
        assert_eq!(prefix("10.18.1.7", 0).network(), Prefix::DEFAULT_V4);
        assert_eq!(prefix("10.18.1.7", 32).network(), prefix("10.18.1.7", 32));
        assert_eq!(prefix("2001:db8::1", 0).network(), Prefix::DEFAULT_V6);
        assert_eq!(
            prefix("2001:db8:ffff::1", 33).network(),
            prefix("2001:db8:8000::", 33)
        );
        assert!(prefix("10.18.1.7", 24).covers("10.18.1.254".parse().unwrap()));
        assert!(!prefix("10.18.1.7", 24).covers("10.18.2.254".parse().unwrap()));
        assert!(!prefix("0.0.0.0", 0).covers("::1".parse().unwrap()));
    }
}
