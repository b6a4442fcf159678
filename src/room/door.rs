//! How a room lets someone in.

use super::{Room, Rooms, kick};
use crate::id::{InviteId, PeerId, RoomName, SessionId, Source};
use crate::message::{ErrorType, Refusal, Role};

pub(super) const FULL: Refusal = Refusal::new(ErrorType::Full, "This room is full.");

const LOCKED: Refusal = Refusal::new(ErrorType::Locked, "This room is locked.");
const NO_PASSWORD: Refusal = Refusal::new(ErrorType::Password, "This room needs a password.");

/// How a door is for someone.
pub(super) enum Door {
    /// The person comes in at once.
    Open,
    /// A host decides.
    Ajar,
}

/// What someone has shown at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Nothing.
    None,
    /// The right password.
    Password,
    /// An invitation, used now or before.
    Invite {
        /// Which.
        id: InviteId,
        /// As what the person comes.
        role: Role,
    },
    /// A token that somebody with a right to do so has made.
    Card {
        /// As what the person comes.
        role: Role,
        /// It also opens a locked room.
        opens_lock: bool,
    },
    /// The token of a seat from before a restart, in a room that has outlived it. Whoever sat in a locked room goes
    /// on sitting there.
    Seat {
        /// As what, if something that came along says so.
        role: Option<Role>,
        /// The invitation by which the person came, if that was shown too.
        invite: Option<InviteId>,
    },
}

impl Pass {
    /// As what someone sits down, if the pass says so.
    pub(super) fn role(self) -> Option<Role> {
        match self {
            Self::None | Self::Password => None,
            Self::Invite { role, .. } | Self::Card { role, .. } => Some(role),
            Self::Seat { role, .. } => role,
        }
    }

    /// The invitation by which someone comes.
    pub(super) fn invite(self) -> Option<InviteId> {
        match self {
            Self::Invite { id, .. } => Some(id),
            Self::Seat { invite, .. } => invite,
            Self::None | Self::Password | Self::Card { .. } => None,
        }
    }

    fn opens_lock(self) -> bool {
        match self {
            Self::Card { opens_lock, .. } => opens_lock,
            Self::Seat { .. } => true,
            Self::None | Self::Password | Self::Invite { .. } => false,
        }
    }

    /// Whether someone who could be sent away has said that this person may come.
    fn is_known(self) -> bool {
        matches!(
            self,
            Self::Invite { .. } | Self::Card { .. } | Self::Seat { .. }
        )
    }
}

impl Room {
    /// Why nobody with this pass gets in, whatever the password is.
    pub(super) fn refusal_at_the_door(
        &self,
        session: SessionId,
        source: Source,
        pass: Pass,
    ) -> Option<Refusal> {
        let is_banned = self.removals.is_banned(session, source)
            || self
                .kept()
                .is_some_and(|kept| kept.has_banned(session, source));
        if is_banned {
            Some(kick::BANNED)
        } else if self.seat(session).is_some() {
            // It needs no other.
            None
        } else if self.state.locked && !pass.opens_lock() {
            Some(LOCKED)
        } else if self.is_full() {
            Some(FULL)
        } else {
            None
        }
    }

    /// Whether someone with this pass still has to name the password.
    pub(super) fn asks_for_password(&self, pass: Pass) -> bool {
        pass == Pass::None && self.kept().is_some_and(|kept| kept.has_password)
    }
}

impl Rooms {
    /// How the room's door is for `session`.
    pub(super) fn door(
        &self,
        peer: PeerId,
        session: SessionId,
        room: &RoomName,
        pass: Pass,
    ) -> Result<Door, Refusal> {
        let (Some(room), Some(asking)) = (self.rooms.get(room), self.peers.get(&peer)) else {
            return Ok(Door::Open);
        };
        if let Some(refusal) = room.refusal_at_the_door(session, asking.source, pass) {
            return Err(refusal);
        }
        if room.asks_for_password(pass) {
            return Err(NO_PASSWORD);
        }
        Ok(if room.state.policy.waiting_room && !pass.is_known() {
            Door::Ajar
        } else {
            Door::Open
        })
    }
}
