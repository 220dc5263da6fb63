"""The part `--features` of pathology.py: features of pixels against scikit-image's, and the pixel classifier in a view.

Each measurement runs in a process of its own: seconds by the clock and of the processor (the best of several), and how far the peak
of the memory rose above what was there before, result included. Like is compared with like: the Gaussian, the gradient magnitude and
the two Hessian eigenvalues of three channels at the same scales, 48 features. The Gaussian is the same but for scikit-image's
renormalised kernel, which is checked; gradient and Hessian are finite differences there and derivative filters here.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIGMAS = (1.0, 2.0, 4.0, 8.0)
SHARED = ("gaussian", "gradient magnitude", "hessian max", "hessian min")
SIDES, QUICK_SIDES, VIEW = (250, 500, 1000, 2000), (200, 400), 1000
GOAL_RATIO, GOAL_VIEW_S = 5.0, 1.0


def picture(side: int) -> np.ndarray:
    """Return RGB like stained tissue: spots and waves of two stains, and noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    spots = np.clip(np.sin(x / 4 + 3 * np.sin(y / 90)) * np.sin(y / 5) * 2 - 0.6, 0, 1) * (np.sin(x / 160 + y / 110) > 0)
    waves = 0.5 + 0.5 * np.sin((x + 2 * y) / 9 + 4 * np.sin(x / 70))
    density = spots[..., None] * np.float32((0.65, 0.7, 0.29)) + 0.3 * waves[..., None] * np.float32((0.22, 0.8, 0.56))
    return np.clip(255 * 10**-density + rng.normal(0, 6, density.shape), 0, 255).astype(np.uint8)


def ours(image: np.ndarray, features: tuple[str, ...] = SHARED) -> np.ndarray:
    """Return features (feature, y, x)."""
    from napari_tumorseg.pathology.pixel_features import FeatureSpec
    from napari_tumorseg.pathology.pixel_tiles import image_features

    return image_features(image, FeatureSpec(sigmas_px=SIGMAS, features=features)).numpy()


def theirs(image: np.ndarray) -> np.ndarray:
    """Return scikit-image's features (y, x, feature)."""
    from skimage.feature import multiscale_basic_features

    return multiscale_basic_features(image, sigma_min=SIGMAS[0], sigma_max=SIGMAS[-1], channel_axis=-1)


def every(image: np.ndarray) -> np.ndarray:
    """Return all features of the default classifier, 120."""
    from napari_tumorseg.pathology.pixel_features import FEATURES

    return ours(image, FEATURES)


def timed(work: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Return the best seconds, and the rise of the peak memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"seconds": min(wall), "processor_s": min(processor), "peak_mb": peak / 1024}


def agreement(side: int = 300) -> dict[str, float]:
    """Compare values; the Gaussian after dividing by the sum of the kernel that is not renormalised here."""
    from napari_tumorseg.pathology.pixel_filters import kernels

    image = picture(side)
    mine = ours(image).reshape(3, len(SIGMAS), len(SHARED), side, side)
    skimage = np.moveaxis(theirs(image), -1, 0).reshape(3, len(SIGMAS), len(SHARED), side, side) * 255
    sums = np.array([kernels(sigma)[0].sum() ** 2 for sigma in SIGMAS])[:, None, None]
    inner = (..., slice(10, -10), slice(10, -10))
    found = {
        "gaussian_largest_difference_of_255": float(np.abs(mine[:, :, 0] / sums - skimage[:, :, 0]).max()),
        "gaussian_largest_difference_before_renormalising_of_255": float(np.abs(mine[:, :, 0] - skimage[:, :, 0]).max()),
    }
    for index, name in enumerate(SHARED[1:], 1):
        pairs = [
            np.corrcoef(mine[c, s, index][inner].ravel(), skimage[c, s, index][inner].ravel())[0, 1] for c in range(3) for s in range(4)
        ]
        found[f"{name.replace(' ', '_')}_least_correlation"] = float(min(pairs))
    return found


