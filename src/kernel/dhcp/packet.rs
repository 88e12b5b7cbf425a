//! A packet socket for the IPv4 packets of all links (packet(7)). rustix has no type
//! for `sockaddr_ll`.
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType,
    recvfrom, sendto, socket_with,
};
use static_assertions::const_assert_eq;

use crate::base::syscall::{Instruction, attach_filter};

/// `ETH_P_IP` of linux/if_ether.h, in network byte order.
const IPV4: u16 = 0x0800u16.to_be();

/// Takes UDP packets to port 68 of this host, and drops others before they use up the
/// receive buffer. A frame with the tag of a VLAN that has no device here, like one to
/// another MAC, is for another host (net/core/dev.c, `__netif_receive_skb_core`). The codes
/// are those of linux/bpf_common.h; the packet begins with its IPv4 header (RFC 791, 3.1).
const TO_CLIENT: [Instruction; 11] = [
    // BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE; PACKET_OTHERHOST is 3.
    Instruction(0x20, 0, 0, 0xffff_f004),
    Instruction(0x15, 8, 0, 3),
    // The protocol is UDP.
    Instruction(0x30, 0, 0, 9),
    Instruction(0x15, 0, 6, 17),
    // No fragment but a first one.
    Instruction(0x28, 0, 0, 6),
    Instruction(0x45, 4, 0, 0x1fff),
    // The port behind the header, whose length is in words.
    Instruction(0xb1, 0, 0, 0),
    Instruction(0x48, 0, 0, 2),
    Instruction(0x15, 0, 1, 68),
    Instruction(0x06, 0, 0, u32::MAX),
    Instruction(0x06, 0, 0, 0),
];

/// `sockaddr_ll` of linux/if_packet.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct LinkAddress {
    family: u16,
    protocol: u16,
    index: u32,
    hardware: u16,
    packet: u8,
    length: u8,
    address: [u8; 8],
}
const_assert_eq!(size_of::<LinkAddress>(), 20);

// SAFETY: it is `sockaddr_ll`, and has no padding.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        call: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        call((&raw const *self).cast(), size_of::<Self>() as u32)
    }
}

/// An open socket, for the packets of every link.
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens a non-blocking socket.
    pub fn open() -> Result<Self, Errno> {
        // With SOCK_DGRAM the kernel adds and removes the link-layer header.
        let kind = SocketType::DGRAM;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = u32::from(IPV4).try_into().map(Protocol::from_raw).ok();
        let socket = socket_with(AddressFamily::PACKET, kind, flags, protocol)?;
        attach_filter(socket.as_fd(), &TO_CLIENT)?;
        Ok(Self(socket))
    }

    /// Sends a packet to the broadcast address of the link with this index.
    pub fn broadcast(&self, index: u32, packet: &[u8]) -> Result<(), Errno> {
        let to = LinkAddress {
            family: AddressFamily::PACKET.as_raw(),
            protocol: IPV4,
            index,
            hardware: 0,
            packet: 0,
            length: 6,
            address: [0xff; 8],
        };
        sendto(&self.0, packet, SendFlags::empty(), &to).map(drop)
    }

    /// Receives the next packet: the index of its link, and its bytes. A packet larger
    /// than the buffer is truncated.
    ///
    /// # Errors
    /// `AGAIN`: there is no packet.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<(u32, &'b [u8]), Errno> {
        let (length, _, from) = recvfrom(&self.0, &mut *buffer, RecvFlags::empty())?;
        let index = from.and_then(|from| index(&from)).unwrap_or(0);
        Ok((index, buffer.get(..length).unwrap_or_default()))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The interface index in a link-layer address.
fn index(address: &SocketAddrAny) -> Option<u32> {
    let length = address.addr_len() as usize;
    if address.address_family() != AddressFamily::PACKET || length < 8 {
        return None;
    }
    // SAFETY: the first `length` bytes are initialized and belong to a `sockaddr_ll`,
    // which has the index at offset 4. The read needs no alignment.
    Some(unsafe { address.as_ptr().cast::<u32>().add(1).read_unaligned() })
}
