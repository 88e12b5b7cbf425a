//! `/etc/resolv.conf` (resolv.conf(5)), where no manager of the root owns it,
//! and systemd-resolved's drop-in where that does.
use core::net::IpAddr;

use ufmt::uwrite;

use super::dhcp::client;
use super::render::{HEAD, replace};
use crate::base::arena::{Arena, Vector};
use crate::base::error::Error;
use crate::base::set::Set;
use crate::base::text::{Ip, Text, format};
use crate::changeset::{Changes, Label, RootAccess};
use crate::image::config::ConfigFile;
use crate::image::facts::NetworkFacts;
use crate::image::managers::Manager;
use crate::plan::bound::{BoundPlan, DhcpClient};

const RESOLVED: &[u8] = b"/run/systemd/resolved.conf.d/50-onecontext.conf";
/// Name servers that the C library asks (MAXNS, resolv.conf(5)). All are
/// written: it skips the others, and those who ask more of them have them.
const ASKED: usize = 3;

/// Untouched when neither the context nor a lease names a name server or search
/// domain.
pub fn render<'a>(
    arena: &'a Arena,
    bound: &BoundPlan,
    facts: &NetworkFacts<'a>,
    access: RootAccess,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    let names = Names::of(arena, bound, Scope::All);
    if names.is_empty() {
        return Ok(());
    }
    let Some(resolv_conf) = facts.resolv_conf? else {
        return Ok(());
    };
    let mut text = arena.vector();
    text.extend(HEAD.as_bytes());
    if resolv_conf.is_of_resolved {
        // resolved.conf(5). networkd gives it those of the links and leases that
        // it knows.
        let scope = match client(bound.plan, Some(facts)) {
            _ if facts.managers.has(Manager::Networkd) => Scope::Machine,
            DhcpClient::Alone | DhcpClient::Early => Scope::All,
            DhcpClient::Networkd | DhcpClient::Manager => Scope::Context,
        };
        let names = Names::of(arena, bound, scope);
        if names.is_empty() {
            return Ok(());
        }
        text.extend(b"[Resolve]\n");
        names.write(&mut text, "DNS=", "Domains=");
        return changes.run_file(RESOLVED, text.finish());
    }
    if resolv_conf.file.path.is_hidden() {
        return Err(Error::new(&"leads to a file system of the kernel"));
    }
    names.write(&mut text, "nameserver ", "search ");
    replace(
        resolv_conf.file,
        text.finish(),
        Label::NetConf,
        access,
        changes,
    )?;
    if names.servers.len() > ASKED {
        changes.note(&[b"/etc/resolv.conf: most programs ask only the first 3 name servers"]);
    }
    Ok(())
}

/// For the initramfs, before there is a root: the same for all programs in it.
pub fn render_early<'a>(
    arena: &'a Arena,
    bound: &BoundPlan,
    file: Result<&ConfigFile<'a>, Error>,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    let names = Names::of(arena, bound, Scope::All);
    if names.is_empty() {
        return Ok(());
    }
    let mut text = arena.vector();
    text.extend(HEAD.as_bytes());
    names.write(&mut text, "nameserver ", "search ");
    let access = RootAccess::Writable;
    replace(file?, text.finish(), Label::NetConf, access, changes)
}

/// Whose name servers and search domains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Those for the whole machine.
    Machine,
    /// And those of each link.
    Context,
    /// And those that DHCP has brought.
    All,
}

/// Name servers and search domains, each once.
struct Names<'a, 'p> {
    servers: Vector<'a, IpAddr>,
    domains: Vector<'a, &'p [u8]>,
}

impl<'a, 'p> Names<'a, 'p> {
    /// The machine's own come before those of its links, and what the context
    /// names before what servers do.
    fn of(arena: &'a Arena, bound: &BoundPlan<'p>, scope: Scope) -> Self {
        let mut names = Self {
            servers: arena.vector(),
            domains: arena.vector(),
        };
        let plan = bound.plan;
        names.servers.extend(plan.dns);
        names.domains.extend(plan.search);
        if scope == Scope::Machine {
            return names;
        }
        for link in plan.links {
            names.servers.extend(link.dns);
            names.domains.extend(link.search);
        }
        if scope == Scope::Context {
            return names;
        }
        let mut seen = Set::new(arena);
        for server in names.servers.iter() {
            seen.insert(SERVER, format(arena, &Ip(*server)));
        }
        for domain in names.domains.iter() {
            seen.insert(DOMAIN, arena.copy(domain));
        }
        for lease in bound.links.iter().filter_map(|bound_link| bound_link.lease) {
            for server in lease.dns {
                if seen.insert(SERVER, format(arena, &Ip(*server))) {
                    names.servers.push(*server);
                }
            }
            for domain in lease.search {
                if seen.insert(DOMAIN, arena.copy(domain)) {
                    names.domains.push(domain);
                }
            }
        }
        names
    }

    fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.domains.is_empty()
    }

    /// One line for each server, and one for all domains: of several `search`
    /// lines the last one counts.
    fn write(&self, text: &mut Text, server: &str, search: &str) {
        for address in self.servers.iter() {
            uwrite!(text, "{}{}\n", server, Ip(*address));
        }
        let mut before = search;
        for domain in self.domains.iter() {
            uwrite!(text, "{}", before);
            text.extend(domain);
            before = " ";
        }
        if before == " " {
            text.push(b'\n');
        }
    }
}

/// What a set tells servers and domains apart by.
const SERVER: u32 = 0;
const DOMAIN: u32 = 1;
