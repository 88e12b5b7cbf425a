//! Networks of the test's own, a hostile one and good ones. On the first NIC's, whose
//! addresses are in the context, a router and a DHCP server must be ignored; on the
//! others' are the servers that the context asks for. The machine is pinged from
//! outside without a break.

use crate::support::image::Image;
use crate::support::machine::{Inside, Login, Machine, Running};
use crate::support::network::Network;
use crate::two_nics::*;
use std::time::{Duration, Instant};

const MAC3: &str = "02:00:0a:12:03:01";

/// The first NIC is that of `TWO_NICS`, with everything that a context may list; the
/// second is by DHCPv4 and DHCPv6, the third by router advertisements.
const OTHERS: [(&str, &str); 11] = [
    ("ETH1_IP6_METHOD", "dhcp"),
    ("ETH1_MAC", MAC2),
    ("ETH1_METHOD", "dhcp"),
    ("ETH1_METRIC", "75"),
    ("ETH2_DNS", "10.18.3.253"),
    ("ETH2_IP", "10.18.3.1"),
    ("ETH2_IP6_METHOD", "auto"),
    ("ETH2_MAC", MAC3),
    ("ETH2_MASK", "255.255.255.0"),
    ("ETH2_MTU", "1450"),
    ("ETH2_SEARCH_DOMAIN", "b.example.org"),
];

/// What dnsmasq serves. In the first network everything that might do harm, every few
/// seconds; in the second one address of each family, with a default router from
/// advertisements alone; in the third a prefix.
const SERVED: [&str; 7] = [
    "--dhcp-range=10.18.1.100,10.18.1.200",
    "--dhcp-range=2001:db8:1::100,2001:db8:1::200,slaac",
    "--ra-param=tap1,mtu:1280,high,4",
    "--dhcp-range=10.18.2.50,10.18.2.50",
    "--dhcp-range=2001:db8:2::50,2001:db8:2::50",
    "--dhcp-range=2001:db8:3::,ra-only",
    "--enable-ra",
];

/// The addresses.
const ADDRESSES: [&str; 11] = [
    "ens3 10.18.1.1/24",
    "ens3 10.18.1.7/24",
    "ens3 2001:db8:1::7/64",
    "ens3 2001:db8:1::a/64",
    "ens3 fe80::aff:fe12:101/64",
    "ens4 10.18.2.50/24",
    "ens4 2001:db8:2::50/128",
    "ens4 fe80::aff:fe12:201/64",
    "ens5 10.18.3.1/24",
    "ens5 2001:db8:3::aff:fe12:301/64",
    "ens5 fe80::aff:fe12:301/64",
];

/// The default routes in IPv6: that of the context, then those of routers.
const DEFAULTS: [&str; 3] = [
    "default via 2001:db8:1::ff dev ens3 metric 1024",
    "default via fe80::ff dev ens4 metric 2049",
    "default via fe80::ff dev ens5 metric 2050",
];

/// The longest time without an answer.
pub const GAP: Duration = Duration::from_secs(2);

/// The routes of the first NIC, which the context lists in full.
const ROUTES: [&str; 6] = [
    "10.18.1.0/24 dev ens3",
    "10.98.0.0/16 via 172.16.0.1 dev ens3 onlink",
    "10.99.0.0/16 via 10.18.1.253 dev ens3 metric 50",
    "default via 10.18.1.254 dev ens3",
    "2001:db8:1::/64 dev ens3 metric 256",
    DEFAULTS[0],
];

/// No server of the test's names a resolver.
const RESOLVERS: [&str; 5] = [
    "nameserver 9.9.9.9",
    "nameserver 10.18.1.253",
    "nameserver 2001:db8:1::fd",
    "nameserver 10.18.3.253",
    "search example.org b.example.org",
];

/// A machine after these checks.
pub struct Watched {
    pub login: Login,
    pub running: Running,
    unit: &'static str,
    _network: Network,
}

