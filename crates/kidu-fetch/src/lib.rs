//! The bytes behind an image address.
//!
//! An [`Address`] is what annotation tools write into a task: an `http(s)://` URL, a `data:` URI, a path, an `s3://`
//! name, or a path on a Label Studio (`/data/upload/..`). A [`Fetcher`] gets its bytes within limits of size, time and
//! redirects, from the hosts and buckets that its [`Policy`] allows. Addresses come from data, so the machine must not
//! be talked into asking its own network: what a host resolves to is checked, and the connection is made to exactly the
//! addresses that were checked, again at each redirect.
//!
//! [`Fetcher`] is asynchronous; [`BlockingFetcher`] is the same for callers without a runtime. [`LabelStudioApi`] asks a
//! Label Studio's API, with the same tokens.
//!
//! Proxies of the environment are not used: a proxy would resolve the names, and nothing could be checked.

mod address;
mod api;
mod blocking;
mod connect;
mod data_uri;
mod error;
mod fetcher;
mod http_get;
mod label_studio;
mod local;
mod object;
mod options;
mod policy;
mod reach;
mod retry;
mod tls;

pub use address::Address;
pub use api::{ApiAnswer, ApiCall, LabelStudioApi};
pub use blocking::BlockingFetcher;
pub use error::{FetchError, Result};
pub use fetcher::Fetcher;
pub use label_studio::{LabelStudio, Token};
pub use object::{Buckets, ObjectName, StoreBuckets};
pub use options::FetchOptions;
pub use policy::{HostPattern, Policy, PrivateRule};
pub use retry::Retry;
pub use tls::secured;
