//! Golden messages: what is written down is what is said. The page's tests read the same files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use turnstone::id::{DisplayName, RoomName, SessionId};
use turnstone::message::{
    ApiGrant, Bye, ChatEdit, ChatEntry, Edited, Empty, ErrorType, FileEntry, FileGone, FromPeer,
    History, IceGrant, IceServer, Kind, Knock, Leaver, Limits, Lock, Muted, Newcomer, Numbered,
    Participant, Policy, PolicyChange, React, Reacted, Reaction, Recording, Refusal, Renewal, Role,
    RoleChange, RoomChange, RoomState, Size, Status, StreamKind, Text, ToPeer, View, Welcome,
    Whose, You,
};

const ANN: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
const BOB: &str = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
const CID: &str = "9c858901-8a57-4791-81fe-4c455b099bc9";
const FILE: &str = "2f1a7a3e-3f0a-4a52-9a37-6f6f5b3c1d20";

fn samples(direction: &str) -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if let Some(name) = name
            .strip_prefix(direction)
            .and_then(|name| name.strip_prefix('-'))
        {
            let text = fs::read_to_string(&path).unwrap();
            found.insert(name.to_owned(), serde_json::from_str(&text).unwrap());
        }
    }
    found
}

fn session(text: &str) -> SessionId {
    text.parse().unwrap()
}

#[test]
fn every_client_sample_is_understood() {
    let samples = samples("client");
    for (name, sample) in &samples {
        let message = FromPeer::parse(&sample.to_string()).unwrap();
        let kind = match message {
            FromPeer::Login(login) => {
                assert_eq!(login.room.as_str(), "Tea");
                assert_eq!(login.name.as_str(), "Ann");
                assert_eq!(login.resume.is_some(), name == "login-resume");
                assert_eq!(login.password.is_some(), name == "login-password");
                assert_eq!(login.invite.is_some(), name == "login-invite");
                assert_eq!(login.token.is_some(), name == "login-token");
                "login"
            }
            FromPeer::Signal(forward) => {
                assert_eq!(forward.to.as_deref(), Some(BOB));
                sample["type"].as_str().unwrap()
            }
            FromPeer::RandomCheck(_) => "randomCheck",
            FromPeer::Logout => "logout",
            FromPeer::Status(status) => {
                assert_eq!(status, a_status());
                "status"
            }
            FromPeer::View { to, view } => {
                assert_eq!((to.as_str(), view), (BOB, a_view()));
                "view"
            }
            FromPeer::Chat(chat) => {
                assert_eq!(chat.to.is_some(), name == "chat-private");
                "chat"
            }
            FromPeer::Reaction(reaction) => {
                assert_eq!(reaction.emoji, "👏");
                "reaction"
            }
            FromPeer::Recording(recording) => {
                assert!(recording.on);
                "recording"
            }
            FromPeer::ChatEdit(edit) => {
                assert_eq!((edit.seq, edit.text.as_str()), (1, "Hello, all"));
                "chat-edit"
            }
            FromPeer::ChatDelete(which) => {
                assert_eq!(which.seq, 1);
                "chat-delete"
            }
            FromPeer::React(react) => {
                assert_eq!((react.seq, react.emoji.as_str()), (1, "👏"));
                assert_eq!(react.on, name == "react");
                "react"
            }
            FromPeer::Typing { to } => {
                assert_eq!(to, None);
                "typing"
            }
            FromPeer::Read(which) => {
                assert_eq!(which.seq, 2);
                "read"
            }
            FromPeer::History(query) => {
                assert_eq!(query.limit, 50);
                assert_eq!(query.before, (name == "history-before").then_some(51));
                "history"
            }
            FromPeer::Admit(who) => {
                assert_eq!(who.session_id, session(CID));
                "admit"
            }
            FromPeer::Deny(who) => {
                assert_eq!(who.session_id, session(CID));
                "deny"
            }
            FromPeer::Mute(mute) => {
                let whose = match name.as_str() {
                    "mute" => Whose::One(session(BOB)),
                    _ => Whose::Everyones,
                };
                assert_eq!((mute.whose, mute.kind), (whose, Kind::Mic));
                "mute"
            }
            FromPeer::Unmute(mute) => {
                let whose = Whose::One(session(BOB));
                assert_eq!((mute.whose, mute.kind), (whose, Kind::Camera));
                "unmute"
            }
            FromPeer::Kick(kick) => {
                assert_eq!(kick.session_id, session(BOB));
                assert_eq!(kick.ban, name == "kick-ban");
                "kick"
            }
            FromPeer::Lock(lock) => {
                assert!(lock.locked);
                "lock"
            }
            FromPeer::Policy(change) => {
                let expected = PolicyChange {
                    screen: Some(false),
                    waiting_room: Some(true),
                    ..PolicyChange::default()
                };
                assert_eq!(change, expected);
                "policy"
            }
            FromPeer::Role(change) => {
                assert_eq!(change, a_role());
                "role"
            }
            FromPeer::Ice => "ice",
            FromPeer::Ping => "ping",
            FromPeer::Pong => "pong",
            FromPeer::Malformed(refusal) => panic!("{name}: {}", refusal.error_text),
            FromPeer::Unknown => "unknown",
        };
        assert_eq!(sample["type"], kind);
        assert!(name.starts_with(kind), "{name}");
    }
    assert_eq!(samples.len(), 37);
}

