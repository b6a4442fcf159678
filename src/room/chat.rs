//! Lines of text, numbered per room, and what becomes of them.
//!
//! Everyone may change and take back what they wrote, and put signs under what they can read; a
//! host may take back what anyone wrote to all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{AWAY, Effect, Moment, Room, Rooms, Seat, resume};
use crate::id::{PeerId, SessionId};
use crate::message::{
    Chat, ChatEdit, ChatEntry, Edited, ErrorType, Numbered, React, Reacted, Refusal, Role, Text,
    ToPeer,
};

/// How many messages an ad hoc room remembers, for people whose socket broke and for whoever pages
/// backwards: texts of at most 1 MiB.
const REMEMBERED: usize = 200;
/// How many different signs one message bears.
const SIGNS_MAX: usize = 20;
/// How many signs one message bears in all, each person's counted.
const REACTIONS_MAX: usize = 200;
/// How far back someone who returns is told again what has become of messages already seen: as
/// long as a seat is kept, and as long as it may take to notice that a socket is dead.
const RETOLD: Duration = AWAY.saturating_mul(3);

const CHAT_OFF: Refusal = Refusal::new(ErrorType::Denied, "The host has switched the chat off.");
pub(super) const NO_SUCH: Refusal = Refusal::new(ErrorType::NotFound, "There is no such message.");
const NOT_YOURS: Refusal = Refusal::new(ErrorType::Denied, "Somebody else wrote that.");
const TOO_MANY_SIGNS: Refusal = Refusal::new(
    ErrorType::Denied,
    "This message bears as many reactions as it can.",
);

/// A room's latest messages, oldest first.
#[derive(Default)]
pub(super) struct Log {
    newest: u64,
    lines: VecDeque<Line>,
}

struct Line {
    entry: ChatEntry,
    /// When it was last edited, taken back or reacted to.
    changed: Option<Instant>,
}

/// Who reads a message.
#[derive(Clone, Copy)]
struct Audience {
    author: SessionId,
    to: Option<SessionId>,
}

impl Audience {
    fn of(entry: &ChatEntry) -> Self {
        Self {
            author: entry.session_id,
            to: entry.to,
        }
    }

    fn has(self, session: SessionId) -> bool {
        self.author == session || self.to.is_none_or(|to| to == session)
    }

    /// As an envelope says it.
    fn to(self) -> String {
        self.to.map(|to| to.to_string()).unwrap_or_default()
    }
}

impl Log {
    /// The number of the newest message, 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// What someone who has seen everything up to `seq` does not know, oldest first: later
    /// messages, and earlier ones as they have become in the meantime.
    pub(super) fn unknown_to(&self, seat: &Seat, seq: u64, now: Instant) -> Vec<Text> {
        let is_unknown = |line: &Line| {
            if line.entry.seq > seq {
                !line.entry.deleted
            } else {
                line.changed.is_some_and(|at| now < at + RETOLD)
            }
        };
        self.lines
            .iter()
            .filter(|line| {
                line.entry.seq > seat.chat_from && Audience::of(&line.entry).has(seat.session)
            })
            .filter(|line| is_unknown(line))
            .map(|line| told(&line.entry))
            .collect()
    }

    /// What `session` may read of the messages numbered above `from`, newest first.
    pub(super) fn readable(
        &self,
        session: SessionId,
        from: u64,
    ) -> impl Iterator<Item = &ChatEntry> {
        self.lines
            .iter()
            .rev()
            .map(|line| &line.entry)
            .filter(move |entry| entry.seq > from && Audience::of(entry).has(session))
    }

    /// A message that `session` can read and nobody has taken back.
    fn find(&mut self, seq: u64, session: SessionId, from: u64) -> Result<&mut Line, Refusal> {
        self.lines
            .iter_mut()
            .find(|line| line.entry.seq == seq)
            .filter(|line| seq > from && Audience::of(&line.entry).has(session))
            .filter(|line| !line.entry.deleted)
            .ok_or(NO_SUCH)
    }

    fn remember(&mut self, entry: ChatEntry) {
        if self.lines.len() == REMEMBERED {
            self.lines.pop_front();
        }
        self.lines.push_back(Line {
            entry,
            changed: None,
        });
    }
}

fn told(entry: &ChatEntry) -> Text {
    ToPeer::Chat {
        from: entry.session_id,
        to: &Audience::of(entry).to(),
        data: entry,
    }
    .text()
}

/// What is to be told, and to whom.
type Told = Option<(Audience, Text)>;

impl Rooms {
    pub(super) fn chat(&mut self, peer: PeerId, author: SessionId, chat: Chat, now: Moment) {
        let done = self
            .room_of(author)
            .map(|room| room.chat(author, chat, now))
            .transpose();
        self.tell_readers(peer, author, done);
    }

    pub(super) fn chat_edit(&mut self, peer: PeerId, by: SessionId, edit: &ChatEdit, now: Moment) {
        let done = self
            .room_of(by)
            .map(|room| room.chat_edit(by, edit, now))
            .transpose();
        self.tell_readers(peer, by, done);
    }

    pub(super) fn chat_delete(&mut self, peer: PeerId, by: SessionId, seq: u64, now: Moment) {
        let history = self.settings.history;
        let done = self
            .room_of(by)
            .map(|room| room.chat_delete(by, seq, history, now))
            .transpose();
        self.tell_readers(peer, by, done);
    }

    pub(super) fn react(&mut self, peer: PeerId, by: SessionId, react: &React, now: Moment) {
        let history = self.settings.history;
        let done = self
            .room_of(by)
            .map(|room| room.react(by, react, history, now))
            .transpose();
        self.tell_readers(peer, by, done);
    }

