//! Rooms that are kept, over the wire, tried by a client that ignores whatever the page would not do.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use turnstone::id::{PeerId, RoomId, SessionId, Source};
use turnstone::message::{FromPeer, Role};
use turnstone::room::{News, ResumeKey};
use turnstone::rooms::{self, Inbox, RoomsHandle, ToSocket};
use turnstone::server::room_tokens;
use turnstone::store::password::Passwords;
use turnstone::store::{Error, NewInvite, NewRoom, RoomSettings, Store};
use turnstone::token::{Claims, Kind, Tokens};

use crate::harness::{PATIENCE, Peer, TestServer};
use crate::store::harness::{Place, name, on_both};

on_both!(
    a_password_is_asked_for_and_guesses_end,
    a_lock_outlives_people_and_a_restart,
    a_ban_outlives_people_and_a_restart,
    a_policy_outlives_people_and_a_restart,
    the_waiting_room_of_a_kept_room_needs_a_host,
    invitations_open_as_often_and_as_long_as_they_say,
    an_invitation_that_gave_no_seat_is_still_good,
    whoever_used_an_invitation_may_come_back_until_it_is_revoked,
    the_token_for_the_api_comes_anew_with_the_ice_servers,
    roles_that_a_host_gave_outlive_a_restart,
    a_host_token_is_for_this_room_and_not_for_its_name,
    chat_outlives_a_restart_with_its_changes_and_its_numbers,
    private_messages_stay_private_in_history,
    nothing_is_missed_and_nothing_comes_twice_across_a_restart,
    what_is_changed_from_outside_is_told_to_those_inside,
    deleting_a_room_ends_its_seats,
    a_room_whose_time_is_over_ends_for_those_in_it,
    a_removed_person_may_come_back_to_a_kept_room,
    a_member_token_is_for_one_seat,
    a_program_knows_who_is_where_and_hears_the_news,
    what_was_begun_is_done_whoever_lets_go_of_it,
    files_of_rooms_that_are_not_kept_end_with_them,
    a_store_that_fails_ends_no_room_with_people_in_it,
);

/// A server on that store, as after a restart if it was there before.
async fn server(place: &Place) -> TestServer {
    let settings = place.settings();
    TestServer::start_in(place.dir.clone(), |config| config.store = settings).await
}

async fn restart(place: &Place, server: TestServer) -> TestServer {
    server.stop().await;
    self::server(place).await
}

fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since_1970.as_millis()).unwrap()
}

fn tea() -> NewRoom {
    NewRoom {
        settings: RoomSettings::named(name("Tea")),
        created: now(),
    }
}

async fn keep_tea(server: &TestServer) -> RoomId {
    server.rooms().create(tea()).await.unwrap().id
}

fn token(tokens: &Tokens, room: RoomId, role: Role) -> String {
    tokens.mint(&Claims {
        room: name("Tea"),
        rid: Some(room),
        sid: None,
        inv: None,
        name: None,
        role,
        exp: now() / 1000 + 600,
        kind: if role == Role::Host {
            Kind::Host
        } else {
            Kind::Guest
        },
    })
}

/// A host in the room, with a token.
async fn host(server: &TestServer, room: RoomId) -> Peer {
    let tokens = room_tokens(&server.dir).unwrap();
    let mut host = server.page().await;
    host.enter(json!({
        "roomrequest": "tea", "username": "Host", "token": token(&tokens, room, Role::Host),
    }))
    .await;
    assert_eq!(host.room["you"]["role"], "host");
    host
}

/// A guest in the room, whom these have heard coming.
async fn guest(server: &TestServer, called: &str, others: &mut [&mut Peer]) -> Peer {
    let mut guest = server.page().await;
    guest.login("tea", called).await;
    for other in others {
        assert_eq!(other.next().await["type"], "login");
    }
    guest
}

fn login(with: Value) -> Value {
    let mut data = json!({"roomrequest": "tea", "username": "Eve"});
    for (key, value) in with.as_object().unwrap() {
        data[key] = value.clone();
    }
    data
}

/// A newcomer who is refused like this.
async fn refused(server: &TestServer, kind: &str, with: Value) {
    let mut eve = server.page().await;
    eve.ask_for_seat(login(with)).await;
    eve.refused(kind).await;
}

/// Says something and waits until everyone has heard it; its number.
async fn chat(from: &mut Peer, others: &mut [&mut Peer], data: Value) -> u64 {
    from.act("chat", data).await;
    let told = from.next().await;
    assert_eq!(told["type"], "chat", "{told}");
    for other in others {
        assert_eq!(other.next().await, told);
    }
    told["data"]["seq"].as_u64().unwrap()
}

async fn history(peer: &mut Peer, before: Option<u64>, limit: u64) -> Value {
    peer.act("history", json!({"before": before, "limit": limit}))
        .await;
    let page = peer.next().await;
    assert_eq!(page["type"], "history", "{page}");
    page["data"].clone()
}

fn numbers(page: &Value) -> Vec<u64> {
    let messages = page["messages"].as_array().unwrap();
    let seq = |message: &Value| message["seq"].as_u64().unwrap();
    messages.iter().map(seq).collect()
}

