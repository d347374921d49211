//! What is asked of CloudFormation, and what it answers.

/// A stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackDescription {
    /// As `UPDATE_COMPLETE`.
    pub status: String,
    /// Its reason.
    pub reason: Option<String>,
    /// Its parameters and their values; what must not be shown is stars.
    pub parameters: Vec<(String, String)>,
    /// What it hands out.
    pub outputs: Vec<(String, String)>,
    /// Whether it must not be deleted.
    pub protected: bool,
}

/// A change of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// `Add`, `Modify`, `Remove` ...
    pub action: String,
    /// The resource's name in the template.
    pub logical_id: String,
    /// Its type.
    pub kind: String,
    /// `True`, `False`, `Conditional`.
    pub replacement: Option<String>,
    /// What becomes of the old one.
    pub policy: Option<String>,
}

/// A change set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSetDescription {
    /// As `CREATE_COMPLETE`.
    pub status: String,
    /// Its reason.
    pub reason: Option<String>,
    /// Whether it may be executed.
    pub executable: bool,
    /// All changes.
    pub changes: Vec<Change>,
}

/// An event of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its identity.
    pub id: String,
    /// The resource's name in the template, or the stack's.
    pub logical_id: String,
    /// The resource's type.
    pub kind: String,
    /// The resource's status.
    pub status: String,
    /// Its reason.
    pub reason: Option<String>,
}

/// A change set that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct ChangeSetRequest<'a> {
    /// The stack.
    pub stack: &'a str,
    /// The change set.
    pub name: &'a str,
    /// Whether it makes the stack.
    pub create: bool,
    /// The template, or its address (`https://`).
    pub template: Result<&'a str, &'a str>,
    /// Parameters; without a value the stack's own is kept.
    pub parameters: &'a [(String, Option<String>)],
    /// As `CAPABILITY_NAMED_IAM`.
    pub capabilities: &'a [&'a str],
    /// The role that makes the resources; nothing: the one that made them before, or the caller.
    pub role: Option<&'a str>,
}
