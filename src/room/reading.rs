//! Someone is writing, has read, or asks for older messages.

use std::time::Duration;

use super::allowance::Pace;
use super::keep::Trouble;
use super::{Effect, Moment, Presence, Room, Rooms, Seat, chat, resume};
use crate::id::{PeerId, RoomId, SessionId};
use crate::message::{
    ChatEntry, Empty, ErrorType, History, HistoryQuery, Numbered, Refusal, Text, ToPeer,
};

/// How many bytes of text one page of history holds, so that a page of long messages is not a
/// download; one message always fits.
const PAGE_BYTES_MAX: usize = 128 * 1024;
/// How often one person may ask for a page. A page answers a small question at length.
const PAGES: Pace = Pace {
    burst: 20,
    every: Duration::from_millis(500),
};

/// How many missed messages come by themselves to someone who is back; whoever has missed more asks for
/// pages. That includes those that are looked through for changes.
const MISSED_MESSAGES_MAX: usize = 600;
/// How many messages that were seen are looked through for changes.
const RETOLD_MESSAGES_MAX: u64 = 100;
/// How many bytes wait for one person while older messages are fetched.
const HELD_BYTES_MAX: usize = 1024 * 1024;

const TOO_MANY_PAGES: Refusal =
    Refusal::new(ErrorType::Rate, "That was a lot of history; slow down.");

impl Rooms {
    /// A sign that passes: whoever is away does not miss it, and while the chat is off it means
    /// nothing.
    pub(super) fn typing(&mut self, from: SessionId, to: Option<&str>) {
        if !self.room_of(from).is_some_and(|room| room.may_write(from)) {
            return;
        }
        let text = ToPeer::Typing {
            from,
            to: to.unwrap_or_default(),
            data: Empty {},
        }
        .text();
        let to: Option<Option<SessionId>> = to.map(|to| to.parse().ok());
        self.tell_present(from, &text, |seat| {
            to.is_none_or(|to| to == Some(seat.session))
        });
    }

    /// Whoever is away finds it in the next `room`.
    pub(super) fn read(&mut self, peer: PeerId, session: SessionId, seq: u64) {
        let Some(room) = self.room_of(session) else {
            return;
        };
        if seq > room.chat.newest() {
            return self.refuse(peer, chat::NO_SUCH);
        }
        let Some(seat) = room.seat_mut(session).filter(|seat| seat.read < seq) else {
            return;
        };
        seat.read = seq;
        let text = ToPeer::Read {
            from: session,
            to: "",
            data: Numbered { seq },
        }
        .text();
        self.tell_present(session, &text, |_| true);
    }

    pub(super) fn history(
        &mut self,
        peer: PeerId,
        session: SessionId,
        asked: HistoryQuery,
        now: Moment,
    ) {
        // The socket's, since seats are to be had one after another.
        if !self
            .peers
            .get_mut(&peer)
            .is_some_and(|asking| asking.pages.take(PAGES, now.monotonic))
        {
            return self.refuse(peer, TOO_MANY_PAGES);
        }
        let everything = self.settings.history;
        let Some(room) = self.room_of(session) else {
            return;
        };
        let from = room.reads_from(session, everything);
        if let Some(id) = room.id() {
            let query = Query {
                room: id,
                session,
                before: asked.before,
                after: from,
                limit: asked.limit,
                why: Why::History,
            };
            return self.effects.push_back(Effect::Fetch { peer, query });
        }
        let older = room
            .chat
            .readable(session, from)
            .filter(|entry| asked.before.is_none_or(|before| entry.seq < before));
        let text = page(older, asked.limit, false);
        self.effects.push_back(Effect::Send { to: peer, text });
    }

    /// The store has fetched older messages.
    pub(super) fn fetched(
        &mut self,
        to: PeerId,
        query: &Query,
        page: Result<Page, Trouble>,
        now: Moment,
    ) {
        let session = query.session;
        let Some(room) = self
            .seated
            .get(&session)
            .and_then(|name| self.rooms.get_mut(name))
        else {
            return;
        };
        let is_here = room
            .seat(session)
            .is_some_and(|seat| matches!(seat.presence, Presence::Here(peer) if peer == to));
        if !is_here || room.id() != Some(query.room) {
            return;
        }
        match (query.why, page) {
            (Why::History, Err(trouble)) => self.refuse(to, trouble.into()),
            (Why::History, Ok(found)) => {
                let newest_first = found.messages.iter().rev().map(|old| &old.entry);
                let text = self::page(newest_first, query.limit, found.more);
                self.effects.push_back(Effect::Send { to, text });
            }
            (Why::Missed { seq }, found) => {
                let (texts, trouble) = match found {
                    Ok(found) => (found.unknown_after(seq, now), None),
                    Err(trouble) => {
                        // The log has some of it.
                        let seat = room.seat(session);
                        let logged =
                            seat.map(|seat| room.chat.unknown_to(seat, seq, now.monotonic));
                        (logged.unwrap_or_default(), Some(trouble))
                    }
                };
                let held = room.seat_mut(session).and_then(|seat| seat.held.take());
                let held = held.into_iter().flat_map(Held::into_texts);
                for text in texts.into_iter().chain(held) {
                    self.effects.push_back(Effect::Send { to, text });
                }
                if let Some(trouble) = trouble {
                    self.refuse(to, trouble.into());
                }
            }
        }
    }

