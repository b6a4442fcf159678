//! HTTP/1.1 and HTTP/2 on a connection that TLS protects: the pages, the small answers, and requests for WebSockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, LOCATION,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_VERSION, UPGRADE, VARY,
};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Settings;
use super::api::{self, ApiRequest, Body, OnApi};
use super::assets::{self, Asset, Caching, Encoding};
use super::headers::Security;
use super::host::{Asks, Host, NotAnOrigin, Origin};
use super::limits::{Guard, Limits};
use super::stream::Patient;
use super::tls::Tls;
use super::upgrade::{self, OnSocket, Refusal, UpgradedSocket};
use super::well_known::{self, WellKnown};
use crate::percent;

/// How long a request's head may take, and how long an idle HTTP/1.1 connection is kept for another.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest head; what browsers send is below 2 KiB, since there are no cookies.
pub(super) const LARGEST_HEAD: usize = 16 * 1024;
/// The most headers in one head.
pub(super) const MOST_HEADERS: usize = 64;
/// How long a client may take nothing of what it is sent.
pub(super) const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// Requests at once on an HTTP/2 connection; a page with all its modules is about as many.
const MOST_STREAMS: u32 = 100;
/// What is buffered of one answer before the client takes it.
const STREAM_BUFFER: usize = 64 * 1024;
/// An HTTP/2 connection without a request for this long, or twice this, is closed.
const H2_IDLE: Duration = Duration::from_secs(60);
/// How long a connection that is being closed may take to finish its answers.
const FINISH: Duration = Duration::from_secs(30);
/// The longest room link that is answered: 64 characters of four bytes, percent-encoded, and some room.
const LONGEST_ROOM: usize = 1024;

/// Answers HTTP on the protected port.
pub struct Http {
    tls: Tls,
    limits: Arc<Limits>,
    allowed: Vec<Origin>,
    security: Security,
    well_known: WellKnown,
    on_socket: OnSocket,
    on_api: OnApi,
}

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    pub(super) local: SocketAddr,
}

/// A WebSocket that was promised: it exists once the answer has been written.
struct Promised {
    upgrade: OnUpgrade,
    page: bool,
    host: String,
    guard: Guard,
}

type Slot = Mutex<Option<Promised>>;

impl Http {
    /// Answers with the embedded pages, hands WebSockets to `on_socket` and requests for the API to `on_api`.
    /// Sockets are counted in `limits`.
    ///
    /// # Errors
    /// An allowed origin or frame ancestor in `settings` is not an origin.
    pub fn new(
        settings: &Settings,
        data_dir: &Path,
        tls: Tls,
        limits: Arc<Limits>,
        on_socket: OnSocket,
        on_api: OnApi,
    ) -> Result<Self, NotAnOrigin> {
        Ok(Self {
            tls,
            limits,
            allowed: settings
                .allow_origins
                .iter()
                .map(|text| text.parse())
                .collect::<Result<_, _>>()?,
            security: Security::new(&settings.frame_ancestors)?,
            well_known: WellKnown::new(settings.well_known_dir(data_dir)),
            on_socket,
            on_api,
        })
    }

