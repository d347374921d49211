//! Objects into files: small ones in one answer, large ones by ranges, several at a time.

use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_sdk_s3::{config::Config, primitives::ByteStream};
use aws_smithy_types::checksum_config::ResponseChecksumValidation;
use kidu_core::{
    Error,
    files::AtomicFile,
    hash::{Sha256Hex, Sha256Stream},
    store::{GetOptions, ObjectInfo, Result, StoreError},
};
use tokio::task::JoinSet;

use super::{
    S3Objects,
    checksum::{Recorded, check_sha256, verify_file},
    objects::{BODY_ATTEMPTS, READ, info_of_get, pause, quoted},
};
use crate::fault::Facts;

impl S3Objects {
    /// Fetches an object of any size into a file, which is replaced whole or not at all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get_to_file(&self, key: &str, path: &Path, options: &GetOptions<'_>) -> Result<ObjectInfo> {
        let (mut attempt, mut told) = (0, 0);
        loop {
            let answer = self.request(key, options).await?;
            let info = info_of_get(&answer);
            let recorded = Recorded::of(&answer);
            let mut file = AtomicFile::create(path)?;
            let (found, size) = if info.size > self.transfer.threshold && !info.etag.is_empty() {
                // Its connection is given up; the ranges have their own.
                drop(answer.body);
                (self.fetch_ranges(key, &info, recorded, &mut file, options).await?, info.size)
            } else {
                match self.stream(key, answer.body, path, file.file(), options, &mut told).await {
                    Err(e) if e.is_transient() && attempt + 1 < BODY_ATTEMPTS => {
                        attempt = pause(attempt).await;
                        continue;
                    }
                    streamed => streamed?,
                }
            };
            for expected in [options.sha256, info.sha256.as_ref()] {
                check_sha256(&self.uri(key), expected, &found)?;
            }
            file.commit()?;
            return Ok(ObjectInfo { size, sha256: Some(found), ..info });
        }
    }

    /// Writes an answer as it comes; the SDK holds it against S3's checksum. `told` bytes were reported by earlier tries.
    /// Hash and size of what came.
    async fn stream(
        &self,
        key: &str,
        mut body: ByteStream,
        path: &Path,
        file: &mut File,
        options: &GetOptions<'_>,
        told: &mut u64,
    ) -> Result<(Sha256Hex, u64)> {
        let mut sha256 = Sha256Stream::default();
        let mut arrived = 0;
        while let Some(chunk) = body.try_next().await.map_err(|e| self.body_fault(key, &e))? {
            file.write_all(&chunk).map_err(|e| Error::io("write", path, e))?;
            sha256.update(&chunk);
            arrived += chunk.len() as u64;
            if let Some(progress) = options.progress.filter(|_| arrived > *told) {
                progress.advance(arrived - *told);
                *told = arrived;
            }
        }
        Ok((sha256.finish(), arrived))
    }

    /// Fetches a large object of one version by ranges.
    async fn fetch_ranges(
        &self,
        key: &str,
        info: &ObjectInfo,
        recorded: Option<Recorded>,
        file: &mut AtomicFile,
        options: &GetOptions<'_>,
    ) -> Result<Sha256Hex> {
        let path = file.temporary_path().to_path_buf();
        file.file().set_len(info.size).map_err(|e| Error::io("write", &path, e))?;
        let task = Arc::new(RangeTask {
            objects: self.clone(),
            key: key.to_owned(),
            etag: info.etag.clone(),
            path: path.clone(),
        });
        let mut under_way = JoinSet::new();
        for range in ranges(info.size, self.transfer.part_bytes) {
            if under_way.len() >= self.transfer.parallel.max(1) {
                arrived(&mut under_way, options).await?;
            }
            let task = Arc::clone(&task);
            under_way.spawn(async move { task.fetch(range).await });
        }
        while !under_way.is_empty() {
            arrived(&mut under_way, options).await?;
        }
        let uri = self.uri(key);
        // Reading a large file would hold up the others on this thread.
        let verified = tokio::task::spawn_blocking(move || verify_file(&uri, &path, recorded.as_ref())).await;
        verified.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
    }
}

