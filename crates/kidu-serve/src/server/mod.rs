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

use tokio::{net::TcpListener, sync::Semaphore};

pub use connection::ConnectionLimits;
pub use kidu_http::Shutdown;
pub use options::ServeOptions;

use crate::{
    error::{Result, ServeError},
    pages,
    service::Service,
};

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
    let seen = watch::mark(&options.bundle);
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
        // Before anybody is told where it is: whoever starts a server may end it at once.
        let mut signals = signals::Signals::new(options.end_with_stdin)?;
        let hangups = signals.hangups()?;
        let address = SocketAddr::new(options.host, options.port);
        let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })?;
        let address = listener.local_addr().map_err(|source| ServeError::Bind { address, source })?;
        if let Some(path) = &options.port_file {
            kidu_core::files::write_atomic(path, format!("{}\n", address.port()).as_bytes())?;
        }
        announce(address);
        let (failed, failure) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || match loading.join() {
            Ok(Ok(_)) => tracing::info!(ms = started.elapsed().as_millis(), "ready"),
            Ok(Err(error)) => drop(failed.send(error)),
            Err(_) => drop(failed.send(ServeError::Setting("loading the bundle failed by a panic".into()))),
        });
        let watcher = tokio::spawn(watch::watch(
            Arc::clone(&service),
            options.bundle.clone(),
            seen,
            options.watch_seconds,
            hangups,
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

/// Serves connections until `end`, then finishes what was begun. During [`Shutdown::delay`] `/ready` says no.
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
    let memory = Arc::new(Semaphore::new(limits.memory_permits()));
    let limits = Arc::new(limits);
    let leave = |outcome: &Result<(), E>| {
        service.drain();
        // Who could not begin has nobody to wait for.
        Shutdown { delay: if outcome.is_ok() { shutdown.delay } else { Duration::ZERO }, ..shutdown }
    };
    kidu_http::serve(listener, limits.max_connections, end, leave, |stream, peer, seat| {
        connection::open(stream, peer, seat, (Arc::clone(&service), Arc::clone(&limits), Arc::clone(&memory)));
    })
    .await
}
