//! What STUN and TURN packets look like, read and written where they lie.
//!
//! The crates' own types own every byte they touch; here nothing is allocated, so the packets that carry media
//! (ChannelData, Send and Data) cost nothing to look at. What a request means is left to `turn`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

/// The length of a STUN header (RFC 8489 §5).
pub const HEADER_LEN: usize = 20;
/// The length of an attribute's type and length (RFC 8489 §14).
pub const ATTRIBUTE_HEADER_LEN: usize = 4;
/// The length of a ChannelData header (RFC 8656 §12.4).
pub const CHANNEL_HEADER_LEN: usize = 4;
/// Every STUN message carries this at offset 4 (RFC 8489 §5).
pub const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
/// The length of a FINGERPRINT attribute with its header (RFC 8489 §14.7).
pub const FINGERPRINT_LEN: usize = 8;

/// The type of a Send indication (RFC 8656 §11.1).
pub const SEND_INDICATION: u16 = 0x0016;
/// The type of a Data indication (RFC 8656 §11.4).
pub const DATA_INDICATION: u16 = 0x0017;

const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
const DONT_FRAGMENT: u16 = 0x001A;
const FINGERPRINT: u16 = 0x8028;
const ICMP: u16 = 0x8004;

/// The first channel number that may be bound (RFC 8656 §12).
pub const CHANNEL_MIN: u16 = 0x4000;
/// The last channel number that may be bound (RFC 8656 §12); those above are reserved.
pub const CHANNEL_MAX: u16 = 0x4FFF;
/// The last channel number that RFC 5766 §11 allowed; clients of its time still pick from all of them.
pub const OLD_CHANNEL_MAX: u16 = 0x7FFF;

/// The 96 bits that pair an answer with its request.
pub type TransactionId = [u8; 12];

/// What a packet claims to be, by its first byte alone (RFC 7983, RFC 8656 §12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 0x00 to 0x03: a STUN message.
    Stun,
    /// 0x40 to 0x7F: ChannelData, by the range of RFC 5766.
    ChannelData,
    /// Nothing that belongs here.
    Other,
}

/// Tells what a packet claims to be.
#[must_use]
pub fn classify(bytes: &[u8]) -> Kind {
    match bytes.first() {
        Some(0x00..=0x03) => Kind::Stun,
        Some(0x40..=0x7F) => Kind::ChannelData,
        _ => Kind::Other,
    }
}

/// What stands at the front of a stream (RFC 8656 §12.5: ChannelData is padded there).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// The length is not known yet: at least four bytes are needed.
    Incomplete,
    /// A frame of this many bytes with its padding, whether they have all arrived or not.
    Len(usize),
    /// No TURN client sends this; the stream cannot be made sense of again.
    Nonsense,
}

/// Finds the length of the frame at the front of a stream.
#[must_use]
pub fn frame(bytes: &[u8]) -> Frame {
    let kind = classify(bytes);
    let &[_, _, high, low, ..] = bytes else {
        return match kind {
            Kind::Other if !bytes.is_empty() => Frame::Nonsense,
            _ => Frame::Incomplete,
        };
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    match kind {
        Kind::ChannelData => Frame::Len(CHANNEL_HEADER_LEN + padded(len)),
        Kind::Stun if !len.is_multiple_of(4) => Frame::Nonsense,
        Kind::Stun if bytes.get(4..8).is_some_and(|cookie| cookie != MAGIC_COOKIE) => {
            Frame::Nonsense
        }
        Kind::Stun => Frame::Len(HEADER_LEN + len),
        Kind::Other => Frame::Nonsense,
    }
}

/// A length rounded up to whole 32-bit words, as attributes and stream frames are.
#[must_use]
pub const fn padded(len: usize) -> usize {
    len.div_ceil(4) * 4
}

/// A ChannelData message (RFC 8656 §12.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelData {
    /// The channel, 0x4000 to 0x7FFF.
    pub number: u16,
    /// Where the data lies in the bytes that were read.
    pub data: Range<usize>,
}

