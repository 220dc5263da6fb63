"""Training a pixel classifier from scribbles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.forest import Forest, ForestSettings
from napari_tumorseg.pathology.pixel_classifier import REGION, TISSUE_CLASSES, PixelClass, PixelClassifier
from napari_tumorseg.pathology.pixel_features import FeatureSpec, pixel_features
from napari_tumorseg.pathology.pixel_mlp import Mlp, MlpSettings
from napari_tumorseg.pathology.pixel_tiles import Tile, in_lanes, plan_tiles

__all__ = ["Samples", "Scribbles", "sample_scribbles", "train"]

#: Small tiles, as scribbles are thin and the features of a whole large tile would be thrown away.
_TILE_PX = 128


@dataclass(frozen=True, eq=False)
class Scribbles:
    """A crop of a slide with strokes on it.

    Attributes
    ----------
    image : numpy.ndarray
        (y, x, 3) RGB, 0 to 255, at the classifier's resolution. It should reach beyond the strokes by the features' halo, as its
        edges count as the edges of the slide.
    labels : numpy.ndarray
        Integer (y, x): values of classes, 0 where there is no stroke.
    """

    image: npt.NDArray[Any]
    labels: npt.NDArray[Any]

    def __post_init__(self) -> None:
        """Check that the two have one size."""
        if self.labels.ndim != 2 or self.image.shape[:2] != self.labels.shape or self.labels.dtype.kind not in "ui":
            raise InputError(
                f"Strokes of shape {self.labels.shape} do not lie on an image of {self.image.shape}.", "Use the same crop for both."
            )


@dataclass(frozen=True, eq=False)
class Samples:
    """Features of the pixels under strokes: float32 (sample, feature), and values of their classes, uint8 (sample,)."""

    features: npt.NDArray[np.float32]
    values: npt.NDArray[np.uint8]


def sample_scribbles(scribbles: Sequence[Scribbles], spec: FeatureSpec, classes: Sequence[PixelClass] = TISSUE_CLASSES) -> Samples:
    """Compute the features under the strokes; only tiles with strokes are touched.

    Raises
    ------
    InputError
        If a value is none of a class. Strokes of Region* are left out.
    """
    known = {c.value for c in classes} - {c.value for c in classes if c.name == REGION.name}
    features: list[npt.NDArray[Any]] = []
    values: list[npt.NDArray[Any]] = []
    for one in scribbles:
        wrong = set(np.unique(one.labels).tolist()) - {c.value for c in classes} - {0}
        if wrong:
            raise InputError(f"The strokes hold the value {min(wrong)}, which is no class.", "Paint with the classes that are listed.")
        marked = np.isin(one.labels, list(known))
        tiles = [t for t in plan_tiles(marked.shape, _TILE_PX) if marked[t.rows, t.columns].any()]
        for tile, found in zip(tiles, in_lanes(partial(_under, one, marked, spec), tiles), strict=True):
            features.append(found)
            values.append(one.labels[tile.rows, tile.columns][marked[tile.rows, tile.columns]])
    if not features:
        raise InputError("There are no strokes to learn from.", "Paint some of at least two classes.")
    return Samples(np.concatenate(features), np.concatenate(values).astype(np.uint8))


def train(
    samples: Samples,
    spec: FeatureSpec,
    spacing_um: float,
    settings: ForestSettings | MlpSettings | None = None,
    seed: int = 0,
    classes: Sequence[PixelClass] = TISSUE_CLASSES,
    max_samples: int = 100_000,
) -> PixelClassifier:
    """Train on samples; each class weighs the same, however much of it was painted.

    Parameters
    ----------
    samples : Samples
        From `sample_scribbles` with the same `spec`.
    spec : FeatureSpec
        The features of the samples.
    spacing_um : float
        Micrometres per pixel of the scribbled images.
    settings : ForestSettings or MlpSettings, optional
        Random trees or a small network; the published random trees by default.
    seed : int
        The same samples and seed give the same classifier.
    classes : sequence of PixelClass
        What the values mean. Classes without samples are left out of the classifier.
    max_samples : int
        More than these are thinned at random.

    Raises
    ------
    InputError
        If fewer than two classes have samples, or `spacing_um` is not positive.
    """
    if not (np.isfinite(spacing_um) and spacing_um > 0):
        raise InputError("The micrometres per pixel are not known.", "State them, e.g. 0.25 for a 40x scan.")
    features, values = samples.features, samples.values
    if len(values) > max_samples:
        kept = np.sort(np.random.default_rng(seed).choice(len(values), max_samples, replace=False))
        features, values = features[kept], values[kept]
    present = np.unique(values)
    used = tuple(c for c in classes if c.value in present)
    if len(used) < 2:
        raise InputError("Strokes of two classes are needed to tell them apart.", "Paint some of another class.")
    order = np.zeros(256, np.int64)
    order[[c.value for c in used]] = np.arange(len(used))
    chosen = settings or ForestSettings()
    fit: Forest | Mlp
    if isinstance(chosen, MlpSettings):
        # In a lane: its sums are too small for threads, which would only wait for each other.
        (fit,) = in_lanes(lambda how: Mlp.fit(features, order[values], how, seed), [chosen])
    else:
        fit = Forest.fit(features, order[values], chosen, seed)
    counts = {c.name: int((values == c.value).sum()) for c in used}
    return PixelClassifier(spec, used, float(spacing_um), fit, {"seed": seed, "settings": asdict(chosen), "samples": counts})


def _under(one: Scribbles, marked: npt.NDArray[np.bool_], spec: FeatureSpec, tile: Tile) -> npt.NDArray[np.float32]:
    grown, inner = tile.with_halo(spec.halo_px, (one.image.shape[0], one.image.shape[1]))
    found = pixel_features(one.image[grown.rows, grown.columns], spec, (inner.rows, inner.columns)).numpy()
    return np.ascontiguousarray(found[:, marked[tile.rows, tile.columns]].T)
