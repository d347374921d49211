//! Conditions of a template.

use serde_json::{Value, json};

use super::expr::Expr;

/// A named condition of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(String);

impl Condition {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// One value where it holds, another where not.
    pub fn choose(&self, yes: impl Into<Expr>, no: impl Into<Expr>) -> Expr {
        Expr::If(self.0.clone(), Box::new(yes.into()), Box::new(no.into()))
    }

    /// A value where it holds, nothing where not.
    pub fn then(&self, yes: impl Into<Expr>) -> Expr {
        self.choose(yes, super::expr::no_value())
    }
}

/// What a condition asks. Made of parameters and other conditions only.
#[derive(Clone, Debug)]
pub enum Test {
    /// Two values are the same text.
    Equal(Expr, Expr),
    /// The other does not hold.
    Not(Box<Test>),
    /// All hold.
    All(Vec<Test>),
    /// One holds.
    Any(Vec<Test>),
    /// A condition of the stack holds.
    Holds(Condition),
}

impl Test {
    /// The value is this text.
    pub fn is(value: impl Into<Expr>, text: &str) -> Self {
        Self::Equal(value.into(), text.into())
    }

    /// The value is not empty.
    pub fn given(value: impl Into<Expr>) -> Self {
        Self::Not(Box::new(Self::is(value, "")))
    }

    pub(super) fn render(&self) -> Value {
        let all = |tests: &[Self]| tests.iter().map(Self::render).collect::<Vec<_>>();
        match self {
            Self::Equal(a, b) => json!({"Fn::Equals": [a.render(), b.render()]}),
            Self::Not(inner) => json!({"Fn::Not": [inner.render()]}),
            Self::All(tests) => json!({"Fn::And": all(tests)}),
            Self::Any(tests) => json!({"Fn::Or": all(tests)}),
            Self::Holds(condition) => json!({"Condition": condition.name()}),
        }
    }
}
