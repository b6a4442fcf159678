//! What hosts do to people and rooms, over the wire, and what others cannot.

use std::sync::Arc;

use ::turn::client::{Client, ClientConfig};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep};

use crate::harness::{Answer, PATIENCE, TestServer};

#[tokio::test]
async fn a_removed_person_learns_why_before_the_socket_closes() {
    let server = TestServer::start().await;
    let [mut ann, mut bob, mut cid] = server.peers_in("tea").await;
    ann.act("kick", json!({"sessionId": bob.id})).await;
    bob.refused("kicked").await;
    assert_eq!(bob.closed_with().await, 4003);
    let farewell = json!({"type": "logout", "data": {"username": "Person 2", "sessionId": bob.id}});
    assert_eq!(ann.next().await, farewell);
    assert_eq!(cid.next().await, farewell);
    let mut again = server.page().await;
    again.login("tea", "Bob").await;
}

#[tokio::test]
async fn a_banned_person_does_not_come_back_and_a_resume_is_closed() {
    let server = TestServer::start().await;
    let [mut ann, mut bob] = server.peers_in("tea").await;
    ann.act("kick", json!({"sessionId": bob.id, "ban": true}))
        .await;
    bob.refused("banned").await;
    assert_eq!(bob.closed_with().await, 4003);
    let mut again = server.page().await;
    again
        .ask_for_seat(json!({"roomrequest": "tea", "username": "Other"}))
        .await;
    again.refused("banned").await;
    again.login("coffee", "Other").await;
    let mut back = server.page().await;
    back.ask_for_seat(
        json!({"roomrequest": "tea", "username": "Bob", "resume": bob.room["resume"]}),
    )
    .await;
    back.refused("banned").await;
    assert_eq!(back.closed_with().await, 4003);
    assert_eq!(ann.next().await["type"], "logout");
    ann.heard_nothing_else().await;
}

#[tokio::test]
async fn a_removed_persons_relay_and_credentials_end_at_once() {
    let server = TestServer::start().await;
    let [mut ann, mut bob] = server.peers_in("tea").await;
    let of_ann = turn_client(&server, &ann.room).await;
    let of_bob = turn_client(&server, &bob.room).await;
    let _relay_of_ann = of_ann.allocate().await.unwrap();
    let _relay_of_bob = of_bob.allocate().await.unwrap();
    assert_eq!(allocations(&server).await, 2);

    ann.act("kick", json!({"sessionId": bob.id})).await;
    bob.refused("kicked").await;
    let end = Instant::now() + PATIENCE;
    while allocations(&server).await > 1 {
        assert!(Instant::now() < end, "the relay outlives its person");
        sleep(std::time::Duration::from_millis(10)).await;
    }
    let again = turn_client(&server, &bob.room).await;
    assert!(
        again.allocate().await.is_err(),
        "the credentials still hold"
    );
    let again = turn_client(&server, &ann.room).await;
    again.allocate().await.unwrap();
}

/// A TURN client over UDP with the credentials that `room` gave.
async fn turn_client(server: &TestServer, room: &Value) -> Client {
    let over_udp = room["iceServers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|ice| ice["urls"].as_str().unwrap().ends_with("transport=udp"))
        .unwrap();
    let client = Client::new(ClientConfig {
        stun_serv_addr: String::new(),
        turn_serv_addr: server.addresses.turn[0].to_string(),
        username: over_udp["username"].as_str().unwrap().to_owned(),
        password: over_udp["credential"].as_str().unwrap().to_owned(),
        realm: String::new(),
        software: String::new(),
        rto_in_ms: 0,
        conn: Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap()),
        vnet: None,
    })
    .await
    .unwrap();
    client.listen().await.unwrap();
    client
}

