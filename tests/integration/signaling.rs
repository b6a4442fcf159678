//! What a socket may and may not do, whoever is behind it.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::harness::{Peer, TestServer};

#[tokio::test]
async fn pings_are_answered_before_a_login() {
    let server = TestServer::start().await;
    let mut peer = server.page().await;
    peer.send(&json!({"type": "ping", "data": {}})).await;
    assert_eq!(peer.next().await, json!({"type": "pong", "data": {}}));
}

#[tokio::test]
async fn nonsense_is_refused_and_the_socket_stays() {
    let server = TestServer::start().await;
    let mut peer = server.page().await;
    for text in [
        "",
        "{",
        "[]",
        "null",
        "\"login\"",
        "{}",
        r#"{"type":1}"#,
        r#"{"type":"login"}"#,
        r#"{"type":"login","data":{"roomrequest":1,"username":"Ann"}}"#,
        r#"{"type":"login","data":{"roomrequest":"tea","username":"\u0000"}}"#,
        r#"{"type":"login","data":{"roomrequest":"tea\u202e","username":"Ann"}}"#,
        r#"{"type":"randomCheck","data":{}}"#,
    ] {
        peer.send_text(text).await;
        peer.refused("invalid").await;
    }
    peer.wire
        .send(Message::binary(vec![0, 1, 2]))
        .await
        .unwrap();
    peer.refused("invalid").await;
    peer.send(&json!({"type": "from-the-future"})).await;
    peer.login("tea", "Ann").await;
    peer.send(&json!({"type": "offer", "to": 7, "data": {}}))
        .await;
    peer.refused("invalid").await;
}

#[tokio::test]
async fn names_have_one_to_sixty_four_characters() {
    let server = TestServer::start().await;
    let mut peer = server.page().await;
    for name in ["", "   ", &"x".repeat(65)] {
        peer.ask_for_seat(json!({"roomrequest": name, "username": "Ann"}))
            .await;
        peer.refused("invalid").await;
        peer.ask_for_seat(json!({"roomrequest": "tea", "username": name}))
            .await;
        peer.refused("invalid").await;
    }
    peer.login(&"é".repeat(64), &"字".repeat(64)).await;
}

#[tokio::test]
async fn only_four_types_are_taken_before_a_login() {
    let server = TestServer::start().await;
    let mut peer = server.page().await;
    peer.send(&json!({"type": "chat", "data": {"id": "1", "text": "x"}}))
        .await;
    peer.refused("unauthorized").await;
    peer.send(&json!({"type": "offer", "data": {}})).await;
    peer.refused("unauthorized").await;
    // Whatever it looks like: the seat comes first.
    peer.send(&json!({"type": "offer", "to": 7})).await;
    peer.refused("unauthorized").await;
    peer.send(&json!({"type": "logout"})).await;
    peer.send(&json!({"type": "randomCheck", "data": "x"}))
        .await;
    assert_eq!(
        peer.next().await,
        json!({"type": "randomCheckResult", "data": {"result": "ok", "roomrequest": "x"}})
    );
}

#[tokio::test]
async fn a_large_message_is_dropped_and_a_huge_one_ends_the_socket() {
    let server = TestServer::start().await;
    let [mut ann, mut bob] = server.peers_in("tea").await;
    let padded = |size: usize| {
        let empty = json!({"type": "offer", "data": ""}).to_string().len();
        json!({"type": "offer", "data": "x".repeat(size - empty)}).to_string()
    };
    ann.send_text(&padded(64 * 1024)).await;
    assert_eq!(bob.next().await["type"], "offer", "64 KiB are allowed");
    ann.send_text(&padded(64 * 1024 + 1)).await;
    ann.refused("toobig").await;
    ann.send_text(&padded(1024 * 1024)).await;
    ann.refused("toobig").await;
    bob.heard_nothing_else().await;
    // The server may close before all of it is written.
    let _ = ann.wire.send(Message::text(padded(1024 * 1024 + 1))).await;
    assert_eq!(ann.closed_with().await, 1009);
    bob.login_elsewhere().await;
}

