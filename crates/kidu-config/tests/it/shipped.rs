//! The configurations that ship.

use std::path::Path;

use kidu_config::{ConfigSources, compose};

use super::json;

fn folder() -> ConfigSources {
    ConfigSources::from_dirs([Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")]).unwrap()
}

#[test]
fn every_option_of_every_group_composes_from_every_entry() {
    let sources = ConfigSources::embedded();
    assert_eq!(sources.entries(), ["deploy", "evaluate", "pipeline", "train"]);
    for entry in sources.entries() {
        let plain = compose(&sources, entry, &[]).unwrap();
        assert_eq!(json(&plain, "task_name"), format!("\"{entry}\""));
        for group in sources.groups() {
            let listed = plain.choices().iter().any(|c| c.group == group);
            for option in sources.options(group) {
                let over = format!("{group}={option}");
                match compose(&sources, entry, std::slice::from_ref(&over)) {
                    Ok(composed) => {
                        // An overlay changes values, it does not make up keys.
                        if ["experiment", "debug", "hparams_search"].contains(&group) {
                            let changes = composed.changes_since(&plain);
                            let known = |key: &str| {
                                let above: Vec<_> = key.split('.').collect();
                                // A section that is null in the default is filled by an option.
                                (1..=above.len()).any(|n| plain.get(&above[..n].join(".")).is_some_and(|v| v.is_null()))
                                    || plain.get(key).is_some()
                            };
                            assert!(!changes.is_empty(), "{over} changes nothing");
                            for change in changes.iter().filter(|c| c.after.is_some()) {
                                assert!(known(&change.key), "{entry} {over} makes up {}", change.key);
                            }
                        }
                    }
                    Err(error) => assert!(!listed, "{entry} {over}: {error}"),
                }
            }
        }
    }
}

#[test]
fn experiments_and_debug_go_together() {
    let sources = folder();
    for experiment in sources.options("experiment") {
        for debug in sources.options("debug") {
            let overrides = [format!("experiment={experiment}"), format!("debug={debug}")];
            let composed = compose(&sources, "pipeline", &overrides).unwrap();
            assert_eq!(json(&composed, "callbacks.model_checkpoint.save_top_k"), "0");
            assert_eq!(json(&composed, "logger.csv"), "false");
        }
    }
}

#[test]
fn embedded_files_are_those_of_the_folder_without_private_ones() {
    let (embedded, folder) = (ConfigSources::embedded(), folder());
    assert!(embedded.options("local").is_empty());
    assert!(embedded.is_group("local"));
    for group in std::iter::once("").chain(folder.groups().filter(|g| *g != "local")) {
        assert_eq!(embedded.options(group), folder.options(group), "{group}");
    }
}

#[test]
fn every_file_says_which_command_uses_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let sources = folder();
    for group in std::iter::once("").chain(sources.groups().filter(|g| *g != "local")) {
        for option in sources.options(group) {
            let text = std::fs::read_to_string(root.join(group).join(format!("{option}.yaml"))).unwrap();
            let head: Vec<_> = text.lines().take(2).collect();
            assert!(head.iter().any(|line| line.starts_with("# kidu ")), "{group}/{option}: {head:?}");
        }
    }
}

#[test]
fn defaults_are_the_agreed_ones() {
    let sources = folder().with_environment([("KIDU_ROOT".to_string(), "/r".to_string())].into());
    let composed = compose(&sources, "pipeline", &[]).unwrap();
    for (key, expected) in [
        ("model.name", r#""tf_efficientnet_lite0""#),
        ("model.optimizer.betas", "[0.9,0.999]"),
        ("data.train_val_test_split", "[0.8,0.1,0.1]"),
        ("data.augmentation.pipeline", "0"),
        ("trainer.accelerator", r#""flex""#),
        ("callbacks.early_stopping", "null"),
        ("gate.min_accuracy", "0.6"),
        ("registry.dir", r#""/r/registry""#),
        ("paths.log_dir", r#""/r/runs""#),
        ("extras.print_config", "false"),
    ] {
        assert_eq!(json(&composed, key), expected, "{key}");
    }
    let both = compose(&sources, "train", &["callbacks=[early_stopping,ema]".into()]).unwrap();
    assert_eq!(json(&both, "callbacks.early_stopping.patience"), "5");
    assert_eq!(json(&both, "callbacks.ema.decay"), "0.999");
    let logger = compose(&sources, "train", &["logger=[csv,jsonl]".into()]).unwrap();
    assert_eq!(json(&logger, "logger"), r#"{"csv":true,"jsonl":true,"plots":false,"tensorboard":null,"mlflow":null}"#);
    let freeze = compose(&sources, "train", &["experiment=transfer".into()]).unwrap();
    assert_eq!(freeze.explain("model.freeze").unwrap().replaced[0].value, "none");
}
