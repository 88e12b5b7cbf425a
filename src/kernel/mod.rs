//! Makes the running kernel agree with a plan: addresses, routes, MTU and
//! link state by rtnetlink, a few IPv6 parameters, the host name. Doing it
//! twice changes nothing.
mod devices;
mod socket;
mod sysctl;
pub mod wire;

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use ufmt::{Formatter, uDisplay, uWrite, uwrite};

use crate::base::arena::{Arena, Set, Vector};
use crate::base::error::Error;
use crate::base::log::{Level, Report};
use crate::base::text::{Escaped, Format, Mac, format};
use crate::plan::{Ipv4Method, Ipv6Method, Link, Plan, Prefix, Route};
use devices::{Match, assign};
use socket::Socket;
use wire::{Device, Message, Reply};

/// What this room touches beside its own socket.
pub struct Machine {
    /// /proc/sys/net/ipv6/conf; `None` where the kernel has no IPv6.
    pub ipv6_conf: Option<OwnedFd>,
    /// /sys/class/net; `None` where it cannot be read.
    pub sys_net: Option<OwnedFd>,
    /// DHCP is somebody else's work.
    pub dhcp_managed: bool,
    /// What routers advertise is somebody else's work.
    pub routers_managed: bool,
}

/// Applies the network part of a plan and says what the kernel then has.
/// `wait` sleeps a moment while a NIC that is missing may still come, and
/// says `false` when there is nothing to wait for.
///
/// Gives the plan's links back, those with a device with its name.
pub fn apply<'a>(
    arena: &'a Arena,
    plan: &Plan<'a>,
    machine: &Machine,
    wait: &mut dyn FnMut() -> bool,
    report: &mut Report<'a>,
) -> &'a [Link<'a>] {
    if plan.links.is_empty() {
        return plan.links;
    }
    let Some(mut kernel) = Kernel::open(arena, machine, report) else {
        return plan.links;
    };
    let matches = kernel.find(plan.links, wait);
    let mut applied = arena.vector();
    for (link, found) in plan.links.iter().zip(matches.iter()) {
        if let Some(device) = found.device
            && let Some(on) = kernel.link(On { link, device }, found.set_mac)
        {
            applied.push(on);
        }
    }
    kernel.read_back(&applied);
    links(arena, plan, &matches, true)
}

/// Finds the devices of the links and applies nothing.
pub fn find<'a>(
    arena: &'a Arena,
    plan: &Plan<'a>,
    machine: &Machine,
    report: &mut Report<'a>,
) -> &'a [Link<'a>] {
    match Kernel::open(arena, machine, report) {
        Some(mut kernel) => {
            let matches = kernel.find(plan.links, &mut || false);
            links(arena, plan, &matches, false)
        }
        None => plan.links,
    }
}

/// The links with what is known of their devices.
fn links<'a>(
    arena: &'a Arena,
    plan: &Plan<'a>,
    matches: &[Match<'a>],
    applied: bool,
) -> &'a [Link<'a>] {
    let mut links = arena.vector();
    for (link, found) in plan.links.iter().zip(matches) {
        let index = found.device.filter(|_| applied);
        links.push(Link {
            device: found.device.map(|device| device.name),
            index: index.map_or(0, |device| device.index),
            ..*link
        });
    }
    links.finish()
}

/// Sets the host name (sethostname(2)), if it differs.
pub fn set_hostname(plan: &Plan, report: &mut Report) {
    let Some(name) = plan.hostname else { return };
    if rustix::system::uname().nodename().to_bytes() == name {
        return;
    }
    if let Err(errno) = rustix::system::sethostname(name) {
        report.problem("set the host name", name, errno);
    }
}

struct Kernel<'a, 'k> {
    arena: &'a Arena,
    socket: Socket<'a>,
    message: Message,
    machine: &'k Machine,
    report: &'k mut Report<'a>,
}

impl<'a, 'k> Kernel<'a, 'k> {
    fn open(arena: &'a Arena, machine: &'k Machine, report: &'k mut Report<'a>) -> Option<Self> {
        match Socket::open(arena) {
            Ok(socket) => Some(Self {
                arena,
                socket,
                message: Message::new(),
                machine,
                report,
            }),
            Err(errno) => {
                report.problem("open a netlink socket", b"NETLINK_ROUTE", errno);
                None
            }
        }
    }

