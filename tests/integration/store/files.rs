//! Files that people share.

use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use ring::digest;
use tokio::time::sleep;
use turnstone::id::{FileId, RoomId, SessionId};
use turnstone::store::{Error, File, FileTypes, FileWindow, NewFile, Store};

use super::harness::{MINUTE, NOW, Place, on_both, room};

on_both!(
    a_file_arrives_in_runs_and_is_read_in_ranges,
    a_file_is_whole_when_its_last_byte_is_there,
    an_upload_goes_on_after_a_restart,
    only_one_of_two_at_the_same_place_goes_on,
    files_have_limits,
    only_bytes_that_are_here_count,
    private_files_are_for_two,
    files_are_listed_in_parts_from_the_newest,
    an_upload_is_handed_over_while_it_is_not_whole,
    bytes_tell_what_a_file_is,
    kinds_that_are_not_taken_are_refused_and_leave_nothing,
    the_bytes_go_with_the_room,
);

const MIB: u64 = 1024 * 1024;

pub(super) const ALL: FileWindow = FileWindow {
    reader: None,
    before: None,
    since: 0,
    limit: 500,
};

async fn listed(store: &Store, room: RoomId, window: FileWindow) -> Vec<FileId> {
    let list = store.files(room, window).await.unwrap();
    list.files.iter().map(|file| file.id).collect()
}

fn new_file(room: RoomId, size: u64) -> NewFile {
    NewFile {
        room,
        name: "Käse.bin".to_owned(),
        kind: "application/octet-stream".to_owned(),
        size,
        session: SessionId::random(),
        username: "Ann".parse().unwrap(),
        to: None,
        created: NOW,
    }
}

/// Bytes that differ at each place, as they would stand from `start` to `end` of a file.
fn content(start: u64, end: u64) -> Vec<u8> {
    (start..end)
        .map(|at| ((at % 251) ^ (at >> 16)) as u8)
        .collect()
}

fn chunks(start: u64, end: u64) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let bytes = Bytes::from(content(start, end));
    stream::unfold(bytes, |mut bytes| async move {
        let next = bytes.split_to(bytes.len().min(70_001));
        (!next.is_empty()).then_some((Ok(next), bytes))
    })
}

async fn read(store: &Store, id: FileId, start: u64, end: u64) -> Result<Vec<u8>, Error> {
    let bytes = store.read_file(id, start..end);
    pin!(bytes)
        .try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
}

