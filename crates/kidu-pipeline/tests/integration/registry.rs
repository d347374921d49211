use std::{collections::BTreeMap, fs, path::Path, process::Command};

use kidu_core::{Bundle, BundleManifest};
use kidu_pipeline::{
    Error, Lineage, Registry, Status, Transition,
    registry::{Receipt, Registration, judged_bundle},
    text,
};
use serde_json::json;

use crate::bench::{make_bundle, make_evaluation};

fn lineage(test: &str) -> Lineage {
    Lineage {
        dataset_version: "d1".into(),
        data_snapshot: None,
        test_version: Some(test.into()),
        config_hash: "c1".into(),
        git_commit: None,
        kidu_version: "0.1.0".into(),
        initial_weights: "none".into(),
        metrics: BTreeMap::from([("test/acc".to_string(), 0.75)]),
        run: None,
    }
}

fn register(dir: &Path, weights: &str, test: &str) -> Receipt {
    let work = tempfile::tempdir().unwrap();
    let bundle = work.path().join("bundle");
    make_bundle(&bundle, weights, 1.0);
    let evaluation = work.path().join("evaluation.json");
    make_evaluation(&evaluation, 0.75);
    let predictions = work.path().join("predictions.csv");
    fs::write(&predictions, "path,label\n").unwrap();
    let what = Registration {
        bundle: &bundle,
        evaluation: &evaluation,
        attachments: &[predictions],
        lineage: lineage(test),
        status: Status::PendingManualApproval,
        actor: "ada",
    };
    Registry::open(dir, "scenes").unwrap().register(&what).unwrap()
}

#[test]
fn versions_count_up_and_the_same_model_is_one_version() {
    let dir = tempfile::tempdir().unwrap();
    let first = register(dir.path(), "a", "t1");
    assert_eq!((first.version, first.new), (1, true));
    let again = register(dir.path(), "a", "t1");
    assert_eq!((again.version, again.new), (1, false));
    assert_eq!(register(dir.path(), "b", "t1").version, 2);
    assert_eq!(register(dir.path(), "a", "t2").version, 3);
    let registry = Registry::open(dir.path(), "scenes").unwrap();
    let version = registry.show(1).unwrap();
    kidu_core::Bundle::open(&version.bundle_dir).unwrap();
    assert!(version.evaluation.is_file() && version.evaluation.with_file_name("predictions.csv").is_file());
    assert_eq!(registry.undone(&first).unwrap(), None);
    // Nothing is left of what was copied for a version that there was already.
    assert_eq!(fs::read_dir(registry.dir().join("versions")).unwrap().count(), 3);
}

#[test]
fn approval_and_rejection_follow_the_rules() {
    let dir = tempfile::tempdir().unwrap();
    register(dir.path(), "a", "t");
    register(dir.path(), "b", "t");
    let registry = Registry::open(dir.path(), "scenes").unwrap();
    assert_eq!(registry.incumbent().unwrap(), None);
    registry.approve(1, "ada", Some("good on the fog set")).unwrap();
    assert_eq!(registry.incumbent().unwrap().unwrap().version, 1);
    let error = registry.approve(1, "bob", None).unwrap_err().to_string();
    assert!(error.contains("is Approved already by ada"), "{error}");
    assert!(matches!(registry.reject(2, "bob", "  "), Err(Error::BadEntryText { what: "reason", .. })));
    assert!(matches!(registry.reject(2, "", "bad"), Err(Error::BadEntryText { what: "actor", .. })));
    registry.approve(2, "ada", None).unwrap();
    assert_eq!(registry.incumbent().unwrap().unwrap().version, 2);
    let withdrawn = registry.reject(2, "bob", "fails on fog").unwrap();
    assert_eq!(withdrawn.status, Status::Rejected);
    assert_eq!(registry.incumbent().unwrap().unwrap().version, 1);
    assert!(registry.approve(2, "ada", None).unwrap_err().to_string().contains("was rejected; give one"));
    registry.approve(2, "ada", Some("fog set was wrong")).unwrap();
    let error = registry.approve(7, "ada", None).unwrap_err().to_string();
    assert!(error.contains("no version 7; it has versions 1 to 2"), "{error}");

    let history = registry.history().unwrap();
    let changes: Vec<_> = history.iter().map(|e| (e.version, e.from, e.to)).collect();
    use Status::{Approved, PendingManualApproval as Pending, Rejected};
    assert_eq!(
        changes,
        [
            (1, None, Pending),
            (2, None, Pending),
            (1, Some(Pending), Approved),
            (2, Some(Pending), Approved),
            (2, Some(Approved), Rejected),
            (2, Some(Rejected), Approved),
        ]
    );
    let shown = text::model_show(&registry.show(2).unwrap());
    assert!(shown.contains("Approved -> Rejected") && shown.contains("fails on fog"), "{shown}");
    assert!(text::model_list("scenes", &registry.list().unwrap()).contains("Approved (incumbent)"));
}

