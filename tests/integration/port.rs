//! What is spoken on one port is found out by looking.

use std::io::{Read, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::rustls::StreamOwned;
use turnstone::web::TurnConnection;

use crate::harness::{Answer, Door, PATIENCE, rest_of};

/// A Binding request (RFC 8489 §5).
const BINDING: [u8; 20] = [
    0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];

/// Reads a Binding request as whoever takes the connection does, and answers.
fn answer_binding(turn: TurnConnection) {
    let TurnConnection {
        mut socket,
        tls,
        first,
        ..
    } = turn;
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut read: Vec<u8> = first.into_iter().collect();
    let taken = read.len();
    read.resize(BINDING.len(), 0);
    match tls {
        Some(tls) => {
            let mut stream = StreamOwned::new(*tls, socket);
            stream.read_exact(&mut read[taken..]).unwrap();
            stream.write_all(b"answer").unwrap();
            stream.flush().unwrap();
        }
        None => {
            socket.read_exact(&mut read[taken..]).unwrap();
            socket.write_all(b"answer").unwrap();
        }
    }
    assert_eq!(read, BINDING);
}

#[tokio::test]
async fn turn_in_the_clear_is_handed_over_untouched() {
    let mut door = Door::open().await;
    let mut client = door.tcp().await;
    client.write_all(&BINDING).await.unwrap();
    let turn = timeout(PATIENCE, door.turns.recv()).await.unwrap().unwrap();
    assert!(turn.tls.is_none());
    assert_eq!(turn.client, client.local_addr().unwrap());
    assert_eq!(turn.local, door.addr);
    answer_binding(turn);
    let mut answer = [0; 6];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"answer");
}

#[tokio::test]
async fn turn_in_tls_is_known_by_its_first_byte_or_by_its_protocol() {
    for (alpn, door) in [
        (&[][..], Door::open().await),
        (&[b"stun.turn".as_slice()][..], Door::open().await),
        (&[][..], Door::open_without_pages().await),
    ] {
        let mut door = door;
        let mut client = door.connect(alpn).await;
        client.write_all(&BINDING).await.unwrap();
        let turn = timeout(PATIENCE, door.turns.recv()).await.unwrap().unwrap();
        assert!(turn.tls.is_some());
        answer_binding(turn);
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
    }
}

#[tokio::test]
async fn http_in_tls_is_served_with_and_without_a_protocol_named() {
    let door = Door::open().await;
    for alpn in [&[][..], &[b"http/1.1".as_slice()][..]] {
        let mut client = door.connect(alpn).await;
        client
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        let answer = Answer::read(&mut client, false).await;
        assert_eq!((answer.status, answer.text()), (200, "ok"));
    }
}

#[tokio::test]
async fn plain_http_is_sent_to_https_on_the_same_port() {
    let door = Door::open().await;
    let mut client = door.tcp().await;
    let request = format!("GET /r/tea?lang=en HTTP/1.1\r\nHost: {}\r\n\r\n", door.addr);
    client.write_all(request.as_bytes()).await.unwrap();
    let answer = Answer::read(&mut client, false).await;
    assert_eq!(answer.status, 308);
    assert_eq!(
        answer.header("location"),
        format!("https://{}/r/tea?lang=en", door.addr)
    );
    assert!(
        rest_of(&mut client).await.is_empty(),
        "and the connection ends"
    );
}

#[tokio::test]
async fn a_redirect_goes_nowhere_else() {
    let door = Door::open().await;
    for host in [
        "",
        "evil.example/",
        "a b",
        "user@evil.example",
        "evil.example\r\nHost: other.example",
    ] {
        let mut client = door.tcp().await;
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = Answer::read(&mut client, false).await;
        assert_eq!(answer.status, 400, "{host:?}");
        assert_eq!(answer.header("location"), "");
    }
}

#[tokio::test]
async fn turns_own_port_closes_http_at_once() {
    let mut door = Door::open_without_pages().await;
    let mut plain = door.tcp().await;
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert!(rest_of(&mut plain).await.is_empty());
    for alpn in [
        &[][..],
        &[b"http/1.1".as_slice()][..],
        &[b"h2".as_slice()][..],
    ] {
        let mut client = door.connect(alpn).await;
        let _ = client
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        assert!(rest_of(&mut client).await.is_empty());
    }
    assert!(door.turns.try_recv().is_err());
}
