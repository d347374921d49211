//! S3 through moto: the rules of every store, and what is S3's own. One server for all tests, a bucket for each.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kidu_aws::{Aws, AwsSettings, S3Objects, S3Store, s3::Transfer};
use kidu_core::{
    hash::Sha256Hex,
    store::{GetOptions, ObjectStore, ObjectUri, PutOptions, StoreError, conformance},
};
use kidu_testing::MotoServer;

/// Statics are not dropped, so the last test to end stops the server.
static MOTO: Mutex<(usize, Option<MotoServer>)> = Mutex::new((0, None));

struct Moto;

impl Moto {
    fn start(test: &str) -> Option<Self> {
        let mut shared = lock();
        if shared.1.is_none() {
            shared.1 = Some(MotoServer::start(test)?);
        }
        shared.0 += 1;
        Some(Self)
    }

    /// The endpoint, with a new bucket.
    fn bucket(&self, name: &str) -> String {
        let shared = lock();
        let server = shared.1.as_ref().unwrap();
        server.create_bucket(name);
        server.url()
    }

    fn store(&self, uri: &str) -> S3Store {
        let uri = ObjectUri::parse(uri).unwrap();
        let ObjectUri::S3 { bucket, .. } = &uri else { panic!("{uri}") };
        S3Store::open_with(&emulated(&self.bucket(bucket)), &uri).unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let mut shared = lock();
        shared.0 -= 1;
        if shared.0 == 0 {
            shared.1 = None;
        }
    }
}

fn lock() -> MutexGuard<'static, (usize, Option<MotoServer>)> {
    MOTO.lock().unwrap_or_else(PoisonError::into_inner)
}

fn emulated(endpoint: &str) -> Aws {
    Aws::load_blocking(&AwsSettings::emulator(endpoint)).unwrap()
}

#[test]
fn a_bucket_is_an_object_store() {
    let Some(moto) = Moto::start("a_bucket_is_an_object_store") else { return };
    conformance::check(&moto.store("s3://whole-bucket"));
}

#[test]
fn a_prefix_is_an_object_store_and_touches_nothing_beside_it() {
    let Some(moto) = Moto::start("a_prefix_is_an_object_store") else { return };
    let prefix = moto.store("s3://with-prefix/data/v1");
    let beside =
        S3Store::open_with(&emulated(&moto.bucket("with-prefix")), &ObjectUri::parse("s3://with-prefix").unwrap())
            .unwrap();
    for key in ["data/v1x/a", "data/v10", "other"] {
        beside.put_bytes(key, b"beside", &PutOptions::default()).unwrap();
    }
    conformance::check(&prefix);
    prefix.put_bytes("a", b"1", &PutOptions::default()).unwrap();
    let all: Vec<_> = beside.list_all("").unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(all, ["data/v1/a", "data/v10", "data/v1x/a", "other"]);
    assert!(matches!(prefix.put_bytes(&"x".repeat(1020), b"", &PutOptions::default()), Err(StoreError::Key { .. })));
}

#[test]
fn a_listing_of_many_pages_is_whole() {
    let Some(moto) = Moto::start("a_listing_of_many_pages_is_whole") else { return };
    conformance::check_paging(&moto.store("s3://many/p"), 2500);
}

#[test]
fn large_files_travel_in_parts() {
    let Some(moto) = Moto::start("large_files_travel_in_parts") else { return };
    let parts = Transfer { threshold: 6 << 20, part_bytes: 5 << 20, parallel: 3 };
    let store = S3Store::from(moto.store("s3://large").objects().clone().with_transfer(parts));
    conformance::check_large_file(&store, (17 << 20) + 12345);
    let etag = store.head("large.bin").unwrap().unwrap().etag;
    assert!(etag.ends_with("-4"), "sent in 4 parts: {etag}");
    // Nothing of the uploads that were refused is left to be paid for.
    let (status, uploads) = lock().1.as_ref().unwrap().request("GET", "/large?uploads", &[], b"");
    assert!(status == 200 && !uploads.contains("<UploadId>"), "{uploads}");
}

