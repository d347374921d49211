//! A client of Label Studio's API.

mod multipart;
mod storage;
mod tasks;

use http::Method;
use kidu_fetch::{ApiCall, FetchOptions, LabelStudioApi};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub use self::{
    storage::{S3Storage, StorageCredentials, StorageKind},
    tasks::{Imported, Task, Upload},
};
use crate::{
    address,
    error::{AnnotateError, Result},
};

/// The most characters of a server's message that are shown.
const SHOWN: usize = 400;
/// Things asked for at a time where answers come in pages.
const PAGE: usize = 100;

/// A client of one Label Studio. Blocks the thread: not to be used inside an asynchronous runtime.
pub struct LabelStudioClient {
    api: LabelStudioApi,
}

/// The user that a token belongs to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct User {
    /// The number.
    pub id: u64,
    /// The address.
    #[serde(default)]
    pub email: String,
}

/// A project.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Project {
    /// The number.
    pub id: u64,
    /// The title.
    #[serde(default)]
    pub title: String,
    /// The labelling form.
    #[serde(default)]
    pub label_config: String,
    /// Tasks in it.
    #[serde(default)]
    pub task_number: Option<u64>,
}

/// A connected ML backend.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Backend {
    /// The number.
    pub id: u64,
    /// The address.
    pub url: String,
    /// The name.
    #[serde(default)]
    pub title: String,
    /// `CO` connected, `DI` disconnected, `ER` error, ...
    #[serde(default)]
    pub state: String,
    /// Why, if it is not connected.
    #[serde(default)]
    pub error_message: Option<String>,
    /// What `/setup` told.
    #[serde(default)]
    pub model_version: Option<String>,
    /// The user that it is given; empty without one.
    #[serde(default)]
    pub basic_auth_user: String,
}

/// What is needed to connect a backend.
#[derive(Clone, Debug, Default)]
pub struct NewBackend {
    /// The address.
    pub url: String,
    /// The name.
    pub title: String,
    /// User and password, if it asks for them.
    pub basic_auth: Option<(String, String)>,
}

/// A webhook.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Webhook {
    /// The number.
    pub id: u64,
    /// Where it is sent.
    pub url: String,
    /// What is sent along.
    #[serde(default)]
    pub headers: Value,
    /// Whether it is sent at all.
    #[serde(default)]
    pub is_active: bool,
}

impl LabelStudioClient {
    /// A client of `options.label_studio`.
    ///
    /// # Errors
    /// [`AnnotateError::Fetch`] without a Label Studio, or for certificates that cannot be used.
    pub fn new(options: FetchOptions) -> Result<Self> {
        Ok(Self { api: LabelStudioApi::new(options)? })
    }

    /// The address, without a slash at its end.
    pub fn server(&self) -> String {
        self.api.base().as_str().trim_end_matches('/').to_owned()
    }

    /// Whom the token belongs to.
    ///
    /// # Errors
    /// [`AnnotateError::Refused`] for a token that is not valid.
    pub fn whoami(&self) -> Result<User> {
        self.get("/api/current-user/whoami")
    }

    /// All projects that the user may see.
    ///
    /// # Errors
    /// [`AnnotateError`].
    pub fn projects(&self) -> Result<Vec<Project>> {
        #[derive(Deserialize)]
        struct Page {
            results: Vec<Project>,
            next: Option<String>,
        }
        let mut all = Vec::new();
        for page in 1.. {
            let answer: Page = self.get(&format!("/api/projects/?page={page}&page_size={PAGE}"))?;
            all.extend(answer.results);
            if answer.next.is_none() {
                break;
            }
        }
        Ok(all)
    }

    /// A project.
    ///
    /// # Errors
    /// [`AnnotateError::Refused`] with 404 where there is none.
    pub fn project(&self, id: u64) -> Result<Project> {
        self.get(&format!("/api/projects/{id}/"))
    }

    /// Makes a project.
    ///
    /// # Errors
    /// [`AnnotateError::Refused`] for a title of fewer than three characters or a form that Label Studio cannot use.
    pub fn create_project(&self, title: &str, label_config: &str) -> Result<Project> {
        self.send(Method::POST, "/api/projects/", &json!({"title": title, "label_config": label_config}))
    }

