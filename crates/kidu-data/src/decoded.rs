//! Images that were decoded already, by the hash of their bytes.

use std::collections::HashMap;

use kidu_core::Sha256Hex;
use kidu_image::Limits;

use crate::check::{Facts, Thumbnail};

/// What the doctor found of images that decode, so that [`prepare_decoded`](crate::prepare_decoded) need not decode them
/// again. It goes by their bytes: a file that has changed since is another image.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// The limits within which they decode.
    limits: Limits,
    images: HashMap<Sha256Hex, Option<Thumbnail>>,
}

impl Decoded {
    /// The images among `facts` that decode, which were measured within `limits`.
    pub fn of(facts: impl IntoIterator<Item = Facts>, limits: &Limits) -> Self {
        // Pixels were measured exactly where there were any, also of an image that has another fault.
        let decoded = |f: Facts| f.pixels.and(f.sha256).map(|hash| (hash, f.thumbnail));
        Self { limits: *limits, images: facts.into_iter().filter_map(decoded).collect() }
    }

    /// What an image of these bytes is recognised by, `Some(None)` where nothing can be; `None` for one that is not
    /// known to decode within these limits.
    pub(crate) fn get(&self, hash: &Sha256Hex, limits: &Limits) -> Option<Option<&Thumbnail>> {
        self.images.get(hash).filter(|_| self.limits == *limits).map(Option::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_decodes_within_the_same_limits_is_known() {
        let image = image::RgbImage::from_fn(40, 40, |x, y| image::Rgb([x as u8 * 6, y as u8 * 6, 0]));
        let mut png = std::io::Cursor::new(Vec::new());
        image.write_to(&mut png, image::ImageFormat::Png).unwrap();
        let png = png.into_inner();
        let (limits, torn) = (Limits::default(), &png[..png.len() - 20]);
        let facts = [png.as_slice(), torn, b"text"].map(|bytes| Facts::of_bytes(bytes, &limits));
        let decoded = Decoded::of(facts, &limits);
        let hash = Sha256Hex::of_bytes(&png);
        assert_eq!(decoded.get(&hash, &limits), Some(Thumbnail::of(&image).as_ref()));
        assert!(decoded.get(&hash, &limits).flatten().is_some());
        assert_eq!(decoded.get(&hash, &Limits { max_pixels: 9, ..limits }), None);
        assert_eq!(decoded.get(&Sha256Hex::of_bytes(torn), &limits), None);
        assert_eq!(Decoded::default().get(&hash, &limits), None);
    }
}
