//! A conversation with rtnetlink.
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

use super::wire::{Answer, End, Message, answers};
use crate::memory::{Arena, NoMemory};

/// Room for one answer; the kernel fills at most 32 KiB of a dump at once
/// (net/netlink/af_netlink.c, `netlink_dump`).
const BUFFER: usize = 32 << 10;

/// Why a request failed.
pub struct Refusal<'b> {
    /// The error's number.
    pub errno: Errno,
    /// The kernel's own words; may be empty.
    pub words: &'b [u8],
}

impl From<Errno> for Refusal<'_> {
    fn from(errno: Errno) -> Self {
        Self { errno, words: b"" }
    }
}

/// An open socket. The kernel answers while it takes a request, so nothing
/// here ever waits: an answer that is not there yet is an error.
pub struct Socket<'a> {
    socket: OwnedFd,
    sequence: u32,
    buffer: &'a mut [u8],
}

impl<'a> Socket<'a> {
    /// Opens one.
    pub fn open(arena: &'a Arena) -> Result<Self, Errno> {
        let buffer = arena.bytes(BUFFER).map_err(|NoMemory| Errno::NOMEM)?;
        let flags = SocketFlags::CLOEXEC;
        // NETLINK_ROUTE is protocol 0, the default.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        // Kernels before 4.12 have no words for their errors.
        let _ = ask_for_words(socket.as_fd());
        Ok(Self {
            socket,
            sequence: 0,
            buffer,
        })
    }

    /// Sends a request and waits for its end.
    pub fn request(&mut self, message: &mut Message) -> Result<(), Refusal<'_>> {
        self.dump(message, |_| {})
    }

    /// Sends a request and gives each answer to `each`.
    pub fn dump(
        &mut self,
        message: &mut Message,
        mut each: impl FnMut(Answer),
    ) -> Result<(), Refusal<'_>> {
        self.sequence = self.sequence.wrapping_add(1);
        send(
            &self.socket,
            message.bytes(self.sequence),
            SendFlags::empty(),
        )?;
        // Where the refusal's words stand in the buffer: the borrow checker
        // cannot follow them out of the loop.
        let (errno, words) = 'end: loop {
            let (_, length) = recv(
                &self.socket,
                &mut *self.buffer,
                RecvFlags::DONTWAIT | RecvFlags::TRUNC,
            )?;
            let bytes = self.buffer.get(..length).ok_or(Errno::NOBUFS)?;
            for answer in answers(bytes).filter(|answer| answer.sequence == self.sequence) {
                match answer.end() {
                    None => each(answer),
                    Some(End::Done) => return Ok(()),
                    Some(End::Refused(errno, words)) => {
                        let start = (words.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
                        break 'end (errno, start..start.wrapping_add(words.len()));
                    }
                }
            }
        };
        let words = self.buffer.get(words).unwrap_or_default();
        Err(Refusal {
            errno: Errno::from_raw_os_error(errno),
            words,
        })
    }
}

/// Sets NETLINK_EXT_ACK. rustix has no setsockopt(2) for it.
fn ask_for_words(socket: BorrowedFd) -> Result<(), Errno> {
    const SOL_NETLINK: usize = 270; // linux/socket.h
    let (socket, on) = (socket.as_raw_fd() as usize, 1u32);
    let option = linux_raw_sys::netlink::NETLINK_EXT_ACK as usize;
    let result: isize;
    // SAFETY: the system call reads the four bytes of `on` and writes nothing.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") linux_raw_sys::general::__NR_setsockopt as usize => result,
            in("rdi") socket, in("rsi") SOL_NETLINK, in("rdx") option, in("r10") &on, in("r8") size_of_val(&on),
            lateout("rcx") _, lateout("r11") _, options(nostack, readonly),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") linux_raw_sys::general::__NR_setsockopt as usize,
            inlateout("x0") socket => result,
            in("x1") SOL_NETLINK, in("x2") option, in("x3") &on, in("x4") size_of_val(&on),
            options(nostack, readonly),
        );
    }
    if result < 0 {
        Err(Errno::from_raw_os_error(result.wrapping_neg() as i32))
    } else {
        Ok(())
    }
}
