//! A machine on which runs are disturbed: a root in which everything is looked at, in
//! namespaces of this thread, and the state that a run leaves.
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::guest::Guest;
use crate::release;
use crate::tree::{self, Tree, tree};
use nix::ifaddrs::getifaddrs;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::net::if_::InterfaceFlags;
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};

pub const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
const CONTEXT: &str = "ETH0_MAC='02:00:00:00:00:01'\nETH0_IP='10.0.0.1'\n\
    ETH0_GATEWAY='10.0.0.254'\nETH0_IP6='2001:db8::1'\nETH0_IP6_GATEWAY='2001:db8::fe'\n\
    ETH0_MTU='1400'\nDNS='9.9.9.9'\nSET_HOSTNAME='web1'\nUSERNAME='alice'\n";
/// The keys that an earlier boot with another context left.
const OLD_BLOCK: &str = "# onecontext: begin (keys of the context, made anew at each boot)\n\
    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl old\n\
    # onecontext: end\n";

/// The program that starts the services of the root.
#[derive(Clone, Copy, Debug)]
pub enum Init {
    Systemd,
    Scripts,
}

pub struct Machine {
    pub guest: Guest,
    /// Whether the root is a file system of its own, which is mounted read-only.
    pub is_read_only: bool,
    /// The files before a boot.
    pub fresh: Tree,
    /// The state after an undisturbed boot.
    pub good: State,
}

/// The state that a boot leaves.
#[derive(Clone, PartialEq)]
pub struct State {
    /// The root and the run directory, seen through the mounts there.
    pub files: Tree,
    pub addresses: BTreeSet<String>,
    /// Routes and IPv6 settings, as ip(8) and sysctl(8) print them.
    pub network: String,
    pub hostname: String,
}

/// The result of a boot.
pub struct Boot {
    pub status: i32,
    pub state: State,
    /// The root, without the mounts over its files.
    pub beneath: Tree,
    /// The kernel log and standard error.
    pub said: String,
    /// The output of strace.
    pub trace: String,
    /// Whether the root is mounted as it was.
    pub is_put_back: bool,
}

impl Machine {
    /// A root in which everything is looked at: links, presets and generators of
    /// systemd, scripts of runlevels, files of several network managers. `None`: there
    /// are no namespaces, or no strace.
    pub fn new(init: Init) -> Self {
        Self::with(init, "alice", false)
    }

