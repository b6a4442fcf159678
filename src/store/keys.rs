//! API keys: what another program shows to be let in. Of its secret only a hash is kept.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use sqlx::any::AnyRow;

use super::rooms::found;
use super::{Columns, Error, Store, fingerprint, number, text};
use crate::id::KeyId;

/// What a key begins with, so that people and scanners for leaked secrets know it for what it is.
const PREFIX: &str = "turnstone";

/// The secret's size in bytes: nobody guesses it, so a fast hash will do.
const SECRET_BYTES: usize = 32;

/// How exactly the last use is noted, in milliseconds: a busy key must not mean a write per request.
const LAST_USED_STEP: u64 = 60_000;

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Seeing all rooms, unlisted ones too, and who is in them.
    RoomsRead,
    /// Making, changing and deleting rooms, and inviting people.
    RoomsWrite,
    /// Reading what was said in rooms.
    MessagesRead,
    /// Listing, fetching and deleting the files of rooms.
    Files,
    /// Being given TURN credentials.
    Turn,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [
        Self::RoomsRead,
        Self::RoomsWrite,
        Self::MessagesRead,
        Self::Files,
        Self::Turn,
    ];

    /// As it is typed and kept.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoomsRead => "rooms:read",
            Self::RoomsWrite => "rooms:write",
            Self::MessagesRead => "messages:read",
            Self::Files => "files",
            Self::Turn => "turn",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(UnknownScope)
    }
}

/// There is no scope of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such scope")]
pub struct UnknownScope;

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// For revoking it.
    pub id: KeyId,
    /// What it is for, in the operator's words.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made, in milliseconds since 1970.
    pub created: u64,
    /// When it was last used, to the minute.
    pub last_used: Option<u64>,
    /// When it was revoked.
    pub revoked: Option<u64>,
}

/// A new key with its secret, which is shown this once.
pub struct MintedKey {
    /// For revoking it.
    pub id: KeyId,
    /// The whole key, as the other program shows it.
    pub key: String,
}

impl fmt::Debug for MintedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Makes a key.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn create_key(
        &self,
        name: &str,
        scopes: &[Scope],
        now: u64,
    ) -> Result<MintedKey, Error> {
        let mut bytes = [0; SECRET_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| super::error::damaged("the system has no randomness"))?;
        let id = KeyId::random();
        let key = format!("{PREFIX}_{id}_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        let scopes: Vec<&str> = scopes.into_iter().map(Scope::as_str).collect();
        let mut tx = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO api_keys (id, name, hash, scopes, created) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id.to_string())
        .bind(text(name))
        .bind(fingerprint(&key))
        .bind(scopes.join(" "))
        .bind(number(now))
        .execute(tx.on())
        .await?;
        tx.commit().await?;
        Ok(MintedKey { id, key })
    }

    /// The key that another program has shown, if it is good.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is none, or is revoked.
    pub async fn key(&self, shown: &str, now: u64) -> Result<ApiKey, Error> {
        let id: KeyId = shown
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .and_then(|rest| rest.split_once('_'))
            .and_then(|(id, _)| id.parse().ok())
            .ok_or(Error::NotFound)?;
        let row = sqlx::query("SELECT * FROM api_keys WHERE id = $1 AND revoked IS NULL")
            .bind(id.to_string())
            .fetch_one(&self.database.pool)
            .await?;
        // What is compared are hashes: how long it takes tells nothing of the secret.
        if row.text("hash")? != fingerprint(shown) {
            return Err(Error::NotFound);
        }
        let key = read_key(&row)?;
        if key
            .last_used
            .is_none_or(|last| last + LAST_USED_STEP <= now)
        {
            let mut tx = self.database.begin().await?;
            sqlx::query("UPDATE api_keys SET last_used = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(number(now))
                .execute(tx.on())
                .await?;
            tx.commit().await?;
        }
        Ok(key)
    }

    /// All keys, the oldest first, those revoked too.
    ///
    /// # Errors
    /// When the store is not available.
    pub async fn keys(&self) -> Result<Vec<ApiKey>, Error> {
        let rows = sqlx::query("SELECT * FROM api_keys ORDER BY created, id")
            .fetch_all(&self.database.pool)
            .await?;
        rows.iter().map(read_key).collect()
    }

    /// Revokes a key: from now on it is no good.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such key that is not revoked.
    pub async fn revoke_key(&self, id: KeyId, now: u64) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let done =
            sqlx::query("UPDATE api_keys SET revoked = $2 WHERE id = $1 AND revoked IS NULL")
                .bind(id.to_string())
                .bind(number(now))
                .execute(tx.on())
                .await?;
        tx.commit().await?;
        found(done.rows_affected())
    }
}

fn read_key(row: &AnyRow) -> Result<ApiKey, Error> {
    Ok(ApiKey {
        id: row.parsed("id")?,
        name: row.text("name")?,
        // A scope that a newer version gave means nothing to this one.
        scopes: row
            .text("scopes")?
            .split(' ')
            .filter_map(|scope| scope.parse().ok())
            .collect(),
        created: row.number("created")?,
        last_used: row.number_if_any("last_used")?,
        revoked: row.number_if_any("revoked")?,
    })
}
