//! Configuration from composable YAML files, after the model of Hydra but without class paths: defaults lists,
//! groups of options, overrides on the command line, `${interpolation}`, sweeps. Every value remembers the file, line
//! and column (or the override) it came from and what it replaced, so that every error and `explain` can say so.
//!
//! This crate never knows what the settings mean.
//!
//! ```
//! use kidu_config::{ConfigSources, compose};
//!
//! #[derive(serde::Deserialize)]
//! struct Trainer { max_epochs: u32 }
//!
//! let sources = ConfigSources::from_texts([
//!     ("train.yaml", "defaults: [_self_, trainer: default]\nseed: 1\n"),
//!     ("trainer/default.yaml", "max_epochs: 10\n"),
//! ]).unwrap();
//! let composed = compose(&sources, "train", &["trainer.max_epochs=3".into()]).unwrap();
//! assert_eq!(composed.section::<Trainer>("trainer").unwrap().max_epochs, 3);
//!
//! let error = compose(&sources, "train", &["trainer.max_epoch=3".into()]).unwrap_err().to_string();
//! assert!(error.contains("did you mean 'trainer.max_epochs'?"));
//! ```
//!
//! # Defaults lists
//! A file may begin with `defaults:`, a list of the files to merge; later ones win, lists are replaced, maps merged.
//!
//! | Entry | Meaning |
//! |---|---|
//! | `_self_` | the place of the file's own keys; at the end when it is not written |
//! | `name` | another file of the same folder |
//! | `group: option` | `group/option.yaml`, its keys below `group` |
//! | `group: [a, b]` | several options, merged in that order |
//! | `group: null` | nothing yet; `group=option` may choose one |
//! | `optional group: option` | nothing if the file does not exist |
//! | `override /group: option` | another choice for a group that is listed elsewhere, before this file |
//! | `/group@package: option` | a group from the root, its keys below `package` (`_global_` is the root) |
//!
//! A group without `/` is looked for below the folder of the file that lists it, a package is relative to that of the
//! file that lists it. `# @package _global_` among a file's first comments puts its keys at the root. A file that is
//! listed several times for the same package is merged once, at its first place.
//!
//! # Overrides
//! `group=option`, `group=[a,b]`, `group=null`, `+group=option` (not in the list yet), `~group`; `a.b=c` (must exist),
//! `+a.b=c` (must not exist), `++a.b=c` (either), `~a.b` (removes). An index reaches into a list: `a.0=c`. A value that
//! is a map is merged. See [`quote`] for how values are written.
//!
//! # Interpolation
//! `${a.b}` from the root, `${.b}` beside the key, `${..b}` one level up, `${oc.env:NAME}` and
//! `${oc.env:NAME,default}` (always a text), `${oc.decode:TEXT}` (a text read as an override's value), all of them
//! nested at will. A value that is one interpolation keeps the type of what it names. `\${` is a literal `${`.

mod compose;
mod composed;
mod de;
mod defaults;
mod emit;
mod error;
mod interpolate;
mod merge;
mod node;
mod overrides;
mod read_error;
mod scalar;
mod sources;
mod sweep;
mod value;
mod yaml;

pub use compose::compose;
pub use composed::{Change, Choice, Composed, Explanation};
pub use error::{ConfigError, Place, Result};
pub use node::{Entry, Node, Origin, Setting, SourceName, Value};
pub use scalar::{format_float, format_text, resolve_plain};
pub use sources::ConfigSources;
pub use sweep::{expand_sweep, split_commas};
pub use value::quote;
