//! Twice is once: `apply` twice on one root, and `apply` with the contexts A, B, A, leave
//! the same files and mounts as `apply` of A, for every manager and every kind of root.
//!
//! Roots and contexts are put together at random, from a fixed seed. Devices are made up,
//! and the kernel's network is not set.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};

use super::*;
use crate::base::text::c_str;
use crate::image::testing::{Attribute, Fixture, in_own_mounts, seal};
use crate::plan::bound::{BoundLink, Lease};
use crate::plan::device::named;
use crate::plan::{Method, Prefix};

#[path = "../../tests/support/random.rs"]
mod random;
use random::Random;

const CASES: u64 = 400;
const NONE: Option<&str> = None;

impl Random {
    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    /// Whether something is so that is so once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// How the root is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Writable,
    /// Read-only, until it is remounted.
    ReadOnly,
    /// An overlay without an upper layer, as read-only as squashfs.
    Overlay,
    /// Below a read-only mount, which cannot be remounted from here.
    Bind,
    /// `onecontext.root=ro`.
    MustNot,
    /// One of its files is immutable (chattr(1)).
    Immutable,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Writable,
        Self::ReadOnly,
        Self::Overlay,
        Self::Bind,
        Self::MustNot,
        Self::Immutable,
    ];

    /// Whether the root's own files are written.
    fn is_written(self) -> bool {
        matches!(self, Self::Writable | Self::ReadOnly | Self::Immutable)
    }

    fn policy(self) -> Policy {
        match self {
            Self::MustNot => Policy::ReadOnly,
            _ => Policy::Auto,
        }
    }
}

