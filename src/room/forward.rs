//! What only passes through: offers, answers, candidates, wishes for picture sizes.

use super::{Rooms, resume};
use crate::id::SessionId;
use crate::message::{Forward, Text, ToPeer, View};

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

    /// Sends to one other person in the room of `from`; to nobody when there is no such person.
    fn tell(&mut self, from: SessionId, to: &str, text: &Text) {
        let Ok(to) = to.parse::<SessionId>() else {
            return;
        };
        self.tell_those(from, resume::Kind::Other, text, |seat| {
            seat.session == to && to != from
        });
    }
}
