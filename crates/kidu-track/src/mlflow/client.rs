//! The REST interface, as far as a run needs it.

use std::{fs, io::Read, path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use url::Url;

use super::{entry::Entry, recorder::RunIdentity, spool::RemoteRun};
use crate::error::{Error, Result};

/// Seconds until a request for small things is given up.
const REQUEST: Duration = Duration::from_secs(15);
/// Seconds for an artifact.
const UPLOAD: Duration = Duration::from_secs(300);
/// The most bytes of an answer.
const MOST_ANSWER: u64 = 4 << 20;
/// The tag by which a run is found again.
pub(super) const KEY_TAG: &str = "kidu.run";

/// What a server may ask for. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials(Option<String>);

impl Credentials {
    /// `MLFLOW_TRACKING_TOKEN`, or `MLFLOW_TRACKING_USERNAME` with `MLFLOW_TRACKING_PASSWORD`.
    pub fn from_env() -> Self {
        let read = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        match (read("MLFLOW_TRACKING_TOKEN"), read("MLFLOW_TRACKING_USERNAME")) {
            (Some(token), _) => Self::token(&token),
            (None, Some(user)) => Self::basic(&user, &read("MLFLOW_TRACKING_PASSWORD").unwrap_or_default()),
            _ => Self::default(),
        }
    }

    /// A bearer token.
    pub fn token(token: &str) -> Self {
        Self(Some(format!("Bearer {token}")))
    }

    /// A name and a password.
    pub fn basic(user: &str, password: &str) -> Self {
        Self(Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))))
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Credentials(..)" } else { "Credentials(none)" })
    }
}

/// Where an MLflow server is, and how to talk to it.
#[derive(Clone, Debug)]
pub struct Server {
    base: Url,
    credentials: Credentials,
    agent: ureq::Agent,
}

/// Why a request did not do what it should.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// It may be done later: the server is down or busy, or does not let us in.
    Later(String),
    /// The same request will never be taken.
    Never(String),
}

type Answer<T> = std::result::Result<T, Refusal>;

