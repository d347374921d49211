//! SageMaker through moto, by the real SDK, and through recorded answers where moto has none or makes no such fault.
#![cfg(feature = "sagemaker")]
#![allow(missing_docs, clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::PathBuf};

use kidu_aws::{
    Aws, AwsSettings, S3Store,
    sagemaker::{
        Channel, Metric, ModelPackages, PipelineDefinition, Publication, Range, SageMaker, SageMakerError, Spot,
        StartExecution, Strategy, TrainingJob, TuningJob, Values,
    },
};
use kidu_core::{
    Bundle, BundleManifest, ClassNames, files,
    store::{ObjectStore, ObjectUri},
};
use kidu_pipeline::{
    Error, Lineage, ModelRegistry, Registry, Status,
    registry::{Receipt, Registration},
};
use kidu_testing::{MotoServer, RecordedAws};
use serde_json::{Value, json};

fn connect(url: &str) -> SageMaker {
    SageMaker::open_with(&Aws::load_blocking(&AwsSettings::emulator(url)).unwrap()).unwrap()
}

struct Candidate {
    dir: tempfile::TempDir,
}

impl Candidate {
    fn new(weights: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let record = kidu_core::model::find("resnet18").unwrap();
        let manifest = BundleManifest {
            format_version: BundleManifest::FORMAT,
            model: "resnet18".into(),
            pad_type: None,
            classes: ClassNames::new(["forest", "sea"]).unwrap(),
            image: record.image.clone(),
            temperature: 1.0,
            metrics: BTreeMap::new(),
            dataset_version: "d1".into(),
            data_snapshot: None,
            config_hash: "c1".into(),
            git_commit: Some("abc123".into()),
            initial_weights: "none".into(),
            created: "2026-01-01T00:00:00Z".into(),
            kidu_version: "0.1.0".into(),
            files: BTreeMap::new(),
        };
        Bundle::create(&dir.path().join("bundle"), manifest, &[(Bundle::WEIGHTS, weights.as_bytes())]).unwrap();
        let report = json!({"multiclass_classification_metrics": {"accuracy": {"value": 0.75}}});
        files::write_json(&dir.path().join("evaluation.json"), &report).unwrap();
        fs::write(dir.path().join("predictions.csv"), "path,label\n").unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn register(&self, registry: &dyn ModelRegistry, test: &str) -> Receipt {
        let lineage = Lineage {
            dataset_version: "d1".into(),
            data_snapshot: None,
            test_version: Some(test.into()),
            config_hash: "c1".into(),
            git_commit: Some("abc123".into()),
            kidu_version: "0.1.0".into(),
            initial_weights: "none".into(),
            metrics: BTreeMap::from([("test/acc".to_string(), 0.75)]),
            run: None,
        };
        let what = Registration {
            bundle: &self.path("bundle"),
            evaluation: &self.path("evaluation.json"),
            attachments: &[self.path("predictions.csv")],
            lineage,
            status: Status::PendingManualApproval,
            actor: "ada",
        };
        registry.register(&what).unwrap()
    }
}

/// What every registry must do, wherever it is.
fn conformance(registry: &dyn ModelRegistry) {
    assert!(registry.records().unwrap().is_empty());
    assert_eq!(registry.latest_approved().unwrap(), None);
    let error = registry.record(1).unwrap_err();
    assert!(matches!(error, Error::UnknownVersion { version: 1, .. }) && error.is_usage(), "{error}");

    let candidates: Vec<Candidate> = ["a", "b", "c"].map(Candidate::new).into();
    let receipts: Vec<Receipt> = candidates.iter().map(|c| c.register(registry, "t1")).collect();
    assert_eq!(receipts.iter().map(|r| (r.version, r.new)).collect::<Vec<_>>(), [(1, true), (2, true), (3, true)]);
    let again = candidates[1].register(registry, "t1");
    assert_eq!((again.version, again.new), (2, false), "the same model is one version");
    assert_eq!(candidates[1].register(registry, "t2").version, 4, "another test set is another version");

    let record = registry.record(2).unwrap();
    assert_eq!((record.group.as_str(), record.version, record.status), ("scenes", 2, Status::PendingManualApproval));
    for (fact, value) in [("model", "resnet18"), ("dataset-version", "d1"), ("config-hash", "c1"), ("commit", "abc123")]
    {
        assert_eq!(record.facts[fact], value, "{record:?}");
    }
    assert_eq!(record.facts["model-hash"], receipts[1].model_hash.as_str());
    assert_eq!(record.metrics["test/acc"], 0.75);

    registry.approve(1, "ada", Some("good on the fog set")).unwrap();
    assert_eq!(registry.latest_approved().unwrap().unwrap().version, 1, "newer ones wait");
    let approved = registry.approve(2, "ada", None).unwrap();
    assert_eq!((approved.status, approved.decision.as_deref()), (Status::Approved, Some("by ada")));
    assert_eq!(registry.latest_approved().unwrap().unwrap().version, 2);
    let error = registry.approve(2, "bob", None).unwrap_err();
    assert!(matches!(error, Error::Transition { .. }) && error.to_string().contains("by ada"), "{error}");
    assert!(matches!(registry.reject(3, "bob", " "), Err(Error::BadEntryText { what: "reason", .. })));
    let withdrawn = registry.reject(2, "bob", "fails on fog").unwrap();
    assert_eq!((withdrawn.status, withdrawn.decision.as_deref()), (Status::Rejected, Some("by bob: fails on fog")));
    assert_eq!(registry.latest_approved().unwrap().unwrap().version, 1);
    assert!(registry.approve(2, "ada", None).unwrap_err().to_string().contains("was rejected; give one"));
    let error = registry.approve(9, "ada", None).unwrap_err().to_string();
    assert!(error.contains("no version 9; it has versions 1 to 4"), "{error}");
    let statuses: Vec<(u32, Status)> = registry.records().unwrap().iter().map(|r| (r.version, r.status)).collect();
    use Status::{Approved, PendingManualApproval as Pending, Rejected};
    assert_eq!(statuses, [(1, Approved), (2, Rejected), (3, Pending), (4, Pending)]);
}

fn packages(sagemaker: &SageMaker) -> ModelPackages {
    ModelPackages::open(sagemaker, "scenes").unwrap().with_publication(Publication {
        place: "s3://artifacts/kidu/registry".into(),
        image: "111122223333.dkr.ecr.us-east-1.amazonaws.com/kidu/job:v1".into(),
        instances: vec!["ml.c5.large".into()],
    })
}

#[test]
fn the_folder_is_a_registry() {
    let dir = tempfile::tempdir().unwrap();
    conformance(&Registry::open(dir.path(), "scenes").unwrap());
}

#[test]
fn a_model_package_group_is_a_registry() {
    let Some(moto) = MotoServer::start("a_model_package_group_is_a_registry") else { return };
    moto.create_bucket("artifacts");
    let sagemaker = connect(&moto.url());
    // Two versions on a page: four versions are two pages.
    conformance(&packages(&sagemaker).with_page_size(2));

    // The model is the bundle, unpacked it is whole.
    let record = packages(&sagemaker).record(1).unwrap();
    let (folder, name) = ObjectUri::parse(&record.bundle).unwrap().split_last().unwrap();
    assert_eq!(name, "model.tar.gz");
    let aws = Aws::load_blocking(&AwsSettings::emulator(moto.url())).unwrap();
    let store = S3Store::open_with(&aws, &folder).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("model.tar.gz");
    store.get_to_file(&name, &archive, &kidu_core::store::GetOptions::default()).unwrap();
    assert_eq!(Bundle::unpack(&archive, &dir.path().join("bundle")).unwrap().manifest().model, "resnet18");
    let mut keys: Vec<String> = store.list_all("").unwrap().into_iter().map(|e| e.key).collect();
    keys.sort();
    assert_eq!(keys, ["evaluation.json", "model.tar.gz", "predictions.csv"]);
    assert!(record.evaluation.unwrap().ends_with("evaluation.json"));
    assert!(record.image.unwrap().ends_with("kidu/job:v1"));

    // A model that is gone is not approved.
    store.delete("model.tar.gz").unwrap();
    packages(&sagemaker).reject(1, "ada", "test").unwrap();
    let error = packages(&sagemaker).approve(1, "ada", Some("again")).unwrap_err().to_string();
    assert!(error.contains("is not there any more"), "{error}");
}

#[test]
fn names_that_are_no_groups_are_refused_before_anything_is_asked() {
    let sagemaker = connect("http://127.0.0.1:1");
    for bad in ["", "a/b", "-a", "x y"] {
        assert!(ModelPackages::open(&sagemaker, bad).is_err(), "{bad}");
    }
    let error = packages(&sagemaker).latest_approved().unwrap_err();
    assert!(error.to_string().contains("at present") && !error.is_usage(), "{error}");
}

#[test]
fn a_pipeline_is_made_updated_and_started() {
    let Some(moto) = MotoServer::start("a_pipeline_is_made_updated_and_started") else { return };
    let sagemaker = connect(&moto.url());
    assert_eq!(sagemaker.identity().unwrap().account, "123456789012");
    let upsert = |definition: &str| {
        let role_arn = "arn:aws:iam::123456789012:role/kidu-pipeline-us-east-1";
        let pipeline = PipelineDefinition { name: "kidu-build", definition, role_arn, description: "builds" };
        sagemaker.upsert_pipeline(&pipeline).unwrap()
    };
    let missing = sagemaker.pipeline_definition("kidu-build").unwrap_err();
    assert!(matches!(missing, SageMakerError::Missing { .. }) && missing.is_usage(), "{missing}");
    let first = r#"{"Version": "2020-12-01", "Steps": []}"#;
    let made = upsert(first);
    assert!(made.created && made.changed && made.arn.ends_with("pipeline/kidu-build"), "{made:?}");
    let same = upsert(r#"{"Steps":[],"Version":"2020-12-01"}"#);
    assert!(!same.created && !same.changed, "the same JSON is no change: {same:?}");
    let second = r#"{"Version": "2020-12-01", "Steps": [], "Metadata": {}}"#;
    let updated = upsert(second);
    assert!(!updated.created && updated.changed, "{updated:?}");
    assert_eq!(sagemaker.pipeline_definition("kidu-build").unwrap(), serde_json::from_str::<Value>(second).unwrap());

    let parameters = [("Model".to_string(), "resnet18".to_string())];
    let start = StartExecution {
        pipeline: "kidu-build",
        parameters: &parameters,
        token: Some("2026-11-26"),
        description: Some("a test"),
    };
    let arn = sagemaker.start_pipeline(&start).unwrap();
    let listed = sagemaker.executions("kidu-build", 20).unwrap();
    assert_eq!(listed.iter().map(|e| e.arn.clone()).collect::<Vec<_>>(), std::slice::from_ref(&arn));
    assert_eq!(listed[0].description.as_deref(), Some("a test"));
    assert_eq!(sagemaker.execution_arn("kidu-build", &listed[0].id).unwrap(), arn);
    let nothing = StartExecution { pipeline: "none", ..StartExecution::default() };
    assert!(sagemaker.start_pipeline(&nothing).unwrap_err().to_string().contains("pipeline none"));
}

fn training() -> TrainingJob {
    let texts = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    TrainingJob {
        name: "kidu-1".into(),
        image: "111122223333.dkr.ecr.us-east-1.amazonaws.com/kidu/job:v1".into(),
        command: vec![],
        hyperparameters: texts(&[("model", "resnet18"), ("trainer.max_epochs", "3")]),
        environment: texts(&[("KIDU_PROGRESS", "plain")]),
        role_arn: "arn:aws:iam::111122223333:role/kidu-training-us-east-1".into(),
        channels: vec![Channel { name: "dataset".into(), uri: "s3://artifacts/kidu/e1/preprocess/dataset/".into() }],
        output: "s3://artifacts/kidu/kidu-1/train".into(),
        key: Some("alias/kidu".into()),
        checkpoints: Some("s3://artifacts/kidu/kidu-1/preprocess/dataset-checkpoints/train".into()),
        tensorboard: Some("s3://artifacts/kidu/kidu-1/train/tensorboard".into()),
        instance: "ml.c5.4xlarge".into(),
        volume_gb: 30,
        max_seconds: 3600,
        spot: Some(Spot { max_wait_seconds: 7200 }),
        metrics: vec![Metric { name: "val/acc".into(), regex: "acc ([0-9.]+)".into() }],
    }
}

fn tuning() -> TuningJob {
    let range = |name: &str, values| Range { name: name.into(), values };
    TuningJob {
        name: "kidu-tune-1".into(),
        strategy: Strategy::Bayesian,
        metric: "val/acc".into(),
        maximize: true,
        early_stopping: true,
        max_jobs: Some(4),
        parallel: 2,
        max_seconds: Some(3600),
        seed: Some(7),
        ranges: vec![
            range("model.learning_rate", Values::Continuous { low: 1e-4, high: 0.05, log: true }),
            range("trainer.max_epochs", Values::Integer { low: 1, high: 9, log: false }),
            range("model.optimizer.name", Values::Categorical(vec!["adam".into(), "sgd".into()])),
        ],
        training: TrainingJob { checkpoints: None, tensorboard: None, ..training() },
    }
}

#[test]
fn jobs_are_started_and_described() {
    let Some(moto) = MotoServer::start("jobs_are_started_and_described") else { return };
    let sagemaker = connect(&moto.url());
    let arn = sagemaker.start_training(&training()).unwrap();
    assert!(arn.ends_with("training-job/kidu-1"), "{arn}");
    let status = sagemaker.training_status("kidu-1").unwrap();
    // moto ends every job at once.
    assert_eq!(status.status, "Completed");
    assert!(status.model.unwrap().starts_with("s3://artifacts/kidu/kidu-1/train"));
    assert_eq!(status.log.stream_prefix, "kidu-1/");
    let missing = sagemaker.training_status("kidu-2").unwrap_err();
    assert!(matches!(missing, SageMakerError::Missing { .. }), "{missing}");
    let arn = sagemaker.start_tuning(&tuning()).unwrap();
    assert!(arn.contains("kidu-tune-1"), "{arn}");
}

/// The requests as they are sent, against what SageMaker's API says of each field.
#[test]
fn requests_say_what_they_mean() {
    let server = RecordedAws::start(&[
        ("CreateTrainingJob", 200, r#"{"TrainingJobArn": "arn:aws:sagemaker:eu-west-1:1:training-job/kidu-1"}"#),
        ("CreateHyperParameterTuningJob", 200, r#"{"HyperParameterTuningJobArn": "arn:x"}"#),
    ]);
    let sagemaker = connect(&server.url());
    sagemaker.start_training(&training()).unwrap();
    let sent: Value = serde_json::from_str(&server.bodies("CreateTrainingJob")[0]).unwrap();
    assert_eq!(sent["HyperParameters"], json!({"model": "resnet18", "trainer.max_epochs": "3"}));
    assert_eq!(sent["StoppingCondition"], json!({"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}));
    assert_eq!(sent["EnableManagedSpotTraining"], true);
    assert_eq!(sent["CheckpointConfig"]["LocalPath"], "/opt/ml/checkpoints");
    assert_eq!(sent["OutputDataConfig"]["KmsKeyId"], "alias/kidu");
    let source = &sent["InputDataConfig"][0]["DataSource"]["S3DataSource"];
    assert_eq!(source["S3Uri"], "s3://artifacts/kidu/e1/preprocess/dataset/");
    assert_eq!(sent["AlgorithmSpecification"].get("ContainerEntrypoint"), None, "the image's own entry");
    assert_eq!(
        sent["AlgorithmSpecification"]["MetricDefinitions"],
        json!([{"Name": "val/acc", "Regex": "acc ([0-9.]+)"}])
    );

    sagemaker.start_tuning(&tuning()).unwrap();
    let sent: Value = serde_json::from_str(&server.bodies("CreateHyperParameterTuningJob")[0]).unwrap();
    let config = &sent["HyperParameterTuningJobConfig"];
    assert_eq!(config["Strategy"], "Bayesian");
    assert_eq!(config["HyperParameterTuningJobObjective"], json!({"Type": "Maximize", "MetricName": "val/acc"}));
    assert_eq!(config["TrainingJobEarlyStoppingType"], "Auto");
    assert_eq!(config["RandomSeed"], 7);
    let limits = json!({"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2, "MaxRuntimeInSeconds": 3600});
    assert_eq!(config["ResourceLimits"], limits);
    let ranges = &config["ParameterRanges"];
    let learning_rate =
        json!({"Name": "model.learning_rate", "MinValue": "0.0001", "MaxValue": "0.05", "ScalingType": "Logarithmic"});
    assert_eq!(ranges["ContinuousParameterRanges"], json!([learning_rate]));
    assert_eq!(ranges["IntegerParameterRanges"][0]["ScalingType"], "Linear");
    assert_eq!(ranges["CategoricalParameterRanges"][0]["Values"], json!(["adam", "sgd"]));
    assert_eq!(sent["TrainingJobDefinition"]["StaticHyperParameters"]["model"], "resnet18");
    assert_eq!(sent["TrainingJobDefinition"].get("CheckpointConfig"), None);
}

/// moto has no ListPipelineExecutionSteps: these answers have the shapes of the API's reference.
#[test]
fn steps_tell_why_they_failed_and_where_their_log_is() {
    let arn = "arn:aws:sagemaker:eu-west-1:111122223333:pipeline/kidu-build/execution/e1";
    let described = json!({
        "PipelineExecutionArn": arn, "PipelineExecutionStatus": "Failed", "CreationTime": 1_764_140_000.5,
        "FailureReason": "Step failure: One or multiple steps failed.",
    });
    let job = |kind: &str, name: &str| format!("arn:aws:sagemaker:eu-west-1:111122223333:{kind}/{name}");
    let one = json!({"NextToken": "two", "PipelineExecutionSteps": [
        {"StepName": "preprocess", "StepStatus": "Succeeded", "StartTime": 1_764_140_001, "EndTime": 1_764_140_301,
         "CacheHitResult": {"SourcePipelineExecutionArn": arn.replace("e1", "e0")},
         "Metadata": {"ProcessingJob": {"Arn": job("processing-job", "pipelines-e0-preprocess-x")}}},
        {"StepName": "train", "StepStatus": "Failed", "AttemptCount": 2, "FailureReason": "AlgorithmError: no image",
         "Metadata": {"TrainingJob": {"Arn": job("training-job", "pipelines-e1-train-y")}}},
    ]});
    let two = json!({"PipelineExecutionSteps": [
        {"StepName": "gate-refused", "StepStatus": "Failed", "FailureReason": "generic",
         "Metadata": {"Fail": {"ErrorMessage": "accuracy.value >= 0.6. See s3://b/evaluation.json"}}},
    ]});
    let server = RecordedAws::start(&[
        ("DescribePipelineExecution", 200, &described.to_string()),
        ("ListPipelineExecutionSteps", 200, &one.to_string()),
        ("ListPipelineExecutionSteps", 200, &two.to_string()),
    ]);
    let execution = connect(&server.url()).execution(arn).unwrap();
    assert_eq!((execution.id.as_str(), execution.status.as_str()), ("e1", "Failed"));
    assert_eq!(execution.started.as_deref(), Some("2025-11-26T06:53:20Z"));
    let [preprocess, train, refused] = execution.steps.as_slice() else { panic!("{execution:?}") };
    assert_eq!(preprocess.cached_from.as_deref(), Some("e0"));
    assert_eq!((train.attempts, train.failure.as_deref()), (2, Some("AlgorithmError: no image")));
    let log = train.log.as_ref().unwrap();
    assert_eq!(
        (log.group.as_str(), log.stream_prefix.as_str()),
        ("/aws/sagemaker/TrainingJobs", "pipelines-e1-train-y/")
    );
    assert_eq!(refused.failure.as_deref(), Some("accuracy.value >= 0.6. See s3://b/evaluation.json"));
    assert!(server.bodies("ListPipelineExecutionSteps")[1].contains("two"));
}

/// moto filters before it makes pages; AWS may give an empty page with others to follow.
#[test]
fn the_latest_approved_is_found_behind_an_empty_page() {
    let package = "arn:aws:sagemaker:eu-west-1:111122223333:model-package/scenes/3";
    let summary = json!({"ModelPackageArn": package, "ModelPackageVersion": 3, "ModelPackageGroupName": "scenes",
                         "CreationTime": 1_764_140_000, "ModelPackageStatus": "Completed", "ModelApprovalStatus": "Approved"});
    let failed = json!({"ModelPackageArn": package.replace("/3", "/4"), "ModelPackageVersion": 4, "CreationTime": 1_764_140_000,
                        "ModelPackageStatus": "Failed", "ModelApprovalStatus": "Approved"});
    let described = json!({
        "ModelPackageArn": package, "ModelPackageVersion": 3, "CreationTime": 1_764_140_000,
        "ModelApprovalStatus": "Approved", "ModelPackageName": "scenes", "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "InferenceSpecification": {"Containers": [{"Image": "i", "ModelDataUrl": "s3://b/model.tar.gz"}]},
        "CustomerMetadataProperties": {"kidu.metric.test/acc": "0.9", "kidu.execution": "e1"},
    });
    let server = RecordedAws::start(&[
        ("ListModelPackages", 200, r#"{"ModelPackageSummaryList": [], "NextToken": "two"}"#),
        ("ListModelPackages", 200, &json!({"ModelPackageSummaryList": [failed], "NextToken": "three"}).to_string()),
        ("ListModelPackages", 200, &json!({"ModelPackageSummaryList": [summary]}).to_string()),
        ("DescribeModelPackage", 200, &described.to_string()),
    ]);
    let record = packages(&connect(&server.url())).latest_approved().unwrap().unwrap();
    assert_eq!((record.version, record.bundle.as_str()), (3, "s3://b/model.tar.gz"));
    assert_eq!((record.metrics["test/acc"], record.facts["execution"].as_str()), (0.9, "e1"));
    let sent = server.bodies("ListModelPackages");
    assert!(sent[0].contains("Approved") && sent[0].contains("Descending") && sent[2].contains("three"), "{sent:?}");
    // A server that gives one page for ever is left.
    let server =
        RecordedAws::start(&[("ListModelPackages", 200, r#"{"ModelPackageSummaryList": [], "NextToken": "x"}"#)]);
    let error = packages(&connect(&server.url())).latest_approved().unwrap_err().to_string();
    assert!(error.contains("again and again"), "{error}");
}

#[test]
fn throttling_is_waited_out_and_faults_say_what_is_missing() {
    let throttled = r#"{"__type": "ThrottlingException", "message": "Rate exceeded"}"#;
    let status = r#"{"TrainingJobName": "t", "TrainingJobStatus": "InProgress", "SecondaryStatus": "Interrupted"}"#;
    let server = RecordedAws::start(&[
        ("DescribeTrainingJob", 400, throttled),
        ("DescribeTrainingJob", 503, "{}"),
        ("DescribeTrainingJob", 200, status),
        (
            "CreateTrainingJob",
            400,
            r#"{"__type": "ResourceLimitExceeded", "message": "limit 'ml.c5.4xlarge for spot training job usage' is 0 Instances"}"#,
        ),
        (
            "StartPipelineExecution",
            400,
            r#"{"__type": "AccessDeniedException", "Message": "User: u is not authorized to perform: sagemaker:StartPipelineExecution on resource: r"}"#,
        ),
    ]);
    let sagemaker = connect(&server.url());
    assert_eq!(sagemaker.training_status("t").unwrap().phase, "Interrupted");
    assert_eq!(server.bodies("DescribeTrainingJob").len(), 3);
    let error = sagemaker.start_training(&training()).unwrap_err();
    assert!(matches!(error, SageMakerError::Quota { .. }) && error.to_string().contains("Service Quotas"), "{error}");
    let start = StartExecution { pipeline: "p", ..StartExecution::default() };
    let error = sagemaker.start_pipeline(&start).unwrap_err().to_string();
    assert!(error.contains("allow sagemaker:StartPipelineExecution") && error.contains("pipeline p"), "{error}");
}

#[test]
fn a_tuning_job_tells_what_was_best() {
    let described = json!({
        "HyperParameterTuningJobName": "t", "HyperParameterTuningJobArn": "a", "HyperParameterTuningJobStatus": "Completed",
        "HyperParameterTuningJobConfig": {"Strategy": "Bayesian", "ResourceLimits": {"MaxParallelTrainingJobs": 1}},
        "CreationTime": 1_764_140_000,
        "TrainingJobStatusCounters": {"Completed": 3, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 1, "Stopped": 2},
        "ObjectiveStatusCounters": {"Succeeded": 3, "Pending": 0, "Failed": 0},
        "BestTrainingJob": {
            "TrainingJobName": "t-002", "TrainingJobArn": "b", "CreationTime": 1_764_140_000, "TrainingJobStatus": "Completed",
            "TunedHyperParameters": {"model.learning_rate": "0.003"},
            "FinalHyperParameterTuningJobObjectiveMetric": {"MetricName": "val/acc", "Value": 0.875},
        },
    });
    let server = RecordedAws::start(&[("DescribeHyperParameterTuningJob", 200, &described.to_string())]);
    let status = connect(&server.url()).tuning_status("t").unwrap();
    assert_eq!((status.completed, status.failed, status.stopped), (3, 1, 2));
    assert_eq!((status.best_job.as_deref(), status.best_value), (Some("t-002"), Some(0.875)));
    assert_eq!(status.best_parameters["model.learning_rate"], "0.003");
}
