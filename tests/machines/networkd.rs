//! systemd-networkd, alone and with systemd-resolved.

use crate::reachability::watched;
use crate::support::image::Image;
use crate::support::machine::{Inside, Login};
use crate::two_nics::*;

#[test]
#[ignore = "boots a machine"]
fn with_resolved() {
    let (machine, key) = machine(Image::With("networkd"), &TWO_NICS);
    let mut running = machine
        .edit("symlink /etc/resolv.conf ../run/systemd/resolve/stub-resolv.conf")
        .start();
    let mut login = running.login("root", 1, &key);

    assert_online(&mut login, "systemd-networkd-wait-online.service");
    assert_looks_now_and_later(&mut login);
    assert_networkd_uses(&mut login, "ens3", "eth0");
    assert_eq!(
        login.run("resolvectl dns"),
        "Global: 9.9.9.9\nLink 2 (ens3): 10.18.1.253 2001:db8:1::fd\n\
         Link 3 (ens4): 10.18.2.253\n"
    );
    assert_eq!(
        login.run("resolvectl domain"),
        "Global:\nLink 2 (ens3): example.org\nLink 3 (ens4): b.example.org\n"
    );
    assert_eq!(resolv_conf(&mut login)[0], "nameserver 127.0.0.53");
    assert_quiet(&mut login);
}

/// As in published images that were never started: no link enables networkd, but
/// Debian's preset does at the first boot.
#[test]
#[ignore = "boots a machine"]
fn by_preset() {
    let (machine, key) = machine(Image::With("networkd"), &TWO_NICS);
    let mut running = machine
        .edit("rm /etc/systemd/system/multi-user.target.wants/systemd-networkd.service")
        .edit("rm /etc/systemd/system/sockets.target.wants/systemd-networkd.socket")
        .edit("rm /etc/machine-id")
        .kernel("rw")
        .start();
    let mut login = running.login("root", 1, &key);

    assert_online(&mut login, "systemd-networkd-wait-online.service");
    assert_looks_now_and_later(&mut login);
    for (nic, file) in [("ens3", "eth0"), ("ens4", "eth1")] {
        assert_networkd_uses(&mut login, nic, file);
    }
    let links = "ls /etc/systemd/system/*.wants/systemd-networkd.*";
    assert_eq!(login.run(links).lines().count(), 2);
    assert_quiet(&mut login);
}

#[test]
#[ignore = "boots a machine"]
fn between_routers() {
    // Debian installs resolved only on request.
    let mut watched = watched(Image::With("networkd"), UNIT, |machine| {
        machine.edit("rm /etc/systemd/system/sysinit.target.wants/systemd-resolved.service")
    });
    for (nic, file) in [("ens3", "eth0"), ("ens4", "eth1"), ("ens5", "eth2")] {
        assert_networkd_uses(&mut watched.login, nic, file);
    }
}

pub const UNIT: &str = "systemd-networkd.service";

pub fn assert_networkd_uses(login: &mut Login, nic: &str, file: &str) {
    let status = login.run(&format!("networkctl status {nic}"));
    let file = format!("Network File: /run/systemd/network/00-onecontext-{file}.network");
    assert!(status.contains(&file), "{status}");
    assert!(status.contains("(configured)"), "{status}");
}
