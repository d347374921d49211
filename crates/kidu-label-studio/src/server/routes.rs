//! What Label Studio calls, and what people and machines look at.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use kidu_telemetry::metrics::MEDIA_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{app::App, body::Held, page, problem::Problem};
use crate::{
    endpoint::ModelInfo,
    event::Event,
    form::Form,
    result::TaskResult,
    task::{MAX_TASKS, PredictBody},
    training::{Entry, now_ms},
};

/// How long `/setup` waits for a model that is not known yet; Label Studio waits for 3 s.
const SETUP_PATIENCE: Duration = Duration::from_secs(2);
/// Projects whose last remark is kept.
const MAX_REMARKS: usize = 1000;

type Shared = State<Arc<App>>;

pub(super) fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/", get(health))
        .route("/health", get(health))
        .route("/setup", post(setup))
        .route("/predict", post(predict))
        .route("/webhook", post(webhook))
        .route("/webhook/{secret}", post(webhook_with_secret))
        .route("/versions", get(versions))
        .route("/metrics", get(metrics_text))
        .route("/status", get(status))
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(&app));
    let prefix = app.prefix.clone();
    let whole = if prefix.is_empty() {
        routes
    } else {
        // `<prefix>/` too: nest answers `<prefix>` alone.
        Router::new().nest(&prefix, routes).route(&format!("{prefix}/"), get(health).with_state(Arc::clone(&app)))
    };
    whole.fallback(not_found).layer(middleware::from_fn_with_state(app, guard))
}

/// The name that a path has in logs and metrics; a path itself may be secret.
fn route_of(path: &str, prefix: &str) -> &'static str {
    let Some(path) = path.strip_prefix(prefix).filter(|p| p.is_empty() || p.starts_with('/')) else { return "none" };
    match path {
        "" | "/" => "/",
        "/health" => "/health",
        "/setup" => "/setup",
        "/predict" => "/predict",
        "/versions" => "/versions",
        "/metrics" => "/metrics",
        "/status" => "/status",
        path if path == "/webhook" || path.starts_with("/webhook/") => "/webhook",
        _ => "none",
    }
}

/// Lets in who may, counts and logs.
async fn guard(State(app): Shared, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = route_of(request.uri().path(), &app.prefix);
    // Events have credentials of their own, and whether the process runs is no secret.
    let open = matches!(route, "/" | "/health" | "/webhook" | "none");
    let response = if open || app.auth.admits(request.headers()) {
        next.run(request).await
    } else {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "user name and password are needed").into_response()
    };
    let (status, ms) = (response.status().as_u16(), u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
    app.metrics.answer(route, status);
    if status >= 400 {
        tracing::warn!(route, status, ms, "refused");
    } else {
        tracing::debug!(route, status, ms, "answered");
    }
    response
}

async fn not_found() -> Problem {
    let told = "there is nothing here; Label Studio is given the address without /predict or /setup at its end";
    Problem::new(StatusCode::NOT_FOUND, "not_found", told)
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this route has another method")
}

/// Waits for nothing: Label Studio gives it one second, before every batch.
async fn health(State(app): Shared) -> Json<Value> {
    let version = app.watch.seen().model.map(|m| m.model.to_string());
    Json(json!({"status": "UP", "model_class": "Kidu", "model_version": version}))
}

#[derive(Deserialize)]
struct SetupBody {
    #[serde(default)]
    project: Value,
    #[serde(default)]
    schema: Option<String>,
    #[serde(default)]
    hostname: Option<String>,
}

