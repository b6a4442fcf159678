//! What people whom nobody knows cost the relay: nothing that stays.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use stun::attributes::*;
use stun::integrity::MessageIntegrity;
use stun::message::*;

use crate::turn_client::{Answer, REALM, build_with, parse};
use crate::turn_program::{ON_IPV4, Program};

/// How many packets are sent, unless `STRANGERS_PACKETS` says otherwise.
const PACKETS: u32 = 200_000;
/// How many come before memory is looked at for the first time: whatever is made at first is made by then.
const WARMING_UP: u32 = 20_000;
/// How many are under way at once: few enough that the system has room for all of them and no one gets lost.
const AT_ONCE: u32 = 100;
/// How long an answer may take, and how often it is asked for.
const RETRANSMIT: Duration = Duration::from_millis(500);
const TRIES: u32 = 40;
/// What memory may have grown by, in KiB. Ten bytes kept of each packet would be as much.
const GROWTH: u64 = 2_048;

/// An address of loopback, another one for each packet, spread over all networks.
fn address(n: u32) -> Ipv4Addr {
    // An odd factor visits every address of 24 bits once before any comes again.
    let bits = n.wrapping_mul(10_368_889) & 0x00FF_FFFF;
    Ipv4Addr::from_bits(0x7F00_0000 | bits.clamp(2, 0x00FF_FFFE))
}

/// What strangers send: they ask where they are, ask for something, and pretend to be somebody.
fn packets() -> Vec<Message> {
    let id = |n: u8| [n; 12];
    let transport = || (ATTR_REQUESTED_TRANSPORT, vec![17, 0, 0, 0]);
    let mut pretending = build_with(id(3), METHOD_ALLOCATE, CLASS_REQUEST, &[transport()]);
    pretending.add(ATTR_USERNAME, b"kim");
    pretending.add(ATTR_REALM, REALM.as_bytes());
    pretending.add(
        ATTR_NONCE,
        b"obMatJos2AAAB0000000000000000000000000000000000",
    );
    MessageIntegrity::new_long_term_integrity("kim".into(), REALM.into(), "guessed".into())
        .add_to(&mut pretending)
        .unwrap();
    vec![
        build_with(id(1), METHOD_BINDING, CLASS_REQUEST, &[]),
        build_with(id(2), METHOD_ALLOCATE, CLASS_REQUEST, &[transport()]),
        pretending,
        build_with(id(4), METHOD_CREATE_PERMISSION, CLASS_REQUEST, &[]),
    ]
}

/// Sends these packets, each from an address of its own, and takes all answers.
fn send(program: &Program, packets: &[Message], numbers: std::ops::Range<u32>) {
    for first in numbers.clone().step_by(AT_ONCE as usize) {
        let sockets: Vec<(UdpSocket, &Message)> = (first..numbers.end.min(first + AT_ONCE))
            .zip(packets.iter().cycle())
            .map(|(n, packet)| {
                let socket = UdpSocket::bind((address(n), 0)).unwrap();
                socket.send_to(&packet.raw, program.turn).unwrap();
                (socket, packet)
            })
            .collect();
        for (socket, packet) in sockets {
            let answer = answer(&socket, packet, program.turn);
            assert_eq!(answer.0.transaction_id, packet.transaction_id);
            let expected = match packet.transaction_id.0[0] {
                1 => 200,
                3 => 438,
                _ => 401,
            };
            assert_eq!(answer.code(), expected);
        }
    }
}

/// The answer to a packet, which is sent again where it got lost.
fn answer(socket: &UdpSocket, packet: &Message, server: SocketAddr) -> Answer {
    socket.set_read_timeout(Some(RETRANSMIT)).unwrap();
    let mut bytes = [0; 1_500];
    for _ in 0..TRIES {
        match socket.recv(&mut bytes) {
            Ok(len) => return parse(&bytes[..len]),
            Err(_) => socket.send_to(&packet.raw, server).unwrap(),
        };
    }
    panic!("every stranger is answered");
}

#[test]
fn a_million_packets_of_strangers_leave_memory_where_it_was() {
    let count = std::env::var("STRANGERS_PACKETS")
        .map_or(PACKETS, |count| count.parse().expect("a number of packets"));
    let program = Program::start(&[&ON_IPV4[..], &["--relay-workers", "1"]].concat());
    let packets = packets();
    send(&program, &packets, 0..WARMING_UP);
    let before = program.memory();
    send(&program, &packets, WARMING_UP..WARMING_UP + count);
    let after = program.memory();
    assert!(
        after <= before + GROWTH,
        "{count} packets took {before} KiB to {after} KiB"
    );
    // And somebody who is known is served as ever.
    program.client().allocate(&[]);
}
