//! One page for the stage.

use kidu_core::serving;
use serde_json::{Value, json};

use super::{name, own_metrics::NAMESPACE};
use crate::{
    aws::{Dashboard, HttpApi},
    core::{Expr, Handle, Stack},
};

const FUNCTION: &str = "${SageMakerProjectName}-${StageName}";

pub(super) fn add(stack: &Stack, api: &Handle<HttpApi>) {
    let body = json!({"start": "-P1D", "widgets": widgets()}).to_string();
    let dashboard =
        Dashboard::new().dashboard_name(name()).dashboard_body(Expr::sub_with(body, [("api", api.reference())]));
    stack.add("Dashboard", dashboard);
}

fn widgets() -> Vec<Value> {
    let lambda = |metric: &str, rest: Value| json!(["AWS/Lambda", metric, "FunctionName", FUNCTION, rest]);
    let api =
        |metric: &str, rest: Value| json!(["AWS/ApiGateway", metric, "ApiId", "${api}", "Stage", "$default", rest]);
    let own = |metric: &str, rest: Value| json!([NAMESPACE, metric, rest]);
    let stats = |make: &dyn Fn(&str, Value) -> Value, metric: &str, of: &[&str]| -> Vec<Value> {
        of.iter().map(|s| make(metric, json!({"stat": s, "label": format!("{metric} {s}")}))).collect()
    };
    let charts = [
        (
            "Requests and failures",
            [stats(&api, "Count", &["Sum"]), stats(&api, "4xx", &["Sum"]), stats(&api, "5xx", &["Sum"])].concat(),
        ),
        ("Latency at the API (ms)", stats(&api, "Latency", &["p50", "p95", "p99"])),
        ("Duration of the function (ms)", stats(&lambda, "Duration", &["p50", "p95", "p99"])),
        ("Errors and throttles", [stats(&lambda, "Errors", &["Sum"]), stats(&lambda, "Throttles", &["Sum"])].concat()),
        ("At once", stats(&lambda, "ConcurrentExecutions", &["Maximum"])),
        (
            "Cold starts (ms) and refused requests",
            [
                stats(&own, serving::COLD_START.name, &["Maximum"]),
                stats(&own, serving::CLIENT_ERRORS.name, &["Sum"]),
                stats(&own, serving::REJECTED_INPUTS.name, &["Sum"]),
            ]
            .concat(),
        ),
        // Falls when what arrives is no longer what the model was made for.
        ("Confidence of predictions", stats(&own, serving::CONFIDENCE.name, &["Average", "p10"])),
    ];
    charts
        .into_iter()
        .enumerate()
        .map(|(i, (title, metrics))| {
            json!({
                "type": "metric", "x": (i % 2) * 12, "y": (i / 2) * 6, "width": 12, "height": 6,
                "properties": {"title": title, "region": "${AWS::Region}", "metrics": metrics, "period": 60, "view": "timeSeries"},
            })
        })
        .collect()
}
