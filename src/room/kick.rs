//! A host removes someone, for now or for good.

use std::collections::VecDeque;

use super::{Effect, Job, Moment, NOT_HERE, Presence, Rooms};
use crate::id::{PeerId, SessionId, Source};
use crate::message::{ErrorType, Kick, Refusal};

/// How many removed people a room remembers: more than a host ever removes by hand, about 64 KiB.
const REMOVED_MAX: usize = 1000;

/// Said to whoever was removed for now.
const KICKED: Refusal = Refusal::new(ErrorType::Kicked, "The host has removed you from the room.");
/// Said to whoever was removed for good.
pub(super) const BANNED: Refusal = Refusal::new(
    ErrorType::Banned,
    "The host has removed you from the room for good.",
);
const ONESELF: Refusal = Refusal::invalid("To leave, log out.");

/// People whom hosts have removed, until nobody is in the room any more. In a kept room those banned are
/// then remembered by the store.
#[derive(Default)]
pub(super) struct Removals(VecDeque<Removal>);

struct Removal {
    session: SessionId,
    /// Where a banned person came from.
    banned: Option<Source>,
    /// The person knows: the socket was open, or someone has tried to come back since.
    told: bool,
}

/// How a removed person's wish for the old seat ends.
pub(super) enum Return {
    /// The seat is gone, but there may be another.
    SeatGone,
    /// The socket is closed, with this reason.
    ThrowOut(Refusal),
}

impl Removals {
    /// Whether someone may not sit down again by this session or from there.
    pub(super) fn is_banned(&self, session: SessionId, source: Source) -> bool {
        self.0.iter().any(|removal| {
            removal
                .banned
                .is_some_and(|banned| banned == source || removal.session == session)
        })
    }

    /// What to tell a removed person who wants the seat back. Whoever was removed for now and knows
    /// it is told nothing but that the seat is gone: coming back is then a wish of the person, and
    /// not of a page that found its socket broken.
    pub(super) fn on_return(&mut self, session: SessionId) -> Option<Return> {
        let removal = self
            .0
            .iter_mut()
            .rfind(|removal| removal.session == session)?;
        let told = std::mem::replace(&mut removal.told, true);
        Some(match removal.banned {
            Some(_) => Return::ThrowOut(BANNED),
            None if told => Return::SeatGone,
            None => Return::ThrowOut(KICKED),
        })
    }

    fn add(&mut self, removal: Removal) {
        if self.0.len() == REMOVED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(removal);
    }
}

impl Rooms {
    pub(super) fn kick(&mut self, peer: PeerId, by: SessionId, kick: Kick, now: Moment) {
        if !self.acts_as_host(peer, by) {
            return;
        }
        let session = kick.session_id;
        if session == by {
            return self.refuse(peer, ONESELF);
        }
        let Some(room) = self.room_of(by) else {
            return;
        };
        let seated = room.seat(session).map(|seat| match seat.presence {
            Presence::Here(socket) => (seat.source, Some(socket)),
            Presence::Away { .. } => (seat.source, None),
        });
        let Some((source, socket)) = seated.or_else(|| room.waiting_as(session)) else {
            return self.refuse(peer, NOT_HERE);
        };
        let name = room
            .seat(session)
            .map(|seat| &seat.name)
            .or_else(|| room.name_at_the_door(session))
            .cloned();
        room.removals.add(Removal {
            session,
            banned: kick.ban.then_some(source),
            told: socket.is_some(),
        });
        if let Some(kept) = room.kept_mut() {
            kept.roles.remove(&session);
        }
        if let Some(socket) = socket {
            self.stop_waiting(socket);
            self.throw_out(socket, if kick.ban { BANNED } else { KICKED });
        }
        // Out first; that it lasts comes second.
        let time = now.unix_ms;
        match name {
            Some(name) if kick.ban => self.keep(peer, by, || Job::Ban {
                session,
                name,
                source,
                time,
            }),
            _ => self.keep(peer, by, || Job::ForgetRole { session, time }),
        };
        self.end_seat(session);
    }

    /// Closes a socket with a reason. From here on it speaks for nobody.
    pub(super) fn throw_out(&mut self, socket: PeerId, why: Refusal) {
        self.refuse(socket, why);
        self.release_reservation(socket);
        self.effects.push_back(Effect::Remove(socket));
        // Its seat goes with it: it may sit elsewhere, under another session than the one it is thrown out for.
        if let Some(thrown_out) = self.peers.remove(&socket) {
            self.end_seat(thrown_out.session);
        }
    }
}
