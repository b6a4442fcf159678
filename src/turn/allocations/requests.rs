//! Requests: who asks, and what is answered; Allocate stands in `allocate`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ::stun::attributes::{ATTR_CHANNEL_NUMBER, ATTR_LIFETIME, ATTR_REQUESTED_ADDRESS_FAMILY};
use ::stun::error_code::{
    CODE_ADDR_FAMILY_NOT_SUPPORTED, CODE_ALLOC_MISMATCH, CODE_BAD_REQUEST, CODE_FORBIDDEN,
    CODE_INSUFFICIENT_CAPACITY, CODE_PEER_ADDR_FAMILY_MISMATCH, CODE_STALE_NONCE,
    CODE_UNAUTHORIZED, CODE_UNKNOWN_ATTRIBUTE, CODE_WRONG_CREDENTIALS, ErrorCode,
};
use ::stun::message::{
    METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH,
};
use ::stun::uattrs::UnknownAttributes;
use ::turn::proto::channum::ChannelNumber;
use ::turn::proto::lifetime::Lifetime;

use super::{Allocations, Channel, Effect, Now, Permission, RelayId, Tick, mapped};
use crate::stun::{CHANNEL_MAX, CHANNEL_MIN, OLD_CHANNEL_MAX, TransactionId};
use crate::turn::peers::{PeerPolicy, Standing};
use crate::turn::quotas::Source;
use crate::turn::request::{Answering, Challenge, Request, Seal};
use crate::turn::{Client, Family, Keys, Transport, User};

/// What an allocation gets that asks for nothing, and the least that any gets (RFC 8656 §3.2).
const LIFETIME_DEFAULT: Duration = Duration::from_secs(600);
/// The most an allocation gets at once (RFC 8656 §7.2 recommends an hour).
const LIFETIME_MAX: Duration = Duration::from_secs(3600);
/// Granted to an address, whatever its port (RFC 8656 §9).
const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// How long a channel stays bound (RFC 8656 §12).
const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// For how long a client may repeat a request (RFC 8489 §6.2.1: 39.5 s).
const RETRANSMISSION: Duration = Duration::from_secs(40);
/// How many ended allocations are remembered for a repeated Refresh.
const ENDED_MAX: usize = 1_024;

/// A request whose sender is known.
pub(super) struct Authentic {
    pub(super) username: Box<str>,
    pub(super) user: User,
    pub(super) keys: Keys,
    pub(super) seal: Seal,
}

impl Allocations {
    pub(super) fn on_request(&mut self, from: &Client, request: &Request<'_>, now: Now) {
        let method = request.message.typ.method;
        if method == METHOD_BINDING {
            return self.on_binding(from, request, now);
        }
        if ![
            METHOD_ALLOCATE,
            METHOD_REFRESH,
            METHOD_CREATE_PERMISSION,
            METHOD_CHANNEL_BIND,
        ]
        .contains(&method)
        {
            return;
        }
        let authentic = match self.authenticate(from, request, method == METHOD_ALLOCATE, now) {
            Ok(authentic) => authentic,
            Err(code) => return self.refuse_stranger(from, request, code, now),
        };
        let tick = self.tick(now);
        let unknown = request.not_understood();
        let result = if !unknown.is_empty() {
            let attributes = UnknownAttributes(unknown);
            let answer = self.answering(request, Some(&authentic.seal));
            return self.send(from, answer.error(CODE_UNKNOWN_ATTRIBUTE, &[&attributes]));
        } else if method == METHOD_ALLOCATE {
            self.on_allocate(from, request, &authentic, now)
        } else if method == METHOD_REFRESH {
            self.on_refresh(from, request, &authentic, tick)
        } else {
            self.held(from, &authentic, tick).and_then(|slot| {
                if method == METHOD_CREATE_PERMISSION {
                    self.on_create_permission(from, slot, request, &authentic, tick)
                } else {
                    self.on_channel_bind(from, slot, request, &authentic, tick)
                }
            })
        };
        if let Err(code) = result {
            let answer = self
                .answering(request, Some(&authentic.seal))
                .error(code, &[]);
            self.send(from, answer);
        }
    }

