//! The one task that owns the room core, and the handle to it.
//!
//! Whatever a socket says goes in by a bounded queue, at whose end the socket waits. Whatever the
//! core wants said goes out by a bounded queue per socket (`outbox`), at whose end nobody waits. The owner
//! waits for nobody either: what the core wants of the store is asked in tasks (`desk`), what it wants kept is
//! written by tasks (`keeper`), and the answers come back as events. What others want of rooms that are kept is in
//! `kept`.

mod desk;
mod keeper;
mod kept;
mod outbox;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::id::{PeerId, RoomId, RoomName, SessionId, Source};
use crate::message::{ApiGrant, FileEntry, FromPeer, Participant, Refusal, Text};
use crate::room::{
    Departure, Effect, Event, Moment, News, ResumeKey, Rooms, SeatInfo, Seating, Settings,
    TakenAway,
};
use crate::store::Store;
use crate::store::password::Passwords;
use crate::token::Tokens;
use desk::Desk;
use keeper::Keeper;
use outbox::{Outbox, outbox};

pub use outbox::Inbox;

/// How many requests wait for the owner before sockets have to wait in turn.
const REQUESTS_MAX: usize = 1024;
/// How much news those may leave unread who watch; then they miss the oldest, and know it.
const NEWS_MAX: usize = 1024;
/// How often kept rooms in which people are count as visited. Rooms may end minutes after the last visit.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// What a socket is told to do.
#[derive(Debug)]
pub enum ToSocket {
    /// Send a message.
    Text(Text),
    /// Send the `room` message, with ICE servers for this session.
    Welcome(Box<Seating>),
    /// Send fresh ICE servers for this session, and what else is renewed with them.
    Ice(SessionId, Option<ApiGrant>),
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
            Self::Welcome(seating) => 1024 + seating.participants.len() * 512,
            Self::Ice(..) => 512,
            Self::Refuse(_) | Self::Remove => 64,
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

/// What the rooms are made of.
pub struct Parts {
    /// What an operator has set.
    pub settings: Settings,
    /// The key that seals resume tokens.
    pub key: ResumeKey,
    /// Makes and reads room tokens.
    pub tokens: Tokens,
    /// What is kept.
    pub store: Store,
    /// Hashes and checks rooms' passwords, for the whole server.
    pub passwords: Passwords,
}

/// The only way in.
#[derive(Clone)]
pub struct RoomsHandle {
    requests: mpsc::Sender<Request>,
    /// How many bytes wait for all sockets.
    waiting: Arc<AtomicUsize>,
    news: broadcast::Sender<News>,
    desk: Arc<Desk>,
}

enum Request {
    /// Something that happened, with the outbox of a new socket.
    Event(Event, Option<Outbox>),
    /// What a socket said, that may have to wait for the store.
    Said(PeerId, FromPeer, oneshot::Sender<()>),
    /// A question for the owner, or a word to it, with the answer's way back inside.
    Ask(Question),
}

type Question = Box<dyn FnOnce(&mut Rooms, Moment) + Send>;

/// Starts the owner, which runs until `stop`. `on_seat` hears of every seat taken and ended,
/// before the person does.
pub fn start(
    parts: Parts,
    on_seat: impl Fn(SeatChange) + Send + 'static,
    stop: CancellationToken,
) -> (
    RoomsHandle,
    Arc<Gauges>,
    impl Future<Output = ()> + Send + 'static,
) {
    let Parts {
        settings,
        key,
        tokens,
        store,
        passwords,
    } = parts;
    let desk = Arc::new(Desk::new(store, passwords));
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    let (news, _) = broadcast::channel(NEWS_MAX);
    let gauges = Arc::new(Gauges::default());
    let owner = Owner {
        rooms: Rooms::new(settings, key, tokens, moment()),
        outboxes: HashMap::new(),
        settling: HashMap::new(),
        keeper: Keeper::new(Arc::clone(&desk), sender.downgrade()),
        desk: Arc::clone(&desk),
        requests: sender.downgrade(),
        gauges: Arc::clone(&gauges),
        on_seat: Box::new(on_seat),
        news: news.clone(),
    };
    (
        RoomsHandle {
            requests: sender,
            waiting: Arc::default(),
            news,
            desk,
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

    /// Tells what a socket said. While it is being settled, nothing else that the socket says is to be told.
    pub async fn said(&self, peer: PeerId, message: FromPeer) -> Option<Settling> {
        if !matches!(message, FromPeer::Login(_) | FromPeer::RandomCheck(_)) {
            self.request(Event::Said { peer, message }, None).await;
            return None;
        }
        let (settled, settling) = oneshot::channel();
        let request = Request::Said(peer, message, settled);
        self.requests.send(request).await.ok()?;
        Some(Settling(settling))
    }

    /// Tells that a socket closed.
    pub async fn gone(&self, peer: PeerId, how: Departure) {
        self.request(Event::Gone { peer, how }, None).await;
    }

    /// Everyone in a room, the oldest first; `None` when nobody is.
    pub async fn members(&self, room: &RoomName) -> Option<Vec<Participant>> {
        let room = room.clone();
        self.ask(move |rooms, _| rooms.members(&room)).await?
    }

    /// How many people are in each of these rooms.
    pub async fn people(&self, names: Vec<RoomName>) -> Vec<usize> {
        let nobody = vec![0; names.len()];
        self.ask(move |rooms, _| names.iter().map(|name| rooms.people(name)).collect())
            .await
            .unwrap_or(nobody)
    }

    /// Where a session sits; `None` when it sits nowhere, or not any more. To be asked at each request: whoever was
    /// removed has nothing.
    pub async fn seat(&self, session: SessionId) -> Option<SeatInfo> {
        self.ask(move |rooms, _| rooms.seat_info(session)).await?
    }

    /// Tells a room of a file that was uploaded whole: everyone, or the one it is for and the sender.
    pub async fn file_added(&self, room: RoomName, file: FileEntry, to: Option<SessionId>) {
        self.ask(move |rooms, _| rooms.file_added(&room, &file, to))
            .await;
    }

    /// Tells those who were told of a file that it is there no longer.
    pub async fn file_deleted(&self, file: TakenAway) {
        self.ask(move |rooms, _| rooms.file_deleted(&file)).await;
    }

    /// What happens from now on. Whoever reads too slowly misses the oldest and is told so.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    async fn request(&self, event: Event, outbox: Option<Outbox>) {
        // Refused only once the owner has stopped, and then there is nobody to tell.
        let _ = self.requests.send(Request::Event(event, outbox)).await;
    }

    /// The owner's answer; `None` once it has stopped.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Rooms, Moment) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |rooms, now| {
            // Whoever asked may have gone.
            let _ = reply.send(question(rooms, now));
        });
        self.requests.send(Request::Ask(question)).await.ok()?;
        answer.await.ok()
    }
}

