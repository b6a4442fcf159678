//! People in kept rooms, and what their seats open in the API.

use serde_json::{Value, json};
use turnstone::store::Scope;

use super::events::{Listening, entry, listed_room};
use super::harness::ApiServer;
use crate::harness::Peer;
use crate::store::harness::{Kind, Place, on_both};

on_both!(
    a_seat_opens_what_its_person_may_do_and_no_more,
    a_seat_opens_no_other_room_of_the_same_name,
    people_in_a_room_are_told_what_is_changed_by_the_api,
);

fn token(peer: &Peer) -> &str {
    peer.room["api"]["token"].as_str().unwrap()
}

async fn enter(server: &ApiServer, room: &str, name: &str, token: Option<&str>) -> Peer {
    let mut peer = server.server.page().await;
    let mut login = json!({"roomrequest": room, "username": name});
    if let Some(token) = token {
        login["token"] = json!(token);
    }
    peer.ask_for_seat(login).await;
    peer.take_seat().await;
    peer
}

/// The next message of that type, whatever comes before.
async fn hears(peer: &mut Peer, kind: &str) -> Value {
    loop {
        let message = peer.next().await;
        if message["type"] == kind {
            return message;
        }
    }
}

async fn a_seat_opens_no_other_room_of_the_same_name(place: Place) {
    let server = ApiServer::start(place).await;
    let ann = enter(&server, "Tea", "Ann", None).await;
    assert_eq!(ann.room["you"]["role"], "host");
    // As for a moment, when a room is made and the word of it has not come yet.
    let store = server.store().await;
    crate::store::harness::room(&store, "Tea").await;
    let host = token(&ann);
    for (method, path, body) in [
        ("GET", "/rooms/Tea", Value::Null),
        ("PATCH", "/rooms/Tea", json!({"locked": true})),
        ("GET", "/rooms/Tea/messages", Value::Null),
        ("POST", "/rooms/Tea/invites", json!({"role": "host"})),
        ("DELETE", "/rooms/Tea", Value::Null),
    ] {
        let answer = server.ask(method, path, host, body).await;
        answer.refused(404, "notfound");
    }
    store.close().await;
}

