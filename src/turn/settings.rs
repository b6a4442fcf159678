//! What an operator may set about relaying.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// Everything an operator may set about STUN and TURN.
#[derive(Debug, Clone)]
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
        }
    }
}