async fn a_password_is_asked_for_and_guesses_end(place: Place) {
    let server = server(&place).await;
    let mut room = tea();
    room.settings.password = Some(Passwords::default().hash("sesame").await.unwrap());
    let id = server.rooms().create(room).await.unwrap().id;
    let mut ann = server.page().await;
    ann.ask_for_seat(login(json!({}))).await;
    ann.refused("password").await;
    ann.ask_for_seat(login(json!({"password": "Sesame"}))).await;
    ann.refused("password").await;
    ann.enter(login(json!({"password": "sesame"}))).await;
    assert_eq!(ann.room["room"]["kept"], true);
    assert_eq!(ann.room["you"]["role"], "guest");
    // The same of a room in which somebody is.
    refused(&server, "password", json!({})).await;
    refused(&server, "password", json!({"password": "x".repeat(10_000)})).await;
    for _ in 0..8 {
        refused(&server, "password", json!({"password": "open"})).await;
    }
    refused(&server, "rate", json!({"password": "sesame"})).await;
    let _host = host(&server, id).await;
    ann.heard_login().await;
    ann.heard_nothing_else().await;
    // Another password: from now on it is that one.
    let hash = Passwords::default().hash("mellon").await.unwrap();
    server
        .rooms()
        .change(id, |room| room.password = Some(hash))
        .await
        .unwrap();
    ann.heard_nothing_else().await;
}

async fn a_lock_outlives_people_and_a_restart(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let mut ann = host(&server, id).await;
    let mut bob = guest(&server, "Bob", &mut [&mut ann]).await;
    bob.act("lock", json!({"locked": true})).await;
    bob.refused("denied").await;
    ann.act("lock", json!({"locked": true})).await;
    for peer in [&mut ann, &mut bob] {
        assert_eq!(peer.next().await["data"], json!({"locked": true}));
    }
    refused(&server, "locked", json!({})).await;
    bob.act("logout", json!({})).await;
    ann.act("logout", json!({})).await;
    assert_eq!(ann.next().await["type"], "logout");
    ann.heard_nothing_else().await;
    refused(&server, "locked", json!({})).await;
    let server = restart(&place, server).await;
    refused(&server, "locked", json!({})).await;
    let guest = token(&room_tokens(&place.dir).unwrap(), id, Role::Guest);
    refused(&server, "locked", json!({"token": guest})).await;
    let mut ann = host(&server, id).await;
    assert_eq!(ann.room["room"]["locked"], true);
    ann.act("lock", json!({"locked": false})).await;
    assert_eq!(ann.next().await["type"], "lock");
    self::guest(&server, "Bob", &mut [&mut ann]).await;
}

async fn a_ban_outlives_people_and_a_restart(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let mut ann = host(&server, id).await;
    let mut eve = guest(&server, "Eve", &mut [&mut ann]).await;
    ann.act("kick", json!({"sessionId": eve.id, "ban": true}))
        .await;
    eve.refused("banned").await;
    assert_eq!(eve.closed_with().await, 4003);
    refused(&server, "banned", json!({})).await;
    ann.act("logout", json!({})).await;
    assert_eq!(ann.next().await["type"], "logout");
    ann.heard_nothing_else().await;
    refused(&server, "banned", json!({})).await;
    let server = restart(&place, server).await;
    // By address, and neither an invitation nor a token helps.
    let tokens = room_tokens(&place.dir).unwrap();
    let host = token(&tokens, id, Role::Host);
    refused(&server, "banned", json!({"token": host})).await;
    let mut elsewhere = server.page().await;
    elsewhere.login("coffee", "Eve").await;
}

async fn a_policy_outlives_people_and_a_restart(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let mut ann = host(&server, id).await;
    let mut bob = guest(&server, "Bob", &mut [&mut ann]).await;
    ann.act("policy", json!({"chat": false})).await;
    ann.act("policy", json!({"unmute": false})).await;
    for peer in [&mut ann, &mut bob] {
        assert_eq!(peer.next().await["data"]["chat"], false);
        assert_eq!(peer.next().await["data"]["unmute"], false);
    }
    drop((ann, bob));
    let server = restart(&place, server).await;
    let mut cid = guest(&server, "Cid", &mut []).await;
    assert_eq!(
        cid.room["room"]["policy"],
        json!({"chat": false, "files": true, "screen": true, "unmute": false, "waitingRoom": false})
    );
    cid.act("chat", json!({"id": "1", "text": "x"})).await;
    cid.refused("denied").await;
}

