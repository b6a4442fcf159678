//! Kept rooms: made, listed, read, changed, deleted; who is in them and what was said there.

use hyper::header::{HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Deserializer, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::auth::Standing;
use super::body::{Whole, json, no_content, read_json};
use super::problem::Problem;
use super::routes::query;
use super::{Answered, Api, Ask, Body, Creators};
use crate::id::RoomName;
use crate::message::{ChatEntry, Participant, Policy, PolicyChange, Role};
use crate::percent;
use crate::store::{KeptRoom, NewRoom, RoomSettings, Scope, Window};
use crate::token::{Claims, Kind};

/// How many rooms or messages one answer has when nobody says, and at most.
const PAGE: u32 = 50;
const PAGE_MAX: u32 = 100;

/// How many characters a folded name has at most: one may become two in lower case.
const CURSOR_CHARS_MAX: usize = 2 * crate::id::NAME_CHARS_MAX;

/// How many characters a password has at most: as many as a name, so never more than the 256 bytes that are hashed.
const PASSWORD_CHARS_MAX: usize = 64;

/// How many people a room may be made for, as the setting `capacity`.
const CAPACITY_MAX: u32 = 1000;

/// The last moment that can be set, in milliseconds since 1970: the end of the year 9999.
const EXPIRES_MAX: u64 = 253_402_300_799_999;

/// How long a host token is good, in seconds: ten years. It ends with its room anyway.
const HOST_TOKEN_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;

/// What a room is made of.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    name: RoomName,
    password: Option<Password>,
    capacity: Option<Capacity>,
    listed: Option<bool>,
    expires: Option<Whole>,
    waiting_room: Option<bool>,
}

/// What is to be changed. What is absent stays; `null` takes away.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    name: Option<RoomName>,
    #[serde(default, deserialize_with = "given")]
    password: Option<Option<Password>>,
    #[serde(default, deserialize_with = "given")]
    capacity: Option<Option<Capacity>>,
    listed: Option<bool>,
    locked: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    expires: Option<Option<Whole>>,
    waiting_room: Option<bool>,
}

/// Tells `null` from what is absent.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A password of 1 to 64 characters, in NFC as it is typed on most keyboards. Never printed.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Password(String);

impl TryFrom<String> for Password {
    type Error = &'static str;

    fn try_from(typed: String) -> Result<Self, Self::Error> {
        match typed.chars().count() {
            1..=PASSWORD_CHARS_MAX => Ok(Self(typed)),
            _ => Err("a password has 1 to 64 characters"),
        }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "Whole")]
struct Capacity(u32);

impl TryFrom<Whole> for Capacity {
    type Error = &'static str;

    fn try_from(Whole(people): Whole) -> Result<Self, Self::Error> {
        match u32::try_from(people) {
            Ok(people @ 1..=CAPACITY_MAX) => Ok(Self(people)),
            _ => Err("a room holds 1 to 1000 people"),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made<'a> {
    name: &'a RoomName,
    url: String,
    host_token: String,
}

/// A room as everyone sees it in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Listed {
    pub(super) name: RoomName,
    pub(super) people: usize,
    pub(super) capacity: usize,
    pub(super) locked: bool,
    pub(super) password: bool,
}

#[derive(Serialize)]
struct List {
    rooms: Vec<Listed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A room as its host sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(flatten)]
    listed_as: Listed,
    url: String,
    listed: bool,
    waiting_room: bool,
    expires: Option<u64>,
    created: u64,
    last_active: u64,
}

#[derive(Serialize)]
struct Members {
    members: Vec<Participant>,
}

#[derive(Serialize)]
struct Messages {
    messages: Vec<ChatEntry>,
    more: bool,
}

impl Api {
    pub(super) async fn create_room(&self, ask: Ask) -> Answered {
        if self.create == Creators::Key {
            ask.caller.needs(Scope::RoomsWrite)?;
        }
        let wanted: Wanted = read_json(&ask.headers, ask.body).await?;
        let expires = wanted.expires.map(|at| future(at, ask.now)).transpose()?;
        if !ask.caller.has(Scope::RoomsWrite) {
            self.limits.rooms.count(&ask.askers)?;
        }
        match self.kept_room(&wanted.name, ask.now).await {
            Ok(_) => return Err(Problem::exists()),
            Err(problem) if problem.is_not_found() => {}
            Err(problem) => return Err(problem),
        }
        let mut settings = RoomSettings::named(wanted.name);
        if let Some(Password(password)) = &wanted.password {
            settings.password = Some(self.passwords.hash(password).await?);
        }
        settings.capacity = wanted.capacity.map(|Capacity(people)| people);
        settings.listed = wanted.listed.unwrap_or_default();
        settings.expires = expires;
        if wanted.waiting_room == Some(true) {
            set_waiting_room(&mut settings, true);
        }
        let kept = self
            .rooms
            .create(NewRoom {
                settings,
                created: ask.now,
            })
            .await?;
        let name = &kept.settings.name;
        let host_token = self.tokens.mint(&Claims {
            room: name.clone(),
            rid: Some(kept.id),
            sid: None,
            inv: None,
            name: None,
            role: Role::Host,
            exp: ask.now / 1000 + HOST_TOKEN_SECONDS,
            kind: Kind::Host,
        });
        let made = Made {
            name,
            url: room_url(&ask.host, name),
            host_token,
        };
        let mut response = json(StatusCode::CREATED, &made);
        set_location(
            &mut response,
            &format!("/rooms/{}", percent::encode(name.as_str())),
        );
        Ok(response)
    }

