//! Lines of text, numbered per room.

use std::collections::VecDeque;

use super::{Moment, Rooms, Seat, resume};
use crate::id::SessionId;
use crate::message::{Chat, ChatEntry, Text, ToPeer};

/// How many messages an ad hoc room remembers, for people whose socket broke: a minute of lively
/// talk, at most 1 MiB.
const REMEMBERED: usize = 200;

/// A room's latest messages.
#[derive(Default)]
pub(super) struct Log {
    newest: u64,
    entries: VecDeque<Entry>,
}

struct Entry {
    seq: u64,
    author: SessionId,
    to: Option<SessionId>,
    text: Text,
}

impl Log {
    /// The number of the newest message, 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// The messages after `seq` that this seat may see, oldest first.
    pub(super) fn after(&self, seq: u64, seat: &Seat) -> Vec<Text> {
        let seq = seq.max(seat.chat_from);
        self.entries
            .iter()
            .filter(|entry| entry.seq > seq && entry.is_for(seat.session))
            .map(|entry| entry.text.clone())
            .collect()
    }

    fn remember(&mut self, entry: Entry) {
        if self.entries.len() == REMEMBERED {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }
}

impl Entry {
    fn is_for(&self, session: SessionId) -> bool {
        self.author == session || self.to.is_none_or(|to| to == session)
    }
}

impl Rooms {
    pub(super) fn chat(&mut self, author: SessionId, chat: &Chat, now: Moment) {
        let Some(name) = self.seated.get(&author) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let Some(username) = room.seat(author).map(|seat| seat.name.clone()) else {
            return;
        };
        let to = match &chat.to {
            None => None,
            // As with all that is addressed: who is not here gets nothing, and nobody else does.
            Some(to) => match to.parse().ok().filter(|&to| room.seat(to).is_some()) {
                None => return,
                found => found,
            },
        };
        room.chat.newest += 1;
        let seq = room.chat.newest;
        let text = ToPeer::Chat {
            from: author,
            to: chat.to.as_deref().unwrap_or_default(),
            data: ChatEntry {
                id: &chat.id,
                seq,
                session_id: author,
                username: &username,
                text: &chat.text,
                time: now.unix_ms,
                to: chat.to.as_deref(),
                reply_to: chat.reply_to,
            },
        }
        .text();
        let entry = Entry {
            seq,
            author,
            to,
            text: text.clone(),
        };
        for seat in room
            .seats
            .iter_mut()
            .filter(|seat| entry.is_for(seat.session))
        {
            seat.send(resume::Kind::Chat, &text, &mut self.effects, &mut self.away);
        }
        room.chat.remember(entry);
    }
}
