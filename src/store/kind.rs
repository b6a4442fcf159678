//! What a file is, by its first bytes; what its sender says is only a hint.
//!
//! A table of what people share and what browsers show. Whatever is not in it is not shown, so a
//! kind that is missing here is an inconvenience and never a danger. SVG is not in it: it can hold programs.

use std::fmt;
use std::str::FromStr;

/// How many of a file's first bytes tell what it is.
pub(super) const HEAD: u64 = 64;

/// What is said of a file of which nothing is known.
const UNKNOWN: &str = "application/octet-stream";

/// The longest type that a sender may say; registered ones are shorter.
const CLAIM_MAX: usize = 127;

/// Every kind that is told by its bytes, and whether browsers show it in place, and safely.
const KNOWN: &[(&str, bool)] = &[
    ("image/png", true),
    ("image/jpeg", true),
    ("image/gif", true),
    ("image/webp", true),
    ("image/avif", true),
    ("image/heic", false),
    ("image/bmp", false),
    ("image/tiff", false),
    ("audio/mpeg", true),
    ("audio/aac", true),
    ("audio/mp4", true),
    ("audio/ogg", true),
    ("audio/webm", true),
    ("audio/wav", true),
    ("audio/flac", true),
    ("video/mp4", true),
    ("video/webm", true),
    ("video/ogg", true),
    ("video/quicktime", false),
    ("video/x-matroska", false),
    ("video/x-msvideo", false),
    ("application/pdf", false),
    ("application/zip", false),
    ("application/gzip", false),
];

/// The kind's own spelling, and whether it is shown, when it is told by its bytes.
fn known(kind: &str) -> Option<(&'static str, bool)> {
    KNOWN.iter().copied().find(|(name, _)| *name == kind)
}

/// Whether browsers may show a file of this kind in place.
#[must_use]
pub fn is_shown(kind: &str) -> bool {
    known(kind).is_some_and(|(_, shown)| shown)
}

/// What may stand in `Content-Type` when a file of this kind is sent: what its bytes have told, and
/// for everything else a type that nothing opens.
#[must_use]
pub fn sent_as(kind: &str) -> &'static str {
    known(kind).map_or(UNKNOWN, |(name, _)| name)
}

/// The kind of a file that begins with `head`, of which its sender says that it is a `claim`.
///
/// What its bytes tell counts. A claim holds where they tell nothing, but not one of being seen or heard:
/// then they would have told.
pub(super) fn told(head: &[u8], claim: &str) -> String {
    if let Some(kind) = by_bytes(head, claim) {
        return kind.to_owned();
    }
    let claim = claimed(claim);
    let is_media = ["image/", "audio/", "video/"]
        .iter()
        .any(|family| claim.starts_with(family));
    if is_media || known(&claim).is_some() {
        return UNKNOWN.to_owned();
    }
    claim
}

/// A claim as it is kept: a media type without parameters in lower case (RFC 9110 §8.3.1), or the unknown.
pub(super) fn claimed(claim: &str) -> String {
    let claim = claim.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    let is_type = claim
        .split_once('/')
        .is_some_and(|(family, name)| is_token(family) && is_token(name));
    if is_type && claim.len() <= CLAIM_MAX {
        claim.to_ascii_lowercase()
    } else {
        UNKNOWN.to_owned()
    }
}

