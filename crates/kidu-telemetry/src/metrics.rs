//! Metrics for Prometheus, in the OpenMetrics text format.

use prometheus_client::{
    encoding::text,
    metrics::{
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};

/// The media type of [`openmetrics`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything in a registry as text.
pub fn openmetrics(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a text does not fail; if it did, a scrape without `# EOF` is refused by Prometheus.
    let _ = text::encode(&mut text, registry);
    text
}

/// A registry whose names begin with `prefix`, and that tells the version of Kidu as `build_info`.
pub fn registry(prefix: &str) -> Registry {
    let mut registry = Registry::with_prefix(prefix);
    registry.register("build", "The version of Kidu", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
    registry
}

/// A histogram of seconds: `buckets` bounds from `shortest` on, each twice the one before.
pub fn seconds(shortest: f64, buckets: u16) -> Histogram {
    Histogram::new(exponential_buckets(shortest, 2.0, buckets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_tells_its_version_and_ends() {
        let mut registry = registry("kidu_test");
        registry.register("duration", "Of a test", {
            let duration = seconds(0.5, 3);
            duration.observe(0.7);
            duration
        });
        let text = openmetrics(&registry);
        assert!(
            text.contains(&format!("kidu_test_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))),
            "{text}"
        );
        assert!(text.contains("kidu_test_duration_bucket{le=\"1.0\"} 1"), "{text}");
        assert!(text.contains("le=\"2.0\"") && !text.contains("le=\"4.0\""), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
