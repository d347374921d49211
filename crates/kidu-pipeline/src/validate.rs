//! Checks of a pipeline, all problems at once, and the order in which its steps run.

use std::collections::{BTreeMap, BTreeSet};

use kidu_core::{
    dataset::is_inside,
    suggest::{did_you_mean, nearest},
};

use crate::{
    arg::{Arg, Part, PipelineVariable, is_name},
    error::{Error, Result},
    graph::{InputSource, OutputRef, Pipeline, Step, StepKind},
};

/// Something wrong with a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A name cannot be used.
    #[error("{what} '{name}' is not a name; use at most 64 letters, digits, '-' and '_', a letter first")]
    BadName {
        /// What carries the name.
        what: String,
        /// The name.
        name: String,
    },
    /// Two things of one kind have the same name.
    #[error("{what} '{name}' stands twice; rename one")]
    Duplicate {
        /// What is doubled, with its place.
        what: String,
        /// The name.
        name: String,
    },
    /// Something is named that is not there.
    #[error("step '{step}' names the {what} '{name}', which does not exist{}", did_you_mean(nearest.as_deref()))]
    Unknown {
        /// The step that names it.
        step: String,
        /// What is named.
        what: &'static str,
        /// Its name.
        name: String,
        /// The most similar one there is.
        nearest: Option<String>,
    },
    /// An argument uses something that is not among the inputs.
    #[error("step '{step}' uses '{name}' without declaring it as an input; add it to the step's inputs")]
    Undeclared {
        /// The step.
        step: String,
        /// The output or external input.
        name: String,
    },
    /// An output that nobody reads.
    #[error("output '{output}' is read by no step; use it, mark it exported or remove it")]
    Dangling {
        /// The output.
        output: OutputRef,
    },
    /// A parameter that nothing uses.
    #[error("parameter '{name}' is used by no step; use it or remove it")]
    Unused {
        /// The parameter.
        name: String,
    },
    /// Steps that wait for each other.
    #[error("steps wait for each other: {}; break the circle", path.join(" -> "))]
    Cycle {
        /// The circle; the first step stands again at the end.
        path: Vec<String>,
    },
    /// Anything else.
    #[error("{place}: {reason}")]
    Other {
        /// Where.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
}

impl Pipeline {
    /// Checks the pipeline and gives its steps in an order in which each comes after what it depends on; among steps
    /// that are free, the order they are written in.
    ///
    /// # Errors
    /// [`Error::Graph`] with every problem found.
    pub fn validate(&self) -> Result<Vec<&Step>> {
        let mut problems = names(self);
        self.steps.iter().for_each(|step| references(self, step, &mut problems));
        unused(self, &mut problems);
        match (order(self), problems.is_empty()) {
            (Ok(steps), true) => return Ok(steps),
            (Ok(_), false) => {}
            (Err(path), _) => problems.push(Problem::Cycle { path }),
        }
        Err(Error::Graph { pipeline: self.name.clone(), problems })
    }
}

fn names(pipeline: &Pipeline) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |what: String, names: Vec<&str>| {
        let mut seen = BTreeSet::new();
        for name in names {
            if !is_name(name) {
                problems.push(Problem::BadName { what: what.clone(), name: name.into() });
            }
            if !seen.insert(name) {
                problems.push(Problem::Duplicate { what: what.clone(), name: name.into() });
            }
        }
    };
    check("pipeline".into(), vec![&pipeline.name]);
    check("parameter".into(), pipeline.parameters.iter().map(|p| p.name.as_str()).collect());
    check("step".into(), pipeline.steps.iter().map(|s| s.name.as_str()).collect());
    for step in &pipeline.steps {
        check(format!("input of step '{}'", step.name), step.inputs.iter().map(|i| i.name.as_str()).collect());
        check(format!("output of step '{}'", step.name), step.outputs.iter().map(|o| o.name.as_str()).collect());
        check(
            format!("environment variable of step '{}'", step.name),
            step.environment.iter().map(|(n, _)| n.as_str()).collect(),
        );
    }
    let property_files = pipeline.steps.iter().flat_map(|s| &s.outputs).filter_map(|o| o.property_file.as_deref());
    check("property file".into(), property_files.collect());
    for parameter in &pipeline.parameters {
        let place = format!("parameter '{}'", parameter.name);
        if let Some(error) = parameter.default.as_ref().and_then(|d| parameter.accept(d).err()) {
            problems.push(Problem::Other { place, reason: format!("its default is not valid: {error}") });
        }
    }
    problems
}

