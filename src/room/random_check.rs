//! Someone looks for a room's name that nobody uses.

use std::time::{Duration, Instant};

use super::{Effect, Moment, Rooms};
use crate::id::PeerId;
use crate::message::RandomCheck;

/// How long a name found free is kept for the one who asked.
const RESERVED: Duration = Duration::from_secs(60);

/// A name kept for a socket. It only makes others' checks say `fail`; it never refuses a login.
pub(super) struct Reservation {
    peer: PeerId,
    until: Instant,
}

impl Rooms {
    pub(super) fn random_check(&mut self, peer: PeerId, check: RandomCheck, now: Moment) {
        if self.is_unused(peer, &check, now) {
            self.look_up_name(peer, check);
        } else {
            self.answer_check(peer, &check, false, now);
        }
    }

    fn is_unused(&self, peer: PeerId, check: &RandomCheck, now: Moment) -> bool {
        let room = &check.room;
        !self.rooms.contains_key(room)
            && self.reservations.get(room).is_none_or(|reservation| {
                reservation.peer == peer || reservation.until <= now.monotonic
            })
    }

    /// The store has said whether a room of that name is kept; when it says nothing, none is taken to be.
    pub(super) fn answer_check(
        &mut self,
        peer: PeerId,
        check: &RandomCheck,
        is_kept: bool,
        now: Moment,
    ) {
        let room = &check.room;
        let is_free = !is_kept && self.is_unused(peer, check, now);
        if is_free {
            // One name per socket: a socket cannot fill the table.
            self.release_reservation(peer);
            if let Some(asking) = self.peers.get_mut(&peer) {
                asking.reserved = Some(room.clone());
            }
            let until = now.monotonic + RESERVED;
            self.reservations
                .insert(room.clone(), Reservation { peer, until });
        }
        self.effects.push_back(Effect::Send {
            to: peer,
            text: check.result(is_free),
        });
    }

    pub(super) fn release_reservation(&mut self, peer: PeerId) {
        let reserved = self
            .peers
            .get_mut(&peer)
            .and_then(|peer| peer.reserved.take());
        if let Some(room) = reserved
            && self
                .reservations
                .get(&room)
                .is_some_and(|reservation| reservation.peer == peer)
        {
            self.reservations.remove(&room);
        }
    }
}
