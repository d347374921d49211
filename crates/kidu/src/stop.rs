//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::sync::{Arc, atomic::AtomicBool};

use signal_hook::{consts::TERM_SIGNALS, flag};

/// A flag that SIGINT or SIGTERM raises. A second signal ends the process with code 130.
pub(crate) fn on_signals() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        // Registered first, so that it acts only when the flag is already up.
        flag::register_conditional_shutdown(*signal, 130, Arc::clone(&stop))?;
        flag::register(*signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
