//! One link: its IPv6 parameters, MAC, MTU and state, its addresses and routes.
use rustix::io::Errno;
use ufmt::uwrite;

use super::target::Target;
use super::{Kernel, ROUTER_METRIC, connected, sysctl};
use crate::base::error::Error;
use crate::base::log::Level;
use crate::base::memory::Vector;
use crate::base::text::{Escaped, Mac};
use crate::plan::bound::{BoundLink, Lease};
use crate::plan::device::{Device, DeviceName};
use crate::plan::{Method, Prefix, Route};

impl Kernel<'_> {
    /// Applies one link. Returns the device that carries its addresses; `None` if there is
    /// none, nothing is to be put on it, or its VLAN device cannot be made.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    pub(super) fn link(&mut self, bound: &BoundLink) -> Option<&'static Device> {
        let (link, device) = (bound.link, bound.device?);
        let target = Target { link, device };
        if link.ipv6.uses_dhcp() {
            self.say_no_dhcpv6(target);
        }
        let needed = self.machine.needs_device(link);
        // A PCI link may be at a device with another MAC.
        self.set_up(
            target,
            needed,
            link.mac
                .filter(|mac| bound.port.is_none() && Some(*mac) != device.mac),
        );
        if !needed {
            return None;
        }
        if let Some(device) = bound.port.filter(|port| !port.up) {
            self.message.set_up(device.index);
            self.request("set the link", Target { link, device }, &"up", None);
        }
        let target = match link.vlan {
            Some(id) => self.vlan(target, id)?,
            None => target,
        };
        self.add_addresses(target, link.addresses(), None);
        self.add_routes(target, link.routes(), None);
        Some(target.device)
    }

    /// Sets the IPv6 parameters, the MAC, the MTU and, if `needed`, the link up, each
    /// if it differs.
    fn set_up(&mut self, target: Target, needed: bool, mac: Option<Mac>) {
        let Target { link, device } = target;
        // Before the link goes up.
        self.ipv6(target);
        if let Some(mac) = mac {
            self.message.set_mac(device.index, mac);
            self.request("set the MAC", target, &mac, None);
        }
        if let Some(mtu) = link.mtu.filter(|mtu| *mtu != device.mtu) {
            self.message.set_mtu(device.index, mtu);
            self.request("set the MTU", target, &mtu, None);
        }
        if needed && !device.up {
            self.message.set_up(device.index);
            self.request("set the link", target, &"up", None);
        }
    }

    /// Adds addresses to a link; `lease` if they are of one.
    pub(super) fn add_addresses(
        &mut self,
        target: Target,
        addresses: &[Prefix],
        lease: Option<&Lease>,
    ) {
        for prefix in addresses {
            (self.message).new_address(target.device.index, *prefix, lease);
            self.request("add an address", target, prefix, Some(Errno::EXIST));
        }
    }

    /// Adds routes to a link; `lease` if they are of one.
    pub(super) fn add_routes(&mut self, target: Target, routes: &[Route], lease: Option<&Lease>) {
        // Routes without a gateway come first: the kernel accepts a next hop only if it
        // can reach it.
        for by_gateway in [false, true] {
            for route in routes {
                if route.gateway.is_some() == by_gateway && !connected(target.link, route) {
                    self.message.new_route(target.device.index, route, lease);
                    self.request("add a route", target, route, Some(Errno::EXIST));
                }
            }
        }
    }

    /// Sets the IPv6 parameters of a link.
    fn ipv6(&mut self, target: Target) {
        let Target { link, device } = target;
        if link.ipv6.method == Some(Method::Skip) {
            return;
        }
        let conf = match &self.machine.ipv6_conf {
            Ok(conf) => conf,
            Err(errno) => {
                if link.ipv6.is_managed() && link.ipv6.method != Some(Method::Disable) {
                    self.cannot_set("IPv6", target, *errno);
                }
                return;
            }
        };
        // The second one only turns default routes off.
        let of_routers = [
            (ROUTER_METRIC, link.router_metric()),
            ("accept_ra_defrtr", 0),
        ];
        let count = 1 + usize::from(link.no_default_route);
        let mut all = Vector::new();
        all.extend(of_routers.get(..count).unwrap_or_default());
        all.extend(self.machine.ipv6_by_method(link));
        for (name, value) in all.iter() {
            match sysctl::set_ipv6(conf, &device.name, name, *value) {
                Ok(()) => {}
                Err(Errno::NOENT) if *name == ROUTER_METRIC => {}
                Err(errno) => return self.cannot_set(name, target, errno),
            }
        }
    }

    fn cannot_set(&mut self, what: &str, target: Target, errno: Errno) {
        let mut line = self.report.line();
        uwrite!(line, "set {} of {}: {}", what, target, Error::from(errno));
        self.report.say(Level::Problem, line);
    }

    /// Creates the 802.1Q device of a link if it is missing, and sets it up. Returns
    /// the link with that device.
    fn vlan(&mut self, target: Target, id: u16) -> Option<Target> {
        let name = vlan_name(target.device, id);
        let device = match self.device(name) {
            Some(device) => device,
            None => {
                self.message.new_vlan(target.device.index, name, id);
                self.request(
                    "make a VLAN device",
                    target,
                    &Escaped(name),
                    Some(Errno::EXIST),
                );
                self.device(name)?
            }
        };
        let target = Target { device, ..target };
        self.set_up(target, true, None);
        Some(target)
    }
}

/// The name of the VLAN device of a link on `device`.
pub fn vlan_name(device: &Device, id: u16) -> &'static [u8] {
    let mut name = Vector::new();
    uwrite!(name, "{}.{}", device.name, id);
    if name.len() > DeviceName::LONGEST {
        name.clear();
        // Two NICs may have the same VLAN.
        uwrite!(name, "vlan{}.{}", id, device.index);
    }
    name.finish()
}
