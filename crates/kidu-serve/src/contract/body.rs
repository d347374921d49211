//! The images in a body, in each of the forms that are taken.

use std::{borrow::Cow, fmt};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::HeaderValue;
use kidu_core::suggest;
use kidu_image::DecodeError;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};

use super::{
    RequestLimits,
    problem::{Code, Problem, name_of},
};

/// Padding may be missing, as in what browsers and phones make.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// JSON that holds JSON that holds JSON: the original's clients encode twice, which makes one text around the object.
const MOST_TEXTS: usize = 2;

fn malformed(message: impl Into<String>) -> Problem {
    Problem::new(Code::Malformed, message)
}

/// The encoded images of a body, at least one.
pub(super) fn images(
    body: &Bytes,
    content_type: Option<&HeaderValue>,
    limits: &RequestLimits,
) -> Result<Vec<Bytes>, Problem> {
    if body.len() > limits.max_body {
        return Err(too_long(body.len(), limits.max_body));
    }
    if body.is_empty() {
        return Err(malformed("the body is empty; send an image, or JSON with one in base64"));
    }
    match media(body, content_type)? {
        Media::Image => {
            check_length(body.len(), limits, 0, 1)?;
            Ok(vec![body.clone()])
        }
        Media::Json => from_json(body, limits, 0),
    }
}

/// 413 for a body that is too long.
pub(crate) fn too_long(bytes: usize, limit: usize) -> Problem {
    Problem::new(Code::TooLarge, format!("the body has {bytes} bytes, more than the {limit} that are taken"))
}

enum Media {
    Image,
    Json,
}

/// By the content type; by the first byte where there is none, or the one that curl sends unasked.
fn media(body: &[u8], content_type: Option<&HeaderValue>) -> Result<Media, Problem> {
    let text = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    let essence = text.as_deref().and_then(|t| t.split(';').next()).unwrap_or_default().trim();
    match essence {
        "" | "application/x-www-form-urlencoded" => {
            let first = body.iter().find(|b| !b.is_ascii_whitespace());
            Ok(if matches!(first, Some(b'{' | b'"' | b'[')) { Media::Json } else { Media::Image })
        }
        "application/json" | "text/json" | "text/plain" => Ok(Media::Json),
        "application/octet-stream" | "application/x-image" => Ok(Media::Image),
        _ if essence.starts_with("image/") => Ok(Media::Image),
        _ if essence.starts_with("application/") && essence.ends_with("+json") => Ok(Media::Json),
        _ => Err(Problem::new(
            Code::UnsupportedMediaType,
            format!(
                "a body of the type '{essence}' is not read; send image/jpeg, image/png, image/webp or application/json"
            ),
        )),
    }
}

/// An object, or a text that holds one.
fn from_json(body: &[u8], limits: &RequestLimits, texts: usize) -> Result<Vec<Bytes>, Problem> {
    let invalid = |e: serde_json::Error| malformed(format!("the body is not JSON as it is taken: {e}"));
    match body.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'"') if texts < MOST_TEXTS => {
            let Text(inner) = serde_json::from_slice(body).map_err(invalid)?;
            from_json(inner.as_bytes(), limits, texts + 1)
        }
        Some(b'"') => Err(malformed("the body is JSON in JSON too many times over")),
        Some(b'{') => {
            let mut json = serde_json::Deserializer::from_slice(body);
            let payload = Payload { most: limits.max_images }.deserialize(&mut json);
            let List { texts, count } = payload.and_then(|list| json.end().map(|()| list)).map_err(invalid)?;
            if count == 0 {
                return Err(malformed("the body holds no image; send at least one"));
            }
            if count > texts.len() {
                let most = limits.max_images;
                let message = format!("the body holds {count} images, more than the {most} that are taken at a time");
                return Err(Problem::new(Code::TooLarge, message));
            }
            texts.iter().enumerate().map(|(i, Text(text))| decode(text, limits, i, count)).collect()
        }
        _ => Err(malformed(
            "the body is not a JSON object; send {\"image\": \"<base64 or data URI>\"} or {\"images\": [...]}",
        )),
    }
}

