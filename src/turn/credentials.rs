//! Who may relay: sessions of people in rooms, users of other applications, fixed users.
//!
//! `signaling` says which sessions live and asks for their credentials; the relay looks keys up. One short lock.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use ring::{digest, hkdf, hmac};

use super::Settings;
use crate::id::SessionId;

/// How long minted credentials may be used to allocate. The page asks for new ones at four fifths of it.
pub const TTL_SECONDS: u64 = 3600;

/// What a page needs to relay (RFC 8489 §9.2, long-term credentials).
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// `<unix expiry>:<session id>`.
    pub username: String,
    /// Never printed.
    pub password: String,
    /// How many seconds it may be used to allocate.
    pub ttl_seconds: u64,
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minted")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Why a username was not accepted. Strangers are told no more than 401 either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody of that name, or their session has ended.
    #[error("unknown user")]
    Unknown,
    /// The time in the name has passed.
    #[error("credentials have expired")]
    Expired,
}

/// Whom limits are counted for: one person, however many names were minted for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum User {
    /// A person in a room.
    Session(SessionId),
    /// A name of another application, or a fixed user.
    Named(Arc<str>),
}

/// What a username stands for.
#[derive(Clone)]
pub struct Login {
    /// Whom it belongs to.
    pub user: User,
    /// The keys for MESSAGE-INTEGRITY.
    pub keys: Keys,
}

/// The long-term keys of one username (RFC 8489 §9.2.2).
#[derive(Clone)]
pub struct Keys {
    /// `MD5(username ":" realm ":" password)`.
    pub md5: [u8; 16],
    /// `SHA-256(username ":" realm ":" password)`.
    pub sha256: [u8; 32],
}

impl Keys {
    /// The keys of a user.
    #[must_use]
    pub fn new(username: &str, realm: &str, password: &str) -> Self {
        let text = format!("{username}:{realm}:{password}");
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        Self {
            md5: Md5::digest(text.as_bytes()).into(),
            sha256,
        }
    }
}

