//! TLS for every port: which certificate is shown, where it came from, and how a new one takes its place.
//!
//! A certificate from the operator's folder (`files`) comes first; without one the server makes its own (`self_signed`).
//! Either may change while connections are open: those that are open keep what they have.

mod files;
mod names;
mod self_signed;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use ring::digest;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use files::FileError;
pub use names::SanName;

use super::Settings;
use files::Stamp;

/// HTTP/2 (RFC 9113 §3.1).
pub const ALPN_H2: &[u8] = b"h2";
/// HTTP/1.1 (RFC 7301 §6).
pub const ALPN_HTTP1: &[u8] = b"http/1.1";
/// HTTP/1.0, which some programs name; RFC 7301 §6 has it registered.
pub const ALPN_HTTP10: &[u8] = b"http/1.0";
/// TURN over TLS (RFC 7443 §3).
pub const ALPN_TURN: &[u8] = b"stun.turn";

/// Where a certificate is looked for when no folder was named.
const USUAL_FOLDERS: [&str; 2] = ["ssl", "/etc/turnstone/ssl"];

/// How often the folder is looked at. A file is taken up once it has looked the same twice, so that one which is still
/// being written is left alone; twice this is soon enough for a renewal, and a look costs a few `stat` calls.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long to wait after our own certificate could not be made anew; it is due a month before it ends.
const RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The certificate this server shows, and what decides which one it is. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
    folders: Folders,
    data_dir: PathBuf,
    names: Vec<SanName>,
    /// What was last read from the folder, taken or refused, so that it is neither read nor complained about twice.
    seen: Mutex<Stamp>,
    /// When to try again to make our own, after it failed.
    retry: Mutex<Option<SystemTime>>,
}

impl Inner {
    fn show(&self, next: Certificate) {
        info!(source = ?next.source, sha256 = next.fingerprint, "another certificate is shown from now on");
        self.shown.show(next);
    }
}

/// A certificate with its key, ready to be shown, and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    key: Arc<CertifiedKey>,
    source: Source,
    not_after: SystemTime,
    fingerprint: String,
}

/// Where a certificate came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From files the operator put there; browsers are expected to accept it.
    Files,
    /// Made by this server; browsers warn about it.
    SelfSigned,
}

/// Why there is no certificate to show, in a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The folder that was named is not there.
    #[error("The certificate folder {} cannot be opened: {reason}.", .folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// What is in the folder cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A certificate of our own could not be made or kept.
    #[error("No certificate could be made in {}: {reason}.", .folder.display())]
    SelfSigned {
        /// Where it would be kept.
        folder: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The TLS library refuses our settings; a fault of ours.
    #[error("TLS cannot be set up: {0}.")]
    Library(#[from] rustls::Error),
}

/// What looking at the folder again led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// Another certificate is shown now.
    Changed,
    /// The same one is shown as before.
    Same,
}

impl Tls {
    /// Reads the operator's certificate, or else reads or makes our own for `names`, kept under `data_dir`.
    ///
    /// # Errors
    /// A sentence for the operator when the folder holds something that cannot be used, when the folder that was named
    /// does not exist, or when a certificate of our own cannot be kept.
    pub fn load(settings: &Settings, data_dir: &Path, names: &[SanName]) -> Result<Self, TlsError> {
        let folders = Folders::of(settings)?;
        let now = SystemTime::now();
        let (stamp, found) = folders.read();
        let certificate = match found? {
            Some(found) => {
                found.warn(&settings.domains, now);
                found.certificate
            }
            None => self_signed::keep_or_make(data_dir, names, now)?,
        };
        info!(
            source = ?certificate.source,
            sha256 = certificate.fingerprint,
            "certificate loaded"
        );
        let shown = Arc::new(Shown(RwLock::new(certificate)));
        Ok(Self(Arc::new(Inner {
            config: server_config(Arc::clone(&shown))?,
            shown,
            folders,
            data_dir: data_dir.to_owned(),
            names: names.to_vec(),
            seen: Mutex::new(stamp),
            retry: Mutex::default(),
        })))
    }

