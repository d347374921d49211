//! Wrong words on the command line and in files: exit code 2 before anything is written.

use std::{fs, path::Path};

use crate::{
    command::{Ended, run},
    fixture::{SCENES, scratch, set},
};

/// `kidu train` with these arguments is a usage error, and nothing was begun.
#[track_caller]
fn refuses(dir: &Path, arguments: &[&str], words: &[&str]) -> Ended {
    let root = set("data.root", &SCENES);
    let ended = run(dir, &[&["train", &root, "model=resnet18"], arguments].concat()).fails(2, words);
    assert!(!dir.join("runs").exists(), "nothing was begun: {ended:#?}");
    ended
}

#[test]
fn a_mistyped_key_in_a_file_is_named_with_its_line() {
    let dir = scratch();
    let file = dir.path().join("mine/trainer/long.yaml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "defaults:\n  - default\n  - _self_\n\n# Longer\nmax_epocks: 30\n").unwrap();
    let words = ["mine/trainer/long.yaml:6", "'trainer.max_epocks'", "did you mean 'trainer.max_epochs'"];
    refuses(dir.path(), &["--config-dir", "mine", "trainer=long"], &words);
}

#[test]
fn a_mistyped_key_on_the_command_line() {
    let words = ["'trainer.max_epoch=3'", "did you mean 'trainer.max_epochs'"];
    refuses(scratch().path(), &["trainer.max_epoch=3"], &words);
}

#[test]
fn a_value_of_the_wrong_kind_or_range() {
    let dir = scratch();
    refuses(dir.path(), &["trainer.max_epochs=many"], &["trainer.max_epochs", "whole number", "many"]);
    refuses(
        dir.path(),
        &["data.batch_size=0"],
        &["override 'data.batch_size=0'", "'data.batch_size' is 0", "1..=65536"],
    );
    refuses(dir.path(), &["data.max_side=0"], &["override 'data.max_side=0'", "'data.max_side' is 0", "at least 1"]);
    refuses(dir.path(), &["data.max_side=wide"], &["'data.max_side'", "whole number", "wide"]);
    let flip = "data.augmentation.horizontal_flip=2";
    refuses(dir.path(), &[flip], &[flip, "'data.augmentation.horizontal_flip' is 2", "probability"]);
    refuses(dir.path(), &["model.optimizer.name=adan"], &["model.optimizer.name", "adan", "adam"]);
    refuses(dir.path(), &["gate.min_accuracy=0.5"], &["gate"]);
}

#[test]
fn a_value_out_of_range_in_a_file_is_named_with_its_line() {
    let dir = scratch();
    fs::create_dir_all(dir.path().join("mine/data")).unwrap();
    fs::write(dir.path().join("mine/data/big.yaml"), "defaults:\n  - default\n  - _self_\n\nbatch_size: 0\n").unwrap();
    let words = ["mine/data/big.yaml:5", "'data.batch_size' is 0", "1..=65536"];
    refuses(dir.path(), &["--config-dir", "mine", "data=big"], &words);
    let arguments = ["pipeline", "run", "data.root=photos", "gate.confidence=7"];
    run(dir.path(), &arguments).fails(2, &["override 'gate.confidence=7'", "'gate.confidence' is 7", "0.95"]);
}

#[test]
fn a_list_of_transforms_names_the_entry_and_the_nearest_word() {
    let dir = scratch();
    let list = |list: &str| format!("data.augmentation.transforms={list}");
    for (value, words) in [
        ("[flip, {gaus_noise: {p: 1}}]", ["'data.augmentation.transforms.1'", "did you mean 'gauss_noise'"]),
        ("[{blur: {blur_limt: 3}}]", ["transforms.0.blur.blur_limt'", "transforms.0.blur.blur_limit'"]),
        ("[{one_of: {transforms: [{blur: {p: 2}}]}}]", ["transforms.0.one_of.transforms.0.blur.p'", "probability"]),
        ("[{clahe: {clip_limit: many}}]", ["transforms.0.clahe.clip_limit'", "[least, greatest]"]),
    ] {
        refuses(dir.path(), &[&list(value)], &words);
    }
    refuses(dir.path(), &["model.mixup_prob=2"], &["'model.mixup_prob' is 2", "probability"]);
    refuses(dir.path(), &["model.mixup_mode=bach"], &["model.mixup_mode", "did you mean 'batch'"]);
    refuses(dir.path(), &["data.augmentation.pipeline=2"], &["data.augmentation.pipeline", "albumentations"]);
}

#[test]
fn an_unknown_option_of_a_group() {
    let dir = scratch();
    refuses(
        dir.path(),
        &["model=resnet19"],
        &["group 'model'", "'resnet19'", "did you mean 'resnet18'", "spnasnet_100"],
    );
    refuses(dir.path(), &["experiment=fintune"], &["'fintune'", "did you mean 'finetune'"]);
}

#[test]
fn the_test_split_is_never_searched_on() {
    let words = ["optimized_metric", "test/acc", "never searched on", "val/"];
    refuses(scratch().path(), &["optimized_metric=test/acc"], &words);
}

#[test]
fn a_folder_that_is_no_run_cannot_be_resumed() {
    let dir = scratch();
    fs::create_dir(dir.path().join("photos")).unwrap();
    for folder in ["photos", "nothing"] {
        run(dir.path(), &["train", "--resume", folder]).fails(2, &["--resume", folder, "no run folder", "config.yaml"]);
    }
    assert_eq!(fs::read_dir(dir.path().join("photos")).unwrap().count(), 0);
}

#[test]
fn a_checkpoint_that_is_not_there_or_is_damaged() {
    let dir = scratch();
    let root = set("data.root", &SCENES);
    let arguments = ["train", &root, "model=resnet18", "data.image_size=32", "--out"];
    run(dir.path(), &[&arguments[..], &["one", "ckpt_path=nothing.ckpt"]].concat())
        .fails(1, &["nothing.ckpt", "cannot be read"]);
    fs::write(dir.path().join("half.ckpt"), [0; 64]).unwrap();
    let words = ["half.ckpt", "is not a whole checkpoint", "use another one"];
    run(dir.path(), &[&arguments[..], &["two", "ckpt_path=half.ckpt"]].concat()).fails(1, &words);
}

#[test]
fn data_that_is_not_named() {
    run(scratch().path(), &["train"]).fails(2, &["data.root is not set", "data.root=photos"]);
}

#[test]
fn an_unknown_verb_or_option() {
    let dir = scratch();
    let ended = run(dir.path(), &["trian"]).code(2);
    assert!(ended.err.contains("trian") && ended.err.contains("'train'"), "{ended:#?}");
    let ended = run(dir.path(), &["predict", "--bundel", "x", "a.jpg"]).code(2);
    assert!(ended.err.contains("--bundel") && ended.err.contains("--bundle"), "{ended:#?}");
}
