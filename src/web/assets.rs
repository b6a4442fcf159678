//! Everything the page is made of, as data known when the program was built: one table, asked by path.
//!
//! Files live for ever under `/v/<hash of all>/`, so a browser asks for each only once and never mixes two versions. The
//! few that browsers look for at fixed places are asked for again each time, and carry that prefix where they have
//! [`PLACEHOLDER`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::{LazyLock, OnceLock};

use bytes::Bytes;
use ring::digest;
use rust_embed::RustEmbed;

/// What the files at fixed places have where the versioned prefix belongs.
pub const PLACEHOLDER: &str = "/v/dev/";

/// The files at fixed places: the file, and where browsers look for it.
const FIXED: [(&str, &[&str]); 4] = [
    ("index.html", &["/"]),
    ("sw.js", &["/sw.js"]),
    (
        "manifest.webmanifest",
        &["/manifest.webmanifest", "/manifest.json"],
    ),
    ("robots.txt", &["/robots.txt"]),
];

/// What is shown to those who ask for `/favicon.ico` without having read the page; the first that is there.
const FAVICONS: [&str; 3] = ["favicon.ico", "icon.svg", "icon-192.png"];

/// Good compression at a tenth of a second for everything; the highest level takes ten times that for a few percent.
const BROTLI_LEVEL: u32 = 9;
/// The usual window of 4 MiB, which is more than any file here.
const BROTLI_WINDOW: u32 = 22;
const BROTLI_BUFFER: usize = 4096;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Files;

/// One file as it is served.
#[derive(Debug)]
pub struct Asset {
    /// The media type.
    pub kind: &'static str,
    /// Where it may be kept, and for how long.
    pub caching: Caching,
    body: Bytes,
    hash: String,
    brotli: OnceLock<Option<Bytes>>,
    gzip: OnceLock<Option<Bytes>>,
}

/// How long a browser may keep a file without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// Its path names its content.
    ForEver,
    /// Each time it is asked whether there is a newer one.
    AskAgain,
}

/// How a body is written on the wire (RFC 9110 §8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// Brotli (RFC 7932).
    Brotli,
    /// Gzip (RFC 1952).
    Gzip,
}

/// The asset at a path, such as `/` or `/v/<hash>/app.js`.
pub fn find(path: &str) -> Option<&'static Asset> {
    let table = &*TABLE;
    table
        .paths
        .get(path)
        .and_then(|index| table.assets.get(*index))
}

/// Every path there is, for tests.
pub fn paths() -> impl Iterator<Item = &'static str> {
    TABLE.paths.keys().map(String::as_str)
}

/// What names this version of the files: `/v/<hash>/`.
pub fn prefix() -> &'static str {
    &TABLE.prefix
}

/// Compresses everything, so that nobody waits for it later. Takes some tenths of a second: not for the async threads.
pub fn compress_all() {
    for asset in &TABLE.assets {
        asset.compressed(Encoding::Brotli);
        asset.compressed(Encoding::Gzip);
    }
}

impl Asset {
    /// The body in this encoding, or as it is when it cannot be made smaller; with what it really is. The first time
    /// for each takes some milliseconds; see [`is_ready`](Self::is_ready).
    pub fn body(&self, wanted: Encoding) -> (Encoding, Bytes) {
        match self.compressed(wanted) {
            Some(bytes) => (wanted, bytes.clone()),
            None => (Encoding::Identity, self.body.clone()),
        }
    }

    /// Whether [`body`](Self::body) answers at once.
    pub fn is_ready(&self, wanted: Encoding) -> bool {
        self.stored(wanted)
            .is_none_or(|stored| stored.get().is_some())
    }

    /// Names the content in this encoding (RFC 9110 §8.8.3), quotes included.
    pub fn etag(&self, encoding: Encoding) -> String {
        format!("\"{}{}\"", self.hash, encoding.suffix())
    }

    /// Whether there is more than one way to write it, so that caches must keep them apart.
    pub fn varies(&self) -> bool {
        is_text(self.kind)
    }

    fn stored(&self, encoding: Encoding) -> Option<&OnceLock<Option<Bytes>>> {
        match encoding {
            _ if !self.varies() => None,
            Encoding::Identity => None,
            Encoding::Brotli => Some(&self.brotli),
            Encoding::Gzip => Some(&self.gzip),
        }
    }

    fn compressed(&self, encoding: Encoding) -> Option<&Bytes> {
        let stored = self.stored(encoding)?;
        stored
            .get_or_init(|| {
                let bytes = match encoding {
                    Encoding::Brotli => brotli(&self.body),
                    _ => gzip(&self.body),
                };
                bytes
                    .ok()
                    .filter(|bytes| bytes.len() < self.body.len())
                    .map(Bytes::from)
            })
            .as_ref()
    }
}

impl Encoding {
    /// The name in `Content-Encoding`, which the identity does not have.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Brotli => "-br",
            Self::Gzip => "-gzip",
        }
    }
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::build);

struct Table {
    prefix: String,
    assets: Vec<Asset>,
    paths: HashMap<String, usize>,
}

