//! Logs: one JSON object a line on standard output, where Lambda takes them.

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{Layer as _, filter::filter_fn, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Sends the events of this process to standard output. `KIDU_LOG_LEVEL` (off, error, warn, info, debug) or Lambda's own
/// `AWS_LAMBDA_LOG_LEVEL` decides what; `info` without.
pub fn install() {
    let named = |name| std::env::var(name).ok().and_then(|text| level(&text));
    let level = named("KIDU_LOG_LEVEL").or_else(|| named("AWS_LAMBDA_LOG_LEVEL")).unwrap_or(LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stdout).with_target(false);
    let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
    // The runtime's span has the id of the invocation, which Lambda's own lines and the metrics have, too: it is there whatever
    // is logged.
    let wanted = filter_fn(move |what| *what.level() <= level || what.is_span() && *what.level() <= Level::INFO);
    // A second call in one process, as in tests, changes nothing.
    let _ = tracing_subscriber::registry().with(lines.with_filter(wanted)).try_init();
}

fn level(text: &str) -> Option<LevelFilter> {
    // Lambda's name for what ends the process.
    if text.eq_ignore_ascii_case("fatal") {
        return Some(LevelFilter::ERROR);
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_of_lambda_is_known() {
        for name in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "off"] {
            assert!(level(name).is_some(), "{name}");
        }
        assert_eq!((level("FATAL"), level("loud")), (Some(LevelFilter::ERROR), None));
    }
}
