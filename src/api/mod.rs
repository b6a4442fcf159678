//! The HTTP API (shell): what programs ask, under `/api/v1`.
//!
//! It gets requests as they came, their bodies unread, and answers them. How they arrive, and whether
//! the page that sent one may ask here, is `web`'s matter. `routes` has every path, `auth` who asks,
//! `limits` how often strangers may; each subject has a file of its own.

mod auth;
mod body;
mod events;
mod files;
mod invites;
mod limits;
mod openapi;
mod problem;
mod rooms;
mod routes;
mod settings;
mod turn;
mod webhooks;

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::id::Source;
use crate::rooms::RoomsHandle;
use crate::store::Store;
use crate::store::password::Passwords;
use crate::token::Tokens;
use auth::Caller;
use events::Events;
use files::Files;
use limits::{Asker, Limits};
use problem::Problem;
use routes::{Operation, Parameters};

pub use settings::{Creators, LimitSettings, Settings, WebhookKey, WebhookSettings};
pub use turn::{TurnGrant, TurnUsers};
pub use webhooks::Webhooks;

/// What an answer says, as it comes.
pub type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// Nothing that is answered here is a page, and if a browser shows it as one, it does nothing.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// A request, and where it comes from.
#[derive(Debug)]
pub struct Asked {
    /// The request, nothing of its body read.
    pub request: Request<Incoming>,
    /// Where it was sent, as the client wrote it, port included; a valid host.
    pub host: String,
    /// Who it is.
    pub client: SocketAddr,
}

/// What the API is made of.
pub struct Parts {
    /// What an operator has set.
    pub settings: Settings,
    /// How many people a room holds that says nothing of it.
    pub capacity: usize,
    /// Whether people may read what was written before they came.
    pub history: bool,
    /// Who is where at the moment, and the way to change rooms that are kept.
    pub rooms: RoomsHandle,
    /// What is kept.
    pub store: Store,
    /// Hashes rooms' passwords, for the whole server.
    pub passwords: Passwords,
    /// Makes and reads room tokens.
    pub tokens: Tokens,
    /// Mints TURN credentials.
    pub turn: Arc<dyn TurnUsers>,
    /// Signs links to files.
    pub link_key: [u8; 32],
    /// Tells other programs of files, if there are any to be told.
    pub webhooks: Option<Arc<Webhooks>>,
    /// What goes on when whoever asked for it has gone; the server waits for it when it stops.
    pub tasks: TaskTracker,
    /// Fires when the server stops: answers without an end then have one.
    pub stop: CancellationToken,
}

/// Answers the API.
pub struct Api {
    create: Creators,
    capacity: usize,
    history: bool,
    rooms: RoomsHandle,
    store: Store,
    passwords: Passwords,
    tokens: Tokens,
    turn: Arc<dyn TurnUsers>,
    limits: Limits,
    events: Arc<Events>,
    files: Files,
    stop: CancellationToken,
}

/// A request whose route is known, and who asks.
struct Ask {
    /// What stands in the path where the route has parameters, decoded.
    parameters: Parameters,
    uri: Uri,
    headers: HeaderMap,
    /// Nothing of it is read.
    body: Incoming,
    /// Where it was sent, as the client wrote it, port included.
    host: String,
    caller: Caller,
    /// Where it comes from.
    source: Source,
    /// Whom limits are counted for: the address, and the person where one is known.
    askers: Vec<Asker>,
    /// When it came, in milliseconds since 1970.
    now: u64,
}

/// What comes of a request.
type Answered = Result<Response<Body>, Problem>;

impl Api {
    /// Answers from what its parts know.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let files = Files::new(
            &parts.link_key,
            parts.settings.limits.upload_rate,
            parts.rooms.clone(),
            parts.store.clone(),
            parts.webhooks,
            parts.stop.clone(),
            parts.tasks,
        );
        Self {
            files,
            create: parts.settings.create,
            capacity: parts.capacity,
            history: parts.history,
            rooms: parts.rooms,
            store: parts.store,
            passwords: parts.passwords,
            tokens: parts.tokens,
            turn: parts.turn,
            limits: Limits::new(&parts.settings.limits),
            events: Arc::new(Events::new()),
            stop: parts.stop,
        }
    }

    /// The answer to a request.
    pub async fn answer(&self, asked: Asked) -> Response<Body> {
        let has_body = !asked.request.body().is_end_stream();
        let mut response = match self.route(asked).await {
            Ok(response) => response,
            Err(problem) => {
                let mut response = problem.response();
                if has_body {
                    // What nobody took may still be on its way.
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                response
            }
        };
        let policy = HeaderValue::from_static(POLICY);
        response
            .headers_mut()
            .entry(CONTENT_SECURITY_POLICY)
            .or_insert(policy);
        response
    }

    async fn route(&self, asked: Asked) -> Answered {
        let Asked {
            request,
            host,
            client,
        } = asked;
        let source = Source::of(client.ip());
        self.limits.requests.count(&[Asker::Source(source)])?;
        let (head, body) = request.into_parts();
        let (route, parameters) = routes::find(files::method(&head), head.uri.path())?;
        let now = now();
        let caller = self.caller(&head.headers, now).await?;
        let askers = [Asker::Source(source)]
            .into_iter()
            .chain(caller.person())
            .collect();
        let ask = Ask {
            parameters,
            uri: head.uri,
            headers: head.headers,
            body,
            host,
            caller,
            source,
            askers,
            now,
        };
        let answered = match route.operation {
            Operation::CreateRoom => self.create_room(ask).await,
            Operation::ListRooms => self.list_rooms(ask).await,
            Operation::ReadRoom => self.read_room(ask).await,
            Operation::ChangeRoom => self.change_room(ask).await,
            Operation::DeleteRoom => self.delete_room(ask).await,
            Operation::Members => self.members(ask).await,
            Operation::Messages => self.messages(ask).await,
            Operation::CreateInvite => self.create_invite(ask).await,
            Operation::ListInvites => self.list_invites(ask).await,
            Operation::RevokeInvite => self.revoke_invite(ask).await,
            Operation::TurnCredentials => self.turn_credentials(ask).await,
            Operation::StreamEvents => self.stream_events(&ask),
            Operation::RoomFileOptions => self.room_file_options(&ask),
            Operation::FileOptions => self.file_options(&ask),
            Operation::CreateFile => self.create_file(ask).await,
            Operation::ListFiles => self.list_files(ask).await,
            Operation::FileHead => self.file_head(ask).await,
            Operation::ContinueFile => self.continue_file(ask).await,
            Operation::DeleteFile => self.delete_file(ask).await,
            Operation::FetchFile => self.fetch_file(ask).await,
            Operation::LinkFile => self.link_file(ask).await,
            Operation::OpenApi => Ok(openapi::document()),
        };
        debug_assert!(
            route.statuses.contains(&status(&answered).as_u16()),
            "{} {} is answered by {}, which nothing tells",
            route.method,
            route.path,
            status(&answered)
        );
        answered
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

fn status(answered: &Answered) -> StatusCode {
    match answered {
        Ok(response) => response.status(),
        Err(problem) => problem.status,
    }
}

/// The time, in milliseconds since 1970.
fn now() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
