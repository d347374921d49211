//! The build pipeline: from a dataset to a judged, registered model.

use kidu_core::model;

use crate::{
    arg::{Arg, verb},
    config_keys::ConfigKeys,
    graph::{Comparison, Condition, Input, Output, OutputRef, Pipeline, Step, StepKind},
    parameter::{Parameter, ParameterKind},
};

/// Where the accuracy stands in `evaluation.json`.
pub const ACCURACY_PATH: &str = "multiclass_classification_metrics.accuracy.value";
/// External input of the preprocess step: the files of the dataset.
pub const DATASET: &str = "dataset";
/// External input of the preprocess step: the annotations that are brought in, or that there are none.
pub const ANNOTATIONS: &str = "annotations";
/// External input of the train step: the file with the initial weights, or that there is none.
pub const INITIAL_WEIGHTS: &str = "initial-weights";
/// External input of the gate: the version to beat; see
/// [`Registry::incumbent_fingerprint`](crate::Registry::incumbent_fingerprint).
pub const INCUMBENT: &str = "incumbent";

/// `preprocess → train → evaluate → gate → register`, with the parameters that schedulers and people set.
///
/// Parameters that stand for a configuration key take their value from the resolved configuration unless one is given.
pub fn build_pipeline() -> Pipeline {
    Pipeline {
        name: "kidu-build".into(),
        parameters: parameters(),
        steps: vec![preprocess(), train(), evaluate(), gate(), register()],
    }
}

fn parameters() -> Vec<Parameter> {
    use ParameterKind::{Float, Integer, String};
    vec![
        Parameter::new("InputDatasetZip", String, "the dataset: a folder or an archive").with_config_key("data.root"),
        Parameter::new("DataVersion", String, "content version the dataset must have, or 'any'").with_default("any"),
        Parameter::new(
            "Annotations",
            String,
            "annotations to bring in: a file, a folder or s3://bucket/prefix; or 'none'",
        )
        .with_default("none"),
        Parameter::new("AnnotationImages", String, "folder of the images of the annotations, or 'none'")
            .with_default("none"),
        Parameter::new("NewClasses", String, "classes that only the annotations have: error, allow or ignore")
            .with_default("error")
            .with_allowed(["error", "allow", "ignore"]),
        Parameter::new("DataStore", String, "store that keeps what is trained on as a version, or 'none'")
            .with_default("none"),
        Parameter::new("Model", String, "timm's name of the architecture")
            .with_default("tf_efficientnet_lite0")
            .with_allowed(model::records().iter().map(|r| r.name))
            .with_config_key("model.name"),
        Parameter::new("Batch_Size", Integer, "images in a batch").with_default(32).with_config_key("data.batch_size"),
        Parameter::new("Optimizer", String, "the optimizer")
            .with_default("adamw")
            .with_allowed(["adam", "adamw", "sgd", "rmsprop"])
            .with_config_key("model.optimizer.name"),
        Parameter::new("Learning_Rate", Float, "peak learning rate of the head")
            .with_default(0.001)
            .with_config_key("model.learning_rate"),
        Parameter::new("Augmentation_Pipeline", String, "0: the default pipeline, 1: the larger one, none: off")
            .with_default("0")
            .with_allowed(["0", "1", "none"])
            .with_config_key("data.augmentation.pipeline"),
        Parameter::new("Accuracy_Threshold", Float, "test accuracy below which a model is refused, 0 to 1")
            .with_default(0.60)
            .with_config_key("gate.min_accuracy"),
        Parameter::new("ModelPackageGroupName", String, "group of the model registry")
            .with_default("kidu")
            .with_config_key("registry.group"),
        Parameter::new("ModelApprovalStatus", String, "approval status of the new version")
            .with_default("PendingManualApproval")
            .with_allowed(["PendingManualApproval", "Approved", "Rejected"])
            .with_config_key("registry.approval_status"),
    ]
}

fn preprocess() -> Step {
    Step {
        name: "preprocess".into(),
        kind: StepKind::Processing,
        verb: verb("data split --check error --out {@step_folder} {@config} data.root={external:dataset}"),
        environment: vec![
            ("KIDU_DATA_VERSION".into(), Arg::parameter("DataVersion")),
            ("KIDU_ANNOTATIONS".into(), Arg::parameter("Annotations")),
            ("KIDU_ANNOTATION_IMAGES".into(), Arg::parameter("AnnotationImages")),
            ("KIDU_NEW_CLASSES".into(), Arg::parameter("NewClasses")),
            ("KIDU_SNAPSHOT".into(), Arg::parameter("DataStore")),
        ],
        inputs: vec![
            Input::external(DATASET, Some(Arg::parameter("InputDatasetZip"))),
            Input::external(ANNOTATIONS, None),
        ],
        outputs: vec![Output::new("dataset", "manifest.json")],
        after: vec![],
        cache: true,
        resumable: false,
        config_keys: ConfigKeys::of([
            "seed",
            "data.train_val_test_split",
            "data.on_bad_image",
            "data.on_duplicate",
            "data.on_near_duplicate",
            "data.check",
            "data.max_pixels",
            "data.max_side",
            "data.max_bytes",
        ]),
    }
}