impl ChannelData {
    /// Reads ChannelData; bytes after the announced length are padding.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let &[n0, n1, l0, l1, ref rest @ ..] = bytes else {
            return None;
        };
        let number = u16::from_be_bytes([n0, n1]);
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        ((CHANNEL_MIN..=OLD_CHANNEL_MAX).contains(&number) && len <= rest.len()).then_some(Self {
            number,
            data: CHANNEL_HEADER_LEN..CHANNEL_HEADER_LEN + len,
        })
    }
}

/// A STUN message whose header and attributes are known to be well formed.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
}

/// One attribute of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type.
    pub kind: u16,
    /// Its value, without padding.
    pub value: &'a [u8],
    /// Where its value begins in the message.
    pub offset: usize,
}

impl<'a> Message<'a> {
    /// Reads a message that fills `bytes` exactly; `None` when anything is out of place.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let &[t0, _, l0, l1, c0, c1, c2, c3, ..] = bytes else {
            return None;
        };
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if t0 > 0x3F || [c0, c1, c2, c3] != MAGIC_COOKIE || bytes.len() != HEADER_LEN + len {
            return None;
        }
        let message = Self { bytes };
        let mut end = HEADER_LEN;
        for attribute in message.attributes() {
            end = attribute.offset + padded(attribute.value.len());
        }
        (end == bytes.len()).then_some(message)
    }

    /// The message's type: method and class together.
    #[must_use]
    pub fn kind(&self) -> u16 {
        match *self.bytes {
            [high, low, ..] => u16::from_be_bytes([high, low]),
            _ => 0,
        }
    }

    /// The id that an answer must carry.
    #[must_use]
    pub fn transaction_id(&self) -> TransactionId {
        let mut id = [0; 12];
        if let Some(bytes) = self.bytes.get(8..HEADER_LEN) {
            id.copy_from_slice(bytes);
        }
        id
    }

    /// All attributes, in order.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes {
            bytes: self.bytes,
            at: HEADER_LEN,
        }
    }

    /// The first attribute of this type (RFC 8489 §14: of duplicates only the first counts).
    #[must_use]
    pub fn find(&self, kind: u16) -> Option<Attribute<'a>> {
        self.attributes().find(|attribute| attribute.kind == kind)
    }

    /// Whether a FINGERPRINT, where there is one, comes last and fits (RFC 8489 §14.7).
    #[must_use]
    pub fn fingerprint_fits(&self) -> bool {
        let Some(attribute) = self.find(FINGERPRINT) else {
            return true;
        };
        let start = attribute.offset - ATTRIBUTE_HEADER_LEN;
        start + FINGERPRINT_LEN == self.bytes.len()
            && self.bytes.get(..start).is_some_and(|covered| {
                ::stun::fingerprint::fingerprint_value(covered).to_be_bytes() == *attribute.value
            })
    }
}

/// Walks the attributes of a message; stops at the first that does not fit.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let &[k0, k1, l0, l1, ref rest @ ..] = self.bytes.get(self.at..)? else {
            return None;
        };
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if padded(len) > rest.len() {
            return None;
        }
        let offset = self.at + ATTRIBUTE_HEADER_LEN;
        self.at = offset + padded(len);
        Some(Attribute {
            kind: u16::from_be_bytes([k0, k1]),
            value: rest.get(..len)?,
            offset,
        })
    }
}

/// What a Send indication asks for (RFC 8656 §11.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// Where the data shall go.
    pub peer: SocketAddr,
    /// Where the data lies in the message.
    pub data: Range<usize>,
    /// Whether the datagram must not be fragmented.
    pub dont_fragment: bool,
}

