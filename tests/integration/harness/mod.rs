//! A whole server on ports the system picks, and peers that talk to it over real TLS. What is tested of the HTTPS port
//! alone stands behind a [`Door`].

mod answer;
mod door;
mod folder;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use turnstone::config::Config;
use turnstone::rooms::RoomsHandle;
use turnstone::server::{Addresses, Server};
use turnstone::turn::ExternalIp;

pub(crate) use answer::{Answer, rest_of};
pub(crate) use door::Door;
pub(crate) use folder::Folder;
pub(crate) use tls::{connector, handshake};

/// How long anything may take before a test gives up; never a measure of anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server with its own data directory. Ends when dropped, by its tasks' token.
pub(crate) struct TestServer {
    server: Option<Server>,
    pub(crate) addresses: Addresses,
    pub(crate) dir: PathBuf,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A server with changed settings.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = std::env::temp_dir().join(format!("turnstone-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        Self::start_in(dir, change).await
    }

    /// A server on a data directory that is there already, as after a restart.
    pub(crate) async fn start_in(dir: PathBuf, change: impl FnOnce(&mut Config)) -> Self {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let ssl = dir.join("ssl");
        std::fs::create_dir_all(&ssl).unwrap();
        let mut config = Config {
            data_dir: dir.clone(),
            ..Config::default()
        };
        config.web.https_listen = Some(vec![here]);
        config.web.http_listen = Some(vec![here]);
        config.web.ssl_dir = Some(ssl);
        config.turn.listen = vec![here];
        config.turn.external_ips = vec![ExternalIp {
            public: Ipv4Addr::LOCALHOST.into(),
            local: None,
        }];
        config.admin.listen = Some(here);
        change(&mut config);
        let server = Server::start(config).await.unwrap();
        Self {
            addresses: server.addresses(),
            server: Some(server),
            dir,
        }
    }

    /// The way to change rooms from outside.
    pub(crate) fn rooms(&self) -> &RoomsHandle {
        self.server.as_ref().unwrap().rooms()
    }

    pub(crate) fn https(&self) -> SocketAddr {
        self.addresses.https[0]
    }

    /// Stops the server and leaves its data, for the next one.
    pub(crate) async fn stop(mut self) -> PathBuf {
        if let Some(server) = self.server.take() {
            server.stop(PATIENCE).await;
        }
        std::mem::take(&mut self.dir)
    }

    /// Another page's socket, not yet in a room.
    pub(crate) async fn page(&self) -> Peer {
        self.socket("/ws", None).await.unwrap()
    }

    /// Another seed client's socket, not yet in a room.
    pub(crate) async fn seed(&self) -> Peer {
        self.socket("/", None).await.unwrap()
    }

    /// People on `/ws`, in one room, everything said so far heard.
    pub(crate) async fn peers_in<const N: usize>(&self, room: &str) -> [Peer; N] {
        let mut peers: Vec<Peer> = Vec::new();
        for number in 1..=N {
            let mut peer = self.page().await;
            peer.login(room, &format!("Person {number}")).await;
            for earlier in &mut peers {
                assert_eq!(earlier.next().await["type"], "login");
            }
            peers.push(peer);
        }
        peers
            .try_into()
            .unwrap_or_else(|_| unreachable!("as many as asked for"))
    }

    /// A WebSocket at `path`, from a page of `origin` if that is given.
    pub(crate) async fn socket(&self, path: &str, origin: Option<&str>) -> Result<Peer, Error> {
        let mut request = self.request(path);
        if let Some(origin) = origin {
            request
                .headers_mut()
                .insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        let stream = self.tls().await;
        let (wire, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Peer {
            wire,
            id: String::new(),
            room: Value::Null,
        })
    }

    fn request(&self, path: &str) -> Request {
        format!("wss://{}{path}", self.https())
            .into_client_request()
            .unwrap()
    }

    /// A TLS connection to the HTTPS port.
    pub(crate) async fn tls(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.https()).await.unwrap();
        let name = "localhost".try_into().unwrap();
        connector(&[]).connect(name, stream).await.unwrap()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if !self.dir.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// One socket of a client.
pub(crate) struct Peer {
    pub(crate) wire: WebSocketStream<TlsStream<TcpStream>>,
    /// The session id, once joined.
    pub(crate) id: String,
    /// The data of the last `room`, null for seed clients.
    pub(crate) room: Value,
}

impl Peer {
    pub(crate) async fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string()).await;
    }

    /// Says `{type, data}`.
    pub(crate) async fn act(&mut self, kind: &str, data: Value) {
        self.send(&json!({"type": kind, "data": data})).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.wire.send(Message::text(text)).await.unwrap();
    }

    /// Logs in and takes in `joined`, and `room` where it comes.
    pub(crate) async fn login(&mut self, room: &str, name: &str) {
        self.ask_for_seat(json!({"roomrequest": room, "username": name}))
            .await;
        self.take_seat().await;
    }

    /// Logs in with more than the two names, and takes a seat.
    pub(crate) async fn enter(&mut self, data: Value) {
        self.ask_for_seat(data).await;
        self.take_seat().await;
    }

    pub(crate) async fn ask_for_seat(&mut self, data: Value) {
        self.send(&json!({"type": "login", "from": "", "to": "", "data": data}))
            .await;
    }

    pub(crate) async fn take_seat(&mut self) {
        let joined = self.next().await;
        assert_eq!(joined["type"], "joined", "{joined}");
        self.id = joined["data"].as_str().unwrap().to_owned();
        // Whatever is answered next tells whether `room` was sent.
        self.send(&json!({"type": "ping"})).await;
        let next = self.next().await;
        if next["type"] == "room" {
            self.room = next["data"].clone();
            assert_eq!(self.next().await["type"], "pong");
        } else {
            assert_eq!(next["type"], "pong");
        }
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        match self.next_frame().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// The next message, which is an error of this type.
    pub(crate) async fn refused(&mut self, kind: &str) {
        let message = self.next().await;
        assert_eq!(message["type"], "error", "{message}");
        assert_eq!(message["data"]["errorType"], kind, "{message}");
        assert_eq!(message["message"], message["data"]);
        assert!(!message["data"]["errorText"].as_str().unwrap().is_empty());
    }

    /// The code the server closes with, after whatever else it says.
    pub(crate) async fn closed_with(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next_frame().await {
                return frame.expect("a close code").code.into();
            }
        }
    }

    /// Nothing was sent before the answer to a ping sent now.
    pub(crate) async fn heard_nothing_else(&mut self) {
        self.send(&json!({"type": "ping"})).await;
        let next = self.next().await;
        assert_eq!(next["type"], "pong", "{next}");
    }

    /// Closes without a word.
    pub(crate) async fn cut(self) {
        drop(self.wire);
    }

    async fn next_frame(&mut self) -> Message {
        loop {
            let frame = timeout(PATIENCE, self.wire.next())
                .await
                .expect("nothing came");
            match frame.expect("the socket ended").expect("the socket broke") {
                Message::Ping(_) | Message::Pong(_) => {}
                frame => return frame,
            }
        }
    }
}
