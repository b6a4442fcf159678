//! Rooms that are kept: made, changed and deleted, in the store first and then for the people in them.

use super::RoomsHandle;
use super::desk::record;
use crate::id::{RoomId, RoomName};
use crate::store::{Error, KeptRoom, NewRoom, RoomSettings};

impl RoomsHandle {
    /// Makes a room that is kept.
    ///
    /// # Errors
    /// [`Error::Exists`] when a room of that name is kept, or people are in one that is not.
    pub async fn create(&self, room: NewRoom) -> Result<KeptRoom, Error> {
        let this = self.clone();
        to_its_end(async move { this.create_now(room).await }).await
    }

    async fn create_now(&self, room: NewRoom) -> Result<KeptRoom, Error> {
        let _changing = self.desk.changing.lock().await;
        if self.members(&room.settings.name).await.is_some() {
            return Err(Error::Exists);
        }
        let kept = self.desk.store.create_room(&room).await?;
        let made = record(&kept);
        let was_free = self
            .ask(move |rooms, _| rooms.kept_was_made(&made))
            .await
            .unwrap_or(true);
        if !was_free {
            // Somebody was faster to come than we were to write.
            self.desk.store.delete_room(kept.id, room.created).await?;
            return Err(Error::Exists);
        }
        Ok(kept)
    }

    /// Changes what is set of a kept room; people in it are told. `change` gets what is set now.
    ///
    /// # Errors
    /// [`Error::Exists`] when the new name is taken, [`Error::NotFound`] when the room is not kept.
    pub async fn change(
        &self,
        id: RoomId,
        change: impl FnOnce(&mut RoomSettings) + Send + 'static,
    ) -> Result<KeptRoom, Error> {
        let this = self.clone();
        to_its_end(async move { this.change_now(id, change).await }).await
    }

    async fn change_now(
        &self,
        id: RoomId,
        change: impl FnOnce(&mut RoomSettings) + Send,
    ) -> Result<KeptRoom, Error> {
        let _changing = self.desk.changing.lock().await;
        let mut before = None;
        let kept = self
            .desk
            .store
            .change_room(id, |settings| {
                before = Some(settings.clone());
                change(settings);
            })
            .await?;
        let Some(before) = before else {
            return Ok(kept);
        };
        let was = record(&KeptRoom {
            settings: before.clone(),
            ..kept.clone()
        });
        let now_is = record(&kept);
        let is_done = self
            .ask(move |rooms, now| rooms.kept_was_changed(&was, &now_is, now))
            .await
            .unwrap_or(true);
        if !is_done {
            // People are in a room of the new name that is not kept: everything is as it was.
            self.desk
                .store
                .change_room(id, |settings| *settings = before)
                .await?;
            return Err(Error::Exists);
        }
        Ok(kept)
    }

    /// Deletes a kept room with all that belongs to it. Seats in it end, with a word to each person.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not kept.
    pub async fn delete(&self, id: RoomId, now: u64) -> Result<(), Error> {
        let this = self.clone();
        to_its_end(async move { this.delete_now(id, now).await }).await
    }

    async fn delete_now(&self, id: RoomId, now: u64) -> Result<(), Error> {
        let _changing = self.desk.changing.lock().await;
        let was = self.desk.store.room(id).await?;
        self.desk.store.delete_room(id, now).await?;
        self.has_gone(&was).await;
        Ok(())
    }

    /// Tells people in rooms whose time was over, which the store has deleted by itself.
    pub async fn swept(&self, rooms: &[KeptRoom]) {
        for room in rooms {
            self.has_gone(room).await;
        }
    }

    async fn has_gone(&self, room: &KeptRoom) {
        let (id, name, listed) = (room.id, room.settings.name.clone(), room.settings.listed);
        self.ask(move |rooms, _| rooms.kept_was_deleted(id, &name, listed))
            .await;
    }

    /// Under which room of the store the files of a room lie in which people are: a kept room's own id,
    /// for others a hidden one that is made on first use and goes with the room.
    ///
    /// # Errors
    /// [`Error::NotFound`] when nobody is in a room of that name.
    pub async fn shelf(&self, room: &RoomName, now: u64) -> Result<RoomId, Error> {
        let (this, room) = (self.clone(), room.clone());
        to_its_end(async move { this.shelf_now(&room, now).await }).await
    }

    async fn shelf_now(&self, room: &RoomName, now: u64) -> Result<RoomId, Error> {
        let name = room.clone();
        let settled = self.ask(move |rooms, _| rooms.shelf(&name)).await;
        match settled.flatten() {
            None => return Err(Error::NotFound),
            Some(Some(id)) => return Ok(id),
            Some(None) => {}
        }
        let made = self.desk.store.create_shelf(room, now).await?;
        let name = room.clone();
        let settled = self
            .ask(move |rooms, _| rooms.settle_shelf(&name, made))
            .await;
        let settled = settled.flatten();
        if settled != Some(made) {
            // Somebody else was faster, or everybody has left.
            self.desk.clear(made).await;
        }
        settled.ok_or(Error::NotFound)
    }
}

/// Does it in a task of its own: whoever asked may go, and the store and the owner must not know different things.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let ended = tokio::spawn(change).await;
    ended.unwrap_or(Err(Error::Unavailable))
}
