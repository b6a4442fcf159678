//! The bytes of an upload as they come. A sender who stalls, has lost the right to send, or comes when
//! the server stops is broken off, so that what has arrived is put away.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, stream};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::transfers::Slot;

/// How long a sender may send nothing. Phones that change networks break the connection sooner.
const SILENCE: Duration = Duration::from_secs(30);

/// How much must come in each minute: whoever is slower holds a place for nothing, and may go on later.
const SLOWEST: u64 = 16 * 1024;

/// In which time that is counted.
const MINUTE: Duration = Duration::from_secs(60);

/// How often it is asked whether the sender may still send.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Why an upload was broken off by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The server stops.
    Stopping,
    /// Nothing, or too little, has come for too long.
    Slow,
    /// The sender may not send any more.
    Forbidden,
    /// The same upload goes on elsewhere.
    Replaced,
}

/// The stream has ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// Where the reason of a break is noted.
#[derive(Debug, Clone, Default)]
pub(super) struct Why(Arc<Mutex<Option<Cut>>>);

impl Why {
    /// Why it was broken off; `None` when the sender did.
    pub(super) fn cut(&self) -> Option<Cut> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, cut: Cut) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cut);
    }
}

/// The bytes of `body` at the pace of `slot`, until it ends or is cut: by `stop`, by `make_way`, for
/// slowness, or once `may_send` says no.
pub(super) fn bytes<B, F>(
    body: B,
    slot: Slot,
    stop: CancellationToken,
    make_way: CancellationToken,
    why: Why,
    may_send: impl Fn() -> F + Send + Sync,
) -> impl Stream<Item = Result<Bytes, Broken>> + Send
where
    B: Body<Data = Bytes, Error: Send> + Send + Unpin,
    F: Future<Output = bool> + Send,
{
    let start = Instant::now();
    let state = Intake {
        body,
        slot,
        stop,
        make_way,
        why,
        asked: start,
        window: (start, 0),
    };
    stream::unfold(Some((state, may_send)), async |state| {
        let (mut intake, may_send) = state?;
        match intake.next(&may_send).await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some((intake, may_send)))),
            Ok(None) => None,
            Err(Broken) => Some((Err(Broken), None)),
        }
    })
}

struct Intake<B> {
    body: B,
    slot: Slot,
    stop: CancellationToken,
    make_way: CancellationToken,
    why: Why,
    /// When it was last asked whether the sender may send.
    asked: Instant,
    /// Since when is counted, and how much has come since.
    window: (Instant, u64),
}

