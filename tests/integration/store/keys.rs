//! API keys, and events on their way to other programs.

use std::time::Duration;

use turnstone::store::{Error, NewEvent, Scope};

use super::harness::{MINUTE, NOW, Place, on_both};

on_both!(
    a_key_is_good_until_it_is_revoked,
    keys_that_are_almost_right_are_none,
    events_are_taken_by_one_and_come_again_unless_forgotten,
);

async fn a_key_is_good_until_it_is_revoked(place: Place) {
    let store = place.open().await;
    let scopes = [Scope::Turn, Scope::RoomsRead, Scope::Turn];
    let minted = store.create_key("billing", &scopes, NOW).await.unwrap();
    assert!(!format!("{minted:?}").contains(&minted.key));
    let key = store.key(&minted.key, NOW + 1).await.unwrap();
    assert_eq!(key.scopes, [Scope::RoomsRead, Scope::Turn]);
    assert_eq!(
        (key.id, &*key.name, key.last_used),
        (minted.id, "billing", None)
    );
    store.key(&minted.key, NOW + 2).await.unwrap();
    assert_eq!(
        store.keys().await.unwrap()[0].last_used,
        Some(NOW + 1),
        "to the minute"
    );
    store.key(&minted.key, NOW + 1 + MINUTE).await.unwrap();
    assert_eq!(
        store.keys().await.unwrap()[0].last_used,
        Some(NOW + 1 + MINUTE)
    );
    store.revoke_key(minted.id, NOW + 3).await.unwrap();
    assert!(matches!(
        store.key(&minted.key, NOW + 4).await,
        Err(Error::NotFound)
    ));
    assert!(matches!(
        store.revoke_key(minted.id, NOW + 5).await,
        Err(Error::NotFound)
    ));
    assert_eq!(store.keys().await.unwrap()[0].revoked, Some(NOW + 3));
}

async fn keys_that_are_almost_right_are_none(place: Place) {
    let store = place.open().await;
    let minted = store.create_key("x", &[], NOW).await.unwrap();
    let (shorter, _) = minted.key.split_at(minted.key.len() - 1);
    let longer = format!("{}x", minted.key);
    let elsewhere = store.create_key("y", &[], NOW).await.unwrap().key;
    let (_, secret) = elsewhere.rsplit_once('_').unwrap();
    let swapped = format!("turnstone_{}_{secret}", minted.id);
    for bad in [
        "",
        "turnstone",
        "turnstone_",
        shorter,
        &longer,
        &swapped,
        "turnstone_'_x",
        "Bearer",
    ] {
        assert!(
            matches!(store.key(bad, NOW).await, Err(Error::NotFound)),
            "{bad}"
        );
    }
}

async fn events_are_taken_by_one_and_come_again_unless_forgotten(place: Place) {
    let store = place.open().await;
    let mut ids = Vec::new();
    for number in 0..20 {
        let event = NewEvent {
            url: "https://example.org/hook".to_owned(),
            event: "room.started".to_owned(),
            body: format!("{{\"n\":{number}}}"),
            created: NOW + number,
        };
        ids.push(store.add_event(&event).await.unwrap());
    }
    let lease = Duration::from_secs(30);
    let takers = (0..5).map(|_| store.take_events(NOW + 100, lease, 4));
    let taken = futures_util::future::join_all(takers).await;
    let mut all: Vec<_> = taken
        .into_iter()
        .flat_map(Result::unwrap)
        .map(|event| event.id)
        .collect();
    // With PostgreSQL some takers may come away with less; what counts is that none is taken twice.
    while let [_, ..] = {
        let more = store.take_events(NOW + 100, lease, 4).await.unwrap();
        all.extend(more.iter().map(|event| event.id));
        more
    }
    .as_slice()
    {}
    all.sort();
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(all, expected);

    store.forget_event(ids[0]).await.unwrap();
    store.retry_event(ids[1], NOW + 200).await.unwrap();
    let again = store.take_events(NOW + 200, lease, 9).await.unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(
        (again[0].id, again[0].attempts, &*again[0].of.body),
        (ids[1], 1, "{\"n\":1}")
    );
    let later = store
        .take_events(NOW + 100 + 30_000, lease, 100)
        .await
        .unwrap();
    assert_eq!(later.len(), 18, "the lease is over");
    assert_eq!(later[0].id, ids[2], "the oldest first");
    assert!(matches!(
        store.forget_event(ids[0]).await,
        Err(Error::NotFound)
    ));
}
