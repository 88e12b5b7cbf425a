//! StratusLab's network variables: three NICs by their kernel names, masks
//! with or without slash, one gateway for all (its own init.sh, and
//! src/share/context in the history of StratusLab/client).
use core::net::{IpAddr, Ipv4Addr};

use super::assignments::{Assigned, Assignments};
use super::network::Network;
use super::opennebula::ipv4_prefix;
use super::state::Context;
use super::values::netmask;
use super::variables::Variable::{self, *};
use crate::base::fnv::fnv1a;
use crate::base::memory::Vector;
use crate::base::text::{ip, lines};
use crate::plan::{LinkName, Method, Prefix};

/// Address and mask of eth0, eth1, eth2.
const NICS: [(Variable, Variable); 3] = [
    (IP_PRIVATE, NETMASK_PRIVATE),
    (IP_PUBLIC, NETMASK_PUBLIC),
    (IP_EXTRA, NETMASK_EXTRA),
];

/// The resolvers of OpenDNS, which its init.sh sets.
const RESOLVERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(208, 67, 222, 222)),
    IpAddr::V4(Ipv4Addr::new(208, 67, 220, 220)),
];

/// [`fingerprint`]s of the scripts whose meaning is applied here: init.sh in the
/// history of StratusLab/client (src/share/context) and StratusLab/one
/// (opennebula/tar/src/main/scripts), with the first commit of each version, and the
/// prolog.sh and epilog.sh beside the latter.
const STOCK: [u32; 14] = [
    0x97bf_4027, // client 435bbd82
    0x1db7_8404, // client 25f188d2
    0x5a25_dac4, // client 7945aabc
    0x3d55_ee4d, // client 9e4ee3c2, the recipe's
    0xbc39_95ce, // one b978bd2
    0xe5af_5933, // one e9bd392
    0xd33b_ac0b, // one 1a73901
    0xd451_94b5, // one 4cd5028
    0xdfea_b076, // one ddb5128
    0xd2c4_0c29, // one f63a846
    0x73e8_016e, // one 107427a
    0xd854_b80f, // prolog.sh
    0xa329_b2a8, // epilog.sh, one 85f7228
    0x7629_b3e0, // epilog.sh, one e58d578
];

/// Whether this is one of [`STOCK`].
pub fn is_stock(text: &[u8]) -> bool {
    STOCK.contains(&fingerprint(text))
}

/// A hash of the lines of a script, without empty lines and without the blanks around
/// lines.
fn fingerprint(text: &[u8]) -> u32 {
    let lines = lines(text)
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty());
    lines.fold(0, fnv1a)
}

/// Whether the variables alone show that StratusLab wrote the context.
pub fn wrote(assignments: &Assignments) -> bool {
    let machine = assignments.machine();
    machine.get(IP_PRIVATE).is_some() || machine.has_prefix(b"STRATUSLAB_")
}

/// Whether any of its NICs has an address; StratusLab wrote none after October 2010.
pub fn has_nics(assignments: &Assignments) -> bool {
    let machine = assignments.machine();
    NICS.into_iter()
        .any(|(address, _)| machine.get(address).is_some())
}

/// Reads its NICs.
// Not inlined, as `boot::Boot::read`.
#[inline(never)]
pub fn network(context: &mut Context, network: &mut Network) {
    let machine = context.assignments.machine();
    for server in RESOLVERS {
        network.server(server);
    }
    let gateway = gateway(context);
    let global = global_network(context);
    // `reaches` has a bit for each NIC that can reach the gateway: through the network
    // of its address or, for eth0, the network of the whole site.
    let covers = |prefix: &Prefix| gateway.is_some_and(|gateway| prefix.covers(gateway));
    let (mut reaches, mut last) = (0u32, 0);
    let mut nics = Vector::new();
    for (number, (address, mask)) in (0u32..).zip(NICS) {
        let Some(variable) = machine.get(address) else {
            continue;
        };
        let mask = machine.get(mask);
        let mut prefix = ipv4_prefix(context, variable, mask);
        if let (Some(prefix), None) = (&mut prefix, mask) {
            prefix.length = class_length(prefix.address);
        }
        nics.push((number, variable, prefix));
        if let Some(prefix) = prefix {
            last = 1 << number;
            if covers(&prefix) || number == 0 && global.as_ref().is_some_and(covers) {
                reaches |= last;
            }
        }
    }
    // In its init.sh a later `route add` wins, and fails if the NIC does not cover the
    // gateway. If no NIC does, the last one gets the route, on-link.
    if reaches == 0 {
        reaches = last;
    }
    for (number, variable, prefix) in nics.iter().copied() {
        network.link(LinkName::Eth(number)).ipv4.method = Some(Method::Static);
        let Some(prefix) = prefix else {
            continue;
        };
        network.address(context, variable, prefix);
        let rest = reaches >> number;
        if rest & 1 == 1 && gateway.is_some() {
            let better = (rest >> 1).count_ones();
            network.route(Prefix::DEFAULT_V4, gateway, Some(better));
        }
        if let Some(global) = global
            && number == 0
        {
            network.route(global, None, None);
        }
    }
}

