//! STUN and TURN at their ports (shell): sockets, streams, workers and timers around the core in `turn`.
//!
//! A worker is one thread with its own listeners (the kernel spreads clients over them), its own allocations and its
//! own relay sockets, so packets meet no lock. What a worker is told from outside goes through one bounded queue.

mod socket;
mod stream;
mod sys;
mod worker;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::EventfdFlags;
use tokio_rustls::rustls::ServerConnection;
use tracing::{debug, warn};

use crate::id::SessionId;
pub use crate::turn::Transport;
use crate::turn::{Credentials, ExternalAddresses, Settings, Shared, WORKERS_MAX};
use worker::Worker;

/// How many connections and packets of other workers may wait for a worker. A packet more is dropped, a connection
/// more is closed.
const INBOX_MAX: usize = 1_024;

/// A connection that has been recognised as TURN. From here on a worker reads and writes it, without the runtime that
/// accepted it: each packet would wake two threads.
pub struct Connection {
    /// The socket, which must not block.
    pub socket: TcpStream,
    /// The state of TLS after its handshake; `None` in the clear.
    pub tls: Option<Box<ServerConnection>>,
    /// A byte that was taken out already, before all others.
    pub first: Option<u8>,
    /// Dropped when the connection is closed.
    pub seat: Box<dyn Send>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

/// The running relay.
pub struct Relay {
    handle: RelayHandle,
    udp_addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("workers", &self.threads.len())
            .finish_non_exhaustive()
    }
}

/// A way to give the relay something to do; cheap to clone.
#[derive(Clone)]
pub struct RelayHandle {
    posts: Arc<[Post]>,
    next: Arc<AtomicUsize>,
    shared: Arc<Shared>,
}

impl fmt::Debug for RelayHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayHandle")
            .field("workers", &self.posts.len())
            .finish_non_exhaustive()
    }
}

/// Where a worker is told things.
struct Post {
    letters: SyncSender<Letter>,
    /// Never lost, so not in the queue; no more of them than there are sessions.
    revoked: Mutex<Vec<SessionId>>,
    /// This machine's addresses, when they have changed.
    own: Mutex<Option<Vec<IpAddr>>>,
    stopping: AtomicBool,
    bell: OwnedFd,
}

/// What a worker is told.
enum Letter {
    /// Serve this connection from now on.
    Adopt {
        connection: Connection,
        client: SocketAddr,
        local: SocketAddr,
    },
    /// A client of another worker has written to a client of this one.
    Packet {
        slot: u32,
        to: SocketAddr,
        from: SocketAddr,
        payload: Box<[u8]>,
    },
}

impl Post {
    fn new() -> io::Result<(Self, Receiver<Letter>)> {
        let (letters, inbox) = sync_channel(INBOX_MAX);
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let revoked = Mutex::default();
        Ok((
            Self {
                letters,
                revoked,
                own: Mutex::default(),
                stopping: AtomicBool::new(false),
                bell,
            },
            inbox,
        ))
    }

    fn ring(&self) {
        // It fails only when 2^64 rings wait already; then the worker is about to look anyway.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    fn try_send(&self, letter: Letter) -> Result<(), TrySendError<Letter>> {
        let sent = self.letters.try_send(letter);
        self.ring();
        sent
    }
}

impl Relay {
    /// Binds every address over UDP and starts to relay. Each address must be concrete: a family, an address or the
    /// family's wildcard, a port.
    ///
    /// # Errors
    /// When an address cannot be bound (a port that is in use included), or the system lacks threads or randomness.
    pub fn start(
        settings: Settings,
        credentials: Arc<Credentials>,
        external: ExternalAddresses,
        udp: &[SocketAddr],
    ) -> io::Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers = settings
            .workers
            .map_or_else(cores, std::num::NonZero::get)
            .clamp(1, WORKERS_MAX);
        let shared = Shared::new(settings, credentials, external, Instant::now())
            .map_err(|_| io::Error::other("the system has no randomness"))?;
        let shared = Arc::new(shared);
        let mut listeners: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        let mut udp_addresses = Vec::with_capacity(udp.len());
        for address in udp {
            let mut address = *address;
            for (number, sockets) in listeners.iter_mut().enumerate() {
                let listener = socket::Listener::bind(address, number == 0)?;
                if number == 0 {
                    address = listener.local;
                    udp_addresses.push(address);
                    if workers > 1 {
                        listener.let_others_share()?;
                    }
                }
                sockets.push(listener);
            }
        }
        let (posts, inboxes): (Vec<_>, Vec<_>) = (0..workers)
            .map(|_| Post::new())
            .collect::<io::Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let posts: Arc<[Post]> = posts.into();
        let waiting = Arc::default();
        let handle = RelayHandle {
            posts: Arc::clone(&posts),
            next: Arc::new(AtomicUsize::new(0)),
            shared: Arc::clone(&shared),
        };
        let mut relay = Self {
            handle,
            udp_addresses,
            threads: Vec::with_capacity(workers),
        };
        for (number, (listeners, inbox)) in listeners.into_iter().zip(inboxes).enumerate() {
            let worker = Worker::new(
                number as u8,
                listeners,
                inbox,
                Arc::clone(&posts),
                Arc::clone(&waiting),
                Arc::clone(&shared),
            )?;
            let thread = std::thread::Builder::new().name(format!("relay-{number}"));
            relay.threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(relay)
    }

    /// A way to give the relay connections and to end what a session holds.
    #[must_use]
    pub fn handle(&self) -> RelayHandle {
        self.handle.clone()
    }

    /// Where it listens over UDP, in the order asked for, every port known.
    #[must_use]
    pub fn udp_addresses(&self) -> &[SocketAddr] {
        &self.udp_addresses
    }

    /// Closes everything and waits for the workers to end.
    pub async fn stop(mut self) {
        self.tell_to_stop();
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            threads
                .into_iter()
                .filter_map(|thread| thread.join().err())
                .count()
        });
        match joined.await {
            Ok(0) => {}
            Ok(failed) => warn!(failed, "relay workers had ended early"),
            Err(error) => warn!(%error, "the relay did not stop in order"),
        }
    }

    fn tell_to_stop(&self) {
        for post in self.handle.posts.iter() {
            post.stopping.store(true, Ordering::Release);
            post.ring();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tell_to_stop();
    }
}

impl RelayHandle {
    /// Serves a connection that has been recognised as TURN.
    pub fn adopt(&self, connection: Connection, client: SocketAddr, local: SocketAddr) {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.posts.len().max(1);
        let Some(post) = self.posts.get(next) else {
            return;
        };
        if post
            .try_send(Letter::Adopt {
                connection,
                client,
                local,
            })
            .is_err()
        {
            debug!("a connection was closed: the worker's queue is full");
        }
    }

    /// Ends all allocations of a session that has ended, at once.
    pub fn revoke(&self, session: &SessionId) {
        for post in self.posts.iter() {
            post.revoked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(*session);
            post.ring();
        }
    }

    /// Takes this machine's addresses anew; they are never peers.
    pub fn set_own_addresses(&self, own: &[IpAddr]) {
        for post in self.posts.iter() {
            *post.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(own.to_vec());
            post.ring();
        }
    }

    /// How many allocations there are now.
    #[must_use]
    pub fn allocations(&self) -> u32 {
        self.shared.quotas.allocations()
    }
}
