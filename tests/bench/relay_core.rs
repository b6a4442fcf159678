//! What the relay's core costs without sockets: `cargo bench --bench relay_core`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench prints, and fails loudly"
)]

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stun::attributes::*;
use stun::integrity::MessageIntegrity;
use stun::message::*;
use stun::xoraddr::XorMappedAddress;
use turnstone::turn::{
    Allocations, Client, Credentials, Effect, ExternalAddresses, ExternalIp, FixedUser, Limits,
    Now, Rate, RelayId, Settings, Shared, Transport,
};

const CLIENTS: u16 = 5_000;
const PACKETS: u32 = 2_000_000;

struct Bench {
    core: Allocations,
    now: Now,
    answer: Vec<u8>,
    opened: Vec<RelayId>,
    spent: Duration,
}

fn client(n: u16) -> Client {
    Client {
        transport: Transport::Udp,
        via: 0,
        address: SocketAddr::from(([203, 0, (n >> 8) as u8, n as u8], 10_000)),
        server: SocketAddr::from(([198, 41, 0, 4], 3_478)),
    }
}

impl Bench {
    fn ask(
        &mut self,
        from: u16,
        method: Method,
        attributes: &[(AttrType, &[u8])],
        key: Option<(&[u8], &[u8])>,
    ) {
        let mut message = Message::new();
        message.set_type(MessageType::new(method, CLASS_REQUEST));
        message.write_header();
        for (kind, value) in attributes {
            message.add(*kind, value);
        }
        if let Some((nonce, key)) = key {
            message.add(ATTR_USERNAME, b"kim");
            message.add(ATTR_REALM, b"turnstone");
            message.add(ATTR_NONCE, nonce);
            MessageIntegrity(key.to_vec()).add_to(&mut message).unwrap();
        }
        let begun = Instant::now();
        assert!(
            self.core
                .on_client_packet(&client(from), &message.raw, self.now)
                .is_none()
        );
        while let Some(effect) = self.core.next_effect() {
            match effect {
                Effect::Send { bytes, .. } => self.answer = bytes,
                Effect::OpenPort { relay, .. } => {
                    self.opened.push(relay);
                    self.core.on_port_opened(relay, self.now);
                }
                Effect::ClosePort { .. } | Effect::CloseReserved { .. } => {}
            }
        }
        self.spent += begun.elapsed();
    }
}

fn main() {
    let settings = Settings {
        users: vec![FixedUser {
            name: "kim".into(),
            password: "pw".into(),
        }],
        limits: Limits {
            allocations_per_user: 20_000,
            allocations_per_source: 20_000,
            per_user: Rate::UNLIMITED,
            per_source: Rate::UNLIMITED,
            ..Limits::default()
        },
        ..Settings::default()
    };
    let credentials = Arc::new(Credentials::new(b"secret", &settings));
    let v4 = Some(ExternalIp {
        public: "198.41.0.4".parse().unwrap(),
        local: None,
    });
    let external = ExternalAddresses {
        v4,
        v6: None,
        own: Vec::new(),
    };
    let start = Instant::now();
    let shared = Arc::new(Shared::new(settings, credentials, external, start).unwrap());
    let mut bench = Bench {
        core: Allocations::new(shared, 0),
        now: Now {
            at: start,
            unix: 1_700_000_000,
        },
        answer: Vec::new(),
        opened: Vec::new(),
        spent: Duration::ZERO,
    };
    let peer: SocketAddr = "8.8.8.8:5000".parse().unwrap();
    let mut xor = Message::new();
    let address = XorMappedAddress {
        ip: peer.ip(),
        port: peer.port(),
    };
    address.add_to_as(&mut xor, ATTR_XOR_PEER_ADDRESS).unwrap();
    let xor = xor.get(ATTR_XOR_PEER_ADDRESS).unwrap();
    let key =
        MessageIntegrity::new_long_term_integrity("kim".into(), "turnstone".into(), "pw".into()).0;
    let mut parts = [Duration::ZERO; 3];
    for n in 0..CLIENTS {
        bench.spent = Duration::ZERO;
        bench.ask(n, METHOD_ALLOCATE, &[], None);
        parts[0] += std::mem::take(&mut bench.spent);
        let mut challenge = Message::new();
        challenge.unmarshal_binary(&bench.answer).unwrap();
        let nonce = challenge.get(ATTR_NONCE).unwrap();
        bench.ask(
            n,
            METHOD_ALLOCATE,
            &[(ATTR_REQUESTED_TRANSPORT, &[17, 0, 0, 0])],
            Some((&nonce, &key)),
        );
        parts[1] += std::mem::take(&mut bench.spent);
        let bind: &[(AttrType, &[u8])] = &[
            (ATTR_CHANNEL_NUMBER, &[0x40, 0, 0, 0]),
            (ATTR_XOR_PEER_ADDRESS, &xor),
        ];
        bench.ask(n, METHOD_CHANNEL_BIND, bind, Some((&nonce, &key)));
        parts[2] += bench.spent;
    }
    for (name, spent) in ["challenge", "allocate", "channel bind"].iter().zip(parts) {
        println!(
            "{name}: {:.2} µs",
            spent.as_secs_f64() * 1e6 / f64::from(CLIENTS)
        );
    }
    assert_eq!(bench.core.len(), usize::from(CLIENTS));

    let mut packet = vec![0x40, 0, 0, 160];
    packet.resize(164, 7);
    each("channel data to peer", |n| {
        let now = bench.now;
        bench
            .core
            .on_client_packet(&client(n), &packet, now)
            .is_some()
    });
    let mut send = Message::new();
    send.set_type(MessageType::new(METHOD_SEND, CLASS_INDICATION));
    send.write_header();
    send.add(ATTR_XOR_PEER_ADDRESS, &xor);
    send.add(ATTR_DATA, &[7; 160]);
    each("send indication to peer", |n| {
        let now = bench.now;
        bench
            .core
            .on_client_packet(&client(n), &send.raw, now)
            .is_some()
    });
    each("peer to channel data", |n| {
        let (relay, now) = (bench.opened[usize::from(n)], bench.now);
        bench.core.on_peer_packet(relay, peer, 160, now).is_some()
    });
    let other: SocketAddr = "8.8.8.8:6000".parse().unwrap();
    each("peer to data indication", |n| {
        let (relay, now) = (bench.opened[usize::from(n)], bench.now);
        bench.core.on_peer_packet(relay, other, 160, now).is_some()
    });
}

fn each(name: &str, mut pass: impl FnMut(u16) -> bool) {
    let begun = Instant::now();
    let mut passed = 0u32;
    for n in 0..PACKETS {
        passed += u32::from(black_box(pass((n % 20) as u16)));
    }
    let nanos = begun.elapsed().as_nanos() as f64 / f64::from(PACKETS);
    println!("{name}: {nanos:.0} ns ({passed} of {PACKETS} passed)");
}
