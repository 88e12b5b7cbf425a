//! The files of two managers that read nothing in `/run`: those of RHEL's
//! network-scripts (initscripts: doc/sysconfig.txt, network-scripts/ifup-eth)
//! in `/etc/sysconfig/network-scripts`, and those of wicked (ifcfg(5),
//! ifroute(5), ifsysctl(5)) in `/etc/sysconfig/network`. They are written into
//! the root, for each link with a device: one for the link, one or two for its
//! routes, wicked's one for IPv6.
//!
//! Both add what a NIC lacks and leave what is there. Neither was booted: the
//! script `network` of initscripts 10.27 was run in a network namespace, on a
//! NIC that was set up and on an empty one; for wicked its source was read.
//! With DHCP network-scripts add no IPv4 address of ours (ifup-eth).
use super::render::{HEAD, bind_over, device, fill, ip_route, is_v4, links, replace};
use crate::base::arena::Arena;
use crate::base::error::Error;
use crate::base::text::{Ip, Text, cut, format, lines, same, unquoted};
use crate::changeset::{Changes, Label, RootAccess};
use crate::image::config::ConfigDirectory;
use crate::plan::{Ipv4Method, Ipv6Method, Link, Plan, Route};

/// With HWADDR the root's udev gives the NIC that name again (initscripts:
/// src/rename_device.c). NOZEROCONF and DEFROUTE: no routes but those of the
/// context. Else dhclient would give up after a minute.
const NETWORK_SCRIPTS: Syntax = Syntax {
    is_wicked: false,
    name: b"network-scripts",
    folder: b"/etc/sysconfig/network-scripts/",
    device: "DEVICE=@\nTYPE=Ethernet\nONBOOT=yes\nNM_CONTROLLED=no\nNOZEROCONF=yes\n",
    mac: "HWADDR=@\n",
    methods: [
        "BOOTPROTO=none\nDEFROUTE=no\n",
        "BOOTPROTO=dhcp\nPERSISTENT_DHCLIENT=yes\n",
        "BOOTPROTO=none\nDEFROUTE=no\nDHCPV6C=yes\n",
        "BOOTPROTO=dhcp\nPERSISTENT_DHCLIENT=yes\nDHCPV6C=yes\n",
    ],
    keep_dns: "PEERDNS=no\n",
    address: "IPADDR@=@\nPREFIX@=@\n",
    no_ipv6: "IPV6INIT=no\n",
    ipv6: "IPV6INIT=yes\nIPV6_AUTOCONF=no\n",
    ipv6_by_router: "IPV6INIT=yes\nIPV6_AUTOCONF=yes\n",
    files: [b"ifcfg-", b"route-", b"route6-"],
};

/// Addresses and routes go with every BOOTPROTO; "dhcp" is content with one of
/// both. What routers advertise is the kernel's work, as ifsysctl says; with
/// slashes, since a dot may be part of the device's name.
const WICKED: Syntax = Syntax {
    is_wicked: true,
    name: b"wicked",
    folder: b"/etc/sysconfig/network/",
    device: "STARTMODE=auto\n",
    mac: "",
    methods: [
        "BOOTPROTO=static\n",
        "BOOTPROTO=dhcp4\n",
        "BOOTPROTO=dhcp6\n",
        "BOOTPROTO=dhcp\n",
    ],
    keep_dns: "DHCLIENT_UPDATE=default,-dns\nDHCLIENT6_UPDATE=default,-dns\n",
    address: "IPADDR@=@\nPREFIXLEN@=@\n",
    no_ipv6: "net/ipv6/conf/@/disable_ipv6 = 1\n",
    ipv6: "net/ipv6/conf/@/disable_ipv6 = 0\n\
           net/ipv6/conf/@/accept_ra = 0\nnet/ipv6/conf/@/autoconf = 0\n",
    ipv6_by_router: "net/ipv6/conf/@/disable_ipv6 = 0\n\
           net/ipv6/conf/@/accept_ra = 1\nnet/ipv6/conf/@/autoconf = 1\n",
    files: [b"ifcfg-", b"ifsysctl-", b"ifroute-"],
};

