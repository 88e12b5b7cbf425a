//! Real Debian machines without any cloud agent boot with a context disk; the tests log
//! in with the context's key at the context's address. They check facts inside the
//! machine, not what a log says. Other machines have a network manager that would do DHCP
//! on every NIC: it takes over the kernel's configuration, and no other address or route
//! ever appears; there is a file for each manager, and some for what concerns several.
//!
//! Each is `#[ignore]`d, and in one of the tiers of `tests/run/tiers`.

#[path = "../support/figures.rs"]
mod figures;
#[path = "../support/random.rs"]
mod random;
#[path = "../support/release.rs"]
mod release;
mod support;

/// Boots by name, each a test: `NAME = EXPRESSION;`.
macro_rules! boots {
    ($($(#[$document:meta])* $name:ident = $boot:expr;)*) => {
        $(
            $(#[$document])*
            #[test]
            #[ignore = "boots a machine"]
            fn $name() {
                $boot;
            }
        )*
    };
}

mod cloud_init;
mod cost;
mod dhcp;
mod dhcpcd;
mod driver;
mod early;
mod early_managers;
mod ifupdown;
mod left_behind;
mod netplan;
mod network_manager;
mod networkd;
mod none;
mod packages;
mod pairs;
mod parameters;
mod ports;
mod reachability;
mod roots;
mod scripts;
mod shared_gateway;
mod sysvinit;
mod two_nics;
mod users;

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::context::{Key, Writer, iso, opennebula, stratuslab};
use support::image::Image;
use support::machine::{Drive, Format, Inside, Login, Machine, Own, Running, SHELL};
use support::progress::Boot;
use support::tiers::assert_each_boot_has_one_tier;
use support::{run, top};
use two_nics::{MAC1, MAC2, route, text};

const MAC3: &str = "02:00:0a:12:03:01";

#[test]
fn each_boot_has_one_tier() {
    assert_each_boot_has_one_tier();
}

// ---------------------------------------------------------------------------
// OpenNebula

/// One NIC and one key, in a context with everything that readers stumble over.
fn one_nic(key: &str) -> String {
    opennebula(&[
        ("DISK_ID", "1"),
        ("ETH0_DNS", "10.18.1.253"),
        ("ETH0_GATEWAY", "10.18.1.254"),
        ("ETH0_IP", "10.18.1.1"),
        ("ETH0_IP6", "2001:db8:1::a"),
        ("ETH0_IP6_GATEWAY", "2001:db8:1::ff"),
        ("ETH0_IP6_PREFIX_LENGTH", "64"),
        ("ETH0_MAC", &MAC1.to_uppercase()),
        ("ETH0_MASK", "255.255.255.0"),
        ("ETH0_MTU", "1450"),
        ("ETH0_NETWORK", "10.18.1.0"),
        ("ETH0_SEARCH_DOMAIN", "example.org"),
        ("ETH0_VLAN_ID", ""),
        ("NETWORK", "YES"),
        ("SET_HOSTNAME", "web1.example.org"),
        // A key from Windows.
        ("SSH_PUBLIC_KEY", &format!("{key}\r\n")),
        ("TARGET", "hda"),
        // Breaks a reader that lets a shell source this file.
        ("PATH", "/nonexistent"),
        // Text that looks like a second NIC.
        (
            "NOTE",
            "it's\nETH1_MAC=02:00:0a:12:01:01\nETH1_IP=10.18.9.9\n",
        ),
    ])
}

/// Boots with `one_nic`, logs in as root, and checks everything in it.
fn opennebula_one_nic(image: Image, change: impl FnOnce(Machine) -> Machine) -> (Running, Login) {
    let (machine, key) = with_one_nic(image);
    let mut running = change(machine).start();
    let mut login = running.login("root", 1, &key);

    assert_one_nic(&mut login, "ens3");
    assert_knows_its_name(&mut login);
    assert_root_is_as_fstab_says(&mut login);
    assert_eq!(root_keys(&mut login), [key.public.as_str()]);
    assert_nothing_failed(&mut login);
    (running, login)
}

/// Checks what `one_nic` asks for, on the device `nic`.
fn assert_one_nic(inside: &mut impl Inside, nic: &str) {
    assert_eq!(nics(inside), [nic]);
    assert_eq!(addresses(inside, "-4", nic), ["10.18.1.1/24"]);
    // None from router advertisements, which QEMU sends.
    assert_eq!(addresses(inside, "-6", nic), ["2001:db8:1::a/64"]);
    assert_eq!(
        routes(inside),
        [
            format!("10.18.1.0/24 dev {nic}"),
            format!("default via 10.18.1.254 dev {nic}"),
        ]
    );
    assert_eq!(
        default_routes_6(inside),
        [format!("default via 2001:db8:1::ff dev {nic} metric 1024")]
    );
    assert_eq!(link(inside, nic)["mtu"], 1450);
    assert_eq!(
        resolv_conf(inside),
        ["nameserver 10.18.1.253", "search example.org"]
    );
    assert_eq!(
        inside.run("cat /proc/sys/kernel/hostname /etc/hostname"),
        "web1.example.org\nweb1.example.org\n"
    );
}

/// The machine resolves its own name without DNS, where no server answers.
fn assert_knows_its_name(login: &mut impl Inside) {
    let own_line = "10.18.1.1 web1.example.org web1 # onecontext\n";
    assert_eq!(login.run("grep web1 /etc/hosts"), own_line);
    // Not `getent hosts`, which asks for an IPv6 address alone, and then DNS.
    let asked = "timeout 3 hostname -f; timeout 3 getent ahosts web1 | cut -d ' ' -f 1 | uniq";
    assert_eq!(login.run(asked), "web1.example.org\n10.18.1.1\n");
}

boots! {
    /// The image has no resolv.conf.
    opennebula_one_nic_initramfs_tools = opennebula_one_nic(Image::InitramfsTools, |machine| machine);
    /// The image has a resolv.conf of its own.
    opennebula_one_nic_dracut = opennebula_one_nic(Image::Dracut, |machine| {
        machine.write("/etc/resolv.conf", "nameserver 192.0.2.1\n")
    });
    /// Its resolv.conf is a link to a file that no program makes.
    opennebula_one_nic_dracut_without_systemd = opennebula_one_nic(Image::DracutWithoutSystemd, |machine| {
        machine.edit("symlink /etc/resolv.conf ../run/resolvconf/resolv.conf")
    });
}

/// How Debian 13 starts sshd, and which unit makes its host keys, by the units' states.
const SSH_OF_DEBIAN_13: &str = "systemctl show -P ActiveState \
    ssh.service ssh.socket sshd-keygen.service onecontext-hostkeys.service | xargs; \
    systemctl is-enabled ssh.service ssh.socket | xargs; \
    journalctl -b -o cat --no-pager -u sshd-keygen -u onecontext-hostkeys | grep -c generating";

/// An image with an empty machine-id, as most are published, has no first boot
/// (machine-id(5)), so Debian's own unit makes no host keys.
#[test]
#[ignore = "boots a machine"]
fn debian13_initramfs_tools() {
    let image = Image::Debian13InitramfsTools;
    let (_running, mut login) = opennebula_one_nic(image, |machine| machine);
    assert_eq!(
        login.run(SSH_OF_DEBIAN_13),
        "active inactive inactive active\nenabled disabled\n1\n"
    );
}

/// An image without a machine-id has a first boot: both units would make host keys, and
/// the first one to run does.
#[test]
#[ignore = "boots a machine"]
fn debian13_dracut() {
    let (_running, mut login) = opennebula_one_nic(Image::Debian13Dracut, |machine| {
        machine.edit("rm /etc/machine-id")
    });
    assert_eq!(
        login.run(SSH_OF_DEBIAN_13),
        "active inactive active active\nenabled disabled\n1\n"
    );
}

/// aarch64 on the machine type `virt`, which has PCIe alone; the context disk is a
/// cdrom behind a SCSI controller.
#[test]
#[ignore = "boots a machine"]
fn debian13_aarch64() {
    let (machine, key) = machine(Image::Debian13Aarch64);
    let disk = disk(&machine, Writer::Genisoimage, &one_nic(&key.public));
    let mut running = machine.nic(MAC1, 1).disk(&disk, Drive::VirtioScsi).start();
    let mut login = running.login("root", 1, &key);

    assert_eq!(login.run("uname -m"), "aarch64\n");
    assert_one_nic(&mut login, "enp0s3");
    assert_knows_its_name(&mut login);
    assert_root_is_as_fstab_says(&mut login);
    assert_eq!(root_keys(&mut login), [key.public.as_str()]);
    assert_nothing_failed(&mut login);
}

/// The controller that libvirt chooses if a template has `DEV_PREFIX=sd` and no model,
/// as OpenNebula's did for long. Few drivers besides those of our hook.
#[test]
#[ignore = "boots a machine"]
fn opennebula_on_lsi_scsi() {
    let (machine, key) = machine(Image::InitramfsToolsFewDrivers);
    let disk = disk(&machine, Writer::Genisoimage, &one_nic(&key.public));
    let mut running = machine.nic(MAC1, 1).disk(&disk, Drive::LsiScsi).start();
    let mut login = running.login("root", 1, &key);

    assert_one_nic(&mut login, "ens3");
}

/// The kernel's first NIC is the context's second, and the key is for a user.
#[test]
#[ignore = "boots a machine"]
fn opennebula_two_nics_in_another_order() {
    let (machine, key) = machine(Image::InitramfsTools);
    let text = opennebula(&[
        ("DNS", "10.18.1.253"),
        ("ETH0_GATEWAY", "10.18.1.254"),
        ("ETH0_IP", "10.18.1.1"),
        ("ETH0_MAC", MAC1),
        ("ETH0_MASK", "255.255.255.0"),
        ("ETH1_GATEWAY", "10.18.2.254"),
        ("ETH1_IP", "10.18.2.1"),
        ("ETH1_MAC", MAC2),
        ("ETH1_MASK", "255.255.255.0"),
        ("SSH_PUBLIC_KEY", &key.public),
        ("USERNAME", "alice"),
    ]);
    let disk = disk(&machine, Writer::Xorriso, &text);
    let mut running = machine
        .nic(MAC2, 2)
        .nic(MAC1, 1)
        .disk(&disk, Drive::Cdrom)
        .start();
    let mut first = running.login("alice", 1, &key);
    let mut second = running.login("alice", 2, &key);

    assert_eq!(nics(&mut first), ["ens3", "ens4"]);
    assert_eq!(link(&mut first, "ens3")["address"], MAC2);
    assert_eq!(addresses(&mut second, "-4", "ens3"), ["10.18.2.1/24"]);
    assert_eq!(addresses(&mut second, "-4", "ens4"), ["10.18.1.1/24"]);
    assert_eq!(
        routes(&mut first),
        [
            "10.18.1.0/24 dev ens4",
            "10.18.2.0/24 dev ens3",
            "default via 10.18.1.254 dev ens4",
            "default via 10.18.2.254 dev ens3 metric 1",
        ]
    );
    assert_eq!(
        first.run("stat -c '%a %U %G' ~/.ssh ~/.ssh/authorized_keys"),
        "700 alice alice\n600 alice alice\n"
    );
    assert_eq!(first.run("cat /proc/sys/kernel/hostname"), "image\n");
}

/// A device that is passed through; its addresses belong to a VLAN on it.
fn vlan_of_a_passed_through_device(image: Image) {
    let (machine, key) = machine(image);
    let text = opennebula(&[
        ("ETH0_IP", "10.18.1.1"),
        ("ETH0_MAC", MAC1),
        ("PCI1_ADDRESS", "00:04.0"),
        ("PCI1_IP", "10.30.1.1"),
        ("PCI1_IP6", "2001:db8:30::1"),
        ("PCI1_GATEWAY", "10.30.1.254"),
        ("PCI1_MAC", MAC3),
        ("PCI1_VLAN_ID", "30"),
        ("SSH_PUBLIC_KEY", &key.public),
    ]);
    let disk = disk(&machine, Writer::Xorriso, &text);
    // The second NIC has another MAC than the context says. It is found by its place on
    // the bus, and then gets the context's MAC.
    let mut running = machine
        .nic(MAC1, 1)
        .nic(MAC2, 2)
        .disk(&disk, Drive::Cdrom)
        .start();
    let mut inside = running.login("root", 1, &key);

    assert_eq!(addresses(&mut inside, "-4", "ens3"), ["10.18.1.1/24"]);
    assert!(addresses(&mut inside, "-4", "ens4").is_empty());
    assert_eq!(link(&mut inside, "ens4")["address"], MAC3);
    let vlan = inside.json("ip -json -details link show dev ens4.30");
    assert_eq!(vlan[0]["linkinfo"]["info_kind"], "vlan");
    assert_eq!(vlan[0]["linkinfo"]["info_data"]["id"], 30);
    assert_eq!(vlan[0]["link"], "ens4");
    assert_eq!(addresses(&mut inside, "-4", "ens4.30"), ["10.30.1.1/24"]);
    let all = addresses(&mut inside, "-6", "ens4.30");
    assert!(all.contains(&"2001:db8:30::1/64".to_string()), "{all:?}");
    assert_eq!(
        routes(&mut inside),
        [
            "10.18.1.0/24 dev ens3",
            "10.30.1.0/24 dev ens4.30",
            "default via 10.30.1.254 dev ens4.30",
        ]
    );
}

#[test]
#[ignore = "boots a machine"]
fn vlan_initramfs_tools() {
    vlan_of_a_passed_through_device(Image::InitramfsTools);
}

// ---------------------------------------------------------------------------
// StratusLab

/// Three NICs by position, two files, two keys beside an existing one.
fn stratuslab_three_nics(
    image: Image,
    label: Option<&str>,
    attach: impl FnOnce(Machine, &PathBuf) -> Machine,
) {
    let (machine, key) = machine(image);
    let remote = Key::new(machine.folder().join("remote"));
    let context = stratuslab(&[
        ("IP_PRIVATE", "10.18.1.1"),
        ("NETMASK_PRIVATE", "/16"),
        ("IP_PUBLIC", "10.18.2.1"),
        ("NETMASK_PUBLIC", "/24"),
        ("IP_EXTRA", "10.18.3.1"),
        ("NETMASK_EXTRA", "/24"),
        ("PUBLIC_KEY", &format!("{}\n", key.public)),
        // The client's list separator in place of the padding.
        ("STRATUSLAB_REMOTE_KEY", &remote.public.replace('=', "#")),
        ("TARGET", "hdc"),
    ]);
    let configuration = stratuslab(&[
        ("DEFAULT_GATEWAY", "10.18.2.254"),
        ("GLOBAL_NETWORK", "192.168.0.0"),
        ("GLOBAL_NETMASK", "16"),
        // The second file wins.
        ("NETMASK_PRIVATE", "/24"),
    ]);
    let path = machine.folder().join("context.iso");
    let files = [
        ("configuration.sh", configuration.as_str()),
        ("context.sh", context.as_str()),
        ("init.sh", "exit 1\n"),
    ];
    iso(&path, Writer::Genisoimage, label, &files);
    // As an image has it that was saved from an instance of cloud-init.
    let refuse = "no-port-forwarding,command=\"echo 'Please login as the user debian'\"";
    let refuse = format!("{refuse} {}", key.public);
    let own = format!("# the image's own\n{refuse}\n");
    let machine = machine
        .nic(MAC1, 1)
        .nic(MAC2, 2)
        .nic(MAC3, 3)
        .write("/root/.ssh/authorized_keys", &own);
    let mut running = attach(machine, &path).start();
    let mut login = running.login("root", 2, &key);

    assert_eq!(nics(&mut login), ["ens3", "ens4", "ens5"]);
    assert_eq!(addresses(&mut login, "-4", "ens3"), ["10.18.1.1/24"]);
    assert_eq!(addresses(&mut login, "-4", "ens4"), ["10.18.2.1/24"]);
    assert_eq!(addresses(&mut login, "-4", "ens5"), ["10.18.3.1/24"]);
    assert_eq!(
        routes(&mut login),
        [
            "10.18.1.0/24 dev ens3",
            "10.18.2.0/24 dev ens4",
            "10.18.3.0/24 dev ens5",
            "192.168.0.0/16 dev ens3",
            "default via 10.18.2.254 dev ens4",
        ]
    );
    assert_eq!(
        resolv_conf(&mut login),
        ["nameserver 208.67.222.222", "nameserver 208.67.220.220"]
    );
    let keys = [&*key.public, &*remote.public, &refuse];
    assert_eq!(root_keys(&mut login), keys);
    // The shell that ran all this is there because the context's line comes first.
    assert_eq!(login.run("tail -n 2 /root/.ssh/authorized_keys"), own);
    assert_root_is_as_fstab_says(&mut login);

    // The other key is accepted as well, at another address.
    running.login("root", 3, &remote);
}

#[test]
#[ignore = "boots a machine"]
fn stratuslab_second_drive() {
    stratuslab_three_nics(Image::Dracut, Some("_STRATUSLAB"), |machine, disk| {
        let other = machine.folder().join("other.iso");
        let files = [("README", "not a context\n")];
        iso(&other, Writer::Genisoimage, Some("CDROM"), &files);
        machine
            .disk(&other, Drive::Cdrom)
            .disk(disk, Drive::SecondCdrom)
    });
}

#[test]
#[ignore = "boots a machine"]
fn stratuslab_virtio_disk() {
    stratuslab_three_nics(Image::DracutWithoutSystemd, None, |machine, disk| {
        machine.disk(disk, Drive::Virtio)
    });
}

// ---------------------------------------------------------------------------
// What the image brings

/// sshd is installed but not enabled. It is started for this boot only.
#[test]
#[ignore = "boots a machine"]
fn sshd_not_enabled() {
    let (machine, key) = with_one_nic(Image::Dracut);
    let mut running = machine
        .edit("rm /etc/systemd/system/sshd.service")
        .edit("rm /etc/systemd/system/multi-user.target.wants/ssh.service")
        .start();
    let mut login = running.login("root", 1, &key);

    let enabled = login.run("find /etc/systemd -name 'ssh*.service'");
    assert_eq!(enabled, "");
    assert_nothing_failed(&mut login);
}

/// A root that fstab wants read-only is read-only again after the key was written. The
/// image's host keys stay, and no others are added.
#[test]
#[ignore = "boots a machine"]
fn read_only_root_with_host_keys() {
    let (machine, key) = with_one_nic(Image::InitramfsTools);
    let host_key = std::fs::read_to_string(&key.file).unwrap();
    let path = "/etc/ssh/ssh_host_ecdsa_key";
    let mut running = machine
        .write(path, &host_key)
        .edit("rm /etc/fstab")
        .write("/etc/fstab", "LABEL=root / ext4 ro 0 1\n")
        .start();
    let mut login = running.login("root", 1, &key);

    let options = login.run("findmnt -n -o OPTIONS /");
    assert!(options.starts_with("ro,"), "{options}");
    assert_eq!(login.run(&format!("cat {path}")), host_key);
    assert_eq!(login.run("ls /etc/ssh/ssh_host_*"), format!("{path}\n"));
}

/// A root on a read-only drive, as immutable images have it, with files to mount over.
/// Everything of the context is still applied.
#[test]
#[ignore = "boots a machine"]
fn root_that_cannot_be_written() {
    let (machine, key) = with_one_nic(Image::InitramfsTools);
    let host_key = std::fs::read_to_string(&key.file).unwrap();
    let mut running = machine
        .read_only()
        .write("/etc/ssh/ssh_host_ecdsa_key", &host_key)
        .write("/etc/hosts", "127.0.0.1 localhost\n")
        .write("/etc/resolv.conf", "nameserver 192.0.2.1\n")
        .write("/root/.ssh/authorized_keys", "# the image's own\n")
        .edit("rm /etc/fstab")
        .write("/etc/fstab", "LABEL=root / ext4 ro 0 0\n")
        .start();
    let mut login = running.login("root", 1, &key);

    assert_one_nic(&mut login, "ens3");
    assert_eq!(root_keys(&mut login), [key.public.as_str()]);
    assert_eq!(
        login.run("findmnt -n -o TARGET -R / | grep -o '/\\(etc\\|root\\)/.*' | sort"),
        // The second is systemd's own.
        "/etc/hostname\n/etc/hosts\n/etc/machine-id\n/etc/resolv.conf\n\
         /root/.ssh/authorized_keys\n"
    );
    assert_knows_its_name(&mut login);
    let options = login.run("findmnt -n -o OPTIONS /");
    assert!(options.starts_with("ro,"), "{options}");
}

/// A root file system that takes no writes, without host keys, as such images are
/// published. sshd gets its own keys and accepts those of the context as well as those
/// of the image.
fn immutable_root(image: Image, format: Format, own: Own) {
    let (machine, key) = machine(image);
    let disk = disk(&machine, Writer::Genisoimage, &one_nic(&key.public));
    let mut running = machine
        .immutable(format, own)
        .nic(MAC1, 1)
        .disk(&disk, Drive::Cdrom)
        .start();
    let mut login = running.login("root", 1, &key);

    let kind = login.run("findmnt -n -r -o FSTYPE,OPTIONS /");
    let expected = format!("{} ro,", format.name());
    assert!(kind.starts_with(&expected), "{kind}");
    assert_eq!(addresses(&mut login, "-4", "ens3"), ["10.18.1.1/24"]);
    assert_eq!(
        login.run("cat /proc/sys/kernel/hostname /etc/hostname"),
        "web1.example.org\nweb1.example.org\n"
    );
    let host_keys = login.run("ls /etc/ssh/ssh_host_*_key");
    assert!(host_keys.contains("/ssh_host_ed25519_key\n"), "{host_keys}");
    if let Own::Keys = own {
        let keys = login.run("cat /root/.ssh/authorized_keys");
        assert!(keys.contains("\n# the image's own\n"), "{keys}");
        running.login("root", 1, &image.own_key());
    }
    // The same without a context. systemd-logind needs a directory in /var/lib.
    login.booted();
    let failed = login.run("systemctl --failed --plain --no-legend | cut -d ' ' -f 1");
    assert_eq!(failed, "systemd-logind.service\n");
}

boots! {
    squashfs_initramfs_tools = immutable_root(Image::InitramfsTools, Format::Squashfs, Own::NoKeys);
    erofs_dracut = immutable_root(Image::Dracut, Format::Erofs, Own::Keys);
}

// ---------------------------------------------------------------------------
// Contexts that are not there, or are not right

/// Without a context disk nothing is done: the machine is the same as with
/// `onecontext=off`. tests/faults/no_wait.rs checks by system calls that no time is lost;
/// `make bench` gives the ratio.
fn no_context_disk(image: Image) {
    let look = |parameter: &str| {
        let mut running = Machine::new(image)
            .nic(MAC2, 2)
            .nic(MAC1, 1)
            .kernel(SHELL)
            .kernel(parameter)
            .start();
        let mut shell = running.shell();
        (
            nics(&mut shell),
            shell.run("ip -o address | sed 's/valid_lft.*//'"),
            shell.run("ip route; ip -6 route"),
            shell.run("hostname"),
            shell.run(&format!("find /etc /root -type f {NOT_OURS} {SUMS}")),
            shell.run("find /etc /root -type l -printf '%p %l\\n' | sort"),
            // The files that we leave for the booted system have our name.
            shell.run("find /run -name '*onecontext*' | sort"),
            shell.run("findmnt -n -o TARGET | grep -E '/(etc|root)(/|$)' | sort"),
        )
    };
    assert_eq!(look(""), look("onecontext=off"));
}

/// Files that other programs write at a first boot and that may differ at the next: the
/// random machine ID (machine-id(5)), the clock's drift (hwclock(8)), and caches with
/// the time of day in them (systemd-update-done, ldconfig(8)).
const NOT_OURS: &str = "! -name machine-id ! -name adjtime ! -name .updated ! -name ld.so.cache";
const SUMS: &str = "-exec sha256sum {} + | sort -k 2";

boots! {
    no_context_disk_initramfs_tools = no_context_disk(Image::InitramfsTools);
    no_context_disk_dracut = no_context_disk(Image::Dracut);
}

/// With `onecontext=off` a machine with a context disk is left alone.
#[test]
#[ignore = "boots a machine"]
fn switched_off() {
    let (machine, _) = with_one_nic(Image::InitramfsTools);
    let mut running = machine.kernel(SHELL).kernel("onecontext=off").start();
    let mut shell = running.shell();

    assert_untouched(&mut shell);
    // Such a machine has no host keys, and so no sshd: the other tests log in only
    // because we make them.
    let sshd = shell.run("systemctl is-active ssh.service || true");
    assert_ne!(sshd, "active\n");
}

/// A hook whose binary is missing does not stop the boot.
fn without_the_binary(image: Image) {
    let (machine, _) = with_one_nic(image);
    let mut running = machine
        .kernel(SHELL)
        .link_in_initramfs("/usr/lib/onecontext/onecontext", "missing")
        .start();

    assert_untouched(&mut running.shell());
}

boots! {
    without_the_binary_initramfs_tools = without_the_binary(Image::InitramfsTools);
    without_the_binary_dracut = without_the_binary(Image::Dracut);
    without_the_binary_dracut_without_systemd = without_the_binary(Image::DracutWithoutSystemd);
}

/// A truncated disk: the machine boots, and its console shows the reason in spite of
/// `quiet`.
#[test]
#[ignore = "boots a machine"]
fn broken_context_disk() {
    let (machine, key) = machine(Image::InitramfsTools);
    let disk = disk(&machine, Writer::Genisoimage, &one_nic(&key.public));
    // The volume descriptors are whole, the directories and files are not.
    let file = std::fs::File::options().write(true).open(&disk).unwrap();
    file.set_len(20 * 2048).unwrap();
    let mut running = machine
        .nic(MAC1, 1)
        .disk(&disk, Drive::Cdrom)
        .kernel(SHELL)
        .kernel("quiet")
        .start();
    let mut shell = running.shell();

    assert_untouched(&mut shell);
    let banner = shell.run("cat /run/issue.d/50-onecontext.issue");
    assert!(banner.contains("/dev/sr0"), "{banner}");
    let console = running.console();
    let said = lines_of_ours(&console);
    assert!(
        said.iter().any(|line| line.contains("/dev/sr0")),
        "{said:?}"
    );
}

/// A disk that hangs: the machine boots, and its console shows why it has no context.
fn stuck_context_disk(image: Image) {
    let (machine, key) = machine(image);
    let disk = disk(&machine, Writer::Genisoimage, &one_nic(&key.public));
    let mut running = machine
        .nic(MAC1, 1)
        .disk(&disk, Drive::Stuck)
        .kernel(SHELL)
        .start();
    let mut shell = running.shell();

    assert_untouched(&mut shell);
    let console = running.console();
    let said = lines_of_ours(&console);
    let reason = "apply: given up after 58 s, at: read /dev/vdb";
    assert!(said.iter().any(|line| line.contains(reason)), "{said:?}");
}

boots! {
    stuck_context_disk_initramfs_tools = stuck_context_disk(Image::InitramfsTools);
    stuck_context_disk_dracut = stuck_context_disk(Image::Dracut);
    stuck_context_disk_dracut_without_systemd = stuck_context_disk(Image::DracutWithoutSystemd);
}

/// A hundred bad lines, and a NIC with more addresses than a line of the kernel log
/// takes. The good part is applied. In spite of `quiet` the console shows the first
/// forty problems once, and then the number of the others. All are in the report.
#[test]
#[ignore = "boots a machine"]
fn more_problems_than_the_console_takes() {
    let (machine, key) = machine(Image::Dracut);
    let mut text: String = (0..100).map(|n| format!("bad line {n}\n")).collect();
    text += &one_nic(&key.public);
    for n in 0..80 {
        text += &format!("ETH0_ALIAS{n}_IP='10.18.1.{}'\n", n + 100);
    }
    let disk = disk(&machine, Writer::Genisoimage, &text);
    let mut running = machine
        .nic(MAC1, 1)
        .disk(&disk, Drive::Cdrom)
        .kernel("quiet")
        .start();
    let mut login = running.login("root", 1, &key);

    assert_eq!(addresses(&mut login, "-4", "ens3").len(), 81);
    let report = login.run("cat /run/onecontext/report");
    let banner = login.run("cat /run/issue.d/50-onecontext.issue");
    let records = kernel_log_of_ours(&mut login);
    let console = running.console();
    let console = lines_of_ours(&console);

    for line in 1..=100 {
        let times = |lines: &[&str]| lines.iter().filter(|one| names_line(one, line)).count();
        let report: Vec<_> = report.lines().collect();
        assert_eq!(times(&report), 1, "line {line} in the report: {report:#?}");
        let on_console = usize::from(line <= 40);
        assert_eq!(
            times(&console),
            on_console,
            "line {line} on the console: {console:#?}"
        );
        if line <= 40 {
            assert!(names_line(&banner, line), "line {line}: {banner}");
        }
    }
    let all = report.lines().filter(|line| line.starts_with("problem: "));
    let more = (all.count() - 40).to_string();
    assert_eq!(console.len(), 41, "{console:#?}");
    let mut words = console[40].split(|next: char| !next.is_ascii_alphanumeric());
    assert!(words.any(|word| word == more), "{more}: {}", console[40]);
    assert!(console[40].contains("report"), "{}", console[40]);

    // Such a console shows only errors (priority 3), so no other record may have that
    // priority.
    let errors = records.iter().filter(|(priority, _)| *priority <= 3);
    assert_eq!(errors.count(), 41, "{records:#?}");
    let longest = records.iter().map(|(_, line)| line.len()).max();
    assert!(longest <= Some(976), "{longest:?}");
    let cut: Vec<_> = records
        .iter()
        .filter_map(|(_, line)| line.strip_suffix('…'))
        .collect();
    assert_eq!(cut.len(), 1, "{records:#?}");
    // Only the end is cut, and no more than necessary.
    assert!(cut[0].len() > 900, "{cut:?}");
    let text = cut[0].strip_prefix("onecontext: ").unwrap();
    let whole = report.lines().find(|line| line.starts_with(text));
    assert!(whole.unwrap().ends_with("::ff"), "{whole:?}");
}

/// Whether a text names this line of context.sh.
fn names_line(text: &str, line: usize) -> bool {
    text.split(&format!("context.sh:{line}"))
        .skip(1)
        .any(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

/// Our records in the kernel log, each with its priority. Each read returns one, as
/// `PRIORITY,…;TEXT`, with bytes that are not ASCII as `\xNN`
/// (Documentation/ABI/testing/dev-kmsg).
fn kernel_log_of_ours(inside: &mut impl Inside) -> Vec<(u32, String)> {
    // dd reports an error at the end of the log.
    let log = inside.run("dd if=/dev/kmsg iflag=nonblock bs=8192 2>/dev/null || true");
    let records = log.lines().filter_map(|line| line.split_once(';'));
    records
        .filter(|(_, text)| text.starts_with("onecontext: "))
        .map(|(head, text)| {
            let (number, _) = head.split_once(',').unwrap();
            // The lower three bits; above them is the facility.
            (number.parse::<u32>().unwrap() & 7, unescaped(text))
        })
        .collect()
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

// ---------------------------------------------------------------------------
// What is in the initramfs

/// The binary, its caller, and the files that give NICs their final names.
#[test]
#[ignore = "makes images"]
fn the_initramfs_holds_what_is_needed() {
    let _boot = Boot::begin();
    let always = [
        "usr/lib/onecontext/onecontext",
        "/75-net-description.rules",
        "/80-net-setup-link.rules",
        "/systemd/network/99-default.link",
    ];
    for (image, hook) in [
        (Image::InitramfsTools, "scripts/init-bottom/onecontext"),
        (
            Image::InitramfsToolsFewDrivers,
            "scripts/init-bottom/onecontext",
        ),
        (Image::Dracut, "/initrd.target.wants/onecontext.service"),
        (
            Image::DracutWithoutSystemd,
            "hooks/pre-pivot/20-onecontext.sh",
        ),
    ] {
        let list = image.list();
        for name in always.iter().chain([&hook]) {
            assert!(list.contains(name), "no {name} in {list}");
        }
    }
}

const DRIVERS: &str = "cdrom sr_mod sd_mod ata_piix ata_generic ahci uas \
    usb-storage virtio_pci virtio_blk virtio_scsi sym53c8xx xen-blkfront vmw_pvscsi \
    hv_storvsc virtio_net e1000 e1000e 8139cp 8139too vmxnet3 xen-netfront \
    hv_netvsc ne2k-pci pcnet32";

/// The drivers are there although the generator was configured to bring only those that
/// its own host needs.
#[test]
#[ignore = "makes images"]
fn the_initramfs_holds_the_drivers() {
    let _boot = Boot::begin();
    for image in [Image::InitramfsToolsFewDrivers, Image::DracutWithoutSystemd] {
        let list = image.list();
        for driver in DRIVERS.split_whitespace() {
            let file = format!("/{driver}.ko");
            assert!(list.contains(&file), "no {file} in {list}");
        }
    }
}

// ---------------------------------------------------------------------------
// The demo

/// `make demo`: the script that shows people what the first test checks, with the
/// package installed in the image.
#[test]
#[ignore = "boots a machine"]
fn demo() {
    let _boot = Boot::begin();
    let said = run(Command::new(top().join("tests/run/demo")).stdin(Stdio::null()));
    let lines: Vec<_> = said.lines().map(str::trim).collect();
    for line in [
        "web1.example.org",
        "default via 10.18.1.254 dev ens3 proto static",
        "nameserver 10.18.1.253",
    ] {
        assert!(lines.contains(&line), "{line}: {said}");
    }
    let nic = lines.iter().find(|line| line.starts_with("ens3 "));
    let fields: Vec<_> = nic.expect(&said).split_whitespace().collect();
    let addresses = ["10.18.1.1/24", "2001:db8:1::a/64"];
    assert_eq!(fields[..2], ["ens3", "UP"]);
    assert_eq!(fields[2..4], addresses);
}

// ---------------------------------------------------------------------------
// Helpers

/// A machine, and a key for it.
fn machine(image: Image) -> (Machine, Key) {
    let machine = Machine::new(image);
    let key = Key::new(machine.folder().join("key"));
    (machine, key)
}

/// The same with `one_nic` on a cdrom.
fn with_one_nic(image: Image) -> (Machine, Key) {
    let (machine, key) = machine(image);
    let disk = disk(&machine, Writer::Genisoimage, &one_nic(&key.public));
    (machine.nic(MAC1, 1).disk(&disk, Drive::Cdrom), key)
}

/// OpenNebula's context disk.
fn disk(machine: &Machine, writer: Writer, text: &str) -> PathBuf {
    let path = machine.folder().join("context.iso");
    iso(&path, writer, Some("CONTEXT"), &[("context.sh", text)]);
    path
}

/// The names of the NICs.
fn nics(inside: &mut impl Inside) -> Vec<String> {
    let links = inside.json("ip -json link");
    let names = strings(&links, |link| text(&link["ifname"]));
    names.into_iter().filter(|name| name != "lo").collect()
}

fn link(inside: &mut impl Inside, nic: &str) -> Value {
    inside.json(&format!("ip -json link show dev {nic}"))[0].clone()
}

/// The addresses of a NIC beyond link scope, as ADDRESS/PREFIX; of the family `-4` or
/// `-6`.
fn addresses(inside: &mut impl Inside, family: &str, nic: &str) -> Vec<String> {
    let command = format!("ip -json {family} address show scope global {nic}");
    let all = strings(&inside.json(&command)[0]["addr_info"], |address| {
        format!("{}/{}", text(&address["local"]), address["prefixlen"])
    });
    // ip leaves an empty object for every address of another scope.
    all.into_iter()
        .filter(|address| address != "/null")
        .collect()
}

/// All IPv4 routes, sorted.
fn routes(inside: &mut impl Inside) -> Vec<String> {
    let mut routes = strings(&inside.json("ip -4 -json route"), route);
    routes.sort();
    routes
}

fn default_routes_6(inside: &mut impl Inside) -> Vec<String> {
    strings(&inside.json("ip -6 -json route show default"), route)
}

fn strings(list: &Value, form: impl Fn(&Value) -> String) -> Vec<String> {
    list.as_array().into_iter().flatten().map(form).collect()
}

/// The lines of /etc/resolv.conf without comments.
fn resolv_conf(inside: &mut impl Inside) -> Vec<String> {
    let text = inside.run("cat /etc/resolv.conf");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_string).collect()
}

/// The keys accepted for root, from a file that sshd will trust.
fn root_keys(inside: &mut impl Inside) -> Vec<String> {
    let modes = inside.run("stat -c '%a %u %g' ~/.ssh ~/.ssh/authorized_keys");
    assert_eq!(modes, "700 0 0\n600 0 0\n");
    let text = inside.run("cat /root/.ssh/authorized_keys");
    let lines = text.split('\n');
    let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    keys.map(str::to_string).collect()
}

/// The kernel mounted the root "ro", and fstab does not ask for that.
fn assert_root_is_as_fstab_says(inside: &mut impl Inside) {
    let options = inside.run("findmnt -n -o OPTIONS /");
    let options: Vec<_> = options.trim().split(',').collect();
    assert!(options.contains(&"rw"), "{options:?}");
    assert!(options.contains(&"errors=remount-ro"), "{options:?}");
}

fn assert_nothing_failed(inside: &mut impl Inside) {
    inside.booted();
    let failed = inside.run("systemctl --failed --plain --no-legend");
    assert_eq!(failed, "");
}

/// The machine has booted, and nothing of a context has reached it.
fn assert_untouched(inside: &mut impl Inside) {
    let active = inside.run("systemctl is-active multi-user.target");
    assert_eq!(active, "active\n");
    assert_eq!(nics(inside), ["ens3"]);
    assert_eq!(addresses(inside, "-4", "ens3"), [""; 0]);
    assert_eq!(routes(inside), [""; 0]);
    assert_eq!(inside.run("cat /proc/sys/kernel/hostname"), "image\n");
    let made = inside.run(
        "ls /root/.ssh/authorized_keys /etc/resolv.conf /etc/ssh/ssh_host_* \
         2>/dev/null || true",
    );
    assert_eq!(made, "");
}

/// Our lines on the console, without the kernel's time stamps. The banner of a login
/// prompt may show the same lines there, earlier or later.
fn lines_of_ours(console: &str) -> Vec<&str> {
    console
        .lines()
        .filter(|line| line.contains("] onecontext: "))
        .collect()
}
