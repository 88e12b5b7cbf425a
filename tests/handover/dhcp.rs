//! DHCP and routers: the manager's work.

use crate::support::can_boot;
use crate::support::image::Image;
use crate::support::machine::Inside;
use crate::two_nics::*;

/// The first NIC as the context lists it, the second by DHCP and router.
const BY_DHCP: [(&str, &str); 8] = [
    ("ETH0_GATEWAY", "10.18.1.254"),
    ("ETH0_IP", "10.18.1.1"),
    ("ETH0_IP6", "2001:db8:1::a"),
    ("ETH0_MAC", MAC1),
    ("ETH0_MASK", "255.255.255.0"),
    ("ETH1_IP6_METHOD", "auto"),
    ("ETH1_MAC", MAC2),
    ("ETH1_METHOD", "dhcp"),
];

/// QEMU's own servers answer.
pub fn by_dhcp(manager: &'static str) {
    if !can_boot() {
        return;
    }
    let (machine, key) = machine(Image::With(manager), &BY_DHCP);
    let mut running = machine.start();
    let mut login = running.login("root", 1, &key);

    login.run("systemctl is-system-running --wait || true");
    assert_eq!(login.run("systemctl --failed --plain --no-legend"), "");
    login.run("sleep 30");
    assert_eq!(
        addresses(&mut login),
        [
            "ens3 10.18.1.1/24",
            "ens3 2001:db8:1::a/64",
            "ens3 fe80::aff:fe12:101/64",
            "ens4 10.18.2.15/24",
            "ens4 2001:db8:2::aff:fe12:201/64",
            "ens4 fe80::aff:fe12:201/64",
        ]
    );
    // What the context says comes first; each NIC has no more than one.
    let default = |line: &String| line.starts_with("default");
    let ipv4: Vec<_> = routes(&mut login, 4).into_iter().filter(default).collect();
    assert_eq!(ipv4[0], "default via 10.18.1.254 dev ens3");
    assert!(ipv4.len() <= 2, "{ipv4:?}");
    let ipv6: Vec<_> = routes(&mut login, 6).into_iter().filter(default).collect();
    assert!(ipv6.len() == 1 && ipv6[0].contains("ens4"), "{ipv6:?}");
    // It is the manager's work, and we do not say that it is not done.
    let report = login.run("cat /run/onecontext/report");
    assert!(!report.contains("DHCP is not done"), "{report}");
    assert_quiet(&mut login);
}
