use kidu_core::ClassNames;

use super::*;
use crate::{
    evaluation::{EvaluateOptions, evaluate},
    fixtures,
};

fn run(predictions: Predictions) -> RunReport {
    let options = EvaluateOptions { bootstrap_samples: 100, ..EvaluateOptions::default() };
    let evaluation = evaluate(&predictions, &options).unwrap();
    RunReport { evaluation: Some(evaluation), predictions: Some(predictions), ..RunReport::default() }
}

fn page(runs: Vec<RunReport>) -> String {
    let page = html(&Report { title: "A report".into(), runs }).unwrap();
    fixtures::assert_well_formed(&page);
    for forbidden in ["<script", "href=", "src=\"http", "url(", "@import"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    page
}

fn history(best: f64) -> Vec<EpochMetrics> {
    let metrics =
        |e: f64| [("train/loss", 1.0 / (e + 1.0)), ("val/loss", 1.2 / (e + 1.0)), ("val/acc", best - 0.3 / (e + 1.0))];
    (0..4)
        .map(|epoch| EpochMetrics { epoch, metrics: metrics(epoch as f64).map(|(n, v)| (n.to_string(), v)).into() })
        .collect()
}

#[test]
fn is_self_contained_and_escapes_everything() {
    let p = fixtures::predictions(60, 2);
    let classes = ClassNames::new(["<b>sea</b>", "it's & \"so\""]).unwrap();
    let paths = (0..60).map(|i| format!("<img src=x onerror=alert({i})>.jpg")).collect();
    let p = Predictions::new(classes, p.labels().to_vec(), p.logits().to_vec(), paths).unwrap();
    let evil = "<script>1</script>\" onload=x";
    let mut run = run(p);
    run.facts = vec![(evil.into(), evil.into())];
    run.settings = [(evil.to_string(), evil.to_string())].into();
    run.tables = vec![Table {
        section: evil.into(),
        caption: evil.into(),
        columns: vec![evil.into()],
        rows: vec![vec![evil.into()]],
    }];
    run.shown = 60;
    run.pictures = [(3, Picture { image: b"\x89PNG".to_vec(), heat_map: Some(vec![1, 2]) })].into();
    let page = page(vec![run]);
    for forbidden in ["<img src=x", "<b>sea", "\" onload"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert_eq!(page.matches("<svg ").count(), 4);
    assert!(page.contains("data:image/png;base64,iVBORw") && page.contains("data:image/jpeg;base64,AQI="));
}

#[test]
fn many_long_names_have_room() {
    let p = fixtures::predictions(2000, 60);
    let name = |c: usize| match c % 3 {
        0 => format!("a_class_whose_name_is_longer_than_any_column_of_a_table_should_be_{c}"),
        1 => format!("c{c}"),
        _ => format!("two words {c}"),
    };
    let classes = ClassNames::new((0..60).map(name)).unwrap();
    let path = |(i, p): (usize, &String)| format!("a/folder/of/many/levels/with_a_long_name/{i}/{p}");
    let paths = p.paths().iter().enumerate().map(path).collect();
    let p = Predictions::new(classes, p.labels().to_vec(), p.logits().to_vec(), paths).unwrap();
    let page = page(vec![run(p)]);
    assert!(page.contains("confusion-matrix wide"), "a large matrix takes the whole width");
    if let Ok(path) = std::env::var("KIDU_DRAW") {
        std::fs::write(path, page).unwrap();
    }
}

#[test]
fn the_surest_mistake_comes_first_and_perfection_has_none() {
    let classes = ClassNames::new(["a", "b"]).unwrap();
    let row = |x: f32| vec![x, 0.0];
    let paths = vec!["small".into(), "big".into(), "right".into()];
    let p = Predictions::new(classes.clone(), vec![1, 1, 0], vec![row(1.0), row(5.0), row(9.0)], paths).unwrap();
    let text = page(vec![run(p)]);
    assert!(text.find(">big<").unwrap() < text.find(">small<").unwrap() && !text.contains(">right<"));
    let p = Predictions::new(classes, vec![0], vec![row(2.0)], vec!["x".into()]).unwrap();
    assert!(page(vec![run(p)]).contains("There are none"));
}

#[test]
fn several_runs_are_compared_on_the_images_they_share() {
    let hashes: Vec<String> = (0..90).map(|i| format!("{i:064x}")).collect();
    let judged = |predictions: Predictions, name: &str, lr: &str| {
        let options =
            EvaluateOptions { bootstrap_samples: 100, item_hashes: Some(hashes.clone()), ..EvaluateOptions::default() };
        RunReport {
            name: name.into(),
            evaluation: Some(evaluate(&predictions, &options).unwrap()),
            predictions: Some(predictions),
            history: history(0.8),
            settings: [("model.lr".to_string(), lr.to_string()), ("seed".to_string(), "1".to_string())].into(),
            ..RunReport::default()
        }
    };
    let one = fixtures::predictions(90, 3);
    // The second is right about every image.
    let logits = one.labels().iter().map(|l| (0..3).map(|c| if c == *l { 9.0 } else { 0.0 }).collect()).collect();
    let two = Predictions::new(one.classes().clone(), one.labels().to_vec(), logits, one.paths().to_vec()).unwrap();
    let page = page(vec![judged(one, "first", "0.1"), judged(two, "second", "0.01")]);
    assert!(page.contains("<b title=\"best\">1.0000</b>") && page.contains("<td>better</td>"));
    assert!(page.contains("model.lr") && page.contains("Settings that differ"));
    let differing = page.split("Settings that differ").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(!differing.contains("seed"), "what is the same is not listed");
    if let Ok(path) = std::env::var("KIDU_DRAW_COMPARED") {
        std::fs::write(path, page).unwrap();
    }
}

#[test]
fn runs_without_an_evaluation_are_compared_by_their_epochs() {
    let run = |name: &str, last| RunReport { name: name.into(), history: history(last), ..RunReport::default() };
    let page = page(vec![run("first", 0.5), run("second", 0.8)]);
    assert!(page.contains("validation accuracy, best epoch") && page.contains("validation loss, best epoch"), "{page}");
    assert!(!page.contains("balanced accuracy"), "a line of nothing");
}

#[test]
fn what_is_missing_is_left_out() {
    let page = page(vec![RunReport { name: "bare".into(), history: history(0.5), ..RunReport::default() }]);
    assert!(page.contains("Learning curves"));
    for absent in ["Headline", "Worst mistakes", "Configuration", "Comparison", "Classes"] {
        assert!(!page.contains(&format!("<h2>{absent}")), "{absent}");
    }
    assert!(matches!(html(&Report::default()), Err(Error::Empty)));
    let mut run = run(fixtures::predictions(10, 2));
    run.pictures = [(10, Picture { image: vec![], heat_map: None })].into();
    assert!(html(&Report { title: String::new(), runs: vec![run] }).is_err(), "a picture of no image");
}
