//! The relay at its ports, tried with what well-behaved clients do not do.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use stun::attributes::*;
use stun::message::*;
use turnstone::stun as wire;

use crate::turn::TestRelay;
use crate::turn_client::{Client, build_with, parse, uninterrupted};

fn here(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn lifted(settings: &mut turnstone::turn::Settings) {
    settings.allow_peers = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
}

fn peer() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(here(0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_of_every_length_pass_unchanged() {
    let relay = TestRelay::start(lifted).await;
    let (peer, peer_address) = peer();
    for mut client in [Client::udp(here(0), relay.udp), Client::tcp(relay.tcp)] {
        let relayed = client.allocate(&[]);
        assert_eq!(client.bind(0x4000, peer_address), 200);
        let mut bytes = vec![0; 70_000];
        // As long as a datagram can be with the header in front of it.
        for len in [0, 1, 2, 3, 4, 5, 159, 160, 161, 1_200, 1_472, 9_000, 65_503] {
            let payload: Vec<u8> = (0..len).map(|n| (n * 7 + len) as u8).collect();
            let packet = client.channel_data(0x4000, &payload);
            client.send(&packet);
            let (received, from) = uninterrupted(|| peer.recv_from(&mut bytes)).unwrap();
            assert_eq!(
                (&bytes[..received], from),
                (&payload[..], relayed),
                "{len} bytes to the peer"
            );
            peer.send_to(&payload, relayed).unwrap();
            assert_eq!(client.receive(), packet, "{len} bytes to the client");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bursts_arrive_whole_and_in_order() {
    let relay = TestRelay::start(lifted).await;
    let (peer, peer_address) = peer();
    let mut client = Client::udp(here(0), relay.udp);
    let relayed = client.allocate(&[]);
    assert_eq!(client.bind(0x4000, peer_address), 200);
    for round in 0..20u8 {
        let payload = |n: u8| vec![round ^ n; if n == 15 { 300 } else { 1_000 }];
        for n in 0..16 {
            let packet = client.channel_data(0x4000, &payload(n));
            client.send(&packet);
        }
        for n in 0..16 {
            let mut bytes = [0; 2_000];
            let (len, from) = uninterrupted(|| peer.recv_from(&mut bytes)).unwrap();
            assert_eq!((&bytes[..len], from), (&payload(n)[..], relayed));
        }
        for n in 0..16 {
            peer.send_to(&payload(n), relayed).unwrap();
        }
        for n in 0..16 {
            assert_eq!(client.receive(), client.channel_data(0x4000, &payload(n)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_together_reaches_each_client_whole_and_in_order() {
    // By a socket of all addresses each datagram says which of them it leaves from.
    for bound in ["127.0.0.1:0", "0.0.0.0:0"] {
        let relay = TestRelay::start_at(&[bound.parse().unwrap()], |settings| {
            lifted(settings);
            settings.workers = NonZeroUsize::new(1);
        })
        .await;
        let (peer, peer_address) = peer();
        let server = here(relay.udp.port());
        let mut clients: Vec<Client> = (0..8).map(|_| Client::udp(here(0), server)).collect();
        let mut relayed = Vec::new();
        for client in &mut clients {
            relayed.push(client.allocate(&[]));
            assert_eq!(client.bind(0x4000, peer_address), 200);
        }
        for round in 0..20u8 {
            // For some one packet, for some several, which the kernel may split from one piece; the last is shorter.
            let packets = |n: usize| {
                let packet = move |part| vec![round ^ part; if part == 3 { 0 } else { 100 * n }];
                (0..=(n % 4) as u8).map(packet)
            };
            for (n, to) in relayed.iter().enumerate() {
                for packet in packets(n) {
                    peer.send_to(&packet, to).unwrap();
                }
            }
            for (n, client) in clients.iter_mut().enumerate() {
                for packet in packets(n) {
                    assert_eq!(client.receive(), client.channel_data(0x4000, &packet));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_after_an_even_one_is_held_for_its_client_and_for_nobody_else() {
    let relay = TestRelay::start(|settings| {
        lifted(settings);
        settings.workers = NonZeroUsize::new(3);
    })
    .await;
    let (peer, peer_address) = peer();
    let even = [(ATTR_EVEN_PORT, vec![0x80])];
    let taken = |address| UdpSocket::bind(address).unwrap_err().kind() == ErrorKind::AddrInUse;
    let reserve = |client: &mut Client| {
        let answer = client.ask_to_allocate(&even);
        let relayed = answer.address(ATTR_XOR_RELAYED_ADDRESS);
        assert_eq!(relayed.port() % 2, 0);
        let token = answer.0.get(ATTR_RESERVATION_TOKEN).unwrap();
        (SocketAddr::new(relayed.ip(), relayed.port() + 1), token)
    };
    // Nobody comes for this one; it is looked at again at the end.
    let (forgotten, _) = reserve(&mut Client::udp(here(0), relay.udp));
    // The kernel spreads clients over the workers, so most of these take their port from another worker.
    for _ in 0..20 {
        let mut first = Client::udp(here(0), relay.udp);
        let (next, token) = reserve(&mut first);
        assert!(taken(next), "nobody else gets {next}");
        peer.send_to(b"too early", next).unwrap();
        let mut second = Client::udp(here(0), relay.udp);
        let relayed = second.allocate(&[(ATTR_RESERVATION_TOKEN, token)]);
        assert_eq!(relayed, next);
        assert_eq!(second.bind(0x4000, peer_address), 200);
        peer.send_to(b"for the second", next).unwrap();
        assert_eq!(
            second.receive(),
            second.channel_data(0x4000, b"for the second")
        );
        let answer = second.channel_data(0x4000, b"from the second");
        second.send(&answer);
        let mut bytes = [0; 100];
        let (len, from) = uninterrupted(|| peer.recv_from(&mut bytes)).unwrap();
        assert_eq!((&bytes[..len], from), (&b"from the second"[..], next));
    }
    assert!(taken(forgotten));
    // Its half a minute.
    let begun = Instant::now();
    while UdpSocket::bind(forgotten).is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{forgotten} is held for ever"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_joined_whatever_their_transports_and_workers() {
    let relay = TestRelay::start(|settings| settings.workers = NonZeroUsize::new(3)).await;
    let mut clients: Vec<Client> = (0..8)
        .map(|n| {
            if n % 2 == 0 {
                Client::udp(here(0), relay.udp)
            } else {
                Client::tcp(relay.tcp)
            }
        })
        .collect();
    let relayed: Vec<SocketAddr> = clients
        .iter_mut()
        .map(|client| client.allocate(&[]))
        .collect();
    for client in &mut clients {
        for &to in &relayed {
            assert_eq!(client.permit(to), 200);
        }
    }
    for a in 0..clients.len() {
        for b in 0..clients.len() {
            let text = format!("from {a} to {b}");
            clients[a].send_to(relayed[b], text.as_bytes());
            assert_eq!(clients[b].data(), (relayed[a], text.into_bytes()));
        }
    }
    assert_eq!(clients[0].bind(0x4001, relayed[1]), 200);
    assert_eq!(clients[1].bind(0x4002, relayed[0]), 200);
    let packet = clients[0].channel_data(0x4001, b"channel to channel");
    clients[0].send(&packet);
    let expected = clients[1].channel_data(0x4002, b"channel to channel");
    assert_eq!(clients[1].receive(), expected);
    // Our own address, but nobody's port.
    let unused = here(
        (49_152..65_535)
            .find(|port| !relayed.contains(&here(*port)))
            .unwrap(),
    );
    assert_eq!(clients[0].permit(unused), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_leave_from_the_address_that_was_asked() {
    let relay = TestRelay::start_at(&["0.0.0.0:0".parse().unwrap()], lifted).await;
    let port = relay.udp.port();
    for server in ["127.0.0.1", "127.0.0.2", "127.9.9.9"] {
        // Connected: what comes from elsewhere does not arrive.
        let mut client = Client::udp(here(0), SocketAddr::new(server.parse().unwrap(), port));
        let binding = client.build(METHOD_BINDING, CLASS_REQUEST, &[]);
        client.send(&binding.raw);
        assert_eq!(
            parse(&client.receive()).address(ATTR_XORMAPPED_ADDRESS),
            client.local()
        );
        let (peer, peer_address) = peer();
        let relayed = client.allocate(&[]);
        assert_eq!(client.permit(peer_address), 200);
        peer.send_to(b"hello", relayed).unwrap();
        assert_eq!(client.data(), (peer_address, b"hello".to_vec()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipv6_works_and_dual_allocations_too() {
    let relay = TestRelay::start_at(&["[::1]:0".parse().unwrap()], lifted).await;
    let mut client = Client::udp("[::1]:0".parse().unwrap(), relay.udp);
    let relayed = client.allocate(&[(AttrType(0x8000), vec![2, 0, 0, 0])]);
    assert!(relayed.is_ipv4(), "the first of two");
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let peer = UdpSocket::bind(address).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(client.permit(peer.local_addr().unwrap()), 200);
        client.send_to(peer.local_addr().unwrap(), b"to you");
        let mut bytes = [0; 100];
        let (len, from) = uninterrupted(|| peer.recv_from(&mut bytes)).unwrap();
        assert_eq!(&bytes[..len], b"to you");
        peer.send_to(b"and back", from).unwrap();
        assert_eq!(
            client.data(),
            (peer.local_addr().unwrap(), b"and back".to_vec())
        );
    }
    let mut client = Client::udp("[::1]:0".parse().unwrap(), relay.udp);
    assert!(
        client
            .allocate(&[(ATTR_REQUESTED_ADDRESS_FAMILY, vec![2, 0, 0, 0])])
            .is_ipv6()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_nobody_listens_at_is_told_by_icmp() {
    let relay = TestRelay::start(lifted).await;
    let (closed, closed_address) = peer();
    drop(closed);
    let mut client = Client::udp(here(0), relay.udp);
    client.allocate(&[]);
    assert_eq!(client.permit(closed_address), 200);
    client.send_to(closed_address, b"anyone?");
    let bytes = client.receive();
    let message = wire::Message::read(&bytes).unwrap();
    assert_eq!(message.kind(), wire::DATA_INDICATION);
    let peer = message.find(0x0012).unwrap().value;
    assert_eq!(
        wire::read_xor_address(peer, &message.transaction_id()),
        Some(closed_address)
    );
    assert_eq!(
        message.find(0x8004).unwrap().value,
        [0, 0, 3, 3, 0, 0, 0, 0],
        "port unreachable"
    );
    // The socket is as good as before.
    let (peer, peer_address) = self::peer();
    assert_eq!(client.permit(peer_address), 200);
    client.send_to(peer_address, b"hello");
    assert_eq!(uninterrupted(|| peer.recv(&mut [0; 100])).unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_that_must_not_be_fragmented_is_not() {
    let relay = TestRelay::start(lifted).await;
    let (peer, peer_address) = peer();
    let mut client = Client::udp(here(0), relay.udp);
    let relayed = client.allocate(&[(ATTR_DONT_FRAGMENT, Vec::new())]);
    assert_eq!(client.permit(peer_address), 200);
    let whole = client.indication(
        peer_address,
        &[7; 1_000],
        &[(ATTR_DONT_FRAGMENT, Vec::new())],
    );
    client.send(&whole);
    let mut bytes = [0; 2_000];
    let (len, from) = uninterrupted(|| peer.recv_from(&mut bytes)).unwrap();
    assert_eq!((len, from), (1_000, relayed));
    // And the next may be again.
    client.send_to(peer_address, &[8; 500]);
    assert_eq!(uninterrupted(|| peer.recv(&mut bytes)).unwrap(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_nonsense_are_closed() {
    let relay = TestRelay::start(|_| {}).await;
    let wait = Duration::from_secs(5);
    let mut without_cookie = build_with([1; 12], METHOD_BINDING, CLASS_REQUEST, &[]).raw;
    without_cookie[4] = 0;
    let oversize = build_with(
        [1; 12],
        METHOD_ALLOCATE,
        CLASS_REQUEST,
        &[(ATTR_DATA, vec![0; 3_000])],
    )
    .raw;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0x80; 40],
        &without_cookie,
        &oversize,
        &[0, 1, 0, 3, 0x21],
    ] {
        let mut client = Client::tcp(relay.tcp);
        client.send(bytes);
        assert!(client.is_closed_within(wait), "{bytes:?}");
    }
    let mut client = Client::tcp(relay.tcp);
    client.allocate(&[]);
    let longest = client.channel_data(0x4001, &[0; 65_000]);
    client.send(&longest);
    client.assert_silence();
    assert_eq!(
        client.permit("8.8.8.8:5000".parse().unwrap()),
        200,
        "long frames are fine once it is known"
    );
    client.send(&[0xFF; 100]);
    assert!(client.is_closed_within(wait));
    let ended = Instant::now() + wait;
    while relay.relay.handle().allocations() > 0 {
        assert!(Instant::now() < ended, "the allocation outlived its stream");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_may_come_in_any_pieces() {
    let relay = TestRelay::start(|_| {}).await;
    let mut client = Client::tcp(relay.tcp);
    let requests: Vec<u8> = (0..5)
        .flat_map(|n| build_with([n; 12], METHOD_BINDING, CLASS_REQUEST, &[]).raw)
        .collect();
    for piece in requests.chunks(7) {
        client.send(piece);
        std::thread::sleep(Duration::from_millis(2));
    }
    for n in 0..5 {
        assert_eq!(parse(&client.receive()).0.transaction_id.0, [n; 12]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_arrive_together_are_all_answered() {
    let relay = TestRelay::start(|_| {}).await;
    let (socket, _) = peer();
    socket.connect(relay.udp).unwrap();
    let mut bytes = [0; 1_500];
    for round in 0..40 {
        for n in 0..20 {
            let id = [round, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let request = build_with(id, METHOD_BINDING, CLASS_REQUEST, &[]);
            socket.send(&request.raw).unwrap();
        }
        for n in 0..20 {
            let len = uninterrupted(|| socket.recv(&mut bytes)).unwrap();
            assert_eq!(parse(&bytes[..len]).0.transaction_id.0[..2], [round, n]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_is_answered_before_a_stream_is_closed() {
    let relay = TestRelay::start(|_| {}).await;
    let request = build_with([7; 12], METHOD_BINDING, CLASS_REQUEST, &[]).raw;
    for after in [&[][..], &[0xFF]] {
        let mut stream = TcpStream::connect(relay.tcp).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        stream.write_all(&[&request, after].concat()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(parse(&answer).0.transaction_id.0, [7; 12]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_client_that_takes_nothing_stalls_nobody() {
    let relay = TestRelay::start(|settings| {
        lifted(settings);
        settings.workers = NonZeroUsize::new(1);
    })
    .await;
    let (peer, peer_address) = peer();
    let mut slow = Client::tcp(relay.tcp);
    let at_slow = slow.allocate(&[]);
    assert_eq!(slow.permit(peer_address), 200);
    let mut quick = Client::tcp(relay.tcp);
    let at_quick = quick.allocate(&[]);
    assert_eq!(quick.permit(peer_address), 200);
    let flood = [0; 1_400];
    let ended = Instant::now() + Duration::from_secs(30);
    let mut rounds = 0;
    while relay.relay.handle().allocations() > 1 {
        assert!(Instant::now() < ended, "the slow client was never dropped");
        for _ in 0..50 {
            peer.send_to(&flood, at_slow).unwrap();
        }
        peer.send_to(b"quick", at_quick).unwrap();
        assert_eq!(quick.data().1, b"quick");
        rounds += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(rounds > 100, "not before its deadline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_on_this_machine_is_not_reached_by_any_of_its_names() {
    let relay = TestRelay::start(|_| {}).await;
    let service = UdpSocket::bind("0.0.0.0:0").unwrap();
    let service_v6 = UdpSocket::bind("[::]:0").unwrap();
    let mut client = Client::udp(here(0), relay.udp);
    client.allocate(&[(AttrType(0x8000), vec![2, 0, 0, 0])]);
    let port = service.local_addr().unwrap().port();
    let port_v6 = service_v6.local_addr().unwrap().port();
    for name in [
        "127.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:0.0.0.0",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "2002:7f00:1::",
    ] {
        for port in [port, port_v6] {
            let peer = SocketAddr::new(name.parse().unwrap(), port);
            assert_eq!(client.permit(peer), 403, "{peer}");
            assert_eq!(client.bind(0x4000, peer), 403, "{peer}");
            client.send_to(peer, b"let me in");
        }
    }
    // The answer comes after all that was sent before it.
    client.binding();
    for service in [service, service_v6] {
        service.set_nonblocking(true).unwrap();
        assert!(
            uninterrupted(|| service.recv(&mut [0; 100])).is_err(),
            "something came"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_malformed_packets_leaves_the_relay_serving() {
    let relay = TestRelay::start(|_| {}).await;
    let mut good = Client::udp(here(0), relay.udp);
    good.allocate(&[]);
    let mut bad = Client::udp(here(0), relay.udp);
    let template = build_with(
        [3; 12],
        METHOD_ALLOCATE,
        CLASS_REQUEST,
        &[
            (ATTR_REQUESTED_TRANSPORT, vec![17, 0, 0, 0]),
            (ATTR_USERNAME, b"kim".to_vec()),
            (ATTR_NONCE, vec![b'x'; 40]),
            (ATTR_MESSAGE_INTEGRITY, vec![0; 20]),
        ],
    )
    .raw;
    let mut state = 12_345u32;
    for n in 0..30_000usize {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut bytes = template.clone();
        let at = state as usize % bytes.len();
        bytes[at] = (state >> 24) as u8;
        bytes.truncate(bytes.len() - (state >> 8) as usize % 20);
        bad.send(&bytes);
        if n % 500 == 0 {
            assert_eq!(good.permit("8.8.8.8:5000".parse().unwrap()), 200);
        }
    }
    assert_eq!(relay.relay.handle().allocations(), 1);
}
