//! A configuration as a flat list of names and values.

use serde_json::Value;

/// A value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
    /// Anything else.
    Text(String),
}

impl std::fmt::Display for ParamValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// The leaves of a tree by their dotted names (`model.optimizer.name`), in the tree's order. Lists stay whole, as JSON
/// text; nulls and empty maps are left out.
pub fn flatten(tree: &Value) -> Vec<(String, ParamValue)> {
    let mut all = Vec::new();
    walk(String::new(), tree, &mut all);
    all
}

fn walk(name: String, node: &Value, all: &mut Vec<(String, ParamValue)>) {
    let value = match node {
        Value::Null => return,
        Value::Object(map) => {
            for (key, child) in map {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                walk(name, child, all);
            }
            return;
        }
        Value::Bool(value) => ParamValue::Bool(*value),
        Value::Number(value) => match value.as_f64() {
            Some(value) => ParamValue::Number(value),
            None => ParamValue::Text(value.to_string()),
        },
        Value::String(text) => ParamValue::Text(text.clone()),
        Value::Array(_) => ParamValue::Text(node.to_string()),
    };
    all.push((name, value));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_have_dotted_names_and_nulls_are_left_out() {
        let tree = json!({"seed": 42, "model": {"lr": 1e-3, "name": "resnet18", "weights": null, "opt": {"betas": [0.9, 0.99]}}, "test": true});
        let texts: Vec<String> = flatten(&tree).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            texts,
            ["seed=42", "model.lr=0.001", "model.name=resnet18", "model.opt.betas=[0.9,0.99]", "test=true"]
        );
        assert!(flatten(&json!({})).is_empty());
    }
}
