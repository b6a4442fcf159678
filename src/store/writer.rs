//! The one task that writes chat messages, as many at a time as have come meanwhile.
//!
//! A commit waits for the disk, some milliseconds at worst. Each message in a commit of its own would
//! mean few hundred a second; those that arrive during one commit share the next. Whoever
//! sent a message hears of it after the commit, with the number it was given.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::AssertSqlSafe;
use tokio::sync::{mpsc, oneshot};

use super::database::Database;
use super::messages::NewMessage;
use super::{Columns, Error, number, text};

/// How many messages wait to be written: at some thousands a second, well below a second's worth.
/// Beyond, senders are told that the server is busy.
const WAITING_MAX: usize = 2048;

/// How many messages share a commit. More would not make it faster, only later.
const BATCH_MAX: usize = 512;

/// How many rows one statement inserts, the most first. Few kinds of statements stay prepared.
const ROWS: [usize; 3] = [64, 8, 1];

/// The columns of a row that are inserted.
const COLUMNS: usize = 9;

/// The way to the task.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Request>);

enum Request {
    Append(Box<NewMessage>, Reply),
    Finish(oneshot::Sender<()>),
}

type Reply = oneshot::Sender<Result<u64, Error>>;

impl Writer {
    /// Starts the task; it ends when it is told to, or when nobody can reach it any more.
    pub(super) fn start(database: Arc<Database>) -> Self {
        let (sender, requests) = mpsc::channel(WAITING_MAX);
        let task = Task {
            database,
            statements: ROWS.map(|rows| (rows, insert(rows).into())),
        };
        tokio::spawn(task.run(requests));
        Self(sender)
    }

    /// Writes a message; its number, once it is on the disk.
    pub(super) fn append(
        &self,
        message: NewMessage,
    ) -> impl Future<Output = Result<u64, Error>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        // Here and not when the answer is awaited, so that the order is that of the calls.
        let sent = self
            .0
            .try_send(Request::Append(Box::new(message), reply))
            .map_err(|full| match full {
                mpsc::error::TrySendError::Full(_) => Error::Busy,
                mpsc::error::TrySendError::Closed(_) => Error::Unavailable,
            });
        async move {
            sent?;
            answer.await.unwrap_or(Err(Error::Unavailable))
        }
    }

    /// Waits until all that was taken on is written; nothing is taken on afterwards.
    pub(super) async fn finish(&self) {
        let (done, finished) = oneshot::channel();
        if self.0.send(Request::Finish(done)).await.is_ok() {
            // An error means that it has ended already.
            let _ = finished.await;
        }
    }
}

struct Task {
    database: Arc<Database>,
    statements: [(usize, Arc<str>); ROWS.len()],
}

impl Task {
    async fn run(self, mut requests: mpsc::Receiver<Request>) {
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        let mut finished = Vec::new();
        while requests.recv_many(&mut waiting, BATCH_MAX).await > 0 {
            let mut messages = Vec::with_capacity(waiting.len());
            let mut replies = Vec::with_capacity(waiting.len());
            for request in waiting.drain(..) {
                match request {
                    Request::Append(message, reply) => {
                        messages.push(*message);
                        replies.push(reply);
                    }
                    Request::Finish(done) => {
                        requests.close();
                        finished.push(done);
                    }
                }
            }
            for (reply, result) in replies.into_iter().zip(self.write_all(&messages).await) {
                // Whoever asked may have gone; the message is kept all the same.
                let _ = reply.send(result);
            }
        }
        // Those who wait hear of it as `finished` is dropped.
    }

    async fn write_all(&self, messages: &[NewMessage]) -> Vec<Result<u64, Error>> {
        if messages.is_empty() {
            return Vec::new();
        }
        if let Ok(results) = self.write(messages).await {
            return results;
        }
        // One that cannot be written must not take the others with it.
        let mut results = Vec::with_capacity(messages.len());
        for message in messages {
            let result = self.write(std::slice::from_ref(message)).await;
            results.push(result.and_then(|mut one| one.pop().unwrap_or(Err(Error::Unavailable))));
        }
        results
    }

    /// Writes messages in one transaction. Those to rooms that do not exist are left out.
    async fn write(&self, messages: &[NewMessage]) -> Result<Vec<Result<u64, Error>>, Error> {
        let mut tx = self.database.begin().await?;
        // By room, always in the same order: two nodes then cannot wait for each other.
        let mut rooms: BTreeMap<_, (i64, u64)> = BTreeMap::new();
        for message in messages {
            let (count, latest) = rooms.entry(message.room).or_default();
            *count += 1;
            *latest = message.time.max(*latest);
        }
        let mut next = BTreeMap::new();
        for (room, (count, latest)) in rooms {
            let row = sqlx::query(
                "UPDATE rooms SET last_seq = last_seq + $2, last_active = \
                 CASE WHEN last_active < $3 THEN $3 ELSE last_active END \
                 WHERE id = $1 RETURNING last_seq",
            )
            .bind(room.number())
            .bind(count)
            .bind(number(latest))
            .fetch_optional(tx.on())
            .await?;
            if let Some(row) = row {
                next.insert(room, row.signed("last_seq")? - count + 1);
            }
        }
        let mut results = Vec::with_capacity(messages.len());
        let mut rows = Vec::with_capacity(messages.len());
        for message in messages {
            results.push(match next.get_mut(&message.room) {
                Some(next) => {
                    let seq = *next;
                    *next += 1;
                    rows.push((seq, message));
                    u64::try_from(seq).map_err(|_| super::error::damaged("last_seq"))
                }
                None => Err(Error::NotFound),
            });
        }
        let mut left = rows.as_slice();
        for (size, statement) in &self.statements {
            while let Some((rows, rest)) = left.split_at_checked(*size) {
                left = rest;
                let mut query = sqlx::query(AssertSqlSafe(Arc::clone(statement)));
                for (seq, message) in rows {
                    query = query
                        .bind(message.room.number())
                        .bind(*seq)
                        .bind(text(&message.client_id))
                        .bind(message.session.to_string())
                        .bind(message.name.as_str().to_owned())
                        .bind(text(&message.text))
                        .bind(number(message.time))
                        .bind(message.to.map(|to| to.to_string()))
                        .bind(message.reply_to.map(number));
                }
                query.execute(tx.on()).await?;
            }
        }
        tx.commit().await?;
        Ok(results)
    }
}

/// The statement for so many rows: made of numbers only.
fn insert(rows: usize) -> String {
    let mut statement = String::from(
        "INSERT INTO messages (room, seq, client_id, session, name, text, time, to_session, reply_to) VALUES ",
    );
    for row in 0..rows {
        let places: Vec<String> = (1..=COLUMNS)
            .map(|column| format!("${}", row * COLUMNS + column))
            .collect();
        let comma = if row == 0 { "" } else { ", " };
        statement.push_str(&format!("{comma}({})", places.join(", ")));
    }
    statement
}
