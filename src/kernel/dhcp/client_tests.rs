//! Conversations with servers that conform, and with others.
use super::super::message::tests::{MAC, packet, part};
use super::*;

fn receive(client: &mut Client, now: Time, packet: &[u8]) -> bool {
    let reply = DhcpReply::of(packet).unwrap();
    client.receive(now, &reply).is_some()
}

fn server(last: u8) -> Vec<u8> {
    part(54, &[10, 18, 1, last])
}

/// A packet from another server, named by an option before the usual one.
fn from(last: u8, xid: u32, kind: u8) -> Vec<u8> {
    let mut packet = packet(xid, kind, &[]);
    // Behind the message type: code, length, 10.18.1.254.
    assert_eq!(packet[271..277], server(254));
    packet[276] = last;
    packet
}

#[test]
fn an_offer_is_taken_and_confirmed() {
    let mut client = Client::new(MAC, 1024, 7);
    let search = client.due(0).unwrap();
    assert_eq!((search.offer, search.seconds), (None, 0));
    assert_eq!(client.due(0), None, "a second search without a wait");
    // No server was asked for it.
    assert!(!receive(
        &mut client,
        10,
        &packet(search.xid, kind::ACK, &[])
    ));
    assert!(!receive(
        &mut client,
        10,
        &packet(search.xid, kind::OFFER, &[])
    ));
    let request = client.due(10).unwrap();
    let offer = request.offer.unwrap();
    assert_eq!(request.xid, search.xid);
    assert_eq!(offer.address.octets(), [10, 18, 1, 50]);
    assert_eq!(offer.server.octets(), [10, 18, 1, 254]);
    assert!(receive(
        &mut client,
        20,
        &packet(search.xid, kind::ACK, &[])
    ));
    assert_eq!((client.next(), client.due(20_000)), (None, None));
    // Later offers change nothing.
    assert!(!receive(
        &mut client,
        30,
        &packet(search.xid, kind::ACK, &[])
    ));
    assert!(!receive(
        &mut client,
        30,
        &packet(search.xid, kind::NAK, &[])
    ));
    assert_eq!(client.next(), None);
}

#[test]
fn a_silent_network_is_asked_again_and_again() {
    let mut client = Client::new(MAC, 1024, 7);
    let mut times = Vec::new();
    let mut now = 0;
    while now < 15_000 {
        let request = client.due(now).unwrap();
        assert_eq!(request.offer, None);
        assert_eq!(u32::from(request.seconds), now / 1000);
        times.push(now);
        now = client.next().unwrap();
    }
    let waits: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, least) in waits.iter().zip([750, 1500, 3000, 3000, 3000]) {
        assert!((least..=least * 5 / 3 + 1).contains(wait), "{waits:?}");
    }
    assert!((5..=7).contains(&times.len()), "{times:?}");
    assert_eq!(client.failure(), Ok("no server answers"));
    // Two links do not send at the same times.
    let mut other = Client::new(MAC, 1024, 8);
    other.due(0);
    assert_ne!(other.next(), Some(times[1]));
}

#[test]
fn replies_for_others_change_nothing() {
    let mut client = Client::new(MAC, 1024, 7);
    let xid = client.due(0).unwrap().xid;
    let offer = packet(xid, kind::OFFER, &[]);
    let mut of_other = offer.clone();
    of_other[28 + 33] ^= 1;
    let unusable = packet(xid, kind::OFFER, &[]);
    let mut unusable = unusable;
    // A lease time of zero.
    let at = unusable
        .windows(6)
        .position(|part| part == [51, 4, 0, 0, 0, 120]);
    unusable[at.unwrap() + 5] = 0;
    for wrong in [packet(xid ^ 1, kind::OFFER, &[]), of_other, unusable] {
        receive(&mut client, 5, &wrong);
        assert_eq!(client.due(5), None, "no offer was taken");
    }
    let failure = client.failure().unwrap();
    assert!(
        failure.contains("offers none that can be used"),
        "{failure}"
    );
    receive(&mut client, 5, &offer);
    assert!(client.due(5).unwrap().offer.is_some());
    for wrong in [
        from(253, xid, kind::ACK),
        from(253, xid, kind::NAK),
        packet(xid ^ 1, kind::ACK, &[]),
        packet(xid, 99, &[]),
    ] {
        assert!(!receive(&mut client, 6, &wrong));
        assert_eq!(
            client.failure(),
            Ok("a server offers an address and does not give it")
        );
    }
    // Another address than the requested one.
    let mut other = packet(xid, kind::ACK, &[]);
    other[28 + 19] = 51;
    assert!(!receive(&mut client, 6, &other));
    assert!(receive(&mut client, 6, &packet(xid, kind::ACK, &[])));
}

#[test]
fn of_two_servers_the_first_is_asked() {
    let mut client = Client::new(MAC, 1024, 7);
    let xid = client.due(0).unwrap().xid;
    receive(&mut client, 5, &from(1, xid, kind::OFFER));
    receive(&mut client, 6, &from(2, xid, kind::OFFER));
    let offer = client.due(6).unwrap().offer.unwrap();
    assert_eq!(offer.server.octets(), [10, 18, 1, 1]);
    assert!(!receive(&mut client, 7, &from(2, xid, kind::ACK)));
    assert!(receive(&mut client, 8, &from(1, xid, kind::ACK)));
}

#[test]
fn a_server_that_refuses_is_asked_anew() {
    let mut client = Client::new(MAC, 1024, 7);
    let first = client.due(0).unwrap().xid;
    receive(&mut client, 5, &packet(first, kind::OFFER, &[]));
    client.due(5).unwrap();
    receive(&mut client, 6, &packet(first, kind::NAK, &[]));
    assert_eq!(
        client.failure(),
        Ok("a server offers an address and then refuses it")
    );
    assert_eq!(client.due(500), None, "a search without a wait");
    let search = client.due(1006).unwrap();
    assert_eq!(search.offer, None);
    assert_ne!(search.xid, first);
    // A late reply to the previous search is ignored.
    receive(&mut client, 1007, &packet(first, kind::OFFER, &[]));
    assert_eq!(client.due(1007), None);
    receive(&mut client, 1008, &packet(search.xid, kind::OFFER, &[]));
    client.due(1008).unwrap();
    assert!(receive(
        &mut client,
        1009,
        &packet(search.xid, kind::ACK, &[])
    ));
}

#[test]
fn a_server_that_falls_silent_is_left() {
    let mut client = Client::new(MAC, 1024, 7);
    let first = client.due(0).unwrap().xid;
    receive(&mut client, 5, &packet(first, kind::OFFER, &[]));
    let mut now = 5;
    for _ in 0..REQUESTS {
        let request = client.due(now).unwrap();
        assert!(request.offer.is_some() && request.xid == first);
        now = client.next().unwrap();
    }
    assert!(now < 10_000, "{now}");
    let search = client.due(now).unwrap();
    assert_eq!(search.offer, None);
    assert_ne!(search.xid, first);
}

#[test]
fn what_cannot_be_sent_is_told() {
    let mut client = Client::new(MAC, 1024, 7);
    client.due(0).unwrap();
    client.sent(Err(Errno::NETDOWN));
    assert_eq!(client.failure(), Err(Errno::NETDOWN));
    client.sent(Ok(()));
    assert_eq!(client.failure(), Ok("no server answers"));
}
