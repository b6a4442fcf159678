//! What ends by itself: rooms, messages, files and invitations whose time is over.

use std::time::Duration;

use super::files::UNFINISHED;
use super::rooms::{delete_room, milliseconds, read_room};
use super::{Columns, Error, KeptRoom, Store, number};

/// How many rows one transaction deletes: others who write wait no longer than that takes.
const STEP: i64 = 500;

/// How many steps one sweep takes of each kind; the next goes on.
const STEPS: usize = 200;

/// How long an invitation that is no good any more stays in the list, for people who wonder.
const INVITE_REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long an invitation that is used up stays for those who have used it: they may come back that long, and their
/// pages keep what they come back with no longer either.
const USED_UP_REMEMBERED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How long an event waits for its receiver to come back.
const EVENT_LIFE: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// How long a piece that is being removed is nobody else's; when it cannot be removed, it waits so long for the next try.
const PUT_OFF: Duration = Duration::from_secs(60 * 60);

/// How many pieces are taken up at a time to be removed. After a crash, or when the place does not answer, so many
/// wait for [`PUT_OFF`].
const BURIED_AT_ONCE: i64 = 50;

/// How many times one burial takes up some.
const BURIAL_STEPS: usize = 2000;

/// How many pieces one burial fails to remove before it gives up: then it is the place that does not answer, and each
/// try may take minutes.
const FAILURES_MAX: u32 = 10;

/// What a sweep has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rooms, so that people in them can be told.
    pub rooms: Vec<KeptRoom>,
    /// How many messages, apart from those of the rooms.
    pub messages: u64,
    /// How many files, apart from those of the rooms.
    pub files: u64,
    /// How many invitations.
    pub invites: u64,
    /// How many events that never arrived.
    pub events: u64,
    /// How many pieces of files were removed from where they lay.
    pub pieces: u64,
}

/// A sweep that did not get to its end.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct CutShort {
    /// What it has ended before.
    pub swept: Swept,
    /// Why it got no further.
    pub cause: Error,
}

impl Store {
    /// Ends whatever was due by `now`, and removes the bytes of files that are gone. To be called
    /// every few minutes; it never holds others up for long.
    ///
    /// # Errors
    /// When the store is not available; what was ended before stays ended.
    pub async fn sweep(&self, now: u64) -> Result<Swept, CutShort> {
        let mut swept = Swept::default();
        match self.sweep_into(&mut swept, now).await {
            Ok(()) => Ok(swept),
            Err(cause) => Err(CutShort { swept, cause }),
        }
    }

    async fn sweep_into(&self, swept: &mut Swept, now: u64) -> Result<(), Error> {
        self.sweep_rooms(now, swept).await?;
        let keep = &self.settings;
        if let Some(keep) = keep.keep_messages {
            let until = before(now, keep);
            for _ in 0..STEPS {
                let gone = self
                    .delete(
                        "DELETE FROM messages WHERE (room, seq) IN \
                         (SELECT room, seq FROM messages WHERE time < $1 LIMIT $2)",
                        until,
                    )
                    .await?;
                swept.messages += gone;
                if gone == 0 {
                    break;
                }
            }
        }
        let old = keep.keep_files.map_or(i64::MIN, |keep| before(now, keep));
        swept.files = self.sweep_files(old, before(now, UNFINISHED), now).await?;
        for (statement, remembered) in [
            (
                "DELETE FROM invites WHERE id IN (SELECT id FROM invites \
                 WHERE revoked < $1 OR expires < $1 LIMIT $2)",
                INVITE_REMEMBERED,
            ),
            (
                "DELETE FROM invites WHERE id IN (SELECT id FROM invites \
                 WHERE used >= uses AND created < $1 LIMIT $2)",
                USED_UP_REMEMBERED,
            ),
        ] {
            swept.invites += self.delete(statement, before(now, remembered)).await?;
        }
        swept.events = self
            .delete(
                "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE created < $1 LIMIT $2)",
                before(now, EVENT_LIFE),
            )
            .await?;
        swept.pieces = self.bury(now).await?;
        Ok(())
    }

