//! What only passes through: offers, answers, candidates, statuses, wishes for picture sizes.

use super::{Rooms, resume};
use crate::id::SessionId;
use crate::message::{Forward, Status, Text, ToPeer, View};

impl Rooms {
    pub(super) fn forward(&mut self, from: SessionId, message: &Forward) {
        let text = message.text(from);
        match &message.to {
            Some(to) => self.tell(from, to, &text),
            None => self.tell_others(from, &text),
        }
    }

    pub(super) fn view(&mut self, from: SessionId, to: &str, view: &View) {
        if let Ok(session) = to.parse() {
            self.tell(
                from,
                to,
                &ToPeer::View {
                    from,
                    to: session,
                    data: view,
                }
                .text(),
            );
        }
    }

    pub(super) fn set_status(&mut self, session: SessionId, status: Status) {
        let text = ToPeer::Status {
            from: session,
            to: "",
            data: &status,
        }
        .text();
        if let Some(seat) = self
            .room_of(session)
            .and_then(|room| room.seat_mut(session))
        {
            seat.status = Some(status);
        }
        self.tell_others(session, &text);
    }

    /// Sends to one other person in the room of `from`; to nobody when there is no such person.
    fn tell(&mut self, from: SessionId, to: &str, text: &Text) {
        let Ok(to) = to.parse::<SessionId>() else {
            return;
        };
        let Some(name) = self.seated.get(&from) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        if to != from
            && let Some(seat) = room.seat_mut(to)
        {
            seat.send(resume::Kind::Other, text, &mut self.effects, &mut self.away);
        }
    }
}
