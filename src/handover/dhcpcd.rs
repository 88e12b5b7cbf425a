//! dhcpcd (dhcpcd.conf(5)). It reads nothing in `/run`, and would ask for DHCP on a NIC
//! that is set up. So a copy of its own file that denies it our NICs is mounted over
//! that, and what the kernel has stays. A NIC that uses DHCP is left to it, in both
//! families.
use super::render::{HEAD, device, fill, links};
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::{format, position};
use crate::changeset::Changes;
use crate::image::FileContent;
use crate::image::config::ConfigFile;
use crate::plan::bound::BoundPlan;

/// Adds settings at the top, since those after an "interface" line apply only to that
/// one. Adds metrics at the end, for the links by DHCP: dhcpcd has one for both
/// families. It is that of the context, if there is one. The default, 1000 and the
/// interface's index, would come before the context's metrics in IPv6.
pub fn render(
    bound: &BoundPlan,
    file: Result<Option<&'static ConfigFile>, Error>,
    changes: &mut Changes,
) -> Result<(), Error> {
    let devices = devices_without_dhcp(bound, changes);
    let mut top = Vector::new();
    if !devices.is_empty() {
        fill!(&mut top, "denyinterfaces@\n", devices);
    }
    // This program writes resolv.conf if the context names servers.
    if bound.plan.has_name_servers() {
        fill!(&mut top, "nohook resolv.conf\n");
    }
    let mut end = Vector::new();
    for bound_link in links(bound).filter(|bound_link| bound_link.link.ipv4.uses_dhcp()) {
        if let Some(device) = bound_link.device {
            let metric = bound_link
                .link
                .metric
                .unwrap_or(bound_link.link.router_metric());
            let metric = format(&metric);
            fill!(&mut end, "interface @\nmetric @\n", device, metric);
        }
    }
    let file = file?.ok_or(NO_FILE)?;
    let old = file.content.ok_or(NO_FILE)?;
    if top.is_empty() && end.is_empty() {
        return Ok(());
    }
    let mut text = Vector::new();
    if !top.is_empty() {
        fill!(&mut text, "@@\n", HEAD.as_bytes(), &top);
    }
    text.extend(without_ours(old));
    if !end.is_empty() {
        fill!(&mut text, "@@", HEAD.as_bytes(), &end);
    }
    changes.cover(file, old, text.finish());
    Ok(())
}

const NO_FILE: Error = Error::new(
    c"its file cannot be read, so it asks for DHCP on every NIC: \
      add that file to the image, or remove this network manager",
);

/// The devices of links without DHCP, each after a blank.
fn devices_without_dhcp(bound: &BoundPlan, changes: &mut Changes) -> &'static [u8] {
    let mut devices = Vector::new();
    for bound_link in links(bound) {
        let link = bound_link.link;
        let device = device(bound_link, b"dhcpcd", changes);
        let by_dhcp = link.ipv4.uses_dhcp();
        if let Some(device) = device.filter(|_| !by_dhcp) {
            devices.push(b' ');
            devices.extend(device);
        }
        let differs = match by_dhcp {
            true => link.ignores_router_advertisements(),
            false => link.ipv6.uses_dhcp(),
        };
        if differs {
            changes.problem(
                c"DHCP in one family alone",
                format(&link.name),
                c"dhcpcd does it in both or in none: use another network manager",
            );
        }
    }
    devices.finish()
}

/// The content of its file without what earlier runs of this program added: from our
/// first line to the next empty line, or to the end. It ends with a newline.
fn without_ours(old: &FileContent) -> &'static [u8] {
    let mut text = old.content;
    if !text.ends_with(b"\n") {
        text = memory::concat(&[text, b"\n"]);
    }
    while let Some((before, rest)) = cut_at(text, HEAD.as_bytes()) {
        let after = cut_at(rest, b"\n\n").map_or(&b""[..], |(_, after)| after);
        text = memory::concat(&[before, after]);
    }
    text
}

/// Splits a text at the first `mark`, which is left out.
fn cut_at(text: &'static [u8], mark: &[u8]) -> Option<(&'static [u8], &'static [u8])> {
    let at = position(text, mark)?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}
