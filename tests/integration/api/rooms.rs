//! Kept rooms.

use serde_json::{Value, json};
use turnstone::config::Config;
use turnstone::id::SessionId;
use turnstone::store::{NewMessage, Scope};

use super::harness::ApiServer;
use crate::store::harness::{DAY, NOW, Place, on_both};

/// Far away, and not too far: it is between the years 2026 and 2035 that these tests hold.
const LATER: u64 = NOW + 365 * DAY;

on_both!(
    a_room_is_made_read_changed_and_deleted,
    names_are_taken_once_whatever_the_case,
    the_list_shows_listed_rooms_in_pages_and_no_secret,
    a_key_with_the_scope_sees_all_rooms,
    who_is_in_a_room_and_what_was_said_is_for_those_near_it,
    a_room_whose_time_is_over_is_gone_and_its_name_is_free,
);

async fn a_room_is_made_read_changed_and_deleted(place: Place) {
    let server = ApiServer::start(place).await;
    let wanted = json!({"name": " Tea Time/π ", "password": "sesame", "capacity": 4, "listed": true,
        "expires": LATER, "waitingRoom": true});
    let made = server.ask("POST", "/rooms", "", wanted).await;
    let path = "/rooms/Tea%20Time%2F%CF%80";
    assert_eq!(made.is(201).header("location"), format!("/api/v1{path}"));
    assert_eq!(made.body["name"], "Tea Time/π");
    let url = format!("https://{}/r/Tea%20Time%2F%CF%80", server.host());
    assert_eq!(made.body["url"], url);
    let host = made.body["hostToken"].as_str().unwrap();

    let read = server.get(path, host).await;
    let mut expected = json!({"name": "Tea Time/π", "people": 0, "capacity": 4, "locked": false,
        "password": true, "url": url, "listed": true, "waitingRoom": true, "expires": LATER,
        "created": read.body["created"], "lastActive": read.body["lastActive"]});
    assert_eq!(read.is(200).body, expected);
    assert!(read.body["created"].as_u64().unwrap() > 1_700_000_000_000);

    let change = json!({"name": "Coffee", "password": null, "capacity": null, "listed": false,
        "locked": true, "expires": null, "waitingRoom": false});
    let changed = server.ask("PATCH", path, host, change).await;
    expected["name"] = json!("Coffee");
    expected["url"] = json!(format!("https://{}/r/Coffee", server.host()));
    expected["capacity"] = json!(10);
    expected["expires"] = Value::Null;
    for (member, value) in [
        ("password", false),
        ("listed", false),
        ("locked", true),
        ("waitingRoom", false),
    ] {
        expected[member] = json!(value);
    }
    assert_eq!(changed.is(200).body, expected);
    server.get(path, host).await.refused(403, "denied");
    let same = server.ask("PATCH", "/rooms/coffee", host, json!({})).await;
    assert_eq!(
        same.is(200).body,
        expected,
        "the token goes with the room, and nothing was changed"
    );

    server
        .ask("DELETE", "/rooms/Coffee", host, Value::Null)
        .await
        .is(204);
    server
        .get("/rooms/Coffee", host)
        .await
        .refused(403, "denied");
    let key = server.key(&[Scope::RoomsRead]).await;
    server
        .get("/rooms/Coffee", &key)
        .await
        .refused(404, "notfound");
    let anew = server.room("Coffee").await;
    server
        .get("/rooms/Coffee", host)
        .await
        .refused(403, "denied");
    server.get("/rooms/Coffee", &anew).await.is(200);
}

async fn names_are_taken_once_whatever_the_case(place: Place) {
    let server = ApiServer::start(place).await;
    let host = server.room("Tea").await;
    server.room("Coffee").await;
    let again = server
        .ask("POST", "/rooms", "", json!({"name": "tEA"}))
        .await;
    again.refused(409, "exists");
    let renamed = server
        .ask("PATCH", "/rooms/Tea", &host, json!({"name": "COFFEE"}))
        .await;
    renamed.refused(409, "exists");
    server
        .ask("PATCH", "/rooms/Tea", &host, json!({"name": "TEA"}))
        .await
        .is(200);
    // People who meet without a room that is kept have the name as long as they are there.
    let [ann] = server.server.peers_in("Cocoa").await;
    server
        .ask("POST", "/rooms", "", json!({"name": "cocoa"}))
        .await
        .refused(409, "exists");
    ann.cut().await;
}

async fn the_list_shows_listed_rooms_in_pages_and_no_secret(place: Place) {
    let server = ApiServer::start(place).await;
    for (name, password) in [
        ("Alpha", Some("sesame")),
        ("beta", None),
        ("Gamma 100%", None),
    ] {
        let wanted = json!({"name": name, "listed": true, "password": password});
        server.ask("POST", "/rooms", "", wanted).await.is(201);
    }
    server.room("hidden alpha").await;
    let all = server.get("/rooms", "").await;
    let entry = |name: &str, password: bool| json!({"name": name, "people": 0, "capacity": 10, "locked": false, "password": password});
    let expected = [
        entry("Alpha", true),
        entry("beta", false),
        entry("Gamma 100%", false),
    ];
    assert_eq!(all.is(200).body, json!({"rooms": expected}));
    let first = server.get("/rooms?limit=2", "").await;
    assert_eq!(first.is(200).body["rooms"], json!(expected[..2]));
    let next = format!(
        "/rooms?limit=2&cursor={}",
        first.body["next"].as_str().unwrap()
    );
    assert_eq!(
        server.get(&next, "").await.is(200).body,
        json!({"rooms": [expected[2]]})
    );
    for (query, count) in [
        ("ALPHA", 1),
        ("a", 3),
        ("100%25", 1),
        ("%25", 1),
        ("zzz", 0),
    ] {
        let found = server.get(&format!("/rooms?query={query}"), "").await;
        assert_eq!(
            found.is(200).body["rooms"].as_array().unwrap().len(),
            count,
            "{query}"
        );
    }
}

