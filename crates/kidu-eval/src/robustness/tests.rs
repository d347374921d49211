use super::*;

fn answers(classes: &[usize]) -> Vec<Answer> {
    classes.iter().map(|class| Answer { class: *class, confidence: 0.8 }).collect()
}

/// Four images of two classes; `noise` at severities 1 and 3, `fog` at 3.
fn trial(noise: [&[usize]; 2], fog: &[usize]) -> Trial {
    let sample = |(i, label): (usize, usize)| Sample { path: format!("{i}.png"), sha256: format!("{i:064}"), label };
    let cell = |corruption: &str, category: &str, severity, classes: &[usize]| Answers {
        corruption: corruption.into(),
        category: category.into(),
        severity,
        answers: answers(classes),
    };
    Trial {
        classes: vec!["sea".into(), "street".into()],
        samples: [0, 0, 1, 1].into_iter().enumerate().map(sample).collect(),
        clean: answers(&[0, 0, 1, 0]),
        corrupted: vec![
            cell("noise", "noise", 1, noise[0]),
            cell("noise", "noise", 3, noise[1]),
            cell("fog", "weather", 3, fog),
        ],
    }
}

fn result(baseline: Option<&Robustness>) -> Robustness {
    let origin = Origin { model: "resnet18".into(), version: "1".into(), ..Origin::default() };
    Robustness::new(&trial([&[0, 0, 1, 0], &[1, 0, 1, 0]], &[1, 1, 1, 1]), origin, baseline).unwrap()
}

#[test]
fn accuracies_and_flips_are_counted() {
    let r = result(None);
    assert_eq!((r.images, r.clean_accuracy), (4, 0.75));
    let noise = &r.corruptions[0];
    assert_eq!(noise.cells.iter().map(|c| c.accuracy).collect::<Vec<_>>(), [0.75, 0.5]);
    assert_eq!((noise.accuracy, r.corruptions[1].accuracy), (0.625, 0.5));
    assert_eq!(r.mean_accuracy, 0.5625);
    assert_eq!((noise.cells[1].flipped, r.corruptions[1].cells[0].flipped), (0.25, 0.75));
    let first = &r.per_image[0];
    assert_eq!((first.flips_at["noise"], first.flips_at["fog"]), (Some(3), Some(3)));
    assert_eq!((r.per_image[2].flips_at["noise"], r.per_image[2].flips_at["fog"]), (None, None));
    assert_eq!((r.mce, r.gate.is_some()), (None, false));
}

#[test]
fn corruption_errors_are_the_papers() {
    let origin = Origin { model: "alexnet".into(), version: "0".into(), ..Origin::default() };
    let baseline = Robustness::new(&trial([&[1, 0, 1, 0], &[1, 1, 1, 0]], &[1, 1, 0, 0]), origin, None).unwrap();
    let r = result(Some(&baseline));
    // Errors 0.25 + 0.5 against 0.5 + 0.75; 0.5 against 1.
    assert_eq!(r.corruptions[0].corruption_error, Some(0.6));
    assert_eq!(r.corruptions[1].corruption_error, Some(0.5));
    assert_eq!(r.mce, Some(0.55));
    // Added to the clean 0.25: 0 + 0.25 against 0.25 + 0.5; 0.25 against 0.75.
    let relative = r.corruptions.iter().map(|c| c.relative_corruption_error.unwrap()).collect::<Vec<_>>();
    assert!((relative[0] - 1.0 / 3.0).abs() < 1e-12 && (relative[1] - 1.0 / 3.0).abs() < 1e-12, "{relative:?}");
    assert!(r.baseline.as_ref().unwrap().same_images);
    let perfect =
        Robustness::new(&trial([&[0, 0, 1, 1], &[0, 0, 1, 1]], &[0, 0, 1, 1]), Origin::default(), None).unwrap();
    assert_eq!(result(Some(&perfect)).mce, None);
}

