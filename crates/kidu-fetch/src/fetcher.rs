//! From an address to bytes.

use std::sync::Arc;

use tokio::{sync::Semaphore, task, time};
use url::Url;

use crate::{
    address::{Address, shown_url},
    data_uri,
    error::{FetchError, Result},
    http_get::Http,
    label_studio::Session,
    local, object,
    options::FetchOptions,
    reach, retry,
};

/// Gets the bytes behind addresses. Cheap to clone: clones share connections, tokens and the limit on how many addresses
/// are fetched at a time. Its futures need a tokio runtime with I/O and time.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    options: FetchOptions,
    http: Http,
    session: Option<Session>,
    turns: Semaphore,
}

impl Fetcher {
    /// A fetcher. Nothing is connected yet.
    ///
    /// # Errors
    /// [`FetchError::Setup`] for a file of certificates that cannot be used, or a concurrency of 0.
    pub fn new(options: FetchOptions) -> Result<Self> {
        if options.concurrency == 0 {
            return Err(FetchError::Setup("at least one address must be fetched at a time".into()));
        }
        let http = Http::new(&options)?;
        let session = options.label_studio.clone().map(Session::new);
        Ok(Self(Arc::new(Inner { turns: Semaphore::new(options.concurrency), http, session, options })))
    }

    /// How it was set up.
    pub fn options(&self) -> &FetchOptions {
        &self.0.options
    }

    /// The bytes behind an address. `task` is the Label Studio task that names it: needed to ask a Label Studio for an
    /// object of its storage.
    ///
    /// # Errors
    /// [`FetchError`]; failures that may pass have been tried again by then.
    pub async fn fetch(&self, address: &Address, task: Option<u64>) -> Result<Vec<u8>> {
        let inner = &self.0;
        reach::check(address, &inner.options)?;
        // Closed never: the semaphore lives as long as the fetcher.
        let _turn = inner.turns.acquire().await.map_err(|e| FetchError::Setup(e.to_string()))?;
        let after = inner.options.timeout;
        let timeout = || FetchError::Timeout { address: address.to_string(), after };
        time::timeout(after, inner.with_retries(address, task)).await.unwrap_or_else(|_| Err(timeout()))
    }
}

impl Inner {
    async fn with_retries(&self, address: &Address, task: Option<u64>) -> Result<Vec<u8>> {
        let mut tried = 0;
        loop {
            let error = match self.once(address, task).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            let wait = self.options.retry.wait(tried, error.retry_after(), retry::chance());
            match wait.filter(|_| error.is_transient()) {
                Some(wait) => time::sleep(wait).await,
                None => return Err(error),
            }
            tried += 1;
        }
    }

    async fn once(&self, address: &Address, task: Option<u64>) -> Result<Vec<u8>> {
        let most = self.options.max_bytes;
        match address {
            Address::Data(uri) => data_uri::decode(uri, most),
            Address::Http(url) => self.get(url).await,
            Address::LabelStudio(path) => match &self.session {
                Some(session) => self.get(&session.server.url_of(path)).await,
                None => Err(FetchError::NoLabelStudio { address: address.to_string() }),
            },
            Address::Object { bucket, key } => self.object(address, bucket, key, task).await,
            Address::Local(path) => self.local(path.clone(), false).await,
            Address::LocalFiles(path) => match &self.session {
                Some(session) if self.options.local_roots.is_empty() => {
                    let mut url = session.server.url_of("/data/local-files/");
                    url.query_pairs_mut().append_pair("d", path);
                    self.get(&url).await
                }
                _ => self.local(path.into(), true).await,
            },
        }
    }

    /// The body of a URL, with the token if it is the Label Studio's own.
    async fn get(&self, url: &Url) -> Result<Vec<u8>> {
        let most = self.options.max_bytes;
        let Some(session) = self.session.as_ref().filter(|s| s.server.owns(url)) else {
            return self.http.get(url, None, most).await;
        };
        for last in [false, true] {
            let credentials = session.credentials(&self.http).await?;
            let result = self.http.get(url, credentials.as_ref(), most).await;
            let Err(FetchError::Status { status: status @ (401 | 403), address, .. }) = &result else { return result };
            // What lies behind a redirect has its own reasons.
            if *address != shown_url(url) {
                return result;
            }
            let (status, address) = (*status, address.clone());
            let renewable = match &credentials {
                Some(refused) => session.forget(refused).await,
                None => false,
            };
            if last || !renewable {
                let reason = if credentials.is_some() {
                    "the token is not valid or may not see this; legacy tokens are off by default in new organisations"
                } else {
                    "give a token with --label-studio-token or LABEL_STUDIO_API_KEY"
                };
                return Err(FetchError::Unauthorized { address, status, reason });
            }
        }
        // The loop returns in its second turn.
        Err(FetchError::Setup("Label Studio was not asked".into()))
    }

    /// An object: from the store at hand, else from the Label Studio whose storage holds it.
    async fn object(&self, address: &Address, bucket: &str, key: &str, task: Option<u64>) -> Result<Vec<u8>> {
        if !self.options.policy.allows_bucket(bucket) {
            return Err(FetchError::BucketNotAllowed { address: address.to_string(), bucket: bucket.into() });
        }
        let from_store = match self.options.buckets.clone() {
            Some(buckets) => {
                let (bucket, key, most) = (bucket.to_string(), key.to_string(), self.options.max_bytes);
                blocking(move || buckets.get(&bucket, &key, most)).await
            }
            None => Err(object::no_store(address.to_string())),
        };
        let (Err(first), Some(session), Some(task)) = (&from_store, &self.session, task) else { return from_store };
        if matches!(first, FetchError::TooLarge { .. }) || first.is_transient() {
            return from_store;
        }
        // Without rights of one's own those of the Label Studio may do.
        match self.get(&session.server.presign_url(task, &address.to_string())).await {
            Err(FetchError::NotFound { .. }) if self.options.buckets.is_none() => {
                let place = "the storages of the Label Studio project".into();
                Err(FetchError::NotFound { address: address.to_string(), place })
            }
            Err(FetchError::NotFound { .. }) => from_store,
            answer => answer,
        }
    }

    async fn local(&self, path: std::path::PathBuf, inner: bool) -> Result<Vec<u8>> {
        let (roots, most) = (self.options.local_roots.clone(), self.options.max_bytes);
        blocking(move || local::read(&path, inner, &roots, most)).await
    }
}

async fn blocking(work: impl FnOnce() -> Result<Vec<u8>> + Send + 'static) -> Result<Vec<u8>> {
    task::spawn_blocking(work).await.unwrap_or_else(|e| Err(FetchError::Setup(format!("a reading thread failed: {e}"))))
}
