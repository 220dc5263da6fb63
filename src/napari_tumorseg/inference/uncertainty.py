"""How unsure a model was, voxel by voxel.

The unit is the bit: 1 where two answers are equally likely, 0 where the model is certain. What is
unsure is a small part of the image, so that a map is kept as float16 in its bounding box.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.segmenter import Prediction, SegmenterSpec

__all__ = ["RegionKind", "UncertaintyMap", "closeness", "entropy_bits", "kind_of", "uncertainty_of"]

#: How the regions of a model relate: each inside the one before, or they exclude each other, or neither.
RegionKind = Literal["nested", "exclusive", "independent"]

# Below this probability of any answer the entropy of two is under 0.09 bits, which nobody needs to look at.
_CERTAIN = 0.01
# Voxels that are turned to single precision at a time.
_SLAB_VOXELS = 2_000_000
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class UncertaintyMap:
    """Uncertainty in a box; 0 outside it.

    Attributes
    ----------
    values : numpy.ndarray
        Shape of `box`, (z, y, x), float16, bits (or the model's own unit where it measures uncertainty itself).
    box : Box
        Where on the grid of the prediction.
    shape : tuple of int
        (z, y, x) of the prediction.
    """

    values: npt.NDArray[np.float16]
    box: Box
    shape: tuple[int, int, int]

    def full(self) -> npt.NDArray[np.float16]:
        """Return the map on the whole grid."""
        out = np.zeros(self.shape, np.float16)
        out[self.box.slices] = self.values
        return out


def kind_of(spec: SegmenterSpec) -> RegionKind:
    """Return how the regions relate for which a model gives probabilities.

    A softmax excludes; else regions are nested where each one's labels in the model's schema lie
    among those of the one before, as in WT, TC, ET.
    """
    if spec.options.get("activation") == "softmax":
        return "exclusive"
    names = spec.regions or tuple(spec.options.get("regions_to_labels", ()))
    known = {region.name: set(region.values) for region in spec.schema.regions}
    if len(names) > 1 and all(name in known for name in names):
        sets = [known[name] for name in names]
        if all(inner < outer for outer, inner in itertools.pairwise(sets)):
            return "nested"
    return "independent"


def entropy_bits(probabilities: Sequence[npt.NDArray[Any]], kind: RegionKind) -> Floats:
    """Return the Shannon entropy of what a voxel is.

    Parameters
    ----------
    probabilities : sequence of numpy.ndarray
        By region, any one shape, 0 to 1; nested ones from the largest to the smallest.
    kind : str
        "nested": the regions p1, p2, ... give the classes 1 - p1, p1 - p2, ..., pn, where an inner
        region that exceeds an outer one is cut to it. "exclusive": the regions and what is left to 1 are the classes.
        "independent": each region is a question of its own, and the least certain one counts.

    Returns
    -------
    numpy.ndarray
        float32, bits: ``-sum(p log2 p)`` over the classes (C. E. Shannon, Bell Syst. Tech. J. 27:379, 1948); at most
        log2 of the number of classes.

    Examples
    --------
    >>> entropy_bits([np.array([0.0, 0.5, 0.5]), np.array([0.0, 0.0, 0.5])], "nested").tolist()
    [0.0, 1.0, 1.0]
    >>> entropy_bits([np.array([0.25]), np.array([0.25]), np.array([0.25])], "exclusive").tolist()
    [2.0]
    """
    found = [np.clip(np.asarray(p, np.float32), 0.0, 1.0) for p in probabilities]
    if kind == "independent":
        each = [_surprise(p) + _surprise(1 - p) for p in found]
        return np.asarray(np.maximum.reduce(each), np.float32)
    classes: list[Floats] = []
    if kind == "nested":
        for outer, inner in itertools.pairwise(found):
            np.minimum(outer, inner, out=inner)
        classes = [1 - found[0], *(outer - inner for outer, inner in itertools.pairwise(found)), found[-1]]
    else:
        rest = 1 - sum(found[1:], found[0])
        classes = [np.maximum(rest, 0), *found]
    total = _surprise(classes[0])
    for share in classes[1:]:
        total += _surprise(share)
    return total


def _surprise(p: Floats) -> Floats:
    """Return -p log2 p, 0 at 0."""
    # Not "-p", which would make -0.0 of what is certain.
    return np.asarray(np.abs(p * np.log2(np.where(p > 0, p, 1))), np.float32)


def closeness(probability: npt.NDArray[Any], threshold: float = 0.5) -> Floats:
    """Return how near a probability is to the decision: 1 at `threshold`, falling in straight lines to 0 at 0 and at 1.

    Entropy has its maximum at 0.5 wherever the model decides; for a single region the place of the
    decision is what matters.

    Examples
    --------
    >>> closeness(np.array([0.0, 0.15, 0.3, 0.65, 1.0]), 0.3).round(3).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if not 0 < threshold < 1:
        raise InputError(f"A threshold of {threshold} leaves nothing to decide.", "Give a number between 0 and 1.")
    p = np.clip(np.asarray(probability, np.float32), 0.0, 1.0)
    # Rounding can take what lies next to the threshold past 1.
    return np.asarray(np.minimum(np.where(p < threshold, p / threshold, (1 - p) / (1 - threshold)), 1), np.float32)


def uncertainty_of(
    prediction: Prediction, kind: RegionKind, *, threshold: float = 0.5, progress: Progress | None = None
) -> UncertaintyMap | None:
    """Return how unsure a model was.

    What the model says of its uncertainty itself comes first, then the entropy of its region
    probabilities, or for a single region the closeness to the decision.

    Parameters
    ----------
    prediction : Prediction
        With `uncertainty`, or with `probabilities` (see `SegmentRequest.probabilities`).
    kind : str
        How the regions relate, see `kind_of`.
    threshold : float
        Where a single region is decided.
    progress : Progress, optional
        Told how far it is; asked whether to stop.

    Returns
    -------
    UncertaintyMap or None
        None where the prediction holds neither, or nothing is unsure.

    Raises
    ------
    Cancelled
        If the user stopped it.
    """
    progress = progress or Progress()
    shape = prediction.labels.shape
    z, y, x = (int(n) for n in shape)
    if prediction.uncertainty is not None:
        box = bounding_box(prediction.uncertainty > 0)
        if box is None:
            return None
        return UncertaintyMap(np.array(prediction.uncertainty[box.slices], np.float16), box, (z, y, x))
    maps = list(prediction.probabilities.values())
    if not maps:
        return None
    box = _unsure_box(prediction.probabilities)
    if box is None:
        return None
    values = np.empty(box.shape, np.float16)
    inside = [p[box.slices] for p in maps]
    for first, last in _slabs(box.shape):
        progress.update(first / box.shape[0], "Finding what the model was unsure of")
        parts = [p[first:last] for p in inside]
        values[first:last] = closeness(parts[0], threshold) if len(parts) == 1 else entropy_bits(parts, kind)
    progress.update(1.0, "Finding what the model was unsure of")
    return UncertaintyMap(values, box, (z, y, x))


def _slabs(shape: Sequence[int]) -> Iterator[tuple[int, int]]:
    step = max(1, _SLAB_VOXELS // max(1, shape[1] * shape[2]))
    for first in range(0, shape[0], step):
        yield first, min(first + step, shape[0])


def _unsure_box(probabilities: Mapping[str, npt.NDArray[np.float16]]) -> Box | None:
    """Return the box of all voxels where some region is neither certainly there nor certainly not."""
    found: Box | None = None
    for p in probabilities.values():
        box = bounding_box((p > _CERTAIN) & (p < 1 - _CERTAIN))
        if box is not None:
            found = box if found is None else found.union(box)
    return found
