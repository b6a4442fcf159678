//! The rules of rooms, with time as an argument.

use super::*;
use serde_json::Value;

/// Rooms under test: speaks JSON like a socket, and remembers what each socket was sent.
struct Table {
    rooms: Rooms,
    now: Moment,
    sessions: HashMap<u64, SessionId>,
    sent: HashMap<u64, Vec<Value>>,
    other: Vec<Effect>,
    resume: HashMap<u64, String>,
}

impl Table {
    fn new() -> Self {
        Self::with_capacity(10)
    }

    fn with_capacity(capacity: usize) -> Self {
        let now = Moment {
            monotonic: Instant::now(),
            unix_ms: 1_000_000,
        };
        let mut table = Self {
            rooms: Rooms::new(Settings { capacity }, ResumeKey::new(b"key"), now),
            now,
            sessions: HashMap::new(),
            sent: HashMap::new(),
            other: Vec::new(),
            resume: HashMap::new(),
        };
        // Past the time in which sessions from before a restart are taken in.
        table.pass(AWAY);
        table
    }

    /// The same people, rooms forgotten, as after a restart.
    fn restart(&mut self) {
        self.rooms = Rooms::new(Settings { capacity: 10 }, ResumeKey::new(b"key"), self.now);
    }

    fn connect(&mut self, peer: u64, page: bool) {
        let session = SessionId::random();
        self.sessions.insert(peer, session);
        self.event(Event::Connected {
            peer: PeerId::new(peer),
            session,
            page,
        });
    }

    fn say(&mut self, peer: u64, json: &str) {
        let message = FromPeer::parse(json).unwrap();
        self.event(Event::Said {
            peer: PeerId::new(peer),
            message,
        });
    }

    fn join(&mut self, peer: u64, room: &str, name: &str) {
        self.connect(peer, true);
        self.login(peer, room, name);
    }

    fn join_seed(&mut self, peer: u64, room: &str, name: &str) {
        self.connect(peer, false);
        self.login(peer, room, name);
    }

    fn login(&mut self, peer: u64, room: &str, name: &str) {
        self.say(peer, &format!(
            r#"{{"type":"login","from":"","to":"","data":{{"roomrequest":"{room}","username":"{name}"}}}}"#
        ));
    }

