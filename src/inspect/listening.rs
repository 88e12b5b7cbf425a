//! Whether sshd listens where the machine has an address.
use core::net::IpAddr;

use ufmt::uwrite;

use crate::base::text::{Escaped, Text, ip, same};
use crate::image::ssh_ports::endpoint;
use crate::image::sshd_settings::{Setting, Settings};

/// Adds a line if no NIC of the context has an address on which sshd listens.
/// `addresses`: all of the machine, if they are known.
pub fn check(settings: &Settings, addresses: Option<&[IpAddr]>, out: &mut Text) {
    let Some(addresses) = addresses else {
        return;
    };
    let mut complain = |setting: &Setting, what: &str| {
        let (file, line) = (Escaped(setting.place.file), setting.place.line);
        uwrite!(out, "SSH server: {}:{}: ", file, line);
        uwrite!(out, "{}: {}\n", Escaped(setting.keyword), what);
    };
    if let Some(family) = settings.global(b"AddressFamily").first() {
        let is_of = |address: &IpAddr| match family.arguments.first() {
            Some(word) if same(word, b"inet") => address.is_ipv4(),
            Some(word) if same(word, b"inet6") => address.is_ipv6(),
            _ => true,
        };
        if !addresses.iter().any(is_of) {
            complain(
                family,
                "no NIC of the context has an address of that family",
            );
            return;
        }
    }
    let all = settings.global(b"ListenAddress");
    if let Some(first) = all.first()
        && !all.iter().any(|setting| reaches(setting, addresses))
    {
        complain(
            first,
            "no NIC of the context has that address, so nobody is heard",
        );
    }
}

/// Whether one of the addresses is listened on.
fn reaches(setting: &Setting, addresses: &[IpAddr]) -> bool {
    let Some(host) = setting.arguments.first().map(|word| endpoint(word).0) else {
        return true;
    };
    match ip(host) {
        Some(IpAddr::V4(address)) if address.is_unspecified() => {
            addresses.iter().any(IpAddr::is_ipv4)
        }
        Some(IpAddr::V6(address)) if address.is_unspecified() => {
            addresses.iter().any(IpAddr::is_ipv6)
        }
        Some(address) => addresses.contains(&address),
        // A name, or an address with a zone.
        None => true,
    }
}
