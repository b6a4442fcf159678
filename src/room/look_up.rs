//! The store has said what is kept under a name.
//!
//! Whoever asks for a room in which nobody is, or shows something that only the store can judge, waits for its
//! answer. If what is kept is changed meanwhile, the store is asked again.

use std::fmt;

use super::door::{Door, Pass};
use super::keep::Trouble;
use super::kept::Record;
use super::login::Entrance;
use super::{Effect, Moment, Rooms, Want, resume};
use crate::id::{InviteId, PeerId, RoomName};
use crate::message::{ErrorType, Login, RandomCheck, Refusal, Role};
use crate::token;

/// How often the store is asked anew because what is kept was changed. More changes within a moment than
/// that are made by a program.
const ASKED_MAX: u32 = 5;

const WRONG_PASSWORD: Refusal = Refusal::new(
    ErrorType::Password,
    "That password does not open this room.",
);
const TOO_MANY_GUESSES: Refusal = Refusal::new(
    ErrorType::Rate,
    "Too many passwords were tried; wait a minute.",
);
const NO_INVITE: Refusal = Refusal::new(
    ErrorType::NotFound,
    "This invitation is no longer good. Ask for another.",
);
const NO_TOKEN: Refusal = Refusal::new(
    ErrorType::Unauthorized,
    "This link does not open this room, or not any more.",
);
const UNSETTLED: Refusal = Refusal::new(
    ErrorType::Denied,
    "This room is being changed; try again in a moment.",
);

/// What to look for in the store.
#[derive(Clone, PartialEq, Eq)]
pub struct Wish {
    /// The room's name.
    pub room: RoomName,
    /// A password to try, if the room has one. It is not to be looked at when there is an invitation.
    pub password: Option<String>,
    /// An invitation.
    pub invite: Option<Invitation>,
}

/// How someone shows an invitation.
#[derive(Clone, PartialEq, Eq)]
pub enum Invitation {
    /// By the secret of its link: it is to be used once.
    Secret(String),
    /// As one who has used it before; that costs no use.
    Used(InviteId),
}

impl fmt::Debug for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wish")
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

/// What the store has under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    NotKept,
    /// A room.
    Kept {
        /// What it is like.
        record: Box<Record>,
        /// What became of what was shown.
        shown: Shown,
    },
}

/// What became of what someone has shown at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Nothing was, or nothing that mattered.
    Nothing,
    /// The room's password.
    RightPassword,
    /// Another.
    WrongPassword,
    /// An invitation.
    Invite {
        /// Which.
        id: InviteId,
        /// As what it lets people in.
        role: Role,
        /// The person has used it before; else it was used now.
        again: bool,
    },
    /// An invitation that is no good.
    NoInvite,
}

/// What a socket has asked the store.
pub(super) struct Errand {
    what: What,
    /// How often the store was asked.
    asked: u32,
    /// What is kept under the name was changed since it was asked.
    stale: bool,
}

enum What {
    /// To enter a room.
    Enter(Box<Entrance>),
    /// Whether a name is free.
    Check(RandomCheck),
}

impl Rooms {
    /// Has the store say what is kept under the name, on the way into the room.
    pub(super) fn look_up_door(&mut self, peer: PeerId, entrance: Entrance, now: Moment) {
        if entrance.wish().password.is_some() && !self.may_guess(peer, &entrance.login, now) {
            return self.refuse(peer, TOO_MANY_GUESSES);
        }
        self.look_up(peer, What::Enter(Box::new(entrance)), 1);
    }

    pub(super) fn look_up_name(&mut self, peer: PeerId, check: RandomCheck) {
        self.look_up(peer, What::Check(check), 1);
    }

    fn look_up(&mut self, peer: PeerId, what: What, asked: u32) {
        let wish = match &what {
            What::Enter(entrance) => entrance.wish(),
            What::Check(check) => Wish {
                room: check.room.clone(),
                password: None,
                invite: None,
            },
        };
        let Some(asking) = self.peers.get_mut(&peer) else {
            return;
        };
        asking.wants = Want::Answer(Errand {
            what,
            asked,
            stale: false,
        });
        let wish = Box::new(wish);
        self.effects.push_back(Effect::LookUp { peer, wish });
    }

    /// What is kept under these names is not what it was.
    pub(super) fn doubt_answers(&mut self, names: &[&RoomName]) {
        for peer in self.peers.values_mut() {
            if let Want::Answer(errand) = &mut peer.wants {
                errand.stale |= names.contains(&errand.what.room());
            }
        }
    }

