//! Reading typed settings.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::compose;

#[derive(Debug, Deserialize, PartialEq)]
struct Settings {
    seed: u64,
    #[serde(default)]
    tags: Vec<String>,
    trainer: Trainer,
    optimizer: Optimizer,
    weights: Option<BTreeMap<String, f64>>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Trainer {
    max_epochs: u32,
    rate: f64,
    share: [f32; 3],
    clip: Option<f64>,
    accelerator: Accelerator,
    root: Option<PathBuf>,
    limit: Option<Limit>,
    augment: Augment,
    flag: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Accelerator {
    Flex,
    Libtorch,
    Custom { name: String },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged, expecting = "must be a whole number of batches or a share in (0, 1]")]
enum Limit {
    Batches(u32),
    Share(f64),
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
enum Optimizer {
    Sgd { momentum: f64 },
    Adam { betas: [f64; 2] },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(transparent)]
struct Augment(u8);

const TEXT: &str = "seed: 18446744073709551615
trainer:
  max_epochs: 10
  rate: 1
  share: [0.8, 0.1, 0.1]
  clip: null
  accelerator: flex
  root: /data
  limit: 0.5
  augment: 3
  flag: true
optimizer: {name: sgd, momentum: 0.9}
weights: {a: 1, b: 2.5}
";

fn read(overrides: &[&str]) -> Result<Settings, String> {
    compose(&[("train.yaml", TEXT)], overrides).unwrap().to::<Settings>().map_err(|e| e.to_string())
}

#[test]
fn everything_is_read() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.seed, u64::MAX);
    assert_eq!(settings.trainer.rate, 1.0);
    assert_eq!(settings.trainer.limit, Some(Limit::Share(0.5)));
    assert_eq!(settings.trainer.accelerator, Accelerator::Flex);
    assert_eq!(settings.optimizer, Optimizer::Sgd { momentum: 0.9 });
    assert_eq!(settings.weights.unwrap()["b"], 2.5);
    let custom = read(&["trainer.accelerator={custom: {name: x}}"]).unwrap().trainer.accelerator;
    assert_eq!(custom, Accelerator::Custom { name: "x".into() });
    let trainer: Trainer = compose(&[("train.yaml", TEXT)], &[]).unwrap().section("trainer").unwrap();
    assert_eq!(trainer.max_epochs, 10);
}

#[test]
fn mistakes_are_named_with_key_and_place() {
    for (over, expected) in [
        (
            "+trainer.max_epoch=3",
            "override '+trainer.max_epoch=3': unknown key 'trainer.max_epoch' (did you mean 'trainer.max_epochs'?)",
        ),
        ("+sede=3", "override '+sede=3': unknown key 'sede' (did you mean 'seed'?)"),
        (
            "~trainer.max_epochs",
            "train.yaml:3:3: missing key 'trainer.max_epochs'; add it there or give trainer.max_epochs=VALUE",
        ),
        (
            "trainer.max_epochs=2.5",
            "override 'trainer.max_epochs=2.5': 'trainer.max_epochs' must be a whole number of at least 0, but it is the number 2.5",
        ),
        (
            "trainer.max_epochs=-1",
            "override 'trainer.max_epochs=-1': 'trainer.max_epochs' must be a whole number of at least 0, but it is the number -1",
        ),
        (
            "trainer.max_epochs=1,2",
            "override 'trainer.max_epochs=1,2': 'trainer.max_epochs' must be a whole number of at least 0, but it is the text '1,2'; several values, one run for each, need -m (multirun)",
        ),
        (
            "trainer.rate='1'",
            "override 'trainer.rate='1'': 'trainer.rate' must be a number, but it is the text '1'; write it without quotes",
        ),
        (
            "trainer.flag=yes",
            "override 'trainer.flag=yes': 'trainer.flag' must be true or false, but it is the text 'yes'; write true or false",
        ),
        (
            "trainer.share.1=x",
            "override 'trainer.share.1=x': 'trainer.share.1' must be a number, but it is the text 'x'",
        ),
        (
            "trainer.share=[1,2]",
            "override 'trainer.share=[1,2]': 'trainer.share' is the list [1, 2]: must be a list of 3, but it has 2",
        ),
        (
            "trainer.share=[1,2,3,4]",
            "override 'trainer.share=[1,2,3,4]': 'trainer.share' is the list [1, 2, 3, 4]: has 4 values, 1 too many",
        ),
        (
            "trainer.accelerator=flax",
            "override 'trainer.accelerator=flax': 'trainer.accelerator' cannot be 'flax' (did you mean 'flex'?); it is one of flex, libtorch, custom",
        ),
        (
            "trainer.accelerator=null",
            "override 'trainer.accelerator=null': 'trainer.accelerator' must be one of flex, libtorch, custom, but it is null",
        ),
        ("trainer.root=5", "override 'trainer.root=5': 'trainer.root' must be a text, but it is the number 5"),
        (
            "trainer.limit=x",
            "override 'trainer.limit=x': 'trainer.limit' is the text 'x': must be a whole number of batches or a share in (0, 1]",
        ),
        (
            "trainer.augment=300",
            "override 'trainer.augment=300': 'trainer.augment' must be a whole number from 0 to 255, but it is the number 300",
        ),
        ("trainer=null", "override 'trainer=null': 'trainer' must be a map of keys, but it is null"),
        ("+tags=[1]", "override '+tags=[1]': 'tags.0' must be a text, but it is the number 1"),
        (
            "optimizer.name=sgdd",
            "override 'optimizer.name=sgdd': 'optimizer.name' cannot be 'sgdd' (did you mean 'sgd'?); it is one of sgd, adam",
        ),
        (
            "+optimizer.momentom=1",
            "override '+optimizer.momentom=1': unknown key 'optimizer.momentom' (did you mean 'optimizer.momentum'?)",
        ),
        (
            "~optimizer.momentum",
            "train.yaml:12:12: missing key 'optimizer.momentum'; add it there or give optimizer.momentum=VALUE",
        ),
        ("weights.a=x", "override 'weights.a=x': 'weights.a' must be a number, but it is the text 'x'"),
    ] {
        assert_eq!(read(&[over]).unwrap_err(), expected);
    }
}

#[test]
fn a_typo_in_a_file_names_its_line() {
    let text = TEXT.replace("max_epochs", "max_epoch");
    let error = compose(&[("train.yaml", &text)], &[]).unwrap().to::<Settings>().unwrap_err().to_string();
    assert_eq!(error, "train.yaml:3:3: unknown key 'trainer.max_epoch' (did you mean 'trainer.max_epochs'?)");
}
