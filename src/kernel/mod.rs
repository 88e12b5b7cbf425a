//! Makes the running kernel agree with a plan: addresses, routes, MTU and
//! link state by rtnetlink, a few IPv6 parameters, the host name. Doing it
//! twice changes nothing.
mod devices;
pub mod dhcp;
mod socket;
mod sysctl;
pub mod wire;

use core::ffi::CStr;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use ufmt::{Formatter, uDisplay, uWrite, uwrite};

use crate::base::arena::{Arena, Set, Vector};
use crate::base::error::Error;
use crate::base::log::{Level, Report};
use crate::base::syscall::{Clock, clock};
use crate::base::text::{Escaped, Format, Ip, Mac, Moment, Text, format};
use crate::plan::bound::{BoundLink, BoundPlan, DhcpClient, Lease};
use crate::plan::early::EarlyDevice;
use crate::plan::{Ipv4Method, Ipv6Method, Link, Plan, Prefix, Route};
use devices::{Binding, bind};
use dhcp::{Asker, Failure};
use socket::Socket;
use wire::{Device, Message, Reply};

/// What this module touches beside its own socket.
pub struct Machine<'a> {
    /// /proc/sys/net/ipv6/conf; `None` where the kernel has no IPv6.
    pub ipv6_conf: Option<OwnedFd>,
    /// /sys/class/net; `None` where it cannot be read.
    pub sys_net: Option<OwnedFd>,
    /// Who asks for addresses by DHCP.
    pub dhcp: DhcpClient,
    /// What routers advertise is somebody else's work.
    pub routers_managed: bool,
    /// What the early stage of this boot has set up.
    pub early: &'a [EarlyDevice<'a>],
}

impl<'a> Machine<'a> {
    /// The running system, as far as it is there.
    pub fn open(
        dhcp: DhcpClient,
        routers_managed: bool,
        early: &'a [EarlyDevice<'a>],
        report: &mut Report,
    ) -> Self {
        let mut open = |path: &CStr| -> Option<OwnedFd> {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match openat(CWD, path, flags, Mode::empty()) {
                Ok(directory) => Some(directory),
                Err(Errno::NOENT) => None,
                Err(errno) => {
                    report.problem("open", path.to_bytes(), errno);
                    None
                }
            }
        };
        Self {
            ipv6_conf: open(c"/proc/sys/net/ipv6/conf"),
            sys_net: open(c"/sys/class/net"),
            dhcp,
            routers_managed,
            early,
        }
    }

    /// Whether the kernel is to hear what routers advertise on this link.
    fn hears_routers(&self, link: &Link) -> bool {
        let by_networkd = self.dhcp == DhcpClient::Networkd && link.is_by_dhcp();
        !self.routers_managed && !by_networkd
    }
}

/// Applies the network part of a plan and says what the kernel then has.
/// `wait` sleeps a moment while a NIC that is missing may still come, and
/// says `false` when there is nothing to wait for.
///
/// Gives the plan with the devices that the links have.
pub fn apply<'p, 'a>(
    arena: &'a Arena,
    plan: &'p Plan<'a>,
    machine: &Machine,
    wait: &mut dyn FnMut() -> bool,
    report: &mut Report<'a>,
) -> BoundPlan<'p> {
    if plan.links.is_empty() {
        return BoundPlan::unbound(arena, plan);
    }
    let Some(mut kernel) = Kernel::open(arena, machine, report) else {
        return BoundPlan::unbound(arena, plan);
    };
    let bindings = kernel.find(plan.links, wait);
    let mut applied = arena.vector();
    for (link, binding) in plan.links.iter().zip(bindings.iter()) {
        let on = binding
            .device
            .and_then(|device| kernel.link(MatchedLink { link, device }, binding.set_mac));
        applied.push(Applied { on, lease: None });
    }
    kernel.ask_for_leases(&mut applied, plan.hostname.unwrap_or_default());
    kernel.read_back(&applied);
    let leases = applied.finish();
    bound(arena, plan, &bindings, Some(leases))
}

