//! Someone leaves, or a socket closes.

use super::{AWAY, AWAY_AFTER_UNLOAD, Departure, Effect, Moment, Presence, Rooms, resume};
use crate::id::{PeerId, SessionId};
use crate::message::{Leaver, Role, ToPeer};

impl Rooms {
    pub(super) fn gone(&mut self, peer: PeerId, how: Departure, now: Moment) {
        self.release_reservation(peer);
        let Some(gone) = self.peers.remove(&peer) else {
            return;
        };
        let session = gone.session;
        let Some(seat) = self
            .room_of(session)
            .and_then(|room| room.seat_mut(session))
        else {
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
        seat.presence = Presence::Away {
            until,
            missed: resume::Missed::default(),
        };
        self.away.insert((until, session));
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
        if let Presence::Away { until, .. } = seat.presence {
            self.away.remove(&(until, session));
        }
        self.effects.push_back(Effect::SeatEnded(session));
        if room.seats.is_empty() {
            self.rooms.remove(&name);
            return;
        }
        // The role of host passes to whoever has been here longest.
        if seat.role == Role::Host
            && !room.seats.iter().any(|seat| seat.role == Role::Host)
            && let Some(oldest) = room.seats.first_mut()
        {
            oldest.role = Role::Host;
        }
        let farewell = ToPeer::Logout {
            data: Leaver {
                name: &seat.name,
                session,
            },
        }
        .text();
        for other in &mut room.seats {
            other.send(
                resume::Kind::Other,
                &farewell,
                &mut self.effects,
                &mut self.away,
            );
        }
    }

    /// Tells the others that someone's socket broke, or that the person is back.
    pub(super) fn announce_away(&mut self, session: SessionId, away: bool) {
        let Some(seat) = self
            .room_of(session)
            .and_then(|room| room.seat_mut(session))
        else {
            return;
        };
        let Some(status) = &mut seat.status else {
            return;
        };
        status.away = away;
        let text = ToPeer::Status {
            from: session,
            to: "",
            data: status,
        }
        .text();
        self.tell_others(session, &text);
    }
}
