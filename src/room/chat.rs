//! Lines of text, numbered per room, and what becomes of them.
//!
//! Everyone may change and take back what they wrote, and put signs under what they can read; a
//! host may take back what anyone wrote to all. An ad hoc room's log is all there is; a kept room's is what
//! was said since people came, for those whose sockets break.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::resume::Kind;
use super::{AWAY, Job, Moment, Original, Outcome, Room, Rooms, Seat};
use crate::id::{DisplayName, PeerId, RoomName, SessionId};
use crate::message::{
    Chat, ChatEdit, ChatEntry, Edited, ErrorType, Numbered, React, Reacted, Refusal, Role, Text,
    ToPeer,
};

/// How many messages a room remembers, for people whose socket broke and for whoever pages
/// backwards: texts of at most 1 MiB.
const REMEMBERED: usize = 200;
/// How many different signs one message bears.
const SIGNS_MAX: usize = 20;
/// How many signs one message bears in all, each person's counted.
const REACTIONS_MAX: usize = 200;
/// How far back someone who returns is told again what has become of messages already seen: as
/// long as a seat is kept, and as long as it may take to notice that a socket is dead.
pub(super) const RETOLD: Duration = AWAY.saturating_mul(3);

const CHAT_OFF: Refusal = Refusal::new(ErrorType::Denied, "The host has switched the chat off.");
pub(super) const NO_SUCH: Refusal = Refusal::new(ErrorType::NotFound, "There is no such message.");
pub(super) const NOT_YOURS: Refusal = Refusal::new(ErrorType::Denied, "Somebody else wrote that.");
pub(super) const TOO_MANY_SIGNS: Refusal = Refusal::new(
    ErrorType::Denied,
    "This message bears as many reactions as it can.",
);

/// A room's latest messages, oldest first.
#[derive(Default)]
pub(super) struct Log {
    newest: u64,
    /// Since when it has heard everything; `None` is since the first message.
    since: Option<Instant>,
    lines: VecDeque<Line>,
}

struct Line {
    entry: ChatEntry,
    /// When it was last edited, taken back or reacted to.
    changed: Option<Instant>,
}

/// Who reads a message.
#[derive(Clone, Copy)]
pub(super) struct Readers {
    author: SessionId,
    to: Option<SessionId>,
}

impl Readers {
    pub(super) fn new(author: SessionId, to: Option<SessionId>) -> Self {
        Self { author, to }
    }

    fn of(entry: &ChatEntry) -> Self {
        Self::new(entry.session_id, entry.to)
    }

    pub(super) fn has(self, session: SessionId) -> bool {
        self.author == session || self.to.is_none_or(|to| to == session)
    }

    /// As an envelope says it.
    fn to(self) -> String {
        self.to.map(|to| to.to_string()).unwrap_or_default()
    }
}

impl Log {
    /// A log that begins behind the message of this number.
    pub(super) fn after(newest: u64, now: Instant) -> Self {
        Self {
            newest,
            since: Some(now),
            lines: VecDeque::new(),
        }
    }

    /// Whether [`Self::unknown_to`] knows everything of what came after `seq`, and of what has changed
    /// lately.
    pub(super) fn covers(&self, seq: u64, now: Instant) -> bool {
        let first = self.lines.front().map(|line| line.entry.seq);
        self.since.is_none_or(|since| now >= since + RETOLD)
            && (seq >= self.newest || first.is_some_and(|first| first <= seq + 1))
    }