fn references(pipeline: &Pipeline, step: &Step, problems: &mut Vec<Problem>) {
    let place = || format!("step '{}'", step.name);
    match (step.kind.has_verb(), step.verb.is_empty()) {
        (true, true) => {
            problems.push(Problem::Other { place: place(), reason: "has no verb; say what it runs".into() });
        }
        (false, false) => {
            let reason = format!("is of the kind {}, which runs no verb; remove it", step.kind.name());
            problems.push(Problem::Other { place: place(), reason });
        }
        _ => {}
    }
    for output in step.outputs.iter().filter(|o| !is_inside(&o.path)) {
        let reason = format!("output path '{}' leaves the step's folder; give a path inside it", output.path);
        problems.push(Problem::Other { place: place(), reason });
    }
    step.after.iter().for_each(|name| known_step(pipeline, step, name, problems));
    step.input_outputs().for_each(|output| known_output(pipeline, step, output, problems));
    let declared: Vec<&OutputRef> = step.input_outputs().collect();
    for output in step.named_outputs() {
        if !declared.contains(&output) {
            problems.push(Problem::Undeclared { step: step.name.clone(), name: output.to_string() });
        }
    }
    step.args().into_iter().for_each(|arg| arg_parts(pipeline, step, arg, problems));
    locations(step, problems);
    kind(pipeline, step, problems);
}

fn unknown(step: &Step, what: &'static str, name: &str, known: Vec<&str>) -> Problem {
    let nearest = nearest(name, known).map(Into::into);
    Problem::Unknown { step: step.name.clone(), what, name: name.into(), nearest }
}

fn known_step(pipeline: &Pipeline, step: &Step, name: &str, problems: &mut Vec<Problem>) {
    let known: Vec<&str> = pipeline.steps.iter().map(|s| s.name.as_str()).collect();
    if !known.contains(&name) {
        problems.push(unknown(step, "step", name, known));
    }
}

fn known_output(pipeline: &Pipeline, step: &Step, output: &OutputRef, problems: &mut Vec<Problem>) {
    let Some(source) = pipeline.steps.iter().find(|s| s.name == output.step) else {
        return known_step(pipeline, step, &output.step, problems);
    };
    if source.output(&output.output).is_none() {
        let known: Vec<String> = source.outputs.iter().map(|o| format!("{}.{}", source.name, o.name)).collect();
        problems.push(unknown(step, "output", &output.to_string(), known.iter().map(String::as_str).collect()));
    }
}

fn arg_parts(pipeline: &Pipeline, step: &Step, arg: &Arg, problems: &mut Vec<Problem>) {
    for part in arg.parts() {
        match part {
            Part::Parameter(name) => {
                let known: Vec<&str> = pipeline.parameters.iter().map(|p| p.name.as_str()).collect();
                if !known.contains(&name.as_str()) {
                    problems.push(unknown(step, "parameter", name, known));
                }
            }
            Part::External(name) => match step.inputs.iter().find(|i| i.name == *name).map(|i| &i.source) {
                Some(InputSource::External { location: Some(_) }) => {}
                Some(_) => problems.push(Problem::Other {
                    place: format!("step '{}'", step.name),
                    reason: format!("uses the place of the input '{name}', which has none; give it a location"),
                }),
                None => problems.push(Problem::Undeclared { step: step.name.clone(), name: name.clone() }),
            },
            Part::Variable(PipelineVariable::ConfigArguments) if arg.parts().len() > 1 => {
                let reason = format!("'{arg}': {{@config}} must stand alone, as it becomes several arguments");
                problems.push(Problem::Other { place: format!("step '{}'", step.name), reason });
            }
            Part::Literal(_) | Part::Output(_) | Part::Variable(_) => {}
        }
    }
}

fn locations(step: &Step, problems: &mut Vec<Problem>) {
    for input in &step.inputs {
        if let InputSource::External { location: Some(arg) } = &input.source
            && arg.parts().iter().any(|p| !matches!(p, Part::Literal(_) | Part::Parameter(_)))
        {
            let reason = format!("the location '{arg}' of '{}' may hold only text and parameters", input.name);
            problems.push(Problem::Other { place: format!("step '{}'", step.name), reason });
        }
    }
}

fn kind(pipeline: &Pipeline, step: &Step, problems: &mut Vec<Problem>) {
    match &step.kind {
        StepKind::Training { model } if step.output(model).is_none() => {
            problems.push(unknown(step, "output", model, step.outputs.iter().map(|o| o.name.as_str()).collect()));
        }
        StepKind::Condition { conditions } => {
            for condition in conditions {
                let output = pipeline.step(&condition.file.step).ok().and_then(|s| s.output(&condition.file.output));
                if output.is_some_and(|o| o.property_file.is_none()) {
                    let reason = format!("reads '{}', which has no property file name; give it one", condition.file);
                    problems.push(Problem::Other { place: format!("step '{}'", step.name), reason });
                }
            }
        }
        _ => {}
    }
}

