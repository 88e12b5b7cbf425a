//! Settings of the image that outweigh what is written for its network managers, or that
//! leave a NIC alone. A boot does not read them: only `check` does, which does not know
//! the devices of the machine, so a name counts if it may be one of an Ethernet NIC.
use core::ffi::CStr;

use crate::base::error::Error;
use crate::base::memory::Vector;
use crate::base::text::{Mac, lines, span, split, words};
use crate::image::glob::fnmatch;
use crate::image::managers::{Managers, NETWORK_MANAGER};
use crate::image::{Root, networkd};

/// A file, and what it does.
pub type Rival = (&'static [u8], Error);

/// What is looked for.
#[derive(Clone, Copy)]
pub struct Nics<'n> {
    /// The MACs of the NICs.
    pub macs: &'n [Mac],
    /// Whether one of them uses DHCP.
    pub by_dhcp: bool,
}

/// Names each file of the managers that the root enables.
pub fn find(root: &Root, managers: &Managers, nics: Nics<'_>) -> Result<Vector<Rival>, Error> {
    let mut found = Vector::new();
    if managers.has(NETWORK_MANAGER) {
        network_manager(root, nics, &mut found)?;
    }
    if managers.has(networkd::NAME) {
        ports(root, &mut found)?;
    }
    if managers.has(c"dhcpcd") && nics.by_dhcp {
        let denies = |line: &[u8]| {
            let (word, names) = span(line, |byte| !byte.is_ascii_whitespace());
            let mut names = words(names);
            match word {
                b"denyinterfaces" => names.any(may_be_nic),
                b"allowinterfaces" => !names.any(may_be_nic),
                _ => false,
            }
        };
        let what = c"keeps dhcpcd from a NIC of the context that needs DHCP";
        add_if(root, b"/etc/dhcpcd.conf", denies, what, &mut found)?;
    }
    Ok(found)
}

/// Adds a file that has such a line.
fn add_if(
    root: &Root,
    path: &'static [u8],
    is_it: impl Fn(&[u8]) -> bool,
    what: &'static CStr,
    found: &mut Vector<Rival>,
) -> Result<(), Error> {
    if let Some(file) = root.read_if_there(path)?
        && lines(file.content).any(|line| is_it(line.trim_ascii()))
    {
        found.push((path, Error::new(what)));
    }
    Ok(())
}

/// What NetworkManager reads of an image.
const TOPS: [&[u8]; 2] = [b"/etc", b"/usr/lib"];

/// NetworkManager.conf(5) and nm-settings-keyfile(5).
fn network_manager(root: &Root, nics: Nics<'_>, found: &mut Vector<Rival>) -> Result<(), Error> {
    let leaves_alone =
        |line: &[u8]| value(line, b"unmanaged-devices").is_some_and(|list| may_name(list, nics));
    let mut add = |path: &'static [u8]| {
        let what = match path.starts_with(b"/etc/") {
            true => c"unmanaged-devices has NetworkManager leave a NIC of the context alone",
            false => {
                c"unmanaged-devices would have NetworkManager leave a NIC of the context alone: \
                  each boot makes an exception"
            }
        };
        add_if(root, path, leaves_alone, what, found)
    };
    add(b"/etc/NetworkManager/NetworkManager.conf")?;
    for path in root.merged(&TOPS, b"/NetworkManager/conf.d", b".conf")? {
        add(path)?;
    }
    masters(root, nics, found)
}

/// Profiles of bridges and the like that have NetworkManager activate their ports: a
/// port's profile is then taken although ours has the higher priority. A port names its
/// master by device or by UUID (nm-settings-keyfile(5)).
fn masters(root: &Root, nics: Nics<'_>, found: &mut Vector<Rival>) -> Result<(), Error> {
    let mut profiles = Vector::<(&[u8], &[u8])>::new();
    for path in root.merged(&TOPS, b"/NetworkManager/system-connections", b"")? {
        if let Some(file) = root.read_if_there(path)? {
            profiles.push((path, file.content));
        }
    }
    for (path, master) in profiles.iter() {
        let has = |key, wanted: &[u8]| values(master, key).any(|value| value == wanted);
        let activates_ports = [&b"autoconnect-slaves"[..], b"autoconnect-ports"]
            .iter()
            .any(|key| has(key, b"1") || has(key, b"true"));
        let is_its = |name: &[u8]| has(b"interface-name", name) || has(b"uuid", name);
        let is_port = |profile: &[u8]| {
            let mut masters = values(profile, b"master").chain(values(profile, b"controller"));
            masters.any(is_its) && may_be_of_nic(profile, nics)
        };
        if activates_ports && profiles.iter().any(|(_, profile)| is_port(profile)) {
            let what = c"NetworkManager activates all ports of this profile, a NIC of the context \
                         too";
            found.push((path, Error::new(what)));
        }
    }
    Ok(())
}

