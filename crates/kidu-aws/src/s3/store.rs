//! The calls of [`S3Objects`] for synchronous code.

use std::{path::Path, time::Duration, vec};

use kidu_core::store::{GetOptions, Listing, ObjectEntry, ObjectInfo, ObjectStore, ObjectUri, PutOptions, Result};

use super::S3Objects;
use crate::{Aws, AwsSettings, context::no_threads, runtime};

/// A bucket, or what lies below a prefix of it, as an object store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct S3Store {
    objects: S3Objects,
}

impl S3Store {
    /// The store at a place, with the region and the credentials of the environment. Nothing is asked of S3 yet.
    ///
    /// # Errors
    /// [`kidu_core::store::StoreError::Uri`] for a place that is not in S3;
    /// [`kidu_core::store::StoreError::Setup`] without a region.
    pub fn open(location: &ObjectUri) -> Result<Self> {
        Self::open_with(&Aws::load_blocking(&AwsSettings::from_environment())?, location)
    }

    /// As [`S3Store::open`], with settings that were loaded before.
    ///
    /// # Errors
    /// Those of [`S3Store::open`].
    pub fn open_with(aws: &Aws, location: &ObjectUri) -> Result<Self> {
        Ok(Self { objects: S3Objects::open(aws, location)? })
    }

    /// The same calls for asynchronous code.
    pub fn objects(&self) -> &S3Objects {
        &self.objects
    }

    /// See [`S3Objects::presign_get`].
    ///
    /// # Errors
    /// Those of [`S3Objects::presign_get`].
    pub fn presign_get(&self, key: &str, expires_in: Duration) -> Result<String> {
        wait(self.objects.presign_get(key, expires_in))
    }
}

impl From<S3Objects> for S3Store {
    fn from(objects: S3Objects) -> Self {
        Self { objects }
    }
}

fn wait<T: Send>(call: impl Future<Output = Result<T>> + Send) -> Result<T> {
    runtime::block_on(call).map_err(no_threads)?
}

impl ObjectStore for S3Store {
    fn location(&self) -> &ObjectUri {
        self.objects.location()
    }

    fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        wait(self.objects.head(key))
    }

    fn get(&self, key: &str, max_bytes: u64) -> Result<Vec<u8>> {
        wait(self.objects.get(key, max_bytes))
    }

    fn get_to_file(&self, key: &str, path: &Path, options: &GetOptions<'_>) -> Result<ObjectInfo> {
        wait(self.objects.get_to_file(key, path, options))
    }

    fn put_bytes(&self, key: &str, bytes: &[u8], options: &PutOptions<'_>) -> Result<ObjectInfo> {
        wait(self.objects.put_bytes(key, bytes, options))
    }

    fn put_file(&self, key: &str, path: &Path, options: &PutOptions<'_>) -> Result<ObjectInfo> {
        wait(self.objects.put_file(key, path, options))
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8], options: &PutOptions<'_>) -> Result<bool> {
        wait(self.objects.put_if_absent(key, bytes, options))
    }

    fn delete(&self, key: &str) -> Result<()> {
        wait(self.objects.delete(key))
    }

    fn list(&self, prefix: &str) -> Listing<'_> {
        Box::new(Pages {
            objects: &self.objects,
            prefix: prefix.to_owned(),
            page: Vec::new().into_iter(),
            next: Next::First,
        })
    }
}

/// A listing that fetches a page when the one before is consumed.
struct Pages<'a> {
    objects: &'a S3Objects,
    prefix: String,
    page: vec::IntoIter<ObjectEntry>,
    next: Next,
}

enum Next {
    First,
    Page(String),
    End,
}

impl Iterator for Pages<'_> {
    type Item = Result<ObjectEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.page.next() {
                return Some(Ok(entry));
            }
            let token = match &self.next {
                Next::First => None,
                Next::Page(token) => Some(token.as_str()),
                Next::End => return None,
            };
            match wait(self.objects.list_page(&self.prefix, token)) {
                Ok(page) => {
                    self.page = page.entries.into_iter();
                    self.next = page.next.map_or(Next::End, Next::Page);
                }
                Err(e) => {
                    self.next = Next::End;
                    return Some(Err(e));
                }
            }
        }
    }
}
