//! A host changes what people may do.

use super::{Job, Moment, Rooms, resume};
use crate::id::{PeerId, RoomName, SessionId};
use crate::message::{Kind, Policy, PolicyChange, Role, ToPeer};

impl Rooms {
    pub(super) fn set_policy(
        &mut self,
        peer: PeerId,
        by: SessionId,
        change: PolicyChange,
        now: Moment,
    ) {
        if !self.acts_as_host(peer, by) || self.keep(peer, by, || Job::Policy { by, change }) {
            return;
        }
        let Some(room) = self.room_of(by) else {
            return;
        };
        let (name, policy) = (room.state.name.clone(), room.state.policy.with(change));
        self.put_policy(&name, by, policy, now);
    }

    /// From now on this holds; everyone is told by whom.
    pub(super) fn put_policy(
        &mut self,
        name: &RoomName,
        by: SessionId,
        policy: Policy,
        now: Moment,
    ) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        room.state.policy = policy;
        let text = ToPeer::Policy {
            from: by,
            to: "",
            data: policy,
        }
        .text();
        room.tell(resume::Kind::Other, by, &text, |_| true, &mut self.effects);
        self.follow_policy(name, Some(by), now);
    }

    /// Ends what people may not do any more, and lets those in who need not wait any more. When it was
    /// changed from outside, a host who is here stands for whoever did it, or the person's own session.
    pub(super) fn follow_policy(&mut self, name: &RoomName, by: Option<SessionId>, now: Moment) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let policy = room.state.policy;
        let by = by.or_else(|| {
            let mut seats = room.seats.iter();
            seats
                .find(|seat| seat.role == Role::Host)
                .map(|seat| seat.session)
        });
        let sharing: Vec<SessionId> = room
            .seats
            .iter()
            .filter(|seat| seat.role != Role::Host)
            .filter(|seat| seat.status.as_ref().is_some_and(|status| status.screen))
            .map(|seat| seat.session)
            .collect();
        if !policy.screen {
            for session in sharing {
                self.turn_off(session, Kind::Screen, by.unwrap_or(session));
            }
        }
        if !policy.waiting_room {
            self.let_all_in(name, now);
        }
    }
}
