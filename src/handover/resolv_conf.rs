//! `/etc/resolv.conf` (resolv.conf(5)), where no manager of the root owns it,
//! and systemd-resolved's drop-in where that does.
use rustix::io::Errno;
use ufmt::uwrite;

use super::{replace, text};
use crate::memory::NoMemory;
use crate::plan::Plan;
use crate::report::Level;
use crate::root::{Changes, Column, Root, units};
use crate::text::{Ip, Reason, Shown, Text};

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
    if plan.name_servers().next().is_none() && plan.search_domains().next().is_none() {
        return Ok(());
    }
    let spot = root.locate(PATH)?;
    if spot.is_below(b"/run/systemd/resolve") && is_resolved_enabled(root)? {
        let content = text(root.arena(), |text| resolved(plan, text))?;
        changes.run_file(root, RESOLVED, content)?;
        return Ok(());
    }
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
    let content = text(root.arena(), |text| resolv_conf(plan, text))?;
    if let Err(reason) = replace(root, spot, old, content, column, changes) {
        changes.problem("write", spot.path(), reason);
    }
    if plan.name_servers().count() > ASKED {
        changes.remark(Level::Note, |text| {
            uwrite!(
                text,
                "{}: most programs ask only the first {} name servers",
                Shown(PATH),
                ASKED
            )
        });
    }
    Ok(())
}

fn is_resolved_enabled(root: &Root) -> Result<bool, Reason> {
    const NAME: &[u8] = b"systemd-resolved.service";
    Ok(units::is_init(root)
        && matches!(units::find(root, NAME)?, units::Unit::Found { .. })
        && units::is_enabled(root, NAME)?)
}

fn resolv_conf(plan: &Plan, text: &mut Text) -> Result<(), NoMemory> {
    text.extend(HEAD)?;
    for server in plan.name_servers() {
        uwrite!(text, "nameserver {}\n", Ip(server))?;
    }
    words(text, b"search", plan.search_domains())
}

/// resolved.conf(5).
fn resolved(plan: &Plan, text: &mut Text) -> Result<(), NoMemory> {
    text.extend(HEAD)?;
    text.extend(b"[Resolve]\n")?;
    for server in plan.name_servers() {
        uwrite!(text, "DNS={}\n", Ip(server))?;
    }
    for domain in plan.search_domains() {
        text.extend(b"Domains=")?;
        text.extend(domain)?;
        text.push(b'\n')?;
    }
    Ok(())
}

/// One line, since of several `search` lines the last one counts.
fn words<'w>(
    text: &mut Text,
    keyword: &[u8],
    words: impl Iterator<Item = &'w [u8]>,
) -> Result<(), NoMemory> {
    let start = text.len();
    for word in words {
        if text.len() == start {
            text.extend(keyword)?;
        }
        text.push(b' ')?;
        text.extend(word)?;
    }
    if text.len() > start {
        text.push(b'\n')?;
    }
    Ok(())
}
