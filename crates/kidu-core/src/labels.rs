//! Class names, in the order of the model's outputs.

use std::ops::Index;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// At least one class name, each non-empty and unique, in the order of the logits. The names come from the data,
/// never from code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ClassNames(Vec<String>);

impl ClassNames {
    /// Checks and takes the names in the given order.
    ///
    /// # Errors
    /// [`Error::Classes`] when there is none, one is empty or one stands twice.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Err(Error::Classes("there is no class; at least one is needed".into()));
        }
        for (i, name) in names.iter().enumerate() {
            if name.trim().is_empty() {
                return Err(Error::Classes(format!("class {i} has an empty name; give each class a name")));
            }
            if names[..i].contains(name) {
                return Err(Error::Classes(format!("'{name}' stands twice; class names must be unique")));
            }
        }
        Ok(Self(names))
    }

    /// Number of classes.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The index of a name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|n| n == name)
    }

    /// The name at an index.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.0.get(index).map(String::as_str)
    }

    /// The names in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The names as a slice.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl Index<usize> for ClassNames {
    type Output = str;

    fn index(&self, index: usize) -> &str {
        &self.0[index]
    }
}

impl TryFrom<Vec<String>> for ClassNames {
    type Error = Error;

    fn try_from(names: Vec<String>) -> Result<Self> {
        Self::new(names)
    }
}

impl From<ClassNames> for Vec<String> {
    fn from(names: ClassNames) -> Self {
        names.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_none_empty_and_twice() {
        assert!(ClassNames::new(Vec::<String>::new()).is_err());
        assert!(ClassNames::new(["a", " "]).is_err());
        assert!(ClassNames::new(["a", "a"]).unwrap_err().to_string().contains("'a' stands twice"));
        assert!(serde_json::from_str::<ClassNames>(r#"["a","a"]"#).is_err());
    }

    #[test]
    fn keeps_the_order() {
        let names = ClassNames::new(["sea", "forest"]).unwrap();
        assert_eq!(names.index_of("forest"), Some(1));
        assert_eq!(&names[0], "sea");
    }
}
