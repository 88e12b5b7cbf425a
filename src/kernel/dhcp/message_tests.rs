//! The content of replies; and no reply does harm.
use super::*;
use crate::base::memory::Vector;

pub(in super::super) const MAC: Mac = Mac([2, 0, 0x0a, 0x12, 1, 1]);
pub(in super::super) const XID: u32 = 0x1234_5678;

/// An option in its wire format.
pub(in super::super) fn part(code: u8, value: &[u8]) -> Vec<u8> {
    [&[code, value.len() as u8], value].concat()
}

/// A packet from a server, with this `file`, `sname` and options.
fn packet_of(xid: u32, file: &[u8], sname: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![2, 1, 6, 0];
    message.extend(xid.to_be_bytes());
    message.extend([0; 8]);
    message.extend([10, 18, 1, 50]);
    message.extend([0; 8]);
    message.extend(MAC.0);
    message.resize(44, 0);
    message.extend(sname);
    message.resize(108, 0);
    message.extend(file);
    message.resize(236, 0);
    message.extend(COOKIE);
    message.extend(options.concat());
    let mut packet = vec![0; HEADERS];
    packet.extend(message);
    let length = packet.len() as u16;
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[9] = UDP;
    packet[20..22].copy_from_slice(&SERVER.to_be_bytes());
    packet[22..24].copy_from_slice(&CLIENT.to_be_bytes());
    packet[24..26].copy_from_slice(&(length - 20).to_be_bytes());
    packet
}

/// The options that every reply needs: this message type, from the server 10.18.1.254.
pub(in super::super) fn least(kind: u8) -> Vec<Vec<u8>> {
    vec![
        part(option::MESSAGE_TYPE, &[kind]),
        part(option::SERVER_IDENTIFIER, &[10, 18, 1, 254]),
        part(option::LEASE_TIME, &[0, 0, 0, 120]),
        part(option::SUBNET_MASK, &[255, 255, 255, 0]),
    ]
}

