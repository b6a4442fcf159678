//! One worker: a thread that waits for its sockets, streams and letters, and asks the core what to do.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tracing::{debug, error};

use super::socket::{self, Listener, Waiting};
use super::stream::{Closed, SCRATCH, StreamClient};
use super::sys::{self, Inbox, Outbox, Outgoing};
use super::{Connection, Letter, Post};
use crate::turn::{
    Allocations, Client, Destination, Effect, Family, Forward, Now, Open, RelayId, Shared,
    Transport,
};

/// How many events are taken at once.
const EVENTS: usize = 256;
/// How often streams are looked at for having outstayed.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The most streams of one worker; each costs a descriptor and some memory.
const STREAMS_MAX: usize = 20_000;
/// How many letters are taken before sockets have their turn.
const LETTERS_AT_ONCE: usize = 256;

/// How many datagrams are taken from a listener at once.
const LISTENER_BATCH: usize = 32;
/// How many datagrams are taken from a relayed port at once; others have their turn in between.
const RELAY_BATCH: usize = 16;

/// A socket of datagrams tells once that something has come, so that one which was emptied is not looked at again.
const DATAGRAMS: epoll::EventFlags = epoll::EventFlags::IN.union(epoll::EventFlags::ET);

/// What zero bytes pad a frame with.
const ZEROS: [u8; 4] = [0; 4];

pub(super) struct Worker {
    number: usize,
    core: Allocations,
    shared: Arc<Shared>,
    posts: Arc<[Post]>,
    waiting: Arc<Waiting>,
    letters: Receiver<Letter>,
    epoll: OwnedFd,
    alarm: Alarm,
    listeners: Vec<Listener>,
    /// By allocation and family.
    relays: Vec<[Option<UdpSocket>; 2]>,
    streams: Vec<Option<StreamClient>>,
    free_streams: Vec<u32>,
    stream_count: usize,
    /// Streams that something was queued for since they were last written.
    to_write: Vec<u32>,
    checked: Instant,
}

/// Datagrams on their way through: those received, and those of them to be sent, by the sockets of this worker.
struct Mail {
    inbox: Inbox,
    outbox: Outbox,
    outgoing: Vec<Outgoing>,
}

impl Mail {
    /// Sends all that waits. Sockets must neither open nor close before it is done.
    fn send(&mut self) {
        self.send_keeping_inbox();
        self.inbox.clear();
    }

    /// The same while datagrams that have arrived are still to be looked at.
    fn send_keeping_inbox(&mut self) {
        self.outbox.send(&self.inbox, &self.outgoing);
        self.outgoing.clear();
    }

    /// Makes sure that this many datagrams can be received.
    fn make_room(&mut self, count: usize) {
        if self.inbox.room() < count {
            self.send();
        }
    }
}

/// Wakes the worker when something is due. A timeout of epoll would be set and taken back at every packet.
struct Alarm {
    timer: OwnedFd,
    rings_at: Option<Instant>,
}

impl Alarm {
    fn new() -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        Ok(Self {
            timer,
            rings_at: None,
        })
    }

    /// Rings at this time at the latest; `now` is the time.
    fn set(&mut self, at: Instant, now: Instant) {
        if self.rings_at.is_some_and(|rings_at| rings_at <= at) {
            return;
        }
        // One millisecond later, so that it is due when we wake; a value of zero would stop it.
        let wait = at.saturating_duration_since(now) + Duration::from_millis(1);
        let Ok(it_value) = Timespec::try_from(wait) else {
            return;
        };
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value,
        };
        if timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).is_ok() {
            self.rings_at = Some(at);
        }
    }

    /// It has rung.
    fn quiet(&mut self) {
        let _ = rustix::io::read(&self.timer, &mut [0; 8]);
        self.rings_at = None;
    }
}

/// What an event is about, as epoll carries it.
#[derive(Debug, Clone, Copy)]
enum Source {
    Bell,
    Alarm,
    Listener(u32),
    Relay(RelayId),
    Stream(u32),
}

