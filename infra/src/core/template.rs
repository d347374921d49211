//! A template as JSON, with the questions that tests and checks ask of it.

use serde_json::{Map, Value};

/// A template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Value);

impl Template {
    /// From JSON.
    pub fn new(json: Value) -> Self {
        Self(json)
    }

    /// The JSON.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// A section, such as `Resources`; empty if the template has none.
    pub fn section(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.0.get(name).and_then(Value::as_object).into_iter().flatten().map(|(k, v)| (k.as_str(), v))
    }

    /// The resources, by logical id.
    pub fn resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.section("Resources")
    }

    /// The resources of a type, by logical id.
    pub fn resources_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.resources().filter(move |(_, r)| type_of(r) == kind)
    }

    /// The resource that stands at a path of the construct tree.
    pub fn resource_at(&self, path: &str) -> Option<(&str, &Value)> {
        self.resources().find(|(_, r)| r.pointer("/Metadata/kidu:path").and_then(Value::as_str) == Some(path))
    }

    /// Text as it is written to files: two spaces, a newline at the end.
    pub fn to_text(&self) -> String {
        format!("{:#}\n", self.0)
    }

    /// Checks that there are so many resources of a type.
    ///
    /// # Panics
    /// When there are not: this is for tests.
    pub fn resource_count_is(&self, kind: &str, count: usize) {
        let found: Vec<&str> = self.resources_of(kind).map(|(id, _)| id).collect();
        assert!(found.len() == count, "{} resources of type {kind} instead of {count}: {found:?}", found.len());
    }

    /// Checks that a resource of a type has at least these properties: objects may have more keys, lists must be equal
    /// in length and order.
    ///
    /// # Panics
    /// When there is none: this is for tests. The message shows the nearest miss.
    pub fn has_resource_properties(&self, kind: &str, properties: &Value) {
        let none = Value::Object(Map::new());
        let misses: Vec<(usize, String)> = self
            .resources_of(kind)
            .map(|(id, resource)| {
                let missing = differences(properties, resource.get("Properties").unwrap_or(&none), "");
                (missing.len(), format!("{id}: {}", missing.join("; ")))
            })
            .collect();
        if misses.iter().any(|(count, _)| *count == 0) {
            return;
        }
        let nearest = misses.iter().min_by_key(|(count, _)| *count).map_or("there is none", |(_, why)| why);
        panic!("no resource of type {kind} has these properties; nearest: {nearest}");
    }
}

/// A resource's type, or nothing.
pub(crate) fn type_of(resource: &Value) -> &str {
    resource.get("Type").and_then(Value::as_str).unwrap_or_default()
}

/// Where `found` is not at least `wanted`.
fn differences(wanted: &Value, found: &Value, at: &str) -> Vec<String> {
    match (wanted, found) {
        (Value::Object(want), Value::Object(have)) => want
            .iter()
            .flat_map(|(key, value)| match have.get(key) {
                Some(there) => differences(value, there, &format!("{at}.{key}")),
                None => vec![format!("{at}.{key} is missing")],
            })
            .collect(),
        (Value::Array(want), Value::Array(have)) if want.len() == have.len() => {
            let pairs = want.iter().zip(have).enumerate();
            pairs.flat_map(|(i, (w, h))| differences(w, h, &format!("{at}[{i}]"))).collect()
        }
        _ if wanted == found => Vec::new(),
        _ => vec![format!("{at} is {found} instead of {wanted}")],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template() -> Template {
        let rule = |n: i64| json!({"Type": "T", "Properties": {"A": {"B": n, "C": [1, 2]}}});
        Template::new(json!({"Resources": {"X": rule(1), "Y": rule(2)}}))
    }

    #[test]
    fn more_keys_are_no_difference() {
        template().resource_count_is("T", 2);
        template().has_resource_properties("T", &json!({"A": {"B": 2}}));
        template().has_resource_properties("T", &json!({"A": {"C": [1, 2]}}));
    }

    #[test]
    #[should_panic(expected = "nearest: X: .A.C is [1,2] instead of [1]")]
    fn lists_are_compared_whole() {
        template().has_resource_properties("T", &json!({"A": {"C": [1]}}));
    }

    #[test]
    #[should_panic(expected = "2 resources of type T instead of 1")]
    fn counting_fails_aloud() {
        template().resource_count_is("T", 1);
    }
}
