//! What is to last is written down in order, room by room, and the owner is told when it is.
//!
//! A lane per room: one that is slow, or flooded, holds up nobody else. Lines of text do not wait for one
//! another's commits; whatever concerns a line that was written waits until it is.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::sync::mpsc::{self, WeakSender};
use tracing::warn;

use super::Request;
use super::desk::{Desk, policy, trouble};
use crate::id::{PeerId, RoomId};
use crate::message::Policy;
use crate::room::{Event, Job, Kept, Original, Outcome, Trouble};
use crate::store::{Ban, NewMessage};

/// How many things of one room wait to be kept: a second's worth of what the fastest socket may say. Then people are
/// told that the server is busy.
const WAITING_MAX: usize = 128;
/// How many lines of one room are being written at a time.
const WRITING_MAX: usize = 128;

/// The lanes of rooms in which something happens.
pub(super) struct Keeper {
    desk: Arc<Desk>,
    owner: WeakSender<Request>,
    lanes: HashMap<RoomId, mpsc::Sender<Order>>,
}

struct Order {
    peer: PeerId,
    job: Job,
}

impl Keeper {
    pub(super) fn new(desk: Arc<Desk>, owner: WeakSender<Request>) -> Self {
        Self {
            desk,
            owner,
            lanes: HashMap::new(),
        }
    }

    /// Takes something on; what becomes of it is told to the owner. If it cannot be taken on, the answer
    /// says so at once.
    pub(super) fn keep(&mut self, room: RoomId, peer: PeerId, job: Job) -> Result<(), Box<Kept>> {
        let lane = self.lanes.entry(room).or_insert_with(|| {
            let (lane, orders) = mpsc::channel(WAITING_MAX);
            let (desk, owner) = (Arc::clone(&self.desk), self.owner.clone());
            tokio::spawn(Lane { room, desk, owner }.run(orders));
            lane
        });
        lane.try_send(Order { peer, job }).map_err(|refused| {
            let Order { peer, job } = refused.into_inner();
            Box::new(Kept {
                room,
                peer,
                job,
                outcome: Err(Trouble::Busy),
            })
        })
    }

    /// Nothing more is to be kept for the room at the moment.
    pub(super) fn rest(&mut self, room: RoomId) {
        self.lanes.remove(&room);
    }
}

struct Lane {
    room: RoomId,
    desk: Arc<Desk>,
    owner: WeakSender<Request>,
}

impl Lane {
    /// Until nobody can order anything any more and all that was ordered is done.
    async fn run(self, mut orders: mpsc::Receiver<Order>) {
        let mut writing: FuturesOrdered<BoxFuture<'static, Kept>> = FuturesOrdered::new();
        loop {
            let has_place = writing.len() < WRITING_MAX;
            tokio::select! {
                biased;
                Some(kept) = writing.next() => self.tell(kept).await,
                order = orders.recv(), if has_place => match order {
                    Some(Order { peer, job: job @ Job::Append { .. } }) => {
                        writing.push_back(self.append(peer, job));
                    }
                    Some(Order { peer, job }) => {
                        while let Some(kept) = writing.next().await {
                            self.tell(kept).await;
                        }
                        self.perform(peer, job).await;
                    }
                    None => {
                        while let Some(kept) = writing.next().await {
                            self.tell(kept).await;
                        }
                        return;
                    }
                },
            }
        }
    }

