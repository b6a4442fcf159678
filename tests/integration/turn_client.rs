//! A TURN client of our own, blocking and plain, for what other people's clients do not try.
#![allow(
    dead_code,
    reason = "the tests and the bench use different parts of it"
)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stun::attributes::*;
use stun::error_code::ErrorCodeAttribute;
use stun::integrity::MessageIntegrity;
use stun::message::*;
use stun::xoraddr::XorMappedAddress;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};
use turnstone::stun as wire;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long until a request is sent again.
const RETRANSMIT: Duration = Duration::from_millis(500);
/// How long nothing must come for there to be nothing.
const SILENCE: Duration = Duration::from_millis(200);

pub(crate) const REALM: &str = "example.org";

pub(crate) enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

pub(crate) struct Client {
    pub(crate) link: Link,
    pub(crate) name: String,
    password: String,
    pub(crate) nonce: Vec<u8>,
    ids: u64,
}

pub(crate) struct Answer(pub(crate) Message);

impl Answer {
    pub(crate) fn code(&self) -> u16 {
        if self.0.typ.class == CLASS_SUCCESS_RESPONSE {
            return 200;
        }
        let mut code = ErrorCodeAttribute::default();
        code.get_from(&self.0).unwrap();
        code.code.0
    }

    pub(crate) fn address(&self, kind: AttrType) -> SocketAddr {
        let mut address = XorMappedAddress::default();
        address.get_from_as(&self.0, kind).unwrap();
        SocketAddr::new(address.ip, address.port)
    }
}

impl Client {
    pub(crate) fn udp(local: SocketAddr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(local).unwrap();
        socket.connect(server).unwrap();
        Self::over(Link::Udp(socket))
    }

    pub(crate) fn tcp(server: SocketAddr) -> Self {
        Self::over(Link::Tcp(TcpStream::connect(server).unwrap()))
    }