#[test]
fn a_changed_bundle_cannot_be_approved() {
    let dir = tempfile::tempdir().unwrap();
    register(dir.path(), "a", "t");
    let registry = Registry::open(dir.path(), "scenes").unwrap();
    fs::write(registry.show(1).unwrap().bundle_dir.join(kidu_core::Bundle::WEIGHTS), "evil").unwrap();
    assert!(registry.approve(1, "ada", None).unwrap_err().to_string().contains("does not match its recorded SHA-256"));
    assert_eq!(registry.show(1).unwrap().status, Status::PendingManualApproval);
}

#[test]
fn only_the_bundle_that_was_judged_is_registered_and_approved() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, evaluation) = (dir.path().join("bundle"), dir.path().join("evaluation.json"));
    let mut bundle = make_bundle(&folder, "a", 1.0);
    let digest = bundle.digest().unwrap();
    let details = json!({"kidu": {"bundle_sha256": digest.as_str()}});
    fs::write(&evaluation, details.to_string()).unwrap();
    let what = Registration {
        bundle: &folder,
        evaluation: &evaluation,
        attachments: &[],
        lineage: lineage("t"),
        status: Status::PendingManualApproval,
        actor: "ada",
    };
    let registry = Registry::open(&dir.path().join("registry"), "scenes").unwrap();
    registry.register(&what).unwrap();
    let version = registry.show(1).unwrap();
    let files: Vec<_> = version.registered.files.iter().map(|(name, hash)| (name.as_str(), hash)).collect();
    let weights = &bundle.manifest().files[Bundle::WEIGHTS];
    assert_eq!(files, [(Bundle::MANIFEST, &digest), (Bundle::WEIGHTS, weights)]);
    assert!(text::model_show(&version).contains(digest.as_str()));

    // A number of the manifest is edited after it was judged: a metric that it boasts of, or one of the model.
    let changes: [fn(&mut BundleManifest); 2] =
        [|m| m.metrics.extend([("val/acc".into(), 1.0)]), |m| m.temperature = 0.1];
    for change in changes {
        bundle = make_bundle(&folder, "a", 1.0);
        fs::write(&evaluation, json!({"kidu": {"bundle_sha256": bundle.digest().unwrap()}}).to_string()).unwrap();
        bundle.update(change).unwrap();
        let error = registry.register(&what).unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, Error::OtherBundle { .. }) && told.contains("kidu evaluate --bundle"), "{told}");
    }
    assert_eq!(registry.list().unwrap().len(), 1);
    assert_eq!(fs::read_dir(registry.dir().join("versions")).unwrap().count(), 1, "nothing of it is left");
    // An evaluation from before bundles were named.
    fs::write(&evaluation, "{}").unwrap();
    assert_eq!(judged_bundle(&evaluation).unwrap(), None);
    assert_eq!(registry.register(&what).unwrap().version, 2);

    // In the registry, too, what is edited is not approved.
    let mut kept = Bundle::open(&version.bundle_dir).unwrap();
    kept.update(|m| m.temperature = 0.1).unwrap();
    let told = registry.approve(1, "ada", None).unwrap_err().to_string();
    assert!(told.contains("bundle.json") && told.contains("register the bundle anew"), "{told}");
    assert_eq!(registry.show(1).unwrap().status, Status::PendingManualApproval);
}

