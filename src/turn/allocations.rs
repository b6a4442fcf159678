//! Which client holds which relayed ports, whom it may reach through them, and until when (RFC 8656).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_EVEN_PORT, ATTR_LIFETIME, ATTR_REQUESTED_ADDRESS_FAMILY,
    ATTR_REQUESTED_TRANSPORT, ATTR_RESERVATION_TOKEN, AttrType,
};
use ::stun::error_code::{
    CODE_ADDR_FAMILY_NOT_SUPPORTED, CODE_ALLOC_MISMATCH, CODE_ALLOC_QUOTA_REACHED,
    CODE_BAD_REQUEST, CODE_FORBIDDEN, CODE_INSUFFICIENT_CAPACITY, CODE_PEER_ADDR_FAMILY_MISMATCH,
    CODE_STALE_NONCE, CODE_UNAUTHORIZED, CODE_UNKNOWN_ATTRIBUTE, CODE_UNSUPPORTED_TRANS_PROTO,
    CODE_WRONG_CREDENTIALS, ErrorCode,
};
use ::stun::message::{
    METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH,
    Setter,
};
use ::stun::uattrs::UnknownAttributes;
use ::stun::xoraddr::XorMappedAddress;
use ::turn::proto::channum::ChannelNumber;
use ::turn::proto::lifetime::Lifetime;
use ::turn::proto::relayaddr::RelayedAddress;
use ::turn::proto::reqtrans::RequestedTransport;
use ring::rand::{SecureRandom, SystemRandom};

use super::peers::{PeerPolicy, Standing};
use super::ports::{Ports, ReservationToken, SLOTS_MAX, Wanted};
use super::quotas::{Quotas, Reached, Share, Source};
use super::request::{Answering, Challenge, Raw, Request, Seal};
use super::strangers::Strangers;
use super::{
    Client, Credentials, DefaultFamily, ExternalAddresses, Family, Holder, Keys, Nonces, Settings,
    Transport, User,
};
use crate::id::SessionId;
use crate::stun::{self, CHANNEL_MAX, CHANNEL_MIN, Head, Kind, OLD_CHANNEL_MAX, TransactionId};

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
/// How many ports are tried when others on this machine hold them already.
const PORT_TRIES: u8 = 16;

/// RFC 8656 §18.2; the crates do not know it.
const ATTR_ADDITIONAL_ADDRESS_FAMILY: AttrType = AttrType(0x8000);
/// RFC 8656 §18.3; the crates do not know it.
const ATTR_ADDRESS_ERROR_CODE: AttrType = AttrType(0x8001);

/// The time, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For lifetimes.
    pub at: Instant,
    /// For credentials: seconds since 1970.
    pub unix: u64,
}

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// When this process began; nonces and rates count from here.
    pub start: Instant,
    /// What the operator set.
    pub settings: Settings,
    /// Who may allocate.
    pub credentials: Arc<Credentials>,
    /// Which relayed ports are taken.
    pub ports: Ports,
    /// How much each user and source holds.
    pub quotas: Arc<Quotas>,
    nonces: Nonces,
}

impl Shared {
    /// Nothing is allocated yet.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new(
        settings: Settings,
        credentials: Arc<Credentials>,
        external: ExternalAddresses,
        start: Instant,
    ) -> Result<Self, ring::error::Unspecified> {
        Ok(Self {
            start,
            credentials,
            ports: Ports::new(external, settings.relay_ports),
            quotas: Arc::new(Quotas::new(settings.limits)),
            nonces: Nonces::new()?,
            settings,
        })
    }
}

/// Names one relayed port of one allocation of this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RelayId {
    /// The allocation's place.
    pub slot: u32,
    /// Which of its at most two ports.
    pub family: Family,
}

