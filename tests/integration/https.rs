//! The pages' door: HTTP over real TLS, and WebSockets from there.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use turnstone::web::LimitSettings;

use crate::harness::{Answer, Door, PATIENCE, rest_of};

#[tokio::test]
async fn the_page_is_at_every_address_that_people_share() {
    let door = Door::open().await;
    let home = door.get("/").await;
    assert_eq!(home.status, 200);
    assert_eq!(home.header("content-type"), "text/html; charset=utf-8");
    for path in ["/r/tea", "/r/%EC%B0%A8", "/test", "/?lang=en"] {
        let answer = door.get(path).await;
        assert_eq!((answer.status, &answer.body), (200, &home.body), "{path}");
    }
    let old = door.get("/?roomrequest=tea%20time").await;
    assert_eq!((old.status, old.header("location")), (302, "/r/tea%20time"));
    for (slash, link) in [
        ("/r/tea/", "/r/tea"),
        ("/r/%EC%B0%A8/?lang=en&x=/", "/r/%EC%B0%A8?lang=en&x=/"),
    ] {
        let moved = door.get(slash).await;
        assert_eq!((moved.status, moved.header("location")), (308, link));
    }
    for nothing in ["/r/", "/r//", "/r/tea//", "/r/a/b/"] {
        assert_eq!(door.get(nothing).await.status, 404, "{nothing}");
    }
    assert_eq!(door.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_askers_language() {
    let door = Door::open().await;
    assert_eq!(door.get("/nothing").await.status, 404);
    let page = door
        .ask(&format!(
            "GET /nothing HTTP/1.1\r\nHost: {}\r\nAccept: text/html",
            door.addr
        ))
        .await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (404, "text/html; charset=utf-8")
    );
    let api = door.get("/api/v2/rooms").await;
    assert_eq!(
        (api.status, api.header("content-type")),
        (404, "application/problem+json")
    );
}

#[tokio::test]
async fn other_methods_and_bodies_are_refused() {
    let door = Door::open().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let answer = door
            .ask(&format!("{method} / HTTP/1.1\r\nHost: {}", door.addr))
            .await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, "GET, HEAD"),
            "{method}"
        );
    }
    let answer = door
        .ask(&format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nContent-Length: 9",
            door.addr
        ))
        .await;
    assert_eq!((answer.status, answer.header("connection")), (413, "close"));
}

#[tokio::test]
async fn a_request_must_say_once_where_it_goes() {
    let door = Door::open().await;
    for hosts in [
        "Accept: */*",
        "Host: a\r\nHost: b",
        "Host: a b",
        "Host: evil.example/x",
    ] {
        assert_eq!(
            door.ask(&format!("GET / HTTP/1.1\r\n{hosts}")).await.status,
            400,
            "{hosts}"
        );
    }
}

