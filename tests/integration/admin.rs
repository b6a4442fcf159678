//! Health and metrics, for whoever watches the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use turnstone::admin::{Admin, Metrics};

use crate::harness::{Answer, PATIENCE, rest_of};

struct Watched {
    addr: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Watched {
    async fn start() -> Self {
        let metrics = Metrics::default();
        metrics
            .gauge("turnstone_people", "People in rooms.", || 7.0)
            .unwrap();
        let ready = Arc::new(AtomicBool::new(true));
        let is_ready = Arc::clone(&ready);
        let admin = Arc::new(Admin {
            metrics: Arc::new(metrics),
            is_ready: Arc::new(move || is_ready.load(Ordering::Relaxed)),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(admin.serve(listener, stop.clone()));
        Self {
            addr,
            ready,
            stop,
            task,
        }
    }

    async fn ask(&self, head: &str) -> Answer {
        let mut client = TcpStream::connect(self.addr).await.unwrap();
        client
            .write_all(format!("{head}\r\nHost: a\r\n\r\n").as_bytes())
            .await
            .unwrap();
        Answer::read(&mut client, head.starts_with("HEAD")).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1")).await
    }
}

#[tokio::test]
async fn readiness_ends_before_health_does() {
    let server = Watched::start().await;
    assert_eq!(server.get("/healthz").await.text(), "ok");
    assert_eq!(server.get("/readyz").await.status, 200);
    server.ready.store(false, Ordering::Relaxed);
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 503);
}

#[tokio::test]
async fn metrics_are_read_as_prometheus_asks_for_them() {
    let server = Watched::start().await;
    let answer = server.get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(
        answer.text().contains("\nturnstone_people 7\n"),
        "{}",
        answer.text()
    );
    assert_eq!(server.ask("HEAD /metrics HTTP/1.1").await.status, 200);
    assert_eq!(server.ask("POST /metrics HTTP/1.1").await.status, 405);
    assert_eq!(server.get("/").await.status, 404);
}

#[tokio::test]
async fn connections_are_few_and_end_with_the_server() {
    let mut server = Watched::start().await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(TcpStream::connect(server.addr).await.unwrap());
    }
    let mut refused = held.pop().unwrap();
    assert!(
        rest_of(&mut refused).await.is_empty(),
        "the last of them is one too many"
    );
    server.stop.cancel();
    timeout(PATIENCE, &mut server.task)
        .await
        .expect("it ends in time")
        .unwrap();
    for mut client in held {
        assert!(rest_of(&mut client).await.is_empty());
    }
}
