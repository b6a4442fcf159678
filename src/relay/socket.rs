//! UDP sockets: those that clients know, and those that peers see.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use super::sys::set_option;
use crate::turn::{ExternalIp, Family};

/// What a listener may hold while its worker is busy: a tenth of a second at 300 Mbit/s. The system may allow less.
const LISTENER_BUFFER: usize = 4 << 20;

/// A socket that clients send to.
pub(super) struct Listener {
    pub(super) socket: UdpSocket,
    /// The address it is bound to, its port known.
    pub(super) local: SocketAddr,
}

impl Listener {
    /// Binds an address. The first of several that share it finds out whether the port is free.
    pub(super) fn bind(address: SocketAddr, is_first: bool) -> io::Result<Self> {
        let socket = open(Family::of(address.ip()))?;
        if !is_first {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        // As much as the system allows.
        let _ = socket.set_recv_buffer_size(LISTENER_BUFFER);
        let _ = socket.set_send_buffer_size(LISTENER_BUFFER);
        let socket = UdpSocket::from(socket);
        if address.ip().is_unspecified() {
            // Answers leave from the address that was asked.
            match address {
                SocketAddr::V4(_) => {
                    set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?
                }
                SocketAddr::V6(_) => {
                    set_option(
                        socket.as_fd(),
                        libc::IPPROTO_IPV6,
                        libc::IPV6_RECVPKTINFO,
                        1,
                    )?;
                }
            }
        }
        join_datagrams(&socket);
        let local = socket.local_addr()?;
        Ok(Self { socket, local })
    }

    /// From now on other sockets of this process may be bound beside it, and the kernel spreads clients over them.
    pub(super) fn let_others_share(&self) -> io::Result<()> {
        SockRef::from(&self.socket).set_reuse_port(true)
    }
}

/// Opens the socket of a relayed port.
pub(super) fn open_relay(family: Family, external: ExternalIp, port: u16) -> io::Result<UdpSocket> {
    let socket = open(family)?;
    let ip = external.local.unwrap_or(match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    });
    socket.bind(&SocketAddr::new(ip, port).into())?;
    let socket = UdpSocket::from(socket);
    dont_fragment(&socket, family, false)?;
    // What the network says about datagrams that do not arrive is told to the client (RFC 8656 §11.5).
    match family {
        Family::V4 => set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_RECVERR, 1)?,
        Family::V6 => set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?,
    }
    join_datagrams(&socket);
    Ok(socket)
}

/// Sockets of reserved ports (RFC 8656 §7.2). Each waits for its client, which may come to any worker.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<(Family, u16), UdpSocket>>);

impl Waiting {
    /// Opens the socket of a reserved port, so that nobody else on this machine takes the port.
    pub(super) fn open(&self, family: Family, external: ExternalIp, port: u16) -> io::Result<()> {
        let socket = open_relay(family, external, port)?;
        SockRef::from(&socket).attach_filter(&[DROP_ALL])?;
        self.sockets().insert((family, port), socket);
        Ok(())
    }

    /// Hands the socket over to the allocation that the port was reserved for.
    pub(super) fn take(&self, family: Family, port: u16) -> io::Result<UdpSocket> {
        let socket = self.sockets().remove(&(family, port));
        let socket = socket.ok_or(io::ErrorKind::NotFound)?;
        SockRef::from(&socket).detach_filter()?;
        Ok(socket)
    }

    /// Nobody came for it.
    pub(super) fn close(&self, family: Family, port: u16) {
        self.sockets().remove(&(family, port));
    }

    fn sockets(&self) -> MutexGuard<'_, HashMap<(Family, u16), UdpSocket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What anybody sends to a port that is nobody's yet is dropped before it takes memory: BPF's "return 0".
const DROP_ALL: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// Whether what is sent from now on may be fragmented on its way (RFC 8656 §15: it may, unless asked otherwise).
pub(super) fn dont_fragment(socket: &UdpSocket, family: Family, dont: bool) -> io::Result<()> {
    match family {
        Family::V4 => {
            let value = if dont {
                libc::IP_PMTUDISC_DO
            } else {
                libc::IP_PMTUDISC_DONT
            };
            set_option(
                socket.as_fd(),
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                value,
            )
        }
        Family::V6 => set_option(
            socket.as_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_DONTFRAG,
            i32::from(dont),
        ),
    }
}

/// Lets the kernel hand over datagrams of one sender and length in one piece (GRO), where it can.
fn join_datagrams(socket: &UdpSocket) {
    let _ = set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1);
}

fn open(family: Family) -> io::Result<Socket> {
    let domain = if family == Family::V4 {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let socket = Socket::new(
        domain,
        Type::DGRAM.nonblocking().cloexec(),
        Some(Protocol::UDP),
    )?;
    if family == Family::V6 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}
