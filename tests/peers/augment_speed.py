#!/usr/bin/env python3
"""Print how many photographs a second one core decodes, resizes to 224 pixels and augments with albumentations, with the
list of Kidu's pipeline 1.

Usage: augment_speed.py FOLDER full|"without piecewise_affine"

Needs albumentations and OpenCV.
"""

import os
import sys
import time
import warnings
from pathlib import Path

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
warnings.filterwarnings("ignore")

import albumentations as A  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402


def transforms(piecewise):
    # The original's list under the names of today's albumentations: IAA* are gone, Flip is one of two.
    bends = [
        A.OpticalDistortion(p=0.3, border_mode=cv2.BORDER_REFLECT_101),
        A.GridDistortion(p=0.1, normalized=False, border_mode=cv2.BORDER_REFLECT_101),
    ]
    if piecewise:
        bends.append(A.PiecewiseAffine(p=0.3))
    return [
        A.Resize(224, 224),
        A.RandomRotate90(),
        A.OneOf([A.HorizontalFlip(), A.VerticalFlip()], p=0.5),
        A.Transpose(),
        A.OneOf(
            [
                A.GaussNoise(std_range=(0.01, 0.05), per_channel=False),
                A.GaussNoise(std_range=(0.0124, 0.0277)),
            ],
            p=0.2,
        ),
        A.OneOf([A.MotionBlur(p=0.2), A.MedianBlur(blur_limit=3, p=0.1), A.Blur(blur_limit=3, p=0.1)], p=0.2),
        A.ShiftScaleRotate(
            shift_limit=0.0625, scale_limit=0.2, rotate_limit=45, border_mode=cv2.BORDER_REFLECT_101, p=0.2
        ),
        A.OneOf(bends, p=0.2),
        A.OneOf([A.CLAHE(clip_limit=2), A.Sharpen(), A.Emboss(), A.RandomBrightnessContrast()], p=0.3),
        A.HueSaturationValue(p=0.3),
    ]


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    cv2.setNumThreads(1)
    paths = sorted(p for p in Path(sys.argv[1]).rglob("*") if p.suffix in (".jpg", ".jpeg"))
    step = max(1, -(-len(paths) // 600))
    images = [np.frombuffer(p.read_bytes(), np.uint8) for p in paths[::step]]
    run = A.Compose(transforms(sys.argv[2] == "full"))
    count, start = 0, time.process_time()
    while time.process_time() - start < 2:
        for data in images:
            image = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            run(image=image)
            count += 1
            if time.process_time() - start > 10:
                break
    print(count / (time.process_time() - start))


main()
