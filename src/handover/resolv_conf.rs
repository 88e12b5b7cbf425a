//! `/etc/resolv.conf` (resolv.conf(5)), where no manager of the root owns it,
//! and systemd-resolved's drop-in where that does.
use rustix::io::Errno;
use ufmt::uwrite;

use super::managers::{Managers, NETWORK_MANAGER, NETWORKD};
use super::{HEAD, replace};
use crate::base::error::Error;
use crate::base::text::{Ip, Text};
use crate::changeset::{Changes, RootAccess};
use crate::image::Root;
use crate::image::systemd::units;
use crate::plan::Plan;

/// The file, as the booted system names it.
pub const PATH: &[u8] = b"/etc/resolv.conf";
const RESOLVED: &[u8] = b"/run/systemd/resolved.conf.d/50-onecontext.conf";
/// Name servers that the C library asks (MAXNS, resolv.conf(5)). All are
/// written: it skips the others, and those who ask more of them have them.
const ASKED: usize = 3;

/// Untouched when the context names neither name server nor search domain.
pub fn decide<'a>(
    plan: &Plan,
    root: &Root<'a>,
    managers: &Managers,
    access: RootAccess,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    // NetworkManager makes the file, or tells resolved, from its own profiles.
    if count(plan) == (0, 0) || managers.has(&NETWORK_MANAGER) {
        return Ok(());
    }
    let mut text = root.arena().vector();
    text.extend(HEAD.as_bytes());
    let resolved = root.resolve(PATH)?;
    if resolved.is_below(b"/run/systemd/resolve") && is_resolved_enabled(root)? {
        // resolved.conf(5). networkd tells it those of the links.
        let links = if managers.has(&NETWORKD) {
            &[]
        } else {
            plan.links
        };
        let plan = &Plan { links, ..*plan };
        if count(plan) == (0, 0) {
            return Ok(());
        }
        text.extend(b"[Resolve]\n");
        lines(&mut text, plan, "DNS=", "Domains=");
        changes.run_file(RESOLVED, text.finish())?;
        return Ok(());
    }
    lines(&mut text, plan, "nameserver ", "search ");
    if resolved.is_hidden() {
        return Err(Error::new(&"leads to a file system of the kernel"));
    }
    let old = match root.read_resolved(resolved) {
        Ok(old) => Some(old),
        Err(error) if error == Errno::NOENT => None,
        Err(reason) => return Err(reason),
    };
    replace(resolved, old, text.finish(), access, changes)?;
    if count(plan).0 > ASKED {
        changes.note(&[PATH, b": most programs ask only the first 3 name servers"]);
    }
    Ok(())
}

fn is_resolved_enabled(root: &Root) -> Result<bool, Error> {
    const NAME: &[u8] = b"systemd-resolved.service";
    match units::find(root, NAME)? {
        units::Unit::FileContent { text, .. } if units::is_init(root)? => {
            Ok(units::will_be_enabled(root, NAME, text)?.is_some())
        }
        _ => Ok(false),
    }
}

/// How many name servers and search domains there are.
fn count(plan: &Plan) -> (usize, usize) {
    let mut count = (plan.dns.len(), plan.search.len());
    for link in plan.links {
        count.0 += link.dns.len();
        count.1 += link.search.len();
    }
    count
}

/// One line for each server, and one for all domains: of several `search`
/// lines the last one counts. The plan's own come before those of its links.
fn lines(text: &mut Text, plan: &Plan, server: &str, search: &str) {
    for address in plan.name_servers() {
        uwrite!(text, "{}{}\n", server, Ip(address));
    }
    let mut before = search;
    for domain in plan.search_domains() {
        uwrite!(text, "{}", before);
        text.extend(domain);
        before = " ";
    }
    if before == " " {
        text.push(b'\n');
    }
}