/// What images have, each a name and what it puts in the root.
type Part = (&'static str, fn(&Fixture));

const INITS: [Part; 4] = [
    ("systemd", |root| {
        root.file("usr/lib/systemd/systemd", "");
        root.link("sbin/init", "../usr/lib/systemd/systemd");
    }),
    ("sysvinit", |root| {
        root.file("sbin/init", "");
        let text = "id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\nl2:2:wait:/etc/init.d/rc 2\n";
        root.file("etc/inittab", text);
    }),
    ("busybox", |root| {
        root.link("sbin/init", "/bin/busybox");
        root.file("bin/busybox", "");
        let text = "::sysinit:/sbin/openrc sysinit\n::wait:/sbin/openrc default\n";
        root.file("etc/inittab", text);
    }),
    ("no known init", |_| {}),
];

/// Enables a unit, and a script for other inits.
fn enable(root: &Fixture, unit: &str, script: &str) {
    let path = format!("/usr/lib/systemd/system/{unit}");
    root.file(&path, "[Service]\n");
    let wants = "etc/systemd/system/multi-user.target.wants";
    root.link(&format!("{wants}/{unit}"), &path);
    if !script.is_empty() {
        root.file(&format!("etc/init.d/{script}"), "");
        root.link(
            &format!("etc/rc2.d/S10{script}"),
            &format!("../init.d/{script}"),
        );
    }
}

fn ifupdown(root: &Fixture, interfaces: &str) {
    enable(root, "networking.service", "networking");
    root.file("etc/network/interfaces", interfaces);
}

const MANAGERS: [Part; 13] = [
    ("no manager", |_| {}),
    ("networkd", |root| {
        enable(root, "systemd-networkd.service", "")
    }),
    ("networkd that is not enabled", |root| {
        root.file("usr/lib/systemd/systemd-networkd", "");
        let unit = "usr/lib/systemd/system/systemd-networkd.service";
        root.file(unit, "[Service]\n");
    }),
    ("NetworkManager", |root| {
        enable(root, "NetworkManager.service", "network-manager")
    }),
    ("ifupdown", |root| {
        ifupdown(root, "auto lo\niface lo inet loopback\n")
    }),
    ("ifupdown with a directory in /run", |root| {
        ifupdown(root, "source /run/network/interfaces.d/*\nauto lo\n");
    }),
    ("ifupdown with our NICs", |root| {
        let text = "source /etc/network/interfaces.d/*\nsource-directory interfaces.d\n\
            auto lo ens3\niface ens3 inet dhcp\n\tmetric 3\niface ens9 inet dhcp";
        ifupdown(root, text);
        let text = "auto ens4\niface ens4 inet static\n\taddress 10.0.0.1/8\n";
        root.file("etc/network/interfaces.d/50-cloud-init", text);
    }),
    ("dhcpcd", |root| {
        enable(root, "dhcpcd.service", "dhcpcd");
        root.file("etc/dhcpcd.conf", "hostname\ninterface ens9\nmetric 7");
    }),
    ("ifupdown and NetworkManager", |root| {
        ifupdown(root, "allow-hotplug ens3\niface ens3 inet dhcp\n");
        enable(root, "NetworkManager.service", "network-manager");
    }),
    ("ifupdown and dhcpcd", |root| {
        ifupdown(root, "iface ens3 inet manual\n");
        enable(root, "dhcpcd.service", "dhcpcd");
        root.file("etc/dhcpcd.conf", "");
    }),
    ("netplan with networkd", |root| {
        netplan(root, "network:\n  version: 2\n");
        root.file(
            "usr/lib/systemd/system/systemd-networkd.service",
            "[Service]\n",
        );
    }),
    ("netplan with NetworkManager", |root| {
        netplan(root, "network:\n  renderer: NetworkManager\n");
        enable(root, "NetworkManager.service", "network-manager");
    }),
    ("wicked", |root| enable(root, "wicked.service", "")),
];

fn netplan(root: &Fixture, text: &str) {
    root.file("usr/lib/systemd/system-generators/netplan", "");
    root.file("etc/netplan/01.yaml", text);
}

const RESOLV_CONF: &str = "etc/resolv.conf";
const RESOLVERS: [Part; 6] = [
    ("a file", |root| {
        root.file(RESOLV_CONF, "nameserver 1.1.1.1\n")
    }),
    ("no resolv.conf", |_| {}),
    ("resolved", |root| {
        enable(root, "systemd-resolved.service", "");
        root.link(RESOLV_CONF, "../run/systemd/resolve/stub-resolv.conf");
    }),
    ("resolved that is not enabled", |root| {
        root.link(RESOLV_CONF, "/run/systemd/resolve/stub-resolv.conf");
    }),
    ("resolvconf", |root| {
        root.link(RESOLV_CONF, "../run/resolvconf/resolv.conf")
    }),
    ("NetworkManager's", |root| {
        root.link(RESOLV_CONF, "/run/NetworkManager/resolv.conf")
    }),
];

const KEY_FILE: &str = "home/alice/.ssh/authorized_keys";

fn alice_s_file(root: &Fixture, content: &str) {
    root.file(KEY_FILE, content);
    root.access("home/alice/.ssh", 0o700, 1000, 100);
    root.access(KEY_FILE, 0o600, 1000, 100);
}

/// Any number of these.
const DETAILS: [Part; 14] = [
    ("a host name", |root| root.file("etc/hostname", "image\n")),
    ("hosts", |root| {
        root.file("etc/hosts", "127.0.0.1 localhost")
    }),
    ("nss-myhostname", |root| {
        root.file("etc/nsswitch.conf", "hosts: files myhostname\n");
    }),
    ("keys of its own", |root| alice_s_file(root, "image\n")),
    ("no home of bob", |root| {
        fs::remove_dir_all(root.host("home/bob")).unwrap()
    }),
    ("/home mounted later", |root| {
        root.file("etc/fstab", "LABEL=home /home ext4 defaults 0 2\n");
    }),
    ("no host keys", |root| {
        fs::remove_file(root.host("etc/ssh/ssh_host_ed25519_key")).unwrap();
    }),
    ("an SSH server that is not enabled", |root| {
        let wants = "etc/systemd/system/multi-user.target.wants/ssh.service";
        fs::remove_file(root.host(wants)).unwrap();
    }),
    ("no sshd", |root| {
        fs::remove_file(root.host("usr/sbin/sshd")).unwrap()
    }),
    ("sshd with another file of keys", |root| {
        let text = "Include /etc/ssh/sshd_config.d/*.conf\nUseDNS no\n";
        root.file("etc/ssh/sshd_config", text);
        let text = "AuthorizedKeysFile .ssh/a\n";
        root.file("etc/ssh/sshd_config.d/a.conf", text);
        root.link("etc/ssh/moduli", "../moduli");
    }),
    ("cloud-init", |root| {
        enable(root, "cloud-init-local.service", "cloud-init-local");
    }),
    ("no tools for users", |root| {
        fs::remove_file(root.host("usr/sbin/useradd")).unwrap()
    }),
    ("no sudo", |root| {
        fs::remove_file(root.host("usr/bin/sudo")).unwrap()
    }),
    ("something in the run directory", |root| {
        root.file("run/systemd/network/00-other.network", "[Match]\n");
        root.link("run/systemd/system/other.service", "/usr/lib/other.service");
        root.file("run/onecontext-other", "");
    }),
];

/// What every image has.
fn base(root: &Fixture) {
    let users = "root:x:0:0:root:/root:/bin/bash\nmail:x:8:8::/var/mail:/usr/sbin/nologin\n\
        alice:x:1000:100::/home/alice:/bin/bash\nbob:x:1001:100::/home/bob:/bin/sh\n";
    root.file("etc/passwd", users);
    root.file("etc/shadow", "root:*:1::::::\nalice:$1$old:1::::::\n");
    root.file("etc/group", "users:x:100:\n");
    for (home, uid) in [("root", 0), ("home/alice", 1000), ("home/bob", 1001)] {
        root.directory(home);
        root.access(home, 0o755, uid, 100);
    }
    root.file("etc/sudoers", "@includedir /etc/sudoers.d\n");
    root.directory("etc/sudoers.d");
    for program in [
        "bin/bash",
        "usr/bin/sudo",
        "usr/bin/ssh-keygen",
        "usr/sbin/chpasswd",
        "usr/sbin/sshd",
        "usr/sbin/useradd",
        "usr/sbin/visudo",
    ] {
        root.file(program, "");
    }
    root.file("etc/ssh/ssh_host_ed25519_key", "secret");
    enable(root, "ssh.service", "");
}

/// The text of a context.
fn context(random: &mut Random) -> String {
    let mut text = String::new();
    let mut add = |line: String| text += &(line + "\n");
    if random.once_in(2) {
        add(format!(
            "SET_HOSTNAME={}",
            random.of(&["web1.example.org", "b"])
        ));
    }
    if random.once_in(2) {
        add(format!("DNS={}", random.of(&["9.9.9.9", "1.0.0.1 ::53"])));
    }
    let key = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    if !random.once_in(4) {
        let options = random.of(&["", "", "no-pty "]);
        let owner = random.of(&["a", "b"]);
        add(format!(
            "SSH_PUBLIC_KEY='{options}ssh-ed25519 {key} {owner}'"
        ));
    }
    if random.once_in(2) {
        add(format!(
            "USERNAME={}",
            random.of(&["alice", "bob", "carol"])
        ));
    }
    if random.once_in(3) {
        add(format!("USERNAME_SUDO={}", random.of(&["YES", "NO"])));
    }
    if random.once_in(3) {
        let password = [
            "PASSWORD=hunter2",
            "CRYPTED_PASSWORD='$1$old'",
            "CRYPTED_PASSWORD='$1$new'",
            "USERNAME_PASSWORD_RESET=YES",
        ];
        add(random.of(&password).to_string());
    }
    if random.once_in(4) {
        add(format!(
            "INIT_SCRIPTS='{}'",
            random.of(&["a.sh", "a.sh b c"])
        ));
    }
    if random.once_in(4) {
        add(format!("START_SCRIPT='echo {}'", random.of(&["a", "b"])));
    }
    let first = random.below(2);
    for number in first..first + random.below(3) {
        let mac = format!("02:00:0a:12:0{number}:01");
        add(format!("ETH{number}_MAC={mac}"));
        if !random.once_in(3) {
            let last = random.of(&[1, 2]);
            add(format!("ETH{number}_IP=10.18.{number}.{last}"));
            add(format!("ETH{number}_GATEWAY=10.18.{number}.254"));
        }
        let method = random.of(&["", "", "static", "dhcp", "skip"]);
        add(format!("ETH{number}_METHOD={method}"));
        let method = random.of(&["", "", "static", "auto", "dhcp", "disable"]);
        add(format!("ETH{number}_IP6_METHOD={method}"));
        if random.once_in(3) {
            add(format!("ETH{number}_IP6=2001:db8::{number}"));
        }
        if random.once_in(3) {
            add(format!("ETH{number}_DNS=10.18.{number}.253"));
            add(format!("ETH{number}_MTU=1400"));
        }
    }
    if random.once_in(4) {
        add("PCI0_MAC=02:00:0a:1e:01:01\nPCI0_IP=10.30.1.1".into());
        if random.once_in(2) {
            add("PCI0_VLAN_ID=30".into());
        }
    }
    text
}

/// Something in the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Type and permission bits.
    mode: u32,
    owner: (u32, u32),
    /// When it was changed, in nanoseconds.
    changed: i128,
    /// Content or target.
    content: String,
}

