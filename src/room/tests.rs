//! The rules of rooms, with time as an argument.

use super::*;
use serde_json::{Value, json};

mod kept;

/// Rooms under test: speaks JSON like a socket, and remembers what each socket was sent.
struct Table {
    rooms: Rooms,
    now: Moment,
    sessions: HashMap<u64, SessionId>,
    sent: HashMap<u64, Vec<Value>>,
    other: Vec<Effect>,
    news: Vec<News>,
    resume: HashMap<u64, String>,
    /// Where sockets come from.
    source: Source,
    store: kept::FakeStore,
}

impl Table {
    fn new() -> Self {
        Self::with_capacity(10)
    }

    fn with_capacity(capacity: usize) -> Self {
        Self::with(Settings {
            capacity,
            ..Settings::default()
        })
    }

    fn with(settings: Settings) -> Self {
        let now = Moment {
            monotonic: Instant::now(),
            unix_ms: 1_000_000,
        };
        let mut table = Self {
            rooms: Rooms::new(settings, ResumeKey::new(b"key"), cards(), now),
            now,
            sessions: HashMap::new(),
            sent: HashMap::new(),
            other: Vec::new(),
            news: Vec::new(),
            resume: HashMap::new(),
            source: source(1),
            store: kept::FakeStore::default(),
        };
        // Past the time in which sessions from before a restart are taken in.
        table.pass(AWAY);
        table
    }

    /// The same people, rooms forgotten, as after a restart.
    fn restart(&mut self) {
        self.rooms = Rooms::new(
            Settings::default(),
            ResumeKey::new(b"key"),
            cards(),
            self.now,
        );
    }

    fn connect(&mut self, peer: u64, page: bool) {
        let session = SessionId::random();
        self.sessions.insert(peer, session);
        self.event(Event::Connected {
            peer: PeerId::new(peer),
            session,
            source: self.source,
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
                        "participants": seating.participants, "invite": seating.invite,
                        "api": seating.api.token,
                    });
                    (to, serde_json::json!({"type": "room", "data": data}))
                }
                Effect::News(news) => {
                    self.news.push(news);
                    continue;
                }
                Effect::LookUp { peer, wish } => {
                    if let Some(found) = self.store.look_up(peer, *wish) {
                        self.rooms.handle(Event::LookedUp { peer, found }, self.now);
                    }
                    continue;
                }
                Effect::Keep { room, peer, job } => {
                    self.store.jobs.push((room, peer, *job));
                    continue;
                }
                Effect::Fetch { peer, query } => {
                    self.store.queries.push((peer, query));
                    continue;
                }
                Effect::Rest(_) => continue,
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

    /// The error type of the one message this socket was sent since the last look.
    fn refused(&mut self, peer: u64) -> String {
        let heard = self.heard(peer);
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert_eq!(heard[0]["type"], "error", "{heard:?}");
        heard[0]["data"]["errorType"].as_str().unwrap().to_owned()
    }

