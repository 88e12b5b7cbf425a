//! Configuration of network managers: for each a file with a pure function from the
//! bound plan and the facts of the root to changes. Nothing is read or written here.
//!
//! This file calls those functions for what the root has. They do not import each other.
pub mod dhcp;
mod dhcpcd;
mod ifupdown;
mod names;
mod network_manager;
mod networkd;

use crate::base::error::Error;
use crate::base::text::format;
use crate::changeset::Changes;
use crate::image::facts::{Facts, NetworkFacts};
use crate::image::managers::{Enabled, INSTANCE, Manager, Supported};
use crate::plan::bound::{BoundPlan, DhcpClient};

/// Adds the files for all managers that the root enables, and reports what cannot be
/// written.
// Not inlined, as `Boot::read`.
#[inline(never)]
pub fn render(bound: &BoundPlan, facts: &Facts, changes: &mut Changes) {
    let Some(network) = facts.network else {
        return;
    };
    report_unknown(network.managers.unknown, changes);
    for enabled in network.managers.enabled {
        let mut name = enabled.manager.name.bytes();
        if name == INSTANCE.to_bytes() {
            name = enabled.by;
        }
        changes.note(&[name, b" is enabled by ", enabled.by]);
        say_limits(bound, enabled.manager, changes);
        changes.step(name, |changes| render_for(bound, network, enabled, changes));
    }
    dhcp::name_programs(bound, changes);
    match bound.dhcp {
        DhcpClient::Networkd(unit) => changes.step(b"DHCP", |changes| {
            networkd::render_for_dhcp(bound, network.networkd_file?, unit, changes)
        }),
        DhcpClient::Alone => changes.step(b"DHCP", |changes| {
            dhcp::say_what_is_missing(bound, network, changes)
        }),
        DhcpClient::Manager(_) | DhcpClient::Early => {}
    }
}

/// Reports managers of which it is unknown whether they are enabled. A cause of all of
/// them, such as a directory of systemd, is reported once.
fn report_unknown(unknown: &[(&Manager, Error)], changes: &mut Changes) {
    let all_for = |reason| {
        unknown.len() == Manager::ALL.len() && unknown.iter().all(|(_, error)| *error == reason)
    };
    match unknown {
        [(_, reason), ..] if all_for(*reason) => {
            changes.problem(
                c"find out",
                b"which network managers the image enables",
                *reason,
            );
        }
        _ => {
            for (manager, error) in unknown {
                changes.problem(c"find out whether the image enables", &manager.name, *error);
            }
        }
    }
}

/// Says what a manager cannot do for the links.
fn say_limits(bound: &BoundPlan, manager: &Manager, changes: &mut Changes) {
    for bound_link in bound.managed() {
        let (link, device) = (bound_link.link, bound_link.device_name());
        if let Some(reason) = manager.no_dhcp_in_one_family
            && link.uses_dhcp_in_one_family_alone()
        {
            changes.problem(c"DHCP in one family alone", format(&link.name), reason);
        }
        if manager.goes_by_names && device.is_none() {
            changes.note(&[
                &manager.name,
                b" goes by names, and no device was found for ",
                format(&link.name),
            ]);
        }
    }
}

fn render_for(
    bound: &BoundPlan,
    network: &NetworkFacts,
    enabled: &Enabled,
    changes: &mut Changes,
) -> Result<(), Error> {
    match enabled.supported {
        Some(Supported::Networkd) => networkd::render(bound, network.networkd_file?, changes),
        Some(Supported::NetworkManager) => {
            let is_alone = network.managers.enabled.len() == 1;
            network_manager::render(bound, is_alone, changes)
        }
        Some(Supported::Ifupdown(interfaces)) => ifupdown::render(bound, interfaces, changes),
        Some(Supported::Dhcpcd(file)) => dhcpcd::render(bound, file, changes),
        None if bound.managed().next().is_none() => Ok(()),
        None => Err(Error::new(
            c"not supported: the kernel's configuration stands until it starts, and its own \
              files win if they configure the NIC: use another network manager",
        )),
    }
}

#[cfg(test)]
mod dhcp_tests;
#[cfg(test)]
mod tests;
