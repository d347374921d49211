//! Images and annotations from other places than a folder.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use kidu_annotations::{ImportOptions, import, provenance};
use kidu_core::{
    progress::Silent,
    store::{FolderStore, ObjectUri},
};
use kidu_fetch::{FetchOptions, LabelStudio, Policy, StoreBuckets, Token};

use crate::support::{Desk, answer, export, map, png, put, tasks, tree};

/// A Label Studio that hands out uploads to who has the token; counts what it hands out.
fn label_studio() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let given = Arc::new(AtomicUsize::new(0));
    let counter = given.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines: Vec<String> =
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
            let allowed = lines.iter().any(|l| l.eq_ignore_ascii_case("authorization: Token secret"));
            let number = lines[0].split("-").nth(1).and_then(|n| n.split('.').next()).and_then(|n| n.parse().ok());
            let (status, body) = match number {
                Some(number) if allowed => (200, png(number)),
                _ => (401, Vec::new()),
            };
            counter.fetch_add(1, Ordering::SeqCst);
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    (url, given)
}

#[test]
fn uploads_are_fetched_once_and_known_the_next_time() {
    let (url, given) = label_studio();
    let mut desk = Desk::with_images(&["b7b149b8-1.jpg", "b7b149b8-2.jpg"]);
    desk.options.images.clear();
    let rows: &[(&str, &[_])] =
        &[("b7b149b8-1.jpg", &[answer(1, 1, "sea", 1)]), ("b7b149b8-2.jpg", &[answer(2, 1, "ice", 1)])];
    let source = desk.write("x.json", &export(&tasks(rows)));
    let message = desk.refused(&source);
    assert!(message.contains("--label-studio"), "{message}");
    desk.options.fetch.label_studio = Some(LabelStudio::new(&url, Some(Token::from_text("wrong"))).unwrap());
    assert!(desk.refused(&source).contains("401"));
    desk.options.fetch.label_studio = Some(LabelStudio::new(&url, Some(Token::from_text("secret"))).unwrap());
    given.store(0, Ordering::SeqCst);
    desk.import(&source);
    assert_eq!(desk.labels(), map(&[("b7b149b8-1.jpg", "train/sea"), ("b7b149b8-2.jpg", "train/ice")]));
    let before = tree(&desk.data());
    assert!(desk.import(&source).is_unchanged());
    assert_eq!((given.load(Ordering::SeqCst), tree(&desk.data()) == before), (2, true), "nothing is fetched twice");
    desk.options.refresh = true;
    assert!(desk.import(&source).is_unchanged());
    assert_eq!(given.load(Ordering::SeqCst), 4);
}

#[test]
fn annotations_and_images_come_from_buckets() {
    let desk = Desk::with_images(&["1.jpg", "2.jpg"]);
    let one = |id: u64, name: &str, what: &str| {
        let mut object = answer(id, 1, what, id).json();
        object["task"] = serde_json::json!({"id": id, "data": {"image": format!("s3://src/raw/{name}")}});
        object.to_string()
    };
    put(&desk.path("buckets/lab"), "annotations/1", one(1, "1.jpg", "sea"));
    put(&desk.path("buckets/lab"), "annotations/10", one(10, "2.jpg", "ice"));
    put(&desk.path("buckets/lab"), "annotations-old/1", one(1, "1.jpg", "wrong"));
    put(&desk.path("buckets/src"), "raw/1.jpg", png(1));
    put(&desk.path("buckets/src"), "raw/2.jpg", png(2));
    let root = desk.path("buckets");
    let buckets = StoreBuckets::new(move |uri| match uri {
        ObjectUri::S3 { bucket, .. } => {
            FolderStore::open(root.join(bucket)).map(|s| Box::new(s) as _).map_err(|e| e.to_string())
        }
        other => Err(other.to_string()),
    });
    let fetch = FetchOptions { buckets: Some(Arc::new(buckets)), ..FetchOptions::default() };
    let mut desk = Desk { options: ImportOptions { fetch, ..ImportOptions::default() }, ..desk };
    for source in ["s3://lab/annotations", "s3://lab/annotations/"] {
        let report = desk.import(source);
        assert_eq!((report.sources[0].files, report.annotations.usable), (2, 2), "{source}");
        assert_eq!(desk.labels(), map(&[("1.jpg", "train/sea"), ("2.jpg", "train/ice")]));
    }
    let entry = &provenance::load(&desk.data()).unwrap()[0];
    assert_eq!((entry.origin.as_str(), entry.addresses[0].as_str()), ("s3://lab/annotations/10", "s3://src/raw/2.jpg"));
    assert_eq!(desk.import("s3://lab/annotations/1").sources[0].files, 1, "one object by its whole name");
    assert!(desk.refused("s3://lab/none").contains("no object of that name"));
    desk.options.fetch.policy = Policy { buckets: vec!["other".into()], ..Policy::default() };
    desk.options.refresh = true;
    assert!(desk.refused("s3://lab/annotations").contains("--allow-bucket src"));
}

#[test]
fn data_uris_are_images_too_and_their_content_is_not_kept_in_the_lines() {
    use std::fmt::Write as _;
    let bytes = png(5);
    let mut encoded = String::new();
    bytes.iter().for_each(|b| write!(encoded, "%{b:02x}").unwrap());
    let desk = Desk::with_images(&[]);
    put(&desk.path("images"), "x/5.jpg", &bytes);
    let mut list = tasks(&[("x", &[answer(1, 1, "sea", 1)])]);
    list[0].1 = format!("data:image/png,{encoded}");
    desk.import(&desk.write("x.json", &export(&list)));
    assert_eq!(desk.labels(), map(&[("5.jpg", "train/sea")]));
    let lines = std::fs::read_to_string(provenance::path_in(&desk.data())).unwrap();
    assert!(lines.contains("data:image/png,...") && !lines.contains(&encoded[..60]), "{lines}");
}

#[test]
fn a_source_that_is_none_says_what_is_wrong() {
    let desk = Desk::with_images(&["a.jpg"]);
    for (source, words) in [
        (desk.path("none.json").display().to_string(), "no such file"),
        (desk.write("empty.json", " \n"), "is empty"),
        (desk.write("broken.json", "{\"a\": "), "cut short"),
        (desk.write("list.csv", "a.jpg,sea\nb.jpg,ice\n"), "--image-key"),
        (desk.write("other.json", "{\"a\": 1}"), "neither an annotation"),
        ("https://example.com/x.json".to_string(), "download the export"),
        (desk.path("images").display().to_string(), "holds no file without extension"),
    ] {
        let message = desk.refused(&source);
        assert!(message.contains(words), "{source}: {message}");
    }
    assert!(import(&[], &desk.data(), &desk.options, &Silent).is_err());
}
