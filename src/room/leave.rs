//! Someone leaves, or a socket closes.

use std::collections::HashMap;
use std::time::Instant;

use super::reading::Held;
use super::{
    AWAY, AWAY_AFTER_UNLOAD, AWAY_PER_SOURCE_MAX, Departure, Effect, Moment, News, Presence, Room,
    Rooms, resume,
};
use crate::id::{PeerId, SessionId, Source};
use crate::message::{Leaver, Role, RoleChange, ToPeer};

impl Rooms {
    pub(super) fn gone(&mut self, peer: PeerId, how: Departure, now: Moment) {
        self.release_reservation(peer);
        self.stop_waiting(peer);
        let Some(gone) = self.peers.remove(&peer) else {
            return;
        };
        let session = gone.session;
        let Some(seat) = self.seat_of(session) else {
            return;
        };
        // The seat may have moved to another socket in the meantime.
        if !matches!(seat.presence, Presence::Here(here) if here == peer) {
            return;
        }
        let grace = match how {
            // Only pages know how to come back; a seed client's seat ends with its socket.
            Departure::Broken if seat.page => AWAY,
            Departure::Unloaded if seat.page => AWAY_AFTER_UNLOAD,
            _ => return self.end_seat(session),
        };
        let until = now.monotonic + grace;
        let mut missed = resume::Missed::default();
        // What waited to be sent is missed like the rest.
        for text in seat.held.take().into_iter().flat_map(Held::into_texts) {
            missed.keep(resume::Kind::Chat, session, &text);
        }
        let source = seat.source;
        seat.presence = Presence::Away { until, missed };
        self.away.insert((until, session));
        let away = self.away_by_source.entry(source).or_default();
        *away += 1;
        if *away > AWAY_PER_SOURCE_MAX {
            return self.end_seat(session);
        }
        self.announce_away(session, true);
    }

    /// Ends a seat for good and tells the others. Without a seat nothing happens.
    pub(super) fn end_seat(&mut self, session: SessionId) {
        let Some(name) = self.seated.remove(&session) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(&name) else {
            return;
        };
        let Some(place) = room.seats.iter().position(|seat| seat.session == session) else {
            return;
        };
        let seat = room.seats.remove(place);
        let is_kept = room.id().is_some();
        if let Presence::Away { until, .. } = seat.presence {
            self.away.remove(&(until, session));
            one_fewer(&mut self.away_by_source, seat.source);
        }
        self.effects.push_back(Effect::SeatEnded(session));
        let place = room.place();
        self.effects.push_back(Effect::News(News::Left {
            place: place.clone(),
            session,
            name: seat.name.clone(),
        }));
        if room.seats.is_empty() {
            self.end_if_empty(&name);
            return self.tell_the_news(News::Ended(place));
        }
        let farewell = ToPeer::Logout {
            data: Leaver {
                name: &seat.name,
                session,
            },
        }
        .text();
        room.tell(
            resume::Kind::Other,
            session,
            &farewell,
            |_| true,
            &mut self.effects,
        );
        for other in &mut room.seats {
            if let Presence::Away { missed, .. } = &mut other.presence {
                missed.left(session);
            }
        }
        // In a kept room hosts are made by whoever has it.
        if let Some(session_id) = room.heir().filter(|_| !is_kept) {
            self.give_role(
                None,
                RoleChange {
                    session_id,
                    role: Role::Host,
                },
            );
        }
    }

    /// Someone who was away has no seat any more.
    pub(super) fn forget_away(&mut self, until: Instant, session: SessionId, source: Source) {
        self.away.remove(&(until, session));
        one_fewer(&mut self.away_by_source, source);
    }

    /// Tells the others that someone's socket broke, or that the person is back.
    pub(super) fn announce_away(&mut self, session: SessionId, away: bool) {
        let Some(seat) = self.seat_of(session) else {
            return;
        };
        let Some(status) = &mut seat.status else {
            return;
        };
        status.away = away;
        self.announce_status(session);
    }
}

/// Someone from there is away no longer.
pub(super) fn one_fewer(away: &mut HashMap<Source, usize>, source: Source) {
    if let Some(count) = away.get_mut(&source) {
        *count -= 1;
        if *count == 0 {
            away.remove(&source);
        }
    }
}

impl Room {
    /// Whoever becomes host, if there is none: who has been here longest, before any viewer.
    fn heir(&self) -> Option<SessionId> {
        if self.seats.iter().any(|seat| seat.role == Role::Host) {
            return None;
        }
        self.seats
            .iter()
            .find(|seat| seat.role == Role::Guest)
            .or_else(|| self.seats.first())
            .map(|seat| seat.session)
    }
}
