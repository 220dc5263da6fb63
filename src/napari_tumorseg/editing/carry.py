"""Carry corrections between slices: correct every few slices, get the same change in those between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import draft, step
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.distance import signed_distance_mm

__all__ = ["CarryParams", "carry"]

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.unsignedinteger[Any]]
#: Distance from a border beyond which a correction is not felt.
_FAR_MM = 10.0


@dataclass(frozen=True)
class CarryParams:
    """Settings of carrying corrections.

    Attributes
    ----------
    max_gap_mm : float
        Between corrected slices further apart than this nothing is interpolated.
    beyond_mm : float
        How far a correction is carried beyond the outermost corrected slices and into such gaps, fading to nothing.
    """

    max_gap_mm: float = field(default=20.0, metadata=about("Largest gap (mm)", 1.0, 200.0, 1.0))
    beyond_mm: float = field(default=3.0, metadata=about("Beyond (mm)", 0.0, 50.0, 1.0))


def carry(scope: Scope, target: Target, params: CarryParams, progress: Progress | None = None) -> Draft | None:
    """Change the slices between corrected ones as these were changed.

    A slice across ``target.axis`` is corrected when it differs from ``scope.before`` or is among
    ``scope.checked``; such slices stay as they are. In each of them, the change of every class, background
    included, is the signed distance to its border now less that before, in mm within the slice. These
    changes are interpolated linearly over the slices between, added to the signed distances there, and
    every pixel goes to the class with the largest: no gaps, no overlaps, and no change where nothing was
    changed. Distances count up to 10 mm, so that nothing further than that from a correction changes. A locked
    label keeps its voxels and gains none.

    Parameters
    ----------
    scope : Scope
        The mask, with ``before``: the labels at the last carry, learning or model run.
    target : Target
        The axis.
    params : CarryParams
        How far apart, how far beyond.
    progress : Progress, optional
        Where it is cancelled.

    Returns
    -------
    Draft, optional
        None when nothing was corrected, or nothing lies between.

    Raises
    ------
    InputError
        If it is not known how the mask was before the corrections.

    Notes
    -----
    The interpolation of distances is that of shapes by Raya and Udupa (IEEE Trans Med Imaging 9:32, 1990), here of
    differences, with the classes settled jointly.

    Examples
    --------
    >>> from napari_tumorseg.core.grid import Grid
    >>> from napari_tumorseg.core.labels import preset
    >>> before = np.zeros((5, 9, 9), np.uint8)
    >>> before[:, 3:6, 3:6] = 1
    >>> now = before.copy()
    >>> now[[0, 4], 3:6, 3:8] = 1
    >>> scope = Scope(now, Grid.from_spacing(now.shape, (1, 1, 1)), preset("lesion"), 1, before=before)
    >>> carry(scope, Target(), CarryParams()).labels.shape
    (3, 3, 2)
    """
    step(progress, 0.0, "Looking for corrections")
    before = scope.before
    if before is None or before.shape != scope.labels.shape:
        raise InputError("It is not known how this mask was before it was corrected.", "Correct some slices first.")
    changed = _box_of_change(before, scope.labels)
    if changed is None:
        return None
    axis, spacing = target.axis, scope.grid.spacing_mm
    box, keys = _where(scope, before, changed, axis, params)
    weights = _weights(keys, range(box.start[axis], box.stop[axis]), spacing[axis], params)
    if not weights:
        return None
    flat = [size for i, size in enumerate(spacing) if i != axis]
    old = scope.labels[box.slices]
    now, then = (np.moveaxis(array[box.slices], axis, 0) for array in (scope.labels, before))
    new = old.copy()
    _carry_over(np.moveaxis(new, axis, 0), now, then, weights, box.start[axis], flat, progress)
    if scope.locked:
        kept = np.isin(old, list(scope.locked)) | np.isin(new, list(scope.locked))
        new[kept] = old[kept]
    return draft(box, old, new)


def _box_of_change(before: Labels, now: Labels) -> Box | None:
    """Return the smallest box of the voxels that differ, by one pass over the volume that needs no memory of its size."""
    flat = np.zeros(now.shape[1:], bool)
    found = []
    for z, (a, b) in enumerate(zip(before, now, strict=True)):
        if not np.array_equal(a, b):
            found.append(z)
            flat |= a != b
    if not found:
        return None
    y, x = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    return Box((found[0], int(y[0]), int(x[0])), (found[-1] + 1, int(y[-1]) + 1, int(x[-1]) + 1))


def _where(scope: Scope, before: Labels, changed: Box, axis: int, params: CarryParams) -> tuple[Box, list[int]]:
    """Return the box in which something may change, and the corrected slices in it."""
    spacing = scope.grid.spacing_mm
    reach = max(params.beyond_mm, params.max_gap_mm)
    box = changed.grown([int((reach if i == axis else _FAR_MM) / size) + 1 for i, size in enumerate(spacing)], scope.labels.shape)
    differ = before[changed.slices] != scope.labels[changed.slices]
    others = tuple(i for i in range(3) if i != axis)
    keys = {int(z) + changed.start[axis] for z in np.flatnonzero(differ.any(axis=others))}
    keys |= {index for of, index in scope.checked if of == axis and box.start[axis] <= index < box.stop[axis]}
    return box, sorted(keys)


def _weights(keys: Sequence[int], slices: range, step_mm: float, params: CarryParams) -> dict[int, dict[int, float]]:
    """Return for each slice to change how much of the change of which corrected slices it gets.

    Examples
    --------
    >>> _weights([2, 6], range(0, 9), 1.0, CarryParams(20.0, 2.0))
    {1: {2: 0.5}, 3: {2: 0.75, 6: 0.25}, 4: {2: 0.5, 6: 0.5}, 5: {2: 0.25, 6: 0.75}, 7: {6: 0.5}}
    """
    found: dict[int, dict[int, float]] = {}
    places = np.asarray(keys)
    for z in slices:
        if z in keys:
            continue
        after = int(np.searchsorted(places, z))
        low, high = (int(places[after - 1]) if after else None), (int(places[after]) if after < len(places) else None)
        if low is not None and high is not None and (high - low) * step_mm <= params.max_gap_mm * (1 + 1e-6):
            share = (z - low) / (high - low)
            found[z] = {low: 1 - share, high: share}
            continue
        fading = {k: 1 - abs(z - k) * step_mm / params.beyond_mm for k in (low, high) if k is not None and params.beyond_mm > 0}
        fading = {k: share for k, share in fading.items() if share > 1e-6}
        if fading:
            found[z] = fading
    return found


def _carry_over(
    new: Labels,
    now: Labels,
    then: Labels,
    weights: Mapping[int, Mapping[int, float]],
    first: int,
    spacing_mm: Sequence[float],
    progress: Progress | None,
) -> None:
    """Write the slices of `new`, (slice, row, column), whose changes `weights` tells; `first` is the index of its first slice."""
    used = sorted({k for shares in weights.values() for k in shares})
    rows = [z - first for z in (*weights, *used)]
    values = [int(v) for v in np.union1d(np.unique(now[rows]), np.unique(then[[k - first for k in used]]))]
    best = {z: np.full(now.shape[1:], -np.inf, np.float32) for z in weights}
    for count, value in enumerate(values):
        step(progress, 0.1 + 0.9 * count / len(values), "Carrying corrections")
        change = {k: _depth(now[k - first] == value, spacing_mm) - _depth(then[k - first] == value, spacing_mm) for k in used}
        for z, shares in weights.items():
            here = now[z - first] == value
            depth = _depth(here, spacing_mm)
            for k, share in shares.items():
                depth += np.float32(share) * change[k]
            # Where two labels are equally deep, rounding must not choose: the lower one wins, or the one that is there.
            np.round(depth, 3, out=depth)
            depth[here] += np.float32(5e-4)
            wins = depth > best[z]
            best[z][wins] = depth[wins]
            new[z - first][wins] = value


def _depth(mask: npt.NDArray[np.bool_], spacing_mm: Sequence[float]) -> Floats:
    """Return the signed distance to the border, which runs half a pixel from the centres on either side, up to `_FAR_MM`."""
    if not mask.any():
        return np.full(mask.shape, -_FAR_MM, np.float32)
    far = signed_distance_mm(mask, spacing_mm)
    return np.clip(far - np.copysign(np.float32(min(spacing_mm) / 2), far), -_FAR_MM, _FAR_MM)
