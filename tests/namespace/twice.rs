//! The program twice on one machine, and with another context in between: the files, the
//! mounts and the kernel's network are those of one run. src/boot/twice_tests.rs has many
//! roots and contexts.

use crate::tree::Tree;
use crate::*;

const B: &str = "ETH0_MAC=02:00:0a:12:01:01\nETH0_IP=10.18.1.2\nETH0_GATEWAY=10.18.1.253\n\
    DNS=1.0.0.1\nSET_HOSTNAME=b\nUSERNAME=alice\nUSERNAME_SUDO=NO\n";

/// What a run leaves: files, mounts, and the kernel's network. A report tells of its own
/// run only. Directories in which files of an earlier run were stay in the run directory.
fn look(guest: &Guest) -> (Tree, Vec<String>, [Vec<String>; 2]) {
    let mut tree = tree(&guest.top, &["root", "run"]);
    tree.retain(|path, (mode, ..)| path.starts_with("root") || *mode & 0o170000 != 0o040000);
    tree.remove(Path::new("run/onecontext/report"));
    let mounts = output(Command::new("cat").arg("/proc/self/mountinfo")).stdout;
    let mounts = String::from_utf8(mounts).unwrap();
    // NUMBER PARENT DEVICE ROOT POINT ...
    let mounts = mounts
        .lines()
        .map(|line| line.splitn(4, ' ').last().unwrap());
    let top = guest.top.to_str().unwrap();
    let mut mounts: Vec<_> = mounts
        .filter(|line| line.contains(top))
        .map(String::from)
        .collect();
    mounts.sort();
    (tree, mounts, [addresses("ens3"), routes("-4")])
}

/// A machine with sysvinit and ifupdown, which makes a user and has files of its own.
fn check(parameters: &str, mounted: &[&str]) {
    let mut guest = Guest::new();
    guest.kernel_line(parameters);
    guest.nic("ens3", "02:00:0a:12:01:01");
    let root = guest.top.join("root");
    fs::remove_file(root.join("sbin/init")).unwrap();
    for (file, text) in [
        ("sbin/init", ""),
        ("usr/sbin/useradd", ""),
        (
            "etc/inittab",
            "id:2:initdefault:\nl2:2:wait:/etc/init.d/rc 2\n",
        ),
        ("etc/hostname", "image\n"),
        ("etc/hosts", "127.0.0.1 localhost\n"),
        ("etc/resolv.conf", "nameserver 1.1.1.1\n"),
        ("etc/init.d/networking", ""),
        ("etc/rcS.d/S10networking", ""),
        (
            "etc/network/interfaces",
            "auto ens3\niface ens3 inet dhcp\n",
        ),
    ] {
        fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
        fs::write(root.join(file), text).unwrap();
    }
    let a = format!(
        "ETH0_MAC=02:00:0a:12:01:01\nETH0_IP=10.18.1.1\nETH0_GATEWAY=10.18.1.254\n\
         DNS=9.9.9.9\nSET_HOSTNAME=a\nUSERNAME=carol\nUSERNAME_SUDO=NO\nSSH_PUBLIC_KEY='{KEY}'\n"
    );
    let b = format!("{B}SSH_PUBLIC_KEY='{KEY} b'\n");
    guest.apply(&a);
    let once = look(&guest);
    let points: Vec<_> = (once.1.iter())
        .filter(|line| line.starts_with("/run/onecontext/copies/"))
        .map(|line| line.split(' ').nth(1).unwrap())
        .map(|point| point.strip_prefix(root.to_str().unwrap()).unwrap())
        .collect();
    assert_eq!(points, mounted);
    guest.apply(&a);
    let twice = look(&guest);
    assert_eq!(difference(&once.0, &twice.0), Vec::<&Path>::new());
    assert_eq!((&once.1, &once.2), (&twice.1, &twice.2));

    guest.apply(&b);
    let other = look(&guest);
    assert!(!difference(&once.0, &other.0).is_empty() && once.2 != other.2);
    guest.apply(&a);
    let again = look(&guest);
    // The directory and the file that were made for another user's keys.
    let made = [
        "root/home/alice/.ssh",
        "root/home/alice/.ssh/authorized_keys",
    ]
    .map(Path::new);
    let made = match parameters.is_empty() {
        true => &made[..],
        false => &[],
    };
    assert_eq!(difference(&once.0, &again.0), made);
    assert_eq!((&once.1, &once.2), (&again.1, &again.2));
}

#[test]
#[ignore = "needs root: make test-fast"]
fn on_a_root_that_is_written() {
    check("", &["/etc/inittab", "/etc/network/interfaces"]);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn on_a_root_that_must_not_be() {
    check(
        "onecontext.root=ro",
        &[
            "/etc/hostname",
            "/etc/hosts",
            "/etc/network/interfaces",
            "/etc/resolv.conf",
        ],
    );
}
