//! Connections that are closed without losing the last answer.
//!
//! A server that closes a socket while the client is still sending makes the system reset the connection, and the reset
//! overtakes the answer: the client sees "broken pipe" where it should have seen 413. So the server ends its own side
//! first, then reads and throws away what is still on its way (RFC 9112, 9.6), within bounds. A client that takes nothing of
//! its answer is within bounds, too.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use crate::traffic::Traffic;

/// How long a client that is still sending is listened to after the last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// At most in all. Also how long a client may take nothing of an answer, up to 15 seconds.
    pub whole: Duration,
    /// At most without a byte.
    pub idle: Duration,
    /// Most bytes that are thrown away.
    pub bytes: u64,
}

/// A client that has been answered and is silent so long has stopped sending.
const SILENCE: Duration = Duration::from_secs(2);

/// A client that takes nothing for so long has gone, and does not make a server's end last.
const STALL: Duration = Duration::from_secs(15);

impl Patience {
    /// For a server that gives a body so much time and so many bytes: many clients look at the answer only after they have
    /// sent everything, which may be more than is allowed.
    pub fn of(body_timeout: Duration, max_body: u64) -> Self {
        Self { whole: body_timeout, idle: body_timeout.min(SILENCE), bytes: max_body.saturating_mul(4) }
    }
}

/// A connection that lingers when its server shuts it down in the middle of a request.
#[derive(Debug)]
pub(crate) struct Linger<S> {
    stream: S,
    traffic: Traffic,
    patience: Patience,
    /// Since when the client has taken nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    end: End,
}

#[derive(Debug)]
enum End {
    Open,
    Lingering { last: Instant, idle: Pin<Box<Sleep>>, left: u64 },
    Closed,
}

impl<S> Linger<S> {
    /// Around a stream; with what passes over it, and what the server says of its requests.
    pub(crate) fn new(stream: S, patience: Patience) -> (Self, Traffic) {
        let traffic = Traffic::new();
        (Self { stream, traffic: traffic.clone(), patience, stalled: None, end: End::Open }, traffic)
    }

    /// What became of writing; an end for a client that has taken nothing for too long.
    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            self.traffic.sent();
            return written;
        }
        let most = self.patience.whole.min(STALL);
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(most)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Linger<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.traffic.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Linger<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.written(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.end, End::Open) {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            let now = Instant::now();
            let last = now + this.patience.whole;
            let idle = Box::pin(tokio::time::sleep_until(last.min(now + this.patience.idle)));
            this.end = match this.traffic.is_unread() {
                true => End::Lingering { last, idle, left: this.patience.bytes },
                false => End::Closed,
            };
        }
        if let End::Lingering { last, idle, left } = &mut this.end {
            let stream = &mut this.stream;
            ready!(poll_discard(stream, cx, this.patience.idle, *last, idle.as_mut(), left));
            this.end = End::Closed;
        }
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.written(cx, written)
    }
}

/// Throws away what comes until the client ends, is silent, or has had its time. A connection that breaks has ended.
fn poll_discard<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    wait: Duration,
    last: Instant,
    mut idle: Pin<&mut Sleep>,
    left: &mut u64,
) -> Poll<()> {
    let mut space = [0; 16 << 10];
    loop {
        let mut buf = ReadBuf::new(&mut space);
        match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
            Poll::Pending => return idle.poll(cx),
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                let Some(rest) = left.checked_sub(buf.filled().len() as u64) else { return Poll::Ready(()) };
                *left = rest;
                idle.as_mut().reset((Instant::now() + wait).min(last));
                if Instant::now() >= last {
                    return Poll::Ready(());
                }
            }
            Poll::Ready(_) => return Poll::Ready(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::sleep,
    };

    use super::*;

    const PATIENCE: Patience =
        Patience { whole: Duration::from_secs(30), idle: Duration::from_secs(2), bytes: 1_000_000 };

    /// A server that has read the beginning of a request and now closes; how long that takes.
    async fn close(server: DuplexStream, all_was_read: bool) -> Duration {
        let (mut server, traffic) = Linger::new(server, PATIENCE);
        let mut some = [0; 5];
        server.read_exact(&mut some).await.unwrap();
        if all_was_read {
            traffic.read_whole();
        }
        let start = Instant::now();
        server.shutdown().await.unwrap();
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_read_is_closed_at_once() {
        let (mut client, server) = duplex(1000);
        client.write_all(b"whole").await.unwrap();
        assert_eq!(close(server, true).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_sending_is_heard_out_within_bounds() {
        // (pause between pieces, bytes of a piece, pieces, seconds until it is closed)
        for (pause, bytes, pieces, wanted) in [
            (1.0, 1000, 8, 8),       // ends by itself
            (1.0, 1000, 1000, 30),   // takes too long
            (5.0, 1000, 1000, 2),    // falls silent
            (1.0, 200_000, 1000, 6), // sends too much
        ] {
            let (mut client, server) = duplex(1 << 20);
            let sending = async move {
                client.write_all(b"begin").await.unwrap();
                for _ in 0..pieces {
                    sleep(Duration::from_secs_f64(pause)).await;
                    if client.write_all(&vec![0; bytes]).await.is_err() {
                        break;
                    }
                }
            };
            let (took, ()) = tokio::join!(close(server, false), sending);
            assert_eq!(took.as_secs(), wanted, "{pause} {bytes} {pieces}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_an_answer_is_left() {
        // (pause between pieces that the client takes, seconds until it is left)
        for (pause, wanted) in [(12, None), (16, Some(15))] {
            let (mut client, server) = duplex(1000);
            let (mut server, _traffic) = Linger::new(server, PATIENCE);
            let start = Instant::now();
            let taking = tokio::spawn(async move {
                let mut some = [0; 100];
                for _ in 0..50 {
                    sleep(Duration::from_secs(pause)).await;
                    if client.read_exact(&mut some).await.is_err() {
                        break;
                    }
                }
            });
            let sent = server.write_all(&[7; 5000]).await;
            match wanted {
                None => sent.unwrap(),
                Some(seconds) => {
                    assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::TimedOut);
                    assert_eq!(start.elapsed().as_secs(), seconds);
                }
            }
            drop(server);
            taking.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_client_sees_the_end_before_it_has_ended() {
        let (mut client, server) = duplex(1000);
        client.write_all(b"begin").await.unwrap();
        let start = Instant::now();
        let reading = async move {
            client.read_to_end(&mut Vec::new()).await.unwrap();
            (client, start.elapsed())
        };
        let (took, (_client, saw)) = tokio::join!(close(server, false), reading);
        assert_eq!((saw, took.as_secs()), (Duration::ZERO, 2));
    }
}
