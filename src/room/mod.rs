//! Who is in which room, and who may send what to whom.
//!
//! A core: what happened and what time it is go in, effects come out. There is no socket, clock or
//! task here, and nothing of TURN. A seat belongs to a session; a session usually has one socket
//! (a peer), none for a while when that broke, and another one afterwards. One file per event:
//! `login`, `leave`, `resume`, `forward` (offers, answers, candidates and what else only passes
//! through), `chat`, `random_check`.

mod chat;
mod forward;
mod leave;
mod login;
mod random_check;
mod resume;
mod settings;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::id::{DisplayName, PeerId, RoomName, SessionId};
use crate::message::{FromPeer, Participant, Refusal, Role, RoomState, Status, Text, ToPeer, You};

pub use resume::ResumeKey;
pub use settings::Settings;

/// How long a seat is kept after its socket broke without a goodbye.
pub const AWAY: Duration = Duration::from_secs(60);
/// How long a seat is kept after its page was closed or reloaded: a reload is back within seconds,
/// and nobody should look at an empty seat for longer than that.
pub const AWAY_AFTER_UNLOAD: Duration = Duration::from_secs(15);

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
    /// Someone sits down: the session's credentials are good from now on.
    SeatTaken(SessionId),
    /// Someone has left for good: the session's credentials end.
    SeatEnded(SessionId),
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
    effects: VecDeque<Effect>,
}

/// An open socket.
struct Peer {
    session: SessionId,
    page: bool,
    reserved: Option<RoomName>,
}

/// A room with at least one seat.
struct Room {
    state: RoomState,
    /// Oldest first.
    seats: Vec<Seat>,
    chat: chat::Log,
}

/// Someone's place in a room.
struct Seat {
    session: SessionId,
    name: DisplayName,
    role: Role,
    /// Milliseconds since 1970.
    joined: u64,
    page: bool,
    status: Option<Status>,
    /// Messages up to this number were there before.
    chat_from: u64,
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
                page,
            } => {
                self.peers.insert(
                    peer,
                    Peer {
                        session,
                        page,
                        reserved: None,
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
            FromPeer::Login(login) => return self.login(peer, login, now),
            FromPeer::RandomCheck(check) => return self.random_check(peer, &check, now),
            FromPeer::Logout => return self.end_seat(session),
            FromPeer::Ping | FromPeer::Pong | FromPeer::Unknown => return,
            _ => {}
        }
        if !self.seated.contains_key(&session) {
            return self.refuse(peer, login::NOT_SEATED);
        }
        match message {
            FromPeer::Signal(message) => self.forward(session, &message),
            FromPeer::Status(status) => self.set_status(session, status),
            FromPeer::View { to, view } => self.view(session, &to, &view),
            FromPeer::Chat(chat) => self.chat(session, &chat, now),
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

    fn room_of(&mut self, session: SessionId) -> Option<&mut Room> {
        let name = self.seated.get(&session)?;
        self.rooms.get_mut(name)
    }

    /// Sends to everyone in the session's room but the session itself.
    fn tell_others(&mut self, session: SessionId, text: &Text) {
        let Some(name) = self.seated.get(&session) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        for seat in room.seats.iter_mut().filter(|seat| seat.session != session) {
            seat.send(resume::Kind::Other, text, &mut self.effects, &mut self.away);
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

    /// The room as `session` is shown it.
    fn seating(&self, session: SessionId, tokens: &resume::Tokens) -> Option<Box<Seating>> {
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
            resume: tokens.seal(session, own.resume.newest(), &self.state.name),
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
        }
    }

    /// Sends now, or keeps the message until the person is back. Someone who misses more than can
    /// be kept has lost the thread, and the seat with it.
    fn send(
        &mut self,
        kind: resume::Kind,
        text: &Text,
        effects: &mut VecDeque<Effect>,
        away: &mut BTreeSet<(Instant, SessionId)>,
    ) {
        match &mut self.presence {
            Presence::Here(peer) => {
                effects.push_back(Effect::Send {
                    to: *peer,
                    text: text.clone(),
                });
            }
            Presence::Away { until, missed } => {
                if !missed.keep(kind, text) && away.remove(&(*until, self.session)) {
                    // Due at once: the next look at the clock ends it.
                    *until = until.checked_sub(AWAY).unwrap_or(*until);
                    away.insert((*until, self.session));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
