//! Versions of whole folders: taken, compared, restored, dropped, interrupted.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use kidu_core::{DatasetManifest, Progress, Split, progress::Silent};
use kidu_data::{
    prepare,
    versions::{
        CheckoutOptions, DamageKind, KeepRule, LinkMode, LinkPolicy, MARKER, Snapshot, SnapshotOptions, VersionStore,
        checkout, diff, gc, plan_gc, quarantine, snapshot, verify, working_version,
    },
};
use proptest::prelude::*;

use crate::support::{dir, fill, put, settings};

/// Paths and contents; `None` for an empty folder.
type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// Everything below a folder but the marker at its root.
fn read(root: &Path) -> Tree {
    fn visit(root: &Path, folder: &Path, tree: &mut Tree) {
        let mut empty = folder != root;
        for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            empty = false;
            if path.is_dir() {
                visit(root, &path, tree);
            } else if path != root.join(MARKER) {
                tree.insert(relative(root, &path), Some(fs::read(&path).unwrap()));
            }
        }
        if empty {
            tree.insert(relative(root, folder), None);
        }
    }
    let mut tree = Tree::new();
    visit(root, root, &mut tree);
    tree
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().to_string()
}

fn write(root: &Path, tree: &Tree) {
    let _ = fs::remove_dir_all(root);
    fs::create_dir_all(root).unwrap();
    for (path, content) in tree {
        match content {
            Some(bytes) => drop(put(root, path, bytes)),
            None => fs::create_dir_all(root.join(path)).unwrap(),
        }
    }
}

fn take(store: &Path, root: &Path) -> Snapshot {
    let options = SnapshotOptions { message: "m".into(), author: "ana".into(), ..SnapshotOptions::default() };
    snapshot(store, root, &options, &Silent).unwrap()
}

fn says<T: std::fmt::Debug, E: std::fmt::Display>(result: Result<T, E>, parts: &[&str]) {
    let message = result.map_err(|e| e.to_string()).unwrap_err();
    for part in parts {
        assert!(message.contains(part), "'{part}' is not in: {message}");
    }
}

const PLAIN: CheckoutOptions = CheckoutOptions { link: LinkMode::Copy, force: false };

/// A dataset of three classes and its first version.
fn photos() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = dir();
    let (root, store) = (dir.path().join("photos"), dir.path().join(".kidu-data"));
    fill(&root, &[("train/cat", 3), ("train/dog", 4), ("test/cat", 2), ("test/dog", 2)]);
    put(&root, "labels.csv", b"path,label\n");
    (dir, root, store)
}

#[test]
fn a_snapshot_knows_classes_and_an_unchanged_folder_makes_no_version() {
    let (_dir, root, store) = photos();
    assert_eq!(
        VersionStore::beside(&root).unwrap(),
        store.parent().unwrap().canonicalize().unwrap().join(".kidu-data")
    );
    let first = take(&store, &root);
    assert!(first.new && !first.unchanged);
    let statistics = &first.version.statistics;
    assert_eq!((statistics.files, statistics.images), (12, 11));
    let dog = &statistics.classes[1];
    assert_eq!((&dog.class[..], dog.train, dog.test), ("dog", 4, 2));
    assert_eq!(first.version.file("test/cat/000.png").unwrap().split, Some(Split::Test));

    let again = take(&store, &root);
    assert!(again.unchanged && !again.new && again.stored == 0);
    assert_eq!(again.version, first.version);
    let opened = VersionStore::open(&store).unwrap();
    assert_eq!(opened.log(None).unwrap().len(), 1);

    fs::rename(root.join("train/dog/000.png"), root.join("train/cat/dog.png")).unwrap();
    let second = take(&store, &root);
    assert_eq!((second.changes.relabelled, second.changes.added), (1, 0));
    assert_eq!(second.version.parents, std::slice::from_ref(&first.version.id));
    // Changed back: the old version again, and a line in the log.
    fs::rename(root.join("train/cat/dog.png"), root.join("train/dog/000.png")).unwrap();
    let back = take(&store, &root);
    assert!(!back.new && !back.unchanged);
    assert_eq!(back.version.id, first.version.id);
    assert_eq!(opened.log(None).unwrap().len(), 3);
    assert_eq!(opened.resolve("latest").unwrap().id, first.version.id);
    assert_eq!(opened.resolve("latest~1").unwrap().id, second.version.id);
    says(opened.resolve("latest~3"), &["only 3 versions"]);
    says(opened.resolve("lastest"), &["did you mean 'latest'?"]);
}

