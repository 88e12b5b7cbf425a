//! DHCP in a root that enables no network manager: two NICs, each with a server of its
//! own. systemd-networkd, which every Debian has and does not enable, keeps the leases
//! for this boot; without its program, they expire.

use crate::support::image::Image;
use crate::support::machine::{Inside, Login, Running};
use crate::support::network::Network;
use crate::two_nics::*;

const VARIABLES: [(&str, &str); 6] = [
    ("ETH0_MAC", MAC1),
    ("ETH0_METHOD", "dhcp"),
    ("ETH1_IP6_METHOD", "disable"),
    ("ETH1_MAC", MAC2),
    ("ETH1_METHOD", "dhcp"),
    ("ETH1_METRIC", "75"),
];

/// dnsmasq, as a name server, knows one name and asks no other server.
const SERVED: [&str; 7] = [
    "--dhcp-option=option:T1,20",
    "--dhcp-option=option:domain-search,example.org",
    "--dhcp-option=tag:tap2,option:mtu,1400",
    "--port=53",
    "--no-hosts",
    "--no-resolv",
    "--address=/server.example.org/10.18.1.254",
];

const ADDRESSES: [&str; 3] = [
    "ens3 10.18.1.1/24",
    "ens3 fe80::aff:fe12:101/64",
    "ens4 10.18.2.50/24",
];
const DEFAULTS: [&str; 2] = [
    "default via 10.18.1.254 dev ens3 metric 1024",
    "default via 10.18.2.254 dev ens4 metric 75",
];

/// A machine, from its first login to the end of its boot.
struct Booted {
    login: Login,
    network: Network,
    _running: Running,
}

/// Boots it with leases of this many seconds.
fn boot(image: Image, edit: &str, seconds: u32) -> Booted {
    let mut network = Network::new(&[1, 2]);
    let ranges = ["10.18.1.1,10.18.1.1", "10.18.2.50,10.18.2.50"];
    let ranges = ranges.map(|range| format!("--dhcp-range={range},{seconds}"));
    network.serve(&[&SERVED[..], &ranges.each_ref().map(String::as_str)].concat());
    let (machine, key) = machine(image, &VARIABLES);
    let mut running = machine.in_network(&network).edit(edit).start();
    let mut login = running.login("root", 1, &key);
    assert_eq!(login.booted(), "running\n");
    Booted {
        login,
        network,
        _running: running,
    }
}

impl Booted {
    /// Checks IPv4: no address or route twice; and the name servers.
    fn assert_looks(&mut self) {
        let login = &mut self.login;
        assert_eq!(addresses(login), ADDRESSES);
        let mut defaults = routes(login, 4);
        defaults.retain(|line| line.starts_with("default"));
        assert_eq!(defaults, DEFAULTS);
        let mtu = login.run("cat /sys/class/net/ens3/mtu /sys/class/net/ens4/mtu");
        assert_eq!(mtu, "1500\n1400\n");
        assert_eq!(
            resolv_conf(login),
            [
                "nameserver 10.18.1.254",
                "nameserver 10.18.2.254",
                "search example.org"
            ]
        );
        let host = login.run("getent ahostsv4 server");
        assert!(host.starts_with("10.18.1.254 "), "{host}");
        assert_quiet(login);
    }
}

/// networkd has the same leases, and renews them.
fn is_kept(image: Image) {
    let mut booted = boot(image, "", 120);
    booted.assert_looks();
    let login = &mut booted.login;
    for nic in ["ens3", "ens4"] {
        let status = login.run(&format!("networkctl status {nic}"));
        let file = "Network File: /run/systemd/network/00-onecontext-eth";
        assert!(status.contains(file), "{status}");
    }
    assert_no_problem(login);
    // The first two are ours and networkd's own.
    let of_tap1 = |line: &&str| line.contains("DHCPACK(tap1) 10.18.1.1 ");
    booted
        .network
        .wait_for("a renewal", |log| log.lines().filter(of_tap1).count() > 2);
    booted.assert_looks();
    let log = booted.network.log();
    assert!(!log.contains("DHCPNAK"), "{log}");
}

/// Nothing renews the lease, which is reported; the address ends with it.
fn is_told_that_it_ends(image: Image) {
    let mut booted = boot(image, "rm /usr/lib/systemd/systemd-networkd", 600);
    booted.assert_looks();
    let login = &mut booted.login;
    let links = login.json("ip -4 -json address show dynamic");
    for link in links.as_array().unwrap() {
        let left = link["addr_info"][0]["valid_life_time"].as_u64().unwrap();
        assert!(left <= 600, "{links}");
    }
    assert_eq!(links.as_array().unwrap().len(), 2);
    let report = login.run("cat /run/onecontext/report");
    for said in [
        "problem: ETH0 (ens3): 10.18.1.1/24 by DHCP from 10.18.1.254, for 600 s, until 20",
        "problem: ETH1 (ens4): 10.18.2.50/24 by DHCP from 10.18.2.254, for 600 s, until 20",
        "problem: ETH0 (ens3): DHCPv6 is not done",
    ] {
        assert!(report.contains(said), "{report}");
    }
}

boots! {
    is_kept_initramfs_tools = is_kept(Image::InitramfsTools);
    is_kept_dracut = is_kept(Image::Dracut);
    is_kept_dracut_without_systemd = is_kept(Image::DracutWithoutSystemd);
    is_kept_debian13 = is_kept(Image::Debian13InitramfsTools);
    ends_initramfs_tools = is_told_that_it_ends(Image::InitramfsTools);
    ends_dracut = is_told_that_it_ends(Image::Dracut);
    ends_dracut_without_systemd = is_told_that_it_ends(Image::DracutWithoutSystemd);
}