impl Entry {
    fn of(path: &Path) -> Self {
        let stat = fs::symlink_metadata(path).unwrap();
        let content = match (stat.is_symlink(), stat.is_file()) {
            (true, _) => fs::read_link(path).unwrap().into_os_string().into_vec(),
            (_, true) => fs::read(path).unwrap(),
            _ => Vec::new(),
        };
        Self {
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            changed: i128::from(stat.ctime()) * 1_000_000_000 + i128::from(stat.ctime_nsec()),
            content: String::from_utf8_lossy(&content).into_owned(),
        }
    }

    fn is_directory(&self) -> bool {
        self.mode & 0o170000 == 0o040000
    }
}

/// What the booted system sees: files by path, `root/...` and `run/...`, and mounts.
#[derive(Clone, PartialEq, Eq)]
struct State {
    files: BTreeMap<String, Entry>,
    mounts: Vec<String>,
}

impl State {
    fn of(fixture: &Fixture) -> Self {
        let top = fixture.top();
        let mut files = BTreeMap::new();
        let mut left = vec![top.join("root"), top.join("run")];
        while let Some(path) = left.pop() {
            let entry = Entry::of(&path);
            if entry.is_directory() {
                let list = fs::read_dir(&path).unwrap();
                left.extend(list.map(|entry| entry.unwrap().path()));
            }
            let name = path.strip_prefix(top).unwrap().to_str().unwrap();
            files.insert(name.to_string(), entry);
        }
        // Where files of an earlier run were, directories are left, and an empty list.
        files.retain(|name, entry| name != "run/onecontext/files" || !entry.content.is_empty());
        let others = files.iter().filter(|(_, entry)| !entry.is_directory());
        let all: String = others.map(|(name, _)| format!("{name}\n")).collect();
        files.retain(|name, entry| {
            let is_bare = entry.is_directory() && !all.contains(&format!("{name}/"));
            !(is_bare && name.starts_with("run/"))
        });
        // NUMBER PARENT DEVICE ROOT POINT OPTIONS [FIELD]... - TYPE SOURCE OPTIONS
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let mounts = mounts
            .lines()
            .map(|line| line.splitn(4, ' ').nth(3).unwrap());
        let mounts = mounts.filter(|line| line.contains(top.to_str().unwrap()));
        let mut mounts: Vec<_> = mounts.map(String::from).collect();
        mounts.sort();
        Self { files, mounts }
    }