    pub(super) fn looked_up(&mut self, peer: PeerId, found: Result<Found, Trouble>, now: Moment) {
        let errand = self.peers.get_mut(&peer).and_then(|asking| {
            match std::mem::replace(&mut asking.wants, Want::Nothing) {
                Want::Answer(errand) => Some(errand),
                other => {
                    asking.wants = other;
                    None
                }
            }
        });
        let invite = invite_in(&found);
        let Some(Errand { what, asked, stale }) = errand else {
            return self.give_back(invite);
        };
        if stale {
            self.give_back(invite);
            return if asked < ASKED_MAX {
                self.look_up(peer, what, asked + 1);
            } else {
                self.refuse(peer, UNSETTLED);
            };
        }
        match what {
            What::Check(check) => {
                let is_kept = matches!(found, Ok(Found::Kept { .. }));
                self.answer_check(peer, &check, is_kept, now);
            }
            What::Enter(entrance) => {
                let session = self.peers.get(&peer).map(|peer| peer.session);
                let moved = entrance.was();
                let room = entrance.login.room.clone();
                self.enter_found(peer, *entrance, found, now);
                let has_seat = [session, moved]
                    .into_iter()
                    .flatten()
                    .any(|session| self.seated.get(&session) == Some(&room));
                if !has_seat {
                    self.give_back(invite);
                }
                self.end_if_empty(&room);
            }
        }
    }

    fn enter_found(
        &mut self,
        peer: PeerId,
        entrance: Entrance,
        found: Result<Found, Trouble>,
        now: Moment,
    ) {
        let source = self.peers.get(&peer).map(|peer| peer.source);
        let wish = entrance.wish();
        let room = entrance.login.room.clone();
        let is_wrong = matches!(
            found,
            Ok(Found::Kept {
                shown: Shown::WrongPassword,
                ..
            })
        );
        if let Some(source) = source
            && wish.password.is_some()
            && !is_wrong
        {
            self.guesses.give_back(source, &room, now.monotonic);
        }
        let shown = match found {
            Err(trouble) => return self.refuse(peer, trouble.into()),
            Ok(Found::NotKept) => None,
            Ok(Found::Kept { record, shown }) => {
                // People are in it under another name, which is being changed: one room does not live twice.
                if self.kept.get(&record.id).is_some_and(|name| *name != room) {
                    return self.refuse(peer, UNSETTLED);
                }
                if !self.rooms.contains_key(&room) {
                    self.open_kept(*record, now);
                }
                Some(shown)
            }
        };
        match shown {
            // The seat outlives the invitation, but says no more as what the person came.
            Some(Shown::NoInvite) | None if entrance.back.is_some() => {}
            Some(Shown::NoInvite) => return self.refuse(peer, NO_INVITE),
            None if wish.invite.is_some() => return self.refuse(peer, NO_INVITE),
            Some(Shown::WrongPassword) => {
                // Whoever may not come in anyway learns that, and nothing of the password.
                let refusal = self.refusal_of(peer, &entrance, Pass::None);
                return self.refuse(peer, refusal.unwrap_or(WRONG_PASSWORD));
            }
            _ => {}
        }
        match self.pass(&entrance, shown, now) {
            Err(refusal) => self.refuse(peer, refusal),
            Ok(pass) => self.go_through(peer, entrance, pass, now),
        }
    }

    /// Why this person does not get in, whatever the store says of password or invitation.
    fn refusal_of(&self, peer: PeerId, entrance: &Entrance, pass: Pass) -> Option<Refusal> {
        let asking = self.peers.get(&peer)?;
        let room = self.rooms.get(&entrance.login.room)?;
        let session = entrance.was().unwrap_or(asking.session);
        room.refusal_at_the_door(session, asking.source, pass)
    }

