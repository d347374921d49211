//! `kidu config show|explain`.

use kidu_config::Explanation;
use serde_json::json;

use crate::{
    Outcome,
    cli::{ConfigCommand, ConfigExplainArgs, EntryArgs},
    settings, ui,
};

pub(super) fn run(command: &ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Show(arguments) => show(arguments),
        ConfigCommand::Explain(arguments) => explain(arguments),
    }
}

fn show(arguments: &EntryArgs) -> Outcome {
    let configuration = settings::load(&arguments.config, &arguments.entry)?;
    if arguments.output.json {
        return ui::json(&configuration.composed.to_json());
    }
    ui::line(configuration.composed.to_yaml().trim_end());
    Ok(())
}

fn explain(arguments: &ConfigExplainArgs) -> Outcome {
    let composed = settings::compose_only(&arguments.from.config, &arguments.from.entry)?;
    let explanation: Explanation = composed.explain(&arguments.key)?;
    if arguments.from.output.json {
        let lines: Vec<String> = explanation.to_string().lines().map(str::to_string).collect();
        let value = composed.get(&arguments.key).map(kidu_config::Node::to_json);
        return ui::json(&json!({"key": arguments.key, "value": value, "explanation": lines}));
    }
    ui::line(explanation.to_string().trim_end());
    Ok(())
}
