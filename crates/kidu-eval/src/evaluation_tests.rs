//! Numbers against scikit-learn 1.9.1 on the same logits (see `fixtures` for the formula), the shape of
//! `evaluation.json`, and its way to disk and back.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{
    error::Error,
    evaluation::{EvaluateOptions, Evaluation, evaluate},
    fixtures,
    predictions::Predictions,
    report::{self, Report, RunReport},
};

fn options() -> EvaluateOptions {
    EvaluateOptions { bootstrap_samples: 200, ..EvaluateOptions::default() }
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

fn all_close(found: impl IntoIterator<Item = f64>, expected: &[f64]) {
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    found.into_iter().zip(expected).for_each(|(f, e)| close(f, *e));
}

#[test]
fn equals_scikit_learn_at_a_temperature() {
    let e = evaluate(&fixtures::predictions(300, 5), &EvaluateOptions { temperature: 1.7, ..options() }).unwrap();
    let d = &e.details;
    close(e.accuracy(), 0.533_333_333_333_333_3);
    close(d.balanced_accuracy, 0.537_520_393_170_188);
    close(d.cohen_kappa.unwrap(), 0.414_421_950_811_443_84);
    close(d.matthews_corrcoef, 0.417_150_004_853_954_1);
    let averages = |a: crate::Averages| [a.precision, a.recall, a.f1];
    let expected = [0.527_655_214_305_869_1, 0.537_520_393_170_188, 0.525_723_196_657_972_1];
    all_close(averages(d.macro_average), &expected);
    let expected = [0.557_408_521_857_392, 0.533_333_333_333_333_3, 0.538_239_506_033_194_7];
    all_close(averages(d.weighted_average), &expected);
    all_close(averages(d.micro_average), &[0.533_333_333_333_333_3; 3]);
    close(e.quality.weighted_f0_5.value, 0.547_912_322_738_891_6);
    close(e.quality.weighted_f2.value, 0.533_645_133_541_418);
    all_close(
        d.top_k.iter().map(|t| t.accuracy),
        &[0.533_333_333_333_333_3, 0.673_333_333_333_333_4, 0.843_333_333_333_333_4, 1.0],
    );
    let expected =
        [0.820_312_5, 0.826_046_511_627_906_9, 0.804_054_054_054_054, 0.794_790_725_685_034_6, 0.831_689_439_869_695_1];
    all_close(d.per_class.iter().map(|c| c.roc_auc.unwrap()), &expected);
    close(d.roc_auc.macro_average.unwrap(), 0.815_378_646_247_338);
    close(d.roc_auc.weighted.unwrap(), 0.814_963_495_299_202_8);
    let expected = [
        0.563_028_059_068_479,
        0.763_891_864_210_777_8,
        0.674_501_407_157_564_8,
        0.595_546_533_419_594_6,
        0.613_765_390_837_027_6,
    ];
    all_close(d.per_class.iter().map(|c| c.average_precision.unwrap()), &expected);
    let c = &d.calibration;
    close(c.log_loss, 1.232_597_558_176_611_3);
    close(c.brier_score, 0.571_217_579_212_271_7);
    close(c.reliability.expected_calibration_error, 0.149_163_077_202_994_4);
    close(c.reliability.maximum_calibration_error, 0.296_803_113_322_429_26);
    close(c.uncalibrated_log_loss, 1.528_265_483_520_181_4);
    close(c.uncalibrated_expected_calibration_error, 0.224_955_485_503_243_9);
    assert_eq!(e.confusion().row(1), [5, 46, 11, 10, 13]);
}

#[test]
fn absent_classes_are_as_scikit_learns_zero_division() {
    let e = evaluate(&fixtures::three_labels(120, 5), &options()).unwrap();
    let d = &e.details;
    close(d.macro_average.precision, 0.405_128_205_128_205_13);
    close(d.macro_average.f1, 0.344_224_012_274_645_2);
    close(d.weighted_average.precision, 0.675_213_675_213_675_1);
    close(d.balanced_accuracy, 0.525);
    close(d.cohen_kappa.unwrap(), 0.369_003_690_036_900_37);
    close(d.matthews_corrcoef, 0.390_887_524_850_162_15);
    close(d.per_class[0].roc_auc.unwrap(), 0.726_25);
    assert_eq!((d.per_class[3].roc_auc, d.per_class[3].average_precision), (None, None));
    // The means are those of the three defined classes.
    close(d.average_precision.macro_average.unwrap(), 0.760_574_601_723_752_7);
    close(d.roc_auc.macro_average.unwrap(), (0.726_25 + 0.918_125 + 0.915_625) / 3.0);
    close(d.calibration.log_loss, 1.489_642_846_346_996_8);
    close(d.calibration.brier_score, 0.632_985_547_484_265_6);
}

#[test]
fn one_class_has_no_areas_and_no_mistakes() {
    let e = evaluate(&fixtures::predictions(10, 1), &options()).unwrap();
    assert_eq!((e.accuracy(), e.details.cohen_kappa), (1.0, None));
    assert_eq!((e.details.roc_auc.macro_average, e.details.roc_auc.weighted), (None, None));
    assert_eq!(e.details.top_k.len(), 1);
    assert!(!e.headline("test").contains_key("test/roc_auc_macro"));
    assert_eq!(e.headline("test")["test/acc"], 1.0);
}

fn full() -> (Predictions, EvaluateOptions) {
    let predictions = fixtures::predictions(24, 3);
    // The last image has the bytes of the first.
    let item_hashes = Some((0..24).map(|i| format!("{:04x}", i % 23)).collect());
    let versions = (Some("d1".to_string()), Some("t1".to_string()));
    let (dataset_version, test_split_version) = versions;
    let options =
        EvaluateOptions { temperature: 1.5, item_hashes, dataset_version, test_split_version, bins: 5, ..options() };
    (predictions, options)
}

#[test]
fn the_json_is_sagemakers_shape_and_comes_back_the_same() {
    let (predictions, options) = full();
    let evaluation = evaluate(&predictions, &options).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(Evaluation::FILE);
    evaluation.save(&path).unwrap();
    assert_eq!(Evaluation::load(&path).unwrap(), evaluation);

    let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let at = |pointer: &str| json.pointer(&format!("/multiclass_classification_metrics/{pointer}")).unwrap().as_f64();
    assert_eq!(at("accuracy/value"), Some(evaluation.accuracy()));
    assert!(at("accuracy/standard_deviation").unwrap() > 0.0);
    assert_eq!(at("confusion_matrix/0/1").unwrap() as u64, evaluation.confusion().get(0, 1));
    assert_eq!(evaluation.details.correct.len(), 24);
    assert!(evaluation.details.correct.contains_key("0000#2"));
    assert_snapshot(&json, "evaluation.json");
}

#[test]
fn another_format_version_is_refused() {
    let (predictions, options) = full();
    let mut evaluation = evaluate(&predictions, &options).unwrap();
    evaluation.details.format_version = 9;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("e.json");
    evaluation.save(&path).unwrap();
    assert!(Evaluation::load(&path).unwrap_err().to_string().contains("format version 9"));
    evaluation.details.format_version = 1;
    evaluation.details.per_class.pop();
    evaluation.save(&path).unwrap();
    assert!(Evaluation::load(&path).unwrap_err().to_string().contains("2 rows per class"));
}

#[test]
fn bad_options_are_named() {
    let p = fixtures::predictions(10, 2);
    let name = |o: EvaluateOptions| match evaluate(&p, &o) {
        Err(Error::Option { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(EvaluateOptions { temperature: -1.0, ..options() }), "temperature");
    assert_eq!(name(EvaluateOptions { top_k: vec![0], ..options() }), "top_k");
    assert_eq!(name(EvaluateOptions { bins: 0, ..options() }), "bins");
    assert_eq!(name(EvaluateOptions { confidence: 95.0, ..options() }), "confidence");
    assert_eq!(name(EvaluateOptions { bootstrap_samples: 0, ..options() }), "bootstrap_samples");
    assert_eq!(name(EvaluateOptions { item_hashes: Some(vec![]), ..options() }), "item_hashes");
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let (predictions, options) = full();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let alone = pool.install(|| evaluate(&predictions, &options).unwrap());
    assert_eq!(alone, evaluate(&predictions, &options).unwrap());
}

/// Compares with a stored file, numbers within 1e-9. `KIDU_UPDATE_SNAPSHOTS=1` writes it anew.
fn assert_snapshot(json: &Value, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/snapshots").join(name);
    if std::env::var_os("KIDU_UPDATE_SNAPSHOTS").is_some() {
        kidu_core::files::write_json(&path, json).unwrap();
    }
    let stored: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    same(json, &stored, "");
}

fn same(found: &Value, stored: &Value, at: &str) {
    match (found, stored) {
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "keys at '{at}'");
            a.iter().for_each(|(k, v)| same(v, &b[k], &format!("{at}/{k}")));
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "length at '{at}'");
            a.iter().zip(b).enumerate().for_each(|(i, (x, y))| same(x, y, &format!("{at}/{i}")));
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() < 1e-9, "{a} is not {b} at '{at}'");
        }
        _ => assert_eq!(found, stored, "at '{at}'"),
    }
}

