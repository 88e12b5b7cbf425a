//! ifupdown (interfaces(5), Debian). It knows NICs by name only, and it merges all
//! stanzas for one name. So the root's stanzas for our NICs must not be read: a copy
//! without them is mounted over each file that has one. Our stanzas are in a directory
//! below `/run` if interfaces sources one, as in Debian's cloud images, else at the end
//! of the copy of interfaces.
//!
//! `inet static` fails on a NIC that is already set up. `inet manual` with "replace"
//! does not (tried with 0.8.41). Files that sourced files source are not read.
//!
//! ifupdown-ng (its own interfaces(5); Alpine) reads the same text (tried with 0.11.4).
//! It ignores the family and most methods, merges all stanzas for one name, and has the
//! same options. But it takes "dhcp" for DHCPv4, in `inet6 dhcp` too, and a relative
//! source is relative to its working directory (libifupdown/interface-file.c). busybox's
//! ifupdown was not tried.
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::template::fill;
use crate::base::text::{self, Ip, Text, format, span};
use crate::changeset::{Changes, File, HEAD};
use crate::image::PathError;
use crate::image::config_file::ConfigFile;
use crate::image::glob::fnmatch;
use crate::image::ifupdown::Interfaces;
use crate::plan::bound::BoundPlan;
use crate::plan::{Half, Link, Method, Route};

/// Writes our stanzas, and copies of the root's files without stanzas for our NICs.
pub fn render(
    bound: &BoundPlan,
    interfaces: Result<&Interfaces, PathError>,
    changes: &mut Changes,
) -> Result<(), Error> {
    let Some(interfaces) = changes.known(interfaces) else {
        return Ok(());
    };
    let mut devices = Vector::<&[u8]>::new();
    let mut ours = Vector::new();
    for bound_link in bound.managed() {
        let (link, device) = (bound_link.link, bound_link.device_name());
        if let Some(device) = device {
            devices.push(device);
            if let Some(port) = bound_link.port {
                devices.push(&port.name);
            }
            stanzas(&mut ours, link, device);
        }
    }
    if devices.is_empty() {
        return Ok(());
    }
    let nics = devices.len();
    let files = || interfaces.sourced.iter().copied().chain([interfaces.main]);
    // One that takes a bond as its port may come before the bond.
    while release(files(), &mut devices) {}
    for name in devices.iter().skip(nics) {
        changes.notice(&[
            b"ifupdown: left out ",
            name,
            b", which would take a NIC of the context as its port",
        ]);
    }
    let ours = memory::concat(&[HEAD.as_bytes(), &ours]);
    for file in interfaces.sourced {
        bind_over_without(file, &devices, changes);
    }
    if let Some(path) = interfaces.drop_in {
        changes.file(path, File::public(ours));
        bind_over_without(interfaces.main, &devices, changes);
    } else if let Some(main) = &interfaces.main.content {
        let mut text = Text::new();
        copy_without(&mut text, main.content, &devices);
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend(ours);
        changes.cover(interfaces.main, main, text.finish());
    }
    Ok(())
}

/// Mounts a copy without our devices over a file that names one of them.
fn bind_over_without(file: &ConfigFile, devices: &[&[u8]], changes: &mut Changes) {
    // If it is missing, or a directory, ifupdown does not read it either.
    if let Some(old) = &file.content {
        let mut text = Text::new();
        copy_without(&mut text, old.content, devices);
        changes.cover(file, old, text.finish());
    }
}

/// Adds to `devices` the bridges and bonds that take one of them as their port. An address
/// on a port is reached by nobody. Returns whether there is a new one.
fn release<'f>(
    files: impl Iterator<Item = &'f ConfigFile>,
    devices: &mut Vector<&'static [u8]>,
) -> bool {
    let before = devices.len();
    for file in files {
        let mut stanza: &[u8] = b"";
        let text = file.content.map_or(&b""[..], |old| old.content);
        for line in lines(text) {
            let words = words(line);
            let Some((word, names)) = words.split_first() else {
                continue;
            };
            let ends = |ends: &[&[u8]]| ends.iter().any(|end| word.ends_with(end));
            let is_taken =
                |name: &[u8]| is_one(name, devices) || matches!(name, b"all" | b"regex" | b"glob");
            let master = match *word {
                b"iface" => {
                    stanza = names.first().copied().unwrap_or_default();
                    continue;
                }
                // bridge_ports, bridge-ports, ovs_ports, bond-slaves, bond-members
                _ if ends(&[b"ports", b"slaves", b"members"]) => {
                    names.iter().any(|name| is_taken(name)).then_some(stanza)
                }
                // bond-master, ovs_bridge
                _ if ends(&[b"master", b"_bridge"]) && is_one(stanza, devices) => {
                    names.first().copied()
                }
                _ => None,
            };
            if let Some(master) = master.filter(|name| !is_one(name, devices)) {
                devices.push(master);
            }
        }
    }
    devices.len() > before
}

/// Whether a word names one of these devices: `eth0`, `eth0:1` (an old form for a second
/// address), `eth0=home` (physical=logical), `eth*` (of a mapping). A pattern `/eth*`,
/// `/eth*/1=home` or `/mac/02:*=home` counts as one that does if it may.
fn is_one(word: &[u8], devices: &[&[u8]]) -> bool {
    let pattern = word.strip_prefix(b"/");
    let rest = pattern.unwrap_or(word);
    let (name, rest) = span(rest, |byte| !matches!(byte, b':' | b'=' | b'/'));
    let has_wildcard = name.iter().any(|byte| matches!(byte, b'*' | b'?'));
    // Of a variable of sysfs, or with a bracket.
    let may = rest.starts_with(b"/") && !has_wildcard || name.contains(&b'[');
    pattern.is_some() && may || devices.iter().any(|device| fnmatch(name, device))
}

