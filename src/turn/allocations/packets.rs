//! Packets on their way between clients and peers: who may send to whom, from where, and how much.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::{Allocation, Allocations, Destination, Forward, Now, RelayId, Tick};
use crate::stun::{self, Head, TransactionId};
use crate::turn::peers::{PeerPolicy, Standing};
use crate::turn::ports::Ports;
use crate::turn::{Client, Family};

impl Allocations {
    pub(super) fn on_channel_data(&self, from: &Client, bytes: &[u8], now: Now) -> Option<Forward> {
        let read = stun::ChannelData::read(bytes)?;
        let tick = self.tick(now);
        let (slot, allocation) = self.live(from, tick)?;
        let channel = allocation
            .channels
            .iter()
            .find(|c| c.number == read.number && c.until > tick)?;
        self.to_peer(slot, allocation, channel.peer, read.data, false, tick)
    }

    pub(super) fn on_send(
        &self,
        from: &Client,
        message: &stun::Message<'_>,
        now: Now,
    ) -> Option<Forward> {
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

    pub(super) fn deliver(
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
}

impl Allocation {
    /// On what ground packets may pass between this allocation and a peer, in either direction.
    pub(super) fn permission(
        &self,
        peer: SocketAddr,
        tick: Tick,
        ports: &Ports,
    ) -> Option<Standing> {
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
