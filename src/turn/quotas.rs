//! How much each user, each source address and everybody together hold and relay. Shared by all workers; the lock is
//! taken for control requests only.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Limits, Rate, User};

/// How much may pass at once after a quiet time, as time at the full rate.
const BURST: Duration = Duration::from_millis(500);

/// The counts behind the limits.
#[derive(Debug)]
pub struct Quotas {
    limits: Limits,
    allocations: AtomicU32,
    total: Meter,
    users: Mutex<HashMap<User, Arc<Account>>>,
    sources: Mutex<HashMap<Source, Arc<Account>>>,
}

/// Which limit on allocations is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The user's own.
    User,
    /// That of the source address.
    Source,
    /// That of everybody together.
    All,
}

/// A source address, as far as one stranger can be told from another: an IPv6 subscriber has a /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source(u64, bool);

impl Source {
    /// The source that this address belongs to.
    #[must_use]
    pub(super) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(u64::from(ip.to_bits()), false),
            IpAddr::V6(ip) => Self((ip.to_bits() >> 64) as u64, true),
        }
    }
}

#[derive(Debug)]
struct Account {
    allocations: AtomicU32,
    meter: Meter,
}

impl Quotas {
    /// Nobody holds anything yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            allocations: AtomicU32::new(0),
            total: Meter::new(limits.total),
            users: Mutex::default(),
            sources: Mutex::default(),
        }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts one more allocation until the share is dropped.
    ///
    /// # Errors
    /// The limit that is reached; the narrowest, so that nobody is told of another's use.
    pub fn take(self: &Arc<Self>, user: &User, source: IpAddr) -> Result<Share, Reached> {
        let limits = &self.limits;
        let source = Source::of(source);
        let user_account = enter(
            &self.users,
            user.clone(),
            limits.per_user,
            limits.allocations_per_user,
        )
        .ok_or(Reached::User)?;
        let Some(source_account) = enter(
            &self.sources,
            source,
            limits.per_source,
            limits.allocations_per_source,
        ) else {
            leave(&self.users, user);
            return Err(Reached::Source);
        };
        if !count_up(&self.allocations, limits.allocations) {
            leave(&self.users, user);
            leave(&self.sources, &source);
            return Err(Reached::All);
        }
        Ok(Share {
            quotas: Arc::clone(self),
            user: user.clone(),
            source,
            user_account,
            source_account,
        })
    }

    /// How many allocations there are.
    #[must_use]
    pub fn allocations(&self) -> u32 {
        self.allocations.load(Ordering::Relaxed)
    }

    /// How many users and sources are remembered; none without an allocation.
    #[must_use]
    pub fn accounts(&self) -> usize {
        locked(&self.users).len() + locked(&self.sources).len()
    }
}

/// One allocation's share of its user's, its source's and everybody's limits.
#[derive(Debug)]
pub struct Share {
    quotas: Arc<Quotas>,
    user: User,
    source: Source,
    user_account: Arc<Account>,
    source_account: Arc<Account>,
}

impl Share {
    /// Whom it belongs to.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Whether a packet of this many bytes may pass now; `since_start` is the time since the process began.
    pub fn allows(&self, bytes: usize, since_start: Duration) -> bool {
        self.user_account.meter.allows(bytes, since_start)
            && self.source_account.meter.allows(bytes, since_start)
            && self.quotas.total.allows(bytes, since_start)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        leave(&self.quotas.users, &self.user);
        leave(&self.quotas.sources, &self.source);
        self.quotas.allocations.fetch_sub(1, Ordering::Relaxed);
    }
}

fn enter<K: Hash + Eq>(
    accounts: &Mutex<HashMap<K, Arc<Account>>>,
    key: K,
    rate: Rate,
    limit: u32,
) -> Option<Arc<Account>> {
    let mut accounts = locked(accounts);
    if limit == 0 {
        return None;
    }
    let account = accounts.entry(key).or_insert_with(|| {
        Arc::new(Account {
            allocations: AtomicU32::new(0),
            meter: Meter::new(rate),
        })
    });
    count_up(&account.allocations, limit).then(|| Arc::clone(account))
}

fn leave<K: Hash + Eq>(accounts: &Mutex<HashMap<K, Arc<Account>>>, key: &K) {
    let mut accounts = locked(accounts);
    if accounts
        .get(key)
        .is_some_and(|account| account.allocations.fetch_sub(1, Ordering::Relaxed) == 1)
    {
        accounts.remove(key);
    }
}

