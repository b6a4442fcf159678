//! The database, be it SQLite or PostgreSQL: opening it, and transactions.
//!
//! Both are spoken to through the same queries (`sqlx`'s `Any`). SQLite runs on threads of its own,
//! a thread a connection, so that nothing blocks the tasks.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Once, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use sqlx::any::{Any, AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection, Row, Transaction};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;
use tracing::log::LevelFilter;

use super::error::{Error, OpenError};
use super::schema;
use super::settings::DatabaseUrl;

/// How many connections to SQLite, each with a thread: one writes, the others read beside it.
const SQLITE_CONNECTIONS: u32 = 6;

/// How many connections to PostgreSQL, which allows 100 in all by default, for several nodes.
const POSTGRES_CONNECTIONS: u32 = 16;

/// How long to wait for a connection before the database counts as unavailable.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long PostgreSQL may take to notice that the last one who used the database has gone.
const LET_GO: Duration = Duration::from_secs(2);

/// What a query may take before a line is logged about it.
const SLOW: Duration = Duration::from_secs(1);

/// The name of the SQLite file in the data directory.
pub const SQLITE_FILE: &str = "turnstone.db";

/// The file in the data directory whose lock says who uses the database.
const LOCK_FILE: &str = "turnstone.lock";

/// The file in the data directory that a server locks for itself.
const SERVER_FILE: &str = "server.lock";

/// What every connection to SQLite begins with. What is acknowledged is on the disk: in WAL mode
/// `FULL` syncs at each commit. A writer of another process is waited for. The log shrinks again.
const SQLITE_BEGIN: &str = "
    PRAGMA busy_timeout = 5000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA cache_size = -16384;
";

/// The advisory lock of PostgreSQL that says who uses the database: shared by servers, held alone
/// by a restore. The number is `turnston` in ASCII.
const POSTGRES_USE: i64 = 0x7475_726e_7374_6f6e;

/// The advisory lock that lets one at a time bring the layout up to date.
const POSTGRES_LAYOUT: i64 = POSTGRES_USE + 1;

/// Which database it is, for the few places where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    Postgres,
}

/// How the database is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Beside others: a server, or a command while it runs.
    Shared,
    /// By nobody else, or not at all.
    Alone,
}

/// An open database.
pub(super) struct Database {
    pub(super) pool: AnyPool,
    pub(super) kind: Kind,
    /// SQLite has one writer at a time. Waiting here is fair and costs nothing; its own waiting is
    /// neither.
    turn: Mutex<()>,
    /// Held as long as the database is in use.
    lock: std::sync::Mutex<Option<File>>,
}

/// A transaction that writes. Rolled back unless committed.
pub(super) struct Tx<'a> {
    inner: Transaction<'static, Any>,
    _turn: Option<MutexGuard<'a, ()>>,
}

impl Database {
    /// Opens the database at `url`, or else the SQLite file in `data_dir`, which is made if needed,
    /// and brings its layout up to date.
    pub(super) async fn open(
        url: Option<&DatabaseUrl>,
        data_dir: &Path,
        how: Use,
    ) -> Result<Self, OpenError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        make_dir(data_dir).map_err(|source| OpenError::DataDir {
            path: data_dir.to_owned(),
            source,
        })?;
        let database = match url {
            None => Self::sqlite(data_dir, how).await?,
            Some(url) => Self::postgres(url, how).await?,
        };
        schema::bring_up_to_date(&database).await?;
        Ok(database)
    }

    async fn sqlite(data_dir: &Path, how: Use) -> Result<Self, OpenError> {
        let lock = lock(data_dir, how)?;
        let path = data_dir.join(SQLITE_FILE);
        let in_trouble = |source| OpenError::DataDir {
            path: path.clone(),
            source,
        };
        // Made here, so that it is never readable by others, not even for a moment.
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(in_trouble)?;
        let full = path.canonicalize().map_err(in_trouble)?;
        let mut url = url::Url::from_file_path(&full)
            .map_err(|()| in_trouble(io::ErrorKind::InvalidFilename.into()))?
            .to_string();
        url.replace_range(.."file".len(), "sqlite");
        let options = options(&url)?;
        // A pool tries again and again, and keeps to itself what went wrong: so one alone comes first.
        let mut first = AnyConnection::connect_with(&options).await?;
        sqlx::raw_sql(SQLITE_BEGIN).execute(&mut first).await?;
        first.close().await?;
        let connections = if how == Use::Alone {
            1
        } else {
            SQLITE_CONNECTIONS
        };
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(PATIENCE)
            // A connection is a file and a thread: it does not wear out.
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(false)
            // SQLite itself ends a transaction that finds the disk full, and sqlx then believes that it goes on.
            .before_acquire(|connection, _| {
                let is_good = !connection.is_in_transaction();
                Box::pin(async move { Ok(is_good) })
            })
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql(SQLITE_BEGIN)
                        .execute(connection)
                        .await
                        .map(|_| ())
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self {
            pool,
            kind: Kind::Sqlite,
            turn: Mutex::new(()),
            lock: std::sync::Mutex::new(Some(lock)),
        })
    }

    async fn postgres(url: &DatabaseUrl, how: Use) -> Result<Self, OpenError> {
        let alone = how == Use::Alone;
        let options = options(url.as_str())?;
        // As with SQLite, one alone comes first, to be told what is wrong.
        let first = timeout(PATIENCE, AnyConnection::connect_with(&options)).await;
        let mut first = first.map_err(|_| sqlx::Error::PoolTimedOut)??;
        let deadline = Instant::now() + LET_GO;
        while !take_postgres(&mut first, how).await? {
            if Instant::now() >= deadline {
                return Err(taken(how));
            }
            tokio::time::sleep(LET_GO / 20).await;
        }
        first.close().await?;
        let pool = AnyPoolOptions::new()
            .max_connections(if alone { 1 } else { POSTGRES_CONNECTIONS })
            // While one is open, nobody can restore over it.
            .min_connections(1)
            .max_lifetime((!alone).then_some(Duration::from_secs(1800)))
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    match take_postgres(connection, how).await? {
                        true => Ok(()),
                        false => Err(sqlx::Error::PoolTimedOut),
                    }
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self {
            pool,
            kind: Kind::Postgres,
            turn: Mutex::new(()),
            lock: std::sync::Mutex::default(),
        })
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(&self) -> Result<Tx<'_>, Error> {
        let (turn, begin) = match self.kind {
            // A write lock from the start: one taken halfway cannot wait, only fail.
            Kind::Sqlite => (Some(self.turn.lock().await), "BEGIN IMMEDIATE"),
            Kind::Postgres => (None, "BEGIN"),
        };
        Ok(Tx {
            inner: self.pool.begin_with(begin).await?,
            _turn: turn,
        })
    }

    /// Begins a transaction that reads, all of it at one moment.
    pub(super) async fn snapshot(&self) -> Result<Tx<'static>, Error> {
        let begin = match self.kind {
            Kind::Sqlite => "BEGIN",
            Kind::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(Tx {
            inner: self.pool.begin_with(begin).await?,
            _turn: None,
        })
    }

    /// Keeps others that start at the same time from changing the layout too, until the
    /// transaction ends. SQLite's transactions do so by themselves.
    pub(super) async fn lock_layout(&self, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
        if self.kind == Kind::Postgres {
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(POSTGRES_LAYOUT)
                .execute(tx.on())
                .await?;
        }
        Ok(())
    }

    /// Closes every connection; SQLite's log goes into its file.
    pub(super) async fn close(&self) {
        self.pool.close().await;
        let lock = self
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(lock);
    }
}

