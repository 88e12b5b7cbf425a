//! The context changes between the two stages: what the earlier one set is taken back.
use crate::early::{Initramfs, flush};
use crate::guest::*;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

const NICS: [(&str, &str); 3] = [
    ("ens3", "02:00:0a:12:01:01"),
    ("ens4", "02:00:0a:12:01:02"),
    ("ens5", "02:00:0a:12:01:03"),
];

/// How many machines there are at once.
const WORKERS: usize = 4;

/// An initramfs with these NICs.
fn machine() -> Initramfs {
    let initramfs = Initramfs::new("");
    for (name, mac) in NICS {
        initramfs.guest.nic(name, mac);
    }
    initramfs
}

fn of_eth(number: usize, lines: &str) -> String {
    let mac = NICS[number].1;
    let lines: String = lines
        .split_terminator(' ')
        .map(|line| format!("ETH{number}_{line}\n"))
        .collect();
    format!("ETH{number}_MAC={mac}\n{lines}")
}

/// The stale route of the second NIC is gone before the first gets the same one.
#[test]
#[ignore = "needs root: make test-fast"]
fn an_ipv6_default_route_that_moves_to_another_nic_has_one_next_hop() {
    let mut initramfs = machine();
    let with = "IP6=2001:db8:1::a IP6_GATEWAY=fe80::1 IP6_METRIC=1024";
    let without = "IP6=2001:db8:2::a";
    initramfs.early(&(of_eth(0, without) + &of_eth(1, with)), &[]);
    assert_eq!(routes("-6"), ["default via fe80::1 dev ens4 metric 1024"]);
    let (_, log) = initramfs
        .guest
        .apply(&(of_eth(0, with) + &of_eth(1, without)));
    assert_eq!(
        routes("-6"),
        ["default via fe80::1 dev ens3 metric 1024"],
        "{log}"
    );
}

const PCI: &str = "PCI0_MAC=02:00:0a:12:01:01\nPCI0_ADDRESS=01:01.0\nPCI0_IP=10.18.1.1\n\
    PCI0_GATEWAY=10.18.1.254\nPCI0_IP6=2001:db8:1::a\n";

#[test]
#[ignore = "needs root: make test-fast"]
fn what_is_on_a_vlan_device_goes_with_it() {
    let mut initramfs = machine();
    let with_vlan = format!("{PCI}PCI0_VLAN_ID=7\n");
    let both = ["10.18.1.1/24", "2001:db8:1::a/64"];
    // One that was there stays. It goes by its name, so it need not be a VLAN.
    initramfs.guest.nic("ens3.7", "02:00:0a:12:01:07");
    initramfs.early(&with_vlan, &[]);
    assert_eq!(addresses("ens3.7"), both);
    let (_, log) = initramfs.guest.apply(PCI);
    assert_eq!(
        (addresses("ens3"), addresses("ens3.7")),
        (both.map(String::from).to_vec(), vec![]),
        "{log}"
    );
    assert_eq!(routes("-4"), ["default via 10.18.1.254 dev ens3"], "{log}");
}

/// The same where the early stage made the device.
#[test]
#[ignore = "needs root and the kernel's module 8021q: make test-fast"]
fn a_vlan_device_that_was_made_goes_again() {
    let mut initramfs = machine();
    let with_vlan = format!("{PCI}PCI0_VLAN_ID=7\n");
    let both = ["10.18.1.1/24", "2001:db8:1::a/64"];
    initramfs.early(&with_vlan, &[]);
    assert_eq!(addresses("ens3.7"), both);
    let (_, log) = initramfs.guest.apply(PCI);
    assert_eq!(addresses("ens3"), both, "{log}");
    assert!(!is_there("link show dev ens3.7"), "{log}");
}

/// Whether ip(8) succeeds.
fn is_there(arguments: &str) -> bool {
    let mut ip = Command::new("ip");
    ip.args(arguments.split(' '))
        .output()
        .unwrap()
        .status
        .success()
}

