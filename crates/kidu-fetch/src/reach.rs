//! What a Label Studio is asked for by an address that comes from data: our token opens more there than images.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{
    address::Address,
    error::{FetchError, Result},
    options::FetchOptions,
};

/// As Label Studio writes the addresses of objects into paths; padding as it comes.
const CODED: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Refuses addresses of the Label Studio's API, which answers to `GET` too (and opening a task there asks us for a
/// prediction, round and round), and paths that hand out objects of buckets that are not allowed.
pub(crate) fn check(address: &Address, options: &FetchOptions) -> Result<()> {
    let base = options.label_studio.as_ref().map(|studio| studio.base());
    let (path, query) = match address {
        Address::LabelStudio(path) => {
            let path = path.split('#').next().unwrap_or_default();
            path.split_once('?').unwrap_or((path, ""))
        }
        Address::Http(url) => match base.filter(|base| base.origin() == url.origin()) {
            Some(base) => {
                let path = url.path().strip_prefix(base.path().trim_end_matches('/')).unwrap_or(url.path());
                (path, url.query().unwrap_or_default())
            }
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    if may_be_api(path) {
        return Err(FetchError::ApiPath { address: address.to_string() });
    }
    let buckets = &options.policy.buckets;
    if buckets.is_empty() || !hands_out_objects(path) || object_of(query).is_some_and(|b| buckets.contains(&b)) {
        return Ok(());
    }
    Err(FetchError::NoAllowedObject { address: address.to_string() })
}

/// Whether a path is one of the API, or may become one by what is made of it on the way.
fn may_be_api(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let climbs = |part: &str| {
        matches!(part, "." | "..") || ["%2e", "%2f", "%5c", "\\"].iter().any(|hidden| part.contains(hidden))
    };
    let first = lower.split('/').find(|part| !part.is_empty()).unwrap_or_default();
    let is_api = url::form_urlencoded::parse(first.as_bytes()).next().is_some_and(|(name, _)| name == "api");
    is_api || lower.split('/').any(climbs)
}

/// `/tasks/3/presign/`, `/projects/3/resolve/` and the like.
fn hands_out_objects(path: &str) -> bool {
    let parts: Vec<String> = path.split('/').filter(|p| !p.is_empty()).map(str::to_ascii_lowercase).collect();
    matches!(parts.first().map(String::as_str), Some("tasks" | "projects" | "storage-data"))
}

/// The bucket of the object that a query names, if it names one and only one.
fn object_of(query: &str) -> Option<String> {
    let named = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "fileuri");
    let [one] = <[String; 1]>::try_from(named.map(|(_, value)| value.into_owned()).collect::<Vec<_>>()).ok()?;
    let decoded = CODED.decode(&one).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match Address::parse(decoded.as_deref().unwrap_or(&one)).ok()? {
        Address::Object { bucket, .. } => Some(bucket),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE;

    use super::*;
    use crate::{label_studio::LabelStudio, policy::Policy};

    fn code(address: &str, buckets: &[&str]) -> Option<&'static str> {
        let policy = Policy { buckets: buckets.iter().map(|b| (*b).to_owned()).collect(), ..Policy::default() };
        let label_studio = Some(LabelStudio::new("http://h:8080/ls", None).unwrap());
        let options = FetchOptions { label_studio, policy, ..FetchOptions::default() };
        check(&Address::parse(address).unwrap(), &options).err().map(|error| error.code())
    }

    #[test]
    fn a_label_studios_api_is_not_asked() {
        for good in [
            "/data/upload/1/a.jpg",
            "/tasks/3/presign/?fileuri=czM6Ly8%2e",
            "http://h:8080/ls/data/upload/1/a b.jpg",
            "http://h:8080/ls/static/samples/api/a.jpg",
            "http://h:8080/photos/apis.jpg",
            "http://other:8080/ls/api/tasks/1/",
            "s3://bucket/../a.jpg",
        ] {
            assert_eq!(code(good, &[]), None, "{good}");
        }
        for bad in [
            "/data/upload/../../api/current-user/token",
            "/data/upload/%2E%2e/%2e%2e/api/tasks/1/",
            "/data/upload/..%2f..%2Fapi/tasks/1/",
            "/data/upload/..\\..\\api",
            "/tasks/3/presign/../../../api/tasks/3/",
            "http://h:8080/ls/api/tasks/1/",
            "http://h:8080/ls/%61pi/tasks/1/",
            "http://h:8080/ls//API/tasks/1/",
            "http://h:8080/ls/data/upload/../../api/tasks/1/",
            "http://h:8080/api/tasks/1/",
        ] {
            assert_eq!(code(bad, &[]), Some("api_path"), "{bad}");
        }
    }

    #[test]
    fn a_bucket_is_not_reached_by_another_way() {
        let (mine, other) = (URL_SAFE.encode("s3://mine/a.jpg"), URL_SAFE.encode("s3://other/a.jpg"));
        for good in [
            format!("/tasks/3/presign/?fileuri={mine}"),
            format!("/projects/3/resolve/?fileuri={}", mine.trim_end_matches('=')),
            "/tasks/3/presign/?fileuri=s3://mine/a.jpg".into(),
            format!("http://h:8080/ls/tasks/3/resolve/?fileuri={mine}"),
            "/data/upload/1/a.jpg".into(),
            "https://elsewhere/tasks/3/presign/?fileuri=x".into(),
        ] {
            assert_eq!(code(&good, &["mine"]), None, "{good}");
        }
        for bad in [
            format!("/tasks/3/presign/?fileuri={other}"),
            format!("/tasks/3/presign/?fileuri={mine}&fileuri={other}"),
            "/tasks/3/presign/?fileuri=s3://other/a.jpg".into(),
            "/tasks/3/presign/?fileuri=gs://mine/a.jpg".into(),
            "/tasks/3/presign/".into(),
            "/storage-data/uploaded/?filepath=upload/1/a.jpg".into(),
            format!("http://h:8080/ls/tasks/3/resolve/?fileuri={other}"),
        ] {
            assert_eq!(code(&bad, &["mine"]), Some("bucket_not_allowed"), "{bad}");
            assert_eq!(code(&bad, &[]), None, "{bad}");
        }
    }
}
