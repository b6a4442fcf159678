//! Rooms' passwords: hashed with Argon2id (RFC 9106), so that a stolen database opens no room.
//!
//! It stands beside the tables because what is kept is a hash, never a password; guesses are limited by
//! whoever asks. One hash takes memory and a core for some ten milliseconds on purpose. So few run at
//! a time, on threads for blocking work, and few wait: strangers can make the server hash as often
//! as they like to knock, and must not starve calls of it.

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tracing::error;
use unicode_normalization::UnicodeNormalization;

use super::Error;

/// Memory of one hash in KiB, passes over it, and lanes: what OWASP advises for servers (2024).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many hashes run at a time: 38 MiB of memory, and two cores at most.
const AT_ONCE: usize = 2;

/// How many more may wait, some seconds at worst; beyond, the server is being hammered.
const WAITING: usize = 64;

/// The longest password in bytes: a long sentence, and not a way to keep a core busy.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// What is kept of a password: a PHC string, with its own salt and cost.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash(String);

impl Hash {
    pub(super) fn kept(text: String) -> Self {
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(hidden)")
    }
}

/// Hashes and checks passwords; one for the whole server.
#[derive(Debug, Clone)]
pub struct Passwords {
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            running: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Passwords {
    /// What to keep of `password`.
    ///
    /// # Errors
    /// [`Error::TooMuch`] over [`PASSWORD_BYTES_MAX`], [`Error::Busy`] when too many wait.
    pub async fn hash(&self, password: &str) -> Result<Hash, Error> {
        let password = composed(password);
        self.run(password.len(), move || {
            let hash = argon2()?.hash_password(password.as_bytes());
            hash.map(|hash| Hash(hash.to_string())).map_err(unexpected)
        })
        .await
    }

    /// Whether `password` is the one.
    ///
    /// # Errors
    /// As [`Self::hash`].
    pub async fn verify(&self, hash: &Hash, password: &str) -> Result<bool, Error> {
        let (hash, password) = (hash.clone(), composed(password));
        self.run(password.len(), move || {
            let kept = PasswordHash::new(&hash.0).map_err(unexpected)?;
            // The cost is the hash's own, so older ones stay good when the cost here rises.
            Ok(argon2()?
                .verify_password(password.as_bytes(), &kept)
                .is_ok())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if bytes > PASSWORD_BYTES_MAX {
            return Err(Error::TooMuch);
        }
        let _place = self.places.try_acquire().map_err(|_| Error::Busy)?;
        let turn = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(unexpected)?;
        spawn_blocking(move || {
            // Given back when the work is done, not when the one who asked has gone.
            let _turn = turn;
            work()
        })
        .await
        .map_err(unexpected)?
    }
}

/// The same letters make the same password, whichever way a keyboard composes them (NFC).
fn composed(password: &str) -> String {
    if password.len() > PASSWORD_BYTES_MAX {
        // It will be refused for that.
        return password.to_owned();
    }
    password.nfc().collect()
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(unexpected)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn unexpected(error: impl fmt::Display) -> Error {
    error!(%error, "a password could not be hashed");
    Error::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_opens() {
        let passwords = Passwords::default();
        let hash = passwords.hash("open, Sesame").await.unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(passwords.verify(&hash, "open, Sesame").await.unwrap());
        assert!(!passwords.verify(&hash, "open, sesame").await.unwrap());
        let hash_of_composed = passwords.hash("caf\u{e9}").await.unwrap();
        assert!(
            passwords
                .verify(&hash_of_composed, "cafe\u{301}")
                .await
                .unwrap()
        );
        let again = passwords.hash("open, Sesame").await.unwrap();
        assert_ne!(hash, again, "each hash has a salt of its own");
        assert!(!format!("{hash:?}").contains("argon2"));
    }

    #[tokio::test]
    async fn endless_passwords_and_crowds_are_refused() {
        let passwords = Passwords::default();
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        assert!(matches!(passwords.hash(&long).await, Err(Error::TooMuch)));
        let crowd = passwords
            .places
            .try_acquire_many(u32::try_from(AT_ONCE + WAITING).unwrap());
        assert!(matches!(passwords.hash("x").await, Err(Error::Busy)));
        drop(crowd);
        assert!(passwords.hash("x").await.is_ok());
    }
}
