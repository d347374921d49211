//! Runs the command and looks at what it said.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// No call takes nearly as long; a call that hangs fails its test by name.
const TIMEOUT: Duration = Duration::from_secs(240);

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

/// The command in a folder, without the caller's settings.
pub(crate) fn kidu(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kidu"));
    isolate(&mut command, dir);
    command.args(arguments);
    command
}

/// Takes the caller's settings from a command and gives it the folder and a cache of its own.
pub(crate) fn isolate(command: &mut Command, dir: &Path) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KIDU_")) {
        command.env_remove(name);
    }
    command.current_dir(dir).env("KIDU_CACHE", dir.join("cache")).stdin(Stdio::null());
}

/// Runs to the end.
pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Ended {
    end_of(kidu(dir, arguments))
}

/// Runs a command to its end.
pub(crate) fn end_of(command: Command) -> Ended {
    let output = assert_cmd::Command::from_std(command).timeout(TIMEOUT).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("the command writes UTF-8");
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

impl Ended {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, Some(expected), "{self:#?}");
        self
    }

    /// Asserts success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    /// Standard output as JSON: nothing else may be on it.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e} in {self:#?}"))
    }

    /// Asserts that the call failed with this code and one message that has all these words, and no result.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        let ended = self.code(code);
        let errors = ended.err.lines().filter(|l| l.starts_with("error: ")).count();
        assert_eq!(errors, 1, "one message: {ended:#?}");
        assert_eq!(ended.out, "", "no result: {ended:#?}");
        assert!(!ended.err.contains("panicked"), "{ended:#?}");
        let message = &ended.err[ended.err.find("error: ").unwrap()..];
        for word in words {
            assert!(message.contains(word), "'{word}' is missing in {message}");
        }
        let first = message.lines().next().unwrap_or_default();
        for part in first.split(": ").filter(|p| p.len() > 12) {
            assert_eq!(first.matches(part).count(), 1, "'{part}' is said twice in {first}");
        }
        ended
    }
}

/// A call that goes on while the test looks at its files; killed when the test is over.
pub(crate) struct Running {
    child: Child,
    log: std::path::PathBuf,
}

impl Running {
    /// Starts; standard error goes to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let child = command.stdout(Stdio::null()).stderr(File::create(log).unwrap()).spawn().unwrap();
        Self { child, log: log.into() }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error so far.
    pub(crate) fn err(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until something holds. It must hold before the call ends.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&str) -> bool) {
        let start = Instant::now();
        while !holds(&self.err()) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended ({ended:?}) before {what}: {}", self.err());
            assert!(start.elapsed() < TIMEOUT, "never {what}: {}", self.err());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends a signal as soon as something holds, and waits for the end. Nothing if the call came to a good end of its own
    /// before, which on a busy machine may be.
    #[track_caller]
    pub(crate) fn interrupt(&mut self, signal: &str, what: &str, holds: impl Fn(&str) -> bool) -> Option<ExitStatus> {
        let start = Instant::now();
        while !holds(&self.err()) {
            if let Some(ended) = self.child.try_wait().unwrap() {
                assert!(ended.success(), "ended ({ended:?}) before {what}: {}", self.err());
                return None;
            }
            assert!(start.elapsed() < TIMEOUT, "never {what}: {}", self.err());
            thread::sleep(Duration::from_millis(1));
        }
        self.signal(signal);
        Some(self.wait()).filter(|ended| !ended.success())
    }

    /// Sends a signal by name, as in `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status().unwrap();
        assert!(sent.success(), "kill -{name} {}", self.id());
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < TIMEOUT, "does not end: {}", self.err());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