async fn the_waiting_room_of_a_kept_room_needs_a_host(place: Place) {
    let server = server(&place).await;
    let mut room = tea();
    room.settings.policy = r#"{"waitingRoom":true}"#.to_owned();
    let id = server.rooms().create(room).await.unwrap().id;
    let mut bob = server.page().await;
    bob.ask_for_seat(login(json!({}))).await;
    assert_eq!(bob.next().await["type"], "waiting");
    bob.act("chat", json!({"id": "1", "text": "x"})).await;
    bob.refused("unauthorized").await;
    let token = token(&room_tokens(&place.dir).unwrap(), id, Role::Host);
    let mut ann = server.page().await;
    ann.ask_for_seat(login(json!({"token": token}))).await;
    assert_eq!(ann.next().await["type"], "joined");
    assert_eq!(ann.next().await["type"], "room");
    let knock = ann.next().await;
    assert_eq!(knock["type"], "knock");
    let who = json!({"sessionId": knock["data"]["sessionId"]});
    ann.act("admit", who).await;
    assert_eq!(bob.next().await["type"], "joined");
    assert_eq!(bob.next().await["type"], "room");
}

async fn invite(
    store: &Store,
    room: RoomId,
    secret: &str,
    of: impl FnOnce(&mut NewInvite),
) -> turnstone::id::InviteId {
    let mut invite = NewInvite {
        room,
        role: Role::Guest,
        uses: None,
        expires: None,
        created: now(),
    };
    of(&mut invite);
    store.invite(&invite, secret).await.unwrap()
}

async fn invitations_open_as_often_and_as_long_as_they_say(place: Place) {
    let server = server(&place).await;
    let store = place.open().await;
    let mut room = tea();
    room.settings.password = Some(Passwords::default().hash("sesame").await.unwrap());
    room.settings.policy = r#"{"waitingRoom":true}"#.to_owned();
    let id = server.rooms().create(room).await.unwrap().id;
    invite(&store, id, "once", |invite| invite.uses = Some(1)).await;
    invite(&store, id, "host", |invite| invite.role = Role::Host).await;
    invite(&store, id, "late", |invite| {
        invite.expires = Some(now() - 1)
    })
    .await;
    let revoked = invite(&store, id, "revoked", |_| {}).await;
    store.revoke_invite(id, revoked, now()).await.unwrap();
    let mut ann = server.page().await;
    ann.enter(login(json!({"invite": "once"}))).await;
    assert_eq!(ann.room["you"]["role"], "guest");
    let token = ann.room["resume"].clone();
    for bad in ["once", "late", "revoked", "made up", ""] {
        refused(&server, "notfound", json!({"invite": bad})).await;
    }
    let mut bob = server.page().await;
    bob.enter(login(json!({"invite": "host"}))).await;
    assert_eq!(bob.room["you"]["role"], "host");
    // A reload costs no use.
    ann.cut().await;
    let mut ann = server.page().await;
    ann.enter(login(json!({"invite": "once", "resume": token})))
        .await;
    let invites = store.invites(id).await.unwrap();
    let used: u64 = invites.iter().map(|invite| invite.used).sum();
    assert_eq!(used, 2);
    store.close().await;
}

async fn whoever_used_an_invitation_may_come_back_until_it_is_revoked(place: Place) {
    let server = server(&place).await;
    let store = place.open().await;
    let mut room = tea();
    room.settings.password = Some(Passwords::default().hash("sesame").await.unwrap());
    room.settings.policy = r#"{"waitingRoom":true}"#.to_owned();
    let id = server.rooms().create(room).await.unwrap().id;
    let once = invite(&store, id, "once", |invite| {
        invite.uses = Some(1);
        invite.role = Role::Host;
    })
    .await;
    let mut ann = server.page().await;
    ann.enter(login(json!({"invite": "once"}))).await;
    let again = ann.room["invite"].clone();
    ann.act("logout", json!({})).await;
    ann.heard_nothing_else().await;
    refused(&server, "notfound", json!({"invite": "once"})).await;
    refused(&server, "unauthorized", json!({"token": again})).await;
    let back = async |server: &TestServer| {
        let mut back = server.page().await;
        back.enter(login(json!({"invite": again}))).await;
        assert_eq!(back.room["you"]["role"], "host");
        assert_eq!(back.room["you"]["sessionId"], ann.id);
        back
    };
    let mut first = back(&server).await;
    // A second page has the seat of the first.
    let second = back(&server).await;
    assert_eq!(first.closed_with().await, 4001);
    let people = server.rooms().people(vec![name("tea")]).await;
    assert_eq!(people, [1]);
    drop(second);
    let server = restart(&place, server).await;
    drop(back(&server).await);
    assert_eq!(store.invites(id).await.unwrap()[0].used, 1);
    store.revoke_invite(id, once, now()).await.unwrap();
    refused(&server, "notfound", json!({"invite": again})).await;
    store.close().await;
}

