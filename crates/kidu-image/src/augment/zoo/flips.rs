//! `random_rotate90`, `flip`, `horizontal_flip`, `vertical_flip`, `transpose`.

use kidu_core::rng::ChaCha8Rng;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::augment::functional::Dihedral;

macro_rules! moves {
    ($($(#[$doc:meta])* $Name:ident => $draw:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $Name {
            /// Probability.
            pub p: f64,
        }

        impl Default for $Name {
            fn default() -> Self {
                Self { p: 0.5 }
            }
        }

        impl $Name {
            /// What is done this time.
            pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Dihedral {
                let draw: fn(&mut ChaCha8Rng) -> Dihedral = $draw;
                draw(rng)
            }
        }
    )*};
}

moves! {
    /// 0 to 3 quarter turns; albumentations' `RandomRotate90`.
    RandomRotate90 => |rng| Dihedral::rot90(rng.random_range(0..4));
    /// A mirror image: left and right, top and bottom, or both; albumentations' `Flip`.
    Flip => |rng| [Dihedral::HORIZONTAL, Dihedral::VERTICAL, Dihedral::BOTH][rng.random_range(0..3_usize)];
    /// Left and right change places; albumentations' `HorizontalFlip`.
    HorizontalFlip => |_| Dihedral::HORIZONTAL;
    /// Top and bottom change places; albumentations' `VerticalFlip`.
    VerticalFlip => |_| Dihedral::VERTICAL;
    /// Rows and columns change places; albumentations' `Transpose`.
    Transpose => |_| Dihedral::TRANSPOSE;
}
