//! The core as a client meets it: requests in, answers and packets out, with the time as an argument.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::stun::attributes::*;
use ::stun::error_code::ErrorCodeAttribute;
use ::stun::fingerprint::FINGERPRINT;
use ::stun::integrity::MessageIntegrity;
use ::stun::message::*;
use ::stun::xoraddr::XorMappedAddress;
use proptest::prelude::*;
use ring::hmac;

use super::*;
use crate::id::SessionId;
use crate::stun as wire;

const REALM: &str = "example.org";
const UNIX: u64 = 1_700_000_000;
/// Addresses that the policy lets through.
const PEER: &str = "8.8.8.8:5000";
const OTHER_PEER: &str = "9.9.9.9:6000";
const PEER_V6: &str = "[2a00:1450::8]:5000";
const SERVER_V4: &str = "198.41.0.4";
const SERVER_V6: &str = "2a00:ffff::4";

const ATTR_ADDITIONAL_ADDRESS_FAMILY: AttrType = AttrType(0x8000);
const ATTR_ADDRESS_ERROR_CODE: AttrType = AttrType(0x8001);

const V6_FAMILY: [u8; 4] = [2, 0, 0, 0];
const V4_FAMILY: [u8; 4] = [1, 0, 0, 0];
const UDP: [u8; 4] = [17, 0, 0, 0];

