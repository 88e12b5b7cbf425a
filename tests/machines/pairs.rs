//! The machines of `support/rows.rs`, in which every possible pair of properties occurs:
//! each has two NICs and a context that says everything of them.

use crate::support::context::Key;
use crate::support::image::Image;
use crate::support::machine::{Drive, Firmware, Inside, Login, Machine};
use crate::support::rows::{Row, SEED, rows};
use crate::two_nics::*;

/// A boot for each of these rows, counted from 1.
macro_rules! rows {
    ($($name:ident $number:literal)*) => {
        boots! { $($name = boot(&rows(SEED)[$number - 1]);)* }

        /// The name of each row's boot.
        const BOOTS: &[&str] = &[$(stringify!($name)),*];
    };
}

rows! {
    row_01 1
    row_02 2
    row_03 3
    row_04 4
    row_05 5
    row_06 6
    row_07 7
    row_08 8
    row_09 9
    row_10 10
    row_11 11
    row_12 12
    row_13 13
    row_14 14
    row_15 15
    row_16 16
    row_17 17
    row_18 18
    row_19 19
    row_20 20
    row_21 21
    row_22 22
    row_23 23
    row_24 24
    row_25 25
    row_26 26
    row_27 27
    row_28 28
    row_29 29
    row_30 30
    row_31 31
    row_32 32
}

/// Each row has its boot. `tests/run/tiers` has those of suites that are not released
/// apart, and docs/tested.md has the table.
#[test]
fn each_row_has_its_boot() {
    let tiers = include_str!("../run/tiers");
    let document = include_str!("../../docs/tested.md");
    let rows = rows(SEED);
    assert_eq!(BOOTS.len(), rows.len());
    for (index, (name, row)) in BOOTS.iter().zip(&rows).enumerate() {
        assert_eq!(*name, format!("row_{:02}", index + 1));
        let tier = if row.is_released() {
            "matrix"
        } else {
            "unreleased"
        };
        let line = format!("{tier} pairs::{name}");
        assert!(tiers.lines().any(|one| one == line), "{line}");
        let line = format!("| {} | {} |", index + 1, row.values().join(" | "));
        assert!(document.lines().any(|one| one == line), "{line}");
    }
}

/// Boots a row, and checks the machine now and later.
fn boot(row: &Row) {
    let name: &'static str = row.image().leak();
    let image = match row.initramfs {
        "dracut without systemd" => Image::WithFewDrivers(name),
        _ => Image::With(name),
    };
    let (machine, key) = machine(image, &TWO_NICS);
    let disk = machine.folder().join("context.iso");
    let drive = match row.drive {
        "virtio-scsi" => Drive::VirtioScsi,
        "virtio-blk" => Drive::Virtio,
        "USB" => Drive::Usb,
        _ => Drive::Cdrom,
    };
    let (chip_set, nics) = match row.machine {
        "q35" => ("q35", ["enp0s3", "enp0s4"]),
        _ => ("pc", ["ens3", "ens4"]),
    };
    let firmware = match row.firmware {
        "UEFI" => Firmware::Uefi,
        _ => Firmware::Bios,
    };
    let model = match row.nic {
        "virtio-net" => "virtio-net-pci",
        other => other,
    };
    let machine = machine
        .without_disks()
        .disk(&disk, drive)
        .chip_set(chip_set)
        .first_nic(model)
        .firmware(firmware);
    let mut running = of_manager(machine, row.manager, nics).start();
    let mut login = running.login("root", 1, &key);

    assert_state(&mut login, row, nics, &key);
    login.run(LATER);
    assert_looks_named(&mut login, nics);
    assert_quiet(&mut login);
}

/// Turns the image of a manager into the row's variant.
fn of_manager(machine: Machine, manager: &str, [first, second]: [&str; 2]) -> Machine {
    match manager {
        "networkd" => {
            machine.edit("rm /etc/systemd/system/sysinit.target.wants/systemd-resolved.service")
        }
        "networkd, resolved" => {
            machine.edit("symlink /etc/resolv.conf ../run/systemd/resolve/stub-resolv.conf")
        }
        // The names that the installer would have found on this machine.
        "ifupdown" => machine
            .edit("rm /etc/network/interfaces")
            .edit("rm /etc/network/interfaces.d/second")
            .write(
                "/etc/network/interfaces",
                &format!(
                    "auto lo\niface lo inet loopback\n\n\
                     allow-hotplug {first}\niface {first} inet dhcp\n\
                     iface {first} inet6 auto\n\n\
                     auto {second}\niface {second} inet dhcp\n"
                ),
            ),
        _ => machine,
    }
}

fn assert_state(login: &mut Login, row: &Row, nics: [&str; 2], key: &Key) {
    match row.manager {
        "none" => {
            assert_eq!(login.booted(), "running\n");
            assert_no_failed_unit(login);
        }
        "NetworkManager" => assert_online(login, "NetworkManager-wait-online.service"),
        "ifupdown" => assert_online(login, "networking.service"),
        _ => assert_online(login, "systemd-networkd-wait-online.service"),
    }
    assert_looks_named(login, nics);
    let servers = resolv_conf(login);
    match row.manager {
        "networkd, resolved" => assert_eq!(servers[0], "nameserver 127.0.0.53"),
        _ => assert_eq!(servers, RESOLV_CONF),
    }
    assert_eq!(login.run("cat /proc/sys/kernel/hostname"), "web1\n");
    let keys = login.run("cat /root/.ssh/authorized_keys");
    assert!(keys.lines().any(|line| line == key.public), "{keys}");
    // The machine is the one that the row describes.
    let driver = login.run(&format!(
        "basename $(readlink /sys/class/net/{}/device/driver)",
        nics[0]
    ));
    let expected = match row.nic {
        "virtio-net" => "virtio_net",
        "rtl8139" => "8139cp",
        other => other,
    };
    assert_eq!(driver.trim(), expected);
    let uefi = login.run("test -d /sys/firmware/efi && echo UEFI || echo BIOS");
    assert_eq!(uefi.trim(), row.firmware);
    let is_cloud = login.run("uname -r").contains("-cloud-");
    assert_eq!(is_cloud, row.kernel == "cloud");
}

/// `LOOKS`, with other names of the NICs.
fn assert_looks_named(login: &mut Login, [first, second]: [&str; 2]) {
    let named = LOOKS.map(|lines| {
        let mut lines: Vec<_> = lines
            .iter()
            .map(|line| line.replace("ens3", first).replace("ens4", second))
            .collect();
        lines.sort();
        lines
    });
    assert_eq!(
        [addresses(login), routes(login, 4), routes(login, 6)],
        named
    );
    let mtu = login.run(&format!(
        "cat /sys/class/net/{first}/mtu /sys/class/net/{second}/mtu"
    ));
    assert_eq!(mtu, "1500\n1450\n");
}
