//! Who is in which room, and who may send what to whom.
//!
//! A core: what happened and what time it is go in, effects come out. There is no socket, clock or
//! task here, and nothing of TURN. A seat belongs to a session; a session usually has one socket
//! (a peer), none for a while when that broke, and another one afterwards. One file per event:
//! `login`, `waiting`, `leave`, `resume`, `forward` (offers, answers, candidates and what else only
//! passes through), `status`, `chat`, `reading`, `file`, `random_check`, and what hosts do: `lock`, `policy`,
//! `role`, `mute`, `kick`. What others may ask is in `questions`, what they are told in `news`.

mod allowance;
mod chat;
mod file;
mod forward;
mod kick;
mod leave;
mod lock;
mod login;
mod mute;
mod news;
mod policy;
mod questions;
mod random_check;
mod reading;
mod resume;
mod role;
mod settings;
mod status;
mod waiting;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::id::{DisplayName, PeerId, RoomName, SessionId, Source};
use crate::message::{
    ErrorType, FromPeer, Participant, Refusal, Role, RoomState, Status, Text, ToPeer, You,
};

use allowance::Allowance;

pub use news::{News, Place};
pub use questions::SeatInfo;
pub use resume::ResumeKey;
pub use settings::Settings;

/// How long a seat is kept after its socket broke without a goodbye.
pub const AWAY: Duration = Duration::from_secs(60);
/// How long a seat is kept after its page was closed or reloaded: a reload is back within seconds,
/// and nobody should look at an empty seat for longer than that.
pub const AWAY_AFTER_UNLOAD: Duration = Duration::from_secs(15);
/// How many seats are kept for people away from one address. Sockets are limited by address and seats
/// are not, so without this one program could fill the memory, and rooms, by breaking off again and again.
pub const AWAY_PER_SOURCE_MAX: usize = 500;

const NOT_HERE: Refusal = Refusal::new(ErrorType::NotFound, "This person is not in the room.");
const NOT_HOST: Refusal = Refusal::new(ErrorType::Denied, "Only a host may do that.");

/// A point in time, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For measuring how long.
    pub monotonic: Instant,
    /// For telling people when: milliseconds since 1970.
    pub unix_ms: u64,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A socket opened.
    Connected {
        /// The socket.
        peer: PeerId,
        /// The session it begins with.
        session: SessionId,
        /// Where it comes from.
        source: Source,
        /// It came by `/ws`, so it understands more than the seed protocol.
        page: bool,
    },
    /// A socket said something.
    Said {
        /// The socket.
        peer: PeerId,
        /// What it said.
        message: FromPeer,
    },
    /// A socket closed.
    Gone {
        /// The socket.
        peer: PeerId,
        /// How it closed.
        how: Departure,
    },
}

/// How a socket closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The client said goodbye, or the server has thrown it out.
    Left,
    /// The page was closed, or is being reloaded (close code 1001).
    Unloaded,
    /// Without a goodbye.
    Broken,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a message.
    Send {
        /// The socket.
        to: PeerId,
        /// The message.
        text: Text,
    },
    /// Send the `room` message, once the ICE servers are added.
    Welcome {
        /// The socket.
        to: PeerId,
        /// The rest of the message.
        seating: Box<Seating>,
    },
    /// Send an `ice` message with fresh credentials.
    Ice {
        /// The socket.
        to: PeerId,
        /// Whose credentials.
        session: SessionId,
    },
    /// Refuse what the socket asked.
    Refuse {
        /// The socket.
        to: PeerId,
        /// Why.
        refusal: Refusal,
    },
    /// Close the socket: another one has taken up its seat.
    Replace(PeerId),
    /// Close the socket, once all was sent: its person was removed.
    Remove(PeerId),
    /// Someone sits down: the session's credentials are good from now on.
    SeatTaken(SessionId),
    /// Someone has left for good: the session's credentials end.
    SeatEnded(SessionId),
    /// Tell those who watch from outside.
    News(News),
}

/// What a newcomer learns of the room, but for the ICE servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seating {
    /// The room.
    pub room: RoomState,
    /// The newcomer.
    pub you: You,
    /// The others, oldest first.
    pub participants: Vec<Participant>,
    /// The token for taking up this seat again.
    pub resume: String,
}

/// How much there is at the moment, for the operator's gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Rooms with at least one seat.
    pub rooms: usize,
    /// Seats, those of people away included.
    pub seats: usize,
}

/// All rooms and everyone in them.
pub struct Rooms {
    settings: Settings,
    tokens: resume::Tokens,
    peers: HashMap<PeerId, Peer>,
    rooms: HashMap<RoomName, Room>,
    /// Where each session sits.
    seated: HashMap<SessionId, RoomName>,
    reservations: HashMap<RoomName, random_check::Reservation>,
    /// When the seats of people away end.
    away: BTreeSet<(Instant, SessionId)>,
    /// How many people are away, by where they come from; none is not listed.
    away_by_source: HashMap<Source, usize>,
    effects: VecDeque<Effect>,
}

