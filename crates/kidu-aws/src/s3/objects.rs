//! Single objects: what is known of them, small reads and writes, removal.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    config::{Builder, StalledStreamProtectionConfig},
    operation::{get_object::GetObjectOutput, head_object::HeadObjectOutput},
    presigning::PresigningConfig,
    primitives::{ByteStream, ByteStreamError, DateTime},
    types::ChecksumMode,
};
use aws_smithy_checksums::body::validate;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::service_config::ServiceConfigKey;
use kidu_core::{
    hash::Sha256Hex,
    store::{GetOptions, MAX_KEY_BYTES, ObjectInfo, ObjectUri, PutOptions, Result, StoreError, check_key},
};

use super::checksum;
use crate::{
    Aws,
    fault::{self, Action, Facts},
};

pub(super) const READ: Action = Action { verb: "read", permission: "s3:GetObject" };
pub(super) const WRITE: Action = Action { verb: "write", permission: "s3:PutObject" };
pub(super) const LIST: Action = Action { verb: "list", permission: "s3:ListBucket" };
const REMOVE: Action = Action { verb: "remove", permission: "s3:DeleteObject" };

/// User metadata with the content's SHA-256: S3 itself keeps none for objects that were sent in parts.
pub(super) const SHA256_METADATA: &str = "kidu-sha256";
/// User metadata by which a writer knows its own object again.
pub(super) const WRITER_METADATA: &str = "kidu-writer";

/// An answer that breaks off is asked for again so often; the SDK itself repeats only up to the answer's head.
pub(super) const BODY_ATTEMPTS: u32 = 4;

/// How files travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Files above so many bytes travel in parts.
    pub threshold: u64,
    /// Bytes of a part, at least 5 MiB (S3's rule); more for files that would have over 10,000 parts.
    pub part_bytes: u64,
    /// Parts under way at a time; those of an upload are held in memory.
    pub parallel: usize,
}

impl Default for Transfer {
    fn default() -> Self {
        Self { threshold: 16 << 20, part_bytes: 8 << 20, parallel: 4 }
    }
}

/// The objects of a bucket below a prefix. Cheap to clone; the methods mean what those of
/// [`ObjectStore`](kidu_core::store::ObjectStore) mean.
#[derive(Clone, Debug)]
pub struct S3Objects {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) location: ObjectUri,
    pub(super) transfer: Transfer,
    prefix: String,
}

