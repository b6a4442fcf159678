//! Accepting connections until told to stop: one task each, counted by address, and never an end because of an error.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::limits::{Counter, Guard};

/// How long to wait when the system is out of files or memory; others' connections end meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// How often this is said in the log.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// How long connections have to finish what they are doing once told to stop. Half of what the whole program has.
const GRACE: Duration = Duration::from_secs(5);

/// One connection from outside, and the seat it takes.
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) client: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) guard: Guard,
}

/// Gives every connection to `serve`, until `stop`; returns when all have ended or the grace is over.
pub(super) async fn each<F, T>(
    listener: TcpListener,
    connections: &Counter,
    stop: &CancellationToken,
    serve: F,
) where
    F: Fn(Arrival) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut said: Option<Instant> = None;
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        while let Some(ended) = tasks.try_join_next() {
            say_if_it_panicked(ended);
        }
        match accepted {
            Ok((stream, client)) => {
                if let Some(arrival) = seat(stream, client, connections) {
                    tasks.spawn(serve(arrival));
                }
            }
            // The client went away before we got to it.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
                    warn!(%error, "no connection can be accepted at the moment");
                    said = Some(Instant::now());
                }
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    let rest = timeout(GRACE, async {
        while let Some(ended) = tasks.join_next().await {
            say_if_it_panicked(ended);
        }
    });
    if rest.await.is_err() {
        debug!(left = tasks.len(), "connections were cut");
    }
}

fn seat(stream: TcpStream, client: SocketAddr, connections: &Counter) -> Option<Arrival> {
    let Some(guard) = connections.take(client.ip()) else {
        debug!("a connection was refused: its address has as many as it may");
        return None;
    };
    // Small messages in both directions: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true); // fails only when the client is gone, which reading will tell
    let local = canonical(stream.local_addr().ok()?);
    Some(Arrival {
        stream,
        client: canonical(client),
        local,
        guard,
    })
}

/// IPv4 is written as IPv4, also when it came through an IPv6 socket.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn say_if_it_panicked(ended: Result<(), JoinError>) {
    if let Err(fault) = ended
        && fault.is_panic()
    {
        error!(%fault, "a connection ended by a fault of ours");
    }
}
