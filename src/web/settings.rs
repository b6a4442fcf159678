//! What an operator may set about the web side.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Everything an operator may set about HTTPS and the pages.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Names this server is reached by; the first is its own.
    pub domains: Vec<String>,
    /// Where HTTPS listens; `None` was not asked for: 443, or 8443 when 443 is not permitted.
    pub https_listen: Option<Vec<SocketAddr>>,
    /// Where the redirect to HTTPS listens; `None` was not asked for: 80, skipped when it cannot be bound.
    pub http_listen: Option<Vec<SocketAddr>>,
    /// The folder with the certificate; `None` looks in `./ssl`, then `/etc/turnstone/ssl`.
    pub ssl_dir: Option<PathBuf>,
    /// Served under `/.well-known/`; `None` is `well-known` in the data directory.
    pub well_known_dir: Option<PathBuf>,
    /// Origins besides our own whose pages may open a WebSocket, as browsers write them.
    pub allow_origins: Vec<String>,
    /// Origins whose pages may show ours in a frame, as browsers write them, or `*`. Nobody may unless it is said:
    /// a page that shows ours in a frame can trick people into pressing its buttons.
    pub frame_ancestors: Vec<String>,
    /// How many connections and WebSockets are held at once.
    pub limits: LimitSettings,
}

/// How many connections and WebSockets are held at once. IPv6 addresses count by /64, which is what one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// TCP connections in all, at least 1.
    pub connections: usize,
    /// TCP connections from one address, at least 1.
    pub connections_per_address: usize,
    /// WebSockets from one address, at least 1.
    pub sockets_per_address: usize,
}

impl Settings {
    /// The folder served under `/.well-known/`.
    pub fn well_known_dir(&self, data_dir: &Path) -> PathBuf {
        self.well_known_dir
            .clone()
            .unwrap_or_else(|| data_dir.join("well-known"))
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            // Some 30 KiB each: a flood from many addresses stays below 2 GiB.
            connections: 50_000,
            // A hundred people behind one NAT, each relaying over TCP to a mesh of ten, twice over.
            connections_per_address: 2_048,
            // A whole office behind one address, and an end to what a single program can hold open.
            sockets_per_address: 200,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_frame_the_page_unless_the_operator_says_so() {
        assert!(Settings::default().frame_ancestors.is_empty());
    }

    #[test]
    fn an_office_behind_one_address_fits_the_default_limits() {
        let limits = LimitSettings::default();
        assert_eq!(limits.sockets_per_address, 200);
        assert!(limits.connections_per_address > limits.sockets_per_address);
        assert!(limits.connections > limits.connections_per_address);
    }
}
