//! What is recorded, and how it is cut into requests.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Metrics of one `log-batch`: the server's limit.
pub(super) const MOST_METRICS: usize = 1000;
/// Parameters or tags of one `log-batch`.
pub(super) const MOST_PARAMS: usize = 100;
/// Bytes of one request, below the server's limit of 1 MB; the spool's form of an entry is never shorter than the
/// server's by much.
pub(super) const MOST_BYTES: usize = 600_000;
/// Characters of a parameter's or tag's value; longer ones are cut.
const MOST_VALUE: usize = 5000;
/// Characters of a name.
const MOST_KEY: usize = 250;

/// A value of a metric at a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Its name, `val/acc`.
    pub key: String,
    /// Finite; others are not recorded.
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Optimizer steps.
    pub step: u64,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RunStatus {
    /// Under way.
    Running,
    /// It came to its end.
    Finished,
    /// It failed.
    Failed,
    /// It was stopped and can go on.
    Killed,
}

/// A line of the spool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    Params(Vec<(String, String)>),
    Tags(Vec<(String, String)>),
    Metrics(Vec<Metric>),
    /// A file, below the run's folder if the path is relative, and where it goes among the run's artifacts.
    Artifact {
        file: PathBuf,
        path: String,
    },
    Status {
        status: RunStatus,
        end_time: Option<u64>,
    },
}

impl Entry {
    /// Appends `next` if one request may hold both.
    pub(super) fn merge(&mut self, next: Self) -> Result<(), Self> {
        match (self, next) {
            (Self::Metrics(all), Self::Metrics(more)) if all.len() + more.len() <= MOST_METRICS => all.extend(more),
            (Self::Params(all), Self::Params(more)) if all.len() + more.len() <= MOST_PARAMS => all.extend(more),
            (Self::Tags(all), Self::Tags(more)) if all.len() + more.len() <= MOST_PARAMS => all.extend(more),
            (_, next) => return Err(next),
        }
        Ok(())
    }

    /// What an entry is, for messages.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Params(all) => format!("{} parameters", all.len()),
            Self::Tags(all) => format!("{} tags", all.len()),
            Self::Metrics(all) => format!("{} metric values", all.len()),
            Self::Artifact { path, .. } => format!("the artifact {path}"),
            Self::Status { status, .. } => format!("the status {status:?}"),
        }
    }
}

/// Names and values as MLflow takes them, in lists within its limits.
pub(super) fn pairs(all: impl IntoIterator<Item = (String, String)>) -> Vec<Vec<(String, String)>> {
    let all: Vec<_> = all.into_iter().map(|(k, v)| (key(&k), v.chars().take(MOST_VALUE).collect())).collect();
    // 100 values of 5000 characters of up to four bytes would pass the limit of a request.
    all.chunks(MOST_PARAMS / 4).map(<[_]>::to_vec).collect()
}

/// A name with only the characters that every MLflow server takes.
pub(super) fn key(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-. :/".contains(c);
    name.chars().map(|c| if fits(c) { c } else { '_' }).take(MOST_KEY).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_fit_the_servers_limits() {
        assert_eq!(key("val/acc (α)"), "val/acc ____".replace("____", "___"));
        let lists = pairs((0..60).map(|i| (format!("p{i}"), "x".repeat(9000))));
        assert_eq!(lists.iter().map(Vec::len).collect::<Vec<_>>(), [25, 25, 10]);
        assert!(lists[0][0].1.len() == MOST_VALUE);
    }

    #[test]
    fn entries_merge_only_with_their_kind_and_within_the_limit() {
        let metric = |n: usize| Entry::Metrics(vec![Metric { key: "a".into(), value: 0.5, timestamp: 1, step: 1 }; n]);
        let mut all = metric(999);
        assert!(all.merge(metric(1)).is_ok());
        assert!(all.merge(metric(1)).is_err());
        assert!(all.merge(Entry::Params(vec![])).is_err());
        let text = serde_json::to_string(&Entry::Status { status: RunStatus::Finished, end_time: Some(5) }).unwrap();
        assert_eq!(text, r#"{"status":{"status":"FINISHED","end_time":5}}"#);
    }
}
