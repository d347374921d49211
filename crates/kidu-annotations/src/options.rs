//! How annotations are imported.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use kidu_core::Split;
use kidu_fetch::FetchOptions;
use kidu_image::Limits;

use crate::{read::ReadOptions, settle::OnConflict};

/// How annotations are imported.
#[derive(Clone)]
pub struct ImportOptions {
    /// How the sources are read.
    pub read: ReadOptions,
    /// Folders in which images are looked for by name, before their addresses are asked.
    pub images: Vec<PathBuf>,
    /// How images are fetched.
    pub fetch: FetchOptions,
    /// What an image may be at most.
    pub limits: Limits,
    /// What is done where annotators disagree.
    pub on_conflict: OnConflict,
    /// What is done with classes that the dataset does not have.
    pub new_classes: NewClasses,
    /// Names of classes as given, to names as kept.
    pub class_map: BTreeMap<String, String>,
    /// How new images are named.
    pub names: Names,
    /// The split of new images.
    pub split: Split,
    /// The layout of a new dataset; that of one which is there stays.
    pub layout: Option<LayoutChoice>,
    /// The name by which later imports know that they read the same source again. Default: the Label Studio project where
    /// the format states it, else the source as it is given.
    pub source_name: Option<String>,
    /// Take out images whose annotations are no more.
    pub prune: bool,
    /// Refuse the import if any record or image cannot be used.
    pub strict: bool,
    /// Fetch images again that an earlier import has fetched.
    pub refresh: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// How many annotations the sources hold at least, where that is known; fewer are refused.
    pub at_least: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            read: ReadOptions::default(),
            images: Vec::new(),
            fetch: FetchOptions::default(),
            limits: Limits::default(),
            on_conflict: OnConflict::default(),
            new_classes: NewClasses::default(),
            class_map: BTreeMap::new(),
            names: Names::default(),
            split: Split::Train,
            layout: None,
            source_name: None,
            prune: false,
            strict: false,
            refresh: false,
            dry_run: false,
            at_least: 0,
        }
    }
}

/// What is done with classes that the dataset does not have. A dataset without any image takes all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewClasses {
    /// The import is refused.
    #[default]
    Error,
    /// They are taken in.
    Allow,
    /// Their annotations are left out.
    Ignore,
}

/// How new images are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// As at their source; with the start of their hash where that name is taken.
    #[default]
    Source,
    /// By the start of their hash.
    Content,
}

/// The layout of a new dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutChoice {
    /// `<split>/<class>/`.
    Split,
    /// `<class>/`.
    Class,
}

macro_rules! words {
    ($name:ty, $what:literal, $($word:literal => $value:expr),*) => {
        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($value),)*
                    _ => Err(format!("unknown {} '{text}'; use {}", $what, [$($word),*].join(", "))),
                }
            }
        }
    };
}

words!(NewClasses, "rule", "error" => Self::Error, "allow" => Self::Allow, "ignore" => Self::Ignore);
words!(Names, "naming", "source" => Self::Source, "content" => Self::Content);
words!(LayoutChoice, "layout", "split" => Self::Split, "class" => Self::Class);