/// Finds the devices of the links and applies nothing.
pub fn find<'p, 'a>(
    arena: &'a Arena,
    plan: &'p Plan<'a>,
    machine: &Machine,
    report: &mut Report<'a>,
) -> BoundPlan<'p> {
    match Kernel::open(arena, machine, report) {
        Some(mut kernel) => {
            let bindings = kernel.find(plan.links, &mut || false);
            bound(arena, plan, &bindings, None)
        }
        None => BoundPlan::unbound(arena, plan),
    }
}

/// The plan with what is known of the devices, and of what was `applied` to
/// them, if anything was.
fn bound<'p, 'a>(
    arena: &'a Arena,
    plan: &'p Plan<'a>,
    bindings: &[Binding<'a>],
    applied: Option<&[Applied<'a>]>,
) -> BoundPlan<'p> {
    let mut links = arena.vector();
    let mut all = applied.unwrap_or_default().iter();
    for (link, binding) in plan.links.iter().zip(bindings) {
        let device = binding.device.filter(|_| applied.is_some());
        links.push(BoundLink {
            link,
            device: binding.device.map(|device| device.name),
            index: device.map(|device| device.index),
            lease: all.next().and_then(|applied| applied.lease),
        });
    }
    BoundPlan {
        plan,
        links: links.finish(),
    }
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
    machine: &'k Machine<'k>,
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
    ) -> Vector<'a, Binding<'a>> {
        loop {
            let listed = self.physical_devices();
            let physical = listed.unwrap_or_default();
            let sys_net = self.machine.sys_net.as_ref().map(AsFd::as_fd);
            let bindings = bind(self.arena, links, physical, sys_net);
            if bindings.iter().all(|binding| binding.device.is_some()) || !wait() {
                for (link, binding) in links.iter().zip(bindings.iter()) {
                    // What could not be listed is not known to be missing.
                    if !binding.problem.is_empty() && listed.is_some() {
                        self.mismatch(link, binding.problem, physical);
                    }
                }
                return bindings;
            }
        }
    }

    fn mismatch(&mut self, link: &Link<'a>, problem: &str, physical: &[Device<'a>]) {
        /// How many devices a message names.
        const NAMED: usize = 8;
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
        for device in physical.iter().take(NAMED) {
            uwrite!(line, "{}{}", separator, Escaped(device.name));
            if let Some(mac) = device.mac {
                uwrite!(line, " {}", mac);
            }
            separator = ", ";
        }
        if physical.len() > NAMED {
            uwrite!(line, " and {} more", physical.len() - NAMED);
        }
        if physical.is_empty() {
            uwrite!(
                line,
                "; there is no network card: is its driver in the initramfs?"
            );
        }
        self.report.say(Level::Problem, line);
    }

    /// The network cards, in the kernel's order; `None`, and a word why, if it
    /// does not list them.
    fn physical_devices(&mut self) -> Option<&'a [Device<'a>]> {
        let arena = self.arena;
        let mut devices = arena.vector();
        self.message.links();
        let listed = self.list("list the network devices: RTM_GETLINK", &mut |reply| {
            if let Some(device) = reply.link().filter(|device| device.physical) {
                devices.push(device.copy(arena));
            }
        });
        listed.then_some(&*devices.finish())
    }

    /// The device of this name, if there is one.
    fn device(&mut self, name: &[u8]) -> Option<&'a Device<'a>> {
        let arena = self.arena;
        let mut devices = arena.vector();
        self.message.link_named(name);
        let found = self.socket.request(&mut self.message, &mut |reply| {
            if let Some(device) = reply.link() {
                devices.push(device.copy(arena));
            }
        });
        if let Err(nack) = found
            && nack.errno != Errno::NODEV
        {
            let mut line = self.report.line();
            uwrite!(
                line,
                "look for the network device {}: {}",
                Escaped(name),
                nack
            );
            self.report.say(Level::Problem, line);
        }
        devices.finish().first()
    }

    /// Sends the message, which asks for a list. `false`: it was refused.
    fn list(&mut self, step: &str, each: &mut dyn FnMut(&Reply)) -> bool {
        match self.socket.request(&mut self.message, each) {
            Ok(()) => true,
            Err(nack) => {
                let mut line = self.report.line();
                uwrite!(line, "{}: {}", step, nack);
                self.report.say(Level::Problem, line);
                false
            }
        }
    }

    /// Applies one link. Gives it with the device that has its addresses, if it
    /// is to have any.
    fn link(&mut self, on: MatchedLink<'a>, set_mac: bool) -> Option<MatchedLink<'a>> {
        let link = on.link;
        if link.ipv6 == Some(Ipv6Method::Dhcp) {
            self.say_no_dhcpv6(on);
        }
        let on = self.release(on);
        let by_router = matches!(link.ipv6, Some(Ipv6Method::Auto | Ipv6Method::Dhcp))
            && self.machine.hears_routers(link);
        let needed =
            by_router || self.asks(link) || !link.addresses.is_empty() || !link.routes.is_empty();
        self.set_up(on, needed, link.mac.filter(|_| set_mac));
        if !needed {
            return None;
        }
        let on = match link.vlan {
            Some(id) => self.vlan(on, id)?,
            None => on,
        };
        self.add_addresses(on);
        self.add_routes(on);
        Some(on)
    }

    fn say_no_dhcpv6(&mut self, on: MatchedLink) {
        let (level, until) = match self.machine.dhcp {
            DhcpClient::Alone => (Level::Problem, MANAGER_NEEDED),
            DhcpClient::Early => (Level::Note, BEFORE_ROOT),
            DhcpClient::Manager | DhcpClient::Networkd => return,
        };
        let mut line = self.report.line();
        uwrite!(line, "{}: DHCPv6 is not done: {}", on, until);
        self.report.say(level, line);
    }

    /// Takes from a device what the early stage gave it and this plan does not
    /// say. An address that came by DHCP is asked for anew, by whose work that
    /// is, and so is what routers advertised; and the context may be another one
    /// than it was, since a machine may wait for days for its root.
    ///
    /// The link goes down for that: so the kernel forgets the routes as well. One
    /// that has only what the plan says stays up.
    fn release(&mut self, on: MatchedLink<'a>) -> MatchedLink<'a> {
        let MatchedLink { link, device } = on;
        let early = self.machine.early;
        let Some(early) = early.iter().find(|early| early.name == device.name) else {
            return on;
        };
        let heard_routers = matches!(link.ipv6, Some(Ipv6Method::Auto | Ipv6Method::Dhcp));
        let is_stale = |prefix: &&Prefix| !link.addresses.contains(prefix);
        let mut stale = early.addresses.iter().filter(is_stale).peekable();
        if stale.peek().is_none() && (!heard_routers || self.machine.hears_routers(link)) {
            return on;
        }
        if device.up {
            self.message.set_down(device.index);
            self.request("set the link", on, &"down");
        }
        for prefix in stale {
            self.message.delete_address(device.index, *prefix);
            self.request("remove the early address", on, prefix);
        }
        let device = self.arena.place(Device {
            up: false,
            ..*device
        });
        MatchedLink { device, ..on }
    }

    /// Whether we ask for this link's address.
    fn asks(&self, link: &Link) -> bool {
        link.ipv4 == Some(Ipv4Method::Dhcp) && self.machine.dhcp != DhcpClient::Manager
    }

    /// Asks for the addresses that come by DHCP, and gives the kernel what the
    /// leases bring.
    fn ask_for_leases(&mut self, applied: &mut [Applied<'a>], hostname: &[u8]) {
        let mut askers = self.arena.vector();
        let mut links = self.arena.vector();
        let mut names = self.report.line();
        for (position, one) in applied.iter().enumerate() {
            let Some(on) = one.on.filter(|on| self.asks(on.link)) else {
                continue;
            };
            // Where it has got another one, that is the link's.
            let Some(mac) = on.link.mac.or(on.device.mac) else {
                self.no_lease(on, &"it has no MAC");
                continue;
            };
            askers.push(Asker {
                index: on.device.index,
                mac,
                metric: on.link.dhcp_metric(),
            });
            links.push((position, on));
            uwrite!(names, " {}", on);
        }
        if askers.is_empty() {
            return;
        }
        self.report
            .begin("ask for addresses by DHCP:", names.trim_ascii());
        let arena = self.arena;
        let asked = dhcp::ask(arena, &askers, hostname, &mut |asker, answer| {
            let Some((position, on)) = links.get(asker) else {
                return;
            };
            match answer {
                Ok(lease) => {
                    let lease = arena.place(lease);
                    self.apply_lease(*on, lease);
                    if let Some(applied) = applied.get_mut(*position) {
                        applied.lease = Some(lease);
                    }
                }
                Err(Failure::Servers(words)) => self.no_lease(*on, &words),
                Err(Failure::Send(errno)) => self.no_lease(*on, &Error::from(errno)),
            }
        });
        if let Err(errno) = asked {
            self.report
                .problem("ask for addresses by DHCP", names.trim_ascii(), errno);
        }
    }

    fn no_lease(&mut self, on: MatchedLink, reason: &dyn Format) {
        let mut line = self.report.line();
        uwrite!(line, "{}: no address by DHCP: ", on);
        reason.append_to(&mut line);
        if self.machine.dhcp == DhcpClient::Networkd {
            uwrite!(line, "; systemd-networkd goes on asking");
        }
        self.report.say(Level::Problem, line);
    }

    fn apply_lease(&mut self, on: MatchedLink<'a>, lease: &Lease) {
        if let Some(mtu) = lease.mtu
            && on.link.mtu.is_none()
            && mtu != on.device.mtu
        {
            self.message.set_mtu(on.device.index, mtu);
            self.request("set the MTU", on, &mtu);
        }
        let index = on.device.index;
        self.message.new_address(index, lease.address, Some(lease));
        self.request("add an address", on, &lease.address);
        for by_gateway in [false, true] {
            for route in lease.routes {
                if route.gateway.is_some() == by_gateway {
                    self.message.new_route(index, route, Some(lease));
                    self.request("add a route", on, route);
                }
            }
        }
        let mut line = self.report.line();
        uwrite!(
            line,
            "{}: {} by DHCP from {}",
            on,
            lease.address,
            Ip(lease.server.into())
        );
        let is_endless = lease.seconds == Lease::FOREVER;
        let level = match self.machine.dhcp {
            DhcpClient::Networkd => {
                uwrite!(line, "; systemd-networkd renews it");
                Level::Note
            }
            _ if is_endless => Level::Note,
            DhcpClient::Early => {
                write_end(lease.seconds, &mut line);
                uwrite!(line, ", and nobody renews it: {}", BEFORE_ROOT);
                Level::Console
            }
            DhcpClient::Alone | DhcpClient::Manager => {
                write_end(lease.seconds, &mut line);
                uwrite!(line, ", and nobody renews it: {}", MANAGER_NEEDED);
                Level::Problem
            }
        };
        self.report.say(level, line);
    }

    /// Sets the IPv6 parameters, MAC and MTU, and the link up where that is
    /// `needed`, as far as that is not so yet.
    fn set_up(&mut self, on: MatchedLink, needed: bool, mac: Option<Mac>) {
        let MatchedLink { link, device } = on;
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
            self.request("set the link", on, &"up");
        }
    }

    fn add_addresses(&mut self, on: MatchedLink) {
        for prefix in on.link.addresses {
            self.message.new_address(on.device.index, *prefix, None);
            self.request("add an address", on, prefix);
        }
    }

    fn add_routes(&mut self, on: MatchedLink) {
        // Next hops need the networks on the link to be there.
        for by_gateway in [false, true] {
            for route in on.link.routes {
                if route.gateway.is_some() == by_gateway && !connected(on.link, route) {
                    self.message.new_route(on.device.index, route, None);
                    self.request("add a route", on, route);
                }
            }
        }
    }

    /// Sets what IPv6 does by itself.
    fn ipv6(&mut self, on: MatchedLink) {
        const ROUTER_METRIC: &str = "ra_defrtr_metric";
        let metric = (ROUTER_METRIC, on.link.router_metric());
        let by_kernel = u32::from(self.machine.hears_routers(on.link));
        let parameters: &[(&str, u32)] = match on.link.ipv6 {
            Some(Ipv6Method::Auto | Ipv6Method::Dhcp) => &[
                metric,
                ("disable_ipv6", 0),
                ("accept_ra", by_kernel),
                ("autoconf", by_kernel),
            ],
            Some(Ipv6Method::Static) => &[
                metric,
                ("disable_ipv6", 0),
                ("accept_ra", 0),
                ("autoconf", 0),
            ],
            Some(Ipv6Method::Disable) => &[metric, ("disable_ipv6", 1)],
            Some(Ipv6Method::Skip) => &[],
            None => &[metric],
        };
        let Some(conf) = &self.machine.ipv6_conf else {
            if let Some(Ipv6Method::Auto | Ipv6Method::Dhcp | Ipv6Method::Static) = on.link.ipv6 {
                self.cannot_set("IPv6", on, Errno::AFNOSUPPORT);
            }
            return;
        };
        for (name, value) in parameters {
            match sysctl::set_ipv6(self.arena, conf, on.device.name, name, *value) {
                Ok(()) => {}
                // Before 5.12 a router's metric is not to be chosen.
                Err(Errno::NOENT) if *name == ROUTER_METRIC => {}
                Err(errno) => return self.cannot_set(name, on, errno),
            }
        }
    }

    fn cannot_set(&mut self, what: &str, on: MatchedLink, errno: Errno) {
        let mut line = self.report.line();
        uwrite!(line, "set {} of {}: {}", what, on, Error::from(errno));
        self.report.say(Level::Problem, line);
    }

    /// The link with its 802.1Q device, which is made if it is not there, and
    /// set up.
    fn vlan(&mut self, on: MatchedLink<'a>, id: u16) -> Option<MatchedLink<'a>> {
        const LONGEST: usize = 15; // IFNAMSIZ of linux/if.h, without the NUL
        let mut name = self.arena.vector();
        uwrite!(name, "{}.{}", Escaped(on.device.name), id);
        if name.len() > LONGEST {
            name.clear();
            uwrite!(name, "vlan{}", id);
        }
        let device = match self.device(&name) {
            Some(device) => device,
            None => {
                self.message.new_vlan(on.device.index, &name, id);
                self.request("make a VLAN device", on, &Escaped(&name));
                self.device(&name)?
            }
        };
        let on = MatchedLink { device, ..on };
        self.set_up(on, true, None);
        Some(on)
    }

    /// Sends the message, which changes something of `operand`.
    fn request(&mut self, step: &str, on: MatchedLink, operand: &dyn Format) {
        match self.socket.request(&mut self.message, &mut |_| {}) {
            Ok(()) => {}
            // It is there already, or gone: going down takes IPv6 addresses along.
            Err(nack) if [Errno::EXIST, Errno::ADDRNOTAVAIL].contains(&nack.errno) => {}
            Err(nack) => {
                let mut line = self.report.line();
                uwrite!(line, "{}: ", step);
                operand.append_to(&mut line);
                uwrite!(line, " of {}: {}", on, nack);
                self.report.say(Level::Problem, line);
            }
        }
    }

    /// Compares what the kernel has now with the plan, and says it.
    fn read_back(&mut self, applied: &[Applied<'a>]) {
        let arena = self.arena;
        let mut addresses = Set::new(arena);
        let mut routes = Set::new(arena);
        self.message.addresses();
        let listed = self.list("list the addresses: RTM_GETADDR", &mut |reply| {
            if let Some((index, prefix)) = reply.address() {
                addresses.insert(index, format(arena, &prefix));
            }
        });
        if !listed {
            return;
        }
        self.message.routes();
        let listed = self.list("list the routes: RTM_GETROUTE", &mut |reply| {
            let _ = reply.routes(&mut |index, route| {
                routes.insert(index, format(arena, &by_itself(&route)));
            });
        });
        if !listed {
            return;
        }
        for Applied { on, lease } in applied {
            let Some(on) = on else { continue };
            let (link, index) = (on.link, on.device.index);
            let mut has = self.report.line();
            uwrite!(has, "{} is {}:", link.name, Escaped(on.device.name));
            let leased = lease.iter().map(|lease| &lease.address);
            for prefix in link.addresses.iter().chain(leased) {
                if addresses.contains(index, format(arena, prefix)) {
                    uwrite!(has, " {}", *prefix);
                } else {
                    self.lacks(*on, "address", prefix);
                }
            }
            let leased = lease.iter().flat_map(|lease| lease.routes);
            for route in link.routes.iter().chain(leased) {
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

    fn lacks(&mut self, on: MatchedLink, kind: &str, missing: &dyn Format) {
        let mut line = self.report.line();
        uwrite!(line, "{}: the kernel does not have the {} ", on, kind);
        missing.append_to(&mut line);
        self.report.say(Level::Problem, line);
    }
}

/// What to do where nobody does DHCP for good.
const MANAGER_NEEDED: &str = "enable systemd-networkd or another network manager in the image";

/// Why the early stage does less.
const BEFORE_ROOT: &str = "there is no root yet";

/// When what lasts so many seconds from now on is over.
fn write_end(seconds: u32, line: &mut Text) {
    uwrite!(line, ", for {} s", seconds);
    if let Some(end) = lease_end(seconds) {
        uwrite!(line, ", until {}", end);
    }
}

/// When what lasts so long from now on is over; `None` where the clock is wrong.
fn lease_end(seconds: u32) -> Option<Moment> {
    /// The first day of 2024: before, a clock was never set.
    const PLAUSIBLE: u64 = 1_704_067_200;
    let (now, _) = clock(Clock::Real).ok()?;
    (now >= PLAUSIBLE).then_some(Moment(now.saturating_add(seconds.into())))
}

/// What became of a link of the plan.
#[derive(Clone, Copy)]
struct Applied<'a> {
    /// With the device that has its addresses, if it is to have any.
    on: Option<MatchedLink<'a>>,
    lease: Option<&'a Lease<'a>>,
}

/// Whether an address of the link brings this route along.
fn connected(link: &Link, route: &Route) -> bool {
    let brings = |prefix: &Prefix| prefix.network() == route.destination;
    route.gateway.is_none() && link.addresses.iter().any(brings)
}

/// The route without `onlink`: the kernel may say that of a next hop although
/// it need not, and in IPv6 it drops it.
fn by_itself(route: &Route) -> Route {
    Route {
        onlink: false,
        ..*route
    }
}

/// A link that has a device, shown as `ETH0 (ens3)`.
#[derive(Clone, Copy)]
struct MatchedLink<'a> {
    link: &'a Link<'a>,
    /// As it was when it was listed.
    device: &'a Device<'a>,
}

impl uDisplay for MatchedLink<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        self.link.name.fmt(f)?;
        f.write_str(" (")?;
        Escaped(self.device.name).fmt(f)?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Dialect, LinkName, Login, Scripts};

    #[test]
    fn a_link_has_an_index_only_where_the_plan_was_applied_to_a_device() {
        let arena = Arena::new();
        let device = Device {
            index: 7,
            name: b"ens3",
            mac: None,
            mtu: 1500,
            up: false,
            physical: true,
        };
        let links = [0, 1].map(|number| Link::new(LinkName::Eth(number)));
        let plan = Plan {
            dialect: Dialect::OpenNebula,
            source: b"context.sh",
            hostname: None,
            links: &links,
            dns: &[],
            search: &[],
            user: None,
            login: Login::NONE,
            keys: &[],
            scripts: Scripts::NONE,
            user_data: &[],
            warnings: &[],
        };
        let bindings = [Some(&device), None].map(|device| Binding {
            device,
            set_mac: false,
            problem: "",
        });
        let none = Applied {
            on: None,
            lease: None,
        };
        for (applied, index) in [(Some(&[none; 2][..]), Some(7)), (None, None)] {
            let bound = bound(&arena, &plan, &bindings, applied);
            let indexes: Vec<_> = bound.links.iter().map(|on| on.index).collect();
            assert_eq!(indexes, [index, None]);
            let mut text = arena.vector();
            bound.write(&mut text, b"");
            assert_eq!(
                std::str::from_utf8(&text).unwrap(),
                "context opennebula context.sh\nlink ETH0 device ens3\nlink ETH1\n"
            );
        }
    }
}
