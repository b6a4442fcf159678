//! Reading requests and writing answers, on the crates' message types (RFC 8489 §5, §9.2, §14).

use std::net::SocketAddr;

use ::stun::attributes::{
    ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, ATTR_NONCE,
    ATTR_PASSWORD_ALGORITHM, ATTR_PASSWORD_ALGORITHMS, ATTR_REALM, ATTR_USERNAME,
    ATTR_XOR_PEER_ADDRESS, AttrType,
};
use ::stun::error_code::{CODE_BAD_REQUEST, ErrorCode};
use ::stun::integrity::MessageIntegrity;
use ::stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, Getter, Message, MessageClass,
    MessageType, Setter,
};
use ring::hmac;

use super::Keys;
use crate::stun::{self, ATTRIBUTE_HEADER_LEN, HEADER_LEN, TransactionId};

/// The algorithms that passwords may be hashed with, as PASSWORD-ALGORITHMS tells them: SHA-256, MD5 (RFC 8489 §18.5).
const PASSWORD_ALGORITHMS: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];
/// SHA-256 in PASSWORD-ALGORITHM.
const ALGORITHM_SHA256: [u8; 4] = [0, 2, 0, 0];
/// MD5 in PASSWORD-ALGORITHM.
const ALGORITHM_MD5: [u8; 4] = [0, 1, 0, 0];
/// The longest username that is looked up (RFC 8489 §14.3: fewer than 509 bytes).
const USERNAME_MAX: usize = 508;
/// MESSAGE-INTEGRITY-SHA256 may be cut to this many bytes (RFC 8489 §14.6).
const SHA256_INTEGRITY_MIN: usize = 16;

/// What requests may carry among the attributes that must be understood; others are named in a 420.
const UNDERSTOOD: &[u16] = &[
    0x0006, 0x0008, 0x000C, 0x000D, 0x0012, 0x0013, 0x0014, 0x0015, 0x0017, 0x0018, 0x0019, 0x001A,
    0x001C, 0x001D, 0x0022,
];

/// A request as it came, with what follows its integrity cut off (RFC 8489 §14.5).
pub(super) struct Request<'a> {
    /// The whole message.
    raw: stun::Message<'a>,
    bytes: &'a [u8],
    /// The crates' view of the attributes that count.
    pub(super) message: Message,
    pub(super) id: TransactionId,
    /// Whether a FINGERPRINT came along; then one goes back.
    pub(super) fingerprint: bool,
}

/// With which key a request was found genuine; its answer is sealed alike.
#[derive(Clone)]
pub(super) enum Seal {
    Sha1(Vec<u8>),
    Sha256(Vec<u8>),
}

/// What a request says of who sent it.
pub(super) struct Claim<'a> {
    pub(super) username: &'a str,
    pub(super) nonce: &'a [u8],
    sha256_key: bool,
}

