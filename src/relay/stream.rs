//! Clients that come by TCP or TLS: their frames in, their queue out, and when they are dropped.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::ServerConnection;

use super::Connection;
use crate::stun::{self, Frame};
use crate::turn::Client;

/// How long a stream may live without an allocation.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How long a client may take nothing of what waits for it.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// How much may wait for a client: half a second at 4 Mbit/s. Packets beyond it are dropped.
const QUEUE_MAX: usize = 256 * 1_024;
/// The longest frame of a client that holds no allocation: requests are much shorter.
const STRANGER_FRAME_MAX: usize = 2_048;
/// The longest frame there can be.
const FRAME_MAX: usize = 65_536 + stun::HEADER_LEN;
/// How many bytes are read at once.
const READ_MAX: usize = 65_536;
/// How many bytes TLS reads at once, or more: fewer mean that the socket has been emptied.
const TLS_READ: usize = 4_096;
/// How much room `read` needs: the beginning of a frame and what is read after it.
pub(super) const SCRATCH: usize = FRAME_MAX + READ_MAX;
/// How often one stream is read before others have their turn.
const READS_AT_ONCE: usize = 8;
/// How much is encrypted before it is written: enough to fill a segment that the network card splits, and no more than
/// a client that takes nothing may make us hold beside its queue.
const ENCRYPTED_AT_ONCE: usize = 32 * 1_024;

/// Why a stream is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    #[error("the client closed it")]
    ByClient,
    #[error("it carried something that is not TURN")]
    Nonsense,
    #[error("it held no allocation for too long")]
    Idle,
    #[error("the client took nothing for too long")]
    TooSlow,
}

/// What was read at once.
enum Took {
    /// So many bytes, and whether there may be more at once.
    Bytes(usize, bool),
    /// Nothing for now.
    Nothing,
    /// The end.
    End,
}

/// One client's stream.
pub(super) struct StreamClient {
    pub(super) client: Client,
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
    /// The beginning of a frame whose rest has not come yet.
    partial: Vec<u8>,
    queue: Vec<u8>,
    /// How much of the queue's front has been written already.
    written: usize,
    /// Since when the client has taken nothing although something waits.
    stalled_since: Option<Instant>,
    /// Whether the worker is told when the client takes more.
    pub(super) is_watched_for_writing: bool,
    /// Since when it has held no allocation.
    idle_since: Option<Instant>,
    /// Held as long as the stream; last, so that the socket is closed before the seat is free.
    _seat: Box<dyn Send>,
}

