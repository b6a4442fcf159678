//! A host changes what people may do.

use super::{Moment, Rooms};
use crate::id::{PeerId, SessionId};
use crate::message::{Kind, PolicyChange, Role, ToPeer};

impl Rooms {
    pub(super) fn set_policy(
        &mut self,
        peer: PeerId,
        by: SessionId,
        change: PolicyChange,
        now: Moment,
    ) {
        if !self.acts_as_host(peer, by) {
            return;
        }
        let Some(room) = self.room_of(by) else {
            return;
        };
        let policy = room.state.policy.with(change);
        room.state.policy = policy;
        let sharing: Vec<SessionId> = room
            .seats
            .iter()
            .filter(|seat| seat.role != Role::Host)
            .filter(|seat| seat.status.as_ref().is_some_and(|status| status.screen))
            .map(|seat| seat.session)
            .collect();
        let text = ToPeer::Policy {
            from: by,
            to: "",
            data: policy,
        }
        .text();
        self.tell_room(by, &text);
        if !policy.screen {
            for session in sharing {
                self.turn_off(session, Kind::Screen, by);
            }
        }
        if !policy.waiting_room {
            self.let_all_in(by, now);
        }
    }
}
