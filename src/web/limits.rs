//! How many connections and WebSockets are open, by address; a seat is given back when its guard is dropped.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::LimitSettings;
use crate::id::Source;

/// Counts what every port of this server holds open; shared by all of them.
#[derive(Debug)]
pub struct Limits {
    /// TCP connections, whatever is spoken on them.
    pub connections: Counter,
    /// WebSockets, each of which is a connection as well.
    pub sockets: Counter,
}

impl Limits {
    /// Starts with nothing open.
    pub fn new(settings: &LimitSettings) -> Self {
        Self {
            connections: Counter::new(settings.connections, settings.connections_per_address),
            // Every WebSocket is a connection, so the total needs no limit of its own.
            sockets: Counter::new(settings.connections, settings.sockets_per_address),
        }
    }
}

/// Counts one kind of thing, in all and by address.
#[derive(Debug, Clone)]
pub struct Counter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    most_per_address: usize,
    open: Mutex<HashMap<Source, usize>>,
    total: AtomicUsize,
    refused: AtomicUsize,
}

/// One seat; dropping it gives the seat back.
#[derive(Debug)]
pub struct Guard {
    counter: Arc<Inner>,
    source: Source,
}

impl Counter {
    fn new(most: usize, most_per_address: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            most_per_address,
            open: Mutex::default(),
            total: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }))
    }

    /// Takes a seat for `address`, or `None` when it, or everyone together, has as many as allowed.
    pub fn take(&self, address: IpAddr) -> Option<Guard> {
        let inner = &self.0;
        let source = Source::of(address);
        let mut open = inner.open.lock().unwrap_or_else(PoisonError::into_inner);
        let held = open.get(&source).copied().unwrap_or(0);
        // The total only changes under the lock, so reading it here is exact.
        if held >= inner.most_per_address || inner.total.load(Ordering::Relaxed) >= inner.most {
            inner.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        open.insert(source, held + 1);
        inner.total.fetch_add(1, Ordering::Relaxed);
        Some(Guard {
            counter: Arc::clone(inner),
            source,
        })
    }

    /// How many are open now.
    pub fn open(&self) -> usize {
        self.0.total.load(Ordering::Relaxed)
    }

    /// How many were refused since the start.
    pub fn refused(&self) -> usize {
        self.0.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut open = self
            .counter
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = open.get_mut(&self.source) {
            *held -= 1;
            if *held == 0 {
                open.remove(&self.source);
            }
        }
        self.counter.total.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_more_than_its_share() {
        let counter = Counter::new(10, 2);
        let _one = counter.take(ip("192.0.2.1")).unwrap();
        let two = counter.take(ip("192.0.2.1")).unwrap();
        assert!(counter.take(ip("192.0.2.1")).is_none());
        assert!(
            counter.take(ip("::ffff:192.0.2.1")).is_none(),
            "the same address, written as IPv6"
        );
        assert!(counter.take(ip("192.0.2.2")).is_some());
        assert_eq!(counter.refused(), 2);
        drop(two);
        assert!(counter.take(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn a_whole_ipv6_network_of_64_bits_is_one_address() {
        let counter = Counter::new(10, 1);
        let _one = counter.take(ip("2001:db8:1:2::1")).unwrap();
        assert!(counter.take(ip("2001:db8:1:2:ffff::9")).is_none());
        assert!(counter.take(ip("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn the_total_is_bounded_and_nothing_is_remembered_of_those_who_left() {
        let counter = Counter::new(3, 2);
        let guards: Vec<_> = (1..=3u8)
            .map(|n| counter.take(IpAddr::from([192, 0, 2, n])).unwrap())
            .collect();
        assert!(counter.take(ip("192.0.2.9")).is_none());
        assert_eq!(counter.open(), 3);
        drop(guards);
        assert_eq!(counter.open(), 0);
        assert!(counter.0.open.lock().unwrap().is_empty());
    }
}
