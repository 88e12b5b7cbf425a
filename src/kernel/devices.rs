//! Matching the NICs of the context to network devices.
use core::ffi::CStr;

use rustix::fd::BorrowedFd;
use rustix::fs::readlinkat_raw;
use rustix::io::Errno;
use ufmt::uwrite;

use crate::base::memory::{self, Vector};
use crate::base::set::Set;
use crate::base::sort::sort;
use crate::base::text::{Mac, Str, c_str, split, split_once};
use crate::plan::device::Device;
use crate::plan::{Link, LinkName};

/// What was found for a link of the plan.
#[derive(Clone, Copy)]
pub struct Match {
    /// The link.
    pub link: &'static Link,
    /// Its device.
    pub device: Option<&'static Device>,
    /// Why there is none, or why it may be the wrong one.
    pub problem: Option<Str>,
}

/// What becomes of the addresses of the ports of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// They are the device's own: nobody reaches an address on a port.
    GiveTheirs,
    /// They stay on the ports (Documentation/networking/vrf.rst).
    KeepTheirs,
    /// That is not known.
    Unknown,
}

impl Ports {
    /// Those of a device of this kind (IFLA_INFO_KIND).
    pub fn of(kind: &[u8]) -> Self {
        match kind {
            b"bridge" | b"bond" | b"team" => Self::GiveTheirs,
            b"vrf" => Self::KeepTheirs,
            _ => Self::Unknown,
        }
    }
}

/// A device that is found; without one the reason.
type Found = Result<&'static Device, Str>;

/// A link without a device, for this reason.
fn none(reason: &'static CStr) -> Found {
    Err(Str::new(reason))
}

/// Finds the device of each link: by MAC among the physical devices, a PCI link also by
/// its bus address, a link without MAC by its kernel name or its number among the
/// physical devices. No device is bound twice.
///
/// `sys_net` is /sys/class/net; the physical devices come in the kernel's
/// order.
pub fn bind(
    links: &'static [Link],
    physical: &'static [Device],
    sys_net: Option<BorrowedFd>,
) -> Vector<Match> {
    let mut devices = Devices::new(physical);
    let mut taken = Set::new();
    let mut all = Vector::new();
    for link in links {
        let mut found = devices.find(link, sys_net);
        if let Ok(device) = found
            && !taken.insert(device.index, b"")
        {
            found = none(c"its device belongs to another NIC of the context already");
        }
        all.push(Match {
            link,
            device: found.ok(),
            problem: match found {
                Ok(_) => devices.doubt(link),
                Err(reason) => Some(reason),
            },
        });
    }
    all
}

/// The physical devices, with indexes so that many links and many devices are matched
/// in little time.
struct Devices {
    physical: &'static [Device],
    by_mac: Index,
    /// By name, in lower case.
    by_name: Index,
    /// By bus address; made when it is first needed.
    by_address: Option<Result<Index, Errno>>,
}

impl Devices {
    fn new(physical: &'static [Device]) -> Self {
        let mut macs = Vector::new();
        let mut names = Vector::new();
        for (position, device) in physical.iter().enumerate() {
            if let Some(mac) = &device.mac {
                macs.push((&mac.0[..], position));
            }
            let name = memory::copy(&device.name);
            name.make_ascii_lowercase();
            names.push((&*name, position));
        }
        Self {
            physical,
            by_mac: Index::new(macs),
            by_name: Index::new(names),
            by_address: None,
        }
    }

    fn find(&mut self, link: &Link, sys_net: Option<BorrowedFd>) -> Found {
        match (link.name, link.mac) {
            (LinkName::Eth(number), None) => self.without_mac(number),
            (LinkName::Eth(_), Some(mac)) => self
                .with_mac(mac)
                .ok_or(Str::new(c"no network device has its MAC")),
            (LinkName::Pci(_), mac) => match mac.and_then(|mac| self.with_mac(mac)) {
                Some(device) => Ok(device),
                None => self.at_pci_address(link, sys_net),
            },
        }
    }