impl Send {
    /// Reads a Send indication; `None` when an attribute is missing, malformed or required but unknown.
    #[must_use]
    pub fn read(message: &Message<'_>) -> Option<Self> {
        let mut peer = None;
        let mut data = None;
        let mut dont_fragment = false;
        for attribute in message.attributes() {
            match attribute.kind {
                XOR_PEER_ADDRESS if peer.is_none() => {
                    peer = Some(read_xor_address(
                        attribute.value,
                        &message.transaction_id(),
                    )?);
                }
                DATA if data.is_none() => {
                    data = Some(attribute.offset..attribute.offset + attribute.value.len());
                }
                DONT_FRAGMENT => dont_fragment = true,
                XOR_PEER_ADDRESS | DATA => {}
                // Credentials are known attributes, though an indication is never authenticated.
                0x0006 | 0x0008 | 0x0014 | 0x0015 | 0x001C | 0x001D | 0x001E => {}
                0x0000..=0x7FFF => return None,
                _ => {}
            }
        }
        Some(Self {
            peer: peer?,
            data: data?,
            dont_fragment,
        })
    }
}

/// Reads the value of an XOR-…-ADDRESS attribute (RFC 8489 §14.2).
#[must_use]
pub fn read_xor_address(value: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], ip) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([p0 ^ MAGIC_COOKIE[0], p1 ^ MAGIC_COOKIE[1]]);
    let ip = match family {
        0x01 => IpAddr::V4(Ipv4Addr::from_bits(
            u32::from_be_bytes(ip.try_into().ok()?) ^ u32::from_be_bytes(MAGIC_COOKIE),
        )),
        0x02 => IpAddr::V6(Ipv6Addr::from_bits(
            u128::from_be_bytes(ip.try_into().ok()?) ^ xor_mask(id),
        )),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn xor_mask(id: &TransactionId) -> u128 {
    let mut mask = [0; 16];
    let (cookie, rest) = mask.split_at_mut(4);
    cookie.copy_from_slice(&MAGIC_COOKIE);
    rest.copy_from_slice(id);
    u128::from_be_bytes(mask)
}

/// What is put in front of a payload on its way to a client: a ChannelData header, or a Data indication up to its DATA.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    bytes: [u8; Head::MAX],
    len: u8,
}

impl Head {
    /// The longest head: a Data indication from an IPv6 peer.
    pub const MAX: usize = HEADER_LEN + ATTRIBUTE_HEADER_LEN + 20 + ATTRIBUTE_HEADER_LEN;

    /// No head: the payload goes out bare.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            bytes: [0; Self::MAX],
            len: 0,
        }
    }

    /// The head of a ChannelData message (RFC 8656 §12.4); `None` when the payload is too long for one.
    #[must_use]
    pub fn channel(number: u16, payload: usize) -> Option<Self> {
        let len = u16::try_from(payload).ok()?;
        let mut head = Writer::default();
        head.put(&number.to_be_bytes());
        head.put(&len.to_be_bytes());
        Some(head.done())
    }

    /// The head of a Data indication (RFC 8656 §11.4); `None` when the payload is too long for one.
    #[must_use]
    pub fn data(peer: SocketAddr, payload: usize, id: &TransactionId) -> Option<Self> {
        let address = if peer.is_ipv4() { 8 } else { 20 };
        let attributes = 2 * ATTRIBUTE_HEADER_LEN + address + padded(payload);
        let mut head = Writer::default();
        head.put(&DATA_INDICATION.to_be_bytes());
        head.put(&u16::try_from(attributes).ok()?.to_be_bytes());
        head.put(&MAGIC_COOKIE);
        head.put(id);
        head.put(&XOR_PEER_ADDRESS.to_be_bytes());
        head.put(&(address as u16).to_be_bytes());
        head.put_xor_address(peer, id);
        head.put(&DATA.to_be_bytes());
        head.put(&u16::try_from(payload).ok()?.to_be_bytes());
        Some(head.done())
    }

    /// The bytes to send before the payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// How many zero bytes belong after a payload of this length: attributes are always padded, ChannelData on
    /// streams only (RFC 8656 §12.5).
    #[must_use]
    pub fn padding(&self, payload: usize, on_stream: bool) -> usize {
        let wanted = match usize::from(self.len) {
            0 => false,
            CHANNEL_HEADER_LEN => on_stream,
            _ => true,
        };
        if wanted { padded(payload) - payload } else { 0 }
    }
}

