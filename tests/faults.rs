//! Each system call that reads the root fails once, one run after the other:
//! either that is said and the exit status is not 0, or the result is that of
//! the undisturbed run. Nothing is left out in silence.
#[path = "namespace/guest.rs"]
#[allow(dead_code, reason = "tests/namespace uses more of it")]
mod guest;
#[path = "support/release.rs"]
mod release;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use guest::Guest;
use nix::mount::{MntFlags, umount2};

const CONTEXT: &str = "ETH0_MAC='02:00:00:00:00:01'\nETH0_IP='10.0.0.1'\nDNS='9.9.9.9'\n\
    SET_HOSTNAME='web1'\nSSH_PUBLIC_KEY='ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl a'\n";

/// A file, a link or a directory: its mode, its owner, its content or target.
type Entry = (u32, (u32, u32), Vec<u8>);
/// All that is in a root and in its run directory, by path.
type Tree = BTreeMap<PathBuf, Entry>;

struct Machine {
    guest: Guest,
    /// As it is before a boot.
    fresh: Tree,
}

impl Machine {
    /// A root of which everything is looked at: links, presets and generators
    /// of systemd, scripts of runlevels, files of several network managers.
    /// `None`: there are no namespaces, or no strace.
    fn new(systemd: bool) -> Option<Self> {
        let strace = Command::new("strace")
            .args(["-o", "/dev/null", "true"])
            .output();
        if !strace.is_ok_and(|output| output.status.success()) {
            assert!(std::env::var_os("CI").is_none(), "strace does not run");
            eprintln!("skipped: strace does not run");
            return None;
        }
        let guest = Guest::new()?;
        guest.nic("ens3", "02:00:00:00:00:01");
        let root = guest.top.join("root");
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("etc/fstab", "/dev/vda1 / ext4\n/dev/vdb1 /srv ext4\n");
        write("etc/hostname", "image\n");
        write("etc/machine-id", "");
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
        write(
            "etc/sysconfig/network-scripts/ifcfg-lan",
            "DEVICE=ens3\nBOOTPROTO=dhcp\n",
        );
        fs::remove_dir_all(root.join("etc/systemd")).unwrap();
        fs::remove_file(root.join("etc/ssh/ssh_host_ed25519_key")).unwrap();
        write("usr/bin/ssh-keygen", "");
        if systemd {
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
        } else {
            fs::remove_file(root.join("sbin/init")).unwrap();
            write("sbin/init", "");
            write("etc/init.d/sshd", "ssh-keygen -A\n");
            for script in ["networking", "network"] {
                write(&format!("etc/init.d/{script}"), "");
                write(&format!("etc/rc3.d/S01{script}"), "");
            }
        }
        fs::write(guest.top.join("context.sh"), CONTEXT).unwrap();
        let fresh = tree(&guest.top);
        Some(Self { guest, fresh })
    }

    /// Boots the fresh machine under strace with these options. The exit
    /// status, what is there then, and what strace saw.
    fn boot(&mut self, options: &[&str]) -> (i32, Tree, String) {
        let top = &self.guest.top;
        // The files that were mounted over others.
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        for point in mounts.lines().map(|line| line.split(' ').nth(4).unwrap()) {
            if Path::new(point).starts_with(top.join("root")) {
                umount2(point, MntFlags::MNT_DETACH).unwrap();
            }
        }
        for name in ["root", "run"] {
            fs::remove_dir_all(top.join(name)).unwrap();
        }
        plant(top, &self.fresh);
        let log = top.join("strace");
        let status = Command::new("strace")
            .args(["-f", "-qq", "--seccomp-bpf", "-o"])
            .arg(&log)
            .args(options)
            .arg(release::binary())
            .args(["apply", "--root"])
            .arg(top.join("root"))
            .arg("--run")
            .arg(top.join("run"))
            .arg("--context")
            .arg(top.join("context.sh"))
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let _ = self.guest.log.read_to_end(&mut Vec::new());
        let seen = fs::read_to_string(&log).unwrap();
        (status.code().expect("an exit status"), tree(top), seen)
    }

    /// Lets each call of that name fail once.
    fn each_fails(&mut self, call: &str, error: &str) {
        let (status, good, _) = self.boot(&["-e", "trace=none"]);
        assert_eq!(
            status,
            0,
            "{}",
            fs::read_to_string(self.guest.top.join("run/onecontext/report")).unwrap_or_default()
        );
        for number in 1.. {
            let inject = format!("inject={call}:error={error}:when={number}");
            let trace = format!("trace={call}");
            let (status, tree, seen) = self.boot(&["-e", &trace, "-e", &inject]);
            let Some(failed) = seen.lines().find(|line| line.contains("(INJECTED)")) else {
                // There is no such call any more.
                assert!(number > 2, "{call} is never made");
                return;
            };
            assert!(error != "EINTR" || status == 0, "{failed}: {status}");
            if status == 0 {
                let paths = good.keys().chain(tree.keys());
                let differ = paths.filter(|path| good.get(*path) != tree.get(*path));
                assert_eq!(differ.collect::<Vec<_>>(), [""; 0], "{failed}");
            }
        }
    }
}

fn tree(top: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![PathBuf::from("root"), PathBuf::from("run")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder)).unwrap().map(Result::unwrap) {
            let path = folder.join(entry.file_name());
            let data = entry.path().symlink_metadata().unwrap();
            let content = if data.is_symlink() {
                fs::read_link(entry.path())
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if data.is_dir() {
                folders.push(path.clone());
                vec![]
            } else {
                fs::read(entry.path()).unwrap()
            };
            tree.insert(path, (data.mode(), (data.uid(), data.gid()), content));
        }
    }
    tree
}

/// Makes all of a tree. A directory sorts before what is in it.
fn plant(top: &Path, tree: &Tree) {
    for name in ["root", "run"] {
        fs::create_dir(top.join(name)).unwrap();
    }
    for (path, (mode, (uid, gid), content)) in tree {
        let path = top.join(path);
        match mode & 0o170000 {
            0o120000 => {
                symlink(std::str::from_utf8(content).unwrap(), &path).unwrap();
                continue;
            }
            0o040000 => fs::create_dir(&path).unwrap(),
            _ => fs::write(&path, content).unwrap(),
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777)).unwrap();
        nix::unistd::chown(&path, Some((*uid).into()), Some((*gid).into())).unwrap();
    }
}

/// All but openat2, of which there are most.
const OTHERS: [&str; 5] = ["openat", "readlinkat", "getdents64", "read", "fstat"];

#[test]
fn no_path_that_cannot_be_opened_is_left_out_in_silence() {
    if let Some(mut machine) = Machine::new(true) {
        machine.each_fails("openat2", "EIO");
    }
}

#[test]
fn no_call_that_fails_changes_the_result_in_silence() {
    if let Some(mut machine) = Machine::new(true) {
        for call in OTHERS {
            machine.each_fails(call, "EIO");
        }
    }
}

#[test]
fn so_it_is_without_systemd() {
    if let Some(mut machine) = Machine::new(false) {
        machine.each_fails("openat2", "EMFILE");
        for call in OTHERS {
            machine.each_fails(call, "EIO");
        }
    }
}

#[test]
fn an_interrupted_call_is_made_again() {
    if let Some(mut machine) = Machine::new(false) {
        // Those of the root; the others read the kernel's own files, too.
        for call in ["openat2", "readlinkat", "getdents64"] {
            machine.each_fails(call, "EINTR");
        }
    }
}
