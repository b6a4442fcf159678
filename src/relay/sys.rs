//! The system calls that move many datagrams at once. The only file here with `unsafe`.
//!
//! Nothing outside is trusted to keep a pointer alive: what is sent is named by its place in the [`Inbox`], and what
//! points to it is built, used and forgotten within one call.
#![allow(
    unsafe_code,
    reason = "recvmmsg and control messages have no safe wrapper that neither copies nor allocates"
)]

use std::io::{self, IoSlice};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use crate::stun::Head;

/// How many datagrams are held until all are sent on.
pub(super) const BATCH: usize = 64;
/// Room for the longest datagram, or as many short ones as the kernel joins (GRO).
const BUFFER: usize = 65_536;
/// Room in front of what is received, for a head: with it the datagram leaves in one piece.
const HEADROOM: usize = Head::MAX.next_multiple_of(64);
/// Room behind it, for padding; it also keeps the beginnings of datagrams out of each other's cache sets.
const TAILROOM: usize = 256;
/// What one datagram takes.
const SLOT: usize = HEADROOM + BUFFER + TAILROOM;
/// Room for an address to send from (IPv6: 40 bytes) and a segment size (24 bytes), or what comes with a datagram.
const CONTROL_WORDS: usize = 16;
/// The pieces of one datagram: head, payload, padding.
const PIECES: usize = 3;
/// The most segments that the kernel splits one send into (UDP_MAX_SEGMENTS is 64 in older ones).
const SEGMENTS_MAX: usize = 64;
/// The most bytes of one send.
const SEND_MAX: usize = 65_000;
/// What pads an attribute or a stream frame.
const ZEROS: [u8; 4] = [0; 4];

type Control = [u64; CONTROL_WORDS];

/// Datagrams that have just been received, from one socket after another, until it is cleared.
pub(super) struct Inbox {
    bytes: Box<[u8]>,
    names: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    /// How many datagrams are held.
    used: usize,
    /// How many headers were given to the kernel since they were last made ready.
    spent: usize,
}

/// One datagram in the inbox, or several of the same sender and length joined by the kernel.
pub(super) struct Received {
    pub(super) from: SocketAddr,
    /// The address of ours it was sent to, where the socket was asked to tell.
    pub(super) to: Option<IpAddr>,
    /// How many bytes there are.
    pub(super) len: usize,
    /// The length of each datagram but the last; the whole length when there is only one.
    pub(super) segment: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        // SAFETY: all of these are plain C structures for which all zeros is a valid value.
        let (name, header): (libc::sockaddr_storage, libc::mmsghdr) = unsafe { mem::zeroed() };
        let vector = libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        let mut inbox = Self {
            bytes: vec![0; BATCH * SLOT].into(),
            names: vec![name; BATCH].into(),
            controls: vec![[0; CONTROL_WORDS]; BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            headers: vec![header; BATCH].into(),
            used: 0,
            spent: 0,
        };
        let slots = inbox
            .bytes
            .chunks_exact_mut(SLOT)
            .filter_map(|slot| slot.get_mut(HEADROOM..HEADROOM + BUFFER))
            .zip(&mut inbox.names)
            .zip(&mut inbox.controls);
        let slots = slots.zip(&mut inbox.vectors).zip(&mut inbox.headers);
        // The boxes never move what they hold, so this is done once.
        for ((((bytes, name), control), vector), header) in slots {
            vector.iov_base = bytes.as_mut_ptr().cast();
            vector.iov_len = bytes.len();
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_namelen = mem::size_of_val(name) as libc::socklen_t;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = mem::size_of_val(control);
        }
        inbox
    }

    /// How many more datagrams fit.
    pub(super) fn room(&self) -> usize {
        BATCH - self.used
    }

    /// Forgets all datagrams.
    pub(super) fn clear(&mut self) {
        for header in self.headers.iter_mut().take(self.spent) {
            // The kernel wrote here how much it used.
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = size_of::<Control>();
            header.msg_hdr.msg_flags = 0;
        }
        self.used = 0;
        self.spent = 0;
    }

