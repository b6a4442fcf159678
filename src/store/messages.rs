//! Chat messages of kept rooms: numbered per room, in the order they were committed.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;

use super::rooms::found;
use super::{Columns, Error, Store, number, text};
use crate::id::{DisplayName, RoomId, SessionId};
use crate::message::{ChatEntry, Reacted};

/// How many messages one page of history has at most.
pub(super) const PAGE_MAX: u32 = 200;

/// How many reactions one message has at most, and how many different signs: what a page can show.
const REACTIONS_MAX: i64 = 200;
const SIGNS_MAX: i64 = 20;

/// A message to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// In which room.
    pub room: RoomId,
    /// The sender's own id for it.
    pub client_id: String,
    /// Who says it.
    pub session: SessionId,
    /// What that person is called.
    pub name: DisplayName,
    /// What is said.
    pub text: String,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// To whom alone; `None` is everyone.
    pub to: Option<SessionId>,
    /// The number of the message it answers.
    pub reply_to: Option<u64>,
}

/// A message that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number in the room, from 1.
    pub seq: u64,
    /// What was kept. The text of a deleted message is empty.
    pub of: NewMessage,
    /// When it was last changed, in milliseconds since 1970.
    pub edited: Option<u64>,
    /// When it was deleted, in milliseconds since 1970.
    pub deleted: Option<u64>,
    /// Signs people have put beside it, in a fixed order.
    pub reactions: Vec<Reaction>,
    /// When the latest of them was put there, in milliseconds since 1970.
    pub reacted: Option<u64>,
}

/// The message as those who may read it are told of it.
impl From<Message> for ChatEntry {
    fn from(message: Message) -> Self {
        let Message {
            seq,
            of,
            edited,
            deleted,
            reactions,
            reacted: _,
        } = message;
        let mut entry = Self {
            id: of.client_id,
            seq,
            session_id: of.session,
            username: of.name,
            text: of.text,
            time: of.time,
            to: of.to,
            reply_to: of.reply_to,
            edited,
            deleted: false,
            reactions: reactions
                .into_iter()
                .map(|reaction| Reacted {
                    emoji: reaction.emoji,
                    session_ids: reaction.sessions,
                })
                .collect(),
        };
        if deleted.is_some() {
            entry.take_back();
        }
        entry
    }
}

/// Who wrote a message and may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Who wrote it.
    pub session: SessionId,
    /// To whom alone; `None` is everyone.
    pub to: Option<SessionId>,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// A sign beside a message, and who put it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// The sign.
    pub emoji: String,
    /// Who, at least one.
    pub sessions: Vec<SessionId>,
}

/// Which part of a room's history is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Who asks: private messages of others are left out. `None` leaves out all private ones.
    pub reader: Option<SessionId>,
    /// Messages before this number only; `None` begins at the newest.
    pub before: Option<u64>,
    /// Messages after this number only; 0 is from the beginning.
    pub after: u64,
    /// How many, the newest of them; at most 200.
    pub limit: u32,
}

/// A part of a room's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// Whether there are older ones in the window.
    pub more: bool,
}

