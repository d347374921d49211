#!/usr/bin/env python3
"""Apply transforms of OpenCV, albumentations and Pillow with given parameters to an image.

Usage: augment.py CASES.json

CASES.json holds width, height, pixels (RGB, row by row) and cases, each with name and parameters. Prints the results as
JSON, in order. Needs numpy, opencv-python-headless, albumentations and Pillow.
"""

import json
import os
import random
import sys

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albucore  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402
from albumentations.augmentations.blur import functional as fblur  # noqa: E402
from albumentations.augmentations.geometric import functional as fgeometric  # noqa: E402
from albumentations.augmentations.pixel import functional as fpixel  # noqa: E402
from PIL import Image, ImageEnhance, ImageOps  # noqa: E402


def kernel3(alpha, effect):
    same = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)
    return (1 - alpha) * same + alpha * np.array(effect, np.float32)


def motion(image, ksize, angle, direction):
    kernel = fblur.create_motion_kernel(ksize, angle, direction, False, random.Random(0))
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def gaussian(image, sigma, ksize):
    kernel = fblur.create_gaussian_kernel_1d(sigma, ksize).astype(np.float32)
    return cv2.sepFilter2D(image, -1, kernel, kernel)


def sharpen(image, alpha, lightness):
    effect = [[-1, -1, -1], [-1, 8 + lightness, -1], [-1, -1, -1]]
    return cv2.filter2D(image, -1, kernel3(alpha, effect))


def emboss(image, alpha, strength):
    effect = [[-1 - strength, -strength, 0], [-strength, 1, strength], [0, strength, 1 + strength]]
    return cv2.filter2D(image, -1, kernel3(alpha, effect))


def shift_scale_rotate(image, angle, scale, dx, dy, border):
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), angle, scale)
    matrix[0, 2] += dx
    matrix[1, 2] += dy
    return cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(9, 80, 200)
    )


def optical(image, k):
    # As albumentations' get_camera_matrix_distortion_maps, but with the middle of the pixels as centre: OpenCV takes that
    # for the new camera, and albumentations' own width / 2 shifts the image by half a pixel.
    height, width = image.shape[:2]
    camera = np.array([[width, 0, (width - 1) / 2], [0, height, (height - 1) / 2], [0, 0, 1]], np.float32)
    bend = np.array([k, k, 0, 0, 0], np.float32)
    map_x, map_y = cv2.initUndistortRectifyMap(camera, bend, None, None, (width, height), cv2.CV_32FC1)
    return cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def grid(image, x, y, normalized):
    shape, steps = image.shape[:2], len(x) - 1
    x, y = list(x), list(y)
    if normalized:
        scaled = fgeometric.normalize_grid_distortion_steps(shape, steps, x, y)
        x, y = scaled["steps_x"], scaled["steps_y"]
    map_x, map_y = fgeometric.generate_grid(shape, x, y, steps)
    return cv2.remap(
        image, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


def piecewise(image, rows, columns, offsets):
    """The map of scikit-image's PiecewiseAffineTransform on the grid's triangles: barycentric, triangle by triangle."""
    height, width = image.shape[:2]
    offsets = np.array(offsets).reshape(rows, columns, 2)
    xs, ys = np.linspace(0, width - 1, columns), np.linspace(0, height - 1, rows)
    x, y = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    map_x, map_y = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    for r in range(rows - 1):
        for c in range(columns - 1):
            nw, ne, sw, se = (r, c), (r, c + 1), (r + 1, c), (r + 1, c + 1)
            for triangle in ((nw, ne, se), (nw, sw, se)):
                points = np.array([(xs[j], ys[i], 1) for i, j in triangle]).T
                weights = np.linalg.solve(points, np.stack([x, y, np.ones_like(x)]).reshape(3, -1))
                inside = (weights > -1e-9).all(0).reshape(x.shape)
                moved = np.array([offsets[i, j] for i, j in triangle]).T @ weights
                map_x[inside] = (x + moved[0].reshape(x.shape))[inside]
                map_y[inside] = (y + moved[1].reshape(x.shape))[inside]
    map_x, map_y = map_x.clip(0, width - 1).astype(np.float32), map_y.clip(0, height - 1).astype(np.float32)
    return cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def operation(image, op, strength):
    """What torchvision does to Pillow images (`_apply_op` of its autoaugment module)."""
    image = Image.fromarray(image)
    size = image.size
    affine = {
        "ShearX": (1, strength, 0, 0, 1, 0),
        "ShearY": (1, 0, 0, strength, 1, 0),
        "TranslateX": (1, 0, -int(strength), 0, 1, 0),
        "TranslateY": (1, 0, 0, 0, 1, -int(strength)),
    }
    enhance = {
        "Brightness": ImageEnhance.Brightness,
        "Color": ImageEnhance.Color,
        "Contrast": ImageEnhance.Contrast,
        "Sharpness": ImageEnhance.Sharpness,
    }
    if op in affine:
        return image.transform(size, Image.Transform.AFFINE, affine[op], Image.Resampling.NEAREST)
    if op in enhance:
        return enhance[op](image).enhance(1 + strength)
    return {
        "Identity": lambda: image,
        "Rotate": lambda: image.rotate(strength, Image.Resampling.NEAREST),
        "Posterize": lambda: ImageOps.posterize(image, int(strength)),
        "Solarize": lambda: ImageOps.solarize(image, strength),
        "AutoContrast": lambda: ImageOps.autocontrast(image),
        "Equalize": lambda: ImageOps.equalize(image),
        "Invert": lambda: ImageOps.invert(image),
    }[op]()


REFERENCES = {
    "rot90": lambda image, factor: np.rot90(image, factor),
    "flip": lambda image, code: cv2.flip(image, code),
    "transpose": lambda image: cv2.transpose(image),
    "blur": lambda image, ksize: cv2.blur(image, (ksize, ksize)),
    "median": lambda image, ksize: cv2.medianBlur(image, ksize),
    "gaussian": gaussian,
    "motion": motion,
    "sharpen": sharpen,
    "emboss": emboss,
    "brightness_contrast": lambda image, alpha, beta: albucore.multiply_add(image, alpha, beta, inplace=False),
    "hsv": lambda image, hue, saturation, value: fpixel.shift_hsv(image, hue, saturation, value),
    "clahe": lambda image, clip, grid: fpixel.clahe(image, clip, (grid, grid)),
    "shift_scale_rotate": shift_scale_rotate,
    "optical": optical,
    "grid": grid,
    "piecewise": piecewise,
    "operation": operation,
}


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    pixels = np.array(request["pixels"], np.uint8).reshape(request["height"], request["width"], 3)
    results = []
    for case in request["cases"]:
        result = np.asarray(REFERENCES[case["name"]](pixels.copy(), **case["parameters"]))
        height, width = result.shape[:2]
        results.append({"width": width, "height": height, "pixels": result.flatten().tolist()})
    json.dump(results, sys.stdout)


main()