impl S3Objects {
    /// The objects at a place. Nothing is asked of S3 yet.
    ///
    /// # Errors
    /// [`StoreError::Uri`] for a place that is not in S3; [`StoreError::Setup`] without a region.
    pub fn open(aws: &Aws, location: &ObjectUri) -> Result<Self> {
        let ObjectUri::S3 { bucket, key } = location else {
            let reason = "it is not in S3; write s3://bucket/key".into();
            return Err(StoreError::Uri { uri: location.to_string(), reason });
        };
        if aws.region().is_none() {
            return Err(StoreError::Setup {
                action: "reach",
                uri: location.to_string(),
                reason: "no AWS region; set AWS_REGION, or `region` of the profile in ~/.aws/config, to the bucket's"
                    .into(),
            });
        }
        let config = Builder::from(aws.sdk())
            .force_path_style(needs_path_style(aws))
            // A slow network is no fault; the read time-out ends one that is dead.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Ok(Self {
            client: Client::from_conf(config),
            bucket: bucket.clone(),
            location: location.clone(),
            transfer: Transfer::default(),
            prefix: if key.is_empty() { String::new() } else { format!("{key}/") },
        })
    }

    /// The same objects, with files travelling otherwise.
    #[must_use]
    pub fn with_transfer(mut self, transfer: Transfer) -> Self {
        self.transfer = transfer;
        self
    }

    /// The place that keys are relative to.
    pub fn location(&self) -> &ObjectUri {
        &self.location
    }

    /// What is known of an object; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        let full = self.full_key(key)?;
        match self.client.head_object().bucket(&self.bucket).key(full).send().await {
            Ok(answer) => Ok(Some(info_of_head(&answer))),
            Err(e) if Facts::of(&e).is_missing() => Ok(None),
            Err(e) => Err(self.fault(READ, key, &e)),
        }
    }

    /// An object's bytes, at most `max_bytes`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn get(&self, key: &str, max_bytes: u64) -> Result<Vec<u8>> {
        let mut attempt = 0;
        loop {
            let answer = self.request(key, &GetOptions::default()).await?;
            let size = info_of_get(&answer).size;
            if size > max_bytes {
                return Err(self.too_large(key, size, max_bytes));
            }
            match self.collect(key, answer.body, max_bytes).await {
                Err(e) if e.is_transient() && attempt + 1 < BODY_ATTEMPTS => attempt = pause(attempt).await,
                collected => return collected,
            }
        }
    }

    /// Some servers do not tell the size beforehand.
    async fn collect(&self, key: &str, mut body: ByteStream, max_bytes: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = body.try_next().await.map_err(|e| self.body_fault(key, &e))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > max_bytes {
                return Err(self.too_large(key, bytes.len() as u64, max_bytes));
            }
        }
        Ok(bytes)
    }

    fn too_large(&self, key: &str, size: u64, limit: u64) -> StoreError {
        StoreError::TooLarge { uri: self.uri(key), size, limit }
    }

    /// Asks for an object as a whole: its head, and its body still to come.
    pub(super) async fn request(&self, key: &str, options: &GetOptions<'_>) -> Result<GetObjectOutput> {
        let request = self.client.get_object().bucket(&self.bucket).key(self.full_key(key)?);
        let request = request.checksum_mode(ChecksumMode::Enabled).set_if_match(options.etag.map(quoted));
        request.send().await.map_err(|e| match options.etag {
            Some(expected) if Facts::of(&e).is_condition_failed() => {
                StoreError::Changed { uri: self.uri(key), expected: expected.to_owned() }
            }
            _ => self.fault(READ, key, &e),
        })
    }

    /// Writes an object, over any of that key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_bytes(&self, key: &str, bytes: &[u8], options: &PutOptions<'_>) -> Result<ObjectInfo> {
        let sha256 = self.checked_sha256(key, bytes, options)?;
        self.put(key, bytes.to_vec(), sha256, options).await
    }

    /// Writes an object whose hash was checked.
    pub(super) async fn put(
        &self,
        key: &str,
        bytes: Vec<u8>,
        sha256: Sha256Hex,
        options: &PutOptions<'_>,
    ) -> Result<ObjectInfo> {
        let size = bytes.len() as u64;
        let request = self.client.put_object().bucket(&self.bucket).key(self.full_key(key)?);
        let answer = request
            .content_type(content_type(options))
            .metadata(SHA256_METADATA, sha256.as_str())
            .checksum_sha256(checksum::base64_of(&sha256))
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|e| self.fault(WRITE, key, &e))?;
        if let Some(progress) = options.progress {
            progress.advance(size);
        }
        Ok(ObjectInfo { size, etag: unquoted(answer.e_tag()), modified: None, sha256: Some(sha256) })
    }

    /// Writes an object unless there is one: of several writers one alone gets `true`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_if_absent(&self, key: &str, bytes: &[u8], options: &PutOptions<'_>) -> Result<bool> {
        let sha256 = self.checked_sha256(key, bytes, options)?;
        let full = self.full_key(key)?;
        let writer = new_writer();
        let mut attempt = 0;
        let created = loop {
            let request = self.client.put_object().bucket(&self.bucket).key(&full).if_none_match("*");
            let sent = request
                .content_type(content_type(options))
                .metadata(SHA256_METADATA, sha256.as_str())
                .metadata(WRITER_METADATA, &writer)
                .checksum_sha256(checksum::base64_of(&sha256))
                .body(ByteStream::from(bytes.to_vec()))
                .send()
                .await;
            let Err(e) = sent else { break true };
            let facts = Facts::of(&e);
            if facts.is_condition_failed() {
                // Ours, if an earlier try was carried out and only its answer was lost.
                break self.written_by(key, &writer).await?.is_some();
            }
            if !facts.is_conflict() || attempt + 1 >= BODY_ATTEMPTS {
                return Err(self.fault(WRITE, key, &e));
            }
            attempt = pause(attempt).await;
        };
        if let Some(progress) = options.progress.filter(|_| created) {
            progress.advance(bytes.len() as u64);
        }
        Ok(created)
    }

    /// What is known of an object if that writer wrote it: settles a write whose answer was lost.
    pub(super) async fn written_by(&self, key: &str, writer: &str) -> Result<Option<ObjectInfo>> {
        match self.client.head_object().bucket(&self.bucket).key(self.full_key(key)?).send().await {
            Ok(answer) => {
                let ours = answer.metadata().and_then(|m| m.get(WRITER_METADATA)).is_some_and(|found| found == writer);
                Ok(ours.then(|| info_of_head(&answer)))
            }
            // Who may write but not read can only believe the refusal; an object may be gone again.
            Err(e) if Facts::of(&e).is_missing() || Facts::of(&e).status == 403 => Ok(None),
            Err(e) => Err(self.fault(READ, key, &e)),
        }
    }

    /// Removes an object. None of that key is no error.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.client.delete_object().bucket(&self.bucket).key(self.full_key(key)?).send().await {
            Err(e) if !Facts::of(&e).is_missing() => Err(self.fault(REMOVE, key, &e)),
            _ => Ok(()),
        }
    }

    /// A URL by which anybody reads the object until the time is over: at most seven days, and no longer than the
    /// credentials of this process live.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a time out of range; without credentials [`StoreError::Setup`].
    pub async fn presign_get(&self, key: &str, expires_in: Duration) -> Result<String> {
        let refused = |reason: String| StoreError::Refused { action: "sign a URL of", uri: self.uri(key), reason };
        let config = PresigningConfig::expires_in(expires_in)
            .map_err(|e| refused(format!("{}; give 1 second to 7 days", fault::causes(&e))))?;
        if expires_in.as_secs() == 0 {
            return Err(refused("the time is under a second; give 1 second to 7 days".into()));
        }
        let request = self.client.get_object().bucket(&self.bucket).key(self.full_key(key)?);
        let signed = request.presigned(config).await.map_err(|e| self.fault(READ, key, &e))?;
        Ok(signed.uri().to_owned())
    }

    /// The key within the bucket.
    pub(super) fn full_key(&self, key: &str) -> Result<String> {
        check_key(&self.location, key)?;
        let full = format!("{}{key}", self.prefix);
        if full.len() > MAX_KEY_BYTES {
            return Err(StoreError::Key {
                location: self.location.to_string(),
                key: key.to_owned(),
                reason: format!("with the store's prefix it is longer than {MAX_KEY_BYTES} bytes; shorten it"),
            });
        }
        Ok(full)
    }

    /// What keys of the bucket begin with that belong to this store.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn uri(&self, key: &str) -> String {
        self.location.join(key).to_string()
    }

    pub(super) fn fault<E>(&self, action: Action, key: &str, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        fault::classify(action, &self.bucket, &self.uri(key), &Facts::of(error))
    }

    /// What broke off an answer that had begun.
    pub(super) fn body_fault(&self, key: &str, error: &ByteStreamError) -> StoreError {
        match fault::find::<validate::Error>(error) {
            Some(validate::Error::ChecksumMismatch { expected, actual }) => StoreError::Checksum {
                uri: self.uri(key),
                expected: format!("{expected:x}"),
                found: format!("{actual:x}"),
            },
            _ => StoreError::Transient { action: READ.verb, uri: self.uri(key), reason: fault::causes(error) },
        }
    }

    fn checked_sha256(&self, key: &str, bytes: &[u8], options: &PutOptions<'_>) -> Result<Sha256Hex> {
        check_key(&self.location, key)?;
        let found = Sha256Hex::of_bytes(bytes);
        checksum::check_sha256(&self.uri(key), options.sha256, &found)?;
        Ok(found)
    }
}

