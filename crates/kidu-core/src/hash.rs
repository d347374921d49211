//! SHA-256 of bytes, files and structured keys.

use std::{fmt, fs::File, io::Read, path::Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// A SHA-256 digest, 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sha256Hex(String);

impl Sha256Hex {
    /// The digest of `bytes`.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// The digest of a file's content, read in blocks of 1 MiB.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read.
    pub fn of_file(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(|e| Error::io("read", path, e))?;
        let mut hasher = Sha256::new();
        let mut block = vec![0; 1 << 20];
        loop {
            let n = file.read(&mut block).map_err(|e| Error::io("read", path, e))?;
            if n == 0 {
                return Ok(Self(hex::encode(hasher.finalize())));
            }
            hasher.update(&block[..n]);
        }
    }

    /// A digest from its 64 hexadecimal digits, in either case; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| Self(text.to_ascii_lowercase()))
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for names and messages.
    pub fn short(&self) -> &str {
        &self.0[..self.0.len().min(12)]
    }
}

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A digest of bytes that arrive in pieces.
#[derive(Clone, Default)]
pub struct Sha256Stream(Sha256);

impl Sha256Stream {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Sha256Hex {
        Sha256Hex(hex::encode(self.0.finalize()))
    }
}

/// Builds a content key from named fields. Every field is length-prefixed, so that no two different lists of
/// fields give the same bytes to the hash.
#[derive(Clone, Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// An empty key, separated from other uses by `domain`.
    pub fn new(domain: &str) -> Self {
        Self::default().field("domain", domain.as_bytes())
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), value.as_ref()] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// Adds a serialisable value by its JSON text.
    ///
    /// # Errors
    /// Fails only for values that JSON cannot hold (maps with keys that are not strings).
    pub fn json(self, name: &str, value: &impl Serialize) -> serde_json::Result<Self> {
        Ok(self.field(name, serde_json::to_vec(value)?))
    }

    /// The key.
    pub fn finish(self) -> Sha256Hex {
        Sha256Hex(hex::encode(self.0.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_sha256() {
        assert_eq!(
            Sha256Hex::of_bytes(b"abc").as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn pieces_and_the_whole_agree_and_digests_are_read_again() {
        let mut stream = Sha256Stream::default();
        stream.update(b"a");
        stream.update(b"bc");
        let digest = stream.finish();
        assert_eq!(digest, Sha256Hex::of_bytes(b"abc"));
        assert_eq!(Sha256Hex::parse(&digest.as_str().to_uppercase()), Some(digest));
        assert_eq!(Sha256Hex::parse("ab"), None);
        assert_eq!(Sha256Hex::parse(&"g".repeat(64)), None);
    }

    #[test]
    fn file_and_bytes_agree_past_one_block() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = vec![7u8; (1 << 20) + 3];
        let path = dir.path().join("x");
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Sha256Hex::of_file(&path).unwrap(), Sha256Hex::of_bytes(&bytes));
    }

    #[test]
    fn fields_do_not_run_together() {
        let a = ContentHasher::new("t").field("ab", "c").finish();
        let b = ContentHasher::new("t").field("a", "bc").finish();
        assert_ne!(a, b);
    }
}
