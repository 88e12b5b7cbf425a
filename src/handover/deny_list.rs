//! What dhcpcd and ConnMan share. They read nothing in `/run`, and would ask for DHCP
//! on a NIC that is set up. So a copy of their own file that denies them our NICs is
//! mounted over it, and what the kernel has stays. A NIC that uses DHCP is left to
//! them, in both families.
use super::render::{HEAD, device, links};
use crate::base::error::Error;
use crate::base::memory::{self, Vector};
use crate::base::text::{format, position};
use crate::changeset::Changes;
use crate::image::FileContent;
use crate::image::config::ConfigFile;
use crate::plan::bound::BoundPlan;
use crate::plan::{Ipv4Method, Ipv6Method, Link};

/// Whether a link gets its addresses by DHCP.
pub fn uses_dhcpv4(link: &Link) -> bool {
    link.ipv4 == Some(Ipv4Method::Dhcp)
}

/// The devices of links without DHCP, each after the byte `before`.
pub fn devices_without_dhcp(
    bound: &BoundPlan,
    manager: &[u8],
    before: u8,
    changes: &mut Changes,
) -> &'static [u8] {
    let mut devices = Vector::new();
    for bound_link in links(bound) {
        let link = bound_link.link;
        let device = device(bound_link, manager, changes);
        let by_dhcp = uses_dhcpv4(link);
        if let Some(device) = device.filter(|_| !by_dhcp) {
            devices.push(before);
            devices.extend(device);
        }
        let differs = match link.ipv6 {
            Some(Ipv6Method::Static | Ipv6Method::Disable) => by_dhcp,
            Some(Ipv6Method::Dhcp) => !by_dhcp,
            _ => false,
        };
        if differs {
            changes.problem(
                c"DHCP in one family alone",
                format(&link.name),
                c"dhcpcd and ConnMan do it in both or in none: use another network manager",
            );
        }
    }
    devices.finish()
}

/// A network manager's own configuration file.
pub struct ManagerFile {
    /// The file.
    pub file: &'static ConfigFile,
    /// Its content.
    pub old: &'static FileContent,
    /// The content without what earlier runs of this program added. It ends with a
    /// newline.
    pub without_ours: &'static [u8],
}

impl ManagerFile {
    /// Removes what earlier runs added: from our first line to the next empty line, or to
    /// the end.
    #[inline(never)]
    pub fn of(file: Result<Option<&'static ConfigFile>, Error>) -> Result<Self, Error> {
        let file = file?.ok_or(NO_FILE)?;
        let old = file.content.ok_or(NO_FILE)?;
        let mut text = old.content;
        if !text.ends_with(b"\n") {
            text = memory::concat(&[text, b"\n"]);
        }
        while let Some((before, rest)) = cut_at(text, HEAD.as_bytes()) {
            let after = cut_at(rest, b"\n\n").map_or(&b""[..], |(_, after)| after);
            text = memory::concat(&[before, after]);
        }
        Ok(Self {
            file,
            old,
            without_ours: text,
        })
    }
}

const NO_FILE: Error = Error::new(
    c"its file cannot be read, so it asks for DHCP on every NIC: \
      add that file to the image, or remove this network manager",
);

/// Splits a text at the first `mark`, which is left out.
fn cut_at(text: &'static [u8], mark: &[u8]) -> Option<(&'static [u8], &'static [u8])> {
    let at = position(text, mark)?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}
