//! Someone waits to be let in, and a host decides.
//!
//! Whoever waits has no seat, no credentials and no name in the room yet, and hears nothing of it.

use std::time::Duration;

use super::allowance::Pace;
use super::{Effect, Moment, Presence, Room, Rooms, Want, door, resume};
use crate::id::{DisplayName, PeerId, RoomName, SessionId, Source};
use crate::message::{Empty, ErrorType, Knock, Leaver, Login, Person, Refusal, Role, Text, ToPeer};

/// How many people wait at one room's door: more than a host can look through.
const WAITING_MAX: usize = 100;
/// How many of them from one address: a class behind one router, and nobody fills the door alone.
const WAITING_PER_SOURCE_MAX: usize = 30;
/// How often one socket may knock: hosts hear of each time.
const KNOCKS: Pace = Pace {
    burst: 5,
    every: Duration::from_secs(10),
};

const TOO_MANY_WAIT: Refusal = Refusal::new(
    ErrorType::Full,
    "Too many people are waiting; try again later.",
);
const TOO_MANY_KNOCKS: Refusal =
    Refusal::new(ErrorType::Rate, "You have asked too often; wait a little.");
const NOT_LET_IN: Refusal = Refusal::new(ErrorType::Denied, "The host has not let you in.");
const NOBODY_THERE: Refusal = Refusal::new(
    ErrorType::Denied,
    "Everyone has left, so nobody can let you in.",
);
const NOT_WAITING: Refusal =
    Refusal::new(ErrorType::NotFound, "This person is not waiting any more.");

/// Someone at the door.
pub(super) struct Knocker {
    session: SessionId,
    peer: PeerId,
    source: Source,
    login: Login,
}

impl Knocker {
    fn knock(&self) -> Text {
        ToPeer::Knock {
            data: Knock {
                session_id: self.session,
                username: &self.login.name,
            },
        }
        .text()
    }
}

impl Room {
    /// Where someone waiting comes from, and by which socket.
    pub(super) fn waiting_as(&self, session: SessionId) -> Option<(Source, Option<PeerId>)> {
        self.waiting
            .iter()
            .find(|knocker| knocker.session == session)
            .map(|knocker| (knocker.source, Some(knocker.peer)))
    }

    /// The room has another name; the sockets of those who wait are the answer.
    pub(super) fn rename_at_the_door(&mut self, to: &RoomName) -> Vec<PeerId> {
        for knocker in &mut self.waiting {
            knocker.login.room = to.clone();
        }
        self.waiting.iter().map(|knocker| knocker.peer).collect()
    }

    /// What someone who waits wants to be called.
    pub(super) fn name_at_the_door(&self, session: SessionId) -> Option<&DisplayName> {
        let mut waiting = self.waiting.iter();
        waiting
            .find(|knocker| knocker.session == session)
            .map(|knocker| &knocker.login.name)
    }
}

impl Rooms {
    pub(super) fn knock(&mut self, peer: PeerId, session: SessionId, login: Login, now: Moment) {
        let source = match self.may_knock(peer, &login.room, now) {
            Ok(source) => source,
            Err(refusal) => return self.refuse(peer, refusal),
        };
        // As when moving to another room: one is not in two places.
        self.end_seat(session);
        let (Some(asking), Some(room)) =
            (self.peers.get_mut(&peer), self.rooms.get_mut(&login.room))
        else {
            return;
        };
        let name = login.room.clone();
        asking.wants = Want::Entry(name.clone());
        let knocker = Knocker {
            session,
            peer,
            source,
            login,
        };
        let knock = knocker.knock();
        room.waiting.push(knocker);
        self.say_waiting(peer);
        self.tell_hosts(&name, &knock);
    }

    fn may_knock(&mut self, peer: PeerId, room: &RoomName, now: Moment) -> Result<Source, Refusal> {
        let (Some(asking), Some(room)) = (self.peers.get_mut(&peer), self.rooms.get(room)) else {
            return Err(NOBODY_THERE);
        };
        if !asking.knocks.take(KNOCKS, now.monotonic) {
            return Err(TOO_MANY_KNOCKS);
        }
        let source = asking.source;
        let from_there = room
            .waiting
            .iter()
            .filter(|knocker| knocker.source == source)
            .count();
        if room.waiting.len() >= WAITING_MAX || from_there >= WAITING_PER_SOURCE_MAX {
            return Err(TOO_MANY_WAIT);
        }
        Ok(source)
    }

    pub(super) fn say_waiting(&mut self, to: PeerId) {
        let text = ToPeer::Waiting { data: Empty {} }.text();
        self.effects.push_back(Effect::Send { to, text });
    }