async fn setup(State(app): Shared, request: Request) -> Result<Json<Value>, Problem> {
    let held = app.bodies.read(request).await?;
    let body: SetupBody = serde_json::from_slice(&held.bytes).map_err(|e| not_json(&e))?;
    // What is answered now is what is known; what is asked now is known next time.
    app.watch.refresh();
    let form = form(&app, body.schema.as_deref())?;
    let Some(info) = app.watch.model(SETUP_PATIENCE).await else { return Err(unreachable(&app)) };
    if app.watch.seen().down().is_some() {
        return Err(unreachable(&app));
    }
    let matched = form.compare(&info.classes);
    let remark = matched.remark();
    remember(&app, &project_name(&body.project), &info, remark.as_deref(), body.hostname.as_deref());
    if matched.classes_without_choice.len() == info.classes.len() {
        let told = format!("no class of {} is a choice of the form: {}", info.model, remark.unwrap_or_default());
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no_choice", told));
    }
    Ok(Json(json!({"model_version": info.model.to_string(), "form": matched})))
}

fn form(app: &App, xml: Option<&str>) -> Result<Form, Problem> {
    Form::parse(xml.unwrap_or_default(), app.from_name.as_deref())
        .map_err(|e| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unsupported_form", e.to_string()))
}

fn unreachable(app: &App) -> Problem {
    let reason = app.watch.seen().down().unwrap_or_else(|| "it has not told its model yet".into());
    let told = format!("the endpoint {} does not answer: {reason}", app.endpoint.transport().describe());
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "endpoint_down", told)
}

/// `1.1795407376`: the project's id and a time.
fn project_name(project: &Value) -> String {
    let text = project.as_str().map_or_else(|| project.to_string(), str::to_owned);
    text.split('.').next().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).take(32).collect()
}

/// Says what is missing in a project's form once, and again when it changes.
fn remember(app: &App, project: &str, info: &ModelInfo, remark: Option<&str>, hostname: Option<&str>) {
    let remark = remark.unwrap_or_default();
    let mut remarks = app.remarks.lock().unwrap_or_else(PoisonError::into_inner);
    let first = !remarks.contains_key(project);
    if remarks.get(project).is_some_and(|r| r == remark) {
        return;
    }
    if remarks.len() >= MAX_REMARKS {
        remarks.clear();
    }
    remarks.insert(project.to_owned(), remark.to_owned());
    match remark {
        "" => tracing::info!(project, model = %info.model, "a project's form and the model's classes agree"),
        remark => {
            tracing::warn!(project, model = %info.model, remark, "a project's form and the model's classes differ")
        }
    }
    if let (true, None, Some(hostname)) = (first, &app.label_studio, hostname.filter(|h| !h.is_empty())) {
        let hostname: String = hostname.chars().filter(|c| !c.is_control()).take(100).collect();
        tracing::warn!(
            project,
            hostname,
            "uploads cannot be fetched without --label-studio; give this Label Studio's address"
        );
    }
}

/// What `/predict` answers.
#[derive(Serialize)]
struct Results {
    results: Vec<TaskResult>,
}

async fn predict(State(app): Shared, request: Request) -> Result<Json<Results>, Problem> {
    let start = Instant::now();
    let Held { bytes, share } = app.bodies.read(request).await?;
    let body: PredictBody = serde_json::from_slice(&bytes).map_err(|e| not_json(&e))?;
    drop(bytes);
    if body.tasks.len() > MAX_TASKS {
        let told = format!("there are more than {MAX_TASKS} tasks; select fewer");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", told));
    }
    let form = form(&app, body.label_config.as_deref())?;
    let left = app.deadline.saturating_sub(start.elapsed());
    let results = app.batcher.predict(&form, &body.tasks, left).await;
    // Until now its tasks, with their images perhaps, were in memory.
    drop(share);
    Ok(Json(Results { results }))
}

async fn webhook(state: Shared, request: Request) -> Result<Response, Problem> {
    take_event(state, None, request).await
}

async fn webhook_with_secret(state: Shared, Path(secret): Path<String>, request: Request) -> Result<Response, Problem> {
    take_event(state, Some(secret), request).await
}