#[test]
#[ignore = "needs root: make test-fast"]
fn parameters_are_as_they_were_before() {
    let mut initramfs = machine();
    let names = ["accept_ra", "autoconf", "disable_ipv6", "ra_defrtr_metric"];
    let look = || {
        let link = &json("link show dev ens3")[0];
        let is_up = link["flags"].to_string().contains("\"UP\"");
        let settings = names.map(|name| setting("ens3", name));
        (link["mtu"].as_u64(), is_up, settings)
    };
    let before = look();
    for set in [
        "IP=10.18.1.1 MTU=1400 IP6_METHOD=disable",
        "IP=10.18.1.1 MTU=1300 IP6=2001:db8::1",
        "IP6_METHOD=auto",
    ] {
        initramfs.early(&of_eth(0, set), &[]);
        assert_ne!(look(), before, "{set}");
        let (_, log) = initramfs.guest.apply(&of_eth(1, "IP=10.18.2.1"));
        assert_eq!(look(), before, "{set}: {log}");
    }
}

/// The record is written ahead.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_stage_that_is_killed_leaves_a_record() {
    let mut initramfs = machine();
    let old = of_eth(0, "IP=10.18.1.1 GATEWAY=10.18.1.254 IP6=2001:db8::1");
    let new = of_eth(0, "IP=10.18.1.2");
    // One more netlink request each time, until the stage ends by itself.
    let run = initramfs.guest.top.join("run/onecontext");
    for sent in 1.. {
        let is_killed = !early_until(&initramfs, &old, sent);
        let (_, log) = initramfs.guest.apply(&new);
        assert_eq!(addresses("ens3"), ["10.18.1.2/24"], "{sent}: {log}");
        assert_eq!(routes("-4"), [""; 0], "{sent}: {log}");
        if !is_killed {
            assert!(sent > 5, "{sent} requests");
            let record = run.join("record");
            let mode = fs::metadata(record).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
            break;
        }
        fs::remove_dir_all(&run).unwrap();
        flush("ens3");
    }
}

/// Runs the early stage with this context until it has made so many calls of sendto(2),
/// and then kills it. Returns whether it has ended by itself.
fn early_until(initramfs: &Initramfs, context: &str, sent: usize) -> bool {
    fs::write(initramfs.top.join("context.sh"), context).unwrap();
    let trace = initramfs.guest.top.join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o"]).arg(&trace);
    strace.args(["-e", "trace=sendto", "-e"]);
    strace.arg(format!("inject=sendto:signal=KILL:when={sent}"));
    strace.arg("chroot").arg(&initramfs.top).arg("/onecontext");
    strace.args(["apply", "--early", "--context", "/context.sh"]);
    strace.status().unwrap();
    let trace = fs::read_to_string(trace).unwrap();
    !trace.contains("+++ killed by SIGKILL +++")
}

/// Contexts that differ in what a stage can set.
fn contexts() -> Vec<String> {
    let gateway = "GATEWAY=10.18.1.254 IP6_GATEWAY=fe80::1";
    let own = format!("IP=10.18.1.1 IP6=2001:db8:1::a {gateway}");
    let pci = "PCI0_MAC=02:00:0a:12:01:01\nPCI0_ADDRESS=01:01.0\nPCI0_MTU=1400\n\
               PCI0_IP=10.18.1.1\nPCI0_GATEWAY=10.18.1.254\nPCI0_IP6=2001:db8:1::a\n";
    vec![
        of_eth(0, &own),
        of_eth(0, "IP=10.18.2.1 IP6=2001:db8:2::a") + &of_eth(1, &own),
        of_eth(1, "IP=10.18.2.1 IP6=2001:db8:2::a GATEWAY=10.18.2.254") + &of_eth(0, "MTU=1300"),
        of_eth(
            0,
            &format!("{own} MTU=1400 ALIAS0_IP=10.18.1.7 ALIAS1_IP6=2001:db8:1::b"),
        ),
        of_eth(
            0,
            &format!("IP=10.18.1.7 ALIAS0_IP=10.18.1.1 {gateway} METRIC=7"),
        ),
        of_eth(0, "IP=10.18.1.1 IP6_METHOD=disable GATEWAY=10.18.1.254"),
        of_eth(0, "METHOD=skip IP6_METHOD=auto") + &of_eth(2, "IP=10.18.3.1"),
        of_eth(0, "IP=10.18.1.1 METHOD=skip IP6_METHOD=skip") + &of_eth(2, &own),
        of_eth(0, &format!("{own} ROUTES='10.99.0.0/16_via_10.18.1.9'"))
            .replace('_', " ")
            .replace("ETH0 ", "ETH0_"),
        format!("{PCI}PCI0_VLAN_ID=7\n"),
        pci.into(),
        "SET_HOSTNAME=web1\n".into(),
    ]
}

