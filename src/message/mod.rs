//! What peers and server say to each other, in JSON: one enum per direction.
//!
//! The envelope is `{type, from, to, data}`. `from` is whatever the server knows, never what the
//! peer wrote. `docs/protocol.md` describes every type, `tests/samples` holds one of each.

mod act;
mod talk;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::id::{DisplayName, NameError, RoomName, SessionId};

pub use act::{
    Kick, Kind, Knock, Lock, Mute, Muted, Person, Policy, PolicyChange, Role, RoleChange, Whose,
};
pub use talk::{
    CHAT_BYTES_MAX, Chat, ChatEdit, ChatEntry, Edited, FileEntry, FileGone, HISTORY_PAGE_MAX,
    History, HistoryQuery, Numbered, React, Reacted, Reaction,
};

/// The largest message that is read, in bytes. Session descriptions of a ten-person call stay
/// below 20 KiB; files do not travel this way.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How many streams one person may describe in `status`: a camera and several screens.
const STREAMS_MAX: usize = 16;
/// The longest stream id, in bytes; browsers use UUIDs (36).
const STREAM_ID_BYTES_MAX: usize = 128;
/// The longest session id that is compared at all, in bytes.
const TO_BYTES_MAX: usize = 128;

/// What a peer says.
#[derive(Debug, Clone)]
pub enum FromPeer {
    /// Asks for a seat; answered by `joined` or `error`.
    Login(Login),
    /// An offer, answer or candidate, passed on as it is.
    Signal(Forward),
    /// Asks whether a room's name is free; answered by `randomCheckResult`.
    RandomCheck(RandomCheck),
    /// Leaves the room; the socket stays.
    Logout,
    /// Tells the others what this person sends.
    Status(Status),
    /// Asks one person for pictures of some size, or for none.
    View {
        /// Who is asked.
        to: String,
        /// The sizes.
        view: View,
    },
    /// A line of text for all, or for one.
    Chat(Chat),
    /// Changes the text of an own message.
    ChatEdit(ChatEdit),
    /// Takes a message back.
    ChatDelete(Numbered),
    /// Puts a sign under a message.
    React(React),
    /// Tells that this person is writing.
    Typing {
        /// To one person, absent for everyone.
        to: Option<String>,
    },
    /// Tells how far this person has read.
    Read(Numbered),
    /// Asks for older messages; answered by `history`.
    History(HistoryQuery),
    /// A short sign that passes.
    Reaction(Reaction),
    /// Lets someone waiting in.
    Admit(Person),
    /// Turns someone waiting away.
    Deny(Person),
    /// Turns off what someone sends.
    Mute(Mute),
    /// Asks someone to turn it on again.
    Unmute(Mute),
    /// Removes someone.
    Kick(Kick),
    /// Locks the room, or unlocks it.
    Lock(Lock),
    /// Changes what people may do.
    Policy(PolicyChange),
    /// Gives someone a role.
    Role(RoleChange),
    /// Tells the others that this person records.
    Recording(Recording),
    /// Asks for fresh TURN credentials.
    Ice,
    /// Asks for a `pong`.
    Ping,
    /// Answers a `ping`.
    Pong,
    /// A message for a room that is not of its type's shape. Whoever has no seat is told that first.
    Malformed(Refusal),
    /// A type this server does not know; ignored, newer clients may say more.
    Unknown,
}

