//! Someone gets another role: from a host, or because the last host has left.

use super::{Job, Moment, NOT_HERE, Rooms};
use crate::id::{PeerId, RoomName, SessionId};
use crate::message::{ErrorType, Refusal, Role, RoleChange, ToPeer};

const LAST_HOST: Refusal = Refusal::new(
    ErrorType::Denied,
    "A room needs a host; make someone else host first.",
);

impl Rooms {
    pub(super) fn set_role(
        &mut self,
        peer: PeerId,
        by: SessionId,
        change: RoleChange,
        now: Moment,
    ) {
        if !self.acts_as_host(peer, by) {
            return;
        }
        let Some(room) = self.room_of(by) else {
            return;
        };
        let is_here = room.seat(change.session_id).is_some();
        let others_host = room
            .seats
            .iter()
            .any(|seat| seat.role == Role::Host && seat.session != change.session_id);
        if !is_here {
            self.refuse(peer, NOT_HERE);
        } else if change.role != Role::Host && !others_host {
            self.refuse(peer, LAST_HOST);
        } else if !self.keep(peer, by, || Job::Role {
            by,
            change,
            time: now.unix_ms,
        }) {
            self.give_role(Some(by), change);
        }
    }

    /// The store has it. The person may have left meanwhile, and is it on coming back.
    pub(super) fn role_was_kept(&mut self, name: &RoomName, by: SessionId, change: RoleChange) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        if let Some(kept) = room.kept_mut() {
            kept.roles.insert(change.session_id, change.role);
        }
        if room.seat(change.session_id).is_some() {
            self.give_role(Some(by), change);
        }
    }

    /// `by` is nobody when the role passes by itself.
    pub(super) fn give_role(&mut self, by: Option<SessionId>, change: RoleChange) {
        let session = change.session_id;
        let Some(seat) = self.seat_of(session) else {
            return;
        };
        seat.role = change.role;
        let text = ToPeer::Role {
            from: by,
            to: "",
            data: change,
        }
        .text();
        self.tell_room(session, &text);
        self.stop_what_is_not_allowed(session);
        if change.role == Role::Host {
            self.tell_of_waiting(session);
        }
    }
}
