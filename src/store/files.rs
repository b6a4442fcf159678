//! Files that people share in kept rooms: what is known of them, and their bytes.
//!
//! A file arrives in pieces and lies in pieces: each is a blob of its own, written before the database
//! says so. An upload can therefore break off and go on anywhere, after a restart or on another node,
//! and one of any size needs no more memory than a piece.

use std::collections::HashMap;
use std::ops::Range;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use ring::digest::{Context, SHA256};
use sqlx::any::AnyRow;

use super::blobs::Blobs;
use super::database::Tx;
use super::rooms::hold_room;
use super::{Columns, Error, NewEvent, Store, error, hexadecimal, kind, number, outbox, text};
use crate::id::{DisplayName, FileId, RoomId, RoomName, SessionId};

/// How long an upload may take from its announcement to its last byte; then it is removed.
pub const UNFINISHED: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest piece in bytes: what one upload needs of memory, and few enough pieces.
const PIECE: usize = 4 * 1024 * 1024;

/// The most that is read at a time, in bytes: what one download needs of memory.
const SLICE: u64 = 512 * 1024;

/// How many pieces one file may have. Whoever sends a file a byte at a time meets it.
const PIECES_MAX: i64 = 10_000;

/// How many files one room may have.
const FILES_MAX: i64 = 10_000;

/// How many files one page of a list has at most.
const LIST_MAX: u32 = 500;

/// Of how many files people are told after a start at most: as many as were uploaded at once, and more.
const UNTOLD_MAX: i64 = 1000;

/// How many uploads have their digest at hand. Others are read again at their end.
const DIGESTS_MAX: usize = 1024;

/// When a piece whose upload crashed between blob and database is removed, in milliseconds.
const UNCLAIMED: u64 = 60 * 60 * 1000;

/// A file to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Into which room.
    pub room: RoomId,
    /// What it is called, as people see it.
    pub name: String,
    /// Its media type, as its sender says; once the file is whole, what its first bytes tell.
    pub kind: String,
    /// Its size in bytes.
    pub size: u64,
    /// Who shares it.
    pub session: SessionId,
    /// What that person is called.
    pub username: DisplayName,
    /// For whom alone; `None` is everyone in the room.
    pub to: Option<SessionId>,
    /// Now, in milliseconds since 1970.
    pub created: u64,
}

/// A file, whole or on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// As it stands in its link.
    pub id: FileId,
    /// What was announced.
    pub of: NewFile,
    /// How many bytes are here.
    pub received: u64,
    /// The SHA-256 of its bytes in hexadecimal, once whole.
    pub sha256: Option<String>,
    /// When it was whole, in milliseconds since 1970.
    pub completed: Option<u64>,
}

/// Which part of a room's files is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileWindow {
    /// Who asks: private files of others are left out. `None` leaves out all private ones.
    pub reader: Option<SessionId>,
    /// Those before this one only, by when it was whole and by its id; `None` begins at the newest.
    pub before: Option<(u64, FileId)>,
    /// Those that were whole then or later only, in milliseconds since 1970; 0 is from the beginning.
    pub since: u64,
    /// How many, the newest of them; at most 500.
    pub limit: u32,
}

/// A part of a room's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileList {
    /// The files, by when they were whole, oldest first.
    pub files: Vec<File>,
    /// Whether there are older ones in the window.
    pub more: bool,
}

/// The digests of uploads that go on: the room, the position, and the state there.
#[derive(Default)]
pub(super) struct Digests(Mutex<HashMap<FileId, (RoomId, u64, Context)>>);

/// What a room has of files.
struct Counted {
    files: i64,
    bytes: u64,
}

struct Piece {
    start: u64,
    size: u64,
    key: String,
}