/// An open socket.
struct Peer {
    session: SessionId,
    source: Source,
    page: bool,
    reserved: Option<RoomName>,
    /// At whose door it waits.
    waiting: Option<RoomName>,
    knocks: Allowance,
}

/// A room with at least one seat.
struct Room {
    state: RoomState,
    /// Oldest first.
    seats: Vec<Seat>,
    chat: chat::Log,
    /// Who waits to be let in, in the order they knocked.
    waiting: Vec<waiting::Knocker>,
    removals: kick::Removals,
}

/// Someone's place in a room.
struct Seat {
    session: SessionId,
    name: DisplayName,
    role: Role,
    /// Milliseconds since 1970.
    joined: u64,
    page: bool,
    /// Where the person came from last.
    source: Source,
    status: Option<Status>,
    muting: status::Muting,
    /// Messages up to this number were there before.
    chat_from: u64,
    /// The newest message the person has said to have read.
    read: u64,
    pages: Allowance,
    resume: resume::Generations,
    presence: Presence,
}

enum Presence {
    Here(PeerId),
    Away {
        until: Instant,
        missed: resume::Missed,
    },
}

impl Rooms {
    /// No rooms yet. `key` seals resume tokens; with the same key, people take up their seats
    /// again after the server has restarted, within [`AWAY`] of `now`.
    #[must_use]
    pub fn new(settings: Settings, key: ResumeKey, now: Moment) -> Self {
        Self {
            settings,
            tokens: resume::Tokens::new(key, now.monotonic + AWAY),
            peers: HashMap::new(),
            rooms: HashMap::new(),
            seated: HashMap::new(),
            reservations: HashMap::new(),
            away: BTreeSet::new(),
            away_by_source: HashMap::new(),
            effects: VecDeque::new(),
        }
    }

    /// Takes in what happened; what is to be done comes out of [`Self::next_effect`].
    pub fn handle(&mut self, event: Event, now: Moment) {
        self.on_time(now);
        match event {
            Event::Connected {
                peer,
                session,
                source,
                page,
            } => {
                self.peers.insert(
                    peer,
                    Peer {
                        session,
                        source,
                        page,
                        reserved: None,
                        waiting: None,
                        knocks: Allowance::default(),
                    },
                );
            }
            Event::Said { peer, message } => self.said(peer, message, now),
            Event::Gone { peer, how } => self.gone(peer, how, now),
        }
    }

    /// Ends whatever was due by `now`.
    pub fn on_time(&mut self, now: Moment) {
        while let Some(&(until, session)) = self.away.first()
            && until <= now.monotonic
        {
            self.away.pop_first();
            self.end_seat(session);
        }
    }