impl<'a> Request<'a> {
    /// Takes a well-formed message for a request, if it is one and its FINGERPRINT fits.
    pub(super) fn read(bytes: &'a [u8], raw: stun::Message<'a>) -> Option<Self> {
        if !raw.fingerprint_fits() {
            return None;
        }
        let mut message = Message::new();
        message.unmarshal_binary(bytes).ok()?;
        if message.typ.class != CLASS_REQUEST {
            return None;
        }
        let integrity = message
            .attributes
            .0
            .iter()
            .position(|a| is_integrity(a.typ));
        if let Some(at) = integrity {
            message.attributes.0.truncate(at + 1);
        }
        let fingerprint = raw.find(ATTR_FINGERPRINT.0).is_some();
        Some(Self {
            raw,
            bytes,
            id: raw.transaction_id(),
            message,
            fingerprint,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The attributes that must be understood and are not.
    pub(super) fn not_understood(&self) -> Vec<AttrType> {
        let mut unknown: Vec<AttrType> = Vec::new();
        for attribute in &self.message.attributes.0 {
            let kind = attribute.typ;
            if kind.required() && !UNDERSTOOD.contains(&kind.0) && !unknown.contains(&kind) {
                unknown.push(kind);
            }
        }
        unknown
    }

    /// The attribute, if it is there.
    ///
    /// # Errors
    /// 400 when its value is malformed.
    pub(super) fn get<G: Getter + Default>(&self, kind: AttrType) -> Result<Option<G>, ErrorCode> {
        if !self.message.contains(kind) {
            return Ok(None);
        }
        let mut value = G::default();
        value
            .get_from(&self.message)
            .map_err(|_| CODE_BAD_REQUEST)?;
        Ok(Some(value))
    }

    pub(super) fn has(&self, kind: AttrType) -> bool {
        self.message.contains(kind)
    }

    /// The bytes of the first attribute of this kind that counts.
    pub(super) fn value(&self, kind: AttrType) -> Option<&[u8]> {
        self.message
            .attributes
            .0
            .iter()
            .find(|a| a.typ == kind)
            .map(|a| a.value.as_slice())
    }

    /// All peers that the request names.
    ///
    /// # Errors
    /// 400 when one is malformed.
    pub(super) fn peers(&self) -> Result<Vec<SocketAddr>, ErrorCode> {
        let attributes = self.message.attributes.0.iter();
        attributes
            .filter(|a| a.typ == ATTR_XOR_PEER_ADDRESS)
            .map(|a| stun::read_xor_address(&a.value, &self.id).ok_or(CODE_BAD_REQUEST))
            .collect()
    }

    /// Who says to have sent this; `None` when it carries no integrity at all.
    ///
    /// # Errors
    /// 400 when something that must come along is missing (RFC 8489 §9.2.4).
    pub(super) fn claim(&self) -> Result<Option<Claim<'_>>, ErrorCode> {
        if !self
            .message
            .attributes
            .0
            .iter()
            .any(|a| is_integrity(a.typ))
        {
            return Ok(None);
        }
        let value = |kind| self.value(kind).ok_or(CODE_BAD_REQUEST);
        let username = value(ATTR_USERNAME)?;
        value(ATTR_REALM)?;
        let nonce = value(ATTR_NONCE)?;
        if username.len() > USERNAME_MAX {
            return Err(CODE_BAD_REQUEST);
        }
        // All our nonces say that passwords may be hashed with either algorithm; whoever names one must repeat our
        // list, so that nobody between us can have shortened it.
        let algorithm = self.value(ATTR_PASSWORD_ALGORITHM);
        let algorithms = self.value(ATTR_PASSWORD_ALGORITHMS);
        let sha256_key = match (algorithm, algorithms) {
            (None, None) => false,
            (Some(algorithm), Some(algorithms)) if algorithms == PASSWORD_ALGORITHMS => {
                match algorithm {
                    _ if algorithm == ALGORITHM_SHA256 => true,
                    _ if algorithm == ALGORITHM_MD5 => false,
                    _ => return Err(CODE_BAD_REQUEST),
                }
            }
            _ => return Err(CODE_BAD_REQUEST),
        };
        let username = str::from_utf8(username).map_err(|_| CODE_BAD_REQUEST)?;
        Ok(Some(Claim {
            username,
            nonce,
            sha256_key,
        }))
    }

    /// Checks the request's integrity under these keys. Where both kinds came along the stronger one counts.
    pub(super) fn verify(&self, claim: &Claim<'_>, keys: &Keys) -> Option<Seal> {
        let key: &[u8] = if claim.sha256_key {
            &keys.sha256
        } else {
            &keys.md5
        };
        if let Some(sent) = self.raw.find(ATTR_MESSAGE_INTEGRITY_SHA256.0) {
            let long_enough = (SHA256_INTEGRITY_MIN..=32).contains(&sent.value.len());
            if !long_enough || !sent.value.len().is_multiple_of(4) {
                return None;
            }
            let tag = self.tag(hmac::HMAC_SHA256, key, &sent)?;
            let expected = tag.as_ref().get(..sent.value.len())?;
            return same(sent.value, expected).then(|| Seal::Sha256(key.to_vec()));
        }
        let sent = self.raw.find(ATTR_MESSAGE_INTEGRITY.0)?;
        let tag = self.tag(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key, &sent)?;
        same(sent.value, tag.as_ref()).then(|| Seal::Sha1(key.to_vec()))
    }

    /// The tag over all before the attribute, with the header's length as if it were the last (RFC 8489 §14.5).
    fn tag(
        &self,
        algorithm: hmac::Algorithm,
        key: &[u8],
        attribute: &stun::Attribute<'_>,
    ) -> Option<hmac::Tag> {
        let start = attribute.offset.checked_sub(ATTRIBUTE_HEADER_LEN)?;
        let end = attribute.offset + stun::padded(attribute.value.len());
        let mut hmac = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
        hmac.update(self.bytes.get(..2)?);
        hmac.update(&u16::try_from(end - HEADER_LEN).ok()?.to_be_bytes());
        hmac.update(self.bytes.get(4..start)?);
        Some(hmac.sign())
    }
}

fn is_integrity(kind: AttrType) -> bool {
    kind == ATTR_MESSAGE_INTEGRITY || kind == ATTR_MESSAGE_INTEGRITY_SHA256
}

/// Compares without telling by the time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |d, (a, b)| d | (a ^ b));
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

/// What is said about an answer apart from its attributes.
pub(super) struct Answering<'a> {
    pub(super) method: ::stun::message::Method,
    pub(super) id: TransactionId,
    pub(super) fingerprint: bool,
    pub(super) seal: Option<&'a Seal>,
}

impl Answering<'_> {
    pub(super) fn success(&self, attributes: &[&dyn Setter]) -> Result<Vec<u8>, ::stun::Error> {
        self.write(CLASS_SUCCESS_RESPONSE, attributes)
    }

    pub(super) fn error(
        &self,
        code: ErrorCode,
        attributes: &[&dyn Setter],
    ) -> Result<Vec<u8>, ::stun::Error> {
        let mut all: Vec<&dyn Setter> = vec![&code];
        all.extend_from_slice(attributes);
        self.write(CLASS_ERROR_RESPONSE, &all)
    }