/// An event is answered when it is on disk.
async fn take_event(State(app): Shared, secret: Option<String>, request: Request) -> Result<Response, Problem> {
    if !app.auth.admits_event(request.headers(), secret.as_deref()) {
        app.metrics.webhooks_refused.inc();
        tracing::warn!(
            "an event came without credentials and is lost: give the webhook a header or the secret path, and the backend in \
             Label Studio a password, which START_TRAINING carries (docs/label-studio.md)"
        );
        let told = "an event needs the password, or the webhook's secret in its path or header; Start training needs either \
                    as the backend's password in Label Studio";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", told));
    }
    let held = app.bodies.read(request).await?;
    let event = Event::read(&held.bytes).map_err(Problem::malformed)?;
    let label = event.label();
    app.metrics.event(label);
    if label == "other" {
        return Ok(Json(json!({"status": "Unknown event"})).into_response());
    }
    let ours = app.projects.is_empty() || event.project.is_some_and(|p| app.projects.contains(&p));
    if !ours {
        return Ok(Json(json!({"status": "ignored: another project"})).into_response());
    }
    if event.train && app.build.is_none() {
        let told =
            "no build is configured; start kidu-label-studio with --build-arg, as in --build-arg data.root=photos";
        return Err(Problem::new(StatusCode::CONFLICT, "no_build", told));
    }
    let (action, project, changes) = (event.action.clone(), event.project, event.changes.len());
    app.journal.record(Entry::Event { at: now_ms(), event }).await.map_err(|error| {
        tracing::error!(%error, "an event could not be written and is lost");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "journal", "the event could not be written; the log says why")
    })?;
    let (pending, number) = app.journal.with_state(|s| (s.pending(), s.events()));
    app.metrics.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
    tracing::info!(action, project, changes, pending, "an event");
    Ok((StatusCode::CREATED, Json(json!({"status": "ok", "job": format!("event-{number}")}))).into_response())
}

async fn versions(State(app): Shared) -> Json<Value> {
    let current = app.watch.seen().model.map(|m| m.model.to_string());
    let value = app.journal.with_state(|state| {
        let mut versions: Vec<String> = state.models().map(|(m, _)| m.to_string()).collect();
        // The journal may lag behind by a moment.
        if let Some(current) = &current {
            versions.retain(|v| v != current);
            versions.insert(0, current.clone());
        }
        json!({
            "versions": versions,
            "building": state.current(),
            "builds": state.builds().collect::<Vec<_>>(),
            "pending_annotations": state.pending(),
            "asked": state.is_asked(),
        })
    });
    Json(value)
}

async fn metrics_text(State(app): Shared) -> Response {
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], app.metrics.text()).into_response()
}

async fn status(State(app): Shared) -> Result<Response, Problem> {
    let html = page::render(&app).map_err(|e| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("the page cannot be written: {e}"))
    })?;
    let mut headers = HeaderMap::new();
    let values = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ];
    headers.extend(values.map(|(name, value)| (name, header::HeaderValue::from_static(value))));
    Ok((headers, Html(html)).into_response())
}

fn not_json(error: &serde_json::Error) -> Problem {
    // The reason may quote what stands in the wrong place: tokens and addresses stay out of messages.
    Problem::malformed(format!(
        "the body is not what Label Studio sends (line {} column {})",
        error.line(),
        error.column()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_named_without_what_is_secret() {
        assert_eq!(route_of("/webhook/0123456789abcdef", ""), "/webhook");
        assert_eq!(route_of("/s3cret/predict", "/s3cret"), "/predict");
        assert_eq!(route_of("/s3cretpredict", "/s3cret"), "none");
        assert_eq!(route_of("/predict", "/s3cret"), "none");
        assert_eq!((route_of("/s3cret", "/s3cret"), route_of("/", "")), ("/", "/"));
        assert_eq!(route_of("/webhooks", ""), "none");
        assert_eq!(project_name(&json!("1.1795407376")), "1");
        assert_eq!(project_name(&json!(7)), "7");
        assert_eq!(project_name(&json!({"a": "<b>"})), "ab");
    }
}
