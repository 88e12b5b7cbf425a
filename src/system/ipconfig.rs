//! The answers of klibc's ipconfig, `/run/net-DEVICE.conf`. If there is one,
//! `configure_networking` of initramfs-tools (scripts/functions) asks nothing and
//! changes nothing, but reads it as a shell does; that of Debian 13 then writes
//! resolv.conf anew from all of these files (`netinfo_to_resolv_conf`). The names are
//! those that ipconfig writes (klibc: usr/kinit/ipconfig/main.c, `dump_device_config`)
//! and the `DOMAINSEARCH` that these scripts read. The only texts of the context among
//! the values are names of hosts and domains, which have only letters, digits, `-`, `_`
//! and `.`.
use core::net::{IpAddr, Ipv4Addr};

use super::resolvers::{Resolvers, Selection};
use crate::base::error::Error;
use crate::base::memory;
use crate::base::text::template::fill;
use crate::base::text::{Ip, Text, format};
use crate::changeset::{Changes, File, HEAD};
use crate::image::ResolvedPath;
use crate::plan::bound::{BoundLink, BoundPlan};
use crate::plan::{Plan, Prefix, Route};

/// Adds a file for each device that is set up, even if only with IPv6. If none is,
/// ipconfig asks as usual.
pub fn render(bound: &BoundPlan, changes: &mut Changes) -> Result<(), Error> {
    let resolvers = Resolvers::of(bound, Selection::All);
    for bound_link in bound.links.iter().filter(|one| one.is_set_up()) {
        if let Some(device) = bound_link.device_name() {
            // The name comes from the image or the machine, and a shell reads this
            // file.
            if device.contains(&b'\'') {
                return Err(Error::new(c"a device's name has a quote"));
            }
            let mut text = Text::new();
            write(bound.plan, bound_link, device, &resolvers, &mut text);
            changes.file(path(device)?, File::public(text.finish()));
        }
    }
    Ok(())
}

/// The path of the answer for a device.
fn path(device: &[u8]) -> Result<ResolvedPath, Error> {
    let path = memory::concat(&[b"/run/net-", device, b".conf"]);
    Ok(ResolvedPath::new(path)?)
}

fn write(
    plan: &Plan,
    bound_link: &BoundLink,
    device: &[u8],
    resolvers: &Resolvers,
    text: &mut Text,
) {
    let protocol: &[u8] = if bound_link.lease.is_some() {
        b"dhcp"
    } else {
        b"static"
    };
    fill!(text, HEAD);
    fill!(text, "DEVICE='@'\nPROTO='@'\n", device, protocol);
    let mut addresses = bound_link.addresses().iter().copied();
    if let Some((address, hosts)) = addresses.find_map(Prefix::ipv4_and_host_bits) {
        value("IPV4ADDR", address, text);
        value("IPV4BROADCAST", address | hosts, text);
        value("IPV4NETMASK", !hosts, text);
    }
    let gateway = |route: &Route| {
        route
            .gateway
            .filter(|_| route.destination.is_default())
            .and_then(v4)
    };
    if let Some(gateway) = bound_link.routes().iter().find_map(gateway) {
        value("IPV4GATEWAY", u32::from(gateway), text);
    }
    let servers = resolvers.servers.iter().filter_map(|server| v4(*server));
    for (name, server) in ["IPV4DNS0", "IPV4DNS1"].into_iter().zip(servers) {
        value(name, u32::from(server), text);
    }
    resolvers.write_domains(text, "DOMAINSEARCH='", "'\n");
    if let Some(hostname) = plan.hostname {
        fill!(text, "HOSTNAME='@'\n", hostname);
    }
}

fn value(name: &str, address: u32, text: &mut Text) {
    let address = format(&Ip(Ipv4Addr::from(address).into()));
    fill!(text, "@='@'\n", name.as_bytes(), address);
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
