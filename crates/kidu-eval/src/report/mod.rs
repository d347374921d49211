//! `report.html`: one self-contained page about one run, or about several and how they compare. Inline SVG and images
//! as data addresses; neither scripts nor links to a network; light and dark; readable on a phone.
//!
//! A [`Report`] is a value: whoever makes it brings what there is (an evaluation, learning curves, pictures, a
//! robustness test, findings of the data doctor), and only that is shown. The page is a template with automatic
//! escaping.

mod choose;
mod compare;
mod curves;
mod view;

use std::{collections::BTreeMap, path::Path};

use kidu_core::files;
use minijinja::{AutoEscape, Environment, context, syntax::SyntaxConfig, value::Serde};

pub use self::{
    choose::{least_certain, surest_mistakes},
    curves::EpochMetrics,
};
use crate::{
    error::{Error, Result},
    evaluation::Evaluation,
    predictions::Predictions,
};

/// The usual file name.
pub const FILE: &str = "report.html";

/// What the page is made of.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Heading of the page.
    pub title: String,
    /// The runs, at least one; the first is what the others are compared with.
    pub runs: Vec<RunReport>,
}

/// One run. What is empty is left out of the page.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    /// A short name, different for each run.
    pub name: String,
    /// Facts below the heading, as (name, value): the model, the commit, when it was made.
    pub facts: Vec<(String, String)>,
    /// How good it is.
    pub evaluation: Option<Evaluation>,
    /// What it said about each image; gives the curves of ranking and the lists of images.
    pub predictions: Option<Predictions>,
    /// Metrics over the epochs.
    pub history: Vec<EpochMetrics>,
    /// Pictures for images of the predictions, by their index.
    pub pictures: BTreeMap<usize, Picture>,
    /// How many of the surest mistakes, and of the least certain images, are shown.
    pub shown: usize,
    /// Drawings with a heading: robustness curves, a search.
    pub figures: Vec<Figure>,
    /// Tables with a heading: findings of the data doctor, lineage.
    pub tables: Vec<Table>,
    /// The settings it ran with, by dotted key.
    pub settings: BTreeMap<String, String>,
}

/// An image, and what the model looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The image as PNG or JPEG.
    pub image: Vec<u8>,
    /// The image with its heat map over it, as PNG or JPEG.
    pub heat_map: Option<Vec<u8>>,
}

/// A drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Heading of its section; drawings and tables of the same heading stand together.
    pub section: String,
    /// SVG made by this workspace: it is put into the page as it is.
    pub svg: String,
    /// A sentence below it.
    pub caption: String,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Table {
    /// Heading of its section.
    pub section: String,
    /// A sentence above it.
    pub caption: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows; cells that hold a number are set to the right.
    pub rows: Vec<Vec<String>>,
}

/// Writes [`html`] to a file, atomically.
///
/// # Errors
/// As [`html`], or [`Error::Core`] if the file cannot be written.
pub fn save(path: &Path, report: &Report) -> Result<()> {
    Ok(files::write_atomic(path, html(report)?.as_bytes())?)
}

/// The page.
///
/// # Errors
/// [`Error::Empty`] without runs, [`Error::Option`] if an evaluation's temperature is not positive or pictures name
/// images that are not there.
pub fn html(report: &Report) -> Result<String> {
    if report.runs.is_empty() {
        return Err(Error::Empty);
    }
    let page = view::page(report)?;
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    let rendered = syntax.and_then(|syntax| {
        environment.set_syntax(syntax);
        environment.add_template("report.html", TEMPLATE)?;
        environment.get_template("report.html")?.render(context! { style => STYLE, page => Serde(page) })
    });
    rendered.map_err(|e| Error::option("report template", format!("{e:#}")))
}

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests;