    /// The mounts of copies.
    fn copies(&self) -> impl Iterator<Item = &String> {
        let mounts = self.mounts.iter();
        mounts.filter(|line| line.starts_with("/onecontext/copies/"))
    }

    /// Without the times of what `is` says.
    fn timeless(&self, is: impl Fn(&Entry) -> bool) -> Self {
        let mut state = self.clone();
        for entry in state.files.values_mut().filter(|entry| is(entry)) {
            entry.changed = 0;
        }
        state
    }

    /// The differences, for people.
    fn differences(&self, other: &Self) -> String {
        let mut text = String::new();
        let names: BTreeSet<_> = self.files.keys().chain(other.files.keys()).collect();
        for name in names {
            let (one, two) = (self.files.get(name), other.files.get(name));
            if one != two {
                text += &format!("{name}:\n  {one:?}\n  {two:?}\n");
            }
        }
        if self.mounts != other.mounts {
            text += &format!("{:#?}\n{:#?}\n", self.mounts, other.mounts);
        }
        text
    }
}

/// What a context says about the root's own files. What it says nothing about is left as
/// it is, which may be what another one has written.
#[derive(Clone, Copy)]
struct Says {
    name: bool,
    resolvers: bool,
}

/// Applies a context; gives what it says, and the lines of the report.
fn apply_context(fixture: &Fixture, kind: Kind, context: &str) -> (Says, Vec<String>) {
    let folder = fixture.top().join("context");
    fs::write(folder.join("context.sh"), context).unwrap();
    fs::write(folder.join("a.sh"), "#!/bin/sh\n").unwrap();
    let path = c_str(&[folder.as_os_str().as_bytes()]).unwrap();
    let search = Search {
        device: None,
        wait: 0,
        required: true,
        paths: SystemPaths::SYSTEM,
    };
    let mut says = None;
    let lines = fixture.apply(kind.policy(), |image, writer, report| {
        let plan = &*read_plan(Some(path), &search, Purpose::Run, report).unwrap();
        let facts = read_facts(image, plan, true);
        let bound = bound(plan, dhcp_client(plan, &facts));
        let mut changes = Changes::new();
        let logins = read_login_facts(image, plan, facts.systemd, b"");
        decide(&bound, &facts, logins, &mut changes);
        writer.apply(&changes, report);
        let has_lease = bound.links.iter().any(|link| link.lease.is_some());
        says = Some(Says {
            name: plan.hostname.is_some(),
            resolvers: plan.has_name_servers() || has_lease,
        });
    });
    if lines
        .iter()
        .any(|line| line.starts_with("!remount read-only: "))
    {
        // A child process of another test had a file of it open, until its exec.
        let root = fixture.top().join("root");
        let is_done = |_| {
            thread::sleep(Duration::from_millis(1));
            remount(&root, READ_ONLY).is_ok()
        };
        assert!((0..5000).any(is_done), "{lines:?}");
    }
    (says.unwrap(), lines)
}

