//! What every [`ObjectStore`] must do, run by the tests of each. With the feature `testing`.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "these are tests")]

use std::{
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{GetOptions, ObjectStore, PutOptions, StoreError};
use crate::{hash::Sha256Hex, progress::Progress};

/// Runs every check on an empty store, and leaves it empty.
///
/// # Panics
/// On the first rule that the store breaks.
pub fn check(store: &dyn ObjectStore) {
    assert_eq!(store.list_all("").unwrap(), [], "an empty store is needed");
    objects_are_written_read_and_removed(store);
    missing_objects_are_missing(store);
    reads_are_limited(store);
    files_travel_whole(store);
    wrong_content_is_refused(store);
    changed_objects_are_refused(store);
    one_creator_wins(store);
    listings_are_by_prefix_and_sorted(store);
    odd_names_are_kept(store);
    bad_keys_are_refused(store);
    remove_all(store);
    assert_eq!(store.list_all("").unwrap(), []);
}

/// Writes `count` small objects, and finds each in the listing once and in order.
///
/// # Panics
/// When one is missing, double or out of order.
pub fn check_paging(store: &dyn ObjectStore, count: usize) {
    let keys: Vec<_> = (0..count).map(|i| format!("many/{:02}/{i:06}", i % 7)).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
                    store.put_bytes(key, key.as_bytes(), &PutOptions::default()).unwrap();
                }
            });
        }
    });
    let listed = store.list_all("many/").unwrap();
    let mut expected = keys;
    expected.sort();
    assert_eq!(listed.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), expected);
    assert!(listed.iter().all(|entry| entry.info.size == entry.key.len() as u64));
    assert_eq!(
        store.list_all("many/03/").unwrap().len(),
        expected.iter().filter(|k| k.starts_with("many/03/")).count()
    );
    // Only as much as is asked for.
    assert_eq!(store.list("many/").take(3).count(), 3);
}

/// Sends a file of `size` bytes and fetches it again; for stores that treat large files otherwise than small ones.
///
/// # Panics
/// When what comes back differs, or progress does not add up.
pub fn check_large_file(store: &dyn ObjectStore, size: usize) {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("deep/to"));
    std::fs::write(&from, noise(size)).unwrap();
    let sha256 = Sha256Hex::of_file(&from).unwrap();
    let (sent, received) = (Count::default(), Count::default());
    let put = PutOptions { sha256: Some(&sha256), progress: Some(&sent), content_type: Some("application/zip") };
    let info = store.put_file("large.bin", &from, &put).unwrap();
    assert_eq!(info.size, size as u64);
    let head = store.head("large.bin").unwrap().unwrap();
    assert_eq!((head.size, &head.etag), (size as u64, &info.etag));
    let get = GetOptions { sha256: Some(&sha256), etag: Some(&info.etag), progress: Some(&received) };
    store.get_to_file("large.bin", &to, &get).unwrap();
    assert_eq!(Sha256Hex::of_file(&to).unwrap(), sha256);
    assert_eq!((sent.get(), received.get()), (size as u64, size as u64));

    let other = Sha256Hex::of_bytes(b"other");
    let wrong = GetOptions { sha256: Some(&other), ..GetOptions::default() };
    assert!(matches!(store.get_to_file("large.bin", &to, &wrong), Err(StoreError::Checksum { .. })));
    assert_eq!(Sha256Hex::of_file(&to).unwrap(), sha256, "the old file stays");
    let wrong = PutOptions { sha256: Some(&other), ..PutOptions::default() };
    assert!(matches!(store.put_file("never.bin", &from, &wrong), Err(StoreError::Checksum { .. })));
    assert_eq!(store.head("never.bin").unwrap(), None);
    assert!(matches!(store.get("large.bin", size as u64 - 1), Err(StoreError::TooLarge { .. })));
    only(&to);
}

