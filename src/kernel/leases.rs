//! DHCP of the links: asks for all of them at once, and applies the leases to the
//! kernel.
use ufmt::uwrite;

use super::dhcp::{self, DhcpLink, Failure};
use super::{Applied, Kernel, MatchedLink};
use crate::base::error::Error;
use crate::base::log::Level;
use crate::base::memory::{self, Vector};
use crate::base::syscall::{Clock, clock};
use crate::base::text::{Format, Ip, Moment, Text};
use crate::plan::Method;
use crate::plan::bound::{DhcpClient, Lease};

/// The remedy where nobody in the booted system does DHCP.
const MANAGER_NEEDED: &str = "enable systemd-networkd or another network manager in the image";

/// Why the early stage does not do DHCPv6, or renew a lease.
const BEFORE_ROOT: &str = "there is no root yet";

/// `IPV6_MIN_MTU` of linux/ipv6.h: with less the kernel turns IPv6 off on a link (RFC
/// 8200 5).
const IPV6_MIN_MTU: u32 = 1280;

impl Kernel<'_> {
    /// Asks for the addresses that come by DHCP, and applies the leases to the kernel.
    pub(super) fn ask_for_leases(&mut self, applied: &mut [Applied], hostname: &[u8]) {
        let mut by_dhcp = Vector::new();
        let mut links = Vector::new();
        let mut names = self.report.line();
        for (position, one) in applied.iter().enumerate() {
            let Some(matched) = one
                .matched
                .filter(|matched| self.machine.asks(matched.link))
            else {
                continue;
            };
            // The device may have got the MAC of the link after it was listed.
            let Some(mac) = matched.link.mac.or(matched.device.mac) else {
                self.no_lease(matched, &"it has no MAC");
                continue;
            };
            by_dhcp.push(DhcpLink {
                index: matched.device.index,
                mac,
                metric: matched.link.dhcp_metric(),
            });
            links.push((position, matched));
            uwrite!(names, " {}", matched);
        }
        if by_dhcp.is_empty() {
            return;
        }
        self.report
            .begin(c"ask for addresses by DHCP:", names.trim_ascii());
        let asked = dhcp::ask(&by_dhcp, hostname, &mut |number, answer| {
            let Some((position, matched)) = links.get(number) else {
                return;
            };
            match answer {
                Ok(lease) => {
                    let lease = memory::place(lease);
                    self.apply_lease(*matched, lease);
                    if let Some(applied) = applied.get_mut(*position) {
                        applied.lease = Some(lease);
                    }
                }
                Err(Failure::Servers(words)) => self.no_lease(*matched, &words),
                Err(Failure::Send(errno)) => self.no_lease(*matched, &Error::from(errno)),
            }
        });
        if let Err(errno) = asked {
            self.report
                .problem(c"ask for addresses by DHCP", names.trim_ascii(), errno);
        }
    }

    pub(super) fn say_no_dhcpv6(&mut self, matched: MatchedLink) {
        let (level, until) = match self.machine.dhcp {
            DhcpClient::Alone => (Level::Problem, MANAGER_NEEDED),
            DhcpClient::Early => (Level::Note, BEFORE_ROOT),
            DhcpClient::Manager(_) | DhcpClient::Networkd(_) => return,
        };
        let mut line = self.report.line();
        uwrite!(line, "{}: DHCPv6 is not done: {}", matched, until);
        self.report.say(level, line);
    }

    fn no_lease(&mut self, matched: MatchedLink, reason: &dyn Format) {
        let mut line = self.report.line();
        uwrite!(line, "{}: no address by DHCP: ", matched);
        reason.append_to(&mut line);
        if matches!(self.machine.dhcp, DhcpClient::Networkd(_)) {
            uwrite!(line, "; systemd-networkd goes on asking");
        }
        self.report.say(Level::Problem, line);
    }

    fn apply_lease(&mut self, matched: MatchedLink, lease: &Lease) {
        self.set_leased_mtu(matched, lease);
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
        self.add_addresses(matched, &[lease.address], Some(&kept));
        self.add_routes(matched, lease.routes, Some(&kept));
        self.say_lease(matched, lease);
    }

    /// Sets the MTU of a lease, unless the context has one.
    fn set_leased_mtu(&mut self, matched: MatchedLink, lease: &Lease) {
        let least = match matched.link.ipv6.method {
            Some(Method::Disable) => 0,
            _ => IPV6_MIN_MTU,
        };
        if let Some(mtu) = lease.mtu.map(|mtu| mtu.max(least))
            && matched.link.mtu.is_none()
            && mtu != matched.device.mtu
        {
            self.message.set_mtu(matched.device.index, mtu);
            self.request("set the MTU", matched, &mtu, None);
        }
    }

    /// Reports a lease, and what happens when it ends.
    fn say_lease(&mut self, matched: MatchedLink, lease: &Lease) {
        let mut line = self.report.line();
        let server = Ip(lease.server.into());
        uwrite!(
            line,
            "{}: {} by DHCP from {}",
            matched,
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
