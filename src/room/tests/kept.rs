//! Rooms that are kept, the store played by the test.

use super::*;
use crate::token::Kind;

/// What the store would say; what it is asked to keep and fetch waits for the test.
#[derive(Default)]
pub(super) struct FakeStore {
    rooms: HashMap<RoomName, (Record, Option<&'static str>)>,
    invites: HashMap<&'static str, (InviteId, Role)>,
    /// Invitations that were used and neither revoked nor over.
    used: HashMap<InviteId, Role>,
    /// Questions wait instead of being answered.
    hesitates: bool,
    is_down: bool,
    pub(super) asked: Vec<(PeerId, Wish)>,
    pub(super) jobs: Vec<(RoomId, PeerId, Job)>,
    pub(super) queries: Vec<(PeerId, Query)>,
}

impl FakeStore {
    pub(super) fn look_up(&mut self, peer: PeerId, wish: Wish) -> Option<Result<Found, Trouble>> {
        let found = (!self.hesitates).then(|| self.find(&wish));
        self.asked.push((peer, wish));
        found
    }

    fn find(&mut self, wish: &Wish) -> Result<Found, Trouble> {
        if self.is_down {
            return Err(Trouble::Unavailable);
        }
        let Some((record, password)) = self.rooms.get(&wish.room) else {
            return Ok(Found::NotKept);
        };
        let shown = match (&wish.invite, password, &wish.password) {
            (Some(Invitation::Secret(secret)), ..) => match self.invites.remove(secret.as_str()) {
                Some((id, role)) => {
                    self.used.insert(id, role);
                    let again = false;
                    Shown::Invite { id, role, again }
                }
                None => Shown::NoInvite,
            },
            (Some(Invitation::Used(id)), ..) => match self.used.get(id) {
                Some(&role) => {
                    let (id, again) = (*id, true);
                    Shown::Invite { id, role, again }
                }
                None => Shown::NoInvite,
            },
            (None, Some(password), Some(tried)) if password == tried => Shown::RightPassword,
            (None, Some(_), Some(_)) => Shown::WrongPassword,
            _ => Shown::Nothing,
        };
        Ok(Found::Kept {
            record: Box::new(record.clone()),
            shown,
        })
    }
}

const ID: RoomId = RoomId::new(7);

fn record(name: &str) -> Record {
    Record {
        id: ID,
        name: name.parse().unwrap(),
        listed: true,
        locked: false,
        capacity: None,
        policy: crate::message::Policy::default(),
        has_password: false,
        newest_seq: 0,
        bans: Vec::new(),
        roles: Vec::new(),
    }
}

fn host_token(table: &Table, role: Role, kind: Kind, rid: RoomId) -> String {
    cards().mint(&Claims {
        room: "tea".parse().unwrap(),
        rid: Some(rid),
        sid: None,
        inv: None,
        name: None,
        role,
        exp: table.now.unix_ms / 1000 + 60,
        kind,
    })
}

impl Table {
    fn keeping(record: Record) -> Self {
        let mut table = Self::new();
        table.put(record, None);
        table
    }

    fn put(&mut self, record: Record, password: Option<&'static str>) {
        let record = Record {
            has_password: password.is_some(),
            ..record
        };
        self.store
            .rooms
            .insert(record.name.clone(), (record, password));
    }

    /// Opens a socket and logs in to `tea` with these members besides the names.
    fn enter(&mut self, peer: u64, name: &str, with: Value) {
        self.connect(peer, true);
        self.ask(peer, name, with);
    }

    fn ask(&mut self, peer: u64, name: &str, with: Value) {
        let mut data = json!({"roomrequest": "tea", "username": name});
        for (key, value) in with.as_object().unwrap() {
            data[key] = value.clone();
        }
        self.act(peer, "login", data);
    }

    fn enter_as_host(&mut self, peer: u64, name: &str) {
        let token = host_token(self, Role::Host, Kind::Host, ID);
        self.enter(peer, name, json!({"token": token}));
    }

    /// The store answers the oldest job.
    fn kept(&mut self, outcome: Result<Outcome, Trouble>) -> Job {
        let (room, peer, job) = self.store.jobs.remove(0);
        self.event(Event::Kept(Box::new(Kept {
            room,
            peer,
            job: job.clone(),
            outcome,
        })));
        job
    }

    /// The store answers the oldest question that waits, as things are now.
    fn answer(&mut self) {
        let (peer, wish) = self.store.asked.remove(0);
        let found = self.store.find(&wish);
        self.event(Event::LookedUp { peer, found });
    }

