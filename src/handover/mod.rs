//! What the root's own tools read, one small file each: a pure function from
//! the plan to text, and where that text belongs.
mod deny;
mod hostname;
mod ifupdown;
mod managers;
mod netplan;
mod network_manager;
mod networkd;
mod resolv_conf;

pub use managers::Managed;

use crate::plan::Plan;
use crate::report::Report;
use crate::root::{Access, Changes, Column, File, Folder, Found, Root, Spot, Writer};
use crate::text::{Reason, Text};

type Decide = for<'a> fn(&Plan, &Root<'a>, Column, &mut Changes<'a>) -> Result<(), Reason>;

/// What our files start with.
const HEAD: &str = "# Made by onecontext from the context of this machine.\n";

/// Writes what the root's own tools read; without `network` only its name.
pub fn apply<'a>(
    plan: &Plan,
    root: &Root<'a>,
    network: bool,
    writer: &mut Writer<'_, 'a>,
    report: &mut Report<'a>,
) {
    writer.apply(report, |column, changes| {
        decide(plan, root, network, column, changes)
    });
}

/// What is to be written, and what cannot be. Writes nothing.
pub fn decide<'a>(
    plan: &Plan,
    root: &Root<'a>,
    network: bool,
    column: Column,
    changes: &mut Changes<'a>,
) {
    let hand_over = |to: &[u8], decide: Decide, changes: &mut Changes<'a>| {
        if let Err(reason) = decide(plan, root, column, changes) {
            changes.problem("hand over", to, reason);
        }
    };
    hand_over(hostname::PATH, hostname::decide, changes);
    if !network {
        return;
    }
    hand_over(resolv_conf::PATH, resolv_conf::decide, changes);
    for manager in managers::ALL {
        match manager.enabled(root) {
            Ok(None) => {}
            Ok(Some(by)) => {
                changes.note(&[manager.name, b" is enabled by ", by]);
                hand_over(manager.name, manager.decide, changes);
            }
            Err(reason) => changes.problem("hand over", manager.name, reason),
        }
    }
}

/// Appends `template`, each `@` in it replaced by the next of `values`.
fn fill(text: &mut Text, template: &str, values: &[&[u8]]) {
    let mut values = values.iter();
    for byte in template.as_bytes() {
        match byte {
            b'@' => text.extend(values.next().unwrap_or(&&b""[..])),
            byte => text.push(*byte),
        }
    }
}

/// Brings a file of the root to `content`: replaced where the root is
/// written, else covered.
fn replace<'a>(
    root: &Root<'a>,
    spot: Spot<'a>,
    old: Option<Found<'a>>,
    content: &'a [u8],
    column: Column,
    changes: &mut Changes<'a>,
) -> Result<(), Reason> {
    let access = old.as_ref().map_or(Access::PUBLIC, Access::of);
    let file = File {
        content,
        access,
        folder: Folder::Made(Access::FOLDER),
    };
    if column == Column::Written || spot.in_run() {
        changes.file(root, spot, file, b"")?;
        return Ok(());
    }
    let Some(old) = old else {
        return Err("the root is read-only and has no such file to mount over".into());
    };
    if old.content == content {
        return Ok(());
    }
    changes.cover(root, spot, file, b"")
}

#[cfg(test)]
mod managers_tests;
#[cfg(test)]
mod tests;