async fn roles_that_a_host_gave_outlive_a_restart(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let mut ann = host(&server, id).await;
    let mut bob = guest(&server, "Bob", &mut [&mut ann]).await;
    let mut cid = guest(&server, "Cid", &mut [&mut ann, &mut bob]).await;
    let mut eve = guest(&server, "Eve", &mut [&mut ann, &mut bob, &mut cid]).await;
    for (who, role) in [(&bob.id, "host"), (&cid.id, "viewer"), (&eve.id, "host")] {
        ann.act("role", json!({"sessionId": who, "role": role}))
            .await;
    }
    for peer in [&mut ann, &mut bob, &mut cid, &mut eve] {
        for role in ["host", "viewer", "host"] {
            assert_eq!(peer.next().await["data"]["role"], role);
        }
    }
    ann.act("kick", json!({"sessionId": eve.id})).await;
    eve.refused("kicked").await;
    for peer in [&mut ann, &mut bob, &mut cid] {
        assert_eq!(peer.next().await["type"], "logout");
    }
    // The store has done what was asked before once it has done this.
    chat(
        &mut ann,
        &mut [&mut bob, &mut cid],
        json!({"id": "1", "text": "x"}),
    )
    .await;
    let tokens = [&bob, &cid, &eve].map(|peer| peer.room["resume"].clone());
    drop((ann, bob, cid, eve));
    let server = restart(&place, server).await;
    for (token, role) in tokens.iter().zip(["host", "viewer", "guest"]) {
        let mut back = server.page().await;
        back.enter_back(login(json!({"resume": token}))).await;
        assert_eq!(back.room["you"]["role"], role);
    }
}

async fn the_token_for_the_api_comes_anew_with_the_ice_servers(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let tokens = room_tokens(&place.dir).unwrap();
    let mut ann = guest(&server, "Ann", &mut []).await;
    assert!(ann.room.get("invite").is_none(), "she came by none");
    ann.act("ice", json!({})).await;
    let ice = ann.next().await;
    assert_eq!(
        (&ice["type"], &ice["data"]["iceTtl"]),
        (&json!("ice"), &json!(3600))
    );
    assert_eq!(ice["data"]["api"]["ttl"], 86_400);
    let token = ice["data"]["api"]["token"].as_str().unwrap();
    let claims = tokens.read(token, now()).unwrap();
    assert_eq!((claims.rid, claims.kind), (Some(id), Kind::Member));
    assert_eq!(claims.sid.unwrap().to_string(), ann.id);
}