async fn a_seat_opens_what_its_person_may_do_and_no_more(place: Place) {
    let server = ApiServer::start(place).await;
    let host = server.room("Tea").await;
    server.room("Coffee").await;
    let mut ann = enter(&server, "Tea", "Ann", Some(&host)).await;
    let mut bob = enter(&server, "tea", "Bob", None).await;
    let guest = token(&bob).to_owned();

    let members = server.get("/rooms/TEA/members", &guest).await;
    let names: Vec<_> = members.is(200).body["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| (member["username"].clone(), member["role"].clone()))
        .collect();
    assert_eq!(
        names,
        [
            (json!("Ann"), json!("host")),
            (json!("Bob"), json!("guest"))
        ]
    );

    ann.send(&json!({"type": "chat", "to": bob.id, "data": {"id": "1", "text": "for Bob"}}))
        .await;
    hears(&mut bob, "chat").await;
    bob.send(&json!({"type": "chat", "data": {"id": "2", "text": "for all"}}))
        .await;
    hears(&mut bob, "chat").await;
    let texts = |answer: Value| -> Vec<String> {
        let messages = answer["messages"].as_array().unwrap().clone();
        messages
            .iter()
            .map(|message| message["text"].as_str().unwrap().to_owned())
            .collect()
    };
    let read = server.get("/rooms/Tea/messages", &guest).await;
    assert_eq!(texts(read.is(200).body.clone()), ["for Bob", "for all"]);
    let read = server.get("/rooms/Tea/messages", &host).await;
    assert_eq!(texts(read.is(200).body.clone()), ["for all"]);

    // A guest acts on nothing, and sees no other room.
    let locked = json!({"locked": true});
    server
        .ask("PATCH", "/rooms/Tea", &guest, locked.clone())
        .await
        .refused(403, "denied");
    server
        .get("/rooms/Tea", &guest)
        .await
        .refused(403, "denied");
    let invite = json!({"role": "host"});
    server
        .ask("POST", "/rooms/Tea/invites", &guest, invite.clone())
        .await
        .refused(403, "denied");
    server
        .ask("DELETE", "/rooms/Tea", &guest, Value::Null)
        .await
        .refused(403, "denied");
    server
        .get("/rooms/Coffee/members", &guest)
        .await
        .refused(403, "denied");
    server
        .ask("POST", "/turn-credentials", &guest, json!({}))
        .await
        .refused(403, "denied");

    // Who is made host is host here too.
    ann.send(&json!({"type": "role", "data": {"sessionId": bob.id, "role": "host"}}))
        .await;
    hears(&mut bob, "role").await;
    server
        .ask("POST", "/rooms/Tea/invites", &guest, invite)
        .await
        .is(201);
    server
        .ask("PATCH", "/rooms/Tea", &guest, json!({"capacity": 5}))
        .await
        .is(200);

    // Whoever was removed has nothing, at once.
    ann.send(&json!({"type": "kick", "data": {"sessionId": bob.id}}))
        .await;
    hears(&mut ann, "logout").await;
    server
        .get("/rooms/Tea/members", &guest)
        .await
        .refused(403, "denied");
    server
        .ask("PATCH", "/rooms/Tea", &guest, locked)
        .await
        .refused(403, "denied");
    server.get("/rooms/Tea/members", token(&ann)).await.is(200);
}

async fn people_in_a_room_are_told_what_is_changed_by_the_api(place: Place) {
    let server = ApiServer::start(place).await;
    let mut listening = Listening::to(&server, None).await;
    let host = listed_room(&server, "Tea").await;
    listening.hears("room-created", entry("Tea", 0)).await;
    let mut ann = enter(&server, "Tea", "Ann", None).await;
    listening.hears("room-changed", entry("Tea", 1)).await;
    let changed = json!({"name": "Coffee", "locked": true});
    server
        .ask("PATCH", "/rooms/Tea", &host, changed)
        .await
        .is(200);
    let told = hears(&mut ann, "room-changed").await;
    assert_eq!(told["data"]["name"], "Coffee");
    assert_eq!(told["data"]["locked"], true);
    let one = server.get("/rooms/Coffee", &host).await;
    assert_eq!(one.is(200).body["people"], 1, "she stays where she is");
    let mut locked = entry("Coffee", 1);
    locked["locked"] = json!(true);
    listening
        .hears("room-deleted", json!({"name": "Tea"}))
        .await;
    listening.hears("room-created", locked).await;
    server
        .ask("DELETE", "/rooms/Coffee", &host, Value::Null)
        .await
        .is(204);
    let error = hears(&mut ann, "error").await;
    assert_eq!(error["data"]["errorType"], "notfound");
    assert_eq!(ann.closed_with().await, 4003);
    listening
        .hears("room-deleted", json!({"name": "Coffee"}))
        .await;
}

#[tokio::test]
async fn where_people_read_back_to_their_coming_only_the_api_shows_guests_nothing() {
    let present = |config: &mut turnstone::config::Config| config.rooms.history = false;
    let server = ApiServer::start_with(Place::new(Kind::Sqlite), present).await;
    let host = server.room("Tea").await;
    let ann = enter(&server, "Tea", "Ann", Some(&host)).await;
    let bob = enter(&server, "Tea", "Bob", None).await;
    let path = "/rooms/Tea/messages";
    server.get(path, token(&bob)).await.refused(403, "denied");
    server.get(path, token(&ann)).await.is(200);
    let key = server.key(&[Scope::MessagesRead]).await;
    server.get(path, &key).await.is(200);
}

#[tokio::test]
async fn a_room_that_is_not_kept_has_members_and_nothing_else() {
    let server = ApiServer::start(Place::new(Kind::Sqlite)).await;
    let ann = enter(&server, "Tea", "Ann", None).await;
    let members = server.get("/rooms/Tea/members", token(&ann)).await;
    assert_eq!(members.is(200).body["members"][0]["username"], "Ann");
    for path in ["/rooms/Tea", "/rooms/Tea/messages", "/rooms/Tea/invites"] {
        server.get(path, token(&ann)).await.refused(404, "notfound");
    }
}
