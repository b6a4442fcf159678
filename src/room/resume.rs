//! Someone whose socket broke is back.
//!
//! A token names a session and a generation, sealed with a key that outlives a restart. Each use
//! issues the next generation; the older one holds until the newer is first used, so that an
//! answer lost on the way locks nobody out.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::kick::Return;
use super::leave::one_fewer;
use super::login::Door;
use super::{Effect, Moment, Presence, Rooms};
use crate::id::{PeerId, RoomName, SessionId};
use crate::message::{ErrorType, Login, Refusal, Text};

/// How many messages are kept for someone away. A minute in a room of ten, each of whom restarts
/// every connection once, makes about a hundred.
const MISSED_MESSAGES_MAX: usize = 512;
/// How many bytes are kept for someone away.
const MISSED_BYTES_MAX: usize = 1024 * 1024;

const SEAT_GONE: Refusal = Refusal::new(ErrorType::Resume, "Your seat is gone; join again.");

const SESSION_BYTES: usize = 16;
const GENERATION_BYTES: usize = 8;
const TAG_BYTES: usize = 32;

/// The key that seals resume tokens.
pub struct ResumeKey(hmac::Key);

impl ResumeKey {
    /// A key made of secret bytes, 32 or more.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

/// Seals and opens tokens.
pub(super) struct Tokens {
    key: ResumeKey,
    /// Until then, tokens of sessions we have never seen are from before a restart.
    restart_ends: Instant,
    /// The sessions seen until then: where one of them has no seat any more, it was left for good.
    seen: HashSet<SessionId>,
}

impl Tokens {
    pub(super) fn new(key: ResumeKey, restart_ends: Instant) -> Self {
        Self {
            key,
            restart_ends,
            seen: HashSet::new(),
        }
    }

    /// A session sits down.
    pub(super) fn see(&mut self, session: SessionId, now: Instant) {
        if now < self.restart_ends {
            self.seen.insert(session);
        } else {
            self.seen = HashSet::new();
        }
    }

    fn is_from_before_a_restart(&self, session: SessionId, now: Instant) -> bool {
        now < self.restart_ends && !self.seen.contains(&session)
    }

    pub(super) fn seal(&self, session: SessionId, generation: u64, room: &RoomName) -> String {
        let mut token = Vec::with_capacity(SESSION_BYTES + GENERATION_BYTES + TAG_BYTES);
        token.extend_from_slice(session.as_bytes());
        token.extend_from_slice(&generation.to_be_bytes());
        let tag = hmac::sign(&self.key.0, &signed(&token, room));
        token.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(token)
    }

    fn open(&self, token: &str, room: &RoomName) -> Option<(SessionId, u64)> {
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (named, tag) = token.split_at_checked(SESSION_BYTES + GENERATION_BYTES)?;
        hmac::verify(&self.key.0, &signed(named, room), tag).ok()?;
        let (session, generation) = named.split_at(SESSION_BYTES);
        Some((
            SessionId::from_bytes(session.try_into().ok()?),
            u64::from_be_bytes(generation.try_into().ok()?),
        ))
    }
}

fn signed(named: &[u8], room: &RoomName) -> Vec<u8> {
    [named, room.folded().as_bytes()].concat()
}

/// Which of a seat's tokens hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Generations {
    /// The newest that was used; older ones are dead.
    used: u64,
    /// The newest that was issued.
    issued: u64,
}

impl Generations {
    pub(super) fn first() -> Self {
        Self { used: 0, issued: 1 }
    }

    pub(super) fn newest(self) -> u64 {
        self.issued
    }

    fn after_using(self, generation: u64) -> Option<Self> {
        (self.used..=self.issued)
            .contains(&generation)
            .then_some(Self {
                used: generation,
                issued: self.issued + 1,
            })
    }
}

/// What someone away has missed, oldest first.
#[derive(Default)]
pub(super) struct Missed {
    messages: VecDeque<(Kind, Text)>,
    bytes: usize,
}

/// What kind of message was missed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Also in the room's chat log.
    Chat,
    /// Nowhere else.
    Other,
}

