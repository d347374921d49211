//! Event files, read by tensorboard's own reader.

use kidu_track::{
    ParamValue,
    tensorboard::{EventWriter, Metric, SessionStatus},
};

#[test]
fn tensorboard_reads_scalars_pictures_texts_and_hparams() {
    let Some(python) = kidu_testing::peer_python("tensorboard", &["tensorboard"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let params = vec![
        ("model.learning_rate".to_string(), ParamValue::Number(1e-3)),
        ("model.name".to_string(), ParamValue::Text("resnet18".into())),
        ("test".to_string(), ParamValue::Bool(true)),
    ];
    let metrics = [Metric { tag: "val/acc".into(), display_name: "validation accuracy".into() }];
    let mut writer = EventWriter::create(dir.path(), None).unwrap();
    writer.start_session("run-a", &params, &metrics).unwrap();
    for step in 1..=20u64 {
        writer.scalar("train/loss", step, 1.0 / step as f64).unwrap();
        writer.scalar("lr", step, 0.001).unwrap();
    }
    writer.scalar("val/acc", 10, 0.5).unwrap();
    writer.scalar("val/acc", 20, 0.25).unwrap();
    writer.image("confusion matrix", 20, &super::png(6, 4, [200, 10, 10])).unwrap();
    writer.text("configuration", 0, "**größe** 1").unwrap();
    drop(writer);
    // The run was killed and goes on from step 15: what the first file has after that no longer counts.
    let mut writer = EventWriter::create(dir.path(), Some(15)).unwrap();
    for step in 15..=18u64 {
        writer.scalar("train/loss", step, 7.0).unwrap();
    }
    writer.end_session(SessionStatus::Success).unwrap();
    drop(writer);

    let read = super::script(&python, "tensorboard_read.py", &[dir.path().to_str().unwrap()]);
    let loss = read["scalars"]["train/loss"].as_array().unwrap();
    let expected: Vec<(u64, f64)> =
        (1..=14).map(|s| (s, f64::from((1.0 / s as f64) as f32))).chain((15..=18).map(|s| (s, 7.0))).collect();
    let found: Vec<(u64, f64)> = loss.iter().map(|p| (p[0].as_u64().unwrap(), p[1].as_f64().unwrap())).collect();
    assert_eq!(found, expected);
    assert_eq!(read["scalars"]["val/acc"], serde_json::json!([[10, 0.5]]));
    // The picture was at step 20.
    assert_eq!(read["images"], serde_json::json!({"confusion matrix": []}));
    assert_eq!(read["texts"]["configuration"], serde_json::json!(["**größe** 1"]));
    let hparams = &read["hparams"];
    assert_eq!(
        hparams["start"],
        serde_json::json!({"group": "run-a", "values": {"model.learning_rate": 0.001, "model.name": "resnet18", "test": true}})
    );
    assert_eq!(hparams["infos"], serde_json::json!({"model.learning_rate": 3, "model.name": 1, "test": 2}));
    assert_eq!(hparams["metrics"], serde_json::json!(["val/acc"]));
    assert_eq!(hparams["end"], serde_json::json!(1));
}

#[test]
fn tensorboard_reads_pictures() {
    let Some(python) = kidu_testing::peer_python("tensorboard pictures", &["tensorboard"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(dir.path(), None).unwrap();
    writer.image("samples", 3, &super::png(6, 4, [200, 10, 10])).unwrap();
    drop(writer);
    let read = super::script(&python, "tensorboard_read.py", &[dir.path().to_str().unwrap()]);
    assert_eq!(read["images"]["samples"], serde_json::json!([[3, 6, 4, [200, 10, 10]]]));
}
