"""The lesion around some points: contrast, sweep, what a ring encloses, and the border at full resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.inference.prompted.levels import Level, filled, parts_at, sweep
from napari_tumorseg.inference.prompted.options import ClickOptions
from napari_tumorseg.inference.prompted.ring import inside_of_ring
from napari_tumorseg.inference.prompted.window import Window, box_around, open_window

__all__ = ["ENHANCEMENT", "Traced", "contrast_of", "contrast_weights", "trace"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Voxels = npt.NDArray[np.int_]

#: What enhancement looks like on co-registered MR: bright after contrast, not before it, with some oedema signal.
ENHANCEMENT: Mapping[str, float] = {"T1c": 1.0, "FLAIR": 0.15, "T1": -0.2}
#: How far each image is trusted where nothing enhances; others count fully.
_PLAIN = {"FLAIR": 1.0, "T2": 0.6, "T1": 0.4, "T1c": 0.4}
#: Voxel size of the first look.
_COARSE_MM = 2.0
#: Reach of the second look at small lesions.
_NEAR_MM = 15.0


@dataclass(frozen=True, eq=False)
class Traced:
    """A region: boolean `mask` of the shape of `box`."""

    box: Box
    mask: Bools


def contrast_weights(levels: Mapping[str, float], enhancing: float) -> dict[str, float]:
    """Choose how the images are added up so that the lesion is bright.

    Parameters
    ----------
    levels : mapping of str to float
        By modality: the value at the prompt in median deviations from its surroundings.
    enhancing : float
        From which value of "T1c" the prompt lies on enhancement.

    Returns
    -------
    dict of str to float
        Weight by modality; the sum of their sizes is not zero.

    Examples
    --------
    >>> contrast_weights({"T1c": 4.0, "T1": 0.1}, enhancing=1.0)
    {'T1c': 1.0, 'T1': -0.2}
    >>> contrast_weights({"CT": -3.0}, enhancing=1.0)
    {'CT': -1.0}
    """
    if levels.get("T1c", 0.0) >= enhancing:
        return {name: ENHANCEMENT[name] for name in levels if name in ENHANCEMENT}
    # Full weight from two deviations on; what does not stand out has nothing to say.
    weights = {n: _PLAIN.get(n, 1.0) * float(np.clip(v / 2, -1, 1)) for n, v in levels.items() if abs(v) > 0.7}
    if not weights:
        best = max(levels, key=lambda n: abs(levels[n]))
        weights = {best: 1.0 if levels[best] >= 0 else -1.0}
    return weights


def contrast_of(window: Window, weights: Mapping[str, float]) -> Floats:
    """Return the weighted sum of a window's images, (z, y, x) float32."""
    total = np.zeros(window.valid.shape, np.float32)
    for name, weight in weights.items():
        total += np.float32(weight) * window.images[name]
    return total


def _near(window: Window, seeds: Sequence[tuple[int, int, int]], radius_mm: float) -> Bools:
    """Return what is within `radius_mm` of a seed, in a window."""
    out = np.zeros(window.valid.shape, bool)
    reach = [int(radius_mm / s) for s in window.spacing_mm]
    grid = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), -1).reshape(-1, 3)
    grid = grid[((grid * np.asarray(window.spacing_mm)) ** 2).sum(1) <= radius_mm**2 + 1e-6]
    places = (np.asarray(seeds)[:, None] + grid).reshape(-1, 3)
    places = places[((places >= 0) & (places < out.shape)).all(1)]
    out[tuple(places.T)] = True
    return out & window.valid


def _strongest(values: Floats, at: Floats) -> float:
    """Return the level that a click means: its own value or what lies next to it, whichever stands out more."""
    if values.size == 0:
        return float(np.median(at))
    own = float(np.median(at))
    high, low = (float(v) for v in np.percentile(values, (75, 25)))
    return max(own, high) if own >= 0 else min(own, low)