impl Source {
    fn to_data(self) -> epoll::EventData {
        epoll::EventData::new_u64(match self {
            Self::Bell => 0,
            Self::Alarm => 5 << 32,
            Self::Listener(index) => 1 << 32 | u64::from(index),
            Self::Relay(RelayId {
                slot,
                family: Family::V4,
            }) => 2 << 32 | u64::from(slot),
            Self::Relay(RelayId {
                slot,
                family: Family::V6,
            }) => 3 << 32 | u64::from(slot),
            Self::Stream(slot) => 4 << 32 | u64::from(slot),
        })
    }

    fn from_data(data: epoll::EventData) -> Self {
        let (kind, index) = (data.u64() >> 32, data.u64() as u32);
        match kind {
            0 => Self::Bell,
            1 => Self::Listener(index),
            2 => Self::Relay(RelayId {
                slot: index,
                family: Family::V4,
            }),
            3 => Self::Relay(RelayId {
                slot: index,
                family: Family::V6,
            }),
            4 => Self::Stream(index),
            _ => Self::Alarm,
        }
    }
}

impl Worker {
    pub(super) fn new(
        number: u8,
        listeners: Vec<Listener>,
        letters: Receiver<Letter>,
        posts: Arc<[Post]>,
        waiting: Arc<Waiting>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let watch = |fd: BorrowedFd<'_>, source: Source| {
            epoll::add(&epoll, fd, source.to_data(), epoll::EventFlags::IN)
        };
        let number = usize::from(number);
        if let Some(post) = posts.get(number) {
            watch(post.bell.as_fd(), Source::Bell)?;
        }
        let alarm = Alarm::new()?;
        watch(alarm.timer.as_fd(), Source::Alarm)?;
        for (index, listener) in (0..).zip(&listeners) {
            let data = Source::Listener(index).to_data();
            epoll::add(&epoll, &listener.socket, data, DATAGRAMS)?;
        }
        Ok(Self {
            number,
            core: Allocations::new(Arc::clone(&shared), number as u8),
            shared,
            posts,
            waiting,
            letters,
            epoll,
            alarm,
            listeners,
            relays: Vec::new(),
            streams: Vec::new(),
            free_streams: Vec::new(),
            stream_count: 0,
            to_write: Vec::new(),
            checked: Instant::now(),
        })
    }

    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        let mut mail = Mail {
            inbox: Inbox::new(),
            outbox: Outbox::new(),
            outgoing: Vec::new(),
        };
        let mut scratch = vec![0; SCRATCH];
        loop {
            events.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                None,
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    error!(%error, "a relay worker cannot wait for its sockets and ends");
                    return;
                }
            }
            let now = now();
            for event in &events {
                match Source::from_data(event.data) {
                    Source::Bell => {
                        mail.send();
                        if self.on_bell(&mut scratch, now) {
                            return;
                        }
                    }
                    Source::Alarm => self.alarm.quiet(),
                    Source::Listener(index) => self.on_listener(index, &mut mail, now),
                    Source::Relay(relay) => {
                        let flags = event.flags;
                        if flags.contains(epoll::EventFlags::ERR) {
                            self.on_errors(relay, now);
                        }
                        self.on_relay(relay, &mut mail, now);
                    }
                    Source::Stream(slot) => {
                        let flags = event.flags;
                        if flags.contains(epoll::EventFlags::OUT) {
                            self.to_write.push(slot);
                        }
                        if flags != epoll::EventFlags::OUT {
                            // Reading may open and close sockets, by whose names others' datagrams wait.
                            mail.send();
                            self.read_stream(slot, &mut scratch, now);
                        }
                    }
                }
            }
            mail.send();
            if self.core.next_deadline().is_some_and(|due| due <= now.at) {
                self.core.on_time(now);
                self.carry_out(now);
            }
            if now.at.saturating_duration_since(self.checked) >= CHECK_EVERY {
                self.checked = now.at;
                self.check_streams(now);
            }
            self.write_streams(now);
            let check = (self.stream_count > 0).then(|| self.checked + CHECK_EVERY);
            let next = self.core.next_deadline().into_iter().chain(check).min();
            if let Some(next) = next {
                self.alarm.set(next, now.at);
            }
        }
    }

    // ---- datagrams ----

    fn on_listener(&mut self, index: u32, mail: &mut Mail, now: Now) {
        let Some(listener) = self.listeners.get(index as usize) else {
            return;
        };
        let local = listener.local;
        let socket = listener.socket.as_fd();
        let arrived = self.receive(socket, Source::Listener(index), LISTENER_BATCH, mail);
        for at in arrived {
            let Some(received) = mail.inbox.received(at) else {
                continue;
            };
            let server = SocketAddr::new(received.to.unwrap_or(local.ip()), local.port());
            let client = Client {
                transport: Transport::Udp,
                via: index,
                address: received.from,
                server,
            };
            for datagram in segments(received.len, received.segment) {
                let bytes = mail.inbox.bytes(at, datagram.clone());
                if let Some(forward) = self.core.on_client_packet(&client, bytes, now) {
                    self.forward(mail, at, &datagram, forward);
                } else if let Some(effect) = self.core.next_effect() {
                    // What waits is named by socket, and sockets may be closed and opened now.
                    mail.send_keeping_inbox();
                    self.carry_out_one(effect, now);
                    self.carry_out(now);
                }
            }
        }
        mail.make_room(LISTENER_BATCH);
    }

    fn on_relay(&mut self, relay: RelayId, mail: &mut Mail, now: Now) {
        let Some(socket) = self.relay(relay) else {
            return;
        };
        let arrived = self.receive(socket.as_fd(), Source::Relay(relay), RELAY_BATCH, mail);
        for at in arrived {
            let Some(received) = mail.inbox.received(at) else {
                continue;
            };
            for datagram in segments(received.len, received.segment) {
                if let Some(forward) =
                    self.core
                        .on_peer_packet(relay, received.from, datagram.len(), now)
                {
                    self.forward(mail, at, &datagram, forward);
                }
            }
        }
        mail.make_room(LISTENER_BATCH);
    }

    /// Takes what has arrived at a socket; if there may be more, it tells again.
    fn receive(
        &self,
        socket: BorrowedFd<'_>,
        source: Source,
        max: usize,
        mail: &mut Mail,
    ) -> Range<usize> {
        let arrived = mail.inbox.receive(socket, max);
        let is_emptied = match &arrived {
            Ok(arrived) => arrived.len() < max,
            // Errors here are of single datagrams, or pass; a socket is never given up.
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if !is_emptied {
            self.tell_again(socket, source);
        }
        arrived.unwrap_or_default()
    }

    fn tell_again(&self, socket: BorrowedFd<'_>, source: Source) {
        // It is watched already, so nothing can be lacking.
        let _ = epoll::modify(&self.epoll, socket, source.to_data(), DATAGRAMS);
    }

    /// Tells the client what the network said about datagrams it sent.
    fn on_errors(&mut self, relay: RelayId, now: Now) {
        for taken in 0..=sys::BATCH {
            let Some(socket) = self.relay(relay) else {
                return;
            };
            if taken == sys::BATCH {
                self.tell_again(socket.as_fd(), Source::Relay(relay));
                break;
            }
            let Ok(error) = sys::receive_error(socket.as_fd()) else {
                break;
            };
            if let Some(sys::NetworkError {
                peer,
                kind,
                code,
                mtu,
            }) = error
            {
                self.core.on_icmp(relay, peer, kind, code, mtu, now);
            }
        }
        self.carry_out(now);
    }

    /// Passes on a packet: the datagram that lies so far into those at `index`. It is gathered until `Mail::send`.
    fn forward(
        &mut self,
        mail: &mut Mail,
        index: usize,
        datagram: &Range<usize>,
        forward: Forward,
    ) {
        let (socket, to, from) = match forward.to {
            Destination::Peer { relay, peer } if !forward.dont_fragment => {
                let Some(socket) = self.relay(relay) else {
                    return;
                };
                (socket.as_raw_fd(), peer, None)
            }
            Destination::Client(client) if client.transport == Transport::Udp => {
                let Some((socket, from)) = self.way_back(&client) else {
                    return;
                };
                (socket, client.address, from)
            }
            _ => {
                let Range { start, end } = forward.payload;
                let payload = datagram.start + start..datagram.start + end;
                return self.forward_now(mail.inbox.bytes(index, payload), &forward);
            }
        };
        let framed = mail
            .inbox
            .frame(index, datagram, &forward.payload, forward.head);
        mail.outgoing.push(Outgoing {
            socket,
            to,
            from,
            framed,
        });
    }

    /// Passes on a packet at once.
    fn forward_now(&mut self, payload: &[u8], forward: &Forward) {
        let head = forward.head.as_bytes();
        match forward.to {
            Destination::Peer { relay, peer } => {
                let Some(socket) = self.relay(relay) else {
                    return;
                };
                let set = |dont| {
                    if forward.dont_fragment {
                        // Where it cannot be set the packet goes out as others do.
                        let _ = socket::dont_fragment(socket, relay.family, dont);
                    }
                };
                set(true);
                // Lost, as datagrams are.
                let _ = sys::send_one(socket.as_raw_fd(), peer, None, [&[], payload, &[]]);
                set(false);
            }
            Destination::Client(client) => {
                let on_stream = client.transport != Transport::Udp;
                let padding = forward.head.padding(payload.len(), on_stream);
                self.send(
                    &client,
                    [head, payload, ZEROS.get(..padding).unwrap_or_default()],
                );
            }
            Destination::Worker { holder, to, from } => {
                if let Some(post) = self.posts.get(usize::from(holder.worker)) {
                    let payload = payload.into();
                    // A full queue loses the packet, as a full socket would.
                    let _ = post.try_send(Letter::Packet {
                        slot: holder.slot,
                        to,
                        from,
                        payload,
                    });
                }
            }
        }
    }

    fn send(&mut self, client: &Client, parts: [&[u8]; 3]) {
        if client.transport == Transport::Udp {
            if let Some((socket, from)) = self.way_back(client) {
                // Lost, as datagrams are.
                let _ = sys::send_one(socket, client.address, from, parts);
            }
            return;
        }
        let stream = self
            .streams
            .get_mut(client.via as usize)
            .and_then(Option::as_mut);
        let Some(stream) = stream.filter(|stream| stream.client == *client) else {
            return;
        };
        if !stream.has_to_write() {
            self.to_write.push(client.via);
        }
        stream.push(parts);
    }

    /// The socket that a client came by, and the address of ours it asked.
    fn way_back(&self, client: &Client) -> Option<(RawFd, Option<IpAddr>)> {
        let listener = self.listeners.get(client.via as usize)?;
        let from = listener
            .local
            .ip()
            .is_unspecified()
            .then_some(client.server.ip());
        Some((listener.socket.as_raw_fd(), from))
    }

    fn relay(&self, relay: RelayId) -> Option<&UdpSocket> {
        let [v4, v6] = self.relays.get(relay.slot as usize)?;
        if relay.family == Family::V4 {
            v4.as_ref()
        } else {
            v6.as_ref()
        }
    }

    // ---- what the core asks for ----

    fn carry_out(&mut self, now: Now) {
        while let Some(effect) = self.core.next_effect() {
            self.carry_out_one(effect, now);
        }
    }

    fn carry_out_one(&mut self, effect: Effect, now: Now) {
        match effect {
            Effect::Send { to, bytes } => self.send(&to, [&[], &bytes, &[]]),
            Effect::OpenPort { relay, port, open } => match self.open(relay, port, open) {
                Ok(()) => self.core.on_port_opened(relay, now),
                Err(error) => {
                    debug!(%error, port, "a relayed port could not be opened");
                    self.core.on_port_refused(relay, now);
                }
            },
            Effect::ClosePort { relay } => {
                // Closing takes it out of epoll.
                if let Some(place) = self.place(relay) {
                    *place = None;
                }
            }
            Effect::CloseReserved { family, port } => self.waiting.close(family, port),
        }
    }

    fn open(&mut self, relay: RelayId, port: u16, open: Open) -> io::Result<()> {
        let family = relay.family;
        let external = self.shared.ports.external().of(family);
        let external = external.ok_or(io::ErrorKind::AddrNotAvailable);
        let socket = match open {
            Open::Alone | Open::WithNext => socket::open_relay(family, external?, port)?,
            // First of all: whatever fails, it waits no longer.
            Open::Reserved => self.waiting.take(family, port)?,
        };
        let data = Source::Relay(relay).to_data();
        epoll::add(&self.epoll, &socket, data, DATAGRAMS)?;
        if open == Open::WithNext {
            // Last, so that nothing waits when something fails.
            let next = port.wrapping_add(1);
            self.waiting.open(family, external?, next)?;
        }
        let slot = relay.slot as usize;
        if self.relays.len() <= slot {
            self.relays.resize_with(slot + 1, Default::default);
        }
        if let Some(place) = self.place(relay) {
            *place = Some(socket);
        }
        Ok(())
    }

    fn place(&mut self, relay: RelayId) -> Option<&mut Option<UdpSocket>> {
        let [v4, v6] = self.relays.get_mut(relay.slot as usize)?;
        Some(if relay.family == Family::V4 { v4 } else { v6 })
    }

    // ---- letters and streams ----

    /// Looks at what others have left here. `true` when it is time to end.
    fn on_bell(&mut self, scratch: &mut [u8], now: Now) -> bool {
        let Some(post) = self.posts.get(self.number) else {
            return true;
        };
        // Empty when someone else's ring was counted with an earlier one.
        let _ = rustix::io::read(&post.bell, &mut [0; 8]);
        if post.stopping.load(Ordering::Acquire) {
            return true;
        }
        let own = std::mem::take(
            &mut *post
                .own
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        if let Some(own) = own {
            self.core.on_own_addresses(own);
        }
        let revoked = std::mem::take(
            &mut *post
                .revoked
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        for session in revoked {
            self.core.on_revoked(&session);
        }
        self.carry_out(now);
        for taken in 0.. {
            if taken == LETTERS_AT_ONCE {
                // Come back for the rest after the sockets.
                if let Some(post) = self.posts.get(self.number) {
                    post.ring();
                }
                break;
            }
            let Ok(letter) = self.letters.try_recv() else {
                break;
            };
            match letter {
                Letter::Adopt {
                    connection,
                    client,
                    local,
                } => {
                    if let Some(slot) = self.adopt(connection, client, local, now) {
                        // Some of it may have been decrypted already, which no socket will tell.
                        self.read_stream(slot, scratch, now);
                    }
                }
                Letter::Packet {
                    slot,
                    to,
                    from,
                    payload,
                } => {
                    if let Some(forward) =
                        self.core.on_handed_over(slot, to, from, payload.len(), now)
                    {
                        self.forward_now(&payload, &forward);
                    }
                }
            }
        }
        false
    }

    fn adopt(
        &mut self,
        connection: Connection,
        address: SocketAddr,
        server: SocketAddr,
        now: Now,
    ) -> Option<u32> {
        if self.stream_count >= STREAMS_MAX {
            debug!("a connection was closed: this worker serves {STREAMS_MAX} already");
            return None;
        }
        let via = self.free_streams.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() as u32 - 1
        });
        let watched = epoll::add(
            &self.epoll,
            &connection.socket,
            Source::Stream(via).to_data(),
            epoll::EventFlags::IN,
        );
        if let Err(error) = watched {
            debug!(%error, "a connection was closed: it cannot be waited for");
            self.free_streams.push(via);
            return None;
        }
        if self.stream_count == 0 {
            self.checked = now.at;
        }
        self.stream_count += 1;
        let client = Client {
            transport: if connection.tls.is_some() {
                Transport::Tls
            } else {
                Transport::Tcp
            },
            via,
            address,
            server,
        };
        if let Some(place) = self.streams.get_mut(via as usize) {
            *place = Some(StreamClient::new(connection, client, now.at));
        }
        Some(via)
    }

    fn read_stream(&mut self, slot: u32, scratch: &mut [u8], now: Now) {
        // Taken out of its place while it is read; what goes back to itself is gathered aside.
        let Some(mut stream) = self.streams.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        let holds = self.core.has(&stream.client);
        let mut to_itself: Vec<u8> = Vec::new();
        let result = stream.read(scratch, holds, |client, frame| {
            if let Some(forward) = self.core.on_client_packet(client, frame, now) {
                let payload = frame.get(forward.payload.clone()).unwrap_or_default();
                if forward.to == Destination::Client(*client) {
                    let padding = forward.head.padding(payload.len(), true);
                    to_itself.extend_from_slice(forward.head.as_bytes());
                    to_itself.extend_from_slice(payload);
                    to_itself.resize(to_itself.len() + padding, 0);
                } else {
                    self.forward_now(payload, &forward);
                }
                return true;
            }
            while let Some(effect) = self.core.next_effect() {
                match effect {
                    Effect::Send { to, bytes } if to == *client => {
                        to_itself.extend_from_slice(&bytes)
                    }
                    other => self.carry_out_one(other, now),
                }
            }
            self.core.has(client)
        });
        stream.push([&to_itself, &[], &[]]);
        if stream.has_to_write() && !stream.is_watched_for_writing {
            self.to_write.push(slot);
        }
        match result {
            Ok(()) => {
                if let Some(place) = self.streams.get_mut(slot as usize) {
                    *place = Some(stream);
                }
            }
            Err(reason) => {
                // What was asked before is answered still, as far as the client takes it now.
                let _ = stream.write(now.at);
                self.close(stream, reason, now);
            }
        }
    }

    fn write_streams(&mut self, now: Now) {
        while let Some(slot) = self.to_write.pop() {
            let Some(stream) = self.streams.get_mut(slot as usize).and_then(Option::as_mut) else {
                continue;
            };
            let result = stream.write(now.at).and_then(|()| {
                let waits = stream.has_to_write();
                if waits == stream.is_watched_for_writing {
                    return Ok(());
                }
                stream.is_watched_for_writing = waits;
                let flags = if waits {
                    epoll::EventFlags::IN | epoll::EventFlags::OUT
                } else {
                    epoll::EventFlags::IN
                };
                let data = Source::Stream(slot).to_data();
                epoll::modify(&self.epoll, stream.as_fd(), data, flags)
                    .map_err(|_| Closed::ByClient)
            });
            if let Err(reason) = result
                && let Some(stream) = self.streams.get_mut(slot as usize).and_then(Option::take)
            {
                self.close(stream, reason, now);
            }
        }
    }

    fn check_streams(&mut self, now: Now) {
        for slot in 0..self.streams.len() {
            let Some(stream) = self.streams.get_mut(slot).and_then(Option::as_mut) else {
                continue;
            };
            let holds = self.core.has(&stream.client);
            if let Err(reason) = stream.check(holds, now.at)
                && let Some(stream) = self.streams.get_mut(slot).and_then(Option::take)
            {
                self.close(stream, reason, now);
            }
        }
    }

    /// Ends a stream that has been taken out of its place, and what it held.
    fn close(&mut self, stream: StreamClient, reason: Closed, now: Now) {
        debug!(%reason, "a stream was closed");
        self.core.on_client_gone(&stream.client);
        self.free_streams.push(stream.client.via);
        self.stream_count -= 1;
        drop(stream);
        self.carry_out(now);
    }
}

fn now() -> Now {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Now {
        at: Instant::now(),
        unix,
    }
}

/// The datagrams that the kernel joined, or the one that came alone.
fn segments(len: usize, segment: usize) -> impl Iterator<Item = Range<usize>> {
    let count = if len == 0 {
        1
    } else {
        len.div_ceil(segment.max(1))
    };
    (0..count).map(move |n| n * segment..((n + 1) * segment).min(len))
}