    /// What came for the HTTP API with the ICE servers, the only thing that has happened besides messages.
    fn renewed(&mut self, peer: u64) -> Option<ApiGrant> {
        let session = self.sessions[&peer];
        match &std::mem::take(&mut self.other)[..] {
            [
                Effect::Ice {
                    to,
                    session: of,
                    api,
                },
            ] => {
                assert_eq!((*to, *of), (PeerId::new(peer), session));
                api.clone()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Says `{type, data}`.
    fn act(&mut self, peer: u64, kind: &str, data: Value) {
        self.say(
            peer,
            &serde_json::json!({"type": kind, "data": data}).to_string(),
        );
    }

    fn chat(&mut self, peer: u64, text: &str) {
        self.act(peer, "chat", json!({"id": "x", "text": text}));
    }

    /// The data of the only message of this type that the socket was sent since the last look.
    fn told(&mut self, peer: u64, kind: &str) -> Value {
        let heard = self.heard(peer);
        let mut of_kind = heard.iter().filter(|message| message["type"] == kind);
        let told = of_kind.next().unwrap_or_else(|| panic!("{heard:?}"));
        assert!(of_kind.next().is_none(), "{heard:?}");
        told["data"].clone()
    }

    /// Ann is host, Bob and Cid are guests, Dee has the role of viewer, on sockets 1 to 4.
    fn with_everyone() -> Self {
        let mut table = Self::new();
        for (peer, name) in [(1, "Ann"), (2, "Bob"), (3, "Cid"), (4, "Dee")] {
            table.source = source(u8::try_from(peer).unwrap());
            table.join(peer, "tea", name);
        }
        let dee = table.id(4);
        table.act(1, "role", json!({"sessionId": dee, "role": "viewer"}));
        table.source = source(9);
        table.forget_all();
        table
    }

    fn forget_all(&mut self) {
        self.sent.clear();
        self.other.clear();
    }

    fn id(&self, peer: u64) -> String {
        self.sessions[&peer].to_string()
    }
}

fn cards() -> token::Tokens {
    token::Tokens::new(b"cards")
}

fn source(number: u8) -> Source {
    Source::of([192, 0, 2, number].into())
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
fn before_a_login_only_a_few_types_are_answered() {
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
        r#"{"type":"pong"}"#,
        r#"{"type":"from-the-future"}"#,
    ] {
        table.say(1, json);
        assert!(table.heard(1).is_empty(), "{json}");
    }
    table.say(1, r#"{"type":"ping"}"#);
    assert_eq!(table.heard_types(1), ["pong"]);
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
    let peer = PeerId::new(1);
    let message = FromPeer::parse(r#"{"type":"randomCheck","data":" \u00e9\/x "}"#).unwrap();
    table.rooms.handle(Event::Said { peer, message }, table.now);
    assert!(matches!(
        table.rooms.next_effect(),
        Some(Effect::LookUp { .. })
    ));
    let found = Ok(Found::NotKept);
    table
        .rooms
        .handle(Event::LookedUp { peer, found }, table.now);
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
    let back = table.heard(2);
    assert_eq!(back[1]["type"], "room");
    assert_ne!(
        back[0]["data"], bob,
        "what the old seat was given ends with it"
    );
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
    assert!(table.renewed(1).is_some());
}

#[test]
fn the_token_for_the_http_api_is_renewed_with_the_ice_servers() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join_seed(2, "tea", "Bob");
    let first = table.told(1, "room")["api"].as_str().unwrap().to_owned();
    let day = u64::try_from(API_TTL.as_millis()).unwrap();
    table.now.unix_ms += day - 1;
    let ann = table.sessions[&1];
    let good = |token: &str, at: u64| {
        let claims = cards().read(token, at)?;
        assert_eq!((claims.sid, claims.kind), (Some(ann), token::Kind::Member));
        Ok::<_, token::Error>(())
    };
    assert_eq!(good(&first, table.now.unix_ms), Ok(()));
    table.forget_all();
    table.act(1, "ice", json!({}));
    let grant = table.renewed(1).unwrap();
    assert_eq!(grant.ttl, API_TTL.as_secs());
    table.now.unix_ms += day - 1000;
    assert_eq!(good(&first, table.now.unix_ms), Err(token::Error::Expired));
    assert_eq!(good(&grant.token, table.now.unix_ms), Ok(()));
    // Whoever was given none does not get one here.
    table.act(2, "ice", json!({}));
    assert_eq!(table.renewed(2), None);
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
fn so_many_seats_are_kept_for_one_address_and_no_more() {
    let mut table = Table::new();
    let count = u64::try_from(AWAY_PER_SOURCE_MAX).unwrap();
    table.join(0, "tea", "Ann");
    table.gone(0, Departure::Broken);
    for peer in 1..=count {
        table.join(peer, &format!("room {peer}"), "Bob");
        table.gone(peer, Departure::Broken);
    }
    assert_eq!(table.rooms.census().seats, AWAY_PER_SOURCE_MAX);
    table.source = source(2);
    table.join(2000, "coffee", "Cid");
    table.gone(2000, Departure::Broken);
    assert_eq!(table.rooms.census().seats, AWAY_PER_SOURCE_MAX + 1);
    // Whoever comes back from elsewhere is away from there the next time.
    let token = table.resume[&0].clone();
    table.connect(2001, true);
    table.resume_as(2001, &token, None);
    table.gone(2001, Departure::Broken);
    assert_eq!(table.rooms.away_by_source[&source(2)], 2);
    table.pass(AWAY);
    assert_eq!(table.rooms.census().seats, 0);
    assert!(table.rooms.away_by_source.is_empty());
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
fn after_a_restart_a_token_older_than_any_stay_is_refused() {
    let day = Duration::from_secs(24 * 60 * 60);
    for (age, answer) in [
        (day, "joined"),
        (day + Duration::from_millis(1), "error"),
        (day * 7, "error"),
    ] {
        let mut table = Table::new();
        table.join(1, "tea", "Ann");
        let token = table.resume[&1].clone();
        table.pass(age);
        table.now.unix_ms += u64::try_from(age.as_millis()).unwrap();
        table.restart();
        table.connect(2, true);
        table.resume_as(2, &token, None);
        assert_eq!(table.heard(2)[0]["type"], answer, "{age:?}");
    }
    // While the server remembers the seat itself, a token may be as old as it likes.
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    let token = table.resume[&1].clone();
    table.now.unix_ms += u64::try_from((day * 7).as_millis()).unwrap();
    table.gone(1, Departure::Broken);
    table.connect(2, true);
    table.resume_as(2, &token, None);
    assert_eq!(table.heard_types(2), ["joined", "room"]);
}

#[test]
fn soon_after_a_start_whoever_has_left_is_not_taken_for_someone_from_before() {
    let mut table = Table::new();
    table.restart();
    table.join(1, "tea", "Ann");
    let token = table.resume[&1].clone();
    table.say(1, r#"{"type":"logout"}"#);
    table.forget_all();
    table.connect(2, true);
    table.resume_as(2, &token, None);
    assert_eq!(table.heard(2)[0]["data"]["errorType"], "resume");
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
fn whoever_says_too_much_ends_no_seat_and_costs_others_nothing() {
    let long = "c".repeat(60_000);
    for candidate in ["c", &long] {
        let mut table = Table::new();
        table.join(1, "tea", "Ann");
        table.join(2, "tea", "Bob");
        table.join(3, "tea", "Cid");
        let (cid, token) = (table.id(3), table.resume[&2].clone());
        table.gone(2, Departure::Broken);
        table.act(3, "offer", json!({"sdp": "first"}));
        // One alone, then six more, and one who comes again and again.
        let flood = json!({"candidate": candidate});
        for peer in 10..17 {
            table.join(peer, "tea", "Dan");
            for _ in 0..600 {
                table.act(peer, "candidate", flood.clone());
            }
        }
        for peer in 20..400 {
            table.act(16, "logout", json!({}));
            table.login(16, "tea", "Dan");
            table.act(16, "candidate", flood.clone());
            if peer % 100 == 0 {
                table.act(3, "answer", json!({"sdp": peer}));
            }
        }
        table.pass(AWAY - Duration::from_millis(1));
        table.forget_all();
        table.connect(500, true);
        table.resume_as(500, &token, None);
        let heard = table.heard(500);
        let missed = &heard[2..];
        assert!(missed.len() <= 512, "{}", missed.len());
        let bytes: usize = missed.iter().map(|message| message.to_string().len()).sum();
        assert!(bytes <= 1024 * 1024, "{bytes}");
        assert!(missed.len() > 10, "it is kept until there is too much");
        let from_cid: Vec<_> = missed
            .iter()
            .filter(|message| message["from"] == cid)
            .map(|message| message["data"]["sdp"].clone())
            .collect();
        assert_eq!(
            from_cid,
            [json!("first"), json!(100), json!(200), json!(300)]
        );
    }
}

#[test]
fn of_one_person_so_much_is_kept_for_someone_away() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    let token = table.resume[&2].clone();
    table.gone(2, Departure::Broken);
    for number in 0..600 {
        table.act(1, "candidate", json!({"candidate": number}));
    }
    table.forget_all();
    table.connect(3, true);
    table.resume_as(3, &token, None);
    let kept: Vec<_> = table.heard(3)[2..]
        .iter()
        .map(|message| message["data"]["candidate"].as_u64().unwrap())
        .collect();
    assert_eq!(kept, (0..128).collect::<Vec<_>>(), "the newest are dropped");
}

#[test]
fn only_hosts_act_on_the_room_and_on_others() {
    let mut table = Table::with_everyone();
    let (bob, cid) = (table.id(2), table.id(3));
    for (kind, data) in [
        ("lock", json!({"locked": true})),
        ("policy", json!({"chat": false})),
        ("role", json!({"sessionId": bob, "role": "host"})),
        ("mute", json!({"sessionId": cid, "kind": "mic"})),
        ("mute", json!({"sessionId": "*", "kind": "mic"})),
        ("unmute", json!({"sessionId": cid, "kind": "mic"})),
        ("kick", json!({"sessionId": cid})),
        ("kick", json!({"sessionId": cid, "ban": true})),
        ("admit", json!({"sessionId": cid})),
        ("deny", json!({"sessionId": cid})),
    ] {
        for peer in [2, 4] {
            table.act(peer, kind, data.clone());
            assert_eq!(table.refused(peer), "denied", "{kind}");
            assert!(
                table.sent.is_empty() && table.other.is_empty(),
                "{kind} disturbs others"
            );
        }
        table.connect(5, true);
        table.act(5, kind, data);
        assert_eq!(table.refused(5), "unauthorized", "{kind}");
    }
}

#[test]
fn a_locked_room_lets_nobody_else_in() {
    let mut table = Table::with_everyone();
    let token = table.resume[&2].clone();
    table.act(1, "lock", json!({"locked": true}));
    for peer in [1, 2, 3, 4] {
        assert_eq!(
            table.heard(peer),
            [json!({"type": "lock", "from": table.id(1), "to": "", "data": {"locked": true}})]
        );
    }
    table.join(5, "tea", "Eve");
    assert_eq!(table.refused(5), "locked");
    table.gone(2, Departure::Broken);
    table.forget_all();
    table.connect(6, true);
    table.resume_as(6, &token, None);
    let back = table.heard(6);
    assert_eq!(back[0]["type"], "joined", "a seat is not lost by a lock");
    assert_eq!(back[1]["data"]["room"]["locked"], true);
    table.act(1, "lock", json!({"locked": false}));
    table.forget_all();
    table.login(5, "tea", "Eve");
    assert_eq!(table.heard_types(5), ["joined", "room"]);
}

#[test]
fn moving_to_a_locked_room_keeps_the_old_seat() {
    let mut table = Table::with_everyone();
    table.join(5, "coffee", "Eve");
    table.act(1, "lock", json!({"locked": true}));
    table.forget_all();
    table.login(5, "tea", "Eve");
    assert_eq!(table.refused(5), "locked");
    table.chat(5, "still here");
    assert_eq!(table.heard_types(5), ["chat"]);
}

#[test]
fn a_role_is_given_by_a_host_and_told_to_all() {
    let mut table = Table::with_everyone();
    let (ann, bob) = (table.id(1), table.id(2));
    table.act(1, "role", json!({"sessionId": bob, "role": "host"}));
    let told = json!({"type": "role", "from": ann, "to": "",
                      "data": {"sessionId": bob, "role": "host"}});
    for peer in [1, 2, 3, 4] {
        assert_eq!(table.heard(peer), std::slice::from_ref(&told));
    }
    table.act(2, "role", json!({"sessionId": ann, "role": "guest"}));
    table.forget_all();
    table.act(1, "lock", json!({"locked": true}));
    assert_eq!(table.refused(1), "denied", "the role was taken away");
    table.act(2, "role", json!({"sessionId": bob, "role": "guest"}));
    assert_eq!(table.refused(2), "denied", "a room needs a host");
    table.act(
        2,
        "role",
        json!({"sessionId": SessionId::random(), "role": "guest"}),
    );
    assert_eq!(table.refused(2), "notfound");
    table.join(5, "tea", "Eve");
    let people = &table.heard(5)[1]["data"]["participants"];
    let roles: Vec<_> = (0..4).map(|n| people[n]["role"].clone()).collect();
    assert_eq!(roles, ["guest", "host", "guest", "viewer"]);
}

#[test]
fn the_role_that_passes_by_itself_is_told_to_all() {
    let mut table = Table::with_everyone();
    let bob = table.id(2);
    table.act(1, "logout", json!({}));
    for peer in [2, 3, 4] {
        let heard = table.heard(peer);
        assert_eq!(heard[0]["type"], "logout");
        assert_eq!(
            heard[1],
            json!({"type": "role", "to": "", "data": {"sessionId": bob, "role": "host"}})
        );
        assert_eq!(heard.len(), 2);
    }
    table.act(2, "lock", json!({"locked": true}));
    assert_eq!(table.heard_types(3), ["lock"]);
}

#[test]
fn a_viewer_becomes_host_only_if_nobody_else_is_left() {
    let mut table = Table::with_everyone();
    let dee = table.id(4);
    for peer in [1, 2, 3] {
        table.act(peer, "logout", json!({}));
    }
    let heard = table.heard(4);
    assert_eq!(heard.last().unwrap()["data"]["sessionId"], dee);
    let roles = heard.iter().filter(|message| message["type"] == "role");
    assert_eq!(roles.count(), 3, "Bob, then Cid, then Dee");
}

#[test]
fn a_viewer_shows_nothing_and_may_write() {
    let mut table = Table::with_everyone();
    table.act(
        4,
        "status",
        json!({"mic": true, "camera": true, "screen": true, "hand": true,
                                  "streams": {"s": "camera"}}),
    );
    assert_eq!(table.refused(4), "denied");
    assert_eq!(
        table.told(1, "status"),
        json!({"mic": false, "camera": false, "screen": false, "hand": true, "streams": {}})
    );
    table.act(4, "status", json!({"hand": false}));
    assert!(table.heard(4).is_empty(), "that is allowed");
    table.forget_all();
    table.chat(4, "a question");
    assert_eq!(table.heard_types(1), ["chat"]);
}

#[test]
fn whoever_becomes_a_viewer_stops_showing() {
    let mut table = Table::with_everyone();
    let bob = table.id(2);
    table.act(2, "status", json!({"mic": true, "camera": true}));
    table.forget_all();
    table.act(1, "role", json!({"sessionId": bob, "role": "viewer"}));
    let heard = table.heard(3);
    assert_eq!(heard[0]["type"], "role");
    assert_eq!(heard[1]["from"], bob);
    assert_eq!(heard[1]["data"]["mic"], false);
    assert_eq!(heard[1]["data"]["camera"], false);
}

#[test]
fn a_policy_is_told_in_full_and_shown_to_newcomers() {
    let mut table = Table::with_everyone();
    table.act(1, "policy", json!({"chat": false, "waitingRoom": false}));
    let policy = json!({"chat": false, "files": true, "screen": true, "unmute": true,
                        "waitingRoom": false});
    for peer in [1, 2, 3, 4] {
        assert_eq!(
            table.heard(peer),
            [json!({"type": "policy", "from": table.id(1), "to": "", "data": policy})]
        );
    }
    table.join(5, "tea", "Eve");
    assert_eq!(table.heard(5)[1]["data"]["room"]["policy"], policy);
}

#[test]
fn with_the_chat_off_only_hosts_write() {
    let mut table = Table::with_everyone();
    table.chat(2, "mine");
    table.act(1, "policy", json!({"chat": false}));
    table.forget_all();
    for (kind, data) in [
        ("chat", json!({"id": "1", "text": "x"})),
        ("chat-edit", json!({"seq": 1, "text": "x"})),
        ("react", json!({"seq": 1, "emoji": "x"})),
    ] {
        for peer in [2, 4] {
            table.act(peer, kind, data.clone());
            assert_eq!(table.refused(peer), "denied", "{kind}");
            assert!(table.sent.is_empty(), "{kind} disturbs others");
        }
    }
    table.act(2, "typing", json!({}));
    assert!(table.sent.is_empty(), "nobody waits for what cannot come");
    table.act(2, "chat-delete", json!({"seq": 1}));
    assert_eq!(table.heard_types(2), ["chat-delete"]);
    table.forget_all();
    table.chat(1, "from the host");
    for peer in [1, 2, 3, 4] {
        assert_eq!(table.heard_types(peer), ["chat"]);
    }
}

#[test]
fn with_screens_off_guests_share_none() {
    let mut table = Table::with_everyone();
    let sharing = json!({"mic": true, "screen": true,
                         "streams": {"a": "camera", "b": "screen"}});
    table.act(1, "status", sharing.clone());
    table.act(2, "status", sharing.clone());
    table.forget_all();
    table.act(1, "policy", json!({"screen": false}));
    let bob = table.heard(2);
    assert_eq!(bob[0]["type"], "policy");
    assert_eq!(bob[1]["type"], "mute", "whoever shares is told to stop");
    assert_eq!(bob[1]["data"], json!({"by": table.id(1), "kind": "screen"}));
    assert_eq!(bob.len(), 2, "the host goes on sharing");
    let without = json!({"mic": true, "camera": false, "screen": false, "hand": false,
                         "streams": {"a": "camera"}});
    assert_eq!(table.told(3, "status"), without);
    table.forget_all();
    table.act(2, "status", sharing.clone());
    assert_eq!(table.refused(2), "denied");
    assert_eq!(table.told(3, "status"), without, "the rest of it counts");
    table.forget_all();
    table.act(1, "status", sharing);
    assert!(table.heard(1).is_empty());
    assert_eq!(table.told(3, "status")["screen"], true);
}

#[test]
fn a_host_mutes_one() {
    let mut table = Table::with_everyone();
    let (ann, bob) = (table.id(1), table.id(2));
    table.act(2, "status", json!({"mic": true, "camera": true}));
    table.forget_all();
    table.act(1, "mute", json!({"sessionId": bob, "kind": "mic"}));
    assert_eq!(
        table.heard(2),
        [json!({"type": "mute", "from": ann, "to": bob, "data": {"by": ann, "kind": "mic"}})]
    );
    for peer in [1, 3, 4] {
        let heard = table.heard(peer);
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0]["from"], bob);
        assert_eq!(heard[0]["data"]["mic"], false, "others stop playing");
        assert_eq!(heard[0]["data"]["camera"], true);
    }
    table.act(2, "status", json!({"mic": true}));
    assert!(table.heard(2).is_empty(), "people may unmute themselves");
    assert_eq!(table.told(3, "status")["mic"], true);
}

#[test]
fn a_host_mutes_everyone_but_hosts() {
    let mut table = Table::with_everyone();
    let cid = table.id(3);
    table.act(1, "role", json!({"sessionId": cid, "role": "host"}));
    for peer in [1, 2, 3] {
        table.act(peer, "status", json!({"mic": true}));
    }
    table.forget_all();
    table.act(1, "mute", json!({"sessionId": "*", "kind": "mic"}));
    assert_eq!(table.heard_types(2), ["mute"]);
    assert_eq!(table.heard_types(1), ["status"]);
    assert_eq!(table.heard_types(3), ["status"]);
    table.act(1, "mute", json!({"sessionId": "*", "kind": "mic"}));
    assert!(table.heard(3).is_empty(), "nothing has changed");
}

#[test]
fn muting_nobody_and_muting_a_seed_client_are_refused() {
    let mut table = Table::with_everyone();
    table.join_seed(5, "tea", "Old");
    let old = table.id(5);
    table.forget_all();
    table.act(
        1,
        "mute",
        json!({"sessionId": SessionId::random(), "kind": "mic"}),
    );
    assert_eq!(table.refused(1), "notfound");
    table.act(1, "mute", json!({"sessionId": old, "kind": "mic"}));
    assert_eq!(table.refused(1), "denied");
    table.act(1, "mute", json!({"sessionId": "*", "kind": "mic"}));
    assert!(table.heard(5).is_empty());
}

#[test]
fn without_unmuting_a_microphone_that_is_off_stays_off_until_asked_for() {
    let mut table = Table::with_everyone();
    let (bob, cid) = (table.id(2), table.id(3));
    table.act(2, "status", json!({"mic": true}));
    table.act(1, "policy", json!({"unmute": false}));
    table.forget_all();
    table.act(2, "status", json!({"mic": true, "hand": true}));
    assert!(table.heard(2).is_empty(), "who speaks may go on");
    table.act(3, "status", json!({"mic": true, "camera": true}));
    let refused = table.heard(3);
    assert_eq!(refused.last().unwrap()["data"]["errorType"], "denied");
    assert_eq!(table.heard(2)[0]["data"]["mic"], false);
    table.act(2, "status", json!({"mic": false}));
    table.forget_all();
    table.act(2, "status", json!({"mic": true}));
    assert_eq!(table.refused(2), "denied", "once off it is off");

    table.act(1, "unmute", json!({"sessionId": cid, "kind": "mic"}));
    assert_eq!(
        table.told(3, "unmute"),
        json!({"by": table.id(1), "kind": "mic"})
    );
    table.forget_all();
    table.act(3, "status", json!({"mic": true}));
    assert!(table.heard(3).is_empty(), "the host has asked");
    assert_eq!(table.told(2, "status")["mic"], true);
    table.act(3, "status", json!({"mic": false}));
    table.act(3, "status", json!({"mic": true}));
    assert_eq!(table.refused(3), "denied", "asked once, allowed once");

    table.act(1, "mute", json!({"sessionId": bob, "kind": "camera"}));
    table.forget_all();
    table.act(2, "status", json!({"camera": true}));
    assert_eq!(table.refused(2), "denied", "a host has turned it off");
    table.act(1, "policy", json!({"unmute": true}));
    table.forget_all();
    table.act(2, "status", json!({"mic": true, "camera": true}));
    assert!(table.heard(2).is_empty());
}

#[test]
fn viewers_are_not_asked_to_unmute() {
    let mut table = Table::with_everyone();
    let dee = table.id(4);
    table.act(1, "unmute", json!({"sessionId": dee, "kind": "mic"}));
    assert_eq!(table.refused(1), "denied");
    table.act(1, "unmute", json!({"sessionId": "*", "kind": "mic"}));
    assert!(table.heard(4).is_empty());
    assert_eq!(table.heard_types(2), ["unmute"]);
}

#[test]
fn a_removed_person_is_told_why_and_may_come_again() {
    let mut table = Table::with_everyone();
    let bob = table.id(2);
    table.act(1, "kick", json!({"sessionId": bob}));
    assert_eq!(table.refused(2), "kicked");
    assert_eq!(
        table.other,
        [
            Effect::Remove(PeerId::new(2)),
            Effect::SeatEnded(bob.parse().unwrap())
        ],
        "closed, and the credentials end"
    );
    for peer in [1, 3, 4] {
        assert_eq!(table.heard_types(peer), ["logout"]);
    }
    table.chat(2, "I am still here");
    table.gone(2, Departure::Left);
    assert!(table.sent.is_empty(), "the socket speaks for nobody");
    table.source = source(2);
    table.join(5, "tea", "Bob");
    assert_eq!(table.heard_types(5), ["joined", "room"]);
}

#[test]
fn whoever_is_thrown_out_leaves_no_seat_behind_elsewhere() {
    let mut table = Table::with_everyone();
    let token = table.resume[&2].clone();
    let bob = table.id(2);
    table.gone(2, Departure::Broken);
    table.act(1, "kick", json!({"sessionId": bob}));
    table.join(5, "coffee", "Bob");
    let elsewhere = table.id(5);
    table.forget_all();
    table.resume_as(5, &token, None);
    assert_eq!(table.refused(5), "kicked");
    assert_eq!(
        table.other,
        [
            Effect::Remove(PeerId::new(5)),
            Effect::SeatEnded(elsewhere.parse().unwrap())
        ]
    );
    table.gone(5, Departure::Left);
    assert_eq!(table.rooms.census().rooms, 1, "coffee is no more");
}

#[test]
fn a_ban_holds_by_session_and_address_until_the_room_ends() {
    let mut table = Table::with_everyone();
    let bob = table.id(2);
    let token = table.resume[&2].clone();
    table.act(1, "kick", json!({"sessionId": bob, "ban": true}));
    assert_eq!(table.refused(2), "banned");
    table.forget_all();
    table.source = source(2);
    table.join(5, "tea", "Not Bob");
    assert_eq!(table.refused(5), "banned");
    table.login(5, "coffee", "Bob");
    assert_eq!(
        table.heard_types(5),
        ["joined", "room"],
        "elsewhere is elsewhere"
    );
    table.source = source(7);
    table.connect(6, true);
    table.resume_as(6, &token, None);
    assert_eq!(table.refused(6), "banned", "by session");
    assert!(table.other.contains(&Effect::Remove(PeerId::new(6))));
    table.join(7, "tea", "Eve");
    assert_eq!(table.heard_types(7), ["joined", "room"], "others come in");
    for peer in [1, 3, 4, 7] {
        table.act(peer, "logout", json!({}));
    }
    table.source = source(2);
    table.join(8, "tea", "Bob");
    assert_eq!(
        table.heard_types(8),
        ["joined", "room"],
        "another room by that name"
    );
}

#[test]
fn a_ban_does_not_unseat_others_at_the_same_address() {
    let mut table = Table::with_everyone();
    table.source = source(2);
    table.join(5, "tea", "Eve");
    let (bob, token) = (table.id(2), table.resume[&5].clone());
    table.act(1, "kick", json!({"sessionId": bob, "ban": true}));
    table.gone(5, Departure::Broken);
    table.forget_all();
    table.connect(6, true);
    table.resume_as(6, &token, None);
    assert_eq!(table.heard_types(6), ["joined", "room"]);
}

#[test]
fn someone_away_is_removed_as_well() {
    let mut table = Table::with_everyone();
    let (bob, token) = (table.id(2), table.resume[&2].clone());
    table.gone(2, Departure::Broken);
    table.forget_all();
    table.act(1, "kick", json!({"sessionId": bob}));
    assert_eq!(table.heard_types(3), ["logout"]);
    assert_eq!(table.other, [Effect::SeatEnded(bob.parse().unwrap())]);
    table.connect(5, true);
    table.resume_as(5, &token, None);
    assert_eq!(
        table.refused(5),
        "kicked",
        "or a page would be back unasked"
    );
    assert!(table.other.contains(&Effect::Remove(PeerId::new(5))));
    table.connect(6, true);
    table.resume_as(6, &token, None);
    assert_eq!(table.refused(6), "resume", "who knows may come again");
    table.login(6, "tea", "Bob");
    assert_eq!(table.heard_types(6), ["joined", "room"]);
    assert_eq!(table.rooms.next_deadline(), None);
}

#[test]
fn nobody_removes_oneself_or_somebody_who_is_not_there() {
    let mut table = Table::with_everyone();
    table.join(5, "coffee", "Eve");
    let (ann, eve) = (table.id(1), table.id(5));
    table.forget_all();
    table.act(1, "kick", json!({"sessionId": ann}));
    assert_eq!(table.refused(1), "invalid");
    table.act(1, "kick", json!({"sessionId": eve, "ban": true}));
    assert_eq!(table.refused(1), "notfound");
    assert!(table.sent.is_empty() && table.other.is_empty());
}

/// A room with a waiting room, and Eve at its door on socket 5.
fn with_someone_waiting() -> Table {
    let mut table = Table::with_everyone();
    table.act(1, "policy", json!({"waitingRoom": true}));
    table.forget_all();
    table.join(5, "tea", "Eve");
    table
}

#[test]
fn a_newcomer_waits_and_only_hosts_hear_of_it() {
    let mut table = with_someone_waiting();
    let eve = table.id(5);
    assert_eq!(table.heard(5), [json!({"type": "waiting", "data": {}})]);
    assert_eq!(
        table.heard(1),
        [json!({"type": "knock", "data": {"sessionId": eve, "username": "Eve"}})]
    );
    assert!(table.sent.is_empty() && table.other.is_empty());
    assert_eq!(table.rooms.census().seats, 4, "no seat, no credentials");
    table.act(5, "ice", json!({}));
    assert_eq!(table.refused(5), "unauthorized");
    table.chat(1, "secret");
    assert!(table.heard(5).is_empty());
    table.forget_all();
    table.login(5, "tea", "Eve");
    assert_eq!(table.heard_types(5), ["waiting"]);
    assert!(table.heard(1).is_empty(), "asked twice, knocked once");
}

#[test]
fn a_host_lets_someone_in() {
    let mut table = with_someone_waiting();
    let eve = table.id(5);
    table.forget_all();
    table.act(1, "admit", json!({"sessionId": eve}));
    assert_eq!(table.heard_types(5), ["joined", "room"]);
    assert_eq!(table.other, [Effect::SeatTaken(eve.parse().unwrap())]);
    for peer in [1, 2, 3, 4] {
        assert_eq!(table.heard_types(peer), ["login"]);
    }
    table.act(1, "admit", json!({"sessionId": eve}));
    assert_eq!(table.refused(1), "notfound", "nobody is let in twice");
    assert_eq!(table.rooms.census().seats, 5);
}

#[test]
fn a_host_turns_someone_away() {
    let mut table = with_someone_waiting();
    let (bob, eve) = (table.id(2), table.id(5));
    table.act(1, "role", json!({"sessionId": bob, "role": "host"}));
    table.forget_all();
    table.act(1, "deny", json!({"sessionId": eve}));
    assert_eq!(table.refused(5), "denied");
    let left = json!({"type": "logout", "data": {"username": "Eve", "sessionId": eve}});
    assert_eq!(table.heard(1), std::slice::from_ref(&left));
    assert_eq!(table.heard(2), [left]);
    assert!(table.sent.is_empty(), "guests never heard of it");
    table.act(2, "admit", json!({"sessionId": eve}));
    assert_eq!(table.refused(2), "notfound");
    table.login(5, "tea", "Eve");
    assert_eq!(table.heard_types(5), ["waiting"], "one may ask again");
}

#[test]
fn knocking_again_and_again_is_refused() {
    let mut table = with_someone_waiting();
    let eve = table.id(5);
    for _ in 0..4 {
        table.act(1, "deny", json!({"sessionId": eve}));
        table.login(5, "tea", "Eve");
    }
    table.act(1, "deny", json!({"sessionId": eve}));
    table.forget_all();
    table.login(5, "tea", "Eve");
    assert_eq!(table.refused(5), "rate");
    assert!(table.heard(1).is_empty());
    table.pass(Duration::from_secs(10));
    table.login(5, "tea", "Eve");
    assert_eq!(table.heard_types(5), ["waiting"]);
}

#[test]
fn whoever_stops_waiting_is_forgotten_and_hosts_are_told() {
    for leave in [
        |table: &mut Table| table.gone(5, Departure::Broken),
        |table: &mut Table| table.act(5, "logout", json!({})),
        |table: &mut Table| table.login(5, "coffee", "Eve"),
    ] {
        let mut table = with_someone_waiting();
        let eve = table.id(5);
        table.forget_all();
        leave(&mut table);
        assert_eq!(table.told(1, "logout")["sessionId"], eve);
        assert!(table.heard(2).is_empty());
        table.act(1, "admit", json!({"sessionId": eve}));
        assert_eq!(table.refused(1), "notfound");
    }
}

#[test]
fn a_host_who_comes_later_learns_who_waits() {
    let mut table = with_someone_waiting();
    let (bob, eve) = (table.id(2), table.id(5));
    let knock = json!({"type": "knock", "data": {"sessionId": eve, "username": "Eve"}});
    table.forget_all();
    table.act(1, "role", json!({"sessionId": bob, "role": "host"}));
    let heard = table.heard(2);
    assert_eq!(heard[0]["type"], "role");
    assert_eq!(heard[1], knock);
    let token = table.resume[&2].clone();
    table.gone(2, Departure::Broken);
    table.connect(6, true);
    table.resume_as(6, &token, None);
    let heard = table.heard(6);
    let knocks = heard.iter().filter(|message| **message == knock).count();
    assert_eq!(knocks, 1, "a host who is back, too: {heard:?}");
    table.gone(6, Departure::Left);
    table.forget_all();
    let cid = table.id(3);
    table.act(1, "logout", json!({}));
    let heard = table.heard(3);
    assert_eq!(heard[1]["data"]["sessionId"], cid);
    assert_eq!(heard[2], knock, "and whoever the role passes to");
}

#[test]
fn without_a_waiting_room_everyone_comes_in() {
    let mut table = Table::with_capacity(3);
    table.join(1, "tea", "Ann");
    table.act(1, "policy", json!({"waitingRoom": true}));
    for (peer, name) in [(2, "Bob"), (3, "Cid"), (4, "Dee")] {
        table.join(peer, "tea", name);
    }
    table.forget_all();
    table.act(1, "policy", json!({"waitingRoom": false}));
    assert_eq!(table.heard_types(2), ["joined", "room", "login"]);
    assert_eq!(table.heard_types(3), ["joined", "room"]);
    assert_eq!(table.refused(4), "full");
    assert_eq!(table.rooms.census().seats, 3);
}

#[test]
fn nobody_is_let_into_a_room_that_is_full() {
    let mut table = Table::with_capacity(2);
    table.join(1, "tea", "Ann");
    table.act(1, "policy", json!({"waitingRoom": true}));
    table.join(2, "tea", "Bob");
    table.join(3, "tea", "Cid");
    let (bob, cid) = (table.id(2), table.id(3));
    table.act(1, "admit", json!({"sessionId": bob}));
    table.forget_all();
    table.act(1, "admit", json!({"sessionId": cid}));
    assert_eq!(table.refused(1), "full");
    assert!(table.heard(3).is_empty(), "and goes on waiting");
    table.join(4, "tea", "Dee");
    assert_eq!(table.refused(4), "full");
    table.act(2, "logout", json!({}));
    table.forget_all();
    table.act(1, "admit", json!({"sessionId": cid}));
    assert_eq!(table.heard_types(3), ["joined", "room"]);
}

#[test]
fn the_door_holds_so_many_and_not_all_from_one_address() {
    let mut table = Table::with_capacity(1000);
    table.join(1, "tea", "Ann");
    table.act(1, "policy", json!({"waitingRoom": true}));
    for peer in 0..30 {
        table.join(100 + peer, "tea", "Crowd");
    }
    table.join(2, "tea", "Crowd");
    assert_eq!(table.refused(2), "full");
    for peer in 0..70 {
        table.source = source(u8::try_from(100 + peer).unwrap());
        table.join(200 + peer, "tea", "Many");
        assert_eq!(table.heard_types(200 + peer), ["waiting"]);
    }
    table.source = source(99);
    table.join(3, "tea", "One more");
    assert_eq!(table.refused(3), "full");
    table.gone(100, Departure::Broken);
    table.login(3, "tea", "One more");
    assert_eq!(table.heard_types(3), ["waiting"]);
}

#[test]
fn when_everyone_has_left_nobody_waits() {
    let mut table = with_someone_waiting();
    table.forget_all();
    for peer in [1, 2, 3, 4] {
        table.act(peer, "logout", json!({}));
    }
    assert_eq!(table.refused(5), "denied");
    table.login(5, "tea", "Eve");
    assert_eq!(
        table.heard_types(5),
        ["joined", "room"],
        "a room of one's own"
    );
}

#[test]
fn someone_waiting_can_be_banned() {
    let mut table = with_someone_waiting();
    let eve = table.id(5);
    table.forget_all();
    table.act(1, "kick", json!({"sessionId": eve, "ban": true}));
    assert_eq!(table.refused(5), "banned");
    assert_eq!(table.other, [Effect::Remove(PeerId::new(5))]);
    assert_eq!(table.heard_types(1), ["logout"]);
    table.join(6, "tea", "Eve");
    assert_eq!(table.refused(6), "banned");
}

#[test]
fn waiting_elsewhere_gives_up_the_seat_here() {
    let mut table = with_someone_waiting();
    table.join(6, "coffee", "Fay");
    table.join(7, "coffee", "Gus");
    table.forget_all();
    table.login(6, "tea", "Fay");
    assert_eq!(table.heard_types(6), ["waiting"]);
    let heard = table.heard_types(7);
    assert_eq!(heard, ["logout", "role"]);
}

#[test]
fn whoever_wrote_a_message_may_change_it() {
    let mut table = Table::with_everyone();
    table.chat(2, "helo");
    table.forget_all();
    table.act(2, "chat-edit", json!({"seq": 1, "text": " hello\u{7} "}));
    let told = json!({"type": "chat-edit", "from": table.id(2), "to": "",
                      "data": {"seq": 1, "text": "hello", "edited": 1_000_000}});
    for peer in [1, 2, 3, 4] {
        assert_eq!(table.heard(peer), std::slice::from_ref(&told));
    }
    for peer in [1, 3] {
        table.act(peer, "chat-edit", json!({"seq": 1, "text": "mine"}));
        assert_eq!(
            table.refused(peer),
            "denied",
            "nobody else, not even a host"
        );
    }
    table.act(2, "chat-edit", json!({"seq": 2, "text": "x"}));
    assert_eq!(table.refused(2), "notfound");
    assert!(table.sent.is_empty());
    table.act(3, "history", json!({"limit": 10}));
    let entry = &table.told(3, "history")["messages"][0];
    assert_eq!(entry["text"], "hello");
    assert_eq!(entry["edited"], 1_000_000);
}

#[test]
fn whoever_wrote_a_message_or_a_host_may_take_it_back() {
    let mut table = Table::with_everyone();
    table.chat(2, "one");
    table.chat(2, "two");
    table.act(3, "react", json!({"seq": 2, "emoji": "x"}));
    table.act(2, "chat-edit", json!({"seq": 2, "text": "too"}));
    table.forget_all();
    table.act(3, "chat-delete", json!({"seq": 1}));
    assert_eq!(table.refused(3), "denied");
    table.act(2, "chat-delete", json!({"seq": 1}));
    table.act(1, "chat-delete", json!({"seq": 2}));
    let heard = table.heard(3);
    assert_eq!(heard[0]["data"], json!({"seq": 1}));
    assert_eq!(heard[1]["from"], table.id(1), "by the host");
    for kind in ["chat-delete", "chat-edit", "react"] {
        table.forget_all();
        table.act(2, kind, json!({"seq": 1, "text": "x", "emoji": "x"}));
        assert_eq!(table.refused(2), "notfound", "gone is gone");
    }
    table.act(4, "history", json!({"limit": 10}));
    for entry in table.told(4, "history")["messages"].as_array().unwrap() {
        assert_eq!(entry["deleted"], true);
        assert_eq!(entry["text"], "");
        assert!(entry.get("reactions").is_none());
        assert!(entry.get("edited").is_none());
    }
}

#[test]
fn what_is_private_stays_private() {
    let mut table = Table::with_everyone();
    let cid = table.id(3);
    table.act(2, "chat", json!({"id": "p", "text": "psst", "to": cid}));
    table.forget_all();
    table.act(2, "chat-edit", json!({"seq": 1, "text": "pssst"}));
    table.act(3, "react", json!({"seq": 1, "emoji": "x"}));
    assert_eq!(table.heard_types(2), ["chat-edit", "react"]);
    assert_eq!(table.heard_types(3), ["chat-edit", "react"]);
    assert!(table.sent.is_empty());
    for (kind, data) in [
        ("chat-delete", json!({"seq": 1})),
        ("react", json!({"seq": 1, "emoji": "x"})),
    ] {
        table.act(1, kind, data);
        assert_eq!(table.refused(1), "notfound", "hosts know nothing of it");
    }
    table.act(1, "history", json!({"limit": 10}));
    assert_eq!(
        table.told(1, "history"),
        json!({"messages": [], "more": false})
    );
    table.act(3, "history", json!({"limit": 10}));
    assert_eq!(table.told(3, "history")["messages"][0]["text"], "pssst");
}

#[test]
fn signs_are_put_once_and_taken_away_again() {
    let mut table = Table::with_everyone();
    table.chat(1, "cake?");
    table.forget_all();
    let (bob, cid) = (table.id(2), table.id(3));
    table.act(2, "react", json!({"seq": 1, "emoji": "🍰"}));
    assert_eq!(
        table.heard(1),
        [json!({"type": "react", "from": bob, "to": "", "data": {"seq": 1, "emoji": "🍰"}})]
    );
    table.forget_all();
    table.act(2, "react", json!({"seq": 1, "emoji": "🍰"}));
    assert!(table.sent.is_empty(), "twice is once");
    table.act(3, "react", json!({"seq": 1, "emoji": "🍰"}));
    table.act(3, "react", json!({"seq": 1, "emoji": "☕"}));
    table.act(2, "history", json!({"limit": 1}));
    assert_eq!(
        table.heard(2).last().unwrap()["data"]["messages"][0]["reactions"],
        json!([{"emoji": "🍰", "sessionIds": [bob, cid]}, {"emoji": "☕", "sessionIds": [cid]}])
    );
    table.forget_all();
    table.act(3, "react", json!({"seq": 1, "emoji": "☕", "on": false}));
    assert_eq!(
        table.told(1, "react"),
        json!({"seq": 1, "emoji": "☕", "on": false})
    );
    table.forget_all();
    table.act(3, "react", json!({"seq": 1, "emoji": "☕", "on": false}));
    assert!(table.sent.is_empty());
}

#[test]
fn a_message_bears_so_many_signs() {
    let mut table = Table::with_everyone();
    table.chat(1, "cake?");
    for sign in 0..20 {
        table.act(2, "react", json!({"seq": 1, "emoji": sign.to_string()}));
    }
    table.forget_all();
    table.act(2, "react", json!({"seq": 1, "emoji": "one more"}));
    assert_eq!(table.refused(2), "denied");
    assert!(table.sent.is_empty());
    table.act(3, "react", json!({"seq": 1, "emoji": "7"}));
    assert_eq!(table.heard_types(1), ["react"]);
}

#[test]
fn writing_and_reading_are_told_to_whoever_is_here() {
    let mut table = Table::with_everyone();
    table.chat(1, "one");
    table.chat(1, "two");
    let token = table.resume[&3].clone();
    table.gone(3, Departure::Broken);
    table.forget_all();
    let (bob, dee) = (table.id(2), table.id(4));
    table.act(2, "typing", json!({}));
    let typing = json!({"type": "typing", "from": bob, "to": "", "data": {}});
    assert_eq!(table.heard(1), std::slice::from_ref(&typing));
    assert_eq!(table.heard(4), [typing]);
    table.say(2, &format!(r#"{{"type":"typing","to":"{dee}"}}"#));
    assert_eq!(table.heard_types(4), ["typing"]);
    assert!(table.heard(1).is_empty(), "only for the one");
    table.act(2, "read", json!({"seq": 2}));
    table.act(2, "read", json!({"seq": 1}));
    assert_eq!(
        table.heard(1),
        [json!({"type": "read", "from": bob, "to": "", "data": {"seq": 2}})],
        "nobody unreads"
    );
    table.act(2, "read", json!({"seq": 3}));
    assert_eq!(table.refused(2), "notfound");
    table.connect(5, true);
    table.resume_as(5, &token, Some(2));
    let back = table.heard(5);
    assert_eq!(back.len(), 2, "signs that pass are not kept: {back:?}");
    assert_eq!(back[1]["data"]["participants"][1]["read"], 2);
}

#[test]
fn history_pages_backwards() {
    let mut table = Table::with_everyone();
    for number in 1..=7 {
        table.chat(1, &number.to_string());
    }
    table.forget_all();
    let page = |table: &mut Table, query: Value| {
        table.act(2, "history", query);
        let page = table.told(2, "history");
        let texts: Vec<_> = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["text"].as_str().unwrap().to_owned())
            .collect();
        (texts.join(""), page["more"].as_bool().unwrap())
    };
    assert_eq!(page(&mut table, json!({"limit": 3})), ("567".into(), true));
    assert_eq!(
        page(&mut table, json!({"before": 5, "limit": 3})),
        ("234".into(), true)
    );
    assert_eq!(
        page(&mut table, json!({"before": 2, "limit": 3})),
        ("1".into(), false)
    );
    assert_eq!(
        page(&mut table, json!({"before": 1, "limit": 3})),
        (String::new(), false)
    );
    assert_eq!(
        page(&mut table, json!({"limit": 100_000})),
        ("1234567".into(), false)
    );
    assert!(table.sent.is_empty(), "only the asker is answered");
}

#[test]
fn a_page_of_history_is_bounded_and_so_is_asking() {
    let mut table = Table::with_everyone();
    let long = "x".repeat(4096);
    for _ in 0..60 {
        table.chat(1, &long);
    }
    table.forget_all();
    table.act(2, "history", json!({"limit": 100}));
    let page = table.told(2, "history");
    assert_eq!(page["messages"].as_array().unwrap().len(), 32);
    assert_eq!(page["more"], true);
    for _ in 0..19 {
        table.act(2, "history", json!({"limit": 1}));
    }
    table.forget_all();
    table.act(2, "history", json!({"limit": 1}));
    assert_eq!(table.refused(2), "rate");
    table.act(2, "logout", json!({}));
    table.login(2, "tea", "Bob");
    table.forget_all();
    table.act(2, "history", json!({"limit": 1}));
    assert_eq!(table.refused(2), "rate", "nor with another seat");
    table.act(3, "history", json!({"limit": 1}));
    assert_eq!(table.heard_types(3), ["history"], "others are undisturbed");
    table.pass(Duration::from_secs(1));
    table.act(2, "history", json!({"limit": 1}));
    assert_eq!(table.heard_types(2), ["history"]);
}

#[test]
fn whether_newcomers_see_what_was_written_before_is_a_setting() {
    for history in [true, false] {
        let mut table = Table::with(Settings {
            history,
            ..Settings::default()
        });
        table.join(1, "tea", "Ann");
        table.chat(1, "before");
        table.join(2, "tea", "Bob");
        table.chat(1, "after");
        table.forget_all();
        table.act(2, "history", json!({"limit": 10}));
        let page = table.told(2, "history");
        let seen = page["messages"].as_array().unwrap().len();
        assert_eq!(seen, if history { 2 } else { 1 });
        assert_eq!(page["more"], false);
        table.act(2, "react", json!({"seq": 1, "emoji": "x"}));
        let answer = &table.heard(2)[0];
        assert_eq!(answer["type"], if history { "react" } else { "error" });
        table.act(1, "history", json!({"limit": 10}));
        let heard = table.heard(1);
        let page = &heard.last().unwrap()["data"]["messages"];
        assert_eq!(page.as_array().unwrap().len(), 2, "who was there reads all");
    }
}

#[test]
fn whoever_comes_back_learns_what_became_of_messages_already_seen() {
    let mut table = Table::with_everyone();
    for text in ["same", "edited", "deleted"] {
        table.chat(1, text);
    }
    let token = table.resume[&2].clone();
    table.gone(2, Departure::Broken);
    table.act(1, "chat-edit", json!({"seq": 2, "text": "better"}));
    table.act(1, "chat-delete", json!({"seq": 3}));
    table.chat(1, "new");
    table.chat(1, "new and gone");
    table.act(1, "chat-delete", json!({"seq": 5}));
    table.forget_all();
    table.connect(5, true);
    table.resume_as(5, &token, Some(3));
    let told: Vec<_> = table.heard(5)[2..]
        .iter()
        .map(|message| {
            assert_eq!(message["type"], "chat");
            let data = &message["data"];
            (data["seq"].clone(), data["text"].clone())
        })
        .collect();
    assert_eq!(
        told,
        [
            (json!(2), json!("better")),
            (json!(3), json!("")),
            (json!(4), json!("new"))
        ]
    );
    table.gone(5, Departure::Broken);
    table.act(1, "chat-edit", json!({"seq": 1, "text": "other"}));
    table.forget_all();
    let token = table.resume[&5].clone();
    table.connect(6, true);
    table.resume_as(6, &token, None);
    let types = table.heard_types(6);
    assert_eq!(
        types[2..],
        ["chat-edit"],
        "without a number, as it happened"
    );
}

#[test]
fn before_a_login_none_of_it_is_taken() {
    let mut table = Table::with_everyone();
    table.connect(5, true);
    for (kind, data) in [
        ("chat-edit", json!({"seq": 1, "text": "x"})),
        ("chat-delete", json!({"seq": 1})),
        ("react", json!({"seq": 1, "emoji": "x"})),
        ("typing", json!({})),
        ("read", json!({"seq": 0})),
        ("history", json!({"limit": 1})),
    ] {
        table.act(5, kind, data);
        assert_eq!(table.refused(5), "unauthorized", "{kind}");
    }
    assert!(table.sent.is_empty());
}

#[test]
fn after_a_restart_a_removed_session_does_not_sneak_back() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.join(2, "tea", "Bob");
    let tokens = [table.resume[&1].clone(), table.resume[&2].clone()];
    let bob = table.id(2);
    table.restart();
    for (peer, token) in [(3, &tokens[0]), (4, &tokens[1])] {
        table.connect(peer, true);
        table.resume_as(peer, token, None);
    }
    table.act(3, "kick", json!({"sessionId": bob}));
    table.forget_all();
    table.connect(5, true);
    table.resume_as(5, &tokens[1], None);
    assert_eq!(table.refused(5), "resume");
    table.act(3, "lock", json!({"locked": true}));
    table.forget_all();
    table.join(6, "tea", "Bob");
    assert_eq!(table.refused(6), "locked");
}

/// Whatever six people do to each other, in whatever order.
mod whatever_happens {
    use super::*;
    use proptest::prelude::*;

    /// Who does what to whom, with what.
    type Step = (u64, usize, u64, bool);

    /// A table at which each person has a socket, and gets another one when it closes.
    struct Crowd {
        table: Table,
        sockets: HashMap<u64, u64>,
        closed: Vec<u64>,
        next: u64,
    }

    impl Crowd {
        fn new() -> Self {
            let mut crowd = Self {
                table: Table::with_capacity(4),
                sockets: HashMap::new(),
                closed: Vec::new(),
                next: 10,
            };
            for person in 1..=6 {
                crowd.open(person);
            }
            crowd
        }

        fn open(&mut self, person: u64) {
            self.table.source = source(u8::try_from(person).unwrap());
            self.table.connect(self.next, true);
            self.sockets.insert(person, self.next);
            self.next += 1;
        }

        fn session(&self, person: u64) -> SessionId {
            self.table.rooms.peers[&PeerId::new(self.sockets[&person])].session
        }

        fn step(&mut self, (person, what, whom, flag): Step) {
            let (peer, on) = (self.sockets[&person], flag);
            let session_id = self.session(whom);
            let room = if flag { "tea" } else { "coffee" };
            let role = ["host", "guest", "viewer"][usize::try_from(whom % 3).unwrap()];
            let kind = ["mic", "camera", "screen"][usize::try_from(whom % 3).unwrap()];
            let acts = [
                ("login", json!({"roomrequest": "tea", "username": "Kim"})),
                ("login", json!({"roomrequest": room, "username": "Kim"})),
                ("logout", json!({})),
                ("lock", json!({"locked": on && whom == 1})),
                ("policy", json!({"waitingRoom": on})),
                ("policy", json!({"chat": on, "screen": !on, "unmute": on})),
                ("role", json!({"sessionId": session_id, "role": role})),
                ("mute", json!({"sessionId": session_id, "kind": kind})),
                ("mute", json!({"sessionId": "*", "kind": kind})),
                ("unmute", json!({"sessionId": session_id, "kind": kind})),
                ("status", json!({"mic": on, "camera": !on, "screen": on})),
                ("kick", json!({"sessionId": session_id, "ban": whom == 6})),
                ("admit", json!({"sessionId": session_id})),
                ("deny", json!({"sessionId": session_id})),
                ("chat", json!({"id": "x", "text": "x"})),
                ("chat", json!({"id": "x", "text": "x", "to": session_id})),
                ("chat-edit", json!({"seq": whom, "text": "y"})),
                ("chat-delete", json!({"seq": whom})),
                ("react", json!({"seq": whom, "emoji": "x", "on": on})),
                ("typing", json!({})),
                ("read", json!({"seq": whom})),
                ("history", json!({"limit": whom})),
            ];
            match acts.get(what) {
                Some((kind, data)) => self.table.act(peer, kind, data.clone()),
                None if what == acts.len() => {
                    let token = self.table.resume.get(&peer).cloned();
                    self.table.gone(peer, Departure::Broken);
                    self.closed.push(peer);
                    self.open(person);
                    if let Some(token) = token {
                        let again = self.sockets[&person];
                        self.table.resume_as(again, &token, flag.then_some(whom));
                    }
                }
                None => self.table.pass(Duration::from_secs(whom * 5)),
            }
            self.hold();
        }

        /// What must be true at all times.
        fn hold(&mut self) {
            for peer in &self.closed {
                assert!(!self.table.sent.contains_key(peer), "a closed socket");
            }
            for effect in std::mem::take(&mut self.table.other) {
                if let Effect::Remove(peer) | Effect::Replace(peer) = effect {
                    let peer = number(peer);
                    assert!(!self.table.rooms.peers.contains_key(&PeerId::new(peer)));
                    self.closed.push(peer);
                    let person = self.sockets.iter().find(|(_, socket)| **socket == peer);
                    if let Some((&person, _)) = person {
                        self.table.gone(peer, Departure::Left);
                        self.open(person);
                    }
                }
            }
            self.table.sent.clear();
            let Rooms {
                rooms,
                seated,
                peers,
                away,
                ..
            } = &self.table.rooms;
            let seats: usize = rooms.values().map(|room| room.seats.len()).sum();
            assert_eq!(seats, seated.len());
            for (session, room) in seated {
                assert!(rooms[room].seat(*session).is_some());
            }
            let mut waiting = 0;
            for room in rooms.values() {
                let hosts = room.seats.iter().filter(|seat| seat.role == Role::Host);
                assert!(hosts.count() > 0, "a room without a host");
                assert!(room.seats.len() <= room.state.capacity);
                for seat in &room.seats {
                    match &seat.presence {
                        Presence::Here(peer) => assert_eq!(peers[peer].session, seat.session),
                        Presence::Away { until, .. } => {
                            assert!(away.contains(&(*until, seat.session)));
                        }
                    }
                    let status = seat.status.as_ref().unwrap();
                    let shows = status.mic || status.camera || status.screen;
                    assert!(seat.role != Role::Viewer || !shows, "a viewer shows");
                    let may_share = room.state.policy.screen || seat.role == Role::Host;
                    assert!(may_share || !status.screen, "a screen against the policy");
                }
                assert!(room.waiting.is_empty() || room.state.policy.waiting_room);
                waiting += room.waiting.len();
            }
            let mut knocking = 0;
            for peer in peers.values() {
                if let Want::Entry(room) = &peer.wants {
                    assert!(!seated.contains_key(&peer.session), "waits and sits");
                    assert!(rooms[room].waiting_as(peer.session).is_some());
                    knocking += 1;
                }
            }
            assert_eq!(knocking, waiting);
        }
    }

    proptest! {
        #[test]
        fn rooms_stay_whole(
            steps in proptest::collection::vec((1..=6u64, 0..24usize, 1..=6u64, any::<bool>()), 0..200)
        ) {
            let mut crowd = Crowd::new();
            for person in 1..=4 {
                crowd.step((person, 0, 1, true));
            }
            for step in steps {
                crowd.step(step);
            }
        }
    }
}
