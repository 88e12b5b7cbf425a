//! What the booted system decides otherwise is named, with the file that decides; and the
//! fine neighbour of each case is not.
use crate::Image;

use std::fs;
use std::os::unix::fs::symlink;

type Make = fn(&Image);

/// Each image has one line, with the file and the subject; `None`: none.
fn assert_names(cases: &[(&str, Make, Option<&str>)]) {
    for (case, make, expected) in cases {
        let image = Image::new();
        make(&image);
        let lines = image.check();
        match expected {
            Some(text) => {
                let is_named = lines.len() == 1 && lines[0].contains(text);
                assert!(is_named, "{case}: {text}: {lines:?}");
            }
            None => assert_eq!(lines, [""; 0], "{case}"),
        }
    }
}

fn link(image: &Image, path: &str, target: &str) {
    let path = image.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

/// Enables `ssh.service`, with more lines in its text.
fn enabled(image: &Image, lines: &str) {
    let unit = "root/usr/lib/systemd/system/ssh.service";
    image.write(
        unit,
        &format!("[Unit]\n{lines}[Service]\nExecStart=/usr/sbin/sshd -D\n"),
    );
    let wants = "root/etc/systemd/system/multi-user.target.wants/ssh.service";
    link(image, wants, "/usr/lib/systemd/system/ssh.service");
}

fn with_script(image: &Image) {
    image.with_sysvinit();
    image.write("root/etc/init.d/sshd", "#!/sbin/openrc-run\n");
    fs::create_dir_all(image.path("root/etc/runlevels/default")).unwrap();
}

#[test]
fn a_server_in_no_runlevel_is_named() {
    assert_names(&[
        ("OpenRC", with_script, Some("SSH server: /etc/runlevels: ")),
        (
            "OpenRC, in a runlevel of no boot",
            |image| {
                with_script(image);
                link(
                    image,
                    "root/etc/runlevels/nonetwork/sshd",
                    "/etc/init.d/sshd",
                );
            },
            Some("SSH server: /etc/runlevels: "),
        ),
        (
            "OpenRC, a link to no script",
            |image| {
                with_script(image);
                link(image, "root/etc/runlevels/default/ssh", "/etc/init.d/ssh");
            },
            Some("SSH server: /etc/runlevels: "),
        ),
        (
            "OpenRC, enabled",
            |image| {
                with_script(image);
                link(image, "root/etc/runlevels/default/sshd", "/etc/init.d/sshd");
            },
            None,
        ),
        (
            "OpenRC, in a stacked runlevel",
            |image| {
                with_script(image);
                link(
                    image,
                    "root/etc/runlevels/default/cloud/sshd",
                    "/etc/init.d/sshd",
                );
            },
            None,
        ),
        (
            "OpenRC, started by inittab",
            |image| {
                with_script(image);
                image.write("root/etc/inittab", "s:2345:respawn:/usr/sbin/sshd -D\n");
            },
            None,
        ),
        (
            "sysvinit, stopped in its default runlevel",
            |image| {
                image.with_sysvinit();
                image.write("root/etc/init.d/ssh", "");
                image.write("root/etc/inittab", "id:3:initdefault:\n");
                link(image, "root/etc/rc3.d/K01ssh", "../init.d/ssh");
                link(image, "root/etc/rc2.d/S01ssh", "../init.d/ssh");
            },
            Some("SSH server: /etc/rc3.d: "),
        ),
        (
            "sysvinit, started",
            |image| {
                image.with_sysvinit();
                image.write("root/etc/init.d/ssh", "");
                link(image, "root/etc/rc2.d/S01ssh", "../init.d/ssh");
            },
            None,
        ),
        (
            "runit, not linked",
            |image| {
                image.with_sysvinit();
                image.write("root/etc/runit/2", "");
                image.write("root/etc/sv/sshd/run", "");
                image.write("root/etc/runit/runsvdir/default/agetty-tty1/run", "");
            },
            Some("SSH server: /etc/runit/runsvdir/default: "),
        ),
        (
            "runit, down",
            |image| {
                image.with_sysvinit();
                image.write("root/etc/runit/2", "");
                image.write("root/etc/service/sshd/run", "");
                image.write("root/etc/service/sshd/down", "");
            },
            Some("SSH server: /etc/service: "),
        ),
        (
            "runit, linked",
            |image| {
                image.with_sysvinit();
                image.write("root/etc/runit/2", "");
                image.write("root/etc/sv/sshd/run", "");
                link(
                    image,
                    "root/etc/runit/runsvdir/default/sshd",
                    "/etc/sv/sshd",
                );
            },
            None,
        ),
        (
            "an init of which nothing is known",
            |image| image.with_sysvinit(),
            None,
        ),
    ]);
}

#[test]
fn a_unit_that_cannot_start_is_named() {
    const UNIT: &str =
        "SSH server: /usr/lib/systemd/system/ssh.service: the server does not start: ";
    assert_names(&[
        (
            "it requires a masked unit",
            |image| {
                enabled(image, "Requires=keys.service\n");
                link(image, "root/etc/systemd/system/keys.service", "/dev/null");
            },
            Some(UNIT),
        ),
        (
            "it is bound to a unit that is missing",
            |image| enabled(image, "BindsTo=vpn.service\n"),
            Some("it requires vpn.service, which is missing"),
        ),
        (
            "a condition in a drop-in",
            |image| {
                enabled(image, "");
                let drop_in = "root/etc/systemd/system/ssh.service.d/10-keys.conf";
                image.write(drop_in, "[Unit]\nConditionPathExists=/etc/ssh/ready\n");
            },
            Some("SSH server: /etc/systemd/system/ssh.service.d/10-keys.conf: the server"),
        ),
        (
            "a condition that is negated",
            |image| {
                enabled(image, "ConditionPathExists=!/etc/installing\n");
                image.write("root/etc/installing", "");
            },
            Some("ConditionPathExists=!/etc/installing does not hold"),
        ),
        (
            "a socket of a masked service",
            |image| {
                image.remove("root/usr/lib/systemd/system/ssh.service");
                link(image, "root/etc/systemd/system/ssh.service", "/dev/null");
                image.write(
                    "root/usr/lib/systemd/system/ssh.socket",
                    "[Socket]\nListenStream=22\n",
                );
                link(
                    image,
                    "root/etc/systemd/system/sockets.target.wants/ssh.socket",
                    "/usr/lib/systemd/system/ssh.socket",
                );
            },
            Some("it starts ssh.service, which is masked"),
        ),
        (
            "the rescue target",
            |image| {
                enabled(image, "");
                let target = "root/etc/systemd/system/default.target";
                link(image, target, "/usr/lib/systemd/system/rescue.target");
            },
            Some("SSH server: /etc/systemd/system/default.target: "),
        ),
        // Neighbours.
        (
            "it wants a masked unit, and what it requires is there",
            |image| {
                enabled(
                    image,
                    "Wants=keys.service\nRequires=a.target b.service -.mount\nAfter=x.service\n\
                     ConditionPathExists=!/etc/ssh/sshd_not_to_be_run\n\
                     ConditionPathExists=|/etc/no\nConditionPathExists=|/etc/passwd\n\
                     ConditionPathExists=/run/made-at-boot\nConditionVirtualization=no\n",
                );
                link(image, "root/etc/systemd/system/keys.service", "/dev/null");
                image.write("root/usr/lib/systemd/system/a.target", "[Unit]\n");
                image.write("root/etc/init.d/b", "");
                let drop_in = "root/etc/systemd/system/ssh.service.d/a.conf";
                image.write(
                    drop_in,
                    "[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStartPre=-/no\n",
                );
            },
            None,
        ),
        (
            "another unit starts",
            |image| {
                enabled(image, "Requires=keys.service\n");
                link(image, "root/etc/systemd/system/keys.service", "/dev/null");
                image.write("root/usr/lib/systemd/system/ssh@.service", "[Service]\n");
                image.write(
                    "root/usr/lib/systemd/system/ssh.socket",
                    "[Socket]\nAccept=yes\n",
                );
                link(
                    image,
                    "root/etc/systemd/system/sockets.target.wants/ssh.socket",
                    "/usr/lib/systemd/system/ssh.socket",
                );
            },
            None,
        ),
    ]);
}

const IPV6: &str = "ETH0_MAC='02:00:0a:12:01:01'\nETH0_IP6='2001:db8:1::a'\n";
const OFF: &str = "net.ipv6.conf.all.disable_ipv6 = 1\n";

/// `context.sh` with IPv6 addresses alone.
fn with_ipv6(image: &Image) {
    let context = fs::read_to_string(image.path("context.sh")).unwrap();
    let key = context
        .lines()
        .find(|line| line.starts_with("SSH_PUBLIC_KEY"))
        .unwrap();
    image.write("context.sh", &format!("{IPV6}{key}\n"));
}

fn manager(image: &Image, unit: &str) {
    image.write(
        &format!("root/usr/lib/systemd/system/{unit}"),
        "[Service]\n",
    );
    let wants = format!("root/etc/systemd/system/multi-user.target.wants/{unit}");
    link(image, &wants, &format!("/usr/lib/systemd/system/{unit}"));
}

#[test]
fn what_takes_ipv6_off_is_named() {
    assert_names(&[
        (
            "all",
            |image| {
                with_ipv6(image);
                image.write("root/etc/sysctl.d/60-ipv6.conf", OFF);
            },
            Some("IPv6 of ETH0: /etc/sysctl.d/60-ipv6.conf: net.ipv6.conf.all.disable_ipv6 = 1 "),
        ),
        (
            "the NIC, with slashes, of a package",
            |image| {
                with_ipv6(image);
                image.write(
                    "root/usr/lib/sysctl.d/10.conf",
                    "-net/ipv6/conf/ens3/disable_ipv6=1\n",
                );
            },
            Some("IPv6 of ETH0: /usr/lib/sysctl.d/10.conf: "),
        ),
        (
            "the kernel's command line",
            |image| {
                with_ipv6(image);
                image.write(
                    "root/etc/default/grub",
                    "GRUB_CMDLINE_LINUX=\"quiet ipv6.disable=1\"\n",
                );
            },
            Some("IPv6 of ETH0: /etc/default/grub: ipv6.disable=1: "),
        ),
        (
            "a module's option, which no manager changes",
            |image| {
                with_ipv6(image);
                manager(image, "systemd-networkd.service");
                image.write("root/etc/modprobe.d/ipv6.conf", "options ipv6 disable=1\n");
            },
            Some("IPv6 of ETH0: /etc/modprobe.d/ipv6.conf: options ipv6 disable=1: "),
        ),
        // Neighbours.
        (
            "no IPv6 in the context",
            |image| image.write("root/etc/sysctl.d/60-ipv6.conf", OFF),
            None,
        ),
        (
            "a later file takes it back",
            |image| {
                with_ipv6(image);
                image.write("root/etc/sysctl.d/60-ipv6.conf", OFF);
                image.write(
                    "root/usr/lib/sysctl.d/70.conf",
                    "net.ipv6.conf.all.disable_ipv6=0\n",
                );
            },
            None,
        ),
        (
            "a file of the same name hides it",
            |image| {
                with_ipv6(image);
                image.write("root/usr/lib/sysctl.d/60-ipv6.conf", OFF);
                link(image, "root/etc/sysctl.d/60-ipv6.conf", "/dev/null");
            },
            None,
        ),
        (
            "networkd turns it on again",
            |image| {
                with_ipv6(image);
                manager(image, "systemd-networkd.service");
                image.write("root/etc/sysctl.d/60-ipv6.conf", OFF);
            },
            None,
        ),
        (
            "comments, another key, the loopback device",
            |image| {
                with_ipv6(image);
                let text = format!(
                    "# {OFF};{OFF}net.ipv6.conf.lo.disable_ipv6=1\nnet.ipv6.conf.all.forwarding=1\n"
                );
                image.write("root/etc/sysctl.d/60-ipv6.conf", &text);
                image.write(
                    "root/etc/default/grub",
                    "# ipv6.disable=1\nA=\"ipv6.disable=0\"\n",
                );
            },
            None,
        ),
    ]);
}

#[test]
fn what_renames_a_nic_is_named_where_files_go_by_names() {
    const LINK: &str = "[Match]\nMACAddress=02:00:0A:12:01:01\n[Link]\nName=lan0\n";
    assert_names(&[
        (
            "a .link file",
            |image| {
                manager(image, "networking.service");
                image.write(
                    "root/etc/network/interfaces",
                    "auto lo\niface lo inet loopback\n",
                );
                image.write("root/etc/systemd/network/10-lan.link", LINK);
            },
            Some("ETH0: /etc/systemd/network/10-lan.link: names the NIC lan0"),
        ),
        (
            "a rule of udev",
            |image| {
                manager(image, "networking.service");
                image.write(
                    "root/etc/network/interfaces",
                    "auto lo\niface lo inet loopback\n",
                );
                image.write(
                    "root/etc/udev/rules.d/70-persistent-net.rules",
                    "SUBSYSTEM==\"net\", ACTION==\"add\", ATTR{address}==\"02:00:0a:12:01:01\", NAME=\"eth0\"\n",
                );
            },
            Some("ETH0: /etc/udev/rules.d/70-persistent-net.rules: names the NIC eth0"),
        ),
        // Neighbours.
        (
            "networkd finds it by its MAC",
            |image| {
                manager(image, "systemd-networkd.service");
                image.write("root/etc/systemd/network/10-lan.link", LINK);
            },
            None,
        ),
        (
            "another NIC",
            |image| {
                manager(image, "networking.service");
                image.write(
                    "root/etc/network/interfaces",
                    "auto lo\niface lo inet loopback\n",
                );
                image.write(
                    "root/etc/systemd/network/10-lan.link",
                    &LINK.replace("12:01:01", "12:01:02"),
                );
            },
            None,
        ),
    ]);
}

#[test]
fn a_loopback_address_of_the_own_name_is_named() {
    fn named(image: &Image, hosts: &str) {
        let context = fs::read_to_string(image.path("context.sh")).unwrap();
        image.write(
            "context.sh",
            &format!("{context}SET_HOSTNAME='web1.example.org'\n"),
        );
        image.write("root/etc/hosts", hosts);
    }
    assert_names(&[
        (
            "of the installer",
            |image| {
                named(
                    image,
                    "127.0.0.1 localhost\n127.0.1.1\tweb1.example.org web1\n",
                )
            },
            Some("host name: /etc/hosts: the image gives web1.example.org a loopback address"),
        ),
        (
            "the static one",
            |image| named(image, "10.0.0.1 web1.example.org\n"),
            None,
        ),
        (
            "another name, and ours",
            |image| {
                named(
                    image,
                    "127.0.1.1 db1\n127.0.1.1 web1.example.org web1 # onecontext\n",
                )
            },
            None,
        ),
    ]);
}

#[test]
fn nics_that_share_a_network_are_named() {
    fn more(image: &Image, lines: &str) {
        let context = fs::read_to_string(image.path("context.sh")).unwrap();
        let mac = "ETH1_MAC='02:00:0a:12:01:02'\n";
        image.write("context.sh", &format!("{context}{mac}{lines}"));
    }
    assert_names(&[
        (
            "two NICs",
            |image| more(image, "ETH1_IP='10.0.0.2'\n"),
            Some("ETH1: its network 10.0.0.0/24 is that of ETH0 too"),
        ),
        (
            "another network",
            |image| more(image, "ETH1_IP='10.0.1.2'\n"),
            None,
        ),
        (
            "an alias in the network of its own NIC",
            |image| more(image, "ETH1_IP='10.0.1.2'\nETH1_ALIAS0_IP='10.0.1.3'\n"),
            None,
        ),
    ]);
}

#[test]
fn what_a_builder_left_is_named() {
    fn with_user(image: &Image) {
        let context = fs::read_to_string(image.path("context.sh")).unwrap();
        image.write("context.sh", &format!("{context}USERNAME='alice'\n"));
        image.write("root/usr/sbin/useradd", "");
    }
    assert_names(&[
        (
            "an empty lock",
            |image| {
                with_user(image);
                image.write("root/etc/passwd.lock", "");
            },
            Some("account: /etc/passwd.lock: "),
        ),
        (
            "a lock of a process that every boot has",
            |image| {
                with_user(image);
                image.write("root/etc/group.lock", "1\0");
            },
            Some("account: /etc/group.lock: "),
        ),
        (
            "autofs over the home",
            |image| image.write("root/etc/auto.master", "/root /etc/auto.root\n"),
            Some("keys for user: root: /etc/auto.master: autofs mounts /root"),
        ),
        // Neighbours.
        (
            "no user is made",
            |image| image.write("root/etc/passwd.lock", ""),
            None,
        ),
        (
            "a lock that is taken over, one that is cleared, and lckpwdf's own",
            |image| {
                with_user(image);
                image.write("root/etc/passwd.lock", "31017\0");
                image.write("root/etc/shadow.lock", "");
                image.write(
                    "root/usr/lib/tmpfiles.d/passwd.conf",
                    "r! /etc/shadow.lock\n",
                );
                image.write("root/etc/.pwd.lock", "");
            },
            None,
        ),
        (
            "autofs elsewhere",
            |image| image.write("root/etc/auto.master", "/net -hosts\n+auto.master\n"),
            None,
        ),
    ]);
}