#[tokio::test]
async fn a_simple_health_check_needs_no_host() {
    let door = Door::open().await;
    assert_eq!(door.ask("GET /healthz HTTP/1.0").await.text(), "ok");
    let answer = door.ask("GET /healthz HTTP/1.0\r\nHost: a b").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_refusal_reaches_those_who_were_about_to_send_a_lot() {
    let door = Door::open().await;
    let mut client = door.connect(&[b"http/1.1"]).await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000\r\n\r\n",
        door.addr
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(client);
    let sending = tokio::spawn(async move {
        let _ = writer.write_all(&vec![b'x'; 1_000_000]).await; // it may be cut off
    });
    assert_eq!(Answer::read(&mut reader, false).await.status, 405);
    sending.await.unwrap();
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let door = Door::open().await;
    let long = "a".repeat(17 * 1024);
    assert_eq!(
        door.ask(&format!("GET / HTTP/1.1\r\nX: {long}"))
            .await
            .status,
        431
    );
    let many = "X: y\r\n".repeat(100);
    assert_eq!(
        door.ask(&format!("GET / HTTP/1.1\r\n{many}Host: a"))
            .await
            .status,
        431
    );
}

#[tokio::test]
async fn a_websocket_is_handed_over_with_who_and_where() {
    let mut door = Door::open().await;
    for (path, page) in [("/ws", true), ("/", false), ("/anything/else", false)] {
        let (answer, mut client) = door.ask_socket(path, "").await;
        assert_eq!(answer.status, 101, "{path}");
        assert_eq!(
            answer.header("sec-websocket-accept"),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        let mut socket = timeout(PATIENCE, door.sockets.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((socket.page, &socket.host), (page, &door.addr.to_string()));
        assert_eq!(socket.client, client.get_ref().0.local_addr().unwrap());
        client.write_all(b"frames").await.unwrap();
        let mut frames = [0; 6];
        socket.stream.read_exact(&mut frames).await.unwrap();
        assert_eq!(&frames, b"frames");
        socket.stream.write_all(b"others").await.unwrap();
        socket.stream.flush().await.unwrap();
        client.read_exact(&mut frames).await.unwrap();
        assert_eq!(&frames, b"others");
    }
}

#[tokio::test]
async fn frames_sent_together_with_the_request_are_not_lost() {
    let mut door = Door::open().await;
    let mut client = door.connect(&[b"http/1.1"]).await;
    let request = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut socket = timeout(PATIENCE, door.sockets.recv())
        .await
        .unwrap()
        .unwrap();
    let mut early = [0; 5];
    socket.stream.read_exact(&mut early).await.unwrap();
    assert_eq!(&early, b"early");
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_before_the_upgrade() {
    let mut door = Door::open_with(|settings| {
        settings.allow_origins = vec!["http://localhost:3000".to_owned()];
    })
    .await;
    for (origin, status) in [
        (door.origin().as_str(), 101),
        ("http://localhost:3000", 101),
        ("https://evil.example", 403),
        ("https://localhost:3000", 403),
        ("null", 403),
    ] {
        let (answer, _client) = door
            .ask_socket("/ws", &format!("Origin: {origin}\r\n"))
            .await;
        assert_eq!(answer.status, status, "{origin}");
    }
    for _ in 0..2 {
        assert!(
            timeout(PATIENCE, door.sockets.recv())
                .await
                .unwrap()
                .is_some()
        );
    }
    assert!(
        door.sockets.try_recv().is_err(),
        "nothing else was handed over"
    );
}

#[tokio::test]
async fn sockets_of_one_address_are_counted_until_they_end() {
    let mut door = Door::open_with(|settings| {
        settings.limits = LimitSettings {
            sockets_per_address: 2,
            ..LimitSettings::default()
        };
    })
    .await;
    let (first, _client) = door.ask_socket("/ws", "").await;
    let (second, _other) = door.ask_socket("/", "").await;
    assert_eq!((first.status, second.status), (101, 101));
    let (third, _) = door.ask_socket("/ws", "").await;
    assert_eq!(third.status, 429);
    assert!(
        third.text().contains("too many WebSockets"),
        "{}",
        third.text()
    );
    drop(timeout(PATIENCE, door.sockets.recv()).await.unwrap());
    let (fourth, _) = door.ask_socket("/ws", "").await;
    assert_eq!(fourth.status, 101);
}

#[tokio::test]
async fn requests_that_are_no_websockets_say_what_is_missing() {
    let door = Door::open().await;
    assert_eq!(door.get("/ws").await.status, 426);
    let (answer, _) = door.ask_socket("/ws/room", "").await;
    assert_eq!(answer.status, 404);
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket",
        door.addr
    );
    let old = door
        .ask(&format!("{head}\r\nSec-WebSocket-Version: 8"))
        .await;
    assert_eq!(
        (old.status, old.header("sec-websocket-version")),
        (426, "13")
    );
    let bad = door
        .ask(&format!(
            "{head}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x"
        ))
        .await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn stopping_closes_the_port_and_finishes_what_is_asked() {
    let mut door = Door::open().await;
    let mut idle = door.connect(&[b"http/1.1"]).await;
    idle.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", door.addr).as_bytes())
        .await
        .unwrap();
    assert_eq!(Answer::read(&mut idle, false).await.status, 200);
    let silent = door.tcp().await;
    let (upgraded, mut client) = door.ask_socket("/ws", "").await;
    assert_eq!(upgraded.status, 101);
    let mut socket = timeout(PATIENCE, door.sockets.recv())
        .await
        .unwrap()
        .unwrap();

    door.stop.cancel();
    timeout(PATIENCE, &mut door.task)
        .await
        .expect("it ends in time")
        .unwrap();
    assert!(rest_of(&mut idle).await.is_empty());
    assert!(
        tokio::net::TcpStream::connect(door.addr).await.is_err(),
        "the port is closed"
    );
    drop(silent);

    socket.stream.write_all(b"still here").await.unwrap();
    socket.stream.flush().await.unwrap();
    let mut read = [0; 10];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"still here", "sockets end when their owner says so");
}
