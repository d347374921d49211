//! Events, schedules and state machines.

use crate::core::resources;

resources! {
    /// A rule of the event bus.
    Rule = "AWS::Events::Rule" {
        name: "Name" replace,
        description: "Description",
        event_pattern: "EventPattern",
        schedule_expression: "ScheduleExpression",
        state: "State",
        targets: "Targets",
    } [arn: "Arn"]

    /// A schedule.
    Schedule = "AWS::Scheduler::Schedule" {
        name: "Name" replace,
        description: "Description",
        flexible_time_window: "FlexibleTimeWindow",
        group_name: "GroupName",
        kms_key_arn: "KmsKeyArn",
        schedule_expression: "ScheduleExpression",
        schedule_expression_timezone: "ScheduleExpressionTimezone",
        state: "State",
        target: "Target",
    } [arn: "Arn"]

    /// A state machine.
    StateMachine = "AWS::StepFunctions::StateMachine" {
        state_machine_name: "StateMachineName" replace,
        state_machine_type: "StateMachineType" replace,
        definition: "Definition",
        definition_substitutions: "DefinitionSubstitutions",
        encryption_configuration: "EncryptionConfiguration",
        logging_configuration: "LoggingConfiguration",
        role_arn: "RoleArn",
        tracing_configuration: "TracingConfiguration",
        tags: "Tags",
    } [arn: "Arn", name: "Name"]

    /// A queue.
    Queue = "AWS::SQS::Queue" {
        queue_name: "QueueName" replace,
        kms_master_key_id: "KmsMasterKeyId",
        message_retention_period: "MessageRetentionPeriod",
        sqs_managed_sse_enabled: "SqsManagedSseEnabled",
    } [arn: "Arn", queue_url: "QueueUrl", queue_name_of: "QueueName"]

    /// Who may use a queue.
    QueuePolicy = "AWS::SQS::QueuePolicy" {
        policy_document: "PolicyDocument",
        queues: "Queues",
    }

    /// A topic.
    Topic = "AWS::SNS::Topic" {
        topic_name: "TopicName" replace,
        display_name: "DisplayName",
        kms_master_key_id: "KmsMasterKeyId",
        tags: "Tags",
    } [topic_arn: "TopicArn", topic_name_of: "TopicName"]

    /// Who may use a topic.
    TopicPolicy = "AWS::SNS::TopicPolicy" {
        policy_document: "PolicyDocument",
        topics: "Topics",
    }

    /// Somebody who is told.
    Subscription = "AWS::SNS::Subscription" {
        endpoint: "Endpoint" replace,
        protocol: "Protocol" replace,
        topic_arn: "TopicArn" replace,
    }
}
