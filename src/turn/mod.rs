//! Relaying (core): allocations, permissions, channels, credentials, and when they end (RFC 8489, RFC 8656).
//!
//! Packets and the time go in; what to forward is answered at once, everything else comes out as effects. Sockets,
//! streams and workers live in `relay`, the bytes of media packets in `stun`.

mod allocations;
mod credentials;
mod nonce;
mod peers;
mod ports;
mod quotas;
mod request;
mod settings;
mod strangers;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

pub use allocations::{Allocations, Destination, Effect, Forward, Now, Open, RelayId, Shared};
pub use credentials::{Credentials, Keys, Login, Minted, Refusal, TTL_SECONDS, User};
pub use nonce::{NONCE_LEN, NONCE_LIFETIME, Nonces};
pub use peers::{PeerPolicy, Standing};
pub use ports::{Holder, Ports, WORKERS_MAX};
pub use quotas::{Quotas, Reached};
pub use settings::*;

/// What carries packets between a client and us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A plain stream.
    Tcp,
    /// A stream inside TLS.
    Tls,
}

/// One client: the 5-tuple of RFC 8656 §3, and where the shell finds it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// What carries its packets.
    pub transport: Transport,
    /// The shell's name for the socket or stream; it stays the same as long as the client does.
    pub via: u32,
    /// Where it is, as we see it.
    pub address: SocketAddr,
    /// The address of ours that it uses; answers leave from there.
    pub server: SocketAddr,
}

impl std::hash::Hash for Client {
    // The rest follows from these, or differs so rarely that comparing settles it.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        state.write_u128(ip);
        state.write_u64(u64::from(self.via) << 16 | u64::from(self.address.port()));
    }
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn index(self) -> usize {
        match self {
            Self::V4 => 0,
            Self::V6 => 1,
        }
    }
}

/// Where this machine is, as others see it and as it sees itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExternalAddresses {
    /// The IPv4 address of relayed ports.
    pub v4: Option<ExternalIp>,
    /// The IPv6 address of relayed ports.
    pub v6: Option<ExternalIp>,
    /// All addresses of this machine, also those that others see: never peers.
    pub own: Vec<IpAddr>,
}

impl ExternalAddresses {
    /// The relayed address of this family.
    #[must_use]
    pub fn of(&self, family: Family) -> Option<ExternalIp> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}
