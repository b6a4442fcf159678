//! Someone asks for a seat.

use super::{Effect, Moment, Presence, Room, Rooms, Seat, chat, resume};
use crate::id::{DisplayName, PeerId, SessionId};
use crate::message::{ErrorType, Login, Newcomer, Refusal, Role, RoomState, Status, ToPeer};

/// Said to whoever talks before sitting down.
pub(super) const NOT_SEATED: Refusal = Refusal::new(ErrorType::Unauthorized, "Join a room first.");
const FULL: Refusal = Refusal::new(ErrorType::Full, "This room is full.");

impl Rooms {
    pub(super) fn login(&mut self, peer: PeerId, login: Login, now: Moment) {
        let Some(asking) = self.peers.get(&peer) else {
            return;
        };
        let session = asking.session;
        self.release_reservation(peer);
        if let Some(token) = &login.resume {
            return self.resume(peer, token, &login, now);
        }
        match self.seated.get(&session) {
            // Asked twice: the answer is the same, and nobody else hears of it.
            Some(room) if *room == login.room => return self.welcome(peer, session),
            // The old seat is given up only once the new one is certain.
            Some(_) if self.is_full(&login) => return self.refuse(peer, FULL),
            Some(_) => self.end_seat(session),
            None => {}
        }
        self.sit_down(peer, session, login, resume::Generations::first(), now);
    }

    /// Gives `session` a new seat at the end of the table, if there is one left.
    pub(super) fn sit_down(
        &mut self,
        peer: PeerId,
        session: SessionId,
        login: Login,
        resume: resume::Generations,
        now: Moment,
    ) {
        if self.is_full(&login) {
            return self.refuse(peer, FULL);
        }
        let Some(page) = self.peers.get(&peer).map(|peer| peer.page) else {
            return;
        };
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
                },
                seats: Vec::new(),
                chat: chat::Log::default(),
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
        room.seats.push(Seat {
            session,
            name,
            role,
            joined: now.unix_ms,
            page,
            status: page.then(Status::default),
            chat_from: room.chat.newest(),
            resume,
            presence: Presence::Here(peer),
        });
        self.seated.insert(session, login.room);
        self.effects.push_back(Effect::SeatTaken(session));
        self.welcome(peer, session);
        self.tell_others(session, &announcement);
    }

    /// Says `joined`, and to a page what there is to know.
    pub(super) fn welcome(&mut self, to: PeerId, session: SessionId) {
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
            && let Some(seating) = room.seating(session, &self.tokens)
        {
            self.effects.push_back(Effect::Welcome { to, seating });
        }
    }

    fn is_full(&self, login: &Login) -> bool {
        self.rooms
            .get(&login.room)
            .is_some_and(|room| room.seats.len() >= room.state.capacity)
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
