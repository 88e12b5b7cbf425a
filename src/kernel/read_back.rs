//! Compares the final state of the kernel with the plan.
use ufmt::uwrite;

use super::target::Target;
use super::{Kernel, connected};
use crate::base::log::Level;
use crate::base::set::Set;
use crate::base::text::{Format, format};
use crate::plan::Route;
use crate::plan::bound::BoundLink;

impl Kernel<'_> {
    /// Reports which addresses and routes of the plan the kernel has, and which it
    /// lacks.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    pub(super) fn read_back(&mut self, links: &[BoundLink]) {
        let mut addresses = Set::new();
        let mut routes = Set::new();
        self.message.addresses();
        let listed = self.list("list the addresses: RTM_GETADDR", &mut |reply| {
            if let Some((index, prefix)) = reply.address() {
                addresses.insert(index, format(&prefix));
            }
        });
        if !listed {
            return;
        }
        self.message.routes();
        let listed = self.list("list the routes: RTM_GETROUTE", &mut |reply| {
            reply.routes(&mut |index, route| {
                routes.insert(index, format(&without_onlink(&route)));
            });
        });
        if !listed {
            return;
        }
        for bound in links {
            let link = bound.link;
            let Some(device) = bound.carrier else {
                continue;
            };
            let (target, index) = (Target { link, device }, device.index);
            let mut has = self.report.line();
            uwrite!(has, "{} is {}:", link.name, device.name);
            for prefix in bound.addresses() {
                if addresses.contains(index, format(prefix)) {
                    uwrite!(has, " {}", *prefix);
                } else {
                    self.lacks(target, "address", prefix);
                }
            }
            for route in bound.routes() {
                if connected(link, route) || routes.contains(index, format(&without_onlink(route)))
                {
                    let comma = if has.ends_with(b":") { "" } else { "," };
                    uwrite!(has, "{} {}", comma, *route);
                } else {
                    self.lacks(target, "route", route);
                }
            }
            self.report.say(Level::Note, has);
        }
    }

    fn lacks(&mut self, target: Target, kind: &str, missing: &dyn Format) {
        let mut line = self.report.line();
        uwrite!(line, "{}: the kernel does not have the {} ", target, kind);
        missing.append_to(&mut line);
        self.report.say(Level::Problem, line);
    }
}

/// The route without `onlink`, which the kernel does not keep as it was set: IPv4 may
/// add the flag to a next hop that does not need it, and IPv6 drops it.
fn without_onlink(route: &Route) -> Route {
    Route {
        onlink: false,
        ..*route
    }
}
