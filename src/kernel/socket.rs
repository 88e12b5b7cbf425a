//! An rtnetlink socket.
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};
use ufmt::{Formatter, uDisplay, uWrite};

use super::wire::{End, Message, Reply, answers};
use crate::base::error::Error;
use crate::base::memory;
use crate::base::syscall::{checked_errno, setsockopt};
use crate::base::text::Escaped;

/// The size of the receive buffer; the kernel fills at most 32 KiB of a dump at once
/// (net/netlink/af_netlink.c, `netlink_dump`).
const BUFFER: usize = 32 << 10;

/// Why a request failed.
#[derive(Clone, Copy)]
pub struct Nack {
    /// The error number.
    pub errno: Errno,
    /// The kernel's message, if there is one.
    pub words: Option<&'static [u8]>,
}

impl From<Errno> for Nack {
    fn from(errno: Errno) -> Self {
        Self { errno, words: None }
    }
}

impl uDisplay for Nack {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        Error::from(self.errno).fmt(f)?;
        if let Some(words) = self.words {
            f.write_str(" (")?;
            Escaped(words).fmt(f)?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// An open socket. The kernel replies while it handles send(2), so nothing here ever
/// waits: a missing reply is an error.
pub struct Socket {
    socket: OwnedFd,
    sequence: u32,
    buffer: &'static mut [u8],
}

impl Socket {
    /// Opens one.
    pub fn open() -> Result<Self, Errno> {
        const SOL_NETLINK: u32 = 270; // linux/socket.h
        // NETLINK_ROUTE is protocol 0, the default.
        let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
        let socket = socket_with(family, SocketType::RAW, flags, None)?;
        // Kernels before 4.12 have no error messages (extended ACK).
        let words = linux_raw_sys::netlink::NETLINK_EXT_ACK;
        let _ = setsockopt(socket.as_fd(), SOL_NETLINK, words, 1);
        Ok(Self {
            socket,
            sequence: 0,
            buffer: memory::bytes(BUFFER),
        })
    }

    /// Sends a request and passes each message of the reply to `each`.
    pub fn request(
        &mut self,
        message: &mut Message,
        each: &mut dyn FnMut(&Reply),
    ) -> Result<(), Nack> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = message.bytes(self.sequence)?;
        send(&self.socket, request, SendFlags::empty())?;
        loop {
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            let (_, length) = recv(&self.socket, &mut *self.buffer, flags)?;
            let bytes = self.buffer.get(..length).ok_or(Errno::NOBUFS)?;
            for answer in answers(bytes).filter(|answer| answer.sequence == self.sequence) {
                match answer.end() {
                    None => each(&answer),
                    Some(End::Done) => return Ok(()),
                    Some(End::Refused(errno, words)) => {
                        return Err(Nack {
                            errno: checked_errno(errno),
                            words: words.map(|words| &*memory::copy(words)),
                        });
                    }
                }
            }
        }
    }
}
