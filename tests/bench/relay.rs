//! What relaying costs: this relay and Debian's `turnserver`, both on one core, side by side; the generator on another.
//!
//! `cargo bench --bench relay` prints the table; `-- channel-up joined` only the rows that begin so; `-- --rounds 9` more
//! rounds; `-- --against PATH` compares with another `turnserver`, or with an older build of this bench; `-- --rate N` sends so
//! many packets per second while the cost is measured. Both servers run
//! all the time, rounds of about a second alternate between them, and medians are shown: of each server's rounds, and of
//! the ratio of each two that follow each other. Every delivered payload is checked.
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

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stun::attributes::*;
use stun::message::*;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};
use turn_client::{Client, Link};
use turnstone::relay::{Connection, Relay};
use turnstone::turn::{
    Credentials, ExternalAddresses, ExternalIp, FixedUser, Limits, Rate, Settings,
};

/// The core that the server has to itself.
const SERVER_CORE: &str = "0";
/// The core of the generator.
const GENERATOR_CORE: &str = "1";
const BOTH_CORES: &str = "0,1";
/// How many clients relay at once.
const CLIENTS: usize = 20;
/// How many packets one round sends.
const PACKETS: usize = 40_000;
/// Packets per second while the cost is measured: well below what either server can do.
const RATE: f64 = 40_000.0;
/// Packets per second while the latency is measured.
const LATENCY_RATE: f64 = 20_000.0;
/// How many packets leave at once.
const GROUP: usize = 4;
const CHANNEL: u16 = 0x4000;

/// How many rounds warm up before those that count.
const WARM_UP: usize = 1;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let [role, port, workers, files] = &arguments[..]
        && role == "serve"
    {
        return serve(
            port.parse().unwrap(),
            workers.parse().unwrap(),
            Path::new(files),
        );
    }
    pin_to(&std::process::id().to_string(), GENERATOR_CORE);
    raise_file_limit();
    let mut rounds = 5;
    let mut rate = RATE;
    let mut only = Vec::new();
    let mut against = PathBuf::from("turnserver");
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().unwrap().parse().unwrap(),
            "--rate" => rate = arguments.next().unwrap().parse().unwrap(),
            "--against" => against = arguments.next().unwrap().into(),
            _ => only.push(argument),
        }
    }
    let setting = Setting {
        files: Files::new(),
        against,
        rate,
    };
    println!(
        "| figure | unit | {} | ours | ratio | lost |\n|---|---|---|---|---|---|",
        setting.against.display()
    );
    for (name, unit, figure) in FIGURES {
        if only.is_empty() || only.iter().any(|wanted| name.starts_with(wanted.as_str())) {
            compare(&setting, name, unit, *figure, rounds);
        }
    }
}

fn compare(setting: &Setting, name: &str, unit: &str, figure: Figure, rounds: usize) {
    if figure == Figure::Saturation {
        return saturation(setting, name, rounds);
    }
    let mut sides = [Kind::Other, Kind::Ours].map(|kind| figure.prepare(setting, kind));
    for side in &mut sides {
        for _ in 0..WARM_UP {
            side();
        }
    }
    let mut results = [Vec::new(), Vec::new()];
    let mut lost = [0; 2];
    for _ in 0..rounds {
        for (which, side) in sides.iter_mut().enumerate() {
            let measured = side();
            results[which].push(measured.value);
            lost[which] += measured.lost;
        }
    }
    let ratios = results[0].iter().zip(&results[1]);
    let ratio = median(ratios.map(|(other, ours)| ours / other).collect());
    let [other, ours] = results.map(median);
    println!(
        "| {name} | {unit} | {other:.3} | {ours:.3} | {ratio:.2} | {}, {} |",
        lost[0], lost[1]
    );
}

/// What is the same for all figures.
struct Setting {
    files: Files,
    /// What is compared with.
    against: PathBuf,
    /// Packets per second while the cost is measured.
    rate: f64,
}

/// A certificate for this machine and its key, as both kinds of server read them; gone when dropped.
struct Files {
    folder: PathBuf,
    trusting: Arc<ClientConfig>,
}

