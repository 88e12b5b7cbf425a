//! Roots other than one ext4 file system with OpenSSH, and the files in them that must
//! be unchanged after a login.

use super::*;

/// The changed files of a writable root, outside of /var: three of the four files that
/// we may change, and the host keys that it lacked. The fourth, authorized_keys, is in
/// its user's home.
const CHANGED: [&str; 9] = [
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "etc/ssh/ssh_host_ecdsa_key",
    "etc/ssh/ssh_host_ecdsa_key.pub",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/ssh/ssh_host_ed25519_key.pub",
    "etc/ssh/ssh_host_rsa_key",
    "etc/ssh/ssh_host_rsa_key.pub",
];

/// Boots with `one_nic`, whose key is for `user`, and logs in.
fn boot(
    image: Image,
    user: &str,
    change: impl FnOnce(Machine) -> Machine,
) -> (Running, Login, Key) {
    let (machine, key) = machine(image);
    let text = one_nic(&key.public) + &format!("USERNAME='{user}'\n");
    let disk = disk(&machine, Writer::Genisoimage, &text);
    let machine = machine.nic(MAC1, 1).disk(&disk, Drive::Cdrom);
    let mut running = change(machine).start();
    let mut login = running.login(user, 1, &key);
    assert_one_nic(&mut login, "ens3");
    (running, login, key)
}

/// Type and options of the mount at a path.
fn mounted(login: &mut Login, path: &str) -> String {
    login.run(&format!("findmnt -n -r -o FSTYPE,OPTIONS {path}"))
}

/// Ends the machine; returns the changed files of its root, without those that other
/// programs write at a first boot.
fn changed(mut running: Running, mut login: Login) -> Vec<String> {
    login.run("sync");
    drop(login);
    let others = [
        // Made by selinux-autorelabel-mark.service if SELinux is off.
        ".autorelabel",
        "etc/.updated",
        "etc/adjtime",
        "etc/ld.so.cache",
        "etc/machine-id",
    ];
    let mut changed = running.changed_files();
    changed.retain(|file| !others.contains(&file.as_str()));
    changed
}

/// What was changed is `CHANGED`, and these files after them.
fn assert_changed(running: Running, login: Login, more: &[&str]) {
    assert_eq!(changed(running, login), [&CHANGED[..], more].concat());
}

/// The key is in /run alone.
fn assert_key_in_run(login: &mut Login, user: &str, key: &Key) {
    let keys = login.run(&format!("cat /run/onecontext/keys/{user}"));
    assert!(keys.contains(&key.public), "{keys}");
}

/// A resolv.conf of the image that everybody may read.
fn with_resolv_conf(machine: Machine) -> Machine {
    machine
        .write("/etc/resolv.conf", "# the image's own\n")
        .edit("set_inode_field /etc/resolv.conf mode 0100644")
}

/// The user's home is mounted later, by a unit, and the keys are there by then; a socket
/// starts sshd.
#[test]
#[ignore = "boots a machine"]
fn xfs_with_home_apart_and_sshd_by_socket() {
    let (running, mut login, key) = boot(Image::InitramfsTools, "alice", |machine| {
        machine
            .layout("xfs", &["home"])
            .write(
                "/etc/systemd/system/home.mount",
                "[Mount]\nWhat=LABEL=home\nWhere=/home\nType=ext4\n",
            )
            .edit("mkdir /etc/systemd/system/local-fs.target.wants")
            .edit(
                "symlink /etc/systemd/system/local-fs.target.wants/home.mount \
                 /etc/systemd/system/home.mount",
            )
            .edit("rm /etc/systemd/system/sshd.service")
            .edit("rm /etc/systemd/system/multi-user.target.wants/ssh.service")
            .edit("mkdir /etc/systemd/system/sockets.target.wants")
            .edit(
                "symlink /etc/systemd/system/sockets.target.wants/ssh.socket \
                 /lib/systemd/system/ssh.socket",
            )
    });
    assert!(mounted(&mut login, "/").starts_with("xfs rw,"));
    assert!(mounted(&mut login, "/home").starts_with("ext4 rw,"));
    let keys = login.run("cat .ssh/authorized_keys2; stat -c '%a %U' .ssh .ssh/authorized_keys2");
    assert!(
        keys.ends_with("\n700 alice\n600 alice\n") && keys.contains(&key.public),
        "{keys}"
    );
    // The socket alone: we have enabled nothing beside it.
    let starts = "systemctl is-active ssh.socket; systemctl show -P TriggeredBy ssh.service; \
                  find /run/systemd/system -path '*.wants/*ssh*'";
    assert_eq!(login.run(starts), "active\nssh.socket\n");
    assert_nothing_failed(&mut login);
    // A user has sudo unless the context says no.
    assert_changed(running, login, &["etc/sudoers.d/zz-onecontext"]);
}

