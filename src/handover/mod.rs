//! What the root's own tools read, one small file each: a pure function from
//! the plan to text, and where that text belongs.
mod cloud_init;
mod deny;
mod hostname;
mod ifupdown;
mod managers;
mod netplan;
mod network_manager;
mod networkd;
mod resolv_conf;
mod sysconfig;

pub use managers::Managers;

use crate::base::error::Error;
use crate::base::text::Text;
use crate::changeset::{Access, Action, Change, Changes, File, RootAccess};
use crate::image::{FileContent, ResolvedPath, Root};
use crate::plan::Plan;

type Decide = for<'a> fn(&Plan, &Root<'a>, RootAccess, &mut Changes<'a>) -> Result<(), Error>;

/// What our files start with.
const HEAD: &str = "# Made by onecontext from the context of this machine.\n";

/// What is to be written, and what cannot be. Writes nothing.
pub fn decide<'a>(
    plan: &Plan,
    root: &Root<'a>,
    managers: Option<&Managers<'a>>,
    access: RootAccess,
    changes: &mut Changes<'a>,
) {
    let said = |decided: Result<(), Error>, to: &[u8], changes: &mut Changes<'a>| {
        if let Err(reason) = decided {
            changes.problem("hand over", to, reason);
        }
    };
    let decided = hostname::decide(plan, root, access, changes);
    said(decided, hostname::PATH, changes);
    let decided = cloud_init::decide(plan, root, managers.is_some(), changes);
    said(decided, cloud_init::NAME, changes);
    let Some(managers) = managers else {
        return;
    };
    let decided = resolv_conf::decide(plan, root, managers, access, changes);
    said(decided, resolv_conf::PATH, changes);
    if let Some((names, reason)) = managers.unknown {
        changes.problem("find out whether the image enables", names, reason);
    }
    for (manager, by) in managers.list() {
        changes.note(&[manager.name, b" is enabled by ", by]);
        let decided = (manager.decide)(plan, root, access, changes);
        said(decided, manager.name, changes);
    }
}

/// Whether something in the root reads the user data of the context: then it
/// is not lost. An error, which the handover itself reports, counts as no.
pub fn reads_user_data(root: &Root) -> bool {
    cloud_init::is_there(root).unwrap_or(false)
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

/// Brings a file of the root to `content`: replaced where the root is written,
/// else mounted over.
fn replace<'a>(
    path: ResolvedPath<'a>,
    old: Option<FileContent<'a>>,
    content: &'a [u8],
    access: RootAccess,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    if access == RootAccess::Writable || path.in_run() {
        let access = old.as_ref().map_or(Access::PUBLIC, Access::of);
        let file = File::public(content);
        changes.file(path, File { access, ..file });
        return Ok(());
    }
    let Some(old) = old else {
        return Err(Error::new(
            &"the root is read-only and has no such file to mount over: \
              add an empty one to the image",
        ));
    };
    bind_over(path, &old, content, changes);
    Ok(())
}

/// Mounts a copy with this content over a file.
fn bind_over<'a>(
    path: ResolvedPath<'a>,
    found: &FileContent,
    content: &'a [u8],
    changes: &mut Changes<'a>,
) {
    let access = Access::of(found);
    let file = File::public(content);
    changes.push(Change {
        path,
        action: Action::BindOver(File { access, ..file }),
        done: b"",
    });
}

#[cfg(test)]
mod managers_tests;
#[cfg(test)]
mod sysconfig_tests;
#[cfg(test)]
mod tests;
