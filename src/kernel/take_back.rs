//! What was set on the devices before, and is not in the plan, is taken back, on all devices
//! before anything is added to one: what is on our own record, and what other programs of
//! the initramfs have left. Then the record is written anew.
use core::net::IpAddr;

use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use ufmt::uwrite;

use super::links::vlan_name;
use super::{Kernel, ROUTER_METRIC, sysctl};
use crate::base::error::Error;
use crate::base::getdents;
use crate::base::log::Level;
use crate::base::memory::{self, Vector};
use crate::base::set::Set;
use crate::base::text::{Escaped, Format, Text, format, lines};
use crate::plan::bound::{BoundLink, DhcpClient};
use crate::plan::device::Device;
use crate::plan::record::{self, RecordedDevice};
use crate::plan::{Family, Link, Prefix, Route};

/// The default of [`ROUTER_METRIC`] (`IP6_RT_PRIO_USER` of linux/ipv6_route.h).
const DEFAULT_METRIC: u32 = 1024;

/// A device that a link of the plan changes.
#[derive(Clone, Copy)]
pub struct Touched {
    link: &'static Link,
    name: &'static [u8],
    /// Its state now; `None`: it is to be made.
    device: Option<&'static Device>,
    /// What is set on it: lines of the record.
    set: &'static [u8],
}

/// An address or a route that is not to stay.
#[derive(Clone, Copy)]
struct Stale<'t> {
    /// The index of its device.
    index: u32,
    /// The address, or the destination.
    prefix: Prefix,
    /// The route, if it is one.
    route: Option<Route>,
    /// The device on which another program has set it; `None`: an earlier stage has.
    by_other: Option<&'t Touched>,
}

/// What is known of addresses and routes: lines of the record, with the index of their
/// device.
struct Known<'t> {
    /// What an earlier stage has set, and is stale.
    on_record: Set,
    /// What the plan sets.
    planned: Set,
    touched: &'t [Touched],
    /// What is found.
    stale: Vector<Stale<'t>>,
}

impl Known<'_> {
    /// Adds an address or a route if it is not to stay; `lines`: how the record may have
    /// it.
    fn examine(&mut self, index: u32, prefix: Prefix, route: Option<Route>, lines: &[&[u8]]) {
        let is_in = |set: &Set| lines.iter().any(|line| set.contains(index, line));
        let mut by_other = None;
        if !is_in(&self.on_record) {
            let mut all = self.touched.iter();
            by_other = all.find(|one| one.up().is_some_and(|device| device.index == index));
            let family = Family::of(prefix.address);
            if by_other.is_none_or(|one| !one.link.has_all(family)) || is_in(&self.planned) {
                return;
            }
        }
        self.stale.push(Stale {
            index,
            prefix,
            route,
            by_other,
        });
    }
}

impl Touched {
    /// Its device, if it is up and carries the addresses of the link.
    fn up(&self) -> Option<&'static Device> {
        self.device
            .filter(|device| device.up && self.link.vlan.is_none())
    }
}

