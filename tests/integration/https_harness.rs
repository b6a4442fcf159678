//! A port of our own on loopback, and a strict client for it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Response;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use turnstone::web::{
    ApiRequest, Body, Http, Limits, Port, SanName, Settings, Tls, TurnConnection, UpgradedSocket,
};

/// Longer than anything here takes; a test that hangs fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that is removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("turnstone-web-{}-{next}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let file = self.0.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port being served, and whatever it handed over.
pub(crate) struct Door {
    pub(crate) addr: SocketAddr,
    pub(crate) tls: Tls,
    pub(crate) limits: Arc<Limits>,
    pub(crate) data: Folder,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    pub(crate) turns: mpsc::UnboundedReceiver<TurnConnection>,
    pub(crate) sockets: mpsc::UnboundedReceiver<UpgradedSocket>,
}

/// The API of these tests says back what it is told.
fn echo(asked: ApiRequest) -> Response<Body> {
    let body = asked.request.into_body().map_err(Into::into);
    let mut response = Response::new(Body::new(body));
    let own = "sandbox".parse().unwrap();
    response
        .headers_mut()
        .insert("content-security-policy", own);
    response
}

impl Door {
    /// With pages, and a certificate of its own.
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub(crate) async fn open_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::build(change, true).await
    }

    /// As TURN's own port is.
    pub(crate) async fn open_without_pages() -> Self {
        Self::build(|_| {}, false).await
    }

    async fn build(change: impl FnOnce(&mut Settings), pages: bool) -> Self {
        let data = Folder::new();
        std::fs::create_dir(data.0.join("ssl")).unwrap();
        let mut settings = Settings {
            ssl_dir: Some(data.0.join("ssl")),
            ..Settings::default()
        };
        change(&mut settings);
        let names: Vec<SanName> = ["localhost", "127.0.0.1", "::1"]
            .map(|name| name.parse().unwrap())
            .to_vec();
        let tls = Tls::load(&settings, &data.0, &names).unwrap();
        let limits = Arc::new(Limits::new(&settings.limits));
        let (turn, turns) = mpsc::unbounded_channel();
        let (socket, sockets) = mpsc::unbounded_channel();
        let on_socket = Arc::new(move |upgraded| {
            let _ = socket.send(upgraded);
        });
        let http = Http::new(
            &settings,
            &data.0,
            tls.clone(),
            Arc::clone(&limits),
            on_socket,
            Arc::new(|asked| Box::pin(async { echo(asked) })),
        )
        .unwrap();
        let port = Arc::new(Port {
            tls: tls.clone(),
            http: pages.then(|| Arc::new(http)),
            on_turn: Arc::new(move |connection| {
                let _ = turn.send(connection);
            }),
            limits: Arc::clone(&limits),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(port.serve(listener, stop.clone()));
        Self {
            addr,
            tls,
            limits,
            data,
            stop,
            task,
            turns,
            sockets,
        }
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// A connection that offers these protocols and accepts this server's own certificate only, by name.
    pub(crate) async fn connect(&self, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        let pem = std::fs::read(self.data.0.join("self-signed.pem")).unwrap();
        let root = CertificateDer::from_pem_slice(&pem).unwrap();
        handshake(self.addr, root, alpn).await.unwrap()
    }

    /// One request over HTTP/1.1; `head` is everything up to the empty line.
    pub(crate) async fn ask(&self, head: &str) -> Answer {
        let mut stream = self.connect(&[b"http/1.1"]).await;
        stream
            .write_all(format!("{head}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        Answer::read(&mut stream, head.starts_with("HEAD")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}", self.addr))
            .await
    }

    /// Asks for a WebSocket with these further header lines; the stream is for what follows the answer.
    pub(crate) async fn ask_socket(
        &self,
        path: &str,
        further: &str,
    ) -> (Answer, TlsStream<TcpStream>) {
        let mut stream = self.connect(&[b"http/1.1"]).await;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{further}\r\n",
            self.addr
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = Answer::read(&mut stream, false).await;
        (answer, stream)
    }

    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.addr)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

pub(crate) async fn handshake(
    addr: SocketAddr,
    root: CertificateDer<'static>,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(addr).await?;
    let name = ServerName::from(addr.ip());
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// An HTTP/1.1 answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), to_head: bool) -> Self {
        timeout(PATIENCE, Self::read_all(stream, to_head))
            .await
            .expect("an answer in time")
    }

    async fn read_all(stream: &mut (impl AsyncRead + Unpin), to_head: bool) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a whole head"));
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if to_head || status == 304 { 0 } else { length }];
        stream.read_exact(&mut body).await.expect("a whole body");
        Self {
            status,
            headers,
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Waits until the other side closes, and says what came before.
pub(crate) async fn rest_of(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    // An abrupt end is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("an end in time");
    rest
}
