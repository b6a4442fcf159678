//! What the rooms ask of the store, each question in a task of its own: the owner never waits.

use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;
use tracing::warn;

use super::unix_ms;
use crate::id::{InviteId, RoomId};
use crate::message::{Policy, PolicyChange};
use crate::room::{Banned, Found, Invitation, Page, Query, Recalled, Record, Shown, Trouble, Wish};
use crate::store::password::Passwords;
use crate::store::{Error, KeptRoom, Message, Store, Window};

/// How many questions the store is asked at a time; the others wait. More would be no faster, and chat that is
/// to be kept would wait behind them.
const AT_ONCE: usize = 16;
/// How long an answer may take. A healthy database takes milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The way to what is kept.
pub(super) struct Desk {
    pub(super) store: Store,
    passwords: Passwords,
    places: Semaphore,
    /// Held while what is set of a kept room is changed: the store and the owner hear of such things in
    /// the same order.
    pub(super) changing: Mutex<()>,
}

impl Desk {
    pub(super) fn new(store: Store, passwords: Passwords) -> Self {
        Self {
            store,
            passwords,
            places: Semaphore::new(AT_ONCE),
            changing: Mutex::default(),
        }
    }

    /// What is kept under a name, and what becomes of what was shown at its door.
    pub(super) async fn look_up(&self, wish: &Wish) -> Result<Found, Trouble> {
        let Some((room, record)) = self.ask(self.room_with_people(wish)).await? else {
            return Ok(Found::NotKept);
        };
        let shown = match &wish.invite {
            Some(shown) => self.ask(self.try_invite(room.id, shown)).await?,
            // Hashing has a queue of its own: whoever guesses passwords takes nobody's place here.
            None => self.try_password(&room, wish.password.as_deref()).await?,
        };
        let record = Box::new(record);
        Ok(Found::Kept { record, shown })
    }

    async fn room_with_people(&self, wish: &Wish) -> Result<Option<(KeptRoom, Record)>, Trouble> {
        let room = match self.store.room_by_name(&wish.room).await {
            Ok(room) => room,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(trouble(&error)),
        };
        if room.settings.expires.is_some_and(|end| end <= unix_ms()) {
            // Its time is over; the next sweep deletes it.
            return Ok(None);
        }
        let bans = self.store.bans(room.id).await.map_err(|e| trouble(&e))?;
        let bans = bans.into_iter().map(|ban| Banned {
            session: ban.session,
            source: ban.address.and_then(|address| address.parse().ok()),
        });
        let record = Record {
            bans: bans.collect(),
            roles: self.store.roles(room.id).await.map_err(|e| trouble(&e))?,
            ..record(&room)
        };
        Ok(Some((room, record)))
    }

    async fn try_invite(&self, room: RoomId, shown: &Invitation) -> Result<Shown, Trouble> {
        let (found, again) = match shown {
            Invitation::Secret(secret) => {
                let used = self.store.use_invite(room, secret, unix_ms()).await;
                (used, false)
            }
            Invitation::Used(id) => {
                let found = self.store.standing_invite(room, *id, unix_ms()).await;
                (found, true)
            }
        };
        match found {
            Ok(invite) => Ok(Shown::Invite {
                id: invite.id,
                role: invite.of.role,
                again,
            }),
            Err(Error::NotFound) => Ok(Shown::NoInvite),
            Err(error) => Err(trouble(&error)),
        }
    }

    async fn try_password(&self, room: &KeptRoom, tried: Option<&str>) -> Result<Shown, Trouble> {
        let (Some(hash), Some(tried)) = (&room.settings.password, tried) else {
            return Ok(Shown::Nothing);
        };
        match self.passwords.verify(hash, tried).await {
            Ok(true) => Ok(Shown::RightPassword),
            // No password is as long as that.
            Ok(false) | Err(Error::TooMuch) => Ok(Shown::WrongPassword),
            Err(error) => Err(trouble(&error)),
        }
    }

    /// Older messages of a room.
    pub(super) async fn fetch(&self, query: &Query) -> Result<Page, Trouble> {
        self.ask(async {
            let mut found = Page {
                messages: Vec::new(),
                more: true,
            };
            let mut before = query.before;
            while found.more && found.messages.len() < query.limit {
                let left = query.limit - found.messages.len();
                let window = Window {
                    reader: Some(query.session),
                    before,
                    after: query.after,
                    limit: u32::try_from(left).unwrap_or(u32::MAX),
                };
                let page = self.store.history(query.room, window).await;
                let page = page.map_err(|error| trouble(&error))?;
                before = page.messages.first().map(|message| message.seq);
                found.more = page.more && before.is_some();
                let older = page.messages.into_iter().map(recalled);
                found.messages.splice(0..0, older);
            }
            Ok(found)
        })
        .await
    }

    async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let answered = timeout(ANSWER_WITHIN, async {
            let _place = self.places.acquire().await;
            question.await
        });
        match answered.await {
            Ok(answer) => answer,
            Err(_) => {
                warn!("the store does not answer in time");
                Err(Trouble::Unavailable)
            }
        }
    }

    /// An invitation gave no seat after all.
    pub(super) async fn give_back(&self, invite: InviteId) {
        match self.store.give_back_invite(invite).await {
            // Deleted meanwhile.
            Ok(()) | Err(Error::NotFound) => {}
            Err(error) => warn!(%error, "the use of an invitation could not be given back"),
        }
    }

    /// Somebody is in these rooms.
    pub(super) async fn touch(&self, rooms: Vec<RoomId>) {
        for room in rooms {
            match self.store.touch_room(room, unix_ms()).await {
                Ok(()) | Err(Error::NotFound) => {}
                // The cause has been logged; the next time is soon.
                Err(_) => return,
            }
        }
    }

    /// A room that was not kept has ended: so do its files.
    pub(super) async fn clear(&self, shelf: RoomId) {
        match self.store.delete_room(shelf, unix_ms()).await {
            Ok(()) | Err(Error::NotFound) => {}
            Err(error) => warn!(%error, "files of a room that has ended stay until the next start"),
        }
    }
}

/// What the rooms need to know of a kept room, but for its people.
pub(super) fn record(room: &KeptRoom) -> Record {
    let settings = &room.settings;
    Record {
        id: room.id,
        name: settings.name.clone(),
        listed: settings.listed,
        locked: settings.locked,
        capacity: settings
            .capacity
            .and_then(|capacity| usize::try_from(capacity).ok()),
        policy: policy(&settings.policy),
        has_password: settings.password.is_some(),
        newest_seq: room.newest_seq,
        bans: Vec::new(),
        roles: Vec::new(),
    }
}

/// A policy as it is kept: as much of it as was ever set.
pub(super) fn policy(json: &str) -> Policy {
    match serde_json::from_str::<PolicyChange>(json) {
        Ok(set) => Policy::default().with(set),
        Err(error) => {
            warn!(%error, "a room's policy cannot be read; it is taken as a new room's");
            Policy::default()
        }
    }
}

pub(super) fn trouble(error: &Error) -> Trouble {
    match error {
        Error::NotFound | Error::Exists | Error::Conflict => Trouble::NoSuch,
        Error::TooMuch | Error::TooLarge => Trouble::TooMuch,
        Error::Busy => Trouble::Busy,
        Error::Broken | Error::WrongType | Error::Unavailable => Trouble::Unavailable,
    }
}

fn recalled(message: Message) -> Recalled {
    Recalled {
        changed: message.edited.max(message.deleted).max(message.reacted),
        entry: message.into(),
    }
}