/// The plan on a machine with the devices ens3, ens4 and so on.
fn bound(plan: &'static Plan, dhcp: DhcpClient) -> BoundPlan {
    let asks = !matches!(dhcp, DhcpClient::Manager(_));
    let mut links = Vector::new();
    for (link, number) in plan.links.iter().zip(3u32..) {
        let device = format!("ens{number}");
        let lease = memory::place(Lease {
            address: Prefix::host([10, 18, 9, 50].into()),
            server: [10, 18, 9, 254].into(),
            seconds: 3600,
            metric: 1024,
            routes: &[],
            dns: memory::list(&[[10, 18, 9, 53].into()]),
            search: &[b"example.com"],
            mtu: None,
        });
        links.push(BoundLink {
            link,
            device: Some(named(&device, number)),
            port: None,
            carrier: Some(named(&device, number)),
            lease: (asks && link.ipv4.method == Some(Method::Dhcp)).then_some(&*lease),
        });
    }
    let links = links.finish();
    BoundPlan {
        plan,
        links,
        dhcp,
        is_applied: true,
    }
}

const READ_ONLY: MsFlags = MsFlags::MS_BIND.union(MsFlags::MS_RDONLY);

fn remount(path: &Path, flags: MsFlags) -> nix::Result<()> {
    mount(NONE, path, NONE, flags | MsFlags::MS_REMOUNT, NONE)
}

/// Mounts a root that was put together.
fn mount_root(fixture: &Fixture, kind: Kind) {
    let (top, root) = (fixture.top(), fixture.top().join("root"));
    match kind {
        Kind::Writable | Kind::MustNot | Kind::Immutable => {}
        Kind::ReadOnly => {
            mount(Some(&root), &root, NONE, MsFlags::MS_BIND, NONE).unwrap();
            remount(&root, READ_ONLY).unwrap();
        }
        Kind::Overlay => seal(fixture),
        Kind::Bind => {
            let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(top), top, NONE, bind, NONE).unwrap();
            remount(top, READ_ONLY).unwrap();
        }
    }
}

/// A tmpfs: what is written there is quick, and gone in the end.
fn mount_tmpfs(at: &Path) {
    fs::create_dir_all(at).unwrap();
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), NONE).unwrap();
}

/// What the cases had, so that none of it is left out unnoticed.
#[derive(Default)]
struct Seen {
    parts: BTreeSet<&'static str>,
    kinds: BTreeMap<Kind, usize>,
    /// A file refused.
    refusing: usize,
    /// Copies were mounted.
    mounts: usize,
    /// Another context left files that the first one has no use for.
    left: usize,
}

