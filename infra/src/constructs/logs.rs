//! Logs that end.

use crate::{
    aws::LogGroup,
    core::{Construct, Expr, Handle, Scope},
};

/// An encrypted group of logs with an end.
pub struct Logs {
    /// Its name.
    pub name: Expr,
    /// The key.
    pub key_arn: Expr,
    /// How long they are kept, in days.
    pub days: Expr,
}

impl Construct for Logs {
    type Made = Handle<LogGroup>;

    fn build(self, scope: &Scope) -> Handle<LogGroup> {
        let group = LogGroup::new().log_group_name(self.name).kms_key_id(self.key_arn).retention_in_days(self.days);
        scope.add("Logs", group)
    }
}