fn by_bytes(head: &[u8], claim: &str) -> Option<&'static str> {
    let at = |start: usize, bytes: &[u8]| {
        head.get(start..)
            .is_some_and(|rest| rest.starts_with(bytes))
    };
    let says_audio = claimed(claim).starts_with("audio/");
    let heard_or_seen = |audio, video| if says_audio { audio } else { video };
    Some(match head {
        _ if at(0, b"\x89PNG\r\n\x1a\n") => "image/png",
        _ if at(0, b"\xff\xd8\xff") => "image/jpeg",
        _ if at(0, b"GIF87a") || at(0, b"GIF89a") => "image/gif",
        _ if at(0, b"RIFF") && at(8, b"WEBP") => "image/webp",
        _ if at(0, b"RIFF") && at(8, b"WAVE") => "audio/wav",
        _ if at(0, b"RIFF") && at(8, b"AVI ") => "video/x-msvideo",
        _ if at(0, b"II*\0") || at(0, b"MM\0*") => "image/tiff",
        // The size of the whole follows, then four bytes that are always zero.
        _ if at(0, b"BM") && at(6, &[0; 4]) => "image/bmp",
        // ISO base media (ISO/IEC 14496-12 §4.3): the brand tells what is in it.
        _ if at(4, b"ftyp") => match head.get(8..12)? {
            b"avif" | b"avis" => "image/avif",
            b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" => "image/heic",
            b"M4A " | b"M4B " => "audio/mp4",
            b"qt  " => "video/quicktime",
            _ => heard_or_seen("audio/mp4", "video/mp4"),
        },
        // Matroska and WebM (RFC 8794 §11.2): the name of the format stands in the first element.
        _ if at(0, b"\x1a\x45\xdf\xa3") => {
            if head.windows(4).any(|bytes| bytes == b"webm") {
                heard_or_seen("audio/webm", "video/webm")
            } else {
                "video/x-matroska"
            }
        }
        // Ogg (RFC 3533 §6): the first page begins with what the codec is called.
        _ if at(0, b"OggS") => {
            if at(28, b"\x80theora") || at(28, b"fishead\0") {
                "video/ogg"
            } else {
                "audio/ogg"
            }
        }
        _ if at(0, b"fLaC") => "audio/flac",
        _ if at(0, b"ID3") => "audio/mpeg",
        // A frame of AAC has layer 0 (ISO/IEC 13818-7 §6.2), one of MP3 layer 3.
        [0xff, second, ..] if second & 0xf6 == 0xf0 => "audio/aac",
        [0xff, second, ..] if second & 0xe6 == 0xe2 => "audio/mpeg",
        _ if at(0, b"%PDF-") => "application/pdf",
        _ if at(0, b"PK\x03\x04") || at(0, b"PK\x05\x06") => {
            // Documents of offices are archives; what they are called tells more.
            return known_archive(claim).or(Some("application/zip"));
        }
        _ if at(0, b"\x1f\x8b") => "application/gzip",
        _ => return None,
    })
}

/// An archive is what it is said to be where that is the form of a document.
fn known_archive(claim: &str) -> Option<&'static str> {
    const DOCUMENTS: &[&str] = &[
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.presentation",
        "application/epub+zip",
    ];
    let claim = claimed(claim);
    DOCUMENTS.iter().copied().find(|name| *name == claim)
}

/// Which kinds of files people may share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTypes(Vec<FileType>);

/// A kind, or all of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileType {
    family: String,
    /// `None` is all of the family.
    name: Option<String>,
}

impl FileTypes {
    /// All of them.
    #[must_use]
    pub const fn all() -> Self {
        Self(Vec::new())
    }

    /// These alone; none of them means all.
    #[must_use]
    pub const fn only(types: Vec<FileType>) -> Self {
        Self(types)
    }

    /// What was asked for; empty when all are allowed.
    #[must_use]
    pub fn as_slice(&self) -> &[FileType] {
        &self.0
    }

    /// Whether files of this kind may be shared.
    #[must_use]
    pub fn allow(&self, kind: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|allowed| allowed.holds(kind))
    }
}

impl FileType {
    fn holds(&self, kind: &str) -> bool {
        kind.split_once('/').is_some_and(|(family, name)| {
            family == self.family && self.name.as_deref().is_none_or(|own| own == name)
        })
    }
}

impl FromStr for FileType {
    type Err = &'static str;