#[cfg(unix)]
#[test]
fn what_has_not_changed_is_not_read_again() {
    let (_dir, root, store) = photos();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    assert_eq!(take(&store, &root).hashed, 12);
    // The index trusts what is older than two seconds.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert_eq!(take(&store, &root).hashed, 12);
    assert_eq!(take(&store, &root).hashed, 0);
    // The same size and an old time: the attributes' time gives it away.
    let path = root.join("train/cat/000.png");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    let changed = take(&store, &root);
    assert_eq!((changed.hashed, changed.changes.changed), (1, 1));
    // A content that is gone from the store is stored again.
    let opened = VersionStore::open(&store).unwrap();
    let hash = changed.version.file("train/cat/000.png").unwrap().sha256.to_string();
    fs::remove_file(store.join("objects").join(&hash[..2]).join(&hash[2..])).unwrap();
    says(opened.check_complete(&changed.version), &["train/cat/000.png", "is missing"]);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert_eq!(take(&store, &root).stored, 1);
    opened.check_complete(&changed.version).unwrap();
}

#[test]
fn a_tree_that_is_no_dataset_is_kept_as_faithfully() {
    let dir = dir();
    let root = dir.path().join("things");
    for path in ["annotations.json", "a/b/c/d.txt", ".hidden/x", "empty-file", "ü ✓.csv"] {
        put(&root, path, if path == "empty-file" { b"" } else { path.as_bytes() });
    }
    fs::create_dir_all(root.join("nothing/here")).unwrap();
    let taken = take(&dir.path().join("s"), &root);
    assert!(taken.notes.iter().any(|n| n.contains("classes and splits are not recorded")), "{:?}", taken.notes);
    let store = VersionStore::open(&dir.path().join("s")).unwrap();
    let to = dir.path().join("out/deep");
    checkout(&store, &taken.version, &to, PLAIN, &Silent).unwrap();
    assert_eq!(read(&to), read(&root));
    // A checkout is the same version, wherever it lies.
    assert_eq!(working_version(&to, None, LinkPolicy::Refuse, &Silent).unwrap().id, taken.version.id);
    says(snapshot(&dir.path().join("s"), &dir.path().join("s"), &SnapshotOptions::default(), &Silent), &["lies in"]);
    says(snapshot(&root, &root, &SnapshotOptions::default(), &Silent), &["something else is there"]);
    says(
        snapshot(&dir.path().join("s"), &root.join("none"), &SnapshotOptions::default(), &Silent),
        &["no such folder"],
    );
}

#[test]
fn a_csv_list_gives_the_classes_of_its_folder() {
    let (_dir, root, store) = photos();
    let list = put(&root, "list.csv", b"path,label,split\ntrain/cat/000.png,a,train\ntrain/cat/001.png,b,train\n");
    let first = take(&store, &list);
    assert_eq!((first.version.list.as_deref(), first.version.statistics.images), (Some("list.csv"), 2));
    put(&root, "list.csv", b"path,label,split\ntrain/cat/000.png,b,train\ntrain/cat/001.png,a,train\n");
    let second = take(&store, &list);
    let found = diff(Some(&first.version), &second.version);
    assert_eq!((found.relabelled.len(), found.changed.len()), (2, 1));
}

