//! `kidu annotate rank`.

mod gather;

use std::path::Path;

use kidu_annotate::{
    LabelStudioClient,
    active::{Candidates, Points, Strategy, descending, order, uncertainty},
    client::Project,
    form::Form,
    form_xml,
    rank::{self, Ranked},
};
use kidu_core::{Bundle, Prediction, Progress, files, rng};
use kidu_image::Limits;
use rand::RngExt;
use serde_json::{Value, json};

use self::gather::Item;
use super::{
    backbone::{Backbone, version_of},
    server::{self, Access},
};
use crate::{
    Outcome,
    cli::{RankArgs, WhichArgs},
    failure::Failure,
    ui::{self, Console},
};

/// Predictions that are sent to Label Studio together.
const TOGETHER: usize = 100;
/// How many of the first images are printed.
const LISTED: usize = 10;

/// A project whose tasks are ordered.
struct Target {
    client: LabelStudioClient,
    project: Project,
    form: Form,
}

pub(super) fn run(arguments: &RankArgs) -> Outcome {
    let console = Console::new();
    let bundle = Bundle::open(&arguments.model.bundle)?;
    let manifest = bundle.manifest();
    let backbone = Backbone::of_bundle(&bundle)?;
    let images = &arguments.images;
    let limits = Limits { max_bytes: images.max_bytes, max_pixels: images.max_pixels, max_side: images.max_side };
    let target = target(arguments, &console)?;
    let items = match &target {
        Some(target) => gather::tasks(arguments, target, &backbone, &limits, &console)?,
        None => gather::files(arguments, &backbone, &limits, &console)?,
    };
    if items.is_empty() {
        return Err(Failure::Failed(anyhow::anyhow!("there is nothing to order: no image that nobody has annotated")));
    }
    let predictions: Vec<Prediction> = items
        .iter()
        .map(|item| {
            let logits = backbone.logits(&item.features);
            Prediction::from_logits(&logits, manifest.temperature, &manifest.classes)
        })
        .collect();
    let labelled = labelled(arguments, &backbone, &limits, &console)?;
    let order = places(arguments, &items, &predictions, &backbone, &labelled, manifest.classes.as_slice());
    let form = match &target {
        Some(target) => target.form.clone(),
        None => Form::parse(&form_xml::of_classes(manifest.classes.as_slice()), None)
            .map_err(|e| Failure::Failed(e.into()))?,
    };
    let version = version_of(manifest);
    let at = |(place, i): (usize, &usize)| {
        let item = &items[*i];
        Ranked::new(place + 1, item.task, item.name.clone(), &predictions[*i])
    };
    let ranked: Vec<Ranked> = order.iter().enumerate().map(at).collect();
    let tasks: Vec<Value> = order
        .iter()
        .enumerate()
        .map(|(place, i)| rank::import_task(&items[*i].data, place + 1, &predictions[*i], &form, &version))
        .collect();
    files::write_json(&arguments.out, &tasks)?;
    let applied = match &target {
        Some(target) if arguments.apply => Some(apply(target, &order, &items, &predictions, &version, &console)?),
        _ => None,
    };
    tell(arguments, &ranked, applied.as_ref(), &version)
}

fn tell(arguments: &RankArgs, ranked: &[Ranked], applied: Option<&Value>, version: &str) -> Outcome {
    if arguments.output.json {
        ui::json(&json!({
            "strategy": arguments.strategy.name(),
            "model_version": version,
            "out": arguments.out,
            "ranked": ranked,
            "applied": applied,
        }))?;
    } else {
        for r in ranked.iter().take(LISTED) {
            let (label, p) = (&r.label, 100.0 * r.score);
            ui::line(format!(
                "{}. {}: {label} {p:.0} %, margin {:.2}, entropy {:.2}",
                r.rank, r.name, r.margin, r.entropy
            ));
        }
        if ranked.len() > LISTED {
            ui::line(format!("... and {} more", ranked.len() - LISTED));
        }
    }
    ui::place("wrote", &arguments.out);
    Ok(())
}

/// The project, if one is named.
fn target(arguments: &RankArgs, console: &Console) -> Outcome<Option<Target>> {
    let which = WhichArgs { title: arguments.title.clone(), project: arguments.project };
    if which.title.is_none() && which.project.is_none() {
        if arguments.paths.is_empty() {
            return Err(Failure::usage("name images or folders to order, or a project with --title or --project"));
        }
        return Ok(None);
    }
    let network = &arguments.network;
    let access = Access { server: &network.server, timeout: network.timeout.max(600.0) };
    let client = server::connect(&access, console)?;
    let project = server::find(&client, &which)?;
    let form = Form::parse(&project.label_config, None).map_err(|e| Failure::Failed(e.into()))?;
    Ok(Some(Target { client, project, form }))
}

