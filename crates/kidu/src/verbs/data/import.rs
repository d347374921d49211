//! `kidu data import`.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use kidu_annotations::{ImportOptions, ImportReport, import, read::ReadOptions};
use kidu_core::Progress;
use kidu_fetch::{FetchOptions, LabelStudio, Policy, Retry, StoreBuckets};
use kidu_image::Limits;
use kidu_pipeline::text;

use crate::{
    Outcome,
    cli::{ImportArgs, NetworkArgs},
    failure::Failure,
    stores,
    ui::{self, Console},
};

/// How many lines of a kind are printed; all are in the JSON.
const LISTED: usize = 10;

pub(super) fn run(arguments: &ImportArgs) -> Outcome {
    let options = options(arguments)?;
    let console = Console::new();
    let report = import(&arguments.sources, &arguments.dataset.into, &options, &console)?;
    if arguments.output.json {
        ui::json(&report)?;
    } else {
        ui::line(summary(&report).trim_end());
    }
    details(&report, &console);
    if !report.dry_run {
        ui::place("imported into", &arguments.dataset.into);
    }
    Ok(())
}

/// The import as another verb needs it: everything else is as `kidu data import` has it without options.
pub(super) fn bring_in(
    sources: &[String],
    images: &[String],
    new_classes: Option<&str>,
    into: &Path,
    console: &Console,
) -> Outcome<ImportReport> {
    #[derive(Parser)]
    struct Bare {
        #[command(flatten)]
        import: ImportArgs,
    }
    let mut words: Vec<OsString> = vec!["kidu data import".into(), "--into".into(), into.into()];
    for folder in images {
        words.extend(["--images".into(), folder.into()]);
    }
    if let Some(choice) = new_classes {
        words.extend(["--new-classes".into(), choice.into()]);
    }
    words.push("--".into());
    words.extend(sources.iter().map(OsString::from));
    let arguments = Bare::try_parse_from(words).map_err(|e| Failure::usage(e.to_string()))?.import;
    Ok(import(&arguments.sources, into, &options(&arguments)?, console)?)
}

pub(in crate::verbs) fn options(arguments: &ImportArgs) -> Outcome<ImportOptions> {
    let (reading, dataset) = (&arguments.reading, &arguments.dataset);
    let (rules, images) = (&dataset.rules, &dataset.images);
    let limits = Limits { max_bytes: images.max_bytes, max_pixels: images.max_pixels, max_side: images.max_side };
    let mut class_map = BTreeMap::new();
    for (from, to) in &rules.class_map {
        if class_map.insert(from.clone(), to.clone()).is_some_and(|before| before != *to) {
            return Err(Failure::usage(format!("--class-map maps '{from}' twice, to different classes")));
        }
    }
    Ok(ImportOptions {
        read: ReadOptions {
            format: reading.format,
            image_key: reading.image_key.clone(),
            from_name: dataset.from_name.clone(),
            called: None,
        },
        images: images.images.clone(),
        fetch: fetching(&dataset.network, &images.local_root, &limits)?,
        limits,
        on_conflict: rules.on_conflict,
        new_classes: rules.new_classes,
        class_map,
        names: rules.names,
        split: rules.split,
        layout: rules.layout,
        source_name: reading.source_name.clone(),
        prune: dataset.prune,
        strict: dataset.strict,
        refresh: images.refresh,
        dry_run: dataset.dry_run,
        at_least: 0,
    })
}

