//! `onecontext live` and `status` of the shipped binary, in a root of their own, with
//! something changed after the context was applied.
use crate::guest::*;
use crate::release;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use nix::mount::{MsFlags, mount};
use serde_json::Value;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl a@b";

/// A machine after its switch: the root of the guest is its root.
struct Booted {
    guest: Guest,
    /// What listens on the port of sshd.
    sshd: Option<TcpListener>,
}

impl Booted {
    /// A machine with this context and a user `alice` who has its key.
    fn new(more: &str) -> Self {
        let mut guest = Guest::new();
        guest.nic("ens3", "02:00:0a:12:01:01");
        guest.apply_well(&format!(
            "ETH0_MAC=02:00:0a:12:01:01\nETH0_IP=10.18.1.1\nETH0_GATEWAY=10.18.1.254\n\
             ETH0_METRIC=100\nETH0_IP6=2001:db8:1::a\nETH0_MTU=1400\nUSERNAME=alice\n\
             SSH_PUBLIC_KEY='{KEY}'\n{more}"
        ));
        let booted = Self {
            sshd: Some(TcpListener::bind("0.0.0.0:22").unwrap()),
            guest,
        };
        let root = booted.root();
        for (from, to) in [
            (&booted.guest.top.join("run"), "run"),
            (&PathBuf::from("/proc"), "proc"),
            (&PathBuf::from("/dev"), "dev"),
        ] {
            fs::create_dir_all(root.join(to)).unwrap();
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(
                Some(from),
                &root.join(to),
                None::<&str>,
                flags,
                None::<&str>,
            )
            .unwrap();
        }
        // Where the context was read.
        let disk = root.join(booted.guest.top.strip_prefix("/").unwrap());
        fs::create_dir_all(&disk).unwrap();
        fs::copy(booted.guest.top.join("context.sh"), disk.join("context.sh")).unwrap();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::copy(release::binary(), root.join("usr/bin/onecontext")).unwrap();
        booted
    }

    fn root(&self) -> PathBuf {
        self.guest.top.join("root")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // It sees no process of the machine that runs the test, such as its sshd.
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork"]);
        let proc = self.root().join("proc");
        command.arg(format!("--mount-proc={}", proc.display()));
        command.arg("chroot").arg(self.root());
        command.arg("/usr/bin/onecontext").args(arguments);
        command
    }

    /// A run: its exit status, and what it says.
    fn live(&mut self) -> (i32, String) {
        self.guest.said();
        let status = self.command(&["live"]).status().unwrap();
        (status.code().unwrap(), self.guest.said())
    }

