//! Which part of a file is asked for (RFC 9110 §14.2, §13.1).

use std::ops::Range;

use hyper::header::{HeaderMap, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing: the client has it already.
    Nothing,
    /// All of it.
    Whole,
    /// These bytes of it.
    Part(Range<u64>),
    /// Bytes that it does not have.
    Beyond,
}

/// What these headers ask for of `size` bytes with this strong `etag`, last changed at `modified`, written
/// as HTTP writes dates.
///
/// A range that cannot be read, is of another unit, or is one of several asks for the whole: a server may
/// do so (§14.2), and players ask for one at a time.
pub(super) fn wanted(headers: &HeaderMap, size: u64, etag: &str, modified: &str) -> Wanted {
    if is_known(headers, etag) {
        return Wanted::Nothing;
    }
    let mut ranges = headers.get_all(RANGE).iter();
    let (range, more) = (ranges.next(), ranges.next());
    let spec = range
        .filter(|_| more.is_none() && is_unchanged(headers.get(IF_RANGE), etag, modified))
        .and_then(|range| range.to_str().ok())
        .and_then(|range| {
            let (unit, spec) = range.split_once('=')?;
            unit.trim().eq_ignore_ascii_case("bytes").then_some(spec)
        });
    match spec {
        Some(spec) => part(spec.trim(), size),
        None => Wanted::Whole,
    }
}

fn part(spec: &str, size: u64) -> Wanted {
    let Some((first, last)) = spec.split_once('-') else {
        return Wanted::Whole;
    };
    let range = match (position(first), position(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(length)) if first.is_empty() => size.saturating_sub(length)..size,
        _ => return Wanted::Whole,
    };
    if range.is_empty() {
        Wanted::Beyond
    } else {
        Wanted::Part(range)
    }
}

/// Digits, however many: what does not fit lies beyond every file.
fn position(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// `If-Range` (§13.1.5): only an exact match is one.
fn is_unchanged(condition: Option<&HeaderValue>, etag: &str, modified: &str) -> bool {
    condition.is_none_or(|condition| condition == etag || condition == modified)
}

/// `If-None-Match` (§13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    const TAG: &str = "\"abc\"";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn asked(headers: &[(HeaderName, &str)], size: u64) -> Wanted {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.clone(), value.parse().unwrap());
        }
        wanted(&map, size, TAG, DATE)
    }

    #[test]
    fn one_range_is_a_part() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-4", Wanted::Part(2..5)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=9-99999999999999999999999", Wanted::Part(9..10)),
            ("Bytes= 0-4", Wanted::Part(0..5)),
            ("bytes=10-", Wanted::Beyond),
            ("bytes=10-12", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=99999999999999999999999-", Wanted::Beyond),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=1", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ] {
            assert_eq!(asked(&[(RANGE, range)], 10), expected, "{range}");
        }
        assert_eq!(asked(&[], 10), Wanted::Whole);
        assert_eq!(asked(&[(RANGE, "bytes=0-")], 0), Wanted::Beyond);
        let twice = [(RANGE, "bytes=0-1"), (RANGE, "bytes=3-4")];
        assert_eq!(asked(&twice, 10), Wanted::Whole);
    }

    #[test]
    fn a_part_of_what_has_changed_is_the_whole() {
        for (condition, expected) in [
            (TAG, Wanted::Part(0..2)),
            (DATE, Wanted::Part(0..2)),
            ("\"other\"", Wanted::Whole),
            ("W/\"abc\"", Wanted::Whole),
            ("Sun, 06 Nov 1994 08:49:38 GMT", Wanted::Whole),
        ] {
            let asked = asked(&[(RANGE, "bytes=0-1"), (IF_RANGE, condition)], 10);
            assert_eq!(asked, expected, "{condition}");
        }
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        for known in [TAG, "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            let asked = asked(&[(IF_NONE_MATCH, known), (RANGE, "bytes=0-1")], 10);
            assert_eq!(asked, Wanted::Nothing, "{known}");
        }
        assert_eq!(asked(&[(IF_NONE_MATCH, "\"x\"")], 10), Wanted::Whole);
    }
}
