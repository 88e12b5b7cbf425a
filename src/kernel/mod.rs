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

use crate::memory::{Arena, Set, Table};
use crate::plan::{Ipv4Method, Ipv6Method, Link, Plan, Prefix, Route};
use crate::report::{Level, Report, shown};
use crate::text::{Mac, Reason, Show, Shown};
use devices::{Match, assign};
use socket::Socket;
use wire::{Answer, Device, Message};

/// What this room touches beside its own socket.
pub struct Machine {
    /// /proc/sys/net/ipv6/conf; `None` where the kernel has no IPv6.
    pub ipv6_conf: Option<OwnedFd>,
    /// /sys/class/net; `None` where it cannot be read.
    pub sys_net: Option<OwnedFd>,
    /// What comes by DHCP and from routers is somebody else's work.
    pub managed: bool,
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
    let mut applied = arena.table();
    for found in matches.iter() {
        if let Some(device) = kernel.link(found) {
            applied.push((found.link, device));
        }
    }
    kernel.read_back(&applied);
    links(arena, &matches, true)
}

/// Finds the devices of the links and applies nothing.
pub fn find<'a>(
    arena: &'a Arena,
    plan: &Plan<'a>,
    machine: &Machine,
    report: &mut Report<'a>,
) -> &'a [Link<'a>] {
    match Kernel::open(arena, machine, report) {
        Some(mut kernel) => links(arena, &kernel.find(plan.links, &mut || false), false),
        None => plan.links,
    }
}

