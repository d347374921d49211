//! Whether what arrived is what was sent.

use std::{fs::File, io::Read, path::Path};

use aws_sdk_s3::{operation::get_object::GetObjectOutput, types::ChecksumType};
use aws_smithy_checksums::ChecksumAlgorithm;
use aws_smithy_types::base64;
use kidu_core::{
    Error,
    hash::{Sha256Hex, Sha256Stream},
    store::{Result, StoreError},
};

const BLOCK: usize = 1 << 20;

/// A digest as S3's headers want it.
pub(super) fn base64_of(sha256: &Sha256Hex) -> String {
    // Hexadecimal by its type.
    base64::encode(hex::decode(sha256.as_str()).unwrap_or_default())
}

pub(super) fn check_sha256(uri: &str, expected: Option<&Sha256Hex>, found: &Sha256Hex) -> Result<()> {
    match expected {
        Some(expected) if expected != found => {
            Err(StoreError::Checksum { uri: uri.to_owned(), expected: expected.to_string(), found: found.to_string() })
        }
        _ => Ok(()),
    }
}

/// What S3 has recorded of a whole object. Checksums of its parts alone say nothing of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    algorithm: &'static str,
    base64: String,
}

impl Recorded {
    /// The first checksum that the answer's head has, fastest to compute first.
    pub(super) fn of(answer: &GetObjectOutput) -> Option<Self> {
        if answer.checksum_type() == Some(&ChecksumType::Composite) {
            return None;
        }
        [
            ("crc64nvme", answer.checksum_crc64_nvme()),
            ("crc32", answer.checksum_crc32()),
            ("crc32c", answer.checksum_crc32_c()),
            ("sha256", answer.checksum_sha256()),
            ("sha1", answer.checksum_sha1()),
        ]
        .into_iter()
        // `...-3` is a checksum of three checksums.
        .find_map(|(algorithm, value)| value.filter(|v| !v.contains('-')).map(|v| (algorithm, v.to_owned())))
        .map(|(algorithm, base64)| Self { algorithm, base64 })
    }
}

/// Reads a file that has arrived, once, and holds it against what is recorded of it. Its SHA-256.
pub(super) fn verify_file(uri: &str, path: &Path, recorded: Option<&Recorded>) -> Result<Sha256Hex> {
    let mut file = File::open(path).map_err(|e| Error::io("read", path, e))?;
    let algorithm = recorded.and_then(|recorded| recorded.algorithm.parse::<ChecksumAlgorithm>().ok());
    let mut checksum = algorithm.map(ChecksumAlgorithm::into_impl);
    let mut sha256 = Sha256Stream::default();
    let mut block = vec![0; BLOCK];
    loop {
        let n = match file.read(&mut block) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::io("read", path, e).into()),
        };
        sha256.update(&block[..n]);
        if let Some(checksum) = &mut checksum {
            checksum.update(&block[..n]);
        }
    }
    if let (Some(recorded), Some(checksum)) = (recorded, checksum) {
        let found = base64::encode(checksum.finalize());
        if found != recorded.base64 {
            let name = |value: &str| format!("{} {value}", recorded.algorithm);
            return Err(StoreError::Checksum {
                uri: uri.to_owned(),
                expected: name(&recorded.base64),
                found: name(&found),
            });
        }
    }
    Ok(sha256.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> aws_sdk_s3::operation::get_object::builders::GetObjectOutputBuilder {
        GetObjectOutput::builder()
    }

    #[test]
    fn digests_are_told_in_base64() {
        // printf abc | openssl dgst -sha256 -binary | base64
        assert_eq!(base64_of(&Sha256Hex::of_bytes(b"abc")), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    #[test]
    fn checksums_of_parts_are_not_those_of_the_whole() {
        assert_eq!(Recorded::of(&answer().build()), None);
        assert_eq!(Recorded::of(&answer().checksum_crc32("AAAAAA==-3").build()), None);
        let composite = answer().checksum_crc32("AAAAAA==").checksum_type(ChecksumType::Composite).build();
        assert_eq!(Recorded::of(&composite), None);
        let whole = Recorded::of(&answer().checksum_crc32("AAAAAA==").build()).unwrap();
        assert_eq!((whole.algorithm, whole.base64.as_str()), ("crc32", "AAAAAA=="));
    }

    #[test]
    fn files_are_held_against_the_check_values_of_the_algorithms() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "123456789").unwrap();
        // The check values of the CRC catalogue: CBF43926, E3069283, AE8B14860A799888.
        for (algorithm, value) in [
            ("crc32", 0xCBF4_3926_u32.to_be_bytes().to_vec()),
            ("crc32c", 0xE306_9283_u32.to_be_bytes().to_vec()),
            ("crc64nvme", 0xAE8B_1486_0A79_9888_u64.to_be_bytes().to_vec()),
        ] {
            let recorded = Recorded { algorithm, base64: base64::encode(&value) };
            let found = verify_file("s3://b/x", &path, Some(&recorded)).unwrap();
            assert_eq!(found, Sha256Hex::of_bytes(b"123456789"));
            let wrong = Recorded { algorithm, base64: base64::encode(vec![0; value.len()]) };
            let refused = verify_file("s3://b/x", &path, Some(&wrong)).unwrap_err();
            assert!(matches!(refused, StoreError::Checksum { .. }), "{algorithm}");
        }
    }
}
