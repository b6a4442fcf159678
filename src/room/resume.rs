//! Someone whose socket broke is back.
//!
//! A token names a session, a generation and when it was issued, sealed with a key that outlives a restart. Each use
//! issues the next generation; the older one holds until the newer is first used, so that an
//! answer lost on the way locks nobody out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::kick::Return;
use super::leave::one_fewer;
use super::{Effect, Moment, Peer, Presence, Rooms, reading};
use crate::id::{PeerId, RoomId, RoomName, SessionId};
use crate::message::{ErrorType, Login, Refusal, Text};

/// How many messages are kept for someone away. A minute in a room of ten, each of whom restarts
/// every connection once, makes about a hundred.
const MISSED_MESSAGES_MAX: usize = 512;
/// How many of them from one person: several restarts of one connection, with all their candidates.
const MISSED_MESSAGES_FROM_ONE_MAX: usize = 128;
/// How many bytes are kept for someone away.
const MISSED_BYTES_MAX: usize = 1024 * 1024;
/// How many of them from one person: several descriptions of a connection at their longest.
const MISSED_BYTES_FROM_ONE_MAX: usize = 256 * 1024;

/// How old a token may be after a restart, when nobody remembers whose seat was still taken. It is issued
/// on sitting down and on each return, so this is also how long a stay may be that a restart does not
/// notice: a day is longer than any call. Milliseconds.
const AGE_AFTER_RESTART_MAX_MS: u64 = 24 * 60 * 60 * 1000;

pub(super) const SEAT_GONE: Refusal =
    Refusal::new(ErrorType::Resume, "Your seat is gone; join again.");

const SESSION_BYTES: usize = 16;
const GENERATION_BYTES: usize = 8;
const TIME_BYTES: usize = 8;
const ROOM_BYTES: usize = 8;
const NAMED_BYTES: usize = SESSION_BYTES + GENERATION_BYTES + TIME_BYTES + ROOM_BYTES;
/// Stands where a kept room's id would.
const AD_HOC: i64 = 0;
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

    fn is_from_before_a_restart(&self, token: &Token, now: Moment) -> bool {
        // A clock that was set back makes a token look younger, never older.
        let age_ms = now.unix_ms.saturating_sub(token.issued_ms);
        now.monotonic < self.restart_ends
            && age_ms <= AGE_AFTER_RESTART_MAX_MS
            && !self.seen.contains(&token.session)
    }

    pub(super) fn seal(&self, token: Token, room: &RoomName) -> String {
        let mut sealed = Vec::with_capacity(NAMED_BYTES + TAG_BYTES);
        sealed.extend_from_slice(token.session.as_bytes());
        sealed.extend_from_slice(&token.generation.to_be_bytes());
        sealed.extend_from_slice(&token.issued_ms.to_be_bytes());
        let kept = token.kept.map_or(AD_HOC, RoomId::number);
        sealed.extend_from_slice(&kept.to_be_bytes());
        let tag = hmac::sign(&self.key.0, &signed(&sealed, room));
        sealed.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(sealed)
    }

    fn open(&self, sealed: &str, room: &RoomName) -> Option<Token> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (named, tag) = sealed.split_at_checked(NAMED_BYTES)?;
        hmac::verify(&self.key.0, &signed(named, room), tag).ok()?;
        let (session, named) = named.split_at_checked(SESSION_BYTES)?;
        let (generation, named) = named.split_at_checked(GENERATION_BYTES)?;
        let (issued, kept) = named.split_at_checked(TIME_BYTES)?;
        let kept = i64::from_be_bytes(kept.try_into().ok()?);
        Some(Token {
            session: SessionId::from_bytes(session.try_into().ok()?),
            generation: u64::from_be_bytes(generation.try_into().ok()?),
            issued_ms: u64::from_be_bytes(issued.try_into().ok()?),
            kept: (kept != AD_HOC).then_some(RoomId::new(kept)),
        })
    }
}

/// What a token says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) session: SessionId,
    pub(super) generation: u64,
    /// Milliseconds since 1970.
    pub(super) issued_ms: u64,
    /// The kept room in which the seat is. A later one of the same name is another.
    pub(super) kept: Option<RoomId>,
}