    fn on_binding(&mut self, from: &Client, request: &Request<'_>, now: Now) {
        let unknown = request.not_understood();
        let answering = self.answering(request, None);
        let answer = if unknown.is_empty() {
            answering.success(&[&mapped(from)])
        } else {
            answering.error(CODE_UNKNOWN_ATTRIBUTE, &[&UnknownAttributes(unknown)])
        };
        self.send_to_stranger(from, request, answer, now);
    }

    fn authenticate(
        &self,
        from: &Client,
        request: &Request<'_>,
        for_allocate: bool,
        now: Now,
    ) -> Result<Authentic, ErrorCode> {
        let Some(claim) = request.claim()? else {
            return Err(CODE_UNAUTHORIZED);
        };
        if !self
            .shared
            .nonces
            .holds(claim.nonce, from.address, self.since_start(now))
        {
            return Err(CODE_STALE_NONCE);
        }
        let held = self.by_client.get(from).and_then(|&slot| self.get(slot));
        let (keys, user) = match held {
            Some(allocation) if *allocation.username == *claim.username => {
                (allocation.keys.clone(), allocation.share.user().clone())
            }
            _ => {
                let login = self
                    .shared
                    .credentials
                    .lookup(claim.username, now.unix, for_allocate);
                let login = login.map_err(|_| CODE_UNAUTHORIZED)?;
                (login.keys, login.user)
            }
        };
        let seal = request.verify(&claim, &keys).ok_or(CODE_UNAUTHORIZED)?;
        Ok(Authentic {
            username: claim.username.into(),
            user,
            keys,
            seal,
        })
    }

    fn on_refresh(
        &mut self,
        from: &Client,
        request: &Request<'_>,
        authentic: &Authentic,
        tick: Tick,
    ) -> Result<(), ErrorCode> {
        let asked = request.get::<Lifetime>(ATTR_LIFETIME)?;
        let ends = asked.as_ref().is_some_and(|lifetime| lifetime.0.is_zero());
        let family = requested_family(request)?;
        let slot = match self.held(from, authentic, tick) {
            Ok(slot) => slot,
            Err(CODE_ALLOC_MISMATCH) if ends && self.was_ended_by(from, &request.id, tick) => {
                let answer = self.answering(request, Some(&authentic.seal));
                self.send(from, answer.success(&[&Lifetime(Duration::ZERO)]));
                return Ok(());
            }
            Err(code) => return Err(code),
        };
        let allocation = self.get_mut(slot).ok_or(CODE_ALLOC_MISMATCH)?;
        let holds = |family: Family| {
            allocation
                .relays
                .get(family.index())
                .is_some_and(Option::is_some)
        };
        if family.is_some_and(|family| !holds(family)) {
            return Err(CODE_PEER_ADDR_FAMILY_MISMATCH);
        }
        let granted = if ends {
            Duration::ZERO
        } else {
            granted_lifetime(asked)
        };
        let both = holds(Family::V4) && holds(Family::V6);
        match family {
            Some(family) if ends && both => self.drop_family(RelayId { slot, family }),
            _ if ends => {
                self.remove(slot);
                if self.ended.len() >= ENDED_MAX {
                    self.ended.pop_front();
                }
                self.ended.push_back((
                    tick + RETRANSMISSION.as_millis() as Tick,
                    *from,
                    request.id,
                ));
            }
            _ => {
                let expires = tick + granted.as_millis() as Tick;
                allocation.expires = expires;
                // Shorter than before: the deadline kept for it would come too late.
                if expires < allocation.wakes {
                    allocation.wakes = expires;
                    let generation = allocation.generation;
                    self.push_deadline(expires, slot, generation);
                }
            }
        }
        let answer = self
            .answering(request, Some(&authentic.seal))
            .success(&[&Lifetime(granted)]);
        self.send(from, answer);
        Ok(())
    }