    fn status(&self) -> (i32, String) {
        let output = self.command(&["status"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    }

    /// The row of the table that begins so.
    #[track_caller]
    fn row(&self, start: &str) -> String {
        let (_, text) = self.status();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut rows = text.lines().map(words);
        rows.find(|row| row.starts_with(start))
            .unwrap_or_else(|| panic!("{start}: {text}"))
    }
}

const WELL: &str = "all is as the context says\n";

#[test]
#[ignore = "needs root: make test-fast"]
fn a_run_that_finds_nothing_writes_nothing() {
    let mut booted = Booted::new("SET_HOSTNAME=web1\n");
    let folder = booted.guest.top.join("run/onecontext");
    let (code, text) = booted.status();
    assert!(text.starts_with("a context was applied, and not yet compared"));
    assert_eq!(code, 0);
    assert_eq!(booted.live(), (0, String::new()));
    let (code, text) = booted.status();
    assert!(text.starts_with(WELL) && code == 0, "{text}");
    assert_eq!(mode(&folder.join("plan")).0, 0o644);
    let plan = fs::read_to_string(folder.join("plan")).unwrap();
    assert!(plan.contains("link ETH0 mac 02:00:0a:12:01:01 device ens3 mtu 1400 "));
    assert_eq!(booted.live(), (0, String::new()));
    let look = || {
        ["plan", "live", "record", "report"].map(|name| {
            let data = fs::metadata(folder.join(name)).unwrap();
            (data.ino(), data.mtime(), data.mtime_nsec())
        })
    };
    let before = look();
    assert_eq!(booted.live(), (0, String::new()));
    assert_eq!(look(), before);
    // Every user sees the same, also by a program.
    let mut of_nobody = Command::new("chroot");
    of_nobody.arg("--userspec=65534:65534").arg(booted.root());
    let said = output(of_nobody.args(["/usr/bin/onecontext", "status"]));
    assert_eq!(String::from_utf8(said.stdout).unwrap(), text);
    let json = booted.command(&["status", "--json"]).output().unwrap();
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["status"], "as planned");
    let rows = json["rows"].as_array().unwrap();
    let address = rows.iter().find(|row| row["check"] == "address").unwrap();
    assert_eq!(address["verdict"], "same");
    assert_eq!(address["plan"], "ens3 10.18.1.1/24");
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_a_manager_took_is_added_in_the_first_runs_alone() {
    let mut booted = Booted::new("");
    let missing = "after the boot: address ens3 10.18.1.1/24 was missing; added";
    let lost = "after the boot: default ens3 default via 10.18.1.254 metric 100 \
                was missing, and there is no other; added";
    // The routes go with the address.
    for _ in 0..2 {
        ip("address del 10.18.1.1/24 dev ens3");
        let (code, said) = booted.live();
        assert!(said.contains(missing) && said.contains(lost), "{said}");
        assert_eq!(code, 0, "{said}");
        assert_eq!(addresses("ens3"), ["10.18.1.1/24", "2001:db8:1::a/64"]);
        assert_eq!(
            routes("-4"),
            ["default via 10.18.1.254 dev ens3 metric 100"]
        );
        assert_eq!(booted.status().0, 0);
    }
    // Who takes it away now means it.
    ip("address del 10.18.1.1/24 dev ens3");
    let (code, said) = booted.live();
    assert!(
        said.contains("address ens3 10.18.1.1/24: missing"),
        "{said}"
    );
    assert_eq!(code, 1, "{said}");
    assert_eq!(addresses("ens3"), ["2001:db8:1::a/64"]);
    assert!(
        booted
            .row("WRONG address ens3 10.18.1.1/24 missing ")
            .ends_with(" UTC")
    );
    // It is said once.
    assert_eq!(booted.live(), (1, String::new()));
    assert_eq!(booted.status().0, 1);
}

/// Ends a child that a test started.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_somebody_takes_away_each_time_is_not_added_a_fourth_time() {
    let mut booted = Booted::new("");
    let remover = "for turn in $(seq 300); do ip address del 10.18.1.1/24 dev ens3; sleep .1; done";
    let remover = Command::new("sh").args(["-c", remover]).spawn().unwrap();
    let _remover = Ended(remover);
    while addresses("ens3").len() == 2 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let (code, said) = booted.live();
    assert_eq!(
        said.matches("10.18.1.1/24 was missing; added").count(),
        3,
        "{said}"
    );
    assert_eq!(code, 1, "{said}");
    let (code, said) = booted.live();
    let each_time = "address ens3 10.18.1.1/24: missing; added three times, and removed each time";
    assert_eq!(code, 1, "{said}");
    assert!(!said.contains("; added\n"), "{said}");
    assert!(said.contains(each_time) || booted.row("WRONG address").contains("missing"));
}

/// What is changed, the row of the table, the exit status of a run and of `status`.
type Situation = (&'static str, fn(&mut Booted), &'static str, [i32; 2]);

const SITUATIONS: [Situation; 13] = [
    (
        "a better default route of another program",
        |_| ip("route add default via 10.18.1.77 metric 50 proto dhcp"),
        "note best ens3 default via 10.18.1.254 metric 100 \
         a better one: default via 10.18.1.77 metric 50 on ens3, by DHCP",
        [0, 0],
    ),
    (
        "IPv6 is taken off the device",
        |_| {
            let path = "/proc/sys/net/ipv6/conf/ens3/disable_ipv6";
            output(Command::new("sh").args(["-c", &format!("echo 1 >{path}")]));
        },
        "WRONG address ens3 2001:db8:1::a/64 missing: net.ipv6.conf.ens3.disable_ipv6 is 1",
        [1, 1],
    ),
    (
        "another MTU",
        |_| ip("link set ens3 mtu 1300"),
        "differs mtu ens3 1400 1300",
        [0, 1],
    ),
    (
        "another address beside ours",
        |_| ip("address add 192.0.2.7/24 dev ens3"),
        "differs foreign ens3 192.0.2.7/24 too",
        [0, 1],
    ),
    (
        "the link is down",
        |_| ip("link set ens3 down"),
        "WRONG address ens3 10.18.1.1/24 ens3 is down",
        [1, 1],
    ),
    (
        "a file system over the home of the user",
        |booted| {
            let none = None::<&str>;
            let home = booted.root().join("home");
            mount(Some("tmpfs"), &home, Some("tmpfs"), MsFlags::empty(), none).unwrap();
        },
        "differs keys alice, 1 key there is no /home/alice/.ssh/authorized_keys; \
         a file system is mounted at /home",
        [1, 1],
    ),
    (
        "sshd does not listen",
        |booted| booted.sshd = None,
        "WRONG ssh port 22 nothing listens",
        [1, 1],
    ),
    (
        "sshd listens for this machine alone",
        |booted| {
            booted.sshd = None;
            booted.sshd = Some(TcpListener::bind("127.0.0.1:22").unwrap());
        },
        "WRONG ssh port 22 nothing listens",
        [1, 1],
    ),
    (
        "sshd listens on the port of its configuration",
        |booted| {
            booted.sshd = Some(TcpListener::bind("10.18.1.1:2200").unwrap());
            let config = "ListenAddress 10.18.1.1:2200\nPort 22\n";
            fs::write(booted.root().join("etc/ssh/sshd_config"), config).unwrap();
        },
        "ok ssh port 2200 something listens",
        [0, 0],
    ),
    (
        "the port of sshd is not known",
        |booted| {
            booted.sshd = None;
            fs::write(booted.root().join("etc/ssh/sshd_config"), "Port ssh\n").unwrap();
        },
        "? ssh port 22 nothing listens there, but sshd_config has the name of a port",
        [0, 0],
    ),
    (
        "the user is gone",
        |booted| {
            let path = booted.root().join("etc/passwd");
            fs::write(path, "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        },
        "differs keys alice, 1 key there is no such user",
        [1, 1],
    ),
    (
        "a shell that lets nobody in",
        |booted| {
            let path = booted.root().join("etc/passwd");
            let text = "alice:x:1000:1000::/home/alice:/usr/sbin/nologin\n";
            fs::write(path, text).unwrap();
        },
        "differs keys alice, 1 key its shell lets nobody in: /usr/sbin/nologin",
        [1, 1],
    ),
    (
        "somebody wrote the keys anew",
        |booted| {
            let path = booted.root().join("home/alice/.ssh/authorized_keys");
            fs::write(path, "ssh-ed25519 AAAA other\n").unwrap();
        },
        "differs keys alice, 1 key they are not in /home/alice/.ssh/authorized_keys",
        [1, 1],
    ),
];

#[test]
#[ignore = "needs root: make test-fast"]
fn what_differs_is_named() {
    for (name, change, row, [run, status]) in SITUATIONS {
        let mut booted = Booted::new("");
        change(&mut booted);
        let look = || (addresses("ens3"), routes("-4"), routes("-6"));
        let before = look();
        let (code, said) = booted.live();
        assert_eq!(code, run, "{name}: {said}");
        let found = booted.row(row);
        assert!(found.ends_with(" UTC"), "{name}: {found}");
        assert_eq!(booted.status().0, status, "{name}");
        // Nothing of anybody else is touched.
        assert_eq!(look(), before, "{name}");
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn another_context_and_none() {
    let mut booted = Booted::new("");
    booted.live();
    let disk = booted.root();
    let disk = disk.join(booted.guest.top.strip_prefix("/").unwrap());
    let context = disk.join("context.sh");
    let text = fs::read_to_string(&context).unwrap();
    fs::write(&context, text.replace("10.18.1.1", "10.18.1.2")).unwrap();
    assert_eq!(booted.live().0, 0);
    let another = "another is there; it takes effect at the next boot";
    assert!(booted.row("note context /").contains(another));
    assert_eq!(booted.status().0, 0);
    assert_eq!(addresses("ens3"), ["10.18.1.1/24", "2001:db8:1::a/64"]);
    fs::remove_file(&context).unwrap();
    assert_eq!(booted.live().0, 0);
    assert!(
        booted
            .row("? context /")
            .contains("cannot be read any more")
    );
    // Without a record there was no context.
    let folder: &Path = &booted.guest.top.join("run/onecontext");
    for name in ["record", "plan", "live"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    assert_eq!(booted.live(), (0, String::new()));
    let (code, text) = booted.status();
    assert_eq!((code, &*text), (0, "no context was applied in this boot\n"));
    assert!(!folder.join("live").exists());
    let bits = fs::metadata(folder).unwrap().permissions().mode();
    assert_eq!(bits & 0o777, 0o755);
}