impl Store {
    /// Announces a file. An empty one is whole at once.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it is larger than any may be, [`Error::TooMuch`] when the room or all rooms
    /// have too much already, [`Error::WrongType`] when files like this are not taken;
    /// [`Error::NotFound`] when the room is not kept.
    pub async fn create_file(&self, file: &NewFile) -> Result<File, Error> {
        if file.size > self.settings.file_size {
            return Err(Error::TooLarge);
        }
        let claim = kind::claimed(&file.kind);
        if !self.settings.file_types.allow(&claim) {
            return Err(Error::WrongType);
        }
        let mut tx = self.database.begin().await?;
        let room = count(&mut tx, file.room, 1, 0).await?;
        if room.files > FILES_MAX {
            return Err(Error::TooMuch);
        }
        self.fits(&mut tx, &room, file.size).await?;
        let id = FileId::random();
        sqlx::query(
            "INSERT INTO files (id, room, name, kind, size, received, session, username, to_session, \
             created, told) VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9, 0)",
        )
        .bind(id.to_string())
        .bind(file.room.number())
        .bind(text(&file.name))
        .bind(claim)
        .bind(number(file.size))
        .bind(file.session.to_string())
        .bind(file.username.as_str())
        .bind(file.to.map(|to| to.to_string()))
        .bind(number(file.created))
        .execute(tx.on())
        .await?;
        tx.commit().await?;
        if file.size == 0 {
            return self.complete(id, file.created).await;
        }
        self.file(id).await
    }

