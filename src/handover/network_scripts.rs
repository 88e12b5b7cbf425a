//! RHEL's network-scripts (initscripts: doc/sysconfig.txt,
//! network-scripts/ifup-eth): `ifcfg-DEVICE`, `route-DEVICE` and
//! `route6-DEVICE` in `/etc/sysconfig/network-scripts`.
//!
//! Not tested by a boot: the script `network` of initscripts 10.27 was run in a network
//! namespace, on a NIC that was set up and on an empty one. With DHCP it adds no IPv4
//! address of ours (ifup-eth).
use super::render::{bind_over, fill, ip_route, is_v4, links};
use super::sysconfig::{LinkFiles, SysconfigDirectory};
use crate::base::error::Error;
use crate::base::text::{format, lines, same, split_once, unquoted};
use crate::changeset::{Changes, RootAccess};
use crate::image::config::ConfigDirectory;
use crate::plan::bound::BoundPlan;
use crate::plan::{Ipv4Method, Ipv6Method, Link};

/// Replaces a file that would set up one of our NICs a second time.
const OFF: &str = "# Made by onecontext: another file is for this device.\nONBOOT=no\n";

/// Adds the files of each link. A file of any name may configure a NIC; other files for
/// our NICs are mounted over.
pub fn render(
    bound: &BoundPlan,
    directory: Result<Option<&'static ConfigDirectory>, Error>,
    access: RootAccess,
    changes: &mut Changes,
) -> Result<(), Error> {
    let Some(directory) = directory? else {
        return Ok(());
    };
    let ours = SysconfigDirectory {
        manager: b"network-scripts",
        path: b"/etc/sysconfig/network-scripts/",
        directory,
        access,
    };
    ours.each_link(bound, changes, write);
    for (name, file) in directory.files() {
        let device = name.strip_prefix(b"ifcfg-").unwrap_or_default();
        if device.is_empty() || names_ours(b"DEVICE", device, bound) {
            continue;
        }
        let file = match file {
            // A directory.
            Err(error) if error.errno().is_none() => continue,
            file => (*file)?,
        };
        // No content: a dangling link.
        let Some(old) = &file.content else {
            continue;
        };
        if lines(old.content).any(|line| {
            let (key, value) = split_once(line, b'=').unwrap_or_default();
            let value = unquoted(value).next().unwrap_or_default();
            names_ours(key.trim_ascii(), value, bound)
        }) {
            bind_over(file, old, OFF.as_bytes(), changes);
        }
    }
    Ok(())
}

/// Whether a value names one of our NICs.
#[inline(never)]
fn names_ours(key: &[u8], value: &[u8], bound: &BoundPlan) -> bool {
    links(bound).any(
        |bound_link| match (key, bound_link.device, bound_link.link.mac) {
            (b"DEVICE", device, _) => device == Some(value),
            (b"HWADDR", Some(_), Some(mac)) => same(format(&mac), value),
            _ => false,
        },
    )
}

/// Writes three files; those of routes only if there are routes.
fn write(files: &mut LinkFiles, link: &Link) {
    ifcfg(files, link);
    files.end(b"ifcfg-");
    for (v4, prefix) in [(true, &b"route-"[..]), (false, b"route6-")] {
        let routes = link.routes.iter();
        for route in routes.filter(|route| is_v4(&route.destination) == v4) {
            ip_route(&mut files.text, route, files.device);
        }
        files.end(prefix);
    }
}

/// Writes ifcfg-DEVICE. NOZEROCONF and DEFROUTE: no routes but those of the context.
fn ifcfg(files: &mut LinkFiles, link: &Link) {
    let text = &mut files.text;
    fill!(
        text,
        "DEVICE=@\nTYPE=Ethernet\nONBOOT=yes\nNM_CONTROLLED=no\nNOZEROCONF=yes\n",
        files.device
    );
    // With HWADDR the root's udev gives the NIC this name again (initscripts:
    // src/rename_device.c).
    if let Some(mac) = link.mac {
        fill!(text, "HWADDR=@\n", format(&mac));
    }
    if link.ipv4 == Some(Ipv4Method::Dhcp) {
        // Otherwise dhclient would give up after a minute.
        fill!(text, "BOOTPROTO=dhcp\nPERSISTENT_DHCLIENT=yes\n");
        // For dhclient-script, which reads this file.
        if let Some(metric) = link.metric {
            fill!(text, "METRIC=@\n", format(&metric));
        }
    } else {
        fill!(text, "BOOTPROTO=none\nDEFROUTE=no\n");
    }
    if link.ipv6 == Some(Ipv6Method::Dhcp) {
        fill!(text, "DHCPV6C=yes\n");
    }
    if files.has_name_servers {
        fill!(text, "PEERDNS=no\n");
    }
    files.mtu(link);
    files.addresses(link, is_v4, b"PREFIX");
    let text = &mut files.text;
    let mut before = "IPV6ADDR_SECONDARIES=\"";
    for prefix in link.addresses.iter().filter(|prefix| !is_v4(prefix)) {
        fill!(text, "@@", before.as_bytes(), format(prefix));
        before = " ";
    }
    if before == " " {
        fill!(text, "\"\n");
    }
    match link.ipv6 {
        None | Some(Ipv6Method::Skip) => {}
        Some(Ipv6Method::Disable) => fill!(text, "IPV6INIT=no\n"),
        Some(Ipv6Method::Static) => fill!(text, "IPV6INIT=yes\nIPV6_AUTOCONF=no\n"),
        Some(Ipv6Method::Auto | Ipv6Method::Dhcp) => {
            fill!(text, "IPV6INIT=yes\nIPV6_AUTOCONF=yes\n");
        }
    }
}
