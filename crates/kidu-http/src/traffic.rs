//! What has passed over a connection.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, sleep, sleep_until};

/// A connection on which nothing has passed so long has no request on its way.
const QUIET: Duration = Duration::from_secs(1);
/// Who stood still together with the server, on a machine that did, gets this long to go on.
const MOMENT: Duration = Duration::from_millis(50);

/// What has passed over a connection. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Traffic(Arc<State>);

#[derive(Debug)]
struct State {
    opened: Instant,
    /// The last byte in either direction, in microseconds after the opening.
    last: AtomicU64,
    unread: AtomicBool,
}

impl Traffic {
    pub(crate) fn new() -> Self {
        Self(Arc::new(State { opened: Instant::now(), last: AtomicU64::new(0), unread: AtomicBool::new(false) }))
    }

    pub(crate) fn received(&self) {
        self.0.unread.store(true, Ordering::Release);
        self.sent();
    }

    pub(crate) fn sent(&self) {
        let passed = self.0.opened.elapsed().as_micros();
        self.0.last.store(u64::try_from(passed).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// The request was read to its end: whoever closes now owes the client nothing.
    pub(crate) fn read_whole(&self) {
        self.0.unread.store(false, Ordering::Release);
    }

    /// Whether bytes of a request have come that were not read to their end.
    pub(crate) fn is_unread(&self) -> bool {
        self.0.unread.load(Ordering::Acquire)
    }

    fn last(&self) -> Instant {
        self.0.opened + Duration::from_micros(self.0.last.load(Ordering::Acquire))
    }

    /// Waits until nothing has passed for a second.
    pub(crate) async fn quiet(&self) {
        loop {
            let last = self.last();
            sleep_until(last + QUIET).await;
            sleep(MOMENT).await;
            if self.last() == last {
                return;
            }
        }
    }
}

/// A request's body that tells its connection when it was read to its end.
#[derive(Debug)]
pub struct Tracked {
    body: Incoming,
    traffic: Traffic,
}

impl Tracked {
    pub(crate) fn new(body: Incoming, traffic: Traffic) -> Self {
        let tracked = Self { body, traffic };
        tracked.look();
        tracked
    }

    fn look(&self) {
        if self.body.is_end_stream() {
            self.traffic.read_whole();
        }
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            None => self.traffic.read_whole(),
            Some(Ok(_)) => self.look(),
            Some(Err(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_quiet_a_second_after_its_last_byte() {
        let traffic = Traffic::new();
        let start = Instant::now();
        let passing = async {
            for _ in 0..5 {
                sleep(Duration::from_millis(900)).await;
                traffic.received();
                traffic.sent();
            }
        };
        tokio::join!(traffic.quiet(), passing);
        assert_eq!((start.elapsed().as_millis() + 25) / 50 * 50, 5550);
        let start = Instant::now();
        traffic.quiet().await;
        assert!(
            start.elapsed() <= MOMENT + Duration::from_millis(2),
            "it has been quiet already: {:?}",
            start.elapsed()
        );
    }
}