    /// The device that is called `ethN`, else the one at that position.
    fn without_mac(&self, number: u32) -> Found {
        let mut name = Vector::new();
        uwrite!(name, "eth{}", number);
        let named = self.by_name.get(&name).first();
        let position = named.map_or(number as usize, |(_, position)| *position);
        match self.physical.get(position) {
            Some(device) => Ok(device),
            None => none(c"it has no MAC, and there is no network device of its name or number"),
        }
    }

    fn with_mac(&self, mac: Mac) -> Option<&'static Device> {
        let devices = (self.by_mac.get(&mac.0).iter())
            .filter_map(|(_, position)| self.physical.get(*position));
        devices.reduce(|one, other| if other.name < one.name { other } else { one })
    }

    /// Why the device of a link may be the wrong one.
    fn doubt(&self, link: &Link) -> Option<Str> {
        let several = c"several network devices have its MAC, the first by name is used";
        let count = link.mac.map_or(0, |mac| self.by_mac.get(&mac.0).len());
        (count > 1).then_some(Str::new(several))
    }

    fn at_pci_address(&mut self, link: &Link, sys_net: Option<BorrowedFd>) -> Found {
        let missing = none(c"no network device has its MAC or its PCI address");
        let (Some(address), Some(sys_net)) = (link.pci, sys_net) else {
            return missing;
        };
        let physical = self.physical;
        let by_address = self
            .by_address
            .get_or_insert_with(|| read_addresses(physical, sys_net));
        let Ok(by_address) = by_address else {
            return none(c"the PCI address of a network device cannot be read");
        };
        let found = by_address.get(address);
        // The same device may be there twice, so compare the first and the last.
        match (found.first(), found.last()) {
            (Some((_, first)), Some((_, last))) if first != last => {
                none(c"several network devices have its PCI address")
            }
            (Some((_, position)), _) => self.physical.get(*position).map_or(missing, Ok),
            (None, _) => missing,
        }
    }
}

