//! Progress as bars on a terminal and as plain lines elsewhere, with a copy of every note in a log file.

use std::{
    fs::{File, OpenOptions},
    io::{IsTerminal, Write},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kidu_core::{Progress, run::timestamp};

/// Plain lines are this far apart at least.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Progress on standard error.
pub(crate) struct Console {
    terminal: bool,
    log: Option<Mutex<File>>,
    work: Mutex<Option<Work>>,
}

/// The present piece of work.
struct Work {
    what: String,
    unit: String,
    total: Option<u64>,
    done: u64,
    /// Of these, what was done before this start.
    before: u64,
    message: String,
    started: Instant,
    last_line: Instant,
    bar: ProgressBar,
}

impl Console {
    /// Bars if standard error is a terminal, lines otherwise. `KIDU_PROGRESS` set to `lines` forces lines.
    pub(crate) fn new() -> Self {
        let lines = std::env::var("KIDU_PROGRESS").is_ok_and(|v| v == "lines");
        Self { terminal: std::io::stderr().is_terminal() && !lines, log: None, work: Mutex::new(None) }
    }

    /// Copies notes to a file, appended with the time. A log that cannot be opened is done without.
    pub(crate) fn with_log(mut self, path: &Path) -> Self {
        self.log = OpenOptions::new().create(true).append(true).open(path).ok().map(Mutex::new);
        self
    }

    /// Keeps a failure in the log; the command itself prints it.
    pub(crate) fn log_failure(&self, failure: &crate::failure::Failure) {
        self.log(&failure.to_string());
    }

    fn log(&self, line: &str) {
        if let Some(log) = &self.log {
            let mut file = log.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(file, "{} {line}", timestamp());
        }
    }

    fn with_work(&self, act: impl FnOnce(&mut Work)) {
        if let Some(work) = self.work.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            act(work);
        }
    }
}

impl Work {
    /// Units in a second of this start.
    fn rate(&self) -> f64 {
        (self.done - self.before) as f64 / self.started.elapsed().as_secs_f64().max(1e-3)
    }

    fn line(&self) -> String {
        let of = self.total.map(|t| format!("/{t}")).unwrap_or_default();
        let message = if self.message.is_empty() { String::new() } else { format!("  {}", self.message) };
        let head = format!("{}: {}{of} {}", self.what, self.done, self.unit);
        if self.done == self.before {
            return format!("{head}{message}");
        }
        let rate = self.rate();
        let eta = self
            .total
            .filter(|t| *t > self.done)
            .map(|t| format!(", {} left", human_duration(Duration::from_secs_f64((t - self.done) as f64 / rate))));
        format!("{head} ({}{}){message}", human_rate(rate), eta.unwrap_or_default())
    }
}

impl Progress for Console {
    fn begin(&self, what: &str, unit: &str, total: Option<u64>) {
        let bar = if self.terminal {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            bar.set_style(style(total.is_some(), unit));
            bar.set_prefix(what.to_string());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        let now = Instant::now();
        let work = Work {
            what: what.into(),
            unit: unit.into(),
            total,
            done: 0,
            before: 0,
            message: String::new(),
            started: now,
            last_line: now,
            bar,
        };
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
    }

    fn advance(&self, units: u64) {
        self.with_work(|work| {
            work.done += units;
            work.bar.inc(units);
            if !self.terminal && work.last_line.elapsed() >= LINE_EVERY {
                work.last_line = Instant::now();
                super::note(work.line());
            }
        });
    }

    fn begin_at(&self, units: u64) {
        self.with_work(|work| {
            (work.done, work.before) = (units, units);
            work.bar.set_position(units);
            work.bar.reset_eta();
        });
    }

    fn set_message(&self, message: &str) {
        self.with_work(|work| {
            work.message = message.into();
            work.bar.set_message(message.to_string());
        });
    }

    fn end(&self) {
        if let Some(work) = self.work.lock().unwrap_or_else(PoisonError::into_inner).take() {
            work.bar.finish_and_clear();
            self.log(&work.line());
            if !self.terminal && work.started.elapsed() >= Duration::from_secs(1) {
                super::note(work.line());
            }
        }
    }

    fn note(&self, line: &str) {
        self.log(line);
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        match work.as_ref().filter(|_| self.terminal) {
            Some(work) => work.bar.suspend(|| super::note(line)),
            None => super::note(line),
        }
    }
}

fn style(known: bool, unit: &str) -> ProgressStyle {
    let unit = unit.replace(['{', '}'], "");
    let template = if known {
        format!("{{prefix}} {{bar:28}} {{pos}}/{{len}} {unit} {{per_sec:.dim}} {{eta}} left  {{msg}}")
    } else {
        format!("{{prefix}} {{spinner}} {{pos}} {unit} {{per_sec:.dim}}  {{msg}}")
    };
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `71/s`, `2.5/s`; `4.1s each` for what takes longer than a second.
fn human_rate(rate: f64) -> String {
    match rate {
        9.5.. => format!("{rate:.0}/s"),
        1.0.. => format!("{rate:.1}/s"),
        _ => format!("{} each", human_duration(Duration::from_secs_f64(1.0 / rate))),
    }
}

/// `48s`, `3m 05s`, `2h 07m`.
pub(crate) fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// `512 B`, `4.1 kB`, `1.3 GB`: powers of 1000.
pub(crate) fn human_bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in units {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_work_tells_how_long_each_takes_and_what_was_done_before_is_no_speed() {
        assert_eq!([71.3, 2.46, 0.25, 0.01].map(human_rate), ["71/s", "2.5/s", "4.0s each", "1m 40s each"]);
        let console = Console { terminal: false, log: None, work: Mutex::new(None) };
        console.begin("search", "trials", Some(20));
        console.begin_at(10);
        let line = || console.work.lock().unwrap().as_ref().map(Work::line);
        assert_eq!(line().as_deref(), Some("search: 10/20 trials"));
        console.with_work(|work| work.started = Instant::now().checked_sub(Duration::from_secs(40)).unwrap());
        console.advance(1);
        // Forty seconds and more pass for one: with the ten before, it were four.
        let told = line().unwrap();
        assert!(
            told.starts_with("search: 11/20 trials (4") && told.contains("s each, ") && told.ends_with("s left)"),
            "{told}"
        );
    }
}