async fn allocations(server: &TestServer) -> u32 {
    let mut admin = TcpStream::connect(server.addresses.admin.unwrap())
        .await
        .unwrap();
    admin
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let answer = Answer::read(&mut admin, false).await;
    let text = answer.text();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("turnstone_relay_allocations "));
    value.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_seed_client_can_be_removed_as_well() {
    let server = TestServer::start().await;
    let [mut ann] = server.peers_in("tea").await;
    let mut seed = server.seed().await;
    seed.login("tea", "Seed").await;
    ann.act("kick", json!({"sessionId": seed.id})).await;
    seed.refused("kicked").await;
    assert_eq!(seed.closed_with().await, 4003);
}

#[tokio::test]
async fn a_locked_room_and_a_waiting_room_keep_people_out() {
    let server = TestServer::start().await;
    let [mut ann, mut bob] = server.peers_in("tea").await;
    ann.act("lock", json!({"locked": true})).await;
    assert_eq!(bob.next().await["data"], json!({"locked": true}));
    let mut eve = server.page().await;
    let seat = json!({"roomrequest": "tea", "username": "Eve"});
    eve.ask_for_seat(seat.clone()).await;
    eve.refused("locked").await;

    ann.act("lock", json!({"locked": false})).await;
    ann.act("policy", json!({"waitingRoom": true})).await;
    assert_eq!(bob.next().await["type"], "lock");
    assert_eq!(bob.next().await["data"]["waitingRoom"], true);
    for kind in ["lock", "lock", "policy"] {
        assert_eq!(ann.next().await["type"], kind);
    }
    eve.ask_for_seat(seat.clone()).await;
    assert_eq!(eve.next().await, json!({"type": "waiting", "data": {}}));
    let knock = ann.next().await;
    assert_eq!(knock["type"], "knock");
    assert_eq!(knock["data"]["username"], "Eve");
    bob.act("admit", knock["data"].clone()).await;
    bob.refused("denied").await;
    eve.act("ice", json!({})).await;
    eve.refused("unauthorized").await;

    ann.act("deny", json!({"sessionId": knock["data"]["sessionId"]}))
        .await;
    eve.refused("denied").await;
    assert_eq!(ann.next().await["type"], "logout");
    eve.ask_for_seat(seat).await;
    assert_eq!(eve.next().await["type"], "waiting");
    let knock = ann.next().await;
    ann.act("admit", json!({"sessionId": knock["data"]["sessionId"]}))
        .await;
    assert_eq!(eve.next().await["type"], "joined");
    let room = eve.next().await;
    assert_eq!(room["data"]["you"]["role"], "guest");
    assert!(room["data"]["iceServers"].is_array());
    assert_eq!(ann.next().await["type"], "login");
    assert_eq!(bob.next().await["type"], "login");
}

#[tokio::test]
async fn whoever_waits_and_vanishes_is_gone_at_once() {
    let server = TestServer::start().await;
    let [mut ann] = server.peers_in("tea").await;
    ann.act("policy", json!({"waitingRoom": true})).await;
    assert_eq!(ann.next().await["type"], "policy");
    let mut eve = server.page().await;
    eve.ask_for_seat(json!({"roomrequest": "tea", "username": "Eve"}))
        .await;
    assert_eq!(eve.next().await["type"], "waiting");
    let knock = ann.next().await;
    eve.cut().await;
    let left = ann.next().await;
    assert_eq!(left["type"], "logout");
    assert_eq!(left["data"], knock["data"]);
}

