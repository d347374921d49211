//! Sockets, signals and logs around a [`Service`].

mod connection;
mod options;
pub mod package;
mod signals;
mod watch;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper_util::server::graceful::GracefulShutdown;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

pub use connection::ConnectionLimits;
pub use options::ServeOptions;

use crate::{
    error::{Result, ServeError},
    pages,
    service::Service,
};

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub struct Shutdown {
    /// How long it still takes connections after it was asked to end, no longer ready: time for balancers to notice.
    pub delay: Duration,
    /// How long answers may take after that.
    pub drain: Duration,
}

/// Serves a bundle until SIGTERM or SIGINT. `announce` is called once, when the address is bound, which is before the
/// model is loaded. From here on the process gets small pages ([`pages::small`]).
///
/// # Errors
/// [`ServeError`] when the address, the options or the bundle cannot be used.
pub fn run(options: &ServeOptions, announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let started = Instant::now();
    options.check()?;
    pages::small();
    let service = Service::of_bundle(options.service(), &options.bundle)?;
    // The longest part of the start goes first, on a thread of its own.
    let loading = {
        let service = Arc::clone(&service);
        std::thread::Builder::new().name("kidu-load".into()).spawn(move || service.reload())
    };
    let loading = loading.map_err(|source| ServeError::System { what: "threads", source })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("kidu-http")
        .enable_all()
        .build()
        .map_err(|source| ServeError::System { what: "threads", source })?;
    runtime.block_on(async {
        let address = SocketAddr::new(options.host, options.port);
        let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })?;
        let address = listener.local_addr().map_err(|source| ServeError::Bind { address, source })?;
        if let Some(path) = &options.port_file {
            kidu_core::files::write_atomic(path, format!("{}\n", address.port()).as_bytes())?;
        }
        announce(address);
        let mut signals = signals::Signals::new(options.end_with_stdin)?;
        let (failed, failure) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || match loading.join() {
            Ok(Ok(_)) => tracing::info!(ms = started.elapsed().as_millis(), "ready"),
            Ok(Err(error)) => drop(failed.send(error)),
            Err(_) => drop(failed.send(ServeError::Setting("loading the bundle failed by a panic".into()))),
        });
        let watcher = tokio::spawn(watch::watch(
            Arc::clone(&service),
            options.bundle.clone(),
            options.watch_seconds,
            signals.hangups()?,
        ));
        let asked = async {
            tokio::select! {
                signal = signals.end() => { tracing::info!(signal, "asked to end"); Ok(()) }
                Ok(error) = failure => Err(error),
            }
        };
        let outcome = serve(listener, Arc::clone(&service), options.connections(), options.shutdown(), asked).await;
        watcher.abort();
        outcome
    })?;
    // What is left in the queue belongs to nobody any more.
    runtime.shutdown_timeout(Duration::from_secs(1));
    tracing::info!("ended");
    Ok(())
}

/// Serves connections until `end`, then finishes what was begun.
///
/// # Errors
/// What `end` gives.
pub async fn serve<E>(
    listener: TcpListener,
    service: Arc<Service>,
    limits: ConnectionLimits,
    shutdown: Shutdown,
    end: impl Future<Output = Result<(), E>>,
) -> Result<(), E> {
    let graceful = GracefulShutdown::new();
    let outcome = {
        let door = Door {
            places: Arc::new(Semaphore::new(limits.max_connections.max(1))),
            memory: Arc::new(Semaphore::new(limits.memory_permits())),
            limits: Arc::new(limits),
            service: Arc::clone(&service),
            graceful: &graceful,
        };
        let outcome = {
            let accept = door.accept(&listener);
            tokio::pin!(accept);
            let outcome = tokio::select! {
                outcome = end => outcome,
                () = &mut accept => Ok(()),
            };
            service.drain();
            if outcome.is_ok() {
                // Answers carry `connection: close` from here on, so that busy clients leave by themselves.
                let _ = tokio::time::timeout(shutdown.delay, &mut accept).await;
            }
            outcome
        };
        // Connections that the system has taken for us already are ours to answer.
        kidu_http::last_call(listener, |stream, peer| {
            if let Ok(place) = Arc::clone(&door.places).try_acquire_owned() {
                door.open(stream, peer, place);
            }
        });
        outcome
    };
    if tokio::time::timeout(shutdown.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = shutdown.drain.as_secs_f64(), "connections were still open at the end");
    }
    outcome
}

/// Where connections come in.
struct Door<'a> {
    places: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    limits: Arc<ConnectionLimits>,
    service: Arc<Service>,
    graceful: &'a GracefulShutdown,
}

impl Door<'_> {
    async fn accept(&self, listener: &TcpListener) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => self.open(stream, peer, place),
                Err(error) => {
                    // Too many files are open, or a connection went before it was taken: others are still to come.
                    tracing::warn!(%error, "a connection was not taken");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    fn open(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let shared = (Arc::clone(&self.service), Arc::clone(&self.limits), Arc::clone(&self.memory));
        connection::open(stream, peer, place, shared, self.graceful);
    }
}
