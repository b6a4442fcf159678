//! Links that open one file for five minutes, for elements of a page that cannot say who asks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::id::{FileId, SessionId};

/// How long a link is good, in seconds: a picture loads at once, and a player that is late gets a new one.
pub(super) const LIFETIME: u64 = 5 * 60;

/// What stands for somebody without a seat, who may see what is for the whole room.
const ROOM: &str = "room";

/// Makes links and knows its own.
pub(super) struct Links(hmac::Key);

/// For whom a link was made. It opens what that person may see at the time it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A member, while seated.
    Member(SessionId),
    /// A program or a host without a seat.
    Room,
}

impl Links {
    /// `key` is of 32 random bytes, used for nothing else.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The query of a link to a file, good until `until`, in seconds since 1970.
    pub(super) fn query(&self, file: FileId, reader: Reader, until: u64) -> String {
        let reader = match reader {
            Reader::Member(session) => session.to_string(),
            Reader::Room => ROOM.to_owned(),
        };
        let tag = hmac::sign(&self.0, signed(file, &reader, until).as_bytes());
        let tag = URL_SAFE_NO_PAD.encode(tag);
        format!("until={until}&for={reader}&tag={tag}")
    }

    /// For whom the link with this query was made; `None` when it is not one of ours for this file, or its
    /// time is over. `now` is in seconds since 1970.
    pub(super) fn read(&self, file: FileId, query: &str, now: u64) -> Option<Reader> {
        let (mut until, mut reader, mut tag) = (None, None, None);
        for part in query.split('&') {
            match part.split_once('=') {
                Some(("until", value)) => until = Some(value),
                Some(("for", value)) => reader = Some(value),
                Some(("tag", value)) => tag = Some(value),
                _ => {}
            }
        }
        let until: u64 = until?.parse().ok()?;
        let (reader, tag) = (reader?, URL_SAFE_NO_PAD.decode(tag?).ok()?);
        hmac::verify(&self.0, signed(file, reader, until).as_bytes(), &tag).ok()?;
        if now >= until {
            return None;
        }
        match reader {
            ROOM => Some(Reader::Room),
            session => session.parse().ok().map(Reader::Member),
        }
    }
}

fn signed(file: FileId, reader: &str, until: u64) -> String {
    format!("{file}\n{reader}\n{until}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn a_link_opens_its_file_until_its_time_is_over() {
        let links = Links::new(&[7; 32]);
        let file = FileId::random();
        for reader in [Reader::Room, Reader::Member(SessionId::random())] {
            let query = links.query(file, reader, NOW + LIFETIME);
            assert_eq!(links.read(file, &query, NOW), Some(reader));
            assert_eq!(links.read(file, &query, NOW + LIFETIME - 1), Some(reader));
            assert_eq!(links.read(file, &query, NOW + LIFETIME), None);
            assert_eq!(links.read(FileId::random(), &query, NOW), None);
            assert_eq!(Links::new(&[8; 32]).read(file, &query, NOW), None);
        }
    }

    #[test]
    fn nothing_in_a_link_can_be_changed() {
        let links = Links::new(&[7; 32]);
        let file = FileId::random();
        let query = links.query(file, Reader::Room, NOW + 1);
        let until = format!("until={}", NOW + 1);
        for changed in [
            query.replace(&until, &format!("until={}", NOW + 2)),
            query.replace("for=room", &format!("for={}", SessionId::random())),
            query.replace("tag=", "tag=A"),
            query.replace("&tag=", "&x="),
            format!("{query}&for="),
            String::new(),
        ] {
            assert_eq!(links.read(file, &changed, NOW), None, "{changed}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_survived(query: String) {
            prop_assert_eq!(Links::new(&[7; 32]).read(FileId::random(), &query, NOW), None);
        }
    }
}
