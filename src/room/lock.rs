//! A host locks the room, or unlocks it.

use super::Rooms;
use crate::id::{PeerId, SessionId};
use crate::message::{Lock, ToPeer};

impl Rooms {
    pub(super) fn lock(&mut self, peer: PeerId, by: SessionId, lock: Lock) {
        if !self.acts_as_host(peer, by) {
            return;
        }
        if let Some(room) = self.room_of(by) {
            room.state.locked = lock.locked;
        }
        let text = ToPeer::Lock {
            from: by,
            to: "",
            data: lock,
        }
        .text();
        self.tell_room(by, &text);
    }
}
