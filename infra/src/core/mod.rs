//! The construct model: an [`App`] holds [`Stack`]s, a stack a tree of [`Scope`]s with typed resources, and synthesis
//! turns them into templates. Everything is a value; nothing here reads the clock, the network or a file.

mod app;
mod assembly;
mod condition;
mod export;
mod expr;
mod handle;
mod logical_id;
mod parameter;
mod policy;
mod resource;
mod scope;
mod stack;
mod template;

pub use app::App;
pub(crate) use assembly::capabilities;
pub use assembly::{Assembly, MANIFEST, StackArtifact};
pub use condition::{Condition, Test};
pub use export::Export;
pub use expr::{Expr, no_value, pseudo};
pub use handle::Handle;
pub use logical_id::logical_id;
pub use parameter::{Parameter, ParameterRef};
pub use policy::{Effect, PolicyDocument, Statement, service_principal};
pub use resource::{Property, Resource, ResourceType, Update};
pub use scope::{Construct, Scope};
pub use stack::Stack;
pub use template::Template;

pub(crate) use expr::object;
pub(crate) use resource::resources;
pub(crate) use template::type_of;
