//! The gate: a condition, and a failure that says why.

use kidu_pipeline::{
    ParameterKind, Part, Step,
    graph::{Comparison, Condition},
};
use serde_json::{Value, json};

use super::{
    unsupported,
    values::{Context, get, join},
};
use crate::error::Result;

/// A condition step. SageMaker compares the numbers itself; where one falls short, the execution fails with a message
/// that names the rule, the value it is compared with and the report.
pub(super) fn condition(
    context: &Context<'_>,
    step: &Step,
    conditions: &[Condition],
    guarded: Vec<Value>,
) -> Result<Value> {
    let rules: Vec<Value> = conditions.iter().map(|c| rule(context, step, c)).collect::<Result<_>>()?;
    Ok(json!({
        "Name": step.name,
        "Type": "Condition",
        "Arguments": {
            "Conditions": rules,
            "IfSteps": guarded,
            "ElseSteps": [refusal(context, step, conditions)?],
        },
    }))
}

fn rule(context: &Context<'_>, step: &Step, condition: &Condition) -> Result<Value> {
    let from = context.pipeline.step(&condition.file.step)?;
    let file = from.output(&condition.file.output).and_then(|o| o.property_file.as_deref());
    let Some(file) = file else {
        return Err(unsupported(context, step, format!("'{}' has no property file", condition.file)));
    };
    let kind = match condition.comparison {
        Comparison::GreaterThanOrEqualTo => "GreaterThanOrEqualTo",
        Comparison::GreaterThan => "GreaterThan",
        Comparison::LessThanOrEqualTo => "LessThanOrEqualTo",
        Comparison::LessThan => "LessThan",
        Comparison::Equals => "Equals",
    };
    Ok(json!({
        "Type": kind,
        "LeftValue": {"Std:JsonGet": {
            "PropertyFile": {"Get": format!("Steps.{}.PropertyFiles.{file}", from.name)},
            "Path": condition.path,
        }},
        "RightValue": right(context, step, condition)?,
    }))
}

/// A number: a literal or a number parameter.
fn right(context: &Context<'_>, step: &Step, condition: &Condition) -> Result<Value> {
    let number = |name: &str| {
        let kind = context.pipeline.parameters.iter().find(|p| p.name == name).map(|p| p.kind);
        matches!(kind, Some(ParameterKind::Float | ParameterKind::Integer))
    };
    match condition.value.parts() {
        [Part::Parameter(name)] if number(name) => Ok(get(format!("Parameters.{name}"))),
        [Part::Literal(text)] => text
            .parse::<f64>()
            .map(|n| json!(n))
            .map_err(|_| unsupported(context, step, format!("'{text}' is no number to compare with"))),
        _ => Err(unsupported(context, step, format!("'{}' is no number to compare with", condition.value))),
    }
}

fn refusal(context: &Context<'_>, step: &Step, conditions: &[Condition]) -> Result<Value> {
    let mut words = vec![json!("The model is not registered, because this does not hold: ")];
    for (i, condition) in conditions.iter().enumerate() {
        let from = context.pipeline.step(&condition.file.step)?;
        let file = from.output(&condition.file.output).map(|o| o.path.as_str()).unwrap_or_default();
        let and = if i == 0 { "" } else { "; or this: " };
        words.push(json!(format!("{and}{} {} ", condition.path, condition.comparison.sign())));
        words.push(right(context, step, condition)?);
        words.push(json!(". See "));
        words.push(context.output_uri(&condition.file));
        words.push(json!(format!("/{file}")));
    }
    let text = |v: Value| if v.is_number() { json!(v.to_string()) } else { v };
    Ok(json!({
        "Name": format!("{}-refused", step.name),
        "Type": "Fail",
        "Arguments": {"ErrorMessage": join("", words.into_iter().map(text))},
    }))
}