impl FromPeer {
    /// Reads one text message.
    ///
    /// # Errors
    /// [`Refusal`] of type `invalid` for what is not JSON, or not of the shape of `login` or
    /// `randomCheck`. What else is misshapen is [`FromPeer::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let envelope: Envelope<'_> = serde_json::from_str(text)
            .map_err(|_| Refusal::invalid("That was not a JSON object."))?;
        let kind: Cow<'_, str> = envelope.read("type")?;
        match Self::read(&kind, &envelope) {
            Err(refusal) if !matches!(&*kind, "login" | "randomCheck") => {
                Ok(Self::Malformed(refusal))
            }
            message => message,
        }
    }

    fn read(kind: &str, envelope: &Envelope<'_>) -> Result<Self, Refusal> {
        Ok(match kind {
            "login" => Self::Login(envelope.read("data")?),
            "offer" | "answer" | "candidate" => Self::Signal(envelope.forward()?),
            "randomCheck" => Self::RandomCheck(envelope.random_check()?),
            "logout" => Self::Logout,
            "status" => Self::Status(envelope.read::<Status>("data")?.checked()?),
            "view" => Self::View {
                to: envelope
                    .to()?
                    .ok_or_else(|| Refusal::invalid("A view needs a “to”."))?,
                view: envelope.read("data")?,
            },
            "chat" => {
                let to = envelope.to()?;
                Self::Chat(envelope.read::<Chat>("data")?.checked(to)?)
            }
            "chat-edit" => Self::ChatEdit(envelope.read::<ChatEdit>("data")?.checked()?),
            "chat-delete" => Self::ChatDelete(envelope.read("data")?),
            "react" => Self::React(envelope.read::<React>("data")?.checked()?),
            "typing" => Self::Typing { to: envelope.to()? },
            "read" => Self::Read(envelope.read("data")?),
            "history" => Self::History(envelope.read::<HistoryQuery>("data")?.checked()?),
            "admit" => Self::Admit(envelope.read("data")?),
            "deny" => Self::Deny(envelope.read("data")?),
            "mute" => Self::Mute(envelope.read("data")?),
            "unmute" => Self::Unmute(envelope.read("data")?),
            "kick" => Self::Kick(envelope.read("data")?),
            "lock" => Self::Lock(envelope.read("data")?),
            "policy" => Self::Policy(envelope.read("data")?),
            "role" => Self::Role(envelope.read("data")?),
            "reaction" => Self::Reaction(envelope.read::<Reaction>("data")?.checked()?),
            "recording" => Self::Recording(envelope.read("data")?),
            "ice" => Self::Ice,
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            _ => Self::Unknown,
        })
    }
}

/// A wish for a seat in a room.
#[derive(Clone, Deserialize)]
pub struct Login {
    /// The room.
    #[serde(rename = "roomrequest")]
    pub room: RoomName,
    /// What to be called.
    #[serde(rename = "username")]
    pub name: DisplayName,
    /// The token from an earlier `room`, to take up that seat again.
    #[serde(default)]
    pub resume: Option<String>,
    /// The `seq` of the last chat message seen, with `resume`: later ones are sent again.
    #[serde(default)]
    pub seq: Option<u64>,
    /// What opens a room that has a password.
    #[serde(default)]
    pub password: Option<String>,
    /// The secret of an invitation.
    #[serde(default)]
    pub invite: Option<String>,
    /// A room token.
    #[serde(default)]
    pub token: Option<String>,
}

