//! What the errors say.

use super::compose;

const FILES: &[(&str, &str)] = &[
    ("train.yaml", "defaults:\n  - _self_\n  - trainer: default\n  - model: null\nseed: 1\nroot: ${oc.env:HOME_DIR}\n"),
    ("trainer/default.yaml", "max_epochs: 10\nearly: null\n"),
    ("trainer/cpu.yaml", "defaults: [default, _self_]\naccelerator: cpu\n"),
    ("model/resnet18.yaml", "name: resnet18\n"),
];

fn message(overrides: &[&str]) -> String {
    compose(FILES, overrides).unwrap_err().to_string()
}

#[test]
fn of_overrides() {
    for (over, expected) in [
        (
            "trainer.max_epoch=3",
            "override 'trainer.max_epoch=3': unknown key 'trainer.max_epoch' (did you mean 'trainer.max_epochs'?); write \
             +trainer.max_epoch to add a new key",
        ),
        (
            "max_epochs=3",
            "override 'max_epochs=3': unknown key 'max_epochs' (did you mean 'trainer.max_epochs'?); write +max_epochs \
             to add a new key",
        ),
        (
            "trainer.early.patience=3",
            "override 'trainer.early.patience=3': 'trainer.early' is null (trainer/default.yaml:2:8), so it has no \
             'patience'; write +trainer.early.patience to make it a map, or choose an option that sets it",
        ),
        ("+seed=3", "override '+seed=3': 'seed' exists already (train.yaml:5:7); leave out the '+' to change it"),
        ("+seed.x=3", "override '+seed.x=3': 'seed' has nothing called 'x'"),
        ("~seed=3", "override '~seed=3': 'seed' is the number 1, so it is not removed"),
        (
            "model=resnet81",
            "override 'model=resnet81': unknown option of group 'model' 'resnet81' (did you mean 'resnet18'?); there \
             are: resnet18",
        ),
        (
            "trainer=cpu,gpu",
            "override 'trainer=cpu,gpu': unknown option of group 'trainer' 'cpu,gpu' (did you mean 'cpu'?); there are: \
             cpu, default; several at once are written trainer=[a,b], one run for each needs -m",
        ),
        (
            "+trainer=cpu",
            "override '+trainer=cpu': 'trainer' is in the defaults list already (train.yaml:3:5); leave out the '+'",
        ),
        (
            "trainer={max_epochs:3}",
            "override 'trainer={max_epochs:3}': 'trainer' is a group: give the name of an option, [several] or null; \
             single values are set by trainer.KEY=VALUE",
        ),
        ("seed", "override 'seed': it has no '='; write key=value"),
        ("=3", "override '=3': it has no key; write key=value"),
        ("a b=3", "override 'a b=3': 'a b' is not a key; keys are words joined with dots, as in trainer.max_epochs=3"),
        ("seed=[1", "override 'seed=[1': the closing ']' is missing"),
        (
            "trainr/x=y",
            "override 'trainr/x=y': unknown group 'trainr/x' (did you mean 'trainer'?); there are: model, trainer",
        ),
        ("root=${seeds}", "override 'root=${seeds}': 'root': there is no 'seeds' (did you mean 'seed'?)"),
    ] {
        assert_eq!(message(&[over]), expected);
    }
}

#[test]
fn of_files() {
    let of = |files: &[(&str, &str)]| compose(files, &[]).unwrap_err().to_string();
    for (text, expected) in [
        (
            "defaults:\n  - modle: a",
            "train.yaml:2:5: unknown option of group 'modle' 'a'; the group has no options; add modle/a.yaml",
        ),
        (
            "defaults:\n  - model: ???",
            "train.yaml:2:5: unknown option of group 'model' '???'; choose one with model=OPTION of: b",
        ),
        ("defaults: 3", "train.yaml:1:11: defaults must be a list, as in '- model: default'"),
        ("defaults:\n  - _self_\n  - _self_", "train.yaml:3:5: _self_ is listed twice; keep one"),
        (
            "defaults:\n  - override /model: b",
            "train.yaml:2:5: nothing to override: no file listed before this one lists the group 'model'",
        ),
        ("- a", "train.yaml:1:1: a configuration is a map of keys to values, not the list [a]"),
        ("defaults: [trian]", "train.yaml:1:12: unknown file 'trian' (did you mean 'train'?); there are: train"),
        ("defaults: [train]", "train.yaml:1:12: the defaults lists go in a circle: train -> train"),
        ("a: ${b}\nb: ${a}", "train.yaml:1:4: 'a': the interpolations go in a circle: a -> b -> a"),
        ("a: {b: '${a}'}", "train.yaml:1:8: 'a.b': the interpolations go in a circle: a.b -> a.b"),
        ("a: x${b}\nb: null", "train.yaml:1:4: 'a': ${b} is null, which cannot be part of a text"),
        ("a: ${b", "train.yaml:1:4: 'a': '${' has no '}'; write \\${ if it is meant literally"),
        ("a: ${..b}", "train.yaml:1:4: 'a': '${..b}' names no key; write ${a.b}, ${.b} or ${oc.env:NAME}"),
        (
            "a: ${oc.env:NOT_SET}",
            "train.yaml:1:4: 'a': the environment variable NOT_SET is not set; set it or write ${oc.env:NOT_SET,DEFAULT}",
        ),
        ("a: ${oc.sum:1}", "train.yaml:1:4: 'a': there is no 'oc.sum:'; there are oc.env and oc.decode"),
    ] {
        let found = of(&[("train.yaml", text), ("model/b.yaml", "x: 1")]);
        assert_eq!(found, expected, "{text}");
    }
    let sources = kidu_config::ConfigSources::from_texts([("train.yaml", "")]).unwrap();
    let error = kidu_config::compose(&sources, "trian", &[]).unwrap_err().to_string();
    assert_eq!(error, "no configuration 'trian' (did you mean 'train'?); there are: train");
}

#[test]
fn of_rules_of_the_user() {
    let composed = compose(FILES, &["trainer.max_epochs=0"]).unwrap();
    let error = kidu_config::ConfigError::invalid(&composed, "trainer.max_epochs", "must be > 0");
    assert_eq!(error.to_string(), "override 'trainer.max_epochs=0': 'trainer.max_epochs' is 0: must be > 0");
    let error = composed.explain("trainer.max_epoch").unwrap_err().to_string();
    assert_eq!(error, "train.yaml:1:1: unknown key 'trainer.max_epoch' (did you mean 'trainer.max_epochs'?)");
}
