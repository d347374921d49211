//! `kidu bench`: how fast this machine trains and predicts, beside what the machine can do and what others reach.

mod explanations;
mod images;
mod machine;
mod memory;
mod networks;
mod peer;
mod requests;
mod tables;
mod turns;

use kidu_core::{ModelRecord, Progress, model, run::timestamp};
use serde::Serialize;
use serde_json::Value;

use self::{
    explanations::Explanations,
    images::{Images, Photographs},
    machine::Machine,
    memory::MemoryCase,
    networks::{Case, Engine, Place},
    peer::Peers,
    requests::Requests,
    tables::threads as threads_text,
};
use crate::{
    Outcome,
    cli::{BenchArgs, BenchPart},
    failure::Failure,
    ui::{self, Console},
};

/// Classes of every network: few, as in most uses.
const CLASSES: usize = 6;

/// Weights, images and scenes are the same in every run.
const SEED: u64 = 0;

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    kidu_version: &'static str,
    created: String,
    rounds: u32,
    machine: Machine,
    /// Versions of the peers' packages.
    peers: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<Images>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train: Option<Vec<Case>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Vec<MemoryCase>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predict: Option<Vec<Case>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Vec<Requests>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Vec<Explanations>>,
}

pub(super) fn run(arguments: &BenchArgs) -> Outcome {
    if let Some(case) = &arguments.memory_of {
        return ui::json(&memory::of_this_process(case)?);
    }
    let mut bench = Bench::new(arguments)?;
    let report = bench.measure()?;
    if arguments.json {
        return ui::json(&report);
    }
    ui::line(tables::text(&report).trim_end());
    Ok(())
}

/// What is measured, and with whom.
struct Bench<'a> {
    arguments: &'a BenchArgs,
    models: Vec<&'static ModelRecord>,
    threads: Vec<usize>,
    peers: Peers,
    console: Console,
}

impl<'a> Bench<'a> {
    /// Checks everything that can be wrong before the first measurement.
    fn new(arguments: &'a BenchArgs) -> Outcome<Self> {
        let named = arguments.models.iter().map(|name| model::find(name.trim())).collect::<kidu_core::Result<Vec<_>>>();
        let named = named.map_err(|e| Failure::Usage(anyhow::Error::from(e).context("--models")))?;
        let models = if named.is_empty() { model::records().iter().collect() } else { named };
        if let Some(folder) = arguments.photos.as_ref().filter(|f| !f.is_dir()) {
            let place = folder.display();
            return Err(Failure::usage(format!("--photos {place} is no folder; give one with .jpg photographs")));
        }
        let mut threads = arguments.threads.clone();
        if threads.is_empty() {
            threads = vec![1, machine::cores()];
        }
        threads.sort_unstable();
        threads.dedup();
        let peers = Peers::open(arguments.peer_python.as_ref())?;
        Ok(Self { arguments, models, threads, peers, console: Console::new() })
    }

    fn wants(&self, part: BenchPart) -> bool {
        self.arguments.only.is_empty() || self.arguments.only.contains(&part)
    }

    fn measure(&mut self) -> Outcome<Report> {
        self.console.begin("measure", "cases", Some(self.cases()));
        let machine = self.machine()?;
        let images = if self.wants(BenchPart::Images) { Some(self.images()?) } else { None };
        let (mut train, mut predict, mut request, mut explain) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for threads in self.threads.clone() {
            let pool = machine::pool(threads)?;
            let peak = machine.peak(threads);
            let place = Place { threads, pool: &pool, peak, rounds: self.arguments.rounds };
            if self.wants(BenchPart::Train) {
                self.train(&place, &mut train)?;
            }
            if self.wants(BenchPart::Predict) {
                self.predict(&place, &mut predict)?;
            }
            if self.wants(BenchPart::Request) {
                self.request(&place, &mut request)?;
            }
            if self.wants(BenchPart::Explain) {
                self.explain(&place, &mut explain)?;
            }
        }
        let memory = if self.wants(BenchPart::Train) { Some(self.memory()?) } else { None };
        self.console.end();
        Ok(Report {
            kidu_version: env!("CARGO_PKG_VERSION"),
            created: timestamp(),
            rounds: self.arguments.rounds,
            machine,
            peers: self.peers.versions().cloned(),
            images,
            train: self.wants(BenchPart::Train).then_some(train),
            memory,
            predict: self.wants(BenchPart::Predict).then_some(predict),
            request: self.wants(BenchPart::Request).then_some(request),
            explain: self.wants(BenchPart::Explain).then_some(explain),
        })
    }

