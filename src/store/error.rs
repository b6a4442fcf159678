//! What can go wrong with what is kept.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tracing::error;

/// Why something was not stored or found. The caller can choose what to do about each.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is one of that name already.
    #[error("it exists already")]
    Exists,
    /// There is none, or none any more.
    #[error("it does not exist")]
    NotFound,
    /// Something else has happened in between: the position is not the one that was asked for.
    #[error("it has changed meanwhile")]
    Conflict,
    /// A limit in the settings, or one of the store's own, stands against it.
    #[error("it is more than the limits allow")]
    TooMuch,
    /// A file is larger than any may be.
    #[error("it is larger than a file may be")]
    TooLarge,
    /// Files of this kind are not taken.
    #[error("files of this type are not taken")]
    WrongType,
    /// Too much waits already; trying again later may work.
    #[error("too much waits to be stored")]
    Busy,
    /// The sender broke off, or sent what cannot be read.
    #[error("what was sent broke off")]
    Broken,
    /// The database or the files cannot be reached, or hold what this program did not write. The
    /// cause has been logged.
    #[error("the store is not available")]
    Unavailable,
}

/// Why the store cannot be opened, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error("{} cannot be used: {source}", .path.display())]
    DataDir {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database cannot be opened. Its address is not repeated: it may hold a password.
    #[error("the database cannot be opened: {0}")]
    Database(Said),
    /// The database was written by a newer version.
    #[error(
        "the database has layout {found}, and this version of turnstone knows layouts up to {known}: \
         it was used by a newer version, so use that one, or restore an older backup"
    )]
    Newer {
        /// The layout found.
        found: i64,
        /// The newest layout known.
        known: i64,
    },
    /// Another process uses the database, and what is to be done does not go together with that.
    #[error("{0}")]
    InUse(&'static str),
    /// The place of the files cannot be used.
    #[error("the files cannot be kept: {0}")]
    Files(String),
}

/// What a database says of itself, without addresses or passwords.
#[derive(Debug)]
pub struct Said(pub(super) sqlx::Error);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            sqlx::Error::PoolTimedOut => f.write_str("it does not answer"),
            sqlx::Error::Database(error) => f.write_str(error.message()),
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for Said {}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Said(error))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::Database(known) if known.is_unique_violation() => Self::Exists,
            // What it belongs to has just gone.
            sqlx::Error::Database(known) if known.is_foreign_key_violation() => Self::NotFound,
            sqlx::Error::PoolTimedOut => {
                error!("the database does not answer in time");
                Self::Unavailable
            }
            _ => {
                error!(error = %Said(error), "the database has failed");
                Self::Unavailable
            }
        }
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        if let object_store::Error::NotFound { .. } = error {
            return Self::NotFound;
        }
        error!(%error, "the place of the files has failed");
        Self::Unavailable
    }
}

/// A value in the database that this program would not have written.
pub(super) fn damaged(what: &'static str) -> Error {
    error!(what, "the database holds what cannot be read");
    Error::Unavailable
}