impl Missed {
    /// Keeps a message; false when there is no more room.
    pub(super) fn keep(&mut self, kind: Kind, text: &Text) -> bool {
        self.bytes += text.size();
        if self.messages.len() == MISSED_MESSAGES_MAX || self.bytes > MISSED_BYTES_MAX {
            return false;
        }
        self.messages.push_back((kind, text.clone()));
        true
    }
}

impl Rooms {
    pub(super) fn resume(&mut self, peer: PeerId, token: &str, login: &Login, now: Moment) {
        let Some(source) = self.peers.get(&peer).map(|peer| peer.source) else {
            return;
        };
        let Some((session, generation)) = self.tokens.open(token, &login.room) else {
            return self.refuse(peer, SEAT_GONE);
        };
        let seat = self.seat_of(session);
        let Some(seat) = seat else {
            let removed = self
                .rooms
                .get_mut(&login.room)
                .and_then(|room| room.removals.on_return(session));
            return match removed {
                Some(Return::ThrowOut(why)) => self.throw_out(peer, why),
                Some(Return::SeatGone) => self.refuse(peer, SEAT_GONE),
                None => self.resume_after_restart(peer, session, generation, login, now),
            };
        };
        let Some(generations) = seat.resume.after_using(generation) else {
            return self.refuse(peer, SEAT_GONE);
        };
        seat.resume = generations;
        let was_from = std::mem::replace(&mut seat.source, source);
        let was = std::mem::replace(&mut seat.presence, Presence::Here(peer));
        self.move_session(peer, session);
        let missed = match was {
            Presence::Away { until, missed } => {
                self.away.remove(&(until, session));
                one_fewer(&mut self.away_by_source, was_from);
                missed
            }
            Presence::Here(old) => {
                if old != peer {
                    // From here on the old socket speaks for nobody.
                    self.release_reservation(old);
                    self.peers.remove(&old);
                    self.effects.push_back(Effect::Replace(old));
                }
                Missed::default()
            }
        };
        self.welcome(peer, session);
        self.catch_up(peer, session, missed, login.seq, now);
        self.announce_away(session, false);
    }

    /// Takes in a session from before a restart: same id, so that connections between people,
    /// which know each other by it, simply go on.
    fn resume_after_restart(
        &mut self,
        peer: PeerId,
        session: SessionId,
        generation: u64,
        login: &Login,
        now: Moment,
    ) {
        if !self.tokens.is_from_before_a_restart(session, now.monotonic) {
            return self.refuse(peer, SEAT_GONE);
        }
        match self.door(peer, session, &login.room) {
            Err(refusal) => return self.refuse(peer, refusal),
            // The room has become one that asks: this is a newcomer like any other.
            Ok(Door::Ajar) => return self.enter(peer, login.clone(), now),
            Ok(Door::Open) => {}
        }
        let generations = Generations {
            used: generation,
            issued: generation.saturating_add(1),
        };
        self.move_session(peer, session);
        self.sit_down(peer, session, login.clone(), generations, now);
    }

    /// Makes `session` the one that this socket speaks for; a seat it had is given up.
    fn move_session(&mut self, peer: PeerId, session: SessionId) {
        let Some(here) = self.peers.get_mut(&peer) else {
            return;
        };
        let before = std::mem::replace(&mut here.session, session);
        if before != session {
            self.end_seat(before);
        }
    }

    fn catch_up(
        &mut self,
        to: PeerId,
        session: SessionId,
        missed: Missed,
        seq: Option<u64>,
        now: Moment,
    ) {
        let Some(room) = self
            .seated
            .get(&session)
            .and_then(|name| self.rooms.get(name))
        else {
            return;
        };
        let Some(seat) = room.seat(session) else {
            return;
        };
        // With a number the log says it better: it also has what was lost on the way.
        let logged = seq
            .map(|seq| room.chat.unknown_to(seat, seq, now.monotonic))
            .unwrap_or_default();
        let kept = missed
            .messages
            .into_iter()
            .filter(|(kind, _)| seq.is_none() || *kind == Kind::Other)
            .map(|(_, text)| text);
        for text in logged.into_iter().chain(kept) {
            self.effects.push_back(Effect::Send { to, text });
        }
    }
}
