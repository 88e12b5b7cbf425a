//! `/etc/hostname` (hostname(5)). The kernel has the name already, but the booted
//! system would set the one in this file (systemd: src/shared/hostname-setup.c, Debian:
//! /etc/init.d/hostname.sh).
use crate::base::error::Error;
use crate::base::log::Level;
use crate::base::memory;
use crate::base::text::lines;
use crate::changeset::{Changes, Label, Reason};
use crate::image::config_file::ConfigFile;
use crate::plan::Plan;

/// Replaces the name in the file, or makes the file: without a static name NetworkManager
/// takes that of a lease, or of the address's PTR record (NetworkManager.conf(5),
/// hostname-mode).
pub fn render(
    plan: &Plan,
    file: Result<&'static ConfigFile, Error>,
    changes: &mut Changes,
) -> Result<(), Error> {
    let Some(hostname) = plan.hostname else {
        return Ok(());
    };
    let file = file?;
    if file.content.and_then(|old| name(old.content)) != Some(hostname) {
        let text = memory::concat(&[hostname, b"\n"]);
        let missing = memory::place(Reason {
            level: Level::Note,
            ..*Reason::missing(b"/etc/hostname")
        });
        changes.replace(file, text, Label::Neighbour, missing);
    }
    Ok(())
}

/// The first line that is no comment.
fn name(text: &[u8]) -> Option<&[u8]> {
    lines(text)
        .map(<[u8]>::trim_ascii)
        .find(|line| !line.is_empty() && !line.starts_with(b"#"))
}