impl Store {
    /// Keeps a message; the answer is its number, once it is on the disk. Messages of one room are
    /// numbered without a gap, in the order in which this was called, whenever the answers are awaited.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the room is not kept, [`Error::Busy`] when too many wait.
    pub fn append(
        &self,
        message: NewMessage,
    ) -> impl Future<Output = Result<u64, Error>> + Send + 'static {
        self.writer.append(message)
    }

    /// Who wrote a message and may read it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such message.
    pub async fn message_head(&self, room: RoomId, seq: u64) -> Result<Head, Error> {
        let row = sqlx::query(
            "SELECT session, to_session, deleted FROM messages WHERE room = $1 AND seq = $2",
        )
        .bind(room.number())
        .bind(number(seq))
        .fetch_one(&self.database.pool)
        .await?;
        Ok(Head {
            session: row.parsed("session")?,
            to: row.parsed_if_any("to_session")?,
            deleted: row.number_if_any("deleted")?.is_some(),
        })
    }

    /// A part of a room's history.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn history(&self, room: RoomId, window: Window) -> Result<History, Error> {
        let limit = window.limit.min(PAGE_MAX);
        let reader = window.reader.map(|reader| reader.to_string());
        let rows = sqlx::query(
            "SELECT * FROM messages WHERE room = $1 AND seq < $2 AND seq > $3 \
             AND (to_session IS NULL OR to_session = $4 OR session = $4) \
             ORDER BY seq DESC LIMIT $5",
        )
        .bind(room.number())
        .bind(window.before.map_or(i64::MAX, number))
        .bind(number(window.after))
        // No session has an empty id.
        .bind(reader.unwrap_or_default())
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.database.pool)
        .await?;
        let page = super::Page::of(rows, limit);
        let mut messages = page
            .items
            .iter()
            .rev()
            .map(read_message)
            .collect::<Result<Vec<_>, _>>()?;
        self.add_reactions(room, &mut messages).await?;
        Ok(History {
            messages,
            more: page.more,
        })
    }

    async fn add_reactions(&self, room: RoomId, messages: &mut [Message]) -> Result<(), Error> {
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
            return Ok(());
        };
        let rows = sqlx::query(
            "SELECT seq, emoji, session, time FROM reactions WHERE room = $1 AND seq >= $2 AND seq <= $3 \
             ORDER BY time, session, emoji",
        )
        .bind(room.number())
        .bind(number(first.seq))
        .bind(number(last.seq))
        .fetch_all(&self.database.pool)
        .await?;
        let mut by_seq: BTreeMap<u64, (Vec<Reaction>, u64)> = BTreeMap::new();
        for row in &rows {
            let (emoji, session) = (row.text("emoji")?, row.parsed("session")?);
            let (reactions, latest) = by_seq.entry(row.number("seq")?).or_default();
            *latest = row.number("time")?.max(*latest);
            match reactions
                .iter_mut()
                .find(|reaction| reaction.emoji == emoji)
            {
                Some(reaction) => reaction.sessions.push(session),
                None => reactions.push(Reaction {
                    emoji,
                    sessions: vec![session],
                }),
            }
        }
        for message in messages {
            if let Some((reactions, latest)) = by_seq.remove(&message.seq) {
                message.reactions = reactions;
                message.reacted = Some(latest);
            }
        }
        Ok(())
    }

    /// Changes what a message says. `author` must have said it; `None` is someone who may change any.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such message, or it was deleted, or is another's.
    pub async fn edit_message(
        &self,
        room: RoomId,
        seq: u64,
        author: Option<SessionId>,
        new_text: &str,
        now: u64,
    ) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE messages SET text = $4, edited = $5 WHERE room = $1 AND seq = $2 \
             AND deleted IS NULL AND ($3 = '' OR session = $3)",
        )
        .bind(room.number())
        .bind(number(seq))
        .bind(author.map(|author| author.to_string()).unwrap_or_default())
        .bind(text(new_text))
        .bind(number(now))
        .execute(tx.on())
        .await?;
        tx.commit().await?;
        found(done.rows_affected())
    }

    /// Deletes what a message says, and the signs beside it; that there was one stays.
    ///
    /// # Errors
    /// As [`Self::edit_message`].
    pub async fn delete_message(
        &self,
        room: RoomId,
        seq: u64,
        author: Option<SessionId>,
        now: u64,
    ) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE messages SET text = '', deleted = $4 WHERE room = $1 AND seq = $2 \
             AND deleted IS NULL AND ($3 = '' OR session = $3)",
        )
        .bind(room.number())
        .bind(number(seq))
        .bind(author.map(|author| author.to_string()).unwrap_or_default())
        .bind(number(now))
        .execute(tx.on())
        .await?;
        found(done.rows_affected())?;
        sqlx::query("DELETE FROM reactions WHERE room = $1 AND seq = $2")
            .bind(room.number())
            .bind(number(seq))
            .execute(tx.on())
            .await?;
        tx.commit().await
    }

    /// Puts a sign beside a message that `session` may read, or takes it away again. False if it was there, or
    /// was not.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such message for this person, [`Error::TooMuch`] when it
    /// has too many signs.
    pub async fn react(
        &self,
        room: RoomId,
        seq: u64,
        session: SessionId,
        emoji: &str,
        on: bool,
        now: u64,
    ) -> Result<bool, Error> {
        let session = session.to_string();
        let mut tx = self.database.begin().await?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS readable FROM messages WHERE room = $1 AND seq = $2 \
             AND deleted IS NULL AND (to_session IS NULL OR to_session = $3 OR session = $3)",
        )
        .bind(room.number())
        .bind(number(seq))
        .bind(session.as_str())
        .fetch_one(tx.on())
        .await?;
        if row.signed("readable")? == 0 {
            return Err(Error::NotFound);
        }
        let done = if on {
            let row = sqlx::query(
                "SELECT COUNT(*) AS there, COUNT(DISTINCT emoji) AS signs, \
                 COUNT(CASE WHEN emoji = $3 THEN 1 END) AS same FROM reactions \
                 WHERE room = $1 AND seq = $2",
            )
            .bind(room.number())
            .bind(number(seq))
            .bind(text(emoji))
            .fetch_one(tx.on())
            .await?;
            let is_new_sign = row.signed("same")? == 0;
            let is_full = row.signed("there")? >= REACTIONS_MAX;
            if is_full || (is_new_sign && row.signed("signs")? >= SIGNS_MAX) {
                return Err(Error::TooMuch);
            }
            sqlx::query(
                "INSERT INTO reactions (room, seq, session, emoji, time) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            )
            .bind(room.number())
            .bind(number(seq))
            .bind(session.as_str())
            .bind(text(emoji))
            .bind(number(now))
            .execute(tx.on())
            .await?
        } else {
            sqlx::query(
                "DELETE FROM reactions WHERE room = $1 AND seq = $2 AND session = $3 AND emoji = $4",
            )
            .bind(room.number())
            .bind(number(seq))
            .bind(session.as_str())
            .bind(text(emoji))
            .execute(tx.on())
            .await?
        };
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

fn read_message(row: &AnyRow) -> Result<Message, Error> {
    Ok(Message {
        seq: row.number("seq")?,
        of: NewMessage {
            room: RoomId::new(row.signed("room")?),
            client_id: row.text("client_id")?,
            session: row.parsed("session")?,
            name: row.parsed("name")?,
            text: row.text("text")?,
            time: row.number("time")?,
            to: row.parsed_if_any("to_session")?,
            reply_to: row.number_if_any("reply_to")?,
        },
        edited: row.number_if_any("edited")?,
        deleted: row.number_if_any("deleted")?,
        reactions: Vec::new(),
        reacted: None,
    })
}
