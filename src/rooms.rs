//! The one task that owns the room core, and the handle to it.
//!
//! Whatever a socket says goes in by a bounded queue, at whose end the socket waits. Whatever the
//! core wants said goes out by a bounded queue per socket, at whose end nobody waits: a socket
//! that cannot keep up is closed, since half a negotiation is worse than none.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::id::{PeerId, SessionId, Source};
use crate::message::{FromPeer, Refusal, Text};
use crate::room::{Departure, Effect, Event, Moment, ResumeKey, Rooms, Seating, Settings};

/// How many requests wait for the owner before sockets have to wait in turn.
const REQUESTS_MAX: usize = 1024;
/// How many messages wait for one socket. A person who comes back gets up to about 700 at once.
const OUTBOX_MESSAGES_MAX: usize = 1024;
/// How many bytes wait for one socket.
const OUTBOX_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many bytes wait for all sockets together before each has to do with [`FAIR_SHARE`]: many
/// sockets that read nothing must not fill the memory.
const OUTBOXES_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What one socket may have waiting however much waits for others: a negotiation of ten people.
const FAIR_SHARE: usize = 256 * 1024;

/// What a socket is told to do.
#[derive(Debug)]
pub enum ToSocket {
    /// Send a message.
    Text(Text),
    /// Send the `room` message, with ICE servers for this session.
    Welcome(Box<Seating>),
    /// Send fresh ICE servers for this session.
    Ice(SessionId),
    /// Refuse what was asked.
    Refuse(Refusal),
    /// Close: the person was removed from the room.
    Remove,
}

impl ToSocket {
    /// How much memory the message holds on to, in bytes.
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.size(),
            // Names and statuses; the exact figure does not matter.
            Self::Welcome(seating) => 256 + seating.participants.len() * 512,
            Self::Ice(_) | Self::Refuse(_) | Self::Remove => 64,
        }
    }
}

/// Why the rooms have dropped a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It does not read what it is sent.
    TooSlow,
    /// Another socket has taken up its seat.
    Replaced,
}

/// A session's seat, taken or ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatChange {
    /// Taken.
    Taken(SessionId),
    /// Ended.
    Ended(SessionId),
}

/// Gauges for the operator, kept by the owner.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Rooms with at least one person.
    pub rooms: AtomicUsize,
    /// People in rooms.
    pub people: AtomicUsize,
}

/// The only way in.
#[derive(Clone)]
pub struct RoomsHandle {
    requests: mpsc::Sender<Request>,
    /// How many bytes wait for all sockets.
    waiting: Arc<AtomicUsize>,
}

struct Request {
    event: Event,
    outbox: Option<Outbox>,
}

/// Starts the owner, which runs until `stop`. `on_seat` hears of every seat taken and ended,
/// before the person does.
pub fn start(
    settings: Settings,
    key: ResumeKey,
    on_seat: impl Fn(SeatChange) + Send + 'static,
    stop: CancellationToken,
) -> (
    RoomsHandle,
    Arc<Gauges>,
    impl Future<Output = ()> + Send + 'static,
) {
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    let gauges = Arc::new(Gauges::default());
    let owner = Owner {
        rooms: Rooms::new(settings, key, moment()),
        outboxes: HashMap::new(),
        gauges: Arc::clone(&gauges),
        on_seat: Box::new(on_seat),
    };
    (
        RoomsHandle {
            requests: sender,
            waiting: Arc::default(),
        },
        gauges,
        owner.run(requests, stop),
    )
}

impl RoomsHandle {
    /// Announces a socket; what it is to be sent comes out of the inbox.
    pub async fn connect(
        &self,
        peer: PeerId,
        session: SessionId,
        source: Source,
        page: bool,
    ) -> Inbox {
        let (outbox, inbox) = outbox(Arc::clone(&self.waiting));
        self.request(
            Event::Connected {
                peer,
                session,
                source,
                page,
            },
            Some(outbox),
        )
        .await;
        inbox
    }

    /// Tells what a socket said.
    pub async fn said(&self, peer: PeerId, message: FromPeer) {
        self.request(Event::Said { peer, message }, None).await;
    }

    /// Tells that a socket closed.
    pub async fn gone(&self, peer: PeerId, how: Departure) {
        self.request(Event::Gone { peer, how }, None).await;
    }

    async fn request(&self, event: Event, outbox: Option<Outbox>) {
        // Refused only once the owner has stopped, and then there is nobody to tell.
        let _ = self.requests.send(Request { event, outbox }).await;
    }
}

/// What a socket is to be sent, in order.
pub struct Inbox {
    messages: mpsc::Receiver<ToSocket>,
    shared: Arc<Shared>,
}

impl Inbox {
    /// The next message; `None` once the rooms have dropped the socket or stopped.
    pub async fn next(&mut self) -> Option<ToSocket> {
        let message = self.messages.recv().await?;
        self.shared.take(message.size());
        Some(message)
    }

    /// A token that fires when the rooms drop the socket, whatever still waits for it.
    #[must_use]
    pub fn dropped(&self) -> CancellationToken {
        self.shared.dropped.clone()
    }

    /// Why the rooms dropped the socket, once they did.
    #[must_use]
    pub fn why(&self) -> Dropped {
        if self.shared.replaced.load(Ordering::Relaxed) == 0 {
            Dropped::TooSlow
        } else {
            Dropped::Replaced
        }
    }
}

struct Outbox {
    messages: mpsc::Sender<ToSocket>,
    shared: Arc<Shared>,
}

