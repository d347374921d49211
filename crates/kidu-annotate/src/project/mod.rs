//! A project set up in one command: what it should have is compared with what it has, and only the difference is made.

mod decide;

pub use decide::by_title;
use serde::Serialize;
use serde_json::{Map, Value};

use self::decide::{Decision, FormDecision};
use crate::{
    address,
    client::{Backend, LabelStudioClient, NewBackend, Project, S3Storage, StorageCredentials, StorageKind, Webhook},
    error::{AnnotateError, Result},
};

/// Which project.
#[derive(Clone, Debug)]
pub enum Which {
    /// The one with this title, made if there is none.
    Title(String),
    /// The one with this number.
    Id(u64),
}

/// What a project should have.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which project.
    pub project: Which,
    /// The classes that the form offers.
    pub classes: Vec<String>,
    /// Choices may be added to a form that lacks some.
    pub extend_form: bool,
    /// Where tasks come from.
    pub source: Option<S3Storage>,
    /// Where annotations go.
    pub target: Option<S3Storage>,
    /// A source storage that is there already is synchronised, too: `source`, or without one all that the project has.
    pub sync_source: bool,
    /// What Label Studio opens the buckets with.
    pub credentials: StorageCredentials,
    /// The backend to connect.
    pub backend: Option<NewBackend>,
    /// What the webhook carries, besides what it is about.
    pub webhook_headers: Map<String, Value>,
}

/// What became of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It was there as it should be.
    Exists,
    /// It was made.
    Created,
    /// It was there and is changed.
    Changed,
    /// It was there as it should be, and Label Studio looked into it for new objects.
    Synchronised,
}

/// One part of a project, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// `project`, `form`, `source`, `target`, `backend`, `webhook`.
    pub part: &'static str,
    /// What became of it.
    pub done: Done,
    /// Its number, if it has one.
    pub id: Option<u64>,
    /// What it is, for people.
    pub what: String,
}

/// What a project has now.
#[derive(Clone, Debug, Serialize)]
pub struct SetUp {
    /// The project's number.
    pub project: u64,
    /// Its title.
    pub title: String,
    /// Where people work in it.
    pub url: String,
    /// The parts that were asked for.
    pub parts: Vec<Part>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl SetUp {
    /// Whether nothing had to be done.
    pub fn is_unchanged(&self) -> bool {
        self.parts.iter().all(|p| p.done == Done::Exists)
    }
}

/// Brings a project to what is wanted. What is there already stays, also what nobody asked for; a second time nothing
/// changes. `told` hears of each part when it is done.
///
/// # Errors
/// [`AnnotateError`]; what was done until then stays done, and the next time goes on from there.
pub fn set_up(client: &LabelStudioClient, wanted: &Wanted, told: &mut dyn FnMut(&Part)) -> Result<SetUp> {
    let mut work = Work { client, wanted, parts: Vec::new(), notes: Vec::new(), told };
    let project = work.project()?;
    work.storage(StorageKind::Source, project.id)?;
    work.storage(StorageKind::Target, project.id)?;
    work.other_sources(project.id)?;
    work.backend(project.id)?;
    let Work { parts, notes, .. } = work;
    let url = format!("{}/projects/{}", client.server(), project.id);
    Ok(SetUp { project: project.id, title: project.title, url, parts, notes })
}

struct Work<'a> {
    client: &'a LabelStudioClient,
    wanted: &'a Wanted,
    parts: Vec<Part>,
    notes: Vec<String>,
    told: &'a mut dyn FnMut(&Part),
}

