//! The fetcher for callers without a runtime.

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::{
    address::Address,
    error::{FetchError, Result},
    fetcher::Fetcher,
    options::FetchOptions,
};

/// A [`Fetcher`] with a runtime of its own. Not to be used inside another runtime: it blocks the thread.
pub struct BlockingFetcher {
    runtime: Runtime,
    fetcher: Fetcher,
}

impl BlockingFetcher {
    /// A fetcher and its two threads.
    ///
    /// # Errors
    /// As [`Fetcher::new`], or [`FetchError::Setup`] when the threads cannot be started.
    pub fn new(options: FetchOptions) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("kidu-fetch")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|e| FetchError::Setup(format!("the threads that fetch cannot be started: {e}")))?;
        Ok(Self { runtime, fetcher: Fetcher::new(options)? })
    }

    /// As [`Fetcher::fetch`].
    ///
    /// # Errors
    /// As [`Fetcher::fetch`].
    pub fn fetch(&self, address: &Address, task: Option<u64>) -> Result<Vec<u8>> {
        self.runtime.block_on(self.fetcher.fetch(address, task))
    }

    /// Fetches many, several at a time, and hands each to `each` as it arrives, with the key it was given by. No more
    /// are held in memory than are fetched at a time.
    pub fn fetch_each<K: Send + 'static>(
        &self,
        requests: impl IntoIterator<Item = (K, Address, Option<u64>)>,
        mut each: impl FnMut(K, Result<Vec<u8>>),
    ) {
        let most = self.fetcher.options().concurrency;
        let mut requests = requests.into_iter();
        self.runtime.block_on(async {
            let mut running = JoinSet::new();
            loop {
                while running.len() < most {
                    let Some((key, address, task)) = requests.next() else { break };
                    let fetcher = self.fetcher.clone();
                    running.spawn(async move { (key, fetcher.fetch(&address, task).await) });
                }
                match running.join_next().await {
                    Some(Ok((key, result))) => each(key, result),
                    // Only a panic ends a task early; it is that of a bug and goes on here.
                    Some(Err(e)) => std::panic::resume_unwind(e.into_panic()),
                    None => break,
                }
            }
        });
    }
}
