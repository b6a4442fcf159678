//! Webhooks: a receiver of our own on loopback, which checks what it is sent.

use std::convert::Infallible;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::stream;
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use turnstone::api::WebhookKey;
use turnstone::config::Config;
use turnstone::id::SessionId;
use turnstone::store::{NewEvent, NewFile};

use super::harness::ApiServer;
use crate::harness::PATIENCE;
use crate::store::harness::{Kind, NOW, Place, name, on_both};

on_both!(
    what_happens_in_rooms_is_told_and_signed,
    what_was_not_taken_comes_again_also_after_a_restart,
    a_file_that_was_whole_when_the_server_ended_is_told_of_after_the_next_start,
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

    /// Takes events until somebody has joined; none of them is of a file.
    async fn next_comer(&self) {
        loop {
            let told = self.take(204).await.body;
            assert_ne!(told["type"], "file.added", "{told}");
            if told["type"] == "member.joined" {
                return;
            }
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Received {
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

async fn a_file_that_was_whole_when_the_server_ended_is_told_of_after_the_next_start(place: Place) {
    let receiver = Receiver::open().await;
    let server = ApiServer::start_with(place, receiver.settings()).await;
    server.room("Tea").await;
    let store = server.store().await;
    let place = server.stop().await;
    // As an upload leaves them that came to its end when nobody could be told any more.
    let room = store.room_by_name(&name("Tea")).await.unwrap().id;
    let [shared, private] = [None, Some(SessionId::random())].map(|to| NewFile {
        room,
        name: "a.txt".to_owned(),
        kind: "text/plain".to_owned(),
        size: 3,
        session: SessionId::random(),
        username: "Ann".parse().unwrap(),
        to,
        created: NOW,
    });
    let mut ids = Vec::new();
    for file in [&shared, &private] {
        let file = store.create_file(file).await.unwrap();
        let bytes = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"abc"))]);
        let file = store.receive(file.id, 0, bytes, NOW).await.unwrap();
        assert!(file.completed.is_some());
        ids.push(file.id.to_string());
    }
    store.close().await;
    let server = ApiServer::start_with(place, receiver.settings()).await;
    let told = receiver.take(204).await.body;
    assert_eq!(told["type"], "file.added");
    assert_eq!(told["data"]["room"], "Tea");
    assert_eq!(told["data"]["kept"], true);
    let file = &told["data"]["file"];
    assert_eq!((&file["id"], &file["size"]), (&json!(ids[0]), &json!(3)));
    // Whoever comes back reads of it in the list.
    let [ann] = server.server.peers_in("Tea").await;
    let token = ann.room["api"]["token"].as_str().unwrap();
    let listed = server.get("/rooms/Tea/files", token).await;
    assert_eq!(listed.body["files"].as_array().unwrap().len(), 1);
    assert_eq!(listed.body["files"][0]["id"], ids[0]);
    // Once, and then no more.
    receiver.next_comer().await;
    let place = server.stop().await;
    let server = ApiServer::start_with(place, receiver.settings()).await;
    let store = server.store().await;
    assert!(store.untold_files().await.unwrap().is_empty());
    store.close().await;
    let [_bob] = server.server.peers_in("Tea").await;
    receiver.next_comer().await;
}

/// A receiver with a certificate of its own, and that certificate.
async fn tls_receiver() -> (Receiver, TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(config));
    (Receiver::open().await, acceptor, made.cert.pem())
}

/// What waited when the program ended is sent by the next one: here, events that another has written down.
#[tokio::test]
async fn over_tls_only_a_receiver_whose_certificate_is_trusted_hears_anything() {
    let place = Place::new(Kind::Sqlite);
    let (trusted, with_trusted, certificate) = tls_receiver().await;
    let (other, with_other, _) = tls_receiver().await;
    let url = |receiver: &Receiver| {
        let port = receiver.0.local_addr().unwrap().port();
        format!("https://localhost:{port}/calls?from=turnstone")
    };
    let store = place.open().await;
    for receiver in [&other, &trusted] {
        let event = NewEvent {
            url: url(receiver),
            event: "room.started".to_owned(),
            body: json!({"type": "room.started"}).to_string(),
            created: NOW - 1_000_000_000_000,
        };
        store.add_event(&event).await.unwrap();
    }
    store.close().await;
    let roots = place.dir.join("roots.pem");
    std::fs::write(&roots, certificate).unwrap();
    std::fs::create_dir(place.dir.join("ssl")).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_turnstone"));
    for listen in ["https", "http", "turn", "admin"] {
        program.args([format!("--{listen}-listen"), "127.0.0.1:0".to_owned()]);
    }
    let _running = program
        .args([
            "--external-ip",
            "127.0.0.1",
            "--webhook-url",
            &url(&trusted),
        ])
        .arg("--data-dir")
        .arg(&place.dir)
        .arg("--ssl-dir")
        .arg(place.dir.join("ssl"))
        .env_clear()
        .env("SSL_CERT_FILE", roots)
        .env("TURNSTONE_WEBHOOK_SECRET", format!("whsec_{SECRET}"))
        .kill_on_drop(true)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let heard = async {
        let (stream, _) = trusted.0.accept().await.unwrap();
        let mut stream = with_trusted.accept(stream).await.unwrap();
        let received = read(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        received
    };
    let refused = async {
        let (stream, _) = other.0.accept().await.unwrap();
        let Ok(mut stream) = with_other.accept(stream).await else {
            return;
        };
        // The client may only find out after the handshake is over for us; it says nothing then.
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        assert!(bytes.is_empty());
    };
    let (received, ()) = timeout(PATIENCE, async { tokio::join!(heard, refused) })
        .await
        .expect("both are asked");
    assert_eq!(received.body, json!({"type": "room.started"}));
}
