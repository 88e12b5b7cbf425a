//! Makes the running kernel agree with a plan: addresses, routes, MTU and
//! link state by rtnetlink, a few IPv6 parameters, the host name. Doing it
//! twice changes nothing.
mod devices;
mod socket;
mod sysctl;
pub mod wire;

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use ufmt::{uDisplay, uwrite};

use crate::memory::{Arena, NoMemory, Set, Table};
use crate::plan::{Ipv4Method, Ipv6Method, Link, Plan, Prefix, Route};
use crate::report::{Level, Report};
use crate::text::{Shown, Text};
use devices::{Match, assign};
use socket::{Refusal, Socket};
use wire::{Device, Message};

/// What this room touches beside its own socket.
pub struct Machine {
    /// /proc/sys/net/ipv6/conf; `None` where the kernel has no IPv6.
    pub ipv6_conf: Option<OwnedFd>,
    /// /sys/class/net; `None` where it cannot be read.
    pub sys_net: Option<OwnedFd>,
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
    wait: impl FnMut() -> bool,
    report: &mut Report<'a>,
) -> Result<&'a [Link<'a>], NoMemory> {
    if plan.links.is_empty() {
        return Ok(plan.links);
    }
    let socket = match Socket::open(arena) {
        Ok(socket) => socket,
        Err(errno) => {
            report.problem("open a netlink socket", b"NETLINK_ROUTE", errno);
            return Ok(plan.links);
        }
    };
    let mut kernel = Kernel {
        arena,
        socket,
        machine,
        report,
    };
    let matches = kernel.find(plan.links, wait)?;
    let mut links = arena.table();
    let mut applied = arena.table();
    for found in matches.iter() {
        links.push(found.link)?;
        if let Some(device) = kernel.link(found)? {
            applied.push((found.link, device))?;
        }
    }
    kernel.read_back(&applied)?;
    Ok(links.finish())
}

/// Finds the devices of the links and applies nothing.
pub fn find<'a>(
    arena: &'a Arena,
    plan: &Plan<'a>,
    machine: &Machine,
    report: &mut Report<'a>,
) -> Result<&'a [Link<'a>], NoMemory> {
    let socket = match Socket::open(arena) {
        Ok(socket) => socket,
        Err(errno) => {
            report.problem("open a netlink socket", b"NETLINK_ROUTE", errno);
            return Ok(plan.links);
        }
    };
    let mut kernel = Kernel {
        arena,
        socket,
        machine,
        report,
    };
    let mut links = arena.table();
    for found in kernel.find(plan.links, || false)?.iter() {
        links.push(found.link)?;
    }
    Ok(links.finish())
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
    machine: &'k Machine,
    report: &'k mut Report<'a>,
}