/// A key, and the position of its device among the physical devices.
type Entry = (&'static [u8], usize);

/// A sorted list of entries.
struct Index(Vector<Entry>);

impl Index {
    #[inline(never)]
    fn new(mut entries: Vector<Entry>) -> Self {
        sort(&mut entries, |one, other| one < other);
        Self(entries)
    }

    /// The entries with this key, in the kernel's order.
    #[inline(never)]
    fn get(&self, key: &[u8]) -> &[Entry] {
        let start = self.0.partition_point(|entry| entry.0 < key);
        let rest = self.0.get(start..).unwrap_or_default();
        let is_other = |entry: &Entry| entry.0 != key;
        let end = rest.iter().position(is_other).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }
}

/// Indexes the devices by each part of the path that their link in sysfs leads to, such
/// as `../../devices/pci0000:00/0000:01:01.0/virtio1/net/ens4`: one part is the bus
/// address.
fn read_addresses(physical: &[Device], sys_net: BorrowedFd) -> Result<Index, Errno> {
    const LONGEST: usize = 1024;
    let mut names = Vector::new();
    for (position, device) in physical.iter().enumerate() {
        let mut path = [0; LONGEST];
        let length = match readlinkat_raw(sys_net, c_str(&[&device.name])?, &mut path) {
            Ok(length) => length,
            // No link, or the device is gone: it is on no bus.
            Err(Errno::INVAL | Errno::NOENT) => continue,
            Err(errno) => return Err(errno),
        };
        let path = &*memory::copy(path.get(..length).unwrap_or_default());
        for part in split(path, |byte| byte == b'/') {
            names.push((part, position));
            // `0000:01:01.0` is also found as `01:01.0`; `0000:101:01.0` is not.
            let mut rest = part;
            while let Some((_, address)) = split_once(rest, b':') {
                names.push((address, position));
                rest = address;
            }
        }
    }
    Ok(Index::new(names))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fd::{AsFd, OwnedFd};
    use rustix::fs::{CWD, Mode, OFlags, openat};

    use super::*;
    use crate::base::text::to_string;
    use crate::plan::device::DeviceName;

    /// /sys/class/net of a machine, for one test.
    struct SysNet(std::path::PathBuf);

    impl SysNet {
        /// One with these devices, and the targets of their symbolic links.
        fn new(test: &str, devices: &[(&str, &str)]) -> Self {
            let name = format!("onecontext-sys-{test}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            for (device, target) in devices {
                symlink(target, path.join(device)).unwrap();
            }
            Self(path)
        }

        fn open(&self) -> OwnedFd {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            openat(CWD, self.0.to_str().unwrap(), flags, Mode::empty()).unwrap()
        }
    }

    impl Drop for SysNet {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A device whose MAC ends with this byte; 0: it has no MAC.
    fn device(index: u32, name: &str, mac: u8) -> Device {
        Device {
            index,
            name: DeviceName::new(name.as_bytes()).unwrap(),
            mac: (mac != 0).then_some(Mac([2, 0, 0, 0, 0, mac])),
            mtu: 1500,
            up: false,
            physical: true,
            kind: None,
            master: None,
        }
    }

    fn eth(number: u32, mac: u8) -> Link {
        Link {
            mac: (mac != 0).then_some(Mac([2, 0, 0, 0, 0, mac])),
            ..Link::new(LinkName::Eth(number))
        }
    }

    fn pci(number: u32, mac: u8, address: &'static str) -> Link {
        Link {
            name: LinkName::Pci(number),
            pci: Some(address.as_bytes()),
            ..eth(number, mac)
        }
    }

    /// The name of each link's device, `+` where it gets the link's MAC, and the warning;
    /// `-` and the reason where there is none.
    fn bound(links: &[Link], devices: &[Device], sys_net: Option<&SysNet>) -> Vec<String> {
        let sys_net = sys_net.map(SysNet::open);
        let sys_net = sys_net.as_ref().map(AsFd::as_fd);
        let all = bind(memory::list(links), memory::list(devices), sys_net);
        let text = |found: &Match| {
            let Some(device) = found.device else {
                return format!("- {}", to_string(&found.problem.unwrap()));
            };
            let gets_mac = found.link.mac.is_some() && found.link.mac != device.mac;
            let mac = if gets_mac { "+" } else { "" };
            let warning = found.problem.map(|problem| to_string(&problem));
            let warning = warning.map_or(String::new(), |warning| format!(" {warning}"));
            format!("{}{mac}{warning}", to_string(&device.name))
        };
        all.iter().map(text).collect()
    }

    #[test]
    fn what_becomes_of_the_addresses_of_ports() {
        for kind in ["bridge", "bond", "team"] {
            assert_eq!(Ports::of(kind.as_bytes()), Ports::GiveTheirs, "{kind}");
        }
        assert_eq!(Ports::of(b"vrf"), Ports::KeepTheirs);
        for kind in ["openvswitch", "hsr", "batadv", ""] {
            assert_eq!(Ports::of(kind.as_bytes()), Ports::Unknown, "{kind}");
        }
    }

    #[test]
    fn by_mac() {
        let devices = [
            device(7, "ens5", 5),
            device(3, "ens3", 3),
            device(4, "ens4", 0),
        ];
        assert_eq!(
            bound(&[eth(0, 3), eth(1, 4), eth(7, 5)], &devices, None),
            ["ens3", "- no network device has its MAC", "ens5"]
        );
        assert_eq!(
            bound(&[eth(0, 3)], &[], None),
            ["- no network device has its MAC"]
        );
    }

    #[test]
    fn of_one_mac_the_first_by_name_counts() {
        let devices = [
            device(2, "ens9", 1),
            device(3, "ens4", 1),
            device(4, "ens5", 2),
        ];
        assert_eq!(
            bound(&[eth(0, 1), eth(1, 2)], &devices, None),
            [
                "ens4 several network devices have its MAC, the first by name is used",
                "ens5"
            ]
        );
    }

    #[test]
    fn no_device_is_given_twice() {
        let devices = [device(2, "ens3", 1)];
        let taken = "- its device belongs to another NIC of the context already";
        assert_eq!(
            bound(&[eth(0, 1), eth(1, 1)], &devices, None),
            ["ens3", taken]
        );
        assert_eq!(
            bound(&[eth(0, 0), eth(1, 1)], &devices, None),
            ["ens3", taken]
        );
    }

    #[test]
    fn without_mac_names_count_before_positions() {
        let devices = [
            device(2, "ens3", 1),
            device(3, "eth2", 2),
            device(4, "eth0", 3),
            device(5, "ETH3", 4),
            device(6, "eth01", 5),
        ];
        let missing = "- it has no MAC, and there is no network device of its name or number";
        assert_eq!(
            bound(
                &[0, 2, 3, 1, 4, 5].map(|number| eth(number, 0)),
                &devices,
                None
            ),
            [
                "eth0",
                "eth2",
                "ETH3",
                // The device at its position belongs to another link already.
                "- its device belongs to another NIC of the context already",
                "eth01",
                missing
            ]
        );
    }

    #[test]
    fn pci_links_by_mac_then_by_address() {
        let sys_net = SysNet::new(
            "pci",
            &[
                ("ens3", "../../devices/pci0000:00/0000:01:01.0/net/ens3"),
                (
                    "ens4",
                    "../../devices/pci0000:00/0000:101:02.0/virtio1/net/ens4",
                ),
                ("ens5", "../../devices/pci0000:00/0000:01:03.0/net/ens5"),
                ("ens6", "../../devices/pci0000:00/0000:01:03.0/net/ens6"),
                ("veth0", "../../devices/virtual/net/veth0"),
            ],
        );
        let devices = [
            device(2, "ens3", 3),
            device(3, "ens4", 4),
            device(4, "ens5", 5),
            device(5, "ens6", 6),
            device(6, "veth0", 7),
            device(7, "gone", 8),
        ];
        let missing = "- no network device has its MAC or its PCI address";
        for (link, expected) in [
            (pci(0, 4, "01:01.0"), "ens4"),
            (pci(0, 9, "01:01.0"), "ens3+"),
            (pci(0, 0, "01:01.0"), "ens3"),
            (pci(0, 9, "0000:01:01.0"), "ens3+"),
            (pci(0, 9, "01:02.0"), missing),
            (pci(0, 9, "1:01.0"), missing),
            (pci(0, 9, "101:02.0"), "ens4+"),
            (
                pci(0, 9, "01:03.0"),
                "- several network devices have its PCI address",
            ),
            (pci(0, 9, "01:09.0"), missing),
        ] {
            let address = std::str::from_utf8(link.pci.unwrap()).unwrap();
            assert_eq!(
                bound(&[link], &devices, Some(&sys_net)),
                [expected],
                "{address}"
            );
        }
        assert_eq!(bound(&[pci(0, 9, "01:01.0")], &devices, None), [missing]);
    }

    #[test]
    fn a_bus_that_cannot_be_read_is_no_bus_without_the_device() {
        let file = SysNet::new("file", &[]);
        fs::write(file.0.join("ens3"), "").unwrap();
        let missing = "- no network device has its MAC or its PCI address";
        let unreadable = "- the PCI address of a network device cannot be read";
        let devices = [device(2, "ens3", 3)];
        let link = pci(0, 9, "01:01.0");
        // An entry that is no symbolic link is on no bus.
        assert_eq!(bound(&[link], &devices, Some(&file)), [missing]);
        let devices = [device(2, "ens3/x", 3)];
        assert_eq!(bound(&[link], &devices, Some(&file)), [unreadable]);
    }
}
