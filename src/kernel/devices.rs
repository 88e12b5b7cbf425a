//! Which device is which NIC of the context.
use rustix::fd::BorrowedFd;
use rustix::fs::readlinkat_raw;

use super::wire::Device;
use crate::memory::{Arena, Set, Table, sort};
use crate::plan::{Link, LinkName};
use crate::report::shown;
use crate::text::{Mac, same, split};

/// What became of one link of the plan.
#[derive(Clone, Copy)]
pub struct Match<'a> {
    /// The link; its `device` is set if one was found.
    pub link: Link<'a>,
    /// The device as it was when it was found.
    pub found: Option<Device<'a>>,
    /// The device's MAC must become that of the link.
    pub set_mac: bool,
    /// Why there is no device, or what is odd about it; may be empty.
    pub problem: &'static str,
}

impl<'a> Match<'a> {
    fn none(link: &Link<'a>, problem: &'static str) -> Self {
        Self {
            link: *link,
            found: None,
            set_mac: false,
            problem,
        }
    }

    fn of(link: &Link<'a>, device: Device<'a>) -> Self {
        let link = Link {
            device: Some(device.name),
            ..*link
        };
        Self {
            link,
            found: Some(device),
            set_mac: false,
            problem: "",
        }
    }
}

/// Finds the device of each link: by MAC among the physical devices, a PCI
/// link also by its bus address, a link without MAC by its kernel name or its
/// number among the physical devices. No device is given twice.
///
/// `sys_net` is /sys/class/net; `devices` come in the kernel's order.
pub fn assign<'a>(
    arena: &'a Arena,
    links: &[Link<'a>],
    devices: &[Device<'a>],
    sys_net: Option<BorrowedFd>,
) -> Table<'a, Match<'a>> {
    let mut physical = arena.table();
    for device in devices.iter().filter(|device| device.physical) {
        physical.push(*device);
    }
    let mut by_mac = arena.table();
    for device in physical.iter() {
        if let Some(mac) = device.mac {
            by_mac.push((mac.0, *device));
        }
    }
    sort(&mut by_mac, |one, other| {
        (one.0, one.1.name) < (other.0, other.1.name)
    });
    let mut taken = Set::new(arena);
    let mut matches = arena.table();
    for link in links {
        let mut found = match (link.mac, link.name) {
            (Some(mac), LinkName::Eth(_)) => with_mac(link, mac, &by_mac),
            (_, LinkName::Eth(number)) => by_name_or_number(arena, link, number, &physical),
            (mac, LinkName::Pci(_)) => {
                let found = mac.map(|mac| with_mac(link, mac, &by_mac));
                match found.filter(|found| found.found.is_some()) {
                    Some(found) => found,
                    None => on_bus(link, &physical, sys_net),
                }
            }
        };
        if let Some(device) = found.found
            && !taken.insert(device.index, b"")
        {
            found = Match::none(
                link,
                "its device belongs to another NIC of the context already",
            );
        }
        matches.push(found);
    }
    matches
}

fn with_mac<'a>(link: &Link<'a>, mac: Mac, by_mac: &[([u8; 6], Device<'a>)]) -> Match<'a> {
    let first = by_mac.partition_point(|(other, _)| *other < mac.0);
    let mut same = by_mac
        .iter()
        .skip(first)
        .take_while(|(other, _)| *other == mac.0);
    let Some((_, device)) = same.next() else {
        return Match::none(link, "no network device has its MAC");
    };
    let mut found = Match::of(link, *device);
    if same.next().is_some() {
        found.problem = "several network devices have its MAC, the first by name is used";
    }
    found
}

fn by_name_or_number<'a>(
    arena: &'a Arena,
    link: &Link<'a>,
    number: u32,
    physical: &[Device<'a>],
) -> Match<'a> {
    let name = shown(arena, &link.name);
    let named = physical.iter().find(|device| same(device.name, name));
    match named.or_else(|| physical.get(usize::try_from(number).unwrap_or(usize::MAX))) {
        Some(device) => Match::of(link, *device),
        None => Match::none(
            link,
            "it has no MAC, and there is no network device of its name or number",
        ),
    }
}

/// A device on the bus at the link's PCI address: a part of the path that its
/// link in sysfs leads to, as in
/// `../../devices/pci0000:00/0000:01:01.0/virtio1/net/ens4`.
fn on_bus<'a>(link: &Link<'a>, physical: &[Device<'a>], sys_net: Option<BorrowedFd>) -> Match<'a> {
    const NONE: &str = "no network device has its MAC or its PCI address";
    const LONGEST: usize = 1024;
    let (Some(address), Some(sys_net)) = (link.pci, sys_net) else {
        return Match::none(link, NONE);
    };
    let mut on_bus = physical.iter().filter(|device| {
        let mut path = [0; LONGEST];
        let length = readlinkat_raw(sys_net, device.name, &mut path).unwrap_or(0);
        let path = path.get(..length).unwrap_or_default();
        split(path, |byte| byte == b'/').any(|part| {
            // `01:01.0` is `0000:01:01.0` and not `0000:101:01.0`.
            part.strip_suffix(address)
                .is_some_and(|domain| matches!(domain.last(), None | Some(b':')))
        })
    });
    match (on_bus.next(), on_bus.next()) {
        (Some(device), None) => Match {
            set_mac: link.mac.is_some(),
            ..Match::of(link, *device)
        },
        (Some(_), Some(_)) => Match::none(link, "several network devices have its PCI address"),
        (None, _) => Match::none(link, NONE),
    }
}
