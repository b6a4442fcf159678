//! `turnstone serve`: from the settings to the last goodbye.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::notify::Manager;
use super::{fail, links, logging, refuse, say};
use crate::config::{self, Config, Process};
use crate::server::{Addresses, Server};

/// How long people are given to hear the goodbye. With the two below it stays under the ten
/// seconds within which the program promises to end.
const GRACE: Duration = Duration::from_secs(8);

/// How long the server may take beyond its grace before it is cut off.
const OVERTIME: Duration = Duration::from_secs(1);

/// How long threads busy with blocking work are waited for.
const LAST_CALL: Duration = Duration::from_millis(500);

/// How far apart two orders to stop are when the second one is meant as such. Ctrl-C and `timeout` reach
/// a whole process group, and a parent that passes signals on makes two of one.
const ECHO: Duration = Duration::from_secs(1);

/// Runs the server until told to stop.
pub fn serve(settings: &Process) -> ExitCode {
    let config = match config::load(settings) {
        Ok(config) => config,
        Err(mistakes) => return refuse(&mistakes),
    };
    logging::start(config.log);
    raise_open_file_limit();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the threads could not be started: {error}")),
    };
    let ended = runtime.block_on(run(config));
    runtime.shutdown_timeout(LAST_CALL);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => fail(&words),
    }
}

/// Starts the server, says so to everyone who waits for it, and stops it when told to.
async fn run(config: Config) -> Result<(), String> {
    let cannot_listen = |error: io::Error| format!("signals cannot be listened for: {error}");
    let mut orders = Orders::new().map_err(cannot_listen)?;
    let manager = Manager::from_environment();
    let settings = config.clone();

    let server = tokio::select! {
        started = Server::start(config) => started.map_err(|error| error.to_string())?,
        () = orders.stop() => return Ok(()),
    };
    let addresses = server.addresses();
    say(&format!("{}\n", listening(&addresses)));
    let links = links::links(&settings, &addresses.https).join(" ");
    info!("open {links}");
    manager.ready(&format!("Open {links}"));
    let informing = tokio::spawn(manager.clone().keep_informed());

    while orders.next().await == Order::Reload {
        info!("reloading");
        server.reload();
    }

    info!("stopping");
    manager.stopping();
    tokio::select! {
        stopped = timeout(GRACE + OVERTIME, server.stop(GRACE)) => {
            if stopped.is_err() {
                warn!("cut off what would not stop");
            }
        }
        () = orders.insistence() => warn!("told again to stop: cut off"),
    }
    informing.abort();
    Ok(())
}

/// The one line on stdout, for programs: where each port is bound. What was skipped is left out.
fn listening(addresses: &Addresses) -> String {
    let admin: Vec<SocketAddr> = addresses.admin.into_iter().collect();
    let listeners = [
        ("https", &addresses.https),
        ("http", &addresses.http),
        ("turn", &addresses.turn),
        ("admin", &admin),
    ];
    let mut line = "listening".to_owned();
    for (name, addresses) in listeners {
        if !addresses.is_empty() {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            line.push_str(&format!(" {name}={}", addresses.join(",")));
        }
    }
    line
}

/// What an operator asks of a running server.
#[derive(Debug, PartialEq, Eq)]
enum Order {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP: look at the certificate again.
    Reload,
}

/// The signals that carry orders.
struct Orders {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Orders {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Stop,
            _ = self.interrupt.recv() => Order::Stop,
            _ = self.hang_up.recv() => Order::Reload,
        }
    }

    /// Waits for an order to stop that is no echo of the one just given.
    async fn insistence(&mut self) {
        let before = Instant::now();
        loop {
            self.stop().await;
            if before.elapsed() >= ECHO {
                return;
            }
        }
    }

    /// Waits for an order to stop; others are passed over.
    async fn stop(&mut self) {
        while self.next().await != Order::Stop {}
    }
}

/// Every person costs a few open sockets, and the usual soft limit is 1024.
fn raise_open_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    match setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    ) {
        Ok(()) => debug!(from = ?current, to = ?maximum, "raised the limit of open files"),
        Err(error) => warn!(%error, "the limit of open files stays at {current:?}"),
    }
}