    /// Whether `more` bytes have a place in the room and in all rooms. Only bytes that are here count: to announce
    /// much and send nothing takes nothing from others.
    async fn fits(&self, tx: &mut Tx<'_>, room: &Counted, more: u64) -> Result<(), Error> {
        // As many rows as rooms that have files, from the index.
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS everywhere FROM rooms WHERE bytes > 0",
        )
        .fetch_one(tx.on())
        .await?;
        let fits = |taken: u64, limit: u64| taken.saturating_add(more) <= limit;
        let has_place = fits(row.number("everywhere")?, self.settings.all_files)
            && fits(room.bytes, self.settings.room_files);
        has_place.then_some(()).ok_or(Error::TooMuch)
    }

    /// What is known of a file.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn file(&self, id: FileId) -> Result<File, Error> {
        let row = sqlx::query("SELECT * FROM files WHERE id = $1")
            .bind(id.to_string())
            .fetch_one(&self.database.pool)
            .await?;
        read_file(&row)
    }

    /// Part of a room's whole files.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn files(&self, room: RoomId, window: FileWindow) -> Result<FileList, Error> {
        let limit = window.limit.min(LIST_MAX);
        let reader = window.reader.map(|reader| reader.to_string());
        let (before, id) = window
            .before
            .map_or((i64::MAX, String::new()), |(completed, id)| {
                (number(completed), id.to_string())
            });
        let rows = sqlx::query(
            "SELECT * FROM files WHERE room = $1 AND completed >= $2 \
             AND (completed < $3 OR (completed = $3 AND id < $4)) \
             AND (to_session IS NULL OR to_session = $5 OR session = $5) \
             ORDER BY completed DESC, id DESC LIMIT $6",
        )
        .bind(room.number())
        .bind(number(window.since))
        .bind(before)
        .bind(id)
        // No session has an empty id.
        .bind(reader.unwrap_or_default())
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.database.pool)
        .await?;
        let more = rows.len() > limit as usize;
        let mut files: Vec<File> = rows
            .iter()
            .take(limit as usize)
            .map(read_file)
            .collect::<Result<_, _>>()?;
        files.reverse();
        Ok(FileList { files, more })
    }

    /// Files of kept rooms that are whole and of which nobody was told: the server ended in between.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn untold_files(&self) -> Result<Vec<(RoomName, File)>, Error> {
        let rows = sqlx::query(
            "SELECT files.*, rooms.name AS room_name FROM files JOIN rooms ON rooms.id = files.room \
             WHERE files.told = 0 AND files.completed IS NOT NULL AND rooms.hidden = 0 \
             ORDER BY files.completed, files.id LIMIT $1",
        )
        .bind(UNTOLD_MAX)
        .fetch_all(&self.database.pool)
        .await?;
        rows.iter()
            .map(|row| Ok((row.parsed("room_name")?, read_file(row)?)))
            .collect()
    }

    /// Notes that people are told of a file that is whole, and takes on the events that tell programs; both or
    /// neither. Nothing is taken on when that was done before, or the file is there no longer.
    ///
    /// # Errors
    /// [`Error::TooMuch`] when too many events wait already: it is noted, and programs are not told.
    pub async fn tell_of_file(&self, id: FileId, events: &[NewEvent]) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE files SET told = 1 WHERE id = $1 AND told = 0 AND completed IS NOT NULL",
        )
        .bind(id.to_string())
        .execute(tx.on())
        .await?;
        if done.rows_affected() == 0 {
            return Ok(());
        }
        let mut taken_on = Ok(());
        for event in events {
            match outbox::add(&mut tx, event).await {
                Ok(_) => {}
                Err(Error::TooMuch) => taken_on = Err(Error::TooMuch),
                Err(error) => return Err(error),
            }
        }
        tx.commit().await?;
        taken_on
    }

    /// Gives an upload that `from` has begun to another session: the person has come back as that.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is not theirs any more, or whole.
    pub async fn hand_over_file(
        &self,
        id: FileId,
        from: SessionId,
        to: SessionId,
        username: &DisplayName,
    ) -> Result<File, Error> {
        let mut tx = self.database.begin().await?;
        let done = sqlx::query(
            "UPDATE files SET session = $3, username = $4 \
             WHERE id = $1 AND session = $2 AND completed IS NULL",
        )
        .bind(id.to_string())
        .bind(from.to_string())
        .bind(to.to_string())
        .bind(username.as_str())
        .execute(tx.on())
        .await?;
        tx.commit().await?;
        if done.rows_affected() == 0 {
            return Err(Error::Conflict);
        }
        self.file(id).await
    }

    /// Takes in bytes of a file from `position` on, until they end, break off, or the file is whole.
    /// `now` is when it begins, in milliseconds since 1970; the file is whole as long after that as it takes.
    /// What had arrived before a break is kept; [`Self::file`] tells where to go on.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the file does not end at `position`, [`Error::TooLarge`] when more
    /// comes than was announced, [`Error::TooMuch`] when the room or all rooms are full by now, or it
    /// comes in too many pieces, [`Error::Broken`] when the bytes break off, and [`Error::WrongType`]
    /// when they turn out to be what is not taken: then the file is gone.
    pub async fn receive<E>(
        &self,
        id: FileId,
        position: u64,
        bytes: impl Stream<Item = Result<Bytes, E>>,
        now: u64,
    ) -> Result<File, Error> {
        let file = self.file(id).await?;
        if file.received != position || file.completed.is_some() {
            return Err(Error::Conflict);
        }
        let mut upload = Upload {
            store: self,
            id,
            room: file.of.room,
            size: file.of.size,
            at: position,
            digest: self.digests.take(id, position),
            began: (now, Instant::now()),
        };
        let mut bytes = pin!(bytes);
        let mut piece = BytesMut::new();
        let ended = loop {
            match bytes.next().await {
                None => break Ok(()),
                Some(Err(_)) => break Err(Error::Broken),
                Some(Ok(chunk)) => {
                    let coming = upload.at + piece.len() as u64 + chunk.len() as u64;
                    if coming > file.of.size {
                        break Err(Error::TooLarge);
                    }
                    let mut chunk = chunk;
                    while !chunk.is_empty() {
                        let now = chunk.split_to(chunk.len().min(PIECE - piece.len()));
                        piece.extend_from_slice(&now);
                        if piece.len() == PIECE {
                            upload.keep(piece.split().freeze()).await?;
                        }
                    }
                }
            }
        };
        if !piece.is_empty() {
            upload.keep(piece.freeze()).await?;
        }
        let (now, at, digest) = (upload.now(), upload.at, upload.digest);
        if let Some(digest) = digest {
            self.digests.put(id, file.of.room, at, digest);
        }
        if let Err(error) = ended {
            // It may have been deleted meanwhile, or its room.
            if self.file(id).await.is_err() {
                self.digests.forget(id);
            }
            return Err(error);
        }
        if at == file.of.size {
            return self.complete(id, now).await;
        }
        self.file(id).await
    }

    /// The bytes of a file in `range`, at most 512 KiB at a time. `range` must lie within what has arrived.
    pub fn read_file(
        &self,
        id: FileId,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
        let store = self.clone();
        stream::try_unfold((store, range), move |(store, left)| async move {
            if left.is_empty() {
                return Ok(None);
            }
            let row = sqlx::query(
                "SELECT start, size, key FROM parts WHERE file = $1 AND start <= $2 \
                 ORDER BY start DESC LIMIT 1",
            )
            .bind(id.to_string())
            .bind(number(left.start))
            .fetch_one(&store.database.pool)
            .await?;
            let piece = read_piece(&row)?;
            let from = left.start - piece.start;
            let to = (left.end - piece.start)
                .min(piece.size)
                .min(from.saturating_add(SLICE));
            if from >= to {
                return Err(Error::NotFound);
            }
            let bytes = store.blobs.get_range(&piece.key, from, to).await?;
            if bytes.len() as u64 != to - from {
                return Err(error::damaged("a piece of a file is too short"));
            }
            let rest = left.start + bytes.len() as u64..left.end;
            Ok(Some((bytes, (store, rest))))
        })
    }

    /// Deletes a file, whole or not, and says what it was. Its bytes go with [`Self::bury`], or with
    /// the next sweep after `now`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn delete_file(&self, id: FileId, now: u64) -> Result<File, Error> {
        let mut tx = self.database.begin().await?;
        let row = sqlx::query("SELECT room FROM files WHERE id = $1")
            .bind(id.to_string())
            .fetch_one(tx.on())
            .await?;
        // The room before the file, as everywhere: so no two wait for each other.
        let room = RoomId::new(row.signed("room")?);
        hold_room(&mut tx, room).await?;
        sqlx::query("INSERT INTO graves (key, due) SELECT key, $2 FROM parts WHERE file = $1")
            .bind(id.to_string())
            .bind(number(now))
            .execute(tx.on())
            .await?;
        let row = sqlx::query("DELETE FROM files WHERE id = $1 RETURNING *")
            .bind(id.to_string())
            .fetch_one(tx.on())
            .await?;
        let file = read_file(&row)?;
        count(&mut tx, room, -1, -number(file.received)).await?;
        tx.commit().await?;
        self.digests.forget(id);
        Ok(file)
    }

    /// All bytes are here: notes what they are, their digest, and that the file is whole.
    async fn complete(&self, id: FileId, now: u64) -> Result<File, Error> {
        let file = self.file(id).await?;
        let head = self
            .read_file(id, 0..file.of.size.min(kind::HEAD))
            .try_fold(Vec::new(), async |mut head, bytes| {
                head.extend_from_slice(&bytes);
                Ok(head)
            })
            .await?;
        let kind = kind::told(&head, &file.of.kind);
        if !self.settings.file_types.allow(&kind) {
            self.delete_file(id, now).await?;
            return Err(Error::WrongType);
        }
        let digest = match self.digests.take(id, file.of.size) {
            Some(digest) => digest,
            // It went on after a restart, or on another node.
            None => {
                let mut digest = Context::new(&SHA256);
                let mut bytes = pin!(self.read_file(id, 0..file.of.size));
                while let Some(chunk) = bytes.next().await {
                    digest.update(&chunk?);
                }
                digest
            }
        };
        let mut tx = self.database.begin().await?;
        sqlx::query(
            "UPDATE files SET sha256 = $2, completed = $3, kind = $4 \
             WHERE id = $1 AND received = size AND completed IS NULL",
        )
        .bind(id.to_string())
        .bind(hexadecimal(digest.finish().as_ref()))
        .bind(number(now))
        .bind(kind)
        .execute(tx.on())
        .await?;
        tx.commit().await?;
        self.file(id).await
    }
}

