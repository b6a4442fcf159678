//! What relaying costs: this relay and Debian's `turnserver`, each on one core, side by side; the generator on another.
//!
//! `cargo bench --bench relay` prints the table; `-- channel-up-160 joined` only those rows; `-- --rounds 5` more
//! rounds. Rounds alternate between the two servers and the medians are shown. Every delivered payload is checked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    unsafe_code,
    reason = "a bench prints, and fails loudly; one socket option has no safe wrapper"
)]

#[path = "../integration/turn_client.rs"]
mod turn_client;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use turn_client::{Client, Link};
use turnstone::relay::{Connection, Relay};
use turnstone::turn::{
    Credentials, ExternalAddresses, ExternalIp, FixedUser, Limits, Rate, Settings,
};

/// The core that the server has to itself.
const SERVER_CORE: &str = "0";
/// The core of the generator.
const GENERATOR_CORE: &str = "1";
/// How many clients relay at once.
const CLIENTS: usize = 20;
/// How many packets one round sends.
const PACKETS: usize = 200_000;
/// Packets per second while the cost is measured: well below what either server can do.
const RATE: f64 = 40_000.0;
/// Packets per second while the latency is measured.
const LATENCY_RATE: f64 = 20_000.0;
/// How many packets leave at once.
const GROUP: usize = 4;
const CHANNEL: u16 = 0x4000;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let [role, port] = &arguments[..]
        && role == "serve"
    {
        return serve(port.parse().unwrap());
    }
    pin_to_generator_core();
    let mut rounds = 3;
    let mut only = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--rounds" {
            rounds = arguments.next().unwrap().parse().unwrap();
        } else {
            only.push(argument);
        }
    }
    println!(
        "| figure | unit | coturn | ours | ratio | lost (coturn, ours) |\n|---|---|---|---|---|---|"
    );
    for (name, unit, measure) in FIGURES {
        if !only.is_empty() && !only.iter().any(|wanted| name.starts_with(wanted.as_str())) {
            continue;
        }
        let mut results = [Vec::new(), Vec::new()];
        let mut lost = [0; 2];
        for _ in 0..rounds {
            for (which, kind) in [Kind::Coturn, Kind::Ours].into_iter().enumerate() {
                let server = Server::start(kind);
                let Measured {
                    value,
                    lost: missing,
                } = measure(&server);
                results[which].push(value);
                lost[which] += missing;
            }
        }
        let [coturn, ours] = results.map(median);
        println!(
            "| {name} | {unit} | {coturn:.3} | {ours:.3} | {:.2} | {}, {} |",
            ours / coturn,
            lost[0],
            lost[1]
        );
    }
}

type Measure = fn(&Server) -> Measured;

/// Every figure: its name, its unit, how it is found.
const FIGURES: &[(&str, &str, Measure)] = &[
    ("channel-up-160", "µs CPU per packet", |s| {
        relayed(s, Way::ChannelUp, 160, 1)
    }),
    ("channel-up-1200", "µs CPU per packet", |s| {
        relayed(s, Way::ChannelUp, 1_200, 1)
    }),
    ("channel-down-160", "µs CPU per packet", |s| {
        relayed(s, Way::ChannelDown, 160, 1)
    }),
    ("channel-down-1200", "µs CPU per packet", |s| {
        relayed(s, Way::ChannelDown, 1_200, 1)
    }),
    ("send-160", "µs CPU per packet", |s| {
        relayed(s, Way::Send, 160, 1)
    }),
    ("data-160", "µs CPU per packet", |s| {
        relayed(s, Way::Data, 160, 1)
    }),
    ("joined-160", "µs CPU per packet", |s| {
        relayed(s, Way::Joined, 160, 1)
    }),
    ("burst-up-1200", "µs CPU per packet", |s| {
        relayed(s, Way::ChannelUp, 1_200, 8)
    }),
    ("burst-down-1200", "µs CPU per packet", |s| {
        relayed(s, Way::ChannelDown, 1_200, 8)
    }),
    ("tcp-up-160", "µs CPU per packet", |s| {
        relayed(s, Way::TcpUp, 160, 1)
    }),
    ("tcp-down-160", "µs CPU per packet", |s| {
        relayed(s, Way::TcpDown, 160, 1)
    }),
    ("tcp-up-1200", "µs CPU per packet", |s| {
        relayed(s, Way::TcpUp, 1_200, 1)
    }),
    ("tcp-down-1200", "µs CPU per packet", |s| {
        relayed(s, Way::TcpDown, 1_200, 1)
    }),
    ("latency-p50", "µs", |s| latency(s, 0.50)),
    ("latency-p99", "µs", |s| latency(s, 0.99)),
    ("allocate-and-bind", "µs CPU", |s| allocations(s).0),
    ("memory", "KB per idle allocation", |s| allocations(s).1),
];