/// In place of a file that would set up one of our NICs a second time.
const OFF: &str = "# Made by onecontext: another file is for this device.\nONBOOT=no\n";

/// What the two call things.
struct Syntax {
    is_wicked: bool,
    name: &'static [u8],
    folder: &'static [u8],
    device: &'static str,
    mac: &'static str,
    /// Without DHCP, DHCPv4, DHCPv6, both.
    methods: [&'static str; 4],
    /// resolv.conf is ours where the context names servers.
    keep_dns: &'static str,
    address: &'static str,
    no_ipv6: &'static str,
    ipv6: &'static str,
    ipv6_by_router: &'static str,
    /// What comes before the device's name.
    files: [&'static [u8]; 3],
}

/// `ifcfg-DEVICE`, `route-DEVICE` and `route6-DEVICE`. A NIC may stand in a
/// file of any name; such files are covered.
pub fn network_scripts<'a>(
    arena: &'a Arena,
    plan: &Plan,
    directory: Result<Option<&'a ConfigDirectory<'a>>, Error>,
    access: RootAccess,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    let Some(directory) = directory? else {
        return Ok(());
    };
    NETWORK_SCRIPTS.render(arena, plan, directory, access, changes);
    for (name, file) in directory.files() {
        let device = name.strip_prefix(b"ifcfg-").unwrap_or_default();
        if device.is_empty() || names_ours(b"DEVICE", device, plan, arena) {
            continue;
        }
        let file = match file {
            // A directory.
            Err(error) if error.errno().is_none() => continue,
            file => (*file)?,
        };
        // Else a link that leads nowhere.
        let Some(old) = &file.content else {
            continue;
        };
        if lines(old.content).any(|line| {
            let (key, value) = cut(line, b'=').unwrap_or_default();
            let value = unquoted(value).next().unwrap_or_default();
            names_ours(key.trim_ascii(), value, plan, arena)
        }) {
            bind_over(file, old, OFF.as_bytes(), changes);
        }
    }
    Ok(())
}

/// Whether a value names one of our NICs.
#[inline(never)]
fn names_ours(key: &[u8], value: &[u8], plan: &Plan, arena: &Arena) -> bool {
    links(plan).any(|link| match (key, link.device, link.mac) {
        (b"DEVICE", device, _) => device == Some(value),
        (b"HWADDR", Some(_), Some(mac)) => same(format(arena, &mac), value),
        _ => false,
    })
}

/// `ifcfg-DEVICE`, `ifroute-DEVICE` and `ifsysctl-DEVICE`: wicked knows a NIC
/// by these names alone.
pub fn wicked<'a>(
    arena: &'a Arena,
    plan: &Plan,
    directory: Result<Option<&'a ConfigDirectory<'a>>, Error>,
    access: RootAccess,
    changes: &mut Changes<'a>,
) -> Result<(), Error> {
    // On SUSE network.service is another name of wicked or NetworkManager.
    if let Some(directory) = directory? {
        WICKED.render(arena, plan, directory, access, changes);
    }
    Ok(())
}

impl Syntax {
    fn render<'a>(
        &self,
        arena: &'a Arena,
        plan: &Plan,
        directory: &ConfigDirectory<'a>,
        access: RootAccess,
        changes: &mut Changes<'a>,
    ) {
        for link in links(plan) {
            if let Some(device) = device(arena, link, self.name, changes) {
                let mut files = LinkFiles {
                    syntax: self,
                    arena,
                    device,
                    directory,
                    access,
                    text: arena.vector(),
                };
                files.ifcfg(link, plan.has_name_servers());
                files.write(link, changes);
            }
        }
    }
}

/// Writes the files of one link, one after the other.
struct LinkFiles<'p, 'a> {
    syntax: &'p Syntax,
    arena: &'a Arena,
    device: &'p [u8],
    directory: &'p ConfigDirectory<'a>,
    access: RootAccess,
    text: Text<'a>,
}