    /// When [`Self::on_time`] has something to do next. Reservations need no waking: they are
    /// looked at when someone asks.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.away.first().map(|&(until, _)| until)
    }

    /// The next thing to do, in order.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// How much there is at the moment.
    #[must_use]
    pub fn census(&self) -> Census {
        Census {
            rooms: self.rooms.len(),
            seats: self.seated.len(),
        }
    }

    fn said(&mut self, peer: PeerId, message: FromPeer, now: Moment) {
        let Some(session) = self.peers.get(&peer).map(|peer| peer.session) else {
            return;
        };
        match message {
            FromPeer::Login(login) => self.login(peer, login, now),
            FromPeer::RandomCheck(check) => self.random_check(peer, &check, now),
            FromPeer::Logout => {
                self.stop_waiting(peer);
                self.end_seat(session);
                // What was given out for the seat is not to hold for the next one.
                if let Some(left) = self.peers.get_mut(&peer) {
                    left.session = SessionId::random();
                }
            }
            FromPeer::Ping | FromPeer::Pong | FromPeer::Unknown => {}
            message if self.seated.contains_key(&session) => {
                self.said_in_room(peer, session, message, now);
            }
            _ => self.refuse(peer, login::NOT_SEATED),
        }
    }

    fn said_in_room(&mut self, peer: PeerId, session: SessionId, message: FromPeer, now: Moment) {
        match message {
            FromPeer::Signal(message) => self.forward(session, &message),
            FromPeer::Status(status) => self.set_status(peer, session, status),
            FromPeer::View { to, view } => self.view(session, &to, &view),
            FromPeer::Chat(chat) => self.chat(peer, session, chat, now),
            FromPeer::ChatEdit(edit) => self.chat_edit(peer, session, &edit, now),
            FromPeer::ChatDelete(which) => self.chat_delete(peer, session, which.seq, now),
            FromPeer::React(react) => self.react(peer, session, &react, now),
            FromPeer::Typing { to } => self.typing(session, to.as_deref()),
            FromPeer::Read(which) => self.read(peer, session, which.seq),
            FromPeer::History(query) => self.history(peer, session, query, now),
            FromPeer::Reaction(reaction) => self.tell_others(
                session,
                &ToPeer::Reaction {
                    from: session,
                    to: "",
                    data: &reaction,
                }
                .text(),
            ),
            FromPeer::Recording(data) => self.tell_others(
                session,
                &ToPeer::Recording {
                    from: session,
                    to: "",
                    data,
                }
                .text(),
            ),
            FromPeer::Ice => self.effects.push_back(Effect::Ice { to: peer, session }),
            FromPeer::Admit(who) => self.admit(peer, session, who, now),
            FromPeer::Deny(who) => self.deny(peer, session, who),
            FromPeer::Mute(mute) => self.mute(peer, session, mute),
            FromPeer::Unmute(mute) => self.unmute(peer, session, mute),
            FromPeer::Kick(kick) => self.kick(peer, session, kick),
            FromPeer::Lock(lock) => self.lock(peer, session, lock),
            FromPeer::Policy(change) => self.set_policy(peer, session, change, now),
            FromPeer::Role(change) => self.set_role(peer, session, change),
            FromPeer::Malformed(refusal) => self.refuse(peer, refusal),
            FromPeer::Login(_)
            | FromPeer::RandomCheck(_)
            | FromPeer::Logout
            | FromPeer::Ping
            | FromPeer::Pong
            | FromPeer::Unknown => {}
        }
    }

    fn refuse(&mut self, to: PeerId, refusal: Refusal) {
        self.effects.push_back(Effect::Refuse { to, refusal });
    }

    fn seat_of(&mut self, session: SessionId) -> Option<&mut Seat> {
        self.room_of(session)?.seat_mut(session)
    }

    fn room_of(&mut self, session: SessionId) -> Option<&mut Room> {
        let name = self.seated.get(&session)?;
        self.rooms.get_mut(name)
    }

    /// Whether `session` is a host; if not, the socket is told so.
    fn acts_as_host(&mut self, peer: PeerId, session: SessionId) -> bool {
        let is_host = self
            .room_of(session)
            .and_then(|room| room.seat(session))
            .is_some_and(|seat| seat.role == Role::Host);
        if !is_host {
            self.refuse(peer, NOT_HOST);
        }
        is_host
    }

    /// Sends to everyone in the session's room but the session itself.
    fn tell_others(&mut self, session: SessionId, text: &Text) {
        self.tell_those(session, resume::Kind::Other, text, |seat| {
            seat.session != session
        });
    }

    /// Sends to everyone in the session's room.
    fn tell_room(&mut self, session: SessionId, text: &Text) {
        self.tell_those(session, resume::Kind::Other, text, |_| true);
    }

    /// Sends to whom `wants` says in the session's room, on the session's behalf.
    fn tell_those(
        &mut self,
        session: SessionId,
        kind: resume::Kind,
        text: &Text,
        wants: impl Fn(&Seat) -> bool,
    ) {
        if let Some(name) = self.seated.get(&session)
            && let Some(room) = self.rooms.get_mut(name)
        {
            room.tell(kind, session, text, wants, &mut self.effects);
        }
    }
}

impl Room {
    fn seat(&self, session: SessionId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.session == session)
    }

    fn seat_mut(&mut self, session: SessionId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.session == session)
    }

    fn is_full(&self) -> bool {
        self.seats.len() >= self.state.capacity
    }

    /// Sends to whom `wants` says. `from` is whose doing the message is.
    fn tell(
        &mut self,
        kind: resume::Kind,
        from: SessionId,
        text: &Text,
        wants: impl Fn(&Seat) -> bool,
        effects: &mut VecDeque<Effect>,
    ) {
        for seat in self.seats.iter_mut().filter(|seat| wants(seat)) {
            seat.send(kind, from, text, effects);
        }
    }

    /// The room as `session` is shown it.
    fn seating(
        &self,
        session: SessionId,
        tokens: &resume::Tokens,
        now: Moment,
    ) -> Option<Box<Seating>> {
        let own = self.seat(session)?;
        Some(Box::new(Seating {
            room: self.state.clone(),
            you: You {
                session_id: session,
                username: own.name.clone(),
                role: own.role,
            },
            participants: self
                .seats
                .iter()
                .filter(|seat| seat.session != session)
                .map(Seat::participant)
                .collect(),
            resume: tokens.seal(
                resume::Token {
                    session,
                    generation: own.resume.newest(),
                    issued_ms: now.unix_ms,
                },
                &self.state.name,
            ),
        }))
    }
}

impl Seat {
    fn participant(&self) -> Participant {
        Participant {
            session_id: self.session,
            username: self.name.clone(),
            role: self.role,
            joined: self.joined,
            status: self.status.clone(),
            read: self.read,
        }
    }

    /// Sends now, or keeps the message until the person is back.
    fn send(
        &mut self,
        kind: resume::Kind,
        from: SessionId,
        text: &Text,
        effects: &mut VecDeque<Effect>,
    ) {
        match &mut self.presence {
            Presence::Here(peer) => {
                effects.push_back(Effect::Send {
                    to: *peer,
                    text: text.clone(),
                });
            }
            Presence::Away { missed, .. } => missed.keep(kind, from, text),
        }
    }
}

#[cfg(test)]
mod tests;