    fn gave_back(&mut self) -> usize {
        let before = self.other.len();
        self.other
            .retain(|effect| !matches!(effect, Effect::GiveBack(_)));
        before - self.other.len()
    }
}

#[test]
fn a_kept_room_is_entered_by_guests_and_says_that_it_is_kept() {
    let mut table = Table::keeping(Record {
        capacity: Some(3),
        newest_seq: 41,
        ..record("Tea")
    });
    table.enter(1, "Ann", json!({}));
    let room = table.told(1, "room");
    assert_eq!(room["room"]["kept"], true);
    assert_eq!(room["room"]["name"], "Tea");
    assert_eq!(room["room"]["capacity"], 3);
    assert_eq!(room["you"]["role"], "guest", "whoever made it is host");
    table.enter_as_host(2, "Bob");
    assert_eq!(table.told(2, "room")["you"]["role"], "host");
    assert_eq!(
        table.store.asked.len(),
        1,
        "asked when it begins, not later"
    );
    table.forget_all();
    table.act(2, "logout", json!({}));
    assert_eq!(
        table.heard_types(1),
        ["logout"],
        "no host is made by leaving"
    );
}

#[test]
fn only_the_right_password_opens_and_each_newcomer_names_it() {
    let mut table = Table::new();
    table.put(record("tea"), Some("sesame"));
    table.enter(1, "Ann", json!({}));
    assert_eq!(table.refused(1), "password");
    table.ask(1, "Ann", json!({"password": "Sesame"}));
    assert_eq!(table.refused(1), "password");
    table.ask(1, "Ann", json!({"password": "sesame"}));
    assert_eq!(table.heard_types(1), ["joined", "room"]);
    table.enter(2, "Bob", json!({}));
    assert_eq!(table.refused(2), "password");
    table.ask(2, "Bob", json!({"password": "open"}));
    assert_eq!(table.refused(2), "password");
    assert_eq!(table.rooms.census(), Census { rooms: 1, seats: 1 });
    table.ask(2, "Bob", json!({"password": "sesame"}));
    assert_eq!(table.heard_types(2), ["joined", "room"]);
}

#[test]
fn guesses_are_limited_by_address_before_they_are_looked_at() {
    let mut table = Table::new();
    table.put(record("tea"), Some("sesame"));
    table.source = source(1);
    for peer in 1..=10 {
        table.enter(peer, "Eve", json!({"password": "x"}));
        assert_eq!(table.refused(peer), "password");
    }
    let asked = table.store.asked.len();
    table.enter(11, "Eve", json!({"password": "sesame"}));
    assert_eq!(table.refused(11), "rate");
    assert_eq!(table.store.asked.len(), asked, "not even looked at");
    table.source = source(2);
    table.enter(12, "Ann", json!({"password": "sesame"}));
    assert_eq!(table.heard_types(12), ["joined", "room"]);
    table.pass(Duration::from_secs(30));
    table.ask(11, "Eve", json!({"password": "sesame"}));
    assert_eq!(table.heard_types(11), ["joined", "room"], "later again");
}

#[test]
fn many_guesses_at_once_gain_nothing() {
    let mut table = Table::new();
    table.put(record("tea"), Some("sesame"));
    table.store.hesitates = true;
    for peer in 1..=50 {
        table.enter(peer, "Eve", json!({"password": "x"}));
    }
    assert_eq!(table.store.asked.len(), 10);
}

#[test]
fn an_invitation_gives_a_seat_in_its_role_past_password_and_waiting_room() {
    let mut table = Table::new();
    let mut asking = record("tea");
    asking.policy.waiting_room = true;
    table.put(asking, Some("sesame"));
    for (secret, role) in [("a", Role::Viewer), ("b", Role::Host)] {
        table
            .store
            .invites
            .insert(secret, (InviteId::random(), role));
    }
    table.enter(1, "Ann", json!({"invite": "a"}));
    assert_eq!(table.told(1, "room")["you"]["role"], "viewer");
    table.enter(2, "Bob", json!({"invite": "b"}));
    assert_eq!(table.told(2, "room")["you"]["role"], "host");
    table.enter(3, "Cid", json!({"invite": "a"}));
    assert_eq!(table.refused(3), "notfound", "used");
    assert_eq!(table.gave_back(), 0);
    table.ask(3, "Cid", json!({"password": "sesame"}));
    assert_eq!(
        table.heard_types(3),
        ["waiting"],
        "a password is no invitation"
    );
}

/// Somebody at socket 1 has used the invitation `a` for hosts into a room with a password, in which a host sits at
/// socket 9; what to come back with.
fn with_invited() -> (Table, InviteId, String) {
    let mut table = Table::new();
    table.put(record("tea"), Some("sesame"));
    table.enter_as_host(9, "Host");
    let id = InviteId::random();
    table.store.invites.insert("a", (id, Role::Host));
    table.source = source(1);
    table.enter(1, "Ann", json!({"invite": "a"}));
    let invite = table.told(1, "room")["invite"].as_str().unwrap().to_owned();
    table.forget_all();
    (table, id, invite)
}

#[test]
fn whoever_used_an_invitation_comes_back_by_it_as_before() {
    let (mut table, id, again) = with_invited();
    let session = table.id(1);
    table.act(1, "logout", json!({}));
    table.source = source(2);
    table.enter(2, "Eve", json!({"invite": "a"}));
    assert_eq!(table.refused(2), "notfound", "used");
    table.ask(2, "Ann", json!({"invite": again}));
    let room = table.told(2, "room");
    assert_eq!(room["you"]["role"], "host");
    assert_eq!(room["you"]["sessionId"], session, "the same person");
    assert_eq!(table.gave_back(), 0);
    // What is told now is as good, and nothing of it outlives the invitation.
    let newer = room["invite"].as_str().unwrap().to_owned();
    table.act(2, "logout", json!({}));
    table.ask(2, "Ann", json!({"invite": newer}));
    assert_eq!(table.told(2, "room")["you"]["sessionId"], session);
    table.act(2, "logout", json!({}));
    table.store.used.remove(&id);
    for shown in [again, newer] {
        table.ask(2, "Ann", json!({"invite": shown}));
        assert_eq!(table.refused(2), "notfound", "revoked");
    }
}

#[test]
fn a_use_of_an_invitation_is_one_seat_at_a_time() {
    let (mut table, _, again) = with_invited();
    let session = table.id(1);
    // Where the person still sits: this socket has the seat now, and nobody else hears of it.
    table.source = source(2);
    table.enter(2, "Ann", json!({"invite": again}));
    assert_eq!(table.told(2, "room")["you"]["sessionId"], session);
    assert!(table.other.contains(&Effect::Replace(PeerId::new(1))));
    assert!(table.heard_types(9).iter().all(|kind| kind == "status"));
    assert_eq!(table.rooms.people(&"tea".parse().unwrap()), 2);
    // Where the page was closed and the seat is kept, though the door was locked meanwhile.
    table.gone(2, Departure::Unloaded);
    table.act(9, "lock", json!({"locked": true}));
    table.kept(Ok(Outcome::Done));
    table.enter(3, "Ann", json!({"invite": again}));
    assert_eq!(table.told(3, "room")["you"]["sessionId"], session);
    // Without a seat the lock counts.
    table.act(3, "logout", json!({}));
    table.ask(3, "Ann", json!({"invite": again}));
    assert_eq!(table.refused(3), "locked");
    table.act(9, "lock", json!({"locked": false}));
    table.kept(Ok(Outcome::Done));
    // Or in another room: nobody is in two.
    table.ask(3, "Ann", json!({"invite": again}));
    table.login(3, "coffee", "Ann");
    table.forget_all();
    table.enter(4, "Ann", json!({"invite": again}));
    assert_eq!(table.told(4, "room")["you"]["sessionId"], session);
    assert!(table.other.contains(&Effect::Replace(PeerId::new(3))));
    assert_eq!(table.rooms.people(&"coffee".parse().unwrap()), 0);
    assert_eq!(table.rooms.people(&"tea".parse().unwrap()), 2);
}

#[test]
fn who_waits_elsewhere_as_somebody_who_is_back_waits_no_longer() {
    let (mut table, _, again) = with_invited();
    table.join(5, "coffee", "Cid");
    table.act(5, "policy", json!({"waitingRoom": true}));
    table.login(1, "coffee", "Ann");
    table.forget_all();
    table.enter(2, "Ann", json!({"invite": again}));
    assert_eq!(table.told(2, "room")["you"]["role"], "host");
    assert_eq!(table.heard_types(5), ["logout"]);
    let ann = table.id(1);
    table.act(5, "admit", json!({"sessionId": ann}));
    assert_eq!(table.refused(5), "notfound");
    assert_eq!(table.rooms.people(&"tea".parse().unwrap()), 2);
}

#[test]
fn whoever_was_banned_does_not_come_back_by_an_invitation_from_elsewhere() {
    let (mut table, _, again) = with_invited();
    let ann = table.id(1);
    table.act(9, "kick", json!({"sessionId": ann, "ban": true}));
    table.kept(Ok(Outcome::Done));
    table.source = source(2);
    table.enter(2, "Ann", json!({"invite": again}));
    assert_eq!(table.refused(2), "banned");
    // Also when the room begins anew, with what the store knows.
    table.act(9, "logout", json!({}));
    let bans = vec![Banned {
        session: ann.parse().unwrap(),
        source: None,
    }];
    table.put(
        Record {
            bans,
            ..record("tea")
        },
        Some("sesame"),
    );
    table.ask(2, "Ann", json!({"invite": again}));
    assert_eq!(table.refused(2), "banned");
}

#[test]
fn what_an_invitation_was_used_by_is_for_its_door_alone_and_ends() {
    let (mut table, _, again) = with_invited();
    table.act(1, "logout", json!({}));
    table.enter(2, "Ann", json!({"token": again}));
    assert_eq!(table.refused(2), "unauthorized", "no room token");
    let member = host_token(&table, Role::Host, Kind::Member, ID);
    let without = host_token(&table, Role::Host, Kind::Return, ID);
    for other in [member, without, format!("{again}A")] {
        table.ask(2, "Ann", json!({"invite": other}));
        assert_eq!(table.refused(2), "notfound");
    }
    let ttl = u64::try_from(RETURN_TTL.as_millis()).unwrap();
    table.now.unix_ms += ttl - 1000;
    table.ask(2, "Ann", json!({"invite": again}));
    assert_eq!(table.heard_types(2), ["joined", "room"]);
    table.act(2, "logout", json!({}));
    table.now.unix_ms += 1000;
    table.ask(2, "Ann", json!({"invite": again}));
    assert_eq!(table.refused(2), "notfound");
}

#[test]
fn after_a_restart_an_invitation_says_again_as_what_somebody_came() {
    for (is_revoked, role) in [(false, "host"), (true, "guest")] {
        let (mut table, id, again) = with_invited();
        let (session, resume) = (table.id(1), table.resume[&1].clone());
        if is_revoked {
            table.store.used.remove(&id);
        }
        table.restart();
        let with = json!({"invite": again, "resume": resume});
        table.enter(2, "Ann", with);
        let room = table.told(2, "room");
        assert_eq!(room["you"]["sessionId"], session, "the seat stays");
        assert_eq!(room["you"]["role"], role);
        assert_eq!(room["invite"].is_string(), !is_revoked);
    }
    // Another's seat does not get it.
    let (mut table, _, again) = with_invited();
    table.enter(2, "Bob", json!({"password": "sesame"}));
    let resume = table.resume[&2].clone();
    table.restart();
    table.enter(3, "Bob", json!({"invite": again, "resume": resume}));
    assert_eq!(table.told(3, "room")["you"]["role"], "guest");
}

#[test]
fn a_role_is_told_once_it_is_kept_and_holds_after_a_restart() {
    let mut table = Table::keeping(record("tea"));
    table.enter_as_host(1, "Ann");
    let token = host_token(&table, Role::Guest, Kind::Guest, ID);
    table.enter(2, "Bob", json!({"token": token}));
    table.enter(3, "Cid", json!({}));
    let (bob, cid) = (table.id(2), table.id(3));
    let resume = [table.resume[&2].clone(), table.resume[&3].clone()];
    table.forget_all();
    table.act(1, "role", json!({"sessionId": bob, "role": "host"}));
    table.act(1, "role", json!({"sessionId": cid, "role": "viewer"}));
    assert!(table.sent.is_empty());
    let mut roles = Vec::new();
    for _ in 0..2 {
        let Job::Role { change, .. } = table.kept(Ok(Outcome::Done)) else {
            panic!("another job");
        };
        roles.push((change.session_id, change.role));
    }
    assert_eq!(table.heard_types(2), ["role", "role"]);
    // What cannot be kept is not.
    table.forget_all();
    table.act(1, "role", json!({"sessionId": bob, "role": "guest"}));
    table.kept(Err(Trouble::Unavailable));
    assert_eq!(table.refused(1), "denied");
    assert!(table.sent.is_empty());

    let mut with_roles = record("tea");
    with_roles.roles = roles;
    table.put(with_roles, None);
    table.restart();
    for (peer, with, role) in [
        (4, json!({"resume": resume[0], "token": token}), "host"),
        (5, json!({"resume": resume[1]}), "viewer"),
    ] {
        table.enter(peer, "x", with);
        assert_eq!(table.told(peer, "room")["you"]["role"], role);
    }
}

#[test]
fn whoever_was_removed_is_no_longer_what_a_host_made_of_them() {
    let (mut table, _, again) = with_invited();
    let ann = table.id(1);
    table.act(9, "role", json!({"sessionId": ann, "role": "viewer"}));
    table.kept(Ok(Outcome::Done));
    table.act(1, "logout", json!({}));
    table.enter(2, "Ann", json!({"invite": again}));
    assert_eq!(table.told(2, "room")["you"]["role"], "viewer", "still");
    table.act(9, "kick", json!({"sessionId": ann}));
    let job = table.kept(Ok(Outcome::Done));
    assert!(matches!(job, Job::ForgetRole { session, .. } if session.to_string() == ann));
    table.enter(3, "Ann", json!({"invite": again}));
    assert_eq!(table.told(3, "room")["you"]["role"], "host");
}

#[test]
fn an_invitation_to_a_closed_door_is_not_used_up() {
    let mut table = Table::keeping(Record {
        locked: true,
        ..record("tea")
    });
    let invite = (InviteId::random(), Role::Guest);
    table.store.invites.insert("a", invite);
    table.enter(1, "Ann", json!({"invite": "a"}));
    assert_eq!(table.refused(1), "locked");
    assert_eq!(table.gave_back(), 1, "used before the door was seen");
    table.enter_as_host(2, "Bob");
    table.store.invites.insert("a", invite);
    table.store.asked.clear();
    table.ask(1, "Ann", json!({"invite": "a"}));
    assert_eq!(table.refused(1), "locked");
    assert!(table.store.asked.is_empty(), "not even asked for");
    // Whoever hangs up meanwhile has used nothing either.
    table.act(2, "lock", json!({"locked": false}));
    table.kept(Ok(Outcome::Done));
    table.store.hesitates = true;
    table.ask(1, "Ann", json!({"invite": "a"}));
    table.gone(1, Departure::Left);
    table.answer();
    assert_eq!(table.gave_back(), 1);
}

#[test]
fn an_invitation_is_none_for_a_room_that_is_not_kept() {
    let mut table = Table::new();
    table.enter(1, "Ann", json!({"invite": "a"}));
    assert_eq!(table.refused(1), "notfound");
    table.join(2, "tea", "Bob");
    table.forget_all();
    table.ask(1, "Ann", json!({"invite": "a"}));
    assert_eq!(table.refused(1), "notfound");
}

#[test]
fn a_host_token_opens_locks_and_no_bans_and_no_full_rooms() {
    let mut table = Table::new();
    let mut closed = record("tea");
    closed.locked = true;
    closed.policy.waiting_room = true;
    closed.capacity = Some(1);
    closed.bans = vec![Banned {
        session: SessionId::random(),
        source: Some(source(66)),
    }];
    table.put(closed, Some("sesame"));
    let guest = host_token(&table, Role::Guest, Kind::Guest, ID);
    table.enter(1, "Ann", json!({"token": guest}));
    assert_eq!(table.refused(1), "locked");
    table.source = source(66);
    table.enter_as_host(2, "Eve");
    assert_eq!(table.refused(2), "banned");
    table.source = source(1);
    table.enter_as_host(3, "Bob");
    assert_eq!(table.told(3, "room")["you"]["role"], "host");
    table.enter_as_host(4, "Cid");
    assert_eq!(table.refused(4), "full");
}

#[test]
fn a_token_is_for_one_room_and_one_purpose_and_ends() {
    let mut table = Table::keeping(record("tea"));
    let other = host_token(&table, Role::Host, Kind::Host, RoomId::new(8));
    let member = host_token(&table, Role::Host, Kind::Member, ID);
    let good = host_token(&table, Role::Host, Kind::Host, ID);
    for (peer, token) in [(1, &other), (2, &member), (3, &"x".to_owned())] {
        table.enter(peer, "Eve", json!({"token": token}));
        assert_eq!(table.refused(peer), "unauthorized", "{token}");
    }
    table.now.unix_ms += 60_000;
    table.enter(4, "Eve", json!({"token": good}));
    assert_eq!(table.refused(4), "unauthorized", "too late");
    // A token for a room that was deleted opens none that people make by its name.
    table.now.unix_ms -= 60_000;
    table.store.rooms.clear();
    table.enter(5, "Eve", json!({"token": good}));
    assert_eq!(table.refused(5), "unauthorized");
    assert_eq!(table.rooms.census(), Census::default());
}

#[test]
fn the_waiting_room_of_a_kept_room_waits_for_a_host() {
    let mut asking = record("tea");
    asking.policy.waiting_room = true;
    let mut table = Table::keeping(asking);
    table.enter(1, "Ann", json!({}));
    assert_eq!(table.heard_types(1), ["waiting"]);
    assert_eq!(table.rooms.census(), Census::default(), "nobody is in it");
    table.enter_as_host(2, "Bob");
    assert_eq!(table.heard_types(2), ["joined", "room", "knock"]);
    let ann = table.id(1);
    table.act(2, "admit", json!({"sessionId": ann}));
    assert_eq!(table.heard_types(1), ["joined", "room"]);
    // And everyone may leave while somebody waits.
    table.enter(3, "Cid", json!({}));
    table.act(1, "logout", json!({}));
    table.act(2, "logout", json!({}));
    assert_eq!(table.heard_types(3), ["waiting"]);
    table.gone(3, Departure::Broken);
    assert!(table.rooms.rooms.is_empty());
}

#[test]
fn nothing_is_said_before_it_is_kept() {
    let mut table = Table::keeping(Record {
        newest_seq: 41,
        ..record("tea")
    });
    table.enter(1, "Ann", json!({}));
    table.enter(2, "Bob", json!({}));
    table.forget_all();
    table.chat(1, "hello");
    assert!(table.sent.is_empty(), "{:?}", table.sent);
    table.kept(Ok(Outcome::Number(42)));
    assert_eq!(table.told(1, "chat")["seq"], 42);
    assert_eq!(table.told(2, "chat")["text"], "hello");
    table.chat(1, "lost");
    table.kept(Err(Trouble::Unavailable));
    assert_eq!(table.refused(1), "denied");
    assert!(table.sent.is_empty(), "nobody else hears of it");
    table.act(1, "read", json!({"seq": 42}));
    assert_eq!(table.heard_types(2), ["read"]);
}

#[test]
fn a_host_takes_back_what_went_to_all_and_not_what_was_written_to_the_host_alone() {
    let [ann, host] = [SessionId::random(), SessionId::random()];
    let delete = |by, is_host| Job::Delete {
        by,
        is_host,
        from: 0,
        seq: 5,
        time: 0,
    };
    let line = |to| Original {
        seq: 5,
        author: ann,
        to,
        deleted: false,
    };
    assert_eq!(delete(host, true).may_change(&line(None)), Ok(()));
    assert_eq!(delete(ann, false).may_change(&line(Some(host))), Ok(()));
    let private = delete(host, true).may_change(&line(Some(host)));
    assert_eq!(private, Err(Trouble::NotYours));
}

#[test]
fn changes_are_told_when_kept_to_those_who_can_read_the_message() {
    let mut table = Table::keeping(record("tea"));
    for (peer, name) in [(1, "Ann"), (2, "Bob"), (3, "Cid")] {
        table.enter(peer, name, json!({}));
    }
    table.forget_all();
    let (ann, bob) = (table.id(1), table.id(2));
    let private = Original {
        seq: 5,
        author: ann.parse().unwrap(),
        to: Some(bob.parse().unwrap()),
        deleted: false,
    };
    table.act(1, "chat-edit", json!({"seq": 5, "text": "anew"}));
    assert!(table.sent.is_empty());
    let job = table.kept(Ok(Outcome::Changed(private)));
    assert_eq!(job.may_change(&private), Ok(()));
    assert_eq!(table.told(1, "chat-edit")["text"], "anew");
    assert_eq!(table.told(2, "chat-edit")["seq"], 5);
    assert!(table.heard(3).is_empty(), "it was not for Cid");
    table.act(2, "chat-edit", json!({"seq": 5, "text": "mine"}));
    let job = table.kept(Err(Trouble::NotYours));
    assert_eq!(job.may_change(&private), Err(Trouble::NotYours));
    assert_eq!(table.refused(2), "denied");
    table.act(3, "react", json!({"seq": 5, "emoji": "👀"}));
    let job = table.kept(Err(Trouble::NoSuch));
    assert_eq!(job.may_change(&private), Err(Trouble::NoSuch));
    assert_eq!(table.refused(3), "notfound");
    table.act(2, "react", json!({"seq": 5, "emoji": "👍"}));
    let job = table.kept(Ok(Outcome::Already));
    assert_eq!(job.may_change(&private), Ok(()));
    assert!(table.sent.is_empty(), "it was there already");
}

#[test]
fn locks_policies_and_bans_are_kept_and_the_room_waits_for_it() {
    let mut table = Table::keeping(record("tea"));
    table.enter_as_host(1, "Ann");
    table.source = source(66);
    table.enter(2, "Eve", json!({}));
    table.forget_all();
    table.act(1, "lock", json!({"locked": true}));
    assert!(table.sent.is_empty(), "not yet");
    table.kept(Ok(Outcome::Done));
    assert_eq!(table.told(2, "lock")["locked"], true);
    table.act(1, "policy", json!({"chat": false}));
    let policy = crate::message::Policy {
        chat: false,
        ..crate::message::Policy::default()
    };
    table.kept(Ok(Outcome::Policy(policy)));
    assert_eq!(table.told(2, "policy")["chat"], false);
    let eve = table.id(2);
    table.act(1, "kick", json!({"sessionId": eve, "ban": true}));
    assert_eq!(table.refused(2), "banned", "out at once");
    // The host leaves before the store has answered: the room stays until then, and with it the ban.
    table.act(1, "logout", json!({}));
    table.enter(3, "Eve", json!({}));
    assert_eq!(table.refused(3), "banned");
    let job = table.kept(Ok(Outcome::Done));
    assert!(matches!(job, Job::Ban { source: from, .. } if from == source(66)));
    assert!(table.rooms.rooms.is_empty());
}

#[test]
fn an_answer_from_before_a_ban_lets_nobody_in_after_it() {
    let mut table = Table::new();
    table.put(record("tea"), Some("sesame"));
    table.enter_as_host(1, "Ann");
    table.source = source(66);
    table.enter(2, "Eve", json!({"password": "sesame"}));
    let eve = table.id(2);
    table.store.hesitates = true;
    table.store.asked.clear();
    table.enter(3, "Eve", json!({"password": "sesame"}));
    let (peer, wish) = table.store.asked.remove(0);
    let found = table.store.find(&wish);
    table.act(1, "kick", json!({"sessionId": eve, "ban": true}));
    table.act(1, "logout", json!({}));
    table.kept(Ok(Outcome::Done));
    assert!(table.rooms.rooms.is_empty());
    table.forget_all();
    table.event(Event::LookedUp { peer, found });
    assert!(table.sent.is_empty(), "the store is asked again");
    let banned = Record {
        bans: vec![Banned {
            session: eve.parse().unwrap(),
            source: Some(source(66)),
        }],
        ..record("tea")
    };
    table.put(banned, Some("sesame"));
    table.answer();
    assert_eq!(table.refused(3), "banned");
}

#[test]
fn a_ban_that_cannot_be_kept_holds_for_now_and_the_host_is_told() {
    let mut table = Table::keeping(record("tea"));
    table.enter_as_host(1, "Ann");
    table.source = source(66);
    table.enter(2, "Eve", json!({}));
    let eve = table.id(2);
    table.forget_all();
    table.act(1, "kick", json!({"sessionId": eve, "ban": true}));
    table.forget_all();
    table.kept(Err(Trouble::Unavailable));
    assert_eq!(table.refused(1), "denied");
    table.enter(3, "Eve", json!({}));
    assert_eq!(table.refused(3), "banned");
}

#[test]
fn what_is_changed_from_outside_is_told() {
    let mut table = Table::keeping(record("tea"));
    table.enter(1, "Ann", json!({}));
    table.forget_all();
    let was = record("tea");
    let mut now_is = Record {
        capacity: Some(4),
        ..record("Coffee")
    };
    now_is.policy.chat = false;
    assert!(table.rooms.kept_was_changed(&was, &now_is, table.now));
    table.collect();
    let mut policy = serde_json::to_value(crate::message::Policy::default()).unwrap();
    policy["chat"] = json!(false);
    assert_eq!(
        table.told(1, "room-changed"),
        json!({"name": "Coffee", "capacity": 4, "policy": policy})
    );
    let silent = Record {
        listed: false,
        ..now_is.clone()
    };
    assert!(table.rooms.kept_was_changed(&now_is, &silent, table.now));
    table.collect();
    assert!(table.sent.is_empty(), "nothing that people in it see");
    table.join(2, "coffee", "Bob");
    assert_eq!(table.told(2, "room")["participants"][0]["username"], "Ann");
}

#[test]
fn a_renamed_room_is_the_same_room_to_those_in_it_and_at_its_door() {
    let mut asking = record("tea");
    asking.policy.waiting_room = true;
    let mut table = Table::keeping(asking.clone());
    table.enter_as_host(1, "Ann");
    table.enter(2, "Bob", json!({}));
    let token = table.resume[&1].clone();
    let renamed = Record {
        name: "coffee".parse().unwrap(),
        ..asking.clone()
    };
    assert!(table.rooms.kept_was_changed(&asking, &renamed, table.now));
    table.collect();
    table.store.rooms.clear();
    table.put(renamed, None);
    table.gone(1, Departure::Broken);
    table.connect(3, true);
    table.resume_as(3, &token, None);
    assert_eq!(
        table.heard_types(3),
        ["joined", "room", "knock"],
        "by the old name"
    );
    table.gone(3, Departure::Broken);
    table.connect(4, true);
    table.act(
        4,
        "login",
        json!({"roomrequest": "coffee", "username": "x", "resume": table.resume[&3].clone()}),
    );
    assert_eq!(
        table.heard_types(4),
        ["joined", "room", "knock"],
        "by the new one"
    );
    let bob = table.id(2);
    table.forget_all();
    table.act(4, "admit", json!({"sessionId": bob}));
    assert_eq!(table.told(2, "room")["room"]["name"], "coffee");
}

#[test]
fn a_name_that_people_use_is_not_taken_from_them() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.forget_all();
    assert!(!table.rooms.kept_was_made(&record("tea")));
    assert!(
        !table
            .rooms
            .kept_was_changed(&record("cocoa"), &record("TEA"), table.now)
    );
    table.collect();
    assert!(table.sent.is_empty());
    assert_eq!(table.rooms.kept_in_use(), []);
    assert!(table.rooms.kept_was_made(&record("coffee")));
}

