//! AWS behind Kidu's own traits. No type of the SDK is public, except where a module says so.
//!
//! [`Aws`] holds what all services share: credentials, region, endpoint, HTTP client. Each service is a cargo feature,
//! because its SDK takes long to compile: `s3` gives [`S3Store`], an [`ObjectStore`](kidu_core::store::ObjectStore);
//! `cloudformation` gives `cloudformation::CloudFormation`, stacks by change sets.
//! `lambda` gives `lambda::LambdaFunction`, to invoke one.
//! `sagemaker` (off by default) gives jobs, pipelines and the model registry.
//!
//! TLS is rustls with *ring*: no OpenSSL, no aws-lc.

#[cfg(feature = "cloudformation")]
pub mod cloudformation;
mod context;
#[cfg_attr(not(feature = "s3"), allow(dead_code, reason = "each service uses it"))]
mod fault;
#[cfg(feature = "s3")]
mod identity;
#[cfg(feature = "lambda")]
pub mod lambda;
mod runtime;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sagemaker")]
pub mod sagemaker;

pub use context::{Aws, AwsSettings};
#[cfg(feature = "s3")]
pub use identity::Identity;
#[cfg(feature = "s3")]
pub use s3::{S3Objects, S3Store};
