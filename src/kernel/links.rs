//! One link: its IPv6 parameters, MAC, MTU and state, its addresses and routes.
use rustix::io::Errno;
use ufmt::uwrite;

use super::devices::Binding;
use super::wire::Device;
use super::{Kernel, MatchedLink, connected, sysctl};
use crate::base::error::Error;
use crate::base::log::Level;
use crate::base::memory::{self, Vector};
use crate::base::text::{Escaped, Mac};
use crate::plan::bound::Lease;
use crate::plan::early::{self, EarlyDevice};
use crate::plan::{Method, Prefix, Route};

impl Kernel<'_> {
    /// Applies one link. Returns it with the device that carries its addresses; `None`
    /// if nothing is to be put on the device, or its VLAN device cannot be made.
    pub(super) fn link(&mut self, matched: MatchedLink, set_mac: bool) -> Option<MatchedLink> {
        let link = matched.link;
        if link.ipv6.uses_dhcp() {
            self.say_no_dhcpv6(matched);
        }
        let matched = self.release(matched);
        let (addresses, routes) = (link.addresses(), link.routes());
        let needed = link.uses_router_advertisements()
            && self.machine.accepts_router_advertisements(link)
            || self.machine.asks(link)
            || !addresses.is_empty()
            || !routes.is_empty();
        self.set_up(matched, needed, link.mac.filter(|_| set_mac));
        if !needed {
            return None;
        }
        let matched = match link.vlan {
            Some(id) => self.vlan(matched, id)?,
            None => matched,
        };
        self.add_addresses(matched, addresses, None);
        self.add_routes(matched, routes, None);
        Some(matched)
    }

    /// Undoes what the early stage set on devices that no link of this plan uses.
    pub(super) fn release_others(&mut self, bindings: &[Binding]) {
        for early in self.machine.early {
            let mut bound = bindings.iter().flatten();
            if bound.any(|bound| bound.device.name == early.name) {
                continue;
            }
            if let Some(device) = self.device(early.name) {
                self.take_back(early, device, b"");
            }
        }
    }

    /// Undoes what the early stage set on a device and this plan does not contain. The
    /// context may have changed in between: a machine may wait for days for its root.
    ///
    /// The address of a lease is always removed: the DHCP client of the booted system
    /// asks for one again. What routers advertised is removed unless the kernel goes on
    /// handling it.
    ///
    /// A device with nothing to undo stays up.
    fn release(&mut self, matched: MatchedLink) -> MatchedLink {
        let MatchedLink { link, device } = matched;
        let mut early = self.machine.early.iter();
        let Some(early) = early.find(|early| early.name == device.name) else {
            return matched;
        };
        let accepts_ra =
            link.uses_router_advertisements() && self.machine.accepts_router_advertisements(link);
        let mut now = Vector::new();
        early::describe(link, None, accepts_ra, &mut now);
        match self.take_back(early, device, &now) {
            true => MatchedLink {
                device: memory::place(Device {
                    up: false,
                    ..*device
                }),
                ..matched
            },
            false => matched,
        }
    }

    /// Undoes what the early stage set on a device and is not in `now`; returns `true`
    /// if there was something. The link then goes down, so that the kernel drops its
    /// routes too.
    fn take_back(&mut self, early: &EarlyDevice, device: &Device, now: &[u8]) -> bool {
        let stale = early.stale(now);
        if stale.is_empty() {
            return false;
        }
        if device.up {
            self.message.set_down(device.index);
            self.request_of_device(device);
        }
        for prefix in stale.iter().filter_map(|line| early::address(line)) {
            self.message.delete_address(device.index, prefix);
            self.request_of_device(device);
        }
        true
    }

    /// Sends the message, which undoes something on a device.
    fn request_of_device(&mut self, device: &Device) {
        match self.socket.request(&mut self.message, &mut |_| {}) {
            Ok(()) => {}
            // Setting the link down has removed the IPv6 addresses.
            Err(nack) if nack.errno == Errno::ADDRNOTAVAIL => {}
            Err(nack) => {
                let mut line = self.report.line();
                let name = Escaped(device.name);
                uwrite!(
                    line,
                    "take back what the early stage gave {}: {}",
                    name,
                    nack
                );
                self.report.say(Level::Problem, line);
            }
        }
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
        const ROUTER_METRIC: &str = "ra_defrtr_metric";
        let MatchedLink { link, device } = matched;
        if link.ipv6.method == Some(Method::Skip) {
            return;
        }
        let by_kernel = self.machine.accepts_router_advertisements(link);
        let Some(conf) = &self.machine.ipv6_conf else {
            if link.ipv6.is_managed() && link.ipv6.method != Some(Method::Disable) {
                self.cannot_set("IPv6", matched, Errno::AFNOSUPPORT);
            }
            return;
        };
        let of_routers = [(ROUTER_METRIC, link.router_metric())];
        for (name, value) in of_routers.iter().chain(link.ipv6_sysctls(by_kernel)) {
            match sysctl::set_ipv6(conf, device.name, name, *value) {
                Ok(()) => {}
                // Kernels before 5.12 do not have it.
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
        const LONGEST: usize = 15; // IFNAMSIZ of linux/if.h, without the NUL
        let mut name = Vector::new();
        uwrite!(name, "{}.{}", Escaped(matched.device.name), id);
        if name.len() > LONGEST {
            name.clear();
            // Two NICs may have the same VLAN.
            uwrite!(name, "vlan{}.{}", id, matched.device.index);
        }
        let device = match self.device(&name) {
            Some(device) => device,
            None => {
                self.message.new_vlan(matched.device.index, &name, id);
                self.request(
                    "make a VLAN device",
                    matched,
                    &Escaped(&name),
                    Some(Errno::EXIST),
                );
                self.device(&name)?
            }
        };
        let matched = MatchedLink { device, ..matched };
        self.set_up(matched, true, None);
        Some(matched)
    }
}