#[test]
fn a_checkout_loses_nothing_that_is_in_no_version() {
    let (dir, root, path) = photos();
    let before = read(&root);
    let first = take(&path, &root).version;
    fs::remove_dir_all(root.join("test")).unwrap();
    put(&root, "train/cat/new.png", b"new");
    let second = take(&path, &root).version;
    let store = VersionStore::open(&path).unwrap();
    // The working folder is a version: it may become another.
    let done = checkout(&store, &first, &root, PLAIN, &Silent).unwrap();
    assert_eq!((done.restored, done.kept, done.removed), (4, 8, 1));
    assert_eq!(read(&root), before);
    // A change in it is not.
    put(&root, "train/cat/000.png", b"mine");
    put(&root, "notes.txt", b"mine");
    let changed = read(&root);
    says(checkout(&store, &second, &root, PLAIN, &Silent), &["2 files were changed or added", "notes.txt", "--force"]);
    assert_eq!(read(&root), changed);
    let force = CheckoutOptions { force: true, ..PLAIN };
    checkout(&store, &first, &root, force, &Silent).unwrap();
    assert_eq!(read(&root), before);
    // A folder that nobody knows, a file, the store itself, a repository.
    let other = dir.path().join("other");
    put(&other, "x", b"x");
    says(checkout(&store, &first, &other, PLAIN, &Silent), &["in no version of this store", "x"]);
    put(&other, ".git/config", b"x");
    says(checkout(&store, &first, &other, force, &Silent), &["version control", ".git"]);
    says(checkout(&store, &first, &other.join("x"), force, &Silent), &["no folder"]);
    for own in [path.clone(), path.join("new"), dir.path().to_path_buf()] {
        says(checkout(&store, &first, &own, force, &Silent), &["lies in the way"]);
    }
    assert!(other.join(".git/config").exists() && verify(&store, &Silent).unwrap().damage.is_empty());
}

#[test]
fn a_damaged_object_is_never_checked_out_and_is_mended_by_the_next_snapshot() {
    let (dir, root, path) = photos();
    let version = take(&path, &root).version;
    let store = VersionStore::open(&path).unwrap();
    let hash = version.file("train/dog/002.png").unwrap().sha256.to_string();
    let object = path.join("objects").join(&hash[..2]).join(&hash[2..]);
    let mut bytes = fs::read(&object).unwrap();
    bytes[10] ^= 1;
    fs::remove_file(&object).unwrap();
    fs::write(&object, bytes).unwrap();
    let to = dir.path().join("out");
    says(checkout(&store, &version, &to, PLAIN, &Silent), &["train/dog/002.png", "does not have the content"]);
    assert!(!to.exists());
    let found = verify(&store, &Silent).unwrap();
    assert_eq!((found.damage.len(), found.damage[0].kind), (1, DamageKind::Changed));
    assert!(found.damage[0].detail.starts_with("train/dog/002.png of "));
    assert_eq!(quarantine(&store, &found, &Silent).unwrap(), 1);
    assert_eq!(verify(&store, &Silent).unwrap().damage[0].kind, DamageKind::Missing);
    take(&path, &root);
    assert!(verify(&store, &Silent).unwrap().damage.is_empty());
    checkout(&store, &version, &to, PLAIN, &Silent).unwrap();
    assert_eq!(read(&to), read(&root));
}

#[test]
fn gc_drops_what_no_rule_keeps_and_nothing_else() {
    let (dir, root, path) = photos();
    let mut versions = Vec::new();
    let mut trees = Vec::new();
    for i in 0..4 {
        put(&root, "counter", &[i]);
        put(&root, &format!("only-{i}"), &[i, i]);
        versions.push(take(&path, &root).version);
        trees.push(read(&root));
        fs::remove_file(root.join(format!("only-{i}"))).unwrap();
    }
    let store = VersionStore::open(&path).unwrap();
    store.tag("gold", versions[0].id.short(), "ana", false, &Silent).unwrap();
    says(store.tag("gold", "latest", "ana", false, &Silent), &["stands for", "--force"]);
    let rule = KeepRule { last: Some(1) };
    let plan = plan_gc(&store, rule, &Silent).unwrap();
    assert_eq!((plan.versions.len(), plan.objects, plan.kept), (2, 4, 2));
    assert_eq!(store.ids().unwrap().len(), 4, "a plan removes nothing");
    says(plan_gc(&store, KeepRule { last: Some(0) }, &Silent), &["at least 1"]);
    assert_eq!(gc(&store, KeepRule::default(), "ana", &Silent).unwrap().objects, 0);
    assert_eq!(gc(&store, rule, "ana", &Silent).unwrap(), plan);
    assert_eq!(gc(&store, rule, "ana", &Silent).unwrap().objects, 0);
    assert!(verify(&store, &Silent).unwrap().damage.is_empty());
    for i in [0, 3] {
        let to = dir.path().join(format!("out{i}"));
        checkout(&store, &versions[i], &to, PLAIN, &Silent).unwrap();
        assert_eq!(read(&to), trees[i]);
    }
    says(store.resolve("latest~1"), &["was dropped"]);
    let kept: Vec<bool> = store.log(None).unwrap().iter().map(|r| r.kept).collect();
    assert_eq!(kept, [true, false, false, true]);
}