#[test]
fn an_object_of_other_tools_is_fetched_without_recorded_hash() {
    let Some(moto) = Moto::start("an_object_of_other_tools") else { return };
    let store = moto.store("s3://others");
    let (status, _) = lock().1.as_ref().unwrap().request("PUT", "/others/a.txt", &[], b"from elsewhere");
    assert_eq!(status, 200);
    let (status, _) = lock().1.as_ref().unwrap().request("PUT", "/others/folder/", &[], b"");
    assert_eq!(status, 200);
    assert_eq!(store.head("a.txt").unwrap().unwrap().sha256, None);
    let dir = tempfile::tempdir().unwrap();
    let info = store.get_to_file("a.txt", &dir.path().join("a"), &GetOptions::default()).unwrap();
    assert_eq!(info.sha256, Some(Sha256Hex::of_bytes(b"from elsewhere")));
    let keys: Vec<_> = store.list_all("").unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["a.txt"], "the console's folder mark is no object");
}

#[test]
fn content_that_does_not_match_its_recorded_hash_is_refused() {
    let Some(moto) = Moto::start("content_that_does_not_match") else { return };
    let store = moto.store("s3://damaged");
    let other = Sha256Hex::of_bytes(b"other");
    let recorded = [("x-amz-meta-kidu-sha256", other.as_str())];
    let small = lock().1.as_ref().unwrap().request("PUT", "/damaged/small", &recorded, b"damaged");
    assert_eq!(small.0, 200);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let in_parts = Transfer { threshold: 3, part_bytes: 2, parallel: 2 };
    for store in [store.clone(), S3Store::from(store.objects().clone().with_transfer(in_parts))] {
        let refused = store.get_to_file("small", &path, &GetOptions::default()).unwrap_err();
        assert!(matches!(refused, StoreError::Checksum { .. }), "{refused}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
    }
}

#[test]
fn anybody_reads_through_a_presigned_url_and_nothing_without_it() {
    let Some(moto) = Moto::start("anybody_reads_through_a_presigned_url") else { return };
    let store = moto.store("s3://signed/p");
    store.put_bytes("a b/ü.txt", b"signed", &PutOptions::default()).unwrap();
    let url = store.presign_get("a b/ü.txt", Duration::from_secs(60)).unwrap();
    assert!(url.contains("X-Amz-Expires=60") && url.contains("X-Amz-Signature="), "{url}");
    assert_eq!(ureq::get(&url).call().unwrap().into_body().read_to_string().unwrap(), "signed");
    for seconds in [0, 8 * 24 * 3600] {
        let refused = store.presign_get("a b/ü.txt", Duration::from_secs(seconds)).unwrap_err();
        assert!(refused.to_string().contains("7 days"), "{refused}");
    }
}

#[test]
fn a_missing_bucket_is_named() {
    let Some(moto) = Moto::start("a_missing_bucket_is_named") else { return };
    let aws = emulated(&moto.bucket("some-bucket"));
    let store = S3Store::open_with(&aws, &ObjectUri::parse("s3://no-such-bucket/p").unwrap()).unwrap();
    for e in [
        store.get("a", 9).unwrap_err(),
        store.put_bytes("a", b"", &PutOptions::default()).unwrap_err(),
        store.list_all("").unwrap_err(),
    ] {
        assert!(matches!(e, StoreError::NoStore { .. }) && e.to_string().contains("no-such-bucket"), "{e}");
    }
}

#[test]
fn asynchronous_code_may_use_both_faces() {
    let Some(moto) = Moto::start("asynchronous_code_may_use_both_faces") else { return };
    let store = moto.store("s3://both-faces");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        store.objects().put_bytes("a", b"1", &PutOptions::default()).await.unwrap();
        assert_eq!(store.get("a", 1).unwrap(), b"1");
        assert_eq!(store.objects().get("a", 1).await.unwrap(), b"1");
    });
}

#[test]
fn a_server_that_is_not_there_is_a_passing_fault_that_names_the_reason() {
    let aws = emulated("http://127.0.0.1:1");
    let store = S3Store::open_with(&aws, &ObjectUri::parse("s3://bucket").unwrap()).unwrap();
    let e = store.get("a", 1).unwrap_err();
    assert!(e.is_transient(), "{e}");
    assert!(e.to_string().contains("refused"), "{e}");
}

/// A server that gives these answers one after another, whatever is asked.
fn canned(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            read_head(&stream);
            stream.write_all(&answer).unwrap();
        }
    });
    url
}

