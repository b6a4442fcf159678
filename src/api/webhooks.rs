//! Events told to other programs: signed as Standard Webhooks 1.0 has it, kept until they have arrived.
//!
//! One task writes what happens into the store's outbox, another sends what is due from there. Of files it is
//! `files` that writes, together with the note that they are told of. So nothing
//! that was written is lost with the process: whoever starts next sends it. A receiver may get an event
//! twice, with the same `webhook-id`, and events may overtake each other.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::now;
use super::settings::{WebhookKey, WebhookSettings};
use crate::id::RoomName;
use crate::message::FileEntry;
use crate::room::{News, Place};
use crate::rooms::RoomsHandle;
use crate::store::{self, Event, NewEvent, Store};

/// How long one attempt may take, from the first packet to the answer's head.
const ATTEMPT: Duration = Duration::from_secs(15);

/// For how long an event that was taken up is nobody else's: an attempt, and its report.
const LEASE: Duration = Duration::from_secs(60);

/// How many are sent at a time.
const AT_ONCE: u32 = 8;

/// How often the outbox is looked into when nothing new has come: what is tried again is due to the second or so.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long to wait before each further attempt; the last goes on until the store forgets the event, after three days.
const WAITS: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(6 * 60 * 60),
];

/// For how long what has happened is still written down, and what is on its way waited for, when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What an operator reads when receivers have been away for long.
pub(super) const TOO_MANY_WAIT: &str =
    "too many events wait for webhooks that do not answer; one is not told";

/// Tells other programs of what happens.
pub struct Webhooks {
    urls: Vec<String>,
    key: WebhookKey,
    rooms: RoomsHandle,
    store: Store,
    stop: CancellationToken,
    /// Something was written into the outbox.
    written: Notify,
    tls: Arc<ClientConfig>,
}

impl Webhooks {
    /// Tells those in `settings`; `None` when there are none, or nothing to sign with.
    #[must_use]
    pub fn new(
        settings: &WebhookSettings,
        rooms: RoomsHandle,
        store: Store,
        stop: CancellationToken,
    ) -> Option<Arc<Self>> {
        let key = settings.key.clone()?;
        if settings.urls.is_empty() {
            return None;
        }
        Some(Arc::new(Self {
            urls: settings.urls.clone(),
            key,
            rooms,
            store,
            stop,
            written: Notify::new(),
            tls: Arc::new(tls_config()),
        }))
    }

    /// Writes what happens into the outbox, until the server stops.
    pub async fn write(self: Arc<Self>) {
        let mut news = self.rooms.news();
        loop {
            let heard = tokio::select! {
                () = self.stop.cancelled() => break,
                heard = news.recv() => heard,
            };
            match heard {
                Ok(news) => self.note(&news).await,
                Err(RecvError::Lagged(missed)) => {
                    warn!(
                        missed,
                        "more happened than could be written down for webhooks"
                    );
                }
                Err(RecvError::Closed) => return,
            }
        }
        let rest = async {
            loop {
                match news.try_recv() {
                    Ok(news) => self.note(&news).await,
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(TryRecvError::Empty | TryRecvError::Closed) => return,
                }
            }
        };
        if timeout(LAST_WORDS, rest).await.is_err() {
            warn!("not all that happened at the end could be written down for webhooks");
        }
    }

    /// Sends what is due, until the server stops.
    pub async fn send(self: Arc<Self>) {
        let mut attempts = JoinSet::new();
        loop {
            let free = AT_ONCE.saturating_sub(u32::try_from(attempts.len()).unwrap_or(AT_ONCE));
            let mut taken = 0;
            if free > 0 {
                match self.store.take_events(now(), LEASE, free).await {
                    Ok(events) => {
                        taken = events.len();
                        for event in events {
                            let webhooks = Arc::clone(&self);
                            attempts.spawn(async move { webhooks.attempt(event).await });
                        }
                    }
                    // The cause has been logged.
                    Err(_) => sleep(LOOK_EVERY).await,
                }
            }
            if taken > 0 && attempts.len() < AT_ONCE as usize {
                continue;
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(_) = attempts.join_next() => {}
                () = self.written.notified() => {}
                () = sleep(LOOK_EVERY) => {}
            }
        }
        // Those that are cut off are made again after the lease.
        let _ = timeout(LAST_WORDS, attempts.join_all()).await;
    }

    async fn note(&self, news: &News) {
        let Some((event, data)) = told(news) else {
            return;
        };
        for event in self.events(event, &data) {
            match self.store.add_event(&event).await {
                Ok(_) => self.wake(),
                Err(store::Error::TooMuch) => warn!("{TOO_MANY_WAIT}"),
                Err(error) => warn!(%error, "an event could not be written down for webhooks"),
            }
        }
    }

    /// What tells of a file that was shared with everyone in a room: to be written down together with the note
    /// that it is told of.
    pub(super) fn file_added(
        &self,
        room: &RoomName,
        is_kept: bool,
        file: &FileEntry,
    ) -> Vec<NewEvent> {
        let data = json!({"room": room, "kept": is_kept, "file": file});
        self.events("file.added", &data)
    }

    /// Something was written into the outbox.
    pub(super) fn wake(&self) {
        self.written.notify_one();
    }

    fn events(&self, event: &str, data: &Value) -> Vec<NewEvent> {
        let created = now();
        let body = json!({"type": event, "timestamp": rfc3339(created), "data": data}).to_string();
        let to = |url: &String| NewEvent {
            url: url.clone(),
            event: event.to_owned(),
            body: body.clone(),
            created,
        };
        self.urls.iter().map(to).collect()
    }

