//! A plan on a machine: which device each of its links is. Whoever finds the
//! devices makes it; the plan itself stays as it was read.
use core::net::{IpAddr, Ipv4Addr};

use super::{Link, Plan, Prefix, Route};
use crate::base::arena::Arena;

/// A plan and the devices of its links.
#[derive(Clone, Copy)]
pub struct BoundPlan<'a> {
    /// The plan.
    pub plan: &'a Plan<'a>,
    /// All of its links, in its order.
    pub links: &'a [BoundLink<'a>],
}

/// A link and its device.
#[derive(Clone, Copy)]
pub struct BoundLink<'a> {
    /// The link.
    pub link: &'a Link<'a>,
    /// The kernel's name of its device; `None` where none was found or none was
    /// looked for.
    pub device: Option<&'a [u8]>,
    /// The kernel's number of that device, if the kernel has what the plan says
    /// of the link.
    pub index: Option<u32>,
    /// What it got by DHCP, if the kernel has it.
    pub lease: Option<&'a Lease<'a>>,
}

impl BoundLink<'_> {
    /// Whether the kernel can reach anybody on it, or handles router advertisements.
    pub fn is_set_up(&self) -> bool {
        self.index.is_some()
            && (self.link.uses_router_advertisements()
                || self.lease.is_some()
                || !self.link.addresses.is_empty())
    }
}

impl<'a> BoundPlan<'a> {
    /// A plan whose links have no devices: none were looked for.
    pub fn unbound(arena: &'a Arena, plan: &'a Plan<'a>) -> Self {
        let mut links = arena.vector();
        for link in plan.links {
            links.push(BoundLink {
                link,
                device: None,
                index: None,
                lease: None,
            });
        }
        Self {
            plan,
            links: links.finish(),
        }
    }
}

/// What a server of DHCP has given to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease<'a> {
    /// The address, with the length of its network's prefix.
    pub address: Prefix,
    /// Who gave it.
    pub server: Ipv4Addr,
    /// How long it lasts; [`FOREVER`](Self::FOREVER) has no end.
    pub seconds: u32,
    /// The metric of its network and routes.
    pub metric: u32,
    /// On the link first.
    pub routes: &'a [Route],
    /// Name servers.
    pub dns: &'a [IpAddr],
    /// Search domains.
    pub search: &'a [&'a [u8]],
    /// In bytes.
    pub mtu: Option<u32>,
}

impl Lease<'_> {
    /// RFC 2131 3.3.
    pub const FOREVER: u32 = u32::MAX;
}

/// Who asks for the addresses that come by DHCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpClient {
    /// A network manager that the root enables.
    Manager,
    /// This program, and for DHCPv4 alone; systemd-networkd, which is enabled
    /// for this boot, keeps and renews what it gets.
    Networkd,
    /// This program, for DHCPv4 alone. Nobody renews.
    Alone,
    /// The same, before there is a root: the later stage decides anew.
    Early,
}