impl Server {
    /// A server by its address, `http://127.0.0.1:5000`. A name and password in the address are used and not shown.
    ///
    /// # Errors
    /// [`Error::TrackingUri`].
    pub fn new(uri: &str, credentials: Credentials) -> Result<Self> {
        let shown = uri.rsplit_once('@').map_or(uri, |(_, host)| host).to_string();
        let wrong = |reason: String| Error::TrackingUri { uri: shown.clone(), reason };
        let mut base = Url::parse(uri.trim_end_matches('/')).map_err(|e| wrong(e.to_string()))?;
        if !["http", "https"].contains(&base.scheme()) {
            return Err(wrong("only http and https; for a folder start `mlflow server` on it".into()));
        }
        let given = (base.username().to_string(), base.password().unwrap_or_default().to_string());
        let credentials = match credentials.0 {
            None if !given.0.is_empty() => Credentials::basic(&given.0, &given.1),
            _ => credentials,
        };
        let _ = (base.set_username(""), base.set_password(None));
        base.set_query(None);
        base.set_fragment(None);
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(REQUEST))
            .http_status_as_error(false)
            .user_agent(concat!("kidu/", env!("CARGO_PKG_VERSION")));
        Ok(Self { base, credentials, agent: config.build().into() })
    }

    /// The address without credentials.
    pub fn uri(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The page of a run.
    pub(super) fn page(&self, run: &RemoteRun) -> String {
        format!("{}/#/experiments/{}/runs/{}", self.uri(), run.experiment_id, run.run_id)
    }

    /// Finds the run by its tag, or makes it.
    pub(super) fn open_run(&self, identity: &RunIdentity) -> Answer<RemoteRun> {
        let experiment_id = self.experiment(&identity.experiment)?;
        let filter = format!("tags.`{KEY_TAG}` = '{}'", identity.key);
        let search = json!({"experiment_ids": [experiment_id], "filter": filter, "max_results": 1});
        let found = self.post("runs/search", &search)?;
        let run = match found["runs"].get(0) {
            Some(run) => run.clone(),
            None => {
                let tags = [(KEY_TAG, identity.key.as_str()), ("mlflow.source.name", "kidu train")];
                let tags: Vec<Value> = tags.iter().map(|(k, v)| json!({"key": k, "value": v})).collect();
                let new = json!({
                    "experiment_id": experiment_id, "run_name": identity.run_name,
                    "start_time": identity.start_time, "tags": tags,
                });
                self.post("runs/create", &new)?["run"].clone()
            }
        };
        let text = |name: &str| {
            let found = run["info"][name].as_str().map(str::to_string);
            found.ok_or_else(|| Refusal::Later(format!("the server's answer about the run has no {name}")))
        };
        Ok(RemoteRun { run_id: text("run_id")?, artifact_uri: text("artifact_uri")?, experiment_id })
    }

    fn experiment(&self, name: &str) -> Answer<String> {
        let get = || {
            let mut url = self.api("mlflow/experiments/get-by-name");
            url.query_pairs_mut().append_pair("experiment_name", name);
            let (status, answer) = self.call("GET", &url, None)?;
            if status == 404 && answer["error_code"] == "RESOURCE_DOES_NOT_EXIST" {
                return Ok(None);
            }
            let experiment = checked(status, answer)?["experiment"].clone();
            if experiment["lifecycle_stage"] == "deleted" {
                return Err(Refusal::Later(format!(
                    "the experiment '{name}' is deleted there; restore it, or name another one in logger.mlflow.experiment_name"
                )));
            }
            Ok(experiment["experiment_id"].as_str().map(str::to_string))
        };
        if let Some(id) = get()? {
            return Ok(id);
        }
        let (status, answer) =
            self.call("POST", &self.api("mlflow/experiments/create"), Some(&json!({"name": name})))?;
        if let Some(id) = answer["experiment_id"].as_str().filter(|_| status == 200) {
            return Ok(id.into());
        }
        // Somebody else was faster.
        match get()? {
            Some(id) => Ok(id),
            None => checked(status, answer).and_then(|_| Err(Refusal::Later("no experiment could be made".into()))),
        }
    }

    /// Sends one entry.
    pub(super) fn send(&self, run: &RemoteRun, run_dir: &Path, entry: &Entry) -> Answer<()> {
        let pairs = |all: &[(String, String)]| -> Vec<Value> {
            all.iter().map(|(k, v)| json!({"key": k, "value": v})).collect()
        };
        match entry {
            Entry::Params(all) => self.log_batch(run, "params", json!(pairs(all))),
            Entry::Tags(all) => self.log_batch(run, "tags", json!(pairs(all))),
            Entry::Metrics(all) => self.log_batch(run, "metrics", json!(all)),
            Entry::Status { status, end_time } => {
                let mut body = json!({"run_id": run.run_id, "status": status});
                if let Some(end) = end_time {
                    body["end_time"] = json!(end);
                }
                self.post("runs/update", &body).map(|_| ())
            }
            Entry::Artifact { file, path } => self.upload(run, &run_dir.join(file), path),
        }
    }

    fn log_batch(&self, run: &RemoteRun, what: &str, all: Value) -> Answer<()> {
        self.post("runs/log-batch", &json!({"run_id": run.run_id, what: all})).map(|_| ())
    }

    /// Through the server's proxy of artifacts, or into a folder that this machine sees too.
    fn upload(&self, run: &RemoteRun, file: &Path, path: &str) -> Answer<()> {
        let gone = |e: std::io::Error| Refusal::Never(format!("{} cannot be read: {e}", file.display()));
        let root = run.artifact_uri.as_str();
        if let Some(folder) = local_folder(root) {
            let copy = || -> kidu_core::Result<()> {
                let mut from = fs::File::open(file).map_err(|e| kidu_core::Error::io("read", file, e))?;
                kidu_core::files::write_atomic_with(&folder.join(path), |to| std::io::copy(&mut from, to).map(|_| ()))
            };
            fs::metadata(file).map_err(gone)?;
            return copy().map_err(|e| Refusal::Later(e.to_string()));
        }
        let Some(below) = root.strip_prefix("mlflow-artifacts:") else {
            return Err(Refusal::Never(format!(
                "the server keeps artifacts at {root}, where Kidu does not write; start it with --serve-artifacts"
            )));
        };
        // `mlflow-artifacts:/1/run/artifacts`, or with the proxy's host after two slashes.
        let below = match below.strip_prefix("//") {
            Some(rest) => rest.split_once('/').map_or("", |(_, below)| below),
            None => below.trim_start_matches('/'),
        };
        let mut url = self.api("mlflow-artifacts/artifacts");
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(below.split('/').chain(path.split('/')).filter(|s| !s.is_empty()));
        }
        let content = fs::File::open(file).map_err(gone)?;
        let length = content.metadata().map_err(gone)?.len();
        let request = self.agent.put(url.as_str()).config().timeout_global(Some(UPLOAD)).build();
        let request = self
            .authorised(request)
            .header("Content-Type", "application/octet-stream")
            .header("Content-Length", length.to_string());
        let body = ureq::SendBody::from_owned_reader(content.take(length));
        let answer = request.send(body).map_err(|e| Refusal::Later(format!("{}: {e}", self.uri())))?;
        let status = answer.status().as_u16();
        checked(status, read_json(answer)).map(|_| ())
    }

    fn post(&self, path: &str, body: &Value) -> Answer<Value> {
        let (status, answer) = self.call("POST", &self.api(&format!("mlflow/{path}")), Some(body))?;
        checked(status, answer)
    }

    fn call(&self, method: &str, url: &Url, body: Option<&Value>) -> Answer<(u16, Value)> {
        let later = |e: ureq::Error| Refusal::Later(format!("{}: {e}", self.uri()));
        let answer = match body {
            Some(body) => self
                .authorised(self.agent.post(url.as_str()))
                .header("Content-Type", "application/json")
                .send(body.to_string())
                .map_err(later)?,
            None => {
                debug_assert_eq!(method, "GET");
                self.authorised(self.agent.get(url.as_str())).call().map_err(later)?
            }
        };
        Ok((answer.status().as_u16(), read_json(answer)))
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.credentials.0 {
            Some(value) => request.header("Authorization", value),
            None => request,
        }
    }

    fn api(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "2.0"]).extend(path.split('/'));
        }
        url
    }
}

