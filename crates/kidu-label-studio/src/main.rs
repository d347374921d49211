//! The binary: Label Studio's ML backend.

use std::process::ExitCode;

use clap::Parser;
use kidu_label_studio::{BackendError, Options, options::Secrets, server};
use kidu_telemetry::logs;

fn main() -> ExitCode {
    let options = Options::parse();
    logs::install(&options.log);
    let outcome = Secrets::read(&options, |name| std::env::var(name).ok())
        .and_then(|secrets| server::run(&options, &secrets, |address| say(&format!("listening on http://{address}"))));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}

#[expect(clippy::print_stdout, reason = "what the command has to say")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "why the command failed")]
fn say_error(error: &BackendError) {
    eprintln!("error: {error}");
}