type Attributes<'a> = &'a [(AttrType, &'a [u8])];

/// One worker's core, a clock, and sockets that are only imagined.
struct TurnTest {
    core: Allocations,
    shared: Arc<Shared>,
    now: Now,
    open: HashMap<RelayId, u16>,
    /// Reserved ports whose sockets wait for their clients.
    waiting: HashSet<(Family, u16)>,
    /// How many of the next ports cannot be opened.
    refusing: u32,
    sent: Vec<(Client, Vec<u8>)>,
    nonces: HashMap<Client, Vec<u8>>,
    next_id: u32,
}

#[derive(Clone, Copy)]
struct Who {
    name: &'static str,
    password: &'static str,
}

const KIM: Who = Who {
    name: "kim",
    password: "pw",
};
const BO: Who = Who {
    name: "bo",
    password: "other",
};

fn client(n: u16) -> Client {
    Client {
        transport: Transport::Udp,
        via: 0,
        address: SocketAddr::from(([203, 0, 113, (n >> 8) as u8 + 1], 10_000 + n)),
        server: SocketAddr::new(SERVER_V4.parse().unwrap(), 3478),
    }
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn users() -> Settings {
    let user = |who: Who| FixedUser {
        name: who.name.into(),
        password: who.password.into(),
    };
    Settings {
        users: vec![user(KIM), user(BO)],
        secret: Some("shared".into()),
        realm: REALM.into(),
        limits: Limits {
            unauthenticated_answers: 1_000,
            ..Limits::default()
        },
        ..Settings::default()
    }
}

/// A parsed answer.
struct Answer(Message);

impl Answer {
    fn code(&self) -> u16 {
        if self.0.typ.class == CLASS_SUCCESS_RESPONSE {
            return 200;
        }
        let mut code = ErrorCodeAttribute::default();
        code.get_from(&self.0).unwrap();
        code.code.0
    }

    fn value(&self, kind: AttrType) -> Option<Vec<u8>> {
        self.0.get(kind).ok()
    }

    fn address(&self, kind: AttrType) -> Option<SocketAddr> {
        let mut address = XorMappedAddress::default();
        address.get_from_as(&self.0, kind).ok()?;
        Some(SocketAddr::new(address.ip, address.port))
    }

    fn relayed(&self) -> SocketAddr {
        self.address(ATTR_XOR_RELAYED_ADDRESS)
            .expect("a relayed address")
    }

    fn all_relayed(&self) -> Vec<SocketAddr> {
        let id = self.0.transaction_id.0;
        let all = self
            .0
            .attributes
            .0
            .iter()
            .filter(|a| a.typ == ATTR_XOR_RELAYED_ADDRESS);
        all.map(|a| wire::read_xor_address(&a.value, &id).unwrap())
            .collect()
    }

    fn lifetime(&self) -> u32 {
        u32::from_be_bytes(self.value(ATTR_LIFETIME).unwrap().try_into().unwrap())
    }
}

fn xor(address: SocketAddr, id: [u8; 12]) -> Vec<u8> {
    let mut message = Message::new();
    message.write_header();
    message.transaction_id.0 = id;
    let address = XorMappedAddress {
        ip: address.ip(),
        port: address.port(),
    };
    address
        .add_to_as(&mut message, ATTR_XOR_PEER_ADDRESS)
        .unwrap();
    message.get(ATTR_XOR_PEER_ADDRESS).unwrap()
}

fn long_term_key(who: Who) -> Vec<u8> {
    MessageIntegrity::new_long_term_integrity(who.name.into(), REALM.into(), who.password.into()).0
}

impl TurnTest {
    fn new() -> Self {
        Self::with(users())
    }

    fn with(settings: Settings) -> Self {
        let external = |ip: &str| {
            Some(ExternalIp {
                public: ip.parse().unwrap(),
                local: None,
            })
        };
        let own = vec![SERVER_V4.parse().unwrap(), SERVER_V6.parse().unwrap()];
        let external = ExternalAddresses {
            v4: external(SERVER_V4),
            v6: external(SERVER_V6),
            own,
        };
        Self::at(settings, external)
    }

    fn at(settings: Settings, external: ExternalAddresses) -> Self {
        let credentials = Arc::new(Credentials::new(b"secret", &settings));
        let start = Instant::now();
        let shared = Arc::new(Shared::new(settings, credentials, external, start).unwrap());
        Self {
            core: Allocations::new(Arc::clone(&shared), 0),
            shared,
            now: Now {
                at: start,
                unix: UNIX,
            },
            open: HashMap::new(),
            waiting: HashSet::new(),
            refusing: 0,
            sent: Vec::new(),
            nonces: HashMap::new(),
            next_id: 0,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.at += time;
        self.now.unix += time.as_secs();
        self.core.on_time(self.now);
        self.settle();
    }

    /// Carries out what the core asks for.
    fn settle(&mut self) {
        while let Some(effect) = self.core.next_effect() {
            match effect {
                Effect::Send { to, bytes } => self.sent.push((to, bytes)),
                Effect::OpenPort { relay, .. } if self.refusing > 0 => {
                    self.refusing -= 1;
                    self.core.on_port_refused(relay, self.now);
                }
                Effect::OpenPort { relay, port, open } => {
                    let RelayId { family, .. } = relay;
                    let next = (family, port.wrapping_add(1));
                    match open {
                        Open::Alone => assert!(!self.waiting.contains(&(family, port))),
                        Open::WithNext => assert!(self.waiting.insert(next), "reserved twice"),
                        Open::Reserved => assert!(self.waiting.remove(&(family, port))),
                    }
                    assert_eq!(self.open.insert(relay, port), None, "opened twice");
                    self.core.on_port_opened(relay, self.now);
                }
                Effect::ClosePort { relay } => {
                    self.open.remove(&relay);
                }
                Effect::CloseReserved { family, port } => {
                    assert!(self.waiting.remove(&(family, port)), "closed twice");
                }
            }
        }
    }

    fn id(&mut self) -> [u8; 12] {
        self.next_id += 1;
        let mut id = *b"test id ....";
        id[8..].copy_from_slice(&self.next_id.to_be_bytes());
        id
    }

    /// Hands bytes to the core; what it forwards.
    fn packet(&mut self, from: Client, bytes: &[u8]) -> Option<Forward> {
        let forward = self.core.on_client_packet(&from, bytes, self.now);
        self.settle();
        forward
    }

    fn answers(&mut self, from: Client, bytes: &[u8]) -> Vec<Answer> {
        self.sent.clear();
        assert!(self.packet(from, bytes).is_none());
        let parse = |(to, bytes): (Client, Vec<u8>)| {
            assert_eq!(to, from);
            assert!(wire::Message::read(&bytes).is_some_and(|message| message.fingerprint_fits()));
            let mut message = Message::new();
            message.unmarshal_binary(&bytes).unwrap();
            Answer(message)
        };
        self.sent.drain(..).map(parse).collect()
    }

    fn answer(&mut self, from: Client, bytes: &[u8]) -> Answer {
        let mut answers = self.answers(from, bytes);
        assert_eq!(answers.len(), 1, "one answer");
        answers.remove(0)
    }

    fn nonce(&mut self, from: Client) -> Vec<u8> {
        if let Some(nonce) = self.nonces.get(&from) {
            return nonce.clone();
        }
        let id = self.id();
        let answer = self.answer(from, &build(METHOD_REFRESH, id, &[]).raw);
        assert_eq!(answer.code(), 401);
        let nonce = answer.value(ATTR_NONCE).unwrap();
        self.nonces.insert(from, nonce.clone());
        nonce
    }

    /// A sealed request of `who`.
    fn sealed(
        &mut self,
        from: Client,
        who: Who,
        method: Method,
        attributes: Attributes<'_>,
    ) -> Message {
        let id = self.id();
        self.sealed_with(from, who, method, attributes, id)
    }

    fn sealed_with(
        &mut self,
        from: Client,
        who: Who,
        method: Method,
        attributes: Attributes<'_>,
        id: [u8; 12],
    ) -> Message {
        let nonce = self.nonce(from);
        let mut message = build(method, id, attributes);
        message.add(ATTR_USERNAME, who.name.as_bytes());
        message.add(ATTR_REALM, REALM.as_bytes());
        message.add(ATTR_NONCE, &nonce);
        MessageIntegrity(long_term_key(who))
            .add_to(&mut message)
            .unwrap();
        message
    }

    /// Sends a sealed request; the answer, whose seal is checked.
    fn ask_as(
        &mut self,
        from: Client,
        who: Who,
        method: Method,
        attributes: Attributes<'_>,
    ) -> Answer {
        let message = self.sealed(from, who, method, attributes);
        let mut answer = self.answer(from, &message.raw);
        assert_eq!(answer.0.transaction_id, message.transaction_id);
        assert_eq!(answer.0.typ.method, method);
        if ![401, 438].contains(&answer.code()) {
            MessageIntegrity(long_term_key(who))
                .check(&mut answer.0)
                .expect("a sealed answer");
        }
        answer
    }

    fn ask(&mut self, from: Client, method: Method, attributes: Attributes<'_>) -> Answer {
        self.ask_as(from, KIM, method, attributes)
    }

    fn allocate(&mut self, from: Client) -> SocketAddr {
        let answer = self.ask(from, METHOD_ALLOCATE, &[(ATTR_REQUESTED_TRANSPORT, &UDP)]);
        assert_eq!(answer.code(), 200);
        answer.relayed()
    }

    fn permit(&mut self, from: Client, peers: &[&str]) -> u16 {
        let peers: Vec<SocketAddr> = peers.iter().map(|peer| at(peer)).collect();
        self.permit_addresses(from, &peers)
    }

    fn permit_addresses(&mut self, from: Client, peers: &[SocketAddr]) -> u16 {
        let id = self.id();
        let peers: Vec<Vec<u8>> = peers.iter().map(|peer| xor(*peer, id)).collect();
        let attributes: Vec<(AttrType, &[u8])> = peers
            .iter()
            .map(|peer| (ATTR_XOR_PEER_ADDRESS, peer.as_slice()))
            .collect();
        let message = self.sealed_with(from, KIM, METHOD_CREATE_PERMISSION, &attributes, id);
        self.answer(from, &message.raw).code()
    }

    fn bind(&mut self, from: Client, number: u16, peer: SocketAddr) -> u16 {
        let message = self.bind_request(from, number, peer);
        self.answer(from, &message.raw).code()
    }

    fn bind_request(&mut self, from: Client, number: u16, peer: SocketAddr) -> Message {
        let id = self.id();
        let number = [(number >> 8) as u8, number as u8, 0, 0];
        let peer = xor(peer, id);
        let attributes: Attributes<'_> = &[
            (ATTR_CHANNEL_NUMBER, &number),
            (ATTR_XOR_PEER_ADDRESS, &peer),
        ];
        self.sealed_with(from, KIM, METHOD_CHANNEL_BIND, attributes, id)
    }

    fn refresh(&mut self, from: Client, lifetime: u32) -> Answer {
        self.ask(
            from,
            METHOD_REFRESH,
            &[(ATTR_LIFETIME, &lifetime.to_be_bytes())],
        )
    }

    /// A Send indication; where its data went.
    fn send(&mut self, from: Client, peer: SocketAddr, data: &[u8]) -> Option<Forward> {
        let bytes = self.send_indication(peer, data);
        let forward = self.packet(from, &bytes)?;
        assert_eq!(&bytes[forward.payload.clone()], data);
        Some(forward)
    }

    fn send_indication(&mut self, peer: SocketAddr, data: &[u8]) -> Vec<u8> {
        let id = self.id();
        let mut message = Message::new();
        message.set_type(MessageType::new(METHOD_SEND, CLASS_INDICATION));
        message.write_header();
        message.transaction_id.0 = id;
        message.write_transaction_id();
        message.add(ATTR_XOR_PEER_ADDRESS, &xor(peer, id));
        message.add(ATTR_DATA, data);
        message.raw
    }

    fn reaches(&mut self, from: Client, peer: &str) -> bool {
        let peer = at(peer);
        match self.send(from, peer, b"data").map(|forward| forward.to) {
            None => false,
            Some(Destination::Peer { relay, peer: to }) => {
                assert!(self.open.contains_key(&relay), "from an open port");
                assert_eq!(to, peer);
                true
            }
            Some(other) => panic!("{other:?}"),
        }
    }

    fn channel_data(&mut self, from: Client, number: u16, data: &[u8]) -> Option<Forward> {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(data);
        let forward = self.packet(from, &bytes)?;
        assert_eq!(&bytes[forward.payload.clone()], data);
        Some(forward)
    }

    fn relay_of(&self, relayed: SocketAddr) -> RelayId {
        let family = Family::of(relayed.ip());
        let (relay, _) = self
            .open
            .iter()
            .find(|(relay, port)| relay.family == family && **port == relayed.port())
            .expect("an open port");
        *relay
    }

    /// What the client gets of a peer's datagram, as it would be sent.
    fn peer_sends(
        &mut self,
        relayed: SocketAddr,
        peer: &str,
        data: &[u8],
    ) -> Option<(Client, Vec<u8>)> {
        let relay = self.relay_of(relayed);
        let forward = self
            .core
            .on_peer_packet(relay, at(peer), data.len(), self.now)?;
        assert_eq!(forward.payload, 0..data.len());
        Some(delivered(&forward, data))
    }

    fn is_clean(&self) -> bool {
        self.core.is_empty()
            && self.open.is_empty()
            && self.waiting.is_empty()
            && self.shared.ports.taken() == 0
            && self.shared.quotas.allocations() == 0
            && self.shared.quotas.accounts() == 0
    }
}

fn delivered(forward: &Forward, data: &[u8]) -> (Client, Vec<u8>) {
    let Destination::Client(client) = forward.to else {
        panic!("{forward:?}")
    };
    let mut bytes = forward.head.as_bytes().to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len() + forward.head.padding(data.len(), false), 0);
    (client, bytes)
}

fn build(method: Method, id: [u8; 12], attributes: Attributes<'_>) -> Message {
    let mut message = Message::new();
    message.set_type(MessageType::new(method, CLASS_REQUEST));
    message.write_header();
    message.transaction_id.0 = id;
    message.write_transaction_id();
    for (kind, value) in attributes {
        message.add(*kind, value);
    }
    message
}

// ---- STUN ----

#[test]
fn binding_tells_the_client_its_address() {
    let mut turn = TurnTest::new();
    let answer = turn.answer(client(1), &build(METHOD_BINDING, *b"abcdefghijkl", &[]).raw);
    assert_eq!(answer.code(), 200);
    assert_eq!(
        answer.address(ATTR_XORMAPPED_ADDRESS),
        Some(client(1).address)
    );
    assert!(answer.value(ATTR_FINGERPRINT).is_none());
    assert!(
        answer.value(ATTR_SOFTWARE).is_none(),
        "SOFTWARE is off by default"
    );
    let mut v6 = client(1);
    v6.address = at("[2a00::7]:4000");
    let answer = turn.answer(v6, &build(METHOD_BINDING, *b"abcdefghijkl", &[]).raw);
    assert_eq!(answer.address(ATTR_XORMAPPED_ADDRESS), Some(v6.address));
}

#[test]
fn a_fingerprint_is_checked_and_answered_with_one() {
    let mut turn = TurnTest::new();
    let mut message = build(METHOD_BINDING, *b"abcdefghijkl", &[]);
    FINGERPRINT.add_to(&mut message).unwrap();
    let answer = turn.answer(client(1), &message.raw);
    assert!(FINGERPRINT.check(&answer.0).is_ok());
    *message.raw.last_mut().unwrap() ^= 1;
    assert!(turn.answers(client(1), &message.raw).is_empty());
}

#[test]
fn what_is_not_a_request_of_ours_is_not_answered() {
    let mut turn = TurnTest::new();
    let request = build(METHOD_BINDING, *b"abcdefghijkl", &[]).raw;
    let mut without_cookie = request.clone();
    without_cookie[4..8].copy_from_slice(&[0; 4]);
    assert!(
        turn.answers(client(1), &without_cookie).is_empty(),
        "RFC 3489"
    );
    for class in [
        CLASS_INDICATION,
        CLASS_SUCCESS_RESPONSE,
        CLASS_ERROR_RESPONSE,
    ] {
        let mut message = build(METHOD_BINDING, *b"abcdefghijkl", &[]);
        message.set_type(MessageType::new(METHOD_BINDING, class));
        assert!(turn.answers(client(1), &message.raw).is_empty(), "{class}");
    }
    for method in [
        METHOD_CONNECT,
        METHOD_CONNECTION_BIND,
        METHOD_SEND,
        METHOD_DATA,
    ] {
        assert!(
            turn.answers(client(1), &build(method, [0; 12], &[]).raw)
                .is_empty(),
            "{method}"
        );
    }
    assert!(turn.answers(client(1), &request[..19]).is_empty());
    assert!(turn.answers(client(1), &[]).is_empty());
}

#[test]
fn required_attributes_that_are_unknown_are_named_in_a_420() {
    let mut turn = TurnTest::new();
    let unknown: Attributes<'_> = &[
        (ATTR_CHANGE_REQUEST, &[0; 4]),
        (ATTR_SOFTWARE, b"optional"),
        (AttrType(0x7FFF), b""),
        (ATTR_CHANGE_REQUEST, &[0; 4]),
    ];
    let answer = turn.answer(
        client(1),
        &build(METHOD_BINDING, *b"abcdefghijkl", unknown).raw,
    );
    assert_eq!(answer.code(), 420);
    assert_eq!(
        answer.value(ATTR_UNKNOWN_ATTRIBUTES).unwrap(),
        [0, 3, 0x7F, 0xFF]
    );
    let answer = turn.ask(client(1), METHOD_ALLOCATE, unknown);
    assert_eq!(answer.code(), 420);
    assert_eq!(
        answer.value(ATTR_UNKNOWN_ATTRIBUTES).unwrap(),
        [0, 3, 0x7F, 0xFF]
    );
    assert!(turn.is_clean());
}

// ---- authentication (RFC 8489 §9.2) ----

#[test]
fn a_request_without_integrity_is_challenged() {
    let mut turn = TurnTest::new();
    for method in [
        METHOD_ALLOCATE,
        METHOD_REFRESH,
        METHOD_CREATE_PERMISSION,
        METHOD_CHANNEL_BIND,
    ] {
        let answer = turn.answer(client(1), &build(method, [7; 12], &[]).raw);
        assert_eq!(answer.code(), 401);
        assert_eq!(answer.value(ATTR_REALM).unwrap(), REALM.as_bytes());
        assert!(
            answer
                .value(ATTR_NONCE)
                .unwrap()
                .starts_with(b"obMatJos2AAAB")
        );
        assert_eq!(
            answer.value(ATTR_PASSWORD_ALGORITHMS).unwrap(),
            [0, 2, 0, 0, 0, 1, 0, 0]
        );
        assert!(answer.value(ATTR_MESSAGE_INTEGRITY).is_none());
    }
    assert!(turn.is_clean());
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_401() {
    let mut turn = TurnTest::new();
    let transport: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP)];
    let wrong = Who {
        password: "wrong",
        ..KIM
    };
    assert_eq!(
        turn.ask_as(client(1), wrong, METHOD_ALLOCATE, transport)
            .code(),
        401
    );
    let nobody = Who {
        name: "nobody",
        ..KIM
    };
    let answer = turn.ask_as(client(1), nobody, METHOD_ALLOCATE, transport);
    assert_eq!(answer.code(), 401);
    assert!(answer.value(ATTR_NONCE).is_some() && answer.value(ATTR_REALM).is_some());
    turn.allocate(client(1));
    let answer = turn.ask_as(client(1), wrong, METHOD_REFRESH, &[]);
    assert_eq!(answer.code(), 401, "also for a held allocation");
}

#[test]
fn integrity_without_what_belongs_to_it_is_400() {
    let mut turn = TurnTest::new();
    let nonce = turn.nonce(client(1));
    let parts: [(AttrType, &[u8]); 3] = [
        (ATTR_USERNAME, b"kim"),
        (ATTR_REALM, REALM.as_bytes()),
        (ATTR_NONCE, &nonce),
    ];
    for missing in 0..3 {
        let mut message = build(
            METHOD_ALLOCATE,
            [7; 12],
            &[(ATTR_REQUESTED_TRANSPORT, &UDP)],
        );
        for (n, (kind, value)) in parts.into_iter().enumerate() {
            if n != missing {
                message.add(kind, value);
            }
        }
        MessageIntegrity(long_term_key(KIM))
            .add_to(&mut message)
            .unwrap();
        let answer = turn.answer(client(1), &message.raw);
        assert_eq!(answer.code(), 400, "without part {missing}");
        assert!(answer.value(ATTR_MESSAGE_INTEGRITY).is_none());
    }
}

