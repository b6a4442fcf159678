//! What an operator may set about what is kept.

use std::fmt;
use std::time::Duration;

use super::kind::FileTypes;

/// 1 GiB in bytes.
const GIB: u64 = 1024 * 1024 * 1024;

/// One day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Everything an operator may set about what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The PostgreSQL database; `None` is an SQLite file in the data directory.
    pub database: Option<DatabaseUrl>,
    /// The bucket for files; `None` is a folder in the data directory.
    pub bucket: Option<Bucket>,
    /// The largest file, in bytes.
    pub file_size: u64,
    /// The most that all files of one room may have together, in bytes.
    pub room_files: u64,
    /// The most that all files may have together, in bytes.
    pub all_files: u64,
    /// Which kinds of files may be shared.
    pub file_types: FileTypes,
    /// How long a room is kept that nobody enters; `None` is for ever.
    pub keep_rooms: Option<Duration>,
    /// How long messages are kept; `None` is as long as their room.
    pub keep_messages: Option<Duration>,
    /// How long files are kept; `None` is as long as their room.
    pub keep_files: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: None,
            bucket: None,
            // A long recording of a phone, and what people are told elsewhere a file may have.
            file_size: GIB,
            // One room must not take the place of all others.
            room_files: 4 * GIB,
            // Half of the disk that the smallest servers for rent have.
            all_files: 20 * GIB,
            // Nothing shared can run here, and what people do with it is theirs.
            file_types: FileTypes::all(),
            // Who has not come for a year has other links by now; names become free again.
            keep_rooms: Some(365 * DAY),
            // People look things up in old conversations, and text is small.
            keep_messages: None,
            // Files are what fills a disk, and after three months everyone who wanted one has it.
            keep_files: Some(90 * DAY),
        }
    }
}

/// The address of a PostgreSQL database. It may hold a password, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Checks the address. The mistake is the rest of a sentence, and does not quote it.
    ///
    /// # Errors
    /// When it is no address of a PostgreSQL database.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = url::Url::parse(text).map_err(|error| {
            format!(
                "this is no address of a database, such as postgres://USER:PASSWORD@HOST/NAME: {error}"
            )
        })?;
        match url.scheme() {
            "postgres" | "postgresql" => Ok(Self(text.to_owned())),
            "sqlite" | "file" => Err(
                "SQLite needs no address: without this setting its file is in the data directory"
                    .to_owned(),
            ),
            other => Err(format!(
                "databases called {other} are not known; only postgres:// is"
            )),
        }
    }

    /// The address, password and all.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(hidden)")
    }
}

/// A bucket of an S3-compatible store.
#[derive(Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Scheme, host and port; `None` is Amazon's own for the region.
    pub endpoint: Option<String>,
    /// The bucket's name.
    pub name: String,
    /// What every key begins with; empty, or ends with a slash.
    pub prefix: String,
    /// The region; many other stores do not care.
    pub region: String,
    /// Who asks.
    pub key_id: String,
    /// The secret that goes with it; never printed.
    pub secret: String,
}

impl Bucket {
    /// Reads `https://KEY:SECRET@HOST[:PORT]/BUCKET[/PREFIX][?region=REGION]`, or with `http`; or
    /// `s3://KEY:SECRET@BUCKET[/PREFIX]?region=REGION` for Amazon's own. The mistake is the rest of
    /// a sentence, and does not quote it.
    ///
    /// # Errors
    /// When it is no such address.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "a bucket is written https://KEY:SECRET@HOST/BUCKET, or \
                            s3://KEY:SECRET@BUCKET?region=REGION at Amazon";
        let url = url::Url::parse(text).map_err(|error| format!("{FORM}: {error}"))?;
        let mut region = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "region" if !value.is_empty() => region = Some(value.into_owned()),
                _ => {
                    return Err(
                        "after the question mark stands region=REGION and nothing else".to_owned(),
                    );
                }
            }
        }
        let decoded = |part: &str| {
            url::form_urlencoded::parse(format!("x={}", part.replace('+', "%2B")).as_bytes())
                .map(|(_, value)| value.into_owned())
                .next()
                .unwrap_or_default()
        };
        let key_id = decoded(url.username());
        let secret = decoded(url.password().unwrap_or_default());
        if key_id.is_empty() || secret.is_empty() {
            return Err(format!("the key or its secret is missing; {FORM}"));
        }
        let host = url.host_str().unwrap_or_default();
        let path = url.path().trim_matches('/');
        let (endpoint, name, prefix) = match url.scheme() {
            "s3" if region.is_none() => {
                return Err("Amazon's buckets have a region: add ?region=REGION".to_owned());
            }
            "s3" => (None, host, path),
            scheme @ ("http" | "https") => {
                let port = url
                    .port()
                    .map(|port| format!(":{port}"))
                    .unwrap_or_default();
                let (name, prefix) = path.split_once('/').unwrap_or((path, ""));
                (Some(format!("{scheme}://{host}{port}")), name, prefix)
            }
            _ => return Err(FORM.to_owned()),
        };
        if name.is_empty() || host.is_empty() {
            return Err(format!("the bucket is missing; {FORM}"));
        }
        Ok(Self {
            endpoint,
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
            key_id,
            secret,
        })
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("endpoint", &self.endpoint)
            .field("name", &self.name)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_elsewhere_has_an_endpoint() {
        let bucket =
            Bucket::parse("https://me:a%2Fb+c@s3.example:9000/calls/turn?region=eu").unwrap();
        assert_eq!(bucket.endpoint.as_deref(), Some("https://s3.example:9000"));
        assert_eq!((&*bucket.name, &*bucket.prefix), ("calls", "turn"));
        assert_eq!((&*bucket.key_id, &*bucket.secret), ("me", "a/b+c"));
        assert_eq!(bucket.region, "eu");
        assert!(!format!("{bucket:?}").contains("a/b"));
    }

    #[test]
    fn a_bucket_at_amazon_needs_a_region() {
        assert!(
            Bucket::parse("s3://me:secret@calls")
                .unwrap_err()
                .contains("region")
        );
        let bucket = Bucket::parse("s3://me:secret@calls/x?region=eu-west-1").unwrap();
        assert_eq!(bucket.endpoint, None);
        assert_eq!((&*bucket.name, &*bucket.prefix), ("calls", "x"));
    }

    #[test]
    fn mistakes_are_told_without_secrets() {
        for bad in [
            "calls",
            "ftp://me:hush@h/b",
            "https://h/b",
            "https://me:hush@h/",
            "https://me:hush@h/b?size=3",
        ] {
            let words = Bucket::parse(bad).unwrap_err();
            assert!(!words.contains("hush"), "{words}");
        }
        for bad in ["here", "mysql://me:hush@h/b", "sqlite:x.db"] {
            let words = DatabaseUrl::parse(bad).unwrap_err();
            assert!(!words.contains("hush"), "{words}");
        }
        let url = DatabaseUrl::parse("postgres://me:hush@localhost/calls").unwrap();
        assert!(!format!("{url:?}").contains("hush"));
    }
}
