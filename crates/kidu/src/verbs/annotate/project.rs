//! `kidu annotate project`.

use kidu_annotate::{
    client::{NewBackend, S3Storage, StorageCredentials},
    project::{Done, Wanted, Which, set_up},
};
use kidu_core::{Bundle, Progress, store::ObjectUri};
use kidu_data::Index;
use serde_json::{Map, Value};

use super::server;
use crate::{
    Outcome,
    cli::{BackendArgs, ClassArgs, ProjectArgs, StorageArgs},
    failure::Failure,
    ui::{self, Console},
};

/// The user that goes with a webhook's secret where a password is wanted; the backend does not look at it.
const WEBHOOK_USER: &str = "kidu-webhook";

pub(super) fn run(arguments: &ProjectArgs) -> Outcome {
    let wanted = wanted(arguments)?;
    let console = Console::new();
    let client = server::connect(&(&arguments.server).into(), &console)?;
    let set_up = set_up(&client, &wanted, &mut |part| {
        let done = match part.done {
            Done::Exists => "exists",
            Done::Created => "created",
            Done::Changed => "changed",
            Done::Synchronised => "synchronised",
        };
        let id = part.id.map(|id| format!(" {id}")).unwrap_or_default();
        console.note(&format!("{}{id} {done}: {}", part.part, part.what));
    })?;
    set_up.notes.iter().for_each(|n| console.note(n));
    if arguments.output.json {
        return ui::json(&set_up);
    }
    let how = if set_up.is_unchanged() { "nothing to do for" } else { "set up" };
    ui::line(format!("{how} project {} '{}': {}", set_up.project, set_up.title, set_up.url));
    Ok(())
}

fn wanted(arguments: &ProjectArgs) -> Outcome<Wanted> {
    let which = &arguments.which;
    let project = match (which.project, &which.title) {
        (Some(id), _) => Which::Id(id),
        (None, title) => Which::Title(title.clone().unwrap_or_default()),
    };
    let StorageArgs { source, target, filter, may_delete, sync, .. } = &arguments.storage;
    let storage = |name, uri: &Option<String>| uri.as_deref().map(|u| place(name, u, &arguments.storage)).transpose();
    let source = storage("--source", source)?.map(|s| S3Storage {
        title: Some("images (kidu)".into()),
        regex_filter: Some(filter.clone()),
        use_blob_urls: true,
        recursive_scan: true,
        ..s
    });
    let target = storage("--target", target)?.map(|s| S3Storage {
        title: Some("annotations (kidu)".into()),
        can_delete_objects: Some(*may_delete),
        ..s
    });
    let (backend, webhook_headers) = backend(&arguments.backend)?;
    Ok(Wanted {
        project,
        classes: classes(&arguments.classes)?,
        extend_form: arguments.classes.extend_form,
        source,
        target,
        sync_source: *sync,
        credentials: StorageCredentials {
            key: arguments.storage.storage_key.clone(),
            secret: variable("KIDU_STORAGE_SECRET"),
            session: variable("KIDU_STORAGE_SESSION_TOKEN"),
        },
        backend,
        webhook_headers,
    })
}

/// The bundle's classes in its order, then those of the data, then those that were named.
fn classes(arguments: &ClassArgs) -> Outcome<Vec<String>> {
    let mut classes: Vec<String> = Vec::new();
    if let Some(dir) = &arguments.bundle {
        classes.extend(Bundle::open(dir)?.manifest().classes.iter().map(str::to_owned));
    }
    if let Some(data) = &arguments.data {
        classes.extend(Index::of(data)?.classes.iter().map(str::to_owned));
    }
    classes.extend(arguments.class.iter().cloned());
    let mut unique: Vec<String> = Vec::with_capacity(classes.len());
    for class in classes {
        if !unique.contains(&class) {
            unique.push(class);
        }
    }
    Ok(unique)
}

fn place(option: &str, uri: &str, arguments: &StorageArgs) -> Outcome<S3Storage> {
    match ObjectUri::parse(uri)? {
        ObjectUri::S3 { bucket, key: prefix } => Ok(S3Storage {
            bucket: Some(bucket),
            prefix: Some(prefix).filter(|p| !p.is_empty()),
            region_name: arguments.storage_region.clone(),
            s3_endpoint: arguments.storage_endpoint.clone(),
            ..S3Storage::default()
        }),
        ObjectUri::Path(_) => Err(Failure::usage(format!("{option} {uri}: must be s3://bucket/prefix"))),
    }
}

/// The backend, and the headers that its webhook needs to be let in.
fn backend(arguments: &BackendArgs) -> Outcome<(Option<NewBackend>, Map<String, Value>)> {
    let Some(url) = &arguments.backend else { return Ok((None, Map::new())) };
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err(Failure::usage(format!("--backend {url}: must be a URL, as in http://127.0.0.1:9090")));
    }
    let mut headers = Map::new();
    let secret = variable("KIDU_WEBHOOK_SECRET");
    if let Some(secret) = &secret {
        headers.insert("X-Kidu-Webhook-Secret".into(), secret.as_str().into());
    }
    let basic_auth = match &arguments.basic_auth_user {
        // "Start training" carries the backend's password, not the webhook's headers.
        None => secret.map(|secret| (WEBHOOK_USER.to_owned(), secret)),
        Some(user) => {
            let password = variable("KIDU_BASIC_AUTH_PASSWORD")
                .ok_or_else(|| Failure::usage("--basic-auth-user needs the password in KIDU_BASIC_AUTH_PASSWORD"))?;
            if headers.is_empty() {
                headers.insert("Authorization".into(), basic(user, &password).into());
            }
            Some((user.clone(), password))
        }
    };
    let backend = NewBackend { url: url.trim_end_matches('/').into(), title: "Kidu".into(), basic_auth };
    Ok((Some(backend), headers))
}

fn basic(user: &str, password: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.trim().is_empty())
}