/// dracut mounts /usr itself.
#[test]
#[ignore = "boots a machine"]
fn btrfs_subvolume_with_usr_apart_dracut() {
    let (running, mut login, key) = boot(Image::Dracut, "root", |machine| {
        machine.layout("btrfs", &["usr"])
    });
    let root = mounted(&mut login, "/");
    assert!(
        root.starts_with("btrfs rw,") && root.contains("subvol=/@"),
        "{root}"
    );
    assert!(mounted(&mut login, "/usr").starts_with("ext4 rw,"));
    assert_eq!(root_keys(&mut login), [key.public.as_str()]);
    assert_nothing_failed(&mut login);
    assert_changed(running, login, &["root/.ssh/authorized_keys"]);
}

/// The file system is writable, but the subvolume is not and stays unchanged: keys are
/// in /run, although /var could be written later; host keys are made in a copy.
#[test]
#[ignore = "boots a machine"]
fn btrfs_read_only_subvolume_with_root_s_home_in_var() {
    let (running, mut login, key) = boot(Image::InitramfsTools, "root", |machine| {
        machine
            .layout("btrfs-frozen", &["root", "var"])
            .write("/etc/resolv.conf", "# the image's own\n")
    });
    let root = mounted(&mut login, "/");
    assert!(
        root.starts_with("btrfs ro,") && root.contains("subvol=/@"),
        "{root}"
    );
    assert!(mounted(&mut login, "/var").starts_with("ext4 rw,"));
    assert_eq!(login.run("readlink /root"), "var/roothome\n");
    assert_key_in_run(&mut login, "root", &key);
    assert_nothing_failed(&mut login);
    assert_eq!(changed(running, login), [""; 0]);
}

/// The booted system can write the root and the user's home, and nothing of ours does.
#[test]
#[ignore = "boots a machine"]
fn a_root_that_must_not_be_written() {
    let (running, mut login, key) = boot(Image::InitramfsTools, "alice", |machine| {
        with_resolv_conf(machine.layout("ext4", &["home"]))
            .write("/etc/hosts", "127.0.0.1 localhost\n")
            .kernel("onecontext.root=ro")
    });
    assert!(mounted(&mut login, "/").starts_with("ext4 rw,"));
    for path in [
        "/etc/ssh",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/resolv.conf",
    ] {
        assert!(mounted(&mut login, path).starts_with("tmpfs "), "{path}");
    }
    let keys = login.run("cat /run/onecontext/keys/alice; ls -d .ssh 2>/dev/null || true");
    assert!(
        keys.contains(&key.public) && !keys.contains(".ssh"),
        "{keys}"
    );
    let host_keys = login.run("ls /etc/ssh/ssh_host_*_key");
    assert!(host_keys.contains("/ssh_host_ed25519_key\n"), "{host_keys}");
    assert_nothing_failed(&mut login);
    assert_eq!(changed(running, login), [""; 0]);
}

/// initramfs-tools activates the volume, and mounts /usr itself.
#[test]
#[ignore = "boots a machine"]
fn lvm_with_usr_apart() {
    let (running, mut login, key) = boot(ROOTS, "root", |machine| machine.layout("lvm", &["usr"]));
    let kind = login.run("lsblk -n -o TYPE $(findmnt -n -o SOURCE /)");
    assert_eq!(kind, "lvm\n");
    assert!(mounted(&mut login, "/usr").starts_with("ext4 rw,"));
    assert_eq!(root_keys(&mut login), [key.public.as_str()]);
    assert_nothing_failed(&mut login);
    assert_changed(running, login, &["root/.ssh/authorized_keys"]);
}

