//! The shipped binary on links of a network namespace, checked with iproute2. Each test
//! is a thread in network, mount and UTS namespaces of its own, so the host is not
//! changed.
#[path = "../support/figures.rs"]
#[allow(dead_code, reason = "tests/release/bench.rs reads")]
mod figures;
#[path = "../support/guest.rs"]
mod guest;
#[path = "../support/release.rs"]
mod release;
#[path = "../support/tree.rs"]
mod tree;

mod cost;
mod dhcp;
mod early;
mod hang;
mod places;
mod ports;
mod recipe;
mod record;
mod scripts;
mod twice;
mod waits;

use guest::*;
use nix::mount::{MntFlags, umount2};
use tree::{difference, tree};

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl a@b";

#[test]
#[ignore = "needs root: make test-fast"]
fn everything_of_one_nic() {
    let mut guest = Guest::new();
    guest.nic("ens3", "02:00:0a:12:01:01");
    let context = format!(
        "DNS='9.9.9.9'\nETH0_ALIAS0_IP='10.18.1.7'\nETH0_ALIAS0_MASK='255.255.255.255'\nETH0_ALIAS1_IP6='2001:db8:1::b'\n\
         ETH0_DNS='10.18.1.53'\nETH0_GATEWAY='10.18.9.254'\nETH0_IP='10.18.1.1'\nETH0_IP6='2001:db8:1::a'\n\
         ETH0_IP6_GATEWAY='fe80::1'\nETH0_IP6_ULA='fd00::a'\nETH0_MAC='02:00:0A:12:01:01'\nETH0_MASK='255.255.255.0'\n\
         ETH0_METRIC='100'\nETH0_MTU='1450'\nETH0_ROUTES='10.0.0.0/8 via 10.18.1.253, 2001:db8:f::/48 via 2001:db8:1::fe'\n\
         ETH0_SEARCH_DOMAIN='example.org'\nPATH='/nonexistent'\nSET_HOSTNAME='web1.example.org'\n\
         SSH_PUBLIC_KEY='{KEY}'\nUSERNAME='alice'\n"
    );
    guest.apply_well(&context);
    let look = || {
        assert_eq!(
            addresses("ens3"),
            [
                "10.18.1.1/24",
                "10.18.1.7/32",
                "2001:db8:1::b/64",
                "fd00::a/64",
                "2001:db8:1::a/64"
            ]
        );
        assert_eq!(
            routes("-4"),
            [
                "10.0.0.0/8 via 10.18.1.253 dev ens3",
                "default via 10.18.9.254 dev ens3 onlink metric 100"
            ]
        );
        assert_eq!(
            routes("-6"),
            [
                "2001:db8:f::/48 via 2001:db8:1::fe dev ens3 metric 1024",
                "default via fe80::1 dev ens3 metric 100"
            ]
        );
        assert_eq!(json("link show dev ens3")[0]["mtu"], 1450);
        for (name, value) in [("accept_ra", "0"), ("autoconf", "0"), ("disable_ipv6", "0")] {
            assert_eq!(setting("ens3", name), value, "{name}");
        }
    };
    look();
    assert_eq!(nix::unistd::gethostname().unwrap(), "web1.example.org");
    let root = guest.top.join("root");
    let keys = root.join("home/alice/.ssh/authorized_keys");
    assert!(
        fs::read_to_string(&keys)
            .unwrap()
            .lines()
            .any(|line| line == KEY)
    );
    assert_eq!(
        (mode(&keys), mode(keys.parent().unwrap())),
        ((0o600, 1000), (0o700, 1000))
    );
    let resolvers = fs::read_to_string(root.join("etc/resolv.conf")).unwrap();
    let lines: Vec<_> = resolvers
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(
        lines,
        [
            "nameserver 9.9.9.9",
            "nameserver 10.18.1.53",
            "search example.org"
        ]
    );
    let banner = fs::read_to_string(guest.top.join("run/issue.d/50-onecontext.issue")).unwrap();
    assert!(
        banner.contains("ETH0 ens3: 10.18.1.1/24") && banner.contains("1 SSH key"),
        "{banner}"
    );

    // A second run changes nothing and writes no file.
    let before = fs::metadata(&keys).unwrap();
    let (links, all_routes) = (json("address show"), json("route show table all"));
    guest.apply_well(&context);
    look();
    assert_eq!(json("route show table all"), all_routes);
    assert_eq!(json("address show"), links);
    let after = fs::metadata(&keys).unwrap();
    assert_eq!(
        (before.ino(), before.mtime_nsec()),
        (after.ino(), after.mtime_nsec())
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn nics_are_found_by_mac_and_not_by_what_sits_on_them() {
    let mut guest = Guest::new();
    guest.nic("ens3", "02:00:00:00:00:01");
    guest.nic("ens4", "02:00:00:00:00:02");
    ip("link add a-bridge address 02:00:00:00:00:02 type bridge");
    guest.apply_well(&format!(
        "ETH0_IP=10.0.0.1\nETH0_MAC=02:00:00:00:00:02\nETH0_GATEWAY=10.0.0.254\n\
         ETH3_IP=10.3.0.1\nETH3_MAC=02:00:00:00:00:01\nETH3_GATEWAY=10.3.0.254\nSSH_PUBLIC_KEY='{KEY}'"
    ));
    assert_eq!(addresses("ens4"), ["10.0.0.1/24"]);
    assert_eq!(addresses("ens3"), ["10.3.0.1/24"]);
    assert!(addresses("a-bridge").is_empty());
    assert_eq!(
        routes("-4"),
        [
            "default via 10.0.0.254 dev ens4",
            "default via 10.3.0.254 dev ens3 metric 1"
        ]
    );
}

/// Both routes stay, though they differ in the NIC alone. In IPv6 they become next hops
/// of one route.
#[test]
#[ignore = "needs root: make test-fast"]
fn default_routes_of_one_metric() {
    let mut guest = Guest::new();
    guest.nic("ens3", "02:00:00:00:00:01");
    guest.nic("ens4", "02:00:00:00:00:02");
    let context = format!(
        "ETH0_GATEWAY=10.0.0.254\nETH0_IP=10.0.0.1\nETH0_IP6=2001:db8::a\n\
         ETH0_IP6_GATEWAY=2001:db8::1\nETH0_MAC=02:00:00:00:00:01\nETH0_METRIC=7\n\
         ETH1_GATEWAY=10.0.0.254\nETH1_IP=10.0.0.2\nETH1_IP6=2001:db8::b\n\
         ETH1_IP6_GATEWAY=2001:db8::1\nETH1_MAC=02:00:00:00:00:02\nETH1_METRIC=7\n\
         SSH_PUBLIC_KEY='{KEY}'"
    );
    // The second time both exist already.
    for _ in 0..2 {
        let (status, log) = guest.apply(&context);
        assert_eq!(status, 1, "the warning must give status 1: {log}");
        assert!(log.contains("has the same metric"), "{log}");
        release::assert_unsaid(&log, "the kernel does not have");
        assert_eq!(
            routes("-4"),
            [
                "default via 10.0.0.254 dev ens3 metric 7",
                "default via 10.0.0.254 dev ens4 metric 7"
            ]
        );
        let ipv6 = json("-6 route show default");
        let hops = ipv6[0]["nexthops"].as_array().unwrap().iter();
        let hops = hops.map(|hop| (hop["gateway"].as_str(), hop["dev"].as_str()));
        let gateway = Some("2001:db8::1");
        assert_eq!(
            hops.collect::<Vec<_>>(),
            [(gateway, Some("ens3")), (gateway, Some("ens4"))]
        );
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn without_macs_names_count_and_then_positions() {
    let mut guest = Guest::new();
    guest.nic("ens9", "02:00:00:00:00:09");
    guest.nic("ens4", "02:00:00:00:00:04");
    guest.nic("eth2", "02:00:00:00:00:02");
    let (status, log) = guest.apply(&format!(
        "IP_PRIVATE=\"10.0.0.1\"\nIP_PUBLIC=\"10.1.0.1\"\nIP_EXTRA=\"10.2.0.1\"\nNETMASK_PRIVATE=\"/16\"\n\
         NETMASK_EXTRA=\"24\"\nDEFAULT_GATEWAY=\"10.1.0.254\"\nGLOBAL_NETWORK=\"10.64.0.0\"\nGLOBAL_NETMASK=\"10\"\n\
         PUBLIC_KEY=\"{KEY}\n\""
    ));
    assert_eq!(status, 0, "{log}");
    // veth ends come in pairs: the second device is ens9 or far-ens9. The name tells
    // which.
    assert_eq!(addresses("eth2"), ["10.2.0.1/24"]);
    let devices = json("link show");
    let order: Vec<&str> = devices
        .as_array()
        .unwrap()
        .iter()
        .map(|link| link["ifname"].as_str().unwrap())
        .filter(|name| *name != "lo")
        .collect();
    assert_eq!(addresses(order[0]), ["10.0.0.1/16"]);
    // Without a mask the class of the address decides.
    assert_eq!(addresses(order[1]), ["10.1.0.1/8"]);
    assert_eq!(
        routes("-4"),
        [
            format!("10.64.0.0/10 dev {}", order[0]),
            format!("default via 10.1.0.254 dev {}", order[1])
        ]
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn ipv6_methods_set_what_the_kernel_does_by_itself() {
    let mut guest = Guest::new();
    for (number, name) in ["auto", "dhcp", "disable", "skip", "static"]
        .iter()
        .enumerate()
    {
        guest.nic(name, &format!("02:00:00:00:00:0{number}"));
    }
    let before = setting("skip", "accept_ra");
    let context: String = ["auto", "DHCP", "disable", "skip", "static"]
        .iter()
        .enumerate()
        .map(|(n, method)| {
            format!(
                "ETH{n}_MAC=02:00:00:00:00:0{n}\nETH{n}_IP=10.{n}.0.1\nETH{n}_IP6_METHOD={method}\n"
            )
        })
        .collect();
    let (status, log) = guest.apply(&format!("{context}SSH_PUBLIC_KEY='{KEY}'"));
    // DHCPv6 needs a manager, and there is none.
    let problems: Vec<_> = log.lines().filter(|line| line.contains("<3>")).collect();
    assert_eq!(status, 1);
    assert!(
        matches!(problems[..], [one] if one.contains("ETH1 (dhcp): DHCPv6 is not done")),
        "{log}"
    );
    for (device, name, value) in [
        ("auto", "accept_ra", "1"),
        ("auto", "autoconf", "1"),
        ("auto", "ra_defrtr_metric", "2048"),
        ("dhcp", "accept_ra", "1"),
        ("disable", "disable_ipv6", "1"),
        ("skip", "accept_ra", before.as_str()),
        ("static", "accept_ra", "0"),
        ("static", "autoconf", "0"),
    ] {
        assert_eq!(setting(device, name), value, "{device} {name}");
    }
    for (number, name) in ["auto", "dhcp", "disable", "skip", "static"]
        .iter()
        .enumerate()
    {
        assert_eq!(addresses(name), [format!("10.{number}.0.1/24")]);
    }
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_nic_that_is_not_there_costs_only_itself() {
    let mut guest = Guest::new();
    guest.nic("ens3", "02:00:00:00:00:01");
    let (status, log) = guest.apply(&format!(
        "ETH0_IP=10.0.0.1\nETH0_MAC=02:00:00:00:00:99\nETH1_IP=10.1.0.1\nETH1_MAC=02:00:00:00:00:01\n\
         SSH_PUBLIC_KEY='{KEY}'"
    ));
    assert_eq!(status, 1);
    assert_eq!(addresses("ens3"), ["10.1.0.1/24"]);
    let problem = "<3>onecontext: find the device of ETH0 (02:00:00:00:00:99): no network device has its MAC; there are: ";
    assert!(
        log.contains(problem) && log.contains("ens3 02:00:00:00:00:01"),
        "{log}"
    );
    assert!(
        fs::read_to_string(guest.top.join("root/root/.ssh/authorized_keys"))
            .unwrap()
            .contains(KEY)
    );
    let banner = fs::read_to_string(guest.top.join("run/issue.d/50-onecontext.issue")).unwrap();
    assert!(
        banner.contains("ETH0 no device:") && banner.contains("no network device has its MAC"),
        "{banner}"
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn what_the_kernel_refuses_is_said_in_its_words() {
    let mut guest = Guest::new();
    guest.nic("ens3", "02:00:00:00:00:01");
    // 10.0.0.255 is a broadcast address and no valid next hop.
    let (status, log) = guest.apply(&format!(
        "ETH0_IP=10.0.0.1\nETH0_MAC=02:00:00:00:00:01\nETH0_GATEWAY=10.0.0.255\nETH0_MTU=65000\nSSH_PUBLIC_KEY='{KEY}'"
    ));
    assert_eq!(status, 1);
    assert_eq!(addresses("ens3"), ["10.0.0.1/24"]);
    assert!(
        log.contains(
            "<3>onecontext: add a route: default via 10.0.0.255 of ETH0 (ens3): Invalid argument ("
        ),
        "{log}"
    );
    assert!(
        log.contains("the kernel does not have the route default via 10.0.0.255"),
        "{log}"
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn many_warnings_all_reach_the_log() {
    let mut guest = Guest::new();
    let broken: String = (0..30).map(|n| format!("this is line {n}\n")).collect();
    let (status, log) = guest.apply(&format!("{broken}SSH_PUBLIC_KEY='{KEY}'"));
    assert_eq!(status, 1);
    for n in 0..30 {
        let line = format!(
            "<3>onecontext: context.sh:{} not an assignment, skipped\n",
            n + 1
        );
        assert!(log.contains(&line), "{log}");
    }
    assert!(log.contains("no NIC in the context"), "{log}");
}

#[test]
#[ignore = "needs root: make test-fast"]
fn exit_statuses() {
    let mut guest = Guest::new();
    guest.nic("ens3", "02:00:00:00:00:01");
    let run = |arguments: &[&str]| {
        Command::new(release::program(arguments.iter().copied()))
            .args(arguments)
            .output()
            .unwrap()
            .status
            .code()
            .unwrap()
    };
    let good = guest.top.join("good");
    fs::write(
        &good,
        format!("ETH0_MAC=02:00:00:00:00:01\nETH0_IP=10.0.0.1\nSSH_PUBLIC_KEY='{KEY}'\n"),
    )
    .unwrap();
    let bad = guest.top.join("bad");
    fs::write(&bad, "ETH0_MAC=02:00:00:00:00:01\nETH0_IP=10.0.0.x\n").unwrap();
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
    assert_eq!(run(&["check", good]), 0);
    assert_eq!(run(&["check", bad]), 1);
    assert_eq!(run(&["plan", bad]), 0);
    assert_eq!(run(&["plan", "/nonexistent"]), 3);
    assert_eq!(run(&["plan", "/dev/null"]), 3);
    assert_eq!(run(&["apply"]), 2);
    assert_eq!(run(&["frob"]), 2);
    assert_eq!(run(&["--version"]), 0);
    assert_eq!(
        run(&[
            "apply",
            "--root",
            "/nonexistent",
            "--context",
            good,
            "--dry-run"
        ]),
        1
    );
    let (root, runs) = (guest.top.join("root"), guest.top.join("run"));
    let (root, runs) = (root.to_str().unwrap(), runs.to_str().unwrap());
    assert_eq!(
        run(&[
            "apply",
            "--root",
            root,
            "--run",
            runs,
            "--context",
            "/nonexistent"
        ]),
        3
    );
    assert_eq!(
        run(&[
            "apply",
            "--root",
            root,
            "--run",
            runs,
            "--context",
            good,
            "--dry-run"
        ]),
        0
    );
    assert!(addresses("ens3").is_empty(), "a dry run changed something");
    guest.apply_well(&fs::read_to_string(good).unwrap());
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_late_nic_is_waited_for_while_udev_is_busy() {
    let mut guest = Guest::new();
    let context = format!("ETH0_IP=10.0.0.1\nETH0_MAC=02:00:00:00:00:01\nSSH_PUBLIC_KEY='{KEY}'");
    // udev's directory, as in an initramfs.
    let udev = guest.top.join("udev");
    fs::create_dir(&udev).unwrap();
    fs::create_dir_all("/run/udev").unwrap();
    bind(&udev, "/run/udev");
    fs::write(udev.join("queue"), "").unwrap();
    guest.kernel_line("onecontext.wait=20");
    // A child of this thread, so it is in the same namespaces.
    let mut late = Command::new("sh")
        .args([
            "-c",
            "sleep 1; ip link add ens3 address 02:00:00:00:00:01 type veth peer name far",
        ])
        .spawn()
        .unwrap();
    guest.apply_well(&context);
    assert!(late.wait().unwrap().success());
    assert_eq!(addresses("ens3"), ["10.0.0.1/24"]);

    // udev never settles and the NIC never comes: the wait still ends.
    guest.kernel_line("onecontext.wait=1");
    let start = Instant::now();
    let (status, log) = guest.apply(&context.replace("00:01", "00:99"));
    assert_eq!(status, 1);
    assert!(log.contains("no network device has its MAC"), "{log}");
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
#[ignore = "needs root: make test-fast"]
fn kernel_parameters() {
    let mut guest = Guest::new();
    guest.nic("ens3", "02:00:00:00:00:01");
    let context = format!(
        "ETH0_IP=10.0.0.1\nETH0_MAC=02:00:00:00:00:01\nDNS=9.9.9.9\nSSH_PUBLIC_KEY='{KEY}'"
    );
    let keys = guest.top.join("root/root/.ssh/authorized_keys");

    guest.kernel_line("quiet onecontext=off");
    assert_eq!(guest.apply(&context), (0, String::new()));
    assert!(addresses("ens3").is_empty() && !keys.exists());

    guest.kernel_line("onecontext.network=off");
    guest.apply_well(&context);
    assert!(addresses("ens3").is_empty() && keys.exists());
    assert!(!guest.top.join("root/etc/resolv.conf").exists());
    fs::remove_file(&keys).unwrap();

    guest.kernel_line("onecontext.root=ro onecontext.debug");
    let before = tree(&guest.top, &["root"]);
    let (status, log) = guest.apply(&context);
    assert!(!guest.top.join("run/tmpfiles.d").exists());
    let key = fs::read_to_string(guest.top.join("run/onecontext/keys/root")).unwrap();
    assert!(key.contains("AAAAC3"), "{key}");
    let ssh = guest.top.join("root/etc/ssh");
    let config = fs::read_to_string(ssh.join("sshd_config")).unwrap();
    assert!(
        config.contains("\nAuthorizedKeysFile /run/onecontext/keys/%u "),
        "{config}"
    );
    // The root is as it was below the mount.
    umount2(&ssh, MntFlags::empty()).unwrap();
    let after = tree(&guest.top, &["root"]);
    assert_eq!(difference(&before, &after), Vec::<&Path>::new());
    assert_eq!(addresses("ens3"), ["10.0.0.1/24"]);
    // There is no file to mount resolv.conf over, which is reported.
    assert!(status == 1 && log.contains("resolv.conf"), "{log}");
    // Every line is an error.
    assert!(
        log.contains("<3>onecontext: ETH0 is ens3: 10.0.0.1/24"),
        "{log}"
    );
    assert!(!log.contains("<6>"), "{log}");

    guest.kernel_line("onecontext.netwrok=off onecontext.wait=soon");
    let (status, log) = guest.apply(&context);
    assert_eq!(status, 1);
    assert!(
        log.contains("<3>onecontext: read the kernel parameter: onecontext.netwrok=off: not known")
    );
    assert!(log.contains("onecontext.wait=soon"), "{log}");
    assert!(keys.exists());
}

#[test]
#[ignore = "needs root: make test-fast"]
fn a_machine_without_context() {
    let mut guest = Guest::new();
    guest.kernel_line("quiet onecontext.wait=20");
    // tests/faults/no_wait.rs checks that it does not wait.
    let (status, log, _) = guest.apply_found();
    assert_eq!(
        (status, log.as_str()),
        (0, "<6>onecontext: no context disk, nothing to do\n")
    );
    assert!(!guest.top.join("root/root/.ssh").exists());

    guest.kernel_line("onecontext=require onecontext.wait=1");
    let (status, log, took) = guest.apply_found();
    assert_eq!(status, 3);
    assert!(log.contains("<3>onecontext: "), "{log}");
    assert!(took >= Duration::from_secs(1), "{took:?}");
    let banner = fs::read_to_string(guest.top.join("run/issue.d/50-onecontext.issue")).unwrap();
    assert!(banner.contains("onecontext: "), "{banner}");

    guest.kernel_line("onecontext.device=/dev/nonexistent onecontext.wait=1");
    let (status, log, _) = guest.apply_found();
    assert_eq!(status, 3);
    assert!(log.contains("/dev/nonexistent"), "{log}");
}
