//! What networks cost in arithmetic.

use crate::architecture::{Architecture, BlockKind, EfficientNetSpec, ResNetSpec};

impl Architecture {
    /// Multiplications of all convolutions for one image; each comes with an addition. What else a network does (norms,
    /// pooling, the classifier) is below a hundredth of it and not counted.
    ///
    /// ```
    /// let resnet18 = &kidu_core::model::find("resnet18")?.architecture;
    /// assert_eq!(resnet18.products(224, 224) / 1_000_000, 1813);
    /// # Ok::<(), kidu_core::Error>(())
    /// ```
    pub fn products(&self, height: usize, width: usize) -> u64 {
        let mut count = Count { height, width, products: 0 };
        match self {
            Self::ResNet(spec) => count.resnet(spec),
            Self::EfficientNet(spec) => count.efficientnet(spec),
        }
        count.products
    }
}

/// The size of the present feature map, and the products so far.
struct Count {
    height: usize,
    width: usize,
    products: u64,
}

impl Count {
    /// A convolution whose outputs see `inputs` channels each.
    fn conv(&mut self, inputs: usize, outputs: usize, kernel: usize, stride: usize) {
        self.shrink(stride);
        self.products += (self.height * self.width * outputs * kernel * kernel * inputs) as u64;
    }

    /// Both ways of padding leave ceil(size / stride) pixels.
    fn shrink(&mut self, stride: usize) {
        (self.height, self.width) = (self.height.div_ceil(stride), self.width.div_ceil(stride));
    }

    fn resnet(&mut self, spec: &ResNetSpec) {
        self.conv(3, spec.stem_channels, 7, 2);
        self.shrink(2);
        let mut input = spec.stem_channels;
        for (layer, output) in spec.channels.into_iter().enumerate() {
            for block in 0..spec.layers[layer] {
                let stride = if layer > 0 && block == 0 { 2 } else { 1 };
                self.conv(input, output, 3, stride);
                self.conv(output, output, 3, 1);
                if stride != 1 || input != output {
                    // The shortcut ends at the size that the block has now.
                    self.conv(input, output, 1, 1);
                }
                input = output;
            }
        }
    }

    fn efficientnet(&mut self, spec: &EfficientNetSpec) {
        self.conv(3, spec.stem_channels, 3, 2);
        let mut channels = spec.stem_channels;
        for block in spec.stages.iter().flatten() {
            if block.kind == BlockKind::InvertedResidual {
                self.conv(block.in_channels, block.mid_channels, 1, 1);
            }
            self.conv(1, block.mid_channels, block.kernel, block.stride);
            self.conv(block.mid_channels, block.out_channels, 1, 1);
            channels = block.out_channels;
        }
        self.conv(channels, spec.head_channels, 1, 1);
    }
}

#[cfg(test)]
mod tests {
    use crate::model::find;

    /// Multiply-adds that torchvision publishes, without the classifier's.
    #[test]
    fn the_counts_are_torchvisions() {
        let products = |name| find(name).unwrap().architecture.products(224, 224);
        assert_eq!(products("resnet18"), 1_814_073_344 - 512 * 1000);
        assert_eq!(products("mobilenetv2_100"), 300_774_272 - 1280 * 1000);
    }

    /// timm publishes millions of multiply-adds to two or three digits and counts norms and the classifier too.
    #[test]
    fn the_counts_are_a_little_below_timms() {
        for (name, published) in [
            ("resnet18", 1820.0),
            ("mobilenetv2_100", 310.0),
            ("spnasnet_100", 350.0),
            ("efficientnet_lite0", 400.0),
            ("tf_efficientnet_lite0", 400.0),
        ] {
            let millions = find(name).unwrap().architecture.products(224, 224) as f64 / 1e6;
            assert!((0.93..1.0).contains(&(millions / published)), "{name}: {millions} instead of {published}");
        }
    }

    #[test]
    fn odd_sizes_round_up() {
        let network = &find("mobilenetv2_100").unwrap().architecture;
        assert_eq!(network.products(223, 224), network.products(224, 224));
        assert!(network.products(192, 224) < network.products(224, 224));
    }
}
