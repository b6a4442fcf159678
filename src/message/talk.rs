//! Lines of text, and what may be done with them.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::{ErrorType, Refusal};
use crate::id::{DisplayName, FileId, SessionId, is_unprintable};

/// The largest chat text, in bytes of UTF-8 after normalisation.
pub const CHAT_BYTES_MAX: usize = 4 * 1024;
/// The most messages of a page of history.
pub const HISTORY_PAGE_MAX: usize = 100;
/// The longest id a client may give its own chat message, in bytes.
const CHAT_ID_BYTES_MAX: usize = 64;
/// The longest reaction, in bytes: an emoji of several joined people has about 35.
const EMOJI_BYTES_MAX: usize = 64;

/// A line of text as a client sends it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Chat {
    /// The client's own name for the message; comes back with it.
    pub id: String,
    /// The text, NFC, without control characters but line feed and tab.
    pub text: String,
    /// The session it is for; absent for everyone.
    #[serde(default)]
    pub to: Option<String>,
    /// The `seq` of the message it answers.
    #[serde(default, rename = "replyTo")]
    pub reply_to: Option<u64>,
}

impl Chat {
    pub(super) fn checked(self, envelope_to: Option<String>) -> Result<Self, Refusal> {
        if self.id.is_empty() || self.id.len() > CHAT_ID_BYTES_MAX {
            return Err(Refusal::invalid(
                "A chat message needs an id of 1 to 64 bytes.",
            ));
        }
        let to = self.to.filter(|to| !to.is_empty()).or(envelope_to);
        Ok(Self {
            text: checked_text(&self.text)?,
            to,
            ..self
        })
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn checked_text(typed: &str) -> Result<String, Refusal> {
    let normal: String = typed.nfc().filter(|&c| is_chat_character(c)).collect();
    let text = normal.trim();
    if text.is_empty() {
        return Err(Refusal::invalid("A chat message needs a text."));
    }
    if text.len() > CHAT_BYTES_MAX {
        return Err(Refusal::new(
            ErrorType::TooBig,
            "A chat message has at most 4 KiB.",
        ));
    }
    Ok(text.to_owned())
}

/// Line breaks and tabs are text; what turns the reading direction or controls a terminal is not.
/// The plain marks (U+200E, U+200F, U+061C) stay, since Arabic and Hebrew keyboards type them.
fn is_chat_character(c: char) -> bool {
    matches!(c, '\n' | '\t' | '\u{061C}' | '\u{200E}' | '\u{200F}') || !is_unprintable(c)
}

/// A short sign that passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The sign, at most 64 bytes.
    pub emoji: String,
}

impl Reaction {
    pub(super) fn checked(self) -> Result<Self, Refusal> {
        check_emoji(&self.emoji).map(|()| self)
    }
}

fn check_emoji(emoji: &str) -> Result<(), Refusal> {
    if emoji.is_empty() || emoji.len() > EMOJI_BYTES_MAX || emoji.chars().any(is_unprintable) {
        return Err(Refusal::invalid("A reaction is one short sign."));
    }
    Ok(())
}

/// A chat message as everyone sees it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatEntry {
    /// The author's own name for it.
    pub id: String,
    /// Its number in the room, from 1.
    pub seq: u64,
    /// The author.
    pub session_id: SessionId,
    /// The author's name.
    pub username: DisplayName,
    /// The text; empty once deleted.
    pub text: String,
    /// When the server took it, in milliseconds since 1970.
    pub time: u64,
    /// The session it is for, if it is private.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<SessionId>,
    /// The number of the message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// When its text was last changed, in milliseconds since 1970; nothing once deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<u64>,
    /// It was taken back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// What people think of it, in the order each sign was first used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reacted>,
}

impl ChatEntry {
    /// Its author, or a host, takes it back: that there was a message, whose and when stays.
    pub fn take_back(&mut self) {
        self.deleted = true;
        self.text.clear();
        self.edited = None;
        self.reactions.clear();
    }
}

impl fmt::Debug for ChatEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatEntry")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// Who has put a sign under a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reacted {
    /// The sign.
    pub emoji: String,
    /// The people, in the order they did.
    pub session_ids: Vec<SessionId>,
}

/// A file that was shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// What it is known by.
    pub id: FileId,
    /// Its name, as the sender had it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// What it holds (a media type), by its content.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is fetched, from the page's own server.
    pub url: String,
    /// Who sent it.
    pub session_id: SessionId,
    /// What that person was called.
    pub username: DisplayName,
    /// When, in milliseconds since 1970.
    pub time: u64,
}

/// A file that is there no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FileGone {
    /// What it was known by.
    pub id: FileId,
}

/// Another text for a message that was sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatEdit {
    /// The message.
    pub seq: u64,
    /// The text from now on.
    pub text: String,
}

impl ChatEdit {
    pub(super) fn checked(self) -> Result<Self, Refusal> {
        Ok(Self {
            text: checked_text(&self.text)?,
            ..self
        })
    }
}

impl fmt::Debug for ChatEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatEdit")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// A message's other text, as it is told.
#[derive(Debug, Clone, Serialize)]
pub struct Edited<'a> {
    /// Which, and the text.
    #[serde(flatten)]
    pub edit: &'a ChatEdit,
    /// When, in milliseconds since 1970.
    pub edited: u64,
}

/// One message, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// The number.
    pub seq: u64,
}

/// A sign put under a message, or taken away again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct React {
    /// The message.
    pub seq: u64,
    /// The sign, at most 64 bytes.
    pub emoji: String,
    /// False takes it away.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub on: bool,
}

impl React {
    pub(super) fn checked(self) -> Result<Self, Refusal> {
        check_emoji(&self.emoji).map(|()| self)
    }
}

fn yes() -> bool {
    true
}

// Serde hands over a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_yes(on: &bool) -> bool {
    *on
}

/// A question for older messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct HistoryQuery {
    /// Only messages with lower numbers; absent: from the newest on.
    #[serde(default)]
    pub before: Option<u64>,
    /// At most so many, 1 or more; above [`HISTORY_PAGE_MAX`] as many as that.
    pub limit: usize,
}

impl HistoryQuery {
    pub(super) fn checked(self) -> Result<Self, Refusal> {
        if self.limit == 0 {
            return Err(Refusal::invalid(
                "A page of history has a message at least.",
            ));
        }
        Ok(Self {
            limit: self.limit.min(HISTORY_PAGE_MAX),
            ..self
        })
    }
}

/// A page of older messages.
#[derive(Debug, Clone, Serialize)]
pub struct History<'a> {
    /// The messages, oldest first.
    pub messages: Vec<&'a ChatEntry>,
    /// There are older ones.
    pub more: bool,
}