    /// What someone has shown, the room being as it is.
    pub(super) fn pass(
        &self,
        entrance: &Entrance,
        shown: Option<Shown>,
        now: Moment,
    ) -> Result<Pass, Refusal> {
        let Entrance { login, back, .. } = entrance;
        let room = self.rooms.get(&login.room).and_then(super::Room::kept);
        let kept = room.map(|kept| kept.id);
        // What a host has made of the person since says more than an invitation or a guest's token.
        let made = room.and_then(|kept| kept.roles.get(&entrance.was()?).copied());
        let card = match &login.token {
            None => None,
            Some(token) => {
                let claims = self.cards.read(token, now.unix_ms).map_err(|_| NO_TOKEN)?;
                if !claims.opens_doors() || !claims.is_for(&login.room, kept) {
                    return Err(NO_TOKEN);
                }
                Some(claims)
            }
        };
        if let Some(token) = back {
            if token.kept != kept {
                return Err(resume::SEAT_GONE);
            }
            if kept.is_some() {
                let card = card.map(|claims| claims.role);
                let (role, invite) = match shown {
                    Some(Shown::Invite { id, role, .. }) => (Some(role), Some(id)),
                    _ => (None, None),
                };
                let host = card.filter(|role| *role == Role::Host);
                let role = host.or(made).or(card).or(role);
                return Ok(Pass::Seat { role, invite });
            }
        }
        if let Some(claims) = card {
            return Ok(Pass::Card {
                role: claims.role,
                opens_lock: claims.kind == token::Kind::Host,
            });
        }
        Ok(match shown {
            Some(Shown::Invite { id, role, .. }) => Pass::Invite {
                id,
                role: made.unwrap_or(role),
            },
            Some(Shown::RightPassword) => Pass::Password,
            _ => Pass::None,
        })
    }

    fn go_through(&mut self, peer: PeerId, entrance: Entrance, pass: Pass, now: Moment) {
        let Some(asking) = self.peers.get(&peer) else {
            return;
        };
        let session = entrance.was().unwrap_or(asking.session);
        let login = &entrance.login;
        if let (Some(_), Some(sealed)) = (entrance.back, &login.resume)
            && self.seated.contains_key(&session)
        {
            // Another socket of the same person was faster.
            return self.resume(peer, sealed, login, now);
        }
        if entrance.again.is_some() && self.seated.get(&session) == Some(&login.room) {
            // The page was closed and the seat is still kept, or the person sits there on another device.
            return self.take_up_again(peer, session, login.seq, now);
        }
        match self.door(peer, session, &login.room, pass) {
            Err(refusal) => self.refuse(peer, refusal),
            // The room asks: this is a newcomer like any other.
            Ok(Door::Ajar) => {
                if let Some(asking) = self.peers.get(&peer) {
                    let session = asking.session;
                    self.knock(peer, session, entrance.login.without_secrets(), now);
                }
            }
            Ok(Door::Open) => self.sit_down_anew(peer, entrance, pass, now),
        }
    }

    /// Through the door of a room in which people are, or up to it; the store is asked only if it must be.
    pub(super) fn enter(&mut self, peer: PeerId, entrance: Entrance, now: Moment) {
        let Some(room) = self.rooms.get(&entrance.login.room) else {
            return self.look_up_door(peer, entrance, now);
        };
        let wish = entrance.wish();
        let pass = match self.pass(&entrance, None, now) {
            Err(refusal) => return self.refuse(peer, refusal),
            Ok(pass) => pass,
        };
        if wish.invite.is_some() && room.id().is_none() {
            return self.refuse(peer, NO_INVITE);
        }
        let tries_password = room.asks_for_password(pass) && wish.password.is_some();
        if wish.invite.is_some() || tries_password {
            // An invitation is not used up, and no password tried, at a door that stays closed.
            return match self.refusal_of(peer, &entrance, pass) {
                Some(refusal) => self.refuse(peer, refusal),
                None => self.look_up_door(peer, entrance, now),
            };
        }
        self.go_through(peer, entrance, pass, now);
    }

    fn may_guess(&mut self, peer: PeerId, login: &Login, now: Moment) -> bool {
        let Some(source) = self.peers.get(&peer).map(|peer| peer.source) else {
            return false;
        };
        self.guesses.take(source, &login.room, now.monotonic)
    }

    fn give_back(&mut self, invite: Option<InviteId>) {
        if let Some(id) = invite {
            self.effects.push_back(Effect::GiveBack(id));
        }
    }
}

impl What {
    fn room(&self) -> &RoomName {
        match self {
            Self::Enter(entrance) => &entrance.login.room,
            Self::Check(check) => &check.room,
        }
    }
}

/// The invitation that was used in vain, should this lead to no seat.
fn invite_in(found: &Result<Found, Trouble>) -> Option<InviteId> {
    match found {
        Ok(Found::Kept {
            shown: Shown::Invite {
                id, again: false, ..
            },
            ..
        }) => Some(*id),
        _ => None,
    }
}
