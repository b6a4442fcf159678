//! What is kept needs looking after: whether the store answers, and what in it has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::rooms::RoomsHandle;
use crate::store::{CutShort, Error, Store, Swept};

/// How often the store is asked whether it answers: as often as load balancers ask us.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How long it may take to answer; a healthy database takes milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How often what has ended is cleared: what is over is gone within minutes.
const SWEEP_EVERY: Duration = Duration::from_secs(5 * 60);

/// Whether the store answered when it was last asked. It has when it was opened.
#[derive(Debug, Clone)]
pub(super) struct Health(Arc<AtomicBool>);

impl Health {
    pub(super) fn good() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub(super) fn is_good(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Says so once when it changes, not each time.
    fn note(&self, is_good: bool) {
        if self.0.swap(is_good, Ordering::Relaxed) == is_good {
            return;
        }
        if is_good {
            info!("the store answers again");
        } else {
            warn!("the store does not answer; people in rooms go on, but nobody can enter others");
        }
    }
}

/// Asks the store now and then whether it answers, until `stop`.
pub(super) async fn watch(store: Store, health: Health, stop: CancellationToken) {
    let mut due = interval(ASK_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        let Some(answer) = stop
            .run_until_cancelled(timeout(ANSWER_WITHIN, store.ping()))
            .await
        else {
            return;
        };
        health.note(matches!(answer, Ok(Ok(()))));
    }
}

/// Clears what was left by rooms that are not kept, none of which outlives a restart.
pub(super) async fn begin(store: &Store) {
    // The cause has been logged; what is left then lies there until the next start.
    if let Ok(cleared @ 1..) = store.clear_shelves(now()).await {
        info!(
            rooms = cleared,
            "cleared the files of rooms that have ended"
        );
    }
}

/// Clears what has ended, now and then, until `stop`, and tells people in rooms whose time is over. What was begun is
/// finished by the next sweep, or after a restart.
pub(super) async fn sweep(store: Store, rooms: RoomsHandle, stop: CancellationToken) {
    let mut due = interval(SWEEP_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        let (swept, failure) = match stop.run_until_cancelled(store.sweep(now())).await {
            Some(Ok(swept)) => (swept, None),
            Some(Err(CutShort { swept, cause })) => (swept, Some(cause)),
            None => return,
        };
        // Those that are gone are gone, whatever failed after them.
        rooms.swept(&swept.rooms).await;
        match failure {
            None => say(&swept),
            // The cause has been logged; the next one tries again.
            Some(Error::Unavailable) => {}
            Some(error) => warn!(%error, "what has ended could not be cleared"),
        }
    }
}

fn say(swept: &Swept) {
    if *swept == Swept::default() {
        return debug!("nothing has ended");
    }
    info!(
        rooms = swept.rooms.len(),
        messages = swept.messages,
        files = swept.files,
        invites = swept.invites,
        events = swept.events,
        pieces = swept.pieces,
        "cleared what has ended"
    );
}

/// The time, in milliseconds since 1970.
fn now() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
