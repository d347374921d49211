#!/usr/bin/env python3
"""Print torchvision's AutoAugment policy for ImageNet and the strengths of AutoAugment and TrivialAugmentWide as JSON.

Usage: augment_policies.py
"""

import json

from torchvision.transforms import AutoAugment, AutoAugmentPolicy, TrivialAugmentWide


def space(entries):
    return {
        name: {"values": magnitudes.flatten().tolist(), "signed": signed}
        for name, (magnitudes, signed) in entries.items()
    }


auto = AutoAugment(AutoAugmentPolicy.IMAGENET)
print(
    json.dumps(
        {
            "imagenet": [[list(step) for step in pair] for pair in auto.policies],
            # Height 662, width 331.
            "auto_space": space(auto._augmentation_space(10, (662, 331))),
            "trivial_space": space(TrivialAugmentWide()._augmentation_space(31)),
        }
    )
)
