//! HTTP/2: the same pages, by a client written by others.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::harness::{Door, PATIENCE, rest_of};

type Client = SendRequest<Empty<Bytes>>;

#[tokio::test]
async fn the_page_comes_over_http2_with_the_same_headers() {
    let door = Door::open().await;
    let mut client = connect(&door).await;
    let (head, page) = ask(&mut client, Method::GET, &door.origin(), "/r/tea").await;
    assert_eq!(
        (head.status(), head.version()),
        (StatusCode::OK, Version::HTTP_2)
    );
    let plain = door.get("/").await;
    assert_eq!(page, plain.body);
    for (name, value) in plain.headers {
        if !["date", "connection"].contains(&name.as_str()) {
            assert_eq!(head.headers()[&name], value, "{name}");
        }
    }
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let door = Door::open().await;
    let client = connect(&door).await;
    let asked: Vec<_> = (0..100)
        .map(|_| {
            let (mut client, origin) = (client.clone(), door.origin());
            tokio::spawn(async move { ask(&mut client, Method::GET, &origin, "/healthz").await.1 })
        })
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap(), b"ok");
    }
    assert_eq!(door.limits.connections.open(), 1);
}

#[tokio::test]
async fn other_methods_are_refused_without_ending_the_connection() {
    let door = Door::open().await;
    let mut client = connect(&door).await;
    let (refused, _) = ask(&mut client, Method::POST, &door.origin(), "/").await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(
        !refused.headers().contains_key("connection"),
        "RFC 9113 §8.2.2"
    );
    let (head, body) = ask(&mut client, Method::HEAD, &door.origin(), "/").await;
    assert!(head.headers().contains_key("content-length") && body.is_empty());
    let (sockets, _) = ask(&mut client, Method::GET, &door.origin(), "/ws").await;
    assert_eq!(sockets.status(), StatusCode::UPGRADE_REQUIRED);
}

#[tokio::test]
async fn stopping_lets_the_connection_end_in_order() {
    let mut door = Door::open().await;
    let mut client = connect(&door).await;
    ask(&mut client, Method::GET, &door.origin(), "/").await;
    door.stop.cancel();
    timeout(PATIENCE, &mut door.task)
        .await
        .expect("it ends in time")
        .unwrap();
    assert!(timeout(PATIENCE, client.ready()).await.unwrap().is_err());
}

#[tokio::test]
async fn nonsense_ends_only_its_own_connection() {
    let door = Door::open().await;
    let settings = b"\0\0\0\x04\0\0\0\0\0".as_slice();
    for nonsense in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        &[0; 64],
        &[0xff; 64],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x01\xff\0\0\0\x01",
        // A header block that never ends, and one that is no HPACK.
        &[
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            settings,
            &b"\0\0\x01\x01\x00\0\0\0\x01\x80".repeat(50),
        ]
        .concat(),
        &[
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            settings,
            b"\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff",
        ]
        .concat(),
    ] {
        let mut stream = door.connect(&[b"h2"]).await;
        let _ = stream.write_all(nonsense).await;
        let _ = stream.shutdown().await;
        rest_of(&mut stream).await;
    }
    let mut client = connect(&door).await;
    assert_eq!(
        ask(&mut client, Method::GET, &door.origin(), "/healthz")
            .await
            .1,
        b"ok"
    );
}

#[tokio::test]
async fn streams_opened_and_reset_at_once_end_the_connection() {
    let door = Door::open().await;
    let mut stream = door.connect(&[b"h2"]).await;
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        let _ = reader.read_to_end(&mut all).await; // an abrupt end is an end as well
    });
    for id in (1..200_001u32).step_by(2) {
        // :method GET, :scheme https, :path /, :authority a; then RST_STREAM CANCEL.
        let mut frames =
            b"\0\0\x06\x01\x05\0\0\0\0\x82\x87\x84\x41\x01a\0\0\x04\x03\0\0\0\0\0\0\0\0\x08"
                .to_vec();
        frames[5..9].copy_from_slice(&id.to_be_bytes());
        frames[20..24].copy_from_slice(&id.to_be_bytes());
        if writer.write_all(&frames).await.is_err() {
            break;
        }
    }
    timeout(PATIENCE, reading)
        .await
        .expect("the server ends it")
        .unwrap();
    assert_eq!(door.get("/healthz").await.text(), "ok");
}

async fn connect(door: &Door) -> Client {
    let stream = TokioIo::new(door.connect(&[b"h2"]).await);
    let (client, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn ask(
    client: &mut Client,
    method: Method,
    origin: &str,
    path: &str,
) -> (Response<()>, Vec<u8>) {
    let request = Request::builder()
        .method(method)
        .uri(format!("{origin}{path}"));
    let request = request.body(Empty::new()).unwrap();
    let answering = async {
        client.ready().await.unwrap();
        let (head, body) = client.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        (Response::from_parts(head, ()), body)
    };
    timeout(PATIENCE, answering)
        .await
        .expect("an answer in time")
}
