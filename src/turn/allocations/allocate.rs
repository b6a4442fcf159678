//! Allocate: which relayed address is asked for, and the steps until its sockets are open.

use std::sync::Arc;

use ::stun::attributes::{
    ATTR_EVEN_PORT, ATTR_LIFETIME, ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_REQUESTED_TRANSPORT,
    ATTR_RESERVATION_TOKEN, AttrType,
};
use ::stun::error_code::{
    CODE_ADDR_FAMILY_NOT_SUPPORTED, CODE_ALLOC_MISMATCH, CODE_ALLOC_QUOTA_REACHED,
    CODE_BAD_REQUEST, CODE_INSUFFICIENT_CAPACITY, CODE_UNSUPPORTED_TRANS_PROTO, ErrorCode,
};
use ::stun::message::{METHOD_ALLOCATE, Setter};
use ::turn::proto::lifetime::Lifetime;
use ::turn::proto::relayaddr::RelayedAddress;
use ::turn::proto::reqtrans::RequestedTransport;

use super::requests::{Authentic, granted_lifetime, requested_family};
use super::{Allocation, Allocations, Effect, Granted, Now, Open, Opening, RelayId, Tick, mapped};
use crate::turn::ports::{RESERVATION_LIFETIME, RESERVATIONS_MAX, ReservationToken, Wanted};
use crate::turn::quotas::Reached;
use crate::turn::request::{Answering, Raw, Request, Seal};
use crate::turn::{Client, DefaultFamily, Family, Holder};

/// How many ports are tried when others on this machine hold them already.
const PORT_TRIES: u8 = 16;

/// RFC 8656 §18.2; the crates do not know it.
const ATTR_ADDITIONAL_ADDRESS_FAMILY: AttrType = AttrType(0x8000);
/// RFC 8656 §18.3; the crates do not know it.
const ATTR_ADDRESS_ERROR_CODE: AttrType = AttrType(0x8001);

/// Which relayed address is asked for.
enum Asked {
    Reserved(Vec<u8>),
    Fresh {
        family: Option<Family>,
        both: bool,
        wanted: Wanted,
    },
}

impl Asked {
    /// In the order of RFC 8656 §7.2.
    fn read(request: &Request<'_>) -> Result<Self, ErrorCode> {
        let even = request.value(ATTR_EVEN_PORT);
        let family = request.has(ATTR_REQUESTED_ADDRESS_FAMILY);
        let additional = request.value(ATTR_ADDITIONAL_ADDRESS_FAMILY);
        if let Some(token) = request.value(ATTR_RESERVATION_TOKEN) {
            if even.is_some() || family || additional.is_some() || token.len() != 8 {
                return Err(CODE_BAD_REQUEST);
            }
            return Ok(Self::Reserved(token.to_vec()));
        }
        if family && additional.is_some() {
            return Err(CODE_BAD_REQUEST);
        }
        let family = requested_family(request)?;
        match additional {
            None | Some([0x02, _, _, _]) => {}
            Some(_) => return Err(CODE_BAD_REQUEST),
        }
        let wanted = match even {
            None => Wanted::Any,
            Some([first]) if first & 0x80 != 0 => Wanted::EvenWithNext,
            Some([_]) => Wanted::Even,
            Some(_) => return Err(CODE_BAD_REQUEST),
        };
        if additional.is_some() && wanted == Wanted::EvenWithNext {
            return Err(CODE_BAD_REQUEST);
        }
        Ok(Self::Fresh {
            family,
            both: additional.is_some(),
            wanted,
        })
    }
}