impl Files {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("relay-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        // Debian's turnserver speaks no TLS 1.3, so all speak 1.2, with one cipher.
        let mut provider = rustls::crypto::ring::default_provider();
        provider.cipher_suites =
            vec![rustls::crypto::ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256];
        let trusting = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            folder,
            trusting: Arc::new(trusting),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Figure {
    /// CPU per packet.
    Relayed(Load),
    /// The same with two workers that may use both cores.
    TwoWorkers(Load),
    /// A quantile of the time under way.
    Latency(f64),
    /// CPU per allocation with a channel, when this many clients ask at once.
    Allocate(usize),
    /// Memory per allocation.
    Memory,
    /// What is lost at 80 % of the rate at which the other server begins to lose.
    Saturation,
}

/// What is relayed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Load {
    way: Way,
    len: usize,
    /// How many packets for one destination leave at once.
    burst: usize,
    clients: usize,
}

const fn load(way: Way, len: usize) -> Load {
    Load {
        way,
        len,
        burst: 1,
        clients: CLIENTS,
    }
}

const fn bursts(way: Way) -> Load {
    Load {
        burst: 8,
        ..load(way, 1_200)
    }
}

const fn growth(clients: usize) -> Load {
    Load {
        clients,
        ..load(Way::ChannelUp, 160)
    }
}

const CPU: &str = "µs CPU per packet";

/// Every figure: its name, its unit, what it is.
const FIGURES: &[(&str, &str, Figure)] = &[
    (
        "channel-up-160",
        CPU,
        Figure::Relayed(load(Way::ChannelUp, 160)),
    ),
    (
        "channel-up-1200",
        CPU,
        Figure::Relayed(load(Way::ChannelUp, 1_200)),
    ),
    (
        "channel-down-160",
        CPU,
        Figure::Relayed(load(Way::ChannelDown, 160)),
    ),
    (
        "channel-down-1200",
        CPU,
        Figure::Relayed(load(Way::ChannelDown, 1_200)),
    ),
    ("send-160", CPU, Figure::Relayed(load(Way::Send, 160))),
    ("data-160", CPU, Figure::Relayed(load(Way::Data, 160))),
    ("joined-160", CPU, Figure::Relayed(load(Way::Joined, 160))),
    (
        "joined-1200",
        CPU,
        Figure::Relayed(load(Way::Joined, 1_200)),
    ),
    (
        "burst-up-1200",
        CPU,
        Figure::Relayed(bursts(Way::ChannelUp)),
    ),
    (
        "burst-down-1200",
        CPU,
        Figure::Relayed(bursts(Way::ChannelDown)),
    ),
    (
        "joined-burst-1200",
        CPU,
        Figure::Relayed(bursts(Way::Joined)),
    ),
    ("tcp-up-160", CPU, Figure::Relayed(load(Way::TcpUp, 160))),
    (
        "tcp-down-160",
        CPU,
        Figure::Relayed(load(Way::TcpDown, 160)),
    ),
    ("tcp-up-1200", CPU, Figure::Relayed(load(Way::TcpUp, 1_200))),
    (
        "tcp-down-1200",
        CPU,
        Figure::Relayed(load(Way::TcpDown, 1_200)),
    ),
    ("tls-up-160", CPU, Figure::Relayed(load(Way::TlsUp, 160))),
    (
        "tls-down-160",
        CPU,
        Figure::Relayed(load(Way::TlsDown, 160)),
    ),
    ("tls-up-1200", CPU, Figure::Relayed(load(Way::TlsUp, 1_200))),
    (
        "tls-down-1200",
        CPU,
        Figure::Relayed(load(Way::TlsDown, 1_200)),
    ),
    ("latency-p50", "µs", Figure::Latency(0.50)),
    ("latency-p99", "µs", Figure::Latency(0.99)),
    ("allocate-and-bind", "µs CPU", Figure::Allocate(CLIENTS)),
    ("allocate-and-bind-alone", "µs CPU", Figure::Allocate(1)),
    ("memory", "KB per idle allocation", Figure::Memory),
    ("saturation", "packets", Figure::Saturation),
    ("growth-1", CPU, Figure::Relayed(growth(1))),
    ("growth-100", CPU, Figure::Relayed(growth(100))),
    ("growth-1000", CPU, Figure::Relayed(growth(1_000))),
    ("growth-5000", CPU, Figure::Relayed(growth(5_000))),
    (
        "workers-2-up",
        CPU,
        Figure::TwoWorkers(load(Way::ChannelUp, 160)),
    ),
    (
        "workers-2-joined",
        CPU,
        Figure::TwoWorkers(load(Way::Joined, 160)),
    ),
];

impl Figure {
    /// Starts a server and all that is needed to measure one round after another.
    fn prepare<'a>(self, setting: &'a Setting, kind: Kind) -> Box<dyn FnMut() -> Measured + 'a> {
        match self {
            Self::Relayed(load) => {
                let mut rig = Rig::new(setting, kind, 1, load);
                Box::new(move || rig.cpu_per_packet())
            }
            Self::TwoWorkers(load) => {
                let mut rig = Rig::new(setting, kind, 2, load);
                Box::new(move || rig.cpu_per_packet())
            }
            Self::Latency(quantile) => {
                let mut rig = Rig::new(setting, kind, 1, load(Way::ChannelUp, 160));
                Box::new(move || rig.latency(quantile))
            }
            Self::Allocate(at_once) => {
                Box::new(move || allocations(&Server::start(setting, kind, 1), at_once, 1_000).0)
            }
            Self::Memory => {
                Box::new(move || allocations(&Server::start(setting, kind, 1), CLIENTS, 5_000).1)
            }
            Self::Saturation => unreachable!("it compares in its own way"),
        }
    }
}

