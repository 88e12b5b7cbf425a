//! Without a context disk, and without a device that could become one, `apply` does not
//! wait: it makes no call that sleeps. A clock would prove nothing on a busy machine.

use crate::release;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Every call that can sleep for a time. "?": not every architecture has it.
const SLEEPS: &str = "trace=clone,?poll,ppoll,?select,pselect6,?epoll_wait,epoll_pwait,nanosleep,\
    clock_nanosleep,timerfd_create,timerfd_settime";

/// A machine without block devices, as the program sees it.
struct Machine {
    top: PathBuf,
}

impl Machine {
    /// Makes it visible to this thread alone. This needs root.
    fn new() -> Machine {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).expect("new namespaces");
        assert!(
            is_there("strace"),
            "strace is not installed; run `make setup`"
        );
        let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).unwrap();
        let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
        // The mounts end with the namespace.
        let none = MsFlags::empty();
        mount(Some("tmpfs"), &top, Some("tmpfs"), none, None::<&str>).unwrap();
        for folder in ["block", "run", "root/etc", "root/run"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        for file in ["cmdline", "kmsg"] {
            fs::write(top.join(file), "").unwrap();
        }
        let machine = Machine { top };
        machine.bind("block", "/sys/class/block");
        machine.bind("cmdline", "/proc/cmdline");
        machine.bind("kmsg", "/dev/kmsg");
        machine.bind("run", "/run");
        machine
    }

    fn bind(&self, from: &str, to: &str) {
        let from = self.top.join(from);
        mount(
            Some(&from),
            to,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .unwrap();
    }

    /// Runs the program; returns its exit status, and the calls that may sleep.
    fn sleeps(&self, arguments: &[&str]) -> (i32, String) {
        let trace = self.top.join("trace");
        let status = Command::new("strace")
            .args(["-f", "-qq", "-e", SLEEPS, "-o"])
            .arg(&trace)
            .arg(release::program(arguments.iter().copied()))
            .args(arguments)
            .current_dir(&self.top)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let calls = fs::read_to_string(trace).unwrap();
        // Leaves out the calls of the parent process, which clones the one that does
        // the work and then only waits. strace also records exits and signals.
        let number = |line: &str| line.split(' ').next().unwrap_or_default().to_string();
        let waiting = calls.lines().find(|line| line.contains(" clone("));
        let waiting = waiting.map(number).unwrap_or_default();
        let calls = calls.lines().filter(|line| {
            !line.contains("+++ exited") && !line.contains("--- SIG") && number(line) != waiting
        });
        let calls = calls.map(|line| format!("{line}\n")).collect();
        (status.code().expect("an exit status"), calls)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.top, nix::mount::MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.top);
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).exists())
}

const APPLY: [&str; 3] = ["apply", "--root", "root"];

#[test]
#[ignore = "needs root: make test-fast"]
fn nothing_pending() {
    let machine = Machine::new();
    assert_eq!(machine.sleeps(&APPLY), (0, String::new()));
    // A plan needs no disk, so it does not wait either.
    assert_eq!(machine.sleeps(&["plan"]), (3, String::new()));
}

/// An early stage for the network does not wait for a disk either.
#[test]
#[ignore = "needs root: make test-fast"]
fn nothing_pending_in_the_early_stage() {
    let machine = Machine::new();
    fs::write(machine.top.join("cmdline"), "onecontext.early=keys\n").unwrap();
    assert_eq!(machine.sleeps(&["apply", "--early"]), (0, String::new()));
    let said = fs::read_to_string(machine.top.join("kmsg")).unwrap();
    assert!(said.contains("no context disk, nothing to do"), "{said}");
}

/// Once udev is done, a missing NIC will not come any more.
#[test]
#[ignore = "needs root: make test-fast"]
fn no_nic() {
    let machine = Machine::new();
    fs::write(
        machine.top.join("context.sh"),
        "ETH0_MAC=02:00:00:00:00:99\nETH0_IP=10.0.0.1\n",
    )
    .unwrap();
    let arguments = [&APPLY[..], &["--context", "context.sh"]].concat();
    assert_eq!(machine.sleeps(&arguments), (1, String::new()));
    let said = fs::read_to_string(machine.top.join("kmsg")).unwrap();
    assert!(said.contains("no network device has its MAC"), "{said}");
}

/// The same before udev is done: that wait is visible.
#[test]
#[ignore = "needs root: make test-fast"]
fn udev_is_busy() {
    let machine = Machine::new();
    fs::create_dir(machine.top.join("run/udev")).unwrap();
    fs::write(machine.top.join("run/udev/queue"), "").unwrap();
    fs::write(machine.top.join("cmdline"), "onecontext.wait=1\n").unwrap();
    let (_, calls) = machine.sleeps(&APPLY);
    assert!(calls.contains("nanosleep("), "{calls}");
}
