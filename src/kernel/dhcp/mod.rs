//! Asks for IPv4 addresses by DHCP, on all links at the same time and in a bounded
//! time. The caller applies the leases to the kernel.
//!
//! One packet socket serves all links. UDP sockets do not work here: they could send
//! from an address of another link, which clouds filter, and the kernel drops what
//! arrives on a link without an address if rp_filter is set, as systemd sets it.
pub mod client;
pub mod message;
mod packet;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::base::memory::{self, Vector};
use crate::base::sort::sort;
use crate::base::syscall::{Clock, clock, milliseconds};
use crate::base::text::{Mac, Text};
use crate::plan::bound::Lease;
use client::{Client, Time};
use message::DhcpReply;
use packet::PacketSocket;

/// How long a boot waits for servers, in milliseconds.
const LIMIT: Time = 15_000;
/// The size of the receive buffer, in bytes: more than the largest message that is
/// asked for.
const LARGEST: usize = 2048;
/// How many packets are read before due messages are sent.
const AT_ONCE: usize = 64;

/// The result for one link.
pub type Answer = Result<Lease, Failure>;

/// Why there is no lease.
pub enum Failure {
    /// What the servers did or did not do.
    Servers(&'static str),
    /// The kernel could not send a message.
    Send(Errno),
}

/// Sends bytes by the link with this index.
type Send<'s> = &'s mut dyn FnMut(u32, &[u8]) -> Result<(), Errno>;

/// The clients of all links. Their rounds take no memory, except for a lease.
pub struct Clients<'h> {
    /// Each with the interface index and the position of its link.
    list: Vector<(u32, usize, Client)>,
    hostname: &'h [u8],
    /// The packet that is sent.
    packet: Text,
}

impl<'h> Clients<'h> {
    /// No clients; those to come send this host name.
    pub fn new(hostname: &'h [u8]) -> Self {
        Self {
            list: Vector::new(),
            hostname,
            packet: Text::new(),
        }
    }

    /// Adds a client for the link at this position, with this interface index and MAC, and
    /// this metric of its routes.
    ///
    /// # Errors
    /// The clock or the random numbers fail.
    pub fn add(&mut self, position: usize, index: u32, mac: Mac, metric: u32) -> Result<(), Errno> {
        let client = Client::new(mac, metric, random(mac)?);
        self.list.push((index, position, client));
        Ok(())
    }

    /// Asks for an address on each link. Passes each result to `each` as soon as it is
    /// known, with the position of its link.
    ///
    /// # Errors
    /// The socket or the clock fails. Some links may then have no result.
    // Not inlined, to keep the caller's stack frame and its offsets small.
    #[inline(never)]
    pub fn ask(mut self, each: &mut dyn FnMut(usize, Answer)) -> Result<(), Errno> {
        let socket = PacketSocket::open()?;
        let buffer = memory::bytes(LARGEST);
        self.sort();
        let start = milliseconds()?;
        loop {
            let now = milliseconds()?.wrapping_sub(start) as Time;
            if now >= LIMIT {
                break;
            }
            let send = &mut |index, packet: &[u8]| socket.broadcast(index, packet);
            let Some(next) = self.send(now, send) else {
                break;
            };
            wait(&socket, next.min(LIMIT).saturating_sub(now))?;
            for _ in 0..AT_ONCE {
                let (index, packet) = match socket.receive(buffer) {
                    Ok(received) => received,
                    Err(Errno::AGAIN) => break,
                    // A link that went down reports this once.
                    Err(Errno::INTR | Errno::NETDOWN) => continue,
                    Err(errno) => return Err(errno),
                };
                if let Some((position, lease)) = self.receive(now, index, packet) {
                    each(position, Ok(lease));
                }
            }
        }
        self.failures(each);
        Ok(())
    }

    /// Sorts the clients by interface index, as [`Self::receive`] needs it.
    fn sort(&mut self) {
        sort(&mut self.list, |one, other| one.0 < other.0);
    }

    /// Sends each message that is due, by `send`, to the link with the given index.
    /// Returns when the next one is due; `None`: every link has a lease.
    fn send(&mut self, now: Time, send: Send<'_>) -> Option<Time> {
        let mut next: Option<Time> = None;
        for (index, _, client) in self.list.iter_mut() {
            if let Some(request) = client.due(now) {
                request.write(client.mac(), self.hostname, &mut self.packet);
                client.sent(send(*index, &self.packet));
            }
            if let Some(due) = client.next() {
                next = Some(due.min(next.unwrap_or(due)));
            }
        }
        next
    }

