//! What people in rooms may rely on, over the wire.

use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::TestServer;

#[tokio::test]
async fn a_newcomer_learns_of_the_room_and_the_others_of_the_newcomer() {
    let server = TestServer::start().await;
    let mut ann = server.page().await;
    ann.login(" Tea ", "Ann").await;
    assert_eq!(
        ann.room["room"],
        json!({"name": "Tea", "locked": false, "capacity": 10, "kept": false,
               "policy": {"chat": true, "files": true, "screen": true, "unmute": true,
                          "waitingRoom": false}})
    );
    assert_eq!(ann.room["participants"], json!([]));
    assert_eq!(
        ann.room["limits"],
        json!({"message": 65536, "rate": 100, "burst": 1000})
    );

    let mut bob = server.page().await;
    bob.login("TEA", "ann").await;
    assert_eq!(bob.room["you"]["username"], "ann 2");
    assert_eq!(bob.room["participants"][0]["sessionId"], ann.id);
    assert_eq!(
        ann.next().await,
        json!({"type": "login", "from": bob.id, "to": "",
               "data": {"roomrequest": "TEA", "username": "ann 2"}})
    );
}

#[tokio::test]
async fn ice_servers_are_named_as_the_client_came() {
    let server = TestServer::start().await;
    let mut ann = server.page().await;
    ann.login("tea", "Ann").await;
    let https = server.https();
    let turn = server.addresses.turn[0].port();
    let servers = ann.room["iceServers"].as_array().unwrap();
    let urls: Vec<_> = servers
        .iter()
        .map(|s| s["urls"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        urls,
        [
            format!("stun:127.0.0.1:{turn}"),
            format!("turn:127.0.0.1:{turn}?transport=udp"),
            format!("turn:127.0.0.1:{}?transport=tcp", https.port()),
            format!("turn:127.0.0.1:{turn}?transport=tcp"),
        ]
    );
    assert_eq!(ann.room["iceTtl"], 3600);
    let username = servers[1]["username"].as_str().unwrap();
    assert_eq!(
        username.split_once(':').unwrap().1,
        ann.id,
        "credentials are the session's own"
    );
    assert!(servers[0].get("credential").is_none());

    ann.send(&json!({"type": "ice", "data": {}})).await;
    let fresh = ann.next().await;
    assert_eq!(fresh["type"], "ice");
    assert_eq!(fresh["data"]["iceServers"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_seed_client_and_a_page_negotiate() {
    let server = TestServer::start().await;
    let mut seed = server.seed().await;
    seed.login("tea", "Seed").await;
    assert!(seed.room.is_null(), "a seed client gets joined alone");
    let mut page = server.page().await;
    page.login("tea", "Page").await;
    assert_eq!(page.room["participants"][0]["status"], json!(null));
    let login = seed.next().await;
    assert_eq!(login["from"], page.id);

    let offer = json!({"type": "offer", "from": "forged", "to": page.id, "username": "Seed",
                       "data": {"type": "offer", "sdp": "v=0\r\n"}});
    seed.send(&offer).await;
    let heard = page.next().await;
    assert_eq!(heard["from"], seed.id);
    assert_eq!(heard["username"], "Seed");
    assert_eq!(heard["data"], offer["data"]);
    page.send(
        &json!({"type": "answer", "to": seed.id, "data": {"type": "answer", "sdp": "v=0\r\n"}}),
    )
    .await;
    assert_eq!(seed.next().await["type"], "answer");
    seed.send(&json!({"type": "candidate", "to": "", "data": {"candidate": "c"}}))
        .await;
    assert_eq!(page.next().await["type"], "candidate");
    seed.heard_nothing_else().await;
}

#[tokio::test]
async fn leaving_is_announced_to_the_others() {
    let server = TestServer::start().await;
    let [mut ann, mut bob, mut cid] = server.peers_in("tea").await;
    bob.send(&json!({"type": "logout"})).await;
    let farewell = json!({"type": "logout", "data": {"username": "Person 2", "sessionId": bob.id}});
    assert_eq!(ann.next().await, farewell);
    assert_eq!(cid.next().await, farewell);
    bob.heard_nothing_else().await;
    bob.login("tea", "Bob").await;
    assert_eq!(ann.next().await["data"]["username"], "Bob");
}

#[tokio::test]
async fn what_was_said_before_a_goodbye_is_told_and_so_is_the_goodbye() {
    let server = TestServer::start().await;
    for (room, code) in [("tea", None), ("coffee", Some("logout"))] {
        let [mut ann, mut bob] = server.peers_in(room).await;
        for text in 0..100 {
            bob.act("chat", json!({"id": "1", "text": text.to_string()}))
                .await;
        }
        if let Some(goodbye) = code {
            bob.act(goodbye, json!({})).await;
        }
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        bob.wire.close(Some(frame)).await.unwrap();
        for text in 0..100 {
            assert_eq!(ann.next().await["data"]["text"], text.to_string());
        }
        assert_eq!(ann.next().await["type"], "logout");
    }
}

#[tokio::test]
async fn a_ping_is_answered_behind_what_was_said_before() {
    let server = TestServer::start().await;
    let [mut ann] = server.peers_in("tea").await;
    for _ in 0..50 {
        ann.act("chat", json!({"id": "1", "text": "a"})).await;
        ann.act("ping", json!({})).await;
        assert_eq!(ann.next().await["type"], "chat");
        assert_eq!(ann.next().await["type"], "pong");
    }
}

#[tokio::test]
async fn a_seed_client_that_vanishes_has_left() {
    let server = TestServer::start().await;
    let mut ann = server.page().await;
    ann.login("tea", "Ann").await;
    let mut seed = server.seed().await;
    seed.login("tea", "Seed").await;
    assert_eq!(ann.next().await["type"], "login");
    seed.cut().await;
    assert_eq!(ann.next().await["type"], "logout");
}

#[tokio::test]
async fn a_page_that_vanishes_is_away_and_comes_back_to_what_it_missed() {
    let server = TestServer::start().await;
    let [mut ann, bob] = server.peers_in("tea").await;
    let (id, token) = (bob.id.clone(), bob.room["resume"].clone());
    bob.cut().await;
    let away = ann.next().await;
    assert_eq!(
        (&away["type"], &away["data"]["away"]),
        (&json!("status"), &json!(true))
    );
    ann.send(&json!({"type": "chat", "data": {"id": "1", "text": "where is Bob?"}}))
        .await;
    assert_eq!(ann.next().await["type"], "chat");

    let mut back = server.page().await;
    back.ask_for_seat(json!({"roomrequest": "tea", "username": "Bob", "resume": token}))
        .await;
    assert_eq!(back.next().await, json!({"type": "joined", "data": id}));
    let room = back.next().await;
    assert_eq!(room["data"]["you"]["username"], "Person 2");
    assert_ne!(room["data"]["resume"], token, "a new token each time");
    assert_eq!(back.next().await["data"]["text"], "where is Bob?");
    assert_eq!(ann.next().await["data"].get("away"), None);
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart() {
    let server = TestServer::start().await;
    let [ann] = server.peers_in("tea").await;
    let token = ann.room["resume"].clone();
    let dir = server.stop().await;
    let server = TestServer::start_in(dir, |_| {}).await;
    let mut back = server.page().await;
    back.ask_for_seat(json!({"roomrequest": "tea", "username": "Ann", "resume": token}))
        .await;
    assert_eq!(back.next().await, json!({"type": "joined", "data": ann.id}));
}

#[tokio::test]
async fn a_replaced_socket_is_told_so() {
    let server = TestServer::start().await;
    let [mut ann] = server.peers_in("tea").await;
    let token = ann.room["resume"].clone();
    let mut again = server.page().await;
    again
        .ask_for_seat(json!({"roomrequest": "tea", "username": "Ann", "resume": token}))
        .await;
    assert_eq!(again.next().await["type"], "joined");
    assert_eq!(ann.closed_with().await, 4001);
}

#[tokio::test]
async fn a_full_room_refuses() {
    let server = TestServer::start_with(|config| config.rooms.capacity = 1).await;
    let [_ann] = server.peers_in("tea").await;
    let mut bob = server.page().await;
    bob.ask_for_seat(json!({"roomrequest": "tea", "username": "Bob"}))
        .await;
    bob.refused("full").await;
    bob.login("coffee", "Bob").await;
}