    /// Accepts handshakes: TLS 1.2 and 1.3, with whatever certificate is shown at the time.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.config))
    }

    /// Whether browsers are expected to accept the certificate: it came from files. Decides about `turns:` and HSTS.
    pub fn is_trusted(&self) -> bool {
        self.source() == Source::Files
    }

    /// Where the certificate came from.
    pub fn source(&self) -> Source {
        self.0.shown.now().source
    }

    /// When the certificate ends, for metrics.
    pub fn not_after(&self) -> SystemTime {
        self.0.shown.now().not_after
    }

    /// The SHA-256 of the certificate, as browsers show it: `AA:BB:…`.
    pub fn fingerprint(&self) -> String {
        self.0.shown.now().fingerprint
    }

    /// Looks at the folder at once and shows what is there. Reads a few small files, so not for every request.
    ///
    /// # Errors
    /// What is there cannot be used; the certificate shown before is still shown.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        let (stamp, found) = self.0.folders.read();
        *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
        let now = SystemTime::now();
        let shown = self.0.shown.now();
        let next = match found? {
            Some(found) => {
                if shown.source == Source::Files && shown.not_after > now {
                    found.check_not_ended(now)?;
                }
                if found.certificate.fingerprint == shown.fingerprint {
                    return Ok(Reloaded::Same);
                }
                found.warn(&[], now);
                found.certificate
            }
            // Files that went away were perhaps moved by hand: what is shown stays until the next start.
            None if shown.source == Source::Files => return Ok(Reloaded::Same),
            None => self_signed::keep_or_make(&self.0.data_dir, &self.0.names, now)?,
        };
        if next.fingerprint == shown.fingerprint {
            return Ok(Reloaded::Same);
        }
        self.0.show(next);
        Ok(Reloaded::Changed)
    }

    /// Looks at the folder now and then until told to stop, and shows a new certificate once it is wholly written. What
    /// cannot be used is said once in the log. Renews our own certificate before it ends.
    pub async fn watch(&self, stop: CancellationToken) {
        self.watch_every(LOOK_EVERY, stop).await;
    }

    /// [`watch`](Self::watch) with another pace, for tests that cannot wait.
    pub async fn watch_every(&self, pace: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let tls = self.clone();
            let before = last.take();
            // Files, perhaps on a slow disk: off the async threads.
            let look = tokio::task::spawn_blocking(move || tls.look(before, SystemTime::now()));
            match look.await {
                Ok(stamp) => last = Some(stamp),
                Err(fault) => error!(%fault, "looking at the certificate folder failed"),
            }
        }
    }

    /// One look: reloads when the folder has changed since it was read, and has settled since the look before.
    fn look(&self, before: Option<Stamp>, now: SystemTime) -> Stamp {
        let stamp = self.0.folders.stamp();
        let changed = stamp != *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if changed && before.as_ref() == Some(&stamp) {
            self.reload_or_say();
        }
        self.renew(now);
        stamp
    }

    /// Makes our own certificate anew when it nears its end; after a failure it is tried again an hour later.
    fn renew(&self, now: SystemTime) {
        let shown = self.0.shown.now();
        let mut retry = self.0.retry.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.source == Source::Files
            || !self_signed::is_near_end(shown.not_after, now)
            || retry.is_some_and(|at| now < at)
        {
            return;
        }
        match self_signed::keep_or_make(&self.0.data_dir, &self.0.names, now) {
            Ok(next) => self.0.show(next),
            Err(reason) => {
                warn!("{reason} The certificate shown before is kept.");
                *retry = Some(now + RETRY_AFTER);
            }
        }
    }

    /// Reloads, and says in the log why the old certificate is kept if the new one cannot be used. For SIGHUP.
    pub fn reload_or_say(&self) {
        if let Err(reason) = self.reload() {
            warn!("{reason} The certificate shown before is kept.");
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("source", &self.source())
            .finish_non_exhaustive()
    }
}

impl Certificate {
    fn new(key: CertifiedKey, source: Source, not_after: SystemTime) -> Self {
        let fingerprint = key
            .cert
            .first()
            .map(|der| fingerprint(der))
            .unwrap_or_default();
        Self {
            key: Arc::new(key),
            source,
            not_after,
            fingerprint,
        }
    }
}

/// The certificate that new handshakes are answered with.
#[derive(Debug)]
struct Shown(RwLock<Certificate>);

impl Shown {
    fn now(&self) -> Certificate {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn show(&self, certificate: Certificate) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificate;
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.0.read().unwrap_or_else(PoisonError::into_inner).key,
        ))
    }
}

/// The folders a certificate may be in, the first that has one counts.
#[derive(Debug)]
struct Folders(Vec<PathBuf>);

impl Folders {
    fn of(settings: &Settings) -> Result<Self, TlsError> {
        let Some(folder) = &settings.ssl_dir else {
            return Ok(Self(USUAL_FOLDERS.map(PathBuf::from).to_vec()));
        };
        // A folder may be empty for now, but one that is not there was mistyped.
        std::fs::read_dir(folder).map_err(|reason| TlsError::NoFolder {
            folder: folder.clone(),
            reason,
        })?;
        Ok(Self(vec![folder.clone()]))
    }

    /// What the folders look like, and the certificate in the first that has one. The look is taken first: whatever
    /// changes during the reading is then seen as a change later.
    fn read(&self) -> (Stamp, Result<Option<files::Found>, FileError>) {
        let stamp = self.stamp();
        let found = self
            .0
            .iter()
            .find_map(|folder| files::read(folder).transpose())
            .transpose();
        (stamp, found)
    }

    fn stamp(&self) -> Stamp {
        Stamp::of(&self.0)
    }
}

fn server_config(shown: Arc<Shown>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    // The first that the client offers as well is spoken. coturn's client offers HTTP beside TURN; no
    // browser offers TURN beside HTTP.
    config.alpn_protocols = [ALPN_TURN, ALPN_H2, ALPN_HTTP1, ALPN_HTTP10]
        .map(<[u8]>::to_vec)
        .to_vec();
    // Resumption without keeping anything per client.
    config.ticketer = provider::Ticketer::new()?;
    Ok(Arc::new(config))
}

fn fingerprint(der: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, der);
    let pairs: Vec<String> = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    pairs.join(":")
}
