//! Someone has shared a file, or taken one away.

use super::kept::Keeping;
use super::{Room, Rooms, resume};
use crate::id::{FileId, RoomId, RoomName, SessionId};
use crate::message::{FileEntry, FileGone, ToPeer};

/// A file that was taken away, as far as those it concerned are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenAway {
    /// Under which room of the store it lay.
    pub shelf: RoomId,
    /// Which.
    pub id: FileId,
    /// Who had sent it.
    pub sender: SessionId,
    /// For whom alone it was; `None` is everyone in the room.
    pub to: Option<SessionId>,
    /// Whose doing it is, if it is somebody's in the room.
    pub by: Option<SessionId>,
}

impl Rooms {
    /// A file has been uploaded whole. Everyone in the room is told, or the one it is for and
    /// whoever sent it; people away learn of it when they are back.
    pub fn file_added(&mut self, room: &RoomName, file: &FileEntry, to: Option<SessionId>) {
        let Some(room) = self.rooms.get_mut(room) else {
            return;
        };
        let from = file.session_id;
        let addressee = to.map(|to| to.to_string()).unwrap_or_default();
        let text = ToPeer::File {
            from,
            to: &addressee,
            data: file,
        }
        .text();
        room.tell(
            resume::Kind::Other,
            from,
            &text,
            |seat| to.is_none_or(|to| seat.session == to || seat.session == from),
            &mut self.effects,
        );
    }

    /// A file is there no longer. Whoever was told of it is told so.
    pub fn file_deleted(&mut self, file: &TakenAway) {
        let TakenAway { sender, to, by, .. } = *file;
        let room = match self.kept.get(&file.shelf) {
            Some(name) => self.rooms.get_mut(name),
            // Rare enough to look through all rooms.
            None => self
                .rooms
                .values_mut()
                .find(|room| room.settled_shelf() == Some(file.shelf)),
        };
        let Some(room) = room else {
            return;
        };
        let addressee = to.map(|to| to.to_string()).unwrap_or_default();
        let text = ToPeer::FileDelete {
            from: by,
            to: &addressee,
            data: FileGone { id: file.id },
        }
        .text();
        for seat in &mut room.seats {
            let own = seat.session;
            if to.is_none_or(|to| own == to || own == sender) {
                let from = by.unwrap_or(own);
                seat.send(resume::Kind::Other, from, &text, &mut self.effects);
            }
        }
    }
}

impl Room {
    /// Under which room of the store its files lie, once that is settled.
    pub(super) fn settled_shelf(&self) -> Option<RoomId> {
        match &self.keeping {
            Keeping::AdHoc { shelf } => *shelf,
            Keeping::Kept(kept) => Some(kept.id),
        }
    }
}
