//! `kidu gate`: may a model be registered?

use kidu_core::files;
use kidu_eval::{Candidate, Evaluation, GateDecision, decide};
use kidu_pipeline::{ModelVersion, Registry};

use crate::{
    Outcome,
    cli::GateArgs,
    failure::Failure,
    settings::{self, need},
    ui,
};

pub(super) fn run(arguments: &GateArgs) -> Outcome {
    let configuration = settings::load(&arguments.config, "pipeline")?;
    let settings = &configuration.settings;
    let rules = need(&settings.gate, "gate")?.rules(settings.seed);
    let place = need(&settings.registry, "registry")?;
    let registry = Registry::open(arguments.registry.as_deref().unwrap_or(&place.dir), &place.group)?;
    let incumbent = match &arguments.bundle {
        Some(bundle) => registry.incumbent_for(bundle)?,
        None => registry.incumbent()?,
    };
    let evaluation = Evaluation::load(&arguments.evaluation)?;
    let incumbent = incumbent.as_ref().map(candidate_of).transpose()?;
    let decision = decide(&Candidate::new("candidate", &evaluation), incumbent.as_ref(), &rules);
    if let Some(out) = &arguments.out {
        files::write_json(&out.join("gate.json"), &decision)?;
    }
    if arguments.output.json {
        ui::json(&decision)?;
    } else {
        print(&decision);
    }
    // The reasons have been told.
    let refusals: Vec<&str> = decision.refusals().map(|rule| rule.name.as_str()).collect();
    if refusals.is_empty() { Ok(()) } else { Err(Failure::Refused(refusals.join(", "))) }
}

/// What the gate knows of a registered version.
fn candidate_of(version: &ModelVersion) -> Outcome<Candidate> {
    let name = format!("{}/{}", version.group, version.version);
    Ok(Candidate::new(name, &Evaluation::load(&version.evaluation)?))
}

fn print(decision: &GateDecision) {
    for rule in &decision.rules {
        ui::line(format!("{} {}: {}", if rule.passed { "passed " } else { "refused" }, rule.name, rule.detail));
    }
}