async fn a_key_with_the_scope_sees_all_rooms(place: Place) {
    let server = ApiServer::start(place).await;
    server.room("Tea").await;
    for (scope, count) in [(Scope::RoomsRead, 1), (Scope::Turn, 0)] {
        let key = server.key(&[scope]).await;
        let found = server.get("/rooms", &key).await;
        assert_eq!(found.is(200).body["rooms"].as_array().unwrap().len(), count);
    }
}

async fn who_is_in_a_room_and_what_was_said_is_for_those_near_it(place: Place) {
    let server = ApiServer::start(place).await;
    let host = server.room("Tea").await;
    let other = server.room("Coffee").await;
    let store = server.store().await;
    let room = store
        .room_by_name(&"Tea".parse().unwrap())
        .await
        .unwrap()
        .id;
    let (ann, bob) = (SessionId::random(), SessionId::random());
    let mut message = NewMessage {
        room,
        client_id: "c".to_owned(),
        session: ann,
        name: "Ann".parse().unwrap(),
        text: "hello".to_owned(),
        time: NOW,
        to: None,
        reply_to: None,
    };
    store.append(message.clone()).await.unwrap();
    message.to = Some(bob);
    store.append(message.clone()).await.unwrap();
    message.to = None;
    message.reply_to = Some(1);
    store.append(message).await.unwrap();
    store.react(room, 1, bob, "👍", true, NOW).await.unwrap();
    store.edit_message(room, 3, None, "bye", NOW).await.unwrap();
    store.delete_message(room, 3, None, NOW).await.unwrap();
    store.close().await;

    let said = server.get("/rooms/tea/messages", &host).await;
    let hello = json!({"id": "c", "seq": 1, "sessionId": ann, "username": "Ann", "text": "hello", "time": NOW,
        "reactions": [{"emoji": "👍", "sessionIds": [bob]}]});
    let taken_back = json!({"id": "c", "seq": 3, "sessionId": ann, "username": "Ann", "text": "", "time": NOW,
        "replyTo": 1, "deleted": true});
    assert_eq!(
        said.is(200).body,
        json!({"messages": [hello, taken_back], "more": false}),
        "private ones are left out"
    );
    let last = server.get("/rooms/tea/messages?limit=1", &host).await;
    assert_eq!(
        last.is(200).body,
        json!({"messages": [taken_back], "more": true})
    );
    let first = server.get("/rooms/tea/messages?before=3", &host).await;
    assert_eq!(
        first.is(200).body,
        json!({"messages": [hello], "more": false})
    );
    let after = server.get("/rooms/tea/messages?after=1", &host).await;
    assert_eq!(
        after.is(200).body,
        json!({"messages": [taken_back], "more": false})
    );

    assert_eq!(
        server.get("/rooms/tea/members", &host).await.is(200).body,
        json!({"members": []})
    );
    for path in ["/rooms/tea/members", "/rooms/tea/messages"] {
        server.get(path, "").await.refused(401, "unauthorized");
        server.get(path, &other).await.refused(403, "denied");
        let wrong = server.key(&[Scope::RoomsWrite, Scope::Turn]).await;
        server.get(path, &wrong).await.refused(403, "denied");
        let right = server.key(&[Scope::RoomsRead, Scope::MessagesRead]).await;
        server.get(path, &right).await.is(200);
        let none = path.replace("tea", "cocoa");
        server.get(&none, &right).await.refused(404, "notfound");
    }
}

async fn a_room_whose_time_is_over_is_gone_and_its_name_is_free(place: Place) {
    let server = ApiServer::start(place).await;
    let host = server.room("Tea").await;
    let store = server.store().await;
    let kept = store.room_by_name(&"Tea".parse().unwrap()).await.unwrap();
    let over = |room: &mut turnstone::store::RoomSettings| {
        room.expires = Some(1);
        room.listed = true;
    };
    store.change_room(kept.id, over).await.unwrap();
    store.close().await;
    assert_eq!(
        server.get("/rooms", "").await.is(200).body,
        json!({"rooms": []})
    );
    server.get("/rooms/Tea", &host).await.refused(403, "denied");
    server.room("Tea").await;
}

#[tokio::test]
async fn making_rooms_can_be_left_to_keys() {
    let place = Place::new(crate::store::harness::Kind::Sqlite);
    let keys_only = |config: &mut Config| config.api.create = turnstone::api::Creators::Key;
    let server = ApiServer::start_with(place, keys_only).await;
    let tea = json!({"name": "Tea"});
    server
        .ask("POST", "/rooms", "", tea.clone())
        .await
        .refused(401, "unauthorized");
    let key = server.key(&[Scope::RoomsRead]).await;
    server
        .ask("POST", "/rooms", &key, tea.clone())
        .await
        .refused(403, "denied");
    let key = server.key(&[Scope::RoomsWrite]).await;
    server.ask("POST", "/rooms", &key, tea).await.is(201);
}
