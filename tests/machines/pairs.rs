//! The machines of `support/pairs.rs`: each has two NICs and a context that says
//! everything of them. `make test-pairs` boots them one after the other, and writes the
//! results into docs/tested.md.

use crate::support::context::Key;
use crate::support::image::Image;
use crate::support::machine::{Drive, Firmware, Inside, Login, Machine};
use crate::support::pairs::{COLUMNS, Row, SEED, rows};
use crate::support::top;
use crate::two_nics::*;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// The numbers of the rows to boot, separated by blanks; all, if it is unset or empty.
const CHOICE: &str = "PAIRS";

#[test]
#[ignore = "boots a machine"]
fn every_pair() {
    let rows = rows(SEED);
    println!("{} machines, seed {SEED}:", rows.len());
    for (index, row) in rows.iter().enumerate() {
        println!("{} | {}", index + 1, row.values().join(" | "));
    }
    let choice = std::env::var(CHOICE).unwrap_or_default();
    let chosen: Vec<usize> = match choice.trim() {
        "" => (1..=rows.len()).collect(),
        numbers => numbers
            .split_whitespace()
            .map(|number| number.parse().expect(CHOICE))
            .collect(),
    };
    let mut failed = Vec::new();
    for number in chosen {
        let row = rows[number - 1];
        // Named after the row, for its console's log.
        let boot = std::thread::Builder::new().name(format!("pairs::row_{number}"));
        let result = boot.spawn(move || boots(&row)).unwrap().join();
        let text = result.unwrap_or_else(|_| {
            failed.push(number);
            "FAILED |".to_string()
        });
        println!("{number} | {} | {text}", row.values().join(" | "));
        let file = kept(&row);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        write_table(&rows);
    }
    assert!(failed.is_empty(), "rows that failed: {failed:?}");
}

/// Where the result of a row is kept, until it is booted again.
fn kept(row: &Row) -> PathBuf {
    let name = row.values().join("+").replace([' ', ','], "-");
    top().join("target/pairs").join(name)
}

/// Boots a row, checks the machine now and half a minute later, and returns the
/// versions and the time to the login.
fn boots(row: &Row) -> String {
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
    let took = login.took.as_secs();

    assert_state(&mut login, row, nics, &key);
    // Long enough for unwanted changes to happen.
    login.run("sleep 30");
    assert_looks_named(&mut login, nics);
    assert_quiet(&mut login);
    format!("{} | {took} s", versions(&mut login, row))
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

/// The versions of the kernel, of the generator of the initramfs, and of the manager.
fn versions(login: &mut Login, row: &Row) -> String {
    let generator = match row.initramfs {
        "initramfs-tools" => "initramfs-tools",
        _ => "dracut",
    };
    let manager = match row.manager {
        "none" => "",
        "NetworkManager" => "network-manager",
        "ifupdown" => "ifupdown isc-dhcp-client dhcpcd-base",
        "netplan" => "netplan.io systemd",
        _ => "systemd",
    };
    let kernel = login.run("uname -r");
    let query = "dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n'";
    let packages = login.run(&format!("{query} {generator} {manager} 2>/dev/null; true"));
    let there = packages
        .lines()
        .filter_map(|line| line.strip_prefix("ii  "));
    let all: Vec<_> = [kernel.trim()].into_iter().chain(there).collect();
    all.join(", ")
}

const BEGIN: &str = "<!-- pairs: what `make test-pairs` has written begins here -->\n";
const END: &str = "<!-- pairs: and ends here -->\n";

/// Writes the table with the kept result of each row.
fn write_table(rows: &[Row]) {
    let mut table = "| |".to_string();
    for (name, _) in COLUMNS {
        write!(table, " {name} |").unwrap();
    }
    table += " versions | login after |\n|";
    table += &"---|".repeat(COLUMNS.len() + 3);
    table += "\n";
    for (index, row) in rows.iter().enumerate() {
        let result = fs::read_to_string(kept(row));
        let result = result.unwrap_or_else(|_| "not booted |".to_string());
        let values = row.values().join(" | ");
        writeln!(table, "| {} | {values} | {result} |", index + 1).unwrap();
    }
    let file = top().join("docs/tested.md");
    let old = fs::read_to_string(&file).unwrap();
    let (before, rest) = old.split_once(BEGIN).expect("the table's begin");
    let (_, after) = rest.split_once(END).expect("the table's end");
    fs::write(file, format!("{before}{BEGIN}\n{table}\n{END}{after}")).unwrap();
}