    /// Handles a packet from the link with this index. Returns a lease, and the
    /// position of its link.
    // Not inlined, as `boot::Boot::read`.
    #[inline(never)]
    fn receive(&mut self, now: Time, index: u32, packet: &[u8]) -> Option<(usize, Lease)> {
        let at = self.list.partition_point(|client| client.0 < index);
        let (found, position, client) = self.list.get_mut(at)?;
        if *found != index {
            return None;
        }
        let lease = client.receive(now, &DhcpReply::of(packet)?)?;
        Some((*position, lease))
    }

    /// Passes the failure of each link that has no lease to `each`.
    fn failures(&self, each: &mut dyn FnMut(usize, Answer)) {
        for (_, position, client) in self.list.iter() {
            if client.next().is_some() {
                let failure = client
                    .failure()
                    .map_or_else(Failure::Send, Failure::Servers);
                each(*position, Err(failure));
            }
        }
    }
}

/// Waits for a packet, at most `time`.
fn wait(socket: &PacketSocket, time: Time) -> Result<(), Errno> {
    let timeout = Timespec {
        tv_sec: (time / 1000).into(),
        tv_nsec: (time % 1000 * 1_000_000).into(),
    };
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// A seed that differs from those of other links and machines.
fn random(mac: Mac) -> Result<u32, Errno> {
    let mut bytes = [0; 4];
    // Early in a boot the kernel may have no random numbers yet. They are not waited
    // for: the clock and the MAC replace them.
    if getrandom(&mut bytes, GetRandomFlags::NONBLOCK) == Ok(bytes.len()) {
        return Ok(u32::from_ne_bytes(bytes));
    }
    let (_, nanoseconds) = clock(Clock::Monotonic)?;
    let [_, _, a, b, c, d] = mac.0;
    Ok(u32::from_ne_bytes([a, b, c, d]) ^ nanoseconds as u32)
}

#[cfg(test)]
mod tests {
    use super::message::kind;
    use super::message::tests::{MAC, XID, packet};
    use super::*;

    /// Clients of links with these indexes.
    fn clients(indexes: &[u32], hostname: &'static [u8]) -> Clients<'static> {
        let mut clients = Clients::new(hostname);
        for (position, index) in indexes.iter().enumerate() {
            clients.add(position, *index, MAC, 1024).unwrap();
        }
        clients.sort();
        clients
    }

    /// The message type and the transaction ID of a request.
    fn sent(packet: &[u8]) -> (u8, u32) {
        let xid = packet[32..36].try_into().unwrap();
        assert_eq!(packet[268..270], [53, 1]);
        (packet[270], u32::from_be_bytes(xid))
    }

    #[test]
    fn rounds_take_no_memory() {
        let mut clients = clients(&[7, 3], b"web1");
        let of_other = packet(XID, kind::OFFER, &[]);
        let mut kinds = [0; 4];
        let mut last = None;
        let mut now = 0;
        for round in 0..1000 {
            let mut answers = Vec::new();
            let next = clients.send(now, &mut |index, request| {
                let (kind, xid) = sent(request);
                kinds[usize::from(kind)] += 1;
                // One link is silent. A server on the other offers and then refuses, or
                // goes silent.
                if index == 7 && kind == kind::DISCOVER {
                    answers.push(packet(xid, kind::OFFER, &[]));
                } else if index == 7 && round % 3 == 0 {
                    answers.push(packet(xid, kind::NAK, &[]));
                }
                Err(Errno::NETDOWN)
            });
            answers.push(of_other.clone());
            for answer in answers {
                for index in [7, 8] {
                    assert!(clients.receive(now, index, &answer).is_none());
                }
            }
            let taken = memory::mark();
            assert!(last.is_none_or(|last| last == taken), "round {round}");
            last = Some(taken);
            now = next.unwrap().max(now + 1);
        }
        let [_, discover, _, request] = kinds;
        assert!(discover > 100 && request > 100, "{kinds:?}");
    }

    #[test]
    fn each_link_has_its_answer() {
        let mut clients = clients(&[7, 3, 5], b"");
        let mut xids = Vec::new();
        let send = &mut |index, request: &[u8]| {
            xids.push((index, sent(request).1));
            Ok(())
        };
        assert!(clients.send(0, send).is_some_and(|next| next > 0));
        assert_eq!(xids.len(), 3);
        for (index, xid) in xids {
            let position = match index {
                7 => 0,
                3 => 1,
                // This server does not confirm what it offered.
                _ => continue,
            };
            assert!(
                clients
                    .receive(1, index, &packet(xid, kind::OFFER, &[]))
                    .is_none()
            );
            clients.send(1, &mut |_, _| Ok(()));
            let lease = clients.receive(2, index, &packet(xid, kind::ACK, &[]));
            assert_eq!(lease.map(|(position, _)| position), Some(position));
        }
        let mut failed = Vec::new();
        clients.failures(&mut |position, answer| failed.push((position, answer.is_err())));
        assert_eq!(failed, [(2, true)]);
        assert!(clients.send(3, &mut |_, _| Ok(())).is_some());
    }
}
