//! `kidu data synth`.

use kidu_data::synth::{SynthOptions, synthesize};

use crate::{
    Outcome,
    cli::SynthArgs,
    ui::{self, Console},
};

pub(super) fn run(arguments: &SynthArgs) -> Outcome {
    let options = SynthOptions {
        train_per_class: arguments.train_per_class,
        test_per_class: arguments.test_per_class,
        size: arguments.size,
        seed: arguments.seed,
    };
    let summary = synthesize(&options, &arguments.out, &Console::new())?;
    if arguments.output.json {
        return ui::json(&summary);
    }
    ui::line(format!("{} scenes, {} drawn now", summary.images, summary.drawn));
    ui::note(format!("wrote {}", summary.dir.display()));
    Ok(())
}