    pub(super) async fn list_rooms(&self, ask: Ask) -> Answered {
        let [search, limit, cursor] = query(ask.uri.query(), ["query", "limit", "cursor"])?;
        let search = search.unwrap_or_default();
        if search.chars().count() > crate::id::NAME_CHARS_MAX {
            return Err(Problem::invalid("No name is as long as that query."));
        }
        let search: String = search.nfc().collect();
        let limit = page_size(limit.as_deref())?;
        let after = cursor.map(checked_cursor).transpose()?;
        let all = ask.caller.has(Scope::RoomsRead);
        let page = self
            .store
            .listed_rooms(&search, after.as_deref(), limit, all, ask.now)
            .await?;
        let next = page
            .items
            .last()
            .filter(|_| page.more)
            .map(|room| room.settings.name.folded().to_owned());
        let names = page.items.iter().map(|room| room.settings.name.clone());
        let people = self.rooms.people(names.collect()).await;
        let rooms = page.items.iter().zip(people);
        let list = List {
            rooms: rooms
                .map(|(room, people)| self.listed(room, people))
                .collect(),
            next,
        };
        Ok(json(StatusCode::OK, &list))
    }

    pub(super) async fn read_room(&self, ask: Ask) -> Answered {
        let name = ask.room()?;
        let kept = self.room_for_host(&ask, &name, Scope::RoomsRead).await?;
        Ok(json(StatusCode::OK, &self.details(&ask.host, &kept).await))
    }

    pub(super) async fn change_room(&self, ask: Ask) -> Answered {
        let name = ask.room()?;
        let kept = self.room_for_host(&ask, &name, Scope::RoomsWrite).await?;
        let change: Change = read_json(&ask.headers, ask.body).await?;
        let expires = match change.expires {
            Some(Some(at)) => Some(Some(future(at, ask.now)?)),
            Some(None) => Some(None),
            None => None,
        };
        let password = match change.password {
            None => None,
            Some(None) => Some(None),
            Some(Some(Password(password))) => {
                if !ask.caller.has(Scope::RoomsWrite) {
                    self.limits.passwords.count(&ask.askers)?;
                }
                Some(Some(self.passwords.hash(&password).await?))
            }
        };
        let kept = self
            .rooms
            .change(kept.id, move |settings| {
                if let Some(name) = change.name {
                    settings.name = name;
                }
                if let Some(password) = password {
                    settings.password = password;
                }
                if let Some(capacity) = change.capacity {
                    settings.capacity = capacity.map(|Capacity(people)| people);
                }
                if let Some(listed) = change.listed {
                    settings.listed = listed;
                }
                if let Some(locked) = change.locked {
                    settings.locked = locked;
                }
                if let Some(expires) = expires {
                    settings.expires = expires;
                }
                if let Some(on) = change.waiting_room {
                    set_waiting_room(settings, on);
                }
            })
            .await?;
        Ok(json(StatusCode::OK, &self.details(&ask.host, &kept).await))
    }

    pub(super) async fn delete_room(&self, ask: Ask) -> Answered {
        let name = ask.room()?;
        let kept = self.room_for_host(&ask, &name, Scope::RoomsWrite).await?;
        self.rooms.delete(kept.id, ask.now).await?;
        Ok(no_content())
    }

    pub(super) async fn members(&self, ask: Ask) -> Answered {
        let name = ask.room()?;
        self.standing(&ask, &name, Scope::RoomsRead).await?;
        let members = match self.rooms.members(&name).await {
            Some(members) => members,
            // Nobody is there, which is said of rooms that exist only.
            None => {
                self.kept_room(&name, ask.now).await?;
                Vec::new()
            }
        };
        Ok(json(StatusCode::OK, &Members { members }))
    }

