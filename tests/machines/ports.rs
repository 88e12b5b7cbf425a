//! The image's own network would make the NIC a port of a bridge. An address on a port is
//! reached by nobody, and with these filters the kernel does not answer for another
//! device. The machine is pinged from outside without a break, and logged in to.

use crate::reachability::GAP;
use crate::support::image::Image;
use crate::support::machine::{Inside, Login, Machine, Running};
use crate::support::network::Network;
use crate::two_nics::*;

/// Strict filters, for each device (Documentation/networking/ip-sysctl.rst): an ARP
/// request is answered on the device that has the address, and a packet is taken on the
/// device by which its answer leaves.
const STRICT: &str = "net.ipv4.conf.all.arp_ignore = 1\nnet.ipv4.conf.all.rp_filter = 1\n\
    net.ipv4.conf.default.rp_filter = 1\nnet.ipv4.conf.*.rp_filter = 1\n";

/// Boots the machine with `TWO_NICS` and this change of its root.
fn reached(kind: &'static str, change: impl FnOnce(Machine) -> Machine) -> (Running, Login) {
    let network = Network::new(&[1, 2]);
    let (machine, key) = machine(Image::With(kind), &TWO_NICS);
    let machine = change(machine).write("/etc/sysctl.d/99-strict.conf", STRICT);
    let mut running = machine.in_network(&network).start();
    let ping = running.ping("10.18.1.1");
    let mut login = running.login("root", 1, &key);
    login.booted();
    assert_no_failed_unit(&mut login);
    let filters = "cd /proc/sys/net/ipv4/conf; cat all/arp_ignore all/rp_filter ens3/rp_filter; \
        ip -o link show master vmbr0 2>/dev/null || true";
    assert_eq!(login.run(filters), "1\n1\n1\n");
    login.run(LATER);
    let reached = ping.stop();
    eprintln!("{kind}: {reached}");
    assert!(reached.gap < GAP, "{reached}");
    drop(login);
    let mut login = running.login("root", 1, &key);
    assert_quiet(&mut login);
    (running, login)
}

/// As on a host of virtual machines: the address is the bridge's, the NIC its port
/// (bridge-utils-interfaces(5)).
#[test]
#[ignore = "boots a machine"]
fn of_a_bridge_of_ifupdown() {
    let (running, mut login) = reached("ifupdown", |machine| {
        machine
            .edit("rm /etc/network/interfaces")
            .edit("rm /etc/network/interfaces.d/second")
            .write(
                "/etc/network/interfaces",
                "auto lo\niface lo inet loopback\n\niface ens3 inet manual\n\n\
                 auto vmbr0\niface vmbr0 inet static\n\taddress 10.18.1.77/24\n\
                 \tgateway 10.18.1.254\n\tbridge-ports ens3\n\tbridge-stp off\n\
                 \tbridge-fd 0\n\nsource /etc/network/interfaces.d/*\n",
            )
    });
    // It could have made the bridge.
    login.run("test -x /etc/network/if-pre-up.d/bridge");
    assert_looks(&mut login);
    let said = "left out vmbr0, which would take a NIC of the context as its port";
    assert!(running.console().contains(said));
}