#[test]
fn whoever_enters_before_the_word_of_a_change_comes_is_in_the_same_room() {
    let mut table = Table::keeping(record("tea"));
    table.enter(1, "Ann", json!({}));
    assert!(table.rooms.kept_was_made(&record("tea")), "her own");
    // The store has another name for it, which is not known here yet.
    table.store.rooms.clear();
    table.put(record("coffee"), None);
    let invite = (InviteId::random(), Role::Guest);
    table.store.invites.insert("a", invite);
    table.connect(2, true);
    let login = json!({"roomrequest": "coffee", "username": "Bob", "invite": "a"});
    table.act(2, "login", login);
    assert_eq!(table.refused(2), "denied");
    assert_eq!(table.gave_back(), 1);
    assert_eq!(table.rooms.census(), Census { rooms: 1, seats: 1 });
    let (was, now_is) = (record("tea"), record("coffee"));
    assert!(table.rooms.kept_was_changed(&was, &now_is, table.now));
    table.collect();
    table.login(2, "coffee", "Bob");
    let room = table.told(2, "room");
    assert_eq!(room["participants"][0]["username"], "Ann");
    // And where nobody was before.
    let mut table = Table::keeping(record("coffee"));
    table.join(1, "coffee", "Ann");
    assert!(table.rooms.kept_was_changed(&was, &now_is, table.now));
    table.join(2, "coffee", "Bob");
    let room = table.told(2, "room");
    assert_eq!(room["participants"][0]["username"], "Ann");
}

