//! Logs, alarms, dashboards and budgets.

use crate::core::resources;

resources! {
    /// A group of logs.
    LogGroup = "AWS::Logs::LogGroup" {
        log_group_name: "LogGroupName" replace,
        kms_key_id: "KmsKeyId",
        retention_in_days: "RetentionInDays",
        tags: "Tags",
    } [arn: "Arn"]

    /// A metric read from log lines.
    MetricFilter = "AWS::Logs::MetricFilter" {
        filter_name: "FilterName" replace,
        filter_pattern: "FilterPattern",
        log_group_name: "LogGroupName" replace,
        metric_transformations: "MetricTransformations",
    }

    /// An alarm.
    Alarm = "AWS::CloudWatch::Alarm" {
        alarm_name: "AlarmName" replace,
        alarm_description: "AlarmDescription",
        alarm_actions: "AlarmActions",
        ok_actions: "OKActions",
        comparison_operator: "ComparisonOperator",
        datapoints_to_alarm: "DatapointsToAlarm",
        dimensions: "Dimensions",
        evaluation_periods: "EvaluationPeriods",
        extended_statistic: "ExtendedStatistic",
        metric_name: "MetricName",
        metrics: "Metrics",
        namespace: "Namespace",
        period: "Period",
        statistic: "Statistic",
        threshold: "Threshold",
        treat_missing_data: "TreatMissingData",
        unit: "Unit",
    } [arn: "Arn"]

    /// A page of charts.
    Dashboard = "AWS::CloudWatch::Dashboard" {
        dashboard_name: "DashboardName" replace,
        dashboard_body: "DashboardBody",
    }

    /// A budget.
    Budget = "AWS::Budgets::Budget" {
        budget: "Budget",
        notifications_with_subscribers: "NotificationsWithSubscribers" replace,
    }
}
