//! Requests for the HTTP API, handed to whoever answers them. Bodies stream in both directions.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::{Request, Response};

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