    fn append(&self, peer: PeerId, job: Job) -> BoxFuture<'static, Kept> {
        let room = self.room;
        let Job::Append {
            by,
            name,
            chat,
            to,
            time,
        } = &job
        else {
            return Box::pin(std::future::pending());
        };
        let appended = self.desk.store.append(NewMessage {
            room,
            client_id: chat.id.clone(),
            session: *by,
            name: name.clone(),
            text: chat.text.clone(),
            time: *time,
            to: *to,
            reply_to: chat.reply_to,
        });
        Box::pin(async move {
            let outcome = appended
                .await
                .map(Outcome::Number)
                .map_err(|error| trouble(&error));
            Kept {
                room,
                peer,
                job,
                outcome,
            }
        })
    }

    async fn perform(&self, peer: PeerId, job: Job) {
        let desk = Arc::clone(&self.desk);
        // What is set of a room: the owner hears of it before anybody else may change it.
        let changing = match &job {
            Job::Lock { .. } | Job::Policy { .. } => Some(desk.changing.lock().await),
            _ => None,
        };
        let outcome = self.outcome(&job).await;
        self.tell(Kept {
            room: self.room,
            peer,
            job,
            outcome,
        })
        .await;
        drop(changing);
    }

    async fn outcome(&self, job: &Job) -> Result<Outcome, Trouble> {
        let (store, room) = (&self.desk.store, self.room);
        let trouble = |error| trouble(&error);
        match job {
            Job::Append { .. } => Err(Trouble::Unavailable),
            Job::Edit { by, edit, time } => {
                let original = self.original(edit.seq, job).await?;
                store
                    .edit_message(room, edit.seq, Some(*by), &edit.text, *time)
                    .await
                    .map_err(trouble)?;
                Ok(Outcome::Changed(original))
            }
            Job::Delete { seq, time, .. } => {
                let original = self.original(*seq, job).await?;
                store
                    .delete_message(room, *seq, None, *time)
                    .await
                    .map_err(trouble)?;
                Ok(Outcome::Changed(original))
            }
            Job::React {
                by, react, time, ..
            } => {
                let original = self.original(react.seq, job).await?;
                let is_new = store
                    .react(room, react.seq, *by, &react.emoji, react.on, *time)
                    .await
                    .map_err(trouble)?;
                Ok(if is_new {
                    Outcome::Changed(original)
                } else {
                    Outcome::Already
                })
            }
            Job::Lock { lock, .. } => {
                store
                    .change_room(room, |settings| settings.locked = lock.locked)
                    .await
                    .map_err(trouble)?;
                Ok(Outcome::Done)
            }
            Job::Policy { change, .. } => {
                let mut holds = Policy::default();
                store
                    .change_room(room, |settings| {
                        holds = policy(&settings.policy).with(*change);
                        // A handful of switches always serialise.
                        settings.policy = serde_json::to_string(&holds).unwrap_or_default();
                    })
                    .await
                    .map_err(trouble)?;
                Ok(Outcome::Policy(holds))
            }
            Job::Role { change, time, .. } => {
                store
                    .set_role(room, change.session_id, Some(change.role), *time)
                    .await
                    .map_err(trouble)?;
                Ok(Outcome::Done)
            }
            Job::ForgetRole { session, time } => {
                store
                    .set_role(room, *session, None, *time)
                    .await
                    .map_err(trouble)?;
                Ok(Outcome::Done)
            }
            Job::Ban {
                session,
                name,
                source,
                time,
            } => {
                let ban = Ban {
                    session: *session,
                    name: name.as_str().to_owned(),
                    address: Some(String::from(*source)),
                    created: *time,
                };
                let banned = store.ban(room, &ban).await;
                if let Err(error) = &banned {
                    warn!(%error, "a ban could not be kept");
                }
                banned.map(|()| Outcome::Done).map_err(trouble)
            }
        }
    }

    /// The message that is to be changed, if the rules allow it. Nobody else changes messages of this room.
    async fn original(&self, seq: u64, job: &Job) -> Result<Original, Trouble> {
        let head = self.desk.store.message_head(self.room, seq).await;
        let head = head.map_err(|error| trouble(&error))?;
        let original = Original {
            seq,
            author: head.session,
            to: head.to,
            deleted: head.deleted,
        };
        job.may_change(&original)?;
        Ok(original)
    }

    async fn tell(&self, kept: Kept) {
        if let Some(owner) = self.owner.upgrade() {
            let kept = Event::Kept(Box::new(kept));
            // Refused only once the owner has stopped, and then nobody is told anything.
            let _ = owner.send(Request::Event(kept, None)).await;
        }
    }
}
