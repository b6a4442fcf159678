//! The certificate in the operator's folder, under the names certificates usually have, and what is wrong with it.

use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject, SectionKind};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::sign::CertifiedKey;
use tracing::warn;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Certificate, Source};

/// One way of naming the files; the first of a folder that is there counts.
struct Naming {
    certificate: &'static str,
    key: &'static str,
    /// The certificates between ours and the authority's; may be missing.
    chain: Option<&'static str>,
}

/// `1` is how the files of a first issue are named where every issue is kept. A full chain comes before a lone
/// certificate, since browsers need what is between.
const NAMINGS: [Naming; 6] = [
    Naming {
        certificate: "cert1.pem",
        key: "privkey1.pem",
        chain: Some("chain1.pem"),
    },
    Naming {
        certificate: "fullchain1.pem",
        key: "privkey1.pem",
        chain: None,
    },
    Naming {
        certificate: "cert1.pem",
        key: "privkey1.pem",
        chain: None,
    },
    Naming {
        certificate: "cert.pem",
        key: "privkey.pem",
        chain: Some("chain.pem"),
    },
    Naming {
        certificate: "fullchain.pem",
        key: "privkey.pem",
        chain: None,
    },
    Naming {
        certificate: "cert.pem",
        key: "privkey.pem",
        chain: None,
    },
];

/// Every name above, to notice a change of any.
const NAMES: [&str; 8] = [
    "cert1.pem",
    "privkey1.pem",
    "chain1.pem",
    "fullchain1.pem",
    "cert.pem",
    "privkey.pem",
    "chain.pem",
    "fullchain.pem",
];

/// Certificates are a few KiB; whatever is larger is another kind of file.
const LARGEST_FILE: u64 = 256 * 1024;

/// A chain is two or three long; each is sent in every handshake.
const LONGEST_CHAIN: usize = 10;

/// What is wrong with a file, in a sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}.", .file.display())]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a certificate's files.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The system does not let us read it.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is far larger than certificates are.
    #[error("it is larger than {} KiB, which no certificate is", LARGEST_FILE / 1024)]
    TooLarge,
    /// A part begins but does not end, or is not what PEM is.
    #[error("it is damaged or was only half written: {0}")]
    Damaged(String),
    /// There is no certificate in it.
    #[error("there is no certificate in it (a part that begins with -----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// More certificates than any chain has.
    #[error("there are more than {LONGEST_CHAIN} certificates in it")]
    TooMany,
    /// There is no private key in it.
    #[error("there is no private key in it (a part that begins with -----BEGIN PRIVATE KEY-----)")]
    NoKey,
    /// The key is protected by a passphrase, which a server has nobody to ask for.
    #[error(
        "the private key is encrypted; store it without a passphrase: openssl pkey -in {0} -out {0}.new, and use the new file"
    )]
    Encrypted(&'static str),
    /// A key of a kind or size that is not supported.
    #[error(
        "private keys of this kind are not supported (RSA of 2048 bits or more, ECDSA P-256 or P-384, Ed25519 are)"
    )]
    UnknownKey,
    /// Certificate and key are of two different pairs.
    #[error("this private key does not belong to the certificate in {0}")]
    Mismatched(&'static str),
    /// The other half of the pair is missing.
    #[error("it is missing, although {0} is there")]
    Missing(&'static str),
    /// The new one ended already, while the one shown still lasts.
    #[error("this certificate ended on {0}, and the one shown now has not")]
    Ended(String),
}

/// What the folders' files look like from outside; differs as soon as one of them is replaced or written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<Look>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    file: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(folders: &[PathBuf]) -> Self {
        let files = folders
            .iter()
            .flat_map(|folder| NAMES.map(|name| folder.join(name)));
        Self(
            files
                .map(|file| std::fs::metadata(file).ok().map(|seen| Look::at(&seen)))
                .collect(),
        )
    }
}

impl Look {
    fn at(seen: &std::fs::Metadata) -> Self {
        Self {
            file: (seen.dev(), seen.ino()),
            size: seen.size(),
            written: (seen.mtime(), seen.mtime_nsec()),
            changed: (seen.ctime(), seen.ctime_nsec()),
        }
    }
}

