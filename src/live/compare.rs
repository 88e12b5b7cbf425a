//! The comparison: the plan and the state of the machine in, rows out. It is pure.
use ufmt::uwrite;

use super::machine::{KeysState, MachineState};
use crate::base::memory::{self, Vector};
use crate::base::text::{Escaped, Ip, Text, format};
use crate::image::ssh_ports::SshPorts;
use crate::kernel::present::{KernelRoute, NetworkState};
use crate::plan::stored::{StoredLink, StoredPlan};
use crate::plan::{Prefix, Route};

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The machine may not be reachable.
    Reach,
    /// Something else than planned.
    Differs,
    /// Worth knowing, and nothing is wrong.
    Note,
}

/// The comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The context is the one that was applied.
    Context,
    /// An address of the plan is on a device that is up.
    Address,
    /// There is a default route where the plan has one.
    DefaultRoute,
    /// Something listens on the port of sshd.
    SshPort,
    /// One of the users with a key can log in with it.
    Login,
    /// The keys are where sshd reads them, and the account takes them.
    Keys,
    /// The MTU is that of the plan.
    Mtu,
    /// A route of the plan is there.
    Route,
    /// The default route of the plan is the best one.
    BestRoute,
    /// Nobody else has put an address on a device of the plan.
    ForeignAddress,
    /// The host name is that of the plan.
    HostName,
    /// The name servers of the plan are in use.
    NameServer,
}

/// Each comparison, its name in the table, and the class of its differences.
pub const CHECKS: [(Check, &str, Class); 12] = [
    (Check::Context, "context", Class::Note),
    (Check::Address, "address", Class::Reach),
    (Check::DefaultRoute, "default", Class::Reach),
    (Check::SshPort, "ssh", Class::Reach),
    (Check::Login, "login", Class::Reach),
    (Check::Keys, "keys", Class::Differs),
    (Check::Mtu, "mtu", Class::Differs),
    (Check::Route, "route", Class::Differs),
    (Check::BestRoute, "best", Class::Note),
    (Check::ForeignAddress, "foreign", Class::Differs),
    (Check::HostName, "hostname", Class::Differs),
    (Check::NameServer, "dns", Class::Differs),
];

impl Check {
    fn row(self) -> (&'static str, Class) {
        let mut checks = CHECKS.iter();
        let found = checks.find(|(check, ..)| *check == self);
        found.map_or(("", Class::Note), |(_, name, class)| (name, *class))
    }

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The comparison of this name.
    pub fn of(name: &[u8]) -> Option<Self> {
        let mut checks = CHECKS.iter();
        let found = checks.find(|(_, own, _)| own.as_bytes() == name);
        found.map(|(check, ..)| *check)
    }
}

/// How a comparison ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As planned.
    Same,
    /// Not as planned.
    Other(Class),
    /// It cannot be found out.
    NotVerified,
}

/// A comparison of one thing.
#[derive(Clone, Copy)]
pub struct Row {
    /// Which one.
    pub check: Check,
    /// What the plan says.
    pub plan: &'static [u8],
    /// What is true, and who beats the plan.
    pub truth: &'static [u8],
    /// How it ended.
    pub verdict: Verdict,
    /// What the first run of a boot may add.
    pub missing: Option<Missing>,
}

