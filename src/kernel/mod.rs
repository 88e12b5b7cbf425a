//! Applies a plan to the running kernel: addresses, routes, MTU and link state by
//! rtnetlink, a few IPv6 parameters, the host name. Doing it twice changes nothing.
mod devices;
pub mod dhcp;
mod leases;
mod links;
mod read_back;
mod socket;
mod sysctl;
mod take_back;
mod target;
pub mod wire;

use core::ffi::CStr;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use ufmt::uwrite;

use crate::base::log::{Level, Report};
use crate::base::memory::Vector;
use crate::base::text::{Escaped, Format, Str};
use crate::plan::bound::{BoundLink, BoundPlan, DhcpClient};
use crate::plan::device::Device;
use crate::plan::record::RecordedDevice;
use crate::plan::{Link, Plan, Prefix, Route};
use devices::{Match, Ports, bind};
use socket::Socket;
use target::Target;
use wire::{Message, Reply};

/// The parameter with the metric of the routes that routers advertise. Kernels before
/// 5.12 do not have it.
const ROUTER_METRIC: &str = "ra_defrtr_metric";

/// What this module needs besides its netlink socket.
pub struct Machine {
    /// /proc/sys/net/ipv6/conf; `EAFNOSUPPORT` where the kernel has no IPv6.
    pub ipv6_conf: Result<OwnedFd, Errno>,
    /// /sys/class/net; `None` where it cannot be read.
    pub sys_net: Option<OwnedFd>,
    /// Who asks for addresses by DHCP.
    pub dhcp: DhcpClient,
    /// A network manager handles router advertisements.
    pub routers_managed: bool,
    /// What the earlier stages of this boot have set.
    pub record: &'static [RecordedDevice],
}

impl Machine {
    /// Opens the directories of the running system that exist.
    pub fn open(
        dhcp: DhcpClient,
        routers_managed: bool,
        record: &'static [RecordedDevice],
        report: &mut Report,
    ) -> Self {
        let mut open = |path: &CStr| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match openat(CWD, path, flags, Mode::empty()) {
                Err(Errno::NOENT) => Err(Errno::AFNOSUPPORT),
                Err(errno) => {
                    report.problem(c"open", path.to_bytes(), errno);
                    Err(errno)
                }
                opened => opened,
            }
        };
        Self {
            ipv6_conf: open(c"/proc/sys/net/ipv6/conf"),
            sys_net: open(c"/sys/class/net").ok(),
            dhcp,
            routers_managed,
            record,
        }
    }

    /// Whether our own DHCP client asks for this link's address.
    fn asks(&self, link: &Link) -> bool {
        let is_managed = matches!(self.dhcp, DhcpClient::Manager(_)) && link.is_managed();
        link.ipv4.uses_dhcp() && !is_managed
    }

    /// Whether the kernel, and not a network manager, handles router advertisements on
    /// this link.
    fn accepts_router_advertisements(&self, link: &Link) -> bool {
        let by_networkd = matches!(self.dhcp, DhcpClient::Networkd(_)) && link.uses_dhcp();
        !self.routers_managed && !by_networkd
    }

    /// Whether something is put on the device of this link, now or by DHCP: then it is set
    /// up. NetworkManager does not set up a NIC whose profile its state file names.
    fn needs_device(&self, link: &Link) -> bool {
        link.uses_router_advertisements() && self.accepts_router_advertisements(link)
            || link.ipv4.uses_dhcp()
            || link.has_address()
            || !link.ipv4.routes.is_empty()
            || !link.ipv6.routes.is_empty()
    }

    /// The parameters of the device of this link (`net/ipv6/conf`) and their values, as
    /// the method of IPv6 says.
    fn ipv6_by_method(&self, link: &Link) -> &'static [(&'static str, u32)] {
        link.ipv6_sysctls(self.accepts_router_advertisements(link))
    }
}

