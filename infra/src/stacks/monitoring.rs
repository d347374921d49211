//! Monitoring and cost of a project: what no single stage sees.

use kidu_core::serving;

use super::{Foundation, inference, model_build};
use crate::{
    aws::{Alarm, Budget, Rule},
    core::{App, Expr, Parameter, Stack, object},
};

/// Adds the stack.
pub(super) fn stack(app: &mut App, foundation: &Foundation) {
    let stack = app.stack("monitoring", "Kidu: budget, failed deliveries, findings in images, refused inputs");
    stack.installation();
    model_build::project(&stack);
    budget(&stack, foundation);
    rules(&stack, foundation);
    inputs(&stack, foundation);
    triggers(&stack, foundation);
}

fn budget(stack: &Stack, foundation: &Foundation) {
    let limit = stack.parameter(
        "MonthlyBudget",
        Parameter::number("US dollars a month of the whole account above which alerts are sent")
            .default(100)
            .between(1, 1_000_000)
            .in_group("Cost"),
    );
    let notice = |kind: &str, threshold: i32| {
        object! {
            "Notification" => object! {
                "NotificationType" => kind,
                "ComparisonOperator" => "GREATER_THAN",
                "Threshold" => threshold,
                "ThresholdType" => "PERCENTAGE",
            },
            "Subscribers" => [object! {
                "SubscriptionType" => "SNS",
                "Address" => &foundation.alerts_topic_arn,
            }],
        }
    };
    let budget = Budget::new()
        .budget(object! {
            "BudgetName" => Expr::sub("${SageMakerProjectName}-${AWS::Region}"),
            "BudgetType" => "COST",
            "TimeUnit" => "MONTHLY",
            "BudgetLimit" => object! { "Amount" => &limit, "Unit" => "USD" },
        })
        .notifications_with_subscribers([notice("ACTUAL", 80), notice("ACTUAL", 100), notice("FORECASTED", 100)]);
    stack.add("Budget", budget);
}

fn rules(stack: &Stack, foundation: &Foundation) {
    let alerts = || object! { "Id" => "Alerts", "Arn" => &foundation.alerts_topic_arn };
    let failed = Rule::new()
        .description("Tells of deployments that failed or were taken back")
        .event_pattern(object! {
            "source" => ["aws.codepipeline"],
            "detail-type" => ["CodePipeline Pipeline Execution State Change"],
            "detail" => object! {
                "state" => ["FAILED"],
                "pipeline" => [Expr::sub("${SageMakerProjectName}-model-deploy")],
            },
        })
        .targets([alerts()]);
    stack.add("DeliveryFailed", failed);
    let findings = Rule::new()
        .description("Tells of images with critical findings")
        .event_pattern(object! {
            "source" => ["aws.ecr"],
            "detail-type" => ["ECR Image Scan"],
            "detail" => object! {
                "scan-status" => ["COMPLETE"],
                "repository-name" => [object! { "prefix" => Expr::sub("${Foundation}/") }],
                "finding-severity-counts" => object! { "CRITICAL" => [object! { "numeric" => vec![Expr::from(">"), Expr::from(0)] }] },
            },
        })
        .targets([alerts()]);
    stack.add("ImageFindings", findings);
}

/// What production is asked that it refuses: the first sign, without any label, that the images that arrive are no longer
/// those it was made for (another camera, another format, other sizes).
fn inputs(stack: &Stack, foundation: &Foundation) {
    let threshold = stack.parameter(
        "RefusedPercent",
        Parameter::number("Percentage of a day's images sent to production that may be refused")
            .default(10)
            .between(1, 100)
            .in_group("Drift"),
    );
    let metric = |id: &str, of: serving::Metric, statistic: &str| {
        object! {
            "Id" => id,
            "ReturnData" => false,
            "MetricStat" => object! {
                "Metric" => object! {
                    "Namespace" => inference::namespace_of("production"),
                    "MetricName" => of.name,
                },
                "Period" => 86_400,
                "Stat" => statistic,
            },
        }
    };
    let alarm = Alarm::new()
        .alarm_description(
            "Production refuses many requests: compare what arrives with the training data (kidu data check)",
        )
        .comparison_operator("GreaterThanThreshold")
        .threshold(&threshold)
        .evaluation_periods(1)
        .treat_missing_data("notBreaching")
        .alarm_actions([&foundation.alerts_topic_arn])
        .metrics([
            metric("refused", serving::REJECTED_INPUTS, "Sum"),
            // Only predictions have a confidence: pages and health checks, which would hide refusals among them, have none.
            metric("predicted", serving::CONFIDENCE, "SampleCount"),
            object! {
                "Id" => "percent",
                "Label" => "percent",
                "Expression" => "100 * refused / (refused + FILL(predicted, 0))",
                "ReturnData" => true,
            },
        ]);
    stack.add("InputsRefused", alarm);
}

/// Rules whose events do not arrive. Failed invocations have the rule as their dimension and no sum of their own, and rules of other
/// stacks have names that CloudFormation makes: so all rules are asked for.
fn triggers(stack: &Stack, foundation: &Foundation) {
    let alarm = Alarm::new()
        .alarm_description("Events do not reach what they should start: see the rules' roles")
        .comparison_operator("GreaterThanThreshold")
        .threshold(0)
        .evaluation_periods(1)
        .treat_missing_data("notBreaching")
        .alarm_actions([&foundation.alerts_topic_arn])
        .ok_actions([&foundation.alerts_topic_arn])
        .metrics([object! {
            "Id" => "failed",
            "Label" => "failed",
            "Expression" => "SELECT SUM(FailedInvocations) FROM SCHEMA(\"AWS/Events\", RuleName)",
            "Period" => 300,
            "ReturnData" => true,
        }]);
    // Under the logical id that it had as a construct, so that an update changes it in its place.
    stack.scope().child("TriggersFail").add("Alarm", alarm);
}
