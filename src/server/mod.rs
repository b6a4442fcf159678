//! Builds the parts, binds every port, watches the tasks, shuts down.
//!
//! Shells do not know each other; this is where they are joined. `web` hands over WebSockets to
//! `signaling`, requests for the API to `api` and TURN connections to `relay`; `rooms` tells `turn` whose credentials hold.

pub mod address;
mod ice;
mod measures;
mod ports;
mod secret;
mod upkeep;

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin::{Admin, BadName};
use crate::api::{Api, Asked, TurnUsers, Webhooks};
use crate::config::Config;
use crate::id::Source;
use crate::relay::{Connection, Relay, RelayHandle};
use crate::room::ResumeKey;
use crate::rooms::{self, RoomsHandle, SeatChange};
use crate::signaling::{Signaling, Socket};
use crate::store::password::Passwords;
use crate::store::{self, OpenError, Store};
use crate::token::Tokens;
use crate::turn::{Credentials, ExternalAddresses};
use crate::web::{
    ApiRequest, Http, Limits, NotAnOrigin, OnApi, OnSocket, OnTurn, Port, Redirect, SanName, Tls,
    TlsError, TurnConnection, UpgradedSocket,
};
use crate::{admin, api, turn, web};
use ice::OwnServers;
pub use ports::BindError;
use ports::{listen_tcp, listen_tcp_and_udp, udp_is_free};
use secret::Secret;
use upkeep::Health;

const HTTPS: SocketAddr = everywhere(443);
/// Where HTTPS listens when 443 needs a right that the server was not given.
const HTTPS_UNPRIVILEGED: SocketAddr = everywhere(8443);
const HTTP: SocketAddr = everywhere(80);
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9478);

/// How long the store may take to close. Only a database that hangs takes longer than a moment.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// A running server.
pub struct Server {
    addresses: Addresses,
    tls: Tls,
    stop: CancellationToken,
    /// A server that is dropped stops as well, without waiting.
    _end: DropGuard,
    /// Says that the data directory is in use by a server.
    _claimed: Option<File>,
    /// Fires last: who watches sees the server stop.
    watching: CancellationToken,
    tasks: TaskTracker,
    relay: Relay,
    store: Store,
    rooms: RoomsHandle,
}

/// Where a server listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Pages, signaling, and TURN over TCP and TLS.
    pub https: Vec<SocketAddr>,
    /// The redirect to HTTPS; empty when it was skipped.
    pub http: Vec<SocketAddr>,
    /// STUN and TURN over UDP, TCP and TLS.
    pub turn: Vec<SocketAddr>,
    /// Health and metrics; `None` when it was skipped.
    pub admin: Option<SocketAddr>,
}

