//! A stack: what is deployed as one.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use serde_json::{Map, Value, json};

use super::{
    condition::{Condition, Test},
    export::{Export, PREFIX},
    expr::Expr,
    handle::{Handle, accepted_findings},
    parameter::{Parameter, ParameterRef},
    resource::{Resource, ResourceType},
    scope::{Construct, Scope},
    template::Template,
};
use crate::error::{Error, Result};

/// What stays in the account when the stack has no more use for a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing.
    Nothing,
    /// The resource, whatever happens.
    Always,
    /// The resource, once the operation that makes it has succeeded.
    OnceMade,
    /// What another took the place of; the resource itself goes with the stack.
    WhenReplaced,
}

impl Keep {
    /// `DeletionPolicy` and `UpdateReplacePolicy`: cfn-lint wants none or both.
    fn policies(self) -> Option<[&'static str; 2]> {
        match self {
            Self::Nothing => None,
            Self::Always => Some(["Retain", "Retain"]),
            Self::OnceMade => Some(["RetainExceptOnCreate", "Retain"]),
            Self::WhenReplaced => Some(["Delete", "Retain"]),
        }
    }
}

/// A resource of a stack.
pub(super) struct Entry {
    id: String,
    path: String,
    kind: &'static ResourceType,
    properties: Vec<(&'static str, Expr)>,
    pub(super) condition: Option<String>,
    pub(super) depends_on: Vec<String>,
    pub(super) keep: Keep,
    pub(super) update_policy: Option<Expr>,
    pub(super) accepted: Vec<(String, String)>,
}

impl Entry {
    pub(super) fn new(
        id: String,
        path: String,
        kind: &'static ResourceType,
        properties: Vec<(&'static str, Expr)>,
    ) -> Self {
        Self {
            id,
            path,
            kind,
            properties,
            condition: None,
            depends_on: Vec::new(),
            keep: Keep::Nothing,
            update_policy: None,
            accepted: Vec::new(),
        }
    }

    fn render(&self) -> Value {
        let mut out = json!({"Type": self.kind.name});
        if let Some(condition) = &self.condition {
            out["Condition"] = json!(condition);
        }
        match self.depends_on.as_slice() {
            [] => {}
            [one] => out["DependsOn"] = json!(one),
            many => out["DependsOn"] = json!(many),
        }
        if let Some([deleted, replaced]) = self.keep.policies() {
            out["DeletionPolicy"] = json!(deleted);
            out["UpdateReplacePolicy"] = json!(replaced);
        }
        if let Some(policy) = &self.update_policy {
            out["UpdatePolicy"] = policy.render();
        }
        let mut metadata = json!({"kidu:path": self.path});
        if let (Value::Object(all), Value::Object(accepted)) = (&mut metadata, accepted_findings(&self.accepted)) {
            all.extend(accepted);
        }
        out["Metadata"] = metadata;
        if !self.properties.is_empty() {
            out["Properties"] = self.properties.iter().map(|(k, v)| ((*k).to_string(), v.render())).collect();
        }
        out
    }
}

struct OutputEntry {
    name: String,
    description: String,
    value: Expr,
    export: Option<Export>,
    condition: Option<Condition>,
}

#[derive(Default)]
struct Content {
    parameters: Vec<(String, Parameter)>,
    conditions: Vec<(String, Test)>,
    resources: Vec<Entry>,
    outputs: Vec<OutputEntry>,
    /// Names used twice, told at synthesis.
    clashes: Vec<String>,
}

pub(super) struct StackInner {
    name: String,
    description: String,
    content: RefCell<Content>,
}

impl StackInner {
    pub(super) fn add(&self, entry: Entry) {
        let mut content = self.content.borrow_mut();
        if content.resources.iter().any(|e| e.id == entry.id) {
            content.clashes.push(entry.path.clone());
        }
        content.resources.push(entry);
    }

    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut Entry)) {
        let mut content = self.content.borrow_mut();
        if let Some(entry) = content.resources.iter_mut().find(|e| e.id == id) {
            change(entry);
        }
    }
}

/// A stack under construction. A clone is the same stack.
#[derive(Clone)]
pub struct Stack(Rc<StackInner>);

