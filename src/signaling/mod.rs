//! WSS: one task per socket, between the wire and the rooms.
//!
//! It reads JSON, keeps the limits of a socket, answers pings, and adds ICE servers to what the
//! rooms say, since rooms know nothing of TURN. How a socket was upgraded is `web`'s matter.

mod limits;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span};

use crate::id::{PeerId, SessionId, Source};
use crate::message::{
    Bye, ErrorType, FromPeer, IceGrant, Limits, MESSAGE_BYTES_MAX, Refusal, Renewal, Text, ToPeer,
    Welcome,
};
use crate::room::{Departure, Seating};
use crate::rooms::{Dropped, Inbox, RoomsHandle, Settling, ToSocket};
use limits::{Bucket, Faults};

pub use limits::{BURST, FAULTS_MAX, FAULTS_WITHIN, RATE};

/// Messages up to this size are read and refused with words; larger ones end the connection.
pub const DROPPED_BYTES_MAX: usize = 1024 * 1024;
/// How often the server asks whether a socket is still there. Below the 30 s after which some
/// mobile networks forget a silent connection.
pub const PING_EVERY: Duration = Duration::from_secs(25);
/// After how many unanswered pings a socket counts as broken.
const PINGS_MISSED_MAX: u32 = 2;
/// How long one message may take to be written. A socket that takes longer is too slow.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How long a closing socket is given to take the reason.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// How much of a message too large to be read is thrown away before closing, in bytes: a socket
/// closed with bytes unread is reset, and the reason lost.
const DISCARDED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What the page is told to wait before it comes back after a restart, in milliseconds.
const RETRY_AFTER_MS: u64 = 1000;
/// The WebSocket library's read buffer per socket; messages are small (its default is 128 KiB).
const READ_BUFFER: usize = 4 * 1024;

const TOO_SLOW: u16 = 4000;
const REPLACED: u16 = 4001;
const ABUSE: u16 = 4002;
const REMOVED: u16 = 4003;

const TOO_BIG: Refusal = Refusal::new(ErrorType::TooBig, "A message has at most 64 KiB.");
const TOO_MANY: Refusal = Refusal::new(ErrorType::Rate, "Too many messages; slow down.");
const BINARY: Refusal = Refusal::invalid("Messages are JSON text.");

/// Where ICE servers come from.
pub trait IceServers: Send + Sync {
    /// Servers as someone who reached us as `host` (with the port, if any) reaches them, with
    /// credentials for `session`.
    fn grant(&self, session: SessionId, host: &str) -> IceGrant;
}

/// A WebSocket that was accepted.
pub struct Socket<S> {
    /// The connection, upgraded.
    pub stream: S,
    /// It came by `/ws`.
    pub page: bool,
    /// Where it comes from.
    pub source: Source,
    /// The request's `Host`.
    pub host: String,
}

/// What every socket's task shares.
pub struct Signaling {
    rooms: RoomsHandle,
    ice: Arc<dyn IceServers>,
    stop: CancellationToken,
    next_peer: AtomicU64,
    open: AtomicUsize,
}

impl Signaling {
    /// Nothing is served yet. When `stop` fires, every socket gets `bye` and is closed with 1012.
    #[must_use]
    pub fn new(rooms: RoomsHandle, ice: Arc<dyn IceServers>, stop: CancellationToken) -> Self {
        let next_peer = AtomicU64::new(1);
        Self {
            rooms,
            ice,
            stop,
            next_peer,
            open: AtomicUsize::new(0),
        }
    }

