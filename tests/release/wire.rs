//! Our rtnetlink requests, read back by an independent reader.

use crate::one_thread::Test;
use std::net::IpAddr;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NetlinkMessage, NetlinkPayload, Nla,
};
use netlink_packet_route::address::{AddressAttribute, CacheInfo};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use onecontext::base::text::Mac;
use onecontext::kernel::wire::{LARGEST, Message};
use onecontext::plan::bound::Lease;
use onecontext::plan::{Prefix, Route};

/// The request that `fill` makes; asserts that its flags contain `flags`.
fn read(fill: impl FnOnce(&mut Message), flags: u16) -> RouteNetlinkMessage {
    let mut message = Message::new();
    // The buffer still holds an earlier request.
    message.set_up(1);
    fill(&mut message);
    let bytes = message.bytes(7).unwrap().to_vec();
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).unwrap();
    assert_eq!(message.header.length as usize, bytes.len());
    assert_eq!(message.header.sequence_number, 7);
    assert_eq!(message.header.flags & flags, flags);
    match message.payload {
        NetlinkPayload::InnerMessage(message) => message,
        other => panic!("{other:?}"),
    }
}

fn prefix(address: &str, length: u8) -> Prefix {
    Prefix {
        address: address.parse().unwrap(),
        length,
    }
}

fn dumps() {
    assert!(matches!(
        read(|message| message.links(), NLM_F_DUMP),
        RouteNetlinkMessage::GetLink(_)
    ));
    assert!(matches!(
        read(|message| message.addresses(), NLM_F_DUMP),
        RouteNetlinkMessage::GetAddress(_)
    ));
    assert!(matches!(
        read(|message| message.routes(), NLM_F_DUMP),
        RouteNetlinkMessage::GetRoute(_)
    ));
}

fn links() {
    let mac = Mac([2, 0, 10, 18, 1, 1]);
    let link = |fill: &dyn Fn(&mut Message), flags| match read(fill, flags) {
        RouteNetlinkMessage::NewLink(link) => link,
        other => panic!("{other:?}"),
    };
    let up = link(&|message| message.set_up(5), NLM_F_ACK);
    assert_eq!(up.header.index, 5);
    assert_eq!(
        (up.header.flags, up.header.change_mask),
        (LinkFlags::Up, LinkFlags::Up)
    );
    let down = link(&|message| message.set_down(5), NLM_F_ACK);
    assert_eq!(down.header.index, 5);
    assert_eq!(
        (down.header.flags, down.header.change_mask),
        (LinkFlags::empty(), LinkFlags::Up)
    );
    for (changed, attribute) in [
        (
            link(&|message| message.set_mtu(5, 1450), NLM_F_ACK),
            LinkAttribute::Mtu(1450),
        ),
        (
            link(&|message| message.set_mac(5, mac), NLM_F_ACK),
            LinkAttribute::Address(mac.0.to_vec()),
        ),
    ] {
        assert_eq!(changed.header.index, 5);
        assert!(changed.header.change_mask.is_empty());
        assert_eq!(changed.attributes, [attribute]);
    }

    let RouteNetlinkMessage::DelLink(removed) = read(|message| message.delete_link(5), NLM_F_ACK)
    else {
        panic!("removes no link")
    };
    assert_eq!(removed.header.index, 5);
    assert!(removed.attributes.is_empty());

    let RouteNetlinkMessage::GetLink(named) =
        read(|message| message.link_named(b"ens4.30"), NLM_F_ACK)
    else {
        panic!("asks for no link")
    };
    assert_eq!(named.header.index, 0);
    assert!(
        named
            .attributes
            .contains(&LinkAttribute::IfName("ens4.30".into()))
    );

    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    let link = link(&|message| message.new_vlan(5, b"ens4.30", 30), flags);
    assert!(
        link.attributes
            .contains(&LinkAttribute::IfName("ens4.30".into()))
    );
    assert!(link.attributes.contains(&LinkAttribute::Link(5)));
    let info = vec![
        LinkInfo::Kind(InfoKind::Vlan),
        LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(30)])),
    ];
    assert!(
        link.attributes.contains(&LinkAttribute::LinkInfo(info)),
        "{link:?}"
    );
}