impl<'a> Kernel<'a, '_> {
    /// Matches links and devices, again and again while some may come late.
    fn find(
        &mut self,
        links: &[Link<'a>],
        mut wait: impl FnMut() -> bool,
    ) -> Result<Table<'a, Match<'a>>, NoMemory> {
        loop {
            let devices = self.devices()?;
            let sys_net = self.machine.sys_net.as_ref().map(AsFd::as_fd);
            let matches = assign(self.arena, links, &devices, sys_net)?;
            if matches.iter().all(|found| found.found.is_some()) || !wait() {
                for found in matches.iter().filter(|found| !found.problem.is_empty()) {
                    self.mismatch(found, &devices);
                }
                return Ok(matches);
            }
        }
    }

    fn mismatch(&mut self, found: &Match<'a>, devices: &[Device<'a>]) {
        self.report.line(Level::Problem, |text| {
            uwrite!(text, "find the device of {}", found.link.name)?;
            if let Some(mac) = found.link.mac {
                uwrite!(text, " ({})", mac)?;
            }
            if let Some(pci) = found.link.pci {
                uwrite!(text, " at {}", Shown(pci))?;
            }
            uwrite!(text, ": {}", found.problem)?;
            let mut separator = "; there are: ";
            for device in devices.iter().filter(|device| device.physical) {
                uwrite!(text, "{}{}", separator, Shown(device.name))?;
                if let Some(mac) = device.mac {
                    uwrite!(text, " {}", mac)?;
                }
                separator = ", ";
            }
            if separator != ", " {
                uwrite!(
                    text,
                    "; there is no network card: is its driver in the initramfs?"
                )?;
            }
            Ok(())
        });
    }

    fn devices(&mut self) -> Result<Table<'a, Device<'a>>, NoMemory> {
        let arena = self.arena;
        let mut devices = arena.table();
        let mut memory = Ok(());
        let end = self.socket.dump(&mut Message::links(), |answer| {
            if let Some(device) = answer.link() {
                let kept = arena
                    .copy(device.name)
                    .and_then(|name| devices.push(Device { name, ..device }));
                memory = memory.and(kept);
            }
        });
        if let Err(refusal) = end {
            refused(
                self.report,
                "list the network devices",
                &"RTM_GETLINK",
                &refusal,
            );
        }
        memory.map(|()| devices)
    }

    /// Applies one link. Gives the device that has its addresses.
    fn link(&mut self, found: &Match<'a>) -> Result<Option<Device<'a>>, NoMemory> {
        let link = &found.link;
        let Some(mut device) = found.found else {
            return Ok(None);
        };
        if link.ipv4 == Some(Ipv4Method::Dhcp) {
            let name = link.name;
            self.report.line(Level::Problem, |text| {
                uwrite!(
                    text,
                    "{}: DHCP is not done here, a network manager in the root must do it",
                    name
                )
            });
        }
        let by_router = matches!(link.ipv6, Some(Ipv6Method::Auto | Ipv6Method::Dhcp));
        let needed = by_router || !link.addresses.is_empty() || !link.routes.is_empty();
        self.ipv6(link, device.name);
        let mac = link.mac.filter(|_| found.set_mac);
        self.raise(link, &mut device, needed, mac);
        if !needed {
            return Ok(None);
        }
        if let Some(id) = link.vlan {
            let Some(vlan) = self.vlan(link, &device, id)? else {
                return Ok(None);
            };
            device = vlan;
            self.ipv6(link, device.name);
            self.raise(link, &mut device, true, None);
        }
        for prefix in link.addresses {
            let message = Message::new_address(device.index, *prefix);
            self.request("add an address", link, device.name, prefix, message);
        }
        // Next hops need the networks on the link to be there.
        let (on_link, by_gateway) = (
            |route: &&Route| route.gateway.is_none(),
            |route: &&Route| route.gateway.is_some(),
        );
        let routes = link
            .routes
            .iter()
            .filter(on_link)
            .chain(link.routes.iter().filter(by_gateway));
        for route in routes.filter(|route| !connected(link, route)) {
            self.request(
                "add a route",
                link,
                device.name,
                route,
                Message::new_route(device.index, route),
            );
        }
        Ok(Some(device))
    }

    /// Sets what IPv6 does by itself, before the link goes up.
    fn ipv6(&mut self, link: &Link, device: &[u8]) {
        let values: &[(&str, u8)] = match link.ipv6 {
            Some(Ipv6Method::Static) => &[("disable_ipv6", 0), ("accept_ra", 0), ("autoconf", 0)],
            Some(Ipv6Method::Auto | Ipv6Method::Dhcp) => {
                &[("disable_ipv6", 0), ("accept_ra", 1), ("autoconf", 1)]
            }
            Some(Ipv6Method::Disable) => &[("disable_ipv6", 1)],
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
                let link_name = link.name;
                self.report.line(Level::Problem, |text| {
                    let reason = crate::text::Reason::Os(errno);
                    uwrite!(
                        text,
                        "set {} of {} ({}): {}",
                        *name,
                        link_name,
                        Shown(device),
                        reason
                    )
                });
                return;
            }
        }
    }

    /// Sets MTU and MAC and raises the link, as far as that is not so yet.
    fn raise(
        &mut self,
        link: &Link,
        device: &mut Device,
        needed: bool,
        mac: Option<crate::text::Mac>,
    ) {
        if let Some(mac) = mac {
            let message = Message::set_link(device.index, false, None, Some(mac));
            self.request("set the MAC", link, device.name, &mac, message);
        }
        if let Some(mtu) = link.mtu.filter(|mtu| *mtu != device.mtu) {
            let message = Message::set_link(device.index, false, Some(mtu), None);
            self.request("set the MTU", link, device.name, &mtu, message);
        }
        if needed && !device.up {
            let message = Message::set_link(device.index, true, None, None);
            self.request("raise the link", link, device.name, &"up", message);
        }
    }

    /// The 802.1Q device of a PCI link; made if it is not there.
    fn vlan(
        &mut self,
        link: &Link,
        parent: &Device<'a>,
        id: u16,
    ) -> Result<Option<Device<'a>>, NoMemory> {
        const LONGEST: usize = 15; // IFNAMSIZ of linux/if.h, without the NUL
        let mut name = self.arena.table();
        uwrite!(name, "{}.{}", Shown(parent.name), id)?;
        if name.len() > LONGEST {
            name.clear();
            uwrite!(name, "vlan{}", id)?;
        }
        let name: &[u8] = name.finish();
        for attempt in 0..2 {
            let devices = self.devices()?;
            let made = devices.iter().find(|device| device.name == name);
            if made.is_some() || attempt > 0 {
                return Ok(made.copied());
            }
            self.request(
                "make a VLAN device",
                link,
                parent.name,
                &Shown(name),
                Message::new_vlan(parent.index, name, id),
            );
        }
        Ok(None)
    }

    fn request(
        &mut self,
        step: &str,
        link: &Link,
        device: &[u8],
        operand: &impl uDisplay,
        mut message: Message,
    ) {
        match self.socket.request(&mut message) {
            // It is there already.
            Err(Refusal {
                errno: Errno::EXIST,
                ..
            })
            | Ok(()) => {}
            Err(refusal) => {
                let of = Of {
                    operand,
                    link,
                    device,
                };
                refused(self.report, step, &of, &refusal);
            }
        }
    }

    /// Compares what the kernel has now with the plan, and says it.
    fn read_back(&mut self, applied: &[(Link<'a>, Device<'a>)]) -> Result<(), NoMemory> {
        let mut addresses = Set::new(self.arena);
        let mut routes = Set::new(self.arena);
        let mut memory = Ok(());
        let listed = self.socket.dump(&mut Message::addresses(), |answer| {
            if let Some((index, prefix)) = answer.address() {
                memory = memory.and(addresses.insert((index, prefix)).map(drop));
            }
        });
        if let Err(refusal) = listed {
            refused(self.report, "list the addresses", &"RTM_GETADDR", &refusal);
            return memory;
        }
        let listed = self.socket.dump(&mut Message::routes(), |answer| {
            if let Some((index, route)) = answer.route() {
                memory = memory.and(routes.insert((index, route)).map(drop));
            }
        });
        if let Err(refusal) = listed {
            refused(self.report, "list the routes", &"RTM_GETROUTE", &refusal);
            return memory;
        }
        memory?;
        for (link, device) in applied {
            let has_address = |prefix: &&Prefix| addresses.contains(&(device.index, **prefix));
            let has_route =
                |route: &&Route| connected(link, route) || has_route(&routes, device.index, route);
            let name = link.name;
            for prefix in link.addresses.iter().filter(|prefix| !has_address(prefix)) {
                self.report.line(Level::Problem, |text| {
                    uwrite!(
                        text,
                        "{} ({}): the kernel does not have the address {}",
                        name,
                        Shown(device.name),
                        *prefix
                    )
                });
            }
            for route in link.routes.iter().filter(|route| !has_route(route)) {
                self.report.line(Level::Problem, |text| {
                    uwrite!(
                        text,
                        "{} ({}): the kernel does not have the route {}",
                        name,
                        Shown(device.name),
                        *route
                    )
                });
            }
            self.report.line(Level::Note, |text| {
                uwrite!(text, "{} is {}:", name, Shown(device.name))?;
                for prefix in link.addresses.iter().filter(has_address) {
                    uwrite!(text, " {}", *prefix)?;
                }
                for route in link.routes.iter().filter(has_route) {
                    uwrite!(text, ", {}", *route)?;
                }
                Ok(())
            });
        }
        Ok(())
    }
}

