//! Someone asks for a seat.

use super::door::Pass;
use super::{
    Effect, Invitation, Moment, News, Peer, Presence, Room, Rooms, Seat, Want, Wish, resume, status,
};
use crate::id::{DisplayName, InviteId, PeerId, SessionId};
use crate::message::{ErrorType, Login, Newcomer, Refusal, Role, Status, ToPeer};
use crate::token;

/// Said to whoever talks before sitting down.
pub(super) const NOT_SEATED: Refusal = Refusal::new(ErrorType::Unauthorized, "Join a room first.");

/// Someone on the way in.
pub(super) struct Entrance {
    pub(super) login: Login,
    /// The seat from before a restart that the person wants back.
    pub(super) back: Option<resume::Token>,
    /// The invitation shown is one that the person has used before.
    pub(super) again: Option<Again>,
}

/// Someone who came by an invitation before.
#[derive(Clone, Copy)]
pub(super) struct Again {
    pub(super) invite: InviteId,
    /// As whom: so a use is one seat at a time, and whoever was banned stays it.
    pub(super) session: SessionId,
}

impl Entrance {
    /// Whom the person was before, if that matters at the door.
    pub(super) fn was(&self) -> Option<SessionId> {
        let back = self.back.map(|token| token.session);
        back.or(self.again.map(|again| again.session))
    }

    /// What the store is to look for. Whoever shows a token or had a seat needs nothing else; who has an
    /// invitation needs no password. On the way back an invitation is not used, but one used before says as what the
    /// person sat there.
    pub(super) fn wish(&self) -> Wish {
        let is_stranger = self.login.token.is_none() && self.back.is_none();
        let invite = match self.again {
            Some(again) => Some(Invitation::Used(again.invite)),
            None => self
                .login
                .invite
                .clone()
                .filter(|_| is_stranger)
                .map(Invitation::Secret),
        };
        let tries = is_stranger && invite.is_none();
        Wish {
            room: self.login.room.clone(),
            password: self.login.password.clone().filter(|_| tries),
            invite,
        }
    }
}

impl Rooms {
    pub(super) fn login(&mut self, peer: PeerId, login: Login, now: Moment) {
        let Some(asking) = self.peers.get(&peer) else {
            return;
        };
        let session = asking.session;
        let waits_here = matches!(&asking.wants, Want::Entry(room) if *room == login.room);
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
        let entrance = self.entrance(login, None, now);
        self.enter(peer, entrance, now);
    }

    pub(super) fn entrance(
        &self,
        login: Login,
        back: Option<resume::Token>,
        now: Moment,
    ) -> Entrance {
        // What is none of this is taken for the secret of a link, which the store will not find.
        let shown = login.invite.as_deref().filter(|_| login.token.is_none());
        let again = shown
            .and_then(|shown| self.cards.read(shown, now.unix_ms).ok())
            .filter(|claims| claims.kind == token::Kind::Return)
            .and_then(|claims| {
                Some(Again {
                    invite: claims.inv?,
                    session: claims.sid?,
                })
            })
            // It goes with its own session alone.
            .filter(|again| back.is_none_or(|token| token.session == again.session));
        Entrance { login, back, again }
    }

    /// Gives a seat to someone for whom the door is open.
    pub(super) fn sit_down_anew(
        &mut self,
        peer: PeerId,
        entrance: Entrance,
        pass: Pass,
        now: Moment,
    ) {
        let Entrance { login, back, again } = entrance;
        let Some(session) = self.peers.get(&peer).map(|peer| peer.session) else {
            return;
        };
        // An old seat is given up only now that the new one is certain.
        let (session, generations) = match (back, again) {
            (None, None) => {
                self.end_seat(session);
                (session, resume::Generations::first())
            }
            (None, Some(again)) => {
                self.take_session(peer, again.session);
                (again.session, resume::Generations::first())
            }
            // The same id, so that connections between people, which know each other by it, simply go on.
            (Some(token), _) => {
                self.move_session(peer, token.session);
                (token.session, token.generations())
            }
        };
        let name = self.name_on_token(&login, now);
        let login = Login {
            name: name.unwrap_or_else(|| login.name.clone()),
            ..login
        };
        let (seq, has_returned) = (login.seq, back.is_some());
        self.sit_down(peer, session, login, generations, pass, now);
        if has_returned {
            self.catch_up(peer, session, resume::Missed::default(), seq, now);
        }
    }

    /// What a room token says its bearer is called.
    fn name_on_token(&self, login: &Login, now: Moment) -> Option<DisplayName> {
        let token = login.token.as_ref()?;
        self.cards.read(token, now.unix_ms).ok()?.name
    }

    /// Gives `session` a new seat at the end of the table, for what was shown at the door. That there is a seat left is
    /// seen to before.
    pub(super) fn sit_down(
        &mut self,
        peer: PeerId,
        session: SessionId,
        login: Login,
        resume: resume::Generations,
        pass: Pass,
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
            .or_insert_with(|| Room::ad_hoc(login.room.clone(), capacity));
        let name = free_name(login.name, &room.seats);
        let role = match pass.role() {
            // A room that nobody was made host of has its first person.
            _ if room.seats.is_empty() && room.id().is_none() => Role::Host,
            Some(role) => role,
            None => Role::Guest,
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
            invite: pass.invite(),
            source,
            status: page.then(Status::default),
            muting: status::Muting::default(),
            chat_from: room.chat.newest(),
            read: 0,
            held: None,
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
            && let Some(seating) = room.seating(session, &self.tokens, &self.cards, now)
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
