//! The peers: a Python process that is asked to run PyTorch, ONNX Runtime or Pillow, line by line.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};

use crate::{Outcome, failure::Failure};

/// What the process runs.
const SCRIPT: &str = include_str!("peer.py");

/// Settings of matrix libraries that would make a peer slower, or faster, than it is.
const FOREIGN: [&str; 2] = ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"];

/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// A Python that can be asked, at one number of threads at a time.
pub(super) struct Peers {
    python: Option<OsString>,
    /// Versions by package, as it told them.
    versions: Option<Value>,
    current: Option<(usize, Peer)>,
}

impl Peers {
    /// Starts the Python once, to see that it answers.
    ///
    /// # Errors
    /// A usage error if it does not.
    pub(super) fn open(python: Option<&OsString>) -> Outcome<Self> {
        let Some(python) = python.filter(|p| !p.is_empty()) else {
            return Ok(Self { python: None, versions: None, current: None });
        };
        let peer = Peer::start(python, 1).map_err(|e| {
            Failure::Usage(e.context(format!(
                "--peer-python {}: give the path of a Python 3 with torch, timm, onnxruntime, onnx and Pillow, or \
                 leave the option out to measure without peers",
                python.display()
            )))
        })?;
        Ok(Self { python: Some(python.clone()), versions: Some(peer.versions.clone()), current: Some((1, peer)) })
    }

    /// Versions of what is installed.
    pub(super) fn versions(&self) -> Option<&Value> {
        self.versions.as_ref()
    }

    /// The process with that many threads, started if it does not run; none if no Python was given.
    pub(super) fn at(&mut self, threads: usize) -> Outcome<Option<&mut Peer>> {
        let fits = self.current.as_ref().is_some_and(|(at, peer)| *at == threads && !peer.ended);
        if !fits {
            // The old one goes first: two would share the memory.
            self.current = None;
            self.current = self.fresh(threads)?.map(|peer| (threads, peer));
        }
        Ok(self.current.as_mut().map(|(_, peer)| peer))
    }

    /// Ends the process that runs, if any.
    pub(super) fn rest(&mut self) {
        self.current = None;
    }

    /// A process of its own.
    pub(super) fn fresh(&self, threads: usize) -> Outcome<Option<Peer>> {
        Ok(self.python.as_ref().map(|python| Peer::start(python, threads)).transpose()?)
    }
}

/// A running peer process. It ends when its input is closed.
pub(super) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// The last line it wrote to standard error.
    last_words: Option<JoinHandle<String>>,
    versions: Value,
    /// Whether it is no longer there.
    ended: bool,
}

impl Peer {
    fn start(python: &OsStr, threads: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(python);
        command.arg("-c").arg(SCRIPT).arg(threads.to_string());
        for name in FOREIGN {
            command.env_remove(name);
        }
        for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"] {
            command.env(name, threads.to_string());
        }
        command.env("PYTHONWARNINGS", "ignore");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start it")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let last_words = child.stderr.take().map(|stderr| thread::spawn(move || last_line(stderr)));
        let output = BufReader::new(output.ok_or_else(|| anyhow!("it has no standard output"))?);
        let mut peer = Self { child, input, output, last_words, versions: Value::Null, ended: false };
        let greeting = peer.answer().map_err(|reason| anyhow!(reason))?;
        match greeting.get("ready") {
            Some(versions) => peer.versions = versions.clone(),
            None => bail!("it answered {greeting} instead of its versions"),
        }
        Ok(peer)
    }

    /// Builds something to measure, and warms it up.
    ///
    /// # Errors
    /// Why it cannot, in a few words.
    pub(super) fn prepare(&mut self, id: usize, request: &Value) -> Result<(), String> {
        let mut request = request.clone();
        request["prepare"] = json!(id);
        self.ask(&request).map(drop)
    }

    /// The seconds of each run within one turn.
    ///
    /// # Errors
    /// Why it cannot, in a few words.
    pub(super) fn turn(&mut self, id: usize, seconds: f64) -> Result<Vec<f64>, String> {
        let answer = self.ask(&json!({"turn": id, "seconds": seconds}))?;
        let times: Vec<f64> = serde_json::from_value(answer["seconds"].clone()).map_err(|e| e.to_string())?;
        if times.is_empty() { Err("it ran nothing".into()) } else { Ok(times) }
    }

    /// Frees what was prepared. One that is gone has freed it.
    pub(super) fn forget(&mut self, id: usize) {
        let _ = self.ask(&json!({"forget": id}));
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// The peer's reason, or that it ended.
    pub(super) fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let sent = match &mut self.input {
            Some(input) if !self.ended => writeln!(input, "{request}").and_then(|()| input.flush()),
            _ => return Err("the peer's process has ended".into()),
        };
        // A closed pipe shows again when the answer does not come, with the reason.
        drop(sent);
        let answer = self.answer()?;
        match answer.get("missing") {
            Some(reason) => Err(reason.as_str().unwrap_or("no reason given").to_string()),
            None => Ok(answer),
        }
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(1..) => serde_json::from_str(&line).map_err(|_| {
                self.end();
                format!("it answered '{}', which is no JSON", line.trim_end())
            }),
            Ok(0) | Err(_) => Err(self.end()),
        }
    }

    /// Ends the process; says how it ended.
    fn end(&mut self) -> String {
        self.ended = true;
        // Without its input it ends by itself, and its own exit code says more than ours; one that hangs is killed.
        self.input = None;
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begin.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let status = self.child.wait().map_or_else(|e| e.to_string(), |s| s.to_string());
        let words = self.last_words.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        let colon = if words.is_empty() { "" } else { ": " };
        format!("its process ended ({status}){colon}{words}")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !self.ended {
            self.end();
        }
    }
}

/// Reads to the end; the last line that says anything.
fn last_line(stderr: impl std::io::Read) -> String {
    let lines = BufReader::new(stderr).lines().map_while(Result::ok);
    lines.filter(|line| !line.trim().is_empty()).last().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_no_python_is_a_usage_error() {
        for program in ["/nonexistent/python", "true", "cat"] {
            let Err(failure) = Peers::open(Some(&OsString::from(program))) else { panic!("{program} answered") };
            assert!(matches!(failure, Failure::Usage(_)), "{failure}");
            let message = failure.to_string();
            assert!(message.contains(program) && message.contains("leave the option out"), "{message}");
        }
    }

    #[test]
    fn no_python_means_no_peers() {
        let mut peers = Peers::open(Some(&OsString::new())).unwrap();
        assert!(peers.at(2).unwrap().is_none() && peers.versions().is_none());
    }
}
