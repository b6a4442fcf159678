//! A host turns off what people send, or asks them to turn it on again.

use super::{NOT_HERE, Rooms, resume};
use crate::id::{PeerId, SessionId};
use crate::message::{ErrorType, Kind, Mute, Muted, Refusal, Role, ToPeer, Whose};

const CANNOT: Refusal = Refusal::new(
    ErrorType::Denied,
    "This person's app does not take such requests.",
);
const SHOWS_NOTHING: Refusal = Refusal::new(
    ErrorType::Denied,
    "A viewer shows nothing; make the person a guest first.",
);

impl Rooms {
    pub(super) fn mute(&mut self, peer: PeerId, by: SessionId, mute: Mute) {
        for session in self.meant(peer, by, mute.whose) {
            self.turn_off(session, mute.kind, by);
        }
    }

    /// Nobody's microphone is ever turned on from afar: the person is asked.
    pub(super) fn unmute(&mut self, peer: PeerId, by: SessionId, mute: Mute) {
        for session in self.meant(peer, by, mute.whose) {
            let is_viewer = self
                .room_of(by)
                .and_then(|room| room.seat(session))
                .is_some_and(|seat| seat.role == Role::Viewer);
            if is_viewer {
                self.refuse(peer, SHOWS_NOTHING);
            } else {
                self.ask_for(session, mute.kind, by);
            }
        }
    }

    pub(super) fn tell_of_muting(
        &mut self,
        session: SessionId,
        kind: Kind,
        by: SessionId,
        off: bool,
    ) {
        let (from, to, data) = (by, session, Muted { by, kind });
        let order = if off {
            ToPeer::Mute { from, to, data }
        } else {
            ToPeer::Unmute { from, to, data }
        };
        let text = order.text();
        self.tell_those(session, resume::Kind::Other, &text, |seat| {
            seat.session == session
        });
    }

    /// The people whom a host means; nobody, after a refusal, if there are none or it is no host.
    fn meant(&mut self, peer: PeerId, by: SessionId, whose: Whose) -> Vec<SessionId> {
        if !self.acts_as_host(peer, by) {
            return Vec::new();
        }
        let Some(room) = self.room_of(by) else {
            return Vec::new();
        };
        match whose {
            // People without a status came by an older protocol, which cannot be asked.
            Whose::Everyones => room
                .seats
                .iter()
                .filter(|seat| seat.role == Role::Guest && seat.status.is_some())
                .map(|seat| seat.session)
                .collect(),
            Whose::One(session) => {
                let refusal = match room.seat(session) {
                    None => NOT_HERE,
                    Some(seat) if seat.status.is_none() => CANNOT,
                    Some(_) => return vec![session],
                };
                self.refuse(peer, refusal);
                Vec::new()
            }
        }
    }
}
