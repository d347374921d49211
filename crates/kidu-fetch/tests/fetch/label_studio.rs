//! Tokens: where they go, where they do not, and how they are renewed.

use std::{
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use kidu_fetch::{Address, BlockingFetcher, FetchError, FetchOptions, LabelStudio, Token};

use crate::server::{Server, ok, options, redirect, whole};

const LEGACY: &str = "0123456789abcdef0123456789abcdef01234567";

fn with_token(server: &Server, others: &[&Server], token: Option<&str>) -> FetchOptions {
    // The Label Studio itself is on no list: naming it is leave enough.
    let mut options = options(others);
    options.label_studio = Some(LabelStudio::new(&server.url("/"), token.map(Token::from_text)).unwrap());
    options
}

fn get(options: FetchOptions, text: &str, task: Option<u64>) -> Result<Vec<u8>, FetchError> {
    BlockingFetcher::new(options).unwrap().fetch(&Address::parse(text).unwrap(), task)
}

#[test]
fn uploads_are_fetched_with_the_token() {
    let server = Server::start(|asked, _| match asked.authorization() {
        Some(a) if a == format!("Token {LEGACY}") => ok(b"image"),
        _ => whole(401, &[], b"{}"),
    });
    let path = "/data/upload/1/b7b149b8-buildings_0.jpg";
    assert_eq!(get(with_token(&server, &[], Some(LEGACY)), path, None).unwrap(), b"image");
    assert_eq!(get(with_token(&server, &[], Some(LEGACY)), &server.url(path), None).unwrap(), b"image");
    let error = get(with_token(&server, &[], None), path, None).unwrap_err();
    assert!(matches!(&error, FetchError::Unauthorized { status: 401, .. }), "{error}");
    assert!(error.to_string().contains("--label-studio-token"), "{error}");
    let error = get(with_token(&server, &[], Some("wrong")), path, None).unwrap_err();
    assert!(error.to_string().contains("legacy tokens are off"), "{error}");
    assert!(matches!(get(options(&[&server]), path, None), Err(FetchError::NoLabelStudio { .. })));
}

#[test]
fn the_token_goes_to_label_studio_and_nowhere_else() {
    let storage = Server::start(|_, _| ok(b"from the bucket"));
    let (by_port, by_name) = (storage.url("/k?X-Amz-Signature=s"), storage.url("/k").replace("127.0.0.1", "localhost"));
    let (first, second) = (by_port.clone(), by_name);
    let server = Server::start(move |asked, _| match asked.path.as_str() {
        p if p.starts_with("/tasks/3/presign/") => whole(303, &[("Location", &first)], b""),
        p if p.starts_with("/tasks/4/presign/") => redirect(&second),
        _ => ok(b"own"),
    });
    let mut options = with_token(&server, &[&storage], Some(LEGACY));
    options.policy.private = vec!["all".parse().unwrap()];
    assert_eq!(get(options.clone(), "s3://src/raw/a.jpg", Some(3)).unwrap(), b"from the bucket");
    assert_eq!(get(options.clone(), "s3://src/raw/a.jpg", Some(4)).unwrap(), b"from the bucket");
    assert_eq!(get(options.clone(), &by_port, None).unwrap(), b"from the bucket");
    assert_eq!(storage.asked().len(), 3);
    assert!(storage.asked().iter().all(|a| a.authorization().is_none()), "{:?}", storage.asked());
    let asked = server.asked();
    assert_eq!(asked[0].path, "/tasks/3/presign/?fileuri=czM6Ly9zcmMvcmF3L2EuanBn");
    assert!(asked.iter().all(|a| a.authorization() == Some(&format!("Token {LEGACY}"))), "{asked:?}");
    assert!(matches!(get(options, "s3://src/raw/a.jpg", None), Err(FetchError::NoStore { .. })), "no task is known");
}

#[test]
fn a_storage_that_hands_out_the_bytes_itself_and_one_that_does_not_know_the_bucket() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        p if p.starts_with("/tasks/3/presign/") => ok(b"bytes"),
        _ => whole(404, &[], b""),
    });
    let options = with_token(&server, &[], Some(LEGACY));
    assert_eq!(get(options.clone(), "s3://src/a.jpg", Some(3)).unwrap(), b"bytes");
    let error = get(options, "s3://other/a.jpg", Some(5)).unwrap_err();
    assert!(error.to_string().contains("s3://other/a.jpg: not found in the storages"), "{error}");
}

