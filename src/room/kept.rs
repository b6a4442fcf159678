//! Rooms that are kept: what the store says of them, and what is changed from outside.

use std::collections::HashMap;

use super::resume::Kind;
use super::{Effect, Moment, News, Place, Presence, Room, Rooms, Want, chat, kick};
use crate::id::{RoomId, RoomName, SessionId, Source};
use crate::message::{ErrorType, Policy, Refusal, Role, RoomChange, RoomState, ToPeer};

const DELETED: Refusal = Refusal::new(ErrorType::NotFound, "This room was deleted.");

/// What the store has of a room, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is known by, whatever its name.
    pub id: RoomId,
    /// Its name.
    pub name: RoomName,
    /// Whether everyone may know of it.
    pub listed: bool,
    /// Whether nobody else gets in.
    pub locked: bool,
    /// How many people it holds, if that was set.
    pub capacity: Option<usize>,
    /// What people may do in it.
    pub policy: Policy,
    /// Whether it takes a password to get in.
    pub has_password: bool,
    /// The number of its newest message, 0 before the first.
    pub newest_seq: u64,
    /// Who may not enter.
    pub bans: Vec<Banned>,
    /// What hosts have made people, by their sessions.
    pub roles: Vec<(SessionId, Role)>,
}

/// Someone who may not enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banned {
    /// The session that was removed.
    pub session: SessionId,
    /// Where the person came from.
    pub source: Option<Source>,
}

/// How long a room lasts.
pub(super) enum Keeping {
    /// As long as somebody is in it.
    AdHoc {
        /// Where its files lie, once there are any.
        shelf: Option<RoomId>,
    },
    /// Until it is deleted.
    Kept(Box<KeptRoom>),
}

/// What only a kept room has.
pub(super) struct KeptRoom {
    pub(super) id: RoomId,
    pub(super) listed: bool,
    pub(super) has_password: bool,
    bans: Vec<Banned>,
    /// What hosts have made people, by their sessions: also of those who are not here.
    pub(super) roles: HashMap<SessionId, Role>,
    /// How many things the store was asked to keep and has not answered yet.
    pub(super) pending: usize,
    /// The store was asked to keep something: what it said of the room before is out of date.
    pub(super) has_changed: bool,
}

impl KeptRoom {
    pub(super) fn has_banned(&self, session: SessionId, source: Source) -> bool {
        self.bans
            .iter()
            .any(|ban| ban.session == session || ban.source == Some(source))
    }
}

impl Record {
    fn place(&self) -> Place {
        Place {
            room: self.name.clone(),
            kept: Some(self.id),
            listed: self.listed,
        }
    }
}

impl Room {
    /// What it is kept as, if it is.
    pub(super) fn id(&self) -> Option<RoomId> {
        self.kept().map(|kept| kept.id)
    }

    pub(super) fn kept(&self) -> Option<&KeptRoom> {
        match &self.keeping {
            Keeping::Kept(kept) => Some(kept),
            Keeping::AdHoc { .. } => None,
        }
    }

    pub(super) fn kept_mut(&mut self) -> Option<&mut KeptRoom> {
        match &mut self.keeping {
            Keeping::Kept(kept) => Some(kept),
            Keeping::AdHoc { .. } => None,
        }
    }

    pub(super) fn ad_hoc(name: RoomName, capacity: usize) -> Self {
        Self {
            sealed_as: name.clone(),
            state: RoomState {
                name,
                locked: false,
                capacity,
                kept: false,
                policy: Policy::default(),
            },
            keeping: Keeping::AdHoc { shelf: None },
            seats: Vec::new(),
            chat: chat::Log::default(),
            waiting: Vec::new(),
            removals: kick::Removals::default(),
        }
    }
}

