//! Files that people share: sent in as resumable uploads (tus 1.0), listed, fetched, deleted.
//!
//! Only people in a room send, and who is in a room is asked at each request, and again while bytes
//! come. The bytes go straight to the store: nothing is held here but what is on its way. `tus`, `name`,
//! `range` and `links` are pure; `intake` and `transfers` keep uploads and downloads within their bounds.

mod fetch;
mod intake;
mod links;
mod name;
mod range;
mod transfers;
mod tus;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Empty;
use hyper::body::{Body as _, Bytes};
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, HeaderName, HeaderValue, LOCATION, RANGE, RETRY_AFTER,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::auth::Caller;
use super::problem::Problem;
use super::webhooks::{TOO_MANY_WAIT, Webhooks};
use super::{Answered, Api, Ask, Body};
use crate::id::{FileId, RoomId, RoomName, SessionId, Source};
use crate::message::{FileEntry, Role};
use crate::room::{SeatInfo, TakenAway};
use crate::rooms::RoomsHandle;
use crate::store::{self, File, NewFile, Scope, Store};
use crate::token::Kind;
use intake::{Cut, Why};
use links::Links;
use transfers::{Running, Slots, Stuck, Taken};

/// Uploads at once by one address: an office in which several people share several files.
const UPLOADS_PER_SOURCE: usize = 16;

/// Uploads at once in all. Each holds up to one piece of 4 MiB in memory.
const UPLOADS_MAX: usize = 128;

/// Downloads at once to one address: a page full of pictures for everyone in an office.
const DOWNLOADS_PER_SOURCE: usize = 64;

/// Downloads at once in all. Each holds up to 512 KiB in memory.
const DOWNLOADS_MAX: usize = 512;

/// How long an upload may take to put away what it holds when the server stops: it has ten seconds in all.
const PUT_AWAY: Duration = Duration::from_secs(3);

/// In how many seconds a place for a transfer may be free.
const PLACE_SECONDS: u64 = 5;

/// What answers about files.
pub(super) struct Files {
    shared: Arc<Shared>,
    links: Links,
    downloads: Arc<Slots>,
}

/// What an upload needs that goes on when whoever asked for it has gone.
struct Shared {
    rooms: RoomsHandle,
    store: Store,
    webhooks: Option<Arc<Webhooks>>,
    uploads: Arc<Slots>,
    running: Arc<Running>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Who asks, as far as files go.
#[derive(Debug)]
enum Who {
    /// Someone in a room.
    Member(SessionId, SeatInfo),
    /// Whoever may see what is for everyone in one room.
    Host(RoomId),
    /// A program that may see what is for everyone in any room.
    Key,
}

impl Files {
    /// `key` signs links; `upload_rate` is in bytes per second and address, 0 for any.
    pub(super) fn new(
        key: &[u8; 32],
        upload_rate: u64,
        rooms: RoomsHandle,
        store: Store,
        webhooks: Option<Arc<Webhooks>>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                rooms,
                store,
                webhooks,
                uploads: Slots::new(UPLOADS_MAX, UPLOADS_PER_SOURCE, upload_rate),
                running: Arc::default(),
                stop,
                tasks,
            }),
            links: Links::new(key),
            downloads: Slots::new(DOWNLOADS_MAX, DOWNLOADS_PER_SOURCE, 0),
        }
    }
}

/// The method that is meant: behind some proxies only GET and POST arrive, and tus has a header for that.
pub(super) fn method(head: &Parts) -> &Method {
    let meant = head.headers.get("x-http-method-override");
    let is_tus = tus::is_spoken(&head.headers) && head.method == Method::POST;
    match meant.filter(|_| is_tus).map(HeaderValue::as_bytes) {
        Some(b"PATCH") => &Method::PATCH,
        Some(b"DELETE") => &Method::DELETE,
        _ => &head.method,
    }
}

