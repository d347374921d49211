//! Defaults lists, groups, overrides and interpolation.

use super::{compose, json};

const FILES: &[(&str, &str)] = &[
    ("train.yaml", "defaults: [_self_, model: a, logger: null, optional local: default, experiment: null]\nseed: 1\n"),
    ("model/a.yaml", "name: a\nrate: 0.1\nopt: {kind: sgd, decay: 0.0}\n"),
    ("model/b.yaml", "defaults: [a, _self_]\nname: b\nopt: {decay: 0.5}\n"),
    ("model/opt/adam.yaml", "kind: adam\nbeta: 0.9\n"),
    ("model/nested.yaml", "defaults:\n  - a\n  - opt: adam\n  - _self_\nname: nested\n"),
    ("logger/csv.yaml", "defaults: [none, _self_]\ncsv: true\n"),
    ("logger/jsonl.yaml", "defaults: [none, _self_]\njsonl: true\n"),
    ("logger/none.yaml", "csv: false\njsonl: false\n"),
    (
        "experiment/x.yaml",
        "# x\n# @package _global_\ndefaults:\n  - override /model: b\n  - override /logger: [csv]\nseed: 7\nmodel: {rate: 0.3}\n",
    ),
];

fn whole(overrides: &[&str]) -> String {
    compose(FILES, overrides).unwrap().to_json().to_string()
}