    /// Over TLS, to a server whose certificate `config` trusts for its address.
    pub(crate) fn tls(server: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let connection = ClientConnection::new(config, server.ip().into()).unwrap();
        let stream = TcpStream::connect(server).unwrap();
        Self::over(Link::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    fn over(link: Link) -> Self {
        let (name, password) = ("kim".into(), "pw".into());
        Self {
            link,
            name,
            password,
            nonce: Vec::new(),
            ids: 0,
        }
    }

    /// The same client as another user; all have the same password.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    pub(crate) fn local(&self) -> SocketAddr {
        match &self.link {
            Link::Udp(socket) => socket.local_addr().unwrap(),
            Link::Tcp(stream) => stream.local_addr().unwrap(),
            Link::Tls(stream) => stream.sock.local_addr().unwrap(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match &mut self.link {
            Link::Udp(socket) => assert_eq!(socket.send(bytes).unwrap(), bytes.len()),
            Link::Tcp(stream) => write_whole(stream, bytes),
            Link::Tls(stream) => write_whole(&mut **stream, bytes),
        }
    }

    /// The next message or ChannelData; an error when none comes in time.
    pub(crate) fn receive_within(&mut self, wait: Duration) -> io::Result<Vec<u8>> {
        match &mut self.link {
            Link::Udp(socket) => {
                socket.set_read_timeout(Some(wait))?;
                let mut bytes = vec![0; 65_536];
                let len = uninterrupted(|| socket.recv(&mut bytes))?;
                bytes.truncate(len);
                Ok(bytes)
            }
            Link::Tcp(stream) => {
                stream.set_read_timeout(Some(wait))?;
                read_frame(stream)
            }
            Link::Tls(stream) => {
                stream.sock.set_read_timeout(Some(wait))?;
                read_frame(&mut **stream)
            }
        }
    }

    pub(crate) fn receive(&mut self) -> Vec<u8> {
        self.receive_within(PATIENCE).expect("an answer in time")
    }

    pub(crate) fn assert_silence(&mut self) {
        let error = self
            .receive_within(SILENCE)
            .expect_err("nothing was expected");
        assert!(
            matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
            "{error}"
        );
    }

    /// Whether the server has closed the stream.
    pub(crate) fn is_closed_within(&mut self, wait: Duration) -> bool {
        match self.receive_within(wait) {
            Ok(_) => false,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ),
        }
    }

    pub(crate) fn id(&mut self) -> [u8; 12] {
        self.ids += 1;
        let mut id = [9; 12];
        id[4..].copy_from_slice(&self.ids.to_be_bytes());
        id
    }

    pub(crate) fn build(
        &mut self,
        method: Method,
        class: MessageClass,
        attributes: &[(AttrType, Vec<u8>)],
    ) -> Message {
        let id = self.id();
        build_with(id, method, class, attributes)
    }

    /// A sealed request, after the challenge where there was none yet; the answer.
    pub(crate) fn ask(&mut self, method: Method, attributes: &[(AttrType, Vec<u8>)]) -> Answer {
        let id = self.id();
        self.ask_with(id, method, attributes)
    }

    fn ask_with(
        &mut self,
        id: [u8; 12],
        method: Method,
        attributes: &[(AttrType, Vec<u8>)],
    ) -> Answer {
        if self.nonce.is_empty() {
            let challenge = self.build(METHOD_ALLOCATE, CLASS_REQUEST, &[]);
            let answer = self.exchange(&challenge);
            assert_eq!(answer.code(), 401);
            self.nonce = answer.0.get(ATTR_NONCE).unwrap();
        }
        let message = self.sealed(id, method, attributes);
        self.exchange(&message)
    }

    /// A request under the nonce that is known.
    pub(crate) fn sealed(
        &self,
        id: [u8; 12],
        method: Method,
        attributes: &[(AttrType, Vec<u8>)],
    ) -> Message {
        let mut message = build_with(id, method, CLASS_REQUEST, attributes);
        message.add(ATTR_USERNAME, self.name.as_bytes());
        message.add(ATTR_REALM, REALM.as_bytes());
        message.add(ATTR_NONCE, &self.nonce);
        MessageIntegrity::new_long_term_integrity(
            self.name.clone(),
            REALM.into(),
            self.password.clone(),
        )
        .add_to(&mut message)
        .unwrap();
        message
    }

    /// Sends a request, again and again where it may get lost (RFC 8489 §6.2.1), until its answer has come.
    fn exchange(&mut self, request: &Message) -> Answer {
        let ended = Instant::now() + PATIENCE;
        let is_lossy = matches!(self.link, Link::Udp(_));
        while Instant::now() < ended {
            self.send(&request.raw);
            let wait = if is_lossy { RETRANSMIT } else { PATIENCE };
            while let Ok(bytes) = self.receive_within(wait) {
                if wire::classify(&bytes) == wire::Kind::Stun
                    && bytes.get(8..20) == Some(&request.transaction_id.0[..])
                {
                    return parse(&bytes);
                }
            }
        }
        panic!("no answer in time");
    }

    /// Where the server sees this client.
    pub(crate) fn binding(&mut self) -> SocketAddr {
        let request = self.build(METHOD_BINDING, CLASS_REQUEST, &[]);
        self.exchange(&request).address(ATTR_XORMAPPED_ADDRESS)
    }

    /// What asking for an allocation is answered with.
    pub(crate) fn ask_to_allocate(&mut self, more: &[(AttrType, Vec<u8>)]) -> Answer {
        let mut attributes = vec![(ATTR_REQUESTED_TRANSPORT, vec![17, 0, 0, 0])];
        attributes.extend_from_slice(more);
        self.ask(METHOD_ALLOCATE, &attributes)
    }

    /// The relayed address of a new allocation.
    pub(crate) fn allocate(&mut self, more: &[(AttrType, Vec<u8>)]) -> SocketAddr {
        let answer = self.ask_to_allocate(more);
        assert_eq!(answer.code(), 200);
        answer.address(ATTR_XOR_RELAYED_ADDRESS)
    }

    pub(crate) fn permit(&mut self, peer: SocketAddr) -> u16 {
        let id = self.id();
        self.ask_with(
            id,
            METHOD_CREATE_PERMISSION,
            &[(ATTR_XOR_PEER_ADDRESS, xor(peer, id))],
        )
        .code()
    }

    pub(crate) fn bind(&mut self, number: u16, peer: SocketAddr) -> u16 {
        let id = self.id();
        let number = vec![(number >> 8) as u8, number as u8, 0, 0];
        let attributes = [
            (ATTR_CHANNEL_NUMBER, number),
            (ATTR_XOR_PEER_ADDRESS, xor(peer, id)),
        ];
        self.ask_with(id, METHOD_CHANNEL_BIND, &attributes).code()
    }

    pub(crate) fn indication(
        &mut self,
        peer: SocketAddr,
        data: &[u8],
        more: &[(AttrType, Vec<u8>)],
    ) -> Vec<u8> {
        let id = self.id();
        let mut attributes = vec![
            (ATTR_XOR_PEER_ADDRESS, xor(peer, id)),
            (ATTR_DATA, data.to_vec()),
        ];
        attributes.extend_from_slice(more);
        build_with(id, METHOD_SEND, CLASS_INDICATION, &attributes).raw
    }

    pub(crate) fn send_to(&mut self, peer: SocketAddr, data: &[u8]) {
        let indication = self.indication(peer, data, &[]);
        self.send(&indication);
    }

    pub(crate) fn channel_data(&self, number: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(data);
        if !matches!(self.link, Link::Udp(_)) {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    /// A Data indication's peer and data.
    pub(crate) fn data(&mut self) -> (SocketAddr, Vec<u8>) {
        let bytes = self.receive();
        let message = wire::Message::read(&bytes).expect("a message");
        assert_eq!(message.kind(), wire::DATA_INDICATION);
        let send = wire::Send::read(&message).expect("data");
        (send.peer, bytes[send.data].to_vec())
    }
}

fn read_frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    stream.read_exact(&mut bytes)?;
    let wire::Frame::Len(len) = wire::frame(&bytes) else {
        panic!("{bytes:?}")
    };
    bytes.resize(len, 0);
    stream.read_exact(&mut bytes[4..])?;
    Ok(bytes)
}

/// Writes all of it, also to a stream that does not block.
fn write_whole(stream: &mut impl Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Answer {
    let mut message = Message::new();
    message.unmarshal_binary(bytes).unwrap();
    Answer(message)
}

pub(crate) fn build_with(
    id: [u8; 12],
    method: Method,
    class: MessageClass,
    attributes: &[(AttrType, Vec<u8>)],
) -> Message {
    let mut message = Message::new();
    message.set_type(MessageType::new(method, class));
    message.write_header();
    message.transaction_id.0 = id;
    message.write_transaction_id();
    for (kind, value) in attributes {
        message.add(*kind, value);
    }
    message
}

pub(crate) fn xor(address: SocketAddr, id: [u8; 12]) -> Vec<u8> {
    let mut message = build_with(id, METHOD_BINDING, CLASS_REQUEST, &[]);
    let address = XorMappedAddress {
        ip: address.ip(),
        port: address.port(),
    };
    address
        .add_to_as(&mut message, ATTR_XOR_PEER_ADDRESS)
        .unwrap();
    message.get(ATTR_XOR_PEER_ADDRESS).unwrap()
}

/// Whether a fresh client gets an allocation as that user.
pub(crate) async fn allocates(server: SocketAddr, name: &str, password: &str) -> bool {
    let (name, password) = (name.to_owned(), password.to_owned());
    let asking = move || {
        let local = SocketAddr::new(server.ip(), 0);
        let mut client = Client::udp(local, server);
        (client.name, client.password) = (name, password);
        let transport = (ATTR_REQUESTED_TRANSPORT, vec![17, 0, 0, 0]);
        client.ask(METHOD_ALLOCATE, &[transport]).code() == 200
    };
    tokio::task::spawn_blocking(asking).await.unwrap()
}

/// Waits again when a wait that has an end was interrupted, as by whatever stops a process for a moment.
pub(crate) fn uninterrupted<T>(mut wait: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match wait() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
