//! What an operator may set about the admin listener.

use std::net::SocketAddr;

/// Everything an operator may set about health and metrics.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where it listens; `None` was not asked for: `127.0.0.1:9478`, skipped when busy.
    pub listen: Option<SocketAddr>,
}
