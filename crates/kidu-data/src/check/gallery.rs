//! The result as one page: no script from elsewhere, no network, thumbnails inside.

use std::{collections::HashMap, fmt::Write as _, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use kidu_core::{Progress, files, markup::escape};
use kidu_image::{Limits, RgbImage};
use rayon::prelude::*;

use super::{
    finding::{FileRef, Finding, Pair},
    kind::{Kind, Severity},
    report::CheckReport,
};
use crate::{error::Result, image_file::load_one};

/// The usual name of the file.
pub const FILE: &str = "check.html";

/// The longer side of a thumbnail, in pixels.
const SIDE: u32 = 128;
const QUALITY: u8 = 72;
/// The most bytes that all thumbnails together take, encoded.
const BUDGET: usize = 24 << 20;
/// The most images of one group that are shown.
const GROUP: usize = 12;

const STYLE: &str = include_str!("gallery.css");
const SCRIPT: &str = include_str!("gallery.js");

/// Draws the page and writes it, atomically. Of each kind at most `images` findings are shown; the report's JSON has all.
///
/// # Errors
/// [`crate::DataError::Core`] if the file cannot be written. Images that cannot be read are shown as such.
pub fn save(path: &Path, report: &CheckReport, limits: &Limits, images: usize, progress: &dyn Progress) -> Result<()> {
    let shown = shown(report, images);
    let thumbnails = thumbnails(report, &shown, limits, progress);
    Ok(files::write_atomic(path, page(report, &shown, &thumbnails).as_bytes())?)
}

/// The findings that the page shows, by kind.
fn shown(report: &CheckReport, most: usize) -> Vec<(Kind, Vec<&Finding>)> {
    let mut kinds: Vec<(Kind, Vec<&Finding>)> = Vec::new();
    for finding in &report.findings {
        match kinds.iter_mut().find(|(kind, _)| *kind == finding.kind) {
            Some((_, all)) if all.len() < most => all.push(finding),
            Some(_) => {}
            None => kinds.push((finding.kind, vec![finding])),
        }
    }
    kinds
}

/// Data URIs by path, as many as the budget allows.
fn thumbnails(
    report: &CheckReport,
    shown: &[(Kind, Vec<&Finding>)],
    limits: &Limits,
    progress: &dyn Progress,
) -> HashMap<String, String> {
    let findings = shown.iter().flat_map(|(_, findings)| findings);
    let mut paths: Vec<&str> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for file in findings.flat_map(|f| f.files.iter().take(GROUP)) {
        if seen.insert(file.path.as_str()) {
            paths.push(&file.path);
        }
    }
    progress.begin("draw the gallery", "images", Some(paths.len() as u64));
    let draw = |path: &&str| {
        let drawn = load_one(&report.root.join(path), limits).ok().and_then(|image| data_uri(&image));
        progress.advance(1);
        drawn.map(|uri| (path.to_string(), uri))
    };
    let drawn: Vec<Option<(String, String)>> = paths.par_iter().map(draw).collect();
    progress.end();
    let mut bytes = 0;
    let within = drawn.into_iter().flatten().take_while(|(_, uri)| {
        bytes += uri.len();
        bytes <= BUDGET
    });
    within.collect()
}

fn data_uri(image: &RgbImage) -> Option<String> {
    let (width, height) = image.dimensions();
    let longest = width.max(height).max(1);
    let small = if longest > SIDE {
        let scaled = |n: u32| (u64::from(n) * u64::from(SIDE) / u64::from(longest)).max(1) as u32;
        image::imageops::thumbnail(image, scaled(width), scaled(height))
    } else {
        image.clone()
    };
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    encoder.write_image(small.as_raw(), small.width(), small.height(), ExtendedColorType::Rgb8).ok()?;
    Some(format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(bytes)))
}

/// A path as text in HTML that is broken after its slashes rather than within names.
fn breakable(path: &str) -> String {
    escape(path).replace('/', "/<wbr>")
}

fn page(report: &CheckReport, shown: &[(Kind, Vec<&Finding>)], thumbnails: &HashMap<String, String>) -> String {
    let name = report.root.file_name().map_or_else(|| "data".into(), |n| n.to_string_lossy().into_owned());
    let title = format!("Data check: {}", escape(&name));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#findings\">Skip to the findings</a>\n<header>\n<h1>{title}</h1>\n{}</header>\n<main>\n",
        facts(report)
    );
    out += &summary(report);
    out += &class_table(report);
    out += &filters(report);
    out += "<div id=\"findings\" tabindex=\"-1\">\n";
    for (kind, findings) in shown {
        out += &section(*kind, findings, report, thumbnails);
    }
    if report.findings.is_empty() {
        out += "<p>Nothing was found.</p>\n";
    }
    out += &format!("</div>\n</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    out
}

