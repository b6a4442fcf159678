//! Who is in which room, and who may send what to whom.
//!
//! A core: what happened and what time it is go in, effects come out. There is no socket, clock or
//! task here, and nothing of TURN. A seat belongs to a session; a session usually has one socket
//! (a peer), none for a while when that broke, and another one afterwards. One file per event:
//! `login`, `look_up` (the store has said what is kept under a name), `waiting`, `leave`, `resume`, `forward` (offers,
//! answers, candidates and what else only passes through), `status`, `chat`, `reading`, `file`, `random_check`, and
//! what hosts do: `lock`, `policy`, `role`, `mute`, `kick`. What others may ask is in `questions`, what they are told
//! in `news`.
//!
//! A room is ad hoc, gone with its last person, or kept: then it is made from what the store says, and
//! whatever is to last is said to people once the store has it (`keep`). What is set of a kept room may change
//! from outside (`kept`).

mod allowance;
mod chat;
mod door;
mod file;
mod forward;
mod guesses;
mod keep;
mod kept;
mod kick;
mod leave;
mod lock;
mod login;
mod look_up;
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

use crate::id::{DisplayName, InviteId, PeerId, RoomId, RoomName, SessionId, Source};
use crate::message::{
    ApiGrant, Empty, ErrorType, FromPeer, Participant, Refusal, Role, RoomState, Status, Text,
    ToPeer, You,
};
use crate::token::{self, Claims};

use allowance::Allowance;

pub use file::TakenAway;
pub use keep::{Job, Kept, Original, Outcome, Trouble};
pub use kept::{Banned, Record};
pub use look_up::{Found, Invitation, Shown, Wish};
pub use news::{News, Place};
pub use questions::SeatInfo;
pub use reading::{Page, Query, Recalled};
pub use resume::ResumeKey;
pub use settings::Settings;

/// How long a seat is kept after its socket broke without a goodbye.
pub const AWAY: Duration = Duration::from_secs(60);
/// How long a seat is kept after its page was closed or reloaded: a reload is back within seconds,
/// and nobody should look at an empty seat for longer than that.
pub const AWAY_AFTER_UNLOAD: Duration = Duration::from_secs(15);
/// How long a token for the HTTP API holds: longer than any call. It is worth nothing without its seat.
pub const API_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// How long whoever came by an invitation may stay away and come back with what is told in `room`: from one
/// term to the next. It ends with the invitation in any case.
pub const RETURN_TTL: Duration = Duration::from_secs(90 * 24 * 60 * 60);
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
    /// The store has said what is kept under a name ([`Effect::LookUp`]).
    LookedUp {
        /// Whose wish it was.
        peer: PeerId,
        /// What was found, or why nothing can be said.
        found: Result<Found, Trouble>,
    },
    /// The store has done what was asked for ([`Effect::Keep`]), or has not.
    Kept(Box<Kept>),
    /// The store has fetched older messages ([`Effect::Fetch`]), or has not.
    Fetched {
        /// For which socket.
        peer: PeerId,
        /// What was asked.
        query: Query,
        /// The messages.
        page: Result<Page, Trouble>,
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
        /// A fresh token for the HTTP API, for those who got one with the seat.
        api: Option<ApiGrant>,
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
    /// Ask the store what is kept under a name; answered by [`Event::LookedUp`].
    LookUp {
        /// Whose wish it is.
        peer: PeerId,
        /// What to look for.
        wish: Box<Wish>,
    },
    /// Have the store keep something, after all that was asked before for the same room; answered
    /// by [`Event::Kept`].
    Keep {
        /// The room.
        room: RoomId,
        /// The socket whose doing it is.
        peer: PeerId,
        /// What is to be kept.
        job: Box<Job>,
    },
    /// Have the store fetch older messages; answered by [`Event::Fetched`].
    Fetch {
        /// For which socket.
        peer: PeerId,
        /// Which messages.
        query: Query,
    },
    /// An invitation was used and gave no seat: the use is given back.
    GiveBack(InviteId),
    /// Nobody is in a kept room any more, and nothing of it waits to be kept.
    Rest(RoomId),
    /// A room that is not kept has ended, and with it the place of its files.
    Clear(RoomId),
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
    /// The token for the HTTP API.
    pub api: ApiGrant,
    /// What to show at the door the next time, if this one came by an invitation.
    pub invite: Option<String>,
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
    cards: token::Tokens,
    peers: HashMap<PeerId, Peer>,
    rooms: HashMap<RoomName, Room>,
    /// What each kept room among them is called.
    kept: HashMap<RoomId, RoomName>,
    /// Where each session sits.
    seated: HashMap<SessionId, RoomName>,
    reservations: HashMap<RoomName, random_check::Reservation>,
    /// When the seats of people away end.
    away: BTreeSet<(Instant, SessionId)>,
    /// How many people are away, by where they come from; none is not listed.
    away_by_source: HashMap<Source, usize>,
    guesses: guesses::Guesses,
    effects: VecDeque<Effect>,
}

