//! People's annotations into a dataset.
//!
//! [`read`] turns what annotation tools write (Label Studio's S3 target storage, tasks and exports, COCO, CSV lists) into
//! one normal form, [`Annotation`]. [`settle()`] decides between annotators, [`agreement`] measures how far they agree.
//! [`import()`] brings the images into class folders, moves those whose label has changed, and keeps for each where its
//! label came from ([`provenance`]). The same import again changes nothing.

pub mod agreement;
pub mod annotation;
mod apply;
mod classes;
mod error;
mod import;
mod locate;
mod obtain;
mod options;
mod plan;
pub mod provenance;
pub mod read;
mod report;
mod select;
pub mod settle;
mod source;
mod target;

pub use annotation::{Annotation, Origin, Problem, System};
pub use error::{ImportError, Result};
pub use import::import;
pub use options::{ImportOptions, LayoutChoice, Names, NewClasses};
pub use report::{ClassRow, Conflict, Counts, ImportReport, Moved, Outcome, SourceReport, Unavailable, Withdrawn};
pub use settle::{OnConflict, Rule, Vote, settle};
