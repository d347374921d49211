//! What synthesis makes: templates, documents beside them, and a manifest, as a folder.

use std::{collections::BTreeMap, fs, path::Path};

use kidu_core::{Sha256Hex, files};
use serde_json::{Value, json};

use super::template::Template;
use crate::error::{Error, Result};

/// The manifest's file.
pub const MANIFEST: &str = "manifest.json";
/// The format of the manifest that this version writes and reads.
const FORMAT: u64 = 1;
/// How the files of templates end.
const SUFFIX: &str = ".template.json";

/// A stack's template.
#[derive(Clone, Debug, PartialEq)]
pub struct StackArtifact {
    /// The stack's name.
    pub name: String,
    /// Its template.
    pub template: Template,
    /// The stacks that must be there before.
    pub after: Vec<String>,
}

/// All that synthesis made.
#[derive(Clone, Debug, PartialEq)]
pub struct Assembly {
    /// The stacks, each after those it needs.
    pub stacks: Vec<StackArtifact>,
    /// Other documents, by file name.
    pub documents: BTreeMap<String, Value>,
}

impl Assembly {
    pub(super) fn new(stacks: Vec<StackArtifact>) -> Self {
        Self { stacks, documents: BTreeMap::new() }
    }

    /// The stack of that name.
    ///
    /// # Errors
    /// [`Error::UnknownStack`] with the nearest name.
    pub fn stack(&self, name: &str) -> Result<&StackArtifact> {
        self.stacks.iter().find(|s| s.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.stacks.iter().map(|s| s.name.as_str()).collect();
            let hint = kidu_core::suggest::did_you_mean(kidu_core::suggest::nearest(name, names.iter().copied()));
            Error::UnknownStack { name: name.into(), hint, known: names.join(", ") }
        })
    }

    /// The files, by name, as they are written.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files: BTreeMap<String, String> =
            self.stacks.iter().map(|s| (format!("{}{SUFFIX}", s.name), s.template.to_text())).collect();
        files.extend(self.documents.iter().map(|(name, json)| (name.clone(), format!("{json:#}\n"))));
        let manifest = self.manifest(&files);
        files.insert(MANIFEST.into(), format!("{manifest:#}\n"));
        files
    }

    fn manifest(&self, files: &BTreeMap<String, String>) -> Value {
        let entry = |file: &str| {
            let text = files.get(file).map(String::as_str).unwrap_or_default();
            json!({"file": file, "bytes": text.len(), "sha256": Sha256Hex::of_bytes(text.as_bytes()).as_str()})
        };
        let stack = |s: &StackArtifact| {
            let mut out = entry(&format!("{}{SUFFIX}", s.name));
            out["name"] = json!(s.name);
            out["after"] = json!(s.after);
            out["resources"] = json!(s.template.resources().count());
            out["parameters"] = s.template.section("Parameters").map(|(name, _)| json!(name)).collect();
            out["capabilities"] = json!(capabilities(&s.template));
            out
        };
        let stacks: Vec<Value> = self.stacks.iter().map(stack).collect();
        let documents: Vec<Value> = self.documents.keys().map(|name| entry(name)).collect();
        json!({"format": FORMAT, "kidu": env!("CARGO_PKG_VERSION"), "stacks": stacks, "documents": documents})
    }

    /// Writes the folder: each file atomically, the manifest last. Files of an earlier synthesis that this one does not
    /// make are removed; what no manifest names stays.
    ///
    /// # Errors
    /// [`Error::Core`] when the folder cannot be written.
    pub fn write(&self, dir: &Path) -> Result<Vec<String>> {
        files::create_dir_all(dir)?;
        let mut files = self.files();
        for old in listed(dir).unwrap_or_default() {
            if !files.contains_key(&old) {
                fs::remove_file(dir.join(&old)).or_else(|e| match e.kind() {
                    std::io::ErrorKind::NotFound => Ok(()),
                    _ => Err(kidu_core::Error::io("remove", dir.join(&old), e)),
                })?;
            }
        }
        let manifest = files.remove(MANIFEST).unwrap_or_default();
        for (name, text) in &files {
            files::write_atomic(&dir.join(name), text.as_bytes())?;
        }
        files::write_atomic(&dir.join(MANIFEST), manifest.as_bytes())?;
        Ok(files.into_keys().chain([MANIFEST.to_string()]).collect())
    }

    /// Reads a folder that [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`Error::NotAnAssembly`], or [`Error::Core`] for files that cannot be read.
    pub fn read(dir: &Path) -> Result<Self> {
        let manifest = read_manifest(dir)?;
        let entries = |key: &str| manifest[key].as_array().into_iter().flatten();
        let mut stacks = Vec::new();
        for entry in entries("stacks") {
            let (Some(name), Some(file)) = (entry["name"].as_str(), file_of(entry)) else {
                return Err(Error::NotAnAssembly { dir: dir.into(), reason: "a stack has no name or no file".into() });
            };
            let after = entry["after"].as_array().into_iter().flatten();
            stacks.push(StackArtifact {
                name: name.into(),
                template: Template::new(files::read_json(&dir.join(file), "template")?),
                after: after.filter_map(|a| a.as_str().map(str::to_string)).collect(),
            });
        }
        let mut assembly = Self::new(stacks);
        for name in entries("documents").filter_map(file_of) {
            assembly.documents.insert(name.into(), files::read_json(&dir.join(name), "document")?);
        }
        Ok(assembly)
    }
}

fn read_manifest(dir: &Path) -> Result<Value> {
    let path = dir.join(MANIFEST);
    if !path.is_file() {
        let reason = format!("it has no {MANIFEST}; give a folder that `kidu-infra synth --out DIR` wrote");
        return Err(Error::NotAnAssembly { dir: dir.into(), reason });
    }
    let manifest: Value = files::read_json(&path, "manifest")?;
    match manifest["format"].as_u64() {
        Some(FORMAT) => Ok(manifest),
        other => {
            let found = other.map_or_else(|| "none".into(), |f| f.to_string());
            let reason = format!("its format is {found}, this version reads {FORMAT}; synthesise it again");
            Err(Error::NotAnAssembly { dir: dir.into(), reason })
        }
    }
}

/// The file of an entry, if it is the plain name of one.
fn file_of(entry: &Value) -> Option<&str> {
    entry["file"].as_str().filter(|f| !f.contains(['/', '\\']) && !f.starts_with('.'))
}

/// The files that a folder's manifest names.
fn listed(dir: &Path) -> Option<Vec<String>> {
    let manifest = read_manifest(dir).ok()?;
    let entries = ["stacks", "documents"].into_iter().flat_map(|k| manifest[k].as_array().into_iter().flatten());
    Some(entries.filter_map(file_of).map(str::to_string).collect())
}

/// What CloudFormation wants acknowledged before it deploys a template.
pub(crate) fn capabilities(template: &Template) -> Vec<&'static str> {
    let mut out = Vec::new();
    let roles = || template.resources_of("AWS::IAM::Role");
    let nested = template.resources_of("AWS::CloudFormation::Stack").next().is_some();
    if roles().any(|(_, r)| r.pointer("/Properties/RoleName").is_some()) || nested {
        out.push("CAPABILITY_NAMED_IAM");
    } else if roles().next().is_some() {
        out.push("CAPABILITY_IAM");
    }
    out
}
