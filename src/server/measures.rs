//! What the operator can watch: each part's own numbers, under their names for Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use crate::admin::{BadName, Metrics};
use crate::relay::RelayHandle;
use crate::rooms::Gauges;
use crate::signaling::Signaling;
use crate::web::{Limits, Tls};

/// The numbers of all parts.
///
/// # Errors
/// Two numbers of the same name, a fault of ours.
pub(super) fn measures(
    rooms: &Arc<Gauges>,
    signaling: &Arc<Signaling>,
    limits: &Arc<Limits>,
    relay: &RelayHandle,
    tls: &Tls,
) -> Result<Metrics, BadName> {
    let metrics = Metrics::default();
    let count = |name, help, of: fn(&Gauges) -> &AtomicUsize| {
        let rooms = Arc::clone(rooms);
        metrics.gauge(name, help, move || {
            number(of(&rooms).load(Ordering::Relaxed))
        })
    };
    count("turnstone_rooms", "Rooms with someone in them.", |rooms| {
        &rooms.rooms
    })?;
    count("turnstone_people", "People in rooms.", |rooms| {
        &rooms.people
    })?;
    let sockets = Arc::clone(signaling);
    metrics.gauge("turnstone_websockets", "Open WebSockets.", move || {
        number(sockets.open_sockets())
    })?;
    let open = Arc::clone(limits);
    metrics.gauge(
        "turnstone_connections",
        "Open TCP connections.",
        move || number(open.connections.open()),
    )?;
    let refused = Arc::clone(limits);
    metrics.counter(
        "turnstone_connections_refused_total",
        "TCP connections refused because of a limit.",
        move || number(refused.connections.refused()),
    )?;
    let relay = relay.clone();
    metrics.gauge(
        "turnstone_relay_allocations",
        "TURN allocations.",
        move || f64::from(relay.allocations()),
    )?;
    let tls = tls.clone();
    metrics.gauge(
        "turnstone_certificate_expires_seconds",
        "When the certificate ends, in seconds since 1970.",
        move || {
            tls.not_after()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64()
        },
    )?;
    Ok(metrics)
}

/// A count as Prometheus has it; exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn number(count: usize) -> f64 {
    count as f64
}