async fn arrived(under_way: &mut JoinSet<Result<u64>>, options: &GetOptions<'_>) -> Result<()> {
    match under_way.join_next().await {
        Some(Ok(bytes)) => {
            let bytes = bytes?;
            if let Some(progress) = options.progress {
                progress.advance(bytes);
            }
            Ok(())
        }
        // Nobody cancels them, so it is a panic.
        Some(Err(e)) => std::panic::resume_unwind(e.into_panic()),
        None => Ok(()),
    }
}

/// What the ranges of one download share.
struct RangeTask {
    objects: S3Objects,
    key: String,
    etag: String,
    path: PathBuf,
}

impl RangeTask {
    /// Writes a range at its place in the file, and goes on where an answer broke off. The bytes written.
    async fn fetch(&self, range: Range<u64>) -> Result<u64> {
        let failed = |e| StoreError::from(Error::io("write", &self.path, e));
        let mut file = OpenOptions::new().write(true).open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
        let (mut at, mut attempt) = (range.start, 0);
        loop {
            let mut body = self.request(at..range.end).await?;
            let broken = loop {
                match body.try_next().await {
                    Ok(None) if at == range.end => return Ok(range.end - range.start),
                    Ok(None) => break self.cut_off(),
                    Ok(Some(chunk)) if chunk.len() as u64 > range.end - at => return Err(self.not_a_range()),
                    Ok(Some(chunk)) => {
                        file.write_all(&chunk).map_err(failed)?;
                        at += chunk.len() as u64;
                    }
                    Err(e) => break self.objects.body_fault(&self.key, &e),
                }
            };
            if attempt + 1 >= BODY_ATTEMPTS || !broken.is_transient() {
                return Err(broken);
            }
            attempt = pause(attempt).await;
        }
    }

    async fn request(&self, range: Range<u64>) -> Result<ByteStream> {
        let objects = &self.objects;
        let request = objects.client.get_object().bucket(&objects.bucket).key(objects.full_key(&self.key)?);
        let answer = request
            .range(format!("bytes={}-{}", range.start, range.end - 1))
            .if_match(quoted(&self.etag))
            .customize()
            // A checksum of the whole says nothing of a range; the whole is verified in the end.
            .config_override(Config::builder().response_checksum_validation(ResponseChecksumValidation::WhenRequired))
            .send()
            .await
            .map_err(|e| {
                let facts = Facts::of(&e);
                if facts.is_condition_failed() || facts.is_empty_range() {
                    StoreError::Changed { uri: objects.uri(&self.key), expected: self.etag.clone() }
                } else {
                    objects.fault(READ, &self.key, &e)
                }
            })?;
        Ok(answer.body)
    }

    fn cut_off(&self) -> StoreError {
        let reason = "the answer was cut off".into();
        StoreError::Transient { action: READ.verb, uri: self.objects.uri(&self.key), reason }
    }

    fn not_a_range(&self) -> StoreError {
        let reason = "the server sent more than the range asked for; use one that knows HTTP ranges".into();
        StoreError::Refused { action: READ.verb, uri: self.objects.uri(&self.key), reason }
    }
}

/// Cuts `0..size` into ranges of `part` bytes, the last one shorter.
fn ranges(size: u64, part: u64) -> impl Iterator<Item = Range<u64>> {
    let part = part.max(1);
    (0..size.div_ceil(part)).map(move |i| i * part..size.min((i + 1).saturating_mul(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        for (size, part, count) in [(0, 5, 0), (1, 5, 1), (5, 5, 1), (6, 5, 2), (20, 1, 20), (3, 0, 3)] {
            let ranges: Vec<_> = ranges(size, part).collect();
            assert_eq!(ranges.len(), count);
            assert_eq!(ranges.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..size).collect::<Vec<_>>());
        }
    }
}
