//! Logs: one JSON object a line on standard error.

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;

/// What is logged, and how.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Logs")]
pub struct LogOptions {
    /// What is logged: what was served and done is `info`, requests for health and metrics `debug`.
    #[arg(long, env = "KIDU_LOG_LEVEL", value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
    /// The form of a log line.
    #[arg(long, env = "KIDU_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Faults of ours.
    Error,
    /// And what went wrong without harm.
    Warn,
    /// And what was served and done.
    Info,
    /// And all other requests.
    Debug,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A JSON object.
    Json,
    /// Words.
    Text,
}

/// Sends the events of this process to standard error. Once a process; later calls change nothing.
pub fn install(options: &LogOptions) {
    let level = match options.log_level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    let _ = match options.log_format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        LogFormat::Text => lines.with_ansi(false).try_init(),
    };
}
