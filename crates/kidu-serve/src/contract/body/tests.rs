use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(body: impl Into<Bytes>, kind: Option<&'static str>) -> Result<Vec<Bytes>, Problem> {
    images(&body.into(), kind.map(HeaderValue::from_static).as_ref(), &RequestLimits::default())
}

fn refused(body: impl Into<Bytes>, kind: Option<&'static str>) -> (Code, String) {
    let problem = read(body, kind).unwrap_err();
    (problem.code, problem.message)
}

const JSON: Option<&str> = Some("application/json; charset=utf-8");

#[test]
fn every_form_gives_the_same_bytes() {
    let image = Bytes::from_static(b"\xFF\xD8\xFFnot really an image");
    let uri = format!("data:image/jpeg;base64,{}", STANDARD.encode(&image));
    let legacy = json!({"body": [uri]}).to_string();
    let twice = json!(legacy).to_string();
    let escaped = json!({"image": uri}).to_string().replace('/', "\\/");
    let wrapped = format!("{}\r\n{}", &uri[..30], &uri[30..]);
    for body in [
        json!({"image": uri}).to_string(),
        json!({"image": STANDARD.encode(&image)}).to_string(),
        json!({"image": STANDARD_NO_PAD.encode(&image)}).to_string(),
        json!({"image": URL_SAFE.encode(&image)}).to_string(),
        json!({"image": wrapped}).to_string(),
        json!({"image": uri.replace("data:image/jpeg;base64", "DATA:;charset=x;BASE64")}).to_string(),
        json!({"images": [uri]}).to_string(),
        escaped,
        legacy.clone(),
        twice.clone(),
        json!(twice).to_string(),
        format!(" \n{legacy}\n"),
    ] {
        for kind in [JSON, None, Some("application/x-www-form-urlencoded"), Some("Application/LD+JSON")] {
            assert_eq!(read(body.clone(), kind), Ok(vec![image.clone()]), "{kind:?} {body}");
        }
    }
    for kind in [Some("image/jpeg"), Some("IMAGE/whatever"), Some("application/octet-stream"), None] {
        assert_eq!(read(image.clone(), kind), Ok(vec![image.clone()]), "{kind:?}");
    }
}

#[test]
fn more_images_than_are_taken_are_counted_and_not_kept() {
    let most = RequestLimits::default().max_images;
    let many = |count: usize| format!(r#"{{"images": [{}]}}"#, vec![r#""/9j/""#; count].join(","));
    assert_eq!(read(many(most), JSON).unwrap().len(), most);
    for count in [most + 1, 100_000] {
        let (code, message) = refused(many(count), JSON);
        assert!(code == Code::TooLarge && message.contains(&format!("holds {count} images")), "{message}");
    }
    // What is wrong behind the last that is taken is said, too.
    let body = many(most + 1).replace("]}", ", 5]}");
    assert_eq!(refused(body, JSON).0, Code::Malformed);
    let key = "i".repeat(100_000);
    assert!(refused(format!(r#"{{"{key}": 1}}"#), JSON).1.len() < 200);
}

#[test]
fn what_is_wrong_is_said_by_code() {
    for (body, message) in [
        ("", "is empty"),
        ("{", "not JSON"),
        ("null", "not a JSON object"),
        ("[]", "not a JSON object"),
        ("\"text\"", "not a JSON object"),
        ("{}", "neither"),
        ("{\"image\": 5}", "expected a text"),
        ("{\"image\": null}", "expected a text"),
        ("{\"images\": \"x\"}", "a text where an array"),
        ("{\"images\": []}", "no image"),
        ("{\"body\": []}", "no image"),
        ("{\"image\": \"\"}", "is empty"),
        ("{\"image\": \"!!!!\"}", "not base64"),
        ("{\"image\": \"data:image/png,abc\"}", "not in base64"),
        ("{\"image\": \"data:image/png;base64\"}", "without a comma"),
        ("{\"image\": \"https://example.com/a.jpg\"}", "nothing is fetched"),
        ("{\"image\": \"YQ==\", \"images\": []}", "only one"),
        ("{\"image\": \"YQ==\", \"image\": \"YQ==\"}", "only one"),
        ("{\"imgae\": \"YQ==\"}", "image"),
        ("{\"images\": [\"YQ==\", \"?\"]}", "image 1 (from 0)"),
        ("\"\\\"\\\\\\\"x\\\\\\\"\\\"\"", "too many times"),
        ("{\"image\": \"\\ud800\"}", "not JSON"),
        ("{\"image\": \"YQ==\"} tail", "not JSON"),
    ] {
        let (code, found) = refused(body, JSON);
        assert_eq!(code, Code::Malformed, "{body}: {found}");
        assert!(found.contains(message), "{body}: {found}");
    }
    assert_eq!(refused("x", Some("multipart/form-data; boundary=b")).0, Code::UnsupportedMediaType);
}

#[test]
fn limits_hold_before_anything_is_decoded() {
    let limits = RequestLimits {
        image: kidu_image::Limits { max_bytes: 100, ..Default::default() },
        max_images: 2,
        max_body: 1000,
    };
    let at = |body: String, kind| images(&body.into(), Some(&HeaderValue::from_static(kind)), &limits).map(|i| i.len());
    let code = |r: Result<usize, Problem>| r.map_err(|p| p.code);
    assert_eq!(code(at("x".repeat(101), "image/png")), Ok(1), "to within two bytes; decoding is exact");
    assert_eq!(code(at("x".repeat(103), "image/png")), Err(Code::TooLarge));
    assert_eq!(code(at("x".repeat(1001), "image/png")), Err(Code::TooLarge));
    assert_eq!(code(at(json!({"image": "YWFh".repeat(35)}).to_string(), "application/json")), Err(Code::TooLarge));
    assert_eq!(code(at(json!({"images": ["YQ", "YQ"]}).to_string(), "application/json")), Ok(2));
    assert_eq!(code(at(json!({"images": ["YQ", "YQ", "YQ"]}).to_string(), "application/json")), Err(Code::TooLarge));
}

#[test]
fn no_message_quotes_an_image() {
    let secret = "c2VjcmV0".repeat(20);
    for body in [
        json!({"images": secret}),
        json!({"image": [secret]}),
        json!({"image": format!("{secret}!")}),
        json!({"images": [{"x": secret}]}),
        json!([secret]),
        json!({"image": format!("data:{secret},{secret}")}),
    ] {
        let (_, message) = refused(body.to_string(), JSON);
        assert!(!message.contains("c2VjcmV0"), "{message}");
    }
}

proptest! {
    #[test]
    fn any_image_survives_any_form(image in proptest::collection::vec(any::<u8>(), 1..200), uri in any::<bool>(), twice in any::<bool>()) {
        let text = if uri { format!("data:image/png;base64,{}", STANDARD.encode(&image)) } else { STANDARD.encode(&image) };
        let body = json!({"body": [text, text]}).to_string();
        let body = if twice { json!(body).to_string() } else { body };
        prop_assert_eq!(read(body, JSON), Ok(vec![Bytes::from(image.clone()), Bytes::from(image)]));
    }

    #[test]
    fn any_body_is_images_or_a_fault_of_the_client(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        for kind in [JSON, None] {
            if let Err(problem) = read(body.clone(), kind) {
                prop_assert!(problem.code.status().is_client_error());
            }
        }
    }
}
