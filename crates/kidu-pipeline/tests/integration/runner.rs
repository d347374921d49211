use std::{fs, panic::AssertUnwindSafe, process::Command, sync::atomic::Ordering, time::Duration};

use kidu_core::files;
use kidu_pipeline::{RunRecord, RunStatus, StepStatus, run, runner::Force, text};
use serde_json::json;

use crate::bench::{Bench, Trouble};

const ALL: [&str; 5] = ["preprocess", "train", "evaluate", "gate", "register"];

fn statuses(record: &RunRecord) -> Vec<StepStatus> {
    record.steps.iter().map(|s| s.status).collect()
}

#[test]
fn nothing_reruns_when_nothing_that_counts_changed() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    let (record, executed) = bench.run();
    assert_eq!(executed, ALL);
    assert_eq!(record.status.exit_code(), 0);
    files::write_atomic(&dir.path().join("README.md"), b"new words").unwrap();
    bench.config["logger"]["csv"] = json!(false);
    bench.config["data"]["num_workers"] = json!(2);
    let (record, executed) = bench.run();
    assert_eq!(executed, Vec::<String>::new());
    assert_eq!(statuses(&record), [StepStatus::Cached; 5]);
    assert_eq!(record.status, RunStatus::Succeeded);
    assert_eq!(bench.registry().list().unwrap().len(), 1);
    // The run's folder leads to the outputs.
    assert!(bench.runs().join(&record.id).join("train/bundle/bundle.json").is_file());
    assert!(text::run_show(&record).contains("cached"));
    assert!(text::run_list(&run::list(&bench.runs()).unwrap()).contains("5/5"));
}

#[test]
fn an_augmentation_value_reruns_exactly_what_depends_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.run();
    bench.config["data"]["augmentation"]["horizontal_flip"] = json!(0.3);
    let (record, executed) = bench.run();
    assert_eq!(executed, ALL[1..]);
    assert_eq!(record.steps[0].status, StepStatus::Cached);
    let why = "reruns because data.augmentation.horizontal_flip changed from 0.5 to 0.3";
    assert_eq!(bench.reasons.lock().unwrap()["train"], why);
    assert!(bench.reasons.lock().unwrap()["evaluate"].contains("output 'bundle' of step 'train' changed"));
    // Back again: everything is still there.
    bench.config["data"]["augmentation"]["horizontal_flip"] = json!(0.5);
    assert_eq!(bench.run().1, Vec::<String>::new());
}

#[test]
fn a_new_image_a_new_version_and_a_threshold_rerun_what_they_must() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.run();
    // Another file beside the images gives the same manifest: nothing after preprocess depends on it.
    files::write_atomic(&dir.path().join("photos/notes.txt"), b"x").unwrap();
    assert_eq!(bench.run().1, ["preprocess"]);
    assert!(bench.reasons.lock().unwrap()["preprocess"].contains("external input 'dataset' changed"));
    files::write_atomic(&dir.path().join("photos/sea/1.jpg"), b"another sea").unwrap();
    assert_eq!(bench.run().1, ALL);
    bench.config["gate"]["min_accuracy"] = json!(0.7);
    assert_eq!(bench.run().1, ["gate"]);
    bench.version = "0.2.0".into();
    assert_eq!(bench.run().1, ["preprocess", "train", "evaluate", "gate", "register"]);
    assert_eq!(
        bench.reasons.lock().unwrap()["preprocess"],
        "reruns because the version of Kidu changed from 0.1.0 to 0.2.0"
    );
}

#[test]
fn force_runs_cached_steps() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    bench.run();
    let mut request = bench.request();
    request.force = Force::Steps(vec!["evaluate".into()]);
    assert_eq!(bench.run_with(&request).1, ["evaluate"]);
    request.force = Force::All;
    assert_eq!(bench.run_with(&request).1, ALL);
}

#[test]
fn a_refusal_names_the_rule_skips_registration_and_is_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.trouble = Some(("gate", Trouble::Refuse));
    let (record, _) = bench.run();
    assert_eq!((record.status, record.status.exit_code()), (RunStatus::Refused, 3));
    assert_eq!(record.message, "accuracy 0.5 is below 0.6");
    assert_eq!(statuses(&record)[3..], [StepStatus::Refused, StepStatus::Skipped]);
    assert!(record.step("register").unwrap().message.contains("step 'gate' was refused"));
    assert!(bench.runs().join(&record.id).join("gate/half").is_file());
    assert!(bench.registry().list().unwrap().is_empty());
    bench.trouble = None;
    assert_eq!(bench.run().1, ["gate", "register"]);
}

#[test]
fn a_failure_leaves_no_cached_half_and_running_again_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.trouble = Some(("evaluate", Trouble::Fail));
    let (record, _) = bench.run();
    assert_eq!(record.status, RunStatus::Failed);
    assert_eq!(record.message, "step 'evaluate': the disk is full");
    bench.trouble = None;
    assert_eq!(bench.run().1, ["evaluate", "gate", "register"]);
}

#[test]
fn a_crash_shows_as_interrupted_and_training_goes_on_from_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.trouble = Some(("train", Trouble::Panic));
    std::panic::catch_unwind(AssertUnwindSafe(|| bench.run())).unwrap_err();
    let runs = run::list(&bench.runs()).unwrap();
    assert_eq!(runs[0].status, RunStatus::Interrupted);
    assert_eq!(runs[0].steps[1].status, StepStatus::Interrupted);
    let mut bench = Bench::new(dir.path());
    assert_eq!(bench.run().1, ALL[1..]);
    assert_eq!(*bench.resumed.lock().unwrap(), ["train"]);
    // A step that cannot go on starts anew.
    bench.config["data"]["on_bad_image"] = json!("skip");
    bench.trouble = Some(("preprocess", Trouble::Panic));
    std::panic::catch_unwind(AssertUnwindSafe(|| bench.run())).unwrap_err();
    let mut again = Bench::new(dir.path());
    again.config = bench.config.clone();
    again.run();
    assert!(again.resumed.lock().unwrap().is_empty());
}

