//! What is missing, decided from what is there.

use kidu_core::suggest;
use serde_json::{Map, Value};

use super::is_connected;
use crate::{
    address,
    client::{Backend, NewBackend, Project, S3Storage, Webhook},
    error::{AnnotateError, Result},
    form::Form,
    form_xml,
};

/// What to do about one thing.
#[derive(Debug, PartialEq)]
pub(super) enum Decision<T> {
    /// It is there as it should be.
    Keep(T),
    /// It is not there.
    Create,
    /// This one is there, other than it should be.
    Change(u64),
}

/// What to do about the form.
#[derive(Debug, PartialEq)]
pub(super) enum FormDecision {
    /// It offers all classes.
    Keep {
        /// What a person should know.
        remark: Option<String>,
    },
    /// There is none.
    Make(String),
    /// It lacks some.
    Extend {
        /// The whole new form.
        xml: String,
        /// The classes that it lacked.
        added: Vec<String>,
    },
}

fn setting(text: String) -> AnnotateError {
    AnnotateError::Setting(text)
}

/// The project of a title; `None` if there is none.
///
/// # Errors
/// [`AnnotateError::Setting`] for a title that is too short, or that several projects have.
pub fn by_title(projects: Vec<Project>, title: &str) -> Result<Option<Project>> {
    if title.trim().chars().count() < 3 {
        return Err(setting(format!("the title '{title}' is too short: Label Studio wants three characters at least")));
    }
    let mut found: Vec<Project> = projects.into_iter().filter(|p| p.title == title).collect();
    if found.len() > 1 {
        let ids: Vec<String> = found.iter().map(|p| p.id.to_string()).collect();
        return Err(setting(format!(
            "{} projects have the title '{title}' ({}); say which with --project",
            found.len(),
            ids.join(", ")
        )));
    }
    Ok(found.pop())
}

/// The form of a new project.
pub(super) fn new_form(classes: &[String]) -> Result<String> {
    if classes.is_empty() {
        return Err(setting("a new project needs classes: give --bundle, --data or --class".into()));
    }
    Ok(form_xml::of_classes(classes))
}

/// Compares a project's form with the classes.
pub(super) fn form(xml: &str, classes: &[String], extend: bool) -> Result<FormDecision> {
    // What Label Studio gives a project that has none.
    let bare: String = xml.chars().filter(|c| !c.is_whitespace()).collect();
    if matches!(bare.as_str(), "" | "<View></View>" | "<View/>") {
        return Ok(FormDecision::Make(new_form(classes)?));
    }
    let form = Form::parse(xml, None).map_err(|e| setting(e.to_string()))?;
    let matched = form.compare(classes);
    let added = matched.classes_without_choice.clone();
    if added.is_empty() {
        let others = matched.choices_without_class.join(", ");
        let remark = (!others.is_empty()).then(|| format!("the form also offers: {others}"));
        return Ok(FormDecision::Keep { remark });
    }
    let near = |class: &String| match suggest::nearest(class, matched.choices_without_class.iter().map(String::as_str))
    {
        Some(choice) => format!("{class} (is it the choice '{choice}'?)"),
        None => class.clone(),
    };
    let lacking: Vec<String> = added.iter().map(near).collect();
    let remark = format!("the project's form lacks a choice for: {}", lacking.join(", "));
    if !extend {
        return Err(setting(format!("{remark}; add it with --extend-form, or in the project's settings")));
    }
    let end = end_of_choices(xml).ok_or_else(|| {
        setting(format!("{remark}; its <Choices> tag cannot be extended safely: do it in the project's settings"))
    })?;
    // The lines of ours that hold choices, put before the end of the tag.
    let ours = form_xml::of_classes(&added);
    let lines: String =
        ours.lines().filter(|l| l.trim_start().starts_with("<Choice ")).map(|l| format!("{l}\n")).collect();
    let (before, after) = xml.split_at(end);
    let before = before.trim_end_matches([' ', '\t']);
    let gap = if before.ends_with('\n') { "" } else { "\n" };
    Ok(FormDecision::Extend { xml: format!("{before}{gap}{lines}  {after}"), added })
}

/// Where `</Choices>` begins, if there is one only.
fn end_of_choices(xml: &str) -> Option<usize> {
    let mut ends = xml.match_indices("</Choices>");
    let (at, _) = ends.next()?;
    ends.next().is_none().then_some(at)
}

