//! What the program takes while it waits: for a drive, a NIC, and DHCP servers that
//! never come. It never gives memory back, so no round of a wait may take any.
use crate::dhcp::{Far, mac};
use crate::guest::*;
use crate::{KEY, release};

use std::fs;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A process that waits.
struct Waiting {
    process: Child,
    since: Instant,
}

impl Waiting {
    /// Starts `apply`, with a run directory of its own.
    fn start(guest: &Guest, name: &str, options: &[&str]) -> Waiting {
        let run = guest.top.join(format!("run-{name}"));
        fs::create_dir(&run).unwrap();
        let process = Command::new(release::initramfs())
            .args(["apply", "--root"])
            .arg(guest.top.join("root"))
            .arg("--run")
            .arg(run)
            .args(options)
            .spawn()
            .unwrap();
        Waiting {
            process,
            since: Instant::now(),
        }
    }

    /// The anonymous memory, in KiB, of the process and of its child, which does the
    /// work, this long after the start. It is what they have touched so far, and so the
    /// peak, too. `VmHWM` would not do: the kernel counts only roughly for it.
    fn memory(&self, seconds: u64) -> [u64; 2] {
        let moment = self.since + Duration::from_secs(seconds);
        sleep(moment.saturating_duration_since(Instant::now()));
        let parent = self.process.id();
        let children = format!("/proc/{parent}/task/{parent}/children");
        let child = fs::read_to_string(children).unwrap();
        [parent, child.trim().parse().expect("one child")].map(|process| {
            let map = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
            let line = map.lines().find_map(|line| line.strip_prefix("Anonymous:"));
            let size = line.unwrap().trim().strip_suffix(" kB");
            size.unwrap().parse().unwrap()
        })
    }

    /// Its exit status, and how long it ran.
    fn end(mut self) -> (i32, Duration) {
        let status = self.process.wait().unwrap();
        (status.code().expect("an exit status"), self.since.elapsed())
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn waits_take_no_memory() {
    let mut guest = Guest::new();
    let far = Far::new(&guest, "");
    far.cable(1);
    let context = |name: &str, text: &str| {
        let path = guest.top.join(name);
        fs::write(&path, format!("{text}\nSSH_PUBLIC_KEY='{KEY}'\n")).unwrap();
        path.to_str().unwrap().to_string()
    };
    let nic = context("nic.sh", "ETH0_MAC=02:00:00:00:00:99\nETH0_IP=10.0.0.1");
    let dhcp = context("dhcp.sh", &format!("ETH1_MAC={}\nETH1_METHOD=dhcp", mac(1)));
    // udev never becomes ready, and two devices never get a node.
    for folder in ["udev", "block", "block/vdzz", "block/sr99"] {
        fs::create_dir(guest.top.join(folder)).unwrap();
    }
    fs::write(guest.top.join("udev/queue"), "").unwrap();
    fs::create_dir_all("/run/udev").unwrap();
    bind(&guest.top.join("udev"), "/run/udev");
    bind(&guest.top.join("block"), "/sys/class/block");
    guest.kernel_line("onecontext=require onecontext.wait=20");

    let for_drive = Waiting::start(&guest, "drive", &[]);
    let for_nic = Waiting::start(&guest, "nic", &["--context", &nic]);
    let for_servers = Waiting::start(&guest, "dhcp", &["--context", &dhcp]);
    let all = [&for_drive, &for_nic, &for_servers];
    let early = all.map(|waiting| waiting.memory(3));
    // After the fifth request.
    assert_eq!(for_servers.memory(12), early[2]);
    assert_eq!(
        [&for_drive, &for_nic].map(|waiting| waiting.memory(17)),
        early[..2]
    );

    let mut log = String::new();
    for (waiting, expected, said) in [
        (for_drive, 3, "context disk: waited 20 s: udev still has"),
        (for_nic, 1, "no network device has its MAC"),
        (for_servers, 1, "ETH1 (ens1): no address by DHCP: no server"),
    ] {
        let (status, took) = waiting.end();
        log += &guest.said();
        assert!(status == expected && log.contains(said), "{status}: {log}");
        assert!(took >= Duration::from_secs(14), "{said}: {took:?}");
    }
}
