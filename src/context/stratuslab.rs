//! StratusLab's network variables: three NICs by their kernel names, masks
//! with or without slash, one gateway for all (its own init.sh, and
//! src/share/context in the history of StratusLab/client).
use core::net::{IpAddr, Ipv4Addr};

use super::Context;
use super::network::Network;
use super::opennebula::{empty, ipv4};
use super::values::netmask;
use super::variables::{Variable, Variables};
use crate::plan::{Ipv4Method, Link, LinkName, Prefix};
use crate::text::ip;

/// Address and mask of eth0, eth1, eth2.
const NICS: [[&[u8]; 2]; 3] = [
    [b"IP_PRIVATE", b"NETMASK_PRIVATE"],
    [b"IP_PUBLIC", b"NETMASK_PUBLIC"],
    [b"IP_EXTRA", b"NETMASK_EXTRA"],
];

/// The resolvers of OpenDNS, which its init.sh sets.
const RESOLVERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(208, 67, 222, 222)),
    IpAddr::V4(Ipv4Addr::new(208, 67, 220, 220)),
];

/// Whether the variables alone show StratusLab's hand.
pub fn wrote(variables: &Variables) -> bool {
    let machine = variables.machine();
    machine.get(b"IP_PRIVATE").is_some() || machine.has_prefix(b"STRATUSLAB_")
}

/// Whether any of its NICs has an address; it had none after October 2010.
pub fn has_nics(variables: &Variables) -> bool {
    NICS.iter()
        .any(|[address, _]| variables.machine().get(address).is_some())
}

/// Reads its NICs.
pub fn network<'a>(context: &mut Context<'a>, network: &mut Network<'a>) {
    let machine = context.variables.machine();
    for server in RESOLVERS {
        network.server(server);
    }
    let gateway = gateway(context);
    let global = global_network(context);
    let covers = |prefix: &Prefix| gateway.is_some_and(|gateway| prefix.covers(gateway));
    // Where the gateway can be reached from: its address's network, or, for
    // eth0, the network of the whole site.
    let addresses = NICS.map(|[address, mask]| {
        let address = ip(machine.get(address)?.value).filter(IpAddr::is_ipv4)?;
        let length = match machine.get(mask) {
            Some(mask) => netmask(mask.value)?,
            None => 24,
        };
        Some(Prefix { address, length })
    });
    let mut number = 0;
    let reaches = addresses.map(|address| {
        let first = number == 0;
        number += 1;
        address.is_some_and(|address| {
            covers(&address) || first && global.is_some_and(|global| covers(&global))
        })
    });
    // Later `route add`s of its init.sh win, and fail where nothing covers the
    // gateway; if nothing does at all, the last NIC gets it on the link.
    let last = addresses.iter().rposition(Option::is_some);
    let none = !reaches.contains(&true);
    let carries =
        |position: usize| reaches.get(position) == Some(&true) || none && last == Some(position);
    for (position, [address, mask]) in NICS.iter().enumerate() {
        let Some(variable) = machine.get(address) else {
            continue;
        };
        let name = LinkName::Eth(position as u32);
        network.link(Link {
            ipv4: Some(Ipv4Method::Static),
            ..empty(name)
        });
        ipv4(context, network, variable, machine.get(mask));
        if network.addresses().is_empty() {
            continue;
        }
        if let Some(gateway) = gateway
            && carries(position)
        {
            let better = (position + 1..NICS.len())
                .filter(|later| carries(*later))
                .count();
            network.route(Prefix::DEFAULT_V4, Some(gateway), Some(better as u32));
        }
        if let Some(global) = global
            && position == 0
        {
            network.route(global, None, None);
        }
    }
}

/// DEFAULT_GATEWAY. For some hours of August 2010 the mask of the site was
/// written as a second one behind the first: the last address counts.
fn gateway<'a>(context: &mut Context<'a>) -> Option<IpAddr> {
    let all = context.variables.machine().all(b"DEFAULT_GATEWAY");
    let parse = |variable: &Variable<'a>| ip(variable.value).filter(IpAddr::is_ipv4);
    let found = all.iter().rev().find_map(parse);
    for variable in all
        .iter()
        .filter(|variable| !variable.value.is_empty() && parse(variable).is_none())
    {
        context.complain(variable, "not an IPv4 address");
    }
    found
}

/// The network of the whole site, on the link of eth0.
fn global_network<'a>(context: &mut Context<'a>) -> Option<Prefix> {
    let machine = context.variables.machine();
    let network = machine.get(b"GLOBAL_NETWORK")?;
    let Some(address) = ip(network.value).filter(IpAddr::is_ipv4) else {
        context.complain(network, "not an IPv4 address");
        return None;
    };
    let Some(mask) = machine.get(b"GLOBAL_NETMASK") else {
        context.complain(
            network,
            "no GLOBAL_NETMASK belongs to it, there is no route to it",
        );
        return None;
    };
    let Some(length) = netmask(mask.value) else {
        context.complain(mask, "not a netmask");
        return None;
    };
    Some(Prefix { address, length }.network())
}