#[test]
fn deleting_a_room_ends_every_seat_in_it_with_a_word() {
    let mut table = Table::keeping(record("tea"));
    table.enter_as_host(1, "Ann");
    table.enter(2, "Bob", json!({}));
    table.enter(3, "Cid", json!({}));
    table.gone(3, Departure::Broken);
    table.forget_all();
    table.store.rooms.clear();
    table
        .rooms
        .kept_was_deleted(ID, &"tea".parse().unwrap(), true);
    table.collect();
    for peer in [1, 2] {
        assert_eq!(table.refused(peer), "notfound");
        assert!(table.other.contains(&Effect::Remove(PeerId::new(peer))));
    }
    for peer in [1, 2, 3] {
        let session = table.sessions[&peer];
        let ended = Effect::SeatEnded(session);
        let times = table.other.iter().filter(|effect| **effect == ended);
        assert_eq!(times.count(), 1);
        assert_eq!(table.rooms.seat_info(session), None);
    }
    assert_eq!(table.rooms.census(), Census::default());
    assert_eq!(table.rooms.next_deadline(), None);
    let token = table.resume[&3].clone();
    table.connect(4, true);
    table.resume_as(4, &token, None);
    assert_eq!(table.refused(4), "resume");
    // What the store still answers is for nobody.
    table.join(5, "tea", "Dee");
    assert_eq!(table.told(5, "room")["room"]["kept"], false);
}

