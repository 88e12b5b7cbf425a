//! dhcpcd (dhcpcd.conf(5)). It reads nothing in `/run`, and would ask for DHCP on a NIC
//! that is set up. So a copy of its own file that denies it our NICs is mounted over
//! that, and what the kernel has stays. A NIC that uses DHCP is left to it, in both
//! families.
use crate::base::error::Error;
use crate::base::memory::Vector;
use crate::base::text::format;
use crate::base::text::template::fill;
use crate::changeset::{Changes, HEAD};
use crate::image::config_file::ConfigFile;
use crate::plan::bound::BoundPlan;

/// Adds settings at the top, since those after an "interface" line apply only to that
/// one. Adds metrics at the end, for the links by DHCP: dhcpcd has one for both
/// families. Where the context has IPv6 default routes, of which the first has the metric
/// 1024, it comes after them.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn render(
    bound: &BoundPlan,
    file: Result<&ConfigFile, Error>,
    changes: &mut Changes,
) -> Result<(), Error> {
    let mut denied = Vector::<u8>::new();
    let mut metrics = Vector::new();
    let mut links = bound.plan.links.iter();
    let has_default_route = links.any(|link| link.ipv6.has_default_route());
    for bound_link in bound.managed() {
        let (link, device) = (bound_link.link, bound_link.device_name());
        let Some(device) = device else { continue };
        if let Some(port) = bound_link.port {
            fill!(&mut denied, " @", &port.name);
        }
        if link.ipv4.uses_dhcp() {
            let metric = match has_default_route {
                true => link.metric.unwrap_or(link.router_metric()),
                false => link.dhcp_metric(),
            };
            let metric = format(&metric);
            fill!(&mut metrics, "interface @\nmetric @\n", device, metric);
            if link.no_default_route {
                fill!(&mut metrics, "nogateway\n");
            }
        } else {
            fill!(&mut denied, " @", device);
        }
    }
    let mut top = Vector::new();
    if !denied.is_empty() {
        fill!(&mut top, "denyinterfaces@\n", &denied);
    }
    // This program writes resolv.conf if the context names servers.
    if bound.plan.has_name_servers() {
        fill!(&mut top, "nohook resolv.conf\n");
    }
    let file = file?;
    let old = file.content.ok_or(NO_FILE)?;
    if top.is_empty() && metrics.is_empty() {
        return Ok(());
    }
    let mut text = Vector::new();
    if !top.is_empty() {
        fill!(&mut text, "@@\n", HEAD.as_bytes(), &top);
    }
    text.extend(old.content);
    if !old.content.ends_with(b"\n") {
        text.push(b'\n');
    }
    if !metrics.is_empty() {
        fill!(&mut text, "@@", HEAD.as_bytes(), &metrics);
    }
    changes.cover(file, old, text.finish());
    Ok(())
}

const NO_FILE: Error = Error::new(
    c"its file cannot be read, so it asks for DHCP on every NIC: \
      add that file to the image, or remove this network manager",
);