    /// Matches links and devices, again and again while some may come late.
    fn find(
        &mut self,
        links: &[Link<'a>],
        wait: &mut dyn FnMut() -> bool,
    ) -> Vector<'a, Match<'a>> {
        loop {
            let physical = self.devices(|device| device.physical);
            let sys_net = self.machine.sys_net.as_ref().map(AsFd::as_fd);
            let matches = assign(self.arena, links, physical, sys_net);
            if matches.iter().all(|found| found.device.is_some()) || !wait() {
                for (link, found) in links.iter().zip(matches.iter()) {
                    if !found.problem.is_empty() {
                        self.mismatch(link, found.problem, physical);
                    }
                }
                return matches;
            }
        }
    }

    fn mismatch(&mut self, link: &Link<'a>, problem: &str, physical: &[Device<'a>]) {
        let mut line = self.report.line();
        uwrite!(line, "find the device of {}", link.name);
        if let Some(mac) = link.mac {
            uwrite!(line, " ({})", mac);
        }
        if let Some(pci) = link.pci {
            uwrite!(line, " at {}", Escaped(pci));
        }
        uwrite!(line, ": {}", problem);
        let mut separator = "; there are: ";
        for device in physical {
            uwrite!(line, "{}{}", separator, Escaped(device.name));
            if let Some(mac) = device.mac {
                uwrite!(line, " {}", mac);
            }
            separator = ", ";
        }
        if physical.is_empty() {
            uwrite!(
                line,
                "; there is no network card: is its driver in the initramfs?"
            );
        }
        self.report.say(Level::Problem, line);
    }

