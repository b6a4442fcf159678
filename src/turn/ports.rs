//! Which relayed ports are taken, and by which worker: one table for all of them, read without a lock.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{ExternalAddresses, Family, PortRange};

/// How long a port reserved by EVEN-PORT waits for its client (RFC 8656 §7.2).
pub(super) const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);
/// How many reservations wait at once; one more is refused like any lack of ports.
pub(super) const RESERVATIONS_MAX: usize = 1_024;
/// The most workers and slots that an entry can name.
pub const WORKERS_MAX: usize = 0xFE;
/// The most allocations of one worker.
pub(super) const SLOTS_MAX: u32 = 1 << 24;

const FREE: u32 = 0;
const RESERVED: u32 = u32::MAX;

/// Names an allocation of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The worker, counted from 0.
    pub worker: u8,
    /// The allocation's place there.
    pub slot: u32,
}

/// The secret by which a client takes a reserved port.
pub(super) type ReservationToken = [u8; 8];

/// What kind of port is wanted (RFC 8656 §18.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Any.
    Any,
    /// An even one.
    Even,
    /// An even one whose successor is free as well.
    EvenWithNext,
}

/// The table of relayed ports.
#[derive(Debug)]
pub struct Ports {
    external: ExternalAddresses,
    range: PortRange,
    entries: [Vec<AtomicU32>; 2],
    reservations: Mutex<HashMap<ReservationToken, Reservation>>,
}

#[derive(Debug)]
struct Reservation {
    family: Family,
    port: u16,
    until: Instant,
}

impl Ports {
    /// All ports of the range, free.
    #[must_use]
    pub fn new(external: ExternalAddresses, range: PortRange) -> Self {
        let count = usize::from(range.max.saturating_sub(range.min)) + 1;
        let table = |family| {
            let count = if external.of(family).is_some() {
                count
            } else {
                0
            };
            (0..count).map(|_| AtomicU32::new(FREE)).collect()
        };
        let entries = [table(Family::V4), table(Family::V6)];
        Self {
            external,
            range,
            entries,
            reservations: Mutex::default(),
        }
    }

    /// The addresses that relayed ports are seen at.
    #[must_use]
    pub fn external(&self) -> &ExternalAddresses {
        &self.external
    }

