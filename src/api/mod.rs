//! The HTTP API (shell): what programs ask, under `/api/v1`.
//!
//! It gets requests as they came, their bodies unread, and answers them. How they arrive is `web`'s matter.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio_util::sync::CancellationToken;

use crate::rooms::RoomsHandle;
use crate::store::Store;
use crate::store::password::Passwords;
use crate::token::Tokens;

/// What an answer says, as it comes.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// A request, and where it comes from.
#[derive(Debug)]
pub struct Asked {
    /// The request, nothing of its body read.
    pub request: Request<Incoming>,
    /// Where it was sent, as the client wrote it, port included; a valid host.
    pub host: String,
    /// Who it is.
    pub client: SocketAddr,
}

/// What the API is made of.
pub struct Parts {
    /// Who is where at the moment, and the way to change rooms that are kept.
    pub rooms: RoomsHandle,
    /// What is kept.
    pub store: Store,
    /// Hashes rooms' passwords, for the whole server.
    pub passwords: Passwords,
    /// Makes and reads room tokens.
    pub tokens: Tokens,
    /// Fires when the server stops: answers without an end then have one.
    pub stop: CancellationToken,
}

/// Answers the API.
pub struct Api {
    _parts: Parts,
}

impl Api {
    /// Answers from what its parts know.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { _parts: parts }
    }

    /// The answer to a request.
    pub async fn answer(&self, _asked: Asked) -> Response<Body> {
        problem(StatusCode::NOT_FOUND, "Not Found")
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

/// An error in the form of RFC 9457.
fn problem(status: StatusCode, title: &str) -> Response<Body> {
    let words = serde_json::json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
    });
    let body = Full::from(words.to_string()).map_err(|never| match never {});
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/problem+json");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A body that nobody took may still be on its way.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
