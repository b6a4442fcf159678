//! JSON in and out. What comes is bounded in size and time.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
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
    // A list would do for the members in their order, and nobody means that.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::invalid("A JSON object is expected."));
    }
    serde_json::from_slice(&bytes).map_err(|error| misread(&error))
}

/// A whole number from 0, however it is written: to JSON, 60 and 60.0 are the same (JSON Schema §6.3).
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole(pub(super) u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, not below 0")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        /// Beyond, not every whole number can be written so.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && (0.0..=EXACT).contains(&number) {
            Ok(Whole(number as u64))
        } else {
            Err(E::invalid_type(serde::de::Unexpected::Float(number), &self))
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        let read = |text| serde_json::from_str::<Whole>(text).ok().map(|Whole(n)| n);
        for (text, number) in [
            ("0", 0),
            ("60.0", 60),
            ("6e1", 60),
            ("-0.0", 0),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(read(text), Some(number), "{text}");
        }
        for bad in ["-1", "1.5", "-1.0", "1e300", "\"1\"", "null", "[]", "true"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