    /// Takes what has arrived, at most `max` datagrams; never waits. Where they are now.
    pub(super) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        max: usize,
    ) -> io::Result<Range<usize>> {
        let start = self.used;
        let max = max.min(self.room());
        let Some(headers) = self
            .headers
            .get_mut(start..start + max)
            .filter(|headers| !headers.is_empty())
        else {
            return Ok(start..start);
        };
        // SAFETY: every pointer in the headers was set in `new`, into boxes that live as long as `self`, with the
        // true length of what it points to; `clear` restored the lengths before a header is given away again.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        // A failed call may have touched the first of them.
        self.spent = self
            .spent
            .max((start + usize::try_from(count).unwrap_or(0) + 1).min(BATCH));
        self.used += usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        Ok(start..self.used)
    }

    /// What is known of one of the datagrams.
    pub(super) fn received(&self, index: usize) -> Option<Received> {
        let header = self.headers.get(..self.used)?.get(index)?;
        let from = read_name(self.names.get(index)?)?;
        let len = (header.msg_len as usize).min(BUFFER);
        let mut read = Received {
            from,
            to: None,
            len,
            segment: len,
        };
        // SAFETY: the kernel filled `msg_control` and `msg_controllen`; the CMSG macros walk within them, and the
        // data of each kind is read only where that many bytes belong to it.
        unsafe {
            let mut at = libc::CMSG_FIRSTHDR(&header.msg_hdr);
            while let Some(control) = at.as_ref() {
                let data = libc::CMSG_DATA(at);
                let room = control.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                match (control.cmsg_level, control.cmsg_type) {
                    (libc::IPPROTO_IP, libc::IP_PKTINFO)
                        if room >= size_of::<libc::in_pktinfo>() =>
                    {
                        let info = ptr::read_unaligned(data.cast::<libc::in_pktinfo>());
                        read.to = Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into());
                    }
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
                        if room >= size_of::<libc::in6_pktinfo>() =>
                    {
                        let info = ptr::read_unaligned(data.cast::<libc::in6_pktinfo>());
                        read.to = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                    }
                    (libc::SOL_UDP, libc::UDP_GRO) if room >= size_of::<libc::c_int>() => {
                        let size = ptr::read_unaligned(data.cast::<libc::c_int>());
                        read.segment = usize::try_from(size).unwrap_or(len).max(1);
                    }
                    _ => {}
                }
                at = libc::CMSG_NXTHDR(&header.msg_hdr, at);
            }
        }
        Some(read)
    }

    /// The bytes of a datagram.
    pub(super) fn bytes(&self, index: usize, range: Range<usize>) -> &[u8] {
        self.bytes.get(place(index, &range)).unwrap_or_default()
    }

    /// Puts a head in front of a payload, and padding after it: in place where nothing else lies there. The payload is
    /// named by its place in the datagram, and that by its place among those at `index`.
    pub(super) fn frame(
        &mut self,
        index: usize,
        datagram: &Range<usize>,
        payload: &Range<usize>,
        head: Head,
    ) -> Framed {
        let all = self
            .headers
            .get(index)
            .map_or(0, |header| header.msg_len as usize);
        let payload_at = datagram.start + payload.start..datagram.start + payload.end;
        let mut place = place(index, &payload_at);
        let (front, padding) = (head.as_bytes(), head.padding(payload.len(), false));
        let before = payload.start + if datagram.start == 0 { HEADROOM } else { 0 };
        let after =
            (datagram.end - payload_at.end) + if datagram.end >= all { TAILROOM } else { 0 };
        if front.len() > before || padding > after {
            return Framed { place, head };
        }
        if let Some(room) = self.bytes.get_mut(place.start - front.len()..place.start) {
            room.copy_from_slice(front);
        }
        if let Some(room) = self.bytes.get_mut(place.end..place.end + padding) {
            room.fill(0);
        }
        place = place.start - front.len()..place.end + padding;
        Framed {
            place,
            head: Head::none(),
        }
    }
}

/// Where a part of the datagram at `index` lies among all bytes.
fn place(index: usize, range: &Range<usize>) -> Range<usize> {
    let start = index * SLOT + HEADROOM;
    start + range.start.min(BUFFER)..start + range.end.min(BUFFER)
}

/// A payload in the inbox and what is still to go around it.
pub(super) struct Framed {
    place: Range<usize>,
    /// Empty when it is in place.
    head: Head,
}

impl Framed {
    fn len(&self) -> usize {
        let payload = self.place.len();
        self.head.as_bytes().len() + payload + self.head.padding(payload, false)
    }

    fn pieces<'a>(&'a self, inbox: &'a Inbox) -> [&'a [u8]; PIECES] {
        let padding = self.head.padding(self.place.len(), false);
        [
            self.head.as_bytes(),
            inbox.bytes.get(self.place.clone()).unwrap_or_default(),
            ZEROS.get(..padding).unwrap_or_default(),
        ]
    }
}

