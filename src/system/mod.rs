//! Files of the root that are not a network manager's: the machine's names and name
//! servers, cloud-init, the scripts of a context. For each a pure function from the plan
//! and the facts of the root to changes. Nothing is read or written here.
mod cloud_init;
mod hostname;
mod hosts;
mod ipconfig;
mod resolv_conf;
mod resolvers;
mod scripts;

use crate::changeset::Changes;
use crate::image::facts::Facts;
use crate::image::initramfs::InitramfsFacts;
use crate::plan::bound::BoundPlan;

/// Adds the files, and reports what cannot be written.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn render(bound: &BoundPlan, facts: &Facts, changes: &mut Changes) {
    let plan = bound.plan;
    if let Some(names) = facts.names {
        changes.step(b"/etc/hostname", |changes| {
            hostname::render(plan, names.hostname, changes)
        });
        if let Some(hosts) = changes.known(names.hosts) {
            hosts::render(bound, hosts, changes);
        }
    }
    let is_network_ours = facts.network.is_some();
    changes.step(b"cloud-init", |changes| {
        cloud_init::render(plan, is_network_ours, facts.cloud_init, changes)
    });
    changes.step(b"scripts", |changes| {
        scripts::render(&plan.scripts, facts.has_systemd(), changes)
    });
    if let Some(network) = facts.network {
        changes.step(b"/etc/resolv.conf", |changes| {
            resolv_conf::render(bound, network, changes)
        });
    }
}

/// The same for the initramfs itself, in the early stage. The later stage has no use for
/// these files below /run, and removes them.
pub fn render_early(bound: &BoundPlan, facts: &InitramfsFacts, changes: &mut Changes) {
    changes.step(b"/etc/resolv.conf", |changes| {
        resolv_conf::render_early(bound, facts.resolv_conf, changes)
    });
    changes.step(b"ipconfig", |changes| match facts.is_of_initramfs_tools? {
        true => ipconfig::render(bound, changes),
        false => Ok(()),
    });
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
