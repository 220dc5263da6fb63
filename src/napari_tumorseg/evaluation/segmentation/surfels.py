"""Surface elements: the area of the surface inside each cell of eight voxels.

Between the centres of 2 x 2 x 2 voxels lies a cell. Marching cubes (Lorensen and Cline 1987,
doi:10.1145/37401.37422) draws the surface through the middles of those edges of the cell of which one end
is in the mask. Its area depends only on which of the eight are in the mask, so 256 areas are all there is.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["area_table", "cell_codes"]

Corner = tuple[int, int, int]
Edge = tuple[Corner, Corner]
Vector = tuple[float, float, float]

_CORNERS: tuple[Corner, ...] = tuple((z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1))


def area_table(spacing_mm: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the surface area in mm² inside a cell, for each of the 256 codes of `cell_codes`.

    Parameters
    ----------
    spacing_mm : sequence of float
        Distance between voxel centres along (z, y, x).

    Notes
    -----
    Three rules make the areas those of google-deepmind/surface-distance: where more than four corners are in
    the mask, those that are not are taken instead; corners that no edge joins are cut off one by one; and a
    polygon that is not flat is split into triangles so that its area at unit spacing is the largest.

    Examples
    --------
    >>> float(area_table((2.0, 1.0, 1.0))[0b00001111])  # a flat piece of surface, across z
    1.0
    """
    return _table(*(float(s) for s in spacing_mm))


# Not state, here and below: the same numbers whenever they are worked out.
@functools.lru_cache(16)
def _table(z: float, y: float, x: float) -> npt.NDArray[np.float64]:
    areas = np.linalg.norm(_normals() * (y * x, z * x, z * y), axis=-1)
    # Largest first: the order of the sum decides the last bit, and with it a percentile that falls between two elements.
    table = functools.reduce(np.add, -np.sort(-areas, axis=1).T)
    table.setflags(write=False)
    return np.asarray(table)


def cell_codes(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Return which of the eight voxels around each cell are in the mask.

    Parameters
    ----------
    mask : numpy.ndarray
        Boolean (z, y, x). Outside the array is outside the mask.

    Returns
    -------
    numpy.ndarray
        uint8, one longer than `mask` along each axis: cell (i, j, k) has voxel (i - 1, j - 1, k - 1) as its
        corner (0, 0, 0). Corner (z, y, x) is bit 4 z + 2 y + x.
    """
    one = np.ascontiguousarray(mask, bool).view(np.uint8)
    nz, ny, nx = mask.shape
    # One axis after the other: two corners along x, then four in a plane, then eight.
    row = np.zeros((nz, ny, nx + 1), np.uint8)
    row[:, :, 1:] = one
    row[:, :, :-1] |= one << 1
    plane = np.zeros((nz, ny + 1, nx + 1), np.uint8)
    plane[:, 1:] = row
    plane[:, :-1] |= row << 2
    codes = np.zeros((nz + 1, ny + 1, nx + 1), np.uint8)
    codes[1:] = plane
    codes[:-1] |= plane << 4
    return codes


@functools.cache
def _normals() -> npt.NDArray[np.float64]:
    """Return the triangles of every code as vectors (256, 4, 3) across them, as long as their area at unit spacing."""
    table = np.zeros((256, 4, 3))
    known: dict[frozenset[Corner], list[Vector]] = {}
    for code in range(1, 255):
        taken = code if code.bit_count() <= 4 else 255 - code
        triangles: list[Vector] = []
        for piece in _pieces({c for i, c in enumerate(_CORNERS) if taken >> i & 1}):
            if piece not in known:
                known[piece] = _widest(_outline(piece))
            triangles += known[piece]
        table[code, : len(triangles)] = triangles
    table.setflags(write=False)
    return table


def _pieces(corners: set[Corner]) -> list[frozenset[Corner]]:
    """Split corners into groups that edges join."""
    left, pieces = set(corners), []
    while left:
        piece: set[Corner] = set()
        fresh = [min(left)]
        while fresh:
            corner = fresh.pop()
            piece.add(corner)
            fresh += [c for c in _beside(corner) if c in left and c not in piece]
        left -= piece
        pieces.append(frozenset(piece))
    return pieces


def _beside(corner: Corner) -> list[Corner]:
    z, y, x = corner
    return [(1 - z, y, x), (z, 1 - y, x), (z, y, 1 - x)]


def _outline(piece: frozenset[Corner]) -> list[Vector]:
    """Return the polygon that cuts a piece off the rest of the cell, as points in the middles of edges."""
    edges = [(c, d) for c in sorted(piece) for d in _beside(c) if d not in piece]
    loop = [edges[0]]
    while len(loop) < len(edges):
        loop.append(next(e for e in edges if e not in loop and _follow(loop[-1], e, edges)))
    return [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2) for a, b in loop]


def _follow(one: Edge, other: Edge, edges: Sequence[Edge]) -> bool:
    """Whether the polygon runs from one cut edge to the other across a face of the cell."""
    for axis, side in itertools.product(range(3), (0, 1)):
        face = [e for e in edges if e[0][axis] == side == e[1][axis]]
        if one in face and other in face:
            # Two opposite corners in the mask: each is cut off by itself.
            return len(face) == 2 or one[0] == other[0]
    return False


def _widest(polygon: Sequence[Vector]) -> list[Vector]:
    """Return the triangles, as vectors across them, of the triangulation of the largest area."""
    splits = ([_across(*(polygon[i] for i in triangle)) for triangle in triangles] for triangles in _triangulations(0, len(polygon) - 1))
    return max(splits, key=lambda vectors: round(sum(math.hypot(*v) for v in vectors), 9))


def _across(a: Vector, b: Vector, c: Vector) -> Vector:
    """Return half the cross product of two sides of a triangle."""
    (pz, py, px), (qz, qy, qx) = ([t - s for s, t in zip(a, to, strict=True)] for to in (b, c))
    return (py * qx - px * qy) / 2, (px * qz - pz * qx) / 2, (pz * qy - py * qz) / 2


def _triangulations(first: int, last: int) -> Iterator[list[tuple[int, int, int]]]:
    """Yield every way to split the polygon of the corners first … last into triangles."""
    if last - first < 2:
        yield []
        return
    for middle in range(first + 1, last):
        for one in _triangulations(first, middle):
            for other in _triangulations(middle, last):
                yield [*one, *other, (first, middle, last)]
