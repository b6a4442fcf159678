//! What ends by itself, with time as an argument.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use turnstone::id::SessionId;
use turnstone::message::Role;
use turnstone::store::{Error, NewEvent, NewFile, NewInvite, Store, Swept, Window};

use super::files::ALL as ALL_FILES;
use super::harness::{DAY, MINUTE, NOW, Place, message, name, new_room, on_both, room};

on_both!(
    rooms_end_by_date_by_idleness_and_when_forgotten,
    old_messages_and_files_go_and_new_ones_stay,
    uploads_invitations_and_events_do_not_wait_for_ever,
    nothing_is_swept_before_its_time,
    a_piece_that_cannot_be_removed_holds_nothing_up,
);

async fn rooms_end_by_date_by_idleness_and_when_forgotten(place: Place) {
    let mut settings = place.settings();
    settings.keep_rooms = Some(Duration::from_secs(100 * 24 * 3600));
    let store = Store::open(settings, &place.dir).await.unwrap();
    let mut dated = new_room("dated");
    dated.settings.expires = Some(NOW + 2 * DAY);
    let dated = store.create_room(&dated).await.unwrap().id;
    let mut idle = new_room("idle");
    idle.settings.idle = Some(Duration::from_secs(3 * 24 * 3600));
    let idle = store.create_room(&idle).await.unwrap().id;
    let plain = room(&store, "plain").await;
    let ended = |swept: Swept| {
        let rooms = swept.rooms.into_iter();
        let named = rooms.map(|room| (room.id, room.settings.name));
        named.collect::<Vec<_>>()
    };
    assert_eq!(ended(store.sweep(NOW + 2 * DAY - 1).await.unwrap()), []);
    assert_eq!(
        ended(store.sweep(NOW + 2 * DAY).await.unwrap()),
        [(dated, name("dated"))]
    );
    store.touch_room(idle, NOW + 2 * DAY).await.unwrap();
    assert_eq!(ended(store.sweep(NOW + 4 * DAY).await.unwrap()), []);
    assert_eq!(
        ended(store.sweep(NOW + 5 * DAY).await.unwrap()),
        [(idle, name("idle"))]
    );
    assert_eq!(ended(store.sweep(NOW + 100 * DAY).await.unwrap()), []);
    assert_eq!(
        ended(store.sweep(NOW + 100 * DAY + 1).await.unwrap()),
        [(plain, name("plain"))]
    );
}

fn file(room: turnstone::id::RoomId, created: u64) -> NewFile {
    NewFile {
        room,
        name: "x".to_owned(),
        kind: "text/plain".to_owned(),
        size: 3,
        session: SessionId::random(),
        username: "Ann".parse().unwrap(),
        to: None,
        created,
    }
}

async fn old_messages_and_files_go_and_new_ones_stay(place: Place) {
    let mut settings = place.settings();
    settings.keep_messages = Some(Duration::from_secs(10 * 24 * 3600));
    settings.keep_files = Some(Duration::from_secs(20 * 24 * 3600));
    let store = Store::open(settings, &place.dir).await.unwrap();
    let id = room(&store, "Tea").await;
    let session = SessionId::random();
    let old = (0..1200).map(|_| store.append(message(id, session, "old")));
    futures_util::future::join_all(old).await;
    let mut new = message(id, session, "new");
    new.time = NOW + DAY;
    store.append(new).await.unwrap();
    for created in [NOW, NOW + DAY] {
        let file = store.create_file(&file(id, created)).await.unwrap();
        let bytes = stream::iter([Ok::<_, ()>(Bytes::from_static(b"abc"))]);
        store.receive(file.id, 0, bytes, created).await.unwrap();
    }
    let swept = store.sweep(NOW + 10 * DAY + 1).await.unwrap();
    assert_eq!((swept.messages, swept.files), (1200, 0));
    let all = Window {
        reader: None,
        before: None,
        after: 0,
        limit: 10,
    };
    let left = store.history(id, all).await.unwrap().messages;
    assert_eq!(
        (left.len(), left[0].seq),
        (1, 1201),
        "numbers are not given again"
    );
    let swept = store.sweep(NOW + 20 * DAY + 1).await.unwrap();
    assert_eq!((swept.files, swept.pieces), (1, 1));
    assert_eq!(store.files(id, ALL_FILES).await.unwrap().files.len(), 1);
    assert_eq!(
        store.append(message(id, session, "next")).await.unwrap(),
        1202
    );
}