#[test]
fn the_stop_flag_ends_the_run_as_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.trouble = Some(("train", Trouble::Stop));
    let (record, _) = bench.run();
    assert_eq!(record.status, RunStatus::Interrupted);
    assert_eq!(statuses(&record)[1..3], [StepStatus::Interrupted, StepStatus::Skipped]);
    bench.trouble = None;
    bench.stop.store(false, Ordering::Relaxed);
    assert_eq!(bench.run().1, ALL[1..]);
    assert_eq!(*bench.resumed.lock().unwrap(), ["train"]);
}

#[test]
fn damaged_outputs_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let (record, _) = bench.run();
    let folder = record.step("evaluate").unwrap().folder.clone().unwrap();
    fs::write(folder.join("evaluation.json"), "{}").unwrap();
    // The fake evaluation writes the same again, so that what follows is a hit.
    assert_eq!(bench.run().1, ["evaluate"]);
    assert!(bench.reasons.lock().unwrap()["evaluate"].contains("changed on disk"));
    fs::remove_dir_all(record.step("train").unwrap().folder.clone().unwrap().parent().unwrap()).unwrap();
    bench.run();
    assert!(bench.reasons.lock().unwrap()["train"].contains("no longer in the cache"));
}

#[test]
fn approval_of_the_model_itself_reruns_nothing_and_a_lost_registry_registers_again() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    bench.run();
    bench.registry().approve(1, "ada", None).unwrap();
    assert_eq!(bench.run().1, Vec::<String>::new());
    fs::remove_dir_all(dir.path().join("registry")).unwrap();
    assert_eq!(bench.run().1, ["register"]);
    assert!(bench.reasons.lock().unwrap()["register"].contains("no longer in the registry"));
}

#[test]
fn a_new_incumbent_is_asked_about() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.run();
    bench.config["model"]["learning_rate"] = json!(0.02);
    bench.run();
    bench.registry().approve(2, "ada", None).unwrap();
    bench.config["model"]["learning_rate"] = json!(0.01);
    assert_eq!(bench.run().1, ["gate"]);
    assert!(bench.reasons.lock().unwrap()["gate"].contains("external input 'incumbent' changed"));
}

#[test]
fn lineage_leads_back_to_everything() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let (record, _) = bench.run();
    let version = bench.registry().show(1).unwrap();
    let lineage = &version.registered.lineage;
    let of_run = lineage.run.as_ref().unwrap();
    assert_eq!(of_run.id, record.id);
    let names: Vec<_> = of_run.steps.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["preprocess", "train", "evaluate", "gate"]);
    assert!(of_run.steps.iter().all(|s| s.key.len() == 64 && s.made.is_some()));
    assert_eq!((lineage.metrics["test/acc"], lineage.metrics["val/acc"]), (0.75, 0.8));
    assert_eq!((lineage.config_hash.as_str(), lineage.git_commit.as_deref()), ("c1", Some("abc")));
    assert!(lineage.test_version.is_some());
    assert!(text::model_show(&version).contains(&record.id));
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let runner_error = |request| {
        let runner = kidu_pipeline::Runner::new(&bench.pipeline, &dir.path().join("w"), &bench, &bench, &bench.stop);
        runner.unwrap().run(&request).unwrap_err().to_string()
    };
    let mut request = bench.request();
    request.parameters.insert("Modle".into(), json!("resnet18"));
    assert!(runner_error(request).contains("did you mean 'Model'?"));
    let mut request = bench.request();
    request.config["gate"] = json!(null);
    request.config.as_object_mut().unwrap().remove("gate");
    assert!(runner_error(request).contains("configuration key 'gate'"));
    let mut request = bench.request();
    request.force = Force::Steps(vec!["evalute".into()]);
    assert!(runner_error(request).contains("did you mean 'evaluate'?"));
    let mut request = bench.request();
    request.config["data"]["root"] = json!(null);
    assert!(runner_error(request).contains("`data.root=VALUE`"));
    assert!(!dir.path().join("w").exists());
}

#[test]
fn a_missing_external_input_fails_its_step() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let mut request = bench.request();
    request.externals.remove("initial-weights");
    let (record, _) = bench.run_with(&request);
    assert!(record.message.contains("needs the external input 'initial-weights'"), "{}", record.message);
}

/// Not a test by itself: the process that the next test kills.
#[test]
fn child_that_hangs_in_training() {
    let Ok(dir) = std::env::var("KIDU_TEST_HANG") else { return };
    let mut bench = Bench::new(dir.as_ref());
    bench.trouble = Some(("train", Trouble::Hang));
    bench.run();
}

#[test]
fn after_kill_9_the_run_is_interrupted_and_running_again_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "runner::child_that_hangs_in_training"])
        .env("KIDU_TEST_HANG", dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let training = |r: &RunRecord| r.status == RunStatus::Running && r.steps[1].status == StepStatus::Running;
    let wrote = || {
        fs::read_dir(dir.path().join("work/cache"))
            .is_ok_and(|mut d| d.any(|e| e.unwrap().path().join("out/half").exists()))
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !(run::list(&bench.runs()).unwrap().iter().any(training) && wrote()) {
        assert!(std::time::Instant::now() < deadline, "the child did not come to train");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(run::list(&bench.runs()).unwrap()[0].status, RunStatus::Interrupted);
    assert_eq!(bench.run().1, ALL[1..]);
    assert_eq!(*bench.resumed.lock().unwrap(), ["train"]);
}
