//! Pipeline 1: the list of the original Project Kidu, after albumentations' example notebook.

use super::{
    functional::BorderMode,
    zoo::{
        Blur, Clahe, Emboss, Flip, GaussNoise, GridDistortion, HueSaturationValue, MedianBlur, MotionBlur, OneOf,
        OpticalDistortion, PiecewiseAffine, RandomBrightnessContrast, RandomRotate90, Sharpen, ShiftScaleRotate,
        Transform, Transpose,
    },
};

/// The list of pipeline 1.
///
/// Its noise has the strengths of the versions of albumentations that the list was written for: a standard deviation of 1
/// to 5 % for `IAAAdditiveGaussianNoise`, a variance of 10 to 50 grey levels for `GaussNoise`.
pub fn albumentations() -> Vec<Transform> {
    let one_of = |p, transforms| Transform::OneOf(OneOf { transforms, p });
    vec![
        Transform::RandomRotate90(RandomRotate90::default()),
        Transform::Flip(Flip::default()),
        Transform::Transpose(Transpose::default()),
        one_of(
            0.2,
            vec![
                Transform::GaussNoise(GaussNoise { std_range: [0.01, 0.05], per_channel: false, ..Default::default() }),
                Transform::GaussNoise(GaussNoise { std_range: [0.0124, 0.0277], ..Default::default() }),
            ],
        ),
        one_of(
            0.2,
            vec![
                Transform::MotionBlur(MotionBlur { p: 0.2, ..Default::default() }),
                Transform::MedianBlur(MedianBlur { blur_limit: [3, 3], p: 0.1 }),
                Transform::Blur(Blur { blur_limit: [3, 3], p: 0.1 }),
            ],
        ),
        Transform::ShiftScaleRotate(ShiftScaleRotate {
            shift_limit: [-0.0625, 0.0625],
            scale_limit: [-0.2, 0.2],
            rotate_limit: [-45.0, 45.0],
            border_mode: BorderMode::Reflect101,
            p: 0.2,
            ..Default::default()
        }),
        one_of(
            0.2,
            vec![
                Transform::OpticalDistortion(OpticalDistortion { p: 0.3, ..Default::default() }),
                Transform::GridDistortion(GridDistortion { p: 0.1, normalized: false, ..Default::default() }),
                Transform::PiecewiseAffine(PiecewiseAffine { p: 0.3, ..Default::default() }),
            ],
        ),
        one_of(
            0.3,
            vec![
                Transform::Clahe(Clahe { clip_limit: [1.0, 2.0], ..Default::default() }),
                Transform::Sharpen(Sharpen::default()),
                Transform::Emboss(Emboss::default()),
                Transform::RandomBrightnessContrast(RandomBrightnessContrast::default()),
            ],
        ),
        Transform::HueSaturationValue(HueSaturationValue { p: 0.3, ..Default::default() }),
    ]
}