/// A datagram to send.
pub(super) struct Outgoing {
    pub(super) socket: RawFd,
    pub(super) to: SocketAddr,
    /// The address of ours to send from, where the socket has several.
    pub(super) from: Option<IpAddr>,
    pub(super) framed: Framed,
}

impl Outgoing {
    fn goes_along_with(&self, first: &Self) -> bool {
        self.socket == first.socket && self.to == first.to && self.from == first.from
    }
}

/// Sends datagrams: those of one destination in one piece, and what leaves by one socket with one call.
pub(super) struct Outbox {
    /// Whether the kernel splits long sends into datagrams (GSO); found out by trying.
    splits: bool,
    names: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    /// How many datagrams each message is split into.
    counts: Box<[usize]>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        // SAFETY: all of these are plain C structures for which all zeros is a valid value.
        let (name, vector, header): (libc::sockaddr_storage, libc::iovec, libc::mmsghdr) =
            unsafe { mem::zeroed() };
        Self {
            splits: true,
            names: vec![name; BATCH].into(),
            controls: vec![[0; CONTROL_WORDS]; BATCH].into(),
            vectors: vec![vector; PIECES * (BATCH + SEGMENTS_MAX)].into(),
            headers: vec![header; BATCH].into(),
            counts: vec![0; BATCH].into(),
        }
    }

    /// Sends all of them. What the kernel will not take is lost, as datagrams are.
    pub(super) fn send(&mut self, inbox: &Inbox, mut outgoing: &[Outgoing]) {
        while let Some(first) = outgoing.first() {
            let is_same = |next: &&Outgoing| next.socket == first.socket;
            let of_socket = outgoing.iter().take_while(is_same).count();
            let (mut now, later) = outgoing.split_at(of_socket);
            outgoing = later;
            while let Some(first) = now.first() {
                let run = if self.splits { run(now) } else { 1 };
                let sent = if run == now.len() {
                    0
                } else {
                    self.send_several(inbox, now)
                };
                if sent > 0 {
                    now = now.get(sent..).unwrap_or_default();
                    continue;
                }
                // Alone, or what several would not begin with: an error is then its own.
                let (run, rest) = now.split_at(run);
                match self.send_run(inbox, first, run) {
                    // Full: what else would leave by this socket is lost as well.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    _ => now = rest,
                }
            }
        }
    }

    /// Sends what leaves by one socket with one call, as far as it goes; how many datagrams have left.
    fn send_several(&mut self, inbox: &Inbox, outgoing: &[Outgoing]) -> usize {
        let mut left = outgoing;
        let (mut messages, mut pieces) = (0, 0);
        let places = self.names.iter_mut().zip(&mut self.controls);
        let places = places.zip(&mut self.headers).zip(&mut self.counts);
        for (((name, control), header), count) in places {
            let Some(first) = left.first() else { break };
            *count = if self.splits { run(left) } else { 1 };
            let (now, later) = left.split_at(*count);
            let begin = pieces;
            let all = now.iter().flat_map(|one| one.framed.pieces(inbox));
            let vectors = self.vectors.iter_mut().skip(begin);
            for (piece, vector) in all.filter(|piece| !piece.is_empty()).zip(vectors) {
                vector.iov_base = piece.as_ptr().cast_mut().cast();
                vector.iov_len = piece.len();
                pieces += 1;
            }
            let segment = (now.len() > 1).then(|| first.framed.len() as u16);
            let message = &mut header.msg_hdr;
            message.msg_namelen = write_name(name, first.to);
            message.msg_name = ptr::from_mut(name).cast();
            message.msg_iovlen = pieces - begin;
            if first.from.is_some() || segment.is_some() {
                *control = [0; CONTROL_WORDS];
                message.msg_control = control.as_mut_ptr().cast();
                message.msg_controllen = size_of::<Control>();
                write_control(message, first.from, segment);
            } else {
                message.msg_control = ptr::null_mut();
                message.msg_controllen = 0;
            }
            messages += 1;
            left = later;
            // The next message may need as many pieces as there can be.
            if self.vectors.len() - pieces < PIECES * SEGMENTS_MAX {
                break;
            }
        }
        let Some(first) = outgoing.first() else {
            return 0;
        };
        let mut vectors = self.vectors.as_mut_ptr();
        for header in self.headers.iter_mut().take(messages) {
            header.msg_hdr.msg_iov = vectors;
            vectors = vectors.wrapping_add(header.msg_hdr.msg_iovlen);
        }
        // SAFETY: the first `messages` headers were just filled; they point into boxes of `self`, into `inbox`, `outgoing`
        // and a constant, all of which are alive and untouched until the call returns, with the lengths that are told.
        let sent = unsafe {
            libc::sendmmsg(
                first.socket,
                self.headers.as_mut_ptr(),
                messages as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        let sent = usize::try_from(sent).unwrap_or(0);
        self.counts.iter().take(sent).sum()
    }

    fn send_run(&mut self, inbox: &Inbox, first: &Outgoing, run: &[Outgoing]) -> io::Result<()> {
        let alone =
            |one: &Outgoing| send_one(one.socket, one.to, one.from, one.framed.pieces(inbox));
        if run.len() <= 1 {
            return alone(first);
        }
        let mut pieces = [IoSlice::new(&[]); PIECES * SEGMENTS_MAX];
        let mut used = 0;
        let all = run.iter().flat_map(|one| one.framed.pieces(inbox));
        for (place, piece) in pieces.iter_mut().zip(all.filter(|piece| !piece.is_empty())) {
            *place = IoSlice::new(piece);
            used += 1;
        }
        let pieces = pieces.get(..used).unwrap_or_default();
        let segment = first.framed.len() as u16;
        let sent = send_pieces(first.socket, first.to, first.from, pieces, Some(segment));
        match sent {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                // The device cannot split at all (no checksums), or not at this length (longer than its MTU).
                self.splits &= error.raw_os_error() != Some(libc::EIO);
                run.iter().try_for_each(|one| match alone(one) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
                    _ => Ok(()),
                })
            }
            sent => sent,
        }
    }
}

