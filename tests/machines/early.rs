//! The early stage. The root of a machine is encrypted or missing; a login by SSH
//! reaches its initramfs, whose network and keys are as the context says. If the root
//! is unlocked from there, the result is that of any other machine.

use super::*;
use crate::release::assert_unsaid;
use support::machine::PASSPHRASE;
use support::network::Network;

/// Debian 12: LUKS with cryptsetup-initramfs and dropbear-initramfs.
const EARLY: Image = Image::With("early");

/// The same without LUKS, and with networkd.
const PLAIN: Image = Image::With("early-networkd");

/// The command that opens the root with a passphrase from standard input, for each kind
/// of initramfs.
const CRYPTROOT_UNLOCK: &str = "cryptroot-unlock";
const ASK_PASSWORD_AGENT: &str = "systemd-tty-ask-password-agent --query";

/// A machine with LUKS and `one_nic`, and the context's key.
fn luks(image: Image, parameters: &str) -> (Machine, Key) {
    let (machine, key) = machine(image);
    let disk = disk(&machine, Writer::Genisoimage, &one_nic(&key.public));
    let machine = machine
        .layout("luks", &[])
        .nic(MAC1, 1)
        .disk(&disk, Drive::Cdrom)
        .kernel(parameters);
    (machine, key)
}

/// Unlocks the root through the initramfs's SSH server, which accepts `early`; then
/// logs in to the root's server with the context's key.
fn unlock(running: &mut Running, early: &Key, command: &str, key: &Key) -> Login {
    let mut login = running.login("root", 1, early);
    assert_early(&mut login);
    login.feed(PASSPHRASE, command);
    drop(login);
    login_to_root(running, key)
}

/// Logs in to the root. Until the root's SSH server starts, the initramfs's may answer.
fn login_to_root(running: &mut Running, key: &Key) -> Login {
    running.login_where("test -e /var/lib/dpkg", "root", 1, key)
}

/// Checks what `one_nic` asks for, in an initramfs.
fn assert_early(login: &mut Login) {
    assert_is_initramfs(login);
    assert_eq!(login.run(ADDRESSES), "10.18.1.1/24\n2001:db8:1::a/64\n");
    let routes = login.run("{ ip route; ip -6 route; } | sed 's/ dev ens3.*//'");
    let mut routes: Vec<_> = routes.lines().collect();
    routes.retain(|route| route.starts_with("10.") || route.starts_with("default"));
    routes.sort();
    let by = ["10.18.1.254", "2001:db8:1::ff"].map(|gateway| format!("default via {gateway}"));
    assert_eq!(routes, ["10.18.1.0/24", &by[0], &by[1]]);
    assert_eq!(
        login.run("cat /sys/class/net/ens3/mtu /proc/sys/kernel/hostname"),
        "1450\nweb1.example.org\n"
    );
    assert_eq!(
        resolv_conf(login),
        ["nameserver 10.18.1.253", "search example.org"]
    );
}

/// The addresses beyond link scope. `ip` of an initramfs may be busybox's, which prints
/// no JSON.
const ADDRESSES: &str = "ip addr show dev ens3 | sed -n 's/^ *inet6* \\([^ ]*\\) .*global.*/\\1/p'";

fn assert_is_initramfs(login: &mut Login) {
    let root = login.run("sed -n 's/^[^ ]* \\/ \\([^ ]*\\) .*/\\1/p' /proc/mounts");
    assert_eq!(root, "rootfs\n");
}

/// The root is on LUKS, and the result is the same as without an early stage.
fn assert_late(login: &mut Login, key: &Key) {
    assert_eq!(login.run("findmnt -n -o SOURCE /"), "/dev/mapper/root\n");
    assert_one_nic(login, "ens3");
    assert_eq!(root_keys(login), [key.public.as_str()]);
    assert_eq!(login.run("ls -d /run/net-* 2>/dev/null || true"), "");
    assert_nothing_failed(login);
}

/// The context's key unlocks the root if the image's builder allows it.
fn unlocked_with_the_context_s_key(image: Image, command: &str) {
    let (machine, key) = luks(image, "onecontext.early=keys");
    let mut running = machine.start();
    let mut login = unlock(&mut running, &key, command, &key);
    assert_late(&mut login, &key);
}

boots! {
    luks_initramfs_tools = unlocked_with_the_context_s_key(EARLY, CRYPTROOT_UNLOCK);
    luks_dracut = unlocked_with_the_context_s_key(Image::EarlyDracut, ASK_PASSWORD_AGENT);
    luks_debian13 = unlocked_with_the_context_s_key(Image::With("trixie-early"), CRYPTROOT_UNLOCK);
}

/// By default the initramfs accepts only the keys that its builder put in.
fn unlocked_with_the_image_s_key(image: Image, command: &str) {
    let (machine, key) = luks(image, "");
    let mut running = machine.start();
    let mut login = running.login("root", 1, &image.own_key());
    assert_is_initramfs(&mut login);
    running.assert_refuses("root", 1, &key);
    drop(login);
    let mut login = unlock(&mut running, &image.own_key(), command, &key);
    assert_late(&mut login, &key);
}

boots! {
    luks_with_the_image_s_key_initramfs_tools = unlocked_with_the_image_s_key(EARLY, CRYPTROOT_UNLOCK);
    luks_with_the_image_s_key_dracut = unlocked_with_the_image_s_key(Image::EarlyDracut, ASK_PASSWORD_AGENT);
}

