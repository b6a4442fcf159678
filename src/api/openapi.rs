//! What there is to ask, for other programs: OpenAPI 3.1.

use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use super::Body;

/// The description. It is held to `routes` by a test.
const DOCUMENT: &str = include_str!("openapi.json");

/// The description, as an answer.
pub(super) fn document() -> Response<Body> {
    let body = Full::from(Bytes::from_static(DOCUMENT.as_bytes())).map_err(|never| match never {});
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::super::routes::{BASE, ROUTES};
    use super::*;

    type Statuses = Vec<u16>;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    #[test]
    fn it_describes_every_route_with_its_statuses_and_nothing_else() {
        let document = document();
        assert_eq!(document["servers"][0]["url"], BASE);
        let mut described: BTreeMap<(String, String), Statuses> = BTreeMap::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                if method == "parameters" {
                    continue;
                }
                let mut statuses: Statuses = operation["responses"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(|status| status.parse().unwrap())
                    .collect();
                statuses.sort_unstable();
                described.insert((path.clone(), method.to_uppercase()), statuses);
            }
        }
        let mut known: BTreeMap<(String, String), Statuses> = BTreeMap::new();
        for route in ROUTES {
            let mut statuses = route.statuses.to_vec();
            statuses.sort_unstable();
            let key = (route.path.to_owned(), route.method.to_owned());
            assert_eq!(known.insert(key, statuses), None, "{} twice", route.path);
        }
        assert_eq!(described, known);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(document: &Value, value: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                    }
                    members.values().for_each(|value| check(document, value));
                }
                Value::Array(items) => items.iter().for_each(|value| check(document, value)),
                _ => {}
            }
        }
        let document = document();
        check(&document, &document);
    }
}
