//! What can go wrong.

use std::path::PathBuf;

/// What can go wrong with templates and definitions.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name is used twice.
    #[error("stack '{stack}': '{path}' is there already; names must differ in one place")]
    Clash {
        /// The stack.
        stack: String,
        /// What is there twice.
        path: String,
    },
    /// An import from a stack that is not in the app.
    #[error("stack '{stack}' imports from '{from}', which the app does not have{hint}")]
    UnknownExport {
        /// The importing stack.
        stack: String,
        /// The stack that is not there.
        from: String,
        /// The nearest name.
        hint: String,
    },
    /// Stacks that import from each other in a circle.
    #[error("the stacks {} import from each other in a circle: hand one of the values on as a parameter", .stacks.join(", "))]
    Cycle {
        /// The stacks.
        stacks: Vec<String>,
    },
    /// A stack that is not there.
    #[error("there is no stack '{name}'{hint}; known: {known}")]
    UnknownStack {
        /// The name.
        name: String,
        /// The nearest name.
        hint: String,
        /// All names.
        known: String,
    },
    /// A folder that synthesis did not write.
    #[error("{}: not a synthesised folder: {reason}", .dir.display())]
    NotAnAssembly {
        /// The folder.
        dir: PathBuf,
        /// Why.
        reason: String,
    },
    /// A pipeline that has no counterpart in SageMaker.
    #[error("pipeline '{pipeline}', step '{step}': {reason}")]
    Unsupported {
        /// The pipeline.
        pipeline: String,
        /// The step.
        step: String,
        /// What cannot be written and what to do.
        reason: String,
    },
    /// An option whose value cannot be used.
    #[error("{option} '{value}': {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        reason: String,
    },
    /// cfn-lint did not answer as it should.
    #[error("cfn-lint: {reason}; run it by hand on the templates, or leave it out with --no-cfn-lint")]
    CfnLint {
        /// What it said.
        reason: String,
    },
    /// A pipeline that is not valid.
    #[error(transparent)]
    Pipeline(#[from] kidu_pipeline::Error),
    /// A file that cannot be read or written.
    #[error(transparent)]
    Core(#[from] kidu_core::Error),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