/// A little longer each time; the next attempt's number.
pub(super) async fn pause(attempt: u32) -> u32 {
    tokio::time::sleep(Duration::from_millis(100 << attempt.min(6))).await;
    attempt + 1
}

/// A name that no other writer has.
pub(super) fn new_writer() -> String {
    format!("{:032x}", rand::random::<u128>())
}

pub(super) fn content_type<'a>(options: &PutOptions<'a>) -> &'a str {
    options.content_type.unwrap_or("application/octet-stream")
}

pub(super) fn info_of_get(answer: &GetObjectOutput) -> ObjectInfo {
    ObjectInfo {
        size: size_of(answer.content_length()),
        etag: unquoted(answer.e_tag()),
        modified: answer.last_modified().and_then(timestamp),
        sha256: answer.metadata().and_then(|m| m.get(SHA256_METADATA)).and_then(|text| Sha256Hex::parse(text)),
    }
}

fn info_of_head(answer: &HeadObjectOutput) -> ObjectInfo {
    ObjectInfo {
        size: size_of(answer.content_length()),
        etag: unquoted(answer.e_tag()),
        modified: answer.last_modified().and_then(timestamp),
        sha256: answer.metadata().and_then(|m| m.get(SHA256_METADATA)).and_then(|text| Sha256Hex::parse(text)),
    }
}

pub(super) fn size_of(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

pub(super) fn timestamp(time: &DateTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

pub(super) fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// Emulators and other servers have no host name for each bucket.
fn needs_path_style(aws: &Aws) -> bool {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let own = aws.sdk().service_config().and_then(|config| config.load_config(key.ok()?));
    let endpoint = own.or_else(|| aws.sdk().endpoint_url().map(str::to_owned));
    endpoint.is_some_and(|url| !url.contains("amazonaws.com"))
}
