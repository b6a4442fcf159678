//! What a client that keeps to no rule is told.

use std::num::NonZeroU32;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use turnstone::config::Config;
use turnstone::store::Scope;

use super::harness::ApiServer;
use crate::harness::Answer;
use crate::store::harness::{Kind, Place};

async fn server() -> ApiServer {
    ApiServer::start(Place::new(Kind::Sqlite)).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn rooms_that_cannot_be_are_refused_in_words() {
    let server = server().await;
    let host = server.room("Tea").await;
    for bad in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "  "}),
        json!({"name": "x".repeat(65)}),
        json!({"name": "a\u{202E}b"}),
        json!({"name": 7}),
        json!({"name": "a", "password": ""}),
        json!({"name": "a", "password": "x".repeat(65)}),
        json!({"name": "a", "capacity": 0}),
        json!({"name": "a", "capacity": 1001}),
        json!({"name": "a", "capacity": 1.5}),
        json!({"name": "a", "expires": 1}),
        json!({"name": "a", "expires": u64::MAX}),
        json!({"name": "a", "listed": "yes"}),
        json!({"name": "a", "unknown": true}),
        json!(["a"]),
        json!("a"),
    ] {
        let answer = server.ask("POST", "/rooms", "", bad.clone()).await;
        answer.refused(400, "invalid");
        if bad.get("name").is_some_and(|name| name == "a") {
            let change = bad.as_object().unwrap().clone();
            let change = change.into_iter().filter(|(name, _)| name != "name");
            let answer = server
                .ask("PATCH", "/rooms/Tea", &host, change.collect())
                .await;
            answer.refused(400, "invalid");
        }
    }
    let list = server.get("/rooms/Tea", &host).await;
    assert_eq!(list.is(200).body["name"], "Tea", "and nothing has changed");
}

