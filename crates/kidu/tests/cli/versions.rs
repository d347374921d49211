//! `kidu data snapshot` and its kin, and runs that name their version.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use kidu_core::Sha256Hex;
use kidu_testing::MotoServer;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    command::{end_of, isolate, kidu, run},
    fixture::{SCENES, copy, scratch, snapshot, words},
};

/// The scenes in a folder of their own, `photos`.
fn photos() -> (TempDir, PathBuf) {
    let dir = scratch();
    let root = dir.path().join("photos");
    copy(&SCENES, &root);
    (dir, root)
}

fn read(path: PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Hashes by path relative to the folder, without the marker.
fn tree(root: &Path) -> BTreeMap<PathBuf, Sha256Hex> {
    let relative = snapshot(root).into_iter().map(|(p, h)| (p.strip_prefix(root).unwrap().to_path_buf(), h));
    relative.filter(|(p, _)| p != Path::new(".kidu-version.json")).collect()
}

/// Runs a script of a shell that may mount, in a mount namespace of its own; nothing where nobody may.
#[cfg(target_os = "linux")]
fn mounted(dir: &Path, script: &str) -> Option<crate::command::Ended> {
    let shell = ["-rm", "sh", "-c"];
    let probe = Command::new("unshare").args(shell).arg("mount -t tmpfs tmpfs /mnt").output();
    if !probe.is_ok_and(|o| o.status.success()) {
        eprintln!("skipped, this machine lets nobody mount in a namespace");
        return None;
    }
    let mut command = Command::new("unshare");
    isolate(&mut command, dir);
    command.args(shell).arg(script).env("KIDU", env!("CARGO_BIN_EXE_kidu"));
    Some(end_of(command))
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_leaves_no_version_and_no_half_checkout() {
    let (dir, root) = photos();
    fs::create_dir(dir.path().join("disk")).unwrap();
    let before = snapshot(&root);
    // 67 files take a page each: first there is room for some of them, then for all, then for no copy of them.
    let script = "mount -t tmpfs -o size=200k tmpfs disk || exit 9
         take() { \"$KIDU\" data snapshot photos --store disk/store -m m 2>&1; echo code $?; }
         take; ls disk/store/tmp; \"$KIDU\" data log --store disk/store --json
         echo ==; mount -o remount,size=700k disk; take; \"$KIDU\" data verify --store disk/store
         echo ==; head -c 700k /dev/zero > disk/filler 2>/dev/null; truncate -s -40k disk/filler
         \"$KIDU\" data checkout latest disk/photos --store disk/store 2>&1; echo code $?; ls -A disk";
    let Some(ended) = mounted(dir.path(), script) else { return };
    let ended = ended.ok();
    let [full, roomy, none] = ended.out.split("==\n").collect::<Vec<_>>()[..] else { panic!("{ended:#?}") };
    assert!(full.contains("No space left on device") && full.ends_with("code 1\n[]\n"), "{ended:#?}");
    assert!(roomy.contains("code 0") && roomy.contains("67 objects") && roomy.contains("0 named by no"), "{ended:#?}");
    assert!(none.contains("No space left on device") && none.ends_with("code 1\nfiller\nstore\n"), "{ended:#?}");
    assert_eq!(snapshot(&root), before);
}

#[test]
fn versions_are_taken_listed_compared_and_restored() {
    let (dir, root) = photos();
    let call = |arguments: &[&str]| run(dir.path(), arguments);
    call(&["data", "log"]).fails(2, &["no version store", "kidu data snapshot"]);
    call(&["data", "snapshot"]).fails(2, &["name the folder"]);
    let first = call(&["data", "snapshot", "photos", "-m", "as drawn", "--actor", "ana", "--json"]).ok().json();
    let id = first["version"].as_str().unwrap();
    assert_eq!((&first["statistics"]["images"], &first["new"]), (&66.into(), &true.into()));
    let again = call(&["data", "snapshot", "photos", "-m", "nothing"]).ok();
    assert!(again.out.starts_with(&format!("unchanged: still version {}", &id[..12])), "{again:#?}");

    let before = tree(&root);
    fs::rename(root.join("train/sea/00000.jpg"), root.join("train/forest/was-sea.jpg")).unwrap_or_else(|_| {
        let one = fs::read_dir(root.join("train/sea")).unwrap().next().unwrap().unwrap().path();
        fs::rename(one, root.join("train/forest/was-sea.jpg")).unwrap();
    });
    let working = call(&["data", "diff", "latest", "photos"]).ok();
    assert!(
        working.out.contains("1 relabelled") && working.out.contains("(train/sea -> train/forest)"),
        "{working:#?}"
    );
    let second = call(&["data", "snapshot", "photos", "-m", "a tree, not the sea", "--tag", "mended"]).ok();
    assert!(second.out.contains("1 relabelled"), "{second:#?}");
    let changes = call(&["data", "diff", &id[..8], "mended", "--json"]).ok().json();
    assert_eq!(changes["counts"]["relabelled"], 1);
    let sea = changes["classes"].as_array().unwrap().iter().find(|c| c["class"] == "sea").unwrap();
    assert_eq!((&sea["lost"], &sea["before"], &sea["after"]), (&1.into(), &11.into(), &10.into()));
    let log = call(&["data", "log", "photos"]).ok();
    for word in ["a tree, not the sea", "latest mended", "first", "ana", "as drawn"] {
        assert!(log.out.contains(word), "{log:#?}");
    }
    assert_eq!(call(&["data", "log", "--json"]).ok().json().as_array().unwrap().len(), 2);
    call(&["data", "diff", "nothing", "latest"]).fails(2, &["'nothing' names no version"]);

    call(&["data", "checkout", &id[..6], "old"]).ok();
    assert_eq!(tree(&dir.path().join("old")), before);
    fs::write(root.join("mine.txt"), "mine").unwrap();
    call(&["data", "checkout", &id[..6], "photos"]).fails(1, &["mine.txt", "--force"]);
    fs::remove_file(root.join("mine.txt")).unwrap();
    call(&["data", "checkout", &id[..6], "photos"]).ok();
    assert_eq!(tree(&root), before);

    let plan = call(&["data", "gc", "--keep-last", "1"]).ok();
    assert!(
        plan.out.contains(&format!("would remove version {}", &id[..12])) && plan.err.contains("--yes"),
        "{plan:#?}"
    );
    call(&["data", "tag", "remove", "mended"]).ok();
    call(&["data", "tag", "set", "gold", &id[..6]]).ok();
    let done = call(&["data", "gc", "--keep-last", "1", "--yes"]).ok();
    assert_eq!(done.out, "removed 0 objects, 0 B; 2 versions stay\n", "one has a tag, one is the latest");
    call(&["data", "verify"]).ok();
    let object = snapshot(&dir.path().join(".kidu-data/objects")).into_keys().next().unwrap();
    fs::remove_file(&object).unwrap();
    call(&["data", "verify"]).code(1);
    call(&["data", "snapshot", "photos"]).ok();
    call(&["data", "verify"]).ok();
}

#[test]
fn a_run_names_the_version_of_its_data() {
    let (dir, root) = photos();
    let first = run(dir.path(), &["data", "snapshot", "photos", "--json"]).ok().json();
    let id = first["version"].as_str().unwrap();
    let small = ["model=resnet18", "data.image_size=32", "data.batch_size=8", "trainer.max_epochs=1"];
    let short = ["trainer.limit_train_batches=2", "data.root=photos"];
    let train = |out: &str, more: &[&str]| {
        let all = [&["train", "--out", out], &small[..], &short, more].concat();
        run(dir.path(), &words(&all.iter().map(ToString::to_string).collect::<Vec<_>>()))
    };
    train("run", &[]).ok();
    let out = dir.path().join("run");
    assert_eq!(read(out.join("data/manifest.json"))["snapshot"], id);
    for file in ["run.json", "summary.json", "bundle/bundle.json"] {
        assert_eq!(read(out.join(file))["data_snapshot"], id, "{file}");
    }
    // The folder is changed: a run of it names none, a run of the version trains on what it was.
    let gone = fs::read_dir(root.join("train/sea")).unwrap().next().unwrap().unwrap().path();
    fs::write(&gone, fs::read(root.join("train/forest").join(first_name(&root.join("train/forest")))).unwrap())
        .unwrap();
    let changed =
        run(dir.path(), &["data", "split", "--out", "changed", "data.root=photos", "data.on_duplicate=drop"]).ok();
    assert!(changed.err.contains("so that this dataset names none"), "{changed:#?}");
    assert!(read(dir.path().join("changed/manifest.json")).get("snapshot").is_none());
    let pinned = train("pinned", &[&format!("data.version='{}'", &id[..12])]).ok();
    assert!(pinned.err.contains(&format!("data version {}", &id[..12])), "{pinned:#?}");
    assert_eq!(read(dir.path().join("pinned/bundle/bundle.json"))["data_snapshot"], id);
    let version = |run: &str| read(dir.path().join(run).join("data/manifest.json"))["version"].clone();
    assert_eq!(version("pinned"), version("run"));
    train("latest", &["data.version=latest"]).fails(2, &["data.version", "another version tomorrow", &id[..12]]);
    train("none", &["data.version=zzz"]).fails(2, &["names no version"]);
}

fn first_name(dir: &Path) -> std::ffi::OsString {
    fs::read_dir(dir).unwrap().next().unwrap().unwrap().file_name()
}

#[test]
fn a_killed_snapshot_or_checkout_leaves_every_version_whole() {
    let (dir, root) = photos();
    // Enough to be killed in the middle of.
    for i in 0..400_u32 {
        let bytes: Vec<u8> = i.to_le_bytes().into_iter().cycle().take(20_000).collect();
        fs::write(root.join(format!("train/sea/extra-{i}.bin")), bytes).unwrap();
    }
    let start =
        |arguments: &[&str]| kidu(dir.path(), arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut cut = 0;
    for round in 0..12_u64 {
        fs::write(root.join("train/forest/round.bin"), round.to_le_bytes()).unwrap();
        if round % 4 == 0 {
            // Everything anew.
            let _ = fs::remove_dir_all(dir.path().join(".kidu-data"));
            run(dir.path(), &["data", "snapshot", "photos/test", "--store", ".kidu-data"]).ok();
        }
        let mut child = start(&["data", "snapshot", "photos"]);
        std::thread::sleep(Duration::from_millis(20 + 17 * round));
        cut += usize::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        run(dir.path(), &["data", "verify"]).ok();
    }
    assert!(cut > 0, "no snapshot was caught in the middle");
    run(dir.path(), &["data", "snapshot", "photos"]).ok();
    for round in 0..6_u64 {
        let mut child = start(&["data", "checkout", "photos@latest", "out"]);
        std::thread::sleep(Duration::from_millis(20 + 30 * round));
        let _ = child.kill();
        child.wait().unwrap();
        let out = dir.path().join("out");
        assert!(!out.exists() || tree(&out) == tree(&root), "half a checkout");
    }
    run(dir.path(), &["data", "checkout", "photos@latest", "out"]).ok();
    assert_eq!(tree(&dir.path().join("out")), tree(&root));
}

#[test]
fn a_version_goes_to_a_dvc_remote_and_comes_back() {
    let (dir, root) = photos();
    run(dir.path(), &["data", "snapshot", "photos"]).ok();
    let push = |more: &[&str]| run(dir.path(), &[&["data", "push", "--dvc", "remote"], more].concat());
    let sent = push(&["--json"]).ok().json();
    assert_eq!((&sent["dvc_file"], &sent["uploaded"]), (&"photos.dvc".into(), &sent["objects"]));
    assert_eq!(push(&["--json"]).ok().json()["uploaded"], 0);
    let text = fs::read_to_string(dir.path().join("photos.dvc")).unwrap();
    assert!(
        text.ends_with(&format!("  nfiles: {}\n  hash: md5\n  path: photos\n", tree(&root).len()))
            && text.starts_with("outs:\n- md5: "),
        "{text}"
    );
    run(dir.path(), &["data", "checkout", "--dvc", "photos.dvc", "--remote", "remote", "back"]).ok();
    assert_eq!(tree(&dir.path().join("back")), tree(&root));
    fs::write(dir.path().join("mine.dvc"), "mine").unwrap();
    push(&["--out", "mine.dvc"]).fails(1, &["mine.dvc", "something else is there"]);
    push(&["--out", "x.dvc", "--path", "photos"]).ok();
    run(dir.path(), &["data", "checkout", "--dvc", "x.dvc", "--remote", "remote"]).fails(2, &["required"]);
    run(dir.path(), &["data", "checkout", "latest"]).fails(2, &["give the version and the folder"]);
}

#[test]
fn a_version_goes_to_a_remote_in_s3_and_comes_back() {
    let Some(moto) = MotoServer::start("a_version_goes_to_a_remote_in_s3_and_comes_back") else { return };
    moto.create_bucket("kidu-tests");
    let (dir, root) = photos();
    let call = |arguments: &[&str]| {
        let mut command = kidu(dir.path(), arguments);
        command.envs(moto.environment());
        end_of(command).ok()
    };
    call(&["data", "snapshot", "photos"]);
    let remote = "s3://kidu-tests/team/dvc";
    let push = || call(&["data", "push", "latest", "--dvc", remote, "--out", "dataset.dvc", "--json"]).json();
    let sent = push();
    assert_eq!((&sent["uploaded"], &sent["remote"]), (&sent["objects"], &remote.into()));
    assert_eq!(push()["uploaded"], 0);
    let md5 = sent["md5"].as_str().unwrap();
    let key = format!("/kidu-tests/team/dvc/files/md5/{}/{}", &md5[..2], &md5[2..]);
    assert_eq!(moto.request("GET", &key, &[], b"").0, 200, "DVC's own key");
    call(&["data", "checkout", "--dvc", "dataset.dvc", "--remote", remote, "back"]);
    assert_eq!(tree(&dir.path().join("back")), tree(&root));
    real_dvc_pulls(&moto, dir.path(), remote, &root);
}

/// The real `dvc` restores the tree from the bucket.
fn real_dvc_pulls(moto: &MotoServer, dir: &Path, remote: &str, root: &Path) {
    let modules = ["dvc", "dvc_s3"];
    let Some(python) = kidu_testing::peer_python("a_version_goes_to_a_remote_in_s3_and_comes_back", &modules) else {
        return;
    };
    let repository = dir.join("dvc");
    fs::create_dir(&repository).unwrap();
    fs::copy(dir.join("dataset.dvc"), repository.join("dataset.dvc")).unwrap();
    // botocore takes no device for a configuration.
    fs::write(dir.join("aws"), "").unwrap();
    let dvc = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.args(["-m", "dvc"]).args(arguments).current_dir(&repository).envs(moto.environment());
        command.env("AWS_CONFIG_FILE", dir.join("aws")).env("AWS_SHARED_CREDENTIALS_FILE", dir.join("aws"));
        let output = command.env("DVC_NO_ANALYTICS", "1").env("DVC_SITE_CACHE_DIR", dir.join("site")).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "dvc {arguments:?}: {}", String::from_utf8_lossy(&told));
    };
    dvc(&["init", "-q", "--no-scm"]);
    dvc(&["remote", "add", "-q", "-d", "bucket", remote]);
    dvc(&["remote", "modify", "-q", "bucket", "endpointurl", &moto.url()]);
    dvc(&["pull", "dataset.dvc"]);
    let text = fs::read_to_string(repository.join("dataset.dvc")).unwrap();
    let name = text.lines().find_map(|l| l.trim().trim_start_matches("- ").strip_prefix("path: ")).unwrap();
    assert_eq!(tree(&repository.join(name)), tree(root));
}
