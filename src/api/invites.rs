//! Invitations into a kept room. The secret stands behind `#` in the link, so that it reaches no log.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper::StatusCode;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::body::{Whole, json, no_content, read_json};
use super::problem::Problem;
use super::rooms::{future, room_url, set_location};
use super::{Answered, Api, Ask};
use crate::id::InviteId;
use crate::message::Role;
use crate::percent;
use crate::store::{self, NewInvite, Scope};

/// The secret's size in bytes: nobody guesses it.
const SECRET_BYTES: usize = 24;

/// What an invitation is made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    role: Role,
    uses: Option<Uses>,
    expires: Option<Whole>,
}

/// How many people may use it: at least one.
#[derive(Deserialize)]
#[serde(try_from = "Whole")]
struct Uses(u32);

impl TryFrom<Whole> for Uses {
    type Error = &'static str;

    fn try_from(Whole(uses): Whole) -> Result<Self, Self::Error> {
        match u32::try_from(uses) {
            Ok(uses) if uses > 0 => Ok(Self(uses)),
            _ => Err("an invitation is good for one use at least, and four billion at most"),
        }
    }
}

#[derive(Serialize)]
struct Made {
    url: String,
    id: InviteId,
}

#[derive(Serialize)]
struct List {
    invites: Vec<Entry>,
}

/// An invitation as hosts see it; its secret is known to those it was given to alone.
#[derive(Serialize)]
struct Entry {
    id: InviteId,
    role: Role,
    uses: Option<u32>,
    used: u64,
    expires: Option<u64>,
    revoked: Option<u64>,
    created: u64,
}

impl Api {
    pub(super) async fn create_invite(&self, ask: Ask) -> Answered {
        let name = ask.room()?;
        let kept = self.room_for_host(&ask, &name, Scope::RoomsWrite).await?;
        let wanted: Wanted = read_json(&ask.headers, ask.body).await?;
        let expires = wanted.expires.map(|at| future(at, ask.now)).transpose()?;
        if !ask.caller.has(Scope::RoomsWrite) {
            self.limits.invites.count(&ask.askers)?;
        }
        let mut bytes = [0; SECRET_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| Problem::busy(1))?;
        let secret = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let invite = NewInvite {
            room: kept.id,
            role: wanted.role,
            uses: wanted.uses.map(|Uses(uses)| uses),
            expires,
            created: ask.now,
        };
        let id = self.store.invite(&invite, &secret).await?;
        let name = &kept.settings.name;
        let url = format!("{}#invite={secret}", room_url(&ask.host, name));
        let mut response = json(StatusCode::CREATED, &Made { url, id });
        let path = format!("/rooms/{}/invites/{id}", percent::encode(name.as_str()));
        set_location(&mut response, &path);
        Ok(response)
    }

    pub(super) async fn list_invites(&self, ask: Ask) -> Answered {
        let name = ask.room()?;
        let kept = self.room_for_host(&ask, &name, Scope::RoomsRead).await?;
        let invites = self.store.invites(kept.id).await?;
        let invites = invites
            .into_iter()
            .map(|invite| Entry {
                id: invite.id,
                role: invite.of.role,
                uses: invite.of.uses,
                used: invite.used,
                expires: invite.of.expires,
                revoked: invite.revoked,
                created: invite.of.created,
            })
            .collect();
        Ok(json(StatusCode::OK, &List { invites }))
    }

    pub(super) async fn revoke_invite(&self, ask: Ask) -> Answered {
        let none = || Problem::not_found("This room has no such invitation that is still good.");
        let name = ask.room()?;
        let kept = self.room_for_host(&ask, &name, Scope::RoomsWrite).await?;
        let id = ask.parameters.get(1).and_then(|id| id.parse().ok());
        let id: InviteId = id.ok_or_else(none)?;
        match self.store.revoke_invite(kept.id, id, ask.now).await {
            Ok(()) => Ok(no_content()),
            Err(store::Error::NotFound) => Err(none()),
            Err(error) => Err(error.into()),
        }
    }
}
