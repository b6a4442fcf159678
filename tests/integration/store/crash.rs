//! What was acknowledged survives `kill -9`.
//!
//! This test runs itself again as a child process, which writes and reports until it is killed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use turnstone::id::{FileId, RoomId, SessionId};
use turnstone::store::{DatabaseUrl, NewFile, Settings, Store, Window};

use super::harness::{Kind, NOW, Place, message, name, room};

/// How often the child is killed.
const KILLS: u32 = 12;

/// Set for the child: the data directory, and the database's address if it is not SQLite.
const CHILD_DIR: &str = "TEST_CRASH_DIR";
const CHILD_DATABASE: &str = "TEST_CRASH_DATABASE";

#[test]
fn nothing_acknowledged_is_lost_with_sqlite() {
    write_and_die_often(Kind::Sqlite, "nothing_acknowledged_is_lost_with_sqlite");
}

#[test]
fn nothing_acknowledged_is_lost_with_postgres() {
    write_and_die_often(Kind::Postgres, "nothing_acknowledged_is_lost_with_postgres");
}

fn write_and_die_often(kind: Kind, test: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        return runtime.block_on(write_until_killed(dir.into()));
    }
    let place = Place::new(kind);
    runtime.block_on(async {
        let store = place.open().await;
        room(&store, "Tea").await;
        store.close().await;
    });
    let mut acknowledged: BTreeMap<u64, String> = BTreeMap::new();
    let mut files: Vec<FileId> = Vec::new();
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args([&format!("store::crash::{test}"), "--exact", "--nocapture"])
            .env(CHILD_DIR, &place.dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(url) = &place.url {
            child.env(CHILD_DATABASE, url);
        }
        let mut child = child.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed somewhere between the first words and some hundred messages: odd numbers, so that
        // it is not always at the same point of a batch.
        let until = 1 + u64::from(kill * kill * 7 % 311);
        let mut seen = 0;
        for line in lines {
            // The line that was being written when it died is cut short.
            let Ok(line) = line else { break };
            // The child reports in the middle of what the test runner prints.
            let mut words = line.split(' ').skip_while(|word| !word.starts_with('@'));
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some("@message"), Some(seq), Some(text), Some(".")) => {
                    let before = acknowledged.insert(seq.parse().unwrap(), text.to_owned());
                    assert_eq!(before, None, "a number was given twice");
                }
                (Some("@file"), Some(id), Some("."), None) => files.push(id.parse().unwrap()),
                _ => continue,
            }
            seen += 1;
            if seen == until {
                std::thread::sleep(Duration::from_micros(u64::from(kill) * 731));
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(
            seen >= until,
            "the child ended by itself after {seen} of {until}"
        );
    }
    runtime.block_on(async {
        let store = place.open().await;
        check(&store, &acknowledged, &files).await;
        store.close().await;
        place.counts_are_right().await;
        if kind == Kind::Sqlite {
            let pool = place.database().await;
            let said: (String,) = sqlx::query_as("PRAGMA integrity_check")
                .fetch_one(&pool)
                .await
                .unwrap();
            assert_eq!(said.0, "ok");
        }
    });
}

async fn check(store: &Store, acknowledged: &BTreeMap<u64, String>, files: &[FileId]) {
    let room = store.room_by_name(&name("Tea")).await.unwrap();
    let mut kept = BTreeMap::new();
    let mut before = None;
    loop {
        let window = Window {
            reader: None,
            before,
            after: 0,
            limit: 200,
        };
        let page = store.history(room.id, window).await.unwrap();
        before = page.messages.first().map(|message| message.seq);
        kept.extend(
            page.messages
                .into_iter()
                .map(|message| (message.seq, message.of.text)),
        );
        if !page.more {
            break;
        }
    }
    assert!(
        acknowledged.len() > 100,
        "only {} were acknowledged",
        acknowledged.len()
    );
    for (seq, text) in acknowledged {
        assert_eq!(kept.get(seq), Some(text), "message {seq} was lost");
    }
    let newest = kept.keys().next_back().copied().unwrap_or_default();
    assert_eq!(
        (room.newest_seq, kept.len() as u64),
        (newest, newest),
        "no gap, no rest"
    );
    assert!(!files.is_empty());
    for &id in files {
        let file = store.file(id).await.unwrap();
        assert!(file.completed.is_some());
        let bytes: Vec<Bytes> = store
            .read_file(id, 0..file.of.size)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(bytes.concat(), content());
    }
}

/// Writes messages, many at a time, and files; each is reported on a line of its own once it was
/// acknowledged.
async fn write_until_killed(dir: std::path::PathBuf) {
    let database = std::env::var(CHILD_DATABASE).ok();
    let settings = Settings {
        database: database.map(|url| DatabaseUrl::parse(&url).unwrap()),
        ..Settings::default()
    };
    let store = Store::open(settings, &dir).await.unwrap();
    let id = store.room_by_name(&name("Tea")).await.unwrap().id;
    let writing = write_messages(&store, id);
    let uploading = upload(&store, id);
    futures_util::join!(writing, uploading);
}

async fn write_messages(store: &Store, room: RoomId) {
    let session = SessionId::random();
    // Bounded, for the case that nobody kills this.
    let appends = stream::iter(0..100_000).map(|number| async move {
        let text = format!("{session}-{number}");
        let seq = store.append(message(room, session, &text)).await.unwrap();
        report(&format!("@message {seq} {text} ."));
    });
    appends.buffer_unordered(32).collect::<Vec<()>>().await;
}

async fn upload(store: &Store, room: RoomId) {
    for _ in 0..1000 {
        let file = NewFile {
            room,
            name: "x".to_owned(),
            kind: "text/plain".to_owned(),
            size: content().len() as u64,
            session: SessionId::random(),
            username: "Ann".parse().unwrap(),
            to: None,
            created: NOW,
        };
        let id = store.create_file(&file).await.unwrap().id;
        let bytes = stream::iter([Ok::<_, ()>(Bytes::from(content()))]);
        store.receive(id, 0, bytes, NOW).await.unwrap();
        report(&format!("@file {id} ."));
    }
}

fn content() -> Vec<u8> {
    (0..10_000).map(|at| (at % 253) as u8).collect()
}

fn report(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}