impl<B> Intake<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    async fn next<F>(&mut self, may_send: &impl Fn() -> F) -> Result<Option<Bytes>, Broken>
    where
        F: Future<Output = bool>,
    {
        let since = Instant::now();
        loop {
            if self.asked.elapsed() >= ASK_EVERY && !self.stop.is_cancelled() {
                self.asked = Instant::now();
                if !may_send().await {
                    // Nobody has a seat any more once the rooms have ended with the server.
                    return self.cut(if self.stop.is_cancelled() {
                        Cut::Stopping
                    } else {
                        Cut::Forbidden
                    });
                }
            }
            let frame = {
                let (stop, make_way) = (self.stop.clone(), self.make_way.clone());
                let mut frame = pin!(timeout(ASK_EVERY, self.body.frame()));
                tokio::select! {
                    biased;
                    () = stop.cancelled() => None,
                    () = make_way.cancelled() => None,
                    frame = frame.as_mut() => Some(frame),
                }
            };
            match frame {
                None if self.stop.is_cancelled() => return self.cut(Cut::Stopping),
                None => return self.cut(Cut::Replaced),
                Some(Err(_)) if since.elapsed() >= SILENCE => return self.cut(Cut::Slow),
                Some(Err(_)) => {}
                Some(Ok(None)) => return Ok(None),
                Some(Ok(Some(Err(_)))) => return Err(Broken),
                Some(Ok(Some(Ok(frame)))) => {
                    // Trailers say nothing here.
                    if let Ok(bytes) = frame.into_data() {
                        self.count(bytes.len()).await?;
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    async fn count(&mut self, bytes: usize) -> Result<(), Broken> {
        let (since, sum) = &mut self.window;
        *sum = sum.saturating_add(bytes as u64);
        if since.elapsed() >= MINUTE {
            if *sum < SLOWEST {
                self.why.note(Cut::Slow);
                return Err(Broken);
            }
            self.window = (Instant::now(), 0);
        }
        let wait = self.slot.count(bytes, Instant::now().into_std());
        if !wait.is_zero() {
            // Whoever is told to stop meanwhile hears of it with the next frame.
            let _ = self.stop.run_until_cancelled(sleep(wait)).await;
        }
        Ok(())
    }

    fn cut<T>(&self, cut: Cut) -> Result<T, Broken> {
        self.why.note(cut);
        Err(Broken)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::StreamExt as _;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use tokio::sync::mpsc;

    use super::super::transfers::Slots;
    use super::*;
    use crate::id::Source;

    struct Sender {
        frames: mpsc::UnboundedSender<Bytes>,
        stop: CancellationToken,
        make_way: CancellationToken,
        why: Why,
        may: Arc<AtomicBool>,
    }

    fn upload(rate: u64) -> (Sender, impl Stream<Item = Result<Bytes, Broken>> + Unpin) {
        let (frames, received) = mpsc::unbounded_channel::<Bytes>();
        let received = stream::unfold(received, |mut received| async {
            let bytes = received.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(bytes)), received))
        });
        let sender = Sender {
            frames,
            stop: CancellationToken::new(),
            make_way: CancellationToken::new(),
            why: Why::default(),
            may: Arc::new(AtomicBool::new(true)),
        };
        let slots = Slots::new(1, 1, rate);
        let source = Source::of([192, 0, 2, 1].into());
        let slot = slots.take(source, Instant::now().into_std()).unwrap();
        let may = Arc::clone(&sender.may);
        let bytes = bytes(
            StreamBody::new(Box::pin(received)),
            slot,
            sender.stop.clone(),
            sender.make_way.clone(),
            sender.why.clone(),
            move || {
                let may = may.load(Ordering::Relaxed);
                async move { may }
            },
        );
        (sender, Box::pin(bytes))
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_is_passed_on_until_its_end() {
        let (sender, mut bytes) = upload(0);
        for word in ["one", "two"] {
            sender.frames.send(word.into()).unwrap();
            assert_eq!(bytes.next().await, Some(Ok(word.into())));
        }
        drop(sender.frames);
        assert_eq!(bytes.next().await, None);
        assert_eq!(sender.why.cut(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it() {
        let (sender, mut bytes) = upload(0);
        let start = Instant::now();
        assert_eq!(bytes.next().await, Some(Err(Broken)));
        assert_eq!(sender.why.cut(), Some(Cut::Slow));
        assert_eq!(start.elapsed(), SILENCE);
        assert_eq!(bytes.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_ends_it_too() {
        let (sender, mut bytes) = upload(0);
        let start = Instant::now();
        loop {
            sleep(Duration::from_secs(20)).await;
            sender.frames.send("x".into()).unwrap();
            match bytes.next().await {
                Some(Ok(_)) => assert!(start.elapsed() < MINUTE),
                ended => break assert_eq!(ended, Some(Err(Broken))),
            }
        }
        assert_eq!(sender.why.cut(), Some(Cut::Slow));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_removed_is_cut_off_within_seconds() {
        let (sender, mut bytes) = upload(0);
        sender.may.store(false, Ordering::Relaxed);
        let start = Instant::now();
        assert_eq!(bytes.next().await, Some(Err(Broken)));
        assert_eq!(sender.why.cut(), Some(Cut::Forbidden));
        assert!(start.elapsed() <= ASK_EVERY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_while_the_server_stops_is_not_taken_for_a_removal() {
        let silent = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let source = Source::of([192, 0, 2, 1].into());
        let slot = Slots::new(1, 1, 0).take(source, Instant::now().into_std());
        let (stop, why) = (CancellationToken::new(), Why::default());
        let stopping = stop.clone();
        let mut bytes = Box::pin(bytes(
            silent,
            slot.unwrap(),
            stop,
            CancellationToken::new(),
            why.clone(),
            move || {
                stopping.cancel();
                async { false }
            },
        ));
        assert_eq!(bytes.next().await, Some(Err(Broken)));
        assert_eq!(why.cut(), Some(Cut::Stopping));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_server_and_a_newer_upload_cut_at_once() {
        for stops in [true, false] {
            let (sender, mut bytes) = upload(0);
            let start = Instant::now();
            let (token, cut) = if stops {
                (&sender.stop, Cut::Stopping)
            } else {
                (&sender.make_way, Cut::Replaced)
            };
            token.cancel();
            assert_eq!(bytes.next().await, Some(Err(Broken)));
            assert_eq!(sender.why.cut(), Some(cut));
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_sender_is_slowed_down() {
        let (sender, mut bytes) = upload(100);
        let start = Instant::now();
        for _ in 0..6 {
            sender.frames.send(Bytes::from_static(&[0; 50])).unwrap();
            assert!(bytes.next().await.unwrap().is_ok());
        }
        assert_eq!(
            start.elapsed().as_secs(),
            2,
            "300 bytes, of which 100 ahead"
        );
    }
}