/// The initramfs and the root each lease the address.
fn luks_by_dhcp(image: Image, command: &str) {
    let mut network = Network::new(&[1]);
    network.serve(&["--dhcp-range=10.18.1.1,10.18.1.1,600"]);
    let (machine, key) = machine(image);
    let text = opennebula(&[
        ("ETH0_MAC", MAC1),
        ("ETH0_METHOD", "dhcp"),
        ("SSH_PUBLIC_KEY", &key.public),
    ]);
    let disk = disk(&machine, Writer::Xorriso, &text);
    let mut running = machine
        .layout("luks", &[])
        .nic(MAC1, 1)
        .in_network(&network)
        .disk(&disk, Drive::Cdrom)
        .start();
    let mut login = running.login("root", 1, &image.own_key());
    assert_is_initramfs(&mut login);
    assert_eq!(login.run(ADDRESSES), "10.18.1.1/24\n");
    login.feed(PASSPHRASE, command);
    drop(login);
    let mut login = login_to_root(&mut running, &key);
    assert_nothing_failed(&mut login);
    assert_eq!(addresses(&mut login, "-4", "ens3"), ["10.18.1.1/24"]);
    let routes = routes(&mut login);
    let defaults = routes.iter().filter(|line| line.starts_with("default"));
    assert_eq!(defaults.count(), 1, "{routes:?}");
}

boots! {
    luks_by_dhcp_initramfs_tools = luks_by_dhcp(EARLY, CRYPTROOT_UNLOCK);
    luks_by_dhcp_dracut = luks_by_dhcp(Image::EarlyDracut, ASK_PASSWORD_AGENT);
}

/// `ip=` is for the initramfs's own tools. They set up the network until there is a
/// root, and this is reported.
#[test]
#[ignore = "boots a machine"]
fn luks_with_ip_on_the_command_line() {
    let ip = "ip=10.18.1.1::10.18.1.254:255.255.0.0::ens3:off";
    let (machine, key) = luks(EARLY, &format!("onecontext.early=keys {ip}"));
    let mut running = machine.start();
    let mut login = running.login("root", 1, &key);
    assert_is_initramfs(&mut login);
    // The kernel accepts router advertisements by default.
    let addresses = login.run(ADDRESSES);
    let v4: Vec<_> = addresses
        .lines()
        .filter(|line| line.contains('.'))
        .collect();
    assert_eq!(v4, ["10.18.1.1/16"]);
    assert!(
        running
            .console()
            .contains("onecontext: the network before there is a root is not")
    );
    login.feed(PASSPHRASE, CRYPTROOT_UNLOCK);
    drop(login);
    let mut login = login_to_root(&mut running, &key);
    assert_one_nic(&mut login, "ens3");
    assert_nothing_failed(&mut login);
}

/// A stage that is switched off does nothing, and the other tools behave as without it.
#[test]
#[ignore = "boots a machine"]
fn switched_off() {
    let (machine, key) = with_one_nic(PLAIN);
    let mut running = machine.kernel("onecontext.early=off").start();
    let mut login = running.login("root", 1, &key);
    assert_unsaid(&running.console(), "onecontext: no root yet; ssh root@");
    // dropbear's own DHCP request, which QEMU's server has answered.
    let file = login.run("grep IPV4ADDR /run/net-ens3.conf");
    assert_eq!(file, "IPV4ADDR='10.18.1.15'\n");
    assert_eq!(addresses(&mut login, "-4", "ens3"), ["10.18.1.1/24"]);
}

/// The root is missing. The machine shows the address where it can be reached, and
/// accepts logins there, beside the shell that its initramfs ends in.
fn missing_root(image: Image, parameters: &str, shell: &str) {
    let (machine, key) = with_one_nic(image);
    let mut running = machine
        .kernel("root=/dev/vdz onecontext.early=keys")
        .kernel(parameters)
        .start();
    running.wait_for_console(shell);
    let mut login = running.login("root", 1, &key);
    assert_early(&mut login);
    assert!(running.console().contains(SAID));
}

/// What the early stage says of `one_nic`.
pub const SAID: &str = "onecontext: no root yet; ssh root@10.18.1.1";

boots! {
    missing_root_initramfs_tools = missing_root(PLAIN, "rootdelay=5", "(initramfs)");
    missing_root_dracut = missing_root(Image::EarlyDracut, "rd.retry=10", "Entering emergency mode");
}

#[test]
#[ignore = "boots a machine"]
fn missing_root_dracut_without_systemd() {
    let image = Image::EarlyDracutWithoutSystemd;
    missing_root(image, "rd.retry=10", "Dropping to debug shell");
}

// ---------------------------------------------------------------------------
// What is in the initramfs

/// The early stage is only in an initramfs with an SSH server, here with the tools that
/// open LUKS.
#[test]
#[ignore = "makes images"]
fn the_initramfs_holds_it_where_it_serves() {
    let _boot = Boot::begin();
    for (image, hook) in [
        (EARLY, "scripts/init-premount/onecontext"),
        (
            Image::EarlyDracut,
            "/sysinit.target.wants/onecontext-early.service",
        ),
        (
            Image::EarlyDracutWithoutSystemd,
            "hooks/initqueue/settled/01-onecontext-early.sh",
        ),
    ] {
        let list = image.list();
        assert!(list.contains(hook), "no {hook} in {list}");
    }
    for image in [EARLY, Image::EarlyDracut] {
        let list = image.list();
        for driver in ["dm-crypt", "xts", "algif_skcipher"] {
            let file = format!("/{driver}.ko");
            assert!(list.contains(&file), "no {file} in {list}");
        }
    }
    for image in [
        Image::InitramfsTools,
        Image::InitramfsToolsFewDrivers,
        Image::Dracut,
        Image::DracutWithoutSystemd,
    ] {
        let list = image.list();
        for name in ["init-premount/onecontext", "onecontext-early."] {
            assert!(!list.contains(name), "{name} in {list}");
        }
    }
}