    fn line_mut(&mut self, seq: u64) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.entry.seq == seq)
    }

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
                line.entry.seq > seat.chat_from && Readers::of(&line.entry).has(seat.session)
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
            .filter(move |entry| entry.seq > from && Readers::of(entry).has(session))
    }

    /// A message that `session` can read and nobody has taken back.
    fn find(&mut self, seq: u64, session: SessionId, from: u64) -> Result<&mut Line, Refusal> {
        self.lines
            .iter_mut()
            .find(|line| line.entry.seq == seq)
            .filter(|line| seq > from && Readers::of(&line.entry).has(session))
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

pub(super) fn told(entry: &ChatEntry) -> Text {
    ToPeer::Chat {
        from: entry.session_id,
        to: &Readers::of(entry).to(),
        data: entry,
    }
    .text()
}

impl Rooms {
    pub(super) fn chat(&mut self, peer: PeerId, author: SessionId, chat: Chat, now: Moment) {
        let Some(room) = self.room_of(author) else {
            return;
        };
        let (name, to) = match room.may_say(author, &chat) {
            Err(refusal) => return self.refuse(peer, refusal),
            Ok(None) => return,
            Ok(Some(found)) => found,
        };
        if room.id().is_none() {
            let seq = room.chat.newest + 1;
            let line = entry(seq, author, name, chat, to, now.unix_ms);
            return self.tell_line(author, line);
        }
        self.keep(peer, author, || Job::Append {
            by: author,
            name,
            chat,
            to,
            time: now.unix_ms,
        });
    }

    pub(super) fn chat_edit(&mut self, peer: PeerId, by: SessionId, edit: ChatEdit, now: Moment) {
        if !self.room_of(by).is_some_and(|room| room.may_write(by)) {
            return self.refuse(peer, CHAT_OFF);
        }
        let time = now.unix_ms;
        self.change(peer, by, 0, Job::Edit { by, edit, time }, now);
    }

    /// Also while the chat is off: what is taken back does no harm.
    pub(super) fn chat_delete(&mut self, peer: PeerId, by: SessionId, seq: u64, now: Moment) {
        let history = self.settings.history;
        let Some(room) = self.room_of(by) else {
            return;
        };
        let from = room.reads_from(by, history);
        let job = Job::Delete {
            by,
            is_host: room.seat(by).is_some_and(|seat| seat.role == Role::Host),
            from,
            seq,
            time: now.unix_ms,
        };
        self.change(peer, by, from, job, now);
    }

    pub(super) fn react(&mut self, peer: PeerId, by: SessionId, react: React, now: Moment) {
        let history = self.settings.history;
        let Some(room) = self.room_of(by) else {
            return;
        };
        if !room.may_write(by) {
            return self.refuse(peer, CHAT_OFF);
        }
        let from = room.reads_from(by, history);
        let job = Job::React {
            by,
            from,
            react,
            time: now.unix_ms,
        };
        self.change(peer, by, from, job, now);
    }

    /// Changes a message: in the store first if the room is kept, else in the log, which is all there is.
    fn change(&mut self, peer: PeerId, by: SessionId, from: u64, job: Job, now: Moment) {
        let Some(room) = self.room_of(by) else {
            return;
        };
        if room.id().is_some() {
            self.keep(peer, by, || job);
            return;
        }
        let done = match job.seq() {
            None => Ok(None),
            Some(seq) => room.chat.find(seq, by, from).and_then(|line| {
                let original = line.original();
                job.may_change(&original)?;
                line.apply(&job, now)
                    .map(|is_new| is_new.then_some(original))
            }),
        };
        match done {
            Err(refusal) => self.refuse(peer, refusal),
            Ok(None) => {}
            Ok(Some(original)) => {
                if let Some(name) = self.seated.get(&by).cloned() {
                    self.tell_change(&name, &job, original, Kind::Chat);
                }
            }
        }
    }

    /// The store has kept what concerns the chat: now people hear of it.
    pub(super) fn chat_was_kept(
        &mut self,
        room: &RoomName,
        job: Job,
        outcome: Outcome,
        now: Moment,
    ) {
        match (job, outcome) {
            (
                Job::Append {
                    by,
                    name,
                    chat,
                    to,
                    time,
                },
                Outcome::Number(seq),
            ) => {
                let line = entry(seq, by, name, chat, to, time);
                self.tell_line_in(room, line);
            }
            (job, Outcome::Changed(original)) => {
                let Some(live) = self.rooms.get_mut(room) else {
                    return;
                };
                // What the log no longer has, it cannot tell those who come back.
                let kind = match live.chat.line_mut(original.seq) {
                    Some(line) => {
                        // The store has seen to the limits.
                        let _ = line.apply(&job, now);
                        Kind::Chat
                    }
                    None => Kind::Change,
                };
                self.tell_change(room, &job, original, kind);
            }
            _ => {}
        }
    }

    fn tell_line(&mut self, author: SessionId, line: ChatEntry) {
        if let Some(name) = self.seated.get(&author).cloned() {
            self.tell_line_in(&name, line);
        }
    }

    fn tell_line_in(&mut self, room: &RoomName, line: ChatEntry) {
        let Some(room) = self.rooms.get_mut(room) else {
            return;
        };
        let (readers, text) = (Readers::of(&line), told(&line));
        room.chat.newest = room.chat.newest.max(line.seq);
        room.chat.remember(line);
        room.tell(
            Kind::Chat,
            readers.author,
            &text,
            |seat| readers.has(seat.session),
            &mut self.effects,
        );
    }

    fn tell_change(&mut self, room: &RoomName, job: &Job, of: Original, kind: Kind) {
        let readers = Readers::new(of.author, of.to);
        let Some((from, text)) = job.told(&readers.to()) else {
            return;
        };
        if let Some(room) = self.rooms.get_mut(room) {
            room.tell(
                kind,
                from,
                &text,
                |seat| readers.has(seat.session),
                &mut self.effects,
            );
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

    /// What the author is called, and to whom alone it goes. As with all that is addressed: who is not here gets
    /// nothing, and nobody else does.
    fn may_say(
        &self,
        author: SessionId,
        chat: &Chat,
    ) -> Result<Option<(DisplayName, Option<SessionId>)>, Refusal> {
        if !self.may_write(author) {
            return Err(CHAT_OFF);
        }
        let Some(name) = self.seat(author).map(|seat| seat.name.clone()) else {
            return Ok(None);
        };
        Ok(match &chat.to {
            None => Some((name, None)),
            Some(to) => to
                .parse()
                .ok()
                .filter(|&to| self.seat(to).is_some())
                .map(|to| (name, Some(to))),
        })
    }
}

fn entry(
    seq: u64,
    session_id: SessionId,
    username: DisplayName,
    chat: Chat,
    to: Option<SessionId>,
    time: u64,
) -> ChatEntry {
    ChatEntry {
        id: chat.id,
        seq,
        session_id,
        username,
        text: chat.text,
        time,
        to,
        reply_to: chat.reply_to,
        edited: None,
        deleted: false,
        reactions: Vec::new(),
    }
}

impl Job {
    /// The message that is to be changed.
    pub(super) fn seq(&self) -> Option<u64> {
        match self {
            Self::Edit { edit, .. } => Some(edit.seq),
            Self::Delete { seq, .. } => Some(*seq),
            Self::React { react, .. } => Some(react.seq),
            Self::Append { .. }
            | Self::Lock { .. }
            | Self::Policy { .. }
            | Self::Role { .. }
            | Self::ForgetRole { .. }
            | Self::Ban { .. } => None,
        }
    }

    /// Who has changed a message, and how its readers are told.
    fn told(&self, to: &str) -> Option<(SessionId, Text)> {
        let (from, message) = match self {
            Self::Edit { by, edit, time } => (
                *by,
                ToPeer::ChatEdit {
                    from: *by,
                    to,
                    data: Edited {
                        edit,
                        edited: *time,
                    },
                },
            ),
            Self::Delete { by, seq, .. } => (
                *by,
                ToPeer::ChatDelete {
                    from: *by,
                    to,
                    data: Numbered { seq: *seq },
                },
            ),
            Self::React { by, react, .. } => (
                *by,
                ToPeer::React {
                    from: *by,
                    to,
                    data: react,
                },
            ),
            _ => return None,
        };
        Some((from, message.text()))
    }
}

impl Line {
    fn original(&self) -> Original {
        Original {
            seq: self.entry.seq,
            author: self.entry.session_id,
            to: self.entry.to,
            deleted: self.entry.deleted,
        }
    }

    /// False if it was so already.
    fn apply(&mut self, job: &Job, now: Moment) -> Result<bool, Refusal> {
        let entry = &mut self.entry;
        match job {
            Job::Edit { edit, time, .. } => {
                entry.text.clone_from(&edit.text);
                entry.edited = Some(*time);
            }
            Job::Delete { .. } => entry.take_back(),
            Job::React { by, react, .. } => {
                let is_new = if react.on {
                    put(&mut entry.reactions, &react.emoji, *by)?
                } else {
                    take(&mut entry.reactions, &react.emoji, *by)
                };
                if !is_new {
                    return Ok(false);
                }
            }
            _ => return Ok(false),
        }
        self.changed = Some(now.monotonic);
        Ok(true)
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
