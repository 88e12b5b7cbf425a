//! DHCP without a network manager. The servers are real: dnsmasq and ISC dhcpd, at the
//! far ends of a guest's cables, in a network namespace of their own.
use crate::guest::*;
use crate::{KEY, release};

use std::fs;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// The far ends of the cables.
pub struct Far {
    name: String,
    servers: Vec<Child>,
    top: PathBuf,
}

impl Far {
    /// Makes the namespace; `suffix` distinguishes a second one of a test.
    pub fn new(guest: &Guest, suffix: &str) -> Far {
        let thread = nix::unistd::gettid();
        let name = format!("onecontext-{thread}{suffix}");
        ip(&format!("netns add {name}"));
        Far {
            name,
            servers: Vec::new(),
            top: guest.top.clone(),
        }
    }

    /// Connects a cable to the guest's NIC `ensN`; this end is `netN`, 10.18.N.254.
    pub fn cable(&self, number: u8) {
        let name = &self.name;
        let mac = mac(number);
        ip(&format!(
            "link add ens{number} address {mac} type veth peer name net{number} netns {name}"
        ));
        for arguments in [
            format!("address add 10.18.{number}.254/24 dev net{number}"),
            format!("link set net{number} up"),
        ] {
            ip(&format!("-n {name} {arguments}"));
        }
    }

    /// Gives this end another address.
    pub fn address(&self, number: u8, address: &str) {
        let name = &self.name;
        ip(&format!(
            "-n {name} address add {address} dev net{number} nodad"
        ));
    }

    /// A program at this end.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        let dies_with_us = || Ok(prctl::set_pdeathsig(Signal::SIGKILL)?);
        // SAFETY: one system call, which takes no lock of another thread.
        unsafe { command.pre_exec(dies_with_us) };
        command.stdin(Stdio::null());
        command
    }

    /// Starts dnsmasq(8) at `netN`; its output goes to a file.
    pub fn dnsmasq(&mut self, number: u8, options: &[&str]) {
        self.dnsmasq_at(&format!("net{number}"), options);
    }

    fn dnsmasq_at(&mut self, interface: &str, options: &[&str]) {
        let log = self.top.join(format!("dnsmasq-{}", self.servers.len()));
        let mut command = self.command("dnsmasq");
        command
            .args(["--keep-in-foreground", "--conf-file=/dev/null"])
            .args(["--leasefile-ro", "--port=0", "--no-ping", "--log-dhcp"])
            .args(["--user=root", "--bind-interfaces", "--pid-file="])
            .arg(format!("--interface={interface}"))
            .arg(format!("--log-facility={}", log.display()))
            .args(options);
        self.servers.push(command.spawn().unwrap());
        wait_for(&log, "started");
    }

    /// Starts ISC's dhcpd(8) at `netN` with this configuration.
    fn dhcpd(&mut self, number: u8, config: &str) {
        let count = self.servers.len();
        let file = |what: &str| self.top.join(format!("dhcpd-{what}-{count}"));
        let (conf, leases, log) = (file("conf"), file("leases"), file("log"));
        fs::write(&conf, config).unwrap();
        fs::write(&leases, "").unwrap();
        let mut command = self.command("dhcpd");
        command
            .args(["-4", "-f", "--no-pid", "-cf"])
            .arg(&conf)
            .arg("-lf")
            .arg(&leases)
            .arg(format!("net{number}"))
            .stderr(fs::File::create(&log).unwrap());
        self.servers.push(command.spawn().unwrap());
        wait_for(&log, "fallback-net");
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        ip(&format!("netns delete {}", self.name));
    }
}

