//! How often strangers are answered over UDP, where the source may be forged: a table of fixed size.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::quotas::Source;

/// How many buckets there are. Sources that fall into one share it; an attacker cannot choose which (the hash is keyed).
const BUCKETS: usize = 4_096;
/// How many seconds' worth of answers may be given at once.
const BURST_SECONDS: u64 = 10;

/// Counts answers to strangers.
#[derive(Debug)]
pub(super) struct Strangers {
    /// Per bucket, when all answers given so far are paid for, in milliseconds since the start.
    paid_at: Vec<u64>,
    millis_per_answer: u64,
    hasher: RandomState,
}

impl Strangers {
    /// A table that allows this many answers per second and source.
    #[must_use]
    pub(super) fn new(per_second: u32) -> Self {
        let millis_per_answer = 1_000 / u64::from(per_second.clamp(1, 1_000));
        Self {
            paid_at: vec![0; BUCKETS],
            millis_per_answer,
            hasher: RandomState::new(),
        }
    }

    /// Whether this source may be given one more answer that is longer than it deserves.
    pub(super) fn may_answer(&mut self, source: Source, since_start: Duration) -> bool {
        let now = since_start.as_millis() as u64;
        let bucket = self.hasher.hash_one(source) as usize % BUCKETS;
        let Some(paid_at) = self.paid_at.get_mut(bucket) else {
            return false;
        };
        let due = (*paid_at).max(now);
        let fits = due - now < BURST_SECONDS * 1_000;
        if fits {
            *paid_at = due + self.millis_per_answer;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_is_limited_and_others_are_not() {
        let mut strangers = Strangers::new(100);
        let source = |n: u8| Source::of([198, 51, 100, n].into());
        let given = (0..5_000)
            .filter(|_| strangers.may_answer(source(1), Duration::ZERO))
            .count();
        assert_eq!(given, 1_000);
        assert!(strangers.may_answer(source(2), Duration::ZERO));
        let later = (0..5_000)
            .filter(|_| strangers.may_answer(source(1), Duration::from_secs(1)))
            .count();
        assert_eq!(later, 100);
    }
}