impl Login {
    /// The same wish without what opens doors, for whoever has passed them.
    #[must_use]
    pub fn without_secrets(self) -> Self {
        Self {
            password: None,
            invite: None,
            token: None,
            ..self
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

/// A message passed to others as it came, but for `from`.
#[derive(Clone)]
pub struct Forward {
    /// The person it is for; `None` is everyone else in the room.
    pub to: Option<String>,
    /// The envelope's members but `from`, as JSON without the braces.
    members: String,
}

impl Forward {
    /// The message with its true sender.
    #[must_use]
    pub fn text(&self, from: SessionId) -> Text {
        Text::from(format!("{{\"from\":\"{from}\",{}}}", self.members))
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

/// A question whether a room's name is free.
#[derive(Debug, Clone)]
pub struct RandomCheck {
    /// The name asked about.
    pub room: RoomName,
    /// The name as it came, to be echoed byte for byte.
    echo: Box<RawValue>,
}

impl RandomCheck {
    /// The answer.
    #[must_use]
    pub fn result(&self, free: bool) -> Text {
        let result = if free { "ok" } else { "fail" };
        Text::from(format!(
            "{{\"type\":\"randomCheckResult\",\"data\":{{\"result\":\"{result}\",\"roomrequest\":{}}}}}",
            self.echo.get()
        ))
    }
}

/// What a person sends at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The microphone is on.
    pub mic: bool,
    /// The camera is on.
    pub camera: bool,
    /// A screen is shared.
    pub screen: bool,
    /// A hand is raised.
    pub hand: bool,
    /// What each media stream (by its id, the `msid`) shows.
    pub streams: BTreeMap<String, StreamKind>,
    /// The person's socket broke and may come back. Only the server says so.
    #[serde(skip_deserializing, skip_serializing_if = "std::ops::Not::not")]
    pub away: bool,
}

impl Status {
    fn checked(self) -> Result<Self, Refusal> {
        if self.streams.len() > STREAMS_MAX
            || self.streams.keys().any(|id| id.len() > STREAM_ID_BYTES_MAX)
        {
            return Err(Refusal::invalid(
                "That is more streams than one person sends.",
            ));
        }
        Ok(self)
    }
}

impl Status {
    /// Says that something is not sent; true if it was.
    pub fn turn_off(&mut self, kind: Kind) -> bool {
        let on = match kind {
            Kind::Mic => &mut self.mic,
            Kind::Camera => &mut self.camera,
            Kind::Screen => {
                let before = self.streams.len();
                self.streams.retain(|_, shown| *shown != StreamKind::Screen);
                self.screen |= self.streams.len() < before;
                &mut self.screen
            }
        };
        std::mem::take(on)
    }
}

/// What a media stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// The person.
    Camera,
    /// What is on the person's screen.
    Screen,
}

/// The sizes of pictures wanted from one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Of the camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<Size>,
    /// Of the screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<Size>,
}

/// A picture's size in pixels; 0 asks for no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// The width.
    pub w: u16,
    /// The height.
    pub h: u16,
}

/// Whether someone records the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Recording has begun, or has ended.
    pub on: bool,
}

