//! What an operator may set about the web side.

use std::net::SocketAddr;
use std::path::PathBuf;

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
}