/// Why a server does not start, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("the data directory {} cannot be used: {source}", .path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is kept cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A port cannot be bound.
    #[error("{what} cannot listen on {source}")]
    Bind {
        /// Who wanted it.
        what: &'static str,
        /// Where, and what the system said.
        source: BindError,
    },
    /// There is no certificate to show.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The relay cannot start.
    #[error("the relay cannot start: {0}")]
    Relay(io::Error),
    /// An origin in the settings is none.
    #[error(transparent)]
    Origin(#[from] NotAnOrigin),
    /// A number has no name of its own; a fault of ours.
    #[error(transparent)]
    Metrics(#[from] BadName),
}

impl Server {
    /// Starts a server; every port is bound when this returns.
    ///
    /// # Errors
    /// Whatever keeps it from starting.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let Config {
            data_dir,
            web,
            rooms,
            turn,
            admin,
            log: _,
            store,
            api,
        } = config;
        let in_trouble = |source| StartError::DataDir {
            path: data_dir.clone(),
            source,
        };
        let secret = open_data_dir(&data_dir).map_err(in_trouble)?;
        let external = address::external_addresses(&turn.external_ips, &web.domains).await;
        let tls = Tls::load(&web, &data_dir, &own_names(&web.domains, &external))?;
        let store = Store::open(store, &data_dir).await?;
        let bound = Listeners::bind(&web, &turn, &admin)?;
        let claimed = store::serve_from(&data_dir).map_err(in_trouble)?;
        if claimed.is_some() {
            upkeep::begin(&store).await;
        } else {
            // What the other one's rooms have is not to be cleared.
            warn!(
                "another server uses the data directory {}: people of the one do not meet those of the other",
                data_dir.display()
            );
        }

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let credentials = Arc::new(Credentials::new(&secret.key_for("turn sessions"), &turn));
        let udp = bound.udp_addresses();
        let seen_at: Vec<IpAddr> = [external.v4, external.v6]
            .into_iter()
            .flatten()
            .map(|ip| ip.public)
            .collect();
        let relay = Relay::start(turn, Arc::clone(&credentials), external, &udp)
            .map_err(StartError::Relay)?;
        let passwords = Passwords::default();
        let tokens = tokens_of(&secret);
        let (capacity, history) = (rooms.capacity, rooms.history);
        let (rooms, gauges, owner) = rooms::start(
            rooms::Parts {
                settings: rooms,
                key: ResumeKey::new(&secret.key_for("resume tokens")),
                tokens: tokens.clone(),
                store: store.clone(),
                passwords: passwords.clone(),
            },
            follow_seats(Arc::clone(&credentials), relay.handle()),
            stop.clone(),
        );
        tasks.spawn(owner);
        let ice = Arc::new(OwnServers {
            credentials,
            turn_port: bound.turn_port(),
            tls: tls.clone(),
        });
        let turn_users: Arc<dyn TurnUsers> = Arc::clone(&ice) as _;
        let signaling = Arc::new(Signaling::new(rooms.clone(), ice, stop.clone()));
        let webhooks = Webhooks::new(&api.webhooks, rooms.clone(), store.clone(), stop.clone());
        if let Some(webhooks) = &webhooks {
            tasks.spawn(Arc::clone(webhooks).write());
            tasks.spawn(Arc::clone(webhooks).send());
        }
        let api = Arc::new(Api::new(api::Parts {
            settings: api,
            capacity,
            history,
            rooms: rooms.clone(),
            store: store.clone(),
            passwords,
            tokens,
            turn: turn_users,
            link_key: secret.key_for("file links"),
            webhooks,
            tasks: tasks.clone(),
            stop: stop.clone(),
        }));
        tasks.spawn(Arc::clone(&api).tell_events());
        tasks.spawn(Arc::clone(&api).tell_of_files());

        let limits = Arc::new(Limits::new(&web.limits));
        let on_socket = sockets_to(Arc::clone(&signaling), tasks.clone());
        let http = Http::new(
            &web,
            &data_dir,
            tls.clone(),
            Arc::clone(&limits),
            on_socket,
            requests_to(api),
        )?;
        let on_turn = connections_to(relay.handle());
        let https_port = bound.https_port();
        let addresses = bound.addresses();
        let pages = Arc::new(Port {
            tls: tls.clone(),
            http: Some(Arc::new(http)),
            on_turn: Arc::clone(&on_turn),
            limits: Arc::clone(&limits),
        });
        let turn_only = Arc::new(Port {
            tls: tls.clone(),
            http: None,
            on_turn,
            limits: Arc::clone(&limits),
        });
        for listener in bound.https {
            tasks.spawn(Arc::clone(&pages).serve(listener, stop.clone()));
        }
        for listener in bound.turn {
            tasks.spawn(Arc::clone(&turn_only).serve(listener, stop.clone()));
        }
        let redirect = Arc::new(Redirect::new(
            &web,
            &data_dir,
            https_port,
            Arc::clone(&limits),
        ));
        for listener in bound.http {
            tasks.spawn(Arc::clone(&redirect).serve(listener, stop.clone()));
        }
        let health = Health::good();
        tasks.spawn(upkeep::watch(store.clone(), health.clone(), stop.clone()));
        tasks.spawn(upkeep::sweep(store.clone(), rooms.clone(), stop.clone()));
        let watching = CancellationToken::new();
        if let Some(listener) = bound.admin {
            let metrics = measures::measures(&gauges, &signaling, &limits, &relay.handle(), &tls)?;
            let stopping = stop.clone();
            let admin = Admin {
                metrics: Arc::new(metrics),
                is_ready: Arc::new(move || !stopping.is_cancelled() && health.is_good()),
            };
            tokio::spawn(Arc::new(admin).serve(listener, watching.clone()));
        }
        tasks.spawn({
            let (tls, stop) = (tls.clone(), stop.clone());
            async move { tls.watch(stop).await }
        });
        let own = relay.handle();
        tasks.spawn(address::watch_own(
            seen_at,
            move |addresses| own.set_own_addresses(addresses),
            stop.clone(),
        ));
        // Nobody waits for it: whoever asks earlier gets that file compressed there and then.
        tokio::task::spawn_blocking(web::assets::compress_all);
        Ok(Self {
            addresses,
            tls,
            _end: stop.clone().drop_guard(),
            _claimed: claimed,
            stop,
            watching,
            tasks,
            relay,
            store,
            rooms,
        })
    }

    /// Where the server listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// The rooms, for whoever runs a server inside another program.
    #[must_use]
    pub fn rooms(&self) -> &RoomsHandle {
        &self.rooms
    }

    /// Looks for another certificate. One that cannot be used is reported, and the old one kept.
    pub fn reload(&self) {
        self.tls.reload_or_say();
    }

    /// Stops: ports close, people get a goodbye; whoever is left after `grace` is cut off.
    pub async fn stop(self, grace: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(grace, self.tasks.wait()).await.is_err() {
            warn!(left = self.tasks.len(), "stopped before everyone had left");
        }
        self.relay.stop().await;
        // Whoever writes has ended by now, or was cut off.
        if timeout(CLOSE_WITHIN, self.store.close()).await.is_err() {
            warn!("the store could not be closed in time; nothing that was acknowledged is lost");
        }
        self.watching.cancel();
    }
}

