//! Nonces that need no memory (RFC 8489 §9.2): a time and a seal over it and the client's address.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;

/// How long a nonce is taken (RFC 8656 §5 recommends at most an hour).
pub const NONCE_LIFETIME: Duration = Duration::from_secs(3600);

/// Says that the rest is a nonce with security features (RFC 8489 §9.2), here: password algorithms.
const COOKIE_AND_FEATURES: &str = "obMatJos2AAAB";
/// How much of the seal is kept: nobody can guess 96 bits in an hour.
const SEAL_LEN: usize = 12;
/// The length of every nonce.
pub const NONCE_LEN: usize = COOKIE_AND_FEATURES.len() + (4 + SEAL_LEN).div_ceil(3) * 4;

/// Makes and checks nonces with a key of this process.
#[derive(Debug, Clone)]
pub struct Nonces {
    key: hmac::Key,
}

impl Nonces {
    /// Nonces under a fresh key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> Result<Self, ring::error::Unspecified> {
        Ok(Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?,
        })
    }

    /// A nonce for this client; `since_start` is the time since this key's process began.
    #[must_use]
    pub fn make(&self, client: SocketAddr, since_start: Duration) -> String {
        let time = (since_start.as_secs() as u32).to_be_bytes();
        let seal = hmac::sign(&self.key, &sealed(client, time));
        let mut bytes = [0; 4 + SEAL_LEN];
        for (to, from) in bytes.iter_mut().zip(time.iter().chain(seal.as_ref())) {
            *to = *from;
        }
        let mut nonce = String::with_capacity(NONCE_LEN);
        nonce.push_str(COOKIE_AND_FEATURES);
        BASE64_STANDARD.encode_string(bytes, &mut nonce);
        nonce
    }

    /// Whether this is a nonce of ours for this client that has not grown old.
    #[must_use]
    pub fn holds(&self, nonce: &[u8], client: SocketAddr, since_start: Duration) -> bool {
        let mut bytes = [0; 4 + SEAL_LEN + 2];
        let Some(text) = nonce.strip_prefix(COOKIE_AND_FEATURES.as_bytes()) else {
            return false;
        };
        if nonce.len() != NONCE_LEN
            || BASE64_STANDARD.decode_slice(text, &mut bytes) != Ok(4 + SEAL_LEN)
        {
            return false;
        }
        let [t0, t1, t2, t3, ref seal @ ..] = bytes;
        let time = [t0, t1, t2, t3];
        let expected = hmac::sign(&self.key, &sealed(client, time));
        let differing = seal
            .iter()
            .zip(expected.as_ref())
            .take(SEAL_LEN)
            .fold(0, |d, (a, b)| d | (a ^ b));
        let age = (since_start.as_secs() as u32).checked_sub(u32::from_be_bytes(time));
        differing == 0 && age.is_some_and(|age| u64::from(age) <= NONCE_LIFETIME.as_secs())
    }
}

fn sealed(client: SocketAddr, time: [u8; 4]) -> [u8; 22] {
    let mut text = [0; 22];
    let ip = match client.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let parts = ip
        .octets()
        .into_iter()
        .chain(client.port().to_be_bytes())
        .chain(time);
    for (to, from) in text.iter_mut().zip(parts) {
        *to = from;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_holds_for_its_client_and_an_hour() {
        let nonces = Nonces::new().unwrap();
        let kim = "198.51.100.7:4000".parse().unwrap();
        let nonce = nonces.make(kim, Duration::from_secs(100));
        assert_eq!(nonce.len(), NONCE_LEN);
        assert!(nonces.holds(nonce.as_bytes(), kim, Duration::from_secs(100)));
        assert!(nonces.holds(nonce.as_bytes(), kim, Duration::from_secs(3700)));
        assert!(!nonces.holds(nonce.as_bytes(), kim, Duration::from_secs(3701)));
        assert!(!nonces.holds(nonce.as_bytes(), kim, Duration::from_secs(99)));
        assert!(!nonces.holds(
            nonce.as_bytes(),
            "198.51.100.7:4001".parse().unwrap(),
            Duration::from_secs(100)
        ));
        assert!(
            !Nonces::new()
                .unwrap()
                .holds(nonce.as_bytes(), kim, Duration::from_secs(100))
        );
    }

    #[test]
    fn a_nonce_that_was_changed_does_not_hold() {
        let nonces = Nonces::new().unwrap();
        let kim = "[2001:db8::1]:4000".parse().unwrap();
        let nonce = nonces.make(kim, Duration::ZERO).into_bytes();
        for at in 0..nonce.len() {
            let mut changed = nonce.clone();
            changed[at] ^= 2;
            assert!(!nonces.holds(&changed, kim, Duration::ZERO), "at {at}");
        }
        assert!(!nonces.holds(&nonce[..nonce.len() - 1], kim, Duration::ZERO));
        assert!(!nonces.holds(b"", kim, Duration::ZERO));
    }
}