/// Mints and looks up credentials; shared by those who hand them out and those who check them.
pub struct Credentials {
    realm: String,
    session_key: hmac::Key,
    /// Shared with other applications, or else known to this server alone, which then mints for them.
    shared_key: hmac::Key,
    is_shared: bool,
    fixed: Vec<(Arc<str>, Keys)>,
    living: Mutex<HashSet<SessionId>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

struct KeyLen;

impl hkdf::KeyType for KeyLen {
    fn len(&self) -> usize {
        32
    }
}

impl Credentials {
    /// Credentials under the server's secret; the key for sessions is derived from it (RFC 5869) and used for nothing else.
    #[must_use]
    pub fn new(server_secret: &[u8], settings: &Settings) -> Self {
        let derived = |purpose: &'static [u8]| {
            let mut key = [0; 32];
            let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, b"turnstone")
                .extract(server_secret)
                .expand(&[purpose], KeyLen)
                .and_then(|okm| okm.fill(&mut key));
            debug_assert!(filled.is_ok(), "32 bytes are within what HKDF-SHA256 gives");
            key
        };
        let hmac_key = |secret: &[u8]| hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
        let fixed = |user: &super::FixedUser| {
            (
                Arc::from(user.name.as_str()),
                Keys::new(&user.name, &settings.realm, &user.password),
            )
        };
        Self {
            realm: settings.realm.clone(),
            session_key: hmac_key(&derived(b"turn credentials of sessions")),
            is_shared: settings.secret.is_some(),
            shared_key: match &settings.secret {
                Some(secret) => hmac_key(secret.as_bytes()),
                None => hmac_key(&derived(b"turn credentials of other applications")),
            },
            fixed: settings.users.iter().map(fixed).collect(),
            living: Mutex::default(),
        }
    }

    /// From now on this session may relay.
    pub fn session_began(&self, session: &SessionId) {
        self.living().insert(*session);
    }

    /// From now on this session may not; its allocations are ended with `RelayHandle::revoke`.
    pub fn session_ended(&self, session: &SessionId) {
        self.living().remove(session);
    }

    /// Credentials of a session, good for an hour.
    #[must_use]
    pub fn mint(&self, session: &SessionId, unix_now: u64) -> Minted {
        let username = format!("{}:{session}", unix_now.saturating_add(TTL_SECONDS));
        let password = password(&self.session_key, &username);
        Minted {
            username,
            password,
            ttl_seconds: TTL_SECONDS,
        }
    }

    /// Credentials of another application's user. With a secret shared with it, it could mint the same itself.
    #[must_use]
    pub fn mint_shared(&self, name: &str, ttl_seconds: u64, unix_now: u64) -> Minted {
        let expiry = unix_now.saturating_add(ttl_seconds);
        let username = if name.is_empty() {
            expiry.to_string()
        } else {
            format!("{expiry}:{name}")
        };
        Minted {
            password: password(&self.shared_key, &username),
            username,
            ttl_seconds,
        }
    }

    /// The realm that is told to clients.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Finds the keys of a username. Expiry counts for new allocations only, so a long call never dies.
    ///
    /// # Errors
    /// When there is no such user, or `for_allocate` and the time in the name has passed.
    pub fn lookup(
        &self,
        username: &str,
        unix_now: u64,
        for_allocate: bool,
    ) -> Result<Login, Refusal> {
        if let Some((name, keys)) = self.fixed.iter().find(|(name, _)| **name == *username) {
            return Ok(Login {
                user: User::Named(Arc::clone(name)),
                keys: keys.clone(),
            });
        }
        let (expiry, name) = username.split_once(':').unwrap_or((username, ""));
        if expiry.is_empty() || !expiry.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(Refusal::Unknown);
        }
        let expiry: u64 = expiry.parse().map_err(|_| Refusal::Unknown)?;
        let (user, key) = match name.parse::<SessionId>() {
            Ok(session) if self.living().contains(&session) => {
                (User::Session(session), &self.session_key)
            }
            // Other applications may have such names; ours are of sessions that are over.
            Ok(_) if !self.is_shared => return Err(Refusal::Unknown),
            _ => (
                User::Named(Arc::from(if name.is_empty() { username } else { name })),
                &self.shared_key,
            ),
        };
        if for_allocate && expiry < unix_now {
            return Err(Refusal::Expired);
        }
        Ok(Login {
            user,
            keys: Keys::new(username, &self.realm, &password(key, username)),
        })
    }

    fn living(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn password(key: &hmac::Key, username: &str) -> String {
    BASE64_STANDARD.encode(hmac::sign(key, username.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::FixedUser;

    const NOW: u64 = 1_700_000_000;

    fn credentials(secret: Option<&str>) -> Credentials {
        let settings = Settings {
            users: vec![FixedUser {
                name: "fixed".into(),
                password: "pw".into(),
            }],
            secret: secret.map(Into::into),
            realm: "example.org".into(),
            ..Settings::default()
        };
        Credentials::new(b"server secret", &settings)
    }

    #[test]
    fn minted_credentials_hold_while_the_session_lives() {
        let credentials = credentials(None);
        let session = SessionId::random();
        let minted = credentials.mint(&session, NOW);
        assert_eq!(minted.username, format!("{}:{session}", NOW + 3600));
        assert_eq!(
            credentials.lookup(&minted.username, NOW, true).err(),
            Some(Refusal::Unknown)
        );
        credentials.session_began(&session);
        let login = credentials.lookup(&minted.username, NOW, true).unwrap();
        assert_eq!(login.user, User::Session(session));
        assert_eq!(
            login.keys.md5,
            Keys::new(&minted.username, "example.org", &minted.password).md5
        );
        credentials.session_ended(&session);
        assert_eq!(
            credentials.lookup(&minted.username, NOW, false).err(),
            Some(Refusal::Unknown)
        );
    }

    #[test]
    fn expiry_counts_for_allocations_only() {
        let credentials = credentials(None);
        let session = SessionId::random();
        credentials.session_began(&session);
        let minted = credentials.mint(&session, NOW);
        assert!(
            credentials
                .lookup(&minted.username, NOW + 3600, true)
                .is_ok()
        );
        assert_eq!(
            credentials.lookup(&minted.username, NOW + 3601, true).err(),
            Some(Refusal::Expired)
        );
        assert!(
            credentials
                .lookup(&minted.username, NOW + 999_999, false)
                .is_ok()
        );
    }

    #[test]
    fn a_shared_secret_mints_for_other_applications() {
        let credentials = credentials(Some("north"));
        for username in ["1700000100:kim", "1700000100", "1700000100:a:b"] {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"north");
            let password = BASE64_STANDARD.encode(hmac::sign(&key, username.as_bytes()));
            let login = credentials.lookup(username, NOW, true).unwrap();
            assert_eq!(
                login.keys.md5,
                Keys::new(username, "example.org", &password).md5
            );
        }
        let minted = credentials.mint_shared("kim", 60, NOW);
        assert_eq!(minted.username, "1700000060:kim");
        assert!(credentials.lookup("1699999999:kim", NOW, true).is_err());
    }

    #[test]
    fn without_a_shared_secret_only_this_server_mints_for_others() {
        let credentials = credentials(None);
        let minted = credentials.mint_shared("kim", 60, NOW);
        let login = credentials.lookup(&minted.username, NOW, true).unwrap();
        assert_eq!(login.user, User::Named("kim".into()));
        let keys =
            |minted: &Minted| Keys::new(&minted.username, "example.org", &minted.password).md5;
        assert_eq!(login.keys.md5, keys(&minted));
        let elsewhere = Credentials::new(b"another secret", &Settings::default());
        assert_ne!(login.keys.md5, keys(&elsewhere.mint_shared("kim", 60, NOW)));
    }

    #[test]
    fn fixed_users_and_nobody_else() {
        let credentials = credentials(Some("north"));
        assert!(credentials.lookup("fixed", NOW, true).is_ok());
        for username in [
            "",
            ":",
            "fixe",
            "fixed ",
            "+1700000100:kim",
            "99999999999999999999999:kim",
            "x:y",
        ] {
            assert_eq!(
                credentials.lookup(username, NOW, true).err(),
                Some(Refusal::Unknown),
                "{username}"
            );
        }
    }

    #[test]
    fn the_long_term_key_is_that_of_rfc_8489() {
        // RFC 8489 §9.2.2.
        assert_eq!(
            Keys::new("user", "realm", "pass").md5,
            [
                0x84, 0x93, 0xfb, 0xc5, 0x3b, 0xa5, 0x82, 0xfb, 0x4c, 0x04, 0x4c, 0x45, 0x6b, 0xdc,
                0x40, 0xeb
            ]
        );
    }
}