    pub(super) async fn messages(&self, ask: Ask) -> Answered {
        let name = ask.room()?;
        let standing = self.standing(&ask, &name, Scope::MessagesRead).await?;
        let [before, after, limit] = query(ask.uri.query(), ["before", "after", "limit"])?;
        let reader = match &standing {
            Standing::Seat { session, info } => {
                if !self.history && info.role != Role::Host {
                    return Err(Problem::denied(
                        "Here everyone reads back to the moment of joining only; \
                         signaling has a message for that.",
                    ));
                }
                Some(*session)
            }
            Standing::Key | Standing::Host => None,
        };
        let kept = self.kept_room_of(&standing, &name, ask.now).await?;
        let window = Window {
            reader,
            before: before.as_deref().map(number).transpose()?,
            after: after
                .as_deref()
                .map(number)
                .transpose()?
                .unwrap_or_default(),
            limit: page_size(limit.as_deref())?,
        };
        let history = self.store.history(kept.id, window).await?;
        let messages = Messages {
            messages: history.messages.into_iter().map(ChatEntry::from).collect(),
            more: history.more,
        };
        Ok(json(StatusCode::OK, &messages))
    }

    /// The kept room of that name, unless its time is over.
    pub(super) async fn kept_room(&self, name: &RoomName, now: u64) -> Result<KeptRoom, Problem> {
        let kept = self.store.room_by_name(name).await?;
        if kept.settings.expires.is_some_and(|at| at <= now) {
            // It would be swept within minutes anyway, and its name is free from now on.
            self.rooms.delete(kept.id, now).await?;
            return Err(Problem::no_such_room());
        }
        Ok(kept)
    }

    /// The room as it is listed, with so many people in it.
    pub(super) fn listed(&self, kept: &KeptRoom, people: usize) -> Listed {
        let settings = &kept.settings;
        let capacity = settings.capacity.and_then(|n| usize::try_from(n).ok());
        Listed {
            name: settings.name.clone(),
            people,
            capacity: capacity.unwrap_or(self.capacity),
            locked: settings.locked,
            password: settings.password.is_some(),
        }
    }

    async fn details(&self, host: &str, kept: &KeptRoom) -> Details {
        let settings = &kept.settings;
        let people = self.rooms.people(vec![settings.name.clone()]).await;
        Details {
            listed_as: self.listed(kept, people.first().copied().unwrap_or_default()),
            url: room_url(host, &settings.name),
            listed: settings.listed,
            waiting_room: policy(settings).waiting_room,
            expires: settings.expires,
            created: kept.created,
            last_active: kept.last_active,
        }
    }
}

impl Ask {
    /// The room that the path names.
    pub(super) fn room(&self) -> Result<RoomName, Problem> {
        let typed = self.parameters.first().map(String::as_str);
        typed
            .unwrap_or_default()
            .parse()
            .map_err(|error| Problem::invalid(format!("That is no name of a room: {error}.")))
    }
}

/// Where people enter a room.
pub(super) fn room_url(host: &str, name: &RoomName) -> String {
    format!("https://{host}/r/{}", percent::encode(name.as_str()))
}

/// A moment that is still to come.
pub(super) fn future(Whole(at): Whole, now: u64) -> Result<u64, Problem> {
    if at <= now {
        return Err(Problem::invalid("“expires” is over already."));
    }
    if at > EXPIRES_MAX {
        return Err(Problem::invalid("“expires” is after the year 9999."));
    }
    Ok(at)
}

/// Where to find what was made.
pub(super) fn set_location(response: &mut Response<Body>, path: &str) {
    if let Ok(place) = HeaderValue::try_from(format!("{}{path}", super::routes::BASE)) {
        response.headers_mut().insert(LOCATION, place);
    }
}

fn policy(settings: &RoomSettings) -> Policy {
    let set: PolicyChange = serde_json::from_str(&settings.policy).unwrap_or_default();
    Policy::default().with(set)
}

fn set_waiting_room(settings: &mut RoomSettings, on: bool) {
    let policy = Policy {
        waiting_room: on,
        ..policy(settings)
    };
    if let Ok(text) = serde_json::to_string(&policy) {
        settings.policy = text;
    }
}

fn page_size(limit: Option<&str>) -> Result<u32, Problem> {
    let Some(limit) = limit else { return Ok(PAGE) };
    limit
        .parse()
        .ok()
        .filter(|limit| (1..=PAGE_MAX).contains(limit))
        .ok_or_else(|| Problem::invalid("“limit” is a whole number from 1 to 100."))
}

fn number(text: &str) -> Result<u64, Problem> {
    text.parse()
        .map_err(|_| Problem::invalid("“before” and “after” are numbers of messages."))
}

/// Where a list goes on: behind the room of this folded name, whether it is still there or not.
fn checked_cursor(cursor: String) -> Result<String, Problem> {
    match cursor.chars().count() {
        1..=CURSOR_CHARS_MAX => Ok(cursor),
        _ => Err(Problem::invalid("“cursor” is what “next” said before.")),
    }
}