struct Shared {
    /// What waits for this socket.
    bytes: AtomicUsize,
    /// What waits for all sockets; messages to several count for each.
    all: Arc<AtomicUsize>,
    replaced: AtomicUsize,
    dropped: CancellationToken,
}

impl Shared {
    fn add(&self, size: usize) -> (usize, usize) {
        let own = self.bytes.fetch_add(size, Ordering::Relaxed) + size;
        let all = self.all.fetch_add(size, Ordering::Relaxed) + size;
        (own, all)
    }

    fn take(&self, size: usize) {
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        self.all.fetch_sub(size, Ordering::Relaxed);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.take(self.bytes.load(Ordering::Relaxed));
    }
}

fn outbox(all: Arc<AtomicUsize>) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::channel(OUTBOX_MESSAGES_MAX);
    let shared = Arc::new(Shared {
        bytes: AtomicUsize::new(0),
        all,
        replaced: AtomicUsize::new(0),
        dropped: CancellationToken::new(),
    });
    (
        Outbox {
            messages: sender,
            shared: Arc::clone(&shared),
        },
        Inbox {
            messages: receiver,
            shared,
        },
    )
}

impl Outbox {
    /// False when the socket cannot keep up.
    fn deliver(&self, message: ToSocket) -> bool {
        let size = message.size();
        let (own, all) = self.shared.add(size);
        let has_room = own <= FAIR_SHARE || (own <= OUTBOX_BYTES_MAX && all <= OUTBOXES_BYTES_MAX);
        has_room && self.messages.try_send(message).is_ok()
    }

    fn drop_for(self, why: Dropped) {
        self.shared
            .replaced
            .store(usize::from(why == Dropped::Replaced), Ordering::Relaxed);
        self.shared.dropped.cancel();
    }
}

struct Owner {
    rooms: Rooms,
    outboxes: HashMap<PeerId, Outbox>,
    gauges: Arc<Gauges>,
    on_seat: Box<dyn Fn(SeatChange) + Send>,
}

impl Owner {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>, stop: CancellationToken) {
        loop {
            let deadline = self.rooms.next_deadline();
            let due = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.take(request),
                    None => return,
                },
                () = due => self.rooms.on_time(moment()),
                () = stop.cancelled() => return,
            }
            self.carry_out();
        }
    }

    fn take(&mut self, Request { event, outbox }: Request) {
        match (&event, outbox) {
            (Event::Connected { peer, .. }, Some(outbox)) => {
                self.outboxes.insert(*peer, outbox);
            }
            (Event::Gone { peer, .. }, _) => {
                self.outboxes.remove(peer);
            }
            _ => {}
        }
        self.rooms.handle(event, moment());
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.rooms.next_effect() {
            match effect {
                Effect::Send { to, text } => self.deliver(to, ToSocket::Text(text)),
                Effect::Welcome { to, seating } => self.deliver(to, ToSocket::Welcome(seating)),
                Effect::Ice { to, session } => self.deliver(to, ToSocket::Ice(session)),
                Effect::Refuse { to, refusal } => self.deliver(to, ToSocket::Refuse(refusal)),
                Effect::Replace(peer) => {
                    if let Some(outbox) = self.outboxes.remove(&peer) {
                        outbox.drop_for(Dropped::Replaced);
                    }
                }
                Effect::Remove(peer) => {
                    // Behind what the person is still to be told.
                    self.deliver(peer, ToSocket::Remove);
                    self.outboxes.remove(&peer);
                }
                Effect::SeatTaken(session) => (self.on_seat)(SeatChange::Taken(session)),
                Effect::SeatEnded(session) => (self.on_seat)(SeatChange::Ended(session)),
            }
        }
        let census = self.rooms.census();
        self.gauges.rooms.store(census.rooms, Ordering::Relaxed);
        self.gauges.people.store(census.seats, Ordering::Relaxed);
    }

    fn deliver(&mut self, to: PeerId, message: ToSocket) {
        let Some(outbox) = self.outboxes.get(&to) else {
            return;
        };
        if !outbox.deliver(message)
            && let Some(outbox) = self.outboxes.remove(&to)
        {
            outbox.drop_for(Dropped::TooSlow);
            self.rooms.handle(
                Event::Gone {
                    peer: to,
                    how: Departure::Broken,
                },
                moment(),
            );
        }
    }
}

fn moment() -> Moment {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Moment {
        monotonic: Instant::now(),
        unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> ToSocket {
        ToSocket::Text(Text::from("x".repeat(bytes)))
    }

    #[tokio::test]
    async fn a_socket_that_reads_nothing_has_an_end() {
        let all = Arc::default();
        let (outbox, mut inbox) = outbox(Arc::clone(&all));
        let taken = (0..100)
            .take_while(|_| outbox.deliver(message(64 * 1024)))
            .count();
        assert_eq!(taken, OUTBOX_BYTES_MAX / (64 * 1024));
        assert!(inbox.next().await.is_some());
        drop((outbox, inbox));
        assert_eq!(
            all.load(Ordering::Relaxed),
            0,
            "what was never sent no longer waits"
        );
    }

    #[test]
    fn when_much_waits_for_others_each_has_its_share() {
        let all = Arc::new(AtomicUsize::new(OUTBOXES_BYTES_MAX));
        let (outbox, _inbox) = outbox(all);
        assert!(outbox.deliver(message(FAIR_SHARE)));
        assert!(!outbox.deliver(message(1)));
    }
}
