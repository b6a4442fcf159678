//! Binding: what was typed becomes listeners.
//!
//! `[::]` means two sockets on the same port, one per family, since a socket for both would show
//! IPv4 peers as mapped addresses; a family the machine lacks is skipped.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// How many connections wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 1024;
/// How often another port is tried when the system's choice is free for one socket of several but
/// not for all.
const TRIES: usize = 32;

/// Listeners for everything typed.
///
/// # Errors
/// What the system says about the first address that cannot be bound.
pub(super) fn listen_tcp(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        listeners.extend(with_one_port(address, |port| tcp_at(address, port))?);
    }
    Ok(listeners)
}

/// Listeners for TURN, on ports where UDP is free as well.
///
/// # Errors
/// As [`listen_tcp`].
pub(super) fn listen_tcp_and_udp(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        listeners.extend(with_one_port(address, |port| {
            let listeners = tcp_at(address, port)?;
            for listener in &listeners {
                udp_is_free(listener.local_addr()?)?;
            }
            Ok(listeners)
        })?);
    }
    Ok(listeners)
}

/// Whether a UDP socket could be bound there.
///
/// # Errors
/// What the system says.
pub(super) fn udp_is_free(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    drop(UdpSocket::from(socket));
    Ok(())
}

/// An address that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {source}")]
pub struct BindError {
    /// The address as typed.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

fn with_one_port(
    address: SocketAddr,
    bind: impl Fn(u16) -> io::Result<Vec<TcpListener>>,
) -> Result<Vec<TcpListener>, BindError> {
    let mut tries = if address.port() == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind(address.port()) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tries > 0 => {}
            Err(source) => return Err(BindError { address, source }),
            Ok(listeners) => return Ok(listeners),
        }
    }
}

/// One listener, or one per family for `[::]`, all on the same port.
fn tcp_at(address: SocketAddr, mut port: u16) -> io::Result<Vec<TcpListener>> {
    if address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        return Ok(vec![listener(SocketAddr::new(address.ip(), port))?]);
    }
    let mut listeners = Vec::new();
    for ip in [
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    ] {
        match listener(SocketAddr::new(ip, port)) {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(error) if is_missing_family(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() {
        return Err(io::Error::new(
            ErrorKind::AddrNotAvailable,
            "no address family",
        ));
    }
    Ok(listeners)
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the one before to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// True if the machine has no such family, or no address of it.
fn is_missing_family(error: &io::Error) -> bool {
    let code = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    matches!(
        code,
        Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_wildcard_is_one_port_in_both_families() {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let listeners = listen_tcp_and_udp(&[any]).unwrap();
        let ports: Vec<_> = listeners
            .iter()
            .map(|l| l.local_addr().unwrap().port())
            .collect();
        assert!(
            ports.iter().all(|&port| port == ports[0] && port != 0),
            "{ports:?}"
        );
        assert!(listeners.iter().any(|l| l.local_addr().unwrap().is_ipv4()));
    }

    #[tokio::test]
    async fn a_busy_port_is_named() {
        let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = busy.local_addr().unwrap();
        let error = listen_tcp(&[address]).unwrap_err();
        assert_eq!(error.address, address);
        assert_eq!(error.source.kind(), ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn turn_needs_udp_as_well() {
        let busy = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(listen_tcp_and_udp(&[busy.local_addr().unwrap()]).is_err());
    }
}