async fn an_invitation_that_gave_no_seat_is_still_good(place: Place) {
    let server = server(&place).await;
    let store = place.open().await;
    let mut room = tea();
    room.settings.capacity = Some(1);
    let id = server.rooms().create(room).await.unwrap().id;
    invite(&store, id, "once", |invite| invite.uses = Some(1)).await;
    server
        .rooms()
        .change(id, |room| room.locked = true)
        .await
        .unwrap();
    // Nobody is in the room: what it is like is found out with the invitation.
    refused(&server, "locked", json!({"invite": "once"})).await;
    server
        .rooms()
        .change(id, |room| room.locked = false)
        .await
        .unwrap();
    let mut ann = server.page().await;
    for _ in 0..100 {
        ann.ask_for_seat(login(json!({"invite": "once"}))).await;
        let answer = ann.next().await;
        if answer["type"] == "joined" {
            refused(&server, "full", json!({"invite": "once"})).await;
            store.close().await;
            return;
        }
        // The use comes back a moment after the refusal.
        assert_eq!(answer["data"]["errorType"], "notfound");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the invitation was used up");
}

async fn a_host_token_is_for_this_room_and_not_for_its_name(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let tokens = room_tokens(&place.dir).unwrap();
    let old = token(&tokens, id, Role::Host);
    server.rooms().delete(id, now()).await.unwrap();
    refused(&server, "unauthorized", json!({"token": old})).await;
    let id = keep_tea(&server).await;
    refused(&server, "unauthorized", json!({"token": old})).await;
    let new = token(&tokens, id, Role::Host);
    let forged = format!("{}x", &new[..new.len() - 1]);
    refused(&server, "unauthorized", json!({"token": forged})).await;
    host(&server, id).await;
}

async fn chat_outlives_a_restart_with_its_changes_and_its_numbers(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let mut ann = host(&server, id).await;
    let mut bob = guest(&server, "Bob", &mut [&mut ann]).await;
    for number in 1..=5 {
        let data = json!({"id": format!("m{number}"), "text": format!("line {number}")});
        assert_eq!(chat(&mut ann, &mut [&mut bob], data).await, number);
    }
    ann.act("chat-edit", json!({"seq": 1, "text": "first"}))
        .await;
    ann.act("chat-edit", json!({"seq": 2, "text": "second"}))
        .await;
    ann.act("chat-delete", json!({"seq": 2})).await;
    for kind in ["chat-edit", "chat-edit", "chat-delete"] {
        assert_eq!(bob.next().await["type"], kind);
    }
    bob.act("chat-edit", json!({"seq": 3, "text": "mine"}))
        .await;
    bob.refused("denied").await;
    bob.act("react", json!({"seq": 4, "emoji": "👏"})).await;
    bob.act("react", json!({"seq": 4, "emoji": "👏"})).await;
    bob.act("react", json!({"seq": 99, "emoji": "👏"})).await;
    assert_eq!(bob.next().await["type"], "react");
    bob.refused("notfound").await;
    let data = json!({"id": "a", "text": "an answer", "replyTo": 4});
    for kind in ["chat-edit", "chat-edit", "chat-delete", "react"] {
        assert_eq!(ann.next().await["type"], kind);
    }
    assert_eq!(chat(&mut bob, &mut [&mut ann], data).await, 6);
    let bobs = bob.id.clone();
    drop((ann, bob));

    let server = restart(&place, server).await;
    let mut cid = guest(&server, "Cid", &mut []).await;
    let page = history(&mut cid, None, 4).await;
    assert_eq!(numbers(&page), [3, 4, 5, 6]);
    assert_eq!(page["more"], true);
    assert_eq!(page["messages"][0]["text"], "line 3");
    assert_eq!(
        page["messages"][1]["reactions"],
        json!([{"emoji": "👏", "sessionIds": [bobs]}])
    );
    assert_eq!(page["messages"][3]["replyTo"], 4);
    assert_eq!(page["messages"][3]["id"], "a");
    let page = history(&mut cid, Some(3), 50).await;
    assert_eq!(numbers(&page), [1, 2]);
    assert_eq!(page["more"], false);
    assert_eq!(page["messages"][0]["text"], "first");
    assert!(page["messages"][0]["edited"].is_u64());
    assert_eq!(page["messages"][1]["deleted"], true);
    assert_eq!(page["messages"][1]["text"], "");
    assert!(page["messages"][1].get("edited").is_none());
    // It goes on where it was, and what is older can still be worked on.
    let data = json!({"id": "x", "text": "later"});
    assert_eq!(chat(&mut cid, &mut [], data).await, 7);
    cid.act("read", json!({"seq": 7})).await;
    cid.act("react", json!({"seq": 3, "emoji": "👍"})).await;
    assert_eq!(cid.next().await["type"], "react");
    let mut ann = host(&server, id).await;
    assert_eq!(cid.next().await["type"], "login");
    ann.act("chat-delete", json!({"seq": 6})).await;
    assert_eq!(ann.next().await["data"]["seq"], 6);
    assert_eq!(cid.next().await["data"]["seq"], 6);
}

async fn private_messages_stay_private_in_history(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let mut ann = host(&server, id).await;
    let mut bob = guest(&server, "Bob", &mut [&mut ann]).await;
    let mut cid = guest(&server, "Cid", &mut [&mut ann, &mut bob]).await;
    let data = json!({"id": "1", "text": "psst", "to": bob.id});
    assert_eq!(chat(&mut ann, &mut [&mut bob], data).await, 1);
    let data = json!({"id": "2", "text": "hello"});
    chat(&mut ann, &mut [&mut bob, &mut cid], data).await;
    for reader in [&mut ann, &mut bob] {
        assert_eq!(numbers(&history(reader, None, 9).await), [1, 2]);
    }
    assert_eq!(numbers(&history(&mut cid, None, 9).await), [2]);
    // Not even signs can be put under what one cannot read, nor can a guess be told from nothing.
    for (kind, data) in [
        ("react", json!({"seq": 1, "emoji": "👀"})),
        ("chat-edit", json!({"seq": 1, "text": "x"})),
        ("chat-delete", json!({"seq": 1})),
    ] {
        cid.act(kind, data).await;
        cid.refused("notfound").await;
    }
    ann.heard_nothing_else().await;
    bob.act("react", json!({"seq": 1, "emoji": "👀"})).await;
    assert_eq!(bob.next().await["type"], "react");
    assert_eq!(ann.next().await["type"], "react");
    cid.heard_nothing_else().await;
}

async fn nothing_is_missed_and_nothing_comes_twice_across_a_restart(place: Place) {
    let server = server(&place).await;
    keep_tea(&server).await;
    let mut ann = guest(&server, "Ann", &mut []).await;
    let mut bob = guest(&server, "Bob", &mut [&mut ann]).await;
    for number in 1..=3 {
        let data = json!({"id": format!("m{number}"), "text": "x"});
        chat(&mut ann, &mut [&mut bob], data).await;
    }
    let (bobs, anns) = (bob.room["resume"].clone(), ann.room["resume"].clone());
    bob.cut().await;
    assert_eq!(ann.next().await["data"]["away"], true);
    // More than a room remembers by itself.
    for number in 4..=250 {
        let data = json!({"id": format!("m{number}"), "text": "x"});
        chat(&mut ann, &mut [], data).await;
    }
    ann.act("chat-edit", json!({"seq": 2, "text": "changed"}))
        .await;
    assert_eq!(ann.next().await["type"], "chat-edit");

    // Within the same life of the server.
    let mut bob = server.page().await;
    let back = json!({"resume": bobs, "seq": 3});
    bob.ask_for_seat(login(back)).await;
    assert_eq!(bob.next().await["type"], "joined");
    let bobs = bob.next().await["data"]["resume"].clone();
    let mut told = Vec::new();
    for _ in 0..248 {
        let message = bob.next().await;
        assert_eq!(message["type"], "chat", "{message}");
        told.push(message["data"]["seq"].as_u64().unwrap());
    }
    assert_eq!(told[0], 2, "changed meanwhile");
    assert_eq!(told[1..], (4..=250).collect::<Vec<_>>());
    bob.heard_nothing_else().await;
    assert_eq!(ann.next().await["type"], "status");

    // And across a restart, with people who come back at different times.
    drop((ann, bob));
    let server = restart(&place, server).await;
    let mut ann = server.page().await;
    ann.enter_back(login(json!({"resume": anns, "seq": 250})))
        .await;
    ann.hear_only("chat").await;
    let data = json!({"id": "m251", "text": "x"});
    assert_eq!(chat(&mut ann, &mut [], data).await, 251);
    let mut bob = server.page().await;
    bob.enter_back(login(json!({"resume": bobs, "seq": 249})))
        .await;
    let mut told = bob.hear_only("chat").await;
    told.retain(|seq| *seq > 249);
    assert_eq!(told, [250, 251]);
}

async fn what_is_changed_from_outside_is_told_to_those_inside(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let mut ann = guest(&server, "Ann", &mut []).await;
    let again = server.rooms().create(tea()).await;
    assert!(matches!(again, Err(Error::Exists)), "{again:?}");
    let mut eve = server.page().await;
    eve.login("coffee", "Eve").await;
    let taken = server
        .rooms()
        .change(id, |room| room.name = name("COFFEE"))
        .await;
    assert!(matches!(taken, Err(Error::Exists)), "{taken:?}");
    let mut coffee = tea();
    coffee.settings.name = name("Coffee");
    let taken = server.rooms().create(coffee).await;
    assert!(matches!(taken, Err(Error::Exists)), "people are in it");
    ann.heard_nothing_else().await;
    let changed = server.rooms().change(id, |room| {
        room.name = name("Cocoa");
        room.capacity = Some(2);
        room.locked = true;
    });
    assert_eq!(changed.await.unwrap().settings.name, name("cocoa"));
    assert_eq!(
        ann.next().await,
        json!({"type": "room-changed", "data": {"name": "Cocoa", "capacity": 2, "locked": true}})
    );
    // The name is free again, and Ann is not in that room.
    let mut bob = server.page().await;
    bob.login("tea", "Bob").await;
    assert_eq!(bob.room["room"]["kept"], false);
    let mut cid = server.page().await;
    cid.ask_for_seat(json!({"roomrequest": "cocoa", "username": "Cid"}))
        .await;
    cid.refused("locked").await;
    let data = json!({"id": "1", "text": "still here"});
    assert_eq!(chat(&mut ann, &mut [], data).await, 1);
    bob.heard_nothing_else().await;
}

async fn deleting_a_room_ends_its_seats(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let mut ann = guest(&server, "Ann", &mut []).await;
    let mut bob = guest(&server, "Bob", &mut [&mut ann]).await;
    let session: SessionId = ann.id.parse().unwrap();
    assert!(server.rooms().seat(session).await.is_some());
    server.rooms().delete(id, now()).await.unwrap();
    for peer in [&mut ann, &mut bob] {
        peer.refused("notfound").await;
        assert_eq!(peer.closed_with().await, 4003);
    }
    assert_eq!(server.rooms().seat(session).await, None);
    refused(&server, "resume", json!({"resume": ann.room["resume"]})).await;
    let again = server.rooms().delete(id, now()).await;
    assert!(matches!(again, Err(Error::NotFound)));
    let mut cid = guest(&server, "Cid", &mut []).await;
    assert_eq!(cid.room["room"]["kept"], false);
    assert!(numbers(&history(&mut cid, None, 9).await).is_empty());
}

async fn a_room_whose_time_is_over_ends_for_those_in_it(place: Place) {
    let server = server(&place).await;
    let mut room = tea();
    room.settings.expires = Some(now() + 60_000);
    let id = server.rooms().create(room).await.unwrap().id;
    let mut ann = guest(&server, "Ann", &mut []).await;
    let store = place.open().await;
    let swept = store.sweep(now() + 60_000).await.unwrap();
    assert_eq!(swept.rooms[0].id, id);
    server.rooms().swept(&swept.rooms).await;
    ann.refused("notfound").await;
    assert_eq!(ann.closed_with().await, 4003);
    // Between the end and the sweep nobody enters it any more.
    let mut room = tea();
    room.settings.expires = Some(now() - 1);
    store.create_room(&room).await.unwrap();
    let bob = guest(&server, "Bob", &mut []).await;
    assert_eq!(bob.room["room"]["kept"], false);
    store.close().await;
}

async fn a_removed_person_may_come_back_to_a_kept_room(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let mut ann = host(&server, id).await;
    let mut bob = guest(&server, "Bob", &mut [&mut ann]).await;
    ann.act("kick", json!({"sessionId": bob.id})).await;
    bob.refused("kicked").await;
    assert_eq!(bob.closed_with().await, 4003);
    refused(&server, "resume", json!({"resume": bob.room["resume"]})).await;
    guest(&server, "Bob", &mut []).await;
}

async fn a_member_token_is_for_one_seat(place: Place) {
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let tokens = room_tokens(&place.dir).unwrap();
    let ann = guest(&server, "Ann", &mut []).await;
    let api = &ann.room["api"];
    assert_eq!(api["ttl"], 86_400);
    let claims = tokens.read(api["token"].as_str().unwrap(), now()).unwrap();
    assert_eq!(claims.kind, Kind::Member);
    assert_eq!((claims.rid, claims.role), (Some(id), Role::Guest));
    assert_eq!(claims.sid.unwrap().to_string(), ann.id);
    // It opens no door.
    refused(&server, "unauthorized", json!({"token": api["token"]})).await;
    // People in rooms that are not kept have one as well.
    let mut bob = server.page().await;
    bob.login("coffee", "Bob").await;
    let token = bob.room["api"]["token"].as_str().unwrap();
    let claims = tokens.read(token, now()).unwrap();
    assert_eq!((claims.rid, claims.room), (None, name("coffee")));
}

async fn a_program_knows_who_is_where_and_hears_the_news(place: Place) {
    let server = server(&place).await;
    let rooms = server.rooms().clone();
    let mut news = rooms.news();
    let mut room = tea();
    room.settings.listed = true;
    let id = rooms.create(room).await.unwrap().id;
    let created = news.recv().await.unwrap();
    assert!(matches!(&created, News::Created(place) if place.kept == Some(id) && place.listed));
    assert_eq!(rooms.members(&name("tea")).await, None);
    let ann = guest(&server, "Ann", &mut []).await;
    let members = rooms.members(&name("TEA")).await.unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].session_id.to_string(), ann.id);
    let people = rooms.people(vec![name("coffee"), name("tea")]).await;
    assert_eq!(people, [0, 1]);
    let seat = rooms.seat(ann.id.parse().unwrap()).await.unwrap();
    assert_eq!((seat.kept, seat.role), (Some(id), Role::Guest));
    assert_eq!(rooms.shelf(&name("tea"), now()).await.unwrap(), id);
    rooms.delete(id, now()).await.unwrap();
    let mut heard = Vec::new();
    for _ in 0..5 {
        heard.push(match news.recv().await.unwrap() {
            News::Started(_) => "started",
            News::Joined { .. } => "joined",
            News::Left { .. } => "left",
            News::Ended(_) => "ended",
            News::Deleted(_) => "deleted",
            _ => "something else",
        });
    }
    assert_eq!(heard, ["started", "joined", "left", "ended", "deleted"]);
}