#[test]
fn a_baseline_with_less_is_refused() {
    let mut less = result(None);
    less.corruptions[1].cells[0].severity = 2;
    let error = Robustness::new(&trial([&[0; 4], &[0; 4]], &[0; 4]), Origin::default(), Some(&less)).unwrap_err();
    assert!(error.to_string().contains("severity 3 of fog"), "{error}");
}

#[test]
fn answers_that_do_not_fit_are_refused() {
    let mut short = trial([&[0; 4], &[0; 4]], &[0; 4]);
    short.corrupted[1].answers.pop();
    assert!(
        Robustness::new(&short, Origin::default(), None).unwrap_err().to_string().contains("3 answers to 4 images")
    );
    let strange = trial([&[0; 4], &[7; 4]], &[0; 4]);
    assert!(Robustness::new(&strange, Origin::default(), None).is_err());
    assert!(matches!(Robustness::new(&Trial::default(), Origin::default(), None), Err(Error::Empty)));
}

#[test]
fn each_rule_refuses_by_name() {
    let r = result(None);
    let refused = |rules: RobustnessRules| {
        let decision = rules.decide(&r).unwrap();
        assert_eq!(decision.passed, decision.refusals().count() == 0);
        decision.refusals().map(|o| format!("{}: {}", o.name, o.detail)).collect::<Vec<_>>().join("\n")
    };
    let rules = RobustnessRules::default;
    assert!(rules().decide(&r).is_none());
    assert_eq!(refused(RobustnessRules { min_accuracy: Some(0.5625), max_drop: Some(0.1875), ..rules() }), "");
    assert!(
        refused(RobustnessRules { min_accuracy: Some(0.6), ..rules() })
            .starts_with("min_accuracy: mean accuracy 0.5625")
    );
    assert!(refused(RobustnessRules { max_drop: Some(0.1), ..rules() }).contains("falls by 0.1875"));
    assert!(refused(RobustnessRules { min_cell_accuracy: Some(0.6), ..rules() }).contains("severity 3"));
    assert!(refused(RobustnessRules { max_flipped: Some(0.1), ..rules() }).contains("max_flipped"));
    assert!(refused(RobustnessRules { max_mce: Some(1.0), ..rules() }).contains("no mean corruption error"));
    assert_eq!(refused(RobustnessRules { min_flip_severity: Some(3), ..rules() }), "");
    let early = refused(RobustnessRules { min_flip_severity: Some(4), ..rules() });
    assert_eq!(early, "min_flip_severity: 0.png changes its answer under fog at severity 3, at least 4");
    assert!(RobustnessRules { min_flip_severity: Some(6), ..rules() }.validate(true).is_err());
    let changed = refused(RobustnessRules { labels_hold: true, ..rules() });
    assert_eq!(changed, "labels_hold: of 4 images these change their answer: 0.png and 2 more");
    assert!(RobustnessRules { max_mce: Some(1.0), ..rules() }.validate(false).is_err());
    assert!(RobustnessRules { max_drop: Some(1.5), ..rules() }.validate(true).is_err());
}

#[test]
fn it_survives_json_and_is_shown() {
    let mut r = result(None);
    r.gate = RobustnessRules { max_drop: Some(0.5), ..RobustnessRules::default() }.decide(&r);
    let text = serde_json::to_string(&r).unwrap();
    assert_eq!(serde_json::from_str::<Robustness>(&text).unwrap(), r);
    let shown = summary(&r);
    assert!(shown.contains("noise         0.6250  0.7500  0.5000"), "{shown}");
    assert!(shown.contains("fog           0.5000       –  0.5000"), "{shown}");
    assert!(shown.contains("passed  max_drop"), "{shown}");
    assert_eq!(csv(&r).lines().count(), 4);
    assert!(figure(&r).contains("Weather"));
    assert_eq!(table(&r).rows.len(), 3);
}