fn wait_for(log: &PathBuf, words: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.contains(words) {
            return;
        }
        assert!(Instant::now() < end, "{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn mac(number: u8) -> String {
    format!("02:00:0a:12:{number:02x}:01")
}

/// A valid context with these NICs by DHCPv4.
fn context(numbers: &[u8]) -> String {
    let mut text = format!("SET_HOSTNAME=web1\nSSH_PUBLIC_KEY='{KEY}'\n");
    for number in numbers {
        let mac = mac(*number);
        text += &format!(
            "ETH{number}_MAC={mac}\nETH{number}_METHOD=dhcp\nETH{number}_IP6_METHOD=disable\n"
        );
    }
    text
}

/// All IPv4 routes by DHCP, as the text form has them.
fn routes_by_dhcp() -> Vec<String> {
    let routes = output(Command::new("ip").args("-4 route show proto dhcp".split(' ')));
    let text = String::from_utf8(routes.stdout).unwrap();
    text.lines().map(|line| line.trim().to_string()).collect()
}

/// The seconds for which an address is still valid.
fn left(device: &str) -> u64 {
    let link = json(&format!("-4 address show dev {device}"));
    link[0]["addr_info"][0]["valid_life_time"].as_u64().unwrap()
}

fn resolv_conf(guest: &Guest) -> Vec<String> {
    let text = fs::read_to_string(guest.top.join("root/etc/resolv.conf")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_string).collect()
}

/// The problems in a log, without their prefix.
fn problems(log: &str) -> Vec<&str> {
    log.lines()
        .filter_map(|line| line.strip_prefix("<3>onecontext: "))
        .collect()
}

const HOUR: &str = "--dhcp-range=10.18.1.50,10.18.1.60,255.255.255.0,1h";

#[test]
#[ignore = "needs root: make test-fast"]
fn all_that_dnsmasq_gives() {
    let mut guest = Guest::new();
    let mut far = Far::new(&guest, "");
    far.cable(1);
    far.dnsmasq(
        1,
        &[
            HOUR,
            "--dhcp-host=02:00:0a:12:01:01,10.18.1.55",
            "--dhcp-option=option:dns-server,10.18.1.253,9.9.9.9",
            "--dhcp-option=option:mtu,1400",
            "--dhcp-option=option:domain-search,example.org,b.example.org",
        ],
    );
    let context = context(&[1]) + "DNS=9.9.9.9\nSEARCH_DOMAIN=c.example.org\n";
    // Commands that only look ask no server.
    let root = guest.top.join("root");
    let file = guest.top.join("context.sh");
    fs::write(&file, &context).unwrap();
    for arguments in [&["plan"][..], &["apply", "--dry-run", "--context"]] {
        let mut command = Command::new(release::program(arguments.iter().copied()));
        command.args(arguments).arg(&file).arg("--root").arg(&root);
        let text = String::from_utf8(output(&mut command).stdout).unwrap();
        assert!(text.contains("\ndhcp ETH1 ipv4 ask onecontext\n"), "{text}");
    }
    let log = fs::read_to_string(guest.top.join("dnsmasq-0")).unwrap();
    assert!(!log.contains("DHCPDISCOVER"), "{log}");

    for _ in 0..2 {
        let (status, log) = guest.apply(&context);
        assert_eq!(addresses("ens1"), ["10.18.1.55/24"]);
        assert_eq!(
            routes_by_dhcp(),
            ["default via 10.18.1.254 dev ens1 src 10.18.1.55 metric 1025"]
        );
        assert_eq!(json("link show dev ens1")[0]["mtu"], 1400);
        assert!((3500..=3600).contains(&left("ens1")), "{}", left("ens1"));
        assert_eq!(
            resolv_conf(&guest),
            [
                "nameserver 9.9.9.9",
                "nameserver 10.18.1.253",
                "search c.example.org example.org b.example.org"
            ]
        );
        let said = "ETH1 (ens1): 10.18.1.55/24 by DHCP from 10.18.1.254, for 3600 s, until 20";
        let found = problems(&log);
        assert!(matches!(found[..], [one] if one.starts_with(said)), "{log}");
        assert_eq!(status, 1);
    }
    let banner = fs::read_to_string(guest.top.join("run/issue.d/50-onecontext.issue")).unwrap();
    assert!(banner.contains("ETH1 ens1: 10.18.1.55/24\n"), "{banner}");
    let log = fs::read_to_string(guest.top.join("dnsmasq-0")).unwrap();
    assert!(log.contains("client provides name: web1"), "{log}");
}

/// IPv6 needs an MTU of 1280.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_small_mtu_leaves_ipv6_alone() {
    let mut guest = Guest::new();
    let mut far = Far::new(&guest, "");
    far.cable(1);
    far.dnsmasq(1, &[HOUR, "--dhcp-option=option:mtu,600"]);
    let context = context(&[1]) + "ETH1_IP6=2001:db8::5\nETH1_IP6_METHOD=static\n";
    let (_, log) = guest.apply(&context);
    assert_eq!(json("link show dev ens1")[0]["mtu"], 1280, "{log}");
    assert_eq!(addresses("ens1").len(), 2, "{log}");
    release::assert_unsaid(&log, "the kernel does not have");
}