/// An open socket.
struct Peer {
    session: SessionId,
    source: Source,
    page: bool,
    reserved: Option<RoomName>,
    wants: Want,
    knocks: Allowance,
    pages: Allowance,
}

/// What a socket waits for.
enum Want {
    /// Nothing.
    Nothing,
    /// That the store says what is kept under a name.
    Answer(look_up::Errand),
    /// That a host opens the door of this room.
    Entry(RoomName),
}

/// A room with at least one seat; a kept one may have none as long as somebody waits at its door, or
/// something of it waits to be kept.
struct Room {
    state: RoomState,
    keeping: kept::Keeping,
    /// The name that resume tokens are sealed with: what it was called when it began.
    sealed_as: RoomName,
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
    /// The invitation by which the person came.
    invite: Option<InviteId>,
    /// Where the person came from last.
    source: Source,
    status: Option<Status>,
    muting: status::Muting,
    /// Messages up to this number were there before.
    chat_from: u64,
    /// The newest message the person has said to have read.
    read: u64,
    /// What waits until older messages have been fetched.
    held: Option<reading::Held>,
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
    /// again after the server has restarted, within [`AWAY`] of `now`. `cards` are the tokens that open rooms.
    #[must_use]
    pub fn new(settings: Settings, key: ResumeKey, cards: token::Tokens, now: Moment) -> Self {
        Self {
            settings,
            tokens: resume::Tokens::new(key, now.monotonic + AWAY),
            cards,
            peers: HashMap::new(),
            rooms: HashMap::new(),
            kept: HashMap::new(),
            seated: HashMap::new(),
            reservations: HashMap::new(),
            away: BTreeSet::new(),
            away_by_source: HashMap::new(),
            guesses: guesses::Guesses::default(),
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
                        wants: Want::Nothing,
                        knocks: Allowance::default(),
                        pages: Allowance::default(),
                    },
                );
            }
            Event::Said { peer, message } => self.said(peer, message, now),
            Event::Gone { peer, how } => self.gone(peer, how, now),
            Event::LookedUp { peer, found } => self.looked_up(peer, found, now),
            Event::Kept(done) => self.kept(*done, now),
            Event::Fetched { peer, query, page } => self.fetched(peer, &query, page, now),
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
            // Kept ones at whose doors people only wait are not counted.
            rooms: self
                .rooms
                .values()
                .filter(|room| !room.seats.is_empty())
                .count(),
            seats: self.seated.len(),
        }
    }

    /// Whether the store has been asked on behalf of this socket. What it says next is to wait until
    /// that is answered, so that everything happens in the order it was said.
    #[must_use]
    pub fn awaits_answer(&self, peer: PeerId) -> bool {
        self.peers
            .get(&peer)
            .is_some_and(|peer| matches!(peer.wants, Want::Answer(_)))
    }

    fn said(&mut self, peer: PeerId, message: FromPeer, now: Moment) {
        let Some(session) = self.peers.get(&peer).map(|peer| peer.session) else {
            return;
        };
        match message {
            FromPeer::Login(login) => self.login(peer, login, now),
            FromPeer::RandomCheck(check) => self.random_check(peer, check, now),
            FromPeer::Logout => {
                self.stop_waiting(peer);
                self.end_seat(session);
                // What was given out for the seat is not to hold for the next one.
                if let Some(left) = self.peers.get_mut(&peer) {
                    left.session = SessionId::random();
                }
            }
            // Answered here, behind all that was said before: a client may take it for a fence.
            FromPeer::Ping => self.effects.push_back(Effect::Send {
                to: peer,
                text: ToPeer::Pong { data: Empty {} }.text(),
            }),
            FromPeer::Pong | FromPeer::Unknown => {}
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
            FromPeer::ChatEdit(edit) => self.chat_edit(peer, session, edit, now),
            FromPeer::ChatDelete(which) => self.chat_delete(peer, session, which.seq, now),
            FromPeer::React(react) => self.react(peer, session, react, now),
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
            FromPeer::Ice => self.renew(peer, session, now),
            FromPeer::Admit(who) => self.admit(peer, session, who, now),
            FromPeer::Deny(who) => self.deny(peer, session, who),
            FromPeer::Mute(mute) => self.mute(peer, session, mute),
            FromPeer::Unmute(mute) => self.unmute(peer, session, mute),
            FromPeer::Kick(kick) => self.kick(peer, session, kick, now),
            FromPeer::Lock(lock) => self.lock(peer, session, lock),
            FromPeer::Policy(change) => self.set_policy(peer, session, change, now),
            FromPeer::Role(change) => self.set_role(peer, session, change, now),
            FromPeer::Malformed(refusal) => self.refuse(peer, refusal),
            FromPeer::Login(_)
            | FromPeer::RandomCheck(_)
            | FromPeer::Logout
            | FromPeer::Ping
            | FromPeer::Pong
            | FromPeer::Unknown => {}
        }
    }

    fn renew(&mut self, to: PeerId, session: SessionId, now: Moment) {
        let is_page = self.peers.get(&to).is_some_and(|peer| peer.page);
        let room = self
            .seated
            .get(&session)
            .and_then(|name| self.rooms.get(name));
        let api = room
            .filter(|_| is_page)
            .and_then(|room| Some(room.api_grant(room.seat(session)?, &self.cards, now)));
        self.effects.push_back(Effect::Ice { to, session, api });
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
        cards: &token::Tokens,
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
                    kept: self.id(),
                },
                &self.sealed_as,
            ),
            api: self.api_grant(own, cards, now),
            invite: own.invite.map(|id| {
                cards.mint(&Claims {
                    inv: Some(id),
                    exp: now.unix_ms / 1000 + RETURN_TTL.as_secs(),
                    kind: token::Kind::Return,
                    ..self.member(own, now)
                })
            }),
        }))
    }

    fn api_grant(&self, seat: &Seat, cards: &token::Tokens, now: Moment) -> ApiGrant {
        ApiGrant {
            token: cards.mint(&self.member(seat, now)),
            ttl: API_TTL.as_secs(),
        }
    }

    fn member(&self, seat: &Seat, now: Moment) -> Claims {
        Claims {
            room: self.state.name.clone(),
            rid: self.id(),
            sid: Some(seat.session),
            inv: None,
            name: Some(seat.name.clone()),
            role: seat.role,
            exp: now.unix_ms / 1000 + API_TTL.as_secs(),
            kind: token::Kind::Member,
        }
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
            Presence::Here(_)
                if kind != resume::Kind::Other && reading::hold(&mut self.held, text) => {}
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