fn facts(report: &CheckReport) -> String {
    let mut facts = vec![
        ("folder", report.root.display().to_string()),
        ("images", format!("{} ({:.1} MB)", report.images, report.bytes as f64 / 1e6)),
        ("classes", report.classes.len().to_string()),
    ];
    if let Some(labels) = &report.labels {
        facts.push(("labels judged by", labels.source.clone()));
        facts.push((
            "labels and predictions",
            format!("agree on {:.1} % of {} images", 100.0 * labels.accuracy, labels.images),
        ));
    }
    let rows = facts.iter().map(|(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", escape(value)));
    let notes = report.notes.iter().map(|n| format!("<p class=\"note\">{}</p>\n", escape(n))).collect::<String>();
    format!("<dl class=\"facts\">\n{}</dl>\n{notes}", rows.collect::<String>())
}

fn summary(report: &CheckReport) -> String {
    let mut out = String::from(
        "<h2>Summary</h2>\n<div id=\"summary\" class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Summary\"><table>\n<thead><tr>\
         <th>severity</th><th>finding</th><th class=\"n\">findings</th><th class=\"n\">files</th><th class=\"advice\">what to do</th></tr>\
         </thead>\n<tbody>\n",
    );
    for line in &report.summary {
        let _ = writeln!(
            out,
            "<tr><td><span class=\"badge {0}\">{0}</span></td><td><a href=\"#{1}\">{2}</a></td><td class=\"n\">{3}</td>\
             <td class=\"n\">{4}</td><td class=\"advice\">{5}</td></tr>",
            line.severity,
            line.kind,
            line.kind.title(),
            line.findings,
            line.files,
            escape(line.kind.advice())
        );
    }
    out + "</tbody></table></div>\n"
}

fn class_table(report: &CheckReport) -> String {
    let mut out = String::from(
        "<details><summary>Classes</summary>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Classes\">\
         <table>\n<thead><tr><th>class</th><th class=\"n\">train</th><th class=\"n\">val</th><th class=\"n\">test</th>\
         <th class=\"n\">with findings</th></tr></thead>\n<tbody>\n",
    );
    for row in &report.classes {
        let numbers = [row.train, row.val, row.test, row.with_findings];
        let cells: String = numbers.iter().map(|n| format!("<td class=\"n\">{n}</td>")).collect();
        let _ = writeln!(out, "<tr><td>{}</td>{cells}</tr>", escape(&row.class));
    }
    out + "</tbody></table></div></details>\n"
}

/// The controls; without a script everything is shown and they stay hidden.
fn filters(report: &CheckReport) -> String {
    let options = |values: Vec<String>| -> String {
        values.iter().map(|v| format!("<option value=\"{0}\">{0}</option>", escape(v))).collect()
    };
    let kinds = report.summary.iter().map(|l| l.kind.name().to_string()).collect::<std::collections::BTreeSet<_>>();
    let classes = report.classes.iter().map(|c| c.class.clone()).collect();
    let select = |id: &str, label: &str, values: String| {
        format!("<label>{label} <select id=\"{id}\"><option value=\"\">all</option>{values}</select></label>\n")
    };
    format!(
        "<h2>Findings</h2>\n<form id=\"filters\" aria-label=\"Filters of the findings\" hidden>\n{}{}{}{}<label>path <input id=\"path\" type=\"search\" \
         placeholder=\"part of a path\"></label>\n<button type=\"reset\">Show all</button>\n\
         <output id=\"count\" aria-live=\"polite\"></output>\n</form>\n",
        select("severity", "severity", options(Severity::ALL.map(|s| s.name().to_string()).to_vec())),
        select("kind", "kind", options(kinds.into_iter().collect())),
        select("class", "class", options(classes)),
        select("split", "split", options(["train", "val", "test"].map(String::from).to_vec())),
    )
}

fn section(kind: Kind, findings: &[&Finding], report: &CheckReport, thumbnails: &HashMap<String, String>) -> String {
    let all = report.findings.iter().filter(|f| f.kind == kind).count();
    let mut out = format!(
        "<section id=\"{kind}\" data-kind=\"{kind}\">\n<h3>{} <small>{all}</small></h3>\n<p class=\"advice\">{}.</p>\n",
        kind.title(),
        escape(&capital(kind.advice()))
    );
    let grouped = findings.iter().any(|f| f.files.len() > 1);
    let _ = writeln!(out, "<div class=\"{}\">", if grouped { "groups" } else { "cards" });
    findings.iter().for_each(|f| out += &card(f, thumbnails));
    out += "</div>\n";
    if all > findings.len() {
        let _ = writeln!(out, "<p class=\"more\">and {} more in {}</p>", all - findings.len(), CheckReport::FILE);
    }
    out + "</section>\n"
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn card(finding: &Finding, thumbnails: &HashMap<String, String>) -> String {
    // The one letter that no name has.
    let list = |values: Vec<&str>| escape(&values.join("\n"));
    let mut classes: Vec<&str> =
        finding.files.iter().map(|f| f.class.as_str()).chain(finding.class.as_deref()).collect();
    classes.sort_unstable();
    classes.dedup();
    let mut splits: Vec<&str> = finding.files.iter().filter_map(|f| f.split).map(kidu_core::Split::name).collect();
    splits.sort_unstable();
    splits.dedup();
    let paths = finding.files.iter().map(|f| f.path.as_str()).collect();
    let about = finding.files.first().map_or(&finding.message, |f| &f.path);
    let mut out = format!(
        "<article tabindex=\"0\" aria-label=\"{}\" data-severity=\"{}\" data-classes=\"{}\" data-splits=\"{}\" data-paths=\"{}\">\n",
        escape(&format!("{}, {}: {about}", finding.kind.title(), finding.severity)),
        finding.severity,
        list(classes),
        list(splits),
        list(paths)
    );
    out += "<div class=\"images\">\n";
    finding.files.iter().take(GROUP).for_each(|file| out += &figure(file, finding, thumbnails));
    out += "</div>\n";
    let message = match finding.files.as_slice() {
        [_, _, ..] => format!("{} files", finding.files.len()),
        _ => finding.message.clone(),
    };
    let _ = writeln!(out, "<p><span class=\"badge {0}\">{0}</span> {1}</p>", finding.severity, escape(&message));
    if let (Some(value), Some(threshold)) = (finding.value, finding.threshold) {
        let _ = writeln!(out, "<p class=\"measured\">measured {}, threshold {}</p>", number(value), number(threshold));
    }
    out += &pairs(&finding.pairs);
    out + "</article>\n"
}

fn figure(file: &FileRef, finding: &Finding, thumbnails: &HashMap<String, String>) -> String {
    let image = match thumbnails.get(&file.path) {
        Some(uri) => format!("<img loading=\"lazy\" alt=\"{}\" src=\"{uri}\">", escape(&file.path)),
        None => "<div class=\"none\">no picture</div>".into(),
    };
    let split = file.split.map(|s| format!(" <span class=\"split {s}\">{s}</span>")).unwrap_or_default();
    let suggested = finding.suggested.as_ref().map(|s| format!(" → <b>{}</b>", escape(s))).unwrap_or_default();
    let goes = finding.files.len() > 1 && finding.removable.contains(&file.path);
    let mark = if goes { " <span class=\"goes\" title=\"--fix moves this one\">moved by --fix</span>" } else { "" };
    format!(
        "<figure>{image}<figcaption>{}{suggested}{split}{mark}<br><code>{}</code></figcaption></figure>\n",
        escape(&file.class),
        breakable(&file.path)
    )
}

fn pairs(pairs: &[Pair]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let row = |p: &Pair| {
        let bits = p.distance.map_or_else(|| "–".into(), |d| d.to_string());
        let mirrored = if p.mirrored { "yes" } else { "" };
        format!(
            "<tr><td><code>{}</code></td><td><code>{}</code></td><td class=\"n\">{bits}</td><td class=\"n\">{}</td>\
             <td>{mirrored}</td></tr>\n",
            breakable(&p.a),
            breakable(&p.b),
            number(p.similarity)
        )
    };
    let rows: String = pairs.iter().take(GROUP).map(row).collect();
    let count = pairs.len();
    format!(
        "<details><summary>{count} {}</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Pairs\">\
         <table><thead><tr><th>one</th><th>other</th><th class=\"n\">bits</th><th class=\"n\">similarity</th>\
         <th>mirrored</th></tr></thead><tbody>\n{rows}</tbody></table></div></details>\n",
        if count == 1 { "pair" } else { "pairs" }
    )
}

/// Three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v.fract() == 0.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.2}"),
        v if v >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_and_nothing_is_fetched() {
        let evil = "a/\"><script>alert(1)</script>\u{1}.jpg";
        let file = FileRef { path: evil.into(), class: "a&b".into(), split: None };
        let finding = Finding { files: vec![file.clone(), file], ..Finding::new(Kind::NearDuplicate, "x <b>") };
        let report = CheckReport {
            format_version: 1,
            root: "/nowhere/photos<".into(),
            layout: None,
            images: 2,
            bytes: 5,
            classes: Vec::new(),
            summary: Vec::new(),
            findings: vec![finding],
            labels: None,
            notes: vec!["<i>".into()],
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        save(&path, &report, &Limits::default(), 5, &kidu_core::progress::Silent).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.matches("<script").count(), 1, "only the page's own");
        assert!(!text.contains("<i>") && !text.contains("photos<") && text.contains("a&amp;b"));
        assert!(!text.contains("http") && text.contains("no picture"));
        assert!(text.contains("\u{FFFD}.jpg&#10;a/"), "lists keep their separator, names no control character");
    }

    #[test]
    fn of_many_findings_some_are_shown_and_the_rest_is_counted() {
        let found = |n| (0..n).map(|_| Finding::new(Kind::Tiny, "is small")).collect::<Vec<_>>();
        let findings = found(7);
        let refs: Vec<&Finding> = findings.iter().take(3).collect();
        let report = CheckReport {
            format_version: 1,
            root: "/".into(),
            layout: None,
            images: 7,
            bytes: 0,
            classes: vec![],
            summary: vec![],
            findings: findings.clone(),
            labels: None,
            notes: vec![],
        };
        assert_eq!(shown(&report, 3), [(Kind::Tiny, refs.clone())]);
        let text = section(Kind::Tiny, &refs, &report, &HashMap::new());
        assert!(text.contains("and 4 more in check.json") && text.matches("<article").count() == 3);
    }
}
