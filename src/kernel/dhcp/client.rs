//! A DHCP client for one link (RFC 2131 4.4), without socket or clock: the caller
//! passes the time and the replies, and sends the messages.
use rustix::io::Errno;

use super::message::{DhcpReply, Offer, Request, kind};
use crate::base::text::Mac;
use crate::plan::bound::Lease;

/// Milliseconds since the clients began.
pub type Time = u32;

/// The wait between the first two messages. RFC 2131 4.1 recommends 4 s, which is too
/// long for a boot.
const FIRST_WAIT: Time = 1000;
/// The longest wait. Each wait is twice the one before, up to this.
const LONGEST_WAIT: Time = 4000;
/// After this many unanswered requests the client starts again with DHCPDISCOVER.
const REQUESTS: u8 = 3;

/// One client.
#[derive(Clone, Copy)]
pub struct Client {
    mac: Mac,
    /// The metric of the routes.
    metric: u32,
    /// The state of `random`.
    seed: u32,
    xid: u32,
    state: State,
    /// When the next message is due, and how long to wait after it.
    next: Time,
    wait: Time,
    /// Whether a server has refused its own offer.
    refused: bool,
    /// Whether a server has sent an unusable offer.
    unusable: bool,
    /// Why the last message could not be sent.
    error: Option<Errno>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Looks for servers by DHCPDISCOVER.
    Selecting,
    /// Has sent this many requests for an offer.
    Requesting(Offer, u8),
    /// Has a lease.
    Bound,
}

impl Client {
    /// A client that begins at time 0. `random` makes its transaction IDs differ from
    /// those of other clients.
    pub fn new(mac: Mac, metric: u32, random: u32) -> Self {
        let mut client = Self {
            mac,
            metric,
            // Xorshift never leaves the state 0.
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

    /// When its next message is due; `None` once it has a lease.
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
        // A quarter more or less, so that machines that start at the same time do not
        // all ask at the same time (RFC 2131 4.1).
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

    /// Records whether the last message could be sent.
    pub fn sent(&mut self, sent: Result<(), Errno>) {
        self.error = sent.err();
    }

    /// Handles a reply. Returns the lease if the reply confirms it. Ignores a reply to
    /// another client or from a server that was not asked.
    pub fn receive(&mut self, now: Time, reply: &DhcpReply) -> Option<Lease> {
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
                let lease = reply.lease(self.metric)?;
                self.state = State::Bound;
                Some(lease)
            }
            (State::Requesting(asked, _), kind::NAK) if reply.server() == Some(asked.server) => {
                self.refused = true;
                self.begin(now);
                // Not at once: the server may refuse again and again.
                self.next = now.saturating_add(FIRST_WAIT);
                None
            }
            _ => None,
        }
    }

    /// Starts again with DHCPDISCOVER.
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

    /// The next pseudo-random number (Marsaglia, Xorshift RNGs, 2003).
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