fn objects_are_written_read_and_removed(store: &dyn ObjectStore) {
    let json = PutOptions { content_type: Some("application/json"), ..PutOptions::default() };
    let first = store.put_bytes("a/b.json", b"{}", &json).unwrap();
    assert_eq!(store.get("a/b.json", 2).unwrap(), b"{}");
    let head = store.head("a/b.json").unwrap().unwrap();
    assert_eq!((head.size, &head.etag), (2, &first.etag));
    let age = jiff::Timestamp::now().as_second() - head.modified.unwrap().as_second();
    assert!((-60..600).contains(&age), "written {age} s ago");
    let second = store.put_bytes("a/b.json", b"[]", &json).unwrap();
    assert_ne!(first.etag, second.etag, "an etag changes with the content");
    assert_eq!(store.get("a/b.json", 100).unwrap(), b"[]");
    let listed = store.list_all("").unwrap();
    assert_eq!((listed.len(), &listed[0].key, &listed[0].info.etag), (1, &"a/b.json".to_owned(), &second.etag));
    store.put_bytes("empty", b"", &PutOptions::default()).unwrap();
    assert_eq!(store.get("empty", 0).unwrap(), b"");
    for key in ["a/b.json", "empty"] {
        store.delete(key).unwrap();
        store.delete(key).unwrap();
        assert_eq!(store.head(key).unwrap(), None);
    }
}

fn missing_objects_are_missing(store: &dyn ObjectStore) {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(store.head("none/at-all").unwrap(), None);
    for e in [
        store.get("none/at-all", 9).unwrap_err(),
        store.get_to_file("none/at-all", &dir.path().join("x"), &GetOptions::default()).unwrap_err(),
    ] {
        assert!(e.is_not_found(), "{e}");
        assert!(e.to_string().contains(&store.uri_of("none/at-all").to_string()), "{e}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(store.list_all("none/").unwrap(), []);
}

fn reads_are_limited(store: &dyn ObjectStore) {
    store.put_bytes("five", b"12345", &PutOptions::default()).unwrap();
    assert_eq!(store.get("five", 5).unwrap(), b"12345");
    assert!(matches!(store.get("five", 4), Err(StoreError::TooLarge { size: 5, limit: 4, .. })));
    store.delete("five").unwrap();
}

fn files_travel_whole(store: &dyn ObjectStore) {
    for size in [0, 1, 300_000] {
        check_small_file(store, size);
    }
}

fn check_small_file(store: &dyn ObjectStore, size: usize) {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("new/to"));
    std::fs::write(&from, noise(size)).unwrap();
    let sha256 = Sha256Hex::of_file(&from).unwrap();
    let (sent, received) = (Count::default(), Count::default());
    let put = PutOptions { sha256: Some(&sha256), progress: Some(&sent), ..PutOptions::default() };
    let info = store.put_file("file", &from, &put).unwrap();
    let get = GetOptions { sha256: Some(&sha256), etag: Some(&info.etag), progress: Some(&received) };
    let got = store.get_to_file("file", &to, &get).unwrap();
    assert_eq!((got.size, got.etag), (size as u64, info.etag));
    assert_eq!(std::fs::read(&to).unwrap(), noise(size));
    assert_eq!((sent.get(), received.get()), (size as u64, size as u64));
    only(&to);
    assert!(matches!(
        store.put_file("file", &dir.path().join("missing"), &PutOptions::default()),
        Err(StoreError::Local(_))
    ));
    store.delete("file").unwrap();
}

fn wrong_content_is_refused(store: &dyn ObjectStore) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kept");
    std::fs::write(&path, "old").unwrap();
    let other = Sha256Hex::of_bytes(b"other");
    let put = PutOptions { sha256: Some(&other), ..PutOptions::default() };
    for e in [
        store.put_bytes("wrong", b"content", &put).unwrap_err(),
        store.put_if_absent("wrong", b"content", &put).unwrap_err(),
        store.put_file("wrong", &path, &put).unwrap_err(),
    ] {
        assert!(matches!(e, StoreError::Checksum { .. }), "{e}");
    }
    assert_eq!(store.head("wrong").unwrap(), None, "nothing was written");
    store.put_bytes("wrong", b"content", &PutOptions::default()).unwrap();
    let get = GetOptions { sha256: Some(&other), ..GetOptions::default() };
    assert!(matches!(store.get_to_file("wrong", &path, &get), Err(StoreError::Checksum { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"old", "the old file stays");
    only(&path);
    store.delete("wrong").unwrap();
}

fn changed_objects_are_refused(store: &dyn ObjectStore) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let old = store.put_bytes("changing", b"old", &PutOptions::default()).unwrap();
    store.put_bytes("changing", b"new", &PutOptions::default()).unwrap();
    let get = GetOptions { etag: Some(&old.etag), ..GetOptions::default() };
    assert!(matches!(store.get_to_file("changing", &path, &get), Err(StoreError::Changed { .. })));
    assert!(!path.exists());
    store.delete("changing").unwrap();
}

fn one_creator_wins(store: &dyn ObjectStore) {
    let none = PutOptions::default();
    let barrier = Barrier::new(6);
    let created: Vec<bool> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..6u8)
            .map(|i| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    store.put_if_absent("lock/one", &[i], &PutOptions::default()).unwrap()
                })
            })
            .collect();
        writers.into_iter().map(|w| w.join().unwrap()).collect()
    });
    assert_eq!(created.iter().filter(|c| **c).count(), 1, "{created:?}");
    let winner = created.iter().position(|c| *c).unwrap() as u8;
    assert_eq!(store.get("lock/one", 9).unwrap(), [winner]);
    assert!(!store.put_if_absent("lock/one", b"late", &none).unwrap());
    assert_eq!(store.get("lock/one", 9).unwrap(), [winner]);
    store.delete("lock/one").unwrap();
    assert!(store.put_if_absent("lock/one", b"again", &none).unwrap());
    store.delete("lock/one").unwrap();
}