/// In the root only host keys are to be written, in the booted system: they are made in
/// a copy. Keys are in /run, although the user's home could be written later.
#[test]
#[ignore = "boots a machine"]
fn squashfs_with_var_and_home_apart_dracut() {
    let (running, mut login, key) = boot(Image::Dracut, "alice", |machine| {
        with_resolv_conf(machine.layout("squashfs", &["var", "home"]))
    });
    assert!(mounted(&mut login, "/").starts_with("squashfs ro,"));
    for path in ["/var", "/home"] {
        assert!(mounted(&mut login, path).starts_with("ext4 rw,"), "{path}");
    }
    assert_key_in_run(&mut login, "alice", &key);
    let host_keys = login.run("ls /etc/ssh/ssh_host_*_key");
    assert!(host_keys.contains("/ssh_host_ed25519_key\n"), "{host_keys}");
    assert_nothing_failed(&mut login);
    assert_eq!(changed(running, login), [""; 0]);
}

/// A root that is an overlay in memory over the image's. The lower file system stays
/// identical to the image's.
fn overlay(image: Image, parameter: &str) {
    // fsck(8) would note the time of its check in the superblock.
    let (mut running, mut login, key) = boot(image, "root", |machine| {
        machine.kernel(parameter).kernel("fsck.mode=skip")
    });
    assert!(mounted(&mut login, "/").starts_with("overlay rw,"));
    assert_eq!(root_keys(&mut login), [key.public.as_str()]);
    assert_nothing_failed(&mut login);
    login.run("sync");
    drop(login);
    running.assert_root_is_that_of_the_image();
}

boots! {
    /// Debian's package.
    overlayroot = overlay(ROOTS, "overlayroot=tmpfs");
    /// systemd-volatile-root.service(8).
    volatile_overlay_dracut = overlay(Image::Dracut, "systemd.volatile=overlay");
}

/// Every file that we make has the label that the policy wants for it.
#[test]
#[ignore = "boots a machine"]
fn selinux_enforcing() {
    let (_running, mut login, key) = boot(ROOTS, "root", |machine| {
        machine.kernel("security=selinux selinux=1 enforcing=1")
    });
    assert_eq!(login.run("getenforce"), "Enforcing\n");
    assert_eq!(root_keys(&mut login), [key.public.as_str()]);
    assert_eq!(
        login.run("ls -Z /etc/resolv.conf | cut -d : -f 3"),
        "net_conf_t\n"
    );
    // It prints what it would relabel.
    let wrong =
        login.run("restorecon -nrv /etc/hostname /etc/hosts /etc/resolv.conf /etc/ssh /root /home");
    assert_eq!(wrong, "");
    assert_nothing_failed(&mut login);
}

/// Dropbear, without OpenSSH's server.
#[test]
#[ignore = "boots a machine"]
fn dropbear() {
    let (_running, mut login, key) = boot(ROOTS, "root", |machine| {
        machine
            .edit("rm /usr/sbin/sshd")
            .edit("rm /lib/systemd/system/ssh.service")
            .edit("rm /lib/systemd/system/ssh.socket")
            .edit("rm /etc/init.d/ssh")
            .edit("rm /etc/systemd/system/sshd.service")
            .edit("rm /etc/systemd/system/multi-user.target.wants/ssh.service")
            .edit(
                "symlink /etc/systemd/system/multi-user.target.wants/dropbear.service \
                 /lib/systemd/system/dropbear.service",
            )
    });
    assert_eq!(login.run("systemctl is-active dropbear"), "active\n");
    assert_eq!(root_keys(&mut login), [key.public.as_str()]);
    assert_nothing_failed(&mut login);
}

/// The image with the packages that these tests need.
const ROOTS: Image = Image::With("roots");