    /// The same for a context with this user, who may be missing in the root, on a root
    /// that may be mounted read-only.
    pub fn with(init: Init, user: &str, is_read_only: bool) -> Self {
        let strace = Command::new("strace")
            .args(["-o", "/dev/null", "true"])
            .output();
        let is_there = strace.is_ok_and(|output| output.status.success());
        assert!(is_there, "strace does not run; run `make setup`");
        let guest = Guest::new();
        let root = guest.top.join("root");
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("etc/fstab", "/dev/vda1 / ext4\n/dev/vdb1 /srv ext4\n");
        write("etc/hostname", "image\n");
        write("etc/resolv.conf", "nameserver 192.0.2.1\n");
        write("etc/hosts", "127.0.0.1 localhost\n");
        write(
            "etc/ssh/sshd_config",
            "Include /etc/ssh/sshd_config.d/*.conf\n",
        );
        write("etc/ssh/sshd_config.d/10.conf", "HostKey /etc/ssh/key\n");
        write(
            "etc/network/interfaces",
            "auto lo\nsource-directory /etc/network/interfaces.d\n",
        );
        write(
            "etc/network/interfaces.d/ens3",
            "auto ens3\niface ens3 inet dhcp\n",
        );
        fs::remove_dir_all(root.join("etc/systemd")).unwrap();
        fs::remove_file(root.join("etc/ssh/ssh_host_ed25519_key")).unwrap();
        write("usr/bin/ssh-keygen", "");
        match init {
            Init::Systemd => {
                write("etc/machine-id", "uninitialized\n");
                let units = "usr/lib/systemd/system";
                let preset = "enable NetworkManager.service\ndisable *\n";
                write(&format!("{units}-preset/90-systemd.preset"), preset);
                write(&format!("{units}-generators/netplan"), "");
                write("etc/netplan/50.yaml", "network:\n  version: 2\n");
                for unit in [
                    "NetworkManager",
                    "networking",
                    "cloud-init-local",
                    "systemd-networkd",
                ] {
                    let text = "[Service]\n[Install]\nWantedBy=multi-user.target\n";
                    write(&format!("{units}/{unit}.service"), text);
                }
                let wants = root.join("etc/systemd/system/multi-user.target.wants");
                fs::create_dir_all(&wants).unwrap();
                let unit = "/usr/lib/systemd/system/networking.service";
                symlink(unit, wants.join("networking.service")).unwrap();
            }
            Init::Scripts => {
                write("etc/machine-id", "");
                fs::remove_file(root.join("sbin/init")).unwrap();
                write("sbin/init", "");
                write("etc/init.d/sshd", "ssh-keygen -A\n");
                write("etc/init.d/networking", "");
                write("etc/rc3.d/S01networking", "");
            }
        }
        let passwd = root.join("etc/passwd");
        let users = fs::read_to_string(&passwd).unwrap();
        fs::write(passwd, users + "bob:x:1001:1001::/home/bob:/bin/sh\n").unwrap();
        for (home, uid) in [("root", 0), ("home/bob", 1001)] {
            keys_of(&root.join(home), uid);
        }
        if user != "alice" {
            // What makes a user who is missing.
            write("etc/shadow", "root:*:1::::::\n");
            write("etc/group", "root:x:0:\n");
            write("etc/inittab", "l2:2:wait:/etc/init.d/rc 2\n");
            for program in ["usr/sbin/useradd", "usr/sbin/chpasswd", "bin/bash"] {
                write(program, "");
                let mode = fs::Permissions::from_mode(0o755);
                fs::set_permissions(root.join(program), mode).unwrap();
            }
        }
        let context = CONTEXT.replace("USERNAME='alice'", &format!("USERNAME='{user}'"));
        let context = format!("{context}SSH_PUBLIC_KEY='{KEY} new'\n");
        fs::write(guest.top.join("context.sh"), context).unwrap();
        let fresh = tree(&guest.top, &["root", "run"]);
        let mut machine = Self {
            good: state(&guest),
            guest,
            is_read_only,
            fresh,
        };
        let good = machine.boot(&["-e", "trace=none"]);
        assert_eq!(good.status, 0, "{}", good.said);
        assert!(good.is_put_back);
        machine.good = good.state;
        machine
    }

    /// Boots the fresh machine under strace with these options.
    pub fn boot(&mut self, options: &[&str]) -> Boot {
        let top = self.guest.top.clone();
        let root = top.join("root");
        self.unmount();
        if self.is_read_only {
            // That of an earlier boot, if there was one.
            let _ = umount2(&root, MntFlags::MNT_DETACH);
        }
        fs::remove_dir_all(&root).unwrap();
        fs::create_dir(&root).unwrap();
        if self.is_read_only {
            let tmpfs = Some("tmpfs");
            mount(tmpfs, &root, tmpfs, MsFlags::empty(), None::<&str>).unwrap();
        }
        tree::plant(&top, &root_of(&self.fresh));
        self.power_on();
        let log = top.join("strace");
        let mut strace = Command::new("timeout");
        strace.args(["60", "strace", "-f", "-y", "-qq", "--seccomp-bpf", "-o"]);
        strace.arg(&log).args(options);
        let (status, said) = self.apply(strace);
        let state = state(&self.guest);
        let is_put_back = self.is_put_back();
        Boot {
            status,
            state,
            beneath: self.beneath(),
            said,
            trace: fs::read_to_string(&log).unwrap(),
            is_put_back,
        }
    }

    /// A new boot: no mounts over files of the root, which is mounted as it always is;
    /// the run directory and the network as they were at first.
    pub fn power_on(&mut self) {
        self.unmount();
        let root = self.guest.top.join("root");
        if self.is_read_only {
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            mount(None::<&str>, &root, None::<&str>, flags, None::<&str>).unwrap();
        }
        let run = self.guest.top.join("run");
        fs::remove_dir_all(&run).unwrap();
        fs::create_dir(&run).unwrap();
        tree::plant(&self.guest.top, &part_of(&self.fresh, "run"));
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        nix::unistd::sethostname("image").unwrap();
        self.guest.nic("ens3", "02:00:00:00:00:01");
    }