/// What the server says.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToPeer<'a> {
    /// You have a seat, under this session id.
    Joined {
        /// The session id.
        data: SessionId,
    },
    /// The room as it is, to people who came by `/ws`.
    Room {
        /// The room, you, the others, and what to use.
        data: Welcome<'a>,
    },
    /// Someone has joined.
    Login {
        /// The newcomer.
        from: SessionId,
        /// Always empty: everyone.
        to: &'a str,
        /// Room and final name.
        data: Newcomer<'a>,
    },
    /// Someone has left.
    Logout {
        /// Who.
        data: Leaver<'a>,
    },
    /// What someone sends has changed.
    Status {
        /// Who.
        from: SessionId,
        /// Always empty: everyone.
        to: &'a str,
        /// What is sent now.
        data: &'a Status,
    },
    /// Someone asks you for pictures of some size.
    View {
        /// Who.
        from: SessionId,
        /// You.
        to: SessionId,
        /// The sizes.
        data: &'a View,
    },
    /// A line of text, also to its author.
    Chat {
        /// The author.
        from: SessionId,
        /// The session it is for; empty for everyone.
        to: &'a str,
        /// The message with its number and time.
        data: &'a ChatEntry,
    },
    /// A message has another text.
    #[serde(rename = "chat-edit")]
    ChatEdit {
        /// The author.
        from: SessionId,
        /// The session the message is for; empty for everyone.
        to: &'a str,
        /// Which, the text, and when.
        data: Edited<'a>,
    },
    /// A message was taken back.
    #[serde(rename = "chat-delete")]
    ChatDelete {
        /// By whom.
        from: SessionId,
        /// The session the message is for; empty for everyone.
        to: &'a str,
        /// Which.
        data: Numbered,
    },
    /// Someone has put a sign under a message, or taken it away.
    React {
        /// Who.
        from: SessionId,
        /// The session the message is for; empty for everyone.
        to: &'a str,
        /// Which message and which sign.
        data: &'a React,
    },
    /// Someone is writing.
    Typing {
        /// Who.
        from: SessionId,
        /// You, when it is meant for you alone; else empty.
        to: &'a str,
        /// Empty.
        data: Empty,
    },
    /// Someone has read so far.
    Read {
        /// Who.
        from: SessionId,
        /// Always empty: everyone.
        to: &'a str,
        /// The newest message read.
        data: Numbered,
    },
    /// Older messages.
    History {
        /// The messages.
        data: History<'a>,
    },
    /// Someone has shared a file; also to whoever sent it.
    File {
        /// The sender.
        from: SessionId,
        /// The session it is for; empty for everyone.
        to: &'a str,
        /// The file.
        data: &'a FileEntry,
    },
    /// A file that was shared is there no longer.
    #[serde(rename = "file-delete")]
    FileDelete {
        /// By whom; absent when it was done from outside the room.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<SessionId>,
        /// The session the file was for; empty for everyone.
        to: &'a str,
        /// Which.
        data: FileGone,
    },
    /// You wait until a host lets you in.
    Waiting {
        /// Empty.
        data: Empty,
    },
    /// Someone waits to be let in; to hosts.
    Knock {
        /// Who.
        data: Knock<'a>,
    },
    /// A host has turned off what you send.
    Mute {
        /// The host.
        from: SessionId,
        /// You.
        to: SessionId,
        /// By whom, and what.
        data: Muted,
    },
    /// A host asks you to turn it on again.
    Unmute {
        /// The host.
        from: SessionId,
        /// You.
        to: SessionId,
        /// Who asks, and for what.
        data: Muted,
    },
    /// The room was locked, or unlocked.
    Lock {
        /// The host.
        from: SessionId,
        /// Always empty: everyone.
        to: &'a str,
        /// Locked or not.
        data: Lock,
    },
    /// People may do other things from now on.
    Policy {
        /// The host.
        from: SessionId,
        /// Always empty: everyone.
        to: &'a str,
        /// All of it.
        data: Policy,
    },
    /// What is set of the room was changed from outside.
    #[serde(rename = "room-changed")]
    RoomChanged {
        /// The fields that have changed.
        data: RoomChange,
    },
    /// Someone has another role.
    Role {
        /// The host who gave it; absent when it passed by itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<SessionId>,
        /// Always empty: everyone.
        to: &'a str,
        /// Who, and which.
        data: RoleChange,
    },
    /// A short sign.
    Reaction {
        /// Who.
        from: SessionId,
        /// Always empty: everyone.
        to: &'a str,
        /// The sign.
        data: &'a Reaction,
    },
    /// Someone has begun or ended recording.
    Recording {
        /// Who.
        from: SessionId,
        /// Always empty: everyone.
        to: &'a str,
        /// On or off.
        data: Recording,
    },
    /// Fresh TURN credentials.
    Ice {
        /// Servers and how long they hold.
        data: Renewal<'a>,
    },
    /// Asks for a `pong`.
    Ping {
        /// Empty.
        data: Empty,
    },
    /// Answers a `ping`.
    Pong {
        /// Empty.
        data: Empty,
    },
    /// The server is about to close the socket with 1012.
    Bye {
        /// When to come back.
        data: Bye,
    },
    /// Something was refused. The same under both names: clients read one or the other.
    Error {
        /// What and why.
        data: &'a Refusal,
        /// The same.
        message: &'a Refusal,
    },
}

impl ToPeer<'_> {
    /// The message as it goes over the wire.
    #[must_use]
    pub fn text(&self) -> Text {
        // These types serialise from owned, valid parts only; there is nothing that could fail.
        Text::from(serde_json::to_string(self).unwrap_or_default())
    }
}

impl From<&Refusal> for Text {
    fn from(refusal: &Refusal) -> Self {
        ToPeer::Error {
            data: refusal,
            message: refusal,
        }
        .text()
    }
}

/// What a newcomer is told of the room.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome<'a> {
    /// The room itself.
    pub room: &'a RoomState,
    /// The newcomer.
    pub you: &'a You,
    /// The others, oldest first.
    pub participants: &'a [Participant],
    /// STUN and TURN servers, for `RTCPeerConnection`.
    pub ice_servers: &'a [IceServer],
    /// How long the credentials hold, in seconds.
    pub ice_ttl: u64,
    /// What the server accepts from this socket.
    pub limits: Limits,
    /// The token to take up this seat again after the socket broke.
    pub resume: &'a str,
    /// What to show to the HTTP API.
    pub api: &'a ApiGrant,
    /// What to send as `invite` the next time, for whoever came by an invitation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<&'a str>,
}