/// The length of the network that an address has without a mask, by its class: as
/// ifconfig(8), which its init.sh uses, has it.
fn class_length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(v4) if v4.octets()[0] < 128 => 8,
        IpAddr::V4(v4) if v4.octets()[0] < 192 => 16,
        _ => 24,
    }
}

/// DEFAULT_GATEWAY. For some hours of August 2010 the mask of the site was written as a
/// second value behind the first: the last one that is an address counts.
fn gateway(context: &mut Context) -> Option<IpAddr> {
    let all = context.assignments.machine().all(DEFAULT_GATEWAY);
    let parse = |variable: &Assigned| ip(variable.value).filter(IpAddr::is_ipv4);
    let is_wrong = |variable: &Assigned| !variable.value.is_empty() && parse(variable).is_none();
    for variable in all.clone().filter(is_wrong) {
        context.warn_showing(variable, "not an IPv4 address");
    }
    all.rev().find_map(|variable| parse(&variable))
}

/// The network of the whole site, on the link of eth0.
fn global_network(context: &mut Context) -> Option<Prefix> {
    let machine = context.assignments.machine();
    let network = machine.get(GLOBAL_NETWORK)?;
    let Some(address) = ip(network.value).filter(IpAddr::is_ipv4) else {
        context.warn_showing(network, "not an IPv4 address");
        return None;
    };
    let Some(mask) = machine.get(GLOBAL_NETMASK) else {
        context.warn_showing(
            network,
            "no GLOBAL_NETMASK belongs to it, there is no route to it",
        );
        return None;
    };
    // With /0 every address would be on the link of eth0.
    let Some(length) = netmask(mask.value).filter(|length| *length > 0) else {
        context.warn_showing(mask, "not a netmask");
        return None;
    };
    Some(Prefix { address, length }.network())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::tests::plan;

    /// The script of the image recipe.
    const RECIPE: &[u8] = include_bytes!("../../tests/contexts/fixtures/stratuslab/init.sh");

    #[test]
    fn stock_scripts_are_known() {
        assert!(is_stock(RECIPE));
        let text = str::from_utf8(RECIPE).unwrap();
        let mut other = text.replace('\n', "  \r\n\n");
        assert!(is_stock(other.as_bytes()));
        other.push_str("reboot\n");
        assert!(!is_stock(other.as_bytes()));
        for line in text.lines().filter(|line| !line.is_empty()) {
            let less = text.replacen(line, "", 1);
            assert!(!is_stock(less.as_bytes()), "without {line}");
        }
        assert!(!is_stock(b"") && !is_stock(b"#!/bin/sh -e\n"));
        assert!(is_stock(b"#!/bin/sh \n"), "prolog.sh");
    }

    /// As ifconfig(8) has it, which its init.sh calls.
    #[test]
    fn an_address_without_a_mask_has_that_of_its_class() {
        for (address, prefix) in [
            ("10.1.2.3", "10.1.2.3/8"),
            ("172.16.5.7", "172.16.5.7/16"),
            ("192.168.5.7", "192.168.5.7/24"),
            ("203.0.113.7", "203.0.113.7/24"),
        ] {
            let text = plan(&format!("IP_PRIVATE='{address}'\n"));
            assert!(text.contains(&format!("address ETH0 {prefix}\n")), "{text}");
        }
        let text = plan(
            "IP_PRIVATE='10.1.0.1'\nNETMASK_PRIVATE='24'\nIP_PUBLIC='172.16.5.7'\n\
             IP_EXTRA='192.0.2.1'\nDEFAULT_GATEWAY='172.16.200.1'\n",
        );
        assert!(text.contains("address ETH0 10.1.0.1/24\n"), "{text}");
        assert!(
            text.contains("route ETH1 default via 172.16.200.1\n"),
            "{text}"
        );
    }

    #[test]
    fn a_site_of_all_addresses_is_refused() {
        for mask in ["0", "0.0.0.0"] {
            let text = plan(&format!(
                "IP_PRIVATE='10.0.0.1'\nGLOBAL_NETWORK='10.0.0.0'\nGLOBAL_NETMASK='{mask}'\n"
            ));
            assert!(!text.contains("\nroute "), "{text}");
            assert!(
                text.contains(&format!("GLOBAL_NETMASK: not a netmask: {mask}\n")),
                "{text}"
            );
        }
    }

    #[test]
    fn a_nic_whose_address_is_refused_gets_no_default_route() {
        let text =
            plan("IP_PRIVATE='10.0.0.1'\nIP_PUBLIC='224.0.0.1'\nDEFAULT_GATEWAY='172.16.0.1'\n");
        assert!(
            text.contains("\nroute ETH0 default via 172.16.0.1 onlink\n"),
            "{text}"
        );
        let warning = "IP_PUBLIC: not an address that a machine can have: 224.0.0.1\n";
        assert_eq!(text.matches(warning).count(), 1, "{text}");
    }
}
