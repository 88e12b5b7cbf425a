//! What other programs of the initramfs have left on a NIC. A hook of the image needs the
//! network (`ip=dhcp`); the context lists other addresses.

use super::*;
use support::network::Network;

/// As a hook has it that asks a server for a key (clevis, mandos, dropbear): the lease
/// that it takes stays when the root starts. In place of the script that resumes from a
/// swap space, which the image lacks.
const HOOK: (&str, &str) = (
    "/scripts/local-premount/resume",
    "#!/bin/sh\n[ \"$1\" = prereqs ] && exit\n. /scripts/functions\nconfigure_networking\n\
     cat /proc/net/fib_trie /proc/net/route >/run/leased\n",
);

/// One address, and a router that the context does not name.
const SERVED: [&str; 2] = [
    "--dhcp-range=10.18.1.50,10.18.1.50,600",
    "--dhcp-option=option:router,10.18.1.253",
];

/// The lease's address and its default route are removed, and that is said.
#[test]
#[ignore = "boots a machine"]
fn lease_of_a_hook() {
    let mut network = Network::new(&[1]);
    network.serve(&SERVED);
    let (machine, key) = with_one_nic(Image::InitramfsTools);
    let mut running = machine
        .program_in_initramfs(HOOK.0, HOOK.1)
        .kernel("ip=dhcp")
        .in_network(&network)
        .start();
    let ping = running.ping("10.18.1.1");
    let mut login = running.login("root", 1, &key);
    assert_one_nic(&mut login, "ens3");
    assert_nothing_failed(&mut login);
    // They were there, the gateway in hexadecimal digits, the last byte first.
    let leased = login.run("cat /run/leased");
    let default = "ens3\t00000000\tFD01120A\t";
    assert!(
        leased.contains(" 10.18.1.50\n") && leased.contains(default),
        "{leased}"
    );
    let report = login.run("cat /run/onecontext/report");
    for what in ["10.18.1.50/24", "0.0.0.0/0"] {
        let said = format!(
            "ETH0 (ens3): {what} is not in the context, another program of the initramfs has \
             set it: removed"
        );
        assert!(report.contains(&said), "{report}");
    }
    eprintln!("{}", ping.stop());
}