#[test]
fn a_nonce_that_is_old_or_of_another_client_is_438() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    let nonce = turn.nonce(client(1));
    turn.nonces.insert(client(2), nonce);
    let answer = turn.ask(
        client(2),
        METHOD_ALLOCATE,
        &[(ATTR_REQUESTED_TRANSPORT, &UDP)],
    );
    assert_eq!(answer.code(), 438);
    for _ in 0..7 {
        turn.pass(seconds(550));
        let answer = turn.refresh(client(1), 600);
        if answer.code() == 438 {
            let fresh = answer.value(ATTR_NONCE).unwrap();
            assert_eq!(answer.value(ATTR_REALM).unwrap(), REALM.as_bytes());
            turn.nonces.insert(client(1), fresh);
            assert!(turn.now.at - turn.shared.start > NONCE_LIFETIME);
            assert_eq!(turn.refresh(client(1), 600).code(), 200);
            return;
        }
        assert_eq!(answer.code(), 200);
    }
    panic!("the nonce never grew old");
}

#[test]
fn credentials_that_expire_end_no_allocation() {
    let mut turn = TurnTest::new();
    let session = SessionId::random();
    turn.shared.credentials.session_began(&session);
    let minted = turn.shared.credentials.mint(&session, UNIX);
    let who = Who {
        name: minted.username.leak(),
        password: minted.password.leak(),
    };
    let transport: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP)];
    let hour: Attributes<'_> = &[(ATTR_LIFETIME, &[0, 0, 14, 16])];
    assert_eq!(
        turn.ask_as(client(1), who, METHOD_ALLOCATE, transport)
            .code(),
        200
    );
    for _ in 0..4 {
        turn.nonces.clear();
        assert_eq!(
            turn.ask_as(client(1), who, METHOD_REFRESH, hour).lifetime(),
            3_600
        );
        turn.pass(seconds(3_000));
    }
    assert!(turn.core.has(&client(1)), "12000 s later");
    let answer = turn.ask_as(client(2), who, METHOD_ALLOCATE, transport);
    assert_eq!(answer.code(), 401, "but nothing new");
}

#[test]
fn a_session_that_ends_ends_what_it_holds() {
    let mut turn = TurnTest::new();
    let session = SessionId::random();
    turn.shared.credentials.session_began(&session);
    let minted = turn.shared.credentials.mint(&session, UNIX);
    let who = Who {
        name: minted.username.leak(),
        password: minted.password.leak(),
    };
    let transport: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP)];
    for n in 1..=3 {
        assert_eq!(
            turn.ask_as(client(n), who, METHOD_ALLOCATE, transport)
                .code(),
            200
        );
    }
    turn.allocate(client(4));
    turn.shared.credentials.session_ended(&session);
    turn.core.on_revoked(&session);
    turn.settle();
    assert_eq!((turn.core.len(), turn.open.len()), (1, 1));
    assert_eq!(turn.ask_as(client(1), who, METHOD_REFRESH, &[]).code(), 401);
    assert_eq!(
        turn.ask_as(client(1), who, METHOD_ALLOCATE, transport)
            .code(),
        401
    );
}

#[test]
fn sha256_keys_and_integrity_work_beside_md5_and_sha1() {
    let mut turn = TurnTest::new();
    let nonce = turn.nonce(client(1));
    let keys = Keys::new("kim", REALM, "pw");
    let mut ask = |algorithm: Option<&[u8]>, list: Option<&[u8]>, key: &[u8], cut: usize| {
        let id = turn.id();
        let mut message = build(METHOD_ALLOCATE, id, &[(ATTR_REQUESTED_TRANSPORT, &UDP)]);
        message.add(ATTR_USERNAME, b"kim");
        message.add(ATTR_REALM, REALM.as_bytes());
        message.add(ATTR_NONCE, &nonce);
        if let Some(list) = list {
            message.add(ATTR_PASSWORD_ALGORITHMS, list);
        }
        if let Some(algorithm) = algorithm {
            message.add(ATTR_PASSWORD_ALGORITHM, algorithm);
        }
        let len = (message.length as usize + 4 + cut) as u16;
        let mut covered = message.raw.clone();
        covered[2..4].copy_from_slice(&len.to_be_bytes());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &covered);
        message.add(ATTR_MESSAGE_INTEGRITY_SHA256, &tag.as_ref()[..cut]);
        let answer = turn.answer(client(1), &message.raw);
        if answer.code() == 200 {
            let raw = &answer.0.raw;
            let at = raw.len() - 36;
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &raw[..at]);
            assert_eq!(&raw[at + 4..], tag.as_ref(), "the answer is sealed alike");
            turn.core.on_client_gone(&client(1));
        }
        answer.code()
    };
    let list: &[u8] = &[0, 2, 0, 0, 0, 1, 0, 0];
    let (sha256, md5): (&[u8], &[u8]) = (&[0, 2, 0, 0], &[0, 1, 0, 0]);
    assert_eq!(ask(Some(sha256), Some(list), &keys.sha256, 32), 200);
    assert_eq!(
        ask(Some(sha256), Some(list), &keys.sha256, 16),
        200,
        "cut to 16 bytes"
    );
    assert_eq!(ask(Some(md5), Some(list), &keys.md5, 32), 200);
    assert_eq!(ask(None, None, &keys.md5, 32), 200);
    assert_eq!(
        ask(Some(sha256), Some(list), &keys.sha256, 12),
        401,
        "cut too short"
    );
    assert_eq!(ask(Some(sha256), Some(list), &keys.md5, 32), 401);
    assert_eq!(ask(Some(sha256), None, &keys.sha256, 32), 400);
    assert_eq!(ask(None, Some(list), &keys.sha256, 32), 400);
    assert_eq!(
        ask(Some(md5), Some(&[0, 1, 0, 0]), &keys.md5, 32),
        400,
        "a shortened list"
    );
    assert_eq!(ask(Some(&[0, 9, 0, 0]), Some(list), &keys.md5, 32), 400);
}

#[test]
fn attributes_after_the_integrity_are_ignored() {
    let mut turn = TurnTest::new();
    let mut message = turn.sealed(client(1), KIM, METHOD_ALLOCATE, &[]);
    message.add(ATTR_REQUESTED_TRANSPORT, &UDP);
    assert_eq!(
        turn.answer(client(1), &message.raw).code(),
        400,
        "no transport was asked for"
    );
    let mut message = turn.sealed(
        client(1),
        KIM,
        METHOD_ALLOCATE,
        &[(ATTR_REQUESTED_TRANSPORT, &UDP)],
    );
    message.add(AttrType(0x7777), b"unknown");
    message.add(ATTR_LIFETIME, &[0, 0, 14, 16]);
    let answer = turn.answer(client(1), &message.raw);
    assert_eq!((answer.code(), answer.lifetime()), (200, 600));
}

#[test]
fn of_duplicate_attributes_the_first_counts() {
    let mut turn = TurnTest::new();
    let answer = turn.ask(
        client(1),
        METHOD_ALLOCATE,
        &[
            (ATTR_REQUESTED_TRANSPORT, &UDP),
            (ATTR_LIFETIME, &[0, 0, 7, 8]),
            (ATTR_REQUESTED_TRANSPORT, &[6, 0, 0, 0]),
            (ATTR_LIFETIME, &[0, 0, 14, 16]),
        ],
    );
    assert_eq!((answer.code(), answer.lifetime()), (200, 1_800));
}

#[test]
fn an_access_token_is_not_read_at_all() {
    // CVE-2026-43994: the length of a nonce inside the token of RFC 7635 was believed, before anybody was known, and up
    // to 735 bytes were written past a buffer of 256. We know no such tokens.
    let mut turn = TurnTest::new();
    for inner_len in [0, 255, 256, 257, 735, 991, u16::MAX] {
        let mut token = inner_len.to_be_bytes().to_vec();
        token.resize(1_000, 0x41);
        let attributes: Attributes<'_> =
            &[(AttrType(0x001B), &token), (ATTR_REQUESTED_TRANSPORT, &UDP)];
        let answer = turn.ask(client(1), METHOD_ALLOCATE, attributes);
        assert_eq!(answer.code(), 420);
        assert_eq!(answer.value(ATTR_UNKNOWN_ATTRIBUTES).unwrap(), [0, 0x1B]);
        // From a stranger, with and without a seal.
        let answer = turn.answer(client(2), &build(METHOD_ALLOCATE, [7; 12], attributes).raw);
        assert_eq!(answer.code(), 401);
        assert!(
            answer.value(AttrType(0x802E)).is_none(),
            "no THIRD-PARTY-AUTHORIZATION"
        );
        let stranger = Who {
            name: "north",
            password: "guessed",
        };
        let answer = turn.ask_as(client(2), stranger, METHOD_ALLOCATE, attributes);
        assert_eq!(answer.code(), 401);
    }
    assert!(turn.is_clean());
}

#[test]
fn attributes_may_lie_at_any_place_in_memory() {
    // CVE-2026-40613: attributes were read as if they were aligned, and one packet ended the process on ARM.
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    turn.permit(client(1), &[PEER]);
    let indication = turn.send_indication(at(PEER), b"data");
    let request = turn.bind_request(client(1), 0x4000, at(PEER)).raw;
    for shift in 0..8 {
        let mut bytes = vec![0; shift];
        bytes.extend_from_slice(&indication);
        assert!(turn.packet(client(1), &bytes[shift..]).is_some());
        bytes.truncate(shift);
        bytes.extend_from_slice(&request);
        assert_eq!(turn.answer(client(1), &bytes[shift..]).code(), 200);
    }
}

#[test]
fn attributes_that_begin_at_odd_places_are_not_read() {
    // The packet of CVE-2026-40613: attributes without padding, so that the next begins wherever the last has ended.
    let mut turn = TurnTest::new();
    for kind in (0u16..0x30).chain([0x8000, 0x8001, 0x8022, 0x8028, 0x802B, 0xFFFF]) {
        for len in 1..8usize {
            let mut body = [kind.to_be_bytes(), (len as u16).to_be_bytes()].concat();
            body.resize(body.len() + len, 0xFF);
            body.extend_from_slice(&[0x00, 0x0C, 0x00, 0x04, 0x40, 0x00, 0x00, 0x00]);
            for method in [METHOD_BINDING, METHOD_ALLOCATE, METHOD_CHANNEL_BIND] {
                let mut bytes = build(method, [7; 12], &[]).raw;
                bytes[2..4].copy_from_slice(&(body.len() as u16).to_be_bytes());
                bytes.extend_from_slice(&body);
                let answers = turn.answers(client(1), &bytes);
                if len % 4 != 0 {
                    assert!(answers.is_empty(), "{kind:#x} of {len} bytes");
                }
            }
        }
    }
    assert!(turn.is_clean());
}