impl Rooms {
    /// Makes a room of what the store says. Nobody is in it yet: [`Self::end_if_empty`] is to follow.
    pub(super) fn open_kept(&mut self, record: Record, now: Moment) {
        let name = record.name.clone();
        let room = Room {
            sealed_as: name.clone(),
            state: RoomState {
                name: name.clone(),
                locked: record.locked,
                capacity: record.capacity.unwrap_or(self.settings.capacity),
                kept: true,
                policy: record.policy,
            },
            keeping: Keeping::Kept(Box::new(KeptRoom {
                id: record.id,
                listed: record.listed,
                has_password: record.has_password,
                bans: record.bans,
                roles: record.roles.into_iter().collect(),
                pending: 0,
                has_changed: false,
            })),
            seats: Vec::new(),
            chat: chat::Log::after(record.newest_seq, now.monotonic),
            waiting: Vec::new(),
            removals: kick::Removals::default(),
        };
        self.kept.insert(record.id, name.clone());
        self.rooms.insert(name, room);
    }

    /// Ends the room if nobody is in it and nothing is left to do for it.
    pub(super) fn end_if_empty(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let has_ended = room.seats.is_empty()
            && match &room.keeping {
                Keeping::AdHoc { .. } => true,
                Keeping::Kept(kept) => room.waiting.is_empty() && kept.pending == 0,
            };
        if !has_ended {
            return;
        }
        let Some(room) = self.rooms.remove(name) else {
            return;
        };
        match room.keeping {
            Keeping::AdHoc { shelf } => {
                self.send_away(room.waiting);
                if let Some(shelf) = shelf {
                    self.effects.push_back(Effect::Clear(shelf));
                }
            }
            Keeping::Kept(kept) => {
                self.kept.remove(&kept.id);
                if kept.has_changed {
                    self.doubt_answers(&[name]);
                }
                self.effects.push_back(Effect::Rest(kept.id));
            }
        }
    }

    /// The live room that is kept as this.
    pub(super) fn kept_room(&mut self, id: RoomId) -> Option<&mut Room> {
        let name = self.kept.get(&id)?;
        self.rooms.get_mut(name)
    }

    /// Kept rooms in which people are.
    #[must_use]
    pub fn kept_in_use(&self) -> Vec<RoomId> {
        self.rooms
            .values()
            .filter(|room| !room.seats.is_empty())
            .filter_map(Room::id)
            .collect()
    }

    /// A room was made in the store. False, and nothing happens, when people are in another of that name.
    pub fn kept_was_made(&mut self, record: &Record) -> bool {
        // Somebody may have entered it before we heard of it.
        if self.is_another(&record.name, record.id) {
            return false;
        }
        self.doubt_answers(&[&record.name]);
        self.tell_the_news(News::Created(record.place()));
        true
    }

    /// What is set of a room was changed in the store, from `was` to `now_is`; `anew` says that the
    /// password is another. False, and nothing happens, when people are in another room of the new name.
    pub fn kept_was_changed(&mut self, was: &Record, now_is: &Record, now: Moment) -> bool {
        let is_renamed = was.name != now_is.name;
        if is_renamed && self.is_another(&now_is.name, now_is.id) {
            return false;
        }
        self.doubt_answers(&[&was.name, &now_is.name]);
        self.tell_the_news(News::Changed {
            was: was.place(),
            now: now_is.place(),
        });
        let capacity_by_default = self.settings.capacity;
        let Some(room) = self.kept_room(now_is.id) else {
            return true;
        };
        let before = room.state.clone();
        // Only what has changed: what hosts have just said, and the store is about to keep, stands.
        if was.name.as_str() != now_is.name.as_str() {
            room.state.name = now_is.name.clone();
        }
        if was.locked != now_is.locked {
            room.state.locked = now_is.locked;
        }
        if was.capacity != now_is.capacity {
            room.state.capacity = now_is.capacity.unwrap_or(capacity_by_default);
        }
        if was.policy != now_is.policy {
            room.state.policy = now_is.policy;
        }
        if let Some(kept) = room.kept_mut() {
            kept.listed = now_is.listed;
            kept.has_password = now_is.has_password;
        }
        let after = room.state.clone();
        if is_renamed {
            self.rename(now_is.id, &before.name, &after.name);
        }
        let change = RoomChange {
            name: (before.name.as_str() != after.name.as_str()).then(|| after.name.clone()),
            locked: (before.locked != after.locked).then_some(after.locked),
            capacity: (before.capacity != after.capacity).then_some(after.capacity),
            policy: (before.policy != after.policy).then_some(after.policy),
        };
        if change == RoomChange::default() {
            return true;
        }
        let text = ToPeer::RoomChanged { data: change }.text();
        if let Some(room) = self.rooms.get_mut(&after.name) {
            for seat in &mut room.seats {
                let own = seat.session;
                seat.send(Kind::Other, own, &text, &mut self.effects);
            }
        }
        if before.policy != after.policy {
            self.follow_policy(&after.name, None, now);
        }
        true
    }