/// `s3://bucket/prefix` of a storage.
pub(super) fn uri(storage: &S3Storage) -> String {
    let prefix = storage.prefix.as_deref().unwrap_or_default();
    format!("s3://{}/{prefix}", storage.bucket.as_deref().unwrap_or_default())
}

/// Compares the storages of a project with the one that is wanted. One of the same bucket and folder is that one.
pub(super) fn storage(wanted: &S3Storage, found: Vec<S3Storage>) -> Decision<S3Storage> {
    // Label Studio tells an empty text where nothing was given, and the other way round.
    fn same(a: &Option<String>, b: &Option<String>) -> bool {
        a.as_deref().unwrap_or_default().trim_matches('/') == b.as_deref().unwrap_or_default().trim_matches('/')
    }
    let place = |s: &S3Storage| same(&s.bucket, &wanted.bucket) && same(&s.prefix, &wanted.prefix);
    let Some(there) = found.into_iter().find(place) else { return Decision::Create };
    let alike = same(&there.region_name, &wanted.region_name)
        && same(&there.s3_endpoint, &wanted.s3_endpoint)
        && same(&there.regex_filter, &wanted.regex_filter)
        && there.use_blob_urls == wanted.use_blob_urls
        && there.recursive_scan == wanted.recursive_scan
        && there.can_delete_objects.unwrap_or(false) == wanted.can_delete_objects.unwrap_or(false);
    if alike { Decision::Keep(there) } else { Decision::Change(there.id) }
}

/// What came of a synchronisation, to put behind the storage's place; an error is the reason that Label Studio gives.
pub(super) fn outcome(synced: &S3Storage) -> std::result::Result<String, String> {
    let new = synced.last_sync_count.unwrap_or(0);
    match synced.status.as_deref() {
        Some("failed") => Err(synced.reason().into()),
        Some("completed_with_errors") => {
            Ok(format!(", {new} new tasks, and objects that cannot be tasks: {}", synced.reason()))
        }
        _ if synced.is_under_way() => Ok(", Label Studio is still looking into it".into()),
        _ => Ok(format!(", {new} new tasks")),
    }
}

/// The backend of an address.
pub(super) fn backend(wanted: &NewBackend, found: &[Backend]) -> Decision<Backend> {
    let same = |b: &&Backend| b.url.trim_end_matches('/') == wanted.url.trim_end_matches('/');
    let Some(there) = found.iter().find(same) else { return Decision::Create };
    match &wanted.basic_auth {
        Some((user, _)) if *user != there.basic_auth_user => Decision::Change(there.id),
        _ => Decision::Keep(there.clone()),
    }
}

/// What a person should know of a backend: Label Studio asks the first only.
pub(super) fn backend_remark(backend: &Backend, found: &[Backend]) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(first) = found.first().filter(|first| first.id != backend.id) {
        notes.push(format!(
            "Label Studio asks only the first backend of a project, which is {} ({}); remove it in the settings",
            address::shown(&first.url, ""),
            first.title
        ));
    }
    if !is_connected(backend) {
        let reason = backend.error_message.as_deref().unwrap_or("no reason is told");
        notes.push(format!("Label Studio does not reach the backend at the moment ({}): {reason}", backend.state));
    }
    notes
}

/// Compares the webhooks of a project with the one that is wanted. Headers that nobody asked for stay.
pub(super) fn webhook(url: &str, headers: &Map<String, Value>, found: &[Webhook]) -> Decision<Webhook> {
    let Some(there) = found.iter().find(|w| w.url.trim_end_matches('/') == url) else { return Decision::Create };
    let has = headers.iter().all(|(name, value)| there.headers.get(name) == Some(value));
    if has && there.is_active { Decision::Keep(there.clone()) } else { Decision::Change(there.id) }
}

