//! A NIC whose driver is not in the initramfs: the manager alone sets it up.

use crate::support::image::Image;
use crate::support::machine::Inside;
use crate::two_nics::*;

#[test]
#[ignore = "boots a machine"]
fn missing_in_the_initramfs() {
    let image = Image::With("networkd");
    let (machine, key) = machine(image, &TWO_NICS);
    let list = image.list();
    let driver = list.lines().find(|line| line.ends_with("/e1000.ko"));
    let mut running = machine
        .first_nic("e1000")
        .link_in_initramfs(driver.unwrap(), "missing")
        .start();
    let mut login = running.login("root", 1, &key);

    assert_eq!(
        login.run("basename $(readlink /sys/class/net/ens3/device/driver)"),
        "e1000\n"
    );
    assert_online(&mut login, "systemd-networkd-wait-online.service");
    assert_looks_now_and_later(&mut login);
    // The other NIC was set up before the root was entered.
    let first = login.run("cat /run/first");
    assert!(first.contains(" 10.18.2.1/24 "), "{first}");
    assert!(!first.contains(" 10.18.1.1/24 "), "{first}");
    // The report says that this NIC was missing.
    let report = login.run("cat /run/onecontext/report");
    let missing = format!("ETH0 ({MAC1})");
    assert!(report.contains(&missing), "{report}");
}
