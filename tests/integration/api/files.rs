//! Files shared in a room: raw steps of tus 1.0, downloads, and what is refused.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::empty;
use http_body_util::StreamBody;
use hyper::Request;
use hyper::body::{Bytes, Frame};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use turnstone::store::Scope;

use super::harness::ApiServer;
use crate::harness::{Answer, PATIENCE, Peer, TestServer, connector};
use crate::store::harness::{Place, on_both};

on_both!(
    a_file_is_sent_in_parts_and_fetched_by_everyone_in_the_room,
    an_upload_that_broke_goes_on_where_it_was,
    a_private_file_is_for_two,
    an_upload_goes_on_after_a_restart_by_whoever_comes_back,
    whoever_was_told_of_a_file_is_told_of_its_end,
);

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n-- the rest is not looked at --";

/// Sends requests in somebody's name.
struct Client<'a> {
    server: &'a TestServer,
    token: String,
}

impl<'a> Client<'a> {
    fn of(server: &'a TestServer, peer: &Peer) -> Self {
        let token = peer.room["api"]["token"].as_str().unwrap().to_owned();
        Self { server, token }
    }

    fn stranger(server: &'a TestServer) -> Self {
        let token = String::new();
        Self { server, token }
    }

    fn head(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        if !self.token.is_empty() {
            head.push_str(&format!("Authorization: Bearer {}\r\n", self.token));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut stream = self.server.tls().await;
        let head = self.head(method, path, headers) + "\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        Answer::read(&mut stream, method == "HEAD").await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = self.begin(method, path, headers, body.len()).await;
        // A server that refuses may close before it has read all.
        let _ = stream.write_all(body).await;
        let _ = stream.flush().await;
        Answer::read(&mut stream, false).await
    }

    /// A request whose body of `length` bytes is still to be written.
    async fn begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: usize,
    ) -> TlsStream<TcpStream> {
        let mut stream = self.server.tls().await;
        let head = self.head(method, path, headers) + &format!("Content-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// Announces a file; the answer has its address.
    async fn announce(&self, room: &str, size: u64, metadata: &str) -> Answer {
        let size = size.to_string();
        let headers = [
            TUS,
            ("Upload-Length", &*size),
            ("Upload-Metadata", metadata),
        ];
        self.ask("POST", &format!("/api/v1/rooms/{room}/files"), &headers)
            .await
    }

    async fn part(&self, path: &str, offset: u64, bytes: &[u8]) -> Answer {
        let offset = offset.to_string();
        let headers = [TUS, BYTES, ("Upload-Offset", &*offset)];
        self.send("PATCH", path, &headers, bytes).await
    }

    /// Shares a file, whole; its path.
    async fn share(&self, room: &str, metadata: &str, bytes: &[u8]) -> String {
        let answer = self.announce(room, bytes.len() as u64, metadata).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let path = answer.header("location").to_owned();
        let answer = self.part(&path, 0, bytes).await;
        assert_eq!(answer.status, 204, "{}", answer.text());
        path
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }

    async fn listed(&self, room: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/v1/rooms/{room}/files")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let list: Value = serde_json::from_str(answer.text()).unwrap();
        list["files"].as_array().unwrap().clone()
    }

    async fn link(&self, path: &str) -> String {
        let answer = self.get(&format!("{path}/link")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let link: Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(link["ttl"], 300);
        link["url"].as_str().unwrap().to_owned()
    }
}

const TUS: (&str, &str) = ("Tus-Resumable", "1.0.0");
const BYTES: (&str, &str) = ("Content-Type", "application/offset+octet-stream");

fn metadata(name: &str, kind: &str) -> String {
    let encoded = |text: &str| STANDARD.encode(text);
    format!("filename {},filetype {}", encoded(name), encoded(kind))
}

fn private(name: &str, to: &str) -> String {
    format!("{},to {}", metadata(name, ""), STANDARD.encode(to))
}

/// Bytes that differ at each place.
fn content(size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| ((at % 251) ^ (at >> 16)) as u8)
        .collect()
}

fn code(answer: &Answer) -> String {
    let problem: Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(problem["status"], answer.status);
    problem["code"].as_str().unwrap().to_owned()
}

async fn server(place: &Place) -> TestServer {
    let store = place.settings();
    TestServer::start_with(|config| config.store = store).await
}

async fn a_file_is_sent_in_parts_and_fetched_by_everyone_in_the_room(place: Place) {
    let server = server(&place).await;
    let [mut ann, mut bob] = server.peers_in("tea").await;
    let (by_ann, by_bob) = (Client::of(&server, &ann), Client::of(&server, &bob));

    let options = by_ann.ask("OPTIONS", "/api/v1/rooms/tea/files", &[]).await;
    assert_eq!(options.status, 204);
    assert_eq!(options.header("tus-version"), "1.0.0");
    assert_eq!(options.header("tus-resumable"), "1.0.0");
    assert_eq!(options.header("tus-max-size"), "1073741824");
    assert!(options.header("tus-extension").contains("creation"));

    let bytes = [PNG, &content(5_000_000)].concat();
    let size = bytes.len() as u64;
    let made = by_ann
        .announce("tea", size, &metadata("Katze 🐈.png", "text/html"))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("upload-offset"), "0");
    assert!(made.header("upload-expires").ends_with(" GMT"));
    let path = made.header("location").to_owned();

    assert_eq!(by_ann.part(&path, 0, &bytes[..100]).await.status, 204);
    let head = by_ann.ask("HEAD", &path, &[TUS]).await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("upload-offset"), "100");
    assert_eq!(head.header("upload-length"), size.to_string());
    assert_eq!(head.header("cache-control"), "no-store");
    assert!(head.header("upload-metadata").starts_with("filename "));
    for wrong in [0, 99, 101, size] {
        let answer = by_ann.part(&path, wrong, b"x").await;
        assert!(
            matches!(answer.status, 409 | 413),
            "{wrong}: {}",
            answer.status
        );
        assert_eq!(answer.header("tus-resumable"), "1.0.0");
    }
    assert_eq!(by_bob.get(&path).await.status, 404, "not whole yet");
    assert!(by_bob.listed("tea").await.is_empty());
    ann.heard_nothing_else().await;

