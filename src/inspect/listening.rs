//! Whether sshd listens where the machine has an address.
use core::net::IpAddr;

use ufmt::uwrite;

use crate::base::memory::Vector;
use crate::base::text::{Escaped, Text, ip, same};
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
    if let Some(family) = of(settings, b"AddressFamily").first() {
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
    let all = of(settings, b"ListenAddress");
    if let Some(first) = all.first()
        && !all.iter().any(|setting| reaches(setting, addresses))
    {
        complain(
            first,
            "no NIC of the context has that address, so nobody is heard",
        );
    }
}

/// The settings of a keyword outside of blocks with conditions.
fn of(settings: &Settings, keyword: &[u8]) -> Vector<&'static Setting> {
    let mut found = Vector::new();
    for setting in settings.list {
        let is_global = setting
            .block
            .is_none_or(|block| matches!(block.criteria, [all] if same(all, b"all")));
        if is_global && same(setting.keyword, keyword) {
            found.push(setting);
        }
    }
    found
}

/// Whether one of the addresses is listened on.
fn reaches(setting: &Setting, addresses: &[IpAddr]) -> bool {
    let Some(host) = setting.arguments.first().map(|word| host(word)) else {
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

/// The host of `HOST`, `HOST:PORT`, `[HOST]:PORT`.
fn host(word: &[u8]) -> &[u8] {
    if let Some(rest) = word.strip_prefix(b"[") {
        let end = rest.iter().position(|byte| *byte == b']');
        return rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    }
    let mut colons = word.iter().filter(|byte| **byte == b':');
    match (colons.next(), colons.next()) {
        (Some(_), None) => {
            let end = word.iter().position(|byte| *byte == b':');
            word.get(..end.unwrap_or(word.len())).unwrap_or_default()
        }
        _ => word,
    }
}
