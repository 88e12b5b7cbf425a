//! dhcpcd (dhcpcd.conf(5)) and ConnMan (connman.conf(5)). They have no door in
//! `/run`, and would ask for DHCP on a NIC that is set up. So their own file is
//! covered by a copy that denies them our NICs, and what the kernel has stays.
//! A NIC by DHCP is theirs, then in both families.
use super::managers::{device, links};
use super::{HEAD, bind_over, fill};
use crate::base::error::Error;
use crate::base::text::{format, lines, position};
use crate::changeset::{Changes, RootAccess};
use crate::image::systemd::units;
use crate::image::{FileContent, ResolvedPath, Root, if_there};
use crate::plan::{Ipv4Method, Ipv6Method, Link, Plan};

const DHCPCD: &[u8] = b"/etc/dhcpcd.conf";
const CONNMAN: &[u8] = b"/etc/connman/main.conf";
/// What it denies itself unless its file says otherwise (connman.conf(5)).
const USUAL: &[u8] = b"vmnet,vboxnet,virbr,ifb,ve-,vb-";

/// At the top, as what comes after an "interface" counts for that one alone;
/// and at the end the metrics of those by DHCP, which would else be 1000 and
/// the interface's index, and come before the context's in IPv6.
pub fn dhcpcd<'a>(
    plan: &Plan,
    root: &Root<'a>,
    _column: RootAccess,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    let arena = root.arena();
    let devices = denied(plan, root, (b"dhcpcd", b' '), changes);
    let mut top = arena.vector();
    if !devices.is_empty() {
        fill(&mut top, "denyinterfaces@\n", &[devices]);
    }
    // resolv.conf is ours where the context names servers.
    if plan.has_name_servers() {
        fill(&mut top, "nohook resolv.conf\n", &[]);
    }
    let mut end = arena.vector();
    for link in links(plan).filter(|link| by_dhcp(link)) {
        if let Some(device) = link.device {
            let metric = format(arena, &link.router_metric());
            fill(&mut end, "interface @\nmetric @\n", &[device, metric]);
        }
    }
    let own = open(root, DHCPCD)?;
    if top.is_empty() && end.is_empty() {
        return Ok(());
    }
    let mut text = arena.vector();
    if !top.is_empty() {
        fill(&mut text, "@@\n", &[HEAD.as_bytes(), &top]);
    }
    text.extend(own.theirs);
    if !end.is_empty() {
        fill(&mut text, "@@", &[HEAD.as_bytes(), &end]);
    }
    bind_over(own.resolved, &own.found, text.finish(), changes);
    Ok(())
}

/// At the end: of two values the last one counts (GLib's key files).
pub fn connman<'a>(
    plan: &Plan,
    root: &Root<'a>,
    _column: RootAccess,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    let arena = root.arena();
    let devices = denied(plan, root, (b"ConnMan", b','), changes);
    let own = open(root, CONNMAN)?;
    if devices.is_empty() {
        return Ok(());
    }
    let mut old = USUAL;
    for line in lines(own.theirs) {
        let mut parts = line.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        if parts.next() == Some(b"NetworkInterfaceBlacklist") {
            old = parts.next().unwrap_or(old);
        }
    }
    let mut text = arena.vector();
    text.extend(own.theirs);
    fill(
        &mut text,
        "@[General]\nNetworkInterfaceBlacklist=@@\n\n",
        &[HEAD.as_bytes(), old, devices],
    );
    bind_over(own.resolved, &own.found, text.finish(), changes);
    if units::is_init(root)? && !links(plan).any(by_dhcp) {
        // It would wait two minutes for a NIC of ConnMan's.
        const UNIT: &[u8] = b"/run/systemd/system/connman-wait-online.service";
        changes.run_symlink(UNIT, b"/dev/null", b"")?;
    }
    Ok(())
}

fn by_dhcp(link: &Link) -> bool {
    link.ipv4 == Some(Ipv4Method::Dhcp)
}

/// The devices that are not by DHCP, each after `before`.
fn denied<'a>(
    plan: &Plan,
    root: &Root<'a>,
    (manager, before): (&[u8], u8),
    changes: &mut Changes,
) -> &'a [u8] {
    let mut devices = root.arena().vector();
    for link in links(plan) {
        let device = device(link, manager, root, changes);
        let by_dhcp = by_dhcp(link);
        if let Some(device) = device.filter(|_| !by_dhcp) {
            devices.push(before);
            devices.extend(device);
        }
        let differs = match link.ipv6 {
            Some(Ipv6Method::Static | Ipv6Method::Disable) => by_dhcp,
            Some(Ipv6Method::Dhcp) => !by_dhcp,
            _ => false,
        };
        if differs {
            changes.problem(
                "DHCP in one family alone",
                format(root.arena(), &link.name),
                &"dhcpcd and ConnMan do it in both or in none: use another network manager",
            );
        }
    }
    devices.finish()
}

/// A file of the root, and what of it is not ours, with the end of its last
/// line.
struct Own<'a> {
    resolved: ResolvedPath<'a>,
    found: FileContent<'a>,
    theirs: &'a [u8],
}

/// What an earlier run has put there goes from a first line of ours to the next
/// empty one, or to the end.
#[inline(never)]
fn open<'a>(root: &Root<'a>, path: &[u8]) -> Result<Own<'a>, Error> {
    let resolved = root.resolve(path)?;
    let Some(found) = if_there(root.read_resolved(resolved))? else {
        return Err(Error::new(
            &"its file cannot be read, so it asks for DHCP on every NIC: \
             add that file to the image, or remove this network manager",
        ));
    };
    let mut theirs = found.content;
    if !theirs.ends_with(b"\n") {
        theirs = root.arena().concat(&[theirs, b"\n"]);
    }
    while let Some((before, rest)) = cut_at(theirs, HEAD.as_bytes()) {
        let after = cut_at(rest, b"\n\n").map_or(&b""[..], |(_, after)| after);
        theirs = root.arena().concat(&[before, after]);
    }
    Ok(Own {
        resolved,
        found,
        theirs,
    })
}

/// What stands before and after the first `mark`.
fn cut_at<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = position(text, mark)?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}
