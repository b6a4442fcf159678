//! Who asks, and what they may do (Bearer, RFC 6750).

use hyper::header::{AUTHORIZATION, HeaderMap};

use super::limits::Asker;
use super::problem::Problem;
use super::{Api, Ask};
use crate::id::{RoomName, SessionId};
use crate::message::Role;
use crate::room::SeatInfo;
use crate::store::{self, ApiKey, KeptRoom, Scope};
use crate::token::{Claims, Kind};

/// The longest key or token that is looked at, in bytes; ours have a few hundred.
const BEARER_BYTES_MAX: usize = 4096;

/// Who asks.
#[derive(Debug)]
pub(super) enum Caller {
    /// Someone who shows nothing.
    Stranger,
    /// A program with an API key.
    Key(ApiKey),
    /// Someone with a token. Whether what it says still holds is asked where it matters.
    Token(Claims),
}

/// What lets someone near a room.
#[derive(Debug)]
pub(super) enum Standing {
    /// An API key with the scope that is needed.
    Key,
    /// The room's own token.
    Host,
    /// A seat in it, at this moment.
    Seat {
        /// Whose.
        session: SessionId,
        /// What is known of it.
        info: SeatInfo,
    },
}

impl Caller {
    /// Whether this is a program whose key allows that.
    pub(super) fn has(&self, scope: Scope) -> bool {
        matches!(self, Self::Key(key) if key.scopes.contains(&scope))
    }

    /// # Errors
    /// When it is not a program whose key allows that.
    pub(super) fn needs(&self, scope: Scope) -> Result<(), Problem> {
        match self {
            _ if self.has(scope) => Ok(()),
            Self::Stranger => Err(Problem::unauthorized("This needs an API key.")),
            Self::Key(_) | Self::Token(_) => Err(Problem::denied(format!(
                "This needs an API key with the scope {scope}."
            ))),
        }
    }

    /// Whom limits are counted for, beside the address.
    pub(super) fn person(&self) -> Option<Asker> {
        match self {
            Self::Token(Claims { sid: Some(sid), .. }) => Some(Asker::Session(*sid)),
            Self::Token(Claims { rid: Some(rid), .. }) => Some(Asker::Host(*rid)),
            _ => None,
        }
    }
}

impl Api {
    /// Whoever the headers say. A key or token that is no good is refused, even where none is needed.
    pub(super) async fn caller(&self, headers: &HeaderMap, now: u64) -> Result<Caller, Problem> {
        let Some(shown) = bearer(headers)? else {
            return Ok(Caller::Stranger);
        };
        if let Ok(claims) = self.tokens.read(shown, now) {
            return Ok(Caller::Token(claims));
        }
        match self.store.key(shown, now).await {
            Ok(key) => Ok(Caller::Key(key)),
            Err(store::Error::NotFound) => Err(Problem::bad_token()),
            Err(error) => Err(error.into()),
        }
    }

    /// What lets the caller near a room: a key with this scope, the room's own token, or a seat in it.
    pub(super) async fn standing(
        &self,
        ask: &Ask,
        name: &RoomName,
        scope: Scope,
    ) -> Result<Standing, Problem> {
        match &ask.caller {
            Caller::Stranger => Err(Problem::unauthorized(
                "This needs a room token or an API key.",
            )),
            Caller::Key(_) => ask.caller.needs(scope).map(|()| Standing::Key),
            Caller::Token(claims) => match (claims.kind, claims.sid) {
                (Kind::Host, _) => {
                    let kept = match self.kept_room(name, ask.now).await {
                        Ok(kept) => Some(kept.id),
                        Err(problem) if problem.is_not_found() => None,
                        Err(problem) => return Err(problem),
                    };
                    claims
                        .is_for(name, kept)
                        .then_some(Standing::Host)
                        .ok_or_else(|| Problem::denied("This token is for another room."))
                }
                (Kind::Member, Some(session)) => match self.rooms.seat(session).await {
                    Some(info) if info.room == *name => Ok(Standing::Seat { session, info }),
                    _ => Err(Problem::denied("You are not in this room.")),
                },
                (Kind::Guest | Kind::Member | Kind::Return, _) => Err(Problem::denied(
                    "This token is for entering the room; once there, you get another.",
                )),
            },
        }
    }

    /// A kept room, for whoever may act on it: a host, or a program whose key has this scope.
    pub(super) async fn room_for_host(
        &self,
        ask: &Ask,
        name: &RoomName,
        scope: Scope,
    ) -> Result<KeptRoom, Problem> {
        match self.standing(ask, name, scope).await? {
            Standing::Seat { info, .. } if info.role != Role::Host => {
                Err(Problem::denied("Only a host of the room may do that."))
            }
            standing => self.kept_room_of(&standing, name, ask.now).await,
        }
    }

    /// The kept room of that name. To somebody with a seat it is the room of that seat, and no other that was given
    /// the name meanwhile.
    pub(super) async fn kept_room_of(
        &self,
        standing: &Standing,
        name: &RoomName,
        now: u64,
    ) -> Result<KeptRoom, Problem> {
        let kept = self.kept_room(name, now).await?;
        match standing {
            Standing::Seat { info, .. } if info.kept != Some(kept.id) => {
                Err(Problem::no_such_room())
            }
            _ => Ok(kept),
        }
    }
}

/// What stands behind `Bearer` in the one `Authorization` there is.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = sent.next() else {
        return Ok(None);
    };
    let shown = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, shown)| shown.trim())
        .filter(|shown| (1..=BEARER_BYTES_MAX).contains(&shown.len()));
    match (shown, sent.next()) {
        (Some(shown), None) => Ok(Some(shown)),
        _ => Err(Problem::bad_token()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, ()> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        bearer(&headers)
            .map(|shown| shown.map(str::to_owned))
            .map_err(|_| ())
    }

    #[test]
    fn one_bearer_is_read_and_anything_else_refused() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Bearer abc"]), Ok(Some("abc".to_owned())));
        assert_eq!(read(&["bearer  abc"]), Ok(Some("abc".to_owned())));
        let long = format!("Bearer {}", "x".repeat(BEARER_BYTES_MAX + 1));
        for bad in [
            &["Basic abc"][..],
            &["Bearer"],
            &["Bearer "],
            &["abc"],
            &["Bearer a", "Bearer b"],
            &[&long],
        ] {
            assert_eq!(read(bad), Err(()), "{bad:?}");
        }
    }
}