#[test]
fn several_datasets_share_a_store() {
    let (dir, root, path) = photos();
    let other = dir.path().join("scenes");
    put(&other, "a", b"a");
    let (one, two) = (take(&path, &root).version, take(&path, &other).version);
    let store = VersionStore::open(&path).unwrap();
    says(store.resolve("latest"), &["several datasets", "photos@latest, scenes@latest"]);
    assert_eq!(store.resolve("photos@latest").unwrap().id, one.id);
    assert_eq!(store.resolve("scenes@latest").unwrap().id, two.id);
    assert!(two.parents.is_empty());
    assert_eq!(store.log(Some("scenes")).unwrap().len(), 1);
}

#[test]
fn training_data_names_its_version_as_long_as_it_is_that_version() {
    let (dir, root, path) = photos();
    let version = take(&path, &root).version;
    let snapshot_of = |root: &Path, out: &str| {
        let prepared = prepare(&settings(root), 1, &dir.path().join(out), &Silent).unwrap();
        assert_eq!(DatasetManifest::load(&prepared.manifest_path).unwrap().snapshot, prepared.manifest.snapshot);
        (prepared.manifest.snapshot, prepared.report.notes)
    };
    let id = Some(version.id.to_string());
    assert_eq!(snapshot_of(&root, "a").0, id);
    // A checkout elsewhere, without its store at hand, moved after.
    let (out, away) = (dir.path().join("x/out"), dir.path().join("x/away"));
    checkout(&VersionStore::open(&path).unwrap(), &version, &out, PLAIN, &Silent).unwrap();
    fs::rename(&out, &away).unwrap();
    let (found, notes) = snapshot_of(&away, "b");
    assert_eq!(found, id);
    assert!(!notes.iter().any(|n| n.contains("hidden")), "{notes:?}");
    // A folder of it.
    assert_eq!(snapshot_of(&root.join("train"), "c").0, id);
    // Changed since.
    fs::remove_file(root.join("train/dog/000.png")).unwrap();
    put(&root, "train/dog/100.png", &crate::support::png(77));
    let (found, notes) = snapshot_of(&root, "d");
    assert_eq!(found, None);
    assert!(notes.iter().any(|n| n.contains("2 images are not as in data version")), "{notes:?}");
    fs::remove_file(root.join("train/dog/100.png")).unwrap();
    assert_eq!(snapshot_of(&root, "h").0, None, "an image is missing");
    // The version itself, whatever the folder is now.
    let mut pinned = settings(&root);
    pinned.version = Some(version.id.short().into());
    let prepared = prepare(&pinned, 1, &dir.path().join("e"), &Silent).unwrap();
    assert_eq!(prepared.manifest.snapshot, id);
    assert!(prepared.manifest.items.iter().any(|i| i.path.ends_with("train/dog/000.png")));
    pinned.version = Some("latest".into());
    crate::support::says(
        prepare(&pinned, 1, &dir.path().join("f"), &Silent),
        &["another version tomorrow", version.id.short()],
    );
    // Images of an untouched folder name none.
    let plain = dir.path().join("y/plain");
    fill(&plain, &[("a", 3), ("b", 3)]);
    assert_eq!(snapshot_of(&plain, "g").0, None);
}

#[test]
fn snapshots_at_the_same_time_wait_for_each_other() {
    let (_dir, root, store) = photos();
    std::thread::scope(|s| {
        let all: Vec<_> = (0..4).map(|_| s.spawn(|| take(&store, &root))).collect();
        let new = all.into_iter().map(|t| t.join().unwrap()).filter(|t| t.new).count();
        assert_eq!(new, 1);
    });
    assert_eq!(VersionStore::open(&store).unwrap().log(None).unwrap().len(), 1);
}

