//! What is said where SageMaker was left out of the build.

use crate::{
    Outcome,
    cli::{ModelCommand, PipelineCommand, SearchArgs, TrainArgs},
    failure::Failure,
};

fn missing<T>() -> Outcome<T> {
    Err(Failure::usage(
        "--on sagemaker: this kidu was built without SageMaker, whose SDK takes minutes to compile; build it with \
         `cargo build --release --package kidu --features sagemaker`",
    ))
}

pub(super) fn train(_: &TrainArgs) -> Outcome {
    missing()
}

pub(super) fn search(_: &SearchArgs) -> Outcome {
    missing()
}

pub(super) fn pipeline(_: &PipelineCommand) -> Outcome {
    missing()
}

pub(super) fn model(_: &ModelCommand) -> Outcome {
    missing()
}