    /// Gives a project another form.
    ///
    /// # Errors
    /// [`AnnotateError::Refused`] for a form that would contradict annotations.
    pub fn set_form(&self, project: u64, label_config: &str) -> Result<Project> {
        self.send(Method::PATCH, &format!("/api/projects/{project}/"), &json!({"label_config": label_config}))
    }

    /// The backends of a project.
    ///
    /// # Errors
    /// [`AnnotateError`].
    pub fn backends(&self, project: u64) -> Result<Vec<Backend>> {
        self.get(&format!("/api/ml/?project={project}"))
    }

    /// Connects a backend. Label Studio asks its `/health` and `/setup` first, and registers a webhook at it unless its
    /// host has no dot.
    ///
    /// # Errors
    /// [`AnnotateError::Refused`] when Label Studio cannot reach it, or may not.
    pub fn connect(&self, project: u64, backend: &NewBackend) -> Result<Backend> {
        let body = backend_body(project, backend);
        match self.send(Method::POST, "/api/ml/", &body) {
            // With some settings the row is there although it was refused; it would be connected twice at the next try.
            Err(refused @ AnnotateError::Refused { status: 403, .. }) => {
                for made in self.backends(project)?.into_iter().filter(|b| b.url == backend.url) {
                    self.call(&ApiCall { method: Method::DELETE, path: format!("/api/ml/{}", made.id), body: None })?;
                }
                Err(without_secrets(refused, &backend.url))
            }
            other => other.map_err(|error| without_secrets(error, &backend.url)),
        }
    }

    /// Gives a connected backend the user and password that are wanted.
    ///
    /// # Errors
    /// [`AnnotateError`].
    pub fn reconnect(&self, project: u64, id: u64, backend: &NewBackend) -> Result<Backend> {
        // Label Studio wants the address again, also when it stays. Name and other settings are the user's.
        let mut body = json!({"project": project, "url": backend.url});
        authenticate(&mut body, backend);
        let sent = self.send(Method::PATCH, &format!("/api/ml/{id}"), &body);
        sent.map_err(|error| without_secrets(error, &backend.url))
    }

    /// Asks the backend to train.
    ///
    /// # Errors
    /// [`AnnotateError`].
    pub fn train(&self, backend: u64) -> Result<()> {
        self.call(&ApiCall::json(Method::POST, format!("/api/ml/{backend}/train"), &json!({}))).map(drop)
    }

    /// The webhooks of a project.
    ///
    /// # Errors
    /// [`AnnotateError`].
    pub fn webhooks(&self, project: u64) -> Result<Vec<Webhook>> {
        self.get(&format!("/api/webhooks/?project={project}"))
    }

    /// Makes a webhook that is sent for everything that happens in a project.
    ///
    /// # Errors
    /// [`AnnotateError::Refused`] for an address that Label Studio may not ask.
    pub fn create_webhook(&self, project: u64, url: &str, headers: &Value) -> Result<Webhook> {
        let body = json!({"project": project, "url": url, "headers": headers, "send_payload": true,
                          "send_for_all_actions": true, "is_active": true});
        self.send(Method::POST, "/api/webhooks/", &body)
    }

    /// Gives a webhook other headers and turns it on.
    ///
    /// # Errors
    /// [`AnnotateError`].
    pub fn change_webhook(&self, webhook: &Webhook, headers: &Value) -> Result<Webhook> {
        // Label Studio wants the address again, also when it stays.
        let body = json!({"url": webhook.url, "headers": headers, "is_active": true, "send_payload": true,
                          "send_for_all_actions": true});
        self.send(Method::PATCH, &format!("/api/webhooks/{}/", webhook.id), &body)
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.read(&ApiCall::get(path))
    }

    pub(crate) fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: &Value) -> Result<T> {
        self.read(&ApiCall::json(method, path, body))
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, call: &ApiCall) -> Result<T> {
        let body = self.call(call)?;
        serde_json::from_slice(&body).map_err(|e| AnnotateError::Answer {
            server: self.server(),
            method: call.method.to_string(),
            path: shown_path(&call.path),
            reason: e.to_string(),
        })
    }

    /// The body of a good answer.
    pub(crate) fn call(&self, call: &ApiCall) -> Result<Vec<u8>> {
        let answer = self.api.call(call)?;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        Err(AnnotateError::Refused {
            server: self.server(),
            method: call.method.to_string(),
            path: shown_path(&call.path),
            status: answer.status,
            message: message_of(&answer.body),
        })
    }
}

