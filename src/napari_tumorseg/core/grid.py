"""Where voxels are: shapes, affines, orientations, boxes.

Arrays are indexed (z, y, x). The affine of a `Grid` maps homogeneous indices (z, y, x, 1) to
millimetres in RAS coordinates: x to the patient's right, y to anterior, z to superior. Only
`io/` translates from and to the conventions of files.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import GeometryError

__all__ = ["AxisTransform", "Box", "Grid", "bounding_box"]

Scalar = TypeVar("Scalar", bound=np.generic)
_CODES = (("L", "R"), ("P", "A"), ("I", "S"))
_AXIS_OF_CODE = {"L": (0, -1), "R": (0, 1), "P": (1, -1), "A": (1, 1), "I": (2, -1), "S": (2, 1)}


@dataclass(frozen=True)
class Box:
    """A half-open block of voxels.

    Attributes
    ----------
    start, stop : tuple of int
        First index and one past the last index, each (z, y, x).

    Examples
    --------
    >>> Box((1, 0, 2), (3, 4, 5)).shape
    (2, 4, 3)
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Box:
        """Return the box that covers an array of `shape`."""
        z, y, x = shape
        return cls((0, 0, 0), (int(z), int(y), int(x)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Edge lengths in voxels, (z, y, x)."""
        z, y, x = (max(0, b - a) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index expression that selects the box from a (z, y, x) array."""
        z, y, x = (slice(a, max(a, b)) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def grown(self, margin: int | Sequence[int], shape: Sequence[int]) -> Box:
        """Return the box larger by `margin` voxels on every side, cut at an array of `shape`."""
        margins = (margin,) * 3 if isinstance(margin, int) else tuple(margin)
        return Box(
            _triple(max(0, a - m) for a, m in zip(self.start, margins, strict=True)),
            _triple(min(n, b + m) for b, m, n in zip(self.stop, margins, shape, strict=True)),
        )

    def union(self, other: Box) -> Box:
        """Return the smallest box that holds both."""
        return Box(
            _triple(min(a, b) for a, b in zip(self.start, other.start, strict=True)),
            _triple(max(a, b) for a, b in zip(self.stop, other.stop, strict=True)),
        )


def _triple(values: Any) -> tuple[int, int, int]:
    z, y, x = (int(v) for v in values)
    return z, y, x


def _axes_of(orientation: str) -> list[tuple[int, int]]:
    """Return patient axis and sign of each letter of an orientation code."""
    axes = [_AXIS_OF_CODE.get(code, (-1, 0)) for code in orientation]
    if sorted(row for row, _ in axes) != [0, 1, 2]:
        raise GeometryError(f"'{orientation}' does not name three different directions.", "Use one of L/R, P/A and I/S each.")
    return axes


def bounding_box(mask: npt.NDArray[Any]) -> Box | None:
    """Return the smallest box around the nonzero voxels of a (z, y, x) array, None if there are none."""
    start, stop = [], []
    for axis in range(3):
        line = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if line.size == 0:
            return None
        start.append(int(line[0]))
        stop.append(int(line[-1]) + 1)
    return Box(_triple(start), _triple(stop))


@dataclass(frozen=True)
class AxisTransform:
    """A permutation and flips of the three array axes; nothing is interpolated.

    Output axis i is input axis ``order[i]``, reversed where ``flips[i]``.

    Attributes
    ----------
    order : tuple of int
        Input axis of each output axis.
    flips : tuple of bool
        Whether the output axis runs against its input axis.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """Return a view of a (..., z, y, x) array with its last three axes moved."""
        lead = array.ndim - 3
        moved = array.transpose(*range(lead), *(lead + a for a in self.order))
        z, y, x = (slice(None, None, -1 if flip else 1) for flip in self.flips)
        view: npt.NDArray[Scalar] = moved[..., z, y, x]
        return view

    @property
    def inverse(self) -> AxisTransform:
        """The transform that undoes this one."""
        order = [0, 0, 0]
        flips = [False, False, False]
        for out, (axis, flip) in enumerate(zip(self.order, self.flips, strict=True)):
            order[axis] = out
            flips[axis] = flip
        return AxisTransform((order[0], order[1], order[2]), (flips[0], flips[1], flips[2]))

    def matrix(self, shape: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the 4 x 4 matrix from output indices to input indices, for an input of `shape`."""
        m = np.zeros((4, 4))
        m[3, 3] = 1.0
        for out, (axis, flip) in enumerate(zip(self.order, self.flips, strict=True)):
            m[axis, out] = -1.0 if flip else 1.0
            m[axis, 3] = shape[axis] - 1 if flip else 0.0
        return m

    def box(self, box: Box, shape: Sequence[int]) -> Box:
        """Return where `box`, given in input indices of an array of `shape`, lies in the output."""
        start, stop = [], []
        for axis, flip in zip(self.order, self.flips, strict=True):
            a, b = box.start[axis], box.stop[axis]
            start.append(shape[axis] - b if flip else a)
            stop.append(shape[axis] - a if flip else b)
        return Box(_triple(start), _triple(stop))


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape and position of a voxel array.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x), all at least 1.
    affine : array_like
        4 x 4, float64, maps (z, y, x, 1) indices of voxel centres to RAS millimetres.

    Raises
    ------
    GeometryError
        If the shape is not three positive numbers or the affine is not finite and invertible.

    Examples
    --------
    >>> grid = Grid.from_spacing((10, 20, 30), (2.0, 1.0, 1.0))
    >>> grid.spacing_mm
    (2.0, 1.0, 1.0)
    >>> grid.orientation
    'SAR'
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check and freeze the values."""
        # Adding zero turns -0.0 into 0.0, so that equal grids have equal bytes and hashes.
        affine = np.array(self.affine, dtype=np.float64) + 0.0
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GeometryError(f"A volume needs three axes of at least one voxel, not {tuple(self.shape)}.", "Choose a 3-D image.")
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.allclose(affine[3], (0, 0, 0, 1)):
            raise GeometryError("The image's position (affine) is not a finite 4 x 4 matrix.", "Convert the file again from its source.")
        norms = np.linalg.norm(affine[:3, :3], axis=0)
        if norms.min() <= 0 or abs(np.linalg.det(affine[:3, :3] / norms)) < 1e-6:
            raise GeometryError("The image's position (affine) has a zero or flat direction.", "Convert the file again from its source.")
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", _triple(self.shape))

    @classmethod
    def from_spacing(cls, shape: Sequence[int], spacing_mm: Sequence[float], orientation: str = "SAR") -> Grid:
        """Return a grid along the patient axes with its first voxel at the origin.

        Parameters
        ----------
        shape : sequence of int
            (z, y, x).
        spacing_mm : sequence of float
            Voxel size along (z, y, x).
        orientation : str
            Where each array axis runs to, in the order (z, y, x), e.g. "SAR" or "SPL".

        Raises
        ------
        GeometryError
            If the orientation does not name three different directions, or a spacing is zero.
        """
        affine = np.zeros((4, 4))
        affine[3, 3] = 1.0
        for axis, ((row, sign), step) in enumerate(zip(_axes_of(orientation), spacing_mm, strict=True)):
            affine[row, axis] = sign * step
        return cls(_triple(shape), affine)

    def __eq__(self, other: object) -> bool:
        """Whether shape and affine are the same to the last bit."""
        return isinstance(other, Grid) and self.shape == other.shape and np.array_equal(self.affine, other.affine)

    def __hash__(self) -> int:
        """Hash of shape and affine."""
        return hash((self.shape, self.affine.tobytes()))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along (z, y, x)."""
        z, y, x = (float(v) for v in np.linalg.norm(self.affine[:3, :3], axis=0))
        return z, y, x

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of a voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def directions(self) -> npt.NDArray[np.float64]:
        """Unit vectors (columns) of the z, y and x axes in RAS coordinates."""
        return np.asarray(self.affine[:3, :3] / np.array(self.spacing_mm))

    @property
    def orientation(self) -> str:
        """Nearest patient direction that each array axis runs to, in the order (z, y, x)."""
        cosines = np.abs(self.directions)
        best = max(itertools.permutations(range(3)), key=lambda rows: sum(cosines[r, c] for c, r in enumerate(rows)))
        signs = [self.affine[row, axis] > 0 for axis, row in enumerate(best)]
        return "".join(_CODES[row][int(sign)] for row, sign in zip(best, signs, strict=True))

    @property
    def obliquity_deg(self) -> float:
        """Largest angle between an array axis and the patient axis that it is named after."""
        rows = [_AXIS_OF_CODE[code][0] for code in self.orientation]
        cosines = [min(1.0, abs(float(self.directions[row, axis]))) for axis, row in enumerate(rows)]
        return float(np.degrees(np.arccos(min(cosines))))

    def to_mm(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map indices (..., 3) in (z, y, x) order to RAS millimetres (..., 3)."""
        return np.asarray(np.asarray(index, np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, point_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map RAS millimetres (..., 3) to fractional indices (..., 3) in (z, y, x) order."""
        return np.asarray((np.asarray(point_mm, np.float64) - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T)

    def matches(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether the shapes are equal and no voxel centre differs by more than `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        corners = np.array(list(itertools.product(*((0, n - 1) for n in self.shape))))
        return bool(np.linalg.norm(self.to_mm(corners) - other.to_mm(corners), axis=-1).max() <= tolerance_mm)

    def crop(self, box: Box) -> Grid:
        """Return the grid of ``array[box.slices]``."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_mm(box.start)
        return Grid(box.shape, affine)

    def reorient(self, orientation: str) -> tuple[Grid, AxisTransform]:
        """Return the grid with its axes permuted and flipped to run nearest to `orientation`.

        Parameters
        ----------
        orientation : str
            Three patient directions for (z, y, x), e.g. "IPL".

        Returns
        -------
        Grid
            The same voxels in the new order.
        AxisTransform
            Turns an array of this grid into one of the new grid.

        Raises
        ------
        GeometryError
            If `orientation` does not name three different directions.
        """
        wanted = _axes_of(orientation)
        mine = _axes_of(self.orientation)
        order = [next(a for a, (mine_row, _) in enumerate(mine) if mine_row == row) for row, _ in wanted]
        flips = [mine[a][1] != sign for a, (_, sign) in zip(order, wanted, strict=True)]
        move = AxisTransform(_triple(order), (flips[0], flips[1], flips[2]))
        return self.transformed(move), move

    def transformed(self, move: AxisTransform) -> Grid:
        """Return the grid of ``move.apply(array)``."""
        return Grid(_triple(self.shape[a] for a in move.order), self.affine @ move.matrix(self.shape))

    def resampled(self, spacing_mm: Sequence[float]) -> Grid:
        """Return a grid over the same field of view with another voxel size.

        The outer faces of the first voxels stay where they are; the far faces move by less than
        one new voxel.
        """
        old = np.array(self.spacing_mm)
        new = np.array(spacing_mm, dtype=np.float64)
        if new.shape != (3,) or not (new > 0).all():
            raise GeometryError(f"{tuple(spacing_mm)} is not a voxel size in mm.", "Give three positive numbers.")
        shape = np.maximum(1, np.ceil(np.array(self.shape) * old / new - 1e-6)).astype(int)
        affine = self.affine.copy()
        affine[:3, :3] = self.directions * new
        affine[:3, 3] = self.to_mm((new / old - 1) / 2)
        return Grid(_triple(shape), affine)
