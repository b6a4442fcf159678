//! Uploads and downloads under way: how many, how fast, and one upload per file at a time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::id::{FileId, Source};

/// What an address may send or take ahead of its rate: bursts are how networks work.
const AHEAD: Duration = Duration::from_secs(1);

/// How long an upload that has to make way may take to put away what it holds: one piece.
const MAKE_WAY: Duration = Duration::from_secs(10);

/// Counts transfers of one direction, in all and by address, and paces them by address.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    most_per_source: usize,
    /// Bytes per second and address; 0 is without end.
    rate: u64,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_source: HashMap<Source, Share>,
}

#[derive(Debug)]
struct Share {
    held: usize,
    /// Until when what has come would have taken at the rate.
    paid_until: Instant,
}

/// One transfer; dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    source: Source,
}

/// Why there is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// This address has as many as it may.
    ByYou,
    /// Everyone together has.
    ByAll,
}

impl Slots {
    pub(super) fn new(most: usize, most_per_source: usize, rate: u64) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_source,
            rate,
            open: Mutex::default(),
        })
    }

    /// A slot for a transfer with `source`.
    pub(super) fn take(self: &Arc<Self>, source: Source, now: Instant) -> Result<Slot, Taken> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let held = open.by_source.get(&source).map_or(0, |share| share.held);
        if held >= self.most_per_source {
            return Err(Taken::ByYou);
        }
        if open.total >= self.most {
            return Err(Taken::ByAll);
        }
        open.total += 1;
        let share = open.by_source.entry(source).or_insert(Share {
            held: 0,
            paid_until: now,
        });
        share.held += 1;
        Ok(Slot {
            slots: Arc::clone(self),
            source,
        })
    }
}

impl Slot {
    /// Counts bytes that were transferred; how long to wait before the next.
    pub(super) fn count(&self, bytes: usize, now: Instant) -> Duration {
        if self.slots.rate == 0 {
            return Duration::ZERO;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / self.slots.rate as f64);
        let mut open = self
            .slots
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(share) = open.by_source.get_mut(&self.source) else {
            return Duration::ZERO;
        };
        share.paid_until = share.paid_until.max(now) + cost;
        share
            .paid_until
            .saturating_duration_since(now)
            .saturating_sub(AHEAD)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self
            .slots
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Some(share) = open.by_source.get_mut(&self.source) {
            share.held -= 1;
            if share.held == 0 {
                open.by_source.remove(&self.source);
            }
        }
    }
}

/// Which uploads run. Of a sender who comes back before the server has noticed the break, the old one
/// makes way: what it holds is put away, and the new one goes on behind it.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<HashMap<FileId, Ends>>);

#[derive(Debug, Clone)]
struct Ends {
    make_way: CancellationToken,
    over: CancellationToken,
}

/// An upload that runs; dropping it says that it is over.
#[derive(Debug)]
pub(super) struct Run {
    running: Arc<Running>,
    file: FileId,
    ends: Ends,
}

/// The old upload does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stuck;

impl Running {
    /// Begins an upload, once the one before has made way.
    pub(super) async fn begin(self: &Arc<Self>, file: FileId) -> Result<Run, Stuck> {
        let ends = Ends {
            make_way: CancellationToken::new(),
            over: CancellationToken::new(),
        };
        loop {
            self.clear(file).await?;
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Another may have been faster: then that one makes way.
            if let Entry::Vacant(place) = all.entry(file) {
                place.insert(ends.clone());
                return Ok(Run {
                    running: Arc::clone(self),
                    file,
                    ends,
                });
            }
        }
    }

    /// Asks the upload of `file` to make way, if one runs, and waits for its end.
    pub(super) async fn clear(&self, file: FileId) -> Result<(), Stuck> {
        let other = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(&file).cloned()
        };
        if let Some(other) = other {
            other.make_way.cancel();
            timeout(MAKE_WAY, other.over.cancelled())
                .await
                .map_err(|_| Stuck)?;
        }
        Ok(())
    }
}

impl Run {
    /// Fires when it has to make way.
    pub(super) fn make_way(&self) -> &CancellationToken {
        &self.ends.make_way
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut all = self
            .running
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.file);
        self.ends.over.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    #[test]
    fn transfers_are_bounded_by_address_and_in_all() {
        let slots = Slots::new(3, 2, 0);
        let now = Instant::now();
        let (here, there) = (source("192.0.2.1"), source("192.0.2.2"));
        let one = slots.take(here, now).unwrap();
        let two = slots.take(here, now).unwrap();
        assert_eq!(slots.take(here, now).unwrap_err(), Taken::ByYou);
        let three = slots.take(there, now).unwrap();
        assert_eq!(slots.take(there, now).unwrap_err(), Taken::ByAll);
        drop(one);
        let four = slots.take(there, now).unwrap();
        drop((two, three, four));
        let open = slots.open.lock().unwrap();
        assert_eq!((open.total, open.by_source.len()), (0, 0));
    }

    #[test]
    fn an_address_is_paced_whatever_the_number_of_its_transfers() {
        let slots = Slots::new(9, 9, 1000);
        let start = Instant::now();
        let one = slots.take(source("192.0.2.1"), start).unwrap();
        let two = slots.take(source("192.0.2.1"), start).unwrap();
        let other = slots.take(source("192.0.2.2"), start).unwrap();
        assert_eq!(one.count(1000, start), Duration::ZERO, "a second ahead");
        assert_eq!(two.count(500, start), Duration::from_millis(500));
        assert_eq!(one.count(500, start), Duration::from_secs(1));
        assert_eq!(other.count(500, start), Duration::ZERO);
        let later = start + Duration::from_secs(2);
        assert_eq!(one.count(1000, later), Duration::ZERO, "it was paid for");
    }

    #[tokio::test]
    async fn the_newer_of_two_uploads_goes_on() {
        let running = Arc::new(Running::default());
        let file = FileId::random();
        let old = running.begin(file).await.unwrap();
        let newer = running.begin(file);
        let ends = async {
            old.make_way().cancelled().await;
            drop(old);
        };
        let (newer, ()) = futures_util::join!(newer, ends);
        assert!(!newer.unwrap().make_way().is_cancelled());
        assert!(running.0.lock().unwrap().is_empty());
        running.clear(file).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let running = Arc::new(Running::default());
        let file = FileId::random();
        let _old = running.begin(file).await.unwrap();
        assert_eq!(running.begin(file).await.unwrap_err(), Stuck);
    }
}
