//! Has Label Studio write what a build reads. Annotations that are made in bulk, from predictions or with imported tasks, are
//! in no target storage before that is synchronised: a build would count them and never see them.

use std::{ffi::OsString, time::Duration};

use kidu_annotate::{
    AnnotateError, LabelStudioClient,
    client::{S3Storage, StorageKind},
};
use kidu_fetch::FetchOptions;

/// For one answer: Label Studio writes every annotation of the project before it answers.
const PATIENCE: Duration = Duration::from_secs(600);

/// The places that builds read, and the Label Studio that writes them.
#[derive(Clone)]
pub struct TargetStorages {
    /// `bucket/prefix`, without a slash at its end.
    places: Vec<String>,
    /// `None` without a Label Studio or without its token.
    access: Option<FetchOptions>,
}

impl TargetStorages {
    /// Those of a build's arguments: what `Annotations=` names in S3. `None` where the build reads no bucket.
    pub fn of(arguments: &[OsString], access: Option<FetchOptions>) -> Option<Self> {
        let named = arguments.iter().filter_map(|a| a.to_str()?.split_once("Annotations=").map(|(_, value)| value));
        let places: Vec<String> = named
            .flat_map(|value| value.split(','))
            .filter_map(|place| place.trim().strip_prefix("s3://"))
            .map(|place| place.trim_end_matches('/').to_owned())
            .collect();
        let access = access.map(|options| FetchOptions { try_timeout: PATIENCE, ..options });
        (!places.is_empty()).then_some(Self { places, access })
    }

    /// Has Label Studio write the annotations of these projects. Blocks the thread.
    ///
    /// # Errors
    /// Why they are not written, and what to do, as a sentence.
    pub fn write(&self, projects: &[u64]) -> Result<(), String> {
        let Some(access) = &self.access else {
            tracing::warn!(
                ?projects,
                "annotations were made in bulk, which are in no target storage before it is synchronised; give --label-studio \
                 and KIDU_LABEL_STUDIO_TOKEN, and it is"
            );
            return Ok(());
        };
        let failed = |project: u64, reason: String| {
            format!(
                "the annotations that were made in bulk in project {project} are not in its target storage: {reason}"
            )
        };
        let client = LabelStudioClient::new(access.clone()).map_err(|e| e.to_string())?;
        for project in projects {
            self.write_one(&client, *project).map_err(|reason| failed(*project, reason))?;
        }
        Ok(())
    }

    fn write_one(&self, client: &LabelStudioClient, project: u64) -> Result<(), String> {
        let told = |e: AnnotateError| e.to_string();
        let storages = client.storages(StorageKind::Target, project).map_err(told)?;
        let ours: Vec<S3Storage> = storages.into_iter().filter(|s| self.is_read(s)).collect();
        if ours.is_empty() {
            tracing::warn!(project, places = ?self.places, "the project has no target storage where builds read annotations");
        }
        for storage in ours {
            let asked = client.sync_storage(StorageKind::Target, storage.id).map_err(told)?;
            let now = client.when_synchronised(StorageKind::Target, asked, PATIENCE).map_err(told)?;
            if now.is_under_way() {
                let seconds = PATIENCE.as_secs();
                return Err(format!("Label Studio has not written them within {seconds} s; do its workers run?"));
            }
            if now.status.as_deref() == Some("failed") {
                let reason = now.reason();
                return Err(format!(
                    "Label Studio could not write them: {reason}; see the storage in the project's settings"
                ));
            }
            tracing::info!(
                project,
                place = place_of(&now),
                annotations = now.last_sync_count,
                "Label Studio wrote its annotations"
            );
        }
        Ok(())
    }

    /// Whether builds read the storage, or what holds it.
    fn is_read(&self, storage: &S3Storage) -> bool {
        let there = place_of(storage);
        self.places.iter().any(|place| there == *place || there.starts_with(&format!("{place}/")))
    }
}

fn place_of(storage: &S3Storage) -> String {
    let (bucket, prefix) =
        (storage.bucket.as_deref().unwrap_or_default(), storage.prefix.as_deref().unwrap_or_default());
    format!("{bucket}/{}", prefix.trim_matches('/')).trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Option<TargetStorages> {
        TargetStorages::of(&arguments.iter().map(OsString::from).collect::<Vec<_>>(), None)
    }

    #[test]
    fn the_places_are_those_that_the_build_reads() {
        for arguments in
            [&["-p", "Annotations=s3://labels/annotations/"][..], &["-pAnnotations=s3://labels/annotations"]]
        {
            let storages = of(arguments).unwrap();
            assert_eq!(storages.places, ["labels/annotations"]);
            let storage = |bucket: &str, prefix: &str| {
                let (bucket, prefix) = (Some(bucket.into()), Some(prefix.into()));
                S3Storage { bucket, prefix, ..S3Storage::default() }
            };
            assert!(storages.is_read(&storage("labels", "annotations")));
            assert!(storages.is_read(&storage("labels", "annotations/scenes/")));
            assert!(!storages.is_read(&storage("labels", "annotations-2")));
            assert!(!storages.is_read(&storage("labels", "")));
        }
        let two = of(&["-p", "Annotations=export.json,s3://labels"]).unwrap();
        assert!(two.is_read(&S3Storage { bucket: Some("labels".into()), ..S3Storage::default() }));
        assert!(of(&["data.root=photos", "-p", "Annotations=export.json"]).is_none());
        assert!(two.write(&[1]).is_ok(), "without a Label Studio nothing can be done");
    }
}
