//! A listener, from its first connection to the last answer.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    connection::{Phase, Seat},
    refusal::refuse_new,
};

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long it still takes connections after it was asked to end: time for clients and balancers to notice.
    pub delay: Duration,
    /// How long answers may take after that.
    pub drain: Duration,
}

impl Shutdown {
    /// An end for which clients get a fifth of a second, in which busy ones learn of it from their next answer.
    pub fn within(drain: Duration) -> Self {
        Self { delay: NOTICE.min(drain), drain }
    }
}

/// What a client that goes on asking needs to notice.
const NOTICE: Duration = Duration::from_millis(200);

/// Connections whose handshake has begun when new ones are refused come within that.
const HANDSHAKES: Duration = Duration::from_millis(50);
/// Before the next try to take a connection, where files are short.
const PAUSE: Duration = Duration::from_millis(10);

/// Takes connections, at most so many at a time, until `end`; then finishes what was begun, as `leave` says. `open` hands a
/// connection to a task that serves it from its [`Seat`]; when this returns, all of these have ended, unless
/// [`Shutdown::drain`] was too short.
///
/// No request is lost on the way. Clients whose connection is kept learn from their next answer that it ends. What the
/// system has taken when the listener ends is answered. Nobody comes in between the last look and the close: on Linux the
/// socket is told to let nobody in first.
pub async fn serve<T>(
    listener: TcpListener,
    max_connections: usize,
    end: impl Future<Output = T>,
    leave: impl FnOnce(&T) -> Shutdown,
    open: impl Fn(TcpStream, SocketAddr, Seat),
) -> T {
    let places = Arc::new(Semaphore::new(max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let (phase, _) = watch::channel(Phase::Open);
    let door = Door { places, phase, open };
    let outcome = tokio::select! {
        // Who is taken after the end was asked for is told so.
        biased;
        outcome = end => outcome,
        never = door.accept(&listener) => match never {},
    };
    door.phase.send_replace(Phase::Leaving);
    let Shutdown { delay, drain } = leave(&outcome);
    let _ = timeout_at(Instant::now() + delay, door.accept(&listener)).await;
    let last = Instant::now() + drain;
    let ended = timeout_at(last, async {
        door.close(listener).await;
        door.phase.closed().await;
    });
    if ended.await.is_err() {
        let open = door.phase.receiver_count();
        tracing::warn!(open, seconds = drain.as_secs_f64(), "connections were still open at the end");
    }
    outcome
}

/// Where connections come in.
struct Door<F> {
    places: Arc<Semaphore>,
    phase: watch::Sender<Phase>,
    open: F,
}

impl<F: Fn(TcpStream, SocketAddr, Seat)> Door<F> {
    async fn accept(&self, listener: &TcpListener) -> Infallible {
        loop {
            let place = self.place().await;
            match listener.accept().await {
                Ok((stream, peer)) => self.let_in(stream, peer, place),
                Err(error) => wait_after(&error).await,
            }
        }
    }

    async fn place(&self) -> OwnedSemaphorePermit {
        match Arc::clone(&self.places).acquire_owned().await {
            Ok(place) => place,
            // Never: nobody closes it.
            Err(_) => std::future::pending().await,
        }
    }

    fn let_in(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        (self.open)(stream, peer, Seat::new(self.phase.subscribe(), place));
    }

    /// Takes whom the system has taken already, and then nobody any more.
    async fn close(&self, listener: TcpListener) {
        if refuse_new(&listener).is_ok() {
            let _ = timeout_at(Instant::now() + HANDSHAKES, self.accept(&listener)).await;
        }
        // Quiet connections make room.
        self.phase.send_replace(Phase::Closing);
        // The event loop may not have heard of the latest: the system itself is asked.
        let Ok(listener) = listener.into_std() else { return };
        loop {
            let place = self.place().await;
            let taken = listener.accept().and_then(|(stream, peer)| {
                stream.set_nonblocking(true)?;
                Ok((TcpStream::from_std(stream)?, peer))
            });
            match taken {
                Ok((stream, peer)) => self.let_in(stream, peer, place),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => wait_after(&error).await,
            }
        }
    }
}

/// Too many files are open, or a connection went before it was taken: others are still to come.
async fn wait_after(error: &io::Error) {
    tracing::warn!(%error, "a connection was not taken");
    sleep(PAUSE).await;
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        io::Write,
        net::TcpStream as StdStream,
        sync::mpsc::{Receiver, channel},
        thread::{self, JoinHandle},
    };

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::service::service_fn;
    use kidu_testing::{HttpClient, read_answer};
    use tokio::sync::oneshot;

    use super::*;
    use crate::{ConnectionSettings, Patience, Tracked};

    const SETTINGS: ConnectionSettings = ConnectionSettings {
        head_timeout: Duration::from_secs(30),
        max_headers: 64,
        max_head: 32 << 10,
        patience: Patience { whole: Duration::from_secs(5), idle: Duration::from_secs(2), bytes: 1 << 20 },
    };
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

    /// A server in this process that answers everything after a time.
    struct Server {
        address: SocketAddr,
        end: Option<oneshot::Sender<()>>,
        took: Receiver<Duration>,
        thread: JoinHandle<()>,
    }

    impl Server {
        /// `before` is called when the system takes connections and the server has not begun to.
        fn start(
            places: usize,
            shutdown: Shutdown,
            answer_after: Duration,
            before: impl FnOnce(SocketAddr) + Send + 'static,
        ) -> Self {
            let (told, address) = channel();
            let (end, ended) = oneshot::channel();
            let (took, times) = channel();
            let thread = thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
                runtime.block_on(async move {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let address = listener.local_addr().unwrap();
                    told.send(address).unwrap();
                    before(address);
                    let leave = |asked: &Instant| {
                        took.send(asked.elapsed()).unwrap();
                        shutdown
                    };
                    let end = async {
                        let _ = ended.await;
                        Instant::now()
                    };
                    let asked = serve(listener, places, end, leave, move |stream, _, seat| {
                        let answer = service_fn(move |_: Request<Tracked>| async move {
                            sleep(answer_after).await;
                            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
                        });
                        tokio::spawn(seat.serve(stream, SETTINGS, answer));
                    });
                    took.send(asked.await.elapsed()).unwrap();
                });
            });
            Self { address: address.recv().unwrap(), end: Some(end), took: times, thread }
        }

        /// Asks it to end.
        fn ask_to_end(&mut self) {
            let _ = self.end.take().map(|end| end.send(()));
        }

        /// Asks it to end, if nobody has; how long that takes.
        fn end(mut self) -> Duration {
            self.ask_to_end();
            self.thread.join().unwrap();
            self.took.iter().last().unwrap()
        }
    }

    /// What became of a request on a connection: the status, and whether it was the last. Without an answer when it was sent.
    fn ask(stream: StdStream) -> Result<(u16, bool), Instant> {
        let sent = (&stream).write_all(REQUEST);
        let at = Instant::now();
        let answer = sent.and_then(|()| read_answer(&mut io::BufReader::new(stream), false)).map_err(|_| at)?;
        Ok((answer.status, answer.header("connection") == Some("close")))
    }

    const DRAIN: Duration = Duration::from_secs(20);
    /// What no end takes that waits for nobody, on a busy machine either.
    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn whom_the_system_has_taken_is_answered_with_few_places_too() {
        for (places, patience) in [(64, 0), (64, 300), (1, 0)] {
            let (told, streams) = channel();
            let (go, gone) = channel();
            let shutdown = Shutdown { delay: Duration::ZERO, drain: DRAIN };
            let mut server = Server::start(places, shutdown, Duration::from_millis(5), move |address| {
                told.send((0..16).map(|_| StdStream::connect(address).unwrap()).collect::<Vec<_>>()).unwrap();
                // Nobody is taken before the end is asked for.
                gone.recv().unwrap();
            });
            let streams = streams.recv().unwrap();
            let address = server.address;
            server.ask_to_end();
            let asked = Instant::now();
            go.send(()).unwrap();
            let clients: Vec<_> = streams
                .into_iter()
                .map(|stream| {
                    thread::spawn(move || {
                        thread::sleep(Duration::from_millis(patience));
                        let answer = ask(stream);
                        // Who stood still for a second, on a busy machine, may be closed.
                        let late = |sent: Instant| sent - asked >= Duration::from_secs(1);
                        assert!(!answer.is_err_and(|sent| !late(sent)), "{places} places, after {patience} ms");
                        answer.ok()
                    })
                })
                .collect();
            server.end();
            let answers: Vec<_> = clients.into_iter().filter_map(|client| client.join().unwrap()).collect();
            assert!(!answers.is_empty() && answers.iter().all(|a| *a == (200, true)), "{answers:?}");
            assert_eq!(StdStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[test]
    fn clients_that_go_on_asking_lose_nothing() {
        let shutdown = Shutdown { delay: Duration::from_millis(30), drain: DRAIN };
        let server = Server::start(64, shutdown, Duration::from_millis(1), |_| {});
        let address = server.address;
        let (told, busy) = channel();
        let clients: Vec<_> = (0..16)
            .map(|_| {
                let told = told.clone();
                thread::spawn(move || {
                    let mut client = HttpClient::new(address);
                    for answered in 1.. {
                        match client.get("/") {
                            Ok(answer) => assert_eq!(answer.status, 200),
                            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
                            Err(_) if client.stood_still() => return,
                            Err(error) => panic!("a request was lost: {error}"),
                        }
                        if answered == 10 {
                            told.send(()).unwrap();
                        }
                    }
                })
            })
            .collect();
        clients.iter().for_each(|_| busy.recv_timeout(LONG).unwrap());
        server.end();
        for client in clients {
            client.join().unwrap();
        }
    }

    #[test]
    fn the_end_waits_for_answers_and_a_second_for_questions_and_no_longer_than_it_may() {
        let shutdown = Shutdown { delay: Duration::ZERO, drain: DRAIN };
        let start = || Server::start(4, shutdown, Duration::from_millis(300), |_| {});
        let server = start();
        assert!(server.end() < LONG, "with nobody there");

        let mut server = start();
        let mut kept = HttpClient::new(server.address);
        kept.get("/").unwrap();
        server.ask_to_end();
        server.took.recv().unwrap();
        thread::sleep(Duration::from_millis(500));
        // Who was answered a moment ago may be asking again.
        let answer = kept.get("/");
        let closed = answer.as_ref().is_ok_and(|a| (a.status, a.header("connection")) == (200, Some("close")));
        assert!(closed || answer.is_err() && kept.stood_still(), "{answer:?}");
        assert!(server.end() < LONG);

        let server = start();
        let begun = Instant::now();
        let mut silent = HttpClient::new(server.address);
        silent.get("/").unwrap();
        assert!(server.end() < LONG);
        assert!(begun.elapsed() > Duration::from_millis(1300), "{:?}", begun.elapsed());

        let shutdown = Shutdown { delay: Duration::ZERO, drain: Duration::from_millis(200) };
        let server = Server::start(4, shutdown, Duration::from_secs(30), |_| {});
        let stream = StdStream::connect(server.address).unwrap();
        (&stream).write_all(REQUEST).unwrap();
        thread::sleep(Duration::from_millis(100));
        assert!(server.end() < LONG, "an answer that takes too long is not waited for");
    }
}
