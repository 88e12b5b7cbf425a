//! A machine with two NICs, a context that says everything of them, and the resulting
//! state.

use crate::support::context::{Key, Writer, iso, opennebula};
use crate::support::image::Image;
use crate::support::machine::{Drive, Inside, Login, Machine};
use serde_json::Value;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const MAC1: &str = "02:00:0a:12:01:01";
pub const MAC2: &str = "02:00:0a:12:02:01";

/// Two NICs with everything that a context may say of them.
pub const TWO_NICS: [(&str, &str); 22] = [
    ("DNS", "9.9.9.9"),
    ("ETH0_ALIAS0_IP", "10.18.1.7"),
    ("ETH0_ALIAS0_MASK", "255.255.255.0"),
    ("ETH0_ALIAS0_IP6", "2001:db8:1::7"),
    ("ETH0_DNS", "10.18.1.253 2001:db8:1::fd"),
    ("ETH0_GATEWAY", "10.18.1.254"),
    ("ETH0_IP", "10.18.1.1"),
    ("ETH0_IP6", "2001:db8:1::a"),
    ("ETH0_IP6_GATEWAY", "2001:db8:1::ff"),
    ("ETH0_MAC", MAC1),
    ("ETH0_MASK", "255.255.255.0"),
    (
        "ETH0_ROUTES",
        "10.99.0.0/16 via 10.18.1.253 metric 50, 10.98.0.0/16 via 172.16.0.1",
    ),
    ("ETH0_SEARCH_DOMAIN", "example.org"),
    ("ETH1_DNS", "10.18.2.253"),
    ("ETH1_IP", "10.18.2.1"),
    ("ETH1_IP6", "2001:db8:2::a"),
    ("ETH1_MAC", MAC2),
    ("ETH1_MASK", "255.255.255.0"),
    ("ETH1_MTU", "1450"),
    ("ETH1_SEARCH_DOMAIN", "b.example.org"),
    ("NETWORK", "YES"),
    ("SET_HOSTNAME", "web1"),
];

/// `TWO_NICS` with other variables for the second NIC.
pub fn first_nic_and(others: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let first = TWO_NICS
        .iter()
        .filter(|(name, _)| !name.starts_with("ETH1_"));
    first.chain(others).copied().collect()
}

/// The kernel's state with `TWO_NICS`: addresses, IPv4 routes, IPv6 routes.
pub const LOOKS: [&[&str]; 3] = [
    &[
        "ens3 10.18.1.1/24",
        "ens3 10.18.1.7/24",
        "ens3 2001:db8:1::7/64",
        "ens3 2001:db8:1::a/64",
        "ens3 fe80::aff:fe12:101/64",
        "ens4 10.18.2.1/24",
        "ens4 2001:db8:2::a/64",
        "ens4 fe80::aff:fe12:201/64",
    ],
    &[
        "10.18.1.0/24 dev ens3",
        "10.18.2.0/24 dev ens4",
        "10.98.0.0/16 via 172.16.0.1 dev ens3 onlink",
        "10.99.0.0/16 via 10.18.1.253 dev ens3 metric 50",
        "default via 10.18.1.254 dev ens3",
    ],
    &[
        "2001:db8:1::/64 dev ens3 metric 256",
        "2001:db8:2::/64 dev ens4 metric 256",
        "default via 2001:db8:1::ff dev ens3 metric 1024",
    ],
];

pub const RESOLV_CONF: [&str; 5] = [
    "nameserver 9.9.9.9",
    "nameserver 10.18.1.253",
    "nameserver 2001:db8:1::fd",
    "nameserver 10.18.2.253",
    "search example.org b.example.org",
];

/// Logs all changes of addresses and routes, from the start of the root on. What there
/// is before any manager starts is in /run/first.
pub const MONITOR: &str = "[Unit]\nDefaultDependencies=no\n\
    Before=sysinit.target network-pre.target\nWants=network-pre.target\n\
    [Service]\nExecStartPre=sh -c 'ip -o address >/run/first'\n\
    ExecStart=ip monitor address route\nStandardOutput=file:/run/monitor\n";

/// NetworkManager's wait for the network, in Debian's unit of that name, ends after a
/// minute (nm-online(1)). A busy host may need longer.
const PATIENCE: &str = "[Service]\nEnvironment=NM_ONLINE_TIMEOUT=600\n";

/// A machine with two NICs and this context, which waits for its network.
pub fn machine(image: Image, variables: &[(&str, &str)]) -> (Machine, Key) {
    let machine = Machine::new(image);
    let key = Key::new(machine.folder().join("key"));
    let mut variables = variables.to_vec();
    variables.push(("SSH_PUBLIC_KEY", &key.public));
    let disk = machine.folder().join("context.iso");
    let text = opennebula(&variables);
    iso(
        &disk,
        Writer::Genisoimage,
        Some("CONTEXT"),
        &[("context.sh", &text)],
    );
    let machine = machine
        .nic(MAC1, 1)
        .nic(MAC2, 2)
        .disk(&disk, Drive::Cdrom)
        .kernel("systemd.wants=network-online.target")
        .edit("mkdir /etc/systemd/system/NetworkManager-wait-online.service.d")
        .write(
            "/etc/systemd/system/NetworkManager-wait-online.service.d/patience.conf",
            PATIENCE,
        )
        .write("/etc/systemd/system/monitor.service", MONITOR)
        .edit(
            "symlink /etc/systemd/system/sysinit.target.wants/monitor.service \
             /etc/systemd/system/monitor.service",
        );
    (machine, key)
}

