//! What someone sends has changed, or must.
//!
//! Media goes from person to person and past the server, so the server cannot stop it. It keeps
//! the status true to the rules instead, and everyone else shows and plays what the status says.

use super::{Rooms, Seat};
use crate::id::{PeerId, SessionId};
use crate::message::{ErrorType, Kind, Policy, Refusal, Role, Status, ToPeer};

const NOT_ALLOWED: Refusal = Refusal::new(
    ErrorType::Denied,
    "The host does not allow that at the moment.",
);

/// What a host has said of someone's microphone and camera. It matters while people may not
/// unmute themselves.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Muting {
    /// A host has asked for the microphone: it may be turned on, once.
    mic_asked: bool,
    /// A host has turned the camera off, and not asked for it since.
    camera_held: bool,
}

impl Rooms {
    pub(super) fn set_status(&mut self, peer: PeerId, session: SessionId, wanted: Status) {
        let Some(room) = self.room_of(session) else {
            return;
        };
        let policy = room.state.policy;
        let Some(seat) = room.seat_mut(session) else {
            return;
        };
        let status = seat.allowed(&wanted, policy);
        let is_allowed = status == wanted;
        seat.muting.mic_asked &= !status.mic;
        seat.muting.camera_held &= !status.camera;
        seat.status = Some(status);
        self.announce_status(session);
        if !is_allowed {
            self.refuse(peer, NOT_ALLOWED);
        }
    }

    /// Turns off what someone sends, on a host's behalf. Both the person and the others are told.
    pub(super) fn turn_off(&mut self, session: SessionId, kind: Kind, by: SessionId) {
        let Some(seat) = self.seat_of(session) else {
            return;
        };
        match kind {
            Kind::Mic => seat.muting.mic_asked = false,
            Kind::Camera => seat.muting.camera_held = true,
            Kind::Screen => {}
        }
        let was_on = seat
            .status
            .as_mut()
            .is_some_and(|status| status.turn_off(kind));
        self.tell_of_muting(session, kind, by, true);
        if was_on {
            self.announce_status(session);
        }
    }

    /// Asks someone to turn something on again, and allows it.
    pub(super) fn ask_for(&mut self, session: SessionId, kind: Kind, by: SessionId) {
        let Some(seat) = self.seat_of(session) else {
            return;
        };
        match kind {
            Kind::Mic => seat.muting.mic_asked = true,
            Kind::Camera => seat.muting.camera_held = false,
            Kind::Screen => {}
        }
        self.tell_of_muting(session, kind, by, false);
    }

    /// After someone's role has changed: ends what the new one may not.
    pub(super) fn stop_what_is_not_allowed(&mut self, session: SessionId) {
        let Some(room) = self.room_of(session) else {
            return;
        };
        let policy = room.state.policy;
        let Some(seat) = room.seat_mut(session) else {
            return;
        };
        let Some(before) = &seat.status else {
            return;
        };
        let after = seat.allowed(before, policy);
        if after != *before {
            seat.status = Some(after);
            self.announce_status(session);
        }
    }

    /// Tells the others what someone sends.
    pub(super) fn announce_status(&mut self, session: SessionId) {
        let Some(status) = self
            .room_of(session)
            .and_then(|room| room.seat(session))
            .and_then(|seat| seat.status.as_ref())
        else {
            return;
        };
        let text = ToPeer::Status {
            from: session,
            to: "",
            data: status,
        }
        .text();
        self.tell_others(session, &text);
    }
}

impl Seat {
    /// As much of `wanted` as this person may have.
    fn allowed(&self, wanted: &Status, policy: Policy) -> Status {
        let mut status = wanted.clone();
        match self.role {
            Role::Host => return status,
            Role::Guest => {}
            Role::Viewer => {
                for kind in [Kind::Mic, Kind::Camera, Kind::Screen] {
                    status.turn_off(kind);
                }
                status.streams.clear();
                return status;
            }
        }
        let was = |on: fn(&Status) -> bool| self.status.as_ref().is_some_and(on);
        if !policy.unmute {
            if !self.muting.mic_asked && !was(|status| status.mic) {
                status.turn_off(Kind::Mic);
            }
            if self.muting.camera_held {
                status.turn_off(Kind::Camera);
            }
        }
        if !policy.screen {
            status.turn_off(Kind::Screen);
        }
        status
    }
}
