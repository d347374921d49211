//! Values of templates: JSON with references and intrinsic functions as parts.

use serde_json::{Map, Number, Value, json};

use super::export::Export;

/// A value in a template. Plain JSON, or something CloudFormation works out while it deploys.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Expr>),
    /// An object; the order of its keys is kept.
    Object(Vec<(String, Expr)>),
    /// `Ref` of a parameter, a resource or a pseudo parameter.
    Ref(String),
    /// `Fn::GetAtt` of a resource.
    GetAtt(String, String),
    /// `Fn::Sub`: text with `${Name}` holes, and the values of those that are not names of the template.
    Sub(String, Vec<(String, Expr)>),
    /// `Fn::Join`.
    Join(String, Vec<Expr>),
    /// `Fn::If` of a condition.
    If(String, Box<Expr>, Box<Expr>),
    /// `Fn::Select`.
    Select(usize, Box<Expr>),
    /// `Fn::Split`.
    Split(String, Box<Expr>),
    /// `Fn::ImportValue` of another stack's export.
    Import(Export),
}

impl Expr {
    /// `Fn::Sub` without values of its own: its holes are names of the template.
    pub fn sub(text: impl Into<String>) -> Self {
        Self::Sub(text.into(), Vec::new())
    }

    /// `Fn::Sub` with values for holes. References are written into the text, so that only other values remain beside it.
    pub fn sub_with<V: Into<Self>>(
        text: impl Into<String>,
        values: impl IntoIterator<Item = (&'static str, V)>,
    ) -> Self {
        let mut text = text.into();
        let mut rest = Vec::new();
        for (name, value) in values {
            let hole = format!("${{{name}}}");
            match value.into() {
                Self::Ref(target) => text = text.replace(&hole, &format!("${{{target}}}")),
                Self::GetAtt(target, attribute) => text = text.replace(&hole, &format!("${{{target}.{attribute}}}")),
                Self::Text(literal) => text = text.replace(&hole, &literal),
                other => rest.push((name.to_string(), other)),
            }
        }
        if text.contains("${") { Self::Sub(text, rest) } else { Self::Text(text) }
    }

    /// Values joined by a separator. Neighbouring plain texts become one; only plain texts become plain text.
    pub fn join<V: Into<Self>>(separator: &str, values: impl IntoIterator<Item = V>) -> Self {
        let mut parts: Vec<Self> = Vec::new();
        for value in values {
            match (parts.last_mut(), value.into()) {
                (Some(Self::Text(text)), Self::Text(more)) => {
                    text.push_str(separator);
                    text.push_str(&more);
                }
                (_, value) => parts.push(value),
            }
        }
        match parts.as_slice() {
            [one @ Self::Text(_)] => one.clone(),
            _ => Self::Join(separator.into(), parts),
        }
    }

    /// A list of values.
    pub fn list<V: Into<Self>>(values: impl IntoIterator<Item = V>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }

    /// As CloudFormation reads it.
    pub fn render(&self) -> Value {
        match self {
            Self::Bool(b) => json!(b),
            Self::Number(n) => Value::Number(n.clone()),
            Self::Text(text) => json!(text),
            Self::List(items) => items.iter().map(Self::render).collect(),
            Self::Object(entries) => render_entries(entries),
            Self::Ref(target) => json!({"Ref": target}),
            Self::GetAtt(target, attribute) => json!({"Fn::GetAtt": [target, attribute]}),
            Self::Sub(text, values) if values.is_empty() => json!({"Fn::Sub": text}),
            Self::Sub(text, values) => json!({"Fn::Sub": [text, render_entries(values)]}),
            Self::Join(separator, items) => {
                json!({"Fn::Join": [separator, items.iter().map(Self::render).collect::<Vec<_>>()]})
            }
            Self::If(condition, yes, no) => json!({"Fn::If": [condition, yes.render(), no.render()]}),
            Self::Select(index, list) => json!({"Fn::Select": [index, list.render()]}),
            Self::Split(separator, text) => json!({"Fn::Split": [separator, text.render()]}),
            Self::Import(export) => json!({"Fn::ImportValue": {"Fn::Sub": export.name_template()}}),
        }
    }

    /// Calls `visit` with every export of another stack in here.
    pub(super) fn visit_imports(&self, visit: &mut dyn FnMut(&Export)) {
        match self {
            Self::Import(export) => visit(export),
            Self::List(items) | Self::Join(_, items) => items.iter().for_each(|i| i.visit_imports(visit)),
            Self::Object(entries) | Self::Sub(_, entries) => entries.iter().for_each(|(_, v)| v.visit_imports(visit)),
            Self::If(_, yes, no) => {
                yes.visit_imports(visit);
                no.visit_imports(visit);
            }
            Self::Select(_, inner) | Self::Split(_, inner) => inner.visit_imports(visit),
            Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Ref(_) | Self::GetAtt(..) => {}
        }
    }
}

fn render_entries(entries: &[(String, Expr)]) -> Value {
    Value::Object(entries.iter().map(|(k, v)| (k.clone(), v.render())).collect::<Map<_, _>>())
}

/// What removes a property when a condition chooses it (`AWS::NoValue`).
pub fn no_value() -> Expr {
    Expr::Ref("AWS::NoValue".into())
}

/// Pseudo parameters.
pub mod pseudo {
    use super::Expr;

