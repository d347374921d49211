//! The images that are to be ordered, with their features.

use std::{collections::HashMap, fs, path::Path};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use kidu_annotate::form_xml;
use kidu_core::Progress;
use kidu_fetch::{Address, BlockingFetcher};
use kidu_image::{Limits, decode};
use serde_json::{Value, json};

use super::Target;
use crate::{
    Outcome,
    cli::RankArgs,
    failure::Failure,
    ui::Console,
    verbs::{annotate::backbone::Backbone, data::import as importing, predict},
};

/// An image that is to be ordered.
pub(super) struct Item {
    /// What it is called in messages.
    pub(super) name: String,
    /// Its task, if it has one.
    pub(super) task: Option<u64>,
    /// The task's data.
    pub(super) data: Value,
    /// The versions of predictions that the task has.
    pub(super) versions: Vec<String>,
    /// What the network sees in it.
    pub(super) features: Vec<f32>,
}

/// Files of this machine.
pub(super) fn files(
    arguments: &RankArgs,
    backbone: &Backbone,
    limits: &Limits,
    console: &Console,
) -> Outcome<Vec<Item>> {
    let mut items = Vec::new();
    for given in &arguments.paths {
        let paths = predict::expand(std::slice::from_ref(given))?;
        let rows = backbone.features_of(&paths, limits, console)?;
        for (path, features) in paths.iter().zip(rows) {
            let Some(features) = features else { continue };
            let below = if given.is_dir() { path.strip_prefix(given).unwrap_or(path) } else { last(path) };
            let address = match &arguments.prefix {
                Some(prefix) => format!("{}/{}", prefix.trim_end_matches('/'), slashed(below)),
                None => data_uri(path)?,
            };
            let data = json!({form_xml::IMAGE: address});
            items.push(Item { name: path.display().to_string(), task: None, data, versions: Vec::new(), features });
        }
    }
    Ok(items)
}

fn last(path: &Path) -> &Path {
    path.file_name().map_or(path, Path::new)
}

/// A relative path with forward slashes.
fn slashed(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// A file as a data URI; its type by its content.
fn data_uri(path: &Path) -> Outcome<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let kind = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [b'R', b'I', b'F', b'F', ..] => "webp",
        _ => "jpeg",
    };
    Ok(format!("data:image/{kind};base64,{}", STANDARD.encode(&bytes)))
}

/// The tasks of a project that nobody has annotated. Their addresses are those of the export: the list of tasks shows
/// others.
pub(super) fn tasks(
    arguments: &RankArgs,
    target: &Target,
    backbone: &Backbone,
    limits: &Limits,
    console: &Console,
) -> Outcome<Vec<Item>> {
    let Target { client, project, form } = target;
    console.begin("list tasks", "tasks", None);
    let versions = versions_of(&client.tasks(project.id, |page, _| console.advance(page.len() as u64))?);
    console.end();
    let exported = client.export(project.id, true)?;
    let mut requests = Vec::new();
    for task in &exported {
        let annotated = task["annotations"].as_array().is_some_and(|a| !a.is_empty());
        let (Some(id), false) = (task["id"].as_u64(), annotated) else { continue };
        let address = task["data"][&form.image_key].as_str().unwrap_or_default();
        match Address::parse(address) {
            Ok(address) => requests.push((requests.len(), address, id, task["data"].clone())),
            Err(e) => console.note(&format!("task {id} is left out: {e}")),
        }
    }
    let fetcher = BlockingFetcher::new(importing::fetching(&arguments.network, &arguments.images.local_root, limits)?)
        .map_err(|e| Failure::Usage(e.into()))?;
    let wanted = requests.iter().map(|(at, address, id, _)| (*at, address.clone(), Some(*id)));
    let mut found: Vec<Option<Vec<f32>>> = vec![None; requests.len()];
    let mut trouble: Option<Failure> = None;
    console.begin("fetch and look at images", "images", Some(requests.len() as u64));
    fetcher.fetch_each(wanted.collect::<Vec<_>>(), |at, bytes| {
        let image = bytes.map_err(|e| e.to_string()).and_then(|b| decode(&b, limits).map_err(|e| e.to_string()));
        match image {
            Ok(image) => match backbone.features(&image) {
                Ok(features) => found[at] = Some(features),
                Err(failure) => trouble = Some(failure),
            },
            Err(reason) => console.note(&format!("task {} is left out: {reason}", requests[at].2)),
        }
        console.advance(1);
    });
    console.end();
    if let Some(failure) = trouble {
        return Err(failure);
    }
    let item = |((_, address, id, data), features): ((usize, Address, u64, Value), Option<Vec<f32>>)| {
        Some(Item {
            name: format!("task {id} {}", address.file_name().unwrap_or_default()).trim_end().to_owned(),
            task: Some(id),
            data,
            versions: versions.get(&id).cloned().unwrap_or_default(),
            features: features?,
        })
    };
    Ok(requests.into_iter().zip(found).filter_map(item).collect())
}

/// The versions of the predictions of each task.
fn versions_of(tasks: &[kidu_annotate::client::Task]) -> HashMap<u64, Vec<String>> {
    let version = |p: &Value| p["model_version"].as_str().map(str::to_owned);
    tasks.iter().map(|t| (t.id, t.predictions.iter().filter_map(version).collect())).collect()
}
