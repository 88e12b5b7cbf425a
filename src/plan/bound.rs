//! A plan bound to a machine: the device of each of its links, and who does DHCP.
//! `kernel` makes it; the plan itself stays as it was read.
use core::net::{IpAddr, Ipv4Addr};

use super::device::Device;
use super::{Link, Plan, Prefix, Route};
use crate::base::memory::Vector;
use crate::base::text::Str;

/// A plan, the devices of its links, and who does DHCP.
#[derive(Clone, Copy)]
pub struct BoundPlan {
    /// The plan.
    pub plan: &'static Plan,
    /// All links of the plan, in its order.
    pub links: &'static [BoundLink],
    /// Who asks for the addresses that come by DHCP.
    pub dhcp: DhcpClient,
    /// Whether it was applied to the kernel.
    pub is_applied: bool,
}

/// A link, its devices and its lease.
#[derive(Clone, Copy)]
pub struct BoundLink {
    /// The link.
    pub link: &'static Link,
    /// Its device: the NIC, or the topmost device that this is a port of. `None` if none
    /// was found, or none was looked for.
    pub device: Option<&'static Device>,
    /// The NIC, if it is a port of another device.
    pub port: Option<&'static Device>,
    /// The device that carries what was put on it: its own, or the VLAN device on that.
    pub carrier: Option<&'static Device>,
    /// The lease that was applied to it.
    pub lease: Option<&'static Lease>,
}

impl BoundLink {
    /// A link without a device.
    pub const fn unbound(link: &'static Link) -> Self {
        Self {
            link,
            device: None,
            port: None,
            carrier: None,
            lease: None,
        }
    }

    /// The name of its device.
    pub fn device_name(&self) -> Option<&'static [u8]> {
        self.device.map(|device| &*device.name)
    }

    /// The addresses of the link and of its lease.
    pub fn addresses(&self) -> &'static [Prefix] {
        let mut all = Vector::new();
        all.extend(self.link.addresses());
        if let Some(lease) = self.lease {
            all.push(lease.address);
        }
        all.finish()
    }

    /// The routes of the link and of its lease.
    pub fn routes(&self) -> &'static [Route] {
        let mut all = Vector::new();
        all.extend(self.link.routes());
        if let Some(lease) = self.lease {
            all.extend(lease.routes);
        }
        all.finish()
    }

    /// Whether the kernel has an address on it, or handles its router advertisements.
    pub fn is_set_up(&self) -> bool {
        self.carrier.is_some()
            && (self.link.uses_router_advertisements()
                || self.lease.is_some()
                || self.link.has_address())
    }
}

impl BoundPlan {
    /// A plan whose links have no devices: none were looked for.
    pub fn unbound(plan: &'static Plan, dhcp: DhcpClient) -> Self {
        let mut links = Vector::new();
        for link in plan.links {
            links.push(BoundLink::unbound(link));
        }
        Self {
            plan,
            links: links.finish(),
            dhcp,
            is_applied: false,
        }
    }

    /// The links that the network managers configure, in the plan's order: none of which
    /// the NIC is a port of something that has no addresses.
    pub fn managed(&self) -> impl Iterator<Item = &'static BoundLink> {
        (self.links.iter())
            .filter(|one| one.link.is_managed() && (one.port.is_none() || one.device.is_some()))
    }
}

/// A DHCP lease of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address, with the length of its network's prefix.
    pub address: Prefix,
    /// The DHCP server.
    pub server: Ipv4Addr,
    /// The lease time in seconds; [`FOREVER`](Self::FOREVER) has no end.
    pub seconds: u32,
    /// The metric of the route to its network, and of its routes.
    pub metric: u32,
    /// Its routes. A host route to a gateway comes before the routes that use it.
    pub routes: &'static [Route],
    /// Name servers.
    pub dns: &'static [IpAddr],
    /// Search domains.
    pub search: &'static [&'static [u8]],
    /// The MTU in bytes.
    pub mtu: Option<u32>,
}

impl Lease {
    /// The lease time that means infinity (RFC 2131 3.3).
    pub const FOREVER: u32 = u32::MAX;
}

/// Who asks for the addresses that come by DHCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpClient {
    /// The network manager of this name, which the root enables.
    Manager(Str),
    /// This program, for DHCPv4 only. systemd-networkd keeps and renews the leases: its
    /// unit at this path is enabled for this boot.
    Networkd(&'static [u8]),
    /// This program, for DHCPv4 only. Nobody renews the leases.
    Alone,
    /// This program in the early stage, for DHCPv4 only. The later stage decides again.
    Early,
}