    fn on_create_permission(
        &mut self,
        from: &Client,
        slot: u32,
        request: &Request<'_>,
        authentic: &Authentic,
        tick: Tick,
    ) -> Result<(), ErrorCode> {
        let peers = request.peers()?;
        if peers.is_empty() {
            return Err(CODE_BAD_REQUEST);
        }
        // All of them or none (RFC 8656 §10.2).
        let mut granted = Vec::with_capacity(peers.len());
        for peer in peers {
            granted.push((peer.ip(), self.standing(slot, peer)?));
        }
        self.permit(slot, &granted, tick)?;
        self.send(
            from,
            self.answering(request, Some(&authentic.seal)).success(&[]),
        );
        Ok(())
    }

    fn on_channel_bind(
        &mut self,
        from: &Client,
        slot: u32,
        request: &Request<'_>,
        authentic: &Authentic,
        tick: Tick,
    ) -> Result<(), ErrorCode> {
        let number = request
            .get::<ChannelNumber>(ATTR_CHANNEL_NUMBER)?
            .ok_or(CODE_BAD_REQUEST)?
            .0;
        let peer = *request.peers()?.first().ok_or(CODE_BAD_REQUEST)?;
        // The numbers above were taken back so that packets can be told apart by their first byte (RFC 7983). A client
        // that marks its messages with FINGERPRINT tells them apart by that; some of RFC 5766's time, coturn's own
        // among them, do so and bind any number that was allowed then.
        let max = if request.fingerprint {
            OLD_CHANNEL_MAX
        } else {
            CHANNEL_MAX
        };
        if !(CHANNEL_MIN..=max).contains(&number) {
            return Err(CODE_BAD_REQUEST);
        }
        let channels_max = usize::from(self.shared.settings.limits.channels_per_allocation);
        let allocation = self.get(slot).ok_or(CODE_ALLOC_MISMATCH)?;
        let bound = allocation.channels.iter().filter(|c| c.until > tick);
        // A channel belongs to one peer, and a peer to one channel (RFC 8656 §12.2).
        if bound
            .clone()
            .any(|c| (c.number == number) != (c.peer == peer))
        {
            return Err(CODE_BAD_REQUEST);
        }
        let is_new = bound.clone().all(|c| c.number != number);
        if is_new && bound.count() >= channels_max {
            return Err(CODE_INSUFFICIENT_CAPACITY);
        }
        let standing = self.standing(slot, peer)?;
        self.permit(slot, &[(peer.ip(), standing)], tick)?;
        let until = tick + CHANNEL_LIFETIME.as_millis() as Tick;
        if let Some(allocation) = self.get_mut(slot) {
            allocation
                .channels
                .retain(|c| c.until > tick && c.number != number);
            allocation.channels.push(Channel {
                peer,
                number,
                until,
            });
        }
        self.send(
            from,
            self.answering(request, Some(&authentic.seal)).success(&[]),
        );
        Ok(())
    }

    /// Whether this peer may have a permission, and on what ground.
    fn standing(&self, slot: u32, peer: SocketAddr) -> Result<Standing, ErrorCode> {
        let allocation = self.get(slot).ok_or(CODE_ALLOC_MISMATCH)?;
        let relay = allocation.relays.get(Family::of(peer.ip()).index());
        if relay.is_none_or(Option::is_none) {
            return Err(CODE_PEER_ADDR_FAMILY_MISMATCH);
        }
        match self.policy.standing(peer.ip()) {
            // A permission is for an address, so clients may leave the port out.
            Some(Standing::Public)
                if peer.port() != 0 && !PeerPolicy::is_media_port(peer.port()) =>
            {
                Err(CODE_FORBIDDEN)
            }
            Some(standing) => Ok(standing),
            None if self.shared.ports.holder(peer).is_some() => Ok(Standing::OurRelay),
            None => Err(CODE_FORBIDDEN),
        }
    }

