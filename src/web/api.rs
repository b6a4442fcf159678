//! Requests for the HTTP API, handed to whoever answers them. Bodies stream in both directions.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Request, Response, StatusCode};

/// What every path of the API begins with, unless it is this one itself.
const PREFIX: &str = "/api/v1/";

/// What an answer says, as it comes. A body that fails ends the connection, so that nobody takes half for all.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// A request for the API. Its `Host` is valid, and its page, if one sent it, may ask here.
pub struct ApiRequest {
    /// The request, nothing of its body read. How much of it is taken, and how long that may take, is for
    /// whoever answers to say.
    pub request: Request<Incoming>,
    /// Where it was sent, as the client wrote it, port included.
    pub host: String,
    /// Who it is.
    pub client: SocketAddr,
}

/// Who answers the API.
pub type OnApi =
    Arc<dyn Fn(ApiRequest) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> + Send + Sync>;

/// Whether a request is for the API.
pub(super) fn is_asked<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    path.starts_with(PREFIX) || path == PREFIX.trim_end_matches('/')
}

/// What pages of another site that is allowed may do here: whatever programs may. There are no cookies, so a
/// page can show no more than what its own user gave it.
const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE, OPTIONS";

/// Beside what any page may send: who asks, JSON, where an event stream goes on, parts of files, and
/// resumable uploads (tus 1.0).
const SENT: &str = "authorization, content-type, last-event-id, range, if-range, if-none-match, tus-resumable, \
                    upload-length, upload-metadata, upload-offset, upload-defer-length, upload-concat";

/// Beside what any page may read.
const READ: &str = "location, retry-after, www-authenticate, etag, accept-ranges, content-range, \
                    content-disposition, tus-resumable, tus-version, tus-extension, tus-max-size, upload-offset, \
                    upload-length, upload-metadata, upload-expires";

/// For how many seconds a browser need not ask again: two hours is the most that browsers take.
const ASKED_FOR: u64 = 7200;

/// Whether a browser only asks what a page of another site may do (CORS, Fetch §3.3.2).
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What a page of another site may do.
pub(super) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(METHODS),
    );
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(ASKED_FOR));
    response
}

/// Lets a page of `origin` read an answer.
pub(super) fn let_read(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(READ),
    );
}

/// Whoever keeps an answer has to know that it depends on who asked.
pub(super) fn vary_by_origin(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// A body that holds on to something until it was taken, or is no longer wanted.
pub(super) fn holding<T: Send + 'static>(body: Body, held: T) -> Body {
    Body::new(Holding { body, _held: held })
}

struct Holding<T> {
    body: Body,
    _held: T,
}

// The body is boxed, and what is held is only dropped.
impl<T> Unpin for Holding<T> {}

impl<T> hyper::body::Body for Holding<T> {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_version_is_asked_for() {
        for (path, expected) in [
            ("/api/v1/rooms", true),
            ("/api/v1/", true),
            ("/api/v1", true),
            ("/api/v1?x", true),
            ("/api/v10/rooms", false),
            ("/api/", false),
            ("/r/api/v1/", false),
        ] {
            let request = Request::builder().uri(path).body(()).unwrap();
            assert_eq!(is_asked(&request), expected, "{path}");
        }
    }
}