/// Every TCP port, bound.
struct Listeners {
    https: Vec<TcpListener>,
    http: Vec<TcpListener>,
    turn: Vec<TcpListener>,
    admin: Option<TcpListener>,
}

impl Listeners {
    fn bind(
        web: &web::Settings,
        turn: &turn::Settings,
        admin: &admin::Settings,
    ) -> Result<Self, StartError> {
        Ok(Self {
            https: Self::https(web)?,
            http: Self::http(web)?,
            turn: listen_tcp_and_udp(&turn.listen).map_err(|source| StartError::Bind {
                what: "TURN",
                source,
            })?,
            admin: Self::admin(admin)?,
        })
    }

    fn https(web: &web::Settings) -> Result<Vec<TcpListener>, StartError> {
        let asked = web.https_listen.as_deref();
        let bound = match listen_tcp(asked.unwrap_or(&[HTTPS])) {
            Err(error) if asked.is_none() && error.source.kind() == ErrorKind::PermissionDenied => {
                info!("port 443 needs a right this server was not given; HTTPS is on port 8443");
                listen_tcp(&[HTTPS_UNPRIVILEGED])
            }
            bound => bound,
        };
        bound.map_err(|source| StartError::Bind {
            what: "HTTPS",
            source,
        })
    }

    fn http(web: &web::Settings) -> Result<Vec<TcpListener>, StartError> {
        match (
            listen_tcp(web.http_listen.as_deref().unwrap_or(&[HTTP])),
            &web.http_listen,
        ) {
            (Ok(listeners), _) => Ok(listeners),
            (Err(source), Some(_)) => Err(StartError::Bind {
                what: "HTTP",
                source,
            }),
            (Err(error), None) => {
                info!("no redirect from HTTP: {error}");
                Ok(Vec::new())
            }
        }
    }

    fn admin(admin: &admin::Settings) -> Result<Option<TcpListener>, StartError> {
        match (listen_tcp(&[admin.listen.unwrap_or(ADMIN)]), admin.listen) {
            (Ok(listeners), _) => Ok(listeners.into_iter().next()),
            (Err(source), Some(_)) => Err(StartError::Bind {
                what: "admin",
                source,
            }),
            (Err(error), None) => {
                info!("no health and metrics: {error}");
                Ok(None)
            }
        }
    }