/// A token for the HTTP API, and how long it holds.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct ApiGrant {
    /// The token. It speaks for the session as long as that has its seat.
    pub token: String,
    /// How long it holds, in seconds.
    pub ttl: u64,
}

impl fmt::Debug for ApiGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiGrant")
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// What has changed of a room; what is absent has not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RoomChange {
    /// See [`RoomState::name`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<RoomName>,
    /// See [`RoomState::locked`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// See [`RoomState::capacity`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<usize>,
    /// See [`RoomState::policy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

/// A room as people in it see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomState {
    /// The name, as the first one typed it.
    pub name: RoomName,
    /// Nobody else gets in.
    pub locked: bool,
    /// How many people it holds.
    pub capacity: usize,
    /// It outlives its last person.
    pub kept: bool,
    /// What people may do.
    pub policy: Policy,
}

/// Who the newcomer is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct You {
    /// The session id, as in `joined`.
    pub session_id: SessionId,
    /// The final name.
    pub username: DisplayName,
    /// What this person may do.
    pub role: Role,
}

/// Someone else in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// The session id.
    pub session_id: SessionId,
    /// The name.
    pub username: DisplayName,
    /// What this person may do.
    pub role: Role,
    /// When the person joined, in milliseconds since 1970.
    pub joined: u64,
    /// What the person sends; `null` for people who did not come by `/ws`.
    pub status: Option<Status>,
    /// The newest chat message the person has said to have read; 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub read: u64,
}

// Serde hands over a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What the server accepts from one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The largest message, in bytes.
    pub message: usize,
    /// Messages a second, over time.
    pub rate: u32,
    /// Messages at once.
    pub burst: u32,
}

/// One entry for `RTCPeerConnection`'s `iceServers`.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct IceServer {
    /// A `stun:`, `turn:` or `turns:` URL (RFC 7064, RFC 7065).
    pub urls: String,
    /// The TURN username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The TURN password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

/// ICE servers with credentials, and how long these hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IceGrant {
    /// The servers.
    pub ice_servers: Vec<IceServer>,
    /// How long the credentials hold, in seconds.
    pub ice_ttl: u64,
}

/// What is renewed in time.
#[derive(Debug, Clone, Serialize)]
pub struct Renewal<'a> {
    /// ICE servers.
    #[serde(flatten)]
    pub ice: &'a IceGrant,
    /// What to show to the HTTP API from now on, for whoever was given such before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<&'a ApiGrant>,
}

/// Who has joined.
#[derive(Debug, Clone, Serialize)]
pub struct Newcomer<'a> {
    /// The room.
    #[serde(rename = "roomrequest")]
    pub room: &'a RoomName,
    /// The final name.
    #[serde(rename = "username")]
    pub name: &'a DisplayName,
}

/// Who has left.
#[derive(Debug, Clone, Serialize)]
pub struct Leaver<'a> {
    /// The name.
    #[serde(rename = "username")]
    pub name: &'a DisplayName,
    /// The session id.
    #[serde(rename = "sessionId")]
    pub session: SessionId,
}

/// `{}`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Empty {}

/// A goodbye from the server.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bye {
    /// How long to wait before coming back, in milliseconds.
    pub retry_after: u64,
}

/// The code of an `error` message, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorType {
    /// The room has no seat left.
    Full,
    /// The message makes no sense.
    Invalid,
    /// Too many messages.
    Rate,
    /// The message is too large.
    TooBig,
    /// This needs a seat first.
    Unauthorized,
    /// Nobody else gets in.
    Locked,
    /// A host has turned the person away for good.
    Banned,
    /// A host, or what the room allows, stands against it.
    Denied,
    /// A host has removed the person.
    Kicked,
    /// The room's password is missing, or is another.
    Password,
    /// There is no such person, message, room or invitation.
    NotFound,
    /// The seat to resume is gone.
    Resume,
}