// ---- Allocate (RFC 8656 §7) ----

#[test]
fn an_allocation_has_its_addresses_and_a_lifetime() {
    let mut turn = TurnTest::new();
    let answer = turn.ask(
        client(1),
        METHOD_ALLOCATE,
        &[(ATTR_REQUESTED_TRANSPORT, &UDP)],
    );
    assert_eq!(answer.relayed().ip().to_string(), SERVER_V4);
    assert!(answer.relayed().port() >= 49152);
    assert_eq!(
        answer.address(ATTR_XORMAPPED_ADDRESS),
        Some(client(1).address)
    );
    assert_eq!(answer.lifetime(), 600);
    assert!(answer.value(ATTR_RESERVATION_TOKEN).is_none());
    assert_eq!(turn.open.len(), 1);
}

#[test]
fn lifetimes_are_kept_between_ten_minutes_and_an_hour() {
    let mut turn = TurnTest::new();
    for (n, (asked, granted)) in [
        (0u32, 600),
        (1, 600),
        (600, 600),
        (601, 601),
        (3_600, 3_600),
        (3_601, 3_600),
        (u32::MAX, 3_600),
    ]
    .into_iter()
    .enumerate()
    {
        let lifetime = asked.to_be_bytes();
        let attributes: Attributes<'_> =
            &[(ATTR_REQUESTED_TRANSPORT, &UDP), (ATTR_LIFETIME, &lifetime)];
        assert_eq!(
            turn.ask(client(n as u16), METHOD_ALLOCATE, attributes)
                .lifetime(),
            granted
        );
        if asked != 0 {
            assert_eq!(turn.refresh(client(n as u16), asked).lifetime(), granted);
        }
    }
    let attributes: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP), (ATTR_LIFETIME, &[0, 1])];
    assert_eq!(
        turn.ask(client(99), METHOD_ALLOCATE, attributes).code(),
        400
    );
}

#[test]
fn only_udp_is_relayed() {
    let mut turn = TurnTest::new();
    assert_eq!(turn.ask(client(1), METHOD_ALLOCATE, &[]).code(), 400);
    let mut ask = |value: &[u8]| {
        turn.ask(
            client(1),
            METHOD_ALLOCATE,
            &[(ATTR_REQUESTED_TRANSPORT, value)],
        )
        .code()
    };
    assert_eq!(ask(&[6, 0, 0, 0]), 442);
    assert_eq!(ask(&[17]), 400);
    assert_eq!(ask(&UDP), 200);
}

#[test]
fn a_second_allocation_of_one_client_is_437() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    assert_eq!(
        turn.ask(
            client(1),
            METHOD_ALLOCATE,
            &[(ATTR_REQUESTED_TRANSPORT, &UDP)]
        )
        .code(),
        437
    );
    let as_bo = turn.ask_as(
        client(1),
        BO,
        METHOD_ALLOCATE,
        &[(ATTR_REQUESTED_TRANSPORT, &UDP)],
    );
    assert_eq!(as_bo.code(), 437);
    assert_eq!(turn.core.len(), 1);
    turn.pass(seconds(600));
    turn.allocate(client(1));
}

#[test]
fn a_repeated_request_gets_the_same_answer_again() {
    let mut turn = TurnTest::new();
    let allocate = turn.sealed(
        client(1),
        KIM,
        METHOD_ALLOCATE,
        &[(ATTR_REQUESTED_TRANSPORT, &UDP), (ATTR_EVEN_PORT, &[0x80])],
    );
    let first = turn.answer(client(1), &allocate.raw);
    assert_eq!(first.code(), 200);
    turn.pass(seconds(3));
    assert_eq!(turn.answer(client(1), &allocate.raw).0.raw, first.0.raw);
    for request in [
        turn.bind_request(client(1), 0x4000, at(PEER)),
        turn.sealed(
            client(1),
            KIM,
            METHOD_REFRESH,
            &[(ATTR_LIFETIME, &[0, 0, 14, 16])],
        ),
        turn.sealed(client(1), KIM, METHOD_REFRESH, &[(ATTR_LIFETIME, &[0; 4])]),
    ] {
        let first = turn.answer(client(1), &request.raw);
        assert_eq!(first.code(), 200);
        turn.pass(seconds(5));
        assert_eq!(turn.answer(client(1), &request.raw).0.raw, first.0.raw);
    }
    assert!(turn.core.is_empty());
    assert_eq!(
        turn.refresh(client(1), 0).code(),
        437,
        "a new request is no repetition"
    );
}

#[test]
fn requests_without_an_allocation_are_437() {
    let mut turn = TurnTest::new();
    assert_eq!(turn.refresh(client(1), 600).code(), 437);
    assert_eq!(turn.permit(client(1), &[PEER]), 437);
    assert_eq!(turn.bind(client(1), 0x4000, at(PEER)), 437);
}

#[test]
fn another_user_on_the_same_five_tuple_is_441() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    for method in [
        METHOD_REFRESH,
        METHOD_CREATE_PERMISSION,
        METHOD_CHANNEL_BIND,
    ] {
        assert_eq!(
            turn.ask_as(client(1), BO, method, &[(ATTR_LIFETIME, &[0; 4])])
                .code(),
            441
        );
    }
    assert_eq!(turn.core.len(), 1);
}

#[test]
fn address_families_are_given_as_asked() {
    let mut turn = TurnTest::new();
    let mut ask = |n, more: Attributes<'_>| {
        let mut attributes = vec![(ATTR_REQUESTED_TRANSPORT, &UDP[..])];
        attributes.extend_from_slice(more);
        turn.ask(client(n), METHOD_ALLOCATE, &attributes)
    };
    assert!(ask(1, &[]).relayed().is_ipv4());
    assert!(
        ask(2, &[(ATTR_REQUESTED_ADDRESS_FAMILY, &V4_FAMILY)])
            .relayed()
            .is_ipv4()
    );
    assert!(
        ask(3, &[(ATTR_REQUESTED_ADDRESS_FAMILY, &V6_FAMILY)])
            .relayed()
            .is_ipv6()
    );
    let both = ask(4, &[(ATTR_ADDITIONAL_ADDRESS_FAMILY, &V6_FAMILY)]).all_relayed();
    assert!(
        matches!(both[..], [SocketAddr::V4(_), SocketAddr::V6(_)]),
        "{both:?}"
    );
    assert_eq!(
        ask(5, &[(ATTR_REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0])]).code(),
        440
    );
    assert_eq!(ask(5, &[(ATTR_REQUESTED_ADDRESS_FAMILY, &[2])]).code(), 400);
    assert_eq!(
        ask(5, &[(ATTR_ADDITIONAL_ADDRESS_FAMILY, &V4_FAMILY)]).code(),
        400
    );
    let two: Attributes<'_> = &[
        (ATTR_REQUESTED_ADDRESS_FAMILY, &V4_FAMILY),
        (ATTR_ADDITIONAL_ADDRESS_FAMILY, &V6_FAMILY),
    ];
    assert_eq!(ask(5, two).code(), 400);
}

#[test]
fn a_family_that_the_server_lacks_is_440() {
    let only = |v4: bool| {
        let here = |ip: &str| {
            Some(ExternalIp {
                public: ip.parse().unwrap(),
                local: None,
            })
        };
        let v4_address = here(SERVER_V4).filter(|_| v4);
        let v6_address = here(SERVER_V6).filter(|_| !v4);
        TurnTest::at(
            users(),
            ExternalAddresses {
                v4: v4_address,
                v6: v6_address,
                own: Vec::new(),
            },
        )
    };
    let mut turn = only(true);
    let v6: Attributes<'_> = &[
        (ATTR_REQUESTED_TRANSPORT, &UDP),
        (ATTR_REQUESTED_ADDRESS_FAMILY, &V6_FAMILY),
    ];
    assert_eq!(turn.ask(client(1), METHOD_ALLOCATE, v6).code(), 440);
    let both: Attributes<'_> = &[
        (ATTR_REQUESTED_TRANSPORT, &UDP),
        (ATTR_ADDITIONAL_ADDRESS_FAMILY, &V6_FAMILY),
    ];
    let answer = turn.ask(client(1), METHOD_ALLOCATE, both);
    assert_eq!(answer.code(), 200);
    assert_eq!(answer.all_relayed().len(), 1);
    assert_eq!(
        answer.value(ATTR_ADDRESS_ERROR_CODE).unwrap()[..4],
        [2, 0, 4, 40]
    );
    let mut turn = only(false);
    assert!(
        turn.allocate(client(1)).is_ipv6(),
        "IPv6 when there is no IPv4"
    );
    let v4: Attributes<'_> = &[
        (ATTR_REQUESTED_TRANSPORT, &UDP),
        (ATTR_REQUESTED_ADDRESS_FAMILY, &V4_FAMILY),
    ];
    assert_eq!(turn.ask(client(2), METHOD_ALLOCATE, v4).code(), 440);
    let mut turn = TurnTest::with(Settings {
        default_family: DefaultFamily::LikeClient,
        ..users()
    });
    let mut v6_client = client(1);
    v6_client.address = at("[2a00::7]:4000");
    assert!(turn.allocate(v6_client).is_ipv6());
    assert!(turn.allocate(client(1)).is_ipv4());
}

#[test]
fn an_even_port_and_the_next_can_be_had() {
    let mut turn = TurnTest::new();
    let even = turn.ask(
        client(1),
        METHOD_ALLOCATE,
        &[(ATTR_REQUESTED_TRANSPORT, &UDP), (ATTR_EVEN_PORT, &[0x80])],
    );
    assert_eq!(even.relayed().port() % 2, 0);
    let token = even.value(ATTR_RESERVATION_TOKEN).unwrap();
    let ask = |turn: &mut TurnTest, n, more: Attributes<'_>| {
        let mut attributes = vec![
            (ATTR_REQUESTED_TRANSPORT, &UDP[..]),
            (ATTR_RESERVATION_TOKEN, &token[..]),
        ];
        attributes.extend_from_slice(more);
        turn.ask(client(n), METHOD_ALLOCATE, &attributes)
    };
    assert_eq!(ask(&mut turn, 2, &[(ATTR_EVEN_PORT, &[0])]).code(), 400);
    assert_eq!(
        ask(&mut turn, 2, &[(ATTR_REQUESTED_ADDRESS_FAMILY, &V4_FAMILY)]).code(),
        400
    );
    assert_eq!(
        ask(
            &mut turn,
            2,
            &[(ATTR_ADDITIONAL_ADDRESS_FAMILY, &V6_FAMILY)]
        )
        .code(),
        400
    );
    let next = ask(&mut turn, 2, &[]);
    assert_eq!(next.relayed().port(), even.relayed().port() + 1);
    assert_eq!(ask(&mut turn, 3, &[]).code(), 508, "a token is good once");
    let short: Attributes<'_> = &[
        (ATTR_REQUESTED_TRANSPORT, &UDP),
        (ATTR_RESERVATION_TOKEN, b"short"),
    ];
    assert_eq!(turn.ask(client(3), METHOD_ALLOCATE, short).code(), 400);
    for n in 3..20 {
        let plain: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP), (ATTR_EVEN_PORT, &[0])];
        let answer = turn.ask(client(n), METHOD_ALLOCATE, plain);
        assert_eq!(answer.relayed().port() % 2, 0);
        assert!(answer.value(ATTR_RESERVATION_TOKEN).is_none());
    }
    let both: Attributes<'_> = &[
        (ATTR_REQUESTED_TRANSPORT, &UDP),
        (ATTR_EVEN_PORT, &[0x80]),
        (ATTR_ADDITIONAL_ADDRESS_FAMILY, &V6_FAMILY),
    ];
    assert_eq!(turn.ask(client(21), METHOD_ALLOCATE, both).code(), 400);
}

