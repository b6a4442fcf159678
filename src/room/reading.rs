//! Someone is writing, has read, or asks for older messages.

use std::time::Duration;

use super::allowance::Pace;
use super::{Effect, Moment, Presence, Rooms, Seat, chat, resume};
use crate::id::{PeerId, SessionId};
use crate::message::{Empty, ErrorType, History, HistoryQuery, Numbered, Refusal, Text, ToPeer};

/// How many bytes of text one page of history holds, so that a page of long messages is not a
/// download; one message always fits.
const PAGE_BYTES_MAX: usize = 128 * 1024;
/// How often one person may ask for a page. A page answers a small question at length.
const PAGES: Pace = Pace {
    burst: 20,
    every: Duration::from_millis(500),
};

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
        query: HistoryQuery,
        now: Moment,
    ) {
        let everything = self.settings.history;
        let Some(room) = self.room_of(session) else {
            return;
        };
        let from = room.reads_from(session, everything);
        if !room
            .seat_mut(session)
            .is_some_and(|seat| seat.pages.take(PAGES, now.monotonic))
        {
            return self.refuse(peer, TOO_MANY_PAGES);
        }
        let mut older = room
            .chat
            .readable(session, from)
            .filter(|entry| query.before.is_none_or(|before| entry.seq < before))
            .peekable();
        let mut messages = Vec::new();
        let mut bytes = 0;
        while messages.len() < query.limit
            && let Some(entry) =
                older.next_if(|entry| bytes == 0 || bytes + entry.text.len() <= PAGE_BYTES_MAX)
        {
            bytes += entry.text.len();
            messages.push(entry);
        }
        messages.reverse();
        let more = older.peek().is_some();
        let text = ToPeer::History {
            data: History { messages, more },
        }
        .text();
        drop(older);
        self.effects.push_back(Effect::Send { to: peer, text });
    }

    /// Sends to the others whom `wants` says and who are here.
    fn tell_present(&mut self, from: SessionId, text: &Text, wants: impl Fn(&Seat) -> bool) {
        self.tell_those(from, resume::Kind::Other, text, |seat| {
            seat.session != from && matches!(seat.presence, Presence::Here(_)) && wants(seat)
        });
    }
}
