//! TURN credentials for other programs.

use serde_json::{Value, json};
use turnstone::config::Config;
use turnstone::store::Scope;

use super::harness::ApiServer;
use crate::store::harness::{Kind, Place};

#[tokio::test]
async fn a_program_with_the_scope_gets_credentials_that_the_relay_takes() {
    let realm = |config: &mut Config| config.turn.realm = crate::turn_client::REALM.to_owned();
    let server = ApiServer::start_with(Place::new(Kind::Sqlite), realm).await;
    let key = server.key(&[Scope::Turn]).await;
    let got = server
        .ask("POST", "/turn-credentials", &key, Value::Null)
        .await;
    assert_eq!(got.is(200).body["ttl"], 3600);
    assert!(
        got.body["username"]
            .as_str()
            .unwrap()
            .bytes()
            .all(|byte| byte.is_ascii_digit())
    );
    let uris = got.body["uris"].as_array().unwrap();
    assert_eq!(uris.len(), 4);
    let turn = server.server.addresses.turn[0];
    assert_eq!(uris[0], format!("stun:127.0.0.1:{}", turn.port()));

    let wanted = json!({"ttl": 60, "name": "kim"});
    let got = server.ask("POST", "/turn-credentials", &key, wanted).await;
    let username = got.is(200).body["username"].as_str().unwrap();
    assert!(username.ends_with(":kim"), "{username}");
    assert_eq!(got.body["ttl"], 60);
    let password = got.body["password"].as_str().unwrap();
    assert!(crate::turn_client::allocates(turn, username, password).await);
    assert!(!crate::turn_client::allocates(turn, username, "guessed").await);
}

#[tokio::test]
async fn nobody_else_gets_any() {
    let server = ApiServer::start(Place::new(Kind::Sqlite)).await;
    let host = server.room("Tea").await;
    let path = "/turn-credentials";
    server
        .ask("POST", path, "", json!({}))
        .await
        .refused(401, "unauthorized");
    server
        .ask("POST", path, &host, json!({}))
        .await
        .refused(403, "denied");
    let others = [
        Scope::RoomsRead,
        Scope::RoomsWrite,
        Scope::MessagesRead,
        Scope::Files,
    ];
    let key = server.key(&others).await;
    server
        .ask("POST", path, &key, json!({}))
        .await
        .refused(403, "denied");
    let key = server.key(&[Scope::Turn]).await;
    for bad in [
        json!({"ttl": 59}),
        json!({"ttl": 86_401}),
        json!({"ttl": "1"}),
        json!({"name": "a:b"}),
        json!({"name": "x".repeat(65)}),
        json!({"name": uuid::Uuid::new_v4()}),
        json!({"user": "kim"}),
        json!([]),
    ] {
        server
            .ask("POST", path, &key, bad)
            .await
            .refused(400, "invalid");
    }
}
