#!/usr/bin/env python3
"""Load a bundle's weights in timm and compare its answers with `kidu predict`.

Usage: load_bundle.py [--kidu KIDU] [--tolerance T] BUNDLE IMAGE...

The weights are loaded into timm's own network, strictly: every key and shape must be the same. Each image goes through
Pillow and timm's own transform, set up as bundle.json says. Where an image must be resized or is a JPEG, such inputs
differ from Kidu's by one grey level here and there, and the probabilities may differ by T (default 0.001). Lossless
images of the network's own size give the same inputs: there 0.00001 holds. KIDU is the kidu command; by default the
one on the PATH. Needs Pillow, safetensors, timm and torch.
Exit code 0 if everything agrees, 1 if something does not, 2 for wrong usage.
"""

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.data import create_transform


def load_network(bundle, manifest):
    """timm's network with the bundle's weights, for evaluation."""
    options = {"pad_type": manifest["pad_type"]} if manifest.get("pad_type") else {}
    network = timm.create_model(manifest["model"], num_classes=len(manifest["classes"]), **options)
    network.load_state_dict(load_file(bundle / "weights.safetensors"), strict=True)
    return network.eval()


def preprocess(spec):
    """timm's own evaluation transform as bundle.json describes it."""
    crop = spec["crop"]
    return create_transform(
        (3, spec["height"], spec["width"]),
        interpolation=spec["filter"],
        mean=spec["mean"],
        std=spec["std"],
        crop_mode=crop["mode"],
        crop_pct=crop.get("pct", 1.0),
    )


def read(path):
    """A decoded image."""
    with Image.open(path) as image:
        return image.convert("RGB")


def ask_kidu(kidu, bundle, images):
    """The parsed answer of `kidu predict --json`."""
    command = [kidu, "predict", "--bundle", bundle, "--json", *images]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def compare(manifest, probabilities, answers, tolerance):
    """Sentences about what differs, and the largest difference of a probability."""
    failures, largest = [], 0.0
    if len(answers) != len(probabilities):
        return [f"kidu answered for {len(answers)} of {len(probabilities)} images"], math.nan
    for answer, row in zip(answers, probabilities):
        expected = dict(zip(manifest["classes"], row))
        if answer["probabilities"].keys() != expected.keys():
            failures.append(f"{answer['path']}: kidu names the classes {list(answer['probabilities'])}")
            continue
        difference = max(abs(answer["probabilities"][name] - p) for name, p in expected.items())
        largest = max(largest, difference)
        if not difference <= tolerance:
            failures.append(f"{answer['path']}: timm says {expected}, kidu {answer['probabilities']}")
        second, best = sorted(expected.values())[-2:]
        if best - second > 2 * tolerance and expected[answer["label"]] != best:
            failures.append(f"{answer['path']}: kidu says {answer['label']}, timm {max(expected, key=expected.get)}")
    return failures, largest


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--kidu", default="kidu")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("images", nargs="+")
    options = parser.parse_args()

    manifest = json.loads((options.bundle / "bundle.json").read_text(encoding="utf-8"))
    network = load_network(options.bundle, manifest)
    transform = preprocess(manifest["image"])
    with torch.inference_mode():
        logits = network(torch.stack([transform(read(path)) for path in options.images])).double()
    probabilities = torch.softmax(logits / manifest["temperature"], dim=1).tolist()
    answers = ask_kidu(options.kidu, options.bundle, options.images)
    failures, largest = compare(manifest, probabilities, answers, options.tolerance)

    for failure in failures:
        print(f"MISMATCH {failure}")
    agreed = "all agree" if not failures else f"{len(failures)} differ"
    print(f"{manifest['model']}: {len(options.images)} images in timm {timm.__version__}: {agreed} "
          f"(largest difference of a probability {largest:.1e}, allowed {options.tolerance:.0e})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