impl Token {
    pub(super) fn generations(self) -> Generations {
        Generations::after_restart(self.generation)
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

    /// Those of a seat that is taken again after a restart.
    fn after_restart(generation: u64) -> Self {
        Self {
            used: generation,
            issued: generation.saturating_add(1),
        }
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

/// What someone away has missed, oldest first. Whoever says too much loses the newest of it, and
/// nobody else loses anything: no one can end another's seat, or empty it, by saying a lot.
#[derive(Default)]
pub(super) struct Missed {
    messages: VecDeque<Kept>,
    all: Share,
    /// What each sender has in here; nothing is not listed. All who have left since share one, so
    /// that coming again and again gains nothing.
    shares: HashMap<Option<SessionId>, Share>,
}

struct Kept {
    kind: Kind,
    /// Whose doing it is; `None` once they have left.
    from: Option<SessionId>,
    text: Text,
}

#[derive(Clone, Copy, Default)]
struct Share {
    messages: usize,
    bytes: usize,
}

impl Share {
    fn add(&mut self, text: &Text) {
        self.messages += 1;
        self.bytes += text.size();
    }

    fn take(&mut self, text: &Text) {
        self.messages -= 1;
        self.bytes -= text.size();
    }

    fn is_within(self, messages: usize, bytes: usize) -> bool {
        self.messages <= messages && self.bytes <= bytes
    }
}

/// What kind of message was missed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Also in the room's chat log.
    Chat,
    /// Of a message that is not in the log any more, but in the store.
    Change,
    /// Nowhere else.
    Other,
}

impl Missed {
    /// Keeps a message, unless its sender has too much here already.
    pub(super) fn keep(&mut self, kind: Kind, from: SessionId, text: &Text) {
        let from = Some(from);
        let mut share = self.shares.get(&from).copied().unwrap_or_default();
        share.add(text);
        if !share.is_within(MISSED_MESSAGES_FROM_ONE_MAX, MISSED_BYTES_FROM_ONE_MAX) {
            return;
        }
        self.shares.insert(from, share);
        self.all.add(text);
        self.messages.push_back(Kept {
            kind,
            from,
            text: text.clone(),
        });
        while !self.all.is_within(MISSED_MESSAGES_MAX, MISSED_BYTES_MAX) && self.drop_one(from) {}
    }

    /// A sender has left for good.
    pub(super) fn left(&mut self, session: SessionId) {
        let Some(share) = self.shares.remove(&Some(session)) else {
            return;
        };
        let gone = self.shares.entry(None).or_default();
        gone.messages += share.messages;
        gone.bytes += share.bytes;
        for kept in &mut self.messages {
            if kept.from == Some(session) {
                kept.from = None;
            }
        }
    }

    /// Drops the newest message of whoever has the most here; of several, `newest` goes first.
    fn drop_one(&mut self, newest: Option<SessionId>) -> bool {
        let by_bytes = self.all.bytes > MISSED_BYTES_MAX;
        let largest = self.shares.iter().max_by_key(|(sender, share)| {
            let size = if by_bytes {
                share.bytes
            } else {
                share.messages
            };
            (size, **sender == newest)
        });
        let Some((&largest, _)) = largest else {
            return false;
        };
        let last = self.messages.iter().rposition(|kept| kept.from == largest);
        let Some(dropped) = last.and_then(|at| self.messages.remove(at)) else {
            return false;
        };
        self.all.take(&dropped.text);
        if let Some(share) = self.shares.get_mut(&largest) {
            share.take(&dropped.text);
            if share.messages == 0 {
                self.shares.remove(&largest);
            }
        }
        true
    }
}

impl Rooms {
    pub(super) fn resume(&mut self, peer: PeerId, token: &str, login: &Login, now: Moment) {
        // A room that was renamed is known by both names to those in it.
        let sealed_as = self.rooms.get(&login.room).map(|room| &room.sealed_as);
        let token = self
            .tokens
            .open(token, &login.room)
            .or_else(|| self.tokens.open(token, sealed_as?));
        let Some(token) = token else {
            return self.refuse(peer, SEAT_GONE);
        };
        let session = token.session;
        let seat = self.seat_of(session);
        let Some(seat) = seat else {
            let removed = self
                .rooms
                .get_mut(&login.room)
                .and_then(|room| room.removals.on_return(session));
            return match removed {
                Some(Return::ThrowOut(why)) => self.throw_out(peer, why),
                Some(Return::SeatGone) => self.refuse(peer, SEAT_GONE),
                None => self.resume_after_restart(peer, token, login, now),
            };
        };
        let Some(generations) = seat.resume.after_using(token.generation) else {
            return self.refuse(peer, SEAT_GONE);
        };
        self.take_up(peer, session, generations, login.seq, now);
    }

    /// The person whose seat this is has come by another way than by its token.
    pub(super) fn take_up_again(
        &mut self,
        peer: PeerId,
        session: SessionId,
        seq: Option<u64>,
        now: Moment,
    ) {
        let seat = self.seat_of(session);
        if let Some(generations) = seat.and_then(|seat| seat.resume.after_using(seat.resume.issued))
        {
            self.take_up(peer, session, generations, seq, now);
        }
    }

    /// Gives this socket the seat of `session`.
    fn take_up(
        &mut self,
        peer: PeerId,
        session: SessionId,
        generations: Generations,
        seq: Option<u64>,
        now: Moment,
    ) {
        let Some(source) = self.peers.get(&peer).map(|peer| peer.source) else {
            return;
        };
        let Some(seat) = self.seat_of(session) else {
            return;
        };
        seat.resume = generations;
        let held = seat.held.take();
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
                    self.replace(old);
                }
                let mut missed = Missed::default();
                for text in held.into_iter().flat_map(reading::Held::into_texts) {
                    missed.keep(Kind::Chat, session, &text);
                }
                missed
            }
        };
        self.welcome(peer, session, now);
        self.catch_up(peer, session, missed, seq, now);
        self.announce_away(session, false);
    }

    /// Takes in a session from before a restart.
    fn resume_after_restart(&mut self, peer: PeerId, token: Token, login: &Login, now: Moment) {
        if !self.tokens.is_from_before_a_restart(&token, now) {
            return self.refuse(peer, SEAT_GONE);
        }
        let entrance = self.entrance(login.clone(), Some(token), now);
        self.enter(peer, entrance, now);
    }

    /// Makes `session` the one that this socket speaks for; a seat it had is given up.
    pub(super) fn move_session(&mut self, peer: PeerId, session: SessionId) {
        let Some(here) = self.peers.get_mut(&peer) else {
            return;
        };
        let before = std::mem::replace(&mut here.session, session);
        if before != session {
            self.end_seat(before);
        }
    }

    /// From here on this socket alone speaks for `session`; a seat that has elsewhere is given up, and so is its own.
    pub(super) fn take_session(&mut self, peer: PeerId, session: SessionId) {
        let speaks = |(&other, known): (&PeerId, &Peer)| {
            (other != peer && known.session == session).then_some(other)
        };
        let others: Vec<PeerId> = self.peers.iter().filter_map(speaks).collect();
        for other in others {
            self.stop_waiting(other);
            self.replace(other);
        }
        self.end_seat(session);
        self.move_session(peer, session);
    }

    /// From here on the old socket speaks for nobody.
    fn replace(&mut self, old: PeerId) {
        self.release_reservation(old);
        self.peers.remove(&old);
        self.effects.push_back(Effect::Replace(old));
    }

    pub(super) fn catch_up(
        &mut self,
        to: PeerId,
        session: SessionId,
        missed: Missed,
        seq: Option<u64>,
        now: Moment,
    ) {
        let everything = self.settings.history;
        let Some(room) = self
            .seated
            .get(&session)
            .and_then(|name| self.rooms.get_mut(name))
        else {
            return;
        };
        let query = seq.and_then(|seq| room.missed_in_store(session, seq, everything, now));
        let Some(seat) = room.seat(session) else {
            return;
        };
        // With a number the log says it better: it also has what was lost on the way.
        let logged = match seq {
            Some(seq) if query.is_none() => room.chat.unknown_to(seat, seq, now.monotonic),
            _ => Vec::new(),
        };
        let kept = missed
            .messages
            .into_iter()
            .filter(|kept| match kept.kind {
                Kind::Chat => seq.is_none(),
                Kind::Change => query.is_none(),
                Kind::Other => true,
            })
            .map(|kept| kept.text);
        for text in logged.into_iter().chain(kept) {
            self.effects.push_back(Effect::Send { to, text });
        }
        if let Some(query) = query {
            // What is said from now on comes behind what is fetched.
            if let Some(seat) = room.seat_mut(session) {
                seat.held = Some(reading::Held::default());
            }
            self.effects.push_back(Effect::Fetch { peer: to, query });
        }
    }
}
