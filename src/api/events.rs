//! What happens to listed rooms, as server-sent events: so that a list of rooms is true without asking again.
//!
//! One task hears the news of the rooms and makes events of them. Those that come and go in a room are
//! told together, some times a second at most. The latest events are remembered, so that a stream that broke goes
//! on where it was; whoever missed more is told to read the list again (`reload`).

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::stream;
use http_body_util::StreamBody;
use hyper::Response;
use hyper::body::{Bytes, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::json;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::limits::Asker;
use super::problem::Problem;
use super::{Answered, Api, Ask, Body};
use crate::id::{RoomId, RoomName};
use crate::room::{News, Place};
use crate::store;

/// How many streams are open at a time, in all and from one address: a page with the list of rooms has one.
const STREAMS_MAX: usize = 2000;
const STREAMS_PER_SOURCE_MAX: usize = 30;

/// In how many seconds someone who found no place may ask again.
const CROWDED_SECONDS: u64 = 30;

/// How many events are remembered, and may wait for one stream: some minutes of a busy server.
const REMEMBERED: usize = 512;

/// How many rooms' comings and goings are gathered; of more, the rest has to be read from the list.
const DIRTY_MAX: usize = 512;

/// For how long comings and goings are gathered.
const GATHER: Duration = Duration::from_millis(500);

/// How often a silent stream says something, so that nothing on the way takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// After how many milliseconds a client whose stream broke comes back.
const RETRY: &str = "retry: 3000\n\n";

/// What Last-Event-ID is called; browsers send it by themselves.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The events, and who listens.
pub(super) struct Events {
    /// Told to listeners. They share the text.
    sender: broadcast::Sender<Event>,
    state: Mutex<State>,
    /// Differs from start to start: numbers begin anew.
    epoch: u64,
    streams: Arc<Streams>,
}

struct State {
    /// The number of the newest event.
    newest: u64,
    remembered: VecDeque<Event>,
}

/// An event as it is sent.
#[derive(Debug, Clone)]
struct Event {
    number: u64,
    text: Bytes,
}

/// How many streams are open.
#[derive(Debug, Default)]
struct Streams(Mutex<HashMap<Asker, usize>>);

/// A place among the streams; given back when dropped.
struct StreamPlace {
    streams: Arc<Streams>,
    asker: Asker,
}

impl Events {
    pub(super) fn new() -> Self {
        let (sender, _) = broadcast::channel(REMEMBERED);
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            sender,
            state: Mutex::new(State {
                newest: 0,
                remembered: VecDeque::new(),
            }),
            epoch: u64::try_from(since_1970.as_micros()).unwrap_or_default(),
            streams: Arc::default(),
        }
    }

    fn tell(&self, name: &str, data: &serde_json::Value) {
        let mut state = self.state();
        state.newest += 1;
        let number = state.newest;
        let id = self.id(number);
        let event = Event {
            number,
            text: format!("id: {id}\nevent: {name}\ndata: {data}\n\n").into(),
        };
        if state.remembered.len() >= REMEMBERED {
            state.remembered.pop_front();
        }
        state.remembered.push_back(event.clone());
        // Refused when nobody listens.
        let _ = self.sender.send(event);
    }

    /// What to say first to someone who has heard everything up to `last`, and what follows.
    fn listen(&self, last: Option<&str>) -> (VecDeque<Bytes>, broadcast::Receiver<Event>) {
        let state = self.state();
        let following = self.sender.subscribe();
        let mut first = VecDeque::from([Bytes::from_static(RETRY.as_bytes())]);
        let Some(last) = last else {
            // Whoever begins has to begin somewhere, also when nothing happens before the stream breaks.
            first.push_back(format!("id: {}\n\n", self.id(state.newest)).into());
            return (first, following);
        };
        let known = last
            .split_once('-')
            .filter(|(epoch, _)| *epoch == format!("{:x}", self.epoch))
            .and_then(|(_, number)| number.parse::<u64>().ok())
            .filter(|&number| number <= state.newest);
        let oldest = state.newest - state.remembered.len() as u64;
        match known {
            Some(last) if last >= oldest => {
                let missed = state.remembered.iter().filter(|event| event.number > last);
                first.extend(missed.map(|event| event.text.clone()));
            }
            _ => first.push_back(self.reload(state.newest)),
        }
        (first, following)
    }

    /// Says that some events were missed, the newest of which has that number.
    fn reload(&self, newest: u64) -> Bytes {
        format!("id: {}\nevent: reload\ndata: {{}}\n\n", self.id(newest)).into()
    }

    fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.epoch)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    fn enter(self: &Arc<Self>, asker: Asker) -> Option<StreamPlace> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.entry(asker).or_default();
        if *own >= STREAMS_PER_SOURCE_MAX || all >= STREAMS_MAX {
            if *own == 0 {
                open.remove(&asker);
            }
            return None;
        }
        *own += 1;
        Some(StreamPlace {
            streams: Arc::clone(self),
            asker,
        })
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self
            .streams
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.asker) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.asker);
            }
        }
    }
}