#[test]
#[ignore = "needs root: make test-fast"]
fn all_that_dhcpd_gives() {
    let mut guest = Guest::new();
    let mut far = Far::new(&guest, "");
    far.cable(1);
    far.dhcpd(
        1,
        "option classless code 121 = array of integer 8;\n\
         default-lease-time 4; min-lease-time 4; max-lease-time 4; authoritative;\n\
         subnet 10.18.1.0 netmask 255.255.255.0 {\n\
           range 10.18.1.50 10.18.1.60;\n\
           option routers 10.18.1.9;\n\
           option classless 0, 10,18,1,254, 16, 10,99, 10,18,1,253, 32, 169,254,169,254, 0,0,0,0;\n\
           option domain-search \"a.example.org\", \"example.org\";\n\
           option domain-name \"other.example.org\";\n\
           option domain-name-servers 10.18.1.253;\n\
           option host-name \"other\";\n\
         }\n",
    );
    let start = Instant::now();
    let (_, log) = guest.apply(&(context(&[1]) + "ETH1_METRIC=75\n"));
    assert_eq!(
        routes_by_dhcp(),
        [
            "default via 10.18.1.254 dev ens1 src 10.18.1.50 metric 75",
            "10.99.0.0/16 via 10.18.1.253 dev ens1 src 10.18.1.50 metric 75",
            "169.254.169.254 dev ens1 scope link src 10.18.1.50 metric 75"
        ]
    );
    assert_eq!(addresses("ens1"), ["10.18.1.50/24"], "{log}");
    assert_eq!(
        resolv_conf(&guest),
        ["nameserver 10.18.1.253", "search a.example.org example.org"]
    );
    assert_eq!(nix::unistd::gethostname().unwrap(), "web1");
    assert!(log.contains("by DHCP from 10.18.1.254, for 4 s"), "{log}");

    // A short lease ends, and everything from it goes.
    while !addresses("ens1").is_empty() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(start.elapsed() > Duration::from_secs(3));
    assert!(routes_by_dhcp().is_empty());
}

#[test]
#[ignore = "needs root: make test-fast"]
fn silent_networks_cost_fifteen_seconds_and_the_others_nothing() {
    let mut guest = Guest::new();
    let mut far = Far::new(&guest, "");
    (1..=7).for_each(|number| far.cable(number));
    far.dnsmasq(1, &["--dhcp-range=10.18.1.50,10.18.1.50,infinite"]);
    far.dnsmasq(2, &["--dhcp-range=10.18.2.50,10.18.2.50,infinite"]);
    // As systemd and others set it: packets that arrive at a link without an address
    // are dropped before they reach a UDP socket.
    output(Command::new("sh").args([
        "-c",
        "for conf in /proc/sys/net/ipv4/conf/*; do echo 1 >$conf/rp_filter; done",
    ]));
    let fifth = format!("ETH5_MAC={}\nETH5_IP=10.18.5.1\n", mac(5));
    // The fourth has no carrier.
    ip(&format!("-n {} link set net4 down", far.name));
    let start = Instant::now();
    let (status, log) = guest.apply(&(context(&[1, 2, 3, 4, 6, 7]) + &fifth));
    let took = start.elapsed();
    assert_eq!(status, 1);
    assert_eq!(
        problems(&log),
        [
            "ETH3 (ens3): no address by DHCP: no server answers",
            "ETH4 (ens4): no address by DHCP: no server answers",
            "ETH6 (ens6): no address by DHCP: no server answers",
            "ETH7 (ens7): no address by DHCP: no server answers"
        ]
    );
    // One after the other, these four would take longer than `apply` may.
    assert!(took.as_secs() >= 14, "{took:?}");
    for (device, address) in [
        ("ens1", "10.18.1.50/24"),
        ("ens2", "10.18.2.50/24"),
        ("ens5", "10.18.5.1/24"),
    ] {
        assert_eq!(addresses(device), [address], "{log}");
    }
    assert_eq!(
        routes_by_dhcp(),
        [
            "default via 10.18.1.254 dev ens1 src 10.18.1.50 metric 1025",
            "default via 10.18.2.254 dev ens2 src 10.18.2.50 metric 1026"
        ]
    );
}

