//! Resources that belong together, as they are wanted in every stack.

mod actions;
mod alarm;
mod bucket;
mod build;
mod debounce;
mod delivery;
mod logs;
mod role;

pub(crate) use actions::{CHANGE_ROLES, DELIVER_LOGS, KEEP_ROLES, READ_BOUNDARY};
pub use alarm::MetricAlarm;
pub use bucket::SecureBucket;
pub use build::{BuildStep, Compute};
pub use debounce::Debounced;
pub use delivery::{Delivery, EventTrigger, Source};
pub(crate) use delivery::{action_type, own_account, pass_role, pipeline_arn};
pub use logs::Logs;
pub use role::{Bounds, ServiceRole};