struct Measured {
    value: f64,
    lost: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Other,
    Ours,
}

/// A server process on its own core; killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    trusting: Arc<ClientConfig>,
}

impl Server {
    fn start(setting: &Setting, kind: Kind, workers: usize) -> Self {
        let address = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let here = std::env::current_exe().unwrap();
        let program = match kind {
            Kind::Ours => &here,
            Kind::Other => &setting.against,
        };
        let name = program.file_name().unwrap().to_string_lossy();
        let (port, workers) = (address.port().to_string(), workers.to_string());
        let mut command = Command::new(program);
        if name.starts_with("turnserver") {
            let file = |name| setting.files.folder.join(name);
            command.args([
                "-n",
                "--no-cli",
                "--no-dtls",
                "--lt-cred-mech",
                "-u",
                "kim:pw",
            ]);
            command.args([
                "-r",
                turn_client::REALM,
                "-L",
                "127.0.0.1",
                "-E",
                "127.0.0.1",
            ]);
            command.args(["--allow-loopback-peers", "-m", &workers, "-p", &port]);
            command.args([
                "--log-file",
                "/dev/null",
                "--simple-log",
                "--pidfile",
                "/dev/null",
            ]);
            command.arg("--cert").arg(file("cert.pem"));
            command.arg("--pkey").arg(file("key.pem"));
        } else {
            command.args(["serve", &port, &workers]);
            command.arg(&setting.files.folder);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        if workers == "1" {
            pin_to(&child.id().to_string(), SERVER_CORE);
        } else {
            pin_to(&child.id().to_string(), BOTH_CORES);
        }
        let server = Self {
            child,
            address,
            trusting: Arc::clone(&setting.files.trusting),
        };
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
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{name} does not answer");
    }

    fn client(&self) -> Client {
        // Another address than the relayed ones, so that thousands of clients take no relayed ports away.
        Client::udp(SocketAddr::from(([127, 0, 0, 2], 0)), self.address)
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

/// Runs the relay alone, without limits on the rates of users and sources.
fn serve(port: u16, workers: usize, files: &Path) {
    let limits = Limits {
        allocations_per_user: 20_000,
        allocations_per_source: 20_000,
        allocations: 20_000,
        per_user: Rate::UNLIMITED,
        per_source: Rate::UNLIMITED,
        unauthenticated_answers: 20_000,
        ..Limits::default()
    };
    let settings = Settings {
        users: vec![FixedUser {
            name: "kim".into(),
            password: "pw".into(),
        }],
        realm: turn_client::REALM.into(),
        allow_peers: vec!["127.0.0.0/8".parse().unwrap()],
        limits,
        workers: std::num::NonZeroUsize::new(workers),
        ..Settings::default()
    };
    raise_file_limit();
    let certificate = CertificateDer::from_pem_file(files.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(files.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let tls = Arc::new(tls);
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
    let listener = TcpListener::bind(address).unwrap();
    loop {
        let (socket, client) = listener.accept().unwrap();
        let (handle, tls) = (relay.handle(), Arc::clone(&tls));
        std::thread::spawn(move || {
            let mut socket = socket;
            socket.set_nodelay(true).unwrap();
            let mut first = [0];
            socket.peek(&mut first).unwrap();
            // 0x16 begins a TLS handshake.
            let tls = (first == [0x16]).then(|| {
                let mut connection = ServerConnection::new(tls).unwrap();
                while connection.is_handshaking() {
                    connection.complete_io(&mut socket).unwrap();
                }
                Box::new(connection)
            });
            socket.set_nonblocking(true).unwrap();
            let connection = Connection {
                socket,
                tls,
                first: None,
                seat: Box::new(()),
            };
            handle.adopt(connection, client, address);
        });
    }
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
    TlsUp,
    TlsDown,
}

/// A server and what it relays.
struct Rig {
    server: Server,
    flow: Flow,
    load: Load,
    rate: f64,
}

impl Rig {
    fn new(setting: &Setting, kind: Kind, workers: usize, load: Load) -> Self {
        let server = Server::start(setting, kind, workers);
        let flow = Flow::new(&server, load);
        let rate = setting.rate;
        Self {
            server,
            flow,
            load,
            rate,
        }
    }

    /// The CPU time that relaying one packet costs the server.
    fn cpu_per_packet(&mut self) -> Measured {
        let before = self.server.cpu();
        let run = run(&mut self.flow, self.load, self.rate, PACKETS);
        let cpu = self.server.cpu() - before;
        Measured {
            value: cpu.as_secs_f64() * 1e6 / run.times.len() as f64,
            lost: run.lost,
        }
    }

    /// The time that a packet is under way.
    fn latency(&mut self, quantile: f64) -> Measured {
        const PACKETS: usize = LATENCY_RATE as usize;
        let Ran {
            mut times, lost, ..
        } = run(&mut self.flow, self.load, LATENCY_RATE, PACKETS);
        times.sort_unstable();
        let value = times[((times.len() - 1) as f64 * quantile) as usize] as f64 / 1e3;
        Measured { value, lost }
    }
}

/// Finds the rate at which the other server begins to lose packets, then what both lose at 80 % of it.
fn saturation(setting: &Setting, name: &str, rounds: usize) {
    let load = load(Way::ChannelUp, 160);
    let mut sides = [Kind::Other, Kind::Ours].map(|kind| Rig::new(setting, kind, 1, load));
    let bears = |rig: &mut Rig, rate: f64| {
        let run = run(&mut rig.flow, load, rate, rate as usize);
        (run.times.len() as f64 / rate, run.kept_pace)
    };
    let mut rate = 60_000.0;
    let limit = loop {
        let (share, kept_pace) = bears(&mut sides[0], rate);
        if share < 0.99 {
            break "";
        }
        if !kept_pace {
            break " (as fast as the generator is)";
        }
        rate *= 1.05;
    };
    let mut lost = [0; 2];
    let packets = (rate * 0.8) as usize;
    for _ in 0..rounds {
        for (lost, rig) in lost.iter_mut().zip(&mut sides) {
            *lost += run(&mut rig.flow, load, rate * 0.8, packets).lost;
        }
    }
    println!(
        "| {name} | packets lost of {} at 80 % of {rate:.0} per second{limit} | {} | {} | | |",
        packets * rounds,
        lost[0],
        lost[1]
    );
}

/// What sends, what it sends, and who gets it.
struct Flow {
    clients: Vec<Client>,
    peer: UdpSocket,
    relayed: Vec<SocketAddr>,
    peer_address: SocketAddr,
}

impl Flow {
    fn new(server: &Server, load: Load) -> Self {
        let Load {
            way,
            burst,
            clients,
            ..
        } = load;
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket2::SockRef::from(&peer)
            .set_recv_buffer_size(4 << 20)
            .unwrap();
        peer.set_nonblocking(true).unwrap();
        let joined = |socket: &UdpSocket| {
            if burst > 1 {
                set_udp_option(socket, libc::UDP_GRO, 1);
            }
        };
        joined(&peer);
        let peer_address = peer.local_addr().unwrap();
        let mut clients: Vec<Client> = (0..clients)
            .map(|_| match way {
                Way::TcpUp | Way::TcpDown => Client::tcp(server.address),
                Way::TlsUp | Way::TlsDown => {
                    Client::tls(server.address, Arc::clone(&server.trusting))
                }
                _ => server.client(),
            })
            .collect();
        let relayed: Vec<SocketAddr> = clients
            .iter_mut()
            .map(|client| client.allocate(&[]))
            .collect();
        for n in 0..clients.len() {
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
                    // Whoever sends bursts takes them so, too.
                    joined(socket);
                    socket.set_nonblocking(true).unwrap();
                }
                Link::Tcp(stream) => {
                    stream.set_nodelay(true).unwrap();
                    stream.set_nonblocking(true).unwrap();
                }
                Link::Tls(stream) => {
                    stream.sock.set_nodelay(true).unwrap();
                    stream.sock.set_nonblocking(true).unwrap();
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

/// What became of a round.
struct Ran {
    /// How long each packet that arrived was under way, in nanoseconds.
    times: Vec<u64>,
    /// How many did not arrive.
    lost: usize,
    /// Whether the generator was as fast as it should.
    kept_pace: bool,
}

fn run(flow: &mut Flow, load: Load, rate: f64, packets: usize) -> Ran {
    let Load {
        way, len, burst, ..
    } = load;
    let start = Instant::now();
    let mut seen = vec![false; packets];
    let mut times = Vec::with_capacity(packets);
    let mut sent = 0;
    let group = GROUP.max(burst);
    let packets = packets - packets % group;
    let mut streams: Vec<Vec<u8>> = vec![Vec::new(); flow.clients.len()];
    let mut quiet_since = Instant::now();
    let mut took = Duration::ZERO;
    while times.len() < packets {
        let due = ((start.elapsed().as_secs_f64() * rate) as usize).min(packets);
        // Not too many before it is looked at what has come.
        let due = due.min(sent + 16 * group);
        while sent + group <= due {
            // All are made before the first leaves, so that they leave at once whatever they are.
            let leaving: Vec<(usize, Vec<Vec<u8>>)> = (0..group / burst)
                .map(|_| {
                    let n = (sent / burst) % flow.clients.len();
                    let numbers = sent..sent + burst;
                    sent += burst;
                    let packets = numbers.map(|number| payload(len, number as u64, start));
                    (n, packets.map(|p| wrap(flow, way, n, p)).collect())
                })
                .collect();
            for (n, packets) in leaving {
                send(flow, way, n, &packets);
            }
            quiet_since = Instant::now();
            took = start.elapsed();
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
    let kept_pace = took.as_secs_f64() < 1.03 * packets as f64 / rate;
    Ran {
        lost: packets - times.len(),
        times,
        kept_pace,
    }
}

/// What carries a payload on its way to the server.
fn wrap(flow: &mut Flow, way: Way, n: usize, payload: Vec<u8>) -> Vec<u8> {
    match way {
        Way::ChannelUp | Way::Joined | Way::TcpUp | Way::TlsUp => {
            flow.clients[n].channel_data(CHANNEL, &payload)
        }
        Way::Send => flow.clients[n].indication(flow.peer_address, &payload, &[]),
        Way::ChannelDown | Way::Data | Way::TcpDown | Way::TlsDown => payload,
    }
}

fn send(flow: &mut Flow, way: Way, n: usize, packets: &[Vec<u8>]) {
    match (way, &flow.clients[n].link) {
        (Way::ChannelDown | Way::Data | Way::TcpDown | Way::TlsDown, _) => {
            send_burst(&flow.peer, Some(flow.relayed[n]), packets);
        }
        (_, Link::Udp(socket)) => send_burst(socket, None, packets),
        _ => packets
            .iter()
            .for_each(|packet| flow.clients[n].send(packet)),
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
        Way::ChannelUp | Way::Send | Way::TcpUp | Way::TlsUp => {
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
        Way::TcpDown | Way::TlsDown => {
            for (client, partial) in flow.clients.iter_mut().zip(streams) {
                let read = match &mut client.link {
                    Link::Tcp(stream) => stream.read(&mut bytes),
                    Link::Tls(stream) => stream.read(&mut bytes),
                    Link::Udp(_) => unreachable!(),
                };
                if let Ok(len) = read {
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

/// What so many allocations with a channel each cost: CPU to make one, and memory to hold one. So many clients ask at
/// once, each its three requests one after the other. The generator looks for answers without sleeping: to wake it
/// would be counted as the server's work.
fn allocations(server: &Server, at_once: usize, count: usize) -> (Measured, Measured) {
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let mut one = server.client();
    one.allocate(&[]);
    let (cpu, memory) = (server.cpu(), server.memory());
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        let mut clients: Vec<Client> = (0..at_once).map(|_| server.client()).collect();
        let challenges = ask_all(&mut clients, |_, id| {
            turn_client::build_with(id, METHOD_ALLOCATE, CLASS_REQUEST, &[]).raw
        });
        for (client, answer) in clients.iter_mut().zip(challenges) {
            assert_eq!(answer.code(), 401);
            client.nonce = answer.0.get(ATTR_NONCE).unwrap();
        }
        let transport = [(ATTR_REQUESTED_TRANSPORT, vec![17, 0, 0, 0])];
        let allocated = ask_all(&mut clients, |client, id| {
            client.sealed(id, METHOD_ALLOCATE, &transport).raw
        });
        assert!(allocated.iter().all(|answer| answer.code() == 200));
        let bound = ask_all(&mut clients, |client, id| {
            let [high, low] = CHANNEL.to_be_bytes();
            let attributes = [
                (ATTR_CHANNEL_NUMBER, vec![high, low, 0, 0]),
                (ATTR_XOR_PEER_ADDRESS, turn_client::xor(peer, id)),
            ];
            client.sealed(id, METHOD_CHANNEL_BIND, &attributes).raw
        });
        assert!(bound.iter().all(|answer| answer.code() == 200));
        held.extend(clients);
    }
    let cpu = (server.cpu() - cpu).as_secs_f64() * 1e6;
    std::thread::sleep(Duration::from_millis(300));
    let memory = server.memory() - memory;
    let per_allocation = |value: f64| Measured {
        value: value / held.len() as f64,
        lost: 0,
    };
    (per_allocation(cpu), per_allocation(memory))
}

/// Sends everybody's request and waits for everybody's answer.
fn ask_all(
    clients: &mut [Client],
    request: impl Fn(&Client, [u8; 12]) -> Vec<u8>,
) -> Vec<turn_client::Answer> {
    for client in clients.iter_mut() {
        let id = client.id();
        let request = request(client, id);
        client.send(&request);
    }
    let asked = Instant::now();
    let answer = |client: &mut Client| {
        let Link::Udp(socket) = &client.link else {
            unreachable!()
        };
        socket.set_nonblocking(true).unwrap();
        let mut bytes = [0; 2_048];
        loop {
            match socket.recv(&mut bytes) {
                Ok(len) => return turn_client::parse(&bytes[..len]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            assert!(asked.elapsed() < Duration::from_secs(5), "no answer");
        }
    };
    clients.iter_mut().map(answer).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn pin_to(pid: &str, cores: &str) {
    let status = Command::new("taskset")
        .args(["-acp", cores, pid])
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