fn unused(pipeline: &Pipeline, problems: &mut Vec<Problem>) {
    let used: BTreeSet<&str> = pipeline.steps.iter().flat_map(Step::parameters).collect();
    let idle = pipeline.parameters.iter().filter(|p| !used.contains(p.name.as_str()));
    problems.extend(idle.map(|p| Problem::Unused { name: p.name.clone() }));
    let read: BTreeSet<&OutputRef> = pipeline.steps.iter().flat_map(Step::input_outputs).collect();
    for step in &pipeline.steps {
        for output in step.outputs.iter().filter(|o| !o.exported) {
            let output = OutputRef::new(&step.name, &output.name);
            if !read.contains(&output) {
                problems.push(Problem::Dangling { output });
            }
        }
    }
}

/// Kahn's algorithm, always taking the first free step in written order. The error is a circle.
fn order(pipeline: &Pipeline) -> Result<Vec<&Step>, Vec<String>> {
    let known: BTreeSet<&str> = pipeline.steps.iter().map(|s| s.name.as_str()).collect();
    let mut left: Vec<&Step> = pipeline.steps.iter().collect();
    let mut done = BTreeSet::new();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        // An unknown dependency is reported elsewhere and must not look like a circle here.
        let free = |s: &&Step| s.dependencies().into_iter().all(|d| done.contains(d) || !known.contains(d));
        let Some(at) = left.iter().position(free) else {
            return Err(circle(&left));
        };
        let step = left.remove(at);
        done.insert(step.name.as_str());
        ordered.push(step);
    }
    Ok(ordered)
}

/// Follows dependencies among steps none of which is free until one comes again.
fn circle(left: &[&Step]) -> Vec<String> {
    let waiting: BTreeMap<&str, &Step> = left.iter().map(|s| (s.name.as_str(), *s)).collect();
    let mut path: Vec<&str> = Vec::new();
    let mut next = left.first().map(|s| s.name.as_str());
    while let Some(name) = next {
        if let Some(at) = path.iter().position(|p| *p == name) {
            return path[at..].iter().chain([&name]).map(|n| (*n).to_string()).collect();
        }
        path.push(name);
        next = waiting[name].dependencies().into_iter().find(|d| waiting.contains_key(d));
    }
    path.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        build_pipeline,
        graph::{Input, Output},
    };

    fn problems(change: impl FnOnce(&mut Pipeline)) -> String {
        let mut pipeline = build_pipeline();
        change(&mut pipeline);
        pipeline.validate().unwrap_err().to_string()
    }

    #[test]
    fn finds_what_is_wrong_and_names_the_nearest() {
        let text = problems(|p| {
            p.steps[1].verb.push("x={Modle}".parse().unwrap());
            p.steps[2].inputs.push(Input::output("more", "trian", "bundle"));
            p.steps[3].inputs.push(Input::output("more", "evaluate", "evaluatoin"));
            p.steps[4].after.push("gaet".into());
        });
        for near in ["'Model'", "'train'", "'evaluate.evaluation'", "'gate'"] {
            assert!(text.contains(&format!("did you mean {near}?")), "{near}: {text}");
        }
    }

    #[test]
    fn finds_duplicates_dangling_and_unused() {
        let text = problems(|p| {
            p.steps[0].outputs.push(Output::new("stats", "stats.json"));
            p.parameters.push(crate::Parameter::new("Idle", crate::ParameterKind::String, ""));
            let copy = p.parameters[0].clone();
            p.parameters.push(copy);
            p.steps[1].outputs.push(Output::new("evil", "../x").exported());
        });
        for says in
            ["'preprocess.stats' is read by no step", "'Idle' is used by no step", "stands twice", "'../x' leaves"]
        {
            assert!(text.contains(says), "{says}: {text}");
        }
    }

    #[test]
    fn an_undeclared_input_is_refused() {
        let text = problems(|p| p.steps[1].inputs.clear());
        assert!(text.contains("'train' uses 'preprocess.dataset' without declaring it"), "{text}");
    }

    #[test]
    fn a_circle_is_shown() {
        let text = problems(|p| p.steps[1].after.push("gate".into()));
        assert!(text.contains("wait for each other: train -> gate -> evaluate -> train"), "{text}");
    }

    #[test]
    fn the_order_is_stable_and_respects_dependencies() {
        let mut pipeline = build_pipeline();
        let names = |p: &Pipeline| p.validate().unwrap().iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        let before = names(&pipeline);
        assert_eq!(before, ["preprocess", "train", "evaluate", "gate", "register"]);
        pipeline.steps.reverse();
        assert_eq!(names(&pipeline), before);
    }

    #[test]
    fn a_config_splice_must_stand_alone() {
        let text = problems(|p| p.steps[1].verb.push("x={@config}".parse().unwrap()));
        assert!(text.contains("must stand alone"), "{text}");
    }
}
