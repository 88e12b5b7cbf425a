//! One link: its IPv6 parameters, MAC, MTU and state, its addresses and routes.
use rustix::io::Errno;
use ufmt::uwrite;

use super::wire::Device;
use super::{Kernel, MatchedLink, ROUTER_METRIC, connected, sysctl};
use crate::base::error::Error;
use crate::base::log::Level;
use crate::base::memory::Vector;
use crate::base::text::{Escaped, Mac};
use crate::plan::bound::Lease;
use crate::plan::{Method, Prefix, Route};

impl Kernel<'_> {
    /// Applies one link. Returns it with the device that carries its addresses; `None`
    /// if nothing is to be put on the device, or its VLAN device cannot be made.
    pub(super) fn link(&mut self, matched: MatchedLink, set_mac: bool) -> Option<MatchedLink> {
        let link = matched.link;
        if link.ipv6.uses_dhcp() {
            self.say_no_dhcpv6(matched);
        }
        let needed = self.machine.needs_device(link);
        self.set_up(matched, needed, link.mac.filter(|_| set_mac));
        if !needed {
            return None;
        }
        let matched = match link.vlan {
            Some(id) => self.vlan(matched, id)?,
            None => matched,
        };
        self.add_addresses(matched, link.addresses(), None);
        self.add_routes(matched, link.routes(), None);
        Some(matched)
    }

    /// Sets the IPv6 parameters, the MAC, the MTU and, if `needed`, the link up, each
    /// if it differs.
    fn set_up(&mut self, matched: MatchedLink, needed: bool, mac: Option<Mac>) {
        let MatchedLink { link, device } = matched;
        // Before the link goes up.
        self.ipv6(matched);
        if let Some(mac) = mac {
            self.message.set_mac(device.index, mac);
            self.request("set the MAC", matched, &mac, None);
        }
        if let Some(mtu) = link.mtu.filter(|mtu| *mtu != device.mtu) {
            self.message.set_mtu(device.index, mtu);
            self.request("set the MTU", matched, &mtu, None);
        }
        if needed && !device.up {
            self.message.set_up(device.index);
            self.request("set the link", matched, &"up", None);
        }
    }

    /// Adds addresses to a link; `lease` if they are of one.
    pub(super) fn add_addresses(
        &mut self,
        matched: MatchedLink,
        addresses: &[Prefix],
        lease: Option<&Lease>,
    ) {
        for prefix in addresses {
            (self.message).new_address(matched.device.index, *prefix, lease);
            self.request("add an address", matched, prefix, Some(Errno::EXIST));
        }
    }

    /// Adds routes to a link; `lease` if they are of one.
    pub(super) fn add_routes(
        &mut self,
        matched: MatchedLink,
        routes: &[Route],
        lease: Option<&Lease>,
    ) {
        // Routes without a gateway come first: the kernel accepts a next hop only if it
        // can reach it.
        for by_gateway in [false, true] {
            for route in routes {
                if route.gateway.is_some() == by_gateway && !connected(matched.link, route) {
                    self.message.new_route(matched.device.index, route, lease);
                    self.request("add a route", matched, route, Some(Errno::EXIST));
                }
            }
        }
    }

    /// Sets the IPv6 parameters of a link.
    fn ipv6(&mut self, matched: MatchedLink) {
        let MatchedLink { link, device } = matched;
        if link.ipv6.method == Some(Method::Skip) {
            return;
        }
        let Some(conf) = &self.machine.ipv6_conf else {
            if link.ipv6.is_managed() && link.ipv6.method != Some(Method::Disable) {
                self.cannot_set("IPv6", matched, Errno::AFNOSUPPORT);
            }
            return;
        };
        let of_routers = [(ROUTER_METRIC, link.router_metric())];
        for (name, value) in of_routers.iter().chain(self.machine.ipv6_by_method(link)) {
            match sysctl::set_ipv6(conf, device.name, name, *value) {
                Ok(()) => {}
                Err(Errno::NOENT) if *name == ROUTER_METRIC => {}
                Err(errno) => return self.cannot_set(name, matched, errno),
            }
        }
    }

    fn cannot_set(&mut self, what: &str, matched: MatchedLink, errno: Errno) {
        let mut line = self.report.line();
        uwrite!(line, "set {} of {}: {}", what, matched, Error::from(errno));
        self.report.say(Level::Problem, line);
    }

    /// Creates the 802.1Q device of a link if it is missing, and sets it up. Returns
    /// the link with that device.
    fn vlan(&mut self, matched: MatchedLink, id: u16) -> Option<MatchedLink> {
        let name = vlan_name(matched.device, id);
        let device = match self.device(name) {
            Some(device) => device,
            None => {
                self.message.new_vlan(matched.device.index, name, id);
                self.request(
                    "make a VLAN device",
                    matched,
                    &Escaped(name),
                    Some(Errno::EXIST),
                );
                self.device(name)?
            }
        };
        let matched = MatchedLink { device, ..matched };
        self.set_up(matched, true, None);
        Some(matched)
    }
}

/// The name of the VLAN device of a link on `device`.
pub fn vlan_name(device: &Device, id: u16) -> &'static [u8] {
    const LONGEST: usize = 15; // IFNAMSIZ of linux/if.h, without the NUL
    let mut name = Vector::new();
    uwrite!(name, "{}.{}", Escaped(device.name), id);
    if name.len() > LONGEST {
        name.clear();
        // Two NICs may have the same VLAN.
        uwrite!(name, "vlan{}.{}", id, device.index);
    }
    name.finish()
}
