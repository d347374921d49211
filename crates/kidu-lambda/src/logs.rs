//! Logs: one JSON object a line on standard output, where Lambda takes them.

use tracing::level_filters::LevelFilter;

/// Sends the events of this process to standard output. `KIDU_LOG_LEVEL` (off, error, warn, info, debug) or Lambda's own
/// `AWS_LAMBDA_LOG_LEVEL` decides what; `info` without.
pub fn install() {
    let named = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<LevelFilter>().ok());
    let level = named("KIDU_LOG_LEVEL").or_else(|| named("AWS_LAMBDA_LOG_LEVEL")).unwrap_or(LevelFilter::INFO);
    // The runtime's own lines tell every poll.
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stdout).with_target(false);
    // A second call in one process, as in tests, changes nothing.
    let _ = lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init();
}