    fn resume_as(&mut self, peer: u64, token: &str, seq: Option<u64>) {
        let seq = seq.map_or(String::new(), |seq| format!(r#","seq":{seq}"#));
        self.say(peer, &format!(
            r#"{{"type":"login","data":{{"roomrequest":"tea","username":"x","resume":"{token}"{seq}}}}}"#
        ));
    }

    fn gone(&mut self, peer: u64, how: Departure) {
        self.event(Event::Gone {
            peer: PeerId::new(peer),
            how,
        });
    }

    fn pass(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.rooms.on_time(self.now);
        self.collect();
    }

    fn event(&mut self, event: Event) {
        self.rooms.handle(event, self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(effect) = self.rooms.next_effect() {
            let (to, message) = match effect {
                Effect::Send { to, text } => (to, serde_json::from_str(text.as_str()).unwrap()),
                Effect::Refuse { to, refusal } => (
                    to,
                    serde_json::from_str(Text::from(&refusal).as_str()).unwrap(),
                ),
                Effect::Welcome { to, seating } => {
                    self.resume.insert(number(to), seating.resume.clone());
                    let data = serde_json::json!({
                        "room": seating.room, "you": seating.you,
                        "participants": seating.participants,
                    });
                    (to, serde_json::json!({"type": "room", "data": data}))
                }
                other => {
                    self.other.push(other);
                    continue;
                }
            };
            self.sent.entry(number(to)).or_default().push(message);
        }
    }

    /// Everything sent to this socket since the last look.
    fn heard(&mut self, peer: u64) -> Vec<Value> {
        self.sent.remove(&peer).unwrap_or_default()
    }

    fn heard_types(&mut self, peer: u64) -> Vec<String> {
        self.heard(peer)
            .iter()
            .map(|m| m["type"].as_str().unwrap().to_owned())
            .collect()
    }

    fn forget_all(&mut self) {
        self.sent.clear();
        self.other.clear();
    }

    fn id(&self, peer: u64) -> String {
        self.sessions[&peer].to_string()
    }
}

fn number(peer: PeerId) -> u64 {
    peer.to_string().parse().unwrap()
}

#[test]
fn a_newcomer_is_answered_before_the_others_are_told() {
    let mut table = Table::new();
    table.join(1, "Tea", "Ann");
    assert_eq!(table.heard_types(1), ["joined", "room"]);
    table.connect(2, true);
    table.say(
        2,
        r#"{"type":"login","data":{"roomrequest":"tEA","username":"Bob"}}"#,
    );
    let bob = table.heard(2);
    assert_eq!(
        bob[0],
        serde_json::json!({"type": "joined", "data": table.id(2)})
    );
    assert_eq!(
        bob[1]["data"]["room"]["name"], "Tea",
        "the first one's spelling is shown"
    );
    assert_eq!(bob[1]["data"]["you"]["role"], "guest");
    let people = bob[1]["data"]["participants"].as_array().unwrap();
    assert_eq!(people.len(), 1, "one is not among one's own participants");
    assert_eq!(people[0]["username"], "Ann");
    assert_eq!(people[0]["role"], "host");
    assert_eq!(people[0]["joined"], 1_000_000);
    assert_eq!(
        table.heard(1),
        [serde_json::json!({
            "type": "login", "from": table.id(2), "to": "",
            "data": {"roomrequest": "tEA", "username": "Bob"}
        })]
    );
}

#[test]
fn a_seed_client_gets_joined_alone() {
    let mut table = Table::new();
    table.join_seed(1, "tea", "Ann");
    assert_eq!(table.heard_types(1), ["joined"]);
    table.join(2, "tea", "Bob");
    let room = &table.heard(2)[1];
    assert_eq!(room["data"]["participants"][0]["status"], Value::Null);
}

#[test]
fn a_name_taken_gets_a_number() {
    let mut table = Table::new();
    table.join(1, "tea", "Kim");
    table.join(2, "tea", "kim");
    table.join(3, "tea", "Kim");
    assert_eq!(table.heard(2)[1]["data"]["you"]["username"], "kim 2");
    assert_eq!(table.heard(3)[1]["data"]["you"]["username"], "Kim 3");
    let told = table.heard(1);
    assert_eq!(
        told[2]["data"]["username"], "kim 2",
        "others hear the final name"
    );
}

#[test]
fn a_full_room_refuses_and_the_socket_may_try_another() {
    let mut table = Table::with_capacity(1);
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    let refused = table.heard(2);
    assert_eq!(refused[0]["data"]["errorType"], "full");
    assert_eq!(
        refused[0]["message"], refused[0]["data"],
        "seed clients read “message”"
    );
    table.login(2, "coffee", "Bob");
    assert_eq!(table.heard_types(2), ["joined", "room"]);
}

#[test]
fn moving_to_a_full_room_keeps_the_old_seat() {
    let mut table = Table::with_capacity(1);
    table.join(1, "tea", "Ann");
    table.join(2, "coffee", "Bob");
    table.forget_all();
    table.login(2, "tea", "Bob");
    assert_eq!(table.heard(2)[0]["data"]["errorType"], "full");
    table.say(
        2,
        r#"{"type":"chat","data":{"id":"1","text":"still here"}}"#,
    );
    assert_eq!(table.heard_types(2), ["chat"]);
}

#[test]
fn a_second_login_moves_and_leaves_no_ghost() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    table.forget_all();
    table.login(2, "coffee", "Bob");
    assert_eq!(table.heard_types(1), ["logout"]);
    table.login(2, "coffee", "Bob");
    assert_eq!(table.heard_types(2), ["joined", "room", "joined", "room"]);
    assert_eq!(table.rooms.census(), Census { rooms: 2, seats: 2 });
}

#[test]
fn signals_go_to_one_or_to_all_others_with_their_true_sender() {
    let mut table = Table::new();
    table.join_seed(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    table.join(3, "tea", "Cid");
    table.join(4, "other", "Eve");
    table.forget_all();
    let bob = table.id(2);
    table.say(
        1,
        &format!(
            r#"{{"type":"offer","from":"me","to":"{bob}","data":{{"sdp":"x"}},"username":"Ann"}}"#
        ),
    );
    let heard = table.heard(2);
    assert_eq!(heard[0]["from"], table.id(1));
    assert_eq!(heard[0]["username"], "Ann", "unknown members stay");
    assert!(table.heard(3).is_empty() && table.heard(4).is_empty());

    table.say(
        1,
        r#"{"type":"candidate","to":"","data":{"candidate":"c"}}"#,
    );
    assert_eq!(table.heard_types(2), ["candidate"]);
    assert_eq!(table.heard_types(3), ["candidate"]);
    assert!(table.heard(1).is_empty() && table.heard(4).is_empty());

    table.say(1, r#"{"type":"answer","data":{"sdp":"y"}}"#);
    assert_eq!(
        table.heard_types(2),
        ["answer"],
        "absent “to” means all others"
    );
}

#[test]
fn a_signal_to_nobody_is_dropped() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    table.join(3, "coffee", "Eve");
    table.forget_all();
    let (ann, eve) = (table.id(1), table.id(3));
    for to in ["nobody", &ann, &eve] {
        table.say(1, &format!(r#"{{"type":"offer","to":"{to}","data":{{}}}}"#));
        table.say(
            1,
            &format!(r#"{{"type":"chat","data":{{"id":"1","text":"x","to":"{eve}"}}}}"#),
        );
    }
    assert!(table.sent.is_empty(), "{:?}", table.sent);
}

#[test]
fn before_a_login_only_four_types_are_answered() {
    let mut table = Table::new();
    table.connect(1, true);
    for json in [
        r#"{"type":"offer","data":{}}"#,
        r#"{"type":"status","data":{}}"#,
        r#"{"type":"chat","data":{"id":"1","text":"x"}}"#,
        r#"{"type":"reaction","data":{"emoji":"x"}}"#,
        r#"{"type":"recording","data":{"on":true}}"#,
        r#"{"type":"view","to":"x","data":{}}"#,
        r#"{"type":"ice","data":{}}"#,
    ] {
        table.say(1, json);
        assert_eq!(
            table.heard(1)[0]["data"]["errorType"],
            "unauthorized",
            "{json}"
        );
    }
    for json in [
        r#"{"type":"logout"}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"pong"}"#,
        r#"{"type":"from-the-future"}"#,
    ] {
        table.say(1, json);
        assert!(table.heard(1).is_empty(), "{json}");
    }
    table.say(1, r#"{"type":"randomCheck","data":"x"}"#);
    assert_eq!(table.heard_types(1), ["randomCheckResult"]);
}

#[test]
fn a_name_found_free_is_kept_for_the_one_who_asked() {
    let mut table = Table::new();
    table.connect(1, false);
    table.connect(2, false);
    let check = r#"{"type":"randomCheck","data":"A\u0062c"}"#;
    let result = |table: &mut Table, peer| {
        table.say(peer, check);
        table.heard(peer)[0]["data"]["result"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(result(&mut table, 1), "ok");
    assert_eq!(result(&mut table, 2), "fail");
    assert_eq!(result(&mut table, 1), "ok", "asking again is no harm");
    table.pass(Duration::from_secs(60));
    assert_eq!(result(&mut table, 2), "ok", "after a minute it is free");
    table.gone(2, Departure::Broken);
    assert_eq!(result(&mut table, 1), "ok", "and when the socket closes");
    table.connect(2, false);
    table.login(2, "abc", "Bob");
    assert_eq!(table.heard_types(2), ["joined"], "it never refuses a login");
    assert_eq!(result(&mut table, 1), "fail", "a room in use is not free");
}

#[test]
fn a_check_is_echoed_byte_for_byte() {
    let mut table = Table::new();
    table.connect(1, false);
    table.rooms.handle(
        Event::Said {
            peer: PeerId::new(1),
            message: FromPeer::parse(r#"{"type":"randomCheck","data":" \u00e9\/x "}"#).unwrap(),
        },
        table.now,
    );
    let Some(Effect::Send { text, .. }) = table.rooms.next_effect() else {
        panic!("no answer")
    };
    assert!(
        text.as_str().contains(r#""roomrequest":" \u00e9\/x ""#),
        "{}",
        text.as_str()
    );
}

#[test]
fn a_login_lets_go_of_a_reserved_name() {
    let mut table = Table::new();
    table.connect(1, false);
    table.connect(2, false);
    table.say(1, r#"{"type":"randomCheck","data":"abc"}"#);
    table.login(1, "tea", "Ann");
    table.say(2, r#"{"type":"randomCheck","data":"abc"}"#);
    assert_eq!(table.heard(2)[0]["data"]["result"], "ok");
}

#[test]
fn leaving_is_told_once_and_the_socket_may_come_back() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    table.forget_all();
    let bob = table.id(2);
    table.say(2, r#"{"type":"logout"}"#);
    table.say(2, r#"{"type":"logout"}"#);
    assert_eq!(
        table.heard(1),
        [serde_json::json!({"type": "logout", "data": {"username": "Bob", "sessionId": bob}})]
    );
    assert_eq!(
        table.other,
        [Effect::SeatEnded(bob.parse().unwrap())],
        "credentials end"
    );
    table.login(2, "tea", "Bob");
    assert_eq!(table.heard_types(2), ["joined", "room"]);
}

#[test]
fn the_role_of_host_passes_to_whoever_is_here_longest() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    table.join(3, "tea", "Cid");
    table.gone(1, Departure::Left);
    table.forget_all();
    table.join(4, "tea", "Dee");
    let room = &table.heard(4)[1]["data"];
    assert_eq!(room["participants"][0]["username"], "Bob");
    assert_eq!(room["participants"][0]["role"], "host");
    assert_eq!(room["participants"][1]["role"], "guest");
}

#[test]
fn chat_is_numbered_and_reaches_all_or_one() {
    let mut table = Table::new();
    for (peer, name) in [(1, "Ann"), (2, "Bob"), (3, "Cid")] {
        table.join(peer, "tea", name);
    }
    table.forget_all();
    table.say(
        1,
        r#"{"type":"chat","data":{"id":"a","text":" hi\u0007 there "}}"#,
    );
    let expected = serde_json::json!({
        "type": "chat", "from": table.id(1), "to": "",
        "data": {"id": "a", "seq": 1, "sessionId": table.id(1), "username": "Ann",
                 "text": "hi there", "time": 1_000_000},
    });
    for peer in [1, 2, 3] {
        assert_eq!(table.heard(peer), std::slice::from_ref(&expected));
    }
    let bob = table.id(2);
    table.say(
        1,
        &format!(r#"{{"type":"chat","data":{{"id":"b","text":"psst","to":"{bob}","replyTo":1}}}}"#),
    );
    assert!(table.heard(3).is_empty());
    let private = table.heard(2);
    assert_eq!(private, table.heard(1));
    assert_eq!(private[0]["data"]["seq"], 2);
    assert_eq!(private[0]["data"]["to"], bob);
    assert_eq!(private[0]["data"]["replyTo"], 1);
}

#[test]
fn a_status_is_passed_on_and_shown_to_newcomers() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    table.forget_all();
    table.say(1, r#"{"type":"status","data":{"mic":true,"camera":true,"screen":false,"hand":false,"streams":{"s1":"camera"},"away":true}}"#);
    assert!(table.heard(1).is_empty());
    let status = serde_json::json!({"mic": true, "camera": true, "screen": false, "hand": false,
                                    "streams": {"s1": "camera"}});
    let heard = table.heard(2);
    assert_eq!(
        heard[0]["data"], status,
        "nobody can say of themselves that they are away"
    );
    assert_eq!(heard[0]["from"], table.id(1));
    table.join(3, "tea", "Cid");
    assert_eq!(
        table.heard(3)[1]["data"]["participants"][0]["status"],
        status
    );
}

#[test]
fn reactions_recordings_and_views_pass_through() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    table.forget_all();
    let bob = table.id(2);
    table.say(1, r#"{"type":"reaction","data":{"emoji":"👋🏽"}}"#);
    table.say(1, r#"{"type":"recording","data":{"on":true}}"#);
    table.say(1, &format!(
        r#"{{"type":"view","to":"{bob}","data":{{"camera":{{"w":320,"h":180}},"screen":{{"w":0,"h":0}}}}}}"#
    ));
    let heard = table.heard(2);
    assert_eq!(heard[0]["data"]["emoji"], "👋🏽");
    assert_eq!(heard[1]["data"]["on"], true);
    assert_eq!(heard[2]["data"]["camera"]["w"], 320);
    assert_eq!(heard[2]["from"], table.id(1));
    assert!(table.heard(1).is_empty());
}

#[test]
fn ice_is_asked_for_by_whoever_sits() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.forget_all();
    table.say(1, r#"{"type":"ice","data":{}}"#);
    let session = table.sessions[&1];
    assert_eq!(
        table.other,
        [Effect::Ice {
            to: PeerId::new(1),
            session
        }]
    );
}

#[test]
fn a_broken_socket_is_away_and_then_gone() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    table.forget_all();
    table.gone(2, Departure::Broken);
    let away = table.heard(1);
    assert_eq!(away[0]["data"]["away"], true);
    table.pass(AWAY - Duration::from_millis(1));
    assert!(table.heard(1).is_empty());
    table.pass(Duration::from_millis(1));
    assert_eq!(table.heard_types(1), ["logout"]);
    assert_eq!(table.rooms.next_deadline(), None);
}

#[test]
fn a_seed_clients_seat_ends_with_its_socket() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join_seed(2, "tea", "Bob");
    table.forget_all();
    table.gone(2, Departure::Broken);
    assert_eq!(table.heard_types(1), ["logout"]);
}

#[test]
fn whoever_comes_back_has_the_same_seat_and_missed_nothing() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    let token = table.resume[&2].clone();
    let bob = table.id(2);
    table.gone(2, Departure::Broken);
    table.join(3, "tea", "Cid");
    table.say(
        1,
        r#"{"type":"chat","data":{"id":"a","text":"where is Bob?"}}"#,
    );
    table.forget_all();
    table.connect(4, true);
    table.resume_as(4, &token, None);
    let heard = table.heard(4);
    assert_eq!(heard[0]["data"], bob, "the same session");
    assert_eq!(heard[1]["data"]["you"]["username"], "Bob");
    let rest: Vec<_> = heard[2..]
        .iter()
        .map(|m| m["type"].as_str().unwrap())
        .collect();
    assert_eq!(rest, ["login", "chat"], "in the order they happened");
    assert_eq!(table.heard(1)[0]["data"].get("away"), None, "back again");
    table.pass(AWAY * 2);
    assert!(table.heard(1).is_empty(), "no end was left waiting");
}

#[test]
fn chat_lost_on_the_way_is_sent_again_by_its_number() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.say(
        1,
        r#"{"type":"chat","data":{"id":"0","text":"before Bob"}}"#,
    );
    table.join(2, "tea", "Bob");
    let token = table.resume[&2].clone();
    table.say(1, r#"{"type":"chat","data":{"id":"1","text":"seen"}}"#);
    table.say(
        1,
        r#"{"type":"chat","data":{"id":"2","text":"lost on the way"}}"#,
    );
    table.gone(2, Departure::Broken);
    table.say(
        1,
        r#"{"type":"chat","data":{"id":"3","text":"said while away"}}"#,
    );
    table.forget_all();
    table.connect(3, true);
    table.resume_as(3, &token, Some(2));
    let seqs: Vec<_> = table.heard(3)[2..]
        .iter()
        .map(|m| m["data"]["seq"].clone())
        .collect();
    assert_eq!(seqs, [3, 4], "each once");
    table.connect(4, true);
    table.resume_as(4, &token, Some(0));
    let seqs: Vec<_> = table.heard(4)[2..]
        .iter()
        .map(|m| m["data"]["seq"].clone())
        .collect();
    assert_eq!(seqs, [2, 3, 4], "nothing from before the seat");
}

#[test]
fn the_old_token_holds_until_the_new_one_is_used() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    let first = table.resume[&1].clone();
    table.gone(1, Departure::Broken);
    table.connect(2, true);
    table.resume_as(2, &first, None);
    let second = table.resume[&2].clone();
    table.gone(2, Departure::Broken);
    table.connect(3, true);
    table.resume_as(3, &first, None);
    assert_eq!(
        table.heard_types(3),
        ["joined", "room"],
        "the answer may have been lost"
    );
    table.gone(3, Departure::Broken);
    table.connect(4, true);
    table.resume_as(4, &second, None);
    assert_eq!(table.heard_types(4), ["joined", "room"]);
    table.gone(4, Departure::Broken);
    table.connect(5, true);
    table.resume_as(5, &first, None);
    assert_eq!(table.heard(5)[0]["data"]["errorType"], "resume");
}

#[test]
fn a_seat_taken_up_elsewhere_replaces_the_old_socket() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    let token = table.resume[&2].clone();
    table.forget_all();
    table.connect(3, true);
    table.resume_as(3, &token, None);
    assert_eq!(table.other, [Effect::Replace(PeerId::new(2))]);
    table.forget_all();
    table.say(2, r#"{"type":"logout"}"#);
    table.gone(2, Departure::Left);
    assert!(
        table.heard(1).is_empty(),
        "the old socket speaks for nobody"
    );
    table.say(1, r#"{"type":"chat","data":{"id":"1","text":"Bob?"}}"#);
    assert_eq!(table.heard_types(3), ["chat"]);
}

#[test]
fn forged_foreign_and_stale_tokens_are_refused() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    let token = table.resume[&1].clone();
    table.join(2, "coffee", "Bob");
    let elsewhere = table.resume[&2].clone();
    let mut forged = token.clone();
    forged.replace_range(0..1, if token.starts_with('A') { "B" } else { "A" });
    table.connect(3, true);
    table.forget_all();
    for bad in [forged.as_str(), elsewhere.as_str(), "", "!", "AAAA"] {
        table.resume_as(3, bad, None);
        assert_eq!(table.heard(3)[0]["data"]["errorType"], "resume", "{bad}");
    }
    table.say(1, r#"{"type":"logout"}"#);
    table.resume_as(3, &token, None);
    assert_eq!(
        table.heard(3)[0]["data"]["errorType"],
        "resume",
        "left for good"
    );
    table.login(3, "tea", "Cid");
    assert_eq!(
        table.heard_types(3),
        ["joined", "room"],
        "the socket may join afresh"
    );
}

#[test]
fn after_a_restart_people_sit_down_under_their_old_session() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    let tokens = [table.resume[&1].clone(), table.resume[&2].clone()];
    let (ann, bob) = (table.id(1), table.id(2));
    table.restart();
    table.forget_all();
    table.connect(3, true);
    table.connect(4, true);
    table.resume_as(3, &tokens[0], None);
    table.resume_as(4, &tokens[1], None);
    assert_eq!(table.heard(3)[0]["data"], ann);
    let heard = table.heard(4);
    assert_eq!(heard[0]["data"], bob);
    assert_eq!(heard[1]["data"]["participants"][0]["sessionId"], ann);
    table.restart();
    table.pass(AWAY);
    table.connect(5, true);
    table.resume_as(5, &tokens[0], None);
    assert_eq!(
        table.heard(5)[0]["data"]["errorType"],
        "resume",
        "a minute later it is too late"
    );
}

#[test]
fn a_reload_is_waited_for_only_briefly() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    table.gone(2, Departure::Unloaded);
    table.forget_all();
    table.pass(AWAY_AFTER_UNLOAD);
    assert_eq!(table.heard_types(1), ["logout"]);
}

#[test]
fn whoever_misses_too_much_loses_the_seat() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    table.gone(2, Departure::Broken);
    for _ in 0..600 {
        table.say(1, r#"{"type":"candidate","data":{"candidate":"c"}}"#);
    }
    table.forget_all();
    table.pass(Duration::ZERO);
    assert_eq!(table.rooms.census().seats, 1);
}
