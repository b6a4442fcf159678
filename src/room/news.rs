//! What those learn who watch rooms from outside.

use super::{Effect, Room, Rooms};
use crate::id::{DisplayName, RoomId, RoomName, SessionId};
use crate::message::Role;

/// A room, as it is known outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name now.
    pub room: RoomName,
    /// What it is kept as, if it is.
    pub kept: Option<RoomId>,
    /// Whether everyone may know of it.
    pub listed: bool,
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The first person has come.
    Started(Place),
    /// The last person has left.
    Ended(Place),
    /// Someone has sat down.
    Joined {
        /// Where.
        place: Place,
        /// Who.
        session: SessionId,
        /// The final name.
        name: DisplayName,
        /// As what.
        role: Role,
    },
    /// Someone has left for good.
    Left {
        /// Where.
        place: Place,
        /// Who.
        session: SessionId,
        /// The name.
        name: DisplayName,
    },
    /// A kept room was made.
    Created(Place),
    /// What is set of a kept room was changed.
    Changed {
        /// What it was.
        was: Place,
        /// What it is.
        now: Place,
    },
    /// A kept room is no more.
    Deleted(Place),
}

impl Rooms {
    pub(super) fn tell_the_news(&mut self, news: News) {
        self.effects.push_back(Effect::News(news));
    }
}

impl Room {
    pub(super) fn place(&self) -> Place {
        Place {
            room: self.state.name.clone(),
            kept: self.id(),
            listed: self.kept().is_some_and(|kept| kept.listed),
        }
    }
}
