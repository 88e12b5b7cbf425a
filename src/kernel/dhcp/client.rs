//! A client of DHCP on one link (RFC 2131 4.4), without socket or clock: it is
//! told the time and the replies, and says what is to be sent.
use rustix::io::Errno;

use super::message::{Offer, Reply, Request, kind};
use crate::base::arena::Arena;
use crate::base::text::Mac;
use crate::plan::bound::Lease;

/// Milliseconds since the clients began.
pub type Time = u32;

/// Between the first two messages. RFC 2131 4.1 speaks of 4 s, and there is no
/// time for that; what is lost is asked again sooner.
const FIRST_WAIT: Time = 1000;
/// The longest wait: each is twice the one before.
const LONGEST_WAIT: Time = 4000;
/// After how many requests without an answer the client looks for servers anew.
const REQUESTS: u8 = 3;

/// One client.
#[derive(Clone, Copy)]
pub struct Client {
    mac: Mac,
    /// The metric of the routes.
    metric: u32,
    /// The last number of `random`.
    seed: u32,
    xid: u32,
    state: State,
    /// When the next message is due, and how long to wait after it.
    next: Time,
    wait: Time,
    /// Whether a server has refused what it had offered.
    refused: bool,
    /// Whether a server has offered what is no lease.
    unusable: bool,
    /// Why the last message could not be sent.
    error: Option<Errno>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Looks for servers.
    Selecting,
    /// Has asked a server for what it offered, so often.
    Requesting(Offer, u8),
    /// Has a lease.
    Bound,
}

impl Client {
    /// One that begins at the time 0; `random` tells it from others.
    pub fn new(mac: Mac, metric: u32, random: u32) -> Self {
        let mut client = Self {
            mac,
            metric,
            // From 0 nothing else follows.
            seed: random.max(1),
            xid: 0,
            state: State::Selecting,
            next: 0,
            wait: FIRST_WAIT,
            refused: false,
            unusable: false,
            error: None,
        };
        client.xid = client.random();
        client
    }

    /// Its link-layer address.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// When its next message is due; none is, once it has a lease.
    pub fn next(&self) -> Option<Time> {
        (self.state != State::Bound).then_some(self.next)
    }

    /// The message that is due by now, if one is.
    pub fn due(&mut self, now: Time) -> Option<Request> {
        if self.next()? > now {
            return None;
        }
        let offer = match &mut self.state {
            State::Requesting(offer, count) if *count < REQUESTS => {
                *count += 1;
                Some(*offer)
            }
            State::Requesting(..) => {
                self.begin(now);
                None
            }
            State::Selecting | State::Bound => None,
        };
        // A quarter more or less, so that machines that start together do not
        // ask together (RFC 2131 4.1).
        let spread = self.wait / 4;
        let random = self.random() % (2 * spread).max(1);
        self.next = now
            .saturating_add(self.wait)
            .saturating_sub(spread)
            .saturating_add(random);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        Some(Request {
            xid: self.xid,
            seconds: (now / 1000) as u16,
            offer,
        })
    }

    /// Says whether the last message could be sent.
    pub fn sent(&mut self, sent: Result<(), Errno>) {
        self.error = sent.err();
    }

    /// Takes a reply; gives the lease that it confirms. What is not for this
    /// client, or not from the server that was asked, changes nothing.
    pub fn receive<'a>(&mut self, arena: &'a Arena, now: Time, reply: &Reply) -> Option<Lease<'a>> {
        if reply.xid() != Some(self.xid) || !reply.is_for(self.mac) {
            return None;
        }
        match (self.state, reply.kind()?) {
            (State::Selecting, kind::OFFER) => {
                let Some((offer, _, _)) = reply.offer() else {
                    self.unusable = true;
                    return None;
                };
                self.state = State::Requesting(offer, 0);
                (self.next, self.wait) = (now, FIRST_WAIT);
                None
            }
            (State::Requesting(asked, _), kind::ACK) => {
                reply.offer().filter(|(offer, _, _)| *offer == asked)?;
                let lease = reply.lease(arena, self.metric)?;
                self.state = State::Bound;
                Some(lease)
            }
            (State::Requesting(asked, _), kind::NAK) if reply.server() == Some(asked.server) => {
                self.refused = true;
                self.begin(now);
                // Not at once: it may refuse for ever.
                self.next = now.saturating_add(FIRST_WAIT);
                None
            }
            _ => None,
        }
    }

    /// Looks for servers, from the beginning.
    fn begin(&mut self, now: Time) {
        self.xid = self.random();
        self.state = State::Selecting;
        (self.next, self.wait) = (now, FIRST_WAIT);
    }

    /// Why there is no lease.
    pub fn failure(&self) -> Result<&'static str, Errno> {
        match (self.error, self.state) {
            (Some(errno), _) => Err(errno),
            (None, State::Requesting(..)) => Ok("a server offers an address and does not give it"),
            (None, _) if self.refused => Ok("a server offers an address and then refuses it"),
            (None, _) if self.unusable => Ok(
                "a server offers none that can be used: without lease time, or with a wrong netmask",
            ),
            (None, _) => Ok("no server answers"),
        }
    }

    /// The next number (Marsaglia, Xorshift RNGs, 2003).
    fn random(&mut self) -> u32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        self.seed
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