/// Something of the plan that the kernel lacks.
#[derive(Clone, Copy)]
pub enum Missing {
    /// An address of a device.
    Address(&'static [u8], Prefix),
    /// A default route of a device.
    Route(&'static [u8], Route),
}

impl Row {
    fn new(check: Check, plan: &'static [u8], truth: &'static [u8], verdict: Verdict) -> Self {
        Self {
            check,
            plan,
            truth,
            verdict,
            missing: None,
        }
    }

    /// A row of something that is as planned, or is not.
    fn of(check: Check, plan: &'static [u8], truth: &'static [u8], is_same: bool) -> Self {
        let verdict = match is_same {
            true => Verdict::Same,
            false => Verdict::Other(check.row().1),
        };
        Self::new(check, plan, truth, verdict)
    }

    /// Whether it is the same comparison of the same thing.
    pub fn is_like(&self, other: &Self) -> bool {
        self.check == other.check && self.plan == other.plan
    }
}

/// Compares everything that any user may read.
pub fn network(plan: &StoredPlan, state: &MachineState) -> Vector<Row> {
    let mut rows = Vector::new();
    let Ok(network) = state.network else {
        let truth = b"the kernel does not list its network";
        rows.push(Row::new(Check::Address, b"", truth, Verdict::NotVerified));
        return rows;
    };
    for link in plan.links {
        for address in link.addresses {
            rows.push(address_row(link, *address, &network, state));
        }
        routes(link, &network, &mut rows);
        if let Some(mtu) = link.mtu
            && let Some(device) = link.device.and_then(|name| network.device(name))
        {
            let (planned, has) = (of_device(&device.name, &mtu), format(&device.mtu));
            rows.push(Row::of(Check::Mtu, planned, has, mtu == device.mtu));
        }
        foreign(plan, link, &network, state, &mut rows);
    }
    if let Some(name) = plan.hostname {
        let same = state.hostname == name;
        rows.push(Row::of(Check::HostName, name, state.hostname, same));
    }
    rows
}

fn address_row(
    link: &StoredLink,
    address: Prefix,
    network: &NetworkState,
    state: &MachineState,
) -> Row {
    let device = link.device.unwrap_or(link.name);
    let planned = of_device(device, &address);
    let mut of_address = network.addresses.iter();
    // The topmost device above the NIC may have it.
    let found = of_address.find(|found| found.prefix.address == address.address);
    let mut truth = Text::new();
    let Some(found) = found else {
        let mut row = Row::of(Check::Address, planned, b"", false);
        match link.device.map(|name| (name, network.device(name))) {
            None => {
                uwrite!(
                    truth,
                    "no network card has the MAC of {}",
                    Escaped(link.name)
                );
            }
            Some((_, None)) => {
                uwrite!(truth, "the device is gone");
            }
            Some((name, Some(device))) if !device.up => {
                uwrite!(truth, "missing; {} is down", Escaped(name));
                say_manager(name, state, &mut truth);
            }
            Some((name, Some(_))) => {
                row.missing = Some(Missing::Address(name, address));
                uwrite!(truth, "missing");
                if !address.address.is_ipv4() && state.has_no_ipv6(name) {
                    let name = Escaped(name);
                    uwrite!(truth, ": net.ipv6.conf.{}.disable_ipv6 is 1", name);
                }
                say_manager(name, state, &mut truth);
            }
        }
        row.truth = truth.finish();
        return row;
    };
    let on = network.name(found.index);
    let is_up = network.device(on).is_some_and(|device| device.up);
    let is_well = if !is_up {
        uwrite!(truth, "{} is down", Escaped(on));
        say_manager(on, state, &mut truth);
        false
    } else if found.is_duplicate {
        uwrite!(truth, "another machine has it (duplicate address)");
        false
    } else {
        uwrite!(truth, "on {}", Escaped(on));
        true
    };
    Row::of(Check::Address, planned, truth.finish(), is_well)
}

/// The routes of a link.
fn routes(link: &StoredLink, network: &NetworkState, rows: &mut Vector<Row>) {
    for route in link.routes {
        let device = link.device.unwrap_or(link.name);
        let planned = of_device(device, route);
        let is_up = network.device(device).is_some_and(|device| device.up);
        let destination = route.destination;
        let found = network.routes.iter().find(|found| {
            found.route.destination == destination && found.route.gateway == route.gateway
        });
        if !destination.is_default() {
            let truth = if found.is_some() { "there" } else { "missing" };
            let (truth, is_there) = (truth.as_bytes(), found.is_some());
            rows.push(Row::of(Check::Route, planned, truth, is_there));
            continue;
        }
        let mut best = None::<&KernelRoute>;
        for other in network.routes {
            let is_better = best.is_none_or(|best| other.route.metric < best.route.metric);
            if other.route.destination == destination && is_better {
                best = Some(other);
            }
        }
        let Some(best) = best else {
            rows.push(Row {
                missing: is_up.then_some(Missing::Route(device, *route)),
                ..Row::of(
                    Check::DefaultRoute,
                    planned,
                    b"missing, and there is no other",
                    false,
                )
            });
            continue;
        };
        match found {
            Some(_) => rows.push(Row::of(Check::DefaultRoute, planned, b"there", true)),
            None => {
                let truth = shown(best, network, "missing, but there is");
                // The machine still answers, by somebody else's route.
                let row = Row::of(Check::Route, planned, truth, false);
                rows.push(row);
            }
        }
        let is_ours = link
            .device
            .is_some_and(|name| network.name(best.index) == name)
            && best.route.gateway == route.gateway;
        if found.is_some_and(|found| best.route.metric < found.route.metric) && !is_ours {
            let truth = shown(best, network, "a better one:");
            rows.push(Row::of(Check::BestRoute, planned, truth, false));
        }
    }
}

fn shown(route: &KernelRoute, network: &NetworkState, what: &str) -> &'static [u8] {
    let mut text = Text::new();
    let device = Escaped(network.name(route.index));
    let who = protocol(route.protocol);
    uwrite!(text, "{} {} on {}, by {}", what, route.route, device, who);
    text.finish()
}

/// Addresses of others on the device of a link. Link-local ones make themselves.
fn foreign(
    plan: &StoredPlan,
    link: &StoredLink,
    network: &NetworkState,
    state: &MachineState,
    rows: &mut Vector<Row>,
) {
    let Some(device) = link.device.and_then(|name| network.device(name)) else {
        return;
    };
    // Where DHCP or routers give addresses, others than the plan's are expected.
    if link.addresses.is_empty() {
        return;
    }
    let link_local = Prefix {
        address: core::net::IpAddr::V6(core::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)),
        length: 10,
    };
    for found in network.addresses {
        let is_planned = plan.has(found.prefix)
            || link_local.covers(found.prefix.address)
            || found.index != device.index
            || !link
                .addresses
                .iter()
                .any(|own| own.address.is_ipv4() == found.prefix.address.is_ipv4());
        if !is_planned {
            let mut truth = Text::new();
            uwrite!(truth, "{} too", found.prefix);
            say_manager(&device.name, state, &mut truth);
            let planned = of_device(&device.name, &"");
            rows.push(Row::of(
                Check::ForeignAddress,
                planned,
                truth.finish(),
                false,
            ));
        }
    }
}

