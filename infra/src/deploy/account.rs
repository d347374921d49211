//! What deployment asks of an account. The library compiles no SDK: the binary brings the calls, tests bring scripts.

use serde::Serialize;

/// A stack that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeployedStack {
    /// CloudFormation's status, as `UPDATE_COMPLETE`.
    pub status: String,
    /// Its reason, if it has one.
    pub reason: Option<String>,
    /// Its parameters and their values; what must not be shown is stars.
    pub parameters: Vec<(String, String)>,
    /// What it hands out, by name.
    pub outputs: Vec<(String, String)>,
    /// Whether it must not be deleted.
    pub protected: bool,
}

/// What a change set does to a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResourceChange {
    /// `Add`, `Modify`, `Remove`, `Import` or `Dynamic`.
    pub action: String,
    /// Its name in the template.
    pub logical_id: String,
    /// Its type.
    pub kind: String,
    /// `True`, `False` or `Conditional`; for modifications.
    pub replacement: Option<String>,
    /// `Delete`, `Retain` or others: what becomes of the old one.
    pub policy: Option<String>,
}

/// A change set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChangeSet {
    /// `CREATE_PENDING`, `CREATE_IN_PROGRESS`, `CREATE_COMPLETE`, `FAILED` or others.
    pub status: String,
    /// Its reason, if it has one.
    pub reason: Option<String>,
    /// Whether it may be executed (`AVAILABLE`).
    pub executable: bool,
    /// All changes.
    pub changes: Vec<ResourceChange>,
}

/// Something that happened to a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackEvent {
    /// Its own identity.
    pub id: String,
    /// The resource's name in the template, or the stack's.
    pub logical_id: String,
    /// The resource's type.
    pub kind: String,
    /// The resource's status.
    pub status: String,
    /// Its reason, if it has one.
    pub reason: Option<String>,
}

/// Where CloudFormation takes a template from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateSource<'a> {
    /// The request itself.
    Body(&'a str),
    /// An object in S3.
    Url(&'a str),
}

/// A change set that is wanted.
#[derive(Clone, Debug)]
pub struct NewChangeSet<'a> {
    /// The stack.
    pub stack: &'a str,
    /// The change set's name.
    pub name: &'a str,
    /// Whether it makes the stack.
    pub create: bool,
    /// The template.
    pub template: TemplateSource<'a>,
    /// Each parameter; nothing keeps its value.
    pub parameters: &'a [(String, Option<String>)],
    /// What the template is allowed to make.
    pub capabilities: &'a [&'static str],
    /// The role by which CloudFormation makes the resources; nothing: the one of before, or the caller's rights.
    pub role: Option<&'a str>,
}

/// Why a call failed: a sentence that says what, why and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError(pub String);

/// A result of a call.
pub type Called<T> = Result<T, CallError>;

/// CloudFormation in a region of an account.
pub trait Account {
    /// A stack, if there is one that has not been deleted.
    ///
    /// # Errors
    /// [`CallError`], as of all calls.
    fn stack(&self, name: &str) -> Called<Option<DeployedStack>>;
    /// The template of a stack as it was given, if the stack is there.
    ///
    /// # Errors
    /// [`CallError`].
    fn template(&self, stack: &str) -> Called<Option<String>>;
    /// Begins to make a change set.
    ///
    /// # Errors
    /// [`CallError`].
    fn create_change_set(&self, wanted: &NewChangeSet<'_>) -> Called<()>;
    /// A change set with all its changes, if there is one.
    ///
    /// # Errors
    /// [`CallError`].
    fn change_set(&self, stack: &str, name: &str) -> Called<Option<ChangeSet>>;
    /// Removes a change set.
    ///
    /// # Errors
    /// [`CallError`].
    fn delete_change_set(&self, stack: &str, name: &str) -> Called<()>;
    /// Begins to execute a change set. The same token again begins nothing new.
    ///
    /// # Errors
    /// [`CallError`].
    fn execute(&self, stack: &str, name: &str, token: &str) -> Called<()>;
    /// Events of a stack since the event `after` (without one, all), oldest first.
    ///
    /// # Errors
    /// [`CallError`].
    fn events(&self, stack: &str, after: Option<&str>) -> Called<Vec<StackEvent>>;
    /// The newest event of a stack, if it has one.
    ///
    /// # Errors
    /// [`CallError`].
    fn newest_event(&self, stack: &str) -> Called<Option<String>> {
        Ok(self.events(stack, None)?.pop().map(|event| event.id))
    }
    /// Begins to delete a stack, by a role or by that which made it.
    ///
    /// # Errors
    /// [`CallError`].
    fn delete_stack(&self, name: &str, token: &str, role: Option<&str>) -> Called<()>;
    /// Writes a template into a bucket, and gives its address.
    ///
    /// # Errors
    /// [`CallError`].
    fn upload(&self, bucket: &str, key: &str, text: &str) -> Called<String>;
    /// Lets time pass between two looks.
    fn pause(&self);
}