#[test]
fn a_reservation_ends_after_half_a_minute() {
    let mut turn = TurnTest::new();
    let even: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP), (ATTR_EVEN_PORT, &[0x80])];
    let token = turn
        .ask(client(1), METHOD_ALLOCATE, even)
        .value(ATTR_RESERVATION_TOKEN)
        .unwrap();
    turn.refresh(client(1), 0);
    assert_eq!((turn.waiting.len(), turn.shared.ports.taken()), (1, 1));
    let ends = turn.now.at + seconds(30);
    assert_eq!(
        turn.core.next_deadline(),
        Some(ends),
        "nobody else wakes it"
    );
    turn.pass(seconds(30));
    assert!(turn.is_clean());
    let late: Attributes<'_> = &[
        (ATTR_REQUESTED_TRANSPORT, &UDP),
        (ATTR_RESERVATION_TOKEN, &token),
    ];
    assert_eq!(turn.ask(client(2), METHOD_ALLOCATE, late).code(), 508);
    assert!(turn.is_clean());
}

#[test]
fn a_reserved_port_is_kept_open_for_whoever_brings_its_token() {
    let mut turn = TurnTest::new();
    let even: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP), (ATTR_EVEN_PORT, &[0x80])];
    let first = turn.ask(client(1), METHOD_ALLOCATE, even);
    let token = first.value(ATTR_RESERVATION_TOKEN).unwrap();
    let next = first.relayed().port() + 1;
    assert_eq!(turn.waiting, HashSet::from([(Family::V4, next)]));
    turn.pass(seconds(29));
    // A worker of its own, as the second client may have.
    let mut other = TurnTest {
        core: Allocations::new(Arc::clone(&turn.shared), 1),
        shared: Arc::clone(&turn.shared),
        now: turn.now,
        waiting: std::mem::take(&mut turn.waiting),
        ..TurnTest::new()
    };
    let bring: Attributes<'_> = &[
        (ATTR_REQUESTED_TRANSPORT, &UDP),
        (ATTR_RESERVATION_TOKEN, &token),
    ];
    let second = other.ask(client(2), METHOD_ALLOCATE, bring);
    assert_eq!(second.relayed().port(), next);
    assert!(other.waiting.is_empty(), "the socket that waited is used");
    // What has been taken does not end with the reservation.
    turn.pass(seconds(1));
    other.pass(seconds(1));
    assert_eq!(turn.shared.ports.taken(), 2);
    other.refresh(client(2), 0);
    turn.refresh(client(1), 0);
    assert!(turn.is_clean() && other.is_clean());
}

#[test]
fn reservations_are_bounded_and_leave_nothing_behind() {
    let mut turn = TurnTest::new();
    let even: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP), (ATTR_EVEN_PORT, &[0x80])];
    for n in 0..1_030 {
        let answer = turn.ask(client(1), METHOD_ALLOCATE, even);
        assert_eq!(answer.code(), if n < 1_024 { 200 } else { 508 });
        turn.refresh(client(1), 0);
    }
    assert_eq!(
        (turn.waiting.len(), turn.shared.ports.taken()),
        (1_024, 1_024)
    );
    turn.pass(seconds(30));
    assert!(turn.is_clean());
    // Those that are taken are not counted, and not remembered for long.
    for _ in 0..4_000 {
        let answer = turn.ask(client(1), METHOD_ALLOCATE, even);
        let token = answer.value(ATTR_RESERVATION_TOKEN).unwrap();
        let bring: Attributes<'_> = &[
            (ATTR_REQUESTED_TRANSPORT, &UDP),
            (ATTR_RESERVATION_TOKEN, &token),
        ];
        assert_eq!(turn.ask(client(2), METHOD_ALLOCATE, bring).code(), 200);
        turn.refresh(client(1), 0);
        turn.refresh(client(2), 0);
    }
    assert!(turn.is_clean());
    // Deadlines of allocations, ends told of once more, reservations: each has its own bound.
    assert!(turn.core.remembered() < 4_500, "{}", turn.core.remembered());
}

#[test]
fn quotas_are_486_and_a_lack_of_ports_is_508() {
    let limits = Limits {
        allocations_per_user: 2,
        ..users().limits
    };
    let mut turn = TurnTest::with(Settings { limits, ..users() });
    turn.allocate(client(1));
    turn.allocate(client(2));
    let transport: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP)];
    assert_eq!(turn.ask(client(3), METHOD_ALLOCATE, transport).code(), 486);
    assert_eq!(
        turn.ask_as(client(3), BO, METHOD_ALLOCATE, transport)
            .code(),
        200
    );
    turn.refresh(client(1), 0);
    turn.allocate(client(4));
    let limits = Limits {
        allocations: 2,
        ..users().limits
    };
    let mut turn = TurnTest::with(Settings { limits, ..users() });
    turn.allocate(client(1));
    turn.allocate(client(2));
    assert_eq!(turn.ask(client(3), METHOD_ALLOCATE, transport).code(), 508);
    assert_eq!(turn.refresh(client(2), 600).code(), 200);
    let mut turn = TurnTest::with(Settings {
        relay_ports: PortRange {
            min: 50_001,
            max: 50_003,
        },
        ..users()
    });
    for n in 0..3 {
        turn.allocate(client(n));
    }
    assert_eq!(turn.ask(client(3), METHOD_ALLOCATE, transport).code(), 508);
    assert_eq!(turn.core.len(), 3);
    turn.refresh(client(1), 0);
    turn.allocate(client(3));
}

#[test]
fn a_source_address_has_its_own_quota_and_an_ipv6_one_is_a_64() {
    let limits = Limits {
        allocations_per_source: 2,
        ..users().limits
    };
    let mut turn = TurnTest::with(Settings { limits, ..users() });
    let from = |address: &str| Client {
        address: at(address),
        ..client(1)
    };
    let mut code = |who, address: &str| {
        let transport: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP)];
        turn.ask_as(from(address), who, METHOD_ALLOCATE, transport)
            .code()
    };
    assert_eq!(code(KIM, "203.0.113.1:1000"), 200);
    assert_eq!(code(BO, "203.0.113.1:1001"), 200);
    assert_eq!(code(KIM, "203.0.113.1:1002"), 486);
    assert_eq!(code(KIM, "203.0.113.2:1000"), 200);
    assert_eq!(code(KIM, "[2a00:1:2:3::1]:1000"), 200);
    assert_eq!(code(KIM, "[2a00:1:2:3:ffff::1]:1000"), 200);
    assert_eq!(code(BO, "[2a00:1:2:3:4:5:6:7]:1000"), 486);
    assert_eq!(code(BO, "[2a00:1:2:4::1]:1000"), 200);
}

#[test]
fn ports_that_others_hold_are_passed_over() {
    let mut turn = TurnTest::new();
    turn.refusing = 5;
    turn.allocate(client(1));
    turn.refusing = u32::MAX;
    let even: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP), (ATTR_EVEN_PORT, &[0x80])];
    assert_eq!(turn.ask(client(2), METHOD_ALLOCATE, even).code(), 508);
    turn.refusing = 0;
    turn.refresh(client(1), 0);
    assert!(turn.is_clean());
}

// ---- Refresh (RFC 8656 §8) ----

#[test]
fn an_allocation_ends_when_it_is_not_refreshed() {
    let mut turn = TurnTest::new();
    let relayed = turn.allocate(client(1));
    turn.permit(client(1), &[PEER]);
    turn.pass(seconds(599));
    assert_eq!(turn.refresh(client(1), 700).lifetime(), 700);
    turn.pass(seconds(699));
    assert_eq!(turn.permit(client(1), &[PEER]), 200);
    assert!(turn.reaches(client(1), PEER));
    assert!(turn.peer_sends(relayed, PEER, b"x").is_some());
    assert_eq!(turn.core.next_deadline(), Some(turn.now.at + seconds(1)));
    turn.pass(seconds(1));
    assert!(!turn.reaches(client(1), PEER));
    assert_eq!(turn.refresh(client(1), 600).code(), 437);
    assert!(turn.is_clean());
}

#[test]
fn nothing_passes_after_the_end_even_before_it_is_swept() {
    let mut turn = TurnTest::new();
    let relayed = turn.allocate(client(1));
    turn.now.at += seconds(301);
    turn.permit(client(1), &[PEER]);
    turn.bind(client(1), 0x4000, at(PEER));
    turn.now.at += seconds(299);
    assert!(turn.channel_data(client(1), 0x4000, b"late").is_none());
    assert!(turn.send(client(1), at(PEER), b"late").is_none());
    assert!(turn.peer_sends(relayed, PEER, b"late").is_none());
    assert_eq!(turn.permit(client(1), &[PEER]), 437);
}

#[test]
fn refresh_with_no_lifetime_ends_the_allocation() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    let answer = turn.refresh(client(1), 0);
    assert_eq!((answer.code(), answer.lifetime()), (200, 0));
    assert!(turn.is_clean());
}

#[test]
fn refresh_of_a_family_concerns_that_family() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    let v6: Attributes<'_> = &[
        (ATTR_REQUESTED_ADDRESS_FAMILY, &V6_FAMILY),
        (ATTR_LIFETIME, &[0; 4]),
    ];
    assert_eq!(turn.ask(client(1), METHOD_REFRESH, v6).code(), 443);
    let both: Attributes<'_> = &[
        (ATTR_REQUESTED_TRANSPORT, &UDP),
        (ATTR_ADDITIONAL_ADDRESS_FAMILY, &V6_FAMILY),
    ];
    turn.ask(client(2), METHOD_ALLOCATE, both);
    assert_eq!(turn.permit(client(2), &[PEER, PEER_V6]), 200);
    assert!(turn.reaches(client(2), PEER_V6));
    assert_eq!(turn.ask(client(2), METHOD_REFRESH, v6).code(), 200);
    assert!(!turn.reaches(client(2), PEER_V6));
    assert!(turn.reaches(client(2), PEER));
    assert_eq!(turn.permit(client(2), &[PEER_V6]), 443);
    assert_eq!(turn.ask(client(2), METHOD_REFRESH, v6).code(), 443);
    assert_eq!(turn.open.len(), 2);
}