fn links<'a>(arena: &'a Arena, matches: &[Match<'a>], applied: bool) -> &'a [Link<'a>] {
    let mut links = arena.table();
    for found in matches {
        let device = found.found.filter(|_| applied);
        let index = device.map_or(0, |device| device.index);
        links.push(Link {
            index,
            ..found.link
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
    fn find(&mut self, links: &[Link<'a>], wait: &mut dyn FnMut() -> bool) -> Table<'a, Match<'a>> {
        loop {
            let devices = self.devices();
            let sys_net = self.machine.sys_net.as_ref().map(AsFd::as_fd);
            let matches = assign(self.arena, links, &devices, sys_net);
            if matches.iter().all(|found| found.found.is_some()) || !wait() {
                for found in matches.iter().filter(|found| !found.problem.is_empty()) {
                    self.mismatch(found, &devices);
                }
                return matches;
            }
        }
    }

    fn mismatch(&mut self, found: &Match<'a>, devices: &[Device<'a>]) {
        let mut line = self.report.line();
        uwrite!(line, "find the device of {}", found.link.name);
        if let Some(mac) = found.link.mac {
            uwrite!(line, " ({})", mac);
        }
        if let Some(pci) = found.link.pci {
            uwrite!(line, " at {}", Shown(pci));
        }
        uwrite!(line, ": {}", found.problem);
        let mut separator = "; there are: ";
        for device in devices.iter().filter(|device| device.physical) {
            uwrite!(line, "{}{}", separator, Shown(device.name));
            if let Some(mac) = device.mac {
                uwrite!(line, " {}", mac);
            }
            separator = ", ";
        }
        if separator != ", " {
            uwrite!(
                line,
                "; there is no network card: is its driver in the initramfs?"
            );
        }
        self.report.say(Level::Problem, line);
    }

    fn devices(&mut self) -> Table<'a, Device<'a>> {
        let arena = self.arena;
        let mut devices = arena.table();
        self.message.links();
        self.list("list the network devices: RTM_GETLINK", &mut |answer| {
            if let Some(device) = answer.link() {
                let name = arena.copy(device.name);
                devices.push(Device { name, ..device });
            }
        });
        devices
    }

    /// Sends the message, which asks for a list. `false`: it was refused.
    fn list(&mut self, step: &str, each: &mut dyn FnMut(&Answer)) -> bool {
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

    /// Applies one link. Gives the device that has its addresses.
    fn link(&mut self, found: &Match<'a>) -> Option<Device<'a>> {
        let link = &found.link;
        let mut device = found.found?;
        if link.ipv4 == Some(Ipv4Method::Dhcp) && !self.machine.managed {
            let mut line = self.report.line();
            uwrite!(
                line,
                "{}: DHCP is not done here, a network manager in the root must do it",
                link.name
            );
            self.report.say(Level::Problem, line);
        }
        let by_router =
            matches!(link.ipv6, Some(Ipv6Method::Auto | Ipv6Method::Dhcp)) && !self.machine.managed;
        let needed = by_router || !link.addresses.is_empty() || !link.routes.is_empty();
        self.raise(link, &device, needed, link.mac.filter(|_| found.set_mac));
        if !needed {
            return None;
        }
        if let Some(id) = link.vlan {
            device = self.vlan(link, &device, id)?;
            self.raise(link, &device, true, None);
        }
        for prefix in link.addresses {
            self.message.new_address(device.index, *prefix);
            self.request("add an address", link, &device, prefix);
        }
        // Next hops need the networks on the link to be there.
        for by_gateway in [false, true] {
            for route in link.routes {
                if route.gateway.is_some() == by_gateway && !connected(link, route) {
                    self.message.new_route(device.index, route);
                    self.request("add a route", link, &device, route);
                }
            }
        }
        Some(device)
    }

    /// Sets what IPv6 does by itself, before the link goes up.
    fn ipv6(&mut self, link: &Link, device: &[u8]) {
        let values: &[(&[u8], u8)] = match link.ipv6 {
            Some(Ipv6Method::Auto | Ipv6Method::Dhcp) if !self.machine.managed => {
                &[(b"disable_ipv6", 0), (b"accept_ra", 1), (b"autoconf", 1)]
            }
            Some(Ipv6Method::Static | Ipv6Method::Auto | Ipv6Method::Dhcp) => {
                &[(b"disable_ipv6", 0), (b"accept_ra", 0), (b"autoconf", 0)]
            }
            Some(Ipv6Method::Disable) => &[(b"disable_ipv6", 1)],
            Some(Ipv6Method::Skip) | None => &[],
        };
        for (name, value) in values {
            let result = match &self.machine.ipv6_conf {
                Some(conf) => sysctl::set_ipv6(self.arena, conf.as_fd(), device, name, *value),
                // Without IPv6 it is disabled already.
                None if link.ipv6 == Some(Ipv6Method::Disable) => Ok(()),
                None => Err(Errno::AFNOSUPPORT),
            };
            if let Err(errno) = result {
                let mut line = self.report.line();
                let (link, reason) = (On { link, device }, Reason::Os(errno));
                uwrite!(line, "set {} of {}: {}", Shown(name), link, reason);
                self.report.say(Level::Problem, line);
                return;
            }
        }
    }

    /// Sets the IPv6 parameters, MAC and MTU and raises the link, as far as
    /// that is not so yet.
    fn raise(&mut self, link: &Link, device: &Device, needed: bool, mac: Option<Mac>) {
        self.ipv6(link, device.name);
        if let Some(mac) = mac {
            self.message.set_mac(device.index, mac);
            self.request("set the MAC", link, device, &mac);
        }
        if let Some(mtu) = link.mtu.filter(|mtu| *mtu != device.mtu) {
            self.message.set_mtu(device.index, mtu);
            self.request("set the MTU", link, device, &mtu);
        }
        if needed && !device.up {
            self.message.raise(device.index);
            self.request("raise the link", link, device, &"up");
        }
    }

    /// The 802.1Q device of a PCI link; made if it is not there.
    fn vlan(&mut self, link: &Link, parent: &Device<'a>, id: u16) -> Option<Device<'a>> {
        const LONGEST: usize = 15; // IFNAMSIZ of linux/if.h, without the NUL
        let mut name = self.arena.table();
        uwrite!(name, "{}.{}", Shown(parent.name), id);
        if name.len() > LONGEST {
            name.clear();
            uwrite!(name, "vlan{}", id);
        }
        let name: &[u8] = name.finish();
        for attempt in 0..2 {
            let devices = self.devices();
            let made = devices.iter().find(|device| device.name == name);
            if made.is_some() || attempt > 0 {
                return made.copied();
            }
            self.message.new_vlan(parent.index, name, id);
            self.request("make a VLAN device", link, parent, &Shown(name));
        }
        None
    }

    /// Sends the message, which changes something of `operand`.
    fn request(&mut self, step: &str, link: &Link, device: &Device, operand: &dyn Show) {
        match self.socket.request(&mut self.message, &mut |_| {}) {
            Ok(()) => {}
            // It is there already.
            Err(refusal) if refusal.errno == Errno::EXIST => {}
            Err(refusal) => {
                let device = device.name;
                let mut line = self.report.line();
                uwrite!(line, "{}: ", step);
                operand.show(&mut line);
                uwrite!(line, " of {}: {}", On { link, device }, refusal);
                self.report.say(Level::Problem, line);
            }
        }
    }

    /// Compares what the kernel has now with the plan, and says it.
    fn read_back(&mut self, applied: &[(Link<'a>, Device<'a>)]) {
        let arena = self.arena;
        let mut addresses = Set::new(arena);
        let mut routes = Set::new(arena);
        self.message.addresses();
        let listed = self.list("list the addresses: RTM_GETADDR", &mut |answer| {
            if let Some((index, prefix)) = answer.address() {
                addresses.insert(index, shown(arena, &prefix));
            }
        });
        if !listed {
            return;
        }
        self.message.routes();
        let listed = self.list("list the routes: RTM_GETROUTE", &mut |answer| {
            if let Some((index, route)) = answer.route() {
                routes.insert(index, shown(arena, &by_itself(&route)));
            }
        });
        if !listed {
            return;
        }
        for (link, device) in applied {
            let (index, device) = (device.index, device.name);
            let mut has = self.report.line();
            uwrite!(has, "{} is {}:", link.name, Shown(device));
            for prefix in link.addresses {
                if addresses.contains(index, shown(arena, prefix)) {
                    uwrite!(has, " {}", *prefix);
                } else {
                    self.lacks(&On { link, device }, "address", prefix);
                }
            }
            for route in link.routes {
                if connected(link, route) || routes.contains(index, shown(arena, &by_itself(route)))
                {
                    uwrite!(has, ", {}", *route);
                } else {
                    self.lacks(&On { link, device }, "route", route);
                }
            }
            self.report.say(Level::Note, has);
        }
    }

    fn lacks(&mut self, link: &On, kind: &str, missing: &dyn Show) {
        let mut line = self.report.line();
        uwrite!(line, "{}: the kernel does not have the {} ", *link, kind);
        missing.show(&mut line);
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
struct On<'o> {
    link: &'o Link<'o>,
    device: &'o [u8],
}

impl uDisplay for On<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        self.link.name.fmt(f)?;
        f.write_str(" (")?;
        Shown(self.device).fmt(f)?;
        f.write_str(")")
    }
}
