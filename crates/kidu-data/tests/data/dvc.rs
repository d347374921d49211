//! DVC's own program on what we wrote, and the other way round.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kidu_core::{
    progress::Silent,
    store::{FolderStore, ObjectStore},
};
use kidu_data::versions::{SnapshotOptions, VersionStore, dvc, snapshot};

use crate::support::{dir, fill, put};

/// A repository of DVC without git, whose remote is a folder.
struct Repository {
    python: PathBuf,
    dir: PathBuf,
}

impl Repository {
    fn new(python: &Path, dir: PathBuf, remote: &Path) -> Self {
        fs::create_dir_all(&dir).unwrap();
        let repository = Self { python: python.into(), dir };
        repository.run(&["init", "--no-scm", "-q"]);
        repository.run(&["config", "core.analytics", "false"]);
        repository.run(&["remote", "add", "-q", "-d", "ours", remote.to_str().unwrap()]);
        repository
    }

    /// `dvc` with these arguments, which must succeed.
    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.python)
            .args(["-m", "dvc"])
            .args(arguments)
            .current_dir(&self.dir)
            .env("DVC_NO_ANALYTICS", "1")
            .env("DVC_GLOBAL_CONFIG_DIR", self.dir.join("no-config"))
            .env("DVC_SITE_CACHE_DIR", self.dir.join("site-cache"))
            .env("HOME", &self.dir)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }
}

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// A dataset with everything that could be written another way.
fn photos(root: &Path) {
    fill(root, &[("train/cat", 3), ("train/dog", 3), ("test/cat", 2), ("test/dog", 2)]);
    let names = ["a b/ü ✓ 😀.txt", "a-b", "a/b", "q\"uote's.txt", ".hidden/x", "empty", "crlf.csv", "[1]/{2}#3%4.txt"];
    for name in names {
        put(root, name, if name == "empty" { b"" } else { b"path,label\r\nx,y\r\n" });
    }
    // The same content twice.
    put(root, "copy.png", &crate::support::png(1000));
}

#[test]
fn dvc_pull_restores_what_we_push_and_dvc_add_agrees() {
    let Some(python) = kidu_testing::peer_python("dvc_pull_restores_what_we_push_and_dvc_add_agrees", &["dvc"]) else {
        return;
    };
    let dir = dir();
    let (root, path, remote) = (dir.path().join("photos"), dir.path().join("s"), dir.path().join("remote"));
    photos(&root);
    let version = snapshot(&path, &root, &SnapshotOptions::default(), &Silent).unwrap().version;
    let (store, to) = (VersionStore::open(&path).unwrap(), FolderStore::open(&remote).unwrap());
    let pushed = dvc::push(&store, &version, "dataset", &to, 4, &Silent).unwrap();
    assert_eq!(pushed.uploaded, pushed.objects);
    assert_eq!(dvc::push(&store, &version, "dataset", &to, 4, &Silent).unwrap().uploaded, 0);

    let repository = Repository::new(&python, dir.path().join("repo"), &remote);
    let file = repository.dir.join("dataset.dvc");
    pushed.file.save(&file).unwrap();
    repository.run(&["pull", "-q", "dataset.dvc"]);
    assert_eq!(files(&repository.dir.join("dataset")), files(&root));
    assert!(repository.run(&["status"]).contains("up to date"));
    assert!(repository.run(&["status", "-c"]).contains("in sync"));

    // The same tree added by DVC itself: the same file, byte for byte, and nothing to push.
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    repository.run(&["add", "-q", "dataset"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert!(repository.run(&["push"]).contains("up to date"));

    // The next version sends what is new, mends what is torn, and is pulled over the first.
    put(&root, "train/cat/new.png", &crate::support::png(5));
    fs::remove_file(root.join("a/b")).unwrap();
    let torn =
        to.list_all("files/md5/").unwrap().into_iter().find(|e| e.info.size > 100 && !e.key.ends_with(".dir")).unwrap();
    let torn_path = remote.join(&torn.key);
    let _ = fs::remove_file(&torn_path);
    fs::write(&torn_path, "torn").unwrap();
    let version = snapshot(&path, &root, &SnapshotOptions::default(), &Silent).unwrap().version;
    let pushed = dvc::push(&store, &version, "dataset", &to, 4, &Silent).unwrap();
    assert_eq!(pushed.uploaded, 3, "the new image, the torn object and the list");
    pushed.file.save(&file).unwrap();
    repository.run(&["pull", "-q", "dataset.dvc"]);
    assert_eq!(files(&repository.dir.join("dataset")), files(&root));
}

#[test]
fn what_dvc_pushed_is_restored() {
    let Some(python) = kidu_testing::peer_python("what_dvc_pushed_is_restored", &["dvc"]) else { return };
    let dir = dir();
    let remote = dir.path().join("remote");
    let repository = Repository::new(&python, dir.path().join("repo"), &remote);
    let root = repository.dir.join("photos");
    photos(&root);
    put(&repository.dir, "single.csv", b"path,label\r\n");
    repository.run(&["add", "-q", "photos", "single.csv"]);
    repository.run(&["push", "-q"]);
    let from = FolderStore::open(&remote).unwrap();
    let pull = |name: &str, to: &str| {
        let file = dvc::DvcFile::load(&repository.dir.join(name)).unwrap();
        dvc::pull(&file, &from, &dir.path().join(to), 4, &Silent)
    };
    let pulled = pull("photos.dvc", "out").unwrap();
    assert_eq!(files(&dir.path().join("out")), files(&root));
    assert_eq!(pulled.files, files(&root).len());
    pull("single.csv.dvc", "one").unwrap();
    assert_eq!(fs::read(dir.path().join("one/single.csv")).unwrap(), b"path,label\r\n");
    // Neither over something nor from something damaged.
    assert!(pull("photos.dvc", "out").unwrap_err().to_string().contains("something is there"));
    let entry =
        from.list_all("files/md5/").unwrap().into_iter().find(|e| e.info.size > 100 && !e.key.ends_with(".dir"));
    let path = remote.join(entry.unwrap().key);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "torn").unwrap();
    assert!(pull("photos.dvc", "again").unwrap_err().to_string().contains("does not have the content"));
    assert!(!dir.path().join("again").exists());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "repo, remote, out and one");
}
