//! A host locks the room, or unlocks it.

use super::{Job, Rooms, resume};
use crate::id::{PeerId, RoomName, SessionId};
use crate::message::{Lock, ToPeer};

impl Rooms {
    pub(super) fn lock(&mut self, peer: PeerId, by: SessionId, lock: Lock) {
        if !self.acts_as_host(peer, by) {
            return;
        }
        if self.keep(peer, by, || Job::Lock { by, lock }) {
            return;
        }
        if let Some(name) = self.seated.get(&by).cloned() {
            self.set_lock(&name, by, lock);
        }
    }

    pub(super) fn set_lock(&mut self, name: &RoomName, by: SessionId, lock: Lock) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        room.state.locked = lock.locked;
        let text = ToPeer::Lock {
            from: by,
            to: "",
            data: lock,
        }
        .text();
        room.tell(resume::Kind::Other, by, &text, |_| true, &mut self.effects);
    }
}