#[test]
fn a_crash_between_files_and_ledger_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path(), "scenes").unwrap();
    let orphan = registry.dir().join("versions/1/bundle");
    fs::create_dir_all(&orphan).unwrap();
    fs::write(orphan.join("half"), "half").unwrap();
    assert!(registry.list().unwrap().is_empty());
    assert_eq!(register(dir.path(), "a", "t").version, 1);
    assert!(!orphan.join("half").exists());
    // A torn line is not an entry, and the next one mends it.
    let ledger = registry.dir().join("ledger.jsonl");
    let mut text = fs::read(&ledger).unwrap();
    text.extend_from_slice(b"{\"time\":\"2026");
    fs::write(&ledger, text).unwrap();
    assert_eq!(registry.list().unwrap().len(), 1);
    registry.approve(1, "ada", None).unwrap();
    assert_eq!(registry.history().unwrap().len(), 2);
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(64);
    for evil in ["", ".", "..", "../x", "a/b", "a\\b", "/etc", "a b", "-a", "a-", "a--b", "a\0", "é", long.as_str()] {
        assert!(matches!(Registry::open(dir.path(), evil), Err(Error::BadGroup { .. })), "{evil:?}");
    }
    Registry::open(dir.path(), "intel-scene-6").unwrap();
    // Looking at an empty group makes nothing.
    let registry = Registry::open(dir.path(), "empty").unwrap();
    assert!(registry.approve(1, "ada", None).unwrap_err().to_string().contains("register a bundle first"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn threads_that_register_at_once_get_versions_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|s| {
        for thread in 0..4 {
            let dir = dir.path();
            s.spawn(move || (0..3).for_each(|i| drop(register(dir, &format!("{thread}-{i}"), "t"))));
        }
    });
    let versions = Registry::open(dir.path(), "scenes").unwrap().list().unwrap();
    assert_eq!(versions.iter().map(|v| v.version).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    versions.iter().for_each(|v| drop(kidu_core::Bundle::open(&v.bundle_dir).unwrap()));
}

/// Not a test by itself: the processes of the next test.
#[test]
fn child_that_registers() {
    let Ok(dir) = std::env::var("KIDU_TEST_REGISTER") else { return };
    for i in 0..5 {
        register(dir.as_ref(), &format!("same-{i}"), "t");
    }
}

#[test]
fn processes_that_register_the_same_at_once_make_one_version_each() {
    let dir = tempfile::tempdir().unwrap();
    let child = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "registry::child_that_registers"])
            .env("KIDU_TEST_REGISTER", dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut children = [child(), child()];
    assert!(children.iter_mut().all(|c| c.wait().unwrap().success()));
    assert_eq!(Registry::open(dir.path(), "scenes").unwrap().list().unwrap().len(), 5);
}

#[test]
fn deployments_are_recorded_once_and_leave_the_status() {
    let dir = tempfile::tempdir().unwrap();
    register(dir.path(), "a", "t");
    let registry = Registry::open(dir.path(), "scenes").unwrap();
    registry.approve(1, "ada", None).unwrap();
    let step = |sequence, to: &str, traffic| Transition {
        keeper: "k1".into(),
        sequence,
        release: 1,
        from: Some("approval".into()),
        to: to.into(),
        traffic,
    };
    let record = |what| registry.record(1, "2026-11-26T06:00:00Z", "bob", Some("looks fine"), what);
    assert!(record(step(1, "production", Some(0.1))).unwrap());
    assert!(!record(step(1, "production", Some(0.1))).unwrap(), "the same transition");
    assert!(record(step(2, "live", None)).unwrap());
    assert!(registry.record(9, "t", "bob", None, step(3, "live", None)).is_err());
    assert!(registry.record(1, "t", " ", None, step(3, "live", None)).is_err());
    let version = registry.show(1).unwrap();
    assert_eq!((version.status, version.history.len()), (Status::Approved, 4));
    let shown = text::model_show(&version);
    assert!(shown.contains("release 1: approval -> production, 10 % of the traffic  bob    looks fine"), "{shown}");
    let error = registry.approve(1, "bob", None).unwrap_err().to_string();
    assert!(error.contains("is Approved already by ada"), "{error}");
}
