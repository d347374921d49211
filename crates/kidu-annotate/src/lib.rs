//! Annotation with Label Studio: its API, projects in one command, and which images to label next.
//!
//! [`client`] speaks Label Studio's API. [`project`] compares what a project should have with what it has, and brings it
//! there. [`form`] reads and writes labelling forms, [`result`] writes predictions in Label Studio's shape. [`active`]
//! is the mathematics of choosing images to label, [`rank`] applies it to tasks, and [`simulate`] measures what it is
//! worth on images whose labels are known.
//!
//! This crate predicts nothing itself: probabilities and features come in as numbers.

pub mod active;
mod address;
pub mod client;
pub mod error;
pub mod form;
pub mod form_xml;
pub mod project;
pub mod rank;
pub mod result;
pub mod simulate;

pub use client::LabelStudioClient;
pub use error::{AnnotateError, Result};
