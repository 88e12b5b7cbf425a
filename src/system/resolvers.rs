//! The name servers and search domains of a machine, and what of them a file gets.
use core::net::IpAddr;

use ufmt::uwrite;

use crate::base::memory::{self, Vector};
use crate::base::set::Set;
use crate::base::text::{Ip, Text, format};
use crate::plan::bound::BoundPlan;

/// Which name servers and search domains are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Those of the whole machine.
    Machine,
    /// Also those of each link.
    Context,
    /// Also those from DHCP leases.
    All,
}

/// Name servers and search domains, each once.
pub struct Resolvers {
    /// The name servers.
    pub servers: Vector<IpAddr>,
    /// The search domains.
    pub domains: Vector<&'static [u8]>,
}

impl Resolvers {
    /// Those of the machine come before those of its links, and those of the context
    /// before those of leases.
    pub fn of(bound: &BoundPlan, selection: Selection) -> Self {
        let mut resolvers = Self {
            servers: Vector::new(),
            domains: Vector::new(),
        };
        let plan = bound.plan;
        resolvers.servers.extend(plan.dns);
        resolvers.domains.extend(plan.search);
        if selection == Selection::Machine {
            return resolvers;
        }
        for link in plan.links {
            resolvers.servers.extend(link.dns);
            resolvers.domains.extend(link.search);
        }
        if selection == Selection::Context {
            return resolvers;
        }
        let mut seen = Set::new();
        for server in resolvers.servers.iter() {
            seen.insert(SERVER, format(&Ip(*server)));
        }
        for domain in resolvers.domains.iter() {
            seen.insert(DOMAIN, memory::copy(domain));
        }
        for lease in bound.links.iter().filter_map(|bound_link| bound_link.lease) {
            for server in lease.dns {
                if seen.insert(SERVER, format(&Ip(*server))) {
                    resolvers.servers.push(*server);
                }
            }
            for domain in lease.search {
                if seen.insert(DOMAIN, memory::copy(domain)) {
                    resolvers.domains.push(domain);
                }
            }
        }
        resolvers
    }

    /// Whether there is neither.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.domains.is_empty()
    }

    /// Writes one line for each server, and one line for all domains: only the last of
    /// several `search` lines counts.
    pub fn write(&self, text: &mut Text, server: &str, search: &str) {
        for address in self.servers.iter() {
            uwrite!(text, "{}{}\n", server, Ip(*address));
        }
        self.write_domains(text, search, "\n");
    }

    /// Writes the domains between `begin` and `end`; nothing where there are none.
    pub fn write_domains(&self, text: &mut Text, begin: &str, end: &str) {
        let mut before = begin;
        for domain in self.domains.iter() {
            text.extend(before.as_bytes());
            text.extend(domain);
            before = " ";
        }
        if !self.domains.is_empty() {
            text.extend(end.as_bytes());
        }
    }
}

/// The numbers by which one set distinguishes servers from domains.
const SERVER: u32 = 0;
const DOMAIN: u32 = 1;
