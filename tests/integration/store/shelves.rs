//! Where the files of rooms lie that are not kept, as the rooms ask for it.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use sqlx::Row;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use turnstone::id::{PeerId, RoomName, SessionId, Source};
use turnstone::message::FromPeer;
use turnstone::room::{ResumeKey, Settings};
use turnstone::rooms::{self, RoomsHandle};
use turnstone::store::password::Passwords;
use turnstone::token::Tokens;

use super::harness::{NOW, Place, name, on_both};
use crate::harness::PATIENCE;

on_both!(whoever_goes_while_asking_leaves_no_second_place_for_files);

/// Somebody sits down in a room, and stays.
async fn sit(rooms: &RoomsHandle, number: u64, room: &RoomName) -> rooms::Inbox {
    let (peer, session) = (PeerId::new(number), SessionId::random());
    let source = Source::of(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let inbox = rooms.connect(peer, session, source, true).await;
    let login = format!(
        r#"{{"type":"login","data":{{"roomrequest":"{}","username":"Ann"}}}}"#,
        room.as_str()
    );
    let login = FromPeer::parse(&login).unwrap();
    rooms.said(peer, login).await.unwrap().settled().await;
    assert!(rooms.seat(session).await.is_some());
    inbox
}

async fn whoever_goes_while_asking_leaves_no_second_place_for_files(place: Place) {
    let store = place.open().await;
    let stop = CancellationToken::new();
    let parts = rooms::Parts {
        settings: Settings::default(),
        key: ResumeKey::new(&[7; 32]),
        tokens: Tokens::new(&[8; 32]),
        store: store.clone(),
        passwords: Passwords::default(),
    };
    let (rooms, _, owner) = rooms::start(parts, |_| {}, stop.clone());
    let owner = tokio::spawn(owner);
    let mut inboxes = Vec::new();
    let mut asked = 0;
    let mut was_answered = false;
    while !was_answered {
        let room = name(&format!("room {asked}"));
        inboxes.push(sit(&rooms, asked, &room).await);
        // Each goes a step later than the one before.
        let mut left = asked;
        let mut shelf = pin!(rooms.shelf(&room, NOW));
        was_answered = poll_fn(|cx| {
            if left == 0 {
                return Poll::Ready(false);
            }
            left -= 1;
            shelf.as_mut().poll(cx).map(|_| true)
        })
        .await;
        asked += 1;
    }
    for number in 0..asked {
        let room = name(&format!("room {number}"));
        let settled = rooms.shelf(&room, NOW).await.unwrap();
        assert_eq!(rooms.shelf(&room, NOW).await.unwrap(), settled);
    }
    let database = place.database().await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let row = sqlx::query("SELECT COUNT(*) FROM rooms WHERE hidden = 1")
            .fetch_one(&database)
            .await
            .unwrap();
        let there: i64 = row.get(0);
        if u64::try_from(there).unwrap() == asked {
            break;
        }
        assert!(Instant::now() < deadline, "{there} for {asked} rooms");
        sleep(Duration::from_millis(20)).await;
    }
    database.close().await;
    stop.cancel();
    owner.await.unwrap();
    store.close().await;
}
