"""Learn from slices that a person has checked, and correct the others alike.

A small network of three layers is trained on the spot, on the voxels of the checked slices alone, and
forgotten afterwards. It sees each voxel's intensities at two scales, where it lies, and how deep it
lies in each class of the mask as the model left it, so that it learns how this reader, on these images,
departs from the model: the idea of interactive pixel classification (Berg et al. 2019) and of networks tuned to one
image (Wang et al. 2018).

References
----------
Berg S, et al. ilastik: interactive machine learning for (bio)image analysis. Nat Methods 16, 2019.
Wang G, et al. Interactive medical image segmentation using deep learning with image-specific fine tuning. IEEE TMI 37(7), 2018.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.core.jobs import Progress

__all__ = ["LearnOptions", "Learnt", "learn"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.unsignedinteger[Any]]

#: Scales at which intensities are looked at: standard deviations of a Gaussian.
_SCALES_MM = (0.6, 2.0)
#: Depth in a class beyond which it no longer matters.
_DEPTH_MM = 10.0
#: Length by which positions are divided.
_PLACE_MM = 25.0
_MOST_EXAMPLES = 40_000
_BATCH = 1024
#: The vote of the neighbours that smooths the answer.
_VOTE_MM = 0.7


@dataclass(frozen=True)
class LearnOptions:
    """Settings of learning.

    Attributes
    ----------
    reach_mm : float
        How far from the mask a voxel may lie to be labelled.
    steps : int
        Training steps.
    width : int
        Units of a layer.
    seed : int
        Same seed, same answer.
    """

    reach_mm: float = 8.0
    steps: int = 1000
    width: int = 128
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Learnt:
    """What was learnt.

    Attributes
    ----------
    box : Box
        Around the mask.
    labels : numpy.ndarray
        uint8, shape of the box: the labels there.
    probabilities : mapping of int to numpy.ndarray
        By label, background (0) included: float16, shape of the box, 0 to 1. Shown as an image, they let one paint with a window on
        "how likely is this class here".
    """

    box: Box
    labels: npt.NDArray[np.uint8]
    probabilities: Mapping[int, npt.NDArray[np.float16]]


def learn(
    images: Mapping[str, Floats],
    grid: Grid,
    labels: Labels,
    known: Bools,
    first: Labels | None = None,
    options: LearnOptions | None = None,
    progress: Progress | None = None,
) -> Learnt:
    """Label the surroundings of a mask as the checked voxels are labelled.

    Parameters
    ----------
    images : mapping of str to numpy.ndarray
        By modality, (z, y, x) float32 on `grid`.
    grid : Grid
        Position of the voxels.
    labels : numpy.ndarray
        (z, y, x), values up to 255: the mask as it is, right where `known` is set.
    known : numpy.ndarray
        (z, y, x) bool: checked voxels, usually some whole slices. They keep their labels.
    first : numpy.ndarray, optional
        (z, y, x): the mask before it was checked, e.g. as the model left it; where it is not given, classes of the mask tell nothing.
    options : LearnOptions, optional
        Reach, training.
    progress : Progress, optional
        Told how far it is; asked whether to stop.

    Returns
    -------
    Learnt
        Labels and probabilities in a box around the mask.

    Raises
    ------
    InputError
        If an array does not fit the grid, or the checked voxels show fewer than two classes (background is one).
    Cancelled
        If the user stopped it.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(size=(6, 12, 12)).astype(np.float32)
    >>> image[:, 3:9, 3:9] += 20
    >>> mask = np.zeros(image.shape, np.uint8)
    >>> mask[2, 3:9, 3:9] = 1
    >>> known = np.zeros(image.shape, bool)
    >>> known[2] = True
    >>> learnt = learn({"T1c": image}, Grid.from_spacing(image.shape, (1, 1, 1)), mask, known)
    >>> int(learnt.labels[5 - learnt.box.start[0], 6 - learnt.box.start[1], 6 - learnt.box.start[2]])
    1
    """
    options, progress = options or LearnOptions(), progress or Progress()
    progress.update(0.0, "Looking at the checked slices")
    _check(images, grid, labels, known, first)
    box, here = _where(grid, labels, first, options.reach_mm)
    now = np.asarray(labels[box.slices])
    checked = known[box.slices]
    near = here & _shown(images, box)
    examples = checked & near
    values = np.unique(now[examples])
    if len(values) < 2:
        raise InputError("The checked slices show fewer than two classes near the mask.", "Check a slice that shows the lesion's border.")
    table = _features(images, grid, box, None if first is None else np.asarray(first[box.slices]), near, progress.part(0.05, 0.4))
    wanted = np.searchsorted(values, now[near])
    votes = _trained(table, wanted, checked[near], len(values), options, progress.part(0.4, 0.9))
    progress.update(0.9, "Writing the labels")
    return Learnt(box, *_elected(votes, values, now, checked, near, grid))


def _check(images: Mapping[str, Floats], grid: Grid, labels: Labels, known: Bools, first: Labels | None) -> None:
    if not images:
        raise InputError("There is no image to learn from.", "Open one first.")
    for name, array in (*images.items(), ("The mask", labels), ("The checked part", known), ("The first mask", first)):
        if array is not None and array.shape != grid.shape:
            raise InputError(f"{name or 'An image'} has the shape {array.shape}, the grid {grid.shape}.", "Bring all to one grid.")
    if not known.any():
        raise InputError("No slice has been checked.", "Correct some slices and mark them as checked.")


def _where(grid: Grid, labels: Labels, first: Labels | None, reach_mm: float) -> tuple[Box, Bools]:
    """Return the box around both masks, and what in it lies within reach of one of them."""
    import edt

    some = labels > 0 if first is None else (labels > 0) | (first > 0)
    inner = bounding_box(some)
    if inner is None:
        raise InputError("The mask is empty.", "Paint the lesion in some slices first.")
    # Between checked slices there may be nothing yet, so the ends are as far from the mask as the gaps are wide.
    box = inner.grown([max(1, round(2 * reach_mm / s)) for s in grid.spacing_mm], grid.shape)
    block = some[box.slices]
    away = edt.edt(np.ascontiguousarray(~block), anisotropy=grid.spacing_mm, black_border=False)
    # The mask seen from above fills the gaps between slices.
    z = np.flatnonzero(block.any((1, 2)))
    shadow = np.zeros_like(block)
    flat = block.any(0)
    shadow[z[0] : z[-1] + 1] = edt.edt(np.ascontiguousarray(~flat), anisotropy=grid.spacing_mm[1:], black_border=False) <= reach_mm
    sparse = len(z) < 0.7 * (z[-1] + 1 - z[0])
    return box, (away <= reach_mm) | (shadow & sparse)


def _shown(images: Mapping[str, Floats], box: Box) -> Bools:
    """Return where an image shows something; padding has no features."""
    out = np.zeros(box.shape, bool)
    for image in images.values():
        block = image[box.slices]
        least = block.min()
        out |= block > least if np.count_nonzero(block == least) > 0.01 * block.size else np.True_
    return out


def _features(images: Mapping[str, Floats], grid: Grid, box: Box, first: Labels | None, near: Bools, progress: Progress) -> Floats:
    """Return a table (voxel, feature) of the voxels in `near`."""
    import edt
    from scipy import ndimage

    columns: list[npt.NDArray[Any]] = []
    for number, image in enumerate(images.values()):
        progress.update(number / (len(images) + 1), "Looking at the images")
        block = np.asarray(image[box.slices], np.float32)
        columns += [ndimage.gaussian_filter(block, [s / mm for mm in grid.spacing_mm], truncate=3)[near] for s in _SCALES_MM]
    if first is not None:
        for value in np.unique(first):
            inside = np.ascontiguousarray(first == value)
            deep, away = (edt.edt(m, anisotropy=grid.spacing_mm, black_border=False) for m in (inside, ~inside))
            columns.append(np.clip(deep - away, -_DEPTH_MM, _DEPTH_MM)[near])
    table = np.stack(columns, axis=1).astype(np.float32)
    spread = table.std(0)
    table = (table - table.mean(0)) / np.where(spread > 0, spread, 1)
    place = np.argwhere(near) * np.asarray(grid.spacing_mm)
    return np.concatenate([table, ((place - place.mean(0)) / _PLACE_MM).astype(np.float32)], axis=1)


def _trained(table: Floats, wanted: npt.NDArray[np.intp], seen: Bools, classes: int, options: LearnOptions, progress: Progress) -> Floats:
    """Train on the checked voxels and return the probability of each class for every voxel, (voxel, class)."""
    import torch
    from torch.nn import functional as F

    random = torch.Generator().manual_seed(options.seed)
    chosen = np.flatnonzero(seen)
    if len(chosen) > _MOST_EXAMPLES:
        chosen = np.random.default_rng(options.seed).choice(chosen, _MOST_EXAMPLES, replace=False)
    x, y = torch.from_numpy(table[chosen]), torch.from_numpy(wanted[chosen])
    sizes = (table.shape[1], options.width, options.width, classes)
    layers = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        weight = torch.randn(fan_out, fan_in, generator=random) * (2 / fan_in) ** 0.5
        layers.append((weight.requires_grad_(), torch.zeros(fan_out, requires_grad=True)))

    def answer(rows: torch.Tensor) -> torch.Tensor:
        for weight, bias in layers[:-1]:
            rows = F.relu(F.linear(rows, weight, bias))
        return F.linear(rows, *layers[-1])

    optimiser = torch.optim.AdamW([p for layer in layers for p in layer], lr=1e-2, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, options.steps)
    with torch.enable_grad():
        for step in range(options.steps):
            if step % 20 == 0:
                progress.update(step / options.steps, "Learning")
            rows = torch.randint(0, len(x), (_BATCH,), generator=random)
            # A little noise on the features keeps it from learning the checked slices by heart.
            blurred = x[rows] + 0.1 * torch.randn(_BATCH, x.shape[1], generator=random)
            loss = F.cross_entropy(answer(blurred), y[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    with torch.inference_mode():
        parts = [answer(rows).softmax(1) for rows in torch.split(torch.from_numpy(table), 1 << 16)]
    found: Floats = torch.cat(parts).numpy()
    return found


def _elected(
    votes: Floats, values: npt.NDArray[Any], now: Labels, checked: Bools, near: Bools, grid: Grid
) -> tuple[npt.NDArray[np.uint8], dict[int, npt.NDArray[np.float16]]]:
    """Return the class with most votes around each voxel and all votes; what is checked or out of reach stays as it is."""
    from scipy import ndimage

    best = np.full(now.shape, -1.0, np.float32)
    winner = np.zeros(now.shape, np.uint8)
    shares: dict[int, npt.NDArray[np.float16]] = {}
    for index, value in enumerate(values):
        votes_for = np.zeros(now.shape, np.float32)
        votes_for[near] = votes[:, index]
        # Checked voxels vote with what they are; everything out of reach is background.
        votes_for[checked] = now[checked] == value
        if value == 0:
            votes_for[~near & ~checked] = 1
        smooth = ndimage.gaussian_filter(votes_for, [_VOTE_MM / s for s in grid.spacing_mm], truncate=3)
        shares[int(value)] = smooth.astype(np.float16)
        better = smooth > best
        winner[better], best = value, np.maximum(smooth, best)
    return np.where(checked | ~near, now, winner).astype(np.uint8), shares