/// A packet to pass on: `head`, then the bytes of the packet that came in at `payload`, then the head's padding.
#[derive(Debug, Clone)]
pub struct Forward {
    /// Where to.
    pub to: Destination,
    /// What goes before the payload.
    pub head: Head,
    /// Where the payload lies in the packet that came in.
    pub payload: Range<usize>,
    /// Whether the datagram must not be fragmented.
    pub dont_fragment: bool,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To a peer, from this relayed port.
    Peer {
        /// The port it leaves from.
        relay: RelayId,
        /// Who gets it.
        peer: SocketAddr,
    },
    /// To a client.
    Client(Client),
    /// To a client of another worker, which is asked by [`Allocations::on_handed_over`].
    Worker {
        /// The allocation there.
        holder: Holder,
        /// The relayed address that is written to.
        to: SocketAddr,
        /// The relayed address that writes.
        from: SocketAddr,
    },
}

/// Something the shell is asked to do; control requests only, packets are answered directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send this to the client.
    Send {
        /// Who gets it.
        to: Client,
        /// A whole message.
        bytes: Vec<u8>,
    },
    /// Open a socket on this port; answer with `on_port_opened` or `on_port_refused`.
    OpenPort {
        /// Its name from now on.
        relay: RelayId,
        /// The port of the external address's local side.
        port: u16,
    },
    /// Close that socket.
    ClosePort {
        /// Its name.
        relay: RelayId,
    },
}

/// Milliseconds since the start: half the size of an `Instant`, and there are many.
type Tick = u64;

struct Permission {
    ip: IpAddr,
    standing: Standing,
    until: Tick,
}

struct Channel {
    peer: SocketAddr,
    number: u16,
    until: Tick,
}

struct Allocation {
    client: Client,
    username: Box<str>,
    keys: Keys,
    share: Share,
    expires: Tick,
    /// The deadline that is kept for it; a Refresh that prolongs it needs no other.
    wakes: Tick,
    generation: u32,
    relays: [Option<u16>; 2],
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
    granted: Granted,
    opening: Option<Box<Opening>>,
}

/// What the Allocate request was answered with, to answer its repetition alike.
struct Granted {
    by: TransactionId,
    lifetime: Duration,
    token: Option<ReservationToken>,
    family_refused: Option<Family>,
}

/// An allocation whose sockets are still being opened.
struct Opening {
    fingerprint: bool,
    seal: Seal,
    wanted: Wanted,
    reserved: bool,
    then: Option<Family>,
    tries: u8,
}

/// All allocations of one worker.
pub struct Allocations {
    shared: Arc<Shared>,
    worker: u8,
    policy: PeerPolicy,
    slots: Vec<Option<Allocation>>,
    free: Vec<u32>,
    by_client: HashMap<Client, u32>,
    deadlines: BinaryHeap<Reverse<(Tick, u32, u32)>>,
    ended: VecDeque<(Tick, Client, TransactionId)>,
    generation: u32,
    effects: VecDeque<Effect>,
    strangers: Strangers,
    random: SystemRandom,
}

impl std::fmt::Debug for Allocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allocations")
            .field("live", &self.by_client.len())
            .finish_non_exhaustive()
    }
}

impl Allocations {
    /// None yet, for worker number `worker`.
    #[must_use]
    pub fn new(shared: Arc<Shared>, worker: u8) -> Self {
        let external = shared.ports.external();
        Self {
            policy: PeerPolicy::new(shared.settings.allow_peers.clone(), external.own.clone()),
            strangers: Strangers::new(shared.settings.limits.unauthenticated_answers),
            worker,
            slots: Vec::new(),
            free: Vec::new(),
            by_client: HashMap::new(),
            deadlines: BinaryHeap::new(),
            ended: VecDeque::new(),
            generation: 0,
            effects: VecDeque::new(),
            random: SystemRandom::new(),
            shared,
        }
    }

    /// A packet from a client: what to pass on, if anything. Requests are answered by effects.
    pub fn on_client_packet(&mut self, from: &Client, bytes: &[u8], now: Now) -> Option<Forward> {
        match stun::classify(bytes) {
            Kind::ChannelData => self.on_channel_data(from, bytes, now),
            Kind::Stun => {
                let message = stun::Message::read(bytes)?;
                if message.kind() == stun::SEND_INDICATION {
                    return self.on_send(from, &message, now);
                }
                self.on_request(from, &Request::read(bytes, message)?, now);
                None
            }
            Kind::Other => None,
        }
    }

