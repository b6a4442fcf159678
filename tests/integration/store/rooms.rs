//! Rooms that are kept, bans, invitations.

use std::time::Duration;

use turnstone::id::SessionId;
use turnstone::message::Role;
use turnstone::store::password::Passwords;
use turnstone::store::{Ban, Error, NewInvite, NewRoom, RoomSettings};

use super::harness::{NOW, Place, name, new_room, on_both, room};

on_both!(
    a_room_is_found_again_as_it_was_made,
    names_are_unique_without_regard_to_case,
    a_room_changes_and_keeps_the_rest,
    listed_rooms_come_in_pages_and_can_be_searched,
    a_deleted_room_is_gone_with_all_that_was_in_it,
    bans_are_kept_until_lifted,
    roles_are_kept_until_forgotten,
    the_last_use_of_an_invitation_is_for_one,
    an_invitation_ends_by_date_and_by_revoking,
);

async fn a_room_is_found_again_as_it_was_made(place: Place) {
    let store = place.open().await;
    let passwords = Passwords::default();
    let wanted = NewRoom {
        settings: RoomSettings {
            listed: true,
            locked: true,
            password: Some(passwords.hash("sesame").await.unwrap()),
            capacity: Some(4),
            expires: Some(NOW + 5),
            idle: Some(Duration::from_secs(60)),
            policy: r#"{"chat":false,"note":"Käse 🧀"}"#.to_owned(),
            ..RoomSettings::named(name("Tee & Käse"))
        },
        created: NOW,
    };
    let made = store.create_room(&wanted).await.unwrap();
    assert_eq!(made.settings, wanted.settings);
    store.close().await;

    let store = place.open().await;
    let found = store.room_by_name(&name("TEE & KÄSE")).await.unwrap();
    assert_eq!(found, made);
    assert_eq!(store.room(made.id).await.unwrap(), made);
    let hash = found.settings.password.unwrap();
    assert!(passwords.verify(&hash, "sesame").await.unwrap());
    store.touch_room(made.id, NOW + 9).await.unwrap();
    store.touch_room(made.id, NOW + 3).await.unwrap();
    assert_eq!(store.room(made.id).await.unwrap().last_active, NOW + 9);
    let missing = store.room_by_name(&name("coffee")).await;
    assert!(matches!(missing, Err(Error::NotFound)));
}

async fn names_are_unique_without_regard_to_case(place: Place) {
    let store = place.open().await;
    room(&store, "Tea").await;
    let again = store.create_room(&new_room("TEA")).await;
    assert!(matches!(again, Err(Error::Exists)), "{again:?}");
    let coffee = room(&store, "Coffee").await;
    let renamed = store
        .change_room(coffee, |room| room.name = name("tEa"))
        .await;
    assert!(matches!(renamed, Err(Error::Exists)), "{renamed:?}");
    assert_eq!(
        store.room(coffee).await.unwrap().settings.name.as_str(),
        "Coffee"
    );
}

async fn a_room_changes_and_keeps_the_rest(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let changed = store
        .change_room(id, |room| {
            room.name = name("TEA TIME");
            room.listed = true;
        })
        .await
        .unwrap();
    assert_eq!(
        changed,
        store.room_by_name(&name("tea time")).await.unwrap()
    );
    assert_eq!(changed.settings.name.as_str(), "TEA TIME");
    store
        .change_room(id, |room| room.capacity = Some(3))
        .await
        .unwrap();
    let found = store.room(id).await.unwrap();
    assert!(found.settings.listed);
    assert_eq!(found.settings.capacity, Some(3));
    assert!(store.room_by_name(&name("tea")).await.is_err());
    let endless = store
        .change_room(id, |room| room.policy = "x".repeat(5000))
        .await;
    assert!(matches!(endless, Err(Error::TooMuch)));
}

async fn listed_rooms_come_in_pages_and_can_be_searched(place: Place) {
    let store = place.open().await;
    for listed in ["Alpha", "beta", "Gamma", "100%_sure!"] {
        let id = room(&store, listed).await;
        store
            .change_room(id, |room| room.listed = true)
            .await
            .unwrap();
    }
    room(&store, "hidden alpha").await;
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store
            .listed_rooms("", after.as_deref(), 3, false, NOW)
            .await
            .unwrap();
        found.extend(page.items.iter().map(|room| room.settings.name.to_string()));
        after = page
            .items
            .last()
            .map(|room| room.settings.name.folded().to_owned());
        if !page.more {
            break;
        }
    }
    assert_eq!(found, ["100%_sure!", "Alpha", "beta", "Gamma"]);
    for (query, expected) in [
        ("ALPH", 1),
        ("a", 3),
        ("%_s", 1),
        ("!", 1),
        ("_", 1),
        ("x", 0),
        ("\0", 4),
    ] {
        let page = store
            .listed_rooms(query, None, 10, false, NOW)
            .await
            .unwrap();
        assert_eq!(page.items.len(), expected, "{query:?}");
    }
}

async fn a_deleted_room_is_gone_with_all_that_was_in_it(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let session = SessionId::random();
    store
        .append(super::harness::message(id, session, "hello"))
        .await
        .unwrap();
    store.react(id, 1, session, "👍", true, NOW).await.unwrap();
    store.invite(&invite(id), "secret").await.unwrap();
    store.ban(id, &ban(session)).await.unwrap();
    store.delete_room(id, NOW).await.unwrap();
    assert!(matches!(
        store.delete_room(id, NOW).await,
        Err(Error::NotFound)
    ));
    assert!(matches!(store.room(id).await, Err(Error::NotFound)));
    assert!(store.bans(id).await.unwrap().is_empty());
    assert!(store.invites(id).await.unwrap().is_empty());
    let late = store
        .append(super::harness::message(id, session, "late"))
        .await;
    assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
    let again = room(&store, "Tea").await;
    assert_ne!(
        again, id,
        "what was about the old room is not about the new one"
    );
}