/// A packet that offers or confirms 10.18.1.50, with more options.
pub(in super::super) fn packet(xid: u32, kind: u8, more: &[Vec<u8>]) -> Vec<u8> {
    let mut options = least(kind);
    options.extend(more.iter().cloned());
    options.push(vec![END]);
    packet_of(xid, b"", b"", &options)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Checks the lease, and its routes as text.
fn lease(packet: &[u8], check: impl FnOnce(&Lease, Vec<String>)) {
    let lease = DhcpReply::of(packet).unwrap().lease(1024).unwrap();
    let text = |route: &Route| {
        assert!(route.metric == 1024 && !route.onlink);
        let gateway = route.gateway.map(|gateway| format!(" via {gateway}"));
        let Prefix { address, length } = route.destination;
        format!("{address}/{length}{}", gateway.unwrap_or_default())
    };
    check(&lease, lease.routes.iter().map(text).collect());
}

#[test]
fn a_request_is_what_servers_understand() {
    let mut text = Vector::new();
    let offer = Offer {
        address: [10, 18, 1, 50].into(),
        server: [10, 18, 1, 254].into(),
    };
    let request = Request {
        xid: XID,
        seconds: 3,
        offer: Some(offer),
    };
    request.write(MAC, b"web1", &mut text);
    assert_eq!(text.len(), 328);
    // The sum of a header with its checksum is all ones (RFC 1071).
    let words = text[..20]
        .chunks(2)
        .map(|pair| u32::from(u16_at(pair, 0).unwrap()));
    let sum: u32 = words.sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    assert_eq!(text[12..20], [0, 0, 0, 0, 255, 255, 255, 255]);
    assert_eq!(text[20..28], [0, 68, 0, 67, 1, 52, 0, 0]);
    assert_eq!(
        text[28..44],
        [
            1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 3, 0x80, 0, 0, 0, 0, 0
        ]
    );
    assert_eq!(text[56..62], MAC.0);
    let options = [
        COOKIE.to_vec(),
        part(53, &[3]),
        part(61, &[1, 2, 0, 0x0a, 0x12, 1, 1]),
        part(50, &[10, 18, 1, 50]),
        part(54, &[10, 18, 1, 254]),
        part(57, &[5, 0xdc]),
        part(12, b"web1"),
        part(55, &[1, 121, 3, 6, 15, 119, 26, 51, 54, 58, 59]),
        vec![END],
    ];
    let options = options.concat();
    assert_eq!(text[264..264 + options.len()], options);
    assert!(text[264 + options.len()..].iter().all(|byte| *byte == PAD));

    // Then a search in the same buffer.
    let search = Request {
        offer: None,
        ..request
    };
    search.write(MAC, &[b'x'; 64], &mut text);
    assert_eq!(text[268..271], [53, 1, 1]);
    assert_eq!(usize::from(u16_at(&text, 2).unwrap()), text.len());
    assert_eq!(text.last(), Some(&END));
}

#[test]
fn what_a_lease_brings() {
    let packet = packet(
        XID,
        kind::ACK,
        &[
            part(option::ROUTER, &[10, 18, 1, 254, 10, 18, 1, 253]),
            part(
                option::DOMAIN_NAME_SERVER,
                &[9, 9, 9, 9, 0, 0, 0, 0, 10, 18, 1, 253],
            ),
            part(option::DOMAIN_NAME, b"example.org\0"),
            part(option::INTERFACE_MTU, &[5, 120]),
        ],
    );
    lease(&packet, |lease, routes| {
        assert_eq!(
            (lease.address.address, lease.address.length),
            (ip("10.18.1.50"), 24)
        );
        assert_eq!(
            (lease.server, lease.seconds),
            ([10, 18, 1, 254].into(), 120)
        );
        assert_eq!(lease.dns, [ip("9.9.9.9"), ip("10.18.1.253")]);
        assert_eq!(lease.search, [b"example.org"]);
        assert_eq!(lease.mtu, Some(1400));
        assert_eq!(routes, ["0.0.0.0/0 via 10.18.1.254"]);
    });
}

#[test]
fn nothing_else_has_to_be_there() {
    lease(&packet(XID, kind::ACK, &[]), |lease, routes| {
        assert!(lease.dns.is_empty() && lease.search.is_empty() && routes.is_empty());
        assert_eq!(lease.mtu, None);
    });
    let few = [
        part(option::INTERFACE_MTU, &[2, 64]),
        part(option::ROUTER, &[0; 4]),
    ];
    lease(&packet(XID, kind::ACK, &few), |lease, routes| {
        assert_eq!((lease.mtu, routes.len()), (None, 0));
    });
}

#[test]
fn without_a_mask_the_class_counts() {
    let mut options = least(kind::ACK);
    options.pop();
    lease(&packet_of(XID, b"", b"", &options), |lease, _| {
        assert_eq!(lease.address.length, 8);
    });
}

#[test]
fn without_what_it_needs_there_is_no_lease() {
    let is_lease = |options: &[Vec<u8>]| {
        let packet = packet_of(XID, b"", b"", options);
        DhcpReply::of(&packet).unwrap().lease(0).is_some()
    };
    let good = least(kind::ACK);
    assert!(is_lease(&good));
    for (position, bad) in [
        (1, part(option::SERVER_IDENTIFIER, &[10, 18, 1])),
        (1, part(option::SERVER_IDENTIFIER, &[0; 4])),
        (1, vec![]),
        (2, part(option::LEASE_TIME, &[0; 4])),
        (2, part(option::LEASE_TIME, &[0, 0, 1])),
        (2, vec![]),
        (3, part(option::SUBNET_MASK, &[255, 0, 255, 0])),
        (3, part(option::SUBNET_MASK, &[0; 4])),
        (3, part(option::SUBNET_MASK, &[255, 255, 255, 0, 0])),
    ] {
        let mut options = good.clone();
        options[position] = bad;
        assert!(!is_lease(&options), "{options:?}");
    }
    for address in [
        [0, 0, 0, 0],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [255; 4],
        [0, 1, 2, 3],
    ] {
        let mut packet = packet(XID, kind::ACK, &[]);
        packet[HEADERS + 16..HEADERS + 20].copy_from_slice(&address);
        assert!(
            DhcpReply::of(&packet).unwrap().lease(0).is_none(),
            "{address:?}"
        );
    }
}

#[test]
fn classless_routes_count_instead_of_routers() {
    let routes = [
        part(option::ROUTER, &[10, 18, 1, 254]),
        // RFC 3396: an option in two parts.
        part(
            option::CLASSLESS_STATIC_ROUTE,
            &[0, 10, 18, 1, 253, 8, 10, 10, 18],
        ),
        part(
            option::CLASSLESS_STATIC_ROUTE,
            &[
                1, 252, 24, 192, 168, 7, 0, 0, 0, 0, 20, 172, 16, 255, 192, 0, 2, 1,
            ],
        ),
    ];
    lease(&packet(XID, kind::ACK, &routes), |_, routes| {
        assert_eq!(
            routes,
            [
                "0.0.0.0/0 via 10.18.1.253",
                "10.0.0.0/8 via 10.18.1.252",
                "192.168.7.0/24",
                "192.0.2.1/32",
                "172.16.240.0/20 via 192.0.2.1"
            ]
        );
    });
    let own = [part(
        option::CLASSLESS_STATIC_ROUTE,
        &[24, 10, 18, 1, 10, 18, 1, 254],
    )];
    lease(&packet(XID, kind::ACK, &own), |_, routes| {
        assert!(routes.is_empty(), "the address itself gives this route")
    });
    // One invalid route makes the whole option invalid.
    for bad in [
        &[33, 1, 2, 3, 4, 5, 10, 18, 1, 253][..],
        &[8, 10, 10, 18, 1],
        &[0, 10, 18, 1, 253, 24],
    ] {
        let routes = [
            part(option::ROUTER, &[10, 18, 1, 254]),
            part(option::CLASSLESS_STATIC_ROUTE, bad),
        ];
        lease(&packet(XID, kind::ACK, &routes), |_, routes| {
            assert_eq!(routes, ["0.0.0.0/0 via 10.18.1.254"], "{bad:?}");
        });
    }
}

#[test]
fn a_router_outside_of_the_network_is_on_the_link() {
    let router = [part(option::ROUTER, &[192, 0, 2, 1])];
    lease(&packet(XID, kind::ACK, &router), |_, routes| {
        assert_eq!(routes, ["192.0.2.1/32", "0.0.0.0/0 via 192.0.2.1"]);
    });
}

#[test]
fn options_stand_in_other_fields_too() {
    let options = [
        least(kind::ACK),
        vec![part(option::OVERLOAD, &[3]), vec![END]],
    ]
    .concat();
    let file = [
        part(option::ROUTER, &[10, 18, 1, 254]),
        part(option::DOMAIN_NAME_SERVER, &[9, 9]),
    ]
    .concat();
    let sname = part(option::DOMAIN_NAME_SERVER, &[9, 9]);
    lease(&packet_of(XID, &file, &sname, &options), |lease, routes| {
        assert_eq!(routes, ["0.0.0.0/0 via 10.18.1.254"]);
        assert_eq!(lease.dns, [ip("9.9.9.9")]);
    });
    for (which, count) in [(0, 0), (1, 0), (2, 1), (4, 0)] {
        let options = [least(kind::ACK), vec![part(option::OVERLOAD, &[which])]].concat();
        let sname = part(option::DOMAIN_NAME_SERVER, &[9, 9, 9, 9]);
        lease(&packet_of(XID, b"", &sname, &options), |lease, _| {
            assert_eq!(lease.dns.len(), count, "{which}");
        });
    }
}

#[test]
fn search_lists_are_compressed() {
    let list = b"\x07example\x03org\0\x01b\xc0\0\x04mail\xc0\x0d\xc0\0";
    let options = [
        part(option::DOMAIN_NAME, b"other.org"),
        part(option::DOMAIN_SEARCH, list),
    ];
    lease(&packet(XID, kind::ACK, &options), |lease, _| {
        let expected: [&[u8]; 3] = [b"example.org", b"b.example.org", b"mail.b.example.org"];
        assert_eq!(lease.search, expected);
    });
    // A name that cannot be decoded ends the list; one that cannot be written is left
    // out.
    for (list, count) in [
        (&b"\xc0\0"[..], 0),
        (b"\x01a\xc0\0", 0),
        (b"\x01a\0\xc0\x02\xc0\x03", 1),
        (b"\x01a", 0),
        (b"\x05a", 0),
        (b"\x40a\0", 0),
        (b"\0\0\x01a\0", 1),
        (b"\x01\n\0\x01 \0\x01b\0", 1),
    ] {
        let options = [part(option::DOMAIN_SEARCH, list)];
        lease(&packet(XID, kind::ACK, &options), |lease, _| {
            assert_eq!(lease.search.len(), count, "{list:?}: {:?}", lease.search);
        });
    }
    let long = [&[63; 1][..], &[b'a'; 63]].concat().repeat(3);
    let long = [
        part(option::DOMAIN_SEARCH, &long),
        part(
            option::DOMAIN_SEARCH,
            &[&[62][..], &[b'a'; 62], &[0]].concat(),
        ),
    ];
    lease(&packet(XID, kind::ACK, &long), |lease, _| {
        assert!(lease.search.is_empty())
    });
}

#[test]
fn domains_of_no_domain_are_left_out() {
    let domain = [part(
        option::DOMAIN_NAME,
        b"a.org -x a..b b.org a\nnameserver\t!",
    )];
    lease(&packet(XID, kind::ACK, &domain), |lease, _| {
        let expected: [&[u8]; 4] = [b"a.org", b"b.org", b"a", b"nameserver"];
        assert_eq!(lease.search, expected);
    });
}

#[test]
fn what_is_cut_short_is_no_reply() {
    let whole = packet(
        XID,
        kind::ACK,
        &[
            part(option::CLASSLESS_STATIC_ROUTE, &[8, 10, 10, 18, 1, 252]),
            part(option::DOMAIN_SEARCH, b"\x07example\x03org\0\x01b\xc0\0"),
        ],
    );
    for end in 0..whole.len() {
        // The packet, and a copy whose lengths match its size.
        assert!(DhcpReply::of(&whole[..end]).is_none(), "{end}");
        let mut cut = whole[..end].to_vec();
        if let Some(place) = cut.get_mut(2..4) {
            place.copy_from_slice(&(end as u16).to_be_bytes());
        }
        assert!(DhcpReply::of(&cut).is_none(), "{end}");
        if let Some(place) = cut.get_mut(24..26) {
            place.copy_from_slice(&((end as u16).saturating_sub(20)).to_be_bytes());
        }
        if let Some(reply) = DhcpReply::of(&cut) {
            let _ = (reply.kind(), reply.is_for(MAC), reply.lease(0));
        }
    }
    for byte in 0..whole.len() {
        for value in [0, 1, 63, 127, 192, 255] {
            let mut other = whole.clone();
            other[byte] = value;
            if let Some(reply) = DhcpReply::of(&other) {
                let _ = (reply.kind(), reply.is_for(MAC), reply.lease(0));
            }
        }
    }
}

#[test]
fn other_packets_are_no_replies() {
    let good = packet(XID, kind::ACK, &[]);
    assert!(DhcpReply::of(&good).is_some());
    for (at, value) in [
        (0, 0x65),
        (0, 0x44),
        (6, 0x20),
        (7, 1),
        (9, 6),
        (21, 68),
        (23, 67),
        (28, 1),
        (29, 6),
        (30, 16),
        (264, 0),
    ] {
        let mut other = good.clone();
        other[at] = value;
        assert!(DhcpReply::of(&other).is_none(), "{at}");
    }
    // IPv4 options are skipped; "do not fragment" marks no fragment.
    let mut other = good.clone();
    other.splice(20..20, [1, 1, 1, 0]);
    let length = other.len() as u16;
    other[2..4].copy_from_slice(&length.to_be_bytes());
    (other[0], other[6]) = (0x46, 0x40);
    assert!(DhcpReply::of(&other).is_some());
}

#[test]
fn for_whom_it_is() {
    let is_for = |packet: &[u8]| DhcpReply::of(packet).unwrap().is_for(MAC);
    let good = packet(XID, kind::ACK, &[]);
    assert!(is_for(&good));
    let mut other = good.clone();
    other[HEADERS + 33] ^= 1;
    assert!(!is_for(&other));
    // RFC 6842.
    let id = |id: &[u8]| packet(XID, kind::ACK, &[part(option::CLIENT_IDENTIFIER, id)]);
    assert!(is_for(&id(&[1, 2, 0, 0x0a, 0x12, 1, 1])));
    assert!(!is_for(&id(&[0, 2, 0, 0x0a, 0x12, 1, 1])));
    assert!(!is_for(&id(&[1, 2, 0, 0x0a, 0x12, 1, 2])));
    assert!(!is_for(&id(&[])));
}