    fn write(
        &self,
        class: MessageClass,
        attributes: &[&dyn Setter],
    ) -> Result<Vec<u8>, ::stun::Error> {
        let mut message = Message::new();
        message.set_type(MessageType::new(self.method, class));
        message.write_header();
        message.transaction_id.0 = self.id;
        message.write_transaction_id();
        for attribute in attributes {
            attribute.add_to(&mut message)?;
        }
        match self.seal {
            None => {}
            Some(Seal::Sha1(key)) => MessageIntegrity(key.clone()).add_to(&mut message)?,
            Some(Seal::Sha256(key)) => {
                let mut covered = message.raw.clone();
                let len = message.raw.len() - HEADER_LEN + ATTRIBUTE_HEADER_LEN + 32;
                for (to, from) in covered.iter_mut().skip(2).zip((len as u16).to_be_bytes()) {
                    *to = from;
                }
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &covered);
                message.add(ATTR_MESSAGE_INTEGRITY_SHA256, tag.as_ref());
            }
        }
        if self.fingerprint {
            ::stun::fingerprint::FINGERPRINT.add_to(&mut message)?;
        }
        Ok(message.raw)
    }
}

/// An attribute given by its bytes.
pub(super) struct Raw<'a>(pub(super) AttrType, pub(super) &'a [u8]);

impl Setter for Raw<'_> {
    fn add_to(&self, message: &mut Message) -> Result<(), ::stun::Error> {
        message.add(self.0, self.1);
        Ok(())
    }
}

/// What a 401 or 438 adds so that the client can try again (RFC 8489 §9.2.4).
pub(super) struct Challenge<'a> {
    pub(super) realm: &'a str,
    pub(super) nonce: &'a str,
}

impl Setter for Challenge<'_> {
    fn add_to(&self, message: &mut Message) -> Result<(), ::stun::Error> {
        message.add(ATTR_REALM, self.realm.as_bytes());
        message.add(ATTR_NONCE, self.nonce.as_bytes());
        message.add(ATTR_PASSWORD_ALGORITHMS, &PASSWORD_ALGORITHMS);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 §2.4: a request with long-term credentials.
    const LONG_TERM_REQUEST: &[u8] = b"\x00\x01\x00\x60\x21\x12\xa4\x42\x78\xad\x34\x33\xc6\xad\x72\xc0\
        \x29\xda\x41\x2e\x00\x06\x00\x12\xe3\x83\x9e\xe3\x83\x88\xe3\x83\xaa\xe3\x83\x83\xe3\x82\xaf\xe3\x82\xb9\
        \x00\x00\x00\x15\x00\x1c\x66\x2f\x2f\x34\x39\x39\x6b\x39\x35\x34\x64\x36\x4f\x4c\x33\x34\x6f\x4c\
        \x39\x46\x53\x54\x76\x79\x36\x34\x73\x41\x00\x14\x00\x0b\x65\x78\x61\x6d\x70\x6c\x65\x2e\x6f\x72\
        \x67\x00\x00\x08\x00\x14\xf6\x70\x24\x65\x6d\xd6\x4a\x3e\x02\xb8\xe0\x71\x2e\x85\xc9\xa2\x8c\xa8\
        \x96\x66";

    /// RFC 5769 §2.2: an IPv4 response; the key is the short-term password.
    const IPV4_RESPONSE: &[u8] = b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\
        \xdf\xae\x80\x22\x00\x0b\x74\x65\x73\x74\x20\x76\x65\x63\x74\x6f\x72\x20\x00\x20\x00\x08\x00\x01\
        \xa1\x47\xe1\x12\xa6\x43\x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\
        \xba\x53\xf0\x6b\xe7\xd7\x80\x28\x00\x04\xc0\x7d\x4c\x96";

    #[test]
    fn the_long_term_vector_of_rfc_5769_is_genuine() {
        let message = stun::Message::read(LONG_TERM_REQUEST).unwrap();
        let request = Request::read(LONG_TERM_REQUEST, message).unwrap();
        let claim = request.claim().ok().flatten().unwrap();
        assert_eq!(claim.username, "マトリックス");
        assert_eq!(claim.nonce, b"f//499k954d6OL34oL9FSTvy64sA");
        let keys = Keys::new(claim.username, "example.org", "TheMatrIX");
        assert!(matches!(request.verify(&claim, &keys), Some(Seal::Sha1(_))));
        let wrong = Keys::new(claim.username, "example.org", "TheMatrix");
        assert!(request.verify(&claim, &wrong).is_none());
    }

    #[test]
    fn the_address_and_fingerprint_of_rfc_5769_are_read() {
        let message = stun::Message::read(IPV4_RESPONSE).unwrap();
        assert!(message.fingerprint_fits());
        let mapped = message.find(0x0020).unwrap();
        let address = stun::read_xor_address(mapped.value, &message.transaction_id());
        assert_eq!(address, Some("192.0.2.1:32853".parse().unwrap()));
    }
}
