//! The server's one secret, from which every other key is derived.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};

/// The secret's size in bytes.
const BYTES: usize = 32;

/// What only this server knows. It outlives restarts, so credentials and tokens do as well.
pub(super) struct Secret([u8; BYTES]);

impl Secret {
    /// Reads `secret` in `dir`, or makes it there, readable for the owner alone.
    ///
    /// # Errors
    /// What the file system says, or that the file is not 32 bytes long.
    pub(super) fn load_or_make(dir: &Path) -> io::Result<Self> {
        let path = dir.join("secret");
        match fs::read(&path) {
            Ok(bytes) => match bytes.try_into() {
                Ok(bytes) => Ok(Self(bytes)),
                Err(_) => Err(io::Error::new(
                    ErrorKind::InvalidData,
                    format!(
                        "{} is damaged; remove it to have it made anew",
                        path.display()
                    ),
                )),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Self::make(dir, &path),
            Err(error) => Err(error),
        }
    }

    /// A key for one purpose; keys for different purposes tell nothing of each other (RFC 5869).
    #[must_use]
    pub(super) fn key_for(&self, purpose: &'static str) -> [u8; BYTES] {
        let mut key = [0; BYTES];
        let purpose = [purpose.as_bytes()];
        // Fails only for keys longer than 255 hashes.
        let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, b"turnstone")
            .extract(&self.0)
            .expand(&purpose, hkdf::HKDF_SHA256)
            .and_then(|expanded| expanded.fill(&mut key));
        debug_assert!(filled.is_ok());
        key
    }

    fn make(dir: &Path, path: &Path) -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| io::Error::other("the system has no randomness"))?;
        // Written beside and renamed, so that a crash leaves no half a secret.
        let beside: PathBuf = dir.join("secret.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        // The mode above does not touch a file that was left over.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(dir)?.sync_all()?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_kept_private() {
        let dir = std::env::temp_dir().join(format!("turnstone-secret-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&dir).unwrap();
        let made = Secret::load_or_make(&dir).unwrap();
        let read = Secret::load_or_make(&dir).unwrap();
        assert_eq!(made.0, read.0);
        let mode = fs::metadata(dir.join("secret"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(dir.join("secret"), b"short").unwrap();
        assert!(Secret::load_or_make(&dir).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn keys_differ_by_purpose() {
        let secret = Secret([7; BYTES]);
        assert_ne!(secret.key_for("resume"), secret.key_for("turn sessions"));
    }
}
