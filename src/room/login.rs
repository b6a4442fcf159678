//! Someone asks for a seat.

use super::allowance::Allowance;
use super::{Effect, Moment, News, Peer, Presence, Room, Rooms, Seat, chat, kick, resume, status};
use crate::id::{DisplayName, PeerId, RoomName, SessionId};
use crate::message::{
    ErrorType, Login, Newcomer, Policy, Refusal, Role, RoomState, Status, ToPeer,
};

/// Said to whoever talks before sitting down.
pub(super) const NOT_SEATED: Refusal = Refusal::new(ErrorType::Unauthorized, "Join a room first.");
pub(super) const FULL: Refusal = Refusal::new(ErrorType::Full, "This room is full.");

const LOCKED: Refusal = Refusal::new(ErrorType::Locked, "This room is locked.");

/// How a room lets someone in.
pub(super) enum Door {
    /// At once.
    Open,
    /// When a host says so.
    Ajar,
}

impl Rooms {
    pub(super) fn login(&mut self, peer: PeerId, login: Login, now: Moment) {
        let Some(asking) = self.peers.get(&peer) else {
            return;
        };
        let session = asking.session;
        let waits_here = asking.waiting.as_ref() == Some(&login.room);
        self.release_reservation(peer);
        if let Some(token) = &login.resume {
            self.stop_waiting(peer);
            return self.resume(peer, token, &login, now);
        }
        // Asked twice: the answer is the same, and nobody else hears of it.
        if waits_here {
            return self.say_waiting(peer);
        }
        if self.seated.get(&session) == Some(&login.room) {
            return self.welcome(peer, session, now);
        }
        self.stop_waiting(peer);
        self.enter(peer, login, now);
    }

    /// Through the door of a room, or up to it.
    pub(super) fn enter(&mut self, peer: PeerId, login: Login, now: Moment) {
        let Some(session) = self.peers.get(&peer).map(|peer| peer.session) else {
            return;
        };
        match self.door(peer, session, &login.room) {
            Err(refusal) => self.refuse(peer, refusal),
            Ok(Door::Ajar) => self.knock(peer, session, login, now),
            Ok(Door::Open) => {
                // An old seat is given up only now that the new one is certain.
                self.end_seat(session);
                let first = resume::Generations::first();
                self.sit_down(peer, session, login, first, now);
            }
        }
    }

    /// How the room's door is for someone who has no seat in it.
    pub(super) fn door(
        &self,
        peer: PeerId,
        session: SessionId,
        room: &RoomName,
    ) -> Result<Door, Refusal> {
        let (Some(room), Some(asking)) = (self.rooms.get(room), self.peers.get(&peer)) else {
            return Ok(Door::Open);
        };
        if let Some(refusal) = room.removals.refusal_of_newcomer(session, asking.source) {
            Err(refusal)
        } else if room.state.locked {
            Err(LOCKED)
        } else if room.is_full() {
            Err(FULL)
        } else if room.state.policy.waiting_room {
            Ok(Door::Ajar)
        } else {
            Ok(Door::Open)
        }
    }

    /// Gives `session` a new seat at the end of the table. That there is one left is seen to before.
    pub(super) fn sit_down(
        &mut self,
        peer: PeerId,
        session: SessionId,
        login: Login,
        resume: resume::Generations,
        now: Moment,
    ) {
        let Some(Peer { page, source, .. }) = self.peers.get(&peer) else {
            return;
        };
        let (page, source) = (*page, *source);
        let capacity = self.settings.capacity;
        let room = self
            .rooms
            .entry(login.room.clone())
            .or_insert_with(|| Room {
                state: RoomState {
                    name: login.room.clone(),
                    locked: false,
                    capacity,
                    kept: false,
                    policy: Policy::default(),
                },
                seats: Vec::new(),
                chat: chat::Log::default(),
                waiting: Vec::new(),
                removals: kick::Removals::default(),
            });
        let name = free_name(login.name, &room.seats);
        let role = if room.seats.is_empty() {
            Role::Host
        } else {
            Role::Guest
        };
        let announcement = ToPeer::Login {
            from: session,
            to: "",
            data: Newcomer {
                room: &login.room,
                name: &name,
            },
        }
        .text();
        let is_first = room.seats.is_empty();
        let joined = News::Joined {
            place: room.place(),
            session,
            name: name.clone(),
            role,
        };
        room.seats.push(Seat {
            session,
            name,
            role,
            joined: now.unix_ms,
            page,
            source,
            status: page.then(Status::default),
            muting: status::Muting::default(),
            chat_from: room.chat.newest(),
            read: 0,
            pages: Allowance::default(),
            resume,
            presence: Presence::Here(peer),
        });
        let place = room.place();
        self.tokens.see(session, now.monotonic);
        self.seated.insert(session, login.room);
        self.effects.push_back(Effect::SeatTaken(session));
        self.welcome(peer, session, now);
        self.tell_others(session, &announcement);
        if is_first {
            self.tell_the_news(News::Started(place));
        }
        self.tell_the_news(joined);
    }

    /// Says `joined`, and to a page what there is to know.
    pub(super) fn welcome(&mut self, to: PeerId, session: SessionId, now: Moment) {
        self.effects.push_back(Effect::Send {
            to,
            text: ToPeer::Joined { data: session }.text(),
        });
        let Some(room) = self
            .seated
            .get(&session)
            .and_then(|name| self.rooms.get(name))
        else {
            return;
        };
        if self.peers.get(&to).is_some_and(|peer| peer.page)
            && let Some(seating) = room.seating(session, &self.tokens, now)
        {
            let is_host = seating.you.role == Role::Host;
            self.effects.push_back(Effect::Welcome { to, seating });
            if is_host {
                self.tell_of_waiting(session);
            }
        }
    }
}

/// The wanted name, or the first of `Kim 2`, `Kim 3`… that nobody in the room has.
fn free_name(wanted: DisplayName, seats: &[Seat]) -> DisplayName {
    let is_free = |name: &DisplayName| !seats.iter().any(|seat| seat.name.reads_like(name));
    if is_free(&wanted) {
        return wanted;
    }
    // One more number than there are seats is always enough.
    (2..=seats.len() + 2)
        .map(|number| wanted.numbered(number))
        .find(is_free)
        .unwrap_or(wanted)
}