/// Applies the network part of a plan and reports what the kernel has afterwards.
/// `wait` sleeps briefly while a missing NIC may still appear; it returns `false` when
/// there is nothing to wait for. `record` writes the record of the devices, once what an
/// earlier stage has left is taken back, and before anything is added. `is_remote`: whether
/// the root is on the network.
///
/// Returns the plan with the devices of its links.
// Not inlined: a large stack frame makes every access to it longer.
#[inline(never)]
pub fn apply(
    plan: &'static Plan,
    machine: &Machine,
    wait: &mut dyn FnMut() -> bool,
    record: &mut dyn FnMut(&'static [u8], &mut Report),
    is_remote: &dyn Fn() -> bool,
    report: &mut Report,
) -> BoundPlan {
    if plan.links.is_empty() && machine.record.is_empty() {
        return BoundPlan::unbound(plan, machine.dhcp);
    }
    let Some(mut kernel) = Kernel::open(machine, report) else {
        return BoundPlan::unbound(plan, machine.dhcp);
    };
    let Some(mut links) = kernel.find(plan.links, wait) else {
        return BoundPlan::unbound(plan, machine.dhcp);
    };
    let touched = kernel.touched(&links);
    if kernel.take_back(&touched, is_remote) {
        for bound in links.iter_mut() {
            if let Some(device) = bound.device.and_then(|device| kernel.device(&device.name)) {
                bound.device = Some(device);
            }
        }
    }
    if !touched.is_empty() || !machine.record.is_empty() {
        record(kernel.record(&touched), kernel.report);
    }
    for bound in links.iter_mut() {
        bound.carrier = kernel.link(bound);
    }
    kernel.ask_for_leases(&mut links, plan.hostname.unwrap_or_default());
    kernel.read_back(&links);
    BoundPlan {
        plan,
        links: links.finish(),
        dhcp: machine.dhcp,
        is_applied: true,
    }
}

/// Finds the devices of the links and applies nothing.
pub fn find(plan: &'static Plan, machine: &Machine, report: &mut Report) -> BoundPlan {
    let links =
        Kernel::open(machine, report).and_then(|mut kernel| kernel.find(plan.links, &mut || false));
    let unbound = BoundPlan::unbound(plan, machine.dhcp);
    BoundPlan {
        links: links.map_or(unbound.links, |links| links.finish()),
        ..unbound
    }
}

/// Sets the host name (sethostname(2)), if it differs.
pub fn set_hostname(plan: &Plan, report: &mut Report) {
    let Some(name) = plan.hostname else { return };
    if rustix::system::uname().nodename().to_bytes() == name {
        return;
    }
    if let Err(errno) = rustix::system::sethostname(name) {
        report.problem(c"set the host name", name, errno);
    }
}

struct Kernel<'k> {
    socket: Socket,
    message: Message,
    machine: &'k Machine,
    report: &'k mut Report,
}

impl<'k> Kernel<'k> {
    fn open(machine: &'k Machine, report: &'k mut Report) -> Option<Self> {
        match Socket::open() {
            Ok(socket) => Some(Self {
                socket,
                message: Message::new(),
                machine,
                report,
            }),
            Err(errno) => {
                report.problem(c"open a netlink socket", b"NETLINK_ROUTE", errno);
                None
            }
        }
    }

    /// Matches links to devices. Repeats that while a missing device may still appear.
    /// `None`: the kernel does not list them, which is reported, so that nothing is known
    /// of what is on them, or is missing.
    fn find(
        &mut self,
        links: &'static [Link],
        wait: &mut dyn FnMut() -> bool,
    ) -> Option<Vector<BoundLink>> {
        loop {
            let physical = self.physical_devices()?;
            let sys_net = self.machine.sys_net.as_ref().map(AsFd::as_fd);
            let matches = bind(links, physical, sys_net);
            let is_complete = matches.iter().all(|one| one.device.is_some());
            if !is_complete && self.wait_for_change(physical, wait) {
                continue;
            }
            let mut bound = Vector::new();
            for Match {
                link,
                device,
                problem,
            } in matches.iter()
            {
                let top = device.and_then(|device| self.topmost(link, device));
                bound.push(BoundLink {
                    device: top,
                    port: device.filter(|device| top.is_none_or(|top| top.index != device.index)),
                    ..BoundLink::unbound(link)
                });
                if let Some(problem) = problem {
                    self.mismatch(link, *problem, physical);
                }
            }
            return Some(bound);
        }
    }

