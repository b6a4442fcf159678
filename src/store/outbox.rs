//! Events on their way to other programs (webhooks), kept until they have arrived.

use std::time::Duration;

use sqlx::any::AnyRow;

use super::database::Tx;
use super::rooms::{found, milliseconds};
use super::{Columns, Error, Store, number, text};
use crate::id::EventId;

/// How many events may wait. A receiver that is gone for days must not fill the disk.
const WAITING_MAX: i64 = 100_000;

/// An event to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Where to.
    pub url: String,
    /// What kind, such as `room.started`.
    pub event: String,
    /// What is sent.
    pub body: String,
    /// Now, in milliseconds since 1970.
    pub created: u64,
}

/// An event that waits to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The same at each attempt, so that the receiver can tell.
    pub id: EventId,
    /// What is to be told.
    pub of: NewEvent,
    /// How often it was tried before.
    pub attempts: u64,
}

impl Store {
    /// Takes on an event.
    ///
    /// # Errors
    /// [`Error::TooMuch`] when too many wait already.
    pub async fn add_event(&self, event: &NewEvent) -> Result<EventId, Error> {
        let mut tx = self.database.begin().await?;
        let id = add(&mut tx, event).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Takes up to `limit` events that are due, the oldest first. Each is due again after `lease`, unless it
    /// is reported on before: so none is lost with the one who took it, and no two take the same.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn take_events(
        &self,
        now: u64,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        let mut tx = self.database.begin().await?;
        let rows = sqlx::query(
            "UPDATE outbox SET due = $2, attempts = attempts + 1 WHERE due <= $1 AND id IN \
             (SELECT id FROM outbox WHERE due <= $1 ORDER BY created, id LIMIT $3) RETURNING *",
        )
        .bind(number(now))
        .bind(number(now).saturating_add(milliseconds(lease)))
        .bind(i64::from(limit))
        .fetch_all(tx.on())
        .await?;
        tx.commit().await?;
        let mut events = rows.iter().map(read_event).collect::<Result<Vec<_>, _>>()?;
        events.sort_by_key(|event| (event.of.created, event.id));
        Ok(events)
    }

    /// Forgets an event: it has arrived, or nobody tries any longer.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it was forgotten before.
    pub async fn forget_event(&self, id: EventId) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let done = sqlx::query("DELETE FROM outbox WHERE id = $1")
            .bind(id.to_string())
            .execute(tx.on())
            .await?;
        tx.commit().await?;
        found(done.rows_affected())
    }

    /// Has an event tried again at `due`, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it was forgotten.
    pub async fn retry_event(&self, id: EventId, due: u64) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let done = sqlx::query("UPDATE outbox SET due = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(number(due))
            .execute(tx.on())
            .await?;
        tx.commit().await?;
        found(done.rows_affected())
    }
}

/// Takes on an event together with what it tells of.
pub(super) async fn add(tx: &mut Tx<'_>, event: &NewEvent) -> Result<EventId, Error> {
    let row = sqlx::query("SELECT COUNT(*) AS waiting FROM outbox")
        .fetch_one(tx.on())
        .await?;
    if row.signed("waiting")? >= WAITING_MAX {
        return Err(Error::TooMuch);
    }
    let id = EventId::random();
    sqlx::query(
        "INSERT INTO outbox (id, url, event, body, created, due, attempts) \
         VALUES ($1, $2, $3, $4, $5, $5, 0)",
    )
    .bind(id.to_string())
    .bind(text(&event.url))
    .bind(text(&event.event))
    .bind(text(&event.body))
    .bind(number(event.created))
    .execute(tx.on())
    .await?;
    Ok(id)
}

fn read_event(row: &AnyRow) -> Result<Event, Error> {
    Ok(Event {
        id: row.parsed("id")?,
        of: NewEvent {
            url: row.text("url")?,
            event: row.text("event")?,
            body: row.text("body")?,
            created: row.number("created")?,
        },
        // The attempt that is being made now does not count.
        attempts: row.number("attempts")?.saturating_sub(1),
    })
}
