//! A place in the tree of constructs.

use std::rc::Rc;

use super::{
    handle::Handle,
    logical_id::logical_id,
    resource::Resource,
    stack::{Entry, StackInner},
};

/// A place in a stack's tree. Resources are added to it under an id that is unique there; the logical id comes from
/// the whole path.
#[derive(Clone)]
pub struct Scope {
    stack: Rc<StackInner>,
    path: Vec<String>,
}

impl Scope {
    pub(super) fn root(stack: Rc<StackInner>) -> Self {
        Self { stack, path: Vec::new() }
    }

    /// A place below this one.
    #[must_use]
    pub fn child(&self, id: &str) -> Self {
        Self { stack: Rc::clone(&self.stack), path: self.path_of(id) }
    }

    /// Adds a resource.
    pub fn add<R: Resource>(&self, id: &str, resource: R) -> Handle<R> {
        let path = self.path_of(id);
        let logical = logical_id(&path);
        self.stack.add(Entry::new(logical.clone(), path.join("/"), R::TYPE, resource.into_properties()));
        Handle::new(self.clone(), logical)
    }

    /// Builds a construct below this place.
    pub fn build<C: Construct>(&self, id: &str, construct: C) -> C::Made {
        construct.build(&self.child(id))
    }

    pub(super) fn stack(&self) -> &StackInner {
        &self.stack
    }

    fn path_of(&self, id: &str) -> Vec<String> {
        let mut path = self.path.clone();
        path.push(id.to_string());
        path
    }
}

/// Several resources that belong together, with what decides their shape as fields.
pub trait Construct {
    /// What others need of it.
    type Made;

    /// Adds its resources to a place.
    fn build(self, scope: &Scope) -> Self::Made;
}
