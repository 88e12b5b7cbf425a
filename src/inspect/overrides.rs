//! What the booted system applies after this program: parameters of the kernel, names of
//! devices, other lines for the machine's own name.
use core::net::IpAddr;

use ufmt::uwrite;

use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::set::Set;
use crate::base::text::{
    Escaped, Text, format, ip, lines, same, split, split_once, split_path, words,
};
use crate::image::facts::Facts;
use crate::image::managers::NETWORK_MANAGER;
use crate::image::resolver::is_own_line;
use crate::image::{Root, networkd};
use crate::plan::{Family, Link, Method, Plan};

/// Where systemd and udev look for drop-ins.
const TOPS: [&[u8]; 4] = [b"/etc", b"/usr/local/lib", b"/usr/lib", b"/lib"];

/// Writes what is wrong.
pub fn write(root: &Root, plan: &Plan, facts: &Facts, out: &mut Text) -> Result<(), Error> {
    let managers = facts.network.map(|network| &network.managers);
    // Both turn IPv6 on again for a NIC of theirs.
    let by_manager =
        managers.is_some_and(|all| all.has(NETWORK_MANAGER) || all.has(networkd::NAME));
    let wants = |link: &&Link| {
        !link.ipv6.addresses.is_empty()
            || matches!(
                link.ipv6.method,
                Some(Method::Static | Method::Auto | Method::Dhcp)
            )
    };
    if let Some(link) = plan.links.iter().find(wants) {
        if let Some((path, line)) = switched_off_for_ever(root)? {
            uwrite!(
                out,
                "IPv6 of {}: {}: {}: the kernel has no IPv6 in the booted system\n",
                link.name,
                Escaped(path),
                Escaped(line)
            );
        } else if !by_manager && let Some((path, key)) = switched_off(root, facts)? {
            uwrite!(
                out,
                "IPv6 of {}: {}: {} takes its addresses in the booted system, and nothing sets \
                 them up again: remove the line, or enable systemd-networkd or NetworkManager\n",
                link.name,
                Escaped(path),
                Escaped(key)
            );
        }
    }
    let goes_by_names = managers.is_some_and(|all| all.has(c"ifupdown") || all.has(c"dhcpcd"));
    if goes_by_names {
        for link in plan.links {
            if let Some((path, name)) = renamed(root, link)? {
                uwrite!(
                    out,
                    "{}: {}: names the NIC {} in the booted system: if the initramfs does not \
                     name it so, the network manager's files are for another name\n",
                    link.name,
                    Escaped(path),
                    Escaped(name)
                );
            }
        }
    }
    own_name(root, plan, out)
}

/// NICs that share an IPv4 network: the kernel's route to it leads to one of them, by which
/// the answers of all leave.
pub fn write_shared_networks(plan: &Plan, out: &mut Text) {
    let mut seen = Set::new();
    let mut first = Vector::new();
    for link in plan.links.iter().filter(|link| link.vlan.is_none()) {
        let mut own = Set::new();
        for prefix in link.ipv4.addresses.iter().filter(|one| one.length < 31) {
            let network = format(&prefix.network());
            if !own.insert(0, network) {
                continue;
            }
            if seen.insert(0, network) {
                first.push((network, link.name));
            } else if let Some((_, other)) = first.iter().find(|(one, _)| *one == network) {
                uwrite!(
                    out,
                    "{}: its network {} is that of {} too: answers leave by one of them, which \
                     a strict filter drops: give each a network of its own\n",
                    link.name,
                    Escaped(network),
                    *other
                );
            }
        }
    }
}

/// Where a file takes IPv6 off with `net.ipv6.conf`: the last line for a name counts
/// (sysctl.d(5)).
fn switched_off(root: &Root, facts: &Facts) -> Result<Option<Found>, Error> {
    let mut files = Vector::new();
    files.extend(root.merged(&TOPS, b"/sysctl.d", b".conf")?);
    // sysctl(8) reads it last; systemd-sysctl only where a link leads to it.
    if !facts.has_systemd()? {
        files.push(b"/etc/sysctl.conf");
    }
    let mut last = Vector::<(&[u8], bool, Found)>::new();
    for path in files.iter() {
        let Some(found) = root.read_if_there(path)? else {
            continue;
        };
        for line in lines(found.content) {
            let line = line.trim_ascii();
            let Some((key, value)) = split_once(line, b'=') else {
                continue;
            };
            let key = key.trim_ascii();
            let key = key.strip_prefix(b"-").unwrap_or(key);
            let Some(device) = device_of(key) else {
                continue;
            };
            let is_off = value.trim_ascii() == b"1";
            let entry = (device, is_off, (*path, line));
            match last.iter_mut().find(|(name, ..)| *name == device) {
                Some(old) => *old = entry,
                None => last.push(entry),
            }
        }
    }
    Ok(last
        .iter()
        .find(|(_, is_off, _)| *is_off)
        .map(|(.., found)| *found))
}

/// A file, and what it says.
type Found = (&'static [u8], &'static [u8]);

/// The device of `net.ipv6.conf.DEVICE.disable_ipv6`; both separators may be used.
fn device_of(key: &[u8]) -> Option<&[u8]> {
    let rest = key
        .strip_prefix(b"net.ipv6.conf.")
        .or(key.strip_prefix(b"net/ipv6/conf/"))?;
    let device = rest
        .strip_suffix(b".disable_ipv6")
        .or(rest.strip_suffix(b"/disable_ipv6"))?;
    // That of the loopback device is nobody's address.
    (device != b"lo").then_some(device)
}

