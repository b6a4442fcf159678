//! What outlives a restart: the database and the files.
//!
//! [`Store`] is the handle; it is cheap to clone. Its methods are grouped in a file per subject:
//! `rooms` (rooms that are kept, and who is banned from them), `invites`, `messages`, `files`, `keys`
//! (API keys), `outbox` (events on their way to other programs), `sweep` (what ends by itself).
//! Passwords are hashed in `password`; `backup` writes everything into one file and back.
//!
//! It knows nothing of sockets, sessions' rights or HTTP. Whoever calls has checked who may do what;
//! the store keeps what must hold among rows: names are unique, numbers rise, limits on
//! space for files hold, what belongs to a room goes with it. What time it is comes in as an argument,
//! in milliseconds since 1970.
//!
//! How the parts above use it:
//! - The owner of the rooms reads a kept room with [`Store::room_by_name`] when somebody enters,
//!   checks the password with [`password::Passwords`] in a task beside it, and says a chat
//!   message to others once [`Store::append`] has answered with its number. It never waits for the
//!   store itself: a task does, and its answer is an event for the core.
//! - The HTTP API calls the methods as they are; [`Error`] has a case for every answer it gives.
//! - `server` opens and closes it, and calls [`Store::sweep`] now and then.
//!
//! Nothing acknowledged is lost: a method that writes returns after the commit is on the disk.
//! Chat messages, of which there are many, share commits (`writer`).

pub mod backup;
mod blobs;
mod database;
mod error;
mod files;
mod invites;
mod keys;
pub mod kind;
mod messages;
mod outbox;
pub mod password;
mod roles;
mod rooms;
mod s3;
mod schema;
mod settings;
mod sweep;
mod writer;

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use ring::digest;
use sqlx::Row;
use sqlx::any::AnyRow;

use blobs::Blobs;
use database::{Database, Use};
use writer::Writer;

pub use database::{SQLITE_FILE, serve_from};
pub use error::{Error, OpenError};
pub use files::{File, FileList, FileWindow, NewFile, UNFINISHED};
pub use invites::{Invite, NewInvite};
pub use keys::{ApiKey, MintedKey, Scope};
pub use kind::{FileType, FileTypes};
pub use messages::{Head, History, Message, NewMessage, Reaction, Window};
pub use outbox::{Event, NewEvent};
pub use rooms::{Ban, KeptRoom, NewRoom, Page, RoomSettings};
pub use settings::{Bucket, DatabaseUrl, Settings};
pub use sweep::{CutShort, Swept};

/// The handle to everything that is kept.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    writer: Writer,
    blobs: Blobs,
    digests: Arc<files::Digests>,
    settings: Arc<Settings>,
}

impl Store {
    /// Opens what is kept in `data_dir`, or where `settings` say; a new one is made. Several
    /// processes may have it open, but none while another restores a backup.
    ///
    /// # Errors
    /// [`OpenError`], in words for the operator.
    pub async fn open(settings: Settings, data_dir: &Path) -> Result<Self, OpenError> {
        Self::open_for(settings, data_dir, Use::Shared).await
    }

    async fn open_for(settings: Settings, data_dir: &Path, how: Use) -> Result<Self, OpenError> {
        let database = Arc::new(Database::open(settings.database.as_ref(), data_dir, how).await?);
        Ok(Self {
            writer: Writer::start(Arc::clone(&database)),
            database,
            blobs: Blobs::open(settings.bucket.as_ref(), data_dir)?,
            digests: Arc::default(),
            settings: Arc::new(settings),
        })
    }

    /// The largest file that is taken, in bytes.
    #[must_use]
    pub fn largest_file(&self) -> u64 {
        self.settings.file_size
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.database.pool).await?;
        Ok(())
    }

    /// Finishes what was taken on, and closes. Other clones of the handle are of no use afterwards.
    pub async fn close(&self) {
        self.writer.finish().await;
        self.database.close().await;
    }
}

/// The form in which secrets with plenty of randomness are kept: SHA-256, in hexadecimal.
fn fingerprint(secret: &str) -> String {
    hexadecimal(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number for the database, whose numbers are signed.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Text for the database: PostgreSQL has no NUL in text, and nobody misses it.
fn text(value: &str) -> String {
    value.replace('\0', "")
}

/// Reads columns by their names.
trait Columns {
    fn text(&self, column: &'static str) -> Result<String, Error>;
    fn text_if_any(&self, column: &'static str) -> Result<Option<String>, Error>;
    fn number(&self, column: &'static str) -> Result<u64, Error>;
    fn number_if_any(&self, column: &'static str) -> Result<Option<u64>, Error>;
    fn signed(&self, column: &'static str) -> Result<i64, Error>;

    fn truth(&self, column: &'static str) -> Result<bool, Error> {
        Ok(self.signed(column)? != 0)
    }

    fn parsed<T: FromStr>(&self, column: &'static str) -> Result<T, Error> {
        self.text(column)?
            .parse()
            .map_err(|_| error::damaged(column))
    }

    fn parsed_if_any<T: FromStr>(&self, column: &'static str) -> Result<Option<T>, Error> {
        let text = self.text_if_any(column)?;
        text.map(|text| text.parse().map_err(|_| error::damaged(column)))
            .transpose()
    }
}

impl Columns for AnyRow {
    fn text(&self, column: &'static str) -> Result<String, Error> {
        Ok(self.try_get(column)?)
    }

    fn text_if_any(&self, column: &'static str) -> Result<Option<String>, Error> {
        Ok(self.try_get(column)?)
    }

    fn number(&self, column: &'static str) -> Result<u64, Error> {
        u64::try_from(self.signed(column)?).map_err(|_| error::damaged(column))
    }

    fn number_if_any(&self, column: &'static str) -> Result<Option<u64>, Error> {
        let number: Option<i64> = self.try_get(column)?;
        number
            .map(|number| u64::try_from(number).map_err(|_| error::damaged(column)))
            .transpose()
    }

    fn signed(&self, column: &'static str) -> Result<i64, Error> {
        Ok(self.try_get(column)?)
    }
}
