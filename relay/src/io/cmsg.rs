//! What the kernel's message calls want to see: addresses, control messages for segmentation, socket options.
//!
//! Send headers are built and receive headers are read here, so a train looks the same to the kernel whichever way it
//! is handed over. Only Linux is served; layouts are the 64-bit ones of `libc`.
#![expect(unsafe_code, reason = "raw message headers and socket options; each block says why it holds")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes kept for a sender's address: the larger of both families.
pub(super) const NAME_BYTES: usize = size_of::<libc::sockaddr_in6>();
/// Bytes kept for received control messages: one header and one number, with room for a second.
pub(super) const CONTROL_BYTES: usize = 64;
/// Bytes of the one control message that is sent: a header and a padded number.
const SEND_CONTROL_BYTES: usize = CONTROL_HEADER_BYTES + size_of::<usize>();
/// Bytes of a control message's header.
const CONTROL_HEADER_BYTES: usize = size_of::<libc::cmsghdr>();

/// One datagram, or one train of equal segments, that is to leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parcel<'a> {
    pub(super) destination: SocketAddr,
    pub(super) bytes: &'a [u8],
    /// Bytes of a segment when the kernel is to cut; `None` for a single datagram, which carries no control message.
    pub(super) segment: Option<u16>,
}

/// As many send headers as one system call takes, made once and pointed at parcels again and again.
pub(super) struct SendHeaders {
    messages: Box<[libc::mmsghdr]>,
    parts: Box<[Parts]>,
    filled: usize,
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; SEND_CONTROL_BYTES]);

#[derive(Clone, Copy)]
struct Parts {
    name: libc::sockaddr_in6,
    vector: libc::iovec,
    control: Control,
}

impl SendHeaders {
    pub(super) fn new(count: usize) -> Self {
        Self {
            // SAFETY: all-zero is a valid value of this plain C structure.
            messages: vec![unsafe { zeroed() }; count].into(),
            // SAFETY: as above.
            parts: vec![unsafe { zeroed() }; count].into(),
            filled: 0,
        }
    }

    /// Points the next header at a parcel; `false` when all are in use.
    ///
    /// The header stays valid until [`Self::clear`], as long as the parcel's bytes live; it is the caller who hands it to
    /// the kernel and who therefore vouches for that.
    pub(super) fn push(&mut self, parcel: &Parcel<'_>) -> bool {
        let (Some(message), Some(parts)) = (self.messages.get_mut(self.filled), self.parts.get_mut(self.filled)) else {
            return false;
        };
        fill(message, parts, parcel);
        self.filled += 1;
        true
    }

    pub(super) fn filled(&mut self) -> &mut [libc::mmsghdr] {
        self.messages.get_mut(..self.filled).unwrap_or_default()
    }

    pub(super) const fn clear(&mut self) {
        self.filled = 0;
    }
}

impl std::fmt::Debug for SendHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendHeaders").field("filled", &self.filled).finish_non_exhaustive()
    }
}

fn fill(message: &mut libc::mmsghdr, parts: &mut Parts, parcel: &Parcel<'_>) {
    let name_bytes = write_name(&mut parts.name, parcel.destination);
    parts.vector.iov_base = parcel.bytes.as_ptr().cast_mut().cast();
    parts.vector.iov_len = parcel.bytes.len();
    let header = &mut message.msg_hdr;
    header.msg_name = (&raw mut parts.name).cast();
    header.msg_namelen = name_bytes;
    header.msg_iov = &raw mut parts.vector;
    header.msg_iovlen = 1;
    header.msg_flags = 0;
    match parcel.segment {
        Some(segment) => {
            header.msg_controllen = write_segment(&mut parts.control, segment);
            header.msg_control = (&raw mut parts.control).cast();
        }
        None => {
            header.msg_control = std::ptr::null_mut();
            header.msg_controllen = 0;
        }
    }
}

