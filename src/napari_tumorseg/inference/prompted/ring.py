"""The inside of an enhancing ring, found from a place within it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_tumorseg.inference.prompted.levels import cut_necks, filled
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["Ring", "inside_of_ring"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

#: Directions that are looked along.
_RAYS = 162
#: How far above its surroundings, in median deviations, the ring must be.
_LEAST = 1.5
#: Share of the directions in which it must be met.
_MET = 0.6
#: Its border lies at this share of the way from the surroundings to the ring's own level.
_SHARE = 0.42
#: A ring is no thicker than this.
_THICK_MM = 12.0


@dataclass(frozen=True, eq=False)
class Ring:
    """A ring and what it encloses: masks of one shape, and the contrast at the ring's border."""

    mask: Bools
    inner: Bools
    threshold: float


def _directions(count: int) -> npt.NDArray[np.float64]:
    """Return unit vectors (count, 3) evenly over the sphere: points of a Fibonacci spiral."""
    k = np.arange(count) + 0.5
    height = 1 - 2 * k / count
    turn = np.pi * (1 + np.sqrt(5)) * k
    flat = np.sqrt(1 - height**2)
    return np.stack([height, flat * np.cos(turn), flat * np.sin(turn)], axis=1)


def inside_of_ring(contrast: Floats, valid: Bools, seed: tuple[int, int, int], spacing_mm: Sequence[float]) -> Ring | None:
    """Return the ring around `seed`, None where there is none.

    Rays run from the seed; where enough of them meet enhancement, the space up to it is the inside (a
    gap in the ring is closed at the middle distance of the others), and the enhancing parts that touch it
    are the ring.

    Parameters
    ----------
    contrast : numpy.ndarray
        (z, y, x) float32, high where it enhances, in median deviations.
    valid : numpy.ndarray
        (z, y, x) bool.
    seed : tuple of int
        Where the user clicked.
    spacing_mm : sequence of float
        Voxel size along (z, y, x).
    """
    import edt
    from scipy import ndimage

    step = np.asarray(spacing_mm, float)
    base = float(np.median(contrast[valid])) if valid.any() else 0.0
    rays = _directions(_RAYS)
    reach_mm = float((np.asarray(contrast.shape) * step).min() / 2)
    along_mm = np.arange(step.min() / 2, max(reach_mm, 2 * step.min()), step.min() / 2)
    places = np.asarray(seed)[:, None, None] + rays.T[:, :, None] * along_mm / step[:, None, None]
    seen = ndimage.map_coordinates(contrast, places, order=1, mode="nearest") - base
    met = seen >= _LEAST
    hit = met.any(1)
    if hit.mean() < _MET:
        return None
    first = met.argmax(1)
    ahead = int(6.0 / (along_mm[1] - along_mm[0]))
    peak = np.array([seen[r, f : f + ahead].max() for r, f in enumerate(first)])
    level = float(np.percentile(peak[hit], 60))
    threshold = base + _SHARE * level
    # Distance to the ring along each ray; where it has a gap, as far as in the middle of the others.
    strong = seen >= _SHARE * level
    length = np.where(strong.any(1), along_mm[strong.argmax(1)], np.nan)
    length = np.where(np.isnan(length) | (length > 2.5 * np.nanmedian(length)), np.nanmedian(length), length)
    bright = (contrast >= threshold) & valid
    hull = _star(contrast.shape, seed, step, rays, length)
    inner = cut_necks(hull & ~bright, [seed], 0.0, spacing_mm) if not bright[seed] else np.zeros_like(bright)
    if not inner.any():
        return None
    away = edt.edt(~inner, anisotropy=tuple(spacing_mm), black_border=False)
    parts, _ = connected_parts(bright & (away <= _THICK_MM), 26)
    touching = np.unique(parts[(away <= 1.8 * step.max()) & bright])
    rim = np.isin(parts, touching[touching > 0])
    return Ring(filled(rim | inner), inner, threshold)


def _star(
    shape: tuple[int, ...],
    seed: tuple[int, int, int],
    step: npt.NDArray[np.float64],
    rays: npt.NDArray[np.float64],
    length: npt.NDArray[np.float64],
) -> Bools:
    """Return where a voxel is nearer to the seed than `length` along the ray next to it."""
    reach = np.ceil((length.max() + step.max()) / step).astype(int)
    low = np.maximum(np.asarray(seed) - reach, 0)
    high = np.minimum(np.asarray(seed) + reach + 1, shape)
    offset = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    away = ((offset - np.asarray(seed)) * step).reshape(-1, 3).astype(np.float32)
    distance = np.linalg.norm(away, axis=1)
    nearest = (away @ rays.T.astype(np.float32)).argmax(1)
    out = np.zeros(shape, bool)
    z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
    out[z, y, x] = (distance <= length[nearest]).reshape(tuple(high - low))
    return out