/// Where the kernel is told to have no IPv6: on its command line, as the image's boot loader
/// gives it, or by modprobe.d(5).
fn switched_off_for_ever(root: &Root) -> Result<Option<Found>, Error> {
    const LINES: [&[u8]; 3] = [
        b"/etc/kernel/cmdline",
        b"/etc/default/grub",
        b"/etc/cmdline",
    ];
    let mut files = Vector::new();
    files.extend(&LINES);
    for (directory, ending) in [
        (b"/etc/default/grub.d".as_slice(), b".cfg".as_slice()),
        (b"/boot/loader/entries", b".conf"),
        (b"/boot/grub", b"grub.cfg"),
        (b"/boot/grub2", b"grub.cfg"),
    ] {
        for name in root
            .list(directory)?
            .iter()
            .filter(|name| name.ends_with(ending))
        {
            files.push(memory::concat(&[directory, b"/", name]));
        }
    }
    let is_off = |word: &&[u8]| matches!(*word, b"ipv6.disable=1" | b"ipv6.disable_ipv6=1");
    for path in files.iter() {
        if let Some(found) = root.read_if_there(path)? {
            for line in lines(found.content).filter(|line| !line.trim_ascii().starts_with(b"#")) {
                let mut parts = split(line, |byte| b" \t\"'".contains(&byte));
                if let Some(word) = parts.find(is_off) {
                    return Ok(Some((path, memory::copy(word))));
                }
            }
        }
    }
    switched_off_by_module(root)
}

/// The same by modprobe.d(5), where IPv6 is a module.
fn switched_off_by_module(root: &Root) -> Result<Option<Found>, Error> {
    for path in root.merged(&[b"/etc", b"/usr/lib", b"/lib"], b"/modprobe.d", b".conf")? {
        if let Some(found) = root.read_if_there(path)? {
            for line in lines(found.content) {
                let mut fields = words(line);
                let is_off = match (fields.next(), fields.next()) {
                    (Some(b"options"), Some(b"ipv6")) => {
                        fields.any(|word| matches!(word, b"disable=1" | b"disable_ipv6=1"))
                    }
                    (Some(b"install"), Some(b"ipv6")) => fields
                        .next()
                        .is_some_and(|program| matches!(split_path(program).1, b"true" | b"false")),
                    _ => false,
                };
                if is_off {
                    return Ok(Some((path, line.trim_ascii())));
                }
            }
        }
    }
    Ok(None)
}

/// What gives the NIC of a link another name: a .link file (systemd.link(5)), or a rule of
/// udev (udev(7)).
fn renamed(root: &Root, link: &Link) -> Result<Option<Found>, Error> {
    let Some(mac) = link.mac else {
        return Ok(None);
    };
    let mac = format(&mac);
    for path in root.merged(&TOPS, b"/systemd/network", b".link")? {
        let found = root.read_if_there(path)?;
        let text = found.map_or(&b""[..], |found| found.content);
        let value = |name: &[u8]| {
            lines(text).find_map(|line| {
                let (key, value) = split_once(line.trim_ascii(), b'=')?;
                (key.trim_ascii() == name).then_some(value.trim_ascii())
            })
        };
        let macs = value(b"MACAddress").or(value(b"PermanentMACAddress"));
        let is_meant = macs.is_some_and(|macs| {
            words(macs).any(|one| one.len() == mac.len() && same_mac(one, mac))
        });
        if is_meant {
            // The first file that matches counts.
            return Ok(value(b"Name").map(|name| (*path, name)));
        }
    }
    for path in root.merged(&TOPS, b"/udev/rules.d", b".rules")? {
        let found = root.read_if_there(path)?;
        for line in lines(found.map_or(b"", |found| found.content)) {
            let line = line.trim_ascii();
            let mut quoted = split(line, |byte| byte == b'"');
            let mut is_meant = false;
            let mut name = None;
            while let (Some(key), Some(value)) = (quoted.next(), quoted.next()) {
                is_meant |= key.ends_with(b"==") && same_mac(value, mac);
                let key = key.trim_ascii();
                let key = key.strip_prefix(b",").unwrap_or(key).trim_ascii();
                if matches!(key, b"NAME=" | b"NAME:=") {
                    name = Some(value);
                }
            }
            if let Some(name) = name.filter(|_| is_meant && !line.starts_with(b"#")) {
                return Ok(Some((path, name)));
            }
        }
    }
    Ok(None)
}

fn same_mac(one: &[u8], other: &[u8]) -> bool {
    let colons = |byte: &u8| if *byte == b'-' { b':' } else { *byte };
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(a, b)| same(&[colons(a)], &[colons(b)]))
}

/// A line of the image that leads the machine's own name to loopback, although the address
/// is static.
fn own_name(root: &Root, plan: &Plan, out: &mut Text) -> Result<(), Error> {
    const HOSTS: &[u8] = b"/etc/hosts";
    let mut addresses = plan.links.iter().map(|link| link.half(Family::V4));
    let has_address = addresses.any(|half| !half.addresses.is_empty());
    let (Some(name), Some(hosts), true) = (plan.hostname, root.read_if_there(HOSTS)?, has_address)
    else {
        return Ok(());
    };
    for line in hosts.content.split_inclusive(|byte| *byte == b'\n') {
        let entry = split_once(line, b'#').map_or(line, |(entry, _)| entry);
        let mut fields = words(entry);
        let address = fields.next().and_then(ip);
        if matches!(address, Some(IpAddr::V4(v4)) if v4.is_loopback())
            && !is_own_line(line)
            && fields.any(|field| same(field, name))
        {
            uwrite!(
                out,
                "host name: {}: the image gives {} a loopback address, although the context has \
                 a static one: clusters would listen on loopback: remove the line\n",
                Escaped(HOSTS),
                Escaped(name)
            );
        }
    }
    Ok(())
}