fn write_name(name: &mut libc::sockaddr_in6, address: SocketAddr) -> libc::socklen_t {
    match address {
        SocketAddr::V4(v4) => {
            let short = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: `sockaddr_in6` is larger than and at least as aligned as `sockaddr_in`; both are plain values.
            unsafe { (&raw mut *name).cast::<libc::sockaddr_in>().write(short) };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(v6) => {
            *name = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

/// Writes the `UDP_SEGMENT` control message and returns the length of the control area.
fn write_segment(control: &mut Control, segment: u16) -> usize {
    let length = CONTROL_HEADER_BYTES + size_of::<u16>();
    let fields = length.to_ne_bytes().into_iter().chain(libc::SOL_UDP.to_ne_bytes());
    let fields = fields.chain(libc::UDP_SEGMENT.to_ne_bytes()).chain(segment.to_ne_bytes());
    for (byte, field) in control.0.iter_mut().zip(fields) {
        *byte = field;
    }
    // One u16 padded to the alignment of a control message, as CMSG_SPACE does.
    CONTROL_HEADER_BYTES + size_of::<usize>()
}

/// Reads a sender's address; `None` for a family that is not IP or a name that is too short.
pub(super) fn read_name(name: &[u8]) -> Option<SocketAddr> {
    let family = libc::sa_family_t::from_ne_bytes(array(name, 0)?);
    let port = u16::from_be_bytes(array(name, 2)?);
    match i32::from(family) {
        libc::AF_INET => Some(SocketAddrV4::new(Ipv4Addr::from(array::<4>(name, 4)?), port).into()),
        libc::AF_INET6 => {
            let address = Ipv6Addr::from(array::<16>(name, 8)?);
            let scope = u32::from_ne_bytes(array(name, 24)?);
            Some(SocketAddrV6::new(address, port, 0, scope).into())
        }
        _ => None,
    }
}

/// Reads the size of the segments of a received train from its control area, if the kernel joined several datagrams.
pub(super) fn read_segment(mut control: &[u8]) -> Option<usize> {
    while let (Some(length), Some(level), Some(kind)) = (
        array(control, 0).map(usize::from_ne_bytes),
        array(control, 8).map(i32::from_ne_bytes),
        array(control, 12).map(i32::from_ne_bytes),
    ) {
        if level == libc::SOL_UDP && kind == libc::UDP_GRO {
            let segment = i32::from_ne_bytes(array(control, CONTROL_HEADER_BYTES)?);
            return usize::try_from(segment).ok().filter(|&segment| segment > 0);
        }
        if length < CONTROL_HEADER_BYTES {
            return None;
        }
        control = control.get(length.next_multiple_of(size_of::<usize>())..)?;
    }
    None
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Asks the kernel to join received datagrams of one sender.
pub(super) fn enable_gro(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_udp_option(socket, libc::UDP_GRO, 1)
}

/// Does the kernel know segmentation at all? Sets the socket's default to "off", which is refused when it does not.
pub(super) fn probe_gso(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_udp_option(socket, libc::UDP_SEGMENT, 0)
}

/// Lets no router cut what is sent (RFC 8085 §3.2): datagrams are made to fit every path, and one that may be cut needs a number
/// that is unique in the host, whose making costs a twentieth of sending. What the path is believed to carry is not asked.
pub(super) fn forbid_fragments(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
}

/// Leaves received datagrams as they come.
#[cfg(test)]
pub(super) fn disable_gro(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_udp_option(socket, libc::UDP_GRO, 0)
}

/// Switches checksums of sent datagrams off, with which the kernel cuts no trains.
#[cfg(test)]
pub(super) fn set_no_checksum(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1)
}

fn set_udp_option(socket: BorrowedFd<'_>, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    set_option(socket, libc::SOL_UDP, option, value)
}

fn set_option(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed for the call, and `value` outlives it with the length that is told.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(address: SocketAddr) -> Vec<u8> {
        // SAFETY: all-zero is a valid value of this plain C structure.
        let mut name: libc::sockaddr_in6 = unsafe { zeroed() };
        let length = write_name(&mut name, address) as usize;
        // SAFETY: `name` is `length` or more bytes of plain data.
        unsafe { std::slice::from_raw_parts((&raw const name).cast::<u8>(), length) }.to_vec()
    }

    #[test]
    fn addresses_read_back_as_written() {
        for text in ["127.0.0.1:7730", "203.0.113.7:1", "[::1]:65535", "[fe80::1%3]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(read_name(&name_of(address)), Some(address), "{text}");
        }
        assert_eq!(read_name(&[]), None);
        assert_eq!(read_name(&[1, 0, 0, 0]), None, "a Unix socket is no sender of ours");
    }

    #[test]
    fn a_segment_size_is_found_behind_other_control_messages() {
        let message = |level: i32, kind: i32, value: i32| {
            let mut bytes = (CONTROL_HEADER_BYTES + 4).to_ne_bytes().to_vec();
            bytes.extend(level.to_ne_bytes().iter().chain(&kind.to_ne_bytes()).chain(&value.to_ne_bytes()));
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        };
        let other = message(libc::SOL_SOCKET, 29, 7);
        let gro = message(libc::SOL_UDP, libc::UDP_GRO, 1200);
        assert_eq!(read_segment(&gro), Some(1200));
        assert_eq!(read_segment(&[other.clone(), gro].concat()), Some(1200));
        assert_eq!(read_segment(&other), None);
        assert_eq!(read_segment(&message(libc::SOL_UDP, libc::UDP_GRO, 0)), None);
        assert_eq!(read_segment(&[0; 16]), None, "a length of zero ends the walk");
    }
}