/// Runs the comparison with the scikit-learn of a Python named by `KIDU_PEER_PYTHONS`; the files stay in
/// `KIDU_PEER_DIR` if that is set.
#[test]
fn equals_the_installed_scikit_learn() {
    let Some(python) = kidu_testing::peer_python("equals_the_installed_scikit_learn", &["sklearn"]) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/compare_metrics.py");
    let temporary = tempfile::tempdir().unwrap();
    let root = std::env::var_os("KIDU_PEER_DIR").map_or_else(|| temporary.path().to_path_buf(), PathBuf::from);
    let cases = [
        ("six", fixtures::predictions(900, 6), 1.7),
        ("absent", fixtures::three_labels(120, 5), 1.0),
        ("binary", fixtures::predictions(400, 2), 0.6),
        ("many", fixtures::predictions(3000, 120), 2.0),
    ];
    for (name, predictions, temperature) in cases {
        let dir = root.join(name);
        predictions.save(&dir.join(Predictions::FILE), temperature).unwrap();
        let evaluation = evaluate(&predictions, &EvaluateOptions { temperature, ..options() }).unwrap();
        evaluation.save(&dir.join(Evaluation::FILE)).unwrap();
        crate::plots::save_all(&predictions, &evaluation, &dir.join("plots")).unwrap();
        std::fs::write(dir.join("summary.txt"), crate::text::summary(&evaluation)).unwrap();
        let run = RunReport { evaluation: Some(evaluation), predictions: Some(predictions), ..RunReport::default() };
        report::save(&dir.join(report::FILE), &Report { title: name.into(), runs: vec![run] }).unwrap();
        let output = std::process::Command::new(&python).arg(&script).arg(&dir).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
}
