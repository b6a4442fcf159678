//! The relay alone, at its ports, with clients written by others (Debian's `coturn` package).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Output, Stdio};
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket};
use tokio::process::{Child, Command};
use turnstone::relay::{Connection, Relay};
use turnstone::turn::{Credentials, ExternalAddresses, ExternalIp, FixedUser, Settings};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A relay on loopback that knows one user; it stops itself when dropped.
pub(crate) struct TestRelay {
    pub(crate) relay: Relay,
    pub(crate) udp: SocketAddr,
    pub(crate) tcp: SocketAddr,
    _accepting: tokio::task::JoinHandle<()>,
}

impl TestRelay {
    pub(crate) async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_at(&[SocketAddr::new(LOOPBACK, 0)], change).await
    }

    pub(crate) async fn start_at(udp: &[SocketAddr], change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            users: vec![FixedUser {
                name: "kim".into(),
                password: "pw".into(),
            }],
            realm: "example.org".into(),
            ..Settings::default()
        };
        change(&mut settings);
        let credentials = Arc::new(Credentials::new(b"secret", &settings));
        let here = |ip: IpAddr| {
            Some(ExternalIp {
                public: ip,
                local: Some(ip),
            })
        };
        let external = ExternalAddresses {
            v4: here(LOOPBACK),
            v6: here("::1".parse().unwrap()),
            own: vec![LOOPBACK, "::1".parse().unwrap()],
        };
        let relay = Relay::start(settings, credentials, external, udp).unwrap();
        let udp = relay.udp_addresses()[0];
        let listener = TcpListener::bind(SocketAddr::new(LOOPBACK, 0))
            .await
            .unwrap();
        let tcp = listener.local_addr().unwrap();
        let handle = relay.handle();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, client)) = listener.accept().await {
                let local = stream.local_addr().unwrap();
                let connection = Connection {
                    socket: stream.into_std().unwrap(),
                    tls: None,
                    first: None,
                    seat: Box::new(()),
                };
                handle.adopt(connection, client, local);
            }
        });
        Self {
            relay,
            udp,
            tcp,
            _accepting: accepting,
        }
    }

    /// Runs coturn's client in each of these ways, all at once; each sends 80 messages and loses none.
    async fn relays_all(&self, always: &[&str], ways: &[&[&str]]) {
        let mut clients = tokio::task::JoinSet::new();
        for way in ways {
            let port = if way.contains(&"-t") {
                self.tcp.port()
            } else {
                self.udp.port()
            };
            let arguments = [always, way]
                .concat()
                .into_iter()
                .map(str::to_owned)
                .collect();
            clients.spawn(uclient(port, arguments));
        }
        while let Some(text) = clients.join_next().await {
            assert_nothing_lost(&text.unwrap(), 80);
        }
    }
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        self._accepting.abort();
    }
}

async fn uclient(port: u16, arguments: Vec<String>) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new("turnutils_uclient")
        .args(["-u", "kim", "-w", "pw", "-p", &port.to_string()])
        .args(&arguments)
        .arg("127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("turnutils_uclient of Debian's coturn package");
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{arguments:?}: {text}");
    text
}

fn assert_nothing_lost(text: &str, messages: u32) {
    let last = |what: &str| {
        text.lines()
            .rfind(|line| line.contains(what))
            .unwrap_or_default()
            .to_owned()
    };
    let counts = last("tot_send_msgs=");
    assert!(
        counts.contains(&format!(
            "tot_send_msgs={messages}, tot_recv_msgs={messages}"
        )),
        "{text}"
    );
    assert!(
        last("Total lost packets").contains("lost packets 0 "),
        "{text}"
    );
}

/// `turnutils_peer`, which sends back what it gets; ends when dropped.
async fn echoing_peer() -> (Child, u16) {
    let free = UdpSocket::bind(SocketAddr::new(LOOPBACK, 0)).await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let peer = Command::new("turnutils_peer")
        .args(["-L", "127.0.0.1", "-p", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("turnutils_peer of Debian's coturn package");
    let probe = UdpSocket::bind(SocketAddr::new(LOOPBACK, 0)).await.unwrap();
    for _ in 0..100 {
        let _ = probe.send_to(b"ready?", ("127.0.0.1", port)).await;
        let wait = std::time::Duration::from_millis(50);
        if tokio::time::timeout(wait, probe.recv_from(&mut [0; 16]))
            .await
            .is_ok_and(|r| r.is_ok())
        {
            return (peer, port);
        }
    }
    panic!("turnutils_peer does not answer");
}

#[tokio::test]
async fn clients_of_coturn_reach_each_other() {
    let relay = TestRelay::start(|_| {}).await;
    let ways: [&[&str]; 4] = [&[], &["-s"], &["-t"], &["-t", "-s"]];
    relay
        .relays_all(&["-y", "-n", "20", "-m", "4", "-l", "171"], &ways)
        .await;
}

#[tokio::test]
async fn clients_of_coturn_reach_a_peer_where_that_is_allowed() {
    let relay = TestRelay::start(|settings| {
        settings.allow_peers = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let (_peer, peer_port) = echoing_peer().await;
    let peer_port = peer_port.to_string();
    let always = [
        "-e",
        "127.0.0.1",
        "-r",
        &peer_port,
        "-n",
        "20",
        "-m",
        "4",
        "-c",
        "-l",
        "170",
    ];
    let ways: [&[&str]; 6] = [&[], &["-s"], &["-t"], &["-t", "-s"], &["-g"], &["-s", "-g"]];
    relay.relays_all(&always, &ways).await;
}

#[tokio::test]
async fn a_busy_port_is_an_error() {
    let relay = TestRelay::start(|_| {}).await;
    let settings = Settings::default();
    let credentials = Arc::new(Credentials::new(b"secret", &settings));
    let again = Relay::start(
        settings,
        credentials,
        ExternalAddresses::default(),
        &[relay.udp],
    );
    assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn the_relay_stops() {
    let settings = Settings::default();
    let credentials = Arc::new(Credentials::new(b"secret", &settings));
    let udp = SocketAddr::new(LOOPBACK, 0);
    let relay = Relay::start(
        settings.clone(),
        Arc::clone(&credentials),
        ExternalAddresses::default(),
        &[udp],
    )
    .unwrap();
    let udp = relay.udp_addresses()[0];
    relay.stop().await;
    Relay::start(settings, credentials, ExternalAddresses::default(), &[udp])
        .unwrap()
        .stop()
        .await;
}

#[tokio::test]
async fn a_stream_that_closes_gives_back_what_it_held() {
    let relay = TestRelay::start(|_| {}).await;
    let port = relay.tcp.port();
    let arguments = ["-t", "-y", "-s", "-n", "2", "-m", "2"]
        .map(str::to_owned)
        .to_vec();
    uclient(port, arguments).await;
    for _ in 0..100 {
        if relay.relay.handle().allocations() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!(
        "{} allocations were left",
        relay.relay.handle().allocations()
    );
}