/// One run of bytes into a file.
struct Upload<'a> {
    store: &'a Store,
    id: FileId,
    room: RoomId,
    size: u64,
    at: u64,
    digest: Option<Context>,
    /// The same moment by both clocks: an upload may take hours.
    began: (u64, Instant),
}

impl Upload<'_> {
    /// Keeps a piece: first where it will lie is noted, then it is written, then it is the file's.
    async fn keep(&mut self, bytes: Bytes) -> Result<(), Error> {
        let key = Blobs::new_key();
        let due = self.note(&key).await?;
        self.store.blobs.put(&key, bytes.clone()).await?;
        let end = self.at + bytes.len() as u64;
        if let Err(error) = self.claim(&key, end, due).await {
            if matches!(error, Error::TooMuch) {
                // Not to wait for the sweep: whoever tries again and again would fill what is full.
                self.store.blobs.delete(&key).await?;
            }
            return Err(error);
        }
        if let Some(digest) = &mut self.digest {
            digest.update(&bytes);
        }
        self.at = end;
        Ok(())
    }

    /// Notes where a piece will lie, and when it is removed unless it is claimed before.
    async fn note(&self, key: &str) -> Result<i64, Error> {
        let due = number(self.now().saturating_add(UNCLAIMED));
        let mut tx = self.store.database.begin().await?;
        sqlx::query("INSERT INTO graves (key, due) VALUES ($1, $2)")
            .bind(key)
            .bind(due)
            .execute(tx.on())
            .await?;
        tx.commit().await?;
        Ok(due)
    }

    /// Makes the piece that lies under `key` the file's, up to `end`. It was noted for removal at `due`.
    async fn claim(&self, key: &str, end: u64, due: i64) -> Result<(), Error> {
        let mut tx = self.store.database.begin().await?;
        let room = count(&mut tx, self.room, 0, number(end - self.at)).await?;
        // Only one of two who send the same part at the same time gets further than this.
        let row = sqlx::query(
            "UPDATE files SET received = $3, pieces = pieces + 1 \
             WHERE id = $1 AND received = $2 AND completed IS NULL AND $3 <= $4 RETURNING pieces",
        )
        .bind(self.id.to_string())
        .bind(number(self.at))
        .bind(number(end))
        .bind(number(self.size))
        .fetch_optional(tx.on())
        .await?;
        let pieces = row.ok_or(Error::Conflict)?.signed("pieces")?;
        if pieces > PIECES_MAX {
            return Err(Error::TooMuch);
        }
        // Others may have filled the room since the announcement. With PostgreSQL, those who send to other rooms
        // at this very moment may each go a piece beyond what all may have.
        self.store.fits(&mut tx, &room, 0).await?;
        sqlx::query("INSERT INTO parts (file, start, size, key) VALUES ($1, $2, $3, $4)")
            .bind(self.id.to_string())
            .bind(number(self.at))
            .bind(number(end - self.at))
            .bind(key)
            .execute(tx.on())
            .await?;
        // Whoever removes a piece puts it off first: then this one is lost, since writing it took an hour.
        let claimed = sqlx::query("DELETE FROM graves WHERE key = $1 AND due = $2")
            .bind(key)
            .bind(due)
            .execute(tx.on())
            .await?;
        if claimed.rows_affected() == 0 {
            return Err(Error::Conflict);
        }
        tx.commit().await
    }

    fn now(&self) -> u64 {
        let (unix, monotonic) = self.began;
        let since = u64::try_from(monotonic.elapsed().as_millis()).unwrap_or(u64::MAX);
        unix.saturating_add(since)
    }
}

