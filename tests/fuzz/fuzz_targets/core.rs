//! The whole core: genuine and damaged requests, packets, peers and leaps in time, in any order. Nothing may pass
//! without a permission that was granted less than five minutes ago, and nothing may be left when all has ended.
#![no_main]

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use stun::attributes::*;
use stun::integrity::MessageIntegrity;
use stun::message::*;
use stun::xoraddr::XorMappedAddress;
use turnstone::turn::{
    Allocations, Client, Credentials, Destination, Effect, ExternalAddresses, ExternalIp, Family, FixedUser, Now, Open, PortRange,
    RelayId, Settings, Shared, Transport,
};

#[derive(Debug, Arbitrary)]
enum Step {
    Pass { seconds: u16 },
    Request { client: u8, kind: u8, channel: u8, peer: u8, lifetime: u16, extra: Vec<(u16, Vec<u8>)>, damage: Option<(u8, u8)> },
    Send { client: u8, peer: u8, len: u8 },
    Channel { client: u8, number: u8, len: u8 },
    Peer { client: u8, peer: u8 },
    Bytes { client: u8, bytes: Vec<u8> },
    Gone { client: u8 },
    Refuse { ports: u8 },
}

struct World {
    core: Allocations,
    shared: Arc<Shared>,
    now: Now,
    open: HashMap<RelayId, u16>,
    /// Reserved ports whose sockets wait for their clients.
    waiting: HashSet<(Family, u16)>,
    /// The last reservation that was granted.
    token: Vec<u8>,
    refuse: u8,
    /// When a request was last answered with success: by client and peer.
    granted: HashMap<(u8, u8), Instant>,
    last: Option<Vec<u8>>,
    id: u32,
}

fn client(n: u8) -> Client {
    Client {
        transport: if n % 2 == 0 { Transport::Udp } else { Transport::Tcp },
        via: u32::from(n % 4),
        address: SocketAddr::from(([203, 0, 113, n % 4 + 1], 4_000)),
        server: SocketAddr::from(([198, 41, 0, 4], 3_478)),
    }
}

fn peer(n: u8) -> SocketAddr {
    SocketAddr::from(([8, 8, 8, n % 4 + 1], 5_000))
}

impl World {
    fn settle(&mut self) {
        self.last = None;
        while let Some(effect) = self.core.next_effect() {
            match effect {
                Effect::Send { bytes, .. } => self.last = Some(bytes),
                Effect::OpenPort { relay, port, open } if self.refuse > 0 => {
                    self.refuse -= 1;
                    // A socket that waited and is of no use does not wait again.
                    if open == Open::Reserved {
                        assert!(self.waiting.remove(&(relay.family, port)));
                    }
                    self.core.on_port_refused(relay, self.now);
                }
                Effect::OpenPort { relay, port, open } => {
                    let next = (relay.family, port.wrapping_add(1));
                    match open {
                        Open::Alone => assert!(!self.waiting.contains(&(relay.family, port))),
                        Open::WithNext => assert!(self.waiting.insert(next)),
                        Open::Reserved => assert!(self.waiting.remove(&(relay.family, port))),
                    }
                    assert!(self.open.insert(relay, port).is_none());
                    self.core.on_port_opened(relay, self.now);
                }
                Effect::ClosePort { relay } => {
                    self.open.remove(&relay);
                }
                Effect::CloseReserved { family, port } => assert!(self.waiting.remove(&(family, port))),
            }
        }
    }

    fn packet(&mut self, from: u8, bytes: &[u8]) {
        let forward = self.core.on_client_packet(&client(from), bytes, self.now);
        self.settle();
        if let Some(forward) = forward {
            assert!(forward.payload.end <= bytes.len());
            if let Destination::Peer { relay, peer: to } = forward.to {
                assert!(self.open.contains_key(&relay), "sent from a port that is not open");
                let permitted = (0..4).any(|p| peer(p).ip() == to.ip() && self.permits(from, p));
                assert!(permitted, "{to} has no permission");
            }
        }
    }

    fn permits(&self, from: u8, to: u8) -> bool {
        let granted = self.granted.get(&(from % 4, to % 4));
        granted.is_some_and(|at| self.now.at - *at < Duration::from_secs(300))
    }

    fn nonce(&mut self, from: u8) -> Vec<u8> {
        self.request(from, METHOD_REFRESH, &[], None, None);
        let mut answer = Message::new();
        answer.unmarshal_binary(self.last.as_deref().unwrap_or_default()).ok();
        answer.get(ATTR_NONCE).unwrap_or_default()
    }

    fn request(
        &mut self,
        from: u8,
        method: Method,
        attributes: &[(AttrType, Vec<u8>)],
        nonce: Option<&[u8]>,
        damage: Option<(u8, u8)>,
    ) {
        let mut message = Message::new();
        message.set_type(MessageType::new(method, CLASS_REQUEST));
        message.write_header();
        message.transaction_id.0[8..].copy_from_slice(&self.id.to_be_bytes());
        message.write_transaction_id();
        for (kind, value) in attributes {
            message.add(*kind, value);
        }
        if let Some(nonce) = nonce {
            message.add(ATTR_USERNAME, b"kim");
            message.add(ATTR_REALM, b"turnstone");
            message.add(ATTR_NONCE, nonce);
            let key = MessageIntegrity::new_long_term_integrity("kim".into(), "turnstone".into(), "pw".into());
            // Refused by the crate after a FINGERPRINT; then the request goes without a seal.
            let _ = key.add_to(&mut message);
        }
        if let Some((at, byte)) = damage {
            let at = usize::from(at) % message.raw.len();
            message.raw[at] ^= byte;
        }
        let bytes = message.raw.clone();
        self.packet(from, &bytes);
    }