/// Reads a request whole. Its head.
fn read_request(mut stream: &TcpStream) -> String {
    let head = read_head(stream);
    if head.contains("100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    stream.read_exact(&mut vec![0; length]).unwrap();
    head
}

fn read_head(mut stream: &TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn open_canned(answers: Vec<Vec<u8>>) -> S3Objects {
    S3Objects::open(&emulated(&canned(answers)), &ObjectUri::parse("s3://bucket").unwrap()).unwrap()
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}").into_bytes();
    if !headers.contains("Content-Length") {
        text.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    text.extend(b"\r\n");
    text.extend(body);
    text
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let broken = answer("200 OK", "Content-Length: 10\r\nETag: \"x\"\r\n", b"half");
    let whole = answer("200 OK", "ETag: \"x\"\r\n", b"whole text");
    let store = S3Store::from(open_canned(vec![broken.clone(), whole.clone()]));
    assert_eq!(store.get("a", 100).unwrap(), b"whole text");
    let store = S3Store::from(open_canned(vec![broken.clone(), whole]));
    let dir = tempfile::tempdir().unwrap();
    store.get_to_file("a", &dir.path().join("a"), &GetOptions::default()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"whole text");
    let store = S3Store::from(open_canned(vec![broken; 4]));
    assert!(store.get("a", 100).unwrap_err().is_transient());
}

#[test]
fn an_answer_of_unknown_size_is_limited_too() {
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"x\"\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec();
    let store = S3Store::from(open_canned(vec![chunked.clone(), chunked.clone(), chunked]));
    assert!(matches!(store.get("a", 4), Err(StoreError::TooLarge { limit: 4, .. })));
    assert_eq!(store.get("a", 5).unwrap(), b"hello");
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(store.get_to_file("a", &dir.path().join("a"), &GetOptions::default()).unwrap().size, 5);
}

#[test]
fn a_range_that_breaks_off_goes_on_where_it_was() {
    let head = answer("200 OK", "Content-Length: 10\r\nETag: \"x\"\r\n", b"");
    let broken = answer("206 Partial Content", "Content-Length: 10\r\nETag: \"x\"\r\n", b"whol");
    let rest = answer("206 Partial Content", "ETag: \"x\"\r\n", b"e text");
    let in_parts = Transfer { threshold: 1, part_bytes: 100, parallel: 1 };
    let store = S3Store::from(open_canned(vec![head, broken, rest]).with_transfer(in_parts));
    let dir = tempfile::tempdir().unwrap();
    let info = store.get_to_file("a", &dir.path().join("a"), &GetOptions::default()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"whole text");
    assert_eq!(info.sha256, Some(Sha256Hex::of_bytes(b"whole text")));
}

#[test]
fn damage_on_the_way_is_found_by_s3_s_own_checksum() {
    // CRC-32 of another text
    let damaged = answer("200 OK", "ETag: \"x\"\r\nx-amz-checksum-crc32: AAAAAA==\r\n", b"damaged");
    let store = S3Store::from(open_canned(vec![damaged.clone()]));
    let dir = tempfile::tempdir().unwrap();
    let refused = store.get_to_file("a", &dir.path().join("a"), &GetOptions::default()).unwrap_err();
    assert!(matches!(refused, StoreError::Checksum { .. }), "{refused}");
    assert!(!dir.path().join("a").exists());
    let store = S3Store::from(open_canned(vec![damaged]));
    assert!(matches!(store.get("a", 100).unwrap_err(), StoreError::Checksum { .. }));
    // The same for a large object, which comes in ranges.
    let head = answer("200 OK", "Content-Length: 7\r\nETag: \"x\"\r\nx-amz-checksum-crc32: AAAAAA==\r\n", b"");
    let range = answer("206 Partial Content", "ETag: \"x\"\r\n", b"damaged");
    let in_parts = Transfer { threshold: 1, part_bytes: 100, parallel: 1 };
    let store = S3Store::from(open_canned(vec![head, range]).with_transfer(in_parts));
    let refused = store.get_to_file("a", &dir.path().join("a"), &GetOptions::default()).unwrap_err();
    assert!(matches!(refused, StoreError::Checksum { .. }), "{refused}");
}

#[test]
fn refusals_say_what_to_do() {
    let xml = |code: &str| format!("<Error><Code>{code}</Code><Message>no</Message></Error>").into_bytes();
    let get = |answer| S3Store::from(open_canned(vec![answer])).get("a", 9).unwrap_err();
    let denied = get(answer("403 Forbidden", "x-amz-request-id: R1\r\n", &xml("AccessDenied")));
    assert!(matches!(denied, StoreError::Denied { .. }), "{denied}");
    assert!(denied.to_string().contains("allow s3:GetObject") && denied.to_string().contains("R1"), "{denied}");
    let elsewhere =
        get(answer("301 Moved Permanently", "x-amz-bucket-region: eu-west-1\r\n", &xml("PermanentRedirect")));
    assert!(elsewhere.to_string().contains("set AWS_REGION=eu-west-1"), "{elsewhere}");
    let expired = get(answer("400 Bad Request", "", &xml("ExpiredToken")));
    assert!(matches!(expired, StoreError::Setup { .. }), "{expired}");
    let archived = get(answer("403 Forbidden", "", &xml("InvalidObjectState")));
    assert!(archived.to_string().contains("restore"), "{archived}");
}

#[test]
fn a_completed_upload_whose_answer_was_lost_is_known_again() {
    for ours in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let next = |answer: &[u8]| {
                let (mut stream, _) = listener.accept().unwrap();
                let head = read_request(&stream);
                stream.write_all(answer).unwrap();
                head
            };
            let begun = b"<InitiateMultipartUploadResult><UploadId>U</UploadId></InitiateMultipartUploadResult>";
            let head = next(&answer("200 OK", "", begun));
            let writer =
                head.lines().find_map(|line| line.strip_prefix("x-amz-meta-kidu-writer: ")).unwrap().to_owned();
            assert!(next(&answer("200 OK", "ETag: \"p\"\r\n", b"")).starts_with("PUT"));
            // Completed before, says the server.
            next(&answer("404 Not Found", "", b"<Error><Code>NoSuchUpload</Code></Error>"));
            let writer = if ours { writer } else { "somebody".into() };
            let headers = format!("ETag: \"e-1\"\r\nx-amz-meta-kidu-writer: {writer}\r\n");
            assert!(next(&answer("200 OK", &headers, b"")).starts_with("HEAD"));
            if !ours {
                assert!(next(&answer("204 No Content", "", b"")).starts_with("DELETE"), "given up");
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "text").unwrap();
        let in_parts = Transfer { threshold: 1, ..Transfer::default() };
        let objects = S3Objects::open(&emulated(&url), &ObjectUri::parse("s3://bucket").unwrap()).unwrap();
        let outcome = S3Store::from(objects.with_transfer(in_parts)).put_file("a", &path, &PutOptions::default());
        match ours {
            true => assert_eq!(outcome.unwrap().etag, "e-1"),
            false => assert!(outcome.unwrap_err().to_string().contains("s3://bucket/a")),
        }
        server.join().unwrap();
    }
}

#[test]
fn a_conditional_write_whose_answer_was_lost_is_known_again() {
    for (ours, expected) in [(true, true), (false, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            // Carried out, but the answer is lost; then there is an object; then who wrote it is asked.
            let (stream, _) = listener.accept().unwrap();
            let head = read_head(&stream);
            let writer =
                head.lines().find_map(|line| line.strip_prefix("x-amz-meta-kidu-writer: ")).unwrap().to_owned();
            drop(stream);
            let (mut stream, _) = listener.accept().unwrap();
            assert!(read_head(&stream).contains(&writer));
            let refusal = b"<Error><Code>PreconditionFailed</Code></Error>";
            stream.write_all(&answer("412 Precondition Failed", "", refusal)).unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            assert!(read_head(&stream).starts_with("HEAD"));
            let writer = if ours { writer } else { "somebody".into() };
            stream.write_all(&answer("200 OK", &format!("x-amz-meta-kidu-writer: {writer}\r\n"), b"")).unwrap();
        });
        let store = S3Store::open_with(&emulated(&url), &ObjectUri::parse("s3://bucket").unwrap()).unwrap();
        assert_eq!(store.put_if_absent("a", b"", &PutOptions::default()).unwrap(), expected);
    }
}