/// How images are fetched.
pub(in crate::verbs) fn fetching(
    network: &NetworkArgs,
    local_roots: &[PathBuf],
    limits: &Limits,
) -> Outcome<FetchOptions> {
    if !network.timeout.is_finite() || !(0.1..=86_400.0).contains(&network.timeout) {
        return Err(Failure::usage(format!("--timeout {}: must be from 0.1 to 86400 seconds", network.timeout)));
    }
    if !(1..=256).contains(&network.concurrency) {
        return Err(Failure::usage(format!("--concurrency {}: must be from 1 to 256", network.concurrency)));
    }
    let server = &network.server;
    let label_studio = server.label_studio.as_deref().map(|url| LabelStudio::new(url, server.token())).transpose();
    let try_timeout = Duration::from_secs_f64(network.timeout);
    Ok(FetchOptions {
        policy: Policy {
            hosts: network.allow_host.clone(),
            buckets: network.allow_bucket.clone(),
            private: network.allow_private.clone(),
        },
        max_bytes: limits.max_bytes as u64,
        connect_timeout: try_timeout.min(Duration::from_secs(10)),
        try_timeout,
        timeout: try_timeout.saturating_mul(network.retries.saturating_add(1)).saturating_add(Duration::from_secs(60)),
        retry: Retry { retries: network.retries, ..Retry::default() },
        concurrency: network.concurrency,
        // Asked first; what it does not hand out is asked of the Label Studio, which has rights of its own.
        buckets: Some(Arc::new(StoreBuckets::new(|uri| {
            stores::open_store(uri).map_err(|e| e.to_string().trim_start_matches("error: ").to_string())
        }))),
        label_studio: label_studio.map_err(|e| Failure::usage(format!("--label-studio: {e}")))?,
        local_roots: local_roots.to_vec(),
        ca_file: server.ca_file.clone(),
        ..FetchOptions::default()
    })
}

pub(in crate::verbs) fn summary(report: &ImportReport) -> String {
    let cells = |r: &kidu_annotations::ClassRow| {
        let numbers = [r.new, r.changed, r.unchanged, r.conflicting, r.ignored].map(|n| n.to_string());
        std::iter::once(r.class.clone()).chain(numbers).collect()
    };
    let rows: Vec<Vec<String>> = report.classes.iter().map(cells).collect();
    let heading = ["class", "new", "changed", "unchanged", "conflicting", "ignored"];
    let mut lines = if rows.is_empty() { String::new() } else { text::table(&heading, &rows) };
    let counts = &report.annotations;
    let parts = [
        (counts.skipped, "skipped"),
        (counts.empty, "empty"),
        (counts.not_single_label, "with several classes"),
        (counts.ignored_class, "of ignored classes"),
        (counts.repeated, "given twice"),
        (counts.bad, "bad records"),
        (counts.unannotated, "tasks without any"),
    ];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let rest = if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) };
    lines += &format!("{} annotations read, {} usable{rest}\n", counts.read, counts.usable);
    if let Some(share) = report.agreement.unanimous {
        let number = |k: Option<f64>| k.map_or("not defined".to_string(), |k| format!("{k:.2}"));
        let fleiss = report.agreement.fleiss.and_then(|f| f.kappa);
        lines += &format!(
            "agreement on {} images with several annotators: {:.0} % unanimous, Fleiss' kappa {}, Krippendorff's alpha {}\n",
            report.agreement.images,
            100.0 * share,
            number(fleiss),
            number(report.agreement.alpha)
        );
    }
    for pair in report.agreement.pairs.iter().take(LISTED) {
        let kappa = pair.kappa.map_or("not defined".to_string(), |k| format!("{k:.2}"));
        let [a, b] = &pair.annotators;
        lines += &format!("  {a} and {b}: {} images, Cohen's kappa {kappa}\n", pair.images);
    }
    if report.is_unchanged() && !report.dry_run {
        lines += "nothing changed\n";
    }
    lines
}

/// What is worth a line each, on standard error.
pub(in crate::verbs) fn details(report: &ImportReport, console: &Console) {
    let list = |what: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return;
        }
        console.note(&format!("{} {what}:", lines.len()));
        lines.iter().take(LISTED).for_each(|l| console.note(&format!("  {l}")));
        if lines.len() > LISTED {
            console.note(&format!("  ... and {} more, see --json", lines.len() - LISTED));
        }
    };
    list("images on which annotators disagree", report.conflicts.iter().map(|c| c.line()).collect());
    list("images moved to another class", report.moved.iter().map(|m| format!("{} -> {}", m.from, m.to)).collect());
    list("new classes", report.new_classes.clone());
    let withdrawn = report.withdrawn.iter().map(|w| {
        let id = w.annotation.as_deref().map(|id| format!(" (annotation {id})")).unwrap_or_default();
        format!("{}: {}{id} was {}; {}", w.path, w.label, w.reason, w.outcome)
    });
    list("annotations withdrawn", withdrawn.collect());
    list("images that cannot be used", report.unavailable.iter().map(|u| u.line()).collect());
    list("records that cannot be used", report.problems.iter().map(ToString::to_string).collect());
    list("answers with several classes", report.not_single_label.iter().map(ToString::to_string).collect());
    report.notes.iter().for_each(|n| console.note(n));
}
