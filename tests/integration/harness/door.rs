//! The HTTPS port alone: what comes through it is handed to the test.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::Response;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_util::sync::CancellationToken;
use turnstone::web::{
    ApiRequest, Body, Http, Limits, Port, SanName, Settings, Tls, TurnConnection, UpgradedSocket,
};

use super::{Answer, Folder, handshake};

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
