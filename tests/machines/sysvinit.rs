//! ifupdown with sysvinit as init: no units, no tmpfiles, and no sshd host keys but
//! those of the image.

use crate::support::context::Key;
use crate::support::image::Image;
use crate::support::machine::{Inside, Login, Machine};
use crate::two_nics::*;
use std::fs;

#[test]
#[ignore = "boots a machine"]
fn stanzas_of_the_root() {
    let (machine, key) = machine(Image::With("sysvinit"), &TWO_NICS);
    let mut running = with_host_key(machine).start();
    let mut login = running.login("root", 1, &key);

    assert_up(&mut login);
    assert_looks_now_and_later(&mut login);
    assert_eq!(resolv_conf(&mut login), RESOLV_CONF);
    assert_eq!(login.run("hostname; cat /etc/hostname"), "web1\nweb1\n");
    assert_eq!(
        login.run("ifquery --state | sort; pgrep -c dhclient || true"),
        "ens3=ens3\nens4=ens4\nlo=lo\n0\n"
    );
    assert_quiet(&mut login);
    login.run("ifdown ens4 && ifup ens4");
    assert_looks(&mut login);
}

/// A root that must not be written: copies are mounted over the image's files.
#[test]
#[ignore = "boots a machine"]
fn dhcp_and_a_root_that_is_not_written() {
    let (machine, key) = machine(Image::With("sysvinit"), &BY_DHCP);
    let mut running = with_host_key(machine)
        .kernel("onecontext.root=ro")
        .write("/root/.ssh/authorized_keys", "")
        .start();
    let mut login = running.login("root", 1, &key);

    assert_up(&mut login);
    login.run(LATER);
    assert_by_dhcp(&mut login);
    let target = |file| format!("findmnt -n -o TARGET -T {file}; cat {file}; ");
    assert_eq!(
        login.run(&format!("hostname; {}", target("/etc/hostname"))),
        "web1\n/etc/hostname\nweb1\n"
    );
    let keys = login.run(&target("/root/.ssh/authorized_keys"));
    assert!(keys.starts_with("/root/.ssh/authorized_keys\n"), "{keys}");
    assert!(keys.contains(&key.public), "{keys}");
    assert_quiet(&mut login);
}

/// The first NIC as the context lists it, the second by DHCP and router advertisements.
const BY_DHCP: [(&str, &str); 9] = [
    ("ETH0_GATEWAY", "10.18.1.254"),
    ("ETH0_IP", "10.18.1.1"),
    ("ETH0_IP6", "2001:db8:1::a"),
    ("ETH0_MAC", MAC1),
    ("ETH0_MASK", "255.255.255.0"),
    ("ETH1_IP6_METHOD", "auto"),
    ("ETH1_MAC", MAC2),
    ("ETH1_METHOD", "dhcp"),
    ("SET_HOSTNAME", "web1"),
];

/// QEMU's own servers have answered.
fn assert_by_dhcp(login: &mut Login) {
    assert_comes(
        || addresses(login),
        &[
            "ens3 10.18.1.1/24",
            "ens3 2001:db8:1::a/64",
            "ens3 fe80::aff:fe12:101/64",
            "ens4 10.18.2.15/24",
            "ens4 2001:db8:2::aff:fe12:201/64",
            "ens4 fe80::aff:fe12:201/64",
        ],
    );
    // The context's default route comes first; each NIC has at most one.
    let default = |line: &String| line.starts_with("default");
    let ipv4: Vec<_> = routes(login, 4).into_iter().filter(default).collect();
    assert_eq!(ipv4[0], "default via 10.18.1.254 dev ens3");
    assert!(ipv4.len() <= 2, "{ipv4:?}");
    let ipv6: Vec<_> = routes(login, 6).into_iter().filter(default).collect();
    assert!(ipv6.len() == 1 && ipv6[0].contains("ens4"), "{ipv6:?}");
    // The manager does this work, and nobody misses it.
    assert_no_problem(login);
}

/// Adds a host key, which nothing here makes, and an init that logs changes of
/// addresses and routes and then starts sysvinit.
fn with_host_key(machine: Machine) -> Machine {
    let host = Key::new(machine.folder().join("host"));
    machine
        .write(
            "/etc/ssh/ssh_host_ecdsa_key",
            &fs::read_to_string(host.file).unwrap(),
        )
        .write(
            "/monitor",
            "#!/bin/sh\n/bin/ip monitor address route >/run/monitor &\nexec /sbin/init\n",
        )
        .edit("set_inode_field /monitor mode 0100755")
        .kernel("init=/monitor")
}

/// All scripts of the boot have ended, the network's among them.
fn assert_up(login: &mut Login) {
    login.wait("until runlevel | grep -q 2; do sleep 1; done");
    assert_eq!(
        login.run("cat /proc/1/comm; runlevel; /etc/init.d/ssh status"),
        "init\nN 2\nsshd is running.\n"
    );
    let interfaces = "/etc/network/interfaces";
    assert_eq!(
        login.run(&format!("findmnt -n -o TARGET -T {interfaces}")),
        format!("{interfaces}\n")
    );
}
