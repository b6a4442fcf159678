//! Everything in one file, and back.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use turnstone::id::SessionId;
use turnstone::message::Role;
use turnstone::store::backup::{BackupError, Summary, back_up, restore};
use turnstone::store::{Ban, Error, NewEvent, NewFile, NewInvite, OpenError, Scope, Store, Window};

use super::files::ALL as ALL_FILES;
use super::harness::{Kind, NOW, Place, message, name, on_both, room};

on_both!(
    what_was_backed_up_comes_back_and_replaces_what_is_there,
    half_a_backup_changes_nothing,
    nothing_is_restored_under_a_running_server,
);

const ALL: Window = Window {
    reader: None,
    before: None,
    after: 0,
    limit: 200,
};

const FILE: &[u8] = b"some bytes";

/// One row in every table at least.
async fn fill(place: &Place, store: &Store) -> String {
    let id = room(store, "Tea").await;
    let session = SessionId::random();
    for number in 0..300 {
        let mut message = message(id, session, &format!("{number} \"\\\n🧀"));
        message.reply_to = (number % 3 == 1).then_some(1);
        store.append(message).await.unwrap();
    }
    store
        .react(id, 300, session, "👍", true, NOW)
        .await
        .unwrap();
    let ban = Ban {
        session,
        name: "Kim".to_owned(),
        address: None,
        created: NOW,
    };
    store.ban(id, &ban).await.unwrap();
    let invite = NewInvite {
        room: id,
        role: Role::Host,
        uses: None,
        expires: Some(NOW + 1),
        created: NOW,
    };
    store.invite(&invite, "open").await.unwrap();
    let file = NewFile {
        room: id,
        name: "Käse.txt".to_owned(),
        kind: "text/plain".to_owned(),
        size: FILE.len() as u64,
        session,
        username: "Ann".parse().unwrap(),
        to: None,
        created: NOW,
    };
    let file = store.create_file(&file).await.unwrap().id;
    let bytes = stream::iter([Ok::<_, ()>(Bytes::from_static(FILE))]);
    store.receive(file, 0, bytes, NOW).await.unwrap();
    let event = NewEvent {
        url: "https://example.org".to_owned(),
        event: "x".to_owned(),
        body: "{}".to_owned(),
        created: NOW,
    };
    let role = Some(Role::Host);
    store.set_role(id, session, role, NOW).await.unwrap();
    store.add_event(&event).await.unwrap();
    fs::write(place.dir.join("secret"), [7; 32]).unwrap();
    store
        .create_key("k", &[Scope::Turn], NOW)
        .await
        .unwrap()
        .key
}

async fn is_filled(store: &Store, key: &str) {
    let tea = store.room_by_name(&name("tea")).await.unwrap();
    assert_eq!(tea.newest_seq, 300);
    let history = store.history(tea.id, ALL).await.unwrap();
    let last = history.messages.last().unwrap();
    assert_eq!((last.seq, &*last.of.text), (300, "299 \"\\\n🧀"));
    assert_eq!(last.reactions[0].emoji, "👍");
    assert_eq!(store.bans(tea.id).await.unwrap()[0].name, "Kim");
    assert_eq!(store.roles(tea.id).await.unwrap()[0].1, Role::Host);
    assert!(store.use_invite(tea.id, "open", NOW).await.is_ok());
    assert!(store.key(key, NOW).await.is_ok());
    let file = store
        .files(tea.id, ALL_FILES)
        .await
        .unwrap()
        .files
        .remove(0);
    let bytes: Vec<Bytes> = store
        .read_file(file.id, 0..file.of.size)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(bytes.concat(), FILE);
}

async fn backed_up(store: &Store, dir: &Path) -> (Vec<u8>, Summary) {
    let mut archive = Vec::new();
    let summary = back_up(store, dir, &mut archive, NOW).await.unwrap();
    (archive, summary)
}

