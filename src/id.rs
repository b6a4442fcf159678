//! Ids and names of the people and rooms here: parsed once, trusted afterwards.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{AddrParseError, IpAddr, Ipv6Addr};
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

/// How many characters (Unicode scalar values) a name of a room or a person may have.
pub const NAME_CHARS_MAX: usize = 64;

/// One stay of one person: given when the socket opens, kept across a resume, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(Uuid);

impl SessionId {
    /// An id that nobody can guess (122 random bits).
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id's 16 bytes, for sealing it into a token.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SessionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Makes a type of id that is a random UUID, written as one.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(Uuid);

        impl $name {
            /// An id that nobody can guess (122 random bits).
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

random_id! {
    /// A file that was shared, as it stands in its link.
    FileId
}

random_id! {
    /// An invitation, for whoever revokes it. What opens the room is its secret.
    InviteId
}

random_id! {
    /// An API key, for whoever lists and revokes it.
    KeyId
}

random_id! {
    /// Something that happened, waiting to be told to another program.
    EventId
}

/// A room that is kept. Names change and are given anew; this stays, and is never given again. In JSON it
/// is text: not every reader takes numbers of more than 53 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomId(i64);

impl RoomId {
    /// An id that is not in use (62 random bits; positive, so that databases and JSON agree on it).
    #[must_use]
    pub fn random() -> Self {
        let (high, _) = Uuid::new_v4().as_u64_pair();
        // The version's four bits (RFC 9562 §4.2) are fixed: the rest is pushed together around them.
        let random = (high >> 16 << 12) | (high & 0x0fff);
        Self(i64::try_from(random >> 1).unwrap_or(i64::MAX))
    }

    /// The id with this number.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The id's number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl From<RoomId> for String {
    fn from(id: RoomId) -> Self {
        id.0.to_string()
    }
}

impl TryFrom<String> for RoomId {
    type Error = ParseIntError;

    fn try_from(text: String) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// One open socket, as the rooms know it. A session may move from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(u64);

impl PeerId {
    /// The `number`th socket since the start.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whom limits and bans hold against: an IPv4 address, or an IPv6 network of 64 bits, of which one
/// household has every address. It does not print the address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// Where `address` belongs; IPv4 written as IPv6 is IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(IpAddr::V4(v4)),
            IpAddr::V6(v6) => Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64))),
        }
    }
}

impl From<Source> for String {
    /// For keeping it; a network is written as its first address.
    fn from(source: Source) -> Self {
        source.0.to_string()
    }
}

impl FromStr for Source {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::of)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(…)")
    }
}

/// A room's name as people share it: trimmed, NFC, 1–64 characters; shown as typed, compared
/// without case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName {
    shown: String,
    folded: String,
}

impl RoomName {
    /// The name as it was typed (after trimming and NFC).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The name as it is compared.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl PartialEq for RoomName {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for RoomName {}

impl Hash for RoomName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}

impl TryFrom<String> for RoomName {
    type Error = NameError;

    fn try_from(typed: String) -> Result<Self, NameError> {
        let shown = checked_name(&typed)?;
        let folded = folded(&shown);
        Ok(Self { shown, folded })
    }
}

impl FromStr for RoomName {
    type Err = NameError;

    fn from_str(typed: &str) -> Result<Self, NameError> {
        Self::try_from(typed.to_owned())
    }
}