impl Digests {
    /// The digest of a file at this position, if it is at hand.
    fn take(&self, id: FileId, position: u64) -> Option<Context> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.remove(&id) {
            Some((_, at, digest)) if at == position => Some(digest),
            _ => (position == 0).then(|| Context::new(&SHA256)),
        }
    }

    fn put(&self, id: FileId, room: RoomId, position: u64, digest: Context) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < DIGESTS_MAX {
            all.insert(id, (room, position, digest));
        }
    }

    /// Forgets an upload that is no longer there.
    fn forget(&self, id: FileId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&id);
    }

    /// Forgets the uploads of a room that has ended.
    pub(super) fn forget_room(&self, room: RoomId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (of, ..)| *of != room);
    }
}

/// Counts what comes to a room, or goes from it, and says what it has now. The room is held until the transaction
/// ends.
async fn count(tx: &mut Tx<'_>, room: RoomId, files: i64, bytes: i64) -> Result<Counted, Error> {
    let row = sqlx::query(
        "UPDATE rooms SET files = files + $2, bytes = bytes + $3 WHERE id = $1 \
         RETURNING files, bytes",
    )
    .bind(room.number())
    .bind(files)
    .bind(bytes)
    .fetch_one(tx.on())
    .await?;
    Ok(Counted {
        files: row.signed("files")?,
        bytes: row.number("bytes")?,
    })
}

fn read_piece(row: &AnyRow) -> Result<Piece, Error> {
    Ok(Piece {
        start: row.number("start")?,
        size: row.number("size")?,
        key: row.text("key")?,
    })
}

