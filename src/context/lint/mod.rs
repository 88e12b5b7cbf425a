//! Likely mistakes in a context: mistyped names, values that leave a machine without
//! network, and keys that sshd refuses. Only `check` reports them, a boot does not.
mod keys;
mod nic;
mod traps;
mod typos;

use super::assignments::Entry;
use super::state::Context;
use crate::base::memory::Vector;
use crate::plan::{Dialect, Key, Link};
use nic::CheckedNic;

/// Adds a warning for each likely mistake. `links` and `keys` are those of the plan.
pub fn check(context: &mut Context, dialect: Dialect, links: &[Link], keys: &[Key]) {
    let all = context.assignments.set();
    let mut nics = Vector::new();
    // Variables and links have the same order, and each link of OpenNebula's has a
    // variable that is set.
    let mut rest = (0..).zip(links).peekable();
    for variables in all.chunk_by(|one, other| one.link() == other.link()) {
        let name = variables.first().and_then(Entry::link);
        if name.is_some() {
            let link = rest.next_if(|(_, link)| Some(link.name) == name);
            nics.push(CheckedNic { variables, link });
        }
    }
    typos::check(context, dialect, all, &nics);
    traps::check(context, links, all, &nics);
    keys::check(context, keys);
}

#[cfg(test)]
mod tests {
    use crate::base::text::to_string;
    use crate::context::tests::Memory;
    use crate::context::{Purpose, read};

    /// What is said of this `context.sh` beside what a boot says.
    pub(super) fn said(text: &str) -> Vec<String> {
        let lines = |purpose| -> Vec<String> {
            let files = vec![("context.sh".into(), text.as_bytes().into())];
            let disk = Memory { files };
            let plan = read(b"context.sh", &disk, purpose).ok().unwrap();
            plan.warnings().map(to_string).collect()
        };
        let of_boot = lines(Purpose::Plan);
        let mut all = lines(Purpose::Check);
        assert!(of_boot.iter().all(|line| all.contains(line)));
        all.retain(|line| !of_boot.contains(line));
        all
    }
}
