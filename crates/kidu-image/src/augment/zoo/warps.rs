//! `shift_scale_rotate`, `optical_distortion`, `grid_distortion`, `piecewise_affine`.

use image::RgbImage;
use kidu_core::rng::{self, ChaCha8Rng};
use serde::{Deserialize, Serialize};

use super::{Change, Check, draw, range};
use crate::augment::functional::{self, BorderMode};

/// Moved, scaled and turned about the middle; albumentations' `ShiftScaleRotate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShiftScaleRotate {
    /// Least and greatest shift as a share of width and height, in [-1, 1]; a number n is [-n, n].
    #[serde(deserialize_with = "range::symmetric")]
    pub shift_limit: [f64; 2],
    /// Least and greatest change of the scale, above -1 and at most 10: 0.2 is a fifth larger; a number n is [-n, n].
    #[serde(deserialize_with = "range::symmetric")]
    pub scale_limit: [f64; 2],
    /// Least and greatest turn in degrees, counter-clockwise, -360 to 360; a number n is [-n, n].
    #[serde(deserialize_with = "range::symmetric")]
    pub rotate_limit: [f64; 2],
    /// What is shown beyond the edges.
    pub border_mode: BorderMode,
    /// The colour of `border_mode: constant`.
    pub fill: [u8; 3],
    /// Probability.
    pub p: f64,
}

impl Default for ShiftScaleRotate {
    fn default() -> Self {
        Self {
            shift_limit: [-0.0625, 0.0625],
            scale_limit: [-0.1, 0.1],
            rotate_limit: [-45.0, 45.0],
            border_mode: BorderMode::Reflect101,
            fill: [0; 3],
            p: 0.5,
        }
    }
}

impl Change for ShiftScaleRotate {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.range(
            "shift_limit",
            self.shift_limit,
            (-1.0, 1.0),
            "it is [least, greatest] share of the side, in [-1, 1]",
        );
        let rule = "it is [least, greatest] change of the scale, from -0.99 to 10";
        check.range("scale_limit", self.scale_limit, (-0.99, 10.0), rule);
        check.range("rotate_limit", self.rotate_limit, (-360.0, 360.0), "it is [least, greatest] turn, -360 to 360");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let (width, height) = image.dimensions();
        let degrees = draw::uniform(self.rotate_limit, rng);
        let scale = 1.0 + draw::uniform(self.scale_limit, rng);
        let right = f64::from(width) * draw::uniform(self.shift_limit, rng);
        let down = f64::from(height) * draw::uniform(self.shift_limit, rng);
        let matrix = functional::rotation_matrix(width, height, degrees, scale, [right, down]);
        functional::warp_affine(image, matrix, self.border_mode, self.fill)
    }
}

/// The bend of a lens; albumentations' `OpticalDistortion` (mode `camera`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpticalDistortion {
    /// Least and greatest coefficient, in [-1, 1]; a number n is [-n, n].
    #[serde(deserialize_with = "range::symmetric")]
    pub distort_limit: [f64; 2],
    /// What is shown beyond the edges.
    pub border_mode: BorderMode,
    /// The colour of `border_mode: constant`.
    pub fill: [u8; 3],
    /// Probability.
    pub p: f64,
}

impl Default for OpticalDistortion {
    fn default() -> Self {
        Self { distort_limit: [-0.05, 0.05], border_mode: BorderMode::Reflect101, fill: [0; 3], p: 0.5 }
    }
}

impl Change for OpticalDistortion {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.range("distort_limit", self.distort_limit, (-1.0, 1.0), "it is [least, greatest], both in [-1, 1]");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        functional::optical_distortion(image, draw::uniform(self.distort_limit, rng), self.border_mode, self.fill)
    }
}

/// The cells of a grid are stretched at random; albumentations' `GridDistortion`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GridDistortion {
    /// Cells along each side, 1 to 100.
    pub num_steps: u32,
    /// Least and greatest change of a cell's size, above -1 and at most 1; a number n is [-n, n].
    #[serde(deserialize_with = "range::symmetric")]
    pub distort_limit: [f64; 2],
    /// Whether the cells are scaled so that nothing beyond the edges is shown.
    pub normalized: bool,
    /// What is shown beyond the edges.
    pub border_mode: BorderMode,
    /// The colour of `border_mode: constant`.
    pub fill: [u8; 3],
    /// Probability.
    pub p: f64,
}

impl Default for GridDistortion {
    fn default() -> Self {
        Self {
            num_steps: 5,
            distort_limit: [-0.3, 0.3],
            normalized: true,
            border_mode: BorderMode::Reflect101,
            fill: [0; 3],
            p: 0.5,
        }
    }
}

impl Change for GridDistortion {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.rule((1..=100).contains(&self.num_steps), "num_steps", &self.num_steps, "use 1 to 100");
        check.range("distort_limit", self.distort_limit, (-0.99, 1.0), "it is [least, greatest], from -0.99 to 1");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let mut axis = |length: u32| {
            let factors: Vec<f64> =
                (0..=self.num_steps).map(|_| 1.0 + draw::uniform(self.distort_limit, rng)).collect();
            functional::grid_axis(length, self.num_steps, &factors, self.normalized)
        };
        let (columns, rows) = (axis(image.width()), axis(image.height()));
        functional::grid_distortion(image, &columns, &rows, self.border_mode, self.fill)
    }
}

/// The points of a grid are moved, what lies between follows; albumentations' `PiecewiseAffine` with imgaug's and
/// scikit-image's triangles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PiecewiseAffine {
    /// Least and greatest standard deviation of the shifts as a share of height and width, in [0, 0.5].
    #[serde(deserialize_with = "range::exact")]
    pub scale: [f64; 2],
    /// Rows of the grid, 2 to 64.
    pub nb_rows: u32,
    /// Columns of the grid, 2 to 64.
    pub nb_cols: u32,
    /// Probability.
    pub p: f64,
}

impl Default for PiecewiseAffine {
    fn default() -> Self {
        Self { scale: [0.03, 0.05], nb_rows: 4, nb_cols: 4, p: 0.5 }
    }
}

impl Change for PiecewiseAffine {
    fn p(&self) -> f64 {
        self.p
    }

    fn check(&self, check: &mut Check) {
        check.range("scale", self.scale, (0.0, 0.5), "it is [least, greatest] share of the sides, both in [0, 0.5]");
        check.rule((2..=64).contains(&self.nb_rows), "nb_rows", &self.nb_rows, "use 2 to 64");
        check.rule((2..=64).contains(&self.nb_cols), "nb_cols", &self.nb_cols, "use 2 to 64");
    }

    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
        let (width, height) = (f64::from(image.width()), f64::from(image.height()));
        let scale = draw::uniform(self.scale, rng);
        let points = self.nb_rows * self.nb_cols;
        let offsets: Vec<[f32; 2]> = (0..points)
            .map(|_| [(scale * width * rng::normal(rng)) as f32, (scale * height * rng::normal(rng)) as f32])
            .collect();
        // Places are cut to the image, so that no border is ever shown.
        functional::piecewise_affine(image, (self.nb_rows, self.nb_cols), &offsets, BorderMode::Replicate, [0; 3])
    }
}