#[test]
#[ignore = "needs root: make test-fast"]
fn of_two_servers_one_is_taken() {
    let mut guest = Guest::new();
    let mut far = Far::new(&guest, "");
    far.cable(1);
    let mut other = Far::new(&guest, "b");
    // The far end becomes a port of a bridge, and the other server's end another port.
    let (name, second) = (&far.name, &other.name);
    for arguments in [
        format!("-n {name} link add bridge type bridge"),
        format!("-n {name} link add port type veth peer name net1 netns {second}"),
        format!("-n {name} link set port master bridge up"),
        format!("-n {name} address flush dev net1"),
        format!("-n {name} link set net1 master bridge"),
        format!("-n {name} address add 10.18.1.254/24 dev bridge"),
        format!("-n {name} link set bridge up"),
        format!("-n {second} address add 10.18.1.253/24 dev net1"),
        format!("-n {second} link set net1 up"),
    ] {
        ip(&arguments);
    }
    far.dnsmasq_at("bridge", &["--dhcp-range=10.18.1.50,10.18.1.50,1h"]);
    other.dhcpd(
        1,
        "default-lease-time 3600; authoritative;\n\
         subnet 10.18.1.0 netmask 255.255.255.0 { range 10.18.1.150 10.18.1.150; }\n",
    );
    let (_, log) = guest.apply(&context(&[1]));
    let found = addresses("ens1");
    let (address, server) = match &found[..] {
        [one] if one == "10.18.1.50/24" => ("10.18.1.50/24", "10.18.1.254"),
        _ => ("10.18.1.150/24", "10.18.1.253"),
    };
    assert_eq!(found, [address], "{log}");
    let said = format!("ETH1 (ens1): {address} by DHCP from {server}, for 3600 s");
    assert!(log.contains(&said), "{log}");
}

/// A server that offers an address, refuses it, and then has another subnet. It puts
/// options into the fields `file` and `sname` (RFC 2132 9.3).
#[test]
#[ignore = "needs root: make test-fast"]
fn after_a_refusal_another_subnet_is_taken() {
    let mut guest = Guest::new();
    let far = Far::new(&guest, "");
    far.cable(1);
    far.cable(2);
    ip(&format!("-n {} route add default dev net1", far.name));
    let namespace = fs::File::open(format!("/run/netns/{}", far.name)).unwrap();
    let server = std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        let socket = UdpSocket::bind("0.0.0.0:67").unwrap();
        socket.set_broadcast(true).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let (mut net, mut is_done) = (1, false);
        while !is_done {
            let mut request = [0; 1500];
            let (length, from) = socket.recv_from(&mut request).unwrap();
            let request = &request[..length];
            // Not from the address of another NIC.
            assert_eq!(from.to_string(), "0.0.0.0:68");
            // A slow run may repeat each request. The requested address stands behind
            // the message type and the client identifier.
            let kind = match <[u8; 3]>::try_from(&request[240..243]).unwrap() {
                [53, 1, 1] => 2,
                [53, 1, 3] if request[254..258] == [10, 18, 7, 50] => 5,
                [53, 1, 3] => 6,
                other => panic!("{other:?}"),
            };
            let mut reply = request[..240].to_vec();
            reply[0] = 2;
            reply[16..20].copy_from_slice(&[10, 18, net, 50]);
            // Routers in `file`, name servers in `sname`.
            reply[108..114].copy_from_slice(&[3, 4, 10, 18, net, 254]);
            reply[44..50].copy_from_slice(&[6, 4, 10, 18, net, 253]);
            reply.extend([53, 1, kind, 52, 1, 3, 54, 4, 10, 18, 1, 254]);
            reply.extend([1, 4, 255, 255, 255, 0, 51, 4, 0, 0, 14, 16, 255]);
            socket.send_to(&reply, "255.255.255.255:68").unwrap();
            (net, is_done) = match kind {
                6 => (7, false),
                _ => (net, kind == 5),
            };
        }
    });
    let second = format!("ETH2_MAC={}\nETH2_IP=10.18.2.1\n", mac(2));
    let (_, log) = guest.apply(&(context(&[1]) + &second));
    server.join().unwrap();
    assert_eq!(addresses("ens1"), ["10.18.7.50/24"], "{log}");
    assert_eq!(
        routes_by_dhcp(),
        ["default via 10.18.7.254 dev ens1 src 10.18.7.50 metric 1025"]
    );
    assert_eq!(resolv_conf(&guest), ["nameserver 10.18.7.253"]);
}

