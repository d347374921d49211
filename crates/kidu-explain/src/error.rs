//! What can go wrong.

/// A result of this crate.
pub type Result<T, E = ExplainError> = std::result::Result<T, E>;

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// An option outside its range.
    #[error("{option}: {reason}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What it must be.
        reason: String,
    },
    /// The attributions do not add up to what they should explain.
    #[error(
        "the attributions sum to {sum:.4}, but the output differs from the baseline's by {difference:.4}: {share:.1} % \
         off, more than the limit of {limit:.1} %; take more steps (now {steps})"
    )]
    Convergence {
        /// Sum of the attributions.
        sum: f64,
        /// F(x) - F(baseline).
        difference: f64,
        /// |sum - difference| in percent of the larger of them.
        share: f64,
        /// The most percent allowed.
        limit: f64,
        /// Steps that were taken.
        steps: usize,
    },
    /// The network or its weights.
    #[error(transparent)]
    Engine(#[from] kidu_engine::EngineError),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] kidu_core::Error),
    /// A picture cannot be encoded.
    #[error("the picture cannot be written: {0}")]
    Image(#[from] image::ImageError),
    /// A plot cannot be drawn.
    #[error(transparent)]
    Plot(#[from] kidu_plot::PlotError),
}
