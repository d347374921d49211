//! What can be wrong with a data set, how bad it is and what to do about it.

use std::{fmt, str::FromStr};

use kidu_core::suggest;
use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing need be done.
    Info,
    /// Likely to harm a model.
    Warning,
    /// Training refuses it, or its figures would be wrong.
    Error,
}

impl Severity {
    /// From the worst to the least.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Info];

    /// The lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $severity:ident, $title:literal, $advice:literal;)*) => {
        /// What is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// All kinds, in the order in which they are reported.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in reports and options, in kebab case.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How bad it is as a rule.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// A heading.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What to do about it.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }
        }
    };
}

kinds! {
    /// Damaged: it does not decode, or its data breaks its format.
    Corrupt = "corrupt", Error, "Damaged files", "restore it from its source, or remove it";
    /// Ends before its format says that it does.
    Truncated = "truncated", Error, "Files that are cut short", "copy or download it again, or remove it";
    /// Of a type that is not read, or no image at all.
    UnreadableType = "unreadable-type", Error, "Types that are not read", "convert it to JPEG, PNG or WebP, or remove it";
    /// Larger than the limits.
    Oversized = "oversized", Error, "Larger than the limits", "scale it down, or raise data.max_pixels, data.max_side or data.max_bytes";
    /// The same bytes in two splits.
    DuplicateAcrossSplits = "duplicate-across-splits", Error, "Equal files in two splits",
        "keep the copy in the test split only: a model must not be judged on what it was trained on";
    /// Nearly the same picture in two splits.
    NearDuplicateAcrossSplits = "near-duplicate-across-splits", Error, "Near duplicates in two splits",
        "keep the copy in the test split only: a model must not be judged on what it was trained on";
    /// The same picture under two classes.
    ConflictingLabels = "conflicting-labels", Error, "One picture under two classes", "keep the one with the right label";
    /// A class folder without images.
    EmptyClass = "empty-class", Error, "Classes without images", "add images, or remove the folder";
    /// Fewer images than splits to be made, or too few to learn from.
    ClassTooSmall = "class-too-small", Error, "Classes that are too small",
        "add images, merge the class with another, or set a share of data.train_val_test_split to 0";
    /// The name does not tell the type.
    WrongExtension = "wrong-extension", Warning, "Extensions that do not tell the type", "rename it";
    /// Few pixels or bytes.
    Tiny = "tiny", Warning, "Tiny images", "replace it by a larger version, or remove it";
    /// Nearly black.
    TooDark = "too-dark", Warning, "Too dark", "look whether anything can be seen; remove it if not";
    /// Nearly white.
    TooBright = "too-bright", Warning, "Too bright", "look whether anything can be seen; remove it if not";
    /// Nearly of one value.
    LowContrast = "low-contrast", Warning, "Low contrast", "look whether anything can be seen; remove it if not";
    /// Out of focus, or scaled up.
    Blurry = "blurry", Warning, "Blurry", "look whether the object can be told; remove it if not";
    /// Very wide or very tall.
    OddAspect = "odd-aspect", Warning, "Odd aspect ratio", "crop it to the object: squeezed to a square it is distorted";
    /// More than one frame.
    Animated = "animated", Warning, "Animations", "save the frame that shows the object: only the first is read";
    /// The same bytes again within a split and class.
    ExactDuplicate = "exact-duplicate", Warning, "Equal files", "keep one: the others only weigh it more";
    /// Nearly the same picture within a split.
    NearDuplicate = "near-duplicate", Warning, "Near duplicates", "keep one, unless each was taken on purpose";
    /// Alike to the eyes of a network, in two splits.
    SimilarFeaturesAcrossSplits = "similar-features-across-splits", Warning, "Alike in features, in two splits",
        "look whether they show one scene; if so, keep them in one split";
    /// Alike to the eyes of a network.
    SimilarFeatures = "similar-features", Info, "Alike in features", "look whether both add something";
    /// A label that looks wrong.
    LabelError = "label-error", Warning, "Labels that look wrong", "look at it, and move it to the right class";
    /// Many more images of one class than of another.
    ClassImbalance = "class-imbalance", Warning, "Imbalance of classes",
        "add images of the small classes, and judge by balanced accuracy";
    /// A class that a given split lacks.
    MissingInSplit = "missing-in-split", Warning, "Classes that a split lacks",
        "add images of it to that split: without them it has no figures there";
    /// Two names that may mean one class.
    SimilarClassNames = "similar-class-names", Warning, "Class names that are nearly equal", "rename or merge one if they mean the same";
    /// Turned upright by its EXIF orientation.
    ExifRotated = "exif-rotated", Info, "Turned by EXIF", "nothing: it is turned when it is read; other tools may not do so";
    /// Without colour.
    Greyscale = "greyscale", Info, "Without colour", "nothing, unless colour tells the classes apart";
    /// Stored for print.
    Cmyk = "cmyk", Info, "CMYK", "nothing: it is converted when it is read; other tools may differ in colour";
    /// With transparency.
    Alpha = "alpha", Info, "With transparency", "see that what lies beneath is meant to be seen: transparency is dropped";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|k| k.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|k| k.name()).collect();
            let near = suggest::did_you_mean(suggest::nearest(text, names.iter().copied()));
            format!("unknown kind of finding '{text}'{near}; known are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json_and_are_read_back() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{}\"", kind.name()));
            assert_eq!(kind.name().parse::<Kind>(), Ok(*kind));
        }
        assert!("near-duplicates".parse::<Kind>().unwrap_err().contains("did you mean 'near-duplicate'?"));
    }

    #[test]
    fn severities_are_ordered() {
        assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Info);
    }
}