/// What the kernel has of the NICs and of what is on them, but for what it does by itself
/// a while after a link went up.
fn state() -> Vec<String> {
    let mut state = Vec::new();
    let is_own = |device: &Value| device.as_str().is_some_and(|name| name.starts_with("ens"));
    let lasts = |text: &str| {
        !["fe80::", "ff00::", "multicast"]
            .iter()
            .any(|one| text.contains(one))
    };
    for link in json("-details address show").as_array().unwrap() {
        if !is_own(&link["ifname"]) {
            continue;
        }
        let flags = link["flags"].to_string();
        let (name, is_up) = (&link["ifname"], flags.contains("\"UP\""));
        state.push(format!(
            "{name} {} {} {is_up}",
            link["mtu"], link["address"]
        ));
        for one in link["addr_info"].as_array().unwrap() {
            let [local, length, scope] = ["local", "prefixlen", "scope"].map(|key| &one[key]);
            if scope != "link" {
                let is_second = one["secondary"].as_bool().unwrap_or_default();
                state.push(format!("{name} {local} {length} {scope} {is_second}"));
            }
        }
    }
    for family in ["-4", "-6"] {
        let mut routes = Vec::new();
        for route in json(&format!("{family} route show table main"))
            .as_array()
            .unwrap()
        {
            let mut route = route.clone();
            // The state of the carrier.
            if let Some(flags) = route["flags"].as_array_mut() {
                flags.retain(|flag| flag == "onlink");
            }
            routes.push(route.to_string());
        }
        routes.retain(|route| lasts(route) || route.contains("default"));
        routes.sort();
        state.extend(routes);
    }
    let script = "cd /proc/sys/net/ipv6/conf && grep -H . \
                  ens*/accept_ra ens*/autoconf ens*/disable_ipv6 ens*/ra_defrtr_metric";
    let said = output(Command::new("sh").args(["-c", script])).stdout;
    let said = String::from_utf8(said).unwrap();
    state.extend(said.lines().map(str::to_string));
    state
}

/// Each two contexts, the first in the early stage: the machine ends as with the second
/// alone.
#[test]
#[ignore = "needs root: make test-fast"]
fn the_second_context_alone_counts() {
    let contexts = contexts();
    let mut work = Vec::new();
    for late in 0..contexts.len() {
        work.push((None, late));
    }
    let run = |early: Option<usize>, late: usize| {
        // Namespaces belong to a thread.
        let (early, late) = (early.map(|early| &contexts[early]), &contexts[late]);
        let mut initramfs = machine();
        if let Some(early) = early {
            initramfs.early(early, &[]);
        }
        initramfs.guest.apply(late);
        state()
    };
    let spread = |work: Vec<(Option<usize>, usize)>| {
        let next = Mutex::new(work.into_iter());
        let states = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    loop {
                        let Some((early, late)) = next.lock().unwrap().next() else {
                            break;
                        };
                        let state = run(early, late);
                        states.lock().unwrap().insert((early, late), state);
                    }
                });
            }
        });
        states.into_inner().unwrap()
    };
    let start = Instant::now();
    let alone = spread(work);
    assert!(alone.len() > 5, "{} contexts", alone.len());
    let all = 0..contexts.len();
    let pairs = all
        .clone()
        .flat_map(|early| all.clone().map(move |late| (Some(early), late)));
    let mut wrong = Vec::new();
    for ((early, late), state) in spread(
        pairs
            .filter(|(early, late)| *early != Some(*late))
            .collect(),
    ) {
        let alone = &alone[&(None, late)];
        if state != *alone {
            let only = |one: &[String], other: &[String]| {
                one.iter()
                    .filter(|line| !other.contains(line))
                    .cloned()
                    .collect::<Vec<_>>()
            };
            let (more, less) = (only(&state, alone), only(alone, &state));
            wrong.push(format!(
                "{early:?} then {late}: more {more:#?}, less {less:#?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong: {}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
}
