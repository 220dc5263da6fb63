"""Which part of a region belongs to a click that says "not here"."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.inference.prompted.window import ball, open_window
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["part_to_remove"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Voxels = npt.NDArray[np.int_]

#: Cost of a millimetre through values like those at the seed; unlike values cost more.
_EASY = 0.3
#: An exclude click reaches this many times its own depth in the mask, and this much more.
_TIMES = 2.5
_MORE_MM = 1.0
#: The way is searched on voxels of about this size, and at most this many.
_VOXEL_MM = 1.5
_MOST_VOXELS = 60_000
#: A piece smaller than this goes as a whole when nothing says that it should stay.
_PIECE_MM3 = 500.0


def part_to_remove(images: Mapping[str, Floats], grid: Grid, mask: Bools, away: Voxels, keep: Voxels) -> tuple[Box, Bools] | None:
    """Return the part of a mask that exclude clicks claim.

    Include and exclude clicks race through the mask; a step costs more the less a voxel looks like the
    click it comes from, and each voxel goes to whoever arrives first (competing geodesic distances, as in
    Bai and Sapiro 2009). Where no include click lies in the same piece, its deepest place stands for one,
    unless the piece is small: then all of it goes.

    Parameters
    ----------
    images : mapping of str to numpy.ndarray
        By modality, (z, y, x) float32.
    grid : Grid
        Position of the voxels.
    mask : numpy.ndarray
        (z, y, x) bool.
    away : numpy.ndarray
        Shape (n, 3): voxels that do not belong to the structure.
    keep : numpy.ndarray
        Shape (m, 3), m may be 0: voxels that do.

    Returns
    -------
    box : Box
        Where the part lies.
    part : numpy.ndarray
        Boolean, shape of the box.
    None
        When no exclude click lies in the mask.

    References
    ----------
    Bai X, Sapiro G. Geodesic matting: a framework for fast interactive image and video segmentation and
    matting. Int J Comput Vis 82, 2009.
    """
    import edt

    hit = away[mask[tuple(away.T)]]
    if len(hit) == 0:
        return None
    whole = bounding_box(mask)
    assert whole is not None
    parts, _ = connected_parts(mask[whole.slices], 26)
    struck = np.unique(parts[tuple((hit - whole.start).T)])
    piece = np.isin(parts, struck)
    inner = bounding_box(piece)
    assert inner is not None
    start = tuple(a + o for a, o in zip(inner.start, whole.start, strict=True))
    stop = tuple(a + o for a, o in zip(inner.stop, whole.start, strict=True))
    box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    piece = piece[inner.slices]
    depth = edt.edt(np.ascontiguousarray(piece), anisotropy=grid.spacing_mm, black_border=True)
    inside = [tuple(v - box.start) for v in keep if all(a <= c < b for c, a, b in zip(v, box.start, box.stop, strict=True))]
    stay = [v for v in inside if piece[v]]
    if not stay:
        if np.count_nonzero(piece) * grid.voxel_volume_mm3 <= _PIECE_MM3:
            return box, piece
        offset = np.stack(np.meshgrid(*(np.arange(n) for n in piece.shape), indexing="ij"), -1)
        near = np.min([(((offset - (v - box.start)) * grid.spacing_mm) ** 2).sum(-1) for v in hit], axis=0)
        # What is deep and far from the click is surely not meant.
        stay = [tuple(int(i) for i in np.unravel_index(int((depth * np.sqrt(near)).argmax()), piece.shape))]
    # What is wrong is about as wide as the click into its middle is deep; farther away nothing changes.
    reach = np.any([ball(box, v, _TIMES * float(depth[tuple(v - box.start)]) + _MORE_MM, grid) for v in hit], axis=0)
    size = max(_VOXEL_MM, float(np.cbrt(np.count_nonzero(piece) * grid.voxel_volume_mm3 / _MOST_VOXELS)))
    window = open_window(images, grid, box, box.start, size)
    z, y, x = (slice(o, None, s) for o, s in zip(window.offset, window.step, strict=True))
    thin = np.ascontiguousarray(piece[z, y, x])
    ours = [window.index((np.asarray(v) + box.start).astype(int).tolist()) for v in stay]
    theirs = [window.index(v) for v in hit]
    for place in (*ours, *theirs):
        thin[place] = True
    values = np.stack(list(window.images.values()))
    first = _arrival(values, thin, ours, window.spacing_mm)
    second = _arrival(values, thin, theirs, window.spacing_mm)
    lost = window.upsampled(thin & (second < first)) & piece & reach
    for v in hit:
        lost[tuple(v - box.start)] = True
    for v in stay:
        lost[v] = False
    return box, lost


def _arrival(
    values: Floats, allowed: Bools, seeds: list[tuple[int, int, int]], spacing_mm: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    """Return what it costs to come from the seeds to each voxel; infinite outside `allowed`."""
    from skimage.graph import MCP_Geometric

    at = tuple(np.asarray(seeds).T)
    like = np.min(
        [np.sqrt(((values - values[(slice(None), *(a[k] for a in at))][:, None, None, None]) ** 2).mean(0)) for k in range(len(seeds))],
        axis=0,
    )
    costs, _ = MCP_Geometric(np.where(allowed, _EASY + like, -1.0), sampling=spacing_mm).find_costs(seeds)
    return np.asarray(costs)
