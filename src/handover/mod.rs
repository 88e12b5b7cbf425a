//! What the root's own tools read, one small file each: a pure function from
//! the plan to text, and where that text belongs.
mod hostname;
mod resolv_conf;

use crate::plan::Plan;
use crate::report::Report;
use crate::root::{Access, Changes, Column, File, Folder, Found, Root, Spot, Writer};
use crate::text::Reason;

type Decide = for<'a> fn(&Plan, &Root<'a>, Column, &mut Changes<'a>) -> Result<(), Reason>;
/// Each file, as a failure names it.
const FILES: [(&[u8], Decide); 2] = [
    (hostname::PATH, hostname::decide),
    (resolv_conf::PATH, resolv_conf::decide),
];

/// Writes what the root's own tools read.
pub fn apply<'a>(
    plan: &Plan,
    root: &Root<'a>,
    writer: &mut Writer<'_, 'a>,
    report: &mut Report<'a>,
) {
    writer.apply(report, |column, changes| {
        decide(plan, root, column, changes)
    });
}

/// What is to be written, and what cannot be. Writes nothing.
pub fn decide<'a>(plan: &Plan, root: &Root<'a>, column: Column, changes: &mut Changes<'a>) {
    for (path, decide) in FILES {
        if let Err(reason) = decide(plan, root, column, changes) {
            changes.problem("hand over", path, reason);
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
mod tests;
