//! Nothing that can be typed makes it panic, and what is written reads back.

use kidu_config::{Composed, ConfigSources, compose, expand_sweep, quote};
use proptest::prelude::*;

/// JSON values nested a few levels, with texts that YAML could mistake for something else.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        any::<String>(),
        "[ -~]{0,12}",
        prop::sample::select(vec![
            "", "null", "~", "no", "1e3", ".5", "-", "...", "---", "${", "a: b", "#", "0x1", "&a"
        ])
        .prop_map(String::from),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Into::into),
        text.prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map("[ -~äß\u{85}\u{2028}\n]{1,10}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Text made of what matters to YAML and to the composition.
fn yamlish() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "a.b",
        ": ",
        "\n",
        "\n  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "'",
        "\"",
        "${",
        "${a",
        ".",
        "oc.env:X",
        "&x ",
        "*x",
        "!t ",
        "|\n",
        ">\n",
        "#",
        "---",
        "%",
        "?",
        "defaults",
        "_self_",
        "model",
        "override /",
        "null",
        "1e-3",
        "\\",
        "ä",
        "\t",
        "<<",
        "@",
        "optional ",
        "train",
        "=",
        "~",
        "+",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn written_yaml_reads_back(value in prop::collection::btree_map("[ -~ä]{1,10}", value(), 0..5)) {
        let json = serde_json::Value::Object(value.into_iter().collect());
        // JSON is YAML, but for the characters that YAML wants escaped.
        let escaped: String = json.to_string().chars().map(|c| match c {
            ' '..='~' => c.to_string(),
            c => {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }
        }).collect();
        let read = Composed::from_yaml("a.yaml", &escaped).unwrap();
        prop_assert_eq!(read.to_json(), json);
        let again = Composed::from_yaml("b.yaml", &read.to_yaml()).unwrap();
        prop_assert_eq!(again.root(), read.root());
        prop_assert_eq!(again.to_yaml(), read.to_yaml());
        prop_assert_eq!(again.hash(), read.hash());
    }

    #[test]
    fn any_text_is_read_or_refused(text in prop_oneof![any::<String>(), yamlish()], over in yamlish()) {
        if let Ok(composed) = Composed::from_yaml("a.yaml", &text) {
            let again = Composed::from_yaml("b.yaml", &composed.to_yaml()).unwrap();
            prop_assert_eq!(again.to_yaml(), composed.to_yaml());
        }
        let files = [("train.yaml", text.as_str()), ("model/a.yaml", text.as_str())];
        let sources = ConfigSources::from_texts(files).unwrap().with_environment(Default::default());
        let _ = compose(&sources, "train", &[]);
        let _ = compose(&sources, "train", &[over.clone(), format!("a={over}"), format!("+{over}=1")]);
        let _ = expand_sweep(&[over]);
    }

    #[test]
    fn any_override_is_read_or_refused(overs in prop::collection::vec(prop_oneof![any::<String>(), yamlish()], 0..3)) {
        let sources = ConfigSources::from_texts([
            ("train.yaml", "defaults: [_self_, model: a]\na: {b: 1}\nb: [1]"),
            ("model/a.yaml", "x: ${a.b}"),
        ]).unwrap();
        let _ = compose(&sources, "train", &overs);
        let _ = expand_sweep(&overs);
    }

    #[test]
    fn quoted_texts_are_literal(text in any::<String>(), dollars in "[\\\\${}a']{0,8}") {
        let sources = ConfigSources::from_texts([("train.yaml", "a: 1")]).unwrap();
        for text in [text, dollars] {
            let overs = [format!("a={}", quote(&text))];
            prop_assert_eq!(expand_sweep(&overs).unwrap(), vec![overs.to_vec()]);
            let composed = compose(&sources, "train", &overs).unwrap();
            prop_assert_eq!(composed.get("a").unwrap().as_str(), Some(text.as_str()));
        }
    }
}

#[test]
fn interpolation_bombs_are_refused() {
    let double = |first: &str, f: &dyn Fn(usize) -> String| {
        let mut text = format!("a0: {first}\n");
        (1..40).for_each(|i| text.push_str(&f(i)));
        let sources = ConfigSources::from_texts([("train.yaml", text.as_str())]).unwrap();
        compose(&sources, "train", &[]).unwrap_err().to_string()
    };
    let message = double("''", &|i| format!("a{i}: ${{a{}}}${{a{}}}\n", i - 1, i - 1));
    assert!(message.contains("multiply"), "{message}");
    let message = double("xxxxxxxxxx", &|i| format!("a{i}: {{p: '${{a{}}}', q: '${{a{}}}'}}\n", i - 1, i - 1));
    assert!(message.contains("multiply"), "{message}");
    let deep = format!("a: {}b{}", "${".repeat(5_000), "}".repeat(5_000));
    let sources = ConfigSources::from_texts([("train.yaml", deep.as_str())]).unwrap();
    assert!(compose(&sources, "train", &[]).unwrap_err().to_string().contains("deep"));
}

#[test]
fn deep_packages_and_lists_of_lists_are_refused() {
    let header = format!("# @package {}\nx: 1", "a.".repeat(100_000));
    let dag: Vec<(String, String)> =
        (0..40).map(|i| (format!("g/f{i}.yaml"), format!("defaults:\n  - f{}@x\n  - f{}@y\n", i + 1, i + 1))).collect();
    let mut files = vec![("train.yaml", "defaults: [g: f0]"), ("deep.yaml", header.as_str())];
    files.extend(dag.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let sources = ConfigSources::from_texts(files).unwrap();
    assert!(compose(&sources, "train", &[]).is_err());
    assert!(compose(&sources, "deep", &[]).unwrap_err().to_string().contains("too many levels"));
}