/// Boots the machine, with this change of its root, and checks all that. The machine
/// must answer before it starts `unit`.
pub fn watched(
    image: Image,
    unit: &'static str,
    change: impl FnOnce(Machine) -> Machine,
) -> Watched {
    let mut network = Network::new(&[1, 2, 3]);
    network.serve(&SERVED);
    let (machine, key) = machine(image, &first_nic_and(&OTHERS));
    let machine = change(machine.nic(MAC3, 3)).in_network(&network);
    let mut running = machine.start();
    let pings = ["10.18.1.1", "2001:db8:1::a"].map(|address| (address, running.ping(address)));
    let mut login = running.login("root", 1, &key);

    login.booted();
    assert_no_failed_unit(&mut login);
    let active = login.run("systemctl is-active network-online.target");
    assert_eq!(active, "active\n");
    login.run(LATER);
    assert_state(&mut login, unit);
    for (address, ping) in pings {
        let reached = ping.stop();
        eprintln!("{unit}, {address}: {reached}");
        assert!(reached.gap < GAP, "{address}: {reached}");
        if address == "10.18.1.1" {
            assert_before(&mut login, reached.first, unit);
        }
    }
    assert_eq!(resolv_conf(&mut login), RESOLVERS);
    if unit == "dhcpcd.service" {
        // By then it has added the router's route with its own metric.
        let monitor = login.run("cat /run/monitor");
        let kernel_s = "Deleted default via fe80::ff dev ens4 proto ra metric 2049 ";
        let lost = lost(&monitor);
        assert!(
            lost.iter().all(|line| line.starts_with(kernel_s)),
            "{lost:?}"
        );
    } else {
        assert_quiet(&mut login);
    }

    // The first network's router advertised itself, and the machine asked it nothing.
    let spoke = |line: &str| line.contains("(tap1)") && line.contains("RTR-ADVERT");
    let log = network.wait_for("as a router", |log| {
        log.lines().filter(|line| spoke(line)).count() > 1
    });
    let of_first = log.lines().filter(|line| line.contains("(tap1)"));
    let asked: Vec<_> = of_first.filter(|line| !spoke(line)).collect();
    assert_eq!(asked, [""; 0]);
    Watched {
        login,
        running,
        unit,
        _network: network,
    }
}

impl Watched {
    /// Addresses, routes and MTUs are as after the boot.
    pub fn assert_state(&mut self) {
        assert_state(&mut self.login, self.unit);
    }
}

fn assert_state(login: &mut Login, unit: &str) {
    assert_comes(|| addresses(login), &ADDRESSES);
    let mut expected = DEFAULTS;
    if unit == "dhcpcd.service" {
        // It has one metric for both families.
        expected[1] = "default via fe80::ff dev ens4 metric 75";
        expected.sort();
    }
    let is_default = |line: &String| line.starts_with("default");
    let defaults = || routes(login, 6).into_iter().filter(is_default).collect();
    assert_comes(defaults, &expected);

    let ipv4 = routes(login, 4);
    let (first, others): (Vec<_>, Vec<_>) = [ipv4, routes(login, 6)]
        .concat()
        .into_iter()
        .partition(|line| line.contains("dev ens3"));
    assert_eq!(first, ROUTES);
    // Another NIC's default route has the metric of the context, and so comes after.
    let others = others
        .iter()
        .filter(|line| line.starts_with("default via 10."));
    let others: Vec<_> = others.collect();
    let theirs = "default via 10.18.2.254 dev ens4 metric 75";
    assert!(others.len() <= 1, "{others:?}");
    assert!(
        others.iter().all(|line| line.starts_with(theirs)),
        "{others:?}"
    );
    let mtu = login.run(
        "cat /proc/sys/net/ipv6/conf/ens3/mtu /sys/class/net/ens3/mtu /sys/class/net/ens5/mtu",
    );
    assert_eq!(mtu, "1500\n1500\n1450\n");
}

/// Asserts that `moment` was before the machine started `unit`.
fn assert_before(login: &mut Login, moment: Instant, unit: &str) {
    // The machine's clock is read a little after ours, which makes the moment too late.
    // The shortest of five reads counts.
    let clock = |_| {
        let (begin, ago) = (Instant::now(), moment.elapsed());
        let uptime = login.run("cut -d ' ' -f 1 /proc/uptime");
        (begin.elapsed(), ago, uptime)
    };
    let (_, ago, uptime) = (0..5).map(clock).min().unwrap();
    let moment = uptime.trim().parse::<f64>().unwrap() - ago.as_secs_f64();
    let start = login.run(&format!(
        "systemctl show -P ExecMainStartTimestampMonotonic {unit}"
    ));
    let start = start.trim().parse::<f64>().unwrap() / 1e6;
    eprintln!("the first answer at {moment:.1} s, {unit} at {start:.1} s");
    assert!(moment < start, "{unit} at {start} s, {moment} s");
}

/// Asserts that a ping notices a gap of the first NIC.
pub fn assert_pings_see_a_gap(watched: &mut Watched) {
    let ping = watched.running.ping("10.18.1.1");
    watched.login.run(
        "systemd-run --quiet --wait sh -c 'ip link set ens3 down; sleep 8; ip link set ens3 up'",
    );
    let reached = ping.stop();
    eprintln!("ens3 down for 8 s: {reached}");
    assert!(reached.gap > GAP, "{reached}");
}
