//! wicked (ifcfg(5), ifroute(5), ifsysctl(5)): `ifcfg-DEVICE`, `ifsysctl-DEVICE` and
//! `ifroute-DEVICE` in `/etc/sysconfig/network`. It identifies a NIC only by these
//! names.
//!
//! Not tested by a boot: written from its source.
use super::render::fill;
use super::sysconfig::{LinkFiles, SysconfigDirectory};
use crate::base::error::Error;
use crate::base::text::{Ip, Text, format};
use crate::changeset::{Changes, RootAccess};
use crate::image::config::ConfigDirectory;
use crate::plan::bound::BoundPlan;
use crate::plan::{Ipv4Method, Ipv6Method, Link, Route};

/// Adds the files of each link.
pub fn render(
    bound: &BoundPlan,
    directory: Result<Option<&'static ConfigDirectory>, Error>,
    access: RootAccess,
    changes: &mut Changes,
) -> Result<(), Error> {
    // On SUSE network.service is another name of wicked or NetworkManager.
    if let Some(directory) = directory? {
        let ours = SysconfigDirectory {
            manager: b"wicked",
            path: b"/etc/sysconfig/network/",
            directory,
            access,
        };
        ours.each_link(bound, changes, write);
    }
    Ok(())
}

/// Writes three files; those of IPv6 and of routes only if they have content.
fn write(files: &mut LinkFiles, link: &Link) {
    ifcfg(files, link);
    files.end(b"ifcfg-");
    ifsysctl(files, link);
    files.end(b"ifsysctl-");
    for route in link.routes {
        ifroute(&mut files.text, route, files.device);
    }
    files.end(b"ifroute-");
}

/// Writes ifcfg-DEVICE. Addresses and routes work with every BOOTPROTO; "dhcp" succeeds
/// if one of both families gets a lease.
fn ifcfg(files: &mut LinkFiles, link: &Link) {
    let text = &mut files.text;
    let method = match (
        link.ipv4 == Some(Ipv4Method::Dhcp),
        link.ipv6 == Some(Ipv6Method::Dhcp),
    ) {
        (false, false) => "static",
        (true, false) => "dhcp4",
        (false, true) => "dhcp6",
        (true, true) => "dhcp",
    };
    let method = method.as_bytes();
    fill!(text, "STARTMODE=auto\nBOOTPROTO=@\n", method);
    if files.has_name_servers {
        fill!(
            text,
            "DHCLIENT_UPDATE=default,-dns\nDHCLIENT6_UPDATE=default,-dns\n"
        );
    }
    // ifcfg-dhcp(5)
    if let Some(metric) = link.metric {
        let metric = format(&metric);
        fill!(&mut files.text, "DHCLIENT_ROUTE_PRIORITY=@\n", metric);
    }
    files.mtu(link);
    files.addresses(link, |_| true, b"PREFIXLEN");
}

/// Writes ifsysctl-DEVICE. The kernel handles router advertisements. The names have
/// slashes, since the device's name may have a dot.
fn ifsysctl(files: &mut LinkFiles, link: &Link) {
    let (disable, by_router) = match link.ipv6 {
        None | Some(Ipv6Method::Skip) => return,
        Some(Ipv6Method::Disable) => (b"1", None),
        Some(Ipv6Method::Static) => (b"0", Some(b"0")),
        Some(Ipv6Method::Auto | Ipv6Method::Dhcp) => (b"0", Some(b"1")),
    };
    let (text, device) = (&mut files.text, files.device);
    fill!(text, "net/ipv6/conf/@/disable_ipv6 = @\n", device, disable);
    if let Some(by_router) = by_router {
        fill!(
            text,
            "net/ipv6/conf/@/accept_ra = @\nnet/ipv6/conf/@/autoconf = @\n",
            device,
            by_router,
            device,
            by_router
        );
    }
}

/// Appends a route in the syntax of ifroute(5). Its field for the gateway is not used:
/// "onlink" works only with a next hop (client/suse/compat-suse.c).
fn ifroute(text: &mut Text, route: &Route, device: &[u8]) {
    let to = format(&route.destination);
    let metric = format(&route.metric);
    fill!(text, "@ - - @ metric @ proto static", to, device, metric);
    if let Some(gateway) = route.gateway {
        fill!(text, " nexthop via @", format(&Ip(gateway)));
    }
    if route.onlink {
        fill!(text, " onlink");
    }
    text.push(b'\n');
}
