//! How a fetcher is set up.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{label_studio::LabelStudio, object::Buckets, policy::Policy, retry::Retry};

/// How a fetcher is set up.
#[derive(Clone)]
pub struct FetchOptions {
    /// Which hosts and buckets may be asked.
    pub policy: Policy,
    /// The most bytes of one image.
    pub max_bytes: u64,
    /// Time for a connection.
    pub connect_timeout: Duration,
    /// Time for one try, redirects and body included.
    pub try_timeout: Duration,
    /// Time for one address, all tries and waits included.
    pub timeout: Duration,
    /// The most redirects that are followed.
    pub max_redirects: usize,
    /// What is done after a failure that may pass.
    pub retry: Retry,
    /// How many addresses are fetched at a time.
    pub concurrency: usize,
    /// The Label Studio that paths such as `/data/upload/..` belong to.
    pub label_studio: Option<LabelStudio>,
    /// Reads `s3://` addresses. Without it they are asked of the Label Studio, if there is one.
    pub buckets: Option<Arc<dyn Buckets>>,
    /// The folders in which files may be read. A relative path is looked for in each, in this order.
    pub local_roots: Vec<PathBuf>,
    /// A PEM file with certificates of authorities that are trusted besides the usual ones.
    pub ca_file: Option<PathBuf>,
}

impl Default for FetchOptions {
    /// 20 MiB, 10 s to connect, 60 s a try, 180 s in all, 5 redirects, 8 at a time; no file may be read.
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            max_bytes: 20 << 20,
            connect_timeout: Duration::from_secs(10),
            try_timeout: Duration::from_secs(60),
            timeout: Duration::from_secs(180),
            max_redirects: 5,
            retry: Retry::default(),
            concurrency: 8,
            label_studio: None,
            buckets: None,
            local_roots: Vec::new(),
            ca_file: None,
        }
    }
}
