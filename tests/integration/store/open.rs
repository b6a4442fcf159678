//! Opening what is kept.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use turnstone::store::{DatabaseUrl, OpenError, Store};

use super::harness::{Kind, Place, on_both, room};

on_both!(
    a_newer_layout_is_refused_in_words,
    several_processes_may_begin_at_once,
);

async fn a_newer_layout_is_refused_in_words(place: Place) {
    let store = place.open().await;
    store.close().await;
    drop(store);
    let database = place.database().await;
    sqlx::raw_sql("UPDATE layout SET version = 99")
        .execute(&database)
        .await
        .unwrap();
    database.close().await;
    let Err(error) = Store::open(place.settings(), &place.dir).await else {
        panic!("it was opened");
    };
    assert!(
        matches!(error, OpenError::Newer { found: 99, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("newer version"), "{error}");
}

async fn several_processes_may_begin_at_once(place: Place) {
    let opened = (0..4).map(|_| Store::open(place.settings(), &place.dir));
    let stores: Vec<Store> = futures_util::future::join_all(opened)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let id = room(&stores[0], "Tea").await;
    for store in &stores {
        assert!(store.room(id).await.is_ok());
        store.ping().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_kept_is_closed_to_others() {
    let place = Place::new(Kind::Sqlite);
    let inside = place.dir.join("data dir ? # % ü");
    let store = Store::open(place.settings(), &inside).await.unwrap();
    room(&store, "Tea").await;
    let mode = |path: &str| {
        fs::metadata(inside.join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode(""), mode("files")), (0o700, 0o700));
    for file in ["turnstone.db", "turnstone.db-wal", "turnstone.lock"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    store.close().await;
    assert!(
        !inside.join("turnstone.db-wal").exists(),
        "the log is in the file"
    );
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_told_without_its_password() {
    let place = Place::new(Kind::Sqlite);
    let mut settings = place.settings();
    settings.database = Some(DatabaseUrl::parse("postgres://me:hush@127.0.0.1:1/calls").unwrap());
    let Err(error) = Store::open(settings, &place.dir).await else {
        panic!("it was opened");
    };
    let words = format!("{error} {error:?}");
    assert!(!words.contains("hush"), "{words}");
    fs::write(place.dir.join("turnstone.db"), [b'x'; 5000]).unwrap();
    let Err(error) = Store::open(place.settings(), &place.dir).await else {
        panic!("it was opened");
    };
    assert!(error.to_string().contains("not a database"), "{error}");
}
