//! Decisions about stacks, change sets and events: pure functions.

use serde::Serialize;

use super::account::{ChangeSet, DeployedStack, ResourceChange, StackEvent};

/// What a stack's status allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is not there: a change set makes it.
    Create,
    /// A change set changes it.
    Update,
    /// Something is under way: wait for its end.
    Wait,
    /// Its creation failed and was rolled back: nothing can become of it, so it is deleted and made again.
    Recreate,
    /// A person is needed.
    Stuck(&'static str),
}

/// What can be done with a stack.
pub fn next(stack: Option<&DeployedStack>) -> Next {
    let Some(stack) = stack else { return Next::Create };
    match stack.status.as_str() {
        "REVIEW_IN_PROGRESS" | "DELETE_COMPLETE" => Next::Create,
        "ROLLBACK_COMPLETE" | "CREATE_FAILED" | "ROLLBACK_FAILED" => Next::Recreate,
        "DELETE_FAILED" => Next::Stuck(
            "its deletion failed: empty or release what the events name, then `kidu-infra destroy` it again",
        ),
        "UPDATE_ROLLBACK_FAILED" => Next::Stuck(
            "the way back from an update failed: mend what the events name, then \
             `aws cloudformation continue-update-rollback --stack-name NAME`",
        ),
        status if status.ends_with("_IN_PROGRESS") => Next::Wait,
        _ => Next::Update,
    }
}

/// Whether an operation is over, and well.
pub fn is_done(status: &str) -> bool {
    matches!(status, "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE")
}

/// How CloudFormation says that nothing changes.
pub const NO_UPDATES: &str = "No updates are to be performed";

/// Whether a change set failed because there is nothing to change.
pub fn is_empty(set: &ChangeSet) -> bool {
    let reason = set.reason.as_deref().unwrap_or_default().to_ascii_lowercase();
    let says = ["didn't contain changes".into(), NO_UPDATES.to_ascii_lowercase(), "no changes".to_string()];
    match set.status.as_str() {
        "FAILED" => says.iter().any(|s: &String| reason.contains(s.as_str())),
        _ => set.status == "CREATE_COMPLETE" && set.changes.is_empty(),
    }
}

/// Types whose content is lost with them.
const STATEFUL: [&str; 10] = [
    "AWS::DynamoDB::Table",
    "AWS::ECR::Repository",
    "AWS::IAM::OIDCProvider",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SageMaker::ModelPackageGroup",
    "AWS::SecretsManager::Secret",
    "AWS::ServiceCatalog::CloudFormationProduct",
    "AWS::SNS::Topic",
];

/// A change that takes away what cannot be made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Risk {
    /// The resource's name in the template.
    pub logical_id: String,
    /// Its type.
    pub kind: String,
    /// What happens to it.
    pub what: &'static str,
}

/// What holds content and leaves its stack but not the account: from then on nobody updates, watches or removes it. That
/// loses nothing, so it is told and not refused.
pub fn left(changes: &[ResourceChange]) -> Vec<Risk> {
    let left = |change: &ResourceChange| {
        let kept = change.action == "Remove" && change.policy.as_deref().is_some_and(|p| p.starts_with("Retain"));
        let what = "stays in the account without an owner";
        let stateful = STATEFUL.contains(&change.kind.as_str());
        (stateful && kept).then(|| Risk { logical_id: change.logical_id.clone(), kind: change.kind.clone(), what })
    };
    changes.iter().filter_map(left).collect()
}

/// The changes that take away what cannot be made again.
pub fn risks(changes: &[ResourceChange]) -> Vec<Risk> {
    let risk = |change: &ResourceChange| {
        let what = match (change.action.as_str(), change.replacement.as_deref()) {
            ("Remove", _) => "is removed",
            ("Modify", Some("True")) => "is replaced",
            ("Modify", Some("Conditional")) => "may be replaced",
            _ => return None,
        };
        let kept = change.policy.as_deref().is_some_and(|p| p.starts_with("Retain"));
        let stateful = STATEFUL.contains(&change.kind.as_str());
        (stateful && !kept).then(|| Risk { logical_id: change.logical_id.clone(), kind: change.kind.clone(), what })
    };
    changes.iter().filter_map(risk).collect()
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The resource's name in the template.
    pub logical_id: String,
    /// Its type.
    pub kind: String,
    /// The service's reason.
    pub reason: String,
    /// What to do about it, where that is known.
    pub remedy: Option<&'static str>,
}

/// The events of the last operation of a stack.
pub fn last_operation<'e>(events: &'e [StackEvent], stack: &str) -> &'e [StackEvent] {
    let begins = |e: &StackEvent| {
        let status = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"].contains(&e.status.as_str());
        e.logical_id == stack && status
    };
    &events[events.iter().rposition(begins).unwrap_or(0)..]
}