struct Measured {
    value: f64,
    lost: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Coturn,
    Ours,
}

/// A server process on its own core; killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(kind: Kind) -> Self {
        let address = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER_CORE]);
        match kind {
            Kind::Ours => command
                .arg(std::env::current_exe().unwrap())
                .args(["serve", &address.port().to_string()]),
            Kind::Coturn => command
                .args([
                    "turnserver",
                    "-n",
                    "--no-cli",
                    "--no-tls",
                    "--no-dtls",
                    "-m",
                    "1",
                ])
                .args([
                    "--lt-cred-mech",
                    "-u",
                    "kim:pw",
                    "-r",
                    turn_client::REALM,
                    "-L",
                    "127.0.0.1",
                    "-E",
                    "127.0.0.1",
                    "-p",
                    &address.port().to_string(),
                    "--allow-loopback-peers",
                    "--log-file",
                    "/dev/null",
                    "--simple-log",
                    "--pidfile",
                    "/dev/null",
                ]),
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let server = Self { child, address };
        let probe = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        probe
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let mut client = server.client();
        let binding = client
            .build(
                stun::message::METHOD_BINDING,
                stun::message::CLASS_REQUEST,
                &[],
            )
            .raw;
        for _ in 0..200 {
            let _ = probe.send_to(&binding, server.address);
            if probe.recv(&mut [0; 200]).is_ok() {
                return server;
            }
        }
        panic!("{kind:?} does not answer");
    }

    fn client(&self) -> Client {
        Client::udp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), self.address)
    }

    /// The CPU time of all its threads so far.
    fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanos = tasks.map(|task| {
            let text =
                std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
            text.split(' ')
                .next()
                .and_then(|nanos| nanos.parse().ok())
                .unwrap_or(0u64)
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Its private memory, in KB.
    fn memory(&self) -> f64 {
        let text =
            std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("Private_Dirty:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Runs the relay alone, with one worker and no limits on rates.
fn serve(port: u16) {
    let no_limits = Limits {
        allocations_per_user: 20_000,
        allocations_per_source: 20_000,
        allocations: 20_000,
        per_user: Rate::UNLIMITED,
        per_source: Rate::UNLIMITED,
        ..Limits::default()
    };
    let settings = Settings {
        users: vec![FixedUser {
            name: "kim".into(),
            password: "pw".into(),
        }],
        realm: turn_client::REALM.into(),
        allow_peers: vec!["127.0.0.0/8".parse().unwrap()],
        limits: Limits {
            unauthenticated_answers: 1_000,
            ..no_limits
        },
        workers: std::num::NonZeroUsize::new(1),
        ..Settings::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        raise_file_limit();
        let credentials = Arc::new(Credentials::new(b"secret", &settings));
        let here = Ipv4Addr::LOCALHOST.into();
        let v4 = Some(ExternalIp {
            public: here,
            local: Some(here),
        });
        let external = ExternalAddresses {
            v4,
            v6: None,
            own: vec![here],
        };
        let address = SocketAddr::new(here, port);
        let relay = Relay::start(settings, credentials, external, &[address]).unwrap();
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        loop {
            let (stream, client) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let connection = Connection {
                socket: stream.into_std().unwrap(),
                tls: None,
                first: None,
                seat: Box::new(()),
            };
            relay.handle().adopt(connection, client, address);
        }
    });
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    ChannelUp,
    ChannelDown,
    Send,
    Data,
    Joined,
    TcpUp,
    TcpDown,
}

/// What sends, what it sends, and who gets it.
struct Flow {
    clients: Vec<Client>,
    peer: UdpSocket,
    relayed: Vec<SocketAddr>,
    peer_address: SocketAddr,
}

impl Flow {
    fn new(server: &Server, way: Way, burst: usize) -> Self {
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket2::SockRef::from(&peer)
            .set_recv_buffer_size(4 << 20)
            .unwrap();
        peer.set_nonblocking(true).unwrap();
        let joined = |socket: &UdpSocket| {
            // Who sends bursts takes them so, too.
            if burst > 1 {
                set_udp_option(socket, libc::UDP_GRO, 1);
            }
        };
        joined(&peer);
        let peer_address = peer.local_addr().unwrap();
        let tcp = matches!(way, Way::TcpUp | Way::TcpDown);
        let mut clients: Vec<Client> = (0..CLIENTS)
            .map(|_| {
                if tcp {
                    Client::tcp(server.address)
                } else {
                    server.client()
                }
            })
            .collect();
        let relayed: Vec<SocketAddr> = clients
            .iter_mut()
            .map(|client| client.allocate(&[]))
            .collect();
        for n in 0..CLIENTS {
            let to = if way == Way::Joined {
                relayed[n ^ 1]
            } else {
                peer_address
            };
            let code = match way {
                Way::Send | Way::Data => clients[n].permit(to),
                _ => clients[n].bind(CHANNEL, to),
            };
            assert_eq!(code, 200);
        }
        for client in &clients {
            match &client.link {
                Link::Udp(socket) => {
                    socket2::SockRef::from(socket)
                        .set_recv_buffer_size(1 << 20)
                        .unwrap();
                    socket.set_nonblocking(true).unwrap();
                }
                Link::Tcp(stream) => {
                    stream.set_nodelay(true).unwrap();
                    stream.set_nonblocking(true).unwrap();
                }
            }
        }
        Self {
            clients,
            peer,
            relayed,
            peer_address,
        }
    }
}

/// A payload that tells its number, when it left, and whether it is whole.
fn payload(len: usize, number: u64, start: Instant) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend_from_slice(&(start.elapsed().as_nanos() as u64).to_be_bytes());
    bytes.resize(len, number as u8);
    bytes
}

/// Counts a payload that has arrived, after checking every byte of it; when it left.
fn check(bytes: &[u8], len: usize, seen: &mut [bool]) -> u64 {
    assert_eq!(bytes.len(), len);
    let number = u64::from_be_bytes(bytes[..8].try_into().unwrap());
    assert!(
        bytes[16..].iter().all(|byte| *byte == number as u8),
        "payload {number} is damaged"
    );
    let seen = &mut seen[number as usize];
    assert!(!*seen, "payload {number} came twice");
    *seen = true;
    u64::from_be_bytes(bytes[8..16].try_into().unwrap())
}

/// The CPU time that relaying one packet costs the server. `burst` packets leave for one destination at once.
fn relayed(server: &Server, way: Way, len: usize, burst: usize) -> Measured {
    let mut flow = Flow::new(server, way, burst);
    let before = server.cpu();
    let (arrived, _) = run(&mut flow, way, len, burst, RATE, PACKETS);
    let cpu = server.cpu() - before;
    Measured {
        value: cpu.as_secs_f64() * 1e6 / arrived as f64,
        lost: PACKETS - arrived,
    }
}

/// The time that a packet is under way, both directions mixed.
fn latency(server: &Server, quantile: f64) -> Measured {
    let mut flow = Flow::new(server, Way::ChannelUp, 1);
    let (arrived, mut times) = run(&mut flow, Way::ChannelUp, 160, 1, LATENCY_RATE, PACKETS / 4);
    times.sort_unstable();
    let value = times[((times.len() - 1) as f64 * quantile) as usize] as f64 / 1e3;
    Measured {
        value,
        lost: PACKETS / 4 - arrived,
    }
}

fn run(
    flow: &mut Flow,
    way: Way,
    len: usize,
    burst: usize,
    rate: f64,
    packets: usize,
) -> (usize, Vec<u64>) {
    let start = Instant::now();
    let mut seen = vec![false; packets];
    let mut times = Vec::with_capacity(packets);
    let mut sent = 0;
    let group = GROUP.max(burst);
    let mut streams: Vec<Vec<u8>> = vec![Vec::new(); CLIENTS];
    let mut quiet_since = Instant::now();
    while times.len() < packets {
        let due = ((start.elapsed().as_secs_f64() * rate) as usize).min(packets);
        while sent + group <= due {
            for _ in 0..group / burst {
                let n = (sent / burst) % CLIENTS;
                let payloads: Vec<Vec<u8>> = (0..burst)
                    .map(|k| payload(len, (sent + k) as u64, start))
                    .collect();
                send(flow, way, n, &payloads);
                sent += burst;
            }
            quiet_since = Instant::now();
        }
        let before = times.len();
        receive(flow, way, len, &mut streams, |bytes| {
            let left = check(bytes, len, &mut seen);
            times.push(start.elapsed().as_nanos() as u64 - left);
        });
        if times.len() > before {
            quiet_since = Instant::now();
        } else if quiet_since.elapsed() > Duration::from_millis(500) {
            break;
        }
    }
    (times.len(), times)
}

fn send(flow: &mut Flow, way: Way, n: usize, payloads: &[Vec<u8>]) {
    match way {
        Way::ChannelUp | Way::Joined => {
            let packets: Vec<Vec<u8>> = payloads
                .iter()
                .map(|p| flow.clients[n].channel_data(CHANNEL, p))
                .collect();
            let Link::Udp(socket) = &flow.clients[n].link else {
                unreachable!()
            };
            send_burst(socket, None, &packets);
        }
        Way::Send => {
            for payload in payloads {
                flow.clients[n].send_to(flow.peer_address, payload);
            }
        }
        Way::ChannelDown | Way::Data | Way::TcpDown => {
            send_burst(&flow.peer, Some(flow.relayed[n]), payloads)
        }
        Way::TcpUp => {
            for payload in payloads {
                let packet = flow.clients[n].channel_data(CHANNEL, payload);
                flow.clients[n].send(&packet);
            }
        }
    }
}

/// Sends datagrams of one length; several leave in one call that the kernel splits, as a browser's do.
fn send_burst(socket: &UdpSocket, to: Option<SocketAddr>, packets: &[Vec<u8>]) {
    if packets.len() > 1 {
        set_udp_option(socket, libc::UDP_SEGMENT, packets[0].len() as libc::c_int);
    }
    let bytes = packets.concat();
    let sent = match to {
        Some(to) => socket.send_to(&bytes, to),
        None => socket.send(&bytes),
    };
    match sent {
        Ok(sent) => assert_eq!(sent, bytes.len()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
    }
}

fn set_udp_option(socket: &UdpSocket, option: libc::c_int, value: libc::c_int) {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value outlives the call and has the length that is told.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            option,
            (&raw const value).cast(),
            len,
        )
    };
    assert_eq!(set, 0);
}

fn receive(
    flow: &mut Flow,
    way: Way,
    payload: usize,
    streams: &mut [Vec<u8>],
    mut got: impl FnMut(&[u8]),
) {
    let mut bytes = [0; 65_536];
    match way {
        Way::ChannelUp | Way::Send | Way::TcpUp => {
            for _ in 0..64 {
                let Ok(len) = flow.peer.recv(&mut bytes) else {
                    break;
                };
                bytes[..len].chunks(payload).for_each(&mut got);
            }
        }
        Way::ChannelDown | Way::Data | Way::Joined => {
            for client in &flow.clients {
                let Link::Udp(socket) = &client.link else {
                    unreachable!()
                };
                for _ in 0..16 {
                    let Ok(len) = socket.recv(&mut bytes) else {
                        break;
                    };
                    if burst_of(&bytes[..len], payload) {
                        bytes[..len]
                            .chunks(payload + 4)
                            .for_each(|one| got(data_of(one)));
                    } else {
                        got(data_of(&bytes[..len]));
                    }
                }
            }
        }
        Way::TcpDown => {
            for (client, partial) in flow.clients.iter_mut().zip(streams) {
                let Link::Tcp(stream) = &mut client.link else {
                    unreachable!()
                };
                if let Ok(len) = std::io::Read::read(stream, &mut bytes) {
                    partial.extend_from_slice(&bytes[..len]);
                }
                while let turnstone::stun::Frame::Len(len) = turnstone::stun::frame(partial) {
                    if partial.len() < len {
                        break;
                    }
                    got(data_of(&partial[..len]));
                    partial.drain(..len);
                }
            }
        }
    }
}

/// Whether these are several ChannelData messages that the kernel joined.
fn burst_of(bytes: &[u8], payload: usize) -> bool {
    bytes.len() > payload + 4
        && turnstone::stun::classify(bytes) == turnstone::stun::Kind::ChannelData
}

fn data_of(bytes: &[u8]) -> &[u8] {
    if let Some(channel) = turnstone::stun::ChannelData::read(bytes) {
        return &bytes[channel.data];
    }
    let message = turnstone::stun::Message::read(bytes).expect("a message");
    let data = turnstone::stun::Send::read(&message).expect("data").data;
    &bytes[data]
}

/// What 5,000 allocations with a channel each cost: CPU to make one, and memory to hold one.
fn allocations(server: &Server) -> (Measured, Measured) {
    const COUNT: usize = 5_000;
    raise_file_limit();
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let mut one = server.client();
    one.allocate(&[]);
    let (cpu, memory) = (server.cpu(), server.memory());
    let mut held = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let mut client = server.client();
        client.allocate(&[]);
        assert_eq!(client.bind(CHANNEL, peer), 200);
        held.push(client);
    }
    std::thread::sleep(Duration::from_millis(300));
    let count = COUNT as f64;
    let cpu = (server.cpu() - cpu).as_secs_f64() * 1e6 / count;
    let memory = (server.memory() - memory) / count;
    (
        Measured {
            value: cpu,
            lost: 0,
        },
        Measured {
            value: memory,
            lost: 0,
        },
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn pin_to_generator_core() {
    let pid = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["-cp", GENERATOR_CORE, &pid])
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "taskset of util-linux");
}

fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