impl Api {
    pub(super) fn stream_events(&self, ask: &Ask) -> Answered {
        let crowded = || Problem::rate(CROWDED_SECONDS);
        let asker = ask.askers.first().ok_or_else(crowded)?;
        let place = self.events.streams.enter(*asker).ok_or_else(crowded)?;
        let last = ask.headers.get(LAST_EVENT_ID);
        // Whatever is no text of ours is nothing that we know.
        let last = last.map(|value| value.to_str().unwrap_or_default());
        let (first, following) = self.events.listen(last);
        let listener = Listener {
            events: Arc::clone(&self.events),
            first,
            following,
            stop: self.stop.clone(),
            keep_alive: Instant::now() + KEEP_ALIVE,
            _place: place,
        };
        let frames = stream::unfold(listener, |mut listener| async {
            let bytes = listener.next().await?;
            Some((Ok::<_, Infallible>(Frame::data(bytes)), listener))
        });
        let body =
            http_body_util::BodyExt::map_err(StreamBody::new(frames), |never| match never {});
        let mut response = Response::new(Body::new(body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// Makes events of the news, until the server stops.
    pub async fn tell_events(self: Arc<Self>) {
        let mut news = self.rooms.news();
        // Kept and listed rooms in which somebody has come or gone.
        let mut dirty: HashMap<RoomId, RoomName> = HashMap::new();
        let mut due = interval(GATHER);
        loop {
            let heard = tokio::select! {
                () = self.stop.cancelled() => return,
                _ = due.tick(), if !dirty.is_empty() => {
                    for (id, name) in dirty.drain() {
                        self.tell_of(id, &name, "room-changed").await;
                    }
                    continue;
                }
                heard = news.recv() => heard,
            };
            match heard {
                Ok(news) => self.tell_news(news, &mut dirty).await,
                Err(RecvError::Lagged(missed)) => {
                    warn!(
                        missed,
                        "more happened than could be told to those who watch the list of rooms"
                    );
                    self.events.tell("reload", &json!({}));
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn tell_news(&self, news: News, dirty: &mut HashMap<RoomId, RoomName>) {
        match news {
            News::Joined { place, .. } | News::Left { place, .. } => {
                if let Place {
                    room,
                    kept: Some(id),
                    listed: true,
                } = place
                {
                    if dirty.len() < DIRTY_MAX || dirty.contains_key(&id) {
                        dirty.insert(id, room);
                    } else {
                        dirty.clear();
                        self.events.tell("reload", &json!({}));
                    }
                }
            }
            News::Created(place) if place.listed => {
                if let Some(id) = place.kept {
                    self.tell_of(id, &place.room, "room-created").await;
                }
            }
            News::Changed { was, now } => {
                let gone = was.listed && (!now.listed || was.room.as_str() != now.room.as_str());
                if gone {
                    self.tell_deleted(&was);
                }
                if let (true, Some(id)) = (now.listed, now.kept) {
                    let is_new = gone || !was.listed;
                    let event = if is_new {
                        "room-created"
                    } else {
                        "room-changed"
                    };
                    self.tell_of(id, &now.room, event).await;
                }
            }
            News::Deleted(place) if place.listed => self.tell_deleted(&place),
            _ => {}
        }
    }

    /// Tells what a room is like now, if it is still there under that name, and listed.
    async fn tell_of(&self, id: RoomId, name: &RoomName, event: &str) {
        match self.store.room(id).await {
            Ok(kept) if kept.settings.listed && kept.settings.name == *name => {
                let people = self.rooms.people(vec![name.clone()]).await;
                let listed = self.listed(&kept, people.first().copied().unwrap_or_default());
                self.events.tell(event, &json!(listed));
            }
            // What has happened to it since is told by itself.
            Ok(_) | Err(store::Error::NotFound) => {}
            Err(_) => self.events.tell("reload", &json!({})),
        }
    }

    fn tell_deleted(&self, place: &Place) {
        self.events
            .tell("room-deleted", &json!({ "name": place.room }));
    }
}

/// One stream.
struct Listener {
    events: Arc<Events>,
    first: VecDeque<Bytes>,
    following: broadcast::Receiver<Event>,
    stop: CancellationToken,
    keep_alive: Instant,
    _place: StreamPlace,
}

impl Listener {
    /// What is sent next; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(bytes) = self.first.pop_front() {
            return Some(bytes);
        }
        let bytes = tokio::select! {
            () = self.stop.cancelled() => return None,
            () = sleep_until(self.keep_alive) => Bytes::from_static(b":\n\n"),
            event = self.following.recv() => match event {
                Ok(event) => event.text,
                Err(RecvError::Lagged(_)) => {
                    // Too slow: it begins anew with what comes now.
                    let (_, following) = self.events.listen(None);
                    self.following = following;
                    self.events.reload(self.events.state().newest)
                }
                Err(RecvError::Closed) => return None,
            },
        };
        self.keep_alive = Instant::now() + KEEP_ALIVE;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Source;

    fn told(first: &VecDeque<Bytes>) -> Vec<String> {
        first
            .iter()
            .map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
            .filter_map(|text| text.split_once("event: ").map(|(_, rest)| rest.to_owned()))
            .map(|rest| rest.lines().next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_stream_goes_on_where_it_broke_unless_too_much_was_missed() {
        let events = Events::new();
        let (first, _) = events.listen(None);
        assert_eq!(told(&first), [""; 0]);
        let start = events.id(0);
        events.tell("a", &json!({}));
        events.tell("b", &json!({}));
        assert_eq!(told(&events.listen(Some(&start)).0), ["a", "b"]);
        assert_eq!(told(&events.listen(Some(&events.id(1))).0), ["b"]);
        assert_eq!(told(&events.listen(Some(&events.id(2))).0), [""; 0]);
        for unknown in ["", "x", "1-1", &events.id(3)] {
            assert_eq!(
                told(&events.listen(Some(unknown)).0),
                ["reload"],
                "{unknown}"
            );
        }
        for _ in 0..REMEMBERED {
            events.tell("c", &json!({}));
        }
        assert_eq!(told(&events.listen(Some(&start)).0), ["reload"]);
        assert_eq!(
            told(&events.listen(Some(&events.id(2))).0).len(),
            REMEMBERED
        );
    }

    #[test]
    fn streams_are_counted_by_address_and_given_back() {
        let streams = Arc::new(Streams::default());
        let asker = |text: &str| Asker::Source(Source::of(text.parse().unwrap()));
        let places: Vec<_> = (0..STREAMS_PER_SOURCE_MAX)
            .map(|_| streams.enter(asker("192.0.2.1")).unwrap())
            .collect();
        assert!(streams.enter(asker("192.0.2.1")).is_none());
        assert!(streams.enter(asker("192.0.2.2")).is_some());
        drop(places);
        assert!(streams.0.lock().unwrap().is_empty());
    }
}
