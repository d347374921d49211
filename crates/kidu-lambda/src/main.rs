//! `bootstrap`: the function that Lambda starts.
//!
//! Everything that does not depend on an event is done once, before the first one is asked for.

use std::process::ExitCode;

use kidu_kernels::CacheAligned;
use kidu_lambda::{Function, logs, source};
use lambda_runtime::{LambdaEvent, service_fn};

/// The kernels want their memory at cache lines; events allocate and free the same sizes over and over.
#[global_allocator]
static ALLOCATOR: CacheAligned<mimalloc::MiMalloc> = CacheAligned(mimalloc::MiMalloc);

kidu_serve::small_pages_from_the_start!();

fn main() -> ExitCode {
    logs::install();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the function ends");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let function = Function::start(&source::Source::from_environment()?, &source::Evaluated::from_environment()?)?;
    // One event at a time: one thread is enough beside those of the network.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(lambda_runtime::run(service_fn(|event: LambdaEvent<_>| {
        let function = function.clone();
        async move { Ok::<_, std::convert::Infallible>(function.answer(event).await) }
    })))
}