fn train() -> Step {
    Step {
        name: "train".into(),
        kind: StepKind::Training { model: "bundle".into() },
        verb: verb(
            "train --manifest {preprocess.dataset} --out {@step_folder} {@config} model.name={Model} \
             data.batch_size={Batch_Size} model.optimizer.name={Optimizer} model.learning_rate={Learning_Rate} \
             data.augmentation.pipeline={Augmentation_Pipeline}",
        ),
        environment: vec![],
        inputs: vec![Input::output("dataset", "preprocess", "dataset"), Input::external(INITIAL_WEIGHTS, None)],
        outputs: vec![Output::new("bundle", "bundle")],
        after: vec![],
        cache: true,
        resumable: true,
        // The split and the place of the dataset act through the manifest, which is an input.
        config_keys: ConfigKeys::of(["seed", "data", "model", "trainer", "callbacks"]).except([
            "data.root",
            "data.num_workers",
            "data.train_val_test_split",
            "data.on_duplicate",
            "data.on_near_duplicate",
            "data.check",
            "trainer.profiler",
            "callbacks.progress_bar",
        ]),
    }
}

fn evaluate() -> Step {
    Step {
        name: "evaluate".into(),
        kind: StepKind::Processing,
        verb: verb(
            "evaluate --bundle {train.bundle} --manifest {preprocess.dataset} --out {@step_folder} {@config} \
             data.batch_size={Batch_Size}",
        ),
        environment: vec![],
        inputs: vec![Input::output("model", "train", "bundle"), Input::output("dataset", "preprocess", "dataset")],
        outputs: vec![Output::new("evaluation", "evaluation.json").exported().with_property_file("EvaluationReport")],
        after: vec![],
        cache: true,
        resumable: false,
        // The bundle says how images are read; what is left is which of them and on what device.
        config_keys: ConfigKeys::of(["data.on_bad_image", "trainer.accelerator", "trainer.limit_test_batches"]),
    }
}

fn gate() -> Step {
    Step {
        name: "gate".into(),
        kind: StepKind::Condition {
            conditions: vec![Condition {
                file: OutputRef::new("evaluate", "evaluation"),
                path: ACCURACY_PATH.into(),
                comparison: Comparison::GreaterThanOrEqualTo,
                value: Arg::parameter("Accuracy_Threshold"),
            }],
        },
        verb: verb(
            "gate --evaluation {evaluate.evaluation} --registry {@registry} --out {@step_folder} {@config} \
             registry.group={ModelPackageGroupName} gate.min_accuracy={Accuracy_Threshold}",
        ),
        environment: vec![],
        // The bundle is not read, but the gate asks which incumbent is another model than this one.
        inputs: vec![
            Input::output("evaluation", "evaluate", "evaluation"),
            Input::output("model", "train", "bundle"),
            Input::external(INCUMBENT, None),
        ],
        outputs: vec![Output::new("decision", "gate.json").exported().with_property_file("GateDecision")],
        after: vec![],
        cache: true,
        resumable: false,
        config_keys: ConfigKeys::of(["gate"]),
    }
}

fn register() -> Step {
    Step {
        name: "register".into(),
        kind: StepKind::Register {
            bundle: OutputRef::new("train", "bundle"),
            evaluation: OutputRef::new("evaluate", "evaluation"),
            dataset: OutputRef::new("preprocess", "dataset"),
            group: Arg::parameter("ModelPackageGroupName"),
            approval_status: Arg::parameter("ModelApprovalStatus"),
        },
        verb: verb(
            "model register --bundle {train.bundle} --evaluation {evaluate.evaluation} --registry {@registry} \
             --group {ModelPackageGroupName} --status {ModelApprovalStatus} --lineage {@lineage_file} \
             --out {@step_folder}",
        ),
        environment: vec![],
        inputs: vec![
            Input::output("model", "train", "bundle"),
            Input::output("evaluation", "evaluate", "evaluation"),
            Input::output("dataset", "preprocess", "dataset"),
        ],
        outputs: vec![Output::new("registration", "registration.json").exported()],
        after: vec!["gate".into()],
        cache: true,
        resumable: false,
        config_keys: ConfigKeys::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_valid_and_survives_json() {
        let pipeline = build_pipeline();
        pipeline.validate().unwrap();
        let text = serde_json::to_string_pretty(&pipeline).unwrap();
        assert_eq!(serde_json::from_str::<Pipeline>(&text).unwrap(), pipeline);
    }

    #[test]
    fn it_has_the_parameters_that_schedulers_set() {
        let pipeline = build_pipeline();
        for name in [
            "Model",
            "Batch_Size",
            "Optimizer",
            "Learning_Rate",
            "InputDatasetZip",
            "Augmentation_Pipeline",
            "ModelApprovalStatus",
            "Accuracy_Threshold",
        ] {
            assert!(pipeline.parameters.iter().any(|p| p.name == name), "{name}");
        }
    }

    #[test]
    fn the_gate_guards_registration() {
        assert_eq!(
            build_pipeline().step("register").unwrap().dependencies(),
            ["train", "evaluate", "preprocess", "gate"]
        );
    }
}