    /// Whether the live room of that name is not the one kept as this.
    fn is_another(&self, name: &RoomName, id: RoomId) -> bool {
        self.rooms
            .get(name)
            .is_some_and(|room| room.id() != Some(id))
    }

    fn rename(&mut self, id: RoomId, from: &RoomName, to: &RoomName) {
        let Some(mut room) = self.rooms.remove(from) else {
            return;
        };
        for seat in &room.seats {
            self.seated.insert(seat.session, to.clone());
        }
        for peer in room.rename_at_the_door(to) {
            if let Some(peer) = self.peers.get_mut(&peer) {
                peer.wants = Want::Entry(to.clone());
            }
        }
        self.kept.insert(id, to.clone());
        self.rooms.insert(to.clone(), room);
    }

    /// A room was deleted from the store. Whoever is in it is told and has no seat any more.
    pub fn kept_was_deleted(&mut self, id: RoomId, name: &RoomName, listed: bool) {
        self.doubt_answers(&[name]);
        if let Some(name) = self.kept.remove(&id)
            && let Some(room) = self.rooms.remove(&name)
        {
            self.turn_out(room);
        }
        self.effects.push_back(Effect::Rest(id));
        self.tell_the_news(News::Deleted(Place {
            room: name.clone(),
            kept: Some(id),
            listed,
        }));
    }

    fn turn_out(&mut self, room: Room) {
        let place = room.place();
        let had_people = !room.seats.is_empty();
        self.refuse_waiting(room.waiting, &DELETED);
        for seat in room.seats {
            self.seated.remove(&seat.session);
            self.effects.push_back(Effect::SeatEnded(seat.session));
            self.tell_the_news(News::Left {
                place: place.clone(),
                session: seat.session,
                name: seat.name.clone(),
            });
            match seat.presence {
                // It has no seat that could end a second time.
                Presence::Here(peer) => self.throw_out(peer, DELETED),
                Presence::Away { until, .. } => {
                    self.forget_away(until, seat.session, seat.source);
                }
            }
        }
        if had_people {
            self.tell_the_news(News::Ended(place));
        }
    }

    /// Where the files of a live room lie, if that is settled; `None` when nobody is in a room of that
    /// name.
    #[must_use]
    pub fn shelf(&self, name: &RoomName) -> Option<Option<RoomId>> {
        let room = self.rooms.get(name).filter(|room| !room.seats.is_empty())?;
        Some(room.settled_shelf())
    }

    /// Settles where the files of a live room lie that is not kept. What is settled stays: the answer is
    /// what holds, `None` when nobody is in such a room any more.
    pub fn settle_shelf(&mut self, name: &RoomName, id: RoomId) -> Option<RoomId> {
        match &mut self.rooms.get_mut(name)?.keeping {
            Keeping::AdHoc { shelf } => Some(*shelf.get_or_insert(id)),
            Keeping::Kept(_) => None,
        }
    }
}
