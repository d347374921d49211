//! A Label Studio's API for callers without a runtime: any method, the token renewed, and whatever status comes back.

use http::Method;
use tokio::runtime::{Builder, Runtime};

use crate::{
    error::{FetchError, Result},
    http_get::{Http, Posted},
    label_studio::Session,
    options::FetchOptions,
    retry,
};

/// The API of one Label Studio. Blocks the thread: not to be used inside another runtime.
pub struct LabelStudioApi {
    runtime: Runtime,
    http: Http,
    session: Session,
    options: FetchOptions,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct ApiCall {
    /// The method.
    pub method: Method,
    /// Path and query below the Label Studio's address, as in `/api/projects/?page=1`.
    pub path: String,
    /// The body and its media type.
    pub body: Option<(String, Vec<u8>)>,
}

/// What was answered, whatever the status.
#[derive(Clone, Debug)]
pub struct ApiAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl ApiCall {
    /// A call without a body.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None }
    }

    /// A call with JSON.
    pub fn json(method: Method, path: impl Into<String>, value: &serde_json::Value) -> Self {
        let body = Some(("application/json".into(), value.to_string().into_bytes()));
        Self { method, path: path.into(), body }
    }
}

impl LabelStudioApi {
    /// The API of `options.label_studio`.
    ///
    /// # Errors
    /// [`FetchError::Setup`] without a Label Studio, for certificates that cannot be used, or without a thread.
    pub fn new(options: FetchOptions) -> Result<Self> {
        let Some(server) = options.label_studio.clone() else {
            return Err(FetchError::Setup("say which Label Studio with --label-studio URL".into()));
        };
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|e| FetchError::Setup(format!("the client of Label Studio cannot be started: {e}")))?;
        Ok(Self { runtime, http: Http::new(&options)?, session: Session::new(server), options })
    }

    /// The Label Studio's address.
    pub fn base(&self) -> &url::Url {
        self.session.server.base()
    }

    /// One call. A token that was refused is renewed once. `GET` is tried again after failures that may pass; what
    /// changes something only where it has surely not arrived (429).
    ///
    /// # Errors
    /// [`FetchError`] where there is no answer; an answer of any status is none.
    pub fn call(&self, call: &ApiCall) -> Result<ApiAnswer> {
        self.runtime.block_on(self.with_retries(call))
    }

    async fn with_retries(&self, call: &ApiCall) -> Result<ApiAnswer> {
        let mut tried = 0;
        loop {
            let result = self.once(call).await;
            let reading = call.method == Method::GET;
            let again = match &result {
                Ok(answer) => answer.status == 429 || (reading && matches!(answer.status, 502..=504)),
                Err(error) => reading && error.is_transient(),
            };
            match self.options.retry.wait(tried, None, retry::chance()).filter(|_| again) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return result,
            }
            tried += 1;
        }
    }

    async fn once(&self, call: &ApiCall) -> Result<ApiAnswer> {
        let url = self.session.server.url_of(&call.path);
        for last in [false, true] {
            let credentials = self.session.credentials(&self.http).await?;
            let posted = call.body.as_ref().map(|(kind, bytes)| Posted { kind, bytes });
            let (status, body) =
                self.http.exchange(&call.method, &url, credentials.as_ref(), posted, self.options.max_bytes).await?;
            if status == 401 && !last {
                let renewable = match &credentials {
                    Some(refused) => self.session.forget(refused).await,
                    None => false,
                };
                if renewable {
                    continue;
                }
            }
            return Ok(ApiAnswer { status, body });
        }
        // The loop returns in its second turn.
        Err(FetchError::Setup("Label Studio was not asked".into()))
    }
}
