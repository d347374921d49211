//! A resource that stands in a stack.

use std::{fmt, marker::PhantomData};

use serde_json::{Value, json};

use super::{
    condition::Condition,
    expr::Expr,
    scope::Scope,
    stack::{Entry, Keep},
};

/// A resource in a stack: what others refer to it by, and how its options are set.
pub struct Handle<R> {
    scope: Scope,
    id: String,
    kind: PhantomData<R>,
}

impl<R> Clone for Handle<R> {
    fn clone(&self) -> Self {
        Self { scope: self.scope.clone(), id: self.id.clone(), kind: PhantomData }
    }
}

impl<R> fmt::Debug for Handle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.id).finish()
    }
}

impl<R> Handle<R> {
    pub(super) fn new(scope: Scope, id: String) -> Self {
        Self { scope, id, kind: PhantomData }
    }

    /// Its logical id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `Ref`: what that is depends on the type, mostly its name.
    pub fn reference(&self) -> Expr {
        Expr::Ref(self.id.clone())
    }

    /// An attribute by name; types have a method for each of theirs.
    pub fn attribute(&self, name: &str) -> Expr {
        Expr::GetAtt(self.id.clone(), name.into())
    }

    /// Made only where the condition holds.
    pub fn only_if(self, condition: &Condition) -> Self {
        self.change(|e| e.condition = Some(condition.name().to_string()))
    }

    /// Made after another resource although nothing refers to it.
    pub fn after<O>(self, other: &Handle<O>) -> Self {
        self.change(|e| e.depends_on.push(other.id.clone()))
    }

    /// Kept when the stack is deleted or the resource replaced.
    pub fn retained(self) -> Self {
        self.change(|e| e.keep = Keep::Always)
    }

    /// Kept like that, unless the operation that makes it fails: what has a fixed name would be in the way of the next attempt.
    pub fn retained_once_made(self) -> Self {
        self.change(|e| e.keep = Keep::OnceMade)
    }

    /// Kept when the resource is replaced, and deleted with the stack.
    pub fn retained_when_replaced(self) -> Self {
        self.change(|e| e.keep = Keep::WhenReplaced)
    }

    /// Changed by these rules (`UpdatePolicy`).
    pub fn with_update_policy(self, policy: Expr) -> Self {
        self.change(|e| e.update_policy = Some(policy))
    }

    /// A finding of a security checker that does not apply, with the reason. It goes into the template, where the
    /// checker and people find it.
    pub fn accept_finding(self, check: &str, reason: &str) -> Self {
        self.change(|e| e.accepted.push((check.into(), reason.into())))
    }

    fn change(self, change: impl FnOnce(&mut Entry)) -> Self {
        self.scope.stack().change(&self.id, change);
        self
    }
}

impl<R> From<&Handle<R>> for Expr {
    fn from(handle: &Handle<R>) -> Self {
        handle.reference()
    }
}

/// Accepted findings as checkov reads them (`Metadata.checkov.skip`), those of cfn-lint as it does.
pub(super) fn accepted_findings(accepted: &[(String, String)]) -> Value {
    let (cfn_lint, checkov): (Vec<_>, Vec<_>) = accepted.iter().partition(|(check, _)| !check.starts_with("CKV"));
    let mut metadata = json!({});
    if !checkov.is_empty() {
        let skip: Vec<Value> = checkov.iter().map(|(id, comment)| json!({"id": id, "comment": comment})).collect();
        metadata["checkov"] = json!({ "skip": skip });
    }
    if !cfn_lint.is_empty() {
        let ids: Vec<&str> = cfn_lint.iter().map(|(id, _)| id.as_str()).collect();
        let reasons: Value = cfn_lint.iter().map(|(id, reason)| (id.clone(), json!(reason))).collect();
        metadata["cfn-lint"] = json!({"config": {"ignore_checks": ids}});
        metadata["kidu"] = json!({ "accepted": reasons });
    }
    metadata
}
