//! TURN credentials for users of other programs.

use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Whole, json, read_json};
use super::problem::Problem;
use super::{Answered, Api, Ask};
use crate::id::SessionId;
use crate::store::Scope;

/// How long credentials may be used to allocate when nobody says, at least, and at most, in seconds. Whoever relays goes on
/// beyond it, so a day is long.
const TTL: u64 = 3600;
const TTL_MIN: u64 = 60;
const TTL_MAX: u64 = 24 * 3600;

/// How many characters a user's name has at most.
const NAME_CHARS_MAX: usize = 64;

/// Mints credentials; whoever has the relay's keys does it.
pub trait TurnUsers: Send + Sync {
    /// Credentials of a user, good for so many seconds, and where to relay for whoever reached us at `host`.
    fn grant(&self, name: &str, ttl_seconds: u64, host: &str) -> TurnGrant;
}

/// What another program's user relays with.
#[derive(Serialize)]
pub struct TurnGrant {
    /// `<unix expiry>`, or `<unix expiry>:<name>`.
    pub username: String,
    /// Never printed.
    pub password: String,
    /// How long it may be used to allocate, in seconds.
    pub ttl: u64,
    /// STUN and TURN addresses.
    pub uris: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    ttl: Option<Whole>,
    name: Option<String>,
}

impl Api {
    pub(super) async fn turn_credentials(&self, ask: Ask) -> Answered {
        ask.caller.needs(Scope::Turn)?;
        let wanted: Wanted = read_json(&ask.headers, ask.body).await?;
        let Whole(ttl) = wanted.ttl.unwrap_or(Whole(TTL));
        if !(TTL_MIN..=TTL_MAX).contains(&ttl) {
            return Err(Problem::invalid(format!(
                "“ttl” is a number of seconds from {TTL_MIN} to {TTL_MAX}."
            )));
        }
        let name = wanted.name.unwrap_or_default();
        // The names that browsers and other clients send as they are (RFC 8265 keeps these as well).
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._@".contains(letter);
        if name.len() > NAME_CHARS_MAX || !name.chars().all(is_plain) {
            return Err(Problem::invalid(
                "“name” has at most 64 letters, digits, and characters of -._@.",
            ));
        }
        if name.parse::<SessionId>().is_ok() {
            return Err(Problem::invalid(
                "“name” looks like a session of this server; put something before it.",
            ));
        }
        let grant = self.turn.grant(&name, ttl, &ask.host);
        Ok(json(StatusCode::OK, &grant))
    }
}
