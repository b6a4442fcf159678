//! What stands in the headers of a resumable upload (tus 1.0.0, <https://tus.io/protocols/resumable-upload>).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName};

use super::name;
use crate::id::SessionId;

/// The only version spoken.
pub(super) const VERSION: &str = "1.0.0";

/// What is understood beyond the core. A deferred length is not: limits are checked before the first byte.
pub(super) const EXTENSIONS: &str = "creation,creation-with-upload,termination,expiration";

/// The media type of the bytes of an upload.
pub(super) const BYTES: &str = "application/offset+octet-stream";

pub(super) const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(super) const VERSIONS: HeaderName = HeaderName::from_static("tus-version");
pub(super) const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub(super) const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(super) const LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(super) const DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
pub(super) const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(super) const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub(super) const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");

/// The longest metadata: a name of 255 bytes and a type in base64, and what other clients add.
const METADATA_MAX: usize = 4096;

/// The most pairs in it; clients send about five.
const PAIRS_MAX: usize = 32;

/// Encoders differ on whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a header of an upload has wrong, in words for the developer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mistake {
    /// Not, or not so that it can be read.
    #[error("the header Upload-Length says how many bytes the file has")]
    Length,
    /// The length is to be said later.
    #[error("the length of a file must be known: Upload-Defer-Length is not supported")]
    Deferred,
    /// No position.
    #[error("the header Upload-Offset says at which byte this part begins")]
    Offset,
    /// Not tus' form.
    #[error(
        "the header Upload-Metadata holds pairs of a key and a value in base64, separated by commas"
    )]
    Metadata,
    /// More than anybody needs.
    #[error("the header Upload-Metadata is too long")]
    TooLong,
    /// No session's id.
    #[error("`to` in Upload-Metadata is the session id of one person in the room")]
    To,
}

/// What is said of a file before its bytes come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announced {
    /// Its size in bytes.
    pub(super) size: u64,
    /// Its name, cleaned.
    pub(super) name: String,
    /// The type that the sender says it has.
    pub(super) kind: String,
    /// For whom alone.
    pub(super) to: Option<SessionId>,
}

/// Whether the request is one of tus: others have no version in it.
pub(super) fn is_spoken(headers: &HeaderMap) -> bool {
    headers.contains_key(RESUMABLE)
}

/// Whether it is of the version that is spoken here.
pub(super) fn is_understood(headers: &HeaderMap) -> bool {
    headers
        .get(RESUMABLE)
        .is_some_and(|version| version == VERSION)
}

/// Whether what follows the head are bytes of an upload.
pub(super) fn has_bytes(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().eq_ignore_ascii_case(BYTES.as_bytes()))
}

/// Reads the announcement of a file (tus, "Creation").
pub(super) fn announced(headers: &HeaderMap) -> Result<Announced, Mistake> {
    if headers.contains_key(DEFER_LENGTH) {
        return Err(Mistake::Deferred);
    }
    let size = number(headers, &LENGTH).ok_or(Mistake::Length)?;
    let mut announced = Announced {
        size,
        name: name::cleaned(""),
        kind: String::new(),
        to: None,
    };
    let Some(metadata) = headers.get(METADATA) else {
        return Ok(announced);
    };
    let metadata = metadata.to_str().map_err(|_| Mistake::Metadata)?;
    for (key, value) in pairs(metadata)? {
        match key {
            // Uppy writes `name` and `type`, the examples of tus `filename` and `filetype`.
            "filename" | "name" => announced.name = name::cleaned(&value),
            "filetype" | "type" => announced.kind = value,
            "to" if !value.is_empty() => {
                announced.to = Some(value.parse().map_err(|_| Mistake::To)?);
            }
            _ => {}
        }
    }
    Ok(announced)
}

/// At which byte a part begins.
pub(super) fn offset(headers: &HeaderMap) -> Result<u64, Mistake> {
    number(headers, &OFFSET).ok_or(Mistake::Offset)
}

