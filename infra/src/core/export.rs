//! Values that one stack hands to others.

/// The parameter, in every stack that exports or imports, that sets installations in one account apart.
pub(crate) const PREFIX: &str = "Foundation";

/// An output of a stack that other stacks read by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    pub(super) stack: String,
    pub(super) name: String,
}

impl Export {
    pub(super) fn new(stack: &str, name: &str) -> Self {
        Self { stack: stack.into(), name: name.into() }
    }

    /// The stack that exports it.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// Its name, for `Fn::Sub`: unique in an account and region.
    pub(super) fn name_template(&self) -> String {
        format!("${{{PREFIX}}}-{}", self.name)
    }
}

impl From<&Export> for super::Expr {
    fn from(export: &Export) -> Self {
        Self::Import(export.clone())
    }
}
