//! Port 80: everything goes to HTTPS but the answers to a certificate authority.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use turnstone::web::{LimitSettings, Limits, Redirect, Settings};

use crate::harness::{Answer, Folder, PATIENCE, rest_of};

#[tokio::test]
async fn people_are_sent_to_the_real_port_of_https() {
    for (port, host, target) in [
        (443, "call.example", "https://call.example/r/tea?lang=en"),
        (443, "call.example:80", "https://call.example/r/tea?lang=en"),
        (
            8443,
            "call.example:8080",
            "https://call.example:8443/r/tea?lang=en",
        ),
        (8443, "[::1]:80", "https://[::1]:8443/r/tea?lang=en"),
    ] {
        let answer = ask(
            port,
            &format!("GET /r/tea?lang=en HTTP/1.1\r\nHost: {host}"),
        )
        .await;
        assert_eq!((answer.status, answer.header("location")), (308, target));
    }
    let post = ask(443, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3").await;
    assert_eq!((post.status, post.header("location")), (308, "https://a/x"));
}

#[tokio::test]
async fn a_request_that_says_no_host_is_not_sent_anywhere() {
    for head in [
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: evil.example/x",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b",
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443",
        "OPTIONS * HTTP/1.1\r\nHost: a",
    ] {
        let answer = ask(443, head).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (400, ""),
            "{head}"
        );
    }
}

#[tokio::test]
async fn an_authoritys_question_is_answered_in_the_clear_and_nothing_else() {
    let known = ask(
        443,
        "GET /.well-known/acme-challenge/token HTTP/1.1\r\nHost: a",
    )
    .await;
    assert_eq!((known.status, known.text()), (200, "token.key"));
    let unknown = ask(
        443,
        "GET /.well-known/acme-challenge/other HTTP/1.1\r\nHost: a",
    )
    .await;
    assert_eq!(unknown.status, 404);
    let above = ask(
        443,
        "GET /.well-known/acme-challenge/%2e%2e/security.txt HTTP/1.1\r\nHost: a",
    )
    .await;
    assert_eq!(above.status, 404);
    let other = ask(443, "GET /.well-known/security.txt HTTP/1.1\r\nHost: a").await;
    assert_eq!(other.status, 308);
}

#[tokio::test]
async fn it_stops_when_told_even_while_somebody_says_nothing() {
    let data = Folder::new();
    let stop = CancellationToken::new();
    let (addr, task) = serve(443, &data, &stop).await;
    let mut silent = TcpStream::connect(addr).await.unwrap();
    silent.write_all(b"GET ").await.unwrap();
    stop.cancel();
    timeout(PATIENCE, task).await.unwrap().unwrap();
    assert!(rest_of(&mut silent).await.is_empty());
}

async fn ask(https_port: u16, head: &str) -> Answer {
    let data = Folder::new();
    data.write("well-known/acme-challenge/token", "token.key");
    data.write("well-known/security.txt", "not here");
    let stop = CancellationToken::new();
    let (addr, _task) = serve(https_port, &data, &stop).await;
    let mut client = TcpStream::connect(addr).await.unwrap();
    client
        .write_all(format!("{head}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let answer = Answer::read(&mut client, false).await;
    assert!(
        rest_of(&mut client).await.is_empty(),
        "and the connection ends"
    );
    stop.cancel();
    answer
}

async fn serve(
    https_port: u16,
    data: &Folder,
    stop: &CancellationToken,
) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    let limits = Arc::new(Limits::new(&LimitSettings::default()));
    let redirect = Redirect::new(&Settings::default(), &data.0, https_port, limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (
        addr,
        tokio::spawn(Arc::new(redirect).serve(listener, stop.clone())),
    )
}