// ---- permissions (RFC 8656 §9, §10) ----

#[test]
fn nothing_passes_without_a_permission() {
    let mut turn = TurnTest::new();
    let relayed = turn.allocate(client(1));
    assert!(!turn.reaches(client(1), PEER));
    assert!(turn.peer_sends(relayed, PEER, b"x").is_none());
    assert_eq!(turn.permit(client(1), &[PEER]), 200);
    assert!(turn.reaches(client(1), PEER));
    assert!(
        turn.reaches(client(1), "8.8.8.8:9999"),
        "a permission is for an address, whatever the port"
    );
    assert!(!turn.reaches(client(1), "8.8.8.8:1023"));
    assert!(!turn.reaches(client(1), OTHER_PEER));
    assert!(turn.peer_sends(relayed, OTHER_PEER, b"x").is_none());
    assert!(turn.peer_sends(relayed, "8.8.8.8:1023", b"x").is_none());
    assert!(turn.peer_sends(relayed, PEER, b"x").is_some());
    assert!(!turn.reaches(client(2), PEER), "another client");
}

#[test]
fn services_are_refused_when_a_peer_is_named() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    for service in ["8.8.8.8:1", "8.8.8.8:53", "8.8.8.8:1023"] {
        assert_eq!(turn.permit(client(1), &[service]), 403, "{service}");
        assert_eq!(turn.bind(client(1), 0x4000, at(service)), 403, "{service}");
    }
    assert!(
        !turn.reaches(client(1), "8.8.8.8:1024"),
        "nothing was granted"
    );
    assert_eq!(
        turn.permit(client(1), &["8.8.8.8:0"]),
        200,
        "no port is named"
    );
    assert!(turn.reaches(client(1), "8.8.8.8:1024"));
}

#[test]
fn a_permission_ends_after_five_minutes() {
    let mut turn = TurnTest::new();
    let relayed = turn.allocate(client(1));
    turn.permit(client(1), &[PEER]);
    turn.pass(seconds(299));
    assert!(turn.peer_sends(relayed, PEER, b"in time").is_some());
    turn.pass(seconds(1));
    assert!(turn.peer_sends(relayed, PEER, b"late").is_none());
    assert!(!turn.reaches(client(1), PEER));
    turn.permit(client(1), &[PEER]);
    turn.pass(seconds(200));
    turn.permit(client(1), &[PEER]);
    turn.pass(seconds(99));
    assert!(turn.reaches(client(1), PEER), "refreshed");
}

#[test]
fn permissions_are_installed_all_or_none() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    assert_eq!(turn.permit(client(1), &[]), 400);
    assert_eq!(turn.permit(client(1), &[PEER, "127.0.0.1:5000"]), 403);
    assert!(!turn.reaches(client(1), PEER));
    assert_eq!(turn.permit(client(1), &[PEER, PEER_V6]), 443);
    assert!(!turn.reaches(client(1), PEER));
    assert_eq!(turn.permit(client(1), &[PEER, OTHER_PEER]), 200);
    assert!(turn.reaches(client(1), PEER) && turn.reaches(client(1), OTHER_PEER));
    let malformed: Attributes<'_> = &[(ATTR_XOR_PEER_ADDRESS, &[0, 1, 0, 0])];
    assert_eq!(
        turn.ask(client(1), METHOD_CREATE_PERMISSION, malformed)
            .code(),
        400
    );
}

#[test]
fn permissions_and_channels_are_bounded() {
    let limits = Limits {
        permissions_per_allocation: 3,
        channels_per_allocation: 2,
        ..users().limits
    };
    let mut turn = TurnTest::with(Settings { limits, ..users() });
    turn.allocate(client(1));
    assert_eq!(
        turn.permit(
            client(1),
            &[
                "8.8.0.1:5001",
                "8.8.0.2:5001",
                "8.8.0.3:5001",
                "8.8.0.4:5001"
            ]
        ),
        508
    );
    assert_eq!(
        turn.permit(
            client(1),
            &[
                "8.8.0.1:5001",
                "8.8.0.1:5002",
                "8.8.0.2:5001",
                "8.8.0.3:5001"
            ]
        ),
        200
    );
    assert_eq!(turn.permit(client(1), &["8.8.0.4:5001"]), 508);
    assert_eq!(turn.permit(client(1), &["8.8.0.3:5001"]), 200);
    assert_eq!(turn.bind(client(1), 0x4000, at("8.8.0.1:5000")), 200);
    assert_eq!(turn.bind(client(1), 0x4001, at("8.8.0.1:5001")), 200);
    assert_eq!(turn.bind(client(1), 0x4002, at("8.8.0.1:5002")), 508);
    assert_eq!(turn.bind(client(1), 0x4001, at("8.8.0.1:5001")), 200);
    turn.pass(seconds(300));
    assert_eq!(turn.permit(client(1), &["8.8.0.4:5001"]), 200);
}

// ---- peers that are refused (and what coturn once let through) ----

/// That none of these can be made a peer or reached, nor reaches a client that has relayed addresses of both families.
fn assert_no_peers(turn: &mut TurnTest, peers: &[&str]) {
    let both: Attributes<'_> = &[
        (ATTR_REQUESTED_TRANSPORT, &UDP),
        (ATTR_ADDITIONAL_ADDRESS_FAMILY, &V6_FAMILY),
    ];
    let relayed = turn.ask(client(1), METHOD_ALLOCATE, both).all_relayed();
    for peer in peers {
        assert_eq!(turn.permit(client(1), &[peer]), 403, "{peer}");
        assert_eq!(turn.permit(client(1), &[PEER, peer]), 403, "{peer}");
        assert_eq!(turn.bind(client(1), 0x4000, at(peer)), 403, "{peer}");
        assert!(!turn.reaches(client(1), peer), "{peer}");
        assert!(turn.channel_data(client(1), 0x4000, b"data").is_none());
        for &relayed in &relayed {
            assert_eq!(turn.peer_sends(relayed, peer, b"data"), None, "{peer}");
        }
    }
    assert!(!turn.reaches(client(1), PEER), "all or none");
}

#[test]
fn the_unspecified_address_and_loopback_are_no_peers() {
    // CVE-2020-26262: loopback was refused, but 0.0.0.0, [::] and [::1] lead there as well.
    let peers = [
        "0.0.0.0:5000",
        "[::]:5000",
        "[::1]:5000",
        "127.0.0.1:5000",
        "127.255.255.254:5000",
        "0.1.2.3:5000",
    ];
    assert_no_peers(&mut TurnTest::new(), &peers);
}

#[test]
fn ipv4_addresses_written_as_ipv6_ones_are_no_peers() {
    // CVE-2026-27624: ::ffff:127.0.0.1 passed where 127.0.0.0/8 was refused. The other ways to carry an IPv4 address
    // are as good.
    let peers = [
        "[::ffff:127.0.0.1]:5000",
        "[::ffff:0.0.0.0]:5000",
        "[::ffff:10.0.0.1]:5000",
        "[::ffff:169.254.169.254]:5000",
        "[::ffff:198.41.0.4]:5000",
        "[::127.0.0.1]:5000",
        "[::10.0.0.1]:5000",
        "[::ffff:0:10.0.0.1]:5000",
        "[64:ff9b::127.0.0.1]:5000",
        "[64:ff9b::a00:1]:5000",
        "[2002:7f00:1::1]:5000",
        "[2002:a00:1::]:5000",
        // Teredo, its server and its client.
        "[2001:0:a00:1:0:0:f7f7:f7f7]:5000",
        "[2001:0:808:808:0:0:f5ff:fffe]:5000",
    ];
    assert_no_peers(&mut TurnTest::new(), &peers);
    // What the operator refuses to lift stays refused, whatever else is lifted.
    let allow_peers = vec!["10.0.0.0/8".parse().unwrap()];
    let mut turn = TurnTest::with(Settings {
        allow_peers,
        ..users()
    });
    assert_no_peers(&mut turn, &["127.0.0.1:5000", "[::ffff:127.0.0.1]:5000"]);
}

#[test]
fn peers_that_are_not_the_public_internet_are_403() {
    let peers = [
        "10.0.0.1:5000",
        "100.64.0.1:5000",
        "168.63.129.16:5000",
        "169.254.169.254:5000",
        "172.16.0.1:5000",
        "192.0.0.9:5000",
        "192.0.2.1:5000",
        "192.88.99.1:5000",
        "192.168.0.1:5000",
        "198.18.0.1:5000",
        "198.51.100.1:5000",
        "203.0.113.1:5000",
        "224.0.0.1:5000",
        "240.0.0.1:5000",
        "255.255.255.255:5000",
        "[64:ff9b:1::1]:5000",
        "[100::1]:5000",
        "[2001:2::1]:5000",
        "[2001:10::1]:5000",
        "[2001:20::1]:5000",
        "[2001:db8::1]:5000",
        "[3fff::1]:5000",
        "[5f00::1]:5000",
        "[fc00::1]:5000",
        "[fd00:ec2::254]:5000",
        "[fe80::1]:5000",
        "[fec0::1]:5000",
        "[ff02::1]:5000",
        // This machine's own addresses, where no relayed port lives.
        "198.41.0.4:22",
        "198.41.0.4:50000",
        "[2a00:ffff::4]:5000",
    ];
    assert_no_peers(&mut TurnTest::new(), &peers);
}

#[test]
fn what_the_operator_lifts_may_be_reached_at_any_port() {
    let allow_peers = vec![
        "10.0.0.0/8".parse().unwrap(),
        "198.41.0.4/32".parse().unwrap(),
    ];
    let mut turn = TurnTest::with(Settings {
        allow_peers,
        ..users()
    });
    turn.allocate(client(1));
    assert_eq!(
        turn.permit(client(1), &["10.1.2.3:80", "198.41.0.4:80"]),
        200
    );
    assert!(turn.reaches(client(1), "10.1.2.3:22"));
    assert!(turn.reaches(client(1), "198.41.0.4:53"));
    assert_eq!(
        turn.permit(client(1), &["11.0.0.1:5000", "192.168.0.1:5000"]),
        403
    );
}

#[test]
fn addresses_that_become_ours_are_refused() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    turn.core.on_own_addresses(vec![at(PEER).ip()]);
    assert_eq!(turn.permit(client(1), &[PEER]), 403);
}

// ---- channels (RFC 8656 §12) ----

