//! `apply --early` in an initramfs that is only a directory, then the later stage on
//! the same links.
use crate::dhcp::{Far, mac};
use crate::guest::*;
use crate::{KEY, release};

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sys::prctl;
use nix::sys::signal::Signal;

const BAKED: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl baked";
const INVITATION: &str = "<3>onecontext: no root yet; ssh root@";

pub struct Initramfs {
    pub guest: Guest,
    pub top: PathBuf,
}

impl Initramfs {
    /// An initramfs of initramfs-tools with dropbear-initramfs. `line`: the kernel's
    /// command line.
    pub fn new(line: &str) -> Self {
        let guest = Guest::new();
        guest.kernel_line(line);
        let top = guest.top.join("initramfs");
        for directory in ["dev", "proc", "sys", "run", "etc", "conf", "usr/sbin"] {
            fs::create_dir_all(top.join(directory)).unwrap();
        }
        let home = top.join("root-a1B2c3D4e5");
        fs::create_dir_all(home.join(".ssh")).unwrap();
        fs::set_permissions(home.join(".ssh"), PermissionsExt::from_mode(0o700)).unwrap();
        fs::write(home.join(".ssh/authorized_keys"), format!("{BAKED}\n")).unwrap();
        let passwd = "root:x:0:0::/root-a1B2c3D4e5:/bin/sh\n";
        fs::write(top.join("etc/passwd"), passwd).unwrap();
        fs::write(top.join("conf/initramfs.conf"), "DEVICE=\n").unwrap();
        fs::write(top.join("usr/sbin/dropbear"), "").unwrap();
        symlink("usr/sbin", top.join("sbin")).unwrap();
        fs::copy(release::initramfs(), top.join("onecontext")).unwrap();
        fs::copy(release::binary(), top.join("dry-run")).unwrap();
        for (source, target) in [
            (PathBuf::from("/dev"), "dev"),
            (PathBuf::from("/proc"), "proc"),
            (PathBuf::from("/sys"), "sys"),
            (guest.top.join("run"), "run"),
        ] {
            let (none, flags) = (None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC);
            mount(Some(&source), &top.join(target), none, flags, none).unwrap();
        }
        Self { guest, top }
    }

    /// Runs the early stage with this context; returns its exit status and its log.
    pub fn early(&mut self, context: &str, options: &[&str]) -> (i32, String) {
        fs::write(self.top.join("context.sh"), context).unwrap();
        let _ = self.guest.log.read_to_end(&mut Vec::new());
        let top = self.top.clone();
        let program = match options.contains(&"--dry-run") {
            true => "/dry-run",
            false => "/onecontext",
        };
        let mut command = Command::new(program);
        command.args(["apply", "--early", "--context", "/context.sh"]);
        command.args(options);
        // SAFETY: two system calls.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::chroot(&top)?;
                Ok(nix::unistd::chdir("/")?)
            })
        };
        let status = command.status().unwrap().code().expect("an exit status");
        (status, self.guest.said())
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.top.join(file)).unwrap_or_default()
    }

    fn keys(&self) -> Vec<String> {
        let text = self.read("root-a1B2c3D4e5/.ssh/authorized_keys");
        let keys = text.lines().filter(|line| !line.starts_with('#'));
        keys.map(str::to_string).collect()
    }

    /// The files left in /run for the initramfs, and the record.
    fn left(&self) -> Vec<String> {
        let names = |directory: PathBuf| {
            let list = fs::read_dir(directory).into_iter().flatten();
            list.map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect::<Vec<_>>()
        };
        let mut left = names(self.guest.top.join("run"));
        left.retain(|name| name.starts_with("net-"));
        let ours = names(self.guest.top.join("run/onecontext"));
        left.extend(ours.into_iter().filter(|name| name == "record"));
        left
    }
}

/// The variables that a shell reads from a file of ipconfig.
fn sourced(initramfs: &Initramfs, file: &str) -> String {
    let file = initramfs.top.join(file);
    let script = format!(
        ". {}; echo $DEVICE $PROTO $IPV4ADDR/$IPV4NETMASK/$IPV4BROADCAST via $IPV4GATEWAY \
         dns $IPV4DNS0 $IPV4DNS1 search $DOMAINSEARCH host $HOSTNAME",
        file.display()
    );
    let said = output(Command::new("sh").args(["-ec", &script])).stdout;
    String::from_utf8(said).unwrap().trim().to_string()
}

