//! The certificate this server makes for itself when it was given none, kept so that people accept it only once.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, SanType,
};
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tracing::{info, warn};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Certificate, SanName, Source, TlsError};

/// Key and certificate in one file, so that the two always belong together.
const FILE: &str = "self-signed.pem";

/// Some systems refuse certificates that last longer than 825 days; a year also bounds a lost key.
const LIFETIME: Duration = Duration::from_secs(365 * DAY);
/// Made anew when less than this is left, so that a server which is never restarted does not show an ended one.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * DAY);
/// Clocks of phones and of this machine differ.
const CLOCK_SKEW: Duration = Duration::from_secs(DAY);
const DAY: u64 = 24 * 60 * 60;

/// The kept certificate if it is for these names and lasts, otherwise a new one, which is then kept.
pub(super) fn keep_or_make(
    data_dir: &Path,
    names: &[SanName],
    now: SystemTime,
) -> Result<Certificate, TlsError> {
    let file = data_dir.join(FILE);
    match kept(&file, names, now) {
        Ok(certificate) => return Ok(certificate),
        Err(reason) => info!("making a certificate of our own: {reason}"),
    }
    let failed = |reason: String| TlsError::SelfSigned {
        folder: data_dir.to_owned(),
        reason,
    };
    let pem = make(names, now).map_err(|error| failed(error.to_string()))?;
    write(&file, &pem).map_err(|error| failed(error.to_string()))?;
    kept(&file, names, now).map_err(failed)
}

/// Whether a certificate of our own that ends at `not_after` is due to be made anew.
pub(super) fn is_near_end(not_after: SystemTime, now: SystemTime) -> bool {
    not_after
        .duration_since(now)
        .is_ok_and(|left| left < RENEW_BEFORE)
        || not_after <= now
}

/// Reads the kept certificate; the error says in words why it does not do.
fn kept(file: &Path, names: &[SanName], now: SystemTime) -> Result<Certificate, String> {
    let pem = match std::fs::read(file) {
        Ok(pem) => pem,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err("there is none yet".to_owned());
        }
        Err(error) => return Err(format!("{} cannot be read: {error}", file.display())),
    };
    let unreadable = |reason: &dyn std::fmt::Display| {
        warn!("{} cannot be used: {reason}", file.display());
        format!("the one kept in {} cannot be used", file.display())
    };
    let der = CertificateDer::from_pem_slice(&pem).map_err(|error| unreadable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unreadable(&error))?;
    let key = any_supported_type(&key).map_err(|error| unreadable(&error))?;
    let (held, not_after) = described(&der).map_err(|error| unreadable(&error))?;
    let certified = CertifiedKey::new(vec![der], key);
    certified.keys_match().map_err(|error| unreadable(&error))?;
    if held != sorted(names) {
        return Err("the names of this server have changed".to_owned());
    }
    if is_near_end(not_after, now) {
        return Err("the one kept is near its end".to_owned());
    }
    Ok(Certificate::new(certified, Source::SelfSigned, not_after))
}

/// Which names a certificate is for, in order, and when it ends.
fn described(der: &[u8]) -> Result<(Vec<SanName>, SystemTime), x509_parser::error::X509Error> {
    let (_, parsed) = X509Certificate::from_der(der)
        .map_err(|_| x509_parser::error::X509Error::InvalidCertificate)?;
    let names = parsed
        .subject_alternative_name()?
        .map(|names| {
            names
                .value
                .general_names
                .iter()
                .filter_map(san_name)
                .collect::<Vec<_>>()
        })
        .unwrap_or_default();
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    Ok((sorted(&names), UNIX_EPOCH + Duration::from_secs(seconds)))
}

fn san_name(name: &GeneralName<'_>) -> Option<SanName> {
    match name {
        GeneralName::DNSName(name) => Some(SanName::Dns((*name).to_owned())),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).ok().map(SanName::Ip)
        }
        _ => None,
    }
}

fn sorted(names: &[SanName]) -> Vec<SanName> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

fn make(names: &[SanName], now: SystemTime) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "Turnstone, self-signed");
    params.distinguished_name = subject;
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + LIFETIME).into();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = sorted(names)
        .into_iter()
        .map(|name| match name {
            SanName::Dns(name) => name.try_into().map(SanType::DnsName),
            SanName::Ip(ip) => Ok(SanType::IpAddress(ip)),
        })
        .collect::<Result<_, _>>()?;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(key.serialize_pem() + &certificate.pem())
}

/// Written beside and moved into place, readable by us alone: never half a file, never a moment with other rights.
fn write(file: &Path, pem: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside: PathBuf = file.with_extension(format!("pem.{}", std::process::id()));
    let written = (|| {
        // Whatever an earlier try left there might have other rights.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut out = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        out.write_all(pem.as_bytes())?;
        out.sync_all()?;
        std::fs::rename(&beside, file)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside); // the first error is the one to tell
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(list: &[&str]) -> Vec<SanName> {
        list.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("turnstone-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn it_is_kept_across_restarts_and_read_by_us_alone() {
        let folder = folder("kept");
        let now = SystemTime::now();
        let first = keep_or_make(&folder, &names(&["localhost", "::1", "127.0.0.1"]), now).unwrap();
        let again = keep_or_make(&folder, &names(&["127.0.0.1", "::1", "localhost"]), now).unwrap();
        assert_eq!(first.fingerprint, again.fingerprint);
        let mode = std::fs::metadata(folder.join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(&folder).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn it_is_made_anew_for_other_names_near_its_end_and_when_damaged() {
        let folder = folder("anew");
        let now = SystemTime::now();
        let here = names(&["localhost"]);
        let first = keep_or_make(&folder, &here, now).unwrap();
        let named = keep_or_make(&folder, &names(&["localhost", "call.example"]), now).unwrap();
        assert_ne!(first.fingerprint, named.fingerprint);

        let back = keep_or_make(&folder, &here, now).unwrap();
        let early =
            keep_or_make(&folder, &here, now + LIFETIME - RENEW_BEFORE - CLOCK_SKEW).unwrap();
        assert_eq!(back.fingerprint, early.fingerprint, "still lasts");
        let late =
            keep_or_make(&folder, &here, now + LIFETIME - RENEW_BEFORE + CLOCK_SKEW).unwrap();
        assert_ne!(back.fingerprint, late.fingerprint);

        std::fs::write(folder.join(FILE), "not a certificate").unwrap();
        assert!(keep_or_make(&folder, &here, now).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said_in_words() {
        let Err(error) = keep_or_make(Path::new("/proc/nowhere"), &[], SystemTime::now()) else {
            panic!("nothing can be kept there");
        };
        assert!(error.to_string().contains("/proc/nowhere"), "{error}");
    }
}
