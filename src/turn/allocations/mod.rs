//! Which client holds which relayed ports, whom it may reach through them, and until when (RFC 8656).
//!
//! Here is what is kept and how it ends; how a packet passes stands in `packets`, what a request does in `requests` and
//! `allocate`.

mod allocate;
mod packets;
mod requests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::stun::xoraddr::XorMappedAddress;
use ring::rand::{SecureRandom, SystemRandom};

use super::peers::{PeerPolicy, Standing};
use super::ports::{Ports, ReservationToken, SLOTS_MAX, Wanted};
use super::quotas::{Quotas, Share};
use super::request::{Request, Seal};
use super::strangers::Strangers;
use super::{Client, Credentials, ExternalAddresses, Family, Holder, Keys, Nonces, Settings, User};
use crate::id::SessionId;
use crate::stun::{self, Head, Kind, TransactionId};

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
        /// Where the socket comes from, and whether it comes alone.
        open: Open,
    },
    /// Close that socket.
    ClosePort {
        /// Its name.
        relay: RelayId,
    },
    /// Close the socket that waits at this port: nobody came for it.
    CloseReserved {
        /// Of which external address.
        family: Family,
        /// The port.
        port: u16,
    },
}

/// How a relayed port gets its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// A new one.
    Alone,
    /// A new one, and another on the next port or none at all. That one waits until some worker opens its port as
    /// [`Open::Reserved`], or for [`Effect::CloseReserved`].
    WithNext,
    /// The one that waits there.
    Reserved,
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
    /// What was reserved here and when that ends, the oldest first; some of it may have been taken.
    reserved: VecDeque<(Tick, ReservationToken)>,
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
            reserved: VecDeque::new(),
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
        while let Some((_, token)) = self.reserved.pop_front_if(|(until, _)| *until <= tick) {
            if let Some((family, port)) = self.shared.ports.end_reservation(&token) {
                let close = Effect::CloseReserved { family, port };
                self.effects.push_back(close);
            }
        }
    }

    /// When `on_time` has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let allocation = self.deadlines.peek().map(|Reverse((due, ..))| *due);
        let reservation = self.reserved.front().map(|(until, _)| *until);
        let due = allocation.into_iter().chain(reservation).min()?;
        Some(self.shared.start + Duration::from_millis(due))
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
        self.deadlines.len() + self.ended.len() + self.reserved.len()
    }

    // ---- beginning and ending ----

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

    fn holds(&self, slot: u32, address: SocketAddr) -> bool {
        let family = Family::of(address.ip());
        let port = self
            .get(slot)
            .and_then(|allocation| *allocation.relays.get(family.index())?);
        port == Some(address.port()) && self.shared.ports.is_ours(address.ip())
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
        for (_, token) in &self.reserved {
            self.shared.ports.end_reservation(token);
        }
    }
}

fn mapped(client: &Client) -> XorMappedAddress {
    XorMappedAddress {
        ip: client.address.ip().to_canonical(),
        port: client.address.port(),
    }
}
