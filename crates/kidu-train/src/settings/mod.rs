//! The typed settings of the groups `model`, `trainer`, `callbacks` and `logger`, with their ranges.

mod callbacks;
mod logger;
mod mix;
mod model;
mod optimizer;
mod trainer;
mod values;

pub use callbacks::{CallbackSettings, CheckpointSettings, EarlyStoppingSettings, EmaSettings};
pub use kidu_data::BatchLimit;
pub use logger::{LoggerSettings, MlflowSettings, TensorBoardSettings};
pub use mix::{MixSettings, MixupMode};
pub use model::ModelSettings;
pub use optimizer::{OptimizerName, OptimizerSettings, SchedulerName, SchedulerSettings};
pub use trainer::{ProfilerName, TrainerSettings};
pub use values::{ClassWeights, LearningRate, MaxTime};

/// A setting outside its range: the full key (`model.learning_rate`) and what it must be.
pub type Problem = (String, String);

/// Collects problems.
#[derive(Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// Notes a problem unless `ok`.
    pub(crate) fn check(&mut self, ok: bool, key: &str, message: impl Into<String>) {
        if !ok {
            self.0.push((key.to_string(), message.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_json() {
        let (model, trainer) = (ModelSettings::default(), TrainerSettings::default());
        let callbacks = CallbackSettings::default();
        assert!(model.validate().is_empty() && trainer.validate().is_empty() && callbacks.validate().is_empty());
        let text = serde_json::to_string(&(&model, &trainer, &callbacks)).unwrap();
        let back: (ModelSettings, TrainerSettings, CallbackSettings) = serde_json::from_str(&text).unwrap();
        assert_eq!(back, (model, trainer, callbacks));
    }

    #[test]
    fn words_numbers_and_lists_are_read() {
        let model: ModelSettings = serde_json::from_value(json!({
            "freeze": 3, "weights": "hub:in1k", "class_weights": [1, 2.5], "optimizer": {"name": "sgd"},
            "scheduler": {"name": "cosine", "warmup_epochs": 1}, "pad_type": "same"
        }))
        .unwrap();
        assert_eq!(model.freeze, kidu_models::Freeze::Stages(3));
        assert_eq!(model.weights, kidu_models::WeightsSpec::Hub(Some("in1k".into())));
        assert_eq!(model.class_weights, ClassWeights::Given(vec![1.0, 2.5]));
        let trainer: TrainerSettings = serde_json::from_value(json!({
            "max_time": "5m", "limit_train_batches": 0.5, "limit_val_batches": 3, "profiler": "simple"
        }))
        .unwrap();
        assert_eq!(trainer.max_time.unwrap().seconds(), 300.0);
        assert_eq!(trainer.limit_train_batches, Some(BatchLimit::Share(0.5)));
        assert_eq!(trainer.limit_val_batches, Some(BatchLimit::Batches(3)));
        assert!(serde_json::from_value::<ModelSettings>(json!({"learning_rat": 1})).is_err());
        assert!(serde_json::from_value::<ModelSettings>(json!({"class_weights": "balance"})).is_err());
        assert!(serde_json::from_value::<TrainerSettings>(json!({"max_time": "5 parsecs"})).is_err());
    }

    #[test]
    fn each_range_is_checked_under_its_full_key() {
        let mut model = ModelSettings { learning_rate: 0.0.into(), drop_rate: 1.0, ..Default::default() };
        model.optimizer.betas = [0.9, 1.0];
        model.scheduler.warmup_epochs = 2;
        let keys: Vec<String> = model.validate().into_iter().map(|p| p.0).collect();
        assert_eq!(
            keys,
            ["model.drop_rate", "model.learning_rate", "model.optimizer.betas", "model.scheduler.warmup_epochs"]
        );
        let trainer = TrainerSettings { min_epochs: 5, max_epochs: 2, ..Default::default() };
        assert_eq!(trainer.validate()[0].0, "trainer.min_epochs");
    }
}
