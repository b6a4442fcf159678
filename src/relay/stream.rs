//! Clients that come by TCP or TLS: their frames in, their queue out, and when they are dropped.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{BoxedStream, Post};
use crate::stun::{self, Frame};
use crate::turn::{Client, Transport};

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
/// How much room `read` needs: the beginning of a frame and what is read after it.
pub(super) const SCRATCH: usize = FRAME_MAX + READ_MAX;
/// How often one stream is read before others have their turn.
const READS_AT_ONCE: usize = 8;

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

/// One client's stream.
pub(super) struct StreamClient {
    pub(super) client: Client,
    io: BoxedStream,
    /// The beginning of a frame whose rest has not come yet.
    partial: Vec<u8>,
    queue: Vec<u8>,
    /// How much of the queue's front has been written already.
    written: usize,
    /// How much of the frame that is being written is left, on TLS.
    frame_left: usize,
    needs_flush: bool,
    /// Since when the client has taken nothing although something waits.
    stalled_since: Option<Instant>,
    /// Since when it has held no allocation.
    idle_since: Option<Instant>,
    waker: Waker,
    woken: Arc<Woken>,
}

impl StreamClient {
    pub(super) fn new(io: BoxedStream, client: Client, ready: &Arc<Ready>, now: Instant) -> Self {
        let woken = Arc::new(Woken {
            ready: Arc::clone(ready),
            slot: client.via,
            queued: AtomicBool::new(false),
        });
        Self {
            client,
            io,
            partial: Vec::new(),
            queue: Vec::new(),
            written: 0,
            frame_left: 0,
            needs_flush: false,
            stalled_since: None,
            idle_since: Some(now),
            waker: Waker::from(Arc::clone(&woken)),
            woken,
        }
    }

    /// Reads what has come and calls `on_frame` for each frame, without its padding on streams. `on_frame` says
    /// whether the client holds an allocation after it.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        mut holds_allocation: bool,
        mut on_frame: impl FnMut(&Client, &[u8]) -> bool,
    ) -> Result<(), Closed> {
        self.woken.queued.store(false, Ordering::Release);
        let mut context = Context::from_waker(&self.waker);
        for _ in 0..READS_AT_ONCE {
            let kept = self.partial.len().min(scratch.len());
            let (front, room) = scratch.split_at_mut(kept);
            front.copy_from_slice(self.partial.get(..kept).unwrap_or_default());
            let mut buffer = ReadBuf::new(room);
            match Pin::new(&mut self.io).poll_read(&mut context, &mut buffer) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(_)) => return Err(Closed::ByClient),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Err(Closed::ByClient),
                Poll::Ready(Ok(())) => {}
            }
            let len = kept + buffer.filled().len();
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
        }
        // There may be more: the others have their turn first.
        self.woken.wake_by_ref();
        Ok(())
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
        self.written < self.queue.len() || self.needs_flush
    }

    /// Writes what the client takes now.
    pub(super) fn write(&mut self, now: Instant) -> Result<(), Closed> {
        let mut context = Context::from_waker(&self.waker);
        while let Some(waiting) = self
            .queue
            .get(self.written..)
            .filter(|waiting| !waiting.is_empty())
        {
            // Each write is a TLS record. coturn's client takes a record for a frame and loses what follows
            // in it, so over TLS every frame is written by itself.
            if self.client.transport == Transport::Tls && self.frame_left == 0 {
                self.frame_left = match stun::frame(waiting) {
                    Frame::Len(len) => len,
                    Frame::Incomplete | Frame::Nonsense => waiting.len(),
                };
            }
            let now_written = match self.frame_left {
                0 => waiting,
                left => waiting.get(..left).unwrap_or(waiting),
            };
            match Pin::new(&mut self.io).poll_write(&mut context, now_written) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.written += count;
                    self.frame_left = self.frame_left.saturating_sub(count);
                    self.needs_flush = true;
                    self.stalled_since = None;
                }
                Poll::Ready(_) => return Err(Closed::ByClient),
                Poll::Pending => {
                    self.stalled_since.get_or_insert(now);
                    if self.written > QUEUE_MAX / 2 {
                        self.queue.drain(..self.written);
                        self.written = 0;
                    }
                    return Ok(());
                }
            }
        }
        self.queue.clear();
        self.written = 0;
        if self.queue.capacity() > READ_MAX {
            self.queue = Vec::new();
        }
        if self.needs_flush {
            match Pin::new(&mut self.io).poll_flush(&mut context) {
                Poll::Ready(Ok(())) => {
                    self.needs_flush = false;
                    self.stalled_since = None;
                }
                Poll::Ready(Err(_)) => return Err(Closed::ByClient),
                Poll::Pending => {
                    self.stalled_since.get_or_insert(now);
                }
            }
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
        let _ = Pin::new(&mut self.io).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}

/// The streams of one worker that have something to do, told by whatever thread noticed.
pub(super) struct Ready {
    slots: Mutex<Vec<u32>>,
    posts: Arc<[Post]>,
    worker: usize,
}

impl Ready {
    pub(super) fn new(posts: Arc<[Post]>, worker: usize) -> Self {
        Self {
            slots: Mutex::default(),
            posts,
            worker,
        }
    }

    /// Exchanges an empty list for that of the streams to look at.
    pub(super) fn take(&self, slots: &mut Vec<u32>) {
        slots.clear();
        std::mem::swap(
            slots,
            &mut self.slots.lock().unwrap_or_else(PoisonError::into_inner),
        );
    }
}

struct Woken {
    ready: Arc<Ready>,
    slot: u32,
    queued: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut slots = self
            .ready
            .slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        slots.push(self.slot);
        if slots.len() == 1
            && let Some(post) = self.ready.posts.get(self.ready.worker)
        {
            post.ring();
        }
    }
}