/// A server that makes its frames itself.
struct FrameServer {
    /// The far end of `ens1`, with whole frames.
    wire: fs::File,
}

/// An Ethernet address, and what stands before the type of the packet.
type FrameHead<'h> = (&'h str, &'h [u8]);

impl FrameServer {
    /// At `net1`, in the namespace of this thread.
    fn open() -> Self {
        let protocol = (libc::ETH_P_IP as u16).to_be();
        let seconds = libc::timeval {
            tv_sec: 0,
            tv_usec: 200_000,
        };
        // SAFETY: calls of the C library, with structures of their kinds.
        let wire = unsafe {
            let wire = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, protocol.into());
            let wire = OwnedFd::from_raw_fd(wire);
            let mut at: libc::sockaddr_ll = std::mem::zeroed();
            at.sll_family = libc::AF_PACKET as u16;
            at.sll_protocol = protocol;
            at.sll_ifindex = libc::if_nametoindex(c"net1".as_ptr()) as i32;
            let length = size_of_val(&at) as u32;
            let bound = libc::bind(wire.as_raw_fd(), (&raw const at).cast(), length);
            assert_eq!(bound, 0);
            let length = size_of_val(&seconds) as u32;
            let (level, option) = (libc::SOL_SOCKET, libc::SO_RCVTIMEO);
            let value = (&raw const seconds).cast();
            libc::setsockopt(wire.as_raw_fd(), level, option, value, length);
            wire
        };
        Self { wire: wire.into() }
    }

    /// Sends a UDP packet to this port.
    fn send(&mut self, (mac, tag): FrameHead, port: u16, content: &[u8]) {
        let byte = |text| u8::from_str_radix(text, 16).unwrap();
        let mut frame: Vec<u8> = mac.split(':').map(byte).collect();
        frame.extend([2, 0, 0x0a, 0x12, 1, 0xfe]);
        frame.extend(tag);
        frame.extend([8, 0]);
        let length = (28 + content.len()) as u16;
        frame.extend([0x45, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 18, 1, 254, 255, 255, 255, 255]);
        frame.extend([0, 67]);
        frame.extend(port.to_be_bytes());
        frame.extend((length - 20).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(content);
        self.wire.write_all(&frame).unwrap();
    }

    /// Answers requests until `is_done`: before each answer it sends what `before` does,
    /// which gets the answer with a wrong address, 10.18.1.66.
    fn serve(mut self, is_done: &AtomicBool, before: fn(&mut Self, &[u8])) {
        while !is_done.load(Ordering::Relaxed) {
            let mut frame = [0; 1500];
            let Ok(length) = self.wire.read(&mut frame) else {
                continue;
            };
            let request = frame.get(42..length).unwrap_or_default();
            if request.len() < 243 || frame[36..38] != [0, 67] {
                continue;
            }
            let kind = match request[240..243] {
                [53, 1, 1] => 2,
                _ => 5,
            };
            let reply = |last| {
                let mut reply = request[..240].to_vec();
                reply[0] = 2;
                reply[16..20].copy_from_slice(&[10, 18, 1, last]);
                reply.extend([53, 1, kind, 54, 4, 10, 18, 1, 254, 51, 4, 0, 0, 14, 16]);
                reply.extend([1, 4, 255, 255, 255, 0, 255]);
                reply
            };
            before(&mut self, &reply(66));
            self.send((&mac(1), &[]), 68, &reply(55));
        }
    }
}