#[test]
fn later_files_win_and_maps_are_merged() {
    assert_eq!(whole(&[]), r#"{"seed":1,"model":{"name":"a","rate":0.1,"opt":{"kind":"sgd","decay":0.0}}}"#);
    assert_eq!(whole(&["model=b"]), r#"{"seed":1,"model":{"name":"b","rate":0.1,"opt":{"kind":"sgd","decay":0.5}}}"#);
    let nested = compose(FILES, &["model=nested"]).unwrap();
    assert_eq!(json(&nested, "model.opt"), r#"{"kind":"adam","decay":0.0,"beta":0.9}"#);
}

#[test]
fn own_keys_win_unless_self_comes_first() {
    let value = |list: &str| {
        let text = format!("{list}\nmodel: {{x: own}}\n");
        json(&compose(&[("train.yaml", &text), ("model/a.yaml", "x: file")], &[]).unwrap(), "model.x")
    };
    assert_eq!(value("defaults: [model: a]"), r#""own""#);
    assert_eq!(value("defaults: [model: a, _self_]"), r#""own""#);
    assert_eq!(value("defaults: [_self_, model: a]"), r#""file""#);
}

#[test]
fn an_experiment_chooses_groups_and_the_command_line_wins() {
    let x = compose(FILES, &["experiment=x"]).unwrap();
    assert_eq!(json(&x, "model"), r#"{"name":"b","rate":0.3,"opt":{"kind":"sgd","decay":0.5}}"#);
    assert_eq!((json(&x, "seed"), json(&x, "logger")), ("7".into(), r#"{"csv":true,"jsonl":false}"#.into()));
    let y = compose(FILES, &["experiment=x", "model=a", "logger=null", "seed=9"]).unwrap();
    assert_eq!(
        (json(&y, "model.name"), json(&y, "seed"), json(&y, "logger")),
        (r#""a""#.into(), "9".into(), "(none)".into())
    );
    let choice = y.choices().iter().find(|c| c.group == "model").unwrap();
    assert_eq!(choice.options, ["a"]);
    assert_eq!(choice.replaced.as_ref().unwrap().0, ["a"]);
}

#[test]
fn groups_from_the_command_line() {
    assert!(whole(&["logger=[csv,jsonl]"]).ends_with(r#""logger":{"csv":true,"jsonl":true}}"#));
    assert_eq!(whole(&["~model"]), r#"{"seed":1}"#);
    let files = [("train.yaml", "defaults: [_self_]\n"), ("extra/e.yaml", "k: 1"), ("extra/sub/f.yaml", "k: 2")];
    assert_eq!(json(&compose(&files, &["+extra=e"]).unwrap(), "extra.k"), "1");
    assert_eq!(json(&compose(&files, &["++extra=e"]).unwrap(), "extra.k"), "1");
    assert_eq!(json(&compose(&files, &["+extra/sub=f"]).unwrap(), "extra.sub.k"), "2");
    assert_eq!(json(&compose(&files, &["+extra/sub@other.place=f"]).unwrap(), "other.place.k"), "2");
}

#[test]
fn packages() {
    let files = [
        ("train.yaml", "defaults:\n  - db@first: a\n  - db@second: a\n  - /db@_global_.third: a\n  - srv: s\n"),
        ("db/a.yaml", "k: 1\n"),
        ("db/b.yaml", "k: 2\n"),
        ("srv/s.yaml", "defaults:\n  - /db@inner: b\n  - /db@_here_: b\n"),
    ];
    let composed = compose(&files, &["db@second=b"]).unwrap();
    assert_eq!(
        composed.to_json().to_string(),
        r#"{"first":{"k":1},"second":{"k":2},"third":{"k":1},"srv":{"inner":{"k":2},"k":2}}"#
    );
}

#[test]
fn values_from_the_command_line() {
    let one = |text: &str, key: &str| json(&compose(FILES, &[text]).unwrap(), key);
    assert_eq!(one("model.opt.decay=1e-3", "model.opt.decay"), "0.001");
    assert_eq!(one("+model.opt.extra.deep=[1,{a:b}]", "model.opt.extra"), r#"{"deep":[1,{"a":"b"}]}"#);
    assert_eq!(one("++model.rate=null", "model.rate"), "null");
    assert_eq!(one("++model.new=x", "model.new"), r#""x""#);
    assert_eq!(one("~model.opt.decay", "model.opt"), r#"{"kind":"sgd"}"#);
    assert_eq!(one("~model.opt.decay=0.0", "model.opt"), r#"{"kind":"sgd"}"#);
    assert_eq!(one("model.opt={decay:2}", "model.opt"), r#"{"kind":"sgd","decay":2}"#);
    assert_eq!(one("model.name=", "model.name"), r#""""#);
    let list = compose(&[("train.yaml", "a: [1, 2]\nn: null\n")], &["a.1=5", "~a.0", "+n.x=1"]).unwrap();
    assert_eq!(list.to_json().to_string(), r#"{"a":[5],"n":{"x":1}}"#);
}

#[test]
fn quoted_values_are_taken_literally() {
    for text in ["it's", "${a}", r"\${a}", r"\\", "[1", "", " x ", "null", "a=b", "1", "${", "ä\n\t'\"\\$", "{}"] {
        let over = format!("a={}", kidu_config::quote(text));
        let composed = compose(&[("train.yaml", "a: 1")], &[&over]).unwrap();
        assert_eq!(composed.get("a").unwrap().as_str(), Some(text), "{over}");
    }
}

#[test]
fn interpolation_keeps_types_and_nests() {
    let text = r#"
n: 3
f: 1e-4
m: {x: "${n}", y: "${.x}", z: {w: "${..x}${.v}", v: "${f}"}}
copy: ${m.z}
text: "${n} of ${oc.env:HOME_DIR}/${oc.env:NOT_SET,fallback}"
typed: ${oc.decode:${oc.env:NOT_SET,'[1, 2]'}}
null: ${oc.env:NOT_SET,null}
which: m
nested: ${${which}.y}
nested2: ${m.${oc.env:NOT_SET,x}}
literal: \${n} \\${n}
list: ["${n}", "${.0}"]
first: ${list.1}
through: ${copy.v}
"#;
    let composed = compose(&[("train.yaml", text)], &["n=4"]).unwrap();
    for (key, expected) in [
        ("m", r#"{"x":4,"y":4,"z":{"w":"40.0001","v":0.0001}}"#),
        ("copy.w", r#""40.0001""#),
        ("text", r#""4 of /home/fallback""#),
        ("typed", "[1,2]"),
        ("null", "null"),
        ("nested", "4"),
        ("nested2", "4"),
        ("literal", r#""${n} \\4""#),
        ("list", "[4,4]"),
        ("first", "4"),
        ("through", "0.0001"),
    ] {
        assert_eq!(json(&composed, key), expected, "{key}");
    }
    let origin = composed.explain("text").unwrap();
    assert_eq!(origin.expression.as_deref(), Some("${n} of ${oc.env:HOME_DIR}/${oc.env:NOT_SET,fallback}"));
}

#[test]
fn explains_where_a_value_came_from() {
    let composed = compose(FILES, &["experiment=x", "model.rate=0.5"]).unwrap();
    assert_eq!(
        composed.explain("model.rate").unwrap().to_string(),
        "model.rate = 0.5\n  set by        override 'model.rate=0.5'\n  replaced      0.3 from experiment/x.yaml:7:15\n  \
         replaced      0.1 from model/a.yaml:2:7\n"
    );
    assert_eq!(
        composed.explain("seed").unwrap().to_string(),
        "seed = 7\n  set by        experiment/x.yaml:6:7\n  file chosen   override 'experiment=x'\n  replaced      1 from \
         train.yaml:2:7\n"
    );
    let env = compose(&[("train.yaml", "a: ${oc.env:HOME_DIR}")], &[]).unwrap();
    assert_eq!(env.explain("a").unwrap().origin.to_string(), "environment variable HOME_DIR, named at train.yaml:1:4");
}

#[test]
fn changes_hash_and_saved_yaml() {
    let (before, after) =
        (compose(FILES, &[]).unwrap(), compose(FILES, &["model.rate=0.2", "+new=1", "~seed"]).unwrap());
    let changes: Vec<_> = after.changes_since(&before).iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["model.rate: 0.1 -> 0.2", "new: (not set) -> 1", "seed: 1 -> (not set)"]);
    assert_ne!(before.hash(), after.hash());

    let reordered = compose(&[("train.yaml", "b: {d: 1, c: 2}\na: x")], &[]).unwrap();
    let ordered = compose(&[("train.yaml", "a: x\nb: {c: 2, d: 1}")], &[]).unwrap();
    assert_eq!(reordered.hash(), ordered.hash());

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, before.to_yaml()).unwrap();
    let loaded = kidu_config::Composed::load(&path).unwrap();
    assert_eq!((loaded.root(), loaded.hash()), (before.root(), before.hash()));
}
