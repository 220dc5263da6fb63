"""Redrawing a stretch of a border in a slice: which stretch the user takes, and what it does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from effort.desk import Act, Aim, Desk, Setting, drag_s, wrong
from effort.klm import DRAW_MM_PER_S
from napari_tumorseg.core.grid import Box
from napari_tumorseg.editing.reshape import ReshapeParams, reshape
from napari_tumorseg.editing.scope import Scope, Target

__all__ = ["redraws"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.uint8]
#: A hand draws no corners of single voxels.
SMOOTH_MM = 0.8
#: What a stroke costs besides its length when stretches are compared; the stretch chosen is priced in full.
FIXED_S = 1.2
#: By how much a stretch is drawn further than the errors reach, so that it ends where both borders agree.
BEYOND_MM = 2.0
#: Stretches of a slice that are looked at.
MOST = 3


def redraws(desk: Desk, aim: Aim, z: int) -> Iterator[Act]:
    """Offer to redraw the stretch of a border that mends most, for each border of the slice `z` of the volume."""
    together = aim.outline or aim.label == 0
    truth, now = desk.truth[z], desk.labels[z]
    label = aim.label or _label_for(truth, now, desk.settings.get("label"))
    meant, region = (truth > 0, now > 0) if together else (truth == label, now == label)
    settings: tuple[Setting, ...] = (("tool", "redraw"), ("label", label), ("border", "tumour" if together else "label"))
    spacing = desk.subject.grid.spacing_mm[1:]
    before = np.count_nonzero(wrong(now, truth, aim.outline))
    for path, length in _stretches(meant, region, spacing):
        foreseen = _redrawn(desk, z, path, label, together)
        if foreseen is None:
            continue
        rows = foreseen[0].slices[1:]
        after = np.array(now)
        after[rows] = foreseen[1][0]
        gain = before - np.count_nonzero(wrong(after, truth, aim.outline))
        if (z, label, together) in desk.redrawn:
            # What is left of a border that was redrawn already is mostly the hand's own noise, which would come again.
            gain -= desk.hand.strays_mm * length / (spacing[0] * spacing[1])

        def perform(path: Floats = path) -> tuple[Box, Labels] | None:
            desk.redrawn.add((z, label, together))
            return _redrawn(desk, z, desk.hand.traced(path, spacing), label, together)

        where = (z, *(int(np.clip(round(v), 0, n - 1)) for v, n in zip(path[0], now.shape, strict=True)))
        yield Act("redraw", "drag", float(gain), drag_s(length), settings, perform, where, length)


def _label_for(truth: Labels, now: Labels, current: object) -> int:
    """Return the label to give to what the tumour gains in a slice."""
    missed = truth[(truth > 0) & (now == 0)]
    if missed.size:
        return int(np.bincount(missed).argmax())
    return int(current) if isinstance(current, int) and current else int(truth.max() or now.max())


def _redrawn(desk: Desk, z: int, path: Floats, label: int, together: bool) -> tuple[Box, Labels] | None:
    scope = Scope(desk.labels, desk.document.grid, desk.document.schema, label)
    line = np.column_stack([np.full(len(path), float(z)), path])
    found = reshape(scope, Target(path=line), ReshapeParams("all labels together" if together else "the label drawn with"))
    return None if found is None else (found.box, found.labels.astype(np.uint8))


def _stretches(meant: Bools, region: Bools, spacing_mm: tuple[float, ...]) -> list[tuple[Floats, float]]:
    """Return lines along the borders of what is meant, (n, 2) pixels, and their lengths in mm: the best of each border, best first."""
    from scipy import ndimage
    from scipy.spatial import cKDTree
    from skimage.measure import find_contours

    soft = ndimage.gaussian_filter(meant.astype(np.float32), [SMOOTH_MM / s for s in spacing_mm])
    borders = [line[:-1] for line in find_contours(np.pad(soft, 1), 0.5) if len(line) > 5]
    if not borders:
        return []
    borders = [line - 1 for line in borders]
    owner = np.concatenate([np.full(len(line), k) for k, line in enumerate(borders)])
    start = np.cumsum([0, *(len(line) for line in borders)])
    errors = np.argwhere(meant != region)
    if len(errors) == 0:
        return []
    _, nearest = cKDTree(np.concatenate(borders) * spacing_mm).query(errors * spacing_mm)
    found = []
    for k, line in enumerate(borders):
        mine = nearest[owner[nearest] == k] - start[k]
        if len(mine):
            found.append(_best_stretch(line, np.bincount(mine, minlength=len(line)), spacing_mm))
    found.sort(key=lambda f: -f[0])
    return [(path, length) for _, path, length in found[:MOST]]


def _best_stretch(line: Floats, errors: npt.NDArray[np.intp], spacing_mm: tuple[float, ...]) -> tuple[float, Floats, float]:
    """Return the stretch of a closed border with most errors per second: errors per second, the line, its length in mm."""
    n = len(line)
    steps = np.hypot(*((np.roll(line, -1, axis=0) - line) * spacing_mm).T)
    round_mm = float(steps.sum())
    total = np.concatenate([[0], np.cumsum(np.tile(errors, 2))])
    along = np.concatenate([[0.0], np.cumsum(np.tile(steps, 2))])
    first = np.arange(n)[:, None]
    last = first + np.arange(1, n + 1)[None]
    length = np.minimum(along[last] - along[first] + 2 * BEYOND_MM, round_mm)
    rate = (total[last] - total[first]) / (FIXED_S + length / DRAW_MM_PER_S)
    i, j = (int(v) for v in np.unravel_index(int(rate.argmax()), rate.shape))
    if length[i, j] >= 0.85 * round_mm:
        return float(rate[i, j]), np.concatenate([line, line[:1]]), round_mm
    beyond = int(np.ceil(BEYOND_MM / (round_mm / n)))
    path = line[np.arange(i - beyond, i + j + 1 + beyond) % n]
    return float(rate[i, j]), path, float(length[i, j])
