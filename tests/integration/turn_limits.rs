//! The limits of the relay, each at its ports: whoever reaches one is told or dropped, and others go on as before.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use stun::attributes::*;
use stun::message::*;
use turnstone::turn::{FixedUser, Limits, Rate, Settings};

use crate::harness::PATIENCE;
use crate::turn::TestRelay;
use crate::turn_client::{Client, uninterrupted};
use crate::turn_program::{ON_IPV4, Program};

/// How often somebody sends too much and somebody else a single packet.
const ROUNDS: u32 = 5;
/// How much too much is, in packets.
const FLOOD: u32 = 200;
/// What may be sent per second where a rate is tried: far less than a flood, and more than a packet per round.
const PER_SECOND: u64 = 20;
/// How long nothing must come for there to be nothing.
const SILENCE: Duration = Duration::from_millis(300);
/// The payload of each packet, in bytes.
const LENGTH: usize = 500;

/// A relay that knows Kim and Lee, lets them reach loopback, and has these limits.
async fn relay(limits: impl FnOnce(&mut Limits)) -> TestRelay {
    let every_address = "0.0.0.0:0".parse().unwrap();
    TestRelay::start_at(&[every_address], |settings: &mut Settings| {
        settings.allow_peers = vec!["127.0.0.0/8".parse().unwrap()];
        settings.users.push(FixedUser {
            name: "lee".into(),
            password: "pw".into(),
        });
        limits(&mut settings.limits);
    })
    .await
}

/// A client over UDP that the relay sees at this address.
fn client(relay: &TestRelay, address: &str, name: &str) -> Client {
    let server = SocketAddr::from(([127, 0, 0, 1], relay.udp.port()));
    let local = SocketAddr::new(address.parse().unwrap(), 0);
    Client::udp(local, server).named(name)
}

