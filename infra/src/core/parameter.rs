//! Parameters of a template.

use serde_json::{Map, Value, json};

use super::expr::Expr;

/// What a person gives when the stack is deployed.
#[derive(Clone, Debug)]
pub struct Parameter {
    fields: Map<String, Value>,
    pub(super) group: &'static str,
}

impl Parameter {
    /// Text, with one line for people.
    pub fn text(description: &str) -> Self {
        Self::new("String", description)
    }

    /// A number.
    pub fn number(description: &str) -> Self {
        Self::new("Number", description)
    }

    /// Texts, separated by commas.
    pub fn list(description: &str) -> Self {
        Self::new("CommaDelimitedList", description)
    }

    fn new(kind: &str, description: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("Type".into(), json!(kind));
        fields.insert("Description".into(), json!(description));
        Self { fields, group: "Other" }
    }

    /// The value when none is given.
    #[must_use]
    pub fn default(self, value: impl Into<Value>) -> Self {
        self.with("Default", value.into())
    }

    /// The only values.
    #[must_use]
    pub fn one_of<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Self {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        self.with("AllowedValues", values.into())
    }

    /// A regular expression the whole value must match, and what to say when it does not.
    #[must_use]
    pub fn pattern(self, pattern: &str, otherwise: &str) -> Self {
        self.with("AllowedPattern", pattern.into()).with("ConstraintDescription", otherwise.into())
    }

    /// The least and the most of a number.
    #[must_use]
    pub fn between(self, least: i64, most: i64) -> Self {
        self.with("MinValue", least.into()).with("MaxValue", most.into())
    }

    /// Where the console shows it.
    #[must_use]
    pub fn in_group(mut self, group: &'static str) -> Self {
        self.group = group;
        self
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.fields.insert(key.into(), value);
        self
    }

    pub(super) fn render(&self) -> Value {
        Value::Object(self.fields.clone())
    }
}

/// A parameter of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterRef(String);

impl ParameterRef {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Its value.
    pub fn value(&self) -> Expr {
        Expr::Ref(self.0.clone())
    }
}

impl From<&ParameterRef> for Expr {
    fn from(parameter: &ParameterRef) -> Self {
        parameter.value()
    }
}
