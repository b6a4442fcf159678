//! A server to ask, and a client that holds every answer to what `openapi.json` says of it.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::time::timeout;
use turnstone::config::Config;
use turnstone::store::{Scope, Store};

use crate::harness::{PATIENCE, TestServer};
use crate::store::harness::{NOW, Place};

/// A server on a store of its own, and a key for each scope.
pub(crate) struct ApiServer {
    pub(crate) server: TestServer,
    place: Place,
    description: Value,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The answer is this problem.
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["code"], code, "{self:?}");
        assert!(!self.body["title"].as_str().unwrap().is_empty());
        assert!(!self.body["detail"].as_str().unwrap().is_empty());
        if [429, 503].contains(&status) {
            assert!(self.header("retry-after").parse::<u64>().unwrap() > 0);
        }
        if status == 401 {
            assert!(self.header("www-authenticate").starts_with("Bearer"));
        }
    }

    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

impl ApiServer {
    pub(crate) async fn start(place: Place) -> Self {
        Self::start_with(place, |_| {}).await
    }

    pub(crate) async fn start_with(place: Place, change: impl FnOnce(&mut Config)) -> Self {
        let settings = place.settings();
        let server = TestServer::start_in(place.dir.clone(), |config| {
            config.store = settings;
            change(config);
        })
        .await;
        let description = include_str!("../../../src/api/openapi.json");
        Self {
            server,
            place,
            description: serde_json::from_str(description).unwrap(),
        }
    }

    /// Stops it; what is kept stays for the next.
    pub(crate) async fn stop(self) -> Place {
        self.server.stop().await;
        self.place
    }

    /// The store of the server, opened beside it.
    pub(crate) async fn store(&self) -> Store {
        self.place.open().await
    }

    /// A key with these scopes.
    pub(crate) async fn key(&self, scopes: &[Scope]) -> String {
        let store = self.store().await;
        let minted = store.create_key("test", scopes, NOW).await.unwrap();
        store.close().await;
        minted.key
    }

    /// Asks with a token, or without if it is empty; a body that is null is not sent.
    pub(crate) async fn ask(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let bearer = format!("Bearer {token}");
        let mut headers = Vec::new();
        if !token.is_empty() {
            headers.push(("authorization", bearer.as_str()));
        }
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        self.ask_with(method, path, &headers, &body).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, token, Value::Null).await
    }

    pub(crate) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let response = self.open(method, path, headers, body).await;
        let (head, body) = response.into_parts();
        let body = timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
        let body = body.to_bytes();
        let answer = Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: if body.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&body).unwrap()
            },
        };
        self.is_described(method, path, &answer);
        answer
    }

    /// Asks and reads the head of the answer only.
    pub(crate) async fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Incoming> {
        let (mut sender, connection) = handshake(TokioIo::new(self.server.tls().await))
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("host", self.host());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        timeout(PATIENCE, sender.send_request(request))
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) fn host(&self) -> String {
        self.server.https().to_string()
    }

    /// Makes a room and says its host token.
    pub(crate) async fn room(&self, name: &str) -> String {
        let made = self.ask("POST", "/rooms", "", json!({"name": name})).await;
        made.is(201).body["hostToken"].as_str().unwrap().to_owned()
    }

    /// Every answer has the headers that keep it from being shown as a page, and is one that the description knows.
    fn is_described(&self, method: &str, path: &str, answer: &Answer) {
        assert!(
            answer.header("content-security-policy").contains("sandbox") || answer.status == 403
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let bare = path.split('?').next().unwrap();
        let paths = self.description["paths"].as_object().unwrap();
        let described = paths.iter().find(|(template, _)| {
            let (template, bare): (Vec<_>, Vec<_>) =
                (template.split('/').collect(), bare.split('/').collect());
            template.len() == bare.len()
                && template
                    .iter()
                    .zip(&bare)
                    .all(|(expected, is)| expected.starts_with('{') || expected == is)
        });
        let Some((_, methods)) = described else {
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
            return;
        };
        let operation = &methods[method.to_lowercase()];
        if operation.is_null() {
            assert!(
                [405, 204, 200].contains(&answer.status),
                "{method} {path}: {answer:?}"
            );
            return;
        }
        let status = answer.status.to_string();
        let mut response = &operation["responses"][&status];
        if let Some(reference) = response["$ref"].as_str() {
            response = self.description.pointer(&reference[1..]).unwrap();
        }
        assert!(!response.is_null(), "{method} {path}: {answer:?}");
        if let Some(kinds) = response["content"].as_object() {
            assert!(
                kinds.contains_key(answer.header("content-type")),
                "{answer:?}"
            );
        } else {
            assert_eq!(answer.body, Value::Null);
        }
    }
}