/// ip-monitor(8): changes of addresses and routes.
struct Monitor {
    process: Child,
    log: PathBuf,
}

impl Monitor {
    fn start(guest: &Guest) -> Self {
        let log = guest.top.join("monitor");
        let mut command = Command::new("ip");
        command.args(["monitor", "address", "route"]);
        command.stdin(Stdio::null());
        command.stdout(fs::File::create(&log).unwrap());
        let dies_with_us = || Ok(prctl::set_pdeathsig(Signal::SIGKILL)?);
        // SAFETY: one system call, which takes no lock of another thread.
        unsafe { command.pre_exec(dies_with_us) };
        let monitor = Self {
            process: command.spawn().unwrap(),
            log,
        };
        // Once it reports this address, it listens.
        let end = Instant::now() + Duration::from_secs(30);
        while monitor.text().is_empty() {
            assert!(Instant::now() < end);
            ip("address replace 127.0.0.9/32 dev lo");
            ip("address delete 127.0.0.9/32 dev lo");
            std::thread::sleep(Duration::from_millis(20));
        }
        monitor
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The deletions, without that of the address at the start.
    fn deleted(mut self) -> Vec<String> {
        ip("address replace 127.0.0.10/32 dev lo");
        let end = Instant::now() + Duration::from_secs(30);
        while !self.text().contains("127.0.0.10") {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let text = self.text();
        let deleted = text.lines().filter(|line| line.starts_with("Deleted"));
        let deleted = deleted.filter(|line| !line.contains("127.0.0.9"));
        deleted.map(str::to_string).collect()
    }
}

/// Flushes the device, as dropbear-initramfs does in init-bottom.
pub fn flush(device: &str) {
    for arguments in [
        "link set dev @ down",
        "address flush dev @",
        "route flush dev @",
    ] {
        let _ = Command::new("ip")
            .args(arguments.replace('@', device).split(' '))
            .status();
    }
}

fn context() -> String {
    format!(
        "ETH0_MAC=02:00:0a:12:01:01\nETH0_IP=10.18.1.1\nETH0_MASK=255.255.0.0\n\
         ETH0_GATEWAY=10.18.1.254\nETH0_IP6=2001:db8:1::a\nETH0_IP6_GATEWAY=fe80::1\n\
         ETH0_ALIAS0_IP=10.18.1.7\nDNS='2001:db8::53 10.18.1.53 9.9.9.9'\n\
         SEARCH_DOMAIN='a.example.org b.example.org'\nSET_HOSTNAME=web1\nUSERNAME=alice\n\
         SSH_PUBLIC_KEY='{KEY}'\n"
    )
}

const ADDRESSES: [&str; 3] = ["10.18.1.1/16", "10.18.1.7/24", "2001:db8:1::a/64"];

#[test]
#[ignore = "needs root: make test-fast"]
fn keys_and_static_addresses_then_the_root() {
    let mut initramfs = Initramfs::new("quiet onecontext.early=keys");
    initramfs.guest.nic("ens3", "02:00:0a:12:01:01");
    let look = || {
        assert_eq!(addresses("ens3"), ADDRESSES);
        assert_eq!(routes("-4"), ["default via 10.18.1.254 dev ens3"]);
        assert_eq!(routes("-6"), ["default via fe80::1 dev ens3 metric 1024"]);
    };
    for _ in 0..2 {
        let (status, log) = initramfs.early(&context(), &[]);
        assert_eq!(status, 0, "{log}");
        look();
        // On a quiet console the invitation is the only line.
        let loud: Vec<_> = log.lines().filter(|line| line.starts_with("<3>")).collect();
        assert_eq!(loud, [format!("{INVITATION}10.18.1.1, root@2001:db8:1::a")]);
        assert_eq!(initramfs.keys(), [KEY, BAKED]);
        let resolv_conf = initramfs.read("etc/resolv.conf");
        let lines: Vec<_> = resolv_conf.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "nameserver 2001:db8::53",
                "nameserver 10.18.1.53",
                "nameserver 9.9.9.9",
                "search a.example.org b.example.org"
            ]
        );
        assert_eq!(
            sourced(&initramfs, "run/net-ens3.conf"),
            "ens3 static 10.18.1.1/255.255.0.0/10.18.255.255 via 10.18.1.254 \
             dns 10.18.1.53 9.9.9.9 search a.example.org b.example.org host web1"
        );
    }
    assert_eq!(nix::unistd::gethostname().unwrap(), "web1");