impl Work<'_> {
    fn tell(&mut self, part: &'static str, done: Done, id: Option<u64>, what: String) {
        let part = Part { part, done, id, what };
        (self.told)(&part);
        self.parts.push(part);
    }

    fn project(&mut self) -> Result<Project> {
        let found = match &self.wanted.project {
            Which::Id(id) => Some(self.client.project(*id)?),
            Which::Title(title) => decide::by_title(self.client.projects()?, title)?,
        };
        match (found, &self.wanted.project) {
            (Some(project), _) => {
                self.tell("project", Done::Exists, Some(project.id), format!("'{}'", project.title));
                self.form(project)
            }
            (None, Which::Title(title)) => {
                let xml = decide::new_form(&self.wanted.classes)?;
                let project = self.client.create_project(title, &xml)?;
                self.tell("project", Done::Created, Some(project.id), format!("'{}'", project.title));
                self.tell("form", Done::Created, None, self.wanted.classes.join(", "));
                Ok(project)
            }
            // A number that is not there was refused by the server.
            (None, Which::Id(id)) => Err(AnnotateError::Setting(format!("there is no project {id}"))),
        }
    }

    fn form(&mut self, project: Project) -> Result<Project> {
        let (classes, extend) = (&self.wanted.classes, self.wanted.extend_form);
        if classes.is_empty() {
            return Ok(project);
        }
        let decision = decide::form(&project.label_config, classes, extend)?;
        let (done, xml, what) = match decision {
            FormDecision::Keep { remark } => {
                self.notes.extend(remark);
                (Done::Exists, None, classes.join(", "))
            }
            FormDecision::Make(xml) => (Done::Created, Some(xml), classes.join(", ")),
            FormDecision::Extend { xml, added } => (Done::Changed, Some(xml), format!("added {}", added.join(", "))),
        };
        let project = match xml {
            Some(xml) => self.client.set_form(project.id, &xml)?,
            None => project,
        };
        self.tell("form", done, None, what);
        Ok(project)
    }

    fn storage(&mut self, kind: StorageKind, project: u64) -> Result<()> {
        let (part, wanted) = match kind {
            StorageKind::Source => ("source", &self.wanted.source),
            StorageKind::Target => ("target", &self.wanted.target),
        };
        let Some(wanted) = wanted else { return Ok(()) };
        let credentials = &self.wanted.credentials;
        let found = self.client.storages(kind, project)?;
        let (mut done, storage) = match decide::storage(wanted, found) {
            Decision::Keep(storage) => (Done::Exists, storage),
            Decision::Create => (Done::Created, self.client.create_storage(kind, project, wanted, credentials)?),
            Decision::Change(id) => {
                let changed = S3Storage { id, ..wanted.clone() };
                (Done::Changed, self.client.change_storage(kind, project, &changed, credentials)?)
            }
        };
        let mut what = decide::uri(&storage);
        if kind == StorageKind::Source && (done != Done::Exists || self.wanted.sync_source) {
            what += &self.synchronise(&storage)?;
            if done == Done::Exists {
                done = Done::Synchronised;
            }
        }
        self.tell(part, done, Some(storage.id), what);
        Ok(())
    }

    /// Synchronises the sources that the project has, where that is wanted and none was named.
    fn other_sources(&mut self, project: u64) -> Result<()> {
        if !self.wanted.sync_source || self.wanted.source.is_some() {
            return Ok(());
        }
        let found = self.client.storages(StorageKind::Source, project)?;
        if found.is_empty() {
            return Err(AnnotateError::Setting(format!(
                "project {project} has no S3 source storage to synchronise; add one with --source s3://bucket/prefix"
            )));
        }
        for storage in found {
            let what = decide::uri(&storage) + &self.synchronise(&storage)?;
            self.tell("source", Done::Synchronised, Some(storage.id), what);
        }
        Ok(())
    }

    /// Has Label Studio look for new objects, and says what came of it. A bucket that it cannot read is an error where
    /// the look was asked for; else the rest of the project is set up all the same.
    fn synchronise(&mut self, storage: &S3Storage) -> Result<String> {
        let synced = self.client.sync_storage(StorageKind::Source, storage.id)?;
        match decide::outcome(&synced) {
            Ok(text) => Ok(text),
            Err(reason) if self.wanted.sync_source => Err(AnnotateError::Sync { place: decide::uri(storage), reason }),
            Err(reason) => {
                self.notes.push(format!("the source storage could not be synchronised: {reason}"));
                Ok(", not synchronised".into())
            }
        }
    }

    fn backend(&mut self, project: u64) -> Result<()> {
        let Some(wanted) = &self.wanted.backend else { return Ok(()) };
        let found = self.client.backends(project)?;
        let (done, backend) = match decide::backend(wanted, &found) {
            Decision::Keep(backend) => (Done::Exists, backend),
            Decision::Create => (Done::Created, self.client.connect(project, wanted)?),
            Decision::Change(id) => (Done::Changed, self.client.reconnect(project, id, wanted)?),
        };
        self.notes.extend(decide::backend_remark(&backend, &found));
        self.tell("backend", done, Some(backend.id), address::shown(&wanted.url, ""));
        // Label Studio registers a webhook itself, without headers, and none for a host without a dot.
        let url = format!("{}/webhook", wanted.url.trim_end_matches('/'));
        let headers = Value::Object(self.wanted.webhook_headers.clone());
        let found = self.client.webhooks(project)?;
        let (done, webhook): (Done, Webhook) = match decide::webhook(&url, &self.wanted.webhook_headers, &found) {
            Decision::Keep(webhook) => (Done::Exists, webhook),
            Decision::Create => (Done::Created, self.client.create_webhook(project, &url, &headers)?),
            Decision::Change(id) => {
                let webhook = Webhook { id, url: url.clone(), headers: Value::Null, is_active: true };
                let all = decide::with_headers(found.iter().find(|w| w.id == id), &self.wanted.webhook_headers);
                (Done::Changed, self.client.change_webhook(&webhook, &Value::Object(all))?)
            }
        };
        let with = if self.wanted.webhook_headers.is_empty() { "" } else { ", with headers" };
        let place = address::shown(&wanted.url, "/webhook");
        self.tell("webhook", done, Some(webhook.id), format!("{place}{with}"));
        Ok(())
    }
}

/// Only for [`decide`]'s words about a backend.
fn is_connected(backend: &Backend) -> bool {
    backend.state == "CO"
}