/// One root, with the contexts A, A, B, A.
fn try_one(seed: u64, top: &Path, seen: &mut Seen) {
    let mut random = Random(seed);
    mount_tmpfs(top);
    let fixture = Fixture::at(top.join("machine"));
    for name in ["run", "context"] {
        mount_tmpfs(&fixture.top().join(name));
    }
    let kind = random.of(&Kind::ALL);
    let mut parts = vec![
        random.of(&[INITS[0], INITS[0], INITS[1], INITS[2], INITS[3]]),
        random.of(&MANAGERS),
        random.of(&RESOLVERS),
    ];
    parts.extend(DETAILS.iter().filter(|_| random.once_in(4)));
    base(&fixture);
    for (_, put) in &parts {
        put(&fixture);
    }
    *seen.kinds.entry(kind).or_default() += 1;
    mount_root(&fixture, kind);
    let files = [
        "etc/inittab",
        "etc/network/interfaces",
        "etc/hosts",
        "etc/hostname",
        KEY_FILE,
    ];
    let file = fixture.host(random.of(&files));
    let is_refusing = kind == Kind::Immutable && file.is_file();
    let _immutable = is_refusing.then(|| Attribute::set(file, 'i'));
    seen.refusing += usize::from(is_refusing);
    let [one, other] = [context(&mut random), context(&mut random)];
    let names: Vec<_> = parts.iter().map(|(name, _)| *name).collect();
    let case = format!("seed {seed}, {kind:?} {names:?}\nA:\n{one}B:\n{other}");

    let (says, _) = apply_context(&fixture, kind, &one);
    let once = State::of(&fixture);
    let copies: Vec<_> = once.copies().collect();
    let points: BTreeSet<_> = copies.iter().map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(points.len(), copies.len(), "{copies:?}\n{case}");
    let (_, lines) = apply_context(&fixture, kind, &one);
    let twice = State::of(&fixture);
    let is_made = |line: &&String| {
        let words = ["wrote ", "linked ", "removed "];
        words.iter().any(|word| line.starts_with(word))
    };
    let made: Vec<_> = lines.iter().filter(is_made).collect();
    assert!(made.is_empty(), "A, A makes something: {made:?}\n{case}");
    // Where a file refuses, that is tried each time, with a new file beside it.
    let is_tried = |entry: &Entry| is_refusing && entry.is_directory();
    let (before, after) = (once.timeless(is_tried), twice.timeless(is_tried));
    assert!(
        before == after,
        "A, A is not A\n{case}{}",
        before.differences(&after)
    );

    apply_context(&fixture, kind, &other);
    let between = State::of(&fixture);
    let (_, lines) = apply_context(&fixture, kind, &one);
    let again = State::of(&fixture).timeless(|_| true);
    let mut expected = once.timeless(|_| true);
    if kind.is_written() {
        keep(&mut expected, &between.timeless(|_| true), &fixture, says);
    }
    assert!(
        expected == again,
        "A, B, A is not A\n{case}{}{lines:#?}",
        expected.differences(&again)
    );
    seen.parts.extend(names);
    seen.mounts += usize::from(!copies.is_empty());
    let is_left = |name: &&String| name.starts_with("run/") && !once.files.contains_key(*name);
    seen.left += usize::from(between.files.keys().any(|name| is_left(&name)));
}

/// What a root that is written keeps of another context.
fn keep(expected: &mut State, between: &State, fixture: &Fixture, says: Says) {
    let resolv_conf = fixture.root().resolve(b"/etc/resolv.conf").unwrap();
    let resolv_conf = format!("root{}", str::from_utf8(resolv_conf.path()).unwrap());
    for (name, is_said) in [
        ("root/etc/hostname", says.name),
        ("root/etc/hosts", says.name),
        (&resolv_conf, says.resolvers),
    ] {
        let point = format!("/{name} ");
        let is_covered = between.mounts.iter().any(|line| line.contains(&point));
        if let Some(entry) = between.files.get(name).filter(|_| !is_said && !is_covered) {
            expected.files.insert(name.into(), entry.clone());
        }
    }
    // The directory and the file that were made for its keys, with nothing in them.
    for (name, entry) in &between.files {
        let is_made = !expected.files.contains_key(name);
        if is_made && name.starts_with("root/") && name.contains("/.ssh") {
            let mut entry = entry.clone();
            entry.content.clear();
            expected.files.insert(name.clone(), entry);
        }
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn twice_is_once() {
    let top = nix::unistd::mkdtemp(&std::env::temp_dir().join("onecontext-XXXXXX")).unwrap();
    let mut seen = Seen::default();
    for seed in 0..CASES {
        in_own_mounts(|| {
            let mark = memory::mark();
            try_one(seed, &top, &mut seen);
            // SAFETY: the state of a case is its own.
            unsafe { memory::release(mark) };
        });
    }
    fs::remove_dir(&top).unwrap();
    for parts in [&INITS[..], &MANAGERS, &RESOLVERS, &DETAILS] {
        for (part, _) in parts {
            assert!(seen.parts.contains(part), "{part}");
        }
    }
    for kind in Kind::ALL {
        assert!(seen.kinds[&kind] > 20, "{kind:?}");
    }
    assert!(seen.refusing > 10, "{}", seen.refusing);
    assert!(seen.mounts > 50, "{}", seen.mounts);
    assert!(seen.left > 100, "{}", seen.left);
}
