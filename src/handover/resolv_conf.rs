//! `/etc/resolv.conf` (resolv.conf(5)), where no manager of the root owns it,
//! and systemd-resolved's drop-in where that does.
use core::net::IpAddr;

use rustix::io::Errno;
use ufmt::{uWrite, uwrite};

use super::replace;
use crate::memory::NoMemory;
use crate::plan::Plan;
use crate::root::{Changes, Column, Root, units};
use crate::text::{Ip, Reason, Text};

const PATH: &[u8] = b"/etc/resolv.conf";
const RESOLVED: &[u8] = b"/run/systemd/resolved.conf.d/50-onecontext.conf";
const HEAD: &[u8] = b"# Made by onecontext from the context of this machine.\n";
/// Name servers that the C library asks (MAXNS, resolv.conf(5)). All are
/// written: it skips the others, and those who ask more of them have them.
const ASKED: usize = 3;

/// Untouched when the context names neither name server nor search domain.
pub fn decide<'a>(
    plan: &Plan,
    root: &Root<'a>,
    column: Column,
    changes: &mut Changes<'a>,
) -> Result<(), Reason> {
    let arena = root.arena();
    let mut servers = arena.table();
    for server in plan.name_servers() {
        servers.push(server)?;
    }
    let mut search = arena.table();
    for domain in plan.search_domains() {
        search.push(domain)?;
    }
    if servers.is_empty() && search.is_empty() {
        return Ok(());
    }
    let mut text = arena.table();
    text.extend(HEAD)?;
    let spot = root.locate(PATH)?;
    if spot.is_below(b"/run/systemd/resolve") && is_resolved_enabled(root)? {
        // resolved.conf(5).
        text.extend(b"[Resolve]\n")?;
        lines(&mut text, "DNS=", &servers, "Domains=", &search)?;
        changes.run_file(root, RESOLVED, text.finish())?;
        return Ok(());
    }
    lines(&mut text, "nameserver ", &servers, "search ", &search)?;
    if spot.is_hidden() {
        changes.problem("write", PATH, "leads to a file system of the kernel");
        return Ok(());
    }
    let old = match root.read_spot(spot) {
        Ok(old) => Some(old),
        Err(Reason::Os(Errno::NOENT)) => None,
        Err(reason) => {
            changes.problem("read", PATH, reason);
            return Ok(());
        }
    };
    if let Err(reason) = replace(root, spot, old, text.finish(), column, changes) {
        changes.problem("write", spot.path(), reason);
    }
    if servers.len() > ASKED {
        changes.note(&[PATH, b": most programs ask only the first 3 name servers"]);
    }
    Ok(())
}

fn is_resolved_enabled(root: &Root) -> Result<bool, Reason> {
    const NAME: &[u8] = b"systemd-resolved.service";
    Ok(units::is_init(root)
        && matches!(units::find(root, NAME)?, units::Unit::Found { .. })
        && units::is_enabled(root, NAME)?)
}

/// One line for each server, and one for all domains: of several `search`
/// lines the last one counts.
fn lines(
    text: &mut Text,
    server: &str,
    servers: &[IpAddr],
    search: &str,
    domains: &[&[u8]],
) -> Result<(), NoMemory> {
    for address in servers {
        uwrite!(text, "{}{}\n", server, Ip(*address))?;
    }
    for (position, domain) in domains.iter().enumerate() {
        text.write_str(if position == 0 { search } else { " " })?;
        text.extend(domain)?;
    }
    if !domains.is_empty() {
        text.push(b'\n')?;
    }
    Ok(())
}