    /// The devices that are `wanted`.
    fn devices(&mut self, wanted: fn(&Device) -> bool) -> &'a [Device<'a>] {
        let arena = self.arena;
        let mut devices = arena.vector();
        self.message.links();
        self.list("list the network devices: RTM_GETLINK", &mut |answer| {
            if let Some(device) = answer.link().filter(wanted) {
                let name = arena.copy(device.name);
                devices.push(Device { name, ..device });
            }
        });
        devices.finish()
    }

    /// Sends the message, which asks for a list. `false`: it was refused.
    fn list(&mut self, step: &str, each: &mut dyn FnMut(&Reply)) -> bool {
        match self.socket.request(&mut self.message, each) {
            Ok(()) => true,
            Err(refusal) => {
                let mut line = self.report.line();
                uwrite!(line, "{}: {}", step, refusal);
                self.report.say(Level::Problem, line);
                false
            }
        }
    }

    /// Applies one link. Gives it with the device that has its addresses.
    fn link(&mut self, on: On<'a>, set_mac: bool) -> Option<On<'a>> {
        let link = on.link;
        let by_dhcp = link.ipv4 == Some(Ipv4Method::Dhcp) || link.ipv6 == Some(Ipv6Method::Dhcp);
        if by_dhcp && !self.machine.dhcp_managed {
            let mut line = self.report.line();
            uwrite!(
                line,
                "{}: DHCP is not done: enable a network manager in the image, or list addresses",
                link.name
            );
            self.report.say(Level::Problem, line);
        }
        let by_router = matches!(link.ipv6, Some(Ipv6Method::Auto | Ipv6Method::Dhcp))
            && !self.machine.routers_managed;
        let needed = by_router || !link.addresses.is_empty() || !link.routes.is_empty();
        self.set_up(on, needed, link.mac.filter(|_| set_mac));
        if !needed {
            return None;
        }
        let on = match link.vlan {
            Some(id) => {
                let device = self.vlan(on, id)?;
                self.set_up(On { link, device }, true, None);
                On { link, device }
            }
            None => on,
        };
        let index = on.device.index;
        for prefix in link.addresses {
            self.message.new_address(index, *prefix);
            self.request("add an address", on, prefix);
        }
        // Next hops need the networks on the link to be there.
        for by_gateway in [false, true] {
            for route in link.routes {
                if route.gateway.is_some() == by_gateway && !connected(link, route) {
                    self.message.new_route(index, route);
                    self.request("add a route", on, route);
                }
            }
        }
        Some(on)
    }

    /// Sets the IPv6 parameters, MAC and MTU and raises the link, as far as
    /// that is not so yet.
    fn set_up(&mut self, on: On, needed: bool, mac: Option<Mac>) {
        let On { link, device } = on;
        // Before the link goes up.
        self.ipv6(on);
        if let Some(mac) = mac {
            self.message.set_mac(device.index, mac);
            self.request("set the MAC", on, &mac);
        }
        if let Some(mtu) = link.mtu.filter(|mtu| *mtu != device.mtu) {
            self.message.set_mtu(device.index, mtu);
            self.request("set the MTU", on, &mtu);
        }
        if needed && !device.up {
            self.message.set_up(device.index);
            self.request("raise the link", on, &"up");
        }
    }

    /// Sets what IPv6 does by itself.
    fn ipv6(&mut self, on: On) {
        const NAMES: [&str; 4] = ["ra_defrtr_metric", "disable_ipv6", "accept_ra", "autoconf"];
        let metric = on.link.router_metric();
        let by_kernel = u32::from(!self.machine.routers_managed);
        let values: &[u32] = match on.link.ipv6 {
            Some(Ipv6Method::Auto | Ipv6Method::Dhcp) => &[metric, 0, by_kernel, by_kernel],
            Some(Ipv6Method::Static) => &[metric, 0, 0, 0],
            Some(Ipv6Method::Disable) => &[metric, 1],
            Some(Ipv6Method::Skip) => &[],
            None => &[metric],
        };
        for (name, value) in NAMES.iter().zip(values) {
            let result = match &self.machine.ipv6_conf {
                Some(conf) => sysctl::set_ipv6(self.arena, conf, on.device.name, name, *value),
                // Without IPv6 it is disabled already.
                None if values.len() <= 2 => Ok(()),
                None => Err(Errno::AFNOSUPPORT),
            };
            if let Err(errno) = result {
                // Before 5.12 a router's metric is not to be chosen.
                if *value == metric && errno == Errno::NOENT {
                    continue;
                }
                let mut line = self.report.line();
                uwrite!(line, "set {} of {}: {}", *name, on, Error::from(errno));
                self.report.say(Level::Problem, line);
                return;
            }
        }
    }

    /// The 802.1Q device of a PCI link; made if it is not there.
    fn vlan(&mut self, on: On, id: u16) -> Option<&'a Device<'a>> {
        const LONGEST: usize = 15; // IFNAMSIZ of linux/if.h, without the NUL
        let mut name = self.arena.vector();
        uwrite!(name, "{}.{}", Escaped(on.device.name), id);
        if name.len() > LONGEST {
            name.clear();
            uwrite!(name, "vlan{}", id);
        }
        for attempt in 0..2 {
            let devices = self.devices(|_| true);
            let made = devices.iter().find(|device| *device.name == *name);
            if made.is_some() || attempt > 0 {
                return made;
            }
            self.message.new_vlan(on.device.index, &name, id);
            self.request("make a VLAN device", on, &Escaped(&name));
        }
        None
    }

    /// Sends the message, which changes something of `operand`.
    fn request(&mut self, step: &str, on: On, operand: &dyn Format) {
        match self.socket.request(&mut self.message, &mut |_| {}) {
            Ok(()) => {}
            // It is there already.
            Err(refusal) if refusal.errno == Errno::EXIST => {}
            Err(refusal) => {
                let mut line = self.report.line();
                uwrite!(line, "{}: ", step);
                operand.append_to(&mut line);
                uwrite!(line, " of {}: {}", on, refusal);
                self.report.say(Level::Problem, line);
            }
        }
    }

    /// Compares what the kernel has now with the plan, and says it.
    fn read_back(&mut self, applied: &[On<'a>]) {
        let arena = self.arena;
        let mut addresses = Set::new(arena);
        let mut routes = Set::new(arena);
        self.message.addresses();
        let listed = self.list("list the addresses: RTM_GETADDR", &mut |answer| {
            if let Some((index, prefix)) = answer.address() {
                addresses.insert(index, format(arena, &prefix));
            }
        });
        if !listed {
            return;
        }
        self.message.routes();
        let listed = self.list("list the routes: RTM_GETROUTE", &mut |answer| {
            if let Some((index, route)) = answer.route() {
                routes.insert(index, format(arena, &by_itself(&route)));
            }
        });
        if !listed {
            return;
        }
        for on in applied {
            let (link, index) = (on.link, on.device.index);
            let mut has = self.report.line();
            uwrite!(has, "{} is {}:", link.name, Escaped(on.device.name));
            for prefix in link.addresses {
                if addresses.contains(index, format(arena, prefix)) {
                    uwrite!(has, " {}", *prefix);
                } else {
                    self.lacks(*on, "address", prefix);
                }
            }
            for route in link.routes {
                if connected(link, route)
                    || routes.contains(index, format(arena, &by_itself(route)))
                {
                    uwrite!(has, ", {}", *route);
                } else {
                    self.lacks(*on, "route", route);
                }
            }
            self.report.say(Level::Note, has);
        }
    }

    fn lacks(&mut self, on: On, kind: &str, missing: &dyn Format) {
        let mut line = self.report.line();
        uwrite!(line, "{}: the kernel does not have the {} ", on, kind);
        missing.append_to(&mut line);
        self.report.say(Level::Problem, line);
    }
}

/// Whether an address of the link brings this route along.
fn connected(link: &Link, route: &Route) -> bool {
    let brings = |prefix: &Prefix| prefix.network() == route.destination;
    route.gateway.is_none() && link.addresses.iter().any(brings)
}

/// The route without a word on its next hop: the kernel may call that on the
/// link although it need not, and in IPv6 it drops the word.
fn by_itself(route: &Route) -> Route {
    Route {
        onlink: false,
        ..*route
    }
}

/// A link with its device: `ETH0 (ens3)`.
#[derive(Clone, Copy)]
struct On<'o> {
    link: &'o Link<'o>,
    device: &'o Device<'o>,
}

impl uDisplay for On<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        self.link.name.fmt(f)?;
        f.write_str(" (")?;
        Escaped(self.device.name).fmt(f)?;
        f.write_str(")")
    }
}