    let last = by_ann.part(&path, 100, &bytes[100..]).await;
    assert_eq!(last.status, 204, "{}", last.text());
    assert_eq!(last.header("upload-offset"), size.to_string());
    for peer in [&mut ann, &mut bob] {
        let told = peer.next().await;
        assert_eq!(told["type"], "file");
        assert_eq!(told["to"], "");
        assert_eq!(told["data"]["name"], "Katze 🐈.png");
        assert_eq!(told["data"]["type"], "image/png", "by its bytes");
        assert_eq!(told["data"]["size"], size);
        assert_eq!(told["data"]["url"], path);
        assert_eq!(told["data"]["username"], "Person 1");
    }

    let whole = by_bob.get(&path).await;
    assert_eq!(whole.status, 200);
    assert!(whole.body == bytes);
    assert_eq!(whole.header("content-type"), "image/png");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let etag = whole.header("etag").to_owned();
    let head = by_bob.ask("HEAD", &path, &[]).await;
    assert_eq!(head.header("content-length"), size.to_string());
    let part = [("Range", "bytes=4194300-4194309"), ("If-Range", &*etag)];
    let part = by_bob.ask("GET", &path, &part).await;
    assert_eq!(part.status, 206);
    let expected = format!("bytes 4194300-4194309/{size}");
    assert_eq!(part.header("content-range"), expected);
    assert_eq!(part.body, bytes[4_194_300..4_194_310]);
    let beyond = [("Range", "bytes=99999999-")];
    let beyond = by_bob.ask("GET", &path, &beyond).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
    let known = by_bob.ask("GET", &path, &[("If-None-Match", &etag)]).await;
    assert_eq!(known.status, 304);

    let list = by_bob.listed("tea").await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["url"], path);
    let link = by_bob.link(&path).await;
    assert!(Client::stranger(&server).get(&link).await.body == bytes);

    let other = by_bob.ask("DELETE", &path, &[TUS]).await;
    assert_eq!(other.status, 403, "{}", other.text());
    assert_eq!(by_ann.ask("DELETE", &path, &[TUS]).await.status, 204);
    assert_eq!(by_bob.get(&path).await.status, 404);
    assert!(by_bob.listed("tea").await.is_empty());
}

