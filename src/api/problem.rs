//! What is said when a request is refused: an error in the form of RFC 9457, and one place that turns
//! errors into words for people.

use std::borrow::Cow;

use http_body_util::{BodyExt as _, Full};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::Body;
use crate::store;

/// In how many seconds a store that does not answer may do so again: it is asked that often.
const STORE_SECONDS: u64 = 5;

/// A refusal. `code` is for programs and stays the same; the words are for people.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            headers: Vec::new(),
        }
    }

    /// The request is not what this path takes.
    pub(super) fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// Nothing was shown that lets anyone in.
    pub(super) fn unauthorized(detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).with(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"turnstone\""),
        )
    }

    /// What was shown is no good (RFC 6750 §3.1).
    pub(super) fn bad_token() -> Self {
        let detail = "This key or token is not known here, or is no good any more.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).with(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"turnstone\", error=\"invalid_token\""),
        )
    }

    /// What was shown is good, but not for this.
    pub(super) fn denied(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "denied", detail)
    }

    pub(super) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "notfound", detail)
    }

    pub(super) fn no_such_room() -> Self {
        Self::not_found("There is no such room.")
    }

    pub(super) fn exists() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "exists",
            "There is a room of that name already.",
        )
    }

    /// Too often; `seconds` from now it is taken again.
    pub(super) fn rate(seconds: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate",
            "That was asked too often from here. Try again later.",
        )
        .with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The path takes only these methods.
    pub(super) fn method(allowed: &str) -> Self {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "This path does not take that method.",
        );
        match HeaderValue::from_str(allowed) {
            Ok(allowed) => problem.with(ALLOW, allowed),
            Err(_) => problem,
        }
    }

    pub(super) fn too_big(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "toobig", detail)
    }

    /// Not now.
    pub(super) fn busy(seconds: u64) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "The server cannot do that at the moment. Try again later.",
        )
        .with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn response(self) -> Response<Body> {
        let words = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let body = Full::from(words.to_string()).map_err(|never| match never {});
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Exists => Self::exists(),
            store::Error::NotFound => Self::no_such_room(),
            store::Error::Conflict => Self::new(
                StatusCode::CONFLICT,
                "conflict",
                "Something else has happened in between.",
            ),
            store::Error::TooLarge => Self::too_big("Files here may not be that large."),
            store::Error::WrongType => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "type",
                "Files of this type are not shared here.",
            ),
            store::Error::TooMuch => Self::new(
                StatusCode::CONFLICT,
                "full",
                "That is more than the limits of this server allow.",
            ),
            store::Error::Broken => Self::invalid("What was sent broke off."),
            store::Error::Busy => Self::busy(1),
            store::Error::Unavailable => Self::busy(STORE_SECONDS),
        }
    }
}