    /// Serves one connection until it ends, or until `stop` and what it was then doing is done.
    pub(super) async fn serve<S>(
        self: &Arc<Self>,
        stream: S,
        ends: Ends,
        protocol: Protocol,
        stop: &CancellationToken,
    ) where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let io = TokioIo::new(Patient::new(stream, WRITE_PATIENCE));
        let ended = match protocol {
            Protocol::Http1 => self.serve_http1(io, ends, stop).await,
            Protocol::Http2 => self.serve_http2(io, ends, stop).await,
        };
        if let Err(reason) = ended {
            debug!(%reason, "an HTTP connection ended early");
        }
    }

    async fn serve_http1<S>(
        &self,
        io: TokioIo<Patient<S>>,
        ends: Ends,
        stop: &CancellationToken,
    ) -> Result<(), hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let promised = Slot::default();
        let service = service_fn(|request| self.answer(request, ends, &promised));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(LARGEST_HEAD)
            .max_headers(MOST_HEADERS)
            .serve_connection(io, service)
            .with_upgrades();
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => ended?,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(FINISH, connection).await; // what it had to say was said, or its time is over
                return Ok(());
            }
        }
        let promised = promised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Promised {
            upgrade,
            page,
            host,
            guard,
        }) = promised
        {
            let stream = TokioIo::new(upgrade.await?);
            (self.on_socket)(UpgradedSocket {
                stream,
                page,
                host,
                client: ends.client,
                guard,
            });
        }
        Ok(())
    }

    async fn serve_http2<S>(
        self: &Arc<Self>,
        io: TokioIo<Patient<S>>,
        ends: Ends,
        stop: &CancellationToken,
    ) -> Result<(), hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        // Held by every answer that is not over yet.
        let busy = Arc::new(());
        let held = Arc::clone(&busy);
        let http = Arc::clone(self);
        let service = service_fn(move |request| {
            counter.fetch_add(1, Ordering::Relaxed);
            let (http, held) = (Arc::clone(&http), Arc::clone(&held));
            // No upgrade is promised here: HTTP/2 has none.
            async move {
                let response = http.answer(request, ends, &Slot::default()).await?;
                Ok::<_, Infallible>(response.map(|body| api::holding(body, held)))
            }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MOST_STREAMS)
            .max_header_list_size(LARGEST_HEAD as u32)
            .max_send_buf_size(STREAM_BUFFER)
            .serve_connection(io, service);
        let mut connection = pin!(connection);
        let mut look = interval(H2_IDLE);
        let mut asked_before = None;
        loop {
            tokio::select! {
                ended = connection.as_mut() => return ended,
                () = stop.cancelled() => break,
                _ = look.tick() => {
                    let asked = asked.load(Ordering::Relaxed);
                    // Ours and the service's own aside, each is an upload or an answer that goes on.
                    let is_busy = Arc::strong_count(&busy) > 2;
                    if asked_before.replace(asked) == Some(asked) && !is_busy {
                        break;
                    }
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        let _ = timeout(FINISH, connection).await; // what it had to say was said, or its time is over
        Ok(())
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        ends: Ends,
        promised: &Slot,
    ) -> Result<Response<Body>, Infallible> {
        let host = Host::of(&request);
        let is_head = request.method() == Method::HEAD;
        let is_http2 = request.version() == Version::HTTP_2;
        let mut response = match &host {
            Ok(host) if upgrade::is_asked(&request) => self.upgrade(request, host, ends, promised),
            Ok(host) if api::is_asked(&request) => self.ask_api(request, host, ends).await,
            Ok(_) => self.route(&request).await,
            // Simple health checks speak HTTP/1.0, which knows no Host (RFC 1945).
            Err(_) if is_without_host(&request) => self.route(&request).await,
            Err(bad) => text(StatusCode::BAD_REQUEST, bad.to_string()),
        };
        if is_head {
            without_body(&mut response);
        }
        if is_http2 {
            response.headers_mut().remove(CONNECTION); // RFC 9113 §8.2.2
        }
        let trusted_port = self.tls.is_trusted().then_some(ends.local.port());
        self.security
            .add(response.headers_mut(), host.as_ref().ok(), trusted_port);
        Ok(response)
    }

    fn upgrade(
        &self,
        mut request: Request<Incoming>,
        host: &Host,
        ends: Ends,
        promised: &Slot,
    ) -> Response<Body> {
        let key = match upgrade::accept_key(&request) {
            Ok(key) if request.body().is_end_stream() => key,
            Err(Refusal::NotFound) => return not_found(&request),
            Err(Refusal::Version) => {
                let mut response = text(
                    StatusCode::UPGRADE_REQUIRED,
                    "WebSocket version 13 is needed",
                );
                set(&mut response, SEC_WEBSOCKET_VERSION, "13");
                set(&mut response, UPGRADE, "websocket");
                return response;
            }
            Ok(_) | Err(Refusal::Malformed) => {
                return text(StatusCode::BAD_REQUEST, "this is not a WebSocket request");
            }
        };
        if Origin::asks(request.headers(), host, &self.allowed) == Asks::Foreign {
            return text(
                StatusCode::FORBIDDEN,
                "pages of this origin may not connect here",
            );
        }
        let Some(guard) = self.limits.sockets.take(ends.client.ip()) else {
            return text(
                StatusCode::TOO_MANY_REQUESTS,
                "too many WebSockets are open from your address",
            );
        };
        *promised.lock().unwrap_or_else(PoisonError::into_inner) = Some(Promised {
            upgrade: hyper::upgrade::on(&mut request),
            page: request.uri().path() == upgrade::PAGE_PATH,
            host: host.as_str().to_owned(),
            guard,
        });
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        set(&mut response, CONNECTION, "Upgrade");
        set(&mut response, UPGRADE, "websocket");
        set(&mut response, SEC_WEBSOCKET_ACCEPT, &key);
        response
    }

    async fn ask_api(&self, request: Request<Incoming>, host: &Host, ends: Ends) -> Response<Body> {
        let mut response = match Origin::asks(request.headers(), host, &self.allowed) {
            Asks::Foreign => closing(reply(
                StatusCode::FORBIDDEN,
                "application/problem+json",
                r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"denied","detail":"Pages of other sites may not ask here."}"#,
            )),
            Asks::Allowed(origin) => {
                let mut response = if api::is_preflight(&request) {
                    api::preflight()
                } else {
                    self.hand_on(request, host, ends).await
                };
                api::let_read(response.headers_mut(), origin);
                response
            }
            Asks::Own => self.hand_on(request, host, ends).await,
        };
        api::vary_by_origin(response.headers_mut());
        response
    }

    async fn hand_on(&self, request: Request<Incoming>, host: &Host, ends: Ends) -> Response<Body> {
        (self.on_api)(ApiRequest {
            request,
            host: host.as_str().to_owned(),
            client: ends.client,
        })
        .await
    }

    async fn route(&self, request: &Request<Incoming>) -> Response<Body> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = text(
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET and HEAD are answered here",
            );
            set(&mut response, ALLOW, "GET, HEAD");
            return closing(response);
        }
        if !request.body().is_end_stream() {
            return closing(text(StatusCode::PAYLOAD_TOO_LARGE, "nothing is taken here"));
        }
        let path = request.uri().path();
        if path == "/" {
            let room = request.uri().query().and_then(link_of_roomrequest);
            return match room {
                Some(link) => see(&link),
                None => asset(request, "/").await,
            };
        }
        if path == "/healthz" {
            return text(StatusCode::OK, "ok");
        }
        if path == upgrade::PAGE_PATH {
            let mut response = text(StatusCode::UPGRADE_REQUIRED, "this is for WebSockets");
            set(&mut response, UPGRADE, "websocket");
            return response;
        }
        if path == "/test" || is_room_link(path) {
            return asset(request, "/").await;
        }
        if let Some(link) = path.strip_suffix('/').filter(|link| is_room_link(link)) {
            let query = request.uri().query();
            let link = query.map_or(link.to_owned(), |query| format!("{link}?{query}"));
            return moved(&link);
        }
        if path.starts_with(well_known::PREFIX) {
            return match self.well_known.find(path).await {
                Some(file) => reply(StatusCode::OK, file.kind, file.body),
                None => not_found(request),
            };
        }
        asset(request, path).await
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

fn is_without_host<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_10 && !request.headers().contains_key(HOST)
}