fn a_request_that_does_not_fit_is_an_error() {
    let mut message = Message::new();
    message.new_vlan(5, &[b'x'; 256], 30);
    assert_eq!(message.bytes(7), Err(rustix::io::Errno::MSGSIZE));
    message.set_up(5);
    assert!(message.bytes(7).is_ok());
}

fn the_largest_request_fits_exactly() {
    let route = Route {
        destination: prefix("2001:db8::", 32),
        gateway: "fe80::1".parse().ok(),
        onlink: false,
        metric: 1025,
    };
    let lease = Lease {
        address: prefix("2001:db8::5", 64),
        ..lease(600)
    };
    let mut message = Message::new();
    message.new_route(9, &route, Some(&lease));
    assert_eq!(message.bytes(7).map(<[u8]>::len), Ok(LARGEST));
    // The longest name of a device.
    message.new_vlan(5, &[b'x'; 15], 4094);
    assert!(message.bytes(7).is_ok());
}

/// A lease of this many seconds.
fn lease(seconds: u32) -> Lease {
    Lease {
        address: prefix("10.18.1.50", 24),
        server: [10, 18, 1, 254].into(),
        seconds,
        metric: 1025,
        routes: &[],
        dns: &[],
        search: &[],
        mtu: None,
    }
}

fn addresses_and_routes_of_a_lease() {
    for seconds in [120, Lease::FOREVER] {
        let lease = lease(seconds);
        let RouteNetlinkMessage::NewAddress(address) = read(
            |message| message.new_address(5, lease.address, Some(&lease)),
            NLM_F_CREATE,
        ) else {
            panic!("not an address")
        };
        let mut times = CacheInfo::default();
        (times.ifa_preferred, times.ifa_valid) = (seconds, seconds);
        assert!(
            address
                .attributes
                .contains(&AddressAttribute::CacheInfo(times)),
            "{address:?}"
        );
        // IFA_RT_PRIORITY of linux/if_addr.h, which the reader does not name.
        let priority = |one: &AddressAttribute| one.kind() == 9;
        assert!(address.attributes.iter().any(priority), "{address:?}");
        let route = Route {
            destination: Prefix::DEFAULT_V4,
            gateway: "10.18.1.254".parse().ok(),
            onlink: false,
            metric: 1025,
        };
        let RouteNetlinkMessage::NewRoute(found) = read(
            |message| message.new_route(9, &route, Some(&lease)),
            NLM_F_ACK | NLM_F_CREATE,
        ) else {
            panic!("not a route")
        };
        assert_eq!(found.header.protocol, RouteProtocol::Dhcp);
        let source = RouteAttribute::PrefSource(RouteAddress::Inet([10, 18, 1, 50].into()));
        assert!(found.attributes.contains(&source), "{found:?}");
    }
}

fn an_address_is_taken_away() {
    for (text, length) in [("10.18.1.1", 24), ("2001:db8::a", 64)] {
        let RouteNetlinkMessage::DelAddress(address) = read(
            |message| message.delete_address(5, prefix(text, length)),
            NLM_F_ACK,
        ) else {
            panic!("not an address")
        };
        let header = address.header;
        assert_eq!((header.index, header.prefix_len), (5, length));
        let local = AddressAttribute::Local(text.parse().unwrap());
        assert_eq!(address.attributes, [local]);
    }
}

fn addresses() {
    let RouteNetlinkMessage::NewAddress(address) = read(
        |message| message.new_address(5, prefix("10.18.1.1", 20), None),
        NLM_F_CREATE,
    ) else {
        panic!("not an address")
    };
    assert_eq!(
        (
            address.header.family,
            address.header.prefix_len,
            address.header.index
        ),
        (AddressFamily::Inet, 20, 5)
    );
    let ip: IpAddr = "10.18.1.1".parse().unwrap();
    let broadcast = "10.18.15.255".parse().unwrap();
    for attribute in [
        AddressAttribute::Local(ip),
        AddressAttribute::Address(ip),
        AddressAttribute::Broadcast(broadcast),
    ] {
        assert!(address.attributes.contains(&attribute), "{address:?}");
    }
    for (text, length) in [("10.18.1.1", 31), ("10.18.1.1", 32), ("2001:db8::a", 64)] {
        let RouteNetlinkMessage::NewAddress(address) = read(
            |message| message.new_address(6, prefix(text, length), None),
            NLM_F_CREATE,
        ) else {
            panic!("not an address")
        };
        assert_eq!(address.header.prefix_len, length);
        assert!(
            address
                .attributes
                .contains(&AddressAttribute::Local(text.parse().unwrap()))
        );
        assert!(
            !address
                .attributes
                .iter()
                .any(|one| matches!(one, AddressAttribute::Broadcast(_)))
        );
    }
}

