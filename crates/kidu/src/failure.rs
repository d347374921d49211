//! How the command ends when it does not end well.

use std::{fmt, process::ExitCode};

/// A failure by its exit code: 1 failed, 2 usage or configuration, 3 a gate said no.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The work could not be done.
    Failed(anyhow::Error),
    /// The command line or the configuration is wrong; nothing was begun.
    Usage(anyhow::Error),
    /// A gate refused.
    Refused(String),
    /// Printed already, because something had to be said after it.
    Reported(Box<Failure>),
    /// A signal ended the work; what is needed to go on was saved, and the text says how.
    Interrupted(String),
}

impl Failure {
    /// A usage error from a text.
    pub(crate) fn usage(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self::Usage(anyhow::Error::msg(message))
    }

    /// The exit code as the architecture states it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Refused(_) => ExitCode::from(3),
            Self::Reported(failure) => failure.exit_code(),
            Self::Interrupted(_) => ExitCode::from(crate::stop::INTERRUPTED),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(e) | Self::Usage(e) => write!(f, "error: {}", in_full(e)),
            Self::Refused(rule) => write!(f, "refused: {rule}"),
            Self::Interrupted(how) => write!(f, "interrupted: {how}"),
            Self::Reported(failure) => failure.fmt(f),
        }
    }
}

/// An error and those of its causes that it does not tell itself. The messages of our libraries are whole sentences that
/// hold their reason, and those of others often do: a reason is printed once.
fn in_full(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(error.to_string(), |told, cause| if told.contains(&cause) { told } else { format!("{told}: {cause}") })
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

macro_rules! failed {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Failed(error.into())
            }
        })*
    };
}

failed!(kidu_core::Error, kidu_eval::Error, kidu_data::synth::SynthError, serde_json::Error, std::io::Error);

impl From<kidu_config::ConfigError> for Failure {
    fn from(error: kidu_config::ConfigError) -> Self {
        Self::Usage(error.into())
    }
}

impl From<kidu_data::DataError> for Failure {
    fn from(error: kidu_data::DataError) -> Self {
        match error {
            kidu_data::DataError::Setting { .. } => Self::Usage(error.into()),
            kidu_data::DataError::Version(inner) if inner.is_usage() => Self::Usage(inner.into()),
            other => Self::Failed(other.into()),
        }
    }
}

impl From<kidu_annotate::AnnotateError> for Failure {
    fn from(error: kidu_annotate::AnnotateError) -> Self {
        if error.is_usage() { Self::Usage(error.into()) } else { Self::Failed(error.into()) }
    }
}

impl From<kidu_annotations::ImportError> for Failure {
    fn from(error: kidu_annotations::ImportError) -> Self {
        if error.is_usage() { Self::Usage(error.into()) } else { Self::Failed(error.into()) }
    }
}

impl From<kidu_data::versions::VersionError> for Failure {
    fn from(error: kidu_data::versions::VersionError) -> Self {
        if error.is_usage() { Self::Usage(error.into()) } else { Self::Failed(error.into()) }
    }
}

impl From<kidu_pipeline::Error> for Failure {
    fn from(error: kidu_pipeline::Error) -> Self {
        if error.is_usage() { Self::Usage(error.into()) } else { Self::Failed(error.into()) }
    }
}

impl From<kidu_deploy::DeployError> for Failure {
    fn from(error: kidu_deploy::DeployError) -> Self {
        use kidu_deploy::DeployError::{Pipeline, Refused, Setting};
        match error {
            Refused(rule) => Self::Refused(rule),
            Setting { .. } => Self::Usage(error.into()),
            Pipeline(inner) => inner.into(),
            other => Self::Failed(other.into()),
        }
    }
}

impl From<kidu_models::ModelError> for Failure {
    fn from(error: kidu_models::ModelError) -> Self {
        use kidu_models::ModelError::{Device, Setting};
        match error {
            Device(_) | Setting(_) => Self::Usage(error.into()),
            other => Self::Failed(other.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use anyhow::Context;

    use super::*;

    const REASON: &str = "Permission denied";

    fn denied() -> kidu_core::Error {
        kidu_core::Error::io("write", Path::new("runs/last.ckpt"), io::Error::other(REASON))
    }

    #[track_caller]
    fn says(failure: impl Into<Failure>, message: &str) {
        assert_eq!(failure.into().to_string(), message);
    }

    #[test]
    fn a_reason_that_the_message_holds_is_not_repeated() {
        says(denied(), "error: cannot write runs/last.ckpt: Permission denied");
        says(kidu_data::DataError::from(denied()), "error: cannot write runs/last.ckpt: Permission denied");
        let save = kidu_train::TrainError::Save { source: denied(), kept: None };
        let text = Failure::Failed(save.into()).to_string();
        assert_eq!(text.matches(REASON).count(), 1, "{text}");
        let json = serde_json::from_str::<u8>("no").map_err(|source| kidu_core::Error::Json {
            what: "lineage",
            path: "lineage.json".into(),
            source,
        });
        let text = Failure::from(json.unwrap_err()).to_string();
        assert_eq!(text.matches("line 1 column").count(), 1, "{text}");
    }

    #[test]
    fn a_cause_that_the_message_lacks_is_added() {
        let error = Err::<(), _>(io::Error::other(REASON)).context("cannot read a.jpg").unwrap_err();
        says(
            error.context("nothing was classified"),
            "error: nothing was classified: cannot read a.jpg: Permission denied",
        );
    }
}