/// How many datagrams from the front may be sent as one that the kernel splits: one destination, equal lengths but for
/// a shorter last.
fn run(outgoing: &[Outgoing]) -> usize {
    let Some(first) = outgoing.first() else {
        return 0;
    };
    let len = first.framed.len();
    if len == 0 {
        return 1;
    }
    let mut total = len;
    let mut count = 1;
    for next in outgoing.iter().skip(1).take(SEGMENTS_MAX - 1) {
        let next_len = next.framed.len();
        total += next_len;
        if !next.goes_along_with(first) || next_len > len || next_len == 0 || total > SEND_MAX {
            break;
        }
        count += 1;
        if next_len < len {
            break;
        }
    }
    count
}

/// Sends one datagram made of up to three pieces.
pub(super) fn send_one(
    socket: RawFd,
    to: SocketAddr,
    from: Option<IpAddr>,
    pieces: [&[u8]; PIECES],
) -> io::Result<()> {
    let send = || match pieces {
        // The shortest way through the kernel.
        [[], whole, []] if from.is_none() => send_whole(socket, to, whole),
        _ => send_pieces(socket, to, from, &pieces.map(IoSlice::new), None),
    };
    match send() {
        // An ICMP error of an earlier datagram is reported once in place of this one; else it is hopeless.
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => send(),
        sent => sent,
    }
}