/// Something a socket said that may have to wait for the store.
pub struct Settling(oneshot::Receiver<()>);

impl Settling {
    /// Returns once it is settled, or nobody is there any more to do so.
    pub async fn settled(&mut self) {
        // Nothing is ever sent: it is dropped.
        let _ = (&mut self.0).await;
    }
}

struct Owner {
    rooms: Rooms,
    outboxes: HashMap<PeerId, Outbox>,
    /// The sockets that wait for the store; dropping the sender tells them.
    settling: HashMap<PeerId, oneshot::Sender<()>>,
    keeper: Keeper,
    desk: Arc<Desk>,
    /// The way back for answers.
    requests: mpsc::WeakSender<Request>,
    gauges: Arc<Gauges>,
    on_seat: Box<dyn Fn(SeatChange) + Send>,
    news: broadcast::Sender<News>,
}

impl Owner {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>, stop: CancellationToken) {
        let mut touch = interval(TOUCH_EVERY);
        touch.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                _ = touch.tick() => self.touch(self.rooms.kept_in_use()),
                () = stop.cancelled() => return,
            }
            self.carry_out();
        }
    }

    fn take(&mut self, request: Request) {
        let (event, outbox) = match request {
            Request::Event(event, outbox) => (event, outbox),
            Request::Said(peer, message, settled) => {
                self.rooms.handle(Event::Said { peer, message }, moment());
                if self.rooms.awaits_answer(peer) {
                    self.settling.insert(peer, settled);
                }
                return;
            }
            Request::Ask(question) => {
                let now = moment();
                self.rooms.on_time(now);
                return question(&mut self.rooms, now);
            }
        };
        match (&event, outbox) {
            (Event::Connected { peer, .. }, Some(outbox)) => {
                self.outboxes.insert(*peer, outbox);
            }
            (Event::Gone { peer, .. }, _) => {
                self.outboxes.remove(peer);
                self.settling.remove(peer);
            }
            _ => {}
        }
        let answered = match &event {
            Event::LookedUp { peer, .. } => Some(*peer),
            _ => None,
        };
        self.rooms.handle(event, moment());
        if let Some(peer) = answered
            && !self.rooms.awaits_answer(peer)
        {
            self.settling.remove(&peer);
        }
    }

    fn touch(&self, rooms: Vec<RoomId>) {
        if !rooms.is_empty() {
            let desk = Arc::clone(&self.desk);
            tokio::spawn(async move { desk.touch(rooms).await });
        }
    }

    /// Asks the store in a task; the answer comes back as an event.
    fn ask_store<F: Future<Output = Event> + Send + 'static>(
        &self,
        question: impl FnOnce(Arc<Desk>) -> F,
    ) {
        let requests = self.requests.clone();
        let asked = question(Arc::clone(&self.desk));
        tokio::spawn(async move {
            let answer = asked.await;
            if let Some(requests) = requests.upgrade() {
                // Refused only once the owner has stopped.
                let _ = requests.send(Request::Event(answer, None)).await;
            }
        });
    }

    fn carry_out(&mut self) {
        let mut seats_changed = false;
        while let Some(effect) = self.rooms.next_effect() {
            match effect {
                Effect::Send { to, text } => self.deliver(to, ToSocket::Text(text)),
                Effect::Welcome { to, seating } => self.deliver(to, ToSocket::Welcome(seating)),
                Effect::Ice { to, session, api } => self.deliver(to, ToSocket::Ice(session, api)),
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
                Effect::SeatTaken(session) => {
                    seats_changed = true;
                    (self.on_seat)(SeatChange::Taken(session));
                }
                Effect::SeatEnded(session) => {
                    seats_changed = true;
                    (self.on_seat)(SeatChange::Ended(session));
                }
                Effect::News(news) => {
                    if let News::Started(place) | News::Ended(place) = &news {
                        self.touch(place.kept.into_iter().collect());
                    }
                    // Refused when nobody watches.
                    let _ = self.news.send(news);
                }
                Effect::LookUp { peer, wish } => self.ask_store(|desk| async move {
                    let found = desk.look_up(&wish).await;
                    Event::LookedUp { peer, found }
                }),
                Effect::Fetch { peer, query } => self.ask_store(|desk| async move {
                    let page = desk.fetch(&query).await;
                    Event::Fetched { peer, query, page }
                }),
                Effect::Keep { room, peer, job } => {
                    if let Err(refused) = self.keeper.keep(room, peer, *job) {
                        self.rooms.handle(Event::Kept(refused), moment());
                    }
                }
                Effect::Rest(room) => self.keeper.rest(room),
                Effect::GiveBack(invite) => {
                    let desk = Arc::clone(&self.desk);
                    tokio::spawn(async move { desk.give_back(invite).await });
                }
                Effect::Clear(shelf) => {
                    let desk = Arc::clone(&self.desk);
                    tokio::spawn(async move { desk.clear(shelf).await });
                }
            }
        }
        // Counting walks through all rooms, which most messages are not worth.
        if seats_changed {
            let census = self.rooms.census();
            self.gauges.rooms.store(census.rooms, Ordering::Relaxed);
            self.gauges.people.store(census.seats, Ordering::Relaxed);
        }
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
    Moment {
        monotonic: Instant::now(),
        unix_ms: unix_ms(),
    }
}

/// The time, in milliseconds since 1970.
fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