/// Copies the lines of `theirs`, except those about one of `devices`.
fn copy_without(text: &mut Text, theirs: &'static [u8], devices: &[&[u8]]) {
    const EMPTY: &[u8] = b"";
    let is_ours = |word: &[u8]| is_one(word, devices);
    let mut drop_stanza = false;
    for line in lines(theirs) {
        let words = words(line);
        let (word, names) = words.split_first().unwrap_or((&EMPTY, &[]));
        let is_about_ours = names.iter().any(|name| is_ours(name));
        let drop_line = match Keyword::of(word) {
            Keyword::None => false,
            Keyword::Iface => {
                drop_stanza = names.first().is_some_and(|name| is_ours(name));
                drop_stanza
            }
            Keyword::Auto => {
                drop_stanza = false;
                for other in names.iter().filter(|name| is_about_ours && !is_ours(name)) {
                    fill!(text, "@ @\n", word, other);
                }
                is_about_ours
            }
            Keyword::Other => {
                drop_stanza = false;
                false
            }
            Keyword::Option => drop_stanza,
        };
        if !drop_line {
            text.extend(line);
        }
    }
}

/// The lines, each with its newline. A line that ends in a backslash includes the next
/// line. A comment line is never continued.
fn lines(text: &'static [u8]) -> &'static [&'static [u8]] {
    let (mut first, mut last) = (b'\n', b'\n');
    let mut all = Vector::new();
    for line in text.split_inclusive(|byte| {
        let is_end = *byte == b'\n' && (last != b'\\' || first == b'#');
        if is_end || first.is_ascii_whitespace() {
            first = *byte;
        }
        last = *byte;
        is_end
    }) {
        all.push(line);
    }
    all.finish()
}

/// The kind of a line, by its first word.
enum Keyword {
    /// Empty, or a comment.
    None,
    /// `iface`: begins the stanza of one interface.
    Iface,
    /// `auto` or `allow-*`: a list of interfaces.
    Auto,
    /// Another keyword that ends a stanza and names no interface.
    Other,
    /// An option of the stanza.
    Option,
}

impl Keyword {
    fn of(word: &[u8]) -> Self {
        const OTHER: &[u8] = b"source source-directory template rename no-auto-down no-scripts";
        match word {
            b"" | [b'#', ..] => Self::None,
            b"iface" | b"mapping" => Self::Iface,
            b"auto" => Self::Auto,
            word if word.starts_with(b"allow-") => Self::Auto,
            word if text::words(OTHER).any(|other| other == word) => Self::Other,
            _ => Self::Option,
        }
    }
}

fn words(line: &'static [u8]) -> &'static [&'static [u8]] {
    let mut words = Vector::new();
    // The backslash at the end of a line is not part of a name.
    for word in line.split(|byte| byte.is_ascii_whitespace() || *byte == b'\\') {
        if !word.is_empty() {
            words.push(word);
        }
    }
    words.finish()
}

/// Writes the stanzas of a link. DHCP comes last, so that nothing waits for it.
fn stanzas(text: &mut Text, link: &Link, device: &[u8]) {
    fill!(text, "\nauto @\n", device);
    match link.ipv6.method {
        None | Some(Method::Skip) => {}
        Some(Method::Auto) => fill!(text, "iface @ inet6 auto\n", device),
        Some(Method::Dhcp) => fill!(text, "iface @ inet6 dhcp\n\taccept_ra 1\n", device),
        Some(Method::Static | Method::Disable) => {
            fill!(text, "iface @ inet6 manual\n", device);
            for (name, value) in link.ipv6_sysctls(true) {
                fill!(
                    text,
                    "\tpre-up cd /proc/sys/net/ipv6/conf/@ && echo @ >@ || :\n",
                    device,
                    format(value),
                    name.as_bytes(),
                );
            }
        }
    }
    if link.ipv6.is_managed() {
        replace(text, &link.ipv6, b"6", device);
    }
    if link.ipv4.uses_dhcp() {
        let metric = format(&link.dhcp_metric());
        fill!(text, "iface @ inet dhcp\n\tmetric @\n", device, metric);
        if link.no_default_route {
            fill!(text, "\tup ip -4 route del default dev @ || :\n", device);
        }
    } else {
        fill!(text, "iface @ inet manual\n", device);
    }
    // "inet dhcp" has no option "mtu".
    if let Some(mtu) = link.mtu {
        fill!(text, "\tup ip link set dev @ mtu @\n", device, format(&mtu));
    }
    replace(text, &link.ipv4, b"4", device);
}

/// Writes the addresses and routes of a family, `4` or `6`, with the values that the
/// module `kernel` sets.
fn replace(text: &mut Text, half: &Half, family: &[u8], device: &[u8]) {
    for address in half.addresses {
        let address = format(address);
        fill!(text, "\tup ip address replace @ dev @\n", address, device);
    }
    for route in half.routes {
        fill!(text, "\tup ip -@ route replace ", family);
        ip_route(text, route, device);
    }
}

/// Appends a route in the syntax of `ip route`, and a newline.
fn ip_route(text: &mut Text, route: &Route, device: &[u8]) {
    let to = format(&route.destination);
    let metric = format(&route.metric);
    fill!(text, "@ dev @ metric @ proto static", to, device, metric);
    if let Some(gateway) = route.gateway {
        fill!(text, " via @", format(&Ip(gateway)));
    }
    if route.onlink {
        fill!(text, " onlink");
    }
    text.push(b'\n');
}
