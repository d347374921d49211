//! S3 storages: where tasks come from, and where annotations go.

use std::{
    thread,
    time::{Duration, Instant},
};

use http::Method;
use kidu_fetch::ApiCall;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::LabelStudioClient;
use crate::error::Result;

/// Between two looks at what Label Studio's workers do.
const LOOK: Duration = Duration::from_secs(1);

/// Which way a storage goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageKind {
    /// Objects become tasks.
    Source,
    /// Annotations become objects.
    Target,
}

impl StorageKind {
    fn path(self) -> &'static str {
        match self {
            Self::Source => "/api/storages/s3/",
            Self::Target => "/api/storages/export/s3",
        }
    }

    fn detail(self, id: u64) -> String {
        match self {
            Self::Source => format!("/api/storages/s3/{id}"),
            Self::Target => format!("/api/storages/export/s3/{id}"),
        }
    }
}

/// A storage as Label Studio tells of it. Credentials are never told.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct S3Storage {
    /// The number; 0 for one that is not made yet.
    #[serde(default)]
    pub id: u64,
    /// The name.
    #[serde(default)]
    pub title: Option<String>,
    /// The bucket.
    #[serde(default)]
    pub bucket: Option<String>,
    /// The folder.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The region.
    #[serde(default)]
    pub region_name: Option<String>,
    /// An endpoint that is not AWS's.
    #[serde(default)]
    pub s3_endpoint: Option<String>,
    /// Which keys become tasks (source).
    #[serde(default)]
    pub regex_filter: Option<String>,
    /// Objects are images, not JSON (source).
    #[serde(default)]
    pub use_blob_urls: bool,
    /// Folders below count too (source).
    #[serde(default)]
    pub recursive_scan: bool,
    /// Whether deleted annotations are deleted (target).
    #[serde(default)]
    pub can_delete_objects: Option<bool>,
    /// `initialized`, `queued`, `in_progress`, `completed`, `completed_with_errors`, `failed`.
    #[serde(default)]
    pub status: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub traceback: Option<String>,
    /// Objects that the last synchronisation brought.
    #[serde(default)]
    pub last_sync_count: Option<u64>,
}

impl S3Storage {
    /// Whether a synchronisation has been asked for and has not ended. Editions with workers answer before it has.
    pub fn is_under_way(&self) -> bool {
        matches!(self.status.as_deref(), Some("queued" | "in_progress"))
    }

    /// Why the last synchronisation did not do all, in a line: the end of Label Studio's traceback.
    pub fn reason(&self) -> &str {
        self.traceback.as_deref().and_then(|t| t.trim().lines().last()).unwrap_or("no reason is told").trim()
    }
}

/// What Label Studio opens a bucket with. Without any, it uses its own.
#[derive(Clone, Default)]
pub struct StorageCredentials {
    /// The access key's id.
    pub key: Option<String>,
    /// The secret access key.
    pub secret: Option<String>,
    /// The session token.
    pub session: Option<String>,
}

impl std::fmt::Debug for StorageCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.key.is_some() { "StorageCredentials(..)" } else { "StorageCredentials(none)" })
    }
}

impl LabelStudioClient {
    /// The S3 storages of a project.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn storages(&self, kind: StorageKind, project: u64) -> Result<Vec<S3Storage>> {
        self.get(&format!("{}?project={project}", kind.path()))
    }

    /// A storage as it is now.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn storage(&self, kind: StorageKind, id: u64) -> Result<S3Storage> {
        self.get(&kind.detail(id))
    }

    /// A storage when Label Studio's workers have synchronised it, or as it is when `patience` is over and they have not.
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn when_synchronised(
        &self,
        kind: StorageKind,
        mut storage: S3Storage,
        patience: Duration,
    ) -> Result<S3Storage> {
        let begun = Instant::now();
        while storage.is_under_way() && begun.elapsed() < patience {
            thread::sleep(LOOK.min(patience));
            storage = self.storage(kind, storage.id)?;
        }
        Ok(storage)
    }

    /// Makes a storage. Label Studio looks into the bucket at once.
    ///
    /// # Errors
    /// [`crate::AnnotateError::Refused`] for a bucket that it cannot open.
    pub fn create_storage(
        &self,
        kind: StorageKind,
        project: u64,
        storage: &S3Storage,
        credentials: &StorageCredentials,
    ) -> Result<S3Storage> {
        self.send(Method::POST, kind.path(), &body(kind, project, storage, credentials))
    }

    /// Changes a storage.
    ///
    /// # Errors
    /// As [`LabelStudioClient::create_storage`].
    pub fn change_storage(
        &self,
        kind: StorageKind,
        project: u64,
        storage: &S3Storage,
        credentials: &StorageCredentials,
    ) -> Result<S3Storage> {
        self.send(Method::PATCH, &kind.detail(storage.id), &body(kind, project, storage, credentials))
    }

    /// Synchronises a storage: a source's objects become tasks, annotations become a target's objects. A Label Studio
    /// without workers answers when it is done, others at once ([`S3Storage::is_under_way`]).
    ///
    /// # Errors
    /// [`crate::AnnotateError`].
    pub fn sync_storage(&self, kind: StorageKind, id: u64) -> Result<S3Storage> {
        self.read(&ApiCall::json(Method::POST, format!("{}/sync", kind.detail(id)), &json!({})))
    }
}

fn body(kind: StorageKind, project: u64, storage: &S3Storage, credentials: &StorageCredentials) -> Value {
    let mut body = json!({
        "project": project,
        "title": storage.title,
        "bucket": storage.bucket,
        "prefix": storage.prefix,
        "region_name": storage.region_name,
        "s3_endpoint": storage.s3_endpoint,
    });
    match kind {
        StorageKind::Source => {
            body["regex_filter"] = json!(storage.regex_filter);
            body["use_blob_urls"] = json!(storage.use_blob_urls);
            body["recursive_scan"] = json!(storage.recursive_scan);
            body["presign"] = json!(true);
        }
        StorageKind::Target => body["can_delete_objects"] = json!(storage.can_delete_objects),
    }
    let secrets = [
        ("aws_access_key_id", &credentials.key),
        ("aws_secret_access_key", &credentials.secret),
        ("aws_session_token", &credentials.session),
    ];
    for (name, value) in secrets {
        if let Some(value) = value {
            body[name] = value.as_str().into();
        }
    }
    body
}