    async fn sweep_rooms(&self, now: u64, swept: &mut Swept) -> Result<(), Error> {
        let forgotten = self
            .settings
            .keep_rooms
            .map_or(i64::MIN, |keep| before(now, keep));
        for _ in 0..STEPS {
            // One at a time: a room may take much with it.
            let mut tx = self.database.begin().await?;
            let row = sqlx::query(
                "SELECT * FROM rooms WHERE expires <= $1 OR last_active < $2 \
                 OR last_active + idle <= $1 LIMIT 1",
            )
            .bind(number(now))
            .bind(forgotten)
            .fetch_optional(tx.on())
            .await?;
            let Some(row) = row else { return Ok(()) };
            let room = read_room(&row)?;
            match delete_room(&mut tx, room.id, now).await {
                Ok(()) => {
                    tx.commit().await?;
                    self.digests.forget_room(room.id);
                    swept.rooms.push(room);
                }
                // Another node was faster.
                Err(Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes files from before `old`, and uploads from before `unfinished` that are not whole.
    async fn sweep_files(&self, old: i64, unfinished: i64, now: u64) -> Result<u64, Error> {
        let mut gone = 0;
        for _ in 0..STEPS {
            let rows = sqlx::query(
                "SELECT id FROM files WHERE created < $1 OR (completed IS NULL AND created < $2) \
                 ORDER BY created LIMIT $3",
            )
            .bind(old)
            .bind(unfinished)
            .bind(STEP)
            .fetch_all(&self.database.pool)
            .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                match self.delete_file(row.parsed("id")?, now).await {
                    Ok(_) => gone += 1,
                    Err(Error::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(gone)
    }

    /// Removes pieces that belong to no file, and says how many. The note of one is put off before and goes after the
    /// piece itself, so that no upload claims what is being removed. One that cannot be removed holds no other up.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn bury(&self, now: u64) -> Result<u64, Error> {
        let (mut buried, mut failed) = (0, 0);
        for _ in 0..BURIAL_STEPS {
            let keys = self.take_graves(now).await?;
            if keys.is_empty() {
                break;
            }
            let mut removed = Vec::with_capacity(keys.len());
            let mut given_up = Ok(());
            for key in keys {
                match self.blobs.delete(&key).await {
                    Ok(()) => removed.push(key),
                    // The cause has been logged.
                    Err(_) if failed < FAILURES_MAX => failed += 1,
                    Err(error) => {
                        given_up = Err(error);
                        break;
                    }
                }
            }
            buried += removed.len() as u64;
            self.forget_graves(&removed).await?;
            given_up?;
        }
        Ok(buried)
    }

    /// Takes up pieces to be removed.
    async fn take_graves(&self, now: u64) -> Result<Vec<String>, Error> {
        let mut tx = self.database.begin().await?;
        let rows = sqlx::query(
            "UPDATE graves SET due = $2 WHERE due <= $1 AND key IN \
             (SELECT key FROM graves WHERE due <= $1 ORDER BY due LIMIT $3) RETURNING key",
        )
        .bind(number(now))
        .bind(number(now).saturating_add(milliseconds(PUT_OFF)))
        .bind(BURIED_AT_ONCE)
        .fetch_all(tx.on())
        .await?;
        tx.commit().await?;
        rows.iter().map(|row| row.text("key")).collect()
    }

    async fn forget_graves(&self, keys: &[String]) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        for key in keys {
            sqlx::query("DELETE FROM graves WHERE key = $1")
                .bind(key.as_str())
                .execute(tx.on())
                .await?;
        }
        tx.commit().await
    }

    async fn delete(&self, statement: &'static str, until: i64) -> Result<u64, Error> {
        let mut tx = self.database.begin().await?;
        let done = sqlx::query(statement)
            .bind(until)
            .bind(STEP)
            .execute(tx.on())
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }
}

fn before(now: u64, how_long: Duration) -> i64 {
    number(now).saturating_sub(milliseconds(how_long))
}
