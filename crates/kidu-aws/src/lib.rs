//! AWS behind Kidu's own traits. No type of the SDK is public, except where a module says so.
//!
//! [`Aws`] holds what all services share: credentials, region, endpoint, HTTP client. Each service is a cargo feature,
//! because its SDK takes long to compile: `s3` gives [`S3Store`], an [`ObjectStore`](kidu_core::store::ObjectStore).
//!
//! TLS is rustls with *ring*: no OpenSSL, no aws-lc.

mod context;
#[cfg_attr(not(feature = "s3"), allow(dead_code, reason = "each service uses it"))]
mod fault;
mod runtime;
#[cfg(feature = "s3")]
pub mod s3;

pub use context::{Aws, AwsSettings};
#[cfg(feature = "s3")]
pub use s3::{S3Objects, S3Store};
