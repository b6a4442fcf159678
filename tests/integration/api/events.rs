//! Server-sent events of listed rooms.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::harness::ApiServer;
use crate::harness::PATIENCE;
use crate::store::harness::{Place, on_both};

on_both!(
    whoever_listens_hears_what_happens_to_listed_rooms,
    a_stream_goes_on_where_it_broke_and_ends_with_the_server,
);

/// A stream that is being read.
pub(crate) struct Listening {
    body: Incoming,
    heard: String,
    last_id: String,
}

impl Listening {
    pub(crate) async fn to(server: &ApiServer, last_id: Option<&str>) -> Self {
        let headers: Vec<_> = last_id
            .map(|id| ("last-event-id", id))
            .into_iter()
            .collect();
        let response = server.open("GET", "/events", &headers, "").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut listening = Self {
            body: response.into_body(),
            heard: String::new(),
            last_id: String::new(),
        };
        if last_id.is_none() {
            // The id to begin with.
            assert!(listening.block().await.unwrap().starts_with("retry: "));
            listening.block().await.unwrap();
        }
        listening
    }

    /// The next event's name and data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                block
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::to_owned)
            };
            if let Some(event) = field("event: ") {
                let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
                return Some((event, data));
            }
        }
    }

    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.heard.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.heard = rest;
                if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
                    self.last_id = id.to_owned();
                }
                return Some(block);
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.unwrap()?;
            let bytes = frame.ok()?.into_data().unwrap();
            self.heard.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    pub(crate) async fn hears(&mut self, event: &str, data: Value) {
        assert_eq!(self.next().await, Some((event.to_owned(), data)));
    }
}

pub(crate) fn entry(name: &str, people: usize) -> Value {
    json!({"name": name, "people": people, "capacity": 10, "locked": false, "password": false})
}

pub(crate) async fn listed_room(server: &ApiServer, name: &str) -> String {
    let wanted = json!({"name": name, "listed": true});
    let made = server.ask("POST", "/rooms", "", wanted).await;
    made.is(201).body["hostToken"].as_str().unwrap().to_owned()
}

async fn whoever_listens_hears_what_happens_to_listed_rooms(place: Place) {
    let server = ApiServer::start(place).await;
    let mut listening = Listening::to(&server, None).await;
    let hidden = server.room("Hidden").await;
    let host = listed_room(&server, "Tea").await;
    listening.hears("room-created", entry("Tea", 0)).await;
    let change = async |path: &str, host: &str, change: Value| {
        server.ask("PATCH", path, host, change).await.is(200);
    };
    change("/rooms/Tea", &host, json!({"locked": true})).await;
    let mut locked = entry("Tea", 0);
    locked["locked"] = json!(true);
    listening.hears("room-changed", locked).await;
    change(
        "/rooms/Tea",
        &host,
        json!({"name": "Coffee", "locked": false}),
    )
    .await;
    listening
        .hears("room-deleted", json!({"name": "Tea"}))
        .await;
    listening.hears("room-created", entry("Coffee", 0)).await;
    change("/rooms/Coffee", &host, json!({"listed": false})).await;
    listening
        .hears("room-deleted", json!({"name": "Coffee"}))
        .await;
    change("/rooms/Hidden", &hidden, json!({"locked": true})).await;
    change("/rooms/Coffee", &host, json!({"listed": true})).await;
    listening.hears("room-created", entry("Coffee", 0)).await;
    server
        .ask("DELETE", "/rooms/Hidden", &hidden, Value::Null)
        .await
        .is(204);
    server
        .ask("DELETE", "/rooms/Coffee", &host, Value::Null)
        .await
        .is(204);
    listening
        .hears("room-deleted", json!({"name": "Coffee"}))
        .await;
}

async fn a_stream_goes_on_where_it_broke_and_ends_with_the_server(place: Place) {
    let server = ApiServer::start(place).await;
    let mut listening = Listening::to(&server, None).await;
    let start = listening.last_id.clone();
    listed_room(&server, "Tea").await;
    listening.hears("room-created", entry("Tea", 0)).await;
    let last = listening.last_id.clone();
    drop(listening);
    listed_room(&server, "Coffee").await;
    let mut again = Listening::to(&server, Some(&last)).await;
    again.hears("room-created", entry("Coffee", 0)).await;
    let mut from_start = Listening::to(&server, Some(&start)).await;
    from_start.hears("room-created", entry("Tea", 0)).await;
    from_start.hears("room-created", entry("Coffee", 0)).await;
    let mut lost = Listening::to(&server, Some("1-7")).await;
    lost.hears("reload", json!({})).await;
    listed_room(&server, "Cocoa").await;
    lost.hears("room-created", entry("Cocoa", 0)).await;

    let ending = tokio::spawn(async move { lost.next().await });
    timeout(Duration::from_secs(10), server.stop())
        .await
        .unwrap();
    assert_eq!(timeout(PATIENCE, ending).await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn one_address_cannot_take_all_places() {
    let server = ApiServer::start(Place::new(crate::store::harness::Kind::Sqlite)).await;
    let mut open = Vec::new();
    let refused = loop {
        let response = server.open("GET", "/events", &[], "").await;
        if response.status() != 200 {
            break response;
        }
        open.push(response);
        assert!(open.len() <= 100);
    };
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    drop(open);
    // A place is free again once its connection is known to be gone.
    let free = async {
        while server.open("GET", "/events", &[], "").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, free).await.unwrap();
}
