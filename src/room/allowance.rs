//! How often one person may do what costs others, or the server, more than a message does.

use std::time::{Duration, Instant};

/// So many at once, and then one every so often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// At once.
    pub(super) burst: u32,
    /// Between one and the next, over time.
    pub(super) every: Duration,
}

/// What is left of a pace. It holds one point in time: when all of it will be there again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Allowance {
    full_at: Option<Instant>,
}

impl Allowance {
    /// Takes one; false if there is none at the moment.
    pub(super) fn take(&mut self, pace: Pace, now: Instant) -> bool {
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        let taken = full_at.saturating_duration_since(now);
        if taken > pace.every * pace.burst.saturating_sub(1) {
            return false;
        }
        self.full_at = Some(full_at + pace.every);
        true
    }

    /// Puts one back that was taken.
    pub(super) fn give_back(&mut self, pace: Pace) {
        self.full_at = self.full_at.and_then(|at| at.checked_sub(pace.every));
    }

    /// Whether all of it is there.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }

    /// When all of it will be there; the past when it is, or was never taken from.
    pub(super) fn full_at(&self) -> Option<Instant> {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_granted_and_then_one_at_a_time() {
        let pace = Pace {
            burst: 3,
            every: Duration::from_secs(10),
        };
        let start = Instant::now();
        let mut left = Allowance::default();
        let granted = (0..9).filter(|_| left.take(pace, start)).count();
        assert_eq!(granted, 3);
        let soon = start + Duration::from_secs(10);
        assert!(left.take(pace, soon));
        assert!(!left.take(pace, soon));
        let late = start + Duration::from_secs(1000);
        let granted = (0..9).filter(|_| left.take(pace, late)).count();
        assert_eq!(granted, 3, "what was not used is not saved up");
    }
}
