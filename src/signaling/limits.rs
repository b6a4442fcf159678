//! How much one socket may say, and how often it may be wrong.

use std::time::{Duration, Instant};

/// Messages a second, over time. Ten people who restart all their connections at once make about
/// 300 messages in a few seconds, which the burst covers.
pub const RATE: u32 = 100;
/// Messages at once.
pub const BURST: u32 = 1000;
/// How many faults within [`FAULTS_WITHIN`] end the connection.
pub const FAULTS_MAX: usize = 20;
/// How long a fault is remembered.
pub const FAULTS_WITHIN: Duration = Duration::from_secs(10);

/// A token bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            tokens: f64::from(BURST),
            filled: now,
        }
    }

    /// Takes one token; false if there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.tokens = (self.tokens + passed * f64::from(RATE)).min(f64::from(BURST));
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// The latest faults of one socket.
#[derive(Debug, Default)]
pub(super) struct Faults {
    times: std::collections::VecDeque<Instant>,
}

impl Faults {
    /// Counts a fault; false if it was one too many.
    pub(super) fn count(&mut self, now: Instant) -> bool {
        self.times
            .retain(|&time| now.saturating_duration_since(time) < FAULTS_WITHIN);
        self.times.push_back(now);
        self.times.len() < FAULTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        let passed = (0..2000).filter(|_| bucket.take(start)).count();
        assert_eq!(passed, 1000);
        let later = start + Duration::from_secs(1);
        let passed = (0..2000).filter(|_| bucket.take(later)).count();
        assert_eq!(passed, 100);
    }

    #[test]
    fn twenty_faults_in_ten_seconds_are_too_many() {
        let start = Instant::now();
        let mut faults = Faults::default();
        assert!((0..19).all(|_| faults.count(start)));
        assert!(!faults.count(start + Duration::from_secs(9)));
        let mut slow = Faults::default();
        assert!((0..100).all(|n| slow.count(start + Duration::from_secs(n))));
    }
}