#[tokio::test]
async fn more_than_the_burst_is_refused() {
    let server = TestServer::start().await;
    let mut peer = server.page().await;
    // More than the burst and what is earned back while this is sent.
    for _ in 0..2000 {
        if peer
            .wire
            .feed(Message::text(r#"{"type":"from-the-future"}"#))
            .await
            .is_err()
        {
            break;
        }
    }
    let _ = peer.wire.flush().await;
    peer.refused("rate").await;
}

#[tokio::test]
async fn twenty_faults_end_the_socket() {
    let server = TestServer::start().await;
    let mut peer = server.page().await;
    for _ in 0..20 {
        peer.send_text("nonsense").await;
    }
    for _ in 0..20 {
        peer.refused("invalid").await;
    }
    assert_eq!(peer.closed_with().await, 4002);
}

#[tokio::test]
async fn the_origin_must_be_our_own_or_allowed() {
    let server = TestServer::start_with(|config| {
        config.web.allow_origins = vec!["https://a.example".into()]
    })
    .await;
    let own = format!("https://{}", server.https());
    for origin in [own.as_str(), "https://a.example"] {
        let mut peer = server.socket("/ws", Some(origin)).await.unwrap();
        peer.heard_nothing_else().await;
    }
    let port = server.https().port();
    let other_port = format!("https://127.0.0.1:{}", port ^ 1);
    let clear = format!("http://127.0.0.1:{port}");
    for origin in [
        "null",
        "https://b.example",
        "https://127.0.0.1",
        &other_port,
        &clear,
        "",
        "x",
    ] {
        assert_eq!(
            refused_with(server.socket("/ws", Some(origin)).await),
            403,
            "{origin}"
        );
        assert_eq!(
            refused_with(server.socket("/", Some(origin)).await),
            403,
            "{origin}"
        );
    }
}

#[tokio::test]
async fn paths_of_other_protocols_are_not_ours() {
    let server = TestServer::start().await;
    for path in [
        "/ws/info",
        "/ws/000/abc/websocket",
        "/ws-stomp",
        "/ws-stomp/websocket",
        "/signal",
        "/chatforyou/api/signal",
        "/videoCall",
        "/signal/",
        "/call",
        "/websocket",
    ] {
        assert_eq!(refused_with(server.socket(path, None).await), 404, "{path}");
    }
    for path in ["/", "/anything", "/r/tea", "/wsx", "/signals"] {
        let mut seed = server.socket(path, None).await.unwrap();
        seed.login(path, "Seed").await;
        assert!(seed.room.is_null(), "{path}");
    }
}

#[tokio::test]
async fn one_address_has_two_hundred_sockets() {
    let server = TestServer::start().await;
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(server.page().await);
    }
    assert_eq!(refused_with(server.socket("/ws", None).await), 429);
    open.pop().unwrap().cut().await;
    // The seat is free as soon as the server has noticed.
    let mut tries = 0;
    while server.socket("/ws", None).await.is_err() {
        tries += 1;
        assert!(tries < 1000, "a closed socket still counts");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_goodbye_is_answered_and_the_server_hangs_up() {
    let server = TestServer::start().await;
    let mut peer = server.page().await;
    let goodbye = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    peer.wire.close(Some(goodbye)).await.unwrap();
    assert_eq!(peer.closed_with().await, 1000);
    assert!(
        peer.wire.next().await.is_none(),
        "closed, and in order: TLS says that it is the end"
    );
}

#[tokio::test]
async fn a_client_that_answers_the_servers_goodbye_need_not_wait() {
    let server = TestServer::start().await;
    let mut peer = server.page().await;
    for _ in 0..20 {
        peer.send_text("nonsense").await;
    }
    assert_eq!(peer.closed_with().await, 4002);
    // The library answers by itself; a server that hangs up only after its patience of 2 s is too late here.
    let ended = timeout(Duration::from_secs(1), peer.wire.next()).await;
    assert!(ended.is_ok_and(|frame| frame.is_none()));
}

#[tokio::test]
async fn a_restart_is_announced() {
    let server = TestServer::start().await;
    let [mut ann, mut bob] = server.peers_in("tea").await;
    let stopping = tokio::spawn(server.stop());
    for peer in [&mut ann, &mut bob] {
        let bye = peer.next().await;
        assert_eq!(bye["type"], "bye");
        assert!(bye["data"]["retryAfter"].as_u64().unwrap() > 0);
        assert_eq!(peer.closed_with().await, 1012);
    }
    drop((ann, bob));
    let dir = stopping.await.unwrap();
    std::fs::remove_dir_all(dir).unwrap();
}

impl Peer {
    async fn login_elsewhere(&mut self) {
        // Whatever the others' end made others hear is of no interest here.
        self.send(&json!({"type": "login", "data": {"roomrequest": "x", "username": "x"}}))
            .await;
        loop {
            let message: Value = self.next().await;
            if message["type"] == "joined" {
                return;
            }
        }
    }
}

fn refused_with(result: Result<Peer, Error>) -> u16 {
    match result {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("refused otherwise: {other}"),
        Ok(_) => panic!("not refused"),
    }
}