/// Whether an address of the link brings this route along.
fn connected(link: &Link, route: &Route) -> bool {
    route.gateway.is_none()
        && link
            .addresses
            .iter()
            .any(|prefix| prefix.network() == route.destination)
}

/// Whether the kernel has the route; it may call its next hop on the link
/// although it need not, and in IPv6 it drops the word.
fn has_route(routes: &Set<(u32, Route)>, index: u32, route: &Route) -> bool {
    routes.contains(&(index, *route))
        || routes.contains(&(
            index,
            Route {
                onlink: !route.onlink,
                ..*route
            },
        ))
}

/// An operand with the link it belongs to: `10.0.0.1/8 of ETH0 (ens3)`.
struct Of<'o, 'a, T> {
    operand: &'o T,
    link: &'o Link<'a>,
    device: &'o [u8],
}

impl<T: uDisplay> uDisplay for Of<'_, '_, T> {
    fn fmt<W: ufmt::uWrite + ?Sized>(
        &self,
        f: &mut ufmt::Formatter<'_, W>,
    ) -> Result<(), W::Error> {
        self.operand.fmt(f)?;
        f.write_str(" of ")?;
        self.link.name.fmt(f)?;
        f.write_str(" (")?;
        Shown(self.device).fmt(f)?;
        f.write_char(')')
    }
}

fn refused(report: &mut Report, step: &str, operand: &impl uDisplay, refusal: &Refusal) {
    let reason = crate::text::Reason::Os(refusal.errno);
    report.line(Level::Problem, |text: &mut Text| {
        uwrite!(text, "{}: {}: {}", step, *operand, reason)?;
        if !refusal.words.is_empty() {
            uwrite!(text, " ({})", Shown(refusal.words))?;
        }
        Ok(())
    });
}