async fn an_upload_that_broke_goes_on_where_it_was(place: Place) {
    let server = server(&place).await;
    let [mut ann] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &ann);
    let bytes = content(6_000_000);
    let made = by_ann
        .announce("tea", bytes.len() as u64, &metadata("a.bin", ""))
        .await;
    let path = made.header("location").to_owned();
    let headers = [TUS, BYTES, ("Upload-Offset", "0")];
    let mut stream = by_ann.begin("PATCH", &path, &headers, bytes.len()).await;
    stream.write_all(&bytes[..4_500_000]).await.unwrap();
    stream.flush().await.unwrap();
    // The connection still stands when the sender comes back by another: the old request makes way.
    let mut offset = 0;
    let deadline = Instant::now() + PATIENCE;
    while offset == 0 {
        assert!(Instant::now() < deadline, "nothing was kept");
        let head = by_ann.ask("HEAD", &path, &[TUS]).await;
        assert_eq!(head.status, 200);
        offset = head.header("upload-offset").parse().unwrap();
    }
    assert!(offset <= 4_500_000, "{offset}");
    let old = Answer::read(&mut stream, false).await;
    assert_eq!(old.status, 409, "{}", old.text());
    // Now one that is cut off.
    let now = offset.to_string();
    let headers = [TUS, BYTES, ("Upload-Offset", &*now)];
    let rest = &bytes[offset as usize..];
    let mut stream = by_ann.begin("PATCH", &path, &headers, rest.len()).await;
    stream.write_all(&rest[..1_000_000]).await.unwrap();
    stream.flush().await.unwrap();
    drop(stream);
    // The server may still be reading what came before the cut: then the offset moves once more.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let head = by_ann.ask("HEAD", &path, &[TUS]).await;
        let offset: u64 = head.header("upload-offset").parse().unwrap();
        let last = by_ann.part(&path, offset, &bytes[offset as usize..]).await;
        if last.status == 204 {
            break;
        }
        assert_eq!(last.status, 409, "{}", last.text());
        assert!(Instant::now() < deadline, "it never goes on");
    }
    assert_eq!(ann.next().await["type"], "file");
    assert!(by_ann.get(&path).await.body == bytes);
}

async fn a_private_file_is_for_two(place: Place) {
    let server = server(&place).await;
    let [mut ann, mut bob, mut eve] = server.peers_in("tea").await;
    let clients = [&ann, &bob, &eve].map(|peer| Client::of(&server, peer));
    let path = clients[0]
        .share("tea", &private("for bob.txt", &bob.id), b"psst")
        .await;
    let to = bob.id.clone();
    for peer in [&mut ann, &mut bob] {
        let told = peer.next().await;
        assert_eq!(told["type"], "file");
        assert_eq!(told["to"], to);
    }
    eve.heard_nothing_else().await;
    for (client, sees) in clients.iter().zip([true, true, false]) {
        let status = if sees { 200 } else { 404 };
        assert_eq!(client.get(&path).await.status, status);
        assert_eq!(client.get(&format!("{path}/link")).await.status, status);
        assert_eq!(client.listed("tea").await.len(), usize::from(sees));
    }
    // Nobody else's link opens it either, a host's as little as any other.
    let link = clients[1].link(&path).await;
    assert_eq!(Client::stranger(&server).get(&link).await.body, b"psst");
    let nobody = clients[0]
        .announce("tea", 4, &private("x", &uuid::Uuid::new_v4().to_string()))
        .await;
    assert_eq!(nobody.status, 404);
}