    /// Sends to the others whom `wants` says and who are here.
    fn tell_present(&mut self, from: SessionId, text: &Text, wants: impl Fn(&Seat) -> bool) {
        self.tell_those(from, resume::Kind::Other, text, |seat| {
            seat.session != from && matches!(seat.presence, Presence::Here(_)) && wants(seat)
        });
    }
}

impl Room {
    /// What to ask the store for someone who comes back having seen everything up to `seq`, when the log does not know
    /// it all.
    pub(super) fn missed_in_store(
        &self,
        session: SessionId,
        seq: u64,
        everything: bool,
        now: Moment,
    ) -> Option<Query> {
        let room = self.id()?;
        if self.chat.covers(seq, now.monotonic) {
            return None;
        }
        let from = self.reads_from(session, everything);
        Some(Query {
            room,
            session,
            // Whatever gets a higher number is yet to be told.
            before: Some(self.chat.newest() + 1),
            after: from.max(seq.saturating_sub(RETOLD_MESSAGES_MAX)),
            limit: MISSED_MESSAGES_MAX,
            why: Why::Missed { seq },
        })
    }
}

/// Which of a kept room's messages are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// The room.
    pub room: RoomId,
    /// Who reads.
    pub session: SessionId,
    /// Messages below this number; `None` begins at the newest.
    pub before: Option<u64>,
    /// Messages above this number.
    pub after: u64,
    /// How many, the newest of them.
    pub limit: usize,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The person has asked for older messages.
    History,
    /// The person is back, and has seen everything up to this number.
    Missed { seq: u64 },
}

/// Messages as the store has them, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The messages.
    pub messages: Vec<Recalled>,
    /// There are older ones.
    pub more: bool,
}

/// A message as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// The message as it is now.
    pub entry: ChatEntry,
    /// When it was last edited, taken back or reacted to, in milliseconds since 1970.
    pub changed: Option<u64>,
}

impl Page {
    /// What someone who has seen everything up to `seq` does not know, as from the log.
    fn unknown_after(&self, seq: u64, now: Moment) -> Vec<Text> {
        let retold = u64::try_from(chat::RETOLD.as_millis()).unwrap_or(u64::MAX);
        let is_unknown = |old: &&Recalled| {
            if old.entry.seq > seq {
                !old.entry.deleted
            } else {
                let changed = old.changed.map(|at| at.saturating_add(retold));
                changed.is_some_and(|until| now.unix_ms < until)
            }
        };
        let unknown = self.messages.iter().filter(is_unknown);
        unknown.map(|old| chat::told(&old.entry)).collect()
    }
}

/// A page of messages, which come newest first and may be more than fit.
fn page<'a>(newest_first: impl Iterator<Item = &'a ChatEntry>, limit: usize, more: bool) -> Text {
    let mut older = newest_first.peekable();
    let mut messages = Vec::new();
    let mut bytes = 0;
    while messages.len() < limit
        && let Some(entry) =
            older.next_if(|entry| bytes == 0 || bytes + entry.text.len() <= PAGE_BYTES_MAX)
    {
        bytes += entry.text.len();
        messages.push(entry);
    }
    messages.reverse();
    let more = more || older.peek().is_some();
    ToPeer::History {
        data: History { messages, more },
    }
    .text()
}

/// What is said to someone while older messages are being fetched.
#[derive(Default)]
pub(super) struct Held {
    texts: Vec<Text>,
    bytes: usize,
}

impl Held {
    pub(super) fn into_texts(self) -> impl Iterator<Item = Text> {
        self.texts.into_iter()
    }
}

/// Holds a message back if one is waiting for older ones. When too much is, the rest overtakes: a client
/// orders messages by their numbers.
pub(super) fn hold(held: &mut Option<Held>, text: &Text) -> bool {
    let Some(held) = held else {
        return false;
    };
    if held.bytes + text.size() > HELD_BYTES_MAX {
        return false;
    }
    held.bytes += text.size();
    held.texts.push(text.clone());
    true
}
