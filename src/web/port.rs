//! One port for everything: what a connection speaks is found out by looking, and it goes to whoever speaks that.
//!
//! The first byte in the clear tells TLS, TURN and HTTP apart (RFC 7983 §7 has the same idea for datagrams). Behind TLS
//! the protocol agreed on (ALPN) counts, and for TURN clients, which mostly name none, again the first byte.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::accept::{self, Arrival};
use super::http::{Ends, Http, Protocol};
use super::limits::{Guard, Limits};
use super::redirect;
use super::stream::Held;
use super::tls::{ALPN_H2, ALPN_HTTP1, ALPN_HTTP10, ALPN_TURN, Tls};

/// How long a client may take until it is known what it speaks: its first byte, the handshake, the first byte inside.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// How long the last words to a client that is turned away may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// The first byte of a TLS handshake record (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// A TCP port with several protocols on it.
pub struct Port {
    /// The certificate.
    pub tls: Tls,
    /// Who answers HTTP; `None` on TURN's own ports, where it is closed at once.
    pub http: Option<Arc<Http>>,
    /// Who takes TURN.
    pub on_turn: OnTurn,
    /// How much may be open, shared by all ports.
    pub limits: Arc<Limits>,
}

/// What to do with a TURN connection.
pub type OnTurn = Arc<dyn Fn(TurnConnection) + Send + Sync>;

/// A connection that speaks STUN and TURN, taken apart: whoever takes it may read and write it without this runtime.
/// The byte that was read to find out is given along. Dropping it all closes it.
pub struct TurnConnection {
    /// The socket, which does not block.
    pub socket: std::net::TcpStream,
    /// The state of TLS, its handshake done; `None` in the clear.
    pub tls: Option<Box<ServerConnection>>,
    /// A byte that was taken out of TLS already.
    pub first: Option<u8>,
    /// Its seat among the connections, given back when dropped.
    pub seat: Guard,
    /// Who it is.
    pub client: SocketAddr,
    /// Where it arrived.
    pub local: SocketAddr,
}

/// What a connection turned out to speak; the byte is one that was read to find out.
enum Spoken {
    Turn(TcpStream),
    TurnInTls(Option<u8>, TlsStream<TcpStream>),
    Http(TcpStream),
    HttpInTls(Protocol, Option<u8>, TlsStream<TcpStream>),
}

impl Port {
    /// Serves whoever connects until `stop`; then waits a little for what is being answered. Connections that were
    /// handed over are no longer its business.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let serve = |arrival| {
            let port = Arc::clone(&self);
            let stop = stop.clone();
            async move { port.take(arrival, &stop).await }
        };
        accept::each(listener, &self.limits.connections, &stop, serve).await;
    }

    async fn take(&self, arrival: Arrival, stop: &CancellationToken) {
        let Arrival {
            stream,
            client,
            local,
            guard,
        } = arrival;
        let ends = Ends { client, local };
        let spoken = match stop
            .run_until_cancelled(timeout(KNOWN_WITHIN, self.identify(stream)))
            .await
        {
            Some(Ok(Ok(spoken))) => spoken,
            Some(Ok(Err(reason))) => {
                return debug!(%reason, "a connection ended before it was known");
            }
            Some(Err(_)) => return debug!("a connection did not say in time what it wants"),
            None => return,
        };
        match (spoken, &self.http) {
            (Spoken::Turn(stream), _) => self.hand_over(stream, None, None, guard, ends),
            (Spoken::TurnInTls(first, stream), _) => {
                let (stream, tls) = stream.into_inner();
                self.hand_over(stream, Some(Box::new(tls)), first, guard, ends);
            }
            (Spoken::HttpInTls(protocol, first, stream), Some(http)) => {
                http.serve(Held::new(first, stream, guard), ends, protocol, stop)
                    .await;
            }
            (Spoken::Http(stream), Some(_)) => {
                let answer = redirect::to_the_same_port(Held::new(None, stream, guard));
                stop.run_until_cancelled(answer).await;
            }
            (Spoken::HttpInTls(_, _, mut stream), None) => {
                let _ = timeout(GOODBYE, stream.shutdown()).await; // it is closed in any case
            }
            (Spoken::Http(_), None) => debug!("HTTP is not served on this port"),
        }
    }

    /// Looks at as little as is needed. What is not TLS stays unread.
    async fn identify(&self, stream: TcpStream) -> io::Result<Spoken> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match first {
            [TLS_HANDSHAKE] => {}
            first if is_turn(first) => return Ok(Spoken::Turn(stream)),
            _ => return Ok(Spoken::Http(stream)),
        }
        let mut stream = self.tls.acceptor().accept(stream).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(ALPN_H2) => return Ok(Spoken::HttpInTls(Protocol::Http2, None, stream)),
            Some(ALPN_HTTP1 | ALPN_HTTP10) => {
                return Ok(Spoken::HttpInTls(Protocol::Http1, None, stream));
            }
            Some(ALPN_TURN) => return Ok(Spoken::TurnInTls(None, stream)),
            _ => {}
        }
        stream.read_exact(&mut first).await?;
        let [byte] = first;
        Ok(if is_turn(first) {
            Spoken::TurnInTls(Some(byte), stream)
        } else {
            Spoken::HttpInTls(Protocol::Http1, Some(byte), stream)
        })
    }

    fn hand_over(
        &self,
        stream: TcpStream,
        tls: Option<Box<ServerConnection>>,
        first: Option<u8>,
        seat: Guard,
        ends: Ends,
    ) {
        let Ends { client, local } = ends;
        match stream.into_std() {
            Ok(socket) => (self.on_turn)(TurnConnection {
                socket,
                tls,
                first,
                seat,
                client,
                local,
            }),
            Err(error) => debug!(%error, "a TURN connection could not be handed over"),
        }
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port")
            .field("pages", &self.http.is_some())
            .finish_non_exhaustive()
    }
}

/// The two highest bits of a STUN message's first byte are zero and its classes and methods that exist begin with 0 or 1
/// (RFC 8489 §5). Channel data (RFC 8656 §12.4) cannot come first: a channel needs an allocation.
fn is_turn([first]: [u8; 1]) -> bool {
    matches!(first, 0x00 | 0x01)
}