    /// How many sockets are open.
    #[must_use]
    pub fn open_sockets(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Serves one socket until it closes.
    pub async fn serve<S>(&self, socket: Socket<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let peer = PeerId::new(self.next_peer.fetch_add(1, Ordering::Relaxed));
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(DROPPED_BYTES_MAX))
            .max_frame_size(Some(DROPPED_BYTES_MAX));
        let wire = WebSocketStream::from_raw_socket(socket.stream, Role::Server, Some(config));
        let now = Instant::now();
        let connection = Connection {
            peer,
            host: socket.host,
            wire: wire.await,
            bucket: Bucket::new(now),
            faults: Faults::default(),
            settling: None,
            shared: self,
        };
        self.open.fetch_add(1, Ordering::Relaxed);
        connection
            .run(socket.source, socket.page)
            .instrument(info_span!("peer", id = %peer))
            .await;
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Connection<'a, S> {
    peer: PeerId,
    host: String,
    wire: WebSocketStream<S>,
    bucket: Bucket,
    faults: Faults,
    /// What was said last, as long as the rooms have to ask for something before they can answer it. Nothing
    /// is read meanwhile, so that everything happens in the order it was said.
    settling: Option<Settling>,
    shared: &'a Signaling,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The client said goodbye with this code, if it gave one.
    Closed(Option<CloseCode>),
    /// Nothing more came, or could be sent.
    Broken,
    /// It does not read what it is sent.
    TooSlow,
    /// Another socket has taken up the seat.
    Replaced,
    /// The person was removed from the room.
    Removed,
    /// Too many faults.
    Abuse,
    /// A message over [`DROPPED_BYTES_MAX`].
    FarTooBig,
    /// Not the WebSocket protocol (RFC 6455 §7.4.1: 1002), or not UTF-8 (1007).
    NotWebSocket(CloseCode),
    /// The server is about to restart.
    Restarting,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(mut self, source: Source, page: bool) {
        let rooms = &self.shared.rooms;
        let session = SessionId::random();
        let mut inbox = rooms.connect(self.peer, session, source, page).await;
        let end = self.talk(&mut inbox).await;
        debug!(?end, "closed");
        // The others are told before this socket is waited for.
        rooms.gone(self.peer, end.departure()).await;
        drop(inbox);
        let _ = timeout(CLOSE_WITHIN, self.close(&end)).await;
    }

    async fn talk(&mut self, inbox: &mut Inbox) -> End {
        let dropped = inbox.dropped();
        let stop = self.shared.stop.clone();
        let mut ping = interval_at((Instant::now() + PING_EVERY).into(), PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unanswered = 0;
        loop {
            let step = tokio::select! {
                message = self.wire.next(), if self.settling.is_none() => {
                    unanswered = 0;
                    self.take(message).await
                }
                () = settled(&mut self.settling) => {
                    self.settling = None;
                    Ok(())
                }
                message = inbox.next() => match message {
                    Some(message) => self.pass_on(message).await,
                    None if dropped.is_cancelled() => Err(End::dropped(inbox.why())),
                    None => Err(End::Restarting),
                },
                _ = ping.tick() => {
                    if unanswered == PINGS_MISSED_MAX {
                        return End::Broken;
                    }
                    unanswered += 1;
                    self.write(Message::Ping(Vec::new().into())).await
                }
                () = dropped.cancelled() => return End::dropped(inbox.why()),
                () = stop.cancelled() => return End::Restarting,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn take(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => {
                self.allow()?;
                return self.refuse(&BINARY).await;
            }
            Some(Ok(Message::Close(frame))) => return Err(End::Closed(frame.map(|f| f.code))),
            // The library answers pings by itself; a flood of them counts like any other.
            Some(Ok(_)) => return self.allow(),
            Some(Err(Error::Capacity(_))) => return Err(End::FarTooBig),
            Some(Err(Error::Utf8(_))) => return Err(End::NotWebSocket(CloseCode::Invalid)),
            Some(Err(Error::Protocol(_))) => return Err(End::NotWebSocket(CloseCode::Protocol)),
            Some(Err(_)) | None => return Err(End::Broken),
        };
        if !self.bucket.take(Instant::now()) {
            return self.refuse(&TOO_MANY).await;
        }
        if text.len() > MESSAGE_BYTES_MAX {
            return self.refuse(&TOO_BIG).await;
        }
        match FromPeer::parse(&text) {
            Ok(FromPeer::Pong | FromPeer::Unknown) => Ok(()),
            Ok(message) => {
                self.settling = self.shared.rooms.said(self.peer, message).await;
                Ok(())
            }
            Err(refusal) => self.refuse(&refusal).await,
        }
    }

    /// Counts a message that has no answer of its own; too many of them are faults.
    fn allow(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.bucket.take(now) || self.faults.count(now) {
            Ok(())
        } else {
            Err(End::Abuse)
        }
    }

    async fn pass_on(&mut self, message: ToSocket) -> Result<(), End> {
        match message {
            ToSocket::Text(text) => self.send(text).await,
            ToSocket::Welcome(seating) => {
                let grant = self.shared.ice.grant(seating.you.session_id, &self.host);
                self.send(welcome(&seating, &grant)).await
            }
            ToSocket::Ice(session, api) => {
                let data = Renewal {
                    ice: &self.shared.ice.grant(session, &self.host),
                    api: api.as_ref(),
                };
                self.send(ToPeer::Ice { data }.text()).await
            }
            ToSocket::Refuse(refusal) => self.refuse(&refusal).await,
            ToSocket::Remove => Err(End::Removed),
        }
    }

    async fn refuse(&mut self, refusal: &Refusal) -> Result<(), End> {
        debug!(kind = ?refusal.error_type, "refused");
        self.send(Text::from(refusal)).await?;
        if refusal.is_fault() && !self.faults.count(Instant::now()) {
            return Err(End::Abuse);
        }
        Ok(())
    }

    async fn send(&mut self, text: Text) -> Result<(), End> {
        let text = Utf8Bytes::try_from(text.into_bytes()).map_err(|_| End::Broken)?;
        self.write(Message::Text(text)).await
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        match timeout(WRITE_WITHIN, self.wire.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Broken),
            Err(_) => Err(End::TooSlow),
        }
    }

    async fn close(&mut self, end: &End) {
        if matches!(end, End::Restarting) {
            let bye = ToPeer::Bye {
                data: Bye {
                    retry_after: RETRY_AFTER_MS,
                },
            };
            if self.send(bye.text()).await.is_err() {
                return;
            }
        }
        let closed = match end.frame() {
            Some(frame) => {
                let said = self.wire.close(Some(frame)).await.is_ok();
                if said {
                    self.hear_out(end).await;
                }
                said
            }
            // The library has the answer to the client's own goodbye ready (RFC 6455 §5.5.1).
            None => self.wire.flush().await.is_ok(),
        };
        if closed {
            let _ = self.wire.get_mut().shutdown().await; // it is dropped in any case
        }
    }

    /// Waits for the client's half of the goodbye, so that it gets to see the reason. It waits for us to hang up.
    async fn hear_out(&mut self, end: &End) {
        match end {
            // What follows cannot be read as messages.
            End::FarTooBig | End::NotWebSocket(_) => self.discard_rest().await,
            _ => while let Some(Ok(_)) = self.wire.next().await {},
        }
    }

    /// Reads on until the client has closed too, so that it gets to see the reason.
    async fn discard_rest(&mut self) {
        let stream = self.wire.get_mut();
        let mut scratch = [0; 4096];
        let mut discarded = 0;
        while let Ok(read @ 1..) = stream.read(&mut scratch).await {
            discarded += read;
            if discarded > DISCARDED_BYTES_MAX {
                return;
            }
        }
    }
}

impl End {
    fn dropped(why: Dropped) -> Self {
        match why {
            Dropped::TooSlow => Self::TooSlow,
            Dropped::Replaced => Self::Replaced,
        }
    }

    fn departure(&self) -> Departure {
        match self {
            Self::Closed(Some(CloseCode::Away)) => Departure::Unloaded,
            Self::Broken | Self::TooSlow | Self::Restarting => Departure::Broken,
            Self::Closed(_)
            | Self::Replaced
            | Self::Removed
            | Self::Abuse
            | Self::FarTooBig
            | Self::NotWebSocket(_) => Departure::Left,
        }
    }

    fn frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Closed(_) | Self::Broken => return None,
            Self::TooSlow => (CloseCode::from(TOO_SLOW), "too slow"),
            Self::Replaced => (CloseCode::from(REPLACED), "replaced by another connection"),
            Self::Removed => (CloseCode::from(REMOVED), "removed from the room"),
            Self::Abuse => (CloseCode::from(ABUSE), "too many faults"),
            Self::FarTooBig => (CloseCode::Size, "message too big"),
            Self::NotWebSocket(code) => (*code, "not understood"),
            Self::Restarting => (CloseCode::Restart, "restarting"),
        };
        Some(CloseFrame {
            code,
            reason: reason.into(),
        })
    }
}

/// Returns once what is being settled is; never if nothing is.
async fn settled(settling: &mut Option<Settling>) {
    match settling {
        Some(settling) => settling.settled().await,
        None => std::future::pending().await,
    }
}

fn welcome(seating: &Seating, grant: &IceGrant) -> Text {
    ToPeer::Room {
        data: Welcome {
            room: &seating.room,
            you: &seating.you,
            participants: &seating.participants,
            ice_servers: &grant.ice_servers,
            ice_ttl: grant.ice_ttl,
            limits: Limits {
                message: MESSAGE_BYTES_MAX,
                rate: RATE,
                burst: BURST,
            },
            resume: &seating.resume,
            api: &seating.api,
            invite: seating.invite.as_deref(),
        },
    }
    .text()
}
