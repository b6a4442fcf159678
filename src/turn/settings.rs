//! What an operator may set about relaying.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// Everything an operator may set about STUN and TURN.
#[derive(Clone)]
pub struct Settings {
    /// Where STUN/TURN listens over UDP, TCP and TLS; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// The addresses peers see, one per family; empty means found out at start.
    pub external_ips: Vec<ExternalIp>,
    /// The ports that allocations are given.
    pub relay_ports: PortRange,
    /// Peers that may be reached although they are refused by default.
    pub allow_peers: Vec<IpNet>,
    /// Fixed users, for clients that cannot be given credentials per session.
    pub users: Vec<FixedUser>,
    /// The secret shared with other applications that mint their own credentials (TURN REST).
    pub secret: Option<String>,
    /// The realm of the long-term credentials (RFC 8489 §9.2).
    pub realm: String,
    /// Which relayed address a client gets that asks for no family.
    pub default_family: DefaultFamily,
    /// How much one person, one address and everybody together may use.
    pub limits: Limits,
    /// How many worker threads relay packets; `None` is one per core.
    pub workers: Option<std::num::NonZeroUsize>,
}

/// Which relayed address a client gets that asks for no family (RFC 8656 §7.2 says IPv4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DefaultFamily {
    /// IPv4 when the server has it, else IPv6.
    #[default]
    Ipv4First,
    /// The family that the client itself came by, when the server has it.
    LikeClient,
}

impl std::fmt::Display for DefaultFamily {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ipv4First => "ipv4",
            Self::LikeClient => "client",
        })
    }
}

/// How much of the relay may be used. The defaults leave room for a mesh of ten behind one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Allocations of one user. A mesh of ten, four candidate servers and an ICE restart need fewer than 400.
    pub allocations_per_user: u32,
    /// Allocations of one source address (IPv6: /64): ten people behind one NAT.
    pub allocations_per_source: u32,
    /// Allocations in all, a bound on sockets and memory.
    pub allocations: u32,
    /// Addresses with a permission, per allocation. Browsers need one per remote candidate.
    pub permissions_per_allocation: u16,
    /// Channels per allocation.
    pub channels_per_allocation: u16,
    /// What one user may relay, both directions together.
    pub per_user: Rate,
    /// What one source address (IPv6: /64) may relay, both directions together.
    pub per_source: Rate,
    /// What everybody together may relay, both directions together.
    pub total: Rate,
    /// Answers per second to one source over UDP that nobody has authenticated; ten times as many at once. Beyond
    /// it only answers of at most one and a half times the request's length are sent.
    pub unauthenticated_answers: u32,
}

/// A rate; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Payload bytes per second.
    pub bytes: Option<u64>,
    /// Packets per second.
    pub packets: Option<u64>,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self {
        bytes: None,
        packets: None,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allocations_per_user: 400,
            allocations_per_source: 4_000,
            allocations: 16_000,
            permissions_per_allocation: 128,
            channels_per_allocation: 128,
            // Nine outgoing cameras and screens at 5 Mbit/s and as many incoming are under 100 Mbit/s.
            per_user: Rate {
                bytes: Some(62_500_000),
                packets: Some(100_000),
            },
            per_source: Rate {
                bytes: Some(250_000_000),
                packets: Some(400_000),
            },
            // A 10 Gbit/s link; more than a machine of few cores relays.
            total: Rate {
                bytes: Some(1_250_000_000),
                packets: Some(2_000_000),
            },
            unauthenticated_answers: 100,
        }
    }
}

/// An address that peers see, and the local one it stands for behind a one-to-one NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExternalIp {
    /// What is told to clients in XOR-RELAYED-ADDRESS.
    pub public: IpAddr,
    /// What relay sockets are bound to; `None` binds the unspecified address.
    pub local: Option<IpAddr>,
}

/// An inclusive range of ports, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The first port, at least 1024.
    pub min: u16,
    /// The last port, at least `min`.
    pub max: u16,
}

/// A user whose name and password are set by the operator.
#[derive(Clone, PartialEq, Eq)]
pub struct FixedUser {
    /// The username.
    pub name: String,
    /// The password; never printed.
    pub password: String,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .field("external_ips", &self.external_ips)
            .field("relay_ports", &self.relay_ports)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for FixedUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FixedUser")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0u16; 8], 3478))],
            external_ips: Vec::new(),
            relay_ports: PortRange {
                min: 49152,
                max: 65535,
            },
            allow_peers: Vec::new(),
            users: Vec::new(),
            secret: None,
            realm: "turnstone".to_owned(),
            default_family: DefaultFamily::default(),
            limits: Limits::default(),
            workers: None,
        }
    }
}