#[tokio::test]
async fn other_peoples_uploads_are_refused() {
    let server = TestServer::start().await;
    let [ann, bob] = server.peers_in("tea").await;
    let [eve] = server.peers_in("coffee").await;
    let (by_ann, by_bob, by_eve) = (
        Client::of(&server, &ann),
        Client::of(&server, &bob),
        Client::of(&server, &eve),
    );
    let made = by_ann.announce("tea", 10, &metadata("a", "")).await;
    let path = made.header("location").to_owned();
    let stranger = Client::stranger(&server);
    for (client, status) in [(&by_bob, 403), (&by_eve, 404), (&stranger, 401)] {
        assert_eq!(client.part(&path, 0, b"x").await.status, status);
        assert_eq!(client.ask("HEAD", &path, &[TUS]).await.status, status);
        assert_eq!(client.ask("DELETE", &path, &[TUS]).await.status, status);
    }
    for (client, status) in [(&by_eve, 403), (&stranger, 401)] {
        let made = client.announce("tea", 10, &metadata("a", "")).await;
        assert_eq!(made.status, status, "{}", made.text());
        let list = client.get("/api/v1/rooms/tea/files").await;
        assert_eq!(list.status, status);
    }
    assert_eq!(by_ann.part(&path, 0, b"0123456789").await.status, 204);
    let forged = Client {
        server: &server,
        token: by_ann.token.replace(".", ".A"),
    };
    for (client, status) in [(&by_eve, 404), (&stranger, 401), (&forged, 401)] {
        assert_eq!(client.get(&path).await.status, status);
        assert_eq!(client.get(&format!("{path}/link")).await.status, status);
    }
    let link = by_ann.link(&path).await;
    assert_eq!(stranger.get(&link).await.status, 200);
    let changed = link.replace("&tag=", "&tag=A");
    assert_eq!(stranger.get(&changed).await.status, 403);
}

#[tokio::test]
async fn who_has_left_or_was_removed_gets_nothing_more() {
    let server = TestServer::start().await;
    let [mut ann, mut bob, mut eve] = server.peers_in("tea").await;
    let (by_ann, by_bob, by_eve) = (
        Client::of(&server, &ann),
        Client::of(&server, &bob),
        Client::of(&server, &eve),
    );
    let path = by_ann.share("tea", &metadata("a", ""), b"abc").await;
    let (for_bob, for_eve) = (by_bob.link(&path).await, by_eve.link(&path).await);
    let begun = by_bob.announce("tea", 3, &metadata("b", "")).await;
    let begun = begun.header("location").to_owned();
    ann.send(&json!({"type": "kick", "data": {"sessionId": bob.id}}))
        .await;
    assert_eq!(bob.closed_with().await, 4003);
    eve.send(&json!({"type": "logout"})).await;
    while ann.next().await["data"]["sessionId"] != *eve.id {}
    for (client, link) in [(&by_bob, &for_bob), (&by_eve, &for_eve)] {
        let gone = client.get(&path).await;
        assert!(matches!(gone.status, 401 | 403), "{}", gone.status);
        let list = client.get("/api/v1/rooms/tea/files").await;
        assert!(matches!(list.status, 401 | 403), "{}", list.status);
        let linked = Client::stranger(&server).get(link).await;
        assert_eq!(linked.status, 403);
    }
    let late = by_bob.part(&begun, 0, b"abc").await;
    assert!(matches!(late.status, 401 | 403), "{}", late.status);
    assert_eq!(by_ann.listed("tea").await.len(), 1);
}

#[tokio::test]
async fn viewers_do_not_share_and_hosts_can_switch_files_off() {
    let server = TestServer::start().await;
    let [mut ann, bob] = server.peers_in("tea").await;
    let (by_ann, by_bob) = (Client::of(&server, &ann), Client::of(&server, &bob));
    let begun = by_bob.announce("tea", 3, &metadata("b", "")).await;
    let path = begun.header("location").to_owned();
    let policy = json!({"type": "policy", "data": {"files": false}});
    ann.send(&policy).await;
    assert_eq!(ann.next().await["type"], "policy");
    for answer in [
        by_bob.announce("tea", 3, &metadata("b", "")).await,
        by_bob.part(&path, 0, b"abc").await,
    ] {
        assert_eq!(answer.status, 403);
        assert_eq!(code(&answer), "denied");
    }
    by_ann.share("tea", &metadata("a", ""), b"by a host").await;
    ann.send(&json!({"type": "policy", "data": {"files": true}}))
        .await;
    while ann.next().await["type"] != "policy" {}
    let role = json!({"type": "role", "data": {"sessionId": bob.id, "role": "viewer"}});
    ann.send(&role).await;
    while ann.next().await["type"] != "role" {}
    assert_eq!(by_bob.part(&path, 0, b"abc").await.status, 403);
    let seen = by_bob.listed("tea").await;
    let seen = seen[0]["url"].as_str().unwrap();
    assert_eq!(
        by_bob.get(seen).await.body,
        b"by a host",
        "but they may look"
    );
}

