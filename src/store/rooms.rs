//! Rooms that are kept, and who is banned from them.

use std::time::Duration;

use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::query::Query;

use super::database::Tx;
use super::password::Hash;
use super::{Columns, Error, Store, error, number, text};
use crate::id::{RoomId, RoomName, SessionId};

/// A policy is a handful of switches; in bytes of JSON.
const POLICY_BYTES_MAX: usize = 4 * 1024;

/// How many people may be banned from one room: far more than it ever held, and no list without end.
const BANS_MAX: i64 = 1000;

/// What may be set of a room, by whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSettings {
    /// Its name.
    pub name: RoomName,
    /// Whether everyone finds it in the list.
    pub listed: bool,
    /// Whether nobody may enter any more.
    pub locked: bool,
    /// What opens it, if it needs a password.
    pub password: Option<Hash>,
    /// How many people it holds; `None` is as the server's settings say.
    pub capacity: Option<u32>,
    /// When it ends, in milliseconds since 1970.
    pub expires: Option<u64>,
    /// How long after the last visit it ends, apart from what the server's settings say.
    pub idle: Option<Duration>,
    /// What guests may do, as JSON of at most 4 KiB. The store does not read it.
    pub policy: String,
}

/// A room to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// What is set.
    pub settings: RoomSettings,
    /// Now, in milliseconds since 1970.
    pub created: u64,
}

/// A room that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRoom {
    /// What it is known by, whatever its name.
    pub id: RoomId,
    /// What is set.
    pub settings: RoomSettings,
    /// When it was made, in milliseconds since 1970.
    pub created: u64,
    /// When somebody was last in it, in milliseconds since 1970.
    pub last_active: u64,
    /// The number of its newest message, 0 before the first.
    pub newest_seq: u64,
}

impl RoomSettings {
    /// An unlisted, open room of that name, everything else at its default.
    #[must_use]
    pub fn named(name: RoomName) -> Self {
        Self {
            name,
            listed: false,
            locked: false,
            password: None,
            capacity: None,
            expires: None,
            idle: None,
            policy: "{}".to_owned(),
        }
    }

    fn checked(&self) -> Result<(), Error> {
        if self.policy.len() > POLICY_BYTES_MAX {
            return Err(Error::TooMuch);
        }
        Ok(())
    }
}

/// Some of a list, and whether there is more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Whether more follow.
    pub more: bool,
}

impl<T> Page<T> {
    /// From a query that asked for one more than wanted.
    pub(super) fn of(mut items: Vec<T>, wanted: u32) -> Self {
        let wanted = wanted as usize;
        let more = items.len() > wanted;
        items.truncate(wanted);
        Self { items, more }
    }
}

/// A person who may not enter a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The session that was removed.
    pub session: SessionId,
    /// What the person was called, for whoever lifts the ban.
    pub name: String,
    /// Where the person came from: an address, or the range that counts as one.
    pub address: Option<String>,
    /// When, in milliseconds since 1970.
    pub created: u64,
}

impl Store {
    /// Makes a room.
    ///
    /// # Errors
    /// [`Error::Exists`] when a room of that name is kept already.
    pub async fn create_room(&self, room: &NewRoom) -> Result<KeptRoom, Error> {
        self.insert_room(RoomId::random(), room, room.settings.name.folded(), false)
            .await
    }

