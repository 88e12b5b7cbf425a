//! One link: its IPv6 parameters, MAC, MTU and state, its addresses and routes.
use rustix::io::Errno;
use ufmt::uwrite;

use super::devices::Binding;
use super::wire::Device;
use super::{Kernel, MatchedLink, connected, sysctl};
use crate::base::error::Error;
use crate::base::log::Level;
use crate::base::text::{Escaped, Mac};
use crate::plan::Ipv6Method;
use crate::plan::early::{self, EarlyDevice};

impl<'a> Kernel<'a, '_> {
    /// Applies one link. Gives it with the device that has its addresses, if it
    /// is to have any.
    pub(super) fn link(
        &mut self,
        matched: MatchedLink<'a>,
        set_mac: bool,
    ) -> Option<MatchedLink<'a>> {
        let link = matched.link;
        if link.ipv6 == Some(Ipv6Method::Dhcp) {
            self.say_no_dhcpv6(matched);
        }
        let matched = self.release(matched);
        let needed = link.uses_router_advertisements()
            && self.machine.accepts_router_advertisements(link)
            || self.machine.asks(link)
            || !link.addresses.is_empty()
            || !link.routes.is_empty();
        self.set_up(matched, needed, link.mac.filter(|_| set_mac));
        if !needed {
            return None;
        }
        let matched = match link.vlan {
            Some(id) => self.vlan(matched, id)?,
            None => matched,
        };
        self.add_addresses(matched);
        self.add_routes(matched);
        Some(matched)
    }

    /// Takes from devices what the early stage gave them and no link of this plan
    /// is for.
    pub(super) fn release_others(&mut self, bindings: &[Binding<'a>]) {
        for early in self.machine.early {
            let is_it = |device: &Device| device.name == early.name;
            if bindings.iter().any(|one| one.device.is_some_and(is_it)) {
                continue;
            }
            if let Some(device) = self.device(early.name) {
                self.take_back(early, device, b"");
            }
        }
    }

    /// Takes from a device what the early stage gave it and this plan does not
    /// say. An address that came by DHCP is asked for anew, by whose work that
    /// is, and so is what routers advertised; and the context may be another one
    /// than it was, since a machine may wait for days for its root.
    ///
    /// One that has only what the plan says stays up.
    fn release(&mut self, matched: MatchedLink<'a>) -> MatchedLink<'a> {
        let MatchedLink { link, device } = matched;
        let mut early = self.machine.early.iter();
        let Some(early) = early.find(|early| early.name == device.name) else {
            return matched;
        };
        let accepts_ra =
            link.uses_router_advertisements() && self.machine.accepts_router_advertisements(link);
        let mut now = self.arena.vector();
        early::describe(link, None, accepts_ra, &mut now);
        match self.take_back(early, device, &now) {
            true => MatchedLink {
                device: self.arena.place(Device {
                    up: false,
                    ..*device
                }),
                ..matched
            },
            false => matched,
        }
    }

    /// Takes from a device what it got and does not have `now`; `true` if there was
    /// something. The link goes down for that: so the kernel forgets the routes as
    /// well.
    fn take_back(&mut self, early: &EarlyDevice, device: &Device, now: &[u8]) -> bool {
        let stale = early.stale(self.arena, now);
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

    /// Sends the message, which takes something from a device.
    fn request_of_device(&mut self, device: &Device) {
        match self.socket.request(&mut self.message, &mut |_| {}) {
            Ok(()) => {}
            // Going down took IPv6 addresses along.
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

    /// Sets the IPv6 parameters, MAC and MTU, and the link up where that is
    /// `needed`, as far as that is not so yet.
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

    fn add_addresses(&mut self, matched: MatchedLink) {
        for prefix in matched.link.addresses {
            self.message
                .new_address(matched.device.index, *prefix, None);
            self.request("add an address", matched, prefix, Some(Errno::EXIST));
        }
    }

    fn add_routes(&mut self, matched: MatchedLink) {
        // Next hops need the networks on the link to be there.
        for by_gateway in [false, true] {
            for route in matched.link.routes {
                if route.gateway.is_some() == by_gateway && !connected(matched.link, route) {
                    self.message.new_route(matched.device.index, route, None);
                    self.request("add a route", matched, route, Some(Errno::EXIST));
                }
            }
        }
    }

    /// Sets what IPv6 does by itself.
    fn ipv6(&mut self, matched: MatchedLink) {
        const ROUTER_METRIC: &str = "ra_defrtr_metric";
        let by_kernel = u32::from(self.machine.accepts_router_advertisements(matched.link));
        // Without a value a parameter is left alone.
        let (is_off, accepts_ra) = match matched.link.ipv6 {
            Some(Ipv6Method::Auto | Ipv6Method::Dhcp) => (Some(0), Some(by_kernel)),
            Some(Ipv6Method::Static) => (Some(0), Some(0)),
            Some(Ipv6Method::Disable) => (Some(1), None),
            Some(Ipv6Method::Skip) => return,
            None => (None, None),
        };
        let Some(conf) = &self.machine.ipv6_conf else {
            if is_off == Some(0) {
                self.cannot_set("IPv6", matched, Errno::AFNOSUPPORT);
            }
            return;
        };
        for (name, value) in [
            (ROUTER_METRIC, Some(matched.link.router_metric())),
            ("disable_ipv6", is_off),
            ("accept_ra", accepts_ra),
            ("autoconf", accepts_ra),
        ] {
            let Some(value) = value else {
                continue;
            };
            match sysctl::set_ipv6(self.arena, conf, matched.device.name, name, value) {
                Ok(()) => {}
                // Before 5.12 a router's metric is not to be chosen.
                Err(Errno::NOENT) if name == ROUTER_METRIC => {}
                Err(errno) => return self.cannot_set(name, matched, errno),
            }
        }
    }

    fn cannot_set(&mut self, what: &str, matched: MatchedLink, errno: Errno) {
        let mut line = self.report.line();
        uwrite!(line, "set {} of {}: {}", what, matched, Error::from(errno));
        self.report.say(Level::Problem, line);
    }

    /// The link with its 802.1Q device, which is made if it is not there, and
    /// set up.
    fn vlan(&mut self, matched: MatchedLink<'a>, id: u16) -> Option<MatchedLink<'a>> {
        const LONGEST: usize = 15; // IFNAMSIZ of linux/if.h, without the NUL
        let mut name = self.arena.vector();
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
