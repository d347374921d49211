//! A service's role, and what holds roles.

use crate::{
    aws::Role,
    core::{Construct, Expr, Handle, PolicyDocument, Scope, Statement, object},
};

/// What holds a role, whatever its policies say: the boundary above them, and the path by which policies know whose the role is
/// where CloudFormation makes its name.
#[derive(Clone, Debug)]
pub struct Bounds {
    boundary: Expr,
    path: Option<Expr>,
}

impl Bounds {
    /// This boundary, the ARN of a managed policy.
    pub fn by(boundary: impl Into<Expr>) -> Self {
        Self { boundary: boundary.into(), path: None }
    }

    /// Roles without a name of their own lie below this path, as in `/kidu/`.
    #[must_use]
    pub fn below(mut self, path: impl Into<Expr>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The role with its boundary; `name` is its name, where other documents have to know it.
    pub fn hold(self, role: Role, name: Option<Expr>) -> Role {
        let role = match (name, self.path) {
            (Some(name), _) => role.role_name(name),
            (None, Some(path)) => role.path(path),
            (None, None) => role,
        };
        role.permissions_boundary(self.boundary)
    }
}

/// A role that one service uses for one purpose.
pub struct ServiceRole {
    /// The service, as in `codebuild.amazonaws.com`.
    pub service: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Its name, where other documents have to know it.
    pub name: Option<Expr>,
    /// What holds it.
    pub bounds: Bounds,
    /// Whether it is given to the service only on behalf of this account's resources. Not every service says so.
    pub guarded: bool,
    /// What it may do.
    pub statements: Vec<Statement>,
}

impl Construct for ServiceRole {
    type Made = Handle<Role>;

    fn build(self, scope: &Scope) -> Handle<Role> {
        let role = self
            .bounds
            .hold(Role::new(), self.name)
            .description(self.description)
            .assume_role_policy_document(PolicyDocument::trust(self.service, self.guarded))
            .policies([object! {
                "PolicyName" => "permissions",
                "PolicyDocument" => PolicyDocument::new(self.statements),
            }]);
        scope.add("Role", role)
    }
}
