//! How often someone may guess a room's password.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::allowance::{Allowance, Pace};
use crate::id::{RoomName, Source};

/// How often passwords of one room may be guessed from one address: a person's slips of the finger, and
/// nothing that comes through a list of words.
const GUESSES: Pace = Pace {
    burst: 10,
    every: Duration::from_secs(30),
};
/// How many pairs of address and room are remembered, about 2 MiB.
const REMEMBERED_MAX: usize = 10_000;

/// Who has guessed at which room's password, and how often.
#[derive(Default)]
pub(super) struct Guesses(HashMap<(Source, RoomName), Allowance>);

impl Guesses {
    /// Takes one guess; false if there is none left at the moment. It is taken before the password is looked at, so
    /// that many at once gain nothing.
    pub(super) fn take(&mut self, source: Source, room: &RoomName, now: Instant) -> bool {
        let key = (source, room.clone());
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(&key) {
            self.forget_some(now);
        }
        self.0.entry(key).or_default().take(GUESSES, now)
    }

    /// It was no wrong guess.
    pub(super) fn give_back(&mut self, source: Source, room: &RoomName, now: Instant) {
        let key = (source, room.clone());
        if let Some(left) = self.0.get_mut(&key) {
            left.give_back(GUESSES);
            if left.is_full(now) {
                self.0.remove(&key);
            }
        }
    }

    /// Forgets those who could guess freely again, and if there are none, whoever is nearest to that.
    fn forget_some(&mut self, now: Instant) {
        self.0.retain(|_, left| !left.is_full(now));
        if self.0.len() >= REMEMBERED_MAX {
            let nearest = self.0.iter().min_by_key(|(_, left)| left.full_at());
            if let Some(key) = nearest.map(|(key, _)| key.clone()) {
                self.0.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> Source {
        Source::of(std::net::Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn ten_wrong_guesses_are_enough_and_right_ones_cost_nothing() {
        let now = Instant::now();
        let room: RoomName = "tea".parse().unwrap();
        let mut guesses = Guesses::default();
        for _ in 0..100 {
            assert!(guesses.take(source(1), &room, now));
            guesses.give_back(source(1), &room, now);
        }
        assert!(guesses.0.is_empty());
        let taken = (0..100).filter(|_| guesses.take(source(1), &room, now));
        assert_eq!(taken.count(), 10);
        assert!(guesses.take(source(2), &room, now), "others still may");
        assert!(guesses.take(source(1), &"coffee".parse().unwrap(), now));
        let later = now + Duration::from_secs(30);
        assert!(guesses.take(source(1), &room, later));
        assert!(!guesses.take(source(1), &room, later));
    }

    #[test]
    fn the_table_has_an_end() {
        let now = Instant::now();
        let room: RoomName = "tea".parse().unwrap();
        let mut guesses = Guesses::default();
        for _ in 0..10 {
            guesses.take(source(0), &room, now);
        }
        for number in 1..12_000 {
            assert!(guesses.take(source(number), &room, now));
        }
        assert!(guesses.0.len() <= REMEMBERED_MAX);
        assert!(
            !guesses.take(source(0), &room, now),
            "a crowd does not make the table forget whoever has guessed most"
        );
    }
}
