//! The parts joined: what an operator sees of a whole server.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::TestServer;
use crate::https_harness::Answer;

async fn asked(server: &TestServer, path: &str) -> Answer {
    let address = server.addresses.admin.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    Answer::read(&mut stream, false).await
}

#[tokio::test]
async fn the_operator_sees_how_many_people_there_are() {
    let server = TestServer::start().await;
    let _people = server.peers_in::<2>("tea").await;
    let _other = server.peers_in::<1>("coffee").await;
    let metrics = asked(&server, "/metrics").await;
    let lines: Vec<&str> = metrics.text().lines().collect();
    for expected in [
        "turnstone_rooms 2",
        "turnstone_people 3",
        "turnstone_websockets 3",
    ] {
        assert!(lines.contains(&expected), "{expected} is not in {lines:#?}");
    }
    assert_eq!(asked(&server, "/readyz").await.status, 200);
}

#[tokio::test]
async fn every_port_is_bound_before_the_server_says_so() {
    let server = TestServer::start().await;
    for addresses in [
        &server.addresses.https,
        &server.addresses.http,
        &server.addresses.turn,
    ] {
        assert_eq!(addresses.len(), 1);
        TcpStream::connect(addresses[0]).await.unwrap();
    }
}

#[tokio::test]
async fn port_80_leads_to_the_port_that_https_really_has() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.addresses.http[0]).await.unwrap();
    let request = "GET /r/tea?lang=en HTTP/1.1\r\nHost: call.example\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = Answer::read(&mut stream, false).await;
    let port = server.https().port();
    assert_eq!(
        (answer.status, answer.header("location")),
        (
            308,
            format!("https://call.example:{port}/r/tea?lang=en").as_str()
        )
    );
}