/// Few names and contents, so that files move, change, and stand in each other's way.
fn any_tree() -> impl Strategy<Value = Tree> {
    let path = "(train/)?[ab]/[1-3](\\.png)?|[x-z]/[x-z]/[1-2]|list\\.csv";
    let content = prop_oneof![
        8 => proptest::collection::vec(0_u8..3, 0..4).prop_map(Some),
        1 => Just(None),
    ];
    proptest::collection::vec((path, content), 1..12).prop_map(|entries| {
        let mut tree: Tree = Tree::new();
        for (path, content) in entries {
            // A file is no folder.
            let clash = |p: &String| p.starts_with(&format!("{path}/")) || path.starts_with(&format!("{p}/"));
            if !tree.keys().any(clash) {
                tree.insert(path, content);
            }
        }
        tree.entry("a/keep".into()).or_insert_with(|| Some(b"k".to_vec()));
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_version_comes_back_exactly(trees in proptest::collection::vec(any_tree(), 2..5), hard in any::<bool>(), last in 1_usize..4) {
        let dir = dir();
        let (root, path, out) = (dir.path().join("data"), dir.path().join("s"), dir.path().join("out"));
        let mut versions = Vec::new();
        for tree in &trees {
            // Files that stay keep their inode and time, so that the index has something to get wrong.
            let now = if root.exists() { read(&root) } else { Tree::new() };
            for (gone, content) in now.iter().filter(|(p, c)| tree.get(*p) != Some(*c)) {
                match content {
                    Some(_) => fs::remove_file(root.join(gone)).unwrap(),
                    None => fs::remove_dir(root.join(gone)).unwrap(),
                }
            }
            if now.is_empty() { write(&root, tree) }
            for (p, content) in tree {
                match content {
                    Some(bytes) if now.get(p) != Some(content) => {
                        if root.join(p).is_dir() { fs::remove_dir_all(root.join(p)).unwrap() }
                        put(&root, p, bytes);
                    }
                    None => fs::create_dir_all(root.join(p)).unwrap(),
                    _ => {}
                }
            }
            versions.push((take(&path, &root).version, read(&root)));
        }
        let store = VersionStore::open(&path).unwrap();
        let options = CheckoutOptions { link: if hard { LinkMode::Hard } else { LinkMode::Copy }, force: false };
        for (version, tree) in versions.iter().chain(versions.iter().rev()) {
            // Into the same folder one after the other: each is a version, so nothing is in the way.
            checkout(&store, version, &out, options, &Silent).unwrap();
            prop_assert_eq!(&read(&out), tree);
            prop_assert_eq!(&working_version(&out, Some(&store), LinkPolicy::Refuse, &Silent).unwrap().id, &version.id);
        }
        for ((a, _), (b, _)) in versions.iter().zip(&versions[1..]) {
            prop_assert_eq!(diff(Some(a), b).inverse(), diff(Some(b), a));
        }
        gc(&store, KeepRule { last: Some(last) }, "ana", &Silent).unwrap();
        let found = verify(&store, &Silent).unwrap();
        prop_assert_eq!((found.damage.len(), found.unneeded), (0, 0));
        let (version, tree) = versions.last().unwrap();
        let fresh = dir.path().join("fresh");
        checkout(&store, version, &fresh, options, &Silent).unwrap();
        prop_assert_eq!(&read(&fresh), tree);
    }
}

/// Ends the process, as a kill does, the n-th time that it hears of progress.
struct Killer {
    left: AtomicUsize,
}

impl Killer {
    fn step(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            std::process::abort();
        }
    }
}

impl Progress for Killer {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) {
        self.step();
    }
    fn advance(&self, _: u64) {
        self.step();
    }
    fn set_message(&self, _: &str) {
        self.step();
    }
    fn end(&self) {
        self.step();
    }
    fn note(&self, _: &str) {}
}

const KILLED: &str = "KIDU_TEST_KILL";

/// What the killed process does: only when asked to by [`interrupted`].
#[test]
fn the_work_that_is_killed() {
    let Ok(text) = std::env::var(KILLED) else { return };
    let mut parts = text.split('|');
    let (what, step, dir) = (parts.next().unwrap(), parts.next().unwrap(), PathBuf::from(parts.next().unwrap()));
    let killer = Killer { left: AtomicUsize::new(step.parse().unwrap()) };
    let (root, path) = (dir.join("photos"), dir.join(".kidu-data"));
    let options = SnapshotOptions { tag: Some("gold".into()), ..SnapshotOptions::default() };
    match what {
        "snapshot" => drop(snapshot(&path, &root, &options, &killer).unwrap()),
        "checkout" => {
            let store = VersionStore::open(&path).unwrap();
            let version = store.resolve("latest~1").unwrap();
            checkout(&store, &version, &root, PLAIN, &killer).unwrap();
        }
        _ => {
            let store = VersionStore::open(&path).unwrap();
            gc(&store, KeepRule { last: Some(1) }, "ana", &killer).unwrap();
        }
    }
}