#[test]
fn whoever_asks_while_something_changes_gets_the_answer_of_afterwards() {
    let mut table = Table::new();
    table.store.hesitates = true;
    table.join(1, "tea", "Ann");
    assert!(table.rooms.awaits_answer(PeerId::new(1)));
    // Between the question and the answer, the room is made, with a password.
    let (peer, wish) = table.store.asked.remove(0);
    let found = table.store.find(&wish);
    table.put(record("tea"), Some("sesame"));
    assert!(table.rooms.kept_was_made(&record("tea")));
    table.event(Event::LookedUp { peer, found });
    assert!(table.heard(1).is_empty(), "asked again");
    table.answer();
    assert_eq!(table.refused(1), "password");
    assert!(!table.rooms.awaits_answer(PeerId::new(1)));
}

#[test]
fn a_store_that_does_not_answer_ends_nothing_that_goes_on() {
    let mut table = Table::new();
    table.join(1, "tea", "Ann");
    table.forget_all();
    table.store.is_down = true;
    table.join(2, "tea", "Bob");
    assert_eq!(table.heard_types(2), ["joined", "room"]);
    table.chat(2, "hello");
    assert_eq!(table.heard_types(1), ["login", "chat"]);
    table.join(3, "coffee", "Cid");
    assert_eq!(table.refused(3), "denied", "it might be kept, and locked");
    table.act(3, "randomCheck", json!("cocoa"));
    assert_eq!(table.heard(3).len(), 1);
}