impl Tx<'_> {
    /// Where its queries go.
    pub(super) fn on(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }

    /// Makes it last: when this returns, it is on the disk.
    pub(super) async fn commit(self) -> Result<(), Error> {
        Ok(self.inner.commit().await?)
    }
}

fn options(url: &str) -> Result<AnyConnectOptions, sqlx::Error> {
    let options: AnyConnectOptions = url.parse()?;
    Ok(options
        .log_statements(LevelFilter::Trace)
        .log_slow_statements(LevelFilter::Warn, SLOW))
}

/// Makes the data directory if there is none, closed to others.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Locks the data directory. The system lets go of it when the process ends, however it ends.
fn lock(data_dir: &Path, how: Use) -> Result<File, OpenError> {
    let path = data_dir.join(LOCK_FILE);
    let operation = match how {
        Use::Shared => FlockOperation::NonBlockingLockShared,
        Use::Alone => FlockOperation::NonBlockingLockExclusive,
    };
    let lock = try_lock(&path, operation).map_err(|source| OpenError::DataDir { path, source })?;
    lock.ok_or_else(|| taken(how))
}

/// Takes the data directory for a server, as long as the file is held; `None` when another server has it.
///
/// # Errors
/// When the directory cannot be written.
pub fn serve_from(data_dir: &Path) -> io::Result<Option<File>> {
    try_lock(
        &data_dir.join(SERVER_FILE),
        FlockOperation::NonBlockingLockExclusive,
    )
}

/// Locks a file, made if there is none, as long as it is held; `None` when a lock of others is in the way.
fn try_lock(path: &Path, operation: FlockOperation) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    match flock(&file, operation) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Notes in PostgreSQL that this connection uses the database; false when that does not go
/// together with others.
async fn take_postgres(connection: &mut AnyConnection, how: Use) -> Result<bool, sqlx::Error> {
    let ask = match how {
        Use::Shared => "SELECT pg_try_advisory_lock_shared($1)",
        Use::Alone => "SELECT pg_try_advisory_lock($1)",
    };
    let row = sqlx::query(ask)
        .bind(POSTGRES_USE)
        .fetch_one(connection)
        .await?;
    row.try_get(0)
}

fn taken(how: Use) -> OpenError {
    OpenError::InUse(match how {
        Use::Shared => "the database is being restored: wait until that is done",
        Use::Alone => "the database is in use: stop the server first",
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_full_disk_costs_what_did_not_fit_and_nothing_after_it() {
        let dir = std::env::temp_dir().join(format!("turnstone_{}", Uuid::new_v4().simple()));
        let database = Database::open(None, &dir, Use::Alone).await.unwrap();
        let mut tx = database.begin().await.unwrap();
        // What SQLite says of a full disk, it says of a full file too; of this connection only.
        for query in ["CREATE TABLE much (bytes)", "PRAGMA max_page_count = 1"] {
            sqlx::raw_sql(query).execute(tx.on()).await.unwrap();
        }
        let much = "INSERT INTO much VALUES (randomblob(1000000))";
        let full = sqlx::raw_sql(much).execute(tx.on()).await.unwrap_err();
        assert!(full.to_string().contains("full"), "{full}");
        drop(tx);
        let mut tx = database.begin().await.unwrap();
        sqlx::raw_sql("CREATE TABLE much (bytes)")
            .execute(tx.on())
            .await
            .unwrap();
        sqlx::raw_sql(much).execute(tx.on()).await.unwrap();
        tx.commit().await.unwrap();
        database.close().await;
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
