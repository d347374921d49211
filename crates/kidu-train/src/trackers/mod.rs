//! The trackers.

mod csv;
mod jsonl;
mod mlflow;
mod plots;
mod tensorboard;

pub use csv::CsvTracker;
pub use jsonl::JsonlTracker;
pub use mlflow::MlflowTracker;
pub use plots::PlotTracker;
pub use tensorboard::TensorBoardTracker;

/// Loss of an optimizer step's last batch.
const STEP_LOSS: &str = "step/loss";
/// Learning rate of an optimizer step.
const STEP_LR: &str = "step/lr";

#[cfg(test)]
mod tests {
    use crate::{history::EpochRow, tracker::Tracker};

    fn history() -> Vec<EpochRow> {
        let row = |epoch: usize, metrics: &[(&str, f64)]| EpochRow {
            epoch,
            step: 10 * (epoch as u64 + 1),
            metrics: metrics.iter().map(|(k, v)| (k.to_string(), *v)).collect(),
        };
        vec![
            row(0, &[("lr", 0.001), ("train/loss", 0.1 + 0.2)]),
            row(1, &[("lr", 1e-7), ("train/loss", 0.25), ("val/acc", 0.5)]),
        ]
    }

    #[test]
    fn csv_and_jsonl_hold_every_digit_and_are_rewritten() {
        let dir = tempfile::tempdir().unwrap();
        let (csv, jsonl) = (dir.path().join("m.csv"), dir.path().join("m.jsonl"));
        for rows in [&history()[..], &history()[..1], &history()[..]] {
            super::CsvTracker::new(csv.clone()).on_epoch(rows).unwrap();
            super::JsonlTracker::new(jsonl.clone()).on_epoch(rows).unwrap();
        }
        let text = std::fs::read_to_string(&csv).unwrap();
        assert_eq!(
            text,
            "epoch,step,lr,train/loss,val/acc\n0,10,0.001,0.30000000000000004,\n1,20,0.0000001,0.25,0.5\n"
        );
        let rows: Vec<EpochRow> =
            std::fs::read_to_string(&jsonl).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(rows, history());
    }

    #[test]
    fn a_tracker_that_cannot_write_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("file/metrics.csv");
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(super::CsvTracker::new(blocked).on_epoch(&history()).is_err());
    }
}
