//! Bodies of requests: one is bounded, and so are all together.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::StatusCode,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use kidu_http::Patience;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// How long a body may take to come in, and to be given room.
const TIMEOUT: Duration = Duration::from_secs(60);
/// So many of the largest bodies fit in memory at a time; others wait.
const AT_A_TIME: usize = 4;
/// Bodies up to this size, as those of most events, need no room of their own: connections are few.
const SMALL: usize = 64 << 10;
/// Room is counted in blocks.
const BLOCK: usize = 1 << 10;

/// The room for bodies.
pub(super) struct Bodies {
    most: usize,
    room: Arc<Semaphore>,
    timeout: Duration,
}

/// A body and its share of the room, which is kept until what was read of it is gone.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    pub(super) share: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Room for bodies of at most so many bytes.
    pub(super) fn new(most: usize) -> Self {
        let blocks = most.saturating_mul(AT_A_TIME).div_ceil(BLOCK).clamp(1, Semaphore::MAX_PERMITS);
        Self { most, room: Arc::new(Semaphore::new(blocks)), timeout: TIMEOUT }
    }

    /// How long who sends more than is read is listened to.
    pub(super) fn patience(&self) -> Patience {
        Patience::of(self.timeout, self.most as u64)
    }

    /// Reads a body whole.
    pub(super) async fn read(&self, request: Request<Body>) -> Result<Held, Problem> {
        let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body did not arrive in time");
        tokio::time::timeout(self.timeout, self.collect(request.into_body())).await.map_err(late)?
    }

    async fn collect(&self, body: Body) -> Result<Held, Problem> {
        // A body that does not say how long it is may become as long as any.
        let stated = body.size_hint().exact().and_then(|n| usize::try_from(n).ok());
        let share = match stated {
            Some(bytes) if bytes > self.most => return Err(self.too_large()),
            Some(bytes) if bytes <= SMALL => None,
            stated => Some(self.reserve(stated.unwrap_or(self.most)).await?),
        };
        match Limited::new(body, self.most).collect().await {
            Ok(whole) => Ok(Held { bytes: whole.to_bytes(), share }),
            Err(error) if error.is::<LengthLimitError>() => Err(self.too_large()),
            Err(_) => Err(Problem::malformed("the body broke off")),
        }
    }

    async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        let waiting = tokio::time::timeout(self.timeout / 2, Arc::clone(&self.room).acquire_many_owned(blocks)).await;
        // Closed never: the room lives as long as the server.
        waiting.ok().and_then(Result::ok).ok_or_else(|| {
            let told = "too many large requests are under way; select fewer tasks at a time, or try again later";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", told)
        })
    }

    fn too_large(&self) -> Problem {
        let told = format!("the body has more than {} bytes; select fewer tasks, or raise --max-body-bytes", self.most);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", told)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use http_body_util::Full;
    use hyper::body::Frame;

    use super::*;

    fn request(bytes: usize) -> Request<Body> {
        Request::new(Body::from(vec![b'x'; bytes]))
    }

    /// A body that does not say how long it is.
    struct Chunked(Full<Bytes>);

    impl hyper::body::Body for Chunked {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Pin::new(&mut self.0).poll_frame(context)
        }
    }

    fn chunked(bytes: usize) -> Request<Body> {
        Request::new(Body::new(Chunked(Full::new(vec![b'x'; bytes].into()))))
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test)
    }

    #[test]
    fn large_bodies_share_the_room_and_small_ones_need_none() {
        let bodies = Bodies { timeout: Duration::from_millis(200), ..Bodies::new(100 << 10) };
        run(async {
            let mut held = Vec::new();
            for _ in 0..AT_A_TIME {
                held.push(bodies.read(request(100 << 10)).await.unwrap());
            }
            let refused = bodies.read(request(80 << 10)).await.unwrap_err();
            assert_eq!((refused.status, refused.code), (StatusCode::SERVICE_UNAVAILABLE, "overloaded"));
            assert_eq!(bodies.read(request(SMALL)).await.unwrap().bytes.len(), SMALL, "an event comes through");
            held.pop();
            assert_eq!(bodies.read(request(80 << 10)).await.unwrap().bytes.len(), 80 << 10, "room was given back");
            assert!(bodies.read(chunked(3)).await.unwrap().share.is_some(), "it may become long");
        });
    }

    #[test]
    fn a_body_is_bounded_whether_or_not_it_says_how_long_it_is() {
        let bodies = Bodies::new(1000);
        run(async {
            for body in [request(1001), chunked(1001)] {
                let refused = bodies.read(body).await.unwrap_err();
                assert_eq!((refused.status, refused.code), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
            }
            assert_eq!(bodies.read(chunked(1000)).await.unwrap().bytes.len(), 1000);
        });
        assert_eq!(bodies.room.available_permits(), 4, "what was refused holds nothing");
    }
}