    /// A datagram of `len` bytes from a peer at a relayed port.
    pub fn on_peer_packet(
        &mut self,
        relay: RelayId,
        from: SocketAddr,
        len: usize,
        now: Now,
    ) -> Option<Forward> {
        self.deliver(relay.slot, from, 0..len, now)
    }

    /// A packet of `len` bytes from a client of another worker, written to `to`, a relayed address of `slot`.
    pub fn on_handed_over(
        &mut self,
        slot: u32,
        to: SocketAddr,
        from: SocketAddr,
        len: usize,
        now: Now,
    ) -> Option<Forward> {
        // The allocation may have ended, and its slot been given away, while the packet was under way.
        self.holds(slot, to).then_some(())?;
        self.deliver(slot, from, 0..len, now)
    }

    /// A peer could not be reached: its network said so (RFC 8656 §11.5).
    pub fn on_icmp(
        &mut self,
        relay: RelayId,
        peer: SocketAddr,
        kind: u8,
        code: u8,
        data: u32,
        now: Now,
    ) {
        let tick = self.tick(now);
        let Some(allocation) = self.get(relay.slot) else {
            return;
        };
        if allocation.expires <= tick
            || allocation
                .permission(peer, tick, &self.shared.ports)
                .is_none()
        {
            return;
        }
        let client = allocation.client;
        let bytes = stun::icmp_indication(peer, kind, code, data, &self.random_bytes());
        self.effects.push_back(Effect::Send { to: client, bytes });
    }

    /// A stream has closed: what it held is given back.
    pub fn on_client_gone(&mut self, client: &Client) {
        if let Some(&slot) = self.by_client.get(client) {
            self.remove(slot);
        }
    }

    /// A session has ended: its allocations end now.
    pub fn on_revoked(&mut self, session: &SessionId) {
        let of_session =
            |allocation: &Allocation| *allocation.share.user() == User::Session(*session);
        let slots: Vec<u32> = (0..)
            .zip(&self.slots)
            .filter(|(_, allocation)| allocation.as_ref().is_some_and(of_session))
            .map(|(slot, _)| slot)
            .collect();
        for slot in slots {
            self.remove(slot);
        }
    }

    /// This machine's addresses have changed.
    pub fn on_own_addresses(&mut self, own: Vec<IpAddr>) {
        self.policy.set_own(own);
    }

    /// Whatever was due has now ended.
    pub fn on_time(&mut self, now: Now) {
        let tick = self.tick(now);
        while let Some(&Reverse((due, slot, generation))) = self.deadlines.peek() {
            if due > tick {
                break;
            }
            self.deadlines.pop();
            let Some(allocation) = self.get_mut(slot).filter(|allocation| {
                (allocation.generation, allocation.wakes) == (generation, due)
            }) else {
                continue;
            };
            let expires = allocation.expires;
            if expires <= tick {
                self.remove(slot);
            } else {
                allocation.wakes = expires;
                self.deadlines.push(Reverse((expires, slot, generation)));
            }
        }
        while self.ended.front().is_some_and(|&(until, ..)| until <= tick) {
            self.ended.pop_front();
        }
        if self.worker == 0 {
            self.shared.ports.on_time(now.at);
        }
    }

