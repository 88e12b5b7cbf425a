//! DHCP of the links: asks for all of them at once, and applies the leases to the
//! kernel.
use rustix::io::Errno;
use ufmt::uwrite;

use super::Kernel;
use super::dhcp::{Clients, Failure};
use super::target::Target;
use crate::base::error::Error;
use crate::base::log::Level;
use crate::base::memory::{self, Vector};
use crate::base::syscall::{Clock, clock};
use crate::base::text::{Format, Ip, Moment, Text};
use crate::plan::bound::{BoundLink, DhcpClient, Lease};
use crate::plan::{Method, Route};

/// The remedy where nobody in the booted system does DHCP.
const MANAGER_NEEDED: &str = "enable systemd-networkd or another network manager in the image";

/// Why the early stage does not do DHCPv6, or renew a lease.
const BEFORE_ROOT: &str = "there is no root yet";

/// `IPV6_MIN_MTU` of linux/ipv6.h: with less the kernel turns IPv6 off on a link (RFC
/// 8200 5).
const IPV6_MIN_MTU: u32 = 1280;

impl Kernel<'_> {
    /// Asks for the addresses that come by DHCP, and applies the leases to the kernel.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    pub(super) fn ask_for_leases(&mut self, links: &mut [BoundLink], hostname: &[u8]) {
        let mut names = self.report.line();
        let asked = self
            .clients(links, hostname, &mut names)
            .and_then(|clients| {
                if names.is_empty() {
                    return Ok(());
                }
                self.report
                    .begin(c"ask for addresses by DHCP:", names.trim_ascii());
                clients.ask(&mut |position, answer| {
                    let Some(bound) = links.get_mut(position) else {
                        return;
                    };
                    let Some(target) = self.asking(bound) else {
                        return;
                    };
                    match answer {
                        Ok(mut lease) => {
                            if target.link.no_default_route {
                                lease.routes = without_default(lease.routes);
                            }
                            let lease = memory::place(lease);
                            self.apply_lease(target, lease);
                            bound.lease = Some(lease);
                        }
                        Err(Failure::Servers(words)) => self.no_lease(target, &words),
                        Err(Failure::Send(errno)) => self.no_lease(target, &Error::from(errno)),
                    }
                })
            });
        if let Err(errno) = asked {
            self.report
                .problem(c"ask for addresses by DHCP", names.trim_ascii(), errno);
        }
    }

    /// The device of a link that needs an address by DHCP.
    fn asking(&self, bound: &BoundLink) -> Option<Target> {
        let (link, device) = (bound.link, bound.carrier?);
        self.machine.asks(link).then_some(Target { link, device })
    }

    /// A client for each link that needs one, whose names are added to `names`.
    fn clients<'h>(
        &mut self,
        links: &[BoundLink],
        hostname: &'h [u8],
        names: &mut Text,
    ) -> Result<Clients<'h>, Errno> {
        let mut clients = Clients::new(hostname);
        for (position, bound) in links.iter().enumerate() {
            let Some(target) = self.asking(bound) else {
                continue;
            };
            let Target { link, device } = target;
            let own = link.mac.filter(|_| bound.port.is_none());
            // The device may have got the MAC of the link after it was listed.
            let Some(mac) = own.or(device.mac) else {
                self.no_lease(target, &"it has no MAC");
                continue;
            };
            clients.add(position, device.index, mac, link.dhcp_metric())?;
            uwrite!(names, " {}", target);
        }
        Ok(clients)
    }

    pub(super) fn say_no_dhcpv6(&mut self, target: Target) {
        let (level, until) = match self.machine.dhcp {
            DhcpClient::Alone => (Level::Problem, MANAGER_NEEDED),
            DhcpClient::Early => (Level::Note, BEFORE_ROOT),
            DhcpClient::Manager(_) | DhcpClient::Networkd(_) => return,
        };
        let mut line = self.report.line();
        uwrite!(line, "{}: DHCPv6 is not done: {}", target, until);
        self.report.say(level, line);
    }

    fn no_lease(&mut self, target: Target, reason: &dyn Format) {
        let mut line = self.report.line();
        uwrite!(line, "{}: no address by DHCP: ", target);
        reason.append_to(&mut line);
        if matches!(self.machine.dhcp, DhcpClient::Networkd(_)) {
            uwrite!(line, "; systemd-networkd goes on asking");
        }
        self.report.say(Level::Problem, line);
    }

    fn apply_lease(&mut self, target: Target, lease: &Lease) {
        self.set_leased_mtu(target, lease);
        // A machine may wait for its passphrase longer than the lease lasts. The
        // address stays, as with klibc's ipconfig, so that the machine remains
        // reachable.
        let kept = match self.machine.dhcp {
            DhcpClient::Early => Lease {
                seconds: Lease::FOREVER,
                ..*lease
            },
            _ => *lease,
        };
        self.add_addresses(target, &[lease.address], Some(&kept));
        self.add_routes(target, lease.routes, Some(&kept));
        self.say_lease(target, lease);
    }

    /// Sets the MTU of a lease, unless the context has one.
    fn set_leased_mtu(&mut self, target: Target, lease: &Lease) {
        let least = match target.link.ipv6.method {
            Some(Method::Disable) => 0,
            _ => IPV6_MIN_MTU,
        };
        if let Some(mtu) = lease.mtu.map(|mtu| mtu.max(least))
            && target.link.mtu.is_none()
            && mtu != target.device.mtu
        {
            self.message.set_mtu(target.device.index, mtu);
            self.request("set the MTU", target, &mtu, None);
        }
    }

    /// Reports a lease, and what happens when it ends.
    fn say_lease(&mut self, target: Target, lease: &Lease) {
        let mut line = self.report.line();
        let server = Ip(lease.server.into());
        uwrite!(
            line,
            "{}: {} by DHCP from {}",
            target,
            lease.address,
            server
        );
        let level = match self.machine.dhcp {
            DhcpClient::Networkd(_) => {
                uwrite!(line, "; systemd-networkd renews it");
                Level::Note
            }
            _ if lease.seconds == Lease::FOREVER => Level::Note,
            DhcpClient::Early => {
                write_end(lease.seconds, &mut line);
                let kept = ", kept beyond, since nobody renews it: ";
                uwrite!(line, "{}{}", kept, BEFORE_ROOT);
                Level::Notice
            }
            DhcpClient::Alone | DhcpClient::Manager(_) => {
                write_end(lease.seconds, &mut line);
                uwrite!(line, ", and nobody renews it: {}", MANAGER_NEEDED);
                Level::Problem
            }
        };
        self.report.say(level, line);
    }
}

fn without_default(routes: &[Route]) -> &'static [Route] {
    let mut others = Vector::new();
    for route in routes
        .iter()
        .filter(|route| !route.destination.is_default())
    {
        others.push(*route);
    }
    others.finish()
}

/// Writes a duration from now on and, if the clock is right, when it ends.
fn write_end(seconds: u32, line: &mut Text) {
    uwrite!(line, ", for {} s", seconds);
    if let Some(end) = lease_end(seconds) {
        uwrite!(line, ", until {}", end);
    }
}

/// When this duration from now on ends; `None` if the clock is wrong.
fn lease_end(seconds: u32) -> Option<Moment> {
    /// 1 January 2024: a clock that shows an earlier time was never set.
    const PLAUSIBLE: u64 = 1_704_067_200;
    let (now, _) = clock(Clock::Real).ok()?;
    (now >= PLAUSIBLE).then_some(Moment(now.saturating_add(seconds.into())))
}
