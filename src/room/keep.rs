//! What is to last in a kept room: the store has it first, and people hear of it then.

use super::chat::Readers;
use super::{Effect, Moment, Rooms, chat};
use crate::id::{DisplayName, PeerId, RoomId, SessionId, Source};
use crate::message::{
    Chat, ChatEdit, ErrorType, Lock, Policy, PolicyChange, React, Refusal, RoleChange,
};

const TROUBLE: Refusal = Refusal::new(
    ErrorType::Denied,
    "The server cannot look anything up or keep it at the moment; try again soon.",
);
const BUSY: Refusal = Refusal::new(
    ErrorType::Denied,
    "The server has too much to do at the moment; try again soon.",
);
const BAN_NOT_KEPT: Refusal = Refusal::new(
    ErrorType::Denied,
    "The ban could not be kept; it holds as long as somebody is in the room.",
);

/// Something to be kept. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// A line of text.
    Append {
        /// The author.
        by: SessionId,
        /// What the author is called.
        name: DisplayName,
        /// The text, and the author's own id for it.
        chat: Chat,
        /// To whom alone.
        to: Option<SessionId>,
        /// When.
        time: u64,
    },
    /// Another text for an own message.
    Edit {
        /// The author.
        by: SessionId,
        /// Which, and the text.
        edit: ChatEdit,
        /// When.
        time: u64,
    },
    /// A message is taken back.
    Delete {
        /// Who does it.
        by: SessionId,
        /// Hosts may do it to anybody's.
        is_host: bool,
        /// The person reads messages above this number.
        from: u64,
        /// Which.
        seq: u64,
        /// When.
        time: u64,
    },
    /// A sign under a message.
    React {
        /// Whose.
        by: SessionId,
        /// The person reads messages above this number.
        from: u64,
        /// Which message, which sign, put or taken away.
        react: React,
        /// When.
        time: u64,
    },
    /// The room is locked, or unlocked.
    Lock {
        /// The host.
        by: SessionId,
        /// Which of both.
        lock: Lock,
    },
    /// People may do other things.
    Policy {
        /// The host.
        by: SessionId,
        /// What changes.
        change: PolicyChange,
    },
    /// Someone has another role.
    Role {
        /// The host.
        by: SessionId,
        /// Who, and which.
        change: RoleChange,
        /// When.
        time: u64,
    },
    /// Someone was removed, and so is no longer what a host has made of them.
    ForgetRole {
        /// Who.
        session: SessionId,
        /// When.
        time: u64,
    },
    /// Someone may not come back.
    Ban {
        /// Who.
        session: SessionId,
        /// What the person was called.
        name: DisplayName,
        /// Where the person came from.
        source: Source,
        /// When.
        time: u64,
    },
}

/// A message as it is about to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Original {
    /// Its number.
    pub seq: u64,
    /// Who wrote it.
    pub author: SessionId,
    /// To whom alone.
    pub to: Option<SessionId>,
    /// It was taken back.
    pub deleted: bool,
}

impl Job {
    /// Whether the rules let this be done to `message`.
    ///
    /// # Errors
    /// [`Trouble::NoSuch`] and [`Trouble::NotYours`].
    pub fn may_change(&self, message: &Original) -> Result<(), Trouble> {
        let (by, from, others) = match self {
            Self::Edit { by, .. } => (*by, 0, false),
            // What was written to a host alone is not everybody's, and so not the host's to take back.
            Self::Delete {
                by, from, is_host, ..
            } => (*by, *from, *is_host && message.to.is_none()),
            Self::React { by, from, .. } => (*by, *from, true),
            _ => return Ok(()),
        };
        let readers = Readers::new(message.author, message.to);
        if message.deleted || message.seq <= from || !readers.has(by) {
            Err(Trouble::NoSuch)
        } else if message.author != by && !others {
            Err(Trouble::NotYours)
        } else {
            Ok(())
        }
    }
}

/// What has become of a [`Job`].
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    /// In which room.
    pub room: RoomId,
    /// Whose doing it was.
    pub peer: PeerId,
    /// What was to be kept.
    pub job: Job,
    /// What has become of it.
    pub outcome: Result<Outcome, Trouble>,
}

/// What there is to know of something that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more.
    Done,
    /// It was so already: nobody is told.
    Already,
    /// A message's number.
    Number(u64),
    /// The message that was changed.
    Changed(Original),
    /// What holds from now on.
    Policy(Policy),
}

/// Why something was not kept, or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is none that this person could see.
    NoSuch,
    /// Somebody else wrote it.
    NotYours,
    /// There is as much of it as there may be.
    TooMuch,
    /// Too much waits.
    Busy,
    /// The store does not answer, or has failed.
    Unavailable,
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::NoSuch => chat::NO_SUCH,
            Trouble::NotYours => chat::NOT_YOURS,
            Trouble::TooMuch => chat::TOO_MANY_SIGNS,
            Trouble::Busy => BUSY,
            Trouble::Unavailable => TROUBLE,
        }
    }
}

impl Rooms {
    /// Has the store keep something of the room in which `session` sits. False when that room is not kept.
    pub(super) fn keep(
        &mut self,
        peer: PeerId,
        session: SessionId,
        job: impl FnOnce() -> Job,
    ) -> bool {
        let Some(kept) = self.room_of(session).and_then(super::Room::kept_mut) else {
            return false;
        };
        kept.pending += 1;
        kept.has_changed = true;
        let room = kept.id;
        let job = Box::new(job());
        self.effects.push_back(Effect::Keep { room, peer, job });
        true
    }

    /// The store has answered.
    pub(super) fn kept(&mut self, done: Kept, now: Moment) {
        let Kept {
            room: id,
            peer,
            job,
            outcome,
        } = done;
        let Some(room) = self.kept_room(id) else {
            // It was deleted meanwhile, and everyone was told.
            return;
        };
        let name = room.state.name.clone();
        if let Some(kept) = room.kept_mut() {
            kept.pending = kept.pending.saturating_sub(1);
        }
        match (job, outcome) {
            (Job::Ban { .. }, Err(_)) => self.refuse(peer, BAN_NOT_KEPT),
            // What does not concern a message concerns the room; if that is gone from the store, it is about to
            // be gone from here.
            (job, Err(Trouble::NoSuch)) if job.seq().is_none() => self.refuse(peer, TROUBLE),
            (_, Err(trouble)) => self.refuse(peer, trouble.into()),
            (Job::Role { by, change, .. }, Ok(_)) => self.role_was_kept(&name, by, change),
            (Job::Lock { by, lock }, Ok(_)) => self.set_lock(&name, by, lock),
            (Job::Policy { by, .. }, Ok(Outcome::Policy(policy))) => {
                self.put_policy(&name, by, policy, now);
            }
            (job, Ok(outcome)) => self.chat_was_kept(&name, job, outcome, now),
        }
        self.end_if_empty(&name);
    }
}