#[test]
fn every_server_sample_is_said_so() {
    let mut samples = samples("server");
    let ann: DisplayName = "Ann 2".parse().unwrap();
    let room: RoomName = "Tea".parse().unwrap();
    let (from, to) = (session(ANN), "");
    let status = a_status();
    let away = Status {
        away: true,
        ..a_status()
    };
    let view = a_view();
    let reaction = Reaction {
        emoji: "👏".to_owned(),
    };
    let api = ApiGrant {
        token: "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AA".to_owned(),
        ttl: 86_400,
    };
    let grant = IceGrant {
        ice_servers: ice_servers(),
        ice_ttl: 3600,
    };
    let refusal = Refusal::new(ErrorType::Full, "This room is full.");
    let chat = ChatEntry {
        id: "m1".to_owned(),
        seq: 1,
        session_id: from,
        username: ann.clone(),
        text: "Hello, everyone".to_owned(),
        time: 1_760_000_000_000,
        to: None,
        reply_to: None,
        edited: None,
        deleted: false,
        reactions: Vec::new(),
    };
    let private = ChatEntry {
        id: "m2".to_owned(),
        seq: 2,
        text: "Hello, Bob".to_owned(),
        to: Some(session(BOB)),
        reply_to: Some(1),
        ..chat.clone()
    };
    let edited = ChatEntry {
        text: "Hello, all".to_owned(),
        edited: Some(1_760_000_060_000),
        reactions: vec![Reacted {
            emoji: "👏".to_owned(),
            session_ids: vec![session(BOB), session(CID)],
        }],
        ..chat.clone()
    };
    let deleted = ChatEntry {
        id: "m3".to_owned(),
        seq: 3,
        text: String::new(),
        deleted: true,
        ..chat.clone()
    };
    let edit = ChatEdit {
        seq: 1,
        text: "Hello, all".to_owned(),
    };
    let react = React {
        seq: 1,
        emoji: "👏".to_owned(),
        on: true,
    };
    let react_off = React {
        on: false,
        ..react.clone()
    };
    let file = FileEntry {
        id: FILE.parse().unwrap(),
        name: "Minutes.pdf".to_owned(),
        size: 48_213,
        kind: "application/pdf".to_owned(),
        url: format!("/api/v1/files/{FILE}"),
        session_id: from,
        username: ann.clone(),
        time: 1_760_000_000_000,
    };
    let cid: DisplayName = "Cid".parse().unwrap();
    let said = [
        ("joined", ToPeer::Joined { data: from }),
        (
            "login",
            ToPeer::Login {
                from,
                to,
                data: Newcomer {
                    room: &room,
                    name: &ann,
                },
            },
        ),
        (
            "logout",
            ToPeer::Logout {
                data: Leaver {
                    name: &ann,
                    session: from,
                },
            },
        ),
        (
            "status",
            ToPeer::Status {
                from,
                to,
                data: &status,
            },
        ),
        (
            "status-away",
            ToPeer::Status {
                from,
                to,
                data: &away,
            },
        ),
        (
            "view",
            ToPeer::View {
                from,
                to: session(BOB),
                data: &view,
            },
        ),
        (
            "chat",
            ToPeer::Chat {
                from,
                to,
                data: &chat,
            },
        ),
        (
            "chat-private",
            ToPeer::Chat {
                from,
                to: BOB,
                data: &private,
            },
        ),
        (
            "reaction",
            ToPeer::Reaction {
                from,
                to,
                data: &reaction,
            },
        ),
        (
            "recording",
            ToPeer::Recording {
                from,
                to,
                data: Recording { on: true },
            },
        ),
        (
            "chat-edit",
            ToPeer::ChatEdit {
                from,
                to,
                data: Edited {
                    edit: &edit,
                    edited: 1_760_000_060_000,
                },
            },
        ),
        (
            "chat-delete",
            ToPeer::ChatDelete {
                from,
                to,
                data: Numbered { seq: 1 },
            },
        ),
        (
            "react",
            ToPeer::React {
                from,
                to,
                data: &react,
            },
        ),
        (
            "react-off",
            ToPeer::React {
                from,
                to,
                data: &react_off,
            },
        ),
        (
            "typing",
            ToPeer::Typing {
                from,
                to,
                data: Empty {},
            },
        ),
        (
            "read",
            ToPeer::Read {
                from,
                to,
                data: Numbered { seq: 2 },
            },
        ),
        (
            "history",
            ToPeer::History {
                data: History {
                    messages: vec![&edited, &private, &deleted],
                    more: true,
                },
            },
        ),
        (
            "file",
            ToPeer::File {
                from,
                to,
                data: &file,
            },
        ),
        (
            "file-delete",
            ToPeer::FileDelete {
                from: Some(from),
                to,
                data: FileGone { id: file.id },
            },
        ),
        (
            "file-delete-outside",
            ToPeer::FileDelete {
                from: None,
                to,
                data: FileGone { id: file.id },
            },
        ),
        ("waiting", ToPeer::Waiting { data: Empty {} }),
        (
            "knock",
            ToPeer::Knock {
                data: Knock {
                    session_id: session(CID),
                    username: &cid,
                },
            },
        ),
        (
            "mute",
            ToPeer::Mute {
                from,
                to: session(BOB),
                data: Muted {
                    by: from,
                    kind: Kind::Mic,
                },
            },
        ),
        (
            "unmute",
            ToPeer::Unmute {
                from,
                to: session(BOB),
                data: Muted {
                    by: from,
                    kind: Kind::Camera,
                },
            },
        ),
        (
            "lock",
            ToPeer::Lock {
                from,
                to,
                data: Lock { locked: true },
            },
        ),
        (
            "policy",
            ToPeer::Policy {
                from,
                to,
                data: a_policy(),
            },
        ),
        (
            "room-changed",
            ToPeer::RoomChanged {
                data: RoomChange {
                    name: Some("Coffee".parse().unwrap()),
                    locked: Some(true),
                    capacity: Some(20),
                    policy: Some(a_policy()),
                },
            },
        ),
        (
            "role",
            ToPeer::Role {
                from: Some(from),
                to,
                data: a_role(),
            },
        ),
        (
            "role-passed",
            ToPeer::Role {
                from: None,
                to,
                data: a_role(),
            },
        ),
        (
            "ice",
            ToPeer::Ice {
                data: Renewal {
                    ice: &grant,
                    api: Some(&api),
                },
            },
        ),
        ("ping", ToPeer::Ping { data: Empty {} }),
        ("pong", ToPeer::Pong { data: Empty {} }),
        (
            "bye",
            ToPeer::Bye {
                data: Bye { retry_after: 1000 },
            },
        ),
        (
            "error",
            ToPeer::Error {
                data: &refusal,
                message: &refusal,
            },
        ),
    ];
    for (name, message) in said {
        assert_eq!(
            parsed(&message.text()),
            samples.remove(name).unwrap(),
            "{name}"
        );
    }

    let state = RoomState {
        name: room,
        locked: false,
        capacity: 10,
        kept: false,
        policy: a_policy(),
    };
    let you = You {
        session_id: from,
        username: ann,
        role: Role::Guest,
    };
    let welcome = ToPeer::Room {
        data: Welcome {
            room: &state,
            you: &you,
            participants: &participants(),
            ice_servers: &grant.ice_servers,
            ice_ttl: 3600,
            limits: Limits {
                message: 65536,
                rate: 100,
                burst: 1000,
            },
            resume: "b5YZ_4uGTQG0LQDPT8lk_wAAAAAAAAAB",
            api: &api,
            invite: Some("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AQ"),
        },
    };
    assert_eq!(parsed(&welcome.text()), samples.remove("room").unwrap());

    // What only passes through is written by a client.
    for kind in ["offer", "answer", "candidate"] {
        let sent = self::samples("client").remove(kind).unwrap().to_string();
        let FromPeer::Signal(forward) = FromPeer::parse(&sent).unwrap() else {
            panic!("{kind}")
        };
        assert_eq!(parsed(&forward.text(from)), samples.remove(kind).unwrap());
    }
    let asked = self::samples("client")
        .remove("randomCheck")
        .unwrap()
        .to_string();
    let FromPeer::RandomCheck(check) = FromPeer::parse(&asked).unwrap() else {
        panic!()
    };
    assert_eq!(
        parsed(&check.result(true)),
        samples.remove("randomCheckResult").unwrap()
    );

    assert!(samples.is_empty(), "nobody says {samples:?}");
}

