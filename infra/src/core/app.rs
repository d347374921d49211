//! The app: all stacks of an installation.

use kidu_core::suggest::{did_you_mean, nearest};

use super::{
    assembly::{Assembly, StackArtifact},
    stack::Stack,
};
use crate::error::{Error, Result};

/// All stacks of an installation.
#[derive(Default)]
pub struct App {
    stacks: Vec<Stack>,
}

impl App {
    /// Without stacks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stack: its name, which is also that of its template's file, and one sentence for people.
    pub fn stack(&mut self, name: &str, description: &str) -> Stack {
        let stack = Stack::new(name, description);
        self.stacks.push(stack.clone());
        stack
    }

    /// The templates, each after those that it imports from.
    ///
    /// # Errors
    /// [`Error::Clash`] for a name that is used twice, [`Error::UnknownExport`] and [`Error::Cycle`] for imports that
    /// cannot be.
    pub fn synth(&self) -> Result<Assembly> {
        let mut artifacts = Vec::with_capacity(self.stacks.len());
        for (i, stack) in self.stacks.iter().enumerate() {
            if self.stacks[..i].iter().any(|s| s.name() == stack.name()) {
                return Err(Error::Clash { stack: stack.name().into(), path: "the stack's name".into() });
            }
            let mut after: Vec<String> = Vec::new();
            for export in stack.imports() {
                self.check_stack(stack.name(), export.stack())?;
                if !after.contains(&export.stack) {
                    after.push(export.stack);
                }
            }
            artifacts.push(StackArtifact { name: stack.name().into(), template: stack.synth()?, after });
        }
        Ok(Assembly::new(in_order(artifacts)?))
    }

    fn check_stack(&self, importer: &str, name: &str) -> Result<()> {
        let names = || self.stacks.iter().map(Stack::name);
        if names().any(|n| n == name) {
            return Ok(());
        }
        let hint = did_you_mean(nearest(name, names()));
        Err(Error::UnknownExport { stack: importer.into(), from: name.into(), hint })
    }
}

/// Each after those it needs, otherwise in the order given.
fn in_order(mut waiting: Vec<StackArtifact>) -> Result<Vec<StackArtifact>> {
    let mut done: Vec<StackArtifact> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|s| s.after.iter().all(|a| done.iter().any(|d| d.name == *a)));
        match ready {
            Some(i) => done.push(waiting.remove(i)),
            None => return Err(Error::Cycle { stacks: waiting.into_iter().map(|s| s.name).collect() }),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::LogGroup;

    fn importing(app: &mut App, name: &str, from: &str) -> Stack {
        let stack = app.stack(name, "s");
        stack.installation();
        let export = super::super::Export::new(from, "Name");
        stack.add("Log", LogGroup::new().log_group_name(&export));
        stack
    }

    #[test]
    fn stacks_come_after_those_they_import_from() {
        let mut app = App::new();
        importing(&mut app, "second", "first");
        app.stack("first", "f").export("Name", "n", "x");
        let assembly = app.synth().unwrap();
        assert_eq!(assembly.stacks.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    }

    #[test]
    fn what_cannot_be_is_told() {
        let mut app = App::new();
        importing(&mut app, "a", "b");
        importing(&mut app, "b", "a");
        assert!(matches!(app.synth(), Err(Error::Cycle { .. })));
        let mut app = App::new();
        importing(&mut app, "foundation", "foundatoin");
        let error = app.synth().err().unwrap().to_string();
        assert!(error.contains("did you mean 'foundation'"), "{error}");
        let mut app = App::new();
        let stack = app.stack("a", "a");
        stack.add("Same", LogGroup::new());
        stack.add("Same", LogGroup::new());
        assert!(app.synth().err().unwrap().to_string().contains("Same"));
    }
}
