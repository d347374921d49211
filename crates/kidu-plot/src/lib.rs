//! Plots as SVG text and as PNG: line and scatter charts with linear and logarithmic axes, bars, parallel coordinates,
//! and the drawing primitives under them.
//!
//! SVG needs no font of ours. [`png()`] draws it with an embedded one, so that a plot looks the same on a machine without
//! fonts.

mod axis;
mod bars;
mod chart;
mod colormap;
mod parallel;
mod png;
mod svg;

pub use axis::{Axis, Scale};
pub use bars::bars;
pub use chart::{Chart, Mark, Series, Style, figure};
pub use colormap::inferno;
pub use kidu_core::markup::escape;
pub use parallel::{Coordinate, Thread, Ticks, parallel_coordinates};
pub use png::{PlotError, png};
pub use svg::{Anchor, Frame, GRID, INK, Svg, blue, short, shorten};

/// Ten colours that differ in hue and lightness.
pub const COLOURS: [&str; 10] =
    ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17a2b8", "#8c564b", "#e377c2", "#7f7f7f", "#a8a800"];
