//! Which device is which NIC of the context.
use rustix::fd::BorrowedFd;
use rustix::fs::readlinkat_raw;
use rustix::io::Errno;

use super::wire::Device;
use crate::base::arena::{Arena, Set, Vector};
use crate::base::text::{c_str, format, same, split};
use crate::plan::{Link, LinkName};

/// What became of one link of the plan.
#[derive(Clone, Copy)]
pub struct Match<'a> {
    /// Its device as it was when it was found.
    pub device: Option<&'a Device<'a>>,
    /// The device's MAC must become that of the link.
    pub set_mac: bool,
    /// Why there is no device, or what is odd about it; may be empty.
    pub problem: &'static str,
}

impl<'a> Match<'a> {
    /// The device if there is one, else the problem.
    fn of(device: Option<&'a Device<'a>>, problem: &'static str) -> Self {
        Self {
            device,
            set_mac: false,
            problem: if device.is_some() { "" } else { problem },
        }
    }
}

/// Finds the device of each link: by MAC among the physical devices, a PCI
/// link also by its bus address, a link without MAC by its kernel name or its
/// number among the physical devices. No device is given twice.
///
/// `sys_net` is /sys/class/net; the physical devices come in the kernel's
/// order.
pub fn assign<'a>(
    arena: &'a Arena,
    links: &[Link<'a>],
    physical: &'a [Device<'a>],
    sys_net: Option<BorrowedFd>,
) -> Vector<'a, Match<'a>> {
    let mut taken = Set::new(arena);
    let mut matches = arena.vector();
    for link in links {
        let mut found = assign_one(arena, link, physical, sys_net);
        if let Some(device) = found.device
            && !taken.insert(device.index, b"")
        {
            let problem = "its device belongs to another NIC of the context already";
            found = Match::of(None, problem);
        }
        matches.push(found);
    }
    matches
}

fn assign_one<'a>(
    arena: &'a Arena,
    link: &Link<'a>,
    physical: &'a [Device<'a>],
    sys_net: Option<BorrowedFd>,
) -> Match<'a> {
    let with_mac = with_mac(link, physical);
    match link.name {
        LinkName::Eth(number) if link.mac.is_none() => {
            let name = format(arena, &link.name);
            let named = physical.iter().find(|device| same(device.name, name));
            Match::of(
                named.or_else(|| physical.get(number as usize)),
                "it has no MAC, and there is no network device of its name or number",
            )
        }
        LinkName::Pci(_) if with_mac.device.is_none() => on_bus(arena, link, physical, sys_net),
        _ => with_mac,
    }
}

fn with_mac<'a>(link: &Link<'a>, physical: &'a [Device<'a>]) -> Match<'a> {
    let mut found = Match::of(None, "no network device has its MAC");
    for device in physical {
        if device.mac.is_none() || device.mac != link.mac {
            continue;
        }
        let problem = match found.device {
            None => "",
            Some(_) => "several network devices have its MAC, the first by name is used",
        };
        if found.device.is_none_or(|first| device.name < first.name) {
            found.device = Some(device);
        }
        found.problem = problem;
    }
    found
}

/// The device on the bus at the link's PCI address.
fn on_bus<'a>(
    arena: &Arena,
    link: &Link<'a>,
    physical: &'a [Device<'a>],
    sys_net: Option<BorrowedFd>,
) -> Match<'a> {
    let mut found = Match::of(None, "no network device has its MAC or its PCI address");
    if let (Some(address), Some(sys_net)) = (link.pci, sys_net) {
        for device in physical {
            match is_at(arena, device, address, sys_net) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(_) => {
                    return Match::of(None, "the PCI address of a network device cannot be read");
                }
            }
            if found.device.is_some() {
                return Match::of(None, "several network devices have its PCI address");
            }
            found = Match::of(Some(device), "");
            found.set_mac = link.mac.is_some();
        }
    }
    found
}

/// Whether the address is a part of the path that the device's link in sysfs
/// leads to, as in `../../devices/pci0000:00/0000:01:01.0/virtio1/net/ens4`.
fn is_at(
    arena: &Arena,
    device: &Device,
    address: &[u8],
    sys_net: BorrowedFd,
) -> Result<bool, Errno> {
    const LONGEST: usize = 1024;
    let mut path = [0; LONGEST];
    let length = match readlinkat_raw(sys_net, c_str(arena, &[device.name])?, &mut path) {
        Ok(length) => length,
        // Not a link, or gone: on no bus.
        Err(Errno::INVAL | Errno::NOENT) => 0,
        Err(errno) => return Err(errno),
    };
    let path = path.get(..length).unwrap_or_default();
    Ok(split(path, |byte| byte == b'/').any(|part| {
        // `01:01.0` is `0000:01:01.0` and not `0000:101:01.0`.
        part.strip_suffix(address)
            .is_some_and(|domain| matches!(domain.last(), None | Some(b':')))
    }))
}