/// A certificate that can be shown, though there may be something to warn about.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) certificate: Certificate,
    file: PathBuf,
    key_file: PathBuf,
    not_before: SystemTime,
    ends: String,
    /// Issued by somebody else, without the certificates in between.
    lacks_chain: bool,
}

/// The certificate in `folder`, or `None` when there is none of its files.
pub(super) fn read(folder: &Path) -> Result<Option<Found>, FileError> {
    let is_there = |name: &str| folder.join(name).symlink_metadata().is_ok();
    let complete = NAMINGS.iter().find(|naming| {
        is_there(naming.certificate) && is_there(naming.key) && naming.chain.is_none_or(is_there)
    });
    if let Some(naming) = complete {
        return naming.read(folder).map(Some);
    }
    for naming in NAMINGS {
        let (missing, there) = match (is_there(naming.certificate), is_there(naming.key)) {
            (true, false) => (naming.key, naming.certificate),
            (false, true) => (naming.certificate, naming.key),
            _ => continue,
        };
        return Err(FileError {
            file: folder.join(missing),
            fault: Fault::Missing(there),
        });
    }
    Ok(None)
}

impl Naming {
    fn read(&self, folder: &Path) -> Result<Found, FileError> {
        let at = |name: &str| {
            let file = folder.join(name);
            move |fault| FileError { file, fault }
        };
        let in_certificate = || at(self.certificate);
        let pem = bytes_of(&folder.join(self.certificate)).map_err(in_certificate())?;
        let mut chain = certificates_in(&pem).map_err(in_certificate())?;
        if let Some(name) = self.chain {
            let pem = bytes_of(&folder.join(name)).map_err(at(name))?;
            for der in certificates_in(&pem).map_err(at(name))? {
                // Some tools put the full chain there, ours included.
                if !chain.contains(&der) {
                    chain.push(der);
                }
            }
        }
        if chain.len() > LONGEST_CHAIN {
            return Err(in_certificate()(Fault::TooMany));
        }
        let facts = chain
            .first()
            .ok_or(Fault::NoCertificate)
            .and_then(Facts::of);
        let facts = facts.map_err(in_certificate())?;
        let pem = bytes_of(&folder.join(self.key)).map_err(at(self.key))?;
        let key = key_in(&pem, self.key).map_err(at(self.key))?;
        let key = any_supported_type(&key).map_err(|_| at(self.key)(Fault::UnknownKey))?;

        let lacks_chain = chain.len() == 1 && !facts.is_self_issued;
        let certified = CertifiedKey::new(chain, key);
        certified
            .keys_match()
            .map_err(|_| at(self.key)(Fault::Mismatched(self.certificate)))?;
        Ok(Found {
            certificate: Certificate::new(certified, Source::Files, facts.not_after),
            file: folder.join(self.certificate),
            key_file: folder.join(self.key),
            not_before: facts.not_before,
            ends: facts.ends,
            lacks_chain,
        })
    }
}

impl Found {
    /// Refuses a certificate that has ended.
    pub(super) fn check_not_ended(&self, now: SystemTime) -> Result<(), FileError> {
        if self.certificate.not_after > now {
            return Ok(());
        }
        Err(FileError {
            file: self.file.clone(),
            fault: Fault::Ended(self.ends.clone()),
        })
    }

    /// Says in the log what browsers will dislike; it is served all the same, since the operator's certificate is still
    /// nearer to what people expect than one of our own.
    pub(super) fn warn(&self, domains: &[String], now: SystemTime) {
        for concern in self.concerns(domains, now) {
            warn!("{concern}");
        }
    }

    fn concerns(&self, domains: &[String], now: SystemTime) -> Vec<String> {
        let mut concerns = Vec::new();
        let file = self.file.display();
        if self.certificate.not_after <= now {
            concerns.push(format!(
                "{file}: this certificate ended on {}; it is shown all the same, and browsers will warn. Put a new one in its place.",
                self.ends
            ));
        }
        if self.not_before > now {
            concerns.push(format!(
                "{file}: this certificate is not valid yet; it is shown all the same, and browsers will warn. Is the clock right?"
            ));
        }
        if self.lacks_chain {
            concerns.push(format!(
                "{file}: the certificates between this one and its authority are missing (chain.pem or fullchain.pem); some browsers and TURN clients will refuse it."
            ));
        }
        for domain in domains {
            if !self.is_for(domain) {
                concerns.push(format!(
                    "{file}: this certificate is not for {domain}; browsers will warn there."
                ));
            }
        }
        let mode = std::fs::metadata(&self.key_file).map(|seen| seen.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o007 != 0) {
            concerns.push(format!(
                "{}: every user of this machine may read the private key; chmod 600 it.",
                self.key_file.display()
            ));
        }
        concerns
    }

