//! Invitations into a kept room. What opens it is a secret, of which only a hash is kept.

use sqlx::any::AnyRow;

use super::roles::{read_role, role_word};
use super::rooms::{found, hold_room};
use super::{Columns, Error, Store, fingerprint, number};
use crate::id::{InviteId, RoomId};
use crate::message::Role;

/// How many invitations of one room can be good at a time.
const INVITES_MAX: i64 = 1000;

/// An invitation to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvite {
    /// Into which room.
    pub room: RoomId,
    /// As what people come.
    pub role: Role,
    /// How many may use it; `None` is any number.
    pub uses: Option<u32>,
    /// Until when it is good, in milliseconds since 1970.
    pub expires: Option<u64>,
    /// Now, in milliseconds since 1970.
    pub created: u64,
}

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// For revoking it.
    pub id: InviteId,
    /// What it was made for.
    pub of: NewInvite,
    /// How often it was used.
    pub used: u64,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked: Option<u64>,
}

impl Store {
    /// Makes an invitation that `secret` opens; it should have at least 128 random bits.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the room is not kept, [`Error::TooMuch`] when too many are good.
    pub async fn invite(&self, invite: &NewInvite, secret: &str) -> Result<InviteId, Error> {
        let id = InviteId::random();
        let mut tx = self.database.begin().await?;
        hold_room(&mut tx, invite.room).await?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS good FROM invites WHERE room = $1 AND revoked IS NULL \
             AND (expires IS NULL OR expires > $2) AND (uses IS NULL OR used < uses)",
        )
        .bind(invite.room.number())
        .bind(number(invite.created))
        .fetch_one(tx.on())
        .await?;
        if row.signed("good")? >= INVITES_MAX {
            return Err(Error::TooMuch);
        }
        sqlx::query(
            "INSERT INTO invites (id, room, hash, role, uses, used, expires, created) \
             VALUES ($1, $2, $3, $4, $5, 0, $6, $7)",
        )
        .bind(id.to_string())
        .bind(invite.room.number())
        .bind(fingerprint(secret))
        .bind(role_word(invite.role))
        .bind(invite.uses.map(i64::from))
        .bind(invite.expires.map(number))
        .bind(number(invite.created))
        .execute(tx.on())
        .await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Uses an invitation once. Two people cannot both have the last use.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the secret opens nothing in this room, or nothing any more.
    pub async fn use_invite(&self, room: RoomId, secret: &str, now: u64) -> Result<Invite, Error> {
        let mut tx = self.database.begin().await?;
        let row = sqlx::query(
            "UPDATE invites SET used = used + 1 WHERE hash = $1 AND room = $2 AND revoked IS NULL \
             AND (expires IS NULL OR expires > $3) AND (uses IS NULL OR used < uses) RETURNING *",
        )
        .bind(fingerprint(secret))
        .bind(room.number())
        .bind(number(now))
        .fetch_one(tx.on())
        .await?;
        tx.commit().await?;
        read_invite(&row)
    }

    /// An invitation of this room that was neither revoked nor is over, even if it is used up: whoever
    /// has used it may come back.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn standing_invite(
        &self,
        room: RoomId,
        id: InviteId,
        now: u64,
    ) -> Result<Invite, Error> {
        let row = sqlx::query(
            "SELECT * FROM invites WHERE id = $1 AND room = $2 AND revoked IS NULL \
             AND (expires IS NULL OR expires > $3)",
        )
        .bind(id.to_string())
        .bind(room.number())
        .bind(number(now))
        .fetch_one(&self.database.pool)
        .await?;
        read_invite(&row)
    }

    /// Gives a use back, when it did not become a seat after all.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it had no use.
    pub async fn give_back_invite(&self, id: InviteId) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let done = sqlx::query("UPDATE invites SET used = used - 1 WHERE id = $1 AND used > 0")
            .bind(id.to_string())
            .execute(tx.on())
            .await?;
        tx.commit().await?;
        found(done.rows_affected())
    }

    /// Revokes an invitation; seats it gave stay.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this room has no such invitation that is not revoked.
    pub async fn revoke_invite(&self, room: RoomId, id: InviteId, now: u64) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE invites SET revoked = $3 WHERE id = $1 AND room = $2 AND revoked IS NULL",
        )
        .bind(id.to_string())
        .bind(room.number())
        .bind(number(now))
        .execute(tx.on())
        .await?;
        tx.commit().await?;
        found(done.rows_affected())
    }

    /// A room's invitations, the latest first; also those that are no good any more, until they are swept.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn invites(&self, room: RoomId) -> Result<Vec<Invite>, Error> {
        let rows = sqlx::query("SELECT * FROM invites WHERE room = $1 ORDER BY created DESC, id")
            .bind(room.number())
            .fetch_all(&self.database.pool)
            .await?;
        rows.iter().map(read_invite).collect()
    }
}

fn read_invite(row: &AnyRow) -> Result<Invite, Error> {
    let uses = row.number_if_any("uses")?;
    Ok(Invite {
        id: row.parsed("id")?,
        of: NewInvite {
            room: RoomId::new(row.signed("room")?),
            role: read_role(row)?,
            uses: uses.map(|uses| u32::try_from(uses).unwrap_or(u32::MAX)),
            expires: row.number_if_any("expires")?,
            created: row.number("created")?,
        },
        used: row.number("used")?,
        revoked: row.number_if_any("revoked")?,
    })
}