impl Api {
    /// Tells programs of files that were whole when the server ended, before anybody was told. People learn of
    /// them from the list, which they read when they come back.
    pub async fn tell_of_files(self: Arc<Self>) {
        // The cause of a failure has been logged; the next start tries again.
        for (room, file) in self
            .files
            .shared
            .store
            .untold_files()
            .await
            .unwrap_or_default()
        {
            self.files.shared.tell_programs(&room, true, &file).await;
        }
    }

    /// What is understood of tus.
    pub(super) fn file_options(&self, ask: &Ask) -> Answered {
        file_id(ask)?;
        Ok(self.tus_options())
    }

    /// The same, of a room.
    pub(super) fn room_file_options(&self, ask: &Ask) -> Answered {
        ask.room()?;
        Ok(self.tus_options())
    }

    fn tus_options(&self) -> Response<Body> {
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(tus::VERSIONS, HeaderValue::from_static(tus::VERSION));
        headers.insert(tus::EXTENSION, HeaderValue::from_static(tus::EXTENSIONS));
        let largest = self.files.shared.store.largest_file();
        headers.insert(tus::MAX_SIZE, HeaderValue::from(largest));
        of_tus(response)
    }

    /// Announces a file, and takes in what of it comes along.
    pub(super) async fn create_file(&self, ask: Ask) -> Answered {
        self.tus(self.announce(ask).await)
    }

    async fn announce(&self, ask: Ask) -> Answered {
        let name = ask.room()?;
        let Who::Member(session, seat) = self.who(&ask.caller).await? else {
            return Err(only_members());
        };
        understood(&ask)?;
        if seat.room != name {
            return Err(not_here());
        }
        may_share(&seat)?;
        // Firefox ends a request without bytes by an empty frame of its own, which has not come yet.
        let is_empty = ask
            .headers
            .get(CONTENT_LENGTH)
            .is_some_and(|length| length == "0");
        let has_bytes = !is_empty && !ask.body.is_end_stream();
        if has_bytes && !tus::has_bytes(&ask.headers) {
            return Err(not_bytes());
        }
        self.limits.uploads.count(&ask.askers)?;
        let announced =
            tus::announced(&ask.headers).map_err(|mistake| Problem::invalid(in_words(mistake)))?;
        if let Some(to) = announced.to {
            let is_there = self.files.shared.rooms.seat(to).await;
            if is_there.is_none_or(|other| other.room != seat.room) {
                return Err(Problem::not_found("That person is not in the room."));
            }
        }
        let shelf = self.files.shared.rooms.shelf(&seat.room, ask.now).await?;
        let file = NewFile {
            room: shelf,
            name: announced.name,
            kind: announced.kind,
            size: announced.size,
            session,
            username: seat.name,
            to: announced.to,
            created: ask.now,
        };
        let mut file = match self.files.shared.store.create_file(&file).await {
            Err(store::Error::TooMuch) => return Err(full()),
            made => made?,
        };
        if file.completed.is_some() {
            let (shared, file) = (Arc::clone(&self.files.shared), file.clone());
            let told = async move { shared.finish(&file).await };
            self.files.shared.to_its_end(told).await?;
        } else if has_bytes {
            let taken = self
                .files
                .take_in(file.clone(), 0, ask.body, ask.source, ask.now);
            file = match taken.await {
                Ok(file) => file,
                // What has arrived is there, and its sender learns where to go on.
                Err(problem) if problem.status == StatusCode::BAD_REQUEST => {
                    self.files.shared.store.file(file.id).await?
                }
                Err(problem) => return Err(problem),
            };
        }
        let mut response = progress(StatusCode::CREATED, &file);
        set(&mut response, LOCATION, path(file.id));
        Ok(response)
    }

    /// How far an upload has come. Whatever of it runs makes way: its sender is about to go on anew.
    pub(super) async fn file_head(&self, ask: Ask) -> Answered {
        if !tus::is_spoken(&ask.headers) {
            let mut ask = ask;
            // Parts are of GET alone (RFC 9110 §14.2).
            ask.headers.remove(RANGE);
            return self.fetch_file(ask).await;
        }
        self.tus(self.progress(ask).await)
    }

