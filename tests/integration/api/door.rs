//! How requests reach the HTTP API, and what it says of paths that do not exist.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::harness::{Answer, Door, PATIENCE, TestServer};

#[tokio::test]
async fn bodies_stream_both_ways() {
    let door = Door::open().await;
    let mut client = door.connect(&[b"http/1.1"]).await;
    let head = "POST /api/v1/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut heard = String::new();
    // Each part is heard before the next is said: nothing waits for the end.
    for part in ["first", "second", "third"] {
        let chunk = format!("{:x}\r\n{part}\r\n", part.len());
        client.write_all(chunk.as_bytes()).await.unwrap();
        while !heard.contains(part) {
            let mut bytes = [0; 1024];
            let read = timeout(PATIENCE, client.read(&mut bytes)).await.unwrap();
            let read = read.unwrap();
            assert_ne!(read, 0, "{heard}");
            heard.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
    }
    assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
}

#[tokio::test]
async fn an_answer_keeps_its_own_policy_and_gets_the_other_headers() {
    let door = Door::open().await;
    let answer = door.ask("GET /api/v1/x HTTP/1.1\r\nHost: localhost").await;
    assert_eq!(answer.header("content-security-policy"), "sandbox");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn pages_of_other_sites_may_not_ask() {
    let door = Door::open().await;
    for (origin, status) in [
        ("https://localhost", 200),
        ("https://elsewhere.example", 403),
        ("null", 403),
    ] {
        let head = format!("GET /api/v1/x HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}");
        let answer = door.ask(&head).await;
        assert_eq!(answer.status, status, "{origin}");
        if status == 403 {
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
    }
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_a_problem_in_json() {
    let server = TestServer::start().await;
    let mut client = server.tls().await;
    let head = "POST /api/v1/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    client.write_all(head.as_bytes()).await.unwrap();
    let answer = Answer::read(&mut client, false).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(problem["status"], 404);
}