/// The machine is online, and `unit` has not waited in vain.
pub fn assert_online(login: &mut Login, unit: &str) {
    let state = login.booted();
    assert_no_failed_unit(login);
    assert_eq!(state, "running\n");
    let active = login.run(&format!("systemctl is-active network-online.target {unit}"));
    assert_eq!(active, "active\nactive\n");
    let log = login.run(&format!("journalctl -b -o cat --no-pager -u {unit}"));
    for sign in SIGNS_OF_A_WAIT {
        assert!(!log.contains(sign), "{unit}: {log}");
    }
}

/// What a unit that waits for the network logs if the network does not come: the DHCP
/// client of ifupdown, before it gives up, and ifupdown's own wait for IPv6. Other
/// units fail.
const SIGNS_OF_A_WAIT: [&str; 3] = ["DHCPDISCOVER", "Timed out", "timed out"];

/// No unit has failed; else the panic shows the log of one.
pub fn assert_no_failed_unit(login: &mut Login) {
    let failed = login.run("systemctl --failed --plain --no-legend");
    if let Some(unit) = failed.split(' ').next().filter(|unit| !unit.is_empty()) {
        let log = login.run(&format!("journalctl -b --no-pager -u {unit}"));
        panic!("{failed}{log}");
    }
}

/// No step has failed: none of our records in the kernel log is an error.
pub fn assert_no_problem(login: &mut Login) {
    let ours = login.run("dmesg | grep -c 'onecontext: '");
    let errors = login.run("dmesg --level=err | grep 'onecontext: ' || true");
    assert_eq!(errors, "", "{ours}");
}

pub fn assert_looks_now_and_later(login: &mut Login) {
    assert_looks(login);
    login.run(LATER);
    assert_looks(login);
}

/// Long enough for unwanted changes to happen. Those that happened and were undone are
/// in `MONITOR`'s log, which `assert_quiet` reads.
pub const LATER: &str = "sleep 10";

pub fn assert_looks(login: &mut Login) {
    assert_eq!(
        [addresses(login), routes(login, 4), routes(login, 6)],
        LOOKS
    );
    let mtu = login.run("cat /sys/class/net/ens3/mtu /sys/class/net/ens4/mtu");
    assert_eq!(mtu, "1500\n1450\n");
}

/// The state is as expected, at once or after the servers and routers of the machine's
/// networks have sent something; they have timers of their own.
pub fn assert_comes(mut look: impl FnMut() -> Vec<String>, expected: &[&str]) {
    let end = Instant::now() + SERVERS;
    loop {
        let found = look();
        if found == expected {
            return;
        }
        if Instant::now() > end {
            assert_eq!(found, expected);
        }
        sleep(Duration::from_secs(1));
    }
}

/// The limit for that. QEMU's router sends advertisements unasked every 3 to 10
/// minutes.
const SERVERS: Duration = Duration::from_secs(700);

/// From the start of the root on none of the first NIC's addresses, none of its routes
/// by a gateway, and none of the second NIC's static addresses was ever deleted.
pub fn assert_quiet(login: &mut Login) {
    let monitor = login.run("cat /run/monitor");
    let lost = lost(&monitor);
    assert!(lost.is_empty(), "{lost:#?}\nof\n{monitor}");
}

/// The lines of `ip monitor` about deletions that must not happen.
pub fn lost(monitor: &str) -> Vec<&str> {
    monitor
        .lines()
        .filter(|line| line.starts_with("Deleted"))
        .filter(|line| {
            let ours = [
                " 10.18.1.",
                " 10.18.2.1/",
                " 2001:db8:1::",
                " 2001:db8:2::a/",
            ];
            let is_address = line.contains(" inet") && ours.iter().any(|one| line.contains(one));
            is_address || line.contains(" via ")
        })
        .collect()
}

/// All addresses but those of `lo`, each with its NIC, sorted.
pub fn addresses(inside: &mut impl Inside) -> Vec<String> {
    let links = inside.json("ip -json address");
    let mut all = Vec::new();
    for link in links.as_array().unwrap() {
        let nic = text(&link["ifname"]);
        for address in link["addr_info"].as_array().unwrap() {
            let (ip, length) = (text(&address["local"]), &address["prefixlen"]);
            all.push(format!("{nic} {ip}/{length}"));
        }
    }
    all.retain(|line| !line.starts_with("lo "));
    all.sort();
    all
}

/// All routes of a family, sorted, without those to link-local addresses, to which
/// NetworkManager gives another metric. Each is listed once: NetworkManager makes one
/// for every address in a network, by its source.
pub fn routes(inside: &mut impl Inside, family: u8) -> Vec<String> {
    let routes = inside.json(&format!("ip -{family} -json route"));
    let mut all: Vec<_> = routes.as_array().unwrap().iter().map(route).collect();
    all.retain(|line| !line.contains("dev lo") && !line.starts_with("fe80:"));
    all.sort();
    all.dedup();
    all
}

pub fn route(route: &Value) -> String {
    let mut line = text(&route["dst"]);
    for (word, field) in [("via", "gateway"), ("dev", "dev")] {
        if let Some(value) = route[field].as_str() {
            line += &format!(" {word} {value}");
        }
    }
    if let Some(metric) = route["metric"].as_u64() {
        line += &format!(" metric {metric}");
    }
    // Two routes with one metric are one route to the kernel.
    for hop in route["nexthops"].as_array().into_iter().flatten() {
        line += &format!(" via {} dev {}", text(&hop["gateway"]), text(&hop["dev"]));
    }
    for flag in route["flags"].as_array().into_iter().flatten() {
        line += &format!(" {}", text(flag));
    }
    line
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

/// The lines of /etc/resolv.conf without comments, the servers first.
pub fn resolv_conf(login: &mut Login) -> Vec<String> {
    let text = login.run("cat /etc/resolv.conf");
    let lines = text.lines().map(str::to_string);
    let mut lines: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    lines.sort_by_key(|line| line.starts_with("search"));
    lines
}
