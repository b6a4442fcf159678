//! Strangers on the port: nonsense, silence, greed. It costs them their connection and us nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use turnstone::web::LimitSettings;

use crate::harness::{Answer, Door, PATIENCE, rest_of};

/// Connections with nonsense in the clear; inside TLS each costs a handshake, so there are fewer.
const IN_THE_CLEAR: u64 = 4_000;
const INSIDE_TLS: u64 = 300;
/// At once, so that the machine's files suffice.
const AT_ONCE: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_broken_beginnings_leave_the_port_as_it_was() {
    let mut door = Door::open().await;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut clients = JoinSet::new();
    for seed in 1..=IN_THE_CLEAR {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let addr = door.addr;
        clients.spawn(async move {
            let mut client = TcpStream::connect(addr).await.unwrap();
            let _ = client.write_all(&beginning(seed)).await; // it may be cut off at once
            let _ = client.shutdown().await;
            drop(place);
            client
        });
        // Those who wait for an answer get one, or an end.
        while let Some(client) = clients.try_join_next() {
            drop(client.unwrap());
        }
        while let Ok(turn) = door.turns.try_recv() {
            drop(turn);
        }
    }
    clients.join_all().await;
    for seed in 1..=INSIDE_TLS {
        let mut client = door.connect(&[]).await;
        let _ = client.write_all(&beginning(seed)).await;
        let _ = client.shutdown().await;
        while let Ok(turn) = door.turns.try_recv() {
            drop(turn);
        }
    }
    settles(&mut door).await;
    assert_eq!(door.get("/healthz").await.text(), "ok");
    assert!(
        door.sockets.try_recv().is_err(),
        "nothing became a WebSocket"
    );
}

/// Every seat is given back once all are gone.
async fn settles(door: &mut Door) {
    let emptying = async {
        while door.limits.connections.open() > 0 {
            while let Ok(turn) = door.turns.try_recv() {
                drop(turn);
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, emptying)
        .await
        .expect("every seat is given back");
}

/// Something that looks like the beginning of one of the protocols, and goes wrong in a way of its own.
fn beginning(seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let sound: &[u8] = match random.next() % 8 {
        0 => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        1 => b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        2 => b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03",
        3 => b"\x16\x03\x01\xff\xff\x01\x00\xff\xff\x03\x03",
        4 => b"\x00\x01\x00\x08\x21\x12\xa4\x42abcdefghijkl",
        5 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        6 => b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a",
        _ => b"",
    };
    let mut bytes = sound.to_vec();
    for _ in 0..random.next() % 4 {
        if !bytes.is_empty() {
            let at = random.next() as usize % bytes.len();
            bytes[at] = random.next() as u8;
        }
    }
    if random.next().is_multiple_of(3) {
        bytes.truncate(random.next() as usize % (bytes.len() + 1));
    }
    let more = random.next() % 600;
    bytes.extend((0..more).map(|_| random.next() as u8));
    bytes
}

/// xorshift64*: the same nonsense each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }
}

#[tokio::test]
async fn one_address_gets_only_its_share_of_connections() {
    let door = Door::open_with(|settings| {
        settings.limits = LimitSettings {
            connections_per_address: 3,
            ..LimitSettings::default()
        };
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(door.connect(&[b"http/1.1"]).await);
    }
    let mut fourth = door.tcp().await;
    assert!(
        rest_of(&mut fourth).await.is_empty(),
        "it is closed at once"
    );
    assert_eq!(
        (
            door.limits.connections.open(),
            door.limits.connections.refused()
        ),
        (3, 1)
    );
    for client in &mut held {
        client
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(
            Answer::read(client, false).await.text(),
            "ok",
            "those before are not disturbed"
        );
    }
    drop(held);
    let freed = async {
        while door.limits.connections.open() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, freed)
        .await
        .expect("seats are given back");
    assert_eq!(door.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn a_turn_connection_keeps_its_seat_until_its_owner_lets_go() {
    let mut door = Door::open().await;
    let mut client = door.tcp().await;
    client.write_all(&[0, 1, 0, 0]).await.unwrap();
    let turn = timeout(PATIENCE, door.turns.recv()).await.unwrap().unwrap();
    assert_eq!(door.limits.connections.open(), 1);
    drop(turn);
    assert_eq!(door.limits.connections.open(), 0);
    assert!(rest_of(&mut client).await.is_empty());
}

/// The clock jumps whenever everyone waits, so ten seconds pass at once.
#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_is_cut_after_ten_seconds() {
    let door = Door::open().await;
    let began = Instant::now();
    let silent = door.tcp().await;
    let mut half = door.tcp().await;
    half.write_all(&[0x16, 3, 1]).await.unwrap();
    let mut inside = door.connect(&[]).await;
    inside.flush().await.unwrap();
    for mut client in [silent, half, inside.into_inner().0] {
        let started = Instant::now();
        let mut byte = [0; 4096];
        // What the handshake still had to say may come first.
        while client.read(&mut byte).await.is_ok_and(|read| read > 0) {}
        assert!(started.elapsed() <= Duration::from_secs(11));
    }
    assert!(began.elapsed() >= Duration::from_secs(10), "and not before");
    assert_eq!(door.limits.connections.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_cut() {
    let door = Door::open().await;
    let mut client = door.connect(&[b"http/1.1"]).await;
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let started = Instant::now();
    let mut all = Vec::new();
    let _ = client.read_to_end(&mut all).await; // an abrupt end is an end as well
    assert!(
        started.elapsed() <= Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    assert!(
        started.elapsed() >= Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_http2_connection_is_closed() {
    let door = Door::open().await;
    let mut client = door.connect(&[b"h2"]).await;
    client
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let started = Instant::now();
    let mut all = Vec::new();
    let _ = client.read_to_end(&mut all).await; // an abrupt end is an end as well
    assert!(
        started.elapsed() >= Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    assert!(
        started.elapsed() <= Duration::from_secs(200),
        "{:?}",
        started.elapsed()
    );
}