    /// The relayed address of a port, where the server has that family.
    #[must_use]
    pub fn address(&self, family: Family, port: u16) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.external.of(family)?.public, port))
    }

    /// Who holds this address, if it is a live relayed address of this server.
    #[must_use]
    pub fn holder(&self, address: SocketAddr) -> Option<Holder> {
        let family = Family::of(address.ip());
        (self.external.of(family)?.public == address.ip()).then_some(())?;
        match self.entry(family, address.port())?.load(Ordering::Acquire) {
            FREE | RESERVED => None,
            entry => Some(Holder {
                worker: ((entry >> 24) - 1) as u8,
                slot: entry & (SLOTS_MAX - 1),
            }),
        }
    }

    /// Whether any port of this address may be a relayed one of ours.
    #[must_use]
    pub fn is_ours(&self, ip: IpAddr) -> bool {
        self.external
            .of(Family::of(ip))
            .is_some_and(|external| external.public == ip)
    }

    /// Takes a free port, looking from a random place onwards.
    #[must_use]
    pub fn claim(
        &self,
        family: Family,
        wanted: Wanted,
        holder: Holder,
        random: u32,
    ) -> Option<u16> {
        let count = u32::from(self.range.max - self.range.min) + 1;
        let start = random % count;
        (0..count).find_map(|step| {
            let port = self.range.min + ((start + step) % count) as u16;
            if wanted != Wanted::Any && !port.is_multiple_of(2) {
                return None;
            }
            if !self.take(family, port, FREE, entry_of(holder)) {
                return None;
            }
            if wanted == Wanted::EvenWithNext
                && !port
                    .checked_add(1)
                    .is_some_and(|next| self.take(family, next, FREE, RESERVED))
            {
                self.release(family, port);
                return None;
            }
            Some(port)
        })
    }

    /// Gives a port back.
    pub fn release(&self, family: Family, port: u16) {
        if let Some(entry) = self.entry(family, port) {
            entry.store(FREE, Ordering::Release);
        }
    }

    /// Keeps the port after an even one for whoever brings the token before `until`. `false` when too many wait already.
    /// Whoever reserves it calls `end_reservation` at that time.
    #[must_use]
    pub(super) fn reserve(
        &self,
        token: ReservationToken,
        family: Family,
        port: u16,
        until: Instant,
    ) -> bool {
        let mut reservations = self.reservations();
        let has_room = reservations.len() < RESERVATIONS_MAX;
        if has_room {
            let reservation = Reservation {
                family,
                port,
                until,
            };
            reservations.insert(token, reservation);
        }
        has_room
    }

    /// Takes the port that the token stands for.
    #[must_use]
    pub(super) fn redeem(
        &self,
        token: &[u8],
        holder: Holder,
        now: Instant,
    ) -> Option<(Family, u16)> {
        let token: ReservationToken = token.try_into().ok()?;
        let mut reservations = self.reservations();
        // One that is overdue is about to be ended by whoever made it.
        reservations.get(&token).filter(|held| now < held.until)?;
        let Reservation { family, port, .. } = reservations.remove(&token)?;
        self.take(family, port, RESERVED, entry_of(holder))
            .then_some((family, port))
    }

    /// Whether nobody has come for it yet.
    pub(super) fn is_waiting(&self, token: &ReservationToken) -> bool {
        self.reservations().contains_key(token)
    }

    /// Frees the port unless somebody came for it; which one that was.
    pub(super) fn end_reservation(&self, token: &ReservationToken) -> Option<(Family, u16)> {
        let Reservation { family, port, .. } = self.reservations().remove(token)?;
        self.release(family, port);
        Some((family, port))
    }

    /// How many ports are taken or reserved.
    #[must_use]
    pub fn taken(&self) -> usize {
        let taken = |entry: &&AtomicU32| entry.load(Ordering::Relaxed) != FREE;
        self.entries.iter().flatten().filter(taken).count()
    }

    fn take(&self, family: Family, port: u16, from: u32, to: u32) -> bool {
        self.entry(family, port).is_some_and(|entry| {
            entry
                .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    fn entry(&self, family: Family, port: u16) -> Option<&AtomicU32> {
        let [v4, v6] = &self.entries;
        let entries = if family == Family::V4 { v4 } else { v6 };
        entries.get(usize::from(port.checked_sub(self.range.min)?))
    }

    fn reservations(&self) -> MutexGuard<'_, HashMap<ReservationToken, Reservation>> {
        self.reservations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry_of(holder: Holder) -> u32 {
    (u32::from(holder.worker) + 1) << 24 | (holder.slot & (SLOTS_MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::ExternalIp;

    const KIM: Holder = Holder {
        worker: 3,
        slot: 77,
    };

    fn ports(min: u16, max: u16) -> Ports {
        let v4 = Some(ExternalIp {
            public: "198.51.100.1".parse().unwrap(),
            local: None,
        });
        Ports::new(
            ExternalAddresses {
                v4,
                v6: None,
                own: Vec::new(),
            },
            PortRange { min, max },
        )
    }

    #[test]
    fn every_port_is_given_once() {
        let ports = ports(50_000, 50_009);
        let mut given: Vec<_> = (0..10)
            .map(|n| ports.claim(Family::V4, Wanted::Any, KIM, n * 7919).unwrap())
            .collect();
        assert_eq!(ports.claim(Family::V4, Wanted::Any, KIM, 5), None);
        given.sort_unstable();
        assert_eq!(given, (50_000..=50_009).collect::<Vec<_>>());
        ports.release(Family::V4, 50_004);
        assert_eq!(ports.claim(Family::V4, Wanted::Any, KIM, 5), Some(50_004));
        assert_eq!(ports.claim(Family::V6, Wanted::Any, KIM, 5), None);
    }

    #[test]
    fn a_live_address_names_its_holder() {
        let ports = ports(50_000, 50_009);
        let port = ports.claim(Family::V4, Wanted::Any, KIM, 0).unwrap();
        assert_eq!(
            ports.holder(SocketAddr::new("198.51.100.1".parse().unwrap(), port)),
            Some(KIM)
        );
        assert_eq!(
            ports.holder(SocketAddr::new("198.51.100.2".parse().unwrap(), port)),
            None
        );
        assert_eq!(ports.holder("198.51.100.1:50001".parse().unwrap()), None);
        assert_eq!(ports.holder("198.51.100.1:80".parse().unwrap()), None);
    }

    #[test]
    fn a_reserved_port_waits_thirty_seconds_for_its_token() {
        let ports = ports(50_001, 50_004);
        let now = Instant::now();
        let until = now + RESERVATION_LIFETIME;
        let even = ports
            .claim(Family::V4, Wanted::EvenWithNext, KIM, 0)
            .unwrap();
        assert_eq!(even, 50_002, "50004 has no successor in the range");
        assert_eq!(ports.claim(Family::V4, Wanted::EvenWithNext, KIM, 0), None);
        assert!(ports.reserve(*b"12345678", Family::V4, even + 1, until));
        assert_eq!(ports.redeem(b"12345679", KIM, now), None);
        assert_eq!(ports.redeem(b"1234567", KIM, now), None);
        assert_eq!(
            ports.redeem(b"12345678", KIM, now),
            Some((Family::V4, 50_003))
        );
        assert_eq!(ports.redeem(b"12345678", KIM, now), None);
        assert_eq!(ports.end_reservation(b"12345678"), None);
        ports.release(Family::V4, even);
        ports.release(Family::V4, even + 1);
        let even = ports
            .claim(Family::V4, Wanted::EvenWithNext, KIM, 0)
            .unwrap();
        assert!(ports.reserve(*b"12345678", Family::V4, even + 1, until));
        assert_eq!(ports.redeem(b"12345678", KIM, until), None);
        assert_eq!(
            ports.end_reservation(b"12345678"),
            Some((Family::V4, 50_003))
        );
        assert_eq!(ports.taken(), 1);
    }
}