    async fn progress(&self, ask: Ask) -> Answered {
        let file = self.own_upload(&ask).await?;
        understood(&ask)?;
        self.files.shared.make_way(file.id).await?;
        let mut file = self.files.shared.store.file(file.id).await?;
        if file.completed.is_none() && file.received == file.of.size {
            // Whatever ended it between its last byte and the word that it is whole: nobody sends more.
            let whole = file.received;
            file = self
                .files
                .take_in(file, whole, Empty::new(), ask.source, ask.now)
                .await?;
        }
        let mut response = progress(StatusCode::OK, &file);
        set(&mut response, tus::LENGTH, file.of.size.to_string());
        set(&mut response, tus::METADATA, metadata(&file));
        Ok(response)
    }

    /// Takes in bytes of an upload.
    pub(super) async fn continue_file(&self, ask: Ask) -> Answered {
        self.tus(self.go_on(ask).await)
    }

    async fn go_on(&self, ask: Ask) -> Answered {
        let file = self.own_upload(&ask).await?;
        understood(&ask)?;
        if !tus::has_bytes(&ask.headers) {
            return Err(not_bytes());
        }
        let offset =
            tus::offset(&ask.headers).map_err(|mistake| Problem::invalid(in_words(mistake)))?;
        let coming = ask
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if coming.is_some_and(|coming| offset.saturating_add(coming) > file.of.size) {
            return Err(more_than_announced());
        }
        let taken = self
            .files
            .take_in(file, offset, ask.body, ask.source, ask.now);
        Ok(progress(StatusCode::NO_CONTENT, &taken.await?))
    }

    /// Ends an upload, or takes a file away: its sender may, and whoever answers for the room.
    pub(super) async fn delete_file(&self, ask: Ask) -> Answered {
        let is_tus = tus::is_spoken(&ask.headers);
        let answer = self.remove(ask).await;
        if is_tus { self.tus(answer) } else { answer }
    }