/// Base64, plain or in a data URI.
fn decode(text: &str, limits: &RequestLimits, index: usize, of: usize) -> Result<Bytes, Problem> {
    let wrong = |what: &str| malformed(format!("{} {what}", name_of(index, of)));
    let text = text.trim_ascii();
    let encoded = match text.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case("data:") => {
            let (kind, data) = text[5..].split_once(',').ok_or_else(|| wrong("is a data URI without a comma"))?;
            let base64 = kind.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));
            if !base64 {
                return Err(wrong("is a data URI that is not in base64; write data:image/jpeg;base64,..."));
            }
            data
        }
        Some(scheme) if scheme.starts_with("http") => {
            return Err(wrong("is an address; send the image itself, nothing is fetched"));
        }
        _ => text,
    };
    if encoded.is_empty() {
        return Err(wrong("is empty"));
    }
    check_length(encoded.len() / 4 * 3, limits, index, of)?;
    let bytes = BASE64.decode(encoded).or_else(|_| BASE64.decode(plain(encoded)));
    bytes.map(Bytes::from).map_err(|e| wrong(&format!("is not base64: {e}")))
}

/// Without line breaks, and in the standard alphabet instead of the one for addresses.
fn plain(encoded: &str) -> Vec<u8> {
    let kept = encoded.bytes().filter(|b| !b.is_ascii_whitespace());
    kept.map(|b| match b {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    })
    .collect()
}

fn check_length(bytes: usize, limits: &RequestLimits, index: usize, of: usize) -> Result<(), Problem> {
    let limit = limits.image.max_bytes;
    // The length of base64 says it to within two bytes.
    if bytes > limit.saturating_add(2) {
        return Err(Problem::of_image(&DecodeError::TooManyBytes { bytes, limit }, index, of));
    }
    Ok(())
}

/// A text, borrowed from the body unless it holds escapes. Errors never quote one: it may be an image.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text with an image in base64")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }
        deserializer.deserialize_str(One)
    }
}

/// Texts of an array: the first of them, and how many there are. Millions of empty ones take no room.
struct List<'a> {
    texts: Vec<Text<'a>>,
    count: usize,
}

/// Reads an array of texts.
struct Texts {
    most: usize,
}

impl<'de> DeserializeSeed<'de> for Texts {
    type Value = List<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of images in base64")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom("a text where an array of images in base64 should be"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut list = List { texts: Vec::new(), count: 0 };
        while let Some(text) = sequence.next_element()? {
            list.count += 1;
            if list.count <= self.most {
                list.texts.push(text);
            }
        }
        Ok(list)
    }
}

/// Reads the object: one of `image`, `images` and `body`.
struct Payload {
    most: usize,
}

const KEYS: [&str; 3] = ["image", "images", "body"];
/// Nobody has mistyped a key that is longer.
const LONGEST_KEY: usize = 64;

impl<'de> DeserializeSeed<'de> for Payload {
    type Value = List<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Payload {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"image\" or \"images\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Text(key)) = map.next_key()? {
            let list = match key.as_ref() {
                "image" => List { texts: vec![map.next_value()?], count: 1 },
                "images" | "body" => map.next_value_seed(Texts { most: self.most })?,
                other => {
                    let mistyped = Some(other).filter(|key| key.len() <= LONGEST_KEY);
                    let near = suggest::did_you_mean(mistyped.and_then(|key| suggest::nearest(key, KEYS)));
                    let name: String = other.chars().take(40).collect();
                    return Err(A::Error::custom(format!("the key {name:?} is not known{near}")));
                }
            };
            if found.replace(list).is_some() {
                return Err(A::Error::custom("only one of \"image\", \"images\" and \"body\" is taken, once"));
            }
        }
        found.ok_or_else(|| A::Error::custom("there is neither \"image\" nor \"images\""))
    }
}

#[cfg(test)]
mod tests;
