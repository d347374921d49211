//! The registry's ledger: entries, what they add up to, and which changes of status are allowed. Pure decisions; the
//! files are [`crate::registry`]'s.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use kidu_core::{Sha256Hex, suggest::nearest};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    lineage::Lineage,
};

/// The approval status of a model version, under SageMaker's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Waits for a person's decision.
    #[default]
    PendingManualApproval,
    /// May be deployed.
    Approved,
    /// Must not be deployed.
    Rejected,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PendingManualApproval, Self::Approved, Self::Rejected];

    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingManualApproval => "PendingManualApproval",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Status {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| Error::BadStatus {
            given: text.into(),
            nearest: nearest(text, Self::ALL.map(Self::name)).map(Into::into),
        })
    }
}

/// What was registered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registered {
    /// timm's name of the architecture.
    pub model: String,
    /// Identity of the model: weights, classes, preprocessing and temperature, not its metrics or date.
    pub model_hash: Sha256Hex,
    /// SHA-256 of the evaluation file.
    pub evaluation_hash: Sha256Hex,
    /// SHA-256 of each file of the bundle, its manifest with them; nothing in entries of Kidu that did not record them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Sha256Hex>,
    /// Where it comes from.
    pub lineage: Lineage,
}

/// A step of a version's way into service, or back out of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Who keeps the environments: the id of a deployment's folder.
    pub keeper: String,
    /// The keeper's count of its transitions; with its id it names the transition, which is recorded once.
    pub sequence: u64,
    /// The keeper's number of the release.
    pub release: u64,
    /// The state before: a step of the deploy pipeline or an ending; nothing for a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The state after.
    pub to: String,
    /// The share of production's requests that the version gets from here on, 0 to 1, where it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<f64>,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "release {}: ", self.release)?;
        if let Some(from) = self.from.as_ref().filter(|from| **from != self.to) {
            write!(f, "{from} -> ")?;
        }
        f.write_str(&self.to)?;
        match self.traffic {
            Some(share) => write!(f, ", {:.0} % of the traffic", share * 100.0),
            None => Ok(()),
        }
    }
}

/// One line of the ledger: somebody gave a version a status, or a deployment of it went on. Lines are only ever added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// When, RFC 3339.
    pub time: String,
    /// Which version.
    pub version: u32,
    /// Who did it.
    pub actor: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The status before; nothing for a registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Status>,
    /// The status after.
    pub to: Status,
    /// What was registered, in a version's first entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Box<Registered>>,
    /// What became of its deployment, in entries that leave the status as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Box<Transition>>,
}

/// A model version: what the ledger says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// The group it belongs to.
    pub group: String,
    /// Its number: 1, 2, 3, ...
    pub version: u32,
    /// Its status now.
    pub status: Status,
    /// When it was registered, RFC 3339.
    pub created: String,
    /// What was registered.
    pub registered: Registered,
    /// Where its bundle is.
    pub bundle_dir: PathBuf,
    /// Where its evaluation is.
    pub evaluation: PathBuf,
    /// All its entries, oldest first.
    pub history: Vec<LedgerEntry>,
}

/// What the entries add up to, by version. `place` gives a version's folder. An entry for a version that was never
/// registered is left out: the ledger cannot have come to it by itself.
pub fn versions(group: &str, entries: &[LedgerEntry], place: impl Fn(u32) -> PathBuf) -> Vec<ModelVersion> {
    let mut versions: BTreeMap<u32, ModelVersion> = BTreeMap::new();
    for entry in entries {
        if let Some(known) = versions.get_mut(&entry.version) {
            known.status = entry.to;
            known.history.push(entry.clone());
        } else if let Some(registered) = &entry.registered {
            let dir = place(entry.version);
            let version = ModelVersion {
                group: group.into(),
                version: entry.version,
                status: entry.to,
                created: entry.time.clone(),
                registered: (**registered).clone(),
                bundle_dir: dir.join("bundle"),
                evaluation: dir.join("evaluation.json"),
                history: vec![entry.clone()],
            };
            versions.insert(entry.version, version);
        }
    }
    versions.into_values().collect()
}

/// Whether a version may go to that status, and with what it must be justified.
///
/// From pending to approved or rejected; from approved to rejected, which withdraws it; from rejected to approved,
/// which needs a reason because it overrules somebody. A rejection always needs a reason.
///
/// # Errors
/// [`Error::Transition`] for a status that it has already or cannot get; [`Error::BadEntryText`] for a missing reason.
pub fn check_transition(version: &ModelVersion, to: Status, reason: Option<&str>) -> Result<()> {
    let by = version.history.iter().rfind(|e| e.deployment.is_none()).map(|e| format!("by {} at {}", e.actor, e.time));
    check_status_change(&version.group, version.version, (version.status, to), by.as_deref(), reason)
}

/// The rule of [`check_transition`] for any registry: `change` is the status now and the one that is wanted, `by` says
/// who gave it the present one ("by ada at ...").
///
/// # Errors
/// Those of [`check_transition`].
pub fn check_status_change(
    group: &str,
    version: u32,
    change: (Status, Status),
    by: Option<&str>,
    reason: Option<&str>,
) -> Result<()> {
    let refuse = |reason: String| Err(Error::Transition { group: group.into(), version, reason });
    match change {
        (now, to) if now == to => {
            let by = by.map(|by| format!(" {by}")).unwrap_or_default();
            refuse(format!("is {now} already{by}; nothing was changed"))
        }
        (now, Status::PendingManualApproval) => {
            refuse(format!("is {now} and cannot wait for approval again; approve or reject it"))
        }
        (_, Status::Rejected) if reason.is_none() => Err(reason_needed("is needed to reject a version; give one")),
        (Status::Rejected, Status::Approved) if reason.is_none() => {
            Err(reason_needed("is needed to approve a version that was rejected; give one"))
        }
        _ => Ok(()),
    }
}

fn reason_needed(reason: &'static str) -> Error {
    Error::BadEntryText { what: "reason", reason }
}

/// An actor or reason as it may stand in the ledger: trimmed, one line, not empty, at most 1000 characters.
///
/// # Errors
/// [`Error::BadEntryText`].
pub fn entry_text(what: &'static str, text: &str) -> Result<String> {
    let text = text.trim();
    let fail = |reason| Err(Error::BadEntryText { what, reason });
    if text.is_empty() {
        return fail("must not be empty");
    }
    if text.chars().any(char::is_control) {
        return fail("must be one line without control characters");
    }
    if text.chars().count() > 1000 {
        return fail("must have at most 1000 characters");
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_spelt_as_sagemaker_does() {
        for status in Status::ALL {
            assert_eq!(status.name().parse::<Status>().unwrap(), status);
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{status}\""));
        }
        assert!("approved".parse::<Status>().unwrap_err().to_string().contains("did you mean 'Approved'?"));
    }

    #[test]
    fn texts_are_one_line() {
        assert_eq!(entry_text("actor", " ada ").unwrap(), "ada");
        for bad in ["", "  ", "a\nb", &"x".repeat(1001)] {
            assert!(entry_text("actor", bad).is_err());
        }
    }
}