fn code(client: &mut Client) -> u16 {
    client.ask_to_allocate(&[]).code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_all_its_allocations_gets_486_and_others_go_on() {
    let relay = relay(|limits| limits.allocations_per_user = 2).await;
    let mut kim: Vec<Client> = (0..2)
        .map(|_| client(&relay, "127.0.0.1", "kim"))
        .chain([Client::tcp(relay.tcp)])
        .collect();
    let codes: Vec<u16> = kim.iter_mut().map(code).collect();
    assert_eq!(codes, [200, 200, 486], "the third came over TCP");
    assert_eq!(code(&mut client(&relay, "127.0.0.1", "lee")), 200);
    assert_eq!(kim[0].ask(METHOD_REFRESH, &[]).code(), 200);
    // What is given back can be had again.
    let ends = (ATTR_LIFETIME, vec![0; 4]);
    assert_eq!(kim[0].ask(METHOD_REFRESH, &[ends]).code(), 200);
    assert_eq!(code(&mut kim[2]), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_with_all_its_allocations_gets_486_and_others_go_on() {
    let relay = relay(|limits| limits.allocations_per_source = 2).await;
    let mut there = ["kim", "lee", "kim"].map(|name| client(&relay, "127.0.0.2", name));
    let codes: Vec<u16> = there.iter_mut().map(code).collect();
    assert_eq!(codes, [200, 200, 486], "whoever asks");
    assert_eq!(code(&mut client(&relay, "127.0.0.3", "kim")), 200);
    assert_eq!(there[0].ask(METHOD_REFRESH, &[]).code(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_allocations_are_taken_the_next_gets_508_and_the_others_go_on() {
    let relay = relay(|limits| limits.allocations = 2).await;
    let mut kim = client(&relay, "127.0.0.2", "kim");
    let mut lee = client(&relay, "127.0.0.3", "lee");
    assert_eq!([code(&mut kim), code(&mut lee)], [200, 200]);
    assert_eq!(code(&mut client(&relay, "127.0.0.4", "kim")), 508);
    assert_eq!(kim.permit("8.8.8.8:5000".parse().unwrap()), 200);
    assert_eq!(lee.ask(METHOD_REFRESH, &[]).code(), 200);
    assert_eq!(relay.relay.handle().allocations(), 2);
}

/// Two clients and a peer that each may reach.
struct Traffic {
    limited: Client,
    free: Client,
    peer: UdpSocket,
    at_limited: SocketAddr,
    at_free: SocketAddr,
}

impl Traffic {
    /// `limited` and `free` are the addresses and names that the clients have.
    fn new(relay: &TestRelay, limited: [&str; 2], free: [&str; 2]) -> Self {
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let address = peer.local_addr().unwrap();
        let [mut limited, mut free] =
            [limited, free].map(|[address, name]| client(relay, address, name));
        let [at_limited, at_free] = [&mut limited, &mut free].map(|client| {
            let relayed = client.allocate(&[]);
            assert_eq!(client.permit(address), 200);
            relayed
        });
        Self {
            limited,
            free,
            peer,
            at_limited,
            at_free,
        }
    }

    /// Both clients send; all of one arrives, and of the other what its rate lets through.
    fn flood_the_peer(&mut self) {
        let peer = self.peer.local_addr().unwrap();
        let started = Instant::now();
        let mut passed = 0;
        for _ in 0..ROUNDS {
            for _ in 0..FLOOD {
                self.limited.send_to(peer, &[1; LENGTH]);
            }
            self.free.send_to(peer, &[2; LENGTH]);
            // Both clients may be served by different workers, so what is limited may come after what is not.
            loop {
                let mut bytes = [0; 1_000];
                let (len, from) = uninterrupted(|| self.peer.recv_from(&mut bytes)).unwrap();
                assert_eq!(len, LENGTH);
                if from == self.at_free {
                    assert_eq!(bytes[0], 2);
                    break;
                }
                assert_eq!((from, bytes[0]), (self.at_limited, 1));
                passed += 1;
            }
        }
        assert_is_limited(passed, started);
        assert!(passed > 0, "the first passes");
    }

    /// The same from the peer to both clients.
    fn flood_the_clients(&mut self) {
        let started = Instant::now();
        for _ in 0..ROUNDS {
            for _ in 0..FLOOD {
                self.peer.send_to(&[1; LENGTH], self.at_limited).unwrap();
            }
            self.peer.send_to(&[2; LENGTH], self.at_free).unwrap();
            assert_eq!(self.free.data().1, [2; LENGTH]);
        }
        // What comes before the answer to a request is all that has passed.
        let answered = self.limited.build(METHOD_BINDING, CLASS_REQUEST, &[]);
        self.limited.send(&answered.raw);
        let mut passed = 0;
        while self.limited.receive()[8..20] != answered.transaction_id.0 {
            passed += 1;
        }
        assert_is_limited(passed, started);
    }
}

/// Half a second's worth may pass at once, and then as much as the rate says.
fn assert_is_limited(passed: u32, started: Instant) {
    // One more for the clocks' grain.
    let most = 2.0 + (0.5 + started.elapsed().as_secs_f64()) * PER_SECOND as f64;
    assert!(
        f64::from(passed) <= most,
        "{passed} passed where {most} may"
    );
}

const FEW_PACKETS: Rate = Rate {
    bytes: None,
    packets: Some(PER_SECOND),
};
const FEW_BYTES: Rate = Rate {
    bytes: Some(PER_SECOND * LENGTH as u64),
    packets: None,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_user_relays_beyond_its_rate_is_dropped_and_others_go_on() {
    for rate in [FEW_PACKETS, FEW_BYTES] {
        let relay = relay(|limits| limits.per_user = rate).await;
        let mut traffic = Traffic::new(&relay, ["127.0.0.2", "kim"], ["127.0.0.2", "lee"]);
        traffic.flood_the_peer();
        traffic.flood_the_clients();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_address_relays_beyond_its_rate_is_dropped_and_others_go_on() {
    for rate in [FEW_PACKETS, FEW_BYTES] {
        let relay = relay(|limits| limits.per_source = rate).await;
        let mut traffic = Traffic::new(&relay, ["127.0.0.2", "kim"], ["127.0.0.3", "kim"]);
        traffic.flood_the_peer();
        traffic.flood_the_clients();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_all_relay_together_beyond_the_rate_is_dropped_and_requests_are_answered() {
    for rate in [FEW_PACKETS, FEW_BYTES] {
        let relay = relay(|limits| limits.total = rate).await;
        let mut traffic = Traffic::new(&relay, ["127.0.0.2", "kim"], ["127.0.0.3", "lee"]);
        let peer = traffic.peer.local_addr().unwrap();
        let started = Instant::now();
        for _ in 0..FLOOD {
            traffic.limited.send_to(peer, &[1; LENGTH]);
            traffic.free.send_to(peer, &[2; LENGTH]);
        }
        assert_eq!(traffic.limited.permit(peer), 200);
        assert_eq!(traffic.free.permit(peer), 200);
        traffic.peer.set_read_timeout(Some(SILENCE)).unwrap();
        let mut passed = 0;
        while uninterrupted(|| traffic.peer.recv(&mut [0; 1_000])).is_ok() {
            passed += 1;
        }
        assert_is_limited(passed, started);
        assert!(passed > 0, "the first passes");
    }
}

#[test]
fn what_is_typed_about_limits_and_workers_reaches_the_relay() {
    let flags = [
        &ON_IPV4[..],
        &["--relay-allocations-per-user", "2", "--relay-workers", "3"],
        &["--relay-packets-per-user", "20", "--relay-permissions", "1"],
        &["--relay-allow", "127.0.0.0/8"],
    ];
    let program = Program::start(&flags.concat());
    // Each thread takes its name when it begins to run, which may be after the server says that it listens.
    let begun = Instant::now();
    while program.workers() < 3 && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(program.workers(), 3);
    let mut clients = [program.client(), program.client(), program.client()];
    assert_eq!(clients.each_mut().map(code), [200, 200, 486]);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(SILENCE)).unwrap();
    let address = peer.local_addr().unwrap();
    assert_eq!(clients[0].permit(address), 200);
    assert_eq!(clients[0].permit("8.8.8.8:5000".parse().unwrap()), 508);
    let started = Instant::now();
    for _ in 0..FLOOD {
        clients[0].send_to(address, &[1; LENGTH]);
    }
    assert_eq!(clients[0].permit(address), 200);
    let mut passed = 0;
    while uninterrupted(|| peer.recv(&mut [0; 1_000])).is_ok() {
        passed += 1;
    }
    assert_is_limited(passed, started);

    let program = Program::start(&[&ON_IPV4[..], &["--relay-allocations", "1"]].concat());
    let mut clients = [program.client(), program.client()];
    assert_eq!(clients.each_mut().map(code), [200, 508]);
    let per_address = ["--relay-allocations-per-address", "1"];
    let program = Program::start(&[&ON_IPV4[..], &per_address].concat());
    let mut clients = [program.client(), program.client()];
    assert_eq!(clients.each_mut().map(code), [200, 486]);
}

#[test]
fn a_client_that_asks_for_no_family_gets_ipv4_or_as_typed_its_own() {
    let on_both = [
        ["--turn-listen", "[::1]:0"],
        ["--external-ip", "127.0.0.1"],
        ["--external-ip", "::1"],
    ]
    .concat();
    let program = Program::start(&on_both);
    assert!(program.client().allocate(&[]).is_ipv4());
    let like_client = [&on_both[..], &["--relay-default-family", "client"]].concat();
    let program = Program::start(&like_client);
    assert!(program.client().allocate(&[]).is_ipv6());
}
