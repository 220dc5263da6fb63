"""What a tool is given, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import LabelSchema

__all__ = ["Draft", "Scope", "Target"]

Labels = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Target:
    """What the user pointed at.

    Attributes
    ----------
    voxel : tuple of int, optional
        (z, y, x) under the cursor.
    path : numpy.ndarray, optional
        Shape (n, 3): the cursor's way in fractional (z, y, x) voxel indices, within one slice of `axis`.
    axis : int
        Axis of the mask's grid that runs out of the screen.
    part : tuple of (Box, numpy.ndarray), optional
        The lesion in focus: its box and a boolean array of the box's shape. None for the whole mask.
    """

    voxel: tuple[int, int, int] | None = None
    path: npt.NDArray[np.float64] | None = None
    axis: int = 0
    part: tuple[Box, npt.NDArray[np.bool_]] | None = None


@dataclass(frozen=True, eq=False)
class Scope:
    """The mask that a tool works on, and all that it may look at.

    Attributes
    ----------
    labels : numpy.ndarray
        Shape (z, y, x), unsigned integer, read-only.
    grid : Grid
        Position of the voxels.
    schema : LabelSchema
        Meaning of the values.
    label : int
        Value that the user draws with.
    locked : frozenset of int
        Values that may not be overwritten; the document enforces it, tools may plan with it.
    image : numpy.ndarray, optional
        Shape (z, y, x), any real dtype: the image that is looked at, on `grid`.
    ai : numpy.ndarray, optional
        Shape (z, y, x): the labels as the model left them.
    other : numpy.ndarray, optional
        Shape (z, y, x), unsigned integer: another mask on the same grid, for tools that combine two.
    images : mapping of str to numpy.ndarray
        By modality, (z, y, x), any real dtype: all images that lie on `grid`.
    before : numpy.ndarray, optional
        Shape (z, y, x), of the dtype of `labels`: the labels before the corrections that may be carried to other slices, as the
        last model, learning or carrying left them.
    checked : frozenset of tuple of int
        Axis and index of each slice that the user has marked as right.
    """

    labels: Labels
    grid: Grid
    schema: LabelSchema
    label: int
    locked: frozenset[int] = frozenset()
    image: npt.NDArray[Any] | None = None
    ai: Labels | None = None
    other: Labels | None = None
    images: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    before: Labels | None = None
    checked: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, eq=False)
class Draft:
    """What a tool would write: new labels of the voxels in a box; locks are applied by the document.

    Attributes
    ----------
    box : Box
        Where.
    labels : numpy.ndarray
        Shape of the box, unsigned integer.
    """

    box: Box
    labels: Labels
