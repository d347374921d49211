//! The templates under the linters of others: no finding.

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::synthesised;

fn written() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    synthesised().write(dir.path()).unwrap();
    dir
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn cfn_lint_finds_nothing() {
    let Some(python) = kidu_testing::peer_python("cfn_lint_finds_nothing", &["cfnlint", "checkov"]) else { return };
    let dir = written();
    let run = |pattern: &str| {
        Command::new(&python)
            .args(["-c", "from cfnlint.runner import main; main()", "--"])
            .arg(dir.path().join(pattern))
            .output()
            .unwrap()
    };
    let out = run("*.template.json");
    assert!(out.status.success(), "{}", said(&out));
    // It does look: a broken template is found.
    let mut broken = synthesised().stack("monitoring").unwrap().template.json().clone();
    broken["Outputs"] = serde_json::json!({"X": {"Value": {"Ref": "Nothing"}}});
    std::fs::write(dir.path().join("broken.json"), broken.to_string()).unwrap();
    assert!(said(&run("broken.json")).contains("E6101"));
}

#[test]
fn checkov_finds_nothing() {
    let Some(python) = kidu_testing::peer_python("checkov_finds_nothing", &["checkov"]) else { return };
    let dir = written();
    let checkov = "import sys; from checkov.main import Checkov; sys.exit(Checkov().run())";
    let out = Command::new(&python)
        .args(["-c", checkov, "--framework", "cloudformation", "--skip-download", "--output", "json", "--compact"])
        .arg("--directory")
        .arg(dir.path())
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&out)));
    let failed = report["results"]["failed_checks"].as_array().unwrap();
    let lines: Vec<String> =
        failed.iter().map(|f| format!("{} {} {}", f["check_id"], f["file_path"], f["resource"])).collect();
    assert!(failed.is_empty(), "{}", lines.join("\n"));
    assert_eq!(report["summary"]["parsing_errors"], 0);
    assert!(report["summary"]["passed"].as_u64().unwrap() > 200, "it did not look: {}", report["summary"]);
    // Each accepted finding has a reason in the code.
    for skipped in report["results"]["skipped_checks"].as_array().unwrap() {
        assert!(skipped["check_result"]["suppress_comment"].as_str().is_some_and(|c| c.len() > 20), "{skipped}");
    }
}
