//! Rooms that are kept: made, changed and deleted, in the store first and then for the people in them.

use super::RoomsHandle;
use crate::id::{RoomId, RoomName};
use crate::room::{News, Place};
use crate::store::{Error, KeptRoom, NewRoom, RoomSettings};

impl RoomsHandle {
    /// Makes a room that is kept.
    ///
    /// # Errors
    /// [`Error::Exists`] when a room of that name is kept, or people are in one that is not.
    pub async fn create(&self, room: NewRoom) -> Result<KeptRoom, Error> {
        let _changing = self.changing.lock().await;
        let name = room.settings.name.clone();
        if self.members(&name).await.is_some() {
            return Err(Error::Exists);
        }
        let kept = self.store.create_room(&room).await?;
        self.announce(News::Created(place(&kept))).await;
        Ok(kept)
    }

    /// Changes what is set of a kept room; people in it are told. `change` gets what is set now.
    ///
    /// # Errors
    /// [`Error::Exists`] when the new name is taken, [`Error::NotFound`] when the room is not kept.
    pub async fn change(
        &self,
        id: RoomId,
        change: impl FnOnce(&mut RoomSettings) + Send,
    ) -> Result<KeptRoom, Error> {
        let _changing = self.changing.lock().await;
        let was = place(&self.store.room(id).await?);
        let kept = self.store.change_room(id, change).await?;
        let now = place(&kept);
        self.announce(News::Changed { was, now }).await;
        Ok(kept)
    }

    /// Deletes a kept room with all that belongs to it. Seats in it end, with a word to each person.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not kept.
    pub async fn delete(&self, id: RoomId, now: u64) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let was = place(&self.store.room(id).await?);
        self.store.delete_room(id, now).await?;
        self.announce(News::Deleted(was)).await;
        Ok(())
    }

    /// Under which room of the store the files of a room lie in which people are: a kept room's own id,
    /// for others a hidden one that is made on first use and goes with the room.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nobody is in a room of that name.
    pub async fn shelf(&self, room: &RoomName, now: u64) -> Result<RoomId, Error> {
        if self.members(room).await.is_none() {
            return Err(Error::NotFound);
        }
        self.store.create_shelf(room, now).await
    }

    async fn announce(&self, news: News) {
        self.ask(move |rooms, _| rooms.announce(news)).await;
    }
}

fn place(kept: &KeptRoom) -> Place {
    Place {
        room: kept.settings.name.clone(),
        kept: Some(kept.id),
        listed: kept.settings.listed,
    }
}