    fn succeeded(&self) -> bool {
        self.last.as_ref().is_some_and(|bytes| bytes.first() == Some(&1) && bytes.get(1).is_some_and(|b| b & 0x10 == 0))
    }
}

fn xor(address: SocketAddr) -> Vec<u8> {
    let mut message = Message::new();
    let address = XorMappedAddress { ip: address.ip(), port: address.port() };
    address.add_to_as(&mut message, ATTR_XOR_PEER_ADDRESS).unwrap();
    message.get(ATTR_XOR_PEER_ADDRESS).unwrap()
}

fuzz_target!(|steps: Vec<Step>| {
    let settings = Settings {
        users: vec![FixedUser { name: "kim".into(), password: "pw".into() }],
        // Few, so that they run out, and so that making the table does not take most of the time.
        relay_ports: PortRange { min: 50_000, max: 50_005 },
        ..Settings::default()
    };
    let credentials = Arc::new(Credentials::new(b"secret", &settings));
    let external = |ip: &str| Some(ExternalIp { public: ip.parse().unwrap(), local: None });
    let external = ExternalAddresses { v4: external("198.41.0.4"), v6: external("2a00::4"), own: Vec::new() };
    let start = Instant::now();
    let shared = Arc::new(Shared::new(settings, credentials, external, start).unwrap());
    let mut world = World {
        core: Allocations::new(Arc::clone(&shared), 0),
        shared,
        now: Now { at: start, unix: 1_700_000_000 },
        open: HashMap::new(),
        waiting: HashSet::new(),
        token: Vec::new(),
        refuse: 0,
        granted: HashMap::new(),
        last: None,
        id: 0,
    };
    for step in steps.into_iter().take(64) {
        match step {
            Step::Pass { seconds } => {
                world.now.at += Duration::from_secs(u64::from(seconds % 2_000));
                world.core.on_time(world.now);
                world.settle();
            }
            Step::Request { client, kind, channel, peer: to, lifetime, extra, damage } => {
                let nonce = world.nonce(client);
                world.id += 1;
                // The id is 0 in its first bytes, so that an IPv4 peer needs no other mask than the cookie.
                let to_attribute = (ATTR_XOR_PEER_ADDRESS, xor(peer(to)));
                let transport = (ATTR_REQUESTED_TRANSPORT, vec![17, 0, 0, 0]);
                let (method, mut attributes) = match kind % 6 {
                    0 => (METHOD_ALLOCATE, vec![transport]),
                    4 => (METHOD_ALLOCATE, vec![transport, (ATTR_EVEN_PORT, vec![0x80])]),
                    5 => (METHOD_ALLOCATE, vec![transport, (ATTR_RESERVATION_TOKEN, world.token.clone())]),
                    1 => (METHOD_REFRESH, vec![(ATTR_LIFETIME, u32::from(lifetime).to_be_bytes().to_vec())]),
                    2 => (METHOD_CREATE_PERMISSION, vec![to_attribute]),
                    _ => (METHOD_CHANNEL_BIND, vec![
                        (ATTR_CHANNEL_NUMBER, vec![0x40, channel % 4, 0, 0]),
                        to_attribute,
                    ]),
                };
                // A further XOR-PEER-ADDRESS would be a permission that this bookkeeping does not know.
                let extra = extra.into_iter().filter(|(kind, _)| *kind != ATTR_XOR_PEER_ADDRESS.0);
                attributes.extend(extra.take(4).map(|(kind, value)| (AttrType(kind), value)));
                let damage = damage.filter(|(_, byte)| *byte != 0);
                world.request(client, method, &attributes, Some(&nonce), damage);
                if world.succeeded() && matches!(kind % 6, 2 | 3) {
                    world.granted.insert((client % 4, to % 4), world.now.at);
                }
                let mut answer = Message::new();
                answer.unmarshal_binary(world.last.as_deref().unwrap_or_default()).ok();
                if let Ok(token) = answer.get(ATTR_RESERVATION_TOKEN) {
                    world.token = token;
                }
            }
            Step::Send { client, peer: to, len } => {
                let mut message = Message::new();
                message.set_type(MessageType::new(METHOD_SEND, CLASS_INDICATION));
                message.write_header();
                message.add(ATTR_XOR_PEER_ADDRESS, &xor(peer(to)));
                message.add(ATTR_DATA, &vec![7; usize::from(len)]);
                world.packet(client, &message.raw);
            }
            Step::Channel { client, number, len } => {
                let mut bytes = vec![0x40, number % 4, 0, len];
                bytes.resize(4 + usize::from(len), 7);
                world.packet(client, &bytes);
            }
            Step::Peer { client: n, peer: from } => {
                let relays: Vec<RelayId> = world.open.keys().copied().collect();
                for relay in relays {
                    let forward = world.core.on_peer_packet(relay, peer(from), 10, world.now);
                    if let Some(Destination::Client(to)) = forward.map(|forward| forward.to) {
                        let permitted = (0..4).any(|c| client(c) == to && world.permits(c, from));
                        assert!(permitted, "a peer reached {to:?} without permission ({n})");
                    }
                }
            }
            Step::Bytes { client, bytes } => world.packet(client, &bytes),
            Step::Gone { client: n } => {
                world.core.on_client_gone(&client(n));
                world.settle();
            }
            Step::Refuse { ports } => world.refuse = ports % 20,
        }
        assert!(world.open.len() <= 2 * world.core.len());
    }
    world.now.at += Duration::from_secs(3_601);
    world.core.on_time(world.now);
    world.settle();
    assert!(world.core.is_empty() && world.open.is_empty() && world.waiting.is_empty());
    assert_eq!(world.shared.ports.taken(), 0);
    assert_eq!((world.shared.quotas.allocations(), world.shared.quotas.accounts()), (0, 0));
});
