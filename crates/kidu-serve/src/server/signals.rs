//! SIGTERM and SIGINT end the server, and the end of standard input if it is bound to it; SIGHUP has it look at the bundle
//! again.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::error::{Result, ServeError};

pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    input_ended: Option<oneshot::Receiver<()>>,
}

fn on(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|source| ServeError::System { what: "signals", source })
}

impl Signals {
    pub(super) fn new(with_input: bool) -> Result<Self> {
        let input_ended = with_input.then(watch_input).transpose()?;
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())?, input_ended })
    }

    pub(super) fn hangups(&self) -> Result<Signal> {
        on(SignalKind::hangup())
    }

    /// Waits for the first that ends the server; its name.
    pub(super) async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = ended(&mut self.input_ended) => "the end of standard input",
        }
    }
}

/// Nothing is expected on standard input: the end of it is the message.
fn watch_input() -> Result<oneshot::Receiver<()>> {
    let (tell, told) = oneshot::channel();
    let watch = move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = tell.send(());
    };
    let thread = std::thread::Builder::new().name("kidu-input".into()).spawn(watch);
    thread.map(|_| told).map_err(|source| ServeError::System { what: "threads", source })
}

async fn ended(input: &mut Option<oneshot::Receiver<()>>) {
    match input {
        Some(told) => drop(told.await),
        None => std::future::pending().await,
    }
}