fn sha256(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

async fn a_file_arrives_in_runs_and_is_read_in_ranges(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let size = 9 * MIB + 17;
    let wanted = new_file(id, size);
    let file = store.create_file(&wanted).await.unwrap();
    assert_eq!(
        (file.of.clone(), file.received, file.completed),
        (wanted, 0, None)
    );
    let file = store
        .receive(file.id, 0, chunks(0, 5 * MIB + 3), NOW + 1)
        .await
        .unwrap();
    assert_eq!((file.received, file.completed), (5 * MIB + 3, None));
    assert!(listed(&store, id, ALL).await.is_empty(), "not whole yet");
    let file = store
        .receive(file.id, 5 * MIB + 3, chunks(5 * MIB + 3, size), NOW + 2)
        .await
        .unwrap();
    assert_eq!(file.received, size);
    assert_eq!(file.sha256, Some(sha256(&content(0, size))));
    assert_eq!(listed(&store, id, ALL).await, [file.id]);
    for (start, end) in [
        (0, size),
        (0, 1),
        (4 * MIB - 1, 4 * MIB + 1),
        (5 * MIB, size),
        (size - 1, size),
        (7, 7),
    ] {
        assert!(
            read(&store, file.id, start, end).await.unwrap() == content(start, end),
            "{start}..{end}"
        );
    }
    assert!(read(&store, file.id, 0, size + 1).await.is_err());
    let more = store.receive(file.id, size, chunks(0, 1), NOW).await;
    assert!(matches!(more, Err(Error::Conflict)), "{more:?}");
    let empty = store.create_file(&new_file(id, 0)).await.unwrap();
    assert_eq!(empty.sha256, Some(sha256(b"")));
}

async fn a_file_is_whole_when_its_last_byte_is_there(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let file = store.create_file(&new_file(id, 2)).await.unwrap();
    let start = Instant::now();
    let late = chunks(0, 1).chain(stream::once(async {
        sleep(Duration::from_millis(300)).await;
        Ok(Bytes::from(content(1, 2)))
    }));
    let file = store.receive(file.id, 0, late, NOW).await.unwrap();
    let took = u64::try_from(start.elapsed().as_millis()).unwrap();
    let completed = file.completed.unwrap();
    assert!(
        (NOW + 300..=NOW + took).contains(&completed),
        "{}",
        completed - NOW
    );
}

async fn an_upload_goes_on_after_a_restart(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let file = store.create_file(&new_file(id, 6 * MIB)).await.unwrap();
    let breaking = chunks(0, 5 * MIB).map_err(|never| -> &str { match never {} });
    let breaking = breaking.chain(stream::once(async { Err("the phone went into a tunnel") }));
    let broken = store.receive(file.id, 0, breaking, NOW).await;
    assert!(matches!(broken, Err(Error::Broken)), "{broken:?}");
    store.close().await;
    let store = place.open().await;
    let received = store.file(file.id).await.unwrap().received;
    assert_eq!(received, 5 * MIB, "what had arrived is kept");
    let file = store
        .receive(file.id, received, chunks(received, 6 * MIB), NOW)
        .await
        .unwrap();
    assert_eq!(file.sha256, Some(sha256(&content(0, 6 * MIB))));
    assert!(read(&store, file.id, 0, 6 * MIB).await.unwrap() == content(0, 6 * MIB));
}

async fn only_one_of_two_at_the_same_place_goes_on(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let file = store.create_file(&new_file(id, MIB)).await.unwrap();
    let wrong = store.receive(file.id, 5, chunks(5, MIB), NOW).await;
    assert!(matches!(wrong, Err(Error::Conflict)), "{wrong:?}");
    let both = futures_util::join!(
        store.receive(file.id, 0, chunks(0, MIB), NOW),
        store.receive(file.id, 0, chunks(0, MIB), NOW),
    );
    let (one, other) = both;
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert!(read(&store, file.id, 0, MIB).await.unwrap() == content(0, MIB));
    // What the other had written, if it began before the one was done, is removed once it cannot be waiting for
    // its turn any more.
    let strays = place.pieces().len() as u64 - 1;
    assert_eq!(store.sweep(NOW + 30 * MINUTE).await.unwrap().pieces, 0);
    assert_eq!(store.sweep(NOW + 61 * MINUTE).await.unwrap().pieces, strays);
    assert_eq!(place.pieces().len(), 1);
}

async fn files_have_limits(place: Place) {
    let mut settings = place.settings();
    settings.file_size = 100;
    settings.room_files = 150;
    settings.all_files = 220;
    let store = Store::open(settings, &place.dir).await.unwrap();
    let tea = room(&store, "Tea").await;
    let coffee = room(&store, "Coffee").await;
    let refused = |made: Result<turnstone::store::File, Error>| {
        assert!(matches!(made, Err(Error::TooMuch)), "{made:?}");
    };
    let large = store.create_file(&new_file(tea, 101)).await;
    assert!(matches!(large, Err(Error::TooLarge)), "{large:?}");
    let file = store.create_file(&new_file(tea, 100)).await.unwrap();
    let over = store.receive(file.id, 0, chunks(0, 101), NOW).await;
    assert!(matches!(over, Err(Error::TooLarge)), "{over:?}");
    assert_eq!(store.file(file.id).await.unwrap().received, 0);
    store
        .receive(file.id, 0, chunks(0, 100), NOW)
        .await
        .unwrap();
    refused(store.create_file(&new_file(tea, 51)).await);
    share(&store, coffee, "", &content(0, 100)).await.unwrap();
    refused(store.create_file(&new_file(coffee, 21)).await);
    share(&store, coffee, "", &content(0, 20)).await.unwrap();
    refused(store.create_file(&new_file(tea, 1)).await);
    store.delete_file(file.id, NOW).await.unwrap();
    store.create_file(&new_file(tea, 100)).await.unwrap();
}

async fn only_bytes_that_are_here_count(place: Place) {
    for (room_files, all_files) in [(150, 1000), (1000, 150)] {
        let mut settings = place.settings();
        (settings.room_files, settings.all_files) = (room_files, all_files);
        let store = Store::open(settings, &place.dir).await.unwrap();
        let id = room(&store, "Tea").await;
        let before = place.pieces().len();
        // Announced, and never sent.
        for _ in 0..3 {
            store.create_file(&new_file(id, 150)).await.unwrap();
        }
        let first = store.create_file(&new_file(id, 100)).await.unwrap();
        let second = store.create_file(&new_file(id, 100)).await.unwrap();
        let half = store.receive(second.id, 0, chunks(0, 50), NOW).await;
        assert_eq!(half.unwrap().received, 50);
        let whole = store.receive(first.id, 0, chunks(0, 100), NOW).await;
        assert!(whole.unwrap().completed.is_some());
        let over = store.receive(second.id, 50, chunks(50, 51), NOW).await;
        assert!(matches!(over, Err(Error::TooMuch)), "{over:?}");
        assert_eq!(place.pieces().len() - before, 2, "what was refused is gone");
        place.counts_are_right().await;
        // It goes on once there is a place.
        store.delete_file(first.id, NOW).await.unwrap();
        let file = store.receive(second.id, 50, chunks(50, 100), NOW).await;
        assert_eq!(file.unwrap().sha256, Some(sha256(&content(0, 100))));
        place.counts_are_right().await;
        store.delete_room(id, NOW).await.unwrap();
        store.close().await;
    }
}

async fn private_files_are_for_two(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let bob = SessionId::random();
    let private = NewFile {
        to: Some(bob),
        ..new_file(id, 3)
    };
    let file = store.create_file(&private).await.unwrap();
    store.receive(file.id, 0, chunks(0, 3), NOW).await.unwrap();
    for (reader, expected) in [
        (Some(private.session), 1),
        (Some(bob), 1),
        (Some(SessionId::random()), 0),
        (None, 0),
    ] {
        let window = FileWindow { reader, ..ALL };
        assert_eq!(listed(&store, id, window).await.len(), expected);
    }
}

async fn files_are_listed_in_parts_from_the_newest(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let mut whole = Vec::new();
    // Two at each moment: an empty one is whole at once.
    for number in 0..6 {
        let new = NewFile {
            created: NOW + number / 2,
            ..new_file(id, 0)
        };
        let file = store.create_file(&new).await.unwrap();
        whole.push((file.completed.unwrap(), file.id));
    }
    whole.sort_by_key(|(completed, id)| (*completed, id.to_string()));
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let window = FileWindow {
            before,
            limit: 4,
            ..ALL
        };
        let list = store.files(id, window).await.unwrap();
        let part: Vec<_> = list
            .files
            .iter()
            .map(|file| (file.completed.unwrap(), file.id))
            .collect();
        before = part.first().copied();
        found.splice(0..0, part);
        if !list.more {
            break;
        }
    }
    assert_eq!(found, whole);
    let late = FileWindow {
        since: NOW + 2,
        ..ALL
    };
    assert_eq!(listed(&store, id, late).await.len(), 2);
}

