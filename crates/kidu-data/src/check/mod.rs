//! The data doctor: what is wrong with a data set, before anything is trained on it.
//!
//! [`Survey`] lists the files, [`measure()`] opens each once (or not at all, where nothing has changed since the last
//! time), [`judge()`] applies the rules and gives a [`CheckReport`], [`gallery`] draws it as a page. [`fix`] moves
//! offenders away and [`undo`] back.

mod align;
mod alike;
mod cache;
mod classes;
pub mod confident;
mod descriptor;
mod facts;
mod features;
mod finding;
pub mod gallery;
mod groups;
mod hash_index;
mod kind;
mod logistic;
mod measure;
mod near;
mod perceptual;
mod plane;
mod quarantine;
mod report;
mod rules;
mod settings;
mod survey;
mod thumbnail;

pub use descriptor::Descriptor;
pub use facts::{Facts, PixelFacts};
pub use features::{FeaturePair, Features, similar};
pub use finding::{FileRef, Finding, Pair};
pub(crate) use groups::Groups;
pub use hash_index::HashIndex;
pub use kind::{Kind, Severity};
pub use logistic::{SoftmaxRegression, out_of_fold};
pub use measure::{Measured, measure};
pub use near::{NearPair, pairs};
pub use quarantine::{Fixed, JOURNAL, Removal, Undone, fix, plan, undo};
pub use report::{CheckReport, ClassRow, Evidence, FilePredictions, LabelReport, SummaryLine, judge};
pub use settings::CheckSettings;
pub(crate) use survey::FOREIGN;
pub use survey::{Survey, SurveyFile};
pub use thumbnail::Thumbnail;