fn ban(session: SessionId) -> Ban {
    Ban {
        session,
        name: "Kim".to_owned(),
        address: Some("2001:db8::/64".to_owned()),
        created: NOW,
    }
}

async fn roles_are_kept_until_forgotten(place: Place) {
    let store = place.open().await;
    let [tea, coffee] = [room(&store, "Tea").await, room(&store, "Coffee").await];
    let [ann, bob] = [SessionId::random(), SessionId::random()];
    store
        .set_role(tea, ann, Some(Role::Guest), NOW)
        .await
        .unwrap();
    store
        .set_role(tea, ann, Some(Role::Host), NOW)
        .await
        .unwrap();
    let viewer = Some(Role::Viewer);
    store.set_role(tea, bob, viewer, NOW + 1).await.unwrap();
    assert_eq!(
        store.roles(tea).await.unwrap(),
        [(bob, Role::Viewer), (ann, Role::Host)]
    );
    assert!(store.roles(coffee).await.unwrap().is_empty());
    store.set_role(tea, bob, None, NOW).await.unwrap();
    let ban = Ban {
        session: ann,
        name: "Ann".to_owned(),
        address: None,
        created: NOW,
    };
    store.ban(tea, &ban).await.unwrap();
    assert!(store.roles(tea).await.unwrap().is_empty());
    // Only so many, the latest.
    for number in 0..1001 {
        let who = SessionId::random();
        store
            .set_role(tea, who, viewer, NOW + number)
            .await
            .unwrap();
    }
    store.set_role(tea, ann, viewer, NOW + 2000).await.unwrap();
    let roles = store.roles(tea).await.unwrap();
    assert_eq!((roles.len(), roles[0].0), (1000, ann));
    store.delete_room(tea, NOW).await.unwrap();
    let gone = store.set_role(tea, ann, viewer, NOW).await;
    assert!(matches!(gone, Err(Error::NotFound)));
}

async fn bans_are_kept_until_lifted(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let (kim, sam) = (SessionId::random(), SessionId::random());
    store.ban(id, &ban(kim)).await.unwrap();
    let sams = Ban {
        address: None,
        created: NOW + 1,
        ..ban(sam)
    };
    store.ban(id, &sams).await.unwrap();
    let again = Ban {
        name: "Kim 2".to_owned(),
        ..ban(kim)
    };
    store.ban(id, &again).await.unwrap();
    assert_eq!(store.bans(id).await.unwrap(), [sams, again]);
    store.unban(id, sam).await.unwrap();
    assert!(matches!(store.unban(id, sam).await, Err(Error::NotFound)));
    assert_eq!(store.bans(id).await.unwrap().len(), 1);
}

fn invite(room: turnstone::id::RoomId) -> NewInvite {
    NewInvite {
        room,
        role: Role::Guest,
        uses: Some(1),
        expires: None,
        created: NOW,
    }
}

async fn the_last_use_of_an_invitation_is_for_one(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let other = room(&store, "Coffee").await;
    let made = store.invite(&invite(id), "open").await.unwrap();
    assert!(matches!(
        store.use_invite(other, "open", NOW).await,
        Err(Error::NotFound)
    ));
    assert!(matches!(
        store.use_invite(id, "wrong", NOW).await,
        Err(Error::NotFound)
    ));
    let crowd = (0..8).map(|_| store.use_invite(id, "open", NOW));
    let results = futures_util::future::join_all(crowd).await;
    let good: Vec<_> = results.into_iter().filter_map(Result::ok).collect();
    assert_eq!(good.len(), 1);
    assert_eq!(
        (good[0].id, good[0].of.clone(), good[0].used),
        (made, invite(id), 1)
    );
    store.give_back_invite(made).await.unwrap();
    assert!(store.use_invite(id, "open", NOW).await.is_ok());
    assert!(store.use_invite(id, "open", NOW).await.is_err());
    let standing = store.standing_invite(id, made, NOW).await.unwrap();
    assert_eq!((standing.id, standing.used), (made, 1), "used up");
    assert!(store.standing_invite(other, made, NOW).await.is_err());
}

async fn an_invitation_ends_by_date_and_by_revoking(place: Place) {
    let store = place.open().await;
    let id = room(&store, "Tea").await;
    let dated = NewInvite {
        role: Role::Viewer,
        uses: None,
        expires: Some(NOW + 10),
        ..invite(id)
    };
    let dated_id = store.invite(&dated, "dated").await.unwrap();
    assert_eq!(
        store
            .use_invite(id, "dated", NOW + 9)
            .await
            .unwrap()
            .of
            .role,
        Role::Viewer
    );
    assert!(store.use_invite(id, "dated", NOW + 10).await.is_err());
    assert!(store.standing_invite(id, dated_id, NOW + 9).await.is_ok());
    assert!(store.standing_invite(id, dated_id, NOW + 10).await.is_err());
    let host = NewInvite {
        role: Role::Host,
        ..invite(id)
    };
    let host = store.invite(&host, "host").await.unwrap();
    store.revoke_invite(id, host, NOW + 1).await.unwrap();
    assert!(store.use_invite(id, "host", NOW + 2).await.is_err());
    assert!(store.standing_invite(id, host, NOW + 2).await.is_err());
    let twice = store.revoke_invite(id, host, NOW + 1).await;
    assert!(matches!(twice, Err(Error::NotFound)));
    assert_eq!(store.invites(id).await.unwrap().len(), 2);
}
