//! The search of the shipped binary for the context disk, among drives that fail: each
//! call that reads a drive fails once, or from then on. Either the failure is reported
//! and the exit status is not 0, or the context is applied as if nothing had happened.
//! A moment's failure of a drive never makes a drive of lower priority win.

use crate::guest;
use crate::release;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::guest::{Guest, bind};
use nix::mount::{MsFlags, mount};

const BLOB: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

/// A machine whose drives are regular files. Each has a context with a key of its own,
/// whose comment is the drive's name.
struct Machine(Guest);

/// The result of a boot.
#[derive(Debug, PartialEq)]
struct Boot {
    status: i32,
    /// The comments of the keys.
    keys: String,
    /// The lines about problems.
    said: Vec<String>,
}

impl Machine {
    /// This needs root.
    fn new(drives: &[&str]) -> Machine {
        for program in ["strace", "genisoimage"] {
            assert!(
                is_there(program),
                "{program} is not installed; run `make setup`"
            );
        }
        let guest = Guest::new();
        guest.nic("ens3", "02:00:00:00:00:01");
        let dev = guest.top.join("dev");
        for folder in ["dev", "block"] {
            fs::create_dir(guest.top.join(folder)).unwrap();
        }
        for (name, real) in [
            ("null", Path::new("/dev/null")),
            ("kmsg", &guest.top.join("kmsg")),
        ] {
            fs::write(dev.join(name), "").unwrap();
            bind(real, dev.join(name).to_str().unwrap());
        }
        for name in drives {
            fs::write(guest.top.join("block").join(name), "").unwrap();
            let folder = guest.top.join(format!("on-{name}"));
            fs::create_dir(&folder).unwrap();
            let text = format!(
                "ETH0_MAC='02:00:00:00:00:01'\nETH0_IP='10.0.0.1'\n\
                 SSH_PUBLIC_KEY='{BLOB} {name}'\n"
            );
            fs::write(folder.join("context.sh"), text).unwrap();
            let mut command = Command::new("genisoimage");
            command.args(["-quiet", "-J", "-R", "-V", "CONTEXT", "-o"]);
            guest::output(command.arg(dev.join(name)).arg(&folder));
        }
        bind(&guest.top.join("block"), "/sys/class/block");
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(&dev), "/dev", None::<&str>, flags, None::<&str>).unwrap();
        Machine(guest)
    }

    /// A boot in which strace tampers with calls that touch this path (strace(1),
    /// --inject); `None` if there was no such call.
    fn boot(&mut self, path: &str, inject: &str) -> Option<Boot> {
        let top = self.0.top.clone();
        for old in ["root/root/.ssh", "run/onecontext", "run/issue.d"] {
            let _ = fs::remove_dir_all(top.join(old));
        }
        self.0.said();
        let (call, _) = inject.split_once(':').unwrap();
        let trace = top.join("trace");
        let status = Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(&trace)
            .args(["-P", path, "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={inject}")])
            .arg(release::initramfs())
            .args(["apply", "--root"])
            .arg(top.join("root"))
            .arg("--run")
            .arg(top.join("run"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let keys = fs::read_to_string(top.join("root/root/.ssh/authorized_keys"));
        let keys: Vec<_> = keys.iter().flat_map(|keys| keys.lines()).collect();
        let keys = keys.iter().filter_map(|line| line.strip_prefix(BLOB));
        let said = self.0.said();
        let problems = said
            .lines()
            .filter_map(|line| line.strip_prefix("<3>onecontext: "));
        let trace = fs::read_to_string(trace).unwrap();
        trace.contains("INJECTED").then(|| Boot {
            status: status.code().expect("an exit status"),
            keys: keys.map(str::trim).collect(),
            said: problems.map(str::to_string).collect(),
        })
    }

    /// The boots in which the first such call fails, then the second, and so on.
    fn each(&mut self, path: &str, call: &str, fault: &str) -> Vec<Boot> {
        let number = |number| format!("{call}:{fault}:when={number}");
        let boots: Vec<_> = (1..)
            .map_while(|count| self.boot(path, &number(count)))
            .collect();
        assert!(!boots.is_empty(), "{call} is never made of {path}");
        boots
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn well(drive: &str) -> Boot {
    Boot {
        status: 0,
        keys: drive.to_string(),
        said: vec![],
    }
}

/// Whether the boot reported a problem of this drive, or of its files.
fn blames(boot: &Boot, drive: &str) -> bool {
    boot.status != 0 && boot.said.iter().any(|line| line.contains(drive))
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_drive_that_fails_for_a_moment() {
    let mut machine = Machine::new(&["sr0", "vdb"]);
    for (call, fault) in [
        ("openat", "error=ENXIO"),
        ("openat", "error=EIO"),
        ("openat", "error=EINTR"),
        ("pread64", "error=EIO"),
        ("pread64", "error=EINTR"),
        ("lseek", "error=EIO"),
        // CDS_DRIVE_NOT_READY.
        ("ioctl", "retval=3"),
    ] {
        for (number, boot) in machine.each("/dev/sr0", call, fault).iter().enumerate() {
            let text = call == "pread64" && fault == "error=EIO" && boot.keys.is_empty();
            match text {
                // A failure after the choice of the disk is reported.
                true => assert!(blames(boot, "/dev/sr0"), "{number}: {boot:?}"),
                false => assert_eq!(*boot, well("sr0"), "{call}, {fault}, {number}"),
            }
        }
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn the_named_drive_that_fails_for_a_moment() {
    let mut machine = Machine::new(&["sr0", "vdb"]);
    machine.0.kernel_line("onecontext.device=vdb");
    for (call, fault) in [
        ("openat", "error=ENXIO"),
        ("openat", "error=ENOENT"),
        ("pread64", "error=EIO"),
    ] {
        let boots = machine.each("/dev/vdb", call, fault);
        let (last, others) = boots.split_last().unwrap();
        for boot in others {
            assert_eq!(*boot, well("vdb"), "{call}, {fault}");
        }
        assert!(*last == well("vdb") || blames(last, "/dev/vdb"), "{last:?}");
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_drive_that_fails_for_good() {
    let mut machine = Machine::new(&["sr0", "vdb"]);
    for fault in [
        "openat:error=ENXIO",
        "openat:error=EIO",
        "pread64:error=EIO",
    ] {
        // The other drive is used instead.
        let boot = machine.boot("/dev/sr0", fault).unwrap();
        assert_eq!((boot.status, boot.keys.as_str()), (1, "vdb"), "{boot:?}");
        assert!(blames(&boot, "/dev/sr0"), "{boot:?}");
        // A drive that cannot win is not opened.
        assert_eq!(machine.boot("/dev/vdb", fault), None);
    }
    // An empty drive is no problem, nor is one too short for an image.
    for fault in [
        "openat:error=ENOMEDIUM",
        "ioctl:retval=1",
        "pread64:retval=0",
    ] {
        assert_eq!(
            machine.boot("/dev/sr0", fault),
            Some(well("vdb")),
            "{fault}"
        );
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn the_only_drive_fails_for_good() {
    let mut machine = Machine::new(&["vdb"]);
    for fault in [
        "openat:error=ENXIO",
        "openat:error=EIO",
        "pread64:error=EIO",
    ] {
        let boot = machine.boot("/dev/vdb", fault).unwrap();
        assert!(
            boot.keys.is_empty() && blames(&boot, "/dev/vdb"),
            "{boot:?}"
        );
    }
}

/// The medium disappears before its directory or its file is read.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_drive_that_vanishes() {
    let mut machine = Machine::new(&["sr0"]);
    let mut first = 1;
    while let Some(boot) = machine.boot("/dev/sr0", &format!("pread64:error=ENXIO:when={first}+")) {
        assert!(
            boot.keys.is_empty() && blames(&boot, "/dev/sr0"),
            "{boot:?}"
        );
        first += 1;
    }
    assert!(first > 3, "too few reads before the file: {first}");
}

#[test]
#[ignore = "needs root: make test-fast"]
fn drives_that_cannot_be_listed() {
    let mut machine = Machine::new(&["sr0"]);
    for fault in ["openat:error=EIO", "getdents64:error=EIO"] {
        let boot = machine.boot("/sys/class/block", fault).unwrap();
        assert!(
            boot.keys.is_empty() && blames(&boot, "/sys/class/block"),
            "{boot:?}"
        );
    }
    for boot in machine.each("/sys/class/block", "getdents64", "error=EINTR") {
        assert_eq!(boot, well("sr0"));
    }
}
