//! The verbs of SageMaker: through moto, and through recorded answers where moto has none. Without the feature: what is
//! said.

#[cfg(not(feature = "sagemaker"))]
#[test]
fn without_the_feature_the_message_names_it() {
    use crate::{command::run, fixture::scratch};
    let dir = scratch();
    for verb in [
        &["train", "--on", "sagemaker", "data.root=s3://bucket/x"][..],
        &["search", "--on", "sagemaker", "data.root=s3://bucket/x"],
        &["pipeline", "upsert", "--on", "sagemaker"],
        &["pipeline", "status", "--on", "sagemaker"],
        &["model", "list", "--on", "sagemaker"],
    ] {
        run(dir.path(), verb).fails(2, &["built without SageMaker", "--features sagemaker"]);
    }
    // Here a pipeline is run, and not started.
    run(dir.path(), &["pipeline", "start"]).fails(2, &["kidu pipeline run"]);
}

#[cfg(feature = "sagemaker")]
mod built_in {
    use std::{fs, process::Command};

    use kidu_aws::{Aws, AwsSettings, sagemaker::SageMaker};
    use kidu_core::Sha256Hex;
    use kidu_testing::{MotoServer, RecordedAws};
    use regex::Regex;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use crate::{
        command::{Ended, end_of, kidu},
        fixture::{TRAINED, scratch},
    };