fn listings_are_by_prefix_and_sorted(store: &dyn ObjectStore) {
    let keys = ["a-b", "a/b", "a/b-c", "a/b/c/d", "ab", "b", "é"];
    // "a/b" and "a/b/c/d" cannot both be files in a folder.
    let keys: Vec<_> = keys.into_iter().filter(|key| *key != "a/b").collect();
    for key in &keys {
        store.put_bytes(key, key.as_bytes(), &PutOptions::default()).unwrap();
    }
    for prefix in ["", "a", "a/", "a/b", "a/b/", "a/b/c/d", "b", "é", "z", "a/b/c/d/", "a-"] {
        let listed: Vec<_> = store.list_all(prefix).unwrap().into_iter().map(|entry| entry.key).collect();
        let expected: Vec<_> = keys.iter().filter(|key| key.starts_with(prefix)).map(|key| (*key).to_owned()).collect();
        assert_eq!(listed, expected, "prefix {prefix:?}");
    }
    remove_all(store);
}

fn odd_names_are_kept(store: &dyn ObjectStore) {
    for key in ["a b+c%20&d=e?f#g/ü 中.jpg", ".hidden", "..a/b..", "x (1)~'!*@,;$"] {
        store.put_bytes(key, key.as_bytes(), &PutOptions::default()).unwrap();
        assert_eq!(store.get(key, 99).unwrap(), key.as_bytes());
        let listed = store.list_all("").unwrap();
        assert_eq!(listed.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), [key]);
        store.delete(key).unwrap();
    }
}

fn bad_keys_are_refused(store: &dyn ObjectStore) {
    let dir = tempfile::tempdir().unwrap();
    let none = PutOptions::default();
    for key in ["", "/", "/a", "a/", "a//b", "..", "../a", "a/../../b", "./a", "a\\b", "a\0b", &"x".repeat(1025)] {
        for outcome in [
            store.head(key).map(drop),
            store.get(key, 1).map(drop),
            store.get_to_file(key, &dir.path().join("x"), &GetOptions::default()).map(drop),
            store.put_bytes(key, b"", &none).map(drop),
            store.put_file(key, Path::new("Cargo.toml"), &none).map(drop),
            store.put_if_absent(key, b"", &none).map(drop),
            store.delete(key),
        ] {
            assert!(matches!(outcome, Err(StoreError::Key { .. })), "{key:?}: {outcome:?}");
        }
    }
    for prefix in ["/", "../", "a//b", "a/../"] {
        assert!(matches!(store.list_all(prefix), Err(StoreError::Key { .. })), "{prefix:?}");
    }
}

fn remove_all(store: &dyn ObjectStore) {
    for entry in store.list_all("").unwrap() {
        store.delete(&entry.key).unwrap();
    }
}

/// No temporary file is left beside it.
fn only(path: &Path) {
    let names: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, [path.file_name().unwrap()]);
}

fn noise(size: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut bytes = vec![0; size];
    for b in &mut bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *b = (state >> 56) as u8;
    }
    bytes
}

#[derive(Default)]
struct Count(AtomicU64);

impl Count {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Progress for Count {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) {}
    fn advance(&self, units: u64) {
        self.0.fetch_add(units, Ordering::Relaxed);
    }
    fn set_message(&self, _: &str) {}
    fn end(&self) {}
    fn note(&self, _: &str) {}
}