impl<'a> LinkFiles<'_, 'a> {
    /// What ifcfg says of a link, but for the way of its IPv6.
    #[inline(never)]
    fn ifcfg(&mut self, link: &Link, has_servers: bool) {
        let (syntax, text, arena) = (self.syntax, &mut self.text, self.arena);
        fill(text, syntax.device, &[self.device]);
        if let Some(mac) = link.mac {
            fill(text, syntax.mac, &[format(arena, &mac)]);
        }
        let method = usize::from(link.ipv4 == Some(Ipv4Method::Dhcp))
            + 2 * usize::from(link.ipv6 == Some(Ipv6Method::Dhcp));
        fill(text, syntax.methods.get(method).unwrap_or(&""), &[]);
        if has_servers {
            fill(text, syntax.keep_dns, &[]);
        }
        if let Some(mtu) = link.mtu {
            fill(text, "MTU=@\n", &[format(arena, &mtu)]);
        }
        let mut end = "";
        for (prefix, count) in link.addresses.iter().zip(0u32..) {
            // The first one has no number.
            let number = match count {
                0 => b"",
                count => format(arena, &count),
            };
            let address = format(arena, &Ip(prefix.address));
            let length = format(arena, &u32::from(prefix.length));
            let template = if syntax.is_wicked || is_v4(prefix) {
                fill(text, syntax.address, &[number, address, number, length]);
                continue;
            } else if end.is_empty() {
                "IPV6ADDR_SECONDARIES=\"@/@"
            } else {
                " @/@"
            };
            fill(text, template, &[address, length]);
            end = "\"\n";
        }
        fill(text, end, &[]);
    }

    /// The files, the first of which has what ifcfg said.
    #[inline(never)]
    fn write(&mut self, link: &Link, changes: &mut Changes<'a>) {
        let syntax = self.syntax;
        let [mut kind, second, third] = syntax.files;
        if syntax.is_wicked {
            self.put(kind, changes);
            kind = second;
        }
        let ipv6 = match link.ipv6 {
            None | Some(Ipv6Method::Skip) => "",
            Some(Ipv6Method::Disable) => syntax.no_ipv6,
            Some(Ipv6Method::Static) => syntax.ipv6,
            Some(Ipv6Method::Auto | Ipv6Method::Dhcp) => syntax.ipv6_by_router,
        };
        fill(&mut self.text, ipv6, &[self.device; 3]);
        for v4 in [true, false] {
            if v4 || !syntax.is_wicked {
                self.put(kind, changes);
                kind = second;
            }
            for one in link.routes {
                if is_v4(&one.destination) == v4 {
                    match syntax.is_wicked {
                        true => wicked_route(&mut self.text, self.arena, one, self.device),
                        false => ip_route(&mut self.text, self.arena, one, self.device),
                    }
                }
            }
        }
        self.put(third, changes);
    }

    /// Ends a file. An empty one only replaces another.
    #[inline(never)]
    fn put(&mut self, kind: &[u8], changes: &mut Changes<'a>) {
        let name = self.arena.concat(&[kind, self.device]);
        let text = self.arena.concat(&[HEAD.as_bytes(), &self.text]);
        let file = self.directory.file(self.arena, name);
        let rendered = file.and_then(|file| match file.content {
            None if self.text.is_empty() => Ok(()),
            _ => replace(file, text, Label::Neighbour, self.access, changes),
        });
        if let Err(error) = rendered {
            let path = self.arena.concat(&[self.syntax.folder, name]);
            changes.problem("hand over", path, error);
        }
        self.text.clear();
    }
}

/// A route as ifroute(5) has it. It has a field for the gateway, but knows
/// "onlink" of next hops alone (client/suse/compat-suse.c).
fn wicked_route(text: &mut Text, arena: &Arena, route: &Route, device: &[u8]) {
    let to = format(arena, &route.destination);
    let metric = format(arena, &route.metric);
    let values = [to, device, metric];
    fill(text, "@ - - @ metric @ proto static", &values);
    if let Some(gateway) = route.gateway {
        fill(text, " nexthop via @", &[format(arena, &Ip(gateway))]);
    }
    let end = if route.onlink { " onlink\n" } else { "\n" };
    fill(text, end, &[]);
}
