#!/usr/bin/env python3
"""Corrupt an image as ImageNet-C's paper does, with NumPy, SciPy, OpenCV and Pillow.

Usage: corruptions.py CASES.json

CASES.json holds width, height, pixels (RGB, row by row) and cases, each with name and severity; images of 224 pixels a
side, for which the paper's constants are. Prints the results as JSON, in order: pixels of a corruption without chance;
for a case with "times", means over so many draws of the statistics of one with chance.
"""

import io
import json
import sys

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage


def gaussian_blur(x, severity):
    sigma = [1, 2, 3, 4, 6][severity - 1]
    return ndimage.gaussian_filter(x / 255.0, sigma=(sigma, sigma, 0), mode="nearest", truncate=4.0)


def defocus_blur(x, severity):
    radius, rim = [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)][severity - 1]
    offsets, size = (np.arange(-8, 9), (3, 3)) if radius <= 8 else (np.arange(-radius, radius + 1), (5, 5))
    columns, rows = np.meshgrid(offsets, offsets)
    disc = np.array((columns**2 + rows**2) <= radius**2, dtype=np.float32)
    disc /= disc.sum()
    kernel = cv2.GaussianBlur(disc, ksize=size, sigmaX=rim)
    return cv2.filter2D(x / 255.0, -1, kernel)


def zoom_blur(x, severity):
    until, step = [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)][severity - 1]
    x = x / 255.0
    side = x.shape[0]
    total, factors = x.copy(), np.arange(1, until, step)
    for factor in factors:
        part = int(np.ceil(side / float(factor)))
        first = (side - part) // 2
        near = ndimage.zoom(x[first : first + part, first : first + part], (factor, factor, 1), order=1)
        trim = (near.shape[0] - side) // 2
        total += near[trim : trim + side, trim : trim + side]
    return total / (len(factors) + 1)


def brightness(x, severity):
    more = [0.1, 0.2, 0.3, 0.4, 0.5][severity - 1]
    hsv = cv2.cvtColor((x / 255.0).astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 2] = np.clip(hsv[..., 2] + more, 0, 1)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def contrast(x, severity):
    kept = [0.4, 0.3, 0.2, 0.1, 0.05][severity - 1]
    x = x / 255.0
    means = np.mean(x, axis=(0, 1), keepdims=True)
    return (x - means) * kept + means


def pixelate(x, severity):
    share = [0.6, 0.5, 0.4, 0.3, 0.25][severity - 1]
    side = int(x.shape[0] * share)
    small = Image.fromarray(x).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small.resize((x.shape[1], x.shape[0]), Image.Resampling.BOX)) / 255.0


def jpeg_compression(x, severity):
    buffer = io.BytesIO()
    Image.fromarray(x).save(buffer, "JPEG", quality=[25, 18, 15, 10, 7][severity - 1])
    return np.asarray(Image.open(buffer)) / 255.0


def gaussian_noise(x, severity, rng):
    return x / 255.0 + rng.normal(size=x.shape, scale=[0.08, 0.12, 0.18, 0.26, 0.38][severity - 1])


def speckle_noise(x, severity, rng):
    x = x / 255.0
    return x + x * rng.normal(size=x.shape, scale=[0.15, 0.2, 0.35, 0.45, 0.6][severity - 1])


def shot_noise(x, severity, rng):
    photons = [60, 25, 12, 5, 3][severity - 1]
    return rng.poisson(x / 255.0 * photons) / photons


def impulse_noise(x, severity, rng):
    drawn = rng.random(x.shape)
    share = [0.03, 0.06, 0.09, 0.17, 0.27][severity - 1]
    return np.where(drawn < share / 2, 0.0, np.where(drawn < share, 1.0, x / 255.0))


def glass_blur(x, severity, rng):
    sigma, reach, rounds = [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)][severity - 1]

    def smooth(values):
        return ndimage.gaussian_filter(values, sigma=(sigma, sigma, 0), mode="nearest", truncate=4.0)

    x = np.uint8(smooth(x / 255.0) * 255)
    side = x.shape[0]
    for _ in range(rounds):
        for row in range(side - reach, reach, -1):
            for column in range(side - reach, reach, -1):
                dx, dy = rng.integers(-reach, reach, size=2)
                x[row, column] = x[row + dy, column + dx]
    return smooth(x / 255.0)


def fog(x, severity, rng):
    amount, decay = [(1.5, 2), (2.0, 2), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)][severity - 1]
    side = 256
    clouds = np.zeros((side, side))
    step, wibble = side, 100.0
    while step >= 2:
        half = step // 2

        def rough(total):
            return total / 4 + wibble * rng.uniform(-wibble, wibble, total.shape)

        corner = clouds[::step, ::step].copy()
        pair = corner + np.roll(corner, -1, 0)
        middle = rough(pair + np.roll(pair, -1, 1))
        clouds[half::step, half::step] = middle
        clouds[::step, half::step] = rough(corner + np.roll(corner, -1, 1) + middle + np.roll(middle, 1, 0))
        clouds[half::step, ::step] = rough(corner + np.roll(corner, -1, 0) + middle + np.roll(middle, 1, 1))
        step, wibble = half, wibble / decay
    clouds -= clouds.min()
    clouds /= clouds.max()
    x = x / 255.0
    brightest = x.max()
    x = x + amount * clouds[: x.shape[0], : x.shape[1], None]
    return np.clip(x * brightest / (brightest + amount), 0, 1)


def elastic_transform(x, severity, rng):
    constants = [(2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)]
    amount, sigma, reach = (244 * constant for constant in constants[severity - 1])
    x = np.float32(x / 255.0)
    size = x.shape[:2]
    middle, third = np.float32(size) // 2, min(size) // 3
    from_points = np.float32([middle + third, [middle[0] + third, middle[1] - third], middle - third])
    to_points = from_points + rng.uniform(-reach, reach, size=from_points.shape).astype(np.float32)
    x = cv2.warpAffine(
        x, cv2.getAffineTransform(from_points, to_points), size[::-1], borderMode=cv2.BORDER_REFLECT_101
    )

    def shifts():
        return amount * ndimage.gaussian_filter(rng.uniform(-1, 1, size=size), sigma, mode="reflect", truncate=3)

    rows, columns = np.meshgrid(np.arange(size[0]), np.arange(size[1]), indexing="ij")
    places = (rows + shifts(), columns + shifts())
    return np.stack([ndimage.map_coordinates(x[..., c], places, order=1, mode="reflect") for c in range(3)], axis=-1)


def levels(values):
    return np.uint8(np.clip(values, 0, 1) * 255 + 1e-3)


def statistics(out, image):
    """Mean, standard deviation, root mean square distance to the image and between neighbours, in levels."""
    out, image = out.astype(float), image.astype(float)
    across = np.diff(out, axis=1)
    return [out.mean(), out.std(), ((out - image) ** 2).mean() ** 0.5, (across**2).mean() ** 0.5]


def main():
    with open(sys.argv[1]) as file:
        cases = json.load(file)
    image = np.array(cases["pixels"], np.uint8).reshape(cases["height"], cases["width"], 3)
    rng = np.random.default_rng(1)
    results = []
    for case in cases["cases"]:
        corrupt, severity = globals()[case["name"]], case["severity"]
        if "times" in case:
            drawn = [statistics(levels(corrupt(image, severity, rng)), image) for _ in range(case["times"])]
            results.append(np.mean(drawn, axis=0).tolist())
        else:
            results.append(levels(corrupt(image, severity)).ravel().tolist())
    json.dump(results, sys.stdout)


main()
