//! Files into objects: small ones in one request, large ones in parts, several at a time.

use std::{fs::File, io::Read, path::Path};

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use kidu_core::{
    Error,
    hash::{Sha256Hex, Sha256Stream},
    store::{ObjectInfo, PutOptions, Result, StoreError},
};
use tokio::task::JoinSet;

use super::{
    S3Objects, Transfer,
    checksum::check_sha256,
    objects::{SHA256_METADATA, WRITE, WRITER_METADATA, content_type, new_writer, unquoted},
};
use crate::fault::Action;

const SMALLEST_PART: u64 = 5 << 20;
const MOST_PARTS: u64 = 10_000;
const ABORT: Action = Action { verb: "give up", permission: "s3:AbortMultipartUpload" };

impl S3Objects {
    /// Writes a file of any size as an object. A file that changes while it is sent is refused.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_file(&self, key: &str, path: &Path, options: &PutOptions<'_>) -> Result<ObjectInfo> {
        self.full_key(key)?;
        let failed = |e| Error::io("read", path, e);
        let mut file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        if size <= self.transfer.threshold {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(failed)?;
            let sha256 = Sha256Hex::of_bytes(&bytes);
            check_sha256(&self.uri(key), options.sha256, &sha256)?;
            return self.put(key, bytes, sha256, options).await;
        }
        let sha256 = sha256_of(path).await?;
        check_sha256(&self.uri(key), options.sha256, &sha256)?;
        let writer = new_writer();
        let id = self.begin(key, &sha256, &writer, options).await?;
        let upload = Upload { objects: self, key, id, writer };
        match upload.send_all(path, file, size, &sha256, options).await {
            Ok(etag) => Ok(ObjectInfo { size, etag, modified: None, sha256: Some(sha256) }),
            Err(e) => {
                upload.abort().await;
                Err(e)
            }
        }
    }

    async fn begin(&self, key: &str, sha256: &Sha256Hex, writer: &str, options: &PutOptions<'_>) -> Result<String> {
        let request = self.client.create_multipart_upload().bucket(&self.bucket).key(self.full_key(key)?);
        let answer = request
            .content_type(content_type(options))
            .metadata(SHA256_METADATA, sha256.as_str())
            .metadata(WRITER_METADATA, writer)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .send()
            .await
            .map_err(|e| self.fault(WRITE, key, &e))?;
        answer.upload_id.ok_or_else(|| StoreError::Refused {
            action: WRITE.verb,
            uri: self.uri(key),
            reason: "the server began an upload without giving its id; use one that knows multipart uploads".into(),
        })
    }
}

/// An upload in parts that has begun. S3 keeps its parts, and charges for them, until it is completed or given up.
struct Upload<'a> {
    objects: &'a S3Objects,
    key: &'a str,
    id: String,
    /// Knows the completed object again.
    writer: String,
}

impl Upload<'_> {
    /// Sends a file in order, its parts concurrently, and completes the object. Its etag.
    async fn send_all(
        &self,
        path: &Path,
        mut file: File,
        size: u64,
        expected: &Sha256Hex,
        options: &PutOptions<'_>,
    ) -> Result<String> {
        let part_bytes = part_bytes(size, &self.objects.transfer);
        let mut sha256 = Sha256Stream::default();
        let mut under_way = JoinSet::new();
        let mut parts = Vec::new();
        for number in 1.. {
            let mut bytes = Vec::new();
            (&mut file).take(part_bytes).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
            if bytes.is_empty() || number > MOST_PARTS as i32 {
                break;
            }
            sha256.update(&bytes);
            if under_way.len() >= self.objects.transfer.parallel.max(1) {
                parts.extend(sent(&mut under_way, options).await?);
            }
            self.send_part(&mut under_way, number, bytes)?;
        }
        while !under_way.is_empty() {
            parts.extend(sent(&mut under_way, options).await?);
        }
        // The file may have changed since it was hashed.
        check_sha256(&self.objects.uri(self.key), Some(expected), &sha256.finish())?;
        self.complete(parts).await
    }

    fn send_part(
        &self,
        under_way: &mut JoinSet<Result<(u64, CompletedPart)>>,
        number: i32,
        bytes: Vec<u8>,
    ) -> Result<()> {
        let (objects, key, size) = (self.objects.clone(), self.key.to_owned(), bytes.len() as u64);
        let request = objects.client.upload_part().bucket(&objects.bucket).key(objects.full_key(&key)?);
        let request = request
            .upload_id(&self.id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(bytes));
        under_way.spawn(async move {
            let answer = request.send().await.map_err(|e| objects.fault(WRITE, &key, &e))?;
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag)
                .set_checksum_crc32(answer.checksum_crc32)
                .build();
            Ok((size, part))
        });
        Ok(())
    }

    async fn complete(&self, mut parts: Vec<CompletedPart>) -> Result<String> {
        parts.sort_by_key(CompletedPart::part_number);
        let objects = self.objects;
        let request = objects.client.complete_multipart_upload().bucket(&objects.bucket);
        let answer = request
            .key(objects.full_key(self.key)?)
            .upload_id(&self.id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(unquoted(answer.e_tag())),
            // It may have been completed all the same: its answer lost and the repeated request told that there is no
            // such upload any more, or an answer that cannot be read. The object itself tells.
            Err(e) => match objects.written_by(self.key, &self.writer).await {
                Ok(Some(info)) => Ok(info.etag),
                _ => Err(objects.fault(WRITE, self.key, &e)),
            },
        }
    }

    /// Best effort: the failure that led here is the one to report.
    async fn abort(&self) {
        let objects = self.objects;
        let Ok(full) = objects.full_key(self.key) else { return };
        let request = objects.client.abort_multipart_upload().bucket(&objects.bucket).key(full).upload_id(&self.id);
        let _ = request.send().await.map_err(|e| objects.fault(ABORT, self.key, &e));
    }
}

async fn sent(
    under_way: &mut JoinSet<Result<(u64, CompletedPart)>>,
    options: &PutOptions<'_>,
) -> Result<Option<CompletedPart>> {
    match under_way.join_next().await {
        Some(Ok(outcome)) => {
            let (bytes, part) = outcome?;
            if let Some(progress) = options.progress {
                progress.advance(bytes);
            }
            Ok(Some(part))
        }
        // Nobody cancels them, so it is a panic.
        Some(Err(e)) => std::panic::resume_unwind(e.into_panic()),
        None => Ok(None),
    }
}

async fn sha256_of(path: &Path) -> Result<Sha256Hex> {
    let path = path.to_path_buf();
    let hashed = tokio::task::spawn_blocking(move || Sha256Hex::of_file(&path)).await;
    Ok(hashed.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))?)
}

/// Bytes of a part: what is asked for, within S3's rules for the smallest part and the number of parts.
fn part_bytes(size: u64, transfer: &Transfer) -> u64 {
    transfer.part_bytes.max(SMALLEST_PART).max(size.div_ceil(MOST_PARTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_to_the_rules_of_s3() {
        let transfer = Transfer::default();
        assert_eq!(part_bytes(20 << 20, &transfer), 8 << 20);
        assert_eq!(part_bytes(20 << 20, &Transfer { part_bytes: 1, ..transfer }), SMALLEST_PART);
        for size in [1_u64 << 40, (5 << 40) - 1, 5 << 40] {
            assert!(size.div_ceil(part_bytes(size, &transfer)) <= MOST_PARTS, "{size}");
        }
    }
}