#[test]
fn a_channel_carries_data_both_ways() {
    let mut turn = TurnTest::new();
    let relayed = turn.allocate(client(1));
    assert_eq!(turn.bind(client(1), 0x4001, at(PEER)), 200);
    let forward = turn.channel_data(client(1), 0x4001, b"hello").unwrap();
    assert_eq!(
        forward.to,
        Destination::Peer {
            relay: turn.relay_of(relayed),
            peer: at(PEER)
        }
    );
    assert!(forward.head.as_bytes().is_empty());
    let (to, bytes) = turn.peer_sends(relayed, PEER, b"world").unwrap();
    assert_eq!(
        (to, &bytes[..]),
        (client(1), &b"\x40\x01\x00\x05world"[..]),
        "no padding over UDP"
    );
    let (_, bytes) = turn
        .peer_sends(relayed, "8.8.8.8:5001", b"other port")
        .unwrap();
    let message = wire::Message::read(&bytes).unwrap();
    assert_eq!(message.kind(), wire::DATA_INDICATION);
    assert_eq!(wire::Send::read(&message).unwrap().peer, at("8.8.8.8:5001"));
    assert!(turn.channel_data(client(1), 0x4002, b"unbound").is_none());
    assert!(
        turn.channel_data(client(2), 0x4001, b"another client")
            .is_none()
    );
    assert!(
        turn.reaches(client(1), "8.8.8.8:7"[..].replace(":7", ":7777").as_str()),
        "it is a permission too"
    );
}

#[test]
fn channel_numbers_are_those_of_the_rfc() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    for number in [0, 0x3FFF, 0x5000, 0x7FFF, 0x8000, 0xFFFF] {
        assert_eq!(turn.bind(client(1), number, at(PEER)), 400, "{number:#x}");
    }
    assert_eq!(turn.bind(client(1), 0x4000, at(PEER)), 200);
    assert_eq!(turn.bind(client(1), 0x4FFF, at(OTHER_PEER)), 200);
    let bind: Attributes<'_> = &[(ATTR_CHANNEL_NUMBER, &[0x40, 5, 0, 0])];
    assert_eq!(
        turn.ask(client(1), METHOD_CHANNEL_BIND, bind).code(),
        400,
        "no peer"
    );
}

#[test]
fn an_old_client_that_marks_its_messages_may_bind_the_old_numbers() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    for (number, code) in [(0x5000, 200), (0x7FFF, 200), (0x8000, 400), (0x3FFF, 400)] {
        let mut message =
            turn.bind_request(client(1), number, SocketAddr::new(at(PEER).ip(), number));
        FINGERPRINT.add_to(&mut message).unwrap();
        assert_eq!(
            turn.answer(client(1), &message.raw).code(),
            code,
            "{number:#x}"
        );
    }
    assert!(turn.channel_data(client(1), 0x7FFF, b"data").is_some());
}

#[test]
fn a_channel_is_for_one_peer_and_a_peer_for_one_channel() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    assert_eq!(turn.bind(client(1), 0x4000, at(PEER)), 200);
    assert_eq!(turn.bind(client(1), 0x4000, at(OTHER_PEER)), 400);
    assert_eq!(turn.bind(client(1), 0x4001, at(PEER)), 400);
    assert_eq!(
        turn.bind(client(1), 0x4001, at("8.8.8.8:5001")),
        200,
        "another port is another peer"
    );
    assert_eq!(turn.bind(client(1), 0x4002, at(PEER_V6)), 443);
    turn.refresh(client(1), 3_600);
    turn.pass(seconds(599));
    assert_eq!(turn.bind(client(1), 0x4000, at(OTHER_PEER)), 400);
    turn.pass(seconds(1));
    assert_eq!(turn.bind(client(1), 0x4000, at(OTHER_PEER)), 200);
    assert_eq!(turn.bind(client(1), 0x4003, at(PEER)), 200);
}

#[test]
fn a_channel_ends_after_ten_minutes_and_needs_its_permission() {
    let mut turn = TurnTest::new();
    let relayed = turn.allocate(client(1));
    turn.refresh(client(1), 3_600);
    turn.bind(client(1), 0x4000, at(PEER));
    turn.pass(seconds(300));
    assert!(
        turn.channel_data(client(1), 0x4000, b"x").is_none(),
        "the permission has ended"
    );
    turn.permit(client(1), &[PEER]);
    assert!(turn.channel_data(client(1), 0x4000, b"x").is_some());
    turn.pass(seconds(299));
    assert_eq!(turn.peer_sends(relayed, PEER, b"x").unwrap().1[0], 0x40);
    turn.pass(seconds(1));
    turn.permit(client(1), &[PEER]);
    assert!(turn.channel_data(client(1), 0x4000, b"x").is_none());
    assert_eq!(
        turn.peer_sends(relayed, PEER, b"x").unwrap().1[0],
        0x00,
        "an indication again"
    );
    turn.bind(client(1), 0x4000, at(PEER));
    turn.pass(seconds(299));
    turn.bind(client(1), 0x4000, at(PEER));
    turn.pass(seconds(299));
    assert!(
        turn.channel_data(client(1), 0x4000, b"x").is_some(),
        "rebound"
    );
}

// ---- indications (RFC 8656 §11) ----

#[test]
fn send_asks_for_what_it_needs() {
    let mut turn = TurnTest::new();
    turn.allocate(client(1));
    turn.permit(client(1), &[PEER]);
    let mut send = |attributes: Attributes<'_>| {
        let mut message = build(METHOD_SEND, [0; 12], attributes);
        message.set_type(MessageType::new(METHOD_SEND, CLASS_INDICATION));
        turn.packet(client(1), &message.raw)
    };
    let peer = xor(at(PEER), [0; 12]);
    assert!(send(&[(ATTR_XOR_PEER_ADDRESS, &peer)]).is_none());
    assert!(send(&[(ATTR_DATA, b"x")]).is_none());
    assert!(
        send(&[
            (ATTR_XOR_PEER_ADDRESS, &peer),
            (ATTR_DATA, b"x"),
            (AttrType(0x7FF0), b"")
        ])
        .is_none()
    );
    assert!(
        send(&[
            (ATTR_XOR_PEER_ADDRESS, &peer),
            (ATTR_DATA, b"x"),
            (AttrType(0x8FF0), b"")
        ])
        .is_some()
    );
    let empty = send(&[(ATTR_XOR_PEER_ADDRESS, &peer), (ATTR_DATA, b"")]).unwrap();
    assert_eq!(empty.payload.len(), 0);
    assert!(!empty.dont_fragment);
    let whole = send(&[
        (ATTR_XOR_PEER_ADDRESS, &peer),
        (ATTR_DATA, b"x"),
        (ATTR_DONT_FRAGMENT, b""),
    ])
    .unwrap();
    assert!(whole.dont_fragment);
}

#[test]
fn dont_fragment_is_understood_in_allocate() {
    let mut turn = TurnTest::new();
    let attributes: Attributes<'_> = &[(ATTR_REQUESTED_TRANSPORT, &UDP), (ATTR_DONT_FRAGMENT, b"")];
    assert_eq!(turn.ask(client(1), METHOD_ALLOCATE, attributes).code(), 200);
}

#[test]
fn icmp_errors_are_told_to_who_may_reach_the_peer() {
    let mut turn = TurnTest::new();
    let relayed = turn.allocate(client(1));
    let relay = turn.relay_of(relayed);
    turn.core.on_icmp(relay, at(PEER), 3, 3, 0, turn.now);
    turn.settle();
    turn.permit(client(1), &[PEER]);
    turn.sent.clear();
    turn.core.on_icmp(relay, at(PEER), 3, 4, 1_400, turn.now);
    turn.settle();
    let [(to, bytes)] = &turn.sent[..] else {
        panic!("{:?}", turn.sent)
    };
    assert_eq!(*to, client(1));
    let message = wire::Message::read(bytes).unwrap();
    assert_eq!(message.kind(), wire::DATA_INDICATION);
    assert_eq!(
        message.find(0x8004).unwrap().value,
        [0, 0, 3, 4, 0, 0, 5, 120]
    );
    assert!(message.find(0x0013).is_none(), "no DATA");
}

// ---- two clients of this server ----

#[test]
fn two_clients_of_this_server_are_joined() {
    let mut turn = TurnTest::new();
    let (a, b) = (client(1), client(2));
    let (at_a, at_b) = (turn.allocate(a), turn.allocate(b));
    assert_eq!(
        turn.permit_addresses(a, &[at_b]),
        200,
        "our own address, but a live relayed port"
    );
    assert!(
        turn.send(a, at_b, b"hello").is_none(),
        "b has not permitted a"
    );
    assert_eq!(turn.bind(b, 0x4000, at_a), 200);
    let forward = turn.send(a, at_b, b"hello").unwrap();
    assert_eq!(
        delivered(&forward, b"hello"),
        (b, b"\x40\x00\x00\x05hello".to_vec())
    );
    let forward = turn.channel_data(b, 0x4000, b"world").unwrap();
    let (to, bytes) = delivered(&forward, b"world");
    assert_eq!(to, a);
    let send = wire::Send::read(&wire::Message::read(&bytes).unwrap()).unwrap();
    assert_eq!((send.peer, &bytes[send.data]), (at_b, &b"world"[..]));
    turn.refresh(b, 0);
    assert!(
        turn.send(a, at_b, b"gone").is_none(),
        "what listens on our own address is not for strangers"
    );
    assert_eq!(turn.permit_addresses(a, &[at_b]), 403);
}

#[test]
fn clients_of_other_workers_are_handed_over() {
    let mut turn = TurnTest::new();
    let mut other = Allocations::new(Arc::clone(&turn.shared), 1);
    let (a, b) = (client(1), client(2));
    let at_a = turn.allocate(a);
    std::mem::swap(&mut turn.core, &mut other);
    let opened_by_first = std::mem::take(&mut turn.open);
    let at_b = turn.allocate(b);
    assert_eq!(turn.permit_addresses(b, &[at_a]), 200);
    let forward = turn.send(b, at_a, b"hello").unwrap();
    let Destination::Worker { holder, to, from } = forward.to else {
        panic!("{forward:?}")
    };
    assert_eq!((holder.worker, to, from), (0, at_a, at_b));
    std::mem::swap(&mut turn.core, &mut other);
    turn.open = opened_by_first;
    let now = turn.now;
    assert!(
        turn.core
            .on_handed_over(holder.slot, to, from, 5, now)
            .is_none(),
        "no permission"
    );
    assert_eq!(turn.permit_addresses(a, &[at_b]), 200);
    let forward = turn
        .core
        .on_handed_over(holder.slot, to, from, 5, now)
        .unwrap();
    assert_eq!(forward.to, Destination::Client(a));
    let elsewhere = SocketAddr::new(to.ip(), to.port() ^ 1);
    assert!(
        turn.core
            .on_handed_over(holder.slot, elsewhere, from, 5, now)
            .is_none()
    );
}

// ---- limits ----

#[test]
fn what_a_user_relays_is_limited() {
    let per_user = Rate {
        bytes: None,
        packets: Some(100),
    };
    let limits = Limits {
        per_user,
        ..users().limits
    };
    let mut turn = TurnTest::with(Settings { limits, ..users() });
    turn.allocate(client(1));
    turn.permit(client(1), &[PEER]);
    let passed = (0..1_000).filter(|_| turn.reaches(client(1), PEER)).count();
    assert!((50..=52).contains(&passed), "{passed}");
    turn.pass(seconds(1));
    assert!(turn.reaches(client(1), PEER));
}