impl StreamClient {
    pub(super) fn new(connection: Connection, client: Client, now: Instant) -> Self {
        let Connection {
            socket,
            mut tls,
            first,
            seat,
        } = connection;
        if let Some(tls) = &mut tls {
            // What waits is bounded here, by our own queue.
            tls.set_buffer_limit(None);
        }
        Self {
            client,
            socket,
            tls,
            partial: first.into_iter().collect(),
            queue: Vec::new(),
            written: 0,
            stalled_since: None,
            is_watched_for_writing: false,
            idle_since: Some(now),
            _seat: seat,
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads what has come and calls `on_frame` for each frame, without its padding on streams. `on_frame` says
    /// whether the client holds an allocation after it.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        mut holds_allocation: bool,
        mut on_frame: impl FnMut(&Client, &[u8]) -> bool,
    ) -> Result<(), Closed> {
        for _ in 0..READS_AT_ONCE {
            let kept = self.partial.len().min(scratch.len());
            let (front, room) = scratch.split_at_mut(kept);
            front.copy_from_slice(self.partial.get(..kept).unwrap_or_default());
            let (taken, more) = match self.take(room) {
                Ok(Took::Bytes(taken, more)) => (taken, more),
                Ok(Took::Nothing) => return Ok(()),
                Ok(Took::End) | Err(_) => return Err(Closed::ByClient),
            };
            let len = kept + taken;
            let mut rest = scratch.get(..len).unwrap_or_default();
            loop {
                let needed = match stun::frame(rest) {
                    Frame::Incomplete => break,
                    Frame::Nonsense => return Err(Closed::Nonsense),
                    Frame::Len(needed) => needed,
                };
                let max = if holds_allocation {
                    FRAME_MAX
                } else {
                    STRANGER_FRAME_MAX
                };
                if needed > max {
                    return Err(Closed::Nonsense);
                }
                let Some((frame, after)) = rest.split_at_checked(needed) else {
                    break;
                };
                holds_allocation = on_frame(&self.client, frame);
                rest = after;
            }
            self.partial.clear();
            self.partial.extend_from_slice(rest);
            if self.partial.is_empty() && self.partial.capacity() > STRANGER_FRAME_MAX {
                self.partial = Vec::new();
            }
            if !more {
                break;
            }
        }
        // What is left in the socket makes the worker come back when the others have had their turn.
        Ok(())
    }

    /// Reads once, decrypted.
    fn take(&mut self, room: &mut [u8]) -> io::Result<Took> {
        let Some(tls) = &mut self.tls else {
            return Ok(match self.socket.read(room) {
                Ok(0) => Took::End,
                Ok(len) => Took::Bytes(len, len == room.len()),
                Err(error) if is_only_for_now(&error) => Took::Nothing,
                Err(error) => return Err(error),
            });
        };
        // First what was decrypted before the stream came here.
        let len = decrypted(tls, room)?;
        if len > 0 {
            return Ok(Took::Bytes(len, true));
        }
        let taken = match tls.read_tls(&mut self.socket) {
            Ok(0) => return Ok(Took::End),
            Ok(taken) => taken,
            Err(error) if is_only_for_now(&error) => return Ok(Took::Nothing),
            Err(error) => return Err(error),
        };
        let processed = tls.process_new_packets().map_err(io::Error::other)?;
        let len = decrypted(tls, room)?;
        if len == 0 && processed.peer_has_closed() {
            return Ok(Took::End);
        }
        Ok(Took::Bytes(len, taken >= TLS_READ || len == room.len()))
    }

    /// Queues a frame made of up to three parts; drops it when too much waits already.
    pub(super) fn push(&mut self, parts: [&[u8]; 3]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if self.queue.len() - self.written + len > QUEUE_MAX {
            return;
        }
        for part in parts {
            self.queue.extend_from_slice(part);
        }
    }

    /// Whether something waits to be written.
    pub(super) fn has_to_write(&self) -> bool {
        self.written < self.queue.len() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes what the client takes now.
    pub(super) fn write(&mut self, now: Instant) -> Result<(), Closed> {
        while self.has_to_write() {
            self.encrypt()?;
            let result = match &mut self.tls {
                Some(tls) => tls.write_tls(&mut self.socket),
                None => {
                    let waiting = self.queue.get(self.written..).unwrap_or_default();
                    let result = self.socket.write(waiting);
                    self.written += result.as_ref().copied().unwrap_or(0);
                    result
                }
            };
            match result {
                Ok(count) if count > 0 => self.stalled_since = None,
                Err(error) if is_only_for_now(&error) => {
                    self.stalled_since.get_or_insert(now);
                    if self.written > QUEUE_MAX / 2 {
                        self.queue.drain(..self.written);
                        self.written = 0;
                    }
                    return Ok(());
                }
                Ok(_) | Err(_) => return Err(Closed::ByClient),
            }
        }
        self.queue.clear();
        self.written = 0;
        if self.queue.capacity() > READ_MAX {
            self.queue = Vec::new();
        }
        Ok(())
    }

    /// Over TLS, makes records of what waits, when those made before are written; they then leave in one call.
    ///
    /// coturn's client takes a record for a frame and loses what follows in it, so every frame is one by itself.
    fn encrypt(&mut self) -> Result<(), Closed> {
        let Some(tls) = self.tls.as_mut().filter(|tls| !tls.wants_write()) else {
            return Ok(());
        };
        let start = self.written;
        while self.written - start < ENCRYPTED_AT_ONCE {
            let waiting = self.queue.get(self.written..).unwrap_or_default();
            let len = match stun::frame(waiting) {
                Frame::Len(len) => len.min(waiting.len()),
                Frame::Incomplete | Frame::Nonsense => waiting.len(),
            };
            let Some(frame) = waiting.get(..len).filter(|frame| !frame.is_empty()) else {
                break;
            };
            tls.writer()
                .write_all(frame)
                .map_err(|_| Closed::ByClient)?;
            self.written += len;
        }
        Ok(())
    }

    /// Whether it has outstayed; `holds_allocation` is as of now.
    pub(super) fn check(&mut self, holds_allocation: bool, now: Instant) -> Result<(), Closed> {
        if self
            .stalled_since
            .is_some_and(|since| now.saturating_duration_since(since) >= WRITE_DEADLINE)
        {
            return Err(Closed::TooSlow);
        }
        if holds_allocation {
            self.idle_since = None;
            return Ok(());
        }
        let since = *self.idle_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= IDLE_MAX {
            Err(Closed::Idle)
        } else {
            Ok(())
        }
    }
}

impl Drop for StreamClient {
    fn drop(&mut self) {
        // A TLS client is told that this is the end, if that can be said at once.
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut self.socket);
        }
        let _ = self.socket.shutdown(Shutdown::Write); // it is closed in any case
    }
}

/// Takes what has been decrypted already; 0 when there is nothing.
fn decrypted(tls: &mut ServerConnection, room: &mut [u8]) -> io::Result<usize> {
    match tls.reader().read(room) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

fn is_only_for_now(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
