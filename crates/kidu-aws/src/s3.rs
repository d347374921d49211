//! S3 as an object store.
//!
//! [`S3Objects`] has the asynchronous calls, [`S3Store`] the same ones for synchronous code behind
//! [`ObjectStore`](kidu_core::store::ObjectStore). Large files travel in parts, several at a time; what arrives is held
//! against the checksums that S3 and Kidu have recorded.

mod checksum;
mod download;
mod listing;
mod objects;
mod store;
mod upload;

pub use listing::Page;
pub use objects::{S3Objects, Transfer};
pub use store::S3Store;
