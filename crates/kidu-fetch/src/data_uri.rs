//! `data:` URIs.

use base64::{Engine, alphabet, engine};

use crate::error::{FetchError, Result};

/// Standard alphabet, padding as it comes.
const LENIENT: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes of a data URI: base64, or percent-encoded text.
pub(crate) fn decode(uri: &str, max_bytes: u64) -> Result<Vec<u8>> {
    let head: String = uri.chars().take(40).take_while(|c| *c != ',').collect();
    let bad = |reason: &str| FetchError::Address { address: format!("{head},..."), reason: reason.into() };
    let (meta, content) = uri.split_once(',').ok_or_else(|| bad("is a data URI without a comma"))?;
    let too_large = || FetchError::TooLarge { address: format!("{head},..."), limit: max_bytes };
    if !meta.to_ascii_lowercase().ends_with(";base64") {
        let bytes = percent_bytes(content);
        return if bytes.len() as u64 > max_bytes { Err(too_large()) } else { Ok(bytes) };
    }
    // Four characters hold three bytes.
    if content.len() as u64 / 4 * 3 > max_bytes.saturating_add(3) {
        return Err(too_large());
    }
    let content = String::from_utf8(percent_bytes(content)).map_err(|_| bad("is not base64"))?;
    let content: String = content.split_ascii_whitespace().collect();
    let bytes = LENIENT.decode(content).map_err(|e| bad(&format!("is not base64: {e}")))?;
    if bytes.len() as u64 > max_bytes { Err(too_large()) } else { Ok(bytes) }
}

/// The bytes that a text with `%XX` stands for; what is no such sequence stays.
pub(crate) fn percent_bytes(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut i) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while i < bytes.len() {
        let hex = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64_and_text_are_read() {
        for uri in ["data:image/png;base64,aGVsbG8=", "data:;BASE64,aGVs bG8", "DATA:,hello", "data:,h%65llo"] {
            assert_eq!(decode(uri, 5).unwrap(), b"hello", "{uri}");
        }
    }

    #[test]
    fn bad_and_large_ones_are_refused_without_their_content() {
        let message = |uri: &str, limit| decode(uri, limit).unwrap_err().to_string();
        assert!(message("data:image/png;base64", 9).contains("without a comma"));
        assert!(message("data:;base64,????", 9).contains("is not base64"));
        assert!(message("data:;base64,aGVsbG8=", 4).contains("more than 4 bytes"));
        assert!(message("data:,hello", 4).contains("more than 4 bytes"));
        assert!(!message("data:;base64,secret??", 9).contains("secret"));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes: Vec<u8>) {
            let uri = format!("data:image/jpeg;base64,{}", LENIENT.encode(&bytes));
            prop_assert_eq!(decode(&uri, bytes.len() as u64).unwrap(), bytes);
        }

        #[test]
        fn no_text_panics(text in "data:\\PC{0,40}") {
            let _ = decode(&text, 20);
        }
    }
}
