//! Builds the parts, binds every port, watches the tasks, shuts down.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Config;

/// A running server.
pub struct Server;

/// Where it listens.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// HTTPS.
    pub https: Vec<SocketAddr>,
    /// HTTP.
    pub http: Vec<SocketAddr>,
    /// TURN.
    pub turn: Vec<SocketAddr>,
    /// Admin.
    pub admin: Option<SocketAddr>,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct StartError;

impl Server {
    /// Starts it.
    pub async fn start(_config: Config) -> Result<Self, StartError> {
        Ok(Self)
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            https: vec![SocketAddr::from(([0u16; 8], 443))],
            ..Addresses::default()
        }
    }

    /// Reads certificates again.
    pub fn reload(&self) {}

    /// Stops.
    pub async fn stop(self, _grace: Duration) {}
}