/// Whether a profile may be one of a NIC of the context.
fn may_be_of_nic(profile: &[u8], nics: Nics<'_>) -> bool {
    values(profile, b"type").any(|kind| matches!(kind, b"ethernet" | b"802-3-ethernet"))
        && values(profile, b"interface-name").all(may_be_nic)
        && values(profile, b"mac-address")
            .all(|mac| Mac::parse(mac).is_some_and(|mac| nics.macs.contains(&mac)))
}

/// The values of a key that are not empty, in any section.
fn values<'t>(text: &'t [u8], key: &'t [u8]) -> impl Iterator<Item = &'t [u8]> {
    let values = lines(text).filter_map(move |line| value(line.trim_ascii(), key));
    values.filter(|value| !value.is_empty())
}

/// Files of systemd.network(5) by which a NIC would be a port. Ours comes first, so the
/// bridge or bond does not get it.
fn ports(root: &Root, found: &mut Vector<Rival>) -> Result<(), Error> {
    for path in root.merged(&networkd::TOPS, b"/systemd/network", b".network")? {
        let Some(file) = root.read_if_there(path)? else {
            continue;
        };
        let has = |is_it: &dyn Fn(&[u8]) -> bool| {
            lines(file.content).any(|line| is_it(line.trim_ascii()))
        };
        let is_port = |line: &[u8]| {
            value(line, b"Bridge")
                .or(value(line, b"Bond"))
                .is_some_and(|name| !name.is_empty())
        };
        let is_nic = |line: &[u8]| {
            value(line, b"Name")
                .is_some_and(|names| split(names, |byte| byte == b' ').any(may_be_nic))
                || value(line, b"Type") == Some(b"ether")
        };
        if has(&is_port) && has(&is_nic) {
            let what = c"a NIC of the context is no port of its bridge or bond: that gets no \
                         uplink by it";
            found.push((path, Error::new(what)));
        }
    }
    Ok(())
}

/// The value of a line `KEY=VALUE`; `KEY+=VALUE` too.
fn value<'l>(line: &'l [u8], key: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(key)?.trim_ascii_start();
    let rest = rest.strip_prefix(b"+").unwrap_or(rest);
    Some(rest.strip_prefix(b"=")?.trim_ascii())
}

/// Whether a list of devices has one of the NICs, as far as that can be known. What is
/// excepted is not in it.
fn may_name(list: &[u8], nics: Nics<'_>) -> bool {
    let mut is_named = false;
    for spec in split(list, |byte| matches!(byte, b';' | b',')).map(<[u8]>::trim_ascii) {
        let excepted = spec.strip_prefix(b"except:");
        let spec = excepted.unwrap_or(spec);
        let is_nic = match spec.strip_prefix(b"mac:") {
            Some(mac) => Mac::parse(mac).is_some_and(|mac| nics.macs.contains(&mac)),
            None => match spec.strip_prefix(b"interface-name:") {
                Some(name) => may_be_nic(name.strip_prefix(b"=").unwrap_or(name)),
                None => matches!(spec, b"*" | b"type:ethernet"),
            },
        };
        match (is_nic, excepted) {
            (true, Some(_)) => return false,
            (true, None) => is_named = true,
            (false, _) => {}
        }
    }
    is_named
}