    /// Reads `image/png` or `image/*`. The mistake is the rest of a sentence.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a type of files is written image/png, or image/* for all pictures";
        let (family, name) = text.split_once('/').ok_or(FORM)?;
        let name = (name != "*").then_some(name);
        let whole = format!("{family}/{}", name.unwrap_or("x"));
        if claimed(&whole) != whole.to_ascii_lowercase() || family == "*" {
            return Err(FORM);
        }
        Ok(Self {
            family: family.to_ascii_lowercase(),
            name: name.map(str::to_ascii_lowercase),
        })
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.family, self.name.as_deref().unwrap_or("*"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_tell_what_a_file_is_whatever_is_said_of_it() {
        for (head, kind) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"GIF89a", "image/gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (b"\0\0\0\x20ftypavif", "image/avif"),
            (b"\0\0\0\x18ftypheic", "image/heic"),
            (b"\0\0\0\x18ftypisom", "video/mp4"),
            (b"\0\0\0\x18ftypM4A ", "audio/mp4"),
            (b"\0\0\0\x14ftypqt  ", "video/quicktime"),
            (
                b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm",
                "video/webm",
            ),
            (
                b"\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska",
                "video/x-matroska",
            ),
            (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
            (b"ID3\x04\0", "audio/mpeg"),
            (b"\xff\xfb\x90\0", "audio/mpeg"),
            (b"\xff\xf1\x50\x80", "audio/aac"),
            (b"fLaC\0\0\0\x22", "audio/flac"),
            (b"%PDF-1.7", "application/pdf"),
            (b"PK\x03\x04\x14\0", "application/zip"),
        ] {
            for claim in ["", "text/html", "image/svg+xml", "application/pdf"] {
                assert_eq!(told(head, claim), kind, "{claim}");
            }
            assert_eq!(sent_as(kind), kind);
        }
        let mut opus = b"OggS".to_vec();
        opus.resize(28, 0);
        opus.extend_from_slice(b"OpusHead");
        assert_eq!(told(&opus, "video/ogg"), "audio/ogg");
        let webm = b"\x1a\x45\xdf\xa3\x42\x82\x84webm";
        assert_eq!(told(webm, "audio/webm;codecs=opus"), "audio/webm");
    }

    #[test]
    fn a_claim_holds_where_bytes_tell_nothing_but_never_makes_a_file_shown() {
        for (claim, kind) in [
            ("text/plain", "text/plain"),
            ("Text/HTML; charset=utf-8", "text/html"),
            ("image/png", UNKNOWN),
            ("image/svg+xml", UNKNOWN),
            ("video/anything", UNKNOWN),
            ("application/pdf", UNKNOWN),
            ("", UNKNOWN),
            ("text", UNKNOWN),
            ("text/", UNKNOWN),
            ("text/pl ain", UNKNOWN),
            ("text/plain\r\nX: y", UNKNOWN),
            ("a/b/c", UNKNOWN),
        ] {
            for head in [
                &b""[..],
                b"<svg xmlns",
                b"<!doctype html>",
                b"\xff",
                b"RIFF",
            ] {
                let told = told(head, claim);
                assert_eq!(told, kind, "{claim}");
                assert!(!is_shown(&told));
                assert_eq!(sent_as(&told), UNKNOWN);
            }
        }
        let long = format!("text/{}", "x".repeat(CLAIM_MAX));
        assert_eq!(told(b"", &long), UNKNOWN);
    }

    #[test]
    fn a_document_is_more_than_an_archive() {
        let document = "application/vnd.oasis.opendocument.text";
        assert_eq!(told(b"PK\x03\x04", document), document);
        assert_eq!(sent_as(document), UNKNOWN);
        assert_eq!(told(b"PK\x03\x04", "application/x-evil"), "application/zip");
    }

    #[test]
    fn kinds_may_be_restricted() {
        let types = |list: &[&str]| {
            FileTypes::only(list.iter().map(|text| text.parse().unwrap()).collect())
        };
        let some = types(&["image/*", "Application/PDF"]);
        for (kind, allowed) in [
            ("image/png", true),
            ("application/pdf", true),
            ("application/zip", false),
            ("imagex/png", false),
            (UNKNOWN, false),
        ] {
            assert_eq!(some.allow(kind), allowed, "{kind}");
            assert!(FileTypes::all().allow(kind));
        }
        assert_eq!(some.as_slice()[1].to_string(), "application/pdf");
        for bad in ["png", "*/*", "*", "image/", "/png", "image/p*", "a/b/c", ""] {
            assert!(bad.parse::<FileType>().is_err(), "{bad}");
        }
    }
}