impl Allocations {
    pub(super) fn on_allocate(
        &mut self,
        from: &Client,
        request: &Request<'_>,
        authentic: &Authentic,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let tick = self.tick(now);
        if let Some(&slot) = self.by_client.get(from) {
            match self.get(slot) {
                Some(held) if held.expires <= tick => self.remove(slot),
                Some(held)
                    if held.granted.by == request.id && *held.username == *authentic.username =>
                {
                    if held.opening.is_none() {
                        self.answer_allocated(slot, request.fingerprint, &authentic.seal);
                    }
                    return Ok(());
                }
                _ => return Err(CODE_ALLOC_MISMATCH),
            }
        }
        let transport = request.get::<RequestedTransport>(ATTR_REQUESTED_TRANSPORT)?;
        if transport.ok_or(CODE_BAD_REQUEST)?.protocol != ::turn::proto::PROTO_UDP {
            return Err(CODE_UNSUPPORTED_TRANS_PROTO);
        }
        let lifetime = granted_lifetime(request.get::<Lifetime>(ATTR_LIFETIME)?);
        let asked = Asked::read(request)?;
        let share = self
            .shared
            .quotas
            .take(&authentic.user, from.address.ip())
            .map_err(|reached| match reached {
                Reached::User | Reached::Source => CODE_ALLOC_QUOTA_REACHED,
                // Nothing that this user gives back would help (RFC 8656 §19).
                Reached::All => CODE_INSUFFICIENT_CAPACITY,
            })?;
        let slot = self.next_slot().ok_or(CODE_INSUFFICIENT_CAPACITY)?;
        let holder = Holder {
            worker: self.worker,
            slot,
        };
        let mut relays = [None; 2];
        let (family, then, wanted) = match &asked {
            Asked::Reserved(token) => {
                let Some((family, port)) = self.shared.ports.redeem(token, holder, now.at) else {
                    self.free.push(slot);
                    return Err(CODE_INSUFFICIENT_CAPACITY);
                };
                if let Some(relay) = relays.get_mut(family.index()) {
                    *relay = Some(port);
                }
                (family, None, Wanted::Any)
            }
            Asked::Fresh {
                family,
                both,
                wanted,
            } => {
                let external = self.shared.ports.external();
                let family = family.unwrap_or_else(|| self.default_family(from, *both));
                if external.of(family).is_none() {
                    self.free.push(slot);
                    return Err(CODE_ADDR_FAMILY_NOT_SUPPORTED);
                }
                (
                    family,
                    both.then_some(Family::V6)
                        .filter(|second| *second != family),
                    *wanted,
                )
            }
        };
        let family_refused =
            then.filter(|second| self.shared.ports.external().of(*second).is_none());
        let mut token = None;
        if wanted == Wanted::EvenWithNext {
            token = Some(self.random_bytes());
        }
        self.generation = self.generation.wrapping_add(1);
        let expires = tick + lifetime.as_millis() as Tick;
        let allocation = Allocation {
            client: *from,
            username: authentic.username.clone(),
            keys: authentic.keys.clone(),
            share,
            expires,
            wakes: expires,
            generation: self.generation,
            relays,
            permissions: Vec::new(),
            channels: Vec::new(),
            granted: Granted {
                by: request.id,
                lifetime,
                token,
                family_refused,
            },
            opening: Some(Box::new(Opening {
                fingerprint: request.fingerprint,
                seal: authentic.seal.clone(),
                wanted,
                reserved: matches!(asked, Asked::Reserved(_)),
                then: then.filter(|_| family_refused.is_none()),
                tries: 0,
            })),
        };
        self.by_client.insert(*from, slot);
        self.push_deadline(expires, slot, allocation.generation);
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(allocation);
        }
        self.open(RelayId { slot, family }, now);
        Ok(())
    }

    /// The socket that was asked for is open.
    pub fn on_port_opened(&mut self, relay: RelayId, now: Now) {
        let Some(allocation) = self.get_mut(relay.slot) else {
            return;
        };
        match allocation
            .opening
            .as_mut()
            .map(|opening| opening.then.take())
        {
            Some(Some(next)) => {
                if let Some(opening) = allocation.opening.as_mut() {
                    opening.tries = 0;
                }
                self.open(
                    RelayId {
                        slot: relay.slot,
                        family: next,
                    },
                    now,
                );
            }
            Some(None) => self.opened(relay.slot, now),
            None => {}
        }
    }

    /// The port that was asked for is not to be had.
    pub fn on_port_refused(&mut self, relay: RelayId, now: Now) {
        let Some(allocation) = self.get_mut(relay.slot) else {
            return;
        };
        let port = allocation
            .relays
            .get_mut(relay.family.index())
            .and_then(Option::take);
        let Some(opening) = allocation.opening.as_mut() else {
            return;
        };
        opening.tries += 1;
        let again = !opening.reserved && opening.tries < PORT_TRIES;
        let pair = opening.wanted == Wanted::EvenWithNext;
        if let Some(port) = port {
            self.shared.ports.release(relay.family, port);
            if pair {
                self.shared
                    .ports
                    .release(relay.family, port.wrapping_add(1));
            }
        }
        if again {
            self.open(relay, now);
        } else {
            self.not_opened(relay, now);
        }
    }

    fn default_family(&self, from: &Client, both: bool) -> Family {
        let external = self.shared.ports.external();
        let client = Family::of(from.address.ip().to_canonical());
        let like_client = self.shared.settings.default_family == DefaultFamily::LikeClient
            && external.of(client).is_some();
        if like_client && !both {
            client
        } else if external.v4.is_some() || external.v6.is_none() || both {
            Family::V4
        } else {
            Family::V6
        }
    }

    /// Claims a port unless there is one already, and asks for its socket.
    fn open(&mut self, relay: RelayId, now: Now) {
        let holder = Holder {
            worker: self.worker,
            slot: relay.slot,
        };
        let random = u32::from_ne_bytes(self.random_bytes());
        let shared = Arc::clone(&self.shared);
        let Some(allocation) = self.get_mut(relay.slot) else {
            return;
        };
        let (wanted, reserved) = allocation
            .opening
            .as_ref()
            .map_or((Wanted::Any, false), |opening| {
                (opening.wanted, opening.reserved)
            });
        let open = match wanted {
            _ if reserved => Open::Reserved,
            Wanted::EvenWithNext => Open::WithNext,
            Wanted::Any | Wanted::Even => Open::Alone,
        };
        let Some(place) = allocation.relays.get_mut(relay.family.index()) else {
            return;
        };
        let port = place.or_else(|| shared.ports.claim(relay.family, wanted, holder, random));
        *place = port;
        match port {
            Some(port) => {
                let open = Effect::OpenPort { relay, port, open };
                self.effects.push_back(open);
            }
            None => self.not_opened(relay, now),
        }
    }

    /// The last socket is open: the client is told.
    fn opened(&mut self, slot: u32, now: Now) {
        let Some(allocation) = self.get_mut(slot) else {
            return;
        };
        let Some(opening) = allocation.opening.take() else {
            return;
        };
        let relays = allocation.relays;
        if let Some(token) = allocation.granted.token {
            let even = [Family::V4, Family::V6]
                .into_iter()
                .zip(relays)
                .find_map(|(family, port)| Some((family, port?)));
            let kept = even.is_some_and(|(family, port)| {
                self.reserve(token, family, port.wrapping_add(1), now)
            });
            if !kept {
                return self.fail(slot, &opening, CODE_INSUFFICIENT_CAPACITY);
            }
        }
        self.answer_allocated(slot, opening.fingerprint, &opening.seal);
    }

    /// Keeps a port, whose socket waits, for whoever brings the token; gives it back when too many wait already.
    fn reserve(&mut self, token: ReservationToken, family: Family, port: u16, now: Now) -> bool {
        let until = now.at + RESERVATION_LIFETIME;
        let ports = &self.shared.ports;
        if !ports.reserve(token, family, port, until) {
            ports.release(family, port);
            let close = Effect::CloseReserved { family, port };
            self.effects.push_back(close);
            return false;
        }
        // Those that were taken leave their ends behind; they are swept before they outweigh the waiting.
        if self.reserved.len() >= 2 * RESERVATIONS_MAX {
            self.reserved.retain(|(_, token)| ports.is_waiting(token));
        }
        let ends = self.tick(now) + RESERVATION_LIFETIME.as_millis() as Tick;
        self.reserved.push_back((ends, token));
        true
    }

    /// No port was to be had for this family.
    fn not_opened(&mut self, relay: RelayId, now: Now) {
        let Some(allocation) = self.get_mut(relay.slot) else {
            return;
        };
        let has_other = allocation.relays.iter().any(Option::is_some);
        if has_other {
            // The first family stands; the second is reported as missing (RFC 8656 §7.2).
            allocation.granted.family_refused = Some(relay.family);
            return self.opened(relay.slot, now);
        }
        if let Some(opening) = allocation.opening.take() {
            self.fail(relay.slot, &opening, CODE_INSUFFICIENT_CAPACITY);
        }
    }

    fn fail(&mut self, slot: u32, opening: &Opening, code: ErrorCode) {
        let Some(allocation) = self.get(slot) else {
            return;
        };
        let client = allocation.client;
        let answering = Answering {
            method: METHOD_ALLOCATE,
            id: allocation.granted.by,
            fingerprint: opening.fingerprint,
            seal: Some(&opening.seal),
        };
        let answer = answering.error(code, &[]);
        self.send(&client, answer);
        self.remove(slot);
    }

    fn answer_allocated(&mut self, slot: u32, fingerprint: bool, seal: &Seal) {
        let Some(allocation) = self.get(slot) else {
            return;
        };
        let client = allocation.client;
        let granted = &allocation.granted;
        let lifetime = Lifetime(granted.lifetime);
        let mapped = mapped(&client);
        let relayed: Vec<RelayedAddress> = [Family::V4, Family::V6]
            .into_iter()
            .zip(allocation.relays)
            .filter_map(|(family, port)| self.shared.ports.address(family, port?))
            .map(|address| RelayedAddress {
                ip: address.ip(),
                port: address.port(),
            })
            .collect();
        let mut attributes: Vec<&dyn Setter> = Vec::new();
        for address in &relayed {
            attributes.push(address);
        }
        attributes.push(&lifetime);
        attributes.push(&mapped);
        let token = granted
            .token
            .as_ref()
            .map(|token| Raw(ATTR_RESERVATION_TOKEN, token));
        if let Some(token) = &token {
            attributes.push(token);
        }
        let refused = granted
            .family_refused
            .map(|family| address_error(family, CODE_ADDR_FAMILY_NOT_SUPPORTED));
        let refused = refused
            .as_ref()
            .map(|value| Raw(ATTR_ADDRESS_ERROR_CODE, value));
        if let Some(refused) = &refused {
            attributes.push(refused);
        }
        let answering = Answering {
            method: METHOD_ALLOCATE,
            id: granted.by,
            fingerprint,
            seal: Some(seal),
        };
        let answer = answering.success(&attributes);
        self.send(&client, answer);
    }
}

/// The value of ADDRESS-ERROR-CODE (RFC 8656 §18.12).
fn address_error(family: Family, code: ErrorCode) -> Vec<u8> {
    let family = if family == Family::V4 { 0x01 } else { 0x02 };
    let mut value = vec![family, 0, (code.0 / 100) as u8, (code.0 % 100) as u8];
    value.extend_from_slice(b"Address Family not Supported");
    value
}