async fn uploads_invitations_and_events_do_not_wait_for_ever(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    store.create_file(&file(id, NOW)).await.unwrap();
    let invite = |uses, expires| NewInvite {
        room: id,
        role: Role::Guest,
        uses,
        expires,
        created: NOW,
    };
    store
        .invite(&invite(None, Some(NOW + DAY)), "dated")
        .await
        .unwrap();
    let once = store.invite(&invite(Some(1), None), "once").await.unwrap();
    store.use_invite(id, "once", NOW).await.unwrap();
    let revoked = store.invite(&invite(None, None), "revoked").await.unwrap();
    store.revoke_invite(id, revoked, NOW).await.unwrap();
    store.invite(&invite(None, None), "good").await.unwrap();
    let event = NewEvent {
        url: "https://example.org".to_owned(),
        event: "x".to_owned(),
        body: "{}".to_owned(),
        created: NOW,
    };
    store.add_event(&event).await.unwrap();
    assert_eq!(store.sweep(NOW + DAY).await.unwrap(), Swept::default());
    assert_eq!(store.sweep(NOW + DAY + 1).await.unwrap().files, 1);
    assert_eq!(store.sweep(NOW + 3 * DAY + 1).await.unwrap().events, 1);
    assert_eq!(store.sweep(NOW + 7 * DAY + 1).await.unwrap().invites, 1);
    assert_eq!(store.sweep(NOW + 8 * DAY + 1).await.unwrap().invites, 1);
    // Whoever has used it up may come back by it for longer.
    let end = NOW + 90 * DAY;
    assert_eq!(store.sweep(end).await.unwrap().invites, 0);
    assert!(store.standing_invite(id, once, end).await.is_ok());
    assert_eq!(store.sweep(end + 1).await.unwrap().invites, 1);
    assert!(store.standing_invite(id, once, end).await.is_err());
    assert!(store.use_invite(id, "good", NOW + 8 * DAY).await.is_ok());
}

async fn nothing_is_swept_before_its_time(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let session = SessionId::random();
    store.append(message(id, session, "hello")).await.unwrap();
    let file = store.create_file(&file(id, NOW)).await.unwrap();
    let bytes = stream::iter([Ok::<_, ()>(Bytes::from_static(b"abc"))]);
    store.receive(file.id, 0, bytes, NOW).await.unwrap();
    for now in [0, NOW, NOW + MINUTE, NOW + 90 * DAY] {
        assert_eq!(store.sweep(now).await.unwrap(), Swept::default());
    }
}

async fn a_piece_that_cannot_be_removed_holds_nothing_up(place: Place) {
    let store = place.open().await;
    let fill = async |expires: u64, files: usize| {
        let mut dated = new_room("dated");
        dated.settings.expires = Some(expires);
        let id = store.create_room(&dated).await.unwrap().id;
        for _ in 0..files {
            let file = store.create_file(&file(id, NOW)).await.unwrap();
            let bytes = stream::iter([Ok::<_, ()>(Bytes::from_static(b"abc"))]);
            store.receive(file.id, 0, bytes, NOW).await.unwrap();
        }
    };
    fill(NOW + 1, 3).await;
    let stuck = place.pieces().remove(0);
    fs::remove_file(&stuck).unwrap();
    fs::create_dir(&stuck).unwrap();
    let swept = store.sweep(NOW + 1).await.unwrap();
    assert_eq!((swept.rooms.len(), swept.pieces), (1, 2));
    assert_eq!(store.sweep(NOW + 2).await.unwrap(), Swept::default());
    fs::remove_dir(&stuck).unwrap();
    assert_eq!(store.sweep(NOW + 61 * MINUTE).await.unwrap().pieces, 1);
    // When nothing can be removed, the sweep ends, and still says which rooms have.
    fill(NOW + DAY, 12).await;
    for stuck in place.pieces() {
        fs::remove_file(&stuck).unwrap();
        fs::create_dir(&stuck).unwrap();
    }
    let cut = store.sweep(NOW + DAY).await.unwrap_err();
    assert!(matches!(cut.cause, Error::Unavailable), "{cut}");
    assert_eq!(cut.swept.rooms.len(), 1);
}