    pub(super) fn admit(&mut self, peer: PeerId, by: SessionId, who: Person, now: Moment) {
        if !self.acts_as_host(peer, by) {
            return;
        }
        let Some(room) = self.room_of(by) else {
            return;
        };
        if room.waiting_as(who.session_id).is_none() {
            return self.refuse(peer, NOT_WAITING);
        }
        if room.is_full() {
            return self.refuse(peer, door::FULL);
        }
        let name = room.state.name.clone();
        if let Some(knocker) = self.take_from_door(&name, who.session_id) {
            self.let_in(knocker, now);
        }
    }

    fn let_in(&mut self, knocker: Knocker, now: Moment) {
        let first = resume::Generations::first();
        self.sit_down(
            knocker.peer,
            knocker.session,
            knocker.login,
            first,
            door::Pass::None,
            now,
        );
    }

    pub(super) fn deny(&mut self, peer: PeerId, by: SessionId, who: Person) {
        if !self.acts_as_host(peer, by) {
            return;
        }
        let Some(name) = self.seated.get(&by).cloned() else {
            return;
        };
        let Some(knocker) = self.take_from_door(&name, who.session_id) else {
            return self.refuse(peer, NOT_WAITING);
        };
        self.refuse(knocker.peer, NOT_LET_IN);
        self.tell_hosts_of_leaving(&name, &knocker);
    }

    /// The waiting room is no more: everyone comes in, in the order they knocked.
    pub(super) fn let_all_in(&mut self, name: &RoomName, now: Moment) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        for knocker in std::mem::take(&mut room.waiting) {
            self.forget_waiting(knocker.peer);
            if self.rooms.get(name).is_some_and(Room::is_full) {
                self.refuse(knocker.peer, door::FULL);
                self.tell_hosts_of_leaving(name, &knocker);
                continue;
            }
            self.let_in(knocker, now);
        }
    }

    /// The room is no more: whoever waits is sent away.
    pub(super) fn send_away(&mut self, waiting: Vec<Knocker>) {
        self.refuse_waiting(waiting, &NOBODY_THERE);
    }

    pub(super) fn refuse_waiting(&mut self, waiting: Vec<Knocker>, why: &Refusal) {
        for knocker in waiting {
            self.forget_waiting(knocker.peer);
            self.refuse(knocker.peer, why.clone());
        }
    }

    /// The person at this socket waits no longer, if it did; hosts are told.
    pub(super) fn stop_waiting(&mut self, peer: PeerId) {
        let Some(waiting) = self.peers.get(&peer) else {
            return;
        };
        let session = waiting.session;
        let Want::Entry(name) = &waiting.wants else {
            return;
        };
        let name = name.clone();
        if let Some(knocker) = self.take_from_door(&name, session) {
            self.tell_hosts_of_leaving(&name, &knocker);
        }
        self.end_if_empty(&name);
    }

    /// Tells a host who waits.
    pub(super) fn tell_of_waiting(&mut self, host: SessionId) {
        let Some(room) = self.seated.get(&host).and_then(|name| self.rooms.get(name)) else {
            return;
        };
        let Some(Presence::Here(to)) = room.seat(host).map(|seat| &seat.presence) else {
            return;
        };
        for knocker in &room.waiting {
            self.effects.push_back(Effect::Send {
                to: *to,
                text: knocker.knock(),
            });
        }
    }

    fn take_from_door(&mut self, room: &RoomName, session: SessionId) -> Option<Knocker> {
        let waiting = &mut self.rooms.get_mut(room)?.waiting;
        let place = waiting
            .iter()
            .position(|knocker| knocker.session == session)?;
        let knocker = waiting.remove(place);
        self.forget_waiting(knocker.peer);
        Some(knocker)
    }

    fn forget_waiting(&mut self, peer: PeerId) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.wants = Want::Nothing;
        }
    }

    fn tell_hosts_of_leaving(&mut self, room: &RoomName, knocker: &Knocker) {
        let text = ToPeer::Logout {
            data: Leaver {
                name: &knocker.login.name,
                session: knocker.session,
            },
        }
        .text();
        self.tell_hosts(room, &text);
    }

    /// Hosts who are away learn of who waits when they are back.
    fn tell_hosts(&mut self, room: &RoomName, text: &Text) {
        if let Some(room) = self.rooms.get(room) {
            for seat in room.seats.iter().filter(|seat| seat.role == Role::Host) {
                if let Presence::Here(to) = seat.presence {
                    let text = text.clone();
                    self.effects.push_back(Effect::Send { to, text });
                }
            }
        }
    }
}
