//! Generated scenes: six kinds of pictures drawn from random numbers alone, for demonstrations and tests that need a
//! real task without a download.
//!
//! The kinds share palettes, skies, ridgelines, trees and façades, so that mean colours and single textures do not
//! tell them apart, while a small convolutional network can learn them.

mod buildings;
mod canvas;
mod city;
mod color;
mod dataset;
mod error;
mod facade;
mod forest;
mod glacier;
mod lens;
mod mountain;
mod noise;
mod plants;
mod props;
mod scene;
mod sea;
mod stage;
mod street;
mod terrain;
mod weather;

pub use dataset::{MARKER, SynthOptions, SynthSummary, synthesize};
pub use error::SynthError;
pub use scene::{SceneKind, draw_scene};
