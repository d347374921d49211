//! Folders that cannot be written and disks that fill up.

use std::{fs, path::Path, process::Command};

use crate::{
    command::{Ended, end_of, isolate, run},
    fixture::{assert_kept, scratch, short, snapshot, training, words},
    resume,
};

/// `kidu train --out OUT` cannot begin.
#[track_caller]
fn cannot_begin(dir: &Path, out: &str) {
    let before = snapshot(dir);
    let short = short();
    let ended = run(dir, &[vec!["train", "--out", out], words(&short)].concat());
    ended.fails(1, &["cannot create", out]);
    assert_kept(&before);
}

#[test]
fn an_output_folder_below_a_file_or_where_none_can_be_made() {
    let dir = scratch();
    fs::write(dir.path().join("file"), "content").unwrap();
    cannot_begin(dir.path(), "file/run");
    if cfg!(target_os = "linux") {
        cannot_begin(dir.path(), "/proc/run");
    }
}

/// A shell script in which the command is `"$KIDU"`.
fn script(dir: &Path, shell: &[&str], text: &str) -> Ended {
    let mut command = Command::new(shell[0]);
    isolate(&mut command, dir);
    command.args(&shell[1..]).arg(text).env("KIDU", env!("CARGO_BIN_EXE_kidu"));
    end_of(command)
}

/// A shell that may mount, in a mount namespace of its own, so that mounts end with it.
const MOUNTER: [&str; 4] = ["unshare", "-rm", "sh", "-c"];

fn may_mount() -> bool {
    let probe = Command::new("unshare").args(["-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]).output();
    probe.is_ok_and(|o| o.status.success())
}

/// Arguments as words of a shell.
fn quoted(arguments: &[String]) -> String {
    arguments.iter().map(|a| format!("'{}'", a.replace('\'', r"'\''"))).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_read_only_output_folder() {
    if !may_mount() {
        eprintln!("a_read_only_output_folder: skipped, this machine lets nobody mount in a namespace");
        return;
    }
    let dir = scratch();
    fs::create_dir_all(dir.path().join("runs/earlier")).unwrap();
    fs::write(dir.path().join("runs/earlier/metrics.csv"), "epoch,step\n0,3\n").unwrap();
    let before = snapshot(dir.path());
    let text = format!(
        "mount --bind runs runs && mount -o remount,bind,ro runs && exec \"$KIDU\" train --out runs/new {}",
        quoted(&short())
    );
    script(dir.path(), &MOUNTER, &text).fails(1, &["cannot create folder runs/new", "Read-only file system"]);
    assert_kept(&before);
}

#[test]
fn a_disk_that_fills_up_while_a_checkpoint_is_written() {
    if !may_mount() {
        eprintln!("a_disk_that_fills_up_while_a_checkpoint_is_written: skipped, nobody may mount in a namespace");
        return;
    }
    let dir = scratch();
    fs::create_dir(dir.path().join("disk")).unwrap();
    // A checkpoint takes 85 MiB: there is room for one, not for two.
    let text = format!(
        "mount -t tmpfs -o size=140m tmpfs disk && \"$KIDU\" {}; code=$?
         ls -A disk/run/checkpoints >&2
         mount -o remount,size=600m disk && \"$KIDU\" train --resume disk/run >/dev/null && exit $code",
        quoted(&training(Path::new("disk/run")))
    );
    let ended =
        script(dir.path(), &MOUNTER, &text).fails(1, &["cannot write the checkpoint", "No space left on device"]);
    let (full, roomy) = ended.err.split_once("\nlast.ckpt\n").expect("the whole checkpoint alone is left");
    assert!(full.contains("resume with ckpt_path=disk/run/checkpoints/last.ckpt"), "{ended:#?}");
    assert!(roomy.contains("resumed from disk/run/checkpoints/last.ckpt"), "{ended:#?}");
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
    let last_of = |out: &Path| out.join("checkpoints/last.ckpt");
    let interrupted = resume::Interrupted::by("TERM", "a checkpoint", |out, _| last_of(out).is_file());
    let (dir, out) = (interrupted.dir, interrupted.out);
    let last = last_of(&out);
    let before = snapshot(&out.join("checkpoints"));
    assert!(before.contains_key(&last));

    // Files may not grow beyond 20 MB (in blocks of 512 bytes), and nobody is killed for trying.
    let text = format!("trap '' XFSZ; ulimit -f 40000; exec \"$KIDU\" train --resume '{}'", out.display());
    let words = ["cannot write the checkpoint", "File too large", "The last whole checkpoint is", "resume with"];
    script(dir.path(), &["sh", "-c"], &text).fails(1, &words);
    assert_eq!(snapshot(&out.join("checkpoints")), before);
    resume::resume(dir.path(), &out);
}