    async fn remove(&self, ask: Ask) -> Answered {
        let id = file_id(&ask)?;
        let who = self.who(&ask.caller).await?;
        let shared = &self.files.shared;
        let file = shared.store.file(id).await.map_err(no_such_file)?;
        if tus::is_spoken(&ask.headers) {
            understood(&ask)?;
        }
        match &who {
            Who::Member(_, seat) if seat.role == Role::Host && may_see(&who, &file) => {}
            Who::Member(..) => {
                self.owned(&who, file.clone(), ask.now).await?;
            }
            Who::Host(_) | Who::Key if may_see(&who, &file) => {}
            Who::Host(_) | Who::Key => return Err(no_file()),
        }
        let by = match who {
            Who::Member(session, _) => Some(session),
            Who::Host(_) | Who::Key => None,
        };
        let (shared, now) = (Arc::clone(shared), ask.now);
        let deletion = async move { shared.take_away(id, by, now).await };
        self.files.shared.to_its_end(deletion).await?;
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    /// The upload that the path names, if it is the asker's own.
    async fn own_upload(&self, ask: &Ask) -> Result<File, Problem> {
        let id = file_id(ask)?;
        let who = self.who(&ask.caller).await?;
        let Who::Member(_, seat) = &who else {
            return Err(only_members());
        };
        may_share(seat)?;
        let file = self.files.shared.store.file(id).await;
        self.owned(&who, file.map_err(no_such_file)?, ask.now).await
    }

    /// The file, if the asker has sent it. A session may end while its upload is broken off: then whoever
    /// is in the room and knows its address has come back, since nobody else was told of it.
    async fn owned(&self, who: &Who, file: File, now: u64) -> Result<File, Problem> {
        let Who::Member(session, seat) = who else {
            return Err(only_members());
        };
        if seat.shelf != Some(file.of.room) {
            return Err(no_file());
        }
        if file.of.session == *session {
            return Ok(file);
        }
        let shared = &self.files.shared;
        let is_over =
            file.completed.is_none() && shared.rooms.seat(file.of.session).await.is_none();
        if !is_over || is_expired(&file, now) {
            return Err(Problem::denied("Someone else has sent this file."));
        }
        let handed = shared
            .store
            .hand_over_file(file.id, file.of.session, *session, &seat.name);
        Ok(handed.await?)
    }

    /// Who asks. Programs need the scope for files.
    async fn who(&self, caller: &Caller) -> Result<Who, Problem> {
        match caller {
            Caller::Stranger => Err(Problem::unauthorized(
                "This needs a room token or an API key.",
            )),
            Caller::Key(_) => caller.needs(Scope::Files).map(|()| Who::Key),
            Caller::Token(claims) => match (claims.kind, claims.sid, claims.rid) {
                (Kind::Member, Some(session), _) => {
                    let seat = self.files.shared.rooms.seat(session).await;
                    let gone = || Problem::denied("You are not in the room any more.");
                    Ok(Who::Member(session, seat.ok_or_else(gone)?))
                }
                (Kind::Host, _, Some(room)) => Ok(Who::Host(room)),
                _ => Err(Problem::denied(
                    "This token is for entering the room; once there, you get another.",
                )),
            },
        }
    }

    /// Every answer to tus says so.
    fn tus(&self, answer: Answered) -> Answered {
        match answer {
            Ok(response) => Ok(of_tus(response)),
            Err(problem) => {
                Err(problem.with(tus::RESUMABLE, HeaderValue::from_static(tus::VERSION)))
            }
        }
    }
}

impl Files {
    /// Takes in bytes from `offset` on. It goes on when whoever asked has gone: what has arrived is kept.
    async fn take_in<B>(
        &self,
        file: File,
        offset: u64,
        body: B,
        source: Source,
        now: u64,
    ) -> Result<File, Problem>
    where
        B: hyper::body::Body<Data = Bytes, Error: Send> + Send + Unpin + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let slot = shared
            .uploads
            .take(source, Instant::now())
            .map_err(no_place)?;
        let run = shared.running.begin(file.id).await.map_err(stuck)?;
        let upload = async move {
            let why = Why::default();
            let (rooms, session) = (shared.rooms.clone(), file.of.session);
            let bytes = intake::bytes(
                body,
                slot,
                shared.stop.clone(),
                run.make_way().clone(),
                why.clone(),
                move || {
                    let rooms = rooms.clone();
                    async move {
                        let seat = rooms.seat(session).await;
                        seat.is_some_and(|seat| may_share(&seat).is_ok())
                    }
                },
            );
            let too_late = async {
                shared.stop.cancelled().await;
                sleep(PUT_AWAY).await;
            };
            let received = tokio::select! {
                received = shared.store.receive(file.id, offset, bytes, now) => received,
                () = too_late => return Err(broken_off(Some(Cut::Stopping))),
            };
            let file = match received {
                Ok(file) => file,
                Err(store::Error::Broken) => return Err(broken_off(why.cut())),
                Err(store::Error::NotFound) => return Err(no_file()),
                Err(store::Error::TooLarge) => return Err(more_than_announced()),
                Err(store::Error::TooMuch) => return Err(full()),
                Err(error) => return Err(error.into()),
            };
            if file.completed.is_some() {
                shared.finish(&file).await?;
            }
            // Whoever takes the file away waits for this: that it is there is told before that it is not.
            drop(run);
            Ok(file)
        };
        self.shared.to_its_end(upload).await
    }
}

