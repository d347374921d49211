//! Composition: from an entry's defaults list and the overrides to one resolved tree.

use kidu_core::suggest::nearest;

use crate::{
    composed::{Choice, Composed, Listing},
    defaults::{self, DefaultEntry, DefaultKind},
    error::{ConfigError, Place, Result},
    interpolate,
    merge::{apply, merge, wrap},
    node::{Node, Origin, Value},
    overrides::{self, GroupMode, GroupOverride},
    sources::ConfigSources,
};

/// Levels of files that list files, keys of a package, and files in all.
const MAX_LEVELS: usize = 16;
const MAX_LAYERS: usize = 500;

/// Composes the entry `NAME` (the file `NAME.yaml`) with overrides, and resolves every interpolation. The rules are in
/// the documentation of the crate.
///
/// # Errors
/// [`ConfigError`] with the file, line and column or the override that is wrong.
pub fn compose(sources: &ConfigSources, entry: &str, texts: &[String]) -> Result<Composed> {
    let Some(source) = sources.file(entry) else {
        let known = sources.entries();
        let near = nearest(entry, known.iter().copied()).map(String::from);
        return Err(ConfigError::UnknownEntry { name: entry.into(), nearest: near, known: known.join(", ") });
    };
    let start = Origin::File { file: source.name.clone(), line: 1, column: 1 };
    let overrides = overrides::parse(sources, texts)?;
    let mut expander =
        Expander { sources, groups: overrides.groups, choices: Vec::new(), visiting: Vec::new(), layers: 0 };
    let wanted = Wanted { stem: entry.into(), base: String::new(), explicit: None, at: start.clone() };
    let layers = expander.file(&wanted, &[])?;
    expander.all_used(entry)?;

    let mut root = Node::new(Value::Map(Vec::new()), start);
    let mut listings: Vec<Listing> = Vec::new();
    let mut seen: Vec<(String, Vec<String>)> = Vec::new();
    for layer in layers {
        let key = (layer.stem, layer.package);
        if seen.contains(&key) {
            continue;
        }
        // Nothing lists the entry itself.
        if let Origin::File { file, .. } = &layer.content.origin
            && key.0 != entry
        {
            listings.push(Listing { file: file.clone(), at: layer.at });
        }
        merge(&mut root, wrap(layer.content, &key.1));
        seen.push(key);
    }
    for over in &overrides.values {
        apply(&mut root, over)?;
    }
    let root = interpolate::resolve(&root, sources)?;
    expander.choices.reverse();
    Ok(Composed::new(entry, root, texts.to_vec(), expander.choices, listings))
}

/// The content of one file for one package.
struct Layer {
    stem: String,
    package: Vec<String>,
    content: Node,
    at: Origin,
}

/// A file that an entry of a defaults list asks for.
struct Wanted {
    /// Path without `.yaml`.
    stem: String,
    /// The package when nothing else is said: the group as it was written, with dots.
    base: String,
    /// `@package` in the defaults list, which beats the file's header.
    explicit: Option<String>,
    /// The entry, or the override that chose the file.
    at: Origin,
}

struct Expander<'a> {
    sources: &'a ConfigSources,
    groups: Vec<GroupOverride>,
    choices: Vec<Choice>,
    visiting: Vec<String>,
    layers: usize,
}

