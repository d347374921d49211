//! Asynchronous work from synchronous code.

use std::{io, sync::LazyLock};

use tokio::runtime::{Builder, Handle, Runtime};

/// One runtime for the process, never dropped: connections are kept between calls, and dropping a runtime inside
/// another panics.
static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).thread_name("kidu-aws").enable_all().build());

/// Runs a future to its end, from any thread, even one that runs asynchronous work itself (which then waits).
///
/// # Errors
/// The system's reason for not giving threads.
pub(crate) fn block_on<F>(future: F) -> io::Result<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    let runtime = RUNTIME.as_ref().map_err(|e| io::Error::new(e.kind(), e.to_string()))?;
    if Handle::try_current().is_err() {
        return Ok(runtime.block_on(future));
    }
    // A thread of a runtime may not block on another one; a thread of its own may.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || runtime.block_on(future))?;
        thread.join().or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn blocks_in_and_out_of_a_runtime() {
        let outside = super::block_on(async { 1 }).unwrap();
        let inside = super::block_on(async { super::block_on(async { 2 }).unwrap() }).unwrap();
        assert_eq!((outside, inside), (1, 2));
    }
}
