//! How often someone may guess a room's password, and have any looked at.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::allowance::{Allowance, Pace};
use crate::id::{RoomName, Source};

/// How often passwords of one room may be guessed from one address: a person's slips of the finger, and
/// nothing that comes through a list of words.
const GUESSES: Pace = Pace {
    burst: 10,
    every: Duration::from_secs(30),
};
/// How often passwords are looked at for one address, the right ones included: looking costs tens of milliseconds of
/// a processor. A class behind one address comes in at once, and nobody keeps the processor busy.
const LOOKS: Pace = Pace {
    burst: 60,
    every: Duration::from_secs(1),
};
/// How many addresses, and pairs of address and room, are remembered, about 2 MiB each.
const REMEMBERED_MAX: usize = 10_000;

/// Who has guessed at which room's password, and how often.
#[derive(Default)]
pub(super) struct Guesses {
    guesses: Table<(Source, RoomName)>,
    looks: Table<Source>,
}

/// Paces by whom they are for. Whoever is not listed has all of it.
struct Table<K>(HashMap<K, Allowance>);

impl Guesses {
    /// Takes one guess; false if there is none left at the moment. It is taken before the password is looked at, so
    /// that many at once gain nothing.
    pub(super) fn take(&mut self, source: Source, room: &RoomName, now: Instant) -> bool {
        let key = (source, room.clone());
        if !self.guesses.take(&key, GUESSES, now) {
            return false;
        }
        let may_look = self.looks.take(&source, LOOKS, now);
        if !may_look {
            self.guesses.give_back(&key, GUESSES, now);
        }
        may_look
    }

    /// It was no wrong guess. It was looked at all the same.
    pub(super) fn give_back(&mut self, source: Source, room: &RoomName, now: Instant) {
        self.guesses
            .give_back(&(source, room.clone()), GUESSES, now);
    }
}

impl<K: Clone + Eq + Hash> Table<K> {
    fn take(&mut self, key: &K, pace: Pace, now: Instant) -> bool {
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(key) {
            self.forget_some(now);
        }
        self.0.entry(key.clone()).or_default().take(pace, now)
    }

    fn give_back(&mut self, key: &K, pace: Pace, now: Instant) {
        if let Some(left) = self.0.get_mut(key) {
            left.give_back(pace);
            if left.is_full(now) {
                self.0.remove(key);
            }
        }
    }

    /// Forgets those who have all of it again, and if there are none, whoever is nearest to that.
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

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> Source {
        Source::of(std::net::Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn ten_wrong_guesses_are_enough_and_right_ones_are_none() {
        let now = Instant::now();
        let room: RoomName = "tea".parse().unwrap();
        let mut guesses = Guesses::default();
        for _ in 0..40 {
            assert!(guesses.take(source(1), &room, now));
            guesses.give_back(source(1), &room, now);
        }
        assert!(guesses.guesses.0.is_empty());
        let taken = (0..100).filter(|_| guesses.take(source(1), &room, now));
        assert_eq!(taken.count(), 10);
        assert!(guesses.take(source(2), &room, now), "others still may");
        assert!(guesses.take(source(1), &"coffee".parse().unwrap(), now));
        let later = now + Duration::from_secs(30);
        assert!(guesses.take(source(1), &room, later));
        assert!(!guesses.take(source(1), &room, later));
    }

    #[test]
    fn right_ones_are_looked_at_as_well_and_that_has_an_end() {
        let now = Instant::now();
        let mut guesses = Guesses::default();
        let mut looked_at = |source, now| {
            let rooms = (0..100).map(|number| format!("tea {number}").parse::<RoomName>().unwrap());
            let rooms = rooms.filter(|room| {
                let may = guesses.take(source, room, now);
                if may {
                    guesses.give_back(source, room, now);
                }
                may
            });
            rooms.count()
        };
        assert_eq!(looked_at(source(1), now), 60);
        assert_eq!(looked_at(source(2), now), 60, "others still are");
        assert_eq!(looked_at(source(1), now + Duration::from_secs(5)), 5);
        assert!(guesses.guesses.0.is_empty(), "no guess is lost by that");
    }

    #[test]
    fn the_tables_have_an_end() {
        let now = Instant::now();
        let room: RoomName = "tea".parse().unwrap();
        let mut guesses = Guesses::default();
        for _ in 0..10 {
            guesses.take(source(0), &room, now);
        }
        for number in 1..12_000 {
            assert!(guesses.take(source(number), &room, now));
        }
        assert!(guesses.guesses.0.len() <= REMEMBERED_MAX);
        assert!(guesses.looks.0.len() <= REMEMBERED_MAX);
        assert!(
            !guesses.take(source(0), &room, now),
            "a crowd does not make the table forget whoever has guessed most"
        );
    }
}