/// A JSON web token by its claims; nobody here checks the signature.
fn jwt(claims: &str) -> String {
    format!("eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims))
}

/// A Label Studio that gives out access tokens which live for `life` seconds, and honours the newest only.
fn with_refresh(life: u64) -> (Server, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let counter = given.clone();
    let server = Server::start(move |asked, _| {
        if asked.path == "/api/token/refresh/" {
            assert_eq!(asked.method, "POST");
            if asked.body != format!(r#"{{"refresh":"{}"}}"#, jwt("{}")) {
                return whole(401, &[], b"{}");
            }
            let n = counter.fetch_add(1, Ordering::SeqCst) + 1;
            let token = jwt(&format!(r#"{{"iat":1000,"exp":{},"n":{n}}}"#, 1000 + life));
            return ok(format!(r#"{{"access":"{token}"}}"#).as_bytes());
        }
        let n = counter.load(Ordering::SeqCst);
        let newest = jwt(&format!(r#"{{"iat":1000,"exp":{},"n":{n}}}"#, 1000 + life));
        match asked.authorization() {
            Some(a) if n > 0 && a == format!("Bearer {newest}") => ok(b"image"),
            _ => whole(401, &[], b"{}"),
        }
    });
    (server, given)
}

#[test]
fn a_personal_token_is_exchanged_once_and_again_before_its_end() {
    let upload = Address::parse("/data/upload/1/a.jpg").unwrap();
    let none_refused = |server: &Server, asked: usize| {
        assert!(server.asked().iter().all(|a| !a.path.starts_with("/data") || a.authorization().is_some()));
        assert_eq!(server.asked().iter().filter(|a| a.path.starts_with("/data")).count(), asked, "none was refused");
    };
    let (server, given) = with_refresh(300);
    let fetcher = BlockingFetcher::new(with_token(&server, &[], Some(&jwt("{}")))).unwrap();
    let mut got = 0;
    fetcher.fetch_each((0..8).map(|i| (i, upload.clone(), None)), |_, r| got += usize::from(r.unwrap() == b"image"));
    assert_eq!((got, given.load(Ordering::SeqCst)), (8, 1), "eight at once renew once");
    none_refused(&server, 8);

    let (server, given) = with_refresh(2);
    let fetcher = BlockingFetcher::new(with_token(&server, &[], Some(&jwt("{}")))).unwrap();
    assert_eq!(fetcher.fetch(&upload, None).unwrap(), b"image");
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(fetcher.fetch(&upload, None).unwrap(), b"image");
    assert_eq!(given.load(Ordering::SeqCst), 2, "renewed at half its life");
    none_refused(&server, 2);
}

#[test]
fn a_token_that_was_withdrawn_early_is_renewed_after_the_refusal() {
    let (server, given) = with_refresh(300);
    let fetcher = BlockingFetcher::new(with_token(&server, &[], Some(&jwt("{}")))).unwrap();
    let upload = Address::parse("/data/upload/1/a.jpg").unwrap();
    assert_eq!(fetcher.fetch(&upload, None).unwrap(), b"image");
    given.fetch_add(1, Ordering::SeqCst);
    assert_eq!(fetcher.fetch(&upload, None).unwrap(), b"image");
    assert_eq!(given.load(Ordering::SeqCst), 3);
}

#[test]
fn a_personal_token_that_is_refused_or_led_astray_says_so() {
    let (server, _) = with_refresh(300);
    let path = "/data/upload/1/a.jpg";
    let error = get(with_token(&server, &[], Some(&jwt(r#"{"other":1}"#))), path, None).unwrap_err();
    assert!(matches!(&error, FetchError::Token { reason, .. } if reason.contains("refused (401)")), "{error}");
    assert_eq!(server.asked().len(), 1, "not tried again");
    let elsewhere = Server::start(|_, _| ok(b"{}"));
    let to = elsewhere.url("/steal");
    let astray = Server::start(move |_, _| whole(307, &[("Location", &to)], b""));
    let mut options = with_token(&astray, &[&elsewhere], Some(&jwt("{}")));
    options.retry.retries = 0;
    let error = get(options, path, None).unwrap_err();
    assert!(matches!(&error, FetchError::Token { .. }), "{error}");
    assert!(elsewhere.asked().is_empty(), "the token stays where it was meant to go");
}

#[test]
fn local_files_of_label_studio_come_from_disk_or_from_itself() {
    let server = Server::start(|_, _| ok(b"served"));
    let address = "/data/local-files/?d=photos/a.jpg";
    assert_eq!(get(with_token(&server, &[], Some(LEGACY)), address, None).unwrap(), b"served");
    assert_eq!(server.asked()[0].path, "/data/local-files/?d=photos%2Fa.jpg");
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("photos")).unwrap();
    std::fs::write(dir.path().join("photos/a.jpg"), "disk").unwrap();
    let mut options = with_token(&server, &[], None);
    options.local_roots = vec![dir.path().into()];
    assert_eq!(get(options, address, None).unwrap(), b"disk");
}
