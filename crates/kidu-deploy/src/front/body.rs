//! Bodies on their way: counted, limited in size and time, and what became of them remembered.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use kidu_http::Tracked;
use tokio::{
    sync::Notify,
    time::{Sleep, sleep},
};

use super::backend::{Exchange, Sender};

/// How the client's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadEnd {
    Whole,
    TooLarge,
    TimedOut,
    Broken,
}

/// How far a request is.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) started: Instant,
    uploaded: OnceLock<(UploadEnd, Instant)>,
    answered: OnceLock<Instant>,
    upload_ended: Notify,
}

impl Progress {
    pub(super) fn new() -> Self {
        let started = Instant::now();
        Self { started, uploaded: OnceLock::new(), answered: OnceLock::new(), upload_ended: Notify::new() }
    }

    fn upload_ends(&self, how: UploadEnd) {
        if self.uploaded.set((how, Instant::now())).is_ok() {
            self.upload_ended.notify_one();
        }
    }

    pub(super) fn upload_end(&self) -> Option<UploadEnd> {
        self.uploaded.get().map(|(how, _)| *how)
    }

    /// Waits until the client has sent everything.
    pub(super) async fn wait_for_upload(&self) {
        if self.uploaded.get().is_none() {
            self.upload_ended.notified().await;
        }
    }

    /// The head of the answer is here. How long the server took: a slow client's time is not the server's.
    pub(super) fn answered(&self) -> Duration {
        let now = *self.answered.get_or_init(Instant::now);
        now.saturating_duration_since(self.since())
    }

    fn since(&self) -> Instant {
        self.uploaded.get().map_or(self.started, |(_, at)| *at)
    }

    /// How long the server has been silent to a whole request.
    pub(super) fn silence(&self) -> Option<Duration> {
        let whole = self.uploaded.get().is_some() && self.answered.get().is_none();
        whole.then(|| self.since().elapsed())
    }
}

/// Why a body ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    TooLarge,
    TimedOut,
    Broken,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the body is too large",
            Self::TimedOut => "the body did not arrive in time",
            Self::Broken => "the body broke off",
        })
    }
}

impl std::error::Error for Cut {}

/// A request's body.
#[derive(Debug)]
pub(super) struct Upload {
    inner: Tracked,
    left: u64,
    deadline: Pin<Box<Sleep>>,
    progress: Arc<Progress>,
}

impl Upload {
    pub(super) fn new(inner: Tracked, most: u64, timeout: Duration, progress: Arc<Progress>) -> Self {
        if inner.is_end_stream() {
            progress.upload_ends(UploadEnd::Whole);
        }
        Self { inner, left: most, deadline: Box::pin(sleep(timeout)), progress }
    }

    /// Throws it away, as far as it goes.
    pub(super) async fn skip(mut self) {
        while let Some(Ok(_)) = self.frame().await {}
    }

    fn cut(&self, end: UploadEnd, cut: Cut) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.progress.upload_ends(end);
        Poll::Ready(Some(Err(cut)))
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
                ready!(self.deadline.as_mut().poll(cx));
                return self.cut(UploadEnd::TimedOut, Cut::TimedOut);
            };
            let data = match frame {
                None => {
                    self.progress.upload_ends(UploadEnd::Whole);
                    return Poll::Ready(None);
                }
                Some(Err(_)) => return self.cut(UploadEnd::Broken, Cut::Broken),
                // Trailers belong to the connection.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_) => continue,
                },
            };
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                return self.cut(UploadEnd::TooLarge, Cut::TooLarge);
            };
            self.left = left;
            if self.inner.is_end_stream() {
                self.progress.upload_ends(UploadEnd::Whole);
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body from a server. When it is dropped, the exchange is over.
#[derive(Debug)]
pub(super) struct Download {
    inner: Incoming,
    deadline: Pin<Box<Sleep>>,
    exchange: Option<Exchange>,
    sender: Option<Sender>,
    broken: bool,
}

impl Download {
    pub(super) fn new(inner: Incoming, timeout: Duration, exchange: Exchange, sender: Sender) -> Self {
        let deadline = Box::pin(sleep(timeout));
        Self { inner, deadline, exchange: Some(exchange), sender: Some(sender), broken: false }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
                ready!(self.deadline.as_mut().poll(cx));
                self.broken = true;
                return Poll::Ready(Some(Err(Cut::TimedOut)));
            };
            match frame {
                None => return Poll::Ready(None),
                Some(Err(_)) => {
                    self.broken = true;
                    return Poll::Ready(Some(Err(Cut::Broken)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(_) => continue,
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let Some(exchange) = self.exchange.take() else {
            return;
        };
        if let Some(sender) = self.sender.take().filter(|_| !self.broken && self.inner.is_end_stream()) {
            exchange.backend().give_back(sender);
        }
        exchange.end(!self.broken);
    }
}

/// An answer's body.
#[derive(Debug)]
pub(super) enum Body {
    /// One of ours.
    Whole(Full<Bytes>),
    /// A server's.
    Streamed(Box<Download>),
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Streamed(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(body) => body.size_hint(),
        }
    }
}