/// Does the work in a process that is killed at the given step; says whether it got to its end before.
fn interrupted(what: &str, step: usize, dir: &Path) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "versions::the_work_that_is_killed", "--test-threads=1"])
        .env(KILLED, format!("{what}|{step}|{}", dir.display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("running 1 test") && !text.contains("panicked"), "{text}");
    output.status.success()
}

#[test]
fn a_snapshot_killed_at_any_step_leaves_no_broken_version() {
    let mut steps = 0;
    loop {
        let (dir, root, path) = photos();
        // A version that is there before must not be harmed.
        let first = take(&path, &root).version;
        let before = read(&root);
        fill(&root, &[("train/fox", 4)]);
        let finished = interrupted("snapshot", steps, dir.path());
        let store = VersionStore::open(&path).unwrap();
        let found = verify(&store, &Silent).unwrap();
        assert!(found.damage.is_empty(), "step {steps}: {found:?}");
        for id in store.ids().unwrap() {
            let version = store.load(&id).unwrap();
            store.check_complete(&version).unwrap();
        }
        store.log(None).unwrap();
        checkout(&store, &first, &dir.path().join("out"), PLAIN, &Silent).unwrap();
        assert_eq!(read(&dir.path().join("out")), before, "step {steps}");
        // The next one finds what the killed one left, and the store is as if nothing had happened.
        let options = SnapshotOptions { tag: Some("gold".into()), ..SnapshotOptions::default() };
        let second = snapshot(&path, &root, &options, &Silent).unwrap().version;
        assert_eq!(second.parents, std::slice::from_ref(&first.id));
        let log: Vec<_> = store.log(None).unwrap();
        assert_eq!((log.len(), log[0].tags.as_slice(), store.ids().unwrap().len()), (2, &["gold".to_string()][..], 2));
        assert_eq!(verify(&store, &Silent).unwrap().unneeded, 0);
        assert_eq!(fs::read_dir(path.join("tmp")).unwrap().count(), 0, "step {steps}");
        if finished {
            break;
        }
        steps += 1;
    }
    assert!(steps > 16, "each file and each phase is a step: {steps}");
}

#[test]
fn a_checkout_killed_at_any_step_leaves_the_old_tree_or_the_new_one() {
    let (mut steps, mut old, mut new) = (0, 0, 0);
    loop {
        let (dir, root, path) = photos();
        let first = read(&root);
        take(&path, &root);
        fs::remove_dir_all(root.join("test")).unwrap();
        put(&root, "train/dog/new.png", b"new");
        let second = read(&root);
        take(&path, &root);
        let finished = interrupted("checkout", steps, dir.path());
        match read(&root) {
            now if now == first => new += 1,
            now if now == second => old += 1,
            other => panic!("step {steps}: {:?}", other.keys()),
        }
        let store = VersionStore::open(&path).unwrap();
        checkout(&store, &store.resolve("latest~1").unwrap(), &root, PLAIN, &Silent).unwrap();
        assert_eq!(read(&root), first);
        let beside = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!(beside.len(), 2, "step {steps}: {beside:?}");
        if finished {
            break;
        }
        steps += 1;
    }
    assert!(steps > 20 && old == steps && new == 1, "{steps} {old} {new}");
}

#[test]
fn a_gc_killed_at_any_step_keeps_what_is_needed() {
    let mut steps = 0;
    loop {
        let (dir, root, path) = photos();
        let first = take(&path, &root).version;
        for name in ["train/cat/000.png", "train/cat/001.png", "train/dog/000.png"] {
            fs::remove_file(root.join(name)).unwrap();
        }
        let second = take(&path, &root).version;
        let finished = interrupted("gc", steps, dir.path());
        let store = VersionStore::open(&path).unwrap();
        let found = verify(&store, &Silent).unwrap();
        assert!(found.damage.is_empty(), "step {steps}: {found:?}");
        gc(&store, KeepRule { last: Some(1) }, "ana", &Silent).unwrap();
        assert!(!store.has(&first.id) && verify(&store, &Silent).unwrap().unneeded == 0);
        store.check_complete(&second).unwrap();
        if finished {
            break;
        }
        steps += 1;
    }
    assert!(steps >= 6, "{steps}");
}
