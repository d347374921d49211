//! What lies below a prefix, a page at a time.

use kidu_core::store::{ObjectEntry, ObjectInfo, Result, StoreError, check_key, check_prefix};

use super::{
    S3Objects,
    objects::{LIST, size_of, timestamp, unquoted},
};
use crate::fault;

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Up to 1000 objects in the order of their keys. A page may be empty with others to follow.
    pub entries: Vec<ObjectEntry>,
    /// What asks for the next page, if there is one.
    pub next: Option<String>,
}

impl S3Objects {
    /// The first page of what begins with `prefix`, or the one that another page names as its next.
    ///
    /// # Errors
    /// [`StoreError`]; also for a key that [`check_key`] refuses, which would get lost otherwise.
    pub async fn list_page(&self, prefix: &str, next: Option<&str>) -> Result<Page> {
        check_prefix(&self.location, prefix)?;
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(format!("{}{prefix}", self.prefix()));
        let answer = request
            .set_continuation_token(next.map(str::to_owned))
            .send()
            .await
            .map_err(|e| self.fault(LIST, prefix, &e))?;
        let mut entries = Vec::with_capacity(answer.contents().len());
        for object in answer.contents() {
            let full = object.key().unwrap_or_default();
            let key = full.strip_prefix(self.prefix()).unwrap_or(full);
            let size = size_of(object.size());
            // The folder marks of the console.
            if size == 0 && (key.is_empty() || key.ends_with('/')) {
                continue;
            }
            check_key(&self.location, key)?;
            let etag = unquoted(object.e_tag());
            let modified = object.last_modified().and_then(timestamp);
            entries.push(ObjectEntry { key: key.to_owned(), info: ObjectInfo { size, etag, modified, sha256: None } });
        }
        let following = answer.next_continuation_token().filter(|_| answer.is_truncated() == Some(true));
        let refuse =
            |reason: &str| StoreError::Refused { action: LIST.verb, uri: self.uri(prefix), reason: reason.into() };
        Ok(Page { entries, next: fault::next_page(next, following, refuse)? })
    }
}