impl Stack {
    pub(super) fn new(name: &str, description: &str) -> Self {
        let content = RefCell::default();
        Self(Rc::new(StackInner { name: name.into(), description: description.into(), content }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The root of its tree.
    pub fn scope(&self) -> Scope {
        Scope::root(Rc::clone(&self.0))
    }

    /// Adds a resource at the root.
    pub fn add<R: Resource>(&self, id: &str, resource: R) -> Handle<R> {
        self.scope().add(id, resource)
    }

    /// Builds a construct at the root.
    pub fn build<C: Construct>(&self, id: &str, construct: C) -> C::Made {
        self.scope().build(id, construct)
    }

    /// Adds a parameter.
    pub fn parameter(&self, name: &str, parameter: Parameter) -> ParameterRef {
        let mut content = self.0.content.borrow_mut();
        if content.parameters.iter().any(|(known, _)| known == name) {
            content.clashes.push(format!("parameter {name}"));
        }
        content.parameters.push((name.into(), parameter));
        ParameterRef::new(name)
    }

    /// The parameter that sets installations in one account apart, in stacks that export or import.
    pub fn installation(&self) -> ParameterRef {
        if self.0.content.borrow().parameters.iter().any(|(name, _)| name == PREFIX) {
            return ParameterRef::new(PREFIX);
        }
        let parameter = Parameter::text("Name of the installation: prefix of what the stacks share")
            .default("kidu")
            .pattern("^[a-z][a-z0-9-]{1,20}$", "2 to 21 lower-case letters, digits and hyphens, a letter first")
            .in_group("Installation");
        self.parameter(PREFIX, parameter)
    }

    /// Adds a condition.
    pub fn condition(&self, name: &str, test: Test) -> Condition {
        let mut content = self.0.content.borrow_mut();
        if content.conditions.iter().any(|(known, _)| known == name) {
            content.clashes.push(format!("condition {name}"));
        }
        content.conditions.push((name.into(), test));
        Condition::new(name)
    }

    /// Adds an output for people and other systems.
    pub fn output(&self, name: &str, description: &str, value: impl Into<Expr>) {
        self.add_output(name, description, value.into(), None, None);
    }

    /// Adds an output that exists only where a condition holds.
    pub fn output_if(&self, condition: &Condition, name: &str, description: &str, value: impl Into<Expr>) {
        self.add_output(name, description, value.into(), None, Some(condition.clone()));
    }

    /// Adds an output that other stacks import.
    pub fn export(&self, name: &str, description: &str, value: impl Into<Expr>) -> Export {
        let export = Export::new(self.name(), name);
        self.add_output(name, description, value.into(), Some(export.clone()), None);
        export
    }

    fn add_output(
        &self,
        name: &str,
        description: &str,
        value: Expr,
        export: Option<Export>,
        condition: Option<Condition>,
    ) {
        let mut content = self.0.content.borrow_mut();
        if content.outputs.iter().any(|o| o.name == name) {
            content.clashes.push(format!("output {name}"));
        }
        content.outputs.push(OutputEntry {
            name: name.into(),
            description: description.into(),
            value,
            export,
            condition,
        });
    }

    /// The stacks whose exports it imports, in order of name.
    pub(super) fn imports(&self) -> Vec<Export> {
        let content = self.0.content.borrow();
        let mut found = BTreeMap::new();
        let mut visit = |export: &Export| {
            found.insert((export.stack.clone(), export.name.clone()), export.clone());
        };
        content.resources.iter().flat_map(|e| &e.properties).for_each(|(_, v)| v.visit_imports(&mut visit));
        content.outputs.iter().for_each(|o| o.value.visit_imports(&mut visit));
        found.into_values().collect()
    }

    /// The template.
    pub(super) fn synth(&self) -> Result<Template> {
        let content = self.0.content.borrow();
        if let Some(path) = content.clashes.first() {
            return Err(Error::Clash { stack: self.name().into(), path: path.clone() });
        }
        let mut root = json!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": self.0.description,
        });
        if !content.parameters.is_empty() {
            root["Metadata"] = json!({"AWS::CloudFormation::Interface": {"ParameterGroups": groups(&content)}});
            root["Parameters"] = content.parameters.iter().map(|(k, p)| (k.clone(), p.render())).collect();
        }
        if !content.conditions.is_empty() {
            root["Conditions"] = content.conditions.iter().map(|(k, t)| (k.clone(), t.render())).collect();
        }
        root["Resources"] = content.resources.iter().map(|e| (e.id.clone(), e.render())).collect();
        if !content.outputs.is_empty() {
            root["Outputs"] = content.outputs.iter().map(|o| (o.name.clone(), render_output(o))).collect();
        }
        Ok(Template::new(root))
    }
}

fn render_output(output: &OutputEntry) -> Value {
    let mut out = json!({"Description": output.description, "Value": output.value.render()});
    if let Some(export) = &output.export {
        out["Export"] = json!({"Name": {"Fn::Sub": export.name_template()}});
    }
    if let Some(condition) = &output.condition {
        out["Condition"] = json!(condition.name());
    }
    out
}

/// Parameters by group, in the order the groups first appear.
fn groups(content: &Content) -> Vec<Value> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, parameter) in &content.parameters {
        match groups.iter_mut().find(|(label, _)| *label == parameter.group) {
            Some((_, names)) => names.push(name),
            None => groups.push((parameter.group, vec![name])),
        }
    }
    let group = |(label, names): &(&str, Vec<&str>)| -> Value {
        let mut out = Map::new();
        out.insert("Label".into(), json!({"default": label}));
        out.insert("Parameters".into(), json!(names));
        out.into()
    };
    groups.iter().map(group).collect()
}