fn send_whole(socket: RawFd, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: all zeros is a valid value of the structure.
    let mut name: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let name_len = write_name(&mut name, to);
    // SAFETY: name and bytes are alive until the call returns, and have the lengths that are told.
    let sent = unsafe {
        libc::sendto(
            socket,
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            ptr::from_ref(&name).cast(),
            name_len,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Sends these pieces as one datagram, or as several that are `segment` bytes long.
fn send_pieces(
    socket: RawFd,
    to: SocketAddr,
    from: Option<IpAddr>,
    pieces: &[IoSlice<'_>],
    segment: Option<u16>,
) -> io::Result<()> {
    let mut control: Control = [0; CONTROL_WORDS];
    // SAFETY: all zeros is a valid value of both structures.
    let (mut name, mut message): (libc::sockaddr_storage, libc::msghdr) = unsafe { mem::zeroed() };
    message.msg_namelen = write_name(&mut name, to);
    message.msg_name = ptr::from_mut(&mut name).cast();
    // An IoSlice is an iovec, and sending does not write to it.
    message.msg_iov = pieces.as_ptr().cast_mut().cast();
    message.msg_iovlen = pieces.len();
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of_val(&control);
    write_control(&mut message, from, segment);
    // SAFETY: the message points to locals and to `pieces`, all alive until the call returns.
    let sent = unsafe { libc::sendmsg(socket, &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// What the network said about a datagram that was sent.
pub(super) struct NetworkError {
    /// Where the datagram was going.
    pub(super) peer: SocketAddr,
    /// ICMP type and code.
    pub(super) kind: u8,
    pub(super) code: u8,
    /// The MTU where a datagram was too long, else 0.
    pub(super) mtu: u32,
}

/// Takes one error off a socket's error queue: `Err` when it is empty, `Ok(None)` when it was not the network's.
pub(super) fn receive_error(socket: BorrowedFd<'_>) -> io::Result<Option<NetworkError>> {
    let mut control: Control = [0; CONTROL_WORDS];
    // SAFETY: all zeros is a valid value of both structures.
    let (mut name, mut message): (libc::sockaddr_storage, libc::msghdr) = unsafe { mem::zeroed() };
    message.msg_name = ptr::from_mut(&mut name).cast();
    message.msg_namelen = mem::size_of_val(&name) as libc::socklen_t;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of_val(&control);
    // SAFETY: the message points to locals of the lengths told; the payload is not asked for.
    let received = unsafe {
        libc::recvmsg(
            socket.as_raw_fd(),
            &mut message,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    if received < 0 {
        return Err(io::Error::last_os_error());
    }
    let Some(peer) = read_name(&name) else {
        return Ok(None);
    };
    // SAFETY: the kernel filled the control messages, the CMSG macros walk within them, and the structure is read only
    // where that many bytes belong to it.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(&message);
        while let Some(control) = at.as_ref() {
            let room = control.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
            let is_error = matches!(
                (control.cmsg_level, control.cmsg_type),
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            );
            if is_error && room >= size_of::<libc::sock_extended_err>() {
                let error =
                    ptr::read_unaligned(libc::CMSG_DATA(at).cast::<libc::sock_extended_err>());
                let of_network = matches!(
                    error.ee_origin,
                    libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6
                );
                let too_long = error.ee_errno == libc::EMSGSIZE as u32;
                return Ok(of_network.then_some(NetworkError {
                    peer,
                    kind: error.ee_type,
                    code: error.ee_code,
                    mtu: if too_long { error.ee_info } else { 0 },
                }));
            }
            at = libc::CMSG_NXTHDR(&message, at);
        }
    }
    Ok(None)
}

/// Sets a whole-number socket option that no safe wrapper knows.
pub(super) fn set_option(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: i32,
) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` outlives the call and has the length that is told.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            len,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Writes the control messages of a send; the room given in `msg_controllen` becomes the length used.
fn write_control(message: &mut libc::msghdr, from: Option<IpAddr>, segment: Option<u16>) {
    let mut used = 0;
    // SAFETY: `msg_control` points to a `Control`, which has room for both messages; the CMSG macros stay within it, and
    // what is written at CMSG_DATA is as long as CMSG_LEN says.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(message);
        let mut put = |level: i32, kind: i32, data: &[u8]| {
            if let Some(control) = at.as_mut() {
                control.cmsg_level = level;
                control.cmsg_type = kind;
                control.cmsg_len = libc::CMSG_LEN(data.len() as libc::c_uint) as usize;
                ptr::copy_nonoverlapping(data.as_ptr(), libc::CMSG_DATA(at), data.len());
                used += libc::CMSG_SPACE(data.len() as libc::c_uint) as usize;
                at = libc::CMSG_NXTHDR(message, at);
            }
        };
        match from {
            Some(IpAddr::V4(ip)) => {
                // struct in_pktinfo: interface index, the address to send from, the header's destination (unused).
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&ip.octets());
                put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            Some(IpAddr::V6(ip)) => {
                // struct in6_pktinfo: the address to send from, interface index.
                let mut info = [0; 20];
                info[..16].copy_from_slice(&ip.octets());
                put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            None => {}
        }
        if let Some(segment) = segment {
            put(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
    }
    message.msg_controllen = used;
    if used == 0 {
        message.msg_control = ptr::null_mut();
    }
}

fn read_name(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is a sockaddr_in, which is shorter than the storage.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that this is a sockaddr_in6, which is shorter than the storage.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(name.sin6_port), 0, name.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn write_name(name: &mut libc::sockaddr_storage, address: SocketAddr) -> libc::socklen_t {
    match address {
        SocketAddr::V4(address) => {
            // SAFETY: the storage is longer than, and aligned for, a sockaddr_in.
            let name = unsafe { &mut *ptr::from_mut(name).cast::<libc::sockaddr_in>() };
            name.sin_family = libc::AF_INET as libc::sa_family_t;
            name.sin_port = address.port().to_be();
            name.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(address) => {
            // SAFETY: the storage is longer than, and aligned for, a sockaddr_in6.
            let name = unsafe { &mut *ptr::from_mut(name).cast::<libc::sockaddr_in6>() };
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_port = address.port().to_be();
            name.sin6_flowinfo = 0;
            name.sin6_addr.s6_addr = address.ip().octets();
            name.sin6_scope_id = address.scope_id();
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}
