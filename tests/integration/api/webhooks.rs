//! Webhooks: a receiver of our own on loopback, which checks what it is sent.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use turnstone::api::WebhookKey;
use turnstone::config::Config;

use super::harness::ApiServer;
use crate::harness::PATIENCE;
use crate::store::harness::{Place, on_both};

on_both!(
    what_happens_in_rooms_is_told_and_signed,
    what_was_not_taken_comes_again_also_after_a_restart,
);

const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Receiver(TcpListener);

struct Received {
    id: String,
    body: Value,
}

impl Receiver {
    async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self) -> String {
        format!(
            "http://{}/calls?from=turnstone",
            self.0.local_addr().unwrap()
        )
    }

    fn settings(&self) -> impl FnOnce(&mut Config) + use<> {
        let url = self.url();
        move |config| {
            config.api.webhooks.urls = vec![url];
            config.api.webhooks.key = WebhookKey::parse(&format!("whsec_{SECRET}"));
        }
    }

    /// Takes one event, checks its signature, and answers with this status.
    async fn take(&self, status: u16) -> Received {
        let taken = async {
            let (mut stream, _) = self.0.accept().await.unwrap();
            let received = read(&mut stream).await;
            let answer = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            received
        };
        timeout(PATIENCE, taken).await.expect("an event in time")
    }
}

async fn read(stream: &mut TcpStream) -> Received {
    let mut bytes = Vec::new();
    let (head, mut body) = loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        let text = std::str::from_utf8(&bytes).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            break (head.to_owned(), body.as_bytes().to_vec());
        }
    };
    assert!(
        head.starts_with("POST /calls?from=turnstone HTTP/1.1\r\n"),
        "{head}"
    );
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .unwrap()
    };
    assert_eq!(header("content-type"), "application/json");
    let length: usize = header("content-length").parse().unwrap();
    while body.len() < length {
        assert_ne!(stream.read_buf(&mut body).await.unwrap(), 0);
    }
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let body = String::from_utf8(body).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(SECRET).unwrap());
    let tag = header("webhook-signature");
    let tag = BASE64_STANDARD
        .decode(tag.strip_prefix("v1,").unwrap())
        .unwrap();
    hmac::verify(&key, format!("{id}.{timestamp}.{body}").as_bytes(), &tag).unwrap();
    Received {
        id,
        body: serde_json::from_str(&body).unwrap(),
    }
}

async fn what_happens_in_rooms_is_told_and_signed(place: Place) {
    let receiver = Receiver::open().await;
    let server = ApiServer::start_with(place, receiver.settings()).await;
    let [mut ann] = server.server.peers_in("Tea").await;
    let session = ann.id.clone();
    ann.send(&json!({"type": "logout"})).await;
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(receiver.take(204).await.body);
    }
    // They may overtake each other on their way.
    events.sort_by_key(|event| event["type"].as_str().unwrap().to_owned());
    let place = json!({"room": "Tea", "kept": false});
    let left = json!({"room": "Tea", "kept": false, "sessionId": session, "username": "Person 1"});
    let mut joined = left.clone();
    joined["role"] = json!("host");
    for (event, (kind, data)) in events.iter().zip([
        ("member.joined", &joined),
        ("member.left", &left),
        ("room.ended", &place),
        ("room.started", &place),
    ]) {
        assert_eq!(
            (event["type"].as_str().unwrap(), &event["data"]),
            (kind, data)
        );
        let time = event["timestamp"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
}

async fn what_was_not_taken_comes_again_also_after_a_restart(place: Place) {
    let receiver = Receiver::open().await;
    let server = ApiServer::start_with(place, receiver.settings()).await;
    let [ann] = server.server.peers_in("Tea").await;
    let mut refused = Vec::new();
    for _ in 0..2 {
        refused.push(receiver.take(500).await);
    }
    ann.cut().await;
    let place = server.stop().await;
    let server = ApiServer::start_with(place, receiver.settings()).await;
    let mut ids = Vec::new();
    while ids.len() < refused.len() {
        let again = receiver.take(200).await;
        if refused
            .iter()
            .any(|earlier| earlier.id == again.id && earlier.body == again.body)
        {
            ids.push(again.id);
        }
    }
    assert_ne!(ids[0], ids[1], "each once");
    let store = server.store().await;
    let far = u64::MAX / 2;
    let gone = async {
        loop {
            let waiting = store.take_events(far, Duration::ZERO, 100).await.unwrap();
            if waiting
                .iter()
                .all(|event| !ids.contains(&event.id.to_string()))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, gone)
        .await
        .expect("what has arrived is forgotten");
    store.close().await;
}
