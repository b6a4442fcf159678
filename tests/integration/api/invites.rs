//! Invitations.

use serde_json::{Value, json};
use turnstone::store::Scope;

use super::harness::ApiServer;
use crate::store::harness::{DAY, NOW, Place, on_both};

on_both!(
    an_invitation_is_a_link_whose_secret_is_shown_once,
    invitations_are_for_hosts_and_keys,
);

async fn an_invitation_is_a_link_whose_secret_is_shown_once(place: Place) {
    let server = ApiServer::start(place).await;
    let host = server.room("Tea Time").await;
    let path = "/rooms/Tea%20Time/invites";
    let wanted = json!({"role": "guest", "uses": 1, "expires": NOW + 365 * DAY});
    let made = server.ask("POST", path, &host, wanted).await;
    let id = made.is(201).body["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("/api/v1{path}/{id}"));
    let url = made.body["url"].as_str().unwrap();
    let start = format!("https://{}/r/Tea%20Time#invite=", server.host());
    let secret = url.strip_prefix(&start).unwrap();
    assert_eq!(secret.len(), 32);
    let letters = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    assert!(secret.chars().all(letters));

    let store = server.store().await;
    let room = store
        .room_by_name(&"Tea Time".parse().unwrap())
        .await
        .unwrap()
        .id;
    store.use_invite(room, secret, NOW).await.unwrap();
    assert!(
        store.use_invite(room, secret, NOW).await.is_err(),
        "it was good for one use"
    );
    store.close().await;

    let listed = server.get(path, &host).await;
    let entry = json!({"id": id, "role": "guest", "uses": 1, "used": 1, "expires": NOW + 365 * DAY,
        "revoked": null, "created": listed.body["invites"][0]["created"]});
    assert_eq!(listed.is(200).body, json!({"invites": [entry]}));

    let one = format!("{path}/{id}");
    server.ask("DELETE", &one, &host, Value::Null).await.is(204);
    server
        .ask("DELETE", &one, &host, Value::Null)
        .await
        .refused(404, "notfound");
    let revoked = server.get(path, &host).await;
    assert!(revoked.is(200).body["invites"][0]["revoked"].is_u64());
}

async fn invitations_are_for_hosts_and_keys(place: Place) {
    let server = ApiServer::start(place).await;
    let host = server.room("Tea").await;
    let other = server.room("Coffee").await;
    let path = "/rooms/Tea/invites";
    let wanted = json!({"role": "host"});
    server
        .ask("POST", path, "", wanted.clone())
        .await
        .refused(401, "unauthorized");
    server
        .ask("POST", path, &other, wanted.clone())
        .await
        .refused(403, "denied");
    let reader = server.key(&[Scope::RoomsRead]).await;
    server
        .ask("POST", path, &reader, wanted.clone())
        .await
        .refused(403, "denied");
    server.get(path, &reader).await.is(200);
    let writer = server.key(&[Scope::RoomsWrite]).await;
    let made = server.ask("POST", path, &writer, wanted.clone()).await;
    let id = made.is(201).body["id"].as_str().unwrap();
    let elsewhere = format!("/rooms/Coffee/invites/{id}");
    server
        .ask("DELETE", &elsewhere, &other, Value::Null)
        .await
        .refused(404, "notfound");
    server
        .ask("DELETE", &format!("{path}/nonsense"), &host, Value::Null)
        .await
        .refused(404, "notfound");
    server
        .ask("POST", "/rooms/None/invites", &writer, wanted)
        .await
        .refused(404, "notfound");
    for bad in [
        json!({}),
        json!({"role": "king"}),
        json!({"role": "guest", "uses": 0}),
        json!({"role": "guest", "uses": -1}),
        json!({"role": "guest", "expires": 1}),
        json!({"role": "guest", "more": 1}),
    ] {
        server
            .ask("POST", path, &host, bad)
            .await
            .refused(400, "invalid");
    }
}