impl Expander<'_> {
    /// The layers of a file and of all that it lists, in the order in which they are merged. The list is walked from
    /// its end, so that `override` in a later file is known when an earlier group is reached.
    fn file(&mut self, wanted: &Wanted, parent: &[String]) -> Result<Vec<Layer>> {
        let Wanted { stem, at, .. } = wanted;
        let Some(source) = self.sources.file(stem) else { return Ok(Vec::new()) };
        if self.visiting.contains(stem) {
            let chain = format!("{} -> {stem}", self.visiting.join(" -> "));
            return Err(ConfigError::Cycle { at: at.clone(), chain });
        }
        self.layers += 1;
        if self.visiting.len() >= MAX_LEVELS || self.layers > MAX_LAYERS {
            let reason = format!("the defaults lists go deeper than {MAX_LEVELS} or name over {MAX_LAYERS} files");
            return Err(ConfigError::syntax(at, reason));
        }
        let parsed = defaults::read(source)?;
        let name = wanted.explicit.as_ref().or(parsed.header.as_ref()).unwrap_or(&wanted.base);
        let package = package(parent, name, &wanted.base);
        if package.len() > MAX_LEVELS {
            return Err(ConfigError::syntax(at, format!("the package '{name}' has too many levels")));
        }
        let folder = stem.rsplit_once('/').map_or("", |(folder, _)| folder).to_string();
        self.collect_overrides(&parsed.defaults, &folder);
        let additions = if self.visiting.is_empty() { self.additions(&parsed.defaults) } else { Vec::new() };
        self.visiting.push(stem.clone());

        let mut parts = Vec::new();
        for added in additions.iter().rev() {
            parts.push(self.group(added, "", &package, true)?);
        }
        for entry in parsed.defaults.iter().rev() {
            parts.push(match &entry.kind {
                DefaultKind::Own => {
                    let content = parsed.content.clone();
                    vec![Layer { stem: stem.clone(), package: package.clone(), content, at: at.clone() }]
                }
                DefaultKind::File { name, package: explicit } => {
                    self.same_folder(name, explicit.as_ref(), &folder, &package, &entry.origin)?
                }
                DefaultKind::Group { .. } => self.group(entry, &folder, &package, false)?,
                DefaultKind::Override { .. } => Vec::new(),
            });
        }
        self.visiting.pop();
        parts.reverse();
        Ok(parts.into_iter().flatten().collect())
    }

    fn same_folder(
        &mut self,
        name: &str,
        explicit: Option<&String>,
        folder: &str,
        package: &[String],
        at: &Origin,
    ) -> Result<Vec<Layer>> {
        let stem = absolute(folder, name);
        if self.sources.file(&stem).is_none() {
            let group = stem.rsplit_once('/').map_or("", |(group, _)| group);
            return Err(self.unknown_option(group, stem.trim_start_matches(group).trim_start_matches('/'), at));
        }
        self.file(&Wanted { stem, base: String::new(), explicit: explicit.cloned(), at: at.clone() }, package)
    }

    /// The layers of the chosen options of a group.
    fn group(&mut self, entry: &DefaultEntry, folder: &str, parent: &[String], added: bool) -> Result<Vec<Layer>> {
        let DefaultKind::Group { group: written, package: explicit, options, optional } = &entry.kind else {
            return Ok(Vec::new());
        };
        let group = absolute(folder, written);
        let base = written.trim_matches('/').replace('/', ".");
        let (mut options, mut at, mut optional) = (options.clone(), entry.origin.clone(), *optional);
        let found = package(parent, explicit.as_ref().unwrap_or(&base), &base).join(".");
        let mut replaced = None;
        let matching = |o: &&mut GroupOverride| {
            o.group == group
                && o.package.as_ref().map_or(explicit.is_none(), |p| found == package(&[], p, &base).join("."))
        };
        if let Some(over) = self.groups.iter_mut().find(matching).filter(|_| !added) {
            over.used = true;
            match &over.mode {
                GroupMode::Delete => return Ok(Vec::new()),
                GroupMode::Add(_) => {
                    let reason = format!("'{group}' is in the defaults list already ({at}); leave out the '+'");
                    return Err(ConfigError::syntax(&over.origin, reason));
                }
                GroupMode::Choose(chosen) | GroupMode::Force(chosen) => {
                    replaced = Some((options, at));
                    (options, at, optional) = (chosen.clone(), over.origin.clone(), false);
                }
            }
        }
        let mut layers = Vec::new();
        for option in options.iter().rev() {
            let stem = format!("{group}/{option}");
            if self.sources.file(&stem).is_none() {
                if optional {
                    continue;
                }
                return Err(self.unknown_option(&group, option, &at));
            }
            let wanted = Wanted { stem, base: base.clone(), explicit: explicit.clone(), at: at.clone() };
            layers.push(self.file(&wanted, parent)?);
        }
        self.choices.push(Choice { group, options, origin: at, replaced });
        layers.reverse();
        Ok(layers.into_iter().flatten().collect())
    }

    /// Notes `override group: option` entries; the first to be seen counts: the command line, then later files.
    fn collect_overrides(&mut self, entries: &[DefaultEntry], folder: &str) {
        for entry in entries {
            if let DefaultKind::Override { group, package, options } = &entry.kind {
                let (group, package) = (absolute(folder, group), package.clone());
                if !self.groups.iter().any(|o| o.group == group && o.package == package) {
                    let mode = GroupMode::Choose(options.clone());
                    self.groups.push(GroupOverride { group, package, mode, origin: entry.origin.clone(), used: false });
                }
            }
        }
    }

    /// The groups that the command line adds to the entry's list.
    fn additions(&mut self, listed: &[DefaultEntry]) -> Vec<DefaultEntry> {
        let is_listed = |wanted: &str| {
            listed
                .iter()
                .any(|e| matches!(&e.kind, DefaultKind::Group { group, .. } if group.trim_start_matches('/') == wanted))
        };
        let mut added = Vec::new();
        for over in &mut self.groups {
            let options = match &over.mode {
                GroupMode::Add(options) => options,
                GroupMode::Force(options) if !is_listed(&over.group) => options,
                _ => continue,
            };
            let kind = DefaultKind::Group {
                group: over.group.clone(),
                package: over.package.clone(),
                options: options.clone(),
                optional: false,
            };
            over.used = true;
            added.push(DefaultEntry { kind, origin: over.origin.clone() });
        }
        added
    }

    /// Every override of a group must have met its group.
    fn all_used(&self, entry: &str) -> Result<()> {
        let Some(over) = self.groups.iter().find(|o| !o.used) else { return Ok(()) };
        if !self.sources.is_group(&over.group) {
            let known: Vec<_> = self.sources.groups().collect();
            let near = nearest(&over.group, known.iter().copied()).map(String::from);
            return Err(ConfigError::UnknownOption {
                place: Place::new(&over.group, &over.origin),
                what: "group".into(),
                nearest: near,
                known: format!("there are: {}", known.join(", ")),
            });
        }
        let group = &over.group;
        let reason = match (&over.origin, &over.mode) {
            (Origin::Override(_), GroupMode::Choose(options)) => format!(
                "the group '{group}' is not in the defaults list of '{entry}'; write +{group}={} to add it",
                options.join(",")
            ),
            (Origin::Override(_), _) => format!("the group '{group}' is not in the defaults list of '{entry}'"),
            _ => format!("nothing to override: no file listed before this one lists the group '{group}'"),
        };
        Err(ConfigError::syntax(&over.origin, reason))
    }

    fn unknown_option(&self, group: &str, option: &str, at: &Origin) -> ConfigError {
        let known = self.sources.options(group);
        let near = nearest(option, known.iter().copied()).map(String::from);
        let mut sentence = match (option, known.is_empty()) {
            ("???", _) => format!("choose one with {group}=OPTION of: {}", known.join(", ")),
            (_, true) => format!("the group has no options; add {group}/{option}.yaml"),
            _ => format!("there are: {}", known.join(", ")),
        };
        if option.contains(',') {
            sentence.push_str(&format!("; several at once are written {group}=[a,b], one run for each needs -m"));
        }
        let what = if group.is_empty() { "file".to_string() } else { format!("option of group '{group}'") };
        ConfigError::UnknownOption { place: Place::new(option, at), what, nearest: near, known: sentence }
    }
}

/// A group or file name from the root: relative to `folder` unless it begins with `/`.
fn absolute(folder: &str, name: &str) -> String {
    match name.strip_prefix('/') {
        Some(rest) => rest.trim_end_matches('/').to_string(),
        None if folder.is_empty() => name.to_string(),
        None => format!("{folder}/{name}"),
    }
}

/// The keys below which a file's content goes: `name` relative to `parent`, from the root after `_global_`, `base` for
/// `_group_`, `parent` itself for `_here_`.
fn package(parent: &[String], name: &str, base: &str) -> Vec<String> {
    let mut path: Vec<String> = parent.to_vec();
    for part in name.split('.').filter(|p| !p.is_empty()) {
        match part {
            "_global_" => path.clear(),
            "_here_" => {}
            "_group_" => path.extend(base.split('.').filter(|p| !p.is_empty()).map(String::from)),
            _ => path.push(part.to_string()),
        }
    }
    path
}
