//! `onecontext.network=`: which program sets up the network. The other files test
//! `auto`.

use crate::support::image::Image;
use crate::support::machine::{Inside, SHELL};
use crate::two_nics::*;

/// The kernel alone: the root's own tools get no files, and its resolv.conf stays. The
/// host name is set, and written, also if the root has none.
#[test]
#[ignore = "boots a machine"]
fn kernel() {
    let (machine, key) = machine(Image::InitramfsTools, &TWO_NICS);
    let mut running = machine
        .kernel("onecontext.network=kernel")
        .write("/etc/resolv.conf", "nameserver 192.0.2.1\n")
        .edit("rm /etc/hostname")
        .start();
    let mut login = running.login("root", 1, &key);

    assert_looks(&mut login);
    assert_eq!(resolv_conf(&mut login), ["nameserver 192.0.2.1"]);
    let names = login.run("hostname; cat /etc/hostname");
    assert_eq!(names, "web1\nweb1\n");
}

/// The manager alone: the initramfs does not touch the NICs.
#[test]
#[ignore = "boots a machine"]
fn handover() {
    let (machine, key) = machine(Image::With("networkd"), &TWO_NICS);
    let mut running = machine.kernel("onecontext.network=handover").start();
    let mut login = running.login("root", 1, &key);

    assert_online(&mut login, "systemd-networkd-wait-online.service");
    assert_looks(&mut login);
    let first = login.run("cat /run/first");
    assert!(!first.contains(" 10.18."), "{first}");
    let monitor = login.run("cat /run/monitor");
    assert!(monitor.contains(" 10.18.1.1/24 "), "{monitor}");
}

/// Neither: the manager uses its own configuration. Logins do not depend on this
/// parameter.
#[test]
#[ignore = "boots a machine"]
fn off() {
    let (machine, _) = machine(Image::With("networkd"), &TWO_NICS);
    let mut running = machine
        .kernel("onecontext.network=off")
        .kernel(SHELL)
        .start();
    let mut shell = running.shell();

    let ipv4 = || {
        let mut all = addresses(&mut shell);
        all.retain(|line| line.contains('.'));
        all
    };
    assert_comes(ipv4, &["ens3 10.18.1.15/24", "ens4 10.18.2.15/24"]);
    let ours = shell.run("ls -d /run/systemd/network/*onecontext* 2>/dev/null || true");
    assert_eq!(ours, "");
    let keys = shell.run("grep -c ecdsa-sha2 /root/.ssh/authorized_keys");
    assert_eq!(keys, "1\n");
    assert_eq!(shell.run("cat /proc/sys/kernel/hostname"), "web1\n");
}
