//! Someone has shared a file.

use super::{News, Rooms, resume};
use crate::id::{RoomName, SessionId};
use crate::message::{FileEntry, ToPeer};

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
        if to.is_none() {
            let (place, file) = (room.place(), file.clone());
            self.tell_the_news(News::FileAdded { place, file });
        }
    }
}
