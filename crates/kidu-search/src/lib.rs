//! Hyperparameter search by ask and tell: search spaces, samplers (TPE, random, grid), pruners (median, successive
//! halving, Hyperband), importance of parameters (fANOVA), and a study that lives in a journal which Optuna reads and writes too.
//!
//! ```
//! use kidu_search::{Outcome, SearchSettings, Study};
//!
//! let settings: SearchSettings = serde_json::from_str(
//!     r#"{"n_trials": 20, "direction": "minimize", "metric": "val/loss",
//!         "params": {"x": "interval(-5.0, 5.0)", "kind": "choice(a, b)"}}"#,
//! ).unwrap();
//! let dir = std::env::temp_dir().join(format!("kidu-search-doc-{}", std::process::id()));
//! let study = Study::open(&dir.join("study.log"), settings).unwrap();
//! while let Some(trial) = study.ask().unwrap() {
//!     let x = trial.params["x"].as_f64().unwrap();
//!     let penalty = if trial.params["kind"] == "a".into() { 1.0 } else { 0.0 };
//!     study.tell(trial.number, Outcome::Complete(x * x + penalty)).unwrap();
//! }
//! assert_eq!(study.trials().len(), 20);
//! # std::fs::remove_dir_all(dir).unwrap();
//! ```

mod error;
mod importance;
mod journal;
mod pruner;
mod results;
mod sampler;
mod settings;
mod space;
mod study;
mod trial;
mod value;

pub use error::{Error, Result};
pub use importance::{Fanova, Importance};
pub use settings::{
    Direction, Problem, PrunerName, PrunerSettings, Resource, SamplerName, SamplerSettings, SearchSettings, Timeout,
};
pub use space::{Condition, Distribution, Param, Space};
pub use study::{Outcome, Study, Trial};
pub use trial::{Assigned, TrialRecord, TrialState};
pub use value::ParamValue;