    /// How many pieces of work there are.
    fn cases(&self) -> u64 {
        let (models, threads) = (self.models.len(), self.threads.len());
        let of = |part, cases: usize| if self.wants(part) { cases as u64 } else { 0 };
        let train = models * self.arguments.batch.len();
        let predict = models * self.arguments.predict_batch.len() * threads;
        1 + of(BenchPart::Images, 1)
            + of(BenchPart::Train, train * (threads + 1))
            + of(BenchPart::Predict, predict)
            + of(BenchPart::Request, models * threads)
            + of(BenchPart::Explain, models * threads)
    }

    /// The peaks are needed for every network's share of them.
    fn machine(&self) -> Outcome<Machine> {
        self.console.set_message("the machine");
        let machine = Machine::measure(&self.threads, self.wants(BenchPart::Machine))?;
        self.console.advance(1);
        Ok(machine)
    }

    fn images(&mut self) -> Outcome<Images> {
        self.console.set_message("images");
        let photographs = Photographs::new(self.arguments.photos.as_deref())?;
        let images = images::measure(&photographs, self.arguments.rounds, &mut self.peers)?;
        self.told(&tables::line("a photograph, 1 thread", &images.measured));
        Ok(images)
    }

    fn train(&mut self, place: &Place<'_>, cases: &mut Vec<Case>) -> Outcome {
        for record in self.models.clone() {
            for &batch in &self.arguments.batch {
                let what = format!("{}, training step of {batch}, {}", record.name, threads_text(place.threads));
                self.console.set_message(&what);
                let case = networks::train(record, batch, place, &mut self.peers)?;
                self.told(&tables::line(&what, &case.measured));
                cases.push(case);
            }
        }
        Ok(())
    }

    fn predict(&mut self, place: &Place<'_>, cases: &mut Vec<Case>) -> Outcome {
        let dir = tempfile::tempdir()?;
        for record in self.models.clone() {
            let engine = Engine::open(&networks::bundle(record, dir.path())?, place.threads)?;
            for &batch in &self.arguments.predict_batch {
                let what = format!("{}, prediction of {batch}, {}", record.name, threads_text(place.threads));
                self.console.set_message(&what);
                let case = networks::predict((record, &engine), batch, place, &mut self.peers)?;
                self.told(&tables::line(&what, &case.measured));
                cases.push(case);
            }
        }
        Ok(())
    }

    fn request(&mut self, place: &Place<'_>, cases: &mut Vec<Requests>) -> Outcome {
        let dir = tempfile::tempdir()?;
        let photographs = Photographs::new(self.arguments.photos.as_deref())?;
        for record in self.models.clone() {
            let what = format!("{}, a request, {}", record.name, threads_text(place.threads));
            self.console.set_message(&what);
            let bundle = networks::bundle(record, dir.path())?;
            let case = requests::measure((record, &bundle), &photographs, place, &mut self.peers)?;
            self.told(&tables::line(&what, &case.measured));
            cases.push(case);
        }
        Ok(())
    }

    fn explain(&mut self, place: &Place<'_>, cases: &mut Vec<Explanations>) -> Outcome {
        let dir = tempfile::tempdir()?;
        for record in self.models.clone() {
            let what = format!("{}, Integrated Gradients, {}", record.name, threads_text(place.threads));
            self.console.set_message(&what);
            let bundle = networks::bundle(record, dir.path())?;
            let case = explanations::measure((record, &bundle), place, &mut self.peers)?;
            self.told(&tables::line(&what, &case.measured));
            cases.push(case);
        }
        Ok(())
    }

    /// At the largest number of threads, where most is in use at once.
    fn memory(&mut self) -> Outcome<Vec<MemoryCase>> {
        self.peers.rest();
        let threads = self.threads.last().copied().unwrap_or(1);
        let mut cases = Vec::new();
        for record in &self.models {
            for &batch in &self.arguments.batch {
                self.console.set_message(&format!("{}, memory of a training step of {batch}", record.name));
                cases.push(memory::measure(record, batch, threads, &self.peers)?);
                self.console.advance(1);
            }
        }
        Ok(cases)
    }

    /// One piece of work is done.
    fn told(&self, line: &str) {
        self.console.note(line);
        self.console.advance(1);
    }
}
