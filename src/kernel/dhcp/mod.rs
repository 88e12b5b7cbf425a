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
use crate::base::text::Mac;
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

/// A link that needs an address.
#[derive(Clone, Copy)]
pub struct DhcpLink {
    /// Its interface index.
    pub index: u32,
    /// Its link-layer address.
    pub mac: Mac,
    /// The metric of its routes.
    pub metric: u32,
}

/// The result for one link.
pub type Answer = Result<Lease, Failure>;

/// Why there is no lease.
pub enum Failure {
    /// What the servers did or did not do.
    Servers(&'static str),
    /// The kernel could not send a message.
    Send(Errno),
}

/// Asks for an address on each of these links. Passes each result to `each` as soon as
/// it is known, with the position of its link.
///
/// # Errors
/// The socket, the clock or the random numbers fail. Some links may then have no
/// result.
// Not inlined, to keep the caller's stack frame and its offsets small.
#[inline(never)]
pub fn ask(
    links_by_dhcp: &[DhcpLink],
    hostname: &[u8],
    each: &mut dyn FnMut(usize, Answer),
) -> Result<(), Errno> {
    let socket = PacketSocket::open()?;
    let buffer = memory::bytes(LARGEST);
    let mut text = Vector::new();
    let mut clients = Vector::new();
    for (position, link) in links_by_dhcp.iter().enumerate() {
        let client = Client::new(link.mac, link.metric, random(link)?);
        clients.push((link.index, position, client));
    }
    sort(&mut clients, |one, other| one.0 < other.0);
    let start = milliseconds()?;
    loop {
        let now = milliseconds()?.wrapping_sub(start) as Time;
        let mut next = None;
        for (index, _, client) in clients.iter_mut() {
            if now < LIMIT
                && let Some(request) = client.due(now)
            {
                request.write(client.mac(), hostname, &mut text);
                client.sent(socket.broadcast(*index, &text));
            }
            let due = client.next().unwrap_or(LIMIT);
            next = Some(due.min(next.unwrap_or(due)));
        }
        let is_done = clients.iter().all(|(_, _, client)| client.next().is_none());
        if is_done || now >= LIMIT {
            break;
        }
        wait(
            &socket,
            next.unwrap_or(LIMIT).min(LIMIT).saturating_sub(now),
        )?;
        for _ in 0..AT_ONCE {
            let (index, packet) = match socket.receive(buffer) {
                Ok(received) => received,
                Err(Errno::AGAIN) => break,
                // A link that went down reports this once.
                Err(Errno::INTR | Errno::NETDOWN) => continue,
                Err(errno) => return Err(errno),
            };
            let at = clients.partition_point(|client| client.0 < index);
            if let Some((_, position, client)) = clients.get_mut(at).filter(|one| one.0 == index)
                && let Some(reply) = DhcpReply::of(packet)
                && let Some(lease) = client.receive(now, &reply)
            {
                each(*position, Ok(lease));
            }
        }
    }
    for (_, position, client) in clients.iter() {
        if client.next().is_some() {
            let failure = client
                .failure()
                .map_or_else(Failure::Send, Failure::Servers);
            each(*position, Err(failure));
        }
    }
    Ok(())
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
fn random(link: &DhcpLink) -> Result<u32, Errno> {
    let mut bytes = [0; 4];
    // Early in a boot the kernel may have no random numbers yet. They are not waited
    // for: the clock and the MAC replace them.
    if getrandom(&mut bytes, GetRandomFlags::NONBLOCK) == Ok(bytes.len()) {
        return Ok(u32::from_ne_bytes(bytes));
    }
    let (_, nanoseconds) = clock(Clock::Monotonic)?;
    let [_, _, a, b, c, d] = link.mac.0;
    Ok(u32::from_ne_bytes([a, b, c, d]) ^ nanoseconds as u32)
}