/// The folder of `file:///a/b` or `/a/b`.
fn local_folder(uri: &str) -> Option<std::path::PathBuf> {
    if uri.starts_with('/') {
        return Some(uri.into());
    }
    Url::parse(uri).ok().filter(|u| u.scheme() == "file").and_then(|u| u.to_file_path().ok())
}

fn read_json(answer: ureq::http::Response<ureq::Body>) -> Value {
    let body = answer.into_body().with_config().limit(MOST_ANSWER).read_to_vec().unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or(Value::Null)
}

/// The answer, if its status is good. Only what the server calls a wrong request is given up; a wrong password or a
/// path that a proxy does not know may be put right while training goes on.
fn checked(status: u16, answer: Value) -> Answer<Value> {
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    let code = answer["error_code"].as_str().unwrap_or("no error code");
    let message: String = answer["message"].as_str().unwrap_or("no message").chars().take(300).collect();
    let text = format!("the server answered {status} ({code}: {message})");
    match (status, code) {
        (401 | 403, _) => Err(Refusal::Later(format!(
            "{text}; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        ))),
        (400, "INVALID_PARAMETER_VALUE" | "BAD_REQUEST" | "INVALID_STATE") | (413, _) => Err(Refusal::Never(text)),
        _ => Err(Refusal::Later(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_neither_in_the_address_nor_in_messages() {
        let server = Server::new("http://ana:s3cret@host:5000/mlflow/", Credentials::default()).unwrap();
        assert_eq!(server.uri(), "http://host:5000/mlflow");
        assert_eq!(server.api("mlflow/runs/create").as_str(), "http://host:5000/mlflow/api/2.0/mlflow/runs/create");
        assert!(!format!("{server:?}").contains("s3cret"));
        let error = Server::new("ftp://ana:s3cret@host", Credentials::default()).unwrap_err().to_string();
        assert!(!error.contains("s3cret") && error.contains("only http"), "{error}");
        assert!(Server::new("mlruns", Credentials::default()).is_err());
    }

    #[test]
    fn only_wrong_requests_are_given_up() {
        let wrong = json!({"error_code": "INVALID_PARAMETER_VALUE", "message": "no"});
        assert!(matches!(checked(400, wrong), Err(Refusal::Never(_))));
        for status in [401, 403, 404, 429, 500, 503] {
            assert!(matches!(checked(status, Value::Null), Err(Refusal::Later(_))), "{status}");
        }
        assert_eq!(local_folder("file:///a/b%20c"), Some("/a/b c".into()));
        assert_eq!(local_folder("s3://bucket/a"), None);
    }
}
