//! The resource types we use, each with its properties, its attributes and what changing it does. They are a part of
//! CloudFormation's own schemas; a test compares them with those that cfn-lint carries.

mod catalog;
mod delivery;
mod events;
mod inference;
mod monitoring;
mod sagemaker;
mod security;
mod storage;

pub use catalog::*;
pub use delivery::*;
pub use events::*;
pub use inference::*;
pub use monitoring::*;
pub use sagemaker::*;
pub use security::*;
pub use storage::*;

use crate::core::ResourceType;

/// All types we know.
pub fn types() -> impl Iterator<Item = &'static ResourceType> {
    [
        storage::TYPES,
        security::TYPES,
        events::TYPES,
        delivery::TYPES,
        sagemaker::TYPES,
        inference::TYPES,
        monitoring::TYPES,
        catalog::TYPES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The type of that name.
pub fn find(name: &str) -> Option<&'static ResourceType> {
    types().find(|t| t.name == name)
}
