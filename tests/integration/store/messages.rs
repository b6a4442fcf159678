//! Chat history.

use futures_util::future::join_all;
use turnstone::id::SessionId;
use turnstone::store::{Error, History, Store, Window};

use super::harness::{NOW, Place, message, on_both, room};

on_both!(
    messages_are_numbered_without_a_gap_however_many_come_at_once,
    history_goes_backwards_in_pages,
    private_messages_are_for_two,
    authors_change_their_own_and_hosts_any,
    signs_are_counted_once_a_person,
    what_a_database_cannot_hold_harms_nobody,
    numbers_go_on_after_a_restart,
);

const ALL: Window = Window {
    reader: None,
    before: None,
    after: 0,
    limit: 200,
};

async fn texts(store: &Store, room: turnstone::id::RoomId, window: Window) -> (Vec<String>, bool) {
    let History { messages, more } = store.history(room, window).await.unwrap();
    (
        messages
            .into_iter()
            .map(|message| message.of.text)
            .collect(),
        more,
    )
}

async fn messages_are_numbered_without_a_gap_however_many_come_at_once(place: Place) {
    let store = place.open().await;
    let rooms = [room(&store, "Tea").await, room(&store, "Coffee").await];
    let session = SessionId::random();
    let appends = (0..1000).map(|number| {
        let room = rooms[number % 2];
        store.append(message(room, session, &number.to_string()))
    });
    let seqs: Vec<u64> = join_all(appends)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    for (at, seq) in seqs.iter().enumerate() {
        assert_eq!(*seq, at as u64 / 2 + 1, "in the order of the calls");
    }
    for (index, room) in rooms.into_iter().enumerate() {
        assert_eq!(store.room(room).await.unwrap().newest_seq, 500);
        let (texts, more) = texts(&store, room, ALL).await;
        let expected: Vec<String> = (300..500).map(|n| (n * 2 + index).to_string()).collect();
        assert_eq!((texts, more), (expected, true));
    }
}

async fn history_goes_backwards_in_pages(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let session = SessionId::random();
    for number in 1..=10 {
        let mut message = message(id, session, &number.to_string());
        message.time = NOW + number;
        message.reply_to = (number > 1).then_some(number - 1);
        assert_eq!(store.append(message).await.unwrap(), number);
    }
    let page = |before, after, limit| Window {
        before,
        after,
        limit,
        ..ALL
    };
    let newest = store.history(id, page(None, 0, 4)).await.unwrap();
    let seqs = |history: &History| history.messages.iter().map(|m| m.seq).collect::<Vec<_>>();
    assert_eq!((seqs(&newest), newest.more), (vec![7, 8, 9, 10], true));
    assert_eq!(newest.messages[0].of.time, NOW + 7);
    assert_eq!(newest.messages[0].of.reply_to, Some(6));
    let next = store.history(id, page(Some(7), 0, 6)).await.unwrap();
    assert_eq!((seqs(&next), next.more), (vec![1, 2, 3, 4, 5, 6], false));
    let missed = store.history(id, page(None, 8, 50)).await.unwrap();
    assert_eq!((seqs(&missed), missed.more), (vec![9, 10], false));
    let none = store.history(id, page(Some(1), 0, 5)).await.unwrap();
    assert_eq!((seqs(&none), none.more), (vec![], false));
}

async fn private_messages_are_for_two(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let [ann, bob, cid] = std::array::from_fn(|_| SessionId::random());
    store.append(message(id, ann, "to all")).await.unwrap();
    let mut private = message(id, ann, "to Bob");
    private.to = Some(bob);
    store.append(private).await.unwrap();
    for (reader, expected) in [(Some(ann), 2), (Some(bob), 2), (Some(cid), 1), (None, 1)] {
        let (texts, _) = texts(&store, id, Window { reader, ..ALL }).await;
        assert_eq!(texts.len(), expected, "{reader:?}");
    }
    let nosy = store.react(id, 2, cid, "👀", true, NOW).await;
    assert!(matches!(nosy, Err(Error::NotFound)), "{nosy:?}");
    store.react(id, 2, bob, "👀", true, NOW).await.unwrap();
}