def view(kind: str) -> dict[str, Any]:
    """Measure what a user waits for: from strokes on a view to its classes, at once and after one more stroke."""
    from napari_tumorseg.pathology.forest import ForestSettings
    from napari_tumorseg.pathology.pixel_features import FeatureSpec
    from napari_tumorseg.pathology.pixel_mlp import MlpSettings
    from napari_tumorseg.pathology.pixel_training import Samples, Scribbles, sample_scribbles, train

    image, spec = picture(VIEW), FeatureSpec(sigmas_px=SIGMAS)
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:VIEW, :VIEW]
    truth = np.where(np.sin(x / 160 + y / 110) > 0, 1, 2)
    labels = np.zeros((VIEW, VIEW), np.uint8)
    # Eleven strokes of 3 x 60 pixels, as a brush of 3 pixels makes them.
    for _ in range(11):
        row, column = rng.integers(40, VIEW - 100, 2)
        labels[row : row + 3, column : column + 60] = truth[row : row + 3, column : column + 60]
    more = np.zeros_like(labels)
    more[500:503, 480:540] = truth[500:503, 480:540]
    first = ForestSettings(trees=25) if kind == "trees" else MlpSettings()
    # Imports are not counted: another image is learnt first.
    small, halves = picture(100), np.repeat(np.uint8([1, 2]), 50)[None].repeat(100, axis=0)
    train(sample_scribbles([Scribbles(small, halves)], spec), spec, 1.0, first, max_samples=200).labels(small)
    clock = time.perf_counter()
    found: dict[str, Any] = {}

    def tell(name: str) -> None:
        found[name] = time.perf_counter() - clock

    samples = sample_scribbles([Scribbles(image, labels)], spec)
    tell("strokes_sampled_s")
    classifier = train(samples, spec, 1.0, first)
    tell("trained_s")
    for step, shown in classifier.preview(image, (4, 1)):  # noqa: B007 - the last is looked at below
        tell(f"shown_every_{step}_px_s")
    clock = time.perf_counter()
    new = sample_scribbles([Scribbles(image, more)], spec)
    both = Samples(np.concatenate((samples.features, new.features)), np.concatenate((samples.values, new.values)))
    train(both, spec, 1.0, first).labels(image, 4)
    tell("one_more_stroke_shown_every_4_px_s")
    if kind == "trees":
        clock = time.perf_counter()
        classifier = train(both, spec, 1.0)
        tell("all_100_trees_trained_s")
        shown = classifier.labels(image)
        tell("all_100_trees_shown_every_px_s")
    return found | {"samples": len(samples.values), "right": float((shown == truth).mean())}


def features(quick: bool) -> dict[str, Any]:
    """Measure all, each in a process of its own."""
    sides = QUICK_SIDES if quick else SIDES
    curve = []
    for side in sides:
        mine, skimage, full = (_apart(name, str(side)) for name in ("ours", "theirs", "every"))
        row = {"side_px": side, "ours": mine, "scikit_image": skimage, "all_120_features": full}
        row |= {"ratio": skimage["seconds"] / mine["seconds"], "processor_ratio": skimage["processor_s"] / mine["processor_s"]}
        curve.append(row)
    found: dict[str, Any] = {"curve": curve, "goal_ratio": GOAL_RATIO, "agreement": agreement()}
    found["view"] = {"side_px": VIEW, "goal_s": GOAL_VIEW_S} | (
        {} if quick else {kind: _apart("view", kind) for kind in ("trees", "network")}
    )
    return found


def _apart(*what: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, Path(__file__), *what], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def _one(name: str, argument: str) -> dict[str, Any]:
    if name == "view":
        return view(argument)
    work = {"ours": ours, "theirs": theirs, "every": every}[name]
    work(picture(64))  # imports
    image = picture(int(argument))
    return timed(lambda: work(image), 3)


if __name__ == "__main__":
    print(json.dumps(_one(*sys.argv[1:])))
