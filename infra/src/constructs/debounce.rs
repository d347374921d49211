//! Many events, one start.

use super::{Bounds, Logs, ServiceRole};
use crate::{
    aws::{Schedule, StateMachine},
    constructs::{DELIVER_LOGS, EventTrigger, pipeline_arn},
    core::{Construct, Expr, Handle, ParameterRef, Scope, Statement, object},
};

/// Starts a delivery pipeline when events have been quiet for a while: each event moves one schedule's time forward,
/// and the schedule starts the pipeline. A stream that never pauses cannot put the start off beyond a longest wait. A
/// state machine of two calls does it; there is no code to keep.
pub struct Debounced {
    /// What it does.
    pub description: &'static str,
    /// The name of the state machine and the schedule.
    pub name: Expr,
    /// Which events.
    pub pattern: Expr,
    /// How long they must be quiet.
    pub quiet_minutes: ParameterRef,
    /// The longest after the first.
    pub longest_minutes: ParameterRef,
    /// The delivery pipeline.
    pub pipeline: Expr,
    /// The variable it is started with.
    pub variable: (&'static str, Expr),
    /// What holds its roles.
    pub bounds: Bounds,
    /// The key.
    pub key_arn: Expr,
}

impl Construct for Debounced {
    type Made = Handle<StateMachine>;

    fn build(self, scope: &Scope) -> Handle<StateMachine> {
        let start = ServiceRole {
            service: "scheduler.amazonaws.com",
            description: "Starts the build",
            name: None,
            bounds: self.bounds.clone(),
            guarded: true,
            statements: vec![
                Statement::allow("Start", ["codepipeline:StartPipelineExecution"]).on([pipeline_arn(&self.pipeline)]),
            ],
        };
        let start = scope.build("Start", start);
        let target = object! {
            "Arn" => Expr::sub("arn:${AWS::Partition}:scheduler:::aws-sdk:codepipeline:startPipelineExecution"),
            "RoleArn" => start.arn(),
            "Input" => Expr::sub_with(
                format!(r#"{{"Name": "${{pipeline}}", "Variables": [{{"Name": "{}", "Value": "${{value}}"}}]}}"#, self.variable.0),
                [("pipeline", inlined(&self.pipeline)), ("value", inlined(&self.variable.1))],
            ),
            "RetryPolicy" => object! { "MaximumRetryAttempts" => 5, "MaximumEventAgeInSeconds" => 3600 },
        };
        // It is off until the first event moves it, and lies far ahead: Scheduler may refuse a time that has passed.
        let schedule = Schedule::new()
            .name(self.name.clone())
            .description("quiet")
            .flexible_time_window(object! { "Mode" => "OFF" })
            .schedule_expression("at(2099-01-01T00:00:00)")
            .state("DISABLED")
            .target(target);
        let schedule = scope.add("Schedule", schedule).accept_finding(
            "CKV_AWS_297",
            "the schedule holds the name of a pipeline and of a bucket, nothing that needs a key of its own",
        );
        let machine = self.state_machine(scope, &schedule, &start);
        let trigger = EventTrigger {
            description: self.description,
            pattern: self.pattern,
            target: object! { "Id" => "Debounce", "Arn" => machine.arn() },
            action: ("states:StartExecution", machine.arn()),
            bounds: self.bounds,
            only_if: None,
        };
        scope.build("Trigger", trigger);
        machine
    }
}

/// A text with holes of the template, to stand inside another such text.
fn inlined(expr: &Expr) -> Expr {
    match expr {
        Expr::Sub(text, values) if values.is_empty() => Expr::Text(text.clone()),
        other => other.clone(),
    }
}

impl Debounced {
    fn state_machine(
        &self,
        scope: &Scope,
        schedule: &Handle<Schedule>,
        start: &Handle<crate::aws::Role>,
    ) -> Handle<StateMachine> {
        let logs = scope.build(
            "Logs",
            Logs {
                name: Expr::join("", [Expr::from("/aws/vendedlogs/states/"), self.name.clone()]),
                key_arn: self.key_arn.clone(),
                days: 90.into(),
            },
        );
        let role = ServiceRole {
            service: "states.amazonaws.com",
            description: "Moves the schedule of the build",
            name: None,
            bounds: self.bounds.clone(),
            guarded: true,
            statements: vec![
                Statement::allow("Schedule", ["scheduler:GetSchedule", "scheduler:UpdateSchedule"])
                    .on([schedule.arn()]),
                super::pass_role("Start", vec![start.arn()], "scheduler.amazonaws.com"),
                // Deliveries of logs know no resources.
                Statement::allow("LogDeliveries", DELIVER_LOGS).on_everything(),
                Statement::allow("Traces", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]).on_everything(),
            ],
        };
        let role = scope.build("Move", role);
        let machine = StateMachine::new()
            .state_machine_name(self.name.clone())
            .state_machine_type("EXPRESS")
            .role_arn(role.arn())
            .definition(definition())
            .definition_substitutions(object! {
                "ScheduleName" => self.name.clone(),
                "QuietMinutes" => &self.quiet_minutes,
                "LongestMinutes" => &self.longest_minutes,
            })
            .logging_configuration(object! {
                "Level" => "ERROR",
                "IncludeExecutionData" => false,
                "Destinations" => [object! { "CloudWatchLogsLogGroup" => object! { "LogGroupArn" => logs.arn() } }],
            })
            .tracing_configuration(object! { "Enabled" => true });
        scope.add("Machine", machine)
    }
}

/// Reads the schedule, and writes it back with a later time. The time of the first event since the last start stands in
/// the schedule's description.
fn definition() -> Expr {
    let pending = "$states.result.State = 'ENABLED' and $contains($states.result.Description, 'since ') and \
                   $toMillis($substringBefore($substringAfter($states.result.ScheduleExpression, 'at('), ')') & 'Z') > $millis()";
    let first =
        format!("{{% {pending} ? $number($substringAfter($states.result.Description, 'since ')) : $millis() %}}");
    // Never in the past, where a schedule would not fire.
    let at = "{% 'at(' & $fromMillis($max([$millis() + 60000, $min([$millis() + $number('${QuietMinutes}') * 60000, \
              $first + $number('${LongestMinutes}') * 60000])]), '[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01]') & ')' %}";
    object! {
        "QueryLanguage" => "JSONata",
        "StartAt" => "Read",
        "States" => object! {
            "Read" => object! {
                "Type" => "Task",
                "Resource" => "arn:aws:states:::aws-sdk:scheduler:getSchedule",
                "Arguments" => object! { "Name" => "${ScheduleName}" },
                "Assign" => object! { "first" => first, "target" => "{% $states.result.Target %}" },
                "Retry" => retry(),
                "Next" => "Move",
            },
            "Move" => object! {
                "Type" => "Task",
                "Resource" => "arn:aws:states:::aws-sdk:scheduler:updateSchedule",
                "Arguments" => object! {
                    "Name" => "${ScheduleName}",
                    "Description" => "{% 'since ' & $string($first) %}",
                    "FlexibleTimeWindow" => object! { "Mode" => "OFF" },
                    "ScheduleExpression" => at,
                    "State" => "ENABLED",
                    "Target" => "{% $target %}",
                },
                "Retry" => retry(),
                "End" => true,
            },
        },
    }
}

fn retry() -> Expr {
    Expr::list([object! {
        "ErrorEquals" => ["States.ALL"],
        "IntervalSeconds" => 2,
        "BackoffRate" => 2,
        "MaxAttempts" => 4,
        "JitterStrategy" => "FULL",
    }])
}