impl From<RoomName> for String {
    fn from(name: RoomName) -> Self {
        name.shown
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

/// What a person is called in a room: trimmed, NFC, 1–64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisplayName(String);

impl DisplayName {
    /// The name as shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if readers would take the two for the same name.
    #[must_use]
    pub fn reads_like(&self, other: &Self) -> bool {
        folded(&self.0) == folded(&other.0)
    }

    /// The same name with a number behind it, as the second Kim in a room is `Kim 2`. A name at
    /// full length gives up its end for the number.
    #[must_use]
    pub fn numbered(&self, number: usize) -> Self {
        let suffix = format!(" {number}");
        let kept: String = self.0.chars().take(NAME_CHARS_MAX - suffix.len()).collect();
        Self(format!("{}{suffix}", kept.trim_end()))
    }
}

impl TryFrom<String> for DisplayName {
    type Error = NameError;

    fn try_from(typed: String) -> Result<Self, NameError> {
        checked_name(&typed).map(Self)
    }
}

impl FromStr for DisplayName {
    type Err = NameError;

    fn from_str(typed: &str) -> Result<Self, NameError> {
        checked_name(typed).map(Self)
    }
}

impl From<DisplayName> for String {
    fn from(name: DisplayName) -> Self {
        name.0
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a name was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after trimming.
    #[error("a name needs at least one character")]
    Empty,
    /// More than [`NAME_CHARS_MAX`] characters.
    #[error("a name has at most {NAME_CHARS_MAX} characters")]
    TooLong,
    /// A control character, a line break or a character that turns the reading direction.
    #[error("a name has no control characters and none that change the reading direction")]
    Unprintable,
}

/// True for characters that do not print but change how the text around them reads: controls,
/// line and paragraph separators, and the bidirectional marks, embeddings and isolates of UAX #9.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn checked_name(typed: &str) -> Result<String, NameError> {
    let typed = typed.trim();
    // A name that cannot fit is not worth normalising. Composition makes one character of at most
    // four (a Greek vowel with breathing, accent and iota below), so nothing that fits is refused.
    if typed.chars().nth(NAME_CHARS_MAX * 4).is_some() {
        return Err(NameError::TooLong);
    }
    if typed.chars().any(is_unprintable) {
        return Err(NameError::Unprintable);
    }
    let name: String = typed.nfc().collect();
    match name.chars().count() {
        0 => Err(NameError::Empty),
        1..=NAME_CHARS_MAX => Ok(name),
        _ => Err(NameError::TooLong),
    }
}

fn folded(name: &str) -> String {
    name.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_composed() {
        let name: DisplayName = "  Zoe\u{308} ".parse().unwrap();
        assert_eq!(name.as_str(), "Zoë");
    }

    #[test]
    fn rooms_compare_without_case_and_show_what_was_typed() {
        let tea: RoomName = "TeaTime".parse().unwrap();
        assert_eq!(tea, "teatime".parse().unwrap());
        assert_eq!(tea.as_str(), "TeaTime");
    }

    #[test]
    fn empty_long_and_unprintable_names_are_refused() {
        assert_eq!(" \t ".parse::<RoomName>().unwrap_err(), NameError::Empty);
        assert!("x".repeat(64).parse::<RoomName>().is_ok());
        assert_eq!(
            "x".repeat(65).parse::<RoomName>().unwrap_err(),
            NameError::TooLong
        );
        assert_eq!(
            "é".repeat(1000).parse::<RoomName>().unwrap_err(),
            NameError::TooLong
        );
        for bad in [
            "a\0b",
            "a\nb",
            "a\u{202E}b",
            "a\u{2066}b",
            "a\u{200F}b",
            "a\u{85}b",
        ] {
            assert_eq!(
                bad.parse::<DisplayName>().unwrap_err(),
                NameError::Unprintable,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_source_is_an_address_or_a_network_of_64_bits_and_prints_neither() {
        let source = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(format!("{:?}", source("192.0.2.1")), "Source(…)");
        for text in ["192.0.2.1", "2001:db8:1:2::1"] {
            let kept = String::from(source(text));
            assert_eq!(kept.parse::<Source>().unwrap(), source(text));
        }
    }

    #[test]
    fn a_numbered_name_stays_within_the_limit() {
        let long: DisplayName = "x".repeat(64).parse().unwrap();
        assert_eq!(long.numbered(12).as_str().chars().count(), 64);
        let kim: DisplayName = "Kim".parse().unwrap();
        assert_eq!(kim.numbered(2).as_str(), "Kim 2");
    }
}
