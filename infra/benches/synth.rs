//! How long synthesis takes: ours of all stacks, and the AWS CDK's of the one stack that the Python original has.
//!
//! `KIDU_CDK` names a folder whose `node_modules` holds the CDK: `npm ci` in a copy of `tests/peers/cdk`. Without it, or without
//! node, the CDK is left out. `KIDU_BENCH_RUNS` is the number of fresh processes of each (default 15).

use std::{
    error::Error,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use kidu_infra::Settings;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Syntheses inside one process.
const REPEATS: usize = 200;

fn main() -> Outcome<()> {
    // `cargo test --all-targets` starts benchmarks too, without this.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let runs = match std::env::var("KIDU_BENCH_RUNS") {
        Ok(text) => text.parse::<usize>().ok().filter(|n| *n > 0).ok_or("KIDU_BENCH_RUNS: not a number above 0")?,
        Err(_) => 15,
    };
    let dir = tempfile::tempdir()?;
    let settings = Settings::default();
    let stacks = kidu_infra::synth(&settings)?.stacks.len();
    let mut rows = vec![(
        format!("kidu-infra, in a process: {stacks} stacks"),
        times(REPEATS, || Ok(kidu_infra::synth(&settings).map(drop)?))?,
    )];
    let out = dir.path().join("ours");
    let ours = times(runs, || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kidu-infra"));
        run(command.arg("synth").arg("--out").arg(&out))
    })?;
    holds(&out.join("inference.template.json"), 5)?;
    rows.push((format!("kidu-infra synth: {stacks} stacks, written"), ours));
    let fresh = rows.len() - 1;
    match Cdk::find() {
        Ok(cdk) => {
            let out = dir.path().join("cdk");
            rows.push(("node app.js: the original's stack".into(), times(runs, || run(&mut cdk.app(&out)))?));
            holds(&out.join("inference.template.json"), 5)?;
            let out = dir.path().join("cdk-cli");
            rows.push(("cdk synth: the original's stack".into(), times(runs, || run(&mut cdk.synth(&out)))?));
            holds(&out.join("inference.template.json"), 5)?;
        }
        Err(reason) => writeln!(io::stdout(), "the CDK is left out: {reason}")?,
    }
    print(&rows, fresh)
}

/// The CDK as npm installs it.
struct Cdk {
    modules: PathBuf,
    app: PathBuf,
}

impl Cdk {
    fn find() -> Result<Self, String> {
        let folder = std::env::var_os("KIDU_CDK").map(PathBuf::from);
        let folder =
            folder.ok_or("KIDU_CDK names no folder with its node_modules (npm ci in a copy of tests/peers/cdk)")?;
        let modules = folder.join("node_modules");
        let missing = ["aws-cdk/bin/cdk", "aws-cdk-lib/package.json"].iter().find(|file| !modules.join(file).exists());
        if let Some(file) = missing {
            return Err(format!("{} is not there; run npm ci in {}", modules.join(file).display(), folder.display()));
        }
        run(Command::new("node").arg("--version")).map_err(|e| format!("node does not run: {e}"))?;
        let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/cdk/app.js");
        Ok(Self { modules: std::path::absolute(modules).map_err(|e| e.to_string())?, app })
    }

    /// Node, which finds the CDK though the app lies elsewhere; nothing is asked of the network.
    fn node(&self) -> Command {
        let mut command = Command::new("node");
        command
            .env("NODE_PATH", &self.modules)
            .env("CDK_DISABLE_VERSION_CHECK", "1")
            .env("CDK_DISABLE_CLI_TELEMETRY", "true");
        command
    }

    fn app(&self, out: &Path) -> Command {
        let mut command = self.node();
        command.arg(&self.app).env("CDK_OUTDIR", out);
        command
    }

    fn synth(&self, out: &Path) -> Command {
        let mut command = self.node();
        let options =
            ["synth", "--quiet", "--no-notices", "--no-version-reporting", "--no-asset-metadata", "--no-path-metadata"];
        command.arg(self.modules.join("aws-cdk/bin/cdk")).args(options).arg("--output").arg(out);
        command.arg("--app").arg(format!("node '{}'", self.app.display()));
        command
    }
}

fn run(command: &mut Command) -> Outcome<()> {
    let out = command.stdin(Stdio::null()).output()?;
    match out.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}\n{}", out.status, String::from_utf8_lossy(&out.stderr)).into()),
    }
}

/// A benchmark of something that does not work is quick.
fn holds(template: &Path, resources: usize) -> Outcome<()> {
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(template)?)?;
    let found = json["Resources"].as_object().map_or(0, |r| r.len());
    if found < resources {
        return Err(format!("{}: {found} resources, {resources} at least were meant", template.display()).into());
    }
    Ok(())
}

/// Sorted times, after one that does not count.
fn times(runs: usize, mut once: impl FnMut() -> Outcome<()>) -> Outcome<Vec<Duration>> {
    once()?;
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        once()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn print(rows: &[(String, Vec<Duration>)], reference: usize) -> Outcome<()> {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let at = |times: &[Duration], share: f64| ms(times[((times.len() - 1) as f64 * share).round() as usize]);
    let base = at(&rows[reference].1, 0.5);
    let mut out = io::stdout().lock();
    writeln!(out, "\n{:48} {:>5} {:>11} {:>22} {:>9}", "", "runs", "median, ms", "10 % to 90 %", "ratio")?;
    for (name, times) in rows {
        let spread = format!("{:.1} to {:.1}", at(times, 0.1), at(times, 0.9));
        let median = at(times, 0.5);
        writeln!(out, "{name:48} {:>5} {median:>11.1} {spread:>22} {:>9.2}", times.len(), median / base)?;
    }
    Ok(())
}
