//! Building and delivering.

use crate::core::resources;

resources! {
    /// A git repository.
    CodeRepository = "AWS::CodeCommit::Repository" stateful {
        repository_name: "RepositoryName",
        repository_description: "RepositoryDescription",
        kms_key_id: "KmsKeyId",
        tags: "Tags",
    } [arn: "Arn", name: "Name", clone_url_http: "CloneUrlHttp"]

    /// A build.
    BuildProject = "AWS::CodeBuild::Project" {
        name: "Name" replace,
        description: "Description",
        artifacts: "Artifacts",
        cache: "Cache",
        concurrent_build_limit: "ConcurrentBuildLimit",
        encryption_key: "EncryptionKey",
        environment: "Environment",
        logs_config: "LogsConfig",
        queued_timeout_in_minutes: "QueuedTimeoutInMinutes",
        service_role: "ServiceRole",
        source: "Source",
        timeout_in_minutes: "TimeoutInMinutes",
        tags: "Tags",
    } [arn: "Arn"]

    /// A delivery pipeline.
    DeliveryPipeline = "AWS::CodePipeline::Pipeline" {
        name: "Name" replace,
        artifact_store: "ArtifactStore",
        execution_mode: "ExecutionMode",
        pipeline_type: "PipelineType",
        restart_execution_on_update: "RestartExecutionOnUpdate",
        role_arn: "RoleArn",
        stages: "Stages",
        triggers: "Triggers",
        variables: "Variables",
        tags: "Tags",
    } [version: "Version"]

    /// An application whose versions CodeDeploy shifts.
    DeployApplication = "AWS::CodeDeploy::Application" {
        application_name: "ApplicationName" replace,
        compute_platform: "ComputePlatform" replace,
        tags: "Tags",
    }

    /// How an application's versions are shifted.
    DeploymentGroup = "AWS::CodeDeploy::DeploymentGroup" {
        application_name: "ApplicationName" replace,
        deployment_group_name: "DeploymentGroupName" replace,
        alarm_configuration: "AlarmConfiguration",
        auto_rollback_configuration: "AutoRollbackConfiguration",
        deployment_config_name: "DeploymentConfigName",
        deployment_style: "DeploymentStyle",
        service_role_arn: "ServiceRoleArn",
        tags: "Tags",
    }

    /// A stack inside a stack.
    NestedStack = "AWS::CloudFormation::Stack" {
        template_url: "TemplateURL",
        parameters: "Parameters",
        timeout_in_minutes: "TimeoutInMinutes",
        tags: "Tags",
    }
}