#[test]
fn every_sample_is_described() {
    let protocol =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md")).unwrap();
    for direction in ["client", "server"] {
        for sample in samples(direction).values() {
            let kind = sample["type"].as_str().unwrap();
            assert!(
                protocol.contains(&format!("`{kind}`")),
                "{kind} is not in docs/protocol.md"
            );
        }
    }
}

fn parsed(text: &Text) -> Value {
    serde_json::from_str(text.as_str()).unwrap()
}

fn a_status() -> Status {
    let stream = "dd9ae8a9-9c1c-4b5a-8f2e-3e0a36f0b7c1".to_owned();
    Status {
        mic: true,
        camera: true,
        streams: BTreeMap::from([(stream, StreamKind::Camera)]),
        ..Status::default()
    }
}

fn a_policy() -> Policy {
    Policy {
        screen: false,
        waiting_room: true,
        ..Policy::default()
    }
}

fn a_role() -> RoleChange {
    RoleChange {
        session_id: session(BOB),
        role: Role::Host,
    }
}

fn a_view() -> View {
    View {
        camera: Some(Size { w: 320, h: 180 }),
        screen: Some(Size { w: 0, h: 0 }),
    }
}

fn participants() -> [Participant; 2] {
    [
        Participant {
            session_id: session(BOB),
            username: "Bob".parse().unwrap(),
            role: Role::Host,
            joined: 1_760_000_000_000,
            status: Some(a_status()),
            read: 2,
        },
        Participant {
            session_id: session(CID),
            username: "Cid".parse().unwrap(),
            role: Role::Guest,
            joined: 1_760_000_001_000,
            status: None,
            read: 0,
        },
    ]
}

fn ice_servers() -> Vec<IceServer> {
    let turn = |urls: &str| IceServer {
        urls: urls.to_owned(),
        username: Some(format!("1760000000:{ANN}")),
        credential: Some("c2VjcmV0".to_owned()),
    };
    vec![
        IceServer {
            urls: "stun:call.example:3478".to_owned(),
            username: None,
            credential: None,
        },
        turn("turn:call.example:3478?transport=udp"),
        turn("turn:call.example:443?transport=tcp"),
        turn("turns:call.example:443?transport=tcp"),
    ]
}