    /// Makes a place for the files of a room that is not kept. It has no name that anyone could find it by,
    /// and is deleted like any other room.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn create_shelf(&self, room: &RoomName, now: u64) -> Result<RoomId, Error> {
        let id = RoomId::random();
        let room = NewRoom {
            settings: RoomSettings::named(room.clone()),
            created: now,
        };
        // No room's name begins with a control character.
        let folded = format!("\u{1}{}", id.number());
        Ok(self.insert_room(id, &room, &folded, true).await?.id)
    }

    /// Deletes the shelves that a server which did not stop in order has left. To be called before anybody
    /// can be in a room.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn clear_shelves(&self, now: u64) -> Result<u64, Error> {
        let rows = sqlx::query("SELECT id FROM rooms WHERE hidden = 1")
            .fetch_all(&self.database.pool)
            .await?;
        let mut cleared = 0;
        for row in &rows {
            match self.delete_room(RoomId::new(row.signed("id")?), now).await {
                Ok(()) => cleared += 1,
                Err(Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(cleared)
    }

    async fn insert_room(
        &self,
        id: RoomId,
        room: &NewRoom,
        folded: &str,
        hidden: bool,
    ) -> Result<KeptRoom, Error> {
        let NewRoom { settings, created } = room;
        settings.checked()?;
        let mut tx = self.database.begin().await?;
        let insert = sqlx::query(
            "INSERT INTO rooms (id, name, folded, listed, locked, password, capacity, expires, idle, \
             policy, created, last_active, last_seq, hidden) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, 0, $12)",
        );
        bind_settings(insert, id, folded, settings)
            .bind(number(*created))
            .bind(i64::from(hidden))
            .execute(tx.on())
            .await?;
        tx.commit().await?;
        Ok(KeptRoom {
            id,
            settings: settings.clone(),
            created: *created,
            last_active: *created,
            newest_seq: 0,
        })
    }

    /// The room of that name, compared without case.
    ///
    /// # Errors
    /// [`Error::NotFound`] when none is kept.
    pub async fn room_by_name(&self, name: &RoomName) -> Result<KeptRoom, Error> {
        let row = sqlx::query("SELECT * FROM rooms WHERE folded = $1")
            .bind(name.folded())
            .fetch_one(&self.database.pool)
            .await?;
        read_room(&row)
    }

    /// The room of that id.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not kept any more.
    pub async fn room(&self, id: RoomId) -> Result<KeptRoom, Error> {
        let row = sqlx::query("SELECT * FROM rooms WHERE id = $1")
            .bind(id.number())
            .fetch_one(&self.database.pool)
            .await?;
        read_room(&row)
    }

    /// Up to `limit` rooms that have not expired by `now` and whose name contains `query` without regard to case, in
    /// the order of their folded names, those after `after`. Those that are not listed are among them if `all` are wanted.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn listed_rooms(
        &self,
        query: &str,
        after: Option<&str>,
        limit: u32,
        all: bool,
        now: u64,
    ) -> Result<Page<KeptRoom>, Error> {
        let mut pattern = String::from("%");
        for letter in query.to_lowercase().chars().filter(|&c| c != '\0') {
            if matches!(letter, '%' | '_' | '!') {
                pattern.push('!');
            }
            pattern.push(letter);
        }
        pattern.push('%');
        let rows = sqlx::query(
            "SELECT * FROM rooms WHERE listed >= $4 AND hidden = 0 AND (expires IS NULL OR expires > $5) \
             AND folded LIKE $1 ESCAPE '!' AND folded > $2 ORDER BY folded LIMIT $3",
        )
        .bind(pattern)
        .bind(text(after.unwrap_or_default()))
        .bind(i64::from(limit) + 1)
        .bind(i64::from(!all))
        .bind(number(now))
        .fetch_all(&self.database.pool)
        .await?;
        let rooms = rows.iter().map(read_room).collect::<Result<_, _>>()?;
        Ok(Page::of(rooms, limit))
    }

    /// Changes what is set of a room. `change` gets what is set now; what it leaves there holds.
    ///
    /// # Errors
    /// [`Error::Exists`] when another room has the new name, [`Error::NotFound`] when the room is
    /// not kept any more.
    pub async fn change_room(
        &self,
        id: RoomId,
        change: impl FnOnce(&mut RoomSettings),
    ) -> Result<KeptRoom, Error> {
        let mut tx = self.database.begin().await?;
        let mut room = hold_room(&mut tx, id).await?;
        change(&mut room.settings);
        let settings = &room.settings;
        settings.checked()?;
        let update = sqlx::query(
            "UPDATE rooms SET name = $2, folded = $3, listed = $4, locked = $5, password = $6, \
             capacity = $7, expires = $8, idle = $9, policy = $10 WHERE id = $1",
        );
        bind_settings(update, id, settings.name.folded(), settings)
            .execute(tx.on())
            .await?;
        tx.commit().await?;
        Ok(room)
    }

    /// Notes that somebody is in the room, so that it does not count as forgotten.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not kept any more.
    pub async fn touch_room(&self, id: RoomId, now: u64) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE rooms SET last_active = CASE WHEN last_active < $2 THEN $2 ELSE last_active END \
             WHERE id = $1",
        )
        .bind(id.number())
        .bind(number(now))
        .execute(tx.on())
        .await?;
        tx.commit().await?;
        found(done.rows_affected())
    }

    /// Deletes a room with its messages, files, invitations and bans. The files' bytes go with
    /// the next sweep after `now`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not kept.
    pub async fn delete_room(&self, id: RoomId, now: u64) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        delete_room(&mut tx, id, now).await?;
        tx.commit().await?;
        self.digests.forget_room(id);
        Ok(())
    }

    /// Bans a person from a room, whose role there is forgotten; a second time changes nothing but what was noted.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the room is not kept, [`Error::TooMuch`] when too many are banned.
    pub async fn ban(&self, room: RoomId, ban: &Ban) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        hold_room(&mut tx, room).await?;
        let row =
            sqlx::query("SELECT COUNT(*) AS banned FROM bans WHERE room = $1 AND session <> $2")
                .bind(room.number())
                .bind(ban.session.to_string())
                .fetch_one(tx.on())
                .await?;
        if row.signed("banned")? >= BANS_MAX {
            return Err(Error::TooMuch);
        }
        sqlx::query(
            "INSERT INTO bans (room, session, name, address, created) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (room, session) DO UPDATE SET name = $3, address = $4, created = $5",
        )
        .bind(room.number())
        .bind(ban.session.to_string())
        .bind(text(&ban.name))
        .bind(ban.address.as_deref().map(text))
        .bind(number(ban.created))
        .execute(tx.on())
        .await?;
        sqlx::query("DELETE FROM roles WHERE room = $1 AND session = $2")
            .bind(room.number())
            .bind(ban.session.to_string())
            .execute(tx.on())
            .await?;
        tx.commit().await
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn unban(&self, room: RoomId, session: SessionId) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let done = sqlx::query("DELETE FROM bans WHERE room = $1 AND session = $2")
            .bind(room.number())
            .bind(session.to_string())
            .execute(tx.on())
            .await?;
        tx.commit().await?;
        found(done.rows_affected())
    }

    /// Everyone who is banned from a room, the latest first.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn bans(&self, room: RoomId) -> Result<Vec<Ban>, Error> {
        let rows = sqlx::query("SELECT * FROM bans WHERE room = $1 ORDER BY created DESC, session")
            .bind(room.number())
            .fetch_all(&self.database.pool)
            .await?;
        let read = |row: &AnyRow| {
            Ok(Ban {
                session: row.parsed("session")?,
                name: row.text("name")?,
                address: row.text_if_any("address")?,
                created: row.number("created")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Puts the room at `$1` of a statement, and what is set of it at `$2` to `$10`.
fn bind_settings<'q>(
    statement: Query<'q, Any, AnyArguments>,
    id: RoomId,
    folded: &str,
    settings: &RoomSettings,
) -> Query<'q, Any, AnyArguments> {
    statement
        .bind(id.number())
        .bind(settings.name.as_str())
        .bind(folded)
        .bind(i64::from(settings.listed))
        .bind(i64::from(settings.locked))
        .bind(settings.password.as_ref().map(Hash::as_str))
        .bind(settings.capacity.map(i64::from))
        .bind(settings.expires.map(number))
        .bind(settings.idle.map(milliseconds))
        .bind(text(&settings.policy))
}

/// The room, which nobody else can change until the transaction ends.
pub(super) async fn hold_room(tx: &mut Tx<'_>, id: RoomId) -> Result<KeptRoom, Error> {
    // A write locks the row on both databases; `FOR UPDATE` is known to one only.
    let row = sqlx::query("UPDATE rooms SET last_seq = last_seq WHERE id = $1 RETURNING *")
        .bind(id.number())
        .fetch_one(tx.on())
        .await?;
    read_room(&row)
}

/// Deletes a room and all that belongs to it. Its files' pieces are noted for removal.
pub(super) async fn delete_room(tx: &mut Tx<'_>, id: RoomId, now: u64) -> Result<(), Error> {
    hold_room(tx, id).await?;
    sqlx::query(
        "INSERT INTO graves (key, due) SELECT key, $2 FROM parts \
         WHERE file IN (SELECT id FROM files WHERE room = $1)",
    )
    .bind(id.number())
    .bind(number(now))
    .execute(tx.on())
    .await?;
    sqlx::query("DELETE FROM rooms WHERE id = $1")
        .bind(id.number())
        .execute(tx.on())
        .await?;
    Ok(())
}

/// An update that met no row was of something that does not exist.
pub(super) fn found(rows: u64) -> Result<(), Error> {
    match rows {
        0 => Err(Error::NotFound),
        _ => Ok(()),
    }
}

pub(super) fn read_room(row: &AnyRow) -> Result<KeptRoom, Error> {
    let capacity = row.number_if_any("capacity")?.map(u32::try_from);
    Ok(KeptRoom {
        id: RoomId::new(row.signed("id")?),
        settings: RoomSettings {
            name: row.parsed("name")?,
            listed: row.truth("listed")?,
            locked: row.truth("locked")?,
            password: row.text_if_any("password")?.map(Hash::kept),
            capacity: capacity
                .transpose()
                .map_err(|_| error::damaged("capacity"))?,
            expires: row.number_if_any("expires")?,
            idle: row.number_if_any("idle")?.map(Duration::from_millis),
            policy: row.text("policy")?,
        },
        created: row.number("created")?,
        last_active: row.number("last_active")?,
        newest_seq: row.number("last_seq")?,
    })
}

pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