impl Shared {
    /// Tells the room of a file that is whole, if its sender is still there and may share.
    async fn finish(&self, file: &File) -> Result<(), Problem> {
        let seat = self.rooms.seat(file.of.session).await;
        let seat = seat.filter(|seat| seat.shelf == Some(file.of.room));
        let refusal = match &seat {
            // The rooms may have ended with the server: that is no reason to throw a file away.
            None if self.stop.is_cancelled() => return Err(broken_off(Some(Cut::Stopping))),
            None => Problem::denied("You are not in the room any more."),
            Some(seat) => match may_share(seat) {
                Err(problem) => problem,
                Ok(()) => {
                    self.tell_programs(&seat.room, seat.kept.is_some(), file)
                        .await;
                    let (room, to) = (seat.room.clone(), file.of.to);
                    self.rooms.file_added(room, entry(file), to).await;
                    return Ok(());
                }
            },
        };
        if let Err(error) = self.store.delete_file(file.id, now()).await {
            warn!(%error, "a file that nobody may see could not be deleted");
        }
        Err(refusal)
    }

    /// Tells other programs of a file that is whole, if it is for everyone, and notes that it is told of.
    async fn tell_programs(&self, room: &RoomName, is_kept: bool, file: &File) {
        let webhooks = self.webhooks.as_ref().filter(|_| file.of.to.is_none());
        let events = webhooks
            .map(|webhooks| webhooks.file_added(room, is_kept, &entry(file)))
            .unwrap_or_default();
        match self.store.tell_of_file(file.id, &events).await {
            Ok(()) => {}
            Err(store::Error::TooMuch) => warn!("{TOO_MANY_WAIT}"),
            Err(error) => {
                warn!(%error, "programs are told of a file only after the next start");
            }
        }
        if let Some(webhooks) = webhooks {
            webhooks.wake();
        }
    }

    /// Deletes a file, and tells those who knew of it.
    async fn take_away(&self, id: FileId, by: Option<SessionId>, now: u64) -> Result<(), Problem> {
        self.make_way(id).await?;
        let file = match self.store.delete_file(id, now).await {
            Ok(file) => file,
            Err(store::Error::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if file.completed.is_some() {
            let gone = TakenAway {
                shelf: file.of.room,
                id,
                sender: file.of.session,
                to: file.of.to,
                by,
            };
            self.rooms.file_deleted(gone).await;
        }
        let store = self.store.clone();
        self.tasks.spawn(async move {
            // The cause of a failure has been logged; the next sweep tries again.
            let _ = store.bury(now).await;
        });
        Ok(())
    }

    /// Does it in a task of its own: whoever asked may go, and others are to hear of what was done.
    async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let ended = self.tasks.spawn(work).await;
        ended.unwrap_or_else(|_| Err(Problem::busy(1)))
    }

    async fn make_way(&self, file: FileId) -> Result<(), Problem> {
        self.running.clear(file).await.map_err(stuck)
    }
}

/// What people are told of a file.
fn entry(file: &File) -> FileEntry {
    FileEntry {
        id: file.id,
        name: file.of.name.clone(),
        size: file.of.size,
        kind: file.of.kind.clone(),
        url: path(file.id),
        session_id: file.of.session,
        username: file.of.username.clone(),
        time: file.completed.unwrap_or(file.of.created),
    }
}

/// Where a file is.
fn path(id: FileId) -> String {
    format!("{}/files/{id}", super::routes::BASE)
}

fn file_id(ask: &Ask) -> Result<FileId, Problem> {
    let id = ask.parameters.first().and_then(|id| id.parse().ok());
    id.ok_or_else(no_file)
}

/// Whether someone may see a file, or what is there of it. Only who sends one is given what is not whole;
/// a host may take it away.
fn may_see(who: &Who, file: &File) -> bool {
    match who {
        Who::Member(session, seat) => {
            let is_own = file.of.session == *session || file.of.to == Some(*session);
            let is_late_enough = file.completed.is_none_or(|at| at >= seat.sees_from);
            let is_for_all = file.of.to.is_none() && is_late_enough;
            seat.shelf == Some(file.of.room) && (is_own || is_for_all)
        }
        Who::Host(room) => *room == file.of.room && file.of.to.is_none(),
        Who::Key => file.of.to.is_none(),
    }
}

/// Whether a person may share files in the room.
fn may_share(seat: &SeatInfo) -> Result<(), Problem> {
    match seat.role {
        Role::Host => Ok(()),
        Role::Viewer => Err(Problem::denied("Viewers do not share files.")),
        Role::Guest if !seat.policy.files => Err(Problem::denied(
            "A host has switched off files in this room.",
        )),
        Role::Guest => Ok(()),
    }
}

fn is_expired(file: &File, now: u64) -> bool {
    now >= expires(file)
}

/// When an upload is removed that is not whole by then, in milliseconds since 1970.
fn expires(file: &File) -> u64 {
    let unfinished = u64::try_from(store::UNFINISHED.as_millis()).unwrap_or(u64::MAX);
    file.of.created.saturating_add(unfinished)
}

/// A time as HTTP writes it (RFC 9110 §5.6.7).
fn date(ms: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(ms))
}

