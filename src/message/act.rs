//! What hosts do to rooms and people: as it is asked, and as it is told.

use serde::{Deserialize, Serialize};

use crate::id::{DisplayName, SessionId};

/// What people in a room may do; hosts may do all of it whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Guests and viewers may write.
    pub chat: bool,
    /// Guests and viewers may send files.
    pub files: bool,
    /// Guests may share a screen.
    pub screen: bool,
    /// Guests may turn on a microphone that is off, or a camera that a host turned off.
    pub unmute: bool,
    /// A host lets newcomers in, one by one.
    pub waiting_room: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            chat: true,
            files: true,
            screen: true,
            unmute: true,
            waiting_room: false,
        }
    }
}

impl Policy {
    /// The policy after a change.
    #[must_use]
    pub fn with(self, change: PolicyChange) -> Self {
        Self {
            chat: change.chat.unwrap_or(self.chat),
            files: change.files.unwrap_or(self.files),
            screen: change.screen.unwrap_or(self.screen),
            unmute: change.unmute.unwrap_or(self.unmute),
            waiting_room: change.waiting_room.unwrap_or(self.waiting_room),
        }
    }
}

/// A wish to change the policy; what is absent stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyChange {
    /// See [`Policy::chat`].
    pub chat: Option<bool>,
    /// See [`Policy::files`].
    pub files: Option<bool>,
    /// See [`Policy::screen`].
    pub screen: Option<bool>,
    /// See [`Policy::unmute`].
    pub unmute: Option<bool>,
    /// See [`Policy::waiting_room`].
    pub waiting_room: Option<bool>,
}

/// Whether anybody else gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Nobody does.
    pub locked: bool,
}

/// What a person may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May act on the room and on others.
    Host,
    /// May talk, within the room's policy.
    Guest,
    /// May watch and write, and shows nothing.
    Viewer,
}

/// Who has which role from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleChange {
    /// The person.
    pub session_id: SessionId,
    /// The role.
    pub role: Role,
}

/// One person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// The session id.
    pub session_id: SessionId,
}

/// A wish to remove someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kick {
    /// The person.
    pub session_id: SessionId,
    /// And never again, until the room ends.
    #[serde(default)]
    pub ban: bool,
}

/// A wish that something of someone's be off, or on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Mute {
    /// Whose.
    #[serde(rename = "sessionId")]
    pub whose: Whose,
    /// What.
    pub kind: Kind,
}

/// Whose microphone, camera or screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Whose {
    /// Everyone's but hosts': `"*"`.
    Everyones,
    /// One person's.
    One(SessionId),
}

impl TryFrom<String> for Whose {
    type Error = uuid::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "*" => Ok(Self::Everyones),
            session => session.parse().map(Self::One),
        }
    }
}

/// What can be turned off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The microphone.
    Mic,
    /// The camera.
    Camera,
    /// The shared screen.
    Screen,
}

/// What a host has turned off, or asks to turn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Muted {
    /// The host.
    pub by: SessionId,
    /// What.
    pub kind: Kind,
}

/// Someone who waits to be let in.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Knock<'a> {
    /// The session id.
    pub session_id: SessionId,
    /// What the person wants to be called.
    pub username: &'a DisplayName,
}