#[test]
fn a_name_that_is_kept_is_not_free() {
    let mut table = Table::keeping(record("tea"));
    table.connect(1, true);
    let mut check = |name: &str| {
        table.act(1, "randomCheck", json!(name));
        table.told(1, "randomCheckResult")["result"].clone()
    };
    assert_eq!(check("tea"), "fail");
    assert_eq!(check("coffee"), "ok");
}

fn recalled(seq: u64, author: SessionId, changed: Option<u64>) -> Recalled {
    Recalled {
        changed,
        entry: crate::message::ChatEntry {
            id: "x".to_owned(),
            seq,
            session_id: author,
            username: "Ann".parse().unwrap(),
            text: format!("line {seq}"),
            time: 1,
            to: None,
            reply_to: None,
            edited: changed,
            deleted: false,
            reactions: Vec::new(),
        },
    }
}

#[test]
fn after_a_restart_what_was_missed_comes_from_the_store_in_order() {
    let mut table = Table::keeping(record("tea"));
    table.enter(1, "Ann", json!({}));
    let token = table.resume[&1].clone();
    let ann = table.sessions[&1];
    table.restart();
    let known = Record {
        newest_seq: 44,
        locked: true,
        ..record("tea")
    };
    table.store.rooms.clear();
    table.put(known, None);
    table.connect(2, true);
    table.resume_as(2, &token, Some(42));
    assert_eq!(
        table.heard_types(2),
        ["joined", "room"],
        "whoever sat in a locked room goes on sitting there"
    );
    table.enter_as_host(3, "Bob");
    table.chat(3, "while you wait");
    table.kept(Ok(Outcome::Number(45)));
    assert_eq!(
        table.heard_types(2),
        ["login"],
        "what is new waits for what is old"
    );
    let (peer, query) = table.store.queries.remove(0);
    assert_eq!((query.room, query.session), (ID, ann));
    assert_eq!((query.before, query.after), (Some(45), 0));
    let now = table.now.unix_ms;
    let messages = vec![
        recalled(41, ann, Some(now)),
        recalled(42, ann, None),
        recalled(43, ann, None),
        recalled(44, ann, None),
    ];
    table.event(Event::Fetched {
        peer,
        query,
        page: Ok(Page {
            messages,
            more: false,
        }),
    });
    let told: Vec<u64> = table
        .heard(2)
        .iter()
        .map(|message| message["data"]["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(told, [41, 43, 44, 45], "41 was edited meanwhile");
    table.enter(4, "Cid", json!({}));
    assert_eq!(table.refused(4), "locked");
}

#[test]
fn a_seat_in_a_room_that_was_deleted_is_none_in_the_next_of_that_name() {
    let mut table = Table::keeping(record("tea"));
    table.enter(1, "Ann", json!({}));
    let token = table.resume[&1].clone();
    for (name, next) in [("kept", Some(RoomId::new(8))), ("not kept", None)] {
        table.restart();
        table.store.rooms.clear();
        if let Some(id) = next {
            let locked = true;
            table.put(
                Record {
                    id,
                    locked,
                    ..record("tea")
                },
                Some("sesame"),
            );
        }
        table.connect(2, true);
        table.resume_as(2, &token, None);
        assert_eq!(table.refused(2), "resume", "{name}");
    }
}

#[test]
fn what_waited_is_not_lost_with_the_socket() {
    let mut table = Table::keeping(record("tea"));
    table.enter(1, "Ann", json!({}));
    let token = table.resume[&1].clone();
    table.enter(2, "Bob", json!({}));
    table.gone(1, Departure::Broken);
    table.connect(3, true);
    table.resume_as(3, &token, Some(0));
    assert_eq!(table.store.queries.len(), 1, "the log is too young");
    table.chat(2, "hello");
    table.kept(Ok(Outcome::Number(1)));
    let token = table.resume[&3].clone();
    table.gone(3, Departure::Broken);
    table.forget_all();
    table.connect(4, true);
    table.resume_as(4, &token, None);
    assert_eq!(table.heard_types(4), ["joined", "room", "chat"]);
}

#[test]
fn a_page_of_history_is_fetched_for_whoever_asks_and_for_nobody_else() {
    let mut table = Table::keeping(Record {
        newest_seq: 9,
        ..record("tea")
    });
    table.enter(1, "Ann", json!({}));
    let ann = table.sessions[&1];
    table.forget_all();
    table.act(1, "history", json!({"before": 8, "limit": 2}));
    assert!(table.sent.is_empty());
    let (peer, query) = table.store.queries.remove(0);
    assert_eq!((query.before, query.after, query.limit), (Some(8), 0, 2));
    let page = Page {
        messages: vec![recalled(6, ann, None), recalled(7, ann, None)],
        more: true,
    };
    let fetched = |page| Event::Fetched { peer, query, page };
    table.event(fetched(Ok(page.clone())));
    let told = table.told(1, "history");
    assert_eq!(told["messages"][0]["seq"], 6);
    assert_eq!(told["more"], true);
    table.event(fetched(Err(Trouble::Unavailable)));
    assert_eq!(table.refused(1), "denied");
    table.act(1, "logout", json!({}));
    table.event(fetched(Ok(page)));
    assert!(table.sent.is_empty(), "not to whoever has left");
}

#[test]
fn files_lie_in_one_place_as_long_as_the_room() {
    let mut table = Table::new();
    let tea: RoomName = "tea".parse().unwrap();
    assert_eq!(table.rooms.shelf(&tea), None);
    table.join(1, "tea", "Ann");
    assert_eq!(table.rooms.shelf(&tea), Some(None));
    let (first, second) = (RoomId::new(1), RoomId::new(2));
    assert_eq!(table.rooms.settle_shelf(&tea, first), Some(first));
    assert_eq!(table.rooms.settle_shelf(&tea, second), Some(first));
    table.forget_all();
    table.act(1, "logout", json!({}));
    assert!(table.other.contains(&Effect::Clear(first)));
    assert_eq!(table.rooms.settle_shelf(&tea, second), None);
}

#[test]
fn whoever_was_told_of_a_file_is_told_that_it_is_gone() {
    let mut table = Table::with_everyone();
    let tea: RoomName = "tea".parse().unwrap();
    let shelf = RoomId::new(1);
    table.rooms.settle_shelf(&tea, shelf);
    let file = |table: &Table, sender: u64, to: Option<u64>, by: Option<u64>| TakenAway {
        shelf,
        id: crate::id::FileId::random(),
        sender: table.sessions[&sender],
        to: to.map(|to| table.sessions[&to]),
        by: by.map(|by| table.sessions[&by]),
    };
    let for_all = file(&table, 2, None, Some(1));
    let private = file(&table, 2, Some(3), None);
    for (gone, listeners) in [(for_all, &[1, 2, 3, 4][..]), (private, &[2, 3])] {
        table.rooms.file_deleted(&gone);
        table.collect();
        for peer in 1..=4 {
            let heard = table.heard(peer);
            if !listeners.contains(&peer) {
                assert!(heard.is_empty(), "{heard:?}");
                continue;
            }
            let [told] = &heard[..] else {
                panic!("{heard:?}")
            };
            assert_eq!(told["type"], "file-delete");
            assert_eq!(told["data"], json!({"id": gone.id}));
            let by = gone.by.map(|by| by.to_string());
            assert_eq!(told["from"].as_str(), by.as_deref());
            let to = gone.to.map(|to| to.to_string()).unwrap_or_default();
            assert_eq!(told["to"], to);
        }
    }
    let elsewhere = TakenAway {
        shelf: RoomId::new(2),
        ..for_all
    };
    table.rooms.file_deleted(&elsewhere);
    table.collect();
    assert!(table.sent.is_empty());
}

#[test]
fn news_say_who_came_and_went_where() {
    let mut table = Table::keeping(record("tea"));
    table.enter(1, "Ann", json!({}));
    table.act(1, "logout", json!({}));
    let place = Place {
        room: "tea".parse().unwrap(),
        kept: Some(ID),
        listed: true,
    };
    let (session, name) = (table.sessions[&1], "Ann".parse::<DisplayName>().unwrap());
    assert_eq!(
        table.news,
        [
            News::Started(place.clone()),
            News::Joined {
                place: place.clone(),
                session,
                name: name.clone(),
                role: Role::Guest,
            },
            News::Left {
                place: place.clone(),
                session,
                name,
            },
            News::Ended(place),
        ]
    );
}