/// Features of what is labelled already, `[images, dimensions]`.
fn labelled(arguments: &RankArgs, backbone: &Backbone, limits: &Limits, console: &Console) -> Outcome<Vec<f32>> {
    let Some(dir) = &arguments.labelled else { return Ok(Vec::new()) };
    let needed = matches!(arguments.strategy, Strategy::KCenter | Strategy::MarginKCenter);
    if !needed {
        console.note("--labelled is not used: this strategy does not compare images");
        return Ok(Vec::new());
    }
    let paths = kidu_data::index::images_below(Path::new(dir))?;
    Ok(backbone.features_of(&paths, limits, console)?.into_iter().flatten().flatten().collect())
}

/// The order of the items: the first by the strategy, the rest by the margin.
fn places(
    arguments: &RankArgs,
    items: &[Item],
    predictions: &[Prediction],
    backbone: &Backbone,
    labelled: &[f32],
    classes: &[String],
) -> Vec<usize> {
    let probability = |p: &Prediction, class: &String| {
        p.probabilities.iter().find(|(name, _)| name == class).map_or(0.0, |(_, p)| f64::from(*p))
    };
    let probabilities: Vec<f64> =
        predictions.iter().flat_map(|p| classes.iter().map(move |class| probability(p, class))).collect();
    let features: Vec<f32> = items.iter().flat_map(|i| i.features.iter().copied()).collect();
    let candidates = Candidates {
        probabilities: &probabilities,
        classes: classes.len(),
        features: Some(Points::new(&features, backbone.dimensions)),
        labelled: (!labelled.is_empty()).then(|| Points::new(labelled, backbone.dimensions)),
    };
    let mut chance = rng::stream(0, "annotate rank", &[]);
    let mut first =
        order(arguments.strategy, &candidates, arguments.count, arguments.batch, &mut |n| chance.random_range(0..n));
    let margins: Vec<f64> = probabilities.chunks(classes.len().max(1)).map(|row| -uncertainty::margin(row)).collect();
    if arguments.strategy == Strategy::MarginKCenter {
        // A batch is chosen as a whole: who stops within it has seen its most uncertain images.
        let by_margin = |a: &usize, b: &usize| margins[*b].total_cmp(&margins[*a]);
        first.chunks_mut(arguments.batch.max(1)).for_each(|batch| batch.sort_by(by_margin));
    }
    let mut taken = vec![false; items.len()];
    first.iter().for_each(|i| taken[*i] = true);
    let rest = descending(&margins).into_iter().filter(|i| !taken[*i]);
    first.iter().copied().chain(rest).collect()
}

/// Writes places, predictions and the tab into the project; what is there already is left alone.
fn apply(
    target: &Target,
    order: &[usize],
    items: &[Item],
    predictions: &[Prediction],
    version: &str,
    console: &Console,
) -> Outcome<Value> {
    let Target { client, project, form } = target;
    let (mut places, mut missing) = (0, Vec::new());
    console.begin("write places", "tasks", Some(order.len() as u64));
    for (place, i) in order.iter().enumerate() {
        let item = &items[*i];
        let Some(task) = item.task else { continue };
        if item.data[rank::RANK] != json!(place + 1) {
            client.set_task_data(task, &rank::with_rank(&item.data, place + 1))?;
            places += 1;
        }
        if !item.versions.iter().any(|v| v == version) {
            missing.extend(rank::task_prediction(task, &predictions[*i], form, version));
        }
        console.advance(1);
    }
    console.end();
    for some in missing.chunks(TOGETHER) {
        client.import_predictions(project.id, some)?;
    }
    let views = client.views(project.id)?;
    let tab = views.iter().find(|v| v["data"]["title"] == rank::TAB);
    if tab.is_none() {
        client.put_view(project.id, None, &rank::tab())?;
    }
    let made = tab.is_none();
    console.note(&format!(
        "project {}: {places} places written, {} predictions added, tab '{}' {}",
        project.id,
        missing.len(),
        rank::TAB,
        if made { "made" } else { "exists" }
    ));
    Ok(json!({"project": project.id, "places": places, "predictions": missing.len(), "tab_created": made}))
}