/// `ens3 VALUE`
fn of_device(device: &[u8], value: &impl ufmt::uDisplay) -> &'static [u8] {
    let mut text = Text::new();
    uwrite!(text, "{} {}", Escaped(device), *value);
    text.finish().trim_ascii_end()
}

fn say_manager(device: &[u8], state: &MachineState, text: &mut Text) {
    if let Some(manager) = state.manager(device) {
        uwrite!(text, "; {} manages {}", manager, Escaped(device));
    }
}

/// Who adds routes with this protocol (linux/rtnetlink.h; iproute2, rt_protos).
fn protocol(number: u8) -> &'static str {
    match number {
        2 => "the kernel",
        3 => "ip(8) or a script (proto boot)",
        4 => "a static configuration",
        9 | 1 => "router advertisements",
        11 => "zebra",
        12 => "BIRD",
        16 => "DHCP",
        18 => "keepalived",
        186 => "BGP",
        188 => "OSPF",
        _ => "another program",
    }
}

/// Whether something listens on a port of sshd.
pub fn listener(ssh: SshPorts, state: &MachineState) -> Row {
    let mut planned = Text::new();
    for (number, port) in ssh.ports.iter().enumerate() {
        let before = if number == 0 { "port " } else { " or " };
        uwrite!(planned, "{}{}", before, *port);
    }
    let planned = planned.finish();
    let unknown = |truth| Row::new(Check::SshPort, planned, truth, Verdict::NotVerified);
    match state.listens(ssh.ports) {
        None => unknown(b"/proc/net/tcp cannot be read"),
        Some(true) => Row::of(Check::SshPort, planned, b"something listens", true),
        Some(false) if !ssh.doubt.is_empty() => {
            unknown(memory::concat(&[b"nothing listens there, but ", ssh.doubt]))
        }
        Some(false) => match state.sshd_runs() {
            None => unknown(b"nothing listens there, and processes are hidden"),
            Some(true) => unknown(b"nothing listens there, but sshd runs"),
            Some(false) => {
                let truth = b"nothing listens for other machines";
                Row::of(Check::SshPort, planned, truth, false)
            }
        },
    }
}

/// The name servers.
pub fn name_servers(plan: &StoredPlan, resolv_conf: Option<&[u8]>) -> Vector<Row> {
    let mut rows = Vector::new();
    let Some(first) = plan.dns.first() else {
        return rows;
    };
    let planned = format(&Ip(*first));
    let Some(text) = resolv_conf else {
        let truth = b"/etc/resolv.conf cannot be read";
        rows.push(Row::new(
            Check::NameServer,
            planned,
            truth,
            Verdict::NotVerified,
        ));
        return rows;
    };
    let mut used = Text::new();
    let (mut is_ours, mut is_local) = (false, false);
    for line in crate::base::text::lines(text) {
        let mut words = crate::base::text::words(line);
        if words.next() != Some(b"nameserver") {
            continue;
        }
        let Some(server) = words.next().and_then(crate::base::text::ip) else {
            continue;
        };
        is_ours |= plan.dns.contains(&server);
        is_local |= server.is_loopback();
        uwrite!(used, "{} ", Ip(server));
    }
    let truth = match used.finish().trim_ascii_end() {
        [] => b"/etc/resolv.conf has none",
        used => used,
    };
    rows.push(match (is_ours, is_local) {
        // A resolver of this machine, which may use any.
        (false, true) => Row::new(Check::NameServer, planned, truth, Verdict::NotVerified),
        (is_ours, _) => Row::of(Check::NameServer, planned, truth, is_ours),
    });
    rows
}

