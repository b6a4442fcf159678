//! `/.well-known/` (RFC 8615): the operator's small files, for other programs; never a page.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use tokio::sync::Semaphore;
use tracing::{debug, error, warn};

use crate::percent;

/// Where these files are asked for.
pub(super) const PREFIX: &str = "/.well-known/";

/// Files there are a few lines; a large one is somebody's mistake.
const LARGEST_FILE: u64 = 1024 * 1024;
/// Deeper than any registered name.
const DEEPEST: usize = 8;
/// What file systems allow (NAME_MAX).
const LONGEST_NAME: usize = 255;
/// Reads at once. Others wait, so that a flood of requests leaves the threads for files to the rest of the server.
const READERS: usize = 8;

/// The folder, and who reads it at the moment.
#[derive(Debug, Clone)]
pub(super) struct WellKnown {
    folder: Arc<PathBuf>,
    readers: Arc<Semaphore>,
    /// The operator was told of a file that is too large. Once: strangers ask as often as they like.
    told: Arc<AtomicBool>,
}

/// A file's content, and what it may be called.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) kind: &'static str,
    pub(super) body: Vec<u8>,
}

impl WellKnown {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder: Arc::new(folder),
            readers: Arc::new(Semaphore::new(READERS)),
            told: Arc::default(),
        }
    }

    /// The file at a request's path, which begins with [`PREFIX`]; `None` for whatever is not plainly a file there.
    pub(super) async fn find(&self, path: &str) -> Option<File> {
        let names = names_in(path.strip_prefix(PREFIX)?)?;
        let _permit = self.readers.acquire().await.ok()?;
        let folder = Arc::clone(&self.folder);
        let read = tokio::task::spawn_blocking(move || read(&folder, &names));
        match read.await {
            Ok(Ok(file)) => Some(file),
            Ok(Err(reason)) => {
                if reason.kind() == io::ErrorKind::FileTooLarge
                    && !self.told.swap(true, Ordering::Relaxed)
                {
                    warn!("a file under /.well-known/ is larger than 1 MiB and is not served");
                }
                debug!(%reason, "nothing to serve under /.well-known/");
                None
            }
            Err(fault) => {
                error!(%fault, "reading under /.well-known/ failed");
                None
            }
        }
    }
}

/// The names in a path, decoded; `None` when one could lead elsewhere or is hidden.
fn names_in(path: &str) -> Option<Vec<String>> {
    let names: Vec<String> = path.split('/').map(plain_name).collect::<Option<_>>()?;
    (names.len() <= DEEPEST).then_some(names)
}

fn plain_name(encoded: &str) -> Option<String> {
    let name = percent::decode(encoded)?;
    let is_plain = (1..=LONGEST_NAME).contains(&name.len())
        && !name.starts_with('.')
        && !name
            .chars()
            .any(|letter| letter == '/' || letter == '\\' || letter.is_control());
    is_plain.then_some(name)
}

/// Opens name by name and follows no link, so that only what was put there itself is served.
fn read(folder: &PathBuf, names: &[String]) -> io::Result<File> {
    let (file, folders) = names.split_last().ok_or(io::ErrorKind::NotFound)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut at = rustix::fs::openat(CWD, folder, flags | OFlags::DIRECTORY, Mode::empty())?;
    for name in folders {
        let flags = flags | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        at = rustix::fs::openat(&at, name, flags, Mode::empty())?;
    }
    // A pipe would make us wait for its writer.
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = rustix::fs::openat(&at, file, flags, Mode::empty())?;
    let seen = rustix::fs::fstat(&opened)?;
    if FileType::from_raw_mode(seen.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut body = Vec::new();
    std::fs::File::from(opened)
        .take(LARGEST_FILE + 1)
        .read_to_end(&mut body)?;
    if body.len() as u64 > LARGEST_FILE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too large",
        ));
    }
    Ok(File {
        kind: kind_of(file, &body),
        body,
    })
}

/// JSON by name, or by its look where the registered name has no end; all else is text, which nothing runs.
fn kind_of(name: &str, body: &[u8]) -> &'static str {
    let looks_like_json = || {
        body.iter()
            .find(|byte| !byte.is_ascii_whitespace())
            .is_some_and(|byte| *byte == b'{')
    };
    if name.ends_with(".json") || (!name.contains('.') && looks_like_json()) {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_cannot_lead_elsewhere() {
        for path in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "../a",
            "a/../b",
            "%2e%2e/a",
            "%2E%2e",
            "a%2fb",
            "a%5cb",
            "a%00",
            ".env",
            "a/.git",
            "%",
            "%4",
            "%zz",
            "%ff",
            "a/b/c/d/e/f/g/h/i",
        ] {
            assert_eq!(names_in(path), None, "{path}");
        }
        assert!(names_in(&"a".repeat(256)).is_none());
        assert_eq!(
            names_in("acme-challenge/a%20b"),
            Some(vec!["acme-challenge".into(), "a b".into()])
        );
    }

    #[tokio::test]
    async fn only_regular_files_of_the_folder_are_served() {
        let folder =
            std::env::temp_dir().join(format!("turnstone-well-known-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("deep")).unwrap();
        std::fs::write(folder.join("deep/page.html"), "<script>").unwrap();
        std::fs::write(folder.join("associations"), " {\"a\": 1}").unwrap();
        std::fs::write(folder.join("large"), vec![b'a'; 1024 * 1024 + 1]).unwrap();
        symlink("/etc/hostname", folder.join("link")).unwrap();
        symlink("/etc", folder.join("folder")).unwrap();
        rustix::fs::mknodat(CWD, folder.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();

        let well_known = WellKnown::new(folder.clone());
        let page = well_known
            .find("/.well-known/deep/page.html")
            .await
            .unwrap();
        assert_eq!(page.kind, "text/plain; charset=utf-8");
        assert_eq!(
            well_known
                .find("/.well-known/associations")
                .await
                .unwrap()
                .kind,
            "application/json"
        );
        for path in [
            "large",
            "link",
            "folder/hostname",
            "pipe",
            "deep",
            "deep/none",
            "associations/a",
        ] {
            assert_eq!(
                well_known.find(&format!("/.well-known/{path}")).await,
                None,
                "{path}"
            );
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn the_operator_is_told_once_of_a_file_that_is_too_large() {
        use std::io::Write;
        use std::sync::Mutex;

        #[derive(Clone, Default)]
        struct Log(Arc<Mutex<Vec<u8>>>);
        impl Write for Log {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let folder =
            std::env::temp_dir().join(format!("turnstone-well-known-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("large"), vec![b'a'; 1024 * 1024 + 1]).unwrap();
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .finish();
        let _listening = tracing::subscriber::set_default(subscriber);
        let well_known = WellKnown::new(folder.clone());
        for _ in 0..3 {
            assert_eq!(well_known.find("/.well-known/large").await, None);
        }
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("larger than 1 MiB").count(), 1, "{text}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
