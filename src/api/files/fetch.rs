//! Files fetched, in whole or in part, and listed. Whatever was shared, nothing of it can run here.

use std::iter;
use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::links::{LIFETIME, Reader};
use super::range::{Wanted, wanted};
use super::{
    Who, date, entry, file_id, may_see, name, no_file, no_place, no_such_file, not_here, path, set,
};
use crate::api::auth::Caller;
use crate::api::body::json;
use crate::api::problem::Problem;
use crate::api::routes::query;
use crate::api::{Answered, Api, Ask, Body};
use crate::id::{FileId, SessionId};
use crate::message::FileEntry;
use crate::store::{File, FileWindow, kind};

/// How many files one answer lists when nobody says, and at most.
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 500;

/// A browser that is led to a file shows it without any right: no script, no form, no other origin's data.
const POLICY: &str = "sandbox; default-src 'none'";

/// A file as it is listed.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    entry: FileEntry,
    /// For whom alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<SessionId>,
}

#[derive(Serialize)]
struct List {
    files: Vec<Listed>,
    /// The cursor of the part before.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Link {
    url: String,
    /// How long it is good, in seconds.
    ttl: u64,
}

impl Api {
    /// A file, or part of it: to whoever may see it, by a token or by a link.
    pub(in crate::api) async fn fetch_file(&self, ask: Ask) -> Answered {
        let file = self.visible(&ask).await?;
        let (Some(sha256), Some(completed)) = (&file.sha256, file.completed) else {
            return Err(no_file());
        };
        let etag = format!("\"{sha256}\"");
        let modified = date(completed);
        let size = file.of.size;
        let (status, range) = match wanted(&ask.headers, size, &etag, &modified) {
            Wanted::Nothing => (StatusCode::NOT_MODIFIED, None),
            Wanted::Whole => (StatusCode::OK, Some(0..size)),
            Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
            Wanted::Beyond => {
                let problem = Problem::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "invalid",
                    "The file has no such part.",
                );
                return Err(problem.with(CONTENT_RANGE, text(format!("bytes */{size}"))));
            }
        };
        let mut response = Response::new(Body::default());
        if let Some(range) = range {
            set(
                &mut response,
                CONTENT_LENGTH,
                (range.end - range.start).to_string(),
            );
            if status == StatusCode::PARTIAL_CONTENT {
                let part = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                set(&mut response, CONTENT_RANGE, part);
            }
            let slots = &self.files.downloads;
            let slot = slots.take(ask.source, Instant::now()).map_err(no_place)?;
            let bytes = self.files.shared.store.read_file(file.id, range);
            let frames = bytes.map_ok(Frame::data).map_err(Into::into);
            // The place is given back with the last of the bytes.
            let frames = frames.inspect_ok(move |_| _ = &slot);
            let stop = self.files.shared.stop.clone();
            let frames = frames
                .take_until(stop.clone().cancelled_owned())
                .chain(stream::iter(iter::from_fn(move || {
                    // Not an end: nobody is to take half for all.
                    stop.is_cancelled().then(|| Err("the server stops".into()))
                })));
            *response.body_mut() = Body::new(StreamBody::new(frames));
        }
        *response.status_mut() = status;
        let shown = kind::is_shown(&file.of.kind);
        set(
            &mut response,
            CONTENT_DISPOSITION,
            name::disposition(shown, &file.of.name),
        );
        set(&mut response, ETAG, etag);
        set(&mut response, LAST_MODIFIED, modified);
        for (name, value) in [
            (CONTENT_TYPE, kind::sent_as(&file.of.kind)),
            (ACCEPT_RANGES, "bytes"),
            // Asked for again each time: whoever was removed from the room gets it no more.
            (CACHE_CONTROL, "private, no-cache"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "same-origin",
            ),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }

    /// A link to a file for elements of a page, which cannot say who asks.
    pub(in crate::api) async fn link_file(&self, ask: Ask) -> Answered {
        let [] = query(ask.uri.query(), [])?;
        let who = self.who(&ask.caller).await?;
        let file = self.seen(&who, file_id(&ask)?).await?;
        let reader = match who {
            Who::Member(session, _) => Reader::Member(session),
            Who::Host(_) | Who::Key => Reader::Room,
        };
        let until = ask.now / 1000 + LIFETIME;
        let query = self.files.links.query(file.id, reader, until);
        let link = Link {
            url: format!("{}?{query}", path(file.id)),
            ttl: LIFETIME,
        };
        Ok(json(StatusCode::OK, &link))
    }

    /// What was shared in a room, in parts, the newest first; each part has its oldest first.
    pub(in crate::api) async fn list_files(&self, ask: Ask) -> Answered {
        let name = ask.room()?;
        let [limit, cursor] = query(ask.uri.query(), ["limit", "cursor"])?;
        let limit = match limit {
            None => PAGE,
            Some(limit) => limit
                .parse()
                .ok()
                .filter(|limit| (1..=PAGE_MAX).contains(limit))
                .ok_or_else(|| Problem::invalid("“limit” is a number from 1 to 500."))?,
        };
        let before = match cursor {
            None => None,
            Some(cursor) => Some(
                read_cursor(&cursor)
                    .ok_or_else(|| Problem::invalid("“cursor” is the “next” of another answer."))?,
            ),
        };
        let who = self.who(&ask.caller).await?;
        let (room, reader, since) = match &who {
            Who::Member(session, seat) if seat.room == name => {
                (seat.shelf, Some(*session), seat.sees_from)
            }
            Who::Member(..) => return Err(not_here()),
            Who::Host(_) | Who::Key => {
                let kept = self.kept_room(&name, ask.now).await?;
                if matches!(who, Who::Host(room) if room != kept.id) {
                    return Err(Problem::denied("This token is for another room."));
                }
                (Some(kept.id), None, 0)
            }
        };
        let Some(room) = room else {
            // Nothing was shared yet.
            let files = Vec::new();
            return Ok(json(StatusCode::OK, &List { files, next: None }));
        };
        let window = FileWindow {
            reader,
            before,
            since,
            limit,
        };
        let list = self.files.shared.store.files(room, window).await?;
        let oldest = list.files.first().filter(|_| list.more);
        let next = oldest.and_then(|file| Some(format!("{}-{}", file.completed?, file.id)));
        let files = list.files.iter().map(|file| Listed {
            entry: entry(file),
            to: file.of.to,
        });
        let list = List {
            files: files.collect(),
            next,
        };
        Ok(json(StatusCode::OK, &list))
    }

    /// The file that the path names, if the asker may see it.
    async fn visible(&self, ask: &Ask) -> Result<File, Problem> {
        let id = file_id(ask)?;
        let who = match (&ask.caller, ask.uri.query()) {
            (Caller::Stranger, Some(query)) => {
                let reader = self.files.links.read(id, query, ask.now / 1000);
                match reader.ok_or_else(bad_link)? {
                    Reader::Room => Who::Key,
                    Reader::Member(session) => {
                        let seat = self.files.shared.rooms.seat(session).await;
                        Who::Member(session, seat.ok_or_else(bad_link)?)
                    }
                }
            }
            (caller, _) => self.who(caller).await?,
        };
        self.seen(&who, id).await
    }

    async fn seen(&self, who: &Who, id: FileId) -> Result<File, Problem> {
        let file = self.files.shared.store.file(id).await;
        let file = file.map_err(no_such_file)?;
        if file.completed.is_some() && may_see(who, &file) {
            Ok(file)
        } else {
            Err(no_file())
        }
    }
}

fn bad_link() -> Problem {
    Problem::denied("This link is not good any more.")
}

fn read_cursor(text: &str) -> Option<(u64, FileId)> {
    let (completed, id) = text.split_once('-')?;
    Some((completed.parse().ok()?, id.parse().ok()?))
}

fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("bytes */0"))
}