/// The users with keys, and whether one of them can log in.
pub fn logins(users: &[KeysState]) -> Vector<Row> {
    let mut rows = Vector::new();
    let (mut can, mut may) = (false, false);
    for user in users {
        let mut planned = Text::new();
        let keys = if user.keys == 1 { "key" } else { "keys" };
        uwrite!(planned, "{}, {} {}", Escaped(user.name), user.keys, keys);
        let (truth, verdict) = match user.problem {
            None => (&b"in the file that sshd reads"[..], Verdict::Same),
            Some(Ok(problem)) => (problem, Verdict::Other(Check::Keys.row().1)),
            Some(Err(unknown)) => (unknown, Verdict::NotVerified),
        };
        can |= verdict == Verdict::Same;
        may |= verdict == Verdict::NotVerified;
        rows.push(Row::new(Check::Keys, planned.finish(), truth, verdict));
    }
    if users.is_empty() {
        let truth = b"the context has no keys";
        rows.push(Row::new(Check::Login, b"", truth, Verdict::NotVerified));
    } else if !can {
        let (truth, verdict) = match may {
            true => (&b"not known of any"[..], Verdict::NotVerified),
            false => (
                &b"no user of the context can"[..],
                Verdict::Other(Class::Reach),
            ),
        };
        rows.push(Row::new(Check::Login, b"with a key", truth, verdict));
    } else {
        rows.push(Row::of(Check::Login, b"with a key", b"possible", true));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::present::KernelAddress;
    use crate::plan::device::{Device, named};

    const PLAN: &[u8] = b"hostname web1\nlink ETH0 device ens3 mtu 1400\n\
        address ETH0 10.18.1.1/24\naddress ETH0 2001:db8::a/64\n\
        route ETH0 default via 10.18.1.254 metric 100\nroute ETH0 10.9.0.0/16 via 10.18.1.2\n\
        dns - 9.9.9.9\nkey root ssh-ed25519 AAAA\n";

    /// A machine as the plan wants it, with a device above its NIC.
    fn machine() -> NetworkState {
        let device = |name, index, mtu| Device {
            mtu,
            up: true,
            ..*named(name, index)
        };
        let plan = StoredPlan::read(PLAN);
        let link = plan.links[0];
        let addresses = link.addresses.iter().map(|prefix| KernelAddress {
            index: 3,
            prefix: *prefix,
            is_duplicate: false,
        });
        let routes = link.routes.iter().map(|route| KernelRoute {
            index: 3,
            route: *route,
            protocol: 4,
        });
        NetworkState {
            devices: memory::list(&[device("ens3", 3, 1400), device("br0", 4, 1500)]),
            addresses: memory::list(&addresses.collect::<Vec<_>>()),
            routes: memory::list(&routes.collect::<Vec<_>>()),
        }
    }

    /// What is not as planned, as the words of the verdict, the comparison and the truth.
    fn wrong(network: NetworkState) -> Vec<String> {
        let state = MachineState::of(network, b"web1");
        let rows = super::network(&StoredPlan::read(PLAN), &state);
        let wrong = rows.iter().filter(|row| row.verdict != Verdict::Same);
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        wrong
            .map(|row| {
                let (Verdict::Other(class), name) = (row.verdict, row.check.name()) else {
                    return format!("{:?}", row.verdict);
                };
                format!("{class:?} {name} {}: {}", text(row.plan), text(row.truth))
            })
            .collect()
    }

    fn changed<T: Copy>(
        items: &'static [T],
        change: impl Fn(usize, T) -> Option<T>,
    ) -> &'static [T] {
        let items = items.iter().enumerate();
        let items = items.filter_map(|(number, item)| change(number, *item));
        memory::list(&items.collect::<Vec<_>>())
    }

    #[test]
    fn each_difference_has_its_class() {
        let well = machine();
        assert_eq!(wrong(well), [""; 0]);
        let without = |left_out| NetworkState {
            routes: changed(well.routes, |number, item| {
                (number != left_out).then_some(item)
            }),
            ..well
        };
        let default = "ens3 default via 10.18.1.254 metric 100";
        assert_eq!(
            wrong(without(0)),
            [format!(
                "Reach default {default}: missing, and there is no other"
            )]
        );
        assert_eq!(
            wrong(without(1)),
            ["Differs route ens3 10.9.0.0/16 via 10.18.1.2: missing"]
        );
        let on_top = NetworkState {
            addresses: changed(well.addresses, |_, item| {
                Some(KernelAddress { index: 4, ..item })
            }),
            ..well
        };
        assert_eq!(wrong(on_top), [""; 0]);
        let duplicate = NetworkState {
            addresses: changed(well.addresses, |number, item| {
                Some(KernelAddress {
                    is_duplicate: number == 1,
                    ..item
                })
            }),
            ..well
        };
        assert_eq!(
            wrong(duplicate),
            ["Reach address ens3 2001:db8::a/64: another machine has it (duplicate address)"]
        );
        // Somebody else's default route: ours is gone, or its is better.
        let route = |metric| KernelRoute {
            index: 4,
            protocol: 16,
            route: Route {
                gateway: crate::base::text::ip(b"10.0.0.1"),
                metric,
                ..well.routes[0].route
            },
        };
        let replaced = NetworkState {
            routes: changed(well.routes, |number, item| {
                Some(if number == 0 { route(100) } else { item })
            }),
            ..well
        };
        assert_eq!(
            wrong(replaced),
            [format!(
                "Differs route {default}: missing, but there is default via 10.0.0.1 metric 100 \
                 on br0, by DHCP"
            )]
        );
        for (metric, is_better) in [(99, true), (100, false), (101, false)] {
            let mut routes = well.routes.to_vec();
            routes.push(route(metric));
            let two = NetworkState {
                routes: memory::list(&routes),
                ..well
            };
            let note = format!(
                "Note best {default}: a better one: default via 10.0.0.1 metric 99 on br0, by DHCP"
            );
            let expected = if is_better { vec![note] } else { vec![] };
            assert_eq!(wrong(two), expected, "{metric}");
        }
    }

    /// What is missing is added where that can work.
    #[test]
    fn what_can_be_added() {
        let missing = |network| {
            let state = MachineState::of(network, b"web1");
            let rows = super::network(&StoredPlan::read(PLAN), &state);
            rows.iter().filter(|row| row.missing.is_some()).count()
        };
        let nothing = NetworkState {
            addresses: &[],
            routes: &[],
            ..machine()
        };
        assert_eq!(missing(nothing), 3);
        let down = NetworkState {
            devices: changed(nothing.devices, |_, device| {
                Some(Device {
                    up: false,
                    ..device
                })
            }),
            ..nothing
        };
        assert_eq!(missing(down), 0);
        let gone = NetworkState {
            devices: &[],
            ..nothing
        };
        assert_eq!(missing(gone), 0);
    }

    #[test]
    fn name_servers_of_the_plan_or_of_this_machine() {
        let plan = StoredPlan::read(PLAN);
        for (text, verdict) in [
            (
                &b"nameserver 1.1.1.1\nnameserver 9.9.9.9\n"[..],
                Verdict::Same,
            ),
            (b"nameserver 127.0.0.53\n", Verdict::NotVerified),
            (b"nameserver 1.1.1.1\n", Verdict::Other(Class::Differs)),
            (b"# nameserver 9.9.9.9\n", Verdict::Other(Class::Differs)),
        ] {
            let rows = name_servers(&plan, Some(text));
            assert_eq!((rows.len(), rows[0].verdict), (1, verdict));
        }
        assert_eq!(name_servers(&plan, None)[0].verdict, Verdict::NotVerified);
        assert_eq!(name_servers(&StoredPlan::read(b""), None).len(), 0);
    }

    /// One user who can log in is enough to reach the machine.
    #[test]
    fn one_login_is_enough() {
        let user = |problem| KeysState {
            name: b"root",
            keys: 1,
            problem,
        };
        let (bad, odd) = (Some(Ok(&b"gone"[..])), Some(Err(&b"unknown"[..])));
        for (users, verdict) in [
            (vec![user(None), user(bad)], Verdict::Same),
            (vec![user(bad), user(bad)], Verdict::Other(Class::Reach)),
            (vec![user(bad), user(odd)], Verdict::NotVerified),
            (vec![], Verdict::NotVerified),
        ] {
            let rows = logins(&users);
            let last = rows.last().unwrap();
            assert_eq!((last.check, last.verdict), (Check::Login, verdict));
        }
    }
}
