"""Boxes, lassos and scribbles on the voxels of a grid."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.segmenter import Prompt
from napari_tumorseg.inference.prompted.trace import ENHANCEMENT, Traced, contrast_of
from napari_tumorseg.inference.prompted.window import open_window

__all__ = ["Area", "area_of", "scribbled"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Voxels = npt.NDArray[np.int_]

#: A drawn slice of which the result covers less than this share was not understood: the outline itself counts.
_LEAST_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Area:
    """Where a box or lasso says that the lesion is.

    Attributes
    ----------
    box : Box
        Bounds.
    mask : numpy.ndarray
        Boolean, shape of the box: where the lesion may be.
    drawn : numpy.ndarray
        Boolean, shape of the box: what was drawn itself, one slice thick where it was drawn in a slice.
    """

    box: Box
    mask: Bools
    drawn: Bools

    def seed(self, images: Mapping[str, Floats], grid: Grid) -> Voxels:
        """Return the voxel (3,) that stands for the lesion: the place inside that differs most from what is around it."""
        import edt
        from scipy import ndimage

        wide = self.box.grown([max(2, round(8.0 / s)) for s in grid.spacing_mm], grid.shape)
        window = open_window(images, grid, wide, wide.start, 0.0)
        inside = np.zeros(window.valid.shape, bool)
        at = tuple(slice(a - o, b - o) for a, b, o in zip(self.box.start, self.box.stop, wide.start, strict=True))
        inside[at] = self.drawn
        around = window.valid & ~inside
        depth = edt.edt(np.ascontiguousarray(self.drawn), anisotropy=grid.spacing_mm, black_border=True)
        # Towards the middle: what is drawn round a lesion has it in the middle, not at its rim.
        weight = 0.3 + 0.7 * depth / depth.max()
        blur = [1.0 / s for s in grid.spacing_mm]
        best, place = -1.0, np.zeros(3, int)
        lit = {n: w for n, w in ENHANCEMENT.items() if n in images and "T1c" in images}
        candidates: list[tuple[Floats, float]] = [(contrast_of(window, lit), 1.0)] if lit else []
        candidates += [(image, 0.5 if lit else 1.0) for image in window.images.values()]
        for image, trust in candidates:
            outside = image[around] if around.any() else image.ravel()
            middle = float(np.median(outside))
            spread = 1.4826 * float(np.median(np.abs(outside - middle))) or 1.0
            differs = np.abs(ndimage.gaussian_filter(image, blur) - middle)[at] / spread * weight * trust
            differs[~self.drawn] = -1
            if differs.max() > best:
                best = float(differs.max())
                place = np.asarray(np.unravel_index(int(differs.argmax()), differs.shape))
        return np.asarray(place + self.box.start)

    def at_least(self, found: Traced) -> Traced:
        """Return `found` cut to the area, or what was drawn where that left next to nothing of it."""
        mask = np.zeros(self.mask.shape, bool)
        low = [max(a, b) for a, b in zip(found.box.start, self.box.start, strict=True)]
        high = [max(lo, min(a, b)) for lo, a, b in zip(low, found.box.stop, self.box.stop, strict=True)]
        to = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, self.box.start, strict=True))
        come = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, found.box.start, strict=True))
        mask[to] = found.mask[come]
        mask &= self.mask
        if np.count_nonzero(mask & self.drawn) < _LEAST_SHARE * np.count_nonzero(self.drawn):
            return Traced(self.box, self.drawn)
        return Traced(self.box, mask)


def area_of(prompt: Prompt, grid: Grid) -> Area:
    """Return the area that a box or lasso prompt means.

    A box or lasso that is flat along an axis was drawn in a slice: the lesion may then reach half the
    outline's smaller width beyond the slice, within an outline that shrinks like a ball's.

    Raises
    ------
    InputError
        If it lies outside the grid or has no width.
    """
    index = grid.to_index(np.atleast_2d(prompt.points_mm))
    span = np.ptp(index, axis=0) * grid.spacing_mm
    axis = int(span.argmin())
    flat = span[axis] < 1.01 * grid.spacing_mm[axis]
    if prompt.kind == "box" and not flat:
        box = _box(index.min(0), index.max(0), grid)
        whole = np.ones(box.shape, bool)
        return Area(box, whole, whole)
    others = [a for a in range(3) if a != axis]
    middle = float(index[:, axis].mean())
    reach = 0.5 * min(span[a] for a in others)
    low, high = index.min(0), index.max(0)
    slack = reach / grid.spacing_mm[axis]
    low[axis], high[axis] = middle - slack, middle + slack
    box = _box(low, high, grid)
    plane = _plane(prompt, index[:, others] - [box.start[a] for a in others], (box.shape[others[0]], box.shape[others[1]]))
    here = min(max(round(middle), box.start[axis]), box.stop[axis] - 1) - box.start[axis]
    return _domed(box, axis, here, plane, reach, grid)


def _domed(box: Box, axis: int, here: int, plane: Bools, reach_mm: float, grid: Grid) -> Area:
    import edt

    if not plane.any():
        raise InputError("The outline encloses no voxel.", "Draw it larger.")
    others = tuple(grid.spacing_mm[a] for a in range(3) if a != axis)
    depth = edt.edt(np.ascontiguousarray(plane), anisotropy=others, black_border=True)
    away = np.abs(np.arange(box.shape[axis]) - here) * grid.spacing_mm[axis]
    shrink = depth.max() * (1 - np.sqrt(np.clip(1 - (away / max(reach_mm, 1e-6)) ** 2, 0, 1)))
    mask = np.stack([plane & (depth > s - 1e-6) for s in shrink], axis=0)
    mask[here] = plane
    drawn = np.zeros_like(mask)
    drawn[here] = plane
    return Area(box, np.ascontiguousarray(np.moveaxis(mask, 0, axis)), np.ascontiguousarray(np.moveaxis(drawn, 0, axis)))


def _plane(prompt: Prompt, corners: npt.NDArray[np.float64], shape: tuple[int, int]) -> Bools:
    if prompt.kind == "box":
        return np.ones(shape, bool)
    from skimage.draw import polygon2mask

    inside: Bools = np.asarray(polygon2mask(shape, corners), bool)
    return inside


def _box(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], grid: Grid) -> Box:
    start = np.maximum(np.floor(low + 0.5).astype(int), 0)
    stop = np.minimum(np.floor(high + 0.5).astype(int) + 1, grid.shape)
    if (stop <= start).any():
        raise InputError("The outline lies outside the image.", "Draw it on the image.")
    return Box((int(start[0]), int(start[1]), int(start[2])), (int(stop[0]), int(stop[1]), int(stop[2])))


def scribbled(points_mm: npt.NDArray[np.float64], grid: Grid) -> Voxels:
    """Return the voxels (n, 3) under a line through `points_mm` (m, 3), without gaps, each once.

    Examples
    --------
    >>> grid = Grid.from_spacing((1, 1, 9), (1, 1, 1))
    >>> scribbled(np.array([[1.0, 0, 0], [4.0, 0, 0]]), grid)[:, 2].tolist()
    [1, 2, 3, 4]
    """
    index = grid.to_index(np.atleast_2d(points_mm))
    pieces = [index[:1]]
    for a, b in itertools.pairwise(index):
        count = max(1, int(np.ceil(2 * np.abs(b - a).max())))
        pieces.append(a + (b - a) * (np.arange(1, count + 1) / count)[:, None])
    voxels = np.rint(np.concatenate(pieces)).astype(int).clip(0, np.asarray(grid.shape) - 1)
    _, first = np.unique(voxels, axis=0, return_index=True)
    return np.asarray(voxels[np.sort(first)])