    /// When `on_time` has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let Reverse((due, ..)) = self.deadlines.peek()?;
        Some(self.shared.start + Duration::from_millis(*due))
    }

    /// The next thing to do; ask until there is none.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether this client holds an allocation.
    #[must_use]
    pub fn has(&self, client: &Client) -> bool {
        self.by_client.contains_key(client)
    }

    /// How many allocations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// How much is remembered beside the allocations.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.deadlines.len() + self.ended.len()
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

    // ---- packets ----

    fn on_channel_data(&self, from: &Client, bytes: &[u8], now: Now) -> Option<Forward> {
        let read = stun::ChannelData::read(bytes)?;
        let tick = self.tick(now);
        let (slot, allocation) = self.live(from, tick)?;
        let channel = allocation
            .channels
            .iter()
            .find(|c| c.number == read.number && c.until > tick)?;
        self.to_peer(slot, allocation, channel.peer, read.data, false, tick)
    }

    fn on_send(&self, from: &Client, message: &stun::Message<'_>, now: Now) -> Option<Forward> {
        let send = stun::Send::read(message)?;
        if !message.fingerprint_fits() {
            return None;
        }
        let tick = self.tick(now);
        let (slot, allocation) = self.live(from, tick)?;
        self.to_peer(
            slot,
            allocation,
            send.peer,
            send.data,
            send.dont_fragment,
            tick,
        )
    }

    fn to_peer(
        &self,
        slot: u32,
        allocation: &Allocation,
        peer: SocketAddr,
        payload: Range<usize>,
        dont_fragment: bool,
        tick: Tick,
    ) -> Option<Forward> {
        let ports = &self.shared.ports;
        let standing = allocation.permission(peer, tick, ports)?;
        let family = Family::of(peer.ip());
        let port = (*allocation.relays.get(family.index())?)?;
        if !allocation
            .share
            .allows(payload.len(), Duration::from_millis(tick))
        {
            return None;
        }
        if ports.is_ours(peer.ip()) {
            if let Some(holder) = ports.holder(peer) {
                let from = ports.address(family, port)?;
                if holder.worker != self.worker {
                    let to = Destination::Worker {
                        holder,
                        to: peer,
                        from,
                    };
                    return Some(Forward {
                        to,
                        head: Head::none(),
                        payload,
                        dont_fragment,
                    });
                }
                return self.deliver_at(holder.slot, from, payload, tick);
            }
            // No allocation is there any more: what listens on our own address is not for strangers.
            (standing == Standing::Lifted).then_some(())?;
        }
        let to = Destination::Peer {
            relay: RelayId { slot, family },
            peer,
        };
        Some(Forward {
            to,
            head: Head::none(),
            payload,
            dont_fragment,
        })
    }

    fn deliver(
        &self,
        slot: u32,
        from: SocketAddr,
        payload: Range<usize>,
        now: Now,
    ) -> Option<Forward> {
        self.deliver_at(slot, from, payload, self.tick(now))
    }

    fn deliver_at(
        &self,
        slot: u32,
        from: SocketAddr,
        payload: Range<usize>,
        tick: Tick,
    ) -> Option<Forward> {
        let allocation = self.get(slot)?;
        if allocation.expires <= tick || allocation.opening.is_some() {
            return None;
        }
        allocation.permission(from, tick, &self.shared.ports)?;
        if !allocation
            .share
            .allows(payload.len(), Duration::from_millis(tick))
        {
            return None;
        }
        let channel = allocation
            .channels
            .iter()
            .find(|c| c.peer == from && c.until > tick);
        let head = match channel {
            Some(channel) => Head::channel(channel.number, payload.len())?,
            // Nobody answers an indication, so its id need not be hard to guess (RFC 8489 §6).
            None => Head::data(from, payload.len(), &indication_id(tick, slot))?,
        };
        Some(Forward {
            to: Destination::Client(allocation.client),
            head,
            payload,
            dont_fragment: false,
        })
    }

    // ---- requests ----

    fn on_request(&mut self, from: &Client, request: &Request<'_>, now: Now) {
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
        let unknown = request.not_understood();
        let result = if !unknown.is_empty() {
            let attributes = UnknownAttributes(unknown);
            let answer = self.answering(request, Some(&authentic.seal));
            return self.send(from, answer.error(CODE_UNKNOWN_ATTRIBUTE, &[&attributes]));
        } else if method == METHOD_ALLOCATE {
            self.on_allocate(from, request, &authentic, now)
        } else if method == METHOD_REFRESH {
            self.on_refresh(from, request, &authentic, now)
        } else if method == METHOD_CREATE_PERMISSION {
            self.on_create_permission(from, request, &authentic, now)
        } else {
            self.on_channel_bind(from, request, &authentic, now)
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

    fn on_allocate(
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

    fn on_refresh(
        &mut self,
        from: &Client,
        request: &Request<'_>,
        authentic: &Authentic,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let tick = self.tick(now);
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
        request: &Request<'_>,
        authentic: &Authentic,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let tick = self.tick(now);
        let slot = self.held(from, authentic, tick)?;
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
        request: &Request<'_>,
        authentic: &Authentic,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let tick = self.tick(now);
        let slot = self.held(from, authentic, tick)?;
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

    // ---- allocating ----

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
        let wanted = allocation
            .opening
            .as_ref()
            .map_or(Wanted::Any, |opening| opening.wanted);
        let Some(place) = allocation.relays.get_mut(relay.family.index()) else {
            return;
        };
        let port = place.or_else(|| shared.ports.claim(relay.family, wanted, holder, random));
        *place = port;
        match port {
            Some(port) => self.effects.push_back(Effect::OpenPort { relay, port }),
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
                self.shared
                    .ports
                    .reserve(token, family, port.wrapping_add(1), now.at)
            });
            if !kept {
                return self.fail(slot, &opening, CODE_INSUFFICIENT_CAPACITY);
            }
        }
        self.answer_allocated(slot, opening.fingerprint, &opening.seal);
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

    fn next_slot(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = u32::try_from(self.slots.len())
            .ok()
            .filter(|slot| *slot < SLOTS_MAX)?;
        self.slots.push(None);
        Some(slot)
    }

    fn remove(&mut self, slot: u32) {
        let Some(allocation) = self.slots.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        self.by_client.remove(&allocation.client);
        self.free.push(slot);
        for (family, port) in [Family::V4, Family::V6].into_iter().zip(allocation.relays) {
            if let Some(port) = port {
                self.shared.ports.release(family, port);
                self.effects.push_back(Effect::ClosePort {
                    relay: RelayId { slot, family },
                });
            }
        }
    }

    /// Ends one family of a dual allocation (RFC 8656 §8.2).
    fn drop_family(&mut self, relay: RelayId) {
        let Some(allocation) = self.get_mut(relay.slot) else {
            return;
        };
        let port = allocation
            .relays
            .get_mut(relay.family.index())
            .and_then(Option::take);
        allocation
            .permissions
            .retain(|permission| Family::of(permission.ip) != relay.family);
        allocation
            .channels
            .retain(|channel| Family::of(channel.peer.ip()) != relay.family);
        if let Some(port) = port {
            self.shared.ports.release(relay.family, port);
            self.effects.push_back(Effect::ClosePort { relay });
        }
    }

    fn push_deadline(&mut self, due: Tick, slot: u32, generation: u32) {
        // Allocations that ended early leave their deadlines behind; they are swept before they outweigh the living.
        if self.deadlines.len() > 2 * self.by_client.len() + 1_024 {
            let slots = &self.slots;
            self.deadlines.retain(|Reverse((_, slot, generation))| {
                let allocation = slots.get(*slot as usize).and_then(Option::as_ref);
                allocation.is_some_and(|allocation| allocation.generation == *generation)
            });
        }
        self.deadlines.push(Reverse((due, slot, generation)));
    }

    // ---- permissions ----

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

    // ---- answering ----

    fn answering<'a>(&self, request: &Request<'_>, seal: Option<&'a Seal>) -> Answering<'a> {
        let method = request.message.typ.method;
        Answering {
            method,
            id: request.id,
            fingerprint: request.fingerprint,
            seal,
        }
    }

    fn send(&mut self, to: &Client, answer: Result<Vec<u8>, ::stun::Error>) {
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

    // ---- looking up ----

    fn get(&self, slot: u32) -> Option<&Allocation> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn get_mut(&mut self, slot: u32) -> Option<&mut Allocation> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    fn live(&self, client: &Client, tick: Tick) -> Option<(u32, &Allocation)> {
        let slot = *self.by_client.get(client)?;
        let allocation = self.get(slot)?;
        (allocation.expires > tick && allocation.opening.is_none()).then_some((slot, allocation))
    }

    /// The allocation that a request speaks of.
    fn held(&self, client: &Client, authentic: &Authentic, tick: Tick) -> Result<u32, ErrorCode> {
        let (slot, allocation) = self.live(client, tick).ok_or(CODE_ALLOC_MISMATCH)?;
        if *allocation.username != *authentic.username {
            return Err(CODE_WRONG_CREDENTIALS);
        }
        Ok(slot)
    }

    fn holds(&self, slot: u32, address: SocketAddr) -> bool {
        let family = Family::of(address.ip());
        let port = self
            .get(slot)
            .and_then(|allocation| *allocation.relays.get(family.index())?);
        port == Some(address.port()) && self.shared.ports.is_ours(address.ip())
    }

    fn was_ended_by(&self, client: &Client, id: &TransactionId, tick: Tick) -> bool {
        self.ended
            .iter()
            .any(|(until, who, by)| *until > tick && by == id && who == client)
    }

    fn since_start(&self, now: Now) -> Duration {
        now.at.saturating_duration_since(self.shared.start)
    }

    fn tick(&self, now: Now) -> Tick {
        self.since_start(now).as_millis() as Tick
    }

    fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        // The system's randomness does not fail once it has begun to work, and it has given the nonces' key.
        let filled = self.random.fill(&mut bytes);
        debug_assert!(filled.is_ok());
        bytes
    }
}

impl Drop for Allocations {
    fn drop(&mut self) {
        for slot in 0..self.slots.len() as u32 {
            self.remove(slot);
        }
    }
}

impl Allocation {
    /// On what ground packets may pass between this allocation and a peer, in either direction.
    fn permission(&self, peer: SocketAddr, tick: Tick, ports: &Ports) -> Option<Standing> {
        let held = self
            .permissions
            .iter()
            .find(|permission| permission.ip == peer.ip())?;
        let stands = held.until > tick
            && match held.standing {
                Standing::Lifted => true,
                Standing::Public => PeerPolicy::is_media_port(peer.port()),
                Standing::OurRelay => ports.holder(peer).is_some(),
            };
        stands.then_some(held.standing)
    }
}

/// A request whose sender is known.
struct Authentic {
    username: Box<str>,
    user: User,
    keys: Keys,
    seal: Seal,
}

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

fn requested_family(request: &Request<'_>) -> Result<Option<Family>, ErrorCode> {
    match request.value(ATTR_REQUESTED_ADDRESS_FAMILY) {
        None => Ok(None),
        Some([0x01, _, _, _]) => Ok(Some(Family::V4)),
        Some([0x02, _, _, _]) => Ok(Some(Family::V6)),
        Some([_, _, _, _]) => Err(CODE_ADDR_FAMILY_NOT_SUPPORTED),
        Some(_) => Err(CODE_BAD_REQUEST),
    }
}

fn granted_lifetime(asked: Option<Lifetime>) -> Duration {
    asked.map_or(LIFETIME_DEFAULT, |asked| {
        asked.0.clamp(LIFETIME_DEFAULT, LIFETIME_MAX)
    })
}

fn mapped(client: &Client) -> XorMappedAddress {
    XorMappedAddress {
        ip: client.address.ip().to_canonical(),
        port: client.address.port(),
    }
}

/// The value of ADDRESS-ERROR-CODE (RFC 8656 §18.12).
fn address_error(family: Family, code: ErrorCode) -> Vec<u8> {
    let family = if family == Family::V4 { 0x01 } else { 0x02 };
    let mut value = vec![family, 0, (code.0 / 100) as u8, (code.0 % 100) as u8];
    value.extend_from_slice(b"Address Family not Supported");
    value
}

fn indication_id(tick: Tick, slot: u32) -> TransactionId {
    let mut id = [0; 12];
    for (to, from) in id
        .iter_mut()
        .zip(tick.to_be_bytes().into_iter().chain(slot.to_be_bytes()))
    {
        *to = from;
    }
    id
}
