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
pub mod wire;

use core::ffi::CStr;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use ufmt::{Formatter, uDisplay, uWrite, uwrite};

use crate::base::log::{Level, Report};
use crate::base::memory::Vector;
use crate::base::text::{Escaped, Format, Str};
use crate::plan::bound::{BoundLink, BoundPlan, DhcpClient, Lease};
use crate::plan::record::RecordedDevice;
use crate::plan::{Link, Plan, Prefix, Route};
use devices::{Binding, FoundDevice, bind};
use socket::Socket;
use wire::{Device, Message, Reply};

/// The parameter with the metric of the routes that routers advertise. Kernels before
/// 5.12 do not have it.
const ROUTER_METRIC: &str = "ra_defrtr_metric";

/// What this module needs besides its netlink socket.
pub struct Machine {
    /// /proc/sys/net/ipv6/conf; `None` where the kernel has no IPv6.
    pub ipv6_conf: Option<OwnedFd>,
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
        let mut open = |path: &CStr| -> Option<OwnedFd> {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match openat(CWD, path, flags, Mode::empty()) {
                Ok(directory) => Some(directory),
                Err(Errno::NOENT) => None,
                Err(errno) => {
                    report.problem(c"open", path.to_bytes(), errno);
                    None
                }
            }
        };
        Self {
            ipv6_conf: open(c"/proc/sys/net/ipv6/conf"),
            sys_net: open(c"/sys/class/net"),
            dhcp,
            routers_managed,
            record,
        }
    }

    /// Whether our own DHCP client asks for this link's address.
    fn asks(&self, link: &Link) -> bool {
        link.ipv4.uses_dhcp() && !matches!(self.dhcp, DhcpClient::Manager(_))
    }

    /// Whether the kernel, and not a network manager, handles router advertisements on
    /// this link.
    fn accepts_router_advertisements(&self, link: &Link) -> bool {
        let by_networkd = matches!(self.dhcp, DhcpClient::Networkd(_)) && link.uses_dhcp();
        !self.routers_managed && !by_networkd
    }

    /// Whether something is put on the device of this link.
    fn needs_device(&self, link: &Link) -> bool {
        link.uses_router_advertisements() && self.accepts_router_advertisements(link)
            || self.asks(link)
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
/// earlier stage has left is taken back, and before anything is added.
///
/// Returns the plan with the devices of its links.
pub fn apply(
    plan: &'static Plan,
    machine: &Machine,
    wait: &mut dyn FnMut() -> bool,
    record: &mut dyn FnMut(&'static [u8], &mut Report),
    report: &mut Report,
) -> BoundPlan {
    if plan.links.is_empty() && machine.record.is_empty() {
        return BoundPlan::unbound(plan, machine.dhcp);
    }
    let Some(mut kernel) = Kernel::open(machine, report) else {
        return BoundPlan::unbound(plan, machine.dhcp);
    };
    let mut bindings = kernel.find(plan.links, wait);
    let mut found = Vector::new();
    for (link, binding) in plan.links.iter().zip(bindings.iter()) {
        if let Ok(FoundDevice { device, .. }) = *binding {
            found.push(MatchedLink { link, device });
        }
    }
    let touched = kernel.touched(&found);
    if kernel.take_back(&touched) {
        for binding in bindings.iter_mut().flatten() {
            if let Some(device) = kernel.device(binding.device.name) {
                binding.device = device;
            }
        }
    }
    if !touched.is_empty() || !machine.record.is_empty() {
        record(kernel.record(&touched), kernel.report);
    }
    let mut applied = Vector::new();
    for (link, binding) in plan.links.iter().zip(bindings.iter()) {
        let matched = match *binding {
            Ok(FoundDevice {
                device, set_mac, ..
            }) => kernel.link(MatchedLink { link, device }, set_mac),
            Err(_) => None,
        };
        applied.push(Applied {
            matched,
            lease: None,
        });
    }
    kernel.ask_for_leases(&mut applied, plan.hostname.unwrap_or_default());
    kernel.read_back(&applied);
    let leases = applied.finish();
    bound(plan, machine.dhcp, &bindings, Some(leases))
}

/// Finds the devices of the links and applies nothing.
pub fn find(plan: &'static Plan, machine: &Machine, report: &mut Report) -> BoundPlan {
    match Kernel::open(machine, report) {
        Some(mut kernel) => {
            let bindings = kernel.find(plan.links, &mut || false);
            bound(plan, machine.dhcp, &bindings, None)
        }
        None => BoundPlan::unbound(plan, machine.dhcp),
    }
}

/// The plan with the devices of its links and, if it was `applied`, their indexes and
/// leases.
fn bound(
    plan: &'static Plan,
    dhcp: DhcpClient,
    bindings: &[Binding],
    applied: Option<&[Applied]>,
) -> BoundPlan {
    let mut links = Vector::new();
    let mut all = applied.unwrap_or_default().iter();
    for (link, binding) in plan.links.iter().zip(bindings) {
        let device = binding.ok().map(|bound| bound.device);
        links.push(BoundLink {
            link,
            device: device.map(|device| device.name),
            index: device
                .filter(|_| applied.is_some())
                .map(|device| device.index),
            lease: all.next().and_then(|applied| applied.lease),
        });
    }
    BoundPlan {
        plan,
        links: links.finish(),
        dhcp,
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
    fn find(&mut self, links: &[Link], wait: &mut dyn FnMut() -> bool) -> Vector<Binding> {
        loop {
            let listed = self.physical_devices();
            let physical = listed.unwrap_or_default();
            let sys_net = self.machine.sys_net.as_ref().map(AsFd::as_fd);
            let bindings = bind(links, physical, sys_net);
            // Without a list nothing is known to be missing.
            if listed.is_none() {
                return bindings;
            }
            if bindings.iter().all(Result::is_ok) || !self.wait_for_change(physical, wait) {
                for (link, binding) in links.iter().zip(bindings.iter()) {
                    let problem = match *binding {
                        Ok(found) => found.warning,
                        Err(reason) => Some(reason),
                    };
                    if let Some(problem) = problem {
                        self.mismatch(link, problem, physical);
                    }
                }
                return bindings;
            }
        }
    }

    /// Waits until the physical devices are others than these. `false`: there is
    /// nothing to wait for any more, or the kernel does not list them, which is
    /// reported. A wait without a change takes no memory.
    fn wait_for_change(
        &mut self,
        physical: &[Device<'static>],
        wait: &mut dyn FnMut() -> bool,
    ) -> bool {
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

    fn mismatch(&mut self, link: &Link, problem: Str, physical: &[Device<'static>]) {
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

    /// The physical devices, in the kernel's order. `None`: the kernel does not list
    /// them, which is reported.
    fn physical_devices(&mut self) -> Option<&'static [Device<'static>]> {
        let mut devices = Vector::new();
        let is_listed = self.list_physical(&mut |device| devices.push(device.copy()));
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

    /// The device of this name, if there is one.
    fn device(&mut self, name: &[u8]) -> Option<&'static Device<'static>> {
        let mut devices = Vector::new();
        self.message.link_named(name);
        let found = self.socket.request(&mut self.message, &mut |reply| {
            if let Some(device) = reply.link() {
                devices.push(device.copy());
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
    fn request(
        &mut self,
        step: &str,
        matched: MatchedLink,
        operand: &dyn Format,
        done: Option<Errno>,
    ) {
        match self.socket.request(&mut self.message, &mut |_| {}) {
            Ok(()) => {}
            Err(nack) if done == Some(nack.errno) => {}
            Err(nack) => {
                let mut line = self.report.line();
                uwrite!(line, "{}: ", step);
                operand.append_to(&mut line);
                uwrite!(line, " of {}: {}", matched, nack);
                self.report.say(Level::Problem, line);
            }
        }
    }
}

/// The result of applying one link of the plan.
#[derive(Clone, Copy)]
struct Applied {
    /// The link with the device that carries its addresses; `None` if there is no such
    /// device, or nothing to put on it.
    matched: Option<MatchedLink>,
    lease: Option<&'static Lease>,
}

/// Whether the kernel adds this route by itself, with an address of the link.
fn connected(link: &Link, route: &Route) -> bool {
    let brings = |prefix: &Prefix| prefix.network() == route.destination;
    let half = link.half(route.destination.family());
    route.gateway.is_none() && half.addresses.iter().any(brings)
}

/// A link that has a device, shown as `ETH0 (ens3)`.
#[derive(Clone, Copy)]
struct MatchedLink {
    link: &'static Link,
    /// Its state when it was listed.
    device: &'static Device<'static>,
}

impl uDisplay for MatchedLink {
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
    use crate::base::memory;
    use crate::plan::{Dialect, LinkName, Login, Scripts};

    #[test]
    fn a_link_has_an_index_only_where_the_plan_was_applied_to_a_device() {
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
            links: memory::list(&links),
            dns: &[],
            search: &[],
            user: None,
            login: Login::NONE,
            keys: &[],
            scripts: Scripts::NONE,
            user_data: &[],
            warnings: &[],
        };
        let bindings = [
            Ok(FoundDevice {
                device: memory::place(device),
                set_mac: false,
                warning: None,
            }),
            Err(Str::new(c"none has its MAC")),
        ];
        let none = Applied {
            matched: None,
            lease: None,
        };
        for (applied, index) in [(Some(&[none; 2][..]), Some(7)), (None, None)] {
            let bound = bound(memory::place(plan), DhcpClient::Alone, &bindings, applied);
            let indexes: Vec<_> = bound.links.iter().map(|matched| matched.index).collect();
            assert_eq!(indexes, [index, None]);
            let mut text = Vector::new();
            bound.write(None, &mut text);
            assert_eq!(
                std::str::from_utf8(&text).unwrap(),
                "context opennebula context.sh\nlink ETH0 device ens3\nlink ETH1\n"
            );
        }
    }
}
