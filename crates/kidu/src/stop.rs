//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::sync::{
    Arc, LazyLock, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use signal_hook::{consts::TERM_SIGNALS, flag};

/// Raised once for the whole process.
static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// Whether the handlers are in place.
static REGISTERED: Mutex<bool> = Mutex::new(false);
/// Whether somebody looks at the flag.
static ORDERLY: AtomicBool = AtomicBool::new(false);

/// The exit code of an interrupted process: what a shell reports for one that SIGINT ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// A flag that SIGINT or SIGTERM raises. A second signal ends the process with code 130.
pub(crate) fn on_signals() -> std::io::Result<Arc<AtomicBool>> {
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    // Twice, and the first signal would find the flag already up.
    for signal in TERM_SIGNALS.iter().filter(|_| !*registered) {
        // Registered first, so that it acts only when the flag is already up.
        flag::register_conditional_shutdown(*signal, INTERRUPTED.into(), Arc::clone(&STOP))?;
        flag::register(*signal, Arc::clone(&STOP))?;
    }
    *registered = true;
    ORDERLY.store(true, Ordering::SeqCst);
    Ok(Arc::clone(&STOP))
}

/// Whether an orderly end is asked for.
pub(crate) fn is_asked_for() -> bool {
    STOP.load(Ordering::SeqCst)
}

/// Asks for an orderly end as a signal does: a process that does not look at the flag ends at once.
#[allow(clippy::exit, reason = "what a signal does to a process that does not handle it")]
pub(crate) fn ask() {
    STOP.store(true, Ordering::SeqCst);
    if !ORDERLY.load(Ordering::SeqCst) {
        std::process::exit(INTERRUPTED.into());
    }
}