    /// Boots the result of a boot again; returns the root's files.
    pub fn boot_again(&mut self) -> Tree {
        self.power_on();
        self.run_again();
        root_of(&tree(&self.guest.top, &["root", "run"]))
    }

    /// Runs the program without strace; returns its status and what it said.
    pub fn run_again(&mut self) -> (i32, String) {
        let mut timeout = Command::new("timeout");
        timeout.arg("60");
        self.apply(timeout)
    }

    /// Whether the root is mounted as it was.
    pub fn is_put_back(&self) -> bool {
        let flags = statvfs(&self.guest.top.join("root")).unwrap().flags();
        flags.contains(FsFlags::ST_RDONLY) == self.is_read_only
    }

    /// The root, without the mounts over its files, which stay.
    fn beneath(&self) -> Tree {
        let bare = self.guest.top.join("bare");
        fs::create_dir_all(bare.join("root")).unwrap();
        let (root, over) = (self.guest.top.join("root"), bare.join("root"));
        mount(
            Some(&root),
            &over,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .unwrap();
        let files = tree(&bare, &["root"]);
        umount2(&over, MntFlags::MNT_DETACH).unwrap();
        files
    }

    /// Runs the program by this command; returns its status and its output.
    fn apply(&mut self, mut command: Command) -> (i32, String) {
        self.guest.said();
        let top = &self.guest.top;
        let output = command
            .arg(release::initramfs())
            .args(["apply", "--root"])
            .arg(top.join("root"))
            .arg("--run")
            .arg(top.join("run"))
            .arg("--context")
            .arg(top.join("context.sh"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = self.guest.said() + &String::from_utf8_lossy(&output.stderr);
        // As a shell has it, if the program was killed.
        let signal = output.status.signal().map(|signal| 128 + signal);
        (output.status.code().or(signal).unwrap(), said)
    }

    /// Removes the mounts over files of the root.
    fn unmount(&self) {
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let root = self.guest.top.join("root");
        for point in mounts.lines().map(|line| line.split(' ').nth(4).unwrap()) {
            if Path::new(point).starts_with(&root) && Path::new(point) != root {
                umount2(point, MntFlags::MNT_DETACH).unwrap();
            }
        }
    }
}

pub fn root_of(files: &Tree) -> Tree {
    part_of(files, "root")
}

pub fn part_of(files: &Tree, top: &str) -> Tree {
    let part = files.iter().filter(|(path, _)| path.starts_with(top));
    part.map(|(path, entry)| (path.clone(), entry.clone()))
        .collect()
}

/// Keys of its own and an old block.
fn keys_of(home: &Path, uid: u32) {
    let folder = home.join(".ssh");
    let file = folder.join("authorized_keys");
    let mut made = fs::DirBuilder::new();
    made.recursive(true).mode(0o700).create(&folder).unwrap();
    fs::write(&file, format!("{KEY} own\n{OLD_BLOCK}")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for path in [home, &folder, &file] {
        nix::unistd::chown(path, Some(uid.into()), Some(uid.into())).unwrap();
    }
}

pub fn state(guest: &Guest) -> State {
    let mut addresses = BTreeSet::new();
    for interface in getifaddrs()
        .unwrap()
        .filter(|one| one.interface_name == "ens3")
    {
        // The kernel's own address, which appears at any time.
        let address = interface.address.as_ref();
        if address.is_some_and(|address| address.to_string().contains("[fe80:")) {
            continue;
        }
        let is_up = interface.flags.contains(InterfaceFlags::IFF_UP);
        let address = interface.address.map(|address| address.to_string());
        let mask = interface.netmask.map(|mask| mask.to_string());
        addresses.insert(format!("{is_up} {address:?} {mask:?}"));
    }
    let look = "ip -4 route show table main proto static; ip -6 route show table main proto static; \
        cd /proc/sys/net/ipv6/conf/ens3 && cat accept_ra autoconf disable_ipv6 mtu";
    let network = Command::new("sh").args(["-c", look]).output().unwrap();
    State {
        files: tree(&guest.top, &["root", "run"]),
        addresses,
        network: String::from_utf8(network.stdout).unwrap(),
        hostname: nix::unistd::gethostname().unwrap().into_string().unwrap(),
    }
}
