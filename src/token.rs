//! Room tokens: what a link or another program shows to enter a room in a role, and what a page in a
//! room shows to the HTTP API.
//!
//! They are JSON Web Tokens (RFC 7519) signed with HMAC-SHA256, and no other algorithm is ever read.
//! Pure: the time is an argument. A token says who it was made for; whether that still holds (the room
//! is there, the person still sits in it) is for whoever reads it to ask.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::id::{DisplayName, InviteId, RoomId, RoomName, SessionId};
use crate::message::Role;

/// The longest token that is read, in bytes: two names of 64 characters at their widest, the rest, and
/// a third more for base64.
pub const TOKEN_BYTES_MAX: usize = 2048;

/// `{"alg":"HS256","typ":"JWT"}`. A token that begins otherwise is not ours, so none can choose how it is checked.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The room's name when the token was made.
    pub room: RoomName,
    /// The kept room it is for; absent for a room that is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rid: Option<RoomId>,
    /// The session it belongs to, for a member's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// The invitation by which the session came, for a token to return with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inv: Option<InviteId>,
    /// What the person is called, if the maker of the token says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<DisplayName>,
    /// As what the person enters.
    pub role: Role,
    /// Until when it is good, in seconds since 1970.
    pub exp: u64,
    /// What it is for.
    pub kind: Kind,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Acts for the room: enters it as host, and changes it by the HTTP API.
    Host,
    /// Enters the room.
    Guest,
    /// Speaks to the HTTP API for a session, as long as that sits in the room.
    Member,
    /// Stands for an invitation at the door, for the session that has used it.
    Return,
}

impl Claims {
    /// Whether the token by itself lets people in.
    #[must_use]
    pub fn opens_doors(&self) -> bool {
        match self.kind {
            Kind::Host | Kind::Guest => true,
            Kind::Member | Kind::Return => false,
        }
    }

    /// Whether the token is for this room. A kept room is known by its id, whatever it is called now,
    /// and a new one of the same name is another; a room that is not kept is known by its name.
    #[must_use]
    pub fn is_for(&self, name: &RoomName, kept: Option<RoomId>) -> bool {
        match (self.rid, kept) {
            (Some(meant), Some(kept)) => meant == kept,
            (None, None) => self.room == *name,
            _ => false,
        }
    }
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was not made here, or was changed.
    #[error("this token was not made here")]
    Forged,
    /// Its time is over.
    #[error("this token is no longer good")]
    Expired,
}

/// Makes tokens and reads them; cheap to clone.
#[derive(Clone)]
pub struct Tokens(hmac::Key);

impl Tokens {
    /// Signs with a key made of secret bytes, 32 or more.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A token that says `claims`.
    #[must_use]
    pub fn mint(&self, claims: &Claims) -> String {
        // Claims serialise from valid parts only; there is nothing that could fail.
        let json = serde_json::to_vec(claims).unwrap_or_default();
        let mut token = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(json));
        let tag = hmac::sign(&self.0, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(tag.as_ref(), &mut token);
        token
    }

    /// What a token says, if it was made with this key and is good at `unix_ms` (milliseconds since
    /// 1970). How long it takes tells nothing of the key.
    ///
    /// # Errors
    /// [`Error::Forged`] and [`Error::Expired`].
    pub fn read(&self, token: &str, unix_ms: u64) -> Result<Claims, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::Forged);
        }
        let (signed, tag) = token.rsplit_once('.').ok_or(Error::Forged)?;
        let (header, body) = signed.split_once('.').ok_or(Error::Forged)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| Error::Forged)?;
        if header != HEADER {
            return Err(Error::Forged);
        }
        hmac::verify(&self.0, signed.as_bytes(), &tag).map_err(|_| Error::Forged)?;
        let json = URL_SAFE_NO_PAD.decode(body).map_err(|_| Error::Forged)?;
        let claims: Claims = serde_json::from_slice(&json).map_err(|_| Error::Forged)?;
        if claims.exp.saturating_mul(1000) <= unix_ms {
            return Err(Error::Expired);
        }
        Ok(claims)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000_000;

    fn claims() -> Claims {
        Claims {
            room: "Tea".parse().unwrap(),
            rid: Some(RoomId::new(7)),
            sid: None,
            inv: None,
            name: Some("Ann".parse().unwrap()),
            role: Role::Host,
            exp: NOW / 1000 + 60,
            kind: Kind::Host,
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_made_until_its_time_is_over() {
        let tokens = Tokens::new(b"key");
        let token = tokens.mint(&claims());
        assert_eq!(tokens.read(&token, NOW), Ok(claims()));
        assert_eq!(tokens.read(&token, NOW + 59_999), Ok(claims()));
        assert_eq!(tokens.read(&token, NOW + 60_000), Err(Error::Expired));
    }

    #[test]
    fn the_longest_names_fit() {
        let tokens = Tokens::new(b"key");
        let wide = "\u{1F600}".repeat(64);
        let claims = Claims {
            room: wide.parse().unwrap(),
            name: Some(wide.parse().unwrap()),
            sid: Some(SessionId::random()),
            inv: Some(InviteId::random()),
            rid: Some(RoomId::new(i64::MAX)),
            ..claims()
        };
        assert_eq!(tokens.read(&tokens.mint(&claims), NOW), Ok(claims));
    }

    #[test]
    fn another_key_another_text_or_another_algorithm_is_refused() {
        let tokens = Tokens::new(b"key");
        let token = tokens.mint(&claims());
        assert_eq!(Tokens::new(b"other").read(&token, NOW), Err(Error::Forged));
        let body = token.split('.').nth(1).unwrap();
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS512","typ":"JWT"}"#] {
            let signed = format!("{}.{body}", URL_SAFE_NO_PAD.encode(header));
            // Even well signed: no algorithm but one is ever considered.
            let tag = hmac::sign(&tokens.0, signed.as_bytes());
            let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
            assert_eq!(tokens.read(&forged, NOW), Err(Error::Forged));
            assert_eq!(tokens.read(&format!("{signed}."), NOW), Err(Error::Forged));
        }
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            // The last character of a base64 text has bits that mean nothing; it is refused all the same.
            assert_eq!(tokens.read(&changed, NOW), Err(Error::Forged), "{at}");
        }
        let long = format!("{token}{}", "A".repeat(TOKEN_BYTES_MAX));
        assert_eq!(tokens.read(&long, NOW), Err(Error::Forged));
    }

    #[test]
    fn a_token_for_a_kept_room_goes_with_the_room_and_not_with_its_name() {
        let (tea, coffee) = ("tea".parse().unwrap(), "coffee".parse().unwrap());
        let kept = claims();
        assert!(kept.is_for(&tea, Some(RoomId::new(7))));
        assert!(kept.is_for(&coffee, Some(RoomId::new(7))), "renamed");
        assert!(!kept.is_for(&tea, Some(RoomId::new(8))), "made anew");
        assert!(!kept.is_for(&tea, None));
        let ad_hoc = Claims {
            rid: None,
            ..claims()
        };
        assert!(ad_hoc.is_for(&tea, None));
        assert!(!ad_hoc.is_for(&coffee, None));
        assert!(!ad_hoc.is_for(&tea, Some(RoomId::new(7))));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC*") {
            prop_assert!(Tokens::new(b"key").read(&text, NOW).is_err());
        }
    }
}