    /// The account.
    pub fn account() -> Expr {
        Expr::Ref("AWS::AccountId".into())
    }

    /// The region.
    pub fn region() -> Expr {
        Expr::Ref("AWS::Region".into())
    }

    /// The stack's name.
    pub fn stack_name() -> Expr {
        Expr::Ref("AWS::StackName".into())
    }
}

/// An object in a template: `object! { "Key" => value, ... }`.
macro_rules! object {
    ($($key:expr => $value:expr),* $(,)?) => {
        $crate::core::Expr::Object(vec![$(($key.to_string(), $crate::core::Expr::from($value))),*])
    };
}
pub(crate) use object;

impl From<&str> for Expr {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Expr {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&Expr> for Expr {
    fn from(expr: &Expr) -> Self {
        expr.clone()
    }
}

impl From<bool> for Expr {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Expr {
    fn from(value: i32) -> Self {
        Self::Number(value.into())
    }
}

impl From<i64> for Expr {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl From<f64> for Expr {
    /// What JSON cannot hold becomes text, which every check of a template refuses for a number.
    fn from(value: f64) -> Self {
        Number::from_f64(value).map_or_else(|| Self::Text(value.to_string()), Self::Number)
    }
}

impl<V: Into<Expr>> From<Vec<V>> for Expr {
    fn from(values: Vec<V>) -> Self {
        Self::list(values)
    }
}

impl<V: Into<Expr>, const N: usize> From<[V; N]> for Expr {
    fn from(values: [V; N]) -> Self {
        Self::list(values)
    }
}

impl From<Value> for Expr {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => no_value(),
            Value::Bool(b) => Self::Bool(b),
            Value::Number(n) => Self::Number(n),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::list(items),
            Value::Object(entries) => Self::Object(entries.into_iter().map(|(k, v)| (k, v.into())).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_written_into_the_text() {
        let bucket = Expr::GetAtt("Bucket1A".into(), "Arn".into());
        let expr = Expr::sub_with(
            "${b}/x/${p}/${j}",
            [("b", bucket), ("p", "k".into()), ("j", Expr::join("-", [pseudo::region()]))],
        );
        assert_eq!(
            expr.render(),
            json!({"Fn::Sub": ["${Bucket1A.Arn}/x/k/${j}", {"j": {"Fn::Join": ["-", [{"Ref": "AWS::Region"}]]}}]})
        );
        assert_eq!(Expr::sub_with("a/${p}", [("p", "k")]), Expr::Text("a/k".into()));
    }

    #[test]
    fn plain_texts_are_joined_before_deployment() {
        assert_eq!(Expr::join("/", ["a", "b"]), Expr::Text("a/b".into()));
        let mixed = Expr::join("/", [Expr::from("a"), "b".into(), pseudo::account(), "c".into()]);
        assert_eq!(mixed.render(), json!({"Fn::Join": ["/", ["a/b", {"Ref": "AWS::AccountId"}, "c"]]}));
    }
}