async fn what_was_begun_is_done_whoever_lets_go_of_it(place: Place) {
    let server = server(&place).await;
    let rooms = server.rooms();
    let mut news = rooms.news();
    assert!(rooms.create(tea()).now_or_never().is_none());
    let created = timeout(PATIENCE, news.recv()).await.unwrap().unwrap();
    let News::Created(tea) = created else {
        panic!("{created:?}");
    };
    let id = tea.kept.unwrap();
    let rename = rooms.change(id, |settings| settings.name = name("Coffee"));
    assert!(rename.now_or_never().is_none());
    let changed = timeout(PATIENCE, news.recv()).await.unwrap().unwrap();
    assert!(matches!(changed, News::Changed { now, .. } if now.room == name("Coffee")));
    assert!(rooms.delete(id, now()).now_or_never().is_none());
    let deleted = timeout(PATIENCE, news.recv()).await.unwrap().unwrap();
    assert!(matches!(deleted, News::Deleted(place) if place.kept == Some(id)));
}

async fn files_of_rooms_that_are_not_kept_end_with_them(place: Place) {
    let server = server(&place).await;
    let rooms = server.rooms().clone();
    let store = place.open().await;
    assert!(matches!(
        rooms.shelf(&name("coffee"), now()).await,
        Err(Error::NotFound)
    ));
    let mut ann = server.page().await;
    ann.login("coffee", "Ann").await;
    let shelf = rooms.shelf(&name("coffee"), now()).await.unwrap();
    assert_eq!(rooms.shelf(&name("Coffee"), now()).await.unwrap(), shelf);
    assert!(store.room(shelf).await.is_ok());
    assert!(store.room_by_name(&name("coffee")).await.is_err(), "hidden");
    ann.act("logout", json!({})).await;
    ann.heard_nothing_else().await;
    for _ in 0..500 {
        if store.room(shelf).await.is_err() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(matches!(store.room(shelf).await, Err(Error::NotFound)));
    // What a server that stopped in the middle has left goes with the next start.
    ann.login("coffee", "Ann").await;
    let shelf = rooms.shelf(&name("coffee"), now()).await.unwrap();
    let server = restart(&place, server).await;
    assert!(matches!(store.room(shelf).await, Err(Error::NotFound)));
    server.stop().await;
    store.close().await;
}

/// What a socket of the rooms is told, as JSON.
async fn told(inbox: &mut Inbox) -> Value {
    loop {
        match inbox.next().await.unwrap() {
            ToSocket::Text(text) => return serde_json::from_str(text.as_str()).unwrap(),
            ToSocket::Refuse(refusal) => return serde_json::to_value(refusal).unwrap(),
            _ => {}
        }
    }
}

async fn said(rooms: &RoomsHandle, peer: u64, kind: &str, data: Value) {
    let message = json!({"type": kind, "data": data}).to_string();
    let message = FromPeer::parse(&message).unwrap();
    if let Some(mut settling) = rooms.said(PeerId::new(peer), message).await {
        settling.settled().await;
    }
}

async fn a_store_that_fails_ends_no_room_with_people_in_it(place: Place) {
    let store = place.open().await;
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let (rooms, _, owner) = rooms::start(
        rooms::Parts {
            settings: turnstone::room::Settings::default(),
            key: ResumeKey::new(b"key"),
            tokens: Tokens::new(b"cards"),
            store: store.clone(),
            passwords: Passwords::default(),
        },
        |_| {},
        stop,
    );
    tokio::spawn(owner);
    rooms.create(tea()).await.unwrap();
    let mut sockets = Vec::new();
    for peer in 1..=5 {
        let source = Source::of([192, 0, 2, 1].into());
        let peer = PeerId::new(peer);
        sockets.push(rooms.connect(peer, SessionId::random(), source, true).await);
    }
    let mut sockets = sockets.into_iter();
    let (mut ann, mut bob, mut cid, mut dee, mut eve) = (
        sockets.next().unwrap(),
        sockets.next().unwrap(),
        sockets.next().unwrap(),
        sockets.next().unwrap(),
        sockets.next().unwrap(),
    );
    let into = |room: &str| json!({"roomrequest": room, "username": "x"});
    said(&rooms, 1, "login", into("coffee")).await;
    assert_eq!(told(&mut ann).await["type"], "joined");
    said(&rooms, 5, "login", into("tea")).await;
    assert_eq!(told(&mut eve).await["type"], "joined");
    store.close().await;

    said(&rooms, 2, "login", into("coffee")).await;
    assert_eq!(told(&mut bob).await["type"], "joined");
    assert_eq!(told(&mut ann).await["type"], "login");
    said(&rooms, 2, "chat", json!({"id": "1", "text": "hello"})).await;
    assert_eq!(told(&mut ann).await["data"]["text"], "hello");
    said(&rooms, 3, "login", into("cocoa")).await;
    assert_eq!(told(&mut cid).await["errorType"], "denied");
    // Into a kept room in which people are, one gets as well; what is said there is not shown before it is kept.
    said(&rooms, 4, "login", into("tea")).await;
    assert_eq!(told(&mut dee).await["type"], "joined");
    assert_eq!(told(&mut eve).await["type"], "login");
    said(&rooms, 4, "chat", json!({"id": "1", "text": "hello"})).await;
    assert_eq!(told(&mut dee).await["errorType"], "denied");
    said(&rooms, 4, "status", json!({"mic": true})).await;
    assert_eq!(told(&mut eve).await["type"], "status");
}

impl Peer {
    async fn heard_login(&mut self) {
        let message = self.next().await;
        assert_eq!(message["type"], "login", "{message}");
    }

    /// Takes up a seat again; what comes behind `room` is left unread.
    async fn enter_back(&mut self, data: Value) {
        self.ask_for_seat(data).await;
        assert_eq!(self.next().await["type"], "joined");
        let room = self.next().await;
        assert_eq!(room["type"], "room", "{room}");
        self.room = room["data"].clone();
    }

    /// The numbers of the chat messages that come before the answer to a page of history asked for now, which the
    /// store answers after what it was asked before.
    async fn hear_only(&mut self, kind: &str) -> Vec<u64> {
        self.act("history", json!({"limit": 1})).await;
        let (mut numbers, mut pages) = (Vec::new(), 0);
        // The page may overtake what was missed, so another one is asked for behind it.
        loop {
            let message = self.next().await;
            if message["type"] == "history" {
                pages += 1;
                if pages == 2 {
                    return numbers;
                }
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                self.act("history", json!({"limit": 1})).await;
            } else if message["type"] == kind {
                numbers.push(message["data"]["seq"].as_u64().unwrap());
            }
        }
    }
}

#[tokio::test]
async fn a_token_is_printed_for_the_room_that_is_kept() {
    let place = Place::new(crate::store::harness::Kind::Sqlite);
    let server = server(&place).await;
    let id = keep_tea(&server).await;
    let run = async |arguments: &[&str]| {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_turnstone"));
        program.env_clear().args(arguments);
        program.args(["--data-dir", place.dir.to_str().unwrap()]);
        program.output().await.unwrap()
    };
    let output = run(&["token", "TEA", "--role", "host", "--name", "Ann"]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.is_empty(), "{told}");
    let token = String::from_utf8(output.stdout).unwrap();
    let tokens = room_tokens(&place.dir).unwrap();
    let claims = tokens.read(token.trim_end(), now()).unwrap();
    assert_eq!((claims.rid, claims.kind), (Some(id), Kind::Host));
    let mut ann = server.page().await;
    ann.enter(login(json!({"token": token.trim_end()}))).await;
    assert_eq!(ann.room["you"]["role"], "host");
    assert_eq!(ann.room["you"]["username"], "Ann", "as the token says");
    let output = run(&["token", "coffee"]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("kept"));
    let output = run(&["token", "tea", "--role", "king"]).await;
    assert_eq!(output.status.code(), Some(2));
}
