//! `kidu report`: one page about a run, or about several and how they compare, and the model card.

mod parts;
pub(crate) mod pictures;

use kidu_eval::{
    Scores,
    model_card::{self, CardTexts},
    report::{self, Report, RunReport},
};
use serde_json::json;

use self::parts::Parts;
use crate::{
    Outcome,
    cli::ReportArgs,
    failure::Failure,
    ui::{self, Console},
};

pub(super) fn run(arguments: &ReportArgs) -> Outcome {
    if arguments.runs.len() > 1 && !arguments.with.is_empty() {
        return Err(Failure::usage(
            "--with tells more about one run, and here are several: report them one by one first",
        ));
    }
    let console = Console::new();
    let parts = arguments.runs.iter().map(|dir| Parts::find(dir, &arguments.with)).collect::<Outcome<Vec<_>>>()?;
    let mut runs = Vec::new();
    for (parts, name) in parts.iter().zip(names(&parts)) {
        let mut run = parts.read()?;
        run.name = name;
        picture(&mut run, parts, arguments, &console)?;
        runs.push(run);
    }
    let mut written = vec![arguments.out.join(report::FILE)];
    if let [run] = runs.as_slice()
        && let Some(bundle) = parts[0].bundle()
    {
        let texts = CardTexts {
            name: arguments.name.clone(),
            license: arguments.license.clone(),
            intended_use: arguments.intended_use.clone(),
        };
        let card = arguments.out.join(model_card::FILE);
        let text = model_card::markdown(bundle.manifest(), run, &texts);
        kidu_core::files::write_atomic(&card, text.as_bytes())?;
        written.push(card);
    }
    let title = arguments.title.clone().unwrap_or_else(|| title(&runs));
    report::save(&written[0], &Report { title, runs })?;
    if arguments.json {
        let found: Vec<_> = parts.iter().map(|p| json!({"run": p.dir(), "found": p.names()})).collect();
        ui::json(&json!({"runs": found, "written": written}))?;
    } else {
        parts.iter().for_each(told);
    }
    written.iter().for_each(|path| ui::place("wrote", path));
    Ok(())
}

/// What was found of a run, and what adds an evaluation where there is none.
fn told(parts: &Parts) {
    let (dir, names) = (parts.dir().display(), parts.names());
    ui::line(format!("{dir}: {}", names.join(", ")));
    if parts.bundle().is_some() && !names.contains(&kidu_eval::Evaluation::FILE) {
        ui::note(format!(
            "{dir} has no evaluation; for confusions, classes and tests of differences: \
             kidu evaluate --bundle {dir}/bundle --out {dir}/evaluate data.root=..."
        ));
    }
}

/// Pictures of the images worth looking at, where the images are still at hand.
fn picture(run: &mut RunReport, parts: &Parts, arguments: &ReportArgs, console: &Console) -> Outcome {
    let (Some(predictions), Some(evaluation)) = (&run.predictions, &run.evaluation) else { return Ok(()) };
    let scores = Scores::new(predictions, evaluation.details.calibration.temperature)?;
    let images: Vec<pictures::Wanted> = pictures::worth_a_look(&scores, arguments.pictures)
        .into_iter()
        .filter_map(|index| {
            let path = parts.image(&predictions.paths()[index])?;
            Some(pictures::Wanted { index, path, class: scores.image(index).predicted })
        })
        .collect();
    let pictures = pictures::draw(&images, parts.bundle(), arguments.heat_maps, console)?;
    (run.pictures, run.shown) = (pictures, arguments.pictures);
    Ok(())
}

/// The folders' own names, with those above them as far as it takes to tell them apart.
fn names(parts: &[Parts]) -> Vec<String> {
    let name = |parts: &Parts, depth: usize| {
        let components: Vec<_> = parts.dir().components().map(|c| c.as_os_str().to_string_lossy()).collect();
        components[components.len().saturating_sub(depth)..].join("/")
    };
    (1..16)
        .map(|depth| parts.iter().map(|p| name(p, depth)).collect::<Vec<_>>())
        .find(|names| names.iter().collect::<std::collections::BTreeSet<_>>().len() == names.len())
        .unwrap_or_else(|| parts.iter().enumerate().map(|(i, p)| format!("{}: {}", i + 1, name(p, 1))).collect())
}

fn title(runs: &[RunReport]) -> String {
    if runs.len() > 1 {
        return format!("{} runs compared", runs.len());
    }
    let fact = |name: &str| runs[0].facts.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    match (fact("model"), fact("trained on dataset")) {
        (Some(model), Some(data)) => format!("{model} on dataset {data}"),
        (Some(model), None) => model.to_string(),
        _ => runs[0].name.clone(),
    }
}
