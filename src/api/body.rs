//! JSON in and out. What comes is bounded in size and time.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::Body;
use super::problem::Problem;

/// The largest JSON that is taken, in bytes: names, a password and some numbers, however they are escaped.
pub(super) const JSON_BYTES_MAX: usize = 16 * 1024;

/// How long it may take to arrive; it fits into a few packets.
const JSON_PATIENCE: Duration = Duration::from_secs(10);

/// Reads what was sent. An empty body is `{}`, so that nothing needs to be sent where all is optional.
pub(super) async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Incoming,
) -> Result<T, Problem> {
    let limited = Limited::new(body, JSON_BYTES_MAX).collect();
    let bytes = match timeout(JSON_PATIENCE, limited).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Problem::too_big(format!(
                "At most {JSON_BYTES_MAX} bytes of JSON are taken here."
            )));
        }
        Ok(Err(_)) => return Err(Problem::invalid("What was sent broke off.")),
        Err(_) => {
            return Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                "What was announced did not arrive in time.",
            ));
        }
    };
    if bytes.is_empty() {
        return serde_json::from_slice(b"{}").map_err(|error| misread(&error));
    }
    if !is_json(headers) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "invalid",
            "Content-Type must be application/json.",
        ));
    }
    serde_json::from_slice(&bytes).map_err(|error| misread(&error))
}

/// What serde says names members and types, and repeats no more than a name of them.
fn misread(error: &serde_json::Error) -> Problem {
    if error.is_data() {
        Problem::invalid(format!("The JSON does not fit: {error}."))
    } else {
        Problem::invalid("That was not JSON.")
    }
}

/// `application/json`, with whatever parameters. Forms of other sites cannot send it without asking.
fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// An answer in JSON, which nobody keeps.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let Ok(text) = serde_json::to_vec(value) else {
        // Only maps with keys that are no text, of which there are none, cannot be written.
        return Problem::busy(1).response();
    };
    let mut response = full(text);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Done, and nothing to say.
pub(super) fn no_content() -> Response<Body> {
    let mut response = full(Vec::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn full(bytes: Vec<u8>) -> Response<Body> {
    let body = Full::from(bytes).map_err(|never| match never {});
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
