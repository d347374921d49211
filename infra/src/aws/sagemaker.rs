//! SageMaker.

use crate::core::resources;

resources! {
    /// A pipeline.
    SageMakerPipeline = "AWS::SageMaker::Pipeline" {
        pipeline_name: "PipelineName" replace,
        pipeline_display_name: "PipelineDisplayName",
        pipeline_description: "PipelineDescription",
        pipeline_definition: "PipelineDefinition",
        parallelism_configuration: "ParallelismConfiguration",
        role_arn: "RoleArn",
        tags: "Tags",
    }

    /// A group of model versions.
    ModelPackageGroup = "AWS::SageMaker::ModelPackageGroup" stateful {
        model_package_group_name: "ModelPackageGroupName" replace,
        model_package_group_description: "ModelPackageGroupDescription" replace,
        model_package_group_policy: "ModelPackageGroupPolicy",
        tags: "Tags",
    } [model_package_group_arn: "ModelPackageGroupArn"]
}