#[tokio::test]
async fn hosts_end_uploads_of_others_that_are_for_everyone() {
    let server = TestServer::start().await;
    let [ann, bob] = server.peers_in("tea").await;
    let [eve] = server.peers_in("coffee").await;
    let by_ann = Client::of(&server, &ann);
    let (by_bob, by_eve) = (Client::of(&server, &bob), Client::of(&server, &eve));
    let made = by_bob.announce("tea", 3, &metadata("b", "")).await;
    let path = made.header("location").to_owned();
    assert_eq!(by_bob.part(&path, 0, b"ab").await.status, 204);
    assert_eq!(by_ann.get(&path).await.status, 404, "it is not whole");
    assert_eq!(by_eve.ask("DELETE", &path, &[]).await.status, 404);
    assert_eq!(by_ann.ask("DELETE", &path, &[]).await.status, 204);
    assert_eq!(by_bob.part(&path, 2, b"c").await.status, 404);
    // What is for one person alone is not theirs to end.
    let made = by_bob.announce("tea", 3, &private("b", &bob.id)).await;
    let path = made.header("location");
    assert_eq!(by_ann.ask("DELETE", path, &[]).await.status, 403);
}

async fn whoever_was_told_of_a_file_is_told_of_its_end(place: Place) {
    let api = ApiServer::start(place).await;
    let host = api.room("tea").await;
    let key = api.key(&[Scope::Files]).await;
    let server = &api.server;
    let [mut ann, mut bob, mut eve] = server.peers_in("tea").await;
    let [mut far] = server.peers_in("coffee").await;
    let (by_ann, by_bob) = (Client::of(server, &ann), Client::of(server, &bob));
    let from_outside = [host, key].map(|token| Client { server, token });
    let sender = ann.id.clone();
    for (client, by, is_private) in [
        (&by_ann, Some(&*sender), false),
        (&from_outside[0], None, false),
        (&from_outside[1], None, false),
        (&by_ann, Some(&*sender), true),
    ] {
        let about = if is_private {
            private("a", &bob.id)
        } else {
            metadata("a", "")
        };
        let path = by_ann.share("tea", &about, b"abc").await;
        let mut listeners = vec![&mut ann, &mut bob];
        if !is_private {
            listeners.push(&mut eve);
        }
        for peer in &mut listeners {
            assert_eq!(peer.next().await["type"], "file");
        }
        assert_eq!(client.ask("DELETE", &path, &[]).await.status, 204);
        let id = path.rsplit('/').next().unwrap();
        for peer in listeners {
            let told = peer.next().await;
            assert_eq!(told["type"], "file-delete");
            assert_eq!(told["data"], json!({"id": id}));
            assert_eq!(told["from"].as_str(), by);
        }
        assert_eq!(client.ask("DELETE", &path, &[]).await.status, 404);
    }
    // Nobody was told of one that was never whole.
    let made = by_bob.announce("tea", 3, &metadata("b", "")).await;
    let path = made.header("location");
    assert_eq!(by_bob.part(path, 0, b"ab").await.status, 204);
    assert_eq!(by_bob.ask("DELETE", path, &[TUS]).await.status, 204);
    for peer in [&mut ann, &mut bob, &mut eve, &mut far] {
        peer.heard_nothing_else().await;
    }
}