    async fn attempt(&self, event: Event) {
        let outcome = timeout(ATTEMPT, self.deliver(&event)).await;
        let arrived = match outcome {
            Ok(Ok(status)) if status.is_success() => true,
            // The receiver wants no more of it (Standard Webhooks).
            Ok(Ok(StatusCode::GONE)) => true,
            Ok(Ok(status)) => {
                debug!(%status, event = event.of.event, "a webhook did not take an event");
                false
            }
            Ok(Err(error)) => {
                debug!(
                    error,
                    event = event.of.event,
                    "a webhook could not be reached"
                );
                false
            }
            Err(_) => {
                debug!(event = event.of.event, "a webhook did not answer in time");
                false
            }
        };
        let reported = if arrived {
            self.store.forget_event(event.id).await
        } else {
            let wait = wait_after(event.attempts);
            let due = now().saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
            self.store.retry_event(event.id, due).await
        };
        match reported {
            Ok(()) | Err(store::Error::NotFound) => {}
            // It is due again after its lease.
            Err(error) => warn!(%error, "what became of an event could not be written down"),
        }
    }

    async fn deliver(&self, event: &Event) -> Result<StatusCode, Box<dyn Error + Send + Sync>> {
        let uri: Uri = event.of.url.parse()?;
        let host = uri.host().unwrap_or_default();
        let encrypted = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let request = self.request(event, &uri)?;
        let stream = TcpStream::connect((bare, port)).await?;
        if encrypted {
            let name = ServerName::try_from(bare.to_owned())?;
            let tls = TlsConnector::from(Arc::clone(&self.tls));
            exchange(tls.connect(name, stream).await?, request).await
        } else {
            exchange(stream, request).await
        }
    }

    fn request(
        &self,
        event: &Event,
        uri: &Uri,
    ) -> Result<Request<Full<Bytes>>, Box<dyn Error + Send + Sync>> {
        let id = event.id.to_string();
        let timestamp = (now() / 1000).to_string();
        let signature = sign(&self.key, &id, &timestamp, &event.of.body);
        let authority = uri.authority().map(|authority| authority.as_str());
        // HTTP/1.1 asks for the path alone (RFC 9112 §3.2.1).
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path)
            .header(HOST, authority.unwrap_or_default())
            .header(USER_AGENT, "Turnstone")
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(Full::from(event.of.body.clone()))?;
        Ok(request)
    }
}

/// Sends the request and waits for the answer's head; nobody reads the rest.
async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, Box<dyn Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        answer = answer.as_mut() => Ok(answer?.status()),
        ended = connection.as_mut() => {
            ended?;
            // The answer may have come with the end.
            Ok(answer.await?.status())
        }
    }
}

/// `v1,` and the HMAC-SHA256 of id, timestamp and body, in Base64.
fn sign(key: &WebhookKey, id: &str, timestamp: &str, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let tag = hmac::sign(&key.0, signed.as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(tag))
}

/// How long to wait after that many earlier attempts and one more.
fn wait_after(attempts: u64) -> Duration {
    let at = usize::try_from(attempts).unwrap_or(usize::MAX);
    WAITS
        .get(at)
        .or(WAITS.last())
        .copied()
        .unwrap_or(LOOK_EVERY)
}

/// What is told of what happened, if anything is.
fn told(news: &News) -> Option<(&'static str, Value)> {
    let room = |place: &Place| json!({"room": place.room, "kept": place.kept.is_some()});
    let with = |place: &Place, more: Value| {
        let mut data = room(place);
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        data
    };
    match news {
        News::Started(place) => Some(("room.started", room(place))),
        News::Ended(place) => Some(("room.ended", room(place))),
        News::Joined {
            place,
            session,
            name,
            role,
        } => {
            let person = json!({"sessionId": session, "username": name, "role": role});
            Some(("member.joined", with(place, person)))
        }
        News::Left {
            place,
            session,
            name,
        } => {
            let person = json!({"sessionId": session, "username": name});
            Some(("member.left", with(place, person)))
        }
        News::Created(_) | News::Changed { .. } | News::Deleted(_) => None,
    }
}

/// A moment in milliseconds since 1970 as RFC 3339 has it, in UTC.
fn rfc3339(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    // Days are counted in eras of 400 years from 1 March of the year 0, so that leap days come last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        ms % 1000
    )
}

/// Trusts the authorities that this machine trusts.
fn tls_config() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    // Without authorities, connections fail and say so; a receiver without TLS needs none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    match builder.with_safe_default_protocol_versions() {
        Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
        Err(_) => unreachable!("ring has the suites of TLS 1.2 and 1.3"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        // The example of the specification's reference libraries.
        let key = WebhookKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(
            sign(
                &key,
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                "1614265330",
                r#"{"test": 2432232314}"#
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_key_has_its_prefix_and_24_to_64_bytes() {
        assert!(WebhookKey::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none());
        assert!(WebhookKey::parse("whsec_c2hvcnQ=").is_none());
        assert!(WebhookKey::parse("whsec_!").is_none());
        let long = BASE64_STANDARD.encode([0; 65]);
        assert!(WebhookKey::parse(&format!("whsec_{long}")).is_none());
    }

    #[test]
    fn waits_grow_and_then_stay() {
        assert_eq!(wait_after(0), WAITS[0]);
        assert_eq!(wait_after(6), WAITS[6]);
        assert_eq!(wait_after(u64::MAX), WAITS[6]);
        assert!(WAITS.is_sorted());
    }

    #[test]
    fn moments_are_written_as_rfc_3339_has_them() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), text);
        }
    }
}
