//! A service's role.

use crate::{
    aws::Role,
    core::{Construct, Expr, Handle, PolicyDocument, Scope, Statement, object},
};

/// A role that one service uses for one purpose.
pub struct ServiceRole {
    /// The service, as in `codebuild.amazonaws.com`.
    pub service: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Its name, where other documents have to know it.
    pub name: Option<Expr>,
    /// Whether it is given to the service only on behalf of this account's resources. Not every service says so.
    pub guarded: bool,
    /// What it may do.
    pub statements: Vec<Statement>,
}

impl Construct for ServiceRole {
    type Made = Handle<Role>;

    fn build(self, scope: &Scope) -> Handle<Role> {
        let mut role = Role::new();
        if let Some(name) = self.name {
            role = role.role_name(name);
        }
        let role = role
            .description(self.description)
            .assume_role_policy_document(PolicyDocument::trust(self.service, self.guarded))
            .policies([object! {
                "PolicyName" => "permissions",
                "PolicyDocument" => PolicyDocument::new(self.statements),
            }]);
        scope.add("Role", role)
    }
}
