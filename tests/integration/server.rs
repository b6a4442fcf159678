//! The parts joined: what an operator sees of a whole server.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use turnstone::config::Config;
use turnstone::server::{Server, StartError};
use turnstone::store::{DatabaseUrl, Error, NewRoom, RoomSettings, Settings, Store};

use crate::harness::{Answer, Folder, PATIENCE, TestServer};
use crate::store::harness::{Postgres, name};

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

#[tokio::test]
async fn without_its_database_a_server_is_not_ready_and_people_in_rooms_go_on() {
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let url = DatabaseUrl::parse(&postgres.create_database("calls")).unwrap();
    let server = TestServer::start_with(|config| config.store.database = Some(url)).await;
    assert_eq!(asked(&server, "/readyz").await.status, 200);
    let [mut ann] = server.peers_in("tea").await;
    tokio::task::spawn_blocking(|| postgres.stop())
        .await
        .unwrap();
    let not_ready = async {
        while asked(&server, "/readyz").await.status != 503 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, not_ready).await.unwrap();
    assert_eq!(asked(&server, "/healthz").await.status, 200);
    let mut bob = server.page().await;
    bob.login("tea", "Bob").await;
    assert_eq!(ann.next().await["type"], "login");
    bob.act("chat", json!({"id": "1", "text": "hello"})).await;
    assert_eq!(ann.next().await["data"]["text"], "hello");
    // A room in which nobody is might be a kept one, with a password.
    let mut cid = server.page().await;
    cid.ask_for_seat(json!({"roomrequest": "coffee", "username": "Cid"}))
        .await;
    cid.refused("denied").await;
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_told_before_any_port_is_bound() {
    let data = Folder::new();
    std::fs::create_dir(data.0.join("turnstone.db")).unwrap();
    std::fs::create_dir(data.0.join("ssl")).unwrap();
    // A port that is taken is not even tried.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config {
        data_dir: data.0.clone(),
        ..Config::default()
    };
    config.web.ssl_dir = Some(data.0.join("ssl"));
    config.web.https_listen = Some(vec![taken.local_addr().unwrap()]);
    let Err(error) = Server::start(config).await else {
        panic!("it started");
    };
    assert!(matches!(error, StartError::Store(_)), "{error}");
    assert!(error.to_string().contains("turnstone.db"), "{error}");
}

#[tokio::test]
async fn a_server_that_finds_its_ports_taken_clears_nothing_of_the_one_that_has_them() {
    let server = TestServer::start().await;
    let store = Store::open(Settings::default(), &server.dir).await.unwrap();
    let shelf = store.create_shelf(&name("tea"), 1).await.unwrap();
    let mut config = Config {
        data_dir: server.dir.clone(),
        ..Config::default()
    };
    config.web.ssl_dir = Some(server.dir.join("ssl"));
    config.web.https_listen = Some(server.addresses.https.clone());
    let Err(error) = Server::start(config).await else {
        panic!("it started");
    };
    assert!(matches!(error, StartError::Bind { .. }), "{error}");
    store.room(shelf).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn what_has_ended_is_cleared_and_the_store_is_closed_at_the_end() {
    let data = Folder::new();
    let store = Store::open(Settings::default(), &data.0).await.unwrap();
    let mut settings = RoomSettings::named(name("tea"));
    settings.expires = Some(1);
    let room = NewRoom {
        settings,
        created: 0,
    };
    store.create_room(&room).await.unwrap();
    let server = TestServer::start_in(data.0.clone(), |_| {}).await;
    let cleared = async {
        while !matches!(store.room_by_name(&name("tea")).await, Err(Error::NotFound)) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, cleared).await.unwrap();
    store.close().await;
    assert!(data.0.join("turnstone.db-wal").exists());
    server.stop().await;
    // The last one who closes SQLite's file puts its log away.
    assert!(!data.0.join("turnstone.db-wal").exists());
}