#[tokio::test]
async fn nothing_that_was_shared_can_run() {
    let server = TestServer::start().await;
    let [ann] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &ann);
    let page = b"<script>alert(document.cookie)</script>";
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    for (name, kind, bytes) in [
        ("page.html", "text/html", &page[..]),
        ("page.png", "image/png", page),
        ("picture.svg", "image/svg+xml", svg),
        ("script.js", "text/javascript", b"alert(1)"),
        ("paper.pdf", "application/pdf", b"%PDF-1.7"),
        ("picture.png", "text/html", PNG),
    ] {
        let path = by_ann.share("tea", &metadata(name, kind), bytes).await;
        let answer = by_ann.get(&path).await;
        let shown = bytes == PNG;
        let how = if shown { "inline" } else { "attachment" };
        let expected = format!("{how}; filename=\"{name}\"");
        assert_eq!(answer.header("content-disposition"), expected);
        let kind = match name {
            "picture.png" => "image/png",
            "paper.pdf" => "application/pdf",
            _ => "application/octet-stream",
        };
        assert_eq!(answer.header("content-type"), kind, "{name}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let policy = answer.header("content-security-policy");
        assert_eq!(policy, "sandbox; default-src 'none'");
        let resource = answer.header("cross-origin-resource-policy");
        assert_eq!(resource, "same-origin");
    }
}

#[tokio::test]
async fn limits_and_nonsense_are_refused_before_the_first_byte() {
    let server = TestServer::start_with(|config| {
        config.store.file_size = 1000;
        config.store.room_files = 1500;
        config.store.file_types =
            turnstone::store::FileTypes::only(vec!["image/*".parse().unwrap()]);
    })
    .await;
    let [ann] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &ann);
    let png = metadata("a.png", "image/png");
    let options = by_ann.ask("OPTIONS", "/api/v1/rooms/tea/files", &[]).await;
    assert_eq!(options.header("tus-max-size"), "1000");
    for (size, metadata, status) in [
        (1001, &png, 413),
        (u64::MAX, &png, 413),
        (10, &metadata("a.txt", "text/plain"), 415),
        (10, &"filename !".to_owned(), 400),
        (10, &private("a", "nobody"), 400),
    ] {
        let answer = by_ann.announce("tea", size, metadata).await;
        assert_eq!(answer.status, status, "{size} {metadata}");
        assert_eq!(answer.header("tus-resumable"), "1.0.0");
    }
    let made = by_ann.announce("tea", 1000, &png).await;
    assert_eq!(made.status, 201);
    let path = made.header("location").to_owned();
    // What is announced takes no place until it comes.
    let other = by_ann.announce("tea", 1000, &png).await;
    let other = other.header("location");
    assert_eq!(by_ann.part(other, 0, &[0; 501]).await.status, 204);
    let full = by_ann.announce("tea", 1000, &png).await;
    assert_eq!((full.status, &*code(&full)), (413, "full"));
    let full = by_ann.part(&path, 0, &[0; 1000]).await;
    assert_eq!((full.status, &*code(&full)), (413, "full"));
    assert_eq!(by_ann.ask("DELETE", other, &[TUS]).await.status, 204);
    // What comes in parts or without a length is counted as it comes.
    let more = by_ann.part(&path, 0, &[0; 1001]).await;
    assert_eq!(more.status, 413);
    let headers = [
        TUS,
        BYTES,
        ("Upload-Offset", "0"),
        ("Transfer-Encoding", "chunked"),
    ];
    let head = by_ann.head("PATCH", &path, &headers) + "\r\n";
    let mut stream = server.tls().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..3 {
        let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    let more = Answer::read(&mut stream, false).await;
    assert_eq!((more.status, &*code(&more)), (413, "toobig"));
    // It says it is a picture, up to its last byte.
    let made = by_ann.announce("tea", 3, &png).await;
    let path = made.header("location").to_owned();
    let lied = by_ann.part(&path, 0, b"MZ!").await;
    assert_eq!((lied.status, &*code(&lied)), (415, "type"));
    assert_eq!(by_ann.ask("HEAD", &path, &[TUS]).await.status, 404);
    assert!(by_ann.listed("tea").await.is_empty());

    let made = by_ann.announce("tea", 3, &png).await;
    let path = made.header("location").to_owned();
    let room = "/api/v1/rooms/tea/files";
    for (method, path, headers, status) in [
        ("POST", room, &[("Upload-Length", "1")][..], 412),
        ("POST", room, &[("Tus-Resumable", "0.2.2")], 412),
        ("POST", room, &[TUS], 400),
        ("POST", room, &[TUS, ("Upload-Defer-Length", "1")], 400),
        ("PATCH", &*path, &[TUS, ("Upload-Offset", "0")], 415),
        ("PATCH", &path, &[TUS, BYTES], 400),
        ("GET", "/api/v1/files/not-an-id", &[], 404),
        ("GET", "/api/v1/rooms/tea/files?limit=0", &[], 400),
        ("GET", "/api/v1/rooms/tea/files?cursor=x", &[], 400),
    ] {
        let answer = by_ann.ask(method, path, headers).await;
        assert_eq!(answer.status, status, "{method} {path} {headers:?}");
        if status == 412 {
            assert_eq!(answer.header("tus-version"), "1.0.0");
        }
    }
}