    fn permit(
        &mut self,
        slot: u32,
        peers: &[(IpAddr, Standing)],
        tick: Tick,
    ) -> Result<(), ErrorCode> {
        let max = usize::from(self.shared.settings.limits.permissions_per_allocation);
        let until = tick + PERMISSION_LIFETIME.as_millis() as Tick;
        let allocation = self.get_mut(slot).ok_or(CODE_ALLOC_MISMATCH)?;
        allocation
            .permissions
            .retain(|permission| permission.until > tick);
        let mut fresh: Vec<IpAddr> = Vec::new();
        for (ip, _) in peers {
            if !fresh.contains(ip) && allocation.permissions.iter().all(|held| held.ip != *ip) {
                fresh.push(*ip);
            }
        }
        if allocation.permissions.len() + fresh.len() > max {
            return Err(CODE_INSUFFICIENT_CAPACITY);
        }
        for &(ip, standing) in peers {
            match allocation
                .permissions
                .iter_mut()
                .find(|permission| permission.ip == ip)
            {
                Some(held) => (held.until, held.standing) = (until, standing),
                None => allocation.permissions.push(Permission {
                    ip,
                    standing,
                    until,
                }),
            }
        }
        Ok(())
    }

    fn answering<'a>(&self, request: &Request<'_>, seal: Option<&'a Seal>) -> Answering<'a> {
        let method = request.message.typ.method;
        Answering {
            method,
            id: request.id,
            fingerprint: request.fingerprint,
            seal,
        }
    }

    pub(super) fn send(&mut self, to: &Client, answer: Result<Vec<u8>, ::stun::Error>) {
        // The crates refuse only what is longer than an attribute can be, and we write nothing of the kind.
        if let Ok(bytes) = answer {
            self.effects.push_back(Effect::Send { to: *to, bytes });
        }
    }

    fn refuse_stranger(&mut self, to: &Client, request: &Request<'_>, code: ErrorCode, now: Now) {
        let answering = self.answering(request, None);
        let answer = if code == CODE_BAD_REQUEST {
            answering.error(code, &[])
        } else {
            let nonce = self.shared.nonces.make(to.address, self.since_start(now));
            let realm = self.shared.credentials.realm();
            answering.error(
                code,
                &[&Challenge {
                    realm,
                    nonce: &nonce,
                }],
            )
        };
        self.send_to_stranger(to, request, answer, now);
    }

    /// Sends an answer that nobody has proven to have asked for. Over UDP the asker's address may be forged, so beyond
    /// a rate it must not be worth forging.
    fn send_to_stranger(
        &mut self,
        to: &Client,
        request: &Request<'_>,
        answer: Result<Vec<u8>, ::stun::Error>,
        now: Now,
    ) {
        let since_start = self.since_start(now);
        let Ok(bytes) = &answer else { return };
        let is_small = bytes.len() * 2 <= request.len() * 3;
        // What is not worth forging is not counted either, so many Bindings do not keep others from their challenges.
        if to.transport == Transport::Udp
            && !is_small
            && !self
                .strangers
                .may_answer(Source::of(to.address.ip()), since_start)
        {
            return;
        }
        self.send(to, answer);
    }

    /// The allocation that a request speaks of.
    fn held(&self, client: &Client, authentic: &Authentic, tick: Tick) -> Result<u32, ErrorCode> {
        let (slot, allocation) = self.live(client, tick).ok_or(CODE_ALLOC_MISMATCH)?;
        if *allocation.username != *authentic.username {
            return Err(CODE_WRONG_CREDENTIALS);
        }
        Ok(slot)
    }

    fn was_ended_by(&self, client: &Client, id: &TransactionId, tick: Tick) -> bool {
        self.ended
            .iter()
            .any(|(until, who, by)| *until > tick && by == id && who == client)
    }
}

pub(super) fn requested_family(request: &Request<'_>) -> Result<Option<Family>, ErrorCode> {
    match request.value(ATTR_REQUESTED_ADDRESS_FAMILY) {
        None => Ok(None),
        Some([0x01, _, _, _]) => Ok(Some(Family::V4)),
        Some([0x02, _, _, _]) => Ok(Some(Family::V6)),
        Some([_, _, _, _]) => Err(CODE_ADDR_FAMILY_NOT_SUPPORTED),
        Some(_) => Err(CODE_BAD_REQUEST),
    }
}

pub(super) fn granted_lifetime(asked: Option<Lifetime>) -> Duration {
    asked.map_or(LIFETIME_DEFAULT, |asked| {
        asked.0.clamp(LIFETIME_DEFAULT, LIFETIME_MAX)
    })
}