    /// Waits until the physical devices are others than these. `false`: there is
    /// nothing to wait for any more, or the kernel does not list them, which is
    /// reported. A wait without a change takes no memory.
    fn wait_for_change(&mut self, physical: &[Device], wait: &mut dyn FnMut() -> bool) -> bool {
        while wait() {
            let mut known = physical.iter();
            let mut is_same = true;
            let is_listed = self.list_physical(&mut |device| {
                is_same &= known.next() == Some(device);
            });
            if !is_listed {
                return false;
            }
            if !is_same || known.next().is_some() {
                return true;
            }
        }
        false
    }

    fn mismatch(&mut self, link: &Link, problem: Str, physical: &[Device]) {
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
            uwrite!(line, "{}{}", separator, device.name);
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

    /// The physical devices, in the kernel's order. `None`: the kernel does not list
    /// them, which is reported.
    fn physical_devices(&mut self) -> Option<&'static [Device]> {
        let mut devices = Vector::new();
        let is_listed = self.list_physical(&mut |device| devices.push(*device));
        is_listed.then_some(&*devices.finish())
    }

    /// Passes the physical devices to `each`, in the kernel's order. `false`: the
    /// kernel does not list them, which is reported.
    fn list_physical(&mut self, each: &mut dyn FnMut(&Device)) -> bool {
        self.message.links();
        self.list("list the network devices: RTM_GETLINK", &mut |reply| {
            if let Some(device) = reply.link().filter(|device| device.physical) {
                each(&device);
            }
        })
    }

    /// The device that answers for this one: itself, or the topmost one that it is a port
    /// of. `None`: it is a port of something of which that is not known, which is
    /// reported.
    fn topmost(&mut self, link: &'static Link, device: &'static Device) -> Option<&'static Device> {
        let mut top = device;
        while let Some(master) = top.master {
            self.message.link_at(master);
            let above = self.requested_device(b"master")?;
            let kind = above.kind.as_ref().map_or(&b""[..], |kind| kind);
            match Ports::of(kind) {
                Ports::GiveTheirs => top = above,
                Ports::KeepTheirs => break,
                Ports::Unknown => {
                    let mut line = self.report.line();
                    let target = Target { link, device };
                    uwrite!(line, "set up {}: it is a port of {}, ", target, above.name);
                    uwrite!(line, "of the kind {}", Escaped(kind));
                    self.report.say(Level::Problem, line);
                    return None;
                }
            }
        }
        if top.index != device.index {
            let mut line = self.report.line();
            let target = Target { link, device };
            uwrite!(
                line,
                "{} is a port: {} gets its addresses",
                target,
                top.name
            );
            self.report.say(Level::Notice, line);
        }
        Some(top)
    }

    /// The device of this name, if there is one.
    fn device(&mut self, name: &[u8]) -> Option<&'static Device> {
        self.message.link_named(name);
        self.requested_device(name)
    }

    /// The device that the message asks for, which `name` names, if there is one.
    fn requested_device(&mut self, name: &[u8]) -> Option<&'static Device> {
        let mut devices = Vector::new();
        let found = self.socket.request(&mut self.message, &mut |reply| {
            if let Some(device) = reply.link() {
                devices.push(device);
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

    /// Sends the message, which asks for a list, and passes the replies to `each`.
    /// `false`: the kernel refused it, which is reported.
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

    /// Sends the message, which sets `operand` on a link. A failure is reported, except
    /// the error `done`: the kernel has that already.
    fn request(&mut self, step: &str, target: Target, operand: &dyn Format, done: Option<Errno>) {
        match self.socket.request(&mut self.message, &mut |_| {}) {
            Ok(()) => {}
            Err(nack) if done == Some(nack.errno) => {}
            Err(nack) => {
                let mut line = self.report.line();
                uwrite!(line, "{}: ", step);
                operand.append_to(&mut line);
                uwrite!(line, " of {}: {}", target, nack);
                self.report.say(Level::Problem, line);
            }
        }
    }
}

/// Whether the kernel adds this route by itself, with an address of the link.
fn connected(link: &Link, route: &Route) -> bool {
    let brings = |prefix: &Prefix| prefix.network() == route.destination;
    let half = link.half(route.destination.family());
    route.gateway.is_none() && half.addresses.iter().any(brings)
}
