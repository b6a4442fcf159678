//! What others ask of rooms: who is where, and as what.

use super::{Rooms, Seat};
use crate::id::{DisplayName, RoomId, RoomName, SessionId};
use crate::message::{Participant, Policy, Role};

/// Where a session sits, and what it may do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatInfo {
    /// The room.
    pub room: RoomName,
    /// What the room is kept as, if it is.
    pub kept: Option<RoomId>,
    /// What the person is called.
    pub name: DisplayName,
    /// What the person may do.
    pub role: Role,
    /// What people in the room may do; hosts may do all of it.
    pub policy: Policy,
    /// Under which room of the store the room's files lie, once there are any.
    pub shelf: Option<RoomId>,
    /// From when on the person may see what was shared, in milliseconds since 1970.
    pub sees_from: u64,
}

impl Rooms {
    /// Everyone in a room, the oldest first; `None` when nobody is.
    #[must_use]
    pub fn members(&self, room: &RoomName) -> Option<Vec<Participant>> {
        let room = self.rooms.get(room).filter(|room| !room.seats.is_empty())?;
        Some(room.seats.iter().map(Seat::participant).collect())
    }

    /// How many people are in a room.
    #[must_use]
    pub fn people(&self, room: &RoomName) -> usize {
        self.rooms.get(room).map_or(0, |room| room.seats.len())
    }

    /// Where a session sits; `None` when it sits nowhere.
    #[must_use]
    pub fn seat_info(&self, session: SessionId) -> Option<SeatInfo> {
        let room = self.rooms.get(self.seated.get(&session)?)?;
        let seat = room.seat(session)?;
        Some(SeatInfo {
            room: room.state.name.clone(),
            kept: room.id(),
            name: seat.name.clone(),
            role: seat.role,
            policy: room.state.policy,
            shelf: self.shelf(&room.state.name).flatten(),
            sees_from: if self.settings.history {
                0
            } else {
                seat.joined
            },
        })
    }
}
