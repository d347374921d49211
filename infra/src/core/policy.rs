//! Policies of IAM and of resources.

use super::expr::{Expr, object};

/// Whether a statement allows or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Allow.
    Allow,
    /// Deny, whatever else allows.
    Deny,
}

/// One statement of a policy.
#[derive(Clone, Debug)]
#[must_use = "a statement says something only in a policy"]
pub struct Statement(Vec<(String, Expr)>);

impl Statement {
    /// Allows these actions.
    pub fn allow<A: Into<Expr>>(sid: &str, actions: impl IntoIterator<Item = A>) -> Self {
        Self::new(sid, Effect::Allow, actions)
    }

    /// Denies these actions.
    pub fn deny<A: Into<Expr>>(sid: &str, actions: impl IntoIterator<Item = A>) -> Self {
        Self::new(sid, Effect::Deny, actions)
    }

    fn new<A: Into<Expr>>(sid: &str, effect: Effect, actions: impl IntoIterator<Item = A>) -> Self {
        let effect = if effect == Effect::Allow { "Allow" } else { "Deny" };
        let actions = Expr::list(actions);
        Self(vec![("Sid".into(), sid.into()), ("Effect".into(), effect.into()), ("Action".into(), actions)])
    }

    /// On these resources.
    pub fn on<R: Into<Expr>>(self, resources: impl IntoIterator<Item = R>) -> Self {
        self.with("Resource", Expr::list(resources))
    }

    /// On whatever there is. Only for actions that know no resources (`kidu-infra lint` checks that), and in policies
    /// of keys, where it means the key itself.
    pub fn on_everything(self) -> Self {
        self.with("Resource", "*")
    }

    /// For a principal, in policies of resources: `{"Service": ...}` or `{"AWS": ...}`.
    pub fn to(self, principal: impl Into<Expr>) -> Self {
        self.with("Principal", principal)
    }

    /// Under a condition: the operator, the key and the value it is compared with.
    pub fn when(mut self, operator: &str, key: &str, value: impl Into<Expr>) -> Self {
        let condition = (key.to_string(), value.into());
        let place = self.0.iter_mut().find(|(name, _)| name == "Condition");
        match place {
            Some((_, Expr::Object(operators))) => match operators.iter_mut().find(|(name, _)| name == operator) {
                Some((_, Expr::Object(keys))) => keys.push(condition),
                _ => operators.push((operator.into(), Expr::Object(vec![condition]))),
            },
            _ => {
                self.0.push(("Condition".into(), Expr::Object(vec![(operator.into(), Expr::Object(vec![condition]))])))
            }
        }
        self
    }

    fn with(mut self, key: &str, value: impl Into<Expr>) -> Self {
        self.0.push((key.into(), value.into()));
        self
    }
}

/// A policy.
#[derive(Clone, Debug)]
pub struct PolicyDocument(Vec<Statement>);

impl PolicyDocument {
    /// Of these statements.
    pub fn new(statements: impl IntoIterator<Item = Statement>) -> Self {
        Self(statements.into_iter().collect())
    }

    /// A role's trust in a service. If `guarded`, only on behalf of this account's resources: otherwise
    /// the service could be made to use the role for somebody else (the confused deputy).
    pub fn trust(service: &str, guarded: bool) -> Self {
        let statement = Statement::allow("Assume", ["sts:AssumeRole"]).to(service_principal(service));
        if !guarded {
            return Self::new([statement]);
        }
        // AWS does not document that these say for whom they act whenever they take a role. Where they do not, who may hand
        // them the role (iam:PassRole) is what guards it; where they do, another account is refused as by the others.
        let operator = match service {
            "cloudformation.amazonaws.com" | "codepipeline.amazonaws.com" => "StringEqualsIfExists",
            _ => "StringEquals",
        };
        Self::new([statement.when(operator, "aws:SourceAccount", super::expr::pseudo::account())])
    }
}

impl From<PolicyDocument> for Expr {
    fn from(policy: PolicyDocument) -> Self {
        let statements = policy.0.into_iter().map(|s| Self::Object(s.0)).collect();
        object! { "Version" => "2012-10-17", "Statement" => Self::List(statements) }
    }
}

/// A service as a principal.
pub fn service_principal(service: &str) -> Expr {
    object! { "Service" => service }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_guarded_role_is_for_this_account_alone() {
        let account = json!({"aws:SourceAccount": {"Ref": "AWS::AccountId"}});
        let trust = |service: &str| Expr::from(PolicyDocument::trust(service, true)).render()["Statement"][0].clone();
        assert_eq!(trust("codebuild.amazonaws.com")["Condition"], json!({"StringEquals": account}));
        // Neither is refused where it does not name an account.
        for service in ["cloudformation.amazonaws.com", "codepipeline.amazonaws.com"] {
            assert_eq!(trust(service)["Condition"], json!({"StringEqualsIfExists": account}), "{service}");
        }
        let open = Expr::from(PolicyDocument::trust("lambda.amazonaws.com", false)).render();
        assert_eq!(open["Statement"][0].get("Condition"), None);
    }
}