/// The first failures of an operation, without those that only followed.
pub fn causes(events: &[StackEvent], stack: &str) -> Vec<Cause> {
    let followed = |reason: &str| {
        let reason = reason.to_ascii_lowercase();
        ["resource creation cancelled", "resource update cancelled", "the following resource(s) failed"]
            .iter()
            .any(|s| reason.contains(s))
    };
    let failed = |e: &&StackEvent| e.status.ends_with("_FAILED") && !e.reason.as_deref().is_some_and(followed);
    let cause = |event: &StackEvent| {
        let reason = event.reason.clone().unwrap_or_else(|| "no reason given".into());
        Cause { logical_id: event.logical_id.clone(), kind: event.kind.clone(), remedy: remedy(&reason), reason }
    };
    let own: Vec<Cause> = events.iter().filter(failed).filter(|e| e.logical_id != stack).map(cause).collect();
    match own.is_empty() {
        true => events.iter().filter(failed).map(cause).collect(),
        false => own,
    }
}

/// What to do about reasons that are met often.
fn remedy(reason: &str) -> Option<&'static str> {
    let reason = reason.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().all(|w| reason.contains(w));
    if has(&["bucket", "already exists"]) || has(&["bucketalreadyexists"]) || has(&["bucketalreadyownedbyyou"]) {
        Some("bucket names are unique in the world: delete the old one, or choose another --foundation")
    } else if has(&["role", "already exists"]) {
        Some("a role of that name was left by another installation: delete it, or choose another --foundation")
    } else if has(&["already exists"]) {
        Some("it was left by an earlier stack or made by hand: delete it or import it into the stack")
    } else if has(&["no permissions boundary allows"]) {
        Some("the boundary of the installation's roles lacks that action (docs/aws.md, The boundary)")
    } else if has(&["-boundary-", "not attachable"]) || has(&["-boundary-", "does not exist"]) {
        Some("the stack foundation makes the boundary of roles: deploy it first")
    } else if has(&["iam:createpolic", "-boundary-"]) || has(&["iam:deletepolic", "-boundary-"]) {
        Some(
            "only a person changes the boundary: deploy foundation with an administrator's rights (docs/aws.md, The boundary)",
        )
    } else if has(&["not authorized to perform"]) || has(&["accessdenied"]) || has(&["access denied"]) {
        Some("allow that action to who deploys; docs/aws.md lists what is needed")
    } else if has(&["limit exceeded"]) || has(&["limitexceeded"]) || has(&["quota"]) {
        Some("ask for more in the console under Service Quotas")
    } else if has(&["manifest", "not found"]) || has(&["image", "does not exist"]) {
        Some("push the image under that tag first")
    } else if has(&["bucket", "not empty"]) {
        Some("empty the bucket first, all versions included")
    } else if has(&["cannot be assumed"]) || has(&["cannot assume role"]) {
        Some("a new role takes some seconds to be known everywhere: run the same command again")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(status: &str) -> DeployedStack {
        DeployedStack { status: status.into(), ..DeployedStack::default() }
    }

    #[test]
    fn every_status_of_cloudformation_has_a_next_step() {
        use Next::*;
        assert_eq!(next(None), Create);
        for (status, expected) in [
            ("REVIEW_IN_PROGRESS", Create),
            ("CREATE_IN_PROGRESS", Wait),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Wait),
            ("ROLLBACK_IN_PROGRESS", Wait),
            ("ROLLBACK_COMPLETE", Recreate),
            ("CREATE_COMPLETE", Update),
            ("UPDATE_COMPLETE", Update),
            ("UPDATE_ROLLBACK_COMPLETE", Update),
            ("UPDATE_FAILED", Update),
            ("IMPORT_COMPLETE", Update),
        ] {
            assert_eq!(next(Some(&stack(status))), expected, "{status}");
        }
        assert!(matches!(next(Some(&stack("DELETE_FAILED"))), Stuck(_)));
        assert!(matches!(next(Some(&stack("UPDATE_ROLLBACK_FAILED"))), Stuck(why) if why.contains("continue-update")));
    }

    #[test]
    fn what_holds_content_is_not_replaced_by_the_way() {
        let change = |action: &str, kind: &str, replacement: Option<&str>, policy: Option<&str>| ResourceChange {
            action: action.into(),
            logical_id: "X".into(),
            kind: kind.into(),
            replacement: replacement.map(str::to_string),
            policy: policy.map(str::to_string),
        };
        let risky = |c: ResourceChange| risks(&[c]).first().map(|r| r.what);
        assert_eq!(risky(change("Modify", "AWS::S3::Bucket", Some("True"), None)), Some("is replaced"));
        assert_eq!(risky(change("Modify", "AWS::S3::Bucket", Some("Conditional"), None)), Some("may be replaced"));
        assert_eq!(risky(change("Remove", "AWS::ECR::Repository", None, Some("Delete"))), Some("is removed"));
        let kept = change("Remove", "AWS::S3::Bucket", None, Some("Retain"));
        assert_eq!(left(std::slice::from_ref(&kept))[0].what, "stays in the account without an owner");
        assert_eq!(left(&[change("Remove", "AWS::S3::Bucket", None, Some("Delete"))]), []);
        assert_eq!(left(&[change("Remove", "AWS::Lambda::Function", None, Some("Retain"))]), []);
        assert_eq!(risky(kept), None);
        assert_eq!(risky(change("Modify", "AWS::S3::Bucket", Some("False"), None)), None);
        assert_eq!(risky(change("Remove", "AWS::Lambda::Function", None, None)), None);
        assert_eq!(risky(change("Add", "AWS::S3::Bucket", None, None)), None);
    }

    #[test]
    fn the_first_failures_are_the_causes() {
        let event = |id: &str, status: &str, reason: &str| StackEvent {
            id: id.into(),
            logical_id: id.into(),
            kind: "AWS::S3::Bucket".into(),
            status: status.into(),
            reason: Some(reason.into()),
        };
        let events = [
            event("Raw", "CREATE_IN_PROGRESS", ""),
            event("Raw", "CREATE_FAILED", "kidu-raw already exists (Service: S3, BucketAlreadyExists)"),
            event("Role", "CREATE_FAILED", "Resource creation cancelled"),
            event("kidu-foundation", "CREATE_FAILED", "The following resource(s) failed to create: [Raw]"),
        ];
        let causes = causes(&events, "kidu-foundation");
        assert_eq!(causes.iter().map(|c| c.logical_id.as_str()).collect::<Vec<_>>(), ["Raw"]);
        assert!(causes[0].remedy.unwrap().contains("unique in the world"));
        let mut twice = events.to_vec();
        twice.extend([event("kidu-foundation", "UPDATE_IN_PROGRESS", ""), event("Queue", "UPDATE_FAILED", "no")]);
        let last = last_operation(&twice, "kidu-foundation");
        assert_eq!(super::causes(last, "kidu-foundation")[0].logical_id, "Queue");
        assert_eq!(last_operation(&events, "kidu-foundation").len(), events.len());
        let alone = [event("kidu-foundation", "UPDATE_FAILED", "no such export")];
        assert_eq!(super::causes(&alone, "kidu-foundation")[0].reason, "no such export");
    }

    #[test]
    fn what_the_boundary_refuses_is_told_apart() {
        let denied = |action: &str, on: &str, why: &str| {
            remedy(&format!(
                "User: arn:aws:sts::111122223333:assumed-role/kidu-github-cloudformation-eu-west-1/x is not authorized to \
                 perform: {action} on resource: {on} because {why}"
            ))
        };
        let boundary = "policy kidu-boundary-eu-west-1";
        for (told, expected) in [
            (
                denied("sqs:CreateQueue", "q", "no permissions boundary allows the sqs:CreateQueue action"),
                "lacks that action",
            ),
            (
                denied("iam:CreatePolicyVersion", boundary, "of an explicit deny in a permissions boundary"),
                "only a person",
            ),
            (denied("iam:CreatePolicy", boundary, "no identity-based policy allows it"), "only a person"),
            (denied("sqs:CreateQueue", "q", "no identity-based policy allows it"), "allow that action to who deploys"),
            (
                remedy(
                    "Policy arn:aws:iam::111122223333:policy/kidu-boundary-eu-west-1 does not exist or is not attachable.",
                ),
                "first",
            ),
        ] {
            assert!(told.unwrap().contains(expected), "{told:?}");
        }
    }

    #[test]
    fn a_change_set_without_changes_is_told_by_its_reason() {
        let set = |status: &str, reason: Option<&str>| ChangeSet {
            status: status.into(),
            reason: reason.map(str::to_string),
            ..ChangeSet::default()
        };
        assert!(is_empty(&set("FAILED", Some("The submitted information didn't contain changes."))));
        assert!(is_empty(&set("FAILED", Some("No updates are to be performed."))));
        assert!(is_empty(&set("CREATE_COMPLETE", None)));
        assert!(!is_empty(&set("FAILED", Some("Template error"))));
    }
}