async fn what_was_backed_up_comes_back_and_replaces_what_is_there(place: Place) {
    let store = place.open().await;
    let key = fill(&place, &store).await;
    let (archive, summary) = backed_up(&store, &place.dir).await;
    assert_eq!(
        (summary.rows["messages"], summary.pieces, summary.missing),
        (300, 1, 0)
    );
    assert!(summary.rows.values().all(|&rows| rows > 0), "{summary:?}");

    // Into the same place, where things have gone on since.
    let tea = store.room_by_name(&name("Tea")).await.unwrap().id;
    store.delete_room(tea, NOW).await.unwrap();
    store.sweep(NOW).await.unwrap();
    room(&store, "later").await;
    store.close().await;
    let restored = restore(place.settings(), &place.dir, archive.as_slice(), NOW)
        .await
        .unwrap();
    place.counts_are_right().await;
    assert_eq!(restored, summary);
    let store = place.open().await;
    is_filled(&store, &key).await;
    assert!(store.room_by_name(&name("later")).await.is_err());
    assert_eq!(place.pieces().len(), 1);
    store.close().await;
    // Once more, over itself: the piece that stays is not taken for one that goes.
    restore(place.settings(), &place.dir, archive.as_slice(), NOW)
        .await
        .unwrap();
    let store = place.open().await;
    is_filled(&store, &key).await;
    store.close().await;

    // Into an empty place of the other kind.
    let other = Place::new(match place.kind {
        Kind::Sqlite => Kind::Postgres,
        Kind::Postgres => Kind::Sqlite,
    });
    restore(other.settings(), &other.dir, archive.as_slice(), NOW)
        .await
        .unwrap();
    is_filled(&other.open().await, &key).await;
    assert_eq!(fs::read(other.dir.join("secret")).unwrap(), [7; 32]);
}

async fn half_a_backup_changes_nothing(place: Place) {
    let store = place.open().await;
    let key = fill(&place, &store).await;
    let (archive, _) = backed_up(&store, &place.dir).await;
    store.close().await;
    let empty = Place::new(place.kind);
    let store = empty.open().await;
    let own = room(&store, "own").await;
    store.close().await;
    // Two blocks of zeros and padding end a tar archive: what is cut before them is half of it.
    let whole = archive.len() - 1024;
    for end in (0..whole - 512).step_by(whole / 40) {
        let cut = &archive[..end];
        let refused = restore(empty.settings(), &empty.dir, cut, NOW).await;
        assert!(
            matches!(refused, Err(BackupError::NotABackup(_))),
            "{end}: {refused:?}"
        );
    }
    for junk in [b"".as_slice(), &[0; 2048], &[b'x'; 4096]] {
        let refused = restore(empty.settings(), &empty.dir, junk, NOW).await;
        assert!(
            matches!(refused, Err(BackupError::NotABackup(_))),
            "{refused:?}"
        );
    }
    let store = empty.open().await;
    assert!(store.room(own).await.is_ok());
    assert!(store.room_by_name(&name("Tea")).await.is_err());
    assert!(matches!(store.key(&key, NOW).await, Err(Error::NotFound)));
    assert_eq!(
        empty.pieces().len(),
        0,
        "pieces of what was not restored are gone"
    );
    assert!(!empty.dir.join("secret").exists());
}

async fn nothing_is_restored_under_a_running_server(place: Place) {
    let store = place.open().await;
    let key = fill(&place, &store).await;
    let (archive, _) = backed_up(&store, &place.dir).await;
    let refused = restore(place.settings(), &place.dir, archive.as_slice(), NOW).await;
    let in_use = |refused: &BackupError| matches!(refused, BackupError::Open(OpenError::InUse(_)));
    assert!(refused.as_ref().is_err_and(in_use), "{refused:?}");
    is_filled(&store, &key).await;
    store.close().await;
    restore(place.settings(), &place.dir, archive.as_slice(), NOW)
        .await
        .unwrap();
}
