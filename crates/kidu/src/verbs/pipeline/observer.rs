//! Tells on standard error what a run does.

use std::time::Duration;

use kidu_pipeline::{RunEvent, RunObserver, StepStatus};

use crate::ui;

/// One line for each event.
pub(super) struct Narrator;

impl RunObserver for Narrator {
    fn event(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::RunStarted { record, .. } => ui::note(format!("run {}", record.id)),
            RunEvent::StepWaiting { step } => ui::note(format!("{step}: another run makes it; waiting")),
            RunEvent::StepStarted { step, number, of, reason, resume } => {
                let resume = if *resume { ", goes on from where it stopped" } else { "" };
                ui::note(format!("[{number}/{of}] {step}: {reason}{resume}"));
            }
            RunEvent::StepEnded { record, number, of } => {
                let seconds = ui::human_duration(Duration::from_secs_f64(record.seconds.max(0.0)));
                let how = match record.status {
                    StepStatus::Cached => "from the cache".to_string(),
                    status => format!("{} after {seconds}", status.name()),
                };
                let why = match record.status {
                    StepStatus::Refused | StepStatus::Failed => format!(": {}", record.message),
                    _ => String::new(),
                };
                ui::note(format!("[{number}/{of}] {}: {how}{why}", record.name));
            }
            RunEvent::RunEnded { record, dir } => {
                ui::note(format!("run {} {}: {}", record.id, record.status.name(), dir.display()));
            }
            _ => {}
        }
    }
}