/// A refusal that quotes the backend's address, which may hold what lets callers in.
fn without_secrets(error: AnnotateError, url: &str) -> AnnotateError {
    match error {
        AnnotateError::Refused { server, method, path, status, message } => {
            let message = message.replace(url.trim_end_matches('/'), &address::shown(url, ""));
            AnnotateError::Refused { server, method, path, status, message }
        }
        other => other,
    }
}

fn backend_body(project: u64, backend: &NewBackend) -> Value {
    let mut body = json!({"project": project, "url": backend.url, "title": backend.title, "is_interactive": false});
    authenticate(&mut body, backend);
    body
}

fn authenticate(body: &mut Value, backend: &NewBackend) {
    body["auth_method"] = "NONE".into();
    if let Some((user, password)) = &backend.basic_auth {
        body["auth_method"] = "BASIC_AUTH".into();
        body["basic_auth_user"] = user.as_str().into();
        body["basic_auth_pass"] = password.as_str().into();
    }
}

/// A path for messages: queries are long and say nothing to a person.
fn shown_path(path: &str) -> String {
    path.split('?').next().unwrap_or(path).to_owned()
}

/// What a server says: Label Studio's `detail` and `validation_errors`, else the text.
fn message_of(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(value) => said(&value),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            let is_page = text.trim_start().starts_with('<');
            if is_page { "a page instead of JSON".into() } else { text.trim().to_owned() }
        }
    };
    let short: String = text.trim_end_matches('.').chars().take(SHOWN).collect();
    if short.is_empty() { "nothing".into() } else { short }
}

fn said(value: &Value) -> String {
    let detail = value["detail"].as_str().unwrap_or_default();
    match &value["validation_errors"] {
        Value::Null if detail.is_empty() => flat(value),
        Value::Null => detail.to_owned(),
        errors if detail.is_empty() || detail == "Validation error" => flat(errors),
        errors => format!("{detail}: {}", flat(errors)),
    }
}

/// Nested lists and maps of messages as one line.
fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let line = |(key, value): (&String, &Value)| match key.as_str() {
                "non_field_errors" => flat(value),
                key => format!("{key}: {}", flat(value)),
            };
            fields.iter().map(line).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_answer_is_told() {
        let says = |body: &str| message_of(body.as_bytes());
        assert_eq!(says(r#"{"id":"x","status_code":404,"detail":"Not found."}"#), "Not found");
        let title = r#"{"detail":"Validation error","validation_errors":{"title":["Ensure this has at least 3."]}}"#;
        assert_eq!(says(title), "title: Ensure this has at least 3");
        assert_eq!(says(r#"{"validation_errors":{"non_field_errors":["a","b"]}}"#), "a, b");
        assert_eq!(says("<html>Bad gateway</html>"), "a page instead of JSON");
        assert_eq!((says(""), says("plain\n")), ("nothing".into(), "plain".into()));
        assert_eq!(says(&"x".repeat(900)).len(), SHOWN);
    }

    #[test]
    fn a_refusal_says_where_and_what_to_do() {
        let refused = |status, message: &str| {
            AnnotateError::Refused {
                server: "http://h".into(),
                method: "POST".into(),
                path: "/api/ml/".into(),
                status,
                message: message.into(),
            }
            .to_string()
        };
        let at = |path: &str, message: &str| {
            let (server, method) = ("http://h".into(), "POST".into());
            AnnotateError::Refused { server, method, path: path.into(), status: 500, message: message.into() }
                .to_string()
        };
        assert!(at("/api/storages/s3/", "Unable to locate credentials").contains("KIDU_STORAGE_SECRET"));
        assert!(at("/api/storages/export/s3", "Debugging info is not available").contains("bucket and prefix"));
        assert!(at("/api/projects/", "oops").ends_with("oops"));
        let private = refused(403, "URL resolves to a reserved network address (block: 127.0.0.0/8)");
        assert!(private.contains("LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS=false"), "{private}");
        assert!(refused(401, "legacy token authentication has been disabled").contains("personal access token"));
        assert!(refused(400, "title: short").ends_with("answered 400: title: short"));
    }
}
