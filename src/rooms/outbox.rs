//! What waits for each socket. The queues are bounded, and at their end nobody waits: a socket
//! that cannot keep up is closed, since half a negotiation is worse than none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use super::{Dropped, ToSocket};

/// How many messages wait for one socket. A person who comes back gets up to about 700 at once.
const OUTBOX_MESSAGES_MAX: usize = 1024;
/// How many bytes wait for one socket.
const OUTBOX_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many bytes wait for all sockets together before each has to do with [`FAIR_SHARE`]: many
/// sockets that read nothing must not fill the memory.
const OUTBOXES_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What one socket may have waiting however much waits for others: a negotiation of ten people.
const FAIR_SHARE: usize = 256 * 1024;

/// What a socket is to be sent, in order.
pub struct Inbox {
    messages: mpsc::Receiver<ToSocket>,
    shared: Arc<Shared>,
}

impl Inbox {
    /// The next message; `None` once the rooms have dropped the socket or stopped.
    pub async fn next(&mut self) -> Option<ToSocket> {
        let message = self.messages.recv().await?;
        self.shared.take(message.size());
        Some(message)
    }

    /// A token that fires when the rooms drop the socket, whatever still waits for it.
    #[must_use]
    pub fn dropped(&self) -> CancellationToken {
        self.shared.dropped.clone()
    }

    /// Why the rooms dropped the socket, once they did.
    #[must_use]
    pub fn why(&self) -> Dropped {
        if self.shared.replaced.load(Ordering::Relaxed) == 0 {
            Dropped::TooSlow
        } else {
            Dropped::Replaced
        }
    }
}

pub(super) struct Outbox {
    messages: mpsc::Sender<ToSocket>,
    shared: Arc<Shared>,
}

struct Shared {
    /// What waits for this socket.
    bytes: AtomicUsize,
    /// What waits for all sockets; messages to several count for each.
    all: Arc<AtomicUsize>,
    replaced: AtomicUsize,
    dropped: CancellationToken,
}

impl Shared {
    fn add(&self, size: usize) -> (usize, usize) {
        let own = self.bytes.fetch_add(size, Ordering::Relaxed) + size;
        let all = self.all.fetch_add(size, Ordering::Relaxed) + size;
        (own, all)
    }

    fn take(&self, size: usize) {
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        self.all.fetch_sub(size, Ordering::Relaxed);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.take(self.bytes.load(Ordering::Relaxed));
    }
}

pub(super) fn outbox(all: Arc<AtomicUsize>) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::channel(OUTBOX_MESSAGES_MAX);
    let shared = Arc::new(Shared {
        bytes: AtomicUsize::new(0),
        all,
        replaced: AtomicUsize::new(0),
        dropped: CancellationToken::new(),
    });
    (
        Outbox {
            messages: sender,
            shared: Arc::clone(&shared),
        },
        Inbox {
            messages: receiver,
            shared,
        },
    )
}

impl Outbox {
    /// False when the socket cannot keep up. One that has just closed can: what it said before is
    /// still to happen, and then it is told of like any other that goes.
    pub(super) fn deliver(&self, message: ToSocket) -> bool {
        if self.messages.is_closed() {
            return true;
        }
        let size = message.size();
        let (own, all) = self.shared.add(size);
        let has_room = own <= FAIR_SHARE || (own <= OUTBOX_BYTES_MAX && all <= OUTBOXES_BYTES_MAX);
        has_room && !matches!(self.messages.try_send(message), Err(TrySendError::Full(_)))
    }

    pub(super) fn drop_for(self, why: Dropped) {
        self.shared
            .replaced
            .store(usize::from(why == Dropped::Replaced), Ordering::Relaxed);
        self.shared.dropped.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Text;

    fn message(bytes: usize) -> ToSocket {
        ToSocket::Text(Text::from("x".repeat(bytes)))
    }

    #[tokio::test]
    async fn a_socket_that_reads_nothing_has_an_end() {
        let all = Arc::default();
        let (outbox, mut inbox) = outbox(Arc::clone(&all));
        let taken = (0..100)
            .take_while(|_| outbox.deliver(message(64 * 1024)))
            .count();
        assert_eq!(taken, OUTBOX_BYTES_MAX / (64 * 1024));
        assert!(inbox.next().await.is_some());
        drop((outbox, inbox));
        assert_eq!(
            all.load(Ordering::Relaxed),
            0,
            "what was never sent no longer waits"
        );
    }

    #[test]
    fn a_socket_that_has_closed_is_not_too_slow() {
        let all = Arc::default();
        let (outbox, inbox) = outbox(Arc::clone(&all));
        drop(inbox);
        assert!((0..2 * OUTBOX_MESSAGES_MAX).all(|_| outbox.deliver(message(64 * 1024))));
        assert_eq!(all.load(Ordering::Relaxed), 0, "nothing waits for it");
    }

    #[test]
    fn when_much_waits_for_others_each_has_its_share() {
        let all = Arc::new(AtomicUsize::new(OUTBOXES_BYTES_MAX));
        let (outbox, _inbox) = outbox(all);
        assert!(outbox.deliver(message(FAIR_SHARE)));
        assert!(!outbox.deliver(message(1)));
    }
}