/// The headers of a webhook with those that are wanted.
pub(super) fn with_headers(there: Option<&Webhook>, wanted: &Map<String, Value>) -> Map<String, Value> {
    let mut all = there.and_then(|w| w.headers.as_object().cloned()).unwrap_or_default();
    all.extend(wanted.clone());
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).into()).collect()
    }

    #[test]
    fn a_form_is_made_kept_extended_or_refused() {
        let classes = words(&["sea", "forest"]);
        let made = match form("<View>\n</View>", &classes, false).unwrap() {
            FormDecision::Make(xml) => xml,
            other => panic!("{other:?}"),
        };
        assert_eq!(form(&made, &classes, false).unwrap(), FormDecision::Keep { remark: None });
        let more = words(&["sea", "forest", "a&b"]);
        let refused = form(&made, &more, false).unwrap_err().to_string();
        assert!(refused.contains("a&b") && refused.contains("--extend-form"), "{refused}");
        let FormDecision::Extend { xml, added } = form(&made, &more, true).unwrap() else { panic!() };
        assert_eq!(added, ["a&b"]);
        assert_eq!(form(&xml, &more, false).unwrap(), FormDecision::Keep { remark: None });
        let FormDecision::Keep { remark: Some(remark) } = form(&xml, &classes, false).unwrap() else { panic!() };
        assert!(remark.contains("a&b"), "{remark}");
        assert!(form("<View><Text name='t' value='$t'/></View>", &classes, true).is_err());
    }

    #[test]
    fn a_storage_is_known_by_its_place() {
        let wanted = S3Storage {
            bucket: Some("b".into()),
            prefix: Some("raw".into()),
            use_blob_urls: true,
            ..S3Storage::default()
        };
        let there = S3Storage {
            id: 7,
            prefix: Some("raw/".into()),
            region_name: Some(String::new()),
            can_delete_objects: None,
            ..wanted.clone()
        };
        assert_eq!(storage(&wanted, vec![]), Decision::Create);
        assert_eq!(storage(&wanted, vec![there.clone()]), Decision::Keep(there.clone()));
        let other = S3Storage { use_blob_urls: false, ..there.clone() };
        assert_eq!(storage(&wanted, vec![other]), Decision::Change(7));
        assert_eq!(storage(&S3Storage { prefix: None, ..wanted }, vec![there]), Decision::Create);
    }

    #[test]
    fn a_synchronisation_says_what_it_brought_or_why_not() {
        let synced = |status: &str, traceback: &str| S3Storage {
            status: Some(status.into()),
            traceback: Some(traceback.into()),
            last_sync_count: Some(3),
            ..S3Storage::default()
        };
        assert_eq!(outcome(&synced("completed", "")).unwrap(), ", 3 new tasks");
        assert!(outcome(&synced("queued", "")).unwrap().contains("still"));
        let trace = "Traceback (most recent call last):\n  File \"x\"\nbotocore: NoSuchBucket\n\n";
        assert_eq!(outcome(&synced("failed", trace)).unwrap_err(), "botocore: NoSuchBucket");
        assert_eq!(outcome(&synced("failed", " ")).unwrap_err(), "no reason is told");
        assert!(
            outcome(&synced("completed_with_errors", "a.json: no data")).unwrap().contains("3 new tasks, and objects")
        );
    }

    #[test]
    fn a_webhook_lacks_its_headers_first() {
        let url = "http://127.0.0.1:1/webhook";
        let headers = Map::from_iter([("X-Kidu-Webhook-Secret".to_owned(), json!("s"))]);
        let hook = |headers: Value, is_active| Webhook { id: 3, url: url.into(), headers, is_active };
        assert_eq!(webhook(url, &headers, &[]), Decision::Create);
        assert_eq!(webhook(url, &headers, &[hook(json!({}), true)]), Decision::Change(3));
        assert_eq!(webhook(url, &headers, &[hook(Value::Object(headers.clone()), false)]), Decision::Change(3));
        let good = hook(Value::Object(headers.clone()), true);
        assert_eq!(webhook(url, &headers, std::slice::from_ref(&good)), Decision::Keep(good));
    }

    #[test]
    fn a_title_is_one_projects() {
        let project = |id| Project { id, title: "scenes".into(), label_config: String::new(), task_number: None };
        assert!(by_title(vec![project(1)], "other").unwrap().is_none());
        assert_eq!(by_title(vec![project(1)], "scenes").unwrap().unwrap().id, 1);
        assert!(by_title(vec![project(1), project(2)], "scenes").unwrap_err().to_string().contains("1, 2"));
        assert!(by_title(vec![], "ab").is_err());
    }
}
