//! Which requests become WebSockets (RFC 6455 §4.2), and how one is handed over once it has.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Version};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::limits::Guard;

/// Where our own page's sockets go.
pub(super) const PAGE_PATH: &str = "/ws";

/// Paths that belong to clients whose dialect this server does not speak.
const CLAIMED: [&str; 4] = ["/signal", "/videoCall", "/call", "/websocket"];
/// The same, with everything that begins so. The API answers requests only.
const CLAIMED_BELOW: [&str; 4] = ["/ws/", "/ws-stomp", "/chatforyou/", "/api/"];

/// A WebSocket whose handshake is done: frames follow.
pub struct UpgradedSocket {
    /// The connection.
    pub stream: TokioIo<Upgraded>,
    /// Whether it is our own page's, which knows more than the oldest protocol.
    pub page: bool,
    /// Where the request was sent, as the client wrote it, port included; a valid host.
    pub host: String,
    /// Who it is.
    pub client: SocketAddr,
    /// The seat among the sockets of its address: to be kept as long as the socket.
    pub guard: Guard,
}

/// What to do with a socket.
pub type OnSocket = Arc<dyn Fn(UpgradedSocket) + Send + Sync>;

/// Why a request for a WebSocket cannot become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing listens there.
    NotFound,
    /// Only version 13 exists (RFC 6455 §4.4).
    Version,
    /// The request is not one of RFC 6455 §4.1.
    Malformed,
}

/// Whether a request asks for a WebSocket, well or badly. HTTP/2 has no upgrade; browsers then connect anew.
pub(super) fn is_asked<B>(request: &Request<B>) -> bool {
    request.version() < Version::HTTP_2 && lists(request.headers(), UPGRADE, "websocket")
}

/// The key to answer with (RFC 6455 §4.2.2), if the request is sound and its path is not another client's.
pub(super) fn accept_key<B>(request: &Request<B>) -> Result<String, Refusal> {
    let path = request.uri().path();
    if CLAIMED.contains(&path.trim_end_matches('/'))
        || CLAIMED_BELOW
            .iter()
            .any(|claimed| path.starts_with(claimed))
    {
        return Err(Refusal::NotFound);
    }
    let headers = request.headers();
    if only(headers, SEC_WEBSOCKET_VERSION) != Some(b"13".as_slice()) {
        return Err(Refusal::Version);
    }
    let is_sound = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && lists(headers, CONNECTION, "upgrade");
    let key = only(headers, SEC_WEBSOCKET_KEY)
        .filter(|key| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16));
    match key {
        Some(key) if is_sound => Ok(derive_accept_key(key)),
        _ => Err(Refusal::Malformed),
    }
}

/// The value of a header that may stand there once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.as_bytes();
    values.next().is_none().then_some(value)
}

/// Whether a comma-separated header has a token, in whatever case.
fn lists(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, changes: &[(&str, Option<&str>)]) -> Request<()> {
        let mut headers = vec![
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in changes {
            headers.retain(|(kept, _)| kept != name);
            headers.extend(value.map(|value| (*name, value)));
        }
        let request = Request::builder().uri(path);
        headers
            .into_iter()
            .fold(request, |r, (name, value)| r.header(name, value))
            .body(())
            .unwrap()
    }

    #[test]
    fn the_key_is_answered_as_in_the_standards_example() {
        let answer = accept_key(&request("/", &[]));
        assert_eq!(answer, Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()));
    }

    #[test]
    fn other_clients_paths_are_not_found_and_all_the_rest_is_welcome() {
        for path in [
            "/ws/",
            "/ws/room",
            "/ws-stomp",
            "/ws-stomp/123/x/websocket",
            "/ws-stomper",
            "/signal",
            "/chatforyou/x",
            "/videoCall",
            "/call",
            "/websocket",
            "/api/v1/events",
            "/call?room=1",
        ] {
            assert_eq!(
                accept_key(&request(path, &[])),
                Err(Refusal::NotFound),
                "{path}"
            );
        }
        for path in [
            "/", "/ws", "/ws?x=1", "/wss", "/socket", "/signals", "/calls", "/r/tea", "/healthz",
        ] {
            assert!(accept_key(&request(path, &[])).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_request_that_is_not_quite_one_is_refused() {
        assert!(!is_asked(&request("/", &[("upgrade", None)])));
        assert!(!is_asked(&request("/", &[("upgrade", Some("h2c"))])));
        assert!(is_asked(&request("/", &[("upgrade", Some("WebSocket"))])));
        for (header, value, refusal) in [
            ("connection", Some("close"), Refusal::Malformed),
            ("sec-websocket-key", None, Refusal::Malformed),
            (
                "sec-websocket-key",
                Some("dG9vIHNob3J0"),
                Refusal::Malformed,
            ),
            (
                "sec-websocket-key",
                Some("not base64 at all"),
                Refusal::Malformed,
            ),
            ("sec-websocket-version", None, Refusal::Version),
            ("sec-websocket-version", Some("8"), Refusal::Version),
        ] {
            assert_eq!(
                accept_key(&request("/", &[(header, value)])),
                Err(refusal),
                "{header}: {value:?}"
            );
        }
    }
}
