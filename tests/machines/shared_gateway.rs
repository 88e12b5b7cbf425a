//! NICs that share an IPv6 gateway, as those of one network do, on managers newer than
//! Debian 12's; and a connectivity check of NetworkManager that fails.

use crate::networkd::assert_networkd_uses;
use crate::support::image::Image;
use crate::support::machine::{Inside, Login, Machine};
use crate::two_nics::*;

const MAC3: &str = "02:00:0a:12:03:01";
const MAC4: &str = "02:00:0a:12:04:01";
const MAC5: &str = "02:00:0a:12:05:01";
const MAC6: &str = "02:00:0a:12:06:01";

/// The first two NICs have a global gateway, the next two a link-local one, the last
/// two also equal metrics.
const VARIABLES: [(&str, &str); 23] = [
    ("ETH0_GATEWAY", "10.18.1.254"),
    ("ETH0_IP", "10.18.1.1"),
    ("ETH0_IP6", "2001:db8::a"),
    ("ETH0_IP6_GATEWAY", "2001:db8::1"),
    ("ETH0_MAC", MAC1),
    ("ETH1_IP6", "2001:db8::b"),
    ("ETH1_IP6_GATEWAY", "2001:db8::1"),
    ("ETH1_MAC", MAC2),
    ("ETH2_IP6", "2001:db8:3::a"),
    ("ETH2_IP6_GATEWAY", "fe80::1"),
    ("ETH2_MAC", MAC3),
    ("ETH3_IP6", "2001:db8:3::b"),
    ("ETH3_IP6_GATEWAY", "fe80::1"),
    ("ETH3_MAC", MAC4),
    ("ETH4_IP6", "2001:db8:5::a"),
    ("ETH4_IP6_GATEWAY", "2001:db8:5::1"),
    ("ETH4_IP6_METRIC", "2000"),
    ("ETH4_MAC", MAC5),
    ("ETH5_IP6", "2001:db8:5::b"),
    ("ETH5_IP6_GATEWAY", "2001:db8:5::1"),
    ("ETH5_IP6_METRIC", "2000"),
    ("ETH5_MAC", MAC6),
    ("NETWORK", "YES"),
];

const ADDRESSES: [&str; 13] = [
    "ens3 10.18.1.1/24",
    "ens3 2001:db8::a/64",
    "ens3 fe80::aff:fe12:101/64",
    "ens4 2001:db8::b/64",
    "ens4 fe80::aff:fe12:201/64",
    "ens5 2001:db8:3::a/64",
    "ens5 fe80::aff:fe12:301/64",
    "ens6 2001:db8:3::b/64",
    "ens6 fe80::aff:fe12:401/64",
    "ens7 2001:db8:5::a/64",
    "ens7 fe80::aff:fe12:501/64",
    "ens8 2001:db8:5::b/64",
    "ens8 fe80::aff:fe12:601/64",
];

const DEFAULTS: [&str; 6] = [
    "default metric 2000 via 2001:db8:5::1 dev ens7 via 2001:db8:5::1 dev ens8",
    "default via 10.18.1.254 dev ens3",
    "default via 2001:db8::1 dev ens3 metric 1024",
    "default via 2001:db8::1 dev ens4 metric 1025",
    "default via fe80::1 dev ens5 metric 1026",
    "default via fe80::1 dev ens6 metric 1027",
];

/// Boots with all that, and checks it now and later.
fn logged_in(kind: &'static str, unit: &str, change: impl FnOnce(Machine) -> Machine) {
    let (machine, key) = machine(Image::With(kind), &VARIABLES);
    let machine = machine.nic(MAC3, 3).nic(MAC4, 4).nic(MAC5, 5).nic(MAC6, 6);
    let mut running = change(machine).start();
    let mut login = running.login("root", 1, &key);

    assert_online(&mut login, unit);
    assert_looks_like_the_plan(&mut login);
    // Longer than elsewhere: `assert_quiet` knows the routes, not these addresses.
    login.run("sleep 30");
    assert_looks_like_the_plan(&mut login);
    if unit.starts_with("systemd-networkd") {
        for number in 0..6 {
            let (nic, file) = (format!("ens{}", number + 3), format!("eth{number}"));
            assert_networkd_uses(&mut login, &nic, &file);
        }
    }
    assert_quiet(&mut login);
}

fn assert_looks_like_the_plan(login: &mut Login) {
    assert_eq!(addresses(login), ADDRESSES);
    let mut all = [routes(login, 4), routes(login, 6)].concat();
    all.retain(|line| line.starts_with("default"));
    all.sort();
    assert_eq!(all, DEFAULTS);
}

fn networkd(kind: &'static str) {
    logged_in(kind, "systemd-networkd-wait-online.service", |machine| {
        machine
    });
}

/// The URL of Fedora's images for the connectivity check, at an address where no host
/// answers.
fn network_manager(kind: &'static str) {
    logged_in(kind, "NetworkManager-wait-online.service", |machine| {
        machine.write(
            "/usr/lib/NetworkManager/conf.d/20-connectivity-fedora.conf",
            "[connectivity]\nenabled=true\nuri=http://192.0.2.1/static/hotspot.txt\n\
             response=OK\ninterval=300\n",
        )
    });
}

boots! {
    networkd_of_debian13 = networkd("trixie-networkd");
    networkd_of_sid = networkd("sid-networkd");
    network_manager_of_debian13 = network_manager("trixie-network-manager");
    network_manager_of_sid = network_manager("sid-network-manager");
}
