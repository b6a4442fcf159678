//! Tells systemd how the server is: `sd_notify(3)` and its watchdog.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tracing::debug;

/// The service manager, if one listens.
#[derive(Debug, Clone)]
pub(super) struct Manager {
    socket: Option<SocketAddr>,
    /// How long it waits for a sign of life before it restarts the server.
    patience: Option<Duration>,
}

impl Manager {
    /// As the environment names it.
    pub(super) fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|name| address(&name));
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let patience = number("WATCHDOG_USEC").filter(|&usec| for_us && usec > 0);
        Self {
            socket,
            patience: patience.map(Duration::from_micros),
        }
    }

    /// Every port is bound; `status` is what `systemctl status` shows.
    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", status.replace('\n', " ")));
    }

    /// The server is on its way out.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=Saying goodbye");
    }

    /// Gives signs of life, twice in the time the manager waits. It must run as a task among the
    /// others: when those are stuck, so is this, and the manager acts.
    pub(super) async fn keep_informed(self) {
        let Some(patience) = self.patience else {
            return;
        };
        let mut beat = tokio::time::interval(patience / 2);
        loop {
            beat.tick().await;
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        let sent = UnixDatagram::unbound().and_then(|from| {
            // A manager that does not read must not stall the server.
            from.set_nonblocking(true)?;
            from.send_to_addr(message.as_bytes(), socket)
        });
        if let Err(error) = sent {
            debug!(%error, "the service manager was not reached");
        }
    }
}

/// A path, or after `@` a name in the abstract namespace. Other kinds (`vsock:`) are for machines.
fn address(name: &OsStr) -> Option<SocketAddr> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::ErrorKind::Unsupported.into()),
    };
    address
        .inspect_err(|error| debug!(%error, ?name, "NOTIFY_SOCKET is of no use"))
        .ok()
}
