//! netplan (netplan-yaml(5)). Its generator enables systemd-networkd at each boot,
//! without a link in /etc, if a YAML file leaves a NIC to networkd (netplan:
//! src/generate.c). NetworkManager has a unit of its own. Either gets our files, which
//! come before those that netplan makes from its own.
use crate::base::text::{as_str, lines, unquoted};
use crate::image::systemd::units::Systemd;
use crate::image::{Fact, Root};

/// The file that makes netplan enable networkd. Only the usual form of YAML is read,
/// with `renderer:` on a line of its own. Without a renderer networkd is the default.
pub fn enables_networkd(root: &Root, systemd: Systemd) -> Fact<&'static [u8]> {
    // Highest precedence first (netplan-yaml(5)); `/usr/lib` is `/lib`.
    const TOPS: [&[u8]; 2] = [b"/etc", b"/lib"];
    // It also starts when the kernel reports something to its socket.
    if let Some(link) = systemd.enabled(root, b"systemd-networkd.socket")? {
        return Ok(Some(link));
    }
    let files = root.merged(&TOPS, b"/netplan", b".yaml")?;
    if files.is_empty() || !systemd.has_generator(root, b"netplan")? {
        return Ok(None);
    }
    let mut enables = files.last().copied();
    for path in files {
        let content = root
            .read_if_there(path)?
            .map_or(&b""[..], |found| found.content);
        for line in lines(content) {
            let mut words = unquoted(line);
            if words.next() != Some(b"renderer:") {
                continue;
            }
            match words.next().map(as_str) {
                Some("networkd") => return Ok(Some(path)),
                Some("NetworkManager") => enables = None,
                _ => {}
            }
        }
    }
    Ok(enables)
}
