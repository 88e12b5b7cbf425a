//! Files for the root's own tools: for each tool a pure function from the plan and the
//! facts of the root to changes. Nothing is read or written here.
//!
//! This module calls the renderers for what the root has. They do not import each
//! other; what several share is in [`render`].
mod cloud_init;
pub mod dhcp;
mod dhcpcd;
mod hostname;
mod hosts;
mod ifupdown;
mod ipconfig;
mod network_manager;
mod networkd;
mod render;
mod resolv_conf;
mod scripts;

use crate::base::error::Error;
use crate::base::memory::Vector;
use crate::changeset::Changes;
use crate::image::facts::{Facts, NetworkFacts};
use crate::image::initramfs::InitramfsFacts;
use crate::image::managers::{Manager, Supported};
use crate::image::networkd::Networkd;
use crate::image::{PathError, ResolvedPath};
use crate::plan::bound::{BoundPlan, DhcpClient};
use crate::plan::early::{self, EarlyDevice};

/// Adds the files for all tools that the root has, and reports what cannot be written.
pub fn render(bound: &BoundPlan, facts: &Facts, changes: &mut Changes) {
    let plan = bound.plan;
    let rendered = hostname::render(plan, facts.hostname, changes);
    report(rendered, b"/etc/hostname", changes);
    if let Some(hosts) = known(facts.hosts, changes) {
        hosts::render(plan, hosts, changes);
    }
    let is_network_ours = facts.network.is_some();
    let rendered = cloud_init::render(plan, is_network_ours, facts.cloud_init, changes);
    report(rendered, b"cloud-init", changes);
    let rendered = scripts::render(&plan.scripts, facts.systemd, changes);
    report(rendered, b"scripts", changes);
    let Some(network) = facts.network else {
        return;
    };
    let rendered = resolv_conf::render(bound, network, changes);
    report(rendered, b"/etc/resolv.conf", changes);
    report_unknown(network.managers.unknown, changes);
    for enabled in network.managers.enabled {
        let name = enabled.manager.name;
        changes.note(&[name, b" is enabled by ", enabled.by]);
        let rendered = render_manager(bound, enabled.manager, network, changes);
        report(rendered, name, changes);
    }
    dhcp::name_programs(plan, network, changes);
    let rendered = match (dhcp::client(plan, Some(network)), network.networkd) {
        (DhcpClient::Networkd, Ok(Networkd::Installed(unit))) => {
            networkd::render_for_dhcp(bound, unit, changes)
        }
        _ => dhcp::report(bound, network, changes),
    };
    report(rendered, b"DHCP", changes);
}

/// The same for the initramfs itself, in the early stage.
pub fn render_early(bound: &BoundPlan, facts: &InitramfsFacts, changes: &mut Changes) {
    let rendered = resolv_conf::render_early(bound, facts.resolv_conf, changes);
    report(rendered, b"/etc/resolv.conf", changes);
    let rendered = match facts.is_of_initramfs_tools {
        Ok(true) => ipconfig::render(bound, changes),
        other => other.map(|_| ()),
    };
    report(rendered, b"ipconfig", changes);
    let mut text = Vector::new();
    early::write(bound, &mut text);
    if !text.is_empty() {
        let written = changes.run_file(early::PATH, text.finish());
        report(written, early::PATH, changes);
    }
}

/// Removes what [`render_early`] has left in /run for the initramfs.
pub fn clear_early(devices: &[EarlyDevice], changes: &mut Changes) {
    for device in devices {
        let removed = ipconfig::path(device.name).map(|path| changes.remove(path));
        report(removed, device.name, changes);
    }
    if !devices.is_empty() {
        let removed = ResolvedPath::new(early::PATH).map(|path| changes.remove(path));
        report(removed.map_err(Error::from), early::PATH, changes);
    }
}

/// The fact, if it could be read and is there. An error is reported.
fn known<T>(fact: Result<Option<T>, PathError>, changes: &mut Changes) -> Option<T> {
    fact.unwrap_or_else(|(path, error)| {
        changes.problem(c"hand over", path, error);
        None
    })
}

fn report(rendered: Result<(), Error>, to: &[u8], changes: &mut Changes) {
    if let Err(error) = rendered {
        changes.problem(c"hand over", to, error);
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
                changes.problem(c"find out whether the image enables", manager.name, *error);
            }
        }
    }
}

fn render_manager(
    bound: &BoundPlan,
    manager: &Manager,
    facts: &NetworkFacts,
    changes: &mut Changes,
) -> Result<(), Error> {
    match manager.supported {
        Some(Supported::Networkd) => networkd::render(bound, changes),
        Some(Supported::NetworkManager) => network_manager::render(bound, changes),
        Some(Supported::Ifupdown) => {
            if let Some(interfaces) = known(facts.interfaces, changes) {
                ifupdown::render(bound, interfaces, changes);
            }
            Ok(())
        }
        Some(Supported::Dhcpcd) => dhcpcd::render(bound, facts.dhcpcd, changes),
        None if render::links(bound).next().is_none() => Ok(()),
        None => Err(Error::new(
            c"not supported: the kernel's configuration stands until it starts, and its own \
              files win if they configure the NIC: use another network manager",
        )),
    }
}

#[cfg(test)]
mod dhcp_tests;
#[cfg(test)]
mod managers_tests;
#[cfg(test)]
mod tests;
