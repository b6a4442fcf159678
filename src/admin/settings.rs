//! What an operator may set about the admin listener.

use std::net::SocketAddr;

/// Everything an operator may set about health and metrics.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where it listens; `None` was not asked for: [`DEFAULT_LISTEN`], skipped when busy.
    pub listen: Option<SocketAddr>,
}

/// On loopback: whoever may read how many people talk is for the operator to decide.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9478);