/// Asks a server that sends something before each answer; returns the address.
fn asked(before: fn(&mut FrameServer, &[u8])) -> Vec<String> {
    let mut guest = Guest::new();
    let far = Far::new(&guest, "");
    far.cable(1);
    let namespace = fs::File::open(format!("/run/netns/{}", far.name)).unwrap();
    let is_done = AtomicBool::new(false);
    // The program reads nothing of a burst before its end.
    let mut processor = CpuSet::new();
    processor.set(nix::sched::sched_getcpu().unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(0), &processor).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            // SAFETY: a call of the C library, for this thread.
            assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) }, 0);
            FrameServer::open().serve(&is_done, before);
        });
        let (_, log) = guest.apply(&context(&[1]));
        is_done.store(true, Ordering::Relaxed);
        println!("{log}");
    });
    addresses("ens1")
}

const OTHER_MAC: &str = "02:00:0a:12:01:99";

/// What is for another host or in another VLAN is no answer.
#[test]
#[ignore = "needs root: make test-fast"]
fn only_frames_for_this_host_count() {
    const VLAN: &[u8] = &[0x81, 0, 0, 7];
    let others: [fn(&mut FrameServer, &[u8]); 3] = [
        |server, wrong| server.send((OTHER_MAC, &[]), 68, wrong),
        |server, wrong| server.send((&mac(1), VLAN), 68, wrong),
        |server, wrong| server.send(("ff:ff:ff:ff:ff:ff", VLAN), 68, wrong),
    ];
    for (number, other) in others.into_iter().enumerate() {
        assert_eq!(asked(other), ["10.18.1.55/24"], "{number}");
    }
}

/// Other packets do not fill the receive buffer.
#[test]
#[ignore = "needs root: make test-fast"]
fn a_burst_of_other_frames_costs_no_lease() {
    let address = asked(|server, _| {
        for _ in 0..300 {
            server.send((&mac(1), &[]), 9, &[0; 1400]);
        }
    });
    assert_eq!(address, ["10.18.1.55/24"]);
}

#[test]
#[ignore = "needs root: make test-fast"]
fn networkd_is_enabled_for_links_by_dhcp_alone() {
    let mut guest = Guest::new();
    let mut far = Far::new(&guest, "");
    far.cable(1);
    far.cable(2);
    far.dnsmasq(1, &[HOUR]);
    let root = guest.top.join("root");
    let unit = root.join("usr/lib/systemd/system/systemd-networkd.service");
    fs::write(&unit, "[Service]\n").unwrap();
    fs::write(root.join("usr/lib/systemd/systemd-networkd"), "").unwrap();
    let second = format!("ETH2_MAC={}\nETH2_IP=10.18.2.1\n", mac(2));
    let context = context(&[1]) + &second;
    guest.apply_well(&context);
    let run = guest.top.join("run/systemd");
    let wants = run.join("system/multi-user.target.wants/systemd-networkd.service");
    let target = fs::read_link(&wants).unwrap();
    assert_eq!(
        target.to_str(),
        Some("/usr/lib/systemd/system/systemd-networkd.service")
    );
    let files = || {
        let files = fs::read_dir(run.join("network")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        files.sort();
        files
    };
    let ours = "00-onecontext-eth1.network";
    assert_eq!(files(), [ours, "00-onecontext-unmanaged.network"]);

    // The kernel alone: no manager gets files.
    fs::remove_dir_all(&run).unwrap();
    guest.kernel_line("onecontext.network=kernel");
    let (_, log) = guest.apply(&context);
    assert!(log.contains("nobody renews it"), "{log}");
    assert!(!run.join("network").exists() && !wants.is_symlink());

    // It is switched off on purpose.
    guest.kernel_line("");
    fs::remove_file(&unit).unwrap();
    symlink("/dev/null", &unit).unwrap();
    let (_, log) = guest.apply(&context);
    assert!(log.contains("nobody renews it"), "{log}");
    assert!(!run.join("network").exists() && !wants.is_symlink());
}
