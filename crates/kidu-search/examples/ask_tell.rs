//! A study for programs in any language: JSON lines on standard input and output.
//!
//! The first line in is `{"journal": "study.log", "settings": {...}}`, the settings as in `hparams_search`. Out comes a
//! trial, `{"number": 0, "params": {...}}`, or `null` when there are enough. In goes `{"report": [step, value]}`, answered
//! by `true` where the trial should be given up, and at its end `{"tell": value}`, `{"pruned": true}` or
//! `{"failed": "reason"}`, answered by the next trial.
//!
//! `tests/peers/compare_search.py` measures the samplers and pruners beside Optuna's through it.
#![allow(clippy::print_stdout, reason = "the protocol")]

use std::{
    error::Error,
    io::{self, BufRead, Write},
    path::PathBuf,
};

use kidu_search::{Outcome, SearchSettings, Study, Trial};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    journal: PathBuf,
    settings: SearchSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Message {
    Report(u64, f64),
    Tell(f64),
    Pruned(bool),
    Failed(String),
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = io::stdin().lock().lines();
    let first = lines.next().ok_or("the first line must name a journal and settings")??;
    let begin: Begin = serde_json::from_str(&first)?;
    let study = Study::open(&begin.journal, begin.settings)?;
    let mut trial = hand_out(&study)?;
    for line in lines {
        let Some(running) = &trial else { break };
        let outcome = match serde_json::from_str(&line?)? {
            Message::Report(step, value) => {
                study.report(running.number, step, value)?;
                say(&json!(study.should_prune(running.number)?))?;
                continue;
            }
            Message::Tell(value) => Outcome::Complete(value),
            Message::Pruned(true) => Outcome::Pruned,
            Message::Pruned(false) => return Err("a trial that is not pruned has a value to tell".into()),
            Message::Failed(reason) => Outcome::Failed(reason),
        };
        study.tell(running.number, outcome)?;
        trial = hand_out(&study)?;
    }
    Ok(())
}

fn hand_out(study: &Study) -> Result<Option<Trial>, Box<dyn Error>> {
    let trial = study.ask()?;
    say(&json!(trial.as_ref().map(|t| json!({"number": t.number, "params": t.params}))))?;
    Ok(trial)
}

fn say(value: &serde_json::Value) -> io::Result<()> {
    println!("{value}");
    io::stdout().flush()
}
