//! Valid values that leave a machine without network, or without a part of it.
use crate::base::memory::Vector;

use super::nic::CheckedNic;
use crate::base::set::Set;
use crate::base::text::{Ip, format, ip, list};
use crate::context::assignments::Entry;
use crate::context::network::{is_covered, is_link_local, outermost};
use crate::context::state::Context;
use crate::context::variables::Variable::*;
use crate::plan::{Link, Method, Prefix, Route};

/// Warns of each. `all` are the variables that are set.
pub fn check(
    context: &mut Context,
    links: &[Link],
    all: &'static [Entry],
    nics: &[CheckedNic<'_>],
) {
    for nic in nics {
        without_address(context, nic);
        gateway_outside(context, nic);
    }
    addresses(context, links, nics);
    name_servers(context, links, all);
}

/// A gateway or a mask without an address: the virtual network has them in its template,
/// but its address range gives no IP addresses (type ETHER).
fn without_address(context: &mut Context, nic: &CheckedNic<'_>) {
    let Some((_, link)) = nic.link else {
        return;
    };
    let by_routers = link.uses_router_advertisements();
    if link.ipv4.method.is_some() || link.has_address() || by_routers {
        return;
    }
    let mut blamed = None;
    for variable in nic.variables.iter().filter(|variable| variable.is_own()) {
        // The daemon of a virtual router sets the shared address.
        if matches!(variable.field, b"VROUTER_IP" | b"VROUTER_IP6") {
            return;
        }
        blamed = blamed.or(variable.one_of(&[GATEWAY, MASK]));
    }
    if let Some(variable) = blamed {
        let what = "without ETHn_IP or ETHn_METHOD='dhcp' this NIC gets no address";
        context.warn(&variable, what);
    }
}

/// A gateway outside of its NIC's network, whose mask is not given. A host route to it is
/// set, which is right where the mask says so.
fn gateway_outside(context: &mut Context, nic: &CheckedNic<'_>) {
    let Some((_, link)) = nic.link else {
        return;
    };
    let is_outside = |route: &Route| route.destination.is_default() && route.onlink;
    let own = || nic.variables.iter().filter(|variable| variable.is_own());
    if !link.ipv4.routes.iter().any(is_outside) || own().any(|variable| variable.is(MASK)) {
        return;
    }
    for variable in own().filter_map(|variable| variable.one_of(&[GATEWAY])) {
        let what = "is outside of the network of this NIC, is ETHn_MASK missing";
        context.warn_showing(variable, what);
    }
}

/// An address on two NICs, or one that no machine can have in its network.
fn addresses(context: &mut Context, links: &[Link], nics: &[CheckedNic<'_>]) {
    let problems = [
        "another NIC of the context has this address, too, give each its own",
        "is its network's own address, take another one or correct the mask",
        "is its network's broadcast address, take another one or correct the mask",
    ];
    let mut problems = problems.map(|what| (what, Set::new()));
    let mut seen = Set::new();
    for (number, link) in (0..).zip(links) {
        for prefix in link.addresses() {
            let address = format(&Ip(prefix.address));
            let [(_, shared), (_, network), (_, broadcast)] = &mut problems;
            if !is_link_local(&prefix.address) && !seen.insert(0, address) {
                shared.insert(number, address);
            }
            match last_bits(*prefix) {
                Some((0, _)) => network.insert(number, address),
                Some((bits, all)) if bits == all => broadcast.insert(number, address),
                _ => true,
            };
        }
    }
    for nic in nics {
        for variable in nic.variables {
            let Some(((number, _), variable)) =
                (nic.link).zip(variable.one_of(&[IP, IP6, IPV6, IP6_ULA]))
            else {
                continue;
            };
            let Some(address) = ip(variable.value) else {
                continue;
            };
            let address = format(&Ip(address));
            for (what, of) in &problems {
                if of.contains(number, address) {
                    context.warn_showing(variable, what);
                }
            }
        }
    }
}

/// The host part of an IPv4 address, and its mask. `None` for /31 and /32, in which every
/// address is that of a machine (RFC 3021).
fn last_bits(prefix: Prefix) -> Option<(u32, u32)> {
    let (address, hosts) = prefix.ipv4_and_host_bits()?;
    (prefix.length < 31).then_some((address & hosts, hosts))
}

/// A name server that cannot be reached: no default route, no network of a link and no
/// other route covers it, and nothing else may add a route.
fn name_servers(context: &mut Context, links: &[Link], all: &'static [Entry]) {
    let leads_v4 = |link: &Link| {
        link.ipv4.has_default_route()
            || match link.ipv4.method {
                Some(Method::Static) => false,
                Some(_) => true,
                // The context says nothing about this family.
                None => link.ipv6.method.is_none(),
            }
    };
    // The kernel accepts router advertisements unless they are turned off.
    let leads_v6 =
        |link: &Link| link.ipv6.has_default_route() || !link.ignores_router_advertisements();
    let v4_led = links.is_empty() || links.iter().any(leads_v4);
    let v6_led = links.is_empty() || links.iter().any(leads_v6);
    if v4_led && v6_led {
        return;
    }
    let mut networks = Vector::new();
    for link in links {
        for address in link.addresses() {
            networks.push(address.network());
        }
        for route in link.routes() {
            networks.push(route.destination);
        }
    }
    let networks = outermost(networks);
    for entry in all.iter().filter(|entry| entry.is_own()) {
        let Some(variable) = entry.one_of(&[DNS]) else {
            continue;
        };
        let unreached = list(variable.printable()).find(|word| {
            ip(word).is_some_and(|server| {
                let led = if server.is_ipv4() { v4_led } else { v6_led };
                let here = server.is_loopback() || is_link_local(&server);
                !led && !here && !is_covered(networks, server)
            })
        });
        if let Some(server) = unreached {
            let what =
                "no NIC and no default route leads to this name server, is ETHn_GATEWAY missing";
            context.warn_showing_part(variable, what, server);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::context::lint::tests::said;

    fn nic(number: u32, variables: &str) -> String {
        let mut text = format!("ETH{number}_MAC='02:00:00:00:00:0{number}'\n");
        for variable in variables.split_ascii_whitespace() {
            text += &format!("ETH{number}_{variable}\n");
        }
        text
    }

    #[test]
    fn a_nic_without_address_is_named() {
        for (variables, lines) in [
            ("", 0),
            ("GATEWAY=10.0.0.1", 1),
            ("MASK=255.255.255.0", 1),
            ("MASK=255.255.255.0 GATEWAY=10.0.0.1 IP=", 1),
            ("MASK=24 IP=10.0.0.5", 0),
            ("MASK=24 IP=10.0.0.x", 0),
            ("MASK=24 METHOD=dhcp", 0),
            ("MASK=24 METHOD=skip", 0),
            ("MASK=24 IP6_METHOD=auto", 0),
            ("MASK=24 IP6=2001:db8::1", 0),
            ("MASK=24 ALIAS0_IP=10.0.0.5", 0),
            ("MASK=24 VROUTER_IP=10.0.0.5", 0),
            ("MASK=24 VROUTER_IP6=2001:db8::5", 0),
            ("ALIAS0_MASK=24", 0),
        ] {
            let said = said(&nic(0, variables));
            assert_eq!(said.len(), lines, "{variables}: {said:?}");
        }
        assert_eq!(
            said(&nic(3, "MASK=24 GATEWAY=10.0.0.1")),
            [
                "context.sh:3 ETH3_GATEWAY: without ETHn_IP or ETHn_METHOD='dhcp' this NIC gets no address"
            ]
        );
        assert_eq!(
            said(&format!("NETCFG_TYPE=none\n{}", nic(0, "MASK=24"))),
            [""; 0]
        );
    }

    #[test]
    fn one_address_on_two_nics_is_named() {
        let what = "another NIC of the context has this address, too, give each its own";
        for (zero, one, lines) in [
            ("IP=10.0.0.5", "IP=10.0.0.6", vec![]),
            (
                "IP=10.0.0.5",
                "IP=10.0.0.5",
                vec![(4, "ETH1_IP", "10.0.0.5")],
            ),
            // Each NIC has its own link-local addresses.
            ("IP6=fe80::5", "IP6=fe80::5", vec![]),
            (
                "IP6=2001:db8::5",
                "IP6_ULA=2001:DB8:0::5",
                vec![(4, "ETH1_IP6_ULA", "2001:DB8:0::5")],
            ),
            (
                "IP=10.0.0.5 ALIAS0_IP=10.0.0.6",
                "IP=10.0.0.7 ALIAS4_IP=10.0.0.6",
                vec![(6, "ETH1_ALIAS4_IP", "10.0.0.6")],
            ),
            // Not applied, or said by the plan already.
            ("IP=10.0.0.5", "METHOD=dhcp IP=10.0.0.5", vec![]),
            (
                "IP=10.0.0.5",
                "ALIAS0_IP=10.0.0.5 ALIAS0_EXTERNAL=YES",
                vec![],
            ),
            ("IP=10.0.0.5 ALIAS0_IP=10.0.0.5", "IP=10.0.0.6", vec![]),
        ] {
            let expected: Vec<_> = lines
                .iter()
                .map(|(line, name, value)| format!("context.sh:{line} {name}: {what}: {value}"))
                .collect();
            assert_eq!(
                said(&(nic(0, zero) + &nic(1, one))),
                expected,
                "{zero}, {one}"
            );
        }
    }

    #[test]
    fn an_address_that_no_machine_has_is_named() {
        for (address, mask, what) in [
            ("10.0.0.0", "24", "network's own"),
            ("10.0.0.255", "", "broadcast"),
            ("10.0.0.255", "255.255.254.0", ""),
            ("10.0.1.0", "255.255.254.0", ""),
            ("10.0.1.255", "255.255.254.0", "broadcast"),
            ("10.0.0.4", "30", "network's own"),
            ("10.0.0.5", "30", ""),
            ("10.0.0.4", "31", ""),
            ("10.0.0.5", "31", ""),
            ("10.0.0.255", "32", ""),
        ] {
            let said = said(&nic(0, &format!("IP={address} MASK={mask}")));
            assert_eq!(said.len(), usize::from(!what.is_empty()), "{said:?}");
            assert!(said.iter().all(|line| line.contains(what)), "{said:?}");
        }
        assert_eq!(said(&nic(0, "IP6=2001:db8::")), [""; 0]);
    }

    #[test]
    fn a_name_server_that_nothing_leads_to_is_named() {
        for (zero, one, lines) in [
            ("IP=10.0.0.5 DNS=9.9.9.9", "IP=10.0.1.5", 1),
            ("IP=10.0.0.5 DNS=9.9.9.9 GATEWAY=10.0.0.1", "IP=10.0.1.5", 0),
            // Of the other family.
            (
                "IP=10.0.0.5 DNS=9.9.9.9 IP6=2001:db8::5 IP6_GATEWAY=fe80::1",
                "IP=10.0.1.5",
                1,
            ),
            ("IP=10.0.0.5 DNS=10.0.1.53", "IP=10.0.1.5", 0),
            ("IP=10.0.0.5 DNS=10.0.1.53,10.0.2.53", "IP=10.0.1.5", 1),
            ("IP=10.0.0.5 DNS=127.0.0.1", "IP=10.0.1.5", 0),
            ("IP=10.0.0.5 DNS=9.9.9.9", "METHOD=dhcp", 0),
            ("IP=10.0.0.5 DNS=9.9.9.9", "METHOD=skip", 0),
            ("IP=10.0.0.5 DNS=9.9.9.9", "", 0),
            // An alias has no name server of its own.
            ("IP=10.0.0.5 ALIAS0_DNS=9.9.9.9", "IP=10.0.1.5", 0),
            // Routers may say more.
            ("IP=10.0.0.5 DNS=2001:db8::53", "IP=10.0.1.5", 0),
            ("IP6=2001:db8:1::5 DNS=2001:db8::53", "IP6=2001:db8:2::5", 1),
            ("IP6=2001:db8:1::5 DNS=fe80::53", "IP6=2001:db8:2::5", 0),
        ] {
            let said = said(&(nic(0, zero) + &nic(1, one)));
            assert_eq!(said.len(), lines, "{zero}, {one}: {said:?}");
        }
        let routed = "ETH0_MAC=02:00:00:00:00:01\nETH0_IP=10.0.0.5\nDNS='10.7.0.1 10.8.0.1'\n\
            ETH0_ROUTES='10.7.0.0/16 via 10.0.0.1'\n";
        assert_eq!(
            said(routed),
            [
                "context.sh:3 DNS: no NIC and no default route leads to this name server, \
              is ETHn_GATEWAY missing: 10.8.0.1"
            ]
        );
    }

    #[test]
    fn an_own_gateway_is_named_once() {
        assert_eq!(said(&nic(0, "IP=10.0.0.5 GATEWAY=10.0.0.5")), [""; 0]);
    }
}
