//! StratusLab's network variables: three NICs by their kernel names, masks
//! with or without slash, one gateway for all (its own init.sh, and
//! src/share/context in the history of StratusLab/client).
use core::net::{IpAddr, Ipv4Addr};

use super::Context;
use super::network::Network;
use super::opennebula::ipv4;
use super::values::netmask;
use super::variables::{Group, Variable, Variables};
use crate::plan::{Ipv4Method, LinkName, Prefix};
use crate::text::ip;

/// Address and mask of eth0, eth1, eth2.
const NICS: [(&str, &str); 3] = [
    ("IP_PRIVATE", "NETMASK_PRIVATE"),
    ("IP_PUBLIC", "NETMASK_PUBLIC"),
    ("IP_EXTRA", "NETMASK_EXTRA"),
];

/// The resolvers of OpenDNS, which its init.sh sets.
const RESOLVERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(208, 67, 222, 222)),
    IpAddr::V4(Ipv4Addr::new(208, 67, 220, 220)),
];

/// Whether the variables alone show StratusLab's hand.
pub fn wrote(variables: &Variables) -> bool {
    let machine = variables.machine();
    machine.get("IP_PRIVATE").is_some() || machine.has_prefix(b"STRATUSLAB_")
}

/// Whether any of its NICs has an address; it had none after October 2010.
pub fn has_nics(variables: &Variables) -> bool {
    let machine = variables.machine();
    NICS.iter()
        .any(|(address, _)| machine.get(address).is_some())
}

/// Reads its NICs.
pub fn network<'a>(context: &mut Context<'a>, network: &mut Network<'a>) {
    let machine = context.variables.machine();
    for server in RESOLVERS {
        network.server(server);
    }
    let gateway = gateway(context);
    let global = global_network(context);
    // Where the gateway can be reached from, a bit for each NIC: its address's
    // network, or, for eth0, the network of the whole site.
    let covers = |prefix: &Prefix| gateway.is_some_and(|gateway| prefix.covers(gateway));
    let (mut reaches, mut last) = (0u32, 0);
    for (position, (address, mask)) in NICS.iter().enumerate() {
        if let Some(prefix) = prefix(machine, address, mask) {
            last = 1 << position;
            if covers(&prefix) || position == 0 && global.as_ref().is_some_and(covers) {
                reaches |= last;
            }
        }
    }
    // Later `route add`s of its init.sh win, and fail where nothing covers the
    // gateway; if nothing does at all, the last NIC gets it on the link.
    if reaches == 0 {
        reaches = last;
    }
    for (position, (address, mask)) in NICS.iter().enumerate() {
        let Some(variable) = machine.get(address) else {
            continue;
        };
        network.link(LinkName::Eth(position as u32)).ipv4 = Some(Ipv4Method::Static);
        ipv4(context, network, variable, machine.get(mask));
        if network.addresses().is_empty() {
            continue;
        }
        let rest = reaches >> position;
        if rest & 1 == 1 && gateway.is_some() {
            let better = (rest >> 1).count_ones();
            network.route(Prefix::DEFAULT_V4, gateway, Some(better));
        }
        if let Some(global) = global
            && position == 0
        {
            network.route(global, None, None);
        }
    }
}

/// The network of a NIC, if address and mask are good.
fn prefix(machine: Group, address: &str, mask: &str) -> Option<Prefix> {
    let address = ip(machine.get(address)?.value).filter(IpAddr::is_ipv4)?;
    let length = match machine.get(mask) {
        Some(mask) => netmask(mask.value)?,
        None => 24,
    };
    Some(Prefix { address, length })
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
    let network = machine.get("GLOBAL_NETWORK")?;
    let Some(address) = ip(network.value).filter(IpAddr::is_ipv4) else {
        context.complain(network, "not an IPv4 address");
        return None;
    };
    let Some(mask) = machine.get("GLOBAL_NETMASK") else {
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
