//! How fast messages are stored, and a page of history is found among many.
//!
//!     cargo bench --bench store                              SQLite, a million messages
//!     MESSAGES=100000 cargo bench --bench store              fewer
//!     DATABASE_URL=postgres://… cargo bench --bench store    PostgreSQL; what the database holds stays there
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "figures are for people, and a failure ends it"
)]

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use turnstone::id::{RoomId, SessionId};
use turnstone::store::{DatabaseUrl, NewMessage, NewRoom, RoomSettings, Settings, Store, Window};

/// How many senders wait for an answer at a time.
const SENDERS: [usize; 3] = [1, 10, 1000];

/// How long each number of senders is measured.
const MEASURED: Duration = Duration::from_secs(3);

/// How many pages are asked for.
const PAGES: u64 = 200;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let total = std::env::var("MESSAGES").map_or(1_000_000, |count| count.parse().unwrap());
    let settings = Settings {
        database: std::env::var("DATABASE_URL")
            .ok()
            .map(|url| DatabaseUrl::parse(&url).unwrap()),
        ..Settings::default()
    };
    let dir = std::env::temp_dir().join(format!("turnstone-bench-{}", SessionId::random()));
    let store = Store::open(settings, &dir).await.unwrap();
    let room = NewRoom {
        settings: RoomSettings::named(format!("bench {}", std::process::id()).parse().unwrap()),
        created: 0,
    };
    let room = store.create_room(&room).await.unwrap().id;
    for senders in SENDERS {
        let started = Instant::now();
        let sent = send(&store, room, senders, || started.elapsed() < MEASURED).await;
        let rate = sent as f64 / started.elapsed().as_secs_f64();
        println!("{senders:>5} senders: {rate:>8.0} messages stored per second");
    }
    loop {
        let there = store.room(room).await.unwrap().newest_seq;
        if there >= total {
            break;
        }
        let mut left = total - there;
        let more = || {
            left = left.saturating_sub(1);
            left > 0
        };
        send(&store, room, 1000, more).await;
    }
    let newest = store.room(room).await.unwrap().newest_seq;
    for (what, newest_only) in [("newest page", true), ("pages all over", false)] {
        let mut times = Vec::new();
        for page in 0..PAGES {
            let window = Window {
                reader: Some(SessionId::random()),
                before: (!newest_only).then_some(newest / PAGES * page + 51),
                after: 0,
                limit: 50,
            };
            let started = Instant::now();
            let history = store.history(room, window).await.unwrap();
            times.push(started.elapsed());
            assert_eq!(history.messages.len(), 50);
        }
        times.sort();
        let middle = times[times.len() / 2];
        let late = times[times.len() * 99 / 100];
        println!("{what} of 50 among {newest}: p50 {middle:?}, p99 {late:?}");
    }
    store.close().await;
    std::fs::remove_dir_all(dir).unwrap();
}

/// Sends while `more` says so; how many were stored.
async fn send(store: &Store, room: RoomId, senders: usize, mut more: impl FnMut() -> bool) -> u64 {
    let session = SessionId::random();
    let numbers = stream::iter(0u64..).take_while(|_| std::future::ready(more()));
    let appends = numbers.map(|number| {
        store.append(NewMessage {
            room,
            client_id: number.to_string(),
            session,
            name: "Ann".parse().unwrap(),
            text: "A line of text as people write it, not long and not short.".to_owned(),
            time: number,
            to: None,
            reply_to: None,
        })
    });
    let stored = appends
        .buffer_unordered(senders)
        .map(|stored| stored.map(|_| 1).unwrap());
    stored
        .fold(0, |all, one| std::future::ready(all + one))
        .await
}