#[test]
fn strangers_get_no_more_than_they_send_beyond_a_rate() {
    let limits = Limits {
        unauthenticated_answers: 10,
        ..users().limits
    };
    let mut turn = TurnTest::with(Settings { limits, ..users() });
    let challenge = build(
        METHOD_ALLOCATE,
        [7; 12],
        &[(ATTR_REQUESTED_TRANSPORT, &UDP)],
    )
    .raw;
    let mut answered = 0;
    for _ in 0..1_000 {
        for answer in turn.answers(client(1), &challenge) {
            answered += usize::from(answer.0.raw.len() * 2 > challenge.len() * 3);
        }
    }
    assert_eq!(answered, 100);
    let padded = build(METHOD_BINDING, [7; 12], &[(ATTR_SOFTWARE, &[b'x'; 40])]).raw;
    assert_eq!(
        turn.answers(client(1), &padded).len(),
        1,
        "an answer that is shorter is always given"
    );
    let mut on_stream = client(1);
    on_stream.transport = Transport::Tcp;
    assert_eq!(
        turn.answers(on_stream, &challenge).len(),
        1,
        "a stream's address is no forgery"
    );
    let mut elsewhere = client(1);
    elsewhere.address = at("198.51.100.7:7");
    assert_eq!(turn.answers(elsewhere, &challenge).len(), 1);
}

#[test]
fn answers_that_are_not_worth_forging_use_up_nothing() {
    let limits = Limits {
        unauthenticated_answers: 10,
        ..users().limits
    };
    let mut turn = TurnTest::with(Settings { limits, ..users() });
    let binding = build(METHOD_BINDING, [7; 12], &[(ATTR_SOFTWARE, &[b'x'; 40])]).raw;
    for _ in 0..1_000 {
        assert_eq!(turn.answers(client(1), &binding).len(), 1);
    }
    let challenge = build(
        METHOD_ALLOCATE,
        [7; 12],
        &[(ATTR_REQUESTED_TRANSPORT, &UDP)],
    )
    .raw;
    let answered = (0..1_000)
        .filter(|_| !turn.answers(client(1), &challenge).is_empty())
        .count();
    assert_eq!(answered, 100, "the challenges have their whole share");
}

#[test]
fn strangers_leave_nothing_behind() {
    let mut turn = TurnTest::new();
    for n in 0..20_000u32 {
        let mut from = client(1);
        from.address = SocketAddr::from((
            std::net::Ipv4Addr::from_bits(0x0800_0000 + n * 7),
            1_024 + n as u16,
        ));
        let _ =
            turn.core
                .on_client_packet(&from, &build(METHOD_ALLOCATE, [7; 12], &[]).raw, turn.now);
        while turn.core.next_effect().is_some() {}
    }
    assert!(turn.is_clean());
    assert_eq!(turn.core.next_deadline(), None);
}

#[test]
fn allocating_and_ending_in_a_loop_leaves_nothing_behind() {
    let mut turn = TurnTest::new();
    for _ in 0..3_000 {
        turn.allocate(client(1));
        turn.refresh(client(1), 0);
    }
    assert!(turn.is_clean());
    assert!(
        turn.core.remembered() < 4_000,
        "{} deadlines and ended",
        turn.core.remembered()
    );
}

// ---- everything at once ----

#[derive(Debug, Clone)]
enum Step {
    Pass(u32),
    Allocate(u8),
    Refresh(u8, u32),
    Permit(u8, u8),
    Bind(u8, u8, u8),
    Send(u8, u8),
    Channel(u8, u8),
    Peer(u8, u8),
    Gone(u8),
    Noise(u8, Vec<u8>),
}

fn any_step() -> impl Strategy<Value = Step> {
    let who = 0u8..4;
    let peer = 0u8..4;
    prop_oneof![
        (0u32..400).prop_map(Step::Pass),
        who.clone().prop_map(Step::Allocate),
        (who.clone(), prop_oneof![Just(0u32), Just(600), Just(3_600)])
            .prop_map(|(w, l)| Step::Refresh(w, l)),
        (who.clone(), peer.clone()).prop_map(|(w, p)| Step::Permit(w, p)),
        (who.clone(), 0u8..3, peer.clone()).prop_map(|(w, c, p)| Step::Bind(w, c, p)),
        (who.clone(), peer.clone()).prop_map(|(w, p)| Step::Send(w, p)),
        (who.clone(), 0u8..3).prop_map(|(w, c)| Step::Channel(w, c)),
        (who.clone(), peer).prop_map(|(w, p)| Step::Peer(w, p)),
        who.clone().prop_map(Step::Gone),
        (who, proptest::collection::vec(any::<u8>(), 0..80)).prop_map(|(w, b)| Step::Noise(w, b)),
    ]
}

/// What should be, kept in the plainest way: when each thing ends.
#[derive(Default)]
struct Model {
    allocation: Option<u64>,
    relayed: Option<SocketAddr>,
    permissions: HashMap<u8, u64>,
    channels: HashMap<u8, (u8, u64)>,
}

impl Model {
    fn permits(&self, peer: u8, now: u64) -> bool {
        self.allocation.is_some_and(|until| until > now)
            && self
                .permissions
                .get(&peer)
                .is_some_and(|until| *until > now)
    }
}

#[test]
fn a_shorter_refresh_ends_the_allocation_when_it_says() {
    let mut turn = TurnTest::new();
    let kim = client(1);
    turn.ask(kim, METHOD_ALLOCATE, &[(ATTR_REQUESTED_TRANSPORT, &UDP)]);
    for _ in 0..3 {
        // The long one is what the deadline is set by; then it is shortened and prolonged once more.
        assert_eq!(turn.refresh(kim, 3_600).code(), 200);
        turn.pass(seconds(599));
        turn.nonces.clear();
        assert_eq!(turn.refresh(kim, 600).code(), 200);
        turn.pass(seconds(599));
        turn.nonces.clear();
        assert_eq!(turn.core.len(), 1);
    }
    turn.pass(seconds(1));
    assert!(turn.is_clean());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_core_does_what_a_plain_model_says(steps in proptest::collection::vec(any_step(), 1..60)) {
        let mut turn = TurnTest::new();
        let mut models: Vec<Model> = (0..4).map(|_| Model::default()).collect();
        let mut now = 0u64;
        let peer_of = |n: u8| SocketAddr::from(([8, 8, 4, n], 7_000));
        for step in steps {
            // Nonces are refreshed as a client would.
            turn.nonces.clear();
            match step {
                Step::Pass(time) => {
                    now += u64::from(time);
                    turn.pass(seconds(u64::from(time)));
                }
                Step::Allocate(w) => {
                    let model = &mut models[usize::from(w)];
                    let answer = turn.ask(client(w.into()), METHOD_ALLOCATE, &[(ATTR_REQUESTED_TRANSPORT, &UDP)]);
                    let held = model.allocation.is_some_and(|until| until > now);
                    prop_assert_eq!(answer.code(), if held { 437 } else { 200 });
                    if !held {
                        *model = Model { allocation: Some(now + 600), relayed: Some(answer.relayed()), ..Model::default() };
                    }
                }
                Step::Refresh(w, lifetime) => {
                    let model = &mut models[usize::from(w)];
                    let held = model.allocation.is_some_and(|until| until > now);
                    let code = turn.refresh(client(w.into()), lifetime).code();
                    prop_assert_eq!(code, if held { 200 } else { 437 });
                    if held {
                        model.allocation = (lifetime > 0).then_some(now + u64::from(lifetime));
                    }
                }
                Step::Permit(w, p) => {
                    let model = &mut models[usize::from(w)];
                    let held = model.allocation.is_some_and(|until| until > now);
                    let code = turn.permit_addresses(client(w.into()), &[peer_of(p)]);
                    prop_assert_eq!(code, if held { 200 } else { 437 });
                    if held {
                        model.permissions.insert(p, now + 300);
                    }
                }
                Step::Bind(w, c, p) => {
                    let model = &mut models[usize::from(w)];
                    let held = model.allocation.is_some_and(|until| until > now);
                    let clash = model.channels.iter().any(|(number, (peer, until))| {
                        *until > now && ((*number == c) != (*peer == p))
                    });
                    let code = turn.bind(client(w.into()), 0x4000 + u16::from(c), peer_of(p));
                    prop_assert_eq!(code, if !held { 437 } else if clash { 400 } else { 200 });
                    if code == 200 {
                        model.channels.insert(c, (p, now + 600));
                        model.permissions.insert(p, now + 300);
                    }
                }
                Step::Send(w, p) => {
                    let sent = turn.send(client(w.into()), peer_of(p), b"data").is_some();
                    prop_assert_eq!(sent, models[usize::from(w)].permits(p, now));
                }
                Step::Channel(w, c) => {
                    let model = &models[usize::from(w)];
                    let sent = turn.channel_data(client(w.into()), 0x4000 + u16::from(c), b"data");
                    let bound = model.channels.get(&c).filter(|(_, until)| *until > now);
                    let expected = bound.filter(|(p, _)| model.permits(*p, now)).map(|(p, _)| peer_of(*p));
                    let to = sent.map(|forward| match forward.to {
                        Destination::Peer { peer, .. } => peer,
                        other => panic!("{other:?}"),
                    });
                    prop_assert_eq!(to, expected);
                }
                Step::Peer(w, p) => {
                    let model = &models[usize::from(w)];
                    if model.allocation.is_some_and(|until| until > now) && let Some(relayed) = model.relayed {
                        let got = turn.peer_sends(relayed, &peer_of(p).to_string(), b"data");
                        prop_assert_eq!(got.as_ref().map(|(to, _)| *to), model.permits(p, now).then_some(client(w.into())));
                    }
                }
                Step::Gone(w) => {
                    turn.core.on_client_gone(&client(w.into()));
                    turn.settle();
                    models[usize::from(w)] = Model::default();
                }
                Step::Noise(w, bytes) => {
                    prop_assert!(turn.packet(client(w.into()), &bytes).is_none());
                }
            }
            let held = models.iter().filter(|model| model.allocation.is_some_and(|until| until > now)).count();
            prop_assert_eq!(turn.core.len(), held, "no state outlives its lifetime");
            prop_assert_eq!(turn.open.len(), held);
            prop_assert_eq!(turn.shared.ports.taken(), held);
        }
        turn.pass(seconds(3_600));
        prop_assert!(turn.is_clean(), "everything allocated is freed");
    }

    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let mut turn = TurnTest::new();
        turn.packet(client(1), &bytes);
    }

    #[test]
    fn a_damaged_request_is_survived_and_changes_nothing(at_byte in 0usize..140, byte: u8) {
        let mut turn = TurnTest::new();
        let mut message = turn.sealed(client(1), KIM, METHOD_ALLOCATE, &[(ATTR_REQUESTED_TRANSPORT, &UDP)]);
        let at_byte = at_byte % message.raw.len();
        prop_assume!(message.raw[at_byte] != byte);
        message.raw[at_byte] = byte;
        turn.packet(client(1), &message.raw);
        prop_assert!(turn.is_clean());
    }
}