/// What was refused and why: the type is for programs, the text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The code.
    pub error_type: ErrorType,
    /// One sentence.
    pub error_text: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a sentence.
    #[must_use]
    pub const fn new(error_type: ErrorType, error_text: &'static str) -> Self {
        Self {
            error_type,
            error_text: Cow::Borrowed(error_text),
        }
    }

    /// A refusal of something that makes no sense.
    #[must_use]
    pub const fn invalid(error_text: &'static str) -> Self {
        Self::new(ErrorType::Invalid, error_text)
    }

    /// True if a peer that keeps its side of the protocol never earns this. Such faults are
    /// counted against the socket.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        matches!(
            self.error_type,
            ErrorType::Invalid | ErrorType::Rate | ErrorType::TooBig | ErrorType::Unauthorized
        )
    }
}

/// A message ready for the wire; copies share the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Bytes);

impl Text {
    /// The message as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The message's UTF-8 bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// How many bytes the message has.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// The members of a message's object in the order they came, values unread.
struct Envelope<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Envelope<'a> {
    fn get(&self, key: &str) -> Option<&'a RawValue> {
        // As in every JSON reader we meet, of members with the same name the last one counts.
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| *value)
    }

    fn read<T: DeserializeOwned>(&self, key: &str) -> Result<T, Refusal> {
        let raw = self.get(key).map_or("null", RawValue::get);
        serde_json::from_str(raw).map_err(|error| Refusal {
            error_type: ErrorType::Invalid,
            error_text: words(key, &error),
        })
    }

    /// Who the message is for. Absent, `null` and empty all mean everyone else.
    fn to(&self) -> Result<Option<String>, Refusal> {
        let to: Option<String> = self.read("to")?;
        match to {
            Some(to) if to.len() > TO_BYTES_MAX => Err(Refusal::invalid("“to” is no session id.")),
            to => Ok(to.filter(|to| !to.is_empty())),
        }
    }

    fn forward(&self) -> Result<Forward, Refusal> {
        if self.get("data").is_none() {
            return Err(Refusal::invalid("“data” is missing."));
        }
        let to = self.to()?;
        let mut members = String::new();
        for (name, value) in &self.0 {
            let is_last = self
                .get(name)
                .is_some_and(|last| std::ptr::eq(last, *value));
            if name == "from" || !is_last {
                continue;
            }
            if !members.is_empty() {
                members.push(',');
            }
            // A string always serialises.
            members.push_str(&serde_json::to_string(name).unwrap_or_default());
            members.push(':');
            members.push_str(value.get());
        }
        Ok(Forward { to, members })
    }

    fn random_check(&self) -> Result<RandomCheck, Refusal> {
        let room = self.read("data")?;
        let echo = self
            .get("data")
            .ok_or_else(|| Refusal::invalid("“data” is missing."))?;
        Ok(RandomCheck {
            room,
            echo: echo.to_owned(),
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    if members.len() == MEMBERS_MAX {
                        return Err(serde::de::Error::custom("too many members"));
                    }
                    members.push((name.0, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Self)
    }
}

/// How many members an envelope may have. Seed clients send five; looking one up is linear.
const MEMBERS_MAX: usize = 32;

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// What is wrong, for people. The JSON reader's own words speak of Rust's types; only what we have said of
/// names ourselves is passed on.
fn words(key: &str, error: &serde_json::Error) -> Cow<'static, str> {
    let text = error.to_string();
    let of_names = [NameError::Empty, NameError::TooLong, NameError::Unprintable]
        .map(|fault| fault.to_string())
        .into_iter()
        .find(|fault| text.starts_with(fault.as_str()));
    Cow::Owned(match of_names {
        Some(fault) => format!("This name cannot be used: {fault}."),
        None => format!("“{key}” is missing, or is not what a message of this type needs."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn understood(text: &str) -> Result<FromPeer, Refusal> {
        match FromPeer::parse(text)? {
            FromPeer::Malformed(refusal) => Err(refusal),
            message => Ok(message),
        }
    }

    fn refusal(text: &str) -> ErrorType {
        understood(text).unwrap_err().error_type
    }

    fn chat(text: &str) -> Result<Chat, Refusal> {
        let json = serde_json::json!({"type": "chat", "data": {"id": "1", "text": text}});
        match understood(&json.to_string())? {
            FromPeer::Chat(chat) => Ok(chat),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_sender_is_overwritten_and_the_rest_kept_as_it_came() {
        let text = r#"{"type":"offer","from":"me","to":"","data":{"n":1.50,"n":2},"x":"\u00e9","type":"offer"}"#;
        let FromPeer::Signal(forward) = FromPeer::parse(text).unwrap() else {
            panic!()
        };
        let session = SessionId::random();
        assert_eq!(forward.to, None);
        assert_eq!(
            forward.text(session).as_str(),
            format!(
                r#"{{"from":"{session}","to":"","data":{{"n":1.50,"n":2}},"x":"\u00e9","type":"offer"}}"#
            )
        );
    }

    #[test]
    fn chat_text_is_cleaned_and_bounded() {
        assert_eq!(
            chat(" a\u{0}\u{202e}b\r\nc\td\u{1b} ").unwrap().text,
            "ab\nc\td"
        );
        assert_eq!(chat("e\u{301}").unwrap().text, "é");
        assert_eq!(chat("שלום\u{200f}!").unwrap().text, "שלום\u{200f}!");
        assert_eq!(chat("\u{0}\n ").unwrap_err().error_type, ErrorType::Invalid);
        assert!(chat(&"x".repeat(CHAT_BYTES_MAX)).is_ok());
        let long = chat(&"x".repeat(CHAT_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(long.error_type, ErrorType::TooBig);
    }

    #[test]
    fn another_text_is_cleaned_and_bounded_like_the_first() {
        let edit = |text: &str| {
            let json = serde_json::json!({"type": "chat-edit", "data": {"seq": 1, "text": text}});
            match understood(&json.to_string())? {
                FromPeer::ChatEdit(edit) => Ok::<_, Refusal>(edit.text),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(edit(" e\u{301}\u{202e} ").unwrap(), "é");
        let long = edit(&"x".repeat(CHAT_BYTES_MAX + 1)).unwrap_err();
        assert_eq!(long.error_type, ErrorType::TooBig);
    }

    #[test]
    fn a_screen_turned_off_takes_its_streams_along() {
        let mut status = Status {
            camera: true,
            streams: BTreeMap::from([
                ("a".to_owned(), StreamKind::Camera),
                ("b".to_owned(), StreamKind::Screen),
            ]),
            ..Status::default()
        };
        assert!(status.turn_off(Kind::Screen), "a stream is a screen too");
        assert!(!status.turn_off(Kind::Screen));
        assert_eq!(status.streams.len(), 1);
        assert!(status.turn_off(Kind::Camera));
        assert!(!status.camera);
    }

    #[test]
    fn an_envelope_may_say_who_a_chat_is_for() {
        let text = r#"{"type":"chat","to":"bob","data":{"id":"1","text":"x"}}"#;
        let FromPeer::Chat(chat) = FromPeer::parse(text).unwrap() else {
            panic!()
        };
        assert_eq!(chat.to.as_deref(), Some("bob"));
    }

    #[test]
    fn wrong_shapes_are_invalid() {
        for text in [
            r#"{"type":"chat","data":{"id":"","text":"x"}}"#,
            r#"{"type":"chat","data":{"text":"x"}}"#,
            r#"{"type":"reaction","data":{"emoji":""}}"#,
            r#"{"type":"recording","data":{"on":"yes"}}"#,
            r#"{"type":"view","data":{}}"#,
            r#"{"type":"view","to":"x","data":{"camera":{"w":-1,"h":0}}}"#,
            r#"{"type":"status","data":{"streams":{"a":"telescope"}}}"#,
            r#"{"type":"status"}"#,
            r#"{"type":"lock","data":{"locked":"yes"}}"#,
            r#"{"type":"lock","data":{}}"#,
            r#"{"type":"policy","data":{"chat":1}}"#,
            r#"{"type":"policy"}"#,
            r#"{"type":"role","data":{"sessionId":"*","role":"host"}}"#,
            r#"{"type":"role","data":{"sessionId":"1b4e28ba-2fa1-41d2-883f-0016d3cca427","role":"king"}}"#,
            r#"{"type":"mute","data":{"sessionId":"","kind":"mic"}}"#,
            r#"{"type":"mute","data":{"sessionId":"*","kind":"nose"}}"#,
            r#"{"type":"kick","data":{"sessionId":"*"}}"#,
            r#"{"type":"admit","data":{}}"#,
            r#"{"type":"chat-edit","data":{"seq":1,"text":" "}}"#,
            r#"{"type":"chat-edit","data":{"seq":-1,"text":"x"}}"#,
            r#"{"type":"chat-delete","data":{}}"#,
            r#"{"type":"react","data":{"seq":1,"emoji":""}}"#,
            r#"{"type":"read","data":{"seq":1.5}}"#,
            r#"{"type":"history","data":{}}"#,
            r#"{"type":"history","data":{"limit":0}}"#,
            r#"{"type":"typing","to":7}"#,
            r#"{"type":"offer","to":""}"#,
        ] {
            assert_eq!(refusal(text), ErrorType::Invalid, "{text}");
        }
        let streams: BTreeMap<_, _> = (0..17).map(|n| (n.to_string(), "camera")).collect();
        let many = serde_json::json!({"type": "status", "data": {"streams": streams}});
        assert_eq!(refusal(&many.to_string()), ErrorType::Invalid);
        let members: String = (0..40).map(|n| format!(",\"k{n}\":0")).collect();
        assert_eq!(
            refusal(&format!("{{\"type\":\"offer\"{members}}}")),
            ErrorType::Invalid
        );
    }

    #[test]
    fn a_reason_is_in_words_for_people_and_quotes_nothing() {
        let long = "x".repeat(50_000);
        let name = |name: &str| {
            serde_json::json!({"type": "login", "data": {"roomrequest": name, "username": "Kim"}})
                .to_string()
        };
        let shape = "“data” is missing, or is not what a message of this type needs.";
        for (text, expected) in [
            (format!(r#"{{"type":"login","data":"{long}"}}"#), shape),
            (r#"{"type":"login"}"#.to_owned(), shape),
            (
                r#"{"type":"login","data":{"roomrequest":7}}"#.to_owned(),
                shape,
            ),
            (
                r#"{"type":"lock","data":{"locked":"yes"}}"#.to_owned(),
                shape,
            ),
            (
                r#"{"type":7}"#.to_owned(),
                "“type” is missing, or is not what a message of this type needs.",
            ),
            (
                name(" "),
                "This name cannot be used: a name needs at least one character.",
            ),
            (
                name(&long),
                "This name cannot be used: a name has at most 64 characters.",
            ),
            (
                r#"{"type":"randomCheck","data":"a\u0000b"}"#.to_owned(),
                "This name cannot be used: a name has no control characters and none that change the reading direction.",
            ),
        ] {
            assert_eq!(understood(&text).unwrap_err().error_text, expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".*") {
            let _ = FromPeer::parse(&text);
        }

        #[test]
        fn whatever_is_passed_on_is_json_from_its_sender(
            kind in "offer|answer|candidate",
            name in "\\PC{0,12}",
            value in "\\PC{0,40}",
        ) {
            let mut message = serde_json::json!({"type": kind, "from": "forged", "data": value});
            message[&name] = value.into();
            if let Ok(FromPeer::Signal(forward)) = FromPeer::parse(&message.to_string()) {
                let session = SessionId::random();
                let text = forward.text(session);
                let mut read: serde_json::Value = serde_json::from_str(text.as_str()).unwrap();
                prop_assert_eq!(&read["from"], &session.to_string());
                read["from"] = message["from"].clone();
                prop_assert_eq!(read, message);
            }
        }
    }
}