/// The time, in milliseconds since 1970.
fn now() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// How far an upload has come, and until when it may go on.
fn progress(status: StatusCode, file: &File) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(tus::OFFSET, HeaderValue::from(file.received));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if file.completed.is_none() {
        set(&mut response, tus::EXPIRES, date(expires(file)));
    }
    response
}

/// The metadata of an upload, as tus wants it told.
fn metadata(file: &File) -> String {
    let mut pairs = vec![
        format!("filename {}", STANDARD.encode(&file.of.name)),
        format!("filetype {}", STANDARD.encode(&file.of.kind)),
    ];
    if let Some(to) = file.of.to {
        pairs.push(format!("to {}", STANDARD.encode(to.to_string())));
    }
    pairs.join(",")
}

fn of_tus(mut response: Response<Body>) -> Response<Body> {
    let version = HeaderValue::from_static(tus::VERSION);
    response.headers_mut().insert(tus::RESUMABLE, version);
    response
}

/// Values here are our own or were checked, so one that cannot be written is left out.
fn set(response: &mut Response<Body>, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

fn understood(ask: &Ask) -> Result<(), Problem> {
    if tus::is_understood(&ask.headers) {
        return Ok(());
    }
    let problem = Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "invalid",
        "Uploads are made by tus 1.0.0: the header Tus-Resumable says so.",
    );
    Err(problem.with(tus::VERSIONS, HeaderValue::from_static(tus::VERSION)))
}

fn in_words(mistake: tus::Mistake) -> String {
    let words = mistake.to_string();
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

fn only_members() -> Problem {
    Problem::denied("Only people in the room send files.")
}

fn not_here() -> Problem {
    Problem::denied("You are not in that room.")
}

fn no_file() -> Problem {
    Problem::not_found("There is no such file.")
}

fn no_such_file(error: store::Error) -> Problem {
    match error {
        store::Error::NotFound => no_file(),
        error => error.into(),
    }
}

fn more_than_announced() -> Problem {
    Problem::too_big("That is more than was announced.")
}

fn full() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "full",
        "There is no more room for files here. Deleting some helps.",
    )
}

fn not_bytes() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "invalid",
        "The bytes of a file are sent as application/offset+octet-stream.",
    )
}

fn no_place(taken: Taken) -> Problem {
    match taken {
        Taken::ByYou => Problem::rate(PLACE_SECONDS),
        Taken::ByAll => Problem::busy(PLACE_SECONDS),
    }
}

fn stuck(Stuck: Stuck) -> Problem {
    Problem::new(
        StatusCode::LOCKED,
        "busy",
        "This file is being sent already. Try again later.",
    )
    .with(RETRY_AFTER, HeaderValue::from(PLACE_SECONDS))
}

fn broken_off(cut: Option<Cut>) -> Problem {
    match cut {
        None => Problem::invalid("What was sent broke off."),
        Some(Cut::Stopping) => Problem::busy(PLACE_SECONDS),
        Some(Cut::Slow) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "Too little came for too long. The upload can go on where it broke off.",
        ),
        Some(Cut::Forbidden) => Problem::denied("You may not send files to this room any more."),
        Some(Cut::Replaced) => Problem::new(
            StatusCode::CONFLICT,
            "conflict",
            "The same upload goes on in another request.",
        ),
    }
}