#[tokio::test]
async fn what_is_no_json_or_too_much_is_refused() {
    let server = server().await;
    for (body, kind, status, code) in [
        ("{", "application/json", 400, "invalid"),
        (
            "{\"name\": \"\\ud800\"}",
            "application/json",
            400,
            "invalid",
        ),
        ("{\"name\": \"a\"} x", "application/json", 400, "invalid"),
        ("{\"name\": \"a\"}", "text/plain", 415, "invalid"),
        (
            "{\"name\": \"a\"}",
            "application/x-www-form-urlencoded",
            415,
            "invalid",
        ),
    ] {
        let headers = [("content-type", kind)];
        let answer = server.ask_with("POST", "/rooms", &headers, body).await;
        answer.refused(status, code);
    }
    let large = json!({"name": "x".repeat(20_000)}).to_string();
    let answer = server.ask_with("POST", "/rooms", &[JSON], &large).await;
    answer.refused(413, "toobig");
    let deep = "[".repeat(10_000);
    let answer = server.ask_with("POST", "/rooms", &[JSON], &deep).await;
    answer.refused(400, "invalid");
    assert_eq!(
        server.get("/rooms", "").await.is(200).body,
        json!({"rooms": []})
    );
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_long() {
    let server = server().await;
    let mut stream = server.server.tls().await;
    let head = "POST /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = Answer::read(&mut stream, false).await;
    assert_eq!(answer.status, 408);
    assert_eq!(answer.header("connection"), "close");
}

#[tokio::test]
async fn queries_have_what_is_known_and_in_its_range() {
    let server = server().await;
    let host = server.room("Tea").await;
    for bad in [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=",
        "limit=1&limit=2",
        "page=2",
        "cursor=",
        &format!("cursor={}", "x".repeat(129)),
        &format!("query={}", "x".repeat(65)),
    ] {
        server
            .get(&format!("/rooms?{bad}"), "")
            .await
            .refused(400, "invalid");
    }
    for bad in [
        "before=-1",
        "before=x",
        "after=1.5",
        "limit=1000",
        "query=x",
    ] {
        let path = format!("/rooms/Tea/messages?{bad}");
        server.get(&path, &host).await.refused(400, "invalid");
    }
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_say_so() {
    let server = server().await;
    for path in [
        "",
        "/",
        "/room",
        "/rooms/",
        "/rooms/a/b",
        "/rooms//members",
        "/openapi.json/",
        "/Rooms",
    ] {
        server.get(path, "").await.refused(404, "notfound");
    }
    for (method, path, allowed) in [
        ("DELETE", "/rooms", "POST, GET, HEAD"),
        ("PUT", "/rooms/a", "GET, PATCH, DELETE, HEAD"),
        ("POST", "/events", "GET, HEAD"),
        ("GET", "/turn-credentials", "POST"),
        ("HEAD", "/turn-credentials", "POST"),
    ] {
        let answer = server.open(method, path, &[], "").await;
        assert_eq!(
            (
                answer.status().as_u16(),
                answer.headers()["allow"].as_bytes()
            ),
            (405, allowed.as_bytes())
        );
    }
    let host = server.room("Tea").await;
    server
        .get("/rooms/%ff", &host)
        .await
        .refused(400, "invalid");
    server
        .get("/rooms/%20", &host)
        .await
        .refused(400, "invalid");
    server
        .get("/rooms/a%0Ab", &host)
        .await
        .refused(400, "invalid");
    let head = server.open("HEAD", "/rooms", &[], "").await;
    assert_eq!(head.status(), 200);
}

#[tokio::test]
async fn what_is_shown_has_to_be_good_even_where_nothing_is_needed() {
    let server = server().await;
    let host = server.room("Tea").await;
    let key = server.key(&Scope::ALL).await;
    let (token, last) = host.split_at(host.len() - 1);
    let forged = format!("{token}{}", if last == "A" { "B" } else { "A" });
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", host.split('.').nth(1).unwrap());
    let near = format!("{}x", &key[..key.len() - 1]);
    for bad in [
        forged.as_str(),
        &unsigned,
        &near,
        "nonsense",
        "turnstone_x_y",
    ] {
        for path in ["/rooms", "/rooms/Tea", "/events", "/openapi.json"] {
            server.get(path, bad).await.refused(401, "unauthorized");
        }
    }
    let basic = [("authorization", "Basic a2ltOnB3")];
    let answer = server.ask_with("GET", "/rooms", &basic, "").await;
    answer.refused(401, "unauthorized");
    server
        .get("/rooms/Tea", "")
        .await
        .refused(401, "unauthorized");
    server.get("/rooms/Tea", &key).await.is(200);
    let store = server.store().await;
    let id = store.keys().await.unwrap()[0].id;
    store.revoke_key(id, 1).await.unwrap();
    store.close().await;
    server
        .get("/rooms/Tea", &key)
        .await
        .refused(401, "unauthorized");
}

#[tokio::test]
async fn acting_on_a_room_needs_its_own_token_or_the_scope() {
    let server = server().await;
    let host = server.room("Tea").await;
    let other = server.room("Coffee").await;
    let reader = server
        .key(&[
            Scope::RoomsRead,
            Scope::MessagesRead,
            Scope::Files,
            Scope::Turn,
        ])
        .await;
    for (method, body) in [("PATCH", json!({"locked": true})), ("DELETE", Value::Null)] {
        for (token, status, code) in [
            ("", 401, "unauthorized"),
            (&other, 403, "denied"),
            (&reader, 403, "denied"),
        ] {
            let answer = server.ask(method, "/rooms/Tea", token, body.clone()).await;
            answer.refused(status, code);
        }
    }
    server
        .get("/rooms/Tea", &other)
        .await
        .refused(403, "denied");
    assert_eq!(
        server.get("/rooms/Tea", &host).await.is(200).body["locked"],
        false
    );
}

#[tokio::test]
async fn strangers_have_limits_that_keys_do_not_have() {
    let few = |config: &mut Config| {
        let two = NonZeroU32::new(2).unwrap();
        config.api.limits.rooms_per_hour = two;
        config.api.limits.invites_per_hour = two;
        config.api.limits.passwords_per_hour = two;
    };
    let server = ApiServer::start_with(Place::new(Kind::Sqlite), few).await;
    let host = server.room("1").await;
    server.room("2").await;
    server
        .ask("POST", "/rooms", "", json!({"name": "3"}))
        .await
        .refused(429, "rate");
    let key = server.key(&[Scope::RoomsWrite]).await;
    server
        .ask("POST", "/rooms", &key, json!({"name": "3"}))
        .await
        .is(201);
    for (method, path, body) in [
        ("POST", "/rooms/1/invites", json!({"role": "guest"})),
        ("PATCH", "/rooms/1", json!({"password": "sesame"})),
    ] {
        for _ in 0..2 {
            let answer = server.ask(method, path, &host, body.clone()).await;
            assert!(answer.status < 300, "{answer:?}");
        }
        server
            .ask(method, path, &host, body.clone())
            .await
            .refused(429, "rate");
        let answer = server.ask(method, path, &key, body).await;
        assert!(answer.status < 300, "{answer:?}");
    }
    server
        .ask("PATCH", "/rooms/1", &host, json!({"locked": true}))
        .await
        .is(200);
}

#[tokio::test]
async fn whoever_asks_too_often_waits() {
    let few = |config: &mut Config| {
        config.api.limits.requests_per_minute = NonZeroU32::new(3).unwrap();
    };
    let server = ApiServer::start_with(Place::new(Kind::Sqlite), few).await;
    for _ in 0..3 {
        server.get("/rooms", "").await.is(200);
    }
    server.get("/rooms", "").await.refused(429, "rate");
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_and_those_that_are_allowed_are_told_so() {
    let allow = |config: &mut Config| {
        config.web.allow_origins = vec!["https://app.example".to_owned()];
    };
    let server = ApiServer::start_with(Place::new(Kind::Sqlite), allow).await;
    let own = format!("https://{}", server.host());
    for foreign in [
        ("origin", "https://elsewhere.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let answer = server.ask_with("GET", "/rooms", &[foreign], "").await;
        answer.refused(403, "denied");
        assert_eq!(answer.header("access-control-allow-origin"), "");
        let body = r#"{"name": "a"}"#;
        let answer = server
            .ask_with("POST", "/rooms", &[foreign, JSON], body)
            .await;
        answer.refused(403, "denied");
    }
    for fine in [("origin", own.as_str()), ("sec-fetch-site", "same-origin")] {
        let answer = server.ask_with("GET", "/rooms", &[fine], "").await;
        assert_eq!(answer.is(200).header("access-control-allow-origin"), "");
        assert_eq!(answer.header("vary"), "Origin");
    }
    let app = [
        ("origin", "https://app.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    let answer = server.ask_with("GET", "/rooms", &app, "").await;
    assert_eq!(
        answer.is(200).header("access-control-allow-origin"),
        "https://app.example"
    );
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("location")
    );
    let preflight = [app[0], app[1], ("access-control-request-method", "PATCH")];
    let answer = server.open("OPTIONS", "/rooms/a", &preflight, "").await;
    assert_eq!(answer.status(), 204);
    let said = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(said("access-control-allow-origin"), "https://app.example");
    assert!(said("access-control-allow-methods").contains("PATCH"));
    assert!(said("access-control-allow-headers").contains("authorization"));
    assert!(
        !answer
            .headers()
            .contains_key("access-control-allow-credentials")
    );
}

#[tokio::test]
async fn the_description_is_served_as_it_is() {
    let server = server().await;
    let answer = server.get("/openapi.json", "").await;
    let known: Value = serde_json::from_str(include_str!("../../../src/api/openapi.json")).unwrap();
    assert_eq!(answer.is(200).body, known);
}