fn count_up(count: &AtomicU32, limit: u32) -> bool {
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
            (n < limit).then_some(n + 1)
        })
        .is_ok()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A rate kept as the time at which all that has passed is paid for (GCRA).
#[derive(Debug)]
struct Meter {
    nanos_per_byte: Option<f64>,
    nanos_per_packet: Option<f64>,
    bytes_paid_at: AtomicU64,
    packets_paid_at: AtomicU64,
}

impl Meter {
    fn new(rate: Rate) -> Self {
        let cost = |rate: Option<u64>| rate.map(|rate| 1e9 / rate.max(1) as f64);
        Self {
            nanos_per_byte: cost(rate.bytes),
            nanos_per_packet: cost(rate.packets),
            bytes_paid_at: AtomicU64::new(0),
            packets_paid_at: AtomicU64::new(0),
        }
    }

    // Two workers that count at the same instant may lose one of the two packets' cost: a rate need not be exact, and
    // the packet path is spared an exchange.
    fn allows(&self, bytes: usize, since_start: Duration) -> bool {
        let now = since_start.as_nanos() as u64;
        let pays = |paid_at: &AtomicU64, cost: f64| {
            let due = paid_at.load(Ordering::Relaxed).max(now);
            let fits = due - now <= BURST.as_nanos() as u64;
            if fits {
                paid_at.store(due.saturating_add(cost as u64), Ordering::Relaxed);
            }
            fits
        };
        self.nanos_per_byte
            .is_none_or(|cost| pays(&self.bytes_paid_at, cost * bytes as f64))
            && self
                .nanos_per_packet
                .is_none_or(|cost| pays(&self.packets_paid_at, cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User::Named(name.into())
    }

    #[test]
    fn users_sources_and_all_are_limited_and_nothing_is_kept_afterwards() {
        let limits = Limits {
            allocations_per_user: 2,
            allocations_per_source: 3,
            allocations: 4,
            ..Limits::default()
        };
        let quotas = Arc::new(Quotas::new(limits));
        let here = |n: u8| IpAddr::from([198, 51, 100, n]);
        let a = quotas.take(&user("a"), here(1)).unwrap();
        let b = quotas.take(&user("a"), here(1)).unwrap();
        let refused = |name, n| quotas.take(&user(name), here(n)).unwrap_err();
        assert_eq!(refused("a", 2), Reached::User);
        let c = quotas.take(&user("b"), here(1)).unwrap();
        assert_eq!(refused("b", 1), Reached::Source);
        let d = quotas.take(&user("b"), here(2)).unwrap();
        assert_eq!(refused("c", 3), Reached::All);
        assert_eq!(refused("a", 3), Reached::User, "the narrowest is named");
        assert_eq!(quotas.allocations(), 4);
        drop((a, b, c, d));
        assert_eq!((quotas.allocations(), quotas.accounts()), (0, 0));
    }

    #[test]
    fn everybody_together_is_limited_unless_someone_says_otherwise() {
        let quotas = Arc::new(Quotas::new(Limits {
            per_user: Rate::UNLIMITED,
            per_source: Rate::UNLIMITED,
            ..Limits::default()
        }));
        let share = |name, n| {
            quotas
                .take(&user(name), IpAddr::from([198, 51, 100, n]))
                .unwrap()
        };
        let (a, b) = (share("a", 1), share("b", 2));
        let passed = (0..2_000_000)
            .filter(|n| if n % 2 == 0 { &a } else { &b }.allows(1_000, Duration::from_secs(1)))
            .count();
        // Half a second's worth at once: 1.25 GB/s in packets of 1,000 bytes.
        assert!((625_000..=625_001).contains(&passed), "{passed} packets");
    }

    #[test]
    fn an_ipv6_source_is_its_slash_64() {
        let of = |ip: &str| Source::of(ip.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:198.51.100.1"), of("198.51.100.1"));
        assert_ne!(of("198.51.100.1"), of("198.51.100.2"));
    }

    #[test]
    fn a_rate_lets_through_what_it_says() {
        let limits = Limits {
            per_user: Rate {
                bytes: Some(100_000),
                packets: None,
            },
            ..Limits::default()
        };
        let quotas = Arc::new(Quotas::new(limits));
        let share = quotas
            .take(&user("a"), IpAddr::from([198, 51, 100, 1]))
            .unwrap();
        let mut passed = 0;
        for milli in 0..10_000u64 {
            if share.allows(1_000, Duration::from_millis(milli)) {
                passed += 1_000;
            }
        }
        assert!(
            (1_000_000..1_060_000).contains(&passed),
            "{passed} bytes in ten seconds"
        );
    }
}