impl Kernel<'_> {
    /// The devices that these links change, VLAN devices too.
    pub(super) fn touched(&mut self, links: &[BoundLink]) -> Vector<Touched> {
        let mut all = Vector::new();
        for BoundLink { link, device, .. } in links {
            let Some(device) = device else { continue };
            all.push(Touched {
                link,
                name: &device.name,
                device: Some(device),
                set: self.describe(link, link.vlan.is_none()),
            });
            if let Some(id) = link.vlan
                && self.machine.needs_device(link)
            {
                let name = vlan_name(device, id);
                all.push(Touched {
                    link,
                    name,
                    device: self.device(name),
                    set: self.describe(link, true),
                });
            }
        }
        all
    }

    fn describe(&self, link: &Link, is_carrier: bool) -> &'static [u8] {
        let accepts_ra =
            link.uses_router_advertisements() && self.machine.accepts_router_advertisements(link);
        let mut text = Text::new();
        let asks = self.machine.asks(link);
        record::describe(link, is_carrier, asks, accepts_ra, &mut text);
        text.finish()
    }

    /// Undoes what an earlier stage set on devices for which this plan says something
    /// else, or nothing. The context may have changed in between: a machine may wait for
    /// days for its root. The other devices stay as they are.
    ///
    /// Of the devices whose addresses the plan has in full, what other programs have set is
    /// removed as well; not where `is_remote` says that the root is on the network.
    ///
    /// Returns whether there was something of an earlier stage to undo.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    pub(super) fn take_back(&mut self, touched: &[Touched], is_remote: &dyn Fn() -> bool) -> bool {
        let mut stale = Vector::new();
        let mut known = Known {
            on_record: Set::new(),
            planned: Set::new(),
            touched,
            stale: Vector::new(),
        };
        for recorded in self.machine.record {
            let mut same = touched.iter().filter(|one| one.name == recorded.name);
            if same.any(|one| !recorded.differs(one.set)) {
                continue;
            }
            if let Some(device) = self.device(recorded.name) {
                stale.push((recorded, device));
                for line in recorded.set() {
                    known.on_record.insert(device.index, line);
                }
            }
        }
        // Nothing is set on a device that is down.
        let mut has_up = false;
        for one in touched {
            let Some(device) = one.up() else { continue };
            has_up = true;
            for line in lines(one.set).filter_map(|line| line.strip_prefix(b"\t")) {
                known.planned.insert(device.index, line);
            }
        }
        if stale.is_empty() && !has_up {
            return false;
        }
        self.examine_routes(&mut known);
        self.examine_addresses(&mut known);
        self.remove(&known.stale, is_remote);
        for (recorded, device) in stale.iter() {
            self.restore(recorded, device);
        }
        !stale.is_empty()
    }

    /// Removes addresses and routes; those of other programs not where the root is on the
    /// network.
    fn remove(&mut self, stale: &[Stale], is_remote: &dyn Fn() -> bool) {
        let of_others = stale.iter().any(|one| one.by_other.is_some());
        let stays = of_others && (is_remote() || self.has_iscsi_session());
        for one in stale {
            if let Some(other) = one.by_other {
                self.say_foreign(other, one.prefix, stays);
                if stays {
                    continue;
                }
            }
            match &one.route {
                Some(route) => self.message.delete_route(one.index, route),
                None => self.message.delete_address(one.index, one.prefix),
            }
            self.undo(&one.prefix);
        }
    }

    fn examine_routes(&mut self, known: &mut Known) {
        self.message.routes();
        self.list("list the routes: RTM_GETROUTE", &mut |reply| {
            reply.routes(&mut |index, route| {
                // The kernel does not keep `onlink` as it was set.
                let same = [false, true].map(|onlink| format(&Route { onlink, ..route }));
                let lines = same.map(|route| memory::concat(&[b"route ", route]));
                known.examine(index, route.destination, Some(route), &lines);
            });
        });
    }

    fn examine_addresses(&mut self, known: &mut Known) {
        self.message.addresses();
        self.list("list the addresses: RTM_GETADDR", &mut |reply| {
            if let Some((index, prefix)) = reply.address()
                && !matches!(prefix.address, IpAddr::V6(v6) if v6.is_unicast_link_local())
            {
                let line = memory::concat(&[b"address ", format(&prefix)]);
                let leased = match prefix.address {
                    IpAddr::V4(_) => record::DHCP,
                    IpAddr::V6(_) => line,
                };
                known.examine(index, prefix, None, &[line, leased]);
            }
        });
    }

    /// Reports what another program has set, and whether it stays.
    fn say_foreign(&mut self, one: &Touched, what: Prefix, stays: bool) {
        let mut line = self.report.line();
        uwrite!(
            line,
            "{} ({}): {} is not in the context, another program of the initramfs has set it: {}",
            one.link.name,
            Escaped(one.name),
            what,
            match stays {
                true => "kept, since the root is on the network",
                false => "removed",
            }
        );
        self.report.say(Level::Notice, line);
    }

    /// Whether a device is on an iSCSI target, or that is not known.
    fn has_iscsi_session(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Some(class) = &self.machine.sys_net else {
            return true;
        };
        match openat(class, c"../iscsi_session", flags, Mode::empty()) {
            Ok(sessions) => {
                let mut found = false;
                let listed = getdents::names(sessions.as_fd(), &mut |_| {
                    found = true;
                    Ok(())
                });
                found || listed.is_err()
            }
            Err(errno) => errno != Errno::NOENT,
        }
    }

    /// Gives a device the state that it had before, or removes it if it was made.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    fn restore(&mut self, recorded: &RecordedDevice, device: &Device) {
        let name = &device.name;
        if recorded.before("exists") == Some(0) {
            self.message.delete_link(device.index);
            return self.undo(name);
        }
        let was_up = recorded.before("up") != Some(0);
        let is_down = !was_up || recorded.has(record::AUTO);
        if is_down && device.up {
            // The kernel forgets what routers advertised.
            self.message.set_down(device.index);
            self.undo(name);
        }
        if let Some(mtu) = recorded.before("mtu").filter(|mtu| *mtu != device.mtu) {
            self.message.set_mtu(device.index, mtu);
            self.undo(name);
        }
        let is_skipped = recorded.has(record::SKIPPED);
        for parameter in ["disable_ipv6", "accept_ra", "autoconf", ROUTER_METRIC] {
            let value = match parameter {
                ROUTER_METRIC => (!is_skipped).then_some(DEFAULT_METRIC),
                _ => recorded.before(parameter),
            };
            if let (Some(value), Ok(conf)) = (value, &self.machine.ipv6_conf)
                && let Err(errno) = sysctl::set_ipv6(conf, &device.name, parameter, value)
                && (errno, parameter) != (Errno::NOENT, ROUTER_METRIC)
            {
                self.cannot_undo(name, &Error::from(errno));
            }
        }
        if was_up && is_down && device.up {
            self.message.set_up(device.index);
            self.undo(name);
        }
    }

    /// Sends the message, which undoes something on a device.
    fn undo(&mut self, operand: &dyn Format) {
        match self.socket.request(&mut self.message, &mut |_| {}) {
            Ok(()) => {}
            // It has gone together with something else.
            Err(nack) if matches!(nack.errno, Errno::ADDRNOTAVAIL | Errno::SRCH) => {}
            Err(nack) => self.cannot_undo(operand, &nack),
        }
    }

    fn cannot_undo(&mut self, operand: &dyn Format, reason: &dyn Format) {
        let mut line = self.report.line();
        uwrite!(line, "take back what an earlier stage set: ");
        operand.append_to(&mut line);
        uwrite!(line, ": ");
        reason.append_to(&mut line);
        self.report.say(Level::Problem, line);
    }

    /// The record of these devices. Of what was there before, an older record knows more
    /// than the kernel.
    pub(super) fn record(&self, touched: &[Touched]) -> &'static [u8] {
        let mut text = Text::new();
        for one in touched {
            let mut old = self.machine.record.iter();
            let old = old.find(|old| old.name == one.name);
            text.extend(one.name);
            text.push(b'\n');
            if self.machine.dhcp == DhcpClient::Early {
                uwrite!(text, "\tearly\n");
            }
            let before = |name| old.and_then(|old| old.before(name));
            match one.device {
                Some(device) if before("exists").is_none() => {
                    let up = before("up").unwrap_or(device.up.into());
                    let mtu = before("mtu").unwrap_or(device.mtu);
                    uwrite!(text, "\twas up {}\n\twas mtu {}\n", up, mtu);
                    for (name, _) in self.machine.ipv6_by_method(one.link) {
                        let now = || {
                            let conf = self.machine.ipv6_conf.as_ref().ok()?;
                            sysctl::ipv6(conf, one.name, name).ok()
                        };
                        if let Some(value) = before(name).or_else(now) {
                            uwrite!(text, "\twas {} {}\n", *name, value);
                        }
                    }
                }
                _ => {
                    uwrite!(text, "\twas exists 0\n");
                }
            }
            text.extend(one.set);
        }
        text.finish()
    }
}