/// A Data indication that tells of an ICMP error instead of carrying data (RFC 8656 §11.5).
#[must_use]
pub fn icmp_indication(
    peer: SocketAddr,
    kind: u8,
    code: u8,
    data: u32,
    id: &TransactionId,
) -> Vec<u8> {
    let address: u16 = if peer.is_ipv4() { 8 } else { 20 };
    let mut head = Writer::default();
    head.put(&DATA_INDICATION.to_be_bytes());
    head.put(&(4 + address + 12).to_be_bytes());
    head.put(&MAGIC_COOKIE);
    head.put(id);
    head.put(&XOR_PEER_ADDRESS.to_be_bytes());
    head.put(&address.to_be_bytes());
    head.put_xor_address(peer, id);
    let mut bytes = head.done().as_bytes().to_vec();
    bytes.extend_from_slice(&ICMP.to_be_bytes());
    bytes.extend_from_slice(&8u16.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, kind, code]);
    bytes.extend_from_slice(&data.to_be_bytes());
    bytes
}

struct Writer {
    bytes: [u8; Head::MAX],
    len: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            bytes: [0; Head::MAX],
            len: 0,
        }
    }
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    fn put_xor_address(&mut self, address: SocketAddr, id: &TransactionId) {
        let port = address.port() ^ u16::from_be_bytes([MAGIC_COOKIE[0], MAGIC_COOKIE[1]]);
        self.put(&[0, if address.is_ipv4() { 0x01 } else { 0x02 }]);
        self.put(&port.to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => {
                self.put(&(ip.to_bits() ^ u32::from_be_bytes(MAGIC_COOKIE)).to_be_bytes())
            }
            IpAddr::V6(ip) => self.put(&(ip.to_bits() ^ xor_mask(id)).to_be_bytes()),
        }
    }

    fn done(self) -> Head {
        Head {
            bytes: self.bytes,
            len: self.len as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: TransactionId = *b"abcdefghijkl";

    fn written(head: Head, payload: &[u8]) -> Vec<u8> {
        let mut bytes = head.as_bytes().to_vec();
        bytes.extend_from_slice(payload);
        bytes.resize(bytes.len() + head.padding(payload.len(), true), 0);
        bytes
    }

    #[test]
    fn channel_numbers_that_never_were_are_not_channel_data() {
        for number in [0x0000u16, 0x3FFF, 0x8000, 0xFFFF] {
            let mut bytes = number.to_be_bytes().to_vec();
            bytes.extend_from_slice(&[0, 1, 7, 0, 0, 0]);
            assert_eq!(ChannelData::read(&bytes), None, "{number:#x}");
        }
    }

    #[test]
    fn a_message_whose_length_or_cookie_is_wrong_is_not_read() {
        let good = written(
            Head::data("192.0.2.1:9".parse().unwrap(), 4, &ID).unwrap(),
            b"data",
        );
        assert!(Message::read(&good).is_some());
        let mut bad = good.clone();
        bad[4] ^= 1;
        assert!(Message::read(&bad).is_none());
        let mut bad = good.clone();
        bad[3] += 4;
        assert!(Message::read(&bad).is_none());
        assert!(Message::read(&good[..good.len() - 1]).is_none());
        let mut bad = good;
        bad[23] = 200;
        assert!(Message::read(&bad).is_none());
    }

    #[test]
    fn a_stream_frame_is_as_long_as_its_padding_makes_it() {
        assert_eq!(frame(&[]), Frame::Incomplete);
        assert_eq!(frame(&[0x40, 0, 0]), Frame::Incomplete);
        assert_eq!(frame(&[0x40, 0, 0, 5]), Frame::Len(12));
        assert_eq!(frame(&[0, 1, 0, 8]), Frame::Len(28));
        assert_eq!(frame(&[0, 1, 0, 7]), Frame::Nonsense);
        assert_eq!(frame(&[0, 1, 0, 8, 1, 2, 3, 4]), Frame::Nonsense);
        assert_eq!(frame(&[0x16]), Frame::Nonsense);
        assert_eq!(frame(&[0x80, 0, 0, 5]), Frame::Nonsense);
    }

    #[test]
    fn what_the_crate_writes_is_read_alike() {
        use ::stun::attributes::{ATTR_DATA, ATTR_XOR_PEER_ADDRESS};
        use ::stun::message::{CLASS_INDICATION, METHOD_SEND, MessageType, Setter};
        for peer in ["203.0.113.7:4242", "[2001:db8::9]:65535"] {
            let peer: SocketAddr = peer.parse().unwrap();
            let mut message = ::stun::message::Message::new();
            message.set_type(MessageType::new(METHOD_SEND, CLASS_INDICATION));
            message.write_header();
            message.transaction_id.0 = ID;
            message.write_transaction_id();
            ::stun::xoraddr::XorMappedAddress {
                ip: peer.ip(),
                port: peer.port(),
            }
            .add_to_as(&mut message, ATTR_XOR_PEER_ADDRESS)
            .unwrap();
            message.add(ATTR_DATA, b"hello");
            ::stun::fingerprint::FINGERPRINT
                .add_to(&mut message)
                .unwrap();
            let read = Message::read(&message.raw).unwrap();
            assert_eq!(read.kind(), SEND_INDICATION);
            assert!(read.fingerprint_fits());
            let send = Send::read(&read).unwrap();
            assert_eq!(send.peer, peer);
            assert_eq!(&message.raw[send.data], b"hello");
            let last = message.raw.len() - 1;
            message.raw[last] ^= 1;
            assert!(!Message::read(&message.raw).unwrap().fingerprint_fits());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = classify(&bytes);
            let _ = frame(&bytes);
            let _ = ChannelData::read(&bytes);
            if let Some(message) = Message::read(&bytes) {
                let _ = Send::read(&message);
                let _ = message.fingerprint_fits();
            }
        }

        #[test]
        fn a_damaged_message_is_survived(at in 0usize..64, byte: u8, cut in 0usize..64) {
            let mut bytes = written(Head::data("[2001:db8::1]:5".parse().unwrap(), 9, &ID).unwrap(), b"some data");
            let len = bytes.len();
            bytes[at % len] = byte;
            bytes.truncate(len - cut % len);
            if let Some(message) = Message::read(&bytes) {
                let _ = Send::read(&message);
                let _ = message.fingerprint_fits();
            }
        }

        #[test]
        fn a_data_indication_reads_back_as_written(v6: bool, ip: u128, port: u16, id: [u8; 12], payload in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let ip = if v6 { IpAddr::V6(Ipv6Addr::from_bits(ip)) } else { IpAddr::V4(Ipv4Addr::from_bits(ip as u32)) };
            let peer = SocketAddr::new(ip, port);
            let bytes = written(Head::data(peer, payload.len(), &id).unwrap(), &payload);
            let message = Message::read(&bytes).unwrap();
            prop_assert_eq!(message.kind(), DATA_INDICATION);
            prop_assert_eq!(message.transaction_id(), id);
            let read = Send::read(&message).unwrap();
            prop_assert_eq!(read.peer, peer);
            prop_assert_eq!(&bytes[read.data], &payload[..]);
        }

        #[test]
        fn channel_data_reads_back_as_written(number in CHANNEL_MIN..=OLD_CHANNEL_MAX, payload in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let bytes = written(Head::channel(number, payload.len()).unwrap(), &payload);
            let read = ChannelData::read(&bytes).unwrap();
            prop_assert_eq!(read.number, number);
            prop_assert_eq!(&bytes[read.data], &payload[..]);
            prop_assert_eq!(frame(&bytes), Frame::Len(bytes.len()));
        }
    }
}
