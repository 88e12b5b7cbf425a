//! The machine's own name in `/etc/hosts` (hosts(5)), if nothing else in the root
//! resolves it: sudo and many other programs would ask DNS for it, which can take
//! minutes.
use crate::base::error::Error;
use crate::base::log::Level;
use crate::base::memory::{self, Vector};
use crate::base::text::{Ip, format, lines, same, split_once, words};
use crate::changeset::{Changes, Label, Reason};
use crate::image::resolver::{Hosts, is_own_line, own_line};
use crate::plan::bound::BoundPlan;

/// Adds one line: the machine's static address, or the one that Debian uses for a name
/// without a fixed address (Debian Reference, 5.1.1). Removes our line if it is not needed.
pub fn render(bound: &BoundPlan, hosts: Hosts, changes: &mut Changes) {
    let Some(name) = bound.plan.hostname else {
        return;
    };
    let Hosts {
        file,
        by_myhostname,
    } = hosts;
    let old = file.content.map_or(&b""[..], |old| old.content);
    let mut text = Vector::new();
    let mut resolves = by_myhostname;
    for line in old.split_inclusive(|byte| *byte == b'\n') {
        if !is_own_line(line) {
            text.extend(line);
            resolves |= names(line, name);
        }
    }
    if !resolves {
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend(own_line(
            static_address(bound).unwrap_or(b"127.0.1.1"),
            name,
        ));
    }
    if file.content.is_none() && text.is_empty() {
        return;
    }
    let missing = memory::place(Reason {
        level: Level::Note,
        step: c"hand over".into(),
        operand: b"/etc/hosts",
        error: Error::new(
            c"there is none, and it cannot be written: programs ask DNS for the machine's own name",
        ),
    });
    changes.replace(file, text.finish(), Label::NetConf, missing);
}

/// The first static address.
fn static_address(bound: &BoundPlan) -> Option<&'static [u8]> {
    let mut links = bound
        .links
        .iter()
        .filter(|one| !bound.is_applied || one.carrier.is_some());
    let prefix = links.find_map(|one| one.link.addresses().first())?;
    Some(format(&Ip(prefix.address)))
}

/// Whether a line gives this name to an address.
fn names(line: &[u8], name: &[u8]) -> bool {
    let line = lines(line).next().unwrap_or_default();
    let entry = split_once(line, b'#').map_or(line, |(entry, _)| entry);
    words(entry).skip(1).any(|word| same(word, name))
}
