//! What hosts have made people of a kept room, by their sessions.

use sqlx::any::AnyRow;

use super::rooms::hold_room;
use super::{Columns, Error, Store, error, number};
use crate::id::{RoomId, SessionId};
use crate::message::Role;

/// How many people's roles one room remembers, the latest: far more than it ever held, and no list without end.
const ROLES_MAX: i64 = 1000;

impl Store {
    /// Notes what somebody has been made; `None` forgets it. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the room is not kept.
    pub async fn set_role(
        &self,
        room: RoomId,
        session: SessionId,
        role: Option<Role>,
        now: u64,
    ) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        hold_room(&mut tx, room).await?;
        sqlx::query("DELETE FROM roles WHERE room = $1 AND session = $2")
            .bind(room.number())
            .bind(session.to_string())
            .execute(tx.on())
            .await?;
        if let Some(role) = role {
            sqlx::query(
                "DELETE FROM roles WHERE room = $1 AND session IN (SELECT session FROM roles \
                 WHERE room = $1 ORDER BY created DESC, session LIMIT $2 OFFSET $3)",
            )
            .bind(room.number())
            .bind(ROLES_MAX)
            .bind(ROLES_MAX - 1)
            .execute(tx.on())
            .await?;
            sqlx::query("INSERT INTO roles (room, session, role, created) VALUES ($1, $2, $3, $4)")
                .bind(room.number())
                .bind(session.to_string())
                .bind(role_word(role))
                .bind(number(now))
                .execute(tx.on())
                .await?;
        }
        tx.commit().await
    }

    /// Everyone in a room whom a host has given a role, the latest first.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn roles(&self, room: RoomId) -> Result<Vec<(SessionId, Role)>, Error> {
        let rows =
            sqlx::query("SELECT * FROM roles WHERE room = $1 ORDER BY created DESC, session")
                .bind(room.number())
                .fetch_all(&self.database.pool)
                .await?;
        let read = |row: &AnyRow| Ok((row.parsed("session")?, read_role(row)?));
        rows.iter().map(read).collect()
    }
}

pub(super) fn read_role(row: &AnyRow) -> Result<Role, Error> {
    match row.text("role")?.as_str() {
        "host" => Ok(Role::Host),
        "guest" => Ok(Role::Guest),
        "viewer" => Ok(Role::Viewer),
        _ => Err(error::damaged("role")),
    }
}

pub(super) fn role_word(role: Role) -> &'static str {
    match role {
        Role::Host => "host",
        Role::Guest => "guest",
        Role::Viewer => "viewer",
    }
}
