//! NICs that are ports of a bridge when the program starts: the bridge gets what the
//! context says, and answers. Bonds and VRFs need modules that not every kernel has.
use crate::KEY;
use crate::dhcp::{Far, mac};
use crate::guest::*;

use std::process::Command;

/// ETH0 is ens3, ETH1 ens4.
fn context() -> String {
    format!(
        "ETH0_IP=10.18.3.1\nETH0_MAC={}\nETH0_GATEWAY=10.18.3.254\nETH0_IP6=2001:db8::a\n\
         ETH1_IP=10.18.4.1\nETH1_MAC={}\nSSH_PUBLIC_KEY='{KEY}'",
        mac(3),
        mac(4)
    )
}

/// A guest with two cables.
fn guest() -> (Guest, Far) {
    let guest = Guest::new();
    let far = Far::new(&guest, "");
    for number in [3, 4] {
        far.cable(number);
    }
    // A port answers for no address of another device, as many servers have it.
    for setting in ["all.arp_ignore=1", "all.rp_filter=1", "default.rp_filter=1"] {
        let setting = format!("net.ipv4.conf.{setting}");
        output(Command::new("sysctl").args(["-qw", &setting]));
    }
    (guest, far)
}

/// Whether an address of the guest answers from outside.
fn answers(far: &Far, address: &str) -> bool {
    let mut ping = far.command("ping");
    ping.args(["-qc1", "-W5", address]);
    ping.output().unwrap().status.success()
}

#[test]
#[ignore = "needs root: make test-fast"]
fn of_a_bridge() {
    let (mut guest, far) = guest();
    ip("link add name br0 type bridge");
    ip("link set ens3 master br0");
    // A bridge without a NIC of the context is nobody's business.
    ip("link add name br1 type bridge");
    let (status, log) = guest.apply(&context());
    assert_eq!(status, 0, "{log}");
    let said = "ETH0 (ens3) is a port: br0 gets its addresses\n";
    assert!(log.contains(said), "{log}");
    assert_eq!(log.matches("is a port").count(), 1, "{log}");
    assert_eq!(addresses("br0"), ["10.18.3.1/24", "2001:db8::a/64"]);
    assert_eq!(addresses("ens4"), ["10.18.4.1/24"]);
    assert!(addresses("ens3").is_empty() && addresses("br1").is_empty());
    assert_eq!(routes("-4"), ["default via 10.18.3.254 dev br0"]);
    assert!(answers(&far, "10.18.3.1") && answers(&far, "10.18.4.1"));
}

/// DHCP goes through the bridge too, with the bridge's own MAC.
#[test]
#[ignore = "needs root: make test-fast"]
fn of_a_bridge_by_dhcp() {
    let (mut guest, mut far) = guest();
    far.dnsmasq(3, &["--dhcp-range=10.18.3.100,10.18.3.120,1h"]);
    ip("link add name br0 address 02:00:00:00:00:99 type bridge forward_delay 0");
    ip("link set ens3 master br0");
    let (_, log) = guest.apply(&format!(
        "ETH0_MAC={}\nETH0_METHOD=dhcp\nETH0_IP6_METHOD=disable\nSSH_PUBLIC_KEY='{KEY}'",
        mac(3)
    ));
    let leased = addresses("br0");
    assert!(
        matches!(&leased[..], [one] if one.starts_with("10.18.3.1")),
        "{leased:?}: {log}"
    );
    assert_eq!(json("link show dev br0")[0]["address"], "02:00:00:00:00:99");
}