#[tokio::test]
async fn a_small_file_comes_with_its_announcement_and_an_empty_one_needs_nothing_more() {
    let server = TestServer::start().await;
    let [mut ann] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &ann);
    let name = metadata("note.txt", "text/plain");
    let headers = [
        TUS,
        BYTES,
        ("Upload-Length", "5"),
        ("Upload-Metadata", &*name),
    ];
    let room = "/api/v1/rooms/tea/files";
    let made = by_ann.send("POST", room, &headers, b"hello").await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("upload-offset"), "5");
    assert_eq!(ann.next().await["data"]["type"], "text/plain");
    assert_eq!(by_ann.get(made.header("location")).await.body, b"hello");
    let empty = by_ann.announce("tea", 0, &name).await;
    assert_eq!(empty.status, 201);
    assert_eq!(ann.next().await["data"]["size"], 0);
    assert_eq!(by_ann.get(empty.header("location")).await.status, 200);
    assert_eq!(by_ann.listed("tea").await.len(), 2);
}

#[tokio::test]
async fn an_announcement_over_http2_may_end_by_an_empty_frame() {
    let server = TestServer::start().await;
    let [ann] = server.peers_in("tea").await;
    let stream = TcpStream::connect(server.https()).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = connector(&[b"h2"]).connect(name, stream).await.unwrap();
    let (mut client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method("POST")
        .uri("https://localhost/api/v1/rooms/tea/files")
        .header(
            "authorization",
            format!("Bearer {}", Client::of(&server, &ann).token),
        )
        .header("content-length", "0")
        .header(TUS.0, TUS.1)
        .header("upload-length", "5")
        .header("upload-metadata", metadata("note.txt", "text/plain"));
    // Of a stream the client does not know that nothing comes: its end is a frame of its own, as in Firefox.
    let nothing = StreamBody::new(empty::<Result<Frame<Bytes>, Infallible>>());
    let answer = client.send_request(request.body(nothing).unwrap());
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), 201);
}

#[tokio::test]
async fn behind_a_proxy_that_knows_few_methods_a_header_says_which_is_meant() {
    let server = TestServer::start().await;
    let [ann] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &ann);
    let made = by_ann.announce("tea", 5, &metadata("a", "")).await;
    let path = made.header("location");
    let patch = ("X-HTTP-Method-Override", "PATCH");
    let headers = [TUS, BYTES, ("Upload-Offset", "0"), patch];
    let sent = by_ann.send("POST", path, &headers, b"hello").await;
    assert_eq!(sent.status, 204, "{}", sent.text());
    let delete = ("X-HTTP-Method-Override", "DELETE");
    let gone = by_ann.ask("POST", path, &[TUS, delete]).await;
    assert_eq!(gone.status, 204);
    let plain = by_ann.ask("POST", path, &[delete]).await;
    assert_eq!(plain.status, 405, "of tus alone");
}

#[tokio::test]
async fn a_file_whose_end_was_lost_in_a_crash_is_whole_once_its_sender_asks() {
    let server = TestServer::start().await;
    let [mut ann] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &ann);
    let path = by_ann.share("tea", &metadata("a", ""), b"hello").await;
    assert_eq!(ann.next().await["type"], "file");
    // As it is when all bytes are on the disk, and the word that it is whole is not.
    let url = format!("sqlite://{}", server.dir.join("turnstone.db").display());
    let database = sqlx::AnyPool::connect(&url).await.unwrap();
    sqlx::query("UPDATE files SET completed = NULL, sha256 = NULL")
        .execute(&database)
        .await
        .unwrap();
    database.close().await;
    assert_eq!(by_ann.get(&path).await.status, 404);
    let head = by_ann.ask("HEAD", &path, &[TUS]).await;
    assert_eq!(head.header("upload-offset"), "5");
    assert_eq!(ann.next().await["type"], "file");
    assert_eq!(by_ann.get(&path).await.body, b"hello");
}