/// `/r/<room>`, whatever the name; the page says what is wrong with it.
fn is_room_link(path: &str) -> bool {
    path.strip_prefix("/r/")
        .is_some_and(|room| (1..=LONGEST_ROOM).contains(&room.len()) && !room.contains('/'))
}

/// `roomrequest=<room>` in a query, as the link that the page has for it; what else was asked stays.
fn link_of_roomrequest(query: &str) -> Option<String> {
    let is_room = |part: &&str| part.starts_with("roomrequest=");
    let room = query
        .split('&')
        .find(is_room)?
        .strip_prefix("roomrequest=")?;
    let room = percent::decode(&room.replace('+', " "))?;
    // A path of dots would be taken for a way up.
    if matches!(room.as_str(), "" | "." | "..") {
        return None;
    }
    let link = format!("/r/{}", percent::encode(&room));
    let rest: Vec<&str> = query
        .split('&')
        .filter(|part| !is_room(part) && !part.is_empty())
        .collect();
    let link = if rest.is_empty() {
        link
    } else {
        format!("{link}?{}", rest.join("&"))
    };
    (link.len() <= LONGEST_ROOM).then_some(link)
}

async fn asset(request: &Request<Incoming>, path: &str) -> Response<Body> {
    let Some(asset) = assets::find(path) else {
        return not_found(request);
    };
    let wanted = best_encoding(request.headers());
    if !asset.is_ready(wanted) {
        // Once per file: compressing takes longer than an async thread may be kept.
        let _ = tokio::task::spawn_blocking(move || asset.body(wanted)).await; // below it is tried again
    }
    served(asset, wanted, request.headers())
}

