//! ConnMan (connman.conf(5)).
use super::deny_list::{ManagerFile, devices_without_dhcp, uses_dhcpv4};
use super::render::{HEAD, bind_over, fill, links};
use crate::base::error::Error;
use crate::base::memory::Vector;
use crate::base::text::{format, lines};
use crate::changeset::Changes;
use crate::image::config::ConfigFile;
use crate::plan::bound::BoundPlan;

/// The devices that ConnMan ignores unless its file says otherwise (connman.conf(5)).
const DENIED_BY_DEFAULT: &[u8] = b"vmnet,vboxnet,virbr,ifb,ve-,vb-";

/// Adds our devices to the list of ignored ones, at the end of the file: of two values
/// the last one counts (GLib's key files).
pub fn render(
    bound: &BoundPlan,
    file: Result<Option<&'static ConfigFile>, Error>,
    systemd: Result<bool, Error>,
    changes: &mut Changes,
) -> Result<(), Error> {
    let devices = devices_without_dhcp(bound, b"ConnMan", b',', changes);
    for link in bound.plan.links.iter().filter(|link| link.metric.is_some()) {
        changes.problem(
            c"metric of the routes of DHCP",
            format(&link.name),
            c"ConnMan takes none: use another network manager",
        );
    }
    let own = ManagerFile::of(file)?;
    if devices.is_empty() {
        return Ok(());
    }
    let mut old = DENIED_BY_DEFAULT;
    for line in lines(own.without_ours) {
        let mut parts = line.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        if parts.next() == Some(b"NetworkInterfaceBlacklist") {
            old = parts.next().unwrap_or(old);
        }
    }
    let mut text = Vector::new();
    text.extend(own.without_ours);
    fill!(
        &mut text,
        "@[General]\nNetworkInterfaceBlacklist=@@\n\n",
        HEAD.as_bytes(),
        old,
        devices
    );
    bind_over(own.file, own.old, text.finish(), changes);
    if systemd? && !links(bound).any(|bound_link| uses_dhcpv4(bound_link.link)) {
        // Masked: it would wait two minutes for a NIC of ConnMan's.
        const UNIT: &[u8] = b"/run/systemd/system/connman-wait-online.service";
        changes.run_symlink(UNIT, b"/dev/null", b"")?;
    }
    Ok(())
}