/// A client that ignores what the page would not let its person do.
#[tokio::test]
async fn a_raw_client_is_refused_each_time_and_others_hear_nothing() {
    let server = TestServer::start().await;
    let [mut ann, mut bob, mut cid] = server.peers_in("tea").await;
    ann.act(
        "policy",
        json!({"chat": false, "screen": false, "unmute": false}),
    )
    .await;
    for peer in [&mut ann, &mut bob, &mut cid] {
        assert_eq!(peer.next().await["type"], "policy");
    }
    let acts: [(&str, Value); 12] = [
        ("chat", json!({"id": "1", "text": "x"})),
        ("chat-edit", json!({"seq": 1, "text": "x"})),
        ("react", json!({"seq": 1, "emoji": "x"})),
        ("lock", json!({"locked": true})),
        ("policy", json!({"chat": true})),
        ("role", json!({"sessionId": bob.id, "role": "host"})),
        ("mute", json!({"sessionId": "*", "kind": "mic"})),
        ("unmute", json!({"sessionId": cid.id, "kind": "mic"})),
        ("kick", json!({"sessionId": ann.id})),
        ("kick", json!({"sessionId": cid.id, "ban": true})),
        ("admit", json!({"sessionId": cid.id})),
        ("deny", json!({"sessionId": cid.id})),
    ];
    // Twice: being told no is no fault, and never ends the socket.
    for (kind, data) in acts.iter().chain(&acts) {
        bob.act(kind, data.clone()).await;
        bob.refused("denied").await;
    }
    for (kind, data) in [
        ("mute", json!({"sessionId": "everyone", "kind": "mic"})),
        ("kick", json!({})),
        ("history", json!({"limit": 0})),
        ("react", json!({"seq": 1, "emoji": "x".repeat(65)})),
    ] {
        bob.act(kind, data).await;
        bob.refused("invalid").await;
    }
    bob.act("read", json!({"seq": 1})).await;
    bob.refused("notfound").await;
    ann.heard_nothing_else().await;
    cid.heard_nothing_else().await;

    bob.act(
        "status",
        json!({"mic": true, "screen": true, "streams": {"s": "screen"}}),
    )
    .await;
    bob.refused("denied").await;
    for peer in [&mut ann, &mut cid] {
        assert_eq!(
            peer.next().await["data"],
            json!({"mic": false, "camera": false, "screen": false, "hand": false, "streams": {}})
        );
    }
}

#[tokio::test]
async fn a_muted_person_goes_silent_for_everyone() {
    let server = TestServer::start().await;
    let [mut ann, mut bob, mut cid] = server.peers_in("tea").await;
    bob.act("status", json!({"mic": true})).await;
    assert_eq!(ann.next().await["data"]["mic"], true);
    assert_eq!(cid.next().await["data"]["mic"], true);
    ann.act("mute", json!({"sessionId": bob.id, "kind": "mic"}))
        .await;
    let told = bob.next().await;
    assert_eq!(told["type"], "mute");
    assert_eq!(told["data"], json!({"by": ann.id, "kind": "mic"}));
    for peer in [&mut ann, &mut cid] {
        let status = peer.next().await;
        assert_eq!(status["from"], bob.id);
        assert_eq!(status["data"]["mic"], false);
    }
}

#[tokio::test]
async fn chat_is_changed_taken_back_and_read_again_by_newcomers() {
    let server = TestServer::start().await;
    let [mut ann, mut bob] = server.peers_in("tea").await;
    for text in ["one", "two"] {
        bob.act("chat", json!({"id": text, "text": text})).await;
        assert_eq!(ann.next().await["data"]["text"], text);
        assert_eq!(bob.next().await["data"]["text"], text);
    }
    bob.act("chat-edit", json!({"seq": 1, "text": "ONE"})).await;
    ann.act("chat-delete", json!({"seq": 2})).await;
    ann.act("react", json!({"seq": 1, "emoji": "👏"})).await;
    bob.act("typing", json!({})).await;
    bob.act("read", json!({"seq": 2})).await;

    let mut cid = server.page().await;
    // Everything above has happened once these are answered.
    ann.act("history", json!({"limit": 1})).await;
    while ann.next().await["type"] != "history" {}
    bob.act("history", json!({"limit": 1})).await;
    while bob.next().await["type"] != "history" {}
    cid.login("tea", "Cid").await;
    assert_eq!(cid.room["participants"][1]["read"], 2);
    cid.act("history", json!({"limit": 50})).await;
    let page = cid.next().await;
    assert_eq!(page["data"]["more"], false);
    let messages = &page["data"]["messages"];
    assert_eq!(messages[0]["text"], "ONE");
    assert_eq!(
        messages[0]["reactions"],
        json!([{"emoji": "👏", "sessionIds": [ann.id]}])
    );
    assert_eq!(messages[1]["deleted"], true);
    assert_eq!(messages[1]["text"], "");
}