async fn an_upload_is_handed_over_while_it_is_not_whole(place: Place) {
    let store = place.open().await;
    let room = room(&store, "Tea").await;
    let new = new_file(room, 2);
    let (first, second) = (new.session, SessionId::random());
    let kim = "Kim".parse().unwrap();
    let id = store.create_file(&new).await.unwrap().id;
    store.receive(id, 0, chunks(0, 1), NOW).await.unwrap();
    let file = store.hand_over_file(id, first, second, &kim).await.unwrap();
    assert_eq!((file.of.session, file.of.username), (second, kim.clone()));
    let again = store.hand_over_file(id, first, second, &kim).await;
    assert!(matches!(again, Err(Error::Conflict)), "{again:?}");
    store.receive(id, 1, chunks(1, 2), NOW).await.unwrap();
    let whole = store.hand_over_file(id, second, first, &kim).await;
    assert!(matches!(whole, Err(Error::Conflict)), "{whole:?}");
}

/// A file of these bytes alone.
async fn share(store: &Store, room: RoomId, claim: &str, bytes: &[u8]) -> Result<File, Error> {
    let mut file = new_file(room, bytes.len() as u64);
    file.kind = claim.to_owned();
    let file = store.create_file(&file).await?;
    let bytes = Bytes::copy_from_slice(bytes);
    let stream = stream::once(async { Ok::<_, Infallible>(bytes) });
    store.receive(file.id, 0, stream, NOW).await
}

async fn bytes_tell_what_a_file_is(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    for (claim, bytes, kind) in [
        ("text/html", &b"\x89PNG\r\n\x1a\n..."[..], "image/png"),
        ("image/png", b"<html>", "application/octet-stream"),
        ("Text/Plain; charset=utf-8", b"hello", "text/plain"),
        ("nonsense", b"hello", "application/octet-stream"),
    ] {
        let file = share(&store, id, claim, bytes).await.unwrap();
        assert_eq!(file.of.kind, kind, "{claim}");
        assert_eq!(store.file(file.id).await.unwrap(), file);
    }
}

async fn kinds_that_are_not_taken_are_refused_and_leave_nothing(place: Place) {
    let mut settings = place.settings();
    settings.file_types = FileTypes::only(vec!["image/*".parse().unwrap()]);
    let store = Store::open(settings, &place.dir).await.unwrap();
    let id = room(&store, "Tea").await;
    share(&store, id, "image/gif", b"GIF89a").await.unwrap();
    let mut text = new_file(id, 1);
    text.kind = "text/plain".to_owned();
    let said = store.create_file(&text).await;
    assert!(matches!(said, Err(Error::WrongType)), "{said:?}");
    // What lies about itself gets as far as its last byte.
    let lied = share(&store, id, "image/gif", b"MZ").await;
    assert!(matches!(lied, Err(Error::WrongType)), "{lied:?}");
    assert_eq!(listed(&store, id, ALL).await.len(), 1);
    assert_eq!(store.sweep(NOW + MINUTE).await.unwrap().pieces, 1);
    assert_eq!(place.pieces().len(), 1);
}

async fn the_bytes_go_with_the_room(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let other = room(&store, "Coffee").await;
    for room in [id, other] {
        let file = store.create_file(&new_file(room, 5 * MIB)).await.unwrap();
        store
            .receive(file.id, 0, chunks(0, 5 * MIB), NOW)
            .await
            .unwrap();
    }
    assert_eq!(place.pieces().len(), 4);
    store.delete_room(id, NOW + 1).await.unwrap();
    assert_eq!(store.sweep(NOW + 2).await.unwrap().pieces, 2);
    assert_eq!(place.pieces().len(), 2);
    assert_eq!(listed(&store, other, ALL).await.len(), 1);
}