def trace(
    images: Mapping[str, Floats], grid: Grid, voxels: Voxels, options: ClickOptions, *, line: bool = False, limit: Bools | None = None
) -> Traced:
    """Find the lesion at some voxels.

    Parameters
    ----------
    images : mapping of str to numpy.ndarray
        By modality, (z, y, x) float32 on `grid`.
    grid : Grid
        Position of the voxels.
    voxels : numpy.ndarray
        Shape (n, 3): places inside the lesion.
    options : ClickOptions
        Reach, leak control, whether the core belongs to it.
    line : bool
        Whether the voxels are a scribble, whose own values are the level.
    limit : numpy.ndarray, optional
        (z, y, x) bool on `grid`: where the lesion may be.

    Returns
    -------
    Traced
        The region, which holds every one of `voxels`.
    """
    box = box_around(voxels, options.reach_mm, grid)
    wide = open_window(images, grid, box, voxels[0], _COARSE_MM)
    seeds = list(dict.fromkeys(wide.index(v) for v in voxels))
    allowed = wide.valid if limit is None else wide.valid & _thinned(limit, wide)
    ball = _near(wide, seeds, 0.0 if line else max(options.seed_mm, max(wide.spacing_mm) if max(wide.spacing_mm) < 4 else 0.0))
    at = tuple(np.asarray(seeds).T)
    levels = {name: _strongest(image[ball], image[at]) for name, image in wide.images.items()}
    weights = contrast_weights(levels, options.enhancing)
    if options.with_core and "T1c" in levels and levels["T1c"] < options.enhancing:
        ring = {n: w for n, w in ENHANCEMENT.items() if n in wide.images}
        core = inside_of_ring(contrast_of(wide, ring), allowed, seeds[0], wide.spacing_mm)
        if core is not None:
            return _sharpened(images, grid, wide, Level(0.0, core.threshold, core.mask), ring, voxels, options, limit, core.inner)
    contrast = contrast_of(wide, weights)
    base = float(np.median(contrast[wide.valid])) if wide.valid.any() else 0.0
    level = _strongest(contrast[ball] - base, contrast[at] - base) + base
    found = sweep(contrast, allowed, seeds, max(level, base + 1e-3), base, options, wide.spacing_mm)
    if found.voxels * wide.voxel_mm3 < options.small_mm3 and max(wide.step) > 1:
        near = open_window(images, grid, box_around(voxels, _NEAR_MM, grid), voxels[0], 0.0, wide.scale)
        seeds = list(dict.fromkeys(near.index(v) for v in voxels))
        allowed = near.valid if limit is None else near.valid & limit[near.box.slices]
        contrast = contrast_of(near, weights)
        at, ball = tuple(np.asarray(seeds).T), _near(near, seeds, 0.0 if line else options.seed_mm)
        level = _strongest(contrast[ball] - base, contrast[at] - base) + base
        found = sweep(contrast, allowed, seeds, max(level, base + 1e-3), base, options, near.spacing_mm)
        mask = filled(found.mask) if options.with_core else found.mask
        return Traced(near.box, mask)
    return _sharpened(images, grid, wide, found, weights, voxels, options, limit, None)


def _thinned(limit: Bools, window: Window) -> Bools:
    z, y, x = (slice(o, None, s) for o, s in zip(window.offset, window.step, strict=True))
    return limit[window.box.slices][z, y, x]


def _sharpened(
    images: Mapping[str, Floats],
    grid: Grid,
    wide: Window,
    found: Level,
    weights: Mapping[str, float],
    voxels: Voxels,
    options: ClickOptions,
    limit: Bools | None,
    inner: Bools | None,
) -> Traced:
    """Return a region of the first look with its border where the full images have it."""
    import edt

    rough = wide.upsampled(found.mask if inner is None else found.mask | inner)
    inside = bounding_box(rough)
    assert inside is not None
    start = tuple(a + o for a, o in zip(inside.start, wide.box.start, strict=True))
    stop = tuple(a + o for a, o in zip(inside.stop, wide.box.start, strict=True))
    margin = [max(1, round(3.0 / s)) for s in grid.spacing_mm]
    box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])).grown(margin, grid.shape)
    used = {name: images[name] for name in weights}
    near = open_window(used, grid, box, box.start, 0.0, wide.scale)
    body = _moved(rough, wide.box, box)
    out_mm = edt.edt(~body, anisotropy=grid.spacing_mm, black_border=False)
    in_mm = edt.edt(body, anisotropy=grid.spacing_mm, black_border=False)
    contrast = contrast_of(near, weights)
    reach = max(wide.spacing_mm)
    mask = (contrast >= found.threshold) & near.valid & (out_mm <= reach)
    # Deep inside, single noisy voxels do not make holes; a core is inside whatever its contrast.
    mask |= in_mm > 2 * reach
    if inner is not None:
        mask |= _moved(wide.upsampled(inner), wide.box, box)
    if limit is not None:
        mask &= limit[box.slices]
    seeds = [tuple(int(v) for v in voxel - np.asarray(box.start)) for voxel in voxels]
    for seed in seeds:
        mask[seed] = True
    mask = parts_at(mask, [(s[0], s[1], s[2]) for s in seeds])
    return Traced(box, filled(mask) if options.with_core else mask)


def _moved(mask: Bools, source: Box, target: Box) -> Bools:
    """Return a mask over `source` as one over `target`, False where `source` does not reach."""
    out = np.zeros(target.shape, bool)
    low = [max(a, b) for a, b in zip(source.start, target.start, strict=True)]
    high = [max(lo, min(a, b)) for lo, a, b in zip(low, source.stop, target.stop, strict=True)]
    to = tuple(slice(lo - o, hi - o) for lo, hi, o in zip(low, high, target.start, strict=True))
    come = tuple(slice(lo - o, hi - o) for lo, hi, o in zip(low, high, source.start, strict=True))
    out[to] = mask[come]
    return out
