//! `/etc/resolv.conf` (resolv.conf(5)), where no manager of the root owns it,
//! and systemd-resolved's drop-in where that does.
use ufmt::uwrite;

use super::render::{HEAD, replace};
use crate::base::arena::Arena;
use crate::base::error::Error;
use crate::base::text::{Ip, Text};
use crate::changeset::{Changes, Label, RootAccess};
use crate::image::facts::NetworkFacts;
use crate::image::managers::Manager;
use crate::plan::Plan;

const RESOLVED: &[u8] = b"/run/systemd/resolved.conf.d/50-onecontext.conf";
/// Name servers that the C library asks (MAXNS, resolv.conf(5)). All are
/// written: it skips the others, and those who ask more of them have them.
const ASKED: usize = 3;

/// Untouched when the context names neither name server nor search domain.
pub fn render<'a>(
    arena: &'a Arena,
    plan: &Plan,
    facts: &NetworkFacts<'a>,
    access: RootAccess,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    if count(plan) == (0, 0) {
        return Ok(());
    }
    let Some(resolv_conf) = facts.resolv_conf? else {
        return Ok(());
    };
    let mut text = arena.vector();
    text.extend(HEAD.as_bytes());
    if resolv_conf.is_of_resolved {
        // resolved.conf(5). networkd gives it those of the links.
        let links = match facts.managers.has(Manager::Networkd) {
            true => &[],
            false => plan.links,
        };
        let plan = &Plan { links, ..*plan };
        if count(plan) == (0, 0) {
            return Ok(());
        }
        text.extend(b"[Resolve]\n");
        lines(&mut text, plan, "DNS=", "Domains=");
        return changes.run_file(RESOLVED, text.finish());
    }
    if resolv_conf.file.path.is_hidden() {
        return Err(Error::new(&"leads to a file system of the kernel"));
    }
    lines(&mut text, plan, "nameserver ", "search ");
    replace(
        resolv_conf.file,
        text.finish(),
        Label::NetConf,
        access,
        changes,
    )?;
    if count(plan).0 > ASKED {
        changes.note(&[b"/etc/resolv.conf: most programs ask only the first 3 name servers"]);
    }
    Ok(())
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