/// Whether a pattern may be the name of a NIC.
fn may_be_nic(pattern: &[u8]) -> bool {
    let usual: [&[u8]; 4] = [b"ens3", b"eth0", b"enp1s0", b"eno1"];
    pattern.starts_with(b"en")
        || pattern.starts_with(b"eth")
        || usual.iter().any(|name| fnmatch(pattern, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot;
    use crate::image::testing::{EMPTY, Fixture};
    use crate::system::testing::root_with;

    const MACS: &[Mac] = &[Mac([2, 0, 0xc0, 0, 2, 0x0a])];

    fn found(fixture: &Fixture) -> Vec<String> {
        let root = fixture.image();
        let facts = boot::read_facts(&root, &EMPTY, true);
        let nics = Nics {
            macs: MACS,
            by_dhcp: true,
        };
        let all = find(&root, &facts.network.unwrap().managers, nics).unwrap();
        all.iter()
            .map(|(path, _)| String::from_utf8(path.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn network_manager_leaves_nics_alone() {
        for (list, is_named) in [
            ("*,except:type:wifi,except:type:gsm,except:type:cdma", true),
            ("type:ethernet", true),
            ("interface-name:en*;", true),
            ("interface-name:=ens3", true),
            ("mac:02:00:C0:00:02:0A", true),
            ("interface-name:docker0;interface-name:veth*", false),
            ("type:wifi", false),
            ("mac:02:00:c0:00:02:0b", false),
            ("*,except:type:ethernet", false),
            ("", false),
        ] {
            for path in [
                "etc/NetworkManager/NetworkManager.conf",
                "etc/NetworkManager/conf.d/a.conf",
                "usr/lib/NetworkManager/conf.d/a.conf",
            ] {
                let fixture = root_with("NetworkManager.service");
                fixture.file(path, format!("[keyfile]\nunmanaged-devices={list}\n"));
                let expected = vec![format!("/{path}"); usize::from(is_named)];
                assert_eq!(found(&fixture), expected, "{list}");
            }
        }
    }

    #[test]
    fn ports_of_network_manager_and_networkd() {
        const UUID: &str = "5a1c63d6-7e8f-4a63-9a4c-0a2c1f3a0001";
        let folder = "etc/NetworkManager/system-connections";
        let bridge = format!("[connection]\nuuid={UUID}\ntype=bridge\ninterface-name=br0\n");
        for (activates, port, is_named) in [
            ("autoconnect-slaves=1", "type=ethernet\nmaster=br0", true),
            ("autoconnect-ports=1", "type=ethernet\ncontroller=br0", true),
            (
                "autoconnect-slaves=1",
                "type=ethernet\ninterface-name=ens3\nmaster=UUID",
                true,
            ),
            (
                "autoconnect-slaves=1",
                "type=802-3-ethernet\nmaster=br0\n[ethernet]\nmac-address=02:00:C0:00:02:0A",
                true,
            ),
            // Ours outweighs these.
            ("", "type=ethernet\nmaster=br0", false),
            ("autoconnect-slaves=0", "type=ethernet\nmaster=br0", false),
            // No NIC of the context is a port.
            ("autoconnect-slaves=1", "type=ethernet", false),
            ("autoconnect-slaves=1", "type=ethernet\nmaster=br1", false),
            (
                "autoconnect-slaves=1",
                "type=ethernet\ninterface-name=veth0\nmaster=br0",
                false,
            ),
            (
                "autoconnect-slaves=1",
                "type=ethernet\nmaster=br0\n[ethernet]\nmac-address=02:00:C0:00:02:0B",
                false,
            ),
            ("autoconnect-slaves=1", "type=vlan\nmaster=br0", false),
        ] {
            let fixture = root_with("NetworkManager.service");
            let master = format!("{bridge}{activates}\n");
            fixture.file(&format!("{folder}/a.nmconnection"), master);
            let port = port.replace("UUID", UUID);
            let port = format!("[connection]\n{port}\n");
            fixture.file(&format!("{folder}/b.nmconnection"), &port);
            let expected = vec![format!("/{folder}/a.nmconnection"); usize::from(is_named)];
            assert_eq!(found(&fixture), expected, "{activates}, {port}");
        }
        let fixture = root_with("systemd-networkd.service");
        for (name, text) in [
            ("a", "[Match]\nName=en*\n[Network]\nBridge=br0\n"),
            ("b", "[Match]\nName=br0\n[Network]\nDHCP=yes\n"),
            ("c", "[Match]\nName=veth*\n[Network]\nBridge=br0\n"),
            ("d", "[Match]\nType=ether\n[Network]\nBond=bond0\n"),
        ] {
            fixture.file(&format!("etc/systemd/network/{name}.network"), text);
        }
        let named = ["a", "d"].map(|name| format!("/etc/systemd/network/{name}.network"));
        assert_eq!(found(&fixture), named);
    }

    #[test]
    fn dhcpcd_denies_a_nic() {
        let fixture = root_with("dhcpcd.service");
        fixture.file(
            "etc/dhcpcd.conf",
            "duid\ndenyinterfaces veth*\nallowinterfaces eth0\n",
        );
        assert_eq!(found(&fixture), [""; 0]);
        fixture.file("etc/dhcpcd.conf", "duid\ndenyinterfaces ens3\n");
        assert_eq!(found(&fixture), ["/etc/dhcpcd.conf"]);
    }
}