    // As dracut leaves the links: nothing is deleted at any moment.
    let monitor = Monitor::start(&initramfs.guest);
    initramfs.guest.apply_well(&context());
    assert_eq!(monitor.deleted(), [""; 0]);
    look();
    assert_eq!(initramfs.left(), ["record"]);

    // As initramfs-tools leaves them.
    initramfs.early(&context(), &[]);
    assert_eq!(initramfs.left(), ["net-ens3.conf", "record"]);
    flush("ens3");
    initramfs.guest.apply_well(&context());
    look();
    assert_eq!(initramfs.left(), ["record"]);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn the_root_gets_the_context_that_is_there_by_then() {
    let mut initramfs = Initramfs::new("");
    initramfs.guest.nic("ens3", "02:00:0a:12:01:01");
    let (status, log) = initramfs.early(&context(), &[]);
    assert_eq!((status, initramfs.keys()), (0, vec![BAKED.into()]), "{log}");
    let changed = context().replace("10.18.1.1\n", "10.18.1.2\n");
    initramfs
        .guest
        .apply_well(&changed.replace("1.254", "1.253"));
    assert_eq!(
        addresses("ens3"),
        ["10.18.1.2/16", "10.18.1.7/24", "2001:db8:1::a/64"]
    );
    assert_eq!(routes("-4"), ["default via 10.18.1.253 dev ens3"]);
    assert_eq!(routes("-6"), ["default via fe80::1 dev ens3 metric 1024"]);
    assert_eq!(initramfs.left(), ["record"]);

    // Routes alone.
    flush("ens3");
    let more = changed.clone() + "ETH0_ROUTES='10.99.0.0/16 via 10.18.1.9'\n";
    initramfs.early(&more, &[]);
    assert_eq!(routes("-4").len(), 2);
    initramfs
        .guest
        .apply_well(&changed.replace("1.254", "1.253"));
    assert_eq!(routes("-4"), ["default via 10.18.1.253 dev ens3"]);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_nic_that_left_the_context_has_nothing_of_it() {
    let mut initramfs = Initramfs::new("");
    initramfs.guest.nic("ens3", "02:00:0a:12:01:01");
    initramfs.guest.nic("ens4", "02:00:0a:12:01:02");
    let other = "ETH1_MAC=02:00:0a:12:01:02\nETH1_IP=10.18.2.1\nETH1_GATEWAY=10.18.2.254\n";
    for later in [
        format!("{other}SSH_PUBLIC_KEY='{KEY}'\n"),
        format!("{}{other}NETCFG_TYPE=none\n", context()),
    ] {
        initramfs.early(&(context() + other), &[]);
        assert_eq!((addresses("ens3").len(), addresses("ens4").len()), (3, 1));
        let (_, log) = initramfs.guest.apply(&later);
        assert_eq!(addresses("ens3"), [""; 0], "{log}");
        let left = match later.contains("NETCFG_TYPE") {
            true => vec![],
            false => vec!["default via 10.18.2.254 dev ens4"],
        };
        assert_eq!(routes("-4"), left, "{log}");
        assert_eq!(initramfs.left(), ["record"]);
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_routers_advertised_goes_with_the_method() {
    let mut initramfs = Initramfs::new("");
    let mut far = Far::new(&initramfs.guest, "");
    far.cable(1);
    far.address(1, "2001:db8:5::1/64");
    let range = "--dhcp-range=2001:db8:5::,ra-only";
    far.dnsmasq(1, &["--enable-ra", range, "--ra-param=*,5,30"]);
    let mac = mac(1);
    let context = |more| format!("ETH1_MAC={mac}\nETH1_IP=10.18.1.1\n{more}\n");
    let early = context("ETH1_IP6_METHOD=auto");
    initramfs.early(&early, &[]);
    let heard = || addresses("ens1").iter().any(|one| one.starts_with("2001:"));
    let end = Instant::now() + Duration::from_secs(30);
    while !heard() {
        assert!(Instant::now() < end, "{:?}", addresses("ens1"));
        std::thread::sleep(Duration::from_millis(100));
    }
    initramfs.guest.apply(&context("ETH1_IP6=2001:db8:6::1"));
    assert_eq!(addresses("ens1"), ["10.18.1.1/24", "2001:db8:6::1/64"]);
    assert_eq!(routes("-6"), [""; 0]);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_lease_is_asked_for_anew() {
    let mut initramfs = Initramfs::new("");
    let mut far = Far::new(&initramfs.guest, "");
    far.cable(1);
    far.dnsmasq(1, &["--dhcp-range=10.18.1.50,10.18.1.60,255.255.255.0,1h"]);
    let context = format!(
        "ETH1_MAC={}\nETH1_METHOD=dhcp\nSSH_PUBLIC_KEY='{KEY}'\n",
        mac(1)
    );
    let address = |log: &str| {
        let [address] = &addresses("ens1")[..] else {
            panic!("{:?}: {log}", addresses("ens1"));
        };
        address.strip_suffix("/24").unwrap().to_string()
    };
    let (status, log) = initramfs.early(&context, &[]);
    assert_eq!(status, 0, "{log}");
    let leased = address(&log);
    let said = format!("ETH1 (ens1): {leased}/24 by DHCP from 10.18.1.254, for 3600 s, until 20");
    assert!(log.contains(&format!("<3>onecontext: {said}")), "{log}");
    assert!(
        log.contains("kept beyond, since nobody renews it: there is no root yet"),
        "{log}"
    );
    let shown = json("-4 address show dev ens1");
    let end = &shown[0]["addr_info"][0]["valid_life_time"];
    assert_eq!(end.as_u64(), Some(u32::MAX.into()), "{shown}");
    assert!(log.contains(&format!("{INVITATION}{leased}\n")), "{log}");
    let config = sourced(&initramfs, "run/net-ens1.conf");
    let expected = format!("ens1 dhcp {leased}/255.255.255.0/10.18.1.255 via 10.18.1.254 ");
    assert!(config.starts_with(&expected), "{config}");

    // No manager in the root takes the link over: one address, one route.
    let (_, log) = initramfs.guest.apply(&context);
    assert_eq!(address(&log), leased);
    let routes = json("-4 route show default");
    assert_eq!(routes.as_array().unwrap().len(), 1, "{routes}");

    // A manager will: it finds the link as if the early stage had not run.
    initramfs.early(&context, &[]);
    assert_eq!(address(""), leased);
    let root = initramfs.guest.top.join("root");
    let units = root.join("usr/lib/systemd/system");
    let service = "[Service]\nExecStart=/usr/sbin/NetworkManager\n";
    fs::write(units.join("NetworkManager.service"), service).unwrap();
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    symlink(
        "/usr/lib/systemd/system/NetworkManager.service",
        wants.join("NetworkManager.service"),
    )
    .unwrap();
    let (status, log) = initramfs.guest.apply(&context);
    assert_eq!((status, addresses("ens1").len()), (0, 0), "{log}");
    assert_eq!(json("-4 route show dev ens1").as_array().unwrap().len(), 0);
    assert_eq!(initramfs.left(), ["record"]);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_nobody_wants_is_not_done() {
    for (line, options, server, console) in [
        ("onecontext.early=off", &[][..], true, ""),
        ("onecontext=off onecontext.early=keys", &[], true, ""),
        ("", &[], false, ""),
        (
            "ip=dhcp onecontext.early=keys",
            &[],
            true,
            "ip=, rd.neednet or",
        ),
        ("rd.neednet=1", &[], true, "ip=, rd.neednet or"),
        ("", &["--ip", "10.0.0.1::::"], true, "ip=, rd.neednet or"),
    ] {
        let mut initramfs = Initramfs::new(line);
        initramfs.guest.nic("ens3", "02:00:0a:12:01:01");
        if !server {
            fs::remove_file(initramfs.top.join("usr/sbin/dropbear")).unwrap();
        }
        let (status, log) = initramfs.early(&context(), options);
        assert_eq!(status, 0, "{line}: {log}");
        assert_eq!(addresses("ens3"), [""; 0], "{line}");
        assert_eq!(initramfs.left(), [""; 0], "{line}");
        let loud: Vec<_> = log.lines().filter(|line| line.starts_with("<3>")).collect();
        assert_eq!(
            loud.len(),
            usize::from(!console.is_empty()),
            "{line}: {log}"
        );
        assert!(log.contains(console), "{line}: {log}");
        let keys = line.starts_with("ip=");
        assert_eq!(initramfs.keys().len(), 1 + usize::from(keys), "{line}");
    }
}

/// `kernel_cmdline` of dracut.conf(5).
#[test]
#[ignore = "needs root: make test-fast"]
fn what_dracut_has_baked_in_counts_as_well() {
    let mut initramfs = Initramfs::new("");
    initramfs.guest.nic("ens3", "02:00:0a:12:01:01");
    fs::remove_file(initramfs.top.join("conf/initramfs.conf")).unwrap();
    let directory = initramfs.top.join("etc/cmdline.d");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("20-b.conf"), "onecontext.early=keys").unwrap();
    fs::write(directory.join("10-a.conf"), " onecontext.early=off\n").unwrap();
    fs::write(directory.join("30-c.disabled"), "onecontext.early=off").unwrap();
    let (status, log) = initramfs.early(&context(), &[]);
    assert_eq!((status, initramfs.keys().len()), (0, 2), "{log}");
    assert_eq!(addresses("ens3"), ADDRESSES);
    // Nothing there reads the files of ipconfig.
    assert_eq!(initramfs.left(), ["record"]);
    initramfs.guest.kernel_line("onecontext.early=off");
    flush("ens3");
    initramfs.early(&context(), &[]);
    assert_eq!(addresses("ens3"), [""; 0]);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn keys_that_nobody_can_have_are_said() {
    let mut initramfs = Initramfs::new("onecontext.early=keys");
    initramfs.guest.nic("ens3", "02:00:0a:12:01:01");
    fs::remove_dir_all(initramfs.top.join("root-a1B2c3D4e5")).unwrap();
    let (status, log) = initramfs.early(&context(), &[]);
    assert_eq!((status, addresses("ens3").len()), (1, 3));
    let said = "root: its home is not in the initramfs";
    assert!(log.contains(said), "{log}");
    // root is there without a line in passwd, with the home /root.
    fs::remove_file(initramfs.top.join("etc/passwd")).unwrap();
    let (status, log) = initramfs.early(&context(), &[]);
    assert_eq!(status, 1);
    assert!(log.contains(said), "{log}");
}

/// OpenSSH's server without PAM refuses every key of a locked account; Dropbear does not
/// look at that. Nobody is invited where nobody can log in.
#[test]
#[ignore = "needs root: make test-fast"]
fn nobody_is_invited_to_a_locked_root() {
    const LOCKED: &str = "login of user: root: locked in the initramfs's /etc/shadow";
    let mut initramfs = Initramfs::new("onecontext.early=keys");
    initramfs.guest.nic("ens3", "02:00:0a:12:01:01");
    let invites = |initramfs: &mut Initramfs, is_locked: bool| {
        let (status, log) = initramfs.early(&context(), &[]);
        assert_eq!(status, i32::from(is_locked), "{log}");
        assert_eq!(log.contains(LOCKED), is_locked, "{log}");
        assert_eq!(log.contains(INVITATION), !is_locked, "{log}");
    };
    let shadow = initramfs.top.join("etc/shadow");
    fs::write(&shadow, "root:!:19000:0:99999:7:::\n").unwrap();
    invites(&mut initramfs, false);
    let sshd = initramfs.top.join("usr/sbin/sshd");
    fs::write(&sshd, "").unwrap();
    fs::set_permissions(&sshd, PermissionsExt::from_mode(0o755)).unwrap();
    invites(&mut initramfs, true);
    fs::write(&shadow, "root:*:19000:0:99999:7:::\n").unwrap();
    invites(&mut initramfs, false);
    fs::remove_file(&shadow).unwrap();
    invites(&mut initramfs, false);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_dry_run_changes_nothing() {
    let mut initramfs = Initramfs::new("onecontext.early=keys");
    initramfs.guest.nic("ens3", "02:00:0a:12:01:01");
    let (status, _) = initramfs.early(&context(), &["--dry-run"]);
    assert_eq!(status, 0);
    assert_eq!((addresses("ens3"), initramfs.left()), (vec![], vec![]));
    assert_eq!(initramfs.keys(), [BAKED]);
}