/// A header that holds digits and nothing else, once.
fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut values = headers.get_all(name).iter();
    let (value, more) = (values.next()?, values.next());
    let text = value.to_str().ok()?;
    (more.is_none() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn pairs(metadata: &str) -> Result<Vec<(&str, String)>, Mistake> {
    if metadata.len() > METADATA_MAX {
        return Err(Mistake::TooLong);
    }
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for pair in metadata.split(',').map(str::trim) {
        if pair.is_empty() {
            continue;
        }
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let is_new = pairs.iter().all(|(other, _)| *other != key);
        if key.is_empty() || !is_new || pairs.len() == PAIRS_MAX {
            return Err(Mistake::Metadata);
        }
        let value = BASE64.decode(value.trim()).map_err(|_| Mistake::Metadata)?;
        let value = String::from_utf8(value).map_err(|_| Mistake::Metadata)?;
        pairs.push((key, value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn with_metadata(metadata: &str) -> Result<Announced, Mistake> {
        announced(&headers(&[
            ("upload-length", "5"),
            ("upload-metadata", metadata),
        ]))
    }

    #[test]
    fn an_announcement_holds_name_type_and_receiver() {
        let to = SessionId::random();
        let encoded = |text: &str| BASE64.encode(text);
        let metadata = format!(
            "filename {},filetype {}, to {},is_confidential",
            encoded("Käse.png"),
            encoded("image/png"),
            encoded(&to.to_string()),
        );
        assert_eq!(
            with_metadata(&metadata),
            Ok(Announced {
                size: 5,
                name: "Käse.png".to_owned(),
                kind: "image/png".to_owned(),
                to: Some(to),
            })
        );
        let unpadded = with_metadata("name YS50eHQ,type dGV4dC9wbGFpbg").unwrap();
        assert_eq!(unpadded.name, "a.txt");
        assert_eq!(unpadded.kind, "text/plain");
    }

    #[test]
    fn a_file_may_come_without_a_name_but_not_without_a_length() {
        let plain = announced(&headers(&[("upload-length", "0")])).unwrap();
        assert_eq!((&*plain.name, plain.size), ("file", 0));
        for length in ["", "-1", "+1", "1.0", "0x10", "99999999999999999999", " "] {
            let asked = announced(&headers(&[("upload-length", length)]));
            assert_eq!(asked, Err(Mistake::Length), "{length:?}");
        }
        let twice = headers(&[("upload-length", "1"), ("upload-length", "1")]);
        assert_eq!(announced(&twice), Err(Mistake::Length));
        let later = headers(&[("upload-defer-length", "1")]);
        assert_eq!(announced(&later), Err(Mistake::Deferred));
    }

    #[test]
    fn metadata_that_is_none_is_refused() {
        for bad in [
            "filename a",
            "filename ////=",
            "filename //79",
            "filename YQ==,filename Yg==",
            " filename YQ== YQ==",
        ] {
            assert_eq!(with_metadata(bad), Err(Mistake::Metadata), "{bad}");
        }
        assert_eq!(with_metadata("to YQ=="), Err(Mistake::To));
        let long = format!("filename {}", "YWFh".repeat(METADATA_MAX / 4));
        assert_eq!(with_metadata(&long), Err(Mistake::TooLong));
        let many: Vec<String> = (0..=PAIRS_MAX).map(|n| format!("k{n}")).collect();
        assert_eq!(with_metadata(&many.join(",")), Err(Mistake::Metadata));
    }

    #[test]
    fn only_one_version_is_understood() {
        for (version, is_ours) in [("1.0.0", true), ("0.2.2", false), ("1.0.0, 0.2", false)] {
            let headers = headers(&[("tus-resumable", version)]);
            assert!(is_spoken(&headers));
            assert_eq!(is_understood(&headers), is_ours, "{version}");
        }
        assert!(!is_understood(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn any_metadata_is_survived(metadata in "[ -~]{0,200}") {
            let _ = with_metadata(&metadata);
        }
    }
}