    /// Where STUN and TURN are served over UDP: beside every TURN listener, and beside HTTPS where
    /// nothing else is, since some networks let only port 443 out.
    fn udp_addresses(&self) -> Vec<SocketAddr> {
        let mut addresses = local_addresses(&self.turn);
        for address in local_addresses(&self.https) {
            if addresses.contains(&address) {
                continue;
            }
            match udp_is_free(address) {
                Ok(()) => addresses.push(address),
                Err(error) => info!("no TURN over UDP on {address}: {error}"),
            }
        }
        addresses
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            https: local_addresses(&self.https),
            http: local_addresses(&self.http),
            turn: local_addresses(&self.turn),
            admin: self
                .admin
                .as_ref()
                .and_then(|listener| listener.local_addr().ok()),
        }
    }

    fn https_port(&self) -> u16 {
        local_addresses(&self.https)
            .first()
            .map_or(HTTPS.port(), SocketAddr::port)
    }

    fn turn_port(&self) -> u16 {
        local_addresses(&self.turn)
            .first()
            .map_or(3478, SocketAddr::port)
    }
}

fn local_addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .collect()
}

const fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

/// Makes and reads the room tokens of the server whose data is in this directory.
///
/// # Errors
/// When its secret cannot be read, or made.
pub fn room_tokens(data_dir: &Path) -> io::Result<Tokens> {
    open_data_dir(data_dir).map(|secret| tokens_of(&secret))
}

fn tokens_of(secret: &Secret) -> Tokens {
    Tokens::new(&secret.key_for("room tokens"))
}

/// Makes the data directory if there is none, closed to others, and reads the secret in it.
fn open_data_dir(path: &Path) -> io::Result<Secret> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    Secret::load_or_make(path)
}

/// What a certificate of our own is made for: every way a person may reach this machine.
fn own_names(domains: &[String], external: &ExternalAddresses) -> Vec<SanName> {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let mut names: Vec<SanName> = domains
        .iter()
        .map(String::as_str)
        .chain(["localhost", host.as_str()])
        .filter_map(|name| name.parse().ok())
        .chain(
            [
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ]
            .map(SanName::Ip),
        )
        .chain(
            [external.v4, external.v6]
                .into_iter()
                .flatten()
                .map(|ip| SanName::Ip(ip.public)),
        )
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Credentials hold as long as the seat; a relay held with them ends with it.
fn follow_seats(
    credentials: Arc<Credentials>,
    relay: RelayHandle,
) -> impl Fn(SeatChange) + Send + 'static {
    move |change| match change {
        SeatChange::Taken(session) => credentials.session_began(&session),
        SeatChange::Ended(session) => {
            credentials.session_ended(&session);
            relay.revoke(&session);
        }
    }
}

fn sockets_to(signaling: Arc<Signaling>, tasks: TaskTracker) -> OnSocket {
    Arc::new(move |socket: UpgradedSocket| {
        let signaling = Arc::clone(&signaling);
        tasks.spawn(async move {
            let UpgradedSocket {
                stream,
                page,
                host,
                client,
                guard,
            } = socket;
            let source = Source::of(client.ip());
            signaling
                .serve(Socket {
                    stream,
                    page,
                    source,
                    host,
                })
                .await;
            drop(guard);
        });
    })
}

fn requests_to(api: Arc<Api>) -> OnApi {
    Arc::new(move |asked: ApiRequest| {
        let api = Arc::clone(&api);
        Box::pin(async move {
            let ApiRequest {
                request,
                host,
                client,
            } = asked;
            let asked = Asked {
                request,
                host,
                client,
            };
            api.answer(asked).await
        })
    })
}

fn connections_to(relay: RelayHandle) -> OnTurn {
    Arc::new(move |connection: TurnConnection| {
        let TurnConnection {
            socket,
            tls,
            first,
            seat,
            client,
            local,
        } = connection;
        let connection = Connection {
            socket,
            tls,
            first,
            seat: Box::new(seat),
        };
        relay.adopt(connection, client, local);
    })
}
