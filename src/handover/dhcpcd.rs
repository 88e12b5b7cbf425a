//! dhcpcd (dhcpcd.conf(5)).
use super::deny_list::{ManagerFile, devices_without_dhcp, uses_dhcpv4};
use super::render::{HEAD, bind_over, fill, links};
use crate::base::error::Error;
use crate::base::memory::Vector;
use crate::base::text::format;
use crate::changeset::Changes;
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
    let devices = devices_without_dhcp(bound, b"dhcpcd", b' ', changes);
    let mut top = Vector::new();
    if !devices.is_empty() {
        fill!(&mut top, "denyinterfaces@\n", devices);
    }
    // This program writes resolv.conf if the context names servers.
    if bound.plan.has_name_servers() {
        fill!(&mut top, "nohook resolv.conf\n");
    }
    let mut end = Vector::new();
    for bound_link in links(bound).filter(|bound_link| uses_dhcpv4(bound_link.link)) {
        if let Some(device) = bound_link.device {
            let metric = bound_link
                .link
                .metric
                .unwrap_or(bound_link.link.router_metric());
            let metric = format(&metric);
            fill!(&mut end, "interface @\nmetric @\n", device, metric);
        }
    }
    let own = ManagerFile::of(file)?;
    if top.is_empty() && end.is_empty() {
        return Ok(());
    }
    let mut text = Vector::new();
    if !top.is_empty() {
        fill!(&mut text, "@@\n", HEAD.as_bytes(), &top);
    }
    text.extend(own.without_ours);
    if !end.is_empty() {
        fill!(&mut text, "@@", HEAD.as_bytes(), &end);
    }
    bind_over(own.file, own.old, text.finish(), changes);
    Ok(())
}