async fn authors_change_their_own_and_hosts_any(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let [ann, bob] = std::array::from_fn(|_| SessionId::random());
    store.append(message(id, ann, "one")).await.unwrap();
    store.append(message(id, ann, "two")).await.unwrap();
    let other = store
        .edit_message(id, 1, Some(bob), "forged", NOW + 1)
        .await;
    assert!(matches!(other, Err(Error::NotFound)), "{other:?}");
    store
        .edit_message(id, 1, Some(ann), "uno", NOW + 2)
        .await
        .unwrap();
    store.react(id, 2, bob, "👍", true, NOW + 2).await.unwrap();
    assert!(
        store
            .delete_message(id, 2, Some(bob), NOW + 3)
            .await
            .is_err()
    );
    store.delete_message(id, 2, None, NOW + 3).await.unwrap();
    let late = store.edit_message(id, 2, Some(ann), "back", NOW + 4).await;
    assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
    assert!(store.react(id, 2, bob, "👍", true, NOW + 4).await.is_err());
    let messages = store.history(id, ALL).await.unwrap().messages;
    assert_eq!(
        (&*messages[0].of.text, messages[0].edited),
        ("uno", Some(NOW + 2))
    );
    assert_eq!(
        (&*messages[1].of.text, messages[1].deleted),
        ("", Some(NOW + 3))
    );
    assert!(messages[1].reactions.is_empty());
}

async fn signs_are_counted_once_a_person(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let [ann, bob] = std::array::from_fn(|_| SessionId::random());
    store.append(message(id, ann, "one")).await.unwrap();
    for (at, (who, sign)) in [(ann, "👍"), (bob, "🎉"), (bob, "👍"), (bob, "👍")]
        .into_iter()
        .enumerate()
    {
        store
            .react(id, 1, who, sign, true, NOW + at as u64)
            .await
            .unwrap();
    }
    let reactions = store
        .history(id, ALL)
        .await
        .unwrap()
        .messages
        .remove(0)
        .reactions;
    let seen: Vec<_> = reactions
        .iter()
        .map(|r| (r.emoji.as_str(), r.sessions.clone()))
        .collect();
    assert_eq!(seen, [("👍", vec![ann, bob]), ("🎉", vec![bob])]);
    store.react(id, 1, ann, "👍", false, NOW).await.unwrap();
    store.react(id, 1, bob, "🎉", false, NOW).await.unwrap();
    let reactions = store
        .history(id, ALL)
        .await
        .unwrap()
        .messages
        .remove(0)
        .reactions;
    assert_eq!((reactions.len(), &reactions[0].sessions), (1, &vec![bob]));
}

async fn what_a_database_cannot_hold_harms_nobody(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let gone = room(&store, "Gone").await;
    store.delete_room(gone, NOW).await.unwrap();
    let session = SessionId::random();
    let odd = ["a\0b", "'; DROP TABLE rooms; --", "🧀\u{10FFFF}", ""];
    let sent = odd.map(|odd| store.append(message(id, session, odd)));
    let (kept, lost) =
        futures_util::join!(join_all(sent), store.append(message(gone, session, "lost")));
    assert!(matches!(lost, Err(Error::NotFound)), "{lost:?}");
    let seqs: Vec<u64> = kept.into_iter().map(Result::unwrap).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    let (texts, _) = texts(&store, id, ALL).await;
    assert_eq!(texts, ["ab", odd[1], odd[2], ""]);
}

async fn numbers_go_on_after_a_restart(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let session = SessionId::random();
    let waiting: Vec<_> = (0..100)
        .map(|number| {
            let store = store.clone();
            let message = message(id, session, &number.to_string());
            tokio::spawn(async move { store.append(message).await })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close().await;
    let mut acknowledged = 0;
    for task in waiting {
        acknowledged += u64::from(task.await.unwrap().is_ok());
    }
    assert!(store.append(message(id, session, "late")).await.is_err());
    let store = place.open().await;
    assert_eq!(store.room(id).await.unwrap().newest_seq, acknowledged);
    assert_eq!(
        store.append(message(id, session, "next")).await.unwrap(),
        acknowledged + 1
    );
}