fn served(asset: &Asset, wanted: Encoding, asked: &HeaderMap) -> Response<Body> {
    let (encoding, body) = asset.body(wanted);
    let etag = asset.etag(encoding);
    let mut response = if is_known(asked, &etag) {
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = reply(StatusCode::OK, asset.kind, body);
        if let Some(name) = encoding.name() {
            set(&mut response, CONTENT_ENCODING, name);
        }
        response
    };
    set(&mut response, ETAG, &etag);
    let caching = match asset.caching {
        Caching::ForEver => "public, max-age=31536000, immutable",
        Caching::AskAgain => "no-cache",
    };
    set(&mut response, CACHE_CONTROL, caching);
    if asset.varies() {
        set(&mut response, VARY, "accept-encoding");
    }
    response
}

/// Whether the client has this version already (RFC 9110 §13.1.2).
fn is_known(asked: &HeaderMap, etag: &str) -> bool {
    asked
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim())
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The smallest encoding that the client accepts (RFC 9110 §12.5.3); those it ranks at zero it does not.
fn best_encoding(asked: &HeaderMap) -> Encoding {
    let accepts = |name: &str| {
        asked
            .get_all(ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|part| {
                let mut words = part.split(';').map(str::trim);
                let rank = || {
                    part.split_once("q=")
                        .map_or(Some(1.0), |(_, rank)| rank.trim().parse().ok())
                };
                words
                    .next()
                    .is_some_and(|word| word.eq_ignore_ascii_case(name))
                    && rank().is_some_and(|rank: f32| rank > 0.0)
            })
    };
    if accepts("br") {
        Encoding::Brotli
    } else if accepts("gzip") {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

fn not_found<B>(request: &Request<B>) -> Response<Body> {
    const PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
        <meta name=\"viewport\" content=\"width=device-width\"><title>Not found</title>\
        <p>There is nothing here. <a href=\"/\">Start a call</a></p></html>";
    const PROBLEM: &str = r#"{"type":"about:blank","title":"Not Found","status":404}"#;
    let wants_page = request
        .headers()
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"));
    let status = StatusCode::NOT_FOUND;
    if request.uri().path().starts_with("/api/") {
        reply(status, "application/problem+json", PROBLEM)
    } else if wants_page {
        reply(status, "text/html; charset=utf-8", PAGE)
    } else {
        text(status, "not found")
    }
}

fn moved(link: &str) -> Response<Body> {
    let mut response = text(
        StatusCode::PERMANENT_REDIRECT,
        "a room's link has no slash at its end",
    );
    set(&mut response, LOCATION, link);
    response
}

fn see(link: &str) -> Response<Body> {
    let mut response = text(StatusCode::FOUND, "see the room's own link");
    set(&mut response, LOCATION, link);
    response
}

pub(super) fn text(status: StatusCode, words: impl Into<String>) -> Response<Body> {
    reply(status, "text/plain; charset=utf-8", words.into())
}

/// Not to be kept, unless the caller says otherwise.
pub(super) fn reply(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {});
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, kind);
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

/// The client may be about to send what nobody will read.
fn closing(mut response: Response<Body>) -> Response<Body> {
    set(&mut response, CONNECTION, "close");
    response
}

/// HEAD: the headers of GET, its length included, and nothing more (RFC 9110 §9.3.2).
fn without_body(response: &mut Response<Body>) {
    if response.status() == StatusCode::NOT_MODIFIED {
        return;
    }
    if let Some(length) = response.body().size_hint().exact() {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::default();
}

/// Sets a header; values here are our own or were checked, so one that cannot be written is left out.
pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_smallest_encoding_that_is_accepted_is_sent() {
        for (accepted, encoding) in [
            ("gzip, deflate, br, zstd", Encoding::Brotli),
            ("gzip;q=1.0, BR;q=0.5", Encoding::Brotli),
            ("br;q=0, gzip", Encoding::Gzip),
            ("br; q=0.000, gzip; q=0", Encoding::Identity),
            ("deflate", Encoding::Identity),
            ("brx", Encoding::Identity),
            ("br;q=many", Encoding::Identity),
            ("", Encoding::Identity),
        ] {
            assert_eq!(
                best_encoding(&headers(ACCEPT_ENCODING, &[accepted])),
                encoding,
                "{accepted}"
            );
        }
        assert_eq!(
            best_encoding(&headers(ACCEPT_ENCODING, &["deflate", "gzip"])),
            Encoding::Gzip
        );
        assert_eq!(best_encoding(&HeaderMap::new()), Encoding::Identity);
    }

    #[test]
    fn a_tag_is_known_in_a_list_and_in_its_weak_form() {
        let tag = "\"abc-br\"";
        for known in ["\"abc-br\"", "W/\"abc-br\"", "\"x\", \"abc-br\"", "*"] {
            assert!(is_known(&headers(IF_NONE_MATCH, &[known]), tag), "{known}");
        }
        for other in ["\"abc\"", "abc-br", ""] {
            assert!(!is_known(&headers(IF_NONE_MATCH, &[other]), tag), "{other}");
        }
    }

    #[test]
    fn an_old_link_to_a_room_leads_to_its_new_one() {
        for (query, link) in [
            ("roomrequest=tea", Some("/r/tea")),
            ("roomrequest=tea%20time", Some("/r/tea%20time")),
            ("roomrequest=tea+time", Some("/r/tea%20time")),
            (
                "lang=en&roomrequest=%EC%B0%A8&relay=1",
                Some("/r/%EC%B0%A8?lang=en&relay=1"),
            ),
            ("roomrequest=a%2F..%2Fb", Some("/r/a%2F..%2Fb")),
            ("roomrequest=%0d%0aX:%20y", Some("/r/%0D%0AX%3A%20y")),
            ("roomrequest=..", None),
            ("roomrequest=%2e", None),
            ("roomrequest=", None),
            ("roomrequest=%f", None),
            ("roomrequest=%ff", None),
            ("xroomrequest=tea", None),
            ("", None),
        ] {
            assert_eq!(link_of_roomrequest(query).as_deref(), link, "{query}");
        }
        assert_eq!(
            link_of_roomrequest(&format!("roomrequest={}", "a".repeat(2000))),
            None
        );
    }

    #[test]
    fn a_room_link_is_one_name() {
        assert!(is_room_link("/r/tea"));
        assert!(is_room_link("/r/%EC%B0%A8"));
        for path in ["/r/", "/r", "/r/a/b", "/rx/a"] {
            assert!(!is_room_link(path), "{path}");
        }
    }
}