    fn tell_readers(
        &mut self,
        peer: PeerId,
        session: SessionId,
        done: Result<Option<Told>, Refusal>,
    ) {
        match done {
            Ok(Some(Some((readers, text)))) => {
                self.tell_those(session, resume::Kind::Chat, &text, |seat| {
                    readers.has(seat.session)
                });
            }
            Ok(_) => {}
            Err(refusal) => self.effects.push_back(Effect::Refuse { to: peer, refusal }),
        }
    }
}

impl Room {
    /// Whether the room lets this person write.
    pub(super) fn may_write(&self, session: SessionId) -> bool {
        self.state.policy.chat
            || self
                .seat(session)
                .is_some_and(|seat| seat.role == Role::Host)
    }

    /// The number above which this person may read.
    pub(super) fn reads_from(&self, session: SessionId, history: bool) -> u64 {
        match self.seat(session) {
            Some(seat) if !history => seat.chat_from,
            _ => 0,
        }
    }

    fn chat(&mut self, author: SessionId, chat: Chat, now: Moment) -> Result<Told, Refusal> {
        if !self.may_write(author) {
            return Err(CHAT_OFF);
        }
        let Some(username) = self.seat(author).map(|seat| seat.name.clone()) else {
            return Ok(None);
        };
        let to = match &chat.to {
            None => None,
            // As with all that is addressed: who is not here gets nothing, and nobody else does.
            Some(to) => match to.parse().ok().filter(|&to| self.seat(to).is_some()) {
                None => return Ok(None),
                found => found,
            },
        };
        self.chat.newest += 1;
        let entry = ChatEntry {
            id: chat.id,
            seq: self.chat.newest,
            session_id: author,
            username,
            text: chat.text,
            time: now.unix_ms,
            to,
            reply_to: chat.reply_to,
            edited: None,
            deleted: false,
            reactions: Vec::new(),
        };
        let text = told(&entry);
        let readers = Audience::of(&entry);
        self.chat.remember(entry);
        Ok(Some((readers, text)))
    }

    fn chat_edit(&mut self, by: SessionId, edit: &ChatEdit, now: Moment) -> Result<Told, Refusal> {
        if !self.may_write(by) {
            return Err(CHAT_OFF);
        }
        let line = self.chat.find(edit.seq, by, 0)?;
        if line.entry.session_id != by {
            return Err(NOT_YOURS);
        }
        line.entry.text.clone_from(&edit.text);
        line.entry.edited = Some(now.unix_ms);
        line.changed = Some(now.monotonic);
        let readers = Audience::of(&line.entry);
        let text = ToPeer::ChatEdit {
            from: by,
            to: &readers.to(),
            data: Edited {
                edit,
                edited: now.unix_ms,
            },
        };
        Ok(Some((readers, text.text())))
    }

    /// Also while the chat is off: what is taken back does no harm.
    fn chat_delete(
        &mut self,
        by: SessionId,
        seq: u64,
        history: bool,
        now: Moment,
    ) -> Result<Told, Refusal> {
        let from = self.reads_from(by, history);
        let is_host = self.seat(by).is_some_and(|seat| seat.role == Role::Host);
        let line = self.chat.find(seq, by, from)?;
        if line.entry.session_id != by && !is_host {
            return Err(NOT_YOURS);
        }
        line.entry.deleted = true;
        line.entry.text.clear();
        line.entry.reactions.clear();
        line.changed = Some(now.monotonic);
        let readers = Audience::of(&line.entry);
        let text = ToPeer::ChatDelete {
            from: by,
            to: &readers.to(),
            data: Numbered { seq },
        };
        Ok(Some((readers, text.text())))
    }

    fn react(
        &mut self,
        by: SessionId,
        react: &React,
        history: bool,
        now: Moment,
    ) -> Result<Told, Refusal> {
        if !self.may_write(by) {
            return Err(CHAT_OFF);
        }
        let from = self.reads_from(by, history);
        let line = self.chat.find(react.seq, by, from)?;
        let is_new = if react.on {
            put(&mut line.entry.reactions, &react.emoji, by)?
        } else {
            take(&mut line.entry.reactions, &react.emoji, by)
        };
        if !is_new {
            return Ok(None);
        }
        line.changed = Some(now.monotonic);
        let readers = Audience::of(&line.entry);
        let text = ToPeer::React {
            from: by,
            to: &readers.to(),
            data: react,
        };
        Ok(Some((readers, text.text())))
    }
}

/// False if it was there already.
fn put(reactions: &mut Vec<Reacted>, emoji: &str, by: SessionId) -> Result<bool, Refusal> {
    let all: usize = reactions.iter().map(|sign| sign.session_ids.len()).sum();
    let signs = reactions.len();
    let sign = reactions.iter_mut().find(|sign| sign.emoji == emoji);
    if sign
        .as_ref()
        .is_some_and(|sign| sign.session_ids.contains(&by))
    {
        return Ok(false);
    }
    if all >= REACTIONS_MAX || (sign.is_none() && signs >= SIGNS_MAX) {
        return Err(TOO_MANY_SIGNS);
    }
    match sign {
        Some(sign) => sign.session_ids.push(by),
        None => reactions.push(Reacted {
            emoji: emoji.to_owned(),
            session_ids: vec![by],
        }),
    }
    Ok(true)
}

/// False if it was not there.
fn take(reactions: &mut Vec<Reacted>, emoji: &str, by: SessionId) -> bool {
    let Some(sign) = reactions.iter_mut().find(|sign| sign.emoji == emoji) else {
        return false;
    };
    let before = sign.session_ids.len();
    sign.session_ids.retain(|session| *session != by);
    let is_new = sign.session_ids.len() < before;
    reactions.retain(|sign| !sign.session_ids.is_empty());
    is_new
}