fn routes() {
    let route = |destination, gateway: Option<&str>, onlink, metric| Route {
        destination,
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        onlink,
        metric,
    };
    for (route, family, to, via, scope) in [
        (
            route(Prefix::DEFAULT_V4, Some("10.18.1.254"), true, 100),
            AddressFamily::Inet,
            None,
            true,
            RouteScope::Universe,
        ),
        (
            route(prefix("10.0.0.0", 8), None, false, 0),
            AddressFamily::Inet,
            Some("10.0.0.0"),
            false,
            RouteScope::Link,
        ),
        (
            route(Prefix::DEFAULT_V6, Some("fe80::1"), false, 1024),
            AddressFamily::Inet6,
            None,
            true,
            RouteScope::Universe,
        ),
        (
            route(prefix("2001:db8::", 32), Some("fe80::1"), false, 7),
            AddressFamily::Inet6,
            Some("2001:db8::"),
            true,
            RouteScope::Universe,
        ),
    ] {
        let RouteNetlinkMessage::NewRoute(found) = read(
            |message| message.new_route(9, &route, None),
            NLM_F_ACK | NLM_F_CREATE,
        ) else {
            panic!("not a route")
        };
        let RouteNetlinkMessage::DelRoute(removed) =
            read(|message| message.delete_route(9, &route), NLM_F_ACK)
        else {
            panic!("removes no route")
        };
        // Whoever has set it.
        let mut of_any = found.clone();
        of_any.header.protocol = RouteProtocol::Unspec;
        assert_eq!(removed, of_any);
        let header = &found.header;
        assert_eq!(
            (header.address_family, header.destination_prefix_length),
            (family, route.destination.length)
        );
        assert_eq!(
            (header.table, header.protocol),
            (254, RouteProtocol::Static)
        );
        assert_eq!((header.scope, header.kind), (scope, RouteType::Unicast));
        assert_eq!(header.flags.contains(RouteFlags::Onlink), route.onlink);
        let address = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => RouteAddress::Inet(ip),
            IpAddr::V6(ip) => RouteAddress::Inet6(ip),
        };
        let has = |attribute| found.attributes.contains(&attribute);
        assert!(
            has(RouteAttribute::Oif(9)) && has(RouteAttribute::Priority(route.metric)),
            "{found:?}"
        );
        match to {
            Some(to) => assert!(has(RouteAttribute::Destination(address(
                to.parse().unwrap()
            )))),
            None => assert!(
                !found
                    .attributes
                    .iter()
                    .any(|one| matches!(one, RouteAttribute::Destination(_)))
            ),
        }
        if via {
            assert!(
                has(RouteAttribute::Gateway(address(route.gateway.unwrap()))),
                "{found:?}"
            );
        } else {
            assert!(
                !found
                    .attributes
                    .iter()
                    .any(|one| matches!(one, RouteAttribute::Gateway(_)))
            );
        }
    }
}

/// The tests of this file, for `one_thread::run`.
pub const TESTS: &[Test] = &[
    ("wire::dumps", dumps),
    ("wire::links", links),
    (
        "wire::a_request_that_does_not_fit_is_an_error",
        a_request_that_does_not_fit_is_an_error,
    ),
    (
        "wire::the_largest_request_fits_exactly",
        the_largest_request_fits_exactly,
    ),
    (
        "wire::addresses_and_routes_of_a_lease",
        addresses_and_routes_of_a_lease,
    ),
    ("wire::an_address_is_taken_away", an_address_is_taken_away),
    ("wire::addresses", addresses),
    ("wire::routes", routes),
];
