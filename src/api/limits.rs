//! How often strangers may ask, by address and by person.
//!
//! Each limit is a leaky bucket of a size of its own (GCRA, by `governor`): a burst may use up all of
//! what an hour or a minute holds, and then it fills up again evenly.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::problem::Problem;
use super::settings::LimitSettings;
use crate::id::{RoomId, SessionId, Source};

/// How many askers one limit remembers. Beyond, those whose bucket is full again are forgotten, and if
/// that frees nothing, newcomers have to wait: memory has an end.
const ASKERS_MAX: usize = 100_000;

/// How often those are looked for at most: with so many askers it takes some milliseconds.
const CLEAR_EVERY: Duration = Duration::from_secs(1);

/// In how many seconds a limit that remembers too many may have room again.
const CROWDED_SECONDS: u64 = 60;

/// Whom a limit is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    /// Everyone behind an address.
    Source(Source),
    /// A person in a room.
    Session(SessionId),
    /// Whoever shows the token of a room's host.
    Host(RoomId),
}

/// All limits.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) requests: Limit,
    pub(super) rooms: Limit,
    pub(super) invites: Limit,
    pub(super) passwords: Limit,
    pub(super) uploads: Limit,
}

impl Limits {
    pub(super) fn new(settings: &LimitSettings) -> Self {
        Self {
            requests: Limit::new(Quota::per_minute(settings.requests_per_minute)),
            rooms: Limit::new(Quota::per_hour(settings.rooms_per_hour)),
            invites: Limit::new(Quota::per_hour(settings.invites_per_hour)),
            passwords: Limit::new(Quota::per_hour(settings.passwords_per_hour)),
            uploads: Limit::new(Quota::per_hour(settings.uploads_per_hour)),
        }
    }
}

/// How often one thing may be done by each asker.
#[derive(Debug)]
pub(super) struct Limit {
    buckets: RateLimiter<Asker, HashMapStateStore<Asker>, DefaultClock>,
    askers_max: usize,
    cleared: Mutex<Option<Instant>>,
}

impl Limit {
    fn new(quota: Quota) -> Self {
        Self {
            buckets: RateLimiter::hashmap(quota),
            askers_max: ASKERS_MAX,
            cleared: Mutex::default(),
        }
    }

    /// Counts one for each of `askers`.
    ///
    /// # Errors
    /// The first who has to wait, with how long.
    pub(super) fn count(&self, askers: &[Asker]) -> Result<(), Problem> {
        if self.is_crowded() {
            return Err(Problem::rate(CROWDED_SECONDS));
        }
        for asker in askers {
            if let Err(wait) = self.buckets.check_key(asker) {
                let wait = wait.wait_time_from(self.buckets.clock().now());
                return Err(Problem::rate(wait.as_secs() + 1));
            }
        }
        Ok(())
    }

    fn is_crowded(&self) -> bool {
        if self.buckets.len() < self.askers_max {
            return false;
        }
        let mut cleared = self.cleared.lock().unwrap_or_else(PoisonError::into_inner);
        if cleared.is_none_or(|at| at.elapsed() >= CLEAR_EVERY) {
            self.buckets.retain_recent();
            *cleared = Some(Instant::now());
        }
        self.buckets.len() >= self.askers_max
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use hyper::StatusCode;

    use super::*;

    fn source(text: &str) -> Asker {
        Asker::Source(Source::of(text.parse().unwrap()))
    }

    fn limit(per_hour: u32) -> Limit {
        Limit::new(Quota::per_hour(NonZeroU32::new(per_hour).unwrap()))
    }

    fn status(counted: Result<(), Problem>) -> u16 {
        counted
            .map_or_else(|problem| problem.status, |()| StatusCode::OK)
            .as_u16()
    }

    #[test]
    fn each_address_and_each_person_has_its_own_share() {
        let limit = limit(2);
        let (here, there) = (source("192.0.2.1"), source("192.0.2.2"));
        let person = Asker::Session(SessionId::random());
        assert_eq!(status(limit.count(&[here, person])), 200);
        assert_eq!(status(limit.count(&[here, person])), 200);
        assert_eq!(
            status(limit.count(&[here])),
            429,
            "the address has used up its share"
        );
        assert_eq!(
            status(limit.count(&[there, person])),
            429,
            "so has the person, from anywhere"
        );
        assert_eq!(status(limit.count(&[there])), 200);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let limit = limit(1);
        assert_eq!(status(limit.count(&[source("2001:db8:1:2::1")])), 200);
        assert_eq!(status(limit.count(&[source("2001:db8:1:2:ffff::9")])), 429);
        assert_eq!(status(limit.count(&[source("2001:db8:1:3::1")])), 200);
    }

    #[test]
    fn a_crowd_does_not_fill_the_memory() {
        let mut limit = limit(1);
        limit.askers_max = 2;
        assert_eq!(status(limit.count(&[source("192.0.2.1")])), 200);
        assert_eq!(status(limit.count(&[source("192.0.2.2")])), 200);
        assert_eq!(status(limit.count(&[source("192.0.2.3")])), 429);
        assert_eq!(limit.buckets.len(), 2);
    }
}
