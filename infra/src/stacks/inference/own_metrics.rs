//! What the function says of itself in its log, as metrics of the stage; and the alarm on its confidence.

use kidu_core::serving::{self, Metric};

use super::parameters::Parameters;
use crate::{
    aws::{Alarm, LogGroup, MetricFilter},
    core::{Expr, Handle, Stack, object},
};

/// The function's embedded metrics are told apart by model; here they are by stage.
pub(super) const NAMESPACE: &str = "Kidu/${SageMakerProjectName}-${StageName}";

/// [`NAMESPACE`], filled in.
pub(super) fn own_namespace() -> Expr {
    Expr::sub(NAMESPACE)
}

/// The namespace of one stage of the project, for stacks that know no stage of their own.
pub(in crate::stacks) fn namespace_of(stage: &str) -> Expr {
    Expr::sub(NAMESPACE.replace("${StageName}", stage))
}

/// The metrics of each request that alarms and the dashboard are about.
const METRICS: [Metric; 6] = [
    serving::SERVER_ERRORS,
    serving::CLIENT_ERRORS,
    serving::LATENCY,
    serving::COLD_START,
    serving::CONFIDENCE,
    serving::REJECTED_INPUTS,
];

pub(super) fn add(stack: &Stack, p: &Parameters, logs: &Handle<LogGroup>) {
    for Metric { name, unit } in METRICS {
        let filter = MetricFilter::new()
            .log_group_name(logs)
            .filter_pattern(format!("{{ $.{name} >= 0 }}"))
            .metric_transformations([object! {
                "MetricName" => name,
                "MetricNamespace" => own_namespace(),
                "MetricValue" => format!("$.{name}"),
                "Unit" => unit,
            }]);
        stack.scope().child("OwnMetrics").add(name, filter);
    }
    drift(stack, p);
}

/// Unlike the alarms of a release it takes nothing back: the images have changed, not the model.
fn drift(stack: &Stack, p: &Parameters) {
    let alarm = Alarm::new()
        .alarm_description(
            "The model has become unsure for six hours: compare the images that arrive with the training data, and annotate some of them",
        )
        .namespace(own_namespace())
        .metric_name(serving::CONFIDENCE.name)
        .comparison_operator("LessThanThreshold")
        .threshold(&p.confidence)
        .statistic("Average")
        .period(3600)
        .evaluation_periods(6)
        .datapoints_to_alarm(6)
        // Nobody calls: nothing is known.
        .treat_missing_data("notBreaching")
        .alarm_actions(p.alarm_actions())
        .ok_actions(p.alarm_actions());
    stack.scope().child("Alarms").child("Drift").add("Alarm", alarm);
}