    const ROOT: &str = "data.root=s3://kidu-artifacts-123456789012-us-east-1/kidu/e1/preprocess/dataset";
    const IMAGE: &str = "111122223333.dkr.ecr.us-east-1.amazonaws.com/kidu/lambda@sha256:\
                         aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    struct Cloud {
        moto: MotoServer,
        dir: TempDir,
    }

    impl Cloud {
        fn start(test: &str) -> Option<Self> {
            Some(Self { moto: MotoServer::start(test)?, dir: scratch() })
        }

        fn run(&self, arguments: &[&str]) -> Ended {
            call(&self.dir, self.moto.environment(), arguments)
        }

        fn sagemaker(&self) -> SageMaker {
            SageMaker::open_with(&Aws::load_blocking(&AwsSettings::emulator(self.moto.url())).unwrap()).unwrap()
        }
    }

    fn call(dir: &TempDir, environment: Vec<(&str, String)>, arguments: &[&str]) -> Ended {
        let mut command = kidu(dir.path(), arguments);
        command.envs(environment).env("KIDU_ON", "sagemaker");
        end_of(command)
    }

    #[test]
    fn the_pipeline_is_upserted_and_started_after_its_cost_was_said() {
        let test = "the_pipeline_is_upserted_and_started_after_its_cost_was_said";
        let Some(cloud) = Cloud::start(test) else { return };
        cloud.run(&["pipeline", "start", "--yes"]).fails(2, &["there is no pipeline kidu-build"]);
        let made = cloud.run(&["pipeline", "upsert", "--image-tag", "v1", "--json"]).ok().json();
        assert_eq!((&made["upserted"]["created"], &made["pipeline"]), (&json!(true), &json!("kidu-build")));
        let again = cloud.run(&["pipeline", "upsert", "--image-tag", "v1"]).ok().out;
        assert!(again.contains("nothing was changed"), "{again}");
        let more = ["pipeline", "upsert", "--image-tag", "v1", "--set", "experiment=transfer", "--json"];
        assert_eq!(cloud.run(&more).ok().json()["upserted"]["created"], false);

        // What SageMaker holds is what `kidu-infra synth` writes, and valid requests.
        let held = cloud.sagemaker().pipeline_definition("kidu-build").unwrap();
        let settings = kidu_infra::Settings {
            account: Some("123456789012".into()),
            region: Some("us-east-1".into()),
            image_tag: Some("v1".into()),
            overrides: vec!["experiment=transfer".into()],
            ..kidu_infra::Settings::default()
        };
        assert_eq!(held, kidu_infra::synth(&settings).unwrap().documents["pipeline-definition.json"]);
        accepted(test, &cloud, &held);

        let root = "InputDatasetZip=s3://kidu-raw-123456789012-us-east-1/dataset/scenes.zip";
        let start = ["pipeline", "start", "-p", "Model=resnet18", "-p", root];
        let asked = cloud.run(&start).fails(2, &["costs money", "--yes"]);
        assert!(asked.err.contains("at most 5.10 USD") && asked.err.contains("ml.c5.4xlarge (spot)"), "{}", asked.err);
        let dry = cloud.run(&[&start[..], &["--dry-run", "--json"]].concat()).ok().json();
        assert_eq!(dry["estimate"]["jobs"][0]["name"], "preprocess");
        cloud.run(&["pipeline", "start", "--yes", "-p", "Modle=x"]).fails(2, &["did you mean 'Model'?"]);
        cloud.run(&["pipeline", "start", "--yes", "-p", "Model=resnet81"]).fails(2, &["did you mean 'resnet18'?"]);
        assert_eq!(cloud.run(&["pipeline", "status", "--json"]).ok().json(), json!([]), "nothing was started");
        let started = cloud.run(&[&start[..], &["--yes", "--token", "one", "--json"]].concat()).ok().json();
        let listed = cloud.run(&["pipeline", "status", "--json"]).ok().json();
        assert_eq!(listed[0]["id"], started["execution"]);
    }

    fn accepted(test: &str, cloud: &Cloud, definition: &Value) {
        let Some(shared) = kidu_testing::shared(test) else { return };
        let Some(python) = kidu_testing::peer_python(test, &["botocore", "moto"]) else { return };
        let file = cloud.dir.path().join("definition.json");
        fs::write(&file, definition.to_string()).unwrap();
        let checker = shared.join("tools/check_pipeline_definition.py");
        let out = Command::new(python).arg(checker).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && said.contains("6 steps: valid requests"), "{said}");
    }

    #[test]
    fn a_training_and_a_search_are_started() {
        let Some(cloud) = Cloud::start("a_training_and_a_search_are_started") else { return };
        let train = ["train", ROOT, "model=resnet18", "trainer.max_epochs=3"];
        cloud.run(&["train", "data.root=photos", "--yes"]).fails(2, &["data.root=photos", "aws s3 sync"]);
        cloud.run(&["train", ROOT, "trainer.max_epoch=3", "--yes"]).fails(2, &["trainer.max_epochs"]);
        cloud.run(&["train", ROOT, "--out", "x", "--yes"]).fails(2, &["--out is not possible"]);
        let asked = cloud.run(&[&train[..], &["--max-hours", "2"]].concat()).fails(2, &["--yes"]);
        assert!(asked.err.contains("at most 1.63 USD") && !asked.err.contains("note: the role"), "{}", asked.err);
        let named = ["--yes", "--job-name", "job1", "--json"];
        let started = cloud.run(&[&train[..], &named].concat()).ok().json();
        assert!(started["arn"].as_str().unwrap().ends_with("training-job/job1"));
        let ended = cloud.run(&[&train[..], &["--yes", "--job-name", "job2", "--wait"]].concat()).ok();
        assert!(ended.out.contains("bundle: s3://kidu-artifacts-123456789012-us-east-1/kidu/job2/train"), "{ended:#?}");
        let other = cloud.run(&["train", "data.root=s3://mine/x", "--dry-run"]).ok();
        assert!(other.err.contains("--role-arn"), "{}", other.err);

        let search = ["search", ROOT, "model=resnet18", "hparams_search=default", "hparams_search.n_trials=4"];
        let folds = cloud.run(&[&search[..], &["hparams_search.folds=3", "--yes"]].concat());
        folds.fails(2, &["hparams_search.folds", "cannot express"]);
        let asked = cloud.run(&search).fails(2, &["--yes"]);
        assert!(asked.err.contains("4 x 4.0 h") && asked.err.contains("at most 13.06 USD"), "{}", asked.err);
        let started = cloud.run(&[&search[..], &["--yes", "--json"]].concat()).ok().json();
        assert!(started["arn"].as_str().unwrap().contains("hyper-parameter-tuning-job/kidu-"), "{started}");
    }

    #[test]
    fn versions_are_registered_approved_and_deployed() {
        let Some(cloud) = Cloud::start("versions_are_registered_approved_and_deployed") else { return };
        cloud.moto.create_bucket("kidu-artifacts-123456789012-us-east-1");
        let bundle = TRAINED.join("bundle").display().to_string();
        let evaluation = cloud.dir.path().join("evaluation.json");
        let judged = Sha256Hex::of_file(&TRAINED.join("bundle/bundle.json")).unwrap().to_string();
        let report = json!({
            "multiclass_classification_metrics": {"accuracy": {"value": 0.75}},
            "kidu": {"bundle_sha256": judged},
        });
        fs::write(&evaluation, report.to_string()).unwrap();
        let evaluation = evaluation.display().to_string();
        let register = ["model", "register", "--bundle", &bundle, "--evaluation", &evaluation, "--actor", "eve"];
        assert!(cloud.run(&["model", "list"]).ok().out.contains("no versions"));
        let deploy = ["model", "deploy-config", "--image", IMAGE, "--out", "config"];
        cloud.run(&deploy).fails(2, &["no version of model group 'kidu' is approved"]);
        let receipt = cloud.run(&[&register[..], &["--json"]].concat()).ok().json();
        assert_eq!((&receipt["version"], &receipt["new"]), (&json!(1), &json!(true)));
        let again = cloud.run(&register).ok().out;
        assert!(again.contains("was registered before"), "{again}");
        let listed = cloud.run(&["model", "list"]).ok().out;
        assert!(
            listed.contains("PendingManualApproval") && listed.contains("resnet18") && listed.contains("0.7500"),
            "{listed}"
        );
        cloud.run(&["model", "approve", "7", "--actor", "ana"]).fails(2, &["no version 7"]);
        cloud.run(&["model", "reject", "1", "--actor", "ana"]).fails(2, &["--reason"]);
        let approved = cloud.run(&["model", "approve", "1", "--actor", "ana", "--reason", "good"]).ok().out;
        assert_eq!(approved.trim(), "kidu/1 is Approved");
        let shown = cloud.run(&["model", "show", "1"]).ok().out;
        assert!(shown.contains("by ana: good") && shown.contains("model-package/kidu/1"), "{shown}");

        cloud.run(&deploy).ok();
        let read = |name: &str| -> Value {
            serde_json::from_str(&fs::read_to_string(cloud.dir.path().join("config").join(name)).unwrap()).unwrap()
        };
        for stage in ["staging", "production"] {
            let parameters = read(&format!("{stage}.json"))["Parameters"].clone();
            let model = parameters["ModelBinaryLocation"].as_str().unwrap().to_owned();
            assert!(model.starts_with("s3://kidu-artifacts-") && model.ends_with("/model.tar.gz"), "{model}");
            assert_eq!((&parameters["StageName"], &parameters["ImageUri"]), (&json!(stage), &json!(IMAGE)));
            assert_eq!(parameters["BundleSha256"], judged.as_str());
        }
        cloud.run(&["model", "deploy-config", "--image", "kidu:v1", "--out", "x"]).fails(2, &["by its digest"]);
        cloud.run(&["model", "reject", "1", "--actor", "ana", "--reason", "fails on fog"]).ok();
        cloud.run(&deploy).fails(2, &["is approved"]);
    }

    /// moto has no steps of executions: these answers have the shapes of the API's reference.
    #[test]
    fn status_and_logs_say_why_steps_failed() {
        let arn = "arn:aws:sagemaker:eu-west-1:111122223333:pipeline/kidu-build/execution/e1";
        let execution =
            json!({"PipelineExecutionArn": arn, "PipelineExecutionStatus": "Failed", "CreationTime": 1_764_140_000});
        let steps = json!({"PipelineExecutionSteps": [{
            "StepName": "train", "StepStatus": "Failed", "FailureReason": "AlgorithmError: error: no image in data.root",
            "Metadata": {"TrainingJob": {"Arn": "arn:aws:sagemaker:eu-west-1:111122223333:training-job/pipelines-e1-train-y"}},
        }]});
        let list =
            json!({"PipelineExecutionSummaries": [{"PipelineExecutionArn": arn, "PipelineExecutionStatus": "Failed"}]});
        let server = RecordedAws::start(&[
            ("DescribePipelineExecution", 200, &execution.to_string()),
            ("ListPipelineExecutionSteps", 200, &steps.to_string()),
            ("ListPipelineExecutions", 200, &list.to_string()),
        ]);
        let dir = scratch();
        let status = call(&dir, server.environment(), &["pipeline", "status", "e1"]).ok().out;
        assert!(status.contains("train  Failed") && status.contains("no image in data.root"), "{status}");
        assert!(server.bodies("DescribePipelineExecution")[0].contains(arn), "the id becomes an ARN");
        let logs = call(&dir, server.environment(), &["pipeline", "logs"]).ok().out;
        let tail = "aws logs tail /aws/sagemaker/TrainingJobs --log-stream-name-prefix pipelines-e1-train-y/";
        assert!(logs.contains(tail) && logs.contains("--region eu-west-1"), "{logs}");
    }

    /// The expressions that SageMaker is given read the log that a training really writes.
    #[test]
    fn the_metrics_are_read_from_the_log() {
        let server = RecordedAws::start(&[("CreateTrainingJob", 200, r#"{"TrainingJobArn": "arn:x/kidu-1"}"#)]);
        let dir = scratch();
        call(&dir, server.environment(), &["train", "data.root=s3://photos/x", "model=resnet18", "--yes"]).ok();
        let sent: Value = serde_json::from_str(&server.bodies("CreateTrainingJob")[0]).unwrap();
        assert_eq!(sent["HyperParameters"], json!({"model": "resnet18"}));
        let log = fs::read_to_string(TRAINED.join("kidu.log")).unwrap();
        let table = fs::read_to_string(TRAINED.join("metrics.csv")).unwrap();
        let definitions = sent["AlgorithmSpecification"]["MetricDefinitions"].as_array().unwrap().clone();
        assert_eq!(definitions.len(), 4);
        for definition in &definitions {
            let (name, regex) = (definition["Name"].as_str().unwrap(), definition["Regex"].as_str().unwrap());
            let regex = Regex::new(regex).unwrap();
            let found: Vec<f64> =
                log.lines().filter_map(|l| regex.captures(l)?.get(1)?.as_str().parse().ok()).collect();
            let column = table
                .lines()
                .next()
                .unwrap()
                .split(',')
                .position(|c| c == name)
                .unwrap_or_else(|| panic!("{name}: {table}"));
            let expected: Vec<f64> =
                table.lines().skip(1).filter_map(|l| l.split(',').nth(column)?.parse().ok()).collect();
            assert_eq!(found.len(), expected.len(), "{name}: {log}");
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{name}: {found:?} {expected:?}");
        }
    }

    #[test]
    fn credentials_that_are_missing_are_named() {
        let dir = scratch();
        let mut environment = RecordedAws::start(&[]).environment();
        environment.retain(|(name, _)| !name.contains("ACCESS_KEY"));
        call(&dir, environment, &["model", "list"]).fails(2, &["no AWS credentials", "AWS_PROFILE"]);
        let denied = r#"{"__type": "AccessDeniedException", "Message": "User: u is not authorized to perform: sagemaker:ListModelPackages on resource: r"}"#;
        let server = RecordedAws::start(&[("ListModelPackages", 400, denied)]);
        call(&dir, server.environment(), &["model", "list"]).fails(1, &["allow sagemaker:ListModelPackages"]);
    }
}