    fn is_for(&self, domain: &str) -> bool {
        let Ok(name) = ServerName::try_from(domain) else {
            return true;
        };
        let der = self.certificate.key.cert.first();
        let parsed = der.and_then(|der| ParsedCertificate::try_from(der).ok());
        parsed.is_some_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    }
}

/// What a certificate says of itself.
struct Facts {
    not_before: SystemTime,
    not_after: SystemTime,
    ends: String,
    is_self_issued: bool,
}

impl Facts {
    fn of(der: &CertificateDer<'_>) -> Result<Self, Fault> {
        let (_, parsed) = X509Certificate::from_der(der)
            .map_err(|_| Fault::Damaged("the certificate inside cannot be read".to_owned()))?;
        ParsedCertificate::try_from(der).map_err(|reason| Fault::Damaged(reason.to_string()))?;
        let time =
            |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let validity = parsed.validity();
        Ok(Self {
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
            ends: validity.not_after.to_string(),
            is_self_issued: parsed.issuer() == parsed.subject(),
        })
    }
}

/// At most [`LARGEST_FILE`] bytes; a folder, pipe or device is refused.
fn bytes_of(file: &Path) -> Result<Vec<u8>, Fault> {
    let seen = std::fs::metadata(file).map_err(Fault::Unreadable)?;
    if !seen.is_file() {
        return Err(Fault::Unreadable(io::Error::other(
            "it is not a regular file",
        )));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(Fault::Unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Fault::TooLarge);
    }
    Ok(bytes)
}

fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let mut found = Vec::new();
    for section in sections(pem)? {
        if let (SectionKind::Certificate, der) = section {
            found.push(CertificateDer::from(der));
        }
    }
    if found.is_empty() {
        return Err(Fault::NoCertificate);
    }
    Ok(found)
}

fn key_in(pem: &[u8], name: &'static str) -> Result<PrivateKeyDer<'static>, Fault> {
    if has(pem, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(pem, b"Proc-Type: 4,ENCRYPTED") {
        return Err(Fault::Encrypted(name));
    }
    for (kind, der) in sections(pem)? {
        match kind {
            SectionKind::PrivateKey => return Ok(PrivateKeyDer::Pkcs8(der.into())),
            SectionKind::EcPrivateKey => return Ok(PrivateKeyDer::Sec1(der.into())),
            SectionKind::RsaPrivateKey => return Ok(PrivateKeyDer::Pkcs1(der.into())),
            _ => {}
        }
    }
    Err(Fault::NoKey)
}

fn sections(pem: &[u8]) -> Result<Vec<(SectionKind, Vec<u8>)>, Fault> {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Fault::Damaged(in_words(&error)))
}

fn in_words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!(
                "-----END {}----- is missing",
                String::from_utf8_lossy(end_marker).trim()
            )
        }
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is cut off".to_owned(),
        pem::Error::Base64Decode(_) => {
            "there are characters in it that do not belong there".to_owned()
        }
        other => other.to_string(),
    }
}

fn has(pem: &[u8], text: &[u8]) -> bool {
    pem.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_content_is_survived(bytes: Vec<u8>, kind in 0..4usize) {
            let label = ["CERTIFICATE", "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"][kind];
            let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &bytes);
            let pem = format!("-----BEGIN {label}-----\n{encoded}\n-----END {label}-----\n");
            for content in [bytes.as_slice(), pem.as_bytes()] {
                if let Ok(certificates) = certificates_in(content) {
                    prop_assert!(certificates.iter().all(|der| Facts::of(der).is_err()));
                }
                if let Ok(key) = key_in(content, "privkey.pem") {
                    prop_assert!(any_supported_type(&key).is_err());
                }
            }
        }
    }
}
