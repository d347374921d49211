//! The error type of this crate.

use std::path::PathBuf;

use kidu_core::suggest::did_you_mean;

use crate::validate::Problem;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with pipelines, runs and the registry. Every message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file, a manifest, a bundle or a journal could not be used.
    #[error(transparent)]
    Core(#[from] kidu_core::Error),
    /// The graph is not a pipeline; all problems are listed.
    #[error("pipeline '{pipeline}' is not valid:{}", list(problems))]
    Graph {
        /// The pipeline's name.
        pipeline: String,
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
    /// An argument template does not parse.
    #[error("argument template '{template}': {reason}")]
    Template {
        /// The template as written.
        template: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// A parameter was given that the pipeline does not have.
    #[error("pipeline '{pipeline}' has no parameter '{name}'{}; it has {known}", did_you_mean(nearest.as_deref()))]
    UnknownParameter {
        /// The pipeline's name.
        pipeline: String,
        /// What was given.
        name: String,
        /// The most similar parameter.
        nearest: Option<String>,
        /// All parameters, comma separated.
        known: String,
    },
    /// A parameter without default was not given.
    #[error("parameter '{name}' has no value; give it{}", config_hint(config_key.as_deref()))]
    MissingParameter {
        /// The parameter.
        name: String,
        /// The configuration key it stands for.
        config_key: Option<String>,
    },
    /// A parameter's value is of the wrong kind or not allowed.
    #[error("parameter '{name}' = {value}: {reason}")]
    BadParameter {
        /// The parameter.
        name: String,
        /// What was given, as JSON.
        value: String,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// A step depends on a configuration key that the configuration does not have.
    #[error("step '{step}' depends on the configuration key '{key}', which the resolved configuration does not \
             have{}; add the key or correct the pipeline", did_you_mean(nearest.as_deref()))]
    UnknownConfigKey {
        /// The step.
        step: String,
        /// The key it declares.
        key: String,
        /// The most similar key there is.
        nearest: Option<String>,
    },
    /// A step needs an external input that nobody supplied.
    #[error("step '{step}' needs the external input '{name}', which was not supplied{}; add it to the run request",
            did_you_mean(nearest.as_deref()))]
    MissingExternal {
        /// The step.
        step: String,
        /// The external input.
        name: String,
        /// The most similar input that was supplied.
        nearest: Option<String>,
    },
    /// A step ended well but did not write what it declares.
    #[error("step '{step}' ended without writing its output '{output}' at {}; see its log", path.display())]
    MissingOutput {
        /// The step.
        step: String,
        /// The output.
        output: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// There is no step of that name.
    #[error("pipeline '{pipeline}' has no step '{name}'{}; its steps: {known}", did_you_mean(nearest.as_deref()))]
    UnknownStep {
        /// The pipeline's name.
        pipeline: String,
        /// What was asked for.
        name: String,
        /// The most similar step.
        nearest: Option<String>,
        /// All steps, comma separated.
        known: String,
    },
    /// There is no such run.
    #[error("there is no run '{id}' in {}{}; `kidu pipeline status` lists the runs", dir.display(),
            did_you_mean(nearest.as_deref()))]
    UnknownRun {
        /// What was asked for.
        id: String,
        /// The folder of runs.
        dir: PathBuf,
        /// The most similar run id.
        nearest: Option<String>,
    },
    /// The name of a model group cannot be used.
    #[error(
        "'{group}' cannot name a model group: use 1 to 63 letters, digits and single hyphens, with a letter or digit \
             at both ends (as in 'intel-scene')"
    )]
    BadGroup {
        /// The name as given.
        group: String,
    },
    /// The actor or reason of a registry entry cannot be used.
    #[error("the {what} of a registry entry {reason}")]
    BadEntryText {
        /// "actor" or "reason".
        what: &'static str,
        /// What is wrong and what to do.
        reason: &'static str,
    },
    /// There is no such version.
    #[error("model group '{group}' has no version {version}; {known}")]
    UnknownVersion {
        /// The group.
        group: String,
        /// What was asked for.
        version: u32,
        /// Which versions there are.
        known: String,
    },
    /// A change of status that the registry does not allow.
    #[error("version {version} of '{group}' {reason}")]
    Transition {
        /// The group.
        group: String,
        /// The version.
        version: u32,
        /// Why the change is refused and what is possible.
        reason: String,
    },
    /// The evaluation is of another bundle than the one that is registered with it.
    #[error(
        "{} judged another bundle than {}: it names a bundle.json with the SHA-256 {judged:.12}, this one has \
             {found:.12}. It was changed since, or the two never belonged together: judge it with `kidu evaluate \
             --bundle {}` and register it with that evaluation", evaluation.display(), bundle.display(), bundle.display()
    )]
    OtherBundle {
        /// The evaluation.
        evaluation: PathBuf,
        /// The bundle's folder.
        bundle: PathBuf,
        /// The digest that the evaluation names.
        judged: String,
        /// The bundle's.
        found: String,
    },
    /// A status is spelt wrong.
    #[error("unknown approval status '{given}'{}; use PendingManualApproval, Approved or Rejected",
            did_you_mean(nearest.as_deref()))]
    BadStatus {
        /// What was given.
        given: String,
        /// The most similar status.
        nearest: Option<String>,
    },
    /// A registry that is elsewhere could not do it.
    #[error(transparent)]
    Remote(Box<RemoteError>),
}

/// What a registry that is elsewhere says, in a whole sentence.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct RemoteError {
    source: crate::executor::BoxError,
    usage: bool,
}

impl RemoteError {
    /// Keeps an error; `usage` if its cause is what the user asked for or has set up.
    pub fn new(source: impl Into<crate::executor::BoxError>, usage: bool) -> Self {
        Self { source: source.into(), usage }
    }
}

impl Error {
    /// Wraps an I/O error with what was attempted and where.
    pub(crate) fn io(action: &'static str, path: impl AsRef<std::path::Path>, source: std::io::Error) -> Self {
        Self::Core(kidu_core::Error::io(action, path, source))
    }

    /// Whether the cause is what the user asked for (exit code 2) rather than what happened (exit code 1).
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Remote(remote) => remote.usage,
            other => !matches!(other, Self::Core(_) | Self::MissingOutput { .. }),
        }
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|p| format!("\n  - {p}")).collect()
}

fn config_hint(key: Option<&str>) -> String {
    key.map(|k| format!(" with `{k}=VALUE`")).unwrap_or_else(|| " in the run request".into())
}