#[tokio::test]
async fn a_download_ends_with_the_server_and_not_as_if_it_were_whole() {
    let server = TestServer::start().await;
    let [ann] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &ann);
    let bytes = content(40_000_000);
    let path = by_ann.share("tea", &metadata("a", ""), &bytes).await;
    let head = by_ann.head("GET", &path, &[]) + "\r\n";
    let mut stream = server.tls().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    // More than the system holds for a reader who takes nothing.
    let mut begun = [0; 1000];
    stream.read_exact(&mut begun).await.unwrap();
    drop(by_ann);
    let start = Instant::now();
    let stopping = tokio::spawn(server.stop());
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(rest.len() < bytes.len(), "it was cut");
    stopping.await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn the_end_of_the_server_ends_uploads_at_once() {
    let server = TestServer::start().await;
    let [ann] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &ann);
    let made = by_ann.announce("tea", 1000, &metadata("a", "")).await;
    let headers = [TUS, BYTES, ("Upload-Offset", "0")];
    let path = made.header("location");
    let mut stream = by_ann.begin("PATCH", path, &headers, 1000).await;
    stream.write_all(&[0; 10]).await.unwrap();
    stream.flush().await.unwrap();
    // The request is under way once another is told of it.
    by_ann.ask("OPTIONS", "/api/v1/rooms/tea/files", &[]).await;
    drop(by_ann);
    let start = Instant::now();
    server.stop().await;
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn files_of_a_room_that_is_not_kept_go_with_it() {
    let server = TestServer::start().await;
    let [ann] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &ann);
    let path = by_ann.share("tea", &metadata("a", ""), b"abc").await;
    let mut ann = ann;
    assert_eq!(ann.next().await["type"], "file");
    ann.send(&json!({"type": "logout"})).await;
    ann.heard_nothing_else().await;
    let [again] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &again);
    assert!(by_ann.listed("tea").await.is_empty());
    assert_eq!(by_ann.get(&path).await.status, 404);
}

/// A room that is kept, made through the API.
async fn keep(server: &TestServer, name: &str) {
    let body = json!({ "name": name }).to_string();
    let headers = [("Content-Type", "application/json")];
    let client = Client::stranger(server);
    let made = client
        .send("POST", "/api/v1/rooms", &headers, body.as_bytes())
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
}

async fn an_upload_goes_on_after_a_restart_by_whoever_comes_back(place: Place) {
    let server = server(&place).await;
    keep(&server, "tea").await;
    let [ann] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &ann);
    let bytes = content(5_000_000);
    let made = by_ann
        .announce("tea", bytes.len() as u64, &metadata("a.bin", ""))
        .await;
    let path = made.header("location").to_owned();
    let half = by_ann.part(&path, 0, &bytes[..2_500_000]).await;
    assert_eq!(half.status, 204);
    drop((by_ann, ann));
    let dir = server.stop().await;
    let store = place.settings();
    let server = TestServer::start_in(dir, |config| config.store = store).await;
    let [mut ann, bob] = server.peers_in("tea").await;
    let by_ann = Client::of(&server, &ann);
    let head = by_ann.ask("HEAD", &path, &[TUS]).await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("upload-offset"), "2500000");
    // It is hers now, and nobody else's.
    let by_bob = Client::of(&server, &bob);
    assert_eq!(by_bob.part(&path, 2_500_000, b"x").await.status, 403);
    let last = by_ann.part(&path, 2_500_000, &bytes[2_500_000..]).await;
    assert_eq!(last.status, 204, "{}", last.text());
    let told = ann.next().await;
    assert_eq!(told["data"]["sessionId"], *ann.id);
    assert!(by_bob.get(&path).await.body == bytes);
}