impl Table {
    fn build() -> Self {
        let mut files: Vec<(Cow<'static, str>, Cow<'static, [u8]>)> = Files::iter()
            .filter_map(|path| Files::get(&path).map(|file| (path, file.data)))
            .collect();
        files.sort();
        let prefix = format!("/v/{}/", hash_of_all(&files));

        let favicon = FAVICONS
            .iter()
            .find_map(|name| files.iter().find(|(path, _)| path == name));
        let favicon = favicon.cloned();
        let mut table = Self {
            prefix,
            assets: Vec::new(),
            paths: HashMap::new(),
        };
        for (path, body) in files {
            let fixed = FIXED
                .iter()
                .find(|(file, _)| *file == path)
                .map(|(_, places)| *places);
            match fixed {
                Some(places) => {
                    let body =
                        with_prefix(&body, &table.prefix).map_or_else(|| whole(body), Bytes::from);
                    table.add(
                        &path,
                        body,
                        Caching::AskAgain,
                        places.iter().map(|&at| at.to_owned()),
                    );
                }
                None => {
                    let at = format!("{}{path}", table.prefix);
                    table.add(&path, whole(body), Caching::ForEver, [at]);
                }
            }
        }
        if let Some((path, body)) = favicon {
            table.add(
                &path,
                whole(body),
                Caching::AskAgain,
                ["/favicon.ico".to_owned()],
            );
        }
        table
    }

    fn add(
        &mut self,
        file: &str,
        body: Bytes,
        caching: Caching,
        places: impl IntoIterator<Item = String>,
    ) {
        let index = self.assets.len();
        self.paths
            .extend(places.into_iter().map(|place| (place, index)));
        self.assets.push(Asset {
            kind: kind_of(file),
            caching,
            hash: short_hash(&body),
            body,
            brotli: OnceLock::new(),
            gzip: OnceLock::new(),
        });
    }
}

fn whole(body: Cow<'static, [u8]>) -> Bytes {
    match body {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    }
}

/// The text with every placeholder replaced, or `None` where there is none.
fn with_prefix(body: &[u8], prefix: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    text.contains(PLACEHOLDER)
        .then(|| text.replace(PLACEHOLDER, prefix))
}

/// Names and contents of all files, each with its length in front so that no two lists look alike.
fn hash_of_all(files: &[(Cow<'static, str>, Cow<'static, [u8]>)]) -> String {
    let mut all = Vec::new();
    for (path, body) in files {
        for part in [path.as_bytes(), body] {
            all.extend_from_slice(&(part.len() as u64).to_be_bytes());
            all.extend_from_slice(digest::digest(&digest::SHA256, part).as_ref());
        }
    }
    short_hash(&all)
}

/// 64 bits, which is plenty to tell the versions of one program apart.
fn short_hash(bytes: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn brotli(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let out = Vec::with_capacity(body.len() / 3);
    let mut writer = brotli::CompressorWriter::new(out, BROTLI_BUFFER, BROTLI_LEVEL, BROTLI_WINDOW);
    writer.write_all(body)?;
    Ok(writer.into_inner())
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let out = Vec::with_capacity(body.len() / 3);
    let mut writer = flate2::write::GzEncoder::new(out, flate2::Compression::best());
    writer.write_all(body)?;
    writer.finish()
}

fn is_text(kind: &str) -> bool {
    kind.starts_with("text/")
        || matches!(
            kind,
            "application/json" | "application/manifest+json" | "image/svg+xml"
        )
}

/// The media type by the end of the name.
fn kind_of(file: &str) -> &'static str {
    let name = file.rsplit('/').next().unwrap_or(file);
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    match end {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "md" | "txt" | "ts" => "text/plain; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "mp3" => "audio/mpeg",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "wasm" => "application/wasm",
        // Licences and the like, without an end.
        "" | "LICENSE" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_in_the_table() {
        let embedded: BTreeSet<String> = Files::iter().map(Cow::into_owned).collect();
        let mut on_disk = BTreeSet::new();
        collect(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/assets")),
            "",
            &mut on_disk,
        );
        assert_eq!(embedded, on_disk);
    }

    fn collect(folder: &Path, prefix: &str, into: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                collect(&entry.path(), &format!("{name}/"), into);
            } else {
                into.insert(name);
            }
        }
    }

    #[test]
    fn files_at_fixed_places_carry_the_prefix_of_this_version() {
        let page = with_prefix(b"<script src=\"/v/dev/app.js\">/v/dev/x", "/v/1234/");
        assert_eq!(
            page.as_deref(),
            Some("<script src=\"/v/1234/app.js\">/v/1234/x")
        );
        assert_eq!(with_prefix(b"/v/development", "/v/1234/"), None);
        assert_eq!(with_prefix(b"\xff/v/dev/", "/v/1234/"), None);
        let (_, page) = find("/").unwrap().body(Encoding::Identity);
        assert!(
            !page
                .windows(PLACEHOLDER.len())
                .any(|part| part == PLACEHOLDER.as_bytes())
        );
    }

    #[test]
    fn another_name_or_another_content_is_another_version() {
        let files = |list: &[(&'static str, &'static str)]| {
            let list: Vec<_> = list
                .iter()
                .map(|(path, body)| ((*path).into(), body.as_bytes().into()))
                .collect();
            hash_of_all(&list)
        };
        let versions = BTreeSet::from([
            files(&[("a", "1")]),
            files(&[("a", "2")]),
            files(&[("b", "1")]),
            files(&[("a", "1"), ("b", "1")]),
            files(&[("a1", "")]),
        ]);
        assert_eq!(versions.len(), 5);
    }

    #[test]
    fn pictures_are_not_compressed_again() {
        assert!(!is_text(kind_of("icon.png")));
        assert!(is_text(kind_of("app.js")));
        assert!(is_text(kind_of("vendor/preact-10.0/LICENSE")));
    }
}
