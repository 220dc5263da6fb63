"""Regions of a contrast image: which part hangs together at which level, and where it leaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import bounding_box
from napari_tumorseg.inference.prompted.options import ClickOptions
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["Level", "cut_necks", "filled", "parts_at", "sweep"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Index = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Level:
    """A region and the level of the contrast image at its border."""

    share: float
    threshold: float
    mask: Bools

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(np.count_nonzero(self.mask))


def parts_at(mask: Bools, seeds: Sequence[Index]) -> Bools:
    """Return the parts of a (z, y, x) mask, connected by faces, that hold one of `seeds`."""
    parts, _ = connected_parts(mask, 6)
    wanted = {int(parts[seed]) for seed in seeds} - {0}
    return np.isin(parts, list(wanted)) if len(wanted) > 1 else (parts == wanted.pop() if wanted else np.zeros_like(mask))


def cut_necks(mask: Bools, seeds: Sequence[Index], radius_mm: float, spacing_mm: Sequence[float]) -> Bools:
    """Return the parts of `mask` at `seeds`, without what hangs on them by a neck.

    An opening that spares the main body: the part is thinned by `radius_mm` (never by more than half of its
    own greatest depth, so that a thin ring is not lost), the pieces nearest to the seeds are kept and grown back inside it.

    Parameters
    ----------
    mask : numpy.ndarray
        Boolean (z, y, x).
    seeds : sequence of tuple of int
        Places that belong to the region.
    radius_mm : float
        Half width of a neck; 0 cuts nothing.
    spacing_mm : sequence of float
        Voxel size along (z, y, x).
    """
    import edt

    whole = parts_at(mask, seeds)
    box = bounding_box(whole)
    if box is None or radius_mm <= 0:
        return whole
    box = box.grown(1, mask.shape)
    body = np.ascontiguousarray(whole[box.slices])
    depth = edt.edt(body, anisotropy=tuple(spacing_mm), black_border=False)
    radius = min(radius_mm, 0.5 * float(depth.max()))
    pieces, count = connected_parts(depth > radius, 26)
    if count == 0:
        return whole
    places = np.argwhere(pieces)
    local = [tuple(v - a for v, a in zip(seed, box.start, strict=True)) for seed in seeds]
    kept = set()
    for seed in local:
        if not all(0 <= v < n for v, n in zip(seed, body.shape, strict=True)) or not body[seed]:
            continue
        nearest = places[int((((places - seed) * np.asarray(spacing_mm)) ** 2).sum(1).argmin())]
        kept.add(int(pieces[tuple(nearest)]))
    if not kept:
        return whole
    core = np.isin(pieces, list(kept))
    away = edt.edt(~core, anisotropy=tuple(spacing_mm), black_border=False)
    grown = body & (away <= radius + 0.8 * min(spacing_mm))
    for seed in local:
        if all(0 <= v < n for v, n in zip(seed, body.shape, strict=True)) and body[seed]:
            grown[seed] = True
    out = np.zeros_like(mask)
    out[box.slices] = grown
    return parts_at(out, seeds)


def sweep(
    contrast: Floats, valid: Bools, seeds: Sequence[Index], level: float, base: float, options: ClickOptions, spacing_mm: Sequence[float]
) -> Level:
    """Lower the level of the border until the region would leak.

    The region at the largest share of the way from `base` to `level` is certain; from there the border is
    lowered step by step. Growing by more than the factor `options.jump` in one step is a leak into the
    surroundings: the level before the first leak of the sweep is returned, else the lowest.

    Parameters
    ----------
    contrast : numpy.ndarray
        (z, y, x) float32, high in the lesion.
    valid : numpy.ndarray
        (z, y, x) bool, where the region may go.
    seeds : sequence of tuple of int
        Places that belong to it.
    level, base : float
        Values of the lesion and of its surroundings.
    options : ClickOptions
        Range of shares, leak factor, neck.
    spacing_mm : sequence of float
        Voxel size along (z, y, x).
    """
    shares = np.arange(options.largest_share, options.smallest_share - 1e-6, -0.05)
    best: Level | None = None
    enough = 8
    for share in shares:
        threshold = base + float(share) * (level - base)
        mask = (contrast >= threshold) & valid
        for seed in seeds:
            mask[seed] = True
        found = Level(float(share), threshold, cut_necks(mask, seeds, options.neck_mm, spacing_mm))
        # A handful of voxels may double in a step without having leaked.
        if best is not None and found.voxels > options.jump * max(best.voxels, enough):
            break
        best = found
    assert best is not None
    return best


def filled(mask: Bools) -> Bools:
    """Return a (z, y, x) mask with what it encloses, in space or within a slice of any axis."""
    import fill_voids

    out: Bools = np.asarray(fill_voids.fill(np.ascontiguousarray(mask)), bool)
    for axis in range(3):
        planes = np.moveaxis(out, axis, 0)
        for plane in planes:
            if plane.any():
                plane |= np.asarray(fill_voids.fill(np.ascontiguousarray(plane)), bool)
    return out