fn read_file(row: &AnyRow) -> Result<File, Error> {
    Ok(File {
        id: row.parsed("id")?,
        of: NewFile {
            room: RoomId::new(row.signed("room")?),
            name: row.text("name")?,
            kind: row.text("kind")?,
            size: row.number("size")?,
            session: row.parsed("session")?,
            username: row.parsed("username")?,
            to: row.parsed_if_any("to_session")?,
            created: row.number("created")?,
        },
        received: row.number("received")?,
        sha256: row.text_if_any("sha256")?,
        completed: row.number_if_any("completed")?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use uuid::Uuid;

    use super::*;
    use crate::store::{NewRoom, RoomSettings, Settings};

    const NOW: u64 = 1_800_000_000_000;

    fn announced(room: RoomId, size: u64) -> NewFile {
        NewFile {
            room,
            name: "a".to_owned(),
            kind: "text/plain".to_owned(),
            size,
            session: SessionId::random(),
            username: "Ann".parse().unwrap(),
            to: None,
            created: NOW,
        }
    }

    /// A piece for which the upload has an hour, removed after that: at once, or not at the first try.
    #[tokio::test]
    async fn a_piece_that_is_being_removed_is_no_uploads_any_more() {
        let dir = std::env::temp_dir().join(format!("turnstone_{}", Uuid::new_v4().simple()));
        let store = Store::open(Settings::default(), &dir).await.unwrap();
        let room = NewRoom {
            settings: RoomSettings::named("Tea".parse().unwrap()),
            created: NOW,
        };
        let room = store.create_room(&room).await.unwrap().id;
        let file = store.create_file(&announced(room, 3)).await.unwrap();
        let upload = Upload {
            store: &store,
            id: file.id,
            room,
            size: 3,
            at: 0,
            digest: None,
            began: (NOW, Instant::now()),
        };
        for is_stuck in [false, true] {
            let key = Blobs::new_key();
            let due = upload.note(&key).await.unwrap();
            store
                .blobs
                .put(&key, Bytes::from_static(b"abc"))
                .await
                .unwrap();
            if is_stuck {
                let path = dir.join("files").join(&key);
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
            let now = u64::try_from(due).unwrap();
            assert_eq!(store.bury(now - 1).await.unwrap(), 0, "it has its time");
            let buried = store.bury(now).await.unwrap();
            assert_eq!(buried, u64::from(!is_stuck));
            let claimed = upload.claim(&key, 3, due).await;
            assert!(matches!(claimed, Err(Error::Conflict)), "{claimed:?}");
        }
        assert_eq!(store.file(file.id).await.unwrap().received, 0);
        let key = Blobs::new_key();
        let due = upload.note(&key).await.unwrap();
        upload.claim(&key, 3, due).await.unwrap();
        assert_eq!(store.file(file.id).await.unwrap().received, 3);
        store.close().await;
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn digests_are_forgotten_with_their_upload_and_with_its_room() {
        let digests = Digests::default();
        let [deleted, ended, other] = [(); 3].map(|()| FileId::random());
        for (id, room) in [(deleted, 1), (ended, 2), (other, 1)] {
            digests.put(id, RoomId::new(room), 5, Context::new(&SHA256));
        }
        digests.forget(deleted);
        digests.forget_room(RoomId::new(2));
        assert!(digests.take(deleted, 5).is_none());
        assert!(digests.take(ended, 5).is_none());
        assert!(digests.take(other, 5).is_some());
    }

    #[tokio::test]
    async fn a_sweep_forgets_the_uploads_of_the_rooms_it_ends_and_of_the_files() {
        let dir = std::env::temp_dir().join(format!("turnstone-sweep-{}", FileId::random()));
        let store = Store::open(Settings::default(), &dir).await.unwrap();
        let now = NOW;
        let long = now + 2 * 24 * 3600 * 1000;
        for (name, expires) in [("dated", now + 1), ("plain", long + 1)] {
            let mut settings = RoomSettings::named(name.parse().unwrap());
            settings.expires = Some(expires);
            let created = now;
            let room = store.create_room(&NewRoom { settings, created }).await;
            let file = announced(room.unwrap().id, 9);
            let file = store.create_file(&file).await.unwrap();
            let half = futures_util::stream::iter([Ok::<_, ()>(Bytes::from_static(b"half"))]);
            store.receive(file.id, 0, half, now).await.unwrap();
        }
        let known = || store.digests.0.lock().unwrap().len();
        assert_eq!(known(), 2);
        assert_eq!(store.sweep(now + 1).await.unwrap().rooms.len(), 1);
        assert_eq!(known(), 1);
        assert_eq!(store.sweep(long).await.unwrap().files, 1);
        assert_eq!(known(), 0);
        store.close().await;
        fs::remove_dir_all(&dir).unwrap();
    }
}
